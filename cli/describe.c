/* SPDX-License-Identifier: MIT */
#include "cli/describe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void put_node(struct tape_buf *buf, const struct tape_describe *how,
                     const struct tape_node *node, unsigned int depth);

/* ---- text and bytes -------------------------------------------------------------------------- */

/* The bytes of the character at `text`; 1 where it is none. */
static size_t character(const char *text, size_t length)
{
	unsigned char c = (unsigned char)text[0];
	size_t size = c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	return size > length || !tape_text_is_plain(text, size) ? 1 : size;
}

/*
 * Marks that make a terminal show text in another order than it has: U+200E, 200F, 202A-202E,
 * 2066-2069.
 */
static bool is_direction(const char *text, size_t size)
{
	if (size != 3 || memcmp(text, "\xe2\x80", 2) < 0 || memcmp(text, "\xe2\x81", 2) > 0)
		return false;
	unsigned char last = (unsigned char)text[2];
	if (text[1] == '\x80')
		return last == 0x8e || last == 0x8f || (last >= 0xaa && last <= 0xae);
	return last >= 0xa6 && last <= 0xa9;
}

static void put_escaped(struct tape_buf *buf, const char *text, size_t length, bool quotes)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t size; length != 0; text += size, length -= size) {
		size = character(text, length);
		if (tape_text_is_plain(text, size) && !is_direction(text, size)) {
			if (quotes && (*text == '"' || *text == '\\'))
				tape_put_char(buf, '\\');
			tape_put(buf, text, size);
			continue;
		}
		for (size_t i = 0; i < size; i++) {
			unsigned char c = (unsigned char)text[i];
			TAPE_PUT(buf, "\\x");
			tape_put_char(buf, digits[c >> 4]);
			tape_put_char(buf, digits[c & 15]);
		}
	}
}

void tape_describe_text(struct tape_buf *buf, const char *text, size_t length)
{
	put_escaped(buf, text, length, false);
}

static void put_quoted(struct tape_buf *buf, const struct tape_describe *how,
                       const struct tape_node *node)
{
	size_t length = node->length;
	if (length > how->limit) {
		length = 0;
		for (size_t size; length < how->limit; length += size) {
			size = character(node->text + length, node->length - length);
			if (size > how->limit - length)
				break;
		}
	}
	tape_put_char(buf, '"');
	put_escaped(buf, node->text, length, true);
	tape_put_char(buf, '"');
	if (length != node->length)
		TAPE_PUT(buf, "…");
}

/* Hexadecimal digits in one string or in pieces. */
static void put_digits(struct tape_buf *buf, const struct tape_describe *how,
                       const struct tape_node *node)
{
	const struct tape_node *piece = node->type == TAPE_NODE_SCALAR ? node : node->first;
	bool pieces = node->type == TAPE_NODE_SEQUENCE;
	size_t length = 0;
	for (const struct tape_node *p = piece; p != NULL; p = pieces ? p->next : NULL)
		length += p->length / 2;
	bool cut = length > how->limit;
	if (length == 0)
		TAPE_PUT(buf, "\"\"");
	if (cut) {
		tape_put_char(buf, '<');
		tape_put_decimal(buf, length);
		TAPE_PUT(buf, " bytes ");
	}
	for (size_t left = cut ? how->limit : length; piece != NULL && left != 0;
	     piece = pieces ? piece->next : NULL) {
		size_t bytes = piece->length / 2 < left ? piece->length / 2 : left;
		tape_describe_text(buf, piece->text, bytes * 2);
		left -= bytes;
	}
	if (cut)
		TAPE_PUT(buf, "…>");
}

/*
 * Whether a scalar is a name or a number rather than text: it is printed without quotes. Quotes
 * in the trace say little: the block form leaves them out where it can.
 */
