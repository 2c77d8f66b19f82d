/* SPDX-License-Identifier: MIT
 *
 * A program whose module calls back (PKCS#11 3.1 §5.21). It is the application, and by its hook the
 * module too; against the replayer the hook has no part, and the program prints the same.
 *
 *   robust-notify MODULE calls    from inside calls, nested, and for a session that is closed
 *   robust-notify MODULE thread   from a thread of the module's own, in calls of others and outside
 *   robust-notify MODULE leave    the application leaves its function by longjmp()
 *   robust-notify MODULE exit     the thread ends in it
 *   robust-notify MODULE many     more functions than a recorder has room for
 *   robust-notify MODULE answer   as `calls`, with one other answer
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/robust/robust.h"

#define MANY 20
#define VENDOR_EVENT ((CK_NOTIFICATION)0x80000001)

static CK_FUNCTION_LIST_3_2 *p11;
static const char *scenario;

/* ---- the module ------------------------------------------------------------------------------ */

static struct {
	CK_NOTIFY notify;
	void *application;
} given[MANY + 2]; /* by session */
static CK_ULONG sessions;
static pthread_t own;

static CK_RV tell(CK_SESSION_HANDLE session, CK_NOTIFICATION event)
{
	return given[session].notify(session, event, given[session].application);
}

static CK_RV surrender(CK_SESSION_HANDLE session)
{
	return tell(session, CKN_SURRENDER) == CKR_CANCEL ? CKR_FUNCTION_CANCELED : CKR_OK;
}

static void *tell_alone(void *unused)
{
	(void)unused;
	tell(1, CKN_OTP_CHANGED);
	return NULL;
}

static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	if (words == NULL)
		return ODD_AS_USUAL;
	CK_SESSION_HANDLE session = words[0];
	switch (function) {
	case TAPE_FN_C_OpenSession:
		session = ++sessions;
		given[session].application = (void *)words[2];
		memcpy(&given[session].notify, &words[3], sizeof(words[3]));
		*(CK_SESSION_HANDLE *)words[4] = session;
		if ((words[1] & CKF_RW_SESSION) != 0)
			tell(session, CKN_OTP_CHANGED);
		return CKR_OK;
	case TAPE_FN_C_SeedRandom:
		return surrender(session);
	case TAPE_FN_C_GenerateRandom:
		memset((void *)words[1], 7, words[2]);
		return surrender(session);
	case TAPE_FN_C_CloseSession:
		tell(session, VENDOR_EVENT);
		return CKR_OK;
	case TAPE_FN_C_Logout:
		/* A module that does not keep apart what is closed. */
		tell(1, VENDOR_EVENT);
		return CKR_OK;
	case TAPE_FN_C_DigestUpdate:
		CHECK(pthread_create(&own, NULL, tell_alone, NULL) == 0);
		CHECK(pthread_join(own, NULL) == 0);
		return CKR_OK;
	case TAPE_FN_C_DigestFinal:
		*(CK_ULONG *)words[2] = 0;
		CHECK(pthread_create(&own, NULL, tell_alone, NULL) == 0);
		return CKR_OK;
	case TAPE_FN_C_DigestKey:
		CHECK(pthread_join(own, NULL) == 0);
		return CKR_OK;
	default:
		return ODD_AS_USUAL;
	}
}

/* ---- the application ------------------------------------------------------------------------- */

static int depth;
static int marks[MANY + 2]; /* their addresses are what the module gets as pApplication */
static atomic_uint alone, told[MANY];
static jmp_buf out;

static void show(const char *what, CK_RV rv)
{
	printf("%*s%s: %lx\n", 2 * depth, "", what, (unsigned long)rv);
}

static CK_RV first(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	CK_BYTE random[3];
	CK_RV rv = CKR_OK;
	printf("%*sfirst: session %lu, event %lx, %s\n", 2 * depth, "", (unsigned long)session,
	       (unsigned long)event, application == &marks[1] ? "mine" : "not mine");
	depth++;
	if (depth == 1 && event == CKN_SURRENDER) {
		rv = p11->C_GenerateRandom(session, random, sizeof(random));
		show("C_GenerateRandom", rv);
	} else if (depth == 2) {
		show("C_GetFunctionStatus", p11->C_GetFunctionStatus(session));
		rv = CKR_CANCEL;
	}
	depth--;
	errno = EXDEV;
	return rv;
}

static CK_RV second(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	printf("second: session %lu, event %lx, %s\n", (unsigned long)session, (unsigned long)event,
	       application == NULL ? "nothing" : "something");
	return strcmp(scenario, "answer") == 0 && event == CKN_SURRENDER ? CKR_OK : CKR_CANCEL;
}

static CK_RV in_thread(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	CHECK(event == CKN_OTP_CHANGED && application == &marks[1]);
	CHECK(p11->C_GetFunctionStatus(session) == CKR_OK);
	atomic_fetch_add(&alone, 1);
	return CKR_OK;
}

