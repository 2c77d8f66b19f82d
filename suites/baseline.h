/* SPDX-License-Identifier: MIT
 *
 * What is known of a module already: a YAML file with an item for each check that failed or deviated,
 *
 *   - baseline: 1
 *     module: "SoftHSM 2.6"
 *   - check: digest/no-operation/C_DigestFinal
 *     verdict: fail
 *     rule: R-163
 *     seen: "C_DigestFinal returned CKR_OK, expected CKR_OPERATION_NOT_INITIALIZED"
 *
 * A finding is known if its check and verdict are; rule and text are for people.
 */
#ifndef TAPE_SUITES_BASELINE_H
#define TAPE_SUITES_BASELINE_H

#include "core/arena.h"
#include "core/error.h"
#include "suites/runner.h"

struct baseline_entry {
	const char *check; /* "suite/name" */
	enum verdict verdict;
	unsigned int rule; /* 0 for none */
	const char *seen;
	bool met;    /* the run came to the same verdict */
	bool missed; /* the check ran and came to another one, other than a skip */
};

struct baseline {
	struct tape_arena arena;
	struct baseline_entry *entries;
	size_t count, room;
};

void baseline_init(struct baseline *baseline);
void baseline_done(struct baseline *baseline);

/* Read a file. What cannot be used gets a sentence with its line. */
TAPE_MUST_CHECK int baseline_read(struct baseline *baseline, const char *path,
                                  struct tape_error *error);

/* Say whether a result is in it, and remember that it came. */
bool baseline_meet(struct baseline *baseline, const struct result *result);

/* Add a result, if it is a fail or a deviation. Returns false without memory. */
TAPE_MUST_CHECK bool baseline_add(struct baseline *baseline, const struct result *result);

/* Write a file, in the order of the checks' names. */
TAPE_MUST_CHECK int baseline_write(struct baseline *baseline, const char *path,
                                   const struct target *target, struct tape_error *error);

#endif
