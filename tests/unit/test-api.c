/* SPDX-License-Identifier: MIT
 *
 * Every row of core/api: it says what pkcs11.h says, and no two rows contradict each other.
 *
 * This file sees the structures of pkcs11.h packed, the tables see them as they are: a structure's
 * fields add up to its packed size exactly if none is missing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#pragma pack(push, 1)
#include "core/api/pkcs11.h"
#pragma pack(pop)

#include "core/api/api.h"

/* Fail with the row's name. */
#define check(condition, name)                                                 \
	do {                                                                   \
		if (!(condition)) {                                            \
			fail_msg("%s: %s", name, #condition " does not hold"); \
			return;                                                \
		}                                                              \
	} while (0)

static bool same_name(const struct tape_name *name, const struct tape_name *other)
{
	return name && other && name->length == other->length &&
	       memcmp(name->text, other->text, name->length) == 0;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* ---- constants ------------------------------------------------------------------------------ */

/* The macro of a row's name, by the row's number. "other" rows hold a value that is not ours. */
struct macro {
	uint64_t value;
	bool other;
};

static const struct macro constant_macros[] = {
#define CONST(group, name, value, major, minor) { name, false },
#define CONST_ALIAS(group, name, value, major, minor) { name, false },
#define CONST_AMBIGUOUS(group, name, value, major, minor) { name, false },
#define CONST_VENDOR(vendor, group, name, value) { name, false },
#define CONST_VENDOR_ALIAS(vendor, group, name, value) { name, false },
#define CONST_VENDOR_AMBIGUOUS(vendor, group, name, value) { name, true },
#include "core/api/constants.def"
};

static void constants_are_those_of_the_header(void **state)
{
	(void)state;
	assert_int_equal(TAPE_ARRAY_SIZE(constant_macros), tape_constant_count);
	for (size_t i = 0; i < tape_constant_count; i++) {
		const struct tape_constant *row = &tape_constants[i];

		check((constant_macros[i].value == row->value) == !constant_macros[i].other,
		      row->name.text);
		check(row->name.length == strlen(row->name.text), row->name.text);
		check(row->value <= UINT32_MAX, row->name.text);
		check((row->vendor == NULL) == (row->major != 0), row->name.text);
		check(row->vendor || starts_with(row->name.text, tape_groups[row->group].prefix),
		      row->name.text);
	}
}

/* No two rows are written for one value; an alias has a row that is. */
static void one_constant_is_written_for_a_value(void **state)
{
	(void)state;
	for (size_t i = 0; i < tape_constant_count; i++) {
		const struct tape_constant *row = &tape_constants[i];
		size_t main = 0;

		for (size_t j = 0; j < tape_constant_count; j++)
			main += tape_constants[j].group == row->group &&
			        tape_constants[j].value == row->value &&
			        tape_constants[j].state == TAPE_CONST_MAIN;
		check(main == (row->state != TAPE_CONST_AMBIGUOUS), row->name.text);
	}
}

static void constants_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < tape_constant_count; i++) {
		const struct tape_constant *row = &tape_constants[i];
		const struct tape_name *name = tape_constant_name(row->group, row->value);
		const struct tape_constant *found = NULL;
		uint64_t value = ~row->value;
		const bool readable = tape_constant_value(row->group, row->name.text,
		                                          row->name.length, &value, &found);

		check(found && found->state == row->state, row->name.text);
		if (row->state == TAPE_CONST_AMBIGUOUS) {
			check(!readable && !name, row->name.text);
			continue;
		}
		check(readable && value == row->value, row->name.text);
		check(name, row->name.text);
		check(same_name(name, &row->name) == (row->state == TAPE_CONST_MAIN),
		      row->name.text);
	}
}

static void ambiguous_return_values_have_no_name(void **state)
{
	static const uint64_t values[] = { 0x1b5, 0x1b6, 0x1b7, 0x1b8, 0x1b9,
		                           0x1c0, 0x1c1, 0x1c2, 0x1c3, 0x1c4 };

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(values); i++)
		assert_null(tape_constant_name(TAPE_G_CKR, values[i]));
}

