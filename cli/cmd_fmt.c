/* SPDX-License-Identifier: MIT
 *
 * p11tape fmt: from one spelling of a trace to the other, without loss. Halves are joined into
 * whole calls, which stand where their first halves stood; what a whole call cannot say about the
 * place of its return stays in halves, so that --lines gives a recorder's file back byte for byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/halves.h"

static const char usage[] =
	"usage: p11tape fmt [options] TRACE\n"
	"\n"
	"Rewrites a trace, on standard output unless told otherwise.\n"
	"\n"
	"      --block        block form, for people: whole calls, one fact a line (the\n"
	"                     default)\n"
	"      --lines        record lines, as the recorder writes them\n"
	"      --canonical    leave out what differs from run to run: times, process\n"
	"                     numbers, directories; number the calls anew\n"
	"  -o, --output FILE  write to FILE\n"
	"  -i, --in-place     write to TRACE itself\n"
	"      --help         print this\n";

/* An item that waits for the calls before it, or for its own return. */
struct queued {
	struct tape_half *half, *back;
	uint64_t until;  /* where `back` stands, or 0 for directly behind `half` */
	uint64_t number; /* in the order of the file */
	size_t bytes;
	bool open;
	struct queued *next;
};

/*
 * The stretch between a first half (or an event with an id) and the next: where `until` says that
 * a return stands. Returns stand in it in the order of their calls, but for the first half's own,
 * which may stand directly behind it, and for what is nested: the inner one's return stands directly
 * before the outer one's. What stands otherwise cannot be said, and stays an item.
 */
struct place {
	uint64_t id, name; /* as read and as written */
	bool untouched;    /* nothing stands in it yet */
	bool closed;       /* an item stands in it, so that no return can be placed behind it */
	uint64_t newest;   /* number of the newest call whose return was placed */
	uint64_t before;   /* the same, without those that are nested in the last one */
	uint64_t during;   /* inside of what the last one began */
};

struct fmt {
	FILE *to;
	bool lines, canonical;
	struct tape_halves halves;
	struct tape_arena arena; /* of the first header */
	struct tape_buf buf;

	struct queued *first, **end;
	uint64_t appended, written;
	size_t bytes;
	struct tape_open open;
	struct place place;

	void *ids; /* tsearch() tree of struct renamed */
	uint64_t last_id;
};

static int no_memory(struct tape_error *error)
{
	return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
}

/* ---- canonical ------------------------------------------------------------------------------- */

struct renamed {
	uint64_t old, new;
};

static int compare_old(const void *a, const void *b)
{
	const struct renamed *left = a;
	const struct renamed *right = b;
	return (left->old > right->old) - (left->old < right->old);
}

static void forget_ids(struct fmt *fmt)
{
	while (fmt->ids != NULL) {
		struct renamed *renamed = *(struct renamed **)fmt->ids;
		tdelete(renamed, &fmt->ids, compare_old);
		free(renamed);
	}
}

/* Give the next id to `old`. */
static int rename_id(struct fmt *fmt, uint64_t old)
{
	struct renamed *renamed = malloc(sizeof(*renamed));
	if (renamed == NULL)
		return -TAPE_E_MEMORY;
	*renamed = (struct renamed){ old, ++fmt->last_id };
	struct renamed **found = tsearch(renamed, &fmt->ids, compare_old);
	if (found == NULL || *found != renamed) {
		free(renamed);
		return found == NULL ? -TAPE_E_MEMORY : 0;
	}
	return 0;
}

static int set_number(struct tape_arena *arena, struct tape_node *node, uint64_t number)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	node->text = tape_arena_copy(arena, digits, (size_t)length);
	node->length = (size_t)length;
	node->quoted = false;
	return node->text == NULL ? -TAPE_E_MEMORY : 0;
}

/* Write a call's new id into a node that names it; an id that is not known becomes 0. */
static int set_id(struct fmt *fmt, struct tape_arena *arena, struct tape_node *node)
{
	struct renamed key = { 0, 0 };
	if (node == NULL || !tape_node_number(node, &key.old))
		return 0;
	struct renamed **found = tfind(&key, &fmt->ids, compare_old);
	return set_number(arena, node, found == NULL ? 0 : (*found)->new);
}

