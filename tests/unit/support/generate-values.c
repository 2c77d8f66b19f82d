/* SPDX-License-Identifier: MIT */
#include "tests/unit/support/generate-values.h"

#include <string.h>

/* ---- dice (splitmix64) ---------------------------------------------------------------------- */

uint64_t dice_roll(struct dice *dice)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

size_t dice_pick(struct dice *dice, size_t count)
{
	uint64_t roll = dice_roll(dice);

	return count == 0 ? 0 : (size_t)((roll >> 16) % count);
}

void dice_bytes(struct dice *dice, void *to, size_t size)
{
	unsigned char *at = to;

	while (size != 0) {
		uint64_t roll = dice_roll(dice);
		size_t piece = size < sizeof(roll) ? size : sizeof(roll);
		memcpy(at, &roll, piece);
		at += piece;
		size -= piece;
	}
}

/* ---- byte strings --------------------------------------------------------------------------- */

struct text {
	const char *text;
	size_t length;
};

#define TEXT(literal)                        \
	{                                    \
		literal, sizeof(literal) - 1 \
	}
#define PICK(dice, texts) (&(texts)[dice_pick((dice), TAPE_ARRAY_SIZE(texts))])

static size_t put_text(const struct text *text, unsigned char *to)
{
	memcpy(to, text->text, text->length);
	return text->length;
}

static size_t put_printable(struct dice *dice, unsigned char *to, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (unsigned char)(0x20 + dice_pick(dice, 0x5f));
	return size;
}

