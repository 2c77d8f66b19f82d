/* SPDX-License-Identifier: MIT
 *
 * libyaml judges our line emitter: what we write, libyaml reads, and its own emitter writes the same
 * bytes again (flow style, quoted as it was, lines of any width, Unicode as it is). The exception are
 * characters beyond the Basic Multilingual Plane, which libyaml escapes: those lines are compared by
 * what they say. And behind its dash every line is JSON, in which no number is inexact and no key is one
 * that YAML 1.1 takes for something else.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include <cmocka.h>

#include "core/capture.h"
#include "core/print.h"
#include "tests/unit/support/generate-values.h"
#include "tests/unit/support/text.h"

#define LIMIT ((size_t)64 << 20)

/* Lines are judged many at a time, since a parser is dear to begin. */
#define BATCH ((size_t)256 * 1024)

/* How many random calls; the environment may say another number. */
#ifdef NDEBUG
#define CALLS 1000000
#else
#define CALLS 100000
#endif

struct oracle {
	struct guard guard;
	struct call call;
	struct tape_arena arena;
	struct tape_lock lock;
	struct tape_secrets secrets;
	struct tape_buf line;
	struct tape_buf plain, astral; /* batches */
	struct tape_buf emitted;
	size_t lines, astral_lines, calls;
	uint64_t id;
	FILE *trace; /* $TAPE_ORACLE_TRACE: every line, for other judges */
	char what[160];
};

/* ---- libyaml -------------------------------------------------------------------------------- */

static int append(void *context, unsigned char *bytes, size_t size)
{
	struct tape_buf *buf = context;

	tape_put(buf, (const char *)bytes, size);
	return !buf->failed;
}

/* A key that a loader could take for a boolean or for nothing. */
static bool is_treacherous(const char *key)
{
	static const char *const words[] = { "y",    "n",     "yes",  "no", "on", "off",
		                             "true", "false", "null", "~",  "" };

	for (size_t i = 0; i < TAPE_ARRAY_SIZE(words); i++)
		if (strcasecmp(key, words[i]) == 0)
			return true;
	return false;
}

struct keys {
	bool mapping[64], is_key[64];
	size_t depth;
};

static void watch_keys(struct keys *keys, const yaml_event_t *event)
{
	bool begins =
		event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
	bool ends = event->type == YAML_MAPPING_END_EVENT || event->type == YAML_SEQUENCE_END_EVENT;

	if (ends)
		keys->depth--;
	if (!begins && !ends && event->type != YAML_SCALAR_EVENT)
		return;
	if (!ends && keys->depth != 0 && keys->mapping[keys->depth]) {
		if (keys->is_key[keys->depth]) {
			assert_int_equal(event->type, YAML_SCALAR_EVENT);
			assert_false(is_treacherous((const char *)event->data.scalar.value));
		}
		keys->is_key[keys->depth] = !keys->is_key[keys->depth];
	}
	if (begins) {
		assert_in_range(++keys->depth, 1, 63);
		keys->mapping[keys->depth] = event->type == YAML_MAPPING_START_EVENT;
		keys->is_key[keys->depth] = true;
	}
}

/* Write with libyaml what libyaml reads. */
static void reemit(struct oracle *o, const struct tape_buf *text)
{
	yaml_parser_t parser;
	yaml_emitter_t emitter;
	yaml_event_t event;
	struct keys keys = { .depth = 0 };

	o->emitted.length = 0;
	assert_int_equal(yaml_parser_initialize(&parser), 1);
	assert_int_equal(yaml_emitter_initialize(&emitter), 1);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text->data, text->length);
	yaml_emitter_set_output(&emitter, append, &o->emitted);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	for (bool more = true; more;) {
		if (!yaml_parser_parse(&parser, &event))
			fail_msg("%s: libyaml says: %s, line %zu of the batch", o->what,
			         parser.problem, parser.problem_mark.line + 1);
		watch_keys(&keys, &event);
		more = event.type != YAML_STREAM_END_EVENT;
		if (!yaml_emitter_emit(&emitter, &event))
			fail_msg("%s: libyaml does not write it: %s", o->what, emitter.problem);
	}
	yaml_emitter_delete(&emitter);
	yaml_parser_delete(&parser);
}

