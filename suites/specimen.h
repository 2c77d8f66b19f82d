/* SPDX-License-Identifier: MIT
 *
 * Specimens: objects of every kind that the suites about objects create, and what the tables of PKCS#11 say of
 * their attributes (3.1 §4.4 to §4.12 and the mechanisms' chapters; the notes are those of table 13).
 *
 * The families of those suites are specimens × attributes: row.a is the one's index, row.b the other's.
 */
#ifndef TAPE_SUITES_SPECIMEN_H
#define TAPE_SUITES_SPECIMEN_H

#include "suites/check.h"
#include "suites/objects.h"

/* What every check about specimens needs: secret and private keys are private objects. */
#define SPECIMEN_NEEDS (NEED_RW | NEED_USER)

enum specimen_class {
	SPECIMEN_DATA = 1 << 0,
	SPECIMEN_CERTIFICATE = 1 << 1,
	SPECIMEN_PUBLIC = 1 << 2,
	SPECIMEN_PRIVATE = 1 << 3,
	SPECIMEN_SECRET = 1 << 4,
	SPECIMEN_DOMAIN = 1 << 5,
	SPECIMEN_KEY = SPECIMEN_PUBLIC | SPECIMEN_PRIVATE | SPECIMEN_SECRET,
	SPECIMEN_ANY = (1 << 6) - 1
};

/* Key types that have the same attributes; 0 for objects that are no keys. */
enum specimen_family {
	FAMILY_NONE = 0,
	FAMILY_RSA = 1 << 0,
	FAMILY_EC = 1 << 1, /* Edwards and Montgomery curves as well */
	FAMILY_DSA = 1 << 2,
	FAMILY_DH = 1 << 3,
	FAMILY_SECRET = 1 << 4, /* CKA_VALUE, of any length */
	FAMILY_FIXED = 1 << 5   /* CKA_VALUE, of one length: no CKA_VALUE_LEN */
};

struct specimen {
	const char *name;
	unsigned int class, family;
	enum object_kind kind; /* OBJECT_KINDS: what follows is its template */
	const struct template_value *values;
	size_t value_count;
	bool is_full; /* families try all of its attributes; of others, those of its key type */
};

/* The index of the specimen that object_make() makes. */
size_t specimen_of(enum object_kind kind);

extern const struct specimen specimens[];
extern const size_t specimen_count;

/* A template of a session object for C_CreateObject, as object_template() makes them. */
void specimen_template(const struct check *c, struct template *t, size_t which);

/* Whether that template gives the attribute; for making lists of checks. */
bool specimen_has(size_t which, CK_ATTRIBUTE_TYPE type);

/* Create one. Where that is refused, the check is skipped; those of objects.h may be generated keys. */
CK_OBJECT_HANDLE specimen_create(struct check *c, size_t which);
CK_OBJECT_HANDLE specimen_make(struct check *c, size_t which);

/* Skips the check where the module does not create such an object; leaves none. */
void specimen_needed(struct check *c, size_t which);

/* ---- attributes -------------------------------------------------------------------------------------- */

enum fact_flags {
	FACT_REQUIRED = 1 << 0,   /* note 1: in a template of C_CreateObject */
	FACT_FORBIDDEN = 1 << 1,  /* note 2: in such a template; read-only ever after */
	FACT_SECRET = 1 << 2,     /* note 7 */
	FACT_MODIFIABLE = 1 << 3, /* note 8, or as the text under the table says */
	FACT_COPYABLE = 1 << 4,   /* may be changed by C_CopyObject only */
	FACT_RISES = 1 << 5,      /* note 11: once true it is frozen */
	FACT_FALLS = 1 << 6,      /* note 12: once false it is frozen */
	FACT_DELICATE =
		1
		<< 7, /* only special values are good ones, or the texts differ: no family tries it */
	FACT_OPTIONAL = 1 << 8, /* tokens need not know it */
};

/* A type that is nobody's. A token that keeps it as it is given supports even that (§4.1.1). */
#define UNKNOWN_TYPE (CKA_VENDOR_DEFINED | 0x7fff0002UL)

enum fact_default {
	DEFAULT_NONE, /* there is none, or the token has its own */
	DEFAULT_FALSE,
	DEFAULT_TRUE,
	DEFAULT_EMPTY,
	DEFAULT_ZERO,
	DEFAULT_UNAVAILABLE /* CK_UNAVAILABLE_INFORMATION */
};

struct fact {
	CK_ATTRIBUTE_TYPE type;
	unsigned int classes, families; /* FAMILY_NONE: whatever the key's type is */
	unsigned int flags;
	enum fact_default initial;
	unsigned short rule; /* that says the default; 0: R-320 */
	unsigned int since;  /* SPEC(); 0 for 2.40 */
};

extern const struct fact facts[];
extern const size_t fact_count;

/* Whether the attribute is one that families try on the specimen. */
bool fact_is_tried(const struct fact *fact, const struct specimen *specimen);

/* Whether an object of the specimen's kind has the attribute. */
bool fact_applies(const struct fact *fact, const struct specimen *specimen);

/* Skips the check where the version in force does not have the attribute. */
void fact_needed(struct check *c, const struct fact *fact);

/* "CKA_LABEL" */
const char *fact_name(const struct fact *fact);

/* The form of its value (core/api/attributes.def). */
enum tape_attribute_type fact_form(const struct fact *fact);

/* Put a value into the template that is a good one and not the one that is there, or the default. */
void fact_change(struct template *t, const struct fact *fact);

/* ---- looking at objects ------------------------------------------------------------------------------ */

#define SNAPSHOT_SIZE 2048

/* What the attributes of an object are, those of `facts` that it can have. */
struct snapshot {
	struct {
		CK_RV rv; /* of reading it */
		CK_ULONG size;
		unsigned char value[SNAPSHOT_SIZE];
	} entries[80];
};

void snapshot_take(struct check *c, struct snapshot *snapshot, CK_OBJECT_HANDLE object,
                   size_t which);

/*
 * The index in `facts` of an attribute that differs, but for those of `except` (ends with
 * CK_UNAVAILABLE_INFORMATION); fact_count where there is none.
 */
size_t snapshot_differs(const struct snapshot *one, const struct snapshot *other,
                        const CK_ATTRIBUTE_TYPE *except);

/* The attribute must have the value that `entry` gives. Skips where the token does not tell it. */
void expect_value(struct check *c, unsigned int rule, CK_OBJECT_HANDLE object,
                  const CK_ATTRIBUTE *entry);

/* Whether the object has the attribute, and tells it. */
bool can_read(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

/* How many objects can be seen. */
size_t count_objects(struct check *c);

/*
 * The call must have been refused with one of the codes; with another code that says what is wrong with
 * a template it is a deviation: all of them are what "should" be said (§4.1.1).
 */
#define EXPECT_REFUSED(c, rule, name, rv, ...)                            \
	expect_refused(c, rule, name, rv, (const CK_RV[]){ __VA_ARGS__ }, \
	               sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV), __FILE__, __LINE__)
void expect_refused(struct check *c, unsigned int rule, const char *name, CK_RV rv,
                    const CK_RV *codes, size_t count, const char *file, int line);

/* C_CreateObject must refuse the template so; where the row has R-001, it must leave nothing. */
#define EXPECT_NOT_CREATED(c, rule, t, ...)                                                  \
	expect_not_created(c, rule, t, (const CK_RV[]){ __VA_ARGS__ },                       \
	                   sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV), __FILE__, \
	                   __LINE__)
void expect_not_created(struct check *c, unsigned int rule, struct template *t, const CK_RV *codes,
                        size_t count, const char *file, int line);

#endif
