/* SPDX-License-Identifier: MIT
 *
 * Strict mode. If no two calls of the trace overlap there is one lane and one order. Otherwise the order
 * is kept per lane: a session, and one lane for the calls without a session. Within a lane a call may
 * be served before an earlier one that was still open when it began: only a return that stands before
 * a call proves an order.
 */
#include "replayer/replay.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/answer.h"
#include "core/capture.h"
#include "core/names.h"
#include "core/system.h"
#include "replayer/binding.h"
#include "replayer/engine.h"
#include "replayer/forward.h"
#include "replayer/inject.h"
#include "replayer/keyed.h"
#include "replayer/loose.h"
#include "replayer/module.h"
#include "replayer/notify.h"
#include "replayer/report.h"
#include "replayer/wait.h"

#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>
#define SINGLE_THREADED __libc_single_threaded
#else
#define SINGLE_THREADED 0
#endif

/* Calls at the beginning of a lane that can still be told apart from another lane's. */
#define MAX_HISTORY 4096

struct engine engine;

/* In pages that a fork wipes: the child finds the locks free, nobody waiting, and itself a stranger. */
struct shared {
	struct tape_lock lock;
	bool straight; /* the next call may be served by its plan alone: this process's trace is bound */
	bool loose;                 /* the same in lenient mode */
	pid_t process;              /* that has a trace bound; 0: none yet */
	struct tape_lock list_lock; /* of module.c */
	struct waiter *waiters;
};

static _Atomic(struct shared *) shared;
static atomic_bool wiped; /* the kernel does wipe them; else process numbers are compared */

static TAPE_COLD struct shared *make_shared(void)
{
	bool wipes = false;
	struct shared *none = NULL;
	static struct shared fallback;
	struct shared *pages = tape_pages_get_wiped(4096, &wipes);
	if (pages == NULL)
		pages = &fallback;
	wiped = wipes;
	if (!atomic_compare_exchange_strong(&shared, &none, pages)) {
		if (pages != &fallback)
			tape_pages_free(pages, 4096);
		return none;
	}
	return pages;
}

static inline struct shared *get_shared(void)
{
	struct shared *pages = atomic_load_explicit(&shared, memory_order_acquire);
	return TAPE_LIKELY(pages != NULL) ? pages : make_shared();
}

/* Without other threads an atomic instruction costs more than the rest of a small call. */
static inline void enter(struct shared *pages)
{
	if (SINGLE_THREADED)
		atomic_store_explicit(&pages->lock.word, 1, memory_order_relaxed);
	else
		tape_lock_take(&pages->lock);
}

static inline void leave(struct shared *pages)
{
	if (SINGLE_THREADED)
		atomic_store_explicit(&pages->lock.word, 0, memory_order_relaxed);
	else
		tape_lock_give(&pages->lock);
}

/* Whether this process has called before: a forked child has not, whatever its parent did. */
static inline bool is_bound(const struct shared *pages)
{
	return wiped ? pages->process != 0 : pages->process == getpid();
}

/* Where nothing but the order of the trace decides, and a fork shows, calls may go the short way. */
static void go_straight(struct shared *pages)
{
	bool bound = wiped && engine.state == OPEN && engine.options.injections.count == 0 &&
	             engine.options.pace == 0 && !engine.options.forwards;
	pages->straight = bound && !engine.lanes && engine.loose == NULL;
	pages->loose = bound && engine.loose != NULL;
}

struct tape_lock *replay_list_lock(void)
{
	return &get_shared()->list_lock;
}

/* The thread that is in may read the trace, which is a cancellation point where its program expects none. */
void engine_enter(void)
{
	int before;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	enter(get_shared());
	engine.cancel = before;
}

void engine_leave(void)
{
	int before = engine.cancel;
	leave(get_shared());
	pthread_setcancelstate(before, &before);
}

