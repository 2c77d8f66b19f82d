/* SPDX-License-Identifier: MIT */
#include "replayer/inject.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "replayer/engine.h"
#include "replayer/loose.h"
#include "replayer/replay.h"
#include "replayer/report.h"

/* Threads that have numbers, as in a trace: in the order of their first calls. */
#define MAX_THREADS 4096

static pthread_t threads[MAX_THREADS];
static size_t thread_count;
static pid_t process; /* whose threads they are */

/* The number of the calling thread, from 1 on; 0 where there are too many. Under the engine's lock. */
static uint64_t thread_number(void)
{
	if (process != getpid())
		thread_count = 0;
	process = getpid();
	for (size_t i = 0; i < thread_count; i++)
		if (pthread_equal(threads[i], pthread_self()))
			return i + 1;
	if (thread_count == MAX_THREADS)
		return 0;
	threads[thread_count++] = pthread_self();
	return thread_count;
}

bool inject_is_asked(void)
{
	int saved = errno;
	bool asked = replay_ready() && engine.options.injections.count != 0;
	errno = saved;
	return asked;
}

/* A call on its way to the trace. */
struct way {
	enum tape_function_id id;
	const uintptr_t *words; /* the program's */
	CK_RV (*serve)(enum tape_function_id id, const uintptr_t *words);
};

/* The list of mechanisms in a function's calls; -1 for none. */
static int list_of(const struct tape_function *function)
{
	for (int i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_LIST_AT)
			return i;
	return -1;
}

static bool has_equal_inputs(const struct record *record, const uintptr_t *words, int list)
{
	for (int i = 0; i < record->function->count; i++)
		if (i != list &&
		    (record->in[i].form != TAPE_V_NUMBER ||
		     record->in[i].number != words[record->function->arguments[i].word]))
			return false;
	return true;
}

/*
 * Find the recorded call that the program is about to make, with `query` for how many there are, or
 * else with room for them; of what has been read.
 */
static const struct record *find_recorded(const struct way *way, int list, enum tape_form form)
{
	for (const struct record *r = engine.main.first; r != NULL; r = r->next)
		if (r->function == &tape_functions[way->id] && r->in[list].form == form &&
		    has_equal_inputs(r, way->words, list))
			return r;
	return NULL;
}

/*
 * A whole list is wanted, in memory of ours, whatever the program asks for. What is recorded is asked for
 * as it was recorded: with the room that there was, or how many there are. In the latter case a list that
 * the trace has further on says which.
 */
static CK_RV serve_list(const struct way *way, int list, const uintptr_t *words)
{
	const uint8_t word = tape_functions[way->id].arguments[list].word;
	CK_MECHANISM_TYPE *whole = (CK_MECHANISM_TYPE *)words[word];
	CK_ULONG *count = (CK_ULONG *)words[word + 1];
	CK_ULONG room = *(const CK_ULONG *)way->words[word + 1];
	bool query = way->words[word] == 0;
	uintptr_t asked[TAPE_MAX_WORDS];
	memcpy(asked, words, tape_functions[way->id].words * sizeof(*asked));
	engine_enter();
	const struct record *recorded = find_recorded(way, list, TAPE_V_ROOM);
	CK_ULONG known = 0;
	if (recorded != NULL && query && recorded->out[list].form == TAPE_V_LIST)
		for (; known < recorded->out[list].count && known < TAPE_INJECT_LIST; known++)
			whole[known] =
				(CK_MECHANISM_TYPE)tape_value_child(&recorded->out[list], known)
					->number;
	if (recorded != NULL && !query && recorded->in[list].number <= TAPE_INJECT_LIST)
		room = (CK_ULONG)recorded->in[list].number;
	engine_leave();
	*count = room;
	if (query)
		asked[word] = 0;
	CK_RV rv = way->serve(way->id, asked);
	/* What nobody can know is at least none of those that are hidden. */
	for (CK_ULONG i = known; query && i < *count && i < TAPE_INJECT_LIST; i++)
		whole[i] = CK_UNAVAILABLE_INFORMATION;
	return rv;
}

static CK_RV serve(void *context, const uintptr_t *words)
{
	const struct way *way = context;
	int list = list_of(&tape_functions[way->id]);
	return words != way->words && list >= 0 ? serve_list(way, list, words)
	                                        : way->serve(way->id, words);
}

/*
 * A call that fails in a cryptographic operation ends it (PKCS#11 3.1 §5.8 to §5.15), unless for the lack of
 * room: for lenient mode, which knows what is active, the program has cancelled it. Nothing else has happened.
 */
static void end_operations(const struct tape_function *function, const uintptr_t *words, CK_RV rv)
{
	static const CK_FLAGS flags[TAPE_OPERATIONS] = {
#define OPERATION(name, flag) [TAPE_OPERATION_##name] = flag,
#include "core/api/scopes.def"
	};
	static const struct tape_value nothing[TAPE_MAX_ARGUMENTS];
	const struct tape_scope_row *row = &tape_scope_rows[function - tape_functions];
	struct tape_value in[TAPE_MAX_ARGUMENTS] = { { .form = TAPE_V_ABSENT } };
	CK_FLAGS ended = 0;
	if (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL || function->lane < 0 ||
	    (row->act != TAPE_ACT_FEEDS && row->act != TAPE_ACT_ENDS))
		return;
	for (size_t i = 0; i < TAPE_OPERATIONS; i++)
		if ((row->operations & 1u << i) != 0 && i != TAPE_OPERATION_FIND)
			ended |= flags[i];
	for (size_t f = 0; f < TAPE_FN_COUNT; f++) {
		const struct tape_function *cancel = &tape_functions[f];
		if (tape_scope_rows[f].act != TAPE_ACT_CANCELS || cancel->lane < 0)
			continue;
		for (size_t i = 0; i < cancel->count; i++)
			in[i] = (struct tape_value){ .form = TAPE_V_NUMBER, .number = ended };
		in[cancel->lane].number = words[function->arguments[function->lane].word];
		engine_enter();
		if (engine.state == OPEN && engine.loose != NULL &&
		    !loose_beyond(cancel, in, nothing, CKR_OK))
			report_note("out of memory");
		engine_leave();
		return;
	}
}

CK_RV inject_call(enum tape_function_id id, const uintptr_t *words,
                  CK_RV (*serve_call)(enum tape_function_id id, const uintptr_t *words))
{
	struct tape_injections *injections = &engine.options.injections;
	struct way way = { id, words, serve_call };
	int saved = errno;
	uint64_t thread = 0;
	bool made;
	if (injections->by_thread) {
		engine_enter();
		thread = thread_number();
		engine_leave();
	}
	uint32_t rules = tape_inject_choose(injections, &tape_functions[id], words, thread);
	if (rules == 0)
		return serve_call(id, words);
	CK_RV rv =
		tape_inject_call(injections, rules, &tape_functions[id], words, serve, &way, &made);
	if (!made)
		end_operations(&tape_functions[id], words, rv);
	errno = saved;
	return rv;
}
