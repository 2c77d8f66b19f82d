/* SPDX-License-Identifier: MIT
 *
 * forward REPLAYER: goes on with the odd module (P11TAPE_REPLAY_FORWARD), whose handles are other ones than the recorded
 * ones: those in structures, in and out, and the sessions of notifications; and numbers that nobody gave. A thread waits
 * for an event meanwhile. e2e.forward
 * writes the trace that it begins with.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "tests/robust/robust.h"

#define LIVE_SESSION 77
#define LIVE_OBJECT 900 /* the first one */

static CK_OBJECT_HANDLE made = LIVE_OBJECT;
static CK_NOTIFY live_notify;
static void *live_application;
static CK_OBJECT_HANDLE inside, base, named;
static CK_SESSION_HANDLE used, told;
static void *told_application;

/* The module. */
static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	CK_MECHANISM *mechanism;
	switch ((int)function) {
	case TAPE_FN_C_OpenSession:
		live_application = (void *)words[2];
		memcpy(&live_notify, &words[3], sizeof(live_notify));
		*(CK_SESSION_HANDLE *)words[4] = LIVE_SESSION;
		return CKR_OK;
	case TAPE_FN_C_CreateObject:
		*(CK_OBJECT_HANDLE *)words[3] = made++;
		return CKR_OK;
	case TAPE_FN_C_GetSlotList:
		return robust_one_slot(words);
	case TAPE_FN_C_WaitForSlotEvent:
		*(CK_SLOT_ID *)words[1] = 1;
		return CKR_OK;
	case TAPE_FN_C_GetObjectSize:
		named = (CK_OBJECT_HANDLE)words[1];
		return CKR_OBJECT_HANDLE_INVALID;
	case TAPE_FN_C_DeriveKey:
		used = (CK_SESSION_HANDLE)words[0];
		mechanism = (CK_MECHANISM *)words[1];
		base = (CK_OBJECT_HANDLE)words[2];
		if (mechanism->mechanism == CKM_CONCATENATE_BASE_AND_KEY) {
			inside = *(CK_OBJECT_HANDLE *)mechanism->pParameter;
			/* A number that the program has for the second object it made. */
			*(CK_OBJECT_HANDLE *)words[5] = 3;
		} else {
			CK_SSL3_KEY_MAT_PARAMS *material = mechanism->pParameter;
			material->pReturnedKeyMaterial->hClientKey = LIVE_OBJECT;
			material->pReturnedKeyMaterial->hServerKey = LIVE_OBJECT + 50;
		}
		return live_notify(LIVE_SESSION, CKN_SURRENDER, live_application);
	default:
		return ODD_AS_USUAL;
	}
}

static CK_RV notify(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	CHECK(event == CKN_SURRENDER);
	told = session;
	told_application = application;
	return CKR_OK;
}

/* In the recording it never returned: it goes on waiting on the live module, whenever it came. */
static void *wait_for_slot(void *list)
{
	const CK_FUNCTION_LIST *p11 = list;
	CK_SLOT_ID slot = 9;
	CHECK(p11->C_WaitForSlotEvent(0, &slot, NULL) == CKR_OK);
	CHECK(slot == 1);
	return NULL;
}

int main(int argc, char **argv)
{
	CK_C_GetFunctionList get;
	CK_FUNCTION_LIST *p11;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE objects[2];
	CK_OBJECT_HANDLE derived = 0;
	CK_ULONG size;
	pthread_t waiter;
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) } };
	CHECK(argc == 2);
	robust_set_hook(hook);
	void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	CHECK(module != NULL);
	robust_symbol(module, "C_GetFunctionList", &get);
	CHECK(get(&p11) == CKR_OK);

	/* Recorded. */
	CHECK(p11->C_Initialize(NULL) == CKR_OK);
	CHECK(p11->C_OpenSession(1, CKF_SERIAL_SESSION, &session, notify, &session) == CKR_OK);
	CHECK(p11->C_CreateObject(session, template, 1, &objects[0]) == CKR_OK);
	CHECK(p11->C_CreateObject(session, template, 1, &objects[1]) == CKR_OK);
	CHECK(session == 1 && objects[0] == 2 && objects[1] == 3);
	CHECK(pthread_create(&waiter, NULL, wait_for_slot, p11) == 0);

	/* Not recorded: a handle in the parameter, and a new one whose number is taken. */
	CK_MECHANISM join = { CKM_CONCATENATE_BASE_AND_KEY, &objects[1], sizeof(objects[1]) };
	CHECK(p11->C_DeriveKey(session, &join, objects[0], template, 1, &derived) == CKR_OK);
	CHECK(used == LIVE_SESSION && base == LIVE_OBJECT && inside == LIVE_OBJECT + 1);
	CHECK(objects[1] == 3 && derived != 0 && derived != 2 && derived != 3);
	CHECK(told == session && told_application == &session);
	CHECK(p11->C_GetObjectSize(session, derived, &size) == CKR_OBJECT_HANDLE_INVALID);
	CHECK(named == 3);

	/* Handles that come in a structure. */
	CK_SSL3_KEY_MAT_OUT out;
	memset(&out, 0, sizeof(out));
	CK_SSL3_KEY_MAT_PARAMS parameter = { .pReturnedKeyMaterial = &out };
	CK_MECHANISM expand = { CKM_SSL3_KEY_AND_MAC_DERIVE, &parameter, sizeof(parameter) };
	CHECK(p11->C_DeriveKey(session, &expand, objects[0], template, 1, NULL) == CKR_OK);
	CHECK(out.hClientKey == objects[0] && out.hServerKey != 0);
	CHECK(p11->C_GetObjectSize(session, out.hServerKey, &size) == CKR_OBJECT_HANDLE_INVALID);
	CHECK(named == LIVE_OBJECT + 50);

	/* What the program made up is nobody's there, though the module has such a number. */
	CHECK(p11->C_GetObjectSize(session, LIVE_OBJECT, &size) == CKR_OBJECT_HANDLE_INVALID);
	CHECK(named == 0);
	CHECK(pthread_join(waiter, NULL) == 0);
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
	return 0;
}
