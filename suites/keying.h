/* SPDX-License-Identifier: MIT
 *
 * What the suites about making keys have in common: mechanisms that may not be there, keys that a failed
 * call may have left behind, and seeing that a key works.
 */
#ifndef TAPE_SUITES_KEYING_H
#define TAPE_SUITES_KEYING_H

#include "suites/check.h"
#include "suites/objects.h"

/* A value that fits a key of any type here, in bytes. */
#define KEYING_VALUE_SIZE 4096

/* Go on only if the token lists the mechanism with all of `flags` (CKF_GENERATE, …); else skip. */
const CK_MECHANISM_INFO *keying_mechanism(struct check *c, CK_MECHANISM_TYPE type, CK_FLAGS flags);

/* Say so in a row, of one of the flags: then no process is made where there is no such mechanism. */
void keying_row(struct check_row *row, CK_MECHANISM_TYPE type, CK_FLAGS flags);

/* Whether it does. */
bool keying_has(const struct check *c, CK_MECHANISM_TYPE type, CK_FLAGS flags);

/* Begin a template of a session object whose CKA_ID is this check's own. */
void keying_template(struct check *c, struct template *t);

/* How many objects there are with that CKA_ID. */
size_t keying_left(struct check *c);

/* After a call that failed: it must have left no object (R-213, which the row names). */
void keying_nothing_left(struct check *c, const char *call);

/*
 * Of a generated key CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE follow from what it was made with (R-262, which
 * the row names).
 */
void keying_expect_history(struct check *c, CK_OBJECT_HANDLE key, bool sensitive, bool extractable);

/*
 * Add `latches` as latches/NAME-…, with every CKA_SENSITIVE (row.a) and CKA_EXTRACTABLE (row.b), and `hidden` as
 * hidden/NAME-…, with a key that is the one (row.a: 1) or not the other.
 */
void keying_add_secrecy(struct check_list *list, struct check_row latches, struct check_row hidden,
                        const char *name);

/* Give a secret key's template the uses that keys of the type have. */
void keying_uses(struct template *t, CK_KEY_TYPE type);

/* CKA_VALUE into KEYING_VALUE_SIZE bytes at `to`; false where it is not to be read. */
bool keying_value(struct check *c, CK_OBJECT_HANDLE key, CK_BYTE *to, CK_ULONG *ret_size);

/* A secret key of these bytes, with the uses of its type; skips where it cannot be made. */
CK_OBJECT_HANDLE keying_secret(struct check *c, CK_KEY_TYPE type, const void *value, size_t size);

/*
 * Use a secret key both ways, as its type can: encrypt and decrypt, or sign and verify. The outcome must
 * be what went in, or the signature must be valid and a changed one not (rule, which the row names). Returns
 * false where the token has no mechanism for the type.
 */
bool keying_works(struct check *c, unsigned int rule, CK_OBJECT_HANDLE key, CK_KEY_TYPE type);

/* Sign with one key of a pair and verify with the other, likewise. */
void keying_pair_works(struct check *c, unsigned int rule, CK_MECHANISM *mechanism,
                       CK_OBJECT_HANDLE public_key, CK_OBJECT_HANDLE private_key,
                       CK_ULONG data_size);

/* EXPECT_RV, but a function that is not supported is none to judge: the check is skipped. */
#define EXPECT_REFUSED(c, rule, call, ...)                                   \
	keying_refused(c, rule, #call, call, (const CK_RV[]){ __VA_ARGS__ }, \
	               sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV), __FILE__, __LINE__)
CK_RV keying_refused(struct check *c, unsigned int rule, const char *call, CK_RV rv,
                     const CK_RV *codes, size_t count, const char *file, int line);

#endif
