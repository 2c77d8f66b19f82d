/* SPDX-License-Identifier: MIT */
#include "core/parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/print.h"

/* Where in an item we are, for sentences: "C_Sign, pMechanism"; and on which side of the call. */
struct where {
	const char *function;
	const char *argument;
	bool output;
	unsigned int traits;      /* of the argument's shape */
	enum tape_direction rule; /* of the structure around: IN and OUT hold for all of it */
};

static int TAPE_PRINTF(4, 5) refuse(const struct tape_parse *parse, const struct where *where,
                                    const struct tape_node *node, const char *format, ...)
{
	char what[200];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	return tape_error_set(parse->error, TAPE_E_INVALID, node->line, "%s, %.60s: %s",
	                      where->function, where->argument, what);
}

/* A mapping that is closed: it holds some of these keys and no others. */
static int check_keys(const struct tape_parse *parse, const struct where *where,
                      const struct tape_node *map, const char *const *keys, size_t count)
{
	for (const struct tape_node *child = map->first; child != NULL; child = child->next) {
		size_t i = 0;
		while (i < count && strcmp(child->key, keys[i]) != 0)
			i++;
		if (i == count)
			return refuse(parse, where, child, "'%.60s' has no place here", child->key);
	}
	return 0;
}

static int no_memory(const struct tape_parse *parse)
{
	return tape_error_set(parse->error, TAPE_E_LIMIT, 0, "an item takes too much memory");
}

static void set(struct tape_value *value, enum tape_form form)
{
	memset(value, 0, sizeof(*value));
	value->form = (uint8_t)form;
}

static struct tape_value *children(const struct tape_parse *parse, struct tape_value *value,
                                   size_t count)
{
	struct tape_value *list = tape_arena_array(parse->arena, count, sizeof(*list));
	if (list == NULL)
		return NULL;
	memset(list, 0, count * sizeof(*list));
	value->data = list;
	value->count = (uint32_t)count;
	return list;
}

/* ---- numbers and names ----------------------------------------------------------------------- */

static bool fits_ulong(uint64_t number)
{
	return number <= (CK_ULONG)-1;
}

static int parse_number(const struct tape_parse *parse, const struct where *where,
                        const struct tape_node *node, uint64_t *ret_number)
{
	if (tape_node_number(node, ret_number)) {
		if (fits_ulong(*ret_number))
			return 0;
		return refuse(parse, where, node,
		              "a number that this platform's CK_ULONG cannot hold");
	}
	if (node->type == TAPE_NODE_SCALAR && tape_node_is(node, "unavailable")) {
		*ret_number = CK_UNAVAILABLE_INFORMATION;
		return 0;
	}
	return refuse(parse, where, node, "a whole number below 2^64 is expected");
}

/* The value of a constant's name: from the tables, else from what the header declares. */
static int parse_constant(const struct tape_parse *parse, const struct where *where,
                          const struct tape_node *node, enum tape_group group, uint64_t *ret_value)
{
	const struct tape_constant *row = NULL;
	bool ambiguous = false;
	if (node->type != TAPE_NODE_SCALAR)
		return refuse(parse, where, node, "a name or a number is expected");
	if (node->length == 0 || (node->text[0] >= '0' && node->text[0] <= '9') ||
	    tape_node_is(node, "unavailable"))
		return parse_number(parse, where, node, ret_value);
	if (group == TAPE_G_CKA) {
		if (tape_attribute_value(node->text, node->length, ret_value, &ambiguous))
			return 0;
	} else {
		if (tape_constant_value(group, node->text, node->length, ret_value, &row))
			return 0;
		ambiguous = row != NULL;
	}
	const struct tape_node *declared = tape_node_get(parse->names, node->text);
	if (declared != NULL && tape_node_number(declared, ret_value) && fits_ulong(*ret_value))
		return 0;
	if (ambiguous)
		return refuse(parse, where, node, "'%.60s' has two values in use: write the number",
		              node->text);
	return refuse(parse, where, node, "'%.60s' is not known here: write the number",
	              node->text);
}

static int parse_flags(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *node, enum tape_group group, uint64_t *ret_flags)
{
	uint64_t flags = 0;
	if (node->type == TAPE_NODE_MAPPING)
		return refuse(parse, where, node, "a list of names is expected");
	if (node->type != TAPE_NODE_SEQUENCE)
		return parse_number(parse, where, node, ret_flags);
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		uint64_t bit = 0;
		int result = parse_constant(parse, where, child, group, &bit);
		if (result < 0)
			return result;
		flags |= bit;
	}
	*ret_flags = flags;
	return 0;
}

static int parse_boolean(const struct tape_parse *parse, const struct where *where,
                         const struct tape_node *node, uint64_t *ret_number)
{
	bool truth;
	if (tape_node_boolean(node, &truth)) {
		*ret_number = truth ? CK_TRUE : CK_FALSE;
		return 0;
	}
	if (tape_node_number(node, ret_number) && *ret_number <= UINT8_MAX)
		return 0;
	return refuse(parse, where, node, "true, false or a byte is expected");
}

static int parse_version(const struct tape_parse *parse, const struct where *where,
                         const struct tape_node *node, uint64_t *ret_version)
{
	unsigned int major = 0;
	unsigned int minor = 0;
	unsigned int *part = &major;
	bool digits = false;
	for (size_t i = 0; node->quoted && i < node->length; i++) {
		char c = node->text[i];
		if (c >= '0' && c <= '9' && *part <= 25) {
			*part = *part * 10 + (unsigned int)(c - '0');
			digits = true;
		} else if (c == '.' && part == &major && digits) {
			part = &minor;
			digits = false;
		} else {
			digits = false;
			break;
		}
	}
	if (part != &minor || !digits || major > 255 || minor > 255)
		return refuse(parse, where, node,
		              "a version in quotes, such as \"2.40\", is expected");
	*ret_version = (uint64_t)major << 8 | minor;
	return 0;
}

/* The longest name of a secret. */
#define MAX_SECRET_NAME 31

/* ---- bytes ----------------------------------------------------------------------------------- */

