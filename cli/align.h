/* SPDX-License-Identifier: MIT
 *
 * Two recordings of the same program side by side: which call of one is which call of the other, and
 * which handle stands for which. Order is compared as a strict replay keeps it (docs/replay.md): per
 * session where calls overlap, else all of it. Discovery is left out.
 *
 * Both traces are held in memory as long as the alignment lives.
 */
#ifndef TAPE_ALIGN_H
#define TAPE_ALIGN_H

#include "cli/mapping.h"
#include "core/api/api.h"
#include "core/arena.h"
#include "core/error.h"
#include "core/trace.h"
#include "core/value.h"

struct tape_aligned {
	const struct tape_function *function;
	uint64_t id;
	size_t line;
	bool returned;
	CK_RV rv;
	struct tape_value *in, *out; /* `out` is NULL where it did not return */
	uint64_t shape; /* of the inputs: what they consist of, without contents and handles */
	size_t lane,
		next; /* its lane, and the place of the lane's next call; SIZE_MAX behind the last */
	struct tape_aligned *twin; /* the same call of the other trace; NULL where it has none */
};

struct tape_align_lane {
	size_t first, last, count; /* calls */
	size_t twin; /* the same lane of the other trace; SIZE_MAX where it has none */
};

struct tape_align_side {
	struct tape_reader *reader; /* for its header */
	struct tape_arena arena;    /* of the values */
	struct tape_aligned *calls; /* in the order in which they began */
	size_t count, room;
	struct tape_align_lane
		*lanes; /* 0 has the calls without a session; where nothing overlaps, all */
	size_t lane_count, lane_room;
};

struct tape_alignment {
	struct tape_align_side sides[2];
	bool lanes; /* calls overlap in one of them: sessions are told apart by what is done in them */
	struct tape_map
		handles[3]; /* of the second trace, to the first one's: sessions, objects, slots */
	struct tape_map taken[3]; /* the other way round */
};

/*
 * Read and align two traces. On failure *ret_path is the file that the error is about, and
 * tape_align_done() is to be called all the same.
 */
TAPE_MUST_CHECK int tape_align(struct tape_alignment *ret_alignment, const char *first,
                               const char *second, const char **ret_path, struct tape_error *error);
void tape_align_done(struct tape_alignment *alignment);

/*
 * Is given each call of the first trace with its twin and, in the twin's place, the twin's inputs and
 * outputs with the first one's handles; or a call of either without a twin, the other being NULL.
 */
typedef int tape_align_fn(void *context, const struct tape_aligned *first,
                          const struct tape_aligned *second, const struct tape_value *in,
                          const struct tape_value *out);

/*
 * Go through an alignment in the order of the first trace; what only the second one has comes at the end.
 * Handles become equal one to one as outputs bring them. Stops at what `each` returns but 0, and returns it.
 */
int tape_align_walk(struct tape_alignment *alignment, tape_align_fn *each, void *context);

#endif