static void strangers_are_not_found(void **state)
{
	static const char *const strangers[] = { "", "C", "CKR_", "CKR_OKAY", "CKR_O", "ckr_ok" };
	const struct tape_constant *row;
	uint64_t value;
	bool ambiguous;

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(strangers); i++) {
		const char *name = strangers[i];

		for (unsigned group = 0; group < TAPE_G_COUNT; group++)
			assert_false(tape_constant_value(group, name, strlen(name), &value, &row));
		assert_false(tape_attribute_value(name, strlen(name), &value, &ambiguous));
		assert_false(ambiguous);
		assert_int_equal(tape_function_find(name, strlen(name)), TAPE_FN_COUNT);
		assert_int_equal(tape_record_find(name, strlen(name)), TAPE_R_NONE);
	}
	/* A name is found in its own group only. */
	assert_false(tape_constant_value(TAPE_G_CKO, "CKR_OK", 6, &value, &row));
	assert_null(row);
	assert_false(tape_attribute_value("CKM_RSA_PKCS", 12, &value, &ambiguous));
	assert_int_equal(tape_function_find("CK_VERSION", 10), TAPE_FN_COUNT);
	assert_int_equal(tape_record_find("C_Sign", 6), TAPE_R_NONE);
	assert_int_equal(tape_record_find("NONE", 4), TAPE_R_NONE);

	assert_null(tape_constant_name(TAPE_G_CKR, 0x4711));
	assert_null(tape_constant_name(TAPE_G_CKR, UINT64_MAX));
	assert_null(tape_constant_name(TAPE_G_NONE, 0));
	assert_null(tape_attribute_find(0x4711));
	assert_null(tape_attribute_find(0x8000000000000000));
	assert_null(tape_attribute_name(0x4711));
	assert_null(tape_mechanism_find(0x47110000));
}

/* ---- attributes ----------------------------------------------------------------------------- */

static const struct macro attribute_macros[] = {
#define ATTR(name, value, major, minor, type, group, secrecy) { name, false },
#define ATTR_ALIAS(name, value, major, minor, type, group, secrecy) { name, false },
#define ATTR_AMBIGUOUS(name, value, major, minor, type, group, secrecy) { name, false },
#define ATTR_LATER(name, value, major, minor, type, group, secrecy) { name, true },
#define ATTR_VENDOR(vendor, name, value, type, group, secrecy) { name, false },
#define ATTR_VENDOR_ALIAS(vendor, name, value, type, group, secrecy) { name, false },
#define ATTR_VENDOR_AMBIGUOUS(vendor, name, value, type, group, secrecy) { name, true },
#include "core/api/attributes.def"
};

static void attributes_are_those_of_the_header(void **state)
{
	(void)state;
	assert_int_equal(TAPE_ARRAY_SIZE(attribute_macros), tape_attribute_count);
	for (size_t i = 0; i < tape_attribute_count; i++) {
		const struct tape_attribute *row = &tape_attributes[i];
		const bool grouped = row->type == TAPE_A_CONSTANT || row->type == TAPE_A_FLAGS ||
		                     row->type == TAPE_A_CONSTANTS;

		check((attribute_macros[i].value == row->value) == !attribute_macros[i].other,
		      row->name.text);
		check(row->name.length == strlen(row->name.text), row->name.text);
		check((row->vendor == NULL) == (row->major != 0), row->name.text);
		check(row->vendor || starts_with(row->name.text, "CKA_"), row->name.text);
		check(grouped == (row->group != TAPE_G_NONE), row->name.text);
	}
}

static void one_attribute_is_written_for_a_value(void **state)
{
	(void)state;
	for (size_t i = 0; i < tape_attribute_count; i++) {
		const struct tape_attribute *row = &tape_attributes[i];
		size_t main = 0;

		for (size_t j = 0; j < tape_attribute_count; j++)
			main += tape_attributes[j].value == row->value &&
			        tape_attributes[j].state == TAPE_CONST_MAIN;
		check(main <= 1, row->name.text);
		check(main == 1 || row->state != TAPE_CONST_MAIN, row->name.text);
	}
}

static void attributes_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < tape_attribute_count; i++) {
		const struct tape_attribute *row = &tape_attributes[i];
		const struct tape_attribute *found = tape_attribute_find(row->value);
		const struct tape_name *name = tape_attribute_name(row->value);
		uint64_t value = ~row->value;
		uint64_t again = value;
		bool ambiguous;
		const bool readable =
			tape_attribute_value(row->name.text, row->name.length, &value, &ambiguous);

		/* Every value that has a row has a type, and one that is used for all its names. */
		check(found && found->value == row->value, row->name.text);
		check(tape_constant_name(TAPE_G_CKA, row->value) == name, row->name.text);
		check(tape_constant_value(TAPE_G_CKA, row->name.text, row->name.length, &again,
		                          NULL) == readable,
		      row->name.text);
		if (row->state == TAPE_CONST_MAIN) {
			check(found == row && name == &row->name, row->name.text);
			check(readable && !ambiguous && value == row->value, row->name.text);
		} else if (row->state == TAPE_CONST_ALIAS) {
			check(readable && !ambiguous && value == row->value, row->name.text);
			check(!same_name(name, &row->name), row->name.text);
		} else {
			check(!same_name(name, &row->name), row->name.text);
			check(!readable || value != row->value, row->name.text);
		}
		check(!readable || value == again, row->name.text);
	}
}

