/* SPDX-License-Identifier: MIT */
#include "suites/oracle.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>

#include "core/attributes.h"

enum oracle_answer tape_oracle(struct oracle_request *request);

/* Of our own, so that no configuration file and nothing that the module does to the default one matters. */
static OSSL_LIB_CTX *library(void)
{
	static OSSL_LIB_CTX *context;
	if (context == NULL) {
		context = OSSL_LIB_CTX_new();
		/* DES, RC4 and SEED are there only with it. */
		(void)OSSL_PROVIDER_load(context, "legacy");
		(void)OSSL_PROVIDER_load(context, "default");
	}
	return context;
}

/* ---- digests and MACs -------------------------------------------------------------------------------- */

static enum oracle_answer digest(struct oracle_request *r)
{
	EVP_MD *md = EVP_MD_fetch(library(), r->algorithm, NULL);
	unsigned int size = 0;
	if (md == NULL)
		return ORACLE_UNKNOWN;
	int done = EVP_Digest(r->in.bytes, r->in.size, r->out, &size, md, NULL);
	EVP_MD_free(md);
	r->out_size = size;
	return done == 1 ? ORACLE_DONE : ORACLE_UNKNOWN;
}

static enum oracle_answer mac(struct oracle_request *r)
{
	char name[64];
	OSSL_PARAM parameters[2] = { OSSL_PARAM_END, OSSL_PARAM_END };
	bool is_hmac = r->kind == ORACLE_HMAC;
	EVP_MAC *type = EVP_MAC_fetch(library(), is_hmac ? "HMAC" : "CMAC", NULL);
	EVP_MAC_CTX *context = type == NULL ? NULL : EVP_MAC_CTX_new(type);
	size_t room = r->out_size;
	memset(name, 0, sizeof(name));
	memcpy(name, r->algorithm, strnlen(r->algorithm, sizeof(name) - 1));
	parameters[0] = OSSL_PARAM_construct_utf8_string(
		is_hmac ? OSSL_MAC_PARAM_DIGEST : OSSL_MAC_PARAM_CIPHER, name, 0);
	bool done = context != NULL &&
	            EVP_MAC_init(context, r->key.bytes, r->key.size, parameters) == 1 &&
	            EVP_MAC_update(context, r->in.bytes, r->in.size) == 1 &&
	            EVP_MAC_final(context, r->out, &r->out_size, room) == 1;
	EVP_MAC_CTX_free(context);
	EVP_MAC_free(type);
	return done ? ORACLE_DONE : ORACLE_UNKNOWN;
}

/* ---- ciphers ----------------------------------------------------------------------------------------- */

static bool set_up(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, struct oracle_request *r,
                   bool make)
{
	bool aead = r->kind == ORACLE_AEAD;
	bool ccm = aead && strstr(r->algorithm, "CCM") != NULL;
	const unsigned char *tag = make ? NULL : r->in.bytes + r->in.size - r->tag;
	int size;
	if (EVP_CipherInit_ex2(context, cipher, NULL, NULL, make, NULL) != 1)
		return false;
	if (aead &&
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, (int)r->iv.size, NULL) != 1)
		return false;
	/* Of CCM the tag's length or the tag itself, and the input's length, must be known first. */
	if (aead && (ccm || !make) &&
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, (int)r->tag,
	                        make ? NULL : (void *)(uintptr_t)tag) != 1)
		return false;
	/* RC4's key has no length of its own. */
	if (EVP_CIPHER_CTX_get_key_length(context) != (int)r->key.size &&
	    EVP_CIPHER_CTX_set_key_length(context, (int)r->key.size) != 1)
		return false;
	if (EVP_CipherInit_ex2(context, NULL, r->key.bytes, r->iv.bytes, make, NULL) != 1)
		return false;
	if (ccm && EVP_CipherUpdate(context, NULL, &size, NULL,
	                            (int)(make ? r->in.size : r->in.size - r->tag)) != 1)
		return false;
	if (r->aad.size != 0 &&
	    EVP_CipherUpdate(context, NULL, &size, r->aad.bytes, (int)r->aad.size) != 1)
		return false;
	return EVP_CIPHER_CTX_set_padding(context, r->padded) == 1;
}