static void drop(struct tape_node *map, const char *key)
{
	struct tape_node *previous = NULL;
	for (struct tape_node *node = map == NULL ? NULL : map->first; node != NULL;
	     node = node->next) {
		if (map->type == TAPE_NODE_MAPPING && strcmp(node->key, key) == 0) {
			*(previous == NULL ? &map->first : &previous->next) = node->next;
			if (map->last == node)
				map->last = previous;
			map->count--;
			return;
		}
		previous = node;
	}
}

static void make_header_canonical(struct tape_node *header)
{
	static const char *const in_process[] = { "pid", "parent", "start", "group",
		                                  "forked-from" };
	struct tape_node *process = tape_node_get(header, "process");
	struct tape_node *path = tape_node_get(tape_node_get(header, "module"), "path");
	drop(header, "started");
	drop(header, "clock");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(in_process); i++)
		drop(process, in_process[i]);
	const char *slash =
		path == NULL || path->type != TAPE_NODE_SCALAR ? NULL : strrchr(path->text, '/');
	if (slash != NULL) {
		path->length -= (size_t)(slash + 1 - path->text);
		path->text = slash + 1;
	}
}

static int make_canonical(struct fmt *fmt, struct tape_half *half)
{
	static const char *const names[] = { "id", "return", "during", "of" };
	struct tape_item *item = &half->item;
	struct tape_arena *arena = tape_half_arena(half);
	if (item->kind == TAPE_ITEM_HEADER) {
		make_header_canonical(item->node);
		forget_ids(fmt);
		return 0;
	}
	if (item->id != 0 && item->kind != TAPE_ITEM_RETURN && rename_id(fmt, item->id) < 0)
		return -TAPE_E_MEMORY;
	drop(item->node, "at");
	drop(item->node, "took");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(names); i++)
		if (set_id(fmt, arena, tape_node_get(item->node, names[i])) < 0)
			return -TAPE_E_MEMORY;
	struct tape_node *open = tape_node_get(item->node, "open");
	for (struct tape_node *id = open == NULL ? NULL : open->first; id != NULL; id = id->next)
		if (set_id(fmt, arena, id) < 0)
			return -TAPE_E_MEMORY;
	struct tape_node *last =
		item->kind == TAPE_ITEM_END ? tape_node_get(item->node, "last") : NULL;
	if (last != NULL && set_number(arena, last, fmt->last_id) < 0)
		return -TAPE_E_MEMORY;
	/* Which number the kernel gave to a child is chance. */
	struct tape_node *child =
		item->kind == TAPE_ITEM_EVENT ? tape_node_get(item->node, "fork") : NULL;
	if (child != NULL && child->type == TAPE_NODE_SCALAR) {
		child->text = "null";
		child->length = strlen(child->text);
		child->quoted = false;
	}
	return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int write_node(struct fmt *fmt, const struct tape_node *node, struct tape_error *error)
{
	fmt->buf.length = 0;
	if (fmt->lines)
		tape_node_put_line(&fmt->buf, node);
	else
		tape_node_put_block(&fmt->buf, node);
	if (fmt->buf.failed)
		return no_memory(error);
	fwrite(fmt->buf.data, 1, fmt->buf.length, fmt->to);
	return 0;
}

/* Say whether a whole call would be split again into exactly these two halves. */
static bool can_join(const struct tape_node *call, const struct tape_node *back)
{
	bool has_in = tape_node_get(call, "in") != NULL;
	const struct tape_node *member;
	for (member = call->first; member != NULL; member = member->next)
		if (tape_half_returns(member, has_in, false) || strcmp(member->key, "until") == 0)
			return false;
	if (strcmp(back->first->key, "return") != 0)
		return false;
	for (member = back->first->next; member != NULL; member = member->next)
		if (!tape_half_returns(member, has_in, member != back->first->next) ||
		    tape_node_get(call, member->key) != NULL)
			return false;
	return true;
}

