/* SPDX-License-Identifier: MIT
 *
 * What a replay answers, held against the module itself (docs/replay.md, "Lenient mode"). From a seed: random
 * calls to a token while they are recorded; then the same calls in another order, some of them left out, made
 * twice or with other rooms and templates, to the replayer; and what it answered of these, to the token again.
 * A divergence is permitted and counted, and so is another return code or length where the answer is marked as
 * one that modules differ in (docs/replay.md, "Model mode"); another answer than the token's is not.
 *
 *   property MODULE TOKENS MODE FIRST-SEED COUNT [CALLS]
 *
 * TOKENS is a directory that holds a pristine token with user PIN 1234 in tokens.0, and in which the module
 * works on `tokens`. P11TAPE_TEST_VERBOSE prints each answer.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/scope.h"
#include "core/varies.h"
#include "tests/modes/dice.h"
#include "tests/modes/play.h"

#define MAX_SESSIONS 3
#define MAX_OBJECTS 64
#define MAX_HANDLES 4096
#define MAX_PLAYED 4096

/* In handles before they are given: what a failed call writes is in a trace only where it was not there. */
#define NOTHING ((CK_OBJECT_HANDLE)0xa5a5a5)

/* Which object a handle is: every one has a number of its own, in an attribute that nothing changes. */
struct identity {
	uint64_t handle, object;
};

/* Shared by all processes of a run. */
struct common {
	struct identity identities[MAX_HANDLES]; /* of the recording */
	size_t identity_count;
};

static struct common *common;
static const char *softhsm, *directory;
static bool verbose; /* say each answer */

/* ---- the token ------------------------------------------------------------------------------- */

static CK_FUNCTION_LIST_PTR direct; /* not through the recorder: what the test itself asks */

static void load_direct(const struct play_module *module)
{
	CK_C_GetFunctionList get =
		(CK_C_GetFunctionList)module->functions[TAPE_FN_C_GetFunctionList];
	if (get == NULL || get(&direct) != CKR_OK)
		play_fail("the module has no function list");
}

/* The number of an object; 0 where it cannot be seen. */
static uint64_t identify(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	unsigned char id[16] = { 0 };
	CK_OBJECT_CLASS object_class = 0;
	CK_ATTRIBUTE attributes[] = {
		{ CKA_CLASS, &object_class, sizeof(object_class) },
		{ CKA_ID, id, sizeof(id) },
		{ CKA_APPLICATION, id, sizeof(id) },
	};
	if (direct->C_GetAttributeValue(session, object, attributes, 1) != CKR_OK)
		return 0;
	CK_ATTRIBUTE *name = &attributes[object_class == CKO_DATA ? 2 : 1];
	if (direct->C_GetAttributeValue(session, object, name, 1) != CKR_OK)
		return 0;
	return (uint64_t)(object_class + 1) << 32 | (uint64_t)strtoul((char *)id, NULL, 16);
}

/* Run what is behind it in a process of its own. */
static bool in_child(void)
{
	fflush(NULL);
	pid_t child = fork();
	int status;
	if (child == 0)
		return true;
	if (child < 0 || waitpid(child, &status, 0) != child)
		play_fail("fork: %s", strerror(errno));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		play_fail("a run ended with 0x%x", (unsigned int)status);
	return false;
}

static void restore_token(void)
{
	char command[8192];
	snprintf(command, sizeof(command), "rm -rf '%s/tokens' && cp -a '%s/tokens.0' '%s/tokens'",
	         directory, directory, directory);
	if (in_child()) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(1);
	}
}

/* ---- random calls ---------------------------------------------------------------------------- */

struct random_calls {
	uint64_t dice;
	struct play_module module;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE sessions[MAX_SESSIONS];
	CK_OBJECT_HANDLE objects[MAX_OBJECTS]; /* that were found or made */
	size_t object_count;
	uint64_t next_object;
	unsigned char room[512];
};

#define CALL(name, ...) (((CK_##name)r->module.functions[TAPE_FN_##name])(__VA_ARGS__))

static size_t below(struct random_calls *r, size_t limit)
{
	return roll_below(&r->dice, limit);
}