/* The value of a hexadecimal digit plus one; 0 for any other character. */
static const unsigned char hex_digits[256] = {
	['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,
	['6'] = 7,  ['7'] = 8,  ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16, ['A'] = 11, ['B'] = 12,
	['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static bool decode_hex(const struct tape_node *node, unsigned char *to)
{
	if (!tape_node_is_text(node) || node->length % 2 != 0)
		return false;
	const unsigned char *from = (const unsigned char *)node->text;
	for (size_t i = 0; i < node->length; i += 2) {
		unsigned int high = hex_digits[from[i]];
		unsigned int low = hex_digits[from[i + 1]];
		if (high == 0 || low == 0)
			return false;
		*to++ = (unsigned char)((high - 1) << 4 | (low - 1));
	}
	return true;
}

/* Hex digits, in one string or several. */
static int parse_hex(const struct tape_parse *parse, const struct where *where,
                     const struct tape_node *node, struct tape_value *value)
{
	size_t length = node->type == TAPE_NODE_SCALAR ? node->length / 2 : 0;
	if (node->type == TAPE_NODE_SEQUENCE)
		for (const struct tape_node *piece = node->first; piece != NULL;
		     piece = piece->next)
			length += piece->length / 2;
	unsigned char *bytes = tape_arena_get(parse->arena, length + 1);
	if (bytes == NULL)
		return no_memory(parse);
	bool good = node->type != TAPE_NODE_MAPPING;
	unsigned char *to = bytes;
	if (node->type == TAPE_NODE_SCALAR)
		good = decode_hex(node, bytes);
	else
		for (const struct tape_node *piece = node->first; good && piece != NULL;
		     piece = piece->next) {
			good = decode_hex(piece, to);
			to += piece->length / 2;
		}
	if (!good)
		return refuse(parse, where, node,
		              "an even number of hexadecimal digits in quotes is expected");
	bytes[length] = 0;
	value->data = bytes;
	value->length = length;
	return 0;
}

/* Text in quotes, or without them where every YAML loader takes it for text. */
static int parse_text(const struct tape_parse *parse, const struct where *where,
                      const struct tape_node *node, enum tape_form form, struct tape_value *value)
{
	if (!tape_node_is_text(node))
		return refuse(parse, where, node, "text in quotes is expected");
	/* Values outlive the item that they are read from. */
	value->form = (uint8_t)form;
	value->data = tape_arena_copy(parse->arena, node->text, node->length);
	value->length = node->length;
	return value->data == NULL ? no_memory(parse) : 0;
}

/*
 * The mapping that print_inside() writes: {"hex": …}, {"text": …}, {"raw": …}, {"len": …},
 * {"secret": …}, {"room": …}, {"same": true}, {"partial": …}. `skip` names a key that is the caller's.
 */
static int parse_inside(const struct tape_parse *parse, const struct where *where,
                        const struct tape_node *node, const char *skip, struct tape_value *value)
{
	const struct tape_node *length = NULL;
	bool known = false;
	bool truth;
	int result = 0;
	set(value, TAPE_V_ABSENT);
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		const char *key = child->key;
		if (skip != NULL && strcmp(key, skip) == 0)
			continue;
		if (strcmp(key, "len") == 0) {
			length = child;
			continue;
		}
		if (known)
			return refuse(parse, where, child,
			              "'%.60s' is a second content of one value", key);
		known = true;
		if (strcmp(key, "hex") == 0) {
			value->form = TAPE_V_BYTES;
			result = parse_hex(parse, where, child, value);
		} else if (strcmp(key, "raw") == 0) {
			value->form = TAPE_V_RAW;
			result = parse_hex(parse, where, child, value);
		} else if (strcmp(key, "text") == 0) {
			result = parse_text(parse, where, child, TAPE_V_BYTES, value);
		} else if (strcmp(key, "secret") == 0) {
			result = parse_text(parse, where, child, TAPE_V_SECRET, value);
			if (result == 0 && (value->length == 0 || value->length > MAX_SECRET_NAME))
				return refuse(parse, where, child,
				              "a secret has a name of 1 to %d characters",
				              MAX_SECRET_NAME);
		} else if (strcmp(key, "room") == 0) {
			if (tape_node_is_null(child)) {
				value->form = TAPE_V_QUERY;
			} else if (child->type == TAPE_NODE_SCALAR &&
			           tape_node_is(child, "unstated")) {
				value->form = TAPE_V_UNSTATED;
			} else {
				value->form = TAPE_V_ROOM;
				result = parse_number(parse, where, child, &value->number);
			}
		} else if (strcmp(key, "same") == 0) {
			if (!tape_node_boolean(child, &truth) || !truth)
				return refuse(parse, where, child, "'same' is true or is left out");
			value->form = TAPE_V_SAME;
		} else if (strcmp(key, "partial") == 0) {
			result = parse_text(parse, where, child, TAPE_V_LOST, value);
		} else {
			return refuse(parse, where, child, "'%.60s' is not a way to write a value",
			              key);
		}
		if (result < 0)
			return result;
	}
	if (length != NULL) {
		if (known && value->form != TAPE_V_BYTES && value->form != TAPE_V_SECRET &&
		    value->form != TAPE_V_QUERY && value->form != TAPE_V_UNSTATED)
			return refuse(parse, where, length, "'len' has no place here");
		result = parse_number(parse, where, length, &value->number);
		if (known)
			value->stated = 1;
		else
			value->form = TAPE_V_LENGTH;
	} else if (!known) {
		return refuse(parse, where, node, "an empty value");
	}
	return result;
}

static int parse_common(const struct tape_parse *parse, const struct where *where,
                        const struct tape_node *node, struct tape_value *value)
{
	bool truth;
	set(value, TAPE_V_ABSENT);
	if (tape_node_is_null(node)) {
		value->form = TAPE_V_NULL;
		return 0;
	}
	if (tape_node_boolean(node, &truth) && truth) {
		value->form = TAPE_V_PRESENT;
		return 0;
	}
	if (node->type != TAPE_NODE_MAPPING)
		return refuse(parse, where, node,
		              "null or a mapping such as {hex: \"00\"} is expected");
	return parse_inside(parse, where, node, NULL, value);
}

/* What a value may be, as a set of forms. */
#define IS(form) (1u << TAPE_V_##form)

/*
 * Refuse a value that cannot be what `what` is: room for an input, contents for a handle. What was lost
 * may have been anything. Only an output's length may differ from its contents.
 */
static int check_form(const struct tape_parse *parse, const struct where *where,
                      const struct tape_node *node, const struct tape_value *value,
                      unsigned int forms, const char *what)
{
	if (((forms | IS(LOST)) & 1u << value->form) == 0)
		return refuse(parse, where, node, "not a value that %s can have", what);
	if (value->form == TAPE_V_BYTES && value->stated && !where->output)
		return refuse(parse, where, node, "'len' has no place beside an input's contents");
	if (value->form == TAPE_V_SECRET && !value->stated && where->output)
		return refuse(parse, where, node, "a secret output without its 'len'");
	return 0;
}

/* ---- templates ------------------------------------------------------------------------------- */

static size_t element_size(enum tape_attribute_type type)
{
	switch (type) {
	case TAPE_A_BOOL:
		return sizeof(CK_BBOOL);
	case TAPE_A_TEMPLATE:
		return sizeof(CK_ATTRIBUTE);
	default:
		return sizeof(CK_ULONG);
	}
}

/* A length of an attribute's value, in bytes: a number, a word for one element, or how many of them. */
static int parse_attribute_length(const struct tape_parse *parse, const struct where *where,
                                  const struct tape_node *node, uint64_t *ret_length)
{
	static const struct {
		const char *word;
		enum tape_attribute_type type;
	} units[] = { { "ulong", TAPE_A_ULONG },
		      { "bool", TAPE_A_BOOL },
		      { "template", TAPE_A_TEMPLATE } };

	if (node->type == TAPE_NODE_SCALAR) {
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(units); i++)
			if (tape_node_is(node, units[i].word)) {
				*ret_length = element_size(units[i].type);
				return 0;
			}
		return parse_number(parse, where, node, ret_length);
	}
	const struct tape_node *count = node->type == TAPE_NODE_MAPPING ? node->first : NULL;
	if (count == NULL || count->next != NULL)
		return refuse(parse, where, node, "a length is expected");
	int result = parse_number(parse, where, count, ret_length);
	if (result < 0 || strcmp(count->key, "bytes") == 0)
		return result;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(units); i++) {
		if (strcmp(count->key, units[i].word) != 0)
			continue;
		size_t size = element_size(units[i].type);
		if (*ret_length > (CK_ULONG)-1 / size)
			return refuse(parse, where, count, "a length that no memory holds");
		*ret_length *= size;
		return 0;
	}
	return refuse(parse, where, count, "a length counts bytes, ulong or template");
}

