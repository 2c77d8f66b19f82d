/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/map.h"

/* Numbers are found as they were put last, however many there are and come and go. */
static void what_was_put_last_is_found(void **state)
{
	struct tape_map map = { 0 };
	uint64_t to = 77;
	(void)state;
	assert_false(tape_map_get(&map, 1, &to));
	tape_map_remove(&map, 1);
	for (uint64_t round = 0; round < 50; round++) {
		for (uint64_t i = 0; i < 1000; i++)
			assert_true(tape_map_put(&map, i * round, i + round));
		for (uint64_t i = 0; i < 1000; i++) {
			uint64_t last = round == 0 ? 999 : i;
			assert_true(tape_map_get(&map, i * round, &to));
			assert_int_equal(to, last + round);
		}
		for (uint64_t i = 0; i < 1000; i++)
			tape_map_remove(&map, i * round);
		assert_int_equal(map.count, 0);
		assert_false(tape_map_get(&map, round, &to));
	}
	/* What was removed makes room again. */
	assert_true(map.room <= 8192);
	assert_true(tape_map_put(&map, 0, 1));
	tape_map_clear(&map);
	assert_false(tape_map_get(&map, 0, &to));
	tape_map_done(&map);
	assert_false(tape_map_get(&map, 0, &to));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_put_last_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