/* The names to which NSS gives values of its own; each value keeps its type. */
static void ambiguous_attributes_have_types_but_no_names(void **state)
{
	static const struct {
		const char *name;
		const char *nss;
		uint64_t value, nss_value;
	} rows[] = {
		{ "CKA_TRUST_SERVER_AUTH", "CKA_NSS_TRUST_SERVER_AUTH", 0x62c, 0xce536358 },
		{ "CKA_TRUST_CLIENT_AUTH", "CKA_NSS_TRUST_CLIENT_AUTH", 0x62d, 0xce536359 },
		{ "CKA_TRUST_CODE_SIGNING", "CKA_NSS_TRUST_CODE_SIGNING", 0x62e, 0xce53635a },
		{ "CKA_TRUST_EMAIL_PROTECTION", "CKA_NSS_TRUST_EMAIL_PROTECTION", 0x62f,
		  0xce53635b },
		{ "CKA_TRUST_TIME_STAMPING", "CKA_NSS_TRUST_TIME_STAMPING", 0x631, 0xce53635f },
	};

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++) {
		const struct tape_attribute *ours = tape_attribute_find(rows[i].value);
		const struct tape_attribute *theirs = tape_attribute_find(rows[i].nss_value);
		uint64_t value;
		bool ambiguous;

		assert_non_null(ours);
		assert_int_equal(ours->type, TAPE_A_CONSTANT);
		assert_int_equal(ours->group, TAPE_G_CKT);
		assert_null(tape_attribute_name(rows[i].value));
		assert_false(tape_attribute_value(rows[i].name, strlen(rows[i].name), &value,
		                                  &ambiguous));
		assert_true(ambiguous);

		assert_non_null(theirs);
		assert_int_equal(theirs->type, TAPE_A_CONSTANT);
		assert_int_equal(theirs->group, TAPE_G_CKT_NSS);
		assert_string_equal(theirs->name.text, rows[i].nss);
	}
}

static void nested_templates_are_known_rows(void **state)
{
	static const uint64_t templates[] = { CKA_WRAP_TEMPLATE,
		                              CKA_UNWRAP_TEMPLATE,
		                              CKA_DERIVE_TEMPLATE,
		                              CKA_ENCAPSULATE_TEMPLATE,
		                              CKA_DECAPSULATE_TEMPLATE,
		                              0x4000062a,
		                              0x4000062b };
	size_t count = 0;
	uint64_t value;
	bool ambiguous;

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(templates); i++) {
		assert_non_null(tape_attribute_find(templates[i]));
		assert_int_equal(tape_attribute_find(templates[i])->type, TAPE_A_TEMPLATE);
	}
	for (size_t i = 0; i < tape_attribute_count; i++)
		count += tape_attributes[i].type == TAPE_A_TEMPLATE;
	assert_int_equal(count, TAPE_ARRAY_SIZE(templates));

	/* The bit alone says nothing. */
	assert_int_equal(tape_attribute_find(CKA_ALLOWED_MECHANISMS)->type, TAPE_A_CONSTANTS);
	assert_int_equal(tape_attribute_find(CKA_NSS_EMAIL)->type, TAPE_A_UTF8);
	assert_null(tape_attribute_find(0x40004711));

	/* The name is read as the value of 3.2; the later value is written as a number. */
	assert_true(tape_attribute_value("CKA_ENCAPSULATE_TEMPLATE", 24, &value, &ambiguous));
	assert_int_equal(value, 0x62a);
	assert_null(tape_attribute_name(0x4000062a));
}

static void keys_are_secret(void **state)
{
	static const uint64_t secret[] = { CKA_PRIVATE_EXPONENT, CKA_PRIME_1,    CKA_PRIME_2,
		                           CKA_EXPONENT_1,       CKA_EXPONENT_2, CKA_SEED,
		                           CKA_COEFFICIENT };
	static const uint64_t plain[] = { CKA_LABEL, CKA_MODULUS, CKA_EC_POINT, CKA_CHECK_VALUE };

	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(secret); i++)
		assert_int_equal(tape_attribute_find(secret[i])->secrecy, TAPE_S_SECRET);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(plain); i++)
		assert_int_equal(tape_attribute_find(plain[i])->secrecy, TAPE_S_PLAIN);
	assert_int_equal(tape_attribute_find(CKA_VALUE)->secrecy, TAPE_S_BY_CLASS);
	assert_int_equal(tape_class_secrecy(CKO_SECRET_KEY), TAPE_S_SECRET);
	assert_int_equal(tape_class_secrecy(CKO_CERTIFICATE), TAPE_S_PLAIN);
	assert_int_equal(tape_class_secrecy(CKO_DATA), TAPE_S_DATA);
	assert_int_equal(tape_class_secrecy(CKO_VENDOR_DEFINED | 4711), TAPE_S_SECRET);
}

