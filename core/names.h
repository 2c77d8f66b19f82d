/* SPDX-License-Identifier: MIT
 *
 * Names that rules give (`as: id-1`): values that an application draws and its module echoes. core/compare.h
 * binds what is presented; here the outputs get the live values.
 */
#ifndef TAPE_NAMES_H
#define TAPE_NAMES_H

#include "core/compare.h"

/*
 * The outputs of a call as they are to be answered: `out`, or a copy in `arena` where a name stands in
 * them. NULL without memory.
 */
const struct tape_value *tape_names_answer(const struct tape_compare *compare,
                                           struct tape_arena *arena,
                                           const struct tape_function *function,
                                           const struct tape_value *out);

#endif
