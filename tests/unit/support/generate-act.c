/* SPDX-License-Identifier: MIT
 *
 * The module: writes outputs by shape, and says which of what it wrote has a meaning in PKCS#11.
 */
#include <assert.h>
#include <string.h>

#include "tests/unit/support/generate-values.h"

static bool good(enum act act)
{
	return act == ACT_OK || act == ACT_EMPTY || act == ACT_LIES;
}

static bool often(struct call *c)
{
	return dice_pick(&c->dice, 4) != 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

static void written(struct call *c, unsigned char *memory, size_t size)
{
	assert(c->written_count < CALL_MAX_SPANS);
	if (size != 0)
		c->written[c->written_count++] = (struct span){ memory, size };
}

static void module_write(struct call *c, void *to, const void *bytes, size_t size)
{
	if (size != 0)
		memcpy(to, bytes, size);
	written(c, to, size);
}

static void module_write_ulong(struct call *c, void *to, CK_ULONG number)
{
	module_write(c, to, &number, sizeof(number));
}

static CK_ULONG ulong_at(const void *from)
{
	CK_ULONG number;

	memcpy(&number, from, sizeof(number));
	return number;
}

static void *pointer_at(const void *from)
{
	void *pointer;

	memcpy(&pointer, from, sizeof(pointer));
	return pointer;
}

/* Random bytes that differ from those that are there: what a failing call leaves is seen by that. */
static void module_fill(struct call *c, unsigned char *to, size_t size)
{
	if (size == 0)
		return;
	unsigned char before = to[0];
	dice_bytes(&c->dice, to, size);
	if (to[0] == before)
		to[0] = (unsigned char)(before + 1);
	written(c, to, size);
}

/* What no one may see again: padding, and buffers after a failure. */
static void module_scribble(struct call *c, unsigned char *to, size_t size)
{
	dice_bytes(&c->dice, to, size);
}

/* A number that is not the one there. */
static void module_change(struct call *c, void *to)
{
	CK_ULONG number = value_number(&c->dice);

	module_write_ulong(c, to, number == ulong_at(to) ? number + 1 : number);
}

static bool is_there(struct call *c, const void *memory, size_t size)
{
	size_t block;
	size_t offset;

	return memory != NULL && guard_find(c->guard, memory, size, &block, &offset);
}

/* ---- buffers and lists ---------------------------------------------------------------------- */

static void act_buffer(struct call *c, enum act act, size_t element, enum tape_group group,
                       unsigned char *buffer, CK_ULONG room, CK_ULONG *length)
{
	CK_ULONG number = 0;

	if (length == NULL || act == ACT_CLEAN)
		return;
	if (act == ACT_LIES)
		number = dice_pick(&c->dice, 4) ? room + 1 + dice_pick(&c->dice, 9) : (CK_ULONG)-1;
	else if (act == ACT_OK)
		number = buffer == NULL ? dice_pick(&c->dice, 100)
		                        : room - dice_pick(&c->dice, room < 9 ? room + 1 : 9);
	if (good(act)) {
		CK_ULONG count = number < room ? number : room;
		for (size_t i = 0; buffer != NULL && element > 1 && i < count; i++) {
			CK_ULONG item = group == TAPE_G_NONE ? value_number(&c->dice)
			                                     : value_constant(&c->dice, group);
			module_write_ulong(c, buffer + i * element, item);
		}
		if (buffer != NULL && element == 1) {
			dice_bytes(&c->dice, buffer, count);
			if (dice_pick(&c->dice, 2))
				memset(buffer, 'a', count);
			written(c, buffer, count);
		}
		module_write_ulong(c, length, number);
		return;
	}
	if (buffer != NULL && dice_pick(&c->dice, 2))
		module_scribble(c, buffer, room * element);
	if (act == ACT_TOO_SMALL)
		module_write_ulong(c, length, room + 1 + dice_pick(&c->dice, 1000));
	else if (often(c))
		module_change(c, length);
}

/* ---- templates ------------------------------------------------------------------------------ */

static void act_template(struct call *c, enum act act, CK_ATTRIBUTE *list, size_t count,
                         unsigned int depth);

/* Whether the module may follow it: what the caller gave as one. */
static bool is_nested(struct call *c, const CK_ATTRIBUTE *a)
{
	const struct tape_attribute *row = tape_attribute_find(a->type);

	return row != NULL && row->type == TAPE_A_TEMPLATE && a->pValue != NULL &&
	       a->ulValueLen % sizeof(*a) == 0 && is_there(c, a->pValue, a->ulValueLen);
}

static void act_entry(struct call *c, enum act act, CK_ATTRIBUTE *a, unsigned int depth)
{
	CK_ULONG room = a->ulValueLen;
	bool nested = is_nested(c, a);

	if (!good(act) && dice_pick(&c->dice, 3) == 0)
		return; /* left alone */
	if (depth > 1 && !nested)
		module_write_ulong(c, &a->type, value_plain_type(&c->dice));
	if (a->pValue != NULL && !is_there(c, a->pValue, room))
		return;
	if (act == ACT_EMPTY) {
		module_write_ulong(c, &a->ulValueLen, 0);
		return;
	}
	if (!good(act) && dice_pick(&c->dice, 3) == 0) {
		module_write_ulong(c, &a->ulValueLen, CK_UNAVAILABLE_INFORMATION);
		return;
	}
	if (nested && act != ACT_LIES && depth < TAPE_MAX_DEPTH) {
		size_t offered = room / sizeof(*a);
		size_t given = offered - (dice_pick(&c->dice, 3) == 0 && offered != 0);
		act_template(c, act, a->pValue, given, depth + 1);
		module_write_ulong(c, &a->ulValueLen, given * sizeof(*a));
		return;
	}
	const struct tape_attribute *row = tape_attribute_find(a->type);
	enum value_class sort = dice_pick(&c->dice, 4) ? VALUE_RIGHT : VALUE_ODD;
	size_t size = value_attribute(&c->dice, row, sort, c->scratch);
	if (row != NULL && row->type == TAPE_A_TEMPLATE && a->pValue == NULL)
		size = dice_pick(&c->dice, 3) * sizeof(*a);
	/* Who fails to read more than a megabyte is not watched that closely. */
	if (room > 1 << 20 && !good(act) && a->pValue != NULL)
		return;
	if (room > 65535 && a->pValue != NULL) {
		size = room - dice_pick(&c->dice, 2);
		dice_bytes(&c->dice, c->scratch, size);
	}
	if (a->pValue == NULL) {
		module_write_ulong(c, &a->ulValueLen, size);
		return;
	}
	if (act == ACT_LIES) {
		module_write_ulong(c, &a->ulValueLen, room + 1 + dice_pick(&c->dice, 7));
		return;
	}
	if (act == ACT_TOO_SMALL && size > room) {
		module_write_ulong(c, &a->ulValueLen,
		                   dice_pick(&c->dice, 2) ? size : CK_UNAVAILABLE_INFORMATION);
		return;
	}
	if (size > room)
		size = room;
	if (!good(act) && room != 0 && dice_pick(&c->dice, 6) == 0) {
		module_write_ulong(c, &a->ulValueLen, dice_pick(&c->dice, room));
		return;
	}
	/* A failing call that leaves what was there has not been seen to write it. */
	if (good(act) || memcmp(a->pValue, c->scratch, size) != 0)
		module_write(c, a->pValue, c->scratch, size);
	module_write_ulong(c, &a->ulValueLen, size);
}

static void act_template(struct call *c, enum act act, CK_ATTRIBUTE *list, size_t count,
                         unsigned int depth)
{
	for (size_t i = 0; i < count; i++)
		act_entry(c, act, &list[i], depth);
}

/* ---- structures ----------------------------------------------------------------------------- */

struct around {
	const unsigned char *memory;
	enum tape_record_id record;
};

static void act_record(struct call *c, enum act act, unsigned char *memory, enum tape_record_id id,
                       const struct around *around, enum tape_direction rule, unsigned int traits);

/* Bytes that a pointer covers, before the module changes what says so. */
static size_t size_behind(struct call *c, const unsigned char *memory,
                          const struct tape_field *field, const struct around *around)
{
	const unsigned char *extent = memory + (field->extent == TAPE_NOWHERE ? 0 : field->extent);
	CK_ULONG length;
	const void *at;

	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_P_BITS:
		length = ulong_at(extent);
		return (size_t)length / 8 + (length % 8 != 0);
	case TAPE_F_P_SIZED:
		return field->detail;
	case TAPE_F_P_PARENT_BITS:
		return around == NULL ? 0 : generate_parent_bytes(around->memory, around->record);
	case TAPE_F_P_BYTES_AT:
	case TAPE_F_P_SECRET_AT:
		at = pointer_at(extent);
		return is_there(c, at, sizeof(CK_ULONG)) ? ulong_at(at) : 0;
	default:
		return field->extent == TAPE_NOWHERE ? 0 : ulong_at(extent);
	}
}

