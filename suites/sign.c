/* SPDX-License-Identifier: MIT
 *
 * Signatures and MACs (PKCS#11 3.1 §5.13, §5.15): what holds for every mechanism, known answers both ways,
 * what must not verify, recovery, C_VerifySignature.
 */
#include <string.h>

#include "suites/crypto.h"
#include "suites/keys.h"

static const struct oracle_bytes nothing = { NULL, 0 };

/* ---- known answers ----------------------------------------------------------------------------------- */

static bool is_mac(const struct crypto_mechanism *m)
{
	return m->oracle == ORACLE_HMAC || m->oracle == ORACLE_CMAC;
}

/* Recovery's signatures are those of C_Sign. */
static void sign_known(struct check *c)
{
	struct crypto_job job;
	CK_BYTE expected[CRYPTO_ROOM];
	CK_ULONG size;
	crypto_begin_unjudged(c, &job);
	struct oracle_bytes in = { job.in, job.in_size };
	if (is_mac(job.m)) {
		(void)crypto_ask(&job, ORACLE_MAKE, in, nothing, expected, &size);
		EXPECT(c, 351, size == job.out_size && memcmp(expected, job.out, size) == 0,
		       "%s gave another MAC than libcrypto", crypto_called(&job));
		return;
	}
	enum oracle_answer answer =
		crypto_ask(&job, ORACLE_UNMAKE, in, (struct oracle_bytes){ job.out, job.out_size },
	                   expected, &size);
	EXPECT(c, 351, answer == ORACLE_DONE, "libcrypto does not verify what %s gave",
	       crypto_called(&job));
}

static void verify_known(struct check *c)
{
	struct crypto_job job;
	CK_BYTE signature[CRYPTO_ROOM];
	CK_ULONG size;
	crypto_begin_made(c, &job, VERB_VERIFY, signature, &size);
	CK_RV rv = crypto_single(&job, job.message, job.message_size, signature, &size);
	EXPECT(c, 351, rv == CKR_OK, "%s of what libcrypto signed returned %s", crypto_called(&job),
	       check_rv_name(rv));
}

static void recover_known(struct check *c)
{
	struct crypto_job job;
	CK_BYTE signature[CRYPTO_ROOM];
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG signature_size, size = CRYPTO_ROOM;
	crypto_begin_made(c, &job, VERB_VERIFY_RECOVER, signature, &signature_size);
	CK_RV rv = crypto_single(&job, signature, signature_size, out, &size);
	EXPECT(c, 351, rv == CKR_OK, "%s of what libcrypto signed returned %s", crypto_called(&job),
	       check_rv_name(rv));
	EXPECT(c, 351, size == job.message_size && memcmp(out, job.message, size) == 0,
	       "%s of what libcrypto signed gave something else", crypto_called(&job));
}

/* A message of no bytes, signed and verified. */
static void empty(struct check *c)
{
	struct crypto_job job;
	CK_BYTE expected[CRYPTO_ROOM];
	CK_ULONG expected_size, size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, 0, out, &size);
	EXPECT(c, 351, rv == CKR_OK, "%s of no bytes returned %s", crypto_called(&job),
	       check_rv_name(rv));
	if (is_mac(job.m)) {
		(void)crypto_ask(&job, ORACLE_MAKE, nothing, nothing, expected, &expected_size);
		EXPECT(c, 351, size == expected_size && memcmp(out, expected, size) == 0,
		       "the MAC of no bytes is not what libcrypto says");
		return;
	}
	enum oracle_answer answer =
		crypto_ask(&job, ORACLE_UNMAKE, nothing, (struct oracle_bytes){ out, size },
	                   expected, &expected_size);
	EXPECT(c, 351, answer == ORACLE_DONE,
	       "libcrypto does not verify the signature of no bytes");
}

static unsigned int size_rule(const struct crypto_mechanism *m)
{
	if (m->type == CKM_RSA_PKCS || m->type == CKM_RSA_X_509)
		return 290;
	if (m->oracle == ORACLE_HMAC)
		return 292;
	return m->oracle == ORACLE_ECDSA ? 291 : 351;
}

