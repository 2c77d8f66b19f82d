/* SPDX-License-Identifier: MIT
 *
 * core/trace.h and core/tree.h: a trace is the same items in either spelling, what is no item is refused
 * with its line, overlapping calls are found either way, and a trace that grows is followed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/capture.h"
#include "core/print.h"
#include "core/trace.h"
#include "core/yaml_read.h"
#include "tests/unit/support/generate-values.h"
#include "tests/unit/support/text.h"

#define PLENTY ((size_t)256 << 20)

static const char HEADER[] =
	"- {\"p11tape\": 1, \"version\": \"0.1.0\", \"started\": "
	"\"2026-11-21T10:15:02.120394Z\", \"process\": {\"program\": \"pkcs11-tool\", "
	"\"pid\": 77, \"parent\": 70}, \"load\": 2, \"module\": {\"path\": \"/lib/x.so\"}, "
	"\"abi\": {\"ulong\": 8}, \"redact\": \"pin\", \"names\": {\"CKR_MINE\": "
	"\"0x80000001\"}}\n";

static const char TRACE[] =
	"- {\"call\": \"C_Initialize\", \"id\": 2, \"at\": 0.000102, \"in\": {\"pInitArgs\": "
	"null}}\n"
	"- {\"return\": 2, \"rv\": \"CKR_OK\", \"took\": 0.003377000}\n"
	"- {\"call\": \"C_Sign\", \"id\": 3, \"at\": 1.5, \"thread\": 2, \"in\": {\"hSession\": 1, "
	"\"pData\": {\"text\": \"hello\"}, \"pSignature\": {\"room\": 64}}}\n"
	"- {\"notify\": \"CKN_SURRENDER\", \"id\": 4, \"during\": 3}\n"
	"- {\"return\": 3, \"out\": {\"pSignature\": {\"hex\": \"3045\"}}, \"rv\": \"CKR_MINE\"}\n"
	"- {\"call\": \"C_Unheard\", \"id\": 5, \"in\": {\"x\": 1}, \"rv\": 7, \"took\": 2}\n"
	"- {\"gap\": 3}\n"
	"- {\"end\": \"exit\", \"open\": []}\n";

/* ---- files ---------------------------------------------------------------------------------- */

struct trace {
	struct tape_reader *reader;
	struct tape_arena arena;
	struct tape_error error;
	int fd;
	char path[64];
};

static void make(struct trace *t, const char *text)
{
	memset(t, 0, sizeof(*t));
	tape_arena_init(&t->arena, NULL, 0, PLENTY);
	t->fd = text_file(text, strlen(text));
	snprintf(t->path, sizeof(t->path), "/proc/self/fd/%d", t->fd);
}

static void append_text(struct trace *t, const char *text)
{
	assert_true(lseek(t->fd, 0, SEEK_END) >= 0);
	assert_int_equal(write(t->fd, text, strlen(text)), strlen(text));
}

static void open_it(struct trace *t, const char *text)
{
	make(t, text);
	if (tape_reader_open(&t->reader, t->path, &t->error) != 0)
		fail_msg("%.80s…: %s", text, t->error.sentence);
}

static int next(struct trace *t, struct tape_item *item)
{
	return tape_reader_next(t->reader, &t->arena, item, &t->error);
}

static void drop(struct trace *t)
{
	tape_reader_close(t->reader);
	tape_arena_done(&t->arena);
	close(t->fd);
}

static char *join(const char *a, const char *b, const char *c)
{
	char *text = malloc(strlen(a) + strlen(b) + strlen(c) + 1);

	assert_non_null(text);
	stpcpy(stpcpy(stpcpy(text, a), b), c);
	return text;
}

/* The trace in block form. */
static char *to_block(const char *lines)
{
	struct tape_error error;
	struct tape_arena arena;
	struct tape_node *item;
	struct tape_yaml *yaml;
	struct tape_buf buf;
	int fd = text_file(lines, strlen(lines));

	tape_arena_init(&arena, NULL, 0, PLENTY);
	tape_buf_init(&buf, NULL, 0, PLENTY);
	assert_int_equal(tape_yaml_open(&yaml, fd, 0, UINT64_MAX, 1, &error), 0);
	while (tape_yaml_next(yaml, &arena, &item, &error) == 1)
		tape_node_put_block(&buf, item);
	tape_put_char(&buf, 0);
	char *text = strdup(buf.data);
	assert_non_null(text);
	tape_yaml_close(yaml);
	tape_arena_done(&arena);
	tape_buf_done(&buf);
	close(fd);
	return text;
}

/* ---- items ---------------------------------------------------------------------------------- */

