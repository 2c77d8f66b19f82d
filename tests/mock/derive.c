/* SPDX-License-Identifier: MIT
 *
 * C_DeriveKey (PKCS#11 3.2 §5.18.5) and what its mechanisms compute.
 */
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

#include "tests/mock/mock.h"

static bool has(const CK_MECHANISM *mechanism, size_t size)
{
	return mechanism->pParameter && mechanism->ulParameterLen == size;
}

/* Keep `length` bytes at the end: agreements lose leading bytes (§6.3.18, §6.4.4). */
static void keep_end(struct bytes *secret, CK_ULONG length)
{
	if (length > 0 && secret->length > length) {
		memmove(secret->data, secret->data + secret->length - length, length);
		secret->length = length;
	}
}

static void keep_beginning(struct bytes *secret, CK_ULONG length)
{
	if (length > 0 && secret->length > length)
		secret->length = length;
}

/* ---- agreements --------------------------------------------------------------------------------- */

CK_RV agree(const struct attributes *private_key, const CK_BYTE *data, CK_ULONG length,
            struct bytes *shared)
{
	static const CK_ATTRIBUTE_TYPE common[] = { CKA_KEY_TYPE, CKA_EC_PARAMS, CKA_PRIME,
		                                    CKA_BASE };
	struct attributes peer = { 0 };
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *own, *other;
	CK_RV rv = CKR_MECHANISM_PARAM_INVALID;
	CK_BYTE *out;
	size_t n = 0;

	attributes_put_ulong(&peer, CKA_CLASS, CKO_PUBLIC_KEY);
	for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++) {
		const struct attribute *attribute = attributes_find(private_key, common[i]);

		if (attribute)
			attributes_put_copy(&peer, attribute);
	}
	attributes_put(&peer, object_key_type(private_key) == CKK_DH ? CKA_VALUE : CKA_EC_POINT,
	               data, length);
	own = key_open(private_key);
	other = key_open(&peer);
	ctx = own ? EVP_PKEY_CTX_new_from_pkey(mock.crypto, own, NULL) : NULL;
	if (other && ctx && EVP_PKEY_derive_init(ctx) > 0 &&
	    (object_key_type(private_key) != CKK_DH || EVP_PKEY_CTX_set_dh_pad(ctx, 1) > 0) &&
	    EVP_PKEY_derive_set_peer(ctx, other) > 0 && EVP_PKEY_derive(ctx, NULL, &n) > 0) {
		out = bytes_extend(shared, n);
		if (out && EVP_PKEY_derive(ctx, out, &n) > 0) {
			shared->length = n;
			rv = CKR_OK;
		}
	}
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(own);
	EVP_PKEY_free(other);
	attributes_done(&peer);
	return rv;
}

/* ANSI X9.63: hash(Z, counter, shared data). */
static CK_RV x963(const char *hash, const struct bytes *z, const CK_BYTE *data,
                  CK_ULONG data_length, CK_ULONG length, struct bytes *secret)
{
	struct bytes input = { 0 };
	CK_BYTE counter[4] = { 0, 0, 0, 1 };
	CK_RV rv = CKR_OK;

	while (rv == CKR_OK && secret->length < length) {
		input.length = 0;
		bytes_add(&input, z->data, z->length);
		bytes_add(&input, counter, sizeof(counter));
		bytes_add(&input, data, data_length);
		rv = input.failed ? CKR_HOST_MEMORY
		                  : digest_bytes(hash, input.data, input.length, secret);
		counter[3]++;
	}
	keep_beginning(secret, length);
	bytes_done(&input);
	return rv;
}

static const char *kdf_hash(CK_EC_KDF_TYPE kdf)
{
	static const char *const names[] = {
		[CKD_SHA1_KDF] = "SHA1",         [CKD_SHA224_KDF] = "SHA224",
		[CKD_SHA256_KDF] = "SHA256",     [CKD_SHA384_KDF] = "SHA384",
		[CKD_SHA512_KDF] = "SHA512",     [CKD_SHA3_224_KDF] = "SHA3-224",
		[CKD_SHA3_256_KDF] = "SHA3-256", [CKD_SHA3_384_KDF] = "SHA3-384",
		[CKD_SHA3_512_KDF] = "SHA3-512",
	};

	return kdf < sizeof(names) / sizeof(names[0]) ? names[kdf] : NULL;
}

