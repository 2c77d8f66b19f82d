/* SPDX-License-Identifier: MIT
 *
 * The mock's lists, slots, sessions, PINs and logins.
 */
#include "tests/mock/driver.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- lists and interfaces ------------------------------------------------------------------------ */

static void function_lists_are_whole(void **state)
{
	CK_FUNCTION_LIST *list = NULL;
	CK_INTERFACE interfaces[3];
	CK_ULONG count = 0;
	static const int lengths[] = { TAPE_FN_COUNT_3_2, TAPE_FN_COUNT_3_0, TAPE_FN_COUNT_2 };
	static const CK_VERSION versions[] = { { 3, 2 }, { 3, 1 }, { 2, 40 } };

	(void)state;
	load("");
	OK(p11->C_GetFunctionList(&list));
	IS(p11->C_GetFunctionList(NULL), CKR_ARGUMENTS_BAD);
	OK(p11->C_GetInterfaceList(NULL, &count));
	assert_int_equal(count, 3);
	count = 77;
	OK(p11->C_GetInterfaceList(NULL, &count));
	assert_int_equal(count, 3);
	count = 1;
	IS(p11->C_GetInterfaceList(interfaces, &count), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(count, 3);
	OK(p11->C_GetInterfaceList(interfaces, &count));
	for (size_t i = 0; i < 3; i++) {
		const CK_VERSION *version = interfaces[i].pFunctionList;
		void *const *functions =
			(void *const *)(const void *)((const char *)version +
		                                      offsetof(CK_FUNCTION_LIST, C_Initialize));

		assert_string_equal(interfaces[i].pInterfaceName, "PKCS 11");
		assert_int_equal(version->major, versions[i].major);
		assert_int_equal(version->minor, versions[i].minor);
		for (int f = 0; f < lengths[i]; f++)
			assert_non_null(functions[f]);
	}
	assert_ptr_equal(list, interfaces[2].pFunctionList);
	unload();
}

static void interfaces_are_chosen(void **state)
{
	CK_UTF8CHAR standard[] = "PKCS 11", other[] = "Vendor other";
	CK_VERSION old = { 2, 40 }, none = { 4, 0 };
	CK_INTERFACE *interface = NULL;

	(void)state;
	load("");
	OK(p11->C_GetInterface(NULL, NULL, &interface, 0));
	assert_int_equal(((CK_VERSION *)interface->pFunctionList)->minor, 2);
	OK(p11->C_GetInterface(standard, &old, &interface, 0));
	assert_int_equal(((CK_VERSION *)interface->pFunctionList)->major, 2);
	IS(p11->C_GetInterface(other, NULL, &interface, 0), CKR_ARGUMENTS_BAD);
	IS(p11->C_GetInterface(standard, &none, &interface, 0), CKR_ARGUMENTS_BAD);
	IS(p11->C_GetInterface(standard, NULL, &interface, CKF_INTERFACE_FORK_SAFE),
	   CKR_ARGUMENTS_BAD);
	IS(p11->C_GetInterface(NULL, NULL, NULL, 0), CKR_ARGUMENTS_BAD);
	unload();
}

static void versions_hide_what_is_newer(void **state)
{
	CK_INFO info;
	CK_MECHANISM_INFO mechanism;

	(void)state;
	begin("version=2.40");
	OK(p11->C_GetInfo(&info));
	assert_int_equal(info.cryptokiVersion.minor, 40);
	IS(p11->C_SessionCancel(0, 0), CKR_FUNCTION_NOT_SUPPORTED);
	IS(p11->C_GetInterface(NULL, NULL, NULL, 0), CKR_FUNCTION_NOT_SUPPORTED);
	IS(p11->C_GetMechanismInfo(0, CKM_EDDSA, &mechanism), CKR_MECHANISM_INVALID);
	end();
	begin("version=3.0");
	IS(p11->C_SessionCancel(0, 0), CKR_SESSION_HANDLE_INVALID);
	IS(p11->C_VerifySignature(0, NULL, 0), CKR_FUNCTION_NOT_SUPPORTED);
	end();
}

/* ---- C_Initialize, C_Finalize ------------------------------------------------------------------------ */

#define ZERO_2(k, a) (kind_##k##_1)0
#define ZERO_3(k, a, b) (kind_##k##_1)0, (kind_##k##_2)0
#define ZERO_4(k, a, b, c) (kind_##k##_1)0, (kind_##k##_2)0, (kind_##k##_3)0
#define ZERO(...) TAPE_CAT(ZERO_, TAPE_COUNT(__VA_ARGS__))(__VA_ARGS__)

static void every_function_wants_initialize(void **state)
{
	(void)state;
	load("");
	for (int round = 0; round < 2; round++) {
#define CK_FN(name, major, minor, ...)                                                            \
	if (!tape_functions[TAPE_FN_##name].finds && TAPE_FN_##name != TAPE_FN_C_Initialize)      \
		check_code(p11->name(TAPE_EACH(ZERO, __VA_ARGS__)), CKR_CRYPTOKI_NOT_INITIALIZED, \
		           #name, __FILE__, __LINE__);
#include "core/api/functions.def"
#undef CK_FN
		OK(p11->C_Initialize(NULL));
		OK(p11->C_Finalize(NULL));
	}
	unload();
}

static void every_session_function_wants_a_session(void **state)
{
	(void)state;
	begin("");
#define CK_FN(name, major, minor, ...)                                                          \
	if (tape_functions[TAPE_FN_##name].lane >= 0)                                           \
		check_code(p11->name(TAPE_EACH(ZERO, __VA_ARGS__)), CKR_SESSION_HANDLE_INVALID, \
		           #name, __FILE__, __LINE__);
#include "core/api/functions.def"
#undef CK_FN
	end();
}

static int created, destroyed, locked, unlocked;

static CK_RV create_mutex(CK_VOID_PTR_PTR mutex)
{
	*mutex = &created;
	created++;
	return CKR_OK;
}

static CK_RV destroy_mutex(CK_VOID_PTR mutex)
{
	assert_ptr_equal(mutex, &created);
	destroyed++;
	return CKR_OK;
}

static CK_RV lock_mutex(CK_VOID_PTR mutex)
{
	assert_ptr_equal(mutex, &created);
	locked++;
	return CKR_OK;
}

static CK_RV unlock_mutex(CK_VOID_PTR mutex)
{
	assert_ptr_equal(mutex, &created);
	unlocked++;
	return CKR_OK;
}

static void initialize_reads_its_arguments(void **state)
{
	CK_C_INITIALIZE_ARGS args = { 0 };
	CK_INFO info;

	(void)state;
	load("");
	args.pReserved = &args;
	IS(p11->C_Initialize(&args), CKR_ARGUMENTS_BAD);
	args.pReserved = NULL;
	args.CreateMutex = create_mutex;
	IS(p11->C_Initialize(&args), CKR_ARGUMENTS_BAD);
	args.DestroyMutex = destroy_mutex;
	args.LockMutex = lock_mutex;
	args.UnlockMutex = unlock_mutex;
	OK(p11->C_Initialize(&args));
	IS(p11->C_Initialize(&args), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	locked = 0;
	OK(p11->C_GetInfo(&info));
	assert_true(locked > 0);
	IS(p11->C_Finalize(&args), CKR_ARGUMENTS_BAD);
	OK(p11->C_Finalize(NULL));
	assert_int_equal(locked, unlocked);
	assert_int_equal(created, destroyed);
	args.flags = CKF_OS_LOCKING_OK;
	OK(p11->C_Initialize(&args));
	end();

	load("cant-lock");
	IS(p11->C_Initialize(&args), CKR_CANT_LOCK);
	OK(p11->C_Initialize(NULL));
	end();
}

static void finalize_forgets_sessions_and_login(void **state)
{
	CK_SESSION_HANDLE session, later;
	CK_SESSION_INFO info;

	(void)state;
	begin("");
	session = user_session();
	make_data(session, "stays", CK_TRUE, CK_FALSE);
	OK(p11->C_Finalize(NULL));
	OK(p11->C_Initialize(NULL));
	/* The new handle may be the old number: only one of them is open. */
	later = open_session(0, 0);
	IS(p11->C_CloseSession(later + 1), CKR_SESSION_HANDLE_INVALID);
	OK(p11->C_GetSessionInfo(later, &info));
	assert_int_equal(info.state, CKS_RO_PUBLIC_SESSION);
	{
		CK_OBJECT_HANDLE found[4];
		CK_TOKEN_INFO token;

		assert_int_equal(find_all(later, NULL, 0, found, 4), 1);
		OK(p11->C_GetTokenInfo(0, &token));
		assert_int_equal(token.ulSessionCount, 1);
	}
	end();
}

/* Locks of ours: the waiting thread's first unlocking says that it is in C_WaitForSlotEvent. */
static pthread_mutex_t own_mutex = PTHREAD_MUTEX_INITIALIZER;
static sem_t waiting;
static _Thread_local bool is_waiter;

static CK_RV own_create(CK_VOID_PTR_PTR mutex)
{
	*mutex = &own_mutex;
	return CKR_OK;
}

static CK_RV own_destroy(CK_VOID_PTR mutex)
{
	(void)mutex;
	return CKR_OK;
}

static CK_RV own_lock(CK_VOID_PTR mutex)
{
	pthread_mutex_lock(mutex);
	return CKR_OK;
}

static CK_RV own_unlock(CK_VOID_PTR mutex)
{
	pthread_mutex_unlock(mutex);
	if (is_waiter)
		sem_post(&waiting);
	return CKR_OK;
}

static void *wait_for_event(void *result)
{
	CK_SLOT_ID slot;

	is_waiter = true;
	*(CK_RV *)result = p11->C_WaitForSlotEvent(0, &slot, NULL);
	/* Wake the test if it never came to that. */
	sem_post(&waiting);
	return NULL;
}

static void finalize_wakes_who_waits(void **state)
{
	CK_C_INITIALIZE_ARGS args = { own_create, own_destroy, own_lock, own_unlock, 0, NULL };
	pthread_t thread;
	CK_RV rv = CKR_OK;

	(void)state;
	load("");
	sem_init(&waiting, 0, 0);
	OK(p11->C_Initialize(&args));
	assert_int_equal(pthread_create(&thread, NULL, wait_for_event, &rv), 0);
	sem_wait(&waiting);
	OK(p11->C_Finalize(NULL));
	pthread_join(thread, NULL);
	IS(rv, CKR_CRYPTOKI_NOT_INITIALIZED);
	unload();
}

static void a_child_begins_anew(void **state)
{
	CK_SESSION_HANDLE session;
	CK_INFO info;
	pid_t child;
	int status;

	(void)state;
	begin("");
	session = user_session();
	child = fork();
	if (child == 0) {
		CK_SESSION_INFO session_info;
		CK_RV first = p11->C_GetInfo(&info), second = p11->C_Initialize(NULL);

		if (first != CKR_CRYPTOKI_NOT_INITIALIZED || second != CKR_OK)
			_exit(1);
		if (p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK ||
		    p11->C_GetSessionInfo(session, &session_info) != CKR_OK)
			_exit(2);
		_exit(session_info.state == CKS_RO_PUBLIC_SESSION ? 0 : 3);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* The parent goes on. */
	OK(p11->C_Logout(session));
	end();
}

/* ---- slots and tokens ------------------------------------------------------------------------------------ */

static void texts_are_padded(void **state)
{
	CK_INFO info;
	CK_SLOT_INFO slot;
	CK_TOKEN_INFO token;

	(void)state;
	begin("");
	OK(p11->C_GetInfo(&info));
	assert_memory_equal(info.manufacturerID, "p11tape                         ", 32);
	assert_int_equal(info.flags, 0);
	assert_int_equal(info.cryptokiVersion.major, 3);
	OK(p11->C_GetSlotInfo(0, &slot));
	assert_int_equal(slot.slotDescription[63], ' ');
	OK(p11->C_GetTokenInfo(0, &token));
	assert_memory_equal(token.label, "mock                            ", 32);
	assert_int_equal(token.flags & CKF_SECONDARY_AUTHENTICATION, 0);
	assert_int_equal(token.flags & (CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED),
	                 CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED);
	IS(p11->C_GetInfo(NULL), CKR_ARGUMENTS_BAD);
	IS(p11->C_GetSlotInfo(0, NULL), CKR_ARGUMENTS_BAD);
	IS(p11->C_GetTokenInfo(0, NULL), CKR_ARGUMENTS_BAD);
	end();
}

static void slots_are_listed(void **state)
{
	CK_SLOT_ID slots[4] = { 99, 99, 99, 99 };
	CK_SESSION_HANDLE session;
	CK_SLOT_INFO info;
	CK_TOKEN_INFO token;
	CK_UTF8CHAR label[32] = "";
	CK_ULONG count = 0;

	(void)state;
	begin("slots=3");
	OK(p11->C_GetSlotList(CK_FALSE, NULL, &count));
	assert_int_equal(count, 3);
	OK(p11->C_GetSlotList(CK_TRUE, NULL, &count));
	assert_int_equal(count, 2);
	count = 1;
	IS(p11->C_GetSlotList(CK_FALSE, slots, &count), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(count, 3);
	assert_int_equal(slots[1], 99);
	OK(p11->C_GetSlotList(CK_FALSE, slots, &count));
	IS(p11->C_GetSlotList(CK_FALSE, NULL, NULL), CKR_ARGUMENTS_BAD);
	OK(p11->C_GetSlotInfo(2, &info));
	assert_int_equal(info.flags, CKF_REMOVABLE_DEVICE);
	OK(p11->C_GetSlotInfo(0, &info));
	assert_int_equal(info.flags, CKF_TOKEN_PRESENT);
	IS(p11->C_GetSlotInfo(3, &info), CKR_SLOT_ID_INVALID);
	IS(p11->C_GetTokenInfo(3, &token), CKR_SLOT_ID_INVALID);
	IS(p11->C_GetTokenInfo(2, &token), CKR_TOKEN_NOT_PRESENT);
	IS(p11->C_GetMechanismList(2, NULL, &count), CKR_TOKEN_NOT_PRESENT);
	IS(p11->C_InitToken(2, label, 4, label), CKR_TOKEN_NOT_PRESENT);
	IS(p11->C_OpenSession(2, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_TOKEN_NOT_PRESENT);
	IS(p11->C_CloseAllSessions(2), CKR_TOKEN_NOT_PRESENT);
	end();
}

static void events_are_told_once(void **state)
{
	char path[] = "/tmp/p11tape-mock-XXXXXX", words[64];
	int fd = mkstemp(path);
	CK_SESSION_HANDLE session;
	CK_SESSION_INFO info;
	CK_TOKEN_INFO token;
	CK_SLOT_ID slot = 99;

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	snprintf(words, sizeof(words), "hotplug=%s", path);
	begin(words);
	IS(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
	session = user_session();
	unlink(path);
	IS(p11->C_GetSessionInfo(session, &info), CKR_SESSION_HANDLE_INVALID);
	OK(p11->C_WaitForSlotEvent(0, &slot, NULL));
	assert_int_equal(slot, 0);
	IS(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL), CKR_NO_EVENT);
	IS(p11->C_GetTokenInfo(0, &token), CKR_TOKEN_NOT_PRESENT);
	IS(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &slot), CKR_ARGUMENTS_BAD);
	fclose(fopen(path, "w"));
	OK(p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL));
	session = open_session(0, 0);
	OK(p11->C_GetSessionInfo(session, &info));
	assert_int_equal(info.state, CKS_RO_PUBLIC_SESSION);
	unlink(path);
	end();
}

static void mechanisms_are_listed(void **state)
{
	CK_MECHANISM_TYPE types[256];
	CK_MECHANISM_INFO info;
	CK_ULONG count = 0, again;

	(void)state;
	begin("");
	OK(p11->C_GetMechanismList(0, NULL, &count));
	again = 1;
	IS(p11->C_GetMechanismList(0, types, &again), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(again, count);
	assert_true(count > 100 && count < 256);
	memset(types, 0xff, sizeof(types));
	OK(p11->C_GetMechanismList(0, types, &again));
	for (CK_ULONG i = 0; i < again; i++) {
		const struct tape_mechanism *row = tape_mechanism_find(types[i]);

		/* Each is one of the standard's, and all functions but those of its kind are 0. */
		assert_non_null(row);
		OK(p11->C_GetMechanismInfo(0, types[i], &info));
		assert_int_equal(info.flags & CKF_EXTENSION, 0);
		assert_true(!(info.flags & CKF_SIGN) || (row->uses & TAPE_USE_SIGN));
		assert_true(!(info.flags & CKF_ENCRYPT) || (row->uses & TAPE_USE_ENCRYPT));
		assert_true(!(info.flags & CKF_DIGEST) || (row->uses & TAPE_USE_DIGEST));
		assert_true(!(info.flags & CKF_WRAP) || (row->uses & TAPE_USE_WRAP));
		assert_true(!(info.flags & CKF_DERIVE) || (row->uses & TAPE_USE_DERIVE));
		assert_true(!(info.flags & CKF_GENERATE) || (row->uses & TAPE_USE_KEY));
		assert_true(!(info.flags & CKF_GENERATE_KEY_PAIR) ||
		            (row->uses & TAPE_USE_KEY_PAIR));
		assert_true(!(info.flags & CKF_ENCAPSULATE) || (row->uses & TAPE_USE_ENCAPSULATE));
		assert_true(!(info.flags & CKF_MESSAGE_ENCRYPT) || (row->uses & TAPE_USE_MESSAGE));
		assert_true(!(info.flags & CKF_MULTI_MESSAGE) ||
		            (info.flags & (CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_SIGN)));
	}
	IS(p11->C_GetMechanismInfo(0, CKM_VENDOR_DEFINED, &info), CKR_MECHANISM_INVALID);
	end();
	begin("mechanisms=CKM_SHA256+CKM_AES_CBC");
	OK(p11->C_GetMechanismList(0, NULL, &count));
	assert_int_equal(count, 2);
	end();
}

/* ---- PINs ------------------------------------------------------------------------------------------------ */

static CK_UTF8CHAR so_pin[] = "12345678", user_pin[] = "1234", other_pin[] = "abcdef",
		   short_pin[] = "12";

static void tokens_are_initialised(void **state)
{
	CK_UTF8CHAR label[] = "a new label                     ";
	CK_ATTRIBUTE keep[] = { A_AT(CKA_CLASS, class_data), A_AT(CKA_TOKEN, yes),
		                A_AT(CKA_DESTROYABLE, no) };
	CK_OBJECT_HANDLE kept, found[4];
	CK_SESSION_HANDLE session;
	CK_TOKEN_INFO info;

	(void)state;
	begin("");
	session = user_session();
	make_data(session, "goes", CK_TRUE, CK_FALSE);
	OK(p11->C_CreateObject(session, keep, COUNT(keep), &kept));
	IS(p11->C_InitToken(0, so_pin, 8, label), CKR_SESSION_EXISTS);
	OK(p11->C_CloseAllSessions(0));
	IS(p11->C_InitToken(0, other_pin, 6, label), CKR_PIN_INCORRECT);
	OK(p11->C_InitToken(0, so_pin, 8, label));
	OK(p11->C_GetTokenInfo(0, &info));
	assert_memory_equal(info.label, label, 32);
	assert_int_equal(info.flags & CKF_USER_PIN_INITIALIZED, 0);
	session = open_session(0, CKF_RW_SESSION);
	assert_int_equal(find_all(session, NULL, 0, found, 4), 1);
	IS(try_log_in(session, CKU_USER, "1234"), CKR_USER_PIN_NOT_INITIALIZED);
	IS(p11->C_InitPIN(session, user_pin, 4), CKR_USER_NOT_LOGGED_IN);
	log_in(session, CKU_SO, "12345678");
	IS(p11->C_InitPIN(session, short_pin, 2), CKR_PIN_LEN_RANGE);
	OK(p11->C_InitPIN(session, other_pin, 6));
	OK(p11->C_Logout(session));
	log_in(session, CKU_USER, "abcdef");
	end();

	begin("token=uninitialised");
	OK(p11->C_GetTokenInfo(0, &info));
	assert_int_equal(info.flags & CKF_TOKEN_INITIALIZED, 0);
	OK(p11->C_InitToken(0, other_pin, 6, label));
	session = open_session(0, CKF_RW_SESSION);
	log_in(session, CKU_SO, "abcdef");
	end();

	begin("write-protected");
	IS(p11->C_InitToken(0, so_pin, 8, label), CKR_TOKEN_WRITE_PROTECTED);
	end();
}

static void pins_are_changed(void **state)
{
	CK_SESSION_HANDLE session, reader;

	(void)state;
	begin("");
	reader = open_session(0, 0);
	IS(p11->C_SetPIN(reader, user_pin, 4, other_pin, 6), CKR_SESSION_READ_ONLY);
	session = open_session(0, CKF_RW_SESSION);
	IS(p11->C_SetPIN(session, other_pin, 6, user_pin, 4), CKR_PIN_INCORRECT);
	IS(p11->C_SetPIN(session, user_pin, 4, short_pin, 2), CKR_PIN_LEN_RANGE);
	OK(p11->C_SetPIN(session, user_pin, 4, other_pin, 6));
	IS(try_log_in(session, CKU_USER, "1234"), CKR_PIN_INCORRECT);
	log_in(session, CKU_USER, "abcdef");
	OK(p11->C_SetPIN(session, other_pin, 6, user_pin, 4));
	OK(p11->C_Logout(session));
	OK(p11->C_CloseSession(reader));
	log_in(session, CKU_SO, "12345678");
	OK(p11->C_SetPIN(session, so_pin, 8, other_pin, 6));
	OK(p11->C_Logout(session));
	log_in(session, CKU_SO, "abcdef");
	end();
}

static void pins_lock(void **state)
{
	CK_SESSION_HANDLE session;
	CK_TOKEN_INFO info;

	(void)state;
	begin("");
	session = open_session(0, 0);
	IS(try_log_in(session, CKU_USER, "0000"), CKR_PIN_INCORRECT);
	OK(p11->C_GetTokenInfo(0, &info));
	assert_true(info.flags & CKF_USER_PIN_COUNT_LOW);
	IS(try_log_in(session, CKU_USER, "0000"), CKR_PIN_INCORRECT);
	OK(p11->C_GetTokenInfo(0, &info));
	assert_true(info.flags & CKF_USER_PIN_FINAL_TRY);
	IS(try_log_in(session, CKU_USER, "0000"), CKR_PIN_INCORRECT);
	OK(p11->C_GetTokenInfo(0, &info));
	assert_true(info.flags & CKF_USER_PIN_LOCKED);
	IS(try_log_in(session, CKU_USER, "1234"), CKR_PIN_LOCKED);
	end();
}

static void expired_pins_open_nothing(void **state)
{
	CK_SESSION_HANDLE session;
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_data), A_AT(CKA_PRIVATE, yes) };
	CK_OBJECT_HANDLE object;

	(void)state;
	begin("pin-to-be-changed");
	session = user_session();
	IS(p11->C_CreateObject(session, template, COUNT(template), &object), CKR_PIN_EXPIRED);
	OK(p11->C_SetPIN(session, user_pin, 4, other_pin, 6));
	OK(p11->C_CreateObject(session, template, COUNT(template), &object));
	end();
}

static void a_keypad_takes_pins(void **state)
{
	CK_SESSION_HANDLE session;

	(void)state;
	begin("");
	session = open_session(0, 0);
	IS(p11->C_Login(session, CKU_USER, NULL, 0), CKR_ARGUMENTS_BAD);
	end();
	begin("protected-path");
	session = open_session(0, CKF_RW_SESSION);
	OK(p11->C_Login(session, CKU_USER, NULL, 0));
	end();
}

/* ---- sessions ----------------------------------------------------------------------------------------------- */

static CK_STATE state_of(CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	OK(p11->C_GetSessionInfo(session, &info));
	assert_true(info.flags & CKF_SERIAL_SESSION);
	assert_int_equal(info.slotID, 0);
	return info.state;
}

static void sessions_follow_the_login(void **state)
{
	CK_SESSION_HANDLE reader, writer, later;

	(void)state;
	begin("");
	reader = open_session(0, 0);
	writer = open_session(0, CKF_RW_SESSION);
	assert_int_equal(state_of(reader), CKS_RO_PUBLIC_SESSION);
	assert_int_equal(state_of(writer), CKS_RW_PUBLIC_SESSION);
	log_in(reader, CKU_USER, "1234");
	assert_int_equal(state_of(reader), CKS_RO_USER_FUNCTIONS);
	assert_int_equal(state_of(writer), CKS_RW_USER_FUNCTIONS);
	later = open_session(0, CKF_RW_SESSION);
	assert_int_equal(state_of(later), CKS_RW_USER_FUNCTIONS);
	OK(p11->C_Logout(later));
	assert_int_equal(state_of(reader), CKS_RO_PUBLIC_SESSION);
	IS(try_log_in(writer, CKU_SO, "12345678"), CKR_SESSION_READ_ONLY_EXISTS);
	OK(p11->C_CloseSession(reader));
	log_in(writer, CKU_SO, "12345678");
	assert_int_equal(state_of(writer), CKS_RW_SO_FUNCTIONS);
	IS(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &reader),
	   CKR_SESSION_READ_WRITE_SO_EXISTS);
	end();
}

static void sessions_are_refused(void **state)
{
	CK_SESSION_HANDLE session;
	CK_SESSION_INFO info;

	(void)state;
	begin("max-sessions=1");
	IS(p11->C_OpenSession(0, 0, NULL, NULL, &session), CKR_SESSION_PARALLEL_NOT_SUPPORTED);
	IS(p11->C_OpenSession(9, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_SLOT_ID_INVALID);
	IS(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, NULL), CKR_ARGUMENTS_BAD);
	IS(p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_ASYNC_SESSION, NULL, NULL, &session),
	   CKR_SESSION_ASYNC_NOT_SUPPORTED);
	session = open_session(0, 0);
	assert_int_not_equal(session, CK_INVALID_HANDLE);
	IS(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_SESSION_COUNT);
	OK(p11->C_CloseSession(session));
	IS(p11->C_CloseSession(session), CKR_SESSION_HANDLE_INVALID);
	IS(p11->C_GetSessionInfo(session, &info), CKR_SESSION_HANDLE_INVALID);
	session = open_session(0, 0);
	IS(p11->C_GetFunctionStatus(session), CKR_FUNCTION_NOT_PARALLEL);
	IS(p11->C_CancelFunction(session), CKR_FUNCTION_NOT_PARALLEL);
	end();
	begin("write-protected");
	IS(p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
	   CKR_TOKEN_WRITE_PROTECTED);
	session = open_session(0, 0);
	{
		CK_ATTRIBUTE token[] = { A_AT(CKA_CLASS, class_data), A_AT(CKA_TOKEN, yes) };
		CK_OBJECT_HANDLE object;

		IS(p11->C_CreateObject(session, token, COUNT(token), &object),
		   CKR_TOKEN_WRITE_PROTECTED);
	}
	end();
}

static void closing_takes_objects_and_login(void **state)
{
	CK_SESSION_HANDLE first, second, other;
	CK_OBJECT_HANDLE found[4];

	(void)state;
	begin("slots=2");
	other = open_session(1, 0);
	first = user_session();
	second = open_session(0, CKF_RW_SESSION);
	make_data(first, "first's", CK_FALSE, CK_FALSE);
	assert_int_equal(find_all(second, NULL, 0, found, 4), 1);
	OK(p11->C_CloseSession(first));
	assert_int_equal(find_all(second, NULL, 0, found, 4), 0);
	assert_int_equal(state_of(second), CKS_RW_USER_FUNCTIONS);
	OK(p11->C_CloseSession(second));
	first = open_session(0, CKF_RW_SESSION);
	assert_int_equal(state_of(first), CKS_RW_PUBLIC_SESSION);
	second = open_session(0, CKF_RW_SESSION);
	log_in(first, CKU_USER, "1234");
	OK(p11->C_CloseAllSessions(0));
	IS(p11->C_CloseSession(first), CKR_SESSION_HANDLE_INVALID);
	IS(p11->C_CloseSession(second), CKR_SESSION_HANDLE_INVALID);
	assert_int_equal(state_of(open_session(0, 0)), CKS_RO_PUBLIC_SESSION);
	OK(p11->C_CloseSession(other));
	end();
}

static void logins_are_refused(void **state)
{
	CK_SESSION_HANDLE session;

	(void)state;
	begin("");
	session = open_session(0, CKF_RW_SESSION);
	IS(p11->C_Logout(session), CKR_USER_NOT_LOGGED_IN);
	IS(try_log_in(session, 7, "1234"), CKR_USER_TYPE_INVALID);
	IS(try_log_in(session, CKU_USER, "12345"), CKR_PIN_INCORRECT);
	assert_int_equal(state_of(session), CKS_RW_PUBLIC_SESSION);
	IS(try_log_in(session, CKU_CONTEXT_SPECIFIC, "1234"), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_LoginUser(session, CKU_USER, user_pin, 4, other_pin, 6));
	IS(try_log_in(session, CKU_USER, "1234"), CKR_USER_ALREADY_LOGGED_IN);
	IS(try_log_in(session, CKU_SO, "12345678"), CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
	end();
	begin("token=user-pin-locked");
	IS(try_log_in(open_session(0, 0), CKU_USER, "1234"), CKR_PIN_LOCKED);
	end();
	begin("token=no-user-pin");
	session = open_session(0, CKF_RW_SESSION);
	IS(try_log_in(session, CKU_USER, "1234"), CKR_USER_PIN_NOT_INITIALIZED);
	end();
}

/* The objects of one kind that a session sees, by class of session (Usage Guide, Access to objects). */
static void access_follows_the_state(void **state)
{
	CK_SESSION_HANDLE writer, reader;
	CK_OBJECT_HANDLE found[8], private, object;
	CK_ATTRIBUTE secret[] = { A_AT(CKA_CLASS, class_data), A_AT(CKA_PRIVATE, yes) };
	CK_ATTRIBUTE token[] = { A_AT(CKA_CLASS, class_data), A_AT(CKA_TOKEN, yes) };

	(void)state;
	begin("");
	writer = open_session(0, CKF_RW_SESSION);
	IS(p11->C_CreateObject(writer, secret, COUNT(secret), &object), CKR_USER_NOT_LOGGED_IN);
	reader = open_session(0, 0);
	IS(p11->C_CreateObject(reader, token, COUNT(token), &object), CKR_SESSION_READ_ONLY);
	log_in(writer, CKU_USER, "1234");
	make_data(writer, "public", CK_TRUE, CK_FALSE);
	private = make_data(writer, "private", CK_TRUE, CK_TRUE);
	make_data(writer, "session", CK_FALSE, CK_TRUE);
	assert_int_equal(find_all(reader, NULL, 0, found, 8), 3);
	IS(p11->C_DestroyObject(reader, private), CKR_SESSION_READ_ONLY);
	{
		CK_ATTRIBUTE label = A_BYTES(CKA_LABEL, "other");

		IS(p11->C_SetAttributeValue(reader, private, &label, 1), CKR_SESSION_READ_ONLY);
	}
	OK(p11->C_Logout(writer));
	assert_int_equal(find_all(reader, NULL, 0, found, 8), 1);
	assert_int_equal(find_all(reader, secret, COUNT(secret), found, 8), 0);
	IS(p11->C_DestroyObject(writer, private), CKR_OBJECT_HANDLE_INVALID);
	log_in(writer, CKU_USER, "1234");
	/* The old handle is dead for good; the session object is gone. */
	IS(p11->C_DestroyObject(writer, private), CKR_OBJECT_HANDLE_INVALID);
	assert_int_equal(find_all(reader, NULL, 0, found, 8), 2);
	OK(p11->C_CloseSession(reader));
	OK(p11->C_Logout(writer));
	log_in(writer, CKU_SO, "12345678");
	assert_int_equal(find_all(writer, NULL, 0, found, 8), 1);
	end();
	begin("no-login");
	make_data(open_session(0, CKF_RW_SESSION), "private", CK_TRUE, CK_TRUE);
	end();
	begin("read-only");
	IS(p11->C_CreateObject(open_session(0, 0), token, COUNT(token), &object),
	   CKR_FUNCTION_NOT_SUPPORTED);
	end();
	begin("handles=huge");
	assert_true(open_session(0, 0) > 0xffffUL);
	end();
}

static void tokens_are_stored(void **state)
{
	char path[] = "/tmp/p11tape-mock-XXXXXX", words[64];
	CK_ATTRIBUTE inner[] = { A_BYTES(CKA_LABEL, "in it") };
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret),
		                    A_AT(CKA_KEY_TYPE, type_aes),
		                    A_AT(CKA_TOKEN, yes),
		                    A_BYTES(CKA_VALUE, "0123456789abcdef"),
		                    { CKA_WRAP_TEMPLATE, inner, sizeof(inner) } };
	CK_ATTRIBUTE items[1] = { { 0 } };
	CK_ATTRIBUTE read = { CKA_WRAP_TEMPLATE, items, sizeof(items) };
	CK_OBJECT_HANDLE found[4], object;
	CK_SESSION_HANDLE session;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	snprintf(words, sizeof(words), "store=%s", path);
	begin(words);
	session = user_session();
	OK(p11->C_CreateObject(session, template, COUNT(template), &object));
	make_data(session, "of the session", CK_FALSE, CK_FALSE);
	OK(p11->C_SetPIN(session, user_pin, 4, other_pin, 6));
	end();
	begin(words);
	session = open_session(0, 0);
	log_in(session, CKU_USER, "abcdef");
	assert_int_equal(find_all(session, NULL, 0, found, 4), 1);
	OK(p11->C_GetAttributeValue(session, found[0], &read, 1));
	assert_int_equal(items[0].ulValueLen, 5);
	end();
	assert_int_equal(truncate(path, 100), 0);
	load(words);
	assert_int_not_equal(p11->C_Initialize(NULL), CKR_OK);
	unload();
	unlink(path);
}

#define THREADS 4

static void *work(void *result)
{
	CK_BYTE data[100] = { 0 }, digest[32];
	CK_MECHANISM sha = { CKM_SHA256, NULL, 0 };
	CK_RV rv = CKR_OK;

	for (int i = 0; i < 50 && rv == CKR_OK; i++) {
		CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_data), A_AT(CKA_TOKEN, yes) };
		CK_OBJECT_HANDLE object = 0;
		CK_SESSION_HANDLE session = 0;
		CK_ULONG n = sizeof(digest);

		rv = p11->C_OpenSession(0, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
		                        &session);
		if (rv == CKR_OK)
			rv = p11->C_CreateObject(session, template, 2, &object);
		if (rv == CKR_OK)
			rv = p11->C_DigestInit(session, &sha);
		if (rv == CKR_OK)
			rv = p11->C_Digest(session, data, sizeof(data), digest, &n);
		if (rv == CKR_OK)
			rv = p11->C_DestroyObject(session, object);
		if (rv == CKR_OK)
			rv = p11->C_CloseSession(session);
	}
	*(CK_RV *)result = rv;
	return NULL;
}

static void threads_share_a_token(void **state)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	pthread_t threads[THREADS];
	CK_RV results[THREADS];

	(void)state;
	load("");
	OK(p11->C_Initialize(&args));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &results[i]), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		OK(results[i]);
	}
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(function_lists_are_whole),
		cmocka_unit_test(interfaces_are_chosen),
		cmocka_unit_test(versions_hide_what_is_newer),
		cmocka_unit_test(every_function_wants_initialize),
		cmocka_unit_test(every_session_function_wants_a_session),
		cmocka_unit_test(initialize_reads_its_arguments),
		cmocka_unit_test(finalize_forgets_sessions_and_login),
		cmocka_unit_test(finalize_wakes_who_waits),
		cmocka_unit_test(a_child_begins_anew),
		cmocka_unit_test(tokens_are_stored),
		cmocka_unit_test(threads_share_a_token),
		cmocka_unit_test(texts_are_padded),
		cmocka_unit_test(slots_are_listed),
		cmocka_unit_test(events_are_told_once),
		cmocka_unit_test(mechanisms_are_listed),
		cmocka_unit_test(tokens_are_initialised),
		cmocka_unit_test(pins_are_changed),
		cmocka_unit_test(pins_lock),
		cmocka_unit_test(expired_pins_open_nothing),
		cmocka_unit_test(a_keypad_takes_pins),
		cmocka_unit_test(sessions_follow_the_login),
		cmocka_unit_test(sessions_are_refused),
		cmocka_unit_test(closing_takes_objects_and_login),
		cmocka_unit_test(logins_are_refused),
		cmocka_unit_test(access_follows_the_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
