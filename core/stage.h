/* SPDX-License-Identifier: MIT
 *
 * From recorded inputs to arguments in memory: the way back of tape_capture_in(), for those who issue a
 * recorded call again. Capturing what was staged gives values that are equal to the recorded ones, but
 * for what the trace does not know: secrets by name, opaque pointers, what was lost.
 */
#ifndef TAPE_STAGE_H
#define TAPE_STAGE_H

#include "core/api/api.h"
#include "core/arena.h"
#include "core/value.h"

/* Find the value of a secret that the trace only names. Returns false where it is not known. */
typedef bool tape_stage_secret_fn(void *context, const struct tape_value *secret,
                                  const void **ret_bytes, size_t *ret_length);

/* Give the live handle for a recorded one. */
typedef uint64_t tape_stage_handle_fn(void *context, enum tape_kind kind, uint64_t recorded);

/* Take other bytes for recorded ones. Returns false where they stay as they are. */
typedef bool tape_stage_bytes_fn(void *context, const void *recorded, size_t length,
                                 const void **ret_bytes, size_t *ret_length);

/* Give the type that stands in an entry of a nested template before it is read. */
typedef uint64_t tape_stage_type_fn(void *context, uint64_t attribute, size_t index);

/* Give `size` zeroed bytes for an argument that is to have memory of its own. NULL without memory. */
typedef void *tape_stage_room_fn(void *context, size_t size);

struct tape_stage {
	struct tape_arena *arena; /* the arguments live here, zeroed where the trace says nothing */
	/* C_Initialize's mutex functions, in the order of their bits; the trace knows only which were given. */
	CK_C_INITIALIZE_ARGS mutexes;
	CK_NOTIFY notify;             /* for a Notify that was not NULL */
	tape_stage_secret_fn *secret; /* NULL: secrets are empty */
	tape_stage_handle_fn
		*handle;            /* of sessions, objects and slots; NULL: they are as recorded */
	tape_stage_bytes_fn *bytes; /* of byte strings; NULL: they are as recorded */
	tape_stage_type_fn *type;   /* NULL: CKA_CLASS */
	tape_stage_room_fn *room;   /* of what arguments point to; NULL: it is in the arena */
	unsigned char
		fill; /* what stands in attributes to be read, in numbers and handles before the call */
	void *context;
	const char
		*missing; /* what could not be made: "pPin: the secret pin-1"; NULL for nothing */
};

/*
 * Make the arguments of a call. Returns 0, or an error code (without a sentence) where memory is out or
 * something is missing: `stage->missing` then says what.
 */
TAPE_MUST_CHECK int tape_stage_in(struct tape_stage *stage, const struct tape_function *function,
                                  const struct tape_value *in, uintptr_t words[TAPE_MAX_WORDS]);

#endif
