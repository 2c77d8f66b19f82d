/* SPDX-License-Identifier: MIT */
#include "tests/robust/robust.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Long enough for a loaded machine and a sanitizer, short enough for whoever waits for the test. */
#define PATIENCE_MS 60000

_Noreturn void robust_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: process %d: not so: %s\n", file, line, (int)getpid(), what);
	_exit(1);
}

void robust_set_hook(odd_hook *hook)
{
	char text[32];
	snprintf(text, sizeof(text), "%jx", (uintmax_t)(uintptr_t)hook);
	setenv("ODD_HOOK", text, 1);
}

void robust_symbol(void *handle, const char *name, void *ret_function)
{
	void *symbol = dlsym(handle, name);
	CHECK(symbol != NULL);
	memcpy(ret_function, &symbol, sizeof(symbol));
}

CK_RV robust_one_slot(const uintptr_t *words)
{
	if (words[1] != 0)
		*(CK_SLOT_ID *)words[1] = 1;
	*(CK_ULONG *)words[2] = 1;
	return CKR_OK;
}

CK_FUNCTION_LIST_3_2 *robust_load(const char *path, void **ret_handle)
{
	CK_UTF8CHAR name[] = "PKCS 11";
	CK_VERSION version = { 3, 2 };
	CK_C_GetInterface get;
	CK_INTERFACE *interface = NULL;
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL)
		fprintf(stderr, "%s\n", dlerror());
	CHECK(handle != NULL);
	robust_symbol(handle, "C_GetInterface", &get);
	CHECK(get(name, &version, &interface, 0) == CKR_OK);
	CHECK(interface != NULL);
	if (ret_handle != NULL)
		*ret_handle = handle;
	return interface->pFunctionList;
}

unsigned int robust_count_entries(const char *directory)
{
	unsigned int count = 0;
	DIR *dir = opendir(directory);
	CHECK(dir != NULL);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

unsigned int robust_count_maps(const char *text)
{
	char line[5000];
	unsigned int count = 0;
	FILE *file = fopen("/proc/self/maps", "re");
	CHECK(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		count += strstr(line, text) != NULL;
	fclose(file);
	return count;
}

int robust_wait(int pid)
{
	int status;
	for (int ms = 0; ms < PATIENCE_MS; ms++) {
		pid_t got = waitpid(pid, &status, WNOHANG);
		if (got == pid)
			return status;
		CHECK(got == 0 || errno == EINTR);
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	fprintf(stderr, "process %d hangs\n", pid);
	kill(pid, SIGABRT);
	_exit(1);
}

void *robust_edge(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (size + page - 1) / page * page + page;
	unsigned char *pages =
		mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(pages != MAP_FAILED);
	CHECK(mprotect(pages + room - page, page, PROT_NONE) == 0);
	return pages + room - page - size;
}
