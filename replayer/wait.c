/* SPDX-License-Identifier: MIT */
#include "replayer/wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "core/pace.h"
#include "core/system.h"
#include "replayer/forward.h"
#include "replayer/loose.h"
#include "replayer/report.h"

/* So long is nobody bored; then people want to know what the program is waiting for. */
#define PATIENCE_NS 5000000000u

bool wait_blocks(const struct record *record)
{
	if (record->function->waits < 0)
		return false;
	const struct tape_value *flags = &record->in[record->function->waits];
	return flags->form == TAPE_V_NUMBER && (flags->number & CKF_DONT_BLOCK) == 0;
}

/* Find a call that began before `limit` and has not come. One that its thread has left may never come. */
static const struct record *find_missing(uint64_t limit)
{
	/* Who may come in any order and as often as he likes is waited for where he changes something. */
	if (engine.loose != NULL)
		return loose_missing(limit);
	for (const struct lane *lane = &engine.main; lane != NULL;
	     lane = lane == &engine.main ? engine.sessions : lane->next)
		for (const struct record *r = lane->first; r != NULL; r = r->next)
			if (r->call_at < limit && !(r->left && r->return_at == NOT_YET))
				return r;
	return NULL;
}

/* Counts what has happened; only where the order of threads is kept. */
static atomic_uint changes;

static void announce(void)
{
	atomic_fetch_add(&changes, 1);
	tape_word_wake(&changes);
}

static bool is_ready(const struct waiter *waiter, const struct record **ret_missing)
{
	const struct record *record = waiter->record;
	*ret_missing = NULL;
	if (forward_is_on())
		return true;
	bool finished = engine.finished > record->call_at;
	/* What has been read before the return was read began before it: nothing is read for nothing. */
	while (record->return_at >= LATER && !engine.ended && !finished && !record->left) {
		*ret_missing = find_missing(UINT64_MAX);
		if (*ret_missing != NULL)
			return false;
		reading_ahead(NULL, NULL);
	}
	*ret_missing = NULL;
	if (waiter->for_all) {
		*ret_missing = find_missing(UINT64_MAX);
		return *ret_missing == NULL;
	}
	if (record->return_at == NOT_YET && finished && !record->left)
		reading_ahead(NULL, record);
	/*
	 * PKCS#11 3.1 §5.5.4: when another thread finalises, whoever waits returns. What else might have
	 * ended the wait is not in the recording.
	 */
	if (record->return_at == NOT_YET)
		return finished;
	*ret_missing = find_missing(record->return_at);
	return *ret_missing == NULL;
}

static void tell(const struct record *record, const struct record *missing)
{
	char sentence[sizeof(engine.options.trace) * 2 + 256];
	snprintf(sentence, sizeof(sentence),
	         "%s, %s:%llu, waits for %s, %s:%llu, which has not come",
	         record->function->name.text, engine.options.trace,
	         (unsigned long long)record->line, missing->function->name.text,
	         engine.options.trace, (unsigned long long)missing->line);
	report_note(sentence);
}

