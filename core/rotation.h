/* SPDX-License-Identifier: MIT
 *
 * When a trace that is being written goes on in another file: after so many bytes, or after so long.
 */
#ifndef TAPE_ROTATION_H
#define TAPE_ROTATION_H

#include <stdint.h>

#include "core/attributes.h"
#include "core/error.h"

struct tape_rotation {
	uint64_t bytes;       /* 0: whatever its size */
	uint64_t nanoseconds; /* 0: whatever its age */
};

#define TAPE_ROTATION_WORDS "a size (100M), a time (1h), or both (100M,1h)"

/* Read "100M,1h": K, M, G; s, m, h, d. Returns 0 or -TAPE_E_INVALID with a sentence about the text. */
TAPE_MUST_CHECK int tape_rotation_read(struct tape_rotation *ret_rotation, const char *text,
                                       struct tape_error *error);

#endif
