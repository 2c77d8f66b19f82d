/* SPDX-License-Identifier: MIT
 *
 * Options of our modules. A variable's value is that of the environment (unless the process is set-uid
 * or set-gid) or of a line NAME=value in the file <module's file name>.conf beside the module, which is
 * read only when a variable is not in the environment.
 *
 * In that file `#` begins a comment line, a value goes to the end of its line, blanks around names and
 * values do not count, and the last line of a name wins. A set-uid or set-gid process obeys the file
 * only if root alone can write it.
 *
 * Allocates no heap memory; sets no locale; safe in a forked child.
 */
#ifndef TAPE_CONFIG_H
#define TAPE_CONFIG_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/attributes.h"
#include "core/error.h"

#define TAPE_MAX_CONFIG ((size_t)64 * 1024)

struct tape_config {
	bool trusted;        /* the environment may be listened to, and the file may be anybody's */
	bool read;           /* the file has been looked for */
	char path[PATH_MAX]; /* of the file; "" where our own place is not known */
	char *text;          /* its contents, in pages of our own */
	size_t length, room;
};

/* Begin with the file at `path` ("" for none). */
void tape_config_init(struct tape_config *config, const char *path, bool trusted);

/* Begin for the module that `address` lies in, in this process. */
void tape_config_open(struct tape_config *config, const void *address);

/*
 * Look `variable` up and copy its value, zero-terminated, to `to`. Returns 1; 0 where it is not set or
 * set to nothing; or an error code, with a sentence, for a file that is not as it must be and for a
 * value that has no room. `to` is untouched unless 1 is returned.
 */
TAPE_MUST_CHECK int tape_config_get(struct tape_config *config, const char *variable, char *to,
                                    size_t size, struct tape_error *error);

/* Give the pages back. */
void tape_config_close(struct tape_config *config);

#endif