static void output_size(struct check *c)
{
	struct crypto_job job;
	crypto_begin_unjudged(c, &job);
	EXPECT(c, size_rule(job.m), job.out_size == job.m->output,
	       "a signature of %s has %lu bytes, expected %u", job.m->name,
	       (unsigned long)job.out_size, job.m->output);
}

/* ---- what must not verify ---------------------------------------------------------------------------- */

enum forgery { FLIPPED, FLIPPED_FIRST, OTHER_DATA, SHORT, LONG, EMPTY, FORGERIES };

static const char *const forgeries[FORGERIES] = {
	[FLIPPED] = "flipped",
	[FLIPPED_FIRST] = "flipped-first",
	[OTHER_DATA] = "other-data",
	[SHORT] = "short",
	[LONG] = "long",
	[EMPTY] = "empty",
};

/* Data and signature, of which one is wrong; either ends at a page that is not there. */
struct forged {
	CK_BYTE *data, *signature;
	CK_ULONG data_size, signature_size;
};

static struct forged forge(struct check *c, const struct crypto_job *job, enum forgery how,
                           const CK_BYTE *signature, CK_ULONG size)
{
	struct forged f = { NULL, NULL, job->message_size, size };
	if (how == SHORT)
		f.signature_size--;
	if (how == LONG)
		f.signature_size++;
	if (how == EMPTY)
		f.signature_size = 0;
	f.data = memcpy(check_buffer(c, f.data_size), job->message, f.data_size);
	f.signature = memset(check_buffer(c, f.signature_size), 0, f.signature_size);
	memcpy(f.signature, signature, f.signature_size < size ? f.signature_size : size);
	if (how == FLIPPED)
		f.signature[size - 1] ^= 1;
	if (how == FLIPPED_FIRST)
		f.signature[0] ^= 1;
	if (how == OTHER_DATA)
		f.data[f.data_size / 2] ^= 1;
	return f;
}

static void expect_refused(struct check *c, const char *function, CK_RV rv, enum forgery how)
{
	bool length = how == SHORT || how == LONG || how == EMPTY;
	if (!length) {
		EXPECT_CODE(c, 171, function, rv, CKR_SIGNATURE_INVALID);
		return;
	}
	EXPECT_CODE(c, 171, function, rv, CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID);
	/* "Should" in §5.15.2, and ranked above the other in §5.1.6. */
	if (rv == CKR_SIGNATURE_INVALID)
		DEVIATION(c, 19,
		          "%s of a signature of a length that none has returned "
		          "CKR_SIGNATURE_INVALID, expected CKR_SIGNATURE_LEN_RANGE",
		          function);
}

static void refuse(struct check *c)
{
	struct crypto_job job;
	enum forgery how = (enum forgery)c->row->d;
	crypto_begin(c, &job);
	struct forged f = forge(c, &job, how, job.out, job.out_size);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, f.data, f.data_size, f.signature, &f.signature_size);
	expect_refused(c, crypto_called(&job), rv, how);
	crypto_expect_ended(&job, 168, "a verification that failed");
}

static void refuse_parts(struct check *c)
{
	struct crypto_job job;
	enum forgery how = (enum forgery)c->row->d;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	struct forged f = forge(c, &job, how, job.out, job.out_size);
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, f.data, f.data_size, NULL, NULL);
	if (rv != CKR_OK)
		check_skip(c, "%s returned %s", crypto_called(&job), check_rv_name(rv));
	rv = crypto_final(&job, f.signature, &f.signature_size);
	expect_refused(c, crypto_called(&job), rv, how);
	crypto_expect_ended(&job, 168, "a verification that failed");
}

