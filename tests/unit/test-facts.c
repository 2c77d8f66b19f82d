/* SPDX-License-Identifier: MIT
 *
 * What is learnt of a token answers as the token does: attributes of objects, searches in searches,
 * mechanisms. The token is written down here and in support/object.c. An answer that differs from it is
 * a failure, one that is not given is not; what must be given is asked for by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/answer.h"
#include "core/capture.h"
#include "replayer/facts.h"
#include "tests/unit/support/generate-values.h"
#include "tests/unit/support/object.h"

static struct guard guard;
static struct tape_arena arena;
static struct facts facts;
static const uint64_t key[2] = { 1, 2 };

static int begin(void **state)
{
	(void)state;
	guard_init(&guard);
	tape_arena_init(&arena, NULL, 0, (size_t)256 << 20);
	return 0;
}

static int end(void **state)
{
	(void)state;
	guard_done(&guard);
	tape_arena_done(&arena);
	return 0;
}

static int fresh(void **state)
{
	(void)state;
	facts_init(&facts, key, FACTS_MAX_BYTES);
	return 0;
}

static int stale(void **state)
{
	(void)state;
	facts_done(&facts);
	return 0;
}

/* One call, as it was recorded or comes live. */
struct call_values {
	const struct tape_function *function;
	uintptr_t words[TAPE_MAX_WORDS];
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
};

static void capture_call(struct call_values *call)
{
	struct tape_capture capture = { .arena = &arena, .snapshot = true };
	tape_capture_in(&capture, call->function, call->words, call->in);
}

static void capture_return(struct call_values *call, CK_RV rv)
{
	struct tape_capture capture = { .arena = &arena, .snapshot = true };
	tape_capture_out(&capture, call->function, call->words, call->in, rv, call->out);
}

static struct call_values reading(CK_ATTRIBUTE *list, size_t count)
{
	struct call_values call = { .function = &tape_functions[TAPE_FN_C_GetAttributeValue],
		                    .words = { 1, 1, (uintptr_t)list, count } };
	capture_call(&call);
	return call;
}

