/* SPDX-License-Identifier: MIT */
#include "core/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/parse.h"
#include "core/yaml_read.h"

/* What one item may take in memory: the reader's limit, whoever owns the arena. */
#define HEADER_LIMIT ((size_t)16 * 1024 * 1024)

struct tape_reader {
	int fd;
	dev_t device; /* of the descriptor's file, */
	ino_t inode;  /* to know it again */
	char *path;
	uint64_t end; /* of the whole lines */
	bool torn;
	struct tape_yaml *yaml;
	struct tape_arena arena; /* the header's */
	struct tape_header header;
};

/* ---- items ----------------------------------------------------------------------------------- */

static int refuse(struct tape_error *error, const struct tape_node *node, const char *sentence)
{
	return tape_error_set(error, TAPE_E_INVALID, node->line, "%s", sentence);
}

static int read_number(const struct tape_node *item, const char *key, uint64_t *ret_number,
                       struct tape_error *error)
{
	const struct tape_node *node = tape_node_get(item, key);
	if (node == NULL || tape_node_number(node, ret_number))
		return 0;
	return tape_error_set(error, TAPE_E_INVALID, node->line, "'%s' is a whole number", key);
}

static int read_seconds(const struct tape_node *item, const char *key, uint64_t *ret_ns,
                        bool *ret_has, struct tape_error *error)
{
	const struct tape_node *node = tape_node_get(item, key);
	*ret_has = node != NULL;
	if (node == NULL || tape_node_seconds(node, ret_ns))
		return 0;
	return tape_error_set(error, TAPE_E_INVALID, node->line, "'%s' is a number of seconds",
	                      key);
}

static int read_mapping(const struct tape_node *item, const char *key, struct tape_node **ret_node,
                        struct tape_error *error)
{
	*ret_node = tape_node_get(item, key);
	if (*ret_node == NULL || (*ret_node)->type == TAPE_NODE_MAPPING)
		return 0;
	return tape_error_set(error, TAPE_E_INVALID, (*ret_node)->line, "'%s' is a mapping", key);
}

/* A half that could not be kept says why in the place of its values. */
static int read_partial(const struct tape_node *item, struct tape_node **values,
                        struct tape_error *error)
{
	struct tape_node *partial = tape_node_get(item, "partial");
	if (partial == NULL)
		return 0;
	if (!tape_node_is_text(partial))
		return refuse(error, partial, "'partial' is text in quotes");
	if (*values == NULL)
		*values = partial;
	return 0;
}

static int read_return(struct tape_item *item, const struct tape_node *names,
                       struct tape_error *error)
{
	const struct tape_node *rv = tape_node_get(item->node, "rv");
	struct tape_parse parse = { NULL, names, error };
	int result;
	if (rv == NULL)
		return refuse(error, item->node, "a return without its 'rv'");
	if ((result = tape_parse_rv(&parse, rv, &item->rv)) < 0 ||
	    (result = read_mapping(item->node, "out", &item->out, error)) < 0 ||
	    (result = read_seconds(item->node, "took", &item->took, &item->has_took, error)) < 0)
		return result;
	/* In a whole call without inputs it is these that are partial. */
	if (item->kind == TAPE_ITEM_CALL && item->in != NULL && item->in->type == TAPE_NODE_SCALAR)
		return 0;
	return read_partial(item->node, &item->out, error);
}

/* What a reader relies on; keys that are not known are for later readers. */
static int check_header(const struct tape_node *node, struct tape_error *error)
{
	static const char *const texts[] = { "version", "started", "redact" };
	static const char *const maps[] = { "process", "module", "abi", "names", "rules" };
	const struct tape_node *format = tape_node_get(node, "p11tape");
	uint64_t number;
	bool has;
	struct tape_node *map;
	if (format == NULL)
		return refuse(error, node,
		              "not a p11tape trace: the first item has no key 'p11tape'");
	if (!tape_node_number(format, &number) || number == 0)
		return refuse(error, format, "'p11tape' is the number of a format");
	if (number > TAPE_FORMAT_VERSION)
		return tape_error_set(
			error, TAPE_E_INVALID, format->line,
			"format %llu is newer than this p11tape, which reads up to %d: use a "
			"newer one",
			(unsigned long long)number, TAPE_FORMAT_VERSION);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(texts); i++) {
		const struct tape_node *text = tape_node_get(node, texts[i]);
		if (text != NULL && !tape_node_is_text(text))
			return tape_error_set(error, TAPE_E_INVALID, text->line,
			                      "'%s' is text in quotes", texts[i]);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(maps); i++) {
		int result = read_mapping(node, maps[i], &map, error);
		if (result < 0)
			return result;
	}
	int result = read_seconds(node, "clock", &number, &has, error);
	return result < 0 ? result : read_number(node, "load", &number, error);
}

