/* SPDX-License-Identifier: MIT
 *
 * The mock's mechanisms, against libcrypto, and the rules of operations.
 */
#include "tests/mock/driver.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CK_SESSION_HANDLE session;
static CK_BYTE text[48] = "forty-eight bytes of data, three AES blocks long";

static int begin_with_user(void **state)
{
	(void)state;
	begin("");
	session = user_session();
	return 0;
}

static int end_all(void **state)
{
	(void)state;
	end();
	return 0;
}

static CK_MECHANISM mechanism_of(CK_MECHANISM_TYPE type, void *parameter, CK_ULONG length)
{
	return (CK_MECHANISM){ type, parameter, length };
}

/* ---- one function of each family, as the tests need them: Init, single part, Update, Final -------------- */

struct family {
	const char *name;
	CK_RV (*init)(CK_SESSION_HANDLE, CK_MECHANISM_PTR, CK_OBJECT_HANDLE);
	CK_RV (*single)(CK_SESSION_HANDLE, CK_BYTE_PTR, CK_ULONG, CK_BYTE_PTR, CK_ULONG_PTR);
	CK_RV (*update)(CK_SESSION_HANDLE, CK_BYTE_PTR, CK_ULONG, CK_BYTE_PTR, CK_ULONG_PTR);
	CK_RV (*final)(CK_SESSION_HANDLE, CK_BYTE_PTR, CK_ULONG_PTR);
};

static CK_RV digest_init(CK_SESSION_HANDLE s, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	(void)key;
	return p11->C_DigestInit(s, mechanism);
}

static CK_RV digest_update(CK_SESSION_HANDLE s, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR to,
                           CK_ULONG_PTR to_length)
{
	if (!to)
		return CKR_OK;
	*to_length = 0;
	return p11->C_DigestUpdate(s, data, length);
}

static CK_RV sign_update(CK_SESSION_HANDLE s, CK_BYTE_PTR data, CK_ULONG length, CK_BYTE_PTR to,
                         CK_ULONG_PTR to_length)
{
	if (!to)
		return CKR_OK;
	*to_length = 0;
	return p11->C_SignUpdate(s, data, length);
}

static struct family encrypting(void)
{
	return (struct family){ "encrypt", p11->C_EncryptInit, p11->C_Encrypt, p11->C_EncryptUpdate,
		                p11->C_EncryptFinal };
}

static struct family decrypting(void)
{
	return (struct family){ "decrypt", p11->C_DecryptInit, p11->C_Decrypt, p11->C_DecryptUpdate,
		                p11->C_DecryptFinal };
}

static struct family digesting(void)
{
	return (struct family){ "digest", digest_init, p11->C_Digest, digest_update,
		                p11->C_DigestFinal };
}

static struct family signing(void)
{
	return (struct family){ "sign", p11->C_SignInit, p11->C_Sign, sign_update,
		                p11->C_SignFinal };
}

/* All that §5.2 says of a single-part function, and that it gives `expected` (may be NULL). */
static void check_single(struct family f, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                         CK_BYTE *data, CK_ULONG length, const CK_BYTE *expected,
                         CK_ULONG expected_length)
{
	CK_BYTE out[1024];
	CK_ULONG n = 7777;

	OK(f.init(session, mechanism, key));
	OK(f.single(session, data, length, NULL, &n));
	assert_true(n >= expected_length && n <= expected_length + 32);
	memset(out, 0xee, sizeof(out));
	n = 1;
	IS(f.single(session, data, length, out, &n), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(out[1], 0xee);
	assert_true(n >= expected_length && n <= expected_length + 32);
	n = sizeof(out);
	OK(f.single(session, data, length, out, &n));
	assert_int_equal(n, expected_length);
	if (expected)
		assert_memory_equal(out, expected, expected_length);
	assert_int_equal(out[expected_length], 0xee);
	IS(f.single(session, data, length, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	/* Exactly enough is enough, and output may lie over input. */
	memcpy(out, data, length);
	n = expected_length;
	OK(f.init(session, mechanism, key));
	OK(f.single(session, out, length, out, &n));
	if (expected)
		assert_memory_equal(out, expected, expected_length);
}

/* The same in parts, of `step` bytes. */
static void check_parts(struct family f, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                        CK_BYTE *data, CK_ULONG length, const CK_BYTE *expected,
                        CK_ULONG expected_length, CK_ULONG step)
{
	CK_BYTE out[1024];
	CK_ULONG total = 0, n;

	OK(f.init(session, mechanism, key));
	for (CK_ULONG at = 0; at < length; at += step) {
		CK_ULONG part = length - at < step ? length - at : step;

		OK(f.update(session, data + at, part, NULL, &n));
		n = sizeof(out) - total;
		OK(f.update(session, data + at, part, out + total, &n));
		total += n;
	}
	OK(f.final(session, NULL, &n));
	if (expected_length > total) {
		n = expected_length - total - 1;
		IS(f.final(session, out + total, &n), CKR_BUFFER_TOO_SMALL);
	}
	n = sizeof(out) - total;
	OK(f.final(session, out + total, &n));
	total += n;
	assert_int_equal(total, expected_length);
	if (expected)
		assert_memory_equal(out, expected, expected_length);
	IS(f.final(session, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

/* ---- digests and MACs ---------------------------------------------------------------------------------------- */

static void digests_agree(void **state)
{
	static const struct {
		CK_MECHANISM_TYPE type, hmac;
		const char *name;
	} rows[] = {
		{ CKM_MD5, CKM_MD5_HMAC, "MD5" },
		{ CKM_SHA_1, CKM_SHA_1_HMAC, "SHA1" },
		{ CKM_SHA224, CKM_SHA224_HMAC, "SHA224" },
		{ CKM_SHA256, CKM_SHA256_HMAC, "SHA256" },
		{ CKM_SHA384, CKM_SHA384_HMAC, "SHA384" },
		{ CKM_SHA512, CKM_SHA512_HMAC, "SHA512" },
		{ CKM_SHA512_256, 0, "SHA512-256" },
		{ CKM_SHA3_224, CKM_SHA3_224_HMAC, "SHA3-224" },
		{ CKM_SHA3_256, CKM_SHA3_256_HMAC, "SHA3-256" },
		{ CKM_SHA3_384, CKM_SHA3_384_HMAC, "SHA3-384" },
		{ CKM_SHA3_512, CKM_SHA3_512_HMAC, "SHA3-512" },
	};
	CK_OBJECT_HANDLE key = make_secret(session, CKK_GENERIC_SECRET, 24);
	CK_BYTE expected[64], key_bytes[24];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(key_bytes); i++)
		key_bytes[i] = (CK_BYTE)i;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CK_MECHANISM mechanism = mechanism_of(rows[i].type, NULL, 0);

		assert_true(
			EVP_Q_digest(NULL, rows[i].name, NULL, text, sizeof(text), expected, &n));
		check_single(digesting(), &mechanism, 0, text, sizeof(text), expected, n);
		check_parts(digesting(), &mechanism, 0, text, sizeof(text), expected, n, 7);
		if (!rows[i].hmac)
			continue;
		mechanism.mechanism = rows[i].hmac;
		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, rows[i].name, NULL, key_bytes, 24,
		                          text, sizeof(text), expected, sizeof(expected), &n));
		check_single(signing(), &mechanism, key, text, sizeof(text), expected, n);
		check_parts(signing(), &mechanism, key, text, sizeof(text), expected, n, 7);
	}
}

static void macs_are_cut(void **state)
{
	CK_ULONG length = 10;
	CK_MECHANISM mechanism = mechanism_of(CKM_SHA256_HMAC_GENERAL, &length, sizeof(length));
	CK_OBJECT_HANDLE key = make_secret(session, CKK_GENERIC_SECRET, 24);
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 16);
	CK_BYTE key_bytes[24], expected[32], mac[32];
	CK_ULONG n = sizeof(mac);
	size_t full;

	(void)state;
	for (size_t i = 0; i < sizeof(key_bytes); i++)
		key_bytes[i] = (CK_BYTE)i;
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key_bytes, 24, text,
	                          sizeof(text), expected, sizeof(expected), &full));
	OK(p11->C_SignInit(session, &mechanism, key));
	OK(p11->C_Sign(session, text, sizeof(text), mac, &n));
	assert_int_equal(n, 10);
	assert_memory_equal(mac, expected, 10);
	OK(p11->C_VerifyInit(session, &mechanism, key));
	IS(p11->C_Verify(session, text, sizeof(text), mac, 9), CKR_SIGNATURE_LEN_RANGE);
	OK(p11->C_VerifySignatureInit(session, &mechanism, key, mac, 10));
	OK(p11->C_VerifySignature(session, text, sizeof(text)));
	length = 33;
	IS(p11->C_SignInit(session, &mechanism, key), CKR_MECHANISM_PARAM_INVALID);
	mechanism = mechanism_of(CKM_AES_CMAC, NULL, 0);
	assert_non_null(EVP_Q_mac(NULL, "CMAC", NULL, "AES-128-CBC", NULL, key_bytes, 16, text,
	                          sizeof(text), expected, sizeof(expected), &full));
	check_single(signing(), &mechanism, aes, text, sizeof(text), expected, 16);
	check_parts(signing(), &mechanism, aes, text, sizeof(text), expected, 16, 5);
}

/* ---- ciphers ------------------------------------------------------------------------------------------------------ */