static void check_items(struct trace *t, bool lines)
{
	struct tape_item item;

	const struct tape_header *header = tape_reader_header(t->reader);
	assert_int_equal(header->format, 1);
	assert_string_equal(header->version, "0.1.0");
	assert_string_equal(header->started, "2026-11-21T10:15:02.120394Z");
	assert_string_equal(header->program, "pkcs11-tool");
	assert_int_equal(header->pid, 77);
	assert_int_equal(header->parent, 70);
	assert_int_equal(header->load, 2);
	assert_string_equal(header->module, "/lib/x.so");
	assert_int_equal(header->ulong_size, 8);
	assert_string_equal(header->redact, "pin");
	assert_non_null(tape_node_get(header->names, "CKR_MINE"));

	assert_int_equal(next(t, &item), 1);
	assert_int_equal(item.kind, TAPE_ITEM_CALL);
	assert_int_equal(item.function, TAPE_FN_C_Initialize);
	assert_string_equal(item.name, "C_Initialize");
	assert_int_equal(item.id, 2);
	assert_true(item.has_at && item.at == 102000);
	assert_int_equal(item.thread, 1);
	assert_non_null(item.in);
	assert_false(item.whole);
	assert_true(!lines || item.line == 2);

	assert_int_equal(next(t, &item), 1);
	assert_int_equal(item.kind, TAPE_ITEM_RETURN);
	assert_int_equal(item.id, 2);
	assert_int_equal(item.rv, CKR_OK);
	assert_true(item.has_took && item.took == 3377000);
	assert_null(item.out);

	assert_int_equal(next(t, &item), 1);
	assert_int_equal(item.function, TAPE_FN_C_Sign);
	assert_int_equal(item.at, 1500000000);
	assert_int_equal(item.thread, 2);
	assert_non_null(tape_node_get(item.in, "pData"));

	assert_int_equal(next(t, &item), 1);
	assert_int_equal(item.kind, TAPE_ITEM_NOTIFY);
	assert_string_equal(item.name, "Notify");
	assert_int_equal(item.id, 4);
	assert_int_equal(item.during, 3);

	assert_int_equal(next(t, &item), 1);
	assert_int_equal(item.kind, TAPE_ITEM_RETURN);
	assert_int_equal(item.rv, 0x80000001);
	assert_non_null(item.out);
	assert_false(item.has_took);

	assert_int_equal(next(t, &item), 1);
	assert_int_equal(item.function, TAPE_FN_COUNT);
	assert_string_equal(item.name, "C_Unheard");
	assert_true(item.whole);
	assert_int_equal(item.rv, 7);
	assert_int_equal(item.took, 2000000000);

	assert_int_equal(next(t, &item), 1);
	assert_int_equal(item.kind, TAPE_ITEM_EVENT);
	assert_string_equal(item.name, "gap");
	assert_int_equal(next(t, &item), 1);
	assert_int_equal(item.kind, TAPE_ITEM_END);
	assert_true(!lines || item.line == 9);
	assert_int_equal(next(t, &item), 0);
	assert_int_equal(next(t, &item), 0);
}

static void both_spellings_are_read(void **state)
{
	char *lines = join(HEADER, TRACE, "");
	char *block = to_block(lines);
	struct trace t;

	(void)state;
	assert_true(strstr(block, "- call: C_Sign\n  id: 3\n") != NULL);
	open_it(&t, lines);
	assert_string_equal(tape_reader_path(t.reader), t.path);
	assert_false(tape_reader_torn(t.reader));
	check_items(&t, true);
	drop(&t);
	open_it(&t, block);
	check_items(&t, false);
	drop(&t);
	free(block);
	free(lines);
}

static void it_can_be_read_again(void **state)
{
	char *lines = join(HEADER, TRACE, "");
	struct tape_item item;
	struct trace t;

	(void)state;
	open_it(&t, lines);
	for (int round = 0; round < 3; round++) {
		check_items(&t, true);
		assert_int_equal(tape_reader_rewind(t.reader, &t.error), 0);
		for (int i = 0; i < round; i++)
			assert_int_equal(next(&t, &item), 1);
		assert_int_equal(tape_reader_rewind(t.reader, &t.error), 0);
	}
	drop(&t);
	free(lines);
}

