/* SPDX-License-Identifier: MIT
 *
 * core/buf.h: what is put comes out, the limit holds, and a failure stays.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/buf.h"
#include "tests/unit/support/generate-values.h"

#define PLENTY ((size_t)64 << 20)

static void assert_holds(struct tape_buf *buf, const char *text)
{
	assert_false(buf->failed);
	assert_int_equal(buf->length, strlen(text));
	assert_memory_equal(buf->data, text, buf->length);
	buf->length = 0;
}

/* ---- growing -------------------------------------------------------------------------------- */

static void it_grows_and_keeps_what_it_holds(void **state)
{
	static const size_t storages[] = { 0, 1, 15, 100, 40000, 70000 };
	static char storage[70000];

	(void)state;
	for (size_t s = 0; s < TAPE_ARRAY_SIZE(storages); s++) {
		struct tape_buf buf;
		tape_buf_init(&buf, storages[s] == 0 ? NULL : storage, storages[s], PLENTY);
		for (size_t i = 0; i < 300000; i++)
			tape_put_char(&buf, (char)i);
		assert_false(buf.failed);
		assert_int_equal(buf.length, 300000);
		for (size_t i = 0; i < buf.length; i++)
			assert_int_equal(buf.data[i], (char)i);
		tape_buf_done(&buf);
		assert_int_equal(buf.length, 0);
		TAPE_PUT(&buf, "again");
		assert_holds(&buf, "again");
		tape_buf_done(&buf);
	}
}

static void any_size_is_copied(void **state)
{
	struct tape_buf buf;
	char from[100];

	(void)state;
	for (size_t i = 0; i < sizeof(from); i++)
		from[i] = (char)('!' + i % 90);
	tape_buf_init(&buf, NULL, 0, PLENTY);
	for (size_t size = 0; size < sizeof(from); size++) {
		/* From memory that ends where it ends, so that nobody reads on. */
		char *exact = malloc(size == 0 ? 1 : size);
		assert_non_null(exact);
		memcpy(exact, from, size);
		TAPE_PUT(&buf, "<");
		tape_put(&buf, exact, size);
		TAPE_PUT(&buf, ">");
		assert_int_equal(buf.length, size + 2);
		assert_int_equal(buf.data[0], '<');
		assert_memory_equal(buf.data + 1, from, size);
		assert_int_equal(buf.data[size + 1], '>');
		buf.length = 0;
		free(exact);
	}
	tape_buf_done(&buf);
}

/* Whatever the limit and the storage: never more than the limit, and no failure below it. */
static void the_limit_is_hard(void **state)
{
	static const size_t limits[] = { 0, 1, 10, 100, 4096, 5000, 65536, 65537, 100000, 200000 };
	static const size_t storages[] = { 0, 8, 100, 6000 };
	static char storage[6000];

	(void)state;
	for (size_t l = 0; l < TAPE_ARRAY_SIZE(limits); l++)
		for (size_t s = 0; s < TAPE_ARRAY_SIZE(storages); s++) {
			struct tape_buf buf;
			tape_buf_init(&buf, storages[s] == 0 ? NULL : storage, storages[s],
			              limits[l]);
			for (size_t i = 0; i < 210000; i++) {
				tape_put_char(&buf, 'x');
				assert_true(buf.length <= limits[l]);
				assert_int_equal(buf.failed, i >= limits[l]);
			}
			assert_int_equal(buf.length, limits[l]);
			tape_buf_done(&buf);
			assert_false(buf.failed);
		}
}

static void a_failure_stays(void **state)
{
	struct tape_buf buf;
	char text[200];

	(void)state;
	memset(text, 'a', sizeof(text));
	tape_buf_init(&buf, NULL, 0, 100);
	tape_put(&buf, text, 60);
	assert_false(buf.failed);
	tape_put(&buf, text, 60);
	assert_true(buf.failed);
	assert_int_equal(buf.length, 60);
	tape_put(&buf, text, 10);
	tape_put_decimal(&buf, 5);
	assert_true(buf.failed);
	assert_true(buf.length <= 100);
	tape_buf_done(&buf);
	assert_false(buf.failed);
}

static void absurd_sizes_fail(void **state)
{
	struct tape_buf buf;

	(void)state;
	tape_buf_init(&buf, NULL, 0, PLENTY);
	assert_false(tape_buf_grow(&buf, SIZE_MAX));
	assert_true(buf.failed);
	tape_buf_done(&buf);
	TAPE_PUT(&buf, "x");
	tape_put_hex(&buf, "", SIZE_MAX / 2 + 1);
	assert_true(buf.failed);
	tape_buf_done(&buf);
	tape_put_hex(&buf, "", SIZE_MAX / 2 - 5);
	assert_true(buf.failed);
	assert_int_equal(buf.length, 0);
	tape_buf_done(&buf);
}