/* libcrypto's answer; with padding if `pad`, with a tag behind it for AEADs. */
static CK_ULONG oracle(const char *name, const CK_BYTE *key, const CK_BYTE *iv, int iv_length,
                       bool pad, int tag, const CK_BYTE *data, CK_ULONG length, CK_BYTE *out)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n = 0, rest = 0;

	assert_non_null(cipher);
	assert_true(EVP_EncryptInit_ex(ctx, cipher, NULL, NULL, NULL));
	if (tag)
		assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, iv_length, NULL));
	assert_true(EVP_EncryptInit_ex(ctx, NULL, NULL, key, iv));
	EVP_CIPHER_CTX_set_padding(ctx, pad);
	if (tag)
		assert_true(EVP_EncryptUpdate(ctx, NULL, &n, (const unsigned char *)"header", 6));
	assert_true(EVP_EncryptUpdate(ctx, out, &n, data, (int)length));
	assert_true(EVP_EncryptFinal_ex(ctx, out + n, &rest));
	if (tag)
		assert_true(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, tag, out + n + rest));
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return (CK_ULONG)n + (CK_ULONG)rest + (CK_ULONG)tag;
}

static CK_BYTE iv[16] = "initial vectors", header[] = "header";

static void ciphers_agree(void **state)
{
	CK_AES_CTR_PARAMS ctr = { 32, { 0 } };
	CK_GCM_PARAMS gcm = { iv, 12, 96, header, 6, 128 };
	CK_SALSA20_CHACHA20_POLY1305_PARAMS chacha = { iv, 12, header, 6 };
	const struct {
		CK_MECHANISM_TYPE type;
		const char *name;
		CK_KEY_TYPE key_type;
		CK_ULONG key, parameter_length;
		void *parameter;
		int iv_length, tag;
		bool pad, any_length;
	} rows[] = {
		{ CKM_AES_ECB, "AES-128-ECB", CKK_AES, 16, 0, NULL, 0, 0, false, false },
		{ CKM_AES_ECB, "AES-256-ECB", CKK_AES, 32, 0, NULL, 0, 0, false, false },
		{ CKM_AES_CBC, "AES-192-CBC", CKK_AES, 24, 16, iv, 16, 0, false, false },
		{ CKM_AES_CBC_PAD, "AES-128-CBC", CKK_AES, 16, 16, iv, 16, 0, true, true },
		{ CKM_AES_CTR, "AES-256-CTR", CKK_AES, 32, sizeof(ctr), &ctr, 16, 0, false, true },
		{ CKM_AES_GCM, "AES-256-GCM", CKK_AES, 32, sizeof(gcm), &gcm, 12, 16, false, true },
		{ CKM_DES3_ECB, "DES-EDE3", CKK_DES3, 24, 0, NULL, 0, 0, false, false },
		{ CKM_DES3_CBC, "DES-EDE3-CBC", CKK_DES3, 24, 8, iv, 8, 0, false, false },
		{ CKM_DES3_CBC_PAD, "DES-EDE3-CBC", CKK_DES3, 24, 8, iv, 8, 0, true, true },
		{ CKM_CHACHA20_POLY1305, "ChaCha20-Poly1305", CKK_CHACHA20, 32, sizeof(chacha),
		  &chacha, 12, 16, false, true },
	};
	CK_BYTE key_bytes[32], expected[128];

	(void)state;
	memcpy(ctr.cb, iv, 16);
	for (size_t i = 0; i < sizeof(key_bytes); i++)
		key_bytes[i] = (CK_BYTE)i;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CK_MECHANISM mechanism =
			mechanism_of(rows[i].type, rows[i].parameter, rows[i].parameter_length);
		CK_OBJECT_HANDLE key = make_secret(session, rows[i].key_type, rows[i].key);
		CK_ULONG length = rows[i].any_length ? 37 : 48;
		CK_ULONG n = oracle(rows[i].name, key_bytes, iv, rows[i].iv_length, rows[i].pad,
		                    rows[i].tag, text, length, expected);

		check_single(encrypting(), &mechanism, key, text, length, expected, n);
		check_single(decrypting(), &mechanism, key, expected, n, text, length);
		for (CK_ULONG step = 1; step < 40; step += 15) {
			check_parts(encrypting(), &mechanism, key, text, length, expected, n, step);
			check_parts(decrypting(), &mechanism, key, expected, n, text, length, step);
		}
		if (!rows[i].any_length) {
			CK_BYTE out[64];
			CK_ULONG m = sizeof(out);

			OK(p11->C_EncryptInit(session, &mechanism, key));
			IS(p11->C_Encrypt(session, text, 17, out, &m), CKR_DATA_LEN_RANGE);
			IS(p11->C_Encrypt(session, text, 16, out, &m),
			   CKR_OPERATION_NOT_INITIALIZED);
			OK(p11->C_DecryptInit(session, &mechanism, key));
			IS(p11->C_Decrypt(session, text, 17, out, &m),
			   CKR_ENCRYPTED_DATA_LEN_RANGE);
		}
		if (rows[i].tag || rows[i].pad) {
			CK_BYTE out[64];
			CK_ULONG m = sizeof(out);

			/* The last byte is of the tag, or decides what the padding is. */
			expected[n - 1] ^= 0x40;
			OK(p11->C_DecryptInit(session, &mechanism, key));
			IS(p11->C_Decrypt(session, expected, n, out, &m),
			   CKR_ENCRYPTED_DATA_INVALID);
		}
	}
}

static void parameters_are_checked(void **state)
{
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 16);
	CK_AES_CTR_PARAMS ctr = { 129, { 0 } };
	CK_GCM_PARAMS gcm = { iv, 12, 96, header, 6, 127 };
	CK_MECHANISM mechanism = mechanism_of(CKM_AES_CBC, iv, 15);
	CK_BYTE out[64];
	CK_ULONG n = sizeof(out);

	(void)state;
	IS(p11->C_EncryptInit(session, &mechanism, aes), CKR_MECHANISM_PARAM_INVALID);
	mechanism = mechanism_of(CKM_AES_ECB, iv, 16);
	IS(p11->C_EncryptInit(session, &mechanism, aes), CKR_MECHANISM_PARAM_INVALID);
	mechanism = mechanism_of(CKM_AES_CTR, &ctr, sizeof(ctr));
	IS(p11->C_EncryptInit(session, &mechanism, aes), CKR_MECHANISM_PARAM_INVALID);
	ctr.ulCounterBits = 1;
	OK(p11->C_EncryptInit(session, &mechanism, aes));
	IS(p11->C_Encrypt(session, text, 48, out, &n), CKR_DATA_LEN_RANGE);
	OK(p11->C_EncryptInit(session, &mechanism, aes));
	OK(p11->C_Encrypt(session, text, 32, out, &n));
	mechanism = mechanism_of(CKM_AES_GCM, &gcm, sizeof(gcm));
	IS(p11->C_EncryptInit(session, &mechanism, aes), CKR_MECHANISM_PARAM_INVALID);
}

static void keys_are_checked(void **state)
{
	CK_MECHANISM_TYPE only = CKM_AES_CBC;
	CK_ATTRIBUTE limited[] = { A_AT(CKA_CLASS, class_secret), A_AT(CKA_KEY_TYPE, type_aes),
		                   A_BYTES(CKA_VALUE, "0123456789abcdef"), A_AT(CKA_ENCRYPT, no),
		                   A_AT(CKA_ALLOWED_MECHANISMS, only) };
	CK_OBJECT_HANDLE key, generic = make_secret(session, CKK_GENERIC_SECRET, 16);
	CK_MECHANISM ecb = mechanism_of(CKM_AES_ECB, NULL, 0),
		     sha = mechanism_of(CKM_SHA256, NULL, 0);
	CK_MECHANISM vendor = mechanism_of(CKM_VENDOR_DEFINED, NULL, 0), hmac;
	CK_OBJECT_HANDLE data = make_data(session, "no key", CK_FALSE, CK_FALSE);

	(void)state;
	OK(p11->C_CreateObject(session, limited, COUNT(limited), &key));
	hmac = mechanism_of(CKM_SHA256_HMAC, NULL, 0);
	IS(p11->C_EncryptInit(session, &ecb, 0), CKR_KEY_HANDLE_INVALID);
	IS(p11->C_EncryptInit(session, &ecb, data), CKR_KEY_HANDLE_INVALID);
	IS(p11->C_EncryptInit(session, &ecb, generic), CKR_KEY_TYPE_INCONSISTENT);
	/* Both are at fault: the type is said. */
	IS(p11->C_SignInit(session, &hmac, key), CKR_KEY_TYPE_INCONSISTENT);
	OK(set_bool(session, generic, CKA_ENCRYPT, no));
	IS(p11->C_EncryptInit(session, &ecb, generic), CKR_KEY_TYPE_INCONSISTENT);
	IS(p11->C_EncryptInit(session, &ecb, key), CKR_KEY_FUNCTION_NOT_PERMITTED);
	IS(p11->C_DecryptInit(session, &ecb, key), CKR_MECHANISM_INVALID);
	IS(p11->C_EncryptInit(session, &sha, key), CKR_MECHANISM_INVALID);
	IS(p11->C_EncryptInit(session, &vendor, key), CKR_MECHANISM_INVALID);
}

/* ---- the rules of operations ---------------------------------------------------------------------------------------- */

