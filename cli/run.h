/* SPDX-License-Identifier: MIT
 *
 * Run the program that record and replay were given: {} in its arguments, variables in its
 * environment alone, its signals and its exit status.
 */
#ifndef TAPE_RUN_H
#define TAPE_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "core/attributes.h"

struct tape_variable {
	const char *name, *value; /* a value of NULL leaves the variable as it is */
};

/*
 * Copy the arguments with every {} replaced by `path`. *ret_any says whether there was one.
 * Returns NULL without memory; tape_run_free() gives the copy back.
 */
TAPE_MUST_CHECK char **tape_run_arguments(char **arguments, const char *path, bool *ret_any);
void tape_run_free(char **arguments);

/*
 * Run a program and wait for it. SIGINT and SIGQUIT are its own business while it runs; SIGTERM
 * and SIGHUP are passed on to it. Returns the status to exit with: the program's own, 128 + the
 * number of the signal that ended it, 126 or 127 (with a sentence, and *ret_started false) if it
 * did not start.
 */
int tape_run(char **arguments, const struct tape_variable *variables, size_t count,
             bool *ret_started);

#endif