size_t value_bytes(struct dice *dice, enum value_bytes sort, unsigned char *to)
{
	static const struct text quotes[] = {
		TEXT("\""),
		TEXT("\\"),
		TEXT("\\\""),
		TEXT("\"\"\\\\\""),
		TEXT("C:\\keys\\\"a\""),
		TEXT("\\u0041\\x41\\n"),
		TEXT("'it''s'"),
		TEXT("a\\"),
		TEXT("\\/"),
	};
	static const struct text spaces[] = {
		TEXT(" "), TEXT("   "), TEXT(" a"), TEXT("a "), TEXT("  a  b  "), TEXT("a   b"),
	};
	static const struct text words[] = {
		TEXT("null"),        TEXT("true"),
		TEXT("yes"),         TEXT("~"),
		TEXT("12"),          TEXT("0x10"),
		TEXT("1e5"),         TEXT("-"),
		TEXT("- a"),         TEXT("a: b"),
		TEXT("#x"),          TEXT("a #b"),
		TEXT("{}"),          TEXT("[1, 2]"),
		TEXT("&a"),          TEXT("*a"),
		TEXT("!t"),          TEXT("%Y"),
		TEXT("@"),           TEXT("`"),
		TEXT("|"),           TEXT(">"),
		TEXT("---"),         TEXT("..."),
		TEXT("unavailable"), TEXT("{\"text\": \"x\"}"),
		TEXT("?"),           TEXT(","),
		TEXT("12:30:45"),    TEXT("2026-11-21"),
		TEXT("="),           TEXT("<<"),
	};
	static const struct text letters[] = {
		TEXT("Schl\xc3\xbcssel"),
		TEXT("\xd0\xba\xd0\xbb\xd1\x8e\xd1\x87"),
		TEXT("\xe9\x8d\xb5"),
		TEXT("e\xcc\x81"),
		TEXT("\xd7\x9e\xd7\xa4\xd7\xaa\xd7\x97"),
		TEXT("\xe2\x82\xac 5"),
		TEXT("a\xe2\x80\x8b"
		     "b"),
		TEXT("\xef\xac\x81"),
	};
	static const struct text edges[] = {
		TEXT("\xc2\xa0"),     TEXT("\xdf\xbf"),     TEXT("\xe0\xa0\x80"),
		TEXT("\xe2\x80\xa7"), TEXT("\xe2\x80\xaa"), TEXT("\xed\x9f\xbf"),
		TEXT("\xee\x80\x80"), TEXT("\xef\xbb\xbe"), TEXT("\xef\xbc\x80"),
		TEXT("\xef\xbf\xbd"), TEXT("\xef\xb7\x90"), TEXT(" ~"),
	};
	static const struct text astral[] = {
		TEXT("\xf0\x9f\x94\x91"),           TEXT("\xf0\x90\x80\x80"),
		TEXT("key \xf0\x9f\x94\x91 \"1\""), TEXT("\xf0\x9f\xbf\xbd"),
		TEXT("\xf4\x8f\xbf\xbd"),           TEXT("\xf3\xa0\x81\xa1"),
	};
	static const struct text breaks[] = {
		TEXT("\xe2\x80\xa8"),
		TEXT("\xe2\x80\xa9"),
		TEXT("\xef\xbb\xbf"),
		TEXT("a\xc2\x85"
		     "b"),
		TEXT("\xc2\x80"),
		TEXT("\xc2\x9f"),
		TEXT("\xef\xbf\xbe"),
		TEXT("\xef\xbf\xbf"),
		TEXT("\xf0\x9f\xbf\xbe"),
		TEXT("\xf4\x8f\xbf\xbf"),
		TEXT("\x7f"),
	};
	static const struct text control[] = {
		TEXT("\n"),      TEXT("a\n"),  TEXT("a\r\nb"), TEXT("\t"),
		TEXT("a\tb"),    TEXT("\x01"), TEXT("text\0"), TEXT("\0\0\0"),
		TEXT("\x1b[1m"), TEXT("\x1f"), TEXT("a\0b"),
	};
	static const struct text bad[] = {
		TEXT("\x80"),
		TEXT("\xbf"),
		TEXT("\xc0\xaf"),
		TEXT("\xc1\xbf"),
		TEXT("\xc3"),
		TEXT("\xc3("),
		TEXT("\xe2\x82"),
		TEXT("\xe2(\xac"),
		TEXT("\xe2\x82("),
		TEXT("\xe0\x9f\xbf"),
		TEXT("\xed\xa0\x80"),
		TEXT("\xed\xbf\xbf"),
		TEXT("\xf0\x8f\xbf\xbf"),
		TEXT("\xf0\x9f\x94"),
		TEXT("\xf4\x90\x80\x80"),
		TEXT("\xf5\x80\x80\x80"),
		TEXT("\xf8\x88\x80\x80\x80"),
		TEXT("\xfe"),
		TEXT("\xff"),
		TEXT("ok\xff"),
		TEXT("\xf0\x9f\x94\x91\xf0"),
	};

	switch (sort) {
	case VALUE_BYTES_EMPTY:
		return 0;
	case VALUE_BYTES_ONE:
		*to = (unsigned char)dice_roll(dice);
		return 1;
	case VALUE_BYTES_ASCII:
		return put_printable(dice, to, 1 + dice_pick(dice, 40));
	case VALUE_BYTES_QUOTES:
		return put_text(PICK(dice, quotes), to);
	case VALUE_BYTES_SPACES:
		return put_text(PICK(dice, spaces), to);
	case VALUE_BYTES_WORDS:
		return put_text(PICK(dice, words), to);
	case VALUE_BYTES_LETTERS:
		return put_text(PICK(dice, letters), to);
	case VALUE_BYTES_EDGES:
		return put_text(PICK(dice, edges), to);
	case VALUE_BYTES_ASTRAL:
		return put_text(PICK(dice, astral), to);
	case VALUE_BYTES_BREAKS:
		return put_text(PICK(dice, breaks), to);
	case VALUE_BYTES_CONTROL:
		return put_text(PICK(dice, control), to);
	case VALUE_BYTES_BAD:
		return put_text(PICK(dice, bad), to);
	case VALUE_BYTES_ALL:
		for (size_t i = 0; i < 256; i++)
			to[i] = (unsigned char)i;
		return 256;
	case VALUE_BYTES_PIECE:
		dice_bytes(dice, to, 65536);
		return 65536;
	case VALUE_BYTES_PIECE_TEXT:
		return put_printable(dice, to, 65536);
	case VALUE_BYTES_OVER:
		dice_bytes(dice, to, 65537);
		return 65537;
	case VALUE_BYTES_OVER_TEXT:
		return put_printable(dice, to, 65537);
	case VALUE_BYTES_HUGE:
		dice_bytes(dice, to, (size_t)200 * 1024);
		return (size_t)200 * 1024;
	default: {
		size_t size = 1 + dice_pick(dice, 64);
		dice_bytes(dice, to, size);
		return size;
	}
	}
}

size_t value_textz(struct dice *dice, unsigned char *to)
{
	size_t size = value_bytes(dice, (enum value_bytes)dice_pick(dice, VALUE_BYTES_LARGE), to);

	to[size] = 0;
	return strlen((char *)to);
}

