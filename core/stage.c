/* SPDX-License-Identifier: MIT */
#include "core/stage.h"

#include <stdio.h>
#include <string.h>

#include "core/error.h"

struct work {
	struct tape_stage *stage;
	const char *argument; /* whose value is being made */
	int result;
};

static void *get(struct work *work, size_t size)
{
	struct tape_stage *stage = work->stage;
	void *memory = stage->room != NULL ? stage->room(stage->context, size)
	                                   : tape_arena_get(stage->arena, size);
	if (memory == NULL)
		work->result = -TAPE_E_MEMORY;
	else if (stage->room == NULL)
		memset(memory, 0, size);
	return memory;
}

/* Memory of which it matters after a failed call whether the module wrote to it. */
static void *get_filled(struct work *work, size_t size)
{
	void *memory = get(work, size);
	if (memory != NULL)
		memset(memory, work->stage->fill, size);
	return memory;
}

static void miss(struct work *work, const char *why, const char *what)
{
	char text[160];
	if (work->result != 0)
		return;
	snprintf(text, sizeof(text), "%s: %s %s", work->argument, why, what);
	work->stage->missing = tape_arena_copy(work->stage->arena, text, strlen(text));
	work->result = -TAPE_E_INVALID;
}

static uint64_t live_handle(struct work *work, enum tape_kind kind, uint64_t recorded)
{
	if (work->stage->handle == NULL)
		return recorded;
	return work->stage->handle(work->stage->context, kind, recorded);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* A byte string: its address, and its length as the caller says it. */
struct span {
	void *memory;
	CK_ULONG length;
};

static struct span copy_exactly(struct work *work, const void *bytes, size_t length)
{
	struct span span = { get(work, length), (CK_ULONG)length };
	if (span.memory != NULL && length != 0)
		memcpy(span.memory, bytes, length);
	return span;
}

static struct span copy_bytes(struct work *work, const void *bytes, size_t length)
{
	if (work->stage->bytes != NULL)
		(void)work->stage->bytes(work->stage->context, bytes, length, &bytes, &length);
	return copy_exactly(work, bytes, length);
}

static struct span make_secret(struct work *work, const struct tape_value *value)
{
	const void *bytes = NULL;
	size_t length = 0;
	char name[32];
	snprintf(name, sizeof(name), "%.*s", (int)value->length, (const char *)value->data);
	if (work->stage->secret != NULL &&
	    !work->stage->secret(work->stage->context, value, &bytes, &length))
		miss(work, "nobody says what stands for", name);
	return copy_exactly(work, bytes, length);
}

/* Whatever bytes an input can be. */
static struct span make_bytes(struct work *work, const struct tape_value *value)
{
	struct span span = { NULL, 0 };
	switch ((enum tape_form)value->form) {
	case TAPE_V_BYTES:
	case TAPE_V_RAW:
		span = copy_bytes(work, value->data, value->length);
		break;
	case TAPE_V_SECRET:
		span = make_secret(work, value);
		break;
	case TAPE_V_LENGTH:
		span.length = (CK_ULONG)value->number;
		break;
	case TAPE_V_ROOM:
		span.memory = get_filled(work, (size_t)value->number);
		span.length = (CK_ULONG)value->number;
		break;
	case TAPE_V_LOST:
		miss(work, "it is not in the recording:", value->data);
		break;
	default:
		break;
	}
	return span;
}

/* ---- templates ------------------------------------------------------------------------------- */

static struct span make_template(struct work *work, const struct tape_value *value,
                                 unsigned int depth);

/* The module says the types of nested entries; what lies in one may itself be a template. */
static uint64_t nested_type(const struct work *work, const struct tape_value *list, size_t index)
{
	const struct tape_stage *stage = work->stage;
	if (tape_value_child(list, index)->form == TAPE_V_LIST)
		return CKA_WRAP_TEMPLATE;
	return stage->type == NULL ? CKA_CLASS : stage->type(stage->context, list->tag, index);
}

static void make_entry(struct work *work, const struct tape_value *list, size_t index,
                       CK_ATTRIBUTE *entry, unsigned int depth)
{
	const struct tape_value *value = tape_value_child(list, index);
	struct span span;
	entry->type = (CK_ATTRIBUTE_TYPE)value->tag;
	if (value->tag == TAPE_TAG_ANY)
		entry->type = (CK_ATTRIBUTE_TYPE)nested_type(work, list, index);
	if (value->form == TAPE_V_LIST) {
		span = make_template(work, value, depth + 1);
		span.length *= sizeof(CK_ATTRIBUTE);
	} else {
		span = make_bytes(work, value);
	}
	entry->pValue = span.memory;
	entry->ulValueLen = span.length;
}

/* Returns the template and the number of its entries. */
static struct span make_template(struct work *work, const struct tape_value *value,
                                 unsigned int depth)
{
	struct span span = { NULL, 0 };
	if (value->form != TAPE_V_LIST) {
		if (value->form == TAPE_V_LENGTH)
			span.length = (CK_ULONG)value->number;
		else if (value->form == TAPE_V_LOST)
			miss(work, "it is not in the recording:", value->data);
		return span;
	}
	CK_ATTRIBUTE *entries = get(work, value->count * sizeof(*entries));
	span.memory = entries;
	span.length = value->count;
	for (size_t i = 0; entries != NULL && i < value->count && depth <= TAPE_MAX_DEPTH; i++)
		make_entry(work, value, i, &entries[i], depth);
	return span;
}

/* ---- structures ------------------------------------------------------------------------------ */

static struct span make_parameter(struct work *work, const struct tape_value *value,
                                  unsigned int depth);
static void *make_record(struct work *work, const struct tape_value *value, void *memory,
                         unsigned int depth);

static void put_ulong(unsigned char *to, CK_ULONG number)
{
	memcpy(to, &number, sizeof(number));
}

static void *make_mechanism(struct work *work, const struct tape_value *value, unsigned int depth)
{
	if (value->form == TAPE_V_LOST)
		miss(work, "it is not in the recording:", value->data);
	if (value->form != TAPE_V_MECHANISM || depth > TAPE_MAX_DEPTH)
		return NULL;
	CK_MECHANISM *mechanism = get(work, sizeof(*mechanism));
	if (mechanism == NULL)
		return NULL;
	struct span parameter = make_parameter(work, tape_value_child(value, 0), depth + 1);
	mechanism->mechanism = (CK_MECHANISM_TYPE)value->tag;
	mechanism->pParameter = parameter.memory;
	mechanism->ulParameterLen = parameter.length;
	return mechanism;
}

static struct span make_structs(struct work *work, const struct tape_field *field,
                                const struct tape_value *value, unsigned int depth)
{
	struct span span = { NULL, 0 };
	size_t size = tape_records[field->detail].size;
	if (value->form != TAPE_V_LIST)
		return make_bytes(work, value);
	unsigned char *memory = get(work, value->count * size);
	span.memory = memory;
	span.length = value->count;
	for (size_t i = 0; memory != NULL && i < value->count; i++)
		make_record(work, tape_value_child(value, i), memory + i * size, depth + 1);
	return span;
}

/* What a pointer in a structure points to, and how much that is where a member beside it says so. */
static void make_pointer(struct work *work, const struct tape_field *field,
                         const struct tape_value *value, unsigned char *image, unsigned int depth)
{
	struct span span = { NULL, 0 };
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_P_OPAQUE:
		if (value->form == TAPE_V_PRESENT)
			span.memory = get(work, 1);
		break;
	case TAPE_F_P_TEXTZ:
		/* With the zero behind it, which tape_arena_copy() adds. */
		if (value->form == TAPE_V_BYTES)
			span.memory =
				tape_arena_copy(work->stage->arena, value->data, value->length);
		break;
	case TAPE_F_P_MECHANISM:
		span.memory = make_mechanism(work, value, depth + 1);
		break;
	case TAPE_F_P_TEMPLATE:
		span = make_template(work, value, depth + 1);
		break;
	case TAPE_F_P_STRUCTS:
		span = make_structs(work, field, value, depth);
		break;
	case TAPE_F_P_STRUCT:
		if (value->form == TAPE_V_RECORD)
			span.memory = make_record(work, value, NULL, depth + 1);
		break;
	case TAPE_F_P_OBJECT:
		/* Written by the module; absent unless it was NULL. */
		if (value->form != TAPE_V_NULL)
			span.memory = get_filled(work, sizeof(CK_OBJECT_HANDLE));
		break;
	default:
		span = make_bytes(work, value);
		break;
	}
	memcpy(image + field->offset, &span.memory, sizeof(span.memory));
	if (field->extent == TAPE_NOWHERE || value->form == TAPE_V_ABSENT)
		return;
	if (field->kind == TAPE_F_P_BYTES_AT || field->kind == TAPE_F_P_SECRET_AT) {
		CK_ULONG *length = get(work, sizeof(*length));
		if (length != NULL)
			*length = span.length;
		memcpy(image + field->extent, &length, sizeof(length));
	} else if (field->kind != TAPE_F_P_BITS) {
		/* A number of bits is a field of its own that the trace has. */
		put_ulong(image + field->extent, span.length);
	}
}

