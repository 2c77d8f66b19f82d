/* SPDX-License-Identifier: MIT
 *
 * Processes in every way that Linux makes them, while calls are going on.
 *
 *   robust-fork MODULE hammer COUNT     fork COUNT times while 8 threads call; print what each child did
 *   robust-fork MODULE clones COUNT     the same with raw clone(2), without CLONE_VM
 *   robust-fork MODULE spawns COUNT     the same with posix_spawn() and with vfork(), of this program, which
 *                                       records again
 *   robust-fork MODULE inside COUNT     the same, but the module forks, in the middle of calls
 *   robust-fork MODULE exec             exec of this program, which records again as the same process
 *   robust-fork MODULE daemon FILE      become a daemon, go on calling, make FILE
 *   robust-fork MODULE exit|_exit|term  make calls and end so, without C_Finalize
 *   robust-fork MODULE thread-exit      exit() in a thread, while others are inside calls
 *   robust-fork MODULE main-exit        the first thread ends before the others do
 *
 * Lines printed: "child PID HOW" (HOW is exit, _exit or silent: made no calls), "calls NUMBER" made by
 * the first process.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/robust/robust.h"

#define WORKERS 8
#define VALUE "the module was here"

extern char **environ;

static const char *path;
static CK_FUNCTION_LIST_3_2 *p11;
static CK_C_GetFunctionList get_list;
static atomic_ulong calls;
static atomic_bool stop;
static atomic_int forked_inside; /* children that the module made, not yet waited for */
static _Thread_local bool forks;

#define CALL(call) (atomic_fetch_add(&calls, 1), (call))

static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	if (function == TAPE_FN_C_GetAttributeValue) {
		CK_ATTRIBUTE *attribute = (CK_ATTRIBUTE *)words[2];
		attribute->ulValueLen = sizeof(VALUE);
		memcpy(attribute->pValue, VALUE, sizeof(VALUE));
		return CKR_OK;
	}
	/* Be inside a call for a while: that is where a fork finds most threads of real programs. */
	if (function == TAPE_FN_C_GetSessionInfo)
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	if (function == TAPE_FN_C_GetInfo && forks) {
		fflush(stdout);
		pid_t pid = fork();
		CHECK(pid >= 0);
		atomic_store(&forked_inside, pid);
	}
	return ODD_AS_USUAL;
}

/* Every lock that the recorder has is taken by one of these. */
static void call_around(void)
{
	CK_FUNCTION_LIST *list;
	CK_INFO info = { 0 };
	CK_SESSION_INFO session_info = { 0 };
	CK_SESSION_HANDLE session = 0;
	CK_UTF8CHAR pin[] = "1234";
	unsigned char value[64] = { 0 };
	CK_ATTRIBUTE attribute = { CKA_LABEL, value, sizeof(value) };
	CK_MECHANISM gcm = { CKM_AES_GCM, NULL, 0 };
	CHECK(CALL(get_list(&list)) == CKR_OK);
	CHECK(CALL(p11->C_GetInfo(&info)) == CKR_OK);
	CHECK(CALL(p11->C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &session)) == CKR_OK);
	CHECK(CALL(p11->C_Login(7, CKU_USER, pin, 4)) == CKR_OK);
	CHECK(CALL(p11->C_GetAttributeValue(7, 1, &attribute, 1)) == CKR_OK);
	CHECK(attribute.ulValueLen == sizeof(VALUE) && strcmp((char *)value, VALUE) == 0);
	CHECK(CALL(p11->C_MessageEncryptInit(7, &gcm, 1)) == CKR_OK);
	CHECK(CALL(p11->C_GetSessionInfo(7, &session_info)) == CKR_OK);
}

static void *work(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop))
		call_around();
	return NULL;
}

static void begin(const char *module)
{
	void *handle;
	robust_set_hook(hook);
	p11 = robust_load(module, &handle);
	atomic_fetch_add(&calls, 1);
	robust_symbol(handle, "C_GetFunctionList", &get_list);
	CHECK(CALL(p11->C_Initialize(NULL)) == CKR_OK);
}

/* In a child: `how` says what becomes of it. */
static _Noreturn void live(unsigned int how)
{
	forks = false;
	/* If the recorder hangs we want to know, even where the parent was killed. */
	alarm(50);
	if (how % 3 != 2) {
		CK_INFO info = { 0 };
		CHECK(p11->C_GetInfo(&info) == CKR_OK);
		CHECK(p11->C_Initialize(NULL) == CKR_OK);
		call_around();
	}
	if (how % 3 == 0 || (how % 3 == 2 && how % 2 == 0))
		exit(0);
	_exit(0);
}

/* glibc does not know of this process: nothing of it but plain system calls may run there. */
static pid_t clone_and_live(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		alarm(50);
		call_around();
		syscall(SYS_exit_group, 0);
	}
	return pid;
}

