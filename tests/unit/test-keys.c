/* SPDX-License-Identifier: MIT
 *
 * p11tape-keys.so against the libcrypto of this very process: what the one makes the other accepts, for
 * every row, with every kind of key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "core/attributes.h"
#include "replayer/keys/keys.h"

enum { PKCS, RAW, OAEP, PSS, ECDSA, EDDSA, ECDH, ECDH_COFACTOR };

static const struct row {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	unsigned int acts;
	int scheme;
	const char *hash;
} rows[] = {
#define SIGN KEYS_SIGN
#define DECRYPT KEYS_DECRYPT
#define DERIVE KEYS_DERIVE
#define KEYED(mechanism, acts, scheme, hash) { #mechanism, mechanism, acts, scheme, #hash },
#include "replayer/keys/mechanisms.def"
};

static const struct hash {
	const char *name, *text;
	CK_MECHANISM_TYPE mechanism;
	CK_RSA_PKCS_MGF_TYPE mgf;
	CK_EC_KDF_TYPE kdf;
} hashes[] = {
#define KEYED_HASH(name, text, mechanism, mgf, kdf) { #name, text, mechanism, mgf, kdf },
#include "replayer/keys/mechanisms.def"
};

static struct pair {
	const char *name;
	CK_KEY_TYPE type;
	EVP_PKEY *theirs;
	struct keys_key *ours;
} pairs[] = {
	{ "RSA 2048", CKK_RSA, NULL, NULL },       { "RSA 3072", CKK_RSA, NULL, NULL },
	{ "P-256", CKK_EC, NULL, NULL },           { "P-384", CKK_EC, NULL, NULL },
	{ "P-521", CKK_EC, NULL, NULL },           { "ED25519", CKK_EC_EDWARDS, NULL, NULL },
	{ "ED448", CKK_EC_EDWARDS, NULL, NULL },   { "X25519", CKK_EC_MONTGOMERY, NULL, NULL },
	{ "X448", CKK_EC_MONTGOMERY, NULL, NULL },
};

static const struct keys_table *keys;
static const unsigned char message[100] = "what a test key is given to sign, or to hide";

static const struct hash *find_hash(const char *name)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(hashes); i++)
		if (strcmp(hashes[i].name, name) == 0)
			return &hashes[i];
	return NULL;
}

static EVP_PKEY *generate(const char *name)
{
	if (strncmp(name, "RSA ", 4) == 0)
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)strtoul(name + 4, NULL, 10));
	if (name[0] == 'P')
		return EVP_PKEY_Q_keygen(NULL, NULL, "EC", name);
	return EVP_PKEY_Q_keygen(NULL, NULL, name);
}

/* A PEM file in memory; PKCS #8, or the form that is the key type's own. */
static BIO *write_pem(EVP_PKEY *pkey, bool traditional, const EVP_CIPHER *cipher)
{
	BIO *file = BIO_new(BIO_s_mem());
	char passphrase[] = "passphrase";
	int length = (int)strlen(passphrase);
	unsigned char *word = cipher == NULL ? NULL : (unsigned char *)passphrase;
	int written = traditional ? PEM_write_bio_PrivateKey_traditional(file, pkey, cipher, word,
	                                                                 length, NULL, NULL)
	                          : PEM_write_bio_PKCS8PrivateKey(file, pkey, cipher, (char *)word,
	                                                          length, NULL, NULL);
	assert_int_equal(written, 1);
	return file;
}

static struct keys_key *open_bio(BIO *file, const char **ret_reason)
{
	char *text;
	long length = BIO_get_mem_data(file, &text);
	struct keys_key *key = keys->open(text, (size_t)length, ret_reason);
	BIO_free(file);
	return key;
}

