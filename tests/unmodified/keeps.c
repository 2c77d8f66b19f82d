/* SPDX-License-Identifier: MIT
 *
 * keeps MODULE: load a module for good, close it, and call what it gave: it is there still. In a thread that is to be
 * cancelled, which a call of the module's is no reason for.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "core/api/pkcs11.h"

static CK_FUNCTION_LIST *list;

static void *call(void *unused)
{
	CK_INFO info;
	(void)unused;
	pthread_cancel(pthread_self());
	for (int i = 0; i < 1000; i++)
		if (list->C_GetInfo(&info) != CKR_OK)
			return NULL;
	/* Here it may be: what is printed is no call of the module's. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	printf("called\n");
	return NULL;
}

int main(int argc, char **argv)
{
	CK_C_GetFunctionList get;
	pthread_t thread;
	void *module = argc != 2 ? NULL : dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	void *symbol = module == NULL ? NULL : dlsym(module, "C_GetFunctionList");
	if (symbol == NULL)
		return 2;
	memcpy(&get, &symbol, sizeof(get));
	if (get(&list) != CKR_OK || dlclose(module) != 0 || list->C_Initialize(NULL) != CKR_OK)
		return 1;
	if (pthread_create(&thread, NULL, call, NULL) != 0 || pthread_join(thread, NULL) != 0)
		return 1;
	return list->C_Finalize(NULL) == CKR_OK ? 0 : 1;
}