static int parse_ulong(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *node, const struct tape_attribute *row,
                       CK_ULONG *ret_number)
{
	uint64_t number;
	int result;
	if (row != NULL && (row->type == TAPE_A_CONSTANT || row->type == TAPE_A_CONSTANTS))
		result = parse_constant(parse, where, node, (enum tape_group)row->group, &number);
	else if (row != NULL && row->type == TAPE_A_FLAGS)
		result = parse_flags(parse, where, node, (enum tape_group)row->group, &number);
	else
		result = parse_number(parse, where, node, &number);
	if (result == 0)
		*ret_number = (CK_ULONG)number;
	return result;
}

static int set_copy(const struct tape_parse *parse, struct tape_value *value, const void *bytes,
                    size_t size)
{
	uint64_t tag = value->tag;
	set(value, TAPE_V_BYTES);
	value->tag = tag;
	value->data = tape_arena_copy(parse->arena, bytes, size);
	value->length = size;
	return value->data == NULL ? no_memory(parse) : 0;
}

static int parse_template(const struct tape_parse *parse, const struct where *where,
                          const struct tape_node *node, const struct tape_value *types, bool typed,
                          bool reading, unsigned int depth, struct tape_value *value);

/* An attribute's value under one of the typed keys. Returns 1 where there is none of them. */
static int parse_typed(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *entry, const struct tape_attribute *row,
                       struct tape_value *value)
{
	const struct tape_node *node;
	uint64_t number = 0;
	if ((node = tape_node_get(entry, "ulong")) != NULL) {
		CK_ULONG ulong;
		int result = parse_ulong(parse, where, node, row, &ulong);
		return result < 0 ? result : set_copy(parse, value, &ulong, sizeof(ulong));
	}
	if ((node = tape_node_get(entry, "ulongs")) != NULL) {
		CK_ULONG *list = tape_arena_array(parse->arena, node->count, sizeof(*list));
		size_t i = 0;
		if (list == NULL)
			return no_memory(parse);
		if (node->type != TAPE_NODE_SEQUENCE)
			return refuse(parse, where, node, "a list is expected");
		for (const struct tape_node *child = node->first; child != NULL;
		     child = child->next, i++) {
			int result = parse_ulong(parse, where, child, row, &list[i]);
			if (result < 0)
				return result;
		}
		return set_copy(parse, value, list, i * sizeof(*list));
	}
	if ((node = tape_node_get(entry, "bool")) != NULL) {
		int result = parse_boolean(parse, where, node, &number);
		CK_BBOOL boolean = (CK_BBOOL)number;
		return result < 0 ? result : set_copy(parse, value, &boolean, sizeof(boolean));
	}
	if ((node = tape_node_get(entry, "date")) != NULL) {
		if (!node->quoted || node->length != 8 || strspn(node->text, "0123456789") != 8)
			return refuse(parse, where, node, "a date is eight digits in quotes");
		return set_copy(parse, value, node->text, node->length);
	}
	if ((node = tape_node_get(entry, "version")) != NULL) {
		int result = parse_version(parse, where, node, &number);
		unsigned char version[2] = { (unsigned char)(number >> 8), (unsigned char)number };
		return result < 0 ? result : set_copy(parse, value, version, sizeof(version));
	}
	return 1;
}

/* One attribute says one thing: its type, and one content with what belongs to it. */
static int check_entry(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *entry)
{
	static const char *const contents[] = { "ulong", "ulongs", "bool",   "date",   "version",
		                                "hex",   "text",   "raw",    "secret", "template",
		                                "value", "same",   "partial" };
	const char *content = NULL;
	for (const struct tape_node *child = entry->first; child != NULL; child = child->next) {
		size_t i = 0;
		while (i < TAPE_ARRAY_SIZE(contents) && strcmp(child->key, contents[i]) != 0)
			i++;
		if (i == TAPE_ARRAY_SIZE(contents)) {
			if (strcmp(child->key, "type") != 0 && strcmp(child->key, "room") != 0 &&
			    strcmp(child->key, "len") != 0)
				return refuse(parse, where, child,
				              "'%.60s' is not a way to write an attribute",
				              child->key);
			continue;
		}
		if (content != NULL)
			return refuse(parse, where, child,
			              "'%.60s' is a second content of one attribute", child->key);
		content = child->key;
	}
	const struct tape_node *room = tape_node_get(entry, "room");
	const struct tape_node *length = tape_node_get(entry, "len");
	if (room != NULL && content != NULL && strcmp(content, "template") != 0)
		return refuse(parse, where, room, "an attribute with contents has no room");
	if (length != NULL && (room != NULL || (content != NULL && strcmp(content, "secret") != 0)))
		return refuse(parse, where, length, "'len' has no place here");
	if (room == NULL && length == NULL && content == NULL)
		return refuse(parse, where, entry, "an attribute without contents");
	return 0;
}

static int parse_entry(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *entry, uint64_t tag, bool typed, bool reading,
                       unsigned int depth, struct tape_value *value)
{
	const struct tape_node *node;
	int result;
	set(value, TAPE_V_ABSENT);
	if (entry->type != TAPE_NODE_MAPPING)
		return refuse(parse, where, entry, "an attribute is a mapping");
	if ((result = check_entry(parse, where, entry)) < 0)
		return result;
	value->tag = tag;
	if ((node = tape_node_get(entry, "type")) != NULL) {
		if (!typed)
			return refuse(parse, where, node,
			              "an attribute's type stands in 'in' alone");
		result = parse_constant(parse, where, node, TAPE_G_CKA, &value->tag);
		if (result < 0)
			return result;
	} else if (typed && !(depth > 1 && (reading || where->output))) {
		return refuse(parse, where, entry, "an attribute without its type");
	}
	tag = value->tag;
	const struct tape_attribute *row = tag == TAPE_TAG_ANY ? NULL : tape_attribute_find(tag);

	if ((node = tape_node_get(entry, "template")) != NULL) {
		const struct tape_node *room = tape_node_get(entry, "room");
		uint64_t bytes = 0;
		if (room != NULL &&
		    (result = parse_attribute_length(parse, where, room, &bytes)) < 0)
			return result;
		result = parse_template(parse, where, node, NULL, true, reading, depth + 1, value);
		value->number = bytes;
		value->tag = tag;
		return result;
	}
	if ((node = tape_node_get(entry, "room")) != NULL && !tape_node_is_null(node)) {
		value->form = TAPE_V_ROOM;
		return parse_attribute_length(parse, where, node, &value->number);
	}
	if ((node = tape_node_get(entry, "value")) != NULL) {
		if (!tape_node_is_null(node))
			return refuse(parse, where, node, "'value' is null or is left out");
		value->form = TAPE_V_NULL;
		return 0;
	}
	if ((node = tape_node_get(entry, "len")) != NULL &&
	    tape_node_get(entry, "secret") == NULL) {
		value->form = TAPE_V_LENGTH;
		return parse_attribute_length(parse, where, node, &value->number);
	}
	result = parse_typed(parse, where, entry, row, value);
	if (result > 0)
		result = parse_inside(parse, where, entry, "type", value);
	value->tag = tag;
	return result;
}

/* What can stand in the place of a list: null, a length that NULL was given, a reason for its lack. */
static int parse_absent_list(const struct tape_parse *parse, const struct where *where,
                             const struct tape_node *node, const char *what,
                             struct tape_value *value)
{
	if (!tape_node_is_null(node) && tape_node_get(node, "len") == NULL &&
	    tape_node_get(node, "partial") == NULL)
		return refuse(parse, where, node, "a list of %s is expected", what);
	return parse_common(parse, where, node, value);
}