static bool is_word(const struct tape_node *node)
{
	static const char *const words[] = { "unavailable", "infinite" };
	const char *text = node->text;
	uint64_t number;
	bool truth;
	if (!node->quoted && (tape_node_number(node, &number) || tape_node_boolean(node, &truth)))
		return true;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(words); i++)
		if (tape_node_is(node, words[i]))
			return true;
	bool name = node->length > 3 &&
	            (memcmp(text, "CK", 2) == 0 || memcmp(text, "C_", 2) == 0) &&
	            memchr(text, '_', node->length) != NULL;
	bool hexadecimal = node->length > 2 && memcmp(text, "0x", 2) == 0;
	bool version = node->key != NULL && node->key_length >= 6 && node->length != 0 &&
	               memcmp(node->key + node->key_length - 6, "ersion", 6) == 0;
	for (size_t i = 0; i < node->length; i++) {
		unsigned char c = (unsigned char)text[i];
		name = name && (isalnum(c) || c == '_');
		hexadecimal = hexadecimal && (i < 2 || isxdigit(c));
		version = version && (isdigit(c) || c == '.');
	}
	return name || hexadecimal || version;
}

static void put_scalar(struct tape_buf *buf, const struct tape_describe *how,
                       const struct tape_node *node)
{
	if (tape_node_is_null(node))
		TAPE_PUT(buf, "NULL");
	else if (is_word(node))
		tape_describe_text(buf, node->text, node->length);
	else
		put_quoted(buf, how, node);
}

/* ---- mappings that stand for one value ------------------------------------------------------- */

/* Say whether a node is a mapping with no other keys than these. */
static bool has_only(const struct tape_node *node, const char *const *keys, size_t count)
{
	if (node->type != TAPE_NODE_MAPPING || node->count == 0)
		return false;
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		size_t i = 0;
		while (i < count && strcmp(keys[i], child->key) != 0)
			i++;
		if (i == count)
			return false;
	}
	return true;
}

static const char *const value_keys[] = { "text", "hex",    "raw",   "secret", "room",
	                                  "len",  "at",     "list",  "same",   "partial",
	                                  "bool", "object", "ulong", "ulongs", "date" };
static const char *const entry_keys[] = { "text", "hex",   "raw",     "secret",  "room",   "len",
	                                  "same", "bool",  "partial", "ulong",   "ulongs", "date",
	                                  "type", "value", "version", "template" };

/* A length or a room: a number, or what it counts: {"ulong": 3}, {"bytes": 5}, {"template": 2}. */
static void put_extent(struct tape_buf *buf, const struct tape_node *node)
{
	const struct tape_node *number = node->type == TAPE_NODE_MAPPING ? node->first : node;
	if (tape_node_is(node, "unstated"))
		tape_put_char(buf, '?');
	else if (number != NULL && number->type == TAPE_NODE_SCALAR)
		tape_describe_text(buf, number->text, number->length);
	if (number == NULL || number == node)
		return;
	tape_put_char(buf, ' ');
	if (strcmp(number->key, "template") == 0)
		TAPE_PUT(buf, "attribute");
	else
		tape_describe_text(buf, number->key, strcspn(number->key, "s"));
	if (!tape_node_is(number, "1"))
		tape_put_char(buf, 's');
}

static bool is_flag_list(const struct tape_node *node)
{
	if (node->type != TAPE_NODE_SEQUENCE || node->key == NULL)
		return false;
	return strcmp(node->key, "flags") == 0 || strcmp(node->key, "pFlags") == 0 ||
	       strcmp(node->key, "ulong") == 0 ||
	       (node->first != NULL && node->first->type == TAPE_NODE_SCALAR &&
	        node->first->length > 4 && memcmp(node->first->text, "CKF_", 4) == 0);
}

static void put_flags(struct tape_buf *buf, const struct tape_describe *how,
                      const struct tape_node *node)
{
	if (node->first == NULL)
		tape_put_char(buf, '0');
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		put_node(buf, how, child, 0);
		if (child->next != NULL)
			tape_put_char(buf, '|');
	}
}

