/* SPDX-License-Identifier: MIT */
#include "tests/unit/support/guard.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)4096)

/* Slots: how many, and how many pages each has before its hole. */
#define SMALL_COUNT GUARD_MAX_BLOCKS
#define SMALL_SIZE PAGE
#define MEDIUM_COUNT ((size_t)32)
#define MEDIUM_SIZE (16 * PAGE)
#define LARGE_COUNT ((size_t)12)
#define LARGE_SIZE GUARD_LARGEST

/* What stands before a block, as far as its slot has room. */
#define WATCHED ((size_t)32)
#define WATCH 0xa7

static unsigned char *map_slots(size_t count, size_t size)
{
	unsigned char *slots = mmap(NULL, count * (size + PAGE), PROT_READ | PROT_WRITE,
	                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slots == MAP_FAILED)
		abort();
	for (size_t i = 0; i < count; i++)
		if (mprotect(slots + i * (size + PAGE) + size, PAGE, PROT_NONE) != 0)
			abort();
	return slots;
}

void guard_init(struct guard *guard)
{
	guard->small = map_slots(SMALL_COUNT, SMALL_SIZE);
	guard->medium = map_slots(MEDIUM_COUNT, MEDIUM_SIZE);
	guard->large = map_slots(LARGE_COUNT, LARGE_SIZE);
	guard_reset(guard);
}

void guard_done(struct guard *guard)
{
	munmap(guard->small, SMALL_COUNT * (SMALL_SIZE + PAGE));
	munmap(guard->medium, MEDIUM_COUNT * (MEDIUM_SIZE + PAGE));
	munmap(guard->large, LARGE_COUNT * (LARGE_SIZE + PAGE));
}

void guard_reset(struct guard *guard)
{
	guard->used_small = guard->used_medium = guard->used_large = guard->count = 0;
}

/* The end of a free slot that has `size` bytes. */
static unsigned char *find_slot(struct guard *guard, size_t size)
{
	if (size <= SMALL_SIZE && guard->used_small < SMALL_COUNT)
		return guard->small + guard->used_small++ * (SMALL_SIZE + PAGE) + SMALL_SIZE;
	if (size <= MEDIUM_SIZE && guard->used_medium < MEDIUM_COUNT)
		return guard->medium + guard->used_medium++ * (MEDIUM_SIZE + PAGE) + MEDIUM_SIZE;
	if (size <= LARGE_SIZE && guard->used_large < LARGE_COUNT)
		return guard->large + guard->used_large++ * (LARGE_SIZE + PAGE) + LARGE_SIZE;
	abort();
}

static size_t watched(size_t size)
{
	size_t room = size <= SMALL_SIZE    ? SMALL_SIZE - size
	              : size <= MEDIUM_SIZE ? MEDIUM_SIZE - size
	                                    : LARGE_SIZE - size;

	return room < WATCHED ? room : WATCHED;
}

void *guard_get(struct guard *guard, size_t size)
{
	unsigned char *memory = find_slot(guard, size) - size;

	assert(guard->count < GUARD_MAX_BLOCKS);
	memset(memory - watched(size), WATCH, watched(size));
	guard->blocks[guard->count++] = (struct guard_block){ memory, size };
	return memory;
}

void *guard_hole(const struct guard *guard)
{
	return guard->small + SMALL_SIZE;
}

bool guard_find(const struct guard *guard, const void *memory, size_t size, size_t *ret_block,
                size_t *ret_offset)
{
	uintptr_t at = (uintptr_t)memory;

	for (size_t i = 0; i < guard->count; i++) {
		uintptr_t begin = (uintptr_t)guard->blocks[i].memory;

		if (at < begin || at - begin > guard->blocks[i].size ||
		    guard->blocks[i].size - (at - begin) < size)
			continue;
		*ret_block = i;
		*ret_offset = at - begin;
		return true;
	}
	return false;
}

bool guard_is_intact(const struct guard *guard)
{
	for (size_t i = 0; i < guard->count; i++) {
		const struct guard_block *block = &guard->blocks[i];

		for (size_t j = 1; j <= watched(block->size); j++)
			if (block->memory[-(ptrdiff_t)j] != WATCH)
				return false;
	}
	return true;
}

size_t guard_size(const struct guard *guard)
{
	size_t size = 0;

	for (size_t i = 0; i < guard->count; i++)
		size += guard->blocks[i].size;
	return size;
}

void guard_save(const struct guard *guard, unsigned char *image)
{
	for (size_t i = 0; i < guard->count; i++) {
		memcpy(image, guard->blocks[i].memory, guard->blocks[i].size);
		image += guard->blocks[i].size;
	}
}

void guard_load(struct guard *guard, const unsigned char *image)
{
	for (size_t i = 0; i < guard->count; i++) {
		memcpy(guard->blocks[i].memory, image, guard->blocks[i].size);
		image += guard->blocks[i].size;
	}
}
