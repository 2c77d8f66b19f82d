/* SPDX-License-Identifier: MIT
 *
 * From values to record lines: how every form of every shape is spelled (docs/trace-format.md). The
 * output is JSON-compatible YAML on one line. core/parse.h is the way back.
 */
#ifndef TAPE_PRINT_H
#define TAPE_PRINT_H

#include "core/api/api.h"
#include "core/buf.h"
#include "core/value.h"

/* Bytes of one piece of a long byte string. */
#define TAPE_PIECE ((size_t)64 * 1024)

/* Numbers above this are not exact in every JSON reader. */
#define TAPE_MAX_EXACT ((uint64_t)1 << 53)

/*
 * Append the inputs (or the outputs) of a call as one mapping, absent ones left out. Appends nothing
 * and returns false where all are absent.
 */
bool tape_print_values(struct tape_buf *buf, const struct tape_function *function,
                       const struct tape_value *values, bool output);

/* Append the value of one argument. */
void tape_print_value(struct tape_buf *buf, const struct tape_function *function,
                      const struct tape_argument *argument, const struct tape_value *value,
                      bool output);

/* Append a number: decimal while that is exact everywhere, else quoted hexadecimal; ~0 as a word. */
void tape_print_number(struct tape_buf *buf, uint64_t number);

/* Append the quoted name of a constant, or its quoted hexadecimal value where it has none. */
void tape_print_constant(struct tape_buf *buf, enum tape_group group, uint64_t value);

/* The name of a constant out of any group, attributes and mechanisms included; NULL for none. */
const struct tape_name *tape_any_name(enum tape_group group, uint64_t value);

#endif