static void refuse_recovery(struct check *c)
{
	struct crypto_job job;
	enum forgery how = (enum forgery)c->row->d;
	crypto_begin(c, &job);
	struct forged f = forge(c, &job, how, job.in, job.in_size);
	CK_ULONG size = CRYPTO_ROOM;
	/* Any number is a signature without padding, but for its length. */
	if (job.m->oracle == ORACLE_RSA_RAW && how == FLIPPED)
		check_skip(c, "any number of the right length is a signature of %s", job.m->name);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, f.signature, f.signature_size, check_buffer(c, CRYPTO_ROOM),
	                         &size);
	expect_refused(c, crypto_called(&job), rv, how);
	crypto_expect_ended(&job, 165, "a recovery that failed");
}

/* Without room, and with nothing to put there. */
static void recover_no_room(struct check *c)
{
	struct crypto_job job;
	CK_ULONG size = 1;
	crypto_begin(c, &job);
	struct forged f = forge(c, &job, FLIPPED, job.in, job.in_size);
	if (job.m->oracle == ORACLE_RSA_RAW)
		check_skip(c, "any number of the right length is a signature of %s", job.m->name);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, f.signature, f.signature_size, check_buffer(c, 1), &size);
	EXPECT(c, 172, rv != CKR_BUFFER_TOO_SMALL && rv != CKR_OK,
	       "%s of a bad signature returned %s", crypto_called(&job), check_rv_name(rv));
}

/* ---- lengths ----------------------------------------------------------------------------------------- */

static void length(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_ULONG in_size = job.m->longest + 1u, size = CRYPTO_ROOM;
	CK_BYTE *in = memset(check_buffer(c, in_size), 0xff, in_size);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	if (job.verb == VERB_VERIFY)
		size = job.out_size;
	if (job.verb == VERB_VERIFY)
		memcpy(out, job.out, size);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, in, in_size, out, &size);
	if (job.verb == VERB_VERIFY)
		/* That no such data has this signature is as true. */
		EXPECT_CODE(c, 290, crypto_called(&job), rv, CKR_DATA_LEN_RANGE,
		            CKR_SIGNATURE_INVALID);
	else
		EXPECT_CODE(c, rv == CKR_DATA_INVALID ? 17 : 290, crypto_called(&job), rv,
		            CKR_DATA_LEN_RANGE);
	crypto_expect_ended(&job, job.verb == VERB_VERIFY ? 168 : 165, "data that is too long");
}

/* Just as long as it may be. */
static void longest(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_ULONG size = CRYPTO_ROOM;
	CK_BYTE *in = memset(check_buffer(c, job.m->longest), 0x11, job.m->longest);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, in, job.m->longest, check_buffer(c, CRYPTO_ROOM), &size);
	EXPECT_CODE(c, 290, crypto_called(&job), rv, CKR_OK);
	EXPECT(c, 290, size == job.m->output, "%s gave %lu bytes, expected %u", crypto_called(&job),
	       (unsigned long)size, job.m->output);
}

/* What needs the whole message first may be refused in parts. */
static void unbuffered(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, job.in, job.in_size, NULL, NULL);
	EXPECT_CODE(c, 184, crypto_called(&job), rv, CKR_OK, CKR_TOKEN_RESOURCE_EXCEEDED);
	if (rv != CKR_OK)
		crypto_expect_ended(&job, 167, check_rv_name(rv));
}

/* ---- mechanisms of their own ------------------------------------------------------------------------- */

static void short_ecdsa(struct check *c)
{
	struct crypto_job job;
	crypto_begin_with(c, &job, crypto_find(CKM_ECDSA), VERB_VERIFY);
	/* It is a signature by the key that checks create. */
	if (!job.known)
		check_skip(c, "the key cannot be created");
	CK_ULONG size = sizeof(ecdsa_short);
	CK_BYTE *signature = memcpy(check_buffer(c, size), ecdsa_short, size);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, job.in_size, signature, &size);
	EXPECT_CODE(c, 291, crypto_called(&job), rv, CKR_OK);
}

