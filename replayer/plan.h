/* SPDX-License-Identifier: MIT
 *
 * A recorded call made ready: what the words of an equal call must be, and what is then written where.
 * Made when the call is read, for the shapes that make up nearly all calls; it must decide exactly as
 * tape_compare_in() and tape_answer() do (tests/unit/test-roundtrip.c holds it against them). Serving
 * C_GetSessionInfo by the general way takes several times longer.
 *
 * An argument's own pointer is trusted, as the recorded module trusted it; what that points to is not.
 */
#ifndef TAPE_REPLAYER_PLAN_H
#define TAPE_REPLAYER_PLAN_H

#include "core/arena.h"
#include "core/value.h"

struct plan_check;
struct plan_write;

struct plan {
	const struct plan_check *checks; /* NULL: take the general way */
	const struct plan_write *writes;
	uint16_t check_count, write_count;
};

static inline void plan_clear(struct plan *plan)
{
	plan->checks = NULL;
	plan->writes = NULL;
	plan->check_count = plan->write_count = 0;
}

/* Make the plan of a call in `arena`. A call that has none stays cleared. */
void plan_make(struct plan *plan, struct tape_arena *arena, const struct tape_function *function,
               const struct tape_value *in, const struct tape_value *out);

/* Whether the call that came is certainly the recorded one. False may only mean: take the general way. */
bool plan_equals(const struct plan *plan, const uintptr_t *words);

/* Write the outputs of a call that plan_equals() found equal. */
void plan_answer(const struct plan *plan, const uintptr_t *words);

#endif
