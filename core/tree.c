/* SPDX-License-Identifier: MIT */
#include "core/tree.h"

#include <string.h>

struct tape_node *tape_node_new(struct tape_arena *arena, enum tape_node_type type, size_t line)
{
	struct tape_node *node = tape_arena_get(arena, sizeof(*node));
	if (node == NULL)
		return NULL;
	memset(node, 0, sizeof(*node));
	node->type = (uint8_t)type;
	node->line = line;
	return node;
}

void tape_node_append(struct tape_node *parent, struct tape_node *child, const char *key,
                      size_t key_length)
{
	child->key = key;
	child->key_length = key_length;
	child->next = NULL;
	if (parent->last == NULL)
		parent->first = child;
	else
		parent->last->next = child;
	parent->last = child;
	parent->count++;
}

bool tape_node_share(struct tape_arena *arena, struct tape_node *parent,
                     const struct tape_node *from, const char *key, size_t key_length)
{
	struct tape_node *copy = tape_arena_get(arena, sizeof(*copy));
	if (copy == NULL)
		return false;
	*copy = *from;
	tape_node_append(parent, copy, key, key_length);
	return true;
}

struct tape_node *tape_node_get(const struct tape_node *node, const char *key)
{
	if (node == NULL || node->type != TAPE_NODE_MAPPING)
		return NULL;
	size_t length = strlen(key);
	for (struct tape_node *child = node->first; child != NULL; child = child->next)
		if (child->key_length == length && memcmp(child->key, key, length) == 0)
			return child;
	return NULL;
}

bool tape_node_is(const struct tape_node *node, const char *word)
{
	return node->type == TAPE_NODE_SCALAR && strlen(word) == node->length &&
	       memcmp(node->text, word, node->length) == 0;
}

bool tape_node_is_null(const struct tape_node *node)
{
	return !node->quoted && node->type == TAPE_NODE_SCALAR &&
	       (node->length == 0 || tape_node_is(node, "null") || tape_node_is(node, "~"));
}

bool tape_node_boolean(const struct tape_node *node, bool *ret_value)
{
	if (node->quoted || node->type != TAPE_NODE_SCALAR)
		return false;
	if (tape_node_is(node, "true"))
		*ret_value = true;
	else if (tape_node_is(node, "false"))
		*ret_value = false;
	else
		return false;
	return true;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool tape_node_number(const struct tape_node *node, uint64_t *ret_number)
{
	if (node->type != TAPE_NODE_SCALAR || node->length == 0)
		return false;
	const char *text = node->text;
	size_t length = node->length;
	unsigned int base = 10;
	if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		base = 16;
		text += 2;
		length -= 2;
	} else if (length > 1 && text[0] == '0') {
		return false; /* octal to some loaders, decimal to others */
	}
	uint64_t number = 0;
	for (size_t i = 0; i < length; i++) {
		int digit = digit_of(text[i]);
		if (digit < 0 || (unsigned int)digit >= base ||
		    number > (UINT64_MAX - (unsigned int)digit) / base)
			return false;
		number = number * base + (unsigned int)digit;
	}
	*ret_number = number;
	return true;
}

bool tape_node_seconds(const struct tape_node *node, uint64_t *ret_nanoseconds)
{
	if (node->type != TAPE_NODE_SCALAR || node->length == 0)
		return false;
	uint64_t whole = 0;
	size_t i = 0;
	for (; i < node->length && node->text[i] >= '0' && node->text[i] <= '9'; i++) {
		if (whole > UINT64_MAX / 10000000000u)
			return false;
		whole = whole * 10 + (uint64_t)(node->text[i] - '0');
	}
	if (i == 0)
		return false;
	uint64_t fraction = 0;
	uint64_t unit = 100000000;
	if (i < node->length && node->text[i] == '.')
		for (i++; i < node->length && node->text[i] >= '0' && node->text[i] <= '9'; i++) {
			fraction += unit * (uint64_t)(node->text[i] - '0');
			unit /= 10;
		}
	if (i != node->length)
		return false;
	if (whole > (UINT64_MAX - fraction) / 1000000000u)
		return false;
	*ret_nanoseconds = whole * 1000000000u + fraction;
	return true;
}

