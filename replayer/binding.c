/* SPDX-License-Identifier: MIT
 *
 * A process is bound to a trace before it is known whether that is the right one. While others fit, what
 * it was served is noted; at the first call that tells them apart the trace changes. Where children of
 * one fork divided work among them, a child goes on in its sibling's trace, and comes back.
 *
 * Each trace that was looked into has an engine of its own, which is parked while another one serves.
 */
#include "replayer/binding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/set.h"
#include "core/system.h"
#include "replayer/report.h"

/* Calls at the beginning of a process, and the last ones, by which traces are told apart. */
#define MAX_BEGINNING ((size_t)4096)
#define MAX_RECENT ((size_t)64)

#define NONE SIZE_MAX

/* A call that was served. */
struct past {
	uint64_t digest, id, line;
};

/* A trace, as far as this process has come to it. */
struct visit {
	struct engine *parked; /* NULL until it was opened; stale while it is the one in `engine` */
	bool entered;          /* calls of it were served */
	bool failed;
};

static struct {
	char root[4096];     /* the trace that was named */
	struct options base; /* without the rules of any trace */
	bool coordinated;    /* the seats are in a page that the processes share */
	bool forked;
	struct tape_seat *seats;
	struct visit *visits; /* as many */
	size_t count;
	size_t current; /* the one in `engine`; NONE: there is no trace of this process */
	/* A forked child: whose, and where. */
	size_t parent;
	uint64_t last, next;
	uint64_t *sessions; /* handles that the program and the traces call differently: pairs */
	size_t session_count;
	/* A new process. */
	char program[NAME_MAX + 1];
	bool any_program; /* no trace is of a program of this name */
	/* What was served, where traces are told apart. */
	struct past *beginning, *recent;
	uint64_t served, run; /* calls; those since the trace changed */
	char why[PATH_MAX + 512];
} binding;

static _Atomic uint64_t nowhere; /* where a count goes that nobody reads */

/* ---- seats ----------------------------------------------------------------------------------- */

static bool is_free(size_t index)
{
	return atomic_load(&binding.seats[index].owner) == 0;
}

static bool is_ours(size_t index)
{
	return atomic_load(&binding.seats[index].owner) == (uint64_t)getpid();
}

static void take_seat(size_t index)
{
	struct tape_seat *seat = &binding.seats[index];
	uint64_t nobody = 0;
	if (atomic_compare_exchange_strong(&seat->owner, &nobody, (uint64_t)getpid())) {
		atomic_store(&seat->reached, engine.served);
		engine.reached = &seat->reached;
	}
}

static void leave_seat(size_t index)
{
	struct tape_seat *seat = &binding.seats[index];
	if (!is_ours(index))
		return;
	atomic_store(&seat->reached, 0);
	atomic_store(&seat->owner, 0);
}

static void show_shared(size_t index, uint64_t served)
{
	_Atomic uint64_t *shared = &binding.seats[index].shared;
	uint64_t most = atomic_load(shared);
	while (most < served && !atomic_compare_exchange_weak(shared, &most, served))
		;
}

/* ---- candidates ------------------------------------------------------------------------------ */

/* 0: it fits as well as can be known without its calls; 1: if nothing better is there; 2: it does not. */
static unsigned int rank_of(size_t index)
{
	const struct tape_member *member = &binding.seats[index].member;
	if (binding.forked) {
		uint64_t distance = tape_set_distance(&binding.seats[binding.parent].member, member,
		                                      binding.last, binding.next);
		return distance == 0 ? 0 : distance == UINT64_MAX ? 2 : 1;
	}
	if (member->forked_from != 0)
		return 2;
	return binding.any_program || strcmp(member->program, binding.program) == 0 ? 0 : 2;
}

/*
 * The candidates in their order: by rank, those that nobody has claimed first, then as they began.
 * `step` counts from 0; returns NONE behind the last.
 */
static size_t candidate(size_t *step)
{
	for (; *step < 4 * binding.count; ++*step) {
		size_t index = *step % binding.count;
		size_t round = *step / binding.count;
		if (rank_of(index) == round / 2 && is_free(index) == (round % 2 == 0)) {
			++*step;
			return index;
		}
	}
	return NONE;
}