static void make_field(struct work *work, const struct tape_field *field,
                       const struct tape_value *value, unsigned char *image, unsigned int depth)
{
	unsigned char *at = image + field->offset;
	size_t size;
	if (field->kind >= TAPE_F_P_BYTES) {
		make_pointer(work, field, value, image, depth);
		return;
	}
	if (value->form == TAPE_V_ABSENT)
		return;
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_NUMBER:
	case TAPE_F_LIMIT:
	case TAPE_F_CONSTANT:
	case TAPE_F_FLAGS:
		put_ulong(at, (CK_ULONG)value->number);
		break;
	case TAPE_F_OBJECT:
		put_ulong(at, (CK_ULONG)live_handle(work, TAPE_K_OBJECT, value->number));
		break;
	case TAPE_F_BOOL:
	case TAPE_F_BYTE:
		*at = (unsigned char)value->number;
		break;
	case TAPE_F_VERSION:
		at[0] = (unsigned char)(value->number >> 8);
		at[1] = (unsigned char)value->number;
		break;
	case TAPE_F_STRUCT:
		make_record(work, value, at, depth + 1);
		break;
	case TAPE_F_CHARS:
	case TAPE_F_FIXED:
	case TAPE_F_ULONGS:
		size = value->length < field->size ? value->length : field->size;
		if (field->kind == TAPE_F_CHARS)
			memset(at, ' ', field->size);
		if (value->form == TAPE_V_BYTES && size != 0)
			memcpy(at, value->data, size);
		break;
	default:
		break;
	}
}