struct waiter **engine_waiters(void)
{
	return &get_shared()->waiters;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static struct lane *live_lane(uint64_t handle)
{
	/* 0 is no session's handle: lanes that have none yet have it. */
	for (struct lane *lane = engine.sessions; lane != NULL; lane = lane->next)
		if (handle != 0 && lane->live == handle)
			return lane;
	/* A session that nobody was seen to open: inherited by a fork, or not a session at all. */
	struct lane *lane = reading_lane(handle);
	if (lane != NULL && lane->opener == 0)
		lane->live = handle;
	return lane;
}

static void remember(struct lane *lane, uint64_t digest)
{
	if (lane->served < MAX_HISTORY) {
		if (lane->history == NULL)
			lane->history = malloc(MAX_HISTORY * sizeof(*lane->history));
		if (lane->history != NULL)
			lane->history[lane->served] = digest;
	}
}

/* ---- discovery ------------------------------------------------------------------------------- */

static bool find(enum tape_function_id id, const uintptr_t *words,
                 const struct tape_value **ret_out, CK_RV *ret_rv)
{
	const struct tape_function *function = &tape_functions[id];
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	struct tape_capture capture = { .arena = &engine.scratch };
	struct tape_compare compare = { 0 };
	tape_arena_reset(&engine.scratch);
	tape_capture_in(&capture, function, words, live);
	for (const struct found *f = engine.found; f != NULL; f = f->next)
		if (f->function == function &&
		    tape_compare_in(&compare, function, f->in, live) < 0) {
			*ret_out = f->out;
			*ret_rv = f->rv;
			return true;
		}
	return false;
}

bool replay_find(enum tape_function_id id, const uintptr_t *words,
                 const struct tape_value **ret_out, CK_RV *ret_rv)
{
	struct shared *pages = get_shared();
	engine_enter();
	bool known = find(id, words, ret_out, ret_rv);
	if (!known && !engine.all_found) {
		engine.all_found = true;
		binding_find_all(!is_bound(pages));
		known = find(id, words, ret_out, ret_rv);
	}
	engine_leave();
	return known;
}

const struct tape_value *replay_list(size_t index)
{
	for (const struct found *f = engine.found; f != NULL; f = f->next) {
		if (f->rv != CKR_OK)
			continue;
		for (size_t i = 0; i < f->function->count; i++) {
			const struct tape_value *value = &f->out[i];
			if (value->form == TAPE_V_RECORD && index-- == 0)
				return value;
			for (size_t j = 0; value->form == TAPE_V_LIST && j < value->count; j++)
				if (index-- == 0)
					return tape_value_child(value, j);
		}
	}
	return NULL;
}

bool replay_only_list(void)
{
	engine_enter();
	bool only_list = engine.only_list;
	engine_leave();
	return only_list;
}

void replay_count_found(void)
{
	atomic_fetch_add(&report_counters->found, 1);
}

/* ---- divergences ----------------------------------------------------------------------------- */

static enum tape_record_id parameter_of_candidate(void *context, CK_SESSION_HANDLE session,
                                                  bool seal)
{
	(void)context;
	(void)session;
	(void)seal;
	const struct record *record = engine.candidate;
	for (size_t i = 0; record != NULL && i < record->function->count; i++)
		if (tape_shapes[record->function->arguments[i].kind].codec == TAPE_C_PARAMETER &&
		    record->in[i].form == TAPE_V_RECORD)
			return (enum tape_record_id)record->in[i].record;
	return TAPE_R_NONE;
}

static void capture_live(const struct tape_function *function, const uintptr_t *words,
                         struct tape_value *live, struct tape_secrets *secrets, unsigned int policy)
{
	struct tape_capture capture = { .arena = &engine.scratch,
		                        .secrets = secrets,
		                        .redact = policy,
		                        .message_record = parameter_of_candidate };
	tape_arena_reset(&engine.scratch);
	tape_capture_in(&capture, function, words, live);
}

void engine_capture(const struct record *candidate, const struct tape_function *function,
                    const uintptr_t *words, struct tape_value *live)
{
	engine.candidate = candidate;
	capture_live(function, words, live, NULL, TAPE_REDACT_NONE);
}

static struct report_side side_of(const struct record *record)
{
	return (struct report_side){ (enum tape_function_id)(record->function - tape_functions),
		                     record->in };
}

/* Report a call that has no answer; `report` says why, and the recorded call that is shown beside it. */
static CK_RV diverge_as(const struct tape_function *function, const uintptr_t *words,
                        const struct record *expected, struct report *report)
{
	static struct tape_secrets secrets; /* large; used under the lock */
	struct tape_lock lock = { 0 };
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	/* What was presented for a secret is nobody's business: show a name. What a later release hides, too. */
	unsigned int policy;
	/* Discovery was answered before the program knew a function that it could call. */
	if (report->kind != REPORT_DISCOVERY && forward_switch(function, &report->forward))
		return FORWARD_HERE;
	const char *said = engine.reader == NULL ? "" : tape_reader_header(engine.reader)->redact;
	if (said[0] == 0)
		policy = TAPE_REDACT_PIN;
	else if (!tape_redact_read(said, &policy))
		policy = TAPE_REDACT_ALL;
	if (tape_secrets_init(&secrets, &lock) == 0)
		secrets.prefix = "presented";
	engine.candidate = expected;
	capture_live(function, words, live, &secrets, policy | TAPE_REDACT_PIN);
	report->actual.function = (enum tape_function_id)(function - tape_functions);
	report->actual.in = live;
	if (expected != NULL) {
		report->id = expected->id;
		report->line = expected->line;
		report->expected = side_of(expected);
	}
	report_divergence(report);
	report->actual.in = NULL;
	tape_secrets_done(&secrets);
	return CKR_GENERAL_ERROR;
}

static CK_RV diverge(const struct tape_function *function, const uintptr_t *words,
                     enum report_kind kind, const struct record *expected, int argument,
                     const char *why)
{
	struct report report = { .kind = kind, .argument = argument, .why = why };
	return diverge_as(function, words, expected, &report);
}

void replay_refuse(enum tape_function_id id, const uintptr_t *words, const char *why)
{
	engine_enter();
	diverge(&tape_functions[id], words, REPORT_DISCOVERY, NULL, -1, why);
	engine_leave();
}

void replay_note(const char *sentence)
{
	engine_enter();
	report_note(sentence);
	engine_leave();
}

/* ---- serving --------------------------------------------------------------------------------- */

/*
 * Compare a call with a recorded one. Returns -1 for equal, else the first argument that differs. The
 * live inputs are left in `live` for the answer unless the plan decided alone.
 */
static int compare_with(const struct record *record, const uintptr_t *words,
                        struct tape_value *live, bool bind)
{
	const struct tape_function *function = record->function;
	struct tape_compare compare = { .bindings = &engine.bindings,
		                        .rules = &engine.options.rules,
		                        .part = record->part,
		                        .bind = bind };
	engine_capture(record, function, words, live);
	/* Lanes are bound by content: the number of the session is not part of it. */
	if (engine.lanes && function->lane >= 0)
		live[function->lane].number = record->in[function->lane].number;
	return tape_compare_in(&compare, function, record->in, live);
}

/*
 * A call that waits is served whenever it comes, and held back until it is its turn: which of two threads
 * is the first to call is chance.
 */
static bool waits(const struct record *record)
{
	return engine.lanes && wait_blocks(record);
}

static struct record *match_wait(struct lane *lane, const struct tape_function *function,
                                 const uintptr_t *words, struct tape_value *live,
                                 struct record **ret_before)
{
	struct record *before = NULL;
	for (struct record *r = lane->first; r != NULL; before = r, r = r->next) {
		if (r->function == function && wait_blocks(r) &&
		    compare_with(r, words, live, true) < 0) {
			*ret_before = before;
			return r;
		}
		if (r->next == NULL && engine.pending < MAX_PENDING)
			reading_ahead(NULL, NULL);
	}
	return NULL;
}

/* The call that may be served now: the lane's first, or one that began before every earlier one returned. */
static struct record *match(struct lane *lane, const struct tape_function *function,
                            const uintptr_t *words, struct tape_value *live,
                            struct record **ret_before, int *ret_argument)
{
	uint64_t limit = NOT_YET;
	struct record *before = NULL;
	bool first = true;
	*ret_argument = -1;
	for (struct record *r = lane->first; r != NULL && r->call_at < limit;
	     before = r, r = r->next) {
		if (r->function == function) {
			int argument = compare_with(r, words, live, true);
			if (argument < 0) {
				*ret_before = before;
				return r;
			}
			if (first)
				*ret_argument = argument;
		}
		if (TAPE_LIKELY(!waits(r))) {
			first = false;
			if (r->return_at < limit)
				limit = r->return_at;
		}
		if (r->next == NULL && engine.lanes && engine.position <= limit)
			reading_ahead(lane, NULL);
	}
	return NULL;
}

/* The digest of a lane's call number `index`, counted from its beginning; 0 where it is not known. */
static uint64_t digest_at(const struct lane *lane, size_t index)
{
	if (index < lane->served)
		return lane->history == NULL || index >= MAX_HISTORY ? 0 : lane->history[index];
	const struct record *record = lane->first;
	for (size_t i = lane->served; record != NULL && i < index; i++)
		record = record->next;
	return record == NULL ? 0 : record->digest;
}

/*
 * Bind by content: another recorded lane that began with the very calls that this one was served, and
 * goes on with the call that came, takes its place. What both still have to serve is exchanged.
 */
static bool exchange(struct lane *lane, const struct tape_function *function,
                     const uintptr_t *words, struct tape_value *live)
{
	for (struct lane *other = engine.sessions; other != NULL; other = other->next) {
		if (other == lane || other->opener != lane->opener || lane->opener == 0 ||
		    other->served > lane->served || lane->served > MAX_HISTORY)
			continue;
		size_t same = 0;
		while (same < lane->served && digest_at(other, same) != 0 &&
		       digest_at(other, same) == digest_at(lane, same))
			same++;
		if (same < lane->served)
			continue;
		struct record *before = NULL;
		struct record *next = other->first;
		for (size_t i = other->served; next != NULL && i < lane->served; i++) {
			before = next;
			next = next->next;
		}
		if (next == NULL || next->function != function ||
		    compare_with(next, words, live, false) >= 0)
			continue;
		wait_put_forward(other, next);
		struct record *rest = lane->first;
		struct record *rest_last = lane->last;
		lane->first = next;
		lane->last = other->last;
		if (before == NULL)
			other->first = rest;
		else
			before->next = rest;
		other->last = rest != NULL ? rest_last : before;
		uint64_t recorded = lane->recorded;
		lane->recorded = other->recorded;
		other->recorded = recorded;
		return true;
	}
	return false;
}

static bool rebind(struct lane *lane, const struct tape_function *function, const uintptr_t *words,
                   struct tape_value *live)
{
	/* The session that fits may begin further on in the trace. */
	do {
		if (exchange(lane, function, words, live))
			return true;
	} while (engine.pending < MAX_PENDING && reading_ahead(NULL, NULL));
	return exchange(lane, function, words, live);
}

/* The call has come: it is not waited for any more. */
static inline void take(struct lane *lane, struct record *before, struct record *record)
{
	take_out(lane, before, record);
	lane->served++;
	engine.served++;
	engine.last_id = record->id;
	/* One writer at a time: a plain store is enough, and an atomic addition is not free. */
	atomic_store_explicit(engine.reached, engine.served, memory_order_relaxed);
}

/*
 * The call did not return in the recording. It crashes or hangs here as well, if that is wanted; it comes
 * back where a handler of the program's does.
 */
static void do_not_return(const struct record *record)
{
	const bool crash = engine.options.no_return == NO_RETURN_CRASH;
	char sentence[sizeof(engine.options.trace) + 128];
	if (crash)
		wait_for_all(record);
	snprintf(sentence, sizeof(sentence),
	         "%s did not return (%s:%llu): it %s, as it was told to",
	         record->function->name.text, engine.options.trace,
	         (unsigned long long)record->line, crash ? "crashes" : "hangs");
	report_note(sentence);
	engine_leave();
	if (!crash)
		for (;;)
			pause();
	raise(SIGSEGV);
	engine_enter();
}

/* Write the outputs of a call, by the names that they have in a part of the trace. */
static CK_RV write_out(const struct tape_function *function, unsigned int part,
                       const uintptr_t *words, const struct tape_value *live,
                       const struct tape_value *out, CK_RV rv)
{
	const struct tape_compare names = { .bindings = &engine.bindings,
		                            .rules = &engine.options.rules,
		                            .part = part };
	out = tape_names_answer(&names, &engine.scratch, function, out);
	if (out == NULL)
		return CKR_HOST_MEMORY;
	size_t filled = tape_answer(&names, function, words, live, out);
	if (filled != 0)
		atomic_fetch_add(&report_counters->filled, filled);
	return rv;
}

static CK_RV answer(const struct record *record, const uintptr_t *words,
                    const struct tape_value *live, const struct tape_value *out)
{
	if (TAPE_UNLIKELY(record->partial))
		return diverge(record->function, words, REPORT_PARTIAL, record, -1,
		               "part of it is not in the recording");
	return write_out(record->function, record->part, words, live, out, record->rv);
}

static CK_RV no_return(const struct record *record, const uintptr_t *words)
{
	return diverge(record->function, words, REPORT_NO_RETURN, record, -1,
	               "the recorded call did not return");
}

/* Whether calls take more than the time that they need. */
static inline bool is_paced(void)
{
	return engine.options.pace != 0 || engine.options.ordered;
}

static CK_RV never_return(const struct record *record, const uintptr_t *words)
{
	if (engine.options.no_return != NO_RETURN_DIVERGES && !record->left)
		do_not_return(record);
	return no_return(record, words);
}

/*
 * What takes longer: others are served meanwhile, even calls that the program makes inside of this one.
 * `record` has been taken, and is nobody else's.
 */
static TAPE_COLD CK_RV finish_slowly(struct record *record, const uintptr_t *words, uint64_t began)
{
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	bool blocks = wait_blocks(record);
	if (blocks && (engine.lanes || record->return_at == NOT_YET))
		wait_for_return(record);
	notify_during(record, words);
	if (is_paced())
		wait_in_call(record, began);
	CK_RV rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	if (record->return_at != NOT_YET) {
		compare_with(record, words, live, true);
		rv = answer(record, words, live, record->out);
	} else if (!blocks) {
		rv = never_return(record, words);
	}
	retire_record(record);
	return rv;
}

static CK_RV finish(struct lane *lane, struct record *before, struct record *record,
                    const uintptr_t *words, const struct tape_value *live)
{
	const struct tape_function *function = record->function;
	bool blocks = wait_blocks(record);
	if (record->return_at >= LATER && !engine.ended && !blocks)
		reading_ahead(NULL, record);
	if (record->return_at == NOT_YET && !blocks && record->notices == NULL &&
	    (!engine.ended || record->left || engine.options.no_return == NO_RETURN_DIVERGES))
		return no_return(record, words);
	bool slowly = (blocks && (engine.lanes || record->return_at == NOT_YET)) ||
	              record->return_at == NOT_YET || record->notices != NULL || is_paced();
	const uint64_t began = is_paced() ? tape_clock_monotonic() : 0;
	uint64_t session = record->return_at == NOT_YET ? 0 : reading_session(record);
	if (record->opens != NULL)
		record->opens->live = session;
	if (session != 0)
		notify_keep(function, words, session);
	if (engine.lanes)
		remember(lane, record->digest);
	if (function->ends)
		engine.finished = record->call_at + 1;
	if (engine.shares || engine.lanes)
		binding_served(record);
	uint64_t last_id = engine.last_id;
	take(lane, before, record);
	if (engine.last_id < last_id)
		engine.last_id = last_id;
	wait_check();
	if (TAPE_UNLIKELY(slowly))
		return finish_slowly(record, words, began);
	CK_RV rv = answer(record, words, live, record->out);
	retire_record(record);
	return rv;
}

static bool equals(const struct record *record, const uintptr_t *words)
{
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	return compare_with(record, words, live, false) < 0;
}

/* Whether the call that came will wait. */
static bool blocks_now(const struct tape_function *function, const uintptr_t *words)
{
	return function->waits >= 0 &&
	       (words[function->arguments[function->waits].word] & CKF_DONT_BLOCK) == 0;
}

static CK_RV serve(const struct tape_function *function, const uintptr_t *words)
{
again:;
	struct lane *lane = &engine.main;
	if (engine.lanes && function->lane >= 0)
		lane = live_lane(words[function->arguments[function->lane].word]);
	if (TAPE_UNLIKELY(lane == NULL))
		return CKR_HOST_MEMORY;
	do {
		if (lane->first == NULL)
			reading_ahead(lane, NULL);
	} while (TAPE_UNLIKELY(engine.notices != NULL) && lane->first != NULL &&
	         notify_before(lane->first->call_at));
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	struct record *before = NULL;
	struct record *record = NULL;
	int argument = -1;
	if (engine.lanes && blocks_now(function, words))
		record = match_wait(lane, function, words, live, &before);
	if (record == NULL)
		record = match(lane, function, words, live, &before, &argument);
	if (record == NULL && engine.lanes && lane != &engine.main &&
	    rebind(lane, function, words, live)) {
		record = lane->first;
		before = NULL;
		compare_with(record, words, live, true);
	}
	if (record == NULL && engine.shares && binding_change(function, words, equals)) {
		lane = &engine.main;
		if (engine.lanes && function->lane >= 0)
			lane = live_lane(words[function->arguments[function->lane].word]);
		if (lane != NULL)
			record = match(lane, function, words, live, &before, &argument);
	}
	if (record != NULL && TAPE_UNLIKELY(engine.shares) &&
	    binding_avoid(record, function, words, equals)) {
		lane = &engine.main;
		record = match(lane, function, words, live, &before, &argument);
	}
	if (TAPE_UNLIKELY(wait_for_turn(function, record, SINGLE_THREADED)))
		goto again;
	if (record != NULL)
		return finish(lane, before, record, words, live);
	if (engine.unrecorded != NULL)
		return diverge(function, words, REPORT_PROCESS, NULL, -1, engine.unrecorded);
	const struct record *first = lane == NULL ? NULL : lane->first;
	while (first != NULL && waits(first))
		first = first->next;
	if (first == NULL)
		return diverge(function, words, REPORT_PAST_END, NULL, -1,
		               engine.lanes && lane != &engine.main ? "in this session" : NULL);
	return diverge(function, words, argument >= 0 ? REPORT_ARGUMENT : REPORT_FUNCTION, first,
	               argument, NULL);
}

/* ---- lenient mode ---------------------------------------------------------------------------- */

static struct report_cause cause_of(const struct record *record)
{
	if (record == NULL)
		return (struct report_cause){ NULL, 0 };
	return (struct report_cause){ record->function->name.text, record->line };
}

static CK_RV miss(const struct tape_function *function, const uintptr_t *words,
                  const struct loose_miss *why, const char *no_key)
{
	static const enum report_kind kinds[] = { [LOOSE_NEVER] = REPORT_UNRECORDED,
		                                  [LOOSE_USED_UP] = REPORT_USED_UP,
		                                  [LOOSE_STATE] = REPORT_STATE };
	const struct record *first = why->count == 0 ? NULL : why->nearest[0];
	struct report report = { .kind = kinds[why->why],
		                 .argument = first == NULL ? -1 : why->arguments[0],
		                 .key = no_key };
	if (why->why == LOOSE_STATE) {
		report.scope = tape_scope_name(why->scope);
		report.recorded_by = cause_of(why->recorded_by);
		report.live_by = cause_of(why->live_by);
	}
	for (size_t i = 1; i < why->count; i++)
		report.nearest[report.near_count++] =
			(struct report_near){ side_of(why->nearest[i]), why->nearest[i]->id,
			                      why->nearest[i]->line, why->arguments[i] };
	return diverge_as(function, words, first, &report);
}

static void count_loosely(const struct record *record, bool first)
{
	if (!first) {
		atomic_fetch_add_explicit(&report_counters->beyond, 1, memory_order_relaxed);
		return;
	}
	engine.served++;
	if (record->id > engine.last_id)
		engine.last_id = record->id;
	binding_served(record);
}

static bool serve_again(const struct tape_function *function, const uintptr_t *words, CK_RV *ret_rv)
{
	bool first;
	struct record *record = loose_again(function, words, &first);
	if (record == NULL)
		return false;
	plan_answer(&record->plan, words);
	*ret_rv = record->rv;
	count_loosely(record, first);
	return true;
}

static CK_RV use(struct record *record, const uintptr_t *words, struct tape_value *live)
{
	const struct tape_function *function = record->function;
	bool blocks = wait_blocks(record);
	bool first;
	const struct record *counted = loose_take(record, live, &first);
	count_loosely(counted, first);
	if (function->ends)
		engine.finished = record->call_at + 1;
	wait_check();
	if (TAPE_UNLIKELY(blocks || record->notices != NULL || is_paced())) {
		const uint64_t began = tape_clock_monotonic();
		if (blocks)
			wait_for_return(record);
		if (blocks && forward_is_on())
			return FORWARD_HERE;
		/* It may be told of the session before it has its handle. */
		if (record->notices != NULL)
			notify_keep(function, words, reading_session(record));
		notify_during(record, words);
		if (is_paced())
			wait_in_call(record, began);
		engine_capture(record, function, words, live);
	}
	if (record->return_at == NOT_YET && blocks)
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (record->return_at == NOT_YET || record->partial) {
		loose_pass(record);
		return record->partial ? answer(record, words, live, record->out)
		                       : never_return(record, words);
	}
	const struct tape_value *out = loose_answer(record, live, first);
	if (out == NULL)
		return CKR_HOST_MEMORY;
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OUT_SESSION && record->rv == CKR_OK)
			notify_keep(function, words, out[i].number);
	return answer(record, words, live, out);
}

