/* SPDX-License-Identifier: MIT */
#include "replayer/model.h"

#include <stdlib.h>
#include <string.h>

#include "core/map.h"
#include "core/mix.h"
#include "core/varies.h"

/* A recorded call that has something to say, and the state in which it began. */
struct note {
	size_t index;
	struct facts_moment moment;
};

struct model {
	struct facts facts;
	struct note *notes;
	size_t count, room;
	struct tape_map handles; /* objects that were found: the recorded handle, by identity */
	bool failed;
};

struct model *model_new(void)
{
	struct model *model = calloc(1, sizeof(*model));
	if (model == NULL)
		return NULL;
	facts_init(&model->facts, engine.bindings.key, FACTS_MAX_BYTES);
	model->facts.rules = &engine.options.rules;
	return model;
}

void model_free(struct model *model)
{
	if (model == NULL)
		return;
	facts_done(&model->facts);
	free(model->notes);
	tape_map_done(&model->handles);
	free(model);
}

bool model_is_full(const struct model *model)
{
	return model->facts.full || model->failed;
}

/* ---- when it is ------------------------------------------------------------------------------ */

static uint64_t session_of(const struct model_call *call)
{
	const int lane = call->function->lane;
	return lane < 0 ? 0 : call->in[lane].number;
}

/* The first argument of a kind; NULL where there is none. */
static const struct tape_value *first_of(const struct model_call *call, enum tape_kind kind)
{
	for (size_t i = 0; i < call->function->count; i++)
		if (call->function->arguments[i].kind == kind)
			return &call->in[i];
	return NULL;
}

/* Of a session that is not known to be open nothing is known. */
static struct facts_moment moment_of(const struct model_call *call)
{
	const struct tape_scope_row *row = &tape_scope_rows[call->function - tape_functions];
	const struct tape_value *object = first_of(call, TAPE_K_OBJECT);
	const struct tape_value *slot = first_of(call, TAPE_K_SLOT);
	const uint64_t session = session_of(call);
	struct facts_moment moment = { .session = session };
	const uint64_t reads = tape_scope_key(call->state, row->reads);
	if (call->function->lane >= 0) {
		if (!tape_scope_session_lives(call->scopes, session))
			return (struct facts_moment){ .session = 0 };
		moment.set = tape_scope_set_state(call->scopes, session);
		moment.searches = call->state[TAPE_SCOPE_OP].hash != 0;
		moment.busy = call->state[TAPE_SCOPE_ALL_OPS].hash != 0;
		if (object != NULL)
			moment.object =
				tape_scope_object_state(call->scopes, session, object->number);
		if (call->opened != 0)
			moment.sort = tape_mix(call->opened, reads);
	} else if (slot != NULL) {
		moment.token = tape_mix(slot->number, reads);
	}
	return moment;
}

/* ---- learning -------------------------------------------------------------------------------- */

/* Whether facts_learn() may learn something of it: calls that have nothing to say are most of a trace. */
static bool has_something_to_say(const struct tape_function *function)
{
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if ((shape->codec == TAPE_C_TEMPLATE &&
		     (shape->traits & (TAPE_T_OUT | TAPE_T_SEEKS)) != 0) ||
		    shape->codec == TAPE_C_FOUND || shape->codec == TAPE_C_LIST_AT ||
		    shape->codec == TAPE_C_STRUCT)
			return true;
	}
	return false;
}

void model_note(struct model *model, const struct model_call *call, const struct record *record,
                size_t index)
{
	if (model->failed || !has_something_to_say(call->function))
		return;
	if (model->count == model->room) {
		size_t room = model->room == 0 ? 256 : model->room * 2;
		struct note *notes = realloc(model->notes, room * sizeof(*notes));
		if (notes == NULL) {
			model->failed = true;
			return;
		}
		model->notes = notes;
		model->room = room;
	}
	struct note *note = &model->notes[model->count++];
	note->index = index;
	note->moment = moment_of(call);
	note->moment.part = record->part;
}

