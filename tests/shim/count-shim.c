/* SPDX-License-Identifier: MIT
 *
 * A module that forwards the 68 functions of PKCS#11 2.40 to another one and notes them in a file that
 * is mapped shared: what is noted there has happened, whenever the process was killed.
 *
 * Built twice. With SHIM_FRONT it stands between the application and the recorder and notes a call
 * when it has returned; it loads $FRONT_NEXT and writes $SHIM_COUNTS_FRONT. Without, it stands between
 * the recorder and the target and notes a call before it enters; $BACK_NEXT, $SHIM_COUNTS_BACK.
 *
 * The file is a 64-bit number of notes, then the notes: one byte each, position of the function in
 * the list plus 1. A note that is still 0 was not made: the process died between the two stores.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/api/api.h"

#if defined(SHIM_FRONT)
#define SHIM_NEXT "FRONT_NEXT"
#define SHIM_COUNTS "SHIM_COUNTS_FRONT"
#else
#define SHIM_NEXT "BACK_NEXT"
#define SHIM_COUNTS "SHIM_COUNTS_BACK"
#endif

#define SHIM_NOTES ((size_t)1 << 20)

static struct {
	_Atomic uint64_t number;
	_Atomic uint8_t notes[SHIM_NOTES];
} * shim;

typedef void function_pointer(void);

/* The next module's functions; those that a list of 2.40 has not are made and never reached. */
static function_pointer *next[TAPE_FN_COUNT];
static CK_C_GetFunctionList next_list;
static CK_FUNCTION_LIST shim_list;

static void note(enum tape_function_id function)
{
	uint64_t at = atomic_fetch_add(&shim->number, 1);

	if (at < SHIM_NOTES)
		atomic_store(&shim->notes[at], (uint8_t)(function + 1));
}

/* Without the next module there is nothing to test. */
static void fail(const char *what, const char *why)
{
	fprintf(stderr, "count-shim: %s: %s\n", what, why);
	_exit(99);
}

static void find_next(void)
{
	const char *path = getenv(SHIM_NEXT);
	void *module = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	void *address = module ? dlsym(module, "C_GetFunctionList") : NULL;

	if (!address)
		fail(SHIM_NEXT, path ? dlerror() : "is not set");
	memcpy(&next_list, &address, sizeof(next_list));
}

static void map_notes(void)
{
	const char *path = getenv(SHIM_COUNTS);
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd < 0 || ftruncate(fd, (off_t)sizeof(*shim)) != 0)
		fail(SHIM_COUNTS, "the file cannot be made");
	shim = mmap(NULL, sizeof(*shim), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (shim == MAP_FAILED)
		fail(SHIM_COUNTS, "the file cannot be mapped");
	close(fd);
}

/* ---- one function per row ---------------------------------------------------------------------- */

#ifdef SHIM_FRONT
#define NOTE_BEFORE(function) (void)0
#define NOTE_AFTER(function) note(function)
#else
#define NOTE_BEFORE(function) note(function)
#define NOTE_AFTER(function) (void)0
#endif

#define CK_FN(name, major, minor, ...)                                                      \
	static CK_RV shim_##name(TAPE_EACH(TAPE_DECL, __VA_ARGS__))                         \
	{                                                                                   \
		CK_RV rv;                                                                   \
                                                                                            \
		NOTE_BEFORE(TAPE_FN_##name);                                                \
		rv = ((CK_##name)next[TAPE_FN_##name])(TAPE_EACH(TAPE_NAMES, __VA_ARGS__)); \
		NOTE_AFTER(TAPE_FN_##name);                                                 \
		return rv;                                                                  \
	}
#include "core/api/functions.def"
#undef CK_FN

static function_pointer *const functions[TAPE_FN_COUNT] = {
#define CK_FN(name, major, minor, ...) (function_pointer *)shim_##name,
#include "core/api/functions.def"
#undef CK_FN
};

/* The next module's list with our functions in it, where it has functions. */
static void make_list(const CK_FUNCTION_LIST *list)
{
	size_t first = offsetof(CK_FUNCTION_LIST, C_Initialize);

	memcpy(next, (const char *)list + first, TAPE_FN_COUNT_2 * sizeof(function_pointer *));
	shim_list = *list;
	for (size_t i = 0; i < TAPE_FN_COUNT_2; i++)
		if (next[i])
			memcpy((char *)&shim_list + first + i * sizeof(function_pointer *),
			       &functions[i], sizeof(function_pointer *));
	shim_list.C_GetFunctionList = C_GetFunctionList;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ppFunctionList)
{
	CK_FUNCTION_LIST *list = NULL;
	CK_RV rv;

	if (!shim) {
		map_notes();
		find_next();
	}
	NOTE_BEFORE(TAPE_FN_C_GetFunctionList);
	rv = next_list(&list);
	NOTE_AFTER(TAPE_FN_C_GetFunctionList);
	if (rv != CKR_OK || !list)
		return rv;
	make_list(list);
	*ppFunctionList = &shim_list;
	return CKR_OK;
}
