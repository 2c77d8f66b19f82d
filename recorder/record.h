/* SPDX-License-Identifier: MIT
 *
 * Writing calls down: one line before the target is called and one line after it has returned. Nothing
 * here fails the caller, takes a lock that outlives a function, or changes errno.
 */
#ifndef TAPE_RECORDER_RECORD_H
#define TAPE_RECORDER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/api/api.h"
#include "core/arena.h"
#include "core/buf.h"
#include "core/capture.h"
#include "core/error.h"
#include "core/inject.h"
#include "core/rotation.h"
#include "core/value.h"
#include "recorder/state.h"

/* A function of the target's (or of ours), whatever its type. */
typedef void (*tape_any_fn)(void);

/* Both have to fit, with the rest, on the small stacks that some programs give their threads. */
#define TAPE_LINE_SIZE 4096
#define TAPE_MEMORY_SIZE 4096

/* A call that is in the target. Lives on the caller's stack, and is not cleared beforehand. */
struct tape_call {
	const struct tape_function *function;
	const uintptr_t *words;
	struct tape_state *state;   /* NULL where nothing may be done but return rv */
	struct tape_thread *thread; /* NULL where the thread is not in the table */
	unsigned int part;          /* that the first half stands in; 0 where it was not written */
	bool finds;                 /* discovery: the results are to be mapped to ours */
	bool synthetic;             /* the target lacks the function: we answer */
	bool unmade;                /* the target was not called: nothing is written */
	uint32_t injected;          /* rules of tape_record_injections that hold for it */
	CK_RV rv;                   /* what to return where there is no target */
	CK_ULONG room;              /* for interfaces, in discovery */
	uint8_t id_at, id_length;   /* where the id stands in the first half */
	size_t id, outer;           /* of this call, and of the one in whose callback it is made */
	uint64_t began;
	uint64_t object_class; /* that the call's template says; only under policy "secret" */
	struct tape_capture capture;
	struct tape_arena arena;
	struct tape_buf buf;
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	_Alignas(16) char memory[TAPE_MEMORY_SIZE];
	char line[TAPE_LINE_SIZE];
};

/*
 * Begin a call through the list set `set`: write its first half. Returns the target's function; or NULL
 * where there is none, with the answer in call->rv.
 */
tape_any_fn tape_record_enter(struct tape_call *call, unsigned int set, enum tape_function_id id,
                              const uintptr_t *words);

/* End a call: write what came back. Returns rv. */
CK_RV tape_record_leave(struct tape_call *call, CK_RV rv);

/* A notification that is with the application. Lives on the stack, and is not cleared beforehand. */
struct tape_notice {
	struct tape_state *state;
	struct tape_thread *thread; /* NULL where the thread is not in the table */
	unsigned int part;          /* that the first half stands in; 0 where it was not written */
	size_t id, outer;           /* its own, and of the call that it came in */
	size_t outer_notice;
	uintptr_t outer_frame;
	uint64_t began;
};

/* Write down that the module calls Notify, before and after the application does. Returns rv. */
void tape_record_notice(struct tape_notice *notice, CK_SESSION_HANDLE session,
                        CK_NOTIFICATION event);
CK_RV tape_record_answer(struct tape_notice *notice, CK_RV rv);

/* What is to go wrong; NULL where nothing is. Set before the first part, and never changed. */
extern struct tape_injections *tape_record_injections;

/* What a header says beside the process and the module. */
struct tape_heading {
	const char *pattern; /* P11TAPE_TRACE */
	const char *program;
	const char *module;
	const char *prefix;          /* of its entry points */
	bool exports[TAPE_FN_COUNT]; /* the entry points that the target has */
	unsigned int redact;         /* the policy */
	struct tape_rotation rotation;
	const char *control; /* path of the file that says whether to record; "": always */
};

/*
 * Begin a part: open the file and write its header. `first` says that no part was begun in this process
 * or its parents; only then does an error matter, else calls just go unrecorded. Under start_lock.
 */
TAPE_MUST_CHECK int tape_record_begin(struct tape_state *state, const struct tape_heading *heading,
                                      bool first, struct tape_error *error);

/* Write the end of the part, and again behind calls that come after it. */
void tape_record_end(struct tape_state *state, const char *why);

/* Close the file of this process or the one that was inherited, and forget all secrets. */
void tape_record_close(void);

/* Whether any call is in the target now. */
bool tape_record_is_open(struct tape_state *state);

/* Write the event that calls of `name` go past us. */
void tape_record_passed_through(struct tape_state *state, const char *name);

#endif