static void differ(struct oracle *o, const char *ours, size_t ours_length, const char *theirs,
                   size_t theirs_length)
{
	size_t at = 0;

	while (at < ours_length && at < theirs_length && ours[at] == theirs[at])
		at++;
	size_t from = at < 60 ? 0 : at - 60;
	fail_msg("a batch that ends with %s\n  we write:      …%.*s\n  libyaml writes: …%.*s",
	         o->what, (int)(ours_length - from < 120 ? ours_length - from : 120), ours + from,
	         (int)(theirs_length - from < 120 ? theirs_length - from : 120), theirs + from);
}

/* Whether two texts have the same events. */
static void say_the_same(struct oracle *o, const struct tape_buf *a, const struct tape_buf *b)
{
	yaml_parser_t parsers[2];
	yaml_event_t events[2];
	const struct tape_buf *texts[] = { a, b };

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(yaml_parser_initialize(&parsers[i]), 1);
		yaml_parser_set_encoding(&parsers[i], YAML_UTF8_ENCODING);
		yaml_parser_set_input_string(&parsers[i], (const unsigned char *)texts[i]->data,
		                             texts[i]->length);
	}
	for (bool more = true; more;) {
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(yaml_parser_parse(&parsers[i], &events[i]), 1);
		assert_int_equal(events[0].type, events[1].type);
		if (events[0].type == YAML_SCALAR_EVENT &&
		    (events[0].data.scalar.length != events[1].data.scalar.length ||
		     events[0].data.scalar.style != events[1].data.scalar.style ||
		     memcmp(events[0].data.scalar.value, events[1].data.scalar.value,
		            events[0].data.scalar.length) != 0))
			fail_msg("%s: libyaml reads %s where we wrote %s", o->what,
			         (const char *)events[1].data.scalar.value,
			         (const char *)events[0].data.scalar.value);
		more = events[0].type != YAML_STREAM_END_EVENT;
		yaml_event_delete(&events[0]);
		yaml_event_delete(&events[1]);
	}
	yaml_parser_delete(&parsers[0]);
	yaml_parser_delete(&parsers[1]);
}

static void judge(struct oracle *o)
{
	if (o->plain.length != 0) {
		reemit(o, &o->plain);
		if (o->plain.length != o->emitted.length ||
		    memcmp(o->plain.data, o->emitted.data, o->plain.length) != 0)
			differ(o, o->plain.data, o->plain.length, o->emitted.data,
			       o->emitted.length);
	}
	if (o->astral.length != 0) {
		reemit(o, &o->astral);
		say_the_same(o, &o->astral, &o->emitted);
	}
	o->plain.length = o->astral.length = 0;
}

/* ---- lines ---------------------------------------------------------------------------------- */

/* Numbers outside of strings: whole and at most 2^53, or seconds. */
static bool numbers_are_exact(const char *text, size_t length)
{
	bool quoted = false;

	for (size_t i = 0; i < length; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		if (quoted || text[i] < '0' || text[i] > '9')
			continue;
		char *end;
		errno = 0;
		unsigned long long number = strtoull(text + i, &end, 10);
		if (errno != 0 || number > TAPE_MAX_EXACT)
			return false;
		i = (size_t)(end - text);
		while (text[i] == '.' || (text[i] >= '0' && text[i] <= '9'))
			i++;
		if (text[i] == 'e' || text[i] == 'E')
			return false;
	}
	return true;
}

static bool is_astral(const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] >= 0xf0)
			return true;
	return false;
}

/* The line that stands in the buffer. */
static void add_line(struct oracle *o)
{
	struct tape_buf *line = &o->line;
	size_t at;

	assert_false(line->failed);
	assert_true(line->length > 3 && memcmp(line->data, "- {", 3) == 0);
	assert_ptr_equal(memchr(line->data, '\n', line->length), line->data + line->length - 1);
	if (!text_is_json(line->data + 2, line->length - 2, &at))
		fail_msg("%s: no JSON at byte %zu: %.*s", o->what, at,
		         (int)(line->length < 2000 ? line->length : 2000), line->data);
	if (!numbers_are_exact(line->data, line->length))
		fail_msg("%s: an inexact number: %.*s", o->what,
		         (int)(line->length < 2000 ? line->length : 2000), line->data);
	bool astral = is_astral(line->data, line->length);
	struct tape_buf *batch = astral ? &o->astral : &o->plain;
	tape_put(batch, line->data, line->length);
	if (o->trace != NULL)
		assert_int_equal(fwrite(line->data, 1, line->length, o->trace), line->length);
	o->lines++;
	o->astral_lines += astral;
	if (batch->length > BATCH)
		judge(o);
}

