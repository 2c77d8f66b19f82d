/* SPDX-License-Identifier: MIT
 *
 * What is derived of a module's answers, held against that module: its objects are read one attribute at a
 * time and all at once, searched, and used; then any other templates, searches and buffers come, to the
 * facts and to the module, call by call.
 *
 *   model MODULE SLOT PIN [SEED [ROUNDS]]
 *
 * Values, lengths and return values must be equal, but for what is marked: a return code of several that
 * apply, a length that may be larger. Prints how many calls were compared; exit status 1 if one differs.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/answer.h"
#include "core/call.h"
#include "core/capture.h"
#include "replayer/facts.h"
#include "tests/unit/support/object.h"

#define MAX_OBJECTS 16
#define MAX_VALUE 4096

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session;
static struct guard guard;
static struct tape_arena arena;
static struct dice dice;
static size_t failures;

/* Two stores, for what was read in two ways, and what they could answer. */
static struct {
	const char *name;
	struct facts facts;
	size_t asked, answered, marked;
} ways[2] = { { .name = "one at a time" }, { .name = "all at once" } };

static void complain(const char *what, const char *how, CK_RV model, CK_RV live)
{
	failures++;
	fprintf(stderr, "%s, %s: the model says 0x%lx, the module 0x%lx\n", what, how,
	        (unsigned long)model, (unsigned long)live);
}

static void must(CK_RV rv, const char *what)
{
	if (rv == CKR_OK)
		return;
	fprintf(stderr, "%s: 0x%lx\n", what, (unsigned long)rv);
	exit(2);
}

/* ---- calls by their rows --------------------------------------------------------------------- */

struct one_call {
	const struct tape_function *function;
	uintptr_t words[TAPE_MAX_WORDS];
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
	CK_RV rv;
};

static void capture(struct one_call *call)
{
	struct tape_capture capture = { .arena = &arena, .snapshot = true };
	tape_capture_in(&capture, call->function, call->words, call->in);
}

static void issue(struct one_call *call)
{
	struct tape_capture capture = { .arena = &arena, .snapshot = true };
	const size_t id = (size_t)(call->function - tape_functions);
	tape_any_fn function;
	memcpy(&function,
	       (const char *)p11 + offsetof(CK_FUNCTION_LIST, C_Initialize) + id * sizeof(function),
	       sizeof(function));
	call->rv = tape_call(function, (enum tape_function_id)id, call->words);
	tape_capture_out(&capture, call->function, call->words, call->in, call->rv, call->out);
}

