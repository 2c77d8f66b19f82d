/* SPDX-License-Identifier: MIT
 *
 * Compiler attributes, under names that say what they promise; empty on compilers without them.
 */
#ifndef TAPE_ATTRIBUTES_H
#define TAPE_ATTRIBUTES_H

#if defined(__GNUC__)
#define TAPE_MUST_CHECK __attribute__((warn_unused_result))
#define TAPE_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#define TAPE_PRINTF(string, first) __attribute__((format(printf, string, first)))
#define TAPE_HIDDEN __attribute__((visibility("hidden")))
#define TAPE_EXPORT __attribute__((visibility("default")))
#define TAPE_LIKELY(x) __builtin_expect(!!(x), 1)
#define TAPE_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define TAPE_COLD __attribute__((cold, noinline))
#define TAPE_PREFETCH(address) __builtin_prefetch(address)
#else
#define TAPE_MUST_CHECK
#define TAPE_NONNULL(...)
#define TAPE_PRINTF(string, first)
#define TAPE_HIDDEN
#define TAPE_EXPORT
#define TAPE_LIKELY(x) (x)
#define TAPE_UNLIKELY(x) (x)
#define TAPE_COLD
#define TAPE_PREFETCH(address) ((void)(address))
#endif

#define TAPE_ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
