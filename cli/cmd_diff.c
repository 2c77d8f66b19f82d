/* SPDX-License-Identifier: MIT
 *
 * p11tape diff: two recordings of the same program, one of them with something in the middle, side by side:
 * what does the middle change?
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/align.h"
#include "cli/cli.h"
#include "cli/lines.h"
#include "core/compare.h"
#include "core/set.h"
#include "core/varies.h"

static const char usage[] =
	"usage: p11tape diff [options] TRACE1 TRACE2\n"
	"\n"
	"Compares two recordings of the same program, made from the same state of the\n"
	"token: with one module and with another, or directly and through a proxy. Calls\n"
	"are aligned, handles of the second get the names of the first, and what differs\n"
	"from run to run by its nature does not count. The last line says whether the\n"
	"middle is transparent.\n"
	"\n"
	"  -U, --unified N    show N equal calls before each difference (default 2)\n"
	"      --match RULE   how an input is compared, as replay --match takes it\n"
	"      --rules FILE   such rules, as p11tape rules writes them\n"
	"      --format json  an object a line for each difference, and one for the whole\n"
	"      --help         print this\n"
	"\n"
	"Exit status: 0 where nothing differs; 1 where something does; 2 for unusable\n"
	"input.\n";

/* Of what differs in one call, so much is named. */
#define MAX_WHERE ((size_t)200)
#define MAX_CONTEXT 100

enum place_of { INPUT, OUTPUT };

struct diff {
	const char *paths[2];
	struct tape_rules rules;
	uint64_t context;
	bool json;

	struct tape_alignment alignment;
	struct tape_bindings bindings;
	struct tape_swaps swaps;    /* what the second module said otherwise, and may have */
	struct tape_map operations; /* by session: those whose outputs may differ */

	/* The call at hand. */
	const struct tape_aligned *call;
	bool varies; /* what it gives may differ */
	bool passed; /* it was given something that came out otherwise before */
	bool differs;
	struct tape_buf where; /* "pTemplate.CKA_ID, pTemplate.CKA_LABEL" */

	const struct tape_aligned
		*shown[MAX_CONTEXT]; /* equal calls before it that were not shown yet */
	size_t shown_count;
	bool any_header, in_hunk;

	uint64_t calls, differences, varied;
	char first[2 * PATH_MAX]; /* where the first difference is */
};

/* ---- what counts ----------------------------------------------------------------------------- */

static bool is_bytes(const struct tape_value *value)
{
	return value->form == TAPE_V_BYTES && value->length != 0;
}

/* Whether the program passes on what the module said otherwise. */
static bool is_passed_on(struct diff *diff, const struct tape_value *a, const struct tape_value *b)
{
	const void *other;
	size_t length;
	return is_bytes(a) && is_bytes(b) &&
	       tape_swaps_find(&diff->swaps, &diff->alignment.sides[0].arena, a->data, a->length,
	                       &other, &length) &&
	       length == b->length && memcmp(other, b->data, length) == 0;
}

static void note(struct diff *diff, const struct tape_place *place)
{
	diff->differs = true;
	if (diff->where.length > MAX_WHERE)
		return;
	/* The function stands before all of them. */
	struct tape_buf text;
	char room[512];
	tape_buf_init(&text, room, sizeof(room), sizeof(room));
	tape_place_put(&text, place);
	const char *dot = memchr(text.data, '.', text.length);
	if (dot != NULL && memmem(diff->where.data, diff->where.length, dot + 1,
	                          text.length - (size_t)(dot + 1 - text.data)) == NULL) {
		if (diff->where.length != 0)
			TAPE_PUT(&diff->where, ", ");
		tape_put(&diff->where, dot + 1, text.length - (size_t)(dot + 1 - text.data));
	}
	tape_buf_done(&text);
}

