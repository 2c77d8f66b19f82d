/* SPDX-License-Identifier: MIT
 *
 * What the replayer knows of its trace: records that were read and not yet served, in their lanes
 * (docs/replay.md), and what is kept of discovery. One for the process; all of it under the lock of
 * replay.c. reading.c fills it, replay.c serves from it.
 */
#ifndef TAPE_REPLAYER_ENGINE_H
#define TAPE_REPLAYER_ENGINE_H

#include <sys/types.h>

#include "core/compare.h"
#include "core/trace.h"
#include "core/value.h"
#include "replayer/options.h"
#include "replayer/plan.h"

#define RECORD_ROOM 1536

/*
 * Records kept waiting at the most while lanes drift apart: beyond the first number nothing more is read
 * in advance, beyond the second one not even what a call waits for.
 */
#define MAX_PENDING ((size_t)1 << 13)
#define MAX_DRIFT ((size_t)1 << 17)

/* Calls and bytes of values that are kept at the most where the whole trace is. */
#define MAX_WHOLE ((size_t)1 << 21)
#define MAX_WHOLE_BYTES ((size_t)1 << (sizeof(size_t) > 4 ? 32 : 30))

#define NOT_YET UINT64_MAX
#define LATER \
	(UINT64_MAX - 1) /* of a whole call: known to have returned, but not yet behind what */

struct lane;
struct loose;
struct notice;
struct waiter;

struct record {
	struct record *next; /* in its lane */
	const struct tape_function *function;
	struct plan plan;
	uint64_t call_at,
		return_at; /* positions in the trace; return_at is NOT_YET or LATER while it is open */
	uint64_t id, line, until;
	uint64_t number; /* from 0 on, in its trace, discovery left out */
	size_t seat;     /* which trace that is: replayer/binding.h */
	CK_RV rv;
	unsigned int part; /* of the trace */
	uint64_t thread;   /* as recorded */
	uint64_t took;     /* nanoseconds */
	bool partial;      /* an output, or all inputs, are not in the recording */
	bool slow;         /* there is more to do than to answer: it gets no plan */
	bool left;         /* its thread went on without its having returned */
	struct notice *notices, **notices_end; /* that it brought and the program has not had */
	struct lane *opens;                    /* the lane that its new session begins */
	struct record *next_open;              /* among the calls whose return has not been read */
	uint64_t digest;                       /* of inputs and outputs, for telling lanes apart */
	struct tape_arena
		arena; /* of the values, in and out; unused where the whole trace is kept */
	struct tape_value *in, *out;
};

/* A record that is used again. */
struct roomy_record {
	struct record record;
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
	/* Where the arena begins: small calls need no page of their own, which the processor would have to find. */
	_Alignas(16) char room[RECORD_ROOM];
};

struct lane {
	struct lane *next;
	uint64_t recorded, live; /* session handles; 0 where there is none yet */
	uint64_t opener;         /* digest of the call that opened the session; 0 for none */
	struct record *first, *last;
	size_t served;
	uint64_t *history; /* digests of the first MAX_HISTORY calls served */
};

struct found {
	struct found *next;
	const struct tape_function *function;
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
	CK_RV rv;
};

struct engine {
	enum { UNOPENED, OPEN, FAILED } state;
	int cancel; /* whether the thread that is in could be cancelled before */
	struct options options;
	struct tape_reader *reader;
	bool only_list;    /* the recorded module has C_GetFunctionList, and no other entry point */
	bool lanes;        /* calls overlap: keep the order per lane */
	bool ended;        /* all of the trace is read */
	unsigned int part; /* that is being read */
	bool gaps;         /* lines are missing: a return may lack its call */
	bool all_found;    /* the whole trace was searched for discovery */
	uint64_t position;
	size_t pending;
	struct lane main; /* calls without a session; all calls where nothing overlaps */
	struct lane *sessions;
	struct record *open;                   /* calls whose return has not been read */
	struct notice *notices, **notices_end; /* that no call brought */
	bool behind_notice;                    /* one of them was read after the last call */
	struct notice *open_notices;           /* whose return has not been read */
	uint64_t finished;         /* position behind the last call served that ends everything */
	struct record *retired;    /* served; their memory is still to be given back */
	struct record *unused;     /* free records with warm arenas */
	size_t ahead;              /* bytes read since reading began */
	struct tape_arena item;    /* the one that is being read */
	struct tape_arena scratch; /* of the live call */
	struct tape_arena keep;    /* lives as long as the process: discovery */
	struct found *found, *found_last;
	struct record *kept; /* that hold what was found */
	struct tape_bindings bindings;
	const struct record *candidate; /* being compared: tells the live parameter's structure */
	uint64_t served;
	uint64_t calls;   /* read, discovery left out */
	size_t seat;      /* whose calls are read */
	uint64_t last_id; /* of the call that was served last; where calls overlap, the highest */
	_Atomic uint64_t *reached; /* where `served` is shown */
	bool shares;   /* another trace may take this one's place: keep what tells them apart */
	bool overlaps; /* calls do, whatever the mode */
	struct tape_arena whole;    /* of all records, where the whole trace is kept */
	struct loose *loose;        /* they answer in any order; NULL in strict mode */
	const struct loose *parent; /* a forked child's, until it has one of its own */
	const char *unrecorded;     /* why this process has no trace; NULL: it has one */
};

extern struct engine engine;

static inline void take_out(struct lane *lane, struct record *before, struct record *record)
{
	if (before == NULL)
		lane->first = record->next;
	else
		before->next = record->next;
	if (lane->last == record)
		lane->last = before;
	engine.pending--;
}

/* Done with a record while a program waits for its answer: giving back memory is left to the reading. */
static inline void retire_record(struct record *record)
{
	if (TAPE_UNLIKELY(record->return_at >= LATER)) {
		struct record **link = &engine.open;
		while (*link != NULL && *link != record)
			link = &(*link)->next_open;
		if (*link != NULL)
			*link = record->next_open;
	}
	record->next = engine.retired;
	engine.retired = record;
}

/*
 * Read on, a batch at a time so that the clock is not asked for every call: at least until `lane` has a
 * record and the return of `wanted` has been read (either may be NULL). Returns false at the end; what
 * cannot be read has been reported then.
 */
bool reading_ahead(const struct lane *lane, const struct record *wanted);

/*
 * Read to the end and keep everything. Returns false, reported, where that cannot be. `hole` is called
 * for what the recording lacks, in between.
 */
typedef void reading_hole(uint64_t position, size_t line);
bool reading_whole(reading_hole *hole);

/* Search the whole of a trace for discovery, beside the reading for calls. */
void reading_find_all(const char *path);

/* Open engine.options.trace in an engine that is empty but for what it inherits. Returns false, reported. */
bool reading_open(void);

/* The lane of a recorded session handle, made where there is none; NULL without memory. */
struct lane *reading_lane(uint64_t handle);

/* The handle of the session that a call returned, or 0. */
uint64_t reading_session(const struct record *record);

/* Take and give the lock of all this, for those who must let it go for a while. */
void engine_enter(void);
void engine_leave(void);

/* The threads of this very process that are held back, under the lock. */
struct waiter **engine_waiters(void);

/*
 * The inputs of the call at hand, in the scratch arena; `candidate` (may be NULL) is the recorded call that it
 * may be, which tells the structure of a message's parameter.
 */
void engine_capture(const struct record *candidate, const struct tape_function *function,
                    const uintptr_t *words, struct tape_value *live);

/* Report that the trace cannot be served. Returns false. */
bool engine_refuse(const struct tape_error *error);

#endif
