/* SPDX-License-Identifier: MIT
 *
 * What is captured of a call, spelled, read and answered is the call: for every function, every shape
 * of argument, every structure and every attribute, in a caller's memory that ends at guard pages.
 *
 * Each case makes a call (support/generate.h), lets a module answer it, and then: the inputs read back
 * equal those of the call, and print the same; the outputs likewise; answered into the memory as it was
 * before the call, they leave what the module left, and touch nothing else; answered into the same call
 * made elsewhere with other garbage in it, they do the same there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/answer.h"
#include "core/capture.h"
#include "core/compare.h"
#include "core/parse.h"
#include "core/print.h"
#include "core/stage.h"
#include "core/yaml_read.h"
#include "replayer/plan.h"
#include "tests/unit/support/generate-values.h"
#include "tests/unit/support/mutate.h"
#include "tests/unit/support/text.h"

#define IMAGE_SIZE ((size_t)32 << 20)
#define ARENA_LIMIT ((size_t)256 << 20)

/* What has come up, by the rows: a row that nothing exercises fails the last test. */
struct coverage {
	size_t cases, lost, plans, filled;
	size_t functions[TAPE_FN_COUNT], kinds[TAPE_K_COUNT];
	size_t records_in[TAPE_R_COUNT], records_out[TAPE_R_COUNT];
	size_t fields_in[1024], fields_out[1024];
	size_t attributes[512], attributes_out[512];
	size_t mechanisms[1024];
	size_t forms_in[TAPE_V_LOST + 1], forms_out[TAPE_V_LOST + 1];
};

/* One side: a call, and what is made of it. */
struct side {
	struct guard guard;
	struct call call;
	unsigned char *before, *after, *expected;
};

struct trip {
	struct side first, second;
	struct tape_arena arena, read;
	struct tape_lock lock;
	struct tape_secrets secrets;
	struct tape_bindings bindings;
	struct tape_buf in, out, again, line;
	struct coverage seen;
	int fd;
	char what[200]; /* the case, for who fails */
};

/* ---- failing -------------------------------------------------------------------------------- */

static void give_up(struct trip *t, const char *sentence)
{
	fail_msg("%s: %s\n  in:  %.*s\n  out: %.*s", t->what, sentence,
	         (int)(t->in.length < 2000 ? t->in.length : 2000), t->in.data,
	         (int)(t->out.length < 2000 ? t->out.length : 2000), t->out.data);
}

#define CHECK(t, condition)                       \
	do {                                      \
		if (!(condition))                 \
			give_up((t), #condition); \
	} while (0)

static void compare_images(struct trip *t, const struct side *side, const char *when)
{
	const unsigned char *expected = side->expected;

	for (size_t i = 0; i < side->guard.count; i++) {
		const struct guard_block *block = &side->guard.blocks[i];
		for (size_t j = 0; j < block->size; j++) {
			char sentence[200];
			if (block->memory[j] == expected[j])
				continue;
			snprintf(sentence, sizeof(sentence),
			         "%s, byte %zu of %zu in block %zu is %02x, should be %02x", when,
			         j, block->size, i, block->memory[j], expected[j]);
			give_up(t, sentence);
		}
		expected += block->size;
	}
	if (!guard_is_intact(&side->guard))
		give_up(t, "something was written before a block");
}

/* ---- coverage ------------------------------------------------------------------------------- */

static void see_template(struct trip *t, const struct tape_value *value, bool output,
                         const struct tape_value *types);
static void see_mechanism(struct trip *t, const struct tape_value *value, bool output);

static void see_record(struct trip *t, const struct tape_value *value, bool output)
{
	const struct tape_record *record = &tape_records[value->record];
	size_t *fields = output ? t->seen.fields_out : t->seen.fields_in;

	(output ? t->seen.records_out : t->seen.records_in)[value->record]++;
	for (size_t i = 0; i < value->count; i++) {
		const struct tape_value *child = tape_value_child(value, i);
		const struct tape_field *field = &tape_fields[record->first + i];
		if (child->form == TAPE_V_ABSENT)
			continue;
		fields[record->first + i]++;
		if (child->form == TAPE_V_RECORD)
			see_record(t, child, output);
		else if (field->kind == TAPE_F_P_TEMPLATE)
			see_template(t, child, output, NULL);
		else if (field->kind == TAPE_F_P_MECHANISM)
			see_mechanism(t, child, output);
		else if (child->form == TAPE_V_LIST)
			for (size_t j = 0; j < child->count; j++)
				if (tape_value_child(child, j)->form == TAPE_V_RECORD)
					see_record(t, tape_value_child(child, j), output);
	}
}

static void see_mechanism(struct trip *t, const struct tape_value *value, bool output)
{
	if (value->form != TAPE_V_MECHANISM)
		return;
	const struct tape_mechanism *row = tape_mechanism_find(value->tag);
	if (row != NULL)
		t->seen.mechanisms[row - tape_mechanisms]++;
	(output ? t->seen.forms_out : t->seen.forms_in)[tape_value_child(value, 0)->form]++;
	if (tape_value_child(value, 0)->form == TAPE_V_RECORD)
		see_record(t, tape_value_child(value, 0), output);
}

static void see_template(struct trip *t, const struct tape_value *value, bool output,
                         const struct tape_value *types)
{
	for (size_t i = 0; value->form == TAPE_V_LIST && i < value->count; i++) {
		const struct tape_value *entry = tape_value_child(value, i);
		uint64_t type = types == NULL ? entry->tag : tape_value_child(types, i)->tag;
		const struct tape_attribute *row = tape_attribute_find(type);
		(output ? t->seen.forms_out : t->seen.forms_in)[entry->form]++;
		if (row != NULL && entry->form == TAPE_V_BYTES)
			(output ? t->seen.attributes_out
			        : t->seen.attributes)[row - tape_attributes]++;
		if (entry->form == TAPE_V_LIST) {
			if (row != NULL)
				(output ? t->seen.attributes_out
				        : t->seen.attributes)[row - tape_attributes]++;
			see_template(t, entry, output, NULL);
		}
	}
}

static void see(struct trip *t, const struct tape_function *function,
                const struct tape_value *values, bool output, const struct tape_value *in)
{
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_value *value = &values[i];
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		(output ? t->seen.forms_out : t->seen.forms_in)[value->form]++;
		t->seen.kinds[function->arguments[i].kind]++;
		if (shape->codec == TAPE_C_TEMPLATE)
			see_template(t, value, output, output ? &in[i] : NULL);
		else if (shape->codec == TAPE_C_MECHANISM)
			see_mechanism(t, value, output);
		else if (value->form == TAPE_V_RECORD && value->record != TAPE_R_NONE)
			see_record(t, value, output);
	}
}

/* ---- the trip ------------------------------------------------------------------------------- */

/* A half's values, as trace.c hands them on. Sets *ret_map to NULL where there are none. */
static int find_map(const struct tape_node *item, const char *key, const struct tape_node **ret_map,
                    struct tape_error *error)
{
	*ret_map = tape_node_get(item, key);
	if (*ret_map == NULL || (*ret_map)->type == TAPE_NODE_MAPPING)
		return 0;
	return tape_error_set(error, TAPE_E_INVALID, (*ret_map)->line, "'%s' is a mapping", key);
}

/*
 * Read inputs and outputs from two record lines. Returns 0, or what the reader or the parser returned;
 * *ret_in_good says whether that was for the outputs.
 */
static int read_halves(struct trip *t, const struct tape_function *function,
                       const struct tape_buf *in_text, const struct tape_buf *out_text,
                       struct tape_value *in, struct tape_value *out, bool *ret_in_good,
                       struct tape_error *error)
{
	struct tape_parse parse = { &t->read, NULL, error };
	const struct tape_node *map;
	struct tape_node *item;
	struct tape_yaml *yaml;

