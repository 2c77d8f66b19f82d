/* SPDX-License-Identifier: MIT
 *
 * p11tape validate: read all of a trace, decode every value, match every return with its call.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/halves.h"
#include "core/parse.h"

static const char usage[] =
	"usage: p11tape validate [options] TRACE…\n"
	"\n"
	"Checks that each trace is whole and that every value in it can be read, and\n"
	"prints a line about it. Exit status: 0; 1 where the last line is torn or the\n"
	"end is missing, as after a crash; 2 where a trace is damaged, with FILE:LINE.\n"
	"\n"
	"  -q, --quiet   print errors only\n"
	"      --help    print this\n";

/* Threads write their calls without waiting for each other: ids may come this much out of order. */
#define ID_WINDOW 65536

/* Thread numbers that are told apart. */
#define MAX_THREADS 65536

struct check {
	struct tape_halves halves;
	struct tape_open open;
	struct tape_summary summary;
	tape_unreturned_fn *unreturned;
	struct tape_half *header;      /* of the last load, where it is not the first */
	const struct tape_node *names; /* that the header declares */
	uint64_t highest;              /* id so far */
	unsigned char ids[ID_WINDOW / 8];
	unsigned char threads[MAX_THREADS / 8];
	tape_returned_fn *returned;
	void *context;
};

static bool get_bit(const unsigned char *bits, uint64_t index)
{
	return (bits[index / 8] >> (index % 8) & 1) != 0;
}

static void set_bit(unsigned char *bits, uint64_t index, bool value)
{
	unsigned char bit = (unsigned char)(1u << (index % 8));
	bits[index / 8] = (unsigned char)(value ? bits[index / 8] | bit : bits[index / 8] & ~bit);
}

/* Ids are unique and ascend, but for what a few threads can overtake each other by. */
static int check_id(struct check *check, const struct tape_item *item, struct tape_error *error)
{
	if (item->id == 0)
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "an id is a number from 1");
	if (item->id > check->highest) {
		uint64_t ahead = item->id - check->highest;
		for (uint64_t i = 1; i <= ahead && i <= ID_WINDOW; i++)
			set_bit(check->ids, (item->id - i + 1) % ID_WINDOW, false);
		check->highest = item->id;
	} else if (check->highest - item->id >= ID_WINDOW) {
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "id %" PRIu64 " stands far behind id %" PRIu64 "; ids ascend",
		                      item->id, check->highest);
	} else if (get_bit(check->ids, item->id % ID_WINDOW)) {
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "id %" PRIu64 " stands twice", item->id);
	}
	set_bit(check->ids, item->id % ID_WINDOW, true);
	return 0;
}

static void count_thread(struct check *check, uint64_t thread)
{
	if (thread >= MAX_THREADS || get_bit(check->threads, thread))
		return;
	set_bit(check->threads, thread, true);
	check->summary.threads++;
}

static int check_open(const struct check *check, const struct tape_item *item,
                      struct tape_error *error)
{
	if (!tape_open_is_full(&check->open))
		return 0;
	return tape_error_set(error, TAPE_E_LIMIT, item->line,
	                      "more than %zu calls are open at once", check->open.count - 1);
}

/* The parent of what is nested is open: a notification of a call, a call of a notification. */
static int check_during(const struct check *check, const struct tape_item *item,
                        enum tape_item_kind parent, struct tape_error *error)
{
	const struct tape_half *outer = tape_open_find(&check->open, item->during);
	if (item->during == 0 || check->summary.lost != 0 ||
	    (outer != NULL && outer->item.kind == parent))
		return 0;
	return tape_error_set(error, TAPE_E_INVALID, item->line,
	                      "'during' names no %s that is open here",
	                      parent == TAPE_ITEM_CALL ? "call" : "notification");
}