static size_t count_candidates(void)
{
	size_t count = 0;
	for (size_t i = 0; i < binding.count; i++)
		count += rank_of(i) < 2;
	return count;
}

/* ---- engines --------------------------------------------------------------------------------- */

/* What is the process's and not the trace's goes from the engine that served to the next one. */
static void hand_on(struct engine *to, bool secrets)
{
	to->state = engine.state;
	to->found = engine.found;
	to->found_last = engine.found_last;
	to->kept = engine.kept;
	to->keep = engine.keep;
	to->scratch = engine.scratch;
	if (secrets)
		to->bindings = engine.bindings;
}

static void add_sessions(void)
{
	for (size_t i = 0; i < binding.session_count; i++) {
		struct lane *lane = reading_lane(binding.sessions[2 * i]);
		if (lane != NULL)
			lane->live = binding.sessions[2 * i + 1];
	}
	engine.lanes = binding.session_count != 0;
}

static bool open_visit(size_t index)
{
	engine.options = binding.base;
	if (index == 0)
		memcpy(engine.options.trace, binding.root, sizeof(binding.root));
	else if (!tape_set_path(engine.options.trace, binding.root,
	                        binding.seats[index].member.name))
		engine.options.trace[0] = 0;
	engine.reached = &nowhere;
	engine.shares = count_candidates() > 1;
	add_sessions();
	if (reading_open())
		return true;
	engine.ended = true;
	binding.visits[index].failed = true;
	return false;
}

/* Park the trace that is served, and make another one the engine's. */
static bool activate(size_t index)
{
	struct visit *visit = &binding.visits[index];
	if (index == binding.current)
		return true;
	bool opened = visit->parked != NULL;
	struct visit *before = binding.current == NONE ? NULL : &binding.visits[binding.current];
	if ((!opened && (visit->parked = calloc(1, sizeof(*visit->parked))) == NULL) ||
	    (before != NULL && before->parked == NULL &&
	     (before->parked = malloc(sizeof(*before->parked))) == NULL))
		return false;
	hand_on(visit->parked, !visit->entered);
	if (before != NULL)
		*before->parked = engine;
	engine = *visit->parked;
	binding.current = index;
	return opened ? !visit->failed : open_visit(index);
}

static void begin_history(void)
{
	binding.served = binding.run = 0;
	binding.beginning = NULL;
	binding.recent = NULL;
	if (count_candidates() < 2)
		return;
	binding.beginning = calloc(MAX_BEGINNING, sizeof(*binding.beginning));
	binding.recent = calloc(MAX_RECENT, sizeof(*binding.recent));
}

/* Bind the first candidate. The engine is empty; without a candidate it stays so, and says why. */
static bool bind_first(void)
{
	size_t step = 0;
	size_t first = candidate(&step);
	/* A new process is one too many where all its like have been claimed; children may share. */
	if (first != NONE && !binding.forked && binding.coordinated && !is_free(first))
		first = NONE;
	binding.current = NONE;
	if (first != NONE) {
		begin_history();
		if (!activate(first))
			return false;
		take_seat(first);
		return true;
	}
	engine.ended = true;
	engine.reached = &nowhere;
	if (binding.forked)
		snprintf(binding.why, sizeof(binding.why),
		         "no trace of this process: beside %s no child is recorded that was forked "
		         "from the process of %s",
		         binding.root, binding.seats[binding.parent].member.name);
	else
		snprintf(binding.why, sizeof(binding.why),
		         "no trace of this process: %s and the traces beside it are of other "
		         "processes",
		         binding.root);
	engine.unrecorded = binding.why;
	return true;
}

/* ---- beginning ------------------------------------------------------------------------------- */

/* Nobody has looked for the traces of other processes: do it. */
static bool find_seats(void)
{
	struct tape_set set;
	struct tape_error error;
	if (tape_set_read(&set, binding.root, &error) < 0) {
		memcpy(engine.options.trace, set.path, sizeof(engine.options.trace));
		return engine_refuse(&error);
	}
	binding.count = set.count;
	binding.seats = calloc(set.count, sizeof(*binding.seats));
	for (size_t i = 0; binding.seats != NULL && i < set.count; i++)
		binding.seats[i].member = set.members[i];
	tape_set_free(&set);
	return true;
}

