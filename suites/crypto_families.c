/* SPDX-License-Identifier: MIT
 *
 * What holds for every mechanism and whatever is done with it: how output is given (PKCS#11 3.1 §5.2), how
 * an operation begins and ends, and which keys and parameters are refused.
 */
#include <string.h>

#include "suites/crypto.h"

/* ---- output: single-part ----------------------------------------------------------------------------- */

/* What a length query may answer beyond the true size before we say that it is by much. */
static bool is_much(CK_ULONG said, CK_ULONG needed)
{
	return said > 2 * needed + 1024;
}

static void check_query(struct crypto_job *job, CK_RV rv, CK_ULONG said, CK_ULONG needed)
{
	struct check *c = job->c;
	EXPECT_CODE(c, 30, crypto_called(job), rv, CKR_OK);
	EXPECT(c, 30, said >= needed, "%s says that %lu bytes suffice for %lu", crypto_called(job),
	       (unsigned long)said, (unsigned long)needed);
	if (is_much(said, needed))
		DEVIATION(c, 30, "%s asks for %lu bytes where it gives %lu", crypto_called(job),
		          (unsigned long)said, (unsigned long)needed);
}

static void query(struct check *c)
{
	struct crypto_job job;
	CK_ULONG said = 0;
	crypto_begin(c, &job);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, job.in_size, NULL, &said);
	check_query(&job, rv, said, job.out_size);
	crypto_expect_active(&job, 34, "a length query");
}

/* A call that had `room` for `needed` bytes has answered. */
static void check_too_small(struct crypto_job *job, CK_RV rv, const CK_BYTE *out, CK_ULONG said,
                            CK_ULONG room, CK_ULONG needed)
{
	struct check *c = job->c;
	EXPECT(c, 313, check_untouched(out, 0, 0), "%s wrote before the buffer",
	       crypto_called(job));
	EXPECT(c, 32, rv == CKR_BUFFER_TOO_SMALL,
	       "%s with room for %lu of %lu bytes returned %s, expected CKR_BUFFER_TOO_SMALL",
	       crypto_called(job), (unsigned long)room, (unsigned long)needed, check_rv_name(rv));
	EXPECT(c, 32, said >= needed, "%s says that %lu bytes suffice for %lu", crypto_called(job),
	       (unsigned long)said, (unsigned long)needed);
}

static void too_small(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	if (job.out_size == 0)
		check_skip(c, "%s gives no output", job.m->name);
	CK_ULONG room = c->row->d == 0 ? 0 : job.out_size - 1;
	CK_ULONG said = room;
	CK_BYTE *out = check_buffer(c, room);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, job.in_size, out, &said);
	check_too_small(&job, rv, out, said, room, job.out_size);
	crypto_expect_active(&job, 34, "CKR_BUFFER_TOO_SMALL");
}

/*
 * As much room as is needed, or more than can be. What is decrypted is only then known not to need what the
 * ciphertext has: 2.40 wants that tried, the later text does not.
 */
static void room(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	bool exact = c->row->d == 0;
	CK_ULONG size = exact                        ? job.out_size
	                : job.in_size > job.out_size ? job.in_size + 100
	                                             : job.out_size + 100;
	CK_BYTE *out = check_buffer(c, size);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, job.in_size, out, &size);
	if (rv == CKR_BUFFER_TOO_SMALL && job.verb == VERB_DECRYPT && exact) {
		if (c->target->spec >= SPEC(3, 0)) {
			OBSERVE(c, 33, "C_Decrypt wants more room than it needs in the end");
			check_too_small(&job, rv, out, size, job.out_size, job.out_size);
			crypto_expect_active(&job, 34, "CKR_BUFFER_TOO_SMALL");
			return;
		}
		DEVIATION(c, 31, "C_Decrypt with just enough room returned CKR_BUFFER_TOO_SMALL");
		return;
	}
	EXPECT_CODE(c, 31, crypto_called(&job), rv, CKR_OK);
	EXPECT(c, 31, size == job.out_size, "%s says it wrote %lu bytes, expected %lu",
	       crypto_called(&job), (unsigned long)size, (unsigned long)job.out_size);
	EXPECT(c, 31, crypto_is_right(&job, out, size), "%s gave something else than before",
	       crypto_called(&job));
	EXPECT(c, 313, check_untouched(out, size, size), "%s wrote before the buffer",
	       crypto_called(&job));
}

