/* SPDX-License-Identifier: MIT
 *
 * Another project's header as tables, by the rows of core/api: what it says of our names, structures
 * and function pointers. Prototypes are compared by the compiler.
 *
 * To be included once, after that header and after HAS_<structure> is defined as HAS_IT for every
 * structure that it has. Types of kinds.def that it lacks must be declared as something.
 */
#include "core/api/expand.h"
#include "core/attributes.h"
#include "tests/unit/api-ours.h"

/* ---- constants ------------------------------------------------------------------------------ */

/*
 * A name that is a macro of theirs expands to something else. The other value of an ambiguous name
 * has no row here.
 */
#define EXPANSION(name) EXPANSION_2(name)
#define EXPANSION_2(name) #name

static const struct theirs their_constants[] = {
#define CONST(group, name, value, major, minor) { #name, EXPANSION(name), 0 },
#define CONST_ALIAS(group, name, value, major, minor) { #name, EXPANSION(name), 0 },
#define CONST_AMBIGUOUS(group, name, value, major, minor) { #name, EXPANSION(name), 0 },
#define CONST_VENDOR(vendor, group, name, value) { #name, EXPANSION(name), 0 },
#define CONST_VENDOR_ALIAS(vendor, group, name, value) { #name, EXPANSION(name), 0 },
#include "core/api/constants.def"

#define ATTR(name, value, major, minor, type, group, secrecy) { #name, EXPANSION(name), 0 },
#define ATTR_ALIAS(name, value, major, minor, type, group, secrecy) { #name, EXPANSION(name), 0 },
#define ATTR_AMBIGUOUS(name, value, major, minor, type, group, secrecy) \
	{ #name, EXPANSION(name), 0 },
#define ATTR_VENDOR(vendor, name, value, type, group, secrecy) { #name, EXPANSION(name), 0 },
#define ATTR_VENDOR_ALIAS(vendor, name, value, type, group, secrecy) { #name, EXPANSION(name), 0 },
#include "core/api/attributes.def"

#define MECH(name, value, major, minor, uses, ...) { #name, EXPANSION(name), 0 },
#define MECH_ALIAS(name, value, major, minor, uses, ...) { #name, EXPANSION(name), 0 },
#define MECH_VENDOR(vendor, name, value, uses, ...) { #name, EXPANSION(name), 0 },
#include "core/api/mechanisms.def"
};

/* ---- layouts -------------------------------------------------------------------------------- */

/* HAS(CK_DATE) is 1 where HAS_CK_DATE is defined as HAS_IT, else 0. */
#define HAS_IT ~, 1
#define HAS(record) HAS_2(HAS_##record, 0, ~)
#define HAS_2(...) HAS_3(__VA_ARGS__)
#define HAS_3(record, has, ...) has

#define SIZE(record) TAPE_CAT(SIZE_IF_, HAS(record))(record)
#define SIZE_IF_0(record)
#define SIZE_IF_1(record) { "sizeof " #record, NULL, sizeof(record) },

#define MEMBER(record, member) TAPE_CAT(MEMBER_IF_, HAS(record))(record, member)
#define MEMBER_IF_0(record, member)
#define MEMBER_IF_1(record, member)                              \
	{ #record "." #member, NULL, offsetof(record, member) }, \
		{ "sizeof " #record "." #member, NULL, sizeof(((record *)0)->member) },

/* A function is in the list of the version that brought it, and in later ones. */
#define IN_LIST_2_40(name)             \
	MEMBER(CK_FUNCTION_LIST, name) \
	IN_LIST_3_0(name)
#define IN_LIST_3_0(name)                  \
	MEMBER(CK_FUNCTION_LIST_3_0, name) \
	IN_LIST_3_2(name)
#define IN_LIST_3_2(name) MEMBER(CK_FUNCTION_LIST_3_2, name)

static const struct theirs their_layouts[] = {
#define RECORD(record, major, minor) SIZE(record)
#define FIELD(record, member, kind, dir, extent, detail) MEMBER(record, member)
#define ONLY_IF(record, member, selector, value)
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END

#define CK_FN(name, major, minor, ...) TAPE_CAT(IN_LIST_##major, _##minor)(name)
#include "core/api/functions.def"
#undef CK_FN

	MORE_STRUCTURES(SIZE, MEMBER)
};

/* ---- prototypes ----------------------------------------------------------------------------- */

#define KIND1(kind, t1, codec, detail, traits) typedef t1 kind_##kind##_1;
#define KIND2(kind, t1, t2, codec, detail, traits) \
	typedef t1 kind_##kind##_1;                \
	typedef t2 kind_##kind##_2;
#define KIND3(kind, t1, t2, t3, codec, detail, traits) \
	typedef t1 kind_##kind##_1;                    \
	typedef t2 kind_##kind##_2;                    \
	typedef t3 kind_##kind##_3;
#include "core/api/kinds.def"
#undef KIND1
#undef KIND2
#undef KIND3

/* A row that does not come to their prototype is an error at that row. */
#define CK_FN(name, major, minor, ...) extern CK_RV name(TAPE_EACH(TAPE_DECL, __VA_ARGS__));
#include "core/api/functions.def"
#undef CK_FN
