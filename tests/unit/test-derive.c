/* SPDX-License-Identifier: MIT
 *
 * What is derived of a recorded call is what a module that keeps to PKCS#11 answers: for every function and
 * every argument that has a room, from each way of recording it to each way of asking again. The module is
 * written down here, and in support/object.c, and answers into memory that ends at guard pages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/answer.h"
#include "core/capture.h"
#include "core/derive.h"
#include "tests/unit/support/generate-values.h"
#include "tests/unit/support/object.h"

static struct guard guard;
static struct call generated;
static struct tape_arena arena;

static int begin(void **state)
{
	(void)state;
	guard_init(&guard);
	tape_arena_init(&arena, NULL, 0, (size_t)64 << 20);
	return 0;
}

static int end(void **state)
{
	(void)state;
	guard_done(&guard);
	tape_arena_done(&arena);
	return 0;
}

/* ---- buffers and lists ----------------------------------------------------------------------- */

#define ASKS UINT64_MAX /* as a room: a NULL pointer */

/* One call, in memory of its own: what an argument with a room points to. */
struct side {
	uintptr_t words[TAPE_MAX_WORDS];
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
	CK_ULONG length;
	unsigned char *buffer;
	size_t size;
	CK_RV rv;
};

static struct tape_capture capture_of(bool snapshot)
{
	return (struct tape_capture){ .arena = &arena,
		                      .snapshot = snapshot,
		                      .message_record = generate_message_record,
		                      .context = &generated };
}

static void ask(struct side *side, const struct tape_function *function, size_t which,
                uint64_t room, size_t unit)
{
	const struct tape_argument *argument = &function->arguments[which];
	memcpy(side->words, generated.words, sizeof(side->words));
	side->length = room == ASKS ? 0xabcd : (CK_ULONG)room;
	side->size = room == ASKS ? 0 : (size_t)room * unit;
	side->buffer = room == ASKS ? NULL : guard_get(&guard, side->size);
	if (side->buffer != NULL)
		memset(side->buffer, 0xaa, side->size);
	side->words[argument->word] = (uintptr_t)side->buffer;
	side->words[argument->word + 1] = (uintptr_t)&side->length;
}

/* PKCS#11 3.1 §5.2, and §5.5.1 for lists: elements of `unit` bytes. */
static CK_RV be_module(struct side *side, const unsigned char *truth, size_t count, size_t unit)
{
	const CK_ULONG room = side->length;
	side->length = count;
	if (side->buffer == NULL)
		return CKR_OK;
	if (room < count)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(side->buffer, truth, count * unit);
	return CKR_OK;
}

/* Whether the answer to `live` follows from a recorded call with the room `recorded`. */
static bool follows(uint64_t recorded, uint64_t live, size_t count, bool list)
{
	const bool is_small = live != ASKS && live < count;
	if (recorded == live)
		return true;
	if (recorded == ASKS)
		return list && is_small;
	if (recorded >= count)
		return true;
	return live == ASKS || live < recorded || (list && is_small);
}

