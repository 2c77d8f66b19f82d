/* SPDX-License-Identifier: MIT
 *
 * A module that forwards PKCS#11 2.40 to another one ($PERMUTE_NEXT) and asks it as another version of the
 * program would: what the program gets is the same, what the module is asked is not. $PERMUTE has words:
 *
 *   slots     the program meets the slots in the opposite order
 *   rooms     it does not ask for lengths, but offers a large buffer at once
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/api/api.h"

#define LARGE ((CK_ULONG)8192)
#define MAX_SLOTS ((CK_ULONG)64)
#define MAX_MECHANISMS ((CK_ULONG)1024)
#define MAX_ENTRIES ((CK_ULONG)64)

static CK_FUNCTION_LIST *next;
static CK_FUNCTION_LIST list;

static bool is_asked(const char *word)
{
	const char *words = getenv("PERMUTE");
	return words != NULL && strstr(words, word) != NULL;
}

static _Noreturn void fail(const char *why)
{
	fprintf(stderr, "permute-shim: %s\n", why);
	_exit(99);
}

/* Give a list to a caller as the standard says (PKCS#11 3.1 §5.2), whatever its room. */
static CK_RV give(void *to, CK_ULONG *count, const void *from, CK_ULONG has, size_t size)
{
	CK_ULONG room = *count;
	*count = has;
	if (to == NULL)
		return CKR_OK;
	if (room < has)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(to, from, has * size);
	return CKR_OK;
}

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	CK_SLOT_ID all[MAX_SLOTS];
	CK_ULONG has = MAX_SLOTS;
	CK_RV rv;
	if (!is_asked("rooms")) {
		rv = next->C_GetSlotList(present, slots, count);
		has = *count;
	} else if ((rv = next->C_GetSlotList(present, all, &has)) == CKR_OK) {
		rv = give(slots, count, all, has, sizeof(*all));
	}
	for (CK_ULONG i = 0; is_asked("slots") && rv == CKR_OK && slots != NULL && i < has / 2;
	     i++) {
		CK_SLOT_ID slot = slots[i];
		slots[i] = slots[has - 1 - i];
		slots[has - 1 - i] = slot;
	}
	return rv;
}

static CK_RV get_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE *mechanisms, CK_ULONG *count)
{
	CK_MECHANISM_TYPE all[MAX_MECHANISMS];
	CK_ULONG has = MAX_MECHANISMS;
	if (!is_asked("rooms"))
		return next->C_GetMechanismList(slot, mechanisms, count);
	CK_RV rv = next->C_GetMechanismList(slot, all, &has);
	return rv == CKR_OK ? give(mechanisms, count, all, has, sizeof(*all)) : rv;
}

/* Pass an attribute on to where less room is. */
static CK_RV pass_on(CK_ATTRIBUTE *to, const CK_ATTRIBUTE *from)
{
	CK_ULONG room = to->ulValueLen;
	to->ulValueLen = from->ulValueLen;
	if (from->ulValueLen == CK_UNAVAILABLE_INFORMATION || to->pValue == NULL)
		return CKR_OK;
	if (room < from->ulValueLen) {
		to->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	memcpy(to->pValue, from->pValue, from->ulValueLen);
	return CKR_OK;
}

static CK_RV get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                            CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	CK_ATTRIBUTE all[MAX_ENTRIES];
	if (!is_asked("rooms") || count > MAX_ENTRIES)
		return next->C_GetAttributeValue(session, object, attributes, count);
	for (CK_ULONG i = 0; i < count; i++) {
		all[i] = (CK_ATTRIBUTE){ attributes[i].type, malloc(LARGE), LARGE };
		if (all[i].pValue == NULL)
			fail("out of memory");
	}
	CK_RV rv = next->C_GetAttributeValue(session, object, all, count);
	bool filled =
		rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID;
	for (CK_ULONG i = 0; i < count; i++) {
		CK_RV passed = filled ? pass_on(&attributes[i], &all[i]) : CKR_OK;
		if (rv == CKR_OK)
			rv = passed;
		free(all[i].pValue);
	}
	return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ppFunctionList)
{
	CK_C_GetFunctionList get;
	const char *path = getenv("PERMUTE_NEXT");
	void *module = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void *address = module == NULL ? NULL : dlsym(module, "C_GetFunctionList");
	if (address == NULL)
		fail(path == NULL ? "PERMUTE_NEXT is not set" : dlerror());
	memcpy(&get, &address, sizeof(get));
	CK_RV rv = get(&next);
	if (rv != CKR_OK)
		return rv;
	list = *next;
	list.C_GetFunctionList = C_GetFunctionList;
	list.C_GetSlotList = get_slot_list;
	list.C_GetMechanismList = get_mechanism_list;
	list.C_GetAttributeValue = get_attributes;
	*ppFunctionList = &list;
	return CKR_OK;
}
