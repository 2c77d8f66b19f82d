/* SPDX-License-Identifier: MIT
 *
 * Lenient mode: why no recorded call answers one that came. Nothing is used up or changed by asking.
 */
#include <string.h>

#include "core/compare.h"
#include "replayer/loose_parts.h"

static void add_nearest(struct loose_miss *miss, const struct record *record, int argument)
{
	size_t at = miss->count;
	/* The later the first difference, the nearer; of as near ones the first. */
	while (at > 0 && miss->arguments[at - 1] < argument)
		at--;
	if (at >= LOOSE_NEAREST)
		return;
	if (miss->count < LOOSE_NEAREST)
		miss->count++;
	for (size_t i = miss->count - 1; i > at; i--) {
		miss->nearest[i] = miss->nearest[i - 1];
		miss->arguments[i] = miss->arguments[i - 1];
	}
	miss->nearest[at] = record;
	miss->arguments[at] = argument;
}

static const struct record *record_at(const struct loose *loose, uint32_t line)
{
	for (size_t i = 0; line != 0 && i < loose->count; i++)
		if (loose->entries[i].record->line == line)
			return loose->entries[i].record;
	return NULL;
}

/* An equal call was recorded, in another state or not often enough. */
static void explain_group(const struct loose *loose, uint32_t group,
                          const struct tape_scope_value state[TAPE_SCOPES], struct loose_miss *miss)
{
	const struct entry *used = NULL;
	for (uint32_t i = loose->groups[group].first; i != NONE; i = loose->entries[i].next) {
		const struct entry *entry = &loose->entries[i];
		unsigned int mask = loose_mask_of_entry(entry);
		if (loose_key_of(entry->state, mask) == loose_key_of(state, mask))
			used = entry;
		else
			add_nearest(miss, entry->record, -1);
		for (unsigned int s = 0; s < TAPE_SCOPES && miss->count == 1; s++) {
			if ((mask & (1u << s)) == 0 || entry->state[s].hash == state[s].hash ||
			    miss->nearest[0] != entry->record)
				continue;
			miss->scope = (enum tape_scope)s;
			miss->recorded_by = record_at(loose, entry->state[s].line);
			miss->live_by = record_at(loose, state[s].line);
			break;
		}
	}
	miss->why = used != NULL ? LOOSE_USED_UP : LOOSE_STATE;
	if (used == NULL)
		return;
	miss->nearest[0] = used->record;
	miss->arguments[0] = -1;
	miss->count = 1;
}

/* Whether an argument that differs does so only in who is meant by its handles. */
static bool same_by_number(const struct record *record, const struct tape_value *live, int argument)
{
	struct tape_value recorded[TAPE_MAX_ARGUMENTS];
	struct tape_compare compare = { .bindings = &engine.bindings,
		                        .rules = &engine.options.rules,
		                        .part = record->part };
	/* What stands before it is the same, or is not compared. */
	memcpy(recorded, live, record->function->count * sizeof(*recorded));
	recorded[argument] = record->in[argument];
	return tape_compare_in(&compare, record->function, recorded, live) < 0;
}

static void explain(struct loose *loose, const struct tape_function *function,
                    const uintptr_t *words, struct tape_value *live,
                    const struct tape_scope_value state[TAPE_SCOPES], struct loose_miss *miss)
{
	*miss = (struct loose_miss){ .why = LOOSE_NEVER };
	for (uint32_t g = 0; g < loose->group_count; g++) {
		const struct entry *first = &loose->entries[loose->groups[g].first];
		if (first->record->function != function)
			continue;
		struct tape_derived derived;
		int argument = loose_compare_live(loose, first, function, words, live, false);
		if (argument >= 0 && loose->model != NULL &&
		    loose_compare_kin(loose, first, words, live, false) < 0 &&
		    loose_derives(first->record, live, &derived))
			argument = -1;
		if (argument < 0) {
			miss->count = 0;
			explain_group(loose, g, state, miss);
			return;
		}
		add_nearest(miss, first->record, argument);
	}
	/* The number is the recorded one, but does not mean the same any more, or not yet. */
	if (miss->count != 0 && same_by_number(miss->nearest[0], live, miss->arguments[0])) {
		const struct entry *nearest = loose_entry_of(loose, miss->nearest[0]);
		bool session = miss->arguments[0] == function->lane;
		enum tape_scope by = session ? TAPE_SCOPE_SESSIONS : TAPE_SCOPE_OBJECTS;
		miss->why = LOOSE_STATE;
		miss->scope = by;
		miss->recorded_by = record_at(loose, nearest->state[by].line);
		miss->live_by = record_at(loose, state[by].line);
	}
}

void loose_explain(const struct tape_function *function, const uintptr_t *words,
                   struct tape_value *live, struct loose_miss *ret_miss)
{
	struct tape_scope_value state[TAPE_SCOPES];
	engine_capture(NULL, function, words, live);
	tape_scope_read(&engine.loose->live, function, live, state);
	explain(engine.loose, function, words, live, state, ret_miss);
}