/* Move the return's members behind the call's. */
static int join(const struct queued *entry)
{
	struct tape_arena *arena = tape_half_arena(entry->half);
	struct tape_node *whole = entry->half->item.node;
	for (struct tape_node *next, *member = entry->back->item.node->first->next; member != NULL;
	     member = next) {
		next = member->next;
		tape_node_append(whole, member, member->key, member->key_length);
	}
	if (entry->until == 0)
		return 0;
	struct tape_node *until = tape_node_new(arena, TAPE_NODE_SCALAR, 0);
	if (until == NULL || set_number(arena, until, entry->until) < 0)
		return -TAPE_E_MEMORY;
	tape_node_append(whole, until, "until", strlen("until"));
	return 0;
}

static void remove_first(struct fmt *fmt)
{
	struct queued *entry = fmt->first;
	struct tape_half *half = entry->half;
	struct tape_half *back = entry->back;
	fmt->bytes -= entry->bytes;
	fmt->first = entry->next;
	if (fmt->first == NULL)
		fmt->end = &fmt->first;
	fmt->written++;
	/* The entry lives in the half's memory, which both halves of a whole call share. */
	tape_halves_give(&fmt->halves, back);
	tape_halves_give(&fmt->halves, half);
}

/* Write the entries that wait for nothing any more. */
static int write_settled(struct fmt *fmt, struct tape_error *error)
{
	while (fmt->first != NULL && !fmt->first->open) {
		if (fmt->first->back != NULL && join(fmt->first) < 0)
			return no_memory(error);
		int result = write_node(fmt, fmt->first->half->item.node, error);
		if (result < 0)
			return result;
		remove_first(fmt);
	}
	return 0;
}

/* ---- joining --------------------------------------------------------------------------------- */

/* The call stays without its return, which will be an item of its own if it comes. */
static void give_up(struct fmt *fmt, struct tape_half *call)
{
	struct queued *entry = call->note;
	entry->open = false;
	tape_open_remove(&fmt->open, call);
}

static struct queued *append(struct fmt *fmt, struct tape_half *half)
{
	struct tape_arena *arena = tape_half_arena(half);
	struct queued *entry = tape_arena_get(arena, sizeof(*entry));
	if (entry == NULL) {
		tape_halves_give(&fmt->halves, half);
		return NULL;
	}
	*entry = (struct queued){ .half = half, .number = ++fmt->appended, .bytes = arena->used };
	*fmt->end = entry;
	fmt->end = &entry->next;
	fmt->bytes += entry->bytes;
	half->note = entry;
	if (half->item.id != 0 && half->item.kind != TAPE_ITEM_RETURN) {
		fmt->place = (struct place){ .id = half->item.id, .untouched = true };
		/* It may have been renamed. */
		tape_node_number(tape_node_get(half->item.node, "id"), &fmt->place.name);
	} else {
		fmt->place.closed = true;
	}
	return entry;
}

/* Find a place behind others for a return, in the order in which they will be read (halves.c). */
static bool place_behind(struct fmt *fmt, const struct queued *call)
{
	struct place *place = &fmt->place;
	const struct tape_item *item = &call->half->item;
	if (item->during != 0 && tape_open_find(&fmt->open, item->during) == NULL)
		return false;
	if (call->number > place->newest) {
		place->before = place->newest;
		place->newest = call->number;
	} else if (place->during != item->id || call->number < place->before) {
		return false;
	}
	place->during = item->during;
	return true;
}

/* Find a place for a return in its call, or none. */
static bool place_return(struct fmt *fmt, struct queued *call, struct tape_half *back)
{
	struct place *place = &fmt->place;
	if (place->closed || !can_join(call->half->item.node, back->item.node))
		return false;
	if (place->untouched && place->id == back->item.id)
		call->until = 0;
	else if (place_behind(fmt, call))
		call->until = place->name;
	else
		return false;
	place->untouched = false;
	call->back = back;
	call->bytes += tape_half_arena(back)->used;
	fmt->bytes += tape_half_arena(back)->used;
	return true;
}

