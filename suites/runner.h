/* SPDX-License-Identifier: MIT
 *
 * Runs checks, each in a process of its own: what a check or the module does to its process, and
 * that it never ends, is seen from here.
 */
#ifndef TAPE_SUITES_RUNNER_H
#define TAPE_SUITES_RUNNER_H

#include "core/error.h"
#include "suites/check.h"
#include "suites/outcome.h"

/* What is known of how the token counts wrong PINs; of all runs on it. */
struct run_pins {
	unsigned int presented;
	bool forgives; /* its flags showed one, and no more when the right one had come */
};

struct run_options {
	unsigned int jobs;    /* checks at a time */
	unsigned int timeout; /* seconds that a check may take */
	const char *evidence; /* directory for the traces of what was found; NULL to keep none */
	bool keep_all;        /* keep the traces of all checks */
	/* Wrong PINs that may be presented while it is not known that they are forgiven, and those that were. */
	unsigned int wrong_pins;
	struct run_pins *pins;
	bool first; /* begin no check once one has found something */
};

struct result {
	const struct check_row *row;
	struct outcome outcome;
	bool hung;  /* it was killed for taking too long */
	int signal; /* that ended its process; 0 for none */
	char call
		[64]; /* that had not returned when the process ended; "" where that is not known */
	char trace[512]; /* the evidence, in the directory's words; "" for none */
};

/* Told of every check as it ends. */
typedef void run_report_fn(void *context, const struct result *result);

/*
 * Ask the module what it is: fills in what struct target says is found out. Returns 0, or an error if
 * no process can be made.
 */
TAPE_MUST_CHECK int run_ask(struct target *target, const struct run_options *options,
                            struct tape_error *error);

/*
 * Run checks in their order, those that must be alone after the others. A negative error code means
 * that the run could not be carried on.
 */
TAPE_MUST_CHECK int run_checks(const struct check_row *const *rows, size_t count,
                               const struct target *target, const struct run_options *options,
                               run_report_fn *report, void *context, struct tape_error *error);

#endif
