/* SPDX-License-Identifier: MIT
 *
 * A program that uses libcrypto itself, and signs with a module: before or after it, in a thread, in a
 * forked child, and once more when the module was closed. Its own exit handler must run, and its own
 * libcrypto must answer, wherever the module's answers come from.
 *
 *   robust-crypto MODULE PUBLIC-KEY first|last TEXT [alone]
 *
 * `first`: libcrypto is used before the module is loaded; `last`: behind its first signature. Signs TEXT with
 * key 01 (CKM_SHA256_RSA_PKCS), PIN 1234, and prints whether PUBLIC-KEY (PEM) verifies the signatures. `alone`: no child is forked.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "tests/robust/robust.h"

static CK_FUNCTION_LIST *p11;
static const char *public_path;
static const char *own = "the program's own";

static void own_exit_handler(void)
{
	printf("%s exit handler\n", own);
}

static void use_own_libcrypto(void)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int length = 0;
	CHECK(EVP_Digest(own, strlen(own), digest, &length, EVP_sha256(), NULL) == 1);
	CHECK(length == 32);
}

static void verify(const char *text, const unsigned char *signature, size_t length)
{
	FILE *file = fopen(public_path, "r");
	CHECK(file != NULL);
	EVP_PKEY *key = PEM_read_PUBKEY(file, NULL, NULL, NULL);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	CHECK(key != NULL && context != NULL);
	CHECK(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1);
	bool good = EVP_DigestVerify(context, signature, length, (const unsigned char *)text,
	                             strlen(text)) == 1;
	printf("%s: %s\n", text, good ? "good" : "bad");
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	fclose(file);
}

static CK_SESSION_HANDLE open_session(void)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	CK_SESSION_HANDLE session;
	CK_UTF8CHAR pin[] = "1234";
	CHECK(p11->C_Initialize(NULL) == CKR_OK);
	CHECK(p11->C_GetSlotList(CK_TRUE, slots, &count) == CKR_OK && count >= 1);
	CHECK(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session) == CKR_OK);
	CHECK(p11->C_Login(session, CKU_USER, pin, 4) == CKR_OK);
	return session;
}

/* In two parts. Returns the length; the signature is not looked at here. */
static size_t sign(const char *text, unsigned char signature[512])
{
	CK_SESSION_HANDLE session = open_session();
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_BYTE id[] = { 1 };
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_ID, id, 1 } };
	CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	CK_OBJECT_HANDLE key;
	CK_ULONG count;
	CK_ULONG length = 512;
	CHECK(p11->C_FindObjectsInit(session, template, 2) == CKR_OK);
	CHECK(p11->C_FindObjects(session, &key, 1, &count) == CKR_OK && count == 1);
	CHECK(p11->C_FindObjectsFinal(session) == CKR_OK);
	CHECK(p11->C_SignInit(session, &mechanism, key) == CKR_OK);
	CHECK(p11->C_SignUpdate(session, (CK_BYTE *)(uintptr_t)text, 2) == CKR_OK);
	CHECK(p11->C_SignUpdate(session, (CK_BYTE *)(uintptr_t)text + 2, strlen(text) - 2) ==
	      CKR_OK);
	CHECK(p11->C_SignFinal(session, signature, &length) == CKR_OK);
	CHECK(p11->C_CloseSession(session) == CKR_OK);
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
	return length;
}

static void *sign_in_thread(void *text)
{
	unsigned char signature[512];
	verify(text, signature, sign(text, signature));
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned char signature[512];
	char of_thread[256], of_child[256];
	pthread_t thread;
	CK_C_GetFunctionList get;
	void *handle;
	CHECK(argc == 5 || argc == 6);
	public_path = argv[2];
	snprintf(of_thread, sizeof(of_thread), "%s in a thread", argv[4]);
	snprintf(of_child, sizeof(of_child), "%s in a child", argv[4]);
	setvbuf(stdout, NULL, _IOLBF, 0);

	if (strcmp(argv[3], "first") == 0)
		use_own_libcrypto();
	CHECK((handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL)) != NULL);
	robust_symbol(handle, "C_GetFunctionList", &get);
	CHECK(get(&p11) == CKR_OK);
	size_t length = sign(argv[4], signature);
	/* With `last` this is what initialises it: not before the module's answer. */
	CHECK(OPENSSL_atexit(own_exit_handler) == 1);
	use_own_libcrypto();
	verify(argv[4], signature, length);
	CHECK(pthread_create(&thread, NULL, sign_in_thread, of_thread) == 0);
	CHECK(pthread_join(thread, NULL) == 0);

	pid_t child = argc == 6 ? 0 : fork();
	CHECK(child >= 0);
	if (child == 0 && argc == 5) {
		sign_in_thread(of_child);
		exit(0);
	}
	if (child != 0)
		CHECK(robust_wait(child) == 0);
	CHECK(dlclose(handle) == 0);
	use_own_libcrypto();
	return 0;
}
