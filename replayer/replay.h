/* SPDX-License-Identifier: MIT
 *
 * The engine: which recorded call answers this one, in strict mode (docs/replay.md). It reads the trace
 * ahead a little, keeps the order per lane, and never answers what was not recorded.
 */
#ifndef TAPE_REPLAYER_REPLAY_H
#define TAPE_REPLAYER_REPLAY_H

#include "core/api/api.h"
#include "core/system.h"
#include "core/value.h"

/*
 * Answer a call: write what was recorded to the caller's memory and return the recorded value, or
 * report a divergence, write nothing and return CKR_GENERAL_ERROR. Any thread may call.
 */
CK_RV replay_call(enum tape_function_id function, const uintptr_t *words);

/*
 * Look up discovery, which is answered at any time and never used up. Returns whether a call with equal
 * inputs was recorded; *ret_out (one value per argument) and *ret_rv then live as long as the process.
 */
bool replay_find(enum tape_function_id function, const uintptr_t *words,
                 const struct tape_value **ret_out, CK_RV *ret_rv);

/* Find what was recorded of any function list or interface. `index` counts; NULL behind the last. */
const struct tape_value *replay_list(size_t index);

/* Whether the recorded module has C_GetFunctionList and no other entry point. */
bool replay_only_list(void);

/* Report that a program asked for a list or an interface that the trace cannot give. */
void replay_refuse(enum tape_function_id function, const uintptr_t *words, const char *why);

/* Say what is no divergence, but worth a sentence. */
void replay_note(const char *sentence);

/* Make sure that the trace is open. Returns false (reported once) where there is nothing to serve. */
bool replay_ready(void);

/* The lock of what discovery hands out: free in a forked child, whoever held it. */
struct tape_lock *replay_list_lock(void);

/* Count a discovery call that was answered. */
void replay_count_found(void);

#endif
