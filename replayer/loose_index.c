/* SPDX-License-Identifier: MIT
 *
 * Lenient mode: the index over the trace. core/scope.c tells the state in which each call was made; calls that
 * answered otherwise in the same state show that something happened outside, which makes another state of it.
 *
 * Where calls overlap, the recorded state is one of several that the module may have been in: such a call is in
 * the cell of each.
 */
#include <stdlib.h>
#include <string.h>

#include "core/compare.h"
#include "replayer/binding.h"
#include "replayer/keyed.h"
#include "replayer/loose_parts.h"
#include "replayer/report.h"
#include "replayer/wait.h"

/* ---- memory ---------------------------------------------------------------------------------- */

static struct {
	struct hole *holes;
	size_t count;
	bool failed;
} reading;

static void note_hole(uint64_t position, size_t line)
{
	struct hole *holes = realloc(reading.holes, (reading.count + 1) * sizeof(*holes));
	if (holes == NULL) {
		reading.failed = true;
		return;
	}
	reading.holes = holes;
	reading.holes[reading.count++] = (struct hole){ position, line };
}

void loose_free(struct loose *loose)
{
	if (loose == NULL)
		return;
	free(loose->entries);
	free(loose->groups);
	free(loose->buckets);
	free(loose->kin_buckets);
	model_free(loose->model);
	free(loose->members);
	free(loose->cells);
	free(loose->lanes);
	free(loose->holes);
	free(loose->wide);
	tape_map_done(&loose->lane_numbers);
	tape_map_done(&loose->live_lanes);
	tape_scopes_done(&loose->begin);
	tape_scopes_done(&loose->begun);
	tape_scopes_done(&loose->live);
	free(loose);
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool has_form(const struct tape_value *value, enum tape_form form)
{
	if (value->form == form)
		return true;
	if (value->form == TAPE_V_LIST || value->form == TAPE_V_RECORD ||
	    value->form == TAPE_V_MECHANISM)
		for (size_t i = 0; i < value->count; i++)
			if (has_form(tape_value_child(value, i), form))
				return true;
	return false;
}

static bool any_has_form(const struct record *record, enum tape_form form)
{
	for (size_t i = 0; i < record->function->count; i++)
		if (has_form(&record->in[i], form))
			return true;
	return false;
}

static bool same_answer(const struct record *a, const struct record *b)
{
	return a->rv == b->rv && !a->partial && !b->partial &&
	       tape_compare_steady(a->function, a->out, b->out);
}

/* Not all of it is in the recording. */
static bool is_unknown(const struct record *record)
{
	return record->partial || any_has_form(record, TAPE_V_LOST);
}

/* ---- groups and cells ------------------------------------------------------------------------ */

static void put_in_group(struct loose *loose, uint32_t index)
{
	struct entry *entry = &loose->entries[index];
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	const struct tape_function *function = entry->record->function;
	loose_put_recorded(function, entry->record->in, asked);
	uint32_t *bucket = &loose->buckets[entry->ask & (loose->bucket_count - 1)];
	/* What is not known, or known by a name of its part, equals nothing but itself. */
	bool alone = is_unknown(entry->record);
	bool secret = any_has_form(entry->record, TAPE_V_SECRET);
	entry->next = NONE;
	for (uint32_t g = *bucket; g != NONE && !alone; g = loose->groups[g].next) {
		const struct entry *first = &loose->entries[loose->groups[g].first];
		if (first->ask != entry->ask || first->record->function != function ||
		    is_unknown(first->record) ||
		    (secret && first->record->part != entry->record->part) ||
		    secret != any_has_form(first->record, TAPE_V_SECRET) ||
		    loose_compare(first, asked, entry->record->part, false) >= 0)
			continue;
		loose->entries[loose->groups[g].last].next = index;
		loose->groups[g].last = index;
		entry->group = g;
		return;
	}
	/* Behind those that are there: the first recorded one is found first. */
	uint32_t g = (uint32_t)loose->group_count++;
	loose->groups[g] = (struct group){ index, index, NONE, NONE };
	while (*bucket != NONE)
		bucket = &loose->groups[*bucket].next;
	*bucket = g;
	entry->group = g;
	if (loose->kin_buckets == NULL)
		return;
	bucket = loose_kin_bucket(loose, function, asked);
	while (*bucket != NONE)
		bucket = &loose->groups[*bucket].kin;
	*bucket = g;
}

static bool grow_cells(struct loose *loose)
{
	if (loose->cell_count * 2 < loose->cell_room)
		return true;
	struct loose bigger = { .cell_room = loose->cell_room == 0 ? 64 : loose->cell_room * 2 };
	bigger.cells = calloc(bigger.cell_room, sizeof(*bigger.cells));
	if (bigger.cells == NULL)
		return false;
	for (size_t i = 0; i < loose->cell_room; i++)
		if (loose->cells[i].key != 0)
			*loose_find_cell(&bigger, loose->cells[i].group, loose->cells[i].key) =
				loose->cells[i];
	free(loose->cells);
	loose->cells = bigger.cells;
	loose->cell_room = bigger.cell_room;
	return true;
}

/* Put a call into a cell. Returns whether its answer differs from those that are there. */
static bool put_in_cell(struct loose *loose, uint32_t index, uint64_t key)
{
	if (loose->member_count == loose->member_room) {
		size_t room = loose->member_room == 0 ? 256 : loose->member_room * 2;
		void *members = realloc(loose->members, room * sizeof(*loose->members));
		if (members == NULL) {
			loose->failed = true;
			return false;
		}
		loose->members = members;
		loose->member_room = room;
	}
	if (!grow_cells(loose)) {
		loose->failed = true;
		return false;
	}
	uint32_t group = loose->entries[index].group;
	struct cell *cell = loose_find_cell(loose, group, key);
	uint32_t member = (uint32_t)loose->member_count++;
	loose->members[member] = (struct member){ index, NONE };
	if (cell->key == 0) {
		*cell = (struct cell){ .key = key,
			               .group = group,
			               .first = member,
			               .last = member,
			               .cursor = member };
		loose->cell_count++;
		return false;
	}
	const struct entry *last = &loose->entries[loose->members[cell->last].entry];
	bool same = last->record == loose->entries[index].record ||
	            same_answer(last->record, loose->entries[index].record);
	loose->members[cell->last].next = member;
	cell->last = member;
	cell->differ |= !same;
	return !same;
}

/* ---- reading over the trace ------------------------------------------------------------------ */

struct event {
	uint64_t position;
	uint32_t entry; /* NONE: a hole */
	bool is_return;
};

/* A return at a place stands before what begins there. */
static int by_position(const void *one, const void *other)
{
	const struct event *a = one;
	const struct event *b = other;
	if (a->position != b->position)
		return a->position < b->position ? -1 : 1;
	if (a->is_return != b->is_return)
		return a->is_return ? -1 : 1;
	return a->entry < b->entry ? -1 : a->entry > b->entry;
}

static struct tape_scope_call call_of(const struct entry *entry, const struct tape_value *in,
                                      const struct tape_value *out)
{
	return (struct tape_scope_call){ .function = entry->record->function,
		                         .in = in,
		                         .out = out,
		                         .rv = entry->record->rv,
		                         .fed = entry->fed,
		                         .self = entry->self,
		                         .line = (uint32_t)entry->record->line };
}

/* What its mechanism, its class and its return value say of an answer. */
static void classify(struct entry *entry, bool varies)
{
	const struct record *record = entry->record;
	const struct tape_scope_row *row = &tape_scope_rows[record->function - tape_functions];
	enum tape_outside outside = record->return_at == NOT_YET ? TAPE_OUTSIDE_NOTHING
	                                                         : tape_scope_outside(record->rv);
	bool reads = row->class == TAPE_CLASS_READ;
	bool draws = row->class == TAPE_CLASS_CHANGE || row->class == TAPE_CLASS_DRAW ||
	             (row->class == TAPE_CLASS_STEP && varies);
	bool unknown = record->return_at == NOT_YET || is_unknown(record);
	entry->barrier = outside == TAPE_OUTSIDE_WRONG ||
	                 (outside == TAPE_OUTSIDE_ABSENT && record->function->lane >= 0) ||
	                 (unknown && !reads && !wait_blocks(record));
	entry->once = entry->barrier || unknown || (draws && tape_scope_answers(record->rv));
}

void loose_take_effect(struct tape_scopes *scopes, const struct entry *entry,
                       const struct tape_value *in, const struct tape_value *out)
{
	if (entry->barrier) {
		tape_scope_happened(scopes, entry->self, (uint32_t)entry->record->line);
		/* An error from outside is a failure all the same: it ends an operation, as any other (§5.13.2). */
		if (tape_scope_outside(entry->record->rv) == TAPE_OUTSIDE_NOTHING ||
		    entry->record->return_at == NOT_YET)
			return;
	}
	const struct tape_scope_call call = call_of(entry, in, out);
	tape_scope_effect(scopes, &call);
}

/* What the handles among the outputs mean, for the state that they have brought. */
static void name_outputs(struct tape_scopes *scopes, struct record *record)
{
	const struct tape_function *function = record->function;
	uint64_t session = function->lane < 0 ? 0 : record->in[function->lane].number;
	for (size_t i = 0; i < function->count; i++) {
		struct tape_value *out = &record->out[i];
		if (function->arguments[i].kind == TAPE_K_OUT_OBJECT && out->form == TAPE_V_NUMBER)
			out->tag = tape_scope_object(scopes, session, out->number);
		if (tape_shapes[function->arguments[i].kind].codec != TAPE_C_FOUND ||
		    out->form != TAPE_V_LIST)
			continue;
		struct tape_value *handles = (struct tape_value *)(uintptr_t)out->data;
		for (size_t j = 0; j < out->count; j++)
			handles[j].tag = tape_scope_object(scopes, session, handles[j].number);
	}
	loose_name_inside(scopes, function, record->in, record->out);
}

static void find_highest(void *context, const struct tape_value *handle, bool given)
{
	uint64_t *highest = context;
	if (given && handle->number > *highest)
		*highest = handle->number;
}

static void keep_fresh(struct loose *loose, const struct record *record)
{
	uint64_t inside = 0;
	tape_value_each_object(record->function, record->out, find_highest, &inside);
	for (size_t i = 0; i < record->function->count; i++) {
		const struct tape_value *out = &record->out[i];
		uint64_t highest = inside;
		if (out->form == TAPE_V_NUMBER)
			highest = out->number;
		for (size_t j = 0; out->form == TAPE_V_LIST && j < out->count; j++)
			if (tape_value_child(out, j)->form == TAPE_V_NUMBER &&
			    tape_value_child(out, j)->number > highest)
				highest = tape_value_child(out, j)->number;
		/* Beyond, there is no number left that is sure to be nobody's. */
		if (highest >= loose->fresh && highest < UINT32_MAX / 2)
			loose->fresh = highest + 1;
	}
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void put_in_lane(struct loose *loose, uint32_t index)
{
	struct entry *entry = &loose->entries[index];
	const struct record *record = entry->record;
	uint64_t lane = 0;
	if (record->function->lane >= 0 &&
	    !tape_map_get(&loose->lane_numbers, record->in[record->function->lane].number, &lane)) {
		/* A session that nobody was seen to open. */
		lane = loose->lane_count++;
		loose->lanes[lane] =
			(struct lane_state){ .opener = NONE, .cursor = NONE, .last = NONE };
		loose->failed |= !tape_map_put(&loose->lane_numbers,
		                               record->in[record->function->lane].number, lane);
	}
	struct lane_state *state = &loose->lanes[lane];
	entry->lane = (uint32_t)lane;
	entry->lane_next = NONE;
	if (state->last == NONE)
		state->cursor = index;
	else
		loose->entries[state->last].lane_next = index;
	state->last = index;
}

static void open_lane(struct loose *loose, uint32_t index)
{
	const struct record *record = loose->entries[index].record;
	uint64_t session = reading_session(record);
	if (session == 0)
		return;
	uint64_t lane = loose->lane_count++;
	loose->entries[index].opens = (uint32_t)lane;
	loose->lanes[lane] = (struct lane_state){ .opener = index, .cursor = NONE, .last = NONE };
	loose->failed |= !tape_map_put(&loose->lane_numbers, session, lane);
}

/* ---- the sweep ------------------------------------------------------------------------------- */

struct sweep {
	struct loose *loose;
	struct tape_scopes scopes;
	uint32_t *open; /* entries that have not returned */
	size_t open_count;
	uint64_t *keys; /* of those, before an effect */
};

static uint64_t key_now(struct sweep *sweep, const struct entry *entry)
{
	struct tape_scope_value state[TAPE_SCOPES];
	tape_scope_read(&sweep->scopes, entry->record->function, entry->record->in, state);
	return loose_key_of(state, loose_mask_of(entry->record));
}

static void begin_entry(struct sweep *sweep, uint32_t index)
{
	struct loose *loose = sweep->loose;
	struct entry *entry = &loose->entries[index];
	struct record *record = entry->record;
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	for (size_t i = 0; i < record->function->count; i++)
		if (loose_is_handle(record->function, i))
			record->in[i].tag =
				loose_identity_of(&sweep->scopes, record->function, record->in, i);
	loose_name_inside(&sweep->scopes, record->function, record->in, record->in);
	loose_put_recorded(record->function, record->in, asked);
	entry->ask = loose_ask_of(loose, record->function, asked, true);
	entry->fed = tape_scope_fed(&sweep->scopes, record->function, record->in);
	tape_scope_read(&sweep->scopes, record->function, record->in, entry->state);
	if (record->function->lane >= 0)
		entry->handles = tape_scope_handles(&sweep->scopes,
		                                    record->in[record->function->lane].number);
	classify(entry, tape_scope_varies(&sweep->scopes, record->function, record->in));
	put_in_lane(loose, index);
	put_in_group(loose, index);
	if (loose->model != NULL) {
		const struct model_call call = { &sweep->scopes, record->function, record->in,
			                         entry->state,
			                         loose_opened_as(loose, entry->lane) };
		model_note(loose->model, &call, record, index);
	}
	if (record->return_at == NOT_YET) {
		put_in_cell(loose, index, loose_key_of(entry->state, loose_mask_of(record)));
		if (entry->barrier)
			tape_scope_happened(&sweep->scopes, entry->self, (uint32_t)record->line);
		return;
	}
	sweep->open[sweep->open_count++] = index;
}

/* Calls that were open when something changed may have seen it, or not. */
static void notice_change(struct sweep *sweep, uint32_t index, bool waited)
{
	struct loose *loose = sweep->loose;
	for (size_t i = 0; i < sweep->open_count; i++) {
		struct entry *other = &loose->entries[sweep->open[i]];
		uint64_t key = key_now(sweep, other);
		if (key == sweep->keys[i])
			continue;
		other->ambiguous = true;
		put_in_cell(loose, sweep->open[i], key);
	}
	/* So may have those that began and returned meanwhile; a wait ends when it happens, not before. */
	size_t limit = (size_t)index + MAX_INSIDE;
	for (size_t i = (size_t)index + 1; i < loose->count && i < limit && !waited; i++) {
		struct entry *other = &loose->entries[i];
		if (other->record->call_at > loose->entries[index].record->return_at)
			break;
		if (other->record->return_at >= loose->entries[index].record->return_at)
			continue;
		uint64_t key = key_now(sweep, other);
		if (key == loose_key_of(other->state, loose_mask_of(other->record)))
			continue;
		other->ambiguous = true;
		put_in_cell(loose, (uint32_t)i, key);
	}
}

/* What a mechanism makes may be randomised although its row does not say so: nothing need have happened. */
static bool gives_bytes(const struct tape_function *function)
{
	if (tape_scope_rows[function - tape_functions].class == TAPE_CLASS_READ)
		return false;
	for (size_t i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_BYTES_AT)
			return true;
	return false;
}

static void end_entry(struct sweep *sweep, uint32_t index)
{
	struct loose *loose = sweep->loose;
	struct entry *entry = &loose->entries[index];
	struct record *record = entry->record;
	for (size_t i = 0; i < sweep->open_count; i++)
		if (sweep->open[i] == index)
			sweep->open[i--] = sweep->open[--sweep->open_count];
	for (size_t i = 0; i < sweep->open_count; i++)
		sweep->keys[i] = key_now(sweep, &loose->entries[sweep->open[i]]);
	struct tape_scope_value before[TAPE_SCOPES];
	struct tape_scope_value behind[TAPE_SCOPES];
	tape_scope_read(&sweep->scopes, record->function, record->in, before);
	loose_take_effect(&sweep->scopes, entry, record->in, record->out);
	if (!entry->barrier) {
		const struct tape_scope_call call = call_of(entry, record->in, record->out);
		keyed_learn(&sweep->scopes, entry->state, &call);
	}
	name_outputs(&sweep->scopes, record);
	keep_fresh(loose, record);
	open_lane(loose, index);
	if (loose->model != NULL && !entry->barrier && !entry->ambiguous && !record->partial)
		model_wrote(loose->model, &sweep->scopes, record);
	const struct tape_scope_row *row = &tape_scope_rows[record->function - tape_functions];
	unsigned int mask = loose_mask_of_entry(entry);
	bool differs = put_in_cell(loose, index, loose_key_of(entry->state, mask));
	/* Whether it may as well fail in the very same state is seen where both are in one cell. */
	if (row->class != TAPE_CLASS_READ && mask != TAPE_SCOPE_EVERY)
		differs = put_in_cell(loose, index, loose_key_of(entry->state, TAPE_SCOPE_EVERY)) &&
		          !entry->once;
	bool ruled = engine.options.rules.any[record->function - tape_functions];
	bool happened = differs && !entry->ambiguous && !ruled && !entry->once &&
	                !gives_bytes(record->function);
	if (happened) {
		entry->barrier = true;
		tape_scope_happened(&sweep->scopes, entry->self, (uint32_t)record->line);
		/* The new answer is that of the new state. */
		tape_scope_read(&sweep->scopes, record->function, record->in, behind);
		if (row->class == TAPE_CLASS_READ)
			put_in_cell(loose, index, loose_key_of(behind, mask));
	}
	tape_scope_read(&sweep->scopes, record->function, record->in, behind);
	for (unsigned int i = 0; i < TAPE_SCOPES; i++)
		if (before[i].hash != behind[i].hash)
			entry->changes |= 1u << i;
	if ((entry->changes & ~OF_SESSION) != 0)
		loose->wide[loose->wide_count++] = index;
	if (entry->changes && engine.overlaps)
		notice_change(sweep, index, wait_blocks(record));
}

/* What stands before each call in its lane: equal for lanes that began with equal calls and answers. */
static void hash_lanes(struct loose *loose)
{
	for (size_t lane = 0; lane < loose->lane_count; lane++) {
		uint64_t before = 1;
		for (uint32_t i = loose->lanes[lane].cursor; i != NONE;
		     i = loose->entries[i].lane_next) {
			struct entry *entry = &loose->entries[i];
			entry->lane_before = before;
			before = tape_mix(tape_mix(before, entry->group), entry->record->rv);
			for (size_t j = 0; j < entry->record->function->count; j++)
				before = loose_mix_value(before, &entry->record->out[j]);
		}
	}
}

static struct event *make_events(const struct loose *loose, size_t *ret_count)
{
	struct event *events = calloc(2 * loose->count + loose->hole_count + 1, sizeof(*events));
	size_t count = 0;
	for (size_t i = 0; events != NULL && i < loose->count; i++) {
		const struct record *record = loose->entries[i].record;
		events[count++] = (struct event){ record->call_at, (uint32_t)i, false };
		if (record->return_at == LATER)
			events[count++] = (struct event){ UINT64_MAX, (uint32_t)i, true };
		else if (record->return_at != NOT_YET)
			events[count++] = (struct event){ record->return_at, (uint32_t)i, true };
	}
	for (size_t i = 0; events != NULL && i < loose->hole_count; i++)
		events[count++] = (struct event){ loose->holes[i].position, NONE, false };
	if (events != NULL)
		qsort(events, count, sizeof(*events), by_position);
	*ret_count = count;
	return events;
}

/* The record of a call whose answer is that of the state in which it began; NULL for others. */
static const struct record *what_it_says(void *context, size_t index)
{
	const struct loose *loose = context;
	const struct entry *entry = &loose->entries[index];
	const struct record *record = entry->record;
	return entry->barrier || entry->ambiguous || record->partial || record->return_at == NOT_YET
	               ? NULL
	               : record;
}

static bool sweep_over(struct loose *loose)
{
	size_t count;
	size_t hole = 0;
	struct event *events = make_events(loose, &count);
	struct sweep sweep = { .loose = loose,
		               .open = calloc(loose->count + 1, sizeof(*sweep.open)),
		               .keys = calloc(loose->count + 1, sizeof(*sweep.keys)) };
	bool good = events != NULL && sweep.open != NULL && sweep.keys != NULL &&
	            tape_scopes_copy(&sweep.scopes, &loose->begin);
	for (size_t i = 0; good && i < count; i++) {
		if (events[i].entry == NONE) {
			const struct hole *passed = &loose->holes[hole++];
			tape_scope_happened(&sweep.scopes, loose_hole_identity(passed),
			                    (uint32_t)passed->line);
		} else if (events[i].is_return) {
			end_entry(&sweep, events[i].entry);
		} else {
			begin_entry(&sweep, events[i].entry);
		}
	}
	good = good && !sweep.scopes.failed && !loose->failed;
	tape_scopes_done(&sweep.scopes);
	free(sweep.open);
	free(sweep.keys);
	free(events);
	if (good)
		hash_lanes(loose);
	if (good && loose->model != NULL)
		model_learn(loose->model, what_it_says, loose);
	return good;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The recorded state of the parent's process when it forked. */
static bool state_at_fork(struct tape_scopes *to, const struct loose *parent, uint64_t after)
{
	size_t count;
	uint64_t limit = UINT64_MAX;
	struct event *events = make_events(parent, &count);
	bool good = events != NULL && tape_scopes_copy(to, &parent->begin);
	for (size_t i = 0; i < parent->count; i++)
		if (parent->entries[i].record->id > after &&
		    parent->entries[i].record->call_at < limit)
			limit = parent->entries[i].record->call_at;
	size_t hole = 0;
	for (size_t i = 0; good && i < count && events[i].position <= limit; i++) {
		if (events[i].entry == NONE) {
			const struct hole *passed = &parent->holes[hole++];
			tape_scope_happened(to, loose_hole_identity(passed),
			                    (uint32_t)passed->line);
		} else if (events[i].is_return) {
			const struct entry *entry = &parent->entries[events[i].entry];
			loose_take_effect(to, entry, entry->record->in, entry->record->out);
		}
	}
	free(events);
	return good && !to->failed;
}

bool loose_restart(struct loose *loose)
{
	tape_scopes_done(&loose->live);
	tape_map_clear(&loose->live_lanes);
	for (size_t i = 0; i < loose->count; i++)
		loose->entries[i].used = 0;
	loose_forget_again(loose);
	loose->course = true;
	loose->instead = loose->stale = NONE;
	loose->missing = 0;
	loose->hole_passed = 0;
	return tape_scopes_copy(&loose->live, &loose->begun);
}

static void find_blind(struct loose *loose)
{
	for (size_t i = 0; i < loose->count; i++) {
		const struct record *record = loose->entries[i].record;
		for (size_t j = 0; j < record->function->count; j++)
			if (has_form(&record->in[j], TAPE_V_SECRET) ||
			    has_form(&record->in[j], TAPE_V_LOST))
				loose->blind[record->function - tape_functions][j] = true;
	}
}

static bool allocate(struct loose *loose, size_t count)
{
	loose->bucket_count = 64;
	while (loose->bucket_count < count)
		loose->bucket_count *= 2;
	loose->entries = calloc(count + 1, sizeof(*loose->entries));
	loose->groups = calloc(count + 1, sizeof(*loose->groups));
	loose->buckets = malloc(loose->bucket_count * sizeof(*loose->buckets));
	/* Each call opens a lane, or uses a session that nobody opened, at the most. */
	loose->lanes = calloc(2 * count + 1, sizeof(*loose->lanes));
	loose->wide = calloc(count + 1, sizeof(*loose->wide));
	if (loose->entries == NULL || loose->groups == NULL || loose->buckets == NULL ||
	    loose->lanes == NULL || loose->wide == NULL)
		return false;
	memset(loose->buckets, 0xff, loose->bucket_count * sizeof(*loose->buckets));
	if (engine.options.mode == MODE_MODEL) {
		const size_t size = loose->bucket_count * sizeof(*loose->kin_buckets);
		loose->model = model_new();
		loose->kin_buckets = malloc(size);
		if (loose->model == NULL || loose->kin_buckets == NULL)
			return false;
		memset(loose->kin_buckets, 0xff, size);
	}
	loose->lanes[0] = (struct lane_state){ .opener = NONE, .cursor = NONE, .last = NONE };
	loose->lane_count = 1;
	return grow_cells(loose);
}

static bool build(struct loose *loose)
{
	const struct loose *parent = engine.parent;
	loose->holes = reading.holes;
	loose->hole_count = reading.count;
	reading.holes = NULL;
	reading.count = 0;
	if (reading.failed || !allocate(loose, (size_t)engine.calls))
		return false;
	for (struct record *r = engine.main.first; r != NULL; r = r->next) {
		struct entry *entry = &loose->entries[loose->count];
		entry->record = r;
		entry->self = tape_mix(tape_mix(tape_mix(r->id, r->call_at), r->seat), 3);
		loose->count++;
	}
	find_blind(loose);
	if (parent != NULL && (!state_at_fork(&loose->begin, parent, binding_forked_after()) ||
	                       !tape_scopes_copy(&loose->begun, &parent->live)))
		return false;
	loose->fresh = parent == NULL ? 1 : parent->fresh;
	return sweep_over(loose) && loose_restart(loose);
}

bool loose_open(void)
{
	struct tape_error error = { 0 };
	reading.failed = false;
	if (!reading_whole(note_hole))
		return false;
	struct loose *loose = calloc(1, sizeof(*loose));
	if (loose != NULL && build(loose)) {
		engine.loose = loose;
		if (loose->model != NULL && model_is_full(loose->model))
			report_note("there was no room for all that the recording tells of its "
			            "token: some calls that follow from it are not answered");
		return true;
	}
	loose_free(loose);
	tape_error_set(&error, TAPE_E_MEMORY, 0, "out of memory");
	return engine_refuse(&error);
}
