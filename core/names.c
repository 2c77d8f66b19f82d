/* SPDX-License-Identifier: MIT */
#include "core/names.h"

#include <string.h>

struct work {
	const struct tape_compare *compare;
	struct tape_arena *arena;
	bool failed;
};

/* Children of our own, to write to. */
static struct tape_value *copy_children(struct work *work, struct tape_value *value, size_t count)
{
	struct tape_value *children = tape_arena_array(work->arena, count, sizeof(*children));
	work->failed |= children == NULL;
	if (children != NULL && count != 0)
		memcpy(children, value->data, count * sizeof(*children));
	value->data = children;
	return children;
}

/* Put the live value where the rule for `place` says that a name stands; else look further inside. */
static void name_value(struct work *work, struct tape_place *place, struct tape_value *value)
{
	const struct tape_rule_row *row = tape_rules_find(work->compare->rules, place);
	bool inside = value->form == TAPE_V_MECHANISM || value->form == TAPE_V_LIST ||
	              (value->form == TAPE_V_RECORD && value->record != TAPE_R_NONE);
	size_t count = value->form == TAPE_V_MECHANISM ? 1 : inside ? value->count : 0;
	if (row != NULL && row->rule == TAPE_RULE_AS && value->form == TAPE_V_BYTES &&
	    value->length != 0) {
		value->data = tape_bindings_named(work->compare->bindings, row->name, value->data,
		                                  value->length);
		work->failed |= value->data == NULL;
		return;
	}
	struct tape_value *children = count == 0 ? NULL : copy_children(work, value, count);
	unsigned int depth = place->depth;
	for (size_t i = 0; children != NULL && i < count && !work->failed; i++) {
		struct tape_value *child = &children[i];
		if (value->form == TAPE_V_MECHANISM)
			tape_place_field(place, "parameter");
		else if (value->form == TAPE_V_RECORD)
			tape_place_field(
				place,
				tape_fields[tape_records[value->record].first + i].name.text);
		else if (child->form != TAPE_V_RECORD && child->form != TAPE_V_NUMBER)
			tape_place_attribute(place, child->tag);
		name_value(work, place, child);
		place->depth = (uint8_t)depth;
	}
}

const struct tape_value *tape_names_answer(const struct tape_compare *compare,
                                           struct tape_arena *arena,
                                           const struct tape_function *function,
                                           const struct tape_value *out)
{
	size_t id = (size_t)(function - tape_functions);
	struct work work = { compare, arena, false };
	struct tape_value *named = NULL;
	if (TAPE_LIKELY(compare->rules == NULL || compare->bindings == NULL ||
	                !compare->rules->any[id]))
		return out;
	for (size_t i = 0; i < function->count && !work.failed; i++) {
		struct tape_place place = { .function = (uint16_t)id, .argument = (uint8_t)i };
		if (compare->rules->whole[id][i] == TAPE_RULE_EXACT || out[i].form == TAPE_V_ABSENT)
			continue;
		if (named == NULL) {
			named = tape_arena_array(arena, TAPE_MAX_ARGUMENTS, sizeof(*named));
			if (named == NULL)
				return NULL;
			memcpy(named, out, function->count * sizeof(*named));
		}
		name_value(&work, &place, &named[i]);
	}
	if (work.failed)
		return NULL;
	return named == NULL ? out : named;
}
