/* SPDX-License-Identifier: MIT
 *
 * A module that is loaded, and its functions by number: for those who issue recorded calls to it.
 */
#ifndef TAPE_LIVE_H
#define TAPE_LIVE_H

#include "core/call.h"
#include "core/error.h"

struct tape_live {
	void *handle;                         /* of dlopen(); NULL: none is loaded */
	tape_any_fn functions[TAPE_FN_COUNT]; /* NULL where the module has none */
};

/*
 * Load the module at `path`, which sentences call `name`, and find its functions: those of C_GetFunctionList's list, and
 * what the lists of its other interfaces have beyond it. Nothing of it is called but discovery.
 */
TAPE_MUST_CHECK int tape_live_load(struct tape_live *live, const char *path, const char *name,
                                   struct tape_error *error);

/*
 * Take the functions of a list, whose `count` pointers stand in the order of our rows: all, or those that lack so far.
 * Those that find the others are the exported ones, as the recorder calls them: p11-kit's proxy has other ones in its
 * lists.
 */
void tape_live_take(struct tape_live *live, const void *list, size_t count, bool all);

/* The same of an interface's list. Returns whether the interface has the standard's name. */
bool tape_live_take_interface(struct tape_live *live, const CK_INTERFACE *interface, bool all);

#endif