	t->line.length = 0;
	TAPE_PUT(&t->line, "- {");
	if (in_text->length != 0)
		TAPE_PUT(&t->line, "\"in\": ");
	tape_put(&t->line, in_text->data, in_text->length);
	TAPE_PUT(&t->line, "}\n- {");
	if (out_text->length != 0)
		TAPE_PUT(&t->line, "\"out\": ");
	tape_put(&t->line, out_text->data, out_text->length);
	TAPE_PUT(&t->line, "}\n");
	text_refill(t->fd, t->line.data, t->line.length);

	*ret_in_good = false;
	int result = tape_yaml_open(&yaml, t->fd, 0, UINT64_MAX, 1, error);
	if (result < 0)
		return result;
	result = tape_yaml_next(yaml, &t->read, &item, error);
	if (result == 1 && (result = find_map(item, "in", &map, error)) == 0)
		result = tape_parse_in(&parse, function, map, 1, in);
	if (result == 0) {
		*ret_in_good = true;
		result = tape_yaml_next(yaml, &t->read, &item, error);
	}
	if (result == 1 && (result = find_map(item, "out", &map, error)) == 0)
		result = tape_parse_out(&parse, function, map, 2, in, out);
	if (result == 0)
		result = tape_yaml_next(yaml, &t->read, &item, error);
	tape_yaml_close(yaml);
	return result;
}

/* Read the two lines that were printed. */
static void read_lines(struct trip *t, const struct tape_function *function, struct tape_value *in,
                       struct tape_value *out)
{
	struct tape_error error = { 0 };
	bool in_good;

	if (read_halves(t, function, &t->in, &t->out, in, out, &in_good, &error) != 0)
		give_up(t, error.sentence);
}

static void prints_the_same(struct trip *t, const struct tape_function *function,
                            const struct tape_value *values, bool output,
                            const struct tape_buf *text)
{
	t->again.length = 0;
	tape_print_values(&t->again, function, values, output);
	if (t->again.length == text->length &&
	    (text->length == 0 || memcmp(t->again.data, text->data, text->length) == 0))
		return;
	TAPE_PUT(&t->again, "\0");
	give_up(t, t->again.data);
}

/* What the memory of `side` must be in the end: as before, but for what the module wrote in `t->first`. */
static void expect(struct trip *t, struct side *side)
{
	size_t starts[GUARD_MAX_BLOCKS] = { 0 };
	size_t start = 0;

	for (size_t i = 0; i < t->first.guard.count; i++) {
		starts[i] = start;
		start += t->first.guard.blocks[i].size;
	}
	memcpy(side->expected, side->before, guard_size(&side->guard));
	for (size_t i = 0; i < t->first.call.written_count; i++) {
		const struct span *span = &t->first.call.written[i];
		size_t block;
		size_t offset;
		CHECK(t, guard_find(&t->first.guard, span->memory, span->size, &block, &offset));
		memcpy(side->expected + starts[block] + offset,
		       t->first.after + starts[block] + offset, span->size);
	}
}

static struct tape_capture capture_of(struct trip *t, struct call *call, bool secrets,
                                      bool snapshot)
{
	return (struct tape_capture){ .arena = &t->arena,
		                      .secrets = &t->secrets,
		                      .redact = secrets ? TAPE_REDACT_PIN : TAPE_REDACT_NONE,
		                      .snapshot = snapshot,
		                      .message_record = generate_message_record,
		                      .context = call };
}

static void copy_text(struct tape_buf *to, const struct tape_buf *from)
{
	to->length = 0;
	tape_put(to, from->data, from->length);
}

/* The replayer's short way must do what the general way does: here where it was recorded, below elsewhere. */
static void play_by_plan(struct trip *t, const struct tape_function *function,
                         const struct tape_value *in, const struct tape_value *out)
{
	struct side *first = &t->first;
	struct plan plan;
	plan_make(&plan, &t->read, function, in, out);
	if (plan.checks == NULL)
		return;
	t->seen.plans++;
	guard_load(&first->guard, first->before);
	CHECK(t, plan_equals(&plan, first->call.words));
	plan_answer(&plan, first->call.words);
	expect(t, first);
	compare_images(t, first, "after the planned answer");
}

/* A plan may only say that a call is the recorded one where comparing says so too. */
static void plan_is_not_fooled(struct trip *t, const struct tape_function *function,
                               const struct tape_value *in, const struct tape_value *out,
                               const uintptr_t *words, const struct tape_value *live)
{
	struct tape_compare compare = { .bindings = NULL };
	struct plan plan;
	/* A plan trusts an argument's own pointer. */
	for (size_t i = 0; i < function->count; i++)
		if (live[i].form == TAPE_V_LOST)
			return;
	plan_make(&plan, &t->read, function, in, out);
	if (!plan_equals(&plan, words))
		return;
	CHECK(t, tape_compare_in(&compare, function, in, live) == -1);
}

static bool any_secret(void *context, const struct tape_value *secret, const void **ret_bytes,
                       size_t *ret_length)
{
	static const char value[] = "a secret";
	(void)context;
	(void)secret;
	*ret_bytes = value;
	*ret_length = sizeof(value);
	return true;
}

static CK_RV any_mutex(CK_VOID_PTR mutex)
{
	(void)mutex;
	return CKR_OK;
}

static CK_RV any_new_mutex(CK_VOID_PTR_PTR ret_mutex)
{
	(void)ret_mutex;
	return CKR_OK;
}

static CK_RV any_notify(CK_SESSION_HANDLE session, CK_NOTIFICATION event, CK_VOID_PTR application)
{
	(void)session;
	(void)event;
	(void)application;
	return CKR_OK;
}

static void stage_it(struct trip *t, const struct tape_function *function,
                     const struct tape_value *read_in)
{
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	struct tape_compare compare = { .bindings = NULL };
	struct tape_stage stage = { .arena = &t->read,
		                    .mutexes = { .CreateMutex = any_new_mutex,
		                                 .DestroyMutex = any_mutex,
		                                 .LockMutex = any_mutex,
		                                 .UnlockMutex = any_mutex },
		                    .notify = any_notify,
		                    .secret = any_secret };
	CHECK(t, tape_stage_in(&stage, function, read_in, words) == 0);
	struct tape_capture capture = capture_of(t, &t->first.call, false, false);
	tape_capture_in(&capture, function, words, live);
	CHECK(t, !capture.lost);
	CHECK(t, tape_compare_in(&compare, function, read_in, live) == -1);
}

