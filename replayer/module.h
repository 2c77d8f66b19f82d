/* SPDX-License-Identifier: MIT
 *
 * Discovery: the lists and interfaces of the recorded module, made again.
 */
#ifndef TAPE_REPLAYER_MODULE_H
#define TAPE_REPLAYER_MODULE_H

#include "core/api/api.h"

/* Answer C_GetFunctionList, C_GetInterfaceList or C_GetInterface from what was recorded of them. */
CK_RV module_find(enum tape_function_id function, const uintptr_t *words);

#endif