CK_RV derive_ecdh(struct session *session, const CK_MECHANISM *mechanism,
                  const struct attributes *base, CK_ULONG length, struct bytes *secret,
                  struct attributes *contributed)
{
	const CK_ECDH1_DERIVE_PARAMS *params = mechanism->pParameter;
	struct bytes z = { 0 };
	const char *hash;
	CK_RV rv;

	(void)session;
	(void)contributed;
	if (!has(mechanism, sizeof(*params)) || !params->pPublicData ||
	    params->ulPublicDataLen == 0 || (!params->pSharedData && params->ulSharedDataLen > 0))
		return CKR_MECHANISM_PARAM_INVALID;
	hash = kdf_hash(params->kdf);
	if (params->kdf == CKD_NULL ? params->ulSharedDataLen > 0 : !hash)
		return CKR_MECHANISM_PARAM_INVALID;
	rv = agree(base, params->pPublicData, params->ulPublicDataLen, &z);
	if (rv == CKR_OK && !hash) {
		keep_end(&z, length);
		bytes_add(secret, z.data, z.length);
	} else if (rv == CKR_OK) {
		rv = x963(hash, &z, params->pSharedData, params->ulSharedDataLen,
		          length ? length : hash_length(hash), secret);
	}
	bytes_done(&z);
	return rv;
}

CK_RV derive_dh(struct session *session, const CK_MECHANISM *mechanism,
                const struct attributes *base, CK_ULONG length, struct bytes *secret,
                struct attributes *contributed)
{
	CK_RV rv;

	(void)session;
	(void)contributed;
	if (!mechanism->pParameter || mechanism->ulParameterLen == 0)
		return CKR_MECHANISM_PARAM_INVALID;
	rv = agree(base, mechanism->pParameter, mechanism->ulParameterLen, secret);
	keep_end(secret, length);
	return rv;
}

/* ---- HKDF (§6.62) ------------------------------------------------------------------------------- */

static CK_RV hkdf_salt(const struct session *session, const CK_HKDF_PARAMS *params,
                       struct bytes *salt)
{
	const struct object *key;
	const struct attribute *value;

	switch (params->ulSaltType) {
	case CKF_HKDF_SALT_NULL:
		return CKR_OK;
	case CKF_HKDF_SALT_DATA:
		if (!params->pSalt && params->ulSaltLen > 0)
			return CKR_MECHANISM_PARAM_INVALID;
		bytes_add(salt, params->pSalt, params->ulSaltLen);
		return CKR_OK;
	case CKF_HKDF_SALT_KEY:
		key = object_find(session, params->hSaltKey);
		value = key && object_class(&key->attributes) == CKO_SECRET_KEY
		                ? attributes_find(&key->attributes, CKA_VALUE)
		                : NULL;
		if (!value)
			return CKR_KEY_HANDLE_INVALID;
		bytes_add(salt, value->value, value->length);
		return CKR_OK;
	default:
		return CKR_MECHANISM_PARAM_INVALID;
	}
}

/* RFC 5869, step by step. */
static CK_RV hkdf(const CK_HKDF_PARAMS *params, const char *hash, const struct bytes *salt,
                  const struct attribute *base, CK_ULONG length, struct bytes *secret)
{
	static const CK_BYTE zeros[64];
	struct bytes prk = { 0 }, block = { 0 };
	CK_RV rv = CKR_OK;

	if (params->bExtract)
		rv = hmac_bytes(hash, salt->length > 0 ? salt->data : zeros,
		                salt->length > 0 ? salt->length : hash_length(hash), base->value,
		                base->length, &prk);
	else
		bytes_add(&prk, base->value, base->length);
	if (!params->bExpand)
		bytes_add(secret, prk.data, prk.length);
	for (CK_BYTE counter = 1; rv == CKR_OK && params->bExpand && secret->length < length;
	     counter++) {
		struct bytes next = { 0 };

		bytes_add(&block, params->pInfo, params->ulInfoLen);
		bytes_add(&block, &counter, 1);
		rv = hmac_bytes(hash, prk.data, prk.length, block.data, block.length, &next);
		bytes_add(secret, next.data, next.length);
		block.length = 0;
		bytes_add(&block, next.data, next.length);
		bytes_done(&next);
	}
	keep_beginning(secret, length);
	bytes_done(&prk);
	bytes_done(&block);
	return rv;
}

