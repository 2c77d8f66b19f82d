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
#include "core/buf.h"

/* What the program gets in its environment; the texts stay the caller's. */
struct tape_variables {
	struct {
		const char *name, *value;
	} list[32];
	size_t count;
	bool failed; /* there was no memory for one: nothing is run */
};

/* Set a variable; a value of NULL leaves it as it is in ours. There are never more than have room. */
void tape_variables_set(struct tape_variables *variables, const char *name, const char *value);

/* The same of lines that an option added one by one: no line leaves it, too. They get a zero byte. */
void tape_variables_set_lines(struct tape_variables *variables, const char *name,
                              struct tape_buf *lines);

/* Whether an argument has `place`, such as {}: our module is named there. */
bool tape_run_has(char **arguments, const char *place);

/*
 * Copy the arguments with every `place` replaced by `path`. Returns NULL without memory; tape_run_free()
 * gives the copy back.
 */
TAPE_MUST_CHECK char **tape_run_arguments(char **arguments, const char *place, const char *path);
void tape_run_free(char **arguments);

/*
 * Run a program and wait for it; `variables` may be NULL. SIGINT and SIGQUIT are its own business while it runs; SIGTERM
 * and SIGHUP are passed on to it. Returns the status to exit with: the program's own, 128 + the
 * number of the signal that ended it, 126 or 127 (with a sentence, and *ret_started false) if it
 * did not start.
 */
int tape_run(char **arguments, const struct tape_variables *variables, bool *ret_started);

#endif
