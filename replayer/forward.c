/* SPDX-License-Identifier: MIT
 *
 * Going on with a live module: the calls that are kept until then, the switch, and calls behind it. forward_parts.h
 * says where the rest is.
 */
#include "replayer/forward.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "core/answer.h"
#include "core/capture.h"
#include "core/system.h"
#include "replayer/engine.h"
#include "replayer/forward_parts.h"
#include "replayer/report.h"
#include "replayer/wait.h"

struct forward forward;

static void forget_calls(void)
{
	tape_arena_wipe(&forward.arena);
	tape_map_clear(&forward.own);
	forward.first = NULL;
	forward.end = &forward.first;
	forward.count = 0;
}

TAPE_PRINTF(1, 2) bool forward_refuse(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(forward.why, sizeof(forward.why), format, list);
	va_end(list);
	forget_calls();
	forward.state = REFUSED;
	return false;
}

void forward_begin(void)
{
	tape_arena_init(&forward.arena, NULL, 0, FORWARD_BYTES);
	forget_calls();
	memcpy(forward.path, engine.options.forward, sizeof(forward.path));
	if (forward.path[0] == 0 && engine.reader != NULL)
		snprintf(forward.path, sizeof(forward.path), "%s",
		         tape_reader_header(engine.reader)->module);
	forward.state = KEEPING;
}

bool forward_is_on(void)
{
	return forward.state == ON;
}

void forward_end(void)
{
	if (forward.state == KEEPING)
		forget_calls();
}

/* ---- keeping --------------------------------------------------------------------------------- */

enum tape_record_id forward_by_size(void *context, CK_SESSION_HANDLE session, bool seal)
{
	(void)context;
	(void)session;
	(void)seal;
	return TAPE_R_COUNT;
}

/* Whether all objects that a call names are session objects that the program made. */
static bool names_own(const struct tape_function *function, const struct tape_value *in)
{
	uint64_t ignored;
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OBJECT &&
		    !tape_map_get(&forward.own, in[i].number, &ignored))
			return false;
	return true;
}

/* What the trace gave when the live module was already there, which knows nothing of it. */
static void came_late(const struct tape_function *function, const struct tape_value *out)
{
	uint64_t ignored;
	for (size_t i = 0; i < function->count; i++) {
		enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
		if ((kind == TAPE_K_OUT_SESSION || kind == TAPE_K_OUT_OBJECT) &&
		    !forward_is_bound(forward_space_of(kind), out[i].number, &ignored))
			forward_set_unknown(forward_space_of(kind), out[i].number);
	}
}

static void keep(const struct tape_function *function, const uintptr_t *words,
                 const struct tape_value *in, const struct tape_value *out, CK_RV rv)
{
	unsigned int effects = forward_effects_of(function);
	const char *harm = rv == CKR_OK ? tape_harm(function, in, names_own(function, in)) : NULL;
	if (harm != NULL) {
		forward_refuse("%s %s, and is not made again on a live one", function->name.text,
		               harm);
		return;
	}
	if ((effects & TAPE_EFFECT_FORGETS) != 0 && rv == CKR_OK)
		forget_calls();
	struct served *served = tape_arena_get(&forward.arena, sizeof(*served));
	if (served == NULL || ++forward.count > FORWARD_CALLS)
		goto full;
	memset(served, 0, sizeof(*served));
	served->function = function;
	memcpy(served->words, words, function->words * sizeof(*words));
	served->rv = rv;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (!tape_value_copy(&forward.arena, &served->in[i], &in[i]) ||
		    !tape_value_copy(&forward.arena, &served->out[i], &out[i]))
			goto full;
		if (argument->kind == TAPE_K_INIT_ARGS && in[i].form == TAPE_V_RECORD)
			memcpy(&served->mutexes, (const void *)words[argument->word],
			       sizeof(served->mutexes));
		/* Where it were of the token we would not be here. */
		if (argument->kind == TAPE_K_OUT_OBJECT && rv == CKR_OK &&
		    !tape_map_put(&forward.own, out[i].number, 1))
			goto full;
	}
	*forward.end = served;
	forward.end = &served->next;
	return;
full:
	forward_refuse("the program has made more calls than are kept for a live module");
}

CK_RV forward_keep(const struct tape_function *function, const uintptr_t *words,
                   forward_serve *serve)
{
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_arena arena;
	struct tape_capture capture = { .arena = &arena,
		                        .snapshot = true,
		                        .message_record = forward_by_size };
	/* It came while another thread went over. */
	if (forward.state == ON)
		return FORWARD_HERE;
	if (forward.state != KEEPING)
		return serve(function, words);
	tape_arena_init(&arena, NULL, 0, TAPE_MAX_ITEM);
	tape_capture_in(&capture, function, words, in);
	CK_RV rv = serve(function, words);
	if (rv != FORWARD_HERE) {
		tape_capture_out(&capture, function, words, in, rv, out);
		/* The lock may have been given away, and another thread have gone over. */
		if (forward.state == KEEPING)
			keep(function, words, in, out, rv);
		else if (rv == CKR_OK)
			came_late(function, out);
	}
	tape_arena_wipe(&arena);
	return rv;
}