/* Contents need room, a template needs a template; a length can stand in the place of either. */
static bool entry_fits(const struct tape_value *in, const struct tape_value *out)
{
	switch ((enum tape_form)out->form) {
	case TAPE_V_BYTES:
	case TAPE_V_SECRET:
	case TAPE_V_RAW:
		return in->form == TAPE_V_ROOM;
	case TAPE_V_LIST:
		return in->form == TAPE_V_LIST && out->count <= in->count;
	default:
		return true;
	}
}

static int parse_template(const struct tape_parse *parse, const struct where *where,
                          const struct tape_node *node, const struct tape_value *types, bool typed,
                          bool reading, unsigned int depth, struct tape_value *value)
{
	if (node->type != TAPE_NODE_SEQUENCE)
		return parse_absent_list(parse, where, node, "attributes", value);
	if (depth > TAPE_MAX_DEPTH)
		return refuse(parse, where, node, "templates nested too deep");
	if (node->count > TAPE_MAX_ELEMENTS)
		return refuse(parse, where, node, "too many attributes");
	if (types != NULL && (types->form != TAPE_V_LIST || types->count != node->count))
		return refuse(parse, where, node,
		              "as many attributes as in the call's inputs are expected");
	set(value, TAPE_V_LIST);
	struct tape_value *list = children(parse, value, node->count);
	if (list == NULL)
		return no_memory(parse);
	size_t i = 0;
	for (const struct tape_node *child = node->first; child != NULL; child = child->next, i++) {
		uint64_t tag = types == NULL ? TAPE_TAG_ANY : tape_value_child(types, i)->tag;
		int result = parse_entry(parse, where, child, tag, typed, reading, depth, &list[i]);
		if (result < 0)
			return result;
		result = check_form(parse, where, child, &list[i],
		                    where->output ? IS(BYTES) | IS(SECRET) | IS(RAW) | IS(LENGTH) |
		                                            IS(LIST) | IS(SAME)
		                    : reading ? IS(ROOM) | IS(QUERY) | IS(LIST)
		                              : IS(BYTES) | IS(SECRET) | IS(RAW) | IS(LENGTH) |
		                                        IS(LIST) | IS(NULL),
		                    "this attribute");
		if (result < 0)
			return result;
		if (types != NULL && !entry_fits(tape_value_child(types, i), &list[i]))
			return refuse(parse, where, child,
			              "the call's inputs offer no room for this");
	}
	return 0;
}

/* ---- structures, mechanisms ------------------------------------------------------------------ */

static int parse_record(const struct tape_parse *parse, const struct where *where,
                        const struct tape_node *node, enum tape_record_id record, bool named,
                        unsigned int depth, struct tape_value *value);
static int parse_mechanism(const struct tape_parse *parse, const struct where *where,
                           const struct tape_node *node, unsigned int depth,
                           struct tape_value *value);

/* Contents of a member that has one size: all of it. */
static int parse_fixed(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *node, size_t size, struct tape_value *value)
{
	int result = parse_common(parse, where, node, value);
	if (result == 0 && value->form == TAPE_V_BYTES && value->length != size)
		return refuse(parse, where, node, "%zu bytes are expected", size);
	return result;
}

/* Text shorter than the member is padded with blanks again. */
static int parse_chars(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *node, size_t size, struct tape_value *value)
{
	if (node->type != TAPE_NODE_SCALAR || tape_node_is_null(node))
		return parse_fixed(parse, where, node, size, value);
	if (!tape_node_is_text(node))
		return refuse(parse, where, node, "text in quotes is expected");
	if (node->length > size)
		return refuse(parse, where, node, "text of at most %zu bytes is expected", size);
	char *text = tape_arena_get(parse->arena, size + 1);
	if (text == NULL)
		return no_memory(parse);
	memcpy(text, node->text, node->length);
	memset(text + node->length, ' ', size - node->length);
	text[size] = 0;
	set(value, TAPE_V_BYTES);
	value->data = text;
	value->length = size;
	return 0;
}

static int parse_ulong_array(const struct tape_parse *parse, const struct where *where,
                             const struct tape_node *node, size_t count, struct tape_value *value)
{
	if (node->type != TAPE_NODE_SEQUENCE || node->count != count)
		return refuse(parse, where, node,
		              "a list of as many numbers as the field holds is expected");
	CK_ULONG *list = tape_arena_array(parse->arena, count, sizeof(*list));
	if (list == NULL)
		return no_memory(parse);
	size_t i = 0;
	for (const struct tape_node *child = node->first; child != NULL; child = child->next, i++) {
		int result = parse_ulong(parse, where, child, NULL, &list[i]);
		if (result < 0)
			return result;
	}
	set(value, TAPE_V_BYTES);
	value->data = list;
	value->length = count * sizeof(*list);
	return 0;
}

