/* SPDX-License-Identifier: MIT */
#include "replayer/keys/keys.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/provider.h>

#include "core/attributes.h"
#include "replayer/keys/internal.h"

OSSL_LIB_CTX *keys_library;

TAPE_EXPORT const struct keys_table *tape_keys(void);

static const struct {
	const char *name; /* libcrypto's */
	CK_KEY_TYPE type;
} key_types[] = {
	{ "RSA", CKK_RSA },
	{ "EC", CKK_EC },
	{ "ED25519", CKK_EC_EDWARDS },
	{ "ED448", CKK_EC_EDWARDS },
	{ "X25519", CKK_EC_MONTGOMERY },
	{ "X448", CKK_EC_MONTGOMERY },
};

/* libcrypto's own would ask at the terminal of a program that knows nothing of it. */
static int refuse_passphrase(char *to, int size, int writes, void *context)
{
	(void)to, (void)size, (void)writes;
	*(bool *)context = true;
	return -1;
}

static void close_key(struct keys_key *key)
{
	if (key == NULL)
		return;
	EVP_PKEY_free(key->pkey);
	OPENSSL_clear_free(key, sizeof(*key));
}

static struct keys_key *open_key(const void *pem, size_t length, const char **ret_reason)
{
	bool asked = false;
	struct keys_key *key = OPENSSL_zalloc(sizeof(*key));
	BIO *file = length > INT_MAX ? NULL : BIO_new_mem_buf(length == 0 ? "" : pem, (int)length);
	*ret_reason = "cannot be read: out of memory";
	if (key == NULL || file == NULL)
		goto bad;
	key->pkey = PEM_read_bio_PrivateKey_ex(file, NULL, refuse_passphrase, &asked, keys_library,
	                                       NULL);
	if (key->pkey == NULL) {
		*ret_reason = asked ? "is encrypted: give the key without a passphrase (openssl "
		                      "pkey writes it)"
		                    : "has no private key in PEM form";
		goto bad;
	}
	/* Whatever the file has: modules show points like this (PKCS#11 3.1 §6.3.3). */
	if (EVP_PKEY_is_a(key->pkey, "EC"))
		(void)EVP_PKEY_set_utf8_string_param(
			key->pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
			OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_UNCOMPRESSED);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(key_types); i++)
		if (EVP_PKEY_is_a(key->pkey, key_types[i].name)) {
			key->type = key_types[i].type;
			BIO_free(file);
			ERR_clear_error();
			return key;
		}
	*ret_reason = "has a key of a type that is not known: there are RSA, EC, Ed25519, Ed448, "
		      "X25519 and X448";
bad:
	BIO_free(file);
	close_key(key);
	ERR_clear_error();
	return NULL;
}

/* ---- the public part --------------------------------------------------------------------------- */

static enum keys_match match_type(const struct keys_key *key, const unsigned char *value,
                                  size_t length)
{
	CK_KEY_TYPE type;
	if (length != sizeof(type))
		return KEYS_UNKNOWN;
	memcpy(&type, value, sizeof(type));
	return type == key->type ? KEYS_SAME : KEYS_OTHER;
}

static enum keys_match match_number(const struct keys_key *key, const char *name,
                                    const unsigned char *value, size_t length)
{
	enum keys_match match = KEYS_UNKNOWN;
	BIGNUM *ours = NULL;
	BIGNUM *theirs = length > INT_MAX ? NULL : BN_bin2bn(value, (int)length, NULL);
	if (theirs != NULL && EVP_PKEY_get_bn_param(key->pkey, name, &ours) == 1)
		match = BN_cmp(ours, theirs) == 0 ? KEYS_SAME : KEYS_OTHER;
	BN_free(ours);
	BN_free(theirs);
	return match;
}

static enum keys_match match_modulus(const struct keys_key *key, const unsigned char *value,
                                     size_t length)
{
	return match_number(key, OSSL_PKEY_PARAM_RSA_N, value, length);
}

static enum keys_match match_exponent(const struct keys_key *key, const unsigned char *value,
                                      size_t length)
{
	return match_number(key, OSSL_PKEY_PARAM_RSA_E, value, length);
}

