/* SPDX-License-Identifier: MIT
 *
 * Two threads that race, and go another way by who was first: what one of them calls depends on whether the
 * other one has come to a place of its own.
 *
 *   race MODULE ORDER
 *
 * A round for each character of ORDER: 1, the first thread comes first; 0, the second does; ?, chance
 * decides; -, the first one never comes. Prints for each round whether the second thread saw that the first
 * one had been there: 1 or 0.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/api/pkcs11.h"

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static atomic_int there;
static int seen;
static sem_t gone; /* of the thread that comes first, where that is fixed */
static char order;

/* Threads are as fast as they like to be. */
static void dawdle(unsigned int *seed)
{
	struct timespec pause = { 0, rand_r(seed) % 100000 };
	if (order == '?')
		nanosleep(&pause, NULL);
}

static void *first(void *argument)
{
	unsigned int seed = *(unsigned int *)argument;
	CK_SLOT_INFO info;
	CK_TOKEN_INFO token;
	if (order == '0')
		sem_wait(&gone);
	dawdle(&seed);
	p11->C_GetSlotInfo(slot, &info);
	atomic_store(&there, 1);
	dawdle(&seed);
	p11->C_GetTokenInfo(slot, &token);
	if (order == '1')
		sem_post(&gone);
	return NULL;
}

static void *second(void *argument)
{
	unsigned int seed = ~*(unsigned int *)argument;
	CK_SESSION_HANDLE session = 0;
	CK_SESSION_INFO information;
	CK_INFO info;
	if (order == '1')
		sem_wait(&gone);
	dawdle(&seed);
	p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
	dawdle(&seed);
	seen = atomic_load(&there);
	if (seen)
		p11->C_GetInfo(&info);
	else
		p11->C_GetSessionInfo(session, &information);
	p11->C_CloseSession(session);
	if (order == '0')
		sem_post(&gone);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned int seed = (unsigned int)getpid();
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_SLOT_ID slots[16];
	CK_ULONG count = 16;
	CK_C_GetFunctionList get;
	void *module = argc > 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	if (module == NULL || sem_init(&gone, 0, 0) != 0) {
		fprintf(stderr, "usage: race MODULE ORDER\n");
		return 2;
	}
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL || get(&p11) != CKR_OK || p11->C_Initialize(&args) != CKR_OK ||
	    p11->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK || count == 0)
		return 2;
	slot = slots[0];
	for (const char *round = argv[2]; *round != 0; round++) {
		pthread_t threads[2];
		order = *round;
		atomic_store(&there, 0);
		seed = seed * 1103515245u + 12345u;
		if (order != '-')
			pthread_create(&threads[0], NULL, first, &seed);
		pthread_create(&threads[1], NULL, second, &seed);
		if (order != '-')
			pthread_join(threads[0], NULL);
		pthread_join(threads[1], NULL);
		putchar(seen ? '1' : '0');
	}
	putchar('\n');
	return p11->C_Finalize(NULL) == CKR_OK ? 0 : 1;
}
