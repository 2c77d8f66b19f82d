/* SPDX-License-Identifier: MIT */
#include "core/yaml_read.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <yaml.h>

struct tape_yaml {
	yaml_parser_t parser;
	int fd;
	uint64_t begin, at, end;
	size_t line; /* added to libyaml's 0-based marks */
	bool inside; /* the top-level sequence has begun */
	bool ended;  /* and the document is over */
	int read_errno;
};

static int read_more(void *context, unsigned char *buffer, size_t size, size_t *ret_size)
{
	struct tape_yaml *yaml = context;
	uint64_t left = yaml->end - yaml->at;
	if (size > left)
		size = (size_t)left;
	ssize_t got;
	do
		got = size == 0 ? 0 : pread(yaml->fd, buffer, size, (off_t)yaml->at);
	while (got < 0 && errno == EINTR);
	if (got < 0) {
		yaml->read_errno = errno;
		return 0;
	}
	yaml->at += (uint64_t)got;
	*ret_size = (size_t)got;
	return 1;
}

int tape_yaml_open(struct tape_yaml **ret_yaml, int fd, uint64_t begin, uint64_t end, size_t line,
                   struct tape_error *error)
{
	struct tape_yaml *yaml = calloc(1, sizeof(*yaml));
	if (yaml == NULL || !yaml_parser_initialize(&yaml->parser)) {
		free(yaml);
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	}
	yaml->fd = fd;
	yaml->begin = yaml->at = begin;
	yaml->end = end;
	yaml->line = line;
	yaml_parser_set_encoding(&yaml->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input(&yaml->parser, read_more, yaml);
	*ret_yaml = yaml;
	return 0;
}

void tape_yaml_close(struct tape_yaml *yaml)
{
	if (yaml == NULL)
		return;
	yaml_parser_delete(&yaml->parser);
	free(yaml);
}

/* The line of the byte at `offset`: libyaml decodes ahead of the lines that it counts. */
static size_t line_at(const struct tape_yaml *yaml, uint64_t offset)
{
	char piece[4096];
	size_t line = yaml->line;
	for (uint64_t at = 0; at < offset;) {
		size_t want = offset - at < sizeof(piece) ? (size_t)(offset - at) : sizeof(piece);
		ssize_t got = pread(yaml->fd, piece, want, (off_t)(yaml->begin + at));
		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			line += piece[i] == '\n';
		at += (uint64_t)got;
	}
	return line;
}

size_t tape_yaml_end_line(const struct tape_yaml *yaml)
{
	return line_at(yaml, yaml->end - yaml->begin);
}

static int parser_failed(const struct tape_yaml *yaml, struct tape_error *error)
{
	const yaml_parser_t *parser = &yaml->parser;
	size_t line = yaml->line + parser->problem_mark.line;
	const char *problem = parser->problem == NULL ? "it is not YAML" : parser->problem;
	if (parser->error == YAML_MEMORY_ERROR)
		return tape_error_set(error, TAPE_E_MEMORY, yaml->line + parser->mark.line,
		                      "out of memory");
	if (yaml->read_errno != 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "cannot be read: %s",
		                      strerror(yaml->read_errno));
	if (parser->error == YAML_READER_ERROR)
		return tape_error_set(error, TAPE_E_INVALID, line_at(yaml, parser->problem_offset),
		                      parser->problem_value < 0
		                              ? "not text that YAML allows: %s"
		                              : "not text that YAML allows: %s (0x%02x)",
		                      problem, (unsigned int)parser->problem_value);
	size_t begin = yaml->line + parser->context_mark.line;
	if (parser->context != NULL && begin != line)
		return tape_error_set(error, TAPE_E_INVALID, line,
		                      "not YAML: %s, in what begins on line %zu", problem, begin);
	return tape_error_set(error, TAPE_E_INVALID, line, "not YAML: %s", problem);
}

static int next_event(struct tape_yaml *yaml, yaml_event_t *event, struct tape_error *error)
{
	if (!yaml_parser_parse(&yaml->parser, event))
		return parser_failed(yaml, error);
	return 0;
}

/* Copy a scalar's text; libyaml frees its own with the event. */
static int copy_text(struct tape_arena *arena, const yaml_event_t *event, const char **ret_text)
{
	*ret_text = tape_arena_copy(arena, event->data.scalar.value, event->data.scalar.length);
	return *ret_text == NULL ? -TAPE_E_MEMORY : 0;
}

struct builder {
	struct tape_arena *arena;
	struct tape_node *stack[TAPE_YAML_MAX_DEPTH];
	size_t depth;
	size_t nodes;
	struct tape_node *root;
	const char *key; /* of the mapping on top, waiting for its value */
	size_t key_length;
};

static int refuse(struct tape_error *error, int code, size_t line, const char *sentence)
{
	return tape_error_set(error, code, line, "%s", sentence);
}

static int begin_key(struct builder *b, const yaml_event_t *event, size_t line,
                     struct tape_error *error)
{
	struct tape_node *map = b->stack[b->depth - 1];
	if (event->type != YAML_SCALAR_EVENT)
		return refuse(error, TAPE_E_INVALID, line, "a mapping's key must be a scalar");
	if (map->count >= TAPE_YAML_MAX_KEYS)
		return refuse(error, TAPE_E_LIMIT, line, "a mapping has too many keys");
	const char *text;
	if (copy_text(b->arena, event, &text) < 0)
		return refuse(error, TAPE_E_LIMIT, line, "an item takes too much memory");
	if (strlen(text) != event->data.scalar.length)
		return refuse(error, TAPE_E_INVALID, line, "a key holds a zero byte");
	if (tape_node_get(map, text) != NULL)
		return tape_error_set(error, TAPE_E_INVALID, line, "the key '%.60s' stands twice",
		                      text);
	b->key = text;
	b->key_length = event->data.scalar.length;
	return 0;
}

static int add_node(struct builder *b, const yaml_event_t *event, size_t line,
                    struct tape_error *error)
{
	enum tape_node_type type = event->type == YAML_SCALAR_EVENT           ? TAPE_NODE_SCALAR
	                           : event->type == YAML_SEQUENCE_START_EVENT ? TAPE_NODE_SEQUENCE
	                                                                      : TAPE_NODE_MAPPING;
	if (++b->nodes > TAPE_YAML_MAX_NODES)
		return refuse(error, TAPE_E_LIMIT, line, "an item has too many parts");
	struct tape_node *node = tape_node_new(b->arena, type, line);
	if (node == NULL)
		return refuse(error, TAPE_E_LIMIT, line, "an item takes too much memory");
	if (type == TAPE_NODE_SCALAR) {
		if (copy_text(b->arena, event, &node->text) < 0)
			return refuse(error, TAPE_E_LIMIT, line, "an item takes too much memory");
		node->length = event->data.scalar.length;
		node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	}
	if (b->depth == 0)
		b->root = node;
	else
		tape_node_append(b->stack[b->depth - 1], node, b->key, b->key_length);
	b->key = NULL;
	if (type != TAPE_NODE_SCALAR) {
		if (b->depth == TAPE_YAML_MAX_DEPTH)
			return refuse(error, TAPE_E_LIMIT, line, "an item is nested too deep");
		b->stack[b->depth++] = node;
	}
	return 0;
}

static bool has_anchor_or_tag(const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL;
	case YAML_SEQUENCE_START_EVENT:
		return event->data.sequence_start.anchor != NULL ||
		       event->data.sequence_start.tag != NULL;
	case YAML_MAPPING_START_EVENT:
		return event->data.mapping_start.anchor != NULL ||
		       event->data.mapping_start.tag != NULL;
	default:
		return false;
	}
}