/* The call that came, for those who look for it elsewhere. */
struct wanted {
	const struct tape_function *function;
	const uintptr_t *words;
	struct tape_value *live;
	struct record *found;
};

static bool answers(void *context)
{
	struct wanted *wanted = context;
	wanted->found = loose_find(wanted->function, wanted->words, wanted->live);
	return wanted->found != NULL;
}

/* Model mode: what was not recorded of this call, but follows from others. */
static CK_RV follow(const struct tape_function *function, const uintptr_t *words,
                    struct tape_value *live, const struct loose_derived *derived)
{
	const struct facts_answer *answer = &derived->answer;
	report_derived((enum tape_function_id)(function - tape_functions), answer->derived.rv,
	               answer->derived.leeway);
	if (derived->record != NULL)
		return use(derived->record, words, live);
	if (!loose_follow(function, live, answer))
		return CKR_HOST_MEMORY;
	return write_out(function, answer->part, words, live, answer->derived.out,
	                 answer->derived.rv);
}

/* What no recorded call answers, a test key may. Else *ret_why says why it does not, or is NULL. */
static bool compute(const struct tape_function *function, const uintptr_t *words,
                    const struct tape_value *live, CK_RV *ret_rv, const char **ret_why)
{
	struct keyed_answer answer;
	bool answered =
		keyed_answer(loose_state(), function, live, words, &engine.scratch, &answer);
	*ret_why = answer.why;
	if (!answered)
		return false;
	tape_answer(NULL, function, words, live, answer.out);
	*ret_rv = loose_beyond(function, live, answer.out, answer.rv) ? answer.rv : CKR_HOST_MEMORY;
	atomic_fetch_add(&report_counters->keyed, 1);
	return true;
}

