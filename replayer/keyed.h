/* SPDX-License-Identifier: MIT
 *
 * Answers that are computed with test keys (docs/replay.md, "Test keys"): signatures, decrypted data and
 * agreed secrets that no recorded call has. For modes that answer beyond the order of the trace; all under
 * the lock of replay.c.
 */
#ifndef TAPE_REPLAYER_KEYED_H
#define TAPE_REPLAYER_KEYED_H

#include "core/arena.h"
#include "core/error.h"
#include "core/scope.h"
#include "core/value.h"

/*
 * Take the keys: SELECTOR,FILE one a line, as `--key` says them; "" for none. Until keys are taken nothing
 * here does anything, and libcrypto is not loaded.
 */
TAPE_MUST_CHECK int keyed_open(const char *list, struct tape_error *error);

/*
 * In a forked child, before its first call is looked at: where another thread was in libcrypto at that moment
 * its locks may be held for ever, and no key answers.
 */
void keyed_inherit(void);

/*
 * Learn what a recorded call says of keys, and of what they may do. `before` is what the call read when it
 * was made; `behind` is the state of the recording when it had its effect.
 */
void keyed_learn(struct tape_scopes *behind, const struct tape_scope_value before[TAPE_SCOPES],
                 const struct tape_scope_call *call);

/* All of a trace is learned: see that the keys fit what it shows of their objects. */
TAPE_MUST_CHECK int keyed_check(struct tape_error *error);

/*
 * Around the answer to a live call, wherever that comes from: the first before it has its effect on the state,
 * the second, with the number that the first gave, behind it. `words` are its parameters, which still name what
 * it was given. A call that is not answered returns no CKR_OK.
 */
uint64_t keyed_before(struct tape_scopes *live, const struct tape_function *function,
                      const struct tape_value *in);
void keyed_behind(struct tape_scopes *live, uint64_t before, const struct tape_function *function,
                  const struct tape_value *in, CK_RV rv, const uintptr_t *words);

struct keyed_answer {
	CK_RV rv;
	struct tape_value out[TAPE_MAX_ARGUMENTS]; /* in the arena */
	const char *why;                           /* there is a key, and still no answer */
};

/*
 * Answer a live call for which there is no recorded answer. Returns false where no key answers it: then
 * ret_answer->why says why not, or is NULL where the call is none that a key was given for. True: the
 * caller writes the outputs, and keyed_behind() must follow.
 */
TAPE_MUST_CHECK bool keyed_answer(struct tape_scopes *live, const struct tape_function *function,
                                  const struct tape_value *in, const uintptr_t *words,
                                  struct tape_arena *arena, struct keyed_answer *ret_answer);

#endif