static int set_up(void **state)
{
	const char *reason;
	char path[4096];
	(void)state;
	snprintf(path, sizeof(path), "%s/lib/p11tape-keys.so", getenv("P11TAPE_BUILD_DIR"));
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		return -1;
	keys_fn *function = (keys_fn *)(uintptr_t)dlsym(library, KEYS_SYMBOL);
	keys = function();
	if (keys == NULL || keys->version != KEYS_VERSION)
		return -1;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(pairs); i++) {
		pairs[i].theirs = generate(pairs[i].name);
		pairs[i].ours = open_bio(write_pem(pairs[i].theirs, false, NULL), &reason);
		if (pairs[i].ours == NULL)
			return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(pairs); i++) {
		EVP_PKEY_free(pairs[i].theirs);
		keys->close(pairs[i].ours);
	}
	return 0;
}

/* ---- parameters ------------------------------------------------------------------------------- */

struct parameter {
	CK_MECHANISM mechanism;
	const struct hash *hash, *mgf;
	union {
		CK_RSA_PKCS_PSS_PARAMS pss;
		CK_RSA_PKCS_OAEP_PARAMS oaep;
	} as;
};

static void set_parameter(struct parameter *p, const struct row *row, const struct hash *hash,
                          const struct hash *mgf, const char *label)
{
	memset(p, 0, sizeof(*p));
	p->mechanism.mechanism = row->mechanism;
	p->hash = hash;
	p->mgf = mgf;
	if (hash == NULL || mgf == NULL)
		return;
	if (row->scheme == PSS) {
		p->as.pss.hashAlg = hash->mechanism;
		p->as.pss.mgf = mgf->mgf;
		p->as.pss.sLen = 20;
		p->mechanism.pParameter = &p->as.pss;
		p->mechanism.ulParameterLen = sizeof(p->as.pss);
	} else if (row->scheme == OAEP) {
		p->as.oaep.hashAlg = hash->mechanism;
		p->as.oaep.mgf = mgf->mgf;
		p->as.oaep.source = label == NULL ? 0 : CKZ_DATA_SPECIFIED;
		p->as.oaep.pSourceData = (void *)(uintptr_t)label;
		p->as.oaep.ulSourceDataLen = label == NULL ? 0 : strlen(label);
		p->mechanism.pParameter = &p->as.oaep;
		p->mechanism.ulParameterLen = sizeof(p->as.oaep);
	}
}

/* ---- what libcrypto says of a signature -------------------------------------------------------- */

static void set_padding(EVP_PKEY_CTX *context, const struct row *row, const struct parameter *p)
{
	static const int paddings[] = { [PKCS] = RSA_PKCS1_PADDING,
		                        [RAW] = RSA_NO_PADDING,
		                        [OAEP] = RSA_PKCS1_OAEP_PADDING,
		                        [PSS] = RSA_PKCS1_PSS_PADDING };
	if (row->scheme > PSS)
		return;
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(context, paddings[row->scheme]), 1);
	if (p->hash == NULL || p->mgf == NULL)
		return;
	if (row->scheme == PSS) {
		EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, p->mgf->text, NULL);
		EVP_PKEY_CTX_set_rsa_pss_saltlen(context, (int)p->as.pss.sLen);
	}
	if (row->scheme == OAEP) {
		EVP_PKEY_CTX_set_rsa_oaep_md_name(context, p->hash->text, NULL);
		EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, p->mgf->text, NULL);
		if (p->as.oaep.ulSourceDataLen != 0)
			EVP_PKEY_CTX_set0_rsa_oaep_label(context,
			                                 OPENSSL_strdup(p->as.oaep.pSourceData),
			                                 (int)p->as.oaep.ulSourceDataLen);
	}
}

/* r and s become what libcrypto reads. */
static size_t box_signature(unsigned char *signature, size_t length)
{
	unsigned char *end = signature;
	ECDSA_SIG *pair = ECDSA_SIG_new();
	ECDSA_SIG_set0(pair, BN_bin2bn(signature, (int)length / 2, NULL),
	               BN_bin2bn(signature + length / 2, (int)length / 2, NULL));
	int size = i2d_ECDSA_SIG(pair, &end);
	ECDSA_SIG_free(pair);
	return (size_t)size;
}