/* ---- output: Update and Final ------------------------------------------------------------------------ */

/* All of the input by one Update, which must work by `rule` (0: else skip); returns how many bytes that gave. */
static CK_ULONG feed(struct crypto_job *job, CK_BYTE *out, CK_ULONG room, unsigned int rule)
{
	struct check *c = job->c;
	CK_ULONG size = room;
	CK_RV rv = crypto_update(job, job->in, job->in_size, out, &size);
	if (rule != 0)
		EXPECT_CODE(c, rule, crypto_called(job), rv, CKR_OK);
	else if (rv != CKR_OK)
		check_skip(job->c, "%s returned %s", crypto_called(job), check_rv_name(rv));
	return crypto_streams(job->verb) ? size : 0;
}

static void final_query(struct check *c)
{
	struct crypto_job job;
	CK_ULONG said = 0;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	crypto_start(&job);
	CK_ULONG used = feed(&job, out, CRYPTO_ROOM, 0);
	CK_RV rv = crypto_final(&job, NULL, &said);
	check_query(&job, rv, said, job.out_size - used);
	CK_ULONG size = CRYPTO_ROOM - used;
	rv = crypto_final(&job, out + used, &size);
	EXPECT_CODE(c, 34, crypto_called(&job), rv, CKR_OK);
	EXPECT(c, 34, crypto_is_right(&job, out, used + size),
	       "after a length query %s gave something else", crypto_called(&job));
}

static void final_too_small(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	crypto_start(&job);
	CK_ULONG used = feed(&job, out, CRYPTO_ROOM, 0);
	if (used >= job.out_size)
		check_skip(c, "%s gives nothing out at the end", job.m->name);
	CK_ULONG rest = job.out_size - used;
	CK_ULONG room = c->row->d == 0 ? 0 : rest - 1;
	CK_ULONG said = room;
	CK_BYTE *small = check_buffer(c, room);
	CK_RV rv = crypto_final(&job, small, &said);
	check_too_small(&job, rv, small, said, room, rest);
	CK_ULONG size = CRYPTO_ROOM - used;
	rv = crypto_final(&job, out + used, &size);
	EXPECT_CODE(c, 34, crypto_called(&job), rv, CKR_OK);
	EXPECT(c, 34, crypto_is_right(&job, out, used + size),
	       "after CKR_BUFFER_TOO_SMALL %s gave something else", crypto_called(&job));
}

/* Finish what Updates have begun, `used` bytes of whose output are there. */
static void finish(struct crypto_job *job, CK_BYTE *out, CK_ULONG used, unsigned int rule,
                   const char *after)
{
	struct check *c = job->c;
	CK_ULONG size = CRYPTO_ROOM - used;
	CK_RV rv = crypto_final(job, out + used, &size);
	EXPECT(c, rule, rv == CKR_OK, "after %s %s returned %s", after, crypto_called(job),
	       check_rv_name(rv));
	EXPECT(c, rule, crypto_is_right(job, out, used + size),
	       "after %s the output is another one", after);
}

static void update_query(struct check *c)
{
	struct crypto_job job;
	CK_ULONG said = 0;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, job.in, job.in_size, NULL, &said);
	EXPECT_CODE(c, 30, crypto_called(&job), rv, CKR_OK);
	CK_ULONG used = feed(&job, out, CRYPTO_ROOM, 34);
	EXPECT(c, 30, said >= used, "%s said that %lu bytes suffice, and gave %lu",
	       crypto_called(&job), (unsigned long)said, (unsigned long)used);
	finish(&job, out, used, 34, "a length query by Update");
}

static void update_too_small(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	/* How much the Update gives: tried in another session. */
	job.session = check_open(c, 0);
	crypto_start(&job);
	CK_ULONG gives = feed(&job, out, CRYPTO_ROOM, 0);
	(void)c->p11->C_CloseSession(job.session);
	job.session = c->session;
	if (gives == 0)
		check_skip(c, "%s gives nothing out before the end", job.m->name);
	CK_ULONG room = c->row->d == 0 ? 0 : gives - 1;
	CK_ULONG said = room;
	CK_BYTE *small = check_buffer(c, room);
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, job.in, job.in_size, small, &said);
	check_too_small(&job, rv, small, said, room, gives);
	CK_ULONG used = feed(&job, out, CRYPTO_ROOM, 34);
	finish(&job, out, used, 34, "CKR_BUFFER_TOO_SMALL from Update");
}

