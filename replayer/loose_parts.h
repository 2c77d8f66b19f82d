/* SPDX-License-Identifier: MIT
 *
 * What the parts of lenient mode share; nobody else includes this. What the mode is to the rest of the replayer
 * is in replayer/loose.h. Its parts:
 *
 * - loose_ask.c    what a call asks, and which calls ask the same
 * - loose_index.c  loose_open(): the index, made by running over the trace with core/scope.c
 * - loose.c        the recorded call that answers one that came, and what the program gets of it
 * - loose_course.c the rule that decides while all is as strict mode would have it
 * - loose_why.c    loose_explain(): why no call answers
 *
 * A call's *ask* is a hash of its function and inputs, to find those that may equal it; calls that are equal are
 * a *group*; those of a group that were made in one state are a *cell*, and one of these answers. Calls of one
 * session, or of none, are a *lane*.
 *
 * Calls, groups, members of cells, cells and lanes name each other by their places in the arrays of struct loose,
 * which has them all, and which loose_free() frees; records are the engine's. Members and cells move while the
 * index is made, since these arrays grow then. When loose_open() has returned nothing grows any more, and no
 * group or cell changes but for a cell's cursor.
 *
 * Everything is under the lock of replay.c. Who finds no memory sets `failed`, and goes on with what there is.
 */
#ifndef TAPE_REPLAYER_LOOSE_PARTS_H
#define TAPE_REPLAYER_LOOSE_PARTS_H

#include <string.h>

#include "core/mix.h"
#include "replayer/loose.h"
#include "replayer/model.h"

/* No entry, group, member or lane. */
#define NONE UINT32_MAX

/* Calls at one moment that may have seen each other's changes; beyond, they are served once in any state. */
#define MAX_INSIDE 1024

/* Scopes that other sessions' calls do not see. */
#define OF_SESSION (TAPE_SCOPE_BIT(TAPE_SCOPE_OP) | TAPE_SCOPE_BIT(TAPE_SCOPE_ALL_OPS))

/* A recorded call. While serving, `used` changes, and its place in its lane. */
struct entry {
	struct record *record;
	uint64_t ask, fed, self;
	struct tape_scope_value state[TAPE_SCOPES]; /* before the call */
	uint32_t group, next;                       /* in it */
	uint32_t lane, lane_next;
	uint32_t opens;                    /* the lane of the session that it opened; 0 for none */
	uint64_t lane_before;              /* hash of what stands before it in its lane */
	struct tape_scope_handles handles; /* of a call in a session: which the module chose */
	uint32_t used;
	bool once;            /* its answer is given once */
	bool ambiguous;       /* another call changed meanwhile what it reads */
	bool barrier;         /* something happened outside: with it, nothing known before holds */
	unsigned int changes; /* scopes that are others behind it; 0: none */
};

/* Calls that are equal, in the order in which they were made. */
struct group {
	uint32_t first, last; /* entries */
	uint32_t next;        /* of the same hash */
	uint32_t kin;         /* model mode: of the same hash but for rooms */
};

/* A call in a cell. Which state it was made in may not be sure: then it is in several. */
struct member {
	uint32_t entry, next;
};

/* Calls of a group that were made in one state; of a hash table with free places. */
struct cell {
	uint64_t key; /* 0: free */
	uint32_t group;
	uint32_t first, last, cursor; /* members; the first that may be unused */
	bool differ;                  /* the answers do */
};

/*
 * A lane as strict mode has it: a session, or all calls without one. It has those of its calls that strict mode's
 * rule has not answered yet.
 */
struct lane_state {
	uint32_t opener; /* the entry that opened the session, or NONE */
	uint32_t cursor, last;
	uint64_t session; /* the program's handle of it; 0 for none */
};

/* A place where calls are missing in the recording. */
struct hole {
	uint64_t position;
	size_t line;
};

