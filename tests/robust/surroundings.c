/* SPDX-License-Identifier: MIT
 *
 * A program that looks after everything that is its own while calls go through the recorder.
 *
 *   robust-surroundings MODULE watch           compare locale, umask, signals, directory, environment,
 *                                              limits, descriptors… before and after every call
 *   robust-surroundings MODULE watch-replay    the same of the replayer
 *   robust-surroundings MODULE steady COUNT [FILE]   make COUNT calls, whatever becomes of the trace; half
 *                                              way remove FILE and raise the limit of files' sizes
 *   robust-surroundings MODULE no-descriptor [TARGET]   load where no descriptor is free (TARGET is there
 *                                              already), then have none free afterwards
 *   robust-surroundings MODULE closefrom DIRECTORY [MODULE]   close everything, then open files
 *   robust-surroundings MODULE gone DIRECTORY  remove the trace's directory, call on, fork, call on
 *   robust-surroundings MODULE lowered TRACE [keep]   lower the limit of files' sizes to where the trace
 *                                              ends and thereabouts, call on, raise it (or not), call on
 *   robust-surroundings MODULE sandbox         forbid to open anything, call on, fork, call on
 *   robust-surroundings MODULE confined TARGET|random   the same, or that there are no random numbers,
 *                                              before the first call
 *   robust-surroundings MODULE broken-pipe|closed   fail to load with such a standard error
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/robust/robust.h"

extern char **environ;

static CK_FUNCTION_LIST_3_2 *p11;
static unsigned long calls;
static CK_RV answer = ODD_AS_USUAL;
static volatile sig_atomic_t signals;

/* The module leaves an errno of its own: that is what the application is to find. */
static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	(void)words;
	if (function == TAPE_FN_COUNT)
		return ODD_AS_USUAL;
	errno = ENOTTY;
	return tape_functions[function].finds ? ODD_AS_USUAL : answer;
}

static void on_signal(int number)
{
	(void)number;
	signals++;
}

/* ---- watch ------------------------------------------------------------------------------------- */

#define WATCHED_SIGNALS 64
#define WATCHED_LIMITS 16

struct surroundings {
	char locale[256];
	char directory[4096];
	char name[16];
	mode_t umask;
	sigset_t mask, pending;
	struct sigaction actions[WATCHED_SIGNALS + 1];
	struct rlimit limits[WATCHED_LIMITS];
	struct itimerval timer;
	struct stat streams[3];
	int stream_flags[3];
	char **environ;
	size_t environ_size;
	uint64_t environ_sum;
	fenv_t fenv;
	int dumpable, priority, cancel_state, cancel_type;
	unsigned int descriptors, threads;
};

static void look(struct surroundings *s)
{
	memset(s, 0, sizeof(*s));
	CHECK(snprintf(s->locale, sizeof(s->locale), "%s", setlocale(LC_ALL, NULL)) > 0);
	CHECK(getcwd(s->directory, sizeof(s->directory)) != NULL);
	CHECK(prctl(PR_GET_NAME, s->name) == 0);
	umask(s->umask = umask(0));
	pthread_sigmask(SIG_SETMASK, NULL, &s->mask);
	sigpending(&s->pending);
	for (int i = 1; i <= WATCHED_SIGNALS; i++) {
		struct sigaction *action = &s->actions[i];
		sigaction(i, NULL, action);
		/* The C library leaves what it has on its stack behind the signals that there are. */
		memset((char *)&action->sa_mask + WATCHED_SIGNALS / 8, 0,
		       sizeof(action->sa_mask) - WATCHED_SIGNALS / 8);
	}
	for (int i = 0; i < WATCHED_LIMITS; i++)
		CHECK(getrlimit((__rlimit_resource_t)i, &s->limits[i]) == 0);
	getitimer(ITIMER_REAL, &s->timer);
	for (int i = 0; i < 3; i++) {
		CHECK(fstat(i, &s->streams[i]) == 0);
		/* The terminal or pipe of whoever runs this has times of its own. */
		s->streams[i].st_atim = s->streams[i].st_mtim = s->streams[i].st_ctim =
			(struct timespec){ 0 };
		/* Divergences are told there. */
		if (i == STDERR_FILENO)
			s->streams[i].st_size = s->streams[i].st_blocks = 0;
		s->stream_flags[i] = fcntl(i, F_GETFL);
	}
	s->environ = environ;
	for (char **at = environ; *at != NULL; at++, s->environ_size++)
		for (const char *c = *at; *c != 0; c++)
			s->environ_sum = s->environ_sum * 31 + (unsigned char)*c;
	fegetenv(&s->fenv);
	s->dumpable = prctl(PR_GET_DUMPABLE);
	s->priority = getpriority(PRIO_PROCESS, 0);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &s->cancel_state);
	pthread_setcancelstate(s->cancel_state, &s->cancel_type);
	pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &s->cancel_type);
	pthread_setcanceltype(s->cancel_type, &s->cancel_state);
	s->descriptors = robust_count_entries("/proc/self/fd");
	s->threads = robust_count_entries("/proc/self/task");
}

