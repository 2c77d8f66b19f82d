/* SPDX-License-Identifier: MIT
 *
 * C_WrapKey and C_UnwrapKey (PKCS#11 3.1 §5.18.3, §5.18.4): every wrapping mechanism with keys of every kind.
 */
#include <string.h>

#include "suites/keying.h"
#include "suites/values.h"

#define WRAPPED_SIZE 4096

static const CK_BYTE secret_bytes[32] = "p11tape check, a secret of 32 by";
static const CK_BYTE aes_bytes[16] = "p11tape 16 bytes";
static const CK_BYTE des3_bytes[24] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
	                                0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01,
	                                0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23 };

/* ---- mechanisms ------------------------------------------------------------------------------ */

static const struct wrapping {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	CK_KEY_TYPE type;
	enum { PLAIN, IV16, IV8, GCM, CCM, OAEP, RSA_AES } parameter;
	bool seals; /* what was changed does not unwrap */
} wrappings[] = {
	{ "aes-ecb", CKM_AES_ECB, CKK_AES, PLAIN, false },
	{ "aes-cbc", CKM_AES_CBC, CKK_AES, IV16, false },
	{ "aes-cbc-pad", CKM_AES_CBC_PAD, CKK_AES, IV16, false },
	{ "aes-kw", CKM_AES_KEY_WRAP, CKK_AES, PLAIN, true },
	{ "aes-kw-pad", CKM_AES_KEY_WRAP_PAD, CKK_AES, PLAIN, true },
	{ "aes-kwp", CKM_AES_KEY_WRAP_KWP, CKK_AES, PLAIN, true },
	{ "aes-gcm", CKM_AES_GCM, CKK_AES, GCM, true },
	{ "aes-ccm", CKM_AES_CCM, CKK_AES, CCM, true },
	{ "des3-cbc", CKM_DES3_CBC, CKK_DES3, IV8, false },
	{ "rsa-pkcs", CKM_RSA_PKCS, CKK_RSA, PLAIN, true },
	{ "rsa-oaep", CKM_RSA_PKCS_OAEP, CKK_RSA, OAEP, true },
	{ "rsa-x-509", CKM_RSA_X_509, CKK_RSA, PLAIN, false },
	{ "rsa-aes", CKM_RSA_AES_KEY_WRAP, CKK_RSA, RSA_AES, true },
};

/* A mechanism with its parameter, which lies beside it. */
struct how {
	CK_MECHANISM mechanism;
	CK_BYTE iv[16];
	union {
		CK_GCM_PARAMS gcm;
		CK_GCM_WRAP_PARAMS gcm_wrap;
		CK_CCM_PARAMS ccm;
		CK_CCM_WRAP_PARAMS ccm_wrap;
	} aead;
	CK_RSA_PKCS_OAEP_PARAMS oaep;
	CK_RSA_AES_KEY_WRAP_PARAMS rsa_aes;
};

static void set_parameter(struct how *how, void *parameter, size_t size)
{
	how->mechanism.pParameter = parameter;
	how->mechanism.ulParameterLen = size;
}

/* Of AEADs 3.2 has a structure of its own for wrapping. */
static void set_aead(const struct check *c, struct how *how, bool gcm)
{
	bool newer = c->target->spec >= SPEC(3, 2);
	CK_GCM_WRAP_PARAMS gcm_wrap = { how->iv, 12, 96, CKG_NO_GENERATE, NULL, 0, 128 };
	CK_CCM_WRAP_PARAMS ccm_wrap = { 0, how->iv, 12, 96, CKG_NO_GENERATE, NULL, 0, 16 };
	CK_GCM_PARAMS gcm_plain = { how->iv, 12, 96, NULL, 0, 128 };
	CK_CCM_PARAMS ccm_plain = { 0, how->iv, 12, NULL, 0, 16 };
	if (gcm && newer) {
		how->aead.gcm_wrap = gcm_wrap;
		set_parameter(how, &how->aead, sizeof(gcm_wrap));
	} else if (gcm) {
		how->aead.gcm = gcm_plain;
		set_parameter(how, &how->aead, sizeof(gcm_plain));
	} else if (newer) {
		how->aead.ccm_wrap = ccm_wrap;
		set_parameter(how, &how->aead, sizeof(ccm_wrap));
	} else {
		how->aead.ccm = ccm_plain;
		set_parameter(how, &how->aead, sizeof(ccm_plain));
	}
}

static void set_how(const struct check *c, struct how *how, const struct wrapping *w)
{
	memset(how, 0, sizeof(*how));
	how->mechanism.mechanism = w->mechanism;
	how->oaep =
		(CK_RSA_PKCS_OAEP_PARAMS){ CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0 };
	how->rsa_aes = (CK_RSA_AES_KEY_WRAP_PARAMS){ 256, &how->oaep };
	for (size_t i = 0; i < sizeof(how->iv); i++)
		how->iv[i] = (CK_BYTE)i;
	if (w->parameter == IV16 || w->parameter == IV8)
		set_parameter(how, how->iv, w->parameter == IV16 ? 16 : 8);
	else if (w->parameter == GCM || w->parameter == CCM)
		set_aead(c, how, w->parameter == GCM);
	else if (w->parameter == OAEP)
		set_parameter(how, &how->oaep, sizeof(how->oaep));
	else if (w->parameter == RSA_AES)
		set_parameter(how, &how->rsa_aes, sizeof(how->rsa_aes));
}

/* ---- keys ------------------------------------------------------------------------------------ */

enum target_kind { AES_16, AES_32, GENERIC_20, GENERIC_32, DES3, RSA, EC, TARGET_KINDS };

static const struct {
	const char *name;
	CK_KEY_TYPE type;
	const CK_BYTE *value;
	CK_ULONG size; /* 0: a private key */
	enum object_kind private, public;
} targets[TARGET_KINDS] = {
	[AES_16] = { "aes-128", CKK_AES, aes_bytes, 16, 0, 0 },
	[AES_32] = { "aes-256", CKK_AES, secret_bytes, 32, 0, 0 },
	[GENERIC_20] = { "generic-20", CKK_GENERIC_SECRET, secret_bytes, 20, 0, 0 },
	[GENERIC_32] = { "generic-32", CKK_GENERIC_SECRET, secret_bytes, 32, 0, 0 },
	[DES3] = { "des3", CKK_DES3, des3_bytes, 24, 0, 0 },
	[RSA] = { "rsa", CKK_RSA, NULL, 0, OBJECT_RSA_PRIVATE, OBJECT_RSA_PUBLIC },
	[EC] = { "ec", CKK_EC, NULL, 0, OBJECT_EC_PRIVATE, OBJECT_EC_PUBLIC },
};