/* ---- parts ------------------------------------------------------------------------------------------- */

/* What a token need not do in parts (PKCS#11 3.1 §6.3.14): the whole message must be there first. */
static bool may_refuse_parts(const struct crypto_mechanism *m)
{
	return m->oracle == ORACLE_EDDSA || m->key == CRYPTO_KEY_ML_DSA;
}

/* Of 16 bytes any mechanism takes parts; of others, block ciphers may want whole blocks. */
static void parts(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	if (c->row->d > job.in_size)
		check_skip(c, "the input of %s is shorter", job.m->name);
	bool must = c->row->d == 16 && !may_refuse_parts(job.m);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = crypto_in_parts(&job, c->row->d, out, CRYPTO_ROOM, must ? 354 : 0);
	EXPECT(c, 354, job.verb == VERB_VERIFY || crypto_is_right(&job, out, size),
	       "in parts of %lu bytes the output of %s is not that of %s", (unsigned long)c->row->d,
	       job.m->name, crypto_verbs[job.verb].name);
}

static void empty_update(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = CRYPTO_ROOM;
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, job.in, 0, out, &size);
	if (rv != CKR_OK)
		check_skip(c, "%s refuses an empty part: %s", crypto_called(&job),
		           check_rv_name(rv));
	CK_ULONG used = crypto_streams(job.verb) ? size : 0;
	used += feed(&job, out + used, CRYPTO_ROOM - used, 0);
	if (job.verb == VERB_VERIFY) {
		size = job.out_size;
		memcpy(out, job.out, size);
		rv = crypto_final(&job, out, &size);
		EXPECT(c, 354, rv == CKR_OK, "after an empty part %s returned %s",
		       crypto_called(&job), check_rv_name(rv));
		return;
	}
	finish(&job, out, used, 354, "an empty part");
}

static void no_update(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	if (job.verb == VERB_DECRYPT && (job.m->traits & (CRYPTO_PADDED | CRYPTO_SEALED)) != 0)
		check_skip(c, "no ciphertext of %s is empty", job.m->name);
	if (job.m->parameter == CRYPTO_PARAMETER_CCM)
		check_skip(c, "the parameter of %s says how long the message is", job.m->name);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = CRYPTO_ROOM;
	crypto_start(&job);
	CK_RV rv = crypto_final(&job, out, &size);
	EXPECT_CODE(c, 170, crypto_called(&job), rv, CKR_OK);
	CK_ULONG expected = job.m->block;
	if (job.verb == VERB_DIGEST)
		expected = job.m->output;
	else if ((job.m->traits & CRYPTO_PADDED) == 0)
		expected = (job.m->traits & CRYPTO_SEALED) != 0 ? 16 : 0;
	EXPECT(c, 170, size == expected, "%s of nothing gives %lu bytes, expected %lu",
	       crypto_called(&job), (unsigned long)size, (unsigned long)expected);
	crypto_expect_ended(&job, 165, "Final");
}

/* what can be given out is. */
static void prompt(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	if ((job.m->traits & CRYPTO_HIDDEN) != 0)
		check_skip(c, "%s is not for giving out before the end", job.m->name);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG held = (job.m->traits & CRYPTO_PADDED) != 0 && job.verb == VERB_DECRYPT
	                        ? job.m->block
	                        : job.in_size % job.m->block;
	crypto_start(&job);
	CK_ULONG gives = feed(&job, out, CRYPTO_ROOM, 0);
	EXPECT(c, 35, gives + held >= job.in_size,
	       "%s gave %lu bytes where the input determines %lu", crypto_called(&job),
	       (unsigned long)gives, (unsigned long)(job.in_size - held));
}

/* ---- beginning and ending ---------------------------------------------------------------------------- */

