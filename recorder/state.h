/* SPDX-License-Identifier: MIT
 *
 * What belongs to one process and must not survive a fork: locks, the numbers of threads, the calls
 * that are open. It lies in pages that the kernel empties in a child, so that a child finds every lock
 * free and itself without a part of a trace, whatever its parent's threads were doing, and without a
 * handler of ours.
 */
#ifndef TAPE_RECORDER_STATE_H
#define TAPE_RECORDER_STATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "core/attributes.h"
#include "core/system.h"

/* Threads that get small numbers; a power of two. */
#define TAPE_THREADS 4096

/* Threads that can be in discovery at once with our watching for loops. */
#define TAPE_DISCOVERING 16

/*
 * A thread that has called. A thread may come to the number of one that has ended, as it comes to its
 * pthread_self(): thread-local storage or a key would tell them apart, and would outlive dlclose().
 */
struct tape_thread {
	atomic_uintptr_t self;
	atomic_size_t open;     /* id of the innermost call or notification that it is in, or 0 */
	atomic_size_t notice;   /* id of the innermost notification that it is in, or 0 */
	atomic_uintptr_t frame; /* where that one's stack begins */
	atomic_uint left;       /* when it last left us, in nanoseconds, which wrap */
	unsigned int number;
};

struct tape_state {
	atomic_uint
		part; /* number of the part that this process writes; 0: none yet, or a forked child */
	atomic_bool failed; /* it could not begin, and has said so */
	atomic_bool
		stays; /* the kernel does not empty this on fork: process numbers are compared */
	atomic_int pid;
	struct tape_lock start_lock;   /* beginning a part */
	struct tape_lock file_lock;    /* writing, in trouble */
	struct tape_lock lists_lock;   /* what discovery has handed out */
	struct tape_lock secrets_lock; /* names of secrets */
	struct tape_lock message_lock; /* message operations' parameter structures */
	struct tape_lock objects_lock; /* objects' classes */
	atomic_uint threads;           /* numbers given out */
	atomic_uint unlisted;          /* calls open that `thread` does not list */
	atomic_uintptr_t discovering[TAPE_DISCOVERING];
	struct tape_thread thread[TAPE_THREADS];
};

/* The state that this process has or inherited; NULL before the first call. */
extern struct tape_state *_Atomic tape_state_pages;

/* The state of this very process, where it has begun a part of a trace; else NULL. */
static inline struct tape_state *tape_state_current(void)
{
	struct tape_state *state = atomic_load_explicit(&tape_state_pages, memory_order_acquire);
	if (TAPE_UNLIKELY(state == NULL) ||
	    TAPE_UNLIKELY(atomic_load_explicit(&state->part, memory_order_acquire) == 0))
		return NULL;
	if (TAPE_UNLIKELY(atomic_load_explicit(&state->stays, memory_order_relaxed)) &&
	    atomic_load(&state->pid) != getpid())
		return NULL;
	return state;
}

/* The state of this very process, made where there is none. NULL where memory is out. */
struct tape_state *tape_state_get(void);

/* Give the pages back; nobody may be using them. */
void tape_state_free(void);

/* Find the calling thread, or enter it; NULL where the table is full thereabouts. */
struct tape_thread *tape_thread_find_slow(struct tape_state *state, uintptr_t self, size_t at);

static inline struct tape_thread *tape_thread_find(struct tape_state *state)
{
	uintptr_t self = (uintptr_t)pthread_self();
	/* Thread descriptors lie pages apart: the golden ratio spreads what is left of them. */
	size_t at = (size_t)(((uint64_t)self * 0x9e3779b97f4a7c15u) >> 52) & (TAPE_THREADS - 1);
	struct tape_thread *thread = &state->thread[at];
	if (TAPE_LIKELY(atomic_load_explicit(&thread->self, memory_order_relaxed) == self))
		return thread;
	return tape_thread_find_slow(state, self, at);
}

#endif