/* Everything that is put, under every limit from nothing to enough. */
static void every_limit_is_survived(void **state)
{
	static const unsigned char bytes[40] = { 0xff, 1, 2 };
	size_t whole = 0;

	(void)state;
	for (size_t limit = 300; limit-- > 0;) {
		struct tape_buf buf;
		char storage[16];
		tape_buf_init(&buf, storage, sizeof(storage), limit);
		TAPE_PUT(&buf, "literal ");
		tape_put_text(&buf, "text ");
		tape_put_decimal(&buf, UINT64_MAX);
		tape_put_decimal(&buf, 0);
		tape_put_seconds(&buf, 1234567890123, 6);
		tape_put_seconds(&buf, 12, 9);
		tape_put_hexadecimal(&buf, UINT64_MAX);
		tape_put_hex(&buf, bytes, sizeof(bytes));
		tape_put_quoted(&buf, "a\"b\\", 4);
		tape_put_quoted_lossy(&buf, "a\xff\"\n", 4);
		tape_put_char(&buf, '.');
		assert_true(buf.length <= limit);
		if (whole == 0)
			whole = buf.length;
		assert_int_equal(buf.failed, limit < whole);
		tape_buf_done(&buf);
	}
	assert_int_equal(whole, 8 + 5 + 20 + 1 + 11 + 11 + 18 + 80 + 8 + 11 + 1);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void numbers_are_those_of_printf(void **state)
{
	struct tape_buf buf;
	struct dice dice = { 7 };
	char text[64];

	(void)state;
	tape_buf_init(&buf, NULL, 0, PLENTY);
	for (size_t i = 0; i < 200000; i++) {
		uint64_t number = dice_roll(&dice) >> dice_pick(&dice, 64);
		if (i < 2000)
			number = i;
		else if (i < 2040)
			number = (UINT64_C(1) << i % 64) - i % 2;
		tape_put_decimal(&buf, number);
		snprintf(text, sizeof(text), "%" PRIu64, number);
		assert_holds(&buf, text);
		tape_put_hexadecimal(&buf, number);
		snprintf(text, sizeof(text), "0x%" PRIx64, number);
		assert_holds(&buf, text);
		tape_put_seconds(&buf, number, 9);
		snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64, number / 1000000000,
		         number % 1000000000);
		assert_holds(&buf, text);
		tape_put_seconds(&buf, number, 6);
		snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64, number / 1000000000,
		         number % 1000000000 / 1000);
		assert_holds(&buf, text);
	}
	for (uint64_t power = 1; power < UINT64_MAX / 10; power *= 10) {
		tape_put_decimal(&buf, power - 1);
		snprintf(text, sizeof(text), "%" PRIu64, power - 1);
		assert_holds(&buf, text);
		tape_put_decimal(&buf, power);
		snprintf(text, sizeof(text), "%" PRIu64, power);
		assert_holds(&buf, text);
	}
	tape_buf_done(&buf);
}

static void hex_of_any_length(void **state)
{
	struct tape_buf buf;
	unsigned char bytes[200];
	char text[2 * sizeof(bytes) + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7 + 3);
	tape_buf_init(&buf, NULL, 0, PLENTY);
	for (size_t from = 0; from < 17; from++)
		for (size_t size = 0; from + size <= sizeof(bytes); size++) {
			for (size_t i = 0; i < size; i++)
				snprintf(text + 2 * i, 3, "%02x", bytes[from + i]);
			text[2 * size] = 0;
			tape_put_hex(&buf, bytes + from, size);
			assert_holds(&buf, text);
		}
	for (unsigned int i = 0; i < 256; i++) {
		unsigned char byte[16];
		memset(byte, (int)i, sizeof(byte));
		tape_put_hex(&buf, byte, sizeof(byte));
		snprintf(text, sizeof(text), "%02x", i);
		assert_int_equal(buf.length, 32);
		for (size_t j = 0; j < 32; j += 2)
			assert_memory_equal(buf.data + j, text, 2);
		buf.length = 0;
	}
	tape_buf_done(&buf);
}

/* ---- text ----------------------------------------------------------------------------------- */

