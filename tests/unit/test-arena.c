/* SPDX-License-Identifier: MIT
 *
 * core/arena.h: what is allocated is there, aligned and apart from everything else, and no more than
 * the limit is ever mapped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/arena.h"

#define KIB ((size_t)1024)
#define PLENTY (KIB * KIB * 64)

static bool is_aligned(const void *memory)
{
	return (uintptr_t)memory % 16 == 0;
}

/* Blocks of all sizes, each filled with its own byte: at the end each still holds it. */
static void fill_and_check(struct tape_arena *arena, size_t most)
{
	struct {
		unsigned char *memory;
		size_t size;
	} blocks[200];

	for (size_t i = 0; i < TAPE_ARRAY_SIZE(blocks); i++) {
		blocks[i].size = i * i * i % most;
		blocks[i].memory = tape_arena_get(arena, blocks[i].size);
		assert_non_null(blocks[i].memory);
		assert_true(is_aligned(blocks[i].memory));
		memset(blocks[i].memory, (int)i, blocks[i].size);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(blocks); i++)
		for (size_t j = 0; j < blocks[i].size; j++)
			assert_int_equal(blocks[i].memory[j], i);
	assert_false(arena->failed);
}

static void blocks_do_not_overlap(void **state)
{
	struct tape_arena arena;

	(void)state;
	tape_arena_init(&arena, NULL, 0, PLENTY);
	fill_and_check(&arena, 300);
	fill_and_check(&arena, 100 * KIB);
	tape_arena_reset(&arena);
	fill_and_check(&arena, 100 * KIB);
	tape_arena_done(&arena);
	fill_and_check(&arena, 300);
	tape_arena_done(&arena);
}

static void storage_is_used_first(void **state)
{
	_Alignas(16) char storage[1024];
	struct tape_arena arena;

	(void)state;
	tape_arena_init(&arena, storage, sizeof(storage), PLENTY);
	char *first = tape_arena_get(&arena, 1000);
	assert_ptr_equal(first, storage);
	char *second = tape_arena_get(&arena, 16);
	assert_ptr_equal(second, storage + 1008);
	assert_int_equal(arena.used, 0);
	char *third = tape_arena_get(&arena, 1);
	assert_true(third < storage || third >= storage + sizeof(storage));
	assert_true(arena.used != 0);
	tape_arena_reset(&arena);
	assert_int_equal(arena.used, 0);
	assert_ptr_equal(tape_arena_get(&arena, 1), storage);
	tape_arena_done(&arena);
	assert_ptr_equal(tape_arena_get(&arena, 1), storage);
}

/* Storage may begin anywhere, and be too small to hold anything aligned. */
static void any_storage_will_do(void **state)
{
	_Alignas(16) char storage[256];

	(void)state;
	for (size_t from = 0; from < 32; from++)
		for (size_t size = 0; size < 64; size++) {
			struct tape_arena arena;
			tape_arena_init(&arena, storage + from, size, PLENTY);
			for (size_t i = 0; i < 8; i++) {
				char *memory = tape_arena_get(&arena, 1 + i);
				assert_non_null(memory);
				assert_true(is_aligned(memory));
				if (memory >= storage && memory < storage + sizeof(storage)) {
					assert_true(memory >= storage + from);
					assert_true(memory + 1 + i <= storage + from + size);
				}
				memset(memory, 1, 1 + i);
			}
			tape_arena_done(&arena);
		}
}

/* An empty list is not a lack of memory. */
static void nothing_can_be_allocated(void **state)
{
	struct tape_arena arena;

	(void)state;
	tape_arena_init(&arena, NULL, 0, PLENTY);
	assert_non_null(tape_arena_get(&arena, 0));
	assert_non_null(tape_arena_array(&arena, 0, 100));
	assert_non_null(tape_arena_array(&arena, 100, 0));
	const char *empty = tape_arena_copy(&arena, NULL, 0);
	assert_string_equal(empty, "");
	assert_false(arena.failed);
	size_t used = arena.used;
	for (size_t i = 0; i < 100; i++)
		assert_non_null(tape_arena_get(&arena, 0));
	assert_int_equal(arena.used, used);
	tape_arena_done(&arena);
}

