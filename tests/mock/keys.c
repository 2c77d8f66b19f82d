/* SPDX-License-Identifier: MIT
 *
 * Key objects and libcrypto's keys: from one to the other, and what follows from a key's material.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/objects.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock.h"

/* ---- curves (§6.3.3) ------------------------------------------------------------------------------- */

struct curve {
	const char *name; /* libcrypto's: of the group, or of the key type */
	CK_KEY_TYPE type;
	CK_ULONG bits;
	const char *oid,
		*text; /* CKA_EC_PARAMS: DER of the OID, or of a PrintableString; "" for none */
	CK_ULONG oid_length, text_length;
	int nid;
};

#define CURVE(name, type, bits, oid, text, nid)                                     \
	{                                                                           \
		name, type, bits, oid, text, sizeof(oid) - 1, sizeof(text) - 1, nid \
	}
static const struct curve curves[] = {
	CURVE("P-256", CKK_EC, 256, "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "",
	      NID_X9_62_prime256v1),
	CURVE("P-384", CKK_EC, 384, "\x06\x05\x2b\x81\x04\x00\x22", "", NID_secp384r1),
	CURVE("P-521", CKK_EC, 521, "\x06\x05\x2b\x81\x04\x00\x23", "", NID_secp521r1),
	CURVE("ED25519", CKK_EC_EDWARDS, 255, "\x06\x03\x2b\x65\x70",
	      "\x13\x0c"
	      "edwards25519",
	      0),
	CURVE("ED448", CKK_EC_EDWARDS, 448, "\x06\x03\x2b\x65\x71",
	      "\x13\x0a"
	      "edwards448",
	      0),
	CURVE("X25519", CKK_EC_MONTGOMERY, 255, "\x06\x03\x2b\x65\x6e",
	      "\x13\x0a"
	      "curve25519",
	      0),
	CURVE("X448", CKK_EC_MONTGOMERY, 448, "\x06\x03\x2b\x65\x6f",
	      "\x13\x08"
	      "curve448",
	      0),
};
#define CURVES (sizeof(curves) / sizeof(curves[0]))

static const struct curve *curve_find(const struct attribute *params)
{
	for (size_t i = 0; params && i < CURVES; i++) {
		const struct curve *curve = &curves[i];

		if (params->length == curve->oid_length &&
		    memcmp(params->value, curve->oid, curve->oid_length) == 0)
			return curve;
		if (curve->text_length > 0 && params->length == curve->text_length &&
		    memcmp(params->value, curve->text, curve->text_length) == 0)
			return curve;
	}
	return NULL;
}

CK_RV curve_name(const struct attribute *params, const char **ret_name)
{
	const struct curve *curve = curve_find(params);

	if (curve) {
		*ret_name = curve->name;
		return CKR_OK;
	}
	/* A well-formed name of another curve, or no name at all. */
	if (params && params->length > 2 &&
	    (params->value[0] == 0x06 || params->value[0] == 0x13) &&
	    params->value[1] == params->length - 2)
		return FAULT(curve_wrong_code) ? CKR_FUNCTION_FAILED : CKR_CURVE_NOT_SUPPORTED;
	return CKR_DOMAIN_PARAMS_INVALID;
}

static const struct curve *curve_named(const char *name)
{
	for (size_t i = 0; i < CURVES; i++) {
		if (strcmp(curves[i].name, name) == 0)
			return &curves[i];
	}
	return NULL;
}

/* ---- attributes to libcrypto -------------------------------------------------------------------------- */

struct builder {
	OSSL_PARAM_BLD *params;
	BIGNUM *numbers[16]; /* to be freed when the parameters were made */
	size_t count;
	CK_BYTE *point;
};

static void push(struct builder *b, const char *name, const struct attributes *key,
                 CK_ATTRIBUTE_TYPE type)
{
	const struct attribute *attribute = attributes_find(key, type);
	BIGNUM *number;

	if (!attribute || attribute->length == 0)
		return;
	number = BN_secure_new();
	if (number && BN_bin2bn(attribute->value, (int)attribute->length, number)) {
		b->numbers[b->count++] = number;
		OSSL_PARAM_BLD_push_BN(b->params, name, number);
	}
}

static EVP_PKEY *finish(struct builder *b, const char *type, int selection)
{
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b->params);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(mock.crypto, type, NULL);
	EVP_PKEY *key = NULL;

	if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, selection, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(b->params);
	for (size_t i = 0; i < b->count; i++)
		BN_clear_free(b->numbers[i]);
	OPENSSL_free(b->point);
	return key;
}