/* ---- mechanisms ----------------------------------------------------------------------------- */

static const uint64_t mechanism_macros[] = {
#define MECH(name, value, major, minor, uses, ...) name,
#define MECH_ALIAS(name, value, major, minor, uses, ...) name,
#define MECH_VENDOR(vendor, name, value, uses, ...) name,
#include "core/api/mechanisms.def"
};

static void mechanisms_are_those_of_the_header(void **state)
{
	(void)state;
	assert_int_equal(TAPE_ARRAY_SIZE(mechanism_macros), tape_mechanism_count);
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		const struct tape_mechanism *row = &tape_mechanisms[i];

		check(mechanism_macros[i] == row->value, row->name.text);
		check(row->name.length == strlen(row->name.text), row->name.text);
		check((row->vendor == NULL) == (row->major != 0), row->name.text);
		check(row->vendor || starts_with(row->name.text, "CKM_"), row->name.text);
		check((row->parameter == TAPE_P_RECORD) == (row->record != TAPE_R_NONE),
		      row->name.text);
		if (row->record == TAPE_R_NONE)
			check(!row->message_record && !row->wrap_record && !row->other_record,
			      row->name.text);
		check(row->message_record == TAPE_R_NONE || row->uses & TAPE_USE_MESSAGE,
		      row->name.text);
		check(row->wrap_record == TAPE_R_NONE || row->uses & TAPE_USE_WRAP, row->name.text);
	}
}

static void mechanisms_round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		const struct tape_mechanism *row = &tape_mechanisms[i];
		const struct tape_mechanism *found = tape_mechanism_find(row->value);
		uint64_t value = ~row->value;

		check(found && found->state == TAPE_CONST_MAIN && found->value == row->value,
		      row->name.text);
		check((found == row) == (row->state == TAPE_CONST_MAIN), row->name.text);
		check(tape_constant_name(TAPE_G_CKM, row->value) == &found->name, row->name.text);
		check(tape_constant_value(TAPE_G_CKM, row->name.text, row->name.length, &value,
		                          NULL),
		      row->name.text);
		check(value == row->value, row->name.text);
		/* An alias says the same of its mechanism. */
		check(found->parameter == row->parameter && found->record == row->record &&
		              found->uses == row->uses,
		      row->name.text);
	}
}

static void layouts_that_differ_by_function(void **state)
{
	const struct tape_mechanism *gcm = tape_mechanism_find(CKM_AES_GCM);
	const struct tape_mechanism *pbkdf2 = tape_mechanism_find(CKM_PKCS5_PBKD2);

	(void)state;
	assert_int_equal(gcm->record, TAPE_R_CK_GCM_PARAMS);
	assert_int_equal(gcm->message_record, TAPE_R_CK_GCM_MESSAGE_PARAMS);
	assert_int_equal(gcm->wrap_record, TAPE_R_CK_GCM_WRAP_PARAMS);
	assert_int_equal(gcm->other_record, TAPE_R_CK_NSS_GCM_PARAMS);
	assert_int_equal(pbkdf2->record, TAPE_R_CK_PKCS5_PBKD2_PARAMS2);
	assert_int_equal(pbkdf2->other_record, TAPE_R_CK_PKCS5_PBKD2_PARAMS);
}

/* ---- structures ----------------------------------------------------------------------------- */

/* What C says that a member is. */
enum member_type {
	TYPE_OTHER,
	TYPE_ULONG,
	TYPE_BYTE,
	TYPE_VERSION,
	TYPE_ULONG_PTR,
	TYPE_BYTE_PTR,
	TYPE_VOID_PTR,
	TYPE_VERSION_PTR,
	TYPE_MECHANISM_PTR,
	TYPE_ATTRIBUTE_PTR,
};

#define TYPE_OF(member)                               \
	_Generic((member), CK_ULONG                   \
	         : TYPE_ULONG, CK_BYTE                \
	         : TYPE_BYTE, CK_VERSION              \
	         : TYPE_VERSION, CK_ULONG *           \
	         : TYPE_ULONG_PTR, CK_BYTE *          \
	         : TYPE_BYTE_PTR, CK_VOID_PTR         \
	         : TYPE_VOID_PTR, CK_VERSION *        \
	         : TYPE_VERSION_PTR, CK_MECHANISM *   \
	         : TYPE_MECHANISM_PTR, CK_ATTRIBUTE * \
	         : TYPE_ATTRIBUTE_PTR, default        \
	         : TYPE_OTHER)

