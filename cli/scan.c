/* SPDX-License-Identifier: MIT */
#include "cli/scan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "cli/halves.h"
#include "cli/mapping.h"
#include "core/parse.h"
#include "core/redact.h"
#include "core/varies.h"

struct scan_objects {
	struct tape_arena arena;
	struct tape_map last; /* the newest scan_object, as a number, by handle */
};

/* What is known of a recorded session. */
struct session {
	size_t count; /* attributes that its search asks for */
	struct scan_attribute attributes[SCAN_ATTRIBUTES];
};

struct reading {
	struct scan *scan;
	struct tape_halves halves;
	struct tape_open open;
	const struct tape_node *names;
	struct tape_half *header;
	struct tape_arena arena;   /* of the sessions */
	struct tape_map sessions;  /* struct session, as a number, by handle */
	struct tape_map temporary; /* session objects that the trace made */
	uint64_t epoch;            /* objects from before this call mean nothing any more */
	bool initialized;
	struct tape_error *error;
	size_t unreturned_room;
};

/* A call whose both halves are there. */
struct whole {
	const struct tape_item *call;
	const struct tape_function *function;
	const struct tape_value *in, *out; /* NULL where it did not return */
	CK_RV rv;
};

static int no_memory(struct reading *reading)
{
	return tape_error_set(reading->error, TAPE_E_MEMORY, 0, "out of memory");
}

static struct scan_object *newest(const struct scan *scan, uint64_t handle)
{
	uint64_t address = 0;
	(void)tape_map_get(&scan->objects->last, handle, &address);
	return (struct scan_object *)(uintptr_t)address;
}

/* What a handle means now; NULL where it was never an output. */
static struct scan_object *current(const struct reading *reading, uint64_t handle)
{
	struct scan_object *object = newest(reading->scan, handle);
	return object == NULL || object->from < reading->epoch ? NULL : object;
}

/* The object that a call names first. */
static struct scan_object *known_object(const struct reading *reading, const struct whole *whole)
{
	for (size_t i = 0; i < whole->function->count; i++)
		if (whole->function->arguments[i].kind == TAPE_K_OBJECT)
			return current(reading, whole->in[i].number);
	return NULL;
}

/* ---- secrets --------------------------------------------------------------------------------- */

bool scan_is_wrong_pin(CK_RV rv)
{
	return rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE ||
	       rv == CKR_PIN_LOCKED;
}

/* A value that may be a secret, in a call. */
struct presented {
	const struct whole *whole;
	enum scan_user user;
	bool wrong;
};

static int add_secret(struct reading *reading, const struct presented *presented,
                      const struct tape_value *value)
{
	struct scan *scan = reading->scan;
	size_t i = 0;
	while (i < scan->secret_count &&
	       (strlen(scan->secrets[i].name) != value->length ||
	        memcmp(scan->secrets[i].name, value->data, value->length) != 0))
		i++;
	const struct tape_item *call = presented->whole->call;
	struct scan_secret *secret = &scan->secrets[i];
	if (i == SCAN_SECRETS || value->length >= SCAN_SECRET_NAME)
		return tape_error_set(reading->error, TAPE_E_LIMIT, call->line,
		                      "it has more than %d secrets", SCAN_SECRETS);
	if (i == scan->secret_count) {
		memcpy(secret->name, value->data, value->length);
		secret->line = call->line;
		secret->function = call->function;
		secret->wrong = true;
		scan->secret_count++;
	}
	secret->wrong &= presented->wrong;
	if (secret->user == SCAN_NOBODY && !presented->wrong)
		secret->user = presented->user;
	return 0;
}

static int find_secrets(struct reading *reading, const struct presented *presented,
                        const struct tape_value *value, unsigned int depth)
{
	int result = 0;
	if (value->form == TAPE_V_SECRET)
		return add_secret(reading, presented, value);
	if ((value->form != TAPE_V_LIST && value->form != TAPE_V_RECORD &&
	     value->form != TAPE_V_MECHANISM) ||
	    depth > 4 * TAPE_MAX_DEPTH)
		return 0;
	for (size_t i = 0; i < value->count && result == 0; i++)
		result = find_secrets(reading, presented, tape_value_child(value, i), depth + 1);
	return result;
}

