/* SPDX-License-Identifier: MIT
 *
 * Load, call, unload, again and again: what is left behind each time is seen in /proc.
 *
 *   robust-unload MODULE COUNT TARGET [finalize] [thread|threads] [handlers]
 *
 * TARGET is the file name of what the recorder loads; or `stays`, for the replayer, which stays loaded.
 * `finalize`: C_Finalize before dlclose(). `thread`, `threads`: one thread, or four, that live all the time
 * call, too; one calls at a time of its own. `handlers`: at the end the module stays loaded and is
 * called by exit handlers that were registered before and after it was loaded, and by the target's own
 * destructor, when the recorder's has run. Prints "calls NUMBER".
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/robust/robust.h"

#define MAX_WORKERS 4

/* What the loader and malloc still build up in the first rounds. */
#define WARM_UP 3

static CK_FUNCTION_LIST_3_2 *p11;
static pthread_barrier_t barrier;
static unsigned int worker_count;
static unsigned long calls, late_calls;
static bool over, late;

static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	(void)words;
	if (function == TAPE_FN_COUNT && late) {
		CK_INFO info = { 0 };
		late = false;
		CHECK(p11->C_GetInfo(&info) == CKR_OK);
		printf("calls %lu\n", calls + late_calls + 1);
	}
	return ODD_AS_USUAL;
}

/* Calls that use every kind of memory that the recorder has: its lines, its pages, its tables. */
static unsigned int call_around(void)
{
	static CK_BYTE large[20000];
	CK_BYTE seed[16] = { 1, 2, 3 };
	CK_INFO info = { 0 };
	CK_UTF8CHAR pin[] = "1234";
	CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 };
	CHECK(p11->C_GetInfo(&info) == CKR_OK);
	CHECK(p11->C_Login(7, CKU_USER, pin, 4) == CKR_OK);
	CHECK(p11->C_DigestUpdate(7, large, sizeof(large)) == CKR_OK);
	CHECK(p11->C_SeedRandom(7, seed, sizeof(seed)) == CKR_OK);
	CHECK(p11->C_MessageEncryptInit(7, &gcm, 1) == CKR_OK);
	return 5;
}

static void *work(void *unused)
{
	(void)unused;
	for (;;) {
		pthread_barrier_wait(&barrier);
		if (over)
			return NULL;
		call_around();
		pthread_barrier_wait(&barrier);
	}
}

/* A sanitizer maps memory of its own. */
#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

struct left {
	unsigned int descriptors, threads, mappings;
	unsigned long pages;
};

static struct left look(void)
{
	struct left left = { robust_count_entries("/proc/self/fd"),
		             robust_count_entries("/proc/self/task"), robust_count_maps(""), 0 };
	FILE *file = fopen("/proc/self/statm", "re");
	/* The kernel's numbers fit. NOLINTNEXTLINE(cert-err34-c) */
	CHECK(file != NULL && fscanf(file, "%lu", &left.pages) == 1);
	fclose(file);
	return left;
}

static void live(const char *module, const char *target, bool finalizes)
{
	const char *name = strrchr(module, '/') == NULL ? module : strrchr(module, '/') + 1;
	bool stays = strcmp(target, "stays") == 0;
	void *handle;
	p11 = robust_load(module, &handle);
	CHECK(robust_count_maps(name) != 0 && (stays || robust_count_maps(target) != 0));
	CHECK(p11->C_Initialize(NULL) == CKR_OK);
	calls += 2 + call_around();
	if (worker_count != 0) {
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
		calls += (unsigned long)worker_count * 5;
	}
	if (finalizes) {
		CHECK(p11->C_Finalize(NULL) == CKR_OK);
		calls++;
	}
	CHECK(dlclose(handle) == 0);
	/* Both are really gone. */
	CHECK((robust_count_maps(name) != 0) == stays);
	CHECK(stays || robust_count_maps(target) == 0);
}

static void at_exit_before(void)
{
	late_calls += call_around();
}

static void at_exit_after(void)
{
	late_calls += call_around();
	late = true;
}

int main(int argc, char **argv)
{
	bool finalizes = false, handlers = false;
	pthread_t workers[MAX_WORKERS] = { 0 };
	struct left before = { 0 }, after;
	if (argc < 4)
		return 2;
	unsigned int count = (unsigned int)strtoul(argv[2], NULL, 10);
	for (int i = 4; i < argc; i++) {
		finalizes |= strcmp(argv[i], "finalize") == 0;
		handlers |= strcmp(argv[i], "handlers") == 0;
		if (strcmp(argv[i], "thread") == 0)
			worker_count = 1;
		if (strcmp(argv[i], "threads") == 0)
			worker_count = MAX_WORKERS;
	}
	robust_set_hook(hook);
	if (worker_count != 0) {
		CHECK(pthread_barrier_init(&barrier, NULL, worker_count + 1) == 0);
		for (size_t i = 0; i < worker_count; i++)
			CHECK(pthread_create(&workers[i], NULL, work, NULL) == 0);
	}
	for (unsigned int i = 0; i < count; i++) {
		if (i == WARM_UP)
			before = look();
		live(argv[1], argv[3], finalizes);
	}
	after = look();
	if (count > WARM_UP &&
	    (after.descriptors != before.descriptors || after.threads != before.threads ||
	     (!SANITIZED &&
	      (after.mappings > before.mappings + 1 || after.pages > before.pages + 64)))) {
		fprintf(stderr,
		        "descriptors %u, then %u; threads %u, %u; mappings %u, %u; pages %lu, "
		        "%lu\n",
		        before.descriptors, after.descriptors, before.threads, after.threads,
		        before.mappings, after.mappings, before.pages, after.pages);
		return 1;
	}
	if (worker_count != 0) {
		over = true;
		pthread_barrier_wait(&barrier);
		for (size_t i = 0; i < worker_count; i++)
			pthread_join(workers[i], NULL);
	}
	if (!handlers) {
		printf("calls %lu\n", calls);
		return 0;
	}
	atexit(at_exit_before);
	p11 = robust_load(argv[1], NULL);
	atexit(at_exit_after);
	calls += 1 + call_around();
	/* The exit handlers go on; the last of them prints. */
	return 0;
}