static void derive_one(const struct tape_function *function, size_t which, uint64_t recorded,
                       uint64_t asked, size_t count)
{
	static unsigned char truth[4096];
	const bool list = tape_shapes[function->arguments[which].kind].codec == TAPE_C_LIST_AT;
	const size_t unit = list ? sizeof(CK_ULONG) : 1;
	struct side tape;
	struct side live;
	struct side module;
	struct tape_derived derived = { .rv = 99 };
	struct tape_capture capture = capture_of(true);

	guard_reset(&guard);
	tape_arena_reset(&arena);
	generate_call(&generated, &guard, function, TAPE_MAX_ARGUMENTS, 0, recorded * 31 + count,
	              asked);
	dice_bytes(&generated.dice, truth, sizeof(truth));

	ask(&tape, function, which, recorded, unit);
	tape_capture_in(&capture, function, tape.words, tape.in);
	tape.rv = be_module(&tape, truth, count, unit);
	tape_capture_out(&capture, function, tape.words, tape.in, tape.rv, tape.out);

	ask(&module, function, which, asked, unit);
	ask(&live, function, which, asked, unit);
	tape_capture_in(&capture, function, live.words, live.in);
	module.rv = be_module(&module, truth, count, unit);
	const bool derives =
		tape_derive(&arena, function, tape.in, tape.out, tape.rv, live.in, &derived);
	if (derives != follows(recorded, asked, count, list))
		fail_msg("%s: from room %lld to %lld, length %zu, follows: %d", function->name.text,
		         (long long)recorded, (long long)asked, count, derives);
	if (!derives)
		return;
	assert_int_equal(derived.rv, module.rv);
	assert_int_equal(derived.steps, module.rv == CKR_OK && (list || asked != ASKS));
	assert_int_equal(derived.steps, tape_call_steps(function, live.in, derived.rv));
	for (size_t i = 0; i < function->count; i++)
		if (i != which && asked != recorded &&
		    (asked == ASKS || asked < count || derived.rv != CKR_OK))
			assert_int_equal(derived.out[i].form, TAPE_V_ABSENT);
	/* Nothing of a list is an estimate; of bytes, what was not answered by the module itself may be. */
	if (list || asked == recorded)
		assert_int_equal(derived.leeway, 0);
	else if (module.rv != CKR_OK || asked == ASKS)
		assert_int_equal(derived.leeway,
		                 recorded < count && asked < recorded ? 0 : TAPE_LEEWAY_LENGTH);
	else
		assert_int_equal(derived.leeway, asked < recorded ? TAPE_LEEWAY_CODE : 0);
	/* The other outputs go where the generated call has them: only the buffer is looked at. */
	for (size_t i = 0; i < function->count; i++)
		if (i != which)
			derived.out[i].form = TAPE_V_ABSENT;
	tape_answer(NULL, function, live.words, live.in, derived.out);
	assert_int_equal(live.length, module.length);
	if (module.size != 0)
		assert_memory_equal(live.buffer, module.buffer, module.size);
	assert_true(guard_is_intact(&guard));
}

/* Every function, every argument with a room: all ways of asking after all ways of having asked. */
static void rooms_follow(void **state)
{
	static const size_t counts[] = { 0, 1, 5, 300 };
	bool seen[TAPE_K_COUNT] = { false };
	(void)state;
	for (size_t f = 0; f < TAPE_FN_COUNT; f++) {
		const struct tape_function *function = &tape_functions[f];
		size_t rooms_of_function = 0;
		for (size_t i = 0; i < function->count; i++) {
			const uint8_t kind = function->arguments[i].kind;
			const uint8_t codec = tape_shapes[kind].codec;
			if (codec != TAPE_C_BYTES_AT && codec != TAPE_C_LIST_AT)
				continue;
			assert_true(tape_derives_room(&function->arguments[i]));
			rooms_of_function++;
			seen[kind] = true;
			for (size_t c = 0; c < TAPE_ARRAY_SIZE(counts); c++) {
				const size_t n = counts[c];
				const uint64_t rooms[] = { ASKS, 0,     n / 2,  n == 0 ? 0 : n - 1,
					                   n,    n + 1, n + 100 };
				for (size_t a = 0; a < TAPE_ARRAY_SIZE(rooms); a++)
					for (size_t b = 0; b < TAPE_ARRAY_SIZE(rooms); b++)
						derive_one(function, i, rooms[a], rooms[b], n);
			}
		}
		assert_true(rooms_of_function <= 1);
	}
	for (size_t i = 0; i < TAPE_K_COUNT; i++)
		assert_int_equal(seen[i], tape_shapes[i].codec == TAPE_C_BYTES_AT ||
		                                  tape_shapes[i].codec == TAPE_C_LIST_AT);
}

/* ---- the other outputs ----------------------------------------------------------------------- */

