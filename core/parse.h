/* SPDX-License-Identifier: MIT
 *
 * From a trace's items to values: the way back of core/print.h. A value that was written reads back to
 * the same bytes; what could not be is refused with the line and the argument's name.
 */
#ifndef TAPE_PARSE_H
#define TAPE_PARSE_H

#include "core/api/api.h"
#include "core/error.h"
#include "core/tree.h"
#include "core/value.h"

struct tape_parse {
	struct tape_arena *arena;      /* values are made here; they need nothing of the items */
	const struct tape_node *names; /* the header's `names`, or NULL */
	struct tape_error *error;
};

/*
 * Read the inputs of a call: one value per argument. `map` is the item's `in` (NULL where it has none;
 * a scalar where it is partial, which loses all of them).
 * Returns 0 or a negative error code.
 */
TAPE_MUST_CHECK int tape_parse_in(struct tape_parse *parse, const struct tape_function *function,
                                  const struct tape_node *map, size_t line,
                                  struct tape_value *ret_in);

/* Read the outputs of a call whose inputs are `in` (they say the types of a template's entries). */
TAPE_MUST_CHECK int tape_parse_out(struct tape_parse *parse, const struct tape_function *function,
                                   const struct tape_node *map, size_t line,
                                   const struct tape_value *in, struct tape_value *ret_out);

/* What a notification says: which session it is for and, of group CKN, what has happened. */
struct tape_notification {
	CK_SESSION_HANDLE session;
	CK_NOTIFICATION event;
};

/* Read a notification: `event` is what stands under the item's `notify`, `map` its `in` or NULL. */
TAPE_MUST_CHECK int tape_parse_notification(struct tape_parse *parse, const struct tape_node *event,
                                            const struct tape_node *map,
                                            struct tape_notification *ret_notification);

/* Read a return value: a CKR_ name or a number. */
TAPE_MUST_CHECK int tape_parse_rv(struct tape_parse *parse, const struct tape_node *node,
                                  CK_RV *ret_rv);

#endif