static void keep_object(struct random_calls *r, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	bool known = false;
	for (size_t i = 0; i < common->identity_count; i++)
		known |= common->identities[i].handle == object;
	if (!known && common->identity_count < MAX_HANDLES)
		common->identities[common->identity_count++] =
			(struct identity){ object, identify(session, object) };
	for (size_t i = 0; i < r->object_count; i++)
		if (r->objects[i] == object)
			return;
	r->objects[r->object_count < MAX_OBJECTS ? r->object_count++ : below(r, MAX_OBJECTS)] =
		object;
}

static CK_SESSION_HANDLE some_session(struct random_calls *r)
{
	size_t i = below(r, MAX_SESSIONS);
	/* Seldom one that is not open. */
	for (size_t j = 0; j < MAX_SESSIONS && r->sessions[i] == 0 && !roll_percent(&r->dice, 3);
	     j++)
		i = (i + 1) % MAX_SESSIONS;
	return r->sessions[i];
}

static CK_OBJECT_HANDLE some_object(struct random_calls *r)
{
	return r->object_count == 0 ? 4711 : r->objects[below(r, r->object_count)];
}

static void open_or_close(struct random_calls *r)
{
	size_t i = below(r, MAX_SESSIONS);
	if (r->sessions[i] != 0 && roll_percent(&r->dice, 60)) {
		CALL(C_CloseSession, r->sessions[i]);
		r->sessions[i] = 0;
	} else if (r->sessions[i] == 0) {
		CK_FLAGS flags =
			CKF_SERIAL_SESSION | (roll_percent(&r->dice, 70) ? CKF_RW_SESSION : 0);
		if (CALL(C_OpenSession, r->slot, flags, NULL, NULL, &r->sessions[i]) != CKR_OK)
			r->sessions[i] = 0;
	}
	if (roll_percent(&r->dice, 3)) {
		CALL(C_CloseAllSessions, r->slot);
		memset(r->sessions, 0, sizeof(r->sessions));
	}
}

static void log_in_or_out(struct random_calls *r)
{
	CK_SESSION_HANDLE session = some_session(r);
	CK_UTF8CHAR pin[] = "1234";
	if (roll_percent(&r->dice, 35)) {
		CALL(C_Logout, session);
	} else {
		if (roll_percent(&r->dice, 10))
			pin[3] = '5';
		CALL(C_Login, session, CKU_USER, pin, 4);
	}
}

static void make_object(struct random_calls *r)
{
	CK_BBOOL yes = CK_TRUE;
	CK_BBOOL token = roll_percent(&r->dice, 50);
	CK_BBOOL hidden = roll_percent(&r->dice, 40);
	CK_BBOOL sensitive = roll_percent(&r->dice, 40);
	CK_BBOOL extractable = roll_percent(&r->dice, 60);
	bool is_key = roll_percent(&r->dice, 50);
	CK_OBJECT_CLASS object_class = is_key ? CKO_SECRET_KEY : CKO_DATA;
	CK_KEY_TYPE type = CKK_AES;
	char name[16];
	char label[] = { (char)('a' + below(r, 4)) };
	unsigned char value[16];
	CK_OBJECT_HANDLE object = NOTHING;
	snprintf(name, sizeof(name), "%08" PRIx64, ++r->next_object);
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = (unsigned char)below(r, 3);
	CK_ATTRIBUTE key[] = {
		{ CKA_CLASS, &object_class, sizeof(object_class) },
		{ CKA_TOKEN, &token, 1 },
		{ CKA_PRIVATE, &hidden, 1 },
		{ CKA_LABEL, label, 1 },
		{ CKA_VALUE, value, sizeof(value) },
		{ CKA_ID, name, 8 },
		{ CKA_KEY_TYPE, &type, sizeof(type) },
		{ CKA_SENSITIVE, &sensitive, 1 },
		{ CKA_EXTRACTABLE, &extractable, 1 },
		{ CKA_ENCRYPT, &yes, 1 },
	};
	CK_ATTRIBUTE data[] = {
		key[0], key[1], key[2], key[3], key[4], { CKA_APPLICATION, name, 8 },
	};
	CK_SESSION_HANDLE session = some_session(r);
	CK_RV rv = is_key ? CALL(C_CreateObject, session, key, TAPE_ARRAY_SIZE(key), &object)
	                  : CALL(C_CreateObject, session, data, TAPE_ARRAY_SIZE(data), &object);
	if (rv == CKR_OK)
		keep_object(r, session, object);
}