static bool refuse_memory(void)
{
	struct tape_error error;
	tape_error_set(&error, TAPE_E_MEMORY, 0, "out of memory");
	return engine_refuse(&error);
}

bool binding_begin(void)
{
	memcpy(binding.root, engine.options.trace, sizeof(binding.root));
	binding.base = engine.options;
	binding.seats = report_seats(&binding.count);
	binding.coordinated = binding.seats != NULL;
	if (!binding.coordinated && !find_seats())
		return false;
	binding.visits = calloc(binding.count, sizeof(*binding.visits));
	if (binding.seats == NULL || binding.visits == NULL)
		return refuse_memory();
	tape_program_name(binding.program, sizeof(binding.program));
	binding.forked = false;
	binding.any_program = false;
	binding.any_program = count_candidates() == 0;
	return bind_first();
}

/* The id of the first call that the parent had not begun: the lowest that is left. */
static uint64_t next_id(void)
{
	uint64_t next = UINT64_MAX;
	for (const struct lane *lane = &engine.main; lane != NULL;
	     lane = lane == &engine.main ? engine.sessions : lane->next)
		for (const struct record *r = lane->first; r != NULL; r = r->next)
			if (r->id > engine.last_id && r->id < next)
				next = r->id;
	return next;
}

static void inherit_sessions(void)
{
	size_t count = 0;
	bool differ = binding.session_count != 0;
	for (const struct lane *lane = engine.sessions; lane != NULL; lane = lane->next) {
		count += lane->live != 0;
		differ |= lane->live != 0 && lane->live != lane->recorded;
	}
	binding.session_count = 0;
	binding.sessions = differ ? calloc(count, 2 * sizeof(*binding.sessions)) : NULL;
	if (binding.sessions == NULL)
		return;
	for (const struct lane *lane = engine.sessions; lane != NULL; lane = lane->next)
		if (lane->live != 0) {
			binding.sessions[2 * binding.session_count] = lane->recorded;
			binding.sessions[2 * binding.session_count++ + 1] = lane->live;
		}
}

/* A child goes on with the names of the part in which it was forked; its own part is the first. */
static void inherit_secrets(void)
{
	struct tape_bindings *bindings = &engine.bindings;
	unsigned int part = engine.main.first != NULL ? engine.main.first->part : engine.part + 1;
	size_t count = 0;
	for (size_t i = 0; i < bindings->count; i++) {
		struct tape_binding *bound = &bindings->bound[i];
		if (bound->part != 0 && bound->part != part)
			continue;
		bound->part = bound->part == 0 ? 0 : 1;
		bindings->bound[count++] = *bound;
	}
	bindings->count = count;
}

/*
 * What the parent's threads were doing to its engine at the fork is not known: nothing of it is freed,
 * and it takes no memory of its own, since it is the parent's and never written to again.
 */
void binding_inherit(void)
{
	static const struct engine empty;
	struct engine *fresh = malloc(sizeof(*fresh));
	report_inherit();
	for (size_t i = 0; i < binding.count; i++)
		if (i != binding.current && binding.visits[i].parked != NULL)
			tape_reader_abandon(binding.visits[i].parked->reader);
	tape_reader_abandon(engine.reader);
	binding.next = next_id();
	binding.last = engine.last_id;
	inherit_sessions();
	inherit_secrets();
	memset(binding.visits, 0, binding.count * sizeof(*binding.visits));
	/* The child of a process without a trace has none either. */
	if (binding.current != NONE)
		binding.parent = binding.current;
	bool orphan = binding.current == NONE;
	binding.forked = true;
	if (fresh == NULL) {
		engine.state = FAILED;
		return;
	}
	*fresh = empty;
	hand_on(fresh, true);
	engine = *fresh;
	free(fresh);
	tape_arena_init(&engine.scratch, NULL, 0, TAPE_MAX_ITEM);
	tape_arena_init(&engine.keep, NULL, 0, TAPE_MAX_ITEM);
	if (orphan) {
		engine.ended = true;
		engine.reached = &nowhere;
		engine.unrecorded = binding.why;
	} else if (!bind_first()) {
		engine.state = FAILED;
	}
	atomic_fetch_add(&report_counters->loads, 1);
}

