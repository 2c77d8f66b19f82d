/* SPDX-License-Identifier: MIT
 *
 * Operations: what the rows of mechanisms.def name, done by libcrypto.
 */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rsa.h>

#include "core/attributes.h"
#include "replayer/keys/internal.h"

#define MAX_PARAMETERS 8
#define MAX_MESSAGE ((size_t)64 << 20) /* that is kept because no hash takes it */

enum hash {
	HASH_NONE,
#define KEYED_HASH(name, text, mechanism, mgf, kdf) HASH_##name,
#include "replayer/keys/mechanisms.def"
};

struct hash_row {
	char name[16]; /* not const: libcrypto's parameters are not */
	CK_MECHANISM_TYPE mechanism;
	CK_RSA_PKCS_MGF_TYPE mgf;
	CK_EC_KDF_TYPE kdf;
};

static struct hash_row hashes[] = {
	[HASH_NONE] = { "", CK_UNAVAILABLE_INFORMATION, CK_UNAVAILABLE_INFORMATION,
	                CK_UNAVAILABLE_INFORMATION },
#define KEYED_HASH(name, text, mechanism, mgf, kdf) [HASH_##name] = { text, mechanism, mgf, kdf },
#include "replayer/keys/mechanisms.def"
};

struct scheme;

struct row {
	CK_MECHANISM_TYPE mechanism;
	const struct scheme *scheme;
	unsigned int acts;
	enum hash hash;
};

struct keys_operation {
	const struct keys_key *key;
	const struct row *row;
	enum keys_act act;
	EVP_MD_CTX *digest; /* NULL: the message is kept */
	unsigned char *message;
	size_t length;
	size_t size; /* of the output, at the most */
	/* What the mechanism's parameter says. */
	struct hash_row *hash, *mgf; /* NULL where it has none */
	int salt;
	unsigned char *label; /* of OAEP; NULL for none */
	size_t label_length;
};

struct scheme {
	CK_KEY_TYPE type; /* of the key, where `fits` is NULL */
	char padding[8];  /* libcrypto's name; "" for none */
	bool cofactor;    /* of ECDH: the secret is multiplied by it */
	bool (*fits)(const struct keys_key *key);
	/* Take the mechanism's parameter. NULL: there must be none. */
	CK_RV (*prepare)(struct keys_operation *operation, const CK_MECHANISM *mechanism);
	/* Make `out` (room for operation->size bytes, which *length says) of the message or its digest. */
	CK_RV(*sign)
	(struct keys_operation *operation, const unsigned char *in, size_t in_length,
	 unsigned char *out, size_t *length);
	size_t (*size)(const struct keys_key *key);
};

/* ---- parameters -------------------------------------------------------------------------------- */

static struct hash_row *find_hash(size_t offset, CK_ULONG number)
{
	for (size_t i = HASH_NONE + 1; i < TAPE_ARRAY_SIZE(hashes); i++) {
		CK_ULONG has;
		memcpy(&has, (const char *)&hashes[i] + offset, sizeof(has));
		if (has == number && number != CK_UNAVAILABLE_INFORMATION)
			return &hashes[i];
	}
	return NULL;
}

static bool take_parameter(const CK_MECHANISM *mechanism, void *to, size_t size)
{
	if (mechanism->pParameter == NULL || mechanism->ulParameterLen != size)
		return false;
	memcpy(to, mechanism->pParameter, size);
	return true;
}

static CK_RV prepare_pss(struct keys_operation *operation, const CK_MECHANISM *mechanism)
{
	CK_RSA_PKCS_PSS_PARAMS parameter;
	if (!take_parameter(mechanism, &parameter, sizeof(parameter)) || parameter.sLen > INT_MAX)
		return CKR_MECHANISM_PARAM_INVALID;
	operation->hash = find_hash(offsetof(struct hash_row, mechanism), parameter.hashAlg);
	operation->mgf = find_hash(offsetof(struct hash_row, mgf), parameter.mgf);
	operation->salt = (int)parameter.sLen;
	if (operation->hash == NULL || operation->mgf == NULL)
		return CKR_FUNCTION_NOT_SUPPORTED;
	/* PKCS#11 3.1 §6.1.10: a mechanism that hashes must be told of its own hash. */
	if (operation->row->hash != HASH_NONE && operation->hash != &hashes[operation->row->hash])
		return CKR_MECHANISM_PARAM_INVALID;
	return CKR_OK;
}

