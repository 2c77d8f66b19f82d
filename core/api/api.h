/* SPDX-License-Identifier: MIT
 *
 * What Cryptoki is, as tables: functions and their argument shapes, structures and their fields,
 * attributes, mechanisms and named constants. Everything here is constant data made from the rows
 * of the .def files beside it; nothing here has behaviour beyond looking a row up.
 *
 * All functions are safe from any thread and allocate nothing.
 */
#ifndef TAPE_API_H
#define TAPE_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/api/expand.h"
#include "core/api/pkcs11.h"
#include "core/attributes.h"

/* A row's spelling with its length, so that writers copy and never measure. */
struct tape_name {
	const char *text;
	size_t length;
};

/* ---- constants ------------------------------------------------------------------------------ */

/* The name spaces that constants live in; G_ names are used as details in other rows. */
enum tape_group {
	TAPE_G_NONE,
#define GROUP(group, prefix, meaning) TAPE_G_##group,
#include "core/api/groups.def"
#undef GROUP
	TAPE_G_COUNT
};

enum tape_constant_state {
	TAPE_CONST_MAIN,  /* the name to write for this value */
	TAPE_CONST_ALIAS, /* another name for a value that has a MAIN row: read, never written */
	TAPE_CONST_AMBIGUOUS, /* headers in use give the name two values: neither read nor written */
};

struct tape_constant {
	struct tape_name name;
	uint64_t value;
	uint8_t group;        /* enum tape_group */
	uint8_t state;        /* enum tape_constant_state */
	uint8_t major, minor; /* first version of PKCS#11 that has it; 0.0 for a vendor's */
	const char *vendor;   /* "nss", "p11-kit", …; NULL for PKCS#11's own */
};

extern const struct tape_constant tape_constants[];
extern const size_t tape_constant_count;

/* Describe a group: its YAML-visible name ("CKR") and what it is for. */
struct tape_group_info {
	const char *name;
	const char *prefix;
	const char *meaning;
};
extern const struct tape_group_info tape_groups[TAPE_G_COUNT];

/* Find the name to write for `value` in `group`, or NULL where none is unambiguous. */
const struct tape_name *tape_constant_name(enum tape_group group, uint64_t value);

/*
 * Find the value that `name` (length bytes, no terminator needed) has in `group`.
 * Returns false for an unknown or ambiguous name; *ret_row is then the ambiguous row or NULL.
 */
bool tape_constant_value(enum tape_group group, const char *name, size_t length,
                         uint64_t *ret_value, const struct tape_constant **ret_row);

/* ---- secrecy -------------------------------------------------------------------------------- */

/* What a value is to a redaction policy (core/redact.h). */
enum tape_secrecy {
	TAPE_S_PLAIN,
	TAPE_S_PIN,      /* a PIN or a password */
	TAPE_S_SECRET,   /* key material */
	TAPE_S_DATA,     /* an application's data */
	TAPE_S_BY_CLASS, /* of an attribute: what the object's class says */
};

/* What CKA_VALUE is in objects of this class (classes.def); SECRET where nobody says. */
enum tape_secrecy tape_class_secrecy(uint64_t object_class);

/* ---- attributes ----------------------------------------------------------------------------- */

enum tape_attribute_type {
	TAPE_A_BYTES,        /* opaque bytes: hex */
	TAPE_A_BIGINT,       /* big-endian number: hex */
	TAPE_A_UTF8,         /* text where it is printable */
	TAPE_A_BOOL,         /* CK_BBOOL */
	TAPE_A_ULONG,        /* CK_ULONG */
	TAPE_A_CONSTANT,     /* CK_ULONG out of `group` */
	TAPE_A_FLAGS,        /* CK_ULONG, bits out of `group` */
	TAPE_A_DATE,         /* CK_DATE: eight digits */
	TAPE_A_VERSION,      /* CK_VERSION */
	TAPE_A_ULONGS,       /* array of CK_ULONG */
	TAPE_A_CONSTANTS,    /* array of CK_ULONG out of `group` (CKA_ALLOWED_MECHANISMS) */
	TAPE_A_TEMPLATE,     /* array of CK_ATTRIBUTE */
	TAPE_A_BOOL_OR_TIME, /* NSS: one byte is a CK_BBOOL, else a UTCTime as text */
};

