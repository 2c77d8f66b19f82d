/* SPDX-License-Identifier: MIT */
#include "core/answer.h"

#include <string.h>

/* Write bytes where there is room for them. Returns how many were made up. */
static size_t write_bytes(const struct tape_compare *names, void *memory, size_t room,
                          const struct tape_value *value)
{
	size_t length = value->form == TAPE_V_SECRET ? (size_t)value->number : value->length;
	if (length > room)
		length = room;
	if (memory == NULL || length == 0)
		return 0;
	if (value->form == TAPE_V_SECRET)
		return tape_bindings_fill(names == NULL ? NULL : names->bindings,
		                          names == NULL ? 0 : names->part, value, memory, length);
	memcpy(memory, value->data, length);
	return 0;
}

static CK_ULONG length_of(const struct tape_value *value)
{
	if (value->form == TAPE_V_LENGTH || value->form == TAPE_V_SECRET || value->stated)
		return (CK_ULONG)value->number;
	return (CK_ULONG)(value->form == TAPE_V_LIST ? value->count : value->length);
}

static bool has_contents(const struct tape_value *value)
{
	return value->form == TAPE_V_BYTES || value->form == TAPE_V_SECRET;
}

static size_t answer_template(const struct tape_compare *names, CK_ATTRIBUTE *attributes,
                              const struct tape_value *in, const struct tape_value *out,
                              unsigned int depth)
{
	size_t filled = 0;
	if (attributes == NULL || in->form != TAPE_V_LIST || out->form != TAPE_V_LIST ||
	    depth > TAPE_MAX_DEPTH)
		return 0;
	for (size_t i = 0; i < out->count && i < in->count; i++) {
		const struct tape_value *value = tape_value_child(out, i);
		const struct tape_value *room = tape_value_child(in, i);
		CK_ATTRIBUTE *attribute = &attributes[i];
		if (depth > 1 && value->tag != TAPE_TAG_ANY)
			attribute->type = (CK_ATTRIBUTE_TYPE)value->tag;
		if (value->form == TAPE_V_LENGTH) {
			attribute->ulValueLen = (CK_ULONG)value->number;
		} else if (has_contents(value)) {
			if (room->form == TAPE_V_ROOM)
				filled += write_bytes(names, room->memory, (size_t)room->number,
				                      value);
			attribute->ulValueLen = length_of(value);
		} else if (value->form == TAPE_V_LIST) {
			filled += answer_template(names, room->memory, room, value, depth + 1);
			attribute->ulValueLen = (CK_ULONG)(value->count * sizeof(CK_ATTRIBUTE));
		}
	}
	return filled;
}

static void write_ulong(unsigned char *to, uint64_t number)
{
	CK_ULONG ulong = (CK_ULONG)number;
	memcpy(to, &ulong, sizeof(ulong));
}

static size_t answer_record(const struct tape_compare *names, unsigned char *memory,
                            const struct tape_value *in, const struct tape_value *out,
                            unsigned int depth);

/* A buffer whose length stands behind a pointer of its own: that is written too. */
static size_t answer_bytes_at(const struct tape_compare *names, const unsigned char *extent,
                              const struct tape_value *in, const struct tape_value *value)
{
	unsigned char *length;
	size_t filled = 0;
	if ((in->form != TAPE_V_ROOM && in->form != TAPE_V_NULL && in->form != TAPE_V_LENGTH) ||
	    (value->form != TAPE_V_LENGTH && !has_contents(value)))
		return 0;
	if (in->form == TAPE_V_ROOM && has_contents(value))
		filled = write_bytes(names, in->memory, (size_t)in->number, value);
	memcpy(&length, extent, sizeof(length));
	if (length != NULL)
		write_ulong(length, length_of(value));
	return filled;
}

static size_t answer_pointer(const struct tape_compare *names, const struct tape_field *field,
                             const struct tape_value *in, const struct tape_value *value,
                             unsigned int depth)
{
	size_t filled = 0;
	if (value->form == TAPE_V_RECORD)
		return in->form == TAPE_V_RECORD
		               ? answer_record(names, in->memory, in, value, depth + 1)
		               : 0;
	if (field->kind == TAPE_F_P_STRUCTS) {
		for (size_t i = 0; value->form == TAPE_V_LIST && i < value->count && i < in->count;
		     i++) {
			const struct tape_value *inner = tape_value_child(in, i);
			filled += answer_record(names, inner->memory, inner,
			                        tape_value_child(value, i), depth + 1);
		}
		return filled;
	}
	if (in->memory == NULL)
		return 0;
	if (value->form == TAPE_V_NUMBER && field->kind == TAPE_F_P_OBJECT) {
		write_ulong(in->memory, value->number);
		return 0;
	}
	size_t room = in->form == TAPE_V_ROOM ? (size_t)in->number : in->length;
	return has_contents(value) ? write_bytes(names, in->memory, room, value) : 0;
}