/* Of random bytes, of what is found, and of what comes later nothing follows for another room. */
static void other_rooms_do_not(void **state)
{
	bool seen[TAPE_K_COUNT] = { false };
	(void)state;
	for (size_t f = 0; f < TAPE_FN_COUNT; f++) {
		const struct tape_function *function = &tape_functions[f];
		for (size_t i = 0; i < function->count; i++) {
			const struct tape_argument *argument = &function->arguments[i];
			const struct tape_shape *shape = &tape_shapes[argument->kind];
			struct tape_value in[TAPE_MAX_ARGUMENTS] = { { 0 } };
			struct tape_value live[TAPE_MAX_ARGUMENTS] = { { 0 } };
			struct tape_value out[TAPE_MAX_ARGUMENTS] = { { 0 } };
			struct tape_derived derived;
			if ((shape->traits & TAPE_T_OUT) == 0 || tape_derives_room(argument))
				continue;
			seen[argument->kind] = true;
			assert_true(tape_derive(&arena, function, in, out, CKR_OK, live, &derived));
			assert_int_equal(derived.leeway, 0);
			assert_true(derived.steps);
			if (shape->codec != TAPE_C_FILL && shape->codec != TAPE_C_LATER &&
			    shape->codec != TAPE_C_FOUND && shape->codec != TAPE_C_INTERFACES)
				continue;
			in[i] = (struct tape_value){ .form = TAPE_V_ROOM, .number = 16 };
			out[i] = (struct tape_value){ .form = TAPE_V_BYTES,
				                      .length = 16,
				                      .data = "0123456789abcdef" };
			live[i] = in[i];
			assert_true(tape_derive(&arena, function, in, out, CKR_OK, live, &derived));
			assert_memory_equal(&derived.out[i], &out[i], sizeof(out[i]));
			for (uint64_t room = 15; room <= 17; room += 2) {
				live[i].number = room;
				assert_false(tape_derive(&arena, function, in, out, CKR_OK, live,
				                         &derived));
			}
			live[i] = (struct tape_value){ .form = TAPE_V_QUERY };
			assert_false(
				tape_derive(&arena, function, in, out, CKR_OK, live, &derived));
		}
	}
	for (size_t i = 0; i < TAPE_K_COUNT; i++) {
		const struct tape_argument argument = { .kind = (uint8_t)i };
		assert_int_equal(seen[i], (tape_shapes[i].traits & TAPE_T_OUT) != 0 &&
		                                  !tape_derives_room(&argument));
	}
}

/* What a module said that it did not give, what was lost, and what the caller left out. */
static void what_is_not_known_does_not_follow(void **state)
{
	const struct tape_function *sign = &tape_functions[TAPE_FN_C_Sign];
	struct tape_value in[TAPE_MAX_ARGUMENTS] = { { 0 } };
	struct tape_value live[TAPE_MAX_ARGUMENTS] = { { 0 } };
	struct tape_value out[TAPE_MAX_ARGUMENTS] = { { 0 } };
	struct tape_derived derived;
	const struct tape_value rooms[] = { { .form = TAPE_V_QUERY },
		                            { .form = TAPE_V_ROOM, .number = 3 },
		                            { .form = TAPE_V_ROOM, .number = 50 } };
	const struct tape_value lies = { .form = TAPE_V_BYTES,
		                         .length = 16,
		                         .data = "0123456789abcdef",
		                         .stated = 1,
		                         .number = 20 };
	const struct tape_value lost = { .form = TAPE_V_LOST, .data = "unreadable" };
	const struct tape_value secret = {
		.form = TAPE_V_SECRET, .data = "data-1", .length = 6, .stated = 1, .number = 20
	};
	(void)state;
	in[2] = (struct tape_value){ .form = TAPE_V_ROOM, .number = 16 };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rooms); i++) {
		live[2] = rooms[i];
		out[2] = lies;
		assert_false(tape_derive(&arena, sign, in, out, CKR_OK, live, &derived));
		out[2] = lost;
		assert_false(tape_derive(&arena, sign, in, out, CKR_OK, live, &derived));
		out[2] = secret;
		assert_false(tape_derive(&arena, sign, in, out, CKR_OK, live, &derived));
		/* CKR_BUFFER_TOO_SMALL that left the length as it was. */
		out[2] = (struct tape_value){ .form = TAPE_V_ABSENT };
		assert_false(
			tape_derive(&arena, sign, in, out, CKR_BUFFER_TOO_SMALL, live, &derived));
	}
	out[2] = secret;
	in[2].number = 20;
	live[2].number = 20;
	assert_true(tape_derive(&arena, sign, in, out, CKR_OK, live, &derived));
	live[2].number = 19;
	assert_true(tape_derive(&arena, sign, in, out, CKR_OK, live, &derived));
	assert_int_equal(derived.rv, CKR_BUFFER_TOO_SMALL);
	assert_int_equal(derived.out[2].number, 20);
	static const enum tape_form odd[] = { TAPE_V_NULL, TAPE_V_UNSTATED, TAPE_V_LOST };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(odd); i++) {
		live[2] = (struct tape_value){ .form = (uint8_t)odd[i] };
		assert_false(tape_derive(&arena, sign, in, out, CKR_OK, live, &derived));
	}
	/* An argument whose room was not kept. */
	live[2] = in[2];
	in[2] = lost;
	assert_false(tape_derive(&arena, sign, in, out, CKR_OK, live, &derived));
}

