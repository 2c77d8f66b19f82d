/* SPDX-License-Identifier: MIT
 *
 * loads MODULE TIMES: load a module, ask it for its list, and unload it, so many times. Says whether it is gone
 * behind every unload, as it is without us, and how many descriptors and mappings the last time left beyond
 * those of the tenth.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/api/pkcs11.h"

static int count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = 0;
	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

static int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int count = 0;
	for (int c; maps != NULL && (c = getc(maps)) != EOF;)
		count += c == '\n';
	if (maps != NULL)
		fclose(maps);
	return count;
}

static const char *visit(const char *path)
{
	CK_C_GetFunctionList get;
	CK_FUNCTION_LIST *list = NULL;
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (module == NULL)
		return dlerror();
	void *symbol = dlsym(module, "C_GetFunctionList");
	if (symbol == NULL)
		return dlerror();
	memcpy(&get, &symbol, sizeof(get));
	if (get(&list) != CKR_OK || list == NULL || list->version.major != 2)
		return "no list";
	/* What a module does not have is missing as it is without us, and the loader says so. */
	if (dlsym(module, "C_NoSuchFunction") != NULL || dlerror() == NULL)
		return "a function that no module has";
	if (dlclose(module) != 0)
		return dlerror();
	return dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL ? NULL : "it is still there";
}

int main(int argc, char **argv)
{
	int descriptors = 0;
	int mappings = 0;
	if (argc != 3)
		return 2;
	int times = (int)strtoul(argv[2], NULL, 10);
	for (int i = 1; i <= times; i++) {
		const char *wrong = visit(argv[1]);
		if (wrong != NULL) {
			printf("%d: %s\n", i, wrong);
			return 1;
		}
		if (i == 10) {
			descriptors = count_descriptors();
			mappings = count_mappings();
		}
	}
	if (times > 10)
		printf("%d descriptors, %s\n", count_descriptors() - descriptors,
		       count_mappings() - mappings < 10 ? "no growth" : "it grows");
	printf("done\n");
	return 0;
}