static CK_RV prepare_oaep(struct keys_operation *operation, const CK_MECHANISM *mechanism)
{
	CK_RSA_PKCS_OAEP_PARAMS parameter;
	if (!take_parameter(mechanism, &parameter, sizeof(parameter)))
		return CKR_MECHANISM_PARAM_INVALID;
	operation->hash = find_hash(offsetof(struct hash_row, mechanism), parameter.hashAlg);
	operation->mgf = find_hash(offsetof(struct hash_row, mgf), parameter.mgf);
	if (operation->hash == NULL || operation->mgf == NULL ||
	    parameter.ulSourceDataLen > MAX_MESSAGE)
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (parameter.ulSourceDataLen == 0)
		return CKR_OK;
	if (parameter.source != CKZ_DATA_SPECIFIED || parameter.pSourceData == NULL)
		return CKR_MECHANISM_PARAM_INVALID;
	operation->label = OPENSSL_memdup(parameter.pSourceData, parameter.ulSourceDataLen);
	operation->label_length = parameter.ulSourceDataLen;
	return operation->label == NULL ? CKR_HOST_MEMORY : CKR_OK;
}

/* Pre-hashed messages and contexts are another algorithm, which libcrypto has from 3.2 on only. */
static CK_RV prepare_eddsa(struct keys_operation *operation, const CK_MECHANISM *mechanism)
{
	CK_EDDSA_PARAMS parameter;
	(void)operation;
	if (mechanism->pParameter == NULL && mechanism->ulParameterLen == 0)
		return CKR_OK;
	if (!take_parameter(mechanism, &parameter, sizeof(parameter)))
		return CKR_MECHANISM_PARAM_INVALID;
	return parameter.phFlag == CK_FALSE && parameter.ulContextDataLen == 0
	               ? CKR_OK
	               : CKR_FUNCTION_NOT_SUPPORTED;
}

/* What libcrypto is told of an RSA operation. */
static void list_parameters(struct keys_operation *operation, OSSL_PARAM *list)
{
	static unsigned int no = 0;
	char *padding = (char *)(uintptr_t)operation->row->scheme->padding;
	bool signs = operation->act == KEYS_SIGN;
	size_t n = 0;
	list[n++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_PAD_MODE, padding, 0);
	struct hash_row *hash = operation->hash;
	if (hash == NULL && operation->row->hash != HASH_NONE)
		hash = &hashes[operation->row->hash];
	if (hash != NULL)
		list[n++] = OSSL_PARAM_construct_utf8_string(
			signs ? OSSL_SIGNATURE_PARAM_DIGEST : OSSL_ASYM_CIPHER_PARAM_OAEP_DIGEST,
			hash->name, 0);
	if (operation->mgf != NULL) {
		list[n++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_MGF1_DIGEST,
		                                             operation->mgf->name, 0);
		if (signs)
			list[n++] = OSSL_PARAM_construct_int(OSSL_SIGNATURE_PARAM_PSS_SALTLEN,
			                                     &operation->salt);
	}
	if (operation->label != NULL)
		list[n++] = OSSL_PARAM_construct_octet_string(OSSL_ASYM_CIPHER_PARAM_OAEP_LABEL,
		                                              operation->label,
		                                              operation->label_length);
	/* From 3.2 on: or a bad padding is answered with random bytes. Older ones pass it over. */
	if (!signs)
		list[n++] = OSSL_PARAM_construct_uint("implicit-rejection", &no);
	list[n] = OSSL_PARAM_construct_end();
}

/* ---- schemes ------------------------------------------------------------------------------------- */

static CK_RV sign_rsa(struct keys_operation *operation, const unsigned char *in, size_t in_length,
                      unsigned char *out, size_t *length)
{
	OSSL_PARAM parameters[MAX_PARAMETERS];
	EVP_PKEY_CTX *context =
		EVP_PKEY_CTX_new_from_pkey(keys_library, operation->key->pkey, NULL);
	CK_RV rv = CKR_HOST_MEMORY;
	list_parameters(operation, parameters);
	if (context != NULL && EVP_PKEY_sign_init_ex(context, parameters) == 1)
		rv = EVP_PKEY_sign(context, out, length, in, in_length) == 1 ? CKR_OK
		                                                             : CKR_DATA_LEN_RANGE;
	EVP_PKEY_CTX_free(context);
	return rv;
}

