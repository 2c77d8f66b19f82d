/* SPDX-License-Identifier: MIT */
#include "core/value.h"

#include <string.h>

#include "core/arena.h"

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
