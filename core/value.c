/* SPDX-License-Identifier: MIT */
#include "core/value.h"

#include <string.h>

#include "core/arena.h"

bool tape_value_is_object(const struct tape_value *parent, size_t index)
{
	const struct tape_value *child = tape_value_child(parent, index);
	if (child->form != TAPE_V_NUMBER)
		return false;
	if (parent->form == TAPE_V_MECHANISM)
		return child->record == TAPE_P_OBJECT;
	if (parent->form != TAPE_V_RECORD || index >= tape_records[parent->record].count)
		return false;
	const struct tape_field *field = &tape_fields[tape_records[parent->record].first + index];
	return field->kind == TAPE_F_OBJECT || field->kind == TAPE_F_P_OBJECT;
}

static void each_object(const struct tape_value *value, tape_inner_object_fn *each, void *context)
{
	if (value->form != TAPE_V_LIST && value->form != TAPE_V_RECORD &&
	    value->form != TAPE_V_MECHANISM)
		return;
	for (size_t i = 0; i < value->count; i++) {
		bool given = false;
		if (!tape_value_is_object(value, i)) {
			each_object(tape_value_child(value, i), each, context);
			continue;
		}
		if (value->form == TAPE_V_RECORD)
			given = tape_fields[tape_records[value->record].first + i].direction !=
			        TAPE_D_IN;
		each(context, tape_value_child(value, i), given);
	}
}

void tape_value_each_object(const struct tape_function *function, const struct tape_value *values,
                            tape_inner_object_fn *each, void *context)
{
	for (size_t i = 0; i < function->count; i++) {
		uint8_t codec = tape_shapes[function->arguments[i].kind].codec;
		if (codec == TAPE_C_MECHANISM || codec == TAPE_C_PARAMETER ||
		    codec == TAPE_C_STRUCT)
			each_object(&values[i], each, context);
	}
}

static bool copy(struct tape_arena *arena, struct tape_value *to, const struct tape_value *from,
                 unsigned int depth)
{
	bool children = from->form == TAPE_V_LIST || from->form == TAPE_V_RECORD ||
	                from->form == TAPE_V_MECHANISM;
	size_t count = from->form == TAPE_V_MECHANISM ? 1 : from->count;
	*to = *from;
	to->memory = NULL;
	to->before = NULL;
	bool bytes = from->form == TAPE_V_BYTES || from->form == TAPE_V_RAW ||
	             from->form == TAPE_V_SECRET || from->form == TAPE_V_LOST;
	if (from->data == NULL || (!bytes && !children)) {
		to->data = NULL;
		return true;
	}
	if (bytes) {
		size_t length = from->form == TAPE_V_LOST ? strlen(from->data) : from->length;
		to->data = tape_arena_copy(arena, from->data, length);
		return to->data != NULL;
	}
	struct tape_value *list = tape_arena_array(arena, count, sizeof(*list));
	to->data = list;
	if (list == NULL || depth > 4 * TAPE_MAX_DEPTH)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!copy(arena, &list[i], tape_value_child(from, i), depth + 1))
			return false;
	return true;
}

bool tape_value_copy(struct tape_arena *arena, struct tape_value *to, const struct tape_value *from)
{
	return copy(arena, to, from, 0);
}