/* Fill in a structure at `memory`, or in memory of its own. */
static void *make_record(struct work *work, const struct tape_value *value, void *memory,
                         unsigned int depth)
{
	if (value->form == TAPE_V_LOST)
		miss(work, "it is not in the recording:", value->data);
	if (value->form != TAPE_V_RECORD || depth > TAPE_MAX_DEPTH)
		return memory;
	const struct tape_record *record = &tape_records[value->record];
	unsigned char *image = memory == NULL ? get(work, record->size) : memory;
	for (size_t i = 0; image != NULL && i < record->count && i < value->count; i++)
		make_field(work, &tape_fields[record->first + i], tape_value_child(value, i), image,
		           depth);
	return image;
}

static struct span make_parameter(struct work *work, const struct tape_value *value,
                                  unsigned int depth)
{
	struct span span = { NULL, 0 };
	if (value->form == TAPE_V_RECORD) {
		span.memory = make_record(work, value, NULL, depth);
		span.length = tape_records[value->record].size;
		return span;
	}
	if (value->form != TAPE_V_NUMBER)
		return make_bytes(work, value);
	uint64_t number = value->number;
	if (value->record == TAPE_P_OBJECT)
		number = live_handle(work, TAPE_K_OBJECT, number);
	CK_ULONG ulong = (CK_ULONG)number;
	return copy_exactly(work, &ulong, sizeof(ulong));
}