/* Whether the module may change what says how much a pointer covers. */
static bool extent_shrinks(enum tape_record_id id, const struct tape_field *field)
{
	for (size_t i = 0; i < tape_records[id].count; i++) {
		const struct tape_field *other = &tape_fields[tape_records[id].first + i];
		if (other->offset == field->extent)
			return other->kind == TAPE_F_NUMBER && other->direction == TAPE_D_INOUT;
	}
	return false;
}

static void act_pointer(struct call *c, enum act act, unsigned char *memory, enum tape_record_id id,
                        const struct tape_field *field, const struct around *around,
                        enum tape_direction direction, unsigned int traits)
{
	unsigned char *to = pointer_at(memory + field->offset);
	size_t size = size_behind(c, memory, field, around);
	enum tape_record_id inner = (enum tape_record_id)field->detail;
	struct around here = { memory, id };

	if (direction == TAPE_D_IN)
		return;
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_P_STRUCT:
		if (is_there(c, to, tape_records[inner].size))
			act_record(c, act, to, inner, &here, direction, traits);
		return;
	case TAPE_F_P_STRUCTS:
		if (size > 1000 || !is_there(c, to, size * tape_records[inner].size))
			return;
		for (size_t i = 0; i < size; i++)
			act_record(c, act, to + i * tape_records[inner].size, inner, &here,
			           direction, traits);
		return;
	case TAPE_F_P_OBJECT:
		if (is_there(c, to, sizeof(CK_ULONG)) && (good(act) || often(c)))
			module_change(c, to);
		return;
	case TAPE_F_P_OPAQUE:
		return; /* whose it is nobody says */
	default:
		break;
	}
	if (!is_there(c, to, size))
		return;
	if (field->kind == TAPE_F_P_BYTES_AT) {
		void *length = pointer_at(memory + field->extent);
		size_t given = act == ACT_EMPTY ? 0 : size - dice_pick(&c->dice, 2) * (size != 0);
		if (!is_there(c, length, sizeof(CK_ULONG)) || !(good(act) || often(c)))
			return;
		module_fill(c, to, given);
		if (act == ACT_LIES && given == size)
			given = size + 3;
		module_write_ulong(c, length, given);
		return;
	}
	/* One that may say less afterwards: then no more than that is written. */
	if (direction == TAPE_D_INOUT && size != 0 && extent_shrinks(id, field))
		size--;
	if (direction == TAPE_D_OUT ? good(act) || often(c) : often(c))
		module_fill(c, to, size);
}

