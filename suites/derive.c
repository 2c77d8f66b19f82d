/* SPDX-License-Identifier: MIT
 *
 * C_DeriveKey (PKCS#11 3.1 §5.18.5): every deriving mechanism with known keys and what it must come to (values.h),
 * with what a base key hands on to the key that is derived from it, and with what must be refused.
 */
#include <string.h>

#include "suites/keying.h"
#include "suites/keys.h"
#include "suites/values.h"

static const CK_BYTE secret_bytes[32] = "p11tape check, a secret of 32 by";
static const CK_BYTE aes_bytes[16] = "p11tape 16 bytes";
static const CK_BYTE des3_bytes[24] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
	                                0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01,
	                                0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23 };

/* A mechanism with its parameter, which lies beside it. */
struct how {
	CK_MECHANISM mechanism;
	union {
		CK_ECDH1_DERIVE_PARAMS ecdh;
		CK_KEY_DERIVATION_STRING_DATA string;
		CK_DES_CBC_ENCRYPT_DATA_PARAMS des;
		CK_AES_CBC_ENCRYPT_DATA_PARAMS aes;
		CK_HKDF_PARAMS hkdf;
		CK_OBJECT_HANDLE key;
		CK_ULONG bit;
		CK_SP800_108_KDF_PARAMS kdf;
	} p;
	CK_BYTE data[256];
	CK_PRF_DATA_PARAM parts[2];
	CK_SP800_108_COUNTER_FORMAT counter;
};

struct derivation {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	void (*set)(struct check *c, struct how *how);
	CK_OBJECT_HANDLE (*base)(struct check *c);
	const CK_BYTE *value; /* what is derived */
	CK_ULONG size;        /* of it, as the template says */
	CK_ULONG variant;
	enum { AGREES, MIXES, ENCRYPTS, DIGESTS } family;
	bool brief; /* like another one: only what comes out is tried */
};

static const struct derivation *derivation(const struct check *c)
{
	return c->row->data;
}

/* ---- parameters ------------------------------------------------------------------------------ */

static void set_parameter(struct how *how, size_t size)
{
	how->mechanism.pParameter = &how->p;
	how->mechanism.ulParameterLen = size;
}

static void set_nothing(struct check *c, struct how *how)
{
	(void)c;
	(void)how;
}

static void set_ecdh(struct check *c, struct how *how)
{
	CK_ULONG kdf = derivation(c)->variant;
	memcpy(how->data, ec_peer, sizeof(ec_peer));
	memcpy(how->data + sizeof(ec_peer), "shared info", 11);
	how->p.ecdh =
		(CK_ECDH1_DERIVE_PARAMS){ kdf, kdf == CKD_NULL ? 0 : 11,
		                          kdf == CKD_NULL ? NULL : how->data + sizeof(ec_peer),
		                          sizeof(ec_peer), how->data };
	set_parameter(how, sizeof(how->p.ecdh));
}

/* The point in an OCTET STRING, as CKA_EC_POINT has it: taken too since 2.40. */
static void set_ecdh_der(struct check *c, struct how *how)
{
	set_ecdh(c, how);
	how->data[0] = 0x04;
	how->data[1] = sizeof(ec_peer);
	memcpy(how->data + 2, ec_peer, sizeof(ec_peer));
	how->p.ecdh.ulPublicDataLen = sizeof(ec_peer) + 2;
}

static void set_dh(struct check *c, struct how *how)
{
	(void)c;
	memcpy(how->data, dh_peer, sizeof(dh_peer));
	how->mechanism.pParameter = how->data;
	how->mechanism.ulParameterLen = sizeof(dh_peer);
}

static void set_string(struct check *c, struct how *how)
{
	(void)c;
	memcpy(how->data, "thirty-two bytes to be encrypted", 32);
	how->p.string = (CK_KEY_DERIVATION_STRING_DATA){ how->data, 32 };
	set_parameter(how, sizeof(how->p.string));
}

static void set_iv_and_string(struct check *c, struct how *how)
{
	set_string(c, how);
	CK_BYTE iv[16];
	for (size_t i = 0; i < sizeof(iv); i++)
		iv[i] = (CK_BYTE)i;
	memset(&how->p, 0, sizeof(how->p));
	if (derivation(c)->variant == 8) {
		memcpy(how->p.des.iv, iv, 8);
		how->p.des.pData = how->data;
		how->p.des.length = 32;
		set_parameter(how, sizeof(how->p.des));
	} else {
		memcpy(how->p.aes.iv, iv, 16);
		how->p.aes.pData = how->data;
		how->p.aes.length = 32;
		set_parameter(how, sizeof(how->p.aes));
	}
}

static void set_key(struct check *c, struct how *how)
{
	how->p.key = keying_secret(c, CKK_GENERIC_SECRET, aes_bytes, sizeof(aes_bytes));
	set_parameter(how, sizeof(how->p.key));
}

static void set_bit(struct check *c, struct how *how)
{
	(void)c;
	how->p.bit = 64;
	set_parameter(how, sizeof(how->p.bit));
}

/* variant: 1 extract, 2 expand, 4 with salt. */
static void set_hkdf(struct check *c, struct how *how)
{
	CK_ULONG variant = derivation(c)->variant;
	bool salt = (variant & 4) != 0;
	memcpy(how->data, "saltinfo", 8);
	how->p.hkdf = (CK_HKDF_PARAMS){ (variant & 1) != 0,
		                        (variant & 2) != 0,
		                        CKM_SHA256,
		                        salt ? CKF_HKDF_SALT_DATA : CKF_HKDF_SALT_NULL,
		                        salt ? how->data : NULL,
		                        salt ? 4 : 0,
		                        CK_INVALID_HANDLE,
		                        (variant & 2) != 0 ? how->data + 4 : NULL,
		                        (variant & 2) != 0 ? 4 : 0 };
	set_parameter(how, sizeof(how->p.hkdf));
}