static void take_input(void *context, const struct tape_place *place, const struct tape_value *a,
                       const struct tape_value *b)
{
	struct diff *diff = context;
	if (is_passed_on(diff, a, b)) {
		diff->passed = true;
		return;
	}
	note(diff, place);
}

/* What the row of the function, of the mechanism or of the attribute lets differ. */
static bool may_differ(struct diff *diff, const struct tape_place *place,
                       const struct tape_value *a, const struct tape_value *b)
{
	const struct tape_function *function = &tape_functions[place->function];
	const struct tape_effects *effects = &tape_effects[place->function];
	uint64_t name;
	if (tape_varies_place(place))
		return true;
	/* The only structure that names a slot is about a session. */
	if (place->depth == 1 && place->steps[0].field != NULL &&
	    strcmp(place->steps[0].field, "slotID") == 0)
		return a->form == TAPE_V_NUMBER && b->form == TAPE_V_NUMBER &&
		       tape_map_get(&diff->alignment.handles[2], b->number, &name) &&
		       name == a->number;
	if (!is_bytes(a) || b->form != TAPE_V_BYTES)
		return false;
	bool random =
		(effects->effects & TAPE_EFFECT_OWN) != 0 ||
		(tape_shapes[function->arguments[place->argument].kind].traits & TAPE_T_ANY) != 0;
	return random || diff->varies ||
	       tape_swaps_has(&diff->swaps, a->data, a->length, b->data, b->length);
}

static void take_output(void *context, const struct tape_place *place, const struct tape_value *a,
                        const struct tape_value *b)
{
	struct diff *diff = context;
	if (!may_differ(diff, place, a, b)) {
		note(diff, place);
		return;
	}
	diff->varied++;
	if (is_bytes(a) && b->form == TAPE_V_BYTES &&
	    !tape_swaps_add(&diff->swaps, a->data, a->length, b->data, b->length))
		diff->where.failed = true;
}

/* Whether the call makes something that is another one each time, by its mechanism or what it was fed. */
static void follow_operation(struct diff *diff)
{
	const struct tape_function *function = diff->call->function;
	const struct tape_effects *effects = &tape_effects[function - tape_functions];
	uint64_t state = 0;
	bool random = diff->passed;
	for (size_t i = 0; i < function->count; i++)
		random |= diff->call->in[i].form == TAPE_V_MECHANISM &&
		          tape_varies_mechanism(diff->call->in[i].tag, effects->operations);
	diff->varies = random;
	if (effects->operations == TAPE_OP_NONE || function->lane < 0)
		return;
	uint64_t session = diff->call->in[function->lane].number;
	(void)tape_map_get(&diff->operations, session, &state);
	if ((effects->effects & TAPE_EFFECT_BEGINS) != 0)
		state &= ~(uint64_t)effects->operations;
	if (random)
		state |= effects->operations;
	if (!tape_map_put(&diff->operations, session, state))
		diff->where.failed = true;
	diff->varies = (state & effects->operations) != 0;
}

/* ---- printing -------------------------------------------------------------------------------- */

static void put_line(struct tape_buf *buf, char mark, const struct tape_aligned *call,
                     const struct tape_value *in, const struct tape_value *out)
{
	tape_put_char(buf, mark);
	tape_line_call(buf, call->function, in);
	TAPE_PUT(buf, " = ");
	tape_line_answer(buf, call->function, call->rv, call->returned ? out : NULL);
	tape_put_char(buf, '\n');
}

static void put_place(struct tape_buf *buf, const char *path, const struct tape_aligned *call)
{
	tape_put_text(buf, path);
	if (call == NULL)
		return;
	tape_put_char(buf, ':');
	tape_put_decimal(buf, call->line);
}

/* What is said in text and as JSON of one difference. */
struct sides {
	const struct tape_aligned *first, *second; /* one may be NULL */
	const struct tape_value *in, *out;         /* of the second, with the first one's handles */
};