/*
 * Whose PIN an argument is: the call says it; or it is about a slot, which is the security officer's
 * business; else it is that of the session's user, and a second one is new.
 */
static enum scan_user user_of(const struct whole *whole, size_t index)
{
	const struct tape_function *function = whole->function;
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_USER_TYPE)
			return whole->in[i].number == CKU_SO ? SCAN_SO : SCAN_USER;
	if (function->arguments[0].kind == TAPE_K_SLOT)
		return SCAN_SO;
	for (size_t i = 0; i < index; i++)
		if (function->arguments[i].kind == TAPE_K_PIN)
			return SCAN_NOBODY;
	return SCAN_USER;
}

static int scan_secrets(struct reading *reading, const struct whole *whole)
{
	int result = 0;
	bool wrong = whole->out != NULL && scan_is_wrong_pin(whole->rv);
	for (size_t i = 0; i < whole->function->count && result == 0; i++) {
		bool pin = whole->function->arguments[i].kind == TAPE_K_PIN;
		struct presented presented = { whole, pin ? user_of(whole, i) : SCAN_NOBODY,
			                       wrong && pin };
		result = find_secrets(reading, &presented, &whole->in[i], 0);
	}
	return result;
}

/* ---- danger ---------------------------------------------------------------------------------- */

static void add_danger(struct scan *scan, const struct whole *whole, const char *what)
{
	size_t i = 0;
	while (i < scan->danger_count && scan->dangers[i].function != whole->call->function)
		i++;
	if (i == SCAN_DANGERS)
		return;
	struct scan_danger *danger = &scan->dangers[i];
	if (i == scan->danger_count) {
		*danger = (struct scan_danger){ whole->call->line, whole->call->function, what, 0 };
		scan->danger_count++;
	}
	danger->count++;
}

/* Whether all objects that the call names are of this trace, and vanish with its sessions. */
static bool is_of_temporary(const struct reading *reading, const struct whole *whole)
{
	uint64_t ignored;
	for (size_t i = 0; i < whole->function->count; i++)
		if (whole->function->arguments[i].kind == TAPE_K_OBJECT &&
		    !tape_map_get(&reading->temporary, whole->in[i].number, &ignored))
			return false;
	return true;
}

/*
 * A call that failed in a library that is not initialised, or with a session that nobody opened, reaches no
 * token.
 */
static bool reaches_token(const struct reading *reading, const struct whole *whole)
{
	uint64_t ignored;
	if (whole->out == NULL || whole->rv == CKR_OK)
		return true;
	return reading->initialized &&
	       (whole->function->lane < 0 ||
	        tape_map_get(&reading->sessions, whole->in[whole->function->lane].number,
	                     &ignored));
}

static void scan_danger(struct reading *reading, const struct whole *whole)
{
	bool names = (tape_effects[whole->call->function].effects &
	              (TAPE_EFFECT_DESTROYS | TAPE_EFFECT_EDITS)) != 0;
	const char *harm = tape_harm(whole->function, whole->in, is_of_temporary(reading, whole));
	/* A handle that was made up, and refused. */
	bool made_up = names && whole->out != NULL && whole->rv == CKR_OBJECT_HANDLE_INVALID &&
	               known_object(reading, whole) == NULL;
	if (harm != NULL && !made_up && reaches_token(reading, whole))
		add_danger(reading->scan, whole, harm);
}

/* ---- objects --------------------------------------------------------------------------------- */

/* From this call on the handle means another object. */
static int new_object(struct reading *reading, uint64_t handle, uint64_t from)
{
	struct scan_objects *objects = reading->scan->objects;
	struct scan_object *object = tape_arena_get(&objects->arena, sizeof(*object));
	if (object == NULL)
		return no_memory(reading);
	memset(object, 0, offsetof(struct scan_object, attributes));
	object->handle = handle;
	object->from = from;
	object->before = newest(reading->scan, handle);
	return tape_map_put(&objects->last, handle, (uintptr_t)object) ? 0 : no_memory(reading);
}

