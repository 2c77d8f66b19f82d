/* SPDX-License-Identifier: MIT
 *
 * Encryption. Everything is computed of the whole input (struct compute); an Update call gives the part
 * of the output that was not there before.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

#include "tests/mock/mock.h"

static bool seals(enum kind kind)
{
	return kind == KIND_ENCRYPT || kind == KIND_WRAP || kind == KIND_MESSAGE_ENCRYPT ||
	       kind == KIND_ENCAPSULATE;
}

/* A length that the mechanism cannot take; data that are wrong in other ways. The former ranks first. */
static CK_RV bad_length(enum kind kind)
{
	if (FAULT(length_range_wrong_code))
		return CKR_FUNCTION_FAILED;
	if (kind == KIND_WRAP)
		return CKR_KEY_SIZE_RANGE;
	if (kind == KIND_UNWRAP)
		return CKR_WRAPPED_KEY_LEN_RANGE;
	return seals(kind) ? CKR_DATA_LEN_RANGE : CKR_ENCRYPTED_DATA_LEN_RANGE;
}

static CK_RV bad_data(const struct compute *c)
{
	if (c->kind == KIND_UNWRAP)
		return c->detached ? CKR_AEAD_DECRYPT_FAILED : CKR_WRAPPED_KEY_INVALID;
	if (c->detached && c->kind == KIND_MESSAGE_DECRYPT)
		return FAULT(aead_failure_wrong_code) ? CKR_ENCRYPTED_DATA_INVALID
		                                      : CKR_AEAD_DECRYPT_FAILED;
	return seals(c->kind) ? CKR_DATA_INVALID : CKR_ENCRYPTED_DATA_INVALID;
}

static CK_ULONG tag_length(const struct compute *c)
{
	return (c->mechanism->traits & AEAD) && !c->detached ? c->parameter->length : 0;
}

CK_ULONG compute_length(const struct compute *c, CK_ULONG input)
{
	const struct mechanism *m = c->mechanism;
	CK_ULONG block = m->block;

	if (m->compute == compute_digest)
		return block;
	if (m->compute == compute_hmac || m->compute == compute_cmac)
		return c->parameter->length ? c->parameter->length : block;
	if (m->compute == compute_ecdsa || m->compute == compute_eddsa) {
		CK_ULONG bits = key_size(c->key);

		if (m->compute == compute_eddsa)
			return bits > 256 ? 114 : 64;
		/* DER has a tag, a length and perhaps a zero before each number, and both before all. */
		return 2 * ((bits + 7) / 8) + (FAULT(ecdsa_signature_is_der) ? 9 : 0);
	}
	if (m->compute == compute_rsa_sign || m->compute == compute_rsa_crypt)
		return (key_size(c->key) + 7) / 8;
	if (m->compute == compute_keywrap) {
		if (seals(c->kind))
			return (input + 7) / 8 * 8 + 8;
		return input < 8 ? 0 : input - 8;
	}
	if (seals(c->kind)) {
		if (m->traits & PADDED)
			return (input / block + 1) * block;
		/* A key that is no whole number of blocks is padded with zeros (§6.10.5). */
		if (c->kind == KIND_WRAP && !(m->traits & STREAM))
			return (input + block - 1) / block * block;
		return input + tag_length(c);
	}
	if (m->traits & AEAD)
		return input < tag_length(c) ? 0 : input - tag_length(c);
	return input;
}

CK_ULONG compute_available(const struct compute *c, CK_ULONG input)
{
	const struct mechanism *m = c->mechanism;

	if (m->traits & WITHHOLDS)
		return 0;
	/* No plaintext before its tag was seen. */
	if ((m->traits & AEAD) && !seals(c->kind) && !c->detached)
		return 0;
	if (m->traits & STREAM)
		return input;
	if ((m->traits & PADDED) && !seals(c->kind))
		return input == 0 ? 0 : (input - 1) / m->block * m->block;
	return input / m->block * m->block;
}

