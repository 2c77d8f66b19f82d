/* SPDX-License-Identifier: MIT
 *
 * How a replay takes its time: the words, and what they make of durations.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/pace.h"

static void test_words(void **state)
{
	static const struct {
		const char *word;
		uint64_t millionths;
	} good[] = { { "none", 0 },        { "recorded", 1000000 }, { "x1", 1000000 },
		     { "x0.1", 100000 },   { "x10", 10000000 },     { "x0", 0 },
		     { "x0.000001", 1 },   { "x1000", 1000000000 }, { "x2.5", 2500000 },
		     { "x01.50", 1500000 } };
	static const char *const bad[] = { "",     "x",     "x.5",  "x1.",    "x1.0.0",
		                           "0.1",  "x1001", "x-1",  "xx1",    "x0.0000001",
		                           "x1e3", "x 1",   "None", "record", "x1000.1" };
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct tape_error error = { 0 };
		uint64_t millionths = 77;
		assert_int_equal(tape_pace_read(good[i].word, &millionths, &error), 0);
		assert_int_equal(millionths, good[i].millionths);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tape_error error = { 0 };
		uint64_t millionths;
		assert_true(tape_pace_read(bad[i], &millionths, &error) < 0);
		assert_true(error.sentence[0] != 0);
	}
}

static void test_durations(void **state)
{
	(void)state;
	assert_int_equal(tape_pace_of(0, UINT64_MAX), 0);
	assert_int_equal(tape_pace_of(1000000, 1234567890123), 1234567890123);
	assert_int_equal(tape_pace_of(100000, 1234567890), 123456789);
	assert_int_equal(tape_pace_of(1000000000, 86400000000000), 86400000000000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_durations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