static void single_after_update(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = CRYPTO_ROOM;
	crypto_start(&job);
	(void)feed(&job, out, CRYPTO_ROOM, 0);
	if (job.verb == VERB_VERIFY) {
		memcpy(out, job.out, job.out_size);
		size = job.out_size;
	}
	CK_RV rv = crypto_single(&job, job.in, job.in_size, out, &size);
	/* A verification of the message twice must not succeed, but may well be made. */
	EXPECT(c, 169, rv != CKR_OK && (job.verb != VERB_VERIFY || rv != CKR_SIGNATURE_INVALID),
	       "%s after Update returned %s", crypto_called(&job), check_rv_name(rv));
}

static void second_init(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_start(&job);
	CK_RV rv = crypto_init(&job);
	if (rv == CKR_OK)
		check_note(c, "a second %s drops the first operation", crypto_called(&job));
	else
		EXPECT_CODE(c, 162, crypto_called(&job), rv, CKR_OPERATION_ACTIVE);
	crypto_expect_active(&job, 162, "a second Init");
}

static unsigned int end_rule(const struct crypto_job *job)
{
	return job->verb == VERB_VERIFY ? 168 : 165;
}

static void ends(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = CRYPTO_ROOM;
	if (job.verb == VERB_VERIFY) {
		memcpy(out, job.out, job.out_size);
		size = job.out_size;
	}
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, job.in_size, out, &size);
	if (rv != CKR_OK)
		check_skip(c, "%s, which worked before, returned %s", crypto_called(&job),
		           check_rv_name(rv));
	crypto_expect_ended(&job, end_rule(&job), "success");
}

static void final_ends(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	(void)crypto_in_parts(&job, job.in_size, out, CRYPTO_ROOM, 0);
	crypto_expect_ended(&job, end_rule(&job), "Final");
	crypto_start(&job);
	crypto_expect_active(&job, end_rule(&job), "another Init");
}

static void in_place(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_ULONG size = job.in_size > job.out_size ? job.in_size : job.out_size;
	/* Decryption may want more room than it uses. */
	CK_BYTE *both = check_buffer(c, size);
	memcpy(both, job.in, job.in_size);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, both, job.in_size, both, &size);
	EXPECT_CODE(c, 37, crypto_called(&job), rv, CKR_OK);
	EXPECT(c, 37, crypto_is_right(&job, both, size),
	       "with input and output in one place %s gave something else", crypto_called(&job));
}

static void in_place_update(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_ULONG size = CRYPTO_ROOM;
	CK_BYTE *both = check_buffer(c, CRYPTO_ROOM);
	memcpy(both, job.in, job.in_size);
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, both, job.in_size, both, &size);
	EXPECT_CODE(c, 37, crypto_called(&job), rv, CKR_OK);
	finish(&job, both, size, 37, "an Update with input and output in one place");
}

/* ---- two at a time ----------------------------------------------------------------------------------- */

static void two_sessions(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	if (crypto_has_parts(&job))
		crypto_need_parts(&job);
	struct crypto_job other = job;
	other.session = check_open(c, 0);
	crypto_start(&job);
	CK_RV rv = crypto_init(&other);
	EXPECT(c, 353, rv == CKR_OK, "in a second session %s returned %s", crypto_called(&job),
	       check_rv_name(rv));
	if (crypto_has_parts(&job)) {
		CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
		CK_ULONG used = feed(&job, out, CRYPTO_ROOM, 353);
		crypto_expect_active(&other, 353, "an Update in another session");
		if (job.verb != VERB_VERIFY) {
			finish(&job, out, used, 353, "an operation in another session");
			return;
		}
		CK_ULONG size = job.out_size;
		memcpy(out, job.out, size);
		rv = crypto_final(&job, out, &size);
		EXPECT(c, 353, rv == CKR_OK, "after an operation in another session %s returned %s",
		       crypto_called(&job), check_rv_name(rv));
		return;
	}
	crypto_expect_active(&other, 353, "an Init in another session");
	crypto_expect_active(&job, 353, "an operation in another session");
}

/* ---- keys -------------------------------------------------------------------------------------------- */

static bool is_public(enum crypto_verb verb)
{
	return verb == VERB_ENCRYPT || verb == VERB_VERIFY || verb == VERB_VERIFY_RECOVER;
}