struct loose {
	struct entry *entries; /* in the order in which they began: that of record->number */
	size_t count;
	struct group *groups;
	size_t group_count;
	uint32_t *buckets;     /* groups by ask */
	size_t bucket_count;   /* a power of two */
	struct model *model;   /* model mode; else NULL */
	uint32_t *kin_buckets; /* likewise: groups by what is asked but for rooms */
	struct member *members;
	size_t member_count, member_room;
	struct cell *cells;
	size_t cell_count, cell_room; /* a power of two; half of it is free */
	struct lane_state *lanes;     /* [0]: calls without a session */
	size_t lane_count;
	struct tape_map lane_numbers;    /* recorded sessions, while reading */
	struct tape_map live_lanes;      /* of the program's sessions */
	struct tape_scopes begin, begun; /* before the first call: recorded and live */
	struct tape_scopes live;
	uint32_t *wide; /* entries whose change others see */
	size_t wide_count;
	struct hole *holes;
	size_t hole_count, hole_passed;
	bool blind[TAPE_FN_COUNT][TAPE_MAX_ARGUMENTS]; /* arguments whose contents say nothing */
	uint32_t again[TAPE_FN_COUNT];    /* the cell that answered a READ in this very state */
	uint32_t again_by[TAPE_FN_COUNT]; /* the entry: what its handles mean was looked up */
	bool course;                      /* nothing was served that strict mode would not have */
	bool failed;                      /* no memory */
	uint64_t fresh;                   /* the next handle that the trace has not */
	uint64_t beyond;                  /* calls that no recorded one answered */
	uint32_t instead; /* the entry that the call at hand uses up, if another one answers it */
	uint32_t stale, stale_lane; /* whose turn it is, if its answer is of another state */
	uint32_t missing;           /* no call before it is missed by who waits */
};

/* ---- short and called often ------------------------------------------------------------------ */

static inline struct entry *loose_entry_of(const struct loose *loose, const struct record *record)
{
	return &loose->entries[record->number];
}

/* A session, or an object: what has an identity in the place of its number. */
static inline bool loose_is_handle(const struct tape_function *function, size_t argument)
{
	return (int)argument == function->lane ||
	       function->arguments[argument].kind == TAPE_K_OBJECT;
}

/* The scopes that a call reads, as a mask. */
static inline unsigned int loose_mask_of(const struct record *record)
{
	return tape_scope_reads(record->function, record->in);
}

/* Never 0, which is a free cell. */
static inline uint64_t loose_key_of(const struct tape_scope_value state[TAPE_SCOPES],
                                    unsigned int mask)
{
	uint64_t key = tape_scope_key(state, mask);
	return key == 0 ? 1 : key;
}

/* A call that failed may have done so for what is anywhere in its slot and its session. */
static inline unsigned int loose_mask_of_entry(const struct entry *entry)
{
	const struct record *record = entry->record;
	bool reads = tape_scope_rows[record->function - tape_functions].class == TAPE_CLASS_READ;
	bool full = !reads && record->return_at != NOT_YET && !tape_scope_answers(record->rv) &&
	            !entry->once;
	return full ? TAPE_SCOPE_EVERY : loose_mask_of(record);
}

/* The cell of a key, or the free one where it would be. */
static inline struct cell *loose_find_cell(const struct loose *loose, uint32_t group, uint64_t key)
{
	size_t mask = loose->cell_room - 1;
	size_t at = (size_t)tape_mix(key, group) & mask;
	while (loose->cells[at].key != 0 &&
	       (loose->cells[at].key != key || loose->cells[at].group != group))
		at = (at + 1) & mask;
	return &loose->cells[at];
}

/* Equal for sessions that were opened by equal calls; 0 where that is not known. */
static inline uint64_t loose_opened_as(const struct loose *loose, uint32_t lane)
{
	if (lane == NONE || loose->lanes[lane].opener == NONE)
		return 0;
	return loose->entries[loose->lanes[lane].opener].group + UINT64_C(1);
}

/* What a hole is called in the state behind it. */
static inline uint64_t loose_hole_identity(const struct hole *hole)
{
	return tape_mix(hole->position, 2);
}

