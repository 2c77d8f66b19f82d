/* SPDX-License-Identifier: MIT
 *
 * Digests, MACs and signatures.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#include "tests/mock/mock.h"

static bool verifies(enum kind kind)
{
	return kind == KIND_VERIFY || kind == KIND_VERIFY_SIGNATURE || kind == KIND_MESSAGE_VERIFY;
}

/* ---- digests ------------------------------------------------------------------------------------ */

CK_RV digest_bytes(const char *name, const void *data, size_t length, struct bytes *output)
{
	EVP_MD *md = EVP_MD_fetch(mock.crypto, name, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	CK_BYTE *out = md ? bytes_extend(output, (CK_ULONG)EVP_MD_get_size(md)) : NULL;
	bool good = md && ctx && out && EVP_DigestInit_ex(ctx, md, NULL) &&
	            EVP_DigestUpdate(ctx, length > 0 ? data : "", length) &&
	            EVP_DigestFinal_ex(ctx, out, NULL);

	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	return good ? CKR_OK : CKR_FUNCTION_FAILED;
}

CK_RV compute_digest(const struct compute *c)
{
	return c->last ? digest_bytes(c->mechanism->algorithm, c->input->data, c->input->length,
	                              c->output)
	               : CKR_OK;
}

/* ---- MACs ----------------------------------------------------------------------------------------- */

static CK_RV mac(const char *name, const char *param, const char *value, const void *key,
                 size_t key_length, const void *data, size_t length, struct bytes *output)
{
	char *name_copy = OPENSSL_strdup(value);
	OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(param, name_copy, 0),
		                OSSL_PARAM_construct_end() };
	EVP_MAC *type = EVP_MAC_fetch(mock.crypto, name, NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(type);
	CK_BYTE result[EVP_MAX_MD_SIZE];
	size_t n = 0;
	bool good = ctx && name_copy && EVP_MAC_init(ctx, key, key_length, params) &&
	            EVP_MAC_update(ctx, length > 0 ? data : (const void *)"", length) &&
	            EVP_MAC_final(ctx, result, &n, sizeof(result));

	if (good)
		bytes_add(output, result, n);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(type);
	OPENSSL_free(name_copy);
	return good ? CKR_OK : CKR_FUNCTION_FAILED;
}

CK_RV hmac_bytes(const char *name, const void *key, size_t key_length, const void *data,
                 size_t length, struct bytes *output)
{
	return mac("HMAC", OSSL_MAC_PARAM_DIGEST, name, key_length > 0 ? key : "", key_length, data,
	           length, output);
}

/* Give or compare the MAC that was computed. */
static CK_RV finish_mac(const struct compute *c, CK_RV rv, struct bytes *result)
{
	CK_ULONG length = c->parameter->length ? c->parameter->length : c->mechanism->block;

	if (rv == CKR_OK && FAULT(mac_general_full) && c->parameter->length)
		length = c->mechanism->block;
	if (rv == CKR_OK && verifies(c->kind)) {
		if (c->signature->length != length)
			rv = CKR_SIGNATURE_LEN_RANGE;
		else if (memcmp(c->signature->data, result->data, length) != 0)
			rv = CKR_SIGNATURE_INVALID;
	} else if (rv == CKR_OK) {
		bytes_add(c->output, result->data, length);
	}
	bytes_done(result);
	return rv;
}

CK_RV compute_hmac(const struct compute *c)
{
	const struct attribute *key = attributes_find(c->key, CKA_VALUE);
	struct bytes result = { 0 };
	CK_RV rv = hmac_bytes(c->mechanism->algorithm, key->value, key->length, c->input->data,
	                      c->input->length, &result);

	return finish_mac(c, rv, &result);
}

CK_RV compute_cmac(const struct compute *c)
{
	const struct attribute *key = attributes_find(c->key, CKA_VALUE);
	struct bytes result = { 0 };
	char cipher[32];
	CK_RV rv;

	snprintf(cipher, sizeof(cipher), "AES-%u-CBC", (unsigned)key->length * 8);
	rv = mac("CMAC", OSSL_MAC_PARAM_CIPHER, cipher, key->value, key->length, c->input->data,
	         c->input->length, &result);
	return finish_mac(c, rv, &result);
}

/* ---- RSA (§6.1.6 to §6.1.13) -------------------------------------------------------------------------- */

static bool prepare_rsa(EVP_PKEY_CTX *ctx, const struct compute *c, EVP_MD *md)
{
	bool pss = c->mechanism->parameter == parameter_pss;
	int padding = c->mechanism->type == CKM_RSA_X_509 ? RSA_NO_PADDING : RSA_PKCS1_PADDING;

	if (EVP_PKEY_CTX_set_rsa_padding(ctx, pss ? RSA_PKCS1_PSS_PADDING : padding) <= 0)
		return false;
	if (md && EVP_PKEY_CTX_set_signature_md(ctx, md) <= 0)
		return false;
	return !pss || (EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, c->parameter->mgf, NULL) > 0 &&
	                EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)c->parameter->length) > 0);
}