static size_t encode(uint32_t code, char *to)
{
	if (code < 0x80) {
		to[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		to[0] = (char)(0xc0 | code >> 6);
		to[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		to[0] = (char)(0xe0 | code >> 12);
		to[1] = (char)(0x80 | (code >> 6 & 0x3f));
		to[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | code >> 18);
	to[1] = (char)(0x80 | (code >> 12 & 0x3f));
	to[2] = (char)(0x80 | (code >> 6 & 0x3f));
	to[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* As the header says it. */
static bool should_be_plain(uint32_t code)
{
	if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		return false;
	if (code == 0x2028 || code == 0x2029 || code == 0xfeff)
		return false;
	if (code >= 0xd800 && code < 0xe000)
		return false;
	return code <= 0x10ffff && (code & 0xffff) < 0xfffe;
}

static void every_character_is_plain_or_not(void **state)
{
	char text[12];

	(void)state;
	for (uint32_t code = 0; code < 0x1fffff; code++) {
		size_t size = encode(code, text);
		assert_int_equal(tape_text_is_plain(text, size), should_be_plain(code));
		if (code % 7 != 0)
			continue;
		/* Cut, and between others. */
		for (size_t cut = 1; cut < size; cut++)
			assert_false(tape_text_is_plain(text, cut));
		memmove(text + 2, text, size);
		text[0] = 'a';
		text[1] = '"';
		text[2 + size] = 'c';
		assert_int_equal(tape_text_is_plain(text, size + 3), should_be_plain(code));
	}
	assert_true(tape_text_is_plain("", 0));
}

/* All pairs and many triples of bytes: no sequence passes that is not the shortest one. */
static void ill_formed_text_is_not_plain(void **state)
{
	(void)state;
	for (unsigned int a = 0x80; a < 0x100; a++)
		for (unsigned int b = 0; b < 0x100; b++) {
			char pair[] = { (char)a, (char)b };
			uint32_t code = (a & 0x1f) << 6 | (b & 0x3f);
			bool formed = a >= 0xc2 && a < 0xe0 && (b & 0xc0) == 0x80;
			assert_int_equal(tape_text_is_plain(pair, 2),
			                 formed && should_be_plain(code));
			for (unsigned int c = 0; a >= 0xe0 && a < 0xf0 && c < 0x100; c++) {
				char triple[] = { (char)a, (char)b, (char)c };
				code = (a & 0xf) << 12 | (b & 0x3f) << 6 | (c & 0x3f);
				formed = (b & 0xc0) == 0x80 && (c & 0xc0) == 0x80 && code >= 0x800;
				assert_int_equal(tape_text_is_plain(triple, 3),
				                 formed && should_be_plain(code));
			}
		}
}

static void quotes_and_backslashes_are_escaped(void **state)
{
	static const char *const texts[][2] = {
		{ "", "\"\"" },
		{ "a", "\"a\"" },
		{ "\"", "\"\\\"\"" },
		{ "\\", "\"\\\\\"" },
		{ "\\\"\\", "\"\\\\\\\"\\\\\"" },
		{ "a\"b\\c", "\"a\\\"b\\\\c\"" },
		{ "\xc3\xa4/'", "\"\xc3\xa4/'\"" },
		{ "a long text with \"quotes\" that goes on and on and on",
		  "\"a long text with \\\"quotes\\\" that goes on and on and on\"" },
	};
	struct tape_buf buf;

	(void)state;
	tape_buf_init(&buf, NULL, 0, PLENTY);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(texts); i++) {
		tape_put_quoted(&buf, texts[i][0], strlen(texts[i][0]));
		assert_holds(&buf, texts[i][1]);
		tape_put_quoted_lossy(&buf, texts[i][0], strlen(texts[i][0]));
		assert_holds(&buf, texts[i][1]);
	}
	tape_put_quoted_lossy(&buf, "a\0\n\xff\xc3z\xe2\x80\xa8", 9);
	assert_holds(&buf,
	             "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd"
	             "\xef\xbf\xbd\"");
	tape_buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_grows_and_keeps_what_it_holds),
		cmocka_unit_test(any_size_is_copied),
		cmocka_unit_test(the_limit_is_hard),
		cmocka_unit_test(a_failure_stays),
		cmocka_unit_test(absurd_sizes_fail),
		cmocka_unit_test(every_limit_is_survived),
		cmocka_unit_test(numbers_are_those_of_printf),
		cmocka_unit_test(hex_of_any_length),
		cmocka_unit_test(every_character_is_plain_or_not),
		cmocka_unit_test(ill_formed_text_is_not_plain),
		cmocka_unit_test(quotes_and_backslashes_are_escaped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