CK_RV derive_hkdf(struct session *session, const CK_MECHANISM *mechanism,
                  const struct attributes *base, CK_ULONG length, struct bytes *secret,
                  struct attributes *contributed)
{
	const CK_HKDF_PARAMS *params = mechanism->pParameter;
	const struct attribute *value = attributes_find(base, CKA_VALUE);
	struct bytes salt = { 0 };
	const char *hash;
	CK_RV rv;

	(void)contributed;
	if (!has(mechanism, sizeof(*params)) || (!params->bExtract && !params->bExpand) ||
	    (!params->pInfo && params->ulInfoLen > 0))
		return CKR_MECHANISM_PARAM_INVALID;
	hash = hash_name(params->prfHashMechanism);
	if (!hash)
		return CKR_MECHANISM_PARAM_INVALID;
	if (length == 0)
		length = hash_length(hash);
	if (length > 255 * hash_length(hash))
		return CKR_KEY_SIZE_RANGE;
	rv = params->bExtract ? hkdf_salt(session, params, &salt) : CKR_OK;
	if (rv == CKR_OK)
		rv = hkdf(params, hash, &salt, value, length, secret);
	bytes_done(&salt);
	return rv;
}

CK_RV derive_hkdf_data(struct session *session, const CK_MECHANISM *mechanism,
                       const struct attributes *base, CK_ULONG length, struct bytes *secret,
                       struct attributes *contributed)
{
	attributes_put_ulong(contributed, CKA_CLASS, CKO_DATA);
	return derive_hkdf(session, mechanism, base, length, secret, contributed);
}

/* ---- digests, concatenations, encryption (§6.20 …, §6.43, §6.14) --------------------------------------- */

CK_RV derive_digest(struct session *session, const CK_MECHANISM *mechanism,
                    const struct attributes *base, CK_ULONG length, struct bytes *secret,
                    struct attributes *contributed)
{
	const struct attribute *value = attributes_find(base, CKA_VALUE);
	CK_RV rv;

	(void)session;
	(void)contributed;
	if (mechanism->ulParameterLen != 0)
		return CKR_MECHANISM_PARAM_INVALID;
	rv = digest_bytes(mechanism_row(mechanism->mechanism)->algorithm, value->value,
	                  value->length, secret);
	keep_beginning(secret, length);
	return rv;
}

static CK_RV read_string(const CK_MECHANISM *mechanism,
                         const CK_KEY_DERIVATION_STRING_DATA **ret_string)
{
	const CK_KEY_DERIVATION_STRING_DATA *string = mechanism->pParameter;

	if (!has(mechanism, sizeof(*string)) || (!string->pData && string->ulLen > 0))
		return CKR_MECHANISM_PARAM_INVALID;
	*ret_string = string;
	return CKR_OK;
}

CK_RV derive_base_and_data(struct session *session, const CK_MECHANISM *mechanism,
                           const struct attributes *base, CK_ULONG length, struct bytes *secret,
                           struct attributes *contributed)
{
	const struct attribute *value = attributes_find(base, CKA_VALUE);
	const CK_KEY_DERIVATION_STRING_DATA *string;
	CK_RV rv = read_string(mechanism, &string);

	(void)session;
	(void)contributed;
	if (rv != CKR_OK)
		return rv;
	bytes_add(secret, value->value, value->length);
	bytes_add(secret, string->pData, string->ulLen);
	keep_beginning(secret, length);
	return CKR_OK;
}

CK_RV derive_data_and_base(struct session *session, const CK_MECHANISM *mechanism,
                           const struct attributes *base, CK_ULONG length, struct bytes *secret,
                           struct attributes *contributed)
{
	const struct attribute *value = attributes_find(base, CKA_VALUE);
	const CK_KEY_DERIVATION_STRING_DATA *string;
	CK_RV rv = read_string(mechanism, &string);