/* What a signature without a digest holds: the data themselves, after RSA's inverse. */
static CK_RV recover(EVP_PKEY_CTX *ctx, const struct compute *c, CK_ULONG size)
{
	CK_BYTE *out = bytes_extend(c->output, size);
	size_t n = size;

	if (!out || EVP_PKEY_verify_recover_init(ctx) <= 0 || !prepare_rsa(ctx, c, NULL) ||
	    EVP_PKEY_verify_recover(ctx, out, &n, c->signature->data, c->signature->length) <= 0)
		return CKR_SIGNATURE_INVALID;
	c->output->length = n;
	return CKR_OK;
}

static CK_RV verify_raw(EVP_PKEY_CTX *ctx, const struct compute *c, const struct bytes *data,
                        CK_ULONG size)
{
	struct bytes plain = { 0 };
	struct compute copy = *c;
	CK_RV rv;

	copy.output = &plain;
	rv = recover(ctx, &copy, size);
	if (rv == CKR_OK &&
	    (plain.length != data->length || memcmp(plain.data, data->data, data->length) != 0))
		rv = CKR_SIGNATURE_INVALID;
	bytes_done(&plain);
	return rv;
}

static CK_RV sign_or_verify(EVP_PKEY_CTX *ctx, const struct compute *c, const struct bytes *data,
                            EVP_MD *md, CK_ULONG size)
{
	size_t n = size;
	CK_BYTE *out;

	if (c->kind == KIND_VERIFY_RECOVER)
		return recover(ctx, c, size);
	if (verifies(c->kind)) {
		if (!md)
			return verify_raw(ctx, c, data, size);
		if (EVP_PKEY_verify_init(ctx) <= 0 || !prepare_rsa(ctx, c, md))
			return CKR_FUNCTION_FAILED;
		return EVP_PKEY_verify(ctx, c->signature->data, c->signature->length, data->data,
		                       data->length) > 0
		               ? CKR_OK
		               : CKR_SIGNATURE_INVALID;
	}
	out = bytes_extend(c->output, size);
	if (!out || EVP_PKEY_sign_init(ctx) <= 0 || !prepare_rsa(ctx, c, md))
		return CKR_FUNCTION_FAILED;
	if (EVP_PKEY_sign(ctx, out, &n, data->data, data->length) <= 0)
		return CKR_DATA_INVALID;
	c->output->length = n;
	return CKR_OK;
}

CK_RV compute_rsa_sign(const struct compute *c)
{
	CK_ULONG size = (key_size(c->key) + 7) / 8;
	bool pss = c->mechanism->parameter == parameter_pss;
	bool raw = c->mechanism->type == CKM_RSA_X_509;
	const char *hash = pss ? c->parameter->hash : c->mechanism->algorithm;
	struct bytes data = { 0 };
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key = NULL;
	EVP_MD *md = NULL;
	CK_RV rv = CKR_OK;

	if (c->kind == KIND_VERIFY_RECOVER || verifies(c->kind)) {
		if (c->signature->length != size)
			return FAULT(signature_length_wrong_code) ? CKR_SIGNATURE_INVALID
			                                          : CKR_SIGNATURE_LEN_RANGE;
	}
	if (c->mechanism->algorithm) {
		rv = digest_bytes(c->mechanism->algorithm, c->input->data, c->input->length, &data);
	} else if (c->kind != KIND_VERIFY_RECOVER) {
		CK_ULONG length = c->input->length;

		if (pss ? length != hash_length(hash)
		        : length > (raw ? size : size - 11) && !FAULT(rsa_length_unchecked))
			rv = CKR_DATA_LEN_RANGE;
		while (rv == CKR_OK && raw && data.length + length < size && !data.failed)
			bytes_add(&data, "", 1);
		bytes_add(&data, c->input->data, length);
	}
	if (rv == CKR_OK && pss && c->parameter->length + hash_length(hash) + 2 > size)
		rv = CKR_MECHANISM_PARAM_INVALID;
	if (rv == CKR_OK) {
		md = hash ? EVP_MD_fetch(mock.crypto, hash, NULL) : NULL;
		key = key_open(c->key);
		ctx = key ? EVP_PKEY_CTX_new_from_pkey(mock.crypto, key, NULL) : NULL;
		rv = ctx && (md || !hash) && !data.failed ? sign_or_verify(ctx, c, &data, md, size)
		                                          : CKR_FUNCTION_FAILED;
	}
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	EVP_MD_free(md);
	bytes_done(&data);
	return rv;
}

/* ---- elliptic curves (§6.3.12 to §6.3.14) ------------------------------------------------------------- */