static pid_t run_again(const char *program, bool by_vfork)
{
	char *const arguments[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)path,
		                    (char *)(uintptr_t) "exit", NULL };
	pid_t pid;
	if (!by_vfork) {
		CHECK(posix_spawn(&pid, program, NULL, NULL, arguments, environ) == 0);
		return pid;
	}
	/* It is what is tested. NOLINTNEXTLINE(clang-analyzer-security.insecureAPI.vfork) */
	pid = vfork();
	if (pid == 0) {
		execv(program, arguments);
		_exit(127);
	}
	return pid;
}

enum way { BY_FORK, IN_THE_MODULE, BY_CLONE, BY_EXEC };

static void hammer(const char *program, unsigned int count, enum way way)
{
	static const char *const hows[] = { "exit", "_exit", "silent" };
	pthread_t threads[WORKERS];
	for (size_t i = 0; i < WORKERS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, NULL) == 0);
	forks = way == IN_THE_MODULE;
	for (unsigned int i = 0; i < count; i++) {
		const char *how = hows[i % 3];
		CK_INFO info = { 0 };
		pid_t pid;
		if (way == BY_CLONE) {
			pid = clone_and_live();
			how = "_exit";
		} else if (way == BY_EXEC) {
			pid = run_again(program, i % 2 == 0);
			how = "exit";
		} else if (way == IN_THE_MODULE) {
			/* Both processes come back from this call; it is the parent's. */
			CHECK(CALL(p11->C_GetInfo(&info)) == CKR_OK);
			pid = atomic_load(&forked_inside);
		} else {
			fflush(stdout);
			pid = fork();
		}
		CHECK(pid >= 0);
		if (pid == 0)
			live(i);
		printf("child %d %s\n", (int)pid, how);
		CHECK(robust_wait(pid) == 0);
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	CHECK(CALL(p11->C_Finalize(NULL)) == CKR_OK);
	printf("calls %lu\n", atomic_load(&calls));
}

static void exec_again(const char *program)
{
	char *const arguments[] = { strdup(program), strdup(path), strdup("exit"), NULL };
	printf("calls %lu\n", atomic_load(&calls));
	fflush(stdout);
	execv(program, arguments);
	robust_fail(__FILE__, __LINE__, program);
}

static void *exit_soon(void *unused)
{
	(void)unused;
	for (int i = 0; i < 20; i++)
		call_around();
	exit(0);
}

static void *call_on(void *first)
{
	/* There is no other way to see that it is gone. */
	pthread_join(*(pthread_t *)first, NULL);
	call_around();
	printf("calls %lu\n", atomic_load(&calls));
	return NULL;
}

static _Noreturn void end_otherwise(bool in_a_thread)
{
	static pthread_t first;
	pthread_t thread;
	first = pthread_self();
	for (size_t i = 0; in_a_thread && i < WORKERS; i++)
		CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
	alarm(50);
	CHECK(pthread_create(&thread, NULL, in_a_thread ? exit_soon : call_on, &first) == 0);
	if (!in_a_thread)
		pthread_exit(NULL);
	for (;;)
		pause();
}

static void become_daemon(const char *file)
{
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid != 0) {
		CHECK(robust_wait(pid) == 0);
		return;
	}
	setsid();
	pid = fork();
	CHECK(pid >= 0);
	if (pid != 0)
		_exit(0);
	CHECK(chdir("/") == 0);
	umask(0);
	closefrom(0);
	CHECK(open("/dev/null", O_RDWR) == 0 && dup(0) == 1 && dup(0) == 2);
	call_around();
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
	CHECK(fd == 3);
	CHECK(dprintf(fd, "child %d exit\n", (int)getpid()) > 0);
	close(fd);
	exit(0);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[2] : "";
	unsigned int count = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 1;
	if (argc < 3)
		return 2;
	path = argv[1];
	begin(path);
	call_around();
	if (strcmp(mode, "hammer") == 0 || strcmp(mode, "inside") == 0)
		hammer(argv[0], count, mode[0] == 'i' ? IN_THE_MODULE : BY_FORK);
	else if (strcmp(mode, "clones") == 0 || strcmp(mode, "spawns") == 0)
		hammer(argv[0], count, mode[0] == 'c' ? BY_CLONE : BY_EXEC);
	else if (strcmp(mode, "exec") == 0)
		exec_again(argv[0]);
	else if (strcmp(mode, "thread-exit") == 0 || strcmp(mode, "main-exit") == 0)
		end_otherwise(mode[0] == 't');
	else if (strcmp(mode, "daemon") == 0 && argc > 3)
		become_daemon(argv[3]);
	else if (strcmp(mode, "_exit") == 0)
		_exit(0);
	else if (strcmp(mode, "term") == 0)
		raise(SIGTERM);
	else if (strcmp(mode, "exit") != 0)
		return 2;
	fflush(stdout);
	return 0;
}
