/* SPDX-License-Identifier: MIT */
#include "tests/unit/support/object.h"

#include <assert.h>
#include <string.h>

#include "tests/unit/support/generate-values.h"

static const CK_ATTRIBUTE_TYPE types[] = {
	CKA_WRAP_TEMPLATE,
	CKA_UNWRAP_TEMPLATE,
	CKA_DERIVE_TEMPLATE,
	CKA_CLASS,
	CKA_TOKEN,
	CKA_PRIVATE,
	CKA_LABEL,
	CKA_ID,
	CKA_VALUE,
	CKA_MODULUS,
	CKA_PRIME_1,
	CKA_KEY_TYPE,
	CKA_START_DATE,
	CKA_ALLOWED_MECHANISMS,
	CKA_VENDOR_DEFINED + 1,
	CKA_VENDOR_DEFINED + 2,
};

/* ---- making one ------------------------------------------------------------------------------ */

/* As long as the type has it, or as it happens. */
static size_t some_bytes(struct dice *dice, CK_ATTRIBUTE_TYPE type, unsigned char *to)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	static const size_t lengths[] = { 0, 1, 1, sizeof(CK_ULONG), 20, OBJECT_MAX_BYTES };
	size_t length = lengths[dice_pick(dice, TAPE_ARRAY_SIZE(lengths))];
	if (row != NULL && row->type == TAPE_A_BOOL)
		length = sizeof(CK_BBOOL);
	else if (row != NULL && row->type == TAPE_A_CONSTANT)
		length = sizeof(CK_ULONG);
	dice_bytes(dice, to, length);
	return length;
}

void object_make(struct object *object, struct dice *dice)
{
	memset(object, 0, sizeof(*object));
	_Static_assert(TAPE_ARRAY_SIZE(types) <= OBJECT_MAX_ATTRIBUTES, "room for all types");
	object->count = 4 + dice_pick(dice, TAPE_ARRAY_SIZE(types) - 3);
	for (size_t i = 0; i < object->count; i++) {
		struct object_attribute *a = &object->attributes[i];
		a->type = types[i];
		if (i < 3) {
			a->inner = 1 + dice_pick(dice, OBJECT_MAX_INNER);
			for (size_t j = 0; j < a->inner; j++) {
				a->inner_types[j] = CKA_LABEL + j;
				a->inner_lengths[j] =
					some_bytes(dice, a->inner_types[j], a->inner_bytes[j]);
			}
		} else {
			a->length = some_bytes(dice, a->type, a->bytes);
		}
		if (dice_pick(dice, 4) == 0)
			a->refused = dice_pick(dice, 2) ? CKR_ATTRIBUTE_SENSITIVE
			                                : CKR_ATTRIBUTE_TYPE_INVALID;
	}
}

/* ---- being one ------------------------------------------------------------------------------- */

static unsigned int give(CK_ATTRIBUTE *to, const unsigned char *bytes, size_t length)
{
	if (to->pValue == NULL) {
		to->ulValueLen = length;
		return 0;
	}
	if (to->ulValueLen < length) {
		to->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return OBJECT_SMALL;
	}
	if (bytes != NULL)
		memcpy(to->pValue, bytes, length);
	to->ulValueLen = length;
	return 0;
}

static unsigned int read_one(const struct object_attribute *a, CK_ATTRIBUTE *to)
{
	unsigned int codes = 0;
	const size_t length = a->inner * sizeof(CK_ATTRIBUTE);
	if (a->inner == 0)
		return give(to, a->bytes, a->length);
	if (to->pValue == NULL || to->ulValueLen < length)
		return give(to, NULL, length);
	to->ulValueLen = length;
	for (size_t i = 0; i < a->inner; i++) {
		CK_ATTRIBUTE *inner = (CK_ATTRIBUTE *)to->pValue + i;
		inner->type = a->inner_types[i];
		codes |= give(inner, a->inner_bytes[i], a->inner_lengths[i]);
	}
	return codes;
}

unsigned int object_read(const struct object *object, CK_ATTRIBUTE *list, size_t count)
{
	unsigned int codes = 0;
	for (size_t i = 0; i < count; i++) {
		CK_RV refused = CKR_ATTRIBUTE_TYPE_INVALID;
		for (size_t j = 0; j < object->count; j++) {
			const struct object_attribute *a = &object->attributes[j];
			if (a->type != list[i].type)
				continue;
			refused = a->refused;
			if (refused == CKR_OK)
				codes |= read_one(a, &list[i]);
		}
		if (refused == CKR_OK)
			continue;
		list[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
		codes |= refused == CKR_ATTRIBUTE_SENSITIVE ? OBJECT_SENSITIVE : OBJECT_INVALID;
	}
	return codes;
}

static const CK_RV code_of_bit[] = { CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID,
	                             CKR_BUFFER_TOO_SMALL };

CK_RV object_rv(unsigned int codes, unsigned int turn)
{
	CK_RV rv = CKR_OK;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(code_of_bit); i++)
		if ((codes & 1u << i) != 0 && (rv == CKR_OK || turn-- > 0))
			rv = code_of_bit[i];
	return rv;
}

