/* SPDX-License-Identifier: MIT
 *
 * Lines of a trace with something wrong in them: a token, a key or a whole value is replaced by another
 * one that could stand in some line, or a byte by any other.
 */
#ifndef TEST_MUTATE_H
#define TEST_MUTATE_H

#include "core/buf.h"
#include "tests/unit/support/generate.h"

/* Write a mutated copy of the JSON text into the emptied buffer. */
void mutate(struct dice *dice, const char *text, size_t length, struct tape_buf *buf);

#endif