static bool accepts(const struct pair *pair, const struct row *row, const struct parameter *p,
                    const unsigned char *data, size_t data_length, unsigned char *signature,
                    size_t length)
{
	bool hashes_it = strcmp(row->hash, "NONE") != 0;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	EVP_PKEY_CTX *context = NULL;
	bool good;
	if (row->scheme == ECDSA)
		length = box_signature(signature, length);
	if (hashes_it || row->scheme == EDDSA) {
		assert_int_equal(
			EVP_DigestVerifyInit_ex(digest, &context,
		                                hashes_it ? find_hash(row->hash)->text : NULL, NULL,
		                                NULL, pair->theirs, NULL),
			1);
		set_padding(context, row, p);
		good = EVP_DigestVerify(digest, signature, length, data, data_length) == 1;
	} else {
		context = EVP_PKEY_CTX_new(pair->theirs, NULL);
		assert_int_equal(EVP_PKEY_verify_init(context), 1);
		set_padding(context, row, p);
		if (row->scheme == PSS)
			EVP_PKEY_CTX_set_signature_md(context, EVP_get_digestbyname(p->hash->text));
		good = EVP_PKEY_verify(context, signature, length, data, data_length) == 1;
		EVP_PKEY_CTX_free(context);
	}
	EVP_MD_CTX_free(digest);
	return good;
}

static void check_signature(const struct pair *pair, const struct row *row,
                            const struct parameter *p, const unsigned char *data, size_t length)
{
	unsigned char signature[1024];
	struct keys_operation *operation = NULL;
	CK_ULONG size = 0;
	for (int parts = 1; parts <= 2; parts++) {
		if (parts == 2 && strcmp(row->hash, "NONE") == 0)
			break;
		assert_int_equal(keys->begin(pair->ours, KEYS_SIGN, &p->mechanism, &operation),
		                 CKR_OK);
		assert_int_equal(keys->finish(operation, data, length, NULL, &size), CKR_OK);
		CK_ULONG needed = size;
		size--;
		assert_int_equal(keys->finish(operation, data, length, signature, &size),
		                 CKR_BUFFER_TOO_SMALL);
		assert_int_equal(size, needed);
		if (parts == 2)
			assert_int_equal(keys->update(operation, data, 7), CKR_OK);
		size_t done = parts == 2 ? 7 : 0;
		size = sizeof(signature) - 64;
		CK_RV rv = keys->finish(operation, data + done, length - done, signature, &size);
		if (rv != CKR_OK)
			fail_msg("%s with %s: 0x%lx", row->name, pair->name, rv);
		assert_int_equal(size, needed);
		keys->end(operation);
		unsigned char copy[sizeof(signature)];
		memcpy(copy, signature, sizeof(copy));
		if (!accepts(pair, row, p, data, length, copy, size))
			fail_msg("%s with %s, %d part(s): not a signature", row->name, pair->name,
			         parts);
		signature[size / 2] ^= 1;
		assert_false(accepts(pair, row, p, data, length, signature, size));
	}
}

static void every_signature_is_accepted(void **state)
{
	(void)state;
	size_t seen = 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		for (size_t k = 0; k < TAPE_ARRAY_SIZE(pairs); k++) {
			const struct row *row = &rows[i];
			unsigned char wide[1024] = { 0 };
			struct parameter p;
			if (!keys->supports(pairs[k].ours, KEYS_SIGN, row->mechanism))
				continue;
			seen++;
			if (strcmp(row->hash, "NONE") != 0) {
				const struct hash *hash = find_hash(row->hash);
				set_parameter(&p, row, hash, hash, NULL);
				check_signature(&pairs[k], row, &p, message, sizeof(message));
				continue;
			}
			size_t length = row->scheme == EDDSA ? sizeof(message) : 32;
			set_parameter(&p, row, find_hash("SHA256"), find_hash("SHA1"), NULL);
			memcpy(wide, message, length);
			if (row->scheme == RAW) {
				/* Only as long as the modulus can libcrypto check it. */
				length = (size_t)EVP_PKEY_get_size(pairs[k].theirs);
				memset(wide, 0, length);
				memcpy(wide + 100, message, sizeof(message));
			}
			check_signature(&pairs[k], row, &p, wide, length);
		}
	/* 23 rows of RSA with two keys, 10 of ECDSA with three, EdDSA with two. */
	assert_int_equal(seen, 2 * 23 + 3 * 10 + 2);
}

