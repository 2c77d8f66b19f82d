/* SPDX-License-Identifier: MIT
 *
 * steps MODULE STEP…: a program that does what its arguments say, and prints what every step returned and what it got.
 * One session at a time (`use` chooses among those that were opened) and one object (`pick` among those found or made).
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/robust/robust.h"

#define MOST 16

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE sessions[MOST];
static CK_OBJECT_HANDLE objects[MOST];
static CK_ULONG session_count, object_count;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE object;
static unsigned int notified;

static CK_RV notify(CK_SESSION_HANDLE of, CK_NOTIFICATION event, void *application)
{
	(void)event;
	notified += of == session && application == &notified;
	return CKR_OK;
}

static void add_object(CK_OBJECT_HANDLE made)
{
	CHECK(object_count < MOST);
	objects[object_count++] = object = made;
}

static void print_bytes(const unsigned char *bytes, CK_ULONG length)
{
	for (CK_ULONG i = 0; i < length; i++)
		printf("%02x", bytes[i]);
}

static CK_RV seek(char *label)
{
	CK_ATTRIBUTE template[] = { { CKA_LABEL, label, (CK_ULONG)strlen(label) } };
	return p11->C_FindObjectsInit(session, template, label[0] == 0 ? 0 : 1);
}

static CK_RV next(CK_ULONG most)
{
	CK_OBJECT_HANDLE found[MOST];
	CK_ULONG count = 0;
	CK_RV rv = p11->C_FindObjects(session, found, most, &count);
	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++)
		add_object(found[i]);
	printf("%lu ", (unsigned long)count);
	return rv;
}

static CK_RV read_attribute(CK_ATTRIBUTE_TYPE type)
{
	unsigned char value[512];
	CK_ATTRIBUTE entry = { type, value, sizeof(value) };
	CK_RV rv = p11->C_GetAttributeValue(session, object, &entry, 1);
	if (rv == CKR_OK)
		print_bytes(value, entry.ulValueLen);
	printf(" ");
	return rv;
}

static CK_RV create(char *label, CK_BBOOL token)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_OBJECT_HANDLE made;
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) },
		                    { CKA_TOKEN, &token, 1 },
		                    { CKA_LABEL, label, (CK_ULONG)strlen(label) } };
	CK_RV rv = p11->C_CreateObject(session, template, 3, &made);
	if (rv == CKR_OK)
		add_object(made);
	return rv;
}

static CK_RV relabel(char *label)
{
	CK_ATTRIBUTE entry = { CKA_LABEL, label, (CK_ULONG)strlen(label) };
	return p11->C_SetAttributeValue(session, object, &entry, 1);
}

static CK_RV generate(void)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_ULONG length = 16;
	CK_BBOOL yes = CK_TRUE;
	CK_OBJECT_HANDLE made;
	CK_ATTRIBUTE template[] = { { CKA_VALUE_LEN, &length, sizeof(length) },
		                    { CKA_ENCRYPT, &yes, 1 } };
	CK_RV rv = p11->C_GenerateKey(session, &mechanism, template, 2, &made);
	if (rv == CKR_OK)
		add_object(made);
	return rv;
}

static CK_RV sign_init(void)
{
	CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	return p11->C_SignInit(session, &mechanism, object);
}

static CK_RV encrypt_init(void)
{
	CK_MECHANISM mechanism = { CKM_AES_ECB, NULL, 0 };
	return p11->C_EncryptInit(session, &mechanism, object);
}

static CK_RV sign(char *data)
{
	unsigned char signature[512];
	CK_ULONG length = sizeof(signature);
	CK_RV rv = data == NULL ? p11->C_SignFinal(session, signature, &length)
	                        : p11->C_Sign(session, (CK_BYTE *)data, (CK_ULONG)strlen(data),
	                                      signature, &length);
	if (rv == CKR_OK)
		print_bytes(signature, length);
	printf(" ");
	return rv;
}

static CK_RV open_one(void)
{
	CHECK(session_count < MOST);
	CK_RV rv = p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, &notified, notify,
	                              &session);
	if (rv == CKR_OK)
		sessions[session_count++] = session;
	return rv;
}

static CK_RV info(void)
{
	CK_SESSION_INFO state;
	CK_RV rv = p11->C_GetSessionInfo(session, &state);
	if (rv == CKR_OK)
		printf("%s %lu ", state.slotID == slot ? "the slot" : "ANOTHER SLOT",
		       (unsigned long)state.state);
	return rv;
}

static CK_RV list(void)
{
	CK_SLOT_ID slots[MOST];
	CK_ULONG count = MOST;
	CK_RV rv = p11->C_GetSlotList(CK_TRUE, slots, &count);
	if (rv == CKR_OK && count != 0)
		slot = slots[0];
	return rv;
}

static CK_RV token(void)
{
	CK_TOKEN_INFO known;
	CK_RV rv = p11->C_GetTokenInfo(slot, &known);
	if (rv == CKR_OK)
		printf("%.16s ", (const char *)known.label);
	return rv;
}

static CK_RV step(const char *name, char *word)
{
	CK_ULONG number = strtoul(word, NULL, 10);
	CK_ULONG length = (CK_ULONG)strlen(word);
#define STEP(text) if (strcmp(name, text) == 0)
	STEP("init") return p11->C_Initialize(NULL);
	STEP("final") return p11->C_Finalize(NULL);
	STEP("list") return list();
	STEP("token") return token();
	STEP("open") return open_one();
	STEP("use") return (session = sessions[number]) == 0;
	STEP("close") return p11->C_CloseSession(session);
	STEP("login") return p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)word, length);
	STEP("logout") return p11->C_Logout(session);
	STEP("info") return info();
	STEP("seek") return seek(word);
	STEP("next") return next(number);
	STEP("done") return p11->C_FindObjectsFinal(session);
	STEP("pick") return (object = objects[number]) == 0;
	STEP("id") return read_attribute(CKA_ID);
	STEP("label") return read_attribute(CKA_LABEL);
	STEP("modulus") return read_attribute(CKA_MODULUS);
	STEP("create") return create(word, CK_FALSE);
	STEP("create-token") return create(word, CK_TRUE);
	STEP("relabel") return relabel(word);
	STEP("destroy") return p11->C_DestroyObject(session, object);
	STEP("generate") return generate();
	STEP("sign-init") return sign_init();
	STEP("part") return p11->C_SignUpdate(session, (CK_BYTE *)word, length);
	STEP("sign") return sign(word);
	STEP("sign-final") return sign(NULL);
	STEP("encrypt-init") return encrypt_init();
	fprintf(stderr, "steps: '%s' is no step\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	CK_C_GetFunctionList get;
	CHECK(argc > 1);
	void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	CHECK(module != NULL);
	robust_symbol(module, "C_GetFunctionList", &get);
	CHECK(get(&p11) == CKR_OK);
	for (int i = 2; i < argc; i++) {
		char nothing[] = "";
		char *word = strchr(argv[i], ':');
		if (strcmp(argv[i], "fork") == 0) {
			fflush(stdout);
			pid_t child = fork();
			if (child != 0)
				return robust_wait(child) == 0 ? 0 : 1;
			continue;
		}
		if (word != NULL)
			*word++ = 0;
		printf("%s: ", argv[i]);
		CK_RV rv = step(argv[i], word == NULL ? nothing : word);
		printf("0x%lx\n", (unsigned long)rv);
	}
	return notified == 0 ? 0 : 3;
}