/* The bytes in an OCTET STRING, or the whole where it is none. */
static void unwrap_point(const struct attribute *point, const CK_BYTE **ret_data,
                         CK_ULONG *ret_length)
{
	const unsigned char *at = point->value;
	long length = 0;
	int tag = 0, class = 0;

	if (point->length > 2 &&
	    !(ASN1_get_object(&at, &length, &tag, &class, (long)point->length) & 0x80) &&
	    tag == V_ASN1_OCTET_STRING && at + length == point->value + point->length) {
		*ret_data = at;
		*ret_length = (CK_ULONG)length;
		return;
	}
	*ret_data = point->value;
	*ret_length = point->length;
}

/* The public point of a private key: libcrypto does not work it out by itself. */
static bool push_own_point(struct builder *b, const struct curve *curve, const BIGNUM *number)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name_ex(mock.crypto, NULL, curve->nid);
	EC_POINT *point = group ? EC_POINT_new(group) : NULL;
	size_t length = 0;

	if (point && EC_POINT_mul(group, point, number, NULL, NULL, NULL))
		length = EC_POINT_point2buf(group, point, POINT_CONVERSION_UNCOMPRESSED, &b->point,
		                            NULL);
	EC_POINT_free(point);
	EC_GROUP_free(group);
	return length > 0 && OSSL_PARAM_BLD_push_octet_string(b->params, OSSL_PKEY_PARAM_PUB_KEY,
	                                                      b->point, length);
}

static EVP_PKEY *open_ec(struct builder *b, const struct attributes *key, bool private)
{
	const struct curve *curve = curve_find(attributes_find(key, CKA_EC_PARAMS));
	const struct attribute *point = attributes_find(key, CKA_EC_POINT);
	const CK_BYTE *data;
	CK_ULONG length;

	if (curve && curve->type == CKK_EC) {
		OSSL_PARAM_BLD_push_utf8_string(b->params, OSSL_PKEY_PARAM_GROUP_NAME, curve->name,
		                                0);
		if (private) {
			push(b, OSSL_PKEY_PARAM_PRIV_KEY, key, CKA_VALUE);
			if (b->count > 0)
				push_own_point(b, curve, b->numbers[0]);
		} else if (point) {
			unwrap_point(point, &data, &length);
			/* The point at infinity is nobody's key. */
			if (length < 2)
				length = 0;
			OSSL_PARAM_BLD_push_octet_string(b->params, OSSL_PKEY_PARAM_PUB_KEY, data,
			                                 length);
		}
	}
	return finish(b, "EC", private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY);
}

static EVP_PKEY *open_raw(const struct attributes *key, bool private)
{
	const struct curve *curve = curve_find(attributes_find(key, CKA_EC_PARAMS));
	const struct attribute *value = attributes_find(key, private ? CKA_VALUE : CKA_EC_POINT);
	const CK_BYTE *data;
	CK_ULONG length;

	if (!curve || !value || curve->type == CKK_EC)
		return NULL;
	if (private)
		return EVP_PKEY_new_raw_private_key_ex(mock.crypto, curve->name, NULL, value->value,
		                                       value->length);
	unwrap_point(value, &data, &length);
	return EVP_PKEY_new_raw_public_key_ex(mock.crypto, curve->name, NULL, data, length);
}

