/* SPDX-License-Identifier: MIT
 *
 * Many threads at one recorder.
 *
 *   robust-threads MODULE hammer THREADS CALLS  each thread makes CALLS calls; all begin at once, with the
 *                                               first call of all. Prints "calls NUMBER".
 *   robust-threads MODULE meet                  every function waits in the module until calls of other
 *                                               threads have gone through: whoever holds a lock hangs
 *   robust-threads MODULE small                 every function on the smallest stack that threads can have
 *
 * What a thread signs comes back as the signature, and names the thread and the number of the call:
 * whoever reads the trace can tell which half belongs to which.
 */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/robust/robust.h"

#define MAX_THREADS 256

static void *handle;
static CK_FUNCTION_LIST_3_2 *p11;
static atomic_ulong calls;
static unsigned long per_thread;
static pthread_barrier_t barrier;

#define CALL(call) (atomic_fetch_add(&calls, 1), (call))

/* ---- the module's side ------------------------------------------------------------------------- */

#define NOBODY (-1)

static _Atomic int waiting_for = NOBODY; /* the function whose next call is to wait */
static sem_t arrived, leave;

static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	int expected = (int)function;
	if (atomic_load(&waiting_for) == expected &&
	    atomic_compare_exchange_strong(&waiting_for, &expected, NOBODY)) {
		sem_post(&arrived);
		while (sem_wait(&leave) != 0)
			;
	}
	if (function == TAPE_FN_C_Sign && words[1] != 0) {
		CK_ULONG *length = (CK_ULONG *)words[4];
		if (*length < words[2])
			return CKR_BUFFER_TOO_SMALL;
		/* All of them are in their first one at once: a trace whose calls overlap replays by lanes. */
		if (memcmp((const char *)words[1] + words[2] - 7, " call 0", 7) == 0)
			pthread_barrier_wait(&barrier);
		memcpy((void *)words[3], (const void *)words[1], words[2]);
		*length = words[2];
		return CKR_OK;
	}
	return ODD_AS_USUAL;
}

/* ---- hammer ------------------------------------------------------------------------------------ */

static void *work(void *argument)
{
	unsigned int number = (unsigned int)(uintptr_t)argument;
	CK_C_GetFunctionList get_list;
	CK_FUNCTION_LIST *list = NULL;
	CK_UTF8CHAR pin[] = "1234";
	CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 };
	robust_symbol(handle, "C_GetFunctionList", &get_list);
	pthread_barrier_wait(&barrier);
	CHECK(CALL(get_list(&list)) == CKR_OK && list != NULL);
	for (unsigned long i = 0; i < per_thread; i++) {
		char text[64];
		char back[64];
		CK_ULONG length = sizeof(back);
		CK_ULONG size =
			(CK_ULONG)snprintf(text, sizeof(text), "thread %u call %lu", number, i);
		CHECK(CALL(list->C_Sign(number, (CK_BYTE *)text, size, (CK_BYTE *)back, &length)) ==
		      CKR_OK);
		CHECK(length == size && memcmp(text, back, size) == 0);
		/* Now and then one that takes a lock of the recorder's. */
		if (i % 8 == 1) {
			pin[0] = (CK_UTF8CHAR)('1' + number % 8);
			CHECK(CALL(list->C_Login(number, CKU_USER, pin, 4)) == CKR_OK);
		}
		if (i % 8 == 3)
			CHECK(CALL(get_list(&list)) == CKR_OK);
		if (i % 8 == 5)
			CHECK(CALL(list->C_SignInit(number, &gcm, 1)) == CKR_OK);
	}
	return NULL;
}

static void hammer(const char *module, unsigned int threads)
{
	pthread_t workers[MAX_THREADS];
	CHECK(threads <= MAX_THREADS);
	CHECK(pthread_barrier_init(&barrier, NULL, threads) == 0);
	handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	CHECK(handle != NULL);
	for (unsigned int i = 0; i < threads; i++)
		CHECK(pthread_create(&workers[i], NULL, work, (void *)(uintptr_t)i) == 0);
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(workers[i], NULL);
	printf("calls %lu\n", atomic_load(&calls));
}

/* ---- calls of every function --------------------------------------------------------------------- */

