/* SPDX-License-Identifier: MIT */
#include "replayer/keyed.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/derive.h"
#include "core/system.h"
#include "core/varies.h"
#include "replayer/keys/keyring.h"
#include "replayer/loose.h"

/* Secrets that are agreed on and not yet destroyed, at the most. */
#define MAX_SECRETS 1024

/* What the recording allows is remembered so often at the most; beyond, nothing more is allowed. */
#define MAX_ALLOWED 16384

#define STATE                                                                   \
	(TAPE_SCOPE_BIT(TAPE_SCOPE_LIFE) | TAPE_SCOPE_BIT(TAPE_SCOPE_OUTSIDE) | \
	 TAPE_SCOPE_BIT(TAPE_SCOPE_LOGIN) | TAPE_SCOPE_BIT(TAPE_SCOPE_OP))

/* What the recording shows that a key may do: a call that succeeded with it, in one state. */
struct allowed {
	struct allowed *next;
	const struct tape_function *function;
	uint64_t key, state, inputs; /* key: the object's identity */
	CK_MECHANISM_TYPE mechanism;
};

/* A mechanism that the recorded module lists for a slot. */
struct listed {
	struct listed *next;
	uint64_t slot;
	CK_MECHANISM_TYPE mechanism;
};

/*
 * What a key did to its end in the recording: with C_Login (CKU_CONTEXT_SPECIFIC) on the way, as one wants it that
 * has CKA_ALWAYS_AUTHENTICATE, or without (PKCS#11 3.1 §4.9).
 */
struct ended {
	struct ended *next;
	uint64_t key;
	unsigned int operations;
	bool confirmed;
};

/* An operation of a recorded session, while it is learned. */
struct begun {
	struct begun *next;
	uint64_t session, key;
	unsigned int operations; /* 0: it has ended */
	bool confirmed;
};

/* An operation of a live session with a key that was given. It is the session's while the state says so. */
struct running {
	struct running *next;
	const struct tape_function *began;
	uint64_t session, state, key; /* key: the object's identity */
	unsigned int operations;
	struct keys_operation *operation;
	bool fed, confirmed;
};

/* A secret that a program agreed on with a peer: an object that no recorded call knows. */
struct secret {
	struct secret *next;
	uint64_t identity;             /* 0: its call has not had its effect yet */
	uint64_t handle, session;      /* the session that it was made in */
	struct tape_known *attributes; /* of its template, in `arena`; the value is the first */
	size_t count;
	struct tape_arena arena;
	size_t length;
	unsigned char value[KEYS_MAX_SECRET];
};

static struct {
	struct keyring *ring; /* NULL: no key was given, or none can be used */
	atomic_bool inside;   /* a thread is at it, under the lock */
	bool broken;          /* by a fork */
	const struct keys_table *keys;
	struct allowed *allowed;
	size_t allowed_count;
	struct ended *ended;
	struct begun *begun;
	struct listed *listed;
	struct running *running;
	struct secret *secrets;
	size_t secret_count;
} keyed;

/* ---- opening --------------------------------------------------------------------------------------- */

/* The library lies beside the replayer that we are; of a copy, where it was to be installed. */
static bool find_library(char path[PATH_MAX])
{
	Dl_info here;
	if (dladdr((void *)(uintptr_t)&keyed_open, &here) == 0 || here.dli_fname == NULL)
		return false;
	const char *slash = strrchr(here.dli_fname, '/');
	int directory = slash == NULL ? 0 : (int)(slash + 1 - here.dli_fname);
	if (snprintf(path, PATH_MAX, "%.*s%s", directory, here.dli_fname, KEYRING_LIBRARY) >=
	    PATH_MAX)
		return false;
	if (access(path, R_OK) != 0 && access(TAPE_MODULE_DIR "/" KEYRING_LIBRARY, R_OK) == 0)
		snprintf(path, PATH_MAX, "%s", TAPE_MODULE_DIR "/" KEYRING_LIBRARY);
	return true;
}

int keyed_open(const char *list, struct tape_error *error)
{
	char library[PATH_MAX];
	if (list[0] == '\0')
		return 0;
	if (!find_library(library))
		return tape_error_set(error, TAPE_E_SYSTEM, 0,
		                      "the replayer does not know where it lies, and cannot find "
		                      "%s beside it",
		                      KEYRING_LIBRARY);
	int result = keyring_open(&keyed.ring, list, library, error);
	if (result >= 0)
		keyed.keys = keyring_table(keyed.ring);
	return result;
}

