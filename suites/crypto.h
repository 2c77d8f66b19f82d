/* SPDX-License-Identifier: MIT
 *
 * Mechanisms that checks drive through any function: their keys, parameters and inputs, and calls by
 * what is done (enum crypto_verb) rather than by name.
 *
 * A check of a mechanism is a row with `a` an index into crypto_mechanisms and `b` an enum crypto_verb. It
 * begins with crypto_begin(), which skips it where the token does not list the mechanism for the verb or
 * where a plain single-part run does not work: crypto_works() is the check that says so, once.
 */
#ifndef TAPE_SUITES_CRYPTO_H
#define TAPE_SUITES_CRYPTO_H

#include "suites/check.h"
#include "suites/objects.h"
#include "suites/oracle.h"

enum crypto_verb {
	VERB_DIGEST,
	VERB_ENCRYPT,
	VERB_DECRYPT,
	VERB_SIGN,
	VERB_VERIFY,
	VERB_SIGN_RECOVER,
	VERB_VERIFY_RECOVER,
	VERB_COUNT
};

#define VERB_BIT(verb) (1u << (verb))

/* The functions of a verb; TAPE_FN_COUNT where it has no such function. */
struct crypto_verb_info {
	const char *name; /* "C_Encrypt", of the single-part function */
	CK_FLAGS flag;
	CK_ATTRIBUTE_TYPE usage; /* that its key must have */
	enum tape_function_id init, single, update, final;
};

extern const struct crypto_verb_info crypto_verbs[VERB_COUNT];

enum crypto_key_type {
	CRYPTO_KEY_NONE,
	CRYPTO_KEY_GENERIC, /* 64 bytes, long enough for any HMAC */
	CRYPTO_KEY_AES,
	CRYPTO_KEY_DES,
	CRYPTO_KEY_DES3,
	CRYPTO_KEY_CAMELLIA,
	CRYPTO_KEY_ARIA,
	CRYPTO_KEY_SEED,
	CRYPTO_KEY_RC4,
	CRYPTO_KEY_CHACHA20,
	CRYPTO_KEY_RSA,
	CRYPTO_KEY_DSA,
	CRYPTO_KEY_EC,
	CRYPTO_KEY_EDWARDS,
	CRYPTO_KEY_ML_DSA,
};

enum crypto_parameter {
	CRYPTO_PARAMETER_NONE,
	CRYPTO_PARAMETER_IV8,
	CRYPTO_PARAMETER_IV16,
	CRYPTO_PARAMETER_CTR,
	CRYPTO_PARAMETER_GCM,
	CRYPTO_PARAMETER_CCM,
	CRYPTO_PARAMETER_CHACHA,
	CRYPTO_PARAMETER_MAC_LENGTH,
	CRYPTO_PARAMETER_PSS,
	CRYPTO_PARAMETER_OAEP,
};

enum { CRYPTO_DIGEST = 1, CRYPTO_CIPHER = 2, CRYPTO_SIGNATURE = 4, CRYPTO_RECOVERY = 8 };
enum {
	CRYPTO_SAME = 1,
	CRYPTO_SINGLE = 2,
	CRYPTO_PADDED = 4,
	CRYPTO_SEALED = 8,
	CRYPTO_HIDDEN = 16
};

/* A row of crypto.def, which says what the members mean. */
struct crypto_mechanism {
	CK_MECHANISM_TYPE type;
	const char *name;
	unsigned char use, key, parameter, traits;
	unsigned short block, input, longest, output;
	enum oracle_kind oracle;
	const char *algorithm;
};

extern const struct crypto_mechanism crypto_mechanisms[];
extern const size_t crypto_mechanism_count;

const struct crypto_mechanism *crypto_find(CK_MECHANISM_TYPE type);

/* Whether a mechanism is for a verb, whatever the token says. */
bool crypto_can(const struct crypto_mechanism *m, enum crypto_verb verb);
/* Whether the token lists it with the verb's flag. */
bool crypto_is_listed(const struct check *c, const struct crypto_mechanism *m,
                      enum crypto_verb verb);

/* Longer than any output of a mechanism's own input. */
#define CRYPTO_ROOM 4096

struct crypto_job {
	struct check *c;
	const struct crypto_mechanism *m;
	enum crypto_verb verb;
	CK_SESSION_HANDLE session; /* where calls go: the check's own at first */
	CK_OBJECT_HANDLE key;      /* that the verb takes, */
	CK_OBJECT_HANDLE other;    /* and the one of the verb that undoes it */
	bool known;                /* the keys' values are: they were created, or can be read */
	struct template *key_values, *public_values;
	CK_MECHANISM mechanism; /* its parameter ends at a page that is not there */
	const CK_BYTE *message;
	CK_ULONG message_size;
	/* What the verb is given, and what it then gives; of VERB_VERIFY `out` is the signature. */
	const CK_BYTE *in;
	CK_ULONG in_size;
	const CK_BYTE *out;
	CK_ULONG out_size;
};