static void put_secret(struct tape_buf *buf, const struct tape_node *name,
                       const struct tape_node *length)
{
	tape_put_char(buf, '<');
	tape_describe_text(buf, name->text, name->length);
	if (length != NULL && length->type == TAPE_NODE_SCALAR) {
		TAPE_PUT(buf, ", ");
		tape_describe_text(buf, length->text, length->length);
		TAPE_PUT(buf, " bytes");
	}
	tape_put_char(buf, '>');
}

/* The contents of an entry or of a byte string: what it is, then what is odd about it. */
static void put_value(struct tape_buf *buf, const struct tape_describe *how,
                      const struct tape_node *node, unsigned int depth)
{
	const struct tape_node *length = tape_node_get(node, "len");
	const struct tape_node *room = tape_node_get(node, "room");
	const struct tape_node *child;
	if (room != NULL) {
		if (tape_node_is_null(room)) {
			TAPE_PUT(buf, "NULL");
		} else {
			tape_put_char(buf, '[');
			put_extent(buf, room);
			tape_put_char(buf, ']');
		}
		if ((child = tape_node_get(node, "at")) != NULL &&
		    child->type == TAPE_NODE_SCALAR) {
			TAPE_PUT(buf, " at ");
			tape_describe_text(buf, child->text, child->length);
		}
		/* The length under a NULL pointer is chance, and says nothing to a reader. */
		if (length == NULL || !how->lines)
			return;
		TAPE_PUT(buf, " with length ");
		put_node(buf, how, length, depth);
		return;
	}
	if ((child = tape_node_get(node, "secret")) != NULL && child->type == TAPE_NODE_SCALAR) {
		put_secret(buf, child, length);
		return;
	}
	if ((child = tape_node_get(node, "text")) != NULL && child->type == TAPE_NODE_SCALAR) {
		put_quoted(buf, how, child);
	} else if ((child = tape_node_get(node, "hex")) != NULL) {
		put_digits(buf, how, child);
	} else if ((child = tape_node_get(node, "raw")) != NULL) {
		TAPE_PUT(buf, "raw ");
		put_digits(buf, how, child);
	} else if (tape_node_get(node, "same") != NULL) {
		TAPE_PUT(buf, "unchanged");
	} else if ((child = tape_node_get(node, "partial")) != NULL) {
		TAPE_PUT(buf, "<not kept: ");
		put_node(buf, how, child, depth);
		tape_put_char(buf, '>');
	} else if (length != NULL && node->count == 1 + (tape_node_get(node, "type") != NULL)) {
		if (tape_node_is(length, "unavailable")) {
			TAPE_PUT(buf, "unavailable");
			return;
		}
		TAPE_PUT(buf, "<length ");
		put_extent(buf, length);
		tape_put_char(buf, '>');
		return;
	} else {
		/* A single fact: bool, ulong, date, list, template, … */
		for (child = node->first; child != NULL; child = child->next)
			if (strcmp(child->key, "type") != 0 && strcmp(child->key, "len") != 0)
				put_node(buf, how, child, depth);
	}
	if (length != NULL) {
		TAPE_PUT(buf, " with length ");
		put_node(buf, how, length, depth);
	}
}

/* ---- templates ------------------------------------------------------------------------------- */

static void new_line(struct tape_buf *buf, unsigned int depth)
{
	tape_put_char(buf, '\n');
	for (unsigned int i = 0; i < depth; i++)
		TAPE_PUT(buf, "  ");
}

/* Say whether a node is a template whose entries name their types. */
static bool is_template(const struct tape_node *node)
{
	if (node->type != TAPE_NODE_SEQUENCE || node->first == NULL)
		return false;
	for (const struct tape_node *child = node->first; child != NULL; child = child->next)
		if (!has_only(child, entry_keys, TAPE_ARRAY_SIZE(entry_keys)) ||
		    tape_node_get(child, "type") == NULL)
			return false;
	return true;
}

