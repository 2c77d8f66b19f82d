/* SPDX-License-Identifier: MIT
 *
 * An object as PKCS#11 3.1 §5.7.5 has it, for tests that compare with it: what C_GetAttributeValue does is
 * written down here once more, over memory, and shares no code with core/derive.c.
 */
#ifndef TEST_OBJECT_H
#define TEST_OBJECT_H

#include "tests/unit/support/generate.h"

#define OBJECT_MAX_ATTRIBUTES 24
#define OBJECT_MAX_BYTES 80
#define OBJECT_MAX_INNER 4

struct object_attribute {
	CK_ATTRIBUTE_TYPE type;
	CK_RV refused; /* CKR_OK, CKR_ATTRIBUTE_SENSITIVE or CKR_ATTRIBUTE_TYPE_INVALID */
	size_t inner;  /* of an attribute of attributes: how many; else 0 */
	CK_ATTRIBUTE_TYPE inner_types[OBJECT_MAX_INNER];
	size_t length, inner_lengths[OBJECT_MAX_INNER];
	unsigned char bytes[OBJECT_MAX_BYTES], inner_bytes[OBJECT_MAX_INNER][OBJECT_MAX_BYTES];
};

struct object {
	struct object_attribute attributes[OBJECT_MAX_ATTRIBUTES];
	size_t count;
};

/* Make an object of any attributes, all types different; some cannot be had, some are arrays. */
void object_make(struct object *object, struct dice *dice);

/* Which codes apply to a template that is read: bits 0 to 2. */
enum { OBJECT_SENSITIVE = 1, OBJECT_INVALID = 2, OBJECT_SMALL = 4 };

/*
 * Read a template, as a module does that keeps to the standard. Returns the codes that apply; their return
 * value is object_rv(). An attribute that is not the object's is CKR_ATTRIBUTE_TYPE_INVALID.
 */
unsigned int object_read(const struct object *object, CK_ATTRIBUTE *list, size_t count);

/* One of the codes that apply: the first of them if `turn` is 0, else another one if there is one. */
CK_RV object_rv(unsigned int codes, unsigned int turn);

/* Whether `rv` is one of them. */
bool object_may_return(unsigned int codes, CK_RV rv);

/*
 * Make a template that reads `object`: any attributes in any order, some twice, some that it has not;
 * with NULL pointers and with rooms of all sizes, every one of them in `guard`.
 */
size_t object_template(const struct object *object, struct dice *dice, struct guard *guard,
                       CK_ATTRIBUTE **ret_list);

/* A copy of a template in memory of its own, with the same rooms and what is in them. */
CK_ATTRIBUTE *object_copy_template(struct guard *guard, const CK_ATTRIBUTE *list, size_t count);

/* Whether two templates that were read in the same rooms got the same. */
bool object_same_template(const CK_ATTRIBUTE *a, const CK_ATTRIBUTE *b, size_t count);

#endif
