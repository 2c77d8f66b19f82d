/* SPDX-License-Identifier: MIT
 *
 * What state a module is in, as far as its answers depend on it, told by the calls that it answered: hashes
 * of what was done, never counters, so that equal ways lead to equal states. What a call reads and changes
 * is data (core/api/scopes.def). The same code runs over a trace and over what was served of it, and only
 * therefore the two can be compared (docs/replay.md, "Lenient mode").
 *
 * Not safe from several threads at once. On the heap; without memory `failed` is set, and from then on
 * nothing that is said here means anything.
 */
#ifndef TAPE_SCOPE_H
#define TAPE_SCOPE_H

#include "core/api/api.h"
#include "core/map.h"
#include "core/value.h"

enum tape_scope {
	TAPE_SCOPE_LIFE,     /* initialised, and how */
	TAPE_SCOPE_OUTSIDE,  /* what happened that no call explains */
	TAPE_SCOPE_LOGIN,    /* of the slot: who is logged in */
	TAPE_SCOPE_PINS,     /* of the slot: changed PINs, vain attempts */
	TAPE_SCOPE_SESSIONS, /* of the slot: which are open */
	TAPE_SCOPE_OBJECTS, /* of the slot: made, changed and lost ones, and since when handles count */
	TAPE_SCOPE_OBJECT,  /* those that the call names: what was done to them */
	TAPE_SCOPE_OP,      /* of the session: the call's operations and their keys */
	TAPE_SCOPE_ALL_OPS, /* of the session: all operations */
	TAPE_SCOPES
};

#define TAPE_SCOPE_BIT(scope) (1u << (scope))
#define TAPE_SCOPE_EVERY ((1u << TAPE_SCOPES) - 1)

enum tape_scope_class { TAPE_CLASS_READ, TAPE_CLASS_STEP, TAPE_CLASS_CHANGE, TAPE_CLASS_DRAW };

/* What is wrong outside, by a return value. */
enum tape_outside { TAPE_OUTSIDE_NOTHING, TAPE_OUTSIDE_ABSENT, TAPE_OUTSIDE_WRONG };

enum tape_scope_operation {
#define OPERATION(name, flag) TAPE_OPERATION_##name,
#include "core/api/scopes.def"
	TAPE_OPERATIONS
};

/* What a call does that succeeds (scopes.def). */
enum tape_scope_act {
	TAPE_ACT_NOTHING,
	TAPE_ACT_INITIALIZES,
	TAPE_ACT_FINALIZES,
	TAPE_ACT_CLOSES,
	TAPE_ACT_CLOSES_ALL,
	TAPE_ACT_LOGS_IN,
	TAPE_ACT_LOGS_OUT,
	TAPE_ACT_PINS,
	TAPE_ACT_BEGINS,
	TAPE_ACT_SEEKS,
	TAPE_ACT_FINDS,
	TAPE_ACT_FEEDS,
	TAPE_ACT_ENDS,
	TAPE_ACT_CANCELS,
	TAPE_ACT_RESTORES,
	TAPE_ACT_ERASES,
	TAPE_ACT_HAPPENS,
};

struct tape_scope_row {
	uint8_t class;       /* enum tape_scope_class */
	uint8_t act;         /* enum tape_scope_act */
	uint16_t operations; /* bits of enum tape_scope_operation */
	uint16_t reads;      /* bits of enum tape_scope, LIFE and OUTSIDE with them */
};
extern const struct tape_scope_row tape_scope_rows[TAPE_FN_COUNT];

/* The name of a scope, for people. */
const char *tape_scope_name(enum tape_scope scope);

enum tape_outside tape_scope_outside(CK_RV rv);

/* Whether a return value depends on no more than success does. */
bool tape_scope_answers(CK_RV rv);

/* What one scope is, and the line of the call that made it so (0: none). */
struct tape_scope_value {
	uint64_t hash;
	uint32_t line;
};

struct tape_scope_slot;
struct tape_scope_session;
struct tape_scope_object;

/* All zero is the state before any call. */
struct tape_scopes {
	struct tape_scope_value life, outside;
	uint64_t era; /* identity of the call that initialised: handles are of one era */
	struct tape_scope_slot *slots;
	struct tape_scope_session *sessions;
	struct tape_scope_object *objects;
	size_t slot_count, session_count, object_count;
	struct tape_map slot_numbers, session_numbers, object_numbers; /* index by handle */
	struct tape_map identities; /* objects: index by identity */
	bool failed;
};

