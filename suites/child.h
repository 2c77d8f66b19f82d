/* SPDX-License-Identifier: MIT
 *
 * The process in which one check runs.
 */
#ifndef TAPE_SUITES_CHILD_H
#define TAPE_SUITES_CHILD_H

#include "suites/check.h"
#include "suites/outcome.h"

/*
 * Run a check in this process, which was forked for it, and end what it began. Everything goes to
 * `outcome`; whatever the process does after that, or instead, is the runner's to see.
 */
/*
 * Whether it is known beforehand, from asking, that the module does not offer what the check needs; says so in
 * `reason`, of OUTCOME_TEXT characters.
 */
bool child_lacks(const struct check_row *row, const struct target *target, char *reason);

void child_run(const struct check_row *row, const struct target *target, struct outcome *outcome);

/* Ask the module everything that struct target says was found out. As a check, in its own process. */
void child_ask(struct target *target, struct outcome *outcome);

/*
 * Destroy what the check `after` (NULL: any) has left in the token, and put back PINs that it changed, and the token
 * itself. As a check, in its own process.
 */
void child_sweep(const struct check_row *after, const struct target *target,
                 struct outcome *outcome);

/*
 * The file by which the processes of a run wait for each other: a login writes to the token, and a
 * library that initialises meanwhile may find half of it (SoftHSM2 2.6.1 then has no such slot).
 */
extern char child_lock[64];

/* The size of the check's buffer behind which `address` lies; 0 where it lies behind none. */
size_t child_overrun(const void *address);

#endif
