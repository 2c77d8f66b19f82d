/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "core/parse.h"
#include "core/print.h"
#include "core/redact.h"
#include "core/system.h"
#include "replayer/engine.h"
#include "replayer/keyed.h"
#include "replayer/loose.h"
#include "replayer/notify.h"
#include "replayer/report.h"

/* Records (and large payloads) read ahead at a time. */
#define AHEAD 128
#define AHEAD_BYTES ((size_t)256 * 1024)

/* ---- records --------------------------------------------------------------------------------- */

/* Whether a call's record is a part of the whole trace, and stays as long as that. */
static bool is_part(const struct tape_function *function)
{
	return engine.options.mode != MODE_STRICT && !function->finds;
}

/* Make a record ready for another call. */
static void free_record(struct record *record)
{
	if (TAPE_UNLIKELY(record->notices != NULL))
		notify_free(record->notices);
	if (is_part(record->function))
		return;
	tape_arena_reset(&record->arena);
	record->next = engine.unused;
	engine.unused = record;
}

/* Where the values of a record are made. */
static struct tape_arena *arena_of(struct record *record)
{
	return is_part(record->function) ? &engine.whole : &record->arena;
}

/* One that is used again and again, or one that stays. */
static struct record *allocate_record(const struct tape_function *function)
{
	if (is_part(function)) {
		struct record *record = tape_arena_get(&engine.whole, sizeof(*record));
		struct tape_value *values =
			tape_arena_array(&engine.whole, function->count, 2 * sizeof(*values));
		if (record == NULL || values == NULL)
			return NULL;
		record->in = values;
		record->out = values + function->count;
		return record;
	}
	struct roomy_record *roomy = malloc(sizeof(*roomy));
	if (roomy == NULL)
		return NULL;
	roomy->record.in = roomy->in;
	roomy->record.out = roomy->out;
	tape_arena_init(&roomy->record.arena, roomy->room, sizeof(roomy->room), TAPE_MAX_ITEM);
	return &roomy->record;
}

static struct record *new_record(const struct tape_function *function)
{
	for (struct record *retired; (retired = engine.retired) != NULL;) {
		engine.retired = retired->next;
		free_record(retired);
	}
	struct record *record = is_part(function) ? NULL : engine.unused;
	if (record != NULL) {
		engine.unused = record->next;
	} else {
		record = allocate_record(function);
		if (record == NULL)
			return NULL;
	}
	record->function = function;
	record->next = NULL;
	record->next_open = NULL;
	record->opens = NULL;
	record->until = record->took = 0;
	record->return_at = NOT_YET;
	record->digest = 0;
	record->partial = record->slow = record->left = false;
	record->notices = NULL;
	record->notices_end = &record->notices;
	plan_clear(&record->plan);
	return record;
}

static void append(struct lane *lane, struct record *record)
{
	if (lane->last == NULL)
		lane->first = record;
	else
		lane->last->next = record;
	lane->last = record;
	engine.pending++;
}

static bool is_partial(const struct tape_value *value)
{
	if (value->form == TAPE_V_LOST)
		return true;
	if (value->form != TAPE_V_LIST && value->form != TAPE_V_RECORD &&
	    value->form != TAPE_V_MECHANISM)
		return false;
	for (size_t i = 0; i < value->count; i++)
		if (is_partial(tape_value_child(value, i)))
			return true;
	return false;
}

