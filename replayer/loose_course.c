/* SPDX-License-Identifier: MIT
 *
 * Lenient mode, as long as all is as strict mode would have it. Where calls overlap, the recorded state is one of
 * several that the module may have been in. As long as a replay has been served nothing but what strict mode
 * would have served, its rule decides there: the next call of the lane.
 */
#include "replayer/loose_parts.h"
#include "replayer/wait.h"

/* Take a call out of its lane. */
static void leave_lane(struct loose *loose, struct lane_state *lane, uint32_t before,
                       uint32_t index)
{
	if (before == NONE)
		lane->cursor = loose->entries[index].lane_next;
	else
		loose->entries[before].lane_next = loose->entries[index].lane_next;
}

struct naming_one {
	uint64_t identity;
	bool found;
};

static void is_inner(void *context, const struct tape_value *handle, bool given)
{
	struct naming_one *one = context;
	one->found |= !given && handle->tag == one->identity;
}

static bool names_object(const struct record *record, uint64_t identity)
{
	struct naming_one one = { identity, false };
	for (size_t i = 0; i < record->function->count; i++)
		if (record->function->arguments[i].kind == TAPE_K_OBJECT &&
		    record->in[i].tag == identity)
			return true;
	tape_value_each_object(record->function, record->in, is_inner, &one);
	return one.found;
}

/* Whether a call names an object that another one, which changed it, names as an argument. */
static bool share_object(const struct record *change, const struct record *record)
{
	for (size_t i = 0; i < change->function->count; i++)
		if (change->function->arguments[i].kind == TAPE_K_OBJECT &&
		    names_object(record, change->in[i].tag))
			return true;
	return false;
}

/*
 * Whether a recorded call may have been made in the state that there is: in its own, or with every change that
 * had certainly been made before it, and none that had certainly not been begun.
 */
static bool may_be_now(const struct loose *loose, const struct entry *entry,
                       const struct tape_scope_value state[TAPE_SCOPES])
{
	const struct record *record = entry->record;
	unsigned int mask = loose_mask_of_entry(entry);
	if (loose_key_of(entry->state, mask) == loose_key_of(state, mask))
		return true;
	for (size_t i = 0; i < loose->wide_count; i++) {
		const struct entry *other = &loose->entries[loose->wide[i]];
		unsigned int changes = other->changes & ~OF_SESSION & mask;
		if (changes == 0 || other == entry ||
		    (changes == TAPE_SCOPE_BIT(TAPE_SCOPE_OBJECT) &&
		     !share_object(other->record, record)))
			continue;
		if (other->record->return_at <= record->call_at
		            ? other->used == 0
		            : other->record->call_at >= record->return_at && other->used != 0)
			return false;
	}
	return true;
}

/*
 * The call is the next of its lane; but where what it reads has certainly changed since, or not changed yet,
 * only an equal one that was recorded in the state that there is knows what it is answered. NONE: there is none.
 */
static uint32_t answer_of(struct loose *loose, uint32_t index, uint32_t lane,
                          const struct tape_scope_value state[TAPE_SCOPES],
                          const struct tape_value *live)
{
	const struct entry *entry = &loose->entries[index];
	if (tape_scope_rows[entry->record->function - tape_functions].class != TAPE_CLASS_READ ||
	    may_be_now(loose, entry, state))
		return index;
	return loose_look_in_group(loose, entry->group, lane, state, live);
}

/* Where a call is linked from that has not left its lane; NULL where it has. */
static uint32_t *link_to(struct loose *loose, uint32_t index)
{
	for (size_t l = 0; l < loose->lane_count; l++)
		for (uint32_t *link = &loose->lanes[l].cursor; *link != NONE;
		     link = &loose->entries[*link].lane_next)
			if (*link == index)
				return link;
	return NULL;
}

/* Two calls take each other's place in their lanes. They are equal, and neither stands right behind the other. */
static bool change_places(struct loose *loose, uint32_t one, uint32_t other)
{
	struct entry *a = &loose->entries[one];
	struct entry *b = &loose->entries[other];
	uint32_t *to_a = link_to(loose, one);
	uint32_t *to_b = link_to(loose, other);
	if (to_a == NULL || to_b == NULL || a->lane_next == other || b->lane_next == one)
		return false;
	const struct entry before = *a;
	*to_a = other;
	*to_b = one;
	a->lane_next = b->lane_next;
	a->lane_before = b->lane_before;
	a->lane = b->lane;
	b->lane_next = before.lane_next;
	b->lane_before = before.lane_before;
	b->lane = before.lane;
	return true;
}

/*
 * Of calls that raced, such as logins, one may have failed because another one had come first, which here it has
 * not: who comes first then has the other one's answer, and that one this one's.
 */
