/* SPDX-License-Identifier: MIT
 *
 * C_EncapsulateKey, C_DecapsulateKey, C_WrapKeyAuthenticated, C_UnwrapKeyAuthenticated (PKCS#11 3.2 §5.18.6 to §5.18.9).
 */
#include <string.h>

#include "suites/keying.h"
#include "suites/keys.h"
#include "suites/values.h"

#define CIPHERTEXT_SIZE 8192

static const CK_BYTE aes_bytes[16] = "p11tape 16 bytes";

/* ---- pairs ---------------------------------------------------------------------------------- */

static const struct kem {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	CK_KEY_TYPE type;
	CK_MECHANISM_TYPE generator;
	CK_ULONG set;    /* CKA_PARAMETER_SET of ML-KEM */
	CK_ULONG secret; /* bytes: 0 where the template says how many */
} kems[] = {
	{ "ml-kem-512", CKM_ML_KEM, CKK_ML_KEM, CKM_ML_KEM_KEY_PAIR_GEN, CKP_ML_KEM_512, 32 },
	{ "ml-kem-768", CKM_ML_KEM, CKK_ML_KEM, CKM_ML_KEM_KEY_PAIR_GEN, CKP_ML_KEM_768, 32 },
	{ "ml-kem-1024", CKM_ML_KEM, CKK_ML_KEM, CKM_ML_KEM_KEY_PAIR_GEN, CKP_ML_KEM_1024, 32 },
	{ "rsa-pkcs", CKM_RSA_PKCS, CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, 0, 0 },
	{ "rsa-oaep", CKM_RSA_PKCS_OAEP, CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, 0, 0 },
	{ "ecdh", CKM_ECDH1_DERIVE, CKK_EC, CKM_EC_KEY_PAIR_GEN, 0, 32 },
	{ "dh", CKM_DH_PKCS_DERIVE, CKK_DH, CKM_DH_PKCS_KEY_PAIR_GEN, 0, 128 },
};

struct bench {
	const struct kem *kem;
	CK_MECHANISM mechanism;
	CK_RSA_PKCS_OAEP_PARAMS oaep;
	CK_ECDH1_DERIVE_PARAMS ecdh;
	CK_OBJECT_HANDLE public, private, key;
	struct template t; /* of the secret */
	CK_BYTE ciphertext[CIPHERTEXT_SIZE];
	CK_ULONG size;
};

static void make_pair(struct check *c, struct bench *b, bool encapsulates, bool decapsulates)
{
	struct template public, private;
	CK_MECHANISM mechanism = { b->kem->generator, NULL, 0 };
	keying_template(c, &public);
	template_remove(&public, CKA_ID);
	template_bool(&public, CKA_PRIVATE, false);
	template_bool(&public, CKA_ENCAPSULATE, encapsulates);
	keying_template(c, &private);
	template_remove(&private, CKA_ID);
	template_bool(&private, CKA_DECAPSULATE, decapsulates);
	if (b->kem->type == CKK_ML_KEM) {
		template_ulong(&public, CKA_PARAMETER_SET, b->kem->set);
	} else if (b->kem->type == CKK_RSA) {
		template_ulong(&public, CKA_MODULUS_BITS, 1024);
		template_bytes(&public, CKA_PUBLIC_EXPONENT, rsa_public_exponent, 3);
	} else if (b->kem->type == CKK_EC) {
		template_bytes(&public, CKA_EC_PARAMS, ec_params, sizeof(ec_params));
	} else {
		template_bytes(&public, CKA_PRIME, dh_prime, sizeof(dh_prime));
		template_bytes(&public, CKA_BASE, "\2", 1);
	}
	NEED_OK(c,
	        c->p11->C_GenerateKeyPair(c->session, &mechanism, public.entry, public.count,
	                                  private.entry, private.count, &b->public, &b->private));
}

