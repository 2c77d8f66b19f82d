/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/mapping.h"

static struct tape_swaps swaps;
static struct tape_arena arena;

static int begin(void **state)
{
	(void)state;
	tape_arena_init(&arena, NULL, 0, (size_t)1 << 20);
	return 0;
}

static int end(void **state)
{
	(void)state;
	tape_arena_done(&arena);
	tape_swaps_clear(&swaps);
	return 0;
}

static void expect(const char *recorded, const char *live)
{
	const void *found = NULL;
	size_t length = 0;
	bool any = tape_swaps_find(&swaps, &arena, recorded, strlen(recorded), &found, &length);
	assert_int_equal(any, live != NULL);
	if (live == NULL) {
		assert_null(found);
		assert_int_equal(length, 0);
		return;
	}
	assert_int_equal(length, strlen(live));
	assert_memory_equal(found, live, length);
}

static void add(const char *recorded, const char *live)
{
	assert_true(tape_swaps_add(&swaps, recorded, strlen(recorded), live, strlen(live)));
}

static void test_whole(void **state)
{
	(void)state;
	expect("signature", NULL);
	add("signature", "SIGNATURE");
	expect("signature", "SIGNATURE");
	expect("signatur", NULL);
	/* Another length, and the newest of equal ones. */
	add("signature", "another one");
	expect("signature", "another one");
	assert_true(tape_swaps_has(&swaps, "signature", 9, "SIGNATURE", 9));
	assert_false(tape_swaps_has(&swaps, "signature", 9, "signature", 9));
	/* Too short to be told from chance. */
	add("seven b", "SEVEN B");
	expect("seven b", NULL);
}

static void test_parts(void **state)
{
	(void)state;
	add("<the point of a key>", "<THE POINT OF A KEY>");
	expect("the point of a key", "THE POINT OF A KEY");
	expect("the point of a", NULL);
	add("part one", "PART ONE");
	add("part two", "PART TWO");
	expect("part one, part two, and part one", "PART ONE, PART TWO, and PART ONE");
	/* Parts of what has another length are nowhere. */
	add("part three", "III");
	expect("part three", "III");
	expect("and part three", NULL);
}

/* So many are remembered, and no more. */
static void test_many(void **state)
{
	char recorded[32];
	char live[32];
	(void)state;
	for (int i = 0; i < 2 * TAPE_SWAPS; i++) {
		snprintf(recorded, sizeof(recorded), "recorded %05d", i);
		snprintf(live, sizeof(live), "live %05d", i);
		add(recorded, live);
	}
	expect("recorded 00000", NULL);
	expect(recorded, live);
	expect("recorded 00256", "live 00256");
	expect("recorded 00255", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, begin, end),
		cmocka_unit_test_setup_teardown(test_parts, begin, end),
		cmocka_unit_test_setup_teardown(test_many, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