struct tape_attribute {
	struct tape_name name;
	uint64_t value;
	uint8_t state;   /* enum tape_constant_state */
	uint8_t type;    /* enum tape_attribute_type */
	uint8_t group;   /* enum tape_group, for CONSTANT, FLAGS, CONSTANTS */
	uint8_t secrecy; /* enum tape_secrecy */
	uint8_t major, minor;
	const char *vendor;
};

extern const struct tape_attribute tape_attributes[];
extern const size_t tape_attribute_count;

/* Find the MAIN row of an attribute type, or NULL where it is unknown. */
const struct tape_attribute *tape_attribute_find(uint64_t type);

/* Name and value of attribute types, as tape_constant_name() and tape_constant_value(). */
const struct tape_name *tape_attribute_name(uint64_t type);
bool tape_attribute_value(const char *name, size_t length, uint64_t *ret_value,
                          bool *ret_ambiguous);

/* ---- structures ----------------------------------------------------------------------------- */

enum tape_record_id {
	TAPE_R_NONE,
#define RECORD(record, major, minor) TAPE_R_##record,
#define FIELD(record, member, kind, dir, extent, detail)
#define ONLY_IF(record, member, selector, value)
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
	TAPE_R_COUNT
};

/*
 * What a field holds. "extent" is the offset of the member that says how much a pointer covers;
 * "detail" is a constant group, a record or a size.
 */
enum tape_field_kind {
	/* in place */
	TAPE_F_NUMBER,   /* CK_ULONG */
	TAPE_F_LIMIT,    /* CK_ULONG in which 0 is CK_EFFECTIVELY_INFINITE */
	TAPE_F_CONSTANT, /* CK_ULONG out of group `detail` */
	TAPE_F_FLAGS,    /* CK_ULONG, bits out of group `detail` */
	TAPE_F_OBJECT,   /* CK_OBJECT_HANDLE */
	TAPE_F_BOOL,     /* CK_BBOOL */
	TAPE_F_BYTE,     /* CK_BYTE */
	TAPE_F_CHARS,    /* blank-padded text, as long as the member */
	TAPE_F_FIXED,    /* bytes, as long as the member */
	TAPE_F_VERSION,  /* CK_VERSION */
	TAPE_F_STRUCT,   /* the record `detail`, in place */
	TAPE_F_ULONGS,   /* array of CK_ULONG, in place */
	TAPE_F_LENGTH, /* how much a pointer beside it covers: implied by that pointer, not spelled */
	/* through a pointer */
	TAPE_F_P_BYTES, /* as many bytes as the CK_ULONG at extent; `detail` is their enum tape_secrecy */
	TAPE_F_P_SECRET, /* the same, a password */
	TAPE_F_P_BITS,   /* as many bytes as hold the bits that the CK_ULONG at extent counts */
	TAPE_F_P_SIZED,  /* `detail` bytes */
	TAPE_F_P_BYTES_AT, /* as many bytes as the CK_ULONG says that the pointer at extent points to; likewise */
	TAPE_F_P_SECRET_AT, /* the same, a password */
	TAPE_F_P_PARENT_BITS, /* as many bytes as hold the ulIVSizeInBits of the structure around it */
	TAPE_F_P_STRUCT,      /* one record `detail` */
	TAPE_F_P_STRUCTS,     /* as many records `detail` as the CK_ULONG at extent */
	TAPE_F_P_TEMPLATE,    /* as many CK_ATTRIBUTE as the CK_ULONG at extent */
	TAPE_F_P_OBJECT,      /* one CK_OBJECT_HANDLE */
	TAPE_F_P_TEXTZ,       /* zero-terminated text */
	TAPE_F_P_MECHANISM, /* one CK_MECHANISM */
	TAPE_F_P_OPAQUE,    /* no length is known: whether it is NULL */
	TAPE_F_P_VARIANT, /* bytes by extent, whose meaning the first member selects: kept as bytes; a password
	                   * where that member is `detail` (0: never) */
};

enum tape_direction {
	TAPE_D_IN,
	TAPE_D_OUT,   /* the module writes it; what it held before is chance */
	TAPE_D_INOUT, /* read and possibly written */
	TAPE_D_SEAL,  /* OUT where the call is SEAL, IN elsewhere (an AEAD's tag) */
};

