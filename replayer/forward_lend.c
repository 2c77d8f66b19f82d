/* SPDX-License-Identifier: MIT
 *
 * Going on with a live module: the program's arguments with the live module's numbers in them, and what the module
 * gives with the program's.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/stage.h"
#include "replayer/engine.h"
#include "replayer/forward_parts.h"

uint64_t forward_lend_handle(void *context, enum tape_kind kind, uint64_t program)
{
	struct lending *lending = context;
	int space = forward_space_of(kind);
	uint64_t live;
	if (space < 0 || (space != SLOTS && program == 0))
		return program;
	if (space == SLOTS && !forward_is_unknown(space, program) &&
	    !forward_is_bound(space, program, &live))
		forward_find_slot(program);
	if (forward_is_bound(space, program, &live)) {
		lending->other |= live != program;
		return live;
	}
	if (forward_is_unknown(space, program)) {
		lending->unknown = true;
		lending->space = space;
		lending->number = program;
	}
	/* A number that was made up must not become somebody's: no slot has the highest one, no object or session 0. */
	lending->other = true;
	return space == SLOTS ? (CK_SLOT_ID)-1 : 0;
}

/* A session's Notify function, and what it is called with. */
struct notify {
	CK_NOTIFY function;
	void *application;
};

CK_RV forward_notified(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	const struct notify *notify = application;
	if (notify == NULL || forward.state != ON)
		return CKR_OK;
	engine_enter();
	uint64_t program = forward_to_program(SESSIONS, session);
	engine_leave();
	return notify->function((CK_SESSION_HANDLE)program, event, notify->application);
}

void forward_lend_notify(const struct tape_function *function, const uintptr_t *program,
                         uintptr_t *live)
{
	uintptr_t callback = 0;
	uintptr_t application = 0;
	for (size_t i = 0; i < function->count; i++) {
		unsigned int word = function->arguments[i].word;
		if (function->arguments[i].kind == TAPE_K_NOTIFY)
			callback = program[word];
		else if (function->arguments[i].kind == TAPE_K_APPLICATION)
			live[word] = application = program[word];
	}
	struct notify *notify = callback == 0 ? NULL : malloc(sizeof(*notify));
	if (notify != NULL)
		*notify = (struct notify){ (CK_NOTIFY)callback, (void *)application };
	for (size_t i = 0; i < function->count && callback != 0; i++) {
		unsigned int word = function->arguments[i].word;
		if (function->arguments[i].kind == TAPE_K_NOTIFY)
			live[word] = (uintptr_t)forward_notified;
		else if (function->arguments[i].kind == TAPE_K_APPLICATION)
			live[word] = (uintptr_t)notify;
	}
	/* The module has it. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
}

/* Handles in structures: the program's numbers for the live ones. Returns whether any is another. */
static bool give_back(struct tape_value *value)
{
	bool any = false;
	struct tape_value *children = (struct tape_value *)(uintptr_t)value->data;
	if (value->form == TAPE_V_MECHANISM)
		return give_back(children);
	if (value->form == TAPE_V_LIST)
		for (size_t i = 0; i < value->count; i++)
			any |= give_back(&children[i]);
	if (value->form != TAPE_V_RECORD || value->record == TAPE_R_NONE)
		return any;
	const struct tape_record *record = &tape_records[value->record];
	for (size_t i = 0; i < value->count && i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		bool object = tape_value_is_object(value, i);
		/* The only structure that names a slot is about a session. */
		bool slot = value->record == TAPE_R_CK_SESSION_INFO &&
		            field->offset == offsetof(CK_SESSION_INFO, slotID);
		if (children[i].form == TAPE_V_NUMBER &&
		    (slot || (object && children[i].number != 0))) {
			uint64_t live = children[i].number;
			children[i].number = forward_to_program(slot ? SLOTS : OBJECTS, live);
			any |= children[i].number != live;
		} else {
			any |= give_back(&children[i]);
		}
	}
	return any;
}

bool forward_give_outputs(const struct tape_function *function, struct tape_value *out)
{
	bool any = false;
	for (size_t i = 0; i < function->count; i++) {
		enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
		int space =
			(tape_shapes[kind].traits & TAPE_T_OUT) != 0 ? forward_space_of(kind) : -1;
		bool list = out[i].form == TAPE_V_LIST;
		struct tape_value *numbers =
			list ? (struct tape_value *)(uintptr_t)out[i].data : &out[i];
		if (space < 0) {
			any |= give_back(&out[i]);
			continue;
		}
		for (size_t j = 0; j < (list ? out[i].count : out[i].form == TAPE_V_NUMBER); j++) {
			uint64_t live = numbers[j].number;
			numbers[j].number = forward_to_program(space, live);
			any |= numbers[j].number != live;
		}
	}
	return any;
}

/*
 * Inputs with handles inside that are others there: arguments of our own. What holds none stays the program's, with all
 * that it points to. Returns whether there are any.
 */
static bool lend_inside(struct tape_arena *arena, const struct tape_function *function,
                        const struct tape_value *in, uintptr_t *words, struct lending *lending)
{
	struct tape_value inside[TAPE_MAX_ARGUMENTS];
	uintptr_t staged[TAPE_MAX_WORDS];
	struct lending inner = { .unknown = false };
	struct tape_stage stage = { .arena = arena,
		                    .handle = forward_lend_handle,
		                    .context = &inner };
	bool deep[TAPE_MAX_ARGUMENTS] = { false };
	bool any = false;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		deep[i] = shape->codec == TAPE_C_MECHANISM || shape->codec == TAPE_C_PARAMETER;
		inside[i] = deep[i] ? in[i] : (struct tape_value){ .form = TAPE_V_NULL };
		any |= deep[i];
	}
	if (!any)
		return false;
	if (tape_stage_in(&stage, function, inside, staged) < 0) {
		lending->failed = true;
		return false;
	}
	if (inner.unknown)
		*lending = inner;
	for (size_t i = 0; inner.other && i < function->count; i++)
		for (size_t j = 0; deep[i] && j < tape_shapes[function->arguments[i].kind].words;
		     j++)
			words[function->arguments[i].word + j] =
				staged[function->arguments[i].word + j];
	return inner.other;
}

bool forward_lend(struct tape_arena *arena, const struct tape_function *function,
                  const uintptr_t *words, const struct tape_value *in, uintptr_t *live,
                  struct lending *lending)
{
	memcpy(live, words, function->words * sizeof(*words));
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (tape_shapes[argument->kind].codec == TAPE_C_NUMBER)
			live[argument->word] = (uintptr_t)forward_lend_handle(
				lending, (enum tape_kind)argument->kind, words[argument->word]);
	}
	bool inside = lend_inside(arena, function, in, live, lending);
	forward_lend_notify(function, words, live);
	return inside;
}