static int parse_structs(const struct tape_parse *parse, const struct where *where,
                         const struct tape_node *node, enum tape_record_id record,
                         unsigned int depth, struct tape_value *value)
{
	if (node->type != TAPE_NODE_SEQUENCE)
		return parse_absent_list(parse, where, node, "structures", value);
	set(value, TAPE_V_LIST);
	struct tape_value *list = children(parse, value, node->count);
	if (list == NULL)
		return no_memory(parse);
	size_t i = 0;
	for (const struct tape_node *child = node->first; child != NULL; child = child->next, i++) {
		/* One that the module left alone. */
		if (where->output && child->type == TAPE_NODE_MAPPING && child->count == 0)
			continue;
		int result =
			tape_node_get(child, "partial") != NULL
				? parse_common(parse, where, child, &list[i])
				: parse_record(parse, where, child, record, false, depth, &list[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

static int read_field(const struct tape_parse *parse, const struct where *where,
                      const struct tape_node *node, const struct tape_field *field,
                      unsigned int depth, struct tape_value *value)
{
	struct where inner = *where;
	if (where->rule != TAPE_D_IN && where->rule != TAPE_D_OUT)
		inner.rule = (enum tape_direction)field->direction;
	set(value, TAPE_V_NUMBER);
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_LIMIT:
		if (node->type == TAPE_NODE_SCALAR && tape_node_is(node, "infinite")) {
			value->number = CK_EFFECTIVELY_INFINITE;
			return 0;
		}
		return parse_number(parse, where, node, &value->number);
	case TAPE_F_NUMBER:
	case TAPE_F_OBJECT:
	case TAPE_F_LENGTH:
		return parse_number(parse, where, node, &value->number);
	case TAPE_F_CONSTANT:
		return parse_constant(parse, where, node, (enum tape_group)field->detail,
		                      &value->number);
	case TAPE_F_FLAGS:
		return parse_flags(parse, where, node, (enum tape_group)field->detail,
		                   &value->number);
	case TAPE_F_BOOL:
	case TAPE_F_BYTE:
		return parse_boolean(parse, where, node, &value->number);
	case TAPE_F_VERSION:
		return parse_version(parse, where, node, &value->number);
	case TAPE_F_CHARS:
		return parse_chars(parse, where, node, field->size, value);
	case TAPE_F_ULONGS:
		return parse_ulong_array(parse, where, node, field->size / sizeof(CK_ULONG), value);
	case TAPE_F_STRUCT:
	case TAPE_F_P_STRUCT:
		if (tape_node_is_null(node) || tape_node_get(node, "partial") != NULL)
			return parse_common(parse, where, node, value);
		return parse_record(parse, &inner, node, (enum tape_record_id)field->detail, false,
		                    depth + 1, value);
	case TAPE_F_P_STRUCTS:
		return parse_structs(parse, &inner, node, (enum tape_record_id)field->detail,
		                     depth + 1, value);
	case TAPE_F_P_TEMPLATE:
		return parse_template(parse, where, node, NULL, true, false, depth + 1, value);
	case TAPE_F_P_MECHANISM:
		return parse_mechanism(parse, where, node, depth + 1, value);
	case TAPE_F_P_OBJECT:
		if (node->type == TAPE_NODE_SCALAR && !tape_node_is_null(node))
			return parse_number(parse, where, node, &value->number);
		return parse_common(parse, where, node, value);
	case TAPE_F_FIXED:
		return parse_fixed(parse, where, node, field->size, value);
	default:
		return parse_common(parse, where, node, value);
	}
}

/* The forms of a field's value: what core/capture.c makes of its kind. */
static unsigned int field_forms(const struct tape_field *field, bool output)
{
	unsigned int bytes =
		IS(BYTES) | IS(SECRET) | (output ? 0 : IS(NULL) | IS(LENGTH) | IS(ROOM));
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_CHARS:
	case TAPE_F_FIXED:
	case TAPE_F_ULONGS:
		return IS(BYTES) | IS(SECRET);
	case TAPE_F_STRUCT:
		return IS(RECORD);
	case TAPE_F_P_STRUCT:
		return IS(RECORD) | IS(NULL);
	case TAPE_F_P_STRUCTS:
		return IS(LIST) | IS(NULL) | IS(LENGTH);
	case TAPE_F_P_TEMPLATE:
		return IS(LIST) | IS(NULL) | IS(LENGTH);
	case TAPE_F_P_MECHANISM:
		return IS(MECHANISM) | IS(NULL);
	case TAPE_F_P_OBJECT:
		return IS(NUMBER) | IS(NULL);
	case TAPE_F_P_OPAQUE:
		return IS(NULL) | IS(PRESENT) | bytes;
	case TAPE_F_P_BYTES:
	case TAPE_F_P_SECRET:
	case TAPE_F_P_BITS:
	case TAPE_F_P_SIZED:
	case TAPE_F_P_BYTES_AT:
	case TAPE_F_P_SECRET_AT:
	case TAPE_F_P_PARENT_BITS:
	case TAPE_F_P_TEXTZ:
	case TAPE_F_P_VARIANT:
		/* Only one length is the module's to write without contents. */
		return field->kind == TAPE_F_P_BYTES_AT ? bytes | IS(LENGTH) : bytes;
	default:
		return IS(NUMBER);
	}
}

static int parse_field(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *node, const struct tape_field *field,
                       unsigned int depth, struct tape_value *value)
{
	int result = read_field(parse, where, node, field, depth, value);
	if (result < 0)
		return result;
	return check_form(parse, where, node, value, field_forms(field, where->output),
	                  field->name.text);
}

static const struct tape_field *find_field(const struct tape_record *record, const char *key,
                                           size_t length, size_t *ret_index)
{
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		if (field->name.length == length && memcmp(field->name.text, key, length) == 0) {
			*ret_index = i;
			return field;
		}
	}
	return NULL;
}

/* Whether an output can be spelled for a field; for a structure its own fields say so. */
static bool may_be_written(const struct where *where, const struct tape_field *field)
{
	bool pointer = field->kind >= TAPE_F_P_BYTES;
	/* Where all of a structure is output, the pointers in it are the module's own. */
	if (where->rule == TAPE_D_IN || where->rule == TAPE_D_OUT)
		return where->rule == TAPE_D_OUT && !pointer;
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_STRUCT:
	case TAPE_F_P_STRUCT:
	case TAPE_F_P_STRUCTS:
		return true;
	default:
		return field->direction == TAPE_D_OUT || field->direction == TAPE_D_INOUT ||
		       (field->direction == TAPE_D_SEAL && (where->traits & TAPE_T_SEAL) != 0);
	}
}

static int parse_record(const struct tape_parse *parse, const struct where *where,
                        const struct tape_node *node, enum tape_record_id id, bool named,
                        unsigned int depth, struct tape_value *value)
{
	const struct tape_record *record = &tape_records[id];
	if (node->type != TAPE_NODE_MAPPING)
		return refuse(parse, where, node, "a structure is a mapping");
	if (depth > TAPE_MAX_DEPTH)
		return refuse(parse, where, node, "structures nested too deep");
	set(value, TAPE_V_RECORD);
	value->record = (uint16_t)id;
	struct tape_value *list = children(parse, value, record->count);
	if (list == NULL)
		return no_memory(parse);
	for (const struct tape_node *child = node->first; child != NULL; child = child->next) {
		if (named && strcmp(child->key, "as") == 0)
			continue;
		size_t index;
		const struct tape_field *field =
			find_field(record, child->key, child->key_length, &index);
		if (field == NULL) {
			return refuse(parse, where, child, "%s has no field '%.60s'",
			              record->name.text, child->key);
		}
		if (field->kind == TAPE_F_LENGTH)
			return refuse(parse, where, child, "%s is said by what it is the length of",
			              field->name.text);
		if (where->output && !may_be_written(where, field))
			return refuse(parse, where, child, "the module cannot write to %s",
			              field->name.text);
		int result = parse_field(parse, where, child, field, depth, &list[index]);
		if (result < 0)
			return result;
	}
	return 0;
}

static int parse_parameter(const struct tape_parse *parse, const struct where *where,
                           const struct tape_node *node, unsigned int depth,
                           struct tape_value *value)
{
	static const struct {
		const char *key;
		enum tape_parameter parameter;
	} words[] = { { "ulong", TAPE_P_ULONG }, { "object", TAPE_P_OBJECT } };

	const struct tape_node *as = tape_node_get(node, "as");
	if (as != NULL) {
		enum tape_record_id record = as->type != TAPE_NODE_SCALAR
		                                     ? TAPE_R_NONE
		                                     : tape_record_find(as->text, as->length);
		if (record == TAPE_R_NONE)
			return refuse(parse, where, as,
			              "the name of a structure is expected, such as "
			              "CK_GCM_PARAMS");
		return parse_record(parse, where, node, record, true, depth, value);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(words); i++) {
		const struct tape_node *number = tape_node_get(node, words[i].key);
		if (number == NULL)
			continue;
		int result = check_keys(parse, where, node, &words[i].key, 1);
		if (result < 0)
			return result;
		set(value, TAPE_V_NUMBER);
		value->record = (uint16_t)words[i].parameter;
		return parse_number(parse, where, number, &value->number);
	}
	int result = parse_common(parse, where, node, value);
	if (result < 0)
		return result;
	if (value->form == TAPE_V_BYTES && value->stated)
		return refuse(parse, where, node,
		              "'len' has no place beside a parameter's contents");
	unsigned int forms = IS(BYTES) | IS(RAW) | IS(SECRET);
	return check_form(parse, where, node, value,
	                  where->output ? forms : forms | IS(NULL) | IS(LENGTH), "a parameter");
}