EVP_PKEY *key_open(const struct attributes *key)
{
	bool private = object_class(key) == CKO_PRIVATE_KEY;
	int selection = private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
	CK_KEY_TYPE type = object_key_type(key);
	struct builder b = { 0 };

	if (type == CKK_EC_EDWARDS || type == CKK_EC_MONTGOMERY)
		return open_raw(key, private);
	b.params = OSSL_PARAM_BLD_new();
	if (!b.params)
		return NULL;
	if (type == CKK_EC)
		return open_ec(&b, key, private);
	if (type == CKK_DH) {
		push(&b, OSSL_PKEY_PARAM_FFC_P, key, CKA_PRIME);
		push(&b, OSSL_PKEY_PARAM_FFC_G, key, CKA_BASE);
		push(&b, private ? OSSL_PKEY_PARAM_PRIV_KEY : OSSL_PKEY_PARAM_PUB_KEY, key,
		     CKA_VALUE);
		return finish(&b, "DH", selection);
	}
	push(&b, OSSL_PKEY_PARAM_RSA_N, key, CKA_MODULUS);
	push(&b, OSSL_PKEY_PARAM_RSA_E, key, CKA_PUBLIC_EXPONENT);
	if (private) {
		push(&b, OSSL_PKEY_PARAM_RSA_D, key, CKA_PRIVATE_EXPONENT);
		/* The factors count only together. */
		if (attributes_find(key, CKA_PRIME_1) && attributes_find(key, CKA_PRIME_2) &&
		    attributes_find(key, CKA_EXPONENT_1) && attributes_find(key, CKA_EXPONENT_2) &&
		    attributes_find(key, CKA_COEFFICIENT)) {
			push(&b, OSSL_PKEY_PARAM_RSA_FACTOR1, key, CKA_PRIME_1);
			push(&b, OSSL_PKEY_PARAM_RSA_FACTOR2, key, CKA_PRIME_2);
			push(&b, OSSL_PKEY_PARAM_RSA_EXPONENT1, key, CKA_EXPONENT_1);
			push(&b, OSSL_PKEY_PARAM_RSA_EXPONENT2, key, CKA_EXPONENT_2);
			push(&b, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, key, CKA_COEFFICIENT);
		}
	}
	return finish(&b, "RSA", selection);
}

/* ---- libcrypto to attributes ---------------------------------------------------------------------------- */

static bool put_number(EVP_PKEY *pkey, const char *name, struct attributes *set,
                       CK_ATTRIBUTE_TYPE type, int width)
{
	BIGNUM *number = NULL;
	CK_BYTE buffer[1024];
	int length;

	if (!EVP_PKEY_get_bn_param(pkey, name, &number))
		return false;
	length = width > 0 ? width : BN_num_bytes(number);
	if (length <= (int)sizeof(buffer) && BN_bn2binpad(number, buffer, length) == length)
		attributes_put(set, type, buffer, (CK_ULONG)length);
	BN_clear_free(number);
	OPENSSL_cleanse(buffer, sizeof(buffer));
	return true;
}

static const struct curve *curve_of(EVP_PKEY *pkey)
{
	char name[64];
	size_t length = 0;

	if (!EVP_PKEY_is_a(pkey, "EC"))
		return curve_named(EVP_PKEY_get0_type_name(pkey));
	if (!EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, name, sizeof(name),
	                                    &length))
		return NULL;
	for (size_t i = 0; i < CURVES; i++) {
		if (curves[i].nid && (strcmp(OBJ_nid2sn(curves[i].nid), name) == 0 ||
		                      strcmp(curves[i].name, name) == 0))
			return &curves[i];
	}
	return NULL;
}

static void put_public_info(EVP_PKEY *pkey, struct attributes *set)
{
	unsigned char *der = NULL;
	int length = i2d_PUBKEY(pkey, &der);

	if (length > 0)
		attributes_put(set, CKA_PUBLIC_KEY_INFO, der, (CK_ULONG)length);
	OPENSSL_free(der);
}

static void put_kind(struct attributes *set, CK_OBJECT_CLASS class, CK_KEY_TYPE type)
{
	attributes_put_ulong(set, CKA_CLASS, class);
	attributes_put_ulong(set, CKA_KEY_TYPE, type);
}

static bool put_point(EVP_PKEY *pkey, const struct curve *curve, struct attributes *set)
{
	CK_BYTE raw[160], *at = raw + 3;
	size_t length = 0, head;

	if (!EVP_PKEY_get_octet_string_param(
		    pkey, curve->nid ? OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY : OSSL_PKEY_PARAM_PUB_KEY,
		    at, sizeof(raw) - 3, &length))
		return false;
	if (!curve->nid || FAULT(ec_point_not_der)) {
		/* RFC 8032's bytes as they are (§6.3.5). */
		attributes_put(set, CKA_EC_POINT, at, length);
		return true;
	}
	head = length > 127 ? 3 : 2;
	at -= head;
	at[0] = V_ASN1_OCTET_STRING;
	if (head == 3)
		at[1] = 0x81;
	at[head - 1] = (CK_BYTE)length;
	attributes_put(set, CKA_EC_POINT, at, length + head);
	return true;
}