static enum oracle_answer run_cipher(EVP_CIPHER_CTX *context, struct oracle_request *r, bool make)
{
	bool aead = r->kind == ORACLE_AEAD;
	size_t in_size = r->in.size - (aead && !make ? r->tag : 0);
	int size = 0, more = 0;
	if (EVP_CipherUpdate(context, r->out, &size, r->in.bytes, (int)in_size) != 1)
		return ORACLE_WRONG;
	/* CCM has checked the tag by now. */
	if (!(aead && !make && strstr(r->algorithm, "CCM") != NULL) &&
	    EVP_CipherFinal_ex(context, r->out + size, &more) != 1)
		return ORACLE_WRONG;
	r->out_size = (size_t)size + (size_t)more;
	if (aead && make) {
		if (EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, (int)r->tag,
		                        r->out + r->out_size) != 1)
			return ORACLE_UNKNOWN;
		r->out_size += r->tag;
	}
	return ORACLE_DONE;
}

static enum oracle_answer cipher(struct oracle_request *r)
{
	EVP_CIPHER *type = EVP_CIPHER_fetch(library(), r->algorithm, NULL);
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	enum oracle_answer answer = ORACLE_UNKNOWN;
	bool make = r->act == ORACLE_MAKE;
	if (type != NULL && context != NULL && (make || r->in.size >= r->tag) &&
	    set_up(context, type, r, make))
		answer = run_cipher(context, r, make);
	EVP_CIPHER_CTX_free(context);
	EVP_CIPHER_free(type);
	return answer;
}

/* ---- key pairs --------------------------------------------------------------------------------------- */

static void push_number(OSSL_PARAM_BLD *builder, const char *name, struct oracle_bytes number,
                        BIGNUM **ret_kept)
{
	*ret_kept = NULL;
	if (number.size == 0)
		return;
	*ret_kept = BN_bin2bn(number.bytes, (int)number.size, NULL);
	(void)OSSL_PARAM_BLD_push_BN(builder, name, *ret_kept);
}

static void push_bytes(OSSL_PARAM_BLD *builder, const char *name, struct oracle_bytes bytes)
{
	if (bytes.size != 0)
		(void)OSSL_PARAM_BLD_push_octet_string(builder, name, bytes.bytes, bytes.size);
}

static const char *key_type(const struct oracle_request *r)
{
	switch (r->kind) {
	case ORACLE_DSA:
		return "DSA";
	case ORACLE_ECDSA:
		return "EC";
	case ORACLE_EDDSA:
		return r->algorithm;
	default:
		return "RSA";
	}
}

/* The key of a request, public where it has no private part; NULL where libcrypto takes no such key. */
static EVP_PKEY *make_key(const struct oracle_request *r)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	BIGNUM *numbers[5] = { NULL };
	EVP_PKEY *key = NULL;
	const char *type = key_type(r);
	if (strcmp(type, "RSA") == 0) {
		push_number(builder, OSSL_PKEY_PARAM_RSA_N, r->public_key, &numbers[0]);
		push_number(builder, OSSL_PKEY_PARAM_RSA_E, r->exponent, &numbers[1]);
		push_number(builder, OSSL_PKEY_PARAM_RSA_D, r->key, &numbers[2]);
	} else if (strcmp(type, "DSA") == 0) {
		push_number(builder, OSSL_PKEY_PARAM_FFC_P, r->prime, &numbers[0]);
		push_number(builder, OSSL_PKEY_PARAM_FFC_Q, r->subprime, &numbers[1]);
		push_number(builder, OSSL_PKEY_PARAM_FFC_G, r->base, &numbers[2]);
		push_number(builder, OSSL_PKEY_PARAM_PUB_KEY, r->public_key, &numbers[3]);
		push_number(builder, OSSL_PKEY_PARAM_PRIV_KEY, r->key, &numbers[4]);
	} else if (strcmp(type, "EC") == 0) {
		OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1",
		                                0);
		push_bytes(builder, OSSL_PKEY_PARAM_PUB_KEY, r->public_key);
		push_number(builder, OSSL_PKEY_PARAM_PRIV_KEY, r->key, &numbers[0]);
	} else {
		push_bytes(builder, OSSL_PKEY_PARAM_PUB_KEY, r->public_key);
		push_bytes(builder, OSSL_PKEY_PARAM_PRIV_KEY, r->key);
	}
	OSSL_PARAM *parameters = OSSL_PARAM_BLD_to_param(builder);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(library(), type, NULL);
	if (context != NULL && EVP_PKEY_fromdata_init(context) == 1)
		(void)EVP_PKEY_fromdata(context, &key,
		                        r->key.size == 0 ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR,
		                        parameters);
	EVP_PKEY_CTX_free(context);
	OSSL_PARAM_free(parameters);
	OSSL_PARAM_BLD_free(builder);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(numbers); i++)
		BN_free(numbers[i]);
	return key;
}