/* PKCS#11 3.1 §6.1.7: what is shorter than the modulus has zeros before it. */
static void a_raw_signature_of_less_is_widened(void **state)
{
	static const struct row row = { "raw", CKM_RSA_X_509, KEYS_SIGN, RAW, "NONE" };
	unsigned char narrow[512], wide[512], data[256] = { 0 };
	struct keys_operation *operation;
	CK_ULONG size = sizeof(narrow), other = sizeof(wide);
	struct parameter p;
	(void)state;
	memcpy(data + sizeof(data) - 20, message, 20);
	set_parameter(&p, &row, NULL, NULL, NULL);
	assert_int_equal(keys->begin(pairs[0].ours, KEYS_SIGN, &p.mechanism, &operation), CKR_OK);
	assert_int_equal(keys->finish(operation, message, 20, narrow, &size), CKR_OK);
	assert_int_equal(keys->finish(operation, data, sizeof(data), wide, &other), CKR_OK);
	assert_int_equal(size, other);
	assert_memory_equal(narrow, wide, size);
	other = sizeof(wide);
	memset(data, 0xff, sizeof(data));
	assert_int_equal(keys->finish(operation, data, sizeof(data), wide, &other),
	                 CKR_DATA_INVALID);
	keys->end(operation);
}

/* ---- decryption ------------------------------------------------------------------------------------ */

static size_t encrypt(const struct pair *pair, const struct row *row, const struct parameter *p,
                      const unsigned char *data, size_t length, unsigned char *out, size_t room)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pair->theirs, NULL);
	assert_int_equal(EVP_PKEY_encrypt_init(context), 1);
	set_padding(context, row, p);
	assert_int_equal(EVP_PKEY_encrypt(context, out, &room, data, length), 1);
	EVP_PKEY_CTX_free(context);
	return room;
}

static void check_decryption(const struct pair *pair, const struct row *row,
                             const struct parameter *p, const unsigned char *data, size_t length)
{
	unsigned char hidden[512], seen[512];
	struct keys_operation *operation;
	CK_ULONG size = 0;
	size_t hidden_length = encrypt(pair, row, p, data, length, hidden, sizeof(hidden));
	assert_int_equal(keys->begin(pair->ours, KEYS_DECRYPT, &p->mechanism, &operation), CKR_OK);
	assert_int_equal(keys->finish(operation, hidden, hidden_length, NULL, &size), CKR_OK);
	assert_int_equal(size, hidden_length);
	size = length - 1;
	assert_int_equal(keys->finish(operation, hidden, hidden_length, seen, &size),
	                 CKR_BUFFER_TOO_SMALL);
	assert_int_equal(size, length);
	assert_int_equal(keys->update(operation, hidden, 1), CKR_FUNCTION_NOT_SUPPORTED);
	CK_RV rv = keys->finish(operation, hidden, hidden_length, seen, &size);
	if (rv != CKR_OK)
		fail_msg("%s with %s: 0x%lx", row->name, pair->name, rv);
	assert_int_equal(size, length);
	assert_memory_equal(seen, data, length);
	size = sizeof(seen);
	assert_int_equal(keys->finish(operation, hidden, hidden_length - 1, seen, &size),
	                 CKR_ENCRYPTED_DATA_LEN_RANGE);
	if (row->scheme != RAW) {
		/* Never what libcrypto makes up for a padding that is bad. */
		hidden[hidden_length - 1] ^= 1;
		assert_int_equal(keys->finish(operation, hidden, hidden_length, seen, &size),
		                 CKR_ENCRYPTED_DATA_INVALID);
	}
	keys->end(operation);
}

