/* SPDX-License-Identifier: MIT
 *
 * What a live module's answer must be, and what stands for what from then on.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/drive.h"
#include "core/redact.h"
#include "core/varies.h"

/* ---- what may differ ------------------------------------------------------------------------- */

static uint64_t live_object(const struct drive *drive, uint64_t recorded)
{
	uint64_t live = recorded;
	(void)tape_map_get(&drive->objects, recorded, &live);
	return live;
}

static bool is_random(const struct drive *drive, uint64_t live)
{
	uint64_t ignored;
	return tape_map_get(&drive->random, live, &ignored);
}

/* What a call is given that is not as it was in the recording. */
static bool takes_random(const struct drive *drive, const struct drive_call *call)
{
	for (size_t i = 0; i < call->function->count; i++)
		if (call->function->arguments[i].kind == TAPE_K_OBJECT &&
		    is_random(drive, live_object(drive, call->in[i].number)))
			return true;
	return false;
}

static bool has_random_mechanism(const struct drive_call *call, unsigned int operations)
{
	for (size_t i = 0; i < call->function->count; i++)
		if (call->in[i].form == TAPE_V_MECHANISM &&
		    tape_varies_mechanism(call->in[i].tag, operations))
			return true;
	return false;
}

static uint64_t *session_word(const struct drive_call *call, uint64_t *room)
{
	if (call->function->lane < 0)
		return NULL;
	*room = call->live_in[call->function->lane].number;
	return room;
}

void drive_expect(struct drive *drive, struct drive_call *call)
{
	const struct tape_effects *effects = &tape_effects[call->item->function];
	uint64_t session;
	uint64_t state = 0;
	bool random = takes_random(drive, call) || has_random_mechanism(call, effects->operations);
	call->varies = random || call->swapped;
	if (effects->operations == TAPE_OP_NONE || session_word(call, &session) == NULL)
		return;
	(void)tape_map_get(&drive->operations, session, &state);
	if ((effects->effects & TAPE_EFFECT_BEGINS) != 0)
		state &= ~((uint64_t)effects->operations << 16 | effects->operations);
	if (random || call->swapped)
		state |= effects->operations;
	if (call->swapped)
		state |= (uint64_t)effects->operations << 16;
	if (!tape_map_put(&drive->operations, session, state))
		return;
	call->varies = (state & effects->operations) != 0;
	/* What was encrypted in this run comes out again as it was recorded. */
	if ((effects->effects & TAPE_EFFECT_OPENS) != 0 && (state >> 16 & effects->operations) != 0)
		call->varies = false;
}

/* ---- values ---------------------------------------------------------------------------------- */

struct look {
	struct drive *drive;
	struct drive_call *call;
	bool varies;    /* the contents of bytes may differ */
	bool parameter; /* it is the module that made them up */
	bool lengths;   /* their lengths too */
};

static void put_where(struct drive_call *call, const char *name)
{
	size_t used = strlen(call->where);
	if (used + 1 < sizeof(call->where) && used != 0)
		call->where[used++] = '.';
	size_t length = strlen(name);
	if (length > sizeof(call->where) - 1 - used)
		length = sizeof(call->where) - 1 - used;
	memcpy(call->where + used, name, length);
	call->where[used + length] = 0;
}

static bool remember(struct tape_map *map, uint64_t recorded, uint64_t live)
{
	/* Without memory a later call differs: it is seen. */
	return tape_map_put(map, recorded, live);
}

static void bind_object(struct drive *drive, uint64_t recorded, uint64_t live, bool random)
{
	uint64_t before;
	if (tape_map_get(&drive->objects, recorded, &before))
		tape_map_remove(&drive->owners, before);
	(void)remember(&drive->objects, recorded, live);
	(void)remember(&drive->owners, live, recorded);
	if (random)
		(void)remember(&drive->random, live, 1);
	else
		tape_map_remove(&drive->random, live);
}

static bool is_nothing(const struct tape_value *value)
{
	return value->form == TAPE_V_NULL ||
	       ((value->form == TAPE_V_BYTES || value->form == TAPE_V_RAW) && value->length == 0);
}

