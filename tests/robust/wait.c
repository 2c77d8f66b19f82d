/* SPDX-License-Identifier: MIT
 *
 * A thread that waits for slots, and one that works. The program is the application, and by its hook the
 * module too; against the replayer the hook has no part, and the program prints the same.
 *
 *   robust-wait MODULE event     the wait ends when the third login has come
 *   robust-wait MODULE busy      the same, with more calls in between than a replayer reads ahead
 *   robust-wait MODULE finalize  it ends with C_Finalize
 *   robust-wait MODULE lost      it does not end, and nobody waits for the thread
 *   robust-wait MODULE cancel    the thread is cancelled while it waits
 *   robust-wait MODULE poll      no thread: it asks, and does not wait
 *   robust-wait MODULE crash     the module crashes in the working thread's last call
 *
 * For the replay, another argument says how it differs from what was recorded. Of `event`: `early`, the
 * waiting thread calls before the session is opened; `late`, it calls when all is over; `skip`, the third
 * login does not come, and the program ends when the file of that name is there. Of `lost`: `join`, the
 * thread is waited for. Of `crash`: `handler`, the program has a handler for it, which returns.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/robust/robust.h"

static CK_FUNCTION_LIST_3_2 *p11;
static const char *scenario;

static bool is(const char *name)
{
	return strcmp(scenario, name) == 0;
}

static void until(const atomic_uint *word, unsigned int value)
{
	while (atomic_load(word) < value)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* ---- the module ------------------------------------------------------------------------------ */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int logins;
static bool event, finished;
static atomic_uint inside; /* waits that the module has seen */

static void unlock(void *unused)
{
	(void)unused;
	pthread_mutex_unlock(&mutex);
}

static void wait_for_change(void)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(unlock, NULL);
	atomic_fetch_add(&inside, 1);
	while (!event && (!finished || is("lost")))
		pthread_cond_wait(&changed, &mutex);
	pthread_cleanup_pop(1);
}

static CK_RV wait_for_event(CK_FLAGS flags, CK_SLOT_ID *slot)
{
	CK_RV rv = CKR_NO_EVENT;
	if ((flags & CKF_DONT_BLOCK) == 0)
		wait_for_change();
	pthread_mutex_lock(&mutex);
	if (event) {
		*slot = 42;
		event = false;
		rv = CKR_OK;
	} else if (finished) {
		rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	}
	pthread_mutex_unlock(&mutex);
	return rv;
}

static CK_RV change(bool login)
{
	pthread_mutex_lock(&mutex);
	if (login && ++logins == 3)
		event = true;
	finished |= !login;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
	if (is("crash") && logins == 3)
		raise(SIGSEGV);
	return CKR_OK;
}

static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	switch (function) {
	case TAPE_FN_C_WaitForSlotEvent:
		return wait_for_event(words[0], (CK_SLOT_ID *)words[1]);
	case TAPE_FN_C_OpenSession:
		*(CK_SESSION_HANDLE *)words[4] = 5;
		return CKR_OK;
	case TAPE_FN_C_Login:
		/* The recording shall have the wait before the last login, or before nearly everything. */
		if (logins == (is("busy") ? 0 : 2) && !is("poll"))
			until(&inside, 1);
		return change(true);
	case TAPE_FN_C_Finalize:
		if (is("finalize") || is("lost"))
			until(&inside, 1);
		return change(false);
	default:
		return ODD_AS_USUAL;
	}
}

/* ---- the application ------------------------------------------------------------------------- */

static const char *differs = "";
static CK_SLOT_ID slot;
static CK_RV waited = 0xdead;
static atomic_uint returned, waiting, opened, closed;

/* Until the thread that is about to wait sleeps. */
static void until_asleep(void)
{
	char path[64];
	char text[512] = "";
	const char *state = NULL;
	until(&waiting, 1);
	snprintf(path, sizeof(path), "/proc/self/task/%u/stat", atomic_load(&waiting));
	while (state == NULL || state[2] != 'S') {
		FILE *file = fopen(path, "re");
		CHECK(file != NULL && fgets(text, sizeof(text), file) != NULL);
		fclose(file);
		state = strrchr(text, ')');
	}
}

static void *wait_here(void *unused)
{
	(void)unused;
	until(strcmp(differs, "late") == 0 ? &closed : &opened, strcmp(differs, "early") != 0);
	atomic_store(&waiting, (unsigned int)gettid());
	waited = p11->C_WaitForSlotEvent(0, &slot, NULL);
	atomic_store(&returned, 1);
	return NULL;
}

static atomic_uint handled;

static void handle(int number)
{
	(void)number;
	atomic_fetch_add(&handled, 1);
}

static CK_RV log_in_once(void)
{
	return p11->C_Login(5, CKU_USER, NULL, 0);
}

static void poll_slots(void)
{
	for (int i = 0; i < 5; i++) {
		CK_RV rv = p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL);
		printf("poll: %lx, slot %lu\n", (unsigned long)rv, (unsigned long)slot);
		CHECK(log_in_once() == CKR_OK);
	}
}

static void log_in(void)
{
	bool skip = strcmp(differs, "skip") == 0;
	for (int i = 0; i < (skip ? 2 : 3); i++) {
		for (int j = 0; is("busy") && j < 10000; j++)
			CHECK(p11->C_GetFunctionStatus(5) == CKR_OK);
		/* What is not over in the recording cannot be over here. */
		printf("before login %d: %u\n", i, atomic_load(&returned));
		CK_RV rv = log_in_once();
		if (atomic_load(&handled) != 0) {
			printf("handled: %u, %lx\n", atomic_load(&handled), (unsigned long)rv);
			exit(0);
		}
		CHECK(rv == CKR_OK);
	}
	while (skip && access("skip", F_OK) != 0)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	if (skip)
		exit(0);
	if (strcmp(differs, "late") != 0)
		until(&returned, 1);
	/* Beside no session, behind the wait in the recording, and not brought about by it. */
	CHECK(p11->C_CloseAllSessions(0) == CKR_OK);
	atomic_store(&closed, 1);
}

int main(int argc, char **argv)
{
	pthread_t thread = 0;
	CK_SESSION_HANDLE session;
	if (argc != 3 && argc != 4)
		return 2;
	scenario = argv[2];
	if (argc == 4)
		differs = argv[3];
	if (strcmp(differs, "handler") == 0)
		signal(SIGSEGV, handle);
	setvbuf(stdout, NULL, _IOLBF, 0);
	robust_set_hook(hook);
	p11 = robust_load(argv[1], NULL);
	CHECK(p11->C_Initialize(NULL) == CKR_OK);
	if (!is("poll"))
		CHECK(pthread_create(&thread, NULL, wait_here, NULL) == 0);
	if (strcmp(differs, "early") == 0)
		until_asleep();
	CHECK(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) == CKR_OK);
	atomic_store(&opened, 1);
	if (is("poll"))
		poll_slots();
	else if (is("event") || is("busy") || is("crash"))
		log_in();
	if (is("event") || is("busy"))
		CHECK(pthread_join(thread, NULL) == 0);
	if (is("cancel") || is("finalize") || is("lost"))
		until_asleep();
	if (is("cancel")) {
		CHECK(pthread_cancel(thread) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
	if (is("finalize") || strcmp(differs, "join") == 0)
		CHECK(pthread_join(thread, NULL) == 0);
	/* It may return late, or never. */
	if (!is("lost") || strcmp(differs, "join") == 0)
		printf("waited: %lx, slot %lu\n", (unsigned long)waited, (unsigned long)slot);
	return 0;
}