	(void)session;
	(void)contributed;
	if (rv != CKR_OK)
		return rv;
	bytes_add(secret, string->pData, string->ulLen);
	bytes_add(secret, value->value, value->length);
	keep_beginning(secret, length);
	return CKR_OK;
}

/* The second key of CKM_CONCATENATE_BASE_AND_KEY. */
static const struct object *second_key(const struct session *session, const CK_MECHANISM *mechanism)
{
	const CK_OBJECT_HANDLE *handle = mechanism->pParameter;
	const struct object *object;

	if (mechanism->mechanism != CKM_CONCATENATE_BASE_AND_KEY ||
	    !has(mechanism, sizeof(*handle)))
		return NULL;
	object = object_find(session, *handle);
	return object && object_class(&object->attributes) == CKO_SECRET_KEY ? object : NULL;
}

CK_RV derive_base_and_key(struct session *session, const CK_MECHANISM *mechanism,
                          const struct attributes *base, CK_ULONG length, struct bytes *secret,
                          struct attributes *contributed)
{
	const struct attribute *value = attributes_find(base, CKA_VALUE), *second;
	const struct object *other = second_key(session, mechanism);

	(void)contributed;
	if (!has(mechanism, sizeof(CK_OBJECT_HANDLE)))
		return CKR_MECHANISM_PARAM_INVALID;
	if (!other)
		return CKR_KEY_HANDLE_INVALID;
	second = attributes_find(&other->attributes, CKA_VALUE);
	bytes_add(secret, value->value, value->length);
	bytes_add(secret, second->value, second->length);
	keep_beginning(secret, length);
	return CKR_OK;
}

CK_RV derive_xor(struct session *session, const CK_MECHANISM *mechanism,
                 const struct attributes *base, CK_ULONG length, struct bytes *secret,
                 struct attributes *contributed)
{
	const struct attribute *value = attributes_find(base, CKA_VALUE);
	const CK_KEY_DERIVATION_STRING_DATA *string;
	CK_ULONG shorter;
	CK_BYTE *out;
	CK_RV rv = read_string(mechanism, &string);

	(void)session;
	(void)contributed;
	if (rv != CKR_OK)
		return rv;
	shorter = string->ulLen < value->length ? string->ulLen : value->length;
	out = bytes_extend(secret, shorter);
	for (CK_ULONG i = 0; out && i < shorter; i++)
		out[i] = value->value[i] ^ string->pData[i];
	keep_beginning(secret, length);
	return CKR_OK;
}

CK_RV derive_encrypt(struct session *session, const CK_MECHANISM *mechanism,
                     const struct attributes *base, CK_ULONG length, struct bytes *secret,
                     struct attributes *contributed)
{
	const struct mechanism *row = mechanism_row(
		mechanism->mechanism == CKM_AES_ECB_ENCRYPT_DATA ? CKM_AES_ECB : CKM_AES_CBC);
	const CK_AES_CBC_ENCRYPT_DATA_PARAMS *cbc = mechanism->pParameter;
	CK_KEY_DERIVATION_STRING_DATA string = { 0 };
	struct bytes input = { 0 };
	struct parameter parameter = { 0 };
	struct compute compute = { .kind = KIND_ENCRYPT,
		                   .mechanism = row,
		                   .parameter = &parameter,
		                   .key = base,
		                   .input = &input,
		                   .last = true,
		                   .output = secret };
	CK_RV rv;

	(void)session;
	(void)contributed;
	if (object_key_type(base) != CKK_AES)
		return CKR_KEY_TYPE_INCONSISTENT;
	if (row->type == CKM_AES_ECB && has(mechanism, sizeof(string))) {
		memcpy(&string, mechanism->pParameter, sizeof(string));
	} else if (row->type == CKM_AES_CBC && has(mechanism, sizeof(*cbc))) {
		string = (CK_KEY_DERIVATION_STRING_DATA){ cbc->pData, cbc->length };
		bytes_add(&parameter.iv, cbc->iv, sizeof(cbc->iv));
	}
	if (!string.pData || string.ulLen == 0 || string.ulLen % 16 != 0) {
		parameter_done(&parameter);
		return CKR_MECHANISM_PARAM_INVALID;
	}
	bytes_add(&input, string.pData, string.ulLen);
	rv = compute_cipher(&compute);
	keep_end(secret, length);
	bytes_done(&input);
	parameter_done(&parameter);
	return rv;
}

