/* SPDX-License-Identifier: MIT
 *
 * A PKCS#11 module that does what real ones do on their worst days. All 104 functions are there; what
 * they do is said by the environment, read when the module is loaded:
 *
 *   ODD_FUNCTION, ODD_DOES  the first function to do it, and what: segv, abort, exit, _exit, hang, kill; or
 *                           nonsense: CKR_BUFFER_TOO_SMALL, and another length in its last argument each time;
 *                           slow: after a twentieth of a second, as usual
 *   ODD_HOOK                the address of an odd_hook (robust.h) in the program that loads us: every
 *                           function asks it what to do and to return; when the module is unloaded it
 *                           is called once more, for TAPE_FN_COUNT
 *
 * Without them every function but the three of discovery returns CKR_OK and touches nothing.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/robust/robust.h"

static odd_hook *hook;
static enum tape_function_id victim = TAPE_FN_COUNT;
static const char *deed;

static CK_FUNCTION_LIST_3_2 list_3_2;
static CK_FUNCTION_LIST_3_0 list_3_0;
static CK_FUNCTION_LIST list_2_40;
static CK_UTF8CHAR standard[] = "PKCS 11";
static CK_INTERFACE interfaces[] = {
	{ standard, &list_3_2, 0 },
	{ standard, &list_3_0, 0 },
	{ standard, &list_2_40, 0 },
};

/* UBSan is not to come before the signal. */
__attribute__((no_sanitize("undefined"))) static void do_deed(void)
{
	/* Volatile, so that the compiler does not see what is coming. */
	volatile char *volatile nowhere = NULL;
	if (strcmp(deed, "segv") == 0)
		*nowhere = 1; /* NOLINT(clang-analyzer-core.NullDereference): that is the deed */
	else if (strcmp(deed, "abort") == 0)
		abort();
	else if (strcmp(deed, "exit") == 0)
		exit(3);
	else if (strcmp(deed, "_exit") == 0)
		_exit(3);
	else if (strcmp(deed, "kill") == 0)
		raise(SIGKILL);
	else if (strcmp(deed, "hang") == 0)
		for (;;)
			pause();
	fprintf(stderr, "odd-module: no deed '%s'\n", deed);
	_exit(99);
}

static CK_RV give_list(CK_FUNCTION_LIST **to)
{
	if (to == NULL)
		return CKR_ARGUMENTS_BAD;
	*to = &list_2_40;
	return CKR_OK;
}

static CK_RV give_interfaces(CK_INTERFACE *to, CK_ULONG *count)
{
	CK_ULONG room;
	if (count == NULL)
		return CKR_ARGUMENTS_BAD;
	room = *count;
	*count = TAPE_ARRAY_SIZE(interfaces);
	if (to != NULL && room < TAPE_ARRAY_SIZE(interfaces))
		return CKR_BUFFER_TOO_SMALL;
	if (to != NULL)
		memcpy(to, interfaces, sizeof(interfaces));
	return CKR_OK;
}

static CK_RV give_interface(const CK_VERSION *version, CK_INTERFACE **to)
{
	if (to == NULL)
		return CKR_ARGUMENTS_BAD;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(interfaces); i++) {
		const CK_VERSION *its = interfaces[i].pFunctionList;
		if (version != NULL &&
		    (its->major != version->major || its->minor != version->minor))
			continue;
		*to = &interfaces[i];
		return CKR_OK;
	}
	return CKR_FUNCTION_FAILED;
}

static CK_RV give_nonsense(CK_ULONG *length)
{
	*length = 1000000 + (CK_ULONG)getpid() % 1000000;
	return CKR_BUFFER_TOO_SMALL;
}

static CK_RV serve(enum tape_function_id function, const uintptr_t *words, size_t count)
{
	if (function == victim && strcmp(deed, "nonsense") == 0)
		return give_nonsense((CK_ULONG *)words[count - 1]);
	if (function == victim && strcmp(deed, "slow") == 0)
		usleep(50000);
	else if (function == victim)
		do_deed();
	if (hook != NULL) {
		CK_RV rv = hook(function, words);
		if (rv != ODD_AS_USUAL)
			return rv;
	}
	if (function == TAPE_FN_C_GetFunctionList)
		return give_list((CK_FUNCTION_LIST **)words[0]);
	if (function == TAPE_FN_C_GetInterfaceList)
		return give_interfaces((CK_INTERFACE *)words[0], (CK_ULONG *)words[1]);
	if (function == TAPE_FN_C_GetInterface)
		return give_interface((const CK_VERSION *)words[1], (CK_INTERFACE **)words[2]);
	return CKR_OK;
}

/* The exported functions themselves: the lists point at them. */
#define CK_FN(name, major, minor, ...)                                            \
	CK_RV name(TAPE_EACH(TAPE_DECL, __VA_ARGS__))                             \
	{                                                                         \
		const uintptr_t words[] = { TAPE_EACH(TAPE_WORDS, __VA_ARGS__) }; \
		return serve(TAPE_FN_##name, words, TAPE_ARRAY_SIZE(words));      \
	}
#include "core/api/functions.def"
#undef CK_FN

typedef void function_pointer(void);

static function_pointer *const functions[TAPE_FN_COUNT] = {
#define CK_FN(name, major, minor, ...) (function_pointer *)name,
#include "core/api/functions.def"
#undef CK_FN
};

static void fill_list(void *list, int major, int minor, size_t pointers)
{
	CK_VERSION *version = list;
	version->major = (CK_BYTE)major;
	version->minor = (CK_BYTE)minor;
	memcpy((char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize), functions,
	       pointers * sizeof(functions[0]));
}

__attribute__((constructor)) static void prepare(void)
{
	const char *name = getenv("ODD_FUNCTION");
	const char *address = getenv("ODD_HOOK");
	deed = getenv("ODD_DOES");
	for (size_t i = 0; name != NULL && deed != NULL && i < TAPE_FN_COUNT; i++)
		if (strcmp(tape_functions[i].name.text, name) == 0)
			victim = (enum tape_function_id)i;
	if (address != NULL)
		hook = (odd_hook *)(uintptr_t)strtoull(address, NULL, 16);
	fill_list(&list_3_2, 3, 2, TAPE_FN_COUNT_3_2);
	fill_list(&list_3_0, 3, 0, TAPE_FN_COUNT_3_0);
	fill_list(&list_2_40, 2, 40, TAPE_FN_COUNT_2);
}

__attribute__((destructor)) static void leave(void)
{
	if (hook != NULL)
		hook(TAPE_FN_COUNT, NULL);
}