/* Take a half into what is being joined. It is ours, whatever comes of it. */
static int take(struct fmt *fmt, struct tape_half *half, struct tape_error *error)
{
	if (half->item.kind == TAPE_ITEM_RETURN) {
		struct tape_half *call = tape_open_find(&fmt->open, half->item.id);
		if (call != NULL)
			give_up(fmt, call);
		if (call != NULL && place_return(fmt, call->note, half))
			return 0;
		return append(fmt, half) == NULL ? no_memory(error) : 0;
	}
	if (half->item.kind == TAPE_ITEM_HEADER)
		while (fmt->open.first != NULL)
			give_up(fmt, fmt->open.first);
	struct queued *entry = append(fmt, half);
	if (entry == NULL)
		return no_memory(error);
	if (tape_item_returns(&half->item)) {
		entry->open = true;
		tape_open_add(&fmt->open, half);
	}
	while (fmt->first->open && (fmt->appended - fmt->written > TAPE_HALVES_MAX ||
	                            fmt->bytes > TAPE_HALVES_MAX_BYTES)) {
		give_up(fmt, fmt->first->half);
		int result = write_settled(fmt, error);
		if (result < 0)
			return result;
	}
	return 0;
}

static int take_half(struct fmt *fmt, struct tape_half *half, struct tape_error *error)
{
	int result = fmt->canonical ? make_canonical(fmt, half) : 0;
	if (result < 0 || fmt->lines) {
		result = result < 0 ? no_memory(error) : write_node(fmt, half->item.node, error);
		tape_halves_give(&fmt->halves, half);
		return result;
	}
	result = take(fmt, half, error);
	return result < 0 ? result : write_settled(fmt, error);
}

/* Nodes of our own for what belongs to the reader. */
static struct tape_node *copy_tree(struct tape_arena *arena, const struct tape_node *from)
{
	struct tape_node *copy = tape_node_new(arena, (enum tape_node_type)from->type, from->line);
	if (copy == NULL)
		return NULL;
	copy->quoted = from->quoted;
	copy->text = from->text;
	copy->length = from->length;
	for (const struct tape_node *child = from->first; child != NULL; child = child->next) {
		struct tape_node *below = copy_tree(arena, child);
		if (below == NULL)
			return NULL;
		tape_node_append(copy, below, child->key, child->key_length);
	}
	return copy;
}

static int write_header(struct fmt *fmt, struct tape_error *error)
{
	struct tape_node *header =
		copy_tree(&fmt->arena, tape_reader_header(fmt->halves.reader)->node);
	if (header == NULL)
		return no_memory(error);
	if (fmt->canonical)
		make_header_canonical(header);
	return write_node(fmt, header, error);
}

static int write_all(struct fmt *fmt, struct tape_error *error)
{
	struct tape_half *half;
	int result = write_header(fmt, error);
	while (result >= 0 && (result = tape_halves_next(&fmt->halves, &half, error)) > 0)
		result = take_half(fmt, half, error);
	while (result >= 0 && fmt->open.first != NULL)
		give_up(fmt, fmt->open.first);
	return result < 0 ? result : write_settled(fmt, error);
}

