/* SPDX-License-Identifier: MIT
 *
 * Stands in for NSS's own libsoftokn3.so, whose entry points are not Cryptoki's: lets NSS have the recorder's
 * functions ($SOFTOKN_RECORDER), and everything else from the real one ($SOFTOKN_REAL).
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "core/api/pkcs11.h"

typedef CK_RV (*get_list)(CK_FUNCTION_LIST **);
typedef CK_RV (*get_interface)(CK_UTF8CHAR *, CK_VERSION *, CK_INTERFACE **, CK_FLAGS);
typedef char **(*module_db)(unsigned long, char *, void *);

static void *entry(const char *variable, const char *name)
{
	void *module = dlopen(getenv(variable), RTLD_NOW | RTLD_LOCAL);
	void *function = module == NULL ? NULL : dlsym(module, name);
	if (function == NULL)
		abort();
	return function;
}

CK_RV NSC_GetFunctionList(CK_FUNCTION_LIST **list)
{
	return ((get_list)entry("SOFTOKN_RECORDER", "C_GetFunctionList"))(list);
}

CK_RV NSC_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                       CK_FLAGS flags)
{
	if (name != NULL && strcmp((const char *)name, "PKCS 11") != 0)
		return ((get_interface)entry("SOFTOKN_REAL", "NSC_GetInterface"))(name, version,
		                                                                  interface, flags);
	return ((get_interface)entry("SOFTOKN_RECORDER", "C_GetInterface"))(name, version,
	                                                                    interface, flags);
}

CK_RV FC_GetFunctionList(CK_FUNCTION_LIST **list)
{
	return ((get_list)entry("SOFTOKN_REAL", "FC_GetFunctionList"))(list);
}

CK_RV FC_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                      CK_FLAGS flags)
{
	return ((get_interface)entry("SOFTOKN_REAL", "FC_GetInterface"))(name, version, interface,
	                                                                 flags);
}

char **NSC_ModuleDBFunc(unsigned long function, char *parameters, void *arguments)
{
	return ((module_db)entry("SOFTOKN_REAL", "NSC_ModuleDBFunc"))(function, parameters,
	                                                              arguments);
}