static void every_ciphertext_is_opened(void **state)
{
	(void)state;
	size_t seen = 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		for (size_t k = 0; k < TAPE_ARRAY_SIZE(pairs); k++) {
			const struct row *row = &rows[i];
			unsigned char wide[512] = { 0 };
			size_t length = 40;
			struct parameter p;
			if (!keys->supports(pairs[k].ours, KEYS_DECRYPT, row->mechanism))
				continue;
			seen++;
			memcpy(wide, message, length);
			if (row->scheme == RAW) {
				length = (size_t)EVP_PKEY_get_size(pairs[k].theirs);
				memset(wide, 0, 1);
			}
			if (row->scheme != OAEP) {
				set_parameter(&p, row, NULL, NULL, NULL);
				check_decryption(&pairs[k], row, &p, wide, length);
				continue;
			}
			for (size_t h = 0; h < TAPE_ARRAY_SIZE(hashes); h++) {
				if (hashes[h].mgf == CK_UNAVAILABLE_INFORMATION)
					continue;
				set_parameter(&p, row, &hashes[h], &hashes[h], NULL);
				check_decryption(&pairs[k], row, &p, wide, length);
				set_parameter(&p, row, &hashes[h], find_hash("SHA1"), "label");
				check_decryption(&pairs[k], row, &p, wide, length);
			}
		}
	assert_int_equal(seen, 3 * 2);
}

/* ---- agreement --------------------------------------------------------------------------------------- */

static size_t box_point(const unsigned char *point, size_t length, unsigned char *out)
{
	unsigned char *end = out;
	ASN1_OCTET_STRING *box = ASN1_OCTET_STRING_new();
	ASN1_OCTET_STRING_set(box, point, (int)length);
	int size = i2d_ASN1_OCTET_STRING(box, &end);
	ASN1_OCTET_STRING_free(box);
	return (size_t)size;
}

static void stretch(const struct hash *hash, unsigned char *secret, size_t length,
                    unsigned char *out, size_t wanted)
{
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
		                                 (char *)(uintptr_t)hash->text, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, secret, length),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(uintptr_t) "info",
		                                  4),
		OSSL_PARAM_construct_end()
	};
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_X963KDF, NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	assert_int_equal(EVP_KDF_derive(context, out, wanted, parameters), 1);
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
}