void value_padded(struct dice *dice, unsigned char *to, size_t size)
{
	unsigned char text[512];
	size_t length;

	memset(to, ' ', size);
	switch (dice_pick(dice, 8)) {
	case 0: /* blank */
		break;
	case 1: /* binary */
		dice_bytes(dice, to, size);
		break;
	case 2: /* full */
		put_printable(dice, to, size);
		break;
	case 3: /* terminated, and what was there before */
		length = dice_pick(dice, size);
		dice_bytes(dice, to, size);
		put_printable(dice, to, length);
		to[length] = 0;
		break;
	case 4: /* zeroes behind the text */
		memset(to, 0, size);
		put_printable(dice, to, dice_pick(dice, size));
		break;
	default: /* padded, or cut in the middle of a character */
		length = value_bytes(dice, (enum value_bytes)dice_pick(dice, VALUE_BYTES_LARGE),
		                     text);
		memcpy(to, text, length < size ? length : size);
		break;
	}
}

void value_secret(struct dice *dice, unsigned char *to, size_t size)
{
	static const char *const secrets[] = { "1234567890", "sesame", "\xff\x01pin\n" };
	const char *secret = secrets[dice_pick(dice, TAPE_ARRAY_SIZE(secrets))];

	for (size_t i = 0; i < size; i++)
		to[i] = (unsigned char)secret[i % strlen(secret)];
}

/* ---- numbers -------------------------------------------------------------------------------- */

static const uint64_t numbers[] = {
	0,
	1,
	2,
	3,
	7,
	8,
	9,
	10,
	99,
	100,
	101,
	255,
	256,
	65535,
	65536,
	999999,
	UINT32_C(0x7fffffff),
	UINT32_C(0x80000000),
	UINT32_C(0xfffffffe),
	UINT32_C(0xffffffff),
	UINT64_C(0x100000000),
	(UINT64_C(1) << 53) - 1,
	UINT64_C(1) << 53,
	(UINT64_C(1) << 53) + 1,
	UINT64_C(9999999999999999),
	UINT64_C(1) << 62,
	UINT64_C(1) << 63,
	UINT64_MAX - 1,
	UINT64_MAX,
};

size_t value_number_count(void)
{
	return TAPE_ARRAY_SIZE(numbers);
}

CK_ULONG value_number_at(size_t index)
{
	return (CK_ULONG)numbers[index];
}

CK_ULONG value_number(struct dice *dice)
{
	switch (dice_pick(dice, 4)) {
	case 0:
		return (CK_ULONG)dice_roll(dice);
	case 1:
		return value_number_at(dice_pick(dice, value_number_count()));
	default:
		return (CK_ULONG)dice_pick(dice, 40);
	}
}

/* The rows of each group, found once. */
static struct {
	uint16_t *rows;
	size_t count;
} groups[TAPE_G_COUNT];

static void find_groups(void)
{
	static uint16_t rows[4096];
	size_t used = 0;

	if (groups[TAPE_G_CKR].count != 0)
		return;
	for (size_t group = 0; group < TAPE_G_COUNT; group++) {
		groups[group].rows = rows + used;
		for (size_t i = 0; i < tape_constant_count; i++)
			if (tape_constants[i].group == group)
				rows[used++] = (uint16_t)i;
		groups[group].count = (size_t)(rows + used - groups[group].rows);
	}
}

size_t value_constant_count(enum tape_group group)
{
	if (group == TAPE_G_CKM)
		return tape_mechanism_count;
	if (group == TAPE_G_CKA)
		return tape_attribute_count;
	find_groups();
	return groups[group].count;
}

CK_ULONG value_constant_at(enum tape_group group, size_t index)
{
	if (group == TAPE_G_CKM)
		return (CK_ULONG)tape_mechanisms[index].value;
	if (group == TAPE_G_CKA)
		return (CK_ULONG)tape_attributes[index].value;
	find_groups();
	return (CK_ULONG)tape_constants[groups[group].rows[index]].value;
}

CK_ULONG value_constant(struct dice *dice, enum tape_group group)
{
	size_t count = value_constant_count(group);

	if (count == 0 || dice_pick(dice, 8) == 0)
		return value_number(dice);
	return value_constant_at(group, dice_pick(dice, count));
}