/* The same with zeros before r and s: that the signature is one. */
static void padded_ecdsa(struct check *c)
{
	struct crypto_job job;
	crypto_begin_with(c, &job, crypto_find(CKM_ECDSA), VERB_VERIFY);
	if (!job.known)
		check_skip(c, "the key cannot be created");
	CK_ULONG size = 64;
	CK_BYTE *signature = memset(check_buffer(c, size), 0, size);
	memcpy(signature + 1, ecdsa_short, 31);
	memcpy(signature + 33, ecdsa_short + 31, 31);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, job.in_size, signature, &size);
	EXPECT_CODE(c, 291, crypto_called(&job), rv, CKR_OK);
}

/* d: the length that the parameter of CKM_…_HMAC_GENERAL asks for, in halves of the digest's. */
static void mac_length(struct check *c)
{
	struct crypto_job job;
	CK_ULONG size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG *length = job.mechanism.pParameter;
	*length = c->row->d == 0 ? 1 : c->row->d == 1 ? job.m->output - 1u : job.m->output + 1u;
	CK_RV rv = crypto_init(&job);
	if (rv == CKR_MECHANISM_PARAM_INVALID)
		check_skip(c, "the token makes no %s of %lu bytes", job.m->name, *length);
	EXPECT_CODE(c, 292, crypto_called(&job), rv, CKR_OK);
	rv = crypto_single(&job, job.in, job.in_size, out, &size);
	EXPECT_CODE(c, 292, crypto_called(&job), rv, CKR_OK);
	CK_ULONG same = size < job.out_size ? size : job.out_size;
	EXPECT(c, 292, size == *length && memcmp(out, job.out, same) == 0,
	       "%s of %lu bytes gave %lu, or not the first ones", job.m->name, *length,
	       (unsigned long)size);
}

static void mac_too_long(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	*(CK_ULONG *)job.mechanism.pParameter = 1000;
	crypto_expect_bad_parameter(&job, crypto_init(&job), false);
}

static void pss_content(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_RSA_PKCS_PSS_PARAMS *pss = job.mechanism.pParameter;
	if (c->row->d == 0)
		pss->hashAlg = CKM_AES_ECB;
	if (c->row->d == 1)
		pss->mgf = 0x77;
	/* Of a mechanism that hashes: by another digest than its own. */
	if (c->row->d == 2)
		pss->hashAlg = pss->hashAlg == CKM_SHA_1 ? CKM_SHA256 : CKM_SHA_1;
	crypto_expect_bad_parameter(&job, crypto_init(&job), false);
}

/* No modulus has room for it, which may be seen at Init or when the key is used. */
static void pss_salt(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	CK_ULONG size = job.verb == VERB_VERIFY ? job.out_size : CRYPTO_ROOM;
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	((CK_RSA_PKCS_PSS_PARAMS *)job.mechanism.pParameter)->sLen = 500;
	memcpy(out, job.out, job.out_size);
	CK_RV rv = crypto_init(&job);
	if (rv != CKR_OK) {
		crypto_expect_bad_parameter(&job, rv, false);
		return;
	}
	rv = crypto_single(&job, job.in, job.in_size, out, &size);
	EXPECT(c, 178, rv != CKR_OK, "%s with a salt of 500 bytes returned CKR_OK",
	       crypto_called(&job));
}

