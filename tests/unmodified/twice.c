/* SPDX-License-Identifier: MIT
 *
 * twice MODULE NAME: open a module by its path, and again by a mere name that is found in our own RUNPATH. Whichever of
 * the two is closed, what the other one gave is called behind that.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "core/api/pkcs11.h"

struct opened {
	void *handle;
	CK_FUNCTION_LIST *list;
};

static struct opened open_module(const char *name)
{
	CK_C_GetFunctionList get;
	struct opened opened = { dlopen(name, RTLD_NOW | RTLD_LOCAL), NULL };
	void *symbol = opened.handle == NULL ? NULL : dlsym(opened.handle, "C_GetFunctionList");
	if (symbol != NULL) {
		memcpy(&get, &symbol, sizeof(get));
		if (get(&opened.list) != CKR_OK)
			opened.list = NULL;
	}
	return opened;
}

static int visit(const char *first, const char *second)
{
	CK_INFO info;
	struct opened closed = open_module(first);
	struct opened kept = open_module(second);
	if (closed.list == NULL || kept.list == NULL || dlclose(closed.handle) != 0)
		return 1;
	if (kept.list->C_Initialize(NULL) != CKR_OK || kept.list->C_GetInfo(&info) != CKR_OK ||
	    kept.list->C_Finalize(NULL) != CKR_OK || dlclose(kept.handle) != 0)
		return 1;
	printf("called\n");
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	return visit(argv[1], argv[2]) || visit(argv[2], argv[1]);
}