static void change_object(struct random_calls *r)
{
	char label[] = { (char)('a' + below(r, 4)) };
	char name[16];
	CK_BBOOL token = roll_percent(&r->dice, 50);
	CK_ATTRIBUTE attributes[] = { { CKA_LABEL, label, 1 },
		                      { CKA_ID, name, 8 },
		                      { CKA_TOKEN, &token, 1 } };
	CK_SESSION_HANDLE session = some_session(r);
	CK_OBJECT_HANDLE object = some_object(r);
	CK_OBJECT_HANDLE copy = NOTHING;
	switch (below(r, 6)) {
	case 0:
		CALL(C_DestroyObject, session, object);
		break;
	case 1:
		/* Of a key: only its copy can be told apart by another ID. */
		if (identify(session, object) >> 32 != CKO_SECRET_KEY + 1)
			break;
		snprintf(name, sizeof(name), "%08" PRIx64, ++r->next_object);
		if (CALL(C_CopyObject, session, object, attributes, 3, &copy) == CKR_OK)
			keep_object(r, session, copy);
		break;
	default:
		CALL(C_SetAttributeValue, session, object, attributes, 1);
		break;
	}
}

static const CK_ATTRIBUTE_TYPE read_types[] = { CKA_CLASS,     CKA_LABEL,       CKA_VALUE,
	                                        CKA_TOKEN,     CKA_PRIVATE,     CKA_ID,
	                                        CKA_SENSITIVE, CKA_EXTRACTABLE, CKA_MODULUS,
	                                        CKA_MODIFIABLE };

static void read_object(struct random_calls *r)
{
	CK_ATTRIBUTE attributes[4];
	size_t count = 1 + below(r, 4);
	/* What a failed call writes is in a trace only where it was not there before. */
	memset(r->room, 0xee, sizeof(r->room));
	for (size_t i = 0; i < count; i++) {
		attributes[i] = (CK_ATTRIBUTE){ read_types[below(r, TAPE_ARRAY_SIZE(read_types))],
			                        r->room + i * 100, 100 };
		if (roll_percent(&r->dice, 30))
			attributes[i].pValue = NULL;
		else if (roll_percent(&r->dice, 20))
			attributes[i].ulValueLen = below(r, 4);
	}
	CALL(C_GetAttributeValue, some_session(r), some_object(r), attributes, count);
}

static void find_objects(struct random_calls *r)
{
	CK_OBJECT_CLASS object_class = roll_percent(&r->dice, 50) ? CKO_SECRET_KEY : CKO_DATA;
	CK_BBOOL token = roll_percent(&r->dice, 50);
	char label[] = { (char)('a' + below(r, 4)) };
	CK_ATTRIBUTE attributes[] = { { CKA_CLASS, &object_class, sizeof(object_class) },
		                      { CKA_LABEL, label, 1 },
		                      { CKA_TOKEN, &token, 1 } };
	CK_SESSION_HANDLE session = some_session(r);
	CK_OBJECT_HANDLE found[100];
	CK_ULONG count = 0;
	size_t first = below(r, 3);
	if (CALL(C_FindObjectsInit, session, attributes + first, below(r, 4 - first)) != CKR_OK)
		return;
	/* All at once, since their order is chance; and once more, which tells that it was all. */
	if (CALL(C_FindObjects, session, found, 100, &count) == CKR_OK)
		for (CK_ULONG i = 0; i < count; i++)
			keep_object(r, session, found[i]);
	if (roll_percent(&r->dice, 70))
		CALL(C_FindObjects, session, found, 100, &count);
	if (roll_percent(&r->dice, 95))
		CALL(C_FindObjectsFinal, session);
}

