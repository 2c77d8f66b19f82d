/* SPDX-License-Identifier: MIT */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>

/* Sentences quote what stands in a trace, and are read on terminals: no control characters. */
static void make_printable(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at != 0; at++) {
		if (*at == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
			at[1] = '?'; /* of the C1 controls */
		else if (*at >= 0x20 && *at != 0x7f)
			continue;
		*at = '?';
	}
}

int tape_error_set(struct tape_error *error, int code, size_t line, const char *format, ...)
{
	if (error != NULL) {
		va_list arguments;
		error->code = code;
		error->line = line;
		va_start(arguments, format);
		vsnprintf(error->sentence, sizeof(error->sentence), format, arguments);
		va_end(arguments);
		make_printable(error->sentence);
	}
	return -code;
}