/* PKCS#11 3.1 §6.1.7: zeros are put before what is shorter than the modulus. */
static CK_RV widen(const struct keys_operation *operation, const unsigned char *in,
                   size_t in_length, unsigned char **ret_wide)
{
	if (in_length > operation->size)
		return CKR_DATA_LEN_RANGE;
	unsigned char *wide = OPENSSL_zalloc(operation->size);
	if (wide == NULL)
		return CKR_HOST_MEMORY;
	if (in_length != 0)
		memcpy(wide + operation->size - in_length, in, in_length);
	*ret_wide = wide;
	return CKR_OK;
}

static CK_RV sign_raw(struct keys_operation *operation, const unsigned char *in, size_t in_length,
                      unsigned char *out, size_t *length)
{
	unsigned char *wide = NULL;
	CK_RV rv = widen(operation, in, in_length, &wide);
	if (rv != CKR_OK)
		return rv;
	rv = sign_rsa(operation, wide, operation->size, out, length);
	OPENSSL_clear_free(wide, operation->size);
	return rv == CKR_DATA_LEN_RANGE ? CKR_DATA_INVALID : rv;
}

/* PKCS#11 3.1 §6.3.1: r and s, each as long as the order of the base point. */
static CK_RV sign_ecdsa(struct keys_operation *operation, const unsigned char *in, size_t in_length,
                        unsigned char *out, size_t *length)
{
	unsigned char der[256];
	const unsigned char *end = der;
	size_t size = sizeof(der);
	int half = (int)(operation->size / 2);
	ECDSA_SIG *signature = NULL;
	EVP_PKEY_CTX *context =
		EVP_PKEY_CTX_new_from_pkey(keys_library, operation->key->pkey, NULL);
	CK_RV rv = CKR_HOST_MEMORY;
	if (context != NULL && EVP_PKEY_sign_init(context) == 1 &&
	    EVP_PKEY_sign(context, der, &size, in, in_length) == 1 &&
	    (signature = d2i_ECDSA_SIG(NULL, &end, (long)size)) != NULL &&
	    BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, half) == half &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + half, half) == half) {
		*length = operation->size;
		rv = CKR_OK;
	}
	ECDSA_SIG_free(signature);
	EVP_PKEY_CTX_free(context);
	return rv;
}

static CK_RV sign_eddsa(struct keys_operation *operation, const unsigned char *in, size_t in_length,
                        unsigned char *out, size_t *length)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	CK_RV rv = CKR_HOST_MEMORY;
	if (context != NULL &&
	    EVP_DigestSignInit_ex(context, NULL, NULL, keys_library, NULL, operation->key->pkey,
	                          NULL) == 1 &&
	    EVP_DigestSign(context, out, length, in, in_length) == 1)
		rv = CKR_OK;
	EVP_MD_CTX_free(context);
	return rv;
}

static bool has_curve(const struct keys_key *key)
{
	char name[64];
	return EVP_PKEY_get_group_name(key->pkey, name, sizeof(name), NULL) == 1;
}

static bool is_agreeable(const struct keys_key *key)
{
	return key->type == CKK_EC_MONTGOMERY || (key->type == CKK_EC && has_curve(key));
}

static size_t size_pkey(const struct keys_key *key)
{
	return (size_t)EVP_PKEY_get_size(key->pkey);
}

static size_t size_ecdsa(const struct keys_key *key)
{
	BIGNUM *order = NULL;
	size_t size = 0;
	if (EVP_PKEY_get_bn_param(key->pkey, OSSL_PKEY_PARAM_EC_ORDER, &order) == 1)
		size = 2 * (size_t)BN_num_bytes(order);
	BN_free(order);
	return size;
}