static void use_key(struct random_calls *r)
{
	CK_MECHANISM sign = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	CK_MECHANISM digest = { CKM_SHA256, NULL, 0 };
	CK_MECHANISM encrypt = { CKM_AES_ECB, NULL, 0 };
	CK_SESSION_HANDLE session = some_session(r);
	CK_BYTE data[16] = { (CK_BYTE)below(r, 3) };
	CK_ULONG length = sizeof(r->room);
	uint64_t what = below(r, 4);
	CK_RV rv = what == 0   ? CALL(C_SignInit, session, &sign, some_object(r))
	           : what == 1 ? CALL(C_EncryptInit, session, &encrypt, some_object(r))
	                       : CALL(C_DigestInit, session, &digest);
	if (rv != CKR_OK && roll_percent(&r->dice, 80))
		return;
	if (what == 3) {
		for (uint64_t i = below(r, 3); i > 0; i--)
			CALL(C_DigestUpdate, session, data, 1 + below(r, 16));
		if (roll_percent(&r->dice, 30))
			CALL(C_DigestFinal, session, NULL, &length);
		length = roll_percent(&r->dice, 20) ? 10 : sizeof(r->room);
		CALL(C_DigestFinal, session, r->room, &length);
		return;
	}
	CK_C_Sign functions[] = {
		(CK_C_Sign)r->module.functions[TAPE_FN_C_Sign],
		(CK_C_Sign)r->module.functions[TAPE_FN_C_Encrypt],
		(CK_C_Sign)r->module.functions[TAPE_FN_C_Digest],
	};
	if (roll_percent(&r->dice, 40))
		functions[what](session, data, sizeof(data), NULL, &length);
	if (roll_percent(&r->dice, 20)) {
		length = 5;
		functions[what](session, data, sizeof(data), r->room, &length);
	}
	length = sizeof(r->room);
	functions[what](session, data, sizeof(data), r->room, &length);
}

static void ask_things(struct random_calls *r)
{
	union {
		CK_TOKEN_INFO token;
		CK_SLOT_INFO slot;
		CK_SESSION_INFO session;
		CK_INFO info;
		CK_MECHANISM_TYPE list[256];
	} room;
	CK_ULONG count = 256;
	memset(&room, 0, sizeof(room));
	switch (below(r, 8)) {
	case 0:
		CALL(C_GetTokenInfo, r->slot, &room.token);
		break;
	case 1:
		CALL(C_GetSlotInfo, r->slot, &room.slot);
		break;
	case 2:
		CALL(C_GetInfo, &room.info);
		break;
	case 3:
		count = roll_percent(&r->dice, 50) ? 256 : 3;
		CALL(C_GetMechanismList, r->slot, roll_percent(&r->dice, 50) ? NULL : room.list,
		     &count);
		break;
	case 4:
		CALL(C_GenerateRandom, some_session(r), r->room, 8);
		break;
	default:
		CALL(C_GetSessionInfo, some_session(r), &room.session);
		break;
	}
}

static void make_random_calls(uint64_t seed, size_t calls)
{
	static struct random_calls all;
	struct random_calls *r = &all;
	struct play_module plain;
	CK_SLOT_ID slots[8];
	CK_ULONG count = TAPE_ARRAY_SIZE(slots);
	r->dice = seed;
	play_load(&r->module, getenv("P11TAPE_RECORDER_SO"));
	play_load(&plain, softhsm);
	load_direct(&plain);
	if (CALL(C_Initialize, NULL) != CKR_OK ||
	    CALL(C_GetSlotList, CK_TRUE, slots, &count) != CKR_OK || count == 0)
		play_fail("the token is not there");
	r->slot = slots[0];
	CALL(C_OpenSession, r->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
	     &r->sessions[0]);
	for (size_t i = 0; i < calls; i++)
		switch (below(r, 16)) {
		case 0:
			open_or_close(r);
			break;
		case 1:
			log_in_or_out(r);
			break;
		case 2:
		case 3:
			make_object(r);
			break;
		case 4:
		case 5:
			change_object(r);
			break;
		case 6:
		case 7:
		case 8:
			find_objects(r);
			break;
		case 9:
		case 10:
			use_key(r);
			break;
		case 11:
			ask_things(r);
			break;
		default:
			read_object(r);
			break;
		}
	exit(0);
}