bool key_put_public(EVP_PKEY *pkey, struct attributes *set)
{
	const struct curve *curve;

	put_public_info(pkey, set);
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		put_kind(set, CKO_PUBLIC_KEY, CKK_RSA);
		return put_number(pkey, OSSL_PKEY_PARAM_RSA_N, set, CKA_MODULUS, 0) &&
		       put_number(pkey, OSSL_PKEY_PARAM_RSA_E, set, CKA_PUBLIC_EXPONENT, 0);
	}
	if (EVP_PKEY_is_a(pkey, "DH")) {
		put_kind(set, CKO_PUBLIC_KEY, CKK_DH);
		return put_number(pkey, OSSL_PKEY_PARAM_PUB_KEY, set, CKA_VALUE, 0);
	}
	curve = curve_of(pkey);
	if (!curve)
		return false;
	put_kind(set, CKO_PUBLIC_KEY, curve->type);
	return put_point(pkey, curve, set);
}

bool key_put_private(EVP_PKEY *pkey, struct attributes *set)
{
	static const struct {
		const char *name;
		CK_ATTRIBUTE_TYPE type;
	} rsa[] = {
		{ OSSL_PKEY_PARAM_RSA_N, CKA_MODULUS },
		{ OSSL_PKEY_PARAM_RSA_E, CKA_PUBLIC_EXPONENT },
		{ OSSL_PKEY_PARAM_RSA_D, CKA_PRIVATE_EXPONENT },
		{ OSSL_PKEY_PARAM_RSA_FACTOR1, CKA_PRIME_1 },
		{ OSSL_PKEY_PARAM_RSA_FACTOR2, CKA_PRIME_2 },
		{ OSSL_PKEY_PARAM_RSA_EXPONENT1, CKA_EXPONENT_1 },
		{ OSSL_PKEY_PARAM_RSA_EXPONENT2, CKA_EXPONENT_2 },
		{ OSSL_PKEY_PARAM_RSA_COEFFICIENT1, CKA_COEFFICIENT },
	};
	const struct curve *curve;
	CK_BYTE raw[64];
	size_t length = sizeof(raw);

	put_public_info(pkey, set);
	if (EVP_PKEY_is_a(pkey, "RSA")) {
		put_kind(set, CKO_PRIVATE_KEY, CKK_RSA);
		for (size_t i = 0; i < sizeof(rsa) / sizeof(rsa[0]); i++) {
			/* Factors may be missing. */
			if (!put_number(pkey, rsa[i].name, set, rsa[i].type, 0) && i < 3)
				return false;
		}
		return true;
	}
	if (EVP_PKEY_is_a(pkey, "DH")) {
		put_kind(set, CKO_PRIVATE_KEY, CKK_DH);
		return put_number(pkey, OSSL_PKEY_PARAM_FFC_P, set, CKA_PRIME, 0) &&
		       put_number(pkey, OSSL_PKEY_PARAM_FFC_G, set, CKA_BASE, 0) &&
		       put_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, set, CKA_VALUE, 0);
	}
	curve = curve_of(pkey);
	if (!curve)
		return false;
	put_kind(set, CKO_PRIVATE_KEY, curve->type);
	attributes_put(set, CKA_EC_PARAMS, curve->oid, curve->oid_length);
	if (curve->nid)
		return put_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, set, CKA_VALUE,
		                  (int)(curve->bits + 7) / 8);
	if (!EVP_PKEY_get_raw_private_key(pkey, raw, &length))
		return false;
	attributes_put(set, CKA_VALUE, raw, length);
	OPENSSL_cleanse(raw, sizeof(raw));
	return true;
}

/* ---- sizes -------------------------------------------------------------------------------------------------- */

static CK_ULONG bits_of(const struct attribute *number)
{
	CK_ULONG at = 0, bits;

	while (number && at < number->length && number->value[at] == 0)
		at++;
	if (!number || at == number->length)
		return 0;
	bits = (number->length - at) * 8;
	for (CK_BYTE top = number->value[at]; !(top & 0x80); top = (CK_BYTE)(top << 1))
		bits--;
	return bits;
}

CK_ULONG key_size(const struct attributes *key)
{
	const struct attribute *value = attributes_find(key, CKA_VALUE);
	const struct curve *curve;

	switch (object_key_type(key)) {
	case CKK_RSA:
		return bits_of(attributes_find(key, CKA_MODULUS));
	case CKK_DH:
		return bits_of(attributes_find(key, CKA_PRIME));
	case CKK_EC:
	case CKK_EC_EDWARDS:
	case CKK_EC_MONTGOMERY:
		curve = curve_find(attributes_find(key, CKA_EC_PARAMS));
		return curve ? curve->bits : 0;
	default:
		return value ? value->length : 0;
	}
}