/* An error that is not about room stays where there is as much of it, and ends what it ended. */
static void errors_follow_for_more_room(void **state)
{
	const struct tape_function *decrypt = &tape_functions[TAPE_FN_C_Decrypt];
	struct tape_value in[TAPE_MAX_ARGUMENTS] = { { 0 } };
	struct tape_value live[TAPE_MAX_ARGUMENTS] = { { 0 } };
	struct tape_value out[TAPE_MAX_ARGUMENTS] = { { 0 } };
	struct tape_derived derived;
	(void)state;
	in[2] = live[2] = (struct tape_value){ .form = TAPE_V_ROOM, .number = 16 };
	for (live[2].number = 16; live[2].number < 18; live[2].number++) {
		assert_true(tape_derive(&arena, decrypt, in, out, CKR_ENCRYPTED_DATA_INVALID, live,
		                        &derived));
		assert_int_equal(derived.rv, CKR_ENCRYPTED_DATA_INVALID);
		assert_true(derived.steps);
	}
	live[2].number = 15;
	assert_false(
		tape_derive(&arena, decrypt, in, out, CKR_ENCRYPTED_DATA_INVALID, live, &derived));
	live[2] = (struct tape_value){ .form = TAPE_V_QUERY };
	assert_false(
		tape_derive(&arena, decrypt, in, out, CKR_ENCRYPTED_DATA_INVALID, live, &derived));
	in[2] = live[2];
	live[2] = (struct tape_value){ .form = TAPE_V_ROOM, .number = 16 };
	assert_false(
		tape_derive(&arena, decrypt, in, out, CKR_ENCRYPTED_DATA_INVALID, live, &derived));
}

/* ---- templates ------------------------------------------------------------------------------- */

struct reading {
	uintptr_t words[TAPE_MAX_WORDS];
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
	CK_ATTRIBUTE *list;
	size_t count;
};

static const struct tape_function *const reads = &tape_functions[TAPE_FN_C_GetAttributeValue];

static void capture_reading(struct reading *reading, CK_ATTRIBUTE *list, size_t count)
{
	struct tape_capture capture = capture_of(true);
	reading->list = list;
	reading->count = count;
	reading->words[0] = reading->words[1] = 1;
	reading->words[2] = (uintptr_t)list;
	reading->words[3] = count;
	tape_capture_in(&capture, reads, reading->words, reading->in);
}

static void record_reading(struct reading *reading, const struct object *object, CK_RV *ret_rv,
                           unsigned int turn)
{
	struct tape_capture capture = capture_of(true);
	*ret_rv = object_rv(object_read(object, reading->list, reading->count), turn);
	tape_capture_out(&capture, reads, reading->words, reading->in, *ret_rv, reading->out);
}

/* Other rooms for the same types: those of a new template that happens to ask for the same. */
static CK_ATTRIBUTE *other_rooms(const struct object *object, struct dice *dice,
                                 const CK_ATTRIBUTE *list, size_t count)
{
	CK_ATTRIBUTE *copy = object_copy_template(&guard, list, count);
	CK_ATTRIBUTE *more;
	for (size_t tries = 0; tries < 4; tries++) {
		const size_t other = object_template(object, dice, &guard, &more);
		for (size_t i = 0; i < other; i++)
			for (size_t j = 0; j < count; j++)
				if (copy[j].type == more[i].type && dice_pick(dice, 2))
					copy[j] = more[i];
	}
	return copy;
}