static void a_second_header_is_an_item(void **state)
{
	char *lines = join(HEADER, TRACE, HEADER);
	struct tape_item item;
	struct trace t;
	size_t headers = 0;

	(void)state;
	open_it(&t, lines);
	while (next(&t, &item) == 1)
		headers += item.kind == TAPE_ITEM_HEADER;
	assert_int_equal(headers, 1);
	drop(&t);
	free(lines);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void not_opened(const char *text, size_t line, const char *sentence)
{
	struct trace t;

	make(&t, text);
	int result = tape_reader_open(&t.reader, t.path, &t.error);
	if (result >= 0 || t.error.line != line || strstr(t.error.sentence, sentence) == NULL)
		fail_msg("%.60s…: %d, line %zu: %s", text, result, t.error.line, t.error.sentence);
	assert_int_equal(t.error.code, -result);
	t.reader = NULL;
	drop(&t);
}

static void a_trace_begins_with_a_header(void **state)
{
	static const struct {
		const char *text;
		size_t line;
		const char *sentence;
	} cases[] = {
		{ "", 1, "empty" },
		{ "\n# nothing\n", 1, "empty" },
		{ "- {\"p11t", 1, "torn" },
		{ "- {}\n", 1, "no key 'p11tape'" },
		{ "- word\n", 1, "no key 'p11tape'" },
		{ "\n- call: C_Sign\n  id: 1\n", 2, "no key 'p11tape'" },
		{ "- {p11tape: x}\n", 1, "number of a format" },
		{ "- {p11tape: 0}\n", 1, "number of a format" },
		{ "- {p11tape: [1]}\n", 1, "number of a format" },
		{ "- {p11tape: 2}\n", 1, "newer" },
		{ "- p11tape: 1\n  names: [a]\n", 2, "'names' is a mapping" },
		{ "- p11tape: 1\n  process: x\n", 2, "'process' is a mapping" },
		{ "- p11tape: 1\n  version: [1]\n", 2, "'version' is text" },
		{ "p11tape: 1\n", 1, "a trace is a sequence" },
		{ "\x7f"
		  "ELF\x01\x01",
		  1, "not text" },
	};

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(cases); i++)
		not_opened(cases[i].text, cases[i].line, cases[i].sentence);
}

static void what_is_no_item_is_refused(void **state)
{
	static const struct {
		const char *text;
		const char *sentence;
	} cases[] = {
		{ "- word\n", "an item is a mapping" },
		{ "- []\n", "an item is a mapping" },
		{ "- {}\n", "empty item" },
		{ "- {call: [C_Sign], id: 1}\n", "'call' is a function's name" },
		{ "- {call: \"\", id: 1}\n", "'call' is a function's name" },
		{ "- {call: C_Sign}\n", "without its 'id'" },
		{ "- {call: C_Sign, id: x}\n", "'id' is a whole number" },
		{ "- {call: C_Sign, id: -1}\n", "'id' is a whole number" },
		{ "- {call: C_Sign, id: 0}\n", "'id' counts from 1" },
		{ "- {call: C_Sign, id: 18446744073709551616}\n", "'id' is a whole number" },
		{ "- {call: C_Sign, id: 1, at: soon}\n", "'at' is a number of seconds" },
		{ "- {call: C_Sign, id: 1, at: 1e9}\n", "'at' is a number of seconds" },
		{ "- {call: C_Sign, id: 1, at: 18446744074}\n", "'at' is a number of seconds" },
		{ "- {call: C_Sign, id: 1, at: 99999999999999999999}\n",
		  "'at' is a number of seconds" },
		{ "- {call: C_Sign, id: 1, in: [1]}\n", "'in' is a mapping" },
		{ "- {call: C_Sign, id: 1, thread: x}\n", "'thread' is a whole number" },
		{ "- {call: C_Sign, id: 1, colour: red}\n", "'colour' has no place here" },
		{ "- {call: C_Sign, id: 1, rv: CKR_OKAY}\n", "CKR_OKAY" },
		{ "- {call: C_Sign, id: 1, rv: CKR_OK, out: x}\n", "'out' is a mapping" },
		{ "- {return: 1}\n", "without its 'rv'" },
		{ "- {return: x, rv: CKR_OK}\n", "'return' is a whole number" },
		{ "- {return: 1, rv: [1]}\n", "" },
		{ "- {return: 1, rv: CKR_OK, took: x}\n", "'took' is a number of seconds" },
		{ "- {return: 1, rv: CKR_OK, in: {}}\n", "'in' has no place here" },
		{ "- {p11tape: 9}\n", "newer" },
	};

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(cases); i++) {
		struct tape_item item;
		struct trace t;
		char *text = join(HEADER, "\n", cases[i].text);
		open_it(&t, text);
		int result = next(&t, &item);
		if (result >= 0 || t.error.line != 3 ||
		    strstr(t.error.sentence, cases[i].sentence) == NULL)
			fail_msg("%s: %d, line %zu: %s", cases[i].text, result, t.error.line,
			         t.error.sentence);
		drop(&t);
		free(text);
	}
}

