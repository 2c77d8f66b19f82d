/* SPDX-License-Identifier: MIT
 *
 * Memory that belongs to one call (or one item of a trace) and dies with it: everything captured or
 * read for it is allocated here, so nothing has to be freed one by one.
 */
#ifndef TAPE_ARENA_H
#define TAPE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "core/attributes.h"

struct tape_chunk;

struct tape_arena {
	char *next, *end;             /* free room in the current chunk */
	char *first_next, *first_end; /* the caller's storage, to go back to on reset */
	struct tape_chunk *chunks;    /* mapped pages, newest first */
	size_t used, limit;           /* bytes in mapped chunks; at most `limit` */
	bool failed;                  /* an allocation was refused since the last reset */
};

/* Begin with `storage` (may be NULL); map pages once it is used up, `limit` bytes at the most. */
void tape_arena_init(struct tape_arena *arena, void *storage, size_t size, size_t limit);

/* Forget all allocations; where there is no storage, keep one chunk for the next use. */
void tape_arena_reset(struct tape_arena *arena);

/* Give all pages back. The arena may be used again. */
void tape_arena_done(struct tape_arena *arena);

/* The same, once all of it has been overwritten, the storage too. */
void tape_arena_wipe(struct tape_arena *arena);

void *tape_arena_grow(struct tape_arena *arena, size_t size);

/* Allocate, aligned for any object and not cleared. NULL (and `failed`) where memory or the limit is out. */
static inline void *tape_arena_get(struct tape_arena *arena, size_t size)
{
	/* Nothing takes room too, so that an empty list is not taken for a lack of memory. */
	size_t rounded = (size + (size == 0) + 15u) & ~(size_t)15u;
	if (TAPE_UNLIKELY(rounded < size || rounded > (size_t)(arena->end - arena->next)))
		return tape_arena_grow(arena, size);
	void *memory = arena->next;
	arena->next += rounded;
	return memory;
}

/* Allocate count * size bytes, refusing an overflow. */
TAPE_MUST_CHECK void *tape_arena_array(struct tape_arena *arena, size_t count, size_t size);

/* Copy bytes into the arena, with a terminating zero behind them. */
TAPE_MUST_CHECK void *tape_arena_copy(struct tape_arena *arena, const void *from, size_t size);

#endif