static void learn_reading(const struct facts_moment *moment, const struct object *object,
                          CK_ATTRIBUTE *list, size_t count, unsigned int turn)
{
	struct call_values call = reading(list, count);
	CK_RV rv = object_rv(object_read(object, list, count), turn);
	capture_return(&call, rv);
	facts_learn(&facts, moment, call.function, call.in, call.out, rv);
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* Any reads are recorded, any other reads come. Returns how many of `rounds` were answered. */
static size_t read_any(struct dice *dice, size_t rounds, size_t *ret_marked)
{
	size_t answered = 0;
	struct object objects[2];
	const struct facts_moment moments[2] = { { .object = dice_roll(dice) | 1 },
		                                 { .object = dice_roll(dice) | 1 } };
	for (size_t i = 0; i < 2; i++)
		object_make(&objects[i], dice);
	for (size_t round = 0; round < rounds; round++) {
		const size_t which = dice_pick(dice, 2);
		const struct object *object = &objects[which];
		struct facts_answer answer;
		CK_ATTRIBUTE *list;
		guard_reset(&guard);
		tape_arena_reset(&arena);
		size_t count = object_template(object, dice, &guard, &list);
		if (dice_pick(dice, 3) == 0)
			count = 1;
		if (dice_pick(dice, 2)) {
			learn_reading(&moments[which], object, list, count,
			              dice_pick(dice, 2) != 0);
			continue;
		}
		CK_ATTRIBUTE *module = object_copy_template(&guard, list, count);
		struct call_values live = reading(list, count);
		if (!facts_answer(&facts, &moments[which], live.function, live.in, &arena, &answer))
			continue;
		answered++;
		tape_answer(NULL, live.function, live.words, live.in, answer.derived.out);
		const unsigned int codes = object_read(object, module, count);
		assert_true(object_same_template(list, module, count));
		assert_true(guard_is_intact(&guard));
		assert_true(answer.derived.steps);
		assert_int_equal(answer.part, 0);
		assert_true(object_may_return(codes, answer.derived.rv));
		*ret_marked += answer.derived.leeway != 0;
		if (answer.derived.leeway == 0)
			assert_true(answer.derived.rv == object_rv(codes, 0) &&
			            answer.derived.rv == object_rv(codes, 1));
	}
	return answered;
}

static void attributes_follow(void **state)
{
	struct dice dice = { 7 };
	size_t answered = 0;
	size_t marked = 0;
	(void)state;
	for (size_t i = 0; i < 200; i++)
		answered += read_any(&dice, 100, &marked);
	print_message("%zu of some 10000 reads answered, %zu marked\n", answered, marked);
	assert_true(answered > 3000 && marked > 300);
	assert_false(facts.full);
}

/* With room for some of it only, what is answered is right all the same. */
static void memory_may_run_out(void **state)
{
	struct dice dice = { 8 };
	size_t answered = 0;
	size_t marked = 0;
	size_t full = 0;
	(void)state;
	for (size_t limit = 0; limit < 40; limit++) {
		facts_init(&facts, key, limit * 4096);
		answered += read_any(&dice, 300, &marked);
		full += facts.full;
		facts_done(&facts);
	}
	assert_true(full > 1 && full < 40 && answered > 100);
}

/* Whatever was read one by one answers every template. */
static void what_was_read_once_answers_all(void **state)
{
	struct dice dice = { 9 };
	(void)state;
	for (size_t round = 0; round < 300; round++) {
		const struct facts_moment moment = { .object = round + 1 };
		struct object object;
		object_make(&object, &dice);
		guard_reset(&guard);
		tape_arena_reset(&arena);
		for (size_t i = 0; i < object.count; i++) {
			const struct object_attribute *a = &object.attributes[i];
			CK_ATTRIBUTE inner[OBJECT_MAX_INNER];
			unsigned char bytes[OBJECT_MAX_INNER][OBJECT_MAX_BYTES];
			CK_ATTRIBUTE one = { a->type, bytes, sizeof(bytes[0]) };
			for (size_t j = 0; j < OBJECT_MAX_INNER; j++)
				inner[j] = (CK_ATTRIBUTE){ 0, bytes[j], sizeof(bytes[j]) };
			memset(bytes, 0x5a, sizeof(bytes));
			if (a->inner != 0) {
				one.pValue = inner;
				one.ulValueLen = sizeof(inner);
			}
			learn_reading(&moment, &object, &one, 1, 0);
		}
		CK_ATTRIBUTE strange = { CKA_VENDOR_DEFINED + 0x1000, NULL, 0 };
		learn_reading(&moment, &object, &strange, 1, 0);
		for (size_t i = 0; i < 20; i++) {
			CK_ATTRIBUTE *list;
			struct facts_answer answer;
			size_t count = object_template(&object, &dice, &guard, &list);
			struct call_values live = reading(list, count);
			assert_true(facts_answer(&facts, &moment, live.function, live.in, &arena,
			                         &answer));
			if (i % 5 == 4)
				guard_reset(&guard);
		}
	}
}

/* A read of one attribute that gives bytes, or a length, or a code. */
static void learn_one(const struct facts_moment *moment, CK_ATTRIBUTE_TYPE type,
                      struct tape_value out, CK_RV rv)
{
	const struct tape_value asked = { .form = out.form == TAPE_V_LENGTH ? TAPE_V_QUERY
		                                                            : TAPE_V_ROOM,
		                          .tag = type,
		                          .number = 64 };
	const struct tape_value in[3] = { { 0 },
		                          { 0 },
		                          { .form = TAPE_V_LIST, .count = 1, .data = &asked } };
	const struct tape_value list[3] = { { 0 },
		                            { 0 },
		                            { .form = TAPE_V_LIST, .count = 1, .data = &out } };
	facts_learn(&facts, moment, &tape_functions[TAPE_FN_C_GetAttributeValue], in, list, rv);
}

/* What is known of one attribute: its bytes, or NULL. */
static const char *ask_one(const struct facts_moment *moment, CK_ATTRIBUTE_TYPE type,
                           struct facts_answer *answer)
{
	const struct tape_value asked = { .form = TAPE_V_ROOM, .tag = type, .number = 64 };
	const struct tape_value in[3] = { { 0 },
		                          { 0 },
		                          { .form = TAPE_V_LIST, .count = 1, .data = &asked } };
	if (!facts_answer(&facts, moment, &tape_functions[TAPE_FN_C_GetAttributeValue], in, &arena,
	                  answer))
		return NULL;
	return tape_value_child(&answer->derived.out[2], 0)->data;
}

static struct tape_value bytes_of(const char *text)
{
	return (struct tape_value){ .form = TAPE_V_BYTES, .length = strlen(text), .data = text };
}

/* A fact holds in its state; two that contradict each other hold nowhere. */
static void facts_have_their_state(void **state)
{
	const struct facts_moment first = { .object = 1 };
	const struct facts_moment second = { .object = 2 };
	const struct facts_moment unknown = { .object = 0 };
	struct facts_answer answer;
	(void)state;
	learn_one(&first, CKA_LABEL, bytes_of("one"), CKR_OK);
	learn_one(&second, CKA_LABEL, bytes_of("two"), CKR_OK);
	learn_one(&unknown, CKA_LABEL, bytes_of("three"), CKR_OK);
	assert_string_equal(ask_one(&first, CKA_LABEL, &answer), "one");
	assert_string_equal(ask_one(&second, CKA_LABEL, &answer), "two");
	assert_null(ask_one(&unknown, CKA_LABEL, &answer));
	assert_null(ask_one(&first, CKA_ID, &answer));
	learn_one(&first, CKA_LABEL, bytes_of("new"), CKR_OK);
	assert_null(ask_one(&first, CKA_LABEL, &answer));
	learn_one(&first, CKA_LABEL, bytes_of("one"), CKR_OK);
	assert_null(ask_one(&first, CKA_LABEL, &answer));
	assert_string_equal(ask_one(&second, CKA_LABEL, &answer), "two");
	/* A call that failed for another reason says nothing. */
	learn_one(&second, CKA_LABEL, bytes_of("bad"), CKR_DEVICE_ERROR);
	assert_string_equal(ask_one(&second, CKA_LABEL, &answer), "two");
}

/* What was written is read back, until a reading knows better; not what may be refused, or spelled otherwise. */
static void what_was_written_is_known(void **state)
{
	static const CK_OBJECT_CLASS certificate = CKO_CERTIFICATE;
	static const CK_OBJECT_CLASS secret = CKO_SECRET_KEY;
	const struct facts_moment moment = { .object = 1 };
	const struct facts_moment other = { .object = 2 };
	struct tape_value entries[] = {
		{ .form = TAPE_V_BYTES, .tag = CKA_LABEL, .length = 5, .data = "label" },
		{ .form = TAPE_V_BYTES, .tag = CKA_VALUE, .length = 5, .data = "value" },
		{ .form = TAPE_V_BYTES, .tag = CKA_MODULUS, .length = 2, .data = "\0\1" },
		{ .form = TAPE_V_BYTES, .tag = CKA_PRIME_1, .length = 1, .data = "p" },
		{ .form = TAPE_V_BYTES, .tag = CKA_VENDOR_DEFINED, .length = 1, .data = "v" },
		{ .form = TAPE_V_SECRET,
		  .tag = CKA_ID,
		  .length = 7,
		  .data = "value-1",
		  .stated = 1 },
		{ .form = TAPE_V_BYTES,
		  .tag = CKA_CLASS,
		  .length = sizeof(secret),
		  .data = &secret },
	};
	const struct tape_value list = { .form = TAPE_V_LIST,
		                         .count = TAPE_ARRAY_SIZE(entries),
		                         .data = entries };
	struct facts_answer answer;
	(void)state;
	facts_learn_written(&facts, 1, &list);
	assert_string_equal(ask_one(&moment, CKA_LABEL, &answer), "label");
	assert_non_null(ask_one(&moment, CKA_CLASS, &answer));
	assert_null(ask_one(&moment, CKA_VALUE, &answer));
	assert_null(ask_one(&moment, CKA_MODULUS, &answer));
	assert_null(ask_one(&moment, CKA_PRIME_1, &answer));
	assert_null(ask_one(&moment, CKA_VENDOR_DEFINED, &answer));
	assert_null(ask_one(&moment, CKA_ID, &answer));
	entries[6].data = &certificate;
	facts_learn_written(&facts, 2, &list);
	assert_string_equal(ask_one(&other, CKA_VALUE, &answer), "value");
	learn_one(&moment, CKA_LABEL, bytes_of("LABEL"), CKR_OK);
	assert_string_equal(ask_one(&moment, CKA_LABEL, &answer), "LABEL");
	facts_learn_written(&facts, 1, &list);
	assert_string_equal(ask_one(&moment, CKA_LABEL, &answer), "LABEL");
}

/* A redacted value is its name and the part of the trace; names of two parts are not one answer. */
static void names_have_their_part(void **state)
{
	const struct tape_value name = {
		.form = TAPE_V_SECRET, .length = 7, .data = "value-1", .stated = 1, .number = 16
	};
	const struct facts_moment first = { .object = 1, .part = 1 };
	const struct facts_moment second = { .object = 1, .part = 2 };
	const struct facts_moment third = { .object = 3, .part = 3 };
	const struct tape_value asked[2] = {
		{ .form = TAPE_V_ROOM, .tag = CKA_VALUE, .number = 16 },
		{ .form = TAPE_V_ROOM, .tag = CKA_PRIME_1, .number = 16 },
	};
	const struct tape_value in[3] = { { 0 },
		                          { 0 },
		                          { .form = TAPE_V_LIST, .count = 2, .data = asked } };
	struct facts_answer answer;
	(void)state;
	learn_one(&first, CKA_VALUE, name, CKR_OK);
	learn_one(&second, CKA_PRIME_1, name, CKR_OK);
	assert_non_null(ask_one(&first, CKA_VALUE, &answer));
	assert_int_equal(answer.part, 1);
	assert_non_null(ask_one(&second, CKA_PRIME_1, &answer));
	assert_int_equal(answer.part, 2);
	assert_false(facts_answer(&facts, &first, &tape_functions[TAPE_FN_C_GetAttributeValue], in,
	                          &arena, &answer));
	learn_one(&second, CKA_VALUE, name, CKR_OK);
	assert_null(ask_one(&first, CKA_VALUE, &answer));
	learn_one(&third, CKA_LABEL, bytes_of("plain"), CKR_OK);
	assert_non_null(ask_one(&third, CKA_LABEL, &answer));
	assert_int_equal(answer.part, 0);
}

/* ---- searches -------------------------------------------------------------------------------- */

#define TOKEN_OBJECTS 12
#define TOKEN_TYPES 4

/* A token whose objects have few values, so that templates find some. Handles are 100 more than identities. */
struct token {
	struct {
		bool there;
		char values[TOKEN_TYPES][2]; /* "" where the object has no such attribute */
	} objects[TOKEN_OBJECTS];
	uint64_t version; /* of the set of objects */
	uint64_t offset;  /* handles are identities and this */
};

static const CK_ATTRIBUTE_TYPE token_types[TOKEN_TYPES] = { CKA_LABEL, CKA_ID, CKA_SUBJECT,
	                                                    CKA_APPLICATION };
static struct token token;

static uint64_t identity_of(void *context, uint64_t session, uint64_t handle)
{
	(void)context;
	(void)session;
	return handle - token.offset;
}

static bool find_handle(void *context, uint64_t identity, uint64_t *ret_handle)
{
	(void)context;
	*ret_handle = identity + token.offset;
	return identity < TOKEN_OBJECTS && token.objects[identity].there;
}

static uint64_t object_state(void *context, uint64_t session, uint64_t handle)
{
	(void)context;
	(void)session;
	return handle - token.offset + 1000;
}

static const struct facts_handles handles = { identity_of, find_handle, object_state, NULL };

static struct facts_moment moment_of(uint64_t session)
{
	return (struct facts_moment){ .session = session,
		                      .set = token.version,
		                      .handles = &handles };
}

static void make_token(struct dice *dice)
{
	memset(&token, 0, sizeof(token));
	token.version = dice_roll(dice) | 1;
	for (size_t i = 0; i < TOKEN_OBJECTS; i++) {
		token.objects[i].there = dice_pick(dice, 4) != 0;
		for (size_t j = 0; j < TOKEN_TYPES; j++)
			token.objects[i].values[j][0] = "\0abc"[dice_pick(dice, 4)];
	}
}

static bool token_matches(size_t object, const CK_ATTRIBUTE *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < TOKEN_TYPES; j++)
			if (token_types[j] == list[i].type &&
			    (token.objects[object].values[j][0] == 0 || list[i].ulValueLen != 1 ||
			     token.objects[object].values[j][0] != *(char *)list[i].pValue))
				return false;
	return token.objects[object].there;
}

