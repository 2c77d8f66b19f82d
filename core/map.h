/* SPDX-License-Identifier: MIT
 *
 * Numbers by number: what a handle stands for. On the heap; not for the recorder.
 */
#ifndef TAPE_MAP_H
#define TAPE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/attributes.h"

/* All zero is an empty one. */
struct tape_map {
	struct tape_pair *pairs;
	size_t count, used, room; /* pairs; those, and removed ones; a power of two, or 0 */
};

/* Put a number in the place of what was there. Returns false without memory. */
TAPE_MUST_CHECK bool tape_map_put(struct tape_map *map, uint64_t from, uint64_t to);

/* Look a number up. Returns false, and leaves *ret_to alone, where it is not there. */
bool tape_map_get(const struct tape_map *map, uint64_t from, uint64_t *ret_to);

void tape_map_remove(struct tape_map *map, uint64_t from);

/* Empty it; and give its memory back. */
void tape_map_clear(struct tape_map *map);
void tape_map_done(struct tape_map *map);

/* Make room for some numbers before any are put. Returns false without memory. */
TAPE_MUST_CHECK bool tape_map_reserve(struct tape_map *map);

#endif