/* ---- spelling -------------------------------------------------------------------------------- */

/*
 * Append text as a string that YAML and JSON read alike. libyaml has seen to it that it is UTF-8; what is
 * not plain in it comes from escapes that somebody wrote, and becomes one again.
 */
static void put_string(struct tape_buf *buf, const char *text, size_t length)
{
	if (tape_text_is_plain(text, length)) {
		tape_put_quoted(buf, text, length);
		return;
	}
	tape_put_char(buf, '"');
	for (size_t i = 0; i < length;) {
		const unsigned char *at = (const unsigned char *)text + i;
		size_t size = *at < 0x80 ? 1 : *at < 0xe0 ? 2 : *at < 0xf0 ? 3 : 4;
		if (size > length - i)
			size = length - i;
		if (*at == '"' || *at == '\\')
			tape_put_char(buf, '\\');
		if (size == 4 || tape_text_is_plain(at, size)) {
			/* JSON escapes the other planes in pairs, which YAML does not take: they stay raw. */
			tape_put(buf, text + i, size);
		} else {
			unsigned int code = size == 1 ? *at
			                    : size == 2
			                            ? (at[0] & 0x1fu) << 6 | (at[1] & 0x3fu)
			                            : (at[0] & 0xfu) << 12 | (at[1] & 0x3fu) << 6 |
			                                      (at[2] & 0x3fu);
			const unsigned char bytes[] = { (unsigned char)(code >> 8),
				                        (unsigned char)code };
			TAPE_PUT(buf, "\\u");
			tape_put_hex(buf, bytes, sizeof(bytes));
		}
		i += size;
	}
	tape_put_char(buf, '"');
}

/* What JSON takes for a number, but for signs and exponents. */
static bool is_json_number(const char *text, size_t length)
{
	size_t whole = 0;
	while (whole < length && text[whole] >= '0' && text[whole] <= '9')
		whole++;
	if (whole == 0 || (whole > 1 && text[0] == '0'))
		return false;
	size_t end = whole;
	if (end < length && text[end] == '.')
		for (end++; end < length && text[end] >= '0' && text[end] <= '9';)
			end++;
	return end == length && end != whole + 1;
}

void tape_node_put_flow(struct tape_buf *buf, const struct tape_node *node)
{
	bool mapping = node->type == TAPE_NODE_MAPPING;
	if (node->type == TAPE_NODE_SCALAR) {
		bool boolean;
		/* JSON has no plain words and no hexadecimal numbers: those are quoted. */
		if (!node->quoted &&
		    (tape_node_boolean(node, &boolean) || is_json_number(node->text, node->length)))
			tape_put(buf, node->text, node->length);
		else if (tape_node_is_null(node))
			TAPE_PUT(buf, "null");
		else
			put_string(buf, node->text, node->length);
		return;
	}
	tape_put_char(buf, mapping ? '{' : '[');
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		if (mapping) {
			put_string(buf, child->key, child->key_length);
			TAPE_PUT(buf, ": ");
		}
		tape_node_put_flow(buf, child);
		if (child->next != NULL)
			TAPE_PUT(buf, ", ");
	}
	tape_put_char(buf, mapping ? '}' : ']');
}

void tape_node_put_line(struct tape_buf *buf, const struct tape_node *item)
{
	TAPE_PUT(buf, "- ");
	tape_node_put_flow(buf, item);
	tape_put_char(buf, '\n');
}

/* A name that every YAML loader takes for a string without quotes: CKM_AES_GCM, C_Sign, pTemplate. */
static bool is_plain_name(const char *text, size_t length)
{
	static const char *const reserved[] = { "null", "true", "false", "yes", "no",
		                                "on",   "off",  "y",     "n" };
	if (length < 2 ||
	    !((text[0] >= 'A' && text[0] <= 'Z') || (text[0] >= 'a' && text[0] <= 'z')))
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = text[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		      c == '_' || (c == '-' && i != 0)))
			return false;
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(reserved); i++)
		if (strlen(reserved[i]) == length) {
			size_t same = 0;
			while (same < length && (text[same] | 0x20) == reserved[i][same])
				same++;
			if (same == length)
				return false;
		}
	return true;
}