/* What a check works with. */
struct bench {
	const struct wrapping *w;
	struct how how;
	CK_OBJECT_HANDLE wraps, unwraps, target;
	CK_BYTE wrapped[WRAPPED_SIZE];
	CK_ULONG size;
};

static const struct wrapping *begin(struct check *c, struct bench *b)
{
	b->w = c->row->data;
	b->size = sizeof(b->wrapped);
	keying_mechanism(c, b->w->mechanism, CKF_WRAP);
	set_how(c, &b->how, b->w);
	if (b->w->type == CKK_RSA) {
		b->wraps = object_make(c, OBJECT_RSA_PUBLIC);
		b->unwraps = object_make(c, OBJECT_RSA_PRIVATE);
	} else {
		b->wraps = b->w->type == CKK_AES
		                   ? keying_secret(c, CKK_AES, aes_bytes, sizeof(aes_bytes))
		                   : keying_secret(c, CKK_DES3, des3_bytes, sizeof(des3_bytes));
		b->unwraps = b->wraps;
	}
	return b->w;
}

static void target_template(struct check *c, struct template *t, enum target_kind kind)
{
	if (targets[kind].size == 0) {
		object_template(c, t, targets[kind].private);
		return;
	}
	object_template(c, t, OBJECT_SECRET);
	template_remove(t, CKA_SIGN);
	template_remove(t, CKA_VERIFY);
	keying_uses(t, targets[kind].type);
	template_ulong(t, CKA_KEY_TYPE, targets[kind].type);
	template_bytes(t, CKA_VALUE, targets[kind].value, targets[kind].size);
}

/* Zeros fill the last block, or come first: the key's length is not to be seen. */
static bool fills_blocks(const struct wrapping *w)
{
	return w->mechanism == CKM_AES_ECB || w->mechanism == CKM_AES_CBC ||
	       w->mechanism == CKM_DES3_ECB || w->mechanism == CKM_DES3_CBC ||
	       w->mechanism == CKM_RSA_X_509;
}

/* What to say of the key that is unwrapped. */
static void unwrap_template(struct check *c, struct template *t, enum target_kind kind,
                            const struct wrapping *w)
{
	keying_template(c, t);
	template_ulong(t, CKA_CLASS, targets[kind].size == 0 ? CKO_PRIVATE_KEY : CKO_SECRET_KEY);
	template_ulong(t, CKA_KEY_TYPE, targets[kind].type);
	template_bool(t, CKA_SENSITIVE, false);
	template_bool(t, CKA_EXTRACTABLE, true);
	if (targets[kind].size == 0)
		template_bool(t, CKA_SIGN, true);
	else
		keying_uses(t, targets[kind].type);
	if (targets[kind].type == CKK_GENERIC_SECRET && fills_blocks(w))
		template_ulong(t, CKA_VALUE_LEN, targets[kind].size);
}

static CK_RV wrap(struct check *c, struct bench *b)
{
	b->size = sizeof(b->wrapped);
	return c->p11->C_WrapKey(c->session, &b->how.mechanism, b->wraps, b->target, b->wrapped,
	                         &b->size);
}

static CK_RV unwrap(struct check *c, struct bench *b, struct template *t, CK_OBJECT_HANDLE *ret_key)
{
	*ret_key = CK_INVALID_HANDLE;
	return c->p11->C_UnwrapKey(c->session, &b->how.mechanism, b->unwraps, b->wrapped, b->size,
	                           t->entry, t->count, ret_key);
}

/*
 * Without CKA_VALUE_LEN where the type has no such attribute for unwrapping; a module that is not content
 * with it (zeros may have been added to fill a block) gets it.
 */
static CK_RV unwrap_kind(struct check *c, struct bench *b, enum target_kind kind,
                         struct template *t, CK_OBJECT_HANDLE *ret_key)
{
	CK_RV rv = unwrap(c, b, t, ret_key);
	if (rv != CKR_TEMPLATE_INCOMPLETE || targets[kind].size == 0)
		return rv;
	template_ulong(t, CKA_VALUE_LEN, targets[kind].size);
	return unwrap(c, b, t, ret_key);
}

/* A key of the kind, wrapped; a pair of mechanism and key that does not go together is no fault. */
static void wrapped(struct check *c, struct bench *b, enum target_kind kind)
{
	struct template t;
	begin(c, b);
	target_template(c, &t, kind);
	b->target = object_create(c, &t);
	NEED_OK(c, wrap(c, b));
}

/* ---- there and back -------------------------------------------------------------------------- */

/* Whether the key was wrapped; where a token wraps no such key, there is a code for it. */
static bool is_wrapped(struct check *c, CK_RV rv)
{
	if (rv == CKR_KEY_NOT_WRAPPABLE || rv == CKR_KEY_SIZE_RANGE)
		check_skip(c, "such a key is not wrapped so: %s", check_rv_name(rv));
	if (rv == CKR_MECHANISM_INVALID)
		FAIL(c, 361, "C_WrapKey returned %s for a mechanism that is listed with CKF_WRAP",
		     check_rv_name(rv));
	if (rv != CKR_OK)
		DEVIATION(c, 264,
		          "C_WrapKey returned %s, expected CKR_OK, CKR_KEY_NOT_WRAPPABLE or "
		          "CKR_KEY_SIZE_RANGE",
		          check_rv_name(rv));
	return rv == CKR_OK;
}

static void same_value(struct check *c, CK_OBJECT_HANDLE key, const CK_BYTE *value, CK_ULONG size)
{
	CK_BYTE got[KEYING_VALUE_SIZE];
	CK_ULONG got_size;
	if (!keying_value(c, key, got, &got_size))
		check_skip(c, "the key's value cannot be read");
	EXPECT(c, 362, got_size == size && memcmp(got, value, size) == 0,
	       "the unwrapped key is another one: %lu bytes, wrapped were %lu", got_size, size);
}

