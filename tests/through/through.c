/* SPDX-License-Identifier: MIT
 *
 * One body of tests for a module with a token labelled "through", user PIN 1234. tests/e2e/through.sh
 * runs it directly against SoftHSM2, through the recorder, and against the replayer playing what was
 * recorded: the same expectations hold three times, and the results printed are the same.
 *
 *   through MODULE
 *
 * Every call is determined by what the module answered before: nothing is drawn at random here.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/api/pkcs11.h"

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session;

#define assert_rv(call, rv) assert_int_equal((call), (rv))
#define assert_ok(call) assert_rv((call), CKR_OK)

/* What a run shows, for comparison with another run. */
static void show(const char *what, const void *bytes, size_t length)
{
	const unsigned char *from = bytes;
	printf("# %s: ", what);
	for (size_t i = 0; i < length; i++)
		printf("%02x", from[i]);
	printf("\n");
}

static CK_BBOOL yes = CK_TRUE;
static CK_BBOOL no = CK_FALSE;

static CK_OBJECT_HANDLE find_one(CK_ATTRIBUTE *template, CK_ULONG count)
{
	CK_OBJECT_HANDLE found[4];
	CK_ULONG n = 0;
	assert_ok(p11->C_FindObjectsInit(session, template, count));
	assert_ok(p11->C_FindObjects(session, found, 4, &n));
	assert_ok(p11->C_FindObjectsFinal(session));
	assert_int_equal(n, 1);
	return found[0];
}

static CK_OBJECT_HANDLE make_secret(CK_KEY_TYPE type, const void *value, CK_ULONG length,
                                    CK_BBOOL sensitive)
{
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_OBJECT_HANDLE key = 0;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_VALUE, (void *)(uintptr_t)value, length },
		{ CKA_TOKEN, &no, sizeof(no) },
		{ CKA_SENSITIVE, &sensitive, sizeof(sensitive) },
		{ CKA_EXTRACTABLE, &yes, sizeof(yes) },
		{ CKA_ENCRYPT, &yes, sizeof(yes) },
		{ CKA_DECRYPT, &yes, sizeof(yes) },
		{ CKA_SIGN, &yes, sizeof(yes) },
		{ CKA_VERIFY, &yes, sizeof(yes) },
		{ CKA_WRAP, &yes, sizeof(yes) },
		{ CKA_UNWRAP, &yes, sizeof(yes) },
	};
	assert_ok(p11->C_CreateObject(session, template, sizeof(template) / sizeof(template[0]),
	                              &key));
	return key;
}

static void the_token_shows_itself(void **state)
{
	(void)state;
	CK_INFO info;
	CK_TOKEN_INFO token;
	CK_SLOT_INFO slot_info;
	CK_SESSION_INFO session_info;
	assert_ok(p11->C_GetInfo(&info));
	show("library", info.manufacturerID, sizeof(info.manufacturerID));
	assert_ok(p11->C_GetSlotInfo(slot, &slot_info));
	assert_true((slot_info.flags & CKF_TOKEN_PRESENT) != 0);
	assert_ok(p11->C_GetTokenInfo(slot, &token));
	show("label", token.label, sizeof(token.label));
	assert_memory_equal(token.label, "through                         ", 32);
	assert_ok(p11->C_GetSessionInfo(session, &session_info));
	assert_int_equal(session_info.slotID, slot);
	assert_int_equal(session_info.state, CKS_RW_USER_FUNCTIONS);
	assert_rv(p11->C_GetSlotInfo(slot + 4711, &slot_info), CKR_SLOT_ID_INVALID);
	assert_rv(p11->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
}

static void mechanisms_are_listed_by_the_length_rules(void **state)
{
	(void)state;
	CK_MECHANISM_TYPE list[512];
	CK_MECHANISM_INFO info;
	CK_ULONG count = 0;
	assert_ok(p11->C_GetMechanismList(slot, NULL, &count));
	assert_in_range(count, 2, 512);
	CK_ULONG one = 1;
	assert_rv(p11->C_GetMechanismList(slot, list, &one), CKR_BUFFER_TOO_SMALL);
	CK_ULONG all = 512;
	assert_ok(p11->C_GetMechanismList(slot, list, &all));
	assert_int_equal(all, count);
	memset(&info, 0, sizeof(info));
	assert_ok(p11->C_GetMechanismInfo(slot, CKM_RSA_PKCS_KEY_PAIR_GEN, &info));
	show("rsa", &info.ulMaxKeySize, sizeof(info.ulMaxKeySize));
	assert_rv(p11->C_GetMechanismInfo(slot, 0x80007777UL, &info), CKR_MECHANISM_INVALID);
}

static void sessions_open_and_close(void **state)
{
	(void)state;
	CK_SESSION_HANDLE other = 0;
	CK_SESSION_INFO info;
	assert_ok(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &other));
	assert_ok(p11->C_GetSessionInfo(other, &info));
	assert_int_equal(info.state, CKS_RO_USER_FUNCTIONS);
	assert_ok(p11->C_CloseSession(other));
	assert_rv(p11->C_GetSessionInfo(other, &info), CKR_SESSION_HANDLE_INVALID);
	assert_rv(p11->C_OpenSession(slot, 0, NULL, NULL, &other),
	          CKR_SESSION_PARALLEL_NOT_SUPPORTED);
}

