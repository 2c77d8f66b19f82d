/* SPDX-License-Identifier: MIT
 *
 * What a trace says of a token, beyond its calls: the attributes of its objects, what searches found, which
 * mechanisms there are. It is learnt from recorded calls, and answers live ones that were not recorded
 * as they came. docs/replay.md, "Model mode", says what is taken for a fact and why.
 *
 * State is the caller's business and comes as plain numbers (struct facts_moment): a fact holds where the
 * numbers are those with which it was learnt, and nowhere else. Two facts that contradict each other
 * are both forgotten: somebody else changed the token. What is not known is not answered.
 *
 * One lock for all, the caller's. Values are copied: FACTS_MAX_BYTES at the most and a quarter of that
 * for tables. Once that is used up, or memory is out, nothing more is learnt (`full`); what was learnt stays
 * right.
 */
#ifndef TAPE_REPLAYER_FACTS_H
#define TAPE_REPLAYER_FACTS_H

#include "core/derive.h"
#include "core/rules.h"

#define FACTS_MAX_BYTES ((size_t)64 << 20)

/*
 * Sessions whose searches are followed at the same time, in the recording and live: of one that has the
 * place of another one taken, less is learnt, and less answered. Attributes in a search's template at the most.
 */
#define FACTS_SESSIONS 256
#define FACTS_MAX_TEMPLATE 64

/*
 * What handles stand for at the moment of a call. The recording's and the live program's need not be the
 * same numbers: what is found by searches is kept by identity, which is equal for objects that are the same.
 */
struct facts_handles {
	uint64_t (*identity)(void *context, uint64_t session, uint64_t handle);
	bool (*find)(void *context, uint64_t identity, uint64_t *ret_handle);
	uint64_t (*state)(void *context, uint64_t session, uint64_t handle); /* 0: not known */
	void *context;
};

/* When a call was made. A number is 0 where it is not known: then nothing is learnt or answered. */
struct facts_moment {
	uint64_t session; /* which one it is: its handle, or what stands for it */
	uint64_t set;     /* what a search in this session can find */
	uint64_t object; /* the function's first object: which one, its changes, who is logged in */
	uint64_t token;  /* the function's slot */
	uint64_t sort;   /* what sort of session: how it was opened, and who is logged in */
	unsigned int part; /* of the trace: whose names redacted values have */
	bool searches;     /* of live calls: a search is active in the session */
	bool busy; /* of live calls: some operation is; a module may have one at a time only */
	const struct facts_handles *handles; /* NULL: each stands for itself, and has no state */
};

struct facts_answer {
	struct tape_derived derived;
	unsigned int part; /* whose names redacted outputs have; 0: there are none */
};

struct fact;
struct facts_search;
struct facts_list;
struct facts_info;

/* A session in which a search goes on: in the recording, or live. */
struct facts_running {
	uint64_t session, set;       /* 0: none */
	struct facts_search *search; /* recorded: what is being learnt, or was learnt before */
	bool again;                  /* recorded: it was learnt before, and is compared */
	uint64_t *members; /* live, malloc: what there is to find; NULL: that is not known */
	size_t count, given;
};

struct facts {
	uint64_t key[2]; /* of the hashes of the table */
	/* What a rule lets a program write otherwise is another value live than in the recording. NULL: nothing. */
	const struct tape_rules *rules;
	struct tape_arena arena;
	struct fact **slots;
	size_t slot_count, fact_count;
	struct facts_search *searches[256]; /* by state */
	struct facts_list *lists;
	struct facts_info *infos;
	struct facts_running recorded[FACTS_SESSIONS], live[FACTS_SESSIONS];
	uint64_t learnt; /* searches, to know whether they were compared since */
	bool full;
};

/* Begin with nothing, and no rules. `key` is random, so that no trace can be made to be slow. */
void facts_init(struct facts *facts, const uint64_t key[2], size_t limit);
void facts_done(struct facts *facts);

/* Learn what a recorded call says: by its shapes, most say nothing. `moment` is when it was called. */
void facts_learn(struct facts *facts, const struct facts_moment *moment,
                 const struct tape_function *function, const struct tape_value *in,
                 const struct tape_value *out, CK_RV rv);

/*
 * Learn that an object is in a state since a template was written to it, or it was made of one. Not to be
 * called where a rule lets that be another one.
 */
void facts_learn_written(struct facts *facts, uint64_t object, const struct tape_value *list);

/*
 * Answer a live call. Returns false where that is not known. Answers point into the facts and into the
 * arena; handles that were found have their identity as `tag`. A search that is answered begins with
 * facts_served(), as any other.
 */
TAPE_MUST_CHECK bool facts_answer(struct facts *facts, const struct facts_moment *moment,
                                  const struct tape_function *function,
                                  const struct tape_value *live, struct tape_arena *arena,
                                  struct facts_answer *ret_answer);

/* A live call got its answer, from wherever: what it found and what it left to be found. */
void facts_served(struct facts *facts, const struct facts_moment *moment,
                  const struct tape_function *function, const struct tape_value *live,
                  const struct tape_value *out, CK_RV rv);

#endif
