/* SPDX-License-Identifier: MIT
 *
 * What came out of a check. It lies in memory that the check's process shares with the runner, so that
 * it is there even if that process dies.
 */
#ifndef TAPE_SUITES_OUTCOME_H
#define TAPE_SUITES_OUTCOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict {
	VERDICT_PASS,
	VERDICT_SKIP,      /* the module does not offer it */
	VERDICT_DEVIATION, /* contradicts a SHOULD, or is tolerated by another version of the text */
	VERDICT_FAIL,      /* contradicts a MUST */
	VERDICT_ERROR,     /* ours */
	VERDICT_COUNT
};

#define OUTCOME_FINDINGS 8
#define OUTCOME_NOTES 8
#define OUTCOME_TEXT 500

struct finding {
	unsigned short rule; /* 0 where there is none: a crash */
	unsigned char verdict;
	int line;
	char file[40];
	char text[OUTCOME_TEXT];
};

struct outcome {
	bool ended;  /* the check came to its end, whatever it found */
	bool closed; /* and what it had begun was ended too */
	unsigned int expectations;
	size_t finding_count, note_count; /* the first so many are kept */
	struct finding findings[OUTCOME_FINDINGS];
	char notes[OUTCOME_NOTES][OUTCOME_TEXT];
	char reason[OUTCOME_TEXT]; /* of a skip or an error */
	unsigned char verdict;     /* enum verdict */
	char calling[48]; /* where a check died that was not recorded; "" where not known */
	uint64_t took;    /* nanoseconds */
	bool presented;   /* a wrong PIN, unless the check skipped */
	bool forgiven;    /* and the token's flags showed that the right one took it back */
	size_t overrun;   /* the size of the buffer behind which was written or read; 0 for none */
};

/* "pass". */
const char *verdict_name(enum verdict verdict);

#endif