/* The first half: its inputs stay with it, since the outputs are read by them. Takes `half`. */
static int check_call(struct check *check, struct tape_half *half, struct tape_error *error)
{
	const struct tape_item *item = &half->item;
	struct tape_parse parse = { tape_half_arena(half), check->names, error };
	int result = check_during(check, item, TAPE_ITEM_NOTIFY, error);
	/* Open, whatever comes of it: it is given back with the others. */
	tape_open_add(&check->open, half);
	if (result < 0 || (result = check_id(check, item, error)) < 0)
		return result;
	check->summary.calls++;
	count_thread(check, item->thread);
	if (item->function == TAPE_FN_COUNT)
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "'%.60s' is not a function of PKCS#11 3.2", item->name);
	const struct tape_function *function = &tape_functions[item->function];
	check->summary.finds += function->finds;
	struct tape_value *in = tape_arena_array(parse.arena, TAPE_MAX_ARGUMENTS, sizeof(*in));
	if (in == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, item->line, "out of memory");
	half->note = in;
	result = tape_parse_in(&parse, function, item->in, item->line, in);
	return result < 0 ? result : check_open(check, item, error);
}

/* A call in the other direction. Takes `half`. */
static int check_notification(struct check *check, struct tape_half *half, struct tape_error *error)
{
	const struct tape_item *item = &half->item;
	struct tape_parse parse = { tape_half_arena(half), check->names, error };
	struct tape_notification notification;
	int result = check_during(check, item, TAPE_ITEM_CALL, error);
	tape_open_add(&check->open, half);
	check->summary.notifications++;
	count_thread(check, item->thread);
	if (result == 0)
		result = check_id(check, item, error);
	if (result == 0)
		result = tape_parse_notification(&parse, tape_node_get(item->node, "notify"),
		                                 item->in, &notification);
	return result < 0 ? result : check_open(check, item, error);
}

static int check_return(struct check *check, struct tape_half *half, struct tape_error *error)
{
	const struct tape_item *item = &half->item;
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_parse parse = { tape_half_arena(half), check->names, error };
	struct tape_half *call = tape_open_find(&check->open, item->id);
	if (call == NULL && (check->summary.lost != 0 ||
	                     tape_reader_header(check->halves.reader)->continues[0] != 0))
		return 0;
	if (call == NULL)
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "the return of call %" PRIu64 ", which is not open here",
		                      item->id);
	tape_open_remove(&check->open, call);
	int result = 0;
	if (call->item.kind == TAPE_ITEM_CALL) {
		result = tape_parse_out(&parse, &tape_functions[call->item.function], item->out,
		                        item->line, call->note, out);
		if (result >= 0 && check->returned != NULL)
			check->returned(check->context, &call->item, call->note, out, item->rv);
	} else if (item->out != NULL) {
		result = tape_error_set(error, TAPE_E_INVALID, item->line,
		                        "a notification has no outputs");
	}
	tape_halves_give(&check->halves, call);
	return result;
}

static int check_event(struct check *check, const struct tape_item *item, struct tape_error *error)
{
	uint64_t lost;
	const struct tape_node *gap = tape_node_get(item->node, "gap");
	if (gap != NULL && tape_node_number(gap, &lost))
		check->summary.lost += lost;
	else if (gap != NULL)
		return tape_error_set(error, TAPE_E_INVALID, gap->line,
		                      "'gap' is the number of calls lost");
	return item->id == 0 ? 0 : check_id(check, item, error);
}

/* What is open now did not return. */
static void close_open(struct check *check)
{
	while (check->open.first != NULL) {
		struct tape_half *call = check->open.first;
		check->summary.open++;
		if (check->unreturned != NULL)
			check->unreturned(tape_reader_path(check->halves.reader), &call->item);
		tape_open_remove(&check->open, call);
		tape_halves_give(&check->halves, call);
	}
}

/* The module was loaded again: ids go on, open calls do not. Takes `half`. */
static int check_header(struct check *check, struct tape_half *half, struct tape_error *error)
{
	const struct tape_node *names = tape_node_get(half->item.node, "names");
	close_open(check);
	check->summary.ended = false;
	tape_halves_give(&check->halves, check->header);
	check->header = half;
	check->names = names;
	if (names != NULL && names->type != TAPE_NODE_MAPPING)
		return tape_error_set(error, TAPE_E_INVALID, names->line,
		                      "'names' is a mapping of names to numbers");
	return 0;
}

