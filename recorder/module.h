/* SPDX-License-Identifier: MIT
 *
 * The target: finding and loading it at the first call, whatever thread or process makes it, and letting
 * go of it when we are unloaded.
 */
#ifndef TAPE_RECORDER_MODULE_H
#define TAPE_RECORDER_MODULE_H

#include "recorder/state.h"

/*
 * Load the target and begin a part of a trace, where this process has not done so yet. Returns its
 * state; NULL where calls cannot be served, after one sentence on standard error. May change errno.
 */
struct tape_state *tape_module_start(void);

/* The target's path, as the loader found it. */
const char *tape_module_path(void);

#endif
