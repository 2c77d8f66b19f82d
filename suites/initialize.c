/* SPDX-License-Identifier: MIT
 *
 * C_Initialize and its arguments (PKCS#11 3.1 §5.4.1), and what C_GetInfo then says (§5.4.3).
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "suites/check.h"
#include "suites/objects.h"

/* ---- mutexes of the application's ------------------------------------------------------------ */

struct mutex {
	pthread_mutex_t mutex;
	bool held;
};

static struct {
	unsigned int asked, created, destroyed, locked, unlocked;
	CK_RV misuse; /* a mutex that is not held was given back, or one that is not there was used */
	CK_RV answer; /* what LockMutex and CreateMutex return, where that is not CKR_OK */
} counts;

static CK_RV create_mutex(CK_VOID_PTR_PTR ret_mutex)
{
	__atomic_add_fetch(&counts.asked, 1, __ATOMIC_SEQ_CST);
	if (counts.answer != CKR_OK)
		return counts.answer;
	struct mutex *mutex = calloc(1, sizeof(*mutex));
	if (mutex == NULL)
		return CKR_HOST_MEMORY;
	pthread_mutex_init(&mutex->mutex, NULL);
	__atomic_add_fetch(&counts.created, 1, __ATOMIC_SEQ_CST);
	*ret_mutex = mutex;
	return CKR_OK;
}