#define TAPE_NOWHERE UINT16_MAX

struct tape_field {
	struct tape_name name;
	uint8_t kind;          /* enum tape_field_kind */
	uint8_t direction;     /* enum tape_direction */
	uint16_t offset, size; /* of the member, in bytes */
	uint16_t extent;       /* offset of the member that says how much, or TAPE_NOWHERE */
	uint16_t detail;
};

/* A field that counts only where another has a value: elsewhere it is chance (don't-care). */
struct tape_condition {
	uint16_t record, offset; /* of the dependent member */
	uint16_t selector;       /* offset of the CK_ULONG (or CK_BBOOL) that decides */
	uint16_t selector_size;
	uint64_t value;
};

struct tape_record {
	struct tape_name name;
	uint16_t size;         /* sizeof on this platform */
	uint16_t first, count; /* its fields in tape_fields[] */
	bool writes;           /* some field, here or below, is not merely IN */
	uint8_t major, minor;
};

extern const struct tape_record tape_records[TAPE_R_COUNT];
extern const struct tape_field tape_fields[];
extern const size_t tape_field_count;
extern const struct tape_condition tape_conditions[];
extern const size_t tape_condition_count;

/* Find a record by name; TAPE_R_NONE where there is none. */
enum tape_record_id tape_record_find(const char *name, size_t length);

/* ---- mechanisms ----------------------------------------------------------------------------- */

enum tape_parameter {
	TAPE_P_UNKNOWN, /* nobody says */
	TAPE_P_NONE,
	TAPE_P_BYTES, /* an IV, an OID */
	TAPE_P_ULONG,
	TAPE_P_OBJECT,
	TAPE_P_RECORD,
};

enum tape_use {
	TAPE_USE_ENCRYPT = 1 << 0, /* C_Encrypt… and C_Decrypt… */
	TAPE_USE_SIGN = 1 << 1,    /* C_Sign… and C_Verify… */
	TAPE_USE_RECOVER = 1 << 2,
	TAPE_USE_DIGEST = 1 << 3,
	TAPE_USE_KEY = 1 << 4,      /* C_GenerateKey */
	TAPE_USE_KEY_PAIR = 1 << 5, /* C_GenerateKeyPair */
	TAPE_USE_WRAP = 1 << 6,     /* C_WrapKey and C_UnwrapKey */
	TAPE_USE_DERIVE = 1 << 7,
	TAPE_USE_ENCAPSULATE = 1 << 8,
	TAPE_USE_MESSAGE = 1 << 9,
};

struct tape_mechanism {
	struct tape_name name;
	uint64_t value;
	uint8_t state;     /* enum tape_constant_state */
	uint8_t parameter; /* enum tape_parameter */
	uint16_t uses;     /* enum tape_use bits */
	uint8_t record; /* of the parameter; the next two are TAPE_R_NONE where they do not differ */
	uint8_t message_record; /* in message functions and C_(Un)WrapKeyAuthenticated */
	uint8_t wrap_record;    /* in C_WrapKey and C_UnwrapKey */
	uint8_t other_record; /* an older or a vendor's layout of `record`, told apart by size or plausibility */
	uint8_t major, minor;
	const char *vendor;
};

extern const struct tape_mechanism tape_mechanisms[];
extern const size_t tape_mechanism_count;

/* Find the MAIN row of a mechanism, or NULL where it is unknown. */
const struct tape_mechanism *tape_mechanism_find(uint64_t mechanism);

/* ---- shapes and functions ------------------------------------------------------------------- */

enum tape_codec {
	TAPE_C_NUMBER,
	TAPE_C_BOOLEAN,
	TAPE_C_CONSTANT,
	TAPE_C_FLAGS,
	TAPE_C_PRESENCE,
	TAPE_C_CALLBACK,
	TAPE_C_INIT_ARGS,
	TAPE_C_BYTES,
	TAPE_C_SECRET,
	TAPE_C_CHARS,
	TAPE_C_TEXTZ,
	TAPE_C_TEMPLATE,
	TAPE_C_MECHANISM,
	TAPE_C_PARAMETER,
	TAPE_C_NUMBER_AT,
	TAPE_C_STRUCT,
	TAPE_C_BYTES_AT,
	TAPE_C_FILL,
	TAPE_C_LATER,
	TAPE_C_LIST_AT,
	TAPE_C_FOUND,
	TAPE_C_FUNCTIONS,
	TAPE_C_INTERFACES,
	TAPE_C_INTERFACE,
};

