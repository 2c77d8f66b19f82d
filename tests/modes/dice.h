/* SPDX-License-Identifier: MIT
 *
 * Numbers that a seed makes, the same ones everywhere.
 */
#ifndef TEST_DICE_H
#define TEST_DICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SplitMix64. */
static inline uint64_t roll(uint64_t *dice)
{
	uint64_t z = *dice += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A number below `limit`, which is not 0. */
static inline size_t roll_below(uint64_t *dice, size_t limit)
{
	return (size_t)(roll(dice) % limit);
}

static inline bool roll_percent(uint64_t *dice, unsigned int percent)
{
	return roll_below(dice, 100) < percent;
}

#endif