static void what_is_no_file_is_refused(void **state)
{
	struct tape_reader *reader;
	struct tape_error error;

	(void)state;
	assert_int_equal(tape_reader_open(&reader, "/nowhere/at.all", &error), -TAPE_E_SYSTEM);
	assert_non_null(strstr(error.sentence, "cannot be opened"));
	assert_int_equal(tape_reader_open(&reader, "/", &error), -TAPE_E_INVALID);
	assert_string_equal(error.sentence, "is a directory");
	tape_reader_close(NULL);
}

/* A pipe is read like a file. */
static void a_pipe_is_read(void **state)
{
	char *lines = join(HEADER, TRACE, "");
	struct trace t = { .fd = -1 };
	int ends[2];

	(void)state;
	tape_arena_init(&t.arena, NULL, 0, PLENTY);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], lines, strlen(lines)), strlen(lines));
	close(ends[1]);
	int saved = dup(STDIN_FILENO);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	close(ends[0]);
	int result = tape_reader_open(&t.reader, "-", &t.error);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	close(saved);
	assert_int_equal(result, 0);
	check_items(&t, true);
	assert_int_equal(tape_reader_rewind(t.reader, &t.error), 0);
	check_items(&t, true);
	tape_reader_close(t.reader);
	tape_arena_done(&t.arena);
	free(lines);
}

/* ---- growing -------------------------------------------------------------------------------- */

static void a_growing_trace_is_followed(void **state)
{
	struct tape_item item;
	struct trace t;

	(void)state;
	open_it(&t, HEADER);
	assert_int_equal(next(&t, &item), 0);
	assert_int_equal(tape_reader_refresh(t.reader, &t.error), 0);
	assert_int_equal(next(&t, &item), 0);
	append_text(&t, "- {\"call\": \"C_Logout\", \"id\": 1, ");
	assert_int_equal(tape_reader_refresh(t.reader, &t.error), 0);
	assert_int_equal(next(&t, &item), 0);
	append_text(&t, "\"in\": {\"hSession\": 1}}\n- {\"return\": 1");
	assert_int_equal(tape_reader_refresh(t.reader, &t.error), 1);
	assert_true(tape_reader_torn(t.reader));
	assert_int_equal(next(&t, &item), 1);
	assert_int_equal(item.function, TAPE_FN_C_Logout);
	assert_int_equal(item.line, 2);
	assert_int_equal(next(&t, &item), 0);
	append_text(&t, ", \"rv\": \"CKR_OK\"}");
	assert_int_equal(tape_reader_refresh(t.reader, &t.error), 1);
	assert_false(tape_reader_torn(t.reader));
	assert_int_equal(next(&t, &item), 1);
	assert_int_equal(item.kind, TAPE_ITEM_RETURN);
	assert_int_equal(item.line, 3);
	assert_int_equal(next(&t, &item), 0);
	append_text(&t, "\n");
	assert_true(tape_reader_refresh(t.reader, &t.error) >= 0);
	assert_int_equal(next(&t, &item), 0);
	append_text(&t, "- {\"gap\": 1}\n- {\"call\": \"C_Logout\", \"id\": 2, \"in\": {}}\n");
	assert_int_equal(tape_reader_refresh(t.reader, &t.error), 1);
	assert_int_equal(next(&t, &item), 1);
	assert_int_equal(item.line, 4);
	assert_int_equal(next(&t, &item), 1);
	assert_int_equal(item.line, 5);
	assert_int_equal(next(&t, &item), 0);
	/* From the beginning there is all of it. */
	assert_int_equal(tape_reader_rewind(t.reader, &t.error), 0);
	for (size_t line = 2; line <= 5; line++) {
		assert_int_equal(next(&t, &item), 1);
		assert_int_equal(item.line, line);
	}
	assert_int_equal(next(&t, &item), 0);
	drop(&t);
}

static void a_torn_line_is_left_out(void **state)
{
	char *lines = join(HEADER, TRACE, "- {\"call\": \"C_Si");
	struct trace t;

	(void)state;
	open_it(&t, lines);
	assert_true(tape_reader_torn(t.reader));
	check_items(&t, true);
	drop(&t);
	free(lines);
}

/* ---- overlapping calls ---------------------------------------------------------------------- */

static int overlaps(const char *text)
{
	struct trace t;
	struct tape_item item;
	size_t items = 0;
	size_t again = 0;

	open_it(&t, text);
	while (next(&t, &item) == 1)
		items++;
	assert_int_equal(tape_reader_rewind(t.reader, &t.error), 0);
	int result = tape_trace_overlaps(t.reader, &t.error);
	if (result < 0)
		fail_msg("%s", t.error.sentence);
	/* Whichever way it took, the reader stands at the first item or where it was: there too. */
	while (next(&t, &item) == 1)
		again++;
	assert_int_equal(again, items);
	drop(&t);
	return result;
}

