/* SPDX-License-Identifier: MIT
 *
 * Hashes of several things, made one after the other: for telling states apart, not for secrets. The same in
 * every process.
 */
#ifndef TAPE_MIX_H
#define TAPE_MIX_H

#include <stddef.h>
#include <stdint.h>

#include "core/redact.h"

/* Never 0, which may stand for nothing. */
static inline uint64_t tape_mix(uint64_t a, uint64_t b)
{
	uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15u + (a << 6) + (a >> 2))) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 30)) * 0x94d049bb133111ebu;
	x ^= x >> 31;
	return x == 0 ? 1 : x;
}

static inline uint64_t tape_mix_bytes(uint64_t hash, const void *data, size_t length)
{
	static const uint64_t key[2] = { 3, 5 };
	uint64_t of_data[2];
	tape_siphash(key, data, length, of_data);
	return tape_mix(tape_mix(hash, of_data[0]), length);
}

#endif
