/* SPDX-License-Identifier: MIT
 *
 * Calls made of the rows of core/api: for every function, arguments of every variant that its shapes
 * have, in a caller's memory that ends at guard pages, and a module that answers them. What a caller
 * leaves to chance comes from dice of its own, so that the same call can be made twice with other
 * garbage in it.
 *
 * This is a second reading of the rows, on purpose: it shares no code with core/capture.c.
 */
#ifndef TEST_GENERATE_H
#define TEST_GENERATE_H

#include "core/api/api.h"
#include "core/value.h"
#include "tests/unit/support/guard.h"

struct dice {
	uint64_t state;
};

uint64_t dice_roll(struct dice *dice);

/* One of 0 … count - 1; 0 where count is 0. */
size_t dice_pick(struct dice *dice, size_t count);

/* What the module does in a call, and what it returns. */
enum act {
	ACT_OK,
	ACT_EMPTY,     /* CKR_OK, and every output is empty */
	ACT_LIES,      /* CKR_OK, with lengths that are larger than the room */
	ACT_TOO_SMALL, /* CKR_BUFFER_TOO_SMALL */
	ACT_SENSITIVE, /* CKR_ATTRIBUTE_SENSITIVE, and the other attributes are given */
	ACT_INVALID,   /* CKR_ATTRIBUTE_TYPE_INVALID, likewise */
	ACT_CLEAN,     /* CKR_DEVICE_ERROR, and nothing is written */
	ACT_DIRTY,     /* CKR_FUNCTION_FAILED, and outputs are scribbled on */
	ACT_COUNT
};

struct span {
	unsigned char *memory;
	size_t size;
};

#define CALL_MAX_SPANS 8192

/* A mechanism's parameter, or a message's, where the module could find it. */
struct call_parameter {
	unsigned char *memory; /* NULL where there is none, or it cannot be read */
	size_t size;
	enum tape_record_id record; /* TAPE_R_NONE for plain bytes */
};

struct call {
	const struct tape_function *function;
	uintptr_t words[TAPE_MAX_WORDS];
	struct guard *guard;
	struct dice dice, chance;
	enum tape_record_id message_record; /* what generate_message_record() tells */
	struct call_parameter parameters[TAPE_MAX_ARGUMENTS];
	bool keeps_pointers; /* somewhere bytes with addresses in them are compared: never equal again */
	struct span writable[CALL_MAX_SPANS]; /* what a module may write */
	size_t writable_count;
	struct span written
		[CALL_MAX_SPANS]; /* what the module wrote, as far as PKCS#11 gives it a meaning */
	size_t written_count;
	unsigned char scratch[GUARD_LARGEST];
};

/* How many variants an argument has. */
size_t generate_variants(const struct tape_argument *argument);

/*
 * Make a call. Argument `focus` gets the variant, the others any; all get any if it is
 * TAPE_MAX_ARGUMENTS. Two calls with the same seed and focus differ in chance only.
 */
void generate_call(struct call *call, struct guard *guard, const struct tape_function *function,
                   size_t focus, size_t variant, uint64_t seed, uint64_t chance);

/* Be the module. */
CK_RV generate_act(struct call *call, enum act act);

/* For struct tape_capture; its context is the call. */
enum tape_record_id generate_message_record(void *context, CK_SESSION_HANDLE session, bool seal);

#endif