/* The state is another one: what answered last need not do so again. */
static inline void loose_forget_again(struct loose *loose)
{
	memset(loose->again, 0xff, sizeof(loose->again));
}

/* ---- loose_ask.c ----------------------------------------------------------------------------- */

/* Add to a hash what tape_compare_in() compares in any case, of values that it may find equal. */
uint64_t loose_mix_value(uint64_t hash, const struct tape_value *value);

/* The ask of inputs that have identities in the place of handles. `rooms`: whether they count. */
uint64_t loose_ask_of(const struct loose *loose, const struct tape_function *function,
                      const struct tape_value *in, bool rooms);

/* Model mode: where the groups begin that may ask the same but for rooms. */
uint32_t *loose_kin_bucket(const struct loose *loose, const struct tape_function *function,
                           const struct tape_value *asked);

/*
 * Identities for handles. Recorded ones have theirs in `tag`; so have those inside of structures, on both sides,
 * where they are compared by it. The results are as long as the function has arguments, and point to the
 * same memory as `in`.
 */
void loose_put_recorded(const struct tape_function *function, const struct tape_value *in,
                        struct tape_value *to);
void loose_put_live(struct loose *loose, const struct tape_function *function,
                    const struct tape_value *in, struct tape_value *to);
uint64_t loose_identity_of(struct tape_scopes *scopes, const struct tape_function *function,
                           const struct tape_value *in, size_t argument);

/* Write the identities of the handles inside of the structures among `values` to their tags. */
void loose_name_inside(struct tape_scopes *scopes, const struct tape_function *function,
                       const struct tape_value *in, const struct tape_value *values);

/*
 * Which argument differs of a recorded call from `asked`, which has identities. -1: none. `part` is that of a recorded
 * call; 0 for one of the program's, whose secrets `bind` makes stand for the recorded ones.
 */
int loose_compare(const struct entry *entry, const struct tape_value *asked, unsigned int part,
                  bool bind);

/* The same for a call that came: `live` are its inputs, which may be captured anew, as the recorded one's are. */
int loose_compare_live(struct loose *loose, const struct entry *entry,
                       const struct tape_function *function, const uintptr_t *words,
                       struct tape_value *live, bool bind);

/* The same, whatever its rooms are that core/derive.h answers for. */
int loose_compare_kin(struct loose *loose, const struct entry *entry, const uintptr_t *words,
                      struct tape_value *live, bool bind);

/* Whether the answer to a call with other rooms follows from a recorded one. */
bool loose_derives(const struct record *record, const struct tape_value *live,
                   struct tape_derived *ret_derived);

/* ---- loose_index.c --------------------------------------------------------------------------- */

/* What a recorded call did to the state, when its handles were those of `in` and `out`. */
void loose_take_effect(struct tape_scopes *scopes, const struct entry *entry,
                       const struct tape_value *in, const struct tape_value *out);

/* Go to the state before the first call, with nothing served. The lanes stay as they are. Returns false without memory. */
bool loose_restart(struct loose *loose);

/* ---- loose.c --------------------------------------------------------------------------------- */

/*
 * The call of a group that answers in the state that there is; NONE where there is none. With `live`, the cell is
 * remembered for loose_again().
 */
uint32_t loose_look_in_group(struct loose *loose, uint32_t group, uint32_t lane,
                             const struct tape_scope_value state[TAPE_SCOPES],
                             const struct tape_value *live);

/* ---- loose_course.c -------------------------------------------------------------------------- */

/*
 * The call that strict mode's rule answers with, in `lane`, which may be NONE; it has left its lane then. Returns
 * NONE where there is none. loose->instead and loose->stale, which say more about it, are to be NONE before.
 */
uint32_t loose_on_course(struct loose *loose, uint32_t lane, const struct tape_function *function,
                         const uintptr_t *words, struct tape_value *live,
                         const struct tape_scope_value state[TAPE_SCOPES]);

/* The call whose turn it was, loose->stale, has no answer in the state that there is: the next one's turn has come. */
void loose_pass_stale(struct loose *loose);

#endif