static const struct scheme schemes[] = {
#define SCHEME_PKCS (&schemes[0])
	{ .type = CKK_RSA, .padding = "pkcs1", .sign = sign_rsa, .size = size_pkey },
#define SCHEME_RAW (&schemes[1])
	{ .type = CKK_RSA, .padding = "none", .sign = sign_raw, .size = size_pkey },
#define SCHEME_PSS (&schemes[2])
	{ .type = CKK_RSA,
	  .padding = "pss",
	  .prepare = prepare_pss,
	  .sign = sign_rsa,
	  .size = size_pkey },
#define SCHEME_OAEP (&schemes[3])
	{ .type = CKK_RSA, .padding = "oaep", .prepare = prepare_oaep, .size = size_pkey },
#define SCHEME_ECDSA (&schemes[4])
	{ .type = CKK_EC, .sign = sign_ecdsa, .size = size_ecdsa },
#define SCHEME_EDDSA (&schemes[5])
	{ .type = CKK_EC_EDWARDS, .prepare = prepare_eddsa, .sign = sign_eddsa, .size = size_pkey },
#define SCHEME_ECDH (&schemes[6])
	{ .fits = is_agreeable },
#define SCHEME_ECDH_COFACTOR (&schemes[7])
	{ .fits = is_agreeable, .cofactor = true },
};

static const struct row rows[] = {
#define SIGN KEYS_SIGN
#define DECRYPT KEYS_DECRYPT
#define DERIVE KEYS_DERIVE
#define KEYED(mechanism, acts, scheme, hash) { mechanism, SCHEME_##scheme, acts, HASH_##hash },
#include "replayer/keys/mechanisms.def"
};

static const struct row *find_row(const struct keys_key *key, enum keys_act act,
                                  CK_MECHANISM_TYPE mechanism)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		if (row->mechanism != mechanism || (row->acts & act) == 0)
			continue;
		if (row->scheme->fits != NULL ? row->scheme->fits(key)
		                              : row->scheme->type == key->type)
			return row;
	}
	return NULL;
}

/* ---- operations ---------------------------------------------------------------------------------- */

bool keys_supports(const struct keys_key *key, enum keys_act act, CK_MECHANISM_TYPE mechanism)
{
	bool found = find_row(key, act, mechanism) != NULL;
	ERR_clear_error();
	return found;
}

void keys_end(struct keys_operation *operation)
{
	if (operation == NULL)
		return;
	EVP_MD_CTX_free(operation->digest);
	OPENSSL_clear_free(operation->message, operation->length);
	OPENSSL_free(operation->label);
	OPENSSL_clear_free(operation, sizeof(*operation));
}

static CK_RV prepare(struct keys_operation *operation, const CK_MECHANISM *mechanism)
{
	const struct row *row = operation->row;
	operation->size = row->scheme->size(operation->key);
	if (operation->size == 0)
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (row->scheme->prepare != NULL) {
		CK_RV rv = row->scheme->prepare(operation, mechanism);
		if (rv != CKR_OK)
			return rv;
	} else if (mechanism->ulParameterLen != 0) {
		/* Modules differ in whether they mind. */
		return CKR_FUNCTION_NOT_SUPPORTED;
	}
	if (row->hash == HASH_NONE)
		return CKR_OK;
	EVP_MD *md = EVP_MD_fetch(keys_library, hashes[row->hash].name, NULL);
	if (md == NULL)
		return CKR_FUNCTION_NOT_SUPPORTED;
	operation->digest = EVP_MD_CTX_new();
	bool begun =
		operation->digest != NULL && EVP_DigestInit_ex2(operation->digest, md, NULL) == 1;
	EVP_MD_free(md);
	return begun ? CKR_OK : CKR_HOST_MEMORY;
}

CK_RV keys_begin(const struct keys_key *key, enum keys_act act, const CK_MECHANISM *mechanism,
                 struct keys_operation **ret_operation)
{
	const struct row *row = find_row(key, act, mechanism->mechanism);
	ERR_clear_error();
	if (row == NULL || (act & (KEYS_SIGN | KEYS_DECRYPT)) == 0)
		return CKR_FUNCTION_NOT_SUPPORTED;
	struct keys_operation *operation = OPENSSL_zalloc(sizeof(*operation));
	if (operation == NULL)
		return CKR_HOST_MEMORY;
	operation->key = key;
	operation->row = row;
	operation->act = act;
	CK_RV rv = prepare(operation, mechanism);
	ERR_clear_error();
	if (rv != CKR_OK)
		keys_end(operation);
	else
		*ret_operation = operation;
	return rv;
}