/* The signature of one session's parameter, verified with another's. */
static void ml_dsa(struct check *c)
{
	struct crypto_job job;
	CK_SIGN_ADDITIONAL_CONTEXT context = { CKH_HEDGE_PREFERRED, NULL, 0 };
	CK_MECHANISM with = { CKM_ML_DSA, &context, sizeof(context) };
	CK_ULONG size = CRYPTO_ROOM;
	CK_BYTE *signature = check_buffer(c, CRYPTO_ROOM);
	crypto_begin_with(c, &job, crypto_find(CKM_ML_DSA), VERB_SIGN);
	bool with_parameter = c->row->d == 1;
	CK_RV rv = crypto_init_with(&job, with_parameter ? &with : &job.mechanism, job.key);
	if (rv != CKR_OK)
		check_skip(c, "%s returned %s", crypto_called(&job), check_rv_name(rv));
	rv = crypto_single(&job, job.in, job.in_size, signature, &size);
	EXPECT_CODE(c, 293, crypto_called(&job), rv, CKR_OK);
	job.verb = VERB_VERIFY;
	context.hedgeVariant = c->row->d == 2 ? CKH_DETERMINISTIC_REQUIRED : CKH_HEDGE_PREFERRED;
	rv = crypto_init_with(&job, with_parameter ? &job.mechanism : &with, job.other);
	EXPECT_CODE(c, 293, crypto_called(&job), rv, CKR_OK);
	rv = crypto_single(&job, job.in, job.in_size, signature, &size);
	EXPECT_CODE(c, 293, crypto_called(&job), rv, CKR_OK);
}

/* ---- C_VerifySignature ------------------------------------------------------------------------------- */

static CK_RV verify_signature(struct check *c, struct crypto_job *job, const struct forged *f,
                              bool parts)
{
	CK_RV rv = c->p32->C_VerifySignatureInit(c->session, &job->mechanism, job->key,
	                                         f->signature, f->signature_size);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_VerifySignatureInit is not supported");
	/* What a length alone shows may be said at once. */
	if (rv == CKR_SIGNATURE_LEN_RANGE)
		return rv;
	EXPECT_CODE(c, 173, "C_VerifySignatureInit", rv, CKR_OK);
	if (!parts)
		return c->p32->C_VerifySignature(c->session, f->data, f->data_size);
	for (CK_ULONG at = 0; at < f->data_size; at += 33) {
		CK_ULONG size = f->data_size - at < 33 ? f->data_size - at : 33;
		rv = c->p32->C_VerifySignatureUpdate(c->session, f->data + at, size);
		if (rv != CKR_OK)
			check_skip(c, "C_VerifySignatureUpdate returned %s", check_rv_name(rv));
	}
	return c->p32->C_VerifySignatureFinal(c->session);
}

static void verify_signature_good(struct check *c)
{
	struct crypto_job job;
	bool parts = c->row->d == 1;
	crypto_begin(c, &job);
	if (parts)
		crypto_need_parts(&job);
	struct forged f = { memcpy(check_buffer(c, job.in_size), job.in, job.in_size),
		            memcpy(check_buffer(c, job.out_size), job.out, job.out_size),
		            job.in_size, job.out_size };
	CK_RV rv = verify_signature(c, &job, &f, parts);
	EXPECT(c, 173, rv == CKR_OK, "C_VerifySignature returned %s for a good signature",
	       check_rv_name(rv));
	EXPECT_RV(c, 168, c->p32->C_VerifySignature(c->session, f.data, f.data_size),
	          CKR_OPERATION_NOT_INITIALIZED);
}

static void verify_signature_bad(struct check *c)
{
	struct crypto_job job;
	enum forgery how = (enum forgery)c->row->d;
	crypto_begin(c, &job);
	struct forged f = forge(c, &job, how, job.out, job.out_size);
	CK_RV rv = verify_signature(c, &job, &f, false);
	expect_refused(c, "C_VerifySignature", rv, how);
	EXPECT_RV(c, 168, c->p32->C_VerifySignature(c->session, f.data, f.data_size),
	          CKR_OPERATION_NOT_INITIALIZED);
}

