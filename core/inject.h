/* SPDX-License-Identifier: MIT
 *
 * Fault injection: what a user wants a module to do wrong (docs/faults.md has the rules' language). The
 * same for a live module and for a trace that is served: both come here with a call, and with a function
 * that makes it.
 *
 * No heap, no locks. Any thread may come; each rule counts its calls atomically.
 */
#ifndef TAPE_INJECT_H
#define TAPE_INJECT_H

#include <stdatomic.h>

#include "core/api/api.h"
#include "core/buf.h"
#include "core/error.h"

/* Rules at once: a call's are bits of a word. */
#define TAPE_INJECT_MAX 32

/* Mechanisms that a module's list may have where one of them is hidden. */
#define TAPE_INJECT_LIST ((CK_ULONG)1 << 16)

enum tape_inject_filter {
	TAPE_INJECT_SESSION,
	TAPE_INJECT_OBJECT,
	TAPE_INJECT_SLOT,
	TAPE_INJECT_THREAD,
	TAPE_INJECT_FILTERS
};

struct tape_injection {
	bool functions[TAPE_FN_COUNT];
	unsigned int actions; /* bits, of inject.c */
	unsigned int filters; /* bits by enum tape_inject_filter */
	uint64_t filter[TAPE_INJECT_FILTERS];
	CK_RV rv;
	uint64_t delay_enter, delay_exit; /* nanoseconds */
	uint64_t truncate;                /* bytes */
	uint64_t hidden;                  /* mechanism or attribute */
	uint64_t first, last, step;       /* which of the calls that it fits, counted from 1 */
	_Atomic uint64_t seen;            /* calls that it fitted */
	char text[128];                   /* its actions, as the trace shows them */
};

struct tape_injections {
	size_t count;
	bool by_thread; /* some rule asks for the thread */
	struct tape_injection rules[TAPE_INJECT_MAX];
};

/* Take one rule: C_Sign:rv=CKR_DEVICE_REMOVED:when=3. Returns 0 or an error code with a sentence. */
TAPE_MUST_CHECK int tape_inject_add(struct tape_injections *injections, const char *text,
                                    size_t length, struct tape_error *error);

/* Take the rules of a list, with blanks or newlines between them. */
TAPE_MUST_CHECK int tape_inject_read(struct tape_injections *injections, const char *list,
                                     struct tape_error *error);

/*
 * Choose the rules for a call that came, counting it. `thread` is the number of its thread, as traces
 * have it; only looked at where by_thread says so. Returns a bit for each; 0: leave the call alone.
 */
uint32_t tape_inject_choose(struct tape_injections *injections,
                            const struct tape_function *function, const uintptr_t *words,
                            uint64_t thread);

/* Append what these rules do, "rv=CKR_DEVICE_REMOVED", which needs no quoting. */
void tape_inject_put(struct tape_buf *buf, const struct tape_injections *injections,
                     uint32_t rules);

/*
 * Makes the call with `words`, which may differ from the caller's: entries of a template in memory of
 * ours, a list of mechanisms with TAPE_INJECT_LIST elements of room.
 */
typedef CK_RV tape_inject_call_fn(void *context, const uintptr_t *words);

/*
 * Do to a call what the rules say: wait, crash, hang, answer in the module's place, or have it made by
 * `make` and spoil the answer. *ret_made says whether `make` was asked: else nothing was written to the
 * caller's memory, whatever the value says. Keep no lock meanwhile. Changes no errno of its own.
 */
CK_RV tape_inject_call(const struct tape_injections *injections, uint32_t rules,
                       const struct tape_function *function, const uintptr_t *words,
                       tape_inject_call_fn *make, void *context, bool *ret_made);

#endif