/* Take one event into the item that is being built. Returns 1 when the item is whole. */
static int build(struct tape_yaml *yaml, struct builder *b, const yaml_event_t *event,
                 struct tape_error *error)
{
	size_t line = yaml->line + event->start_mark.line;
	int result;
	switch (event->type) {
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		b->depth--;
		break;
	case YAML_ALIAS_EVENT:
		return refuse(error, TAPE_E_INVALID, line, "a trace has no aliases");
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (has_anchor_or_tag(event))
			return refuse(error, TAPE_E_INVALID, line,
			              "a trace has no anchors and no tags");
		if (b->depth != 0 && b->stack[b->depth - 1]->type == TAPE_NODE_MAPPING &&
		    b->key == NULL)
			result = begin_key(b, event, line, error);
		else
			result = add_node(b, event, line, error);
		if (result < 0)
			return result;
		if (b->key != NULL)
			return 0;
		break;
	default:
		return refuse(error, TAPE_E_INVALID, line, "the item ends too early");
	}
	return b->depth == 0;
}

/* Step over what stands before the first item. Returns 1 at an item's first event, 0 at the end. */
static int enter(struct tape_yaml *yaml, yaml_event_t *event, struct tape_error *error)
{
	while (!yaml->ended) {
		int result = next_event(yaml, event, error);
		if (result < 0)
			return result;
		size_t line = yaml->line + event->start_mark.line;
		switch (event->type) {
		case YAML_STREAM_START_EVENT:
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (yaml->inside) {
				yaml_event_delete(event);
				return refuse(error, TAPE_E_INVALID, line,
				              "a trace is one YAML document");
			}
			break;
		case YAML_SEQUENCE_START_EVENT:
			if (yaml->inside)
				return 1;
			yaml->inside = true;
			break;
		case YAML_SEQUENCE_END_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_STREAM_END_EVENT:
			yaml->ended = true;
			break;
		default:
			if (yaml->inside)
				return 1;
			yaml_event_delete(event);
			return refuse(error, TAPE_E_INVALID, line,
			              "a trace is a sequence: '- ' is expected");
		}
		yaml_event_delete(event);
	}
	return 0;
}