/* r and s, each as long as the order (§6.3.1), out of libcrypto's DER. */
static bool to_numbers(const CK_BYTE *der, size_t length, CK_ULONG half, struct bytes *output)
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)length);
	CK_BYTE *out = sig ? bytes_extend(output, 2 * half) : NULL;
	bool good = out && BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, (int)half) > 0 &&
	            BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + half, (int)half) > 0;

	ECDSA_SIG_free(sig);
	return good;
}

static int from_numbers(const struct bytes *signature, CK_BYTE **ret_der)
{
	int half = (int)(signature->length / 2), length = -1;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(signature->data, half, NULL);
	BIGNUM *s = BN_bin2bn(signature->data + half, half, NULL);

	if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
		*ret_der = NULL;
		length = i2d_ECDSA_SIG(sig, ret_der);
	} else {
		BN_free(r);
		BN_free(s);
	}
	ECDSA_SIG_free(sig);
	return length;
}

static CK_RV ecdsa(EVP_PKEY_CTX *ctx, const struct compute *c, const struct bytes *data,
                   CK_ULONG half)
{
	CK_BYTE der[2 * 66 + 16], *theirs;
	size_t n = sizeof(der);
	int length;
	bool good;

	if (!verifies(c->kind)) {
		if (EVP_PKEY_sign_init(ctx) <= 0 ||
		    EVP_PKEY_sign(ctx, der, &n, data->data, data->length) <= 0)
			return CKR_FUNCTION_FAILED;
		if (FAULT(ecdsa_signature_is_der)) {
			bytes_add(c->output, der, n);
			return CKR_OK;
		}
		return to_numbers(der, n, half, c->output) ? CKR_OK : CKR_FUNCTION_FAILED;
	}
	if (FAULT(ecdsa_signature_is_der)) {
		good = EVP_PKEY_verify_init(ctx) > 0 &&
		       EVP_PKEY_verify(ctx, c->signature->data, c->signature->length, data->data,
		                       data->length) > 0;
		return good ? CKR_OK : CKR_SIGNATURE_INVALID;
	}
	/* A shorter one of an even length is as good. */
	if (c->signature->length == 0 || c->signature->length % 2 != 0 ||
	    c->signature->length > 2 * half)
		return CKR_SIGNATURE_LEN_RANGE;
	length = from_numbers(c->signature, &theirs);
	if (length < 0)
		return CKR_SIGNATURE_INVALID;
	good = EVP_PKEY_verify_init(ctx) > 0 &&
	       EVP_PKEY_verify(ctx, theirs, (size_t)length, data->data, data->length) > 0;
	OPENSSL_free(theirs);
	return good ? CKR_OK : CKR_SIGNATURE_INVALID;
}

CK_RV compute_ecdsa(const struct compute *c)
{
	CK_ULONG half = (key_size(c->key) + 7) / 8;
	struct bytes data = { 0 };
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key;
	CK_RV rv = CKR_OK;

	if (c->mechanism->algorithm)
		rv = digest_bytes(c->mechanism->algorithm, c->input->data, c->input->length, &data);
	else if (c->input->length == 0)
		rv = CKR_DATA_LEN_RANGE;
	else /* the leftmost bits count (§6.3.12) */
		bytes_add(&data, c->input->data, c->input->length < half ? c->input->length : half);
	if (rv != CKR_OK)
		return rv;
	key = key_open(c->key);
	ctx = key ? EVP_PKEY_CTX_new_from_pkey(mock.crypto, key, NULL) : NULL;
	rv = ctx && !data.failed ? ecdsa(ctx, c, &data, half) : CKR_FUNCTION_FAILED;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	bytes_done(&data);
	return rv;
}

CK_RV compute_eddsa(const struct compute *c)
{
	size_t n = compute_length(c, c->input->length);
	EVP_PKEY *key = key_open(c->key);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const CK_BYTE *data = c->input->length > 0 ? c->input->data : (const CK_BYTE *)"";
	CK_RV rv = CKR_FUNCTION_FAILED;
	CK_BYTE *out;

	if (!key || !ctx)
		goto done;
	if (verifies(c->kind)) {
		if (c->signature->length != n)
			rv = CKR_SIGNATURE_LEN_RANGE;
		else if (EVP_DigestVerifyInit_ex(ctx, NULL, NULL, mock.crypto, NULL, key, NULL) > 0)
			rv = EVP_DigestVerify(ctx, c->signature->data, n, data, c->input->length) >
			                     0
			             ? CKR_OK
			             : CKR_SIGNATURE_INVALID;
		goto done;
	}
	out = bytes_extend(c->output, n);
	if (out && EVP_DigestSignInit_ex(ctx, NULL, NULL, mock.crypto, NULL, key, NULL) > 0 &&
	    EVP_DigestSign(ctx, out, &n, data, c->input->length) > 0)
		rv = CKR_OK;
done:
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return rv;
}
