/* SPDX-License-Identifier: MIT
 *
 * A caller's memory as tests want it: every block ends at a page that is not there, so that whoever
 * reads or writes past its end crashes, and the bytes before it are watched.
 */
#ifndef TEST_GUARD_H
#define TEST_GUARD_H

#include <stdbool.h>
#include <stddef.h>

#define GUARD_MAX_BLOCKS 2048

/* The largest block that there can be. */
#define GUARD_LARGEST ((size_t)2 << 20)

struct guard_block {
	unsigned char *memory;
	size_t size;
};

struct guard {
	unsigned char *small, *medium, *large; /* slots of these three sizes, each with its hole */
	size_t used_small, used_medium, used_large;
	struct guard_block blocks[GUARD_MAX_BLOCKS];
	size_t count;
};

/* Map the slots; give them back. */
void guard_init(struct guard *guard);
void guard_done(struct guard *guard);

/* Forget all blocks. */
void guard_reset(struct guard *guard);

/* Get a block of exactly `size` bytes. Its contents are undefined; its address is so if size is 0. */
void *guard_get(struct guard *guard, size_t size);

/* An address at which nothing can be read or written. */
void *guard_hole(const struct guard *guard);

/* Whether all of `size` bytes at `memory` lie in one block; which one, and where in it. */
bool guard_find(const struct guard *guard, const void *memory, size_t size, size_t *ret_block,
                size_t *ret_offset);

/* Whether nobody wrote before a block. */
bool guard_is_intact(const struct guard *guard);

/* Bytes of all blocks together; copy them to an image or back. */
size_t guard_size(const struct guard *guard);
void guard_save(const struct guard *guard, unsigned char *image);
void guard_load(struct guard *guard, const unsigned char *image);

#endif