/*
 * A trace that never overlaps or does, in lines that take turns (the fast way finds out), in the same
 * lines behind a comment and in block form (libyaml does), and without the last newline.
 */
static void both_ways_agree(const char *lines, int expected)
{
	char *fast = join(HEADER, lines, "");
	char *slow = join(HEADER, "# a comment\n", lines);
	char *block = to_block(fast);
	char *cut = strdup(fast);

	assert_non_null(cut);
	cut[strlen(cut) - 1] = 0;
	if (overlaps(fast) != expected || overlaps(slow) != expected ||
	    overlaps(block) != expected || overlaps(cut) != expected)
		fail_msg("lines: %d, with a comment: %d, block form: %d, cut: %d, expected: %d\n%s",
		         overlaps(fast), overlaps(slow), overlaps(block), overlaps(cut), expected,
		         lines);
	free(fast);
	free(slow);
	free(block);
	free(cut);
}

static void overlaps_are_found(void **state)
{
#define C(id) "- {\"call\": \"C_Logout\", \"id\": " id ", \"in\": {\"hSession\": 1}}\n"
#define R(id) "- {\"return\": " id ", \"rv\": \"CKR_OK\"}\n"
#define WHOLE(id)                                \
	"- {\"call\": \"C_Logout\", \"id\": " id \
	", \"in\": {\"hSession\": 1}, \"rv\": \"CKR_OK\"}\n"
#define UNTIL(id, u)                             \
	"- {\"call\": \"C_Logout\", \"id\": " id \
	", \"in\": {\"hSession\": 1}, \"rv\": 0, \"until\": " u "}\n"
#define N(id, during)                                                           \
	"- {\"notify\": \"CKN_SURRENDER\", \"id\": " id ", \"during\": " during \
	", \"in\": {\"hSession\": 1}}\n"
#define IN(id, during)                                                   \
	"- {\"call\": \"C_Logout\", \"id\": " id ", \"during\": " during \
	", \"in\": {\"hSession\": 1}}\n"
#define GAP "- {\"gap\": 1}\n"
	static const struct {
		const char *lines;
		int overlap;
	} cases[] = {
		{ GAP, 0 },
		{ C("1"), 0 },
		{ C("1") R("1"), 0 },
		{ C("1") GAP R("1") GAP, 0 },
		{ C("1") R("1") C("2") R("2"), 0 },
		{ C("1") C("2"), 1 },
		{ C("1") C("2") R("1") R("2"), 1 },
		{ C("1") C("2") R("2") R("1"), 1 },
		{ C("1") R("1") C("2") C("3"), 1 },
		{ C("1") GAP C("2") R("2"), 1 },
		{ WHOLE("1") WHOLE("2"), 0 },
		{ WHOLE("1") C("2") R("2") WHOLE("3"), 0 },
		{ C("1") WHOLE("2") R("1"), 1 },
		{ UNTIL("1", "2") WHOLE("2"), 1 },
		{ UNTIL("1", "3"), 0 },
		{ R("1") C("2") R("2"), 0 },
		/* What is nested does not overlap with what it is nested in. */
		{ C("1") N("2", "1") R("2") R("1"), 0 },
		{ C("1") N("2", "1") IN("3", "2") R("3") R("2") R("1") C("4") R("4"), 0 },
		{ C("1") N("2", "1") IN("3", "2") N("4", "3") R("4") R("3") R("2") R("1"), 0 },
		{ C("1") N("2", "1") R("2") N("3", "1") R("3") R("1"), 0 },
		{ C("1") N("2", "1") C("3") R("3") R("2") R("1"), 1 },
		{ C("1") N("2", "1") IN("3", "1") R("3") R("2") R("1"), 1 },
		{ C("1") N("2", "1") IN("3", "2") R("2") R("3") R("1"), 1 },
		{ C("1") N("2", "1") R("1") R("2"), 1 },
		{ C("1") N("2", "1") R("2") C("3") R("3"), 1 },
		/* A notification outside of calls is no call; one that is made inside of it is. */
		{ N("1", "0") R("1"), 0 },
		{ C("1") N("2", "0") R("2") R("1") C("3") R("3"), 0 },
		{ C("1") N("2", "0") R("1") R("2") C("3") R("3"), 0 },
		{ N("1", "0") IN("2", "1") R("2") R("1") C("3") R("3"), 0 },
		{ N("1", "0") C("2") IN("3", "1") R("3") R("2") R("1"), 1 },
		/* Every part begins with nothing open. */
		{ C("1") "- {\"p11tape\": 1, \"load\": 2}\n" C("2") R("2"), 0 },
	};

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(cases); i++)
		both_ways_agree(cases[i].lines, cases[i].overlap);
}

