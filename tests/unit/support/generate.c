/* SPDX-License-Identifier: MIT */
#include "tests/unit/support/generate.h"

#include <assert.h>
#include <string.h>

#include "tests/unit/support/generate-values.h"

/* ---- memory --------------------------------------------------------------------------------- */

static unsigned char *chance_block(struct call *c, size_t size)
{
	unsigned char *memory = guard_get(c->guard, size);

	dice_bytes(&c->chance, memory, size);
	return memory;
}

static void *copy_block(struct call *c, const void *bytes, size_t size)
{
	void *memory = guard_get(c->guard, size);

	if (size != 0)
		memcpy(memory, bytes, size);
	return memory;
}

static void may_write(struct call *c, void *memory, size_t size)
{
	assert(c->writable_count < CALL_MAX_SPANS);
	c->writable[c->writable_count++] = (struct span){ memory, size };
}

static CK_ULONG *chance_ulong(struct call *c)
{
	CK_ULONG *number = (CK_ULONG *)(void *)chance_block(c, sizeof(*number));

	may_write(c, number, sizeof(*number));
	return number;
}

static CK_ULONG *writable_ulong(struct call *c, CK_ULONG value)
{
	CK_ULONG *number = chance_ulong(c);

	*number = value;
	return number;
}

static void put_ulong(unsigned char *to, CK_ULONG number)
{
	memcpy(to, &number, sizeof(number));
}

static void put_pointer(unsigned char *to, const void *pointer)
{
	memcpy(to, &pointer, sizeof(pointer));
}

/* ---- byte strings --------------------------------------------------------------------------- */

/* A pointer and its length: what the contents are, or why there are none. */
enum {
	STRING_NULL = VALUE_BYTES_COUNT,
	STRING_NULL_LENGTH,
	STRING_COUNT,
};

/* Large ones are dear, so that only who asks for them gets many. */
static size_t any_string(struct dice *dice)
{
	size_t sort = dice_pick(dice, STRING_COUNT);

	if (sort >= VALUE_BYTES_LARGE && sort < VALUE_BYTES_COUNT && dice_pick(dice, 60) != 0)
		sort = VALUE_BYTES_BINARY;
	return sort;
}

static void build_string(struct call *c, size_t sort, uintptr_t *pointer, uintptr_t *length)
{
	*pointer = 0;
	*length = 0;
	if (sort == STRING_NULL)
		return;
	if (sort == STRING_NULL_LENGTH) {
		*length = 1 + dice_pick(&c->dice, 100);
		return;
	}
	size_t size = value_bytes(&c->dice, (enum value_bytes)sort, c->scratch);
	*pointer = (uintptr_t)copy_block(c, c->scratch, size);
	*length = size;
}

/* ---- templates ------------------------------------------------------------------------------ */

/* An entry of a template that is written. */
enum {
	ENTRY_NULL = VALUE_CLASS_COUNT,
	ENTRY_NULL_LENGTH,
	ENTRY_UNREADABLE, /* only below the first level: there the caller is trusted */
	ENTRY_COUNT,
};

/* An entry of a template that is read. */
enum {
	ROOM_QUERY,
	ROOM_EXACT,
	ROOM_SMALL,
	ROOM_LARGER,
	ROOM_ZERO,
	ROOM_THREE,
	ROOM_FIVE,
	ROOM_COUNT,
};

/* Templates that are more than one entry of one type. */
enum {
	TEMPLATE_NULL,
	TEMPLATE_NULL_COUNT,
	TEMPLATE_EMPTY,
	TEMPLATE_FEW,
	TEMPLATE_SIXTEEN,
	TEMPLATE_ALL_ROWS,
	TEMPLATE_DUPLICATES,
	TEMPLATE_UNKNOWN_TYPES,
	TEMPLATE_NEST_EMPTY,
	TEMPLATE_NEST_QUERY, /* reading: the phases of a nested template */
	TEMPLATE_NEST_SIZES,
	TEMPLATE_NEST_VALUES,
	TEMPLATE_NEST_ODD,
	TEMPLATE_NEST_UNREADABLE,
	TEMPLATE_NEST_LEAF_UNREADABLE,
	TEMPLATE_NEST_TWO,
	TEMPLATE_NEST_EIGHT,
	TEMPLATE_NEST_TEN,
	TEMPLATE_LARGE,
	TEMPLATE_MEGABYTE,
	TEMPLATE_BYTE, /* 256 variants: CKA_TOKEN with each value of a byte */
	TEMPLATE_ROWS = TEMPLATE_BYTE + 256,
};

static CK_ATTRIBUTE *build_attributes(struct call *c, size_t count)
{
	return (CK_ATTRIBUTE *)(void *)chance_block(c, count * sizeof(CK_ATTRIBUTE));
}

static void build_entry(struct call *c, CK_ATTRIBUTE *a, CK_ATTRIBUTE_TYPE type, size_t sort,
                        unsigned int depth);

static void nest(struct call *c, CK_ATTRIBUTE *a, CK_ATTRIBUTE *inner, size_t count)
{
	(void)c;
	a->pValue = inner;
	a->ulValueLen = count * sizeof(*inner);
}

static void build_entry(struct call *c, CK_ATTRIBUTE *a, CK_ATTRIBUTE_TYPE type, size_t sort,
                        unsigned int depth)
{
	const struct tape_attribute *row = tape_attribute_find(type);

	a->type = type;
	a->pValue = NULL;
	a->ulValueLen = 0;
	if (sort == ENTRY_NULL)
		return;
	if (sort == ENTRY_NULL_LENGTH) {
		static const CK_ULONG lengths[] = { 1,
			                            3,
			                            5,
			                            sizeof(CK_ULONG),
			                            sizeof(CK_ATTRIBUTE),
			                            2 * sizeof(CK_ULONG),
			                            CK_UNAVAILABLE_INFORMATION };
		a->ulValueLen = lengths[dice_pick(&c->dice, TAPE_ARRAY_SIZE(lengths))];
		return;
	}
	if (sort == ENTRY_UNREADABLE && depth > 1) {
		a->pValue = guard_hole(c->guard);
		a->ulValueLen = 1 + dice_pick(&c->dice, 40);
		return;
	}
	if (sort == ENTRY_UNREADABLE)
		sort = VALUE_RIGHT;
	if (row != NULL && row->type == TAPE_A_TEMPLATE && sort == VALUE_RIGHT && depth < 4) {
		size_t count = dice_pick(&c->dice, 4);
		CK_ATTRIBUTE *inner = build_attributes(c, count);
		for (size_t i = 0; i < count; i++)
			build_entry(c, &inner[i], value_attribute_type(&c->dice),
			            dice_pick(&c->dice, VALUE_LARGE), depth + 1);
		nest(c, a, inner, count);
		return;
	}
	a->ulValueLen = value_attribute(&c->dice, row, (enum value_class)sort, c->scratch);
	a->pValue = copy_block(c, c->scratch, a->ulValueLen);
}