static int check_keys(const struct tape_node *node, const char *const *keys, size_t count,
                      struct tape_error *error)
{
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		size_t i = 0;
		while (i < count && strcmp(child->key, keys[i]) != 0)
			i++;
		if (i == count)
			return tape_error_set(error, TAPE_E_INVALID, child->line,
			                      "'%.60s' has no place here", child->key);
	}
	return 0;
}

/* What has a return, in it or behind it: who called, when, and the return where it is a whole call. */
static int read_first_half(struct tape_item *item, const struct tape_node *names,
                           struct tape_error *error)
{
	static const char *const of_return[] = { "out", "took", "until" };
	const struct tape_node *node = item->node;
	int result;
	item->thread = 1;
	if (tape_node_get(node, "id") == NULL)
		return tape_error_set(error, TAPE_E_INVALID, node->line, "a %s without its 'id'",
		                      item->kind == TAPE_ITEM_CALL ? "call" : "notification");
	if ((result = read_number(node, "id", &item->id, error)) < 0 ||
	    (result = read_number(node, "thread", &item->thread, error)) < 0 ||
	    (result = read_number(node, "during", &item->during, error)) < 0 ||
	    (result = read_number(node, "until", &item->until, error)) < 0 ||
	    (result = read_seconds(node, "at", &item->at, &item->has_at, error)) < 0 ||
	    (result = read_mapping(node, "in", &item->in, error)) < 0 ||
	    (result = read_partial(node, &item->in, error)) < 0)
		return result;
	if (item->id == 0)
		return refuse(error, tape_node_get(node, "id"), "'id' counts from 1");
	item->whole = tape_node_get(node, "rv") != NULL;
	if (item->whole)
		return read_return(item, names, error);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(of_return); i++) {
		const struct tape_node *child = tape_node_get(node, of_return[i]);
		if (child != NULL)
			return tape_error_set(
				error, TAPE_E_INVALID, child->line,
				"'%s' belongs to a return, and this %s has no 'rv'", of_return[i],
				item->kind == TAPE_ITEM_CALL ? "call" : "notification");
	}
	return 0;
}

/* Whether a call was only made to wait: "delay=1ms:delay_exit=1ms". */
static bool says_delays(const struct tape_node *injected)
{
	static const char delay[] = "delay";
	for (const char *at = injected->text; at != NULL; at = strchr(at, ':')) {
		at += *at == ':';
		if (strncmp(at, delay, sizeof(delay) - 1) != 0)
			return false;
	}
	return true;
}

static int read_call(struct tape_item *item, const struct tape_node *name,
                     const struct tape_node *names, struct tape_error *error)
{
	static const char *const keys[] = { "call",    "id",        "at",        "thread",
		                            "during",  "interface", "synthetic", "injected",
		                            "partial", "of",        "in",        "out",
		                            "rv",      "took",      "until" };
	item->kind = TAPE_ITEM_CALL;
	if (name->type != TAPE_NODE_SCALAR || name->length == 0)
		return refuse(error, name, "'call' is a function's name");
	item->name = name->text;
	item->function = tape_function_find(name->text, name->length);
	item->synthetic = tape_node_get(item->node, "synthetic") != NULL;
	const struct tape_node *injected = tape_node_get(item->node, "injected");
	item->injected = injected != NULL && !says_delays(injected);
	if (injected != NULL && !tape_node_is_text(injected))
		return refuse(error, injected, "'injected' is text: what was done");
	/* That the id is missing says more than what is there instead. */
	int result = tape_node_get(item->node, "id") == NULL
	                     ? 0
	                     : check_keys(item->node, keys, TAPE_ARRAY_SIZE(keys), error);
	return result < 0 ? result : read_first_half(item, names, error);
}