static void round_trip(struct trip *t, const struct tape_function *function, size_t focus,
                       size_t variant, enum act act, uint64_t seed)
{
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_value read_in[TAPE_MAX_ARGUMENTS];
	struct tape_value read_out[TAPE_MAX_ARGUMENTS];
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	struct side *first = &t->first;
	struct side *second = &t->second;
	struct tape_compare compare = { .bindings = NULL };

	snprintf(t->what, sizeof(t->what), "%s, argument %zu, variant %zu, act %d, seed %llu",
	         function->name.text, focus, variant, (int)act, (unsigned long long)seed);
	tape_arena_reset(&t->arena);
	tape_arena_reset(&t->read);
	tape_secrets_forget(&t->secrets);
	t->in.length = t->out.length = 0;
	t->seen.cases++;
	t->seen.functions[function - tape_functions]++;

	/* Record it. */
	generate_call(&first->call, &first->guard, function, focus, variant, seed, ~seed);
	CHECK(t, guard_size(&first->guard) <= IMAGE_SIZE);
	guard_save(&first->guard, first->before);
	size_t blocks = first->guard.count;
	struct tape_capture capture = capture_of(t, &first->call, true, true);
	tape_capture_in(&capture, function, first->call.words, in);
	bool any = tape_print_values(&t->in, function, in, false);
	CHECK(t, !t->in.failed && any == (t->in.length != 0));
	memcpy(first->expected, first->before, guard_size(&first->guard));
	compare_images(t, first, "after capture_in");
	CK_RV rv = generate_act(&first->call, act);
	guard_save(&first->guard, first->after);
	tape_capture_out(&capture, function, first->call.words, in, rv, out);
	any = tape_print_values(&t->out, function, out, true);
	CHECK(t, !t->out.failed && any == (t->out.length != 0));
	if (act == ACT_CLEAN)
		CHECK(t, !any);
	t->seen.lost += capture.lost;
	/* The recorder's way: structures that are all output are printed where they lie. */
	capture.images = true;
	tape_capture_out(&capture, function, first->call.words, in, rv, live);
	prints_the_same(t, function, live, true, &t->out);
	memcpy(first->expected, first->after, guard_size(&first->guard));
	compare_images(t, first, "after capture_out");

	/* Read it. */
	read_lines(t, function, read_in, read_out);
	prints_the_same(t, function, read_in, false, &t->in);
	prints_the_same(t, function, read_out, true, &t->out);
	CHECK(t, tape_compare_out(function, out, read_out) == -1);
	see(t, function, read_in, false, NULL);
	see(t, function, read_out, true, read_in);

	/* Issue it again: what is staged is what was recorded. */
	if (!capture.lost && !first->call.keeps_pointers)
		stage_it(t, function, read_in);

	/* Play it where it was recorded; what a module made of its own is not the caller's memory. */
	first->guard.count = blocks;
	guard_load(&first->guard, first->before);
	struct tape_capture recapture = capture_of(t, &first->call, true, true);
	tape_capture_in(&recapture, function, first->call.words, live);
	prints_the_same(t, function, live, false, &t->in);
	CHECK(t, tape_compare_in(&compare, function, read_in, live) == -1);
	CHECK(t, tape_answer(NULL, function, first->call.words, live, read_out) == 0);
	expect(t, first);
	compare_images(t, first, "after the answer");

	/* Recording what is played gives what is played. Discovery is not played from here. */
	if (!function->finds) {
		tape_capture_out(&recapture, function, first->call.words, live, rv, out);
		prints_the_same(t, function, out, true, &t->out);
		recapture.images = true;
		tape_capture_out(&recapture, function, first->call.words, live, rv, out);
		prints_the_same(t, function, out, true, &t->out);
		play_by_plan(t, function, read_in, read_out);
	}

	/* Play it elsewhere. */
	generate_call(&second->call, &second->guard, function, focus, variant, seed, seed * 3);
	guard_save(&second->guard, second->before);
	if (first->call.keeps_pointers)
		return;
	struct tape_capture again = capture_of(t, &second->call, true, false);
	tape_capture_in(&again, function, second->call.words, live);
	prints_the_same(t, function, live, false, &t->in);
	struct tape_capture elsewhere = capture_of(t, &second->call, false, false);
	tape_capture_in(&elsewhere, function, second->call.words, live);
	tape_bindings_done(&t->bindings);
	compare = (struct tape_compare){ .bindings = &t->bindings, .bind = true };
	CHECK(t, tape_compare_in(&compare, function, read_in, live) == -1);
	CHECK(t, tape_compare_in(&compare, function, read_in, live) == -1);
	CHECK(t, tape_answer(NULL, function, second->call.words, live, read_out) == 0);
	expect(t, second);
	compare_images(t, second, "after the answer elsewhere");

	/* And another call of the same function, most of the time. */
	if (function->finds)
		return;
	generate_call(&second->call, &second->guard, function, TAPE_MAX_ARGUMENTS, 0, seed + 1,
	              seed * 5);
	struct tape_capture other = capture_of(t, &second->call, false, false);
	tape_capture_in(&other, function, second->call.words, live);
	plan_is_not_fooled(t, function, read_in, read_out, second->call.words, live);
}

/* ---- every row ------------------------------------------------------------------------------ */

/* Large tables of variants are gone through once for each shape, and sampled elsewhere. */
#define FEW_VARIANTS 300

static void every_variant(struct trip *t, const struct tape_function *function, size_t focus,
                          bool whole)
{
	const struct tape_argument *argument = &function->arguments[focus];
	size_t variants = generate_variants(argument);
	bool writes = false;

	for (size_t i = 0; i < function->count; i++)
		writes |= (tape_shapes[function->arguments[i].kind].traits & TAPE_T_OUT) != 0;
	for (size_t variant = 0; variant < variants; variant++) {
		uint64_t seed = (uint64_t)(function - tape_functions) << 40 |
		                (uint64_t)focus << 32 | (uint64_t)variant << 8;
		enum act turn = (enum act)((variant + focus) % ACT_COUNT);
		bool many = variants > FEW_VARIANTS;
		if (!whole && variant >= FEW_VARIANTS && variant % 7 != focus % 7)
			continue;
		/* Where there is much of it, each act has its turn, and two are always tried. */
		for (enum act act = ACT_OK; act < ACT_COUNT; act++)
			if (writes ? act == turn || (!many && whole) ||
			                     (whole && (act == ACT_OK || act == ACT_DIRTY))
			           : act == ACT_OK)
				round_trip(t, function, focus, variant, act, seed + act);
	}
}

static void every_function_every_variant(void **state)
{
	struct trip *t = *state;
	bool done[TAPE_K_COUNT] = { false };

	for (size_t f = 0; f < TAPE_FN_COUNT; f++) {
		const struct tape_function *function = &tape_functions[f];
		for (size_t i = 0; i < function->count; i++) {
			every_variant(t, function, i, !done[function->arguments[i].kind]);
			done[function->arguments[i].kind] = true;
		}
	}
}

static void any_calls(void **state)
{
	struct trip *t = *state;
	struct dice dice = { 20261121 };

	for (size_t i = 0; i < 20000; i++) {
		const struct tape_function *function =
			&tape_functions[dice_pick(&dice, TAPE_FN_COUNT)];
		round_trip(t, function, TAPE_MAX_ARGUMENTS, 0,
		           (enum act)dice_pick(&dice, ACT_COUNT), dice_roll(&dice));
	}
}

/* Strings so short that made up ones are alike by chance, and then have one name where there were two. */
#define SHORT 8

static bool has_short_secret(const struct tape_value *value)
{
	if (value->form == TAPE_V_SECRET)
		return value->number < SHORT;
	if (value->form != TAPE_V_LIST && value->form != TAPE_V_RECORD &&
	    value->form != TAPE_V_MECHANISM)
		return false;
	for (size_t i = 0; i < value->count; i++)
		if (has_short_secret(tape_value_child(value, i)))
			return true;
	return false;
}

/*
 * What is redacted reads back, is taken for what the program presents, and a recording of its replay is the
 * recording. What the module wrote is not in it: bytes of the same lengths are.
 */
static void redacted_trip(struct trip *t, const struct tape_function *function, unsigned int policy,
                          enum act act, uint64_t seed)
{
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_value read_in[TAPE_MAX_ARGUMENTS];
	struct tape_value read_out[TAPE_MAX_ARGUMENTS];
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	struct side *first = &t->first;
	struct side *second = &t->second;
	bool fixed = true;