/* Remember a value unless there is one of its type. */
static void add_attribute(const struct scan *scan, struct scan_attribute *attributes, size_t *count,
                          const struct tape_value *entry)
{
	if (*count == SCAN_ATTRIBUTES || entry->form != TAPE_V_BYTES ||
	    tape_varies_attribute(entry->tag))
		return;
	for (size_t i = 0; i < *count; i++)
		if (attributes[i].type == entry->tag)
			return;
	struct scan_attribute *attribute = &attributes[(*count)++];
	attribute->type = entry->tag;
	attribute->length = entry->length;
	tape_siphash(scan->key, entry->data, entry->length, attribute->hash);
}

static struct session *session_of(const struct reading *reading, const struct whole *whole)
{
	uint64_t address = 0;
	if (whole->function->lane >= 0)
		(void)tape_map_get(&reading->sessions, whole->in[whole->function->lane].number,
		                   &address);
	return (struct session *)(uintptr_t)address;
}

static int open_session(struct reading *reading, uint64_t handle)
{
	struct session *session = tape_arena_get(&reading->arena, sizeof(*session));
	if (session == NULL)
		return no_memory(reading);
	session->count = 0;
	return tape_map_put(&reading->sessions, handle, (uintptr_t)session) ? 0
	                                                                    : no_memory(reading);
}

/* Handles that a search found: what it asked for is true of them. */
static int scan_found(struct reading *reading, const struct whole *whole,
                      const struct tape_value *list)
{
	const struct session *session = session_of(reading, whole);
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++) {
		uint64_t handle = tape_value_child(list, i)->number;
		if (current(reading, handle) == NULL &&
		    new_object(reading, handle, whole->call->id) < 0)
			return -TAPE_E_MEMORY;
		struct scan_object *object = current(reading, handle);
		if (session == NULL || object->count != 0)
			continue;
		object->count = session->count;
		memcpy(object->attributes, session->attributes,
		       session->count * sizeof(object->attributes[0]));
	}
	return 0;
}

/* The attributes of an object that a call reads, or that it searches for. */
static void scan_template(struct reading *reading, const struct whole *whole, size_t index)
{
	bool reads = (tape_shapes[whole->function->arguments[index].kind].traits & TAPE_T_OUT) != 0;
	const struct tape_value *list = reads ? &whole->out[index] : &whole->in[index];
	struct session *session = session_of(reading, whole);
	struct scan_object *object = known_object(reading, whole);
	struct scan_attribute *attributes;
	size_t *count;
	if (reads && object != NULL) {
		attributes = object->attributes;
		count = &object->count;
	} else if (!reads && session != NULL && tape_effects[whole->call->function].effects == 0) {
		attributes = session->attributes;
		count = &session->count;
		*count = 0;
	} else {
		return;
	}
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++)
		add_attribute(reading->scan, attributes, count, tape_value_child(list, i));
}

static void forget(struct reading *reading, uint64_t id)
{
	tape_map_clear(&reading->sessions);
	tape_map_clear(&reading->temporary);
	reading->epoch = id;
}

