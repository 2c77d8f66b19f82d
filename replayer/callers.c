/* SPDX-License-Identifier: MIT */
#include "replayer/callers.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#define MAX_FRAMES 64

static char program[PATH_MAX]; /* which the loader has no name for */

/*
 * The module that an address lies in; NULL for none. Where the system can tell without the loader's lock it
 * is asked so: another thread may hold that one and wait for us.
 */
static const struct link_map *find_module(void *address)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
	struct dl_find_object found;
	return _dl_find_object(address, &found) == 0 ? found.dlfo_link_map : NULL;
#else
	Dl_info info;
	struct link_map *map = NULL;
	return dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 ? map : NULL;
#endif
}

void callers_prepare(void)
{
	void *frames[2];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	program[length < 0 ? 0 : length] = 0;
	backtrace(frames, 2);
}

static void put_frame(struct tape_buf *buf, void *address)
{
	const struct link_map *module = find_module(address);
	const char *name = module == NULL           ? "?"
	                   : module->l_name == NULL ? program
	                   : module->l_name[0] == 0 ? program
	                                            : module->l_name;
	for (; *name != 0; name++)
		tape_put_char(buf,
		              (char)(*name < ' ' || *name == '"' || *name == '\\' ? '?' : *name));
	tape_put_char(buf, '+');
	tape_put_hexadecimal(buf, (uintptr_t)address - (module == NULL ? 0 : module->l_addr));
}

void callers_put(struct tape_buf *buf, const char *before)
{
	void *frames[MAX_FRAMES];
	int count = backtrace(frames, MAX_FRAMES);
	const struct link_map *own = find_module((void *)(uintptr_t)&callers_put);
	int first = 0;
	/* A sanitizer's backtrace() is in the way, too. */
	while (first < count && find_module(frames[first]) != own)
		first++;
	while (first < count && find_module(frames[first]) == own)
		first++;
	for (int i = first; i < count; i++) {
		if (before != NULL)
			tape_put_text(buf, before);
		else
			tape_put_text(buf, i == first ? "[\"" : ", \"");
		put_frame(buf, frames[i]);
		tape_put_char(buf, before != NULL ? '\n' : '"');
	}
	if (before == NULL)
		tape_put_text(buf, first < count ? "]" : "[]");
}
