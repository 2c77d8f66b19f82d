/* SPDX-License-Identifier: MIT
 *
 * Modules side by side in one process: robust-two COUNT MODULE… makes COUNT calls to each, in turn; their
 * texts count up. An exit status of 3 says that a module could not be loaded.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/robust/robust.h"

#define MAX_MODULES 8

int main(int argc, char **argv)
{
	CK_FUNCTION_LIST *lists[MAX_MODULES];
	int modules = argc - 2;
	if (modules < 1 || modules > MAX_MODULES)
		return 2;
	unsigned long count = strtoul(argv[1], NULL, 10);
	for (int i = 0; i < modules; i++) {
		CK_C_GetFunctionList get_list;
		void *handle = dlopen(argv[2 + i], RTLD_NOW | RTLD_LOCAL);
		CHECK(handle != NULL);
		robust_symbol(handle, "C_GetFunctionList", &get_list);
		if (get_list(&lists[i]) != CKR_OK)
			return 3;
	}
	for (unsigned long i = 0; i < count * (unsigned long)modules; i++) {
		char text[32];
		int size = snprintf(text, sizeof(text), "text %lu", i);
		CK_FUNCTION_LIST *list = lists[i % (unsigned long)modules];
		CHECK(list->C_SignUpdate(1, (CK_BYTE *)text, (CK_ULONG)size) == CKR_OK);
	}
	return 0;
}