static const unsigned int policies[] = { TAPE_REDACT_PIN, TAPE_REDACT_NONE, TAPE_REDACT_SECRET,
	                                 TAPE_REDACT_ALL, TAPE_REDACT_PIN };

static void write_call(struct oracle *o, const struct tape_function *function, size_t focus,
                       size_t variant, enum act act, uint64_t seed)
{
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_capture capture = { .arena = &o->arena,
		                        .secrets = &o->secrets,
		                        .redact = policies[seed % TAPE_ARRAY_SIZE(policies)],
		                        .snapshot = true,
		                        .images = true,
		                        .message_record = generate_message_record,
		                        .context = &o->call };

	snprintf(o->what, sizeof(o->what), "%s, argument %zu, variant %zu, act %d, seed %llu",
	         function->name.text, focus, variant, (int)act, (unsigned long long)seed);
	tape_arena_reset(&o->arena);
	tape_secrets_forget(&o->secrets);
	o->calls++;
	generate_call(&o->call, &o->guard, function, focus, variant, seed, ~seed);

	o->line.length = 0;
	TAPE_PUT(&o->line, "- {\"call\": ");
	tape_put_quoted(&o->line, function->name.text, function->name.length);
	TAPE_PUT(&o->line, ", \"id\": ");
	tape_put_decimal(&o->line, ++o->id);
	TAPE_PUT(&o->line, ", \"at\": ");
	tape_put_seconds(&o->line, seed & 0xffffffffffff, 6);
	size_t keep = o->line.length;
	TAPE_PUT(&o->line, ", \"in\": ");
	tape_capture_in(&capture, function, o->call.words, in);
	if (!tape_print_values(&o->line, function, in, false))
		o->line.length = keep;
	TAPE_PUT(&o->line, "}\n");
	add_line(o);

	CK_RV rv = generate_act(&o->call, act);
	o->line.length = 0;
	TAPE_PUT(&o->line, "- {\"return\": ");
	tape_put_decimal(&o->line, o->id);
	keep = o->line.length;
	TAPE_PUT(&o->line, ", \"out\": ");
	tape_capture_out(&capture, function, o->call.words, in, rv, out);
	if (!tape_print_values(&o->line, function, out, true))
		o->line.length = keep;
	TAPE_PUT(&o->line, ", \"rv\": ");
	tape_print_constant(&o->line, TAPE_G_CKR, seed % 3 == 0 ? (CK_RV)seed : rv);
	TAPE_PUT(&o->line, ", \"took\": ");
	tape_put_seconds(&o->line, seed >> 32, 9);
	TAPE_PUT(&o->line, "}\n");
	add_line(o);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void every_variant_of_every_shape(void **state)
{
	struct oracle *o = *state;
	bool done[TAPE_K_COUNT] = { false };

	for (size_t f = 0; f < TAPE_FN_COUNT; f++) {
		const struct tape_function *function = &tape_functions[f];
		for (size_t i = 0; i < function->count; i++) {
			const struct tape_argument *argument = &function->arguments[i];
			size_t variants = generate_variants(argument);
			size_t step = done[argument->kind] && variants > 300 ? 23 : 1;
			for (size_t variant = 0; variant < variants; variant += step)
				write_call(o, function, i, variant,
				           (enum act)((variant + i) % ACT_COUNT),
				           (uint64_t)f << 40 | (uint64_t)i << 32 | variant);
			done[argument->kind] = true;
		}
	}
	judge(o);
	print_message("%zu calls, %zu lines, %zu of them beyond the BMP\n", o->calls, o->lines,
	              o->astral_lines);
}

static void random_calls(void **state)
{
	struct oracle *o = *state;
	size_t calls = text_setting("TAPE_ORACLE_CALLS", CALLS);
	struct dice dice = { text_setting("TAPE_ORACLE_SEED", 1) };

	o->calls = o->lines = o->astral_lines = 0;
	for (size_t i = 0; i < calls; i++) {
		const struct tape_function *function =
			&tape_functions[dice_pick(&dice, TAPE_FN_COUNT)];
		write_call(o, function, TAPE_MAX_ARGUMENTS, 0,
		           (enum act)dice_pick(&dice, ACT_COUNT), dice_roll(&dice));
	}
	judge(o);
	print_message("%zu calls, %zu lines, %zu of them beyond the BMP\n", o->calls, o->lines,
	              o->astral_lines);
}

/* The functions below the shapes, with whatever text. */
static void any_text(void **state)
{
	struct oracle *o = *state;
	struct dice dice = { 2 };
	unsigned char *text = o->call.scratch;
	FILE *trace = o->trace;

	o->trace = NULL; /* these are no items */
	for (size_t i = 0; i < 20000; i++) {
		size_t length = value_bytes(
			&dice, (enum value_bytes)dice_pick(&dice, VALUE_BYTES_LARGE), text);
		snprintf(o->what, sizeof(o->what), "text %zu", i);
		o->line.length = 0;
		TAPE_PUT(&o->line, "- {\"lossy\": ");
		tape_put_quoted_lossy(&o->line, (const char *)text, length);
		if (tape_text_is_plain(text, length)) {
			TAPE_PUT(&o->line, ", \"plain\": ");
			tape_put_quoted(&o->line, (const char *)text, length);
		}
		TAPE_PUT(&o->line, ", \"hex\": \"");
		tape_put_hex(&o->line, text, length);
		TAPE_PUT(&o->line, "\", \"number\": ");
		tape_print_number(&o->line, value_number(&dice));
		TAPE_PUT(&o->line, ", \"word\": \"");
		tape_put_hexadecimal(&o->line, value_number(&dice));
		TAPE_PUT(&o->line, "\"}\n");
		add_line(o);
	}
	judge(o);
	o->trace = trace;
}

/* That the judges do judge. */
static void json_is_checked_strictly(void **state)
{
	static const char *const good[] = { "{}",
		                            "[]",
		                            "0",
		                            "-1",
		                            "1.5",
		                            "1e5",
		                            "\"\"",
		                            "null",
		                            " [1, 2 ] ",
		                            "{\"a\": [{}, \"\\u00e9\\n\"]}",
		                            "\"\xf0\x9f\x94\x91\"" };
	static const char *const bad[] = { "",
		                           "{",
		                           "}",
		                           "[1,]",
		                           "{\"a\":}",
		                           "{a: 1}",
		                           "01",
		                           "1.",
		                           ".5",
		                           "+1",
		                           "'a'",
		                           "\"a",
		                           "\"\\x\"",
		                           "\"\n\"",
		                           "nul",
		                           "1 2",
		                           "{\"a\" 1}",
		                           "[1 2]",
		                           "\"\xff\"",
		                           "\"\xed\xa0\x80\"",
		                           "\"\\u12g4\"",
		                           "{\"a\": 1,}",
		                           "0x10" };
	size_t at;

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(good); i++)
		assert_true(text_is_json(good[i], strlen(good[i]), &at));
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(bad); i++)
		assert_false(text_is_json(bad[i], strlen(bad[i]), &at));
	assert_true(numbers_are_exact("{\"1e5\": 9007199254740992, \"b\": 1.5}", 34));
	assert_false(numbers_are_exact("[9007199254740993]", 18));
	assert_false(numbers_are_exact("[1e5]", 5));
}