static void operations_end_as_they_must(void **state)
{
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 16);
	CK_MECHANISM ecb = mechanism_of(CKM_AES_ECB, NULL, 0),
		     sha = mechanism_of(CKM_SHA256, NULL, 0);
	CK_MECHANISM bad = mechanism_of(CKM_AES_ECB, iv, 3);
	CK_BYTE out[64];
	CK_ULONG n;

	(void)state;
	n = sizeof(out);
	IS(p11->C_Encrypt(session, text, 16, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(p11->C_EncryptUpdate(session, text, 16, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(p11->C_EncryptFinal(session, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	IS(p11->C_DigestUpdate(session, text, 16), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_EncryptInit(session, &ecb, aes));
	IS(p11->C_EncryptInit(session, &bad, aes), CKR_OPERATION_ACTIVE);
	/* It is as it was. */
	OK(p11->C_Encrypt(session, text, 16, out, &n));
	OK(p11->C_EncryptInit(session, &ecb, aes));
	OK(p11->C_EncryptUpdate(session, text, 5, out, &n));
	assert_int_equal(n, 0);
	n = sizeof(out);
	IS(p11->C_Encrypt(session, text, 16, out, &n), CKR_OPERATION_ACTIVE);
	OK(p11->C_EncryptInit(session, &ecb, aes));
	IS(p11->C_EncryptUpdate(session, NULL, 5, out, &n), CKR_ARGUMENTS_BAD);
	IS(p11->C_EncryptFinal(session, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_DigestInit(session, &sha));
	IS(p11->C_DigestUpdate(session, NULL, 5), CKR_ARGUMENTS_BAD);
	IS(p11->C_DigestFinal(session, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_DigestInit(session, &sha));
	OK(p11->C_DigestInit(session, NULL));
	IS(p11->C_DigestFinal(session, out, &n), CKR_OPERATION_NOT_INITIALIZED);
}

static void operations_are_cancelled(void **state)
{
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 16);
	CK_MECHANISM ecb = mechanism_of(CKM_AES_ECB, NULL, 0),
		     sha = mechanism_of(CKM_SHA256, NULL, 0);
	CK_BYTE out[64];
	CK_ULONG n = sizeof(out);

	(void)state;
	OK(p11->C_EncryptInit(session, &ecb, aes));
	OK(p11->C_DigestInit(session, &sha));
	IS(p11->C_SignInit(session, &ecb, aes), CKR_OPERATION_ACTIVE);
	OK(p11->C_SessionCancel(session, 0));
	OK(p11->C_SessionCancel(session, CKF_DIGEST | CKF_SIGN));
	IS(p11->C_DigestFinal(session, out, &n), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_Encrypt(session, text, 16, out, &n));
}

static void keys_are_digested(void **state)
{
	CK_MECHANISM sha = mechanism_of(CKM_SHA256, NULL, 0),
		     pair = mechanism_of(CKM_EC_KEY_PAIR_GEN, NULL, 0);
	CK_ATTRIBUTE public[] = { A_BYTES(CKA_EC_PARAMS,
		                          "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07") };
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 16), key, other;
	CK_BYTE out[32], expected[32], all[17];
	CK_ULONG n = sizeof(out);
	size_t m;

	(void)state;
	for (CK_BYTE i = 0; i < 16; i++)
		all[i + 1] = i;
	all[0] = 'x';
	assert_true(EVP_Q_digest(NULL, "SHA256", NULL, all, 17, expected, &m));
	OK(p11->C_DigestInit(session, &sha));
	OK(p11->C_DigestUpdate(session, all, 1));
	OK(p11->C_DigestKey(session, aes));
	OK(p11->C_DigestFinal(session, out, &n));
	assert_memory_equal(out, expected, 32);
	OK(p11->C_GenerateKeyPair(session, &pair, public, 1, NULL, 0, &key, &other));
	OK(p11->C_DigestInit(session, &sha));
	IS(p11->C_DigestKey(session, key), CKR_KEY_INDIGESTIBLE);
}

static void dual_functions_feed_both(void **state)
{
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 16);
	CK_MECHANISM ecb = mechanism_of(CKM_AES_ECB, NULL, 0),
		     sha = mechanism_of(CKM_SHA256, NULL, 0);
	CK_BYTE sealed[48], digest[32], expected[32], plain[48];
	CK_ULONG n = sizeof(sealed), m = sizeof(digest);
	size_t size;

	(void)state;
	assert_true(EVP_Q_digest(NULL, "SHA256", NULL, text, 48, expected, &size));
	OK(p11->C_EncryptInit(session, &ecb, aes));
	IS(p11->C_DigestEncryptUpdate(session, text, 48, sealed, &n),
	   CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_DigestInit(session, &sha));
	OK(p11->C_DigestEncryptUpdate(session, text, 48, NULL, &n));
	n = 47;
	IS(p11->C_DigestEncryptUpdate(session, text, 48, sealed, &n), CKR_BUFFER_TOO_SMALL);
	OK(p11->C_DigestEncryptUpdate(session, text, 48, sealed, &n));
	OK(p11->C_DigestFinal(session, digest, &m));
	assert_memory_equal(digest, expected, 32);
	m = 0;
	OK(p11->C_EncryptFinal(session, digest, &m));
	OK(p11->C_DecryptInit(session, &ecb, aes));
	OK(p11->C_DigestInit(session, &sha));
	n = sizeof(plain);
	OK(p11->C_DecryptDigestUpdate(session, sealed, 48, plain, &n));
	assert_memory_equal(plain, text, 48);
	m = sizeof(digest);
	OK(p11->C_DigestFinal(session, digest, &m));
	assert_memory_equal(digest, expected, 32);
	OK(p11->C_SessionCancel(session, CKF_DECRYPT));
}

static void states_are_saved(void **state)
{
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 16),
			 other = make_secret(session, CKK_AES, 32);
	CK_MECHANISM ecb = mechanism_of(CKM_AES_ECB, NULL, 0),
		     sha = mechanism_of(CKM_SHA256, NULL, 0);
	CK_BYTE saved[1024], out[64], expected[32];
	CK_ULONG length = sizeof(saved), n = sizeof(out);
	CK_SESSION_HANDLE second = open_session(0, CKF_RW_SESSION);
	size_t size;

	(void)state;
	assert_true(EVP_Q_digest(NULL, "SHA256", NULL, text, 48, expected, &size));
	IS(p11->C_GetOperationState(session, saved, &length), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_DigestInit(session, &sha));
	OK(p11->C_DigestUpdate(session, text, 20));
	OK(p11->C_GetOperationState(session, NULL, &length));
	length = 1;
	IS(p11->C_GetOperationState(session, saved, &length), CKR_BUFFER_TOO_SMALL);
	OK(p11->C_GetOperationState(session, saved, &length));
	IS(p11->C_SetOperationState(second, saved, length, aes, 0), CKR_KEY_NOT_NEEDED);
	OK(p11->C_SetOperationState(second, saved, length, 0, 0));
	OK(p11->C_DigestUpdate(second, text + 20, 28));
	OK(p11->C_DigestFinal(second, out, &n));
	assert_memory_equal(out, expected, 32);
	saved[length / 2] ^= 1;
	IS(p11->C_SetOperationState(second, saved, length, 0, 0), CKR_SAVED_STATE_INVALID);
	IS(p11->C_SetOperationState(second, text, 48, 0, 0), CKR_SAVED_STATE_INVALID);
	OK(p11->C_EncryptInit(second, &ecb, aes));
	length = sizeof(saved);
	OK(p11->C_GetOperationState(second, saved, &length));
	IS(p11->C_SetOperationState(session, saved, length, 0, 0), CKR_KEY_NEEDED);
	IS(p11->C_SetOperationState(session, saved, length, other, 0), CKR_KEY_CHANGED);
	OK(p11->C_SetOperationState(session, saved, length, aes, 0));
	n = sizeof(out);
	OK(p11->C_Encrypt(session, text, 16, out, &n));
}

/* ---- signatures ------------------------------------------------------------------------------------------------------- */

static EVP_PKEY *public_key(CK_OBJECT_HANDLE key)
{
	CK_BYTE info[1024];
	const CK_BYTE *at = info;
	CK_ATTRIBUTE read = A_AT(CKA_PUBLIC_KEY_INFO, info);
	EVP_PKEY *pkey;

	OK(p11->C_GetAttributeValue(session, key, &read, 1));
	pkey = d2i_PUBKEY(NULL, &at, (long)read.ulValueLen);
	assert_non_null(pkey);
	return pkey;
}

static void make_pair(CK_MECHANISM_TYPE type, CK_ATTRIBUTE more, CK_OBJECT_HANDLE *public,
                      CK_OBJECT_HANDLE *private)
{
	CK_MECHANISM mechanism = mechanism_of(type, NULL, 0);
	CK_ATTRIBUTE template[] = { more, A_AT(CKA_PRIVATE, no), A_AT(CKA_DERIVE, yes) };
	CK_ATTRIBUTE own[] = { A_AT(CKA_DERIVE, yes), A_AT(CKA_PRIVATE, yes) };

	OK(p11->C_GenerateKeyPair(session, &mechanism, template, 3, own, 2, public, private));
}

static CK_ULONG rsa_bits = 1024;
static const CK_ATTRIBUTE curve256 =
	A_BYTES(CKA_EC_PARAMS, "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
static const CK_ATTRIBUTE curve521 = A_BYTES(CKA_EC_PARAMS, "\x06\x05\x2b\x81\x04\x00\x23");
static const CK_ATTRIBUTE edwards25519 = A_BYTES(CKA_EC_PARAMS, "\x06\x03\x2b\x65\x70");
static const CK_ATTRIBUTE edwards448 = A_BYTES(CKA_EC_PARAMS, "\x06\x03\x2b\x65\x71");
static const CK_ATTRIBUTE curve25519 = A_BYTES(CKA_EC_PARAMS, "\x06\x03\x2b\x65\x6e");
static const CK_ATTRIBUTE curve448 = A_BYTES(CKA_EC_PARAMS, "\x06\x03\x2b\x65\x6f");

/* Sign, verify by all ways, refuse what is wrong. */
static void check_signature(CK_MECHANISM *mechanism, CK_OBJECT_HANDLE public,
                            CK_OBJECT_HANDLE private, CK_BYTE *data, CK_ULONG length, CK_ULONG size,
                            bool parts)
{
	CK_BYTE signature[600];
	CK_ULONG n = sizeof(signature);

	check_single(signing(), mechanism, private, data, length, NULL, size);
	if (parts)
		check_parts(signing(), mechanism, private, data, length, NULL, size, 5);
	OK(p11->C_SignInit(session, mechanism, private));
	OK(p11->C_Sign(session, data, length, signature, &n));
	assert_int_equal(n, size);
	OK(p11->C_VerifyInit(session, mechanism, public));
	OK(p11->C_Verify(session, data, length, signature, n));
	IS(p11->C_Verify(session, data, length, signature, n), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_VerifySignatureInit(session, mechanism, public, signature, n));
	OK(p11->C_VerifySignature(session, data, length));
	if (parts) {
		OK(p11->C_VerifyInit(session, mechanism, public));
		OK(p11->C_VerifyUpdate(session, data, length));
		OK(p11->C_VerifyFinal(session, signature, n));
		OK(p11->C_VerifySignatureInit(session, mechanism, public, signature, n));
		OK(p11->C_VerifySignatureUpdate(session, data, length));
		OK(p11->C_VerifySignatureFinal(session));
	} else {
		OK(p11->C_SignInit(session, mechanism, private));
		IS(p11->C_SignUpdate(session, data, length), CKR_OPERATION_NOT_INITIALIZED);
	}
	OK(p11->C_VerifyInit(session, mechanism, public));
	IS(p11->C_Verify(session, data, length, signature, n - 1), CKR_SIGNATURE_LEN_RANGE);
	signature[n / 2] ^= 1;
	OK(p11->C_VerifyInit(session, mechanism, public));
	IS(p11->C_Verify(session, data, length, signature, n), CKR_SIGNATURE_INVALID);
}

static void rsa_signatures(void **state)
{
	static const struct {
		CK_MECHANISM_TYPE type, pss, hash, mgf;
		const char *name;
	} rows[] = {
		{ CKM_SHA1_RSA_PKCS, CKM_SHA1_RSA_PKCS_PSS, CKM_SHA_1, CKG_MGF1_SHA1, "SHA1" },
		{ CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256,
		  "SHA256" },
		{ CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384,
		  "SHA384" },
		{ CKM_SHA3_256_RSA_PKCS, CKM_SHA3_256_RSA_PKCS_PSS, CKM_SHA3_256, CKG_MGF1_SHA3_256,
		  "SHA3-256" },
	};
	CK_MECHANISM raw = mechanism_of(CKM_RSA_PKCS, NULL, 0),
		     x509 = mechanism_of(CKM_RSA_X_509, NULL, 0);
	CK_ATTRIBUTE bits = A_AT(CKA_MODULUS_BITS, rsa_bits);
	CK_OBJECT_HANDLE public, private;
	CK_BYTE out[128], back[128], big[118] = { 1 };
	EVP_PKEY *pkey;
	CK_ULONG n, m;

	(void)state;
	make_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, bits, &public, &private);
	pkey = public_key(public);
	for (size_t i = 0; i < COUNT(rows); i++) {
		CK_RSA_PKCS_PSS_PARAMS pss = { rows[i].hash, rows[i].mgf, 20 };
		CK_MECHANISM mechanism = mechanism_of(rows[i].type, NULL, 0);
		EVP_MD_CTX *ctx;
		EVP_PKEY_CTX *pctx;

		for (int round = 0; round < 2; round++) {
			check_signature(&mechanism, public, private, text, 48, 128, true);
			n = sizeof(out);
			OK(p11->C_SignInit(session, &mechanism, private));
			OK(p11->C_Sign(session, text, 48, out, &n));
			ctx = EVP_MD_CTX_new();
			assert_true(EVP_DigestVerifyInit_ex(ctx, &pctx, rows[i].name, NULL, NULL,
			                                    pkey, NULL) > 0);
			if (round == 1) {
				EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
				EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 20);
			}
			assert_int_equal(EVP_DigestVerify(ctx, out, n, text, 48), 1);
			EVP_MD_CTX_free(ctx);
			mechanism = mechanism_of(rows[i].pss, &pss, sizeof(pss));
		}
		pss.hashAlg = CKM_SHA224;
		IS(p11->C_SignInit(session, &mechanism, private), CKR_MECHANISM_PARAM_INVALID);
	}
	EVP_PKEY_free(pkey);
	check_signature(&raw, public, private, text, 48, 128, false);
	check_signature(&x509, public, private, text, 48, 128, false);
	OK(p11->C_SignInit(session, &raw, private));
	n = sizeof(out);
	IS(p11->C_Sign(session, big, 118, out, &n), CKR_DATA_LEN_RANGE);

	/* With recovery, and encryption there and back. */
	n = m = sizeof(out);
	OK(p11->C_SignRecoverInit(session, &raw, private));
	OK(p11->C_SignRecover(session, text, 48, out, &n));
	OK(p11->C_VerifyRecoverInit(session, &raw, public));
	OK(p11->C_VerifyRecover(session, out, n, back, &m));
	assert_int_equal(m, 48);
	assert_memory_equal(back, text, 48);
	out[5] ^= 1;
	m = 0;
	OK(p11->C_VerifyRecoverInit(session, &raw, public));
	IS(p11->C_VerifyRecover(session, out, n, back, &m), CKR_SIGNATURE_INVALID);
}

static void rsa_encryption(void **state)
{
	CK_BYTE label[] = "label";
	CK_RSA_PKCS_OAEP_PARAMS oaep = { CKM_SHA256, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, label, 5 };
	CK_MECHANISM mechanisms[] = { mechanism_of(CKM_RSA_PKCS, NULL, 0),
		                      mechanism_of(CKM_RSA_X_509, NULL, 0),
		                      mechanism_of(CKM_RSA_PKCS_OAEP, &oaep, sizeof(oaep)) };
	CK_ATTRIBUTE bits = A_AT(CKA_MODULUS_BITS, rsa_bits);
	CK_OBJECT_HANDLE public, private;
	CK_BYTE out[128], back[128], big[129] = { 0 };

	(void)state;
	make_pair(CKM_RSA_PKCS_KEY_PAIR_GEN, bits, &public, &private);
	for (size_t i = 0; i < 3; i++) {
		CK_ULONG n = sizeof(out), m = sizeof(back);

		check_single(encrypting(), &mechanisms[i], public, text, 48, NULL, 128);
		OK(p11->C_EncryptInit(session, &mechanisms[i], public));
		OK(p11->C_Encrypt(session, text, 48, out, &n));
		OK(p11->C_DecryptInit(session, &mechanisms[i], private));
		OK(p11->C_Decrypt(session, out, n, back, &m));
		assert_memory_equal(back + m - 48, text, 48);
		OK(p11->C_DecryptInit(session, &mechanisms[i], private));
		IS(p11->C_Decrypt(session, out, n - 1, back, &m), CKR_ENCRYPTED_DATA_LEN_RANGE);
		OK(p11->C_EncryptInit(session, &mechanisms[i], public));
		m = sizeof(back);
		IS(p11->C_Encrypt(session, big, 129, back, &m), CKR_DATA_LEN_RANGE);
	}
}

static void curve_signatures(void **state)
{
	static const struct {
		CK_MECHANISM_TYPE type, pair;
		const CK_ATTRIBUTE *curve;
		const char *hash;
		CK_ULONG size;
	} rows[] = {
		{ CKM_ECDSA_SHA256, CKM_EC_KEY_PAIR_GEN, &curve256, "SHA256", 64 },
		{ CKM_ECDSA_SHA512, CKM_EC_KEY_PAIR_GEN, &curve521, "SHA512", 132 },
		{ CKM_EDDSA, CKM_EC_EDWARDS_KEY_PAIR_GEN, &edwards25519, NULL, 64 },
		{ CKM_EDDSA, CKM_EC_EDWARDS_KEY_PAIR_GEN, &edwards448, NULL, 114 },
	};
	CK_MECHANISM raw = mechanism_of(CKM_ECDSA, NULL, 0);

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CK_MECHANISM mechanism = mechanism_of(rows[i].type, NULL, 0);
		CK_OBJECT_HANDLE public, private;
		CK_BYTE out[160], *der = out;
		CK_ULONG n = sizeof(out);
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_PKEY *pkey;
		int length;

		make_pair(rows[i].pair, *rows[i].curve, &public, &private);
		pkey = public_key(public);
		check_signature(&mechanism, public, private, text, 48, rows[i].size, true);
		OK(p11->C_SignInit(session, &mechanism, private));
		OK(p11->C_Sign(session, text, 48, out, &n));
		length = (int)n;
		if (rows[i].hash) {
			ECDSA_SIG *sig = ECDSA_SIG_new();

			ECDSA_SIG_set0(sig, BN_bin2bn(out, length / 2, NULL),
			               BN_bin2bn(out + n / 2, length / 2, NULL));
			der = NULL;
			length = i2d_ECDSA_SIG(sig, &der);
			ECDSA_SIG_free(sig);
			check_signature(&raw, public, private, text, 20, rows[i].size, false);
		}
		assert_true(EVP_DigestVerifyInit_ex(ctx, NULL, rows[i].hash, NULL, NULL, pkey,
		                                    NULL) > 0);
		assert_int_equal(EVP_DigestVerify(ctx, der, (size_t)length, text, 48), 1);
		if (rows[i].hash)
			OPENSSL_free(der);
		EVP_MD_CTX_free(ctx);
		EVP_PKEY_free(pkey);
	}
}

static void some_keys_want_a_login_each_time(void **state)
{
	CK_MECHANISM pair = mechanism_of(CKM_EC_KEY_PAIR_GEN, NULL, 0),
		     mechanism = mechanism_of(CKM_ECDSA_SHA256, NULL, 0);
	CK_ATTRIBUTE public[] = { curve256 }, private[] = { A_AT(CKA_ALWAYS_AUTHENTICATE, yes) };
	CK_OBJECT_HANDLE key, other;
	CK_BYTE out[64];
	CK_ULONG n = sizeof(out);

	(void)state;
	OK(p11->C_GenerateKeyPair(session, &pair, public, 1, private, 1, &key, &other));
	OK(p11->C_SignInit(session, &mechanism, other));
	IS(p11->C_Sign(session, text, 48, out, &n), CKR_USER_NOT_LOGGED_IN);
	OK(p11->C_SignInit(session, &mechanism, other));
	log_in(session, CKU_CONTEXT_SPECIFIC, "1234");
	OK(p11->C_Sign(session, text, 48, out, &n));
	OK(p11->C_SignInit(session, &mechanism, other));
	IS(try_log_in(session, CKU_CONTEXT_SPECIFIC, "4321"), CKR_PIN_INCORRECT);
	IS(p11->C_Sign(session, text, 48, out, &n), CKR_USER_NOT_LOGGED_IN);
}

/* ---- messages ----------------------------------------------------------------------------------------------------------- */

static void messages_are_sealed(void **state)
{
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 32),
			 chacha_key = make_secret(session, CKK_CHACHA20, 32);
	CK_BYTE nonce[12] = { 0 }, tag[16] = { 0 }, sealed[48], plain[48], key_bytes[32],
		expected[64];
	CK_GCM_MESSAGE_PARAMS gcm = { nonce, 12, 32, CKG_GENERATE_RANDOM, tag, 128 };
	CK_CCM_MESSAGE_PARAMS ccm = { 48, nonce, 12, 0, CKG_NO_GENERATE, tag, 16 };
	CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS chacha = { nonce, 12, tag };
	const struct {
		CK_MECHANISM mechanism;
		void *parameter;
		CK_ULONG size;
		CK_OBJECT_HANDLE key;
		const char *name;
	} rows[] = {
		{ mechanism_of(CKM_AES_GCM, NULL, 0), &gcm, sizeof(gcm), aes, "AES-256-GCM" },
		{ mechanism_of(CKM_CHACHA20_POLY1305, NULL, 0), &chacha, sizeof(chacha), chacha_key,
		  "ChaCha20-Poly1305" },
		{ mechanism_of(CKM_AES_CCM, NULL, 0), &ccm, sizeof(ccm), aes, NULL },
	};

	(void)state;
	for (CK_BYTE i = 0; i < 32; i++)
		key_bytes[i] = i;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CK_MECHANISM mechanism = rows[i].mechanism;
		CK_ULONG n = 1, m;

		memset(nonce, 0, sizeof(nonce));
		IS(p11->C_EncryptMessage(session, NULL, 0, header, 6, text, 48, sealed, &n),
		   CKR_OPERATION_NOT_INITIALIZED);
		OK(p11->C_MessageEncryptInit(session, &mechanism, rows[i].key));
		IS(p11->C_EncryptMessage(session, rows[i].parameter, rows[i].size, header, 6, text,
		                         48, sealed, &n),
		   CKR_BUFFER_TOO_SMALL);
		OK(p11->C_EncryptMessage(session, rows[i].parameter, rows[i].size, header, 6, text,
		                         48, sealed, &n));
		assert_int_equal(n, 48);
		if (i == 0) {
			static const CK_BYTE zeros[12];

			/* The first four bytes are ours, the others were made. */
			assert_memory_equal(nonce, zeros, 4);
			assert_memory_not_equal(nonce + 4, zeros, 8);
		}
		if (rows[i].name) {
			oracle(rows[i].name, key_bytes, nonce, 12, false, 16, text, 48, expected);
			assert_memory_equal(sealed, expected, 48);
			assert_memory_equal(tag, expected + 48, 16);
		}
		/* The process is still open for a message in parts. */
		gcm.ivGenerator = CKG_NO_GENERATE;
		IS(p11->C_EncryptMessageNext(session, rows[i].parameter, rows[i].size, text, 1,
		                             plain, &n, 0),
		   CKR_OPERATION_NOT_INITIALIZED);
		OK(p11->C_EncryptMessageBegin(session, rows[i].parameter, rows[i].size, header, 6));
		IS(p11->C_EncryptMessage(session, rows[i].parameter, rows[i].size, header, 6, text,
		                         48, plain, &n),
		   CKR_OPERATION_ACTIVE);
		n = sizeof(plain);
		OK(p11->C_EncryptMessageNext(session, rows[i].parameter, rows[i].size, text, 20,
		                             plain, &n, 0));
		m = sizeof(plain) - n;
		OK(p11->C_EncryptMessageNext(session, rows[i].parameter, rows[i].size, text + 20,
		                             28, plain + n, &m, CKF_END_OF_MESSAGE));
		assert_int_equal(n + m, 48);
		assert_memory_equal(plain, sealed, 48);
		IS(p11->C_EncryptMessageNext(session, rows[i].parameter, rows[i].size, text, 1,
		                             plain, &n, 0),
		   CKR_OPERATION_NOT_INITIALIZED);
		/* An error ends a message, not the process. */
		OK(p11->C_EncryptMessageBegin(session, rows[i].parameter, rows[i].size, header, 6));
		IS(p11->C_EncryptMessageNext(session, rows[i].parameter, rows[i].size, NULL, 1,
		                             plain, &n, 0),
		   CKR_ARGUMENTS_BAD);
		OK(p11->C_MessageEncryptFinal(session));
		IS(p11->C_MessageEncryptFinal(session), CKR_OPERATION_NOT_INITIALIZED);

		OK(p11->C_MessageDecryptInit(session, &mechanism, rows[i].key));
		n = sizeof(plain);
		OK(p11->C_DecryptMessage(session, rows[i].parameter, rows[i].size, header, 6,
		                         sealed, 48, plain, &n));
		assert_memory_equal(plain, text, 48);
		tag[3] ^= 1;
		IS(p11->C_DecryptMessage(session, rows[i].parameter, rows[i].size, header, 6,
		                         sealed, 48, plain, &n),
		   CKR_AEAD_DECRYPT_FAILED);
		OK(p11->C_MessageDecryptFinal(session));
		gcm.ivGenerator = CKG_GENERATE_RANDOM;
	}
}