/* The 32-bit counter comes before "label", 0, "context". */
static void set_sp800(struct check *c, struct how *how)
{
	(void)c;
	memcpy(how->data, "label\0context", 13);
	how->counter = (CK_SP800_108_COUNTER_FORMAT){ CK_FALSE, 32 };
	how->parts[0] = (CK_PRF_DATA_PARAM){ CK_SP800_108_ITERATION_VARIABLE, &how->counter,
		                             sizeof(how->counter) };
	how->parts[1] = (CK_PRF_DATA_PARAM){ CK_SP800_108_BYTE_ARRAY, how->data, 13 };
	how->p.kdf = (CK_SP800_108_KDF_PARAMS){ CKM_SHA256_HMAC, 2, how->parts, 0, NULL };
	set_parameter(how, sizeof(how->p.kdf));
}

/* ---- base keys ------------------------------------------------------------------------------- */

static CK_OBJECT_HANDLE base_secret(struct check *c)
{
	return keying_secret(c, CKK_GENERIC_SECRET, secret_bytes, sizeof(secret_bytes));
}

static CK_OBJECT_HANDLE base_aes(struct check *c)
{
	return keying_secret(c, CKK_AES, aes_bytes, sizeof(aes_bytes));
}

static CK_OBJECT_HANDLE base_des3(struct check *c)
{
	return keying_secret(c, CKK_DES3, des3_bytes, sizeof(des3_bytes));
}

static CK_OBJECT_HANDLE base_ec(struct check *c)
{
	return object_make(c, OBJECT_EC_PRIVATE);
}

static CK_OBJECT_HANDLE base_dh(struct check *c)
{
	static const CK_BYTE two[1] = { 2 };
	struct template t;
	object_template(c, &t, OBJECT_EC_PRIVATE);
	template_remove(&t, CKA_EC_PARAMS);
	template_remove(&t, CKA_SIGN);
	template_ulong(&t, CKA_KEY_TYPE, CKK_DH);
	template_bytes(&t, CKA_PRIME, dh_prime, sizeof(dh_prime));
	template_bytes(&t, CKA_BASE, two, sizeof(two));
	template_bytes(&t, CKA_VALUE, dh_value, sizeof(dh_value));
	return object_create(c, &t);
}

/* ---- mechanisms ------------------------------------------------------------------------------ */

static const CK_BYTE base_and_key[] = "p11tape check, a secret of 32 byp11tape 16 bytes";
static const CK_BYTE base_and_data[] =
	"p11tape check, a secret of 32 bythirty-two bytes to be encrypted";
static const CK_BYTE data_and_base[] =
	"thirty-two bytes to be encryptedp11tape check, a secret of 32 by";
/* "p11tape check…" and "thirty-two bytes…", each byte with the other. */
static CK_BYTE base_xor_data[32];

#define ROW(name, mechanism, set, base, value, size, variant, family, brief) \
	{ name, mechanism, set, base, value, size, variant, family, brief },
#define DIGEST_ROW(name, mechanism, value, brief) \
	ROW(name, mechanism, set_nothing, base_secret, value, sizeof(value), 0, DIGESTS, brief)
#define ECDH_ROW(name, mechanism, set, kdf, value, brief) \
	ROW(name, mechanism, set, base_ec, value, sizeof(value), kdf, AGREES, brief)
#define HKDF_ROW(name, value, variant, brief)                                                    \
	ROW(name, CKM_HKDF_DERIVE, set_hkdf, base_secret, value, sizeof(value), variant, AGREES, \
	    brief)

/* clang-format off */
static const struct derivation derivations[] = {
	ECDH_ROW("ecdh",            CKM_ECDH1_DERIVE, set_ecdh,     CKD_NULL,       ec_secret,     false)
	ECDH_ROW("ecdh-der-point",  CKM_ECDH1_DERIVE, set_ecdh_der, CKD_NULL,       ec_secret,     true)
	ECDH_ROW("ecdh-sha1-kdf",   CKM_ECDH1_DERIVE, set_ecdh,     CKD_SHA1_KDF,   ec_sha1_kdf,   true)
	ECDH_ROW("ecdh-sha224-kdf", CKM_ECDH1_DERIVE, set_ecdh,     CKD_SHA224_KDF, ec_sha224_kdf, true)
	ECDH_ROW("ecdh-sha256-kdf", CKM_ECDH1_DERIVE, set_ecdh,     CKD_SHA256_KDF, ec_sha256_kdf, false)
	ECDH_ROW("ecdh-sha384-kdf", CKM_ECDH1_DERIVE, set_ecdh,     CKD_SHA384_KDF, ec_sha384_kdf, true)
	ECDH_ROW("ecdh-sha512-kdf", CKM_ECDH1_DERIVE, set_ecdh,     CKD_SHA512_KDF, ec_sha512_kdf, true)
	ECDH_ROW("ecdh-cofactor",   CKM_ECDH1_COFACTOR_DERIVE, set_ecdh, CKD_NULL,  ec_secret,     true)
	ROW("dh", CKM_DH_PKCS_DERIVE, set_dh, base_dh, dh_secret, sizeof(dh_secret), 0, AGREES, false)
	HKDF_ROW("hkdf",         hkdf_secret,    7, false)
	HKDF_ROW("hkdf-no-salt", hkdf_no_salt,   3, true)
	HKDF_ROW("hkdf-extract", hkdf_extracted, 5, true)
	ROW("aes-ecb",  CKM_AES_ECB_ENCRYPT_DATA,  set_string,        base_aes,  aes_ecb_of_data,  32, 0,  ENCRYPTS, false)
	ROW("aes-cbc",  CKM_AES_CBC_ENCRYPT_DATA,  set_iv_and_string, base_aes,  aes_cbc_of_data,  32, 16, ENCRYPTS, false)
	ROW("des3-ecb", CKM_DES3_ECB_ENCRYPT_DATA, set_string,        base_des3, des3_ecb_of_data, 32, 0,  ENCRYPTS, false)
	ROW("des3-cbc", CKM_DES3_CBC_ENCRYPT_DATA, set_iv_and_string, base_des3, des3_cbc_of_data, 32, 8,  ENCRYPTS, false)
	ROW("base-and-key",  CKM_CONCATENATE_BASE_AND_KEY,  set_key,    base_secret, base_and_key,     48, 0, MIXES, false)
	ROW("base-and-data", CKM_CONCATENATE_BASE_AND_DATA, set_string, base_secret, base_and_data,    64, 0, MIXES, false)
	ROW("data-and-base", CKM_CONCATENATE_DATA_AND_BASE, set_string, base_secret, data_and_base,    64, 0, MIXES, false)
	ROW("xor",           CKM_XOR_BASE_AND_DATA,         set_string, base_secret, base_xor_data,    32, 0, MIXES, false)
	ROW("extract",       CKM_EXTRACT_KEY_FROM_KEY,      set_bit,    base_secret, secret_bytes + 8, 16, 0, MIXES, false)
	DIGEST_ROW("md5",      CKM_MD5_KEY_DERIVATION,      md5_of_secret,      true)
	DIGEST_ROW("sha1",     CKM_SHA1_KEY_DERIVATION,     sha1_of_secret,     true)
	DIGEST_ROW("sha224",   CKM_SHA224_KEY_DERIVATION,   sha224_of_secret,   true)
	DIGEST_ROW("sha256",   CKM_SHA256_KEY_DERIVATION,   sha256_of_secret,   false)
	DIGEST_ROW("sha384",   CKM_SHA384_KEY_DERIVATION,   sha384_of_secret,   true)
	DIGEST_ROW("sha512",   CKM_SHA512_KEY_DERIVATION,   sha512_of_secret,   true)
	DIGEST_ROW("sha3-256", CKM_SHA3_256_KEY_DERIVATION, sha3_256_of_secret, false)
	DIGEST_ROW("sha3-512", CKM_SHA3_512_KEY_DERIVATION, sha3_512_of_secret, true)
	ROW("sp800-108-counter", CKM_SP800_108_COUNTER_KDF, set_sp800, base_secret, sp800_counter,
	    sizeof(sp800_counter), 0, AGREES, false)
};
/* clang-format on */