/* A template that was read once answers reads of the same attributes with other rooms, or says nothing. */
static void templates_follow(void **state)
{
	struct dice dice = { 5 };
	size_t derived_count = 0;
	size_t marked = 0;
	(void)state;
	for (unsigned int round = 0; round < 20000; round++) {
		struct object object;
		struct reading tape;
		struct reading live;
		struct tape_derived derived;
		CK_ATTRIBUTE *list;
		CK_RV rv;
		guard_reset(&guard);
		tape_arena_reset(&arena);
		object_make(&object, &dice);
		const size_t count = object_template(&object, &dice, &guard, &list);
		CK_ATTRIBUTE *again = other_rooms(&object, &dice, list, count);
		CK_ATTRIBUTE *module = object_copy_template(&guard, again, count);
		capture_reading(&tape, list, count);
		record_reading(&tape, &object, &rv, round % 2);
		capture_reading(&live, again, count);
		if (!tape_derive(&arena, reads, tape.in, tape.out, rv, live.in, &derived))
			continue;
		derived_count++;
		marked += derived.leeway != 0;
		const unsigned int codes = object_read(&object, module, count);
		tape_answer(NULL, reads, live.words, live.in, derived.out);
		assert_true(object_same_template(again, module, count));
		assert_true(guard_is_intact(&guard));
		assert_true(object_may_return(codes, derived.rv));
		/* The very call that was recorded has the code that was recorded. */
		if (derived.out[2].data == tape.out[2].data)
			assert_int_equal(derived.rv, rv);
		else if (derived.leeway == 0)
			assert_true(derived.rv == object_rv(codes, 0) &&
			            derived.rv == object_rv(codes, 1));
		else
			assert_int_equal(derived.leeway, TAPE_LEEWAY_CODE);
	}
	print_message("%zu of 20000 follow, %zu of them with another code possible\n",
	              derived_count, marked);
	assert_true(derived_count > 3000 && marked > 100);
}

/* Two reads of one attribute: what says more stays, and what contradicts is told. */
static void facts_are_joined(void **state)
{
	static const struct tape_known nothing = { .sort = TAPE_KNOWN_NOTHING };
	static const struct tape_known length = {
		TAPE_KNOWN_LENGTH, true, CKR_OK, { .number = 3 }
	};
	static const struct tape_known other = { TAPE_KNOWN_LENGTH, true, CKR_OK, { .number = 4 } };
	static const struct tape_known value = {
		TAPE_KNOWN_VALUE,
		true,
		CKR_OK,
		{ .form = TAPE_V_BYTES, .length = 3, .data = "abc" },
	};
	static const struct tape_known changed = {
		TAPE_KNOWN_VALUE,
		true,
		CKR_OK,
		{ .form = TAPE_V_BYTES, .length = 3, .data = "abd" },
	};
	static const struct tape_known maybe = { .sort = TAPE_KNOWN_NONE,
		                                 .code = CKR_ATTRIBUTE_SENSITIVE };
	static const struct tape_known invalid = {
		TAPE_KNOWN_NONE, true, CKR_ATTRIBUTE_TYPE_INVALID, { .number = 0 }
	};
	static const struct tape_known sensitive = {
		TAPE_KNOWN_NONE, true, CKR_ATTRIBUTE_SENSITIVE, { .number = 0 }
	};
	static const struct {
		const struct tape_known *a, *b, *joined; /* NULL: they contradict each other */
	} rows[] = {
		{ &nothing, &value, &value },
		{ &value, &nothing, &value },
		{ &length, &value, &value },
		{ &value, &length, &value },
		{ &length, &length, &length },
		{ &length, &other, NULL },
		{ &value, &other, NULL },
		{ &value, &changed, NULL },
		{ &value, &value, &value },
		{ &maybe, &invalid, &invalid },
		{ &invalid, &maybe, &invalid },
		{ &invalid, &sensitive, NULL },
		{ &value, &invalid, NULL },
		{ &maybe, &value, NULL },
		{ &sensitive, &sensitive, &sensitive },
	};
	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++) {
		struct tape_known joined = *rows[i].a;
		assert_int_equal(tape_known_join(&joined, rows[i].b), rows[i].joined != NULL);
		assert_memory_equal(&joined, rows[i].joined == NULL ? rows[i].a : rows[i].joined,
		                    sizeof(joined));
	}
}