static bool same_bytes(struct look *look, const struct tape_value *a, const struct tape_value *b)
{
	bool equal = a->length == b->length &&
	             (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
	if (equal && a->stated == b->stated && a->number == b->number)
		return true;
	if (!look->lengths && (a->length != b->length || a->stated != b->stated))
		return false;
	if (look->parameter && !equal)
		look->call->varies = true;
	if (look->varies || look->parameter)
		return tape_swaps_add(&look->drive->swaps, a->data, a->length, b->data, b->length);
	return tape_swaps_has(&look->drive->swaps, a->data, a->length, b->data, b->length);
}

static bool same_value(struct look *look, const struct tape_value *a, const struct tape_value *b);

static bool same_field(struct look *look, enum tape_record_id record,
                       const struct tape_field *field, const struct tape_value *a,
                       const struct tape_value *b)
{
	if (tape_varies_field(record, field))
		return true;
	bool handle = field->kind == TAPE_F_OBJECT || field->kind == TAPE_F_P_OBJECT;
	if (handle && a->form == TAPE_V_NUMBER && b->form == TAPE_V_NUMBER) {
		bind_object(look->drive, a->number, b->number, look->varies);
		return true;
	}
	/* The only structure that names a slot is about a session. */
	if (record == TAPE_R_CK_SESSION_INFO && field->offset == offsetof(CK_SESSION_INFO, slotID))
		return true;
	if (same_value(look, a, b))
		return true;
	put_where(look->call, field->name.text);
	return false;
}

/* Function lists and interfaces are no structures of the tables. */
static bool same_list_fields(struct look *look, const struct tape_value *a,
                             const struct tape_value *b)
{
	static const char *const names[TAPE_LIST_COUNT] = { "name", "version", "flags", "missing" };
	for (size_t i = 0; i < a->count && i < TAPE_LIST_COUNT; i++)
		if (!same_value(look, tape_value_child(a, i), tape_value_child(b, i))) {
			put_where(look->call, names[i]);
			return false;
		}
	return true;
}

static bool same_children(struct look *look, const struct tape_value *a, const struct tape_value *b)
{
	if (a->count != b->count || (a->stated != 0 && a->number != b->number))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (!same_value(look, tape_value_child(a, i), tape_value_child(b, i)))
			return false;
	return true;
}

static bool same_value(struct look *look, const struct tape_value *a, const struct tape_value *b)
{
	if (a->form == TAPE_V_LOST || b->form == TAPE_V_LOST || a->form == TAPE_V_SECRET)
		return true;
	if (a->form == TAPE_V_ABSENT && b->form == TAPE_V_ABSENT)
		return true;
	if (is_nothing(a) && is_nothing(b))
		return a->tag == b->tag;
	if (a->form != b->form || a->tag != b->tag)
		return look->lengths && a->tag == b->tag && a->form == TAPE_V_LENGTH &&
		       b->form == TAPE_V_BYTES;
	switch ((enum tape_form)a->form) {
	case TAPE_V_NUMBER:
		return a->number == b->number;
	case TAPE_V_LENGTH:
		return a->number == b->number || look->lengths;
	case TAPE_V_BYTES:
	case TAPE_V_RAW:
		return same_bytes(look, a, b);
	case TAPE_V_RECORD:
		if (a->record != b->record || a->count != b->count)
			return false;
		if (a->record == TAPE_R_NONE)
			return same_list_fields(look, a, b);
		for (size_t i = 0; i < a->count; i++)
			if (!same_field(look, (enum tape_record_id)a->record,
			                &tape_fields[tape_records[a->record].first + i],
			                tape_value_child(a, i), tape_value_child(b, i)))
				return false;
		return true;
	case TAPE_V_LIST:
	case TAPE_V_MECHANISM:
		return same_children(look, a, b);
	default:
		return true;
	}
}

/* ---- attributes ------------------------------------------------------------------------------ */

/* Of an object with a random value: what is made of the value. */
static bool follows_value(uint64_t type)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	return row == NULL || row->type == TAPE_A_BYTES || row->type == TAPE_A_BIGINT;
}

