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
#include "replayer/keyed.h"
#include "replayer/loose.h"
#include "replayer/report.h"

/* Calls at the beginning of a process, and the last ones, by which traces are told apart. */
#define MAX_BEGINNING ((size_t)4096)
#define MAX_RECENT ((size_t)64)

/* Traces that a process keeps open only because they may come to fit. */
#define MAX_PARKED ((size_t)16)

/* How far ahead a call is looked for. */
#define MAX_AHEAD ((size_t)1024)

#define NONE SIZE_MAX

/* A call that was served. */
struct past {
	const struct tape_function *function;
	CK_RV rv;
	uint64_t digest, id, line, number;
	size_t seat;
};

/* Calls out of the middle of a trace, which others took the place of. */
struct cut {
	struct cut *next;
	struct record *first, *last;
	size_t count, begun; /* calls; those at its front that the process began with, elsewhere */
};

/* A trace, as far as this process has come to it. */
struct visit {
	struct engine *parked; /* NULL until it was opened; stale while it is the one in `engine` */
	uint64_t used;         /* calls of it that were served */
	bool failed;
};

static struct {
	char root[4096];     /* the trace that was named */
	struct options base; /* without the rules of any trace */
	bool coordinated;    /* the seats are in a page that the processes share */
	bool forked;
	bool guest; /* the trace that it began with is another process's, too */
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
	uint64_t served;
	struct cut *cuts;
	char why[PATH_MAX + 512];
} binding;

static _Atomic uint64_t nowhere; /* where a count goes that nobody reads */

/* ---- seats ----------------------------------------------------------------------------------- */

static void leave_seat(size_t index)
{
	uint64_t ours = (uint64_t)getpid();
	(void)atomic_compare_exchange_strong(&binding.seats[index].owner, &ours, 0);
}

/* The bytes of a trace's calls from `number` on; NULL where nobody counts. */
static _Atomic uint8_t *uses_of(size_t seat, uint64_t number)
{
	_Atomic uint8_t *uses =
		binding.coordinated ? tape_progress_uses(report_counters, seat) : NULL;
	return uses == NULL || number >= binding.seats[seat].total ? NULL : uses + number;
}

/* Nobody has claimed it, nor is served it after whoever did went elsewhere. */
static bool is_free(size_t index)
{
	const _Atomic uint8_t *uses = uses_of(index, 0);
	return atomic_load(&binding.seats[index].owner) == 0 &&
	       (uses == NULL || atomic_load(uses) == 0);
}

/* Whether another process was served this call. One that is served it here, too, has not been counted yet. */
static bool is_taken(const struct record *record)
{
	const _Atomic uint8_t *uses = uses_of(record->seat, record->number);
	return uses != NULL && atomic_load(uses) != 0;
}

/* Claim it, unless another process was quicker. */
static bool take_seat(size_t index)
{
	uint64_t nobody = 0;
	return is_free(index) && atomic_compare_exchange_strong(&binding.seats[index].owner,
	                                                        &nobody, (uint64_t)getpid());
}

/* Note that a call was served here (1), or was not after all (-1). */
static void count_use(size_t seat, uint64_t number, int by)
{
	_Atomic uint8_t *uses = uses_of(seat, number);
	binding.visits[seat].used += (uint64_t)by;
	if (uses == NULL)
		return;
	uint8_t now = atomic_load(uses);
	/* A byte that is full stays so. */
	while (now != UINT8_MAX && !atomic_compare_exchange_weak(uses, &now, (uint8_t)(now + by)))
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
	to->only_list = engine.only_list;
	to->parent = engine.parent;
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
	engine.seat = index;
	engine.shares = count_candidates() > 1 || binding.guest;
	add_sessions();
	bool good = reading_open();
	/* Where calls are not served from the beginning on, each is counted by itself. */
	engine.reached = engine.shares || engine.lanes || engine.loose != NULL
	                         ? &nowhere
	                         : &binding.seats[index].reached;
	if (good)
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
	hand_on(visit->parked, visit->used == 0);
	if (before != NULL)
		*before->parked = engine;
	engine = *visit->parked;
	binding.current = index;
	return opened ? !visit->failed : open_visit(index);
}

