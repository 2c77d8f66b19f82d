/* SPDX-License-Identifier: MIT
 *
 * How a replay takes its time: --timing none, recorded or x0.1.
 */
#ifndef TAPE_PACE_H
#define TAPE_PACE_H

#include <stdint.h>

#include "core/error.h"

/* Recorded durations are taken times `millionths` / 1000000; 0: no time at all. */
#define TAPE_PACE_RECORDED UINT64_C(1000000)

/* --order global waits so many seconds for a thread, unless told otherwise; and at the most. */
#define TAPE_ORDER_SECONDS 10
#define TAPE_ORDER_MAX 86400

/* Read a word. Returns 0, or -TAPE_E_INVALID with a sentence. */
TAPE_MUST_CHECK int tape_pace_read(const char *word, uint64_t *ret_millionths,
                                   struct tape_error *error);

/* A duration, in nanoseconds, at that pace. */
static inline uint64_t tape_pace_of(uint64_t millionths, uint64_t nanoseconds)
{
	return nanoseconds / TAPE_PACE_RECORDED * millionths +
	       nanoseconds % TAPE_PACE_RECORDED * millionths / TAPE_PACE_RECORDED;
}

#endif