static void round_trip(struct check *c)
{
	enum target_kind kind = (enum target_kind)c->row->a;
	struct bench b;
	struct template t;
	CK_OBJECT_HANDLE key;
	begin(c, &b);
	target_template(c, &t, kind);
	b.target = object_create(c, &t);
	if (!is_wrapped(c, wrap(c, &b)))
		return;
	if (!keying_has(c, b.w->mechanism, CKF_UNWRAP))
		check_skip(c, "the token does not say that it unwraps with this mechanism");
	unwrap_template(c, &t, kind, b.w);
	EXPECT_CODE(c, 361, "C_UnwrapKey", unwrap_kind(c, &b, kind, &t, &key), CKR_OK);
	if (targets[kind].size != 0) {
		CK_BYTE value[KEYING_VALUE_SIZE];
		CK_ULONG size = targets[kind].size;
		CK_ULONG got = 0;
		/* It fills with zeros what does not come to blocks of 8 bytes (2.40 curr §2.14, 3.1 §6.16). */
		if (b.w->mechanism == CKM_AES_KEY_WRAP && size % 8 != 0 &&
		    keying_value(c, key, value, &got) && got > size)
			size += 8 - size % 8;
		memset(value, 0, sizeof(value));
		memcpy(value, targets[kind].value, targets[kind].size);
		same_value(c, key, value, size);
		return;
	}
	CK_MECHANISM how = { kind == RSA ? CKM_RSA_PKCS : CKM_ECDSA, NULL, 0 };
	keying_pair_works(c, 361, &how, object_make(c, targets[kind].public), key, 32);
}

static void sizes(struct check *c)
{
	enum target_kind kind = (enum target_kind)c->row->a;
	struct bench b;
	struct template t;
	CK_ULONG need = 0, size;
	begin(c, &b);
	target_template(c, &t, kind);
	b.target = object_create(c, &t);
	if (!is_wrapped(c, c->p11->C_WrapKey(c->session, &b.how.mechanism, b.wraps, b.target, NULL,
	                                     &need)) ||
	    !is_wrapped(c, wrap(c, &b)))
		return;
	EXPECT(c, 30, need >= b.size && need <= b.size + 512,
	       "the length query said %lu, the wrapped key has %lu bytes", need, b.size);
	CK_BYTE *small = check_buffer(c, b.size - 1);
	size = b.size - 1;
	EXPECT_RV(c, 32,
	          c->p11->C_WrapKey(c->session, &b.how.mechanism, b.wraps, b.target, small, &size),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 32, size >= b.size && size <= b.size + 512,
	       "with CKR_BUFFER_TOO_SMALL the length is %lu, needed are %lu", size, b.size);
	CK_BYTE *exact = check_buffer(c, need);
	size = need;
	EXPECT_RV(c, 31,
	          c->p11->C_WrapKey(c->session, &b.how.mechanism, b.wraps, b.target, exact, &size),
	          CKR_OK);
	EXPECT(c, 31, size == b.size, "the length is now %lu, now %lu", b.size, size);
}

/* ---- known answers --------------------------------------------------------------------------- */

/* RFC 3394 §4.1 and RFC 5649 §6; what CKM_AES_KEY_WRAP_PAD does has never been said clearly. */
static const CK_BYTE kw_kek[] = { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
	                          0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f };
static const CK_BYTE kw_key[] = { 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
	                          0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff };
static const CK_BYTE kw_wrapped[] = { 0x1f, 0xa6, 0x8b, 0x0a, 0x81, 0x12, 0xb4, 0x47,
	                              0xae, 0xf3, 0x4b, 0xd8, 0xfb, 0x5a, 0x7b, 0x82,
	                              0x9d, 0x3e, 0x86, 0x23, 0x71, 0xd2, 0xcf, 0xe5 };
static const CK_BYTE kwp_kek[] = { 0x58, 0x40, 0xdf, 0x6e, 0x29, 0xb0, 0x2a, 0xf1,
	                           0xab, 0x49, 0x3b, 0x70, 0x5b, 0xf1, 0x6e, 0xa1,
	                           0xae, 0x83, 0x38, 0xf4, 0xdc, 0xc1, 0x76, 0xa8 };
static const CK_BYTE kwp_key[] = { 0xc3, 0x7b, 0x7e, 0x64, 0x92, 0x58, 0x43, 0x40, 0xbe, 0xd1,
	                           0x22, 0x07, 0x80, 0x89, 0x41, 0x15, 0x50, 0x68, 0xf7, 0x38 };
static const CK_BYTE kwp_wrapped[] = { 0x13, 0x8b, 0xde, 0xaa, 0x9b, 0x8f, 0xa7, 0xfc,
	                               0x61, 0xf9, 0x77, 0x42, 0xe7, 0x22, 0x48, 0xee,
	                               0x5a, 0xe6, 0xae, 0x53, 0x60, 0xd1, 0xae, 0x6a,
	                               0x5f, 0x54, 0xf3, 0x73, 0xfa, 0x54, 0x3b, 0x6a };

static const struct answer {
	const struct wrapping *w;
	const CK_BYTE *kek, *key, *wrapped;
	CK_ULONG kek_size, key_size, wrapped_size;
} answers[] = {
#define ANSWER(index, kek, key, key_size, wrapped)                                           \
	{                                                                                    \
		&wrappings[index], kek, key, wrapped, sizeof(kek), key_size, sizeof(wrapped) \
	}
	ANSWER(0, aes_bytes, secret_bytes, 20, wrapped_ecb_zero),
	ANSWER(1, aes_bytes, secret_bytes, 20, wrapped_cbc_zero),
	ANSWER(2, aes_bytes, secret_bytes, 20, wrapped_cbc_pad),
	ANSWER(3, kw_kek, kw_key, sizeof(kw_key), kw_wrapped),
	ANSWER(5, kwp_kek, kwp_key, sizeof(kwp_key), kwp_wrapped),
};

static void known_wrap(struct check *c)
{
	const struct answer *a = c->row->data;
	struct bench b = { .w = a->w };
	keying_mechanism(c, a->w->mechanism, CKF_WRAP);
	set_how(c, &b.how, a->w);
	b.wraps = keying_secret(c, CKK_AES, a->kek, a->kek_size);
	b.target = keying_secret(c, CKK_GENERIC_SECRET, a->key, a->key_size);
	if (!is_wrapped(c, wrap(c, &b)))
		return;
	EXPECT(c, 362, b.size == a->wrapped_size && memcmp(b.wrapped, a->wrapped, b.size) == 0,
	       "the wrapped key is not as it should be (%lu bytes)", b.size);
}

static void known_unwrap(struct check *c)
{
	const struct answer *a = c->row->data;
	struct bench b = { .w = a->w };
	struct template t;
	CK_OBJECT_HANDLE key;
	keying_mechanism(c, a->w->mechanism, CKF_UNWRAP);
	set_how(c, &b.how, a->w);
	b.unwraps = keying_secret(c, CKK_AES, a->kek, a->kek_size);
	memcpy(b.wrapped, a->wrapped, a->wrapped_size);
	b.size = a->wrapped_size;
	unwrap_template(c, &t, GENERIC_20, a->w);
	if (fills_blocks(a->w))
		template_ulong(&t, CKA_VALUE_LEN, a->key_size);
	CK_RV rv = unwrap(c, &b, &t, &key);
	EXPECT_CODE(c, 361, "C_UnwrapKey", rv, CKR_OK);
	same_value(c, key, a->key, a->key_size);
}

