/* SPDX-License-Identifier: MIT
 *
 * Going on with a live module: what the program's numbers of sessions, objects and slots stand for there. Tokens and
 * objects that the program did not make are known again by what it was told of them.
 */
#include <string.h>

#include "replayer/engine.h"
#include "replayer/forward_parts.h"
#include "replayer/loose.h"

/* Attributes that an object is known again by. */
#define MAX_KNOWN 64
#define MAX_SLOTS 64
/* Objects of one description that are looked at. */
#define MAX_ALIKE 4096

/* ---- who is who ------------------------------------------------------------------------------ */

int forward_space_of(enum tape_kind kind)
{
	switch ((int)kind) {
	case TAPE_K_SESSION:
	case TAPE_K_OUT_SESSION:
		return SESSIONS;
	case TAPE_K_OBJECT:
	case TAPE_K_OUT_OBJECT:
	case TAPE_K_OUT_OBJECTS:
		return OBJECTS;
	case TAPE_K_SLOT:
	case TAPE_K_OUT_SLOT:
	case TAPE_K_OUT_SLOTS:
		return SLOTS;
	default:
		return -1;
	}
}

bool forward_bind(int space, uint64_t program, uint64_t live)
{
	struct space *s = &forward.spaces[space];
	uint64_t before;
	if (tape_map_get(&s->live, program, &before))
		tape_map_remove(&s->program, before);
	tape_map_remove(&s->unknown, program);
	return tape_map_put(&s->live, program, live) && tape_map_put(&s->program, live, program);
}

void forward_unbind(int space, uint64_t program)
{
	struct space *s = &forward.spaces[space];
	uint64_t live;
	if (tape_map_get(&s->live, program, &live))
		tape_map_remove(&s->program, live);
	tape_map_remove(&s->live, program);
	tape_map_remove(&s->unknown, program);
}

bool forward_is_unknown(int space, uint64_t program)
{
	uint64_t ignored;
	return tape_map_get(&forward.spaces[space].unknown, program, &ignored);
}

void forward_set_unknown(int space, uint64_t program)
{
	forward.failed |= !tape_map_put(&forward.spaces[space].unknown, program, 1);
}

bool forward_is_bound(int space, uint64_t program, uint64_t *ret_live)
{
	return tape_map_get(&forward.spaces[space].live, program, ret_live);
}

uint64_t forward_to_program(int space, uint64_t live)
{
	struct space *s = &forward.spaces[space];
	uint64_t program = live;
	uint64_t ignored;
	if (tape_map_get(&s->program, live, &program))
		return program;
	if (s->fresh == 0)
		s->fresh = (uint64_t)1 << 24;
	while (program == 0 ? space != SLOTS
	                    : forward_is_bound(space, program, &ignored) ||
	                              forward_is_unknown(space, program))
		program = s->fresh++;
	/* Without memory the program has a number that nothing stands behind. */
	(void)forward_bind(space, program, live);
	return program;
}

/* ---- knowing again --------------------------------------------------------------------------- */

/* Ask the module itself. Returns CKR_FUNCTION_NOT_SUPPORTED where it has no such function. */
#define ASK(name, ...)                                  \
	(forward.bare.functions[TAPE_FN_##name] == NULL \
	         ? CKR_FUNCTION_NOT_SUPPORTED           \
	         : ((CK_##name)forward.bare.functions[TAPE_FN_##name])(__VA_ARGS__))

static const struct tape_value *label_in(const struct tape_function *function,
                                         const struct tape_value *in, const struct tape_value *out,
                                         uint64_t slot)
{
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OUT_TOKEN_INFO &&
		    out[i].form == TAPE_V_RECORD && in[0].number == slot)
			return tape_value_child(&out[i], 0);
	return NULL;
}

bool forward_find_label(uint64_t slot, unsigned char ret_label[32])
{
	const struct tape_value *label = NULL;
	const struct record *record;
	for (const struct served *s = forward.first; s != NULL && label == NULL; s = s->next)
		label = label_in(s->function, s->in, s->out, slot);
	for (size_t i = 0; label == NULL && (record = loose_record(i)) != NULL; i++)
		if (record->rv == CKR_OK && record->return_at < LATER && !record->partial)
			label = label_in(record->function, record->in, record->out, slot);
	memset(ret_label, ' ', 32);
	if (label == NULL || label->form != TAPE_V_BYTES || label->length == 0 ||
	    label->length > 32)
		return false;
	memcpy(ret_label, label->data, label->length);
	return true;
}

void forward_find_slot(uint64_t program)
{
	unsigned char label[32];
	CK_SLOT_ID slots[MAX_SLOTS];
	CK_ULONG count = MAX_SLOTS;
	CK_TOKEN_INFO info;
	uint64_t ignored;
	uint64_t found = 0;
	size_t many = 0;
	bool labelled = forward_find_label(program, label);
	if (ASK(C_GetSlotList, CK_FALSE, slots, &count) != CKR_OK)
		count = 0;
	for (CK_ULONG i = 0; i < count && i < MAX_SLOTS; i++) {
		if (tape_map_get(&forward.spaces[SLOTS].program, slots[i], &ignored) ||
		    (labelled ? ASK(C_GetTokenInfo, slots[i], &info) != CKR_OK ||
		                        memcmp(info.label, label, sizeof(label)) != 0
		              : slots[i] != program))
			continue;
		many = slots[i] == program ? 1 : many + 1;
		found = slots[i];
		if (found == program)
			break;
	}
	if (many == 1)
		(void)forward_bind(SLOTS, program, found);
	else
		forward_set_unknown(SLOTS, program);
}

void forward_find_slots(const struct tape_value *list)
{
	uint64_t ignored;
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++) {
		uint64_t program = tape_value_child(list, i)->number;
		if (!forward_is_bound(SLOTS, program, &ignored) &&
		    !forward_is_unknown(SLOTS, program))
			forward_find_slot(program);
	}
}

/* What objects are known again by. */
struct known {
	CK_ATTRIBUTE attributes[MAX_KNOWN];
	CK_ULONG count;
};

static void add_known(struct known *known, uint64_t type, const struct tape_value *value)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	/* Modules do not search for lists, and not all of them for what is empty. */
	if (value->form != TAPE_V_BYTES || value->length == 0 || known->count == MAX_KNOWN ||
	    tape_varies_attribute(type) ||
	    (row != NULL && (row->type == TAPE_A_ULONGS || row->type == TAPE_A_CONSTANTS ||
	                     row->type == TAPE_A_TEMPLATE)))
		return;
	for (CK_ULONG i = 0; i < known->count; i++)
		if (known->attributes[i].type == type)
			return;
	known->attributes[known->count++] =
		(CK_ATTRIBUTE){ (CK_ATTRIBUTE_TYPE)type, (void *)(uintptr_t)value->data,
		                (CK_ULONG)value->length };
}

static void add_template(struct known *known, const struct tape_value *types,
                         const struct tape_value *values)
{
	for (size_t i = 0; types->form == TAPE_V_LIST && values->form == TAPE_V_LIST &&
	                   i < types->count && i < values->count;
	     i++)
		add_known(known, tape_value_child(types, i)->tag, tape_value_child(values, i));
}

bool forward_is_among(const struct tape_value *list, uint64_t number)
{
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++)
		if (tape_value_child(list, i)->number == number)
			return true;
	return false;
}

