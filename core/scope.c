/* SPDX-License-Identifier: MIT */
#include "core/scope.h"

#include <stdlib.h>
#include <string.h>

#include "core/mix.h"
#include "core/varies.h"

/* ---- rows ------------------------------------------------------------------------------------ */

#define NONE 0
#define LOGIN TAPE_SCOPE_BIT(TAPE_SCOPE_LOGIN)
#define PINS TAPE_SCOPE_BIT(TAPE_SCOPE_PINS)
#define SESSIONS TAPE_SCOPE_BIT(TAPE_SCOPE_SESSIONS)
#define OBJECTS TAPE_SCOPE_BIT(TAPE_SCOPE_OBJECTS)
#define OBJECT TAPE_SCOPE_BIT(TAPE_SCOPE_OBJECT)
#define OP TAPE_SCOPE_BIT(TAPE_SCOPE_OP)
#define ALL_OPS TAPE_SCOPE_BIT(TAPE_SCOPE_ALL_OPS)
#define ALWAYS (TAPE_SCOPE_BIT(TAPE_SCOPE_LIFE) | TAPE_SCOPE_BIT(TAPE_SCOPE_OUTSIDE))
#define FIND (1u << TAPE_OPERATION_FIND)
#define ENCRYPT (1u << TAPE_OPERATION_ENCRYPT)
#define DECRYPT (1u << TAPE_OPERATION_DECRYPT)
#define DIGEST (1u << TAPE_OPERATION_DIGEST)
#define SIGN (1u << TAPE_OPERATION_SIGN)
#define VERIFY (1u << TAPE_OPERATION_VERIFY)
#define SIGN_RECOVER (1u << TAPE_OPERATION_SIGN_RECOVER)
#define VERIFY_RECOVER (1u << TAPE_OPERATION_VERIFY_RECOVER)
#define MESSAGE_ENCRYPT (1u << TAPE_OPERATION_MESSAGE_ENCRYPT)
#define MESSAGE_DECRYPT (1u << TAPE_OPERATION_MESSAGE_DECRYPT)
#define MESSAGE_SIGN (1u << TAPE_OPERATION_MESSAGE_SIGN)
#define MESSAGE_VERIFY (1u << TAPE_OPERATION_MESSAGE_VERIFY)

const struct tape_scope_row tape_scope_rows[TAPE_FN_COUNT] = {
#define SCOPE(function, of_class, of_reads, of_operations, of_act) \
	[TAPE_FN_##function] = { .class = TAPE_CLASS_##of_class,   \
		                 .act = TAPE_ACT_##of_act,         \
		                 .operations = of_operations,      \
		                 .reads = ALWAYS | (of_reads) },
#include "core/api/scopes.def"
};

/* The flags by which C_SessionCancel names them. */
static const uint64_t operation_flags[TAPE_OPERATIONS] = {
#define OPERATION(name, flag) [TAPE_OPERATION_##name] = flag,
#include "core/api/scopes.def"
};

const char *tape_scope_name(enum tape_scope scope)
{
	static const char *const names[TAPE_SCOPES] = {
		[TAPE_SCOPE_LIFE] = "initialisation", [TAPE_SCOPE_OUTSIDE] = "outside",
		[TAPE_SCOPE_LOGIN] = "login",         [TAPE_SCOPE_PINS] = "PINs",
		[TAPE_SCOPE_SESSIONS] = "sessions",   [TAPE_SCOPE_OBJECTS] = "objects",
		[TAPE_SCOPE_OBJECT] = "object",       [TAPE_SCOPE_OP] = "operation",
		[TAPE_SCOPE_ALL_OPS] = "operations",
	};
	return names[scope];
}

