/* SPDX-License-Identifier: MIT
 *
 * Issue the calls of a trace to a live module, in the order in which they began, in a process of their
 * own, and compare what comes back.
 */
#ifndef TAPE_DRIVE_H
#define TAPE_DRIVE_H

#include <limits.h>
#include <stdatomic.h>

#include "cli/cli.h"
#include "cli/halves.h"
#include "cli/mapping.h"
#include "cli/scan.h"
#include "core/live.h"
#include "core/value.h"

/*
 * So much of a trace is read before anything is called: reading takes memory of the heap and gives it back,
 * which would put other things into the place of what a module uses after it freed it.
 */
#define DRIVE_AHEAD 512
#define DRIVE_DEPTH 8 /* processes forked from each other */

/* Why a call was not issued. */
enum drive_skip {
	DRIVE_ISSUED,
	DRIVE_SYNTHETIC,
	DRIVE_INJECTED,
	DRIVE_DURING,
	DRIVE_WAITS,
	DRIVE_WRONG_PIN,
	DRIVE_REFUSED,
	DRIVE_LOST,
	DRIVE_SKIPS
};

struct drive_secret {
	char name[SCAN_SECRET_NAME];
	char value[TAPE_PIN_SIZE];
};

struct drive_options {
	char module[PATH_MAX];
	char recorder
		[PATH_MAX];    /* what is loaded in the module's place; "" for the module itself */
	char record[PATH_MAX]; /* the trace that it writes */
	bool destructive, verbose, json;
	bool has_slot;
	uint64_t slot;
	char token[TAPE_LABEL_SIZE]; /* the label of the token to use; "" for any */
	unsigned int timeout;        /* seconds that a call may take */
	struct drive_secret secrets[SCAN_SECRETS];
	size_t secret_count;
};

/* A trace of the recording: the one that was named, or one of a process that was forked from its. */
struct drive_trace {
	char path[PATH_MAX];
	struct scan scan;
	uint64_t pid, forked_from, forked_after;
};

enum drive_phase {
	DRIVE_LOADING,
	DRIVE_BETWEEN,
	DRIVE_CALLING,
	DRIVE_ENDING,
	DRIVE_ENDED,
	DRIVE_FAILED
};

/* What one process is doing, for the one that waits for it. */
struct drive_slot {
	_Atomic uint32_t phase;
	_Atomic uint64_t began; /* the call, on the monotonic clock */
	const char *path;
	uint64_t id, line;
	enum tape_function_id function;
	bool returned;  /* the recorded call did */
	char call[800]; /* as text; zero-terminated */
	char json[800]; /* its inputs, "" where they are longer */
};

struct drive_shared {
	_Atomic uint64_t made, differ, skipped[DRIVE_SKIPS];
	struct drive_slot slots[DRIVE_DEPTH];
};

struct drive_room {
	void *memory;
	size_t size;
};

#define DRIVE_TYPES 32
#define DRIVE_NESTED 8

/* The types of the entries of an attribute that is a template, as the recorded module told them last. */
struct drive_nested {
	uint64_t attribute; /* 0, which is none of those: nothing yet */
	uint64_t types[DRIVE_TYPES];
};

struct drive {
	const struct drive_options *options;
	const struct drive_trace *traces;
	size_t trace_count;
	struct drive_shared *shared; /* with all the processes of this run */

	/* Of this process. */
	const struct drive_trace *trace;
	struct drive_slot *slot;
	unsigned int depth;
	const struct tape_node *names;

	/* The module. */
	struct tape_live live;
	bool listed; /* the functions are those of the list that the program called through */
	bool initialized;
	bool refused; /* a PIN: no other one is presented */

	struct tape_map sessions, objects, slots; /* live numbers by recorded ones */
	struct tape_map owners;                   /* recorded objects by live ones */
	struct tape_map places;                   /* live slots by live session */
	struct tape_map
		operations; /* by live session: those whose outputs may differ, << 16: that were fed swaps */
	struct tape_map random; /* live objects whose values are others than the recorded ones */
	struct tape_swaps swaps;
	struct drive_nested nested[DRIVE_NESTED];
	struct tape_arena arena;     /* of the call at hand */
	struct drive_room rooms[64]; /* memory of its arguments that has pages of its own */
	size_t room_count;
};

/* The call at hand. */
struct drive_call {
	const struct tape_item *item;
	const struct tape_function *function;
	const struct tape_value *in;  /* recorded */
	bool returned;                /* the recorded call did, */
	const struct tape_value *out; /* with this */
	CK_RV rv;
	uintptr_t words[TAPE_MAX_WORDS];
	const struct tape_value *live_in, *live_out;
	CK_RV live_rv;
	bool swapped;   /* an input was replaced by what came out differently before */
	bool varies;    /* what it gives may differ */
	char where[96]; /* what differs: "pInfo.flags" */
};

/* Drive traces[0] and what was forked from it. Returns the exit status; prints all but the summary. */
int drive_run(struct drive *drive);

/* Say what a call of the trace would mean to the module, before it is issued (drive_answer.c). */
void drive_expect(struct drive *drive, struct drive_call *call);

/*
 * Compare the outputs of a call that returned what was recorded, and remember what stands for what.
 * Returns whether they are as recorded, but for what may differ; else call->where says what is not.
 */
bool drive_compare(struct drive *drive, struct drive_call *call);

/* Print that a call went as recorded (in --verbose), or that it did not. `what` may be NULL. */
void drive_tell(const struct drive *drive, const struct drive_call *call, const char *what);
void drive_differ(struct drive *drive, const struct drive_call *call, const char *kind,
                  const char *what);

/* Print a difference of a call that did not return, of which `slot` knows. */
void drive_differ_at(struct drive *drive, const struct drive_slot *slot, const char *kind,
                     const char *what);

/* Fill in what the process that waits is to know of the call. */
void drive_publish(struct drive *drive, const struct drive_call *call);

/* Bind the slot that was chosen, once the module can be asked. Returns false where there is none. */
bool drive_choose_slot(struct drive *drive);

#endif