/* Calls of some threads, mixed at random. */
static void mixed_calls_overlap(void **state)
{
	struct dice dice = { 5 };
	struct tape_buf buf;

	(void)state;
	tape_buf_init(&buf, NULL, 0, PLENTY);
	for (size_t round = 0; round < 300; round++) {
		uint64_t open[3] = { 0 };
		uint64_t last = 0;
		size_t threads = 1 + round % 3;
		int expected = 0;
		buf.length = 0;
		for (size_t i = 0; i < 12; i++) {
			size_t thread = dice_pick(&dice, threads);
			if (open[thread] == 0) {
				for (size_t j = 0; j < threads; j++)
					expected |= open[j] != 0;
				open[thread] = ++last;
				TAPE_PUT(&buf, "- {\"call\": \"C_Logout\", \"id\": ");
				tape_put_decimal(&buf, last);
				TAPE_PUT(&buf, ", \"in\": {\"hSession\": 1}}\n");
			} else {
				TAPE_PUT(&buf, "- {\"return\": ");
				tape_put_decimal(&buf, open[thread]);
				TAPE_PUT(&buf, ", \"rv\": \"CKR_OK\"}\n");
				open[thread] = 0;
			}
		}
		tape_put_char(&buf, 0);
		both_ways_agree(buf.data, expected);
	}
	tape_buf_done(&buf);
}

/* A line that spans what is looked at in one go. */
static void long_lines_take_turns(void **state)
{
	static const size_t sizes[] = { 65536 - 400, 65536 - 100, 65536, 140000 };

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(sizes); i++)
		for (size_t shift = 0; shift < 140; shift++) {
			char *digits = malloc(sizes[i] + shift + 1);
			assert_non_null(digits);
			memset(digits, '0', sizes[i] + shift);
			digits[sizes[i] + shift] = 0;
			char *call = join("- {\"call\": \"C_X\", \"id\": 1, \"in\": {\"x\": \"",
			                  digits, "\"}}\n");
			char *turns = join(HEADER, call, R("1") C("2") R("2"));
			char *both = join(HEADER, call, C("2") R("1"));
			assert_int_equal(overlaps(turns), 0);
			assert_int_equal(overlaps(both), 1);
			free(digits);
			free(call);
			free(turns);
			free(both);
			if (i != 1)
				shift += 17;
		}
}

/* ---- from one spelling to the other --------------------------------------------------------- */

struct spelling {
	struct tape_arena arena;
	struct tape_buf line, block, again;
	struct guard guard;
	struct call call;
	int fd;
};

static struct tape_node *read_one(struct spelling *s, const struct tape_buf *text)
{
	struct tape_error error;
	struct tape_yaml *yaml;
	struct tape_node *item;

	text_refill(s->fd, text->data, text->length);
	assert_int_equal(tape_yaml_open(&yaml, s->fd, 0, UINT64_MAX, 1, &error), 0);
	if (tape_yaml_next(yaml, &s->arena, &item, &error) != 1)
		fail_msg("%s\n%.*s", error.sentence, (int)text->length, text->data);
	tape_yaml_close(yaml);
	return item;
}

/* The line is an item whose line it is again, directly and by way of the block form. */
static void survives(struct spelling *s)
{
	struct tape_node *item = read_one(s, &s->line);

	s->again.length = s->block.length = 0;
	tape_node_put_line(&s->again, item);
	if (s->again.length != s->line.length ||
	    memcmp(s->again.data, s->line.data, s->line.length) != 0)
		fail_msg("%.*s\nbecomes\n%.*s", (int)s->line.length, s->line.data,
		         (int)s->again.length, s->again.data);
	tape_node_put_block(&s->block, item);
	item = read_one(s, &s->block);
	s->again.length = 0;
	tape_node_put_line(&s->again, item);
	if (s->again.length != s->line.length ||
	    memcmp(s->again.data, s->line.data, s->line.length) != 0)
		fail_msg("%.*s\nby way of\n%.*s\nbecomes\n%.*s", (int)s->line.length, s->line.data,
		         (int)s->block.length, s->block.data, (int)s->again.length, s->again.data);
}

static void start_spelling(struct spelling *s)
{
	tape_arena_init(&s->arena, NULL, 0, PLENTY);
	tape_buf_init(&s->line, NULL, 0, PLENTY);
	tape_buf_init(&s->block, NULL, 0, PLENTY);
	tape_buf_init(&s->again, NULL, 0, PLENTY);
	guard_init(&s->guard);
	s->fd = text_file("", 0);
}

static void stop_spelling(struct spelling *s)
{
	tape_arena_done(&s->arena);
	tape_buf_done(&s->line);
	tape_buf_done(&s->block);
	tape_buf_done(&s->again);
	guard_done(&s->guard);
	close(s->fd);
	free(s);
}