static int rewrite(const char *path, FILE *to, bool lines, bool canonical, struct tape_error *error)
{
	struct fmt fmt = { .to = to, .lines = lines, .canonical = canonical };
	fmt.end = &fmt.first;
	int result = tape_halves_init(&fmt.halves, path, error);
	if (result < 0)
		return result;
	tape_arena_init(&fmt.arena, NULL, 0, TAPE_MAX_ITEM);
	tape_buf_init(&fmt.buf, NULL, 0, TAPE_MAX_ITEM);
	result = write_all(&fmt, error);
	if (result == 0 && tape_reader_torn(fmt.halves.reader))
		tape_cli_warn("%s: the last line is torn; it is left out", path);
	while (fmt.first != NULL)
		remove_first(&fmt);
	forget_ids(&fmt);
	tape_buf_done(&fmt.buf);
	tape_arena_done(&fmt.arena);
	tape_halves_done(&fmt.halves);
	return result;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int rewrite_to_stdout(const char *path, bool lines, bool canonical)
{
	struct tape_error error = { 0 };
	if (rewrite(path, stdout, lines, canonical, &error) < 0)
		return tape_cli_fail_at(path, &error);
	return TAPE_EXIT_GOOD;
}

static int rewrite_to_stream(const char *path, FILE *to, const char *output, bool lines,
                             bool canonical)
{
	struct tape_error error = { 0 };
	int result = rewrite(path, to, lines, canonical, &error);
	bool written = !ferror(to);
	written = fclose(to) == 0 && written;
	if (result < 0)
		return tape_cli_fail_at(path, &error);
	if (!written)
		return tape_cli_fail("%s cannot be written: %s", output, strerror(errno));
	return TAPE_EXIT_GOOD;
}

/* The new file takes the place of the old one only when it is whole. */
static int replace_file(const char *path, const char *output, mode_t mode, bool lines,
                        bool canonical)
{
	char temporary[PATH_MAX];
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", output) >=
	    sizeof(temporary))
		return tape_cli_fail("%s: the path is too long", output);
	int fd = mkostemp(temporary, O_CLOEXEC);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
	if (to == NULL)
		return tape_cli_fail("%s cannot be written: %s", output, strerror(errno));
	if (fchmod(fd, mode) != 0)
		tape_cli_warn("%s: its mode could not be kept: %s", output, strerror(errno));
	int status = rewrite_to_stream(path, to, output, lines, canonical);
	if (status == TAPE_EXIT_GOOD && rename(temporary, output) != 0)
		status = tape_cli_fail("%s cannot be written: %s", output, strerror(errno));
	if (status != TAPE_EXIT_GOOD)
		unlink(temporary);
	return status;
}

static int rewrite_to_file(const char *path, const char *output, bool lines, bool canonical)
{
	char real[PATH_MAX];
	struct stat status;
	if (stat(output, &status) != 0)
		return replace_file(path, output, 0600, lines, canonical);
	/* A file is replaced where it lies, not the link to it; a device is never replaced. */
	if (S_ISREG(status.st_mode) && realpath(output, real) != NULL)
		return replace_file(path, real, status.st_mode & 0777, lines, canonical);
	FILE *to = fopen(output, "we");
	if (to == NULL)
		return tape_cli_fail("%s cannot be written: %s", output, strerror(errno));
	return rewrite_to_stream(path, to, output, lines, canonical);
}

int tape_cmd_fmt(int argc, char **argv)
{
	static const struct option options[] = {
		{ "block", no_argument, NULL, 'b' },
		{ "lines", no_argument, NULL, 'l' },
		{ "canonical", no_argument, NULL, 'c' },
		{ "output", required_argument, NULL, 'o' },
		{ "in-place", no_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *output = NULL;
	bool lines = false;
	bool canonical = false;
	bool in_place = false;
	int option;
	while ((option = getopt_long(argc, argv, "o:i", options, NULL)) != -1) {
		switch (option) {
		case 'b':
		case 'l':
			lines = option == 'l';
			break;
		case 'c':
			canonical = true;
			break;
		case 'o':
			output = optarg;
			break;
		case 'i':
			in_place = true;
			break;
		case 'h':
			return tape_cli_usage(usage);
		default:
			return tape_cli_misused("fmt");
		}
	}
	if (optind + 1 != argc)
		return tape_cli_fail("fmt: name one trace");
	const char *path = argv[optind];
	if (in_place && (output != NULL || strcmp(path, "-") == 0))
		return tape_cli_fail("fmt: -i is for one file, without -o");
	if (in_place)
		output = path;
	if (output == NULL || strcmp(output, "-") == 0)
		return rewrite_to_stdout(path, lines, canonical);
	return rewrite_to_file(path, output, lines, canonical);
}
