/* SPDX-License-Identifier: MIT */
#include "tests/unit/support/mutate.h"

#include "tests/unit/support/generate-values.h"

#include <string.h>

/* What stands in lines: names of the tables, and the words of the format. */
static const char *any_word(struct dice *dice)
{
	static const char *const words[] = {
		"hex",
		"text",
		"raw",
		"len",
		"room",
		"secret",
		"same",
		"partial",
		"template",
		"type",
		"value",
		"as",
		"ulong",
		"ulongs",
		"bool",
		"date",
		"list",
		"bytes",
		"at",
		"flags",
		"mutexes",
		"name",
		"version",
		"",
		"mechanism",
		"missing",
		"object",
		"parameter",
		"unavailable",
		"infinite",
		"unstated",
		"pData",
		"hSession",
		"pTemplate",
		"2.40",
		"0x10",
		"0xffffffffffffffff",
		"0xffffffffffffffffff",
		"zz",
		"00",
		"000",
		"ff00ff",
		"pin-1",
		"20260101",
		"\\u0000",
		"\\ud83d",
		"\\x",
		"\xff",
		"null",
		"true",
	};

	switch (dice_pick(dice, 10)) {
	case 0:
		return tape_attributes[dice_pick(dice, tape_attribute_count)].name.text;
	case 1:
		return tape_mechanisms[dice_pick(dice, tape_mechanism_count)].name.text;
	case 2:
		return tape_records[dice_pick(dice, TAPE_R_COUNT)].name.text;
	case 3:
		return tape_fields[dice_pick(dice, tape_field_count)].name.text;
	case 4:
		return tape_constants[dice_pick(dice, tape_constant_count)].name.text;
	case 5:
		return tape_functions[dice_pick(dice, TAPE_FN_COUNT)].name.text;
	default:
		return words[dice_pick(dice, TAPE_ARRAY_SIZE(words))];
	}
}

static const char *any_value(struct dice *dice)
{
	static const char *const values[] = {
		"null",
		"true",
		"false",
		"0",
		"1",
		"-1",
		"24",
		"65536",
		"1000000",
		"4294967296",
		"18446744073709551615",
		"18446744073709551616",
		"1.5",
		"1e9",
		"007",
		"{}",
		"[]",
		"[[]]",
		"[{}]",
		"[null, null]",
		"{\"hex\": \"00\"}",
		"{\"hex\": [\"00\", \"11\"]}",
		"{\"hex\": []}",
		"{\"hex\": \"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\"}",
		"{\"raw\": \"0011223344556677\"}",
		"{\"len\": 1000000}",
		"{\"len\": 1000000, \"hex\": \"00\"}",
		"{\"len\": 3, \"list\": [1, 2]}",
		"{\"list\": [1]}",
		"{\"room\": null}",
		"{\"room\": 100000}",
		"{\"room\": \"unstated\"}",
		"{\"secret\": \"pin-1\"}",
		"{\"secret\": \"pin-1\", \"len\": 100000}",
		"{\"partial\": \"lost\"}",
		"{\"same\": true}",
		"{\"bytes\": 7}",
		"{\"ulong\": 2305843009213693953}",
		"{\"template\": 768614336404564651}",
		"{\"type\": \"CKA_ID\", \"hex\": \"00\"}",
		"{\"type\": \"CKA_WRAP_TEMPLATE\", \"template\": [{\"type\": \"CKA_ID\"}]}",
		"{\"mechanism\": \"CKM_AES_GCM\", \"parameter\": {\"as\": \"CK_GCM_PARAMS\"}}",
		"{\"as\": \"CK_TOKEN_INFO\", \"label\": \"x\"}",
		"{\"as\": \"CK_TLS12_KEY_MAT_PARAMS\", \"pReturnedKeyMaterial\": {}}",
		"{\"text\": \"abc\"}",
		"{\"object\": 5}",
		"{\"flags\": []}",
		"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20]",
		"\"\"",
		"\"infinite\"",
		"\"x\"",
	};

	return values[dice_pick(dice, TAPE_ARRAY_SIZE(values))];
}

static size_t end_of_string(const char *text, size_t length, size_t at)
{
	for (at++; at < length && text[at] != '"'; at++)
		if (text[at] == '\\')
			at++;
	return at < length ? at + 1 : length;
}