static size_t any_entry(struct dice *dice)
{
	size_t sort = dice_pick(dice, ENTRY_COUNT);

	if (sort == VALUE_LARGE && dice_pick(dice, 100) != 0)
		sort = VALUE_RIGHT;
	return sort;
}

static void build_room(struct call *c, CK_ATTRIBUTE *a, CK_ATTRIBUTE_TYPE type, size_t sort,
                       bool typed)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	size_t size = value_attribute(&c->dice, row, VALUE_RIGHT, c->scratch);

	/* In a nested template the module says the types. */
	if (typed)
		a->type = type;
	else
		may_write(c, &a->type, sizeof(a->type));
	may_write(c, &a->ulValueLen, sizeof(a->ulValueLen));
	a->pValue = NULL;
	if (sort == ROOM_QUERY)
		return;
	if (sort == ROOM_SMALL && size != 0)
		size--;
	else if (sort == ROOM_LARGER)
		size += 1 + dice_pick(&c->dice, 40);
	else if (sort == ROOM_ZERO)
		size = 0;
	else if (sort == ROOM_THREE)
		size = 3;
	else if (sort == ROOM_FIVE)
		size = 5;
	a->pValue = chance_block(c, size);
	a->ulValueLen = size;
	may_write(c, a->pValue, size);
}

/* A chain of nested templates, `depth` of them below `a`. */
static void build_chain(struct call *c, CK_ATTRIBUTE *a, bool reading, unsigned int depth)
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_WRAP_TEMPLATE, CKA_UNWRAP_TEMPLATE,
		                                   CKA_DERIVE_TEMPLATE };

	a->type = types[depth % TAPE_ARRAY_SIZE(types)];
	if (reading)
		may_write(c, &a->ulValueLen, sizeof(a->ulValueLen));
	CK_ATTRIBUTE *inner = build_attributes(c, 2);
	nest(c, a, inner, 2);
	if (reading)
		build_room(c, &inner[1], CKA_CLASS, ROOM_EXACT, false);
	else
		build_entry(c, &inner[1], CKA_CLASS, VALUE_RIGHT, 2);
	if (depth > 1)
		build_chain(c, &inner[0], reading, depth - 1);
	else if (reading)
		build_room(c, &inner[0], CKA_ID, ROOM_EXACT, false);
	else
		build_entry(c, &inner[0], CKA_ID, VALUE_RIGHT, 2);
}

static void build_nested(struct call *c, CK_ATTRIBUTE *a, size_t variant, bool reading)
{
	size_t count = 1 + dice_pick(&c->dice, 3);
	CK_ATTRIBUTE *inner;

	a->type = dice_pick(&c->dice, 2) ? CKA_WRAP_TEMPLATE : CKA_ENCAPSULATE_TEMPLATE;
	if (reading)
		may_write(c, &a->ulValueLen, sizeof(a->ulValueLen));
	switch (variant) {
	case TEMPLATE_NEST_EMPTY:
		nest(c, a, build_attributes(c, 0), 0);
		return;
	case TEMPLATE_NEST_QUERY:
		a->pValue = NULL;
		if (!reading)
			a->ulValueLen = count * sizeof(*inner);
		return;
	case TEMPLATE_NEST_ODD:
		a->ulValueLen = sizeof(*inner) + 1 + dice_pick(&c->dice, 7);
		a->pValue = chance_block(c, a->ulValueLen);
		if (reading)
			may_write(c, a->pValue, a->ulValueLen);
		else
			dice_bytes(&c->dice, a->pValue, a->ulValueLen);
		return;
	case TEMPLATE_NEST_UNREADABLE:
		nest(c, a, guard_hole(c->guard), count);
		return;
	case TEMPLATE_NEST_LEAF_UNREADABLE:
		inner = build_attributes(c, 1);
		nest(c, a, inner, 1);
		inner->pValue = guard_hole(c->guard);
		inner->ulValueLen = 8;
		if (!reading)
			inner->type = CKA_ID;
		return;
	case TEMPLATE_NEST_TWO:
		build_chain(c, a, reading, 2);
		return;
	case TEMPLATE_NEST_EIGHT:
		build_chain(c, a, reading, TAPE_MAX_DEPTH - 1);
		return;
	case TEMPLATE_NEST_TEN:
		build_chain(c, a, reading, TAPE_MAX_DEPTH + 1);
		c->keeps_pointers |= !reading;
		return;
	default:
		break;
	}
	inner = build_attributes(c, count);
	nest(c, a, inner, count);
	for (size_t i = 0; i < count; i++) {
		CK_ATTRIBUTE_TYPE type = value_plain_type(&c->dice);
		if (!reading)
			build_entry(c, &inner[i], type, any_entry(&c->dice), 2);
		else if (variant == TEMPLATE_NEST_SIZES)
			build_room(c, &inner[i], type, ROOM_QUERY, false);
		else
			build_room(c, &inner[i], type, dice_pick(&c->dice, ROOM_COUNT), false);
	}
}

/* A template of `count` entries of any type. */
static CK_ATTRIBUTE *build_any(struct call *c, size_t count, bool reading)
{
	CK_ATTRIBUTE *list = build_attributes(c, count);

	for (size_t i = 0; i < count; i++) {
		if (reading)
			build_room(c, &list[i], value_plain_type(&c->dice),
			           dice_pick(&c->dice, ROOM_COUNT), true);
		else
			build_entry(c, &list[i], value_attribute_type(&c->dice),
			            any_entry(&c->dice), 1);
	}
	return list;
}

static size_t template_variants(bool reading)
{
	return TEMPLATE_ROWS +
	       tape_attribute_count * (reading ? (size_t)ROOM_COUNT : (size_t)ENTRY_COUNT);
}

/* Few of the variants are for everyday; the others come one in twenty times. */
static size_t any_template(struct dice *dice, bool reading)
{
	size_t choice = dice_pick(dice, 20);

	if (choice != 0)
		return choice < 14 ? TEMPLATE_FEW : choice < 17 ? TEMPLATE_NEST_VALUES : choice % 3;
	size_t variant = dice_pick(dice, template_variants(reading));
	if (variant == TEMPLATE_LARGE || variant == TEMPLATE_MEGABYTE ||
	    variant == TEMPLATE_ALL_ROWS)
		variant = TEMPLATE_SIXTEEN;
	return variant;
}