/* ---- telling apart --------------------------------------------------------------------------- */

void binding_served(const struct record *record)
{
	struct past past = { record->digest, record->id, record->line };
	binding.visits[binding.current].entered = true;
	if (binding.beginning != NULL && binding.served < MAX_BEGINNING)
		binding.beginning[binding.served] = past;
	if (binding.recent != NULL)
		binding.recent[binding.served % MAX_RECENT] = past;
	binding.served++;
	binding.run++;
	/* Whoever had claimed it may have changed over to another one. */
	if (!is_ours(binding.current))
		take_seat(binding.current);
	if (!is_ours(binding.current))
		show_shared(binding.current, engine.served + 1);
}

/* The calls of the engine's trace that come next, read as far as they are asked for. */
static struct record *ahead[MAX_BEGINNING + MAX_RECENT + 1];

static size_t look_ahead(size_t wanted)
{
	size_t count = 0;
	struct record *last = NULL;
	while (count < wanted && count < TAPE_ARRAY_SIZE(ahead)) {
		struct record *record = last == NULL ? engine.main.first : last->next;
		if (record == NULL) {
			if (engine.ended || engine.pending >= MAX_PENDING)
				break;
			reading_ahead(NULL, NULL);
			record = last == NULL ? engine.main.first : last->next;
			if (record == NULL)
				break;
		}
		if (record->return_at == NOT_YET)
			reading_ahead(NULL, record);
		ahead[count++] = last = record;
	}
	return count;
}

static bool goes_on(size_t at, size_t count, const struct tape_function *function,
                    const uintptr_t *words, binding_equals *equals)
{
	return at < count && ahead[at]->function == function && equals(ahead[at], words);
}

/* How many of the calls that come next are those that the process began with. */
static size_t common_beginning(size_t count)
{
	size_t same = 0;
	while (same < count && same < binding.served && same < MAX_BEGINNING &&
	       ahead[same]->return_at < LATER && ahead[same]->digest != 0 &&
	       ahead[same]->digest == binding.beginning[same].digest)
		same++;
	return same;
}

static const struct past *recent(uint64_t number)
{
	return number < MAX_BEGINNING ? &binding.beginning[number]
	                              : &binding.recent[number % MAX_RECENT];
}

/* Whether the `count` calls from `at` on are the ones that were served last. */
static bool same_as_recent(size_t at, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (ahead[at + i]->return_at >= LATER || ahead[at + i]->digest == 0 ||
		    ahead[at + i]->digest != recent(binding.served - count + i)->digest)
			return false;
	return true;
}

/*
 * The engine's trace takes the place of `other`: `skipped` calls of it are the common beginning, and the
 * `given` ones behind them equal those that were served last, which the other one gets back for them.
 */
static void exchange(size_t other, size_t skipped, size_t given)
{
	struct engine *before = binding.visits[other].parked;
	struct record *head = NULL;
	struct record *tail = NULL;
	for (size_t i = 0; i < skipped + given; i++) {
		struct record *record = engine.main.first;
		take_out(&engine.main, NULL, record);
		engine.last_id = record->id;
		if (i < skipped) {
			retire_record(record);
			continue;
		}
		const struct past *past = recent(binding.served - given + (i - skipped));
		record->id = past->id;
		record->line = past->line;
		record->next = NULL;
		if (tail == NULL)
			head = record;
		else
			tail->next = record;
		tail = record;
	}
	if (tail != NULL) {
		tail->next = before->main.first;
		before->main.first = head;
		if (before->main.last == NULL)
			before->main.last = tail;
		before->pending += given;
	}
	before->served -= given;
	engine.served += skipped + given;
	binding.run = given;
	binding.visits[binding.current].entered = true;
	if (before->served == 0) {
		binding.visits[other].entered = false;
		leave_seat(other);
	} else if (is_ours(other)) {
		atomic_store(&binding.seats[other].reached, before->served);
	}
	if (!is_ours(binding.current))
		take_seat(binding.current);
	else
		atomic_store(&binding.seats[binding.current].reached, engine.served);
	if (!is_ours(binding.current))
		show_shared(binding.current, engine.served);
}