CK_ULONG secret_fixed_length(CK_KEY_TYPE type)
{
	switch (type) {
	case CKK_DES2:
		return 16;
	case CKK_DES3:
		return 24;
	case CKK_CHACHA20:
		return 32;
	default:
		return 0;
	}
}

bool secret_length_fits(CK_KEY_TYPE type, CK_ULONG length)
{
	if (type == CKK_AES)
		return length == 16 || length == 24 || length == 32;
	if (secret_fixed_length(type))
		return length == secret_fixed_length(type);
	return length >= 1 && length <= 4096;
}

void set_des_parity(CK_BYTE *key, CK_ULONG length)
{
	for (CK_ULONG i = 0; i < length; i++) {
		CK_BYTE ones = 0;

		for (int bit = 1; bit < 8; bit++)
			ones = (CK_BYTE)(ones ^ (key[i] >> bit & 1));
		key[i] = (CK_BYTE)((key[i] & 0xfe) | (ones ^ 1));
	}
}

/* ---- check values (§4.11, §4.6.2) ------------------------------------------------------------------------------ */

static bool block_check(const char *cipher_name, const struct attribute *value, CK_BYTE check[3])
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(mock.crypto, cipher_name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	static const CK_BYTE zeros[16];
	CK_BYTE out[32];
	int n, block = cipher ? EVP_CIPHER_get_block_size(cipher) : 0;
	bool good = cipher && ctx && EVP_EncryptInit_ex(ctx, cipher, NULL, value->value, NULL) &&
	            EVP_EncryptUpdate(ctx, out, &n, zeros, block) && n >= 3;

	if (good)
		memcpy(check, out, 3);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return good;
}

bool key_check_value(CK_KEY_TYPE type, const struct attribute *value, CK_BYTE check[3])
{
	struct bytes hash = { 0 };
	bool good;

	if (type == CKK_AES)
		return block_check(value->length == 16   ? "AES-128-ECB"
		                   : value->length == 24 ? "AES-192-ECB"
		                                         : "AES-256-ECB",
		                   value, check);
	if (type == CKK_DES3)
		return block_check("DES-EDE3", value, check);
	if (type == CKK_CHACHA20 || type == CKK_DES2)
		return false;
	good = digest_bytes("SHA1", value->value, value->length, &hash) == CKR_OK;
	if (good)
		memcpy(check, hash.data, 3);
	bytes_done(&hash);
	return good;
}

static CK_RV complete_check_value(struct attributes *set, const struct attribute *value)
{
	const struct attribute *given = attributes_find(set, CKA_CHECK_VALUE);
	CK_BYTE check[3];

	/* No length at all asks for none. */
	if (given && given->length == 0) {
		attributes_drop(set, CKA_CHECK_VALUE);
		return CKR_OK;
	}
	if (!key_check_value(object_key_type(set), value, check)) {
		attributes_drop(set, CKA_CHECK_VALUE);
		return CKR_OK;
	}
	if (given && (given->length != 3 || memcmp(given->value, check, 3) != 0) &&
	    !FAULT(check_value_unchecked))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (FAULT(check_value_wrong))
		check[0] ^= 0xff;
	attributes_put(set, CKA_CHECK_VALUE, check, sizeof(check));
	return CKR_OK;
}

/* ---- new objects ------------------------------------------------------------------------------------------------- */

static CK_RV complete_secret(struct attributes *set)
{
	const struct attribute *value = attributes_find(set, CKA_VALUE);
	CK_KEY_TYPE type = object_key_type(set);
	CK_ULONG said = attributes_ulong(set, CKA_VALUE_LEN);

	if (!value || !secret_length_fits(type, value->length))
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (said != CK_UNAVAILABLE_INFORMATION && said != value->length)
		return CKR_TEMPLATE_INCONSISTENT;
	if (!secret_fixed_length(type))
		attributes_put_ulong(set, CKA_VALUE_LEN, value->length);
	else
		attributes_drop(set, CKA_VALUE_LEN);
	return complete_check_value(set, attributes_find(set, CKA_VALUE));
}