/* ---- another order --------------------------------------------------------------------------- */

struct list {
	const struct play_call *calls[MAX_PLAYED];
	size_t count;
};

static bool is_read(const struct play_call *call)
{
	return tape_scope_rows[call->function - tape_functions].class == TAPE_CLASS_READ;
}

/* Whether there are rooms, or attributes to be read, that can be other ones. */
static bool can_vary(const struct play_call *call)
{
	for (size_t i = 0; i < call->function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[call->function->arguments[i].kind];
		if (shape->codec == TAPE_C_BYTES_AT ||
		    (shape->codec == TAPE_C_TEMPLATE && (shape->traits & TAPE_T_OUT) != 0))
			return true;
	}
	return false;
}

/* How many calls from here on are one search. */
static size_t search_length(const struct play_trace *trace, size_t at)
{
	size_t end = at;
	if (trace->calls[at].function != &tape_functions[TAPE_FN_C_FindObjectsInit])
		return 1;
	while (end + 1 < trace->count &&
	       (trace->calls[end + 1].function == &tape_functions[TAPE_FN_C_FindObjects] ||
	        trace->calls[end + 1].function == &tape_functions[TAPE_FN_C_FindObjectsFinal]))
		end++;
	return end - at + 1;
}

static void insert(struct list *list, size_t at, const struct play_call *call)
{
	if (list->count == MAX_PLAYED)
		return;
	memmove(list->calls + at + 1, list->calls + at,
	        (list->count - at) * sizeof(list->calls[0]));
	list->calls[at] = call;
	list->count++;
}

/* The same call with other rooms, or with other attributes of the same object: never recorded, perhaps. */
static const struct play_call *vary(struct play_trace *trace, const struct play_call *call,
                                    uint64_t *dice)
{
	struct play_call *other = play_need(tape_arena_array(&trace->arena, 1, sizeof(*other)));
	struct tape_value *in =
		play_need(tape_arena_array(&trace->arena, TAPE_MAX_ARGUMENTS, sizeof(*in)));
	*other = *call;
	memcpy(in, call->in, call->function->count * sizeof(*in));
	other->in = in;
	other->out = NULL;
	for (size_t i = 0; i < call->function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[call->function->arguments[i].kind];
		if (shape->codec == TAPE_C_BYTES_AT &&
		    (in[i].form == TAPE_V_ROOM || in[i].form == TAPE_V_QUERY)) {
			uint64_t rooms[] = { 0, 5, 16, 32, 100, 300 };
			in[i].form = roll_percent(dice, 40) ? TAPE_V_QUERY : TAPE_V_ROOM;
			in[i].number = rooms[roll_below(dice, TAPE_ARRAY_SIZE(rooms))];
			in[i].stated = 0;
		}
		if (shape->codec != TAPE_C_TEMPLATE || (shape->traits & TAPE_T_OUT) == 0 ||
		    in[i].form != TAPE_V_LIST || in[i].count == 0)
			continue;
		size_t count = 1 + roll_below(dice, in[i].count + 1);
		struct tape_value *entries =
			play_need(tape_arena_array(&trace->arena, count, sizeof(*entries)));
		for (size_t j = 0; j < count; j++) {
			entries[j] = *tape_value_child(&in[i], roll_below(dice, in[i].count));
			if (entries[j].form == TAPE_V_LIST || roll_percent(dice, 50))
				continue;
			entries[j].form = roll_percent(dice, 40) ? TAPE_V_QUERY : TAPE_V_ROOM;
			entries[j].number = roll_percent(dice, 70) ? 300 : roll_below(dice, 10);
		}
		in[i].data = entries;
		in[i].count = (uint32_t)count;
	}
	return other;
}

