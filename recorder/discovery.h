/* SPDX-License-Identifier: MIT
 *
 * Function lists and interfaces: what the target shows, shown again with our functions in it, and what
 * it would show if it had the entry points that we export and it lacks.
 */
#ifndef TAPE_RECORDER_DISCOVERY_H
#define TAPE_RECORDER_DISCOVERY_H

#include "recorder/record.h"

/*
 * Before a call of discovery, or of a function that the target does not export: look in its lists, and
 * put the function into *target where there is one. Returns false where the call must fail, since the
 * target came back to us instead of answering. The caller forwards the call if *target is there, else
 * lets tape_discovery_answer() answer it; then tape_discovery_leave() follows.
 */
bool tape_discovery_enter(struct tape_call *call, tape_any_fn *target);

/* Answer for a target that lacks the function. */
CK_RV tape_discovery_answer(struct tape_call *call);

/* After the call returned rv: put ours into the caller's memory in place of the target's. */
void tape_discovery_leave(struct tape_call *call, CK_RV rv);

#endif
