/* SPDX-License-Identifier: MIT
 *
 * The index is made by running over the trace with core/scope.c. A call's *ask* is a hash of its function and
 * inputs, to find those that may equal it; calls that are equal are a *group*; those of a group that were made
 * in one state are a *cell*, and one of these answers.
 *
 * Where calls overlap, the recorded state is one of several that the module may have been in. As long as a
 * replay has been served nothing but what strict mode would have served, its rule decides there: the next
 * call of the lane.
 */
#include "replayer/loose.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/compare.h"
#include "core/mix.h"
#include "replayer/binding.h"
#include "replayer/keyed.h"
#include "replayer/model.h"
#include "replayer/report.h"
#include "replayer/wait.h"

#define NONE UINT32_MAX

/* Calls at one moment that may have seen each other's changes; beyond, they are served once in any state. */
#define MAX_INSIDE 1024

/* How far a cell is searched for a call of the session's own lane. */
#define MAX_LOOK 64

struct entry {
	struct record *record;
	uint64_t ask, fed, self;
	struct tape_scope_value state[TAPE_SCOPES]; /* before the call */
	uint32_t group, next;                       /* in it */
	uint32_t lane, lane_next;
	uint32_t opens;                    /* the lane of the session that it opened; 0 for none */
	uint64_t lane_before;              /* hash of what stands before it in its lane */
	struct tape_scope_handles handles; /* of a call in a session: which the module chose */
	uint32_t used;
	bool once;            /* its answer is given once */
	bool ambiguous;       /* another call changed meanwhile what it reads */
	bool barrier;         /* something happened outside: with it, nothing known before holds */
	unsigned int changes; /* scopes that are others behind it; 0: none */
};

struct group {
	uint32_t first, last; /* entries */
	uint32_t next;        /* of the same hash */
	uint32_t kin;         /* model mode: of the same hash but for rooms */
};

struct member {
	uint32_t entry, next;
};

struct cell {
	uint64_t key; /* 0: free */
	uint32_t group;
	uint32_t first, last, cursor; /* members; the first that may be unused */
	bool differ;                  /* the answers do */
};

/* A lane as strict mode has it: a session, or all calls without one. */
struct lane_state {
	uint32_t opener; /* the entry that opened the session, or NONE */
	uint32_t cursor, last;
	uint64_t before;  /* hash of what was served of it, or, while reading, stands in it */
	uint64_t session; /* the program's handle of it; 0 for none */
};

struct loose {
	struct entry *entries;
	size_t count;
	struct group *groups;
	size_t group_count;
	uint32_t *buckets; /* groups by ask */
	size_t bucket_count;
	struct model *model;   /* model mode; else NULL */
	uint32_t *kin_buckets; /* likewise: groups by what is asked but for rooms */
	struct member *members;
	size_t member_count, member_room;
	struct cell *cells;
	size_t cell_count, cell_room;
	struct lane_state *lanes; /* [0]: calls without a session */
	size_t lane_count;
	struct tape_map lane_numbers;    /* recorded sessions, while reading */
	struct tape_map live_lanes;      /* of the program's sessions */
	struct tape_scopes begin, begun; /* before the first call: recorded and live */
	struct tape_scopes live;
	uint32_t *wide; /* entries whose change others see */
	size_t wide_count;
	struct hole *holes;
	size_t hole_count, hole_passed;
	bool blind[TAPE_FN_COUNT][TAPE_MAX_ARGUMENTS]; /* arguments whose contents say nothing */
	uint32_t again[TAPE_FN_COUNT];    /* the cell that answered a READ in this very state */
	uint32_t again_by[TAPE_FN_COUNT]; /* the entry: what its handles mean was looked up */
	bool course;                      /* nothing was served that strict mode would not have */
	bool failed;                      /* no memory */
	uint64_t fresh;                   /* the next handle that the trace has not */
	uint64_t beyond;                  /* calls that no recorded one answered */
	uint32_t instead; /* the entry that the call at hand uses up, if another one answers it */
	uint32_t stale, stale_lane; /* whose turn it is, if its answer is of another state */
	uint32_t missing;           /* no call before it is missed by who waits */
};

struct hole {
	uint64_t position;
	size_t line;
};

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

/* ---- what is asked --------------------------------------------------------------------------- */

static bool is_empty(const struct tape_value *value)
{
	return value->form == TAPE_V_NULL || (value->form == TAPE_V_BYTES && value->length == 0);
}

/* A structure's field that is compared whatever the other side has in it. */
static bool is_certain(enum tape_record_id record, const struct tape_field *field)
{
	for (size_t i = 0; i < tape_condition_count; i++)
		if (tape_conditions[i].record == record &&
		    tape_conditions[i].offset == field->offset)
			return false;
	return field->direction == TAPE_D_IN;
}

static uint64_t mix_value(uint64_t hash, const struct tape_value *value);

static uint64_t mix_child(uint64_t hash, const struct tape_value *value, size_t index)
{
	const struct tape_value *child = tape_value_child(value, index);
	return tape_value_is_object(value, index) ? tape_mix(hash, child->tag)
	                                          : mix_value(hash, child);
}

