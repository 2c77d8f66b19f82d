/* SPDX-License-Identifier: MIT
 *
 * Stands in for NSS's own libsoftokn3.so, whose entry points are not Cryptoki's: lets NSS have the functions of a
 * module ($SOFTOKN_MODULE: the recorder or the replayer), and everything else of a softoken ($SOFTOKN_OTHER).
 */
#include <dlfcn.h>
#include <stdlib.h>

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
	return ((get_list)entry("SOFTOKN_MODULE", "C_GetFunctionList"))(list);
}

CK_RV NSC_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                       CK_FLAGS flags)
{
	return ((get_interface)entry("SOFTOKN_MODULE", "C_GetInterface"))(name, version, interface,
	                                                                  flags);
}

CK_RV FC_GetFunctionList(CK_FUNCTION_LIST **list)
{
	return ((get_list)entry("SOFTOKN_OTHER", "FC_GetFunctionList"))(list);
}

CK_RV FC_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                      CK_FLAGS flags)
{
	return ((get_interface)entry("SOFTOKN_OTHER", "FC_GetInterface"))(name, version, interface,
	                                                                  flags);
}

char **NSC_ModuleDBFunc(unsigned long function, char *parameters, void *arguments)
{
	return ((module_db)entry("SOFTOKN_OTHER", "NSC_ModuleDBFunc"))(function, parameters,
	                                                               arguments);
}
