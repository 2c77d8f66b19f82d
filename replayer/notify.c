/* SPDX-License-Identifier: MIT */
#include "replayer/notify.h"

#include <stdlib.h>
#include <string.h>

#include "replayer/loose.h"
#include "replayer/report.h"

/* Sessions whose functions are remembered, closed ones too: modules are not all exact about them. */
#define MAX_GIVEN 1024

static struct {
	uint64_t session; /* live; 0 for none */
	CK_NOTIFY notify;
	void *application;
} given[MAX_GIVEN];
static size_t next_given;

bool notify_is_given(const struct record *record)
{
	for (size_t i = 0; i < record->function->count; i++)
		if (record->function->arguments[i].kind == TAPE_K_NOTIFY)
			return record->in[i].form != TAPE_V_NULL;
	return false;
}

void notify_keep(const struct tape_function *function, const uintptr_t *words, uint64_t live)
{
	uintptr_t notify = 0;
	uintptr_t application = 0;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (argument->kind == TAPE_K_NOTIFY)
			notify = words[argument->word];
		else if (argument->kind == TAPE_K_APPLICATION)
			application = words[argument->word];
	}
	if (notify == 0 || live == 0)
		return;
	size_t at = 0;
	while (at < MAX_GIVEN && given[at].session != live)
		at++;
	if (at == MAX_GIVEN)
		at = next_given++ % MAX_GIVEN;
	given[at].session = live;
	memcpy(&given[at].notify, &notify, sizeof(notify));
	given[at].application = (void *)application;
}

/* The program's handle for a recorded one; `words` are those of the call that brings it, or NULL. */
static uint64_t live_session(uint64_t recorded, const struct record *record, const uintptr_t *words)
{
	if (!engine.lanes && engine.loose == NULL)
		return recorded;
	if (record != NULL && record->function->lane >= 0 &&
	    record->in[record->function->lane].number == recorded)
		return words[record->function->arguments[record->function->lane].word];
	if (engine.loose != NULL)
		return loose_session(recorded);
	for (const struct lane *lane = engine.sessions; lane != NULL; lane = lane->next)
		if (lane->recorded == recorded && lane->live != 0)
			return lane->live;
	return recorded;
}

static void diverge(const struct notice *notice, const CK_RV *answer)
{
	struct report report = { .kind = REPORT_NOTIFY,
		                 .argument = -1,
		                 .id = notice->id,
		                 .line = notice->line,
		                 .actual.function = TAPE_FN_COUNT,
		                 .event = notice->event,
		                 .answers = { notice->rv, answer == NULL ? 0 : *answer } };
	if (answer == NULL)
		report.why = "the program has given no function for this session";
	report_divergence(&report);
}

static void give_back(struct notice *notice)
{
	struct notice **link = &engine.open_notices;
	while (*link != NULL && *link != notice)
		link = &(*link)->next_open;
	if (*link != NULL)
		*link = notice->next_open;
	free(notice);
}

void notify_free(struct notice *notices)
{
	while (notices != NULL) {
		struct notice *next = notices->next;
		give_back(notices);
		notices = next;
	}
}

/* Call the program's function. Takes the notice. */
static void call(struct notice *taken, uint64_t session)
{
	struct notice notice = *taken;
	size_t at = 0;
	/* The program may leave by longjmp(): nothing of ours may be left behind. */
	give_back(taken);
	while (at < MAX_GIVEN && given[at].session != session)
		at++;
	if (session == 0 || at == MAX_GIVEN) {
		diverge(&notice, NULL);
		return;
	}
	CK_NOTIFY notify = given[at].notify;
	void *application = given[at].application;
	engine_leave();
	CK_RV rv = notify((CK_SESSION_HANDLE)session, notice.event, application);
	engine_enter();
	if (notice.returned && rv != notice.rv)
		diverge(&notice, &rv);
}

void notify_during(struct record *record, const uintptr_t *words)
{
	struct notice *notice;
	while ((notice = record->notices) != NULL) {
		record->notices = notice->next;
		if (record->notices == NULL)
			record->notices_end = &record->notices;
		call(notice, live_session(notice->session, record, words));
	}
}

bool notify_before(uint64_t position)
{
	struct notice *notice = engine.notices;
	if (notice == NULL || notice->position > position)
		return false;
	engine.notices = notice->next;
	if (engine.notices == NULL)
		engine.notices_end = &engine.notices;
	call(notice, live_session(notice->session, NULL, NULL));
	return true;
}