static void act_field(struct call *c, enum act act, unsigned char *memory, enum tape_record_id id,
                      const struct tape_field *field, enum tape_direction direction,
                      unsigned int traits)
{
	unsigned char *to = memory + field->offset;
	struct around here = { memory, id };
	CK_ULONG now;

	if (field->kind == TAPE_F_STRUCT) {
		act_record(c, act, to, (enum tape_record_id)field->detail, &here, direction,
		           traits);
		return;
	}
	if (direction == TAPE_D_IN || field->kind == TAPE_F_LENGTH)
		return;
	if (!(direction == TAPE_D_OUT && good(act)) && !often(c))
		return;
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_NUMBER:
		/* One that says a length is lied about only by who lies. */
		now = ulong_at(to);
		if (direction == TAPE_D_INOUT && now <= 64 && act == ACT_LIES)
			module_write_ulong(c, to, now + 1 + dice_pick(&c->dice, 1000));
		else if (direction == TAPE_D_INOUT && now <= 64)
			module_write_ulong(c, to, now - (now == 0 ? 0 : dice_pick(&c->dice, 2)));
		else
			module_change(c, to);
		break;
	case TAPE_F_CHARS:
		value_padded(&c->dice, c->scratch, field->size);
		if (good(act) || memcmp(to, c->scratch, field->size) != 0)
			module_write(c, to, c->scratch, field->size);
		break;
	case TAPE_F_LIMIT:
	case TAPE_F_CONSTANT:
	case TAPE_F_FLAGS:
	case TAPE_F_OBJECT:
		now = field->kind == TAPE_F_CONSTANT
		              ? value_constant(&c->dice, (enum tape_group)field->detail)
		      : field->kind == TAPE_F_FLAGS
		              ? value_flags(&c->dice, (enum tape_group)field->detail)
		              : value_number(&c->dice);
		if (good(act) || now != ulong_at(to))
			module_write_ulong(c, to, now);
		break;
	default:
		module_fill(c, to, field->size);
		break;
	}
}