static void the_limit_holds(void **state)
{
	struct tape_arena arena;
	size_t given = 0;

	(void)state;
	tape_arena_init(&arena, NULL, 0, 256 * KIB);
	while (tape_arena_get(&arena, KIB) != NULL)
		given += KIB;
	assert_true(arena.failed);
	assert_true(arena.used <= 256 * KIB);
	/* Nearly all of it is the caller's. */
	assert_in_range(given, 200 * KIB, 256 * KIB);
	tape_arena_reset(&arena);
	assert_false(arena.failed);
	assert_non_null(tape_arena_get(&arena, 100 * KIB));
	assert_null(tape_arena_get(&arena, 200 * KIB));
	assert_true(arena.failed);
	/* What fits is still given, and the failure is remembered. */
	assert_non_null(tape_arena_get(&arena, 100));
	assert_true(arena.failed);
	tape_arena_done(&arena);
	assert_false(arena.failed);
	assert_int_equal(arena.used, 0);
}

static void absurd_sizes_are_refused(void **state)
{
	static const size_t sizes[] = { SIZE_MAX,      SIZE_MAX - 1,  SIZE_MAX - 15,
		                        SIZE_MAX - 16, SIZE_MAX - 17, SIZE_MAX - 64 * KIB };
	struct tape_arena arena;

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(sizes); i++) {
		tape_arena_init(&arena, NULL, 0, SIZE_MAX);
		assert_null(tape_arena_get(&arena, sizes[i]));
		assert_true(arena.failed);
		tape_arena_done(&arena);
	}
	tape_arena_init(&arena, NULL, 0, SIZE_MAX);
	assert_null(tape_arena_array(&arena, SIZE_MAX / 2 + 1, 2));
	assert_null(tape_arena_array(&arena, SIZE_MAX / 3, 4));
	assert_null(tape_arena_copy(&arena, "", SIZE_MAX));
	assert_true(arena.failed);
	assert_int_equal(arena.used, 0);
	tape_arena_done(&arena);
}

/* A limit of any number of bytes: an allocation fails or is whole. */
static void every_limit_is_survived(void **state)
{
	(void)state;
	for (size_t limit = 0; limit < 200 * KIB; limit += 509) {
		struct tape_arena arena;
		bool refused = false;
		tape_arena_init(&arena, NULL, 0, limit);
		for (size_t i = 1; i < 60; i++) {
			size_t size = i * 331 % 7000;
			void *memory = tape_arena_get(&arena, size);
			if (memory != NULL)
				memset(memory, 0xff, size);
			refused |= memory == NULL;
			assert_int_equal(arena.failed, refused);
			assert_true(arena.used <= limit);
		}
		tape_arena_done(&arena);
	}
}

static void a_large_block_leaves_the_chunk_in_use(void **state)
{
	struct tape_arena arena;

	(void)state;
	tape_arena_init(&arena, NULL, 0, PLENTY);
	char *first = tape_arena_get(&arena, 64);
	assert_non_null(tape_arena_get(&arena, 100 * KIB));
	char *second = tape_arena_get(&arena, 64);
	assert_ptr_equal(second, first + 64);
	tape_arena_done(&arena);
}

/* An item like the last one costs no system call. */
static void a_chunk_is_kept(void **state)
{
	struct tape_arena arena;

	(void)state;
	tape_arena_init(&arena, NULL, 0, PLENTY);
	char *first = tape_arena_get(&arena, 64);
	for (size_t i = 0; i < 100; i++)
		assert_non_null(tape_arena_get(&arena, KIB));
	assert_non_null(tape_arena_get(&arena, 500 * KIB));
	tape_arena_reset(&arena);
	assert_ptr_equal(tape_arena_get(&arena, 64), first);
	assert_in_range(arena.used, 1, 64 * KIB);
	tape_arena_done(&arena);
}

static void copies_end_with_a_zero(void **state)
{
	struct tape_arena arena;

	(void)state;
	tape_arena_init(&arena, NULL, 0, PLENTY);
	const char *copy = tape_arena_copy(&arena, "text that goes on", 4);
	assert_string_equal(copy, "text");
	const char *zero = tape_arena_copy(&arena, "a\0b", 3);
	assert_memory_equal(zero, "a\0b\0", 4);
	tape_arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_do_not_overlap),
		cmocka_unit_test(storage_is_used_first),
		cmocka_unit_test(any_storage_will_do),
		cmocka_unit_test(nothing_can_be_allocated),
		cmocka_unit_test(the_limit_holds),
		cmocka_unit_test(absurd_sizes_are_refused),
		cmocka_unit_test(every_limit_is_survived),
		cmocka_unit_test(a_large_block_leaves_the_chunk_in_use),
		cmocka_unit_test(a_chunk_is_kept),
		cmocka_unit_test(copies_end_with_a_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