/* Without a recorded call. */
static CK_RV serve_beyond(const struct tape_function *function, const uintptr_t *words,
                          struct tape_value *live)
{
	struct loose_derived derived;
	struct loose_miss why;
	const char *no_key;
	CK_RV rv;
	if (loose_end(function, live)) {
		atomic_fetch_add(&report_counters->ended, 1);
		return CKR_OK;
	}
	if (loose_derive(function, words, live, &derived))
		return follow(function, words, live, &derived);
	if (compute(function, words, live, &rv, &no_key))
		return rv;
	loose_explain(function, words, live, &why);
	return miss(function, words, &why, no_key);
}

static CK_RV serve_loosely(const struct tape_function *function, const uintptr_t *words)
{
	struct tape_value live[TAPE_MAX_ARGUMENTS];
	struct record *record;
	struct wanted wanted = { function, words, live, NULL };
	if (engine.unrecorded != NULL)
		return diverge(function, words, REPORT_PROCESS, NULL, -1, engine.unrecorded);
	do {
		record = loose_find(function, words, live);
		if (record == NULL && engine.shares && binding_change(function, words, equals))
			record = loose_find(function, words, live);
		if (record == NULL && engine.shares && binding_borrow(answers, &wanted))
			record = wanted.found;
		/* The program may call from its function: what answers is looked for again. */
	} while (TAPE_UNLIKELY(engine.notices != NULL) && record != NULL &&
	         notify_before(record->call_at));
	uint64_t before = keyed_before(loose_state(), function, live);
	CK_RV rv = record != NULL ? use(record, words, live) : serve_beyond(function, words, live);
	keyed_behind(loose_state(), before, function, live, rv, words);
	return rv;
}