/* ---- TLS 1.2 (§6.39) -------------------------------------------------------------------------------- */

CK_RV derive_tls12_master(struct session *session, const CK_MECHANISM *mechanism,
                          const struct attributes *base, CK_ULONG length, struct bytes *secret,
                          struct attributes *contributed)
{
	const CK_TLS12_MASTER_KEY_DERIVE_PARAMS *params = mechanism->pParameter;
	const struct attribute *value = attributes_find(base, CKA_VALUE);
	static char label[] = "master secret";
	char name[16] = "";
	OSSL_PARAM list[6];
	EVP_KDF_CTX *ctx;
	const char *hash;
	EVP_KDF *kdf;
	CK_BYTE *out;
	bool good;

	(void)session;
	(void)contributed;
	if (!has(mechanism, sizeof(*params)) || !params->RandomInfo.pClientRandom ||
	    !params->RandomInfo.pServerRandom)
		return CKR_MECHANISM_PARAM_INVALID;
	hash = hash_name(params->prfHashMechanism);
	if (!hash || (length != 0 && length != 48))
		return hash ? CKR_TEMPLATE_INCONSISTENT : CKR_MECHANISM_PARAM_INVALID;
	snprintf(name, sizeof(name), "%s", hash);
	list[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, name, 0);
	list[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, value->value,
	                                            value->length);
	list[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof(label) - 1);
	list[3] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED,
	                                            params->RandomInfo.pClientRandom,
	                                            params->RandomInfo.ulClientRandomLen);
	list[4] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED,
	                                            params->RandomInfo.pServerRandom,
	                                            params->RandomInfo.ulServerRandomLen);
	list[5] = OSSL_PARAM_construct_end();
	kdf = EVP_KDF_fetch(mock.crypto, "TLS1-PRF", NULL);
	ctx = EVP_KDF_CTX_new(kdf);
	out = bytes_extend(secret, 48);
	good = ctx && out && EVP_KDF_derive(ctx, out, 48, list) > 0;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	if (good && params->pVersion && value->length >= 2)
		*params->pVersion = (CK_VERSION){ value->value[0], value->value[1] };
	return good ? CKR_OK : CKR_FUNCTION_FAILED;
}

/* ---- C_DeriveKey -------------------------------------------------------------------------------------- */

/* §6.3, §6.43: what a derived key has of its base keys' history. */
static void derive_inherit(const struct attributes *base, const struct attributes *other,
                           bool concatenates, struct object *object)
{
	struct attributes *set = &object->attributes;
	bool sensitive = attributes_bool(base, CKA_ALWAYS_SENSITIVE);
	bool never = attributes_bool(base, CKA_NEVER_EXTRACTABLE);

	if (object_class(set) != CKO_SECRET_KEY)
		return;
	if (other) {
		sensitive = sensitive && attributes_bool(other, CKA_ALWAYS_SENSITIVE);
		never = never && attributes_bool(other, CKA_NEVER_EXTRACTABLE);
	}
	if (!concatenates) {
		sensitive = sensitive && attributes_bool(set, CKA_SENSITIVE);
		never = never && !attributes_bool(set, CKA_EXTRACTABLE);
	}
	if (FAULT(derive_forgets_history))
		sensitive = never = true;
	attributes_put_bool(set, CKA_ALWAYS_SENSITIVE, sensitive);
	attributes_put_bool(set, CKA_NEVER_EXTRACTABLE, never);
}

static bool is_concatenation(const struct mechanism *row)
{
	return row->derive == derive_base_and_key || row->derive == derive_base_and_data ||
	       row->derive == derive_data_and_base || row->derive == derive_xor;
}