static void reorder(struct play_trace *trace, uint64_t seed, struct list *list)
{
	uint64_t dice = seed ^ UINT64_C(0x5851f42d4c957f2d);
	list->count = 0;
	for (size_t i = 0; i < trace->count && list->count < MAX_PLAYED; i++)
		list->calls[list->count++] = &trace->calls[i];
	/* Leave out, make twice, put elsewhere: a read or a whole search; seldom, anything. */
	for (size_t i = 1; i < trace->count; i += search_length(trace, i)) {
		size_t length = search_length(trace, i);
		bool moves = length > 1 || is_read(&trace->calls[i]);
		bool varies = can_vary(&trace->calls[i]) && roll_percent(&dice, 20);
		uint64_t what = roll_below(&dice, moves ? 100 : 4000);
		if (varies) {
			size_t at = 0;
			while (at < list->count && list->calls[at] != &trace->calls[i])
				at++;
			if (at < list->count)
				insert(list, at + 1 - roll_below(&dice, 2),
				       vary(trace, &trace->calls[i], &dice));
		}
		if (what >= 60)
			continue;
		size_t at = 0;
		while (at < list->count && list->calls[at] != &trace->calls[i])
			at++;
		if (what < 40 && at + length <= list->count) {
			memmove(list->calls + at, list->calls + at + length,
			        (list->count - at - length) * sizeof(list->calls[0]));
			list->count -= length;
		}
		if (what >= 10) {
			size_t to = 1 + roll_below(&dice, list->count);
			for (size_t j = 0; j < length; j++)
				insert(list, to + j, &trace->calls[i + j]);
		}
	}
}

/* ---- handles --------------------------------------------------------------------------------- */

/* In a run: which of its handles stands for a recorded one, and which object it is. */
struct run {
	bool is_live;
	struct play_module module;
	CK_SESSION_HANDLE session; /* of the call: where objects are looked at */
	uint64_t recorded[3][MAX_HANDLES], own[3][MAX_HANDLES];
	size_t counts[3];
	struct identity identities[MAX_HANDLES];
	size_t identity_count;
	bool unknown; /* a handle of the call has not been given out */
};

static size_t kind_index(enum tape_kind kind)
{
	return kind == TAPE_K_SESSION || kind == TAPE_K_OUT_SESSION ? 0
	       : kind == TAPE_K_SLOT                                ? 1
	                                                            : 2;
}

static void bind(struct run *run, enum tape_kind kind, uint64_t recorded, uint64_t own)
{
	size_t index = kind_index(kind);
	size_t i = 0;
	while (i < run->counts[index] && run->recorded[index][i] != recorded)
		i++;
	/* A run makes fewer calls than there is room for handles. */
	if (i >= MAX_HANDLES)
		return;
	run->counts[index] += i == run->counts[index];
	run->recorded[index][i] = recorded;
	run->own[index][i] = own;
	if (verbose && recorded != own)
		printf("  %s: recorded handle %" PRIu64 " is %" PRIu64 "\n",
		       run->is_live ? "the token" : "replayed", recorded, own);
}

static uint64_t own_handle(void *context, enum tape_kind kind, uint64_t recorded)
{
	struct run *run = context;
	size_t index = kind_index(kind);
	/* Slots stay; what never was a handle is none. */
	if (index == 1 || recorded == 0 || (index == 2 && recorded == 4711))
		return recorded;
	for (size_t i = 0; i < run->counts[index]; i++)
		if (run->recorded[index][i] == recorded)
			return run->own[index][i];
	run->unknown = true;
	return recorded;
}

static uint64_t object_of(const struct identity *identities, size_t count, uint64_t handle)
{
	for (size_t i = 0; i < count; i++)
		if (identities[i].handle == handle)
			return identities[i].object;
	return 0;
}

/* Which object a handle is that the run was given. */
static uint64_t own_object(struct run *run, uint64_t handle)
{
	if (!run->is_live)
		return object_of(common->identities, common->identity_count, handle);
	uint64_t object = object_of(run->identities, run->identity_count, handle);
	if (object == 0) {
		object = identify(run->session, (CK_OBJECT_HANDLE)handle);
		if (run->identity_count < MAX_HANDLES)
			run->identities[run->identity_count++] =
				(struct identity){ handle, object };
	}
	return object;
}

static int by_number(const void *a, const void *b)
{
	const struct tape_value *left = a;
	const struct tape_value *right = b;
	return (left->number > right->number) - (left->number < right->number);
}

