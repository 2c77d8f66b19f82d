/* SPDX-License-Identifier: MIT
 *
 * Model mode: the facts of a process's trace (replayer/facts.h) in the states that core/scope.h tells. Made by
 * loose_index.c while it runs over the trace, one in each engine; under the lock of replay.c.
 */
#ifndef TAPE_REPLAYER_MODEL_H
#define TAPE_REPLAYER_MODEL_H

#include "core/scope.h"
#include "replayer/engine.h"
#include "replayer/facts.h"

struct model;

/* NULL without memory. */
struct model *model_new(void);
void model_free(struct model *model);

/* A call as it begins: whose state `scopes` is, what of it the call reads, and how its session was opened. */
struct model_call {
	struct tape_scopes *scopes;
	const struct tape_function *function;
	const struct tape_value *in;
	const struct tape_scope_value *state;
	uint64_t opened; /* equal for sessions that were opened by equal calls; 0: not known */
};

/* The recorded call `index` begins. Its answer is learnt by model_learn(). */
void model_note(struct model *model, const struct model_call *call, const struct record *record,
                size_t index);

/* A recorded call has succeeded, and had its effect: what it wrote is so. */
void model_wrote(struct model *model, struct tape_scopes *scopes, const struct record *record);

/*
 * Learn what was noted, of the calls whose answers say something of the state in which they began: `usable`
 * gives their records, NULL for the others.
 */
typedef const struct record *model_usable_fn(void *context, size_t index);
void model_learn(struct model *model, model_usable_fn *usable, void *context);

/* Answer a live call. Returns false where that is not known. Outputs are as the program must see them. */
bool model_answer(struct model *model, const struct model_call *call, struct tape_arena *arena,
                  struct facts_answer *ret_answer);

/* A live call got its answer, from wherever. */
void model_served(struct model *model, const struct model_call *call, const struct tape_value *out,
                  CK_RV rv);

/* Whether there was room for all that is known. */
bool model_is_full(const struct model *model);

#endif