static CK_RV feed(struct keys_operation *operation, const void *data, size_t length)
{
	if (data == NULL && length != 0)
		return CKR_ARGUMENTS_BAD;
	if (operation->digest != NULL)
		return EVP_DigestUpdate(operation->digest, data, length) == 1 ? CKR_OK
		                                                              : CKR_HOST_MEMORY;
	OPENSSL_clear_free(operation->message, operation->length);
	operation->message = NULL;
	operation->length = 0;
	if (length == 0)
		return CKR_OK;
	if (length <= MAX_MESSAGE)
		operation->message = OPENSSL_memdup(data, length);
	if (operation->message == NULL)
		return CKR_HOST_MEMORY;
	operation->length = length;
	return CKR_OK;
}

CK_RV keys_update(struct keys_operation *operation, const void *data, size_t length)
{
	if (operation->digest == NULL)
		return CKR_FUNCTION_NOT_SUPPORTED;
	return feed(operation, data, length);
}

static CK_RV sign(struct keys_operation *operation, unsigned char *out, size_t *length)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int size = 0;
	const unsigned char *in = operation->message;
	size_t in_length = operation->length;
	if (operation->digest != NULL) {
		if (EVP_DigestFinal_ex(operation->digest, digest, &size) != 1)
			return CKR_HOST_MEMORY;
		in = digest;
		in_length = size;
	}
	CK_RV rv = operation->row->scheme->sign(operation, in, in_length, out, length);
	OPENSSL_cleanse(digest, sizeof(digest));
	return rv;
}

/* Every scheme that decrypts is RSA's. */
static CK_RV decrypt(struct keys_operation *operation, unsigned char *out, size_t *length)
{
	OSSL_PARAM parameters[MAX_PARAMETERS];
	EVP_PKEY_CTX *context =
		EVP_PKEY_CTX_new_from_pkey(keys_library, operation->key->pkey, NULL);
	CK_RV rv = CKR_HOST_MEMORY;
	list_parameters(operation, parameters);
	if (operation->length != operation->size)
		rv = CKR_ENCRYPTED_DATA_LEN_RANGE;
	else if (context != NULL && EVP_PKEY_decrypt_init_ex(context, parameters) == 1)
		rv = EVP_PKEY_decrypt(context, out, length, operation->message,
		                      operation->length) == 1
		             ? CKR_OK
		             : CKR_ENCRYPTED_DATA_INVALID;
	EVP_PKEY_CTX_free(context);
	return rv;
}

CK_RV keys_finish(struct keys_operation *operation, const void *data, size_t data_length,
                  unsigned char *out, CK_ULONG *length)
{
	bool decrypts = operation->act == KEYS_DECRYPT;
	if (out == NULL || (!decrypts && *length < operation->size)) {
		*length = operation->size;
		return out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
	}
	/* How long a decrypted message is shows only afterwards. */
	size_t made = operation->size;
	unsigned char *whole = OPENSSL_malloc(made);
	if (whole == NULL)
		return CKR_HOST_MEMORY;
	CK_RV rv = feed(operation, data, data_length);
	if (rv == CKR_OK)
		rv = decrypts ? decrypt(operation, whole, &made) : sign(operation, whole, &made);
	if (rv == CKR_OK && made > *length)
		rv = CKR_BUFFER_TOO_SMALL;
	if (rv == CKR_OK && made != 0)
		memcpy(out, whole, made);
	if (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL)
		*length = made;
	OPENSSL_clear_free(whole, operation->size);
	ERR_clear_error();
	return rv;
}

/* ---- agreement ------------------------------------------------------------------------------------- */

/* The other side's public key, of the same curve as ours. NULL where it is none. */
static EVP_PKEY *make_peer(const struct keys_key *key, const unsigned char *point, size_t length)
{
	char group[64] = "";
	OSSL_PARAM parameters[3];
	size_t n = 0;
	EVP_PKEY *peer = NULL;
	if (EVP_PKEY_get_group_name(key->pkey, group, sizeof(group), NULL) == 1 && group[0] != 0)
		parameters[n++] =
			OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
	parameters[n++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
	                                                    (void *)(uintptr_t)point, length);
	parameters[n] = OSSL_PARAM_construct_end();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(keys_library, key->pkey, NULL);
	if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &peer, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		peer = NULL;
	EVP_PKEY_CTX_free(context);
	return peer;
}