/* Bind the recorded handle of the same object; and say which object it is instead of its handle. */
static void answered_object(struct run *run, const struct tape_value *recorded,
                            struct tape_value *value)
{
	uint64_t object = own_object(run, value->number);
	size_t count = recorded == NULL ? 0 : recorded->form == TAPE_V_LIST ? recorded->count : 1;
	for (size_t i = 0; i < count; i++) {
		uint64_t handle = recorded->form == TAPE_V_LIST
		                          ? tape_value_child(recorded, i)->number
		                          : recorded->number;
		if (object_of(common->identities, common->identity_count, handle) == object)
			bind(run, TAPE_K_OBJECT, handle, value->number);
	}
	value->number = object;
}

/* What is of the moment is nobody's promise. */
static void blank(struct tape_value *value)
{
	if (value->form == TAPE_V_RECORD && value->record != TAPE_R_NONE)
		for (size_t i = 0; i < value->count; i++)
			if (tape_varies_field((enum tape_record_id)value->record,
			                      &tape_fields[tape_records[value->record].first + i]))
				((struct tape_value *)(uintptr_t)value->data)[i].form =
					TAPE_V_ABSENT;
}

static void answered(void *context, const struct play_call *call, CK_RV rv, struct tape_value *out)
{
	struct run *run = context;
	for (size_t i = 0; i < call->function->count; i++) {
		enum tape_kind kind = (enum tape_kind)call->function->arguments[i].kind;
		const struct tape_value *recorded = call->out == NULL ? NULL : &call->out[i];
		blank(&out[i]);
		if (kind == TAPE_K_OUT_RANDOM && out[i].form == TAPE_V_BYTES)
			out[i].form = TAPE_V_ABSENT;
		if (rv != CKR_OK)
			continue;
		if (kind == TAPE_K_OUT_SESSION && out[i].form == TAPE_V_NUMBER) {
			if (recorded != NULL && recorded->form == TAPE_V_NUMBER)
				bind(run, kind, recorded->number, out[i].number);
			out[i].number = 1;
		}
		if (kind == TAPE_K_OUT_OBJECT && out[i].form == TAPE_V_NUMBER)
			answered_object(run, recorded, &out[i]);
		if (kind != TAPE_K_OUT_OBJECTS || out[i].form != TAPE_V_LIST)
			continue;
		struct tape_value *list = (struct tape_value *)(uintptr_t)out[i].data;
		for (size_t j = 0; j < out[i].count; j++)
			answered_object(run, recorded, &list[j]);
		qsort(list, out[i].count, sizeof(*list), by_number);
	}
}

/* Whether all handles of a call have been given out in this run. */
static bool is_possible(struct run *run, const struct play_call *call)
{
	run->unknown = false;
	for (size_t i = 0; i < call->function->count; i++) {
		enum tape_kind kind = (enum tape_kind)call->function->arguments[i].kind;
		uint64_t own = 0;
		if (kind == TAPE_K_SESSION || kind == TAPE_K_OBJECT)
			own = own_handle(run, kind, call->in[i].number);
		if (kind == TAPE_K_SESSION)
			run->session = (CK_SESSION_HANDLE)own;
	}
	return !run->unknown;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void make_calls(const struct list *list, const struct play_answers *only, const char *trace,
                       const char *mode, const char *report, struct play_answers *answers)
{
	static struct run run;
	struct play_handles handles = { own_handle, answered, &run };
	run.is_live = only != NULL;
	if (run.is_live) {
		play_load(&run.module, softhsm);
		load_direct(&run.module);
	} else {
		if (freopen("/dev/null", "w", stderr) == NULL)
			_exit(1);
		play_load_replayer(&run.module, trace, mode, report);
	}
	for (size_t i = 0; i < list->count; i++) {
		alarm(20);
		/* What the replay did not serve the program was not given: it did not happen. */
		if (only != NULL && (!only->answers[i].called || only->answers[i].diverged))
			continue;
		if (is_possible(&run, list->calls[i]))
			play_call(&run.module, list->calls[i], &handles, answers, i);
	}
	exit(0);
}

struct counts {
	uint64_t called, served, diverged, marked, wrong;
};

static void compare(uint64_t seed, const char *mode, const struct list *list,
                    const struct play_answers *replayed, const struct play_answers *live,
                    struct counts *counts)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct play_answer *one = &replayed->answers[i];
		const struct play_answer *two = &live->answers[i];
		const struct play_call *call = list->calls[i];
		if (!one->called)
			continue;
		if (verbose)
			printf("%zu: %s (line %zu%s): %s 0x%lx %s\n", i, call->function->name.text,
			       call->line, call->out == NULL ? ", varied" : "",
			       one->diverged ? "diverged" : "served", one->rv,
			       play_said(replayed, i));
		counts->called++;
		counts->diverged += one->diverged;
		counts->served += !one->diverged;
		counts->marked += one->other_rv || one->other_length;
		if (one->diverged || !two->called ||
		    ((one->rv == two->rv || one->other_rv) &&
		     (strcmp(play_said(replayed, i), play_said(live, i)) == 0 ||
		      one->other_length)))
			continue;
		counts->wrong++;
		printf("WRONG: seed %" PRIu64 ", mode %s, call %zu%s: %s (line %zu)\n"
		       "  replayed: 0x%lx %s\n  the token: 0x%lx %s\n",
		       seed, mode, i, call->out == NULL ? " (varied)" : "",
		       call->function->name.text, call->line, one->rv, play_said(replayed, i),
		       two->rv, play_said(live, i));
		/* What comes behind it may be wrong for this reason only. */
		return;
	}
}

