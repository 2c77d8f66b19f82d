/* SPDX-License-Identifier: MIT
 *
 * What the programs that try the recorder's patience share. They play the application; the module
 * behind the recorder is odd-module.c, whose functions ask the program's own hook what to do.
 */
#ifndef TAPE_TESTS_ROBUST_H
#define TAPE_TESTS_ROBUST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/api/api.h"

/* What a hook returns where the module is to do what it does without one. */
#define ODD_AS_USUAL ((CK_RV)0xd0d0d0d0)

/* A call that has come to the odd module, with its parameters as words. */
typedef CK_RV odd_hook(enum tape_function_id function, const uintptr_t *words);

/* End the program with status 1 and a sentence, unless the condition holds. */
#define CHECK(condition)                                             \
	do {                                                         \
		if (!(condition))                                    \
			robust_fail(__FILE__, __LINE__, #condition); \
	} while (0)
_Noreturn void robust_fail(const char *file, int line, const char *what);

/* Say which function every call that comes to the odd module is to ask. Before it is loaded. */
void robust_set_hook(odd_hook *hook);

/* What a hook answers to C_GetSlotList: there is slot 1. */
CK_RV robust_one_slot(const uintptr_t *words);

/* Load a module and get its list of 3.2; *ret_handle is for dlclose() and may be NULL. */
CK_FUNCTION_LIST_3_2 *robust_load(const char *path, void **ret_handle);

/* The exported function `name` of a loaded module, for a variable of its type. */
void robust_symbol(void *handle, const char *name, void *ret_function);

/* Entries of a directory such as /proc/self/fd, and lines of /proc/self/maps that hold `text`. */
unsigned int robust_count_entries(const char *directory);
unsigned int robust_count_maps(const char *text);

/* Wait for a child. Returns its status as waitpid() has it; ends the program if it hangs. */
int robust_wait(int pid);

/* `size` bytes that end where readable memory ends. Never given back. */
void *robust_edge(size_t size);

#endif