static size_t token_find(const CK_ATTRIBUTE *list, size_t count, uint64_t *ret_handles)
{
	size_t found = 0;
	for (size_t i = 0; i < TOKEN_OBJECTS; i++)
		if (token_matches(i, list, count))
			ret_handles[found++] = i + token.offset;
	return found;
}

static size_t any_template(struct dice *dice, CK_ATTRIBUTE *list)
{
	static char letters[] = "abcde";
	const size_t count = dice_pick(dice, 4);
	for (size_t i = 0; i < count; i++)
		list[i] = (CK_ATTRIBUTE){ token_types[dice_pick(dice, TOKEN_TYPES)],
			                  &letters[dice_pick(dice, 4)],
			                  dice_pick(dice, 8) == 0 ? dice_pick(dice, 3) : 1 };
	return count;
}

static struct call_values searching(CK_ATTRIBUTE *list, size_t count)
{
	struct call_values call = { .function = &tape_functions[TAPE_FN_C_FindObjectsInit],
		                    .words = { 1, (uintptr_t)list, count } };
	capture_call(&call);
	return call;
}

static struct call_values finding(CK_OBJECT_HANDLE *list, CK_ULONG room, CK_ULONG *count)
{
	struct call_values call = { .function = &tape_functions[TAPE_FN_C_FindObjects],
		                    .words = { 1, (uintptr_t)list, room, (uintptr_t)count } };
	capture_call(&call);
	return call;
}