static void try(uint64_t seed, size_t calls, const char *mode, struct counts *counts)
{
	static struct list list;
	static struct play_answers *replayed, *live;
	char trace_path[4096];
	char report[4096];
	struct play_trace trace;
	if (replayed == NULL) {
		replayed = play_new_answers(MAX_PLAYED);
		live = play_new_answers(MAX_PLAYED);
	}
	memset(replayed->answers, 0, MAX_PLAYED * sizeof(replayed->answers[0]));
	memset(live->answers, 0, MAX_PLAYED * sizeof(live->answers[0]));
	replayed->said = live->said = 0;
	common->identity_count = 0;
	snprintf(trace_path, sizeof(trace_path), "%s/t.yaml", directory);
	snprintf(report, sizeof(report), "%s/report.json", directory);
	unlink(trace_path);
	restore_token();
	if (in_child()) {
		setenv("P11TAPE_MODULE", softhsm, 1);
		setenv("P11TAPE_TRACE", trace_path, 1);
		setenv("P11TAPE_REDACT", "none", 1);
		make_random_calls(seed, calls);
	}
	play_read(&trace, trace_path);
	reorder(&trace, seed, &list);
	if (in_child())
		make_calls(&list, NULL, trace_path, mode, report, replayed);
	restore_token();
	if (in_child())
		make_calls(&list, replayed, NULL, NULL, NULL, live);
	compare(seed, mode, &list, replayed, live, counts);
	tape_reader_close(trace.reader);
	tape_arena_done(&trace.arena);
	free(trace.items);
	free(trace.calls);
}

int main(int argc, char **argv)
{
	struct counts counts = { 0 };
	if (argc < 6)
		play_fail("usage: %s MODULE TOKENS MODE FIRST-SEED COUNT [CALLS]", argv[0]);
	softhsm = argv[1];
	directory = argv[2];
	uint64_t first = strtoull(argv[4], NULL, 10);
	uint64_t count = strtoull(argv[5], NULL, 10);
	verbose = getenv("P11TAPE_TEST_VERBOSE") != NULL;
	size_t calls = argc > 6 ? strtoul(argv[6], NULL, 10) : 150;
	common = mmap(NULL, sizeof(*common), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	if (common == MAP_FAILED)
		play_fail("out of memory");
	for (uint64_t seed = first; seed < first + count; seed++)
		try(seed, calls, argv[3], &counts);
	printf("mode %s, seeds %" PRIu64 " to %" PRIu64 ": %" PRIu64 " calls, %" PRIu64
	       " served, %" PRIu64 " divergences, %" PRIu64 " marked, %" PRIu64 " wrong\n",
	       argv[3], first, first + count - 1, counts.called, counts.served, counts.diverged,
	       counts.marked, counts.wrong);
	return counts.wrong == 0 ? 0 : 1;
}