/* ---- C_WrapKey refuses ----------------------------------------------------------------------- */

/* The good call works: only then a refusal says something. */
static void need_wrap(struct check *c, struct bench *b)
{
	struct template t;
	begin(c, b);
	target_template(c, &t, AES_16);
	b->target = object_create(c, &t);
	NEED_OK(c, wrap(c, b));
}

static void unextractable(struct check *c)
{
	struct bench b;
	struct template t;
	need_wrap(c, &b);
	target_template(c, &t, AES_16);
	template_bool(&t, CKA_EXTRACTABLE, false);
	b.target = object_create(c, &t);
	EXPECT_REFUSED(c, 263, wrap(c, &b), CKR_KEY_UNEXTRACTABLE);
}

static void sensitive(struct check *c)
{
	struct bench b;
	struct template t;
	CK_BYTE expected[WRAPPED_SIZE];
	CK_ULONG size;
	need_wrap(c, &b);
	memcpy(expected, b.wrapped, sizeof(expected));
	size = b.size;
	target_template(c, &t, AES_16);
	template_bool(&t, CKA_SENSITIVE, true);
	b.target = object_create(c, &t);
	EXPECT_CODE(c, 263, "C_WrapKey", wrap(c, &b), CKR_OK);
	EXPECT(c, 263, b.size == size, "a sensitive key is wrapped to %lu bytes, another to %lu",
	       b.size, size);
}

/* The same key without the use. */
static CK_OBJECT_HANDLE without(struct check *c, const struct bench *b, CK_ATTRIBUTE_TYPE use)
{
	struct template t;
	if (b->w->type == CKK_RSA) {
		object_template(c, &t, use == CKA_WRAP ? OBJECT_RSA_PUBLIC : OBJECT_RSA_PRIVATE);
	} else {
		target_template(c, &t, b->w->type == CKK_AES ? AES_16 : DES3);
		template_bool(&t, use == CKA_WRAP ? CKA_UNWRAP : CKA_WRAP, true);
	}
	template_bool(&t, use, false);
	return object_create(c, &t);
}