struct bench {
	struct how how;
	CK_OBJECT_HANDLE base;
	struct template t;
};

static const struct derivation *begin(struct check *c, struct bench *b)
{
	const struct derivation *d = derivation(c);
	keying_mechanism(c, d->mechanism, CKF_DERIVE);
	memset(&b->how, 0, sizeof(b->how));
	b->how.mechanism.mechanism = d->mechanism;
	d->set(c, &b->how);
	b->base = d->base(c);
	keying_template(c, &b->t);
	template_ulong(&b->t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&b->t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_ulong(&b->t, CKA_VALUE_LEN, d->size);
	template_bool(&b->t, CKA_SENSITIVE, false);
	template_bool(&b->t, CKA_EXTRACTABLE, true);
	return d;
}

static CK_RV derive(struct check *c, struct bench *b, CK_OBJECT_HANDLE *ret_key)
{
	*ret_key = CK_INVALID_HANDLE;
	return c->p11->C_DeriveKey(c->session, &b->how.mechanism, b->base, b->t.entry, b->t.count,
	                           ret_key);
}

/* The good call works: only then a refusal says something. */
static const struct derivation *need_derive(struct check *c, struct bench *b)
{
	CK_OBJECT_HANDLE key;
	const struct derivation *d = begin(c, b);
	NEED_OK(c, derive(c, b, &key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
	return d;
}

/* ---- what is derived ------------------------------------------------------------------------- */

static void value(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	CK_BYTE got[KEYING_VALUE_SIZE];
	CK_ULONG size;
	for (size_t i = 0; i < sizeof(base_xor_data); i++)
		base_xor_data[i] =
			secret_bytes[i] ^ (CK_BYTE) "thirty-two bytes to be encrypted"[i];
	const struct derivation *d = begin(c, &b);
	CK_RV rv = derive(c, &b, &key);
	if (d->set == set_ecdh_der && rv != CKR_OK)
		check_skip(c, "a point in DER is not taken (%s): only raw ones must be",
		           check_rv_name(rv));
	if (d->variant > CKD_NULL && d->mechanism == CKM_ECDH1_DERIVE && rv != CKR_OK)
		check_skip(c, "the key derivation function is not taken (%s)", check_rv_name(rv));
	NEED_OK(c, rv);
	if (!keying_value(c, key, got, &size))
		check_skip(c, "the key's value cannot be read");
	EXPECT(c, 362, size == d->size, "the key has %lu bytes, not %lu", size, d->size);
	EXPECT(c, 362, memcmp(got, d->value, size) == 0, "the key is another one");
}

/* A key shorter than what there is. Agreements lose leading bytes, all others trailing ones. */
static void shorter(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	CK_BYTE got[KEYING_VALUE_SIZE];
	CK_ULONG size;
	value(c);
	const struct derivation *d = begin(c, &b);
	if (d->mechanism == CKM_HKDF_DERIVE && (d->variant & 2) == 0)
		check_skip(c, "what is extracted has the digest's length");
	template_ulong(&b.t, CKA_VALUE_LEN, d->size - 5);
	NEED_OK(c, derive(c, &b, &key));
	if (!keying_value(c, key, got, &size))
		check_skip(c, "the key's value cannot be read");
	EXPECT(c, 362, size == d->size - 5, "the key has %lu bytes, not %lu", size, d->size - 5);
	bool leading = memcmp(got, d->value, size) == 0;
	bool trailing = memcmp(got, d->value + 5, size) == 0;
	/* Only what is neither is certainly wrong: texts, and modules, differ. */
	EXPECT(c, 362, leading || trailing || d->mechanism == CKM_EXTRACT_KEY_FROM_KEY,
	       "the key is neither the first nor the last bytes");
	check_note(c, "of what is too long the %s bytes are kept", leading ? "first" : "last");
}

static void again(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE one, other;
	CK_BYTE first[KEYING_VALUE_SIZE], second[KEYING_VALUE_SIZE];
	CK_ULONG size, other_size;
	begin(c, &b);
	NEED_OK(c, derive(c, &b, &one));
	EXPECT_CODE(c, 362, "C_DeriveKey", derive(c, &b, &other), CKR_OK);
	EXPECT(c, 214, one != other, "two keys have one handle");
	if (!keying_value(c, one, first, &size) || !keying_value(c, other, second, &other_size))
		check_skip(c, "the key's value cannot be read");
	EXPECT(c, 362, size == other_size && memcmp(first, second, size) == 0,
	       "derived again it is another key");
}

static void local(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	begin(c, &b);
	NEED_OK(c, derive(c, &b, &key));
	EXPECT(c, 271, !object_bool(c, key, CKA_LOCAL), "CKA_LOCAL is true");
	CK_ULONG mechanism = object_ulong(c, key, CKA_KEY_GEN_MECHANISM);
	EXPECT(c, 260, mechanism == CK_UNAVAILABLE_INFORMATION, "CKA_KEY_GEN_MECHANISM is %s",
	       check_mechanism_name(mechanism));
}

static void usable(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	const struct derivation *d = need_derive(c, &b);
	template_ulong(&b.t, CKA_KEY_TYPE, CKK_AES);
	template_ulong(&b.t, CKA_VALUE_LEN, 16);
	template_bool(&b.t, CKA_ENCRYPT, true);
	template_bool(&b.t, CKA_DECRYPT, true);
	if (d->size < 16)
		check_skip(c, "too little is derived for an AES key");
	CK_RV rv = derive(c, &b, &key);
	/* The attribute is not one of an AES key's own for deriving, in some texts. */
	if (rv != CKR_OK) {
		template_remove(&b.t, CKA_VALUE_LEN);
		NEED_OK(c, derive(c, &b, &key));
	}
	if (!keying_works(c, 361, key, CKK_AES))
		check_skip(c, "the token has no mechanism to try an AES key with");
}

/* ---- what a base key hands on ---------------------------------------------------------------- */

/* A base key that was generated: only of those the history is known. */
static CK_OBJECT_HANDLE generated_base(struct check *c, bool sensitive, bool extractable)
{
	const struct derivation *d = derivation(c);
	struct template t, public;
	CK_OBJECT_HANDLE key, other;
	CK_MECHANISM mechanism = { d->base == base_aes    ? CKM_AES_KEY_GEN
		                   : d->base == base_des3 ? CKM_DES3_KEY_GEN
		                                          : CKM_GENERIC_SECRET_KEY_GEN,
		                   NULL, 0 };
	object_template(c, &t, d->base == base_ec ? OBJECT_EC_PRIVATE : OBJECT_SECRET);
	template_bool(&t, CKA_SENSITIVE, sensitive);
	template_bool(&t, CKA_EXTRACTABLE, extractable);
	template_bool(&t, CKA_DERIVE, true);
	template_remove(&t, CKA_VALUE);
	template_remove(&t, CKA_KEY_TYPE);
	template_remove(&t, CKA_SIGN);
	template_remove(&t, CKA_VERIFY);
	if (d->base == base_ec || d->base == base_dh) {
		object_template(c, &public, OBJECT_EC_PUBLIC);
		template_remove(&public, CKA_EC_POINT);
		template_remove(&public, CKA_VERIFY);
		template_remove(&public, CKA_KEY_TYPE);
		template_remove(&t, CKA_EC_PARAMS);
		mechanism.mechanism = CKM_EC_KEY_PAIR_GEN;
		if (d->base == base_dh) {
			template_remove(&public, CKA_EC_PARAMS);
			template_bytes(&public, CKA_PRIME, dh_prime, sizeof(dh_prime));
			template_bytes(&public, CKA_BASE, "\2", 1);
			mechanism.mechanism = CKM_DH_PKCS_KEY_PAIR_GEN;
		}
		NEED_OK(c, c->p11->C_GenerateKeyPair(c->session, &mechanism, public.entry,
		                                     public.count, t.entry, t.count, &other, &key));
		return key;
	}
	if (d->base != base_des3)
		template_ulong(&t, CKA_VALUE_LEN, d->base == base_aes ? 16 : 32);
	NEED_OK(c, c->p11->C_GenerateKey(c->session, &mechanism, t.entry, t.count, &key));
	return key;
}

/* row->a: bit 0 base sensitive, 1 base extractable, 2 derived sensitive, 3 derived extractable. */
static void history(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	bool was_sensitive = (c->row->a & 1) != 0, was_extractable = (c->row->a & 2) != 0;
	bool sensitive = (c->row->a & 4) != 0, extractable = (c->row->a & 8) != 0;
	const struct derivation *d = begin(c, &b);
	b.base = generated_base(c, was_sensitive, was_extractable);
	template_bool(&b.t, CKA_SENSITIVE, sensitive);
	template_bool(&b.t, CKA_EXTRACTABLE, extractable);
	CK_RV rv = derive(c, &b, &key);
	bool weaker = (was_sensitive && !sensitive) || (!was_extractable && extractable);
	if (rv != CKR_OK && weaker && d->family == MIXES) {
		EXPECT_CODE(c, 273, "C_DeriveKey", rv, CKR_TEMPLATE_INCONSISTENT);
		keying_nothing_left(c, "C_DeriveKey");
		return;
	}
	NEED_OK(c, rv);
	if (d->family == MIXES && was_sensitive)
		EXPECT(c, 273, object_bool(c, key, CKA_SENSITIVE),
		       "a key derived from a sensitive one is not sensitive");
	if (d->family == MIXES && !was_extractable)
		EXPECT(c, 273, !object_bool(c, key, CKA_EXTRACTABLE),
		       "a key derived from an unextractable one is extractable");
	sensitive = object_bool(c, key, CKA_SENSITIVE);
	extractable = object_bool(c, key, CKA_EXTRACTABLE);
	bool always = object_bool(c, key, CKA_ALWAYS_SENSITIVE);
	bool never = object_bool(c, key, CKA_NEVER_EXTRACTABLE);
	unsigned int rule = d->family == MIXES ? 273 : 272;
	/* Of two base keys the second was created: nothing was always so of it. */
	was_sensitive &= d->set != set_key;
	was_extractable |= d->set == set_key;
	EXPECT(c, rule, always == (was_sensitive && (sensitive || d->family == MIXES)),
	       "CKA_ALWAYS_SENSITIVE is %s: the base key's is %s, CKA_SENSITIVE %s",
	       always ? "true" : "false", was_sensitive ? "true" : "false",
	       sensitive ? "true" : "false");
	EXPECT(c, rule, never == (!was_extractable && (!extractable || d->family == MIXES)),
	       "CKA_NEVER_EXTRACTABLE is %s: the base key's is %s, CKA_EXTRACTABLE %s",
	       never ? "true" : "false", was_extractable ? "false" : "true",
	       extractable ? "true" : "false");
}

/* Nothing is said of the derived key: SP800-108 hands on (§6.42); what others do is noted. */
static void inherits(struct check *c)
{
	struct bench b;
	CK_OBJECT_HANDLE key;
	const struct derivation *d = begin(c, &b);
	b.base = generated_base(c, true, false);
	template_remove(&b.t, CKA_SENSITIVE);
	template_remove(&b.t, CKA_EXTRACTABLE);
	NEED_OK(c, derive(c, &b, &key));
	bool sensitive = object_bool(c, key, CKA_SENSITIVE);
	bool extractable = object_bool(c, key, CKA_EXTRACTABLE);
	if (d->mechanism == CKM_SP800_108_COUNTER_KDF)
		EXPECT(c, 274, sensitive && !extractable,
		       "CKA_SENSITIVE and CKA_EXTRACTABLE are not the base key's");
	if (d->family == MIXES)
		EXPECT(c, 273, sensitive && !extractable,
		       "a key derived from a sensitive, unextractable one is not");
	OBSERVE(c, 364, "of a sensitive, unextractable key one is derived that is %s, %s",
	        sensitive ? "sensitive" : "not sensitive",
	        extractable ? "extractable" : "unextractable");
}

/* ---- refused --------------------------------------------------------------------------------- */

static void refused(struct check *c, unsigned int rule, struct bench *b, const CK_RV *codes,
                    size_t count)
{
	CK_OBJECT_HANDLE key;
	CK_RV rv = derive(c, b, &key);
	check_expect_rv(c, rule, "C_DeriveKey", rv, codes, count, __FILE__, __LINE__);
	if (rv != CKR_OK)
		keying_nothing_left(c, "C_DeriveKey");
}

#define REFUSED(c, rule, b, ...)                            \
	refused(c, rule, b, (const CK_RV[]){ __VA_ARGS__ }, \
	        sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV))

static void no_base(struct check *c)
{
	struct bench b;
	need_derive(c, &b);
	b.base = c->row->a != 0 ? object_make(c, OBJECT_DATA) : CK_INVALID_HANDLE;
	REFUSED(c, 177, &b, CKR_KEY_HANDLE_INVALID);
}

static void other_base(struct check *c)
{
	struct bench b;
	const struct derivation *d = need_derive(c, &b);
	bool is_private = d->base == base_ec || d->base == base_dh;
	/* Of a key whose type is wrong CKA_DERIVE is of no interest. */
	b.base = is_private ? base_secret(c) : base_ec(c);
	REFUSED(c, 178, &b, CKR_KEY_TYPE_INCONSISTENT);
}

static void not_for_deriving(struct check *c)
{
	struct bench b;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE derives = { CKA_DERIVE, &no, sizeof(no) };
	need_derive(c, &b);
	CK_RV rv = c->p11->C_SetAttributeValue(c->session, b.base, &derives, 1);
	if (rv != CKR_OK)
		check_skip(c, "CKA_DERIVE cannot be set to false (%s)", check_rv_name(rv));
	REFUSED(c, 176, &b, CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void bad_parameter(struct check *c)
{
	struct bench b;
	const struct derivation *d = need_derive(c, &b);
	CK_BYTE bytes[8] = { 0 };
	if (d->set == set_nothing)
		check_skip(c, "the mechanism has no parameter");
	/* 0: none; 1: too short; 2: pointers that are NULL and lengths that are not. */
	if (c->row->a == 0) {
		b.how.mechanism.pParameter = NULL;
		b.how.mechanism.ulParameterLen = 0;
	} else if (c->row->a == 1) {
		b.how.mechanism.pParameter = bytes;
		b.how.mechanism.ulParameterLen = 3;
	} else if (d->set == set_string) {
		b.how.p.string.pData = NULL;
	} else if (d->set == set_ecdh || d->set == set_ecdh_der) {
		b.how.p.ecdh.pPublicData = NULL;
	} else {
		check_skip(c, "the parameter has no such pointer");
	}
	REFUSED(c, 178, &b, CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
}

static void null_key(struct check *c)
{
	struct bench b;
	need_derive(c, &b);
	EXPECT_REFUSED(c, 314,
	               c->p11->C_DeriveKey(c->session, &b.how.mechanism, b.base, b.t.entry,
	                                   b.t.count, NULL),
	               CKR_ARGUMENTS_BAD);
	keying_nothing_left(c, "C_DeriveKey");
}

static void other_class(struct check *c)
{
	struct bench b;
	need_derive(c, &b);
	template_ulong(&b.t, CKA_CLASS, CKO_PUBLIC_KEY);
	REFUSED(c, 209, &b, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
}

static void read_only_given(struct check *c)
{
	struct bench b;
	need_derive(c, &b);
	template_bool(&b.t, CKA_LOCAL, true);
	REFUSED(c, 207, &b, CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
}

static void unknown_attribute(struct check *c)
{
	struct bench b;
	need_derive(c, &b);
	template_ulong(&b.t, CKA_VENDOR_DEFINED | 0x7fffffUL, 1);
	REFUSED(c, 205, &b, CKR_ATTRIBUTE_TYPE_INVALID);
}

static void token_key_read_only(struct check *c)
{
	struct bench b;
	need_derive(c, &b);
	template_bool(&b.t, CKA_TOKEN, true);
	REFUSED(c, 143, &b, CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

static void private_key_public(struct check *c)
{
	struct bench b;
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	need_derive(c, &b);
	template_bool(&b.t, CKA_PRIVATE, true);
	REFUSED(c, 144, &b, CKR_USER_NOT_LOGGED_IN);
}

/* More than the mechanism gives. A KDF gives as much as is asked for. */
static void too_long(struct check *c)
{
	struct bench b;
	const struct derivation *d = need_derive(c, &b);
	bool stretches = (d->mechanism == CKM_ECDH1_DERIVE && d->variant != CKD_NULL) ||
	                 d->mechanism == CKM_SP800_108_COUNTER_KDF ||
	                 (d->mechanism == CKM_HKDF_DERIVE && (d->variant & 2) != 0);
	if (stretches)
		check_skip(c, "the mechanism gives as much as is asked for");
	template_ulong(&b.t, CKA_VALUE_LEN, 2000);
	REFUSED(c, 206, &b, CKR_KEY_SIZE_RANGE, CKR_TEMPLATE_INCONSISTENT,
	        CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCOMPLETE, CKR_MECHANISM_PARAM_INVALID,
	        CKR_DATA_LEN_RANGE);
}

/* ---- points that are none -------------------------------------------------------------------- */

static void bad_point(struct check *c)
{
	struct bench b;
	need_derive(c, &b);
	static const struct {
		CK_ULONG size;
	} shapes[] = { { 65 }, { 65 }, { 64 }, { 66 }, { 1 }, { 65 }, { 0 }, { 65 } };
	b.how.p.ecdh.ulPublicDataLen = shapes[c->row->a].size;
	switch (c->row->a) {
	case 0: /* not on the curve */
		b.how.data[64] ^= 1;
		break;
	case 1: /* 0, 0 */
		memset(b.how.data + 1, 0, 64);
		break;
	case 4: /* infinity */
		b.how.data[0] = 0;
		break;
	case 5: /* no such form */
		b.how.data[0] = 0x05;
		break;
	case 7: /* beyond the prime */
		memset(b.how.data + 1, 0xff, 64);
		break;
	default:
		b.how.data[65] = 0;
		break;
	}
	/* Any refusal will do: the texts name none. That it is one must be. */
	CK_OBJECT_HANDLE key;
	CK_RV rv = derive(c, &b, &key);
	EXPECT(c, 178, rv != CKR_OK, "a key is derived with a point that is none");
	keying_nothing_left(c, "C_DeriveKey");
	if (rv != CKR_MECHANISM_PARAM_INVALID)
		check_note(c, "a point that is none is refused with %s", check_rv_name(rv));
}

static void bad_kdf(struct check *c)
{
	struct bench b;
	need_derive(c, &b);
	b.how.p.ecdh.kdf = 0x7ffffff;
	REFUSED(c, 178, &b, CKR_MECHANISM_PARAM_INVALID);
}

/* ---- HKDF into data, IKE, templates ----------------------------------------------------------- */

/* The TLS profile: "tls iv" and "tls quic iv" as data objects. */
static void hkdf_data(struct check *c)
{
	bool quic = c->row->a != 0;
	struct template t;
	CK_OBJECT_HANDLE base, object;
	CK_BYTE value[KEYING_VALUE_SIZE], info[64];
	CK_ULONG size, info_size = quic ? sizeof(hkdf_quic_iv_info) : sizeof(hkdf_iv_info);
	memcpy(info, quic ? hkdf_quic_iv_info : hkdf_iv_info, info_size);
	CK_HKDF_PARAMS params = { CK_FALSE, CK_TRUE,           CKM_SHA256, CKF_HKDF_SALT_NULL, NULL,
		                  0,        CK_INVALID_HANDLE, info,       info_size };
	CK_MECHANISM mechanism = { CKM_HKDF_DATA, &params, sizeof(params) };
	keying_mechanism(c, CKM_HKDF_DATA, CKF_DERIVE);
	base = base_secret(c);
	template_clear(&t);
	template_ulong(&t, CKA_CLASS, CKO_DATA);
	template_bool(&t, CKA_TOKEN, false);
	template_bool(&t, CKA_PRIVATE, false);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_ulong(&t, CKA_VALUE_LEN, 12);
	NEED_OK(c, c->p11->C_DeriveKey(c->session, &mechanism, base, t.entry, t.count, &object));
	EXPECT(c, 307, object_ulong(c, object, CKA_CLASS) == CKO_DATA,
	       "CKM_HKDF_DATA made no data object");
	NEED_OK(c, object_read(c, object, CKA_VALUE, value, sizeof(value), &size));
	EXPECT(c, 307, size == 12 && memcmp(value, quic ? hkdf_quic_iv : hkdf_iv, size) == 0,
	       "the data are not what HKDF gives");
}

static void ike_flags(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE base, key;
	CK_BYTE nonce[16] = { 1 };
	keying_mechanism(c, CKM_IKE_PRF_DERIVE, CKF_DERIVE);
	base = base_secret(c);
	CK_IKE_PRF_DERIVE_PARAMS params = { CKM_SHA256_HMAC, CK_TRUE, CK_TRUE,       nonce,
		                            sizeof(nonce),   nonce,   sizeof(nonce), base };
	CK_MECHANISM mechanism = { CKM_IKE_PRF_DERIVE, &params, sizeof(params) };
	keying_template(c, &t);
	template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	EXPECT_REFUSED(c, 294,
	               c->p11->C_DeriveKey(c->session, &mechanism, base, t.entry, t.count, &key),
	               CKR_ARGUMENTS_BAD);
	keying_nothing_left(c, "C_DeriveKey");
}

/* Two keys at once: one that is impossible takes the other with it, and is pointed out. */
static void all_or_nothing(struct check *c)
{
	struct bench b;
	struct template good, bad;
	CK_OBJECT_HANDLE key, more[2] = { 77, 77 };
	need_derive(c, &b);
	keying_template(c, &good);
	template_ulong(&good, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&good, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_ulong(&good, CKA_VALUE_LEN, 16);
	keying_template(c, &bad);
	template_ulong(&bad, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&bad, CKA_KEY_TYPE, CKK_AES);
	template_ulong(&bad, CKA_VALUE_LEN, 17);
	CK_DERIVED_KEY keys[2] = { { good.entry, good.count, &more[0] },
		                   { bad.entry, bad.count, &more[1] } };
	b.how.p.kdf.ulAdditionalDerivedKeys = 2;
	b.how.p.kdf.pAdditionalDerivedKeys = keys;
	CK_RV rv = derive(c, &b, &key);
	EXPECT(c, 275, rv != CKR_OK, "a derivation with an impossible key succeeds");
	EXPECT(c, 275, keying_left(c) == 0, "%zu keys are left of a derivation that failed",
	       keying_left(c));
	EXPECT(c, 275, more[1] == CK_INVALID_HANDLE,
	       "the handle of the impossible key is %lu, not CK_INVALID_HANDLE", more[1]);
}

static void with_template(struct check *c)
{
	struct bench b;
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE inner = { CKA_EXTRACTABLE, &no, sizeof(no) };
	const struct derivation *d = need_derive(c, &b);
	if (d->base == base_dh)
		check_skip(c, "tried with other mechanisms");
	object_template(c, &t,
	                d->base == base_ec    ? OBJECT_EC_PRIVATE
	                : d->base == base_aes ? OBJECT_AES
	                                      : OBJECT_SECRET);
	if (d->base == base_des3) {
		template_ulong(&t, CKA_KEY_TYPE, CKK_DES3);
		template_bytes(&t, CKA_VALUE, des3_bytes, sizeof(des3_bytes));
		template_remove(&t, CKA_SIGN);
		template_remove(&t, CKA_VERIFY);
	}
	template_bytes(&t, CKA_DERIVE_TEMPLATE, &inner, sizeof(inner));
	b.base = object_create(c, &t);
	if (c->row->a != 0) {
		REFUSED(c, 271, &b, CKR_TEMPLATE_INCONSISTENT);
		return;
	}
	template_remove(&b.t, CKA_EXTRACTABLE);
	EXPECT_CODE(c, 271, "C_DeriveKey", derive(c, &b, &key), CKR_OK);
	EXPECT(c, 271, !object_bool(c, key, CKA_EXTRACTABLE),
	       "what CKA_DERIVE_TEMPLATE says is not in the key");
}

/* Keys and MAC secrets come through the parameter. */
static void tls_keys(struct check *c)
{
	struct template t;
	CK_BYTE client[32], server[32], client_iv[16], server_iv[16];
	CK_SSL3_KEY_MAT_OUT out = { 0, 0, 0, 0, client_iv, server_iv };
	CK_TLS12_KEY_MAT_PARAMS params = {
		256,  128,       128, CK_FALSE, { client, sizeof(client), server, sizeof(server) },
		&out, CKM_SHA256
	};
	CK_MECHANISM mechanism = { CKM_TLS12_KEY_AND_MAC_DERIVE, &params, sizeof(params) };
	CK_BYTE master[48];
	keying_mechanism(c, CKM_TLS12_KEY_AND_MAC_DERIVE, CKF_DERIVE);
	memset(client, 1, sizeof(client));
	memset(server, 2, sizeof(server));
	memset(master, 3, sizeof(master));
	CK_OBJECT_HANDLE base = keying_secret(c, CKK_GENERIC_SECRET, master, sizeof(master));
	template_clear(&t);
	template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&t, CKA_KEY_TYPE, CKK_AES);
	template_bool(&t, CKA_TOKEN, false);
	template_bool(&t, CKA_ENCRYPT, true);
	template_bool(&t, CKA_SENSITIVE, false);
	template_bool(&t, CKA_EXTRACTABLE, true);
	NEED_OK(c, c->p11->C_DeriveKey(c->session, &mechanism, base, t.entry, t.count, NULL));
	CK_OBJECT_HANDLE keys[4] = { out.hClientMacSecret, out.hServerMacSecret, out.hClientKey,
		                     out.hServerKey };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(keys); i++)
		EXPECT(c, 276,
		       keys[i] != CK_INVALID_HANDLE &&
		               object_ulong(c, keys[i], CKA_CLASS) == CKO_SECRET_KEY,
		       "handle %zu of the returned key material is no key's", i);
}

static void other_mechanism(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key, base = base_secret(c);
	CK_MECHANISM mechanism = { c->row->a, NULL, 0 };
	if (keying_has(c, c->row->a, CKF_DERIVE))
		check_skip(c, "the token says that it derives keys with this mechanism");
	keying_template(c, &t);
	template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	EXPECT_REFUSED(c, 93,
	               c->p11->C_DeriveKey(c->session, &mechanism, base, t.entry, t.count, &key),
	               CKR_MECHANISM_INVALID);
	keying_nothing_left(c, "C_DeriveKey");
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add_for_all(struct check_list *list, const struct derivation *d)
{
	const struct {
		const char *name;
		struct check_row row;
	} members[] = {
		{ "value", CHECK(value, NEED_USER, "a known key derives a known key", 362) },
		{ "shorter", CHECK(shorter, NEED_USER, "as many bytes as are wanted", 362) },
		{ "again", CHECK(again, NEED_USER, "derived twice it is the same key", 362, 214) },
		{ "local", CHECK(local, NEED_USER, "a derived key was not generated", 271, 260) },
		{ "usable", CHECK(usable, NEED_USER, "a derived key can be used", 361) },
		{ "inherits",
		  CHECK(inherits, NEED_USER, "what a base key hands on", 274, 273, 364) },
		{ "other-base",
		  CHECK(other_base, NEED_USER, "a base key of another type is refused", 178, 213) },
		{ "not-for-deriving", CHECK(not_for_deriving, NEED_USER,
		                            "a key without CKA_DERIVE derives none", 176, 213) },
		{ "null-key",
		  CHECK(null_key, NEED_USER, "NULL for the handle is refused", 314, 213) },
		{ "other-class", CHECK(other_class, NEED_USER,
		                       "a class that cannot be derived is refused", 209, 213) },
		{ "read-only",
		  CHECK(read_only_given, NEED_USER,
		        "an attribute that only the token sets is refused", 207, 213) },
		{ "unknown-attribute", CHECK(unknown_attribute, NEED_USER,
		                             "an unknown attribute is refused", 205, 213) },
		{ "read-only-session",
		  CHECK(token_key_read_only, NEED_USER,
		        "a token key is not derived in a read-only session", 143, 213) },
		{ "no-login", CHECK(private_key_public, NEED_SESSION,
		                    "a private key is not derived without login", 144, 213) },
		{ "too-long",
		  CHECK(too_long, NEED_USER, "more than there is cannot be derived", 206, 213) },
	};
	struct check_row row;
	for (size_t i = 0; i < (d->brief ? 3 : TAPE_ARRAY_SIZE(members)); i++) {
		row = members[i].row;
		row.data = d;
		keying_row(&row, d->mechanism, CKF_DERIVE);
		check_add(list, row, "%s/%s", members[i].name, d->name);
	}
	for (unsigned int i = 0; i < 3 && !d->brief; i++) {
		static const char *const faults[] = { "none", "short", "null" };
		row = CHECK(bad_parameter, NEED_USER, "a parameter that does not fit is refused",
		            178, 213);
		row.data = d;
		keying_row(&row, d->mechanism, CKF_DERIVE);
		row.a = i;
		if (d->set != set_nothing)
			check_add(list, row, "bad-parameter/%s-%s", d->name, faults[i]);
	}
	for (unsigned int i = 0; i < 2 && !d->brief; i++) {
		row = CHECK(no_base, NEED_USER, "what is no key derives none", 177, 213);
		row.data = d;
		keying_row(&row, d->mechanism, CKF_DERIVE);
		row.a = i;
		check_add(list, row, "no-base/%s-%s", d->name, i == 0 ? "zero" : "data");
	}
}

/* Of each family one or two: sixteen combinations, and templates. */
static void add_history(struct check_list *list, const struct derivation *d)
{
	for (unsigned int i = 0; i < 16; i++) {
		struct check_row row =
			CHECK(history, NEED_USER, "the history follows from the base key's", 272,
		              273, 213);
		row.data = d;
		keying_row(&row, d->mechanism, CKF_DERIVE);
		row.a = i;
		check_add(list, row, "history/%s-from-%s-%s-to-%s-%s", d->name,
		          (i & 1) != 0 ? "sensitive" : "plain",
		          (i & 2) != 0 ? "extractable" : "unextractable",
		          (i & 4) != 0 ? "sensitive" : "plain",
		          (i & 8) != 0 ? "extractable" : "unextractable");
	}
	for (unsigned int i = 0; i < 2; i++) {
		struct check_row row = CHECK(with_template, NEED_USER,
		                             "CKA_DERIVE_TEMPLATE is in the key", 271, 213);
		row.data = d;
		keying_row(&row, d->mechanism, CKF_DERIVE);
		row.a = i;
		check_add(list, row, "derive-template/%s-%s", d->name,
		          i == 0 ? "added" : "conflict");
	}
}

void suite_derive(struct check_list *list)
{
	static const char *const points[] = { "not-on-curve", "zero",   "short", "long",
		                              "infinity",     "form-5", "empty", "beyond-prime" };
	static const char *const families[] = { "ecdh", "dh",           "hkdf",  "aes-ecb",
		                                "xor",  "base-and-key", "sha256" };
	static const CK_MECHANISM_TYPE others[] = { CKM_SHA256,  CKM_AES_KEY_GEN,
		                                    CKM_AES_ECB, CKM_RSA_PKCS,
		                                    CKM_ECDSA,   CKM_VENDOR_DEFINED | 0x7fffffUL };
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(derivations); i++) {
		const struct derivation *d = &derivations[i];
		add_for_all(list, d);
		for (size_t f = 0; f < TAPE_ARRAY_SIZE(families); f++)
			if (strcmp(families[f], d->name) == 0)
				add_history(list, d);
		if (d->mechanism == CKM_SP800_108_COUNTER_KDF) {
			row = CHECK(all_or_nothing, NEED_USER, "several keys, or none", 275);
			row.data = d;
			keying_row(&row, d->mechanism, CKF_DERIVE);
			check_add(list, row, "all-or-nothing/%s", d->name);
		}
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(points); i++) {
		row = CHECK(bad_point, NEED_USER, "a point that is none is refused", 178, 213);
		row.data = &derivations[0];
		row.a = i;
		check_add(list, row, "bad-point/%s", points[i]);
	}
	row = CHECK(bad_kdf, NEED_USER, "an unknown KDF is refused", 178, 213);
	row.data = &derivations[0];
	check_add(list, row, "bad-kdf");
	for (unsigned int i = 0; i < 2; i++) {
		row = CHECK(hkdf_data, NEED_USER, "TLS 1.3's IVs are derived as data", 307);
		row.a = i;
		check_add(list, row, "hkdf-data/%s", i == 0 ? "tls-iv" : "tls-quic-iv");
	}
	check_add(list,
	          CHECK(ike_flags, NEED_USER, "bDataAsKey and bRekey exclude each other", 294, 213),
	          "ike-prf-flags");
	check_add(list, CHECK(tls_keys, NEED_USER, "TLS keys come through the parameter", 276),
	          "tls12-keys");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(others); i++) {
		row = CHECK(other_mechanism, NEED_USER,
		            "a mechanism that derives no keys is refused", 93, 213);
		row.a = others[i];
		check_add(list, row, "other-mechanism/%s",
		          i + 1 < TAPE_ARRAY_SIZE(others) ? check_mechanism_name(others[i])
		                                          : "unknown");
	}
}
