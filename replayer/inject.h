/* SPDX-License-Identifier: MIT
 *
 * Fault injection in a replay (core/inject.h): what happens to a call before it is looked for in the
 * trace, and to an answer after it was found.
 */
#ifndef TAPE_REPLAYER_INJECT_H
#define TAPE_REPLAYER_INJECT_H

#include "core/api/api.h"

/* Whether any rule was given, once the options are read. Takes the engine's lock. */
bool inject_is_asked(void);

/* Answer a call by the rules, or have `serve` answer it. No lock may be held. */
CK_RV inject_call(enum tape_function_id id, const uintptr_t *words,
                  CK_RV (*serve)(enum tape_function_id id, const uintptr_t *words));

#endif