/*
 * An entry of a call that failed: what it holds is in the recording only if it was something else before
 * (docs/trace-format.md, "Which bytes count"). What stands before the call here is nothing that a module
 * writes, so what is not seen was not written.
 */
static bool may_hide(const struct drive_call *call, const struct tape_value *a,
                     const struct tape_value *b)
{
	if (call->rv == CKR_OK)
		return false;
	if (a->form == TAPE_V_SAME)
		return b->form == TAPE_V_BYTES || b->form == TAPE_V_LIST ||
		       (b->form == TAPE_V_LENGTH && b->number == 0);
	if (a->form == TAPE_V_LENGTH && a->number == 0)
		return b->form == TAPE_V_SAME;
	return a->form == TAPE_V_LENGTH &&
	       ((b->form == TAPE_V_BYTES && b->length == a->number) || b->form == TAPE_V_LIST);
}

static bool same_template(struct look *look, const struct tape_value *asked,
                          const struct tape_value *a, const struct tape_value *b)
{
	/* Of a failed call that changed nothing there is no list. */
	if (a->form == TAPE_V_ABSENT && look->call->rv != CKR_OK)
		return true;
	if (a->form != TAPE_V_LIST || b->form != TAPE_V_LIST || a->count != b->count)
		return a->form == b->form;
	bool random = takes_random(look->drive, look->call);
	for (size_t i = 0; i < a->count; i++) {
		uint64_t type = tape_value_child(asked, i)->tag;
		look->varies = tape_varies_attribute(type) || (random && follows_value(type));
		look->lengths = look->varies;
		if (may_hide(look->call, tape_value_child(a, i), tape_value_child(b, i)) ||
		    same_value(look, tape_value_child(a, i), tape_value_child(b, i)))
			continue;
		const struct tape_name *name = tape_attribute_name(type);
		put_where(look->call, name == NULL ? "an attribute without a name" : name->text);
		return false;
	}
	return true;
}

/* ---- objects that were found ----------------------------------------------------------------- */

/* Say whether a live object has an attribute as it was recorded. */
static bool has_attribute(const struct drive *drive, CK_SESSION_HANDLE session, uint64_t object,
                          const struct scan_attribute *attribute)
{
	unsigned char small[512];
	uint64_t hash[2];
	void *memory = attribute->length <= sizeof(small) ? small : malloc(attribute->length);
	CK_ATTRIBUTE entry = { (CK_ATTRIBUTE_TYPE)attribute->type, memory,
		               (CK_ULONG)attribute->length };
	CK_C_GetAttributeValue read =
		(CK_C_GetAttributeValue)drive->live.functions[TAPE_FN_C_GetAttributeValue];
	bool equal = memory != NULL && read != NULL &&
	             read(session, (CK_OBJECT_HANDLE)object, &entry, 1) == CKR_OK &&
	             entry.ulValueLen == attribute->length;
	if (equal) {
		tape_siphash(drive->trace->scan.key, memory, attribute->length, hash);
		equal = hash[0] == attribute->hash[0] && hash[1] == attribute->hash[1];
	}
	if (memory != small)
		free(memory);
	return equal;
}

/* How much of what the trace says of an object is true of a live one. */
static size_t likeness(const struct drive *drive, CK_SESSION_HANDLE session, uint64_t object,
                       const struct scan_object *known)
{
	size_t equal = 0;
	for (size_t i = 0; known != NULL && i < known->count; i++)
		equal += has_attribute(drive, session, object, &known->attributes[i]);
	return equal;
}

struct choice {
	struct drive *drive;
	CK_SESSION_HANDLE session;
	const struct scan_object *known;
	uint64_t best;
	size_t likeness;
	bool any;
};

