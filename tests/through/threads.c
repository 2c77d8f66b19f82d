/* SPDX-License-Identifier: MIT
 *
 * Threads that race for their sessions: each opens one by the same call, begins with the same calls and
 * then goes its own way. A replay must serve each of them whatever the order they come in.
 *
 *   threads MODULE [THREADS [ROUNDS]]
 *
 * Prints one line a thread, in the order of the threads: the same in every run and every replay.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/api/pkcs11.h"

#define MAX_THREADS 64

static CK_FUNCTION_LIST *p11;
static CK_SLOT_ID slot;
static unsigned int rounds = 20;

struct worker {
	pthread_t thread;
	unsigned int number;
	CK_RV rv;
	unsigned char digest[32];
};

#define TRY(call)                         \
	do {                              \
		worker->rv = (call);      \
		if (worker->rv != CKR_OK) \
			return NULL;      \
	} while (0)

static void *work(void *argument)
{
	struct worker *worker = argument;
	CK_SESSION_HANDLE session;
	CK_SESSION_INFO info;
	CK_MECHANISM sha256 = { CKM_SHA256, NULL, 0 };
	CK_BYTE same[] = "the same for all";
	CK_BYTE own[8];
	CK_ULONG length;
	memset(own, (int)worker->number + 1, sizeof(own));
	TRY(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
	for (unsigned int i = 0; i < 3; i++)
		TRY(p11->C_GetSessionInfo(session, &info));
	TRY(p11->C_DigestInit(session, &sha256));
	TRY(p11->C_DigestUpdate(session, same, sizeof(same)));
	for (unsigned int i = 0; i < rounds; i++)
		TRY(p11->C_DigestUpdate(session, own, 1 + worker->number % sizeof(own)));
	length = sizeof(worker->digest);
	TRY(p11->C_DigestFinal(session, worker->digest, &length));
	TRY(p11->C_CloseSession(session));
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[MAX_THREADS];
	unsigned int count = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 8;
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	CK_SLOT_ID slots[16];
	CK_ULONG slot_count = 16;
	CK_C_GetFunctionList get;
	int status = 0;
	if (argc > 3)
		rounds = (unsigned int)strtoul(argv[3], NULL, 10);
	void *module = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	if (module == NULL || count > MAX_THREADS) {
		fprintf(stderr, "usage: threads MODULE [THREADS [ROUNDS]]\n");
		return 2;
	}
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL || get(&p11) != CKR_OK || p11->C_Initialize(&args) != CKR_OK)
		return 2;
	if (p11->C_GetSlotList(CK_TRUE, slots, &slot_count) != CKR_OK || slot_count == 0)
		return 2;
	slot = slots[0];
	for (unsigned int i = 0; i < count; i++) {
		workers[i].number = i;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			return 2;
	}
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(workers[i].thread, NULL);
		printf("%u: %lx ", i, workers[i].rv);
		for (size_t j = 0; j < sizeof(workers[i].digest); j++)
			printf("%02x", workers[i].digest[j]);
		printf("\n");
		status |= workers[i].rv != CKR_OK;
	}
	return p11->C_Finalize(NULL) == CKR_OK ? status : 1;
}