/* Where the token or the collection that begins at `at` ends. */
static size_t end_of_value(const char *text, size_t length, size_t at)
{
	size_t depth = 0;

	if (text[at] == '"')
		return end_of_string(text, length, at);
	if (text[at] != '{' && text[at] != '[') {
		while (at < length && strchr(",]} :", text[at]) == NULL)
			at++;
		return at;
	}
	while (at < length) {
		if (text[at] == '"') {
			at = end_of_string(text, length, at);
			continue;
		}
		if (text[at] == '{' || text[at] == '[')
			depth++;
		else if ((text[at] == '}' || text[at] == ']') && --depth == 0)
			return at + 1;
		at++;
	}
	return length;
}

/* Where a value or a key begins, by chance. */
static size_t any_beginning(struct dice *dice, const char *text, size_t length)
{
	size_t at = 0;
	size_t found = 0;
	size_t count = 0;

	while (at < length) {
		if (strchr(",]}: ", text[at]) != NULL) {
			at++;
			continue;
		}
		if (dice_pick(dice, ++count) == 0)
			found = at;
		at = text[at] == '{' || text[at] == '[' ? at + 1 : end_of_value(text, length, at);
	}
	return found;
}

static void put_any_hex(struct dice *dice, struct tape_buf *buf)
{
	unsigned char bytes[80];
	size_t size = dice_pick(dice, sizeof(bytes));

	dice_bytes(dice, bytes, size);
	tape_put_hex(buf, bytes, size);
}

/* Another token of the same kind: most of what is read in spite of it comes from here. */
static void put_alike(struct dice *dice, const char *token, size_t length, struct tape_buf *buf)
{
	static const char *const plain[] = { "true", "false", "null" };
	bool quoted = length >= 2 && token[0] == '"';
	const char *text = quoted ? token + 1 : token;
	size_t left = quoted ? length - 2 : length;

	if (token[0] == '{' || token[0] == '[') {
		tape_put_text(buf, any_value(dice));
	} else if (!quoted && token[0] >= '0' && token[0] <= '9') {
		tape_put_decimal(buf, value_number(dice));
	} else if (!quoted) {
		tape_put_text(buf, plain[dice_pick(dice, TAPE_ARRAY_SIZE(plain))]);
	} else {
		tape_put_char(buf, '"');
		if (left >= 4 && memcmp(text, "CKA_", 4) == 0)
			tape_put_text(
				buf,
				tape_attributes[dice_pick(dice, tape_attribute_count)].name.text);
		else if (left >= 4 && memcmp(text, "CKM_", 4) == 0)
			tape_put_text(
				buf,
				tape_mechanisms[dice_pick(dice, tape_mechanism_count)].name.text);
		else if (left >= 3 && memcmp(text, "CK_", 3) == 0)
			tape_put_text(buf, tape_records[dice_pick(dice, TAPE_R_COUNT)].name.text);
		else if (left != 0 && strchr("0123456789abcdef", text[0]) != NULL)
			put_any_hex(dice, buf);
		else
			tape_put_text(buf, any_word(dice));
		tape_put_char(buf, '"');
	}
}

void mutate(struct dice *dice, const char *text, size_t length, struct tape_buf *buf)
{
	size_t at = any_beginning(dice, text, length);
	size_t end = length == 0 ? 0 : end_of_value(text, length, at);
	bool key = end + 1 < length && text[end] == ':';

	buf->length = 0;
	switch (dice_pick(dice, 12)) {
	case 0: /* left out */
		tape_put(buf, text, at);
		if (key)
			end += 2 + end_of_value(text + end + 2, length - end - 2, 0);
		if (end + 1 < length && text[end] == ',')
			end += 2;
		tape_put(buf, text + end, length - end);
		break;
	case 1: /* twice */
		if (key)
			end += 2 + end_of_value(text + end + 2, length - end - 2, 0);
		tape_put(buf, text, end);
		TAPE_PUT(buf, ", ");
		tape_put(buf, text + at, length - at);
		break;
	case 2: /* cut */
		tape_put(buf, text, at);
		break;
	case 3: /* a byte */
		tape_put(buf, text, length);
		if (length != 0)
			buf->data[dice_pick(dice, length)] = (char)dice_roll(dice);
		break;
	default: /* another */
		tape_put(buf, text, at);
		if (length != 0 && dice_pick(dice, 3) != 0)
			put_alike(dice, text + at, end - at, buf);
		else if (key || dice_pick(dice, 4) == 0) {
			tape_put_char(buf, '"');
			tape_put_text(buf, any_word(dice));
			tape_put_char(buf, '"');
		} else {
			tape_put_text(buf, any_value(dice));
		}
		tape_put(buf, text + end, length - end);
		break;
	}
}