#define CALL(name, ...)                                                                 \
	(struct one_call)                                                               \
	{                                                                               \
		.function = &tape_functions[TAPE_FN_C_##name], .words = { __VA_ARGS__ } \
	}

static void learn(struct facts *facts, const struct facts_moment *moment,
                  const struct one_call *call)
{
	facts_learn(facts, moment, call->function, call->in, call->out, call->rv);
}

/* ---- objects --------------------------------------------------------------------------------- */

static struct {
	CK_OBJECT_HANDLE handle;
	CK_ULONG lengths
		[512]; /* of the attributes, by their row; CK_UNAVAILABLE_INFORMATION for none */
} objects[MAX_OBJECTS];
static size_t object_count;

static void add_object(CK_OBJECT_HANDLE handle)
{
	objects[object_count++].handle = handle;
}

static void make_objects(void)
{
	static CK_BBOOL yes = CK_TRUE;
	static CK_BBOOL no = CK_FALSE;
	static CK_OBJECT_CLASS data = CKO_DATA;
	static CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
	static CK_KEY_TYPE aes = CKK_AES;
	static CK_ULONG bits = 2048;
	static CK_ULONG length = 16;
	static unsigned char value[16] = "0123456789abcdef";
	CK_MECHANISM pair = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	CK_MECHANISM key = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_ATTRIBUTE of_data[] = {
		{ CKA_CLASS, &data, sizeof(data) },
		{ CKA_TOKEN, &no, 1 },
		{ CKA_PRIVATE, &no, 1 },
		{ CKA_LABEL, value, 1 },
		{ CKA_VALUE, value, sizeof(value) },
		{ CKA_APPLICATION, value, 0 },
	};
	CK_ATTRIBUTE of_open[] = {
		{ CKA_CLASS, &secret, sizeof(secret) },
		{ CKA_KEY_TYPE, &aes, sizeof(aes) },
		{ CKA_TOKEN, &no, 1 },
		{ CKA_PRIVATE, &no, 1 },
		{ CKA_SENSITIVE, &no, 1 },
		{ CKA_EXTRACTABLE, &yes, 1 },
		{ CKA_ENCRYPT, &yes, 1 },
		{ CKA_DECRYPT, &yes, 1 },
		{ CKA_LABEL, value, 3 },
		{ CKA_VALUE, value, sizeof(value) },
	};
	CK_ATTRIBUTE of_closed[] = {
		{ CKA_TOKEN, &no, 1 },       { CKA_SENSITIVE, &yes, 1 },
		{ CKA_LABEL, value, 3 },     { CKA_VALUE_LEN, &length, sizeof(length) },
		{ CKA_EXTRACTABLE, &no, 1 },
	};
	CK_ATTRIBUTE of_public[] = {
		{ CKA_TOKEN, &no, 1 },
		{ CKA_MODULUS_BITS, &bits, sizeof(bits) },
		{ CKA_LABEL, value, 5 },
	};
	CK_ATTRIBUTE of_private[] = { { CKA_TOKEN, &no, 1 },
		                      { CKA_SIGN, &yes, 1 },
		                      { CKA_LABEL, value, 5 } };
	CK_OBJECT_HANDLE first;
	CK_OBJECT_HANDLE second;
	for (CK_ULONG i = 1; i <= 3; i++) {
		of_data[3].ulValueLen = i;
		must(p11->C_CreateObject(session, of_data, TAPE_ARRAY_SIZE(of_data), &first),
		     "C_CreateObject, data");
		add_object(first);
	}
	must(p11->C_CreateObject(session, of_open, TAPE_ARRAY_SIZE(of_open), &first),
	     "C_CreateObject, a key");
	add_object(first);
	must(p11->C_GenerateKey(session, &key, of_closed, TAPE_ARRAY_SIZE(of_closed), &first),
	     "C_GenerateKey");
	add_object(first);
	must(p11->C_GenerateKeyPair(session, &pair, of_public, TAPE_ARRAY_SIZE(of_public),
	                            of_private, TAPE_ARRAY_SIZE(of_private), &first, &second),
	     "C_GenerateKeyPair");
	add_object(first);
	add_object(second);
}

static struct facts_moment moment_of(size_t object)
{
	return (struct facts_moment){ .object = objects[object].handle };
}

/* The attributes that are read: those with a name. */
static bool is_read(size_t row)
{
	return tape_attribute_find(tape_attributes[row].value) == &tape_attributes[row];
}

/* Every attribute by itself: how long it is, then what. */
static void read_one_by_one(size_t object)
{
	static unsigned char value[MAX_VALUE];
	const struct facts_moment moment = moment_of(object);
	for (size_t i = 0; i < tape_attribute_count; i++) {
		if (!is_read(i))
			continue;
		CK_ATTRIBUTE one = { (CK_ATTRIBUTE_TYPE)tape_attributes[i].value, NULL, 0 };
		tape_arena_reset(&arena);
		for (int turn = 0; turn < 2; turn++) {
			struct one_call call = CALL(GetAttributeValue, session,
			                            objects[object].handle, (uintptr_t)&one, 1);
			if (turn == 1 && tape_attributes[i].type == TAPE_A_TEMPLATE)
				break;
			capture(&call);
			issue(&call);
			learn(&ways[0].facts, &moment, &call);
			if (turn == 0)
				objects[object].lengths[i] = one.ulValueLen;
			if (one.ulValueLen > MAX_VALUE)
				break;
			one.pValue = value;
			memset(value, 0x5a, sizeof(value));
		}
	}
}

/* All of them in one call, and those that it has in another one. */
static void read_at_once(size_t object)
{
	const struct facts_moment moment = moment_of(object);
	static CK_ATTRIBUTE list[512];
	CK_ULONG count = 0;
	tape_arena_reset(&arena);
	guard_reset(&guard);
	for (size_t i = 0; i < tape_attribute_count; i++)
		if (is_read(i))
			list[count++] = (CK_ATTRIBUTE){ (CK_ATTRIBUTE_TYPE)tape_attributes[i].value,
				                        NULL, 0 };
	for (int turn = 0; turn < 2; turn++) {
		struct one_call call = CALL(GetAttributeValue, session, objects[object].handle,
		                            (uintptr_t)list, count);
		capture(&call);
		issue(&call);
		learn(&ways[1].facts, &moment, &call);
		size_t kept = 0;
		for (size_t i = 0; i < count && turn == 0; i++) {
			const struct tape_attribute *row = tape_attribute_find(list[i].type);
			if (list[i].ulValueLen > MAX_VALUE || row->type == TAPE_A_TEMPLATE)
				continue;
			list[kept] = list[i];
			list[kept].pValue = guard_get(&guard, list[i].ulValueLen);
			memset(list[kept].pValue, 0x5a, list[kept].ulValueLen);
			kept++;
		}
		count = kept;
	}
}

/* Any attributes in any order, some of them twice, with all rooms; mostly those that the object has. */
static CK_ULONG any_template(size_t object, CK_ATTRIBUTE *list, CK_ULONG most)
{
	const CK_ULONG count = 1 + dice_pick(&dice, most);
	for (CK_ULONG i = 0; i < count;) {
		const size_t row = dice_pick(&dice, tape_attribute_count);
		CK_ULONG length = objects[object].lengths[row];
		bool has = length != CK_UNAVAILABLE_INFORMATION;
		if (!is_read(row) || (!has && dice_pick(&dice, 12) != 0))
			continue;
		list[i] = (CK_ATTRIBUTE){ (CK_ATTRIBUTE_TYPE)tape_attributes[row].value, NULL,
			                  (CK_ULONG)dice_roll(&dice) };
		if (tape_attributes[row].type != TAPE_A_TEMPLATE && dice_pick(&dice, 4) != 0) {
			static const int steps[] = { 0, 0, 0, 1, 100, -1 };
			const int step = steps[dice_pick(&dice, TAPE_ARRAY_SIZE(steps))];
			length = has ? length : 8;
			length += step < 0 && length == 0 ? 0 : (CK_ULONG)(long)step;
			list[i].ulValueLen = length;
			list[i].pValue = guard_get(&guard, length);
			memset(list[i].pValue, 0xc3, length);
		}
		i++;
	}
	return count;
}

static void compare_template(size_t object)
{
	CK_ATTRIBUTE list[24];
	const struct facts_moment moment = moment_of(object);
	guard_reset(&guard);
	tape_arena_reset(&arena);
	const CK_ULONG count = any_template(object, list, dice_pick(&dice, 3) ? 24 : 3);
	CK_ATTRIBUTE *module = object_copy_template(&guard, list, count);
	struct one_call real =
		CALL(GetAttributeValue, session, objects[object].handle, (uintptr_t)module, count);
	capture(&real);
	issue(&real);
	for (size_t w = 0; w < TAPE_ARRAY_SIZE(ways); w++) {
		struct facts_answer answer;
		CK_ATTRIBUTE *model = object_copy_template(&guard, list, count);
		struct one_call live = CALL(GetAttributeValue, session, objects[object].handle,
		                            (uintptr_t)model, count);
		capture(&live);
		ways[w].asked++;
		if (!facts_answer(&ways[w].facts, &moment, live.function, live.in, &arena, &answer))
			continue;
		ways[w].answered++;
		tape_answer(NULL, live.function, live.words, live.in, answer.derived.out);
		const bool marked = (answer.derived.leeway & TAPE_LEEWAY_CODE) != 0;
		ways[w].marked += marked;
		if (!object_same_template(model, module, count) ||
		    (answer.derived.rv != real.rv &&
		     (!marked || real.rv == CKR_OK || answer.derived.rv == CKR_OK)))
			complain("a template", ways[w].name, answer.derived.rv, real.rv);
	}
}

/* ---- searches -------------------------------------------------------------------------------- */

static uint64_t as_it_is(void *context, uint64_t of_session, uint64_t handle)
{
	(void)context;
	(void)of_session;
	return handle;
}

static bool find_it(void *context, uint64_t identity, uint64_t *ret_handle)
{
	(void)context;
	*ret_handle = identity;
	return true;
}

static const struct facts_handles handles = { as_it_is, find_it, as_it_is, NULL };

#define MAX_FOUND 256

/* Search, one call after another. Returns how many were found. */
static size_t search(CK_ATTRIBUTE *list, CK_ULONG count, CK_OBJECT_HANDLE *found, bool learns)
{
	const struct facts_moment moment = { .session = session, .set = 1, .handles = &handles };
	struct one_call call = CALL(FindObjectsInit, session, (uintptr_t)list, count);
	size_t total = 0;
	CK_ULONG given = 0;
	capture(&call);
	issue(&call);
	must(call.rv, "C_FindObjectsInit");
	for (size_t w = 0; learns && w < TAPE_ARRAY_SIZE(ways); w++)
		learn(&ways[w].facts, &moment, &call);
	do {
		call = CALL(FindObjects, session, (uintptr_t)(found + total),
		            1 + dice_pick(&dice, 7), (uintptr_t)&given);
		capture(&call);
		issue(&call);
		must(call.rv, "C_FindObjects");
		for (size_t w = 0; learns && w < TAPE_ARRAY_SIZE(ways); w++)
			learn(&ways[w].facts, &moment, &call);
		total += given;
	} while (given != 0 && total + 8 < MAX_FOUND);
	must(p11->C_FindObjectsFinal(session), "C_FindObjectsFinal");
	return total;
}

/* The same from the facts. Returns false where they do not tell. */
static bool search_facts(struct facts *facts, CK_ATTRIBUTE *list, CK_ULONG count,
                         CK_OBJECT_HANDLE *found, size_t *ret_total)
{
	struct facts_moment moment = { .session = session, .set = 1, .handles = &handles };
	struct one_call call = CALL(FindObjectsInit, session, (uintptr_t)list, count);
	struct facts_answer answer;
	CK_ULONG given = 0;
	*ret_total = 0;
	capture(&call);
	if (!facts_answer(facts, &moment, call.function, call.in, &arena, &answer))
		return false;
	facts_served(facts, &moment, call.function, call.in, answer.derived.out, CKR_OK);
	moment.searches = true;
	do {
		call = CALL(FindObjects, session, (uintptr_t)(found + *ret_total),
		            1 + dice_pick(&dice, 7), (uintptr_t)&given);
		capture(&call);
		if (!facts_answer(facts, &moment, call.function, call.in, &arena, &answer)) {
			complain("a search", "which cannot be gone on with", 1, 0);
			return false;
		}
		tape_answer(NULL, call.function, call.words, call.in, answer.derived.out);
		facts_served(facts, &moment, call.function, call.in, answer.derived.out, CKR_OK);
		*ret_total += given;
	} while (given != 0);
	return true;
}

static int compare_handles(const void *a, const void *b)
{
	const CK_OBJECT_HANDLE first = *(const CK_OBJECT_HANDLE *)a;
	const CK_OBJECT_HANDLE second = *(const CK_OBJECT_HANDLE *)b;
	return (first > second) - (first < second);
}

/* Attributes of one of the objects, and now and then of another one. */
static void compare_search(void)
{
	static unsigned char values[3][MAX_VALUE];
	static CK_OBJECT_HANDLE live[MAX_FOUND];
	static CK_OBJECT_HANDLE model[MAX_FOUND];
	CK_ATTRIBUTE list[3];
	CK_ULONG count = 0;
	size_t total;
	size_t object = dice_pick(&dice, object_count);
	tape_arena_reset(&arena);
	for (CK_ULONG wanted = dice_pick(&dice, 4); count < wanted;) {
		const size_t row = dice_pick(&dice, tape_attribute_count);
		CK_ATTRIBUTE *one = &list[count];
		if (dice_pick(&dice, 20) == 0)
			object = dice_pick(&dice, object_count);
		if (!is_read(row) || objects[object].lengths[row] > MAX_VALUE ||
		    tape_attributes[row].type == TAPE_A_TEMPLATE)
			continue;
		*one = (CK_ATTRIBUTE){ (CK_ATTRIBUTE_TYPE)tape_attributes[row].value, values[count],
			               MAX_VALUE };
		if (p11->C_GetAttributeValue(session, objects[object].handle, one, 1) == CKR_OK)
			count++;
	}
	const size_t found = search(list, count, live, false);
	qsort(live, found, sizeof(*live), compare_handles);
	for (size_t w = 0; w < TAPE_ARRAY_SIZE(ways); w++) {
		ways[w].asked++;
		if (!search_facts(&ways[w].facts, list, count, model, &total))
			continue;
		ways[w].answered++;
		qsort(model, total, sizeof(*model), compare_handles);
		if (total == found && memcmp(live, model, found * sizeof(*live)) == 0)
			continue;
		complain("a search", ways[w].name, total, found);
		for (CK_ULONG i = 0; i < count; i++)
			fprintf(stderr, "\t%s, %lu bytes\n",
			        tape_attribute_find(list[i].type)->name.text,
			        (unsigned long)list[i].ulValueLen);
	}
}

/* ---- buffers --------------------------------------------------------------------------------- */

static struct {
	size_t asked, answered, marked;
} buffers;

/* An operation with one output, as often as one wants it. */
struct use {
	const char *name;
	CK_RV (*begin)(void); /* NULL where nothing begins it */
	struct one_call call;
	size_t which, unit; /* the output */
};

static unsigned char text[48] = "what is signed, encrypted and digested here ...";
static CK_OBJECT_HANDLE open_key;
static CK_OBJECT_HANDLE private_key;

static CK_RV begin_sign(void)
{
	CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	return p11->C_SignInit(session, &mechanism, private_key);
}

static CK_RV begin_encrypt(void)
{
	static unsigned char iv[16];
	CK_MECHANISM mechanism = { CKM_AES_CBC_PAD, iv, sizeof(iv) };
	return p11->C_EncryptInit(session, &mechanism, open_key);
}

static CK_RV begin_digest(void)
{
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	return p11->C_DigestInit(session, &mechanism);
}

static void offer(struct one_call *call, const struct use *use, CK_ULONG *length, CK_ULONG room,
                  bool asks)
{
	const uint8_t word = call->function->arguments[use->which].word;
	unsigned char *memory = asks ? NULL : guard_get(&guard, room * use->unit);
	*length = room;
	if (memory != NULL)
		memset(memory, 0xc3, room * use->unit);
	call->words[word] = (uintptr_t)memory;
	call->words[word + 1] = (uintptr_t)length;
	capture(call);
}

/* Whether the operation goes on: it then gives all of its output. */
static bool goes_on(const struct use *use, CK_ULONG whole)
{
	struct one_call call = use->call;
	CK_ULONG length;
	offer(&call, use, &length, whole + 100, false);
	issue(&call);
	return call.rv == CKR_OK;
}

static void compare_use(const struct use *use)
{
	struct one_call recorded = use->call;
	CK_ULONG whole;
	CK_ULONG length;
	guard_reset(&guard);
	tape_arena_reset(&arena);
	if (use->begin != NULL)
		must(use->begin(), use->name);
	offer(&recorded, use, &whole, 4096, false);
	issue(&recorded);
	must(recorded.rv, use->name);
	/* Recorded once more, another way: what follows is known to be no less than the output. */
	CK_ULONG rooms[] = { 0, 1, whole - 1, whole, whole + 1, 5000 };
	CK_ULONG recorded_room = rooms[dice_pick(&dice, TAPE_ARRAY_SIZE(rooms))];
	bool recorded_asks = dice_pick(&dice, 4) == 0;
	recorded = use->call;
	if (use->begin != NULL)
		must(use->begin(), use->name);
	offer(&recorded, use, &length, recorded_room, recorded_asks);
	issue(&recorded);
	if (use->begin != NULL && !tape_call_steps(recorded.function, recorded.in, recorded.rv) &&
	    !goes_on(use, whole))
		complain(use->name, "which should go on", 0, 1);

	for (size_t i = 0; i <= TAPE_ARRAY_SIZE(rooms); i++) {
		const bool asks = i == TAPE_ARRAY_SIZE(rooms);
		const CK_ULONG room = asks ? 0 : rooms[i];
		CK_ULONG live_length;
		CK_ULONG model_length;
		struct one_call live = use->call;
		struct one_call model = use->call;
		struct tape_derived derived;
		if (use->begin != NULL)
			must(use->begin(), use->name);
		offer(&live, use, &live_length, room, asks);
		issue(&live);
		offer(&model, use, &model_length, room, asks);
		const bool derives = tape_derive(&arena, recorded.function, recorded.in,
		                                 recorded.out, recorded.rv, model.in, &derived);
		buffers.asked++;
		if (derives) {
			buffers.answered++;
			buffers.marked += derived.leeway != 0;
			tape_answer(NULL, model.function, model.words, model.in, derived.out);
			const uint8_t word = model.function->arguments[use->which].word;
			if (derived.rv != live.rv && (derived.leeway & TAPE_LEEWAY_CODE) == 0)
				complain(use->name, "return value", derived.rv, live.rv);
			else if (derived.rv == live.rv && model_length != live_length &&
			         ((derived.leeway & TAPE_LEEWAY_LENGTH) == 0 ||
			          live_length < model_length))
				complain(use->name, "length", model_length, live_length);
			else if (derived.rv == live.rv && !asks && derived.rv == CKR_OK &&
			         memcmp((void *)model.words[word], (void *)live.words[word],
			                room * use->unit) != 0)
				complain(use->name, "contents", 0, 0);
			if (derived.rv == live.rv && use->begin != NULL &&
			    derived.steps == goes_on(use, whole))
				complain(use->name, "what becomes of the operation", derived.steps,
				         0);
		} else if (use->begin != NULL &&
		           !tape_call_steps(live.function, live.in, live.rv)) {
			goes_on(use, whole);
		}
	}
}

static void compare_buffers(size_t rounds)
{
	const struct use uses[] = {
		{ "C_Sign", begin_sign, CALL(Sign, session, (uintptr_t)text, sizeof(text), 0, 0), 2,
		  1 },
		{ "C_Encrypt", begin_encrypt,
		  CALL(Encrypt, session, (uintptr_t)text, sizeof(text), 0, 0), 2, 1 },
		{ "C_Digest", begin_digest,
		  CALL(Digest, session, (uintptr_t)text, sizeof(text), 0, 0), 2, 1 },
		{ "C_GetMechanismList", NULL, CALL(GetMechanismList, slot, 0, 0), 1,
		  sizeof(CK_ULONG) },
		{ "C_GetSlotList", NULL, CALL(GetSlotList, CK_TRUE, 0, 0), 1, sizeof(CK_ULONG) },
	};
	open_key = objects[3].handle;
	private_key = objects[6].handle;
	for (size_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(uses); i++)
			compare_use(&uses[i]);
}

/* ---- mechanisms ------------------------------------------------------------------------------ */

static size_t compare_mechanisms(void)
{
	const struct facts_moment moment = { .token = 1 };
	static CK_MECHANISM_TYPE types[1024];
	CK_ULONG count = TAPE_ARRAY_SIZE(types);
	struct one_call call = CALL(GetMechanismList, slot, (uintptr_t)types, (uintptr_t)&count);
	size_t answered = 0;
	tape_arena_reset(&arena);
	capture(&call);
	issue(&call);
	must(call.rv, "C_GetMechanismList");
	learn(&ways[0].facts, &moment, &call);
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		CK_MECHANISM_INFO info;
		struct facts_answer answer;
		call = CALL(GetMechanismInfo, slot, (CK_MECHANISM_TYPE)tape_mechanisms[i].value,
		            (uintptr_t)&info);
		tape_arena_reset(&arena);
		capture(&call);
		const bool known = facts_answer(&ways[0].facts, &moment, call.function, call.in,
		                                &arena, &answer);
		issue(&call);
		answered += known;
		if (known ? answer.derived.rv != call.rv : call.rv != CKR_OK)
			complain("C_GetMechanismInfo", tape_mechanisms[i].name.text,
			         known ? answer.derived.rv : 0, call.rv);
	}
	return answered;
}