void keyed_inherit(void)
{
	if (!atomic_exchange(&keyed.inside, false) || keyed.ring == NULL)
		return;
	/* Left as it is, in memory: to give it back would take the same locks. */
	keyed.ring = NULL;
	keyed.broken = true;
}

int keyed_check(struct tape_error *error)
{
	/* Not every process of a recording uses every key. */
	return keyed.ring == NULL ? 0 : keyring_check(keyed.ring, false, error);
}

/* ---- what a call is ---------------------------------------------------------------------------------- */

static const struct tape_shape *shape_of(const struct tape_function *function, size_t i)
{
	return &tape_shapes[function->arguments[i].kind];
}

/* The index of the first argument with this codec, or -1. */
static int find_codec(const struct tape_function *function, enum tape_codec codec)
{
	for (int i = 0; i < function->count; i++)
		if (shape_of(function, (size_t)i)->codec == codec)
			return i;
	return -1;
}

static int find_kind(const struct tape_function *function, enum tape_kind kind)
{
	for (int i = 0; i < function->count; i++)
		if (function->arguments[i].kind == kind)
			return i;
	return -1;
}

static uint64_t session_of(const struct tape_function *function, const struct tape_value *in)
{
	return function->lane < 0 ? 0 : in[function->lane].number;
}

static uint64_t object_of(struct tape_scopes *scopes, const struct tape_function *function,
                          const struct tape_value *in)
{
	int object = find_kind(function, TAPE_K_OBJECT);
	return object < 0 ? 0
	                  : tape_scope_object(scopes, session_of(function, in), in[object].number);
}

static const struct tape_value *mechanism_of(const struct tape_function *function,
                                             const struct tape_value *in)
{
	int i = find_codec(function, TAPE_C_MECHANISM);
	return i < 0 || in[i].form != TAPE_V_MECHANISM ? NULL : &in[i];
}

/* What a call is to a key. */
enum part { PART_NONE, PART_BEGIN, PART_FEED, PART_END, PART_DERIVE };

static const struct {
	unsigned int operation;
	enum keys_act act;
} acts[] = {
	{ 1u << TAPE_OPERATION_SIGN, KEYS_SIGN },
	{ 1u << TAPE_OPERATION_DECRYPT, KEYS_DECRYPT },
};

static bool find_act(unsigned int operations, enum keys_act *ret_act)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(acts); i++)
		if (acts[i].operation == operations) {
			*ret_act = acts[i].act;
			return true;
		}
	return false;
}

static enum part part_of(const struct tape_function *function, enum keys_act *ret_act)
{
	const struct tape_scope_row *row = &tape_scope_rows[function - tape_functions];
	const struct tape_effects *effects = &tape_effects[function - tape_functions];
	bool gives = find_codec(function, TAPE_C_BYTES_AT) >= 0;
	bool takes = find_codec(function, TAPE_C_BYTES) >= 0;
	/* A new object of a mechanism, another one and a template, and of nothing else, is derived. */
	if ((effects->effects & TAPE_EFFECT_CREATES) != 0 && !gives && !takes &&
	    find_codec(function, TAPE_C_MECHANISM) >= 0) {
		*ret_act = KEYS_DERIVE;
		return PART_DERIVE;
	}
	if (find_codec(function, TAPE_C_PARAMETER) >= 0 || !find_act(row->operations, ret_act))
		return PART_NONE;
	switch ((enum tape_scope_act)row->act) {
	case TAPE_ACT_BEGINS:
		return PART_BEGIN;
	case TAPE_ACT_FEEDS:
		return gives ? PART_NONE : PART_FEED;
	case TAPE_ACT_ENDS:
		return gives ? PART_END : PART_NONE;
	default:
		return PART_NONE;
	}
}

static uint64_t state_of(struct tape_scopes *scopes, const struct tape_function *function,
                         const struct tape_value *in, unsigned int mask)
{
	struct tape_scope_value values[TAPE_SCOPES];
	tape_scope_read(scopes, function, in, values);
	return tape_scope_key(values, mask);
}

/*
 * The inputs but for the peer's public key, which is what differs from one agreement to the next. Returns 0
 * where they are not known whole.
 */