/* An entry of a template that is being read: how much room there is, where that is worth a word. */
static void put_asked(struct tape_buf *buf, const struct tape_describe *how,
                      const struct tape_node *room, const struct tape_node *template,
                      unsigned int depth)
{
	if (tape_node_is_null(room)) {
		TAPE_PUT(buf, "=NULL");
	} else if (!tape_node_is(room, "ulong") && !tape_node_is(room, "bool")) {
		tape_put_char(buf, '[');
		put_extent(buf, room);
		tape_put_char(buf, ']');
	}
	if (template != NULL) {
		tape_put_char(buf, '=');
		put_node(buf, how, template, depth + 1);
	}
}

/* `types` are the entries that name the types where those of `entry` do not, or NULL. */
static void put_template(struct tape_buf *buf, const struct tape_describe *how,
                         const struct tape_node *list, const struct tape_node *types, bool read,
                         unsigned int depth)
{
	const struct tape_node *named = types == NULL ? NULL : types->first;
	tape_put_char(buf, '{');
	for (const struct tape_node *entry = list->first; entry != NULL; entry = entry->next) {
		const struct tape_node *type = tape_node_get(entry, "type");
		const struct tape_node *room = tape_node_get(entry, "room");
		if (type == NULL && named != NULL)
			type = tape_node_get(named, "type");
		if (how->lines)
			new_line(buf, depth + 1);
		if (type == NULL)
			tape_put_char(buf, '?');
		else
			put_node(buf, how, type, depth);
		if (entry->type != TAPE_NODE_MAPPING) {
			tape_put_char(buf, '=');
			put_node(buf, how, entry, depth + 1);
		} else if (room != NULL) {
			put_asked(buf, how, room, tape_node_get(entry, "template"), depth);
		} else {
			tape_put_text(buf, read ? ": " : "=");
			put_value(buf, how, entry, depth + 1);
		}
		if (entry->next != NULL)
			tape_put_text(buf, how->lines ? "," : ", ");
		named = named == NULL ? NULL : named->next;
	}
	if (how->lines && list->first != NULL)
		new_line(buf, depth);
	tape_put_char(buf, '}');
}

/* ---- any node -------------------------------------------------------------------------------- */

static void put_members(struct tape_buf *buf, const struct tape_describe *how,
                        const struct tape_node *map, unsigned int depth)
{
	const char *separator = "";
	tape_put_char(buf, '{');
	for (const struct tape_node *child = map->first; child != NULL; child = child->next) {
		if (strcmp(child->key, "as") == 0)
			continue;
		tape_put_text(buf, separator);
		tape_describe_text(buf, child->key, child->key_length);
		tape_put_char(buf, '=');
		put_node(buf, how, child, depth);
		separator = ", ";
	}
	tape_put_char(buf, '}');
}

static void put_list(struct tape_buf *buf, const struct tape_describe *how,
                     const struct tape_node *list, unsigned int depth)
{
	size_t left = how->limit;
	tape_put_char(buf, '[');
	for (const struct tape_node *child = list->first; child != NULL; child = child->next) {
		if (left-- == 0) {
			TAPE_PUT(buf, "… ");
			tape_put_decimal(buf, list->count);
			TAPE_PUT(buf, " in all");
			break;
		}
		put_node(buf, how, child, depth);
		if (child->next != NULL)
			TAPE_PUT(buf, ", ");
	}
	tape_put_char(buf, ']');
}

static void put_mechanism(struct tape_buf *buf, const struct tape_describe *how,
                          const struct tape_node *name, const struct tape_node *parameter,
                          unsigned int depth)
{
	put_node(buf, how, name, depth);
	if (parameter == NULL)
		return;
	if (parameter->type == TAPE_NODE_MAPPING && tape_node_get(parameter, "as") != NULL) {
		put_node(buf, how, parameter, depth);
		return;
	}
	tape_put_char(buf, '{');
	put_node(buf, how, parameter, depth);
	tape_put_char(buf, '}');
}

