/* SPDX-License-Identifier: MIT
 *
 * C_Finalize, and unloading the module (PKCS#11 3.1 §5.4.2).
 */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites/active.h"
#include "suites/check.h"
#include "suites/objects.h"

#define ROUNDS 100

/* What a process that came to its end says: no module would happen to. */
#define SURVIVED 73
#define NOT_FINALIZED 74

/* ---- what a process has ---------------------------------------------------------------------- */

/* Pages of memory that are in use, of data and stack. */
static size_t memory(void)
{
	unsigned long size = 0, resident = 0, shared = 0, text = 0, lib = 0, data = 0;
	FILE *file = fopen("/proc/self/statm", "re");
	if (file != NULL) {
		/* The kernel's numbers fit. NOLINTNEXTLINE(cert-err34-c) */
		if (fscanf(file, "%lu %lu %lu %lu %lu %lu", &size, &resident, &shared, &text, &lib,
		           &data) != 6)
			resident = shared = 0;
		fclose(file);
	}
	return resident > shared ? resident - shared : 0;
}

/* ---- arguments and order --------------------------------------------------------------------- */

static void reserved(struct check *c)
{
	char anything;
	EXPECT_RV(c, 51, c->p11->C_Finalize(&anything), CKR_ARGUMENTS_BAD);
	/* It was refused: the library is as it was. */
	CK_INFO info;
	EXPECT_RV(c, 1, c->p11->C_GetInfo(&info), CKR_OK);
}

