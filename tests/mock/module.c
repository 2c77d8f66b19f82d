/* SPDX-License-Identifier: MIT
 *
 * The module's outside: the exported functions, each of which takes the lock and looks its session up
 * before the mock_C_ function does the work; function lists and interfaces; C_Initialize, C_Finalize.
 */
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/mock/mock.h"

/* ---- the lock (§5.4.1) ------------------------------------------------------------------------------ */

/* The application's callbacks, where only those may be used; else the pthread mutex. */
static CK_C_INITIALIZE_ARGS callbacks;
static CK_VOID_PTR callback_mutex;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
/* Guards C_Initialize and C_Finalize against each other. */
static pthread_mutex_t beginning = PTHREAD_MUTEX_INITIALIZER;

static atomic_bool initialised;
static atomic_ulong generation;
static pid_t process;

void mock_lock(void)
{
	if (FAULT(mutex_callbacks_unused))
		return;
	if (callbacks.LockMutex)
		callbacks.LockMutex(callback_mutex);
	else
		pthread_mutex_lock(&mutex);
}

void mock_unlock(void)
{
	if (FAULT(mutex_callbacks_unused))
		return;
	if (callbacks.UnlockMutex)
		callbacks.UnlockMutex(callback_mutex);
	else
		pthread_mutex_unlock(&mutex);
}

unsigned long mock_generation(void)
{
	return atomic_load(&generation);
}

/* A forked child has not called C_Initialize (Usage Guide, Applications and processes). */
static bool ready(void)
{
	if (!atomic_load(&initialised))
		return false;
	return process == getpid() || FAULT(fork_keeps_initialised);
}

/* ---- lists and interfaces (§5.4.4 to §5.4.6) --------------------------------------------------------- */

#define CK_FN(name, major, minor, ...) .name = name,
static CK_FUNCTION_LIST_3_2 list_3_2 = {
	.version = { 3, 2 },
#include "core/api/functions.def"
};
#undef CK_FN
static CK_FUNCTION_LIST_3_0 list_3_0;
static CK_FUNCTION_LIST list_2_40;

static CK_UTF8CHAR standard[] = "PKCS 11";
static CK_INTERFACE interfaces[3];
static CK_ULONG interface_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A list is the beginning of the next longer one (§3.6.4 to §3.6.6). */
static void fill_lists(void)
{
	mock_config_read();
	memcpy(&list_2_40, &list_3_2, sizeof(list_2_40));
	memcpy(&list_3_0, &list_3_2, sizeof(list_3_0));
	list_2_40.version = (CK_VERSION){ 2, 40 };
	list_3_0.version = (CK_VERSION){ 3, mock_has_version(3, 1) ? 1 : 0 };
	if (FAULT(list_version_wrong))
		list_2_40.version = (CK_VERSION){ 3, 2 };
	if (FAULT(interface_version_wrong))
		list_3_2.version = (CK_VERSION){ 3, 0 };
	if (FAULT(list_has_null)) {
		list_2_40.C_GetOperationState = NULL;
		list_3_0.C_GetOperationState = NULL;
		list_3_2.C_GetOperationState = NULL;
	}

	/* The first is the default (§5.4.6). */
	if (mock_has_version(3, 2))
		interfaces[interface_count++] = (CK_INTERFACE){ standard, &list_3_2, 0 };
	if (mock_has_version(3, 0))
		interfaces[interface_count++] = (CK_INTERFACE){ standard, &list_3_0, 0 };
	interfaces[interface_count++] = (CK_INTERFACE){ standard, &list_2_40, 0 };
}

CK_RV mock_C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
	if (!ppFunctionList)
		return CKR_ARGUMENTS_BAD;
	if (FAULT(list_needs_initialize) && !ready())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	*ppFunctionList = &list_2_40;
	return CKR_OK;
}