CK_ULONG value_flags(struct dice *dice, enum tape_group group)
{
	CK_ULONG flags = 0;
	size_t count = value_constant_count(group);

	for (size_t i = dice_pick(dice, 4); i != 0 && count != 0; i--)
		flags |= value_constant_at(group, dice_pick(dice, count));
	if (dice_pick(dice, 4) == 0)
		flags |= value_number(dice);
	return flags;
}

/* ---- attributes ----------------------------------------------------------------------------- */

static size_t put_numbers(struct dice *dice, const struct tape_attribute *row, size_t count,
                          unsigned char *to)
{
	bool named = row != NULL && (row->type == TAPE_A_CONSTANT || row->type == TAPE_A_CONSTANTS);

	for (size_t i = 0; i < count; i++) {
		CK_ULONG number = named ? value_constant(dice, (enum tape_group)row->group)
		                  : row != NULL && row->type == TAPE_A_FLAGS
		                          ? value_flags(dice, (enum tape_group)row->group)
		                          : value_number(dice);
		memcpy(to + i * sizeof(number), &number, sizeof(number));
	}
	return count * sizeof(CK_ULONG);
}

static size_t put_copy(const char *text, unsigned char *to)
{
	size_t length = 0;

	for (; text[length] != 0; length++)
		to[length] = (unsigned char)text[length];
	return length;
}

static size_t put_right(struct dice *dice, const struct tape_attribute *row, unsigned char *to)
{
	size_t size;

	switch (row == NULL ? TAPE_A_BYTES : (enum tape_attribute_type)row->type) {
	case TAPE_A_ULONG:
	case TAPE_A_CONSTANT:
	case TAPE_A_FLAGS:
		return put_numbers(dice, row, 1, to);
	case TAPE_A_ULONGS:
	case TAPE_A_CONSTANTS:
		return put_numbers(dice, row, dice_pick(dice, 5), to);
	case TAPE_A_BOOL:
		*to = (unsigned char)dice_pick(dice, 2);
		return 1;
	case TAPE_A_UTF8:
		return value_bytes(dice, (enum value_bytes)dice_pick(dice, VALUE_BYTES_BREAKS), to);
	case TAPE_A_DATE:
		return dice_pick(dice, 4) == 0 ? 0 : put_copy("20261121", to);
	case TAPE_A_VERSION:
		dice_bytes(dice, to, 2);
		return 2;
	case TAPE_A_BOOL_OR_TIME:
		if (dice_pick(dice, 2))
			return put_copy("261121101502Z", to);
		*to = (unsigned char)dice_pick(dice, 2);
		return 1;
	default:
		size = 1 + dice_pick(dice, 40);
		dice_bytes(dice, to, size);
		return size;
	}
}

size_t value_attribute(struct dice *dice, const struct tape_attribute *row, enum value_class sort,
                       unsigned char *to)
{
	static const size_t sizes[] = {
		[VALUE_EMPTY] = 0, [VALUE_THREE] = 3, [VALUE_FIVE] = 5, [VALUE_LARGE] = 65537
	};

	switch (sort) {
	case VALUE_RIGHT:
		return put_right(dice, row, to);
	case VALUE_TWO:
		return put_numbers(dice, row, 2, to);
	case VALUE_ODD:
		switch (row == NULL ? TAPE_A_BYTES : (enum tape_attribute_type)row->type) {
		case TAPE_A_DATE:
			return put_copy(dice_pick(dice, 2) ? "2026 1 1" : "\"0\\0000", to);
		case TAPE_A_ULONGS:
		case TAPE_A_CONSTANTS:
			dice_bytes(dice, to, 3 * sizeof(CK_ULONG) / 2);
			return 3 * sizeof(CK_ULONG) / 2;
		case TAPE_A_UTF8:
			return value_bytes(
				dice, (enum value_bytes)(VALUE_BYTES_BREAKS + dice_pick(dice, 5)),
				to);
		default: {
			size_t size = put_right(dice, row, to);
			dice_bytes(dice, to, size);
			return size;
		}
		}
	default:
		dice_bytes(dice, to, sizes[sort]);
		return sizes[sort];
	}
}

CK_ATTRIBUTE_TYPE value_attribute_type(struct dice *dice)
{
	return value_constant(dice, TAPE_G_CKA);
}

CK_ATTRIBUTE_TYPE value_plain_type(struct dice *dice)
{
	CK_ATTRIBUTE_TYPE type = value_attribute_type(dice);
	const struct tape_attribute *row = tape_attribute_find(type);

	return row != NULL && row->type == TAPE_A_TEMPLATE ? CKA_ID : type;
}