static void twice(struct check *c)
{
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	EXPECT_RV(c, 52, c->p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void without_initialize(struct check *c)
{
	EXPECT_RV(c, 52, c->p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void initialize_again(struct check *c)
{
	CK_INFO info;
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	EXPECT_RV(c, 52, check_initialize(c), CKR_OK);
	EXPECT_RV(c, 52, c->p11->C_GetInfo(&info), CKR_OK);
}

static void many_lives(struct check *c)
{
	size_t before = 0, files = 0, tasks = 0;
	for (int i = 0; i < ROUNDS; i++) {
		CK_SESSION_HANDLE session;
		EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
		/* What is made once, at first use, is no growth. */
		if (i == ROUNDS / 5) {
			before = memory();
			files = check_descriptors();
			tasks = check_threads();
		}
		EXPECT_RV(c, 52, check_initialize(c), CKR_OK);
		if (c->target->has_token)
			EXPECT_RV(c, 52,
			          c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL,
			                                &session),
			          CKR_OK);
	}
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	EXPECT(c, 311, check_descriptors() <= files,
	       "after %d lives of the library %zu descriptors more are open", ROUNDS - ROUNDS / 5,
	       check_descriptors() - files);
	EXPECT(c, 311, check_threads() <= tasks,
	       "after %d lives of the library %zu threads more are there", ROUNDS - ROUNDS / 5,
	       check_threads() - tasks);
	/* A page and more for every life. */
	if (memory() > before + (size_t)(ROUNDS - ROUNDS / 5))
		check_note(c, "every life of the library takes %zu bytes that are not given back",
		           (memory() - before) * 4096 / (size_t)(ROUNDS - ROUNDS / 5));
}

/* ---- what was there before ------------------------------------------------------------------- */

static void session_gone(struct check *c)
{
	CK_SESSION_INFO info;
	CK_SESSION_HANDLE old = c->session;
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	EXPECT_RV(c, 47, c->p11->C_GetSessionInfo(old, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
	NEED_OK(c, check_initialize(c));
	EXPECT_RV(c, 115, c->p11->C_GetSessionInfo(old, &info), CKR_SESSION_HANDLE_INVALID);
}

static void logged_out(struct check *c)
{
	CK_SESSION_INFO info;
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	NEED_OK(c, check_initialize(c));
	CK_SESSION_HANDLE session = check_open(c, 0);
	NEED_OK(c, c->p11->C_GetSessionInfo(session, &info));
	EXPECT(c, 112, info.state == CKS_RO_PUBLIC_SESSION,
	       "after C_Finalize and C_Initialize the first session is in the state %s",
	       check_name(TAPE_G_CKS, info.state));
}

static void session_objects_gone(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[1];
	CK_BYTE label[sizeof(OBJECT_LABEL)];
	CK_ULONG size;
	CK_OBJECT_HANDLE object = object_make(c, (enum object_kind)c->row->a);
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	NEED_OK(c, check_initialize(c));
	c->session = check_open(c, 0);
	(void)check_login(c, c->session, CKU_USER);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, false);
	/* The number may be another object's now. */
	EXPECT(c, 111,
	       object_read(c, object, CKA_LABEL, label, sizeof(label), &size) != CKR_OK ||
	               size != strlen(OBJECT_LABEL) || memcmp(label, OBJECT_LABEL, size) != 0,
	       "the handle of a session object is good after C_Finalize and C_Initialize");
	EXPECT(c, 111, object_find(c, &t, found, 1) == 0,
	       "a session object is found after C_Finalize and C_Initialize");
}

static void token_objects_stay(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[2];
	object_template(c, &t, OBJECT_DATA);
	template_bool(&t, CKA_TOKEN, true);
	object_create(c, &t);
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	NEED_OK(c, check_initialize(c));
	c->session = check_open(c, CKF_RW_SESSION);
	(void)check_login(c, c->session, CKU_USER);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	EXPECT(c, 111, object_find(c, &t, found, 2) == 1,
	       "a token object is not found after C_Finalize and C_Initialize");
}

/* With every operation that can be active. */
static void with_operation(struct check *c)
{
	const struct active *operation = c->row->data;
	NEED_OK(c, active_begin(c, operation));
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	NEED_OK(c, check_initialize(c));
	c->session = check_open(c, 0);
	(void)check_login(c, c->session, CKU_USER);
	/* Handles are used again: nothing of the old life is in the new session. */
	EXPECT_CODE(c, 163, tape_functions[operation->step].name.text, active_step(c, operation),
	            CKR_OPERATION_NOT_INITIALIZED);
	CK_RV rv = active_begin(c, operation);
	EXPECT(c, 162, rv != CKR_OPERATION_ACTIVE,
	       "a %s operation of before C_Finalize is active in a session opened after it",
	       operation->name);
}

/* ---- other threads --------------------------------------------------------------------------- */

struct waiter {
	struct check *c;
	CK_RV rv;
	volatile bool entered, returned;
};

static void *wait_for_event(void *context)
{
	struct waiter *waiter = context;
	CK_SLOT_ID slot;
	waiter->entered = true;
	waiter->rv = waiter->c->p11->C_WaitForSlotEvent(0, &slot, NULL);
	waiter->returned = true;
	return NULL;
}

/* Long enough for a thread to be inside the call. It is a precondition that is helped, not a verdict. */
static void give_time(void)
{
	usleep(100000);
}

static void wakes_waiter(struct check *c)
{
	struct waiter waiter = { .c = c };
	pthread_t thread;
	if (pthread_create(&thread, NULL, wait_for_event, &waiter) != 0)
		check_error(c, "no thread can be made");
	while (!waiter.entered)
		give_time();
	give_time();
	if (waiter.returned) {
		pthread_join(thread, NULL);
		EXPECT(c, 86, waiter.rv != CKR_NO_EVENT,
		       "without CKF_DONT_BLOCK C_WaitForSlotEvent returned CKR_NO_EVENT at once");
		check_skip(c, "C_WaitForSlotEvent does not wait: it returned %s",
		           check_rv_name(waiter.rv));
	}
	CK_RV rv = check_finalize(c);
	/* A waiter that is not woken makes this check hang, and that is what is reported. */
	pthread_join(thread, NULL);
	EXPECT_CODE(c, 52, "C_Finalize", rv, CKR_OK);
	EXPECT(c, 380, waiter.rv == CKR_CRYPTOKI_NOT_INITIALIZED,
	       "C_WaitForSlotEvent, woken by C_Finalize, returned %s", check_rv_name(waiter.rv));
}

#define WORKERS 4

struct worker {
	struct check *c;
	pthread_t thread;
	volatile bool stop;
	CK_RV rv;
};

static void *open_and_close(void *context)
{
	struct worker *worker = context;
	struct check *c = worker->c;
	while (!worker->stop && worker->rv == CKR_OK) {
		CK_SESSION_HANDLE session;
		worker->rv =
			c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
		if (worker->rv == CKR_OK)
			worker->rv = c->p11->C_CloseSession(session);
	}
	return NULL;
}

/* The text leaves it undefined (§5.4.2): whatever happens is noted. */
static void threads_inside(struct check *c)
{
	struct worker workers[WORKERS];
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){ .c = c };
		if (pthread_create(&workers[i].thread, NULL, open_and_close, &workers[i]) != 0)
			check_error(c, "no thread can be made");
	}
	give_time();
	CK_RV rv = check_finalize(c);
	for (size_t i = 0; i < WORKERS; i++)
		workers[i].stop = true;
	for (size_t i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].rv != CKR_CRYPTOKI_NOT_INITIALIZED)
			check_note(c, "a thread that called meanwhile got %s",
			           check_rv_name(workers[i].rv));
	}
	OBSERVE(c, 53, "C_Finalize with threads inside calls returned %s", check_rv_name(rv));
	if (rv == CKR_OK && check_initialize(c) != CKR_OK)
		check_note(c, "C_Initialize does not work after it");
}