enum tape_trait {
	TAPE_T_OUT = 1 << 0,
	TAPE_T_ANY = 1 << 1,
	TAPE_T_LANE = 1 << 2,
	TAPE_T_SEAL = 1 << 3,
	TAPE_T_OPEN = 1 << 4,
	TAPE_T_WRAP = 1 << 5,
	TAPE_T_MSG = 1 << 6,
	TAPE_T_TEXT = 1 << 7,
	TAPE_T_FINDS = 1 << 8,
	TAPE_T_WAITS = 1 << 9,
	TAPE_T_ENDS = 1 << 10,
	TAPE_T_KEYS = 1 << 11,
	TAPE_T_DATA = 1 << 12,
	TAPE_T_OF = 1 << 13,
	TAPE_T_SEEKS = 1 << 14,
};

enum tape_kind {
#define KIND1(kind, t1, codec, detail, traits) TAPE_K_##kind,
#define KIND2(kind, t1, t2, codec, detail, traits) TAPE_K_##kind,
#define KIND3(kind, t1, t2, t3, codec, detail, traits) TAPE_K_##kind,
#include "core/api/kinds.def"
#undef KIND1
#undef KIND2
#undef KIND3
	TAPE_K_COUNT
};

/* The C types that a shape stands for: kind_IN_BYTES_1, kind_IN_BYTES_2. */
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

struct tape_shape {
	struct tape_name name;
	uint8_t codec; /* enum tape_codec */
	uint8_t words; /* C parameters that it takes */
	uint16_t detail;
	uint16_t traits; /* enum tape_trait bits */
};

extern const struct tape_shape tape_shapes[TAPE_K_COUNT];

enum tape_function_id {
#define CK_FN(name, major, minor, ...) TAPE_FN_##name,
#include "core/api/functions.def"
#undef CK_FN
	TAPE_FN_COUNT
};

#define TAPE_MAX_ARGUMENTS 8  /* tuples in a row */
#define TAPE_MAX_WORDS 12     /* C parameters of a function */
#define TAPE_FN_COUNT_2 68    /* pointers in CK_FUNCTION_LIST */
#define TAPE_FN_COUNT_3_0 92  /* in CK_FUNCTION_LIST_3_0 */
#define TAPE_FN_COUNT_3_2 104 /* in CK_FUNCTION_LIST_3_2 */

struct tape_argument {
	struct tape_name key;      /* the first parameter's name, which is its key in a trace */
	struct tape_name json;     /* the same as "key": , quoted, ready to copy */
	uint8_t kind;              /* enum tape_kind */
	uint8_t word;              /* index of its first word */
	const char *parameters[3]; /* every parameter's name; NULL past the last */
};

struct tape_function {
	struct tape_name name;
	uint8_t major, minor; /* the version of PKCS#11 that brought it */
	uint8_t count;        /* arguments */
	uint8_t words;
	bool finds;   /* discovery (trait FINDS) */
	bool ends;    /* it ends everything (trait ENDS) */
	int8_t lane;  /* index of the argument with trait LANE, or -1 */
	int8_t waits; /* index of the flags with trait WAITS, or -1 */
	struct tape_argument arguments[TAPE_MAX_ARGUMENTS];
};

/* In list order: TAPE_FN_x is also the position of the pointer in every CK_FUNCTION_LIST that has it. */
extern const struct tape_function tape_functions[TAPE_FN_COUNT];

/* Find a function by name; TAPE_FN_COUNT where there is none. */
enum tape_function_id tape_function_find(const char *name, size_t length);

/*
 * The entry points of a module, as bits: by which of them it exports, a program that looks with dlsym()
 * tells one that speaks 2.40 from one of 3.0 and later (PKCS#11 3.1 §5.4.5, §5.4.6). 0 for any other name.
 */
enum tape_entry { TAPE_ENTRY_LIST = 1, TAPE_ENTRY_INTERFACES = 2 };
unsigned int tape_entry_find(const char *name, size_t length);

#endif