/* Record a search, in pieces of any size; to its end, or not. */
static void learn_search(struct dice *dice, uint64_t session, CK_ATTRIBUTE *list, size_t count,
                         bool to_its_end)
{
	uint64_t members[TOKEN_OBJECTS];
	const size_t found = token_find(list, count, members);
	const struct facts_moment moment = moment_of(session);
	struct call_values call = searching(list, count);
	capture_return(&call, CKR_OK);
	facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	for (size_t at = 0; at < found || to_its_end;) {
		CK_OBJECT_HANDLE some[5];
		CK_ULONG given = 0;
		call = finding(some, 1 + dice_pick(dice, 5), &given);
		for (; at < found && given < call.words[2]; given++)
			some[given] = (CK_OBJECT_HANDLE)members[at++];
		capture_return(&call, CKR_OK);
		facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
		if (given == 0 || (!to_its_end && dice_pick(dice, 2)))
			break;
	}
}

static void learn_objects(struct dice *dice, bool all)
{
	for (size_t i = 0; i < TOKEN_OBJECTS; i++)
		for (size_t j = 0; j < TOKEN_TYPES; j++) {
			const struct facts_moment moment = { .object = i + 1000 };
			const char *value = token.objects[i].values[j];
			const struct tape_value gone = { .form = TAPE_V_LENGTH,
				                         .number = CK_UNAVAILABLE_INFORMATION };
			if (!all && dice_pick(dice, 2))
				continue;
			if (value[0] != 0)
				learn_one(&moment, token_types[j], bytes_of(value), CKR_OK);
			else
				learn_one(&moment, token_types[j], gone,
				          CKR_ATTRIBUTE_TYPE_INVALID);
		}
}

/* Ask for all that a template finds. Returns whether all of it was answered, and compares it. */
static bool search_live(struct dice *dice, uint64_t session, CK_ATTRIBUTE *list, size_t count)
{
	uint64_t members[TOKEN_OBJECTS];
	uint64_t seen = 0;
	const size_t found = token_find(list, count, members);
	struct facts_moment moment = moment_of(session);
	struct call_values call = searching(list, count);
	struct facts_answer answer;
	if (!facts_answer(&facts, &moment, call.function, call.in, &arena, &answer))
		return false;
	assert_int_equal(answer.derived.rv, CKR_OK);
	assert_int_equal(answer.derived.leeway, 0);
	facts_served(&facts, &moment, call.function, call.in, answer.derived.out, CKR_OK);
	moment.busy = true;
	assert_false(facts_answer(&facts, &moment, call.function, call.in, &arena, &answer));
	for (size_t given = 0;;) {
		CK_OBJECT_HANDLE some[5];
		CK_ULONG now = 77;
		call = finding(some, 1 + dice_pick(dice, 5), &now);
		moment.searches = false;
		assert_false(
			facts_answer(&facts, &moment, call.function, call.in, &arena, &answer));
		moment.searches = true;
		assert_true(facts_answer(&facts, &moment, call.function, call.in, &arena, &answer));
		tape_answer(NULL, call.function, call.words, call.in, answer.derived.out);
		facts_served(&facts, &moment, call.function, call.in, answer.derived.out, CKR_OK);
		for (size_t i = 0; i < now; i++) {
			bool is_member = false;
			for (size_t j = 0; j < found; j++)
				is_member |= members[j] == some[i];
			assert_true(is_member);
			assert_int_equal(seen & 1u << (some[i] - token.offset), 0);
			seen |= 1u << (some[i] - token.offset);
		}
		given += now;
		assert_true(given <= found);
		assert_true(now == call.words[2] || given == found);
		if (now == 0)
			break;
	}
	return true;
}