/* A call in the other direction: of the function that the application gave to C_OpenSession. */
static int read_notification(struct tape_item *item, const struct tape_node *event,
                             const struct tape_node *names, struct tape_error *error)
{
	static const char *const keys[] = { "notify", "id", "at",   "thread", "during",
		                            "in",     "rv", "took", "until" };
	item->kind = TAPE_ITEM_NOTIFY;
	item->name = "Notify";
	if (event->type != TAPE_NODE_SCALAR || event->length == 0)
		return refuse(error, event, "'notify' is the name of a notification");
	int result = check_keys(item->node, keys, TAPE_ARRAY_SIZE(keys), error);
	return result < 0 ? result : read_first_half(item, names, error);
}

/* A mistyped `return` must not pass for something that can be skipped. */
static bool is_event(const char *name)
{
	static const char *const names[] = { "gap", "passed-through", "fork" };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return name[0] == 'x' && name[1] == '-';
}

static int read_item(struct tape_item *item, struct tape_node *node, const struct tape_node *names,
                     struct tape_error *error)
{
	static const char *const return_keys[] = { "return", "out", "rv", "took", "partial" };
	static const char *const end_keys[] = { "end", "load", "last", "open", "many", "at" };
	const struct tape_node *key;
	int result;
	memset(item, 0, sizeof(*item));
	item->node = node;
	item->line = node->line;
	item->function = TAPE_FN_COUNT;
	if (node->type != TAPE_NODE_MAPPING)
		return refuse(error, node, "an item is a mapping");
	if (node->count == 0)
		return refuse(error, node, "an empty item");
	if (tape_node_get(node, "p11tape") != NULL) {
		item->kind = TAPE_ITEM_HEADER;
		return check_header(node, error);
	}
	if ((key = tape_node_get(node, "call")) != NULL)
		return read_call(item, key, names, error);
	if (tape_node_get(node, "return") != NULL) {
		item->kind = TAPE_ITEM_RETURN;
		if ((result = check_keys(node, return_keys, TAPE_ARRAY_SIZE(return_keys), error)) <
		            0 ||
		    (result = read_number(node, "return", &item->id, error)) < 0)
			return result;
		return read_return(item, names, error);
	}
	if ((key = tape_node_get(node, "notify")) != NULL)
		return read_notification(item, key, names, error);
	item->kind = tape_node_get(node, "end") != NULL ? TAPE_ITEM_END : TAPE_ITEM_EVENT;
	item->name = node->first->key;
	if (item->kind == TAPE_ITEM_END &&
	    (result = check_keys(node, end_keys, TAPE_ARRAY_SIZE(end_keys), error)) < 0)
		return result;
	if (item->kind == TAPE_ITEM_EVENT && !is_event(item->name))
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "'%.60s' is not a kind of item", item->name);
	if ((result = read_number(node, "id", &item->id, error)) < 0 ||
	    (result = read_number(node, "during", &item->during, error)) < 0 ||
	    (result = read_seconds(node, "at", &item->at, &item->has_at, error)) < 0)
		return result;
	return 0;
}

/* ---- the header ------------------------------------------------------------------------------ */

static const char *text_of(const struct tape_node *map, const char *key)
{
	const struct tape_node *node = tape_node_get(map, key);
	return node == NULL || node->type != TAPE_NODE_SCALAR ? "" : node->text;
}

static uint64_t number_of(const struct tape_node *map, const char *key, uint64_t otherwise)
{
	const struct tape_node *node = tape_node_get(map, key);
	uint64_t number;
	return node != NULL && tape_node_number(node, &number) ? number : otherwise;
}

static unsigned int entries_of(const struct tape_node *exports)
{
	unsigned int entries = 0;
	for (const struct tape_node *name = exports == NULL ? NULL : exports->first; name != NULL;
	     name = name->next)
		if (name->type == TAPE_NODE_SCALAR)
			entries |= tape_entry_find(name->text, name->length);
	return entries;
}