/* Prepare the row's mechanism and verb, up to a plain run of it in a session of its own. */
void crypto_begin(struct check *c, struct crypto_job *job);

/* The same for checks that look at what it gives themselves. */
void crypto_begin_unjudged(struct check *c, struct crypto_job *job);

/* The same of a mechanism and a verb; and of the first mechanism that works for a verb, or skip. */
void crypto_begin_with(struct check *c, struct crypto_job *job, const struct crypto_mechanism *m,
                       enum crypto_verb verb);
void crypto_begin_any(struct check *c, struct crypto_job *job, enum crypto_verb verb, bool multi);

/* Only keys and parameter: the plain run is left out. */
void crypto_prepare(struct check *c, struct crypto_job *job, const struct crypto_mechanism *m,
                    enum crypto_verb verb);

/*
 * Begin `verb`, one that takes what another verb made, with the row's mechanism, and have libcrypto make that of the
 * job's message: into CRYPTO_ROOM bytes at `made`. Skips where the operation does not begin.
 */
void crypto_begin_made(struct check *c, struct crypto_job *job, enum crypto_verb verb,
                       CK_BYTE *made, CK_ULONG *ret_size);

/* The check that a listed mechanism works. */
void crypto_works(struct check *c);

/* A key as crypto_prepare() makes it, but changed by the caller before: see crypto_key_template(). */
void crypto_key_template(struct check *c, struct crypto_job *job, struct template *t);

/* A fresh copy of the parameter, for checks that change it. */
void *crypto_parameter(struct check *c, const struct crypto_job *job);

/* ---- calls ------------------------------------------------------------------------------------------- */

CK_RV crypto_init_with(struct crypto_job *job, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
CK_RV crypto_init(struct crypto_job *job);

/* An Init that must succeed, since it did before; else the check is skipped. */
void crypto_start(struct crypto_job *job);

/* `out` and `*size` are the output, of VERB_VERIFY the signature. */
CK_RV crypto_single(struct crypto_job *job, const void *in, CK_ULONG in_size, void *out,
                    CK_ULONG *size);
CK_RV crypto_update(struct crypto_job *job, const void *in, CK_ULONG in_size, void *out,
                    CK_ULONG *size);
CK_RV crypto_final(struct crypto_job *job, void *out, CK_ULONG *size);

/* A single-part call with all that it needs, and CRYPTO_ROOM bytes of room. */
CK_RV crypto_good_call(struct crypto_job *job, CK_BYTE **ret_out, CK_ULONG *ret_size);

/* Whether Update gives output. */
bool crypto_streams(enum crypto_verb verb);
/* Whether there are multi-part operations of it; and skip where the module has none that work. */
bool crypto_has_parts(const struct crypto_job *job);
void crypto_need_parts(struct crypto_job *job);

/*
 * In parts of `part` bytes into `out`. Where the module refuses a step, that is a finding by `rule`, or with
 * 0 the check is skipped.
 */
CK_ULONG crypto_in_parts(struct crypto_job *job, size_t part, CK_BYTE *out, CK_ULONG room,
                         unsigned int rule);

/* Name of the function that the last of these calls went to. */
const char *crypto_called(const struct crypto_job *job);

/* ---- judging ----------------------------------------------------------------------------------------- */

/* Whether `size` bytes at `out` are what the verb must give of job->in: compared, or undone. */
bool crypto_is_right(struct crypto_job *job, const void *out, CK_ULONG size);

/* Demand by `rule` that no operation is active: a good single-part call finds none. */
void crypto_expect_ended(struct crypto_job *job, unsigned int rule, const char *after);
/* Demand by `rule` that the operation goes on: the same input gives the right output. */
void crypto_expect_active(struct crypto_job *job, unsigned int rule, const char *after);

/* Demand what Init says of a bad parameter; `null` where what is bad is a NULL pointer. */
void crypto_expect_bad_parameter(struct crypto_job *job, CK_RV rv, bool null);

/* Ask the oracle, into CRYPTO_ROOM bytes at `out`; skips where there is none. */
enum oracle_answer crypto_ask(struct crypto_job *job, enum oracle_act act, struct oracle_bytes in,
                              struct oracle_bytes check, CK_BYTE *out, CK_ULONG *ret_size);

/* ---- lists ------------------------------------------------------------------------------------------- */

/* Add `row` for every mechanism that is for `verb`, as "FAMILY/C_Encrypt-CKM_AES_CBC". */
void crypto_add(struct check_list *list, struct check_row row, enum crypto_verb verb,
                const char *family, bool (*takes)(const struct crypto_mechanism *m));

/* The families that hold for all verbs of `verbs` (VERB_BIT). */
void crypto_add_families(struct check_list *list, enum crypto_verb verb);

#endif
