/* SPDX-License-Identifier: MIT */
#include "core/arena.h"

#include <stdint.h>
#include <string.h>

#include "core/system.h"

#define CHUNK_SIZE ((size_t)16 * 1024)
#define ALIGNMENT 16u

struct tape_chunk {
	struct tape_chunk *older;
	size_t size;
};

#define CHUNK_HEAD ((sizeof(struct tape_chunk) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1))

void tape_arena_init(struct tape_arena *arena, void *storage, size_t size, size_t limit)
{
	memset(arena, 0, sizeof(*arena));
	if (storage != NULL) {
		uintptr_t misaligned = (uintptr_t)storage & (ALIGNMENT - 1);
		size_t skip = misaligned == 0 ? 0 : ALIGNMENT - (size_t)misaligned;
		if (size > skip) {
			arena->next = (char *)storage + skip;
			arena->end = (char *)storage + size;
		}
	}
	arena->first_next = arena->next;
	arena->first_end = arena->end;
	arena->limit = limit;
}

static void free_chunks(struct tape_arena *arena, struct tape_chunk *keep)
{
	struct tape_chunk *chunk = arena->chunks;
	while (chunk != NULL) {
		struct tape_chunk *older = chunk->older;
		if (chunk != keep)
			tape_pages_free(chunk, chunk->size);
		chunk = older;
	}
	arena->chunks = keep;
	arena->used = 0;
	if (keep != NULL) {
		keep->older = NULL;
		arena->used = keep->size;
	}
}

void tape_arena_reset(struct tape_arena *arena)
{
	struct tape_chunk *keep = NULL;
	if (arena->first_next == NULL)
		for (struct tape_chunk *c = arena->chunks; c != NULL; c = c->older)
			if (c->size == CHUNK_SIZE)
				keep = c;
	free_chunks(arena, keep);
	if (keep != NULL) {
		arena->next = (char *)keep + CHUNK_HEAD;
		arena->end = (char *)keep + keep->size;
	} else {
		arena->next = arena->first_next;
		arena->end = arena->first_end;
	}
	arena->failed = false;
}

void tape_arena_done(struct tape_arena *arena)
{
	free_chunks(arena, NULL);
	arena->next = arena->first_next;
	arena->end = arena->first_end;
	arena->failed = false;
}

void tape_arena_wipe(struct tape_arena *arena)
{
	for (struct tape_chunk *c = arena->chunks; c != NULL; c = c->older)
		tape_wipe((char *)c + CHUNK_HEAD, c->size - CHUNK_HEAD);
	if (arena->first_next != NULL)
		tape_wipe(arena->first_next, (size_t)(arena->first_end - arena->first_next));
	tape_arena_done(arena);
}

void *tape_arena_grow(struct tape_arena *arena, size_t size)
{
	size_t room = CHUNK_SIZE;
	if (size > arena->limit || size > SIZE_MAX - CHUNK_SIZE)
		goto refuse;
	if (size > CHUNK_SIZE - CHUNK_HEAD)
		room = (size + CHUNK_HEAD + 4095u) & ~(size_t)4095u;
	if (room > arena->limit - arena->used)
		goto refuse;
	struct tape_chunk *chunk = tape_pages_get(room);
	if (chunk == NULL)
		goto refuse;
	chunk->size = room;
	chunk->older = arena->chunks;
	arena->chunks = chunk;
	arena->used += room;
	char *memory = (char *)chunk + CHUNK_HEAD;
	char *next = memory + ((size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
	char *end = (char *)chunk + room;
	/* A large block of its own leaves the current chunk in use. */
	if (end - next > arena->end - arena->next) {
		arena->next = next;
		arena->end = end;
	}
	return memory;
refuse:
	arena->failed = true;
	return NULL;
}

void *tape_arena_array(struct tape_arena *arena, size_t count, size_t size)
{
	if (size != 0 && count > SIZE_MAX / size) {
		arena->failed = true;
		return NULL;
	}
	return tape_arena_get(arena, count * size);
}

void *tape_arena_copy(struct tape_arena *arena, const void *from, size_t size)
{
	if (size == SIZE_MAX) {
		arena->failed = true;
		return NULL;
	}
	char *copy = tape_arena_get(arena, size + 1);
	if (copy == NULL)
		return NULL;
	if (size != 0)
		memcpy(copy, from, size);
	copy[size] = 0;
	return copy;
}