/* Any searches and reads are recorded; any searches come, in a program whose handles are others. */
static void searches_follow(void **state)
{
	struct dice dice = { 11 };
	size_t answered = 0;
	size_t complete = 0;
	CK_ATTRIBUTE list[4];
	(void)state;
	for (size_t round = 0; round < 400; round++) {
		tape_arena_reset(&arena);
		make_token(&dice);
		facts_done(&facts);
		facts_init(&facts, key, FACTS_MAX_BYTES);
		const bool all = round % 4 == 0;
		learn_objects(&dice, all);
		for (size_t i = dice_pick(&dice, 6); i > 0; i--) {
			const size_t count = any_template(&dice, list);
			learn_search(&dice, i, list, count, dice_pick(&dice, 2) != 0);
		}
		if (all)
			learn_search(&dice, 9, list, 0, true);
		token.offset = dice_pick(&dice, 2) ? 500 : 0;
		for (size_t i = 0; i < 20; i++) {
			const size_t count = any_template(&dice, list);
			const bool known = search_live(&dice, 1 + i % 3, list, count);
			assert_true(known || !all);
			answered += known;
			complete += all;
		}
	}
	print_message("%zu of 8000 searches answered\n", answered);
	assert_true(answered > complete + 500);
}

/* Learn `CKA_LABEL = a` finds `members`, in one state. */
static void learn_label(const struct facts_moment *moment, const uint64_t *members, size_t count,
                        bool end)
{
	CK_ATTRIBUTE label = { CKA_LABEL, (void *)(uintptr_t) "a", 1 };
	struct call_values call = searching(&label, 1);
	CK_OBJECT_HANDLE some[4] = { 0 };
	CK_ULONG given = 0;
	facts_learn(&facts, moment, call.function, call.in, call.out, CKR_OK);
	for (int turn = 0; turn <= (int)end; turn++) {
		call = finding(some, 4, &given);
		for (given = 0; turn == 0 && given < count; given++)
			some[given] = (CK_OBJECT_HANDLE)members[given];
		capture_return(&call, CKR_OK);
		facts_learn(&facts, moment, call.function, call.in, call.out, CKR_OK);
	}
}

static bool knows(const struct facts_moment *moment, CK_ATTRIBUTE *list, size_t count,
                  unsigned int *ret_leeway)
{
	struct call_values call = searching(list, count);
	struct facts_answer answer = { .derived = { .leeway = 0 } };
	bool known = facts_answer(&facts, moment, call.function, call.in, &arena, &answer);
	*ret_leeway = answer.derived.leeway;
	return known;
}

static void searches_have_their_state(void **state)
{
	static const uint64_t members[] = { 5, 6, 7 };
	struct facts_moment moment = { .session = 1, .set = 1 };
	struct facts_moment other = { .session = 1, .set = 2 };
	CK_ATTRIBUTE label = { CKA_LABEL, (void *)(uintptr_t) "a", 1 };
	unsigned int leeway;
	(void)state;
	/* To its end, or nothing is known; in another state, too. */
	learn_label(&moment, members, 3, false);
	assert_false(knows(&moment, &label, 1, &leeway));
	learn_label(&moment, members, 3, true);
	assert_true(knows(&moment, &label, 1, &leeway));
	assert_false(knows(&other, &label, 1, &leeway));
	assert_false(knows(&moment, &label, 0, &leeway));
	/* Once more, not to its end: what there is of it agrees. */
	learn_label(&moment, members, 2, false);
	assert_true(knows(&moment, &label, 1, &leeway));
	/* Somebody else deleted an object. */
	learn_label(&moment, members, 2, true);
	assert_false(knows(&moment, &label, 1, &leeway));
	/* Objects that came while the search went on. */
	struct call_values call = searching(&label, 1);
	CK_OBJECT_HANDLE some[1];
	CK_ULONG none = 0;
	facts_learn(&facts, &other, call.function, call.in, call.out, CKR_OK);
	call = finding(some, 1, &none);
	capture_return(&call, CKR_OK);
	facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	assert_false(knows(&other, &label, 1, &leeway));
	/* A search inside another one that found what that did not. */
	moment.set = other.set = 3;
	call = searching(NULL, 0);
	facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	call = finding(some, 1, &none);
	capture_return(&call, CKR_OK);
	facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	assert_true(knows(&moment, NULL, 0, &leeway));
	assert_true(knows(&moment, &label, 1, &leeway));
	learn_label(&moment, members, 1, true);
	assert_false(knows(&moment, NULL, 0, &leeway));
	assert_false(knows(&moment, &label, 1, &leeway));
}

