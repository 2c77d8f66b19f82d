/* SPDX-License-Identifier: MIT
 *
 * Which trace a process is served (docs/replay.md, "Processes"): a new one, the trace of an equal
 * program; a forked child, one that was recorded of a child of its parent's; both by content. Called
 * under the lock of replay.c; the trace that is bound is the one in `engine`.
 */
#ifndef TAPE_REPLAYER_BINDING_H
#define TAPE_REPLAYER_BINDING_H

#include "replayer/engine.h"

/*
 * Open the trace of a new process, once the options are read and the report is open. Returns false,
 * reported, where it cannot be served.
 */
bool binding_begin(void);

/*
 * In a forked child that calls for the first time: forget the parent's trace, and open the one of a
 * child that was forked where this one was. Discovery, secrets and sessions are inherited. Where there
 * is no such trace the engine is left with nothing to serve, and engine.unrecorded says why.
 */
void binding_inherit(void);

/*
 * No call of the trace that is bound is the one that came. Find another trace that fits what was served
 * so far and goes on with this call, or goes on with it behind the beginning that both have in common;
 * bind it instead, its next call being the one. Returns whether there is one.
 */
typedef bool binding_equals(const struct record *record, const uintptr_t *words);
bool binding_change(const struct tape_function *function, const uintptr_t *words,
                    binding_equals *equals);

/*
 * The call that came is `record`, which another process of the fork was served already: find an equal one
 * that nobody was. Returns whether there is one, which is the next call then.
 */
bool binding_avoid(const struct record *record, const struct tape_function *function,
                   const uintptr_t *words, binding_equals *equals);

/*
 * Lenient mode: no call of the trace that is bound answers in the state that there is. Bind in turn those of
 * the children that were forked with this one, until `answers` says that one does. Returns whether one did;
 * else all is as it was.
 */
typedef bool binding_answers(void *context);
bool binding_borrow(binding_answers *answers, void *context);

/* A call is about to be used up: where traces are shared (engine.shares) or have lanes. */
void binding_served(const struct record *record);

/* The last call that the recorded parent of the process that is bound had begun when it forked; 0 for none. */
uint64_t binding_forked_after(void);

/*
 * Search for discovery that has not been read yet; for a `stranger`, a forked child without a trace, in
 * those that it may come to as well.
 */
void binding_find_all(bool stranger);

/* Make every trace that the process was served from the engine's in turn: `each` is called with it. */
void binding_visit(void (*each)(void));

#endif