static void a_second_login_is_refused(void **state)
{
	(void)state;
	CK_UTF8CHAR pin[] = "1234";
	assert_rv(p11->C_Login(session, CKU_USER, pin, 4), CKR_USER_ALREADY_LOGGED_IN);
}

/* PKCS#11 3.1 §5.7.5: what can be read is read, whatever else is in the template. */
static void a_mixed_template_keeps_what_can_be_read(void **state)
{
	(void)state;
	CK_OBJECT_HANDLE key = make_secret(CKK_GENERIC_SECRET, "0123456789abcdef", 16, CK_TRUE);
	CK_OBJECT_CLASS class = 0;
	char value[64];
	char label[1];
	CK_ULONG modulus = 0;
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },       { CKA_VALUE, value, sizeof(value) },
		{ CKA_MODULUS, &modulus, sizeof(modulus) }, { CKA_LABEL, NULL, 0 },
		{ CKA_KEY_TYPE, label, sizeof(label) },
	};
	CK_RV rv = p11->C_GetAttributeValue(session, key, template, 5);
	printf("# mixed: %lx\n", rv);
	assert_true(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	            rv == CKR_BUFFER_TOO_SMALL);
	assert_int_equal(class, CKO_SECRET_KEY);
	assert_int_equal(template[1].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(template[2].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(template[3].ulValueLen, 0);
	assert_int_equal(template[4].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_ok(p11->C_DestroyObject(session, key));
	assert_rv(p11->C_DestroyObject(session, key), CKR_OBJECT_HANDLE_INVALID);
}

static void attributes_change(void **state)
{
	(void)state;
	CK_OBJECT_HANDLE key = make_secret(CKK_GENERIC_SECRET, "0123456789abcdef", 16, CK_FALSE);
	char before[64];
	char after[64];
	char value[64];
	char text[] = "grün \"quoted\" \\ ☃";
	CK_ULONG length = sizeof(text) - 1;
	CK_ATTRIBUTE set = { CKA_LABEL, text, length };
	CK_ATTRIBUTE get = { CKA_LABEL, before, sizeof(before) };
	assert_ok(p11->C_GetAttributeValue(session, key, &get, 1));
	assert_int_equal(get.ulValueLen, 0);
	assert_ok(p11->C_SetAttributeValue(session, key, &set, 1));
	get.pValue = after;
	get.ulValueLen = sizeof(after);
	assert_ok(p11->C_GetAttributeValue(session, key, &get, 1));
	assert_int_equal(get.ulValueLen, length);
	assert_memory_equal(after, text, length);
	CK_ATTRIBUTE read = { CKA_VALUE, value, sizeof(value) };
	assert_ok(p11->C_GetAttributeValue(session, key, &read, 1));
	show("value", value, read.ulValueLen);
	CK_ATTRIBUTE find[] = { { CKA_LABEL, after, length } };
	assert_int_equal(find_one(find, 1), key);
	assert_ok(p11->C_DestroyObject(session, key));
}

static void digests_in_every_shape(void **state)
{
	(void)state;
	CK_MECHANISM sha256 = { CKM_SHA256, NULL, 0 };
	unsigned char digest[64];
	unsigned char parts[64];
	CK_ULONG length = 0;
	CK_BYTE data[] = "hello";
	assert_ok(p11->C_DigestInit(session, &sha256));
	assert_rv(p11->C_DigestInit(session, &sha256), CKR_OPERATION_ACTIVE);
	assert_ok(p11->C_Digest(session, data, 5, NULL, &length));
	assert_int_equal(length, 32);
	length = 3;
	assert_rv(p11->C_Digest(session, data, 5, digest, &length), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(length, 32);
	length = sizeof(digest);
	assert_ok(p11->C_Digest(session, data, 5, digest, &length));
	show("digest", digest, length);
	assert_ok(p11->C_DigestInit(session, &sha256));
	assert_ok(p11->C_DigestUpdate(session, data, 2));
	assert_ok(p11->C_DigestUpdate(session, data + 2, 3));
	length = 32;
	assert_ok(p11->C_DigestFinal(session, parts, &length));
	assert_memory_equal(parts, digest, 32);
	assert_rv(p11->C_DigestFinal(session, parts, &length), CKR_OPERATION_NOT_INITIALIZED);
}

static void aes_in_place_and_in_parts(void **state)
{
	(void)state;
	CK_OBJECT_HANDLE key = make_secret(CKK_AES, "0123456789abcdef", 16, CK_FALSE);
	CK_BYTE iv[16] = { 1, 2, 3 };
	CK_MECHANISM cbc = { CKM_AES_CBC_PAD, iv, sizeof(iv) };
	CK_BYTE text[300];
	CK_BYTE out[400];
	CK_BYTE back[400];
	CK_ULONG length = sizeof(out);
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (CK_BYTE)i;
	assert_ok(p11->C_EncryptInit(session, &cbc, key));
	assert_ok(p11->C_Encrypt(session, text, sizeof(text), out, &length));
	show("ciphertext", out, 32);
	assert_ok(p11->C_DecryptInit(session, &cbc, key));
	CK_ULONG total = 0;
	for (CK_ULONG at = 0; at < length; at += 64) {
		CK_ULONG part = sizeof(back) - total;
		CK_ULONG size = length - at < 64 ? length - at : 64;
		assert_ok(p11->C_DecryptUpdate(session, out + at, size, back + total, &part));
		total += part;
	}
	CK_ULONG last = sizeof(back) - total;
	assert_ok(p11->C_DecryptFinal(session, back + total, &last));
	assert_int_equal(total + last, sizeof(text));
	assert_memory_equal(back, text, sizeof(text));
	/* Output over input. */
	CK_MECHANISM ecb = { CKM_AES_ECB, NULL, 0 };
	memcpy(back, text, 32);
	length = 32;
	assert_ok(p11->C_EncryptInit(session, &ecb, key));
	assert_ok(p11->C_Encrypt(session, back, 32, back, &length));
	show("in place", back, length);
	assert_ok(p11->C_DestroyObject(session, key));
}

static void gcm_keeps_its_parameter(void **state)
{
	(void)state;
	CK_OBJECT_HANDLE key = make_secret(CKK_AES, "0123456789abcdef", 16, CK_FALSE);
	CK_BYTE iv[12] = "fixed nonce";
	CK_BYTE aad[] = "header";
	CK_GCM_PARAMS gcm = { iv, sizeof(iv), sizeof(iv) * 8, aad, 6, 128 };
	CK_MECHANISM mechanism = { CKM_AES_GCM, &gcm, sizeof(gcm) };
	CK_BYTE out[64];
	CK_ULONG length = sizeof(out);
	CK_BYTE data[] = "secret";
	assert_ok(p11->C_EncryptInit(session, &mechanism, key));
	assert_ok(p11->C_Encrypt(session, data, 6, out, &length));
	assert_int_equal(length, 6 + 16);
	show("gcm", out, length);
	assert_ok(p11->C_DestroyObject(session, key));
}

static void keys_are_wrapped_and_unwrapped(void **state)
{
	(void)state;
	CK_OBJECT_HANDLE wrapping = make_secret(CKK_AES, "0123456789abcdef", 16, CK_FALSE);
	CK_OBJECT_HANDLE inner = make_secret(CKK_AES, "fedcba9876543210", 16, CK_FALSE);
	CK_OBJECT_HANDLE again = 0;
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_KEY_TYPE type = CKK_AES;
	CK_MECHANISM mechanism = { CKM_AES_KEY_WRAP, NULL, 0 };
	CK_BYTE wrapped[64];
	CK_ULONG length = 0;
	assert_ok(p11->C_WrapKey(session, &mechanism, wrapping, inner, NULL, &length));
	assert_int_equal(length, 24);
	assert_ok(p11->C_WrapKey(session, &mechanism, wrapping, inner, wrapped, &length));
	show("wrapped", wrapped, length);
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },   { CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &no, sizeof(no) },         { CKA_SENSITIVE, &no, sizeof(no) },
		{ CKA_EXTRACTABLE, &yes, sizeof(yes) },
	};
	assert_ok(p11->C_UnwrapKey(session, &mechanism, wrapping, wrapped, length, template, 5,
	                           &again));
	char value[16];
	CK_ATTRIBUTE read = { CKA_VALUE, value, sizeof(value) };
	assert_ok(p11->C_GetAttributeValue(session, again, &read, 1));
	assert_memory_equal(value, "fedcba9876543210", 16);
}

/* Everything here is different in every run: a replay has to give this run's values. */
static void random_values_are_those_of_the_recording(void **state)
{
	(void)state;
	CK_BYTE random[32];
	CK_BYTE seed[8] = { 0 };
	CK_OBJECT_HANDLE public_key = 0;
	CK_OBJECT_HANDLE private_key = 0;
	CK_BYTE prime256v1[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
	CK_MECHANISM generate = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_MECHANISM ecdsa = { CKM_ECDSA, NULL, 0 };
	CK_ATTRIBUTE public_template[] = {
		{ CKA_EC_PARAMS, prime256v1, sizeof(prime256v1) },
		{ CKA_VERIFY, &yes, sizeof(yes) },
	};
	CK_ATTRIBUTE private_template[] = {
		{ CKA_SIGN, &yes, sizeof(yes) },
	};
	CK_BYTE signature[128];
	CK_ULONG length = sizeof(signature);
	CK_BYTE hash[32] = "thirty-two bytes that are signed";
	assert_ok(p11->C_SeedRandom(session, seed, sizeof(seed)));
	assert_ok(p11->C_GenerateRandom(session, random, sizeof(random)));
	show("random", random, sizeof(random));
	assert_ok(p11->C_GenerateKeyPair(session, &generate, public_template, 2, private_template,
	                                 1, &public_key, &private_key));
	CK_BYTE point[80];
	CK_ATTRIBUTE read = { CKA_EC_POINT, point, sizeof(point) };
	assert_ok(p11->C_GetAttributeValue(session, public_key, &read, 1));
	show("point", point, read.ulValueLen);
	assert_ok(p11->C_SignInit(session, &ecdsa, private_key));
	assert_ok(p11->C_Sign(session, hash, sizeof(hash), signature, &length));
	show("signature", signature, length);
	assert_ok(p11->C_VerifyInit(session, &ecdsa, public_key));
	assert_ok(p11->C_Verify(session, hash, sizeof(hash), signature, length));
	signature[0] ^= 1;
	assert_ok(p11->C_VerifyInit(session, &ecdsa, public_key));
	assert_rv(p11->C_Verify(session, hash, sizeof(hash), signature, length),
	          CKR_SIGNATURE_INVALID);
}

static void large_payloads_pass(void **state)
{
	(void)state;
	static unsigned char data[200000];
	unsigned char digest[32];
	CK_ULONG length = sizeof(digest);
	CK_MECHANISM sha256 = { CKM_SHA256, NULL, 0 };
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i * 7);
	assert_ok(p11->C_DigestInit(session, &sha256));
	assert_ok(p11->C_Digest(session, data, sizeof(data), digest, &length));
	show("large digest", digest, length);
}

static int open_session(void **state)
{
	(void)state;
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;
	CK_UTF8CHAR pin[] = "1234";
	CK_TOKEN_INFO token;
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	assert_ok(p11->C_Initialize(&args));
	assert_ok(p11->C_GetSlotList(CK_TRUE, slots, &count));
	for (CK_ULONG i = 0; i < count; i++)
		if (p11->C_GetTokenInfo(slots[i], &token) == CKR_OK &&
		    memcmp(token.label, "through ", 8) == 0)
			slot = slots[i];
	assert_ok(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
	                             &session));
	CK_UTF8CHAR wrong[] = "9999";
	assert_rv(p11->C_Login(session, CKU_USER, wrong, 4), CKR_PIN_INCORRECT);
	assert_ok(p11->C_Login(session, CKU_USER, pin, 4));
	return 0;
}

