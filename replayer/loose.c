/* SPDX-License-Identifier: MIT
 *
 * Lenient mode: finding the recorded call that answers one that came, and giving its answer. loose_parts.h says
 * where the rest is.
 */
#include "replayer/loose.h"

#include <stdio.h>
#include <string.h>

#include "replayer/loose_parts.h"
#include "replayer/report.h"

/* How far a cell is searched for a call of the session's own lane. */
#define MAX_LOOK 64

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
		if (loose_is_handle(function, i) && live[i].number != record->in[i].number)
			return;
	loose->again[function - tape_functions] = (uint32_t)(cell - loose->cells);
	loose->again_by[function - tape_functions] = (uint32_t)record->number;
}

/* ---- finding --------------------------------------------------------------------------------- */

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

uint32_t loose_look_in_group(struct loose *loose, uint32_t group, uint32_t lane,
                             const struct tape_scope_value state[TAPE_SCOPES],
                             const struct tape_value *live)
{
	const struct record *record = loose->entries[loose->groups[group].first].record;
	const unsigned int masks[] = { TAPE_SCOPE_EVERY, loose_mask_of(record) };
	bool reads = tape_scope_rows[record->function - tape_functions].class == TAPE_CLASS_READ;
	for (size_t i = reads ? 1 : 0; i < TAPE_ARRAY_SIZE(masks); i++) {
		struct cell *cell = loose_find_cell(loose, group, loose_key_of(state, masks[i]));
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
	loose_forget_again(loose);
	tape_scope_happened(&loose->live, loose_hole_identity(hole), (uint32_t)hole->line);
	return true;
}

/* ---- looking --------------------------------------------------------------------------------- */

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
		uint32_t found = loose_look_in_group(loose, group, lane, state, live);
		if (found != NONE) {
			tape_scope_choose(&loose->live, session, &entry->handles, true);
			loose_forget_again(loose);
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
	loose_put_live(loose, function, live, asked);
	uint32_t lane = live_lane(loose, function, live);
	uint64_t ask = loose_ask_of(loose, function, asked, true);
	tape_scope_read(&loose->live, function, live, state);
	uint32_t found = NONE;
	loose->instead = NONE;
	loose->stale = NONE;
	if (loose->course && engine.overlaps)
		found = loose_on_course(loose, lane, function, words, live, state);
	if (found != NONE || loose->stale != NONE)
		return found;
	loose->course = false;
	for (uint32_t g = loose->buckets[ask & (loose->bucket_count - 1)];
	     g != NONE && found == NONE; g = loose->groups[g].next) {
		const struct entry *first = &loose->entries[loose->groups[g].first];
		if (first->ask != ask || first->record->function != function ||
		    loose_compare_live(loose, first, function, words, live, false) >= 0)
			continue;
		found = loose_look_in_group(loose, g, lane, state, live);
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
		loose_pass_stale(loose);
	if (found == NONE)
		return NULL;
	(void)loose_compare_live(loose, &loose->entries[found], function, words, live, true);
	return loose->entries[found].record;
}

/* ---- model mode ------------------------------------------------------------------------------ */

static void read_call(struct loose *loose, const struct tape_function *function,
                      const struct tape_value *live, struct tape_scope_value state[TAPE_SCOPES],
                      struct model_call *ret_call)
{
	tape_scope_read(&loose->live, function, live, state);
	*ret_call = (struct model_call){ &loose->live, function, live, state,
		                         loose_opened_as(loose, live_lane(loose, function, live)) };
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
	loose_put_live(loose, function, live, asked);
	for (uint32_t g = *loose_kin_bucket(loose, function, asked); g != NONE;
	     g = loose->groups[g].kin) {
		const struct entry *entry = &loose->entries[loose->groups[g].first];
		if (entry->record->function != function ||
		    loose_compare_kin(loose, entry, words, live, false) >= 0)
			continue;
		uint32_t found = loose_look_in_group(loose, g, lane, state, NULL);
		if (found == NONE)
			continue;
		entry = &loose->entries[found];
		struct record *record = entry->record;
		if (!loose_derives(record, live, derived))
			continue;
		/* The recorded answer as it is: the operation goes on as it did, a new object is the recorded one. */
		const bool whole = derived->rv == record->rv &&
		                   memcmp(derived->out, record->out,
		                          function->count * sizeof(*record->out)) == 0;
		/* Which state an overlapped call was made in is not known before it is used. */
		if (entry->ambiguous && !whole)
			continue;
		(void)loose_compare_kin(loose, entry, words, live, true);
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
	struct entry *entry = loose->instead == NONE ? loose_entry_of(loose, record)
	                                             : &loose->entries[loose->instead];
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
		if (loose_is_handle(function, i))
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
	const struct entry *entry = loose_entry_of(loose, record);
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value *out =
		tape_arena_array(&engine.scratch, TAPE_MAX_ARGUMENTS, sizeof(*out));
	if (out == NULL || loose->failed || loose->live.failed)
		return NULL;
	put_handles(loose, record, live, in, out);
	/* What happened happened once, however often the changed answer is asked for. */
	if (first || !entry->barrier) {
		if (entry->changes)
			loose_forget_again(loose);
		loose_take_effect(&loose->live, entry, in, out);
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
	const struct entry *entry = loose_entry_of(engine.loose, record);
	loose_forget_again(engine.loose);
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
	loose_forget_again(loose);
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
	if (!loose_restart(loose))
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
	loose_forget_again(from);
	loose_forget_again(to);
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