/* A curve by its OID; other ways to name one say nothing here. */
static enum keys_match match_curve(const struct keys_key *key, const unsigned char *value,
                                   size_t length)
{
	char name[64];
	enum keys_match match = KEYS_UNKNOWN;
	const unsigned char *end = value;
	ASN1_OBJECT *curve = length > LONG_MAX ? NULL : d2i_ASN1_OBJECT(NULL, &end, (long)length);
	if (curve != NULL && end == value + length && key->type == CKK_EC &&
	    EVP_PKEY_get_group_name(key->pkey, name, sizeof(name), NULL) == 1)
		match = OBJ_obj2nid(curve) == OBJ_txt2nid(name) ? KEYS_SAME : KEYS_OTHER;
	ASN1_OBJECT_free(curve);
	return match;
}

static enum keys_match match_bytes(const unsigned char *ours, size_t size,
                                   const unsigned char *value, size_t length)
{
	/* Of another length it may be the same point in another form. */
	if (length != size)
		return KEYS_UNKNOWN;
	return memcmp(ours, value, size) == 0 ? KEYS_SAME : KEYS_OTHER;
}

/* Bare (NSS, and some for Edwards curves) or as PKCS#11 3.1 §6.3.3 has it, in an OCTET STRING. */
static enum keys_match match_point(const struct keys_key *key, const unsigned char *value,
                                   size_t length)
{
	unsigned char ours[256];
	size_t size;
	const unsigned char *end = value;
	ASN1_OCTET_STRING *boxed = NULL;
	if (EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, ours, sizeof(ours),
	                                    &size) != 1)
		return KEYS_UNKNOWN;
	enum keys_match match = match_bytes(ours, size, value, length);
	if (match == KEYS_UNKNOWN && length <= LONG_MAX)
		boxed = d2i_ASN1_OCTET_STRING(NULL, &end, (long)length);
	if (boxed != NULL)
		match = match_bytes(ours, size, ASN1_STRING_get0_data(boxed),
		                    (size_t)ASN1_STRING_length(boxed));
	ASN1_OCTET_STRING_free(boxed);
	return match;
}

static enum keys_match match(const struct keys_key *key, CK_ATTRIBUTE_TYPE type, const void *value,
                             size_t length)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		enum keys_match (*match)(const struct keys_key *, const unsigned char *, size_t);
	} rows[] = {
		{ CKA_KEY_TYPE, match_type },
		{ CKA_MODULUS, match_modulus },
		{ CKA_PUBLIC_EXPONENT, match_exponent },
		{ CKA_EC_PARAMS, match_curve },
		{ CKA_EC_POINT, match_point },
	};
	enum keys_match result = KEYS_UNKNOWN;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		if (rows[i].type == type)
			result = rows[i].match(key, value, length);
	ERR_clear_error();
	return result;
}

/* ---- the table ----------------------------------------------------------------------------------- */

/*
 * The first call of all is the one without exit handlers and configuration file: libcrypto does each of
 * these things once, or never. What it holds is the process's until that ends.
 */
static void set_up(void)
{
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT | OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return;
	OSSL_LIB_CTX *library = OSSL_LIB_CTX_new();
	if (library == NULL || OSSL_PROVIDER_load(library, "default") == NULL) {
		OSSL_LIB_CTX_free(library);
		return;
	}
	keys_library = library;
}

const struct keys_table *tape_keys(void)
{
	static const struct keys_table table = {
		.version = KEYS_VERSION,
		.open = open_key,
		.close = close_key,
		.match = match,
		.supports = keys_supports,
		.begin = keys_begin,
		.update = keys_update,
		.finish = keys_finish,
		.end = keys_end,
		.derive = keys_derive,
	};
	/* A program may have two replayers, with a lock each. */
	static CRYPTO_ONCE once = CRYPTO_ONCE_STATIC_INIT;
	return CRYPTO_THREAD_run_once(&once, set_up) == 1 && keys_library != NULL ? &table : NULL;
}