static void spellings_are_without_loss(void **state)
{
	struct spelling *s = malloc(sizeof(*s));
	struct dice dice = { 11 };

	(void)state;
	assert_non_null(s);
	start_spelling(s);
	for (size_t i = 0; i < 10000; i++) {
		struct tape_value in[TAPE_MAX_ARGUMENTS];
		struct tape_value out[TAPE_MAX_ARGUMENTS];
		struct tape_capture capture = { .arena = &s->arena, .snapshot = true };
		const struct tape_function *function =
			&tape_functions[dice_pick(&dice, TAPE_FN_COUNT)];
		tape_arena_reset(&s->arena);
		generate_call(&s->call, &s->guard, function, TAPE_MAX_ARGUMENTS, 0,
		              dice_roll(&dice), i);
		s->line.length = 0;
		TAPE_PUT(&s->line, "- {\"call\": ");
		tape_put_quoted(&s->line, function->name.text, function->name.length);
		TAPE_PUT(&s->line, ", \"id\": 1, \"at\": 0.000100, \"in\": ");
		tape_capture_in(&capture, function, s->call.words, in);
		if (!tape_print_values(&s->line, function, in, false))
			TAPE_PUT(&s->line, "{}");
		TAPE_PUT(&s->line, ", \"out\": ");
		CK_RV rv = generate_act(&s->call, (enum act)dice_pick(&dice, ACT_COUNT));
		tape_capture_out(&capture, function, s->call.words, in, rv, out);
		if (!tape_print_values(&s->line, function, out, true))
			TAPE_PUT(&s->line, "{}");
		TAPE_PUT(&s->line, ", \"rv\": ");
		tape_print_constant(&s->line, TAPE_G_CKR, rv);
		TAPE_PUT(&s->line, "}\n");
		survives(s);
	}
	stop_spelling(s);
}

/* What people write by hand goes into lines without loss too: they are JSON, and say the same. */
static void what_people_write_is_kept(void **state)
{
	static const char *const items[][2] = {
		{ "- a: \"tab\\there\"\n", "- {\"a\": \"tab\\u0009here\"}\n" },
		{ "- a: |\n    two\n    lines\n", "- {\"a\": \"two\\u000alines\\u000a\"}\n" },
		{ "- a: \"\\0\\e\\x7f\\N\\L\\P\"\n",
		  "- {\"a\": \"\\u0000\\u001b\\u007f\\u0085\\u2028\\u2029\"}\n" },
		{ "- a: \"\\uFEFF\\uFFFE\\U0001F511\\U0001FFFE\"\n",
		  "- {\"a\": \"\\ufeff\\ufffe\xf0\x9f\x94\x91\xf0\x9f\xbf\xbe\"}\n" },
		{ "- \"a\\tb\": 1\n", "- {\"a\\u0009b\": 1}\n" },
		{ "- {a: yes, b: No, c: ~, d: , e: null}\n",
		  "- {\"a\": \"yes\", \"b\": \"No\", \"c\": null, \"d\": null, \"e\": null}\n" },
		{ "- {a: 010, b: 1., c: .5, d: 1e5, e: 0x1F, f: -1, g: 0, h: 1.50, i: 0.5}\n",
		  "- {\"a\": \"010\", \"b\": \"1.\", \"c\": \".5\", \"d\": \"1e5\", \"e\": "
		  "\"0x1F\", \"f\": \"-1\", "
		  "\"g\": 0, \"h\": 1.50, \"i\": 0.5}\n" },
		{ "- {a: \"true\", b: true, c: 'null', d: \"12\", e: ''}\n",
		  "- {\"a\": \"true\", \"b\": true, \"c\": \"null\", \"d\": \"12\", \"e\": "
		  "\"\"}\n" },
		{ "- []\n", "- []\n" },
		{ "- word\n", "- \"word\"\n" },
	};
	struct spelling *s = malloc(sizeof(*s));

	(void)state;
	assert_non_null(s);
	start_spelling(s);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(items); i++) {
		size_t at;
		s->line.length = 0;
		tape_put_text(&s->line, items[i][0]);
		struct tape_node *item = read_one(s, &s->line);
		s->line.length = 0;
		tape_node_put_line(&s->line, item);
		tape_put_char(&s->line, 0);
		assert_string_equal(s->line.data, items[i][1]);
		s->line.length--;
		assert_true(text_is_json(s->line.data + 2, s->line.length - 2, &at));
		survives(s);
	}
	stop_spelling(s);
}

