/* SPDX-License-Identifier: MIT
 *
 * Calls and answers on one line each, as the reports of `drive` and `diff` show them side by side: in the
 * spelling of the trace, cut where they are long.
 */
#ifndef TAPE_LINES_H
#define TAPE_LINES_H

#include "core/api/api.h"
#include "core/buf.h"
#include "core/value.h"

/* Cut what stands behind `begin` if it is long; never in the middle of a character. */
void tape_line_cut(struct tape_buf *buf, size_t begin);

/* Append C_Login {"hSession": 1, …}. */
void tape_line_call(struct tape_buf *buf, const struct tape_function *function,
                    const struct tape_value *in);

/* Append a return value as a word: names stand without their quotes. */
void tape_line_rv(struct tape_buf *buf, CK_RV rv);

/* Append CKR_OK {"phKey": 3}; `out` is NULL for a call that did not return. */
void tape_line_answer(struct tape_buf *buf, const struct tape_function *function, CK_RV rv,
                      const struct tape_value *out);

#endif
