/* SPDX-License-Identifier: MIT
 *
 * Going on with a live module: bringing it to the state that the program is in, by the calls that were kept.
 */
#include "core/capture.h"
#include "core/compare.h"
#include "core/stage.h"
#include "replayer/engine.h"
#include "replayer/forward_parts.h"

static void count_otherwise(const struct served *served)
{
	if (forward.otherwise++ == 0)
		forward.first_otherwise = served->function->name.text;
}

static uint64_t operations_of(const struct tape_map *map, const struct served *served)
{
	uint64_t bits = 0;
	if (served->function->lane >= 0)
		(void)tape_map_get(map, served->in[served->function->lane].number, &bits);
	return bits & forward_row_of(served->function)->operations;
}

static bool mark(struct tape_map *map, const struct served *served, unsigned int operations,
                 bool set)
{
	uint64_t session = served->in[served->function->lane].number;
	uint64_t bits = 0;
	(void)tape_map_get(map, session, &bits);
	bits = set ? bits | operations : bits & ~(uint64_t)operations;
	if (bits != 0)
		return tape_map_put(map, session, bits);
	tape_map_remove(map, session);
	return true;
}

/* What a call ended there is no question any more. */
static void forget_ended(const struct served *served)
{
	const struct tape_scope_row *row = forward_row_of(served->function);
	struct tape_scope_call call = {
		.function = served->function, .in = served->in, .out = served->out, .rv = served->rv
	};
	unsigned int bits = row->operations;
	if (served->function->lane < 0)
		return;
	if (row->act == TAPE_ACT_CLOSES || row->act == TAPE_ACT_CANCELS)
		bits = ~0u;
	else if (row->act != TAPE_ACT_ENDS || !tape_scope_gave_output(&call))
		return;
	(void)mark(&forward.absent, served, bits, false);
	(void)mark(&forward.doubtful, served, bits, false);
}

/* A call that cannot be made there: what it made is not known there. */
static bool leave_out(const struct served *served)
{
	const struct tape_scope_row *row = forward_row_of(served->function);
	bool good = true;
	for (size_t i = 0; i < served->function->count; i++)
		if (served->function->arguments[i].kind == TAPE_K_OUT_OBJECT &&
		    served->rv == CKR_OK)
			forward_set_unknown(OBJECTS, served->out[i].number);
	if (row->operations != 0 && served->function->lane >= 0 && served->rv == CKR_OK)
		good = mark(&forward.absent, served, row->operations, true);
	forget_ended(served);
	return good || forward_refuse("out of memory");
}

/* A slot that is not there: what was only read of it may be another one's business. */
static bool lacks_slot(const struct served *served, uint64_t slot)
{
	unsigned char label[32];
	count_otherwise(served);
	if (forward_row_of(served->function)->class == TAPE_CLASS_READ)
		return true;
	if (forward_find_label(slot, label))
		return forward_refuse("no slot of %s, or more than one, has the token '%.32s'",
		                      forward.path, (const char *)label);
	return forward_refuse("%s has no slot %llu, and the label of its token is not recorded",
	                      forward.path, (unsigned long long)slot);
}

static void differ_steadily(void *context, const struct tape_place *place,
                            const struct tape_value *recorded, const struct tape_value *live)
{
	(void)recorded;
	(void)live;
	*(bool *)context |= !tape_varies_place(place);
}

/* Whether a call that only reads told the program something else than the live module does. */
static bool tells_otherwise(const struct served *served, const struct tape_value *out)
{
	bool differs = false;
	struct tape_compare compare = { .each = differ_steadily, .context = &differs };
	return tape_compare_results(&compare, served->function, served->out, out) >= 0 || differs;
}

/* What a search found: known again by what the program knows of it. */
static bool bind_found(const struct served *served, const struct tape_value *list,
                       const struct tape_value *live, uint64_t live_session)
{
	uint64_t ignored;
	bool same = list->form == live->form && list->count == live->count;
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++) {
		uint64_t program = tape_value_child(list, i)->number;
		if (!forward_is_bound(OBJECTS, program, &ignored) &&
		    !forward_is_unknown(OBJECTS, program))
			forward_find_object(live_session, program,
			                    same ? tape_value_child(live, i)->number : 0);
	}
	for (size_t i = 0; same && list->form == TAPE_V_LIST && i < live->count; i++) {
		uint64_t program;
		same = tape_map_get(&forward.spaces[OBJECTS].program,
		                    tape_value_child(live, i)->number, &program) &&
		       forward_is_among(list, program);
	}
	if (same)
		return true;
	count_otherwise(served);
	return mark(&forward.doubtful, served, forward_row_of(served->function)->operations,
	            true) ||
	       forward_refuse("out of memory");
}