static const enum member_type field_types[] = {
#define RECORD(record, major, minor)
#define FIELD(record, member, kind, dir, extent, detail) TYPE_OF(((record *)0)->member),
#define ONLY_IF(record, member, selector, value)
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

static const size_t packed_sizes[TAPE_R_COUNT] = {
#define RECORD(record, major, minor) [TAPE_R_##record] = sizeof(record),
#define FIELD(record, member, kind, dir, extent, detail)
#define ONLY_IF(record, member, selector, value)
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

static const struct tape_field *fields_of(const struct tape_record *record, size_t *ret_count)
{
	*ret_count = record->count;
	return &tape_fields[record->first];
}

static const struct tape_field *field_at(const struct tape_record *record, size_t offset)
{
	size_t count;
	const struct tape_field *fields = fields_of(record, &count);

	for (size_t i = 0; i < count; i++)
		if (fields[i].offset == offset)
			return &fields[i];
	return NULL;
}

static enum member_type type_of(const struct tape_field *field)
{
	return field_types[field - tape_fields];
}

static void records_are_covered_by_their_fields(void **state)
{
	size_t next = 0;

	(void)state;
	assert_int_equal(TAPE_ARRAY_SIZE(field_types), tape_field_count);
	for (size_t i = TAPE_R_NONE + 1; i < TAPE_R_COUNT; i++) {
		const struct tape_record *record = &tape_records[i];
		size_t count, end = 0, total = 0;
		const struct tape_field *fields = fields_of(record, &count);
		bool writes = false;

		check(record->first == next && count > 0, record->name.text);
		next += count;
		for (size_t j = 0; j < count; j++) {
			const size_t alignment =
				fields[j].size < sizeof(CK_ULONG) ? 1 : sizeof(CK_ULONG);

			check(fields[j].offset >= end, fields[j].name.text);
			check(fields[j].offset - end < sizeof(CK_ULONG), fields[j].name.text);
			check(fields[j].offset == end || fields[j].offset % alignment == 0,
			      fields[j].name.text);
			end = (size_t)fields[j].offset + fields[j].size;
			total += fields[j].size;
			writes |= fields[j].direction != TAPE_D_IN;
		}
		check(end <= record->size && record->size - end < sizeof(CK_ULONG),
		      record->name.text);
		check(total == packed_sizes[i], record->name.text);
		check(record->writes == writes, record->name.text);
		check(tape_record_find(record->name.text, record->name.length) == i,
		      record->name.text);
	}
	assert_int_equal(next, tape_field_count);
}

static void check_in_place(const struct tape_field *field)
{
	const enum member_type type = type_of(field);

	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_NUMBER:
	case TAPE_F_LIMIT:
	case TAPE_F_OBJECT:
		check(type == TYPE_ULONG, field->name.text);
		break;
	case TAPE_F_CONSTANT:
	case TAPE_F_FLAGS:
		check(type == TYPE_ULONG, field->name.text);
		check(field->detail > TAPE_G_NONE && field->detail < TAPE_G_COUNT,
		      field->name.text);
		break;
	case TAPE_F_BOOL:
	case TAPE_F_BYTE:
		check(type == TYPE_BYTE && field->size == 1, field->name.text);
		break;
	case TAPE_F_CHARS:
	case TAPE_F_FIXED:
		/* An array, which is a pointer to _Generic. */
		check(type == TYPE_BYTE_PTR, field->name.text);
		break;
	case TAPE_F_VERSION:
		check(type == TYPE_VERSION, field->name.text);
		break;
	case TAPE_F_ULONGS:
		check(type == TYPE_ULONG_PTR && field->size % sizeof(CK_ULONG) == 0,
		      field->name.text);
		break;
	case TAPE_F_STRUCT:
		check(type == TYPE_OTHER, field->name.text);
		check(field->detail > TAPE_R_NONE && field->detail < TAPE_R_COUNT,
		      field->name.text);
		check(field->size == tape_records[field->detail].size, field->name.text);
		break;
	case TAPE_F_LENGTH:
		check(type == TYPE_ULONG || type == TYPE_ULONG_PTR, field->name.text);
		break;
	default:
		check(field->size == sizeof(void *), field->name.text);
		break;
	}
}

static void check_extent(const struct tape_record *record, const struct tape_field *field)
{
	const struct tape_field *extent =
		field->extent == TAPE_NOWHERE ? NULL : field_at(record, field->extent);
	const enum member_type type = type_of(field);
	bool wanted = true;

	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_P_BYTES:
	case TAPE_F_P_SECRET:
	case TAPE_F_P_BITS:
	case TAPE_F_P_VARIANT:
		check(type == TYPE_BYTE_PTR || type == TYPE_VOID_PTR, field->name.text);
		check(extent && type_of(extent) == TYPE_ULONG, field->name.text);
		break;
	case TAPE_F_P_BYTES_AT:
	case TAPE_F_P_SECRET_AT:
		check(type == TYPE_BYTE_PTR, field->name.text);
		check(extent && type_of(extent) == TYPE_ULONG_PTR, field->name.text);
		break;
	case TAPE_F_P_STRUCTS:
		check(type == TYPE_OTHER, field->name.text);
		check(field->detail > TAPE_R_NONE && field->detail < TAPE_R_COUNT,
		      field->name.text);
		check(extent && type_of(extent) == TYPE_ULONG, field->name.text);
		break;
	case TAPE_F_P_TEMPLATE:
		check(type == TYPE_ATTRIBUTE_PTR, field->name.text);
		check(extent && type_of(extent) == TYPE_ULONG, field->name.text);
		break;
	default:
		wanted = false;
		break;
	}
	check(wanted == (extent != NULL), field->name.text);
	check(!extent || extent->kind == TAPE_F_LENGTH || extent->kind == TAPE_F_NUMBER,
	      field->name.text);

	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_P_SIZED:
		check(type == TYPE_BYTE_PTR && field->detail > 0, field->name.text);
		break;
	case TAPE_F_P_STRUCT:
		check(field->detail > TAPE_R_NONE && field->detail < TAPE_R_COUNT,
		      field->name.text);
		check((field->detail == TAPE_R_CK_VERSION) == (type == TYPE_VERSION_PTR),
		      field->name.text);
		break;
	case TAPE_F_P_OBJECT:
		check(type == TYPE_ULONG_PTR, field->name.text);
		break;
	case TAPE_F_P_MECHANISM:
		check(type == TYPE_MECHANISM_PTR, field->name.text);
		break;
	case TAPE_F_P_TEXTZ:
	case TAPE_F_P_PARENT_BITS:
		check(type == TYPE_BYTE_PTR, field->name.text);
		break;
	default:
		break;
	}
}