static void free_records(struct record *record)
{
	for (struct record *next; record != NULL; record = next) {
		next = record->next;
		tape_arena_done(&record->arena);
		free(record);
	}
}

static size_t count_parked(void)
{
	size_t count = 0;
	for (size_t i = 0; i < binding.count; i++)
		count += binding.visits[i].parked != NULL;
	return count;
}

/* Close a trace that was only looked into, and is not the engine's. What it showed of discovery stays. */
static void discard(size_t index)
{
	struct engine *parked = binding.visits[index].parked;
	binding.visits[index].parked = NULL;
	tape_reader_close(parked->reader);
	if (parked->loose == NULL)
		free_records(parked->main.first);
	loose_free(parked->loose);
	tape_arena_done(&parked->whole);
	free_records(parked->retired);
	free_records(parked->unused);
	for (struct lane *next, *lane = parked->sessions; lane != NULL; lane = next) {
		next = lane->next;
		free_records(lane->first);
		free(lane->history);
		free(lane);
	}
	tape_arena_done(&parked->item);
	free(parked);
}

static void begin_history(void)
{
	binding.served = 0;
	binding.cuts = NULL;
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
	size_t first = NONE;
	bool claimed = false;
	for (unsigned int rank = 0; rank < 2 && first == NONE; rank++) {
		for (size_t i = 0; i < binding.count && !claimed; i++)
			if (rank_of(i) == rank && (claimed = take_seat(i)))
				first = i;
		/* A new process is one too many where all its like are claimed; children share. */
		for (size_t i = 0; i < binding.count && first == NONE && binding.forked; i++)
			if (rank_of(i) == rank)
				first = i;
	}
	binding.current = NONE;
	binding.guest = !claimed;
	if (first != NONE) {
		begin_history();
		return activate(first);
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

/* Children open traces later, wherever they are then. */
static void make_absolute(void)
{
	char directory[PATH_MAX];
	char path[sizeof(engine.options.trace)];
	if (engine.options.trace[0] != '/' && getcwd(directory, sizeof(directory)) != NULL &&
	    (size_t)snprintf(path, sizeof(path), "%s/%s", directory, engine.options.trace) <
	            sizeof(path))
		memcpy(engine.options.trace, path, sizeof(path));
}

bool binding_begin(void)
{
	make_absolute();
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
	binding.sessions = differ ? calloc(count + 1, 2 * sizeof(*binding.sessions)) : NULL;
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
	keyed_inherit();
	*fresh = empty;
	hand_on(fresh, true);
	fresh->parent = engine.loose != NULL ? engine.loose : engine.parent;
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

/* The call number `index` that was served; of those behind the beginning, only the last ones are known. */
static struct past *past(uint64_t index)
{
	return index < MAX_BEGINNING ? &binding.beginning[index]
	                             : &binding.recent[index % MAX_RECENT];
}

void binding_served(const struct record *record)
{
	count_use(record->seat, record->number, 1);
	if (binding.beginning == NULL || binding.recent == NULL)
		return;
	*past(binding.served++) =
		(struct past){ record->function, record->rv,     record->digest, record->id,
		               record->line,     record->number, record->seat };
}

/* Calls that may come next: those of the engine's trace, read as far as is asked for, or of a cut. */
static struct record *ahead[MAX_BEGINNING + MAX_AHEAD];

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

static size_t look_into(const struct cut *cut)
{
	size_t count = 0;
	for (struct record *r = cut->first; r != NULL && count < TAPE_ARRAY_SIZE(ahead);
	     r = r->next)
		ahead[count++] = r;
	return count;
}

/* Whether a recorded call and its answer are what was served. */
static bool is_same(const struct record *record, const struct past *served)
{
	return record->return_at < LATER && record->digest != 0 && record->digest == served->digest;
}

/* How many of the calls that come next are those that the process began with. */
static size_t common_beginning(size_t count)
{
	size_t same = 0;
	while (same < count && same < binding.served && same < MAX_BEGINNING &&
	       is_same(ahead[same], past(same)))
		same++;
	return same;
}

/* The same, reading no further than that needs. */
static size_t look_at_beginning(void)
{
	for (size_t wanted = MAX_RECENT;; wanted *= 2) {
		size_t count = look_ahead(wanted);
		size_t same = common_beginning(count);
		if (same < count || count < wanted || wanted >= MAX_BEGINNING)
			return same;
	}
}

/* How many of the calls before `at` are those that were served last. */
static size_t same_before(size_t at)
{
	size_t same = 0;
	while (same < at && same < binding.served && same < MAX_RECENT &&
	       is_same(ahead[at - 1 - same], past(binding.served - 1 - same)))
		same++;
	return same;
}

/* A place where a call is that fits. */
struct place {
	size_t trace;     /* NONE: in a cut */
	struct cut **cut; /* the link to it */
	size_t beginning; /* calls that the process began with, too */
	size_t at, same;  /* which call; how many before it are those that were served last */
	size_t score;     /* 0: nowhere */
	bool taken;       /* another process was served that call */
};

/*
 * Look for the call in `ahead`. What came before it decides whether it fits there: the same calls as were
 * served last, the more the better; or at least the same function with the same result. Else it must
 * begin something: be the first behind the common beginning, or of a trace or a cut while the process's
 * own is used up. What no other process was served comes first; with `only_free` nothing else comes.
 */
static void look_for(struct place *best, struct place here, size_t count, bool used_up,
                     bool only_free, const struct tape_function *function, const uintptr_t *words,
                     binding_equals *equals)
{
	for (size_t at = 0; at < count; at++) {
		if (ahead[at]->function != function)
			continue;
		size_t same = same_before(at);
		const struct past *last = past(binding.served - 1);
		size_t score = same * TAPE_ARRAY_SIZE(ahead);
		if (same == 0 && at > 0 && ahead[at - 1]->function == last->function &&
		    ahead[at - 1]->rv == last->rv && ahead[at - 1]->return_at < LATER)
			score = 2;
		else if (same == 0 &&
		         (at == 0 ? used_up || binding.visits[ahead[0]->seat].used != 0
		                  : at == here.beginning || (used_up && at < here.beginning)))
			score = 1;
		bool taken = is_taken(ahead[at]);
		if (score == 0 || (taken && (only_free || (best->score != 0 && !best->taken))))
			continue;
		/* Of two that fit as well, the first one; but not what the beginning had already. */
		if (score > best->score || (best->taken && !taken) ||
		    (score == 1 && best->score == 1 && at <= here.beginning &&
		     here.trace == best->trace && here.cut == best->cut)) {
			if (!equals(ahead[at], words))
				continue;
			*best = here;
			best->at = at;
			best->same = same;
			best->score = score;
			best->taken = taken;
		}
	}
}

static struct cut detach(struct lane *lane, size_t count)
{
	struct cut list = { 0 };
	for (; list.count < count; list.count++) {
		struct record *record = lane->first;
		lane->first = record->next;
		if (lane->last == record)
			lane->last = NULL;
		record->next = NULL;
		if (list.last == NULL)
			list.first = record;
		else
			list.last->next = record;
		list.last = record;
	}
	return list;
}

static void put_before(struct engine *to, const struct cut *list)
{
	if (list->count == 0)
		return;
	list->last->next = to->main.first;
	to->main.first = list->first;
	if (to->main.last == NULL)
		to->main.last = list->last;
	to->pending += list->count;
}

/* Keep what was passed over for later, unless the process has made all of it elsewhere. */
static void leave(const struct cut *list, size_t begun)
{
	struct cut *cut = list->count <= begun ? NULL : malloc(sizeof(*cut));
	if (cut != NULL) {
		*cut = *list;
		cut->begun = begun;
		cut->next = binding.cuts;
		binding.cuts = cut;
		return;
	}
	for (struct record *next, *record = list->first; record != NULL; record = next) {
		next = record->next;
		retire_record(record);
	}
}

/* What was served last was not those calls, but these, which equal them: each takes the other's name. */
static void trade(const struct cut *list)
{
	uint64_t index = binding.served - list->count;
	for (struct record *record = list->first; record != NULL; record = record->next) {
		struct past *served = past(index++);
		struct past other = *served;
		count_use(other.seat, other.number, -1);
		count_use(record->seat, record->number, 1);
		served->id = record->id;
		served->line = record->line;
		served->number = record->number;
		served->seat = record->seat;
		record->id = other.id;
		record->line = other.line;
		record->number = other.number;
		record->seat = other.seat;
	}
}

/* Make the place that was found the one that the engine goes on from; `before` was its trace. */
static void take_place(const struct place *place, size_t before)
{
	size_t skipped = place->at - place->same;
	if (place->trace == NONE) {
		struct cut *cut = *place->cut;
		struct lane lane = { .first = cut->first, .last = cut->last };
		struct cut early = detach(&lane, skipped);
		struct cut same = detach(&lane, place->same);
		struct cut late = detach(&lane, cut->count - place->at);
		trade(&same);
		put_before(&engine, &same);
		put_before(&engine, &late);
		*place->cut = cut->next;
		leave(&early, cut->begun);
		free(cut);
		return;
	}
	struct cut early = detach(&engine.main, skipped);
	struct cut same = detach(&engine.main, place->same);
	engine.pending -= place->at;
	/* The process made them, though in another trace. They stay, since each may begin a request, too. */
	size_t left = place->beginning;
	for (struct record *r = early.first; r != NULL && left != 0; r = r->next, left--)
		count_use(r->seat, r->number, 1);
	trade(&same);
	if (place->trace == before) {
		/* Further on in the trace: what lies between is left for later. */
		struct lane lane = { .first = same.first, .last = same.last };
		if (same.last == NULL)
			lane.first = early.first;
		else
			same.last->next = early.first;
		lane.last = early.last != NULL ? early.last : same.last;
		early = detach(&lane, same.count + early.count);
		leave(&early, 0);
		return;
	}
	leave(&early, place->beginning);
	put_before(binding.visits[before].parked, &same);
	if (binding.visits[before].used == 0)
		leave_seat(before);
	(void)take_seat(binding.current);
}

/* Whether all that was served stands at the beginning of a trace, and this call behind it. */
static bool fits(size_t index, const struct tape_function *function, const uintptr_t *words,
                 binding_equals *equals)
{
	size_t served = (size_t)binding.served;
	if (binding.visits[index].failed || !activate(index) || (engine.lanes && served != 0))
		return false;
	size_t count = look_ahead(served + 1);
	return common_beginning(count) == served && count > served &&
	       ahead[served]->function == function && equals(ahead[served], words);
}

/* Where the whole trace is kept: what was served before was served from the one that is bound now. */
static void move_over(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct past *served = past(i);
		count_use(served->seat, served->number, -1);
		count_use(ahead[i]->seat, ahead[i]->number, 1);
		served->id = ahead[i]->id;
		served->line = ahead[i]->line;
		served->number = ahead[i]->number;
		served->seat = ahead[i]->seat;
	}
	loose_catch_up(count);
}

/*
 * Take the place of another trace from its beginning. What nobody has claimed comes first. Of what has
 * been claimed, a new process takes what was not served up to here: whoever has claimed it is to find
 * that it is in the wrong place, too. Another process that was served this very call is in the right one.
 */
static bool change_over(size_t before, const struct tape_function *function, const uintptr_t *words,
                        binding_equals *equals)
{
	size_t served = (size_t)binding.served;
	if (served > MAX_BEGINNING || binding.cuts != NULL)
		return false;
	for (size_t i = 0; i < binding.count; i++)
		if (i != before && binding.visits[i].used != 0)
			return false;
	for (size_t step = 0; step < 4 * binding.count; step++) {
		size_t index = step % binding.count;
		unsigned int rank = (unsigned int)(step / binding.count / 2);
		bool claimed = step / binding.count % 2 != 0;
		if (index == before || rank_of(index) != rank || (!claimed && !is_free(index)))
			continue;
		if (!fits(index, function, words, equals)) {
			if (count_parked() > MAX_PARKED && activate(before) &&
			    binding.visits[index].parked != NULL)
				discard(index);
			continue;
		}
		const _Atomic uint8_t *uses = uses_of(index, ahead[served]->number);
		if (claimed ? !binding.forked && uses != NULL && atomic_load(uses) != 0
		            : !take_seat(index))
			continue;
		const struct place place = { .trace = index, .at = served, .same = served };
		if (engine.loose == NULL)
			take_place(&place, before);
		else
			move_over(served);
		if (count_parked() > MAX_PARKED)
			discard(before);
		return true;
	}
	return false;
}

/* Whether two traces are of children that were forked by one process with no call between. */
static bool are_siblings(size_t one, size_t other)
{
	return one != other && rank_of(one) < 2 && rank_of(other) < 2 &&
	       binding.seats[one].member.forked_after == binding.seats[other].member.forked_after;
}

static bool has_sibling(size_t index)
{
	size_t other = 0;
	while (other < binding.count && !are_siblings(index, other))
		other++;
	return other < binding.count;
}

/* The children of one fork go on in each other's traces, and each in the order that suits it. */
static bool share(size_t before, bool used_up, bool only_free, const struct tape_function *function,
                  const uintptr_t *words, binding_equals *equals)
{
	struct place best = { 0 };
	if (!has_sibling(before))
		return false;
	(void)activate(before);
	struct place here = { .trace = before };
	look_for(&best, here, look_ahead(MAX_AHEAD), used_up, only_free, function, words, equals);
	here.trace = NONE;
	for (here.cut = &binding.cuts; *here.cut != NULL; here.cut = &(*here.cut)->next) {
		here.beginning = (*here.cut)->begun;
		look_for(&best, here, look_into(*here.cut), used_up, only_free, function, words,
		         equals);
	}
	here.cut = NULL;
	for (size_t i = 0; i < binding.count; i++) {
		if (!are_siblings(before, i) || binding.visits[i].failed ||
		    (binding.visits[i].parked == NULL && count_parked() >= 4 * MAX_PARKED) ||
		    !activate(i) || engine.lanes)
			continue;
		size_t count = look_ahead(MAX_AHEAD);
		here.trace = i;
		here.beginning = 0;
		if (binding.visits[i].used == 0) {
			here.beginning = look_at_beginning();
			count = look_ahead(here.beginning + MAX_AHEAD);
		}
		look_for(&best, here, count, used_up, only_free, function, words, equals);
	}
	if (best.score == 0 || !activate(best.trace == NONE ? before : best.trace))
		return false;
	take_place(&best, before);
	return true;
}

bool binding_change(const struct tape_function *function, const uintptr_t *words,
                    binding_equals *equals)
{
	size_t before = binding.current;
	bool used_up = engine.main.first == NULL && engine.ended;
	if (before == NONE || (engine.lanes && binding.served != 0) || binding.beginning == NULL ||
	    binding.recent == NULL)
		return false;
	if (change_over(before, function, words, equals) ||
	    (engine.loose == NULL && binding.forked && binding.served != 0 &&
	     share(before, used_up, false, function, words, equals)))
		return true;
	(void)activate(before);
	return false;
}

bool binding_borrow(binding_answers *answers, void *context)
{
	size_t before = binding.current;
	if (before == NONE || !binding.forked)
		return false;
	for (size_t i = 0; i < binding.count; i++) {
		struct loose *own = engine.loose;
		if (!are_siblings(before, i) || binding.visits[i].failed ||
		    (binding.visits[i].parked == NULL && count_parked() >= 4 * MAX_PARKED))
			continue;
		if (activate(i) && engine.loose != NULL) {
			loose_go_over(own, engine.loose);
			if (answers(context))
				return true;
			loose_go_over(engine.loose, own);
		}
		(void)activate(before);
	}
	return false;
}

bool binding_avoid(const struct record *record, const struct tape_function *function,
                   const uintptr_t *words, binding_equals *equals)
{
	size_t before = binding.current;
	if (before == NONE || !binding.forked || binding.served == 0 || engine.lanes ||
	    binding.beginning == NULL || binding.recent == NULL || !is_taken(record))
		return false;
	if (share(before, true, true, function, words, equals))
		return true;
	(void)activate(before);
	return false;
}

uint64_t binding_forked_after(void)
{
	return binding.current == NONE ? 0 : binding.seats[binding.current].member.forked_after;
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
		if (binding.visits[i].used != 0 && activate(i)) {
			any = true;
			engine.served = binding.visits[i].used;
			each();
		}
	if (current != NONE)
		(void)activate(current);
	if (!any)
		each();
}