static uint64_t agreement_of(struct tape_scopes *scopes, const struct tape_function *function,
                             const struct tape_value *in)
{
	struct tape_value inputs[TAPE_MAX_ARGUMENTS], parameter, fields[8];
	int at = find_codec(function, TAPE_C_MECHANISM);
	if (at < 0 || in[at].form != TAPE_V_MECHANISM || in[at].count != 1)
		return 0;
	parameter = *tape_value_child(&in[at], 0);
	if (parameter.form != TAPE_V_RECORD || parameter.record != TAPE_R_CK_ECDH1_DERIVE_PARAMS ||
	    parameter.count > TAPE_ARRAY_SIZE(fields))
		return 0;
	memcpy(inputs, in, sizeof(inputs));
	memcpy(fields, parameter.data, parameter.count * sizeof(*fields));
	const struct tape_record *record = &tape_records[parameter.record];
	for (size_t i = 0; i < parameter.count; i++)
		if (tape_fields[record->first + i].offset ==
		            offsetof(CK_ECDH1_DERIVE_PARAMS, pPublicData) ||
		    tape_fields[record->first + i].offset ==
		            offsetof(CK_ECDH1_DERIVE_PARAMS, ulPublicDataLen))
			memset(&fields[i], 0, sizeof(fields[i]));
	parameter.data = fields;
	inputs[at].data = &parameter;
	return tape_scope_fed(scopes, function, inputs);
}

static const struct keys_key *find_key(uint64_t object)
{
	return keyring_find(keyed.ring, engine.seat, object);
}

/* ---- learning --------------------------------------------------------------------------------------- */

static bool is_listed(uint64_t slot, CK_MECHANISM_TYPE mechanism)
{
	for (const struct listed *l = keyed.listed; l != NULL; l = l->next)
		if (l->slot == slot && l->mechanism == mechanism)
			return true;
	return false;
}

static void note_listed(const struct tape_function *function, const struct tape_value *in,
                        const struct tape_value *out)
{
	int slot = find_kind(function, TAPE_K_SLOT);
	int list = find_kind(function, TAPE_K_OUT_MECHANISMS);
	if (slot < 0 || list < 0 || out[list].form != TAPE_V_LIST)
		return;
	for (size_t i = 0; i < out[list].count; i++) {
		CK_MECHANISM_TYPE mechanism =
			(CK_MECHANISM_TYPE)tape_value_child(&out[list], i)->number;
		struct listed *listed =
			is_listed(in[slot].number, mechanism) ? NULL : malloc(sizeof(*listed));
		if (listed == NULL)
			continue;
		listed->slot = in[slot].number;
		listed->mechanism = mechanism;
		listed->next = keyed.listed;
		keyed.listed = listed;
	}
}

static uint64_t identify(void *context, uint64_t session, uint64_t object)
{
	return tape_scope_object(context, session, object);
}

static bool has_ended(uint64_t key, unsigned int operations, bool confirmed)
{
	for (const struct ended *e = keyed.ended; e != NULL; e = e->next)
		if (e->key == key && e->operations == operations && e->confirmed == confirmed)
			return true;
	return false;
}

static void note_ended(const struct begun *begun)
{
	struct ended *ended = has_ended(begun->key, begun->operations, begun->confirmed)
	                              ? NULL
	                              : malloc(sizeof(*ended));
	if (ended == NULL)
		return;
	ended->key = begun->key;
	ended->operations = begun->operations;
	ended->confirmed = begun->confirmed;
	ended->next = keyed.ended;
	keyed.ended = ended;
}

static bool is_confirmation(const struct tape_function *function, const struct tape_value *in,
                            CK_RV rv)
{
	int type = find_kind(function, TAPE_K_USER_TYPE);
	return rv == CKR_OK && type >= 0 && in[type].number == CKU_CONTEXT_SPECIFIC &&
	       tape_scope_rows[function - tape_functions].act == TAPE_ACT_LOGS_IN;
}

/* Follow the recorded operations to their ends. */
static void note_operation(struct tape_scopes *behind, const struct tape_scope_call *call)
{
	const struct tape_function *function = call->function;
	unsigned int operations = tape_scope_rows[function - tape_functions].operations;
	uint64_t session = session_of(function, call->in);
	enum keys_act act;
	enum part part = part_of(function, &act);
	struct begun *begun;
	if (is_confirmation(function, call->in, call->rv))
		for (begun = keyed.begun; begun != NULL; begun = begun->next)
			begun->confirmed |= begun->session == session;
	if (call->rv != CKR_OK || (part != PART_BEGIN && part != PART_END))
		return;
	for (begun = keyed.begun; begun != NULL; begun = begun->next)
		if (begun->session == session && (begun->operations == operations ||
		                                  (part == PART_BEGIN && begun->operations == 0)))
			break;
	if (part == PART_END) {
		bool queried = call->in[find_codec(function, TAPE_C_BYTES_AT)].form == TAPE_V_QUERY;
		if (begun == NULL || queried)
			return;
		note_ended(begun);
		begun->operations = 0;
		return;
	}
	if (begun == NULL) {
		begun = malloc(sizeof(*begun));
		if (begun == NULL)
			return;
		begun->session = session;
		begun->next = keyed.begun;
		keyed.begun = begun;
	}
	begun->key = object_of(behind, function, call->in);
	begun->operations = operations;
	begun->confirmed = false;
}

