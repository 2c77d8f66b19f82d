/* SPDX-License-Identifier: MIT
 *
 * One argument of one call, as every part of p11tape passes it around: the recorder captures it from
 * the caller's memory, the writer spells it, the reader makes it again, the replayer compares it and
 * writes it into another caller's memory. docs/trace-format.md says how each form is spelled.
 *
 * A value owns nothing: what it points to belongs to an arena, or (while a call is being captured) to
 * the caller. A call's inputs and its outputs are two values; an absent output was not written.
 */
#ifndef TAPE_VALUE_H
#define TAPE_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "core/api/api.h"

enum tape_form {
	TAPE_V_ABSENT,  /* nothing to say; as an output: not written */
	TAPE_V_NULL,    /* a NULL pointer (with length 0, where there is a length) */
	TAPE_V_PRESENT, /* some pointer, opaque */
	TAPE_V_NUMBER,  /* `number` */
	TAPE_V_BYTES, /* `length` bytes at `data`; `stated` says that `number` is a length that lies */
	TAPE_V_LENGTH, /* only a length, `number`: of a NULL input, or written without contents */
	TAPE_V_SECRET, /* redacted: name of `length` characters at `data`; `stated`: its length is `number` */
	TAPE_V_ROOM, /* an output buffer with room for `number` bytes (elements, in lists) */
	TAPE_V_QUERY, /* a NULL output buffer: the length is asked for; `stated`: with `number` as length */
	TAPE_V_UNSTATED, /* an output buffer whose length pointer is NULL */
	TAPE_V_LIST, /* `count` values at `data`; `stated` says that `number` is a count that lies */
	TAPE_V_RECORD, /* one value per field of `record`, at `data` */
	TAPE_V_IMAGE, /* a structure `record` as it lies in the caller's memory, at `data`: to be printed at once */
	TAPE_V_MECHANISM, /* mechanism type `tag`; one value, its parameter, at `data` */
	TAPE_V_RAW,       /* bytes whose meaning is not known; pointers in them mean nothing */
	TAPE_V_SAME,      /* an entry of a template that the module left as it was */
	TAPE_V_LOST,      /* it could not be kept; zero-terminated reason at `data` */
};

struct tape_value {
	uint8_t form; /* enum tape_form */
	uint8_t stated;
	uint16_t record; /* enum tape_record_id */
	uint32_t count;
	uint64_t tag; /* of a template's entry: the attribute type; of a mechanism: its type */
	uint64_t number;
	size_t length;
	const void *data;

	/* Only while a call is captured: where it lies in the caller's memory, and what was there before. */
	void *memory;
	const void *before;
};

/*
 * Attribute type of the entries of a template being read whose type the caller leaves to chance. Not ~0,
 * which is what a failed look-up gives to C_CreateObject as well.
 */
#define TAPE_TAG_ANY UINT64_C(0xa17f0ca11eda7a9e)

/* How deep templates, parameters and nested structures may go before we stop following them. */
#define TAPE_MAX_DEPTH 8

/* Elements of one list and bytes of one argument that are captured or read at the most. */
#define TAPE_MAX_ELEMENTS ((size_t)1 << 20)
#define TAPE_MAX_BYTES ((size_t)1 << 30)

/* The values of a RECORD that C_Initialize's arguments make. */
enum tape_init_field { TAPE_INIT_FLAGS, TAPE_INIT_MUTEXES, TAPE_INIT_RESERVED, TAPE_INIT_COUNT };

/* The values of a RECORD that a function list or an interface makes. */
enum tape_list_field {
	TAPE_LIST_NAME,    /* of the interface; absent for C_GetFunctionList */
	TAPE_LIST_VERSION, /* major << 8 | minor; absent where the interface is not known to us */
	TAPE_LIST_FLAGS,
	TAPE_LIST_MISSING, /* functions whose pointer is NULL */
	TAPE_LIST_COUNT
};

static inline const struct tape_value *tape_value_child(const struct tape_value *value,
                                                        size_t index)
{
	return (const struct tape_value *)value->data + index;
}

struct tape_arena;

/* Whether a child of a structure, or a mechanism's parameter, is a handle of an object. */
bool tape_value_is_object(const struct tape_value *parent, size_t index);

/*
 * Tell of each handle of an object inside of a call's structures and mechanisms' parameters: of its inputs, or of
 * its outputs. `given` is whether the module writes that field.
 */
typedef void tape_inner_object_fn(void *context, const struct tape_value *handle, bool given);
void tape_value_each_object(const struct tape_function *function, const struct tape_value *values,
                            tape_inner_object_fn *each, void *context);

/*
 * Copy a value with all that it points to, but for the caller's memory: `memory` and `before` become NULL. Not for
 * images. Returns false without memory.
 */
TAPE_MUST_CHECK bool tape_value_copy(struct tape_arena *arena, struct tape_value *to,
                                     const struct tape_value *from);

#endif