/* Where PKCS#11 lets a module refuse a template, or hide objects from a search that does not ask for them. */
static void templates_that_modules_differ_in(void **state)
{
	static CK_OBJECT_CLASS certificate = CKO_CERTIFICATE;
	static CK_OBJECT_CLASS hardware = CKO_HW_FEATURE;
	struct facts_moment moment = { .session = 1, .set = 1 };
	CK_OBJECT_HANDLE some[1];
	CK_ULONG none = 0;
	CK_ATTRIBUTE ordinary = { CKA_CLASS, &certificate, sizeof(certificate) };
	CK_ATTRIBUTE hidden = { CKA_CLASS, &hardware, sizeof(hardware) };
	CK_ATTRIBUTE strange = { CKA_VENDOR_DEFINED + 1, (void *)(uintptr_t) "a", 1 };
	CK_ATTRIBUTE wrong = { CKA_TOKEN, (void *)(uintptr_t) "abcd", 4 };
	CK_ATTRIBUTE array = { CKA_ALLOWED_MECHANISMS, NULL, 0 };
	CK_ATTRIBUTE many[FACTS_MAX_TEMPLATE + 1];
	unsigned int leeway;
	(void)state;
	struct call_values call = searching(NULL, 0);
	facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	call = finding(some, 1, &none);
	capture_return(&call, CKR_OK);
	facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	assert_true(knows(&moment, &ordinary, 1, &leeway));
	assert_int_equal(leeway, 0);
	assert_false(knows(&moment, &hidden, 1, &leeway));
	assert_false(knows(&moment, &wrong, 1, &leeway));
	assert_false(knows(&moment, &array, 1, &leeway));
	assert_true(knows(&moment, &strange, 1, &leeway));
	assert_int_equal(leeway, TAPE_LEEWAY_CODE);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(many); i++)
		many[i] = ordinary;
	assert_true(knows(&moment, many, FACTS_MAX_TEMPLATE, &leeway));
	assert_false(knows(&moment, many, FACTS_MAX_TEMPLATE + 1, &leeway));
}

/* What a rule lets a program write otherwise is not what was recorded: objects are not told apart by it. */
static void rules_make_values_unknown(void **state)
{
	static struct tape_rules rules;
	static const char *const named[] = { "C_CreateObject.pTemplate.CKA_LABEL=as:name-1",
		                             "C_SetAttributeValue.pTemplate=any",
		                             "C_CreateObject.pTemplate.CKA_ID=any",
		                             "C_SeedRandom.pSeed=any" };
	struct facts_moment moment = { .session = 1, .set = 1, .handles = &handles };
	const struct facts_moment object = { .object = 1005 };
	CK_ATTRIBUTE label = { CKA_LABEL, (void *)(uintptr_t) "b", 1 };
	struct tape_error error;
	CK_OBJECT_HANDLE some[2] = { 5 };
	CK_ULONG count = 0;
	unsigned int leeway;
	(void)state;
	memset(&token, 0, sizeof(token));
	token.objects[5].there = true;
	learn_one(&object, CKA_LABEL, bytes_of("a"), CKR_OK);
	struct call_values call = searching(NULL, 0);
	facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	for (CK_ULONG given = 1; given <= 1; given--) {
		call = finding(some, 2, &count);
		count = given;
		capture_return(&call, CKR_OK);
		facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	}
	assert_true(knows(&moment, &label, 1, &leeway));
	facts.rules = &rules;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(named); i++) {
		memset(&rules, 0, sizeof(rules));
		assert_int_equal(tape_rules_add(&rules, named[i], strlen(named[i]), &error), 0);
		assert_int_equal(knows(&moment, &label, 1, &leeway), i >= 2);
		assert_true(knows(&moment, NULL, 0, &leeway));
	}
}

