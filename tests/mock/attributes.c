/* SPDX-License-Identifier: MIT
 *
 * Bytes, sets of attributes, and the table of what attributes may do.
 */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock.h"

/* ---- bytes ------------------------------------------------------------------------------------ */

CK_BYTE *bytes_extend(struct bytes *bytes, CK_ULONG length)
{
	CK_ULONG need = bytes->length + length;

	if (bytes->failed || need < length) {
		bytes->failed = true;
		return NULL;
	}
	if (need > bytes->room || !bytes->data) {
		CK_ULONG room = need > bytes->room * 2 ? need : bytes->room * 2;
		CK_BYTE *data = OPENSSL_clear_realloc(bytes->data, bytes->room, room + 1);

		if (!data) {
			bytes->failed = true;
			return NULL;
		}
		bytes->data = data;
		bytes->room = room;
	}
	bytes->length = need;
	return bytes->data + (need - length);
}

void bytes_add(struct bytes *bytes, const void *data, CK_ULONG length)
{
	CK_BYTE *to = bytes_extend(bytes, length);

	if (to && length > 0)
		memcpy(to, data, length);
}

void bytes_done(struct bytes *bytes)
{
	OPENSSL_clear_free(bytes->data, bytes->room);
	memset(bytes, 0, sizeof(*bytes));
}

/* ---- sets ------------------------------------------------------------------------------------- */

static void attribute_done(struct attribute *attribute)
{
	OPENSSL_clear_free(attribute->value, attribute->length);
	if (attribute->nested) {
		attributes_done(attribute->nested);
		free(attribute->nested);
	}
	memset(attribute, 0, sizeof(*attribute));
}

static struct attribute *find(const struct attributes *set, CK_ATTRIBUTE_TYPE type)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->list[i].type == type)
			return &set->list[i];
	}
	return NULL;
}

const struct attribute *attributes_find(const struct attributes *set, CK_ATTRIBUTE_TYPE type)
{
	return find(set, type);
}

/* The attribute with that type, emptied. */
static struct attribute *place(struct attributes *set, CK_ATTRIBUTE_TYPE type)
{
	struct attribute *attribute = find(set, type);

	if (attribute) {
		attribute_done(attribute);
	} else {
		if (set->count == set->room) {
			size_t room = set->room ? set->room * 2 : 16;
			void *list = realloc(set->list, room * sizeof(*set->list));

			if (!list) {
				set->failed = true;
				return NULL;
			}
			set->list = list;
			set->room = room;
		}
		attribute = &set->list[set->count++];
		memset(attribute, 0, sizeof(*attribute));
	}
	attribute->type = type;
	return attribute;
}

void attributes_put(struct attributes *set, CK_ATTRIBUTE_TYPE type, const void *value,
                    CK_ULONG length)
{
	CK_BYTE *copy = length > 0 ? OPENSSL_memdup(value, length) : NULL;
	struct attribute *attribute = place(set, type);

	if (!attribute || (length > 0 && !copy)) {
		OPENSSL_free(copy);
		set->failed = true;
		return;
	}
	attribute->value = copy;
	attribute->length = length;
}

void attributes_put_bool(struct attributes *set, CK_ATTRIBUTE_TYPE type, bool value)
{
	CK_BBOOL byte = value ? CK_TRUE : CK_FALSE;

	attributes_put(set, type, &byte, sizeof(byte));
}

void attributes_put_ulong(struct attributes *set, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
	attributes_put(set, type, &value, sizeof(value));
}

static bool is_template(CK_ATTRIBUTE_TYPE type)
{
	const struct tape_attribute *row = tape_attribute_find(type);

	return row && row->type == TAPE_A_TEMPLATE;
}

void attributes_put_nested(struct attributes *set, CK_ATTRIBUTE_TYPE type,
                           struct attributes *nested)
{
	struct attribute *attribute = place(set, type);
	struct attributes *kept = malloc(sizeof(*kept));

	if (!attribute || !kept || nested->failed) {
		attributes_done(nested);
		free(kept);
		set->failed = true;
		return;
	}
	*kept = *nested;
	attribute->nested = kept;
	attribute->length = kept->count * sizeof(CK_ATTRIBUTE);
}