static void build_template(struct call *c, size_t variant, bool reading, uintptr_t *pointer,
                           uintptr_t *number)
{
	size_t count = 1;
	CK_ATTRIBUTE *list;

	*pointer = 0;
	*number = 0;
	switch (variant) {
	case TEMPLATE_NULL:
		return;
	case TEMPLATE_NULL_COUNT:
		*number = 1 + dice_pick(&c->dice, 5);
		return;
	case TEMPLATE_EMPTY:
		list = build_attributes(c, 0);
		count = 0;
		break;
	case TEMPLATE_FEW:
		count = 1 + dice_pick(&c->dice, 4);
		list = build_any(c, count, reading);
		break;
	case TEMPLATE_SIXTEEN:
		count = 16;
		list = build_any(c, count, reading);
		break;
	case TEMPLATE_ALL_ROWS:
		count = tape_attribute_count;
		list = build_attributes(c, count);
		for (size_t i = 0; i < count; i++) {
			CK_ATTRIBUTE_TYPE type = (CK_ATTRIBUTE_TYPE)tape_attributes[i].value;
			if (reading)
				build_room(c, &list[i], type, i % ROOM_COUNT, true);
			else
				build_entry(c, &list[i], type, VALUE_RIGHT, 1);
		}
		break;
	case TEMPLATE_DUPLICATES:
		count = 4;
		list = build_attributes(c, count);
		for (size_t i = 0; i < count; i++) {
			CK_ATTRIBUTE_TYPE type = i < 2 ? CKA_ID : CKA_CLASS;
			if (reading)
				build_room(c, &list[i], type, dice_pick(&c->dice, ROOM_COUNT),
				           true);
			else
				build_entry(c, &list[i], type, any_entry(&c->dice), 1);
		}
		break;
	case TEMPLATE_UNKNOWN_TYPES: {
		static const CK_ATTRIBUTE_TYPE types[] = { 0x7fffffff,
			                                   0x80001234,
			                                   0xffffffff,
			                                   (CK_ATTRIBUTE_TYPE)-1,
			                                   (CK_ATTRIBUTE_TYPE)-2,
			                                   (CK_ATTRIBUTE_TYPE)1
			                                           << (sizeof(CK_ULONG) * 8 - 1) };
		count = TAPE_ARRAY_SIZE(types);
		list = build_attributes(c, count);
		for (size_t i = 0; i < count; i++) {
			if (reading)
				build_room(c, &list[i], types[i], dice_pick(&c->dice, ROOM_COUNT),
				           true);
			else
				build_entry(c, &list[i], types[i], any_entry(&c->dice), 1);
		}
		break;
	}
	case TEMPLATE_LARGE:
	case TEMPLATE_MEGABYTE: {
		static const size_t sizes[] = { 65536, 65537, 204800, 1048577 };
		bool huge = variant == TEMPLATE_MEGABYTE;
		count = huge ? 1 : 3;
		list = build_attributes(c, count);
		for (size_t i = 0; i < count; i++) {
			size_t size = sizes[huge ? 3 : i];
			list[i].type = i == 1 ? CKA_LABEL : CKA_VALUE;
			list[i].pValue = chance_block(c, size);
			list[i].ulValueLen = size;
			if (!reading) {
				dice_bytes(&c->dice, list[i].pValue, size);
			} else {
				may_write(c, list[i].pValue, size);
				may_write(c, &list[i].ulValueLen, sizeof(list[i].ulValueLen));
			}
		}
		break;
	}
	default:
		list = build_attributes(c, 1);
		if (variant < TEMPLATE_BYTE) {
			build_nested(c, list, variant, reading);
		} else if (variant < TEMPLATE_ROWS) {
			CK_BBOOL byte = (CK_BBOOL)(variant - TEMPLATE_BYTE);
			if (reading) {
				build_room(c, list, CKA_TOKEN, ROOM_EXACT, true);
				break;
			}
			list->type = CKA_TOKEN;
			list->pValue = copy_block(c, &byte, sizeof(byte));
			list->ulValueLen = sizeof(byte);
		} else {
			size_t row = (variant - TEMPLATE_ROWS) % tape_attribute_count;
			size_t sort = (variant - TEMPLATE_ROWS) / tape_attribute_count;
			CK_ATTRIBUTE_TYPE type = (CK_ATTRIBUTE_TYPE)tape_attributes[row].value;
			if (reading)
				build_room(c, list, type, sort, true);
			else
				build_entry(c, list, type, sort, 1);
		}
		break;
	}
	*pointer = (uintptr_t)list;
	*number = count;
}

/* ---- structures ----------------------------------------------------------------------------- */

/* What the pointers of a structure are like. */
enum fill {
	FILL_ALL,
	FILL_NULL,
	FILL_NULL_LENGTH,
	FILL_EMPTY,
	FILL_UNREADABLE,
	FILL_TOO_LONG, /* lengths that reach past what can be read */
	FILL_ANY,      /* every pointer as it comes */
	FILL_COUNT,
};

struct place {
	unsigned char *memory;
	enum tape_record_id record;
	const struct place *around;
	enum tape_direction rule; /* of the structure as a whole */
};

enum tape_direction generate_direction(const struct tape_field *field, enum tape_direction rule,
                                       unsigned int traits)
{
	if (rule == TAPE_D_IN || rule == TAPE_D_OUT)
		return rule;
	if (field->direction == TAPE_D_SEAL)
		return traits & TAPE_T_SEAL ? TAPE_D_OUT : TAPE_D_IN;
	return (enum tape_direction)field->direction;
}

bool generate_applies(const unsigned char *memory, enum tape_record_id record,
                      const struct tape_field *field)
{
	for (size_t i = 0; i < tape_condition_count; i++) {
		const struct tape_condition *condition = &tape_conditions[i];
		CK_ULONG now = 0;
		if (condition->record != record || condition->offset != field->offset)
			continue;
		if (condition->selector_size == 1)
			now = memory[condition->selector];
		else
			memcpy(&now, memory + condition->selector, sizeof(now));
		if (now != condition->value)
			return false;
	}
	return true;
}

/* A selector has a value that somebody waits for, half of the time. */
static bool selected(struct call *c, enum tape_record_id record, const struct tape_field *field,
                     CK_ULONG *ret_value)
{
	for (size_t i = 0; i < tape_condition_count; i++) {
		const struct tape_condition *condition = &tape_conditions[i];
		if (condition->record == record && condition->selector == field->offset &&
		    dice_pick(&c->dice, 2)) {
			*ret_value = (CK_ULONG)condition->value;
			return true;
		}
	}
	return false;
}

static void build_record(struct call *c, const struct place *place, unsigned int traits,
                         enum fill fill, unsigned int depth);
static void build_mechanism(struct call *c, CK_MECHANISM *mechanism, size_t variant,
                            unsigned int traits, unsigned int depth,
                            struct call_parameter *parameter);