static CK_RV leaving(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	(void)application;
	printf("leaving: session %lu, event %lx\n", (unsigned long)session, (unsigned long)event);
	CHECK(p11->C_GetFunctionStatus(session) == CKR_OK);
	if (strcmp(scenario, "exit") == 0)
		pthread_exit(NULL);
	longjmp(out, 1);
}

#define ONE_OF_MANY(n)                                                                             \
	static CK_RV many_##n(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application) \
	{                                                                                          \
		CHECK(session == (n) + 1 && application == &marks[n] && event == 0);               \
		atomic_fetch_add(&told[n], 1);                                                     \
		return CKR_OK;                                                                     \
	}
ONE_OF_MANY(0)
ONE_OF_MANY(1)
ONE_OF_MANY(2)
ONE_OF_MANY(3)
ONE_OF_MANY(4)
ONE_OF_MANY(5)
ONE_OF_MANY(6)
ONE_OF_MANY(7)
ONE_OF_MANY(8)
ONE_OF_MANY(9)
ONE_OF_MANY(10)
ONE_OF_MANY(11)
ONE_OF_MANY(12)
ONE_OF_MANY(13)
ONE_OF_MANY(14)
ONE_OF_MANY(15)
ONE_OF_MANY(16)
ONE_OF_MANY(17)
ONE_OF_MANY(18)
ONE_OF_MANY(19)

static const CK_NOTIFY many[MANY] = {
	many_0,  many_1,  many_2,  many_3,  many_4,  many_5,  many_6,  many_7,  many_8,  many_9,
	many_10, many_11, many_12, many_13, many_14, many_15, many_16, many_17, many_18, many_19,
};

static CK_SESSION_HANDLE open_session(CK_FLAGS flags, CK_NOTIFY notify, void *application)
{
	CK_SESSION_HANDLE session = 0;
	CHECK(p11->C_OpenSession(0, CKF_SERIAL_SESSION | flags, application, notify, &session) ==
	      CKR_OK);
	return session;
}

static void from_calls(void)
{
	CK_SESSION_HANDLE one = open_session(CKF_RW_SESSION, first, &marks[1]);
	CK_SESSION_HANDLE two = open_session(0, second, NULL);
	CK_BYTE seed[1] = { 0 };
	show("C_SeedRandom", p11->C_SeedRandom(one, seed, 1));
	errno = 0;
	show("C_SeedRandom", p11->C_SeedRandom(two, seed, 1));
	show("C_GetFunctionStatus", p11->C_GetFunctionStatus(two));
	show("C_CloseSession", p11->C_CloseSession(one));
	show("C_Logout", p11->C_Logout(two));
	show("C_CloseSession", p11->C_CloseSession(two));
}

static void from_a_thread(void)
{
	CK_SESSION_HANDLE one = open_session(0, in_thread, &marks[1]);
	CK_BYTE data[1] = { 0 };
	CK_BYTE digest[8];
	CK_ULONG length = sizeof(digest);
	CHECK(p11->C_DigestUpdate(one, data, 1) == CKR_OK);
	CHECK(p11->C_DigestFinal(one, digest, &length) == CKR_OK);
	CHECK(p11->C_DigestKey(one, 1) == CKR_OK);
	CHECK(p11->C_GetFunctionStatus(one) == CKR_OK);
}

static void *seed_and_leave(void *session)
{
	CK_BYTE seed[1] = { 0 };
	if (setjmp(out) == 0) {
		p11->C_SeedRandom(*(CK_SESSION_HANDLE *)session, seed, 1);
		robust_fail(__FILE__, __LINE__, "it came back");
	}
	return NULL;
}

static void leave(void)
{
	CK_SESSION_HANDLE one = open_session(0, leaving, NULL);
	pthread_t thread;
	if (strcmp(scenario, "leave") == 0) {
		seed_and_leave(&one);
	} else {
		CHECK(pthread_create(&thread, NULL, seed_and_leave, &one) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	show("C_GetFunctionStatus", p11->C_GetFunctionStatus(one));
	show("C_GetFunctionStatus", p11->C_GetFunctionStatus(one));
}

static void from_many(void)
{
	CK_BYTE seed[1] = { 0 };
	for (unsigned int i = 0; i < MANY; i++)
		open_session(0, many[i], &marks[i]);
	for (unsigned int i = 0; i < MANY; i++)
		CHECK(p11->C_SeedRandom(i + 1, seed, 1) == CKR_OK);
	for (unsigned int i = 0; i < MANY; i++)
		printf("%u: %u\n", i, atomic_load(&told[i]));
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	scenario = argv[2];
	robust_set_hook(hook);
	p11 = robust_load(argv[1], NULL);
	CHECK(p11->C_Initialize(NULL) == CKR_OK);
	if (strcmp(scenario, "calls") == 0 || strcmp(scenario, "answer") == 0)
		from_calls();
	else if (strcmp(scenario, "thread") == 0)
		from_a_thread();
	else if (strcmp(scenario, "many") == 0)
		from_many();
	else
		leave();
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
	printf("alone: %u\n", atomic_load(&alone));
	return 0;
}