void attributes_put_item(struct attributes *set, const CK_ATTRIBUTE *item)
{
	const CK_ATTRIBUTE *inner = item->pValue;
	struct attributes nested = { 0 };

	if (!is_template(item->type)) {
		attributes_put(set, item->type, item->pValue, item->ulValueLen);
		return;
	}
	for (CK_ULONG i = 0; i < item->ulValueLen / sizeof(*inner); i++)
		attributes_put_item(&nested, &inner[i]);
	attributes_put_nested(set, item->type, &nested);
}

void attributes_put_copy(struct attributes *set, const struct attribute *from)
{
	struct attributes nested = { 0 };

	if (!from->nested) {
		attributes_put(set, from->type, from->value, from->length);
		return;
	}
	attributes_copy(&nested, from->nested);
	attributes_put_nested(set, from->type, &nested);
}

void attributes_copy(struct attributes *to, const struct attributes *from)
{
	for (size_t i = 0; i < from->count; i++)
		attributes_put_copy(to, &from->list[i]);
}

void attributes_drop(struct attributes *set, CK_ATTRIBUTE_TYPE type)
{
	struct attribute *attribute = find(set, type);

	if (!attribute)
		return;
	attribute_done(attribute);
	set->count--;
	memmove(attribute, attribute + 1,
	        (size_t)(set->list + set->count - attribute) * sizeof(*attribute));
}

void attributes_done(struct attributes *set)
{
	for (size_t i = 0; i < set->count; i++)
		attribute_done(&set->list[i]);
	free(set->list);
	memset(set, 0, sizeof(*set));
}

bool attributes_bool(const struct attributes *set, CK_ATTRIBUTE_TYPE type)
{
	const struct attribute *attribute = find(set, type);

	return attribute && attribute->length == sizeof(CK_BBOOL) &&
	       attribute->value[0] != CK_FALSE;
}

CK_ULONG attributes_ulong(const struct attributes *set, CK_ATTRIBUTE_TYPE type)
{
	const struct attribute *attribute = find(set, type);
	CK_ULONG value = CK_UNAVAILABLE_INFORMATION;

	if (attribute && attribute->length == sizeof(value))
		memcpy(&value, attribute->value, sizeof(value));
	return value;
}

bool attribute_equals(const struct attribute *a, const struct attribute *b)
{
	if (a->type != b->type || a->length != b->length || !a->nested != !b->nested)
		return false;
	if (!a->nested)
		return a->length == 0 || memcmp(a->value, b->value, a->length) == 0;
	for (size_t i = 0; i < a->nested->count; i++) {
		const struct attribute *other = find(b->nested, a->nested->list[i].type);

		if (!other || !attribute_equals(&a->nested->list[i], other))
			return false;
	}
	return true;
}

bool attribute_equals_item(const struct attribute *attribute, const CK_ATTRIBUTE *item)
{
	struct attributes one = { 0 };
	bool equal;

	if (!attribute->nested)
		return attribute->length == item->ulValueLen &&
		       (item->ulValueLen == 0 ||
		        memcmp(attribute->value, item->pValue, item->ulValueLen) == 0);
	attributes_put_item(&one, item);
	equal = !one.failed && attribute_equals(attribute, &one.list[0]);
	attributes_done(&one);
	return equal;
}

/* ---- items (§4.1.1, points 1 and 2) -------------------------------------------------------------- */

