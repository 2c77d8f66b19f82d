/* SPDX-License-Identifier: MIT
 *
 * Another library that is preloaded, and that calls what it stands before: RTLD_NEXT is what comes behind the
 * caller, so that who puts himself between must not be taken for it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

int puts(const char *text);

int puts(const char *text)
{
	int (*next)(const char *);
	void *symbol = dlsym(RTLD_NEXT, "puts");
	memcpy(&next, &symbol, sizeof(next));
	if (next == puts)
		return EOF;
	next("from next.so:");
	return next(text);
}