static void put_sides(struct tape_buf *buf, const struct sides *sides)
{
	if (sides->first != NULL)
		put_line(buf, '-', sides->first, sides->first->in, sides->first->out);
	if (sides->second != NULL)
		put_line(buf, '+', sides->second, sides->in, sides->out);
}

static void put_text(struct diff *diff, struct tape_buf *buf, const struct sides *sides)
{
	if (!diff->any_header) {
		TAPE_PUT(buf, "--- ");
		tape_put_text(buf, diff->paths[0]);
		TAPE_PUT(buf, "\n+++ ");
		tape_put_text(buf, diff->paths[1]);
		tape_put_char(buf, '\n');
		diff->any_header = true;
	}
	const struct tape_aligned *any = sides->first != NULL ? sides->first : sides->second;
	/* Calls that only one of them has stand together. */
	if (diff->in_hunk && diff->where.length == 0) {
		put_sides(buf, sides);
		return;
	}
	TAPE_PUT(buf, "@@ ");
	put_place(buf, diff->paths[0], sides->first);
	tape_put_char(buf, ' ');
	put_place(buf, diff->paths[1], sides->second);
	tape_put_char(buf, ' ');
	tape_put(buf, any->function->name.text, any->function->name.length);
	if (diff->where.length != 0) {
		TAPE_PUT(buf, ": ");
		tape_put(buf, diff->where.data, diff->where.length);
	}
	TAPE_PUT(buf, " @@\n");
	for (size_t i = 0; i < diff->shown_count; i++)
		put_line(buf, ' ', diff->shown[i], diff->shown[i]->in, diff->shown[i]->out);
	put_sides(buf, sides);
	diff->in_hunk = true;
}

static void put_json_side(struct tape_buf *buf, const char *key, const char *path,
                          const struct tape_aligned *call, const struct tape_value *in,
                          const struct tape_value *out)
{
	TAPE_PUT(buf, ", ");
	tape_put_quoted(buf, key, strlen(key));
	if (call == NULL) {
		TAPE_PUT(buf, ": null");
		return;
	}
	TAPE_PUT(buf, ": {\"file\": ");
	tape_put_quoted_lossy(buf, path, strlen(path));
	TAPE_PUT(buf, ", \"line\": ");
	tape_put_decimal(buf, call->line);
	TAPE_PUT(buf, ", \"id\": ");
	tape_put_decimal(buf, call->id);
	struct tape_buf text;
	tape_buf_init(&text, NULL, 0, TAPE_MAX_BYTES);
	tape_line_call(&text, call->function, in);
	TAPE_PUT(buf, ", \"call\": ");
	tape_put_quoted_lossy(buf, text.data, text.length);
	text.length = 0;
	tape_line_answer(&text, call->function, call->rv, call->returned ? out : NULL);
	TAPE_PUT(buf, ", \"answer\": ");
	tape_put_quoted_lossy(buf, text.data, text.length);
	buf->failed |= text.failed;
	tape_buf_done(&text);
	tape_put_char(buf, '}');
}

static void put_json(const struct diff *diff, struct tape_buf *buf, const struct sides *sides)
{
	const struct tape_aligned *any = sides->first != NULL ? sides->first : sides->second;
	TAPE_PUT(buf, "{\"difference\": ");
	tape_put_decimal(buf, diff->differences);
	TAPE_PUT(buf, ", \"function\": ");
	tape_put_quoted(buf, any->function->name.text, any->function->name.length);
	TAPE_PUT(buf, ", \"where\": ");
	tape_put_quoted_lossy(buf, diff->where.length == 0 ? "" : diff->where.data,
	                      diff->where.length);
	put_json_side(buf, "first", diff->paths[0], sides->first,
	              sides->first == NULL ? NULL : sides->first->in,
	              sides->first == NULL ? NULL : sides->first->out);
	put_json_side(buf, "second", diff->paths[1], sides->second, sides->in, sides->out);
	TAPE_PUT(buf, "}\n");
}