/* The next call in a trace without overlaps, if it has a plan and that says that this is it. */
static inline bool serve_planned(const struct shared *pages, const struct tape_function *function,
                                 const uintptr_t *words, CK_RV *ret_rv)
{
	struct record *first = engine.main.first;
	if (first == NULL || first->function != function || !pages->straight || first->partial ||
	    !plan_equals(&first->plan, words))
		return false;
	/* The program does something else before it calls again: let the next record come nearer. */
	TAPE_PREFETCH(first->next);
	plan_answer(&first->plan, words);
	*ret_rv = first->rv;
	take(&engine.main, NULL, first);
	retire_record(first);
	return true;
}

static CK_RV serve_any(const struct tape_function *function, const uintptr_t *words)
{
	return engine.options.mode == MODE_STRICT ? serve(function, words)
	                                          : serve_loosely(function, words);
}

static CK_RV serve_live(const struct tape_function *function, const uintptr_t *words)
{
	CK_RV rv;
	char why[FORWARD_WHY];
	if (forward_call(function, words, &rv, why))
		return rv;
	engine_enter();
	rv = diverge(function, words, REPORT_FORWARD, NULL, -1, why);
	engine_leave();
	return rv;
}

/* Everything but the next call in its simplest form; apart, so that that one has a small frame. */
static TAPE_COLD CK_RV serve_slowly(enum tape_function_id id, const uintptr_t *words)
{
	int saved = errno;
	CK_RV rv = CKR_GENERAL_ERROR;
	if (tape_functions[id].finds) {
		rv = module_find(id, words);
	} else if (forward_is_on()) {
		rv = serve_live(&tape_functions[id], words);
	} else if (replay_ready()) {
		struct shared *pages = get_shared();
		engine_enter();
		if (!is_bound(pages)) {
			binding_inherit();
			pages->process = getpid();
		}
		if (engine.state == OPEN)
			rv = forward_keep(&tape_functions[id], words, serve_any);
		go_straight(pages);
		engine_leave();
		if (rv == FORWARD_HERE)
			rv = serve_live(&tape_functions[id], words);
	}
	errno = saved;
	return rv;
}