/* What tape_compare_in() compares in any case, of values that it may find equal. */
static uint64_t mix_value(uint64_t hash, const struct tape_value *value)
{
	if (is_empty(value))
		return tape_mix(hash, value->tag);
	const struct tape_value *child;
	switch ((enum tape_form)value->form) {
	case TAPE_V_NUMBER:
	case TAPE_V_LENGTH:
		return tape_mix(tape_mix(hash, value->tag), value->number);
	case TAPE_V_BYTES:
	case TAPE_V_RAW:
		return tape_mix_bytes(tape_mix(hash, value->tag), value->data, value->length);
	case TAPE_V_LIST:
	case TAPE_V_MECHANISM:
		hash = tape_mix(tape_mix(hash, value->tag), value->count);
		for (size_t i = 0; i < value->count; i++)
			hash = mix_child(hash, value, i);
		return hash;
	case TAPE_V_RECORD:
		hash = tape_mix(hash, value->record);
		for (size_t i = 0; i < value->count && i < tape_records[value->record].count; i++) {
			size_t field = tape_records[value->record].first + i;
			child = tape_value_child(value, i);
			if (child->form != TAPE_V_ABSENT &&
			    is_certain((enum tape_record_id)value->record, &tape_fields[field]))
				hash = mix_child(hash, value, i);
		}
		return hash;
	default:
		return tape_mix(hash, value->form);
	}
}

static uint64_t mix_rooms(uint64_t hash, const struct tape_value *value)
{
	hash = tape_mix(hash, value->form);
	for (size_t i = 0; value->form == TAPE_V_LIST && i < value->count; i++) {
		const struct tape_value *entry = tape_value_child(value, i);
		hash = tape_mix(hash, entry->tag);
		if (entry->form == TAPE_V_ROOM)
			hash = tape_mix(hash, entry->number);
	}
	return hash;
}

static bool is_handle(const struct tape_function *function, size_t argument)
{
	return (int)argument == function->lane ||
	       function->arguments[argument].kind == TAPE_K_OBJECT;
}

/* A room that core/derive.h answers for, in a buffer or a list. */
static bool is_derived(const struct tape_argument *argument)
{
	return tape_derives_room(argument) && tape_shapes[argument->kind].codec != TAPE_C_TEMPLATE;
}

/* `in` has identities in the place of handles. `rooms`: whether they count. */
static uint64_t ask_of(const struct loose *loose, const struct tape_function *function,
                       const struct tape_value *in, bool rooms)
{
	size_t id = (size_t)(function - tape_functions);
	uint64_t hash = tape_mix(id, 1);
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if (loose->blind[id][i] || engine.options.rules.whole[id][i] != TAPE_RULE_EXACT)
			continue;
		switch ((enum tape_codec)shape->codec) {
		case TAPE_C_NUMBER:
		case TAPE_C_CONSTANT:
		case TAPE_C_FLAGS:
		case TAPE_C_BOOLEAN:
			hash = tape_mix(hash, in[i].number);
			break;
		case TAPE_C_BYTES:
			if ((shape->traits & TAPE_T_ANY) == 0)
				hash = mix_value(hash, &in[i]);
			break;
		case TAPE_C_TEMPLATE:
			hash = (shape->traits & TAPE_T_OUT) != 0 ? mix_rooms(hash, &in[i])
			                                         : mix_value(hash, &in[i]);
			break;
		case TAPE_C_MECHANISM:
		case TAPE_C_CHARS:
		case TAPE_C_TEXTZ:
			hash = mix_value(hash, &in[i]);
			break;
		case TAPE_C_BYTES_AT:
		case TAPE_C_FILL:
		case TAPE_C_LIST_AT:
		case TAPE_C_FOUND:
			if (!rooms && is_derived(&function->arguments[i]))
				break;
			hash = tape_mix(hash, in[i].form);
			if (in[i].form != TAPE_V_QUERY)
				hash = tape_mix(hash, in[i].number);
			break;
		default:
			break;
		}
	}
	return hash;
}

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

/*
 * Identities for handles. Recorded ones have theirs in `tag`; so have those inside of structures, on both sides, where
 * they are compared by it.
 */
static void put_recorded(const struct tape_function *function, const struct tape_value *in,
                         struct tape_value *to)
{
	memcpy(to, in, function->count * sizeof(*to));
	for (size_t i = 0; i < function->count; i++)
		if (is_handle(function, i)) {
			to[i].number = in[i].tag;
			to[i].tag = 0;
		}
}

static uint64_t identity_of(struct tape_scopes *scopes, const struct tape_function *function,
                            const struct tape_value *in, size_t argument)
{
	uint64_t session = function->lane < 0 ? 0 : in[function->lane].number;
	return (int)argument == function->lane
	               ? tape_scope_session(scopes, session)
	               : tape_scope_object(scopes, session, in[argument].number);
}

struct naming {
	struct tape_scopes *scopes;
	uint64_t session;
};

/* What is named lies in an arena of ours, that of the trace or of the call. */
static void name_inner(void *context, const struct tape_value *handle, bool given)
{
	const struct naming *naming = context;
	(void)given;
	((struct tape_value *)(uintptr_t)handle)->tag =
		tape_scope_object(naming->scopes, naming->session, handle->number);
}

static void name_inside(struct tape_scopes *scopes, const struct tape_function *function,
                        const struct tape_value *in, const struct tape_value *values)
{
	struct naming naming = { scopes, function->lane < 0 ? 0 : in[function->lane].number };
	tape_value_each_object(function, values, name_inner, &naming);
}

static void put_live(struct loose *loose, const struct tape_function *function,
                     const struct tape_value *in, struct tape_value *to)
{
	memcpy(to, in, function->count * sizeof(*to));
	name_inside(&loose->live, function, in, in);
	for (size_t i = 0; i < function->count; i++)
		if (is_handle(function, i))
			to[i].number = identity_of(&loose->live, function, in, i);
}