CK_RV mock_C_GetInterfaceList(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount)
{
	CK_ULONG room;

	if (!pulCount)
		return CKR_ARGUMENTS_BAD;
	room = *pulCount;
	if (!pInterfacesList && room < interface_count && FAULT(interface_list_wants_room))
		return CKR_BUFFER_TOO_SMALL;
	if (pInterfacesList && room < interface_count) {
		if (!FAULT(interface_list_count_kept))
			*pulCount = interface_count;
		return CKR_BUFFER_TOO_SMALL;
	}
	*pulCount = interface_count;
	if (pInterfacesList)
		memcpy(pInterfacesList, interfaces, interface_count * sizeof(interfaces[0]));
	return CKR_OK;
}

CK_RV mock_C_GetInterface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion,
                          CK_INTERFACE_PTR_PTR ppInterface, CK_FLAGS flags)
{
	if (!ppInterface)
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < interface_count; i++) {
		const CK_VERSION *version = interfaces[i].pFunctionList;

		if (pInterfaceName && !FAULT(interface_name_ignored) &&
		    strcmp((const char *)pInterfaceName,
		           (const char *)interfaces[i].pInterfaceName) != 0)
			continue;
		if (pVersion && !FAULT(interface_version_ignored) &&
		    (version->major != pVersion->major || version->minor != pVersion->minor))
			continue;
		if ((interfaces[i].flags & flags) != flags && !FAULT(interface_flags_ignored))
			continue;
		*ppInterface = &interfaces[i];
		return CKR_OK;
	}
	/* No code is named for it (§5.4.6). */
	return mock_config.other_codes ? CKR_FUNCTION_FAILED : CKR_ARGUMENTS_BAD;
}

/* ---- C_Initialize and C_Finalize ------------------------------------------------------------------------ */

static CK_RV take_arguments(const CK_C_INITIALIZE_ARGS *args)
{
	int given;

	memset(&callbacks, 0, sizeof(callbacks));
	if (!args)
		return CKR_OK;
	if (args->pReserved && !FAULT(initialize_accepts_reserved))
		return CKR_ARGUMENTS_BAD;
	given = (args->CreateMutex != NULL) + (args->DestroyMutex != NULL) +
	        (args->LockMutex != NULL) + (args->UnlockMutex != NULL);
	if (given != 0 && given != 4) {
		if (FAULT(initialize_accepts_some_mutexes))
			return CKR_OK;
		return CKR_ARGUMENTS_BAD;
	}
	if (mock_config.cant_lock && (given == 4 || (args->flags & CKF_OS_LOCKING_OK)))
		return CKR_CANT_LOCK;
	/* With both, either means will do (case 4); we take the system's. */
	if (given == 4 && !(args->flags & CKF_OS_LOCKING_OK)) {
		CK_RV rv;

		callbacks = *args;
		rv = callbacks.CreateMutex(&callback_mutex);
		if (rv != CKR_OK) {
			memset(&callbacks, 0, sizeof(callbacks));
			return rv == CKR_HOST_MEMORY ? rv : CKR_GENERAL_ERROR;
		}
	}
	return CKR_OK;
}

static void drop_arguments(void)
{
	if (callbacks.DestroyMutex)
		callbacks.DestroyMutex(callback_mutex);
	memset(&callbacks, 0, sizeof(callbacks));
}

#ifdef __GLIBC__
/* Not undone by dlclose(), unlike atexit(): at the program's end nothing is here any more. */
static void at_exit(int status, void *context)
{
	(void)status;
	(void)context;
}
#endif

CK_RV mock_C_Initialize(CK_VOID_PTR pInitArgs)
{
	CK_RV rv = CKR_OK;

	pthread_mutex_lock(&beginning);
	if (ready()) {
		rv = FAULT(initialize_twice_succeeds) ? CKR_OK : CKR_CRYPTOKI_ALREADY_INITIALIZED;
		goto out;
	}
	if (atomic_load(&initialised)) {
		/* A child of a fork: what its parent had is not its own, and nobody holds the lock. */
		pthread_mutex_init(&mutex, NULL);
		memset(&callbacks, 0, sizeof(callbacks));
		mock_state_end();
		atomic_store(&initialised, false);
	}
	if (!mock_config_read()) {
		rv = CKR_GENERAL_ERROR;
		goto out;
	}
	rv = take_arguments(pInitArgs);
	if (rv != CKR_OK)
		goto out;
	if (!mock_state_begin()) {
		drop_arguments();
		rv = CKR_HOST_MEMORY;
		goto out;
	}
#ifdef __GLIBC__
	if (FAULT(crash_after_unload))
		on_exit(at_exit, NULL);
#endif
	process = getpid();
	atomic_store(&initialised, true);
out:
	pthread_mutex_unlock(&beginning);
	return rv;
}