bool object_may_return(unsigned int codes, CK_RV rv)
{
	bool may = codes == 0 && rv == CKR_OK;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(code_of_bit); i++)
		may |= (codes & 1u << i) != 0 && rv == code_of_bit[i];
	return may;
}

/* ---- asking one ------------------------------------------------------------------------------ */

/* A room for `length` bytes, or one that is smaller or larger, or NULL. */
static void offer(struct dice *dice, struct guard *guard, CK_ATTRIBUTE *to, size_t length,
                  size_t unit)
{
	static const int steps[] = { -1, 0, 0, 0, 1, 7 };
	const int step = steps[dice_pick(dice, TAPE_ARRAY_SIZE(steps))] * (int)unit;
	to->pValue = NULL;
	to->ulValueLen = (CK_ULONG)dice_roll(dice);
	if (dice_pick(dice, 4) == 0)
		return;
	to->ulValueLen = step < 0 && length < unit ? 0 : (CK_ULONG)((long)length + step);
	if (dice_pick(dice, 9) == 0)
		to->ulValueLen = 0;
	to->pValue = guard_get(guard, to->ulValueLen);
	dice_bytes(dice, to->pValue, to->ulValueLen);
}

size_t object_template(const struct object *object, struct dice *dice, struct guard *guard,
                       CK_ATTRIBUTE **ret_list)
{
	const size_t count = 1 + dice_pick(dice, object->count + 2);
	CK_ATTRIBUTE *list = guard_get(guard, count * sizeof(*list));
	for (size_t i = 0; i < count; i++) {
		const struct object_attribute *a =
			&object->attributes[dice_pick(dice, object->count)];
		list[i].type = a->type;
		if (dice_pick(dice, 12) == 0) {
			list[i].type = CKA_VENDOR_DEFINED + 0x1000;
			offer(dice, guard, &list[i], 8, 1);
			continue;
		}
		if (a->inner == 0) {
			offer(dice, guard, &list[i], a->length, 1);
			continue;
		}
		offer(dice, guard, &list[i], a->inner * sizeof(*list), sizeof(*list));
		CK_ATTRIBUTE *inner = list[i].pValue;
		for (size_t j = 0; inner != NULL && j < list[i].ulValueLen / sizeof(*inner); j++) {
			inner[j].type = (CK_ATTRIBUTE_TYPE)dice_roll(dice);
			offer(dice, guard, &inner[j], j < a->inner ? a->inner_lengths[j] : 4, 1);
		}
	}
	*ret_list = list;
	return count;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool is_array(const CK_ATTRIBUTE *a, unsigned int depth)
{
	const struct tape_attribute *row = tape_attribute_find(a->type);
	return depth == 1 && row != NULL && row->type == TAPE_A_TEMPLATE &&
	       a->ulValueLen % sizeof(*a) == 0;
}

static CK_ATTRIBUTE *copy(struct guard *guard, const CK_ATTRIBUTE *list, size_t count,
                          unsigned int depth)
{
	CK_ATTRIBUTE *to = guard_get(guard, count * sizeof(*to));
	memcpy(to, list, count * sizeof(*to));
	for (size_t i = 0; i < count; i++) {
		const CK_ULONG length = list[i].ulValueLen;
		if (list[i].pValue == NULL)
			continue;
		if (is_array(&list[i], depth)) {
			to[i].pValue = copy(guard, list[i].pValue, length / sizeof(*list), 2);
			continue;
		}
		to[i].pValue = guard_get(guard, length);
		if (length != 0)
			memcpy(to[i].pValue, list[i].pValue, length);
	}
	return to;
}

CK_ATTRIBUTE *object_copy_template(struct guard *guard, const CK_ATTRIBUTE *list, size_t count)
{
	return copy(guard, list, count, 1);
}

static bool same(const CK_ATTRIBUTE *a, const CK_ATTRIBUTE *b, size_t count, unsigned int depth)
{
	for (size_t i = 0; i < count; i++) {
		if (a[i].type != b[i].type || a[i].ulValueLen != b[i].ulValueLen)
			return false;
		if (a[i].pValue == NULL || a[i].ulValueLen == CK_UNAVAILABLE_INFORMATION)
			continue;
		if (is_array(&a[i], depth)
		            ? !same(a[i].pValue, b[i].pValue, a[i].ulValueLen / sizeof(*a), 2)
		            : memcmp(a[i].pValue, b[i].pValue, a[i].ulValueLen) != 0)
			return false;
	}
	return true;
}

bool object_same_template(const CK_ATTRIBUTE *a, const CK_ATTRIBUTE *b, size_t count)
{
	return same(a, b, count, 1);
}