static void allow(const struct allowed *what)
{
	for (const struct allowed *a = keyed.allowed; a != NULL; a = a->next)
		if (a->function == what->function && a->key == what->key &&
		    a->state == what->state && a->inputs == what->inputs &&
		    a->mechanism == what->mechanism)
			return;
	struct allowed *allowed =
		keyed.allowed_count == MAX_ALLOWED ? NULL : malloc(sizeof(*allowed));
	if (allowed == NULL)
		return;
	keyed.allowed_count++;
	*allowed = *what;
	allowed->next = keyed.allowed;
	keyed.allowed = allowed;
}

void keyed_learn(struct tape_scopes *behind, const struct tape_scope_value before[TAPE_SCOPES],
                 const struct tape_scope_call *call)
{
	const struct tape_function *function = call->function;
	const struct tape_value *mechanism = mechanism_of(function, call->in);
	struct allowed allowed = { .function = function };
	enum keys_act act;
	if (keyed.ring == NULL)
		return;
	enum part part =
		call->rv != CKR_OK || mechanism == NULL ? PART_NONE : part_of(function, &act);
	if (part == PART_BEGIN || part == PART_DERIVE) {
		allowed.key = object_of(behind, function, call->in);
		allowed.state =
			tape_scope_key(before, tape_scope_rows[function - tape_functions].reads);
		allowed.mechanism = (CK_MECHANISM_TYPE)mechanism->tag;
		if (part == PART_DERIVE)
			allowed.inputs = agreement_of(behind, function, call->in);
		if (part == PART_BEGIN || allowed.inputs != 0)
			allow(&allowed);
	}
	note_operation(behind, call);
	if (call->rv == CKR_OK)
		note_listed(function, call->in, call->out);
	keyring_learn(keyed.ring, engine.seat, function, call->in, call->out, call->rv, call->line,
	              identify, behind);
}

/* ---- live operations ---------------------------------------------------------------------------------- */

static void forget(struct running *running)
{
	struct running **link = &keyed.running;
	while (*link != NULL && *link != running)
		link = &(*link)->next;
	if (*link != NULL)
		*link = running->next;
	keyed.keys->end(running->operation);
	free(running);
}

/* The operation that the call carries on, if it is one with a key of ours, and the state says that it is. */
static struct running *find_running(const struct tape_function *function,
                                    const struct tape_value *in, uint64_t state)
{
	unsigned int operations = tape_scope_rows[function - tape_functions].operations;
	uint64_t session = session_of(function, in);
	for (struct running *running = keyed.running; running != NULL; running = running->next)
		if (running->session == session && running->operations == operations) {
			if (running->state == state)
				return running;
			forget(running);
			return NULL;
		}
	return NULL;
}

/* The argument's own pointer: what it was captured from. */
static const CK_MECHANISM *mechanism_at(const struct tape_function *function,
                                        const uintptr_t *words)
{
	int i = find_codec(function, TAPE_C_MECHANISM);
	return (const CK_MECHANISM *)words[function->arguments[i].word];
}

static CK_RV begin(struct tape_scopes *live, const struct tape_function *function,
                   const struct tape_value *in, const uintptr_t *words,
                   struct keys_operation **ret_operation, const struct keys_key **ret_key)
{
	enum keys_act act = KEYS_SIGN;
	const struct keys_key *key = find_key(object_of(live, function, in));
	if (key == NULL || mechanism_of(function, in) == NULL)
		return CKR_FUNCTION_NOT_SUPPORTED;
	(void)part_of(function, &act);
	*ret_key = key;
	return keyed.keys->begin(key, act, mechanism_at(function, words), ret_operation);
}

/* Where an input is bytes that are all there. */
static bool take_bytes(const struct tape_function *function, const struct tape_value *in,
                       const void **ret_data, size_t *ret_length)
{
	int i = find_codec(function, TAPE_C_BYTES);
	*ret_data = NULL;
	*ret_length = 0;
	if (i < 0 || in[i].form == TAPE_V_NULL)
		return true;
	*ret_data = in[i].data;
	*ret_length = in[i].length;
	return in[i].form == TAPE_V_BYTES && in[i].stated == 0;
}