void tape_scopes_done(struct tape_scopes *scopes);

/* Make a copy, in a struct that holds nothing. Returns false without memory. */
TAPE_MUST_CHECK bool tape_scopes_copy(struct tape_scopes *to, const struct tape_scopes *from);

/*
 * A call that was answered. Handles in `in` and `out` are those of the side whose state it is (recorded ones
 * or the live program's); everything else is as recorded, so that a name of a secret is the same on both.
 */
struct tape_scope_call {
	const struct tape_function *function;
	const struct tape_value *in, *out;
	CK_RV rv;
	uint64_t fed;  /* tape_scope_fed(), taken before the call */
	uint64_t self; /* identity of the recorded call: no other one's */
	uint32_t line;
};

/* Say what a call was given: its inputs without its session and without rooms, objects by identity. */
uint64_t tape_scope_fed(struct tape_scopes *scopes, const struct tape_function *function,
                        const struct tape_value *in);

/* What the call that comes reads: every scope, whatever its row names. */
void tape_scope_read(struct tape_scopes *scopes, const struct tape_function *function,
                     const struct tape_value *in, struct tape_scope_value ret_values[TAPE_SCOPES]);

/* Which of them its answer depends on: bits of enum tape_scope. */
unsigned int tape_scope_reads(const struct tape_function *function, const struct tape_value *in);

/* One number of some of them. */
uint64_t tape_scope_key(const struct tape_scope_value values[TAPE_SCOPES], unsigned int mask);

/* Whether the mechanism that the call (or its operation) uses is randomised or unknown. */
bool tape_scope_varies(struct tape_scopes *scopes, const struct tape_function *function,
                       const struct tape_value *in);

/*
 * Whether a call gave what ends its operation: one that gives a length, or none for lack of room, leaves it as it is
 * (PKCS#11 3.1 §5.2).
 */
bool tape_scope_gave_output(const struct tape_scope_call *call);

/* Take a call into account. */
void tape_scope_effect(struct tape_scopes *scopes, const struct tape_scope_call *call);

/* Something happened outside, told by a call (or a gap) with this identity. */
void tape_scope_happened(struct tape_scopes *scopes, uint64_t self, uint32_t line);

/* Who is meant by a handle: equal for handles that stand for the same. A number never seen is a stranger. */
uint64_t tape_scope_session(struct tape_scopes *scopes, uint64_t session);
uint64_t tape_scope_object(struct tape_scopes *scopes, uint64_t session, uint64_t object);

/* The slot of a session that is open. Returns false where that is not known. */
bool tape_scope_slot(const struct tape_scopes *scopes, uint64_t session, uint64_t *ret_slot);

/* Whether the handle is of something that is there; and the handle of the object with this identity. */
bool tape_scope_session_lives(const struct tape_scopes *scopes, uint64_t session);
bool tape_scope_object_lives(const struct tape_scopes *scopes, uint64_t session, uint64_t object);
bool tape_scope_find(const struct tape_scopes *scopes, uint64_t identity, uint64_t *ret_object);

/*
 * A module chooses its handles of objects anew when it is initialised, and may when a slot's first session is
 * opened. What it was recorded to choose then is as good for one such time as for another; until it has given a
 * handle (`begun`) nobody can tell which it was: it is chosen, at first to look what follows, and then for sure.
 */
struct tape_scope_handles {
	uint64_t epoch, sitting;
	bool begun;
};
struct tape_scope_handles tape_scope_handles(const struct tape_scopes *scopes, uint64_t session);
void tape_scope_choose(struct tape_scopes *scopes, uint64_t session,
                       const struct tape_scope_handles *handles, bool sure);

/*
 * Whether a call that ends something can only succeed: an open session is closed, a user who is logged in
 * logs out, an active search ends, an initialised module is finalised. False for all other calls.
 */
bool tape_scope_ends(struct tape_scopes *scopes, const struct tape_function *function,
                     const struct tape_value *in);

/* For facts about objects: what can be known of one of them, and of all of a slot, holds while these stay. */
uint64_t tape_scope_object_state(struct tape_scopes *scopes, uint64_t session, uint64_t object);
/* The same; of one that was not found yet, as it is once it is. */
uint64_t tape_scope_found_state(struct tape_scopes *scopes, uint64_t session, uint64_t object);
uint64_t tape_scope_set_state(struct tape_scopes *scopes, uint64_t session);

#endif