int main(int argc, char **argv)
{
	static const uint64_t key[2] = { 1, 2 };
	static CK_OBJECT_HANDLE found[MAX_FOUND];
	CK_SLOT_ID slots[16];
	CK_ULONG slot_count = TAPE_ARRAY_SIZE(slots);
	CK_C_GetFunctionList get;
	const size_t rounds = argc > 5 ? strtoul(argv[5], NULL, 10) : 4000;
	void *module = argc > 3 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	if (module == NULL) {
		fprintf(stderr, "usage: model MODULE SLOT PIN [SEED [ROUNDS]]\n");
		return 2;
	}
	dice.state = argc > 4 ? strtoul(argv[4], NULL, 10) : 1;
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL || get(&p11) != CKR_OK)
		return 2;
	guard_init(&guard);
	tape_arena_init(&arena, NULL, 0, (size_t)256 << 20);
	must(p11->C_Initialize(NULL), "C_Initialize");
	must(p11->C_GetSlotList(CK_TRUE, slots, &slot_count), "C_GetSlotList");
	slot = slots[strtoul(argv[2], NULL, 10)];
	must(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
	     "C_OpenSession");
	must(p11->C_Login(session, CKU_USER, (CK_UTF8CHAR *)argv[3], strlen(argv[3])), "C_Login");
	make_objects();
	for (size_t w = 0; w < TAPE_ARRAY_SIZE(ways); w++)
		facts_init(&ways[w].facts, key, FACTS_MAX_BYTES);
	for (size_t i = 0; i < object_count; i++) {
		read_one_by_one(i);
		read_at_once(i);
	}
	tape_arena_reset(&arena);
	search(NULL, 0, found, true);

	for (size_t i = 0; i < rounds; i++)
		compare_template(dice_pick(&dice, object_count));
	for (size_t w = 0; w < TAPE_ARRAY_SIZE(ways); w++) {
		printf("%s: %zu of %zu templates answered, %zu marked\n", ways[w].name,
		       ways[w].answered, ways[w].asked, ways[w].marked);
		ways[w].answered = ways[w].asked = 0;
	}
	for (size_t i = 0; i < rounds / 4; i++)
		compare_search();
	for (size_t w = 0; w < TAPE_ARRAY_SIZE(ways); w++)
		printf("%s: %zu of %zu searches answered\n", ways[w].name, ways[w].answered,
		       ways[w].asked);
	compare_buffers(rounds / 100);
	printf("buffers: %zu of %zu answered, %zu marked\n", buffers.answered, buffers.asked,
	       buffers.marked);
	printf("mechanisms: %zu that the token does not have\n", compare_mechanisms());
	must(p11->C_Finalize(NULL), "C_Finalize");
	for (size_t w = 0; w < TAPE_ARRAY_SIZE(ways); w++)
		facts_done(&ways[w].facts);
	tape_arena_done(&arena);
	guard_done(&guard);
	return failures == 0 ? 0 : 1;
}
