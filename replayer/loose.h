/* SPDX-License-Identifier: MIT
 *
 * Lenient mode: the whole of a process's trace, by what was asked in which state (core/scope.h), so that
 * calls are answered that come in another order, are missing or come again (docs/replay.md). One in each
 * engine; under the lock of replay.c.
 */
#ifndef TAPE_REPLAYER_LOOSE_H
#define TAPE_REPLAYER_LOOSE_H

#include "core/scope.h"
#include "replayer/engine.h"
#include "replayer/facts.h"

/* Read the engine's trace to its end, and make engine.loose of it. Returns false, reported. */
bool loose_open(void);
void loose_free(struct loose *loose);

/* Recorded calls that are shown beside one that has no answer. */
#define LOOSE_NEAREST 3

/* Why a call has no answer. */
struct loose_miss {
	enum loose_why {
		LOOSE_NEVER,   /* no such call was recorded */
		LOOSE_USED_UP, /* it was, and each time has been given; `nearest` is the last one */
		LOOSE_STATE,   /* it was, in another state */
	} why;
	const struct record *nearest[LOOSE_NEAREST];
	int arguments[LOOSE_NEAREST]; /* of each the first that differs, or -1 */
	size_t count;
	enum tape_scope scope; /* LOOSE_STATE: the first that differs */
	/* What made it so, before `nearest[0]` and before now; NULL for nothing. */
	const struct record *recorded_by, *live_by;
};

/*
 * Find the recorded call that answers one that came. `live` are its inputs, and stay captured. Returns NULL
 * where there is none.
 */
struct record *loose_find(const struct tape_function *function, const uintptr_t *words,
                          struct tape_value *live);

/* Say why there is none. */
void loose_explain(const struct tape_function *function, const uintptr_t *words,
                   struct tape_value *live, struct loose_miss *ret_miss);

/*
 * Model mode: the answer to a call that none was recorded for, but that follows from others. Either the
 * recorded call `record` answers as if it had been found, for the room that was offered; or `answer` is
 * what the program gets, and loose_follow() takes it into account.
 */
struct loose_derived {
	struct record *record;
	struct facts_answer answer;
};
bool loose_derive(const struct tape_function *function, const uintptr_t *words,
                  struct tape_value *live, struct loose_derived *ret_derived);
TAPE_MUST_CHECK bool loose_follow(const struct tape_function *function,
                                  const struct tape_value *live, const struct facts_answer *answer);

/*
 * The same in short, for a call that may read what was just read in the same way. NULL may only mean: look for
 * it. It has been used then; its plan answers.
 */
struct record *loose_again(const struct tape_function *function, const uintptr_t *words,
                           bool *ret_first);

/*
 * Use a recorded call that was found, for the inputs `live`. Returns the one that counts as served, which may be
 * an equal one; `*ret_first` says whether for the first time.
 */
struct record *loose_take(struct record *record, const struct tape_value *live, bool *ret_first);

/*
 * The outputs for the program: the recorded ones, with handles that mean to it what the recorded ones meant.
 * The state becomes that behind the call; `first` is what loose_take() said. The result may be in the scratch arena.
 */
const struct tape_value *loose_answer(const struct record *record, const struct tape_value *live,
                                      bool first);

/* The same for a call that has no answer in the recording, but happened there all the same. */
void loose_pass(const struct record *record);

/* Whether the call only ends what is there, and was not recorded: it then has ended, and CKR_OK is its answer. */
bool loose_end(const struct tape_function *function, const struct tape_value *live);

/*
 * A call that was answered by something else than a recorded call had its effect: the state becomes that
 * behind it. Returns false without memory.
 */
bool loose_beyond(const struct tape_function *function, const struct tape_value *live,
                  const struct tape_value *out, CK_RV rv);

/* The recorded calls, from 0 on; NULL behind the last one. */
const struct record *loose_record(size_t index);

/* The state that the program is in; and a handle for an object that is nobody's yet in the session's slot. */
struct tape_scopes *loose_state(void);
uint64_t loose_fresh_object(uint64_t session);

/*
 * The first of the calls that changed something and had returned before `position`, or had begun and ends
 * everything, and has not come; for UINT64_MAX also of those that did not return.
 */
const struct record *loose_missing(uint64_t position);

/* The program's handle of a recorded session. */
uint64_t loose_session(uint64_t recorded);

/* The first `count` calls have been served from another trace that began with them. */
void loose_catch_up(size_t count);

/* The process goes on in another trace, in the state that it is in. What that one's was goes to the first. */
void loose_go_over(struct loose *from, struct loose *to);

/* How many of the calls have been served, and the first line of one that was not (0 for none). */
uint64_t loose_served(uint64_t *ret_line);

#endif