	snprintf(t->what, sizeof(t->what), "%s, policy %s, act %d, seed %llu", function->name.text,
	         tape_redact_text(policy), (int)act, (unsigned long long)seed);
	tape_arena_reset(&t->arena);
	tape_arena_reset(&t->read);
	tape_secrets_forget(&t->secrets);
	tape_bindings_done(&t->bindings);
	t->in.length = t->out.length = 0;
	generate_call(&first->call, &first->guard, function, TAPE_MAX_ARGUMENTS, 0, seed, ~seed);
	struct tape_capture capture = capture_of(t, &first->call, true, true);
	capture.redact = policy;
	tape_capture_in(&capture, function, first->call.words, in);
	tape_print_values(&t->in, function, in, false);
	CK_RV rv = generate_act(&first->call, act);
	tape_capture_out(&capture, function, first->call.words, in, rv, out);
	tape_print_values(&t->out, function, out, true);
	read_lines(t, function, read_in, read_out);
	prints_the_same(t, function, read_in, false, &t->in);
	prints_the_same(t, function, read_out, true, &t->out);
	CHECK(t, tape_compare_out(function, out, read_out) == -1);
	for (size_t i = 0; i < function->count; i++)
		fixed &= !has_short_secret(&out[i]);

	/* With the same garbage as there: what it happens to equal would not be told as written. */
	generate_call(&second->call, &second->guard, function, TAPE_MAX_ARGUMENTS, 0, seed, ~seed);
	if (first->call.keeps_pointers || function->finds)
		return;
	struct tape_capture player = capture_of(t, &second->call, false, false);
	struct tape_compare compare = { .bindings = &t->bindings, .part = 1, .bind = true };
	tape_capture_in(&player, function, second->call.words, live);
	CHECK(t, tape_compare_in(&compare, function, read_in, live) == -1);
	CHECK(t, tape_compare_in(&compare, function, read_in, live) == -1);
	tape_secrets_forget(&t->secrets);
	struct tape_capture again = capture_of(t, &second->call, true, true);
	again.redact = policy;
	tape_capture_in(&again, function, second->call.words, in);
	prints_the_same(t, function, in, false, &t->in);
	t->seen.filled += tape_answer(&compare, function, second->call.words, live, read_out) != 0;
	CHECK(t, guard_is_intact(&second->guard));
	tape_capture_out(&again, function, second->call.words, in, rv, out);
	if (fixed)
		prints_the_same(t, function, out, true, &t->out);
}

static void what_is_redacted_is_played(void **state)
{
	struct trip *t = *state;
	struct dice dice = { 20261122 };

	for (size_t i = 0; i < 40000; i++) {
		const struct tape_function *function =
			&tape_functions[dice_pick(&dice, TAPE_FN_COUNT)];
		enum act act = (enum act)dice_pick(&dice, ACT_COUNT);
		redacted_trip(t, function, i % 2 ? TAPE_REDACT_ALL : TAPE_REDACT_SECRET, act,
		              dice_roll(&dice));
	}
	assert_true(t->seen.filled > 500);
	tape_bindings_done(&t->bindings);
}

/* ---- how it is spelled ---------------------------------------------------------------------- */

static const char *spell_in(struct trip *t, enum tape_function_id id, bool secrets,
                            const uintptr_t *words, struct tape_value *in)
{
	struct tape_capture capture = capture_of(t, &t->first.call, secrets, true);

	tape_arena_reset(&t->arena);
	t->in.length = 0;
	tape_capture_in(&capture, &tape_functions[id], words, in);
	tape_print_values(&t->in, &tape_functions[id], in, false);
	tape_put_char(&t->in, 0);
	return t->in.data;
}

static const char *spell_out(struct trip *t, enum tape_function_id id, const uintptr_t *words,
                             const struct tape_value *in, CK_RV rv)
{
	struct tape_capture capture = capture_of(t, &t->first.call, true, true);
	struct tape_value out[TAPE_MAX_ARGUMENTS];

	t->out.length = 0;
	tape_capture_out(&capture, &tape_functions[id], words, in, rv, out);
	tape_print_values(&t->out, &tape_functions[id], out, true);
	tape_put_char(&t->out, 0);
	return t->out.data;
}

static void pins_have_names(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	char pin[] = "1234";
	char other[] = "1235";
	char same[] = "1234";
	const uintptr_t set[] = { 7, (uintptr_t)pin, 4, (uintptr_t)same, 4 };
	const uintptr_t change[] = { 7, (uintptr_t)pin, 4, (uintptr_t)other, 4 };
	const uintptr_t visible[] = { 7, 0, 0, (uintptr_t)pin, 0 };
	const uintptr_t pad[] = { 7, CKU_USER, 0, 4 };

	tape_secrets_forget(&t->secrets);
	assert_string_equal(spell_in(t, TAPE_FN_C_SetPIN, true, set, in),
	                    "{\"hSession\": 7, \"pOldPin\": {\"secret\": \"pin-1\"}, "
	                    "\"pNewPin\": {\"secret\": \"pin-1\"}}");
	assert_string_equal(spell_in(t, TAPE_FN_C_SetPIN, true, change, in),
	                    "{\"hSession\": 7, \"pOldPin\": {\"secret\": \"pin-1\"}, "
	                    "\"pNewPin\": {\"secret\": \"pin-2\"}}");
	assert_string_equal(spell_in(t, TAPE_FN_C_SetPIN, true, visible, in),
	                    "{\"hSession\": 7, \"pOldPin\": null, \"pNewPin\": {\"hex\": \"\"}}");
	assert_string_equal(
		spell_in(t, TAPE_FN_C_Login, true, pad, in),
		"{\"hSession\": 7, \"userType\": \"CKU_USER\", \"pPin\": {\"len\": 4}}");
	assert_string_equal(spell_in(t, TAPE_FN_C_SetPIN, false, change, in),
	                    "{\"hSession\": 7, \"pOldPin\": {\"text\": \"1234\"}, "
	                    "\"pNewPin\": {\"text\": \"1235\"}}");
}

/* A name is bound to what is presented for it first, and demands it from then on. */
static void a_secret_is_bound_once(void **state)
{
	struct trip *t = *state;
	const struct tape_function *function = &tape_functions[TAPE_FN_C_SetPIN];
	struct tape_compare compare = { .bindings = &t->bindings, .bind = true };
	struct tape_value first[TAPE_MAX_ARGUMENTS];
	struct tape_value second[TAPE_MAX_ARGUMENTS];
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	char pins[3][5] = { "1111", "2222", "3333" };
	uintptr_t words[] = { 7, (uintptr_t)pins[0], 4, (uintptr_t)pins[1], 4 };

	tape_secrets_forget(&t->secrets);
	tape_bindings_done(&t->bindings);
	struct tape_capture recorder = capture_of(t, &t->first.call, true, true);
	struct tape_capture player = capture_of(t, &t->first.call, false, false);
	tape_arena_reset(&t->arena);
	tape_capture_in(&recorder, function, words, first); /* pin-1, pin-2 */
	words[3] = words[1];
	tape_capture_in(&recorder, function, words, second); /* pin-1, pin-1 */
	/* Two names are two values. */
	tape_capture_in(&player, function, words, live);
	assert_int_equal(tape_compare_in(&compare, function, first, live), 2);
	assert_int_equal(t->bindings.count, 0);
	words[1] = (uintptr_t)pins[2];
	tape_capture_in(&player, function, words, live);
	assert_int_equal(tape_compare_in(&compare, function, first, live), -1);
	assert_int_equal(t->bindings.count, 2);
	/* pin-1 is "3333" now. */
	assert_int_equal(tape_compare_in(&compare, function, second, live), 2);
	words[3] = words[1];
	tape_capture_in(&player, function, words, live);
	assert_int_equal(tape_compare_in(&compare, function, second, live), -1);
	words[1] = words[3] = (uintptr_t)pins[0];
	tape_capture_in(&player, function, words, live);
	assert_int_equal(tape_compare_in(&compare, function, second, live), 1);
	assert_int_equal(t->bindings.count, 2);

	/* Bound beforehand. */
	tape_bindings_done(&t->bindings);
	assert_int_equal(tape_bindings_add(&t->bindings, "pin-1", 5, pins[0], 4), 0);
	assert_int_equal(tape_compare_in(&compare, function, second, live), -1);
	words[1] = words[3] = (uintptr_t)pins[1];
	tape_capture_in(&player, function, words, live);
	assert_int_equal(tape_compare_in(&compare, function, second, live), 1);
	assert_int_equal(tape_bindings_add(&t->bindings, "a name that is longer than names are", 36,
	                                   pins[0], 4),
	                 -TAPE_E_LIMIT);
	while (t->bindings.count < TAPE_MAX_BINDINGS)
		assert_int_equal(tape_bindings_add(&t->bindings, "x", 1, &t->bindings.count,
		                                   sizeof(t->bindings.count)),
		                 0);
	assert_int_equal(tape_bindings_add(&t->bindings, "y", 1, "y", 1), -TAPE_E_LIMIT);
	tape_bindings_done(&t->bindings);
}

