/* SPDX-License-Identifier: MIT
 *
 * Linux behind core/system.h.
 */
#include "core/system.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

void *tape_pages_get(size_t size)
{
	void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return pages == MAP_FAILED ? NULL : pages;
}

void tape_pages_free(void *pages, size_t size)
{
	if (pages != NULL)
		munmap(pages, size);
}

void *tape_pages_get_wiped(size_t size, bool *ret_wipes)
{
	void *pages = tape_pages_get(size);
	*ret_wipes = pages != NULL && madvise(pages, size, MADV_WIPEONFORK) == 0;
	return pages;
}

/*
 * process_vm_readv() on ourselves reports a bad address instead of raising SIGSEGV. Where a sandbox
 * forbids it the pointer is trusted, as the real module will trust it a moment later.
 */
static bool read_remote(const struct iovec *local, const struct iovec *remote, unsigned long count,
                        size_t expected, bool *ret_forbidden)
{
	*ret_forbidden = false;
	ssize_t got = process_vm_readv(getpid(), local, 1, remote, count, 0);
	if (got >= 0)
		return (size_t)got == expected;
	*ret_forbidden = errno == EPERM || errno == ENOSYS;
	return false;
}

bool tape_peek(void *to, const void *from, size_t size)
{
	if (size == 0)
		return true;
	if (from == NULL)
		return false;
	int saved = errno;
	struct iovec local = { to, size };
	/* The kernel only reads through the remote vector. */
	struct iovec remote = { (void *)(uintptr_t)from, size };
	bool forbidden;
	bool good = read_remote(&local, &remote, 1, size, &forbidden);
	if (forbidden) {
		memcpy(to, from, size);
		good = true;
	}
	errno = saved;
	return good;
}

bool tape_readable(const void *from, size_t size)
{
	enum { BATCH = 256 };
	uintptr_t at = (uintptr_t)from;
	if (size == 0)
		return true;
	if (from == NULL || at + (size - 1) < at)
		return false;
	int saved = errno;
	uintptr_t last = at + (size - 1);
	bool good = true;
	bool more = true;
	while (good && more) {
		struct iovec remote[BATCH];
		unsigned char bytes[BATCH];
		unsigned int count = 0;
		while (count < BATCH && more) {
			remote[count].iov_base = (void *)at;
			remote[count].iov_len = 1;
			count++;
			uintptr_t next = (at | (PAGE - 1)) + 1;
			more = next != 0 && next <= last;
			at = next;
		}
		struct iovec local = { bytes, count };
		bool forbidden;
		good = read_remote(&local, remote, count, count, &forbidden);
		if (forbidden) {
			good = true;
			break;
		}
	}
	errno = saved;
	return good;
}

bool tape_peek_length(const char *from, size_t limit, size_t *ret_length)
{
	char piece[256];
	size_t length = 0;
	while (length < limit) {
		/* Never across a page: the text may end just before an unmapped one. */
		size_t size = PAGE - ((uintptr_t)(from + length) & (PAGE - 1));
		if (size > sizeof(piece))
			size = sizeof(piece);
		if (!tape_peek(piece, from + length, size))
			return false;
		const char *end = memchr(piece, 0, size);
		if (end != NULL) {
			*ret_length = length + (size_t)(end - piece);
			return *ret_length <= limit;
		}
		length += size;
	}
	return false;
}

/* Both signals come to the thread that writes, hence it can take them back. */
long tape_write_quietly(int fd, const char *bytes, size_t size)
{
	sigset_t ours, before, pending;
	sigemptyset(&ours);
	sigaddset(&ours, SIGPIPE);
	sigaddset(&ours, SIGXFSZ);
	sigpending(&pending);
	pthread_sigmask(SIG_BLOCK, &ours, &before);
	long written = syscall(SYS_write, fd, bytes, size);
	int why = errno;
	int raised = written >= 0 ? 0 : why == EPIPE ? SIGPIPE : why == EFBIG ? SIGXFSZ : 0;
	if (raised != 0 && !sigismember(&pending, raised)) {
		sigdelset(&ours, raised == SIGPIPE ? SIGXFSZ : SIGPIPE);
		while (sigtimedwait(&ours, NULL, &(struct timespec){ 0 }) < 0 && errno == EINTR)
			;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = why;
	return written;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t tape_clock_monotonic(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

uint64_t tape_clock_realtime(void)
{
	return clock_ns(CLOCK_REALTIME);
}

/* The system call's own structure, whatever the C library's time_t is. */
struct futex_time {
	long seconds, nanoseconds;
};

static long futex(atomic_uint *word, int operation, unsigned int value,
                  const struct futex_time *timeout)
{
	return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

void tape_lock_wait(struct tape_lock *lock)
{
	int saved = errno;
	/* 2 says that somebody sleeps; whoever leaves a 2 behind wakes one. */
	while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
		futex(&lock->word, FUTEX_WAIT_PRIVATE, 2, NULL);
	errno = saved;
}

void tape_lock_wake(struct tape_lock *lock)
{
	int saved = errno;
	futex(&lock->word, FUTEX_WAKE_PRIVATE, 1, NULL);
	errno = saved;
}

bool tape_word_wait(atomic_uint *word, unsigned int value, uint64_t nanoseconds)
{
	int saved = errno;
	const struct futex_time timeout = { (long)(nanoseconds / 1000000000u),
		                            (long)(nanoseconds % 1000000000u) };
	long result = futex(word, FUTEX_WAIT_PRIVATE, value, nanoseconds == 0 ? NULL : &timeout);
	bool in_time = result == 0 || errno != ETIMEDOUT;
	errno = saved;
	return in_time;
}

void tape_word_wake(atomic_uint *word)
{
	int saved = errno;
	futex(word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
	errno = saved;
}

void tape_wipe(void *memory, size_t size)
{
	explicit_bzero(memory, size);
}

void tape_program_name(char *to, size_t size)
{
	static const char deleted[] = " (deleted)";
	char path[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
	const char *name = program_invocation_short_name;
	if (length > 0) {
		path[length] = 0;
		if ((size_t)length > sizeof(deleted) &&
		    strcmp(path + length - (sizeof(deleted) - 1), deleted) == 0)
			path[(size_t)length - (sizeof(deleted) - 1)] = 0;
		const char *slash = strrchr(path, '/');
		name = slash == NULL ? path : slash + 1;
	}
	size_t used = 0;
	/* A name that the program gave itself can hold anything. */
	for (; *name != 0 && used < size - 1; name++)
		to[used++] = (char)(*name == '/' ? '_' : *name);
	to[used] = 0;
}