static int parse_mechanism(const struct tape_parse *parse, const struct where *where,
                           const struct tape_node *node, unsigned int depth,
                           struct tape_value *value)
{
	static const char *const keys[] = { "mechanism", "parameter" };
	const struct tape_node *name = tape_node_get(node, "mechanism");
	const struct tape_node *parameter = tape_node_get(node, "parameter");
	if (name == NULL && !tape_node_is_null(node) && tape_node_get(node, "partial") == NULL)
		return refuse(parse, where, node, "null or {mechanism: NAME} is expected");
	if (name == NULL)
		return parse_common(parse, where, node, value);
	if (depth > TAPE_MAX_DEPTH)
		return refuse(parse, where, node, "mechanisms nested too deep");
	set(value, TAPE_V_MECHANISM);
	int result = check_keys(parse, where, node, keys, TAPE_ARRAY_SIZE(keys));
	if (result < 0 ||
	    (result = parse_constant(parse, where, name, TAPE_G_CKM, &value->tag)) < 0)
		return result;
	struct tape_value *child = children(parse, value, 1);
	if (child == NULL)
		return no_memory(parse);
	if (parameter == NULL) {
		set(child, TAPE_V_NULL);
		return 0;
	}
	return parse_parameter(parse, where, parameter, depth + 1, child);
}

/* ---- C_Initialize, discovery, lists ---------------------------------------------------------- */

static int parse_init_args(const struct tape_parse *parse, const struct where *where,
                           const struct tape_node *node, struct tape_value *value)
{
	static const char *const names[] = { "CreateMutex", "DestroyMutex", "LockMutex",
		                             "UnlockMutex" };
	static const char *const keys[] = { "flags", "mutexes", "pReserved" };
	const struct tape_node *flags = tape_node_get(node, "flags");
	if (flags == NULL)
		return parse_common(parse, where, node, value);
	int result = check_keys(parse, where, node, keys, TAPE_ARRAY_SIZE(keys));
	if (result < 0)
		return result;
	set(value, TAPE_V_RECORD);
	struct tape_value *list = children(parse, value, TAPE_INIT_COUNT);
	if (list == NULL)
		return no_memory(parse);
	list[TAPE_INIT_FLAGS].form = TAPE_V_NUMBER;
	list[TAPE_INIT_MUTEXES].form = TAPE_V_NUMBER;
	result = parse_flags(parse, where, flags, TAPE_G_CKF_INITIALIZE,
	                     &list[TAPE_INIT_FLAGS].number);
	if (result < 0)
		return result;
	const struct tape_node *mutexes = tape_node_get(node, "mutexes");
	if (mutexes != NULL && mutexes->type != TAPE_NODE_SEQUENCE)
		return refuse(parse, where, mutexes, "a list of mutex functions is expected");
	for (const struct tape_node *m = mutexes == NULL ? NULL : mutexes->first; m != NULL;
	     m = m->next) {
		size_t i = 0;
		while (i < TAPE_ARRAY_SIZE(names) &&
		       (m->type != TAPE_NODE_SCALAR || !tape_node_is(m, names[i])))
			i++;
		if (i == TAPE_ARRAY_SIZE(names))
			return refuse(parse, where, m,
			              "CreateMutex, DestroyMutex, LockMutex or UnlockMutex is "
			              "expected");
		list[TAPE_INIT_MUTEXES].number |= 1u << i;
	}
	const struct tape_node *reserved = tape_node_get(node, "pReserved");
	if (reserved == NULL)
		return 0;
	result = parse_common(parse, where, reserved, &list[TAPE_INIT_RESERVED]);
	if (result < 0)
		return result;
	return check_form(parse, where, reserved, &list[TAPE_INIT_RESERVED],
	                  IS(PRESENT) | IS(BYTES), "pReserved");
}

static int parse_list(const struct tape_parse *parse, const struct where *where,
                      const struct tape_node *node, struct tape_value *value)
{
	static const char *const keys[] = { "name", "version", "flags", "missing" };
	const struct tape_node *child;
	int result;
	if (node->type != TAPE_NODE_MAPPING ||
	    (tape_node_get(node, "version") == NULL && tape_node_get(node, "name") == NULL))
		return parse_common(parse, where, node, value);
	if ((result = check_keys(parse, where, node, keys, TAPE_ARRAY_SIZE(keys))) < 0)
		return result;
	set(value, TAPE_V_RECORD);
	struct tape_value *facts = children(parse, value, TAPE_LIST_COUNT);
	if (facts == NULL)
		return no_memory(parse);
	if ((child = tape_node_get(node, "name")) != NULL &&
	    ((result = parse_common(parse, where, child, &facts[TAPE_LIST_NAME])) < 0 ||
	     (result = check_form(parse, where, child, &facts[TAPE_LIST_NAME], IS(NULL) | IS(BYTES),
	                          "an interface's name")) < 0))
		return result;
	if ((child = tape_node_get(node, "flags")) != NULL) {
		facts[TAPE_LIST_FLAGS].form = TAPE_V_NUMBER;
		result = parse_flags(parse, where, child, TAPE_G_CKF_INTERFACE,
		                     &facts[TAPE_LIST_FLAGS].number);
		if (result < 0)
			return result;
	}
	if ((child = tape_node_get(node, "version")) == NULL)
		return 0;
	facts[TAPE_LIST_VERSION].form = TAPE_V_NUMBER;
	if ((result = parse_version(parse, where, child, &facts[TAPE_LIST_VERSION].number)) < 0)
		return result;
	struct tape_value *missing = &facts[TAPE_LIST_MISSING];
	missing->form = TAPE_V_LIST;
	if ((child = tape_node_get(node, "missing")) == NULL)
		return 0;
	if (child->type != TAPE_NODE_SEQUENCE)
		return refuse(parse, where, child, "a list of functions is expected");
	struct tape_value *list = children(parse, missing, child->count);
	if (list == NULL)
		return no_memory(parse);
	size_t i = 0;
	for (const struct tape_node *name = child->first; name != NULL; name = name->next, i++) {
		enum tape_function_id id = name->type != TAPE_NODE_SCALAR
		                                   ? TAPE_FN_COUNT
		                                   : tape_function_find(name->text, name->length);
		if (id == TAPE_FN_COUNT)
			return refuse(parse, where, name, "the name of a function is expected");
		list[i].form = TAPE_V_NUMBER;
		list[i].number = id;
	}
	return 0;
}