static void what_cannot_be_read_is_partial(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct guard *guard = &t->first.guard;

	guard_reset(guard);
	CK_RSA_PKCS_OAEP_PARAMS *oaep = guard_get(guard, sizeof(*oaep));
	*oaep = (CK_RSA_PKCS_OAEP_PARAMS){ CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED,
		                           guard_hole(guard), 5 };
	CK_MECHANISM *mechanism = guard_get(guard, sizeof(*mechanism));
	*mechanism = (CK_MECHANISM){ CKM_RSA_PKCS_OAEP, oaep, sizeof(*oaep) };
	uintptr_t words[] = { 1, (uintptr_t)mechanism, 2 };
	assert_string_equal(
		spell_in(t, TAPE_FN_C_EncryptInit, true, words, in),
		"{\"hSession\": 1, \"pMechanism\": {\"mechanism\": \"CKM_RSA_PKCS_OAEP\", "
		"\"parameter\": {\"as\": \"CK_RSA_PKCS_OAEP_PARAMS\", \"hashAlg\": "
		"\"CKM_SHA256\", \"mgf\": \"CKG_MGF1_SHA256\", \"source\": "
		"\"CKZ_DATA_SPECIFIED\", \"pSourceData\": {\"partial\": \"unreadable\"}}}, "
		"\"hKey\": 2}");
	oaep->ulSourceDataLen = (CK_ULONG)-1;
	assert_non_null(strstr(spell_in(t, TAPE_FN_C_EncryptInit, true, words, in),
	                       "{\"partial\": \"too long\"}"));
	mechanism->pParameter = guard_hole(guard);
	assert_non_null(strstr(spell_in(t, TAPE_FN_C_EncryptInit, true, words, in),
	                       "\"parameter\": {\"partial\": \"unreadable\"}"));
	words[1] = (uintptr_t)guard_hole(guard);
	assert_non_null(strstr(spell_in(t, TAPE_FN_C_EncryptInit, true, words, in),
	                       "\"pMechanism\": {\"partial\": \"unreadable\"}"));

	/* What an application passes itself is trusted while it is short. */
	uintptr_t bytes[] = { 1, (uintptr_t)mechanism, 1 << 20 };
	assert_string_equal(spell_in(t, TAPE_FN_C_DigestUpdate, true, bytes, in),
	                    "{\"hSession\": 1, \"pPart\": {\"partial\": \"unreadable\"}}");
	bytes[2] = TAPE_MAX_BYTES + 1;
	assert_string_equal(spell_in(t, TAPE_FN_C_DigestUpdate, true, bytes, in),
	                    "{\"hSession\": 1, \"pPart\": {\"partial\": \"too long\"}}");
	uintptr_t list[] = { 1, (uintptr_t)mechanism, TAPE_MAX_ELEMENTS + 1 };
	assert_string_equal(
		spell_in(t, TAPE_FN_C_FindObjectsInit, true, list, in),
		"{\"hSession\": 1, \"pTemplate\": {\"partial\": \"too many attributes\"}}");
	list[2] = TAPE_MAX_ELEMENTS;
	assert_string_equal(spell_in(t, TAPE_FN_C_FindObjectsInit, true, list, in),
	                    "{\"hSession\": 1, \"pTemplate\": {\"partial\": \"unreadable\"}}");
}

/* One secret more than can be told apart is not shown either, and takes no name that means something. */
static void secrets_may_run_out(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	unsigned int pin = 0;
	const uintptr_t words[] = { 1, (uintptr_t)&pin, sizeof(pin) };

	tape_secrets_forget(&t->secrets);
	for (; pin < TAPE_MAX_PINS; pin++)
		assert_non_null(
			strstr(spell_in(t, TAPE_FN_C_InitPIN, true, words, in), "\"secret\""));
	assert_string_equal(spell_in(t, TAPE_FN_C_InitPIN, true, words, in),
	                    "{\"hSession\": 1, \"pPin\": {\"secret\": \"many\"}}");
	pin = 3;
	assert_string_equal(spell_in(t, TAPE_FN_C_InitPIN, true, words, in),
	                    "{\"hSession\": 1, \"pPin\": {\"secret\": \"pin-4\"}}");
	tape_secrets_forget(&t->secrets);
}

