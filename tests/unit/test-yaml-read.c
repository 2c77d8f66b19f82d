/* SPDX-License-Identifier: MIT
 *
 * core/yaml_read.h: any spelling of a sequence is read, with its lines; what is no trace is refused in one
 * sentence with the line; and a file that was cut anywhere is read up to its last whole line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/yaml_read.h"
#include "tests/unit/support/text.h"

#define PLENTY ((size_t)1 << 30)

struct reading {
	struct tape_arena arena;
	struct tape_yaml *yaml;
	struct tape_node *item;
	struct tape_error error;
	int fd;
};

static void start_at(struct reading *r, const char *text, size_t length, uint64_t begin,
                     uint64_t end, size_t line)
{
	memset(r, 0, sizeof(*r));
	tape_arena_init(&r->arena, NULL, 0, PLENTY);
	r->fd = text_file(text, length);
	assert_int_equal(tape_yaml_open(&r->yaml, r->fd, begin, end, line, &r->error), 0);
}

static void start(struct reading *r, const char *text)
{
	start_at(r, text, strlen(text), 0, UINT64_MAX, 1);
}

static int next(struct reading *r)
{
	return tape_yaml_next(r->yaml, &r->arena, &r->item, &r->error);
}

static void stop(struct reading *r)
{
	tape_yaml_close(r->yaml);
	tape_arena_done(&r->arena);
	close(r->fd);
}

/* Read all items; the last result. */
static int read_all(struct reading *r, size_t *ret_items)
{
	int result;

	*ret_items = 0;
	while ((result = next(r)) == 1)
		++*ret_items;
	return result;
}

/* ---- reading -------------------------------------------------------------------------------- */

static void assert_scalar(const struct tape_node *node, const char *text, bool quoted, size_t line)
{
	assert_non_null(node);
	assert_int_equal(node->type, TAPE_NODE_SCALAR);
	assert_string_equal(node->text, text);
	assert_int_equal(node->length, strlen(text));
	assert_int_equal(node->quoted, quoted);
	assert_int_equal(node->line, line);
}

static void an_item_is_what_it_says(void **state)
{
	struct reading r;

	(void)state;
	start(&r, "- {\"call\": \"C_Sign\", \"id\": 58, \"in\": {\"a\": [1, \"2\", null], \"b\": "
	          "\"\\u00e4\\\"\"}}\n"
	          "- word\n"
	          "- []\n");
	assert_int_equal(next(&r), 1);
	assert_int_equal(r.item->type, TAPE_NODE_MAPPING);
	assert_int_equal(r.item->count, 3);
	assert_int_equal(r.item->line, 1);
	assert_scalar(tape_node_get(r.item, "call"), "C_Sign", true, 1);
	assert_scalar(tape_node_get(r.item, "id"), "58", false, 1);
	const struct tape_node *in = tape_node_get(r.item, "in");
	const struct tape_node *list = tape_node_get(in, "a");
	assert_int_equal(list->type, TAPE_NODE_SEQUENCE);
	assert_int_equal(list->count, 3);
	assert_scalar(list->first, "1", false, 1);
	assert_scalar(list->first->next, "2", true, 1);
	assert_true(tape_node_is_null(list->last));
	assert_null(list->last->next);
	assert_scalar(tape_node_get(in, "b"), "\xc3\xa4\"", true, 1);
	assert_null(tape_node_get(in, "c"));
	assert_null(tape_node_get(list, "a"));
	assert_int_equal(next(&r), 1);
	assert_scalar(r.item, "word", false, 2);
	assert_int_equal(next(&r), 1);
	assert_int_equal(r.item->type, TAPE_NODE_SEQUENCE);
	assert_int_equal(r.item->count, 0);
	assert_int_equal(r.item->line, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(next(&r), 0);
	stop(&r);
}

/* Both spellings, and others, are one tree. */
static void any_spelling_is_read(void **state)
{
	static const char *const texts[] = {
		"- {\"call\": \"C_Sign\", \"id\": 58, \"in\": {\"x\": [{\"a\": \"b\"}]}}\n",
		"- call: C_Sign\n  id: 58\n  in:\n    x:\n    - {a: b}\n",
		"---\n-   call: 'C_Sign'\n    id:   58\n    in: {x: [{a: b}]}\n...\n",
		"# a comment\n[{call: C_Sign, id: 58, in: {x: [{a: b}]}}]\n",
		"- call: |-\n    C_Sign\n  id: 58 # seconds\n  in: {\n    x: [ {a:\n   b} ] }\n",
		"%YAML 1.1\n---\n- ? call\n  : C_Sign\n  ? id\n  : 58\n  ? in\n  : x: [a: b]\n",
		"- {call: C_Sign, id: 58, in: {x: [{a: b}]}}",
		"- call: C_Sign\r\n  id: 58\r\n  in: {x: [{a: b}]}\r\n",
		"\xef\xbb\xbf- {call: C_Sign, id: 58, in: {x: [{a: b}]}}\n",
	};

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(texts); i++) {
		struct reading r;
		start(&r, texts[i]);
		if (next(&r) != 1)
			fail_msg("spelling %zu: %s", i, r.error.sentence);
		assert_true(tape_node_is(tape_node_get(r.item, "call"), "C_Sign"));
		assert_true(tape_node_is(tape_node_get(r.item, "id"), "58"));
		const struct tape_node *x = tape_node_get(tape_node_get(r.item, "in"), "x");
		assert_int_equal(x->count, 1);
		assert_true(tape_node_is(tape_node_get(x->first, "a"), "b"));
		assert_int_equal(next(&r), 0);
		stop(&r);
	}
}