static void messages_are_signed(void **state)
{
	CK_OBJECT_HANDLE key = make_secret(session, CKK_GENERIC_SECRET, 32);
	CK_MECHANISM mechanism = mechanism_of(CKM_SHA256_HMAC, NULL, 0);
	CK_BYTE mac[32], again[32];
	CK_ULONG n = sizeof(mac), m = sizeof(again);

	(void)state;
	OK(p11->C_MessageSignInit(session, &mechanism, key));
	OK(p11->C_SignMessage(session, NULL, 0, text, 48, mac, &n));
	OK(p11->C_SignMessageBegin(session, NULL, 0));
	OK(p11->C_SignMessageNext(session, NULL, 0, text, 20, NULL, NULL));
	OK(p11->C_SignMessageNext(session, NULL, 0, text + 20, 28, again, &m));
	assert_memory_equal(mac, again, 32);
	IS(p11->C_SignMessageNext(session, NULL, 0, text, 20, NULL, NULL),
	   CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_MessageSignFinal(session));
	OK(p11->C_MessageVerifyInit(session, &mechanism, key));
	OK(p11->C_VerifyMessage(session, NULL, 0, text, 48, mac, n));
	OK(p11->C_VerifyMessageBegin(session, NULL, 0));
	OK(p11->C_VerifyMessageNext(session, NULL, 0, text, 48, NULL, 0));
	mac[0] ^= 1;
	IS(p11->C_VerifyMessageNext(session, NULL, 0, text, 0, mac, n), CKR_SIGNATURE_INVALID);
	OK(p11->C_MessageVerifyFinal(session));
}