static void act_record(struct call *c, enum act act, unsigned char *memory, enum tape_record_id id,
                       const struct around *around, enum tape_direction rule, unsigned int traits)
{
	const struct tape_record *record = &tape_records[id];
	bool applies[64] = { false };

	assert(record->count <= TAPE_ARRAY_SIZE(applies));
	for (size_t i = 0; i < record->count; i++)
		applies[i] = generate_applies(memory, id, &tape_fields[record->first + i]);
	/* Pointers first: what says how much they cover may change. */
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		if (applies[i] && field->kind >= TAPE_F_P_BYTES)
			act_pointer(c, act, memory, id, field, around,
			            generate_direction(field, rule, traits), traits);
	}
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		if (applies[i] && field->kind < TAPE_F_P_BYTES)
			act_field(c, act, memory, id, field,
			          generate_direction(field, rule, traits), traits);
	}
}

static void act_parameter(struct call *c, enum act act, const struct call_parameter *parameter,
                          unsigned int traits)
{
	if (parameter->memory == NULL || act == ACT_CLEAN)
		return;
	if (parameter->record != TAPE_R_NONE)
		act_record(c, act, parameter->memory, parameter->record, NULL, TAPE_D_INOUT,
		           traits);
	else if (dice_pick(&c->dice, 2))
		module_fill(c, parameter->memory, parameter->size);
}

/* ---- discovery ------------------------------------------------------------------------------ */

/* A function list as long as its version says, with some entries NULL. */
static CK_FUNCTION_LIST *make_list(struct call *c, CK_VERSION version, size_t pointers)
{
	size_t head = offsetof(CK_FUNCTION_LIST, C_Initialize);
	unsigned char *list = guard_get(c->guard, head + pointers * sizeof(void *));

	memset(list, 0, head);
	memcpy(list, &version, sizeof(version));
	for (size_t i = 0; i < pointers; i++) {
		void *entry = dice_pick(&c->dice, 10) == 0 ? NULL : guard_hole(c->guard);
		memcpy(list + head + i * sizeof(entry), &entry, sizeof(entry));
	}
	return (CK_FUNCTION_LIST *)(void *)list;
}

static CK_INTERFACE make_interface(struct call *c)
{
	static const struct {
		CK_VERSION version;
		size_t pointers;
	} versions[] = { { { 2, 40 }, TAPE_FN_COUNT_2 },
		         { { 2, 1 }, TAPE_FN_COUNT_2 },
		         { { 3, 0 }, TAPE_FN_COUNT_3_0 },
		         { { 3, 1 }, TAPE_FN_COUNT_3_0 },
		         { { 3, 2 }, TAPE_FN_COUNT_3_2 } };
	static const char *const names[] = {
		"PKCS 11", "PKCS 11", "PKCS 11", "Vendor", "", "\xff\n"
	};
	size_t version = dice_pick(&c->dice, TAPE_ARRAY_SIZE(versions));
	const char *name = names[dice_pick(&c->dice, TAPE_ARRAY_SIZE(names))];
	CK_INTERFACE interface;
	char *copy = guard_get(c->guard, strlen(name) + 1);

	memcpy(copy, name, strlen(name) + 1);
	interface.pInterfaceName = dice_pick(&c->dice, 20) ? (CK_UTF8CHAR *)copy : NULL;
	interface.flags = value_flags(&c->dice, TAPE_G_CKF_INTERFACE);
	interface.pFunctionList = NULL;
	/* A stranger's list is not ours to look at. */
	if (strcmp(name, "PKCS 11") != 0)
		interface.pFunctionList = guard_hole(c->guard);
	else if (dice_pick(&c->dice, 20))
		interface.pFunctionList =
			make_list(c, versions[version].version, versions[version].pointers);
	return interface;
}