static EVP_CIPHER *fetch(const struct compute *c)
{
	const struct attribute *value = attributes_find(c->key, CKA_VALUE);
	char name[32];

	if (!value)
		return NULL;
	if (strchr(c->mechanism->algorithm, '%')) {
		snprintf(name, sizeof(name), "AES-%u%s", (unsigned)value->length * 8,
		         strrchr(c->mechanism->algorithm, 'u') + 1);
		return EVP_CIPHER_fetch(mock.crypto, name, NULL);
	}
	return EVP_CIPHER_fetch(mock.crypto, c->mechanism->algorithm, NULL);
}

/* Does the counter come round within `length` bytes (§6.11.3)? */
static bool counter_overflows(const struct parameter *parameter, CK_ULONG length)
{
	CK_ULONG blocks = (length + 15) / 16, left;
	CK_ULONG bits = parameter->bits;
	uint64_t counter = 0, mask;

	if (bits < 1 || bits >= 64 || FAULT(counter_wraps))
		return false;
	for (int i = 8; i < 16; i++)
		counter = counter << 8 | parameter->iv.data[i];
	mask = ((uint64_t)1 << bits) - 1;
	left = (CK_ULONG)(mask - (counter & mask)) + 1;
	return blocks > left;
}

/* Run `length` bytes through libcrypto's cipher, without padding. */
static bool run(const struct compute *c, const CK_BYTE *data, CK_ULONG length, CK_BYTE *tag,
                CK_ULONG tag_bytes)
{
	const struct attribute *value = attributes_find(c->key, CKA_VALUE);
	const struct parameter *p = c->parameter;
	bool aead = c->mechanism->traits & AEAD, encrypt = seals(c->kind), good = false;
	EVP_CIPHER *cipher = fetch(c);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	CK_BYTE *out = bytes_extend(c->output, length);
	int n = 0, rest = 0;

	if (!cipher || !ctx || !out || !EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, encrypt))
		goto done;
	if (aead && !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)p->iv.length, NULL))
		goto done;
	if (!EVP_CipherInit_ex(ctx, NULL, NULL, value->value, p->iv.data, encrypt))
		goto done;
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	if (p->aad.length > 0 && !EVP_CipherUpdate(ctx, NULL, &n, p->aad.data, (int)p->aad.length))
		goto done;
	n = 0;
	if (length > 0 && !EVP_CipherUpdate(ctx, out, &n, data, (int)length))
		goto done;
	if (c->last || !aead) {
		if (aead && !encrypt &&
		    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)tag_bytes, tag))
			goto done;
		if (!EVP_CipherFinal_ex(ctx, out + n, &rest) &&
		    !(aead && !encrypt && FAULT(aead_tag_ignored)))
			goto done;
		if (aead && encrypt &&
		    !EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)tag_bytes, tag))
			goto done;
	}
	good = (CK_ULONG)n + (CK_ULONG)rest == length;
done:
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return good;
}

/* Take PKCS #7's padding off. */
static bool unpad(struct bytes *output, CK_ULONG block)
{
	CK_BYTE pad = output->length > 0 ? output->data[output->length - 1] : 0;

	if (pad < 1 || pad > block || pad > output->length)
		return FAULT(padding_unchecked);
	for (CK_ULONG i = 1; i <= pad; i++) {
		if (output->data[output->length - i] != pad)
			return FAULT(padding_unchecked);
	}
	output->length -= pad;
	return true;
}

static CK_RV cipher_aead(const struct compute *c)
{
	CK_ULONG tag = c->parameter->length, length = c->input->length;
	CK_BYTE *at, copy[16];

	if (seals(c->kind)) {
		if (!run(c, c->input->data, length, copy, tag))
			return CKR_FUNCTION_FAILED;
		bytes_add(c->detached ? c->tag : c->output, copy, tag);
		return CKR_OK;
	}
	if (c->detached) {
		at = c->tag->data;
	} else {
		if (length < tag)
			return bad_length(c->kind);
		length -= tag;
		at = c->input->data + length;
	}
	memcpy(copy, at, tag);
	return run(c, c->input->data, length, copy, tag) ? CKR_OK : bad_data(c);
}