/* ---- keys out of keys ----------------------------------------------------------------------------------------------------- */

static CK_OBJECT_HANDLE unwrap(CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, CK_BYTE *wrapped,
                               CK_ULONG length, CK_KEY_TYPE type, CK_ULONG value_length)
{
	CK_OBJECT_CLASS class =
		type == CKK_EC || type == CKK_RSA ? CKO_PRIVATE_KEY : CKO_SECRET_KEY;
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class), A_AT(CKA_KEY_TYPE, type),
		                    A_AT(CKA_SENSITIVE, no), A_AT(CKA_VALUE_LEN, value_length) };
	CK_OBJECT_HANDLE object = 0;

	OK(p11->C_UnwrapKey(session, mechanism, key, wrapped, length, template,
	                    value_length ? 4 : 3, &object));
	assert_false(get_bool(session, object, CKA_LOCAL));
	assert_false(get_bool(session, object, CKA_ALWAYS_SENSITIVE));
	assert_true(get_bool(session, object, CKA_EXTRACTABLE));
	return object;
}

static void keys_are_wrapped(void **state)
{
	CK_GCM_PARAMS gcm = { iv, 12, 96, header, 6, 128 };
	CK_CCM_PARAMS ccm = { 0, iv, 12, header, 6, 16 };
	const struct {
		CK_MECHANISM mechanism;
		CK_ULONG length, value_length;
		bool private;
	} rows[] = {
		{ mechanism_of(CKM_AES_KEY_WRAP, NULL, 0), 40, 0, false },
		{ mechanism_of(CKM_AES_KEY_WRAP_KWP, NULL, 0), 40, 0, true },
		{ mechanism_of(CKM_AES_CBC_PAD, iv, 16), 48, 0, true },
		{ mechanism_of(CKM_AES_CBC, iv, 16), 32, 32, false },
		{ mechanism_of(CKM_AES_ECB, NULL, 0), 32, 32, false },
		{ mechanism_of(CKM_AES_GCM, &gcm, sizeof(gcm)), 48, 0, true },
		{ mechanism_of(CKM_AES_CCM, &ccm, sizeof(ccm)), 48, 0, true },
	};
	CK_OBJECT_HANDLE wrapping = make_secret(session, CKK_AES, 32),
			 target = make_secret(session, CKK_GENERIC_SECRET, 32);
	CK_OBJECT_HANDLE public, private, back;
	CK_MECHANISM pair = mechanism_of(CKM_EC_KEY_PAIR_GEN, NULL, 0);
	CK_ATTRIBUTE curve[] = { curve256 },
		     open[] = { A_AT(CKA_EXTRACTABLE, yes), A_AT(CKA_SENSITIVE, no) };
	CK_BYTE wrapped[512], value[32], value_back[32];

	(void)state;
	OK(p11->C_GenerateKeyPair(session, &pair, curve, 1, open, 2, &public, &private));
	for (size_t i = 0; i < COUNT(rows); i++) {
		CK_MECHANISM mechanism = rows[i].mechanism;
		CK_ATTRIBUTE read = A_AT(CKA_VALUE, value), read_back = A_AT(CKA_VALUE, value_back);
		CK_ULONG n = 3;

		IS(p11->C_WrapKey(session, &mechanism, wrapping, target, wrapped, &n),
		   CKR_BUFFER_TOO_SMALL);
		assert_int_equal(n, rows[i].length);
		OK(p11->C_WrapKey(session, &mechanism, wrapping, target, wrapped, &n));
		assert_int_equal(n, rows[i].length);
		back = unwrap(&mechanism, wrapping, wrapped, n, CKK_GENERIC_SECRET,
		              rows[i].value_length);
		OK(p11->C_GetAttributeValue(session, target, &read, 1));
		OK(p11->C_GetAttributeValue(session, back, &read_back, 1));
		assert_memory_equal(value, value_back, 32);
		n = sizeof(wrapped);
		if (!rows[i].private) {
			IS(p11->C_WrapKey(session, &mechanism, wrapping, private, wrapped, &n),
			   CKR_KEY_NOT_WRAPPABLE);
			continue;
		}
		OK(p11->C_WrapKey(session, &mechanism, wrapping, private, wrapped, &n));
		back = unwrap(&mechanism, wrapping, wrapped, n, CKK_EC, 0);
		OK(p11->C_GetAttributeValue(session, private, &read, 1));
		OK(p11->C_GetAttributeValue(session, back, &read_back, 1));
		assert_memory_equal(value, value_back, 32);
	}
	{
		CK_MECHANISM ecb = mechanism_of(CKM_AES_ECB, NULL, 0);
		CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret),
			                    A_AT(CKA_KEY_TYPE, type_generic) };

		IS(p11->C_UnwrapKey(session, &ecb, wrapping, wrapped, 32, template, 2, &back),
		   CKR_TEMPLATE_INCOMPLETE);
		IS(p11->C_UnwrapKey(session, &ecb, wrapping, wrapped, 31, template, 2, &back),
		   CKR_WRAPPED_KEY_LEN_RANGE);
		IS(p11->C_UnwrapKey(session, &ecb, 0, wrapped, 32, template, 2, &back),
		   CKR_UNWRAPPING_KEY_HANDLE_INVALID);
	}
}

