/* SPDX-License-Identifier: MIT
 *
 * Play a trace's calls to a module (the replayer with that trace or another one, or a live token), in any
 * order, and keep what each was answered: what the proofs of the replay's modes are made of.
 *
 * Everything here is for tests: what cannot be done ends the program with a sentence.
 */
#ifndef TEST_PLAY_H
#define TEST_PLAY_H

#include <stdint.h>

#include "core/api/api.h"
#include "core/arena.h"
#include "core/call.h"
#include "core/trace.h"
#include "core/value.h"

struct play_call {
	const struct tape_function *function;
	uint64_t id;
	size_t line, item; /* `item` is its place among the trace's */
	bool returned;
	CK_RV rv;
	struct tape_value *in, *out; /* as recorded */
	const char *said;            /* `out` as a trace spells it; "" where it did not return */
};

struct play_trace {
	const char *path;
	struct tape_reader *reader;
	struct tape_arena arena;
	struct tape_item *items; /* all of them, but for the first header */
	size_t item_count, item_room;
	struct play_call *calls; /* discovery left out */
	size_t count, room;
};

/* Read all of a trace. */
void play_read(struct play_trace *trace, const char *path);

void play_done(struct play_trace *trace);

/* Write it to `path`, with `changed` instead of items[index] (NULL leaves that out). */
void play_write(const struct play_trace *trace, const char *path, size_t index,
                const struct tape_node *changed);

/* What a call was answered. */
struct play_answer {
	bool called;   /* it came to be called at all */
	bool diverged; /* by the replay's own word, as the next two are: */
	bool other_rv; /* a module might give another return value */
	bool other_length;
	CK_RV rv;
	uint32_t said; /* offset in play_said(): outputs as a trace spells them */
};

/* Room for so many answers, shared with the processes that a run forks. */
struct play_answers {
	size_t room, said, said_room;
	struct play_answer answers[];
};
struct play_answers *play_new_answers(size_t room);
const char *play_said(const struct play_answers *answers, size_t index);

/* Handles between what is played and the module; NULL: they are the same. */
struct play_handles {
	uint64_t (*live)(void *context, enum tape_kind kind, uint64_t recorded);
	/* Is told of each call's outputs, and may change them: handles become recorded ones. */
	void (*answered)(void *context, const struct play_call *call, CK_RV rv,
	                 struct tape_value *out);
	void *context;
};

struct play_module {
	tape_any_fn functions[TAPE_FN_COUNT];
	int report; /* of the replay; -1: none */
};

/* Load a module into this process. */
void play_load(struct play_module *module, const char *path);

/* The same for the replayer, with a trace in a mode; divergences are noticed. */
void play_load_replayer(struct play_module *module, const char *trace, const char *mode,
                        const char *report);

/* Make one call; the answer is answers[index]. */
void play_call(struct play_module *module, const struct play_call *call,
               const struct play_handles *handles, struct play_answers *answers, size_t index);

/*
 * Play calls to the replayer, which serves `trace` in `mode`, in a process of its own, which is ended after
 * ten seconds without an answer. `handles` may be NULL. Returns false where the process did not end by itself.
 */
bool play_replay(const char *trace, const char *mode, const struct play_call *const *calls,
                 size_t count, const char *report, const struct play_handles *handles,
                 struct play_answers *answers);

/* Returns memory that was asked for; without it, ends the program. */
void *play_need(void *memory);

/* Say what is wrong and end the program. */
_Noreturn void play_fail(const char *format, ...) TAPE_PRINTF(1, 2);

#endif
