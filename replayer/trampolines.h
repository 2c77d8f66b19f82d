/* SPDX-License-Identifier: MIT
 *
 * The functions that the replayer's lists point to, in list order.
 */
#ifndef TAPE_REPLAYER_TRAMPOLINES_H
#define TAPE_REPLAYER_TRAMPOLINES_H

#include "core/api/api.h"

typedef void (*replay_pointer)(void);

extern const replay_pointer replay_pointers[TAPE_FN_COUNT];

#endif