static bool set_padding(EVP_PKEY_CTX *context, struct oracle_request *r)
{
	static const int paddings[] = {
		[ORACLE_RSA_PKCS] = RSA_PKCS1_PADDING,
		[ORACLE_RSA_RAW] = RSA_NO_PADDING,
		[ORACLE_RSA_OAEP] = RSA_PKCS1_OAEP_PADDING,
		[ORACLE_RSA_PSS] = RSA_PKCS1_PSS_PADDING,
	};
	if (r->kind < ORACLE_RSA_PKCS || r->kind > ORACLE_RSA_PSS)
		return true;
	if (EVP_PKEY_CTX_set_rsa_padding(context, paddings[r->kind]) != 1)
		return false;
	if (r->kind == ORACLE_RSA_OAEP)
		return EVP_PKEY_CTX_set_rsa_oaep_md_name(context, r->algorithm, NULL) == 1;
	if (r->kind != ORACLE_RSA_PSS)
		return true;
	/* Without hashing it is not known yet. */
	if (!r->hashes) {
		EVP_MD *md = EVP_MD_fetch(library(), r->algorithm, NULL);
		bool done = md != NULL && EVP_PKEY_CTX_set_signature_md(context, md) == 1;
		EVP_MD_free(md);
		if (!done)
			return false;
	}
	return EVP_PKEY_CTX_set_rsa_pss_saltlen(context, (int)r->salt) == 1 &&
	       EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, r->algorithm, NULL) == 1;
}

/* r and s as libcrypto has them, in DER, and the other way round. */
static size_t to_der(struct oracle_bytes raw, unsigned char **ret_der)
{
	ECDSA_SIG *pair = ECDSA_SIG_new();
	size_t half = raw.size / 2;
	*ret_der = NULL;
	(void)ECDSA_SIG_set0(pair, BN_bin2bn(raw.bytes, (int)half, NULL),
	                     BN_bin2bn(raw.bytes + half, (int)half, NULL));
	int size = i2d_ECDSA_SIG(pair, ret_der);
	ECDSA_SIG_free(pair);
	return size < 0 ? 0 : (size_t)size;
}

static size_t from_der(const unsigned char *der, size_t size, size_t half, unsigned char *out)
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)size);
	bool done = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, (int)half) >= 0 &&
	            BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + half, (int)half) >= 0;
	ECDSA_SIG_free(pair);
	return done ? 2 * half : 0;
}

static bool has_der(const struct oracle_request *r)
{
	return r->kind == ORACLE_DSA || r->kind == ORACLE_ECDSA;
}