/* Arguments that every function of the odd module takes: zero for numbers, memory for pointers. */
#define ZERO_2(k, a) (kind_##k##_1)0
#define ZERO_3(k, a, b) ZERO_2(k, a), (kind_##k##_2)0
#define ZERO_4(k, a, b, c) ZERO_3(k, a, b), (kind_##k##_3)0
#define ZEROS(...) TAPE_CAT(ZERO_, TAPE_COUNT(__VA_ARGS__))(__VA_ARGS__)

static CK_RV call_by_id(enum tape_function_id id)
{
	switch (id) {
#define CK_FN(name, major, minor, ...)                          \
	case TAPE_FN_##name: {                                  \
		CK_##name function;                             \
		robust_symbol(handle, #name, &function);        \
		return function(TAPE_EACH(ZEROS, __VA_ARGS__)); \
	}
#include "core/api/functions.def"
#undef CK_FN
	default:
		return CKR_GENERAL_ERROR;
	}
}

static void *call_one(void *argument)
{
	call_by_id((enum tape_function_id)(uintptr_t)argument);
	return NULL;
}

/* What comes past a thread that waits in the module: every lock of the recorder's is taken. */
static void *call_past(void *unused)
{
	CK_FUNCTION_LIST *list = NULL;
	CK_C_GetFunctionList get_list;
	CK_UTF8CHAR name[] = "PKCS 11";
	CK_UTF8CHAR pin[] = "1234";
	CK_INTERFACE *interface = NULL;
	CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 };
	(void)unused;
	robust_symbol(handle, "C_GetFunctionList", &get_list);
	CHECK(get_list(&list) == CKR_OK);
	CHECK(p11->C_GetInterface(name, NULL, &interface, 0) == CKR_OK);
	CHECK(p11->C_Initialize(NULL) == CKR_OK);
	CHECK(p11->C_Login(7, CKU_USER, pin, 4) == CKR_OK);
	CHECK(p11->C_MessageEncryptInit(7, &gcm, 1) == CKR_OK);
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
	return NULL;
}

static void meet(const char *module)
{
	p11 = robust_load(module, &handle);
	CHECK(sem_init(&arrived, 0, 0) == 0 && sem_init(&leave, 0, 0) == 0);
	/* A deadlock is a hang: that is what the alarm is for. */
	for (int id = 0; id < TAPE_FN_COUNT; id++) {
		pthread_t waiter, other;
		atomic_store(&waiting_for, id);
		alarm(60);
		CHECK(pthread_create(&waiter, NULL, call_one, (void *)(uintptr_t)id) == 0);
		while (sem_wait(&arrived) != 0)
			;
		CHECK(pthread_create(&other, NULL, call_past, NULL) == 0);
		pthread_join(other, NULL);
		sem_post(&leave);
		pthread_join(waiter, NULL);
	}
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
}

static void *first_call(void *unused)
{
	CK_FUNCTION_LIST *list = NULL;
	CK_C_GetFunctionList get_list;
	(void)unused;
	robust_symbol(handle, "C_GetFunctionList", &get_list);
	CHECK(get_list(&list) == CKR_OK);
	return NULL;
}

static void *call_all(void *unused)
{
	(void)unused;
	for (int id = 0; id < TAPE_FN_COUNT; id++)
		call_by_id((enum tape_function_id)id);
	return NULL;
}

static void run_on_stack(size_t size, void *(*function)(void *))
{
	pthread_attr_t attributes;
	pthread_t thread;
	CHECK(pthread_attr_init(&attributes) == 0);
	CHECK(pthread_attr_setstacksize(&attributes, size) == 0);
	CHECK(pthread_create(&thread, &attributes, function, NULL) == 0);
	pthread_join(thread, NULL);
}

/* The first call reads the options, loads the target and opens the file, and may need a little more. */
static void small(const char *module)
{
	size_t least = (size_t)sysconf(_SC_THREAD_STACK_MIN);
	handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	CHECK(handle != NULL);
	run_on_stack(least + 8192, first_call);
	run_on_stack(least, call_all);
}

int main(int argc, char **argv)
{
	robust_set_hook(hook);
	if (argc == 5 && strcmp(argv[2], "hammer") == 0) {
		per_thread = strtoul(argv[4], NULL, 10);
		hammer(argv[1], (unsigned int)strtoul(argv[3], NULL, 10));
	} else if (argc == 3 && strcmp(argv[2], "meet") == 0) {
		meet(argv[1]);
	} else if (argc == 3 && strcmp(argv[2], "small") == 0) {
		small(argv[1]);
	} else {
		return 2;
	}
	return 0;
}