static bool is_pointer(const struct tape_field *field)
{
	return field->kind >= TAPE_F_P_BYTES;
}

static void build_inline(struct call *c, const struct place *place, const struct tape_field *field,
                         unsigned int traits, enum fill fill, unsigned int depth)
{
	unsigned char *at = place->memory + field->offset;
	enum tape_direction direction = generate_direction(field, place->rule, traits);
	CK_ULONG number = 0;

	if (field->kind == TAPE_F_STRUCT) {
		struct place inner = { at, (enum tape_record_id)field->detail, place, direction };
		build_record(c, &inner, traits, fill, depth + 1);
		return;
	}
	if (direction != TAPE_D_IN && field->kind != TAPE_F_LENGTH)
		may_write(c, at, field->size);
	if (direction == TAPE_D_OUT)
		return;
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_NUMBER:
	case TAPE_F_LIMIT:
	case TAPE_F_OBJECT:
		put_ulong(at, value_number(&c->dice));
		if (strcmp(field->name.text, "ulIVSizeInBits") == 0)
			put_ulong(at, dice_pick(&c->dice, 200));
		break;
	case TAPE_F_CONSTANT:
		number = value_constant(&c->dice, (enum tape_group)field->detail);
		selected(c, place->record, field, &number);
		put_ulong(at, number);
		break;
	case TAPE_F_FLAGS:
		put_ulong(at, value_flags(&c->dice, (enum tape_group)field->detail));
		break;
	case TAPE_F_BOOL:
		number = dice_pick(&c->dice, 8) ? dice_pick(&c->dice, 2) : dice_pick(&c->dice, 256);
		selected(c, place->record, field, &number);
		*at = (unsigned char)number;
		break;
	case TAPE_F_BYTE:
		*at = (unsigned char)dice_roll(&c->dice);
		break;
	case TAPE_F_CHARS:
		value_padded(&c->dice, at, field->size);
		break;
	case TAPE_F_LENGTH:
		memset(at, 0, field->size);
		break;
	default: /* FIXED, VERSION, ULONGS */
		dice_bytes(&c->dice, at, field->size);
		break;
	}
}

/* What a pointer covers, once for all the pointers that share the member that says so. */
struct extents {
	size_t count;
	struct {
		uint16_t offset;
		CK_ULONG length;
		enum fill fill;
	} known[16];
};

static CK_ULONG choose_length(struct call *c, struct extents *extents,
                              const struct tape_field *field, enum fill *fill)
{
	for (size_t i = 0; i < extents->count; i++)
		if (field->extent != TAPE_NOWHERE && extents->known[i].offset == field->extent) {
			*fill = extents->known[i].fill;
			return extents->known[i].length;
		}
	CK_ULONG length = 1 + dice_pick(&c->dice, 40);
	if (*fill == FILL_NULL || *fill == FILL_EMPTY)
		length = 0;
	else if (*fill == FILL_TOO_LONG)
		length = dice_pick(&c->dice, 2) ? (CK_ULONG)1 << 20 : (CK_ULONG)-1 / 2;
	if (field->kind == TAPE_F_P_STRUCTS && *fill == FILL_ALL)
		length = 1 + dice_pick(&c->dice, 3);
	if (field->kind == TAPE_F_P_TEMPLATE && *fill == FILL_ALL)
		length = dice_pick(&c->dice, 4);
	assert(extents->count < TAPE_ARRAY_SIZE(extents->known));
	extents->known[extents->count].offset = field->extent;
	extents->known[extents->count].length = length;
	extents->known[extents->count++].fill = *fill;
	return length;
}

static const struct tape_field *find_field(enum tape_record_id record, const char *name)
{
	for (size_t i = 0; i < tape_records[record].count; i++)
		if (strcmp(tape_fields[tape_records[record].first + i].name.text, name) == 0)
			return &tape_fields[tape_records[record].first + i];
	return NULL;
}

size_t generate_parent_bytes(const unsigned char *around, enum tape_record_id record)
{
	CK_ULONG bits;
	const struct tape_field *field =
		around == NULL ? NULL : find_field(record, "ulIVSizeInBits");

	if (field == NULL)
		return 0;
	memcpy(&bits, around + field->offset, sizeof(bits));
	return (size_t)bits / 8 + (bits % 8 != 0);
}

static void build_pointer(struct call *c, const struct place *place, const struct tape_field *field,
                          struct extents *extents, unsigned int traits, enum fill fill,
                          unsigned int depth)
{
	unsigned char *at = place->memory + field->offset;
	bool counted = field->extent != TAPE_NOWHERE;
	unsigned char *extent = place->memory + (counted ? field->extent : 0);
	enum tape_direction direction = generate_direction(field, place->rule, traits);
	CK_ULONG length = choose_length(c, extents, field, &fill);
	enum tape_record_id inner = (enum tape_record_id)field->detail;
	size_t size = length;
	unsigned char *block;

	/* What says the length first; it may be a number of bits, or behind a pointer of its own. */
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_P_BITS:
		put_ulong(extent, length == 0 || fill == FILL_TOO_LONG
		                          ? length
		                          : length * 8 - dice_pick(&c->dice, 8));
		break;
	case TAPE_F_P_BYTES_AT:
	case TAPE_F_P_SECRET_AT:
		if (fill == FILL_NULL) {
			put_pointer(extent, NULL);
		} else if (fill == FILL_UNREADABLE && dice_pick(&c->dice, 2)) {
			put_pointer(extent, guard_hole(c->guard));
		} else {
			CK_ULONG *number = (CK_ULONG *)(void *)chance_block(c, sizeof(*number));
			*number = length;
			put_pointer(extent, number);
			if (direction != TAPE_D_IN)
				may_write(c, number, sizeof(*number));
		}
		break;
	case TAPE_F_P_SIZED:
		size = field->detail;
		break;
	case TAPE_F_P_PARENT_BITS:
		size = place->around == NULL ? 0
		                             : generate_parent_bytes(place->around->memory,
		                                                     place->around->record);
		break;
	default:
		if (counted)
			put_ulong(extent, length);
		break;
	}

	if (fill == FILL_NULL || fill == FILL_NULL_LENGTH) {
		put_pointer(at, NULL);
		return;
	}
	if (fill == FILL_UNREADABLE) {
		put_pointer(at, guard_hole(c->guard));
		return;
	}
	if (fill == FILL_TOO_LONG)
		size = 16;

	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_P_STRUCT:
		if (depth > TAPE_MAX_DEPTH + 2) {
			put_pointer(at, NULL);
			return;
		}
		block = chance_block(c, tape_records[inner].size);
		put_pointer(at, block);
		build_record(c, &(struct place){ block, inner, place, direction }, traits, fill,
		             depth + 1);
		return;
	case TAPE_F_P_STRUCTS:
		if (fill == FILL_TOO_LONG)
			size = 0;
		block = chance_block(c, size * tape_records[inner].size);
		put_pointer(at, block);
		for (size_t i = 0; i < size; i++)
			build_record(c,
			             &(struct place){ block + i * tape_records[inner].size, inner,
			                              place, direction },
			             traits, fill, depth + 1);
		return;
	case TAPE_F_P_TEMPLATE: {
		if (fill == FILL_TOO_LONG)
			size = 0;
		CK_ATTRIBUTE *list = build_attributes(c, size);
		put_pointer(at, list);
		for (size_t i = 0; i < size; i++)
			build_entry(c, &list[i], value_attribute_type(&c->dice),
			            any_entry(&c->dice), 2);
		return;
	}
	case TAPE_F_P_MECHANISM: {
		struct call_parameter parameter;
		CK_MECHANISM *mechanism =
			(CK_MECHANISM *)(void *)chance_block(c, sizeof(*mechanism));
		put_pointer(at, mechanism);
		build_mechanism(c, mechanism, SIZE_MAX, traits, depth + 1, &parameter);
		return;
	}
	case TAPE_F_P_TEXTZ:
		size = value_textz(&c->dice, c->scratch) + 1;
		put_pointer(at, copy_block(c, c->scratch, size));
		return;
	case TAPE_F_P_OBJECT:
		put_pointer(at, chance_ulong(c));
		return;
	case TAPE_F_P_OPAQUE:
		block = chance_block(c, 1);
		put_pointer(at, direction == TAPE_D_OUT && dice_pick(&c->chance, 2) ? NULL : block);
		return;
	default:
		break;
	}
	if (direction == TAPE_D_OUT) {
		block = chance_block(c, size);
	} else if (field->kind == TAPE_F_P_SECRET || field->kind == TAPE_F_P_SECRET_AT) {
		block = guard_get(c->guard, size);
		value_secret(&c->dice, block, size);
	} else {
		block = guard_get(c->guard, size);
		dice_bytes(&c->dice, block, size);
	}
	if (direction != TAPE_D_IN)
		may_write(c, block, size);
	put_pointer(at, block);
}