static void check_agreement(const struct pair *pair, const struct row *row)
{
	unsigned char box[256], theirs[256], ours[KEYS_MAX_SECRET], more[77];
	unsigned char *point = NULL;
	size_t length = sizeof(theirs);
	EVP_PKEY *peer = generate(pair->name);
	size_t point_length = EVP_PKEY_get1_encoded_public_key(peer, &point);
	size_t boxed = box_point(point, point_length, box);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(peer, NULL);
	CK_ECDH1_DERIVE_PARAMS p = { .kdf = CKD_NULL,
		                     .pPublicData = point,
		                     .ulPublicDataLen = point_length };
	CK_MECHANISM mechanism = { row->mechanism, &p, sizeof(p) };
	assert_int_equal(EVP_PKEY_derive_init(context), 1);
	assert_int_equal(EVP_PKEY_derive_set_peer(context, pair->theirs), 1);
	assert_int_equal(EVP_PKEY_derive(context, theirs, &length), 1);
	for (int in_box = 0; in_box <= 1; in_box++) {
		size_t size = sizeof(ours);
		assert_int_equal(keys->derive(pair->ours, &mechanism, 0, ours, &size), CKR_OK);
		assert_int_equal(size, length);
		assert_memory_equal(ours, theirs, size);
		p.pPublicData = box;
		p.ulPublicDataLen = boxed;
	}
	p.pSharedData = (void *)(uintptr_t) "info";
	p.ulSharedDataLen = 4;
	for (size_t h = 0; h < TAPE_ARRAY_SIZE(hashes); h++) {
		size_t size = sizeof(ours);
		p.kdf = hashes[h].kdf;
		if (p.kdf == CK_UNAVAILABLE_INFORMATION)
			continue;
		assert_int_equal(keys->derive(pair->ours, &mechanism, sizeof(more), ours, &size),
		                 CKR_OK);
		stretch(&hashes[h], theirs, length, more, sizeof(more));
		assert_int_equal(size, sizeof(more));
		assert_memory_equal(ours, more, size);
		assert_int_equal(keys->derive(pair->ours, &mechanism, 0, ours, &size),
		                 CKR_FUNCTION_NOT_SUPPORTED);
	}
	size_t size = sizeof(ours);
	p.kdf = CKD_NULL;
	p.ulPublicDataLen = 5;
	assert_int_equal(keys->derive(pair->ours, &mechanism, 0, ours, &size),
	                 CKR_MECHANISM_PARAM_INVALID);
	EVP_PKEY_CTX_free(context);
	EVP_PKEY_free(peer);
	OPENSSL_free(point);
}

static void both_sides_agree(void **state)
{
	(void)state;
	size_t seen = 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		for (size_t k = 0; k < TAPE_ARRAY_SIZE(pairs); k++)
			if (keys->supports(pairs[k].ours, KEYS_DERIVE, rows[i].mechanism)) {
				check_agreement(&pairs[k], &rows[i]);
				seen++;
			}
	assert_int_equal(seen, 2 * 5);
}

/* ---- what is refused ----------------------------------------------------------------------------------- */

static void a_mechanism_is_of_one_type_of_key(void **state)
{
	static const CK_KEY_TYPE types[] = {
		[PKCS] = CKK_RSA, [RAW] = CKK_RSA,          [OAEP] = CKK_RSA,
		[PSS] = CKK_RSA,  [ECDSA] = CKK_EC,         [EDDSA] = CKK_EC_EDWARDS,
		[ECDH] = CKK_EC,  [ECDH_COFACTOR] = CKK_EC,
	};
	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		for (size_t k = 0; k < TAPE_ARRAY_SIZE(pairs); k++)
			for (unsigned int act = KEYS_SIGN; act <= KEYS_DERIVE; act *= 2) {
				bool fits = pairs[k].type == types[rows[i].scheme] ||
				            (pairs[k].type == CKK_EC_MONTGOMERY &&
				             rows[i].scheme >= ECDH);
				assert_int_equal(keys->supports(pairs[k].ours, (enum keys_act)act,
				                                rows[i].mechanism),
				                 fits && (rows[i].acts & act) != 0);
			}
}