/* Look at an object that nobody owns. Returns whether it is all that is wanted. */
static bool consider(struct choice *choice, uint64_t object)
{
	uint64_t owner;
	size_t wanted = choice->known == NULL ? 0 : choice->known->count;
	if (tape_map_get(&choice->drive->owners, object, &owner))
		return false;
	size_t equal = likeness(choice->drive, choice->session, object, choice->known);
	if (!choice->any || equal > choice->likeness) {
		choice->any = true;
		choice->best = object;
		choice->likeness = equal;
	}
	return equal == wanted;
}

/* Look at all objects there are, in a session of our own: they may come in another order now. */
static void consider_all(struct choice *choice)
{
	const struct drive *drive = choice->drive;
	const tape_any_fn *p11 = drive->live.functions;
	CK_OBJECT_HANDLE found[256];
	CK_SESSION_HANDLE session;
	CK_ULONG count = 0;
	uint64_t place;
	if (p11[TAPE_FN_C_OpenSession] == NULL || p11[TAPE_FN_C_FindObjectsInit] == NULL ||
	    p11[TAPE_FN_C_FindObjects] == NULL || p11[TAPE_FN_C_FindObjectsFinal] == NULL ||
	    p11[TAPE_FN_C_CloseSession] == NULL ||
	    !tape_map_get(&drive->places, choice->session, &place))
		return;
	CK_C_OpenSession open = (CK_C_OpenSession)p11[TAPE_FN_C_OpenSession];
	if (open((CK_SLOT_ID)place, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK &&
	    open((CK_SLOT_ID)place, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) !=
	            CKR_OK)
		return;
	bool done =
		((CK_C_FindObjectsInit)p11[TAPE_FN_C_FindObjectsInit])(session, NULL, 0) != CKR_OK;
	while (!done &&
	       ((CK_C_FindObjects)p11[TAPE_FN_C_FindObjects])(
		       session, found, TAPE_ARRAY_SIZE(found), &count) == CKR_OK &&
	       count != 0 && count <= TAPE_ARRAY_SIZE(found))
		for (CK_ULONG i = 0; i < count && !done; i++)
			done = consider(choice, found[i]);
	(void)((CK_C_FindObjectsFinal)p11[TAPE_FN_C_FindObjectsFinal])(session);
	(void)((CK_C_CloseSession)p11[TAPE_FN_C_CloseSession])(session);
}

static void bind_found(struct drive *drive, const struct drive_call *call,
                       const struct tape_value *a, const struct tape_value *b)
{
	for (size_t i = 0; i < a->count && b->count != 0; i++) {
		uint64_t recorded = tape_value_child(a, i)->number;
		uint64_t live;
		/* As in an earlier search. */
		if (tape_map_get(&drive->objects, recorded, &live))
			continue;
		struct choice choice = {
			.drive = drive,
			.session = (CK_SESSION_HANDLE)call->live_in[call->function->lane].number,
			.known = scan_object(&drive->trace->scan, recorded, call->item->id),
		};
		bool done = i < b->count && consider(&choice, tape_value_child(b, i)->number);
		for (size_t j = 0; j < b->count && !done; j++)
			done = j != i && consider(&choice, tape_value_child(b, j)->number);
		if (!done)
			consider_all(&choice);
		if (choice.any)
			bind_object(drive, recorded, choice.best, is_random(drive, choice.best));
	}
}

/* ---- slots ----------------------------------------------------------------------------------- */

static bool has_label(const struct drive *drive, uint64_t slot, const void *label)
{
	CK_TOKEN_INFO info;
	CK_C_GetTokenInfo ask = (CK_C_GetTokenInfo)drive->live.functions[TAPE_FN_C_GetTokenInfo];
	return ask != NULL && ask((CK_SLOT_ID)slot, &info) == CKR_OK &&
	       memcmp(info.label, label, sizeof(info.label)) == 0;
}

static bool is_taken(const struct drive *drive, const struct tape_value *recorded, uint64_t live)
{
	uint64_t other;
	for (size_t i = 0; i < recorded->count; i++)
		if (tape_map_get(&drive->slots, tape_value_child(recorded, i)->number, &other) &&
		    other == live)
			return true;
	return false;
}

static void bind_slots(struct drive *drive, const struct tape_value *a, const struct tape_value *b)
{
	/* By their tokens' labels, then by their numbers, then by their places. */
	for (unsigned int round = 0; round < 3; round++)
		for (size_t i = 0; i < a->count; i++) {
			uint64_t recorded = tape_value_child(a, i)->number;
			const void *label = scan_label(&drive->trace->scan, recorded);
			uint64_t ignored;
			for (size_t j = 0; j < b->count; j++) {
				uint64_t live = tape_value_child(b, (i + j) % b->count)->number;
				if (tape_map_get(&drive->slots, recorded, &ignored))
					break;
				if (is_taken(drive, a, live) ||
				    (round == 0 &&
				     (label == NULL || !has_label(drive, live, label))) ||
				    (round == 1 && live != recorded))
					continue;
				(void)remember(&drive->slots, recorded, live);
			}
		}
}

bool drive_choose_slot(struct drive *drive)
{
	const struct drive_options *options = drive->options;
	const struct scan *scan = &drive->trace->scan;
	CK_C_GetSlotList list = (CK_C_GetSlotList)drive->live.functions[TAPE_FN_C_GetSlotList];
	CK_SLOT_ID slots[SCAN_SLOTS];
	CK_ULONG count = SCAN_SLOTS;
	char label[32];
	uint64_t ignored;
	if (options->has_slot)
		return !scan->has_slot || remember(&drive->slots, scan->slot, options->slot);
	if (options->token[0] == 0 || !scan->has_slot ||
	    tape_map_get(&drive->slots, scan->slot, &ignored))
		return true;
	memset(label, ' ', sizeof(label));
	memcpy(label, options->token, strlen(options->token));
	if (list == NULL || list(CK_TRUE, slots, &count) != CKR_OK)
		return false;
	for (CK_ULONG i = 0; i < count; i++)
		if (has_label(drive, slots[i], label))
			return remember(&drive->slots, scan->slot, slots[i]);
	return false;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static bool same_list(struct look *look, size_t index, const struct tape_value *a,
                      const struct tape_value *b)
{
	enum tape_kind kind = (enum tape_kind)look->call->function->arguments[index].kind;
	bool handles = kind == TAPE_K_OUT_SLOTS || kind == TAPE_K_OUT_OBJECTS;
	if (!handles || a->form != TAPE_V_LIST || b->form != TAPE_V_LIST)
		return same_value(look, a, b);
	if (kind == TAPE_K_OUT_SLOTS)
		bind_slots(look->drive, a, b);
	else
		bind_found(look->drive, look->call, a, b);
	return a->count == b->count && a->stated == b->stated && a->number == b->number;
}

/* A handle that the module gave. */
static bool same_handle(struct look *look, size_t index, const struct tape_value *a,
                        const struct tape_value *b)
{
	struct drive *drive = look->drive;
	struct drive_call *call = look->call;
	unsigned int effects = tape_effects[call->item->function].effects;
	bool random = (effects & TAPE_EFFECT_GENERATES) != 0 || call->varies;
	if (a->form != TAPE_V_NUMBER || b->form != TAPE_V_NUMBER)
		return a->form == b->form;
	switch (call->function->arguments[index].kind) {
	case TAPE_K_OUT_SESSION:
		tape_map_remove(&drive->operations, b->number);
		(void)remember(&drive->sessions, a->number, b->number);
		(void)remember(&drive->places, b->number, call->live_in[0].number);
		return true;
	case TAPE_K_OUT_OBJECT:
		bind_object(drive, a->number, b->number, random);
		return true;
	case TAPE_K_OUT_SLOT:
		return true;
	default:
		return a->number == b->number || takes_random(drive, call);
	}
}

/* What no output of this call can need: 64 KiB more than its inputs have. */
static bool is_nonsense(const struct drive_call *call, uint64_t length)
{
	uint64_t most = UINT64_C(1) << 16;
	for (size_t i = 0; i < call->function->count; i++)
		if (call->in[i].form == TAPE_V_BYTES)
			most += call->in[i].length;
	return length > most;
}

/*
 * A length that a failed call told: only with CKR_BUFFER_TOO_SMALL it means something (PKCS#11 3.1 §5.2). With other
 * codes, and where it makes no sense, it is often memory that nobody initialised (NSS softokn), another number each time.
 */
static bool is_same_nonsense(const struct drive_call *call, const struct tape_value *a,
                             const struct tape_value *b)
{
	if (call->rv == CKR_OK || a->form != TAPE_V_LENGTH || b->form != TAPE_V_LENGTH)
		return false;
	return call->rv != CKR_BUFFER_TOO_SMALL ||
	       (is_nonsense(call, a->number) && is_nonsense(call, b->number));
}

static bool same_output(struct drive *drive, struct drive_call *call, size_t index)
{
	const struct tape_shape *shape = &tape_shapes[call->function->arguments[index].kind];
	unsigned int effects = tape_effects[call->item->function].effects;
	const struct tape_value *a = &call->out[index];
	const struct tape_value *b = &call->live_out[index];
	struct look look = { .drive = drive, .call = call };
	/* A failed call may write what stood there before: then nobody sees that it did. */
	bool unseen = call->rv != CKR_OK && a->form == TAPE_V_ABSENT &&
	              (shape->codec == TAPE_C_NUMBER_AT || shape->codec == TAPE_C_FOUND);
	bool structure = call->rv != CKR_OK && shape->codec == TAPE_C_STRUCT &&
	                 (a->form == TAPE_V_ABSENT || b->form == TAPE_V_ABSENT);
	if (unseen || structure)
		return true;
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER_AT:
		return same_handle(&look, index, a, b);
	case TAPE_C_TEMPLATE:
		return same_template(&look, &call->in[index], a, b);
	case TAPE_C_LIST_AT:
	case TAPE_C_FOUND:
		return same_list(&look, index, a, b);
	case TAPE_C_FILL:
		look.varies = true;
		return same_value(&look, a, b);
	case TAPE_C_BYTES_AT:
		look.varies = (effects & TAPE_EFFECT_OWN) != 0 || call->varies;
		return is_same_nonsense(call, a, b) || same_value(&look, a, b);
	case TAPE_C_MECHANISM:
	case TAPE_C_PARAMETER:
		look.parameter = true;
		look.varies = call->varies;
		return same_value(&look, a, b);
	default:
		return same_value(&look, a, b);
	}
}

/* What an object that is gone, or a library that began anew, leaves. */
static void forget(struct drive *drive, const struct drive_call *call)
{
	unsigned int effects = tape_effects[call->item->function].effects;
	if (call->rv != CKR_OK)
		return;
	for (size_t i = 0; (effects & TAPE_EFFECT_DESTROYS) != 0 && i < call->function->count; i++)
		if (call->function->arguments[i].kind == TAPE_K_OBJECT) {
			uint64_t live = call->live_in[i].number;
			tape_map_remove(&drive->objects, call->in[i].number);
			tape_map_remove(&drive->owners, live);
			tape_map_remove(&drive->random, live);
		}
	if ((effects & TAPE_EFFECT_FORGETS) == 0)
		return;
	tape_map_clear(&drive->sessions);
	tape_map_clear(&drive->objects);
	tape_map_clear(&drive->owners);
	tape_map_clear(&drive->places);
	tape_map_clear(&drive->operations);
	tape_map_clear(&drive->random);
}

bool drive_compare(struct drive *drive, struct drive_call *call)
{
	call->where[0] = 0;
	forget(drive, call);
	for (size_t i = 0; i < call->function->count; i++) {
		char below[sizeof(call->where)];
		call->where[0] = 0;
		if (same_output(drive, call, i))
			continue;
		memcpy(below, call->where, sizeof(below));
		call->where[0] = 0;
		put_where(call, call->function->arguments[i].key.text);
		if (below[0] != 0)
			put_where(call, below);
		return false;
	}
	return true;
}