static void fields_are_what_their_kind_says(void **state)
{
	(void)state;
	for (size_t i = TAPE_R_NONE + 1; i < TAPE_R_COUNT; i++) {
		size_t count;
		const struct tape_field *fields = fields_of(&tape_records[i], &count);

		for (size_t j = 0; j < count; j++) {
			check_in_place(&fields[j]);
			check_extent(&tape_records[i], &fields[j]);
		}
	}
}

/* A length that is not spelled must follow from a pointer beside it. */
static void lengths_are_implied(void **state)
{
	(void)state;
	for (size_t i = TAPE_R_NONE + 1; i < TAPE_R_COUNT; i++) {
		size_t count;
		const struct tape_field *fields = fields_of(&tape_records[i], &count);

		for (size_t j = 0; j < count; j++) {
			bool implied = fields[j].kind != TAPE_F_LENGTH;

			for (size_t k = 0; k < count; k++)
				implied |= fields[k].extent == fields[j].offset &&
				           fields[k].kind != TAPE_F_P_BITS;
			check(implied, fields[j].name.text);
		}
	}
}

/* What counts bits for a structure below stands in the structure above. */
static void parents_count_the_bits(void **state)
{
	size_t parents = 0;

	(void)state;
	for (size_t i = TAPE_R_NONE + 1; i < TAPE_R_COUNT; i++) {
		const struct tape_record *record = &tape_records[i];
		size_t count, below_count;
		const struct tape_field *fields = fields_of(record, &count);

		for (size_t j = 0; j < count; j++) {
			const struct tape_field *below;
			bool asks = false, tells = false;

			if (fields[j].kind != TAPE_F_P_STRUCT)
				continue;
			below = fields_of(&tape_records[fields[j].detail], &below_count);
			for (size_t k = 0; k < below_count; k++)
				asks |= below[k].kind == TAPE_F_P_PARENT_BITS;
			for (size_t k = 0; k < count; k++)
				tells |= fields[k].kind == TAPE_F_NUMBER &&
				         strcmp(fields[k].name.text, "ulIVSizeInBits") == 0;
			check(!asks || tells, record->name.text);
			parents += asks;
		}
	}
	assert_int_equal(parents, 3);
}

