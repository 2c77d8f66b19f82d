/* SPDX-License-Identifier: MIT
 *
 * One sentence about what went wrong, with the place in the trace where there is one.
 */
#ifndef TAPE_ERROR_H
#define TAPE_ERROR_H

#include <stddef.h>

#include "core/attributes.h"

/* What functions of core return below zero. */
enum tape_error_code {
	TAPE_E_INVALID = 1, /* the input is not what it should be */
	TAPE_E_LIMIT,       /* the input exceeds a limit of ours */
	TAPE_E_MEMORY,
	TAPE_E_SYSTEM, /* the operating system refused; errno is in the sentence */
};

struct tape_error {
	int code;    /* enum tape_error_code, 0 for none */
	size_t line; /* 1-based line of the input, 0 where there is none */
	char sentence[400];
};

/* Fill in *error (which may be NULL) and return -code. The sentence has no final newline. */
int tape_error_set(struct tape_error *error, int code, size_t line, const char *format, ...)
	TAPE_PRINTF(4, 5);

#endif