static void verify_signature_update_fails(struct check *c)
{
	struct crypto_job job;
	CK_BYTE byte = 0;
	crypto_begin_any(c, &job, VERB_VERIFY, true);
	CK_BYTE *signature = memcpy(check_buffer(c, job.out_size), job.out, job.out_size);
	CK_RV rv = c->p32->C_VerifySignatureInit(c->session, &job.mechanism, job.key, signature,
	                                         job.out_size);
	if (rv != CKR_OK)
		check_skip(c, "C_VerifySignatureInit returned %s", check_rv_name(rv));
	EXPECT_RV(c, 314, c->p32->C_VerifySignatureUpdate(c->session, NULL, 10), CKR_ARGUMENTS_BAD);
	EXPECT_RV(c, 167, c->p32->C_VerifySignatureUpdate(c->session, &byte, 1),
	          CKR_OPERATION_NOT_INITIALIZED);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static bool has_longest(const struct crypto_mechanism *m)
{
	return m->longest != 0;
}

static bool has_parts(const struct crypto_mechanism *m)
{
	return (m->traits & CRYPTO_SINGLE) == 0;
}

static bool is_general_hmac(const struct crypto_mechanism *m)
{
	return m->oracle == ORACLE_HMAC && m->parameter == CRYPTO_PARAMETER_MAC_LENGTH;
}

static bool is_general(const struct crypto_mechanism *m)
{
	return m->parameter == CRYPTO_PARAMETER_MAC_LENGTH;
}

static bool is_pss(const struct crypto_mechanism *m)
{
	return m->parameter == CRYPTO_PARAMETER_PSS;
}

static bool is_hashing_pss(const struct crypto_mechanism *m)
{
	return is_pss(m) && has_parts(m);
}

static bool wants_all(const struct crypto_mechanism *m)
{
	return m->oracle == ORACLE_EDDSA || m->key == CRYPTO_KEY_ML_DSA;
}

static void add_known(struct check_list *list)
{
	struct check_row row =
		CHECK(sign_known, NEED_USER, "libcrypto verifies what is signed", 351);
	crypto_add(list, row, VERB_SIGN, "known-answer", NULL);
	crypto_add(list, row, VERB_SIGN_RECOVER, "known-answer", NULL);
	crypto_add(list, CHECK(verify_known, NEED_USER, "what libcrypto signs is verified", 351),
	           VERB_VERIFY, "known-answer", NULL);
	crypto_add(list, CHECK(recover_known, NEED_USER, "what libcrypto signs is recovered", 351),
	           VERB_VERIFY_RECOVER, "known-answer", NULL);
	crypto_add(list, CHECK(empty, NEED_USER, "a message of no bytes is signed", 351), VERB_SIGN,
	           "empty", has_parts);
	row = CHECK(output_size, NEED_USER, "a signature has its size", 351, 290, 291, 292);
	crypto_add(list, row, VERB_SIGN, "output-size", NULL);
	crypto_add(list, row, VERB_SIGN_RECOVER, "output-size", NULL);
}

static void add_forgeries(struct check_list *list)
{
	for (unsigned int how = 0; how < FORGERIES; how++) {
		struct check_row row = CHECK(refuse, NEED_USER,
		                             "what is not the signature is refused", 171, 19, 168);
		row.d = how;
		const char *family = check_text(list, "refuse-%s", forgeries[how]);
		crypto_add(list, row, VERB_VERIFY, family, NULL);
		row.run = refuse_parts;
		crypto_add(list, row, VERB_VERIFY,
		           check_text(list, "refuse-parts-%s", forgeries[how]), has_parts);
		row = CHECK(refuse_recovery, NEED_USER, "what is not the signature is refused", 171,
		            19, 165);
		row.d = how;
		if (how != OTHER_DATA && how != FLIPPED_FIRST)
			crypto_add(list, row, VERB_VERIFY_RECOVER, family, NULL);
		row = CHECK(verify_signature_bad, NEED_USER | NEED_V32,
		            "C_VerifySignature refuses what is not the signature", 171, 19, 168,
		            173);
		row.d = how;
		if (how == FLIPPED || how == SHORT)
			crypto_add(list, row, VERB_VERIFY,
			           check_text(list, "verify-signature-%s", forgeries[how]), NULL);
	}
	crypto_add(list,
	           CHECK(recover_no_room, NEED_USER,
	                 "a bad signature is not said to want more room", 172),
	           VERB_VERIFY_RECOVER, "recover-no-room", NULL);
}

static void add_lengths(struct check_list *list)
{
	static const enum crypto_verb verbs[] = { VERB_SIGN, VERB_VERIFY, VERB_SIGN_RECOVER };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(verbs); i++)
		crypto_add(list,
		           CHECK(length, NEED_USER, "data that is too long is refused", 17, 290,
		                 165, 168),
		           verbs[i], "length", has_longest);
	crypto_add(list, CHECK(longest, NEED_USER, "the longest data is signed", 290), VERB_SIGN,
	           "longest", has_longest);
}