static void lines_are_counted(void **state)
{
	struct reading r;

	(void)state;
	start(&r, "# one\n- a: 1\n  b:\n  - 2\n\n  - 3\n- c: 4\n");
	assert_int_equal(next(&r), 1);
	assert_int_equal(r.item->line, 2);
	const struct tape_node *b = tape_node_get(r.item, "b");
	assert_int_equal(b->first->line, 4);
	assert_int_equal(b->last->line, 6);
	assert_int_equal(next(&r), 1);
	assert_int_equal(r.item->line, 7);
	stop(&r);
}

static void a_piece_of_a_file_is_read(void **state)
{
	static const char text[] = "- one\n- two\n- three\n- four\n";
	struct reading r;

	(void)state;
	start_at(&r, text, sizeof(text) - 1, 6, 20, 2);
	assert_int_equal(next(&r), 1);
	assert_scalar(r.item, "two", false, 2);
	assert_int_equal(next(&r), 1);
	assert_scalar(r.item, "three", false, 3);
	assert_int_equal(next(&r), 0);
	assert_int_equal(tape_yaml_end_line(r.yaml), 4);
	stop(&r);
}

static void nothing_is_no_item(void **state)
{
	static const char *const texts[] = { "",           "\n\n", "# only a comment\n",
		                             "---\n...\n", "[]\n", "--- []\n" };

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(texts); i++) {
		struct reading r;
		start(&r, texts[i]);
		int result = next(&r);
		/* A document with nothing in it holds a null, which is no sequence. */
		if (result < 0)
			assert_string_equal(r.error.sentence,
			                    "a trace is a sequence: '- ' is expected");
		else
			assert_int_equal(result, 0);
		stop(&r);
	}
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void refused(const char *text, size_t length, size_t good, size_t line, const char *sentence)
{
	struct reading r;
	size_t items;

	start_at(&r, text, length, 0, UINT64_MAX, 1);
	int result = read_all(&r, &items);
	if (result >= 0 || items != good || r.error.line != line ||
	    strstr(r.error.sentence, sentence) == NULL)
		fail_msg("%.60s…: %d after %zu items, line %zu: %s", text, result, items,
		         r.error.line, r.error.sentence);
	assert_int_equal(r.error.code, -result);
	assert_null(strchr(r.error.sentence, '\n'));
	stop(&r);
}