static void free_secret(struct secret *secret)
{
	struct secret **link = &keyed.secrets;
	while (*link != secret)
		link = &(*link)->next;
	*link = secret->next;
	keyed.secret_count--;
	tape_arena_done(&secret->arena);
	tape_wipe(secret, sizeof(*secret));
	free(secret);
}

/* New secrets get their identity; those that are no longer there are wiped. */
static void settle_secrets(struct tape_scopes *live, uint64_t session)
{
	struct secret *next;
	for (struct secret *secret = keyed.secrets; secret != NULL; secret = next) {
		next = secret->next;
		if (!tape_scope_object_lives(live, secret->session, secret->handle))
			free_secret(secret);
		else if (secret->identity == 0)
			secret->identity = tape_scope_object(live, session, secret->handle);
	}
}

static void start(struct tape_scopes *live, const struct tape_function *function,
                  const struct tape_value *in, const uintptr_t *words)
{
	struct keys_operation *operation = NULL;
	const struct keys_key *key = NULL;
	if (begin(live, function, in, words, &operation, &key) != CKR_OK)
		return;
	struct running *running = calloc(1, sizeof(*running));
	if (running == NULL) {
		keyed.keys->end(operation);
		return;
	}
	running->began = function;
	running->session = session_of(function, in);
	running->operations = tape_scope_rows[function - tape_functions].operations;
	running->state = state_of(live, function, in, STATE);
	running->key = object_of(live, function, in);
	running->operation = operation;
	running->next = keyed.running;
	keyed.running = running;
}

/* The state of an operation, for calls that are not its own. */
static uint64_t state_of_running(struct tape_scopes *live, const struct running *running)
{
	struct tape_value in[TAPE_MAX_ARGUMENTS] = { 0 };
	in[running->began->lane].form = TAPE_V_NUMBER;
	in[running->began->lane].number = running->session;
	return state_of(live, running->began, in, STATE);
}

/* Of the operations of a session those that still are what they were; with `behind`, confirmed from now on. */
static void confirm(struct tape_scopes *live, uint64_t session, bool behind)
{
	struct running *next;
	for (struct running *running = keyed.running; running != NULL; running = next) {
		next = running->next;
		if (running->session != session)
			continue;
		uint64_t state = state_of_running(live, running);
		if (behind) {
			running->state = state;
			running->confirmed = true;
		} else if (running->state != state) {
			forget(running);
		}
	}
}

uint64_t keyed_before(struct tape_scopes *live, const struct tape_function *function,
                      const struct tape_value *in)
{
	if (keyed.ring == NULL)
		return 0;
	if (is_confirmation(function, in, CKR_OK))
		confirm(live, session_of(function, in), false);
	return state_of(live, function, in, STATE);
}

static void carry_on(struct tape_scopes *live, uint64_t before,
                     const struct tape_function *function, const struct tape_value *in, CK_RV rv,
                     const uintptr_t *words)
{
	struct running *running = NULL;
	enum keys_act act;
	const void *data;
	size_t length;
	enum part part = part_of(function, &act);
	if (part == PART_BEGIN || part == PART_FEED || part == PART_END)
		running = find_running(function, in, before);
	settle_secrets(live, session_of(function, in));
	if (is_confirmation(function, in, rv))
		confirm(live, session_of(function, in), true);
	if (part == PART_BEGIN && rv == CKR_OK) {
		if (running != NULL)
			forget(running);
		start(live, function, in, words);
	} else if (running != NULL && part == PART_FEED) {
		if (rv == CKR_OK && take_bytes(function, in, &data, &length) &&
		    keyed.keys->update(running->operation, data, length) == CKR_OK) {
			running->fed = true;
			running->state = state_of(live, function, in, STATE);
		} else {
			forget(running);
		}
	} else if (running != NULL && part == PART_END &&
	           running->state != state_of(live, function, in, STATE)) {
		forget(running);
	}
}

void keyed_behind(struct tape_scopes *live, uint64_t before, const struct tape_function *function,
                  const struct tape_value *in, CK_RV rv, const uintptr_t *words)
{
	if (keyed.ring == NULL)
		return;
	atomic_store(&keyed.inside, true);
	carry_on(live, before, function, in, rv, words);
	atomic_store(&keyed.inside, false);
}

/* ---- answers -------------------------------------------------------------------------------------------- */

static bool refuse(struct keyed_answer *answer, const char *why)
{
	answer->why = why;
	return false;
}

/*
 * To begin is answered where the recorded module let the same key begin the same in the same state: with this
 * mechanism, or with another one where it lists this one.
 */