static bool entered_one(void)
{
	size_t entered = 0;
	for (size_t i = 0; i < binding.count; i++)
		entered += binding.visits[i].entered;
	return entered <= 1;
}

/* All that was served stands at the beginning of another trace, and this call behind it. */
static bool change_over(size_t before, const struct tape_function *function,
                        const uintptr_t *words, binding_equals *equals)
{
	size_t step = 0;
	size_t index;
	if (binding.served > MAX_BEGINNING || !entered_one())
		return false;
	while ((index = candidate(&step)) != NONE) {
		if (index == before || binding.visits[index].failed || !activate(index) ||
		    (engine.lanes && binding.served != 0))
			continue;
		size_t served = (size_t)binding.served;
		size_t count = look_ahead(served + 1);
		if (common_beginning(count) == served &&
		    goes_on(served, count, function, words, equals)) {
			exchange(before, 0, served);
			return true;
		}
	}
	return false;
}

/* Go on in the engine's trace, which a child of the same fork was recorded in. */
static bool go_on(size_t before, bool used_up, const struct tape_function *function,
                  const uintptr_t *words, binding_equals *equals)
{
	size_t beginning = 0;
	size_t count = look_ahead(TAPE_ARRAY_SIZE(ahead));
	if (engine.served == 0)
		beginning = common_beginning(count);
	size_t given = binding.run < MAX_RECENT ? (size_t)binding.run : MAX_RECENT;
	size_t least = beginning < MAX_RECENT ? 0 : beginning - MAX_RECENT;
	for (;; given--) {
		for (size_t skipped = beginning + 1; skipped-- > least;) {
			/* Alone it says nothing that a call stands somewhere in the beginning. */
			if (given == 0 && engine.served == 0 &&
			    (skipped == 0 ? !used_up : skipped != beginning))
				continue;
			if (skipped + given < count && same_as_recent(skipped, given) &&
			    goes_on(skipped + given, count, function, words, equals)) {
				exchange(before, skipped, given);
				return true;
			}
		}
		if (given == 0)
			return false;
	}
}

static bool share(size_t before, bool used_up, const struct tape_function *function,
                  const uintptr_t *words, binding_equals *equals)
{
	const struct tape_member *own = &binding.seats[before].member;
	for (size_t i = 0; i < binding.count; i++) {
		const struct tape_member *member = &binding.seats[i].member;
		if (i != before && rank_of(i) < 2 && member->forked_after == own->forked_after &&
		    !binding.visits[i].failed && activate(i) && !engine.lanes &&
		    go_on(before, used_up, function, words, equals))
			return true;
	}
	return false;
}

bool binding_change(const struct tape_function *function, const uintptr_t *words,
                    binding_equals *equals)
{
	size_t before = binding.current;
	bool used_up = engine.main.first == NULL && engine.ended;
	if ((engine.lanes && binding.served != 0) || before == NONE || binding.beginning == NULL ||
	    binding.recent == NULL)
		return false;
	if (change_over(before, function, words, equals) ||
	    (binding.forked && binding.served != 0 &&
	     share(before, used_up, function, words, equals)))
		return true;
	(void)activate(before);
	return false;
}

/* ---- all of them ----------------------------------------------------------------------------- */

void binding_find_all(bool stranger)
{
	char path[PATH_MAX];
	if (!engine.ended)
		reading_find_all(engine.options.trace);
	/* A forked child that has no trace yet: its parent's next children may know more. */
	for (size_t i = 0; i < binding.count; i++)
		if (stranger && binding.current != NONE &&
		    binding.seats[i].member.forked_from ==
			    binding.seats[binding.current].member.pid &&
		    tape_set_path(path, binding.root, binding.seats[i].member.name))
			reading_find_all(path);
}

void binding_visit(void (*each)(void))
{
	bool any = false;
	size_t current = binding.current;
	for (size_t i = 0; i < binding.count; i++)
		if (binding.visits[i].entered && activate(i)) {
			any = true;
			each();
		}
	if (current != NONE)
		(void)activate(current);
	if (!any)
		each();
}