CK_RV replay_call(enum tape_function_id id, const uintptr_t *words)
{
	struct shared *pages = get_shared();
	CK_RV rv;
	enter(pages);
	bool planned = serve_planned(pages, &tape_functions[id], words, &rv);
	if (!planned && pages->loose)
		planned = serve_again(&tape_functions[id], words, &rv);
	leave(pages);
	if (TAPE_LIKELY(planned))
		return rv;
	return inject_is_asked() ? inject_call(id, words, serve_slowly) : serve_slowly(id, words);
}

/* ---- opening --------------------------------------------------------------------------------- */

bool engine_refuse(const struct tape_error *error)
{
	char sentence[sizeof(error->sentence) + sizeof(engine.options.trace) + 32];
	if (error->line == 0)
		snprintf(sentence, sizeof(sentence), "%s: %s", engine.options.trace,
		         error->sentence);
	else
		snprintf(sentence, sizeof(sentence), "%s:%zu: %s", engine.options.trace,
		         error->line, error->sentence);
	report_failure(engine.options.trace[0] == 0 ? error->sentence : sentence);
	return false;
}

static bool open_trace(void)
{
	struct tape_error error = { 0 };
	int result = options_read(&engine.options, &engine.bindings, &error);
	report_open(engine.options.trace, engine.options.report, engine.options.progress);
	if (result < 0)
		return engine_refuse(&error);
	report_how(engine.options.backtrace, engine.options.aborts);
	tape_arena_init(&engine.scratch, NULL, 0, TAPE_MAX_ITEM);
	tape_arena_init(&engine.keep, NULL, 0, TAPE_MAX_ITEM);
	result = keyed_open(engine.options.keys, &error);
	if (result < 0)
		return engine_refuse(&error);
	if (!binding_begin())
		return false;
	if (engine.options.forwards)
		forward_begin();
	atomic_fetch_add(&report_counters->loads, 1);
	report_counters->magic = TAPE_PROGRESS_MAGIC;
	return true;
}

