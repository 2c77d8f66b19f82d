/* SPDX-License-Identifier: MIT
 *
 * What the replayer was told: P11TAPE_REPLAY and the P11TAPE_REPLAY_… options, from the environment or
 * the .conf file beside the module (core/config.h).
 */
#ifndef TAPE_REPLAYER_OPTIONS_H
#define TAPE_REPLAYER_OPTIONS_H

#include "core/compare.h"
#include "core/error.h"
#include "core/inject.h"
#include "core/rules.h"

/* What a call does that did not return in the recording. */
enum no_return { NO_RETURN_DIVERGES, NO_RETURN_CRASH, NO_RETURN_HANG };

/* How recorded calls answer those that come; model is lenient where it has nothing to add. */
enum mode { MODE_STRICT, MODE_LENIENT, MODE_MODEL };

struct options {
	enum mode mode;
	char trace[4096];    /* the trace to serve; "" if none was named */
	char report[4096];   /* "" for none */
	char progress[4096]; /* "" for none */
	char keys[4096];     /* SELECTOR,FILE, one a line; "" for none */
	char forward[4096];  /* this one; "" for the one that was recorded */
	char recorder[4096]; /* what is loaded in its place, to record it; "" for none */
	enum no_return no_return;
	bool backtrace;      /* divergences say where they were called from */
	bool aborts;         /* the first one raises SIGABRT */
	bool forwards;       /* a live module goes on behind it */
	uint64_t pace;       /* how calls take their time (core/pace.h) */
	bool ordered;        /* threads' calls begin and return in the recorded order */
	uint64_t order_wait; /* nanoseconds after which that is given up */
	struct tape_injections injections; /* what is to go wrong */
	struct tape_rules
		rules; /* how inputs are compared; the trace's own are added by who reads it */
};

/*
 * Read the options; secrets that they name are bound in `bindings`. `ret_options` is always usable, so
 * that even a refusal can be reported where the report was asked for.
 */
TAPE_MUST_CHECK int options_read(struct options *ret_options, struct tape_bindings *bindings,
                                 struct tape_error *error);

#endif