static void put_mapping(struct tape_buf *buf, const struct tape_describe *how,
                        const struct tape_node *node, unsigned int depth)
{
	static const char *const mechanism_keys[] = { "mechanism", "parameter" };
	const struct tape_node *mechanism = tape_node_get(node, "mechanism");
	if (mechanism != NULL && has_only(node, mechanism_keys, TAPE_ARRAY_SIZE(mechanism_keys)))
		put_mechanism(buf, how, mechanism, tape_node_get(node, "parameter"), depth);
	else if (has_only(node, value_keys, TAPE_ARRAY_SIZE(value_keys)))
		put_value(buf, how, node, depth);
	else
		put_members(buf, how, node, depth);
}

static void put_node(struct tape_buf *buf, const struct tape_describe *how,
                     const struct tape_node *node, unsigned int depth)
{
	if (node->type == TAPE_NODE_SCALAR)
		put_scalar(buf, how, node);
	else if (node->type == TAPE_NODE_MAPPING)
		put_mapping(buf, how, node, depth);
	else if (is_flag_list(node))
		put_flags(buf, how, node);
	else if (is_template(node))
		put_template(buf, how, node, NULL, false, depth);
	else
		put_list(buf, how, node, depth);
}

void tape_describe_node(struct tape_buf *buf, const struct tape_describe *how,
                        const struct tape_node *node)
{
	put_node(buf, how, node, 1);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static const struct tape_shape *find_shape(const struct tape_item *call, const char *key)
{
	if (call == NULL || call->function == TAPE_FN_COUNT)
		return NULL;
	const struct tape_function *function = &tape_functions[call->function];
	for (size_t i = 0; i < function->count; i++)
		if (strcmp(function->arguments[i].key.text, key) == 0)
			return &tape_shapes[function->arguments[i].kind];
	return NULL;
}

static void put_argument(struct tape_buf *buf, const struct tape_describe *how,
                         const struct tape_item *call, const struct tape_node *node, bool output)
{
	const struct tape_shape *shape = find_shape(call, node->key);
	bool truth;
	tape_describe_text(buf, node->key, node->key_length);
	tape_put_text(buf, how->lines ? " = " : "=");
	if (shape != NULL && shape->codec == TAPE_C_TEMPLATE && node->type == TAPE_NODE_SEQUENCE)
		put_template(buf, how, node, output ? tape_node_get(call->in, node->key) : NULL,
		             output, 1);
	else if (shape != NULL && shape->codec != TAPE_C_BOOLEAN && tape_node_boolean(node, &truth))
		TAPE_PUT(buf, "non-NULL");
	else
		put_node(buf, how, node, 1);
}

static void put_arguments(struct tape_buf *buf, const struct tape_describe *how,
                          const struct tape_item *call, const struct tape_node *map, bool output)
{
	for (const struct tape_node *node = map == NULL ? NULL : map->first; node != NULL;
	     node = node->next) {
		if (how->lines)
			TAPE_PUT(buf, "  ");
		put_argument(buf, how, call, node, output);
		if (how->lines)
			tape_put_char(buf, '\n');
		else if (node->next != NULL)
			TAPE_PUT(buf, ", ");
	}
}

void tape_describe_in(struct tape_buf *buf, const struct tape_describe *how,
                      const struct tape_item *call)
{
	put_arguments(buf, how, call, call->in, false);
}

void tape_describe_out(struct tape_buf *buf, const struct tape_describe *how,
                       const struct tape_item *call, const struct tape_item *back)
{
	put_arguments(buf, how, call, back->out, true);
}

void tape_describe_duration(struct tape_buf *buf, uint64_t nanoseconds)
{
	static const struct {
		uint64_t below;
		double unit;
		int decimals;
		const char *name;
	} units[] = {
		{ 1000, 1, 0, "ns" },
		{ 100000, 1e3, 1, "µs" },
		{ 1000000000, 1e6, 1, "ms" },
		{ UINT64_MAX, 1e9, 1, "s" },
	};
	char text[48];
	size_t i = 0;
	while (i < TAPE_ARRAY_SIZE(units) - 1 && nanoseconds >= units[i].below)
		i++;
	snprintf(text, sizeof(text), "%.*f %s", units[i].decimals,
	         (double)nanoseconds / units[i].unit, units[i].name);
	tape_put_text(buf, text);
}
