/* SPDX-License-Identifier: MIT
 *
 * Where divergences go: one JSON object a line in the report file when they happen, a few lines on
 * stderr, and counters in the progress page. Never stdout, never the host's exit status.
 */
#ifndef TAPE_REPLAYER_REPORT_H
#define TAPE_REPLAYER_REPORT_H

#include "core/api/api.h"
#include "core/buf.h"
#include "core/value.h"
#include "replayer/progress.h"

/* What went wrong, as the report's "kind". */
enum report_kind {
	REPORT_ARGUMENT,   /* the expected function with another argument */
	REPORT_FUNCTION,   /* another function than the expected one */
	REPORT_PAST_END,   /* the trace has no further call here */
	REPORT_NO_RETURN,  /* the recorded call did not return */
	REPORT_PARTIAL,    /* the recording lacks an output */
	REPORT_NOTIFY,     /* the program's Notify function answered something else */
	REPORT_DISCOVERY,  /* a list or interface that cannot be given */
	REPORT_PROCESS,    /* the process has no trace */
	REPORT_UNRECORDED, /* lenient: no such call is in the trace */
	REPORT_USED_UP,    /* lenient: the answers of such calls have all been given */
	REPORT_STATE,      /* lenient: such a call was recorded in another state */
	REPORT_ORDER,      /* a thread did not come when it was its turn */
	REPORT_FORWARD,    /* the live module is not known to have what the call names */
};

struct report_side {
	enum tape_function_id function;
	const struct tape_value *in; /* NULL: no call on this side */
};

/* A recorded call that is near the one that came. */
#define REPORT_NEAREST 3
struct report_near {
	struct report_side side;
	uint64_t id, line;
	int argument; /* the first that differs, or -1 */
};

/* What made a state what it is: a recorded call. Line 0: nothing did. */
struct report_cause {
	const char *function;
	uint64_t line;
};

struct report {
	enum report_kind kind;
	int argument;      /* index of the first argument that differs, or -1 */
	uint64_t id, line; /* of the recorded call; line 0 for none */
	struct report_side expected, actual;
	CK_NOTIFICATION event; /* REPORT_NOTIFY */
	CK_RV answers[2];      /* recorded and actual, where there is no `why` */
	/* Lenient mode: what else is near, `expected` left out; REPORT_STATE: what differs, and whence. */
	struct report_near nearest[REPORT_NEAREST];
	size_t near_count;
	const char *key;     /* why a test key that there is did not answer; NULL: there is none */
	const char *forward; /* why no live module answers; NULL: nobody asked for one */
	const char *scope;
	struct report_cause recorded_by, live_by;
	const char *why; /* a sentence for kinds without two sides; or NULL */
};

/* Open the report file (may be "") and the progress page (may be ""). `trace` names the trace in texts. */
void report_open(const char *trace, const char *report, const char *progress);
void report_close(void);

/* Have divergences say where they were called from; have the first one raise SIGABRT, for a debugger. */
void report_how(bool backtrace, bool aborts);

/* In a forked child: its divergences count from 0, and the report is opened again if it was closed. */
void report_inherit(void);

/* The seats of the shared page, and their number; NULL where there are none. */
struct tape_seat *report_seats(size_t *ret_count);

/* The counters; a private page where none is shared. Never NULL. */
extern struct tape_progress *report_counters;

/* Under the engine's lock, which is let go where SIGABRT is raised. */
void report_divergence(const struct report *report);

/* Say what is no divergence: on stderr and in the report. */
void report_note(const char *sentence);

/*
 * Count a call that was answered by model; in what another module may answer otherwise (enum tape_leeway bits)
 * stands in the report.
 */
void report_derived(enum tape_function_id function, CK_RV rv, unsigned int leeway);

/* Say that there is nothing to serve: once, on stderr and in the report. */
void report_failure(const char *sentence);

/*
 * At the end: what this process was served of a trace (NULL: it has none), and what was left. `unused`
 * counts calls; `line` is the first one's.
 */
void report_summary(const char *trace, uint64_t served, uint64_t unused, uint64_t line);

#endif