static enum fill any_fill(struct dice *dice)
{
	size_t choice = dice_pick(dice, 16);

	return choice < FILL_ANY ? (enum fill)choice : FILL_ALL;
}

/* The memory holds chance; what stays so is what the structure's rows call that. */
static void build_record(struct call *c, const struct place *place, unsigned int traits,
                         enum fill fill, unsigned int depth)
{
	const struct tape_record *record = &tape_records[place->record];
	struct extents extents = { 0 };

	for (size_t i = 0; i < record->count; i++)
		if (!is_pointer(&tape_fields[record->first + i]))
			build_inline(c, place, &tape_fields[record->first + i], traits, fill,
			             depth);
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		if (is_pointer(field))
			build_pointer(c, place, field, &extents, traits,
			              fill == FILL_ANY ? any_fill(&c->dice) : fill, depth);
	}
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		if (!generate_applies(place->memory, place->record, field))
			dice_bytes(&c->chance, place->memory + field->offset, field->size);
	}
}

/* ---- mechanisms ----------------------------------------------------------------------------- */

enum {
	MECHANISM_NULL,
	MECHANISM_UNREADABLE,
	MECHANISM_UNKNOWN, /* with each of the parameters below that is no record */
	MECHANISM_UNKNOWN_LAST = MECHANISM_UNKNOWN + 5,
	MECHANISM_ROWS,
};

/* A row's parameter: the fills of its record, and what it is not. */
enum {
	PARAMETER_NONE = FILL_COUNT,
	PARAMETER_NULL_LENGTH,
	PARAMETER_EMPTY,
	PARAMETER_SHORT,
	PARAMETER_LONG,
	PARAMETER_UNREADABLE,
	PARAMETER_OTHER, /* the row's other layout */
	PARAMETER_COUNT,
};

static enum tape_record_id row_record(const struct tape_mechanism *row, unsigned int traits)
{
	if (traits & TAPE_T_MSG && row->message_record != TAPE_R_NONE)
		return (enum tape_record_id)row->message_record;
	if (traits & TAPE_T_WRAP && row->wrap_record != TAPE_R_NONE)
		return (enum tape_record_id)row->wrap_record;
	return (enum tape_record_id)row->record;
}

static void build_plain_parameter(struct call *c, size_t size, struct call_parameter *parameter,
                                  void **pointer, CK_ULONG *length)
{
	dice_bytes(&c->dice, c->scratch, size);
	parameter->memory = copy_block(c, c->scratch, size);
	parameter->size = size;
	parameter->record = TAPE_R_NONE;
	may_write(c, parameter->memory, size);
	*pointer = parameter->memory;
	*length = size;
}

static void build_parameter(struct call *c, enum tape_record_id record, size_t plain, size_t form,
                            unsigned int traits, unsigned int depth,
                            struct call_parameter *parameter, void **pointer, CK_ULONG *length)
{
	size_t size = record == TAPE_R_NONE ? plain : tape_records[record].size;

	memset(parameter, 0, sizeof(*parameter));
	*pointer = NULL;
	*length = 0;
	switch (form) {
	case PARAMETER_NONE:
		return;
	case PARAMETER_NULL_LENGTH:
		*length = 1 + dice_pick(&c->dice, 100);
		return;
	case PARAMETER_EMPTY:
		*pointer = guard_get(c->guard, 0);
		return;
	case PARAMETER_UNREADABLE:
		*pointer = guard_hole(c->guard);
		*length = size == 0 ? 7 : size;
		return;
	case PARAMETER_SHORT:
		build_plain_parameter(c, size == 0 ? 0 : size - 1, parameter, pointer, length);
		return;
	case PARAMETER_LONG:
		build_plain_parameter(c, size + 1, parameter, pointer, length);
		return;
	default:
		break;
	}
	if (record == TAPE_R_NONE) {
		build_plain_parameter(c, size, parameter, pointer, length);
		return;
	}
	parameter->memory = chance_block(c, size);
	parameter->size = size;
	parameter->record = record;
	build_record(c, &(struct place){ parameter->memory, record, NULL, TAPE_D_INOUT }, traits,
	             (enum fill)form, depth);
	*pointer = parameter->memory;
	*length = size;
}

/* SIZE_MAX for any variant. */
static void build_mechanism(struct call *c, CK_MECHANISM *mechanism, size_t variant,
                            unsigned int traits, unsigned int depth,
                            struct call_parameter *parameter)
{
	static const size_t unknown[] = {
		FILL_ALL,        PARAMETER_NONE,       PARAMETER_NULL_LENGTH,
		PARAMETER_EMPTY, PARAMETER_UNREADABLE, PARAMETER_LONG
	};
	void *pointer;