void model_wrote(struct model *model, struct tape_scopes *scopes, const struct record *record)
{
	const struct tape_function *function = record->function;
	const uint16_t effects = tape_effects[function - tape_functions].effects;
	const uint16_t writes = TAPE_EFFECT_CREATES | TAPE_EFFECT_GENERATES | TAPE_EFFECT_EDITS;
	size_t made = 0;
	if ((effects & writes) == 0 || record->rv != CKR_OK || function->lane < 0 ||
	    engine.options.rules.any[function - tape_functions])
		return;
	const uint64_t session = record->in[function->lane].number;
	if (!tape_scope_session_lives(scopes, session))
		return;
	/* The first template is of the first object that it makes, and so on; or of the one that it edits. */
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_value *object = NULL;
		if (tape_shapes[function->arguments[i].kind].codec != TAPE_C_TEMPLATE)
			continue;
		for (size_t j = 0, seen = 0; j < function->count && object == NULL; j++) {
			const uint8_t kind = function->arguments[j].kind;
			if ((effects & TAPE_EFFECT_EDITS) != 0 && kind == TAPE_K_OBJECT)
				object = &record->in[j];
			else if ((effects & TAPE_EFFECT_EDITS) == 0 && kind == TAPE_K_OUT_OBJECT &&
			         seen++ == made)
				object = &record->out[j];
		}
		made++;
		if (object != NULL && object->form == TAPE_V_NUMBER)
			facts_learn_written(
				&model->facts,
				tape_scope_object_state(scopes, session, object->number),
				&record->in[i]);
	}
}

/* The handles that were found, as what they stand for. Returns false without memory. */
static bool put_identities(struct model *model, const struct record *record, struct tape_value *out)
{
	for (size_t i = 0; i < record->function->count; i++) {
		if (tape_shapes[record->function->arguments[i].kind].codec != TAPE_C_FOUND ||
		    out[i].form != TAPE_V_LIST)
			continue;
		struct tape_value *list =
			tape_arena_array(&engine.scratch, out[i].count, sizeof(*list));
		if (list == NULL)
			return false;
		for (size_t j = 0; j < out[i].count; j++) {
			list[j] = *tape_value_child(&out[i], j);
			if (!tape_map_put(&model->handles, list[j].tag, list[j].number))
				return false;
			list[j].number = list[j].tag;
		}
		out[i].data = list;
	}
	return true;
}

void model_learn(struct model *model, model_usable_fn *usable, void *context)
{
	for (size_t i = 0; i < model->count && !model->failed; i++) {
		struct tape_value out[TAPE_MAX_ARGUMENTS];
		const struct note *note = &model->notes[i];
		const struct record *record = usable(context, note->index);
		if (record == NULL)
			continue;
		tape_arena_reset(&engine.scratch);
		memcpy(out, record->out, record->function->count * sizeof(*out));
		if (put_identities(model, record, out))
			facts_learn(&model->facts, &note->moment, record->function, record->in, out,
			            record->rv);
		else
			model->failed = true;
	}
	free(model->notes);
	model->notes = NULL;
	model->count = model->room = 0;
}

/* ---- answering ------------------------------------------------------------------------------- */

struct live {
	struct model *model;
	struct tape_scopes *scopes;
	uint64_t session;
};

static uint64_t identity_of(void *context, uint64_t session, uint64_t handle)
{
	const struct live *live = context;
	return tape_scope_object(live->scopes, session, handle);
}

/* An object that the program has not seen yet has its recorded handle, if that is nothing else's to it. */
static bool find_handle(void *context, uint64_t identity, uint64_t *ret_handle)
{
	const struct live *live = context;
	if (tape_scope_find(live->scopes, identity, ret_handle))
		return true;
	return tape_map_get(&live->model->handles, identity, ret_handle) &&
	       tape_scope_object(live->scopes, live->session, *ret_handle) == identity;
}

/* Of what a search would find: its handle means nothing before, but then it does. */
static uint64_t state_of(void *context, uint64_t session, uint64_t handle)
{
	const struct live *live = context;
	return tape_scope_found_state(live->scopes, session, handle);
}

bool model_answer(struct model *model, const struct model_call *call, struct tape_arena *arena,
                  struct facts_answer *ret_answer)
{
	struct live live = { model, call->scopes, session_of(call) };
	const struct facts_handles handles = { identity_of, find_handle, state_of, &live };
	struct facts_moment moment = moment_of(call);
	moment.handles = &handles;
	return !model->failed &&
	       facts_answer(&model->facts, &moment, call->function, call->in, arena, ret_answer);
}

void model_served(struct model *model, const struct model_call *call, const struct tape_value *out,
                  CK_RV rv)
{
	struct live live = { model, call->scopes, session_of(call) };
	const struct facts_handles handles = { identity_of, find_handle, state_of, &live };
	struct facts_moment moment = moment_of(call);
	moment.handles = &handles;
	facts_served(&model->facts, &moment, call->function, call->in, out, rv);
}
