/* SPDX-License-Identifier: MIT
 *
 * How far a replay got, in pages that the programs being replayed and `p11tape replay` share: a third
 * of programs never finalise, and a killed one says nothing. The file has TAPE_PROGRESS_SIZE bytes, and
 * `count` seats behind them: the traces that there are, and who is served which; and for each trace one
 * byte a call.
 */
#ifndef TAPE_REPLAYER_PROGRESS_H
#define TAPE_REPLAYER_PROGRESS_H

#include <stdatomic.h>
#include <stdint.h>

#include "core/set.h"

#define TAPE_PROGRESS_SIZE 4096
#define TAPE_PROGRESS_MAGIC 0x33657061743131u /* "11tape3" */

/* One trace of the set (core/set.h). Calls are counted from its beginning, discovery left out. */
struct tape_seat {
	_Atomic uint64_t owner;   /* number of the process that has claimed it; 0: nobody */
	_Atomic uint64_t reached; /* so many from its beginning were served */
	uint64_t total;           /* calls that there are; 0 where nobody has counted */
	uint64_t uses; /* where their bytes begin: to how many processes each was served */
	struct tape_member member;
};

struct tape_progress {
	uint64_t magic;            /* set once a replayer has loaded its trace */
	uint64_t count;            /* seats; 0 where nobody has looked for more traces than one */
	_Atomic uint64_t loads;    /* processes (and loads) that serve it */
	_Atomic uint64_t found;    /* discovery calls answered */
	_Atomic uint64_t diverged; /* divergences reported */
	_Atomic uint64_t filled;   /* bytes made up for redacted outputs */
	_Atomic uint64_t secrets;  /* secrets accepted unseen because the trace only names them */
	_Atomic uint64_t beyond;   /* calls answered more often than they were recorded */
	_Atomic uint64_t ended; /* calls that only end something, answered without a recorded one */
	_Atomic uint64_t derived;   /* calls answered by model: not as recorded, but it follows */
	_Atomic uint64_t codes;     /* of these: another module may return another code */
	_Atomic uint64_t lengths;   /* of these: another module may say a larger length */
	_Atomic uint64_t keyed;     /* calls answered with a test key */
	_Atomic uint64_t forwarded; /* calls answered by a live module */
	_Atomic uint64_t reading;   /* nanoseconds spent reading the trace */
	_Atomic uint64_t
		failed; /* 1: the trace could not be served at all (the reason is in the report) */
};

static inline struct tape_seat *tape_progress_seats(struct tape_progress *progress)
{
	return (struct tape_seat *)(void *)((char *)progress + TAPE_PROGRESS_SIZE);
}

/* The bytes of a trace's calls; NULL where there are none. */
static inline _Atomic uint8_t *tape_progress_uses(struct tape_progress *progress, size_t seat)
{
	const struct tape_seat *seats = tape_progress_seats(progress);
	return seats[seat].total == 0
	               ? NULL
	               : (_Atomic uint8_t *)(void *)((char *)progress + seats[seat].uses);
}

#endif