static int begin(void **state)
{
	struct oracle *o = calloc(1, sizeof(*o));

	assert_non_null(o);
	guard_init(&o->guard);
	tape_arena_init(&o->arena, NULL, 0, (size_t)256 << 20);
	assert_int_equal(tape_secrets_init(&o->secrets, &o->lock), 0);
	tape_buf_init(&o->line, NULL, 0, LIMIT);
	tape_buf_init(&o->plain, NULL, 0, LIMIT);
	tape_buf_init(&o->astral, NULL, 0, LIMIT);
	tape_buf_init(&o->emitted, NULL, 0, LIMIT);
	if (getenv("TAPE_ORACLE_TRACE") != NULL) {
		o->trace = fopen(getenv("TAPE_ORACLE_TRACE"), "w");
		assert_non_null(o->trace);
		fputs("- {\"p11tape\": 1}\n", o->trace);
	}
	*state = o;
	return 0;
}

static int end(void **state)
{
	struct oracle *o = *state;

	guard_done(&o->guard);
	tape_arena_done(&o->arena);
	tape_buf_done(&o->line);
	tape_buf_done(&o->plain);
	tape_buf_done(&o->astral);
	tape_buf_done(&o->emitted);
	if (o->trace != NULL)
		assert_int_equal(fclose(o->trace), 0);
	free(o);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_is_checked_strictly),
		cmocka_unit_test(any_text),
		cmocka_unit_test(every_variant_of_every_shape),
		cmocka_unit_test(random_calls),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
