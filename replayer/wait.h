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
	bool in_call;       /* it only says that the call has begun and not returned */
	uint64_t return_at; /* where that one's return has its place */
	atomic_uint go;     /* a futex word */
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

/*
 * Under --order global: a call is about to begin, or (`record` NULL) none that is recorded equals it yet.
 * Where it is not its turn, wait until something has happened, letting the lock go, and return true: look
 * again. `alone` says that the process has no other thread.
 */
bool wait_for_turn(const struct tape_function *function, const struct record *record, bool alone);

/*
 * Two sessions turn out to have been taken for each other. What `other` still has before `end` is equal to
 * what was served in its place, and was to come then: it may come now. So may the call that opens it.
 */
void wait_put_forward(const struct lane *other, const struct record *end);

/*
 * A call that was taken goes on: it takes the time that it took (from `began` on, at the wanted pace), and
 * under --order global it returns when it did. The lock is let go meanwhile.
 */
void wait_in_call(const struct record *record, uint64_t began);

/* A call has been taken: let those go on that waited for it. Under the lock. */
void wait_check(void);

#endif