	if (variant == SIZE_MAX) {
		variant = MECHANISM_ROWS + dice_pick(&c->dice, tape_mechanism_count) +
		          tape_mechanism_count * dice_pick(&c->dice, PARAMETER_COUNT);
		if (dice_pick(&c->dice, 20) == 0)
			variant = MECHANISM_UNKNOWN + dice_pick(&c->dice, TAPE_ARRAY_SIZE(unknown));
	}
	if (variant < MECHANISM_ROWS) {
		static const CK_MECHANISM_TYPE types[] = { 0x7ffffffe, 0x80abcdef, (CK_ULONG)-1 };
		mechanism->mechanism = types[dice_pick(&c->dice, TAPE_ARRAY_SIZE(types))];
		build_parameter(c, TAPE_R_NONE, 1 + dice_pick(&c->dice, 60),
		                unknown[variant - MECHANISM_UNKNOWN], traits, depth, parameter,
		                &pointer, &mechanism->ulParameterLen);
		mechanism->pParameter = pointer;
		return;
	}
	const struct tape_mechanism *row =
		&tape_mechanisms[(variant - MECHANISM_ROWS) % tape_mechanism_count];
	size_t form = (variant - MECHANISM_ROWS) / tape_mechanism_count;
	enum tape_record_id record = row_record(row, traits);
	/* Chains of mechanisms within mechanisms, deeper than anybody follows them. */
	if (depth > 1 && depth < TAPE_MAX_DEPTH && dice_pick(&c->dice, 4) == 0) {
		row = tape_mechanism_find(CKM_CMS_SIG);
		record = TAPE_R_CK_CMS_SIG_PARAMS;
		form = FILL_ALL;
	} else if (depth > TAPE_MAX_DEPTH) {
		row = tape_mechanism_find(CKM_TLS12_MASTER_KEY_DERIVE);
		record = TAPE_R_CK_TLS12_MASTER_KEY_DERIVE_PARAMS;
	}
	mechanism->mechanism = (CK_MECHANISM_TYPE)row->value;
	if (form == PARAMETER_OTHER) {
		form = FILL_ALL;
		if (row->other_record != TAPE_R_NONE)
			record = (enum tape_record_id)row->other_record;
	}
	size_t plain =
		row->parameter == TAPE_P_ULONG || row->parameter == TAPE_P_OBJECT ? sizeof(CK_ULONG)
		: row->parameter == TAPE_P_NONE && form < FILL_COUNT ? dice_pick(&c->dice, 2) * 4
								     : dice_pick(&c->dice, 40);
	build_parameter(c, record, plain, form, traits, depth + 1, parameter, &pointer,
	                &mechanism->ulParameterLen);
	mechanism->pParameter = pointer;
}

/* The structures that message functions take, as the mechanisms' rows have them. */
static size_t message_records(enum tape_record_id *records)
{
	size_t count = 0;

	for (size_t i = 0; i < tape_mechanism_count; i++) {
		enum tape_record_id id = (enum tape_record_id)tape_mechanisms[i].message_record;
		size_t j = 0;
		while (j < count && records[j] != id)
			j++;
		if (id != TAPE_R_NONE && j == count)
			records[count++] = id;
	}
	return count;
}

static size_t message_variants(void)
{
	enum tape_record_id records[TAPE_R_COUNT];

	return PARAMETER_COUNT * (1 + message_records(records));
}

static void build_message(struct call *c, size_t variant, unsigned int traits, size_t argument,
                          uintptr_t *pointer, uintptr_t *length)
{
	enum tape_record_id records[TAPE_R_COUNT];
	void *parameter;
	CK_ULONG size;

	message_records(records);
	size_t which = variant / PARAMETER_COUNT;
	enum tape_record_id record = which == 0 ? TAPE_R_NONE : records[which - 1];
	c->message_record = record;
	if ((traits & TAPE_T_MSG) == 0)
		record = TAPE_R_NONE;
	size_t form = variant % PARAMETER_COUNT;
	if (form == PARAMETER_OTHER)
		form = FILL_ANY;
	build_parameter(c, record, dice_pick(&c->dice, 40), form, traits, 1,
	                &c->parameters[argument], &parameter, &size);
	*pointer = (uintptr_t)parameter;
	*length = size;
}

enum tape_record_id generate_message_record(void *context, CK_SESSION_HANDLE session, bool seal)
{
	const struct call *c = context;

	(void)session;
	(void)seal;
	return c->message_record;
}

/* ---- C_Initialize --------------------------------------------------------------------------- */

enum {
	INIT_NULL,
	INIT_UNREADABLE,
	INIT_RESERVED_NULL,
	INIT_RESERVED_TEXT,
	INIT_RESERVED_EMPTY,
	INIT_RESERVED_BINARY,
	INIT_RESERVED_UNREADABLE,
	INIT_RESERVED_ENDLESS,
	INIT_MUTEXES,
	INIT_COUNT = INIT_MUTEXES + 16,
};

static CK_RV some_mutex(void)
{
	return CKR_OK;
}

static void *build_init_args(struct call *c, size_t variant)
{
	static const CK_FLAGS flags[] = { 0, CKF_OS_LOCKING_OK, CKF_LIBRARY_CANT_CREATE_OS_THREADS,
		                          CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS,
		                          1UL << 20 };
	size_t mutexes = variant >= INIT_MUTEXES ? variant - INIT_MUTEXES : 0;
	void *reserved = NULL;
	size_t size;

	if (variant == INIT_NULL)
		return NULL;
	if (variant == INIT_UNREADABLE)
		return guard_hole(c->guard);
	switch (variant) {
	case INIT_RESERVED_TEXT:
		reserved = copy_block(c, "configdir='sql:/tmp/db'", 24);
		break;
	case INIT_RESERVED_EMPTY:
		reserved = copy_block(c, "", 1);
		break;
	case INIT_RESERVED_BINARY:
		size = value_bytes(&c->dice, VALUE_BYTES_CONTROL, c->scratch);
		c->scratch[size] = 0;
		reserved = copy_block(c, c->scratch, size + 1);
		break;
	case INIT_RESERVED_UNREADABLE:
		reserved = guard_hole(c->guard);
		break;
	case INIT_RESERVED_ENDLESS:
		reserved = copy_block(c, "no end", 6);
		break;
	default:
		break;
	}
	CK_C_INITIALIZE_ARGS *args = (CK_C_INITIALIZE_ARGS *)(void *)chance_block(c, sizeof(*args));
	args->flags = flags[dice_pick(&c->dice, TAPE_ARRAY_SIZE(flags))];
	args->CreateMutex = mutexes & 1 ? (CK_CREATEMUTEX)(void (*)(void))some_mutex : NULL;
	args->DestroyMutex = mutexes & 2 ? (CK_DESTROYMUTEX)(void (*)(void))some_mutex : NULL;
	args->LockMutex = mutexes & 4 ? (CK_LOCKMUTEX)(void (*)(void))some_mutex : NULL;
	args->UnlockMutex = mutexes & 8 ? (CK_UNLOCKMUTEX)(void (*)(void))some_mutex : NULL;
	args->pReserved = reserved;
	return args;
}