static void what_is_no_trace_is_refused(void **state)
{
	static const struct {
		const char *text;
		size_t items, line;
		const char *sentence;
	} cases[] = {
		{ "a: 1\n", 0, 1, "a trace is a sequence" },
		{ "\nword\n", 0, 2, "a trace is a sequence" },
		{ "- a\n--- \n- b\n", 1, 2, "a trace is one YAML document" },
		{ "- a\n...\n---\n- b\n", 1, 3, "a trace is one YAML document" },
		{ "- a\n- &x b\n", 1, 2, "no anchors and no tags" },
		{ "- a\n- b\n- *x\n", 2, 3, "no aliases" },
		{ "- !tag a\n", 0, 1, "no anchors and no tags" },
		{ "- a\n- !!str b\n", 1, 2, "no anchors and no tags" },
		{ "- a\n- {k: &x v}\n", 1, 2, "no anchors and no tags" },
		{ "- a\n- {&x k: v}\n", 1, 2, "no anchors and no tags" },
		{ "- a\n- [b, !t [c]]\n", 1, 2, "no anchors and no tags" },
		{ "- a\n- {b: !t {c: d}}\n", 1, 2, "no anchors and no tags" },
		{ "- {a: 1, b: *a}\n", 0, 1, "no aliases" },
		{ "- {a: 1,\n   a: 2}\n", 0, 2, "the key 'a' stands twice" },
		{ "- a: 1\n  b: 2\n  a: 3\n", 0, 3, "the key 'a' stands twice" },
		{ "- {\"\": 1, \"\": 2}\n", 0, 1, "the key '' stands twice" },
		{ "- {[a]: 1}\n", 0, 1, "key must be a scalar" },
		{ "- {{a: b}: 1}\n", 0, 1, "key must be a scalar" },
		{ "- {\"a\\0b\": 1}\n", 0, 1, "a key holds a zero byte" },
		{ "- a\n- {\"a\": 1\n", 1, 3, "not YAML" },
		{ "- a\n- {\"a\": \"1\n", 1, 3, "not YAML" },
		{ "- a\n- }\n", 1, 2, "not YAML" },
		{ "- a\n- [1, 2\n- b\n", 1, 4, "what begins on line 2" },
		{ "- a\n\t- b\n", 0, 2, "not YAML" },
		{ "- a\nb\n", 1, 3, "what begins on line 2" },
		{ "- {a: 1} x\n", 1, 1, "not YAML" },
		{ "- @a\n", 0, 1, "not YAML" },
		{ "- \"\\q\"\n", 0, 1, "not YAML" },
		{ "- a\n- b\x01\n", 0, 2, "not text that YAML allows" },
		{ "- a\n- b\xff\n", 0, 2, "not text that YAML allows" },
		{ "- a\n- \"\xc3(\"\n", 0, 2, "not text that YAML allows" },
		{ "- a\n- \"\xed\xa0\x80\"\n", 0, 2, "not text that YAML allows" },
		{ "- \"\xf4\x90\x80\x80\"\n", 0, 1, "not text that YAML allows" },
		{ "- \"\xc3", 0, 1, "not text that YAML allows" },
	};

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(cases); i++)
		refused(cases[i].text, strlen(cases[i].text), cases[i].items, cases[i].line,
		        cases[i].sentence);
	refused("- a\n- b\0c\n", 10, 0, 2, "not text that YAML allows");
	refused("\0", 1, 0, 1, "not text that YAML allows");
	/* Another encoding is binary junk. */
	refused("\xff\xfe-\0 \0a\0", 8, 0, 1, "not text that YAML allows");
}

/* Some kilobytes of anything: an error or an end, never a crash. */
static void junk_does_no_harm(void **state)
{
	char junk[4096];
	uint64_t dice = 88172645463325252;

	(void)state;
	for (size_t round = 0; round < 3000; round++) {
		struct reading r;
		size_t items;
		size_t length = round % sizeof(junk);
		for (size_t i = 0; i < length; i++) {
			static const char likely[] = "- {}[]\",:\n abc01\\&*!|>%#?'~\t";
			dice ^= dice << 13;
			dice ^= dice >> 7;
			dice ^= dice << 17;
			if (round % 3 == 0)
				junk[i] = (char)(dice >> 30);
			else
				junk[i] = likely[(dice >> 30) % (sizeof(likely) - 1)];
		}
		start_at(&r, junk, length, 0, UINT64_MAX, 1);
		if (read_all(&r, &items) < 0)
			assert_true(r.error.sentence[0] != 0 && r.error.line != 0);
		stop(&r);
	}
}

/* ---- limits --------------------------------------------------------------------------------- */

static char *repeat(const char *before, const char *piece, size_t times, const char *after)
{
	size_t length = strlen(before) + times * strlen(piece) + strlen(after) + 1;
	char *text = malloc(length);
	char *at = text;

	assert_non_null(text);
	at = stpcpy(at, before);
	for (size_t i = 0; i < times; i++)
		at = stpcpy(at, piece);
	stpcpy(at, after);
	return text;
}

