/* SPDX-License-Identifier: MIT
 *
 * What stands in a live run for recorded bytes; for numbers it is a map (core/map.h).
 */
#ifndef TAPE_MAPPING_H
#define TAPE_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/map.h"

/* The last byte strings that came out differently, to be put where they go in again. */
#define TAPE_SWAPS 256
#define TAPE_SWAP_MIN ((size_t)8)   /* bytes: what is shorter is equal by chance */
#define TAPE_SWAP_PART ((size_t)16) /* of a part of a longer one */

struct tape_swap {
	unsigned char *recorded, *live;
	size_t recorded_length, live_length;
};

/* All zero is an empty one. */
struct tape_swaps {
	struct tape_swap swaps[TAPE_SWAPS];
	size_t count; /* so many were added; the oldest are overwritten */
};

/* Remember a recorded output and the live one. Returns false without memory. */
TAPE_MUST_CHECK bool tape_swaps_add(struct tape_swaps *swaps, const void *recorded,
                                    size_t recorded_length, const void *live, size_t live_length);

/* Say whether `live` is what was added for `recorded`. */
bool tape_swaps_has(const struct tape_swaps *swaps, const void *recorded, size_t recorded_length,
                    const void *live, size_t live_length);

/*
 * Find what stands for recorded bytes that go in: the live ones where they are a recorded output, a part
 * of one, or have one as a part (parts only of outputs whose length was the recorded one). Returns false
 * where they stay as they are, and leaves both alone. The result is in the arena, or lives as long as nothing is added.
 */
bool tape_swaps_find(const struct tape_swaps *swaps, struct tape_arena *arena, const void *recorded,
                     size_t length, const void **ret_live, size_t *ret_length);

void tape_swaps_clear(struct tape_swaps *swaps);

#endif