static void forget(void *argument)
{
	struct waiter **link = engine_waiters();
	while (*link != NULL && *link != argument)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

static void forget_cancelled(void *argument)
{
	engine_enter();
	forget(argument);
	engine_leave();
}

/*
 * Sleep while *word is `value`, at most so many nanoseconds; 0 for ever. The thread can be cancelled here, as
 * in the functions that a module would wait in; `waiter`, if any, is forgotten then. Returns false if the time
 * is over.
 */
static bool sleep_on(struct waiter *waiter, atomic_uint *word, unsigned int value,
                     uint64_t nanoseconds)
{
	int type;
	volatile bool woken = false;
	pthread_cleanup_push(forget_cancelled, waiter);
	/* Only the system call below is reached in this state. NOLINTNEXTLINE(cert-pos47-c) */
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	woken = tape_word_wait(word, value, nanoseconds);
	pthread_setcanceltype(type, NULL);
	pthread_cleanup_pop(0);
	return woken;
}

static void wait_for(struct waiter *waiter)
{
	const struct record *missing;
	bool told = false;
	struct waiter **waiters = engine_waiters();
	if (is_ready(waiter, &missing))
		return;
	waiter->next = *waiters;
	*waiters = waiter;
	while (atomic_load(&waiter->go) == 0) {
		engine_leave();
		bool woken = sleep_on(waiter, &waiter->go, 0, told ? 0 : PATIENCE_NS);
		engine_enter();
		if (woken || atomic_load(&waiter->go) != 0)
			continue;
		told = true;
		if (!is_ready(waiter, &missing) && missing != NULL)
			tell(waiter->record, missing);
	}
	forget(waiter);
}

void wait_for_return(const struct record *record)
{
	struct waiter waiter = { .record = record };
	wait_for(&waiter);
}

void wait_for_all(const struct record *record)
{
	struct waiter waiter = { .record = record, .for_all = true };
	wait_for(&waiter);
}

void wait_check(void)
{
	const struct record *missing;
	for (struct waiter *waiter = *engine_waiters(); waiter != NULL; waiter = waiter->next)
		if (atomic_load(&waiter->go) == 0 && !waiter->in_call &&
		    is_ready(waiter, &missing)) {
			atomic_store(&waiter->go, 1);
			tape_word_wake(&waiter->go);
		}
	if (TAPE_UNLIKELY(engine.options.ordered))
		announce();
}

/* ---- the recorded order ---------------------------------------------------------------------- */

/* Of the calls that have not come the one that began first; NULL where none began before `limit`. */
static const struct record *find_first_missing(uint64_t limit)
{
	const struct record *first = NULL;
	for (const struct lane *lane = &engine.main; lane != NULL;
	     lane = lane == &engine.main ? engine.sessions : lane->next)
		for (const struct record *r = lane->first; r != NULL; r = r->next)
			if (r->call_at < (first == NULL ? limit : first->call_at) &&
			    !(r->left && r->return_at == NOT_YET))
				first = r;
	return first;
}

/* Whether every call and every return that stands before `position` in the trace has come. */
static bool is_turn(const struct record *record, uint64_t position)
{
	for (const struct waiter *waiter = *engine_waiters(); waiter != NULL; waiter = waiter->next)
		if (waiter->in_call && waiter->record != record && waiter->return_at < position)
			return false;
	return find_first_missing(position) == NULL;
}

/* Nobody came for too long. From here on the order is what the threads make it. */
static void give_up(const struct tape_function *function, uint64_t position)
{
	char sentence[160];
	const struct record *missing = find_first_missing(position);
	engine.options.ordered = false;
	announce();
	if (missing == NULL)
		return;
	snprintf(sentence, sizeof(sentence),
	         "the recorded order is given up: for %llu s thread %llu has not come to call %s",
	         (unsigned long long)(engine.options.order_wait / 1000000000u),
	         (unsigned long long)missing->thread, missing->function->name.text);
	struct report report = {
		.kind = REPORT_ORDER,
		.argument = -1,
		.id = missing->id,
		.line = missing->line,
		.expected = { (enum tape_function_id)(missing->function - tape_functions),
		              missing->in },
		.actual.function = (enum tape_function_id)(function - tape_functions),
		.why = sentence,
	};
	report_divergence(&report);
}

/* Sleep until any thread has come on, and not for longer than the order may take. */
static void await_change(struct waiter *waiter, const struct tape_function *function,
                         uint64_t position)
{
	unsigned int seen = atomic_load(&changes);
	engine_leave();
	bool woken = sleep_on(waiter, &changes, seen, engine.options.order_wait);
	engine_enter();
	if (!woken && atomic_load(&changes) == seen && engine.options.ordered)
		give_up(function, position);
}

bool wait_for_turn(const struct tape_function *function, const struct record *record, bool alone)
{
	if (!engine.options.ordered)
		return false;
	bool hopeless = alone || engine.unrecorded != NULL ||
	                (engine.ended && find_first_missing(UINT64_MAX) == NULL);
	if (record == NULL ? hopeless : is_turn(record, record->call_at))
		return false;
	await_change(NULL, function, record == NULL ? UINT64_MAX : record->call_at);
	return true;
}

/* The call that opens a session becomes the next one without a session. */
static void put_opening_forward(const struct lane *lane)
{
	struct record *before = NULL;
	struct record *record = engine.main.first;
	while (record != NULL && record->opens != lane) {
		before = record;
		record = record->next;
	}
	if (record == NULL)
		return;
	record->call_at = record->return_at = 0;
	if (before == NULL)
		return;
	before->next = record->next;
	if (engine.main.last == record)
		engine.main.last = before;
	record->next = engine.main.first;
	engine.main.first = record;
}

static bool is_in(const struct record *record, const struct lane *lane)
{
	const int session = record->function->lane;
	return record->opens == lane ||
	       (session >= 0 && record->in[session].number == lane->recorded);
}

void wait_put_forward(const struct lane *other, const struct record *end)
{
	if (!engine.options.ordered)
		return;
	if (other->live == 0)
		put_opening_forward(other);
	for (struct record *r = other->first; r != end && r->return_at < LATER; r = r->next)
		r->call_at = r->return_at = 0;
	/* And the call that is not back from there yet. */
	for (struct waiter *waiter = *engine_waiters(); waiter != NULL; waiter = waiter->next)
		if (waiter->in_call && is_in(waiter->record, other))
			waiter->return_at = 0;
	announce();
}

void wait_in_call(const struct record *record, uint64_t began)
{
	struct waiter waiter = { .record = record,
		                 .in_call = true,
		                 .return_at = record->return_at };
	const uint64_t end = began + tape_pace_of(engine.options.pace, record->took);
	waiter.next = *engine_waiters();
	*engine_waiters() = &waiter;
	for (uint64_t now; engine.options.pace != 0 && (now = tape_clock_monotonic()) < end;) {
		engine_leave();
		sleep_on(&waiter, &waiter.go, 0, end - now);
		engine_enter();
	}
	while (engine.options.ordered && waiter.return_at < LATER &&
	       !is_turn(record, waiter.return_at))
		await_change(&waiter, record->function, waiter.return_at);
	forget(&waiter);
	if (engine.options.ordered)
		announce();
}
