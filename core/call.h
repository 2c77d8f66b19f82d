/* SPDX-License-Identifier: MIT
 *
 * Call any function of Cryptoki with its arguments as words, by its row: for those who issue calls that
 * they did not write down, such as recorded ones.
 */
#ifndef TAPE_CALL_H
#define TAPE_CALL_H

#include "core/api/api.h"

/* Any function of a module, to be cast to its own type (CK_C_Sign) before it is called. */
typedef void (*tape_any_fn)(void);

/*
 * Call `function`, which must be the module's C_ function `id`, with its C parameters in `words` (as
 * many as its row says, in their order), and return what it returns.
 */
CK_RV tape_call(tape_any_fn function, enum tape_function_id id, const uintptr_t *words);

#endif
