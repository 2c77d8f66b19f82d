/* SPDX-License-Identifier: MIT
 *
 * C_VerifySignatureInit and what follows (PKCS#11 3.2 §5.15.7 to §5.15.10): the signature comes first.
 */
#include <string.h>

#include "suites/keying.h"

static CK_BYTE data[32] = "thirty-two bytes that are signed";

static const struct signer {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	enum object_kind private, public;
	bool single; /* in one part only */
} signers[] = {
	{ "sha256-rsa-pkcs", CKM_SHA256_RSA_PKCS, OBJECT_RSA_PRIVATE, OBJECT_RSA_PUBLIC, false },
	{ "sha512-rsa-pkcs", CKM_SHA512_RSA_PKCS, OBJECT_RSA_PRIVATE, OBJECT_RSA_PUBLIC, false },
	{ "rsa-pkcs", CKM_RSA_PKCS, OBJECT_RSA_PRIVATE, OBJECT_RSA_PUBLIC, true },
	{ "ecdsa", CKM_ECDSA, OBJECT_EC_PRIVATE, OBJECT_EC_PUBLIC, true },
	{ "ecdsa-sha256", CKM_ECDSA_SHA256, OBJECT_EC_PRIVATE, OBJECT_EC_PUBLIC, false },
	{ "hmac-sha256", CKM_SHA256_HMAC, OBJECT_SECRET, OBJECT_SECRET, false },
	{ "hmac-sha512", CKM_SHA512_HMAC, OBJECT_SECRET, OBJECT_SECRET, false },
	{ "aes-cmac", CKM_AES_CMAC, OBJECT_AES, OBJECT_AES, false },
};

struct bench {
	CK_MECHANISM mechanism;
	CK_OBJECT_HANDLE public;
	CK_BYTE signature[512];
	CK_ULONG size;
};

/* Signed, and seen to verify by C_Verify: only then the new functions must do so. */
static const struct signer *begin(struct check *c, struct bench *b)
{
	const struct signer *s = c->row->data;
	b->mechanism = (CK_MECHANISM){ s->mechanism, NULL, 0 };
	b->size = sizeof(b->signature);
	keying_mechanism(c, s->mechanism, CKF_SIGN | CKF_VERIFY);
	CK_OBJECT_HANDLE private = object_make(c, s->private);
	b->public = s->public == s->private ? private : object_make(c, s->public);
	NEED_OK(c, c->p11->C_SignInit(c->session, &b->mechanism, private));
	NEED_OK(c, c->p11->C_Sign(c->session, data, sizeof(data), b->signature, &b->size));
	NEED_OK(c, c->p11->C_VerifyInit(c->session, &b->mechanism, b->public));
	NEED_OK(c, c->p11->C_Verify(c->session, data, sizeof(data), b->signature, b->size));
	return s;
}

static CK_RV init(struct check *c, struct bench *b)
{
	CK_RV rv = c->p32->C_VerifySignatureInit(c->session, &b->mechanism, b->public, b->signature,
	                                         b->size);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "the function is not supported");
	return rv;
}

static void verifies(struct check *c)
{
	struct bench b;
	begin(c, &b);
	EXPECT_CODE(c, 173, "C_VerifySignatureInit", init(c, &b), CKR_OK);
	/* What is passed may be gone now. */
	memset(b.signature, 0, sizeof(b.signature));
	EXPECT_RV(c, 173, c->p32->C_VerifySignature(c->session, data, sizeof(data)), CKR_OK);
	EXPECT_RV(c, 168, c->p32->C_VerifySignature(c->session, data, sizeof(data)),
	          CKR_OPERATION_NOT_INITIALIZED);
}

static void in_parts(struct check *c)
{
	struct bench b;
	const struct signer *s = begin(c, &b);
	if (s->single)
		check_skip(c, "the mechanism takes its data in one part");
	EXPECT_CODE(c, 173, "C_VerifySignatureInit", init(c, &b), CKR_OK);
	for (CK_ULONG i = 0; i < sizeof(data); i += 8)
		EXPECT_RV(c, 173, c->p32->C_VerifySignatureUpdate(c->session, data + i, 8), CKR_OK);
	EXPECT_RV(c, 173, c->p32->C_VerifySignatureFinal(c->session), CKR_OK);
	EXPECT_RV(c, 168, c->p32->C_VerifySignatureFinal(c->session),
	          CKR_OPERATION_NOT_INITIALIZED);
}

