/* SPDX-License-Identifier: MIT */
#include "core/live.h"

#include <dlfcn.h>
#include <string.h>

#include "core/capture.h"

void tape_live_take(struct tape_live *live, const void *list, size_t count, bool all)
{
	const unsigned char *pointers =
		(const unsigned char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize);
	for (size_t i = 0; i < count; i++) {
		tape_any_fn function;
		memcpy(&function, pointers + i * sizeof(function), sizeof(function));
		if (live->functions[i] == NULL || (all && !tape_functions[i].finds))
			live->functions[i] = function;
	}
}

bool tape_live_take_interface(struct tape_live *live, const CK_INTERFACE *interface, bool all)
{
	if (interface == NULL || interface->pFunctionList == NULL ||
	    interface->pInterfaceName == NULL ||
	    strcmp((const char *)interface->pInterfaceName, "PKCS 11") != 0)
		return false;
	CK_VERSION version;
	memcpy(&version, interface->pFunctionList, sizeof(version));
	tape_live_take(live, interface->pFunctionList,
	               tape_list_pointers(version.major, version.minor), all);
	return true;
}

static tape_any_fn find_symbol(const struct tape_live *live, const char *name)
{
	tape_any_fn function = NULL;
	void *symbol = dlsym(live->handle, name);
	memcpy(&function, &symbol, sizeof(function));
	return function;
}

/* The standard's interfaces bring what C_GetFunctionList's list has no room for. */
static void take_interfaces(struct tape_live *live)
{
	static const unsigned char versions[][2] = { { 3, 0 }, { 3, 1 }, { 3, 2 } };
	CK_C_GetInterface get = (CK_C_GetInterface)live->functions[TAPE_FN_C_GetInterface];
	for (size_t i = 0; get != NULL && i < TAPE_ARRAY_SIZE(versions); i++) {
		CK_UTF8CHAR name[] = "PKCS 11";
		CK_VERSION version = { versions[i][0], versions[i][1] };
		CK_INTERFACE *interface = NULL;
		if (get(name, &version, &interface, 0) == CKR_OK)
			tape_live_take_interface(live, interface, false);
	}
}

int tape_live_load(struct tape_live *live, const char *path, const char *name,
                   struct tape_error *error)
{
	memset(live, 0, sizeof(*live));
	live->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	/* What a program loads lazily may lack a function that nobody calls. */
	if (live->handle == NULL)
		live->handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (live->handle == NULL) {
		const char *why = dlerror();
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "the module cannot be loaded: %s",
		                      why == NULL ? path : why);
	}
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)find_symbol(live, "C_GetFunctionList");
	CK_FUNCTION_LIST *list = NULL;
	if (get == NULL || get(&list) != CKR_OK || list == NULL)
		return tape_error_set(error, TAPE_E_INVALID, 0, "%s gives no function list", name);
	tape_live_take(live, list, TAPE_FN_COUNT_2, false);
	live->functions[TAPE_FN_C_GetFunctionList] = (tape_any_fn)get;
	live->functions[TAPE_FN_C_GetInterface] = find_symbol(live, "C_GetInterface");
	live->functions[TAPE_FN_C_GetInterfaceList] = find_symbol(live, "C_GetInterfaceList");
	take_interfaces(live);
	return 0;
}