/* A key that the mechanism cannot use, but which may be used for the verb unless `forbidden`. */
static CK_OBJECT_HANDLE wrong_key(struct check *c, struct crypto_job *job, bool forbidden)
{
	struct template t;
	enum object_kind kind = is_public(job->verb) ? OBJECT_RSA_PUBLIC : OBJECT_RSA_PRIVATE;
	if (job->m->key == CRYPTO_KEY_RSA)
		kind = OBJECT_AES;
	object_template(c, &t, kind);
	template_bool(&t, crypto_verbs[job->verb].usage, !forbidden);
	return object_create(c, &t);
}

static void wrong_key_type(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_RV rv = crypto_init_with(&job, &job.mechanism, wrong_key(c, &job, false));
	EXPECT_CODE(c, 355, crypto_called(&job), rv, CKR_KEY_TYPE_INCONSISTENT);
}

static void wrong_and_forbidden(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_RV rv = crypto_init_with(&job, &job.mechanism, wrong_key(c, &job, true));
	EXPECT(c, 21, rv != CKR_KEY_FUNCTION_NOT_PERMITTED,
	       "%s returned CKR_KEY_FUNCTION_NOT_PERMITTED for a key of the wrong type, and "
	       "CKR_KEY_TYPE_INCONSISTENT ranks above it",
	       crypto_called(&job));
	EXPECT_CODE(c, 21, crypto_called(&job), rv, CKR_KEY_TYPE_INCONSISTENT);
}

static void not_permitted(struct check *c)
{
	struct crypto_job job;
	struct template t;
	crypto_begin(c, &job);
	crypto_key_template(c, &job, &t);
	template_bool(&t, crypto_verbs[job.verb].usage, false);
	CK_RV rv = crypto_init_with(&job, &job.mechanism, object_create(c, &t));
	EXPECT_CODE(c, 176, crypto_called(&job), rv, CKR_KEY_FUNCTION_NOT_PERMITTED);
}

/* ---- parameters -------------------------------------------------------------------------------------- */

enum bad_parameter { PARAMETER_MISSING, PARAMETER_SHORT, PARAMETER_LONG, PARAMETER_NULL };

static void bad_parameter(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_ULONG size = job.mechanism.ulParameterLen;
	CK_MECHANISM mechanism = { job.m->type, NULL, 0 };
	if (c->row->d == PARAMETER_SHORT || c->row->d == PARAMETER_LONG) {
		mechanism.ulParameterLen = c->row->d == PARAMETER_SHORT ? size - 1 : size + 1;
		mechanism.pParameter =
			memset(check_buffer(c, mechanism.ulParameterLen), 0, size - 1);
		memcpy(mechanism.pParameter, job.mechanism.pParameter, size - 1);
	}
	if (c->row->d == PARAMETER_NULL)
		mechanism.ulParameterLen = size;
	CK_RV rv = crypto_init_with(&job, &mechanism, job.key);
	crypto_expect_bad_parameter(&job, rv, c->row->d == PARAMETER_NULL);
}

static void stray_parameter(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_MECHANISM mechanism = { job.m->type, memset(check_buffer(c, 16), 0, 16), 16 };
	CK_RV rv = crypto_init_with(&job, &mechanism, job.key);
	EXPECT(c, 178, rv == CKR_OK || rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_ARGUMENTS_BAD,
	       "%s with a parameter that %s has not returned %s", crypto_called(&job), job.m->name,
	       check_rv_name(rv));
	if (rv != CKR_OK)
		return;
	/* Programs pass what the mechanism does not look at, and modules let them. */
	DEVIATION(c, 178, "%s takes a parameter, which the mechanism has not", crypto_called(&job));
	crypto_expect_active(&job, 178, "Init with a parameter that the mechanism has not");
}