static void read_header(struct tape_header *header, const struct tape_node *node)
{
	const struct tape_node *process = tape_node_get(node, "process");
	header->node = node;
	header->format = number_of(node, "p11tape", 0);
	header->version = text_of(node, "version");
	header->started = text_of(node, "started");
	header->redact = text_of(node, "redact");
	header->program = text_of(process, "program");
	header->pid = number_of(process, "pid", 0);
	header->start = number_of(process, "start", 0);
	header->parent = number_of(process, "parent", 0);
	header->group = number_of(process, "group", 0);
	header->forked_after = number_of(process, "forked-after", 0);
	/* Traces of 0.1's beginnings do not say from whom, and it nearly always is the parent. */
	if (tape_node_get(process, "forked-after") != NULL)
		header->forked_from = number_of(process, "forked-from", header->parent);
	header->load = number_of(node, "load", 1);
	header->continues = text_of(node, "continues");
	header->module = text_of(tape_node_get(node, "module"), "path");
	header->prefix = text_of(tape_node_get(node, "module"), "prefix");
	header->entries = entries_of(tape_node_get(tape_node_get(node, "module"), "exports"));
	header->ulong_size = (unsigned int)number_of(tape_node_get(node, "abi"), "ulong", 0);
	header->names = tape_node_get(node, "names");
}

/* ---- the reader ------------------------------------------------------------------------------ */

/* A pipe cannot be read by position: keep it in a file that has no name. */
static int spool(int from, struct tape_error *error)
{
	char path[] = "/tmp/p11tape-XXXXXX";
	char piece[65536];
	int to = mkostemp(path, O_CLOEXEC);
	if (to < 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "no temporary file: %s",
		                      strerror(errno));
	unlink(path);
	for (;;) {
		ssize_t got = read(from, piece, sizeof(piece));
		if (got == 0)
			return to;
		if (got > 0 && write(to, piece, (size_t)got) == got)
			continue;
		if (got < 0 && errno == EINTR)
			continue;
		close(to);
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "cannot be copied: %s",
		                      strerror(errno));
	}
}

static int open_trace(const char *path, struct tape_error *error)
{
	struct stat status;
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "cannot be opened: %s",
		                      strerror(errno));
	if (fstat(fd, &status) < 0) {
		close(fd);
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "cannot be examined: %s",
		                      strerror(errno));
	}
	if (S_ISREG(status.st_mode))
		return fd;
	if (S_ISDIR(status.st_mode)) {
		close(fd);
		return tape_error_set(error, TAPE_E_INVALID, 0, "is a directory");
	}
	int copy = spool(fd, error);
	close(fd);
	return copy;
}

static int begin(struct tape_reader *reader, struct tape_arena *arena, struct tape_node **ret_first,
                 struct tape_error *error)
{
	tape_yaml_close(reader->yaml);
	reader->yaml = NULL;
	int result = tape_yaml_open(&reader->yaml, reader->fd, 0, reader->end, 1, error);
	if (result < 0)
		return result;
	result = tape_yaml_next(reader->yaml, arena, ret_first, error);
	if (result == 0)
		return tape_error_set(error, TAPE_E_INVALID, 1,
		                      reader->torn ? "only a torn header"
		                                   : "empty: not a p11tape trace");
	return result < 0 ? result : 0;
}

int tape_reader_open(struct tape_reader **ret_reader, const char *path, struct tape_error *error)
{
	struct tape_node *first;
	struct tape_reader *reader = calloc(1, sizeof(*reader));
	if (reader == NULL || (reader->path = strdup(path)) == NULL) {
		free(reader);
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	}
	tape_arena_init(&reader->arena, NULL, 0, HEADER_LIMIT);
	reader->fd = open_trace(path, error);
	int result = reader->fd;
	struct stat status;
	if (result >= 0 && fstat(reader->fd, &status) == 0) {
		reader->device = status.st_dev;
		reader->inode = status.st_ino;
	}
	if (result >= 0)
		result = tape_yaml_whole(reader->fd, &reader->end, &reader->torn, error);
	if (result >= 0)
		result = begin(reader, &reader->arena, &first, error);
	if (result >= 0)
		result = check_header(first, error);
	if (result < 0) {
		tape_reader_close(reader);
		return result;
	}
	read_header(&reader->header, first);
	*ret_reader = reader;
	return 0;
}