static void conditions_point_into_their_record(void **state)
{
	(void)state;
	assert_true(tape_condition_count > 0);
	for (size_t i = 0; i < tape_condition_count; i++) {
		const struct tape_condition *condition = &tape_conditions[i];
		const struct tape_record *record = &tape_records[condition->record];
		const struct tape_field *dependent = field_at(record, condition->offset);
		const struct tape_field *selector = field_at(record, condition->selector);

		check(dependent && selector && dependent != selector, record->name.text);
		check(selector->size == condition->selector_size, record->name.text);
		if (selector->kind == TAPE_F_BOOL)
			check(condition->value <= 1, record->name.text);
		else
			check(selector->kind == TAPE_F_CONSTANT &&
			              tape_constant_name(selector->detail, condition->value),
			      record->name.text);
	}
}

/* ---- functions ------------------------------------------------------------------------------ */

static void check_argument(const struct tape_function *function, size_t i)
{
	const struct tape_argument *argument = &function->arguments[i];
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	const bool out = shape->traits & TAPE_T_OUT;
	char json[64];

	check(argument->kind < TAPE_K_COUNT, function->name.text);
	assert_string_equal(argument->key.text, argument->parameters[0]);
	assert_int_equal(argument->key.length, strlen(argument->key.text));
	snprintf(json, sizeof(json), "\"%s\": ", argument->key.text);
	assert_string_equal(argument->json.text, json);
	assert_int_equal(argument->json.length, strlen(json));

	for (size_t k = 0; k < TAPE_ARRAY_SIZE(argument->parameters); k++) {
		const char *parameter = argument->parameters[k];

		check((parameter != NULL) == (k < shape->words), function->name.text);
		if (!parameter)
			continue;
		if (starts_with(parameter, "ph") || starts_with(parameter, "pul") ||
		    starts_with(parameter, "pp"))
			check(out, parameter);
		if (starts_with(parameter, "h"))
			check(!out, parameter);
		/* A session and an object are the same type to C. */
		check((strcmp(parameter, "hSession") == 0) == (argument->kind == TAPE_K_SESSION),
		      function->name.text);
	}
	check((argument->kind == TAPE_K_SESSION) == (shape->traits & TAPE_T_LANE ? true : false),
	      function->name.text);
	check(i == 0 || argument->kind != TAPE_K_SESSION, function->name.text);
}

/* Shapes that are one type to C are told apart by what their parameters are called. */
static void names_fit_shapes(void **state)
{
	static const struct {
		unsigned kind;
		const char *prefix;
	} rows[] = {
		{ TAPE_K_SESSION, "hSession" },
		{ TAPE_K_OBJECT, "h" },
		{ TAPE_K_SLOT, "slotID" },
		{ TAPE_K_ULONG, "ul" },
		{ TAPE_K_OUT_SESSION, "phSession" },
		{ TAPE_K_OUT_OBJECT, "ph" },
		{ TAPE_K_OUT_SLOT, "pSlot" },
		{ TAPE_K_OUT_ULONG, "pul" },
		{ TAPE_K_OUT_FLAGS, "pFlags" },
		{ TAPE_K_OUT_SLOTS, "pSlot" },
		{ TAPE_K_OUT_OBJECTS, "ph" },
		{ TAPE_K_OUT_MECHANISMS, "pMechanism" },
		{ TAPE_K_PIN, "p" },
	};

	(void)state;
	for (size_t i = 0; i < TAPE_FN_COUNT; i++) {
		for (size_t j = 0; j < tape_functions[i].count; j++) {
			const struct tape_argument *argument = &tape_functions[i].arguments[j];
			const char *key = argument->key.text;

			for (size_t k = 0; k < TAPE_ARRAY_SIZE(rows); k++)
				if (rows[k].kind == argument->kind)
					check(starts_with(key, rows[k].prefix),
					      tape_functions[i].name.text);
			check((argument->kind == TAPE_K_PIN) == (strstr(key, "Pin") != NULL),
			      tape_functions[i].name.text);
			check((argument->kind == TAPE_K_OUT_SESSION) ==
			              (strcmp(key, "phSession") == 0),
			      tape_functions[i].name.text);
		}
	}
}