/* ---- C_Initialize ---------------------------------------------------------------------------- */

static void *make_init_args(struct work *work, const struct tape_value *value)
{
	/* NSS's structure is longer than the standard's: what stands behind is NULL. */
	struct {
		CK_C_INITIALIZE_ARGS standard;
		void *behind[2];
	} * args;
	size_t size = work->stage->room == NULL ? sizeof(*args) : sizeof(args->standard);
	if (value->form == TAPE_V_LOST)
		miss(work, "it is not in the recording:", value->data);
	if (value->form != TAPE_V_RECORD || (args = get(work, size)) == NULL)
		return NULL;
	uint64_t given = tape_value_child(value, TAPE_INIT_MUTEXES)->number;
	const struct tape_value *reserved = tape_value_child(value, TAPE_INIT_RESERVED);
	const CK_C_INITIALIZE_ARGS *ours = &work->stage->mutexes;
	args->standard.flags = (CK_FLAGS)tape_value_child(value, TAPE_INIT_FLAGS)->number;
	args->standard.CreateMutex = (given & 1) != 0 ? ours->CreateMutex : NULL;
	args->standard.DestroyMutex = (given & 2) != 0 ? ours->DestroyMutex : NULL;
	args->standard.LockMutex = (given & 4) != 0 ? ours->LockMutex : NULL;
	args->standard.UnlockMutex = (given & 8) != 0 ? ours->UnlockMutex : NULL;
	if (reserved->form == TAPE_V_BYTES)
		args->standard.pReserved =
			tape_arena_copy(work->stage->arena, reserved->data, reserved->length);
	else if (reserved->form == TAPE_V_PRESENT)
		args->standard.pReserved = get(work, 1);
	return args;
}

/* ---- output buffers -------------------------------------------------------------------------- */

/* A buffer of elements of `size` bytes, and a pointer to how many there are. */
static void make_buffer(struct work *work, const struct tape_value *value, size_t size,
                        uintptr_t *words)
{
	bool has_buffer = value->form == TAPE_V_ROOM || value->form == TAPE_V_UNSTATED;
	bool has_length = value->form == TAPE_V_ROOM || value->form == TAPE_V_QUERY;
	size_t count = value->form == TAPE_V_ROOM ? (size_t)value->number : 1;
	CK_ULONG *length = has_length ? get(work, sizeof(*length)) : NULL;
	if (value->form == TAPE_V_LOST)
		miss(work, "it is not in the recording:", value->data);
	if (count > TAPE_MAX_BYTES / size) {
		miss(work, "its room is", "larger than any");
		return;
	}
	words[0] = (uintptr_t)(has_buffer ? get(work, count * size) : NULL);
	words[1] = (uintptr_t)length;
	if (length != NULL)
		*length = value->form == TAPE_V_ROOM ? (CK_ULONG)value->number : 0;
}

