/* SPDX-License-Identifier: MIT
 *
 * Calls that return when something happens (C_WaitForSlotEvent), and those that never did: they are held
 * back until the rest of the program is as far as it was in the recording. No lock is held meanwhile.
 */
#ifndef TAPE_REPLAYER_WAIT_H
#define TAPE_REPLAYER_WAIT_H

#include <stdatomic.h>

#include "replayer/engine.h"

/* A thread that is held back: on its stack, in a list of the process's. */
struct waiter {
	struct waiter *next;
	const struct record *record;
	bool for_all;
	atomic_uint go; /* a futex word */
};

/* Whether the recorded call waits until something happens, and does not only look whether it has. */
bool wait_blocks(const struct record *record);

/*
 * Wait until every call that had begun before `record`, a call that has been taken, returned has come.
 * One that never returned waits for the end of everything, which may not come. The engine's lock, which
 * is held, is let go meanwhile.
 */
void wait_for_return(const struct record *record);

/* The same, until every call of the trace has come. */
void wait_for_all(const struct record *record);

/* A call has been taken: let those go on that waited for it. Under the lock. */
void wait_check(void);

#endif