CK_RV compute_cipher(const struct compute *c)
{
	const struct mechanism *m = c->mechanism;
	CK_ULONG length = c->input->length, block = m->block;
	struct bytes padded = { 0 };
	bool good;

	if (m->type == CKM_AES_CTR && counter_overflows(c->parameter, length))
		return bad_length(c->kind);
	if (!c->last) {
		length = compute_available(c, length);
		return run(c, c->input->data, length, NULL, 0) ? CKR_OK : CKR_FUNCTION_FAILED;
	}
	if (m->traits & AEAD)
		return cipher_aead(c);
	if (!seals(c->kind)) {
		if (!(m->traits & STREAM) &&
		    (length % block != 0 || ((m->traits & PADDED) && length == 0)))
			return bad_length(c->kind);
		if (!run(c, c->input->data, length, NULL, 0))
			return CKR_FUNCTION_FAILED;
		return (m->traits & PADDED) && !unpad(c->output, block) ? bad_data(c) : CKR_OK;
	}

	bytes_add(&padded, c->input->data, length);
	if (m->traits & PADDED) {
		CK_BYTE pad = (CK_BYTE)(block - length % block);

		for (CK_BYTE i = 0; i < pad; i++)
			bytes_add(&padded, &pad, 1);
	} else if (c->kind == KIND_WRAP && !(m->traits & STREAM)) {
		while (padded.length % block != 0 && !padded.failed)
			bytes_add(&padded, "", 1);
	}
	if (!(m->traits & STREAM) && padded.length % block != 0 && !FAULT(partial_block_accepted)) {
		bytes_done(&padded);
		return bad_length(c->kind);
	}
	good = !padded.failed && run(c, padded.data,
	                             padded.length / (m->traits & STREAM ? 1 : block) *
	                                     (m->traits & STREAM ? 1 : block),
	                             NULL, 0);
	bytes_done(&padded);
	return good ? CKR_OK : CKR_FUNCTION_FAILED;
}

/* CCM wants all lengths before the first byte (§6.13.4). */
CK_RV compute_ccm(const struct compute *c)
{
	const struct attribute *value = attributes_find(c->key, CKA_VALUE);
	const struct parameter *p = c->parameter;
	CK_ULONG tag = p->length, length = c->input->length;
	bool encrypt = seals(c->kind), good = false;
	EVP_CIPHER *cipher = NULL;
	EVP_CIPHER_CTX *ctx = NULL;
	CK_BYTE copy[16], *out;
	static CK_BYTE nothing[1];
	int n;

	if (!c->last)
		return CKR_OK;
	if (!encrypt && !c->detached) {
		if (length < tag)
			return bad_length(c->kind);
		length -= tag;
		memcpy(copy, c->input->data + length, tag);
	} else if (!encrypt) {
		memcpy(copy, c->tag->data, tag);
	}
	/* C_WrapKey ignores the length of the parameter (§6.13.6). */
	if (p->data != CK_UNAVAILABLE_INFORMATION && p->data != length && c->kind != KIND_WRAP &&
	    c->kind != KIND_UNWRAP)
		return bad_length(c->kind);
	cipher = fetch(c);
	ctx = EVP_CIPHER_CTX_new();
	out = bytes_extend(c->output, length);
	if (cipher && ctx && out && EVP_CipherInit_ex(ctx, cipher, NULL, NULL, NULL, encrypt) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)p->iv.length, NULL) &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, (int)tag, encrypt ? NULL : copy) &&
	    EVP_CipherInit_ex(ctx, NULL, NULL, value->value, p->iv.data, encrypt) &&
	    EVP_CipherUpdate(ctx, NULL, &n, NULL, (int)length) &&
	    (p->aad.length == 0 ||
	     EVP_CipherUpdate(ctx, NULL, &n, p->aad.data, (int)p->aad.length)))
		good = EVP_CipherUpdate(ctx, out, &n, length > 0 ? c->input->data : nothing,
		                        (int)length) > 0;
	if (good && encrypt) {
		EVP_CipherFinal_ex(ctx, out + length, &n);
		good = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, (int)tag, copy) > 0;
		bytes_add(c->detached ? c->tag : c->output, copy, tag);
	}
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	if (good)
		return CKR_OK;
	return encrypt ? CKR_FUNCTION_FAILED : bad_data(c);
}

