/* SPDX-License-Identifier: MIT
 *
 * Operations that can be active in a session, for checks of what becomes of them when something else ends.
 */
#ifndef TAPE_SUITES_ACTIVE_H
#define TAPE_SUITES_ACTIVE_H

#include "suites/check.h"

struct active {
	const char *name;
	CK_MECHANISM_TYPE mechanism; /* 0: a search */
	enum tape_function_id init, step;
};

#define ACTIVE_COUNT 6
extern const struct active active_operations[ACTIVE_COUNT];

/* Begin it in c->session, with a key of this session's; skips where the token has no such mechanism. */
CK_RV active_begin(struct check *c, const struct active *operation);

/* One step of it there, with arguments of no particular meaning. */
CK_RV active_step(struct check *c, const struct active *operation);

#endif