int tape_yaml_next(struct tape_yaml *yaml, struct tape_arena *arena, struct tape_node **ret_item,
                   struct tape_error *error)
{
	struct builder b = { .arena = arena };
	yaml_event_t event;
	int result = enter(yaml, &event, error);
	if (result <= 0)
		return result;
	for (;;) {
		result = build(yaml, &b, &event, error);
		yaml_event_delete(&event);
		if (result != 0)
			break;
		result = next_event(yaml, &event, error);
		if (result < 0)
			return result;
	}
	if (result == 1)
		*ret_item = b.root;
	return result;
}

/* ---- torn tails ------------------------------------------------------------------------------ */

/* Follow braces and quotes of a record line, to see whether its mapping is closed. */
struct braces {
	long depth;
	bool quoted, escaped, opened;
};

static void follow(struct braces *b, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		if (b->escaped)
			b->escaped = false;
		else if (b->quoted && c == '\\')
			b->escaped = true;
		else if (c == '"')
			b->quoted = !b->quoted;
		else if (!b->quoted && (c == '{' || c == '['))
			b->depth++, b->opened = true;
		else if (!b->quoted && (c == '}' || c == ']'))
			b->depth--;
	}
}

int tape_yaml_whole(int fd, uint64_t *ret_end, bool *ret_torn, struct tape_error *error)
{
	char piece[65536];
	struct stat status;
	if (fstat(fd, &status) < 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "cannot be examined: %s",
		                      strerror(errno));
	uint64_t size = (uint64_t)status.st_size;
	uint64_t line = size; /* where the last line begins */
	*ret_end = size;
	*ret_torn = false;
	for (bool found = false; line != 0 && !found;) {
		uint64_t from = line > sizeof(piece) ? line - sizeof(piece) : 0;
		size_t want = (size_t)(line - from);
		if (pread(fd, piece, want, (off_t)from) != (ssize_t)want)
			return tape_error_set(error, TAPE_E_SYSTEM, 0, "cannot be read to its end");
		const char *newline = memrchr(piece, '\n', want);
		found = newline != NULL;
		line = found ? from + (uint64_t)(newline - piece) + 1 : from;
	}
	if (line == size)
		return 0;
	/* The last line has no newline. In block form that is an editor's doing, and harmless. */
	struct braces b = { 0 };
	for (uint64_t at = line; at < size;) {
		ssize_t got = pread(fd, piece, sizeof(piece), (off_t)at);
		if (got <= 0)
			return tape_error_set(error, TAPE_E_SYSTEM, 0, "cannot be read to its end");
		size_t want = (size_t)got;
		if (at == line &&
		    (want < 3 ? memcmp(piece, "- {", want) != 0 : memcmp(piece, "- {", 3) != 0))
			return 0;
		if (want > size - at)
			want = (size_t)(size - at);
		follow(&b, piece, want);
		at += want;
	}
	if (b.opened && b.depth == 0 && !b.quoted)
		return 0;
	*ret_end = line;
	*ret_torn = true;
	return 0;
}
