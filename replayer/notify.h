/* SPDX-License-Identifier: MIT
 *
 * Notifications (PKCS#11 3.1 §5.21): the program's Notify functions are called where the recorded module
 * called the recorded program's, and their answers are held against the recorded ones.
 */
#ifndef TAPE_REPLAYER_NOTIFY_H
#define TAPE_REPLAYER_NOTIFY_H

#include "replayer/engine.h"

/* A notification of the trace. On the heap: it is given back by notify_free(). */
struct notice {
	struct notice *next;      /* of the same call, or of those that no call brings */
	struct notice *next_open; /* among those whose return has not been read */
	uint64_t id, line, position;
	CK_SESSION_HANDLE session; /* as recorded */
	CK_NOTIFICATION event;
	CK_RV rv;
	bool returned;
};

/* Whether the recorded call gives a Notify function for the session that it opens. */
bool notify_is_given(const struct record *record);

/* Keep the Notify function of a call that opens the session `live`. */
void notify_keep(const struct tape_function *function, const uintptr_t *words, uint64_t live);

/*
 * Call what the recorded call brought, in order, and give it back. The engine's lock, which is held, is
 * let go meanwhile: the program may call. It may also never come back.
 */
void notify_during(struct record *record, const uintptr_t *words);

/*
 * The same for the first that no call brought and that stands before `position` in the trace. Returns whether
 * there was one.
 */
bool notify_before(uint64_t position);

/* Give back notifications that are not called. */
void notify_free(struct notice *notices);

#endif