bool replay_ready(void)
{
	struct shared *pages = get_shared();
	engine_enter();
	/* A child that was forked before any call is a process like its parent. */
	if (engine.state == UNOPENED) {
		engine.state = open_trace() ? OPEN : FAILED;
		pages->process = getpid();
	}
	bool ready = engine.state == OPEN;
	engine_leave();
	return ready;
}

/* How many calls are left, reading the rest of the trace to know. */
static uint64_t count_unused(uint64_t *ret_line)
{
	uint64_t count = 0;
	*ret_line = 0;
	for (;;) {
		for (struct lane *lane = &engine.main; lane != NULL;
		     lane = lane == &engine.main ? engine.sessions : lane->next)
			while (lane->first != NULL) {
				struct record *record = lane->first;
				if (record->return_at == NOT_YET && !engine.ended)
					break;
				if (*ret_line == 0 || record->line < *ret_line)
					*ret_line = record->line;
				count++;
				take_out(lane, NULL, record);
				retire_record(record);
			}
		if (engine.ended)
			return count;
		reading_ahead(NULL, NULL);
	}
}

static void summarise(void)
{
	uint64_t line;
	uint64_t unused;
	if (engine.loose != NULL) {
		engine.served = loose_served(&line);
		unused = engine.calls - engine.served;
	} else {
		unused = count_unused(&line);
	}
	/* Calls that others took the place of lie apart; those of a common beginning may count twice. */
	if (engine.shares && engine.loose == NULL)
		unused = engine.calls > engine.served ? engine.calls - engine.served : 0;
	report_summary(engine.unrecorded == NULL ? engine.options.trace : NULL, engine.served,
	               unused, line);
}

/*
 * The module stays in memory (NODELETE), so this runs when the process exits. A forked child that did
 * not call has nothing to say.
 */
__attribute__((destructor)) static void at_exit(void)
{
	if (engine.state != OPEN)
		return;
	struct shared *pages = get_shared();
	engine_enter();
	if (is_bound(pages))
		binding_visit(summarise);
	forward_end();
	engine_leave();
}