/* Two layouts of one size, which an address tells apart that the other has as a length: even a low one. */
static void layouts_are_told_apart(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	CK_PKCS5_PBKD2_PARAMS2 newer = { .pPassword = (CK_UTF8CHAR *)(uintptr_t) "1234",
		                         .ulPasswordLen = 4 };
	static const uintptr_t addresses[] = { 0, 0x10000000, 0x3ff00000 };

	for (size_t i = 0; i < TAPE_ARRAY_SIZE(addresses); i++) {
		void *page = mmap((void *)addresses[i], 4096, PROT_READ | PROT_WRITE,
		                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		assert_ptr_not_equal(page, MAP_FAILED);
		CK_ULONG *length = page;
		CK_UTF8CHAR *password = (CK_UTF8CHAR *)(length + 1);
		*length = 5;
		for (unsigned char j = 0; j < 5; j++)
			password[j] = '1' + j;
		CK_PKCS5_PBKD2_PARAMS older = { .pPassword = password, .ulPasswordLen = length };
		CK_MECHANISM mechanism = { CKM_PKCS5_PBKD2, &older, sizeof(older) };
		uintptr_t words[] = { 1, (uintptr_t)&mechanism, 0, 0, 0 };
		const char *text = spell_in(t, TAPE_FN_C_GenerateKey, false, words, in);
		assert_non_null(strstr(text, "{\"as\": \"CK_PKCS5_PBKD2_PARAMS\""));
		assert_non_null(strstr(text, "{\"text\": \"12345\"}"));
		mechanism = (CK_MECHANISM){ CKM_PKCS5_PBKD2, &newer, sizeof(newer) };
		text = spell_in(t, TAPE_FN_C_GenerateKey, false, words, in);
		assert_non_null(strstr(text, "{\"as\": \"CK_PKCS5_PBKD2_PARAMS2\""));
		assert_non_null(strstr(text, "{\"text\": \"1234\"}"));
		munmap(page, 4096);
	}
}

/* NULL buffer, NULL length pointer, room offered, empty: four things. */
static void buffers_are_told_apart(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	unsigned char buffer[8] = { 0 };
	CK_ULONG length = 8;
	uintptr_t words[] = { 1, (uintptr_t)buffer, (uintptr_t)&length };
	uintptr_t found[] = { 1, 0, 0, (uintptr_t)&length };

	assert_string_equal(spell_in(t, TAPE_FN_C_SignFinal, true, words, in),
	                    "{\"hSession\": 1, \"pSignature\": {\"room\": 8}}");
	for (unsigned char i = 0; i < 3; i++)
		buffer[i] = i + 1;
	length = 3;
	assert_string_equal(spell_out(t, TAPE_FN_C_SignFinal, words, in, CKR_OK),
	                    "{\"pSignature\": {\"hex\": \"010203\"}}");
	length = 30;
	assert_string_equal(spell_out(t, TAPE_FN_C_SignFinal, words, in, CKR_BUFFER_TOO_SMALL),
	                    "{\"pSignature\": {\"len\": 30}}");
	assert_string_equal(spell_out(t, TAPE_FN_C_SignFinal, words, in, CKR_OK),
	                    "{\"pSignature\": {\"len\": 30, \"hex\": \"0102030000000000\"}}");
	length = 0;
	assert_string_equal(spell_out(t, TAPE_FN_C_SignFinal, words, in, CKR_OK),
	                    "{\"pSignature\": {\"hex\": \"\"}}");
	length = 8;
	assert_string_equal(spell_out(t, TAPE_FN_C_SignFinal, words, in, CKR_DEVICE_ERROR), "");
	words[1] = 0;
	assert_string_equal(spell_in(t, TAPE_FN_C_SignFinal, true, words, in),
	                    "{\"hSession\": 1, \"pSignature\": {\"room\": null}}");
	words[2] = 0;
	assert_string_equal(spell_in(t, TAPE_FN_C_SignFinal, true, words, in),
	                    "{\"hSession\": 1, \"pSignature\": null}");
	words[1] = (uintptr_t)buffer;
	assert_string_equal(spell_in(t, TAPE_FN_C_SignFinal, true, words, in),
	                    "{\"hSession\": 1, \"pSignature\": {\"room\": \"unstated\"}}");
	assert_string_equal(spell_in(t, TAPE_FN_C_FindObjects, true, found, in),
	                    "{\"hSession\": 1, \"phObject\": {\"room\": null, \"len\": 0}}");
	length = 5;
	assert_string_equal(spell_out(t, TAPE_FN_C_FindObjects, found, in, CKR_OK),
	                    "{\"phObject\": {\"len\": 5}}");
	found[1] = (uintptr_t)buffer;
	found[2] = 1;
	found[3] = 0;
	assert_string_equal(
		spell_in(t, TAPE_FN_C_FindObjects, true, found, in),
		"{\"hSession\": 1, \"phObject\": {\"room\": \"unstated\", \"len\": 1}}");
}

static void attributes_have_their_types(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	unsigned char short_number[] = { 3, 0, 0 };
	CK_BBOOL truth = CK_TRUE;
	CK_BBOOL odd = 0x55;
	CK_MECHANISM_TYPE mechanisms[] = { CKM_RSA_PKCS, 0x80123456, (CK_ULONG)-1 };
	CK_ATTRIBUTE inner[] = { { CKA_CLASS, &class, sizeof(class) } };
	CK_ATTRIBUTE list[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &truth, sizeof(truth) },
		{ CKA_PRIVATE, &odd, sizeof(odd) },
		{ CKA_LABEL, (void *)(uintptr_t) "k\xc3\xa4se \"1\"", 9 },
		{ CKA_LABEL, (void *)(uintptr_t) "a\n", 2 },
		{ CKA_START_DATE, (void *)(uintptr_t) "20261121", 8 },
		{ CKA_ID, NULL, 0 },
		{ CKA_ID, &class, 0 },
		{ CKA_MODULUS_BITS, short_number, sizeof(short_number) },
		{ CKA_MODULUS_BITS, NULL, sizeof(CK_ULONG) },
		{ CKA_ALLOWED_MECHANISMS, mechanisms, sizeof(mechanisms) },
		{ CKA_WRAP_TEMPLATE, inner, sizeof(inner) },
		{ 0x7fffffff, &truth, 1 },
	};
	uintptr_t words[] = { 1, 2, (uintptr_t)list, TAPE_ARRAY_SIZE(list) };

	assert_string_equal(
		spell_in(t, TAPE_FN_C_SetAttributeValue, true, words, in),
		"{\"hSession\": 1, \"hObject\": 2, \"pTemplate\": ["
		"{\"type\": \"CKA_CLASS\", \"ulong\": \"CKO_PRIVATE_KEY\"}, "
		"{\"type\": \"CKA_TOKEN\", \"bool\": true}, "
		"{\"type\": \"CKA_PRIVATE\", \"hex\": \"55\"}, "
		"{\"type\": \"CKA_LABEL\", \"text\": \"k\xc3\xa4se \\\"1\\\"\"}, "
		"{\"type\": \"CKA_LABEL\", \"hex\": \"610a\"}, "
		"{\"type\": \"CKA_START_DATE\", \"date\": \"20261121\"}, "
		"{\"type\": \"CKA_ID\", \"value\": null}, "
		"{\"type\": \"CKA_ID\", \"hex\": \"\"}, "
		"{\"type\": \"CKA_MODULUS_BITS\", \"hex\": \"030000\"}, "
		"{\"type\": \"CKA_MODULUS_BITS\", \"len\": \"ulong\"}, "
		"{\"type\": \"CKA_ALLOWED_MECHANISMS\", \"ulongs\": [\"CKM_RSA_PKCS\", "
		"\"0x80123456\", "
		"\"unavailable\"]}, "
		"{\"type\": \"CKA_WRAP_TEMPLATE\", \"template\": [{\"type\": \"CKA_CLASS\", "
		"\"ulong\": \"CKO_PRIVATE_KEY\"}]}, "
		"{\"type\": \"0x7fffffff\", \"hex\": \"01\"}]}");
}

static void a_partial_read_is_kept(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	CK_OBJECT_CLASS class = 77;
	static const char key[] = { 'k', 'e', 'y' };
	char label[8] = "garbage";
	CK_ULONG bits = 5;
	CK_ATTRIBUTE list[] = {
		{ CKA_CLASS, &class, sizeof(class) }, { CKA_VALUE, NULL, 12345 },
		{ CKA_LABEL, label, sizeof(label) },  { CKA_MODULUS_BITS, &bits, sizeof(bits) },
		{ CKA_WRAP_TEMPLATE, NULL, 0 },
	};
	uintptr_t words[] = { 1, 2, (uintptr_t)list, TAPE_ARRAY_SIZE(list) };

	assert_string_equal(spell_in(t, TAPE_FN_C_GetAttributeValue, true, words, in),
	                    "{\"hSession\": 1, \"hObject\": 2, \"pTemplate\": ["
	                    "{\"type\": \"CKA_CLASS\", \"room\": \"ulong\"}, "
	                    "{\"type\": \"CKA_VALUE\", \"room\": null}, "
	                    "{\"type\": \"CKA_LABEL\", \"room\": 8}, "
	                    "{\"type\": \"CKA_MODULUS_BITS\", \"room\": \"ulong\"}, "
	                    "{\"type\": \"CKA_WRAP_TEMPLATE\", \"room\": null}]}");
	class = CKO_SECRET_KEY;
	list[1].ulValueLen = CK_UNAVAILABLE_INFORMATION;
	memcpy(label, key, sizeof(key));
	list[2].ulValueLen = sizeof(key);
	list[4].ulValueLen = 2 * sizeof(CK_ATTRIBUTE);
	assert_string_equal(
		spell_out(t, TAPE_FN_C_GetAttributeValue, words, in, CKR_ATTRIBUTE_SENSITIVE),
		"{\"pTemplate\": [{\"ulong\": \"CKO_SECRET_KEY\"}, {\"len\": \"unavailable\"}, "
		"{\"text\": \"key\"}, {\"same\": true}, {\"len\": {\"template\": 2}}]}");
}

static void long_strings_come_in_pieces(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	size_t size = TAPE_PIECE + 1;
	char *data = malloc(size);
	uintptr_t words[] = { 1, (uintptr_t)data, size };

	assert_non_null(data);
	memset(data, 'a', size);
	const char *text = spell_in(t, TAPE_FN_C_DigestUpdate, true, words, in);
	assert_int_equal(strlen(text),
	                 strlen("{\"hSession\": 1, \"pPart\": {\"hex\": [\"\", \"\"]}}") +
	                         2 * size);
	assert_string_equal(text + strlen(text) - 12, "61\", \"61\"]}}");
	words[2]--;
	text = spell_in(t, TAPE_FN_C_DigestUpdate, true, words, in);
	assert_int_equal(strlen(text),
	                 strlen("{\"hSession\": 1, \"pPart\": {\"text\": \"\"}}") + TAPE_PIECE);
	free(data);
}

