/* SPDX-License-Identifier: MIT
 *
 * A server that forks workers behind C_Initialize, as nginx does: they inherit its session, and divide
 * requests among them in whatever way they are told.
 *
 *   processes MODULE WORK…      do each WORK in its order; the children run side by side
 *   processes MODULE loop N     fork N children one after the other, each for one request
 *   processes MODULE hammer N   fork N children while threads call, whatever the answers are
 *
 * A WORK is a list of requests with commas between (1,3,2), for a forked child. Before it may stand:
 *
 *   +    the server does it itself
 *   _    the child ends with _exit()
 *   -    the child makes no call
 *   t    two threads of the child take turns
 *   d    the child of a child does it, and closes every descriptor first
 *   a    the child does not log in
 *   .    wait for the children before
 *
 * Prints a line for each request: the same in every run. Output is written, not buffered.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/api/pkcs11.h"

static CK_FUNCTION_LIST *p11;
static CK_SESSION_HANDLE session;
static int output;

static void check(const char *what, CK_RV rv, CK_RV wanted)
{
	if (rv == wanted)
		return;
	dprintf(output, "%s: %#lx\n", what, rv);
	_exit(3);
}

static void request(unsigned int number)
{
	CK_MECHANISM sha256 = { CKM_SHA256, NULL, 0 };
	CK_BYTE data[32];
	CK_BYTE digest[32];
	CK_ULONG length = sizeof(digest);
	memset(data, (int)number, sizeof(data));
	check("C_DigestInit", p11->C_DigestInit(session, &sha256), CKR_OK);
	check("C_Digest", p11->C_Digest(session, data, sizeof(data), digest, &length), CKR_OK);
	dprintf(output, "request %u: %02x%02x%02x%02x\n", number, digest[0], digest[1], digest[2],
	        digest[3]);
}

static void requests(const char *list)
{
	while (*list != 0) {
		char *end;
		request((unsigned int)strtoul(list, &end, 10));
		list = end + (*end == ',');
	}
}

static void *one_request(void *list)
{
	char *end;
	request((unsigned int)strtoul(list, &end, 10));
	return NULL;
}

static void threads(const char *list)
{
	while (*list != 0) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, one_request, (void *)(uintptr_t)list) != 0)
			_exit(4);
		pthread_join(thread, NULL);
		list += strcspn(list, ",");
		list += *list == ',';
	}
}

/* In a child: what every worker of nginx does first, though it is initialised and logged in. */
static void begin_work(bool login)
{
	CK_UTF8CHAR pin[] = "1234";
	check("C_Initialize", p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	if (login)
		check("C_Login", p11->C_Login(session, CKU_USER, pin, 4),
		      CKR_USER_ALREADY_LOGGED_IN);
}

static _Noreturn void child(const char *work)
{
	char how = *work;
	if (how < '0' || how > '9')
		work++;
	if (how == '-')
		exit(0);
	if (how == 'd') {
		if (fork() != 0)
			_exit(wait(NULL) < 0);
		for (int fd = 3; fd < 1024; fd++)
			if (fd != output)
				close(fd);
	}
	begin_work(how != 'a');
	if (how == 't')
		threads(work);
	else
		requests(work);
	if (how == '_')
		_exit(0);
	exit(0);
}

static int wait_for_all(void)
{
	int status;
	int result = 0;
	while (wait(&status) > 0)
		result |= status;
	return result != 0;
}

static unsigned int descriptors(void)
{
	unsigned int count = 0;
	DIR *directory = opendir("/proc/self/fd");
	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

/* The last child has not many more descriptors open than the first one. */
#define FEW 20
static void loop(unsigned int count)
{
	unsigned int first = 0;
	for (unsigned int i = 0; i < count; i++) {
		int ends[2];
		unsigned int open = 0;
		if (pipe(ends) != 0)
			_exit(4);
		pid_t pid = fork();
		if (pid == 0) {
			request(i % 7);
			open = descriptors();
			_exit(write(ends[1], &open, sizeof(open)) != sizeof(open));
		}
		close(ends[1]);
		if (read(ends[0], &open, sizeof(open)) != sizeof(open))
			_exit(5);
		close(ends[0]);
		if (first == 0)
			first = open;
		if (open > first + FEW || wait_for_all() != 0) {
			dprintf(output, "child %u: %u descriptors, the first had %u\n", i, open,
			        first);
			_exit(6);
		}
	}
}

static atomic_bool stop;

static void *call_on(void *unused)
{
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)p11->C_GetFunctionList;
	CK_FUNCTION_LIST *list;
	CK_SESSION_INFO info;
	CK_MECHANISM sha256 = { CKM_SHA256, NULL, 0 };
	(void)unused;
	while (!atomic_load(&stop)) {
		(void)get(&list);
		(void)p11->C_GetSessionInfo(session, &info);
		(void)p11->C_DigestInit(session, &sha256);
	}
	return NULL;
}

/* Nobody hangs and nobody dies, wherever the fork finds the threads. */
static void hammer(unsigned int count)
{
	pthread_t threads[4];
	for (size_t i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, call_on, NULL) != 0)
			_exit(4);
	for (unsigned int i = 0; i < count; i++) {
		pid_t pid = fork();
		if (pid == 0) {
			CK_FUNCTION_LIST *list;
			CK_SESSION_INFO info;
			alarm(60);
			(void)p11->C_GetFunctionList(&list);
			(void)p11->C_Initialize(NULL);
			(void)p11->C_GetSessionInfo(session, &info);
			exit(0);
		}
		if (wait_for_all() != 0) {
			dprintf(output, "child %u did not end well\n", i);
			_exit(6);
		}
	}
	atomic_store(&stop, true);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void initialise(const char *module)
{
	CK_C_GetFunctionList get;
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	CK_UTF8CHAR pin[] = "1234";
	void *handle = dlopen(module, RTLD_NOW);
	if (handle == NULL)
		_exit(7);
	*(void **)&get = dlsym(handle, "C_GetFunctionList");
	check("C_GetFunctionList", get(&p11), CKR_OK);
	check("C_Initialize", p11->C_Initialize(NULL), CKR_OK);
	check("C_GetSlotList", p11->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
	check("C_OpenSession",
	      p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
	check("C_Login", p11->C_Login(session, CKU_USER, pin, 4), CKR_OK);
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	output = fcntl(STDOUT_FILENO, F_DUPFD, 500);
	initialise(argv[1]);
	if (argc == 4 && strcmp(argv[2], "loop") == 0) {
		loop((unsigned int)strtoul(argv[3], NULL, 10));
		argc = 2;
	}
	if (argc == 4 && strcmp(argv[2], "hammer") == 0) {
		hammer((unsigned int)strtoul(argv[3], NULL, 10));
		argc = 2;
	}
	for (int i = 2; i < argc; i++) {
		if (argv[i][0] == '+')
			requests(argv[i] + 1);
		else if (argv[i][0] == '.')
			(void)wait_for_all();
		else if (fork() == 0)
			child(argv[i]);
	}
	int result = wait_for_all();
	check("C_Finalize", p11->C_Finalize(NULL), CKR_OK);
	return result;
}