/* ---- going over ------------------------------------------------------------------------------ */

static void tell(const struct tape_function *function)
{
	char sentence[sizeof(engine.options.forward) + 512];
	int length = snprintf(sentence, sizeof(sentence),
	                      "%s is not in the recording: from here on %s answers, on which %llu "
	                      "calls were made again",
	                      function->name.text, forward.path, (unsigned long long)forward.made);
	if (forward.otherwise != 0 && length > 0 && (size_t)length < sizeof(sentence))
		snprintf(sentence + length, sizeof(sentence) - (size_t)length,
		         "; %llu of them answered otherwise, the first one was %s",
		         (unsigned long long)forward.otherwise, forward.first_otherwise);
	report_note(sentence);
}

bool forward_switch(const struct tape_function *function, const char **ret_why)
{
	*ret_why = NULL;
	if (forward.state == KEEPING) {
		forward.state = BRINGING;
		if (forward_bring_all(forward.path)) {
			tell(function);
			forget_calls();
			forward.state = ON;
			/* Who waits for an event of the recording waits there. */
			wait_check();
			return true;
		}
		CK_C_Finalize finalize = (CK_C_Finalize)forward.live.functions[TAPE_FN_C_Finalize];
		if (forward.initialized && finalize != NULL)
			(void)finalize(NULL);
	}
	if (forward.state == REFUSED)
		*ret_why = forward.why;
	return false;
}

/* ---- going on with it ------------------------------------------------------------------------ */

/* What a call that succeeded ended: numbers that may come to mean something else. */
static void forget_handles(const struct tape_function *function, const struct tape_value *in)
{
	unsigned int effects = forward_effects_of(function);
	if ((effects & TAPE_EFFECT_FORGETS) != 0)
		for (int space = SESSIONS; space <= OBJECTS; space++) {
			tape_map_clear(&forward.spaces[space].live);
			tape_map_clear(&forward.spaces[space].program);
			tape_map_clear(&forward.spaces[space].unknown);
		}
	if (forward_row_of(function)->act == TAPE_ACT_CLOSES)
		forward_unbind(SESSIONS, in[function->lane].number);
	for (size_t i = 0; (effects & TAPE_EFFECT_DESTROYS) != 0 && i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OBJECT)
			forward_unbind(OBJECTS, in[i].number);
}

bool forward_call(const struct tape_function *function, const uintptr_t *words, CK_RV *ret_rv,
                  char ret_why[FORWARD_WHY])
{
	static const char *const names[SPACES] = { "session", "object", "slot" };
	enum tape_function_id id = (enum tape_function_id)(function - tape_functions);
	_Alignas(16) char room[RECORD_ROOM];
	struct tape_arena arena;
	struct tape_capture capture = { .arena = &arena,
		                        .snapshot = true,
		                        .message_record = forward_by_size };
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value live_in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	uintptr_t live[TAPE_MAX_WORDS];
	struct lending lending = { .unknown = false };
	tape_arena_init(&arena, room, sizeof(room), TAPE_MAX_ITEM);
	tape_capture_in(&capture, function, words, in);
	engine_enter();
	bool inside = forward_lend(&arena, function, words, in, live, &lending);
	engine_leave();
	if (lending.unknown) {
		snprintf(ret_why, FORWARD_WHY,
		         "it is not known which %s of the live module is %s %llu",
		         names[lending.space], names[lending.space],
		         (unsigned long long)lending.number);
		tape_arena_wipe(&arena);
		return false;
	}
	if (lending.failed) {
		*ret_rv = CKR_HOST_MEMORY;
		tape_arena_wipe(&arena);
		return true;
	}
	tape_capture_in(&capture, function, live, live_in);
	*ret_rv = forward.live.functions[id] == NULL
	                  ? CKR_FUNCTION_NOT_SUPPORTED
	                  : tape_call(forward.live.functions[id], id, live);
	tape_capture_out(&capture, function, live, live_in, *ret_rv, out);
	engine_enter();
	/* The order counts: a number that is forgotten may be given out by the same call. */
	if (*ret_rv == CKR_OK)
		forget_handles(function, in);
	if ((*ret_rv == CKR_OK && forward_give_outputs(function, out)) || inside)
		tape_answer(NULL, function, words, in, out);
	engine_leave();
	atomic_fetch_add(&report_counters->forwarded, 1);
	tape_arena_wipe(&arena);
	return true;
}