/* ---- unloading ------------------------------------------------------------------------------- */

static bool is_mapped(const char *module)
{
	char line[PATH_MAX + 128], path[PATH_MAX];
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "re");
	if (realpath(module, path) == NULL)
		snprintf(path, sizeof(path), "%s", module);
	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		line[strcspn(line, "\n")] = 0;
		size_t length = strlen(line), wanted = strlen(path);
		found |= length > wanted && strcmp(line + length - wanted, path) == 0;
	}
	if (maps != NULL)
		fclose(maps);
	return found;
}

/* Use the module as any program does, for as long as it can be. */
static void use(struct check *c)
{
	if (check_initialize(c) != CKR_OK || !c->target->has_token)
		return;
	c->slot = c->target->slot;
	if (c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &c->session) == CKR_OK)
		(void)check_login(c, c->session, CKU_USER);
}

static void use_only(struct check *c)
{
	check_load(c);
	use(c);
}

static void use_and_finalize(struct check *c)
{
	use_only(c);
	if (c->initialized && check_finalize(c) != CKR_OK)
		_exit(NOT_FINALIZED);
}

static void note_mapped(struct check *c)
{
	if (is_mapped(c->target->module))
		check_note(c, "the module stays in memory after dlclose");
}

static void use_and_unload(struct check *c)
{
	use_and_finalize(c);
	check_unload(c);
	note_mapped(c);
}

static void use_and_drop(struct check *c)
{
	use_only(c);
	check_unload(c);
	note_mapped(c);
}