void tape_reader_close(struct tape_reader *reader)
{
	if (reader == NULL)
		return;
	tape_yaml_close(reader->yaml);
	if (reader->fd >= 0)
		close(reader->fd);
	tape_arena_done(&reader->arena);
	free(reader->path);
	free(reader);
}

void tape_reader_abandon(const struct tape_reader *reader)
{
	struct stat status;
	if (reader != NULL && fstat(reader->fd, &status) == 0 && status.st_dev == reader->device &&
	    status.st_ino == reader->inode)
		close(reader->fd);
}

const struct tape_header *tape_reader_header(const struct tape_reader *reader)
{
	return &reader->header;
}

const char *tape_reader_path(const struct tape_reader *reader)
{
	return reader->path;
}

bool tape_reader_torn(const struct tape_reader *reader)
{
	return reader->torn;
}

/* A file that was put behind the one that it goes on from: what was open is open still. */
static bool goes_on(const struct tape_reader *reader, const struct tape_item *item)
{
	return item->kind == TAPE_ITEM_HEADER && item->line != reader->header.node->line &&
	       tape_node_get(item->node, "continues") != NULL;
}

int tape_reader_next(struct tape_reader *reader, struct tape_arena *arena,
                     struct tape_item *ret_item, struct tape_error *error)
{
	struct tape_node *node;
	int result;
	do {
		result = tape_yaml_next(reader->yaml, arena, &node, error);
		if (result <= 0)
			return result;
		result = read_item(ret_item, node, reader->header.names, error);
	} while (result >= 0 && goes_on(reader, ret_item));
	return result < 0 ? result : 1;
}

int tape_reader_rewind(struct tape_reader *reader, struct tape_error *error)
{
	struct tape_arena arena;
	struct tape_node *first;
	tape_arena_init(&arena, NULL, 0, HEADER_LIMIT);
	int result = begin(reader, &arena, &first, error);
	tape_arena_done(&arena);
	return result;
}

int tape_reader_refresh(struct tape_reader *reader, struct tape_error *error)
{
	uint64_t end;
	bool torn;
	int result = tape_yaml_whole(reader->fd, &end, &torn, error);
	if (result < 0 || end == reader->end)
		return result;
	/* Record lines are complete items, so a new parser can begin where the old one ended. */
	struct tape_yaml *yaml;
	result = tape_yaml_open(&yaml, reader->fd, reader->end, end,
	                        tape_yaml_end_line(reader->yaml), error);
	if (result < 0)
		return result;
	tape_yaml_close(reader->yaml);
	reader->yaml = yaml;
	reader->end = end;
	reader->torn = torn;
	return 1;
}

/* ---- overlapping calls ----------------------------------------------------------------------- */

static bool begins_with(const char *line, size_t length, const char *prefix)
{
	size_t size = strlen(prefix);
	return length >= size && memcmp(line, prefix, size) == 0;
}

/* Whether a record line that begins so is in turn. */
static bool takes_its_turn(const char *head, size_t length, bool *open)
{
	if (begins_with(head, length, "- {\"call\": ")) {
		if (*open)
			return false;
		*open = true;
	} else if (begins_with(head, length, "- {\"return\": ")) {
		if (!*open)
			return false;
		*open = false;
	} else if (!begins_with(head, length, "- {\"") ||
	           begins_with(head, length, "- {\"notify\": ")) {
		return false;
	}
	return true;
}

/*
 * Calls and returns of record lines that strictly take turns do not overlap. Returns true where that is
 * certain from the beginnings of the lines alone.
 */