static int scan_outputs(struct reading *reading, const struct whole *whole)
{
	int result = 0;
	unsigned int effects = tape_effects[whole->call->function].effects;
	for (size_t i = 0; i < whole->function->count && result == 0; i++) {
		const struct tape_argument *argument = &whole->function->arguments[i];
		const struct tape_value *out = &whole->out[i];
		bool number = out->form == TAPE_V_NUMBER;
		if (argument->kind == TAPE_K_OUT_SESSION && number)
			result = open_session(reading, out->number);
		else if (argument->kind == TAPE_K_OUT_OBJECT && number)
			result = new_object(reading, out->number, whole->call->id);
		if (argument->kind == TAPE_K_OUT_OBJECT && number && result == 0 &&
		    (effects & (TAPE_EFFECT_CREATES | TAPE_EFFECT_GENERATES)) != 0 &&
		    !tape_template_says(whole->function, whole->in, CKA_TOKEN, false) &&
		    !tape_map_put(&reading->temporary, out->number, 1))
			result = no_memory(reading);
		else if (argument->kind == TAPE_K_OUT_OBJECTS)
			result = scan_found(reading, whole, out);
		else if (tape_shapes[argument->kind].codec == TAPE_C_TEMPLATE)
			scan_template(reading, whole, i);
	}
	return result;
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void scan_slots(struct scan *scan, const struct whole *whole)
{
	const struct tape_function *function = whole->function;
	if (function->arguments[0].kind != TAPE_K_SLOT || whole->rv != CKR_OK)
		return;
	uint64_t slot = whole->in[0].number;
	const struct tape_value *last = &whole->out[function->count - 1];
	if (function->arguments[function->count - 1].kind == TAPE_K_OUT_SESSION &&
	    !scan->has_slot) {
		scan->slot = slot;
		scan->has_slot = true;
	}
	if (last->form != TAPE_V_RECORD || last->record != TAPE_R_CK_TOKEN_INFO ||
	    scan->slot_count == SCAN_SLOTS || scan_label(scan, slot) != NULL)
		return;
	struct scan_slot *known = &scan->slots[scan->slot_count++];
	const struct tape_value *label = tape_value_child(last, 0);
	known->slot = slot;
	memset(known->label, ' ', sizeof(known->label));
	if (label->form == TAPE_V_BYTES && label->length <= sizeof(known->label))
		memcpy(known->label, label->data, label->length);
}

/* ---- the stream ------------------------------------------------------------------------------ */

static int scan_whole(struct reading *reading, const struct whole *whole)
{
	unsigned int effects = tape_effects[whole->call->function].effects;
	reading->scan->calls++;
	int result = scan_secrets(reading, whole);
	if (result < 0)
		return result;
	scan_danger(reading, whole);
	if (whole->out == NULL)
		return 0;
	if ((effects & TAPE_EFFECT_FORGETS) != 0 && whole->rv == CKR_OK) {
		/* Of the two that forget, one takes arguments of its own. */
		reading->initialized = whole->function->arguments[0].kind == TAPE_K_INIT_ARGS;
		forget(reading, whole->call->id);
	}
	if ((effects & TAPE_EFFECT_DESTROYS) != 0 && whole->rv == CKR_OK) {
		const struct scan_object *object = known_object(reading, whole);
		result = object == NULL ? 0 : new_object(reading, object->handle, whole->call->id);
	}
	scan_slots(reading->scan, whole);
	return result < 0 ? result : scan_outputs(reading, whole);
}

static int parse_call(struct reading *reading, struct tape_half *half)
{
	struct tape_parse parse = { tape_half_arena(half), reading->names, reading->error };
	struct tape_value *in = tape_arena_array(parse.arena, TAPE_MAX_ARGUMENTS, sizeof(*in));
	tape_open_add(&reading->open, half);
	if (in == NULL)
		return no_memory(reading);
	half->note = in;
	return tape_parse_in(&parse, &tape_functions[half->item.function], half->item.in,
	                     half->item.line, in);
}

static int scan_call(struct reading *reading, struct tape_half *call, struct tape_half *back)
{
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct whole whole = { &call->item, &tape_functions[call->item.function], call->note, NULL,
		               0 };
	int result = 0;
	if (back != NULL) {
		struct tape_parse parse = { tape_half_arena(back), reading->names, reading->error };
		result = tape_parse_out(&parse, whole.function, back->item.out, back->item.line,
		                        whole.in, out);
		whole.out = out;
		whole.rv = back->item.rv;
	}
	return result < 0 ? result : scan_whole(reading, &whole);
}

static int add_unreturned(struct reading *reading, uint64_t id)
{
	struct scan *scan = reading->scan;
	if (scan->unreturned_count == reading->unreturned_room) {
		reading->unreturned_room = reading->unreturned_room * 2 + 16;
		uint64_t *more = realloc(scan->unreturned,
		                         reading->unreturned_room * sizeof(*scan->unreturned));
		if (more == NULL)
			return no_memory(reading);
		scan->unreturned = more;
	}
	scan->unreturned[scan->unreturned_count++] = id;
	return 0;
}

static int close_open(struct reading *reading, bool count)
{
	int result = 0;
	while (reading->open.first != NULL) {
		struct tape_half *call = reading->open.first;
		if (count && result == 0)
			result = scan_call(reading, call, NULL);
		if (count && result == 0)
			result = add_unreturned(reading, call->item.id);
		tape_open_remove(&reading->open, call);
		tape_halves_give(&reading->halves, call);
	}
	return result;
}

static int scan_half(struct reading *reading, struct tape_half *half)
{
	int result = 0;
	if (half->item.kind == TAPE_ITEM_CALL && half->item.function != TAPE_FN_COUNT)
		return parse_call(reading, half);
	if (half->item.kind == TAPE_ITEM_HEADER) {
		result = close_open(reading, true);
		tape_halves_give(&reading->halves, reading->header);
		reading->header = half;
		reading->names = tape_node_get(half->item.node, "names");
		reading->initialized = false;
		forget(reading, UINT64_MAX);
		return result;
	}
	if (half->item.kind == TAPE_ITEM_RETURN) {
		struct tape_half *call = tape_open_find(&reading->open, half->item.id);
		if (call != NULL) {
			result = scan_call(reading, call, half);
			tape_open_remove(&reading->open, call);
			tape_halves_give(&reading->halves, call);
		}
	}
	tape_halves_give(&reading->halves, half);
	return result;
}

static int compare_ids(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a;
	uint64_t y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

int scan_read(struct scan *ret_scan, const char *path, struct tape_error *error)
{
	struct reading reading = { .scan = ret_scan, .error = error };
	struct tape_half *half;
	memset(ret_scan, 0, sizeof(*ret_scan));
	ret_scan->objects = calloc(1, sizeof(*ret_scan->objects));
	if (ret_scan->objects == NULL)
		return no_memory(&reading);
	tape_arena_init(&ret_scan->objects->arena, NULL, 0, TAPE_MAX_ITEM);
	if (getrandom(ret_scan->key, sizeof(ret_scan->key), 0) != sizeof(ret_scan->key))
		ret_scan->key[0] = 1;
	int result = tape_halves_init(&reading.halves, path, error);
	if (result < 0)
		return result;
	const struct tape_header *header = tape_reader_header(reading.halves.reader);
	/* A forked process goes on with what its parent's began. */
	reading.initialized = header->forked_after != 0;
	reading.names = header->names;
	tape_arena_init(&reading.arena, NULL, 0, TAPE_MAX_ITEM);
	while (result >= 0 && (result = tape_halves_next(&reading.halves, &half, error)) > 0)
		result = scan_half(&reading, half);
	int closed = close_open(&reading, result >= 0);
	if (ret_scan->unreturned_count != 0)
		qsort(ret_scan->unreturned, ret_scan->unreturned_count,
		      sizeof(*ret_scan->unreturned), compare_ids);
	tape_halves_give(&reading.halves, reading.header);
	tape_halves_done(&reading.halves);
	tape_map_done(&reading.sessions);
	tape_map_done(&reading.temporary);
	tape_arena_done(&reading.arena);
	return result < 0 ? result : closed;
}

void scan_free(struct scan *scan)
{
	if (scan->objects != NULL) {
		tape_map_done(&scan->objects->last);
		tape_arena_done(&scan->objects->arena);
	}
	free(scan->objects);
	free(scan->unreturned);
	memset(scan, 0, sizeof(*scan));
}

const struct scan_object *scan_object(const struct scan *scan, uint64_t handle, uint64_t id)
{
	const struct scan_object *object = newest(scan, handle);
	while (object != NULL && object->from > id)
		object = object->before;
	return object;
}

bool scan_is_unreturned(const struct scan *scan, uint64_t id)
{
	return scan->unreturned_count != 0 && bsearch(&id, scan->unreturned, scan->unreturned_count,
	                                              sizeof(id), compare_ids) != NULL;
}

const unsigned char *scan_label(const struct scan *scan, uint64_t slot)
{
	for (size_t i = 0; i < scan->slot_count; i++)
		if (scan->slots[i].slot == slot)
			return scan->slots[i].label;
	return NULL;
}