/* A search that somebody else answers is gone on with, as long as it gave what is known of it. */
static void searches_are_gone_on_with(void **state)
{
	static const uint64_t members[] = { 5, 6, 7 };
	const struct facts_moment moment = { .session = 1, .set = 1, .searches = true };
	const struct facts_moment elsewhere = { .session = 1 + FACTS_SESSIONS,
		                                .set = 1,
		                                .searches = true };
	CK_ATTRIBUTE label = { CKA_LABEL, (void *)(uintptr_t) "a", 1 };
	CK_OBJECT_HANDLE some[3];
	CK_ULONG given = 0;
	struct facts_answer answer;
	(void)state;
	learn_label(&moment, members, 3, true);
	for (uint64_t first = 5; first < 7; first++) {
		struct call_values call = searching(&label, 1);
		facts_served(&facts, &moment, call.function, call.in, call.out, CKR_OK);
		call = finding(some, 1, &given);
		given = 1;
		some[0] = (CK_OBJECT_HANDLE)first;
		capture_return(&call, CKR_OK);
		facts_served(&facts, &moment, call.function, call.in, call.out, CKR_OK);
		call = finding(some, 3, &given);
		assert_int_equal(
			facts_answer(&facts, &moment, call.function, call.in, &arena, &answer),
			first == 5);
		if (first == 5)
			assert_int_equal(answer.derived.out[1].count, 2);
		/* Not in a session that has the same place. */
		assert_false(
			facts_answer(&facts, &elsewhere, call.function, call.in, &arena, &answer));
	}
	/* Objects came or went meanwhile: they may be found or not. */
	struct facts_moment later = moment;
	later.set = 2;
	struct call_values call = searching(&label, 1);
	facts_served(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	call = finding(some, 3, &given);
	assert_true(facts_answer(&facts, &moment, call.function, call.in, &arena, &answer));
	assert_false(facts_answer(&facts, &later, call.function, call.in, &arena, &answer));
	/* It came to an end before the end that is known. */
	given = 0;
	capture_return(&call, CKR_OK);
	facts_served(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	assert_false(facts_answer(&facts, &moment, call.function, call.in, &arena, &answer));
	/* One whose beginning nobody knows of takes the place of one that is known. */
	call = searching(&label, 1);
	facts_served(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	CK_ATTRIBUTE unknown = { CKA_ID, (void *)(uintptr_t) "z", 1 };
	call = searching(&unknown, 1);
	facts_served(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	call = finding(some, 3, &given);
	assert_false(facts_answer(&facts, &moment, call.function, call.in, &arena, &answer));
}

/* Searches in memory that runs out: nothing wrong is answered. */
static void searches_may_not_fit(void **state)
{
	struct dice dice = { 12 };
	size_t answered = 0;
	size_t full = 0;
	CK_ATTRIBUTE list[4];
	(void)state;
	for (size_t limit = 0; limit < 30; limit++) {
		facts_init(&facts, key, limit * 4096);
		make_token(&dice);
		tape_arena_reset(&arena);
		for (size_t i = 0; i < 400; i++) {
			const size_t count = any_template(&dice, list);
			if (i % 50 == 0)
				learn_objects(&dice, false);
			if (i % 90 == 89)
				token.version++;
			learn_search(&dice, i % 7, list, count, true);
			answered += search_live(&dice, 1, list, any_template(&dice, list));
		}
		full += facts.full;
		facts_done(&facts);
	}
	assert_true(full > 1 && full < 30 && answered > 300);
}

/* A search that did not fit may have been the one that contradicts. */
static void what_did_not_fit_is_not_relied_upon(void **state)
{
	static const uint64_t members[] = { 5, 6, 7 };
	const struct facts_moment moment = { .session = 1, .set = 1 };
	const struct facts_moment other = { .session = 2, .set = 2 };
	CK_ATTRIBUTE label = { CKA_LABEL, (void *)(uintptr_t) "a", 1 };
	CK_ATTRIBUTE more[2] = { label, { CKA_ID, (void *)(uintptr_t) "b", 1 } };
	unsigned int leeway;
	(void)state;
	facts_init(&facts, key, (size_t)64 * 4096);
	learn_label(&moment, members, 3, true);
	learn_label(&other, members, 3, true);
	for (uint64_t i = 1; !facts.full; i++) {
		const struct facts_moment object = { .object = i };
		learn_one(&object, CKA_LABEL, bytes_of("a"), CKR_OK);
	}
	assert_true(knows(&moment, &label, 1, &leeway));
	struct call_values call = searching(more, 2);
	facts_learn(&facts, &moment, call.function, call.in, call.out, CKR_OK);
	assert_false(knows(&moment, &label, 1, &leeway));
	assert_true(knows(&other, &label, 1, &leeway));
	facts_done(&facts);
}

/* ---- mechanisms ------------------------------------------------------------------------------ */

static void mechanisms_that_there_are_not(void **state)
{
	const struct tape_function *asks = &tape_functions[TAPE_FN_C_GetMechanismInfo];
	const struct tape_function *lists = &tape_functions[TAPE_FN_C_GetMechanismList];
	const struct tape_function *others = &tape_functions[TAPE_FN_C_GetSlotList];
	const struct tape_value types[] = { { .form = TAPE_V_NUMBER, .number = CKM_RSA_PKCS },
		                            { .form = TAPE_V_NUMBER, .number = CKM_SHA256 } };
	const struct tape_value in[2] = { { 0 }, { .form = TAPE_V_ROOM, .number = 10 } };
	struct tape_value out[2] = { { 0 }, { .form = TAPE_V_LIST, .count = 2, .data = types } };
	struct tape_value live[3] = { { 0 },
		                      { .form = TAPE_V_NUMBER, .number = CKM_SHA_1 },
		                      { 0 } };
	const struct facts_moment first = { .token = 1 };
	const struct facts_moment second = { .token = 2 };
	struct facts_answer answer;
	(void)state;
	facts_learn(&facts, &first, others, in, out, CKR_OK);
	assert_false(facts_answer(&facts, &first, asks, live, &arena, &answer));
	facts_learn(&facts, &first, lists, in, out, CKR_OK);
	assert_true(facts_answer(&facts, &first, asks, live, &arena, &answer));
	assert_int_equal(answer.derived.rv, CKR_MECHANISM_INVALID);
	assert_int_equal(answer.derived.leeway, 0);
	assert_int_equal(answer.derived.out[2].form, TAPE_V_ABSENT);
	assert_false(facts_answer(&facts, &second, asks, live, &arena, &answer));
	live[1].number = CKM_SHA256;
	assert_false(facts_answer(&facts, &first, asks, live, &arena, &answer));
	live[1].number = CKM_SHA_1;
	live[2].form = TAPE_V_NULL;
	assert_false(facts_answer(&facts, &first, asks, live, &arena, &answer));
	live[2].form = TAPE_V_ABSENT;
	facts_learn(&facts, &first, lists, in, out, CKR_OK);
	assert_true(facts_answer(&facts, &first, asks, live, &arena, &answer));
	out[1].count = 1;
	facts_learn(&facts, &first, lists, in, out, CKR_OK);
	assert_false(facts_answer(&facts, &first, asks, live, &arena, &answer));
}

/* A session is told what another one of its sort was told, and nothing else. */
static void sessions_are_of_a_sort(void **state)
{
	const struct tape_function *asks = &tape_functions[TAPE_FN_C_GetSessionInfo];
	struct tape_value fields[] = { { .form = TAPE_V_NUMBER, .number = 7 },
		                       { .form = TAPE_V_NUMBER, .number = CKS_RW_USER_FUNCTIONS },
		                       { .form = TAPE_V_NUMBER, .number = CKF_SERIAL_SESSION },
		                       { .form = TAPE_V_NUMBER, .number = 0 } };
	struct tape_value live[2] = { { 0 }, { .form = TAPE_V_ABSENT } };
	const struct tape_value out[2] = { { 0 },
		                           { .form = TAPE_V_RECORD,
		                             .record = TAPE_R_CK_SESSION_INFO,
		                             .count = TAPE_ARRAY_SIZE(fields),
		                             .data = fields } };
	const struct facts_moment user = { .session = 1, .sort = 1 };
	const struct facts_moment public = { .session = 2, .sort = 2 };
	const struct facts_moment unknown = { .session = 3, .sort = 0 };
	struct facts_answer answer;
	(void)state;
	facts_learn(&facts, &user, asks, live, out, CKR_OK);
	facts_learn(&facts, &unknown, asks, live, out, CKR_OK);
	facts_learn(&facts, &public, asks, live, out, CKR_DEVICE_ERROR);
	assert_true(facts_answer(&facts, &user, asks, live, &arena, &answer));
	assert_int_equal(tape_value_child(&answer.derived.out[1], 0)->number, 7);
	assert_false(facts_answer(&facts, &public, asks, live, &arena, &answer));
	assert_false(facts_answer(&facts, &unknown, asks, live, &arena, &answer));
	live[1].form = TAPE_V_NULL;
	assert_false(facts_answer(&facts, &user, asks, live, &arena, &answer));
	live[1].form = TAPE_V_ABSENT;
	facts_learn(&facts, &user, asks, live, out, CKR_OK);
	assert_true(facts_answer(&facts, &user, asks, live, &arena, &answer));
	fields[3].number = 1;
	facts_learn(&facts, &user, asks, live, out, CKR_OK);
	assert_false(facts_answer(&facts, &user, asks, live, &arena, &answer));
}

/* What is large is not worth the time: nothing is learnt of it, nothing is answered. */
static void hostile_sizes(void **state)
{
	static struct tape_value asked[TAPE_MAX_ELEMENTS];
	static struct tape_value given[TAPE_MAX_ELEMENTS];
	const struct facts_moment moment = { .object = 1, .session = 1, .set = 1 };
	struct tape_value in[3] = {
		{ 0 }, { 0 }, { .form = TAPE_V_LIST, .count = TAPE_MAX_ELEMENTS, .data = asked }
	};
	const struct tape_value out[3] = {
		{ 0 }, { 0 }, { .form = TAPE_V_LIST, .count = TAPE_MAX_ELEMENTS, .data = given }
	};
	struct facts_answer answer;
	(void)state;
	for (size_t i = 0; i < TAPE_MAX_ELEMENTS; i++) {
		asked[i] = (struct tape_value){ .form = TAPE_V_QUERY, .tag = i };
		given[i] = (struct tape_value){ .form = TAPE_V_LENGTH,
			                        .number = CK_UNAVAILABLE_INFORMATION };
	}
	facts_learn(&facts, &moment, &tape_functions[TAPE_FN_C_GetAttributeValue], in, out,
	            CKR_ATTRIBUTE_TYPE_INVALID);
	assert_int_equal(facts.fact_count, 0);
	assert_false(facts_answer(&facts, &moment, &tape_functions[TAPE_FN_C_GetAttributeValue], in,
	                          &arena, &answer));
	in[2].count = 0;
	assert_false(facts_answer(&facts, &moment, &tape_functions[TAPE_FN_C_GetAttributeValue], in,
	                          &arena, &answer));
	in[1] = in[2];
	in[1].count = TAPE_MAX_ELEMENTS;
	facts_learn(&facts, &moment, &tape_functions[TAPE_FN_C_FindObjectsInit], in, out, CKR_OK);
	assert_false(facts_answer(&facts, &moment, &tape_functions[TAPE_FN_C_FindObjectsInit], in,
	                          &arena, &answer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(attributes_follow, fresh, stale),
		cmocka_unit_test(memory_may_run_out),
		cmocka_unit_test_setup_teardown(what_was_read_once_answers_all, fresh, stale),
		cmocka_unit_test_setup_teardown(facts_have_their_state, fresh, stale),
		cmocka_unit_test_setup_teardown(what_was_written_is_known, fresh, stale),
		cmocka_unit_test_setup_teardown(names_have_their_part, fresh, stale),
		cmocka_unit_test_setup_teardown(searches_follow, fresh, stale),
		cmocka_unit_test_setup_teardown(searches_have_their_state, fresh, stale),
		cmocka_unit_test_setup_teardown(templates_that_modules_differ_in, fresh, stale),
		cmocka_unit_test_setup_teardown(rules_make_values_unknown, fresh, stale),
		cmocka_unit_test_setup_teardown(searches_are_gone_on_with, fresh, stale),
		cmocka_unit_test(searches_may_not_fit),
		cmocka_unit_test(what_did_not_fit_is_not_relied_upon),
		cmocka_unit_test_setup_teardown(mechanisms_that_there_are_not, fresh, stale),
		cmocka_unit_test_setup_teardown(sessions_are_of_a_sort, fresh, stale),
		cmocka_unit_test_setup_teardown(hostile_sizes, fresh, stale),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
