/* SPDX-License-Identifier: MIT */
#include "recorder/state.h"

/* Beyond this many neighbours a thread goes without an entry, rather than searching at every call. */
#define MAX_NEIGHBOURS 64

struct tape_state *_Atomic tape_state_pages;

struct tape_state *tape_state_get(void)
{
	struct tape_state *state = atomic_load(&tape_state_pages);
	/* Where the kernel wiped it, it is fresh as it is. */
	if (state != NULL && (!atomic_load(&state->stays) || atomic_load(&state->pid) == getpid()))
		return state;
	/*
	 * The first call; or, where the kernel does not wipe, the first one in a child. What the child
	 * inherited is left mapped: another thread of its own may be looking at it.
	 */
	bool wipes;
	struct tape_state *fresh = tape_pages_get_wiped(sizeof(*fresh), &wipes);
	if (fresh == NULL)
		return NULL;
	atomic_store(&fresh->pid, getpid());
	atomic_store(&fresh->stays, !wipes);
	if (atomic_compare_exchange_strong(&tape_state_pages, &state, fresh))
		return fresh;
	tape_pages_free(fresh, sizeof(*fresh));
	return atomic_load(&tape_state_pages);
}

void tape_state_free(void)
{
	tape_pages_free(atomic_exchange(&tape_state_pages, NULL), sizeof(struct tape_state));
}

struct tape_thread *tape_thread_find_slow(struct tape_state *state, uintptr_t self, size_t at)
{
	for (size_t i = 0; i < MAX_NEIGHBOURS; i++) {
		struct tape_thread *thread = &state->thread[(at + i) & (TAPE_THREADS - 1)];
		uintptr_t owner = atomic_load_explicit(&thread->self, memory_order_relaxed);
		if (owner == self)
			return thread;
		if (owner != 0 || !atomic_compare_exchange_strong(&thread->self, &owner, self))
			continue;
		thread->number = atomic_fetch_add(&state->threads, 1) + 1;
		return thread;
	}
	return NULL;
}
