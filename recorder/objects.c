/* SPDX-License-Identifier: MIT */
#include "recorder/objects.h"

#include <stdatomic.h>

#include "core/capture.h"
#include "core/system.h"

/* Powers of two. An entry that another one needs is given up: it is as if nothing were known. */
#define MAX_SESSIONS 1024
#define MAX_OBJECTS 4096

#define UNKNOWN ((CK_OBJECT_CLASS)-1)

/*
 * A child inherits sessions and objects, hence these; a fork may cut an update off. An entry is made void
 * first and valid last, so that it never says one object's class of another one.
 */
static struct session {
	_Atomic CK_SESSION_HANDLE session; /* 0: none */
	_Atomic CK_SLOT_ID slot;
	_Atomic CK_OBJECT_CLASS sought; /* of the search that is on */
} sessions[MAX_SESSIONS];

static struct object {
	_Atomic CK_OBJECT_HANDLE object;
	_Atomic CK_SLOT_ID
		slot; /* handles are a token's: two tokens may have one number for two objects */
	_Atomic CK_OBJECT_CLASS class;
	_Atomic bool valid;
} objects[MAX_OBJECTS];

static size_t spread(uint64_t number, size_t count)
{
	return (size_t)(number * 0x9e3779b97f4a7c15u >> 32) % count;
}

static struct session *find_session(CK_SESSION_HANDLE session)
{
	struct session *entry = &sessions[spread(session, MAX_SESSIONS)];
	return session != 0 && atomic_load(&entry->session) == session ? entry : NULL;
}

static void note_session(CK_SESSION_HANDLE session, CK_SLOT_ID slot)
{
	struct session *entry = &sessions[spread(session, MAX_SESSIONS)];
	atomic_store(&entry->session, 0);
	atomic_store(&entry->slot, slot);
	atomic_store(&entry->sought, UNKNOWN);
	atomic_store(&entry->session, session);
}

static struct object *place_of(CK_SLOT_ID slot, CK_OBJECT_HANDLE object)
{
	return &objects[spread((uint64_t)object + ((uint64_t)slot << 40), MAX_OBJECTS)];
}

static bool is_at(const struct object *entry, CK_SLOT_ID slot, CK_OBJECT_HANDLE object)
{
	return atomic_load(&entry->valid) && atomic_load(&entry->object) == object &&
	       atomic_load(&entry->slot) == slot;
}

static void note_object(const struct session *session, CK_OBJECT_HANDLE object,
                        CK_OBJECT_CLASS class)
{
	/* Without the slot it could be any object's number: nothing known is certain any more. */
	if (session == NULL) {
		for (size_t i = 0; i < MAX_OBJECTS; i++)
			atomic_store(&objects[i].valid, false);
		return;
	}
	CK_SLOT_ID slot = atomic_load(&session->slot);
	struct object *entry = place_of(slot, object);
	if (class == UNKNOWN && !is_at(entry, slot, object))
		return;
	atomic_store(&entry->valid, false);
	if (class == UNKNOWN)
		return;
	atomic_store(&entry->object, object);
	atomic_store(&entry->slot, slot);
	atomic_store(&entry->class, class);
	atomic_store(&entry->valid, true);
}

static CK_OBJECT_CLASS class_of(const struct session *session, CK_OBJECT_HANDLE object)
{
	if (session == NULL)
		return UNKNOWN;
	CK_SLOT_ID slot = atomic_load(&session->slot);
	const struct object *entry = place_of(slot, object);
	return is_at(entry, slot, object) ? atomic_load(&entry->class) : UNKNOWN;
}

uint64_t tape_objects_class(void *context, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	struct tape_state *state = context;
	tape_lock_take(&state->objects_lock);
	CK_OBJECT_CLASS class = class_of(find_session(session), object);
	tape_lock_give(&state->objects_lock);
	return class == UNKNOWN ? TAPE_CLASS_UNKNOWN : class;
}

static CK_SESSION_HANDLE session_of(const struct tape_call *call)
{
	const struct tape_function *function = call->function;
	return function->lane < 0 ? 0 : call->words[function->arguments[function->lane].word];
}