static CK_RV destroy_mutex(CK_VOID_PTR pointer)
{
	struct mutex *mutex = pointer;
	if (mutex == NULL)
		return CKR_MUTEX_BAD;
	__atomic_add_fetch(&counts.destroyed, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_destroy(&mutex->mutex);
	free(mutex);
	return CKR_OK;
}

static CK_RV lock_mutex(CK_VOID_PTR pointer)
{
	struct mutex *mutex = pointer;
	if (mutex == NULL)
		return counts.misuse = CKR_MUTEX_BAD;
	if (counts.answer != CKR_OK)
		return counts.answer;
	pthread_mutex_lock(&mutex->mutex);
	mutex->held = true;
	__atomic_add_fetch(&counts.locked, 1, __ATOMIC_SEQ_CST);
	return CKR_OK;
}

static CK_RV unlock_mutex(CK_VOID_PTR pointer)
{
	struct mutex *mutex = pointer;
	if (mutex == NULL)
		return counts.misuse = CKR_MUTEX_BAD;
	if (!mutex->held)
		return counts.misuse = CKR_MUTEX_NOT_LOCKED;
	mutex->held = false;
	__atomic_add_fetch(&counts.unlocked, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&mutex->mutex);
	return CKR_OK;
}

/* Which of the four functions are given: a bit each. */
static void fill(CK_C_INITIALIZE_ARGS *arguments, unsigned int which, CK_FLAGS flags)
{
	memset(arguments, 0, sizeof(*arguments));
	arguments->CreateMutex = (which & 1) != 0 ? create_mutex : NULL;
	arguments->DestroyMutex = (which & 2) != 0 ? destroy_mutex : NULL;
	arguments->LockMutex = (which & 4) != 0 ? lock_mutex : NULL;
	arguments->UnlockMutex = (which & 8) != 0 ? unlock_mutex : NULL;
	arguments->flags = flags;
}

#define ALL 15u

/* A module that wants its text in pReserved cannot be asked about the rest of the structure. */
static void need_plain(struct check *c)
{
	if (c->target->init_args[0] != 0)
		check_skip(c, "the module is initialised with a text in pReserved");
}

static CK_RV initialize(struct check *c, CK_C_INITIALIZE_ARGS *arguments)
{
	CK_RV rv = c->p11->C_Initialize(arguments);
	c->initialized = rv == CKR_OK;
	return rv;
}

/* A C_Initialize that was refused did nothing: the next one begins a life. */
static void expect_nothing_done(struct check *c)
{
	if (c->target->initializes)
		EXPECT_RV(c, 1, check_initialize(c), CKR_OK);
}

/* ---- arguments ------------------------------------------------------------------------------- */

static void no_arguments(struct check *c)
{
	need_plain(c);
	EXPECT_RV(c, 38, initialize(c, NULL), CKR_OK);
}

static void empty_arguments(struct check *c)
{
	CK_C_INITIALIZE_ARGS arguments;
	need_plain(c);
	fill(&arguments, 0, 0);
	EXPECT_RV(c, 38, initialize(c, &arguments), CKR_OK);
}

static void reserved(struct check *c)
{
	CK_C_INITIALIZE_ARGS arguments;
	char text[] = "";
	need_plain(c);
	fill(&arguments, 0, CKF_OS_LOCKING_OK);
	arguments.pReserved = text;
	CK_RV rv = initialize(c, &arguments);
	if (rv == CKR_OK) {
		DEVIATION(c, 39, "C_Initialize with pReserved that is not NULL returned CKR_OK");
		return;
	}
	EXPECT_CODE(c, 39, "C_Initialize", rv, CKR_ARGUMENTS_BAD);
	expect_nothing_done(c);
}

static void some_mutexes(struct check *c)
{
	CK_C_INITIALIZE_ARGS arguments;
	need_plain(c);
	fill(&arguments, (unsigned int)c->row->a, (CK_FLAGS)c->row->b);
	CK_RV rv = initialize(c, &arguments);
	if (rv == CKR_CANT_LOCK)
		check_note(c, "C_Initialize returned CKR_CANT_LOCK, which is true, too");
	EXPECT_CODE(c, 40, "C_Initialize", rv, CKR_ARGUMENTS_BAD, CKR_CANT_LOCK);
	expect_nothing_done(c);
}

/* All four functions or none, with every combination of the two flags. */
static void whole_set(struct check *c)
{
	CK_C_INITIALIZE_ARGS arguments;
	CK_INFO info;
	CK_FLAGS flags = (CK_FLAGS)c->row->b;
	unsigned int rule = c->row->rules[0];
	need_plain(c);
	fill(&arguments, (unsigned int)c->row->a, flags);
	size_t threads = check_threads();
	CK_RV rv = initialize(c, &arguments);
	if (rv == CKR_CANT_LOCK && (flags != 0 || c->row->a != 0))
		check_skip(c, "it cannot lock so (CKR_CANT_LOCK)");
	if (rv == CKR_NEED_TO_CREATE_THREADS && (flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS) != 0)
		check_skip(c, "it must create threads (CKR_NEED_TO_CREATE_THREADS)");
	EXPECT_CODE(c, rule, "C_Initialize", rv, CKR_OK);
	EXPECT_RV(c, rule, c->p11->C_GetInfo(&info), CKR_OK);
	if ((flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS) != 0)
		EXPECT(c, 45, check_threads() <= threads,
		       "C_Initialize has made a thread, which CKF_LIBRARY_CANT_CREATE_OS_THREADS "
		       "forbids");
	EXPECT_RV(c, rule, check_finalize(c), CKR_OK);
	EXPECT(c, 62, counts.misuse == CKR_OK, "the module used a mutex wrongly: %s",
	       check_rv_name(counts.misuse));
	if (counts.created != counts.destroyed)
		check_note(c, "%u mutexes created, %u destroyed", counts.created, counts.destroyed);
}

#define WORKERS 4
#define ROUNDS 100

struct worker {
	struct check *c;
	pthread_t thread;
	CK_RV rv;
};

static void *use_sessions(void *context)
{
	struct worker *worker = context;
	struct check *c = worker->c;
	for (int i = 0; i < ROUNDS && worker->rv == CKR_OK; i++) {
		CK_SESSION_HANDLE session;
		CK_SESSION_INFO info;
		worker->rv =
			c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
		if (worker->rv == CKR_OK)
			worker->rv = c->p11->C_GetSessionInfo(session, &info);
		if (worker->rv == CKR_OK)
			worker->rv = c->p11->C_FindObjectsInit(session, NULL, 0);
		if (worker->rv == CKR_OK)
			worker->rv = c->p11->C_FindObjectsFinal(session);
		if (worker->rv == CKR_OK)
			worker->rv = c->p11->C_CloseSession(session);
	}
	return NULL;
}

static void run_threads(struct check *c, unsigned int rule)
{
	struct worker workers[WORKERS];
	if (!c->target->has_token)
		check_skip(c, "there is no token to open sessions with");
	c->slot = c->target->slot;
	for (size_t i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){ .c = c };
		if (pthread_create(&workers[i].thread, NULL, use_sessions, &workers[i]) != 0)
			check_error(c, "no thread can be made");
	}
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	for (size_t i = 0; i < WORKERS; i++)
		if (workers[i].rv == CKR_SESSION_COUNT)
			check_skip(c, "the token has no session for each of %d threads", WORKERS);
	for (size_t i = 0; i < WORKERS; i++)
		EXPECT(c, rule, workers[i].rv == CKR_OK, "a thread of %d got %s", WORKERS,
		       check_rv_name(workers[i].rv));
}