/* row->a: what is wrong. */
static void wrong(struct check *c)
{
	struct bench b;
	CK_BYTE other[sizeof(data)];
	begin(c, &b);
	memcpy(other, data, sizeof(other));
	if (c->row->a == 0)
		other[0] ^= 1;
	else if (c->row->a == 1)
		b.signature[b.size / 2] ^= 1;
	else if (c->row->a == 2)
		b.size -= 2;
	else
		b.size = 0;
	CK_RV rv = init(c, &b);
	/* A length that is wrong may be seen at once. */
	if (rv != CKR_OK && c->row->a >= 2) {
		EXPECT_CODE(c, 171, "C_VerifySignatureInit", rv, CKR_SIGNATURE_LEN_RANGE,
		            CKR_SIGNATURE_INVALID, CKR_ARGUMENTS_BAD);
		return;
	}
	EXPECT_CODE(c, 173, "C_VerifySignatureInit", rv, CKR_OK);
	EXPECT_RV(c, 171, c->p32->C_VerifySignature(c->session, other, sizeof(other)),
	          CKR_SIGNATURE_INVALID, CKR_SIGNATURE_LEN_RANGE);
	EXPECT_RV(c, 168, c->p32->C_VerifySignature(c->session, data, sizeof(data)),
	          CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_CODE(c, 168, "C_VerifySignatureInit", init(c, &b), CKR_OK);
}

static void wrong_in_parts(struct check *c)
{
	struct bench b;
	const struct signer *s = begin(c, &b);
	if (s->single)
		check_skip(c, "the mechanism takes its data in one part");
	b.signature[0] ^= 1;
	NEED_OK(c, init(c, &b));
	NEED_OK(c, c->p32->C_VerifySignatureUpdate(c->session, data, sizeof(data)));
	EXPECT_RV(c, 171, c->p32->C_VerifySignatureFinal(c->session), CKR_SIGNATURE_INVALID,
	          CKR_SIGNATURE_LEN_RANGE);
	EXPECT_RV(c, 168, c->p32->C_VerifySignatureFinal(c->session),
	          CKR_OPERATION_NOT_INITIALIZED);
}

static void single_after_update(struct check *c)
{
	struct bench b;
	const struct signer *s = begin(c, &b);
	if (s->single)
		check_skip(c, "the mechanism takes its data in one part");
	NEED_OK(c, init(c, &b));
	NEED_OK(c, c->p32->C_VerifySignatureUpdate(c->session, data, 16));
	CK_RV rv = c->p32->C_VerifySignature(c->session, data + 16, sizeof(data) - 16);
	EXPECT(c, 169, rv != CKR_OK, "C_VerifySignature ends what C_VerifySignatureUpdate began");
}

static void bad_update(struct check *c)
{
	struct bench b;
	const struct signer *s = begin(c, &b);
	if (s->single)
		check_skip(c, "the mechanism takes its data in one part");
	NEED_OK(c, init(c, &b));
	EXPECT_RV(c, 314, c->p32->C_VerifySignatureUpdate(c->session, NULL, 16), CKR_ARGUMENTS_BAD);
	EXPECT_RV(c, 167, c->p32->C_VerifySignatureFinal(c->session),
	          CKR_OPERATION_NOT_INITIALIZED);
}

static void init_twice(struct check *c)
{
	struct bench b;
	begin(c, &b);
	NEED_OK(c, init(c, &b));
	EXPECT_CODE(c, 162, "C_VerifySignatureInit", init(c, &b), CKR_OPERATION_ACTIVE, CKR_OK);
	EXPECT_RV(c, 162, c->p32->C_VerifySignature(c->session, data, sizeof(data)), CKR_OK);
}

static void cancelled(struct check *c)
{
	struct bench b;
	begin(c, &b);
	NEED_OK(c, init(c, &b));
	CK_RV rv = c->p32->C_VerifySignatureInit(c->session, NULL, b.public, b.signature, b.size);
	EXPECT_CODE(c, 159, "C_VerifySignatureInit", rv, CKR_OK, CKR_OPERATION_CANCEL_FAILED);
	if (rv == CKR_OK)
		EXPECT_RV(c, 159, c->p32->C_VerifySignature(c->session, data, sizeof(data)),
		          CKR_OPERATION_NOT_INITIALIZED);
}

static void no_key(struct check *c)
{
	struct bench b;
	begin(c, &b);
	NEED_OK(c, init(c, &b));
	NEED_OK(c, c->p32->C_VerifySignature(c->session, data, sizeof(data)));
	b.public = CK_INVALID_HANDLE;
	EXPECT_CODE(c, 177, "C_VerifySignatureInit", init(c, &b), CKR_KEY_HANDLE_INVALID);
}

static void not_permitted(struct check *c)
{
	struct bench b;
	struct template t;
	const struct signer *s = begin(c, &b);
	object_template(c, &t, s->public);
	template_bool(&t, CKA_VERIFY, false);
	b.public = object_create(c, &t);
	EXPECT_CODE(c, 176, "C_VerifySignatureInit", init(c, &b), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void null_signature(struct check *c)
{
	struct bench b;
	begin(c, &b);
	EXPECT_REFUSED(
		c, 314,
		c->p32->C_VerifySignatureInit(c->session, &b.mechanism, b.public, NULL, b.size),
		CKR_ARGUMENTS_BAD);
}

/* ---- ML-DSA and SLH-DSA ------------------------------------------------------------------------ */

static const struct {
	const char *name;
	CK_MECHANISM_TYPE mechanism, generator;
	CK_ULONG set;
} stateless[] = {
	{ "ml-dsa-44", CKM_ML_DSA, CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_44 },
	{ "ml-dsa-65", CKM_ML_DSA, CKM_ML_DSA_KEY_PAIR_GEN, CKP_ML_DSA_65 },
	{ "slh-dsa-128f", CKM_SLH_DSA, CKM_SLH_DSA_KEY_PAIR_GEN, CKP_SLH_DSA_SHA2_128F },
};

/* Without a parameter: hedged, and no context. What the verifier says of hedging is ignored. */
static void default_context(struct check *c)
{
	static CK_BYTE signature[65536];
	CK_ULONG size = sizeof(signature);
	struct template public, private;
	CK_OBJECT_HANDLE keys[2];
	CK_MECHANISM generator = { stateless[c->row->a].generator, NULL, 0 };
	CK_MECHANISM plain = { stateless[c->row->a].mechanism, NULL, 0 };
	CK_SIGN_ADDITIONAL_CONTEXT context = { CKH_DETERMINISTIC_REQUIRED, NULL, 0 };
	CK_MECHANISM with = { plain.mechanism, &context, sizeof(context) };
	keying_mechanism(c, generator.mechanism, CKF_GENERATE_KEY_PAIR);
	keying_mechanism(c, plain.mechanism, CKF_SIGN | CKF_VERIFY);
	keying_template(c, &public);
	template_bool(&public, CKA_PRIVATE, false);
	template_bool(&public, CKA_VERIFY, true);
	template_ulong(&public, CKA_PARAMETER_SET, stateless[c->row->a].set);
	keying_template(c, &private);
	template_bool(&private, CKA_SIGN, true);
	NEED_OK(c, c->p11->C_GenerateKeyPair(c->session, &generator, public.entry, public.count,
	                                     private.entry, private.count, &keys[0], &keys[1]));
	EXPECT_RV(c, 293, c->p11->C_SignInit(c->session, &plain, keys[1]), CKR_OK);
	EXPECT_RV(c, 293, c->p11->C_Sign(c->session, data, sizeof(data), signature, &size), CKR_OK);
	EXPECT_RV(c, 293, c->p11->C_VerifyInit(c->session, &with, keys[0]), CKR_OK);
	EXPECT_RV(c, 293, c->p11->C_Verify(c->session, data, sizeof(data), signature, size),
	          CKR_OK);
	context.pContext = data;
	context.ulContextLen = 4;
	EXPECT_RV(c, 293, c->p11->C_VerifyInit(c->session, &with, keys[0]), CKR_OK);
	EXPECT_RV(c, 293, c->p11->C_Verify(c->session, data, sizeof(data), signature, size),
	          CKR_SIGNATURE_INVALID);
}

/* ---- validation -------------------------------------------------------------------------------- */

static void validation_flags(struct check *c)
{
	CK_FLAGS flags = ~0UL;
	CK_BYTE bytes[8];
	EXPECT_REFUSED(
		c, 299,
		c->p32->C_GetSessionValidationFlags(c->session, CKS_LAST_VALIDATION_OK, &flags),
		CKR_OK);
	EXPECT(c, 299, flags != ~0UL, "the flags are not set");
	(void)c->p11->C_GenerateRandom(c->session, bytes, sizeof(bytes));
	EXPECT_RV(c, 299,
	          c->p32->C_GetSessionValidationFlags(c->session, CKS_LAST_VALIDATION_OK, &flags),
	          CKR_OK);
	check_note(c, "the last operation's validation flags are 0x%lx", flags);
}

static void validation_null(struct check *c)
{
	CK_FLAGS flags;
	NEED_OK(c, c->p32->C_GetSessionValidationFlags(c->session, CKS_LAST_VALIDATION_OK, &flags));
	EXPECT_RV(c, 314,
	          c->p32->C_GetSessionValidationFlags(c->session, CKS_LAST_VALIDATION_OK, NULL),
	          CKR_ARGUMENTS_BAD);
}

/* ---- the list ------------------------------------------------------------------------------------ */

void suite_verifysignature(struct check_list *list)
{
	static const char *const faults[] = { "data", "signature", "cut", "empty" };
	const unsigned int needs = NEED_USER | NEED_V32;
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(signers); i++) {
		const struct {
			const char *name;
			struct check_row row;
		} members[] = {
			{ "verifies", CHECK(verifies, needs, "what C_Verify verifies", 173, 168) },
			{ "in-parts", CHECK(in_parts, needs, "and in parts", 173, 168) },
			{ "wrong-in-parts", CHECK(wrong_in_parts, needs,
			                          "what is wrong in parts is refused", 171, 168) },
			{ "single-after-update",
			  CHECK(single_after_update, needs, "one part does not end several", 169) },
			{ "bad-update",
			  CHECK(bad_update, needs, "an error ends the operation", 314, 167) },
			{ "init-twice", CHECK(init_twice, needs, "one operation at a time", 162) },
			{ "cancel",
			  CHECK(cancelled, needs, "without a mechanism it cancels", 159) },
			{ "no-key", CHECK(no_key, needs, "what is no key is refused", 177) },
			{ "not-permitted",
			  CHECK(not_permitted, needs, "a key without the use is refused", 176) },
			{ "null-signature",
			  CHECK(null_signature, needs, "NULL for the signature is refused", 314) },
		};
		for (size_t m = 0; m < TAPE_ARRAY_SIZE(members); m++) {
			row = members[m].row;
			row.data = &signers[i];
			check_add(list, row, "%s/%s", members[m].name, signers[i].name);
		}
		for (size_t f = 0; f < TAPE_ARRAY_SIZE(faults); f++) {
			row = CHECK(wrong, needs, "what is wrong is refused", 171, 173, 168);
			row.data = &signers[i];
			row.a = f;
			check_add(list, row, "wrong/%s-%s", signers[i].name, faults[f]);
		}
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(stateless); i++) {
		row = CHECK(default_context, NEED_USER, "no parameter is an empty context", 293);
		row.a = i;
		check_add(list, row, "default-context/%s", stateless[i].name);
	}
	check_add(list,
	          CHECK(validation_flags, NEED_SESSION | NEED_V32,
	                "what is known of the last operation's validation", 299),
	          "validation/flags");
	check_add(list,
	          CHECK(validation_null, NEED_SESSION | NEED_V32, "NULL for the flags is refused",
	                314),
	          "validation/null");
}