/* What a search asked for; NULL for a call that begins none. */
static const struct tape_value *sought(const struct served *served)
{
	const struct tape_function *function = served->function;
	for (size_t i = 0; i < function->count && served->rv == CKR_OK; i++)
		if ((tape_shapes[function->arguments[i].kind].traits & TAPE_T_SEEKS) != 0)
			return &served->in[i];
	return NULL;
}

/* What the program was told of an object: what searches asked for that found it, and what it read. */
static void gather(struct known *known, uint64_t object)
{
	struct tape_map searches = { .pairs = NULL }; /* by session, as numbers */
	for (const struct served *s = forward.first; s != NULL; s = s->next) {
		const struct tape_function *function = s->function;
		const struct tape_value *asked = sought(s);
		uint64_t session = function->lane < 0 ? 0 : s->in[function->lane].number;
		uint64_t address = 0;
		bool names = false;
		if (asked != NULL && !tape_map_put(&searches, session, (uintptr_t)asked))
			tape_map_remove(&searches, session);
		for (size_t i = 0; i < function->count; i++) {
			enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
			names |= kind == TAPE_K_OBJECT && s->in[i].number == object;
			if (kind == TAPE_K_READ_TEMPLATE && names)
				add_template(known, &s->in[i], &s->out[i]);
			if (kind != TAPE_K_OUT_OBJECTS || !forward_is_among(&s->out[i], object) ||
			    !tape_map_get(&searches, session, &address))
				continue;
			asked = (const struct tape_value *)(uintptr_t)address;
			add_template(known, asked, asked);
		}
	}
	tape_map_done(&searches);
}

/*
 * The one object of a slot that has all of it; or, where several have, `place` if that is one of them. Returns false where
 * there is none.
 */
static bool look_for(CK_SLOT_ID slot, struct known *known, uint64_t place, uint64_t *ret_object)
{
	CK_OBJECT_HANDLE found;
	CK_SESSION_HANDLE session;
	CK_ULONG count = 1;
	size_t many = 0;
	bool placed = false;
	/* The security officer has read-write sessions only (PKCS#11 3.1 §5.6.1). */
	if (ASK(C_OpenSession, slot, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK &&
	    ASK(C_OpenSession, slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) !=
	            CKR_OK)
		return false;
	if (ASK(C_FindObjectsInit, session, known->attributes, known->count) == CKR_OK) {
		while (ASK(C_FindObjects, session, &found, 1, &count) == CKR_OK && count == 1 &&
		       many++ < MAX_ALIKE && !placed) {
			*ret_object = found;
			placed = found == place;
		}
		(void)ASK(C_FindObjectsFinal, session);
	}
	(void)ASK(C_CloseSession, session);
	return placed || many == 1;
}

void forward_find_object(uint64_t live_session, uint64_t program, uint64_t place)
{
	struct known known = { .count = 0 };
	CK_SESSION_INFO info;
	uint64_t live;
	uint64_t other;
	gather(&known, program);
	if (known.count + place != 0 &&
	    ASK(C_GetSessionInfo, (CK_SESSION_HANDLE)live_session, &info) == CKR_OK &&
	    look_for(info.slotID, &known, place, &live) &&
	    !tape_map_get(&forward.spaces[OBJECTS].program, live, &other))
		(void)forward_bind(OBJECTS, program, live);
	else
		forward_set_unknown(OBJECTS, program);
}
