/* SPDX-License-Identifier: MIT
 *
 * signer MODULE FILE…: signs each file with the token's private key (RSA, SHA-256) and writes FILE.sig. A
 * token that fails is tried again, up to five times. docs/faults.md tells what is wrong with that.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "pkcs11.h"

#define TRIES 5

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;

/* A session with the first token, logged in, and its key. */
static CK_RV start(void)
{
	CK_SLOT_ID slot;
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;
	CK_UTF8CHAR pin[] = "1234";
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted = { CKA_CLASS, &class, sizeof(class) };
	CK_RV rv = p11->C_GetSlotList(CK_TRUE, slots, &count);
	if (rv != CKR_OK)
		return rv;
	slot = slots[0];
	rv = p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
	if (rv == CKR_OK)
		rv = p11->C_Login(session, CKU_USER, pin, sizeof(pin) - 1);
	if (rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN)
		rv = p11->C_FindObjectsInit(session, &wanted, 1);
	if (rv != CKR_OK)
		return rv;
	rv = p11->C_FindObjects(session, &key, 1, &count);
	p11->C_FindObjectsFinal(session);
	return rv == CKR_OK && count == 0 ? CKR_KEY_HANDLE_INVALID : rv;
}

static CK_RV sign(CK_BYTE *data, CK_ULONG length, CK_BYTE *signature, CK_ULONG *signature_length)
{
	CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	CK_RV rv = p11->C_SignInit(session, &mechanism, key);
	if (rv == CKR_OK)
		rv = p11->C_Sign(session, data, length, signature, signature_length);
	return rv;
}

/* Make the next try possible: after a token was away, nothing of the session is left. */
static void recover(CK_RV rv)
{
	if (rv != CKR_DEVICE_REMOVED && rv != CKR_TOKEN_NOT_PRESENT &&
	    rv != CKR_SESSION_HANDLE_INVALID)
		return;
	p11->C_CloseSession(session);
	start();
}

static size_t load(const char *path, CK_BYTE *data, size_t size)
{
	FILE *file = fopen(path, "rb");
	size_t length = file == NULL ? 0 : fread(data, 1, size, file);
	if (file != NULL)
		fclose(file);
	return length;
}

static void save(const char *path, const CK_BYTE *signature, CK_ULONG length)
{
	char name[4096];
	snprintf(name, sizeof(name), "%s.sig", path);
	FILE *file = fopen(name, "wb");
	if (file == NULL || fwrite(signature, 1, length, file) != length)
		perror(name);
	if (file != NULL)
		fclose(file);
	printf("%s: signed, %lu bytes\n", path, length);
}

int main(int argc, char **argv)
{
	CK_C_GetFunctionList get;
	CK_BYTE data[65536];
	CK_BYTE signature[512];
	CK_RV rv;
	int tries = 0;
	void *module = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
	if (module == NULL || (*(void **)&get = dlsym(module, "C_GetFunctionList")) == NULL) {
		fprintf(stderr, "usage: signer MODULE FILE…\n");
		return 2;
	}
	if (get(&p11) != CKR_OK || p11->C_Initialize(NULL) != CKR_OK || (rv = start()) != CKR_OK) {
		fprintf(stderr, "signer: no token\n");
		return 2;
	}
	for (int i = 2; i < argc && tries < TRIES; i++) {
		CK_ULONG length = sizeof(signature);
		rv = sign(data, load(argv[i], data, sizeof(data)), signature, &length);
		if (rv != CKR_OK) {
			recover(rv);
			tries++;
			continue;
		}
		save(argv[i], signature, length);
	}
	p11->C_Finalize(NULL);
	if (rv != CKR_OK)
		fprintf(stderr, "signer: the token fails: 0x%lx\n", rv);
	return rv == CKR_OK ? 0 : 1;
}
