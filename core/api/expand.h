/* SPDX-License-Identifier: MIT
 *
 * How a row of functions.def is read. A row's arguments are tuples (SHAPE, name…); these macros map
 * a macro over the tuples and spell a tuple as declarations, names or boxed words.
 */
#ifndef TAPE_API_EXPAND_H
#define TAPE_API_EXPAND_H

#include <stdint.h>

#define TAPE_CAT_(a, b) a##b
#define TAPE_CAT(a, b) TAPE_CAT_(a, b)

#define TAPE_COUNT_(_1, _2, _3, _4, _5, _6, _7, _8, n, ...) n
#define TAPE_COUNT(...) TAPE_COUNT_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, ~)

/* EACH(M, t1, t2, …) is M t1, M t2, … (every t is a parenthesised tuple). */
#define TAPE_EACH_1(m, t) m t
#define TAPE_EACH_2(m, t, ...) m t, TAPE_EACH_1(m, __VA_ARGS__)
#define TAPE_EACH_3(m, t, ...) m t, TAPE_EACH_2(m, __VA_ARGS__)
#define TAPE_EACH_4(m, t, ...) m t, TAPE_EACH_3(m, __VA_ARGS__)
#define TAPE_EACH_5(m, t, ...) m t, TAPE_EACH_4(m, __VA_ARGS__)
#define TAPE_EACH_6(m, t, ...) m t, TAPE_EACH_5(m, __VA_ARGS__)
#define TAPE_EACH_7(m, t, ...) m t, TAPE_EACH_6(m, __VA_ARGS__)
#define TAPE_EACH_8(m, t, ...) m t, TAPE_EACH_7(m, __VA_ARGS__)
#define TAPE_EACH(m, ...) TAPE_CAT(TAPE_EACH_, TAPE_COUNT(__VA_ARGS__))(m, __VA_ARGS__)

/* SEQ(M, t1, t2, …) is M t1 M t2 …: for statements. */
#define TAPE_SEQ_1(m, t) m t
#define TAPE_SEQ_2(m, t, ...) m t TAPE_SEQ_1(m, __VA_ARGS__)
#define TAPE_SEQ_3(m, t, ...) m t TAPE_SEQ_2(m, __VA_ARGS__)
#define TAPE_SEQ_4(m, t, ...) m t TAPE_SEQ_3(m, __VA_ARGS__)
#define TAPE_SEQ_5(m, t, ...) m t TAPE_SEQ_4(m, __VA_ARGS__)
#define TAPE_SEQ_6(m, t, ...) m t TAPE_SEQ_5(m, __VA_ARGS__)
#define TAPE_SEQ_7(m, t, ...) m t TAPE_SEQ_6(m, __VA_ARGS__)
#define TAPE_SEQ_8(m, t, ...) m t TAPE_SEQ_7(m, __VA_ARGS__)
#define TAPE_SEQ(m, ...) TAPE_CAT(TAPE_SEQ_, TAPE_COUNT(__VA_ARGS__))(m, __VA_ARGS__)

/* A tuple as parameter declarations: kind_IN_BYTES_1 pData, kind_IN_BYTES_2 ulDataLen. */
#define TAPE_DECL_2(k, a) kind_##k##_1 a
#define TAPE_DECL_3(k, a, b) kind_##k##_1 a, kind_##k##_2 b
#define TAPE_DECL_4(k, a, b, c) kind_##k##_1 a, kind_##k##_2 b, kind_##k##_3 c
#define TAPE_DECL(...) TAPE_CAT(TAPE_DECL_, TAPE_COUNT(__VA_ARGS__))(__VA_ARGS__)

/* A tuple as the plain names: pData, ulDataLen. */
#define TAPE_NAMES(k, ...) __VA_ARGS__

/* A tuple boxed for the walkers. A function pointer converts to uintptr_t like any other. */
#define TAPE_WORDS_2(k, a) (uintptr_t)(a)
#define TAPE_WORDS_3(k, a, b) (uintptr_t)(a), (uintptr_t)(b)
#define TAPE_WORDS_4(k, a, b, c) (uintptr_t)(a), (uintptr_t)(b), (uintptr_t)(c)
#define TAPE_WORDS(...) TAPE_CAT(TAPE_WORDS_, TAPE_COUNT(__VA_ARGS__))(__VA_ARGS__)

/* The way back: a tuple as variables, filled from the words that `word` walks over. */
#define TAPE_UNBOX_2(k, a) kind_##k##_1 a = (kind_##k##_1) * word++;
#define TAPE_UNBOX_3(k, a, b) TAPE_UNBOX_2(k, a) kind_##k##_2 b = (kind_##k##_2) * word++;
#define TAPE_UNBOX_4(k, a, b, c) TAPE_UNBOX_3(k, a, b) kind_##k##_3 c = (kind_##k##_3) * word++;
#define TAPE_UNBOX(...) TAPE_CAT(TAPE_UNBOX_, TAPE_COUNT(__VA_ARGS__))(__VA_ARGS__)

/* How many words a tuple takes. */
#define TAPE_ARITY_2(k, a) 1
#define TAPE_ARITY_3(k, a, b) 2
#define TAPE_ARITY_4(k, a, b, c) 3
#define TAPE_ARITY(...) TAPE_CAT(TAPE_ARITY_, TAPE_COUNT(__VA_ARGS__))(__VA_ARGS__)

#endif