static bool answer_begin(struct tape_scopes *live, const struct tape_function *function,
                         const struct tape_value *in, const uintptr_t *words,
                         struct keyed_answer *answer)
{
	const struct tape_value *mechanism = mechanism_of(function, in);
	struct keys_operation *operation = NULL;
	const struct keys_key *key = NULL;
	uint64_t object = object_of(live, function, in);
	if (mechanism == NULL || find_key(object) == NULL)
		return false;
	uint64_t slot;
	bool known = false;
	bool same = false;
	uint64_t state =
		state_of(live, function, in, tape_scope_rows[function - tape_functions].reads);
	for (const struct allowed *a = keyed.allowed; a != NULL && !same; a = a->next)
		if (a->function == function && a->key == object && a->state == state) {
			known = true;
			same = a->mechanism == (CK_MECHANISM_TYPE)mechanism->tag;
		}
	if (!known)
		return refuse(answer, "in this state the key began nothing of the kind when it was "
		                      "recorded");
	if (!same && (!tape_scope_slot(live, session_of(function, in), &slot) ||
	              !is_listed(slot, (CK_MECHANISM_TYPE)mechanism->tag)))
		return refuse(answer, "the trace does not show that the slot has this mechanism");
	if (begin(live, function, in, words, &operation, &key) != CKR_OK)
		return refuse(answer, "the test key cannot do this with this mechanism");
	keyed.keys->end(operation);
	answer->rv = CKR_OK;
	return true;
}

static const char *unconfirmed(const struct running *running)
{
	if (running->confirmed)
		return "in the recording this was not done with the key after C_Login for it "
		       "(CKU_CONTEXT_SPECIFIC)";
	return has_ended(running->key, running->operations, true)
	               ? "in the recording this was done with the key after C_Login for it only "
	                 "(CKU_CONTEXT_SPECIFIC)"
	               : "in the recording this was not done with the key";
}

static bool answer_feed(struct tape_scopes *live, const struct tape_function *function,
                        const struct tape_value *in, struct keyed_answer *answer)
{
	const void *data;
	size_t length;
	struct running *running = find_running(function, in, state_of(live, function, in, STATE));
	if (running == NULL)
		return false;
	if (!has_ended(running->key, running->operations, running->confirmed))
		return refuse(answer, unconfirmed(running));
	if (!take_bytes(function, in, &data, &length) ||
	    keyed.keys->update(running->operation, NULL, 0) != CKR_OK)
		return refuse(answer, "with this mechanism the test key takes no parts");
	/* It is fed when the call has its effect. */
	answer->rv = CKR_OK;
	return true;
}

static bool answer_end(struct tape_scopes *live, const struct tape_function *function,
                       const struct tape_value *in, struct tape_arena *arena,
                       struct keyed_answer *answer)
{
	const void *data;
	size_t length;
	int out = find_codec(function, TAPE_C_BYTES_AT);
	bool whole = find_codec(function, TAPE_C_BYTES) >= 0;
	struct running *running = find_running(function, in, state_of(live, function, in, STATE));
	if (running == NULL)
		return false;
	if (!has_ended(running->key, running->operations, running->confirmed))
		return refuse(answer, unconfirmed(running));
	if ((in[out].form != TAPE_V_ROOM && in[out].form != TAPE_V_QUERY) ||
	    !take_bytes(function, in, &data, &length))
		return refuse(answer, "such arguments are not for a test key");
	/* PKCS#11 3.1 §5.13: all at once, or in parts and at last none. */
	if (whole ? running->fed : keyed.keys->update(running->operation, NULL, 0) != CKR_OK)
		return refuse(answer, "the operation does not go on like this");
	CK_ULONG size = 0;
	CK_RV rv = keyed.keys->finish(running->operation, NULL, 0, NULL, &size);
	unsigned char *bytes = NULL;
	if (rv == CKR_OK && in[out].form == TAPE_V_ROOM) {
		bytes = tape_arena_get(arena, size);
		if (bytes == NULL)
			return refuse(answer, "out of memory");
		if (in[out].number < size)
			size = (CK_ULONG)in[out].number;
		rv = keyed.keys->finish(running->operation, data, length, bytes, &size);
	}
	if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL)
		return refuse(answer, "the test key finds no answer: the data is not right for the "
		                      "mechanism, and what the module says then is not known");
	struct tape_value *value = &answer->out[out];
	value->form = rv == CKR_OK && bytes != NULL ? TAPE_V_BYTES : TAPE_V_LENGTH;
	value->number = size;
	value->length = size;
	value->data = bytes;
	answer->rv = rv;
	return true;
}