/* ---- output buffers ------------------------------------------------------------------------- */

enum {
	BUFFER_NOTHING, /* neither buffer nor length pointer */
	BUFFER_QUERY,
	BUFFER_UNSTATED, /* a buffer without a length pointer */
	BUFFER_ZERO,
	BUFFER_ONE,
	BUFFER_SMALL,
	BUFFER_SOME,
	BUFFER_IN_PLACE,      /* over the input before it, where there is one */
	BUFFER_IN_PLACE_MORE, /* with more room than it has bytes */
	BUFFER_PIECE,
	BUFFER_LARGE,
	BUFFER_COUNT,
};

static size_t any_buffer(struct dice *dice)
{
	size_t variant = dice_pick(dice, BUFFER_COUNT);

	if (variant >= BUFFER_PIECE && dice_pick(dice, 60) != 0)
		variant = BUFFER_SOME;
	return variant;
}

static size_t buffer_room(struct dice *dice, size_t variant)
{
	switch (variant) {
	case BUFFER_ZERO:
		return 0;
	case BUFFER_ONE:
		return 1;
	case BUFFER_SMALL:
		return 7;
	case BUFFER_PIECE:
		return 65537;
	case BUFFER_LARGE:
		return (size_t)200 * 1024;
	default:
		return 1 + dice_pick(dice, 64);
	}
}

/* Find the last input bytes before an argument; NULL where there are none. */
static uintptr_t *input_before(struct call *c, size_t argument)
{
	for (size_t i = argument; i-- > 0;) {
		const struct tape_argument *other = &c->function->arguments[i];
		if (tape_shapes[other->kind].codec == TAPE_C_BYTES && c->words[other->word] != 0 &&
		    c->words[other->word + 1u] != 0)
			return &c->words[other->word];
	}
	return NULL;
}

static void build_buffer(struct call *c, size_t variant, size_t element, size_t argument,
                         uintptr_t *pointer, uintptr_t *length)
{
	*pointer = *length = 0;
	if (variant == BUFFER_NOTHING)
		return;
	if (variant == BUFFER_QUERY) {
		*length = (uintptr_t)chance_ulong(c);
		return;
	}
	uintptr_t *input = input_before(c, argument);
	size_t room = buffer_room(&c->dice, variant);
	unsigned char *block;
	if (element > 1 && room > 300)
		room = 300 + room / 1024;
	if (element == 1 && input != NULL && variant == BUFFER_IN_PLACE) {
		block = (unsigned char *)input[0];
		room = input[1];
	} else if (element == 1 && input != NULL && variant == BUFFER_IN_PLACE_MORE) {
		size_t more = input[1] + 16;
		block = chance_block(c, more);
		memcpy(block, (void *)input[0], input[1]);
		input[0] = (uintptr_t)block;
		room = more;
	} else {
		block = chance_block(c, room * element);
	}
	may_write(c, block, room * element);
	*pointer = (uintptr_t)block;
	if (variant != BUFFER_UNSTATED)
		*length = (uintptr_t)writable_ulong(c, room);
}

/* A buffer with its length beside it; what points to the count of elements, where there is one. */
static void build_room_beside(struct call *c, size_t variant, size_t element, uintptr_t *w,
                              bool count)
{
	size_t room = buffer_room(&c->dice, variant % BUFFER_COUNT);

	if (element > 1 && room > 300)
		room = 300 + room / 1024;
	w[0] = 0;
	w[1] = variant % BUFFER_COUNT == BUFFER_NOTHING ? 0 : room;
	if (variant % BUFFER_COUNT != BUFFER_NOTHING && variant % BUFFER_COUNT != BUFFER_QUERY) {
		unsigned char *block = chance_block(c, room * element);
		may_write(c, block, room * element);
		w[0] = (uintptr_t)block;
	}
	if (count)
		w[2] = variant >= BUFFER_COUNT ? 0 : (uintptr_t)chance_ulong(c);
}

/* ---- arguments ------------------------------------------------------------------------------ */

enum { TEXT_NULL = VALUE_BYTES_LARGE, TEXT_UNREADABLE, TEXT_LONG, TEXT_COUNT };

static uintptr_t build_textz(struct call *c, size_t variant)
{
	size_t size;

	if (variant == TEXT_NULL)
		return 0;
	if (variant == TEXT_UNREADABLE)
		return (uintptr_t)guard_hole(c->guard);
	if (variant == TEXT_LONG) {
		size = 5000;
		memset(c->scratch, 'x', size);
	} else {
		size = value_bytes(&c->dice, (enum value_bytes)variant, c->scratch);
	}
	c->scratch[size] = 0;
	return (uintptr_t)copy_block(c, c->scratch, strlen((char *)c->scratch) + 1);
}

enum { CHARS_PADDED = 24, CHARS_NULL = CHARS_PADDED, CHARS_UNREADABLE, CHARS_COUNT };

static uintptr_t build_chars(struct call *c, size_t variant, size_t size)
{
	if (variant == CHARS_NULL)
		return 0;
	if (variant == CHARS_UNREADABLE)
		return (uintptr_t)guard_hole(c->guard);
	value_padded(&c->dice, c->scratch, size);
	return (uintptr_t)copy_block(c, c->scratch, size);
}

static uintptr_t build_struct(struct call *c, const struct tape_shape *shape, size_t variant)
{
	enum tape_record_id record = (enum tape_record_id)shape->detail;

	if (variant == 0)
		return 0;
	unsigned char *block = chance_block(c, tape_records[record].size);
	build_record(c, &(struct place){ block, record, NULL, TAPE_D_INOUT }, shape->traits,
	             FILL_ALL, 1);
	return (uintptr_t)block;
}

/* Numbers that have names: each of them, and some that have none. */
static size_t constant_variants(enum tape_group group)
{
	return value_constant_count(group) + 4;
}

static CK_ULONG build_constant(struct call *c, enum tape_group group, size_t variant)
{
	if (variant < value_constant_count(group))
		return value_constant_at(group, variant);
	return value_number(&c->dice);
}

enum { FLAGS_ZERO = sizeof(CK_ULONG) * 8, FLAGS_ALL, FLAGS_ANY, FLAGS_COUNT = FLAGS_ANY + 4 };

