/* SPDX-License-Identifier: MIT
 *
 * What generate.c fills memory with: numbers, constants, texts and attributes' values, the ordinary ones
 * and those at which something ends.
 */
#ifndef TEST_GENERATE_VALUES_H
#define TEST_GENERATE_VALUES_H

#include "tests/unit/support/generate.h"

void dice_bytes(struct dice *dice, void *to, size_t size);

/* ---- byte strings --------------------------------------------------------------------------- */

enum value_bytes {
	VALUE_BYTES_EMPTY,
	VALUE_BYTES_ONE,
	VALUE_BYTES_ASCII,
	VALUE_BYTES_QUOTES,
	VALUE_BYTES_SPACES,
	VALUE_BYTES_WORDS,   /* that YAML could take for something else */
	VALUE_BYTES_LETTERS, /* beyond ASCII */
	VALUE_BYTES_EDGES,   /* the first and last characters of what is plain */
	VALUE_BYTES_ASTRAL,
	VALUE_BYTES_BREAKS,  /* characters that are not plain */
	VALUE_BYTES_CONTROL, /* likewise */
	VALUE_BYTES_BAD,     /* no UTF-8 */
	VALUE_BYTES_BINARY,
	VALUE_BYTES_ALL, /* 0 to 255 */
	VALUE_BYTES_LARGE,
	VALUE_BYTES_PIECE = VALUE_BYTES_LARGE,
	VALUE_BYTES_PIECE_TEXT,
	VALUE_BYTES_OVER,
	VALUE_BYTES_OVER_TEXT,
	VALUE_BYTES_HUGE,
	VALUE_BYTES_COUNT
};

/* Write such a string; returns its length, 200 KiB at the most. */
size_t value_bytes(struct dice *dice, enum value_bytes sort, unsigned char *to);

/* Write text without a zero byte in it, and one behind it; returns its length. */
size_t value_textz(struct dice *dice, unsigned char *to);

/* Fill a member of a structure: text padded with blanks, and everything else that modules put there. */
void value_padded(struct dice *dice, unsigned char *to, size_t size);

/* Write one of few secrets, so that equal ones come up. */
void value_secret(struct dice *dice, unsigned char *to, size_t size);

/* ---- numbers -------------------------------------------------------------------------------- */

size_t value_number_count(void);
CK_ULONG value_number_at(size_t index);
CK_ULONG value_number(struct dice *dice);

/* The constants of a group that the tables have, attribute types and mechanisms included. */
size_t value_constant_count(enum tape_group group);
CK_ULONG value_constant_at(enum tape_group group, size_t index);

/* One of them, or once in a while another number. */
CK_ULONG value_constant(struct dice *dice, enum tape_group group);
CK_ULONG value_flags(struct dice *dice, enum tape_group group);

/* ---- attributes ----------------------------------------------------------------------------- */

enum value_class {
	VALUE_RIGHT,
	VALUE_ODD, /* of the right size, mostly */
	VALUE_EMPTY,
	VALUE_THREE, /* bytes */
	VALUE_FIVE,
	VALUE_TWO, /* numbers */
	VALUE_LARGE,
	VALUE_CLASS_COUNT
};

/* Write an attribute's value, as bytes; row may be NULL. Returns its length, 64 KiB + 1 at the most. */
size_t value_attribute(struct dice *dice, const struct tape_attribute *row, enum value_class sort,
                       unsigned char *to);

/* An attribute type; one that is not of a template. */
CK_ATTRIBUTE_TYPE value_attribute_type(struct dice *dice);
CK_ATTRIBUTE_TYPE value_plain_type(struct dice *dice);

/* ---- what building and answering share -------------------------------------------------------- */

/* The direction of a field in a structure of which `rule` holds as a whole (INOUT leaves it alone). */
enum tape_direction generate_direction(const struct tape_field *field, enum tape_direction rule,
                                       unsigned int traits);

/* Whether a field counts, as the structure's memory is. */
bool generate_applies(const unsigned char *memory, enum tape_record_id record,
                      const struct tape_field *field);

/* Bytes of an IV whose size the structure around says in bits. */
size_t generate_parent_bytes(const unsigned char *around, enum tape_record_id record);

#endif
