/* SPDX-License-Identifier: MIT
 *
 * Our functions and the target's behind them. A target may show other functions in one list than in
 * another, and C gives a function no way to know through which pointer it was called: so there are
 * several sets of ours, each with a table of its own of what it calls.
 */
#ifndef TAPE_RECORDER_TRAMPOLINES_H
#define TAPE_RECORDER_TRAMPOLINES_H

#include <stdatomic.h>

#include "core/api/api.h"
#include "recorder/record.h"

/*
 * A target can have this many different functions in one place of its lists; set 0 is also what the
 * exported C_ names call.
 */
#define TAPE_SETS 8

/* What each of ours calls; NULL where nothing does. */
extern tape_any_fn _Atomic tape_targets[TAPE_SETS][TAPE_FN_COUNT];

extern const tape_any_fn tape_trampolines[TAPE_SETS][TAPE_FN_COUNT];

#endif