static void the_in_place_buffer_is_named(void **state)
{
	struct trip *t = *state;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	char data[16] = "in place";
	CK_ULONG length = sizeof(data);
	uintptr_t words[] = { 1, (uintptr_t)data, 8, (uintptr_t)data, (uintptr_t)&length };

	assert_string_equal(spell_in(t, TAPE_FN_C_Encrypt, true, words, in),
	                    "{\"hSession\": 1, \"pData\": {\"text\": \"in place\"}, "
	                    "\"pEncryptedData\": {\"room\": 16, \"at\": \"pData\"}}");
}

/* ---- what nobody wrote ---------------------------------------------------------------------- */

/* Whatever is written lies where a module may write in this call. */
static void only_what_is_writable(struct trip *t, struct side *side)
{
	unsigned char *allowed = side->after;
	size_t starts[GUARD_MAX_BLOCKS];
	size_t size = 0;

	for (size_t i = 0; i < side->guard.count; i++) {
		starts[i] = size;
		size += side->guard.blocks[i].size;
	}
	memset(allowed, 0, size);
	for (size_t i = 0; i < side->call.writable_count; i++) {
		const struct span *span = &side->call.writable[i];
		size_t block;
		size_t offset;
		if (span->size != 0 &&
		    guard_find(&side->guard, span->memory, span->size, &block, &offset))
			memset(allowed + starts[block] + offset, 1, span->size);
	}
	guard_save(&side->guard, side->expected);
	for (size_t i = 0; i < size; i++)
		if (!allowed[i])
			side->expected[i] = side->before[i];
	compare_images(t, side, "after the answer to something mutated");
}

/* What is read prints so that it reads and prints the same again. */
static void settles(struct trip *t, const struct tape_function *function,
                    const struct tape_value *in, const struct tape_value *out)
{
	struct tape_value in_again[TAPE_MAX_ARGUMENTS];
	struct tape_value out_again[TAPE_MAX_ARGUMENTS];

	t->in.length = t->out.length = 0;
	tape_print_values(&t->in, function, in, false);
	tape_print_values(&t->out, function, out, true);
	read_lines(t, function, in_again, out_again);
	prints_the_same(t, function, in_again, false, &t->in);
	prints_the_same(t, function, out_again, true, &t->out);
}

static void mutant(struct trip *t, struct dice *dice, struct tape_buf *in_text,
                   struct tape_buf *out_text, size_t *taken, size_t *answered)
{
	const struct tape_function *function = &tape_functions[dice_pick(dice, TAPE_FN_COUNT)];
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	struct side *side = &t->first;
	struct tape_compare compare = { .bindings = NULL };
	struct tape_error error = { 0 };
	uint64_t seed = dice_roll(dice);
	bool in_good;

	snprintf(t->what, sizeof(t->what), "mutant of %s, seed %llu", function->name.text,
	         (unsigned long long)seed);
	tape_arena_reset(&t->arena);
	tape_arena_reset(&t->read);
	t->in.length = t->out.length = 0;
	generate_call(&side->call, &side->guard, function, TAPE_MAX_ARGUMENTS, 0, seed, ~seed);
	guard_save(&side->guard, side->before);
	size_t blocks = side->guard.count;
	struct tape_capture capture = capture_of(t, &side->call, false, true);
	tape_capture_in(&capture, function, side->call.words, live);
	tape_print_values(&t->in, function, live, false);
	CK_RV rv = generate_act(&side->call, (enum act)dice_pick(dice, ACT_COUNT));
	tape_capture_out(&capture, function, side->call.words, live, rv, out);
	tape_print_values(&t->out, function, out, true);
	side->guard.count = blocks;
	guard_load(&side->guard, side->before);

	if (t->out.length == 0 || dice_pick(dice, 3) == 0) {
		mutate(dice, t->in.data, t->in.length, in_text);
		copy_text(out_text, &t->out);
	} else {
		mutate(dice, t->out.data, t->out.length, out_text);
		copy_text(in_text, &t->in);
	}
	if (read_halves(t, function, in_text, out_text, in, out, &in_good, &error) != 0) {
		CHECK(t, error.sentence[0] != 0);
		return;
	}
	++*taken;
	tape_capture_in(&capture, function, side->call.words, live);
	if (tape_compare_in(&compare, function, in, live) == -1) {
		++*answered;
		tape_answer(NULL, function, side->call.words, live, out);
		only_what_is_writable(t, side);
	}
	settles(t, function, in, out);
}

/* With whatever little memory: a line that can be read, and says what it lacks. */
static void memory_may_run_out(void **state)
{
	struct trip *t = *state;
	struct dice dice = { 3 };
	struct side *side = &t->first;
	size_t lost = 0;

	for (size_t i = 0; i < 20000; i++) {
		const struct tape_function *function =
			&tape_functions[dice_pick(&dice, TAPE_FN_COUNT)];
		_Alignas(16) static char storage[8192];
		struct tape_value in[TAPE_MAX_ARGUMENTS];
		struct tape_value out[TAPE_MAX_ARGUMENTS];
		struct tape_value live[TAPE_MAX_ARGUMENTS];
		struct tape_compare compare = { .bindings = NULL };
		struct tape_arena little;
		uint64_t seed = dice_roll(&dice);

		snprintf(t->what, sizeof(t->what), "%s with little memory, seed %llu",
		         function->name.text, (unsigned long long)seed);
		tape_arena_reset(&t->arena);
		tape_arena_reset(&t->read);
		tape_secrets_forget(&t->secrets);
		t->in.length = t->out.length = 0;
		tape_arena_init(&little, storage, i % 2 ? i % sizeof(storage) : i % 512, 0);
		generate_call(&side->call, &side->guard, function, TAPE_MAX_ARGUMENTS, 0, seed,
		              ~seed);
		guard_save(&side->guard, side->before);
		size_t blocks = side->guard.count;
		struct tape_capture capture = capture_of(t, &side->call, true, true);
		capture.arena = &little;
		capture.redact = i % 3 == 0 ? TAPE_REDACT_ALL : TAPE_REDACT_PIN;
		tape_capture_in(&capture, function, side->call.words, in);
		tape_print_values(&t->in, function, in, false);
		CK_RV rv = generate_act(&side->call, (enum act)dice_pick(&dice, ACT_COUNT));
		tape_capture_out(&capture, function, side->call.words, in, rv, out);
		tape_print_values(&t->out, function, out, true);
		lost += capture.lost;
		read_lines(t, function, in, out);
		prints_the_same(t, function, in, false, &t->in);
		prints_the_same(t, function, out, true, &t->out);

		side->guard.count = blocks;
		guard_load(&side->guard, side->before);
		struct tape_capture plenty = capture_of(t, &side->call, false, false);
		tape_capture_in(&plenty, function, side->call.words, live);
		CHECK(t, tape_compare_in(&compare, function, in, live) == -1);
		tape_answer(NULL, function, side->call.words, live, out);
		only_what_is_writable(t, side);
	}
	assert_in_range(lost, 1000, 19000);
}

static void mutants_do_no_harm(void **state)
{
	struct trip *t = *state;
	struct dice dice = { 1 };
	struct tape_buf in;
	struct tape_buf out;
	char storage[2][64];
	size_t count = text_setting("TAPE_MUTANTS", 100000);
	size_t taken = 0;
	size_t answered = 0;

	tape_buf_init(&in, storage[0], sizeof(storage[0]), ARENA_LIMIT);
	tape_buf_init(&out, storage[1], sizeof(storage[1]), ARENA_LIMIT);
	for (size_t i = 0; i < count; i++)
		mutant(t, &dice, &in, &out, &taken, &answered);
	tape_buf_done(&in);
	tape_buf_done(&out);
	print_message("%zu mutants: %zu could be read, %zu of them played\n", count, taken,
	              answered);
}