/* Which code an entry has, where several were refused. */
static void codes_are_told_apart(void **state)
{
	const struct tape_value asked[] = {
		{ .form = TAPE_V_QUERY, .tag = CKA_VALUE },
		{ .form = TAPE_V_ROOM, .tag = CKA_LABEL, .number = 4 },
		{ .form = TAPE_V_ROOM, .tag = CKA_TOKEN, .number = 1 },
	};
	const struct tape_value gone = { .form = TAPE_V_LENGTH,
		                         .number = CK_UNAVAILABLE_INFORMATION };
	const struct tape_value text = { .form = TAPE_V_BYTES, .length = 2, .data = "hi" };
	const struct tape_value left = { .form = TAPE_V_SAME };
	struct tape_value answers[3] = { gone, text, text };
	const struct tape_value in = { .form = TAPE_V_LIST, .count = 3, .data = asked };
	const struct tape_value out = { .form = TAPE_V_LIST, .count = 3, .data = answers };
	struct tape_known known = tape_known_read(&in, &out, CKR_ATTRIBUTE_SENSITIVE, 0);
	(void)state;
	assert_true(known.sort == TAPE_KNOWN_NONE && known.sure &&
	            known.code == CKR_ATTRIBUTE_SENSITIVE);
	/* A second one: it may be the other one's code; and where room may lack, it may be that. */
	answers[1] = gone;
	known = tape_known_read(&in, &out, CKR_ATTRIBUTE_SENSITIVE, 0);
	assert_true(known.sort == TAPE_KNOWN_NONE && !known.sure);
	known = tape_known_read(&in, &out, CKR_ATTRIBUTE_SENSITIVE, 1);
	assert_int_equal(known.sort, TAPE_KNOWN_NOTHING);
	answers[2] = gone;
	known = tape_known_read(&in, &out, CKR_ATTRIBUTE_SENSITIVE, 2);
	assert_true(known.sort == TAPE_KNOWN_NONE && !known.sure);
	/* What was left alone may have been refused, too. */
	answers[1] = text;
	answers[2] = left;
	assert_false(tape_known_read(&in, &out, CKR_ATTRIBUTE_TYPE_INVALID, 0).sure);
	assert_int_equal(tape_known_read(&in, &out, CKR_ATTRIBUTE_TYPE_INVALID, 2).sort,
	                 TAPE_KNOWN_NOTHING);
	/* Nothing is learnt of calls that failed altogether, nor of what stands in no answer. */
	assert_int_equal(tape_known_read(&in, &out, CKR_DEVICE_ERROR, 1).sort, TAPE_KNOWN_NOTHING);
	assert_int_equal(tape_known_read(&in, &out, CKR_OK, 0).sort, TAPE_KNOWN_NOTHING);
	assert_int_equal(tape_known_read(&in, &out, CKR_OK, 3).sort, TAPE_KNOWN_NOTHING);
	assert_int_equal(tape_known_read(&in, &left, CKR_OK, 0).sort, TAPE_KNOWN_NOTHING);
	assert_int_equal(tape_known_read(&in, &out, CKR_OK, 1).sort, TAPE_KNOWN_VALUE);
	/* A length beyond the room is what a module may say of it, not how long the value is. */
	answers[1] = (struct tape_value){ .form = TAPE_V_LENGTH, .number = 2 };
	assert_int_equal(tape_known_read(&in, &out, CKR_BUFFER_TOO_SMALL, 1).sort,
	                 TAPE_KNOWN_LENGTH);
	answers[1].number = 9;
	assert_int_equal(tape_known_read(&in, &out, CKR_BUFFER_TOO_SMALL, 1).sort,
	                 TAPE_KNOWN_NOTHING);
}

/* Without memory nothing follows, and nothing else happens. */
static void memory_may_run_out(void **state)
{
	struct tape_arena none;
	struct dice dice = { 1 };
	struct object object;
	struct reading tape;
	struct tape_derived derived;
	CK_ATTRIBUTE *list;
	CK_RV rv;
	(void)state;
	guard_reset(&guard);
	object_make(&object, &dice);
	const size_t count = object_template(&object, &dice, &guard, &list);
	for (size_t i = 0; i < count; i++)
		list[i].pValue = NULL;
	capture_reading(&tape, list, count);
	record_reading(&tape, &object, &rv, 0);
	tape_arena_init(&none, NULL, 0, 0);
	struct reading live = tape;
	struct tape_value *entries = tape_arena_array(&arena, count, sizeof(*entries));
	memcpy(entries, tape.in[2].data, count * sizeof(*entries));
	entries[0] = (struct tape_value){ .form = TAPE_V_ROOM, .tag = entries[0].tag };
	live.in[2].data = entries;
	assert_false(tape_derive(&none, reads, tape.in, tape.out, rv, live.in, &derived));
	tape_arena_done(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rooms_follow),
		cmocka_unit_test(other_rooms_do_not),
		cmocka_unit_test(what_is_not_known_does_not_follow),
		cmocka_unit_test(errors_follow_for_more_room),
		cmocka_unit_test(templates_follow),
		cmocka_unit_test(facts_are_joined),
		cmocka_unit_test(codes_are_told_apart),
		cmocka_unit_test(memory_may_run_out),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