/* A digest of what a call was given (but for its session, if that is a lane) and of what it got. */
static uint64_t digest_values(const struct tape_function *function, const struct tape_value *in,
                              const struct tape_value *out, CK_RV rv)
{
	static const uint64_t key[2] = { 1, 2 };
	struct tape_value inputs[TAPE_MAX_ARGUMENTS];
	char room[2048];
	struct tape_buf buf;
	uint64_t hash[2];
	memcpy(inputs, in, function->count * sizeof(*in));
	if (function->lane >= 0 && engine.lanes)
		inputs[function->lane].number = 0;
	tape_buf_init(&buf, room, sizeof(room), TAPE_MAX_BYTES * 4);
	tape_put(&buf, function->name.text, function->name.length);
	tape_print_values(&buf, function, inputs, false);
	if (out != NULL) {
		tape_print_values(&buf, function, out, true);
		tape_put_decimal(&buf, rv);
	}
	tape_siphash(key, buf.data, buf.length, hash);
	tape_buf_done(&buf);
	return hash[0] | 1;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static struct lane *new_lane(uint64_t recorded)
{
	struct lane *lane = calloc(1, sizeof(*lane));
	if (lane == NULL)
		return NULL;
	lane->recorded = recorded;
	lane->next = engine.sessions;
	engine.sessions = lane;
	return lane;
}

struct lane *reading_lane(uint64_t handle)
{
	/* The newest one: handles are used again. */
	for (struct lane *lane = engine.sessions; lane != NULL; lane = lane->next)
		if (lane->recorded == handle)
			return lane;
	return new_lane(handle);
}

/* The handle of the session that a call returned, or 0. */
uint64_t reading_session(const struct record *record)
{
	for (size_t i = 0; record->rv == CKR_OK && i < record->function->count; i++)
		if (record->function->arguments[i].kind == TAPE_K_OUT_SESSION &&
		    record->out[i].form == TAPE_V_NUMBER)
			return record->out[i].number;
	return 0;
}

/* ---- discovery ------------------------------------------------------------------------------- */

static bool same_found(const struct found *found, const struct record *record)
{
	struct tape_compare compare = { 0 };
	return found->function == record->function && found->rv == record->rv &&
	       tape_compare_in(&compare, record->function, found->in, record->in) < 0 &&
	       tape_compare_out(record->function, found->out, record->out) < 0;
}

/* Keep what discovery showed, once: programs ask for the same list again and again. */
static void settle_discovery(struct record *record)
{
	struct found *found = engine.found;
	while (found != NULL && !same_found(found, record))
		found = found->next;
	if (found == NULL && (found = tape_arena_get(&engine.keep, sizeof(*found))) != NULL) {
		found->next = NULL;
		found->function = record->function;
		found->rv = record->rv;
		memcpy(found->in, record->in, found->function->count * sizeof(*found->in));
		memcpy(found->out, record->out, found->function->count * sizeof(*found->out));
		if (engine.found_last == NULL)
			engine.found = found;
		else
			engine.found_last->next = found;
		engine.found_last = found;
		/* Its values live in the record's arena: that stays, and the record with it. */
		record->next = engine.kept;
		engine.kept = record;
		return;
	}
	free_record(record);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The call's return has been read: make its outputs ready. */
static int settle(struct record *record, const struct tape_item *item, struct tape_error *error)
{
	struct tape_parse parse = { arena_of(record), tape_reader_header(engine.reader)->names,
		                    error };
	int result = tape_parse_out(&parse, record->function, item->out, item->line, record->in,
	                            record->out);
	if (result < 0)
		return result;
	record->rv = item->rv;
	record->took = item->took;
	record->return_at = engine.position;
	if (!is_part(record->function))
		engine.ahead += record->arena.used;
	for (size_t i = 0; i < record->function->count; i++)
		record->partial |= is_partial(&record->out[i]);
	if (engine.lanes || engine.shares)
		record->digest =
			digest_values(record->function, record->in, record->out, record->rv);
	if (engine.lanes) {
		uint64_t session = reading_session(record);
		if (session != 0 && (record->opens = new_lane(session)) != NULL)
			record->opens->opener =
				digest_values(record->function, record->in, NULL, CKR_OK);
	}
	record->slow |= notify_is_given(record);
	/* What is served by a plan is not noted, as it must be where traces are told apart. */
	if (!record->function->finds && !record->partial && !record->slow && !engine.shares &&
	    !engine.options.rules.any[record->function - tape_functions])
		plan_make(&record->plan, arena_of(record), record->function, record->in,
		          record->out);
	return 0;
}

/* Whole calls whose return stands behind the first half of `id` have returned there. */
static void close_until(uint64_t id)
{
	struct record **link = &engine.open;
	while (*link != NULL) {
		struct record *record = *link;
		if (record->until == id) {
			record->return_at = engine.position;
			*link = record->next_open;
		} else {
			link = &record->next_open;
		}
	}
}

/* A thread that calls again, other than from a notification, has left the call that it was in. */
static void leave_open(const struct tape_item *item)
{
	for (struct record *r = engine.open; r != NULL; r = r->next_open)
		r->left |= r->thread == item->thread && item->during == 0;
}

static int take_call(const struct tape_item *item, struct tape_error *error)
{
	if (item->function == TAPE_FN_COUNT)
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "'%.60s' is not a function of PKCS#11 3.2", item->name);
	struct record *record = new_record(&tape_functions[item->function]);
	if (record == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, item->line, "out of memory");
	record->id = item->id;
	record->line = item->line;
	record->seat = engine.seat;
	record->thread = item->thread;
	record->part = engine.part + 1;
	record->call_at = engine.position++;
	struct tape_parse parse = { arena_of(record), tape_reader_header(engine.reader)->names,
		                    error };
	int result = tape_parse_in(&parse, record->function, item->in, item->line, record->in);
	if (result < 0)
		goto refuse;
	record->partial = item->in != NULL && item->in->type == TAPE_NODE_SCALAR;
	struct lane *lane = &engine.main;
	if (engine.lanes && record->function->lane >= 0)
		lane = reading_lane(record->in[record->function->lane].number);
	if (lane == NULL) {
		result = tape_error_set(error, TAPE_E_MEMORY, item->line, "out of memory");
		goto refuse;
	}
	leave_open(item);
	if (!record->function->finds) {
		record->number = engine.calls++;
		/* What is to come before it, or in it, is not in a plan. */
		record->slow =
			engine.behind_notice || (item->until != 0 && item->until != item->id);
		engine.behind_notice = false;
		append(lane, record);
	}
	close_until(item->id);
	if (!item->whole) {
		record->next_open = engine.open;
		engine.open = record;
		return 0;
	}
	result = settle(record, item, error);
	if (result < 0)
		return result;
	engine.position++;
	if (record->function->finds) {
		settle_discovery(record);
	} else if (item->until != 0 && item->until != item->id) {
		record->return_at = LATER;
		record->until = item->until;
		record->next_open = engine.open;
		engine.open = record;
	}
	return 0;
refuse:
	free_record(record);
	return result;
}

/* A notification belongs to the call that brought it, if that is known, and is read, open. */
static int take_notice(const struct tape_item *item, struct tape_error *error)
{
	struct tape_parse parse = { NULL, tape_reader_header(engine.reader)->names, error };
	struct tape_notification notification;
	int result = tape_parse_notification(&parse, tape_node_get(item->node, "notify"), item->in,
	                                     &notification);
	if (result < 0)
		return result;
	struct notice *notice = calloc(1, sizeof(*notice));
	if (notice == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, item->line, "out of memory");
	engine.ahead += sizeof(*notice);
	notice->id = item->id;
	notice->line = item->line;
	notice->position = engine.position++;
	notice->session = notification.session;
	notice->event = notification.event;
	notice->returned = item->whole;
	notice->rv = item->rv;
	if (!item->whole) {
		notice->next_open = engine.open_notices;
		engine.open_notices = notice;
	}
	struct record *record = engine.open;
	while (record != NULL && (record->id != item->during || record->function->finds))
		record = record->next_open;
	struct notice ***end = record == NULL ? &engine.notices_end : &record->notices_end;
	if (*end == NULL)
		*end = &engine.notices;
	**end = notice;
	*end = &notice->next;
	if (record == NULL) {
		engine.behind_notice = true;
	} else {
		record->slow = true;
		plan_clear(&record->plan);
	}
	close_until(item->id);
	return 0;
}

/* The return of a notification. Returns whether it is one. */
static bool take_answer(const struct tape_item *item)
{
	struct notice **link = &engine.open_notices;
	while (*link != NULL && (*link)->id != item->id)
		link = &(*link)->next_open;
	struct notice *notice = *link;
	if (notice == NULL)
		return false;
	*link = notice->next_open;
	notice->returned = true;
	notice->rv = item->rv;
	engine.position++;
	return true;
}

static int take_return(const struct tape_item *item, struct tape_error *error)
{
	struct record **link = &engine.open;
	while (*link != NULL && ((*link)->id != item->id || (*link)->until != 0))
		link = &(*link)->next_open;
	struct record *record = *link;
	if (record == NULL && take_answer(item))
		return 0;
	if (record == NULL && engine.gaps)
		return 0;
	if (record == NULL)
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "the return of a call that is not open");
	*link = record->next_open;
	int result = settle(record, item, error);
	engine.position++;
	if (result == 0 && record->function->finds)
		settle_discovery(record);
	return result;
}