/* ---- secrets ---------------------------------------------------------------------------------------------- */

static const struct tape_value *find_entry(const struct tape_value *list, CK_ATTRIBUTE_TYPE type)
{
	const struct tape_value *found = NULL;
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++)
		if (tape_value_child(list, i)->tag == type)
			found = tape_value_child(list, i);
	return found;
}

static bool is_number(const struct tape_value *list, CK_ATTRIBUTE_TYPE type, CK_ULONG *ret_number)
{
	const struct tape_value *entry = find_entry(list, type);
	if (entry == NULL || entry->form != TAPE_V_BYTES || entry->length != sizeof(*ret_number))
		return false;
	memcpy(ret_number, entry->data, sizeof(*ret_number));
	return true;
}

static bool is_bool(const struct tape_value *list, CK_ATTRIBUTE_TYPE type, CK_BBOOL value)
{
	const struct tape_value *entry = find_entry(list, type);
	return entry != NULL && entry->form == TAPE_V_BYTES && entry->length == 1 &&
	       *(const CK_BBOOL *)entry->data == value;
}

static void know(struct secret *secret, CK_ATTRIBUTE_TYPE type, const void *bytes, size_t length)
{
	struct tape_known *known = &secret->attributes[secret->count];
	known->sort = TAPE_KNOWN_VALUE;
	known->value.form = TAPE_V_BYTES;
	known->value.tag = type;
	known->value.length = length;
	known->value.data = tape_arena_copy(&secret->arena, bytes, length);
	if (known->value.data != NULL)
		secret->count++;
}

/* What the template says, and the value, if that may be read. */
static bool describe(struct secret *secret, const struct tape_value *list)
{
	tape_arena_init(&secret->arena, NULL, 0, (size_t)1 << 20);
	secret->attributes =
		tape_arena_array(&secret->arena, list->count + 2, sizeof(*secret->attributes));
	if (secret->attributes == NULL)
		return false;
	memset(secret->attributes, 0, (list->count + 2) * sizeof(*secret->attributes));
	CK_ULONG length = secret->length;
	if (is_bool(list, CKA_SENSITIVE, CK_FALSE) && is_bool(list, CKA_EXTRACTABLE, CK_TRUE))
		know(secret, CKA_VALUE, secret->value, secret->length);
	know(secret, CKA_VALUE_LEN, &length, sizeof(length));
	for (size_t i = 0; i < list->count; i++) {
		const struct tape_value *entry = tape_value_child(list, i);
		if (entry->form == TAPE_V_BYTES && entry->stated == 0 &&
		    entry->tag != CKA_VALUE_LEN && entry->tag != CKA_VALUE)
			know(secret, (CK_ATTRIBUTE_TYPE)entry->tag, entry->data, entry->length);
	}
	return true;
}

/* PKCS#11 3.1 §6.3.17: what is too much is taken from the leading end. */
static bool truncate_secret(struct secret *secret, const struct tape_value *list)
{
	CK_ULONG type;
	CK_ULONG wanted;
	if (!is_number(list, CKA_VALUE_LEN, &wanted))
		return is_number(list, CKA_KEY_TYPE, &type) && type == CKK_GENERIC_SECRET;
	if (wanted == 0 || wanted > secret->length)
		return false;
	memmove(secret->value, secret->value + secret->length - wanted, wanted);
	tape_wipe(secret->value + wanted, secret->length - wanted);
	secret->length = wanted;
	return true;
}

static bool may_agree(struct tape_scopes *live, const struct tape_function *function,
                      const struct tape_value *in, uint64_t object)
{
	uint64_t inputs = agreement_of(live, function, in);
	uint64_t state =
		state_of(live, function, in, tape_scope_rows[function - tape_functions].reads);
	for (const struct allowed *a = keyed.allowed; a != NULL; a = a->next)
		if (a->function == function && a->key == object && a->state == state &&
		    a->inputs == inputs && inputs != 0)
			return true;
	return false;
}