/* A private key's CKA_PUBLIC_KEY_INFO follows from the key, and must agree with it (§4.10). */
static CK_RV complete_public_info(struct attributes *set, EVP_PKEY *pkey)
{
	const struct attribute *given = attributes_find(set, CKA_PUBLIC_KEY_INFO);
	struct attributes own = { 0 };
	CK_RV rv = CKR_OK;

	/* A DH private key has no public value in it: not supported, which is permitted. */
	if (object_class(set) == CKO_PRIVATE_KEY && object_key_type(set) == CKK_DH)
		return given && given->length > 0 ? CKR_ATTRIBUTE_TYPE_INVALID : CKR_OK;
	put_public_info(pkey, &own);
	if (own.count == 1 && given && given->length > 0 &&
	    !attribute_equals(given, &own.list[0]) && !FAULT(public_key_info_unchecked))
		rv = CKR_ATTRIBUTE_VALUE_INVALID;
	else if (own.count == 1)
		attributes_put_copy(set, &own.list[0]);
	attributes_done(&own);
	return rv;
}

static CK_RV complete_pair_member(struct attributes *set)
{
	CK_KEY_TYPE type = object_key_type(set);
	const struct curve *curve;
	const char *name;
	EVP_PKEY *pkey;
	CK_RV rv;

	if (policy_find(CKA_EC_PARAMS, CKO_PUBLIC_KEY, type)) {
		rv = curve_name(attributes_find(set, CKA_EC_PARAMS), &name);
		if (rv != CKR_OK)
			return rv;
		curve = curve_named(name);
		if (curve->type != type)
			return CKR_CURVE_NOT_SUPPORTED;
	}
	pkey = key_open(set);
	if (!pkey)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (type == CKK_RSA && object_class(set) == CKO_PUBLIC_KEY)
		attributes_put_ulong(set, CKA_MODULUS_BITS, key_size(set));
	if (type == CKK_DH && object_class(set) == CKO_PRIVATE_KEY)
		attributes_put_ulong(set, CKA_VALUE_BITS, bits_of(attributes_find(set, CKA_VALUE)));
	rv = complete_public_info(set, pkey);
	EVP_PKEY_free(pkey);
	return rv;
}

CK_RV key_complete(struct attributes *set)
{
	switch (object_class(set)) {
	case CKO_CERTIFICATE:
		if (attributes_find(set, CKA_VALUE)->length == 0)
			return CKR_OK;
		return complete_check_value(set, attributes_find(set, CKA_VALUE));
	case CKO_SECRET_KEY:
		return complete_secret(set);
	default:
		return complete_pair_member(set);
	}
}

/* ---- wrapping (§5.18.3) -------------------------------------------------------------------------------------------- */

CK_RV key_wrap_bytes(const struct attributes *key, struct bytes *bytes)
{
	const struct attribute *value = attributes_find(key, CKA_VALUE);
	unsigned char *der = NULL;
	PKCS8_PRIV_KEY_INFO *info;
	EVP_PKEY *pkey;
	int length;

	if (object_class(key) == CKO_SECRET_KEY) {
		bytes_add(bytes, value->value, value->length);
		return bytes->failed ? CKR_HOST_MEMORY : CKR_OK;
	}
	if (object_class(key) != CKO_PRIVATE_KEY)
		return CKR_KEY_NOT_WRAPPABLE;
	pkey = key_open(key);
	info = pkey ? EVP_PKEY2PKCS8(pkey) : NULL;
	length = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
	if (length > 0)
		bytes_add(bytes, der, (CK_ULONG)length);
	OPENSSL_clear_free(der, length > 0 ? (size_t)length : 0);
	PKCS8_PRIV_KEY_INFO_free(info);
	EVP_PKEY_free(pkey);
	return length > 0 && !bytes->failed ? CKR_OK : CKR_KEY_NOT_WRAPPABLE;
}

CK_RV key_unwrap_private(const struct bytes *bytes, struct attributes *contributed)
{
	const unsigned char *at = bytes->data;
	PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)bytes->length);
	EVP_PKEY *pkey = info ? EVP_PKCS82PKEY_ex(info, mock.crypto, NULL) : NULL;
	bool good = pkey && key_put_private(pkey, contributed);

	EVP_PKEY_free(pkey);
	PKCS8_PRIV_KEY_INFO_free(info);
	return good ? CKR_OK : CKR_WRAPPED_KEY_INVALID;
}