static struct surroundings before;

static void compare(const char *what, unsigned int more_descriptors)
{
	static struct surroundings after;
	CHECK(dlerror() == NULL);
	look(&after);
	before.descriptors += more_descriptors;
	/* Both begin as zeros. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*) */
	if (memcmp(&before, &after, sizeof(before)) == 0)
		return;
	for (size_t i = 0; i < sizeof(before); i++)
		if (((char *)&before)[i] != ((char *)&after)[i]) {
			fprintf(stderr, "byte %zu of the surroundings is not what it was\n", i);
			break;
		}
	robust_fail(__FILE__, __LINE__, what);
}

static int left_errno = ENOTTY; /* by a call */

#define WATCH_2(k, a) (kind_##k##_1)0
#define WATCH_3(k, a, b) WATCH_2(k, a), (kind_##k##_2)0
#define WATCH_4(k, a, b, c) WATCH_3(k, a, b), (kind_##k##_3)0
#define WATCH_ARGUMENTS(...) TAPE_CAT(WATCH_, TAPE_COUNT(__VA_ARGS__))(__VA_ARGS__)

static void watch_all(void *handle)
{
#define CK_FN(function, major, minor, ...)                                \
	{                                                                 \
		CK_##function call;                                       \
		robust_symbol(handle, #function, &call);                  \
		errno = EXDEV;                                            \
		CK_RV rv = call(TAPE_EACH(WATCH_ARGUMENTS, __VA_ARGS__)); \
		CHECK(errno == left_errno);                               \
		CHECK(rv == answer || answer == ODD_AS_USUAL ||           \
		      tape_functions[TAPE_FN_##function].finds);          \
		compare(#function, 0);                                    \
	}
#include "core/api/functions.def"
#undef CK_FN
}

/* A program that this one becomes finds what it would find without us. */
static void look_at_descriptors(bool first)
{
	static bool inherited[4096];
	for (int fd = 3; fd < (int)TAPE_ARRAY_SIZE(inherited); fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (first)
			inherited[fd] = flags >= 0;
		CHECK(flags < 0 || inherited[fd] || (flags & FD_CLOEXEC) != 0);
	}
}

static void watch(const char *module, bool replay)
{
	CK_FUNCTION_LIST *list;
	CK_C_GetFunctionList get_list;
	sigset_t usr1;
	CHECK(setlocale(LC_ALL, "C.UTF-8") != NULL);
	umask(027);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	signal(SIGUSR2, on_signal);
	signal(SIGPIPE, on_signal);
	signal(SIGXFSZ, on_signal);
	raise(SIGUSR1); /* stays pending */
	feenableexcept(FE_DIVBYZERO);
	look_at_descriptors(true);
	void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	CHECK(handle != NULL);
	robust_symbol(handle, "C_GetFunctionList", &get_list);
	dlerror();
	look(&before);
	errno = EXDEV;
	left_errno = replay ? EXDEV : ENOTTY;
	CHECK(get_list(&list) == CKR_OK && errno == left_errno);
	/* The trace; a replay's report, too. */
	compare("the first call", replay ? 2 : 1);
	look_at_descriptors(false);
	watch_all(handle);
	if (replay) {
		watch_all(handle);
		watch_all(handle);
		CHECK(dlclose(handle) == 0);
		compare("dlclose", 0);
		CHECK(signals == 0);
		return;
	}
	answer = CKR_DEVICE_ERROR;
	watch_all(handle);
	pid_t pid = fork();
	if (pid == 0) {
		/* A child has no pending signals, and begins its own file at the first call. */
		memset(&before.pending, 0, sizeof(before.pending));
		errno = EXDEV;
		CHECK(list->C_GetInfo(NULL) == answer && errno == ENOTTY);
		compare("a child's first call", 0);
		watch_all(handle);
		exit(0);
	}
	CHECK(robust_wait(pid) == 0);
	CHECK(dlclose(handle) == 0);
	compare("dlclose", 0u - 1u);
	CHECK(signals == 0);
}

/* ---- whatever becomes of the trace ----------------------------------------------------------------- */

static void call_steadily(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		char text[100];
		int size = snprintf(text, sizeof(text), "call %lu and some more to write", i);
		answer = i % 3 == 0 ? CKR_DEVICE_ERROR : CKR_OK;
		errno = EXDEV;
		CHECK(p11->C_SignUpdate(7, (CK_BYTE *)text, (CK_ULONG)size) == answer);
		CHECK(errno == ENOTTY);
	}
	calls += count;
}

static void load(const char *module)
{
	p11 = robust_load(module, NULL);
	calls++;
}

static void steady(const char *module, unsigned long count, const char *file)
{
	struct rlimit limit;
	signal(SIGXFSZ, on_signal);
	load(module);
	call_steadily(count / 2);
	if (file != NULL) {
		CHECK(unlink(file) == 0);
		CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
		limit.rlim_cur = limit.rlim_max;
		CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	}
	call_steadily(count - count / 2);
	CHECK(signals == 0);
	CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = limit.rlim_max;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	printf("calls %lu\n", calls);
}

static void limit_sizes(rlim_t size)
{
	struct rlimit limit;
	CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = size;
	CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void fork_and_call(void);

/* The signal is left at its default, which ends the program. Sandboxes lower the limit to nothing at all. */
static void lowered(const char *module, const char *trace, bool keep)
{
	static const int past_end[] = { 0, -1, 1, 150, -100, 0 };
	struct stat status;
	load(module);
	call_steadily(10);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(past_end); i++) {
		CHECK(stat(trace, &status) == 0);
		limit_sizes((rlim_t)(status.st_size + past_end[i]));
		call_steadily(5);
		limit_sizes(RLIM_INFINITY);
		call_steadily(3);
	}
	limit_sizes(0);
	call_steadily(1);
	fork_and_call();
	call_steadily(10);
	if (!keep)
		limit_sizes(RLIM_INFINITY);
	printf("calls %lu\n", calls);
}

static void fill_descriptors(void)
{
	while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0)
		;
	CHECK(errno == EMFILE);
}

static void no_descriptor(const char *module, const char *target)
{
	CK_C_GetFunctionList get_list;
	CK_FUNCTION_LIST *list = NULL;
	struct rlimit limit;
	void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	CHECK(handle != NULL);
	CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	limit.rlim_cur = 64;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	robust_symbol(handle, "C_GetFunctionList", &get_list);
	if (target != NULL) {
		CHECK(dlopen(target, RTLD_NOW | RTLD_LOCAL) != NULL);
		pid_t pid = fork();
		if (pid == 0) {
			fill_descriptors();
			CHECK(get_list(&list) == CKR_GENERAL_ERROR);
			CHECK(get_list(&list) == CKR_GENERAL_ERROR);
			exit(0);
		}
		CHECK(robust_wait(pid) == 0);
		load(module);
		fill_descriptors();
		call_steadily(100);
		printf("calls %lu\n", calls);
		return;
	}
	fill_descriptors();
	CHECK(get_list(&list) == CKR_GENERAL_ERROR);
}

#define FILES 50

static void close_all(const char *module, const char *directory, const char *other)
{
	char path[4096];
	struct stat status;
	CK_FUNCTION_LIST_3_2 *second = NULL;
	load(module);
	if (other != NULL)
		second = robust_load(other, NULL);
	call_steadily(10);
	if (second != NULL)
		CHECK(second->C_Logout(2) == answer);
	closefrom(3);
	/* The second one writes first: it must not come to where the first one believes its file to be. */
	if (second != NULL)
		CHECK(second->C_Logout(2) == answer);
	for (int i = 0; i < FILES; i++) {
		CHECK(snprintf(path, sizeof(path), "%s/%d", directory, i) > 0);
		CHECK(open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 3);
		call_steadily(1);
	}
	call_steadily(10);
	if (second != NULL)
		CHECK(second->C_Logout(2) == answer);
	for (int i = 0; i < FILES; i++) {
		CHECK(snprintf(path, sizeof(path), "%s/%d", directory, i) > 0);
		CHECK(stat(path, &status) == 0 && status.st_size == 0);
	}
	printf("calls %lu\n", calls);
}

static void fork_and_call(void)
{
	fflush(stdout);
	pid_t pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		call_steadily(10);
		exit(0);
	}
	CHECK(robust_wait(pid) == 0);
}

static void gone(const char *module, const char *directory)
{
	char moved[4096];
	load(module);
	call_steadily(10);
	CHECK(snprintf(moved, sizeof(moved), "%s.moved", directory) > 0);
	CHECK(rename(directory, moved) == 0);
	call_steadily(10);
	fork_and_call();
	call_steadily(10);
	printf("calls %lu\n", calls);
}

static void confine(bool random)
{
#define FORBID(name)                                           \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1), \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_open
		FORBID(open),
		FORBID(creat),
#endif
		FORBID(openat),
		FORBID(openat2),
		FORBID(process_vm_readv),
		FORBID(prlimit64),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_filter no_random[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		FORBID(getrandom),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { TAPE_ARRAY_SIZE(filter), filter };
	if (random)
		program = (struct sock_fprog){ TAPE_ARRAY_SIZE(no_random), no_random };
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
	CHECK(random || (open("/dev/null", O_RDONLY) < 0 && errno == EPERM));
}

static void sandbox(const char *module)
{
	load(module);
	call_steadily(10);
	confine(false);
	call_steadily(10);
	fork_and_call();
	call_steadily(10);
	printf("calls %lu\n", calls);
}

/* There is no trace: the caller is failed, each time, and lives. */
static void confined(const char *module, const char *what)
{
	CK_C_GetFunctionList get_list;
	CK_FUNCTION_LIST *list = NULL;
	bool random = strcmp(what, "random") == 0;
	void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	CHECK(handle != NULL);
	CHECK(random || dlopen(what, RTLD_NOW | RTLD_LOCAL) != NULL);
	robust_symbol(handle, "C_GetFunctionList", &get_list);
	confine(random);
	CHECK(get_list(&list) == CKR_GENERAL_ERROR);
	CHECK(get_list(&list) == CKR_GENERAL_ERROR);
	CHECK(list == NULL);
	CHECK(dlclose(handle) == 0);
}

static void without_stderr(const char *module, bool pipes)
{
	CK_C_GetFunctionList get_list;
	CK_FUNCTION_LIST *list = NULL;
	int ends[2];
	sigset_t pending;
	void *handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	CHECK(handle != NULL);
	robust_symbol(handle, "C_GetFunctionList", &get_list);
	signal(SIGPIPE, SIG_DFL);
	CHECK(pipe(ends) == 0);
	close(ends[0]);
	if (pipes)
		CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
	else
		close(STDERR_FILENO);
	errno = EXDEV;
	CHECK(get_list(&list) == CKR_GENERAL_ERROR);
	CHECK(errno == EXDEV);
	sigpending(&pending);
	CHECK(!sigismember(&pending, SIGPIPE));
}

int main(int argc, char **argv)
{
	const char *mode = argc > 2 ? argv[2] : "";
	const char *extra = argc > 3 ? argv[3] : NULL;
	const char *more = argc > 4 ? argv[4] : NULL;
	robust_set_hook(hook);
	if (strcmp(mode, "watch") == 0 || strcmp(mode, "watch-replay") == 0)
		watch(argv[1], mode[5] != 0);
	else if (strcmp(mode, "steady") == 0 && extra != NULL)
		steady(argv[1], strtoul(extra, NULL, 10), more);
	else if (strcmp(mode, "no-descriptor") == 0)
		no_descriptor(argv[1], extra);
	else if (strcmp(mode, "closefrom") == 0 && extra != NULL)
		close_all(argv[1], extra, more);
	else if (strcmp(mode, "gone") == 0 && extra != NULL)
		gone(argv[1], extra);
	else if (strcmp(mode, "lowered") == 0 && extra != NULL)
		lowered(argv[1], extra, more != NULL);
	else if (strcmp(mode, "confined") == 0 && extra != NULL)
		confined(argv[1], extra);
	else if (strcmp(mode, "sandbox") == 0)
		sandbox(argv[1]);
	else if (strcmp(mode, "broken-pipe") == 0 || strcmp(mode, "closed") == 0)
		without_stderr(argv[1], mode[0] == 'b');
	else
		return 2;
	return 0;
}