/* Which argument differs of a recorded call from `asked`, which has identities. -1: none. */
static int compare(const struct entry *entry, const struct tape_value *asked, unsigned int part,
                   bool bind)
{
	const struct tape_function *function = entry->record->function;
	struct tape_value recorded[TAPE_MAX_ARGUMENTS];
	struct tape_compare compare = { .bindings = part == 0 ? &engine.bindings : NULL,
		                        .rules = &engine.options.rules,
		                        .part = entry->record->part,
		                        .identities = true,
		                        .bind = bind };
	put_recorded(function, entry->record->in, recorded);
	return tape_compare_in(&compare, function, recorded, asked);
}

/* ---- answers --------------------------------------------------------------------------------- */

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

static uint32_t *kin_bucket(const struct loose *loose, const struct tape_function *function,
                            const struct tape_value *asked)
{
	uint64_t ask = ask_of(loose, function, asked, false);
	return &loose->kin_buckets[ask & (loose->bucket_count - 1)];
}

static void put_in_group(struct loose *loose, uint32_t index)
{
	struct entry *entry = &loose->entries[index];
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	const struct tape_function *function = entry->record->function;
	put_recorded(function, entry->record->in, asked);
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
		    compare(first, asked, entry->record->part, false) >= 0)
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
	bucket = kin_bucket(loose, function, asked);
	while (*bucket != NONE)
		bucket = &loose->groups[*bucket].kin;
	*bucket = g;
}