static void wrapping_is_refused(void **state)
{
	CK_ATTRIBUTE inner[] = { A_AT(CKA_KEY_TYPE, type_aes) },
		     out_of[] = { A_BYTES(CKA_LABEL, "unwrapped") };
	CK_ATTRIBUTE picky[] = { A_AT(CKA_CLASS, class_secret),
		                 A_AT(CKA_KEY_TYPE, type_aes),
		                 A_BYTES(CKA_VALUE, "0123456789abcdef"),
		                 { CKA_WRAP_TEMPLATE, inner, sizeof(inner) },
		                 { CKA_UNWRAP_TEMPLATE, out_of, sizeof(out_of) } };
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret), A_AT(CKA_KEY_TYPE, type_aes),
		                    A_BYTES(CKA_LABEL, "mine") };
	CK_OBJECT_HANDLE wrapping, target = make_secret(session, CKK_GENERIC_SECRET, 32),
				   aes = make_secret(session, CKK_AES, 16), key;
	CK_MECHANISM kwp = mechanism_of(CKM_AES_KEY_WRAP_KWP, NULL, 0);
	CK_BYTE wrapped[64], label[16];
	CK_ATTRIBUTE read = A_AT(CKA_LABEL, label);
	CK_ULONG n = sizeof(wrapped);

	(void)state;
	OK(p11->C_CreateObject(session, picky, COUNT(picky), &wrapping));
	IS(p11->C_WrapKey(session, &kwp, wrapping, target, wrapped, &n), CKR_KEY_HANDLE_INVALID);
	IS(p11->C_WrapKey(session, &kwp, 0, aes, wrapped, &n), CKR_WRAPPING_KEY_HANDLE_INVALID);
	IS(p11->C_WrapKey(session, &kwp, target, aes, wrapped, &n),
	   CKR_WRAPPING_KEY_TYPE_INCONSISTENT);
	OK(p11->C_WrapKey(session, &kwp, wrapping, aes, wrapped, &n));
	IS(p11->C_UnwrapKey(session, &kwp, wrapping, wrapped, n, template, 3, &key),
	   CKR_TEMPLATE_INCONSISTENT);
	OK(p11->C_UnwrapKey(session, &kwp, wrapping, wrapped, n, template, 2, &key));
	OK(p11->C_GetAttributeValue(session, key, &read, 1));
	assert_memory_equal(label, "unwrapped", 9);
	OK(set_bool(session, aes, CKA_WRAP_WITH_TRUSTED, yes));
	IS(p11->C_WrapKey(session, &kwp, wrapping, aes, wrapped, &n), CKR_KEY_NOT_WRAPPABLE);
	OK(set_bool(session, key, CKA_EXTRACTABLE, no));
	IS(p11->C_WrapKey(session, &kwp, wrapping, key, wrapped, &n), CKR_KEY_UNEXTRACTABLE);
}

static void wrapping_is_authenticated(void **state)
{
	CK_BYTE nonce[12] = { 0 }, tag[16] = { 0 }, wrapped[64], value[16];
	CK_GCM_MESSAGE_PARAMS gcm = { nonce, 12, 0, CKG_GENERATE, tag, 128 };
	CK_MECHANISM mechanism = mechanism_of(CKM_AES_GCM, &gcm, sizeof(gcm));
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 32),
			 target = make_secret(session, CKK_AES, 16), back;
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret), A_AT(CKA_KEY_TYPE, type_aes) };
	CK_ATTRIBUTE read = A_AT(CKA_VALUE, value);
	CK_ULONG n = sizeof(wrapped);

	(void)state;
	OK(p11->C_WrapKeyAuthenticated(session, &mechanism, aes, target, header, 6, wrapped, &n));
	assert_int_equal(n, 16);
	OK(p11->C_UnwrapKeyAuthenticated(session, &mechanism, aes, wrapped, n, template, 2, header,
	                                 6, &back));
	OK(p11->C_GetAttributeValue(session, back, &read, 1));
	assert_int_equal(value[15], 15);
	IS(p11->C_UnwrapKeyAuthenticated(session, &mechanism, aes, wrapped, n, template, 2, header,
	                                 5, &back),
	   CKR_AEAD_DECRYPT_FAILED);
	tag[0] ^= 1;
	IS(p11->C_UnwrapKeyAuthenticated(session, &mechanism, aes, wrapped, n, template, 2, header,
	                                 6, &back),
	   CKR_AEAD_DECRYPT_FAILED);
}

static void read_value(CK_OBJECT_HANDLE key, CK_BYTE *value, CK_ULONG length)
{
	CK_ATTRIBUTE read = { CKA_VALUE, value, length };

	OK(p11->C_GetAttributeValue(session, key, &read, 1));
	assert_int_equal(read.ulValueLen, length);
}

static void keys_are_agreed_on(void **state)
{
	static const struct {
		CK_MECHANISM_TYPE pair;
		const CK_ATTRIBUTE *curve;
		CK_ULONG length;
	} rows[] = {
		{ CKM_EC_KEY_PAIR_GEN, &curve256, 32 },
		{ CKM_EC_KEY_PAIR_GEN, &curve521, 66 },
		{ CKM_EC_MONTGOMERY_KEY_PAIR_GEN, &curve25519, 32 },
		{ CKM_EC_MONTGOMERY_KEY_PAIR_GEN, &curve448, 56 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CK_OBJECT_HANDLE public[2], private[2], secret;
		CK_BYTE value[2][66], point[160];

		for (int side = 0; side < 2; side++)
			make_pair(rows[i].pair, *rows[i].curve, &public[side], &private[side]);
		for (int side = 0; side < 2; side++) {
			CK_ATTRIBUTE read = A_AT(CKA_EC_POINT, point);
			CK_ECDH1_DERIVE_PARAMS params = { .kdf = CKD_NULL };
			CK_MECHANISM mechanism =
				mechanism_of(CKM_ECDH1_DERIVE, &params, sizeof(params));
			CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret),
				                    A_AT(CKA_KEY_TYPE, type_generic),
				                    A_AT(CKA_SENSITIVE, no),
				                    A_AT(CKA_PRIVATE, no) };

			OK(p11->C_GetAttributeValue(session, public[!side], &read, 1));
			params.pPublicData = point;
			params.ulPublicDataLen = read.ulValueLen;
			OK(p11->C_DeriveKey(session, &mechanism, private[side], template, 4,
			                    &secret));
			read_value(secret, value[side], rows[i].length);
			assert_false(get_bool(session, secret, CKA_LOCAL));
			/* The private key was always sensitive; this one is not. */
			assert_false(get_bool(session, secret, CKA_ALWAYS_SENSITIVE));
			params.ulPublicDataLen = 3;
			IS(p11->C_DeriveKey(session, &mechanism, private[side], template, 4,
			                    &secret),
			   CKR_MECHANISM_PARAM_INVALID);
		}
		assert_memory_equal(value[0], value[1], rows[i].length);
	}
}