static bool lines_take_turns(const struct tape_reader *reader)
{
	enum { HEAD = 16 };
	char piece[65536];
	char head[HEAD];
	size_t head_length = 0;
	bool open = false;
	for (uint64_t at = 0; at < reader->end;) {
		size_t want = sizeof(piece);
		if (want > reader->end - at)
			want = (size_t)(reader->end - at);
		ssize_t got = pread(reader->fd, piece, want, (off_t)at);
		if (got <= 0)
			return false;
		at += (uint64_t)got;
		const char *text = piece;
		size_t left = (size_t)got;
		while (left != 0) {
			const char *newline = memchr(text, '\n', left);
			size_t length = newline == NULL ? left : (size_t)(newline - text);
			size_t take = length < HEAD - head_length ? length : HEAD - head_length;
			memcpy(head + head_length, text, take);
			head_length += take;
			if (newline == NULL)
				break;
			if (!takes_its_turn(head, head_length, &open))
				return false;
			head_length = 0;
			text = newline + 1;
			left -= length + 1;
		}
	}
	/* The last line may be without its newline. */
	return head_length == 0 || takes_its_turn(head, head_length, &open);
}

/* Calls and notifications nested deeper than this pass for calls that overlap. */
#define MAX_NESTED 64

/* What is open, each inside the one before. A notification that no call brought is not among them. */
struct nest {
	struct {
		uint64_t id, until; /* `until` of a whole call, else 0 */
		bool notification;
	} open[MAX_NESTED];
	size_t depth;
};

/* The innermost whole calls whose return stands behind the first half of `id` return. */
static void return_until(struct nest *nest, uint64_t id)
{
	while (nest->depth != 0 && nest->open[nest->depth - 1].until == id)
		nest->depth--;
}

/* Take a first half into the nest. Returns whether it overlaps with what is open. */
static bool overlaps_nest(struct nest *nest, const struct tape_item *item)
{
	bool notification = item->kind == TAPE_ITEM_NOTIFY;
	bool stays = !item->whole || (item->until != 0 && item->until != item->id);
	bool nested = notification;
	if (nest->depth != 0) {
		nested = nest->open[nest->depth - 1].id == item->during &&
		         nest->open[nest->depth - 1].notification != notification;
		if (!nested && !notification)
			return true;
	} else if (notification) {
		nested = false;
	}
	if (stays && (nested || !notification)) {
		/* What returns now would do so inside of what has just begun. */
		if (nest->depth == MAX_NESTED ||
		    (nest->depth != 0 && nest->open[nest->depth - 1].until == item->id))
			return true;
		nest->open[nest->depth].id = item->id;
		nest->open[nest->depth].until = item->whole ? item->until : 0;
		nest->open[nest->depth++].notification = notification;
	} else {
		return_until(nest, item->id);
	}
	return false;
}

/* Take a return out of the nest. Returns whether others are open inside of it. */
static bool leaves_others(struct nest *nest, uint64_t id)
{
	for (size_t i = nest->depth; i-- > 0;)
		if (nest->open[i].id == id) {
			bool others = i != nest->depth - 1;
			nest->depth = i;
			return others;
		}
	return false;
}

static bool overlaps(struct nest *nest, const struct tape_item *item)
{
	switch (item->kind) {
	case TAPE_ITEM_CALL:
	case TAPE_ITEM_NOTIFY:
		return overlaps_nest(nest, item);
	case TAPE_ITEM_RETURN:
		return leaves_others(nest, item->id);
	case TAPE_ITEM_HEADER:
		nest->depth = 0;
		return false;
	default:
		if (item->id != 0)
			return_until(nest, item->id);
		return false;
	}
}

int tape_trace_overlaps(struct tape_reader *reader, struct tape_error *error)
{
	struct tape_arena arena;
	struct tape_item item;
	struct nest nest = { .depth = 0 };
	if (lines_take_turns(reader))
		return 0;
	tape_arena_init(&arena, NULL, 0, TAPE_MAX_ITEM);
	bool found = false;
	int result = tape_reader_rewind(reader, error);
	while (result >= 0 && !found) {
		tape_arena_reset(&arena);
		result = tape_reader_next(reader, &arena, &item, error);
		if (result <= 0)
			break;
		found = overlaps(&nest, &item);
	}
	tape_arena_done(&arena);
	if (result >= 0)
		result = tape_reader_rewind(reader, error);
	return result < 0 ? result : found;
}