static void not_for_wrapping(struct check *c)
{
	struct bench b;
	need_wrap(c, &b);
	b.wraps = without(c, &b, CKA_WRAP);
	EXPECT_REFUSED(c, 176, wrap(c, &b), CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static CK_OBJECT_HANDLE no_key(struct check *c)
{
	return c->row->a != 0 ? object_make(c, OBJECT_DATA) : CK_INVALID_HANDLE;
}

static void no_wrapping_key(struct check *c)
{
	struct bench b;
	need_wrap(c, &b);
	b.wraps = no_key(c);
	EXPECT_REFUSED(c, 267, wrap(c, &b), CKR_WRAPPING_KEY_HANDLE_INVALID);
}

static void no_target(struct check *c)
{
	struct bench b;
	need_wrap(c, &b);
	b.target = no_key(c);
	EXPECT_REFUSED(c, 177, wrap(c, &b), CKR_KEY_HANDLE_INVALID);
}

/* A key of another type, with CKA_WRAP. */
static void other_wrapping_key(struct check *c)
{
	struct bench b;
	need_wrap(c, &b);
	b.wraps = b.w->type == CKK_RSA ? keying_secret(c, CKK_AES, aes_bytes, sizeof(aes_bytes))
	                               : object_make(c, OBJECT_RSA_PUBLIC);
	EXPECT_REFUSED(c, 267, wrap(c, &b), CKR_WRAPPING_KEY_TYPE_INCONSISTENT);
}

static void public_target(struct check *c)
{
	struct bench b;
	need_wrap(c, &b);
	b.target = object_make(c, OBJECT_RSA_PUBLIC);
	EXPECT_REFUSED(c, 264, wrap(c, &b), CKR_KEY_NOT_WRAPPABLE, CKR_KEY_HANDLE_INVALID,
	               CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_UNEXTRACTABLE);
}

static void trusted_only(struct check *c)
{
	struct bench b;
	struct template t;
	need_wrap(c, &b);
	target_template(c, &t, AES_16);
	template_bool(&t, CKA_WRAP_WITH_TRUSTED, true);
	b.target = object_create(c, &t);
	if (!object_bool(c, b.target, CKA_WRAP_WITH_TRUSTED))
		FAIL(c, 265, "CKA_WRAP_WITH_TRUSTED of the template was dropped");
	EXPECT_REFUSED(c, 265, wrap(c, &b), CKR_KEY_NOT_WRAPPABLE);
}

/* A wrapping key that wraps keys with this label only. */
static void wrap_template(struct check *c)
{
	struct bench b;
	struct template t;
	CK_ULONG type = c->row->a != 0 ? CKK_AES : CKK_DES3;
	CK_ATTRIBUTE inner = { CKA_KEY_TYPE, &type, sizeof(type) };
	need_wrap(c, &b);
	if (b.w->type == CKK_RSA)
		object_template(c, &t, OBJECT_RSA_PUBLIC);
	else
		target_template(c, &t, b.w->type == CKK_AES ? AES_16 : DES3);
	template_bool(&t, CKA_WRAP, true);
	template_bytes(&t, CKA_WRAP_TEMPLATE, &inner, sizeof(inner));
	b.wraps = object_create(c, &t);
	CK_RV rv = wrap(c, &b);
	if (c->row->a == 0 && rv == CKR_KEY_NOT_WRAPPABLE)
		DEVIATION(c, 266, "C_WrapKey returned %s, expected CKR_KEY_HANDLE_INVALID",
		          check_rv_name(rv));
	else
		EXPECT_CODE(c, 266, "C_WrapKey", rv,
		            c->row->a != 0 ? CKR_OK : CKR_KEY_HANDLE_INVALID);
}

static void parameter(struct check *c)
{
	struct bench b;
	/* Nobody is to look behind what is said of its length. */
	CK_BYTE *bytes = check_buffer(c, 5);
	need_wrap(c, &b);
	if (b.w->parameter == PLAIN && c->row->a == 0)
		check_skip(c, "the mechanism needs no parameter");
	/* 0: none where there must be one; 1: one of a length that there is not. */
	if (c->row->a == 0)
		set_parameter(&b.how, NULL, 0);
	else
		set_parameter(&b.how, bytes, 5);
	CK_RV rv = wrap(c, &b);
	if (b.w->parameter == PLAIN && rv == CKR_OK) {
		check_note(c, "a parameter for a mechanism without one is ignored");
		EXPECT(c, 178, b.size >= sizeof(aes_bytes),
		       "with a parameter that the mechanism has not, C_WrapKey gives %lu bytes",
		       (unsigned long)b.size);
		return;
	}
	if (c->row->a == 0)
		EXPECT_CODE(c, 178, "C_WrapKey", rv, CKR_MECHANISM_PARAM_INVALID,
		            CKR_ARGUMENTS_BAD);
	else
		EXPECT_CODE(c, 178, "C_WrapKey", rv, CKR_MECHANISM_PARAM_INVALID);
}

static void null_length(struct check *c)
{
	struct bench b;
	need_wrap(c, &b);
	EXPECT_REFUSED(
		c, 314,
		c->p11->C_WrapKey(c->session, &b.how.mechanism, b.wraps, b.target, b.wrapped, NULL),
		CKR_ARGUMENTS_BAD);
}

static void too_long(struct check *c)
{
	struct bench b;
	CK_BYTE value[300];
	memset(value, 0x5a, sizeof(value));
	need_wrap(c, &b);
	if (b.w->type != CKK_RSA || b.w->parameter == RSA_AES)
		check_skip(c, "the mechanism has no such limit");
	b.target = keying_secret(c, CKK_GENERIC_SECRET, value, sizeof(value));
	EXPECT_REFUSED(c, 264, wrap(c, &b), CKR_KEY_SIZE_RANGE, CKR_KEY_NOT_WRAPPABLE);
}

/* ---- C_UnwrapKey: what is made --------------------------------------------------------------- */

static void unwrapped(struct check *c, struct bench *b, CK_OBJECT_HANDLE *ret_key)
{
	struct template t;
	wrapped(c, b, AES_16);
	keying_mechanism(c, b->w->mechanism, CKF_UNWRAP);
	unwrap_template(c, &t, AES_16, b->w);
	template_remove(&t, CKA_EXTRACTABLE);
	if (c->row->a != 0)
		template_bool(&t, CKA_SENSITIVE, true);
	if (c->row->b != 0)
		template_bool(&t, CKA_EXTRACTABLE, false);
	NEED_OK(c, unwrap_kind(c, b, AES_16, &t, ret_key));
}

/* row->a: CKA_SENSITIVE true; row->b: CKA_EXTRACTABLE false. */
static void history(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	unwrapped(c, &b, &key);
	EXPECT(c, 268, !object_bool(c, key, CKA_LOCAL), "CKA_LOCAL is true");
	EXPECT(c, 268, !object_bool(c, key, CKA_ALWAYS_SENSITIVE), "CKA_ALWAYS_SENSITIVE is true");
	EXPECT(c, 268, !object_bool(c, key, CKA_NEVER_EXTRACTABLE),
	       "CKA_NEVER_EXTRACTABLE is true");
	if (c->row->b == 0)
		EXPECT(c, 268, object_bool(c, key, CKA_EXTRACTABLE),
		       "CKA_EXTRACTABLE is false by default");
	else
		EXPECT(c, 268, !object_bool(c, key, CKA_EXTRACTABLE),
		       "CKA_EXTRACTABLE is not as the template says");
	EXPECT(c, 268, object_bool(c, key, CKA_SENSITIVE) == (c->row->a != 0),
	       "CKA_SENSITIVE is not as the template says");
}

static void no_mechanism(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	unwrapped(c, &b, &key);
	CK_ULONG mechanism = object_ulong(c, key, CKA_KEY_GEN_MECHANISM);
	EXPECT(c, 260, mechanism == CK_UNAVAILABLE_INFORMATION, "CKA_KEY_GEN_MECHANISM is %s",
	       check_mechanism_name(mechanism));
}

/* ---- C_UnwrapKey refuses --------------------------------------------------------------------- */

static void need_unwrap(struct check *c, struct bench *b, struct template *t)
{
	CK_OBJECT_HANDLE key;
	wrapped(c, b, AES_16);
	keying_mechanism(c, b->w->mechanism, CKF_UNWRAP);
	unwrap_template(c, t, AES_16, b->w);
	NEED_OK(c, unwrap_kind(c, b, AES_16, t, &key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
}

static void refused(struct check *c, unsigned int rule, struct bench *b, struct template *t,
                    const CK_RV *codes, size_t count)
{
	CK_OBJECT_HANDLE key;
	CK_RV rv = unwrap(c, b, t, &key);
	check_expect_rv(c, rule, "C_UnwrapKey", rv, codes, count, __FILE__, __LINE__);
	if (rv != CKR_OK)
		keying_nothing_left(c, "C_UnwrapKey");
}

#define REFUSED(c, rule, b, t, ...)                            \
	refused(c, rule, b, t, (const CK_RV[]){ __VA_ARGS__ }, \
	        sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV))

static void not_for_unwrapping(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	b.unwraps = without(c, &b, CKA_UNWRAP);
	REFUSED(c, 176, &b, &t, CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void no_unwrapping_key(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	b.unwraps = no_key(c);
	REFUSED(c, 267, &b, &t, CKR_UNWRAPPING_KEY_HANDLE_INVALID);
}

static void other_unwrapping_key(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	b.unwraps = b.w->type == CKK_RSA ? keying_secret(c, CKK_AES, aes_bytes, sizeof(aes_bytes))
	                                 : object_make(c, OBJECT_RSA_PRIVATE);
	REFUSED(c, 267, &b, &t, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT);
}

static void missing(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	template_remove(&t, c->row->a);
	REFUSED(c, 208, &b, &t, CKR_TEMPLATE_INCOMPLETE);
}

static void other_class(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	template_ulong(&t, CKA_CLASS, c->row->a);
	REFUSED(c, 209, &b, &t, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
}

static void read_only_given(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	template_bool(&t, c->row->a, true);
	REFUSED(c, 207, &b, &t, CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
}

static void value_given(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	template_bytes(&t, CKA_VALUE, aes_bytes, sizeof(aes_bytes));
	REFUSED(c, 209, &b, &t, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_READ_ONLY,
	        CKR_ATTRIBUTE_TYPE_INVALID);
}

static void unknown_attribute(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	template_ulong(&t, CKA_VENDOR_DEFINED | 0x7fffffUL, 1);
	REFUSED(c, 205, &b, &t, CKR_ATTRIBUTE_TYPE_INVALID);
}

static void token_key_read_only(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	template_bool(&t, CKA_TOKEN, true);
	REFUSED(c, 143, &b, &t, CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

static void private_key_public(struct check *c)
{
	struct bench b;
	struct template t;
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	need_unwrap(c, &b, &t);
	template_bool(&t, CKA_PRIVATE, true);
	REFUSED(c, 144, &b, &t, CKR_USER_NOT_LOGGED_IN);
}

static void null_key(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	EXPECT_REFUSED(c, 314,
	               c->p11->C_UnwrapKey(c->session, &b.how.mechanism, b.unwraps, b.wrapped,
	                                   b.size, t.entry, t.count, NULL),
	               CKR_ARGUMENTS_BAD);
	keying_nothing_left(c, "C_UnwrapKey");
}

static void null_wrapped(struct check *c)
{
	struct bench b;
	struct template t;
	CK_OBJECT_HANDLE key;
	need_unwrap(c, &b, &t);
	EXPECT_REFUSED(c, 314,
	               c->p11->C_UnwrapKey(c->session, &b.how.mechanism, b.unwraps, NULL, b.size,
	                                   t.entry, t.count, &key),
	               CKR_ARGUMENTS_BAD);
	keying_nothing_left(c, "C_UnwrapKey");
}

static void other_length(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	CK_ULONG sizes[] = { 0, 1, b.size - 1, b.size + 1 };
	b.wrapped[b.size] = 0;
	b.size = sizes[c->row->a];
	/* PKCS#11 3.1 §5.1.6: the length outranks the rest; of nothing at all more may be said. */
	if (b.size == 0)
		REFUSED(c, 20, &b, &t, CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID,
		        CKR_ARGUMENTS_BAD, CKR_TEMPLATE_INCOMPLETE);
	else
		REFUSED(c, 20, &b, &t, CKR_WRAPPED_KEY_LEN_RANGE, CKR_WRAPPED_KEY_INVALID);
}

static void changed(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	if (!b.w->seals)
		check_skip(c, "the mechanism cannot notice it");
	b.wrapped[c->row->a == 0 ? 0 : c->row->a == 1 ? b.size / 2 : b.size - 1] ^= 1;
	REFUSED(c, 20, &b, &t, CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE,
	        CKR_AEAD_DECRYPT_FAILED);
}

static void other_key(struct check *c)
{
	struct bench b;
	struct template t;
	need_unwrap(c, &b, &t);
	if (!b.w->seals || b.w->type != CKK_AES)
		check_skip(c, "the mechanism cannot notice it, or needs another pair of keys");
	b.unwraps = keying_secret(c, CKK_AES, kw_kek, sizeof(kw_kek));
	REFUSED(c, 20, &b, &t, CKR_WRAPPED_KEY_INVALID, CKR_WRAPPED_KEY_LEN_RANGE,
	        CKR_AEAD_DECRYPT_FAILED);
}

/* CKA_VALUE_LEN that is not the wrapped key's (3.2 §5.18.4). */
static void value_length(struct check *c)
{
	struct bench b;
	struct template t;
	CK_OBJECT_HANDLE key;
	wrapped(c, &b, GENERIC_32);
	keying_mechanism(c, b.w->mechanism, CKF_UNWRAP);
	unwrap_template(c, &t, GENERIC_32, b.w);
	NEED_OK(c, unwrap_kind(c, &b, GENERIC_32, &t, &key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
	template_ulong(&t, CKA_VALUE_LEN, 300);
	CK_RV rv = unwrap(c, &b, &t, &key);
	if (rv == CKR_OK) {
		CK_BYTE value[KEYING_VALUE_SIZE];
		CK_ULONG size = 0;
		EXPECT(c, 270, !keying_value(c, key, value, &size) || size <= b.size,
		       "a key of %lu bytes was unwrapped from %lu bytes", size, b.size);
		DEVIATION(c, 270, "CKA_VALUE_LEN 300 was ignored: the key has %lu bytes", size);
		return;
	}
	/* 2.40 has no code for it. */
	EXPECT_CODE(c, 270, "C_UnwrapKey", rv, CKR_WRAPPED_KEY_LEN_RANGE, CKR_TEMPLATE_INCONSISTENT,
	            CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY, CKR_KEY_SIZE_RANGE);
	keying_nothing_left(c, "C_UnwrapKey");
}

static void no_value_length(struct check *c)
{
	struct bench b;
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_BYTE value[KEYING_VALUE_SIZE];
	CK_ULONG size = 0;
	wrapped(c, &b, GENERIC_20);
	keying_mechanism(c, b.w->mechanism, CKF_UNWRAP);
	if (!fills_blocks(b.w))
		check_skip(c, "the mechanism gives the key's length");
	unwrap_template(c, &t, GENERIC_20, b.w);
	template_remove(&t, CKA_VALUE_LEN);
	CK_RV rv = unwrap(c, &b, &t, &key);
	if (rv == CKR_OK && c->target->spec >= SPEC(3, 2))
		FAIL(c, 270, "without CKA_VALUE_LEN a key is made of what is longer than it was");
	else if (rv == CKR_OK)
		EXPECT(c, 270, !keying_value(c, key, value, &size) || size == b.size,
		       "without CKA_VALUE_LEN a key of %lu bytes is made of %lu", size, b.size);
	else
		EXPECT_CODE(c, 270, "C_UnwrapKey", rv, CKR_TEMPLATE_INCOMPLETE,
		            CKR_WRAPPED_KEY_LEN_RANGE);
}

/* CKA_UNWRAP_TEMPLATE: what every unwrapped key gets; row->a: the caller's template contradicts it. */
static void with_template(struct check *c)
{
	struct bench b;
	struct template t, mine;
	CK_OBJECT_HANDLE key;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE inner = { CKA_EXTRACTABLE, &no, sizeof(no) };
	need_unwrap(c, &b, &t);
	if (b.w->type == CKK_RSA)
		object_template(c, &mine, OBJECT_RSA_PRIVATE);
	else
		target_template(c, &mine, b.w->type == CKK_AES ? AES_16 : DES3);
	template_bool(&mine, CKA_UNWRAP, true);
	template_bytes(&mine, CKA_UNWRAP_TEMPLATE, &inner, sizeof(inner));
	b.unwraps = object_create(c, &mine);
	if (c->row->a != 0) {
		REFUSED(c, 269, &b, &t, CKR_TEMPLATE_INCONSISTENT);
		return;
	}
	template_remove(&t, CKA_EXTRACTABLE);
	EXPECT_CODE(c, 269, "C_UnwrapKey", unwrap_kind(c, &b, AES_16, &t, &key), CKR_OK);
	EXPECT(c, 269, !object_bool(c, key, CKA_EXTRACTABLE),
	       "what CKA_UNWRAP_TEMPLATE says is not in the key");
}

/* ---- what the text leaves open, and who wraps should know --------------------------------------- */

static void sensitive_comes_back(struct check *c)
{
	struct bench b;
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_BYTE value[KEYING_VALUE_SIZE];
	CK_ULONG size;
	need_unwrap(c, &b, &t);
	struct template hidden;
	target_template(c, &hidden, AES_16);
	template_bool(&hidden, CKA_SENSITIVE, true);
	b.target = object_create(c, &hidden);
	NEED_OK(c, wrap(c, &b));
	CK_RV rv = unwrap_kind(c, &b, AES_16, &t, &key);
	if (rv == CKR_OK && keying_value(c, key, value, &size))
		OBSERVE(c, 364, "a sensitive key that is wrapped and unwrapped can be read");
	else
		OBSERVE(c, 364, "a sensitive key cannot be unwrapped as one that can be read (%s)",
		        check_rv_name(rv));
}

static void wraps_and_decrypts(struct check *c)
{
	struct bench b;
	struct template t;
	CK_BYTE opened[WRAPPED_SIZE] = { 0 };
	CK_ULONG size = sizeof(opened);
	begin(c, &b);
	target_template(c, &t, AES_16);
	template_bool(&t, CKA_SENSITIVE, true);
	b.target = object_create(c, &t);
	NEED_OK(c, wrap(c, &b));
	CK_RV rv = c->p11->C_DecryptInit(c->session, &b.how.mechanism, b.unwraps);
	if (rv == CKR_OK)
		rv = c->p11->C_Decrypt(c->session, b.wrapped, b.size, opened, &size);
	bool same = rv == CKR_OK && size >= sizeof(aes_bytes) &&
	            memcmp(opened, aes_bytes, sizeof(aes_bytes)) == 0;
	OBSERVE(c, 364, "one key may wrap and decrypt: %s (%s)",
	        same ? "a sensitive key can be read so" : "not so that a key can be read",
	        check_rv_name(rv));
}

static void as_another_type(struct check *c)
{
	struct bench b;
	struct template t;
	CK_OBJECT_HANDLE key;
	need_unwrap(c, &b, &t);
	unwrap_template(c, &t, GENERIC_20, b.w);
	template_ulong(&t, CKA_VALUE_LEN, sizeof(aes_bytes));
	CK_RV rv = unwrap(c, &b, &t, &key);
	OBSERVE(c, 364, "an AES key unwrapped as a generic secret: %s", check_rv_name(rv));
}

static void other_mechanism(struct check *c)
{
	struct bench b = { .size = WRAPPED_SIZE };
	struct template t;
	CK_OBJECT_HANDLE key = keying_secret(c, CKK_AES, aes_bytes, sizeof(aes_bytes));
	CK_MECHANISM mechanism = { c->row->a, NULL, 0 };
	if (keying_has(c, c->row->a, CKF_WRAP) || keying_has(c, c->row->a, CKF_UNWRAP))
		check_skip(c, "the token says that it wraps with this mechanism");
	EXPECT_REFUSED(c, 93,
	               c->p11->C_WrapKey(c->session, &mechanism, key, key, b.wrapped, &b.size),
	               CKR_MECHANISM_INVALID);
	unwrap_template(c, &t, AES_16, &wrappings[0]);
	EXPECT_REFUSED(c, 93,
	               c->p11->C_UnwrapKey(c->session, &mechanism, key, b.wrapped, 32, t.entry,
	                                   t.count, &key),
	               CKR_MECHANISM_INVALID);
}

static void null_mechanism(struct check *c)
{
	CK_BYTE wrapped_key[64];
	CK_ULONG size = sizeof(wrapped_key);
	CK_OBJECT_HANDLE key = keying_secret(c, CKK_AES, aes_bytes, sizeof(aes_bytes));
	EXPECT_REFUSED(c, 314, c->p11->C_WrapKey(c->session, NULL, key, key, wrapped_key, &size),
	               CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID);
}

static void null_unwrap_mechanism(struct check *c)
{
	struct template t;
	CK_BYTE wrapped_key[32] = { 0 };
	CK_OBJECT_HANDLE key = keying_secret(c, CKK_AES, aes_bytes, sizeof(aes_bytes));
	unwrap_template(c, &t, AES_16, &wrappings[0]);
	EXPECT_REFUSED(c, 314,
	               c->p11->C_UnwrapKey(c->session, NULL, key, wrapped_key, sizeof(wrapped_key),
	                                   t.entry, t.count, &key),
	               CKR_ARGUMENTS_BAD);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add(struct check_list *list, struct check_row row, const struct wrapping *w,
                uintptr_t a, uintptr_t b, const char *name, const char *more)
{
	row.data = w;
	keying_row(&row, w->mechanism, CKF_WRAP);
	row.a = a;
	row.b = b;
	check_add(list, row, "%s/%s%s%s", name, w->name, more[0] == 0 ? "" : "-", more);
}

static void add_kinds(struct check_list *list, const struct wrapping *w)
{
	for (unsigned int kind = 0; kind < TARGET_KINDS; kind++) {
		add(list, CHECK(round_trip, NEED_USER, "a key comes back as it was", 264, 361, 362),
		    w, kind, 0, "round-trip", targets[kind].name);
		if (kind != AES_16 && kind != RSA)
			continue;
		add(list, CHECK(sizes, NEED_USER, "the output follows §5.2", 264, 361, 30, 31, 32),
		    w, kind, 0, "sizes", targets[kind].name);
	}
}

static void add_plain(struct check_list *list, const struct wrapping *w)
{
	const struct {
		const char *name;
		struct check_row row;
	} members[] = {
		{ "unextractable",
		  CHECK(unextractable, NEED_USER, "an unextractable key is not wrapped", 263) },
		{ "sensitive", CHECK(sensitive, NEED_USER, "a sensitive key is wrapped", 263) },
		{ "not-for-wrapping",
		  CHECK(not_for_wrapping, NEED_USER, "a key without CKA_WRAP does not wrap", 176) },
		{ "other-wrapping-key", CHECK(other_wrapping_key, NEED_USER,
		                              "a key of another type does not wrap", 267) },
		{ "public-target",
		  CHECK(public_target, NEED_USER, "a public key is not wrapped", 264) },
		{ "trusted-only", CHECK(trusted_only, NEED_USER,
		                        "CKA_WRAP_WITH_TRUSTED keeps a key from others", 265) },
		{ "null-length",
		  CHECK(null_length, NEED_USER, "NULL for the length is refused", 314) },
		{ "too-long", CHECK(too_long, NEED_USER, "a key too long is not wrapped", 264) },
		{ "no-mechanism",
		  CHECK(no_mechanism, NEED_USER, "an unwrapped key was not generated", 260) },
		{ "not-for-unwrapping",
		  CHECK(not_for_unwrapping, NEED_USER, "a key without CKA_UNWRAP does not unwrap",
		        176, 213) },
		{ "other-unwrapping-key",
		  CHECK(other_unwrapping_key, NEED_USER, "a key of another type does not unwrap",
		        267, 213) },
		{ "value-given",
		  CHECK(value_given, NEED_USER, "CKA_VALUE is not the caller's", 209, 213) },
		{ "unknown-attribute", CHECK(unknown_attribute, NEED_USER,
		                             "an unknown attribute is refused", 205, 213) },
		{ "read-only-session",
		  CHECK(token_key_read_only, NEED_USER,
		        "a token key is not unwrapped in a read-only session", 143, 213) },
		{ "no-login", CHECK(private_key_public, NEED_SESSION,
		                    "a private key is not unwrapped without login", 144, 213) },
		{ "null-key",
		  CHECK(null_key, NEED_USER, "NULL for the handle is refused", 314, 213) },
		{ "null-wrapped",
		  CHECK(null_wrapped, NEED_USER, "NULL for the wrapped key is refused", 314, 213) },
		{ "other-key",
		  CHECK(other_key, NEED_USER, "with another key it does not unwrap", 20, 213) },
		{ "value-length",
		  CHECK(value_length, NEED_USER, "more bytes than there are is no key", 270, 213) },
		{ "no-value-length", CHECK(no_value_length, NEED_USER,
		                           "a length that nothing gives must be said", 270) },
		{ "sensitive-comes-back", CHECK(sensitive_comes_back, NEED_USER,
		                                "whether unwrapping makes a key readable", 364) },
		{ "wraps-and-decrypts",
		  CHECK(wraps_and_decrypts, NEED_USER, "whether one key wraps and decrypts", 364) },
		{ "as-another-type", CHECK(as_another_type, NEED_USER,
		                           "whether a key can be unwrapped as another type", 364) },
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(members); i++)
		add(list, members[i].row, w, 0, 0, members[i].name, "");
}

static void add_variants(struct check_list *list, const struct wrapping *w)
{
	static const char *const handles[] = { "zero", "data" };
	static const char *const lengths[] = { "nothing", "one", "less", "more" };
	static const char *const places[] = { "first", "middle", "last" };
	static const CK_ATTRIBUTE_TYPE read_only[] = { CKA_LOCAL, CKA_ALWAYS_SENSITIVE };
	for (unsigned int i = 0; i < 2; i++) {
		add(list, CHECK(no_wrapping_key, NEED_USER, "what is no key does not wrap", 267), w,
		    i, 0, "no-wrapping-key", handles[i]);
		add(list, CHECK(no_target, NEED_USER, "what is no key is not wrapped", 177), w, i,
		    0, "no-target", handles[i]);
		add(list,
		    CHECK(no_unwrapping_key, NEED_USER, "what is no key does not unwrap", 267, 213),
		    w, i, 0, "no-unwrapping-key", handles[i]);
	}
	for (unsigned int i = 0; i < 3 && w->seals; i++) {
		add(list, CHECK(changed, NEED_USER, "what was changed does not unwrap", 20, 213), w,
		    i, 0, "changed", places[i]);
	}
	for (unsigned int i = 0; i < 4; i++) {
		add(list,
		    CHECK(other_length, NEED_USER, "what has another length does not unwrap", 20,
		          213),
		    w, i, 0, "other-length", lengths[i]);
		add(list, CHECK(history, NEED_USER, "an unwrapped key's history is not known", 268),
		    w, i & 1, i >> 1, "history",
		    i == 0   ? "plain"
		    : i == 1 ? "sensitive"
		    : i == 2 ? "unextractable"
		             : "sensitive-unextractable");
	}
	for (unsigned int i = 0; i < 2; i++) {
		add(list,
		    CHECK(read_only_given, NEED_USER,
		          "an attribute that only the token sets is refused", 207, 213),
		    w, read_only[i], 0, "read-only", check_attribute_name(read_only[i]));
		add(list, CHECK(parameter, NEED_USER, "a parameter that does not fit", 178), w, i,
		    0, "parameter", i == 0 ? "none" : "short");
		add(list,
		    CHECK(wrap_template, NEED_USER, "CKA_WRAP_TEMPLATE says which keys are wrapped",
		          266),
		    w, i, 0, "wrap-template", i == 0 ? "other" : "fits");
		add(list,
		    CHECK(with_template, NEED_USER, "CKA_UNWRAP_TEMPLATE is in the key", 269, 213),
		    w, i, 0, "unwrap-template", i == 0 ? "added" : "conflict");
		add(list, CHECK(missing, NEED_USER, "class and type must be said", 208, 213), w,
		    i == 0 ? CKA_CLASS : CKA_KEY_TYPE, 0, "missing",
		    i == 0 ? "CKA_CLASS" : "CKA_KEY_TYPE");
		add(list,
		    CHECK(other_class, NEED_USER, "what is no secret or private key is refused",
		          209, 213),
		    w, i == 0 ? CKO_PUBLIC_KEY : CKO_DATA, 0, "other-class",
		    i == 0 ? "CKO_PUBLIC_KEY" : "CKO_DATA");
	}
}

void suite_wrap(struct check_list *list)
{
	static const CK_MECHANISM_TYPE others[] = { CKM_SHA256, CKM_AES_KEY_GEN, CKM_ECDSA,
		                                    CKM_SHA256_HMAC,
		                                    CKM_VENDOR_DEFINED | 0x7fffffUL };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(wrappings); i++) {
		add_kinds(list, &wrappings[i]);
		add_plain(list, &wrappings[i]);
		add_variants(list, &wrappings[i]);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(answers); i++) {
		struct check_row row =
			CHECK(known_wrap, NEED_USER, "a known key is wrapped to a known value", 264,
		              361, 362);
		row.data = &answers[i];
		check_add(list, row, "known-wrap/%s", answers[i].w->name);
		row = CHECK(known_unwrap, NEED_USER, "a known value unwraps to a known key", 361,
		            362);
		row.data = &answers[i];
		check_add(list, row, "known-unwrap/%s", answers[i].w->name);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(others); i++) {
		struct check_row row = CHECK(other_mechanism, NEED_USER,
		                             "a mechanism that wraps no keys is refused", 93);
		row.a = others[i];
		check_add(list, row, "other-mechanism/%s",
		          i + 1 < TAPE_ARRAY_SIZE(others) ? check_mechanism_name(others[i])
		                                          : "unknown");
	}
	check_add(list, CHECK(null_mechanism, NEED_USER, "NULL for the mechanism is refused", 314),
	          "null-mechanism/wrap");
	check_add(list,
	          CHECK(null_unwrap_mechanism, NEED_USER, "NULL for the mechanism is refused", 314),
	          "null-mechanism/unwrap");
}
