/* SPDX-License-Identifier: MIT
 *
 * What follows from a recorded call by PKCS#11's own rules: the answer to the same call with other rooms
 * (a NULL pointer, a buffer that is too small, a larger one), and to other reads of the same attributes.
 *
 * Pure functions over values. Nothing is guessed: bytes that were not recorded are in no answer. Where
 * the standard permits a module more than one answer, one of them is given and `leeway` says so.
 * Answers point into the recorded values, and into the arena: both must outlive them.
 */
#ifndef TAPE_DERIVE_H
#define TAPE_DERIVE_H

#include "core/api/api.h"
#include "core/arena.h"
#include "core/value.h"

/* In what a module that keeps to PKCS#11 may differ from a derived answer. */
enum tape_leeway {
	/* A length that was asked for, or is needed: it may be larger than the output (PKCS#11 3.1 §5.2). */
	TAPE_LEEWAY_LENGTH = 1 << 0,
	/* The return code: of several that apply any may be given (§5.1.7, §5.7.5). */
	TAPE_LEEWAY_CODE = 1 << 1,
};

/*
 * Whether a call does what it is for, or only asks how much room it takes: a call that returned CKR_OK to
 * a NULL buffer, or CKR_BUFFER_TOO_SMALL, neither feeds nor ends its operation, makes no object and may
 * come again with the same inputs (§5.2, §5.8.2 and its like). `in` are the inputs it was answered for.
 */
bool tape_call_steps(const struct tape_function *function, const struct tape_value *in, CK_RV rv);

/* Whether an argument's room is one that tape_derive() may answer for: leave it out of what must be equal. */
bool tape_derives_room(const struct tape_argument *argument);

struct tape_derived {
	CK_RV rv;
	unsigned int leeway; /* enum tape_leeway bits */
	bool steps;          /* tape_call_steps() of the live call */
	struct tape_value out[TAPE_MAX_ARGUMENTS];
};

/*
 * Answer a call whose inputs equal the recorded ones but for the rooms of arguments of which
 * tape_derives_room() holds; types and number of attributes are compared here. `rv` must not be a code of
 * the moment (CKR_DEVICE_ERROR and its like): what it says of this call it does not say of another.
 * Returns false where the answer does not follow, and where the arena is full.
 *
 * What follows: from bytes that are known whole, the answer to every room; from a length that was asked
 * for, nothing but itself; of lists, whose lengths are exact, that less room is too small; from
 * CKR_BUFFER_TOO_SMALL, the length and the answer to less room; from any other error, the same error in
 * as much room or more, since nothing that room decides has come to apply.
 */
TAPE_MUST_CHECK bool tape_derive(struct tape_arena *arena, const struct tape_function *function,
                                 const struct tape_value *in, const struct tape_value *out,
                                 CK_RV rv, const struct tape_value *live,
                                 struct tape_derived *ret_derived);

/* ---- attributes ----------------------------------------------------------------------------- */

enum tape_known_sort {
	TAPE_KNOWN_NOTHING,
	TAPE_KNOWN_VALUE, /* `value`: bytes, a secret's name or, of an attribute of attributes, a list */
	TAPE_KNOWN_LENGTH, /* `value.number` bytes */
	TAPE_KNOWN_NONE,   /* it cannot be had: `code` says why, or might */
};

/* What is known of one attribute of an object in one state. */
struct tape_known {
	uint8_t sort; /* enum tape_known_sort */
	bool sure; /* the code is this attribute's, and not perhaps another one's of the same call */
	CK_RV code; /* CKR_ATTRIBUTE_SENSITIVE or CKR_ATTRIBUTE_TYPE_INVALID */
	struct tape_value value;
};

/* Entries of a template at the most of which anything is known: it takes as long as their square. */
#define TAPE_MAX_KNOWN 4096

/*
 * What entry `index` of a template that was read says of its attribute (§5.7.5). `in` and `out` are the
 * argument's values; `out` may be TAPE_V_ABSENT. Points to what they point to.
 */
struct tape_known tape_known_read(const struct tape_value *in, const struct tape_value *out,
                                  CK_RV rv, size_t index);

/*
 * Whether two facts of the same attribute can both be so; *a becomes the one that says more.
 * Two that cannot leave *a as it is.
 */
TAPE_MUST_CHECK bool tape_known_join(struct tape_known *a, const struct tape_known *b);

/* The length of an attribute in bytes. Returns false where it is not known, or there is none. */
bool tape_known_length(const struct tape_known *known, uint64_t *ret_length);

/* How the entries of a template come to one return code. */
struct tape_codes {
	bool sensitive, invalid, small;
	bool unsure; /* some entry is refused, and its reason is not known */
};

/*
 * Answer one entry of a live template. Returns false where it does not follow from what is known, and
 * where the arena is full.
 */
TAPE_MUST_CHECK bool tape_known_answer(const struct tape_known *known,
                                       const struct tape_value *live, struct tape_arena *arena,
                                       struct tape_codes *codes, struct tape_value *ret_out);

/* Whether all reasons are known: else nobody knows which code comes first. */
bool tape_codes_known(const struct tape_codes *codes);

/*
 * The return code of a template, where it is known, and whether another one would be as right. Of several
 * that apply it is the first of CKR_ATTRIBUTE_SENSITIVE, CKR_ATTRIBUTE_TYPE_INVALID, CKR_BUFFER_TOO_SMALL.
 */
CK_RV tape_codes_rv(const struct tape_codes *codes, unsigned int *ret_leeway);

#endif