/* ---- coverage ------------------------------------------------------------------------------- */

/* Records that a call can show: those of mechanisms and shapes, and what these refer to. */
static void find_reachable(bool *reachable)
{
	memset(reachable, 0, TAPE_R_COUNT * sizeof(*reachable));
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		const struct tape_mechanism *row = &tape_mechanisms[i];
		reachable[row->record] = reachable[row->message_record] = true;
		reachable[row->wrap_record] = reachable[row->other_record] = true;
	}
	for (size_t i = 0; i < TAPE_K_COUNT; i++)
		if (tape_shapes[i].codec == TAPE_C_STRUCT)
			reachable[tape_shapes[i].detail] = true;
	/* A block stands after the blocks that it refers to. */
	for (size_t id = TAPE_R_COUNT; id-- > 1;)
		for (size_t i = 0; reachable[id] && i < tape_records[id].count; i++) {
			const struct tape_field *field = &tape_fields[tape_records[id].first + i];
			if (field->kind == TAPE_F_STRUCT || field->kind == TAPE_F_P_STRUCT ||
			    field->kind == TAPE_F_P_STRUCTS)
				reachable[field->detail] = true;
		}
	reachable[TAPE_R_NONE] = false;
}

static void every_row_came_up(void **state)
{
	struct trip *t = *state;
	const struct coverage *seen = &t->seen;
	bool reachable[TAPE_R_COUNT];
	size_t missing = 0;
	size_t counts[4] = { 0 };

	find_reachable(reachable);
	for (size_t i = 0; i < TAPE_FN_COUNT; i++)
		if (seen->functions[i] == 0)
			missing++, print_error("%s\n", tape_functions[i].name.text);
	for (size_t i = 0; i < TAPE_K_COUNT; i++)
		if (seen->kinds[i] == 0)
			missing++, print_error("%s\n", tape_shapes[i].name.text);
	for (size_t id = 1; id < TAPE_R_COUNT; id++) {
		const struct tape_record *record = &tape_records[id];
		counts[0] += reachable[id];
		if (!reachable[id])
			continue;
		if (seen->records_in[id] + seen->records_out[id] == 0)
			missing++, print_error("%s\n", record->name.text);
		for (size_t i = 0; i < record->count; i++) {
			const struct tape_field *field = &tape_fields[record->first + i];
			bool as_input = seen->fields_in[record->first + i] != 0;
			bool as_output = seen->fields_out[record->first + i] != 0;
			counts[1] += as_input || as_output;
			/* A length is implied; whose a pointer is that a module gives nobody says. */
			if (field->kind == TAPE_F_LENGTH ||
			    (field->kind == TAPE_F_P_OPAQUE && field->direction == TAPE_D_OUT))
				continue;
			if (!(as_input || field->direction == TAPE_D_OUT) ||
			    !(as_output || field->direction == TAPE_D_IN))
				missing++,
					print_error("%s.%s\n", record->name.text, field->name.text);
		}
	}
	for (size_t i = 0; i < tape_attribute_count; i++) {
		const struct tape_attribute *row = tape_attribute_find(tape_attributes[i].value);
		if (seen->attributes[row - tape_attributes] == 0 ||
		    seen->attributes_out[row - tape_attributes] == 0)
			missing++, print_error("%s\n", tape_attributes[i].name.text);
		counts[2] += seen->attributes[row - tape_attributes] != 0;
	}
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		const struct tape_mechanism *row = tape_mechanism_find(tape_mechanisms[i].value);
		if (seen->mechanisms[row - tape_mechanisms] == 0)
			missing++, print_error("%s\n", tape_mechanisms[i].name.text);
		counts[3] += seen->mechanisms[row - tape_mechanisms] != 0;
	}
	print_message("%zu cases, %zu of them with something lost: %d functions, %d shapes, "
	              "%zu structures, %zu fields, %zu attributes, %zu mechanisms\n",
	              seen->cases, seen->lost, TAPE_FN_COUNT, TAPE_K_COUNT, counts[0], counts[1],
	              counts[2], counts[3]);
	assert_true(seen->plans > seen->cases / 4);
	for (int form = TAPE_V_NULL; form <= TAPE_V_LOST; form++)
		if (form != TAPE_V_SAME && form != TAPE_V_IMAGE && seen->forms_in[form] == 0)
			missing++, print_error("form %d of an input\n", form);
	static const enum tape_form outputs[] = { TAPE_V_ABSENT, TAPE_V_NUMBER, TAPE_V_BYTES,
		                                  TAPE_V_LENGTH, TAPE_V_LIST,   TAPE_V_RECORD,
		                                  TAPE_V_RAW,    TAPE_V_SAME,   TAPE_V_MECHANISM };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(outputs); i++)
		if (seen->forms_out[outputs[i]] == 0)
			missing++, print_error("form %d of an output\n", outputs[i]);
	assert_int_equal(missing, 0);
}

/* ---- before and after ----------------------------------------------------------------------- */

static void make_side(struct side *side)
{
	guard_init(&side->guard);
	side->before = malloc(IMAGE_SIZE);
	side->after = malloc(IMAGE_SIZE);
	side->expected = malloc(IMAGE_SIZE);
	assert_true(side->before != NULL && side->after != NULL && side->expected != NULL);
}

static void end_side(struct side *side)
{
	guard_done(&side->guard);
	free(side->before);
	free(side->after);
	free(side->expected);
}

static int begin(void **state)
{
	struct trip *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	make_side(&t->first);
	make_side(&t->second);
	tape_arena_init(&t->arena, NULL, 0, ARENA_LIMIT);
	tape_arena_init(&t->read, NULL, 0, ARENA_LIMIT);
	assert_int_equal(tape_secrets_init(&t->secrets, &t->lock), 0);
	t->bindings.key[0] = 1;
	tape_buf_init(&t->in, NULL, 0, ARENA_LIMIT);
	tape_buf_init(&t->out, NULL, 0, ARENA_LIMIT);
	tape_buf_init(&t->again, NULL, 0, ARENA_LIMIT);
	tape_buf_init(&t->line, NULL, 0, ARENA_LIMIT);
	t->fd = text_file("", 0);
	*state = t;
	return 0;
}

static int end(void **state)
{
	struct trip *t = *state;

	end_side(&t->first);
	end_side(&t->second);
	tape_arena_done(&t->arena);
	tape_arena_done(&t->read);
	tape_buf_done(&t->in);
	tape_buf_done(&t->out);
	tape_buf_done(&t->again);
	tape_buf_done(&t->line);
	close(t->fd);
	free(t);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_function_every_variant),
		cmocka_unit_test(any_calls),
		cmocka_unit_test(what_is_redacted_is_played),
		cmocka_unit_test(every_row_came_up),
		cmocka_unit_test(mutants_do_no_harm),
		cmocka_unit_test(memory_may_run_out),
		cmocka_unit_test(pins_have_names),
		cmocka_unit_test(a_secret_is_bound_once),
		cmocka_unit_test(what_cannot_be_read_is_partial),
		cmocka_unit_test(secrets_may_run_out),
		cmocka_unit_test(layouts_are_told_apart),
		cmocka_unit_test(buffers_are_told_apart),
		cmocka_unit_test(attributes_have_their_types),
		cmocka_unit_test(a_partial_read_is_kept),
		cmocka_unit_test(long_strings_come_in_pieces),
		cmocka_unit_test(the_in_place_buffer_is_named),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