static void accepted(char *text)
{
	struct reading r;
	size_t items;

	start(&r, text);
	if (read_all(&r, &items) != 0)
		fail_msg("%.40s…: %s", text, r.error.sentence);
	assert_int_equal(items, 1);
	stop(&r);
	free(text);
}

static void refused_and_freed(char *text, size_t line, const char *sentence)
{
	refused(text, strlen(text), 0, line, sentence);
	free(text);
}

static void depth_is_limited(void **state)
{
	char closing[TAPE_YAML_MAX_DEPTH + 2] = { 0 };

	(void)state;
	memset(closing, ']', TAPE_YAML_MAX_DEPTH);
	accepted(repeat("- ", "[", TAPE_YAML_MAX_DEPTH, closing));
	closing[TAPE_YAML_MAX_DEPTH] = ']';
	refused_and_freed(repeat("- ", "[", TAPE_YAML_MAX_DEPTH + 1, closing), 1,
	                  "nested too deep");
	refused_and_freed(repeat("\n- ", "[", 100000, ""), 2, "nested too deep");
	refused_and_freed(repeat("- ", "{a: ", 100000, ""), 1, "nested too deep");
	refused_and_freed(repeat("", "- ", 1000, "a\n"), 1, "nested too deep");
}

static void parts_are_limited(void **state)
{
	(void)state;
	accepted(repeat("- [", "0,", TAPE_YAML_MAX_NODES - 1, "]"));
	refused_and_freed(repeat("- [", "0,", TAPE_YAML_MAX_NODES, "]"), 1, "too many parts");
}

static void keys_are_limited(void **state)
{
	size_t length = TAPE_YAML_MAX_KEYS * 12 + 100;
	char *text = malloc(length);

	(void)state;
	assert_non_null(text);
	for (size_t keys = TAPE_YAML_MAX_KEYS; keys <= TAPE_YAML_MAX_KEYS + 1; keys++) {
		char *at = stpcpy(text, "- {");
		for (size_t i = 0; i < keys; i++)
			at += sprintf(at, "k%zu: 1,\n", i);
		stpcpy(at, "}\n");
		if (keys == TAPE_YAML_MAX_KEYS)
			accepted(strdup(text));
		else
			refused(text, strlen(text), 0, keys, "too many keys");
	}
	free(text);
}

static void memory_is_limited(void **state)
{
	char *text = repeat("- \"", "0123456789abcdef", 65536, "\"\n");
	struct reading r;

	(void)state;
	start(&r, text);
	tape_arena_done(&r.arena);
	tape_arena_init(&r.arena, NULL, 0, (size_t)512 * 1024);
	assert_int_equal(next(&r), -TAPE_E_LIMIT);
	assert_string_equal(r.error.sentence, "an item takes too much memory");
	assert_int_equal(r.error.line, 1);
	stop(&r);

	/* Every limit up to what is needed. */
	static const char small[] =
		"- {\"call\": \"C_Sign\", \"in\": {\"a\": [1, 2, {\"b\": \"c\"}]}}\n";
	bool good = false;
	for (size_t limit = 0; !good; limit += 64) {
		_Alignas(16) char storage[16384];
		start(&r, small);
		tape_arena_done(&r.arena);
		tape_arena_init(&r.arena, storage, limit, 0);
		good = next(&r) == 1;
		if (!good)
			assert_int_equal(r.error.code, TAPE_E_LIMIT);
		stop(&r);
		assert_true(limit < sizeof(storage));
	}
	free(text);
}

/* ---- torn tails ----------------------------------------------------------------------------- */

static const char small_trace[] =
	"- {\"p11tape\": 1, \"process\": {\"program\": \"x\"}, \"names\": {}}\n"
	"- {\"call\": \"C_Login\", \"id\": 1, \"in\": {\"hSession\": 1, \"pPin\": {\"secret\": "
	"\"pin-1\"}}}\n"
	"- {\"return\": 1, \"rv\": \"CKR_OK\"}\n"
	"- {\"call\": \"C_Sign\", \"id\": 2, \"in\": {\"a\": {\"text\": \"}\\\"{[\\\\\"}, \"b\": "
	"[[], [{}]]}}\n"
	"- {\"return\": 2, \"out\": {\"a\": {\"text\": \"\xc3\xa4\xf0\x9f\x94\x91 - {\"}}, \"rv\": "
	"\"0x80000001\"}\n"
	"- {\"end\": \"exit\", \"open\": []}\n";

