/* SPDX-License-Identifier: MIT */
#include "replayer/wait.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "core/system.h"
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
	for (const struct lane *lane = &engine.main; lane != NULL;
	     lane = lane == &engine.main ? engine.sessions : lane->next)
		for (const struct record *r = lane->first; r != NULL; r = r->next)
			if (r->call_at < limit && !(r->left && r->return_at == NOT_YET))
				return r;
	return NULL;
}

static bool is_ready(const struct waiter *waiter, const struct record **ret_missing)
{
	const struct record *record = waiter->record;
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
 * Sleep, at most so many nanoseconds; 0 for ever. The thread can be cancelled here, as in the functions
 * that a module would wait in. Returns false if the time is over.
 */
static bool sleep_on(struct waiter *waiter, uint64_t nanoseconds)
{
	int type;
	volatile bool woken = false;
	pthread_cleanup_push(forget_cancelled, waiter);
	/* Only the system call below is reached in this state. NOLINTNEXTLINE(cert-pos47-c) */
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	woken = tape_word_wait(&waiter->go, 0, nanoseconds);
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
		bool woken = sleep_on(waiter, told ? 0 : PATIENCE_NS);
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
		if (atomic_load(&waiter->go) == 0 && is_ready(waiter, &missing)) {
			atomic_store(&waiter->go, 1);
			tape_word_wake(&waiter->go);
		}
}