/* PKCS#11 3.1 §6.3.17: the point bare, or in an OCTET STRING. */
static EVP_PKEY *take_peer(const struct keys_key *key, const unsigned char *data, size_t length)
{
	EVP_PKEY *peer = make_peer(key, data, length);
	const unsigned char *end = data;
	ASN1_OCTET_STRING *boxed = NULL;
	if (peer == NULL && length <= LONG_MAX &&
	    (boxed = d2i_ASN1_OCTET_STRING(NULL, &end, (long)length)) != NULL &&
	    end == data + length)
		peer = make_peer(key, ASN1_STRING_get0_data(boxed),
		                 (size_t)ASN1_STRING_length(boxed));
	ASN1_OCTET_STRING_free(boxed);
	return peer;
}

static CK_RV stretch(const CK_ECDH1_DERIVE_PARAMS *parameter, unsigned char *secret, size_t size,
                     size_t wanted, unsigned char *out, size_t *length)
{
	struct hash_row *hash = find_hash(offsetof(struct hash_row, kdf), parameter->kdf);
	OSSL_PARAM parameters[4];
	size_t n = 0;
	/* Without a length in the template the key's type decides, and of that nothing is known here. */
	if (hash == NULL || wanted == 0 || wanted > *length)
		return CKR_FUNCTION_NOT_SUPPORTED;
	parameters[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash->name, 0);
	parameters[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, size);
	if (parameter->ulSharedDataLen != 0)
		parameters[n++] = OSSL_PARAM_construct_octet_string(
			OSSL_KDF_PARAM_INFO, parameter->pSharedData, parameter->ulSharedDataLen);
	parameters[n] = OSSL_PARAM_construct_end();
	EVP_KDF *kdf = EVP_KDF_fetch(keys_library, OSSL_KDF_NAME_X963KDF, NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	bool made = context != NULL && EVP_KDF_derive(context, out, wanted, parameters) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	if (made)
		*length = wanted;
	return made ? CKR_OK : CKR_HOST_MEMORY;
}

static CK_RV agree(const struct keys_key *key, bool cofactor, EVP_PKEY *peer, unsigned char *out,
                   size_t *length)
{
	int mode = cofactor;
	OSSL_PARAM parameters[] = { OSSL_PARAM_construct_int(
					    OSSL_EXCHANGE_PARAM_EC_ECDH_COFACTOR_MODE, &mode),
		                    OSSL_PARAM_construct_end() };
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(keys_library, key->pkey, NULL);
	CK_RV rv = CKR_HOST_MEMORY;
	if (context != NULL &&
	    EVP_PKEY_derive_init_ex(context, key->type == CKK_EC ? parameters : NULL) == 1)
		rv = EVP_PKEY_derive_set_peer(context, peer) == 1 &&
		                     EVP_PKEY_derive(context, out, length) == 1
		             ? CKR_OK
		             : CKR_MECHANISM_PARAM_INVALID;
	EVP_PKEY_CTX_free(context);
	return rv;
}

CK_RV keys_derive(const struct keys_key *key, const CK_MECHANISM *mechanism, size_t wanted,
                  unsigned char *out, size_t *length)
{
	CK_ECDH1_DERIVE_PARAMS parameter;
	unsigned char secret[KEYS_MAX_SECRET];
	size_t size = sizeof(secret);
	const struct row *row = find_row(key, KEYS_DERIVE, mechanism->mechanism);
	if (row == NULL)
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (!take_parameter(mechanism, &parameter, sizeof(parameter)) ||
	    parameter.pPublicData == NULL)
		return CKR_MECHANISM_PARAM_INVALID;
	EVP_PKEY *peer = take_peer(key, parameter.pPublicData, parameter.ulPublicDataLen);
	CK_RV rv = CKR_MECHANISM_PARAM_INVALID;
	if (peer != NULL)
		rv = agree(key, row->scheme->cofactor, peer, secret, &size);
	EVP_PKEY_free(peer);
	if (rv == CKR_OK && parameter.kdf != CKD_NULL) {
		rv = stretch(&parameter, secret, size, wanted, out, length);
	} else if (rv == CKR_OK && size > *length) {
		rv = CKR_FUNCTION_NOT_SUPPORTED;
	} else if (rv == CKR_OK) {
		memcpy(out, secret, size);
		*length = size;
	}
	OPENSSL_cleanse(secret, sizeof(secret));
	ERR_clear_error();
	return rv;
}