/* A buffer with its length beside it. */
static void make_room(struct work *work, const struct tape_value *value, size_t size,
                      uintptr_t *words)
{
	bool has_buffer = value->form == TAPE_V_ROOM || value->form == TAPE_V_UNSTATED;
	if (value->form == TAPE_V_LOST)
		miss(work, "it is not in the recording:", value->data);
	words[0] = 0;
	words[1] = value->form == TAPE_V_NULL ? 0 : (uintptr_t)value->number;
	if (has_buffer && value->number > TAPE_MAX_BYTES / size)
		miss(work, "its room is", "larger than any");
	else if (has_buffer)
		words[0] = (uintptr_t)get(work, (size_t)value->number * size);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void make_argument(struct work *work, const struct tape_argument *argument,
                          const struct tape_value *value, uintptr_t *words)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	struct span span = { NULL, 0 };
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
		words[0] =
			(uintptr_t)live_handle(work, (enum tape_kind)argument->kind, value->number);
		return;
	case TAPE_C_CONSTANT:
	case TAPE_C_FLAGS:
	case TAPE_C_BOOLEAN:
		words[0] = (uintptr_t)value->number;
		return;
	case TAPE_C_PRESENCE:
		words[0] = (uintptr_t)(value->form == TAPE_V_PRESENT ? get(work, 1) : NULL);
		return;
	case TAPE_C_CALLBACK:
		words[0] = value->form == TAPE_V_PRESENT ? (uintptr_t)work->stage->notify : 0;
		return;
	case TAPE_C_INIT_ARGS:
		words[0] = (uintptr_t)make_init_args(work, value);
		return;
	case TAPE_C_BYTES:
	case TAPE_C_SECRET:
		span = make_bytes(work, value);
		break;
	case TAPE_C_CHARS:
	case TAPE_C_TEXTZ:
		if (value->form == TAPE_V_BYTES) {
			size_t size = shape->codec == TAPE_C_CHARS ? shape->detail : 0;
			char *text = get(work, (value->length > size ? value->length : size) + 1);
			if (text != NULL && size > value->length)
				memset(text, ' ', size);
			if (text != NULL)
				memcpy(text, value->data, value->length);
			words[0] = (uintptr_t)text;
		} else {
			words[0] = (uintptr_t)make_bytes(work, value).memory;
		}
		return;
	case TAPE_C_TEMPLATE:
		span = make_template(work, value, 1);
		break;
	case TAPE_C_MECHANISM:
		words[0] = (uintptr_t)make_mechanism(work, value, 1);
		return;
	case TAPE_C_PARAMETER:
		span = make_parameter(work, value, 1);
		break;
	case TAPE_C_NUMBER_AT:
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		words[0] = (uintptr_t)(value->form == TAPE_V_NULL
		                               ? NULL
		                               : get_filled(work, sizeof(CK_ULONG)));
		return;
	case TAPE_C_STRUCT:
		words[0] = 0;
		if (value->form == TAPE_V_RECORD)
			words[0] = (uintptr_t)make_record(work, value, NULL, 1);
		else if (value->form == TAPE_V_ABSENT)
			words[0] = (uintptr_t)get(work, tape_records[shape->detail].size);
		return;
	case TAPE_C_BYTES_AT:
		make_buffer(work, value, 1, words);
		return;
	case TAPE_C_LIST_AT:
		make_buffer(work, value, sizeof(CK_ULONG), words);
		return;
	case TAPE_C_INTERFACES:
		make_buffer(work, value, sizeof(CK_INTERFACE), words);
		return;
	case TAPE_C_FILL:
	case TAPE_C_LATER:
		make_room(work, value, 1, words);
		return;
	case TAPE_C_FOUND:
		make_room(work, value, sizeof(CK_OBJECT_HANDLE), words);
		words[2] = 0;
		if (value->form == TAPE_V_ROOM || value->form == TAPE_V_QUERY)
			words[2] = (uintptr_t)get_filled(work, sizeof(CK_ULONG));
		return;
	}
	words[0] = (uintptr_t)span.memory;
	words[1] = span.length;
}

int tape_stage_in(struct tape_stage *stage, const struct tape_function *function,
                  const struct tape_value *in, uintptr_t words[TAPE_MAX_WORDS])
{
	struct work work = { .stage = stage };
	stage->missing = NULL;
	for (size_t i = 0; i < function->count && work.result == 0; i++) {
		work.argument = function->arguments[i].key.text;
		make_argument(&work, &function->arguments[i], &in[i],
		              &words[function->arguments[i].word]);
	}
	return work.result;
}