static void add_parameters(struct check_list *list)
{
	static const char *const lengths[] = { "mac-length-1", "mac-length-less",
		                               "mac-length-more" };
	static const char *const contents[] = { "parameter-hash", "parameter-mgf" };
	struct check_row row =
		CHECK(mac_length, NEED_USER, "a MAC is as long as is asked for", 292);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(lengths); i++) {
		row.d = i;
		crypto_add(list, row, VERB_SIGN, lengths[i], is_general_hmac);
	}
	row = CHECK(mac_too_long, NEED_USER, "a MAC is not longer than its digest", 178);
	crypto_add(list, row, VERB_SIGN, "parameter-length", is_general);
	crypto_add(list, row, VERB_VERIFY, "parameter-length", is_general);
	row = CHECK(pss_content, NEED_USER, "a parameter with contents that cannot be is refused",
	            178);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(contents); i++) {
		row.d = i;
		crypto_add(list, row, VERB_SIGN, contents[i], is_pss);
		crypto_add(list, row, VERB_VERIFY, contents[i], is_pss);
	}
	row.d = 2;
	crypto_add(list, row, VERB_SIGN, "parameter-other-hash", is_hashing_pss);
	crypto_add(list, row, VERB_VERIFY, "parameter-other-hash", is_hashing_pss);
	row = CHECK(pss_salt, NEED_USER, "a salt that is too long is refused", 178);
	crypto_add(list, row, VERB_SIGN, "parameter-salt", is_pss);
	crypto_add(list, row, VERB_VERIFY, "parameter-salt", is_pss);
}

static void add_others(struct check_list *list)
{
	static const char *const ml_dsa_names[] = { "none", "some", "hedge" };
	struct check_row row = CHECK(ml_dsa, NEED_USER,
	                             "without a parameter ML-DSA hedges and has no context", 293);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(ml_dsa_names); i++) {
		row.d = i;
		check_add(list, row, "ml-dsa-parameter/%s", ml_dsa_names[i]);
	}
	row = CHECK(unbuffered, NEED_USER, "a token need not keep a message that comes in parts",
	            184, 167);
	crypto_add(list, row, VERB_SIGN, "unbuffered", wants_all);
	crypto_add(list, row, VERB_VERIFY, "unbuffered", wants_all);
	check_add(list, CHECK(short_ecdsa, NEED_USER, "an ECDSA signature without zeros", 291),
	          "ecdsa-short");
	check_add(list, CHECK(padded_ecdsa, NEED_USER, "the same signature with its zeros", 291),
	          "ecdsa-padded");
	row = CHECK(verify_signature_good, NEED_USER | NEED_V32,
	            "C_VerifySignature does what C_Verify does", 173, 168);
	crypto_add(list, row, VERB_VERIFY, "verify-signature", NULL);
	row.d = 1;
	crypto_add(list, row, VERB_VERIFY, "verify-signature-parts", has_parts);
	check_add(list,
	          CHECK(verify_signature_update_fails, NEED_USER | NEED_V32,
	                "C_VerifySignatureUpdate that fails ends the operation", 167, 314),
	          "verify-signature-update");
}

void suite_sign(struct check_list *list)
{
	for (enum crypto_verb verb = VERB_SIGN; verb <= VERB_VERIFY_RECOVER; verb++)
		crypto_add_families(list, verb);
	add_known(list);
	add_forgeries(list);
	add_lengths(list);
	add_parameters(list);
	add_others(list);
}