static void threads(struct check *c)
{
	CK_C_INITIALIZE_ARGS arguments;
	unsigned int rule = c->row->rules[0];
	need_plain(c);
	fill(&arguments, (unsigned int)c->row->a, (CK_FLAGS)c->row->b);
	CK_RV rv = initialize(c, &arguments);
	if (rv == CKR_CANT_LOCK)
		check_skip(c, "it cannot lock so (CKR_CANT_LOCK)");
	EXPECT_CODE(c, rule, "C_Initialize", rv, CKR_OK);
	run_threads(c, rule);
	EXPECT(c, 62, counts.misuse == CKR_OK, "the module used a mutex wrongly: %s",
	       check_rv_name(counts.misuse));
	if (rule == 43)
		EXPECT(c, 43, counts.locked != 0,
		       "the module was told to lock with the application's functions, and never "
		       "did");
}

/* The structure is the caller's again once C_Initialize has returned. */
static void arguments_copied(struct check *c)
{
	CK_C_INITIALIZE_ARGS *arguments = check_buffer(c, sizeof(*arguments));
	need_plain(c);
	fill(arguments, ALL, 0);
	CK_RV rv = initialize(c, arguments);
	if (rv == CKR_CANT_LOCK)
		check_skip(c, "it cannot lock with functions of the application's (CKR_CANT_LOCK)");
	EXPECT_CODE(c, 43, "C_Initialize", rv, CKR_OK);
	memset(arguments, CHECK_POISON, sizeof(*arguments));
	run_threads(c, 43);
}

static void arguments_untouched(struct check *c)
{
	CK_C_INITIALIZE_ARGS *arguments = check_buffer(c, sizeof(*arguments));
	CK_C_INITIALIZE_ARGS before;
	need_plain(c);
	fill(arguments, 0, CKF_OS_LOCKING_OK);
	before = *arguments;
	NEED_OK(c, initialize(c, arguments));
	EXPECT(c, 313, memcmp(&before, arguments, sizeof(before)) == 0,
	       "C_Initialize changed its arguments");
}

static void failing_mutexes(struct check *c)
{
	CK_C_INITIALIZE_ARGS arguments;
	need_plain(c);
	fill(&arguments, ALL, 0);
	counts.answer = (CK_RV)c->row->d;
	CK_RV rv = initialize(c, &arguments);
	/* What it does then is its own business; these are codes of callbacks alone (§5.1.5). */
	EXPECT(c, 27, rv != CKR_MUTEX_BAD && rv != CKR_MUTEX_NOT_LOCKED && rv != CKR_CANCEL,
	       "C_Initialize returned %s", check_rv_name(rv));
	/* The callback has told what is wrong: a universal error of lower rank is another one (§5.1.1). */
	if (counts.asked != 0 && rv != CKR_OK && rv != CKR_CANT_LOCK && c->row->rules[2] == 12)
		PREFER(c, 12,
		       rv != CKR_FUNCTION_FAILED &&
		               (rv != CKR_HOST_MEMORY || counts.answer == CKR_HOST_MEMORY),
		       "CreateMutex returned %s, and C_Initialize %s, which ranks lower",
		       check_rv_name(counts.answer), check_rv_name(rv));
	counts.answer = CKR_OK;
	if (rv == CKR_OK)
		return;
	/* And it is not stuck: the second time all is well. */
	fill(&arguments, 0, CKF_OS_LOCKING_OK);
	rv = initialize(c, &arguments);
	EXPECT(c, 1, rv == CKR_OK || rv == CKR_CANT_LOCK,
	       "after a C_Initialize that failed the next one returned %s", check_rv_name(rv));
}