static CK_ULONG build_flags(struct call *c, enum tape_group group, size_t variant)
{
	if (variant < FLAGS_ZERO)
		return (CK_ULONG)1 << variant;
	if (variant == FLAGS_ZERO || variant == FLAGS_ALL)
		return variant == FLAGS_ALL ? (CK_ULONG)-1 : 0;
	return value_flags(&c->dice, group);
}

size_t generate_variants(const struct tape_argument *argument)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	bool out = (shape->traits & TAPE_T_OUT) != 0;

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
		return value_number_count();
	case TAPE_C_BOOLEAN:
		return 256;
	case TAPE_C_CONSTANT:
		return constant_variants((enum tape_group)shape->detail);
	case TAPE_C_FLAGS:
		return FLAGS_COUNT;
	case TAPE_C_PRESENCE:
	case TAPE_C_CALLBACK:
	case TAPE_C_NUMBER_AT:
	case TAPE_C_STRUCT:
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		return 2;
	case TAPE_C_INIT_ARGS:
		return INIT_COUNT;
	case TAPE_C_BYTES:
	case TAPE_C_SECRET:
		return STRING_COUNT;
	case TAPE_C_CHARS:
		return CHARS_COUNT;
	case TAPE_C_TEXTZ:
		return TEXT_COUNT;
	case TAPE_C_TEMPLATE:
		return template_variants(out);
	case TAPE_C_MECHANISM:
		return MECHANISM_ROWS + tape_mechanism_count * PARAMETER_COUNT;
	case TAPE_C_PARAMETER:
		return message_variants();
	case TAPE_C_BYTES_AT:
	case TAPE_C_LIST_AT:
	case TAPE_C_INTERFACES:
	case TAPE_C_FILL:
	case TAPE_C_LATER:
		return BUFFER_COUNT;
	case TAPE_C_FOUND:
		return (size_t)2 * BUFFER_COUNT;
	}
	return 0;
}

/* What one takes who does not look for something. */
static size_t any_variant(struct call *c, const struct tape_argument *argument)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_BYTES:
	case TAPE_C_SECRET:
		return any_string(&c->dice);
	case TAPE_C_TEMPLATE:
		return any_template(&c->dice, (shape->traits & TAPE_T_OUT) != 0);
	case TAPE_C_BYTES_AT:
	case TAPE_C_FILL:
	case TAPE_C_LIST_AT:
		return any_buffer(&c->dice);
	case TAPE_C_NUMBER_AT:
	case TAPE_C_STRUCT:
		return dice_pick(&c->dice, 10) != 0;
	default:
		return dice_pick(&c->dice, generate_variants(argument));
	}
}

static void build_argument(struct call *c, size_t index, size_t variant)
{
	const struct tape_argument *argument = &c->function->arguments[index];
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	uintptr_t *w = c->words + argument->word;

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
		w[0] = value_number_at(variant);
		break;
	case TAPE_C_BOOLEAN:
		w[0] = variant;
		break;
	case TAPE_C_CONSTANT:
		w[0] = build_constant(c, (enum tape_group)shape->detail, variant);
		break;
	case TAPE_C_FLAGS:
		w[0] = build_flags(c, (enum tape_group)shape->detail, variant);
		break;
	case TAPE_C_PRESENCE:
	case TAPE_C_CALLBACK:
		w[0] = variant == 0 ? 0 : (uintptr_t)guard_hole(c->guard);
		break;
	case TAPE_C_INIT_ARGS:
		w[0] = (uintptr_t)build_init_args(c, variant);
		break;
	case TAPE_C_BYTES:
		build_string(c, variant, &w[0], &w[1]);
		break;
	case TAPE_C_SECRET:
		build_string(c, variant, &w[0], &w[1]);
		if (variant < VALUE_BYTES_LARGE && w[1] != 0 && dice_pick(&c->dice, 2))
			value_secret(&c->dice, (unsigned char *)w[0], w[1]);
		break;
	case TAPE_C_CHARS:
		w[0] = build_chars(c, variant, shape->detail);
		break;
	case TAPE_C_TEXTZ:
		w[0] = build_textz(c, variant);
		break;
	case TAPE_C_TEMPLATE:
		build_template(c, variant, (shape->traits & TAPE_T_OUT) != 0, &w[0], &w[1]);
		break;
	case TAPE_C_MECHANISM:
		if (variant == MECHANISM_NULL) {
			w[0] = 0;
		} else if (variant == MECHANISM_UNREADABLE) {
			w[0] = (uintptr_t)guard_hole(c->guard);
		} else {
			CK_MECHANISM *mechanism =
				(CK_MECHANISM *)(void *)chance_block(c, sizeof(*mechanism));
			build_mechanism(c, mechanism, variant, shape->traits, 1,
			                &c->parameters[index]);
			w[0] = (uintptr_t)mechanism;
		}
		break;
	case TAPE_C_PARAMETER:
		build_message(c, variant, shape->traits, index, &w[0], &w[1]);
		break;
	case TAPE_C_NUMBER_AT:
		w[0] = variant == 0 ? 0 : (uintptr_t)chance_ulong(c);
		break;
	case TAPE_C_STRUCT:
		w[0] = build_struct(c, shape, variant);
		break;
	case TAPE_C_BYTES_AT:
		build_buffer(c, variant, 1, index, &w[0], &w[1]);
		break;
	case TAPE_C_LIST_AT:
		build_buffer(c, variant, sizeof(CK_ULONG), index, &w[0], &w[1]);
		break;
	case TAPE_C_INTERFACES:
		build_buffer(c, variant, sizeof(CK_INTERFACE), index, &w[0], &w[1]);
		break;
	case TAPE_C_FILL:
	case TAPE_C_LATER:
		build_room_beside(c, variant, 1, w, false);
		break;
	case TAPE_C_FOUND:
		build_room_beside(c, variant, sizeof(CK_ULONG), w, true);
		break;
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		w[0] = variant == 0 ? 0 : (uintptr_t)chance_block(c, sizeof(void *));
		break;
	}
}

void generate_call(struct call *c, struct guard *guard, const struct tape_function *function,
                   size_t focus, size_t variant, uint64_t seed, uint64_t chance)
{
	guard_reset(guard);
	c->function = function;
	c->guard = guard;
	c->chance.state = chance;
	c->message_record = TAPE_R_NONE;
	c->writable_count = c->written_count = 0;
	c->keeps_pointers = false;
	memset(c->words, 0, sizeof(c->words));
	memset(c->parameters, 0, sizeof(c->parameters));
	for (size_t i = 0; i < function->count; i++) {
		c->dice.state = seed + i;
		dice_roll(&c->dice);
		size_t any = any_variant(c, &function->arguments[i]);
		build_argument(c, i, i == focus ? variant : any);
	}
}
