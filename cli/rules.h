/* SPDX-License-Identifier: MIT
 *
 * Which rules a replay of one recording needs, as a second recording of the same program shows
 * (cmd_rules.c): for `rules`, and for `record --twice`.
 */
#ifndef TAPE_CLI_RULES_H
#define TAPE_CLI_RULES_H

#include <stdbool.h>

/*
 * Compare two recordings, each with the traces of its other processes, and propose rules: on standard
 * output, or, with `write`, in the headers of the first recording's traces, which says so on standard
 * error. Returns TAPE_EXIT_GOOD where none are needed, _FOUND where there are some or where no rule would
 * help, _BAD (said) where the traces cannot be used.
 */
int tape_cli_rules(const char *first, const char *second, bool write);

#endif