static int parse_lists(const struct tape_parse *parse, const struct where *where,
                       const struct tape_node *node, struct tape_value *value)
{
	if (node->type != TAPE_NODE_SEQUENCE)
		return parse_common(parse, where, node, value);
	set(value, TAPE_V_LIST);
	struct tape_value *list = children(parse, value, node->count);
	if (list == NULL)
		return no_memory(parse);
	size_t i = 0;
	for (const struct tape_node *child = node->first; child != NULL; child = child->next, i++) {
		int result = parse_list(parse, where, child, &list[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

static int parse_numbers(const struct tape_parse *parse, const struct where *where,
                         const struct tape_node *node, enum tape_group group,
                         struct tape_value *value)
{
	static const char *const keys[] = { "len", "list" };
	const struct tape_node *list = tape_node_get(node, "list");
	uint64_t stated = 0;
	if (list != NULL) {
		const struct tape_node *length = tape_node_get(node, "len");
		if (length == NULL)
			return refuse(parse, where, node,
			              "a list that was cut has a 'len' beside it");
		int result = check_keys(parse, where, node, keys, TAPE_ARRAY_SIZE(keys));
		if (result < 0)
			return result;
		result = parse_number(parse, where, length, &stated);
		if (result < 0)
			return result;
	} else if (node->type == TAPE_NODE_SEQUENCE) {
		list = node;
	} else {
		return parse_common(parse, where, node, value);
	}
	if (list->type != TAPE_NODE_SEQUENCE)
		return refuse(parse, where, list, "a list is expected");
	set(value, TAPE_V_LIST);
	struct tape_value *items = children(parse, value, list->count);
	if (items == NULL)
		return no_memory(parse);
	size_t i = 0;
	for (const struct tape_node *child = list->first; child != NULL; child = child->next, i++) {
		items[i].form = TAPE_V_NUMBER;
		int result = group == TAPE_G_NONE
		                     ? parse_number(parse, where, child, &items[i].number)
		                     : parse_constant(parse, where, child, group, &items[i].number);
		if (result < 0)
			return result;
	}
	value->stated = list != node;
	value->number = stated;
	return 0;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int parse_version_struct(const struct tape_parse *parse, const struct where *where,
                                const struct tape_node *node, struct tape_value *value)
{
	uint64_t version = 0;
	if (tape_node_is_null(node) || node->type == TAPE_NODE_MAPPING)
		return parse_common(parse, where, node, value);
	int result = parse_version(parse, where, node, &version);
	if (result < 0)
		return result;
	set(value, TAPE_V_RECORD);
	value->record = TAPE_R_CK_VERSION;
	struct tape_value *list = children(parse, value, 2);
	if (list == NULL)
		return no_memory(parse);
	list[0].form = list[1].form = TAPE_V_NUMBER;
	list[0].number = version >> 8;
	list[1].number = version & 0xff;
	return 0;
}

/* Where an output buffer coincides with an input: {"room": 64, "at": "pData"}. */
static int parse_buffer(const struct tape_parse *parse, const struct where *where,
                        const struct tape_function *function, const struct tape_node *node,
                        struct tape_value *value)
{
	const struct tape_node *at = tape_node_get(node, "at");
	if (at == NULL)
		return parse_common(parse, where, node, value);
	int result = parse_inside(parse, where, node, "at", value);
	if (result < 0)
		return result;
	for (size_t i = 0; at->type == TAPE_NODE_SCALAR && i < function->count; i++)
		if (tape_node_is(at, function->arguments[i].key.text))
			value->count = (uint32_t)(i + 1);
	return value->count == 0 ? refuse(parse, where, at, "'at' names an argument of the call")
	                         : 0;
}

static int read_argument(const struct tape_parse *parse, const struct where *where,
                         const struct tape_function *function, const struct tape_argument *argument,
                         const struct tape_node *node, bool output, const struct tape_value *in,
                         struct tape_value *value)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	set(value, TAPE_V_NUMBER);
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
		return parse_number(parse, where, node, &value->number);
	case TAPE_C_NUMBER_AT:
		if (output)
			return parse_number(parse, where, node, &value->number);
		return parse_common(parse, where, node, value);
	case TAPE_C_BOOLEAN:
		return parse_boolean(parse, where, node, &value->number);
	case TAPE_C_CONSTANT:
		return parse_constant(parse, where, node, (enum tape_group)shape->detail,
		                      &value->number);
	case TAPE_C_FLAGS:
		return parse_flags(parse, where, node, (enum tape_group)shape->detail,
		                   &value->number);
	case TAPE_C_PRESENCE:
	case TAPE_C_CALLBACK:
		if (node->type != TAPE_NODE_SCALAR || parse_common(parse, where, node, value) < 0)
			return refuse(parse, where, node, "null or true is expected");
		return 0;
	case TAPE_C_INIT_ARGS:
		return parse_init_args(parse, where, node, value);
	case TAPE_C_CHARS:
		return parse_chars(parse, where, node, shape->detail, value);
	case TAPE_C_TEMPLATE:
		return parse_template(parse, where, node, output ? in : NULL, !output,
		                      !output && (shape->traits & TAPE_T_OUT) != 0, 1, value);
	case TAPE_C_MECHANISM:
		if (output) {
			set(value, TAPE_V_MECHANISM);
			value->tag = in->tag;
			struct tape_value *child = children(parse, value, 1);
			return child == NULL ? no_memory(parse)
			                     : parse_parameter(parse, where, node, 1, child);
		}
		return parse_mechanism(parse, where, node, 1, value);
	case TAPE_C_PARAMETER:
		return parse_parameter(parse, where, node, 1, value);
	case TAPE_C_STRUCT:
		if (shape->detail == TAPE_R_CK_VERSION)
			return parse_version_struct(parse, where, node, value);
		if (tape_node_is_null(node) || tape_node_get(node, "partial") != NULL)
			return parse_common(parse, where, node, value);
		return parse_record(parse, where, node, (enum tape_record_id)shape->detail, false,
		                    1, value);
	case TAPE_C_LIST_AT:
	case TAPE_C_FOUND:
		return parse_numbers(parse, where, node, (enum tape_group)shape->detail, value);
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		return parse_list(parse, where, node, value);
	case TAPE_C_INTERFACES:
		return parse_lists(parse, where, node, value);
	case TAPE_C_BYTES_AT:
		return parse_buffer(parse, where, function, node, value);
	default:
		return parse_common(parse, where, node, value);
	}
}

/* The forms of an argument's value: what core/capture.c makes of its shape. */
static unsigned int input_forms(const struct tape_shape *shape)
{
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
	case TAPE_C_BOOLEAN:
	case TAPE_C_CONSTANT:
	case TAPE_C_FLAGS:
		return IS(NUMBER);
	case TAPE_C_PRESENCE:
	case TAPE_C_CALLBACK:
		return IS(NULL) | IS(PRESENT);
	case TAPE_C_BYTES:
	case TAPE_C_SECRET:
		return IS(NULL) | IS(LENGTH) | IS(BYTES) | IS(SECRET);
	case TAPE_C_CHARS:
	case TAPE_C_TEXTZ:
		return IS(NULL) | IS(BYTES);
	case TAPE_C_TEMPLATE:
		return IS(NULL) | IS(LENGTH) | IS(LIST);
	case TAPE_C_MECHANISM:
		return IS(NULL) | IS(MECHANISM);
	case TAPE_C_PARAMETER:
		return IS(NULL) | IS(LENGTH) | IS(BYTES) | IS(RAW) | IS(SECRET) | IS(RECORD);
	case TAPE_C_INIT_ARGS:
	case TAPE_C_STRUCT:
		return IS(NULL) | IS(RECORD);
	case TAPE_C_BYTES_AT:
	case TAPE_C_FILL:
	case TAPE_C_LATER:
	case TAPE_C_LIST_AT:
	case TAPE_C_INTERFACES:
		return IS(NULL) | IS(QUERY) | IS(ROOM) | IS(UNSTATED);
	case TAPE_C_FOUND:
		return IS(NULL) | IS(LENGTH) | IS(QUERY) | IS(ROOM) | IS(UNSTATED);
	case TAPE_C_NUMBER_AT:
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		return IS(NULL);
	}
	return 0;
}

static unsigned int output_forms(const struct tape_shape *shape)
{
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_TEMPLATE:
		return IS(LIST);
	case TAPE_C_MECHANISM:
		return IS(MECHANISM);
	case TAPE_C_PARAMETER:
		return IS(BYTES) | IS(RAW) | IS(SECRET) | IS(RECORD);
	case TAPE_C_NUMBER_AT:
		return IS(NUMBER);
	case TAPE_C_STRUCT:
		return IS(RECORD);
	case TAPE_C_BYTES_AT:
	case TAPE_C_LATER:
		return IS(LENGTH) | IS(BYTES) | IS(SECRET);
	case TAPE_C_FILL:
		return IS(BYTES) | IS(SECRET);
	case TAPE_C_LIST_AT:
	case TAPE_C_FOUND:
	case TAPE_C_INTERFACES:
		return IS(LENGTH) | IS(LIST);
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		return IS(NULL) | IS(RECORD);
	default:
		return 0;
	}
}

/* A parameter is written as what it was read: a structure keeps its size. */
static bool parameters_fit(const struct tape_value *in, const struct tape_value *out)
{
	bool in_bytes =
		in->form == TAPE_V_BYTES || in->form == TAPE_V_RAW || in->form == TAPE_V_SECRET;
	bool out_bytes =
		out->form == TAPE_V_BYTES || out->form == TAPE_V_RAW || out->form == TAPE_V_SECRET;
	if (out->form == TAPE_V_LOST)
		return true;
	if (out_bytes)
		return in_bytes && (in->form == TAPE_V_SECRET || out->form == TAPE_V_SECRET ||
		                    out->length <= in->length);
	return out->form == in->form && out->record == in->record;
}

/* Whether the call offered memory for what is said to have been written. */
static bool is_offered(const struct tape_shape *shape, const struct tape_value *in,
                       const struct tape_value *out)
{
	bool contents =
		out->form == TAPE_V_BYTES || out->form == TAPE_V_SECRET || out->form == TAPE_V_LIST;
	if (in->form == TAPE_V_NULL)
		return false;
	if (in->form == TAPE_V_LOST)
		return true;
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_MECHANISM:
		return in->form == TAPE_V_MECHANISM &&
		       parameters_fit(tape_value_child(in, 0), tape_value_child(out, 0));
	case TAPE_C_PARAMETER:
		return parameters_fit(in, out);
	case TAPE_C_BYTES_AT:
	case TAPE_C_FILL:
		if (in->form == TAPE_V_UNSTATED)
			return false;
		return !contents || (in->form == TAPE_V_ROOM &&
		                     (out->form == TAPE_V_SECRET || out->length <= in->number));
	case TAPE_C_LIST_AT:
	case TAPE_C_FOUND:
	case TAPE_C_INTERFACES:
		if (in->form == TAPE_V_UNSTATED)
			return false;
		return !contents || (in->form == TAPE_V_ROOM && out->count <= in->number);
	default:
		return true;
	}
}