/* The module was loaded again: no call of the part before is open in this one, and names begin anew. */
static void begin_part(void)
{
	for (struct record *r = engine.open; r != NULL; r = r->next_open) {
		if (r->return_at == LATER)
			r->return_at = engine.position;
		r->left = true;
	}
	engine.open = NULL;
	engine.open_notices = NULL;
	engine.part++;
}

/* While the whole trace is read: who is told of what it lacks. */
static reading_hole *found_hole;

/* Read one item. Returns 1, 0 at the end, or an error. */
static int read_one(struct tape_error *error)
{
	struct tape_item item;
	tape_arena_reset(&engine.item);
	int result = tape_reader_next(engine.reader, &engine.item, &item, error);
	if (result <= 0)
		return result;
	if (item.kind == TAPE_ITEM_CALL)
		result = take_call(&item, error);
	else if (item.kind == TAPE_ITEM_RETURN)
		result = take_return(&item, error);
	else if (item.kind == TAPE_ITEM_NOTIFY)
		result = take_notice(&item, error);
	else if (item.kind == TAPE_ITEM_HEADER)
		begin_part();
	else if (item.id != 0)
		close_until(item.id);
	bool gap = item.kind == TAPE_ITEM_EVENT && strcmp(item.name, "gap") == 0;
	engine.gaps |= gap;
	if (found_hole != NULL && result >= 0 &&
	    (gap || (item.kind == TAPE_ITEM_EVENT && strcmp(item.name, "passed-through") == 0)))
		found_hole(engine.position++, item.line);
	return result < 0 ? result : 1;
}

