/* SPDX-License-Identifier: MIT
 *
 * Threads that leave the module by another way than they came; the program lives on and calls on.
 *
 *   robust-leave MODULE longjmp|pthread_exit|cancel
 *
 * C_Digest is the call that does not return. Four whole calls come before it, three after it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/robust/robust.h"

static CK_FUNCTION_LIST_3_2 *p11;
static const char *way;
static jmp_buf out;
static atomic_bool inside;

static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	(void)words;
	if (function != TAPE_FN_C_Digest)
		return ODD_AS_USUAL;
	if (strcmp(way, "longjmp") == 0)
		longjmp(out, 1);
	if (strcmp(way, "pthread_exit") == 0)
		pthread_exit(NULL);
	atomic_store(&inside, true);
	for (;;)
		pause();
}

static void *call(void *unused)
{
	CK_BYTE data[] = "the last words";
	CK_BYTE digest[32];
	CK_ULONG length = sizeof(digest);
	(void)unused;
	p11->C_Digest(7, data, sizeof(data) - 1, digest, &length);
	robust_fail(__FILE__, __LINE__, "it came back");
}

static void *call_after(void *unused)
{
	(void)unused;
	CHECK(p11->C_Logout(7) == CKR_OK);
	CHECK(p11->C_CloseSession(7) == CKR_OK);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	if (argc != 3)
		return 2;
	way = argv[2];
	robust_set_hook(hook);
	p11 = robust_load(argv[1], NULL);
	CHECK(p11->C_Initialize(NULL) == CKR_OK);
	CHECK(p11->C_DigestKey(7, 1) == CKR_OK);
	CHECK(p11->C_DestroyObject(7, 1) == CKR_OK);
	if (strcmp(way, "longjmp") == 0) {
		if (setjmp(out) == 0)
			call(NULL);
		call_after(NULL);
	} else {
		CHECK(pthread_create(&thread, NULL, call, NULL) == 0);
		if (strcmp(way, "cancel") == 0) {
			while (!atomic_load(&inside))
				nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
			CHECK(pthread_cancel(thread) == 0);
		}
		CHECK(pthread_join(thread, NULL) == 0);
		/* The next thread comes to the stack, and to the number, of the one that is gone. */
		CHECK(pthread_create(&thread, NULL, call_after, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
	return 0;
}
