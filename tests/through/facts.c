/* SPDX-License-Identifier: MIT
 *
 * A program that says what it learns of a token, in every way in which PKCS#11 lets it ask.
 *
 *   facts MODULE
 *
 * The certificate's attributes are asked for four at once, as NSS asks for a trust object's: first their
 * lengths, then their values.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/api/pkcs11.h"

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session;
static CK_MECHANISM_TYPE mechanisms[1024];
static CK_ULONG mechanism_count;

static void ask_mechanisms(void)
{
	CK_MECHANISM_INFO info;
	CK_RV query = p11->C_GetMechanismList(slot, NULL, &mechanism_count);
	CK_ULONG room = mechanism_count;
	/* No more room than was said to be needed. */
	CK_RV full = p11->C_GetMechanismList(slot, mechanisms, &mechanism_count);
	int found = 0;
	for (CK_ULONG i = 0; i < mechanism_count; i++)
		found |= mechanisms[i] == CKM_SHA256_RSA_PKCS;
	printf("mechanisms: 0x%lx, 0x%lx, as many as were said: %s, CKM_SHA256_RSA_PKCS: %s\n",
	       query, full, room == mechanism_count ? "yes" : "no", found ? "yes" : "no");
	printf("information on it: 0x%lx\n",
	       p11->C_GetMechanismInfo(slot, CKM_SHA256_RSA_PKCS, &info));
}

static CK_RV find(CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *ret_object)
{
	CK_ULONG found = 0;
	CK_RV rv = p11->C_FindObjectsInit(session, template, count);
	*ret_object = 0;
	if (rv != CKR_OK)
		return rv;
	rv = p11->C_FindObjects(session, ret_object, 1, &found);
	p11->C_FindObjectsFinal(session);
	return rv;
}

static void ask_attributes(CK_OBJECT_HANDLE object)
{
	static const char *const names[] = { "class", "label", "id", "value" };
	CK_ATTRIBUTE list[] = { { CKA_CLASS, NULL, 0 },
		                { CKA_LABEL, NULL, 0 },
		                { CKA_ID, NULL, 0 },
		                { CKA_VALUE, NULL, 0 } };
	CK_RV rv = p11->C_GetAttributeValue(session, object, list, 4);
	printf("lengths: 0x%lx", rv);
	for (size_t i = 0; i < 4; i++) {
		printf(", %s %ld", names[i], (long)list[i].ulValueLen);
		if (list[i].ulValueLen != CK_UNAVAILABLE_INFORMATION)
			list[i].pValue = calloc(1, list[i].ulValueLen + 1);
	}
	rv = p11->C_GetAttributeValue(session, object, list, 4);
	printf("\nvalues: 0x%lx, label '%s', value %ld\n", rv,
	       list[1].pValue == NULL ? "-" : (char *)list[1].pValue, (long)list[3].ulValueLen);
	for (size_t i = 0; i < 4; i++)
		free(list[i].pValue);
	/* The flaw of those who give up all four where one is missing. */
	printf("trusted by the impatient: %s\n", rv == CKR_OK ? "yes" : "no");
}

static void sign(void)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
	CK_OBJECT_HANDLE key;
	CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	CK_BYTE data[] = "hello";
	CK_BYTE signature[512];
	CK_ULONG length = sizeof(signature);
	CK_RV found = find(&template, 1, &key);
	CK_RV init = p11->C_SignInit(session, &mechanism, key);
	CK_RV rv = init == CKR_OK ? p11->C_Sign(session, data, 5, signature, &length) : init;
	printf("signature: 0x%lx, 0x%lx, %ld bytes\n", found, rv, rv == CKR_OK ? (long)length : 0L);
}

int main(int argc, char **argv)
{
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;
	CK_C_GetFunctionList get;
	CK_UTF8CHAR pin[] = "1234";
	CK_UTF8CHAR label[] = "k";
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) }, { CKA_LABEL, label, 1 } };
	CK_OBJECT_HANDLE object;
	void *module = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	if (module == NULL) {
		fprintf(stderr, "usage: facts MODULE\n");
		return 2;
	}
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL || get(&p11) != CKR_OK || p11->C_Initialize(NULL) != CKR_OK)
		return 2;
	if (p11->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK || count == 0)
		return 2;
	slot = slots[0];
	printf("session: 0x%lx\n",
	       p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session));
	printf("login: 0x%lx\n", p11->C_Login(session, CKU_USER, pin, 4));
	ask_mechanisms();
	printf("search by label: 0x%lx\n", find(template, 2, &object));
	find(template, 1, &object);
	ask_attributes(object);
	sign();
	printf("end: 0x%lx\n", p11->C_Finalize(NULL));
	return 0;
}