static void block_form_is_for_people(void **state)
{
	static const char lines[] = "- {\"call\": \"C_GetAttributeValue\", \"id\": 57, \"in\": "
				    "{\"hSession\": 1, \"pTemplate\": "
				    "[{\"type\": \"CKA_CLASS\", \"room\": \"ulong\"}, {\"type\": "
				    "\"CKA_LABEL\", \"room\": null}]}, "
				    "\"out\": {\"pTemplate\": [{\"ulong\": \"CKO_DATA\"}, "
				    "{\"text\": \"yes\"}]}, \"rv\": \"CKR_OK\"}\n"
				    "- {\"y\": \"no\", \"hex\": \"abcdef\", \"open\": [1, 2], "
				    "\"program\": \"pkcs11-tool\"}\n";

	(void)state;
	char *block = to_block(lines);
	assert_string_equal(block, "- call: C_GetAttributeValue\n"
	                           "  id: 57\n"
	                           "  in:\n"
	                           "    hSession: 1\n"
	                           "    pTemplate:\n"
	                           "    - {type: CKA_CLASS, room: ulong}\n"
	                           "    - {type: CKA_LABEL, room: null}\n"
	                           "  out:\n"
	                           "    pTemplate:\n"
	                           "    - {ulong: CKO_DATA}\n"
	                           "    - {text: \"yes\"}\n"
	                           "  rv: CKR_OK\n"
	                           "- \"y\": \"no\"\n"
	                           "  hex: \"abcdef\"\n"
	                           "  open: [1, 2]\n"
	                           "  program: pkcs11-tool\n");
	free(block);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void numbers_are_read_exactly(void **state)
{
	static const struct {
		const char *text;
		bool is_number, is_seconds;
		uint64_t number, nanoseconds;
	} cases[] = {
		{ "0", true, true, 0, 0 },
		{ "7", true, true, 7, 7000000000 },
		{ "18446744073709551615", true, false, UINT64_MAX, 0 },
		{ "18446744073709551616", false, false, 0, 0 },
		{ "99999999999999999999", false, false, 0, 0 },
		{ "0x0", true, false, 0, 0 },
		{ "0xffffffffffffffff", true, false, UINT64_MAX, 0 },
		{ "0xFF", true, false, 255, 0 },
		{ "0x10000000000000000", false, false, 0, 0 },
		{ "0x", false, false, 0, 0 },
		{ "0xg", false, false, 0, 0 },
		{ "", false, false, 0, 0 },
		{ "a", false, false, 0, 0 },
		{ "-1", false, false, 0, 0 },
		{ "+1", false, false, 0, 0 },
		{ " 1", false, false, 0, 0 },
		{ "1 ", false, false, 0, 0 },
		{ "1_000", false, false, 0, 0 },
		{ "1.5", false, true, 0, 1500000000 },
		{ "0.000000001", false, true, 0, 1 },
		{ "0.0000000019", false, true, 0, 1 },
		{ "18446744073.709551615", false, true, 0, UINT64_MAX },
		{ "18446744073.709551616", false, false, 0, 0 },
		{ "18446744074", true, false, 18446744074, 0 },
		{ "184467440737", true, false, 184467440737, 0 },
		{ ".5", false, false, 0, 0 },
		{ "1.5.5", false, false, 0, 0 },
		{ "1e5", false, false, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(cases); i++) {
		struct tape_node node = { .type = TAPE_NODE_SCALAR,
			                  .text = cases[i].text,
			                  .length = strlen(cases[i].text) };
		uint64_t number = 1;
		uint64_t nanoseconds = 1;
		if (tape_node_number(&node, &number) != cases[i].is_number ||
		    (cases[i].is_number && number != cases[i].number))
			fail_msg("'%s' as a number", cases[i].text);
		if (tape_node_seconds(&node, &nanoseconds) != cases[i].is_seconds ||
		    (cases[i].is_seconds && nanoseconds != cases[i].nanoseconds))
			fail_msg("'%s' as seconds: %llu", cases[i].text,
			         (unsigned long long)nanoseconds);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_spellings_are_read),
		cmocka_unit_test(it_can_be_read_again),
		cmocka_unit_test(a_second_header_is_an_item),
		cmocka_unit_test(a_trace_begins_with_a_header),
		cmocka_unit_test(what_is_no_item_is_refused),
		cmocka_unit_test(what_is_no_file_is_refused),
		cmocka_unit_test(a_pipe_is_read),
		cmocka_unit_test(a_growing_trace_is_followed),
		cmocka_unit_test(a_torn_line_is_left_out),
		cmocka_unit_test(overlaps_are_found),
		cmocka_unit_test(mixed_calls_overlap),
		cmocka_unit_test(long_lines_take_turns),
		cmocka_unit_test(spellings_are_without_loss),
		cmocka_unit_test(what_people_write_is_kept),
		cmocka_unit_test(block_form_is_for_people),
		cmocka_unit_test(numbers_are_read_exactly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
