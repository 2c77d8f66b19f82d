/* SPDX-License-Identifier: MIT
 *
 * What a run of checks prints: for people, or in one of the formats that machines read.
 */
#ifndef TAPE_SUITES_REPORT_H
#define TAPE_SUITES_REPORT_H

#include <stdio.h>

#include "suites/baseline.h"
#include "suites/runner.h"

enum report_format { REPORT_TEXT, REPORT_TAP, REPORT_JUNIT, REPORT_JSON };

/* A finding that members of a family share: shown once. */
struct alike {
	uint64_t hash; /* of the family, the rule and the text; 0 where the entry is free */
	size_t more;   /* that came after the first */
	char name[CHECK_NAME_SIZE];
};
#define REPORT_ALIKE 1024 /* a power of two */

/* Why checks were skipped: names and numbers are left out, so that one reason is one. */
struct skipped {
	char reason[100];
	size_t count; /* 0 where the entry is free */
};
#define REPORT_REASONS 256

struct report {
	FILE *to;
	enum report_format format;
	bool verbose;  /* passes and skips too */
	bool progress; /* a line that is overwritten, on a terminal */
	const struct target *target;
	const char *evidence; /* the directory's name */
	/* Print the last calls of a trace, each on a line behind `indent`; or NULL. */
	void (*show_calls)(FILE *to, const char *indent, const char *path);
	bool kept;       /* some trace is */
	size_t left_out; /* checks that nobody asked for because they change the token */
	size_t total, done;
	size_t verdicts[VERDICT_COUNT];
	struct baseline *known; /* what is known of the module, or NULL */
	size_t known_count;     /* findings that are; they are not among `verdicts` */
	uint64_t began;         /* monotonic nanoseconds */
	struct alike alike[REPORT_ALIKE];
	struct skipped skipped[REPORT_REASONS];
};

/* Look a format up by its name. */
bool report_format_find(const char *name, enum report_format *ret_format);

void report_begin(struct report *report);
void report_add(struct report *report, const struct result *result);

/* Returns how many known findings did not come although their checks ran. */
size_t report_end(struct report *report);

#endif