static bool answer_derive(struct tape_scopes *live, const struct tape_function *function,
                          const struct tape_value *in, const uintptr_t *words,
                          struct keyed_answer *answer)
{
	uint64_t object = object_of(live, function, in);
	const struct keys_key *key = find_key(object);
	const struct tape_value *list = &in[find_codec(function, TAPE_C_TEMPLATE)];
	int out = find_kind(function, TAPE_K_OUT_OBJECT);
	CK_ULONG wanted = 0;
	if (key == NULL)
		return false;
	if (!may_agree(live, function, in, object))
		return refuse(answer, "in this state the key agreed on no such secret when it was "
		                      "recorded");
	if (keyed.secret_count == MAX_SECRETS)
		return refuse(answer, "there are too many secrets");
	struct secret *secret = calloc(1, sizeof(*secret));
	if (secret == NULL)
		return refuse(answer, "out of memory");
	secret->next = keyed.secrets;
	keyed.secrets = secret;
	keyed.secret_count++;
	secret->length = sizeof(secret->value);
	(void)is_number(list, CKA_VALUE_LEN, &wanted);
	if (keyed.keys->derive(key, mechanism_at(function, words), wanted, secret->value,
	                       &secret->length) != CKR_OK ||
	    !truncate_secret(secret, list) || !describe(secret, list)) {
		free_secret(secret);
		return refuse(answer, "the test key cannot agree on such a secret");
	}
	secret->session = session_of(function, in);
	secret->handle = loose_fresh_object(secret->session);
	answer->out[out].form = TAPE_V_NUMBER;
	answer->out[out].number = secret->handle;
	answer->rv = CKR_OK;
	return true;
}

static bool answer_read(const struct secret *secret, const struct tape_value *asked,
                        struct tape_arena *arena, struct tape_value *ret_out, CK_RV *ret_rv)
{
	struct tape_codes codes = { 0 };
	unsigned int leeway = 0;
	struct tape_value *list = tape_arena_array(arena, asked->count, sizeof(*list));
	if (asked->form != TAPE_V_LIST || list == NULL)
		return false;
	memset(list, 0, asked->count * sizeof(*list));
	for (size_t i = 0; i < asked->count; i++) {
		const struct tape_value *entry = tape_value_child(asked, i);
		size_t k = 0;
		while (k < secret->count && secret->attributes[k].value.tag != entry->tag)
			k++;
		if (k == secret->count ||
		    !tape_known_answer(&secret->attributes[k], entry, arena, &codes, &list[i]))
			return false;
		list[i].tag = entry->tag;
	}
	ret_out->form = TAPE_V_LIST;
	ret_out->count = asked->count;
	ret_out->data = list;
	*ret_rv = tape_codes_rv(&codes, &leeway);
	return true;
}

/* A call about a secret that a key of ours agreed on: it is read, or destroyed. */
static bool answer_secret(struct tape_scopes *live, const struct tape_function *function,
                          const struct tape_value *in, struct tape_arena *arena,
                          struct keyed_answer *answer)
{
	const struct secret *secret = keyed.secrets;
	uint64_t object = object_of(live, function, in);
	while (secret != NULL && (object == 0 || secret->identity != object))
		secret = secret->next;
	if (secret == NULL)
		return false;
	if ((tape_effects[function - tape_functions].effects & TAPE_EFFECT_DESTROYS) != 0) {
		answer->rv = CKR_OK;
		return true;
	}
	int read = find_kind(function, TAPE_K_READ_TEMPLATE);
	if (read >= 0 && answer_read(secret, &in[read], arena, &answer->out[read], &answer->rv))
		return true;
	return refuse(answer, "of the secret that a test key agreed on this is not known");
}

static bool answer(struct tape_scopes *live, const struct tape_function *function,
                   const struct tape_value *in, const uintptr_t *words, struct tape_arena *arena,
                   struct keyed_answer *ret_answer)
{
	enum keys_act act;
	switch (part_of(function, &act)) {
	case PART_BEGIN:
		return answer_begin(live, function, in, words, ret_answer);
	case PART_FEED:
		return answer_feed(live, function, in, ret_answer);
	case PART_END:
		return answer_end(live, function, in, arena, ret_answer);
	case PART_DERIVE:
		return answer_derive(live, function, in, words, ret_answer);
	case PART_NONE:
		break;
	}
	return answer_secret(live, function, in, arena, ret_answer);
}

bool keyed_answer(struct tape_scopes *live, const struct tape_function *function,
                  const struct tape_value *in, const uintptr_t *words, struct tape_arena *arena,
                  struct keyed_answer *ret_answer)
{
	memset(ret_answer, 0, sizeof(*ret_answer));
	if (keyed.broken)
		return refuse(ret_answer,
		              "the process was forked while another thread used a test key");
	if (keyed.ring == NULL)
		return false;
	atomic_store(&keyed.inside, true);
	bool answered = answer(live, function, in, words, arena, ret_answer);
	atomic_store(&keyed.inside, false);
	return answered;
}