/* The class in a call's one template; what C_CopyObject does not say is its source's. */
void tape_objects_enter(struct tape_call *call)
{
	const struct tape_function *function = call->function;
	const struct tape_value *object = NULL;
	size_t templates = 0;
	uint64_t class = TAPE_CLASS_UNKNOWN;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if (function->arguments[i].kind == TAPE_K_OBJECT && object == NULL)
			object = &call->in[i];
		if (shape->codec != TAPE_C_TEMPLATE || (shape->traits & TAPE_T_OUT) != 0)
			continue;
		templates++;
		if (call->in[i].form == TAPE_V_LIST)
			class = tape_template_class(&call->in[i], NULL);
		if (class == TAPE_CLASS_UNKNOWN && (shape->traits & TAPE_T_OF) != 0 &&
		    object != NULL)
			class = tape_objects_class(call->state, session_of(call),
			                           (CK_OBJECT_HANDLE)object->number);
	}
	call->object_class = templates == 1 ? class : TAPE_CLASS_UNKNOWN;
}

/* Keys that a mechanism's parameter or an asynchronous result hands out. */
static void forget_handles(const struct session *session, const struct tape_value *value)
{
	const struct tape_record *record = &tape_records[value->record];
	for (size_t i = 0; i < value->count; i++) {
		const struct tape_value *child = tape_value_child(value, i);
		if (child->form == TAPE_V_RECORD || child->form == TAPE_V_MECHANISM ||
		    child->form == TAPE_V_LIST)
			forget_handles(session, child);
		else if (child->form == TAPE_V_NUMBER && value->form == TAPE_V_RECORD &&
		         (tape_fields[record->first + i].kind == TAPE_F_OBJECT ||
		          tape_fields[record->first + i].kind == TAPE_F_P_OBJECT))
			note_object(session, (CK_OBJECT_HANDLE)child->number, UNKNOWN);
	}
}

static void note_output(const struct tape_call *call, size_t i, const struct tape_value *value,
                        struct session *session, CK_RV rv)
{
	const struct tape_function *function = call->function;
	const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
	switch (function->arguments[i].kind) {
	case TAPE_K_OUT_SESSION:
		for (size_t j = 0; j < function->count; j++)
			if (function->arguments[j].kind == TAPE_K_SLOT &&
			    value->form == TAPE_V_NUMBER)
				note_session((CK_SESSION_HANDLE)value->number,
				             (CK_SLOT_ID)call->in[j].number);
		return;
	case TAPE_K_OUT_OBJECT:
		if (value->form == TAPE_V_NUMBER)
			note_object(session, (CK_OBJECT_HANDLE)value->number,
			            rv != CKR_OK ? UNKNOWN : (CK_OBJECT_CLASS)call->object_class);
		return;
	case TAPE_K_OUT_OBJECTS:
		for (size_t j = 0; value->form == TAPE_V_LIST && j < value->count; j++) {
			note_object(session, (CK_OBJECT_HANDLE)tape_value_child(value, j)->number,
			            session == NULL ? UNKNOWN : atomic_load(&session->sought));
			if (session == NULL)
				break;
		}
		return;
	default:
		break;
	}
	if (value->form == TAPE_V_RECORD || value->form == TAPE_V_MECHANISM) {
		forget_handles(session, value);
	} else if (shape->codec == TAPE_C_TEMPLATE && value->form == TAPE_V_LIST) {
		uint64_t class = tape_template_class(value, rv == CKR_OK ? NULL : &call->in[i]);
		for (size_t j = 0; class != TAPE_CLASS_UNKNOWN && j < i; j++)
			if (function->arguments[j].kind == TAPE_K_OBJECT)
				note_object(session, (CK_OBJECT_HANDLE)call->in[j].number,
				            (CK_OBJECT_CLASS) class);
	}
}

void tape_objects_leave(struct tape_call *call, const struct tape_value *out, CK_RV rv)
{
	const struct tape_function *function = call->function;
	tape_lock_take(&call->state->objects_lock);
	struct session *session = find_session(session_of(call));
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if ((shape->traits & TAPE_T_SEEKS) != 0 && rv == CKR_OK && session != NULL)
			atomic_store(&session->sought, (CK_OBJECT_CLASS)call->object_class);
		else if ((shape->traits & TAPE_T_OUT) != 0)
			note_output(call, i, &out[i], session, rv);
	}
	tape_lock_give(&call->state->objects_lock);
}
