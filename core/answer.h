/* SPDX-License-Identifier: MIT
 *
 * From recorded outputs to a caller's memory: writes what the module wrote, and nothing else.
 */
#ifndef TAPE_ANSWER_H
#define TAPE_ANSWER_H

#include "core/api/api.h"
#include "core/compare.h"
#include "core/value.h"

/*
 * Write the outputs of a call into the memory that `words` name. `in` are the live call's inputs as
 * tape_capture_in() made them; they must equal the recorded ones (tape_compare_in), which is what makes
 * every write fit. No write goes past a room that the caller offered.
 * Discovery (trait FINDS) is not answered here: its pointers are the module's own.
 * `names` has the bindings and the part for redacted outputs; NULL where there are none.
 * Returns the number of bytes that had to be made up for these.
 */
size_t tape_answer(const struct tape_compare *names, const struct tape_function *function,
                   const uintptr_t *words, const struct tape_value *in,
                   const struct tape_value *out);

/* Write the fields of a structure that is all output (C_GetTokenInfo's) to `memory`. */
void tape_answer_record(void *memory, const struct tape_value *out);

#endif