static void what_modules_differ_in_is_not_said(void **state)
{
	struct keys_operation *operation = NULL;
	CK_MECHANISM mechanism = { CKM_RSA_PKCS, (void *)(uintptr_t) "x", 1 };
	CK_EDDSA_PARAMS eddsa = { .phFlag = CK_TRUE };
	CK_RSA_PKCS_PSS_PARAMS pss = { CKM_SHA256, CKG_MGF1_SHA256, 32 };
	(void)state;
	assert_int_equal(keys->begin(pairs[0].ours, KEYS_SIGN, &mechanism, &operation),
	                 CKR_FUNCTION_NOT_SUPPORTED);
	mechanism = (CK_MECHANISM){ CKM_RSA_PKCS_OAEP, NULL, 0 };
	assert_int_equal(keys->begin(pairs[0].ours, KEYS_DECRYPT, &mechanism, &operation),
	                 CKR_MECHANISM_PARAM_INVALID);
	mechanism = (CK_MECHANISM){ CKM_SHA1_RSA_PKCS_PSS, &pss, sizeof(pss) };
	assert_int_equal(keys->begin(pairs[0].ours, KEYS_SIGN, &mechanism, &operation),
	                 CKR_MECHANISM_PARAM_INVALID);
	pss.hashAlg = CKM_VENDOR_DEFINED;
	mechanism.mechanism = CKM_RSA_PKCS_PSS;
	assert_int_equal(keys->begin(pairs[0].ours, KEYS_SIGN, &mechanism, &operation),
	                 CKR_FUNCTION_NOT_SUPPORTED);
	mechanism = (CK_MECHANISM){ CKM_EDDSA, &eddsa, sizeof(eddsa) };
	assert_int_equal(keys->begin(pairs[5].ours, KEYS_SIGN, &mechanism, &operation),
	                 CKR_FUNCTION_NOT_SUPPORTED);
	mechanism = (CK_MECHANISM){ CKM_AES_CBC, NULL, 0 };
	assert_int_equal(keys->begin(pairs[0].ours, KEYS_DECRYPT, &mechanism, &operation),
	                 CKR_FUNCTION_NOT_SUPPORTED);
	assert_null(operation);
}

static void what_is_too_long_is_not_signed(void **state)
{
	unsigned char out[512], data[250] = { 1 };
	struct keys_operation *operation;
	CK_MECHANISM mechanism = { CKM_RSA_PKCS, NULL, 0 };
	CK_RSA_PKCS_PSS_PARAMS pss = { CKM_SHA256, CKG_MGF1_SHA256, 32 };
	CK_ULONG size = sizeof(out);
	(void)state;
	assert_int_equal(keys->begin(pairs[0].ours, KEYS_SIGN, &mechanism, &operation), CKR_OK);
	assert_int_equal(keys->finish(operation, data, sizeof(data), out, &size),
	                 CKR_DATA_LEN_RANGE);
	keys->end(operation);
	mechanism = (CK_MECHANISM){ CKM_RSA_PKCS_PSS, &pss, sizeof(pss) };
	assert_int_equal(keys->begin(pairs[0].ours, KEYS_SIGN, &mechanism, &operation), CKR_OK);
	assert_int_equal(keys->finish(operation, data, 31, out, &size), CKR_DATA_LEN_RANGE);
	keys->end(operation);
}

/* ---- files ------------------------------------------------------------------------------------------------ */

static void expect_reason(BIO *file, const char *expected)
{
	const char *reason = NULL;
	assert_null(open_bio(file, &reason));
	if (strstr(reason, expected) == NULL)
		fail_msg("\"%s\" for \"%s\"", reason, expected);
}

static void the_forms_of_a_key_file_are_told_apart(void **state)
{
	const char *reason;
	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct keys_key *key = open_bio(write_pem(pairs[i].theirs, true, NULL), &reason);
		assert_non_null(key);
		keys->close(key);
		expect_reason(write_pem(pairs[i].theirs, true, EVP_aes_128_cbc()), "is encrypted");
		expect_reason(write_pem(pairs[i].theirs, false, EVP_aes_128_cbc()), "is encrypted");
	}
	BIO *file = BIO_new(BIO_s_mem());
	PEM_write_bio_PUBKEY(file, pairs[0].theirs);
	expect_reason(file, "no private key");
	expect_reason(BIO_new_mem_buf("text\n", 5), "no private key");
	expect_reason(BIO_new(BIO_s_mem()), "no private key");
	file = BIO_new(BIO_s_mem());
	BIO *whole = write_pem(pairs[0].theirs, false, NULL);
	char *text;
	long length = BIO_get_mem_data(whole, &text);
	BIO_write(file, text, (int)length / 2);
	BIO_free(whole);
	expect_reason(file, "no private key");
	keys->close(NULL);
	keys->end(NULL);
}