enum tape_outside tape_scope_outside(CK_RV rv)
{
	static const struct {
		CK_RV rv;
		enum tape_outside outside;
	} rows[] = {
#define OUTSIDE(rv) { rv, TAPE_OUTSIDE_WRONG },
#define ABSENT(rv) { rv, TAPE_OUTSIDE_ABSENT },
#include "core/api/scopes.def"
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		if (rows[i].rv == rv)
			return rows[i].outside;
	return TAPE_OUTSIDE_NOTHING;
}

enum answered { ANSWERED_NOT, ANSWERED_STAYS, ANSWERED_ENDED };

static enum answered answered(CK_RV rv)
{
	static const struct {
		CK_RV rv;
		enum answered answered;
	} rows[] = {
#define ANSWER(rv, operation) { rv, ANSWERED_##operation },
#include "core/api/scopes.def"
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		if (rows[i].rv == rv)
			return rows[i].answered;
	return ANSWERED_NOT;
}

bool tape_scope_answers(CK_RV rv)
{
	return answered(rv) != ANSWERED_NOT;
}

/* ---- hashes ---------------------------------------------------------------------------------- */

/* What is mixed in for what has no number of its own. */
enum mark {
	MARK_STRANGER = 0x51,
	MARK_CLOSED,
	MARK_FOUND,
	MARK_MADE,
	MARK_LOST,
	MARK_LOGOUT,
	MARK_LIFE,
	MARK_FAILED,
	MARK_OWNER_CLOSED,
	MARK_RESTORED,
};

static uint64_t mix_value(uint64_t hash, const struct tape_value *value)
{
	bool has_bytes = false;
	bool has_number = false;
	switch ((enum tape_form)value->form) {
	case TAPE_V_NULL: /* nothing, however it is said */
		return tape_mix(tape_mix(hash, TAPE_V_BYTES), 0);
	case TAPE_V_NUMBER:
	case TAPE_V_LENGTH:
		has_number = true;
		break;
	case TAPE_V_BYTES:
		if (value->length == 0)
			return tape_mix(tape_mix(hash, TAPE_V_BYTES), 0);
		has_bytes = true;
		break;
	case TAPE_V_RAW:
	case TAPE_V_SECRET:
		has_bytes = true;
		break;
	default:
		break;
	}
	hash = tape_mix(tape_mix(hash, value->form), value->tag);
	if (has_number)
		hash = tape_mix(hash, value->number);
	if (has_bytes)
		hash = tape_mix_bytes(hash, value->data, value->length);
	if (value->form == TAPE_V_LIST || value->form == TAPE_V_RECORD ||
	    value->form == TAPE_V_MECHANISM) {
		hash = tape_mix(hash, value->count);
		/* Handles are mixed in by who asks, who knows what they mean. */
		for (size_t i = 0; i < value->count; i++)
			if (!tape_value_is_object(value, i))
				hash = mix_value(hash, tape_value_child(value, i));
	}
	return hash;
}

/* ---- what there is --------------------------------------------------------------------------- */

#define UNKNOWN_SLOT UINT64_MAX
#define NOWHERE SIZE_MAX

enum user { USER_OTHER, USER_SO, USERS };

struct tape_scope_slot {
	uint64_t number;
	struct tape_scope_value login, pins, sessions, objects;
	uint64_t tries[USERS];  /* vain ones since the last that was not */
	uint64_t kept, passing; /* sums over objects: of the token, and of sessions */
	size_t open;            /* living sessions */
	uint64_t epoch;         /* since when handles of objects count */
	uint64_t sitting;       /* since when there has been a session at any time */
	bool begun;             /* handles have been given since the epoch began */
};

struct operation {
	uint64_t hash; /* 0: not active */
	uint64_t key;  /* handle; 0 for none */
	uint32_t line;
	bool varies;
};

struct tape_scope_session {
	uint64_t number, identity;
	size_t slot;
	size_t owned; /* living objects that it made */
	bool lives;
	struct operation operations[TAPE_OPERATIONS];
};

enum storage { STORAGE_UNKNOWN, STORAGE_TOKEN, STORAGE_SESSION };

struct tape_scope_object {
	uint64_t number, identity;
	struct tape_scope_value state;
	size_t slot, owner; /* indices; the session that made it, or NOWHERE */
	uint64_t share;     /* in the slot's sum; 0 while it is as it was found */
	uint64_t sitting;   /* of the slot, when it was made or found */
	uint8_t storage;
	bool lives, made, is_public;
};

static void *make_room(struct tape_scopes *scopes, void *array, size_t count, size_t size)
{
	/* Grows at powers of two: no room needs to be remembered. */
	if ((count & (count - 1)) != 0 || (count != 0 && count < 8))
		return array;
	void *bigger = realloc(array, (count < 8 ? 8 : count * 2) * size);
	if (bigger == NULL)
		scopes->failed = true;
	return bigger;
}

static size_t index_of(const struct tape_map *map, uint64_t number)
{
	uint64_t index;
	return tape_map_get(map, number, &index) ? (size_t)index : NOWHERE;
}

static size_t add_slot(struct tape_scopes *scopes, uint64_t number)
{
	size_t index = index_of(&scopes->slot_numbers, number);
	if (index != NOWHERE)
		return index;
	void *slots = make_room(scopes, scopes->slots, scopes->slot_count, sizeof(*scopes->slots));
	if (slots == NULL)
		return NOWHERE;
	scopes->slots = slots;
	index = scopes->slot_count;
	if (!tape_map_put(&scopes->slot_numbers, number, index)) {
		scopes->failed = true;
		return NOWHERE;
	}
	scopes->slot_count++;
	scopes->slots[index] =
		(struct tape_scope_slot){ .number = number, .epoch = tape_mix(scopes->era, 0) };
	return index;
}

static struct tape_scope_session *find_session(const struct tape_scopes *scopes, uint64_t number)
{
	size_t index = index_of(&scopes->session_numbers, number);
	return index == NOWHERE ? NULL : &scopes->sessions[index];
}

static struct tape_scope_session *add_session(struct tape_scopes *scopes, uint64_t number,
                                              uint64_t identity, uint64_t slot_number)
{
	size_t slot = add_slot(scopes, slot_number);
	size_t index = index_of(&scopes->session_numbers, number);
	if (slot == NOWHERE)
		return NULL;
	if (index == NOWHERE) {
		void *sessions = make_room(scopes, scopes->sessions, scopes->session_count,
		                           sizeof(*scopes->sessions));
		if (sessions == NULL)
			return NULL;
		scopes->sessions = sessions;
		index = scopes->session_count;
		if (!tape_map_put(&scopes->session_numbers, number, index)) {
			scopes->failed = true;
			return NULL;
		}
		scopes->session_count++;
	}
	/* What has an index has room. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	scopes->sessions[index] = (struct tape_scope_session){
		.number = number, .identity = identity, .slot = slot, .lives = true
	};
	return &scopes->sessions[index];
}

/* The session of a call that was answered: one that nobody was seen to open is a stranger from here on. */
static struct tape_scope_session *know_session(struct tape_scopes *scopes, uint64_t number)
{
	struct tape_scope_session *session = find_session(scopes, number);
	if (session != NULL)
		return session;
	session = add_session(scopes, number, tape_mix(number, MARK_STRANGER), UNKNOWN_SLOT);
	if (session != NULL)
		session->lives = false;
	return session;
}

/* Modules number the objects of each slot by themselves; p11-kit's proxy passes such numbers on. */
static uint64_t object_key(const struct tape_scopes *scopes, size_t slot, uint64_t number)
{
	return tape_mix(slot == NOWHERE ? UNKNOWN_SLOT : scopes->slots[slot].number, number);
}

static struct tape_scope_object *find_object(const struct tape_scopes *scopes, size_t slot,
                                             uint64_t number)
{
	size_t index = index_of(&scopes->object_numbers, object_key(scopes, slot, number));
	return index == NOWHERE ? NULL : &scopes->objects[index];
}

/* Whether there has been a session of its slot since it was made or found: else its handle may mean anything. */
static bool is_of_this_sitting(const struct tape_scopes *scopes,
                               const struct tape_scope_object *object)
{
	return object->sitting == scopes->slots[object->slot].sitting;
}

static struct tape_scope_object *add_object(struct tape_scopes *scopes, uint64_t number,
                                            uint64_t identity, size_t slot)
{
	uint64_t at = object_key(scopes, slot, number);
	size_t index = index_of(&scopes->object_numbers, at);
	if (index == NOWHERE) {
		void *objects = make_room(scopes, scopes->objects, scopes->object_count,
		                          sizeof(*scopes->objects));
		if (objects == NULL)
			return NULL;
		scopes->objects = objects;
		index = scopes->object_count;
		if (!tape_map_put(&scopes->object_numbers, at, index)) {
			scopes->failed = true;
			return NULL;
		}
		scopes->object_count++;
	} else {
		const struct tape_scope_object *before = &scopes->objects[index];
		/* What has an index is there. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
		if (before->lives && before->owner != NOWHERE)
			scopes->sessions[before->owner].owned--;
		tape_map_remove(&scopes->identities, before->identity);
	}
	if (!tape_map_put(&scopes->identities, identity, index)) {
		scopes->failed = true;
		return NULL;
	}
	scopes->objects[index] = (struct tape_scope_object){ .number = number,
		                                             .identity = identity,
		                                             .slot = slot,
		                                             .owner = NOWHERE,
		                                             .sitting = scopes->slots[slot].sitting,
		                                             .lives = true };
	scopes->slots[slot].begun = true;
	return &scopes->objects[index];
}

void tape_scopes_done(struct tape_scopes *scopes)
{
	free(scopes->slots);
	free(scopes->sessions);
	free(scopes->objects);
	tape_map_done(&scopes->slot_numbers);
	tape_map_done(&scopes->session_numbers);
	tape_map_done(&scopes->object_numbers);
	tape_map_done(&scopes->identities);
	memset(scopes, 0, sizeof(*scopes));
}

bool tape_scopes_copy(struct tape_scopes *to, const struct tape_scopes *from)
{
	*to = (struct tape_scopes){ .life = from->life,
		                    .outside = from->outside,
		                    .era = from->era,
		                    .failed = from->failed };
	for (size_t i = 0; i < from->slot_count; i++) {
		size_t index = add_slot(to, from->slots[i].number);
		if (index != NOWHERE)
			to->slots[index] = from->slots[i];
	}
	for (size_t i = 0; i < from->session_count; i++) {
		const struct tape_scope_session *session = &from->sessions[i];
		struct tape_scope_session *copy = add_session(
			to, session->number, session->identity, from->slots[session->slot].number);
		if (copy != NULL)
			*copy = *session;
	}
	for (size_t i = 0; i < from->object_count; i++) {
		const struct tape_scope_object *object = &from->objects[i];
		struct tape_scope_object *copy =
			add_object(to, object->number, object->identity, object->slot);
		if (copy != NULL)
			*copy = *object;
	}
	return !to->failed;
}

/* ---- who is meant ---------------------------------------------------------------------------- */

static void set(struct tape_scope_value *value, uint64_t hash, uint32_t line)
{
	value->hash = hash;
	value->line = line;
}

static uint64_t epoch_of(const struct tape_scopes *scopes, uint64_t session_number)
{
	const struct tape_scope_session *session = find_session(scopes, session_number);
	return session == NULL ? tape_mix(scopes->era, 0) : scopes->slots[session->slot].epoch;
}

uint64_t tape_scope_session(struct tape_scopes *scopes, uint64_t number)
{
	const struct tape_scope_session *session = find_session(scopes, number);
	if (session == NULL)
		return tape_mix(number, MARK_STRANGER);
	if (session->lives || session->identity == tape_mix(number, MARK_STRANGER))
		return session->identity;
	return tape_mix(session->identity, MARK_CLOSED);
}

static size_t slot_of_session(const struct tape_scopes *scopes, uint64_t number)
{
	const struct tape_scope_session *session = find_session(scopes, number);
	return session == NULL ? NOWHERE : session->slot;
}

uint64_t tape_scope_object(struct tape_scopes *scopes, uint64_t session, uint64_t number)
{
	if (number == 0)
		return 0;
	const struct tape_scope_object *object =
		find_object(scopes, slot_of_session(scopes, session), number);
	return object != NULL ? object->identity
	                      : tape_mix(tape_mix(number, epoch_of(scopes, session)), MARK_FOUND);
}

bool tape_scope_session_lives(const struct tape_scopes *scopes, uint64_t number)
{
	const struct tape_scope_session *session = find_session(scopes, number);
	return session != NULL && session->lives;
}

bool tape_scope_slot(const struct tape_scopes *scopes, uint64_t number, uint64_t *ret_slot)
{
	const struct tape_scope_session *session = find_session(scopes, number);
	if (session == NULL || !session->lives ||
	    scopes->slots[session->slot].number == UNKNOWN_SLOT)
		return false;
	*ret_slot = scopes->slots[session->slot].number;
	return true;
}

bool tape_scope_object_lives(const struct tape_scopes *scopes, uint64_t session, uint64_t number)
{
	const struct tape_scope_object *object =
		find_object(scopes, slot_of_session(scopes, session), number);
	return object != NULL && object->lives;
}

bool tape_scope_find(const struct tape_scopes *scopes, uint64_t identity, uint64_t *ret_object)
{
	size_t index = index_of(&scopes->identities, identity);
	if (index == NOWHERE || !scopes->objects[index].lives)
		return false;
	*ret_object = scopes->objects[index].number;
	return true;
}

static uint64_t objects_hash(const struct tape_scopes *scopes, const struct tape_scope_slot *slot)
{
	if (slot == NULL)
		return tape_mix(tape_mix(scopes->era, 0), 0);
	return tape_mix(slot->epoch, slot->kept + tape_mix(slot->passing, 0) - tape_mix(0, 0));
}

/* ---- reading --------------------------------------------------------------------------------- */

static uint64_t session_of(const struct tape_function *function, const struct tape_value *in)
{
	return function->lane < 0 ? 0 : in[function->lane].number;
}

struct feeding {
	struct tape_scopes *scopes;
	uint64_t session, hash;
};

static void feed_inner(void *context, const struct tape_value *handle, bool given)
{
	struct feeding *feeding = context;
	if (!given)
		feeding->hash =
			tape_mix(feeding->hash, tape_scope_object(feeding->scopes, feeding->session,
		                                                  handle->number));
}

uint64_t tape_scope_fed(struct tape_scopes *scopes, const struct tape_function *function,
                        const struct tape_value *in)
{
	uint64_t hash = tape_mix((uint64_t)(function - tape_functions), 0);
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		bool is_room = (shape->traits & TAPE_T_OUT) != 0 &&
		               shape->codec != TAPE_C_MECHANISM && shape->codec != TAPE_C_PARAMETER;
		if ((int)i == function->lane || is_room || (shape->traits & TAPE_T_ANY) != 0)
			continue;
		hash = tape_mix(hash, i);
		if (function->arguments[i].kind == TAPE_K_OBJECT)
			hash = tape_mix(hash, tape_scope_object(scopes, session_of(function, in),
			                                        in[i].number));
		else
			hash = mix_value(hash, &in[i]);
	}
	struct feeding feeding = { scopes, session_of(function, in), hash };
	tape_value_each_object(function, in, feed_inner, &feeding);
	return feeding.hash;
}

/* The slot that a call is about: its own argument, or its session's. NULL where nothing is known of it. */
static struct tape_scope_slot *slot_of(const struct tape_scopes *scopes,
                                       const struct tape_function *function,
                                       const struct tape_value *in)
{
	size_t index = NOWHERE;
	const struct tape_scope_session *session =
		function->lane < 0 ? NULL : find_session(scopes, in[function->lane].number);
	if (session != NULL)
		index = session->slot;
	else if (function->lane >= 0)
		index = index_of(&scopes->slot_numbers, UNKNOWN_SLOT);
	for (size_t i = 0; i < function->count && function->lane < 0; i++)
		if (function->arguments[i].kind == TAPE_K_SLOT)
			index = index_of(&scopes->slot_numbers, in[i].number);
	return index == NOWHERE ? NULL : &scopes->slots[index];
}

/* What an operation is, with what has become of its key. */
static void add_operation(const struct tape_scopes *scopes, const struct operation *operation,
                          size_t slot, size_t index, struct tape_scope_value *value)
{
	if (operation->hash == 0)
		return;
	uint64_t hash = tape_mix(tape_mix(operation->hash, index), 0);
	const struct tape_scope_object *key = find_object(scopes, slot, operation->key);
	if (operation->key != 0 && key != NULL) {
		hash = tape_mix(tape_mix(hash, key->identity),
		                key->lives ? key->state.hash : MARK_LOST);
		if (key->state.line > value->line)
			value->line = key->state.line;
	}
	value->hash = tape_mix(value->hash, hash);
	if (operation->line > value->line)
		value->line = operation->line;
}

static void add_object_state(const struct tape_scopes *scopes, size_t slot, uint64_t number,
                             struct tape_scope_value *value)
{
	const struct tape_scope_object *object = find_object(scopes, slot, number);
	if (object == NULL)
		return;
	value->hash = tape_mix(value->hash, object->lives ? object->state.hash : MARK_LOST);
	if (object->state.line > value->line)
		value->line = object->state.line;
	if (!is_of_this_sitting(scopes, object)) {
		value->hash = tape_mix(value->hash, scopes->slots[object->slot].sitting);
		value->line = scopes->slots[object->slot].objects.line;
	}
}

struct reading {
	struct tape_scopes *scopes;
	uint64_t session;
	struct tape_scope_value *value;
};

/* Who is meant is compared, as with any other input; here counts what has become of it. */
static void read_inner(void *context, const struct tape_value *handle, bool given)
{
	struct reading *reading = context;
	(void)given;
	add_object_state(reading->scopes, slot_of_session(reading->scopes, reading->session),
	                 handle->number, reading->value);
}

void tape_scope_read(struct tape_scopes *scopes, const struct tape_function *function,
                     const struct tape_value *in, struct tape_scope_value ret_values[TAPE_SCOPES])
{
	const struct tape_scope_row *row = &tape_scope_rows[function - tape_functions];
	const struct tape_scope_slot *slot = slot_of(scopes, function, in);
	const struct tape_scope_session *session =
		function->lane < 0 ? NULL : find_session(scopes, in[function->lane].number);
	memset(ret_values, 0, TAPE_SCOPES * sizeof(*ret_values));
	ret_values[TAPE_SCOPE_LIFE] = scopes->life;
	ret_values[TAPE_SCOPE_OUTSIDE] = scopes->outside;
	ret_values[TAPE_SCOPE_OBJECTS].hash = objects_hash(scopes, slot);
	if (slot != NULL) {
		ret_values[TAPE_SCOPE_LOGIN] = slot->login;
		set(&ret_values[TAPE_SCOPE_PINS],
		    slot->pins.hash ^ slot->tries[USER_OTHER] ^ tape_mix(slot->tries[USER_SO], 0),
		    slot->pins.line);
		ret_values[TAPE_SCOPE_SESSIONS] = slot->sessions;
		ret_values[TAPE_SCOPE_OBJECTS].line = slot->objects.line;
	}
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OBJECT)
			add_object_state(scopes, session == NULL ? NOWHERE : session->slot,
			                 in[i].number, &ret_values[TAPE_SCOPE_OBJECT]);
	struct reading reading = { scopes, session_of(function, in),
		                   &ret_values[TAPE_SCOPE_OBJECT] };
	tape_value_each_object(function, in, read_inner, &reading);
	for (size_t i = 0; session != NULL && i < TAPE_OPERATIONS; i++) {
		const struct operation *operation = &session->operations[i];
		if ((row->operations & (1u << i)) != 0)
			add_operation(scopes, operation, session->slot, i,
			              &ret_values[TAPE_SCOPE_OP]);
		add_operation(scopes, operation, session->slot, i, &ret_values[TAPE_SCOPE_ALL_OPS]);
	}
}

unsigned int tape_scope_reads(const struct tape_function *function, const struct tape_value *in)
{
	unsigned int reads = tape_scope_rows[function - tape_functions].reads;
	/* PKCS#11 3.1 §5.6.8: a Security Officer cannot log in where a session is read-only. */
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_USER_TYPE && in[i].number == CKU_SO)
			reads |= SESSIONS;
	return reads;
}

uint64_t tape_scope_key(const struct tape_scope_value values[TAPE_SCOPES], unsigned int mask)
{
	uint64_t hash = tape_mix(mask, 0);
	for (unsigned int i = 0; i < TAPE_SCOPES; i++)
		if ((mask & (1u << i)) != 0)
			hash = tape_mix(hash, values[i].hash);
	return hash;
}

static const struct tape_value *mechanism_of(const struct tape_function *function,
                                             const struct tape_value *in)
{
	for (size_t i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_MECHANISM)
			return &in[i];
	return NULL;
}

static bool mechanism_varies(const struct tape_function *function,
                             const struct tape_value *mechanism)
{
	unsigned int operations = tape_effects[function - tape_functions].operations;
	/* effects.def is about outputs; verifying has none, and may depend on the time all the same. */
	if (operations == TAPE_OP_NONE)
		operations = TAPE_OP_VERIFY;
	return mechanism->form == TAPE_V_MECHANISM &&
	       (tape_mechanism_find(mechanism->tag) == NULL ||
	        tape_varies_mechanism(mechanism->tag, operations));
}

bool tape_scope_varies(struct tape_scopes *scopes, const struct tape_function *function,
                       const struct tape_value *in)
{
	const struct tape_scope_row *row = &tape_scope_rows[function - tape_functions];
	const struct tape_value *mechanism = mechanism_of(function, in);
	/* Beginning an operation draws nothing yet. */
	if (mechanism != NULL)
		return row->act != TAPE_ACT_BEGINS && mechanism_varies(function, mechanism);
	const struct tape_scope_session *session =
		function->lane < 0 ? NULL : find_session(scopes, in[function->lane].number);
	for (size_t i = 0; session != NULL && i < TAPE_OPERATIONS; i++)
		if ((row->operations & (1u << i)) != 0 && session->operations[i].varies)
			return true;
	return false;
}

/* ---- objects --------------------------------------------------------------------------------- */

/* An object's part in what is known of its slot's objects. */
static void share(struct tape_scopes *scopes, struct tape_scope_object *object, uint64_t hash,
                  uint32_t line)
{
	struct tape_scope_slot *slot = &scopes->slots[object->slot];
	uint64_t *sum = object->storage == STORAGE_SESSION ? &slot->passing : &slot->kept;
	*sum += hash - object->share;
	object->share = hash;
	slot->objects.line = line;
}

static void edit(struct tape_scopes *scopes, struct tape_scope_object *object, uint64_t by,
                 uint32_t line)
{
	set(&object->state, tape_mix(object->state.hash, by), line);
	if (object->made || object->share != 0)
		share(scopes, object, tape_mix(object->identity, object->state.hash), line);
}

static void lose(struct tape_scopes *scopes, struct tape_scope_object *object, uint32_t line)
{
	if (!object->lives)
		return;
	object->lives = false;
	if (object->owner != NOWHERE)
		scopes->sessions[object->owner].owned--;
	object->state.line = line;
	/* One that was made here is as if it had never been; one that was found is missing from now on. */
	share(scopes, object, object->made ? 0 : tape_mix(object->identity, MARK_LOST), line);
}

/* CKA_TOKEN of a template; `other` where it does not say. */
static bool template_says(const struct tape_value *template, CK_ATTRIBUTE_TYPE type, bool other)
{
	for (size_t i = 0; template->form == TAPE_V_LIST && i < template->count; i++) {
		const struct tape_value *entry = tape_value_child(template, i);
		if (entry->tag != type)
			continue;
		if (entry->form == TAPE_V_BYTES && entry->length == 1)
			return *(const unsigned char *)entry->data != 0;
		if (entry->form == TAPE_V_NUMBER)
			return entry->number != 0;
	}
	return other;
}

/* An object that the call gave; the template for it, if there is one, is the one with the same number. */
static void make(struct tape_scopes *scopes, const struct tape_scope_call *call, uint64_t handle,
                 size_t number)
{
	const struct tape_function *function = call->function;
	const struct tape_scope_session *session =
		know_session(scopes, session_of(function, call->in));
	const struct tape_value *template = NULL;
	const struct tape_scope_object *source = NULL;
	size_t templates = 0;
	if (session == NULL)
		return;
	size_t slot = session->slot;
	size_t owner = (size_t)(session - scopes->sessions);
	for (size_t i = 0; i < function->count; i++) {
		uint16_t traits = tape_shapes[function->arguments[i].kind].traits;
		if (tape_shapes[function->arguments[i].kind].codec != TAPE_C_TEMPLATE)
			continue;
		if (template == NULL || templates <= number)
			template = &call->in[i];
		templates++;
		/* A template of an object that there is: the new one is like it but for that. */
		for (size_t j = 0; (traits & TAPE_T_OF) != 0 && j < i; j++)
			if (function->arguments[j].kind == TAPE_K_OBJECT)
				/* As many as arguments. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
				source = find_object(scopes, slot, call->in[j].number);
	}
	uint8_t storage = STORAGE_SESSION;
	bool like = source != NULL && source->storage != STORAGE_UNKNOWN;
	if (template != NULL &&
	    template_says(template, CKA_TOKEN, like && source->storage == STORAGE_TOKEN))
		storage = STORAGE_TOKEN;
	else if (source != NULL && !like)
		storage = STORAGE_UNKNOWN;
	bool nobody = scopes->slots[slot].login.hash == 0;
	struct tape_scope_object *object =
		add_object(scopes, handle, tape_mix(tape_mix(call->self, number), MARK_MADE), slot);
	if (object == NULL)
		return;
	object->owner = owner;
	scopes->sessions[owner].owned++;
	object->storage = storage;
	object->made = true;
	object->is_public = nobody;
	share(scopes, object, tape_mix(object->identity, 0), call->line);
}

static void find_one(struct tape_scopes *scopes, const struct tape_scope_session *session,
                     const struct tape_value *handle)
{
	size_t slot = session->slot;
	const struct tape_scope_object *known = find_object(scopes, slot, handle->number);
	const bool current = known != NULL && is_of_this_sitting(scopes, known);
	if (current && known->lives)
		return;
	uint64_t identity = handle->tag;
	if (identity == 0)
		identity =
			tape_mix(tape_mix(handle->number, scopes->slots[slot].epoch), MARK_FOUND);
	/* The number of one that was lost is used again. */
	if (handle->tag == 0 && current)
		identity = tape_mix(identity, known->identity);
	struct tape_scope_object *object = add_object(scopes, handle->number, identity, slot);
	if (object != NULL)
		object->is_public = scopes->slots[slot].login.hash == 0;
}

/* ---- sessions and logins --------------------------------------------------------------------- */

/*
 * PKCS#11 3.1 §5.6.9: handles of private objects mean nothing any more, even after another login, and private
 * objects of sessions are gone. Which ones are private is only known of those that were seen by nobody.
 */
static void log_out(struct tape_scopes *scopes, size_t index, uint32_t line)
{
	struct tape_scope_slot *slot = &scopes->slots[index];
	if (slot->login.hash == 0)
		return;
	set(&slot->login, 0, line);
	for (size_t i = 0; i < scopes->object_count; i++)
		if (scopes->objects[i].slot == index && scopes->objects[i].lives &&
		    !scopes->objects[i].is_public)
			edit(scopes, &scopes->objects[i], MARK_LOGOUT, line);
	slot->epoch = tape_mix(tape_mix(slot->epoch, MARK_LOGOUT), slot->kept);
	slot->objects.line = line;
}

static void close_session(struct tape_scopes *scopes, struct tape_scope_session *session,
                          uint32_t line)
{
	size_t index = (size_t)(session - scopes->sessions);
	size_t slot = session->slot;
	memset(session->operations, 0, sizeof(session->operations));
	if (!session->lives) {
		if (session->identity == tape_mix(session->number, MARK_STRANGER))
			session->identity = tape_mix(session->identity, MARK_CLOSED);
		return;
	}
	session->lives = false;
	scopes->slots[slot].sessions.hash -= session->identity;
	scopes->slots[slot].sessions.line = line;
	for (size_t i = 0; session->owned != 0 && i < scopes->object_count; i++) {
		struct tape_scope_object *object = &scopes->objects[i];
		if (object->owner != index || !object->lives)
			continue;
		if (object->storage == STORAGE_SESSION) {
			lose(scopes, object, line);
		} else {
			session->owned--;
			if (object->storage == STORAGE_UNKNOWN)
				edit(scopes, object, MARK_OWNER_CLOSED, line);
		}
		object->owner = NOWHERE;
	}
	/* §5.6.7: with the last session its user is logged out. */
	if (--scopes->slots[slot].open != 0)
		return;
	log_out(scopes, slot, line);
	/*
	 * That handles outlive the last session nobody says (PKCS#11 3.2 §3.4.1): SoftHSM2 gives the same numbers out
	 * again, for other objects.
	 */
	scopes->slots[slot].sitting = tape_mix(scopes->slots[slot].epoch, MARK_CLOSED);
	scopes->slots[slot].epoch = tape_mix(scopes->slots[slot].sitting, scopes->slots[slot].kept);
	scopes->slots[slot].begun = false;
	scopes->slots[slot].objects.line = line;
}

static void log_in(struct tape_scopes *scopes, const struct tape_scope_call *call)
{
	struct tape_scope_session *session =
		know_session(scopes, session_of(call->function, call->in));
	if (session == NULL)
		return;
	struct tape_scope_slot *slot = &scopes->slots[session->slot];
	uint64_t type = 0;
	uint64_t who = MARK_LIFE;
	for (size_t i = 0; i < call->function->count; i++) {
		const struct tape_argument *argument = &call->function->arguments[i];
		if (argument->kind == TAPE_K_USER_TYPE)
			type = call->in[i].number;
		if ((int)i != call->function->lane &&
		    tape_shapes[argument->kind].codec != TAPE_C_SECRET)
			who = mix_value(who, &call->in[i]);
	}
	uint64_t *tries = &slot->tries[type == CKU_SO ? USER_SO : USER_OTHER];
	if (call->rv != CKR_OK) {
		if (call->rv == CKR_USER_ALREADY_LOGGED_IN ||
		    call->rv == CKR_USER_ANOTHER_ALREADY_LOGGED_IN)
			return;
		*tries = tape_mix(tape_mix(*tries, call->fed), call->rv);
		slot->pins.line = call->line;
		return;
	}
	*tries = 0;
	if (type != CKU_CONTEXT_SPECIFIC) {
		set(&slot->login, tape_mix(slot->login.hash, who), call->line);
		return;
	}
	/* Of the operations that wait for it. */
	for (size_t i = 0; i < TAPE_OPERATIONS; i++)
		if (session->operations[i].hash != 0) {
			session->operations[i].hash = tape_mix(session->operations[i].hash, who);
			session->operations[i].line = call->line;
		}
}

static void change_pins(struct tape_scopes *scopes, const struct tape_scope_call *call)
{
	const struct tape_function *function = call->function;
	size_t slot = NOWHERE;
	if (function->lane >= 0) {
		const struct tape_scope_session *session =
			know_session(scopes, session_of(function, call->in));
		slot = session == NULL ? NOWHERE : session->slot;
	}
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_SLOT)
			slot = add_slot(scopes, call->in[i].number);
	if (slot == NOWHERE)
		return;
	struct tape_scope_value *pins = &scopes->slots[slot].pins;
	set(pins, tape_mix(tape_mix(pins->hash, call->fed), call->rv), call->line);
}

/* ---- the life of a module -------------------------------------------------------------------- */

static void end_life(struct tape_scopes *scopes, uint32_t line)
{
	for (size_t i = 0; i < scopes->session_count; i++) {
		scopes->sessions[i].lives = false;
		memset(scopes->sessions[i].operations, 0, sizeof(scopes->sessions[i].operations));
	}
	for (size_t i = 0; i < scopes->object_count; i++) {
		scopes->objects[i].lives = false;
		scopes->objects[i].state.line = line;
	}
	for (size_t i = 0; i < scopes->slot_count; i++) {
		struct tape_scope_slot *slot = &scopes->slots[i];
		set(&slot->login, 0, line);
		set(&slot->sessions, 0, line);
		slot->open = 0;
		slot->passing = 0;
		slot->objects.line = line;
	}
	set(&scopes->life, 0, line);
}

static void begin_life(struct tape_scopes *scopes, const struct tape_scope_call *call)
{
	end_life(scopes, call->line);
	set(&scopes->life, tape_mix(call->fed, MARK_LIFE), call->line);
	scopes->era = tape_mix(call->self, MARK_LIFE);
	for (size_t i = 0; i < scopes->slot_count; i++) {
		scopes->slots[i].epoch = tape_mix(scopes->era, scopes->slots[i].kept);
		scopes->slots[i].begun = false;
	}
	/* Nobody knows a number of the life before; what it stood for is kept in the slots' sums. */
	tape_map_clear(&scopes->object_numbers);
	tape_map_clear(&scopes->identities);
	tape_map_clear(&scopes->session_numbers);
	scopes->object_count = scopes->session_count = 0;
}

void tape_scope_happened(struct tape_scopes *scopes, uint64_t self, uint32_t line)
{
	set(&scopes->outside, tape_mix(scopes->outside.hash, self), line);
}

/* ---- operations ------------------------------------------------------------------------------ */

static void change_operation(struct operation *operation, uint64_t by, uint32_t line)
{
	operation->hash = operation->hash == 0 && by == 0 ? 0 : tape_mix(operation->hash, by);
	operation->line = line;
}

static void end_operation(struct operation *operation, uint32_t line)
{
	memset(operation, 0, sizeof(*operation));
	operation->line = line;
}

static void begin(struct tape_scopes *scopes, const struct tape_scope_call *call,
                  struct operation *operation)
{
	const struct tape_value *mechanism = mechanism_of(call->function, call->in);
	end_operation(operation, call->line);
	if (mechanism != NULL && mechanism->form == TAPE_V_NULL)
		return;
	uint64_t login = 0;
	const struct tape_scope_slot *slot = slot_of(scopes, call->function, call->in);
	if (slot != NULL)
		login = slot->login.hash;
	operation->hash = tape_mix(call->fed, login);
	operation->varies = mechanism != NULL && mechanism_varies(call->function, mechanism);
	for (size_t i = 0; i < call->function->count; i++)
		if (call->function->arguments[i].kind == TAPE_K_OBJECT)
			/* As many as arguments. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
			operation->key = call->in[i].number;
}

bool tape_scope_gave_output(const struct tape_scope_call *call)
{
	if (answered(call->rv) != ANSWERED_ENDED)
		return false;
	for (size_t i = 0; i < call->function->count; i++)
		if (tape_shapes[call->function->arguments[i].kind].codec == TAPE_C_BYTES_AT &&
		    call->in[i].form == TAPE_V_QUERY)
			return false;
	return true;
}

static void found(struct tape_scopes *scopes, const struct tape_scope_call *call,
                  struct tape_scope_session *session, struct operation *operation)
{
	for (size_t i = 0; i < call->function->count; i++) {
		const struct tape_value *list = &call->out[i];
		if (tape_shapes[call->function->arguments[i].kind].codec != TAPE_C_FOUND ||
		    list->form != TAPE_V_LIST)
			continue;
		/* One by one: asked for together or apart, the search is as far in the end. */
		for (size_t j = 0; j < list->count; j++) {
			const struct tape_value *handle = tape_value_child(list, j);
			find_one(scopes, session, handle);
			change_operation(operation,
			                 tape_scope_object(scopes, session->number, handle->number),
			                 call->line);
		}
	}
}

static bool cancels(const struct tape_scope_call *call, size_t operation)
{
	for (size_t i = 0; i < call->function->count; i++)
		if (call->function->arguments[i].kind == TAPE_K_CANCEL_FLAGS)
			return (call->in[i].number & operation_flags[operation]) != 0;
	return false;
}

static void operate(struct tape_scopes *scopes, const struct tape_scope_call *call,
                    enum tape_scope_act act)
{
	const struct tape_scope_row *row = &tape_scope_rows[call->function - tape_functions];
	struct tape_scope_session *session =
		know_session(scopes, session_of(call->function, call->in));
	if (session == NULL)
		return;
	bool good = call->rv == CKR_OK;
	for (size_t i = 0; i < TAPE_OPERATIONS; i++) {
		struct operation *operation = &session->operations[i];
		bool mine = (row->operations & (1u << i)) != 0;
		if (act == TAPE_ACT_CANCELS || act == TAPE_ACT_RESTORES)
			mine = good && (act == TAPE_ACT_RESTORES || cancels(call, i));
		if (!mine)
			continue;
		/* What a failure leaves is the module's affair; but nothing begins or changes with it. */
		if (!tape_scope_answers(call->rv)) {
			if (operation->hash != 0)
				change_operation(
					operation,
					tape_mix(tape_mix(call->fed, call->rv), MARK_FAILED),
					call->line);
			continue;
		}
		switch (act) {
		case TAPE_ACT_BEGINS:
			begin(scopes, call, operation);
			break;
		case TAPE_ACT_SEEKS:
			begin(scopes, call, operation);
			operation->hash = tape_mix(
				operation->hash,
				objects_hash(scopes, slot_of(scopes, call->function, call->in)));
			break;
		case TAPE_ACT_FINDS:
			found(scopes, call, session, operation);
			break;
		case TAPE_ACT_FEEDS:
			if (tape_scope_gave_output(call))
				change_operation(operation, call->fed, call->line);
			break;
		case TAPE_ACT_ENDS:
			if (tape_scope_gave_output(call))
				end_operation(operation, call->line);
			break;
		case TAPE_ACT_CANCELS:
			end_operation(operation, call->line);
			break;
		case TAPE_ACT_RESTORES:
			operation->hash = tape_mix(tape_mix(call->fed, i), MARK_RESTORED);
			operation->line = call->line;
			operation->varies = true;
			break;
		default:
			break;
		}
	}
}

/* ---- the effect of a call -------------------------------------------------------------------- */

static void open_session(struct tape_scopes *scopes, const struct tape_scope_call *call,
                         size_t argument)
{
	uint64_t slot = UNKNOWN_SLOT;
	for (size_t i = 0; i < call->function->count; i++)
		if (call->function->arguments[i].kind == TAPE_K_SLOT)
			slot = call->in[i].number;
	const struct tape_scope_session *session =
		add_session(scopes, call->out[argument].number, call->fed, slot);
	if (session == NULL)
		return;
	scopes->slots[session->slot].open++;
	scopes->slots[session->slot].sessions.hash += session->identity;
	scopes->slots[session->slot].sessions.line = call->line;
}

struct making {
	struct tape_scopes *scopes;
	const struct tape_scope_call *call;
	size_t made;
};

/* Keys that a mechanism returns in its parameter (CK_SSL3_KEY_MAT_OUT). */
static void make_inner(void *context, const struct tape_value *handle, bool given)
{
	struct making *making = context;
	if (given && handle->number != 0)
		make(making->scopes, making->call, handle->number, making->made++);
}

/* What the shapes of its outputs say. */
static void take_outputs(struct tape_scopes *scopes, const struct tape_scope_call *call)
{
	size_t made = 0;
	for (size_t i = 0; i < call->function->count; i++) {
		if (call->out[i].form != TAPE_V_NUMBER)
			continue;
		if (call->function->arguments[i].kind == TAPE_K_OUT_SESSION)
			open_session(scopes, call, i);
		else if (call->function->arguments[i].kind == TAPE_K_OUT_OBJECT)
			make(scopes, call, call->out[i].number, made++);
	}
	struct making making = { scopes, call, made };
	tape_value_each_object(call->function, call->out, make_inner, &making);
}

static void take_effects(struct tape_scopes *scopes, const struct tape_scope_call *call)
{
	uint16_t effects = tape_effects[call->function - tape_functions].effects;
	/* Attributes may have changed even where not all of them could be. */
	if (call->rv != CKR_OK)
		effects &= TAPE_EFFECT_EDITS;
	for (size_t i = 0; i < call->function->count; i++) {
		if (call->function->arguments[i].kind != TAPE_K_OBJECT)
			continue;
		uint64_t session_number = session_of(call->function, call->in);
		struct tape_scope_object *object = find_object(
			scopes, slot_of_session(scopes, session_number), call->in[i].number);
		/* One that nobody was seen to find is known from now on. */
		if (object == NULL && (effects & (TAPE_EFFECT_DESTROYS | TAPE_EFFECT_EDITS)) != 0) {
			struct tape_value handle = call->in[i];
			const struct tape_scope_session *session =
				know_session(scopes, session_number);
			handle.tag = 0;
			if (session != NULL)
				find_one(scopes, session, &handle);
			object = find_object(scopes, slot_of_session(scopes, session_number),
			                     call->in[i].number);
		}
		if (object != NULL && (effects & TAPE_EFFECT_DESTROYS) != 0)
			lose(scopes, object, call->line);
		if (object != NULL && (effects & TAPE_EFFECT_EDITS) != 0) {
			edit(scopes, object, tape_mix(call->fed, call->rv), call->line);
			share(scopes, object, tape_mix(object->identity, object->state.hash),
			      call->line);
		}
	}
}

void tape_scope_effect(struct tape_scopes *scopes, const struct tape_scope_call *call)
{
	const struct tape_scope_row *row = &tape_scope_rows[call->function - tape_functions];
	enum tape_scope_act act = (enum tape_scope_act)row->act;
	uint64_t number = session_of(call->function, call->in);
	struct tape_scope_session *session;
	if (row->operations != 0 || act == TAPE_ACT_CANCELS || act == TAPE_ACT_RESTORES) {
		operate(scopes, call, act);
		return;
	}
	if (act == TAPE_ACT_LOGS_IN)
		log_in(scopes, call);
	else if (act == TAPE_ACT_PINS || (act == TAPE_ACT_ERASES && call->rv != CKR_OK))
		change_pins(scopes, call);
	take_effects(scopes, call);
	if (call->rv != CKR_OK)
		return;
	switch (act) {
	case TAPE_ACT_INITIALIZES:
		begin_life(scopes, call);
		break;
	case TAPE_ACT_FINALIZES:
		end_life(scopes, call->line);
		break;
	case TAPE_ACT_CLOSES:
		session = find_session(scopes, number);
		if (session != NULL)
			close_session(scopes, session, call->line);
		break;
	case TAPE_ACT_CLOSES_ALL: {
		const struct tape_scope_slot *slot = slot_of(scopes, call->function, call->in);
		for (size_t i = 0; slot != NULL && i < scopes->session_count; i++)
			if (&scopes->slots[scopes->sessions[i].slot] == slot)
				close_session(scopes, &scopes->sessions[i], call->line);
		break;
	}
	case TAPE_ACT_LOGS_OUT:
		session = know_session(scopes, number);
		if (session != NULL)
			log_out(scopes, session->slot, call->line);
		break;
	case TAPE_ACT_ERASES:
	case TAPE_ACT_HAPPENS:
		tape_scope_happened(scopes, call->self, call->line);
		break;
	default:
		break;
	}
	take_outputs(scopes, call);
}

/* ---- which handles a module chose ------------------------------------------------------------ */

struct tape_scope_handles tape_scope_handles(const struct tape_scopes *scopes, uint64_t session)
{
	const struct tape_scope_session *known = find_session(scopes, session);
	if (known == NULL || !known->lives)
		return (struct tape_scope_handles){ .begun = true };
	const struct tape_scope_slot *slot = &scopes->slots[known->slot];
	return (struct tape_scope_handles){ slot->epoch, slot->sitting, slot->begun };
}

void tape_scope_choose(struct tape_scopes *scopes, uint64_t session,
                       const struct tape_scope_handles *handles, bool sure)
{
	const struct tape_scope_session *known = find_session(scopes, session);
	if (known == NULL)
		return;
	const size_t slot = known->slot;
	scopes->slots[slot].epoch = handles->epoch;
	scopes->slots[slot].sitting = handles->sitting;
	/* What it gave when it chose so before has to be found again. */
	for (size_t i = 0; sure && i < scopes->object_count; i++) {
		struct tape_scope_object *object = &scopes->objects[i];
		if (object->slot != slot || object->sitting != handles->sitting ||
		    find_object(scopes, slot, object->number) != object)
			continue;
		tape_map_remove(&scopes->object_numbers, object_key(scopes, slot, object->number));
		tape_map_remove(&scopes->identities, object->identity);
		object->lives = false;
	}
}

/* ---- what follows ---------------------------------------------------------------------------- */

bool tape_scope_ends(struct tape_scopes *scopes, const struct tape_function *function,
                     const struct tape_value *in)
{
	const struct tape_scope_row *row = &tape_scope_rows[function - tape_functions];
	const struct tape_scope_session *session =
		function->lane < 0 ? NULL : find_session(scopes, in[function->lane].number);
	switch ((enum tape_scope_act)row->act) {
	case TAPE_ACT_FINALIZES:
		return scopes->life.hash != 0;
	case TAPE_ACT_CLOSES:
		return session != NULL && session->lives;
	case TAPE_ACT_CLOSES_ALL: {
		const struct tape_scope_slot *slot = slot_of(scopes, function, in);
		return slot != NULL && slot->sessions.hash != 0;
	}
	case TAPE_ACT_LOGS_OUT:
		return session != NULL && session->lives &&
		       scopes->slots[session->slot].login.hash != 0;
	case TAPE_ACT_ENDS:
		return session != NULL && session->lives && row->operations == FIND &&
		       session->operations[TAPE_OPERATION_FIND].hash != 0;
	default:
		return false;
	}
}

static uint64_t state_of_object(struct tape_scopes *scopes, uint64_t session, uint64_t object,
                                bool found)
{
	struct tape_scope_value value = { 0 };
	const struct tape_scope_session *known = find_session(scopes, session);
	const size_t slot = slot_of_session(scopes, session);
	uint64_t login = known == NULL ? 0 : scopes->slots[known->slot].login.hash;
	if (found && find_object(scopes, slot, object) == NULL)
		value.hash = tape_mix(0, 0);
	add_object_state(scopes, slot, object, &value);
	uint64_t hash = tape_mix(tape_mix(scopes->life.hash, scopes->outside.hash), login);
	return tape_mix(tape_mix(hash, tape_scope_object(scopes, session, object)), value.hash);
}

uint64_t tape_scope_object_state(struct tape_scopes *scopes, uint64_t session, uint64_t object)
{
	return state_of_object(scopes, session, object, false);
}

uint64_t tape_scope_found_state(struct tape_scopes *scopes, uint64_t session, uint64_t object)
{
	return state_of_object(scopes, session, object, true);
}

uint64_t tape_scope_set_state(struct tape_scopes *scopes, uint64_t session)
{
	const struct tape_scope_session *known = find_session(scopes, session);
	const struct tape_scope_slot *slot = known == NULL ? NULL : &scopes->slots[known->slot];
	uint64_t hash = tape_mix(scopes->life.hash, scopes->outside.hash);
	return tape_mix(tape_mix(hash, slot == NULL ? 0 : slot->login.hash),
	                objects_hash(scopes, slot));
}