static int parse_argument(const struct tape_parse *parse, const struct where *where,
                          const struct tape_function *function,
                          const struct tape_argument *argument, const struct tape_node *node,
                          const struct tape_value *in, struct tape_value *value)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	/* Without its types a template cannot be read. */
	if (where->output && in->form == TAPE_V_LOST && shape->codec == TAPE_C_TEMPLATE) {
		*value = *in;
		return 0;
	}
	int result =
		read_argument(parse, where, function, argument, node, where->output, in, value);
	if (result == 0)
		result = check_form(parse, where, node, value,
		                    where->output ? output_forms(shape) : input_forms(shape),
		                    "this argument");
	if (result == 0 && where->output && !is_offered(shape, in, value))
		return refuse(parse, where, node, "the call's inputs offer no room for this");
	return result;
}

/* What an input may be when the trace does not mention it. */
static bool may_be_absent(const struct tape_shape *shape)
{
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER_AT:
	case TAPE_C_STRUCT:
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		return (shape->traits & TAPE_T_OUT) != 0;
	default:
		return false;
	}
}

/* Memory was out when this half was recorded: nothing is known of its values. */
static void set_lost(const struct tape_function *function, const struct tape_node *why, bool output,
                     struct tape_value *values)
{
	for (size_t i = 0; i < function->count; i++) {
		bool written = (tape_shapes[function->arguments[i].kind].traits & TAPE_T_OUT) != 0;
		set(&values[i], output && !written ? TAPE_V_ABSENT : TAPE_V_LOST);
		values[i].data = why->text;
		values[i].length = why->length;
	}
}

static int parse_values(struct tape_parse *parse, const struct tape_function *function,
                        const struct tape_node *map, size_t line, bool output,
                        const struct tape_value *in, struct tape_value *values)
{
	struct where where = { function->name.text, output ? "out" : "in", output, 0,
		               TAPE_D_INOUT };
	bool seen[TAPE_MAX_ARGUMENTS] = { false };
	if (map != NULL && map->type == TAPE_NODE_SCALAR) {
		set_lost(function, map, output, values);
		return 0;
	}
	if (map != NULL && map->type != TAPE_NODE_MAPPING)
		return refuse(parse, &where, map, "a mapping is expected");
	for (const struct tape_node *child = map == NULL ? NULL : map->first; child != NULL;
	     child = child->next) {
		size_t i = 0;
		while (i < function->count &&
		       (function->arguments[i].key.length != child->key_length ||
		        memcmp(function->arguments[i].key.text, child->key, child->key_length) !=
		                0))
			i++;
		where.argument = child->key;
		if (i == function->count)
			return refuse(parse, &where, child, "the function has no such argument");
		const struct tape_argument *argument = &function->arguments[i];
		if (output && (tape_shapes[argument->kind].traits & TAPE_T_OUT) == 0)
			return refuse(parse, &where, child,
			              "the module cannot write to this argument");
		seen[i] = true;
		where.traits = tape_shapes[argument->kind].traits;
		int result = parse_argument(parse, &where, function, argument, child,
		                            output ? &in[i] : NULL, &values[i]);
		if (result < 0)
			return result;
	}
	for (size_t i = 0; i < function->count; i++) {
		if (seen[i])
			continue;
		const struct tape_argument *argument = &function->arguments[i];
		set(&values[i], TAPE_V_ABSENT);
		if (!output && !may_be_absent(&tape_shapes[argument->kind]))
			return tape_error_set(parse->error, TAPE_E_INVALID,
			                      map == NULL ? line : map->line,
			                      "%s: the argument %s is missing", function->name.text,
			                      argument->key.text);
	}
	return 0;
}

int tape_parse_in(struct tape_parse *parse, const struct tape_function *function,
                  const struct tape_node *map, size_t line, struct tape_value *ret_in)
{
	return parse_values(parse, function, map, line, false, NULL, ret_in);
}

int tape_parse_out(struct tape_parse *parse, const struct tape_function *function,
                   const struct tape_node *map, size_t line, const struct tape_value *in,
                   struct tape_value *ret_out)
{
	return parse_values(parse, function, map, line, true, in, ret_out);
}

int tape_parse_rv(struct tape_parse *parse, const struct tape_node *node, CK_RV *ret_rv)
{
	static const struct where where = { "a return", "rv", true, 0, TAPE_D_INOUT };
	uint64_t value = 0;
	int result = parse_constant(parse, &where, node, TAPE_G_CKR, &value);
	if (result == 0)
		*ret_rv = (CK_RV)value;
	return result;
}

int tape_parse_notification(struct tape_parse *parse, const struct tape_node *event,
                            const struct tape_node *map, struct tape_notification *ret_notification)
{
	static const char *const keys[] = { "hSession" };
	static const struct where at_event = { .function = "a notification", .argument = "notify" };
	static const struct where at_session = { .function = "a notification",
		                                 .argument = "hSession" };
	const struct tape_node *session = map == NULL ? NULL : tape_node_get(map, "hSession");
	uint64_t number = 0;
	int result = parse_constant(parse, &at_event, event, TAPE_G_CKN, &number);
	if (result < 0)
		return result;
	ret_notification->event = (CK_NOTIFICATION)number;
	if (session == NULL)
		return refuse(parse, &at_session, event, "it is missing");
	if ((result = check_keys(parse, &at_session, map, keys, TAPE_ARRAY_SIZE(keys))) < 0 ||
	    (result = parse_number(parse, &at_session, session, &number)) < 0)
		return result;
	ret_notification->session = (CK_SESSION_HANDLE)number;
	return 0;
}