static int check_half(struct check *check, struct tape_half *half, struct tape_error *error)
{
	int result = 0;
	switch (half->item.kind) {
	case TAPE_ITEM_CALL:
		return check_call(check, half, error);
	case TAPE_ITEM_NOTIFY:
		return check_notification(check, half, error);
	case TAPE_ITEM_HEADER:
		return check_header(check, half, error);
	case TAPE_ITEM_RETURN:
		result = check_return(check, half, error);
		break;
	case TAPE_ITEM_EVENT:
		result = check_event(check, &half->item, error);
		break;
	case TAPE_ITEM_END:
		check->summary.ended = true;
		break;
	}
	tape_halves_give(&check->halves, half);
	return result;
}

static int check_all(struct check *check, struct tape_error *error)
{
	struct tape_half *half;
	int result;
	check->names = tape_reader_header(check->halves.reader)->names;
	while ((result = tape_halves_next(&check->halves, &half, error)) > 0)
		if ((result = check_half(check, half, error)) < 0)
			return result;
	if (result == 0 && check->halves.misplaced != 0)
		return tape_error_set(error, TAPE_E_INVALID, check->halves.misplaced,
		                      "'until' names no call behind this one");
	return result;
}

static int check_trace(struct check *check, const char *path, struct tape_summary *ret_summary,
                       struct tape_error *error)
{
	int result = tape_halves_init(&check->halves, path, error);
	if (result < 0)
		return result;
	result = check_all(check, error);
	if (result < 0)
		check->unreturned = NULL;
	close_open(check);
	check->summary.torn = tape_reader_torn(check->halves.reader);
	tape_halves_give(&check->halves, check->header);
	tape_halves_done(&check->halves);
	if (result >= 0)
		*ret_summary = check->summary;
	return result;
}

int tape_cli_check(const char *path, tape_unreturned_fn *unreturned,
                   struct tape_summary *ret_summary, struct tape_error *error)
{
	struct check check = { .unreturned = unreturned };
	return check_trace(&check, path, ret_summary, error);
}

int tape_cli_watch(const char *path, tape_returned_fn *returned, void *context,
                   struct tape_summary *ret_summary, struct tape_error *error)
{
	struct check check = { .returned = returned, .context = context };
	return check_trace(&check, path, ret_summary, error);
}

/* ---- the command ----------------------------------------------------------------------------- */

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static void print_unreturned(const char *path, const struct tape_item *call)
{
	printf("%s:%zu: %s (id %" PRIu64 ") did not return\n", path, call->line, call->name,
	       call->id);
}

static void print_summary(const char *path, const struct tape_summary *s)
{
	printf("%s: %" PRIu64 " call%s, %" PRIu64 " thread%s", path, s->calls, plural(s->calls),
	       s->threads, plural(s->threads));
	if (s->notifications != 0)
		printf(", %" PRIu64 " notification%s", s->notifications, plural(s->notifications));
	if (s->open != 0)
		printf(", %" PRIu64 " did not return", s->open);
	if (s->lost != 0)
		printf(", %" PRIu64 " lost", s->lost);
	if (s->torn)
		printf(", the last line is torn");
	if (!s->ended)
		printf(", the end is missing");
	if (!s->torn && s->ended && s->lost == 0)
		printf(", whole");
	putchar('\n');
}

static int validate(const char *path, bool quiet)
{
	struct tape_error error = { 0 };
	struct tape_summary summary;
	if (tape_cli_check(path, quiet ? NULL : print_unreturned, &summary, &error) < 0)
		return tape_cli_fail_at(path, &error);
	if (!quiet)
		print_summary(path, &summary);
	return summary.torn || !summary.ended ? TAPE_EXIT_FOUND : TAPE_EXIT_GOOD;
}

int tape_cmd_validate(int argc, char **argv)
{
	static const struct option options[] = {
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool quiet = false;
	int option;
	while ((option = getopt_long(argc, argv, "q", options, NULL)) != -1) {
		if (option == 'h')
			return tape_cli_usage(usage);
		if (option != 'q')
			return tape_cli_misused("validate");
		quiet = true;
	}
	if (optind == argc)
		return tape_cli_fail("validate: name a trace");
	int worst = TAPE_EXIT_GOOD;
	for (; optind < argc; optind++) {
		int status = validate(argv[optind], quiet);
		if (status > worst)
			worst = status;
	}
	return worst;
}