static int close_session(void **state)
{
	(void)state;
	assert_ok(p11->C_Logout(session));
	assert_ok(p11->C_CloseAllSessions(slot));
	assert_ok(p11->C_Finalize(NULL));
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_token_shows_itself),
		cmocka_unit_test(mechanisms_are_listed_by_the_length_rules),
		cmocka_unit_test(sessions_open_and_close),
		cmocka_unit_test(a_second_login_is_refused),
		cmocka_unit_test(a_mixed_template_keeps_what_can_be_read),
		cmocka_unit_test(attributes_change),
		cmocka_unit_test(digests_in_every_shape),
		cmocka_unit_test(aes_in_place_and_in_parts),
		cmocka_unit_test(gcm_keeps_its_parameter),
		cmocka_unit_test(keys_are_wrapped_and_unwrapped),
		cmocka_unit_test(random_values_are_those_of_the_recording),
		cmocka_unit_test(large_payloads_pass),
	};
	void *module = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	if (module == NULL) {
		fprintf(stderr, "usage: through MODULE%s%s\n", argc == 2 ? ": " : "",
		        argc == 2 ? dlerror() : "");
		return 2;
	}
	CK_C_GetFunctionList get;
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL || get(&p11) != CKR_OK)
		return 2;
	return cmocka_run_group_tests_name("through", tests, open_session, close_session);
}