/* What can be read of the first `length` bytes, and whether the rest of a line was left out. */
static size_t read_cut(const char *text, size_t length, bool *ret_torn)
{
	struct reading r;
	uint64_t end;
	size_t items;

	int fd = text_file(text, length);
	memset(&r, 0, sizeof(r));
	assert_int_equal(tape_yaml_whole(fd, &end, ret_torn, &r.error), 0);
	assert_true(end <= length);
	close(fd);
	start_at(&r, text, length, 0, end, 1);
	if (read_all(&r, &items) != 0)
		fail_msg("cut at %zu: %s", length, r.error.sentence);
	stop(&r);
	return items;
}

static void a_trace_can_be_cut_anywhere(void **state)
{
	size_t lines = 0;
	size_t line = 0; /* where the last one begins */

	(void)state;
	for (size_t cut = 0; cut < sizeof(small_trace); cut++) {
		bool torn;
		if (cut != 0 && small_trace[cut - 1] == '\n') {
			lines++;
			line = cut;
		}
		bool complete = small_trace[cut] == '\n';
		size_t items = read_cut(small_trace, cut, &torn);
		if (items != lines + complete || torn != (cut != line && !complete))
			fail_msg("cut at %zu: %zu items of %zu whole lines, torn: %d", cut, items,
			         lines, torn);
	}
}

/* Lines longer than what is looked at in one go, and newlines at its edges. */
static void long_lines_can_be_cut(void **state)
{
	static const size_t sizes[] = { 65000, 65535 - 16,  65536 - 16, 65537 - 16,
		                        65536, 131072 - 16, 200000 };

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(sizes); i++) {
		char *text = repeat("- a\n- {\"hex\": \"", "0", sizes[i], "\"}\n");
		size_t length = strlen(text);
		for (size_t back = 0; back < 4; back++) {
			bool torn;
			size_t items = read_cut(text, length - back, &torn);
			assert_int_equal(items, back < 2 ? 2 : 1);
			assert_int_equal(torn, back >= 2);
		}
		for (size_t cut = 71; cut < length - 2; cut += 4099) {
			bool torn;
			assert_int_equal(read_cut(text, cut, &torn), 1);
			assert_true(torn);
		}
		free(text);
	}
}

/* What an editor leaves without its last newline is whole. */
static void block_form_is_never_torn(void **state)
{
	static const char *const texts[] = { "- call: C_Sign\n  id: 1", "- word", "[{a: 1}]",
		                             "# comment", "-x" };

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(texts); i++) {
		struct tape_error error;
		uint64_t end;
		bool torn;
		int fd = text_file(texts[i], strlen(texts[i]));
		assert_int_equal(tape_yaml_whole(fd, &end, &torn, &error), 0);
		assert_int_equal(end, strlen(texts[i]));
		assert_false(torn);
		close(fd);
	}
}

static void what_cannot_be_read_is_an_error(void **state)
{
	struct tape_error error;
	struct tape_yaml *yaml;
	struct tape_arena arena;
	struct tape_node *item;
	uint64_t end;
	bool torn;

	(void)state;
	tape_arena_init(&arena, NULL, 0, PLENTY);
	assert_int_equal(tape_yaml_whole(-1, &end, &torn, &error), -TAPE_E_SYSTEM);
	assert_int_equal(tape_yaml_open(&yaml, -1, 0, UINT64_MAX, 1, &error), 0);
	assert_int_equal(tape_yaml_next(yaml, &arena, &item, &error), -TAPE_E_SYSTEM);
	assert_non_null(strstr(error.sentence, "cannot be read"));
	tape_yaml_close(yaml);
	tape_yaml_close(NULL);
	tape_arena_done(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_item_is_what_it_says),
		cmocka_unit_test(any_spelling_is_read),
		cmocka_unit_test(lines_are_counted),
		cmocka_unit_test(a_piece_of_a_file_is_read),
		cmocka_unit_test(nothing_is_no_item),
		cmocka_unit_test(what_is_no_trace_is_refused),
		cmocka_unit_test(junk_does_no_harm),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(parts_are_limited),
		cmocka_unit_test(keys_are_limited),
		cmocka_unit_test(memory_is_limited),
		cmocka_unit_test(a_trace_can_be_cut_anywhere),
		cmocka_unit_test(long_lines_can_be_cut),
		cmocka_unit_test(block_form_is_never_torn),
		cmocka_unit_test(what_cannot_be_read_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