CK_RV mock_C_Finalize(CK_VOID_PTR pReserved)
{
	CK_RV rv = CKR_OK;

	pthread_mutex_lock(&beginning);
	if (!ready()) {
		rv = FAULT(finalize_without_initialize) ? CKR_OK : CKR_CRYPTOKI_NOT_INITIALIZED;
	} else if (pReserved && !FAULT(finalize_accepts_reserved)) {
		rv = CKR_ARGUMENTS_BAD;
	} else {
		mock_lock();
		atomic_fetch_add(&generation, 1);
		atomic_store(&initialised, false);
		if (!FAULT(finalize_leaves_waiter))
			mock_wake();
		mock_state_end();
		if (FAULT(hang_after_finalize))
			pthread_mutex_lock(&mutex);
		mock_unlock();
		drop_arguments();
	}
	pthread_mutex_unlock(&beginning);
	return rv;
}

__attribute__((destructor)) static void unload(void)
{
	if (FAULT(crash_after_unload))
		return;
	mock_state_unload();
}

/* ---- the exported functions ---------------------------------------------------------------------------------- */

/* These look after the lock and the state of initialisation themselves. */
static bool enters_freely(enum tape_function_id function)
{
	return tape_functions[function].finds || function == TAPE_FN_C_Initialize ||
	       function == TAPE_FN_C_Finalize;
}

static bool supported(enum tape_function_id function)
{
	return mock_has_version(tape_functions[function].major, tape_functions[function].minor);
}

/* The codes that rank before all others (§5.1.7): of the library, then of the session. */
static CK_RV enter(enum tape_function_id function, const uintptr_t *words)
{
	const struct tape_function *row = &tape_functions[function];

	pthread_once(&once, fill_lists);
	if (!supported(function))
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (enters_freely(function))
		return CKR_OK;
	if (!ready()) {
		if (FAULT(hang_after_finalize) && mock_generation() > 0)
			pthread_mutex_lock(&mutex);
		return FAULT(not_initialized_wrong_code) ? CKR_GENERAL_ERROR
		                                         : CKR_CRYPTOKI_NOT_INITIALIZED;
	}
	mock_lock();
	if (!ready()) {
		mock_unlock();
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	}
	mock_poll_slots();
	if (row->lane >= 0 && !session_find(words[row->arguments[row->lane].word])) {
		mock_unlock();
		return FAULT(bad_session_wrong_code) ? CKR_ARGUMENTS_BAD
		                                     : CKR_SESSION_HANDLE_INVALID;
	}
	return CKR_OK;
}

static CK_RV leave(enum tape_function_id function, CK_RV rv)
{
	/* C_Finalize took the lock from a thread that waited (C_WaitForSlotEvent). */
	if (!enters_freely(function) && rv != CKR_CRYPTOKI_NOT_INITIALIZED)
		mock_unlock();
	return rv;
}

#define CK_FN(name, major, minor, ...)                                            \
	CK_RV name(TAPE_EACH(TAPE_DECL, __VA_ARGS__))                             \
	{                                                                         \
		const uintptr_t words[] = { TAPE_EACH(TAPE_WORDS, __VA_ARGS__) }; \
		CK_RV rv = enter(TAPE_FN_##name, words);                          \
                                                                                  \
		if (rv != CKR_OK)                                                 \
			return rv;                                                \
		rv = mock_##name(TAPE_EACH(TAPE_NAMES, __VA_ARGS__));             \
		return leave(TAPE_FN_##name, rv);                                 \
	}
#include "core/api/functions.def"
#undef CK_FN