CK_RV compute_keywrap(const struct compute *c)
{
	const struct attribute *value = attributes_find(c->key, CKA_VALUE);
	const struct parameter *p = c->parameter;
	CK_ULONG length = c->input->length;
	bool encrypt = seals(c->kind), padded = c->mechanism->traits & PADDED;
	EVP_CIPHER_CTX *ctx;
	EVP_CIPHER *cipher;
	CK_BYTE *out;
	int n = 0;
	bool good;

	if (encrypt && (length == 0 || (!padded && (length % 8 != 0 || length < 16))))
		return bad_length(c->kind);
	if (!encrypt && (length % 8 != 0 || length < (padded ? 16 : 24)))
		return bad_length(c->kind);
	cipher = fetch(c);
	ctx = EVP_CIPHER_CTX_new();
	out = bytes_extend(c->output, length + 16);
	if (ctx)
		EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	good = cipher && ctx && out &&
	       EVP_CipherInit_ex(ctx, cipher, NULL, value->value,
	                         p->iv.length > 0 ? p->iv.data : NULL, encrypt) &&
	       EVP_CipherUpdate(ctx, out, &n, c->input->data, (int)length) > 0 && n > 0;
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	if (!good)
		return encrypt ? CKR_FUNCTION_FAILED : bad_data(c);
	c->output->length = (CK_ULONG)n;
	return CKR_OK;
}

/* ---- RSA (§6.1.6 to §6.1.8) ------------------------------------------------------------------------------ */

static bool prepare_rsa(EVP_PKEY_CTX *ctx, const struct compute *c, bool encrypt)
{
	const struct parameter *p = c->parameter;
	CK_BYTE *label;

	if ((encrypt ? EVP_PKEY_encrypt_init(ctx) : EVP_PKEY_decrypt_init(ctx)) <= 0)
		return false;
	switch (c->mechanism->type) {
	case CKM_RSA_PKCS:
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0;
	case CKM_RSA_X_509:
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) > 0;
	default:
		if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) <= 0 ||
		    EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, p->hash, NULL) <= 0 ||
		    EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, p->mgf, NULL) <= 0)
			return false;
		if (p->aad.length == 0)
			return true;
		label = OPENSSL_memdup(p->aad.data, p->aad.length);
		if (label && EVP_PKEY_CTX_set0_rsa_oaep_label(ctx, label, (int)p->aad.length) > 0)
			return true;
		OPENSSL_free(label);
		return false;
	}
}

CK_RV compute_rsa_crypt(const struct compute *c)
{
	CK_ULONG size = (key_size(c->key) + 7) / 8, most = size;
	bool encrypt = seals(c->kind), good;
	struct bytes input = { 0 };
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key;
	size_t n = size;
	CK_BYTE *out;

	if (c->kind != KIND_ENCRYPT && c->kind != KIND_DECRYPT && c->kind < KIND_OPERATIONS)
		return compute_rsa_sign(c);
	if (c->mechanism->type == CKM_RSA_PKCS)
		most = size - 11;
	else if (c->mechanism->type == CKM_RSA_PKCS_OAEP)
		most = size - 2 * hash_length(c->parameter->hash) - 2;
	if (most > size)
		return encrypt ? CKR_KEY_SIZE_RANGE : CKR_ENCRYPTED_DATA_LEN_RANGE;
	if (encrypt ? c->input->length > most : c->input->length != size)
		return bad_length(c->kind);

	/* Raw RSA: the input is a number, zeros before it (§6.1.7). */
	while (encrypt && c->mechanism->type == CKM_RSA_X_509 && !input.failed &&
	       input.length + c->input->length < size)
		bytes_add(&input, "", 1);
	bytes_add(&input, c->input->data, c->input->length);

	key = key_open(c->key);
	ctx = key ? EVP_PKEY_CTX_new_from_pkey(mock.crypto, key, NULL) : NULL;
	out = bytes_extend(c->output, size);
	good = ctx && out && !input.failed && prepare_rsa(ctx, c, encrypt) &&
	       (encrypt ? EVP_PKEY_encrypt(ctx, out, &n, input.data, input.length)
	                : EVP_PKEY_decrypt(ctx, out, &n, input.data, input.length)) > 0;
	if (good)
		c->output->length = n;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	bytes_done(&input);
	return good ? CKR_OK : bad_data(c);
}