/* A call that answered as it was served: what stands for what from now on. */
static bool bind_outputs(const struct served *served, struct tape_value *out, uint64_t live_session)
{
	const struct tape_function *function = served->function;
	for (size_t i = 0; i < function->count; i++) {
		enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
		if (kind == TAPE_K_OUT_SLOTS)
			forward_find_slots(&served->out[i]);
		if (kind == TAPE_K_OUT_OBJECTS &&
		    !bind_found(served, &served->out[i], &out[i], live_session))
			return false;
		if ((kind == TAPE_K_OUT_SESSION || kind == TAPE_K_OUT_OBJECT) &&
		    !forward_bind(forward_space_of(kind), served->out[i].number, out[i].number))
			return forward_refuse("out of memory");
	}
	if (forward_row_of(function)->class == TAPE_CLASS_READ) {
		forward_give_outputs(function, out);
		if (tells_otherwise(served, out))
			count_otherwise(served);
	}
	return true;
}

static const char *code_of(CK_RV rv)
{
	const struct tape_name *name = tape_constant_name(TAPE_G_CKR, rv);
	return name == NULL ? "a code without a name" : name->text;
}

static bool judge(const struct served *served, CK_RV rv, struct tape_value *out,
                  uint64_t live_session)
{
	const struct tape_scope_row *row = forward_row_of(served->function);
	if (rv == served->rv)
		return rv != CKR_OK || bind_outputs(served, out, live_session);
	count_otherwise(served);
	if (row->class == TAPE_CLASS_READ)
		return true;
	if (row->operations == 0 || served->function->lane < 0)
		return forward_refuse("%s, which returned %s, returns %s on %s",
		                      served->function->name.text, code_of(served->rv), code_of(rv),
		                      forward.path);
	return mark(&forward.doubtful, served, row->operations, true) ||
	       forward_refuse("out of memory");
}

/* Make a call again. Returns false, refused, where the state cannot be brought there. */
static bool bring(const struct served *served)
{
	const struct tape_function *function = served->function;
	const struct tape_scope_row *row = forward_row_of(function);
	enum tape_function_id id = (enum tape_function_id)(function - tape_functions);
	struct tape_arena arena;
	struct lending lending = { .unknown = false };
	struct tape_stage stage = { .arena = &arena,
		                    .mutexes = served->mutexes,
		                    .notify = forward_notified,
		                    .handle = forward_lend_handle,
		                    .context = &lending };
	struct tape_capture capture = { .arena = &arena,
		                        .snapshot = true,
		                        .message_record = forward_by_size };
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	uintptr_t words[TAPE_MAX_WORDS];
	/* What failed and is no part of an operation changed nothing; a wrong PIN least of all is said again. */
	bool in_vain = served->rv != CKR_OK &&
	               (row->class == TAPE_CLASS_CHANGE || row->class == TAPE_CLASS_DRAW);
	if (in_vain || function->waits >= 0)
		return true;
	/* What is generated is another key there than the program knows. */
	if ((forward_effects_of(function) & TAPE_EFFECT_GENERATES) != 0)
		return leave_out(served);
	if (row->act == TAPE_ACT_BEGINS || row->act == TAPE_ACT_SEEKS)
		(void)mark(&forward.absent, served, row->operations, false);
	else if (operations_of(&forward.absent, served) != 0)
		return leave_out(served);
	tape_arena_init(&arena, NULL, 0, TAPE_MAX_ITEM);
	bool good = true;
	if (tape_stage_in(&stage, function, served->in, words) < 0) {
		good = forward_refuse("%s cannot be made again: %s", function->name.text,
		                      stage.missing == NULL ? "out of memory" : stage.missing);
	} else if (lending.unknown) {
		good = lending.space == SLOTS ? lacks_slot(served, lending.number)
		                              : leave_out(served);
	} else if (forward.live.functions[id] == NULL) {
		good = row->class == TAPE_CLASS_READ ||
		       forward_refuse("%s is not in %s", function->name.text, forward.path);
	} else {
		forward_lend_notify(function, served->words, words);
		tape_capture_in(&capture, function, words, in);
		CK_RV rv = tape_call(forward.live.functions[id], id, words);
		tape_capture_out(&capture, function, words, in, rv, out);
		forward.made++;
		if ((forward_effects_of(function) & TAPE_EFFECT_FORGETS) != 0 && rv == CKR_OK)
			forward.initialized = true;
		good = judge(served, rv, out, function->lane < 0 ? 0 : in[function->lane].number);
		if (good)
			forget_ended(served);
	}
	tape_arena_wipe(&arena);
	return good;
}

bool forward_bring_all(const char *path)
{
	struct tape_error error;
	const char *recorder = engine.options.recorder;
	/* A module that is not there is not the recorder's to complain of. */
	if (tape_live_load(&forward.bare, path, path, &error) < 0 ||
	    tape_live_load(&forward.live, recorder[0] != 0 ? recorder : path, path, &error) < 0)
		return forward_refuse("%s", error.sentence);
	for (const struct served *s = forward.first; s != NULL; s = s->next)
		if (!bring(s))
			return false;
	if (forward.failed)
		return forward_refuse("out of memory");
	if (forward.absent.count != 0)
		return forward_refuse(
			"an operation is active with an object that %s is not known to have", path);
	if (forward.doubtful.count != 0)
		return forward_refuse("an operation is active that went otherwise on %s", path);
	return true;
}
