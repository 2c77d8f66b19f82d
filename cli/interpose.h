/* SPDX-License-Identifier: MIT
 *
 * Programs that are run as they are, without {} in their arguments: p11tape-preload.so steps in where they
 * look up a module's entry points (recorder/preload.c). What it needs, and where that cannot work.
 */
#ifndef TAPE_INTERPOSE_H
#define TAPE_INTERPOSE_H

#include <limits.h>

#include "cli/run.h"
#include "core/attributes.h"

struct tape_interpose {
	char directory[PATH_MAX]; /* private, ours to remove; "" where there is none */
	char serve[PATH_MAX];     /* "" in a recording */
	char *preload, *asan;     /* values of LD_PRELOAD and ASAN_OPTIONS; malloc */
	const char *only;
};

/* Find a program as execvp() does. */
bool tape_interpose_find(const char *name, char ret_path[PATH_MAX]);

/*
 * Prepare for a program: `only` narrows the modules by a pattern; NULL takes all. Returns an exit status; where it
 * is not TAPE_EXIT_GOOD it has said why, and how such a program is recorded or replayed to instead.
 */
TAPE_MUST_CHECK int tape_interpose_begin(struct tape_interpose *interpose, const char *program,
                                         const char *only);

/* Serve the module at `path`, whose entry points begin with `prefix`, from `replayer`. Returns an exit status. */
TAPE_MUST_CHECK int tape_interpose_serve(struct tape_interpose *interpose, const char *path,
                                         const char *prefix, const char *replayer);

/* Set what the program gets in its environment; it lives as long as `interpose`. */
void tape_interpose_variables(const struct tape_interpose *interpose,
                              struct tape_variables *variables);

/* Say why no module may have been seen, once the program has run. */
void tape_interpose_explain(const char *program);

/* Remove what was made. Programs that are still running keep what they have loaded. */
void tape_interpose_end(struct tape_interpose *interpose);

#endif
