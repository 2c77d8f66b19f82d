/* SPDX-License-Identifier: MIT
 *
 * What the project needs of the operating system: pages that never come from the host's malloc,
 * reads that survive a bad pointer, a lock that a fork cannot leave held, and clocks.
 */
#ifndef TAPE_SYSTEM_H
#define TAPE_SYSTEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/attributes.h"

/* Get `size` bytes of zeroed pages, or NULL. Give them back with the same size. */
TAPE_MUST_CHECK void *tape_pages_get(size_t size);
void tape_pages_free(void *pages, size_t size);

/*
 * Get zeroed pages that a forked child sees zeroed again (MADV_WIPEONFORK), or NULL.
 * *ret_wipes says whether the kernel does that; where it does not, compare process numbers.
 */
TAPE_MUST_CHECK void *tape_pages_get_wiped(size_t size, bool *ret_wipes);

/* Copy `size` bytes from an address that nobody vouches for. Returns false if any is unreadable. */
TAPE_MUST_CHECK bool tape_peek(void *to, const void *from, size_t size);

/* Say whether all of `size` bytes at `from` can be read, without copying them. */
TAPE_MUST_CHECK bool tape_readable(const void *from, size_t size);

/*
 * Find the length of zero-terminated text at `from`, at most `limit`, reading fault-safely.
 * Returns false if it is unreadable or no terminator is found within `limit` bytes.
 */
TAPE_MUST_CHECK bool tape_peek_length(const char *from, size_t limit, size_t *ret_length);

/*
 * write() without the signals that it can raise, SIGPIPE and SIGXFSZ, and without being a cancellation
 * point. Returns what write() does, with errno. The calling thread's mask changes meanwhile.
 */
long tape_write_quietly(int fd, const char *bytes, size_t size);

/* Nanoseconds of CLOCK_MONOTONIC and of CLOCK_REALTIME. */
uint64_t tape_clock_monotonic(void);
uint64_t tape_clock_realtime(void);

/*
 * A mutual exclusion lock of one word: a futex. Zero is unlocked, so a lock in pages that are wiped
 * on fork is free again in the child whatever the parent's threads were doing. Not recursive.
 */
struct tape_lock {
	atomic_uint word;
};
void tape_lock_wait(struct tape_lock *lock);
void tape_lock_wake(struct tape_lock *lock);

static inline void tape_lock_take(struct tape_lock *lock)
{
	unsigned int free_word = 0;
	if (TAPE_UNLIKELY(!atomic_compare_exchange_strong_explicit(
		    &lock->word, &free_word, 1, memory_order_acquire, memory_order_relaxed)))
		tape_lock_wait(lock);
}

static inline void tape_lock_give(struct tape_lock *lock)
{
	if (TAPE_UNLIKELY(atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2))
		tape_lock_wake(lock);
}

/*
 * The name of the file that this process runs, zero-terminated and cut where it does not fit, without a
 * slash in it; what the program calls itself where the system does not tell.
 */
void tape_program_name(char *to, size_t size);

/*
 * Sleep while *word is `value`, at most so many nanoseconds (0: without end). Returns false if the time is
 * over; true says nothing: look at the word. Threads of this process only.
 */
bool tape_word_wait(atomic_uint *word, unsigned int value, uint64_t nanoseconds);

/* Wake everybody who sleeps for a word. */
void tape_word_wake(atomic_uint *word);

/* Overwrite memory so that no compiler leaves it out. */
void tape_wipe(void *memory, size_t size);

#endif
