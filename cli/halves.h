/* SPDX-License-Identifier: MIT
 *
 * A trace as the stream of halves that a recorder writes, whichever way it is spelled: a whole
 * call of the block form is split again, its return going where `until` says. And the calls that
 * are open at some place of the stream. Memory grows with the calls that are open, never with the
 * trace.
 */
#ifndef TAPE_HALVES_H
#define TAPE_HALVES_H

#include "core/arena.h"
#include "core/trace.h"

/* Calls open at once, and bytes that they take, beyond which a reader gives the oldest up. */
#define TAPE_HALVES_MAX ((size_t)10000)
#define TAPE_HALVES_MAX_BYTES ((size_t)1 << 30)

struct tape_memory;

/* One half of a call, or another item, with the memory that it lives in. */
struct tape_half {
	struct tape_item item; /* never `whole` */
	struct tape_memory *memory;
	struct tape_half *next; /* for the list that it is in */
	void *note; /* for whoever holds it; lives and dies with it, in tape_half_arena() */

	/* While it is open. */
	struct tape_half *same_bucket, *earlier, *later;
	size_t bytes;
};

struct tape_halves {
	struct tape_reader *reader;
	bool ended; /* the reader has nothing more */
	struct tape_memory *spare;
	size_t spare_count;
	struct tape_half *ready, **ready_end; /* to be given next */
	/* Returns whose place has not come, in the order of their calls. */
	struct tape_half *waiting, **waiting_end;
	size_t waiting_count;
	size_t misplaced; /* line of a call whose `until` names nothing behind it, else 0 */
};

/* Open a trace, as tape_reader_open(). The stream is the caller's struct. */
TAPE_MUST_CHECK int tape_halves_init(struct tape_halves *halves, const char *path,
                                     struct tape_error *error);

/* Close it. Halves that were not given back are lost to the heap: give them back before. */
void tape_halves_done(struct tape_halves *halves);

/* Take the next half, to be given back. Returns 1, 0 at the end, or an error code. */
TAPE_MUST_CHECK int tape_halves_next(struct tape_halves *halves, struct tape_half **ret_half,
                                     struct tape_error *error);

/* Go on with what was appended to the file. Returns 1, 0 if nothing was, or an error code. */
TAPE_MUST_CHECK int tape_halves_refresh(struct tape_halves *halves, struct tape_error *error);

/* Give a half back, with everything in its memory. NULL is allowed. */
void tape_halves_give(struct tape_halves *halves, struct tape_half *half);

/*
 * Say whether a member of a whole call belongs to its return. `has_in` says whether the call has its
 * inputs, `behind` whether an earlier member belonged to the return.
 */
bool tape_half_returns(const struct tape_node *member, bool has_in, bool behind);

/* The memory of a half, for what belongs to it. */
struct tape_arena *tape_half_arena(struct tape_half *half);

/* The calls that have begun and not returned: by id, and in the order in which they began. */
struct tape_open {
	struct tape_half *buckets[256];
	struct tape_half *first, *last;
	size_t count, bytes;
};

void tape_open_add(struct tape_open *open, struct tape_half *call);
struct tape_half *tape_open_find(const struct tape_open *open, uint64_t id);
void tape_open_remove(struct tape_open *open, struct tape_half *call);

/* Say whether there are more of them than shall be held at once. */
bool tape_open_is_full(const struct tape_open *open);

#endif