static enum keys_match match_number(const struct pair *pair, const char *name,
                                    CK_ATTRIBUTE_TYPE type, int add)
{
	unsigned char bytes[513];
	BIGNUM *number = NULL;
	assert_int_equal(EVP_PKEY_get_bn_param(pair->theirs, name, &number), 1);
	BN_add_word(number, (BN_ULONG)add);
	int length = BN_bn2binpad(number, bytes, BN_num_bytes(number) + 1);
	BN_free(number);
	return keys->match(pair->ours, type, bytes, (size_t)length);
}

static void a_public_part_is_recognised(void **state)
{
	CK_KEY_TYPE type = CKK_RSA;
	unsigned char curve[32], point[256], box[256];
	unsigned char *end = curve;
	(void)state;
	assert_int_equal(keys->match(pairs[0].ours, CKA_KEY_TYPE, &type, sizeof(type)), KEYS_SAME);
	assert_int_equal(keys->match(pairs[2].ours, CKA_KEY_TYPE, &type, sizeof(type)), KEYS_OTHER);
	assert_int_equal(keys->match(pairs[2].ours, CKA_KEY_TYPE, &type, 1), KEYS_UNKNOWN);
	assert_int_equal(match_number(&pairs[0], OSSL_PKEY_PARAM_RSA_N, CKA_MODULUS, 0), KEYS_SAME);
	assert_int_equal(match_number(&pairs[0], OSSL_PKEY_PARAM_RSA_N, CKA_MODULUS, 2),
	                 KEYS_OTHER);
	assert_int_equal(match_number(&pairs[1], OSSL_PKEY_PARAM_RSA_E, CKA_PUBLIC_EXPONENT, 0),
	                 KEYS_SAME);
	assert_int_equal(keys->match(pairs[2].ours, CKA_MODULUS, message, 8), KEYS_UNKNOWN);
	assert_int_equal(keys->match(pairs[2].ours, CKA_LABEL, message, 8), KEYS_UNKNOWN);
	int length = i2d_ASN1_OBJECT(OBJ_nid2obj(NID_secp384r1), &end);
	assert_int_equal(keys->match(pairs[3].ours, CKA_EC_PARAMS, curve, (size_t)length),
	                 KEYS_SAME);
	assert_int_equal(keys->match(pairs[2].ours, CKA_EC_PARAMS, curve, (size_t)length),
	                 KEYS_OTHER);
	assert_int_equal(keys->match(pairs[2].ours, CKA_EC_PARAMS, message, 8), KEYS_UNKNOWN);
	for (size_t i = 2; i < TAPE_ARRAY_SIZE(pairs); i++) {
		size_t size;
		assert_int_equal(EVP_PKEY_get_octet_string_param(pairs[i].theirs,
		                                                 OSSL_PKEY_PARAM_PUB_KEY, point,
		                                                 sizeof(point), &size),
		                 1);
		size_t boxed = box_point(point, size, box);
		assert_int_equal(keys->match(pairs[i].ours, CKA_EC_POINT, point, size), KEYS_SAME);
		assert_int_equal(keys->match(pairs[i].ours, CKA_EC_POINT, box, boxed), KEYS_SAME);
		box[boxed - 1] ^= 1;
		assert_int_equal(keys->match(pairs[i].ours, CKA_EC_POINT, box, boxed), KEYS_OTHER);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_signature_is_accepted),
		cmocka_unit_test(a_raw_signature_of_less_is_widened),
		cmocka_unit_test(every_ciphertext_is_opened),
		cmocka_unit_test(both_sides_agree),
		cmocka_unit_test(a_mechanism_is_of_one_type_of_key),
		cmocka_unit_test(what_modules_differ_in_is_not_said),
		cmocka_unit_test(what_is_too_long_is_not_signed),
		cmocka_unit_test(the_forms_of_a_key_file_are_told_apart),
		cmocka_unit_test(a_public_part_is_recognised),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