static void begin(struct check *c, struct bench *b)
{
	b->kem = c->row->data;
	b->size = sizeof(b->ciphertext);
	b->mechanism = (CK_MECHANISM){ b->kem->mechanism, NULL, 0 };
	if (c->p32->C_EncapsulateKey(0, NULL, 0, NULL, 0, NULL, NULL, NULL) ==
	    CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "the function is not supported");
	keying_mechanism(c, b->kem->mechanism, CKF_ENCAPSULATE | CKF_DECAPSULATE);
	if (b->kem->mechanism == CKM_RSA_PKCS_OAEP) {
		b->oaep = (CK_RSA_PKCS_OAEP_PARAMS){ CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED,
			                             NULL, 0 };
		b->mechanism = (CK_MECHANISM){ CKM_RSA_PKCS_OAEP, &b->oaep, sizeof(b->oaep) };
	} else if (b->kem->mechanism == CKM_ECDH1_DERIVE) {
		b->ecdh = (CK_ECDH1_DERIVE_PARAMS){ CKD_NULL, 0, NULL, 0, NULL };
		b->mechanism = (CK_MECHANISM){ CKM_ECDH1_DERIVE, &b->ecdh, sizeof(b->ecdh) };
	}
	make_pair(c, b, true, true);
	keying_template(c, &b->t);
	template_ulong(&b->t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&b->t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_bool(&b->t, CKA_SENSITIVE, false);
	template_bool(&b->t, CKA_EXTRACTABLE, true);
	if (b->kem->secret == 0)
		template_ulong(&b->t, CKA_VALUE_LEN, 32);
}

static CK_RV encapsulate(struct check *c, struct bench *b, CK_OBJECT_HANDLE *ret_key)
{
	*ret_key = CK_INVALID_HANDLE;
	b->size = sizeof(b->ciphertext);
	return c->p32->C_EncapsulateKey(c->session, &b->mechanism, b->public, b->t.entry,
	                                b->t.count, b->ciphertext, &b->size, ret_key);
}

static CK_RV decapsulate(struct check *c, struct bench *b, CK_OBJECT_HANDLE *ret_key)
{
	*ret_key = CK_INVALID_HANDLE;
	return c->p32->C_DecapsulateKey(c->session, &b->mechanism, b->private, b->t.entry,
	                                b->t.count, b->ciphertext, b->size, ret_key);
}

/* ---- secrets -------------------------------------------------------------------------------- */

static bool same_secret(struct check *c, CK_OBJECT_HANDLE one, CK_OBJECT_HANDLE other)
{
	CK_BYTE first[KEYING_VALUE_SIZE], second[KEYING_VALUE_SIZE];
	CK_ULONG size, other_size;
	if (!keying_value(c, one, first, &size) || !keying_value(c, other, second, &other_size))
		check_skip(c, "the keys' values cannot be read");
	return size == other_size && size != 0 && memcmp(first, second, size) == 0;
}

static void agree(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE other;
	begin(c, &b);
	NEED_OK(c, encapsulate(c, &b, &b.key));
	EXPECT(c, 277, b.size != 0 && b.size < sizeof(b.ciphertext), "a ciphertext of %lu bytes",
	       b.size);
	EXPECT(c, 277, b.key != CK_INVALID_HANDLE, "no key was made");
	EXPECT_CODE(c, 277, "C_DecapsulateKey", decapsulate(c, &b, &other), CKR_OK);
	EXPECT(c, 366, same_secret(c, b.key, other), "the two sides have different secrets");
	CK_BYTE value[KEYING_VALUE_SIZE];
	CK_ULONG size;
	if (b.kem->secret != 0 && keying_value(c, other, value, &size))
		EXPECT(c, 366, size == b.kem->secret, "the secret has %lu bytes, not %lu", size,
		       b.kem->secret);
}

static void differ(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE other;
	begin(c, &b);
	NEED_OK(c, encapsulate(c, &b, &b.key));
	NEED_OK(c, encapsulate(c, &b, &other));
	EXPECT(c, 360, !same_secret(c, b.key, other), "two secrets are one");
}

static void changed(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE other;
	begin(c, &b);
	NEED_OK(c, encapsulate(c, &b, &b.key));
	b.ciphertext[b.size / 2] ^= 1;
	CK_RV rv = decapsulate(c, &b, &other);
	/* ML-KEM refuses nothing: it makes another secret (FIPS 203 §6.3). */
	if (rv == CKR_OK) {
		EXPECT(c, 366, !same_secret(c, b.key, other),
		       "a ciphertext that was changed gives the same secret");
		return;
	}
	/* The one key is that of the encapsulation. */
	EXPECT(c, 213, keying_left(c) == 1, "C_DecapsulateKey failed and left a key");
}

static void history(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	begin(c, &b);
	template_remove(&b.t, CKA_EXTRACTABLE);
	if (c->row->b != 0)
		template_bool(&b.t, CKA_SENSITIVE, true);
	NEED_OK(c, encapsulate(c, &b, &key));
	if (c->row->a != 0)
		NEED_OK(c, decapsulate(c, &b, &key));
	EXPECT(c, 278, !object_bool(c, key, CKA_LOCAL), "CKA_LOCAL is true");
	EXPECT(c, 278, !object_bool(c, key, CKA_ALWAYS_SENSITIVE), "CKA_ALWAYS_SENSITIVE is true");
	EXPECT(c, 278, !object_bool(c, key, CKA_NEVER_EXTRACTABLE),
	       "CKA_NEVER_EXTRACTABLE is true");
	EXPECT(c, 278, object_bool(c, key, CKA_EXTRACTABLE), "CKA_EXTRACTABLE is false by default");
}

static void too_small(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	begin(c, &b);
	NEED_OK(c, encapsulate(c, &b, &key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
	CK_ULONG size = b.size - 1;
	CK_BYTE *small = check_buffer(c, size);
	EXPECT_RV(c, 277,
	          c->p32->C_EncapsulateKey(c->session, &b.mechanism, b.public, b.t.entry, b.t.count,
	                                   small, &size, &key),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 277, size >= b.size,
	       "with CKR_BUFFER_TOO_SMALL the length is %lu, needed are %lu", size, b.size);
	keying_nothing_left(c, "C_EncapsulateKey");
	size = b.size;
	CK_BYTE *exact = check_buffer(c, size);
	EXPECT_RV(c, 277,
	          c->p32->C_EncapsulateKey(c->session, &b.mechanism, b.public, b.t.entry, b.t.count,
	                                   exact, &size, &key),
	          CKR_OK);
}

/* 3.2 does not say what a length query does; the 3.3 draft has §5.2. */
static void query(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_ULONG need = 0;
	begin(c, &b);
	NEED_OK(c, encapsulate(c, &b, &key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
	CK_RV rv = c->p32->C_EncapsulateKey(c->session, &b.mechanism, b.public, b.t.entry,
	                                    b.t.count, NULL, &need, &key);
	OBSERVE(c, 282, "a length query returns %s and says %lu; the ciphertext has %lu bytes",
	        check_rv_name(rv), need, b.size);
	if (keying_left(c) != 0)
		check_note(c, "a length query makes a key");
}

static void with_template(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE inner = { CKA_EXTRACTABLE, &no, sizeof(no) };
	CK_ATTRIBUTE set = { c->row->a != 0 ? CKA_DECAPSULATE_TEMPLATE : CKA_ENCAPSULATE_TEMPLATE,
		             &inner, sizeof(inner) };
	begin(c, &b);
	CK_RV rv = c->p11->C_SetAttributeValue(c->session, c->row->a != 0 ? b.private : b.public,
	                                       &set, 1);
	if (rv != CKR_OK)
		check_skip(c, "%s cannot be set (%s)", check_attribute_name(set.type),
		           check_rv_name(rv));
	template_remove(&b.t, CKA_EXTRACTABLE);
	NEED_OK(c, encapsulate(c, &b, &key));
	if (c->row->a != 0)
		NEED_OK(c, decapsulate(c, &b, &key));
	OBSERVE(c, 282, "%s is %s", check_attribute_name(set.type),
	        object_bool(c, key, CKA_EXTRACTABLE) ? "ignored" : "honoured");
}

/* ---- refused -------------------------------------------------------------------------------- */

/* row->a: C_DecapsulateKey. */
static CK_RV either(struct check *c, struct bench *b)
{
	return c->row->a != 0 ? decapsulate(c, b, &b->key) : encapsulate(c, b, &b->key);
}

static void need_both(struct check *c, struct bench *b)
{
	CK_OBJECT_HANDLE key;
	begin(c, b);
	NEED_OK(c, encapsulate(c, b, &b->key));
	NEED_OK(c, decapsulate(c, b, &key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, b->key));
}

static const char *call(const struct check *c)
{
	return c->row->a != 0 ? "C_DecapsulateKey" : "C_EncapsulateKey";
}

static void not_permitted(struct check *c)
{
	struct bench b;
	need_both(c, &b);
	make_pair(c, &b, false, false);
	EXPECT_CODE(c, 176, call(c), either(c, &b), CKR_KEY_FUNCTION_NOT_PERMITTED);
	keying_nothing_left(c, call(c));
}

static void no_key(struct check *c)
{
	struct bench b;
	need_both(c, &b);
	b.public = b.private = CK_INVALID_HANDLE;
	EXPECT_CODE(c, 177, call(c), either(c, &b), CKR_KEY_HANDLE_INVALID);
	keying_nothing_left(c, call(c));
}

static void other_key(struct check *c)
{
	struct bench b;
	need_both(c, &b);
	/* The AES key may even encapsulate, for all that its template says. */
	b.public = b.private = object_make(c, OBJECT_AES);
	EXPECT_CODE(c, 178, call(c), either(c, &b), CKR_KEY_TYPE_INCONSISTENT);
	keying_nothing_left(c, call(c));
}

static void other_class(struct check *c)
{
	struct bench b;
	need_both(c, &b);
	template_ulong(&b.t, CKA_CLASS, CKO_PUBLIC_KEY);
	EXPECT_CODE(c, 209, call(c), either(c, &b), CKR_TEMPLATE_INCONSISTENT,
	            CKR_ATTRIBUTE_VALUE_INVALID);
	keying_nothing_left(c, call(c));
}

static void read_only_given(struct check *c)
{
	struct bench b;
	need_both(c, &b);
	template_bool(&b.t, CKA_LOCAL, true);
	EXPECT_CODE(c, 207, call(c), either(c, &b), CKR_ATTRIBUTE_READ_ONLY,
	            CKR_TEMPLATE_INCONSISTENT);
	keying_nothing_left(c, call(c));
}

static void token_key_read_only(struct check *c)
{
	struct bench b;
	need_both(c, &b);
	template_bool(&b.t, CKA_TOKEN, true);
	EXPECT_CODE(c, 143, call(c), either(c, &b), CKR_SESSION_READ_ONLY,
	            CKR_TOKEN_WRITE_PROTECTED);
	keying_nothing_left(c, call(c));
}

static void null_key(struct check *c)
{
	struct bench b;
	need_both(c, &b);
	CK_RV rv =
		c->row->a != 0
			? c->p32->C_DecapsulateKey(c->session, &b.mechanism, b.private, b.t.entry,
	                                           b.t.count, b.ciphertext, b.size, NULL)
			: c->p32->C_EncapsulateKey(c->session, &b.mechanism, b.public, b.t.entry,
	                                           b.t.count, b.ciphertext, &b.size, NULL);
	EXPECT_CODE(c, 314, call(c), rv, CKR_ARGUMENTS_BAD);
	keying_nothing_left(c, call(c));
}

static void cut(struct check *c)
{
	struct bench b;
	need_both(c, &b);
	if (b.kem->type == CKK_DH)
		check_skip(c, "what is left is a public value as well");
	b.size--;
	CK_RV rv = decapsulate(c, &b, &b.key);
	EXPECT(c, 366, rv != CKR_OK, "a secret comes from a ciphertext that was cut");
	keying_nothing_left(c, "C_DecapsulateKey");
}

static void other_mechanism(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key = object_make(c, OBJECT_RSA_PUBLIC);
	struct template t;
	CK_MECHANISM mechanism = { c->row->a, NULL, 0 };
	if (keying_has(c, c->row->a, CKF_ENCAPSULATE))
		check_skip(c, "the token says that it encapsulates with this mechanism");
	keying_template(c, &t);
	template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&t, CKA_KEY_TYPE, CKK_AES);
	b.size = sizeof(b.ciphertext);
	EXPECT_REFUSED(c, 93,
	               c->p32->C_EncapsulateKey(c->session, &mechanism, key, t.entry, t.count,
	                                        b.ciphertext, &b.size, &b.key),
	               CKR_MECHANISM_INVALID);
}

/* ---- wrapping with associated data ----------------------------------------------------------- */

struct sealing {
	CK_MECHANISM mechanism;
	CK_GCM_MESSAGE_PARAMS gcm;
	CK_CCM_MESSAGE_PARAMS ccm;
	CK_BYTE iv[12], tag[16], wrapped[512], aad[11];
	CK_ULONG size;
	CK_OBJECT_HANDLE key, target;
	struct template t;
};

static void begin_sealing(struct check *c, struct sealing *s)
{
	static const CK_BYTE kek[16] = { 0x10, 0x32, 0x54, 0x76, 0x98 };
	bool gcm = c->row->data == NULL;
	memset(s, 0, sizeof(*s));
	memcpy(s->aad, "header data", sizeof(s->aad));
	s->gcm = (CK_GCM_MESSAGE_PARAMS){ s->iv, sizeof(s->iv), 0, CKG_NO_GENERATE, s->tag, 128 };
	/* ulDataLen is ignored here (§6.13). */
	s->ccm = (CK_CCM_MESSAGE_PARAMS){
		7777, s->iv, sizeof(s->iv), 0, CKG_NO_GENERATE, s->tag, 16
	};
	s->mechanism = gcm ? (CK_MECHANISM){ CKM_AES_GCM, &s->gcm, sizeof(s->gcm) }
	                   : (CK_MECHANISM){ CKM_AES_CCM, &s->ccm, sizeof(s->ccm) };
	keying_mechanism(c, s->mechanism.mechanism, CKF_WRAP | CKF_UNWRAP);
	s->key = keying_secret(c, CKK_AES, kek, sizeof(kek));
	s->target = keying_secret(c, CKK_AES, aes_bytes, sizeof(aes_bytes));
	keying_template(c, &s->t);
	template_ulong(&s->t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&s->t, CKA_KEY_TYPE, CKK_AES);
	template_bool(&s->t, CKA_SENSITIVE, false);
	template_bool(&s->t, CKA_EXTRACTABLE, true);
	s->size = sizeof(s->wrapped);
}

static CK_RV seal(struct check *c, struct sealing *s)
{
	s->size = sizeof(s->wrapped);
	return c->p32->C_WrapKeyAuthenticated(c->session, &s->mechanism, s->key, s->target, s->aad,
	                                      sizeof(s->aad), s->wrapped, &s->size);
}

static CK_RV unseal(struct check *c, struct sealing *s, CK_OBJECT_HANDLE *ret_key)
{
	*ret_key = CK_INVALID_HANDLE;
	return c->p32->C_UnwrapKeyAuthenticated(c->session, &s->mechanism, s->key, s->wrapped,
	                                        s->size, s->t.entry, s->t.count, s->aad,
	                                        sizeof(s->aad), ret_key);
}

static void sealed_round_trip(struct check *c)
{
	struct sealing s;
	CK_OBJECT_HANDLE key;
	CK_BYTE value[KEYING_VALUE_SIZE];
	CK_ULONG size;
	static const CK_BYTE none[16];
	begin_sealing(c, &s);
	NEED_OK(c, seal(c, &s));
	EXPECT(c, 279, s.size == sizeof(aes_bytes) && memcmp(s.tag, none, sizeof(none)) != 0,
	       "%lu bytes are wrapped to %lu, and the tag has its place in the parameter",
	       (unsigned long)sizeof(aes_bytes), (unsigned long)s.size);
	EXPECT_CODE(c, 279, "C_UnwrapKeyAuthenticated", unseal(c, &s, &key), CKR_OK);
	if (keying_value(c, key, value, &size))
		EXPECT(c, 279, size == sizeof(aes_bytes) && memcmp(value, aes_bytes, size) == 0,
		       "the unwrapped key is another one");
	EXPECT(c, 268, !object_bool(c, key, CKA_LOCAL), "CKA_LOCAL is true");
	EXPECT(c, 268, !object_bool(c, key, CKA_ALWAYS_SENSITIVE), "CKA_ALWAYS_SENSITIVE is true");
}

static void ignores_length(struct check *c)
{
	struct sealing s;
	begin_sealing(c, &s);
	EXPECT_REFUSED(c, 295, seal(c, &s), CKR_OK);
	EXPECT(c, 295, s.size == sizeof(aes_bytes), "16 bytes are wrapped to %lu", s.size);
}

static void sealed_changed(struct check *c)
{
	struct sealing s;
	CK_OBJECT_HANDLE key;
	begin_sealing(c, &s);
	NEED_OK(c, seal(c, &s));
	CK_BYTE *parts[] = { s.tag, s.wrapped, s.aad, s.iv };
	parts[c->row->a][0] ^= 1;
	CK_RV rv = unseal(c, &s, &key);
	EXPECT(c, 279, rv != CKR_OK, "what was changed unwraps");
	EXPECT_CODE(c, 279, "C_UnwrapKeyAuthenticated", rv, CKR_AEAD_DECRYPT_FAILED,
	            CKR_WRAPPED_KEY_INVALID);
	keying_nothing_left(c, "C_UnwrapKeyAuthenticated");
}

static void sealed_sizes(struct check *c)
{
	struct sealing s;
	CK_ULONG need = 0, size = sizeof(aes_bytes) - 1;
	CK_BYTE *small = check_buffer(c, size);
	begin_sealing(c, &s);
	NEED_OK(c, seal(c, &s));
	EXPECT_RV(c, 30,
	          c->p32->C_WrapKeyAuthenticated(c->session, &s.mechanism, s.key, s.target, s.aad,
	                                         sizeof(s.aad), NULL, &need),
	          CKR_OK);
	EXPECT(c, 30, need >= s.size && need <= s.size + 64, "the length query said %lu", need);
	EXPECT_RV(c, 32,
	          c->p32->C_WrapKeyAuthenticated(c->session, &s.mechanism, s.key, s.target, s.aad,
	                                         sizeof(s.aad), small, &size),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 32, size >= s.size, "with CKR_BUFFER_TOO_SMALL the length is %lu", size);
}

static void sealed_generates(struct check *c)
{
	struct sealing s;
	CK_OBJECT_HANDLE key;
	static const CK_BYTE none[12];
	begin_sealing(c, &s);
	s.gcm.ivGenerator = s.ccm.nonceGenerator = CKG_GENERATE;
	NEED_OK(c, seal(c, &s));
	EXPECT(c, 197, memcmp(s.iv, none, sizeof(none)) != 0, "no IV was generated");
	EXPECT_CODE(c, 279, "C_UnwrapKeyAuthenticated", unseal(c, &s, &key), CKR_OK);
}

/* row->a: which rule of C_WrapKey's it is. */
static void sealed_refused(struct check *c)
{
	struct sealing s;
	CK_BBOOL no = CK_FALSE;
	begin_sealing(c, &s);
	NEED_OK(c, seal(c, &s));
	CK_ATTRIBUTE wraps = { CKA_WRAP, &no, sizeof(no) };
	CK_ATTRIBUTE extractable = { CKA_EXTRACTABLE, &no, sizeof(no) };
	switch (c->row->a) {
	case 0:
		NEED_OK(c, c->p11->C_SetAttributeValue(c->session, s.target, &extractable, 1));
		EXPECT_CODE(c, 263, "C_WrapKeyAuthenticated", seal(c, &s), CKR_KEY_UNEXTRACTABLE);
		break;
	case 1:
		NEED_OK(c, c->p11->C_SetAttributeValue(c->session, s.key, &wraps, 1));
		EXPECT_CODE(c, 176, "C_WrapKeyAuthenticated", seal(c, &s),
		            CKR_KEY_FUNCTION_NOT_PERMITTED);
		break;
	case 2:
		s.target = CK_INVALID_HANDLE;
		EXPECT_CODE(c, 177, "C_WrapKeyAuthenticated", seal(c, &s), CKR_KEY_HANDLE_INVALID);
		break;
	case 3:
		s.key = CK_INVALID_HANDLE;
		EXPECT_CODE(c, 267, "C_WrapKeyAuthenticated", seal(c, &s),
		            CKR_WRAPPING_KEY_HANDLE_INVALID);
		break;
	default:
		s.mechanism.ulParameterLen = 5;
		EXPECT_CODE(c, 178, "C_WrapKeyAuthenticated", seal(c, &s),
		            CKR_MECHANISM_PARAM_INVALID);
	}
}

static void unsealed_refused(struct check *c)
{
	struct sealing s;
	CK_OBJECT_HANDLE key;
	begin_sealing(c, &s);
	NEED_OK(c, seal(c, &s));
	switch (c->row->a) {
	case 0:
		template_bool(&s.t, CKA_TOKEN, true);
		EXPECT_CODE(c, 143, "C_UnwrapKeyAuthenticated", unseal(c, &s, &key),
		            CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
		break;
	case 1:
		template_bool(&s.t, CKA_LOCAL, true);
		EXPECT_CODE(c, 207, "C_UnwrapKeyAuthenticated", unseal(c, &s, &key),
		            CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
		break;
	case 2:
		template_remove(&s.t, CKA_KEY_TYPE);
		EXPECT_CODE(c, 208, "C_UnwrapKeyAuthenticated", unseal(c, &s, &key),
		            CKR_TEMPLATE_INCOMPLETE);
		break;
	default:
		s.key = CK_INVALID_HANDLE;
		EXPECT_CODE(c, 267, "C_UnwrapKeyAuthenticated", unseal(c, &s, &key),
		            CKR_UNWRAPPING_KEY_HANDLE_INVALID);
	}
	keying_nothing_left(c, "C_UnwrapKeyAuthenticated");
}

/* ---- the list -------------------------------------------------------------------------------- */

static const unsigned int needs = NEED_USER | NEED_V32;

static void add_kem(struct check_list *list, const struct kem *kem)
{
	static const char *const sides[] = { "encapsulate", "decapsulate" };
	const struct {
		const char *name;
		struct check_row row;
		bool both; /* of both functions */
	} members[] = {
		{ "agree", CHECK(agree, needs, "both sides have one secret", 277, 366), false },
		{ "differ", CHECK(differ, needs, "two secrets are two", 360), false },
		{ "changed", CHECK(changed, needs, "another ciphertext, another secret", 366, 213),
		  false },
		{ "too-small", CHECK(too_small, needs, "too little room, and no key", 277, 213),
		  false },
		{ "query", CHECK(query, needs, "what a length query does", 282), false },
		{ "history", CHECK(history, needs, "the secret's history is not known", 278),
		  true },
		{ "template",
		  CHECK(with_template, needs, "whether the key's template is honoured", 282),
		  true },
		{ "not-permitted",
		  CHECK(not_permitted, needs, "a key without the use is refused", 176, 213), true },
		{ "no-key", CHECK(no_key, needs, "what is no key is refused", 177, 213), true },
		{ "other-key",
		  CHECK(other_key, needs, "a key of another type is refused", 178, 213), true },
		{ "other-class",
		  CHECK(other_class, needs, "a class that is no secret key is refused", 209, 213),
		  true },
		{ "read-only",
		  CHECK(read_only_given, needs, "an attribute that only the token sets is refused",
		        207, 213),
		  true },
		{ "read-only-session",
		  CHECK(token_key_read_only, needs, "no token key in a read-only session", 143,
		        213),
		  true },
		{ "null-key", CHECK(null_key, needs, "NULL for the handle is refused", 314, 213),
		  true },
		{ "cut", CHECK(cut, needs, "a ciphertext that was cut gives no secret", 366, 213),
		  false },
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(members); i++)
		for (unsigned int side = 0; side < (members[i].both ? 2 : 1); side++) {
			struct check_row row = members[i].row;
			row.data = kem;
			keying_row(&row, kem->mechanism, CKF_ENCAPSULATE | CKF_DECAPSULATE);
			row.a = side;
			check_add(list, row, "%s/%s%s%s", members[i].name, kem->name,
			          members[i].both ? "-" : "", members[i].both ? sides[side] : "");
		}
}

static void add_sealing(struct check_list *list, const char *name, const void *ccm)
{
	static const char *const parts[] = { "tag", "wrapped", "aad", "iv" };
	static const char *const wraps[] = { "unextractable", "not-permitted", "no-target",
		                             "no-key", "parameter" };
	static const char *const unwraps[] = { "read-only-session", "read-only", "no-type",
		                               "no-key" };
	struct check_row row =
		CHECK(sealed_round_trip, needs, "a key comes back as it was", 279, 268);
	row.data = ccm;
	check_add(list, row, "wrap-authenticated/round-trip-%s", name);
	row = CHECK(sealed_sizes, needs, "the output follows §5.2", 30, 32);
	row.data = ccm;
	check_add(list, row, "wrap-authenticated/sizes-%s", name);
	row = CHECK(sealed_generates, needs, "the token makes the IV", 197, 279);
	row.data = ccm;
	check_add(list, row, "wrap-authenticated/generates-%s", name);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(parts); i++) {
		row = CHECK(sealed_changed, needs, "what was changed does not unwrap", 279, 213);
		row.data = ccm;
		row.a = i;
		check_add(list, row, "wrap-authenticated/changed-%s-%s", name, parts[i]);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(wraps); i++) {
		row = CHECK(sealed_refused, needs, "what C_WrapKey refuses is refused", 263, 176,
		            177, 267, 178);
		row.data = ccm;
		row.a = i;
		check_add(list, row, "wrap-authenticated/%s-%s", wraps[i], name);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(unwraps); i++) {
		row = CHECK(unsealed_refused, needs, "what C_UnwrapKey refuses is refused", 143,
		            207, 208, 267, 213);
		row.data = ccm;
		row.a = i;
		check_add(list, row, "unwrap-authenticated/%s-%s", unwraps[i], name);
	}
}

void suite_kem(struct check_list *list)
{
	static const CK_MECHANISM_TYPE others[] = { CKM_SHA256, CKM_AES_ECB, CKM_ECDSA,
		                                    CKM_VENDOR_DEFINED | 0x7fffffUL };
	static const char is_ccm[] = "ccm";
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(kems); i++)
		add_kem(list, &kems[i]);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(others); i++) {
		row = CHECK(other_mechanism, needs,
		            "a mechanism that encapsulates nothing is refused", 93);
		row.a = others[i];
		check_add(list, row, "other-mechanism/%s",
		          i + 1 < TAPE_ARRAY_SIZE(others) ? check_mechanism_name(others[i])
		                                          : "unknown");
	}
	add_sealing(list, "gcm", NULL);
	add_sealing(list, "ccm", is_ccm);
	row = CHECK(ignores_length, needs, "CKM_AES_CCM needs no ulDataLen to wrap", 295);
	row.data = is_ccm;
	check_add(list, row, "wrap-authenticated/ccm-length");
}