static bool is_enough(const struct lane *lane, const struct record *wanted, size_t target)
{
	if ((lane != NULL && lane->first == NULL) || (wanted != NULL && wanted->return_at >= LATER))
		return engine.pending >= MAX_DRIFT;
	return engine.pending >= MAX_PENDING || engine.pending >= target ||
	       engine.ahead >= AHEAD_BYTES;
}

/* Read on, a batch at a time so that the clock is not asked for every call. */
bool reading_ahead(const struct lane *lane, const struct record *wanted)
{
	struct tape_error error = { 0 };
	if (engine.ended)
		return false;
	uint64_t begin = tape_clock_monotonic();
	size_t target = engine.pending + AHEAD;
	int result = 1;
	engine.ahead = 0;
	while (result > 0 && !is_enough(lane, wanted, target))
		result = read_one(&error);
	atomic_fetch_add(&report_counters->reading, tape_clock_monotonic() - begin);
	if (result < 0)
		engine_refuse(&error);
	engine.ended = result <= 0;
	return result > 0;
}

/* Search the whole of a trace for discovery, beside the reading for calls. */
void reading_find_all(const char *path)
{
	struct tape_error error = { 0 };
	struct tape_reader *reader;
	if (tape_reader_open(&reader, path, &error) < 0)
		return;
	struct tape_reader *reading = engine.reader;
	struct record *open = engine.open;
	struct tape_item item;
	engine.reader = reader;
	engine.open = NULL;
	uint64_t position = engine.position;
	for (int result = 1; result > 0;) {
		tape_arena_reset(&engine.item);
		result = tape_reader_next(reader, &engine.item, &item, &error);
		if (result <= 0)
			break;
		if (item.kind == TAPE_ITEM_CALL && item.function != TAPE_FN_COUNT &&
		    tape_functions[item.function].finds)
			result = take_call(&item, &error) < 0 ? -1 : 1;
		else if (item.kind == TAPE_ITEM_RETURN && engine.open != NULL &&
		         engine.open->id == item.id)
			result = take_return(&item, &error) < 0 ? -1 : 1;
	}
	engine.reader = reading;
	engine.open = open;
	engine.position = position;
	tape_reader_close(reader);
}

bool reading_open(void)
{
	struct tape_error error = { 0 };
	int result = tape_reader_open(&engine.reader, engine.options.trace, &error);
	if (result >= 0)
		result = tape_rules_read(&engine.options.rules,
		                         tape_reader_header(engine.reader)->node, &error);
	if (result >= 0)
		result = tape_trace_overlaps(engine.reader, &error);
	if (result < 0)
		return engine_refuse(&error);
	engine.overlaps = result != 0;
	/* In one lane for all, a thread that is early would be a wrong one. Lenient mode has lanes of its own. */
	engine.lanes |=
		engine.options.mode == MODE_STRICT && (engine.overlaps || engine.options.ordered);
	engine.gaps = tape_reader_header(engine.reader)->continues[0] != 0;
	engine.only_list = tape_reader_header(engine.reader)->entries == TAPE_ENTRY_LIST;
	tape_arena_init(&engine.item, NULL, 0, TAPE_MAX_ITEM);
	if (engine.options.mode != MODE_STRICT)
		return loose_open() && (keyed_check(&error) == 0 || engine_refuse(&error));
	/* Discovery stands at the beginning of a trace; the rest is searched only where it is asked for. */
	reading_ahead(&engine.main, NULL);
	return true;
}

bool reading_whole(reading_hole *hole)
{
	struct tape_error error = { 0 };
	uint64_t begin = tape_clock_monotonic();
	int result = 1;
	tape_arena_init(&engine.whole, NULL, 0, MAX_WHOLE_BYTES);
	found_hole = hole;
	while (result > 0) {
		if (engine.calls >= MAX_WHOLE) {
			result = tape_error_set(&error, TAPE_E_LIMIT, 0,
			                        "more than %zu calls: only strict mode serves "
			                        "so many (--mode strict)",
			                        MAX_WHOLE);
			break;
		}
		result = read_one(&error);
	}
	found_hole = NULL;
	atomic_fetch_add(&report_counters->reading, tape_clock_monotonic() - begin);
	engine.ended = true;
	return result < 0 ? engine_refuse(&error) : true;
}