bool tape_node_is_text(const struct tape_node *node)
{
	return node->type == TAPE_NODE_SCALAR &&
	       (node->quoted || is_plain_name(node->text, node->length));
}

/* Values of these keys are contents, not names: they keep their quotes whatever they look like. */
static bool is_content_key(const struct tape_node *node)
{
	static const char *const keys[] = { "hex",     "text",    "raw",   "date",
		                            "version", "partial", "secret" };
	for (size_t i = 0; node->key != NULL && i < TAPE_ARRAY_SIZE(keys); i++)
		if (strlen(keys[i]) == node->key_length &&
		    memcmp(keys[i], node->key, node->key_length) == 0)
			return true;
	return false;
}

static void put_block_flow(struct tape_buf *buf, const struct tape_node *node, bool content)
{
	bool mapping = node->type == TAPE_NODE_MAPPING;
	content = content || is_content_key(node);
	if (node->type == TAPE_NODE_SCALAR) {
		if (!content && is_plain_name(node->text, node->length))
			tape_put(buf, node->text, node->length);
		else
			tape_node_put_flow(buf, node);
		return;
	}
	tape_put_char(buf, mapping ? '{' : '[');
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		if (mapping) {
			if (is_plain_name(child->key, child->key_length))
				tape_put(buf, child->key, child->key_length);
			else
				put_string(buf, child->key, child->key_length);
			TAPE_PUT(buf, ": ");
		}
		put_block_flow(buf, child, content);
		if (child->next != NULL)
			TAPE_PUT(buf, ", ");
	}
	tape_put_char(buf, mapping ? '}' : ']');
}

static void indent(struct tape_buf *buf, unsigned int depth)
{
	for (unsigned int i = 0; i < depth; i++)
		TAPE_PUT(buf, "  ");
}

static bool holds_collections(const struct tape_node *node)
{
	for (const struct tape_node *child = node->first; child != NULL; child = child->next)
		if (child->type != TAPE_NODE_SCALAR)
			return true;
	return false;
}

/* One fact a line: a collection opens up as long as it holds collections; what holds scalars stays flow. */
static void put_block_mapping(struct tape_buf *buf, const struct tape_node *node,
                              unsigned int depth, bool first_is_indented)
{
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		if (child != node->first || !first_is_indented)
			indent(buf, depth);
		if (is_plain_name(child->key, child->key_length))
			tape_put(buf, child->key, child->key_length);
		else
			put_string(buf, child->key, child->key_length);
		tape_put_char(buf, ':');
		bool open = child->count != 0 && (depth == 1 ? child->type == TAPE_NODE_MAPPING
		                                             : holds_collections(child));
		if (!open) {
			tape_put_char(buf, ' ');
			put_block_flow(buf, child, false);
			tape_put_char(buf, '\n');
		} else if (child->type == TAPE_NODE_MAPPING) {
			tape_put_char(buf, '\n');
			put_block_mapping(buf, child, depth + 1, false);
		} else {
			tape_put_char(buf, '\n');
			for (const struct tape_node *entry = child->first; entry != NULL;
			     entry = entry->next) {
				indent(buf, depth);
				TAPE_PUT(buf, "- ");
				put_block_flow(buf, entry, is_content_key(child));
				tape_put_char(buf, '\n');
			}
		}
	}
}

void tape_node_put_block(struct tape_buf *buf, const struct tape_node *item)
{
	TAPE_PUT(buf, "- ");
	if (item->type != TAPE_NODE_MAPPING || item->count == 0) {
		put_block_flow(buf, item, false);
		tape_put_char(buf, '\n');
		return;
	}
	put_block_mapping(buf, item, 1, true);
}