static struct cell *find_cell(const struct loose *loose, uint32_t group, uint64_t key)
{
	size_t mask = loose->cell_room - 1;
	size_t at = (size_t)tape_mix(key, group) & mask;
	while (loose->cells[at].key != 0 &&
	       (loose->cells[at].key != key || loose->cells[at].group != group))
		at = (at + 1) & mask;
	return &loose->cells[at];
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
			*find_cell(&bigger, loose->cells[i].group, loose->cells[i].key) =
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
	struct cell *cell = find_cell(loose, group, key);
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

static unsigned int mask_of(const struct record *record)
{
	return tape_scope_reads(record->function, record->in);
}

static uint64_t key_of(const struct tape_scope_value state[TAPE_SCOPES], unsigned int mask)
{
	uint64_t key = tape_scope_key(state, mask);
	return key == 0 ? 1 : key;
}

/* A call that failed may have done so for what is anywhere in its slot and its session. */
static unsigned int mask_of_entry(const struct entry *entry)
{
	const struct record *record = entry->record;
	bool reads = tape_scope_rows[record->function - tape_functions].class == TAPE_CLASS_READ;
	bool full = !reads && record->return_at != NOT_YET && !tape_scope_answers(record->rv) &&
	            !entry->once;
	return full ? TAPE_SCOPE_EVERY : mask_of(record);
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

static void take_effect(struct tape_scopes *scopes, const struct entry *entry,
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
	name_inside(scopes, function, record->in, record->out);
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

/* Equal for sessions that were opened by equal calls; 0 where that is not known. */
static uint64_t opened_as(const struct loose *loose, uint32_t lane)
{
	if (lane == NONE || loose->lanes[lane].opener == NONE)
		return 0;
	return loose->entries[loose->lanes[lane].opener].group + UINT64_C(1);
}

static uint64_t key_now(struct sweep *sweep, const struct entry *entry)
{
	struct tape_scope_value state[TAPE_SCOPES];
	tape_scope_read(&sweep->scopes, entry->record->function, entry->record->in, state);
	return key_of(state, mask_of(entry->record));
}

static void begin_entry(struct sweep *sweep, uint32_t index)
{
	struct loose *loose = sweep->loose;
	struct entry *entry = &loose->entries[index];
	struct record *record = entry->record;
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	for (size_t i = 0; i < record->function->count; i++)
		if (is_handle(record->function, i))
			record->in[i].tag =
				identity_of(&sweep->scopes, record->function, record->in, i);
	name_inside(&sweep->scopes, record->function, record->in, record->in);
	put_recorded(record->function, record->in, asked);
	entry->ask = ask_of(loose, record->function, asked, true);
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
			                         entry->state, opened_as(loose, entry->lane) };
		model_note(loose->model, &call, record, index);
	}
	if (record->return_at == NOT_YET) {
		put_in_cell(loose, index, key_of(entry->state, mask_of(record)));
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
		if (key == key_of(other->state, mask_of(other->record)))
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

/* Scopes that other sessions' calls do not see. */
#define OF_SESSION (TAPE_SCOPE_BIT(TAPE_SCOPE_OP) | TAPE_SCOPE_BIT(TAPE_SCOPE_ALL_OPS))

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
	take_effect(&sweep->scopes, entry, record->in, record->out);
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
	unsigned int mask = mask_of_entry(entry);
	bool differs = put_in_cell(loose, index, key_of(entry->state, mask));
	/* Whether it may as well fail in the very same state is seen where both are in one cell. */
	if (row->class != TAPE_CLASS_READ && mask != TAPE_SCOPE_EVERY)
		differs = put_in_cell(loose, index, key_of(entry->state, TAPE_SCOPE_EVERY)) &&
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
			put_in_cell(loose, index, key_of(behind, mask));
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
				before = mix_value(before, &entry->record->out[j]);
		}
		loose->lanes[lane].before = 1;
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

static uint64_t hole_identity(const struct hole *hole)
{
	return tape_mix(hole->position, 2);
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
			tape_scope_happened(&sweep.scopes, hole_identity(passed),
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
			tape_scope_happened(to, hole_identity(passed), (uint32_t)passed->line);
		} else if (events[i].is_return) {
			const struct entry *entry = &parent->entries[events[i].entry];
			take_effect(to, entry, entry->record->in, entry->record->out);
		}
	}
	free(events);
	return good && !to->failed;
}

/* The state is another one: what answered last need not do so again. */
static void forget_again(struct loose *loose)
{
	memset(loose->again, 0xff, sizeof(loose->again));
}

static bool restart(struct loose *loose)
{
	tape_scopes_done(&loose->live);
	tape_map_clear(&loose->live_lanes);
	for (size_t i = 0; i < loose->count; i++)
		loose->entries[i].used = 0;
	forget_again(loose);
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
	return sweep_over(loose) && restart(loose);
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

/* ---- the short way --------------------------------------------------------------------------- */

/*
 * In a state that stays, who reads the same again with the same words needs no more than the plan that was
 * made of the call: of the next that is not used up, for those must be counted, or of the last.
 */
struct record *loose_again(const struct tape_function *function, const uintptr_t *words,
                           bool *ret_first)
{
	struct loose *loose = engine.loose;
	uint32_t index = loose->again[function - tape_functions];
	if (index == NONE || engine.notices != NULL)
		return NULL;
	struct cell *cell = &loose->cells[index];
	while (cell->cursor != NONE && loose->entries[loose->members[cell->cursor].entry].used != 0)
		cell->cursor = loose->members[cell->cursor].next;
	uint32_t member = cell->cursor == NONE ? cell->last : cell->cursor;
	struct entry *entry = &loose->entries[loose->members[member].entry];
	if (entry->once || entry->ambiguous || entry->barrier || entry->record->notices != NULL ||
	    !plan_equals(&entry->record->plan, words))
		return NULL;
	/* Another entry of the cell has its own handles, which need not mean the same here, or anything. */
	const struct entry *by = &loose->entries[loose->again_by[function - tape_functions]];
	if (entry != by && !plan_equals(&by->record->plan, words))
		return NULL;
	*ret_first = entry->used == 0;
	entry->used = 1;
	return entry->record;
}

/* Remember the cell that a READ was answered from, if the words that came are those of its plans. */
static void remember_again(struct loose *loose, const struct tape_function *function,
                           const struct cell *cell, const struct tape_value *live,
                           const struct record *record)
{
	if (tape_scope_rows[function - tape_functions].class != TAPE_CLASS_READ || cell->differ)
		return;
	/* Plans have recorded handles: those that came must mean the same. */
	for (size_t i = 0; i < function->count; i++)
		if (is_handle(function, i) && live[i].number != record->in[i].number)
			return;
	loose->again[function - tape_functions] = (uint32_t)(cell - loose->cells);
	loose->again_by[function - tape_functions] = (uint32_t)record->number;
}

/* ---- finding --------------------------------------------------------------------------------- */

static struct entry *entry_of(const struct loose *loose, const struct record *record)
{
	return &loose->entries[record->number];
}

static uint32_t live_lane(const struct loose *loose, const struct tape_function *function,
                          const struct tape_value *live)
{
	uint64_t lane = 0;
	if (function->lane >= 0 &&
	    !tape_map_get(&loose->live_lanes, live[function->lane].number, &lane))
		return NONE;
	return (uint32_t)lane;
}

/* The call of a cell that answers now; NONE where each has been given. */
static uint32_t choose(struct loose *loose, struct cell *cell, uint32_t lane, bool *ret_again)
{
	uint32_t best = NONE;
	unsigned int best_rank = 0;
	size_t looked = 0;
	uint32_t again = NONE;
	while (cell->cursor != NONE && loose->entries[loose->members[cell->cursor].entry].used != 0)
		cell->cursor = loose->members[cell->cursor].next;
	for (uint32_t m = cell->cursor; m != NONE && looked < MAX_LOOK;
	     m = loose->members[m].next) {
		const struct entry *entry = &loose->entries[loose->members[m].entry];
		if (entry->used != 0)
			continue;
		unsigned int rank = (entry->ambiguous ? 1u : 3u) + (entry->lane == lane ? 1u : 0u);
		if (rank > best_rank) {
			best = loose->members[m].entry;
			best_rank = rank;
		}
		looked++;
	}
	*ret_again = false;
	if (best != NONE || cell->differ)
		return best;
	for (uint32_t m = cell->first; m != NONE; m = loose->members[m].next) {
		const struct entry *entry = &loose->entries[loose->members[m].entry];
		if (!entry->once && !entry->ambiguous) {
			again = loose->members[m].entry;
			*ret_again = true;
			break;
		}
	}
	return again;
}

/* The call of a group that answers in the state that there is. */
static uint32_t look_in_group(struct loose *loose, uint32_t group, uint32_t lane,
                              const struct tape_scope_value state[TAPE_SCOPES],
                              const struct tape_value *live)
{
	const struct record *record = loose->entries[loose->groups[group].first].record;
	const unsigned int masks[] = { TAPE_SCOPE_EVERY, mask_of(record) };
	bool reads = tape_scope_rows[record->function - tape_functions].class == TAPE_CLASS_READ;
	for (size_t i = reads ? 1 : 0; i < TAPE_ARRAY_SIZE(masks); i++) {
		struct cell *cell = find_cell(loose, group, key_of(state, masks[i]));
		bool again;
		uint32_t found = cell->key == 0 ? NONE : choose(loose, cell, lane, &again);
		if (found == NONE)
			continue;
		if (live != NULL)
			remember_again(loose, record->function, cell, live,
			               loose->entries[found].record);
		return found;
	}
	return NONE;
}

static bool has_parameter(const struct tape_function *function)
{
	for (size_t i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_PARAMETER)
			return true;
	return false;
}

/* Capture a call as if it were the recorded one. */
static void capture_as(struct loose *loose, const struct entry *entry,
                       const struct tape_function *function, const uintptr_t *words,
                       struct tape_value *live, struct tape_value *asked)
{
	if (has_parameter(function))
		engine_capture(entry->record, function, words, live);
	put_live(loose, function, live, asked);
}

static int compare_live(struct loose *loose, const struct entry *entry,
                        const struct tape_function *function, const uintptr_t *words,
                        struct tape_value *live, bool bind)
{
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	capture_as(loose, entry, function, words, live, asked);
	return compare(entry, asked, 0, bind);
}

/* The same, whatever its rooms are that core/derive.h answers for. */
static int compare_kin(struct loose *loose, const struct entry *entry, const uintptr_t *words,
                       struct tape_value *live, bool bind)
{
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	const struct tape_function *function = entry->record->function;
	capture_as(loose, entry, function, words, live, asked);
	for (size_t i = 0; i < function->count; i++)
		if (is_derived(&function->arguments[i]))
			asked[i] = entry->record->in[i];
	return compare(entry, asked, 0, bind);
}

/* Whether the answer to a call with other rooms follows from a recorded one. */
static bool derives(const struct record *record, const struct tape_value *live,
                    struct tape_derived *ret_derived)
{
	return !record->partial && record->return_at != NOT_YET &&
	       tape_scope_outside(record->rv) == TAPE_OUTSIDE_NOTHING &&
	       tape_derive(&engine.scratch, record->function, record->in, record->out, record->rv,
	                   live, ret_derived);
}

/* ---- strict mode's rule ---------------------------------------------------------------------- */

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
	unsigned int mask = mask_of_entry(entry);
	if (key_of(entry->state, mask) == key_of(state, mask))
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
	return look_in_group(loose, entry->group, lane, state, live);
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
	const unsigned int reads = mask_of(entry->record);
	const uint8_t class = tape_scope_rows[entry->record->function - tape_functions].class;
	size_t looked = 0;
	if (class == TAPE_CLASS_READ || class == TAPE_CLASS_DRAW ||
	    tape_scope_answers(entry->record->rv) || entry->once ||
	    (!entry->ambiguous && key_of(entry->state, reads) == key_of(state, reads)))
		return index;
	for (uint32_t i = loose->groups[entry->group].first; i != NONE && looked < MAX_INSIDE;
	     i = loose->entries[i].next, looked++) {
		const struct entry *other = &loose->entries[i];
		unsigned int mask = mask_of_entry(other);
		if (i != index && other->used == 0 && !other->ambiguous &&
		    tape_scope_answers(other->record->rv) &&
		    key_of(other->state, mask) == key_of(state, mask) &&
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
		    compare_live(loose, &loose->entries[i], function, words, live, false) < 0) {
			i = who_won(loose, i, state);
			uint32_t answer = answer_of(loose, i, number, state, live);
			if (answer == NONE) {
				loose->stale = i;
				loose->stale_lane = number;
				return NONE;
			}
			if (answer != i)
				loose->instead = i;
			lane->before = loose->entries[i].lane_before;
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
		    compare_live(loose, &loose->entries[i], function, words, live, false) >= 0)
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

static uint32_t on_course(struct loose *loose, uint32_t lane, const struct tape_function *function,
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

/* The call whose turn it was has no answer in the state that there is: the next one's turn has come. */
static void pass_stale(struct loose *loose)
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

/* ---- why there is none ----------------------------------------------------------------------- */

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
		unsigned int mask = mask_of_entry(entry);
		if (key_of(entry->state, mask) == key_of(state, mask))
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
		int argument = compare_live(loose, first, function, words, live, false);
		if (argument >= 0 && loose->model != NULL &&
		    compare_kin(loose, first, words, live, false) < 0 &&
		    derives(first->record, live, &derived))
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
		const struct entry *nearest = entry_of(loose, miss->nearest[0]);
		bool session = miss->arguments[0] == function->lane;
		enum tape_scope by = session ? TAPE_SCOPE_SESSIONS : TAPE_SCOPE_OBJECTS;
		miss->why = LOOSE_STATE;
		miss->scope = by;
		miss->recorded_by = record_at(loose, nearest->state[by].line);
		miss->live_by = record_at(loose, state[by].line);
	}
}

/* ---- holes ----------------------------------------------------------------------------------- */

/* Whether every change that was recorded before it has come. */
static bool is_reached(const struct loose *loose, const struct hole *hole)
{
	for (size_t i = 0; i < loose->count; i++) {
		const struct entry *entry = &loose->entries[i];
		if (entry->record->call_at > hole->position)
			break;
		if (entry->changes && entry->used == 0)
			return false;
	}
	return true;
}

/*
 * What the recording lacks changed nobody knows what. A program that has made every change before it, and
 * asks for what is only known behind it, is taken to be there.
 */
static bool pass_hole(struct loose *loose)
{
	char sentence[sizeof(engine.options.trace) + 160];
	if (loose->hole_passed >= loose->hole_count ||
	    !is_reached(loose, &loose->holes[loose->hole_passed]))
		return false;
	const struct hole *hole = &loose->holes[loose->hole_passed++];
	snprintf(sentence, sizeof(sentence),
	         "something is missing in the recording (%s:%zu): what stands behind it is "
	         "answered as if the program had made those calls, too",
	         engine.options.trace, hole->line);
	report_note(sentence);
	forget_again(loose);
	tape_scope_happened(&loose->live, hole_identity(hole), (uint32_t)hole->line);
	return true;
}

/*
 * No call answers with the handles that the module is taken to have chosen last. Where it has given none of them
 * yet it may have chosen as it did another time: then that is what it did.
 */
static uint32_t choose_handles(struct loose *loose, uint32_t group, uint32_t lane,
                               const struct tape_value *live,
                               struct tape_scope_value state[TAPE_SCOPES])
{
	const struct tape_function *function =
		loose->entries[loose->groups[group].first].record->function;
	/* Only a search finds out. */
	if (function->lane < 0 || (tape_scope_rows[function - tape_functions].reads &
	                           TAPE_SCOPE_BIT(TAPE_SCOPE_OBJECTS)) == 0)
		return NONE;
	const uint64_t session = live[function->lane].number;
	const struct tape_scope_handles now = tape_scope_handles(&loose->live, session);
	size_t looked = 0;
	for (uint32_t i = loose->groups[group].first;
	     i != NONE && !now.begun && looked < MAX_INSIDE; i = loose->entries[i].next, looked++) {
		const struct entry *entry = &loose->entries[i];
		if (entry->handles.epoch == 0 || entry->handles.epoch == now.epoch)
			continue;
		tape_scope_choose(&loose->live, session, &entry->handles, false);
		tape_scope_read(&loose->live, function, live, state);
		uint32_t found = look_in_group(loose, group, lane, state, live);
		if (found != NONE) {
			tape_scope_choose(&loose->live, session, &entry->handles, true);
			forget_again(loose);
			return found;
		}
	}
	tape_scope_choose(&loose->live, session, &now, false);
	tape_scope_read(&loose->live, function, live, state);
	return NONE;
}

static uint32_t look(struct loose *loose, const struct tape_function *function,
                     const uintptr_t *words, struct tape_value *live,
                     struct tape_scope_value state[TAPE_SCOPES])
{
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	engine_capture(NULL, function, words, live);
	put_live(loose, function, live, asked);
	uint32_t lane = live_lane(loose, function, live);
	uint64_t ask = ask_of(loose, function, asked, true);
	tape_scope_read(&loose->live, function, live, state);
	uint32_t found = NONE;
	loose->instead = NONE;
	loose->stale = NONE;
	if (loose->course && engine.overlaps)
		found = on_course(loose, lane, function, words, live, state);
	if (found != NONE || loose->stale != NONE)
		return found;
	loose->course = false;
	for (uint32_t g = loose->buckets[ask & (loose->bucket_count - 1)];
	     g != NONE && found == NONE; g = loose->groups[g].next) {
		const struct entry *first = &loose->entries[loose->groups[g].first];
		if (first->ask != ask || first->record->function != function ||
		    compare_live(loose, first, function, words, live, false) >= 0)
			continue;
		found = look_in_group(loose, g, lane, state, live);
		if (found == NONE)
			found = choose_handles(loose, g, lane, live, state);
	}
	return found;
}

struct record *loose_find(const struct tape_function *function, const uintptr_t *words,
                          struct tape_value *live)
{
	struct loose *loose = engine.loose;
	struct tape_scope_value state[TAPE_SCOPES];
	uint32_t found;
	do
		found = look(loose, function, words, live, state);
	while (found == NONE && pass_hole(loose));
	if (found == NONE && loose->stale != NONE)
		pass_stale(loose);
	if (found == NONE)
		return NULL;
	(void)compare_live(loose, &loose->entries[found], function, words, live, true);
	return loose->entries[found].record;
}

void loose_explain(const struct tape_function *function, const uintptr_t *words,
                   struct tape_value *live, struct loose_miss *ret_miss)
{
	struct tape_scope_value state[TAPE_SCOPES];
	engine_capture(NULL, function, words, live);
	tape_scope_read(&engine.loose->live, function, live, state);
	explain(engine.loose, function, words, live, state, ret_miss);
}

/* ---- model mode ------------------------------------------------------------------------------ */

static void read_call(struct loose *loose, const struct tape_function *function,
                      const struct tape_value *live, struct tape_scope_value state[TAPE_SCOPES],
                      struct model_call *ret_call)
{
	tape_scope_read(&loose->live, function, live, state);
	*ret_call = (struct model_call){ &loose->live, function, live, state,
		                         opened_as(loose, live_lane(loose, function, live)) };
}

/* The answer to a call that was recorded with another room. */
static bool derive_room(struct loose *loose, const struct tape_function *function,
                        const uintptr_t *words, struct tape_value *live,
                        const struct tape_scope_value state[TAPE_SCOPES],
                        struct loose_derived *ret_derived)
{
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	struct tape_derived *derived = &ret_derived->answer.derived;
	const uint32_t lane = live_lane(loose, function, live);
	put_live(loose, function, live, asked);
	for (uint32_t g = *kin_bucket(loose, function, asked); g != NONE;
	     g = loose->groups[g].kin) {
		const struct entry *entry = &loose->entries[loose->groups[g].first];
		if (entry->record->function != function ||
		    compare_kin(loose, entry, words, live, false) >= 0)
			continue;
		uint32_t found = look_in_group(loose, g, lane, state, NULL);
		if (found == NONE)
			continue;
		entry = &loose->entries[found];
		struct record *record = entry->record;
		if (!derives(record, live, derived))
			continue;
		/* The recorded answer as it is: the operation goes on as it did, a new object is the recorded one. */
		const bool whole = derived->rv == record->rv &&
		                   memcmp(derived->out, record->out,
		                          function->count * sizeof(*record->out)) == 0;
		/* Which state an overlapped call was made in is not known before it is used. */
		if (entry->ambiguous && !whole)
			continue;
		(void)compare_kin(loose, entry, words, live, true);
		ret_derived->record = whole ? record : NULL;
		ret_derived->answer.part = record->part;
		return true;
	}
	return false;
}

bool loose_derive(const struct tape_function *function, const uintptr_t *words,
                  struct tape_value *live, struct loose_derived *ret_derived)
{
	struct loose *loose = engine.loose;
	struct tape_scope_value state[TAPE_SCOPES];
	struct model_call call;
	if (loose->model == NULL)
		return false;
	engine_capture(NULL, function, words, live);
	read_call(loose, function, live, state, &call);
	if (derive_room(loose, function, words, live, state, ret_derived))
		return true;
	ret_derived->record = NULL;
	return model_answer(loose->model, &call, &engine.scratch, &ret_derived->answer);
}

bool loose_follow(const struct tape_function *function, const struct tape_value *live,
                  const struct facts_answer *answer)
{
	struct loose *loose = engine.loose;
	const struct tape_derived *derived = &answer->derived;
	struct tape_scope_value state[TAPE_SCOPES];
	struct model_call model_call;
	bool good = !derived->steps || loose_beyond(function, live, derived->out, derived->rv);
	read_call(loose, function, live, state, &model_call);
	model_served(loose->model, &model_call, derived->out, derived->rv);
	return good;
}

/* ---- serving --------------------------------------------------------------------------------- */

struct record *loose_take(struct record *record, const struct tape_value *live, bool *ret_first)
{
	struct loose *loose = engine.loose;
	struct entry *entry =
		loose->instead == NONE ? entry_of(loose, record) : &loose->entries[loose->instead];
	uint64_t mine = 0;
	uint64_t theirs = 0;
	loose->instead = NONE;
	*ret_first = entry->used == 0;
	if (entry->used != UINT32_MAX)
		entry->used++;
	/* The session has made another lane's call: from here on it is that one, as far as anybody can tell. */
	if (!loose->course && record->function->lane >= 0 && *ret_first) {
		uint64_t session = live[record->function->lane].number;
		if (tape_map_get(&loose->live_lanes, session, &mine) && mine != entry->lane) {
			theirs = loose->lanes[entry->lane].session;
			loose->lanes[entry->lane].session = session;
			loose->lanes[mine].session = theirs;
			loose->failed |= !tape_map_put(&loose->live_lanes, session, entry->lane);
			loose->failed |=
				theirs != 0 && !tape_map_put(&loose->live_lanes, theirs, mine);
		}
	}
	return entry->record;
}

/* Whether a number means something to the program; in the slot of `session`, or, for 0, as a session itself. */
static bool is_used(const struct loose *loose, uint64_t session, uint64_t number)
{
	return session == 0 ? tape_scope_session_lives(&loose->live, number)
	                    : tape_scope_object_lives(&loose->live, session, number);
}

/* A handle for the program: the recorded one, unless that is something else's to it. */
static uint64_t handle_for(struct loose *loose, uint64_t session, const struct tape_value *recorded)
{
	uint64_t number = recorded->number;
	if (session != 0 && tape_scope_find(&loose->live, recorded->tag, &number))
		return number;
	while (is_used(loose, session, number))
		number = loose->fresh++;
	return number;
}

struct putting {
	struct loose *loose;
	uint64_t session;
};

static void put_inner(void *context, const struct tape_value *handle, bool given)
{
	const struct putting *putting = context;
	uint64_t *number = &((struct tape_value *)(uintptr_t)handle)->number;
	if (given && *number != 0)
		*number = handle_for(putting->loose, putting->session, handle);
	else
		(void)tape_scope_find(&putting->loose->live, handle->tag, number);
}

static void note_inner(void *context, const struct tape_value *handle, bool given)
{
	bool *any = context;
	(void)handle;
	(void)given;
	*any = true;
}

/* The same for handles inside of structures, which are then copies. */
static void put_inside(struct loose *loose, const struct tape_function *function, uint64_t session,
                       struct tape_value *values)
{
	struct putting putting = { loose, session };
	bool any = false;
	tape_value_each_object(function, values, note_inner, &any);
	if (!any)
		return;
	for (size_t i = 0; i < function->count; i++) {
		struct tape_value recorded = values[i];
		loose->failed |= !tape_value_copy(&engine.scratch, &values[i], &recorded);
	}
	if (!loose->failed)
		tape_value_each_object(function, values, put_inner, &putting);
}

/* The recorded call as the program made it: with its handles. */
static void put_handles(struct loose *loose, const struct record *record,
                        const struct tape_value *live, struct tape_value *in,
                        struct tape_value *out)
{
	const struct tape_function *function = record->function;
	memcpy(in, record->in, function->count * sizeof(*in));
	memcpy(out, record->out, function->count * sizeof(*out));
	uint64_t session = function->lane < 0 ? 0 : live[function->lane].number;
	for (size_t i = 0; i < function->count; i++) {
		uint8_t kind = function->arguments[i].kind;
		if (is_handle(function, i))
			in[i].number = live[i].number;
		if (out[i].form == TAPE_V_NUMBER &&
		    (kind == TAPE_K_OUT_SESSION || kind == TAPE_K_OUT_OBJECT))
			out[i].number = handle_for(loose, session, &out[i]);
		if (tape_shapes[kind].codec != TAPE_C_FOUND || out[i].form != TAPE_V_LIST)
			continue;
		struct tape_value *handles =
			tape_arena_array(&engine.scratch, out[i].count, sizeof(*handles));
		if (handles == NULL) {
			loose->failed = true;
			continue;
		}
		for (size_t j = 0; j < out[i].count; j++) {
			handles[j] = *tape_value_child(&out[i], j);
			handles[j].number = handle_for(loose, session, &handles[j]);
		}
		out[i].data = handles;
	}
	put_inside(loose, function, session, in);
	put_inside(loose, function, session, out);
}

const struct tape_value *loose_answer(const struct record *record, const struct tape_value *live,
                                      bool first)
{
	struct loose *loose = engine.loose;
	const struct entry *entry = entry_of(loose, record);
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value *out =
		tape_arena_array(&engine.scratch, TAPE_MAX_ARGUMENTS, sizeof(*out));
	if (out == NULL || loose->failed || loose->live.failed)
		return NULL;
	put_handles(loose, record, live, in, out);
	/* What happened happened once, however often the changed answer is asked for. */
	if (first || !entry->barrier) {
		if (entry->changes)
			forget_again(loose);
		take_effect(&loose->live, entry, in, out);
	}
	for (size_t i = 0; i < record->function->count; i++)
		if (record->function->arguments[i].kind == TAPE_K_OUT_SESSION &&
		    entry->opens != 0) {
			loose->lanes[entry->opens].session = out[i].number;
			loose->failed |=
				!tape_map_put(&loose->live_lanes, out[i].number, entry->opens);
		}
	if (loose->model != NULL) {
		struct tape_scope_value state[TAPE_SCOPES];
		struct model_call call;
		read_call(loose, record->function, in, state, &call);
		model_served(loose->model, &call, out, record->rv);
	}
	return loose->failed || loose->live.failed ? NULL : out;
}

void loose_pass(const struct record *record)
{
	const struct entry *entry = entry_of(engine.loose, record);
	forget_again(engine.loose);
	if (entry->barrier)
		tape_scope_happened(&engine.loose->live, entry->self, (uint32_t)record->line);
}

bool loose_beyond(const struct tape_function *function, const struct tape_value *live,
                  const struct tape_value *out, CK_RV rv)
{
	struct loose *loose = engine.loose;
	const struct tape_scope_call call = {
		.function = function,
		.in = live,
		.out = out,
		.rv = rv,
		.fed = tape_scope_fed(&loose->live, function, live),
		.self = tape_mix(++loose->beyond, 5),
	};
	forget_again(loose);
	tape_scope_effect(&loose->live, &call);
	return !loose->live.failed;
}

bool loose_end(const struct tape_function *function, const struct tape_value *live)
{
	static const struct tape_value nothing[TAPE_MAX_ARGUMENTS];
	return tape_scope_ends(&engine.loose->live, function, live) &&
	       loose_beyond(function, live, nothing, CKR_OK);
}

const struct record *loose_record(size_t index)
{
	return engine.loose == NULL || index >= engine.loose->count
	               ? NULL
	               : engine.loose->entries[index].record;
}

struct tape_scopes *loose_state(void)
{
	return &engine.loose->live;
}

uint64_t loose_fresh_object(uint64_t session)
{
	uint64_t number;
	do
		number = engine.loose->fresh++;
	while (is_used(engine.loose, session, number));
	return number;
}

/* A call that somebody may wait for: one that changed something, or did not return. */
static bool may_be_missed(const struct entry *entry)
{
	return entry->used == 0 && (entry->changes != 0 ||
	                            (entry->record->return_at == NOT_YET && !entry->record->left));
}

const struct record *loose_missing(uint64_t position)
{
	struct loose *loose = engine.loose;
	while (loose->missing < loose->count && !may_be_missed(&loose->entries[loose->missing]))
		loose->missing++;
	for (size_t i = loose->missing; i < loose->count; i++) {
		const struct record *record = loose->entries[i].record;
		if (record->call_at >= position)
			break;
		/*
		 * What ends everything ends waits before it returns (PKCS#11 3.1 §5.5.4). At the end, those
		 * that others hang in have to have come, too.
		 */
		if (may_be_missed(&loose->entries[i]) &&
		    (record->return_at < position || record->function->ends ||
		     position == UINT64_MAX))
			return record;
	}
	return NULL;
}

uint64_t loose_session(uint64_t recorded)
{
	const struct loose *loose = engine.loose;
	for (size_t lane = 1; lane < loose->lane_count; lane++) {
		const struct lane_state *state = &loose->lanes[lane];
		if (state->opener != NONE && state->session != 0 &&
		    reading_session(loose->entries[state->opener].record) == recorded)
			return state->session;
	}
	return recorded;
}

void loose_catch_up(size_t count)
{
	struct loose *loose = engine.loose;
	if (!restart(loose))
		loose->failed = true;
	for (size_t i = 0; i < count && i < loose->count && !loose->failed; i++) {
		bool first;
		loose_take(loose->entries[i].record, loose->entries[i].record->in, &first);
		tape_arena_reset(&engine.scratch);
		(void)loose_answer(loose->entries[i].record, loose->entries[i].record->in, first);
	}
}

void loose_go_over(struct loose *from, struct loose *to)
{
	struct tape_scopes other = to->live;
	to->live = from->live;
	from->live = other;
	forget_again(from);
	forget_again(to);
	if (to->fresh < from->fresh)
		to->fresh = from->fresh;
}

uint64_t loose_served(uint64_t *ret_line)
{
	const struct loose *loose = engine.loose;
	uint64_t served = 0;
	*ret_line = 0;
	for (size_t i = 0; i < loose->count; i++) {
		served += loose->entries[i].used != 0;
		if (loose->entries[i].used == 0 && *ret_line == 0)
			*ret_line = loose->entries[i].record->line;
	}
	return served;
}
