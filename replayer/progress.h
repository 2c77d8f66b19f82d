/* SPDX-License-Identifier: MIT
 *
 * How far a replay got, in a page that the program being replayed and `p11tape replay` share: a third
 * of programs never finalise, and a killed one says nothing. The file has TAPE_PROGRESS_SIZE bytes.
 */
#ifndef TAPE_REPLAYER_PROGRESS_H
#define TAPE_REPLAYER_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

#define TAPE_PROGRESS_SIZE 4096
#define TAPE_PROGRESS_MAGIC 0x31657061743131u /* "11tape1" */

struct tape_progress {
	uint64_t magic;             /* set once a replayer has loaded its trace */
	_Atomic uint64_t loads;     /* processes (and loads) that serve it */
	_Atomic uint64_t served;    /* calls answered from the trace, discovery not counted */
	_Atomic uint64_t found;     /* discovery calls answered */
	_Atomic uint64_t diverged;  /* divergences reported */
	_Atomic uint64_t filled;    /* bytes made up for redacted outputs */
	_Atomic uint64_t secrets;   /* secrets accepted unseen because the trace only names them */
	_Atomic uint64_t last_line; /* line of the call that was served last */
	_Atomic uint64_t reading;   /* nanoseconds spent reading the trace */
	_Atomic uint64_t
		failed; /* 1: the trace could not be served at all (the reason is in the report) */
};

#endif
