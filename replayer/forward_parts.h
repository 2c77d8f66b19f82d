/* SPDX-License-Identifier: MIT
 *
 * What the parts of going on with a live module share; nobody else includes this. What that is to the rest of the
 * replayer is in replayer/forward.h. Its parts:
 *
 * - forward.c       keeping the calls that the trace answered, the switch, and calls behind it
 * - forward_who.c   what the program's numbers stand for in the live module
 * - forward_lend.c  arguments and outputs, with the numbers of the one side or of the other
 * - forward_bring.c making the kept calls again
 *
 * All of it is for the process, and under the lock of replay.c; where a function is called without, it says so.
 */
#ifndef TAPE_REPLAYER_FORWARD_PARTS_H
#define TAPE_REPLAYER_FORWARD_PARTS_H

#include "core/api/api.h"
#include "core/arena.h"
#include "core/live.h"
#include "core/map.h"
#include "core/scope.h"
#include "core/value.h"
#include "core/varies.h"
#include "replayer/forward.h"
#include "replayer/options.h"

/* A call that the program made and the trace answered; it is in the arena of the calls kept, with all that it has. */
struct served {
	struct served *next;
	const struct tape_function *function;
	uintptr_t words[TAPE_MAX_WORDS];
	CK_C_INITIALIZE_ARGS mutexes; /* the program's, where the call brought them */
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
	CK_RV rv;
};

/* The numbers that the program has, and those that they stand for. */
enum { SESSIONS, OBJECTS, SLOTS, SPACES };

/* A number that is in `live` or in `unknown` is the program's; what `live` has for it is a key of `program`. */
struct space {
	struct tape_map live, program; /* one for each number, and the other way round */
	struct tape_map unknown;       /* numbers of the program's that stand for nothing there */
	uint64_t
		fresh; /* where to look for a number that the program has not; 0 before the first */
};

/*
 * It goes from OFF to KEEPING, BRINGING and ON, or, where something cannot be, to REFUSED. `state` is read without the lock,
 * and so is `live` when it is ON, which does not change any more.
 */
struct forward {
	_Atomic enum { OFF, KEEPING, BRINGING, ON, REFUSED } state;
	char path[sizeof(((struct options *)0)->forward)];
	char why[sizeof(((struct options *)0)->forward) + 512]; /* of REFUSED */
	struct tape_arena arena;                                /* of the calls kept */
	struct served *first, **end;
	size_t count;
	struct tape_map own;   /* session objects that the program made */
	struct tape_live live; /* what answers: the module, or a recorder before it */
	struct tape_live bare; /* the module, for questions of our own */
	bool initialized;      /* by us */
	bool failed;           /* no memory for what is not known there */
	struct space spaces[SPACES];
	/* While the state is brought there: operations by the program's session. */
	struct tape_map absent;   /* that were not begun there */
	struct tape_map doubtful; /* that answered otherwise there */
	uint64_t made, otherwise;
	const char *first_otherwise;
};
extern struct forward forward;

static inline const struct tape_scope_row *forward_row_of(const struct tape_function *function)
{
	return &tape_scope_rows[function - tape_functions];
}

static inline unsigned int forward_effects_of(const struct tape_function *function)
{
	return tape_effects[function - tape_functions].effects;
}

/* ---- forward.c ------------------------------------------------------------------------------- */

/* Say why nothing is forwarded, now and later, and forget the calls: no struct served is there then. Returns false. */
TAPE_PRINTF(1, 2) bool forward_refuse(const char *format, ...);

/* For struct tape_capture: a message's parameter is known by its size alone. */
enum tape_record_id forward_by_size(void *context, CK_SESSION_HANDLE session, bool seal);

/* ---- forward_who.c --------------------------------------------------------------------------- */

/* Which of the spaces an argument's numbers are in; -1 for none. */
int forward_space_of(enum tape_kind kind);

/* From now on the program's number stands for the live one. Returns false without memory. */
bool forward_bind(int space, uint64_t program, uint64_t live);
/* It stands for nothing, and may come to stand for something else. */
void forward_unbind(int space, uint64_t program);
bool forward_is_bound(int space, uint64_t program, uint64_t *ret_live);

/* It stands for something that the live module is not known to have. */
void forward_set_unknown(int space, uint64_t program);
bool forward_is_unknown(int space, uint64_t program);

/* The program's number for one of the live module's: its own, unless the program has that for something else. */
uint64_t forward_to_program(int space, uint64_t live);

/* The label of a token that the program, or else the recorded one, saw in a slot: blank-padded. */
bool forward_find_label(uint64_t slot, unsigned char ret_label[32]);

/* Slots are known again by their token's label; without one, by their number. The slot is bound or unknown then. */
void forward_find_slot(uint64_t program);

/* All those that the program was told of, before one that it was not told of gets the number of one. */
void forward_find_slots(const struct tape_value *list);

/*
 * An object that the program found in the recording. Where others have all that the program was told of it, nobody can
 * tell them apart but by their places in a search that found as many: `place` (0: it had another number of objects).
 * The object is bound or unknown then.
 */
void forward_find_object(uint64_t live_session, uint64_t program, uint64_t place);

/* Whether a list that a call gave has a number. */
bool forward_is_among(const struct tape_value *list, uint64_t number);

/* ---- forward_lend.c -------------------------------------------------------------------------- */

/* What stands in the place of the program's arguments. */
struct lending {
	bool failed;  /* no memory, or what is not understood */
	bool unknown; /* something is named that the live module is not known to have */
	bool other;   /* a number that is another one there */
	int space;
	uint64_t number; /* the first one */
};

/* The live number for one of the program's; for struct tape_stage, whose context is a struct lending. */
uint64_t forward_lend_handle(void *context, enum tape_kind kind, uint64_t program);

/* The live module has a notification: it is of a session that the program knows by another number. Without the lock. */
CK_RV forward_notified(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application);

/*
 * What a session is opened with: the program's own pApplication, or, with a Notify function, what ours needs. That lives
 * as long as the process, since nothing says when the module has called it for the last time.
 */
void forward_lend_notify(const struct tape_function *function, const uintptr_t *program,
                         uintptr_t *live);

/*
 * The arguments `live` of a call that the program makes with `words`, whose captured inputs are `in`. Returns whether
 * handles inside of structures are others there: those structures are copies in the arena.
 */
bool forward_lend(struct tape_arena *arena, const struct tape_function *function,
                  const uintptr_t *words, const struct tape_value *in, uintptr_t *live,
                  struct lending *lending);

/*
 * The outputs of a call that succeeded, as the program is to have them. `out` is ours to write to. Returns whether any
 * is another one.
 */
bool forward_give_outputs(const struct tape_function *function, struct tape_value *out);

/* ---- forward_bring.c ------------------------------------------------------------------------- */

/* Load the module, or a recorder before it, and make the kept calls again. Returns false, refused. */
bool forward_bring_all(const char *path);

#endif