/* What a C_Initialize that was refused has taken, it has given back; there is nothing to finalise. */
static void refused_often(struct check *c)
{
	CK_C_INITIALIZE_ARGS arguments;
	size_t files = 0;
	need_plain(c);
	/* CreateMutex alone. */
	fill(&arguments, 1, 0);
	for (int i = 0; i < ROUNDS; i++) {
		CK_RV rv = initialize(c, &arguments);
		if (rv == CKR_OK)
			check_skip(c, "it takes one mutex function of four");
		EXPECT_RV(c, 52, c->p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
		if (i == ROUNDS / 5)
			files = check_descriptors();
	}
	EXPECT(c, 1, check_descriptors() <= files,
	       "%d times refused, C_Initialize leaves %zu descriptors", ROUNDS - ROUNDS / 5,
	       check_descriptors() - files);
	expect_nothing_done(c);
}

/* ---- twice ----------------------------------------------------------------------------------- */

static void twice(struct check *c)
{
	CK_C_INITIALIZE_ARGS arguments;
	CK_INFO info;
	fill(&arguments, 0, CKF_OS_LOCKING_OK);
	EXPECT_RV(c, 46, c->p11->C_Initialize(c->target->init_args[0] != 0 ? NULL : &arguments),
	          CKR_CRYPTOKI_ALREADY_INITIALIZED);
	EXPECT_RV(c, 46, c->p11->C_GetInfo(&info), CKR_OK);
	/* One C_Finalize ends it. */
	EXPECT_RV(c, 46, check_finalize(c), CKR_OK);
	EXPECT_RV(c, 47, c->p11->C_GetInfo(&info), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void twice_keeps_sessions(struct check *c)
{
	CK_SESSION_INFO info;
	(void)c->p11->C_Initialize(NULL);
	EXPECT_RV(c, 46, c->p11->C_GetSessionInfo(c->session, &info), CKR_OK);
}

struct starter {
	struct check *c;
	pthread_t thread;
	pthread_barrier_t *barrier;
	CK_RV rv;
};

static void *start(void *context)
{
	struct starter *starter = context;
	CK_C_INITIALIZE_ARGS arguments;
	fill(&arguments, 0, CKF_OS_LOCKING_OK);
	pthread_barrier_wait(starter->barrier);
	starter->rv = starter->c->p11->C_Initialize(&arguments);
	return NULL;
}

/* The text wants one thread to call it (§5.4.1); programs have called it from two. */
static void at_once(struct check *c)
{
	struct starter starters[2];
	pthread_barrier_t barrier;
	need_plain(c);
	pthread_barrier_init(&barrier, NULL, 2);
	for (size_t i = 0; i < 2; i++) {
		starters[i] = (struct starter){ .c = c, .barrier = &barrier };
		if (pthread_create(&starters[i].thread, NULL, start, &starters[i]) != 0)
			check_error(c, "no thread can be made");
	}
	for (size_t i = 0; i < 2; i++) {
		pthread_join(starters[i].thread, NULL);
		c->initialized |= starters[i].rv == CKR_OK;
	}
	OBSERVE(c, 55, "two threads that call C_Initialize at once get %s and %s",
	        check_rv_name(starters[0].rv), check_rv_name(starters[1].rv));
}

/* ---- C_GetInfo ------------------------------------------------------------------------------- */

static void info_null(struct check *c)
{
	EXPECT_RV(c, 314, c->p11->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
}

/* Texts are padded with blanks and have no zero in them (§3.1.2). */
static bool is_padded(const CK_UTF8CHAR *text, size_t size)
{
	return memchr(text, 0, size) == NULL;
}

static void info_fields(struct check *c)
{
	CK_INFO *info = check_buffer(c, sizeof(*info));
	NEED_OK(c, c->p11->C_GetInfo(info));
	EXPECT(c, 49, info->flags == 0, "CK_INFO.flags is 0x%lx, not 0",
	       (unsigned long)info->flags);
	EXPECT(c, 49, is_padded(info->manufacturerID, sizeof(info->manufacturerID)),
	       "manufacturerID has a zero in it: it is to be padded with blanks");
	EXPECT(c, 49, is_padded(info->libraryDescription, sizeof(info->libraryDescription)),
	       "libraryDescription has a zero in it: it is to be padded with blanks");
	EXPECT(c, 50, info->cryptokiVersion.major == 2 || info->cryptokiVersion.major == 3,
	       "CK_INFO.cryptokiVersion is %u.%u", info->cryptokiVersion.major,
	       info->cryptokiVersion.minor);
}

static void info_version(struct check *c)
{
	CK_INFO info;
	NEED_OK(c, c->p11->C_GetInfo(&info));
	unsigned int spec = SPEC(info.cryptokiVersion.major, info.cryptokiVersion.minor);
	EXPECT(c, 50, spec == c->target->newest,
	       "CK_INFO.cryptokiVersion is %u.%u, the newest function list %u.%u",
	       info.cryptokiVersion.major, info.cryptokiVersion.minor, c->target->newest >> 8,
	       c->target->newest & 0xff);
}

static void info_repeats(struct check *c)
{
	/* Whatever was there before: all of it is written, padding apart. */
	CK_INFO one, two;
	memset(&one, 0x00, sizeof(one));
	memset(&two, 0xff, sizeof(two));
	NEED_OK(c, c->p11->C_GetInfo(&one));
	NEED_OK(c, c->p11->C_GetInfo(&two));
	EXPECT(c, 49,
	       one.flags == two.flags &&
	               memcmp(&one.cryptokiVersion, &two.cryptokiVersion,
	                      sizeof(one.cryptokiVersion)) == 0 &&
	               memcmp(one.manufacturerID, two.manufacturerID, sizeof(one.manufacturerID)) ==
	                       0 &&
	               memcmp(one.libraryDescription, two.libraryDescription,
	                      sizeof(one.libraryDescription)) == 0 &&
	               memcmp(&one.libraryVersion, &two.libraryVersion,
	                      sizeof(one.libraryVersion)) == 0,
	       "C_GetInfo does not write all fields: two calls differ by what was there before");
}

/* ---- the list -------------------------------------------------------------------------------- */

static const struct {
	CK_FLAGS flags;
	const char *name;
} flag_sets[] = {
	{ 0, "no-flags" },
	{ CKF_OS_LOCKING_OK, "os-locking" },
	{ CKF_LIBRARY_CANT_CREATE_OS_THREADS, "no-threads" },
	{ CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS, "os-locking-no-threads" },
};

/* Which of the four cases of §5.4.1 it is. */
static unsigned short case_rule(unsigned int which, CK_FLAGS flags)
{
	bool locking = (flags & CKF_OS_LOCKING_OK) != 0;
	if (which == 0)
		return locking ? 42 : (flags != 0 ? 45 : 38);
	return locking ? 44 : 43;
}

void suite_initialize(struct check_list *list)
{
	check_add(list, CHECK(no_arguments, NEED_LOADED, "no arguments are good arguments", 38),
	          "no-arguments");
	check_add(list, CHECK(empty_arguments, NEED_LOADED, "an empty structure is as none", 38),
	          "empty-arguments");
	check_add(list,
	          CHECK(reserved, NEED_LOADED, "pReserved that is not NULL is refused", 39, 1),
	          "reserved");
	for (unsigned int which = 1; which < ALL; which++)
		for (size_t f = 0; f < TAPE_ARRAY_SIZE(flag_sets); f++) {
			struct check_row row = CHECK(
				some_mutexes, NEED_LOADED,
				"some of the four mutex functions, not all, are refused", 40, 1);
			row.a = which;
			row.b = flag_sets[f].flags;
			check_add(list, row, "some-mutexes/%s%s%s%s-%s",
			          (which & 1) != 0 ? "c" : "", (which & 2) != 0 ? "d" : "",
			          (which & 4) != 0 ? "l" : "", (which & 8) != 0 ? "u" : "",
			          flag_sets[f].name);
		}
	for (unsigned int all = 0; all < 2; all++)
		for (size_t f = 0; f < TAPE_ARRAY_SIZE(flag_sets); f++) {
			struct check_row row =
				CHECK(whole_set, NEED_LOADED,
			              "all mutex functions or none are taken, or it cannot lock so",
			              0, 62);
			row.a = all != 0 ? ALL : 0;
			row.b = flag_sets[f].flags;
			row.rules[0] = case_rule((unsigned int)row.a, flag_sets[f].flags);
			if (row.rules[0] != 45 &&
			    (flag_sets[f].flags & CKF_LIBRARY_CANT_CREATE_OS_THREADS) != 0)
				row.rules[2] = 45;
			check_add(list, row, "%s/%s", all != 0 ? "mutexes" : "no-mutexes",
			          flag_sets[f].name);
			row.run = threads;
			row.what = "threads can then call at once";
			if (row.a != 0 || (flag_sets[f].flags & CKF_OS_LOCKING_OK) != 0)
				check_add(list, row, "threads/%s-%s",
				          all != 0 ? "mutexes" : "no-mutexes", flag_sets[f].name);
		}
	check_add(list,
	          CHECK(arguments_copied, NEED_LOADED,
	                "the arguments are not looked at after C_Initialize returned", 43),
	          "arguments-copied");
	check_add(list,
	          CHECK(arguments_untouched, NEED_LOADED, "the arguments are not changed", 313),
	          "arguments-untouched");
	static const CK_RV answers[] = { CKR_MUTEX_BAD, CKR_GENERAL_ERROR, CKR_HOST_MEMORY };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(answers); i++) {
		struct check_row row = CHECK(failing_mutexes, NEED_LOADED,
		                             "mutex functions that fail do no harm", 27, 1);
		row.d = answers[i];
		if (answers[i] != CKR_MUTEX_BAD)
			row.rules[2] = 12;
		check_add(list, row, "failing-mutexes/%s", check_rv_name(answers[i]));
	}
	check_add(list,
	          CHECK(refused_often, NEED_LOADED,
	                "a refusal leaves nothing behind, and nothing to finalise", 1, 52),
	          "refused-often");
	check_add(list,
	          CHECK(twice, NEED_INIT, "a second time is refused, and does no harm", 46, 47),
	          "twice");
	check_add(list,
	          CHECK(twice_keeps_sessions, NEED_SESSION, "a second time leaves sessions alone",
	                46),
	          "twice-keeps-sessions");
	check_add(list,
	          CHECK(at_once, NEED_LOADED | ALLOW_DEATH,
	                "two threads at once: one of them, if the library bears it", 55),
	          "at-once");
	check_add(list, CHECK(info_null, NEED_INIT, "C_GetInfo refuses NULL", 314), "info/null");
	check_add(list, CHECK(info_fields, NEED_INIT, "the fields are as they are defined", 49, 50),
	          "info/fields");
	check_add(list,
	          CHECK(info_version, NEED_INIT,
	                "cryptokiVersion is that of the newest function list", 50),
	          "info/version");
	check_add(list, CHECK(info_repeats, NEED_INIT, "every field is written", 49),
	          "info/repeats");
}