static void keys_are_derived(void **state)
{
	CK_OBJECT_HANDLE base = make_secret(session, CKK_GENERIC_SECRET, 22), key;
	CK_ULONG length = 42;
	CK_BYTE salt[13] = "thirteen salt", info[10] = "ten infos!", value[42], expected[42],
		key_bytes[22];
	CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_DATA, salt, 13,
		                0,       info,    10 };
	CK_MECHANISM mechanism = mechanism_of(CKM_HKDF_DERIVE, &hkdf, sizeof(hkdf));
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret), A_AT(CKA_KEY_TYPE, type_generic),
		                    A_AT(CKA_VALUE_LEN, length), A_AT(CKA_PRIVATE, no) };
	CK_KEY_DERIVATION_STRING_DATA string = { text, 20 };

	(void)state;
	for (CK_BYTE i = 0; i < 22; i++)
		key_bytes[i] = i;
	OK(p11->C_DeriveKey(session, &mechanism, base, template, 4, &key));
	read_value(key, value, 42);
	{
		/* Step by step, with HMAC alone. */
		CK_BYTE prk[32], block[43], t[32];
		size_t m;

		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, salt, 13, key_bytes,
		                          22, prk, 32, &m));
		memcpy(block, info, sizeof(info));
		block[10] = 1;
		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, prk, 32, block, 11, t,
		                          32, &m));
		memcpy(expected, t, 32);
		memcpy(block, t, 32);
		memcpy(block + 32, info, sizeof(info));
		block[42] = 2;
		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, prk, 32, block, 43, t,
		                          32, &m));
		memcpy(expected + 32, t, 10);
	}
	assert_memory_equal(value, expected, 42);

	mechanism = mechanism_of(CKM_CONCATENATE_BASE_AND_DATA, &string, sizeof(string));
	OK(p11->C_DeriveKey(session, &mechanism, base, template, 4, &key));
	read_value(key, value, 42);
	assert_memory_equal(value, key_bytes, 22);
	assert_memory_equal(value + 22, text, 20);
	mechanism = mechanism_of(CKM_SHA256_KEY_DERIVATION, NULL, 0);
	IS(p11->C_DeriveKey(session, &mechanism, base, template, 4, &key), CKR_KEY_SIZE_RANGE);
	length = 16;
	OK(p11->C_DeriveKey(session, &mechanism, base, template, 4, &key));
	assert_true(EVP_Q_digest(NULL, "SHA256", NULL, key_bytes, 22, expected, NULL));
	read_value(key, value, 16);
	assert_memory_equal(value, expected, 16);
	OK(set_bool(session, base, CKA_DERIVE, no));
	IS(p11->C_DeriveKey(session, &mechanism, base, template, 4, &key),
	   CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void dh_keys_are_agreed_on(void **state)
{
	CK_MECHANISM parameters = mechanism_of(CKM_DH_PKCS_PARAMETER_GEN, NULL, 0);
	CK_MECHANISM pair = mechanism_of(CKM_DH_PKCS_KEY_PAIR_GEN, NULL, 0), mechanism;
	CK_ULONG bits = 512, length = 24;
	CK_BYTE prime[64], base[64], theirs[64], value[2][24];
	CK_ATTRIBUTE how[] = { A_AT(CKA_PRIME_BITS, bits) };
	CK_ATTRIBUTE read[] = { A_AT(CKA_PRIME, prime), A_AT(CKA_BASE, base) };
	CK_ATTRIBUTE can[] = { A_AT(CKA_DERIVE, yes) };
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret), A_AT(CKA_KEY_TYPE, type_generic),
		                    A_AT(CKA_VALUE_LEN, length), A_AT(CKA_PRIVATE, no) };
	CK_OBJECT_HANDLE domain, public[2], private[2], secret;

	(void)state;
	OK(p11->C_GenerateKey(session, &parameters, how, 1, &domain));
	assert_int_equal(get_ulong(session, domain, CKA_CLASS), CKO_DOMAIN_PARAMETERS);
	OK(p11->C_GetAttributeValue(session, domain, read, 2));
	for (int side = 0; side < 2; side++)
		OK(p11->C_GenerateKeyPair(session, &pair, read, 2, can, 1, &public[side],
		                          &private[side]));
	for (int side = 0; side < 2; side++) {
		CK_ATTRIBUTE peer = A_AT(CKA_VALUE, theirs);

		OK(p11->C_GetAttributeValue(session, public[!side], &peer, 1));
		mechanism = mechanism_of(CKM_DH_PKCS_DERIVE, theirs, peer.ulValueLen);
		OK(p11->C_DeriveKey(session, &mechanism, private[side], template, 4, &secret));
		read_value(secret, value[side], 24);
	}
	assert_memory_equal(value[0], value[1], 24);
	IS(p11->C_GenerateKeyPair(session, &pair, read, 1, can, 1, &public[0], &private[0]),
	   CKR_TEMPLATE_INCOMPLETE);
}

static void keys_are_mixed(void **state)
{
	CK_OBJECT_HANDLE aes = make_secret(session, CKK_AES, 16), key;
	CK_OBJECT_HANDLE second = make_secret(session, CKK_GENERIC_SECRET, 5);
	CK_ULONG length = 16;
	CK_KEY_DERIVATION_STRING_DATA string = { text, 16 };
	CK_AES_CBC_ENCRYPT_DATA_PARAMS cbc = { { 0 }, text, 48 };
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret), A_AT(CKA_KEY_TYPE, type_generic),
		                    A_AT(CKA_PRIVATE, no), A_AT(CKA_VALUE_LEN, length) };
	CK_ATTRIBUTE data[] = { A_AT(CKA_CLASS, class_data), A_AT(CKA_VALUE_LEN, length) };
	CK_HKDF_PARAMS hkdf = { CK_TRUE, CK_TRUE, CKM_SHA256, CKF_HKDF_SALT_NULL, NULL, 0,
		                0,       NULL,    0 };
	CK_BYTE key_bytes[16], value[48], expected[48];
	CK_MECHANISM mechanism = mechanism_of(CKM_XOR_BASE_AND_DATA, &string, sizeof(string));

	(void)state;
	for (size_t i = 0; i < sizeof(key_bytes); i++)
		key_bytes[i] = (CK_BYTE)i;
	OK(p11->C_DeriveKey(session, &mechanism, aes, template, 4, &key));
	read_value(key, value, 16);
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(value[i], text[i] ^ key_bytes[i]);
	mechanism = mechanism_of(CKM_CONCATENATE_BASE_AND_KEY, &second, sizeof(second));
	OK(p11->C_DeriveKey(session, &mechanism, aes, template, 3, &key));
	read_value(key, value, 21);
	assert_memory_equal(value + 16, key_bytes, 5);
	/* Made of a sensitive key, it must be one, too. */
	OK(set_bool(session, second, CKA_SENSITIVE, yes));
	OK(p11->C_DeriveKey(session, &mechanism, aes, template, 3, &key));
	assert_true(get_bool(session, key, CKA_SENSITIVE));
	mechanism = mechanism_of(CKM_AES_CBC_ENCRYPT_DATA, &cbc, sizeof(cbc));
	OK(p11->C_DeriveKey(session, &mechanism, aes, template, 3, &key));
	read_value(key, value, 48);
	assert_int_equal(oracle("AES-128-CBC", key_bytes, cbc.iv, 16, false, 0, text, 48, expected),
	                 48);
	assert_memory_equal(value, expected, 48);
	mechanism = mechanism_of(CKM_HKDF_DATA, &hkdf, sizeof(hkdf));
	OK(p11->C_DeriveKey(session, &mechanism, aes, data, 2, &key));
	assert_int_equal(get_ulong(session, key, CKA_CLASS), CKO_DATA);
	read_value(key, value, 16);
}

static void tls_keys_are_derived(void **state)
{
	CK_OBJECT_HANDLE base = make_secret(session, CKK_GENERIC_SECRET, 48), key;
	static const CK_BYTE label[13] = "master secret";
	CK_BYTE client[32] = "client", server[32] = "server", value[48], base_bytes[48], seed[77],
		a[2][32], expected[64], block[32 + 77];
	CK_VERSION version = { 9, 9 };
	CK_TLS12_MASTER_KEY_DERIVE_PARAMS params = { { client, 32, server, 32 },
		                                     &version,
		                                     CKM_SHA256 };
	CK_MECHANISM mechanism = mechanism_of(CKM_TLS12_MASTER_KEY_DERIVE, &params, sizeof(params));
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret), A_AT(CKA_KEY_TYPE, type_generic),
		                    A_AT(CKA_PRIVATE, no) };
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(base_bytes); i++)
		base_bytes[i] = (CK_BYTE)i;
	OK(p11->C_DeriveKey(session, &mechanism, base, template, 3, &key));
	read_value(key, value, 48);
	assert_int_equal(version.minor, 1);
	/* RFC 5246, section 5: P_SHA256 of the label and both random numbers. */
	memcpy(seed, label, sizeof(label));
	memcpy(seed + 13, client, 32);
	memcpy(seed + 45, server, 32);
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, base_bytes, 48, seed, 77,
	                          a[0], 32, &n));
	assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, base_bytes, 48, a[0], 32,
	                          a[1], 32, &n));
	for (int i = 0; i < 2; i++) {
		memcpy(block, a[i], 32);
		memcpy(block + 32, seed, 77);
		assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, base_bytes, 48, block,
		                          sizeof(block), expected + (ptrdiff_t)32 * i, 32, &n));
	}
	assert_memory_equal(value, expected, 48);
}

static void passwords_make_keys(void **state)
{
	CK_BYTE salt[] = "salt", value[20];
	CK_UTF8CHAR password[] = "password";
	CK_PKCS5_PBKD2_PARAMS2 params = {
		CKZ_SALT_SPECIFIED, salt, 4, 2, CKP_PKCS5_PBKD2_HMAC_SHA1, NULL, 0, password, 8
	};
	CK_MECHANISM mechanism = mechanism_of(CKM_PKCS5_PBKD2, &params, sizeof(params));
	CK_ULONG length = 20;
	CK_ATTRIBUTE template[] = { A_AT(CKA_KEY_TYPE, type_generic), A_AT(CKA_VALUE_LEN, length) };
	CK_OBJECT_HANDLE key;

	(void)state;
	OK(p11->C_GenerateKey(session, &mechanism, template, 2, &key));
	read_value(key, value, 20);
	/* RFC 6070, the second case. */
	assert_memory_equal(
		value,
		"\xea\x6c\x01\x4d\xc7\x2d\x6f\x8c\xcd\x1e\xd9\x2a\xce\x1d\x41\xf0\xd8\xde\x89\x57",
		20);
}