/* Run `how` in a forked process, which then ends by `end`: it must come so far, and end so. */
static void expect_survival(struct check *c, unsigned int rule, void (*how)(struct check *c),
                            void (*end)(int status))
{
	int status;
	if (!c->target->loads)
		check_skip(c, "%s", c->target->trouble);
	pid_t child = fork();
	if (child == 0) {
		how(c);
		end(SURVIVED);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		check_error(c, "no process can be made");
	EXPECT(c, rule, WIFEXITED(status), "the process died%s: %s",
	       end == exit ? " when it exited" : "",
	       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
	if (!WIFEXITED(status))
		return;
	if (WEXITSTATUS(status) == NOT_FINALIZED)
		check_skip(c, "C_Finalize does not work");
	EXPECT(c, rule, WEXITSTATUS(status) == SURVIVED,
	       "the module ended the process, with status %d", WEXITSTATUS(status));
}

/* Handlers of the module's may be called no more. */
static void unload(struct check *c)
{
	expect_survival(c, 310, use_and_unload, _exit);
}

static void unload_without_finalize(struct check *c)
{
	expect_survival(c, 312, use_and_drop, _exit);
}

static void load_again(struct check *c)
{
	if (!c->target->initializes)
		check_skip(c, "%s", c->target->trouble);
	for (int i = 0; i < 10; i++) {
		CK_INFO info;
		check_load(c);
		EXPECT_RV(c, 52, check_initialize(c), CKR_OK);
		EXPECT_RV(c, 52, c->p11->C_GetInfo(&info), CKR_OK);
		EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
		check_unload(c);
	}
}

/* The address of the list tells where the library lies. */
static void *block_address(const void *address)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t start = (uintptr_t)address / page * page;
	void *block = mmap((void *)start, page, PROT_NONE,
	                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return block == MAP_FAILED ? NULL : block;
}

/* Where it was something else lies now: nothing that it left behind may point there. */
static void load_elsewhere(struct check *c)
{
	CK_INFO info;
	if (!c->target->initializes)
		check_skip(c, "%s", c->target->trouble);
	for (int i = 0; i < 3; i++) {
		use_only(c);
		const void *before = c->p11;
		EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
		check_unload(c);
		if (is_mapped(c->target->module) || block_address(before) == NULL)
			check_skip(c, "the module stays in memory after dlclose");
		check_load(c);
		EXPECT(c, 52, c->p11 != before, "the list of functions is where nothing is");
		EXPECT_RV(c, 52, check_initialize(c), CKR_OK);
		EXPECT_RV(c, 52, c->p11->C_GetInfo(&info), CKR_OK);
		EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
		check_unload(c);
	}
}

/* Of the heap, what is in use: less than a kilobyte for a life is noise, or shared with others. */
static void nothing_grows(struct check *c)
{
	const size_t lives = 50, bearable = 1024;
	size_t before = 0;
	if (!c->target->initializes)
		check_skip(c, "%s", c->target->trouble);
	check_load(c);
	for (size_t i = 0; i < 2 * lives; i++) {
		if (i == lives)
			before = mallinfo2().uordblks;
		use(c);
		NEED_OK(c, check_finalize(c));
	}
	size_t after = mallinfo2().uordblks;
	EXPECT(c, 311, after <= before + lives * bearable,
	       "every life of the library takes %zu bytes that are not given back",
	       (after - before) / lives);
}

static void nothing_left(struct check *c)
{
	size_t files = 0, tasks = check_threads();
	for (int i = 0; i < 20; i++) {
		check_load(c);
		use(c);
		NEED_OK(c, check_finalize(c));
		check_unload(c);
		/* What the C library and what the module needs open once is open now. */
		if (i == 4)
			files = check_descriptors();
	}
	EXPECT(c, 311, check_threads() <= tasks, "after dlclose %zu threads are left",
	       check_threads() - tasks);
	EXPECT(c, 311, check_descriptors() <= files,
	       "16 times loaded and unloaded leave %zu descriptors", check_descriptors() - files);
}

/* A thread that has called into the module, and ends after it is gone. */
struct caller {
	struct check *c;
	pthread_barrier_t called, unloaded;
};

static void *call_once(void *context)
{
	struct caller *caller = context;
	CK_INFO info;
	(void)caller->c->p11->C_GetInfo(&info);
	pthread_barrier_wait(&caller->called);
	pthread_barrier_wait(&caller->unloaded);
	/* Destructors of thread-specific data run now. */
	return NULL;
}

static void unload_under_thread(struct check *c)
{
	struct caller caller = { .c = c };
	pthread_t thread;
	use_only(c);
	pthread_barrier_init(&caller.called, NULL, 2);
	pthread_barrier_init(&caller.unloaded, NULL, 2);
	if (pthread_create(&thread, NULL, call_once, &caller) != 0)
		check_error(c, "no thread can be made");
	pthread_barrier_wait(&caller.called);
	(void)check_finalize(c);
	check_unload(c);
	pthread_barrier_wait(&caller.unloaded);
	pthread_join(thread, NULL);
}

static void unload_with_threads(struct check *c)
{
	expect_survival(c, 310, unload_under_thread, _exit);
}

/* ---- the end of the process ------------------------------------------------------------------ */

static CK_FUNCTION_LIST *at_exit_list;

static void finalize_at_exit(void)
{
	if (at_exit_list != NULL)
		(void)at_exit_list->C_Finalize(NULL);
}

/* The process exits in order, with all handlers. */
static void expect_exit(struct check *c, unsigned int rule, void (*how)(struct check *c))
{
	expect_survival(c, rule, how, exit);
}

static void finalize_after_load(struct check *c)
{
	use_only(c);
	at_exit_list = c->p11;
	atexit(finalize_at_exit);
}

static void finalize_before_load(struct check *c)
{
	atexit(finalize_at_exit);
	use_only(c);
	at_exit_list = c->p11;
}

static void exit_without_finalize(struct check *c)
{
	expect_exit(c, 310, use_only);
}

static void exit_after_finalize(struct check *c)
{
	expect_exit(c, 310, use_and_finalize);
}

static void exit_after_unload(struct check *c)
{
	expect_exit(c, 310, use_and_unload);
}

static void exit_handler_after(struct check *c)
{
	expect_exit(c, 312, finalize_after_load);
}

static void exit_handler_before(struct check *c)
{
	expect_exit(c, 312, finalize_before_load);
}

/* ---- fork ------------------------------------------------------------------------------------ */

static void initialize_in_child(struct check *c)
{
	CK_INFO info;
	CK_RV answers[3] = { CKR_GENERAL_ERROR, CKR_GENERAL_ERROR, CKR_GENERAL_ERROR };
	int channel[2], status;
	if (pipe(channel) != 0)
		check_error(c, "no pipe can be made");
	pid_t child = fork();
	if (child == 0) {
		answers[0] = check_initialize(c);
		answers[1] = c->p11->C_GetInfo(&info);
		answers[2] = c->p11->C_Finalize(NULL);
		_exit(write(channel[1], answers, sizeof(answers)) == sizeof(answers) ? 0 : 1);
	}
	close(channel[1]);
	bool told = read(channel[0], answers, sizeof(answers)) == sizeof(answers);
	if (waitpid(child, &status, 0) != child)
		check_error(c, "the child is gone");
	EXPECT(c, 57, told, "the child died in C_Initialize, C_GetInfo or C_Finalize");
	EXPECT(c, 57, answers[0] == CKR_OK, "in a forked child C_Initialize returned %s",
	       check_rv_name(answers[0]));
	EXPECT(c, 57, answers[1] == CKR_OK, "and then C_GetInfo %s", check_rv_name(answers[1]));
	EXPECT(c, 57, answers[2] == CKR_OK, "and C_Finalize %s", check_rv_name(answers[2]));
	/* The parent is not concerned. */
	EXPECT_RV(c, 57, c->p11->C_GetInfo(&info), CKR_OK);
	if (c->session != CK_INVALID_HANDLE) {
		CK_SESSION_INFO session;
		EXPECT_RV(c, 57, c->p11->C_GetSessionInfo(c->session, &session), CKR_OK);
	}
}

static void child_logs_in_itself(struct check *c)
{
	CK_SESSION_INFO info = { 0 };
	CK_RV rv = CKR_GENERAL_ERROR;
	int channel[2], status;
	if (pipe(channel) != 0)
		check_error(c, "no pipe can be made");
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	pid_t child = fork();
	if (child == 0) {
		CK_SESSION_HANDLE session;
		rv = check_initialize(c);
		if (rv == CKR_OK)
			rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL,
			                           &session);
		if (rv == CKR_OK)
			rv = c->p11->C_GetSessionInfo(session, &info);
		if (rv != CKR_OK)
			info.state = CK_UNAVAILABLE_INFORMATION;
		_exit(write(channel[1], &info, sizeof(info)) == sizeof(info) ? 0 : 1);
	}
	close(channel[1]);
	bool told = read(channel[0], &info, sizeof(info)) == sizeof(info);
	waitpid(child, &status, 0);
	if (!told || info.state == CK_UNAVAILABLE_INFORMATION)
		check_skip(c, "a forked child cannot open a session of its own");
	EXPECT(c, 57, info.state == CKS_RO_PUBLIC_SESSION,
	       "the first session of a forked child is in the state %s",
	       check_name(TAPE_G_CKS, info.state));
}

/* A child that has not called C_Initialize itself: whatever it gets is undefined. */
static void child_uses_parents(struct check *c)
{
	CK_RV answers[2] = { CKR_OK, CKR_OK };
	int channel[2], status;
	if (pipe(channel) != 0)
		check_error(c, "no pipe can be made");
	pid_t child = fork();
	if (child == 0) {
		CK_INFO info;
		CK_SESSION_INFO session;
		answers[0] = c->p11->C_GetInfo(&info);
		answers[1] = c->p11->C_GetSessionInfo(c->session, &session);
		_exit(write(channel[1], answers, sizeof(answers)) == sizeof(answers) ? 0 : 1);
	}
	close(channel[1]);
	bool told = read(channel[0], answers, sizeof(answers)) == sizeof(answers);
	if (child < 0 || waitpid(child, &status, 0) != child)
		check_error(c, "no process can be made");
	if (told)
		OBSERVE(c, 56, "in a forked child C_GetInfo returns %s, C_GetSessionInfo %s",
		        check_rv_name(answers[0]), check_rv_name(answers[1]));
	else
		OBSERVE(c, 56, "a forked child dies in C_GetInfo or C_GetSessionInfo");
}

/* A child that never called the library ends, with all its handlers; the parent has all it had. */
static void child_exits(struct check *c)
{
	CK_SESSION_INFO before, after;
	CK_OBJECT_CLASS class;
	CK_ULONG size;
	int status;
	CK_OBJECT_HANDLE object = object_make(c, OBJECT_AES);
	NEED_OK(c, c->p11->C_GetSessionInfo(c->session, &before));
	pid_t child = fork();
	if (child == 0)
		exit(0);
	if (child < 0 || waitpid(child, &status, 0) != child)
		check_error(c, "no process can be made");
	EXPECT(c, 310, WIFEXITED(status), "a forked child died when it exited: %s",
	       WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
	EXPECT_RV(c, 214, c->p11->C_GetSessionInfo(c->session, &after), CKR_OK);
	EXPECT(c, 214, before.state == after.state,
	       "when a forked child exits the session's state becomes %s",
	       check_name(TAPE_G_CKS, after.state));
	EXPECT_RV(c, 214, object_read(c, object, CKA_CLASS, &class, sizeof(class), &size), CKR_OK);
}

void suite_finalize(struct check_list *list)
{
	check_add(list,
	          CHECK(reserved, NEED_INIT,
	                "pReserved that is not NULL is refused, and changes nothing", 51, 1),
	          "reserved");
	check_add(list, CHECK(twice, NEED_INIT, "a second C_Finalize finds nothing to end", 52),
	          "twice");
	check_add(list,
	          CHECK(without_initialize, NEED_LOADED,
	                "C_Finalize without C_Initialize finds nothing to end", 52),
	          "without-initialize");
	check_add(list,
	          CHECK(initialize_again, NEED_INIT, "the library can be initialised again", 52),
	          "initialize-again");
	check_add(list,
	          CHECK(many_lives, NEED_SLOT,
	                "a hundred times initialised and finalised, and nothing grows", 52, 311),
	          "many-lives");
	check_add(list,
	          CHECK(session_gone, NEED_SESSION, "no session of before is valid afterwards", 52,
	                47, 115),
	          "session-gone");
	check_add(list, CHECK(logged_out, NEED_USER, "nobody is logged in afterwards", 52, 112),
	          "logged-out");
	for (unsigned int kind = 0; kind < OBJECT_KINDS; kind++) {
		struct check_row row =
			CHECK(session_objects_gone, NEED_USER, "session objects are gone", 52, 111);
		row.a = kind;
		check_add(list, row, "session-objects-gone/%s",
		          object_name((enum object_kind)kind));
	}
	check_add(list,
	          CHECK(token_objects_stay, NEED_RW | NEED_USER | NEED_DESTRUCTIVE,
	                "token objects stay", 52, 111),
	          "token-objects-stay");
	for (size_t i = 0; i < ACTIVE_COUNT; i++) {
		struct check_row row =
			CHECK(with_operation, NEED_USER,
		              "it works with an operation active, of which nothing is left", 52,
		              162, 163);
		row.data = &active_operations[i];
		check_add(list, row, "with-operation/%s", active_operations[i].name);
	}
	check_add(list,
	          CHECK(wakes_waiter, NEED_INIT,
	                "a thread that waits in C_WaitForSlotEvent is woken", 52, 86, 380),
	          "wakes-waiter");
	check_add(list,
	          CHECK(threads_inside, NEED_SESSION | ALLOW_DEATH,
	                "what becomes of threads that are in calls is undefined: noted", 53),
	          "threads-inside");
	check_add(list,
	          CHECK(unload, NEED_FILE | NEED_DIRECT,
	                "the module can be unloaded after C_Finalize", 310),
	          "unload");
	check_add(list,
	          CHECK(unload_without_finalize, NEED_FILE | NEED_DIRECT,
	                "the module can be unloaded without C_Finalize", 312),
	          "unload-without-finalize");
	check_add(list,
	          CHECK(load_again, NEED_FILE | NEED_DIRECT,
	                "the module can be loaded and used again and again", 52),
	          "load-again");
	check_add(list,
	          CHECK(load_elsewhere, NEED_FILE | NEED_DIRECT,
	                "the module can be loaded again at another address", 52),
	          "load-elsewhere");
	check_add(list,
	          CHECK(nothing_grows, NEED_FILE | NEED_DIRECT,
	                "the heap does not grow with every life of the library", 311),
	          "nothing-grows");
	check_add(list,
	          CHECK(nothing_left, NEED_FILE | NEED_DIRECT,
	                "no thread and no descriptor is left after dlclose", 311),
	          "nothing-left");
	check_add(list,
	          CHECK(unload_with_threads, NEED_FILE | NEED_DIRECT,
	                "threads that have called can end after dlclose", 310),
	          "unload-with-threads");
	check_add(list,
	          CHECK(exit_without_finalize, NEED_FILE | NEED_DIRECT,
	                "a program can exit without C_Finalize", 310),
	          "exit-without-finalize");
	check_add(list,
	          CHECK(exit_after_finalize, NEED_FILE | NEED_DIRECT,
	                "a program can exit after C_Finalize", 310),
	          "exit-after-finalize");
	check_add(list,
	          CHECK(exit_after_unload, NEED_FILE | NEED_DIRECT,
	                "a program can exit after C_Finalize and dlclose", 310),
	          "exit-after-unload");
	check_add(list,
	          CHECK(exit_handler_after, NEED_FILE | NEED_DIRECT,
	                "an exit handler registered after loading can call C_Finalize", 312),
	          "exit-handler/registered-after");
	check_add(list,
	          CHECK(exit_handler_before, NEED_FILE | NEED_DIRECT,
	                "an exit handler registered before loading can call C_Finalize", 312),
	          "exit-handler/registered-before");
	check_add(list,
	          CHECK(initialize_in_child, NEED_INIT,
	                "a forked child can initialise the library for itself", 57),
	          "fork/initialize");
	check_add(list,
	          CHECK(initialize_in_child, NEED_SESSION,
	                "a forked child can initialise the library while the parent has a session",
	                57),
	          "fork/initialize-with-session");
	check_add(list,
	          CHECK(child_logs_in_itself, NEED_USER,
	                "the parent's login is not the forked child's", 57),
	          "fork/login");
	check_add(list,
	          CHECK(child_uses_parents, NEED_SESSION,
	                "what a forked child gets that does not initialise is undefined: noted",
	                56),
	          "fork/without-initialize");
	check_add(list,
	          CHECK(child_exits, NEED_USER,
	                "a forked child that exits takes nothing from its parent", 214, 310),
	          "fork/exit");
}