/* A number that the template says; CK_UNAVAILABLE_INFORMATION if it does not. */
static CK_ULONG template_ulong(const CK_ATTRIBUTE *template, CK_ULONG count, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG value = CK_UNAVAILABLE_INFORMATION;

	for (CK_ULONG i = 0; i < count; i++) {
		if (template[i].type == type && template[i].pValue &&
		    template[i].ulValueLen == sizeof(value))
			memcpy(&value, template[i].pValue, sizeof(value));
	}
	return value;
}

CK_RV mock_C_DeriveKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                       CK_OBJECT_HANDLE hBaseKey, CK_ATTRIBUTE_PTR pTemplate,
                       CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE_PTR phKey)
{
	struct session *session = session_find(hSession);
	struct attributes contributed = { 0 };
	const struct attribute *extra;
	const struct mechanism *row;
	struct parameter parameter;
	struct object *base, *object;
	const struct object *other;
	struct bytes secret = { 0 };
	CK_ULONG length, type;
	CK_ATTRIBUTE *kept = NULL;
	CK_RV rv = slot_writes(session->slot);

	if (rv != CKR_OK)
		return rv;
	if (!phKey || (!pTemplate && ulAttributeCount > 0))
		return CKR_ARGUMENTS_BAD;
	rv = mechanism_use(session, KIND_DERIVE, pMechanism, hBaseKey, &row, &base, &parameter);
	if (rv != CKR_OK)
		return rv;
	parameter_done(&parameter);
	other = second_key(session, pMechanism);

	length = template_ulong(pTemplate, ulAttributeCount, CKA_VALUE_LEN);
	type = template_ulong(pTemplate, ulAttributeCount, CKA_KEY_TYPE);
	if (length == CK_UNAVAILABLE_INFORMATION)
		length = secret_fixed_length(type);
	if (length > 4096)
		return CKR_KEY_SIZE_RANGE;
	rv = row->derive(session, pMechanism, &base->attributes, length, &secret, &contributed);
	if (rv == CKR_OK && length > 0 && secret.length < length)
		rv = CKR_KEY_SIZE_RANGE;
	if (rv == CKR_OK && (type == CKK_DES2 || type == CKK_DES3))
		set_des_parity(secret.data, secret.length);
	if (rv == CKR_OK && row->derive == derive_hkdf_data) {
		/* A data object has no CKA_VALUE_LEN, but the template says the length so (§6.62.5). */
		kept = OPENSSL_memdup(pTemplate,
		                      ulAttributeCount * sizeof(*pTemplate) + !ulAttributeCount);
		for (CK_ULONG i = 0; kept && i < ulAttributeCount; i++) {
			if (kept[i].type == CKA_VALUE_LEN)
				kept[i--] = kept[--ulAttributeCount];
		}
	} else if (rv == CKR_OK) {
		attributes_put_ulong(&contributed, CKA_CLASS, CKO_SECRET_KEY);
		if (type == CK_UNAVAILABLE_INFORMATION)
			attributes_put_ulong(&contributed, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	}
	if (rv == CKR_OK && is_concatenation(row)) {
		if (attributes_bool(&base->attributes, CKA_SENSITIVE) ||
		    (other && attributes_bool(&other->attributes, CKA_SENSITIVE)))
			attributes_put_bool(&contributed, CKA_SENSITIVE, true);
		if (!attributes_bool(&base->attributes, CKA_EXTRACTABLE) ||
		    (other && !attributes_bool(&other->attributes, CKA_EXTRACTABLE)))
			attributes_put_bool(&contributed, CKA_EXTRACTABLE, false);
	}
	if (rv == CKR_OK) {
		attributes_put(&contributed, CKA_VALUE, secret.data, secret.length);
		extra = attributes_find(&base->attributes, CKA_DERIVE_TEMPLATE);
		rv = object_make(session, FROM_DERIVE, kept ? kept : pTemplate, ulAttributeCount,
		                 &contributed, extra ? extra->nested : NULL, &object);
	}
	attributes_done(&contributed);
	bytes_done(&secret);
	OPENSSL_free(kept);
	if (rv != CKR_OK)
		return rv;
	derive_inherit(&base->attributes, other ? &other->attributes : NULL, is_concatenation(row),
	               object);
	*phKey = object_publish(object);
	return CKR_OK;
}
