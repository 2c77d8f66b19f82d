/* SPDX-License-Identifier: MIT
 *
 * The tables of api.h, made from the rows of the .def files, and what the compiler checks of them.
 *
 * Looking a value up is a switch over the rows: the compiler makes jump tables of it, and rejects two
 * rows that would be written for one value. Looking a name up needs a table that is filled when the
 * program runs; that is names.c, which the recorder does without.
 */
#include <assert.h>
#include <stddef.h>

#include "core/api/api.h"

#define NAME(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

/* ---- constant groups ------------------------------------------------------------------------ */

const struct tape_group_info tape_groups[TAPE_G_COUNT] = {
	[TAPE_G_NONE] = { "NONE", "", "no constants" },
#define GROUP(group, prefix, meaning) [TAPE_G_##group] = { #group, prefix, meaning },
#include "core/api/groups.def"
#undef GROUP
};

/* How other rows write a detail: a group, a secrecy, a record; a size is itself. */
enum {
#define GROUP(group, prefix, meaning) G_##group = TAPE_G_##group,
#include "core/api/groups.def"
#undef GROUP
};

enum { S_SECRET = TAPE_S_SECRET, S_DATA = TAPE_S_DATA };

enum {
#define RECORD(record, major, minor) R_##record = TAPE_R_##record,
#define FIELD(record, member, kind, dir, extent, detail)
#define ONLY_IF(record, member, selector, value)
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

/* ---- constants ------------------------------------------------------------------------------ */

/* A name in these rows is a macro too: it is made text, or part of a word, before anything else. */
const struct tape_constant tape_constants[] = {
#define ROW(row_state, of, text, row_value, since_major, since_minor, row_vendor) \
	{                                                                         \
		.name = NAME(text),                                               \
		.value = row_value,                                               \
		.group = TAPE_G_##of,                                             \
		.state = TAPE_CONST_##row_state,                                  \
		.major = since_major,                                             \
		.minor = since_minor,                                             \
		.vendor = row_vendor,                                             \
	},
#define CONST(group, name, value, major, minor) ROW(MAIN, group, #name, value, major, minor, NULL)
#define CONST_ALIAS(group, name, value, major, minor) \
	ROW(ALIAS, group, #name, value, major, minor, NULL)
#define CONST_AMBIGUOUS(group, name, value, major, minor) \
	ROW(AMBIGUOUS, group, #name, value, major, minor, NULL)
#define CONST_VENDOR(vendor, group, name, value) ROW(MAIN, group, #name, value, 0, 0, vendor)
#define CONST_VENDOR_ALIAS(vendor, group, name, value) ROW(ALIAS, group, #name, value, 0, 0, vendor)
#define CONST_VENDOR_AMBIGUOUS(vendor, group, name, value) \
	ROW(AMBIGUOUS, group, #name, value, 0, 0, vendor)
#include "core/api/constants.def"
#undef ROW
};

const size_t tape_constant_count = TAPE_ARRAY_SIZE(tape_constants);

/* The number of a row: what is written is found by it. */
enum constant_row {
#define CONST(group, name, value, major, minor) ROW_##name,
#define CONST_ALIAS(group, name, value, major, minor) ROW_ALIAS_##name,
#define CONST_AMBIGUOUS(group, name, value, major, minor) ROW_AMBIGUOUS_##name,
#define CONST_VENDOR(vendor, group, name, value) ROW_##name,
#define CONST_VENDOR_ALIAS(vendor, group, name, value) ROW_ALIAS_##name,
#define CONST_VENDOR_AMBIGUOUS(vendor, group, name, value) ROW_VENDOR_##name,
#include "core/api/constants.def"
};

/* Every constant fits in 32 bits, so that its group fits above it. */
#define GROUP_KEY(group, value) ((uint64_t)(group) << 32 | (uint64_t)(value))

const struct tape_name *tape_constant_name(enum tape_group group, uint64_t value)
{
	if (group == TAPE_G_CKA)
		return tape_attribute_name(value);
	if (group == TAPE_G_CKM) {
		const struct tape_mechanism *mechanism = tape_mechanism_find(value);

		return mechanism ? &mechanism->name : NULL;
	}
	if (value > UINT32_MAX)
		return NULL;

	switch (GROUP_KEY(group, value)) {
#define FOUND(row, group, value)      \
	case GROUP_KEY(group, value): \
		return &tape_constants[row].name;
#define CONST(group, name, value, major, minor) FOUND(ROW_##name, TAPE_G_##group, value)
#define CONST_VENDOR(vendor, group, name, value) FOUND(ROW_##name, TAPE_G_##group, value)
#include "core/api/constants.def"
#undef FOUND
	default:
		return NULL;
	}
}

/* ---- secrecy -------------------------------------------------------------------------------- */

enum tape_secrecy tape_class_secrecy(uint64_t object_class)
{
	switch (object_class) {
#define CLASS(name, secrecy) \
	case name:           \
		return TAPE_S_##secrecy;
#include "core/api/classes.def"
#undef CLASS
	default:
		return TAPE_S_SECRET;
	}
}

/* ---- attributes ----------------------------------------------------------------------------- */

const struct tape_attribute tape_attributes[] = {
#define ROW(row_state, text, row_value, since_major, since_minor, kind, of, row_secrecy, \
            row_vendor)                                                                  \
	{                                                                                \
		.name = NAME(text),                                                      \
		.value = row_value,                                                      \
		.state = TAPE_CONST_##row_state,                                         \
		.type = TAPE_A_##kind,                                                   \
		.group = TAPE_G_##of,                                                    \
		.secrecy = TAPE_S_##row_secrecy,                                         \
		.major = since_major,                                                    \
		.minor = since_minor,                                                    \
		.vendor = row_vendor,                                                    \
	},
#define ATTR(name, value, major, minor, type, group, secrecy) \
	ROW(MAIN, #name, value, major, minor, type, group, secrecy, NULL)
#define ATTR_ALIAS(name, value, major, minor, type, group, secrecy) \
	ROW(ALIAS, #name, value, major, minor, type, group, secrecy, NULL)
#define ATTR_AMBIGUOUS(name, value, major, minor, type, group, secrecy) \
	ROW(AMBIGUOUS, #name, value, major, minor, type, group, secrecy, NULL)
#define ATTR_LATER(name, value, major, minor, type, group, secrecy) \
	ROW(AMBIGUOUS, #name, value, major, minor, type, group, secrecy, NULL)
#define ATTR_VENDOR(vendor, name, value, type, group, secrecy) \
	ROW(MAIN, #name, value, 0, 0, type, group, secrecy, vendor)
#define ATTR_VENDOR_ALIAS(vendor, name, value, type, group, secrecy) \
	ROW(ALIAS, #name, value, 0, 0, type, group, secrecy, vendor)
#define ATTR_VENDOR_AMBIGUOUS(vendor, name, value, type, group, secrecy) \
	ROW(AMBIGUOUS, #name, value, 0, 0, type, group, secrecy, vendor)
#include "core/api/attributes.def"
#undef ROW
};

const size_t tape_attribute_count = TAPE_ARRAY_SIZE(tape_attributes);

enum attribute_row {
#define ATTR(name, value, major, minor, type, group, secrecy) ROW_##name,
#define ATTR_ALIAS(name, value, major, minor, type, group, secrecy) ROW_ALIAS_##name,
#define ATTR_AMBIGUOUS(name, value, major, minor, type, group, secrecy) ROW_AMBIGUOUS_##name,
#define ATTR_LATER(name, value, major, minor, type, group, secrecy) ROW_LATER_##name,
#define ATTR_VENDOR(vendor, name, value, type, group, secrecy) ROW_##name,
#define ATTR_VENDOR_ALIAS(vendor, name, value, type, group, secrecy) ROW_ALIAS_##name,
#define ATTR_VENDOR_AMBIGUOUS(vendor, name, value, type, group, secrecy) ROW_VENDOR_##name,
#include "core/api/attributes.def"
};

/* A value without an unambiguous name has a type all the same. */
const struct tape_attribute *tape_attribute_find(uint64_t type)
{
	switch (type) {
#define FOUND(row, value) \
	case value:       \
		return &tape_attributes[row];
#define ATTR(name, value, major, minor, type, group, secrecy) FOUND(ROW_##name, value)
#define ATTR_AMBIGUOUS(name, value, major, minor, type, group, secrecy) \
	FOUND(ROW_AMBIGUOUS_##name, value)
#define ATTR_LATER(name, value, major, minor, type, group, secrecy) FOUND(ROW_LATER_##name, value)
#define ATTR_VENDOR(vendor, name, value, type, group, secrecy) FOUND(ROW_##name, value)
#include "core/api/attributes.def"
#undef FOUND
	default:
		return NULL;
	}
}

const struct tape_name *tape_attribute_name(uint64_t type)
{
	const struct tape_attribute *attribute = tape_attribute_find(type);

	if (!attribute || attribute->state != TAPE_CONST_MAIN)
		return NULL;
	return &attribute->name;
}

/* ---- structures ----------------------------------------------------------------------------- */

/*
 * Where a record's fields begin and end in tape_fields[]: BEGIN_ and END_ take no number of their
 * own, since the enumerator after each goes one back.
 */
enum field_row {
#define RECORD(record, major, minor) BEGIN_##record, BEGIN_BACK_##record = BEGIN_##record - 1,
#define FIELD(record, member, kind, dir, extent, detail) FIELD_##record##_##member,
#define ONLY_IF(record, member, selector, value)
#define END(record) END_##record, END_BACK_##record = END_##record - 1,
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

/* Whether a field of the record is written; a structure within says so by its own direction. */
enum {
#define RECORD(record, major, minor) WRITES_##record = 0
#define FIELD(record, member, kind, dir, extent, detail) | (TAPE_D_##dir != TAPE_D_IN)
#define ONLY_IF(record, member, selector, value)
#define END(record) ,
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

const struct tape_record tape_records[TAPE_R_COUNT] = {
	[TAPE_R_NONE] = { .name = NAME("NONE") },
#define RECORD(record, since_major, since_minor)        \
	[TAPE_R_##record] = {                           \
		.name = NAME(#record),                  \
		.size = sizeof(record),                 \
		.first = BEGIN_##record,                \
		.count = END_##record - BEGIN_##record, \
		.writes = WRITES_##record != 0,         \
		.major = since_major,                   \
		.minor = since_minor,                   \
	},
#define FIELD(record, member, kind, dir, extent, detail)
#define ONLY_IF(record, member, selector, value)
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

#define SIZE_OF(record, member) sizeof(((record *)0)->member)

/* AT(ulIvLen) becomes EXTENT_AT(ulIvLen), which leaves the record to be put in front. */
#define EXTENT(record, extent) EXTENT_2(record, EXTENT_##extent)
#define EXTENT_2(record, ...) EXTENT_3(record, __VA_ARGS__)
#define EXTENT_3(record, where, member) EXTENT_##where##_OF(record, member)
#define EXTENT_AT(member) MEMBER, member
#define EXTENT_NOWHERE NO_MEMBER, ~
#define EXTENT_MEMBER_OF(record, member) offsetof(record, member)
#define EXTENT_NO_MEMBER_OF(record, member) TAPE_NOWHERE

const struct tape_field tape_fields[] = {
#define RECORD(record, major, minor)
#define FIELD(record, member, field_kind, dir, where, what) \
	{                                                   \
		.name = NAME(#member),                      \
		.kind = TAPE_F_##field_kind,                \
		.direction = TAPE_D_##dir,                  \
		.offset = offsetof(record, member),         \
		.size = SIZE_OF(record, member),            \
		.extent = EXTENT(record, where),            \
		.detail = what,                             \
	},
#define ONLY_IF(record, member, selector, value)
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

const size_t tape_field_count = TAPE_ARRAY_SIZE(tape_fields);

const struct tape_condition tape_conditions[] = {
#define RECORD(record, major, minor)
#define FIELD(record, member, kind, dir, extent, detail)
#define ONLY_IF(dependent, member, chooser, wanted)           \
	{                                                     \
		.record = TAPE_R_##dependent,                 \
		.offset = offsetof(dependent, member),        \
		.selector = offsetof(dependent, chooser),     \
		.selector_size = SIZE_OF(dependent, chooser), \
		.value = wanted,                              \
	},
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

const size_t tape_condition_count = TAPE_ARRAY_SIZE(tape_conditions);

static_assert(TAPE_R_COUNT <= UINT8_MAX, "a record's number does not fit in struct tape_mechanism");

/* ---- mechanisms ----------------------------------------------------------------------------- */

#define ENCRYPT TAPE_USE_ENCRYPT
#define SIGN TAPE_USE_SIGN
#define RECOVER TAPE_USE_RECOVER
#define DIGEST TAPE_USE_DIGEST
#define KEY TAPE_USE_KEY
#define KEY_PAIR TAPE_USE_KEY_PAIR
#define WRAP TAPE_USE_WRAP
#define DERIVE TAPE_USE_DERIVE
#define ENCAPSULATE TAPE_USE_ENCAPSULATE
#define MESSAGE TAPE_USE_MESSAGE

const struct tape_mechanism tape_mechanisms[] = {
#define ROW(state, text, value, major, minor, uses, vendor, ...)                                   \
	ROW_2(state, text, value, major, minor, uses, vendor, __VA_ARGS__, NONE, NONE, NONE, NONE, \
	      ~)
#define ROW_2(row_state, text, row_value, since_major, since_minor, row_uses, row_vendor, kind, \
              main, message, wrap, other, ...)                                                  \
	{                                                                                       \
		.name = NAME(text),                                                             \
		.value = row_value,                                                             \
		.state = TAPE_CONST_##row_state,                                                \
		.parameter = TAPE_P_##kind,                                                     \
		.uses = row_uses,                                                               \
		.record = TAPE_R_##main,                                                        \
		.message_record = TAPE_R_##message,                                             \
		.wrap_record = TAPE_R_##wrap,                                                   \
		.other_record = TAPE_R_##other,                                                 \
		.major = since_major,                                                           \
		.minor = since_minor,                                                           \
		.vendor = row_vendor,                                                           \
	},
#define MECH(name, value, major, minor, uses, ...) \
	ROW(MAIN, #name, value, major, minor, uses, NULL, __VA_ARGS__)
#define MECH_ALIAS(name, value, major, minor, uses, ...) \
	ROW(ALIAS, #name, value, major, minor, uses, NULL, __VA_ARGS__)
#define MECH_VENDOR(vendor, name, value, uses, ...) \
	ROW(MAIN, #name, value, 0, 0, uses, vendor, __VA_ARGS__)
#include "core/api/mechanisms.def"
#undef ROW
#undef ROW_2
};

#undef ENCRYPT
#undef SIGN
#undef RECOVER
#undef DIGEST
#undef KEY
#undef KEY_PAIR
#undef WRAP
#undef DERIVE
#undef ENCAPSULATE
#undef MESSAGE

const size_t tape_mechanism_count = TAPE_ARRAY_SIZE(tape_mechanisms);

enum mechanism_row {
#define MECH(name, value, major, minor, uses, ...) ROW_##name,
#define MECH_ALIAS(name, value, major, minor, uses, ...) ROW_ALIAS_##name,
#define MECH_VENDOR(vendor, name, value, uses, ...) ROW_##name,
#include "core/api/mechanisms.def"
};

const struct tape_mechanism *tape_mechanism_find(uint64_t mechanism)
{
	switch (mechanism) {
#define FOUND(row, value) \
	case value:       \
		return &tape_mechanisms[row];
#define MECH(name, value, major, minor, uses, ...) FOUND(ROW_##name, value)
#define MECH_VENDOR(vendor, name, value, uses, ...) FOUND(ROW_##name, value)
#include "core/api/mechanisms.def"
#undef FOUND
	default:
		return NULL;
	}
}

/* ---- shapes --------------------------------------------------------------------------------- */

#define OUT TAPE_T_OUT
#define ANY TAPE_T_ANY
#define LANE TAPE_T_LANE
#define SEAL TAPE_T_SEAL
#define OPEN TAPE_T_OPEN
#define WRAP TAPE_T_WRAP
#define MSG TAPE_T_MSG
#define TEXT TAPE_T_TEXT
#define FINDS TAPE_T_FINDS
#define WAITS TAPE_T_WAITS
#define ENDS TAPE_T_ENDS
#define KEYS TAPE_T_KEYS
#define DATA TAPE_T_DATA
#define OF TAPE_T_OF
#define SEEKS TAPE_T_SEEKS

const struct tape_shape tape_shapes[TAPE_K_COUNT] = {
#define ROW(kind, codec, words, detail, traits) \
	[TAPE_K_##kind] = { NAME(#kind), TAPE_C_##codec, words, detail, traits },
#define KIND1(kind, t1, codec, detail, traits) ROW(kind, codec, 1, detail, traits)
#define KIND2(kind, t1, t2, codec, detail, traits) ROW(kind, codec, 2, detail, traits)
#define KIND3(kind, t1, t2, t3, codec, detail, traits) ROW(kind, codec, 3, detail, traits)
#include "core/api/kinds.def"
#undef KIND1
#undef KIND2
#undef KIND3
#undef ROW
};

/* The traits once more, for what a function's row says of the function. */
enum {
#define KIND1(kind, t1, codec, detail, traits) TRAITS_##kind = traits,
#define KIND2(kind, t1, t2, codec, detail, traits) TRAITS_##kind = traits,
#define KIND3(kind, t1, t2, t3, codec, detail, traits) TRAITS_##kind = traits,
#include "core/api/kinds.def"
#undef KIND1
#undef KIND2
#undef KIND3
};

#undef OUT
#undef ANY
#undef LANE
#undef SEAL
#undef OPEN
#undef WRAP
#undef MSG
#undef TEXT
#undef FINDS
#undef WAITS
#undef ENDS
#undef KEYS
#undef DATA
#undef OF
#undef SEEKS

/* ---- functions ------------------------------------------------------------------------------ */

/* A row whose shapes do not come to the prototype in pkcs11.h is an error at that row. */
#define CK_FN(name, major, minor, ...) extern CK_RV name(TAPE_EACH(TAPE_DECL, __VA_ARGS__));
#include "core/api/functions.def"
#undef CK_FN

/* FOLD(M, op, t1, t2, …) is M t1 op M t2 op … */
#define FOLD_1(m, op, t) m t
#define FOLD_2(m, op, t, ...) m t op FOLD_1(m, op, __VA_ARGS__)
#define FOLD_3(m, op, t, ...) m t op FOLD_2(m, op, __VA_ARGS__)
#define FOLD_4(m, op, t, ...) m t op FOLD_3(m, op, __VA_ARGS__)
#define FOLD_5(m, op, t, ...) m t op FOLD_4(m, op, __VA_ARGS__)
#define FOLD_6(m, op, t, ...) m t op FOLD_5(m, op, __VA_ARGS__)
#define FOLD_7(m, op, t, ...) m t op FOLD_6(m, op, __VA_ARGS__)
#define FOLD_8(m, op, t, ...) m t op FOLD_7(m, op, __VA_ARGS__)
#define FOLD(m, op, ...) TAPE_CAT(FOLD_, TAPE_COUNT(__VA_ARGS__))(m, op, __VA_ARGS__)

/* ARGUMENTS(0, t1, t2, …): the initialisers, each with the number of words before it. */
#define ARGUMENTS_1(word, t) ARGUMENT(word, SPREAD t)
#define ARGUMENTS_2(word, t, ...) \
	ARGUMENT(word, SPREAD t), ARGUMENTS_1(word + TAPE_ARITY t, __VA_ARGS__)
#define ARGUMENTS_3(word, t, ...) \
	ARGUMENT(word, SPREAD t), ARGUMENTS_2(word + TAPE_ARITY t, __VA_ARGS__)
#define ARGUMENTS_4(word, t, ...) \
	ARGUMENT(word, SPREAD t), ARGUMENTS_3(word + TAPE_ARITY t, __VA_ARGS__)
#define ARGUMENTS_5(word, t, ...) \
	ARGUMENT(word, SPREAD t), ARGUMENTS_4(word + TAPE_ARITY t, __VA_ARGS__)
#define ARGUMENTS_6(word, t, ...) \
	ARGUMENT(word, SPREAD t), ARGUMENTS_5(word + TAPE_ARITY t, __VA_ARGS__)
#define ARGUMENTS_7(word, t, ...) \
	ARGUMENT(word, SPREAD t), ARGUMENTS_6(word + TAPE_ARITY t, __VA_ARGS__)
#define ARGUMENTS_8(word, t, ...) \
	ARGUMENT(word, SPREAD t), ARGUMENTS_7(word + TAPE_ARITY t, __VA_ARGS__)
#define ARGUMENTS(...) TAPE_CAT(ARGUMENTS_, TAPE_COUNT(__VA_ARGS__))(0, __VA_ARGS__)

#define SPREAD(...) __VA_ARGS__
#define ARGUMENT(...) ARGUMENT_WORDS(__VA_ARGS__)
#define ARGUMENT_WORDS(word, ...) TAPE_CAT(ARGUMENT_, TAPE_COUNT(__VA_ARGS__))(word, __VA_ARGS__)
#define ARGUMENT_2(word, k, a) ARGUMENT_ROW(word, k, a, #a, NULL, NULL)
#define ARGUMENT_3(word, k, a, b) ARGUMENT_ROW(word, k, a, #a, #b, NULL)
#define ARGUMENT_4(word, k, a, b, c) ARGUMENT_ROW(word, k, a, #a, #b, #c)
#define ARGUMENT_ROW(word, k, a, ...)                             \
	{                                                         \
		NAME(#a), NAME("\"" #a "\": "), TAPE_K_##k, word, \
		{                                                 \
			__VA_ARGS__                               \
		}                                                 \
	}

#define TRAITS(k, ...) TRAITS_##k
#define FIRST_TRAITS(t, ...) TRAITS t

/* Only a function's first argument can be the session that it belongs to, or say that it waits. */
const struct tape_function tape_functions[TAPE_FN_COUNT] = {
#define CK_FN(function, since_major, since_minor, ...)                           \
	[TAPE_FN_##function] = {                                                 \
		.name = NAME(#function),                                         \
		.major = since_major,                                            \
		.minor = since_minor,                                            \
		.count = TAPE_COUNT(__VA_ARGS__),                                \
		.words = FOLD(TAPE_ARITY, +, __VA_ARGS__),                       \
		.finds = ((FOLD(TRAITS, |, __VA_ARGS__)) & TAPE_T_FINDS) != 0,   \
		.ends = ((FOLD(TRAITS, |, __VA_ARGS__)) & TAPE_T_ENDS) != 0,     \
		.lane = (FIRST_TRAITS(__VA_ARGS__, ~)) & TAPE_T_LANE ? 0 : -1,   \
		.waits = (FIRST_TRAITS(__VA_ARGS__, ~)) & TAPE_T_WAITS ? 0 : -1, \
		.arguments = { ARGUMENTS(__VA_ARGS__) },                         \
	},
#include "core/api/functions.def"
#undef CK_FN
};

/* The rows are the pointers of the function lists, in order and without a gap. */
#define LIST_SIZE(list, count) (offsetof(list, C_Initialize) + (count) * sizeof(CK_C_Initialize))
#define OUT_OF_STEP "functions.def is out of step with pkcs11.h"
static_assert((int)TAPE_FN_COUNT == TAPE_FN_COUNT_3_2, OUT_OF_STEP);
static_assert(sizeof(CK_FUNCTION_LIST) == LIST_SIZE(CK_FUNCTION_LIST, TAPE_FN_COUNT_2),
              OUT_OF_STEP);
static_assert(sizeof(CK_FUNCTION_LIST_3_0) == LIST_SIZE(CK_FUNCTION_LIST_3_0, TAPE_FN_COUNT_3_0),
              OUT_OF_STEP);
static_assert(sizeof(CK_FUNCTION_LIST_3_2) == LIST_SIZE(CK_FUNCTION_LIST_3_2, TAPE_FN_COUNT_3_2),
              OUT_OF_STEP);
#define CK_FN(name, major, minor, ...)                                                    \
	static_assert(offsetof(CK_FUNCTION_LIST_3_2, name) ==                             \
	                      LIST_SIZE(CK_FUNCTION_LIST_3_2, (size_t)TAPE_FN_##name),    \
	              "a row of functions.def is not in the order of the function list"); \
	static_assert(FOLD(TAPE_ARITY, +, __VA_ARGS__) <= TAPE_MAX_WORDS,                 \
	              "a function has more parameters than TAPE_MAX_WORDS");
#include "core/api/functions.def"
#undef CK_FN