/* A month and a day that any year has: nobody asks for more. */
static bool is_date(const CK_BYTE *text)
{
	int month, day;

	for (size_t i = 0; i < sizeof(CK_DATE); i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
	}
	month = (text[4] - '0') * 10 + text[5] - '0';
	day = (text[6] - '0') * 10 + text[7] - '0';
	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static bool value_fits(const struct tape_attribute *row, const CK_ATTRIBUTE *item)
{
	const CK_ATTRIBUTE *inner = item->pValue;
	CK_ULONG length = item->ulValueLen, constant;

	if (length == CK_UNAVAILABLE_INFORMATION || (!item->pValue && length > 0))
		return false;
	switch ((enum tape_attribute_type)row->type) {
	case TAPE_A_BOOL:
		return length == sizeof(CK_BBOOL) && *(CK_BBOOL *)item->pValue <= CK_TRUE;
	case TAPE_A_ULONG:
	case TAPE_A_FLAGS:
		return length == sizeof(CK_ULONG);
	case TAPE_A_CONSTANT:
		if (length != sizeof(constant))
			return false;
		memcpy(&constant, item->pValue, sizeof(constant));
		return tape_constant_name((enum tape_group)row->group, constant) != NULL;
	case TAPE_A_DATE:
		return length == 0 || (length == sizeof(CK_DATE) && is_date(item->pValue));
	case TAPE_A_VERSION:
		return length == sizeof(CK_VERSION);
	case TAPE_A_ULONGS:
	case TAPE_A_CONSTANTS:
		return length % sizeof(CK_ULONG) == 0;
	case TAPE_A_TEMPLATE:
		if (length % sizeof(CK_ATTRIBUTE) != 0)
			return false;
		for (CK_ULONG i = 0; i < length / sizeof(CK_ATTRIBUTE); i++) {
			/* Templates in templates would have no end. */
			if (is_template(inner[i].type) || attribute_check_item(&inner[i]) != CKR_OK)
				return false;
		}
		return true;
	case TAPE_A_BYTES:
	case TAPE_A_BIGINT:
	case TAPE_A_UTF8:
	case TAPE_A_BOOL_OR_TIME:
		return true;
	}
	return true;
}

CK_RV attribute_check_item(const CK_ATTRIBUTE *item)
{
	const struct tape_attribute *row = tape_attribute_find(item->type);

	if (!row || row->vendor || !mock_has_version(row->major, row->minor))
		return FAULT(unknown_attribute_wrong_code) ? CKR_ARGUMENTS_BAD
		                                           : CKR_ATTRIBUTE_TYPE_INVALID;
	if (!value_fits(row, item) && !FAULT(attribute_values_unchecked))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	return CKR_OK;
}

/* ---- the table ------------------------------------------------------------------------------------ */

#define DATA (1u << CKO_DATA)
#define CERTIFICATE (1u << CKO_CERTIFICATE)
#define PUBLIC (1u << CKO_PUBLIC_KEY)
#define PRIVATE (1u << CKO_PRIVATE_KEY)
#define SECRET_KEY (1u << CKO_SECRET_KEY)
#define DOMAIN_ (1u << CKO_DOMAIN_PARAMETERS)
#define FEATURE (1u << CKO_HW_FEATURE)
#define MECHANISM (1u << CKO_MECHANISM)
#define PROFILE (1u << CKO_PROFILE)
#define TRUST (1u << CKO_TRUST)
#define KEYS (PUBLIC | PRIVATE | SECRET_KEY)
#define STORAGE (DATA | CERTIFICATE | KEYS | DOMAIN_ | PROFILE | TRUST)
#define ALL (STORAGE | FEATURE | MECHANISM)

const struct policy policies[] = {
#define POLICY(type, classes, family, traits, value) { type, classes, family, traits, value },
#include "tests/mock/policy.def"
#undef POLICY
};
const size_t policy_count = sizeof(policies) / sizeof(policies[0]);

bool policy_applies(const struct policy *row, CK_OBJECT_CLASS class, CK_KEY_TYPE key_type)
{
	if (class >= 32 || !(row->classes & (1u << class)))
		return false;
	if (row->key_family == ANY_KEY || row->key_family == key_type)
		return true;
	return row->key_family == CKK_EC &&
	       (key_type == CKK_EC_EDWARDS || key_type == CKK_EC_MONTGOMERY);
}

const struct policy *policy_find(CK_ATTRIBUTE_TYPE type, CK_OBJECT_CLASS class,
                                 CK_KEY_TYPE key_type)
{
	const struct tape_attribute *row = tape_attribute_find(type);

	if (row && !mock_has_version(row->major, row->minor))
		return NULL;
	for (size_t i = 0; i < policy_count; i++) {
		if (policies[i].type == type && policy_applies(&policies[i], class, key_type))
			return &policies[i];
	}
	return NULL;
}