/* What the parameter points at is overwritten after Init; a structure stays, so that nothing points nowhere. */
static void copied(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_start(&job);
	void *parameter = job.mechanism.pParameter;
	switch ((enum crypto_parameter)job.m->parameter) {
	case CRYPTO_PARAMETER_GCM: {
		CK_GCM_PARAMS *gcm = parameter;
		memset(gcm->pIv, 0x5a, gcm->ulIvLen);
		memset(gcm->pAAD, 0x5a, gcm->ulAADLen);
		break;
	}
	case CRYPTO_PARAMETER_CCM: {
		CK_CCM_PARAMS *ccm = parameter;
		memset(ccm->pNonce, 0x5a, ccm->ulNonceLen);
		memset(ccm->pAAD, 0x5a, ccm->ulAADLen);
		break;
	}
	case CRYPTO_PARAMETER_CHACHA: {
		CK_SALSA20_CHACHA20_POLY1305_PARAMS *chacha = parameter;
		memset(chacha->pNonce, 0x5a, chacha->ulNonceLen);
		memset(chacha->pAAD, 0x5a, chacha->ulAADLen);
		break;
	}
	default:
		memset(parameter, 0, job.mechanism.ulParameterLen);
	}
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = CRYPTO_ROOM;
	if (job.verb == VERB_VERIFY) {
		memcpy(out, job.out, job.out_size);
		size = job.out_size;
	}
	CK_RV rv = crypto_single(&job, job.in, job.in_size, out, &size);
	EXPECT(c, 352, rv == CKR_OK,
	       "%s returned %s after the parameter's memory was used for something else",
	       crypto_called(&job), check_rv_name(rv));
	/* Signatures with a salt are judged by the module, with the parameter that is overwritten. */
	bool known = (job.m->traits & CRYPTO_SAME) != 0 || job.verb == VERB_DECRYPT;
	EXPECT(c, 352, !known || crypto_is_right(&job, out, size),
	       "the output is another one after the parameter's memory was used for something "
	       "else");
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static bool has_parts(const struct crypto_mechanism *m)
{
	return (m->traits & CRYPTO_SINGLE) == 0;
}

static bool has_parameter(const struct crypto_mechanism *m)
{
	return m->parameter != CRYPTO_PARAMETER_NONE;
}

static bool has_no_parameter(const struct crypto_mechanism *m)
{
	/* ML-DSA's is optional. */
	return m->parameter == CRYPTO_PARAMETER_NONE && m->key != CRYPTO_KEY_ML_DSA;
}

#define OUTPUTS                                                                    \
	(VERB_BIT(VERB_DIGEST) | VERB_BIT(VERB_ENCRYPT) | VERB_BIT(VERB_DECRYPT) | \
	 VERB_BIT(VERB_SIGN) | VERB_BIT(VERB_SIGN_RECOVER) | VERB_BIT(VERB_VERIFY_RECOVER))
#define CRYPTS (VERB_BIT(VERB_ENCRYPT) | VERB_BIT(VERB_DECRYPT))
#define ALL (OUTPUTS | VERB_BIT(VERB_VERIFY))
#define PARTED (ALL & ~(VERB_BIT(VERB_SIGN_RECOVER) | VERB_BIT(VERB_VERIFY_RECOVER)))
#define KEYED (ALL & ~VERB_BIT(VERB_DIGEST))
#define SIZED (PARTED & ~VERB_BIT(VERB_VERIFY))

/* CHECK() for a table. */
#define ROW(function, sentence, ...)                                                            \
	{                                                                                       \
		.run = function, .needs = NEED_USER, .what = sentence, .rules = { __VA_ARGS__ } \
	}

static const struct {
	const char *name;
	unsigned int verbs;
	bool (*takes)(const struct crypto_mechanism *m);
	uintptr_t d;
	struct check_row row;
} families[] = {
	{ "works", ALL, NULL, 0, ROW(crypto_works, "a listed mechanism works", 350) },
	{ "query", OUTPUTS, NULL, 0,
	  ROW(query, "a length query tells enough and ends nothing", 30, 34) },
	{ "no-room", OUTPUTS, NULL, 0,
	  ROW(too_small, "no room at all is refused and ends nothing", 32, 34, 313) },
	{ "too-small", OUTPUTS, NULL, 1,
	  ROW(too_small, "a byte too little is refused and ends nothing", 32, 34, 313) },
	{ "exact", OUTPUTS, NULL, 0,
	  ROW(room, "a buffer that is just large enough suffices", 31, 32, 33, 34, 313) },
	{ "larger", OUTPUTS, NULL, 100,
	  ROW(room, "the size of the output is told where there is more room", 31, 32, 33, 34,
	      313) },
	{ "final-query", SIZED, has_parts, 0,
	  ROW(final_query, "a length query by Final ends nothing", 30, 34) },
	{ "final-no-room", SIZED, has_parts, 0,
	  ROW(final_too_small, "no room for Final is refused and ends nothing", 32, 34, 313) },
	{ "final-too-small", SIZED, has_parts, 1,
	  ROW(final_too_small, "a byte too little for Final is refused and ends nothing", 32, 34,
	      313) },
	{ "update-query", CRYPTS, has_parts, 0,
	  ROW(update_query, "a length query by Update takes no input", 30, 34) },
	{ "update-no-room", CRYPTS, has_parts, 0,
	  ROW(update_too_small, "no room for Update is refused and takes no input", 32, 34, 313) },
	{ "update-too-small", CRYPTS, has_parts, 1,
	  ROW(update_too_small, "a byte too little for Update is refused and takes no input", 32,
	      34, 313) },
	{ "parts-of-1", PARTED, has_parts, 1,
	  ROW(parts, "bytes one by one give what all at once give", 354) },
	{ "parts-of-5", PARTED, has_parts, 5,
	  ROW(parts, "parts that no block fits give what all at once give", 354) },
	{ "parts-of-16", PARTED, has_parts, 16,
	  ROW(parts, "parts of 16 bytes give what all at once give", 354) },
	{ "parts-of-33", PARTED, has_parts, 33,
	  ROW(parts, "parts of 33 bytes give what all at once give", 354) },
	{ "empty-update", PARTED, has_parts, 0,
	  ROW(empty_update, "an empty part changes nothing", 354) },
	{ "no-update", CRYPTS | VERB_BIT(VERB_DIGEST), has_parts, 0,
	  ROW(no_update, "Final may follow Init", 170, 165) },
	{ "prompt", CRYPTS, has_parts, 0, ROW(prompt, "Update gives out what it can", 35) },
	{ "single-after-update", PARTED, has_parts, 0,
	  ROW(single_after_update, "a single-part call does not end what parts began", 169) },
	{ "second-init", ALL, NULL, 0,
	  ROW(second_init, "a second Init leaves the operation alone", 162) },
	{ "ends", ALL, NULL, 0,
	  ROW(ends, "a single-part call that succeeded ends the operation", 165, 168) },
	{ "final-ends", PARTED, has_parts, 0,
	  ROW(final_ends, "Final ends the operation", 165, 168) },
	{ "in-place", CRYPTS | VERB_BIT(VERB_DIGEST), NULL, 0,
	  ROW(in_place, "input and output may be in one place", 37) },
	{ "in-place-update", CRYPTS, has_parts, 0,
	  ROW(in_place_update, "input and output of Update may be in one place", 37) },
	{ "two-sessions", ALL, NULL, 0,
	  ROW(two_sessions, "an operation in another session disturbs nothing", 353) },
	{ "wrong-key-type", KEYED, NULL, 0,
	  ROW(wrong_key_type, "a key of another type is refused", 355) },
	{ "wrong-and-forbidden", KEYED, NULL, 0,
	  ROW(wrong_and_forbidden, "of a key of another type its type is said, not its usage",
	      21) },
	{ "not-permitted", KEYED, NULL, 0,
	  ROW(not_permitted, "a key that is not for it is refused", 176) },
	{ "parameter-missing", ALL, has_parameter, PARAMETER_MISSING,
	  ROW(bad_parameter, "a parameter that is missing is refused", 178) },
	{ "parameter-short", ALL, has_parameter, PARAMETER_SHORT,
	  ROW(bad_parameter, "a parameter that is too short is refused", 178) },
	{ "parameter-long", ALL, has_parameter, PARAMETER_LONG,
	  ROW(bad_parameter, "a parameter that is too long is refused", 178) },
	{ "parameter-null", ALL, has_parameter, PARAMETER_NULL,
	  ROW(bad_parameter, "a parameter that is NULL is refused", 178) },
	{ "parameter-stray", ALL, has_no_parameter, 0,
	  ROW(stray_parameter, "a parameter that the mechanism has not", 178) },
	{ "parameter-copied", ALL, has_parameter, 0,
	  ROW(copied, "the parameter is the caller's after Init", 352) },
};

void crypto_add_families(struct check_list *list, enum crypto_verb verb)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(families); i++) {
		struct check_row row = families[i].row;
		row.d = families[i].d;
		if ((families[i].verbs & VERB_BIT(verb)) != 0)
			crypto_add(list, row, verb, families[i].name, families[i].takes);
	}
}