static void act_interfaces(struct call *c, enum act act, uintptr_t *w)
{
	CK_INTERFACE *list = (CK_INTERFACE *)w[0];
	CK_ULONG *number = (CK_ULONG *)w[1];

	if (number == NULL || act == ACT_CLEAN)
		return;
	CK_ULONG room = *number;
	CK_ULONG given = act == ACT_EMPTY ? 0 : 1 + dice_pick(&c->dice, 4);
	if (act == ACT_LIES)
		given = room + 1;
	else if (good(act) && list != NULL && given > room)
		given = room;
	for (size_t i = 0; good(act) && list != NULL && i < given && i < room; i++)
		list[i] = make_interface(c);
	*number = given;
}

/* ---- arguments ------------------------------------------------------------------------------ */

static void act_argument(struct call *c, enum act act, size_t index)
{
	const struct tape_argument *argument = &c->function->arguments[index];
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	uintptr_t *w = c->words + argument->word;
	void *memory = (void *)w[0];
	CK_ULONG *length;

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_TEMPLATE:
		if ((shape->traits & TAPE_T_OUT) != 0 && memory != NULL && act != ACT_CLEAN)
			act_template(c, act, memory, w[1], 1);
		break;
	case TAPE_C_MECHANISM:
	case TAPE_C_PARAMETER:
		act_parameter(c, act, &c->parameters[index], shape->traits);
		break;
	case TAPE_C_NUMBER_AT:
		if (memory != NULL && act != ACT_CLEAN && (good(act) || often(c)))
			module_change(c, memory);
		break;
	case TAPE_C_STRUCT:
		if ((shape->traits & TAPE_T_OUT) == 0 || memory == NULL || act == ACT_CLEAN)
			break;
		/* Many clear a structure before they fill it in, what lies between its members included. */
		if (good(act) && shape->detail != TAPE_R_CK_ASYNC_DATA)
			module_scribble(c, memory, tape_records[shape->detail].size);
		act_record(c, act, memory, (enum tape_record_id)shape->detail, NULL, TAPE_D_INOUT,
		           shape->traits);
		break;
	case TAPE_C_BYTES_AT:
	case TAPE_C_LIST_AT:
		length = (CK_ULONG *)w[1];
		act_buffer(c, act, shape->codec == TAPE_C_BYTES_AT ? 1 : sizeof(CK_ULONG),
		           (enum tape_group)shape->detail, memory, length == NULL ? 0 : *length,
		           length);
		break;
	case TAPE_C_FILL:
		if (memory == NULL || act == ACT_CLEAN)
			break;
		dice_bytes(&c->dice, memory, w[1]);
		if (good(act))
			written(c, memory, w[1]);
		break;
	case TAPE_C_FOUND:
		act_buffer(c, act, sizeof(CK_ULONG), TAPE_G_NONE, memory, w[1], (CK_ULONG *)w[2]);
		break;
	case TAPE_C_FUNCTIONS:
		if (memory != NULL && good(act)) {
			static const CK_VERSION versions[] = { { 2, 40 }, { 2, 20 }, { 3, 2 } };
			CK_FUNCTION_LIST *list =
				make_list(c, versions[dice_pick(&c->dice, 3)], TAPE_FN_COUNT_2);
			*(CK_FUNCTION_LIST **)memory = act == ACT_EMPTY ? NULL : list;
		}
		break;
	case TAPE_C_INTERFACES:
		act_interfaces(c, act, w);
		break;
	case TAPE_C_INTERFACE:
		if (memory != NULL && good(act)) {
			CK_INTERFACE *interface = guard_get(c->guard, sizeof(*interface));
			*interface = make_interface(c);
			*(CK_INTERFACE **)memory = act == ACT_EMPTY ? NULL : interface;
		}
		break;
	default:
		break;
	}
}

CK_RV generate_act(struct call *c, enum act act)
{
	static const CK_RV values[ACT_COUNT] = {
		[ACT_OK] = CKR_OK,
		[ACT_EMPTY] = CKR_OK,
		[ACT_LIES] = CKR_OK,
		[ACT_TOO_SMALL] = CKR_BUFFER_TOO_SMALL,
		[ACT_SENSITIVE] = CKR_ATTRIBUTE_SENSITIVE,
		[ACT_INVALID] = CKR_ATTRIBUTE_TYPE_INVALID,
		[ACT_CLEAN] = CKR_DEVICE_ERROR,
		[ACT_DIRTY] = CKR_FUNCTION_FAILED,
	};

	for (size_t i = 0; i < c->function->count; i++)
		act_argument(c, act, i);
	return values[act];
}