/* `in` is the live structure as it was captured; it may be NULL where all of it is output. */
static size_t answer_record(const struct tape_compare *names, unsigned char *memory,
                            const struct tape_value *in, const struct tape_value *out,
                            unsigned int depth)
{
	size_t filled = 0;
	if (memory == NULL || out->form != TAPE_V_RECORD || depth > TAPE_MAX_DEPTH)
		return 0;
	const struct tape_record *record = &tape_records[out->record];
	bool known = in != NULL && in->form == TAPE_V_RECORD && in->record == out->record;
	for (size_t i = 0; i < out->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		const struct tape_value *value = tape_value_child(out, i);
		unsigned char *at = memory + field->offset;
		if (value->form == TAPE_V_ABSENT)
			continue;
		switch ((enum tape_field_kind)field->kind) {
		case TAPE_F_NUMBER:
		case TAPE_F_LIMIT:
		case TAPE_F_CONSTANT:
		case TAPE_F_FLAGS:
		case TAPE_F_OBJECT:
			write_ulong(at, value->number);
			break;
		case TAPE_F_LENGTH:
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
			filled += answer_record(names, at, known ? tape_value_child(in, i) : NULL,
			                        value, depth + 1);
			break;
		case TAPE_F_CHARS:
		case TAPE_F_FIXED:
		case TAPE_F_ULONGS:
			if (has_contents(value))
				filled += write_bytes(names, at, field->size, value);
			break;
		case TAPE_F_P_BYTES_AT:
			if (known)
				filled += answer_bytes_at(names, memory + field->extent,
				                          tape_value_child(in, i), value);
			break;
		default:
			if (known)
				filled += answer_pointer(names, field, tape_value_child(in, i),
				                         value, depth);
			break;
		}
	}
	return filled;
}

static size_t answer_parameter(const struct tape_compare *names, void *memory,
                               const struct tape_value *in, const struct tape_value *out)
{
	/* Where the recorded input was lost, nothing has said yet that the live one has this size. */
	if (out->form == TAPE_V_RECORD)
		return in->form == TAPE_V_RECORD && in->record == out->record
		               ? answer_record(names, in->memory, in, out, 1)
		               : 0;
	if (memory == NULL)
		return 0;
	if (out->form == TAPE_V_NUMBER && in->form == TAPE_V_NUMBER) {
		write_ulong(memory, out->number);
		return 0;
	}
	bool bytes =
		(out->form == TAPE_V_RAW || has_contents(out)) &&
		(in->form == TAPE_V_RAW || in->form == TAPE_V_BYTES || in->form == TAPE_V_NUMBER);
	return bytes ? write_bytes(names, memory, in->length, out) : 0;
}

/* How many numbers of a list fit where the caller offered room. */
static void answer_list(CK_ULONG *list, CK_ULONG *count, const struct tape_value *in,
                        const struct tape_value *out)
{
	if (count == NULL)
		return;
	if (out->form == TAPE_V_LIST && in->form == TAPE_V_ROOM && list != NULL)
		for (size_t i = 0; i < out->count && i < in->number; i++)
			list[i] = (CK_ULONG)tape_value_child(out, i)->number;
	*count = length_of(out);
}

static size_t answer_argument(const struct tape_compare *names, const struct tape_shape *shape,
                              const uintptr_t *w, const struct tape_value *in,
                              const struct tape_value *out)
{
	void *memory = (void *)w[0];
	size_t filled = 0;
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_TEMPLATE:
		return answer_template(names, memory, in, out, 1);
	case TAPE_C_MECHANISM:
		if (in->form != TAPE_V_MECHANISM || out->form != TAPE_V_MECHANISM || memory == NULL)
			return 0;
		return answer_parameter(names, ((CK_MECHANISM *)memory)->pParameter,
		                        tape_value_child(in, 0), tape_value_child(out, 0));
	case TAPE_C_PARAMETER:
		return answer_parameter(names, memory, in, out);
	case TAPE_C_NUMBER_AT:
		if (memory != NULL && out->form == TAPE_V_NUMBER)
			write_ulong(memory, out->number);
		return 0;
	case TAPE_C_STRUCT:
		return answer_record(names, memory, in, out, 1);
	case TAPE_C_BYTES_AT:
		if (w[1] == 0 || (out->form != TAPE_V_LENGTH && !has_contents(out)))
			return 0;
		if (has_contents(out) && in->form == TAPE_V_ROOM)
			filled = write_bytes(names, memory, (size_t)in->number, out);
		*(CK_ULONG *)w[1] = length_of(out);
		return filled;
	case TAPE_C_FILL:
		return has_contents(out) && in->form == TAPE_V_ROOM
		               ? write_bytes(names, memory, (size_t)in->number, out)
		               : 0;
	case TAPE_C_LIST_AT:
		if (out->form == TAPE_V_LIST || out->form == TAPE_V_LENGTH)
			answer_list(memory, (CK_ULONG *)w[1], in, out);
		return 0;
	case TAPE_C_FOUND:
		if (out->form == TAPE_V_LIST || out->form == TAPE_V_LENGTH)
			answer_list(memory, (CK_ULONG *)w[2], in, out);
		return 0;
	default:
		return 0;
	}
}

size_t tape_answer(const struct tape_compare *names, const struct tape_function *function,
                   const uintptr_t *words, const struct tape_value *in,
                   const struct tape_value *out)
{
	size_t filled = 0;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (out[i].form != TAPE_V_ABSENT)
			filled += answer_argument(names, &tape_shapes[argument->kind],
			                          words + argument->word, &in[i], &out[i]);
	}
	return filled;
}

void tape_answer_record(void *memory, const struct tape_value *out)
{
	answer_record(NULL, memory, NULL, out, 1);
}