static int show(struct diff *diff, const struct sides *sides)
{
	struct tape_buf buf;
	tape_buf_init(&buf, NULL, 0, TAPE_MAX_BYTES);
	if (diff->differences++ == 0)
		snprintf(diff->first, sizeof(diff->first), "%s:%zu",
		         diff->paths[sides->first == NULL],
		         sides->first == NULL ? sides->second->line : sides->first->line);
	if (diff->json)
		put_json(diff, &buf, sides);
	else
		put_text(diff, &buf, sides);
	diff->shown_count = 0;
	bool good = !buf.failed;
	if (good)
		fwrite(buf.data, 1, buf.length, stdout);
	tape_buf_done(&buf);
	return good ? 0 : -TAPE_E_MEMORY;
}

/* An equal call: it is shown if a difference follows soon. */
static void keep(struct diff *diff, const struct tape_aligned *call)
{
	diff->in_hunk = false;
	if (diff->context == 0)
		return;
	if (diff->shown_count == diff->context)
		memmove(diff->shown, diff->shown + 1, --diff->shown_count * sizeof(*diff->shown));
	diff->shown[diff->shown_count++] = call;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int take_call(void *context, const struct tape_aligned *first,
                     const struct tape_aligned *second, const struct tape_value *in,
                     const struct tape_value *out)
{
	struct diff *diff = context;
	struct sides sides = { first, second, in, out };
	diff->calls++;
	diff->where.length = 0;
	if (first == NULL || second == NULL) {
		if (first == NULL) {
			sides.in = second->in;
			sides.out = second->out;
		}
		return show(diff, &sides);
	}
	struct tape_compare inputs = { .bindings = &diff->bindings,
		                       .rules = &diff->rules,
		                       .bind = true,
		                       .each = take_input,
		                       .context = diff };
	struct tape_compare outputs = { .each = take_output, .context = diff };
	diff->call = first;
	diff->passed = false;
	diff->differs = first->returned != second->returned || first->rv != second->rv;
	(void)tape_compare_in(&inputs, first->function, first->in, in);
	follow_operation(diff);
	if (first->out != NULL && out != NULL)
		(void)tape_compare_results(&outputs, first->function, first->out, out);
	if (diff->where.failed)
		return -TAPE_E_MEMORY;
	if (diff->differs)
		return show(diff, &sides);
	keep(diff, first);
	return 0;
}

static int compare_traces(struct diff *diff, const char *first, const char *second)
{
	struct tape_error error = { 0 };
	const char *path = first;
	diff->paths[0] = first;
	diff->paths[1] = second;
	diff->any_header = diff->in_hunk = false;
	diff->shown_count = 0;
	int result = tape_align(&diff->alignment, first, second, &path, &error);
	if (result >= 0) {
		path = first;
		result = tape_rules_read(&diff->rules,
		                         tape_reader_header(diff->alignment.sides[0].reader)->node,
		                         &error);
	}
	bool failed = result >= 0 && tape_align_walk(&diff->alignment, take_call, diff) < 0;
	tape_align_done(&diff->alignment);
	tape_bindings_done(&diff->bindings);
	tape_swaps_clear(&diff->swaps);
	tape_map_clear(&diff->operations);
	if (result < 0)
		return tape_cli_fail_at(path, &error);
	return failed ? tape_cli_fail("out of memory") : TAPE_EXIT_GOOD;
}

/* The traces of one recording's processes against the other's, in the order in which they began. */
static int compare_sets(struct diff *diff, const char *first, const char *second)
{
	struct tape_set sets[2] = { { 0 }, { 0 } };
	struct tape_error error = { 0 };
	char paths[2][PATH_MAX];
	int status = TAPE_EXIT_GOOD;
	if (tape_set_read(&sets[0], first, &error) < 0)
		return tape_cli_fail_at(sets[0].path, &error);
	if (tape_set_read(&sets[1], second, &error) < 0) {
		status = tape_cli_fail_at(sets[1].path, &error);
		tape_set_free(&sets[0]);
		return status;
	}
	size_t count = sets[0].count < sets[1].count ? sets[0].count : sets[1].count;
	if (sets[0].count != sets[1].count) {
		tape_cli_warn(
			"%s has %zu traces, %s %zu: processes are compared in the order in which "
			"they began, as far as there are two",
			first, sets[0].count, second, sets[1].count);
		diff->differences++;
	}
	for (size_t i = 0; i < count && status == TAPE_EXIT_GOOD; i++)
		status = tape_set_path(paths[0], first, sets[0].members[i].name) &&
		                         tape_set_path(paths[1], second, sets[1].members[i].name)
		                 ? compare_traces(diff, paths[0], paths[1])
		                 : tape_cli_fail("%s: the path is too long", first);
	tape_set_free(&sets[0]);
	tape_set_free(&sets[1]);
	return status;
}

static int summarise(const struct diff *diff)
{
	bool same = diff->differences == 0;
	if (diff->json) {
		printf("{\"transparent\": %s, \"calls\": %" PRIu64 ", \"differences\": %" PRIu64
		       ", \"varied\": %" PRIu64 "}\n",
		       same ? "true" : "false", diff->calls, diff->differences, diff->varied);
	} else {
		char varied[80] = "";
		if (diff->varied != 0)
			snprintf(varied, sizeof(varied),
			         " (%" PRIu64 " value%s that differ by nature)", diff->varied,
			         diff->varied == 1 ? "" : "s");
		if (same)
			printf("transparent: %" PRIu64 " calls, no difference%s\n", diff->calls,
			       varied);
		else
			printf("not transparent: %" PRIu64 " of %" PRIu64
			       " calls differ, the first at %s%s\n",
			       diff->differences, diff->calls, diff->first, varied);
	}
	return tape_cli_finish(same ? TAPE_EXIT_GOOD : TAPE_EXIT_FOUND);
}

int tape_cmd_diff(int argc, char **argv)
{
	static const struct option options[] = {
		{ "unified", required_argument, NULL, 'U' },
		{ "match", required_argument, NULL, 'M' },
		{ "rules", required_argument, NULL, 'R' },
		{ "format", required_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static struct diff diff; /* large */
	struct tape_error error;
	int option;
	diff.context = 2;
	while ((option = getopt_long(argc, argv, "U:", options, NULL)) != -1) {
		switch (option) {
		case 'U':
			if (!tape_cli_number(optarg, &diff.context) || diff.context > MAX_CONTEXT)
				return tape_cli_fail("diff: -U takes a number up to %d, not '%s'",
				                     MAX_CONTEXT, optarg);
			break;
		case 'M':
			if (tape_rules_add(&diff.rules, optarg, strlen(optarg), &error) < 0)
				return tape_cli_fail("diff: --match: %s", error.sentence);
			break;
		case 'R':
			if (tape_rules_read_file(&diff.rules, optarg, &error) < 0)
				return tape_cli_fail("%s", error.sentence);
			break;
		case 'f':
			diff.json = strcmp(optarg, "json") == 0;
			if (!diff.json && strcmp(optarg, "text") != 0)
				return tape_cli_fail("diff: --format is text or json, not '%s'",
				                     optarg);
			break;
		case 'h':
			return tape_cli_usage(usage);
		default:
			return tape_cli_misused("diff");
		}
	}
	if (optind + 2 != argc)
		return tape_cli_fail("diff: name two traces");
	tape_buf_init(&diff.where, NULL, 0, MAX_WHERE + 4096);
	int status = compare_sets(&diff, argv[optind], argv[optind + 1]);
	if (status == TAPE_EXIT_GOOD)
		status = summarise(&diff);
	tape_buf_done(&diff.where);
	tape_map_done(&diff.operations);
	return status;
}