static void keys_are_encapsulated(void **state)
{
	CK_ATTRIBUTE bits = A_AT(CKA_MODULUS_BITS, rsa_bits);
	CK_RSA_PKCS_OAEP_PARAMS oaep = { CKM_SHA256, CKG_MGF1_SHA256, CKZ_DATA_SPECIFIED, NULL, 0 };
	CK_ECDH1_DERIVE_PARAMS ecdh = { .kdf = CKD_SHA256_KDF };
	const struct {
		CK_MECHANISM mechanism;
		CK_MECHANISM_TYPE pair;
		const CK_ATTRIBUTE *what;
		CK_ULONG length;
	} rows[] = {
		{ mechanism_of(CKM_RSA_PKCS_OAEP, &oaep, sizeof(oaep)), CKM_RSA_PKCS_KEY_PAIR_GEN,
		  &bits, 128 },
		{ mechanism_of(CKM_ECDH1_DERIVE, &ecdh, sizeof(ecdh)), CKM_EC_KEY_PAIR_GEN,
		  &curve256, 65 },
		{ mechanism_of(CKM_ECDH1_DERIVE, NULL, 0), CKM_EC_MONTGOMERY_KEY_PAIR_GEN,
		  &curve25519, 32 },
	};
	CK_ULONG length = 16;
	CK_ATTRIBUTE template[] = { A_AT(CKA_KEY_TYPE, type_generic), A_AT(CKA_VALUE_LEN, length),
		                    A_AT(CKA_PRIVATE, no) };

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		CK_MECHANISM mechanism = rows[i].mechanism;
		CK_OBJECT_HANDLE public, private, key = 0, back, found[64];
		CK_BYTE sealed[128], value[16], value_back[16];
		CK_ULONG n = 1, before;

		make_pair(rows[i].pair, *rows[i].what, &public, &private);
		before = find_all(session, NULL, 0, found, 64);
		IS(p11->C_EncapsulateKey(session, &mechanism, public, template, 3, sealed, &n,
		                         &key),
		   CKR_BUFFER_TOO_SMALL);
		assert_int_equal(n, rows[i].length);
		assert_int_equal(find_all(session, NULL, 0, found, 64), before);
		OK(p11->C_EncapsulateKey(session, &mechanism, public, template, 3, sealed, &n,
		                         &key));
		assert_int_equal(n, rows[i].length);
		OK(p11->C_DecapsulateKey(session, &mechanism, private, template, 3, sealed, n,
		                         &back));
		read_value(key, value, 16);
		read_value(back, value_back, 16);
		assert_memory_equal(value, value_back, 16);
		assert_false(get_bool(session, key, CKA_LOCAL));
		assert_true(get_bool(session, back, CKA_EXTRACTABLE));
	}
}

/* ---- the rest ------------------------------------------------------------------------------------------------------------ */

static void random_numbers_repeat(void **state)
{
	CK_BYTE first[64], second[64] = { 0 }, zeros[64] = { 0 };
	CK_SESSION_HANDLE s;

	(void)state;
	begin("");
	s = open_session(0, 0);
	OK(p11->C_GenerateRandom(s, first, 64));
	OK(p11->C_GenerateRandom(s, second, 64));
	assert_memory_not_equal(first, second, 64);
	assert_memory_not_equal(second + 32, zeros, 32);
	IS(p11->C_GenerateRandom(s, NULL, 1), CKR_ARGUMENTS_BAD);
	OK(p11->C_SeedRandom(s, first, 64));
	end();
	begin("");
	OK(p11->C_GenerateRandom(open_session(0, 0), second, 64));
	assert_memory_equal(first, second, 64);
	/* The same from run to run, but not from one life of the library to the next. */
	OK(p11->C_Finalize(NULL));
	OK(p11->C_Initialize(NULL));
	OK(p11->C_GenerateRandom(open_session(0, 0), second, 64));
	assert_memory_not_equal(first, second, 64);
	end();
	begin("no-rng");
	IS(p11->C_GenerateRandom(open_session(0, 0), second, 64), CKR_RANDOM_NO_RNG);
	end();
	begin("seed-required");
	s = open_session(0, 0);
	IS(p11->C_GenerateRandom(s, second, 64), CKR_SEED_RANDOM_REQUIRED);
	OK(p11->C_SeedRandom(s, first, 64));
	OK(p11->C_GenerateRandom(s, second, 64));
	end();
}

/* The words that choose among what PKCS#11 permits. */
static void oddities_are_permitted(void **state)
{
	CK_MECHANISM sha = mechanism_of(CKM_SHA256, NULL, 0),
		     ecb = mechanism_of(CKM_AES_ECB, NULL, 0);
	CK_ATTRIBUTE unknown = A_BYTES(0x7ffffff0UL, "x");
	CK_BYTE saved[1024], out[64];
	CK_ULONG n = sizeof(saved), size = 0;
	CK_OBJECT_HANDLE key;
	CK_SESSION_HANDLE s;

	(void)state;
	begin("other-codes,unsaveable,no-cancel,no-dual,no-seed");
	s = open_session(0, CKF_RW_SESSION);
	key = make_secret(s, CKK_AES, 16);
	IS(p11->C_FindObjectsInit(s, &unknown, 1), CKR_ATTRIBUTE_TYPE_INVALID);
	OK(p11->C_GetObjectSize(s, key, &size));
	assert_int_equal(size, CK_UNAVAILABLE_INFORMATION);
	IS(p11->C_SeedRandom(s, text, 8), CKR_RANDOM_SEED_NOT_SUPPORTED);
	IS(p11->C_GetOperationState(s, saved, &n), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_DigestInit(s, &sha));
	IS(p11->C_GetOperationState(s, saved, &n), CKR_STATE_UNSAVEABLE);
	IS(p11->C_EncryptInit(s, &ecb, key), CKR_OPERATION_ACTIVE);
	IS(p11->C_SessionCancel(s, CKF_DIGEST), CKR_OPERATION_CANCEL_FAILED);
	IS(p11->C_DigestInit(s, NULL), CKR_OPERATION_CANCEL_FAILED);
	n = sizeof(out);
	OK(p11->C_DigestFinal(s, out, &n));
	end();

	begin("drop-old,state-key-not-needed");
	s = open_session(0, CKF_RW_SESSION);
	key = make_secret(s, CKK_AES, 16);
	OK(p11->C_EncryptInit(s, &ecb, key));
	OK(p11->C_EncryptInit(s, &ecb, key));
	n = sizeof(saved);
	OK(p11->C_GetOperationState(s, saved, &n));
	OK(p11->C_SetOperationState(s, saved, n, 0, 0));
	size = sizeof(out);
	OK(p11->C_Encrypt(s, text, 16, out, &size));
	end();
}

static void asynchronous_calls_pend(void **state)
{
	CK_MECHANISM generate = mechanism_of(CKM_AES_KEY_GEN, NULL, 0),
		     sha = mechanism_of(CKM_SHA256, NULL, 0);
	CK_UTF8CHAR name[] = "C_GenerateKey", digest_name[] = "C_Digest";
	CK_ULONG length = 16, n = 32, id;
	CK_ATTRIBUTE template[] = { A_AT(CKA_VALUE_LEN, length), A_AT(CKA_PRIVATE, no) };
	CK_ASYNC_DATA result;
	CK_OBJECT_HANDLE key = 0;
	CK_SESSION_HANDLE s;
	CK_BYTE out[32];

	(void)state;
	begin("async");
	s = open_session(0, CKF_ASYNC_SESSION);
	memset(&result, 0xee, sizeof(result));
	result.ulVersion = 0;
	IS(p11->C_AsyncComplete(s, name, &result), CKR_OPERATION_NOT_INITIALIZED);
	IS(p11->C_GenerateKey(s, &generate, template, 2, &key), CKR_PENDING);
	IS(p11->C_AsyncGetID(s, digest_name, &id), CKR_OPERATION_NOT_INITIALIZED);
	IS(p11->C_AsyncComplete(s, name, &result), CKR_PENDING);
	assert_int_equal(result.hObject, (CK_OBJECT_HANDLE)0xeeeeeeeeeeeeeeeeULL);
	OK(p11->C_AsyncComplete(s, name, &result));
	assert_int_equal(get_ulong(s, result.hObject, CKA_VALUE_LEN), 16);
	OK(p11->C_DigestInit(s, &sha));
	IS(p11->C_Digest(s, text, 48, out, &n), CKR_PENDING);
	IS(p11->C_AsyncComplete(s, digest_name, &result), CKR_PENDING);
	OK(p11->C_AsyncComplete(s, digest_name, &result));
	assert_int_equal(result.ulValue, 32);
	/* A replay has the caller's address of then, not of now. */
	if (!getenv("MOCK_TEST_MODULE"))
		assert_ptr_equal(result.pValue, out);
	end();
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin_with_user, end_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(digests_agree),
		CASE(macs_are_cut),
		CASE(ciphers_agree),
		CASE(parameters_are_checked),
		CASE(keys_are_checked),
		CASE(operations_end_as_they_must),
		CASE(operations_are_cancelled),
		CASE(keys_are_digested),
		CASE(dual_functions_feed_both),
		CASE(states_are_saved),
		CASE(rsa_signatures),
		CASE(rsa_encryption),
		CASE(curve_signatures),
		CASE(some_keys_want_a_login_each_time),
		CASE(messages_are_sealed),
		CASE(messages_are_signed),
		CASE(keys_are_wrapped),
		CASE(wrapping_is_refused),
		CASE(wrapping_is_authenticated),
		CASE(keys_are_agreed_on),
		CASE(keys_are_derived),
		CASE(dh_keys_are_agreed_on),
		CASE(keys_are_mixed),
		CASE(tls_keys_are_derived),
		CASE(passwords_make_keys),
		CASE(keys_are_encapsulated),
		cmocka_unit_test(random_numbers_repeat),
		cmocka_unit_test(oddities_are_permitted),
		cmocka_unit_test(asynchronous_calls_pend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