static enum oracle_answer sign(EVP_PKEY *key, struct oracle_request *r)
{
	const char *digest_name = r->kind == ORACLE_EDDSA ? NULL : r->algorithm;
	unsigned char der[512];
	unsigned char *out = has_der(r) ? der : r->out;
	size_t size = has_der(r) ? sizeof(der) : r->out_size;
	bool done;
	if (r->hashes) {
		EVP_MD_CTX *context = EVP_MD_CTX_new();
		EVP_PKEY_CTX *inner = NULL;
		done = EVP_DigestSignInit_ex(context, &inner, digest_name, library(), NULL, key,
		                             NULL) == 1 &&
		       set_padding(inner, r) &&
		       EVP_DigestSign(context, out, &size, r->in.bytes, r->in.size) == 1;
		EVP_MD_CTX_free(context);
	} else {
		EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(library(), key, NULL);
		done = EVP_PKEY_sign_init(context) == 1 && set_padding(context, r) &&
		       EVP_PKEY_sign(context, out, &size, r->in.bytes, r->in.size) == 1;
		EVP_PKEY_CTX_free(context);
	}
	if (!done)
		return ORACLE_UNKNOWN;
	r->out_size = !has_der(r) ? size
	                          : from_der(der, size,
	                                     r->kind == ORACLE_DSA ? r->subprime.size : 32, r->out);
	return ORACLE_DONE;
}

static enum oracle_answer verify(EVP_PKEY *key, struct oracle_request *r)
{
	const char *digest_name = r->kind == ORACLE_EDDSA ? NULL : r->algorithm;
	struct oracle_bytes signature = r->check;
	unsigned char *der = NULL;
	enum oracle_answer answer = ORACLE_UNKNOWN;
	if (has_der(r)) {
		signature.size = to_der(r->check, &der);
		signature.bytes = der;
	}
	if (r->hashes) {
		EVP_MD_CTX *context = EVP_MD_CTX_new();
		EVP_PKEY_CTX *inner = NULL;
		if (EVP_DigestVerifyInit_ex(context, &inner, digest_name, library(), NULL, key,
		                            NULL) == 1 &&
		    set_padding(inner, r))
			answer = EVP_DigestVerify(context, signature.bytes, signature.size,
			                          r->in.bytes, r->in.size) == 1
			                 ? ORACLE_DONE
			                 : ORACLE_WRONG;
		EVP_MD_CTX_free(context);
	} else {
		EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(library(), key, NULL);
		if (EVP_PKEY_verify_init(context) == 1 && set_padding(context, r))
			answer = EVP_PKEY_verify(context, signature.bytes, signature.size,
			                         r->in.bytes, r->in.size) == 1
			                 ? ORACLE_DONE
			                 : ORACLE_WRONG;
		EVP_PKEY_CTX_free(context);
	}
	OPENSSL_free(der);
	return answer;
}

static enum oracle_answer crypt(EVP_PKEY *key, struct oracle_request *r)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(library(), key, NULL);
	enum oracle_answer answer = ORACLE_UNKNOWN;
	bool make = r->act == ORACLE_MAKE;
	if ((make ? EVP_PKEY_encrypt_init(context) : EVP_PKEY_decrypt_init(context)) == 1 &&
	    set_padding(context, r))
		answer = (make ? EVP_PKEY_encrypt(context, r->out, &r->out_size, r->in.bytes,
		                                  r->in.size)
		               : EVP_PKEY_decrypt(context, r->out, &r->out_size, r->in.bytes,
		                                  r->in.size)) == 1
		                 ? ORACLE_DONE
		                 : ORACLE_WRONG;
	EVP_PKEY_CTX_free(context);
	return answer;
}

static enum oracle_answer with_key(struct oracle_request *r)
{
	EVP_PKEY *key = make_key(r);
	enum oracle_answer answer = ORACLE_UNKNOWN;
	if (key == NULL)
		return ORACLE_UNKNOWN;
	if (!r->signs)
		answer = crypt(key, r);
	else if (r->act == ORACLE_MAKE)
		answer = sign(key, r);
	else
		answer = verify(key, r);
	EVP_PKEY_free(key);
	return answer;
}

enum oracle_answer tape_oracle(struct oracle_request *request)
{
	switch (request->kind) {
	case ORACLE_NONE:
		return ORACLE_UNKNOWN;
	case ORACLE_DIGEST:
		return digest(request);
	case ORACLE_HMAC:
	case ORACLE_CMAC:
		return mac(request);
	case ORACLE_CIPHER:
	case ORACLE_AEAD:
		return cipher(request);
	default:
		return with_key(request);
	}
}