static void functions_are_described(void **state)
{
	size_t finds = 0;
	size_t waits = 0;
	size_t ends = 0;

	(void)state;
	for (size_t i = 0; i < TAPE_FN_COUNT; i++) {
		const struct tape_function *function = &tape_functions[i];
		const bool session = function->arguments[0].kind == TAPE_K_SESSION;
		size_t words = 0;

		check(function->name.length == strlen(function->name.text), function->name.text);
		check(tape_function_find(function->name.text, function->name.length) == i,
		      function->name.text);
		check(function->count > 0 && function->count <= TAPE_MAX_ARGUMENTS,
		      function->name.text);
		check(function->lane == (session ? 0 : -1), function->name.text);
		for (size_t j = 0; j < function->count; j++) {
			check(function->arguments[j].word == words, function->name.text);
			check_argument(function, j);
			words += tape_shapes[function->arguments[j].kind].words;
		}
		check(function->words == words && words <= TAPE_MAX_WORDS, function->name.text);
		finds += function->finds;
		waits += function->waits >= 0;
		ends += function->ends;
		if (i < TAPE_FN_COUNT_2)
			check(function->major == 2 && function->minor == 40, function->name.text);
		else if (i < TAPE_FN_COUNT_3_0)
			check(function->major == 3 && function->minor == 0, function->name.text);
		else
			check(function->major == 3 && function->minor == 2, function->name.text);
	}
	assert_int_equal(finds, 3);
	assert_int_equal(waits, 1);
	assert_int_equal(tape_functions[TAPE_FN_C_WaitForSlotEvent].waits, 0);
	assert_int_equal(ends, 1);
	assert_true(tape_functions[TAPE_FN_C_Finalize].ends);
	assert_true(tape_functions[TAPE_FN_C_GetFunctionList].finds);
	assert_true(tape_functions[TAPE_FN_C_GetInterfaceList].finds);
	assert_true(tape_functions[TAPE_FN_C_GetInterface].finds);
}

/* A row's number is the position of its pointer in every list that has it. */
static void functions_are_in_list_order(void **state)
{
	static const struct {
		const char *name;
		size_t offset;
	} pointers[] = {
#define CK_FN(function, major, minor, ...) \
	[TAPE_FN_##function] = { #function, offsetof(CK_FUNCTION_LIST_3_2, function) },
#include "core/api/functions.def"
#undef CK_FN
	};
	const size_t first = offsetof(CK_FUNCTION_LIST_3_2, C_Initialize);

	(void)state;
	assert_int_equal(TAPE_ARRAY_SIZE(pointers), TAPE_FN_COUNT);
	for (size_t i = 0; i < TAPE_FN_COUNT; i++) {
		assert_string_equal(pointers[i].name, tape_functions[i].name.text);
		assert_int_equal(pointers[i].offset, first + i * sizeof(CK_C_Initialize));
	}
	assert_int_equal(sizeof(CK_FUNCTION_LIST),
	                 first + TAPE_FN_COUNT_2 * sizeof(CK_C_Initialize));
	assert_int_equal(sizeof(CK_FUNCTION_LIST_3_0),
	                 first + TAPE_FN_COUNT_3_0 * sizeof(CK_C_Initialize));
}

static void shapes_are_used(void **state)
{
	(void)state;
	for (size_t kind = 0; kind < TAPE_K_COUNT; kind++) {
		const struct tape_shape *shape = &tape_shapes[kind];
		bool used = false;

		check(shape->words >= 1 && shape->words <= 3, shape->name.text);
		for (size_t i = 0; i < TAPE_FN_COUNT; i++)
			for (size_t j = 0; j < tape_functions[i].count; j++)
				used |= tape_functions[i].arguments[j].kind == kind;
		check(used, shape->name.text);
		if (shape->codec == TAPE_C_STRUCT)
			check(shape->detail > TAPE_R_NONE && shape->detail < TAPE_R_COUNT,
			      shape->name.text);
		if (shape->codec == TAPE_C_CONSTANT || shape->codec == TAPE_C_FLAGS)
			check(shape->detail > TAPE_G_NONE && shape->detail < TAPE_G_COUNT,
			      shape->name.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants_are_those_of_the_header),
		cmocka_unit_test(one_constant_is_written_for_a_value),
		cmocka_unit_test(constants_round_trip),
		cmocka_unit_test(ambiguous_return_values_have_no_name),
		cmocka_unit_test(strangers_are_not_found),
		cmocka_unit_test(attributes_are_those_of_the_header),
		cmocka_unit_test(one_attribute_is_written_for_a_value),
		cmocka_unit_test(attributes_round_trip),
		cmocka_unit_test(ambiguous_attributes_have_types_but_no_names),
		cmocka_unit_test(nested_templates_are_known_rows),
		cmocka_unit_test(keys_are_secret),
		cmocka_unit_test(mechanisms_are_those_of_the_header),
		cmocka_unit_test(mechanisms_round_trip),
		cmocka_unit_test(layouts_that_differ_by_function),
		cmocka_unit_test(records_are_covered_by_their_fields),
		cmocka_unit_test(fields_are_what_their_kind_says),
		cmocka_unit_test(lengths_are_implied),
		cmocka_unit_test(parents_count_the_bits),
		cmocka_unit_test(conditions_point_into_their_record),
		cmocka_unit_test(functions_are_described),
		cmocka_unit_test(names_fit_shapes),
		cmocka_unit_test(functions_are_in_list_order),
		cmocka_unit_test(shapes_are_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