static uint32_t who_won(struct loose *loose, uint32_t index,
                        const struct tape_scope_value state[TAPE_SCOPES])
{
	const struct entry *entry = &loose->entries[index];
	const unsigned int reads = loose_mask_of(entry->record);
	const uint8_t class = tape_scope_rows[entry->record->function - tape_functions].class;
	size_t looked = 0;
	if (class == TAPE_CLASS_READ || class == TAPE_CLASS_DRAW ||
	    tape_scope_answers(entry->record->rv) || entry->once ||
	    (!entry->ambiguous && loose_key_of(entry->state, reads) == loose_key_of(state, reads)))
		return index;
	for (uint32_t i = loose->groups[entry->group].first; i != NONE && looked < MAX_INSIDE;
	     i = loose->entries[i].next, looked++) {
		const struct entry *other = &loose->entries[i];
		unsigned int mask = loose_mask_of_entry(other);
		if (i != index && other->used == 0 && !other->ambiguous &&
		    tape_scope_answers(other->record->rv) &&
		    loose_key_of(other->state, mask) == loose_key_of(state, mask) &&
		    change_places(loose, index, i))
			return i;
	}
	return index;
}

/* The next of the lane, or one that began before every earlier one returned. */
static uint32_t next_in_lane(struct loose *loose, uint32_t number,
                             const struct tape_function *function, const uintptr_t *words,
                             struct tape_value *live,
                             const struct tape_scope_value state[TAPE_SCOPES])
{
	struct lane_state *lane = &loose->lanes[number];
	uint64_t limit = NOT_YET;
	uint32_t before = NONE;
	for (uint32_t i = lane->cursor; i != NONE; before = i, i = loose->entries[i].lane_next) {
		const struct record *record = loose->entries[i].record;
		bool blocks = wait_blocks(record);
		if (record->call_at >= limit && !blocks)
			break;
		if (record->function == function &&
		    loose_compare_live(loose, &loose->entries[i], function, words, live, false) <
		            0) {
			i = who_won(loose, i, state);
			uint32_t answer = answer_of(loose, i, number, state, live);
			if (answer == NONE) {
				loose->stale = i;
				loose->stale_lane = number;
				return NONE;
			}
			if (answer != i)
				loose->instead = i;
			leave_lane(loose, lane, before, i);
			return answer;
		}
		if (!blocks && record->return_at < limit)
			limit = record->return_at;
	}
	return NONE;
}

/* Another session's lane that was opened alike, began with the same and goes on with this call. */
static uint32_t exchange(struct loose *loose, uint32_t number, const struct tape_function *function,
                         const uintptr_t *words, struct tape_value *live,
                         const struct tape_scope_value state[TAPE_SCOPES])
{
	struct lane_state *lane = &loose->lanes[number];
	if (lane->opener == NONE || lane->cursor == NONE)
		return NONE;
	uint64_t before = loose->entries[lane->cursor].lane_before;
	uint32_t opener = loose->entries[lane->opener].group;
	for (size_t l = 1; l < loose->lane_count; l++) {
		struct lane_state *other = &loose->lanes[l];
		if (other == lane || other->opener == NONE ||
		    loose->entries[other->opener].group != opener)
			continue;
		uint32_t earlier = NONE;
		uint32_t i = other->cursor;
		while (i != NONE && loose->entries[i].lane_before != before) {
			earlier = i;
			i = loose->entries[i].lane_next;
		}
		if (i == NONE || loose->entries[i].record->function != function ||
		    loose_compare_live(loose, &loose->entries[i], function, words, live, false) >=
		            0)
			continue;
		uint32_t answer = answer_of(loose, i, number, state, live);
		if (answer == NONE)
			continue;
		if (answer != i)
			loose->instead = i;
		uint32_t rest = lane->cursor;
		lane->cursor = loose->entries[i].lane_next;
		if (earlier == NONE)
			other->cursor = rest;
		else
			loose->entries[earlier].lane_next = rest;
		return answer;
	}
	return NONE;
}

uint32_t loose_on_course(struct loose *loose, uint32_t lane, const struct tape_function *function,
                         const uintptr_t *words, struct tape_value *live,
                         const struct tape_scope_value state[TAPE_SCOPES])
{
	/* A session that nobody opened is the recorded one of that number. */
	uint64_t stranger;
	if (lane == NONE &&
	    tape_map_get(&loose->lane_numbers, live[function->lane].number, &stranger) &&
	    loose->lanes[stranger].opener == NONE)
		lane = (uint32_t)stranger;
	if (lane == NONE)
		return NONE;
	uint32_t found = next_in_lane(loose, lane, function, words, live, state);
	return found != NONE ? found : exchange(loose, lane, function, words, live, state);
}

void loose_pass_stale(struct loose *loose)
{
	struct lane_state *lane = &loose->lanes[loose->stale_lane];
	uint32_t before = NONE;
	uint32_t i = lane->cursor;
	while (i != NONE && i != loose->stale) {
		before = i;
		i = loose->entries[i].lane_next;
	}
	if (i != NONE)
		leave_lane(loose, lane, before, i);
}
