/* SPDX-License-Identifier: MIT */
#include "core/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/redact.h"
#include "core/system.h"
#include "core/varies.h"

/* ---- secrets --------------------------------------------------------------------------------- */

/* What was made up counts as a value from here on; shorter strings are alike by chance. */
#define TELLING_BYTES 8

static bool same_hash(const uint64_t a[2], const uint64_t b[2])
{
	return a[0] == b[0] && a[1] == b[1];
}

static size_t name_slot(const struct tape_bindings *bindings, unsigned int part, const char *name,
                        size_t length)
{
	uint64_t hash[2];
	tape_siphash(bindings->key, name, length, hash);
	return (size_t)(hash[0] + part) & (bindings->slots - 1);
}

static size_t value_slot(const struct tape_bindings *bindings, const uint64_t hash[2])
{
	return (size_t)hash[0] & (bindings->slots - 1);
}

/* The binding of a name in exactly this part. */
static struct tape_binding *find_in_part(struct tape_bindings *bindings, unsigned int part,
                                         const char *name, size_t length)
{
	if (bindings->slots == 0)
		return NULL;
	size_t slot = name_slot(bindings, part, name, length);
	for (; bindings->names[slot] != 0; slot = (slot + 1) & (bindings->slots - 1)) {
		struct tape_binding *binding = &bindings->bound[bindings->names[slot] - 1];
		if (binding->part == part && strlen(binding->name) == length &&
		    memcmp(binding->name, name, length) == 0)
			return binding;
	}
	return NULL;
}

static struct tape_binding *find_name(struct tape_bindings *bindings, unsigned int part,
                                      const char *name, size_t length)
{
	struct tape_binding *binding = find_in_part(bindings, 0, name, length);
	return binding != NULL || part == 0 ? binding : find_in_part(bindings, part, name, length);
}

static bool is_bound_elsewhere(const struct tape_bindings *bindings, unsigned int part,
                               const uint64_t hash[2])
{
	if (bindings->slots == 0)
		return false;
	size_t slot = value_slot(bindings, hash);
	for (; bindings->values[slot] != 0; slot = (slot + 1) & (bindings->slots - 1)) {
		const struct tape_binding *binding = &bindings->bound[bindings->values[slot] - 1];
		if ((binding->part == 0 || binding->part == part) &&
		    same_hash(binding->hash, hash) &&
		    !(binding->made_up && binding->length < TELLING_BYTES))
			return true;
	}
	return false;
}

/* Enter binding `index` into both tables, at the first free place. */
static void enter(struct tape_bindings *bindings, size_t index)
{
	const struct tape_binding *binding = &bindings->bound[index];
	size_t mask = bindings->slots - 1;
	size_t slot = name_slot(bindings, binding->part, binding->name, strlen(binding->name));
	while (bindings->names[slot] != 0)
		slot = (slot + 1) & mask;
	bindings->names[slot] = (uint32_t)index + 1;
	slot = value_slot(bindings, binding->hash);
	while (bindings->values[slot] != 0)
		slot = (slot + 1) & mask;
	bindings->values[slot] = (uint32_t)index + 1;
}

static bool make_room(struct tape_bindings *bindings)
{
	if (bindings->count < bindings->room)
		return true;
	size_t room = bindings->room == 0 ? 64 : bindings->room * 2;
	if (room > TAPE_MAX_BINDINGS)
		return false;
	struct tape_binding *bound = realloc(bindings->bound, room * sizeof(*bound));
	if (bound != NULL)
		bindings->bound = bound;
	uint32_t *names = calloc(room * 2, sizeof(*names));
	uint32_t *values = calloc(room * 2, sizeof(*values));
	if (bound == NULL || names == NULL || values == NULL) {
		free(names);
		free(values);
		return false;
	}
	free(bindings->names);
	free(bindings->values);
	bindings->names = names;
	bindings->values = values;
	bindings->room = room;
	bindings->slots = room * 2;
	for (size_t i = 0; i < bindings->count; i++)
		enter(bindings, i);
	return true;
}

static struct tape_binding *add_binding(struct tape_bindings *bindings, unsigned int part,
                                        const char *name, size_t length, const uint64_t hash[2])
{
	if (length >= sizeof(bindings->bound->name) || !make_room(bindings))
		return NULL;
	struct tape_binding *binding = &bindings->bound[bindings->count];
	memset(binding, 0, sizeof(*binding));
	binding->part = part;
	memcpy(binding->name, name, length);
	binding->hash[0] = hash[0];
	binding->hash[1] = hash[1];
	enter(bindings, bindings->count++);
	return binding;
}

static void keep_value(struct tape_bindings *bindings, struct tape_binding *binding,
                       const void *value, size_t length)
{
	binding->length = length;
	if (length > TAPE_MAX_BOUND_BYTES - bindings->bytes)
		return;
	binding->value = malloc(length + 1);
	if (binding->value == NULL)
		return;
	memcpy(binding->value, value, length);
	bindings->bytes += length;
}

static void drop_value(struct tape_bindings *bindings, struct tape_binding *binding)
{
	if (binding->value == NULL)
		return;
	tape_wipe(binding->value, binding->length);
	free(binding->value);
	bindings->bytes -= binding->length;
}

/* Take the newest bindings back. None came behind them, so that no search goes past their places. */
static void take_back(struct tape_bindings *bindings, size_t count)
{
	while (bindings->count > count) {
		struct tape_binding *binding = &bindings->bound[bindings->count - 1];
		size_t mask = bindings->slots - 1;
		size_t slot =
			name_slot(bindings, binding->part, binding->name, strlen(binding->name));
		while (bindings->names[slot] != bindings->count)
			slot = (slot + 1) & mask;
		bindings->names[slot] = 0;
		slot = value_slot(bindings, binding->hash);
		while (bindings->values[slot] != bindings->count)
			slot = (slot + 1) & mask;
		bindings->values[slot] = 0;
		drop_value(bindings, binding);
		bindings->count--;
	}
}

void tape_bindings_done(struct tape_bindings *bindings)
{
	for (size_t i = 0; i < bindings->count; i++)
		drop_value(bindings, &bindings->bound[i]);
	free(bindings->bound);
	free(bindings->names);
	free(bindings->values);
	bindings->bound = NULL;
	bindings->names = bindings->values = NULL;
	bindings->count = bindings->room = bindings->slots = bindings->bytes = 0;
}

int tape_bindings_add(struct tape_bindings *bindings, const char *name, size_t name_length,
                      const void *secret, size_t length)
{
	uint64_t hash[2];
	tape_siphash(bindings->key, secret, length, hash);
	struct tape_binding *binding = add_binding(bindings, 0, name, name_length, hash);
	if (binding == NULL)
		return -TAPE_E_LIMIT;
	keep_value(bindings, binding, secret, length);
	return 0;
}

/* Made of the name, from its number on: no two numbers look alike. */
static void make_up(const char *name, size_t length, unsigned char *to, size_t size)
{
	size_t start = 0;
	for (size_t i = 0; i + 1 < length; i++)
		if (name[i] == '-')
			start = i + 1;
	for (size_t i = 0; i < size; i++)
		to[i] = length == 0 ? 0 : (unsigned char)name[(start + i) % length];
}

size_t tape_bindings_fill(struct tape_bindings *bindings, unsigned int part,
                          const struct tape_value *secret, unsigned char *to, size_t size)
{
	const char *name = secret->data;
	size_t length = secret->length;
	uint64_t hash[2];
	struct tape_binding *known = NULL;
	if (bindings != NULL && !tape_secret_is_many(name, length))
		known = find_name(bindings, part, name, length);
	if (known != NULL && known->value != NULL && known->length == size) {
		memcpy(to, known->value, size);
		return known->made_up ? size : 0;
	}
	make_up(name, length, to, size);
	if (bindings == NULL || known != NULL || tape_secret_is_many(name, length))
		return size;
	tape_siphash(bindings->key, to, size, hash);
	known = add_binding(bindings, part, name, length, hash);
	if (known != NULL) {
		known->made_up = true;
		keep_value(bindings, known, to, size);
	}
	return size;
}

static bool same_secret(struct tape_compare *compare, const struct tape_value *recorded,
                        const struct tape_value *live)
{
	uint64_t hash[2];
	struct tape_bindings *bindings = compare->bindings;
	if (live->tag != recorded->tag)
		return false;
	if (live->form == TAPE_V_SECRET)
		return live->length == recorded->length &&
		       memcmp(live->data, recorded->data, live->length) == 0 &&
		       (!live->stated || !recorded->stated || live->number == recorded->number);
	if ((live->form != TAPE_V_BYTES && live->form != TAPE_V_RAW) || live->length == 0 ||
	    (recorded->stated && recorded->number != live->length))
		return false;
	if (bindings == NULL || tape_secret_is_many(recorded->data, recorded->length))
		return true;
	tape_siphash(bindings->key, live->data, live->length, hash);
	const struct tape_binding *known =
		find_name(bindings, compare->part, recorded->data, recorded->length);
	if (known != NULL)
		return same_hash(known->hash, hash);
	if (is_bound_elsewhere(bindings, compare->part, hash))
		return false;
	if (!compare->bind)
		return true;
	struct tape_binding *binding =
		add_binding(bindings, compare->part, recorded->data, recorded->length, hash);
	if (binding == NULL)
		return false;
	if (recorded->stated)
		keep_value(bindings, binding, live->data, live->length);
	return true;
}

/* ---- names that rules give ------------------------------------------------------------------- */

/* A value under a rule's name, apart from all secrets and from other names. */
static void hash_named(const struct tape_bindings *bindings, const char *name, const void *value,
                       size_t length, uint64_t ret_hash[2])
{
	struct {
		uint64_t hash[2];
		char name[TAPE_RULE_NAME];
	} both = { 0 };
	tape_siphash(bindings->key, value, length, both.hash);
	memcpy(both.name, name, strlen(name));
	tape_siphash(bindings->key, &both, sizeof(both), ret_hash);
}

/* What a recorded value under a name is called here: no secret's name begins like this. */
#define NAMED_LENGTH 31

static void name_recorded(const struct tape_bindings *bindings, const char *name,
                          const void *recorded, size_t length, char ret_name[NAMED_LENGTH + 1])
{
	uint64_t hash[2];
	hash_named(bindings, name, recorded, length, hash);
	snprintf(ret_name, NAMED_LENGTH + 1, "=%016llx%014llx", (unsigned long long)hash[0],
	         (unsigned long long)hash[1] >> 8);
}

/* Bind it, if that can be done so that it is also given back. */
static struct tape_binding *bind_named(struct tape_bindings *bindings, const char *recorded,
                                       const uint64_t hash[2], const void *live, size_t length)
{
	struct tape_binding *binding = add_binding(bindings, 0, recorded, NAMED_LENGTH, hash);
	if (binding == NULL)
		return NULL;
	keep_value(bindings, binding, live, length);
	if (binding->value != NULL)
		return binding;
	take_back(bindings, bindings->count - 1);
	return NULL;
}

static bool same_named(struct tape_compare *compare, const char *name,
                       const struct tape_value *recorded, const struct tape_value *live)
{
	struct tape_bindings *bindings = compare->bindings;
	char known_as[NAMED_LENGTH + 1];
	uint64_t hash[2];
	if (recorded->length != live->length || recorded->tag != live->tag)
		return false;
	if (bindings == NULL)
		return true;
	name_recorded(bindings, name, recorded->data, recorded->length, known_as);
	hash_named(bindings, name, live->data, live->length, hash);
	const struct tape_binding *known = find_in_part(bindings, 0, known_as, NAMED_LENGTH);
	if (known != NULL)
		return same_hash(known->hash, hash);
	if (is_bound_elsewhere(bindings, 0, hash))
		return false;
	return !compare->bind ||
	       bind_named(bindings, known_as, hash, live->data, live->length) != NULL;
}

const void *tape_bindings_named(struct tape_bindings *bindings, const char *name,
                                const void *recorded, size_t length)
{
	char known_as[NAMED_LENGTH + 1];
	uint64_t hash[2];
	name_recorded(bindings, name, recorded, length, known_as);
	const struct tape_binding *known = find_in_part(bindings, 0, known_as, NAMED_LENGTH);
	if (known == NULL) {
		hash_named(bindings, name, recorded, length, hash);
		known = bind_named(bindings, known_as, hash, recorded, length);
	}
	return known == NULL ? NULL : known->value;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool is_empty(const struct tape_value *value)
{
	return value->form == TAPE_V_NULL || (value->form == TAPE_V_BYTES && value->length == 0);
}

static bool same_bytes(const struct tape_value *a, const struct tape_value *b)
{
	return a->length == b->length &&
	       (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

static bool same_value(struct tape_compare *compare, const struct tape_value *recorded,
                       const struct tape_value *live);

/* Step into a child, where places matter: of a template, into an attribute; of a mechanism, its parameter. */
static unsigned int enter_child(const struct tape_compare *compare, const struct tape_value *parent,
                                const struct tape_value *child)
{
	struct tape_place *place = compare->place;
	if (place == NULL)
		return 0;
	unsigned int depth = place->depth;
	if (parent->form == TAPE_V_MECHANISM)
		tape_place_field(place, "parameter");
	else if (child->form != TAPE_V_RECORD && child->form != TAPE_V_NUMBER)
		tape_place_attribute(place, child->tag);
	return depth;
}

static void leave_child(const struct tape_compare *compare, unsigned int depth)
{
	if (compare->place != NULL)
		compare->place->depth = (uint8_t)depth;
}

/* A child that both sides have. */
static bool same_child(struct tape_compare *compare, const struct tape_value *recorded,
                       const struct tape_value *live, size_t index)
{
	if (TAPE_LIKELY(!tape_value_is_object(recorded, index) ||
	                !tape_value_is_object(live, index)))
		return same_value(compare, tape_value_child(recorded, index),
		                  tape_value_child(live, index));
	struct tape_value a = *tape_value_child(recorded, index);
	struct tape_value b = *tape_value_child(live, index);
	if (compare->identities) {
		a.number = a.tag;
		b.number = b.tag;
	}
	a.tag = b.tag = 0;
	return same_value(compare, &a, &b);
}

static bool same_children(struct tape_compare *compare, const struct tape_value *recorded,
                          const struct tape_value *live)
{
	if (recorded->count != live->count)
		return false;
	for (size_t i = 0; i < recorded->count; i++) {
		const struct tape_value *a = tape_value_child(recorded, i);
		unsigned int depth = enter_child(compare, recorded, a);
		bool same = same_child(compare, recorded, live, i);
		leave_child(compare, depth);
		if (!same)
			return false;
	}
	return true;
}

/* Function lists and interfaces are no structures of the tables. */
static const char *field_name(unsigned int record, size_t index)
{
	return record == TAPE_R_NONE ? ""
	                             : tape_fields[tape_records[record].first + index].name.text;
}

/*
 * A field that is absent on either side is an output, or one that another field disables: chance.
 * A NULL pointer and a pointer to nothing are the same where the length is 0.
 */
static bool same_record(struct tape_compare *compare, const struct tape_value *recorded,
                        const struct tape_value *live)
{
	if (recorded->record != live->record || recorded->count != live->count)
		return false;
	for (size_t i = 0; i < recorded->count; i++) {
		const struct tape_value *a = tape_value_child(recorded, i);
		const struct tape_value *b = tape_value_child(live, i);
		if (a->form == TAPE_V_ABSENT || b->form == TAPE_V_ABSENT)
			continue;
		unsigned int depth = 0;
		if (compare->place != NULL) {
			depth = compare->place->depth;
			tape_place_field(compare->place, field_name(recorded->record, i));
		}
		bool same = same_child(compare, recorded, live, i);
		leave_child(compare, depth);
		if (!same)
			return false;
	}
	return true;
}

/* How long a value is, for the rule "length": bytes or elements; a value's form counts with it. */
static bool same_length(const struct tape_value *recorded, const struct tape_value *live)
{
	if (is_empty(recorded) && is_empty(live))
		return true;
	if (recorded->form == TAPE_V_SECRET && live->form != TAPE_V_SECRET)
		return (live->form == TAPE_V_BYTES || live->form == TAPE_V_RAW) &&
		       live->length != 0 && (!recorded->stated || recorded->number == live->length);
	return recorded->form == live->form && recorded->length == live->length &&
	       recorded->count == live->count;
}

/* What a rule for this very place says. Returns false where there is none, or it says "exact". */
static bool is_ruled(struct tape_compare *compare, const struct tape_value *recorded,
                     const struct tape_value *live, bool *ret_same)
{
	const struct tape_rule_row *row =
		compare->rules == NULL ? NULL : tape_rules_find(compare->rules, compare->place);
	if (row == NULL || row->rule == TAPE_RULE_EXACT)
		return false;
	*ret_same = true;
	if (row->rule == TAPE_RULE_LENGTH)
		*ret_same = same_length(recorded, live);
	if (row->rule != TAPE_RULE_AS)
		return true;
	/* Only bytes can be put in the place of others. */
	if (recorded->form != TAPE_V_BYTES || live->form != TAPE_V_BYTES || recorded->length == 0)
		return false;
	*ret_same = same_named(compare, row->name, recorded, live);
	return true;
}

/* Tell of a difference where somebody asks. Returns whether the values then count as the same. */
static bool is_told(const struct tape_compare *compare, bool same,
                    const struct tape_value *recorded, const struct tape_value *live)
{
	if (same || compare->each == NULL)
		return same;
	compare->each(compare->context, compare->place, recorded, live);
	return true;
}

static bool same_plain(struct tape_compare *compare, const struct tape_value *recorded,
                       const struct tape_value *live);

static bool same_value(struct tape_compare *compare, const struct tape_value *recorded,
                       const struct tape_value *live)
{
	bool same;
	if (TAPE_LIKELY(compare->place == NULL))
		return same_plain(compare, recorded, live);
	if (!is_ruled(compare, recorded, live, &same))
		same = same_plain(compare, recorded, live);
	return is_told(compare, same, recorded, live);
}

static bool same_plain(struct tape_compare *compare, const struct tape_value *recorded,
                       const struct tape_value *live)
{
	if (recorded->form == TAPE_V_LOST)
		return true;
	if (recorded->form == TAPE_V_SECRET)
		return same_secret(compare, recorded, live);
	if (is_empty(recorded) && is_empty(live))
		return recorded->tag == live->tag;
	if (recorded->form != live->form)
		return false;
	bool tags = recorded->tag == live->tag;
	switch ((enum tape_form)recorded->form) {
	case TAPE_V_NUMBER:
	case TAPE_V_LENGTH:
		return tags && recorded->number == live->number;
	case TAPE_V_BYTES:
	case TAPE_V_RAW:
		return tags && same_bytes(recorded, live);
	case TAPE_V_ROOM:
		return recorded->number == live->number;
	case TAPE_V_LIST:
		return tags && same_children(compare, recorded, live);
	case TAPE_V_RECORD:
		return same_record(compare, recorded, live);
	case TAPE_V_MECHANISM:
		return tags && same_children(compare, recorded, live);
	default:
		return true;
	}
}

static bool same_rooms(struct tape_compare *compare, const struct tape_value *recorded,
                       const struct tape_value *live);

/* An attribute to be read: its room; what stands in the length of a NULL pointer is chance. */
static bool same_room(struct tape_compare *compare, const struct tape_value *recorded,
                      const struct tape_value *live)
{
	bool same;
	if (compare->place != NULL && is_ruled(compare, recorded, live, &same))
		return is_told(compare, same, recorded, live);
	if (recorded->form == TAPE_V_LOST)
		return true;
	same = recorded->form == TAPE_V_LIST
	               ? same_rooms(compare, recorded, live)
	               : recorded->form == live->form && (recorded->form != TAPE_V_ROOM ||
	                                                  recorded->number == live->number);
	return is_told(compare, same, recorded, live);
}

/* A template being read: the types count (but those that the module fills in, of nested ones) and the rooms. */
static bool same_rooms(struct tape_compare *compare, const struct tape_value *recorded,
                       const struct tape_value *live)
{
	if (recorded->form == TAPE_V_LOST)
		return true;
	if (recorded->form != live->form)
		return false;
	if (recorded->form != TAPE_V_LIST)
		return recorded->form != TAPE_V_LENGTH || recorded->number == live->number;
	if (recorded->count != live->count)
		return false;
	for (size_t i = 0; i < recorded->count; i++) {
		const struct tape_value *a = tape_value_child(recorded, i);
		const struct tape_value *b = tape_value_child(live, i);
		if (a->tag != TAPE_TAG_ANY && b->tag != TAPE_TAG_ANY && a->tag != b->tag)
			return false;
		unsigned int depth = enter_child(compare, recorded, a);
		bool same = same_room(compare, a, b);
		leave_child(compare, depth);
		if (!same)
			return false;
	}
	return true;
}

static bool same_init_args(const struct tape_value *recorded, const struct tape_value *live)
{
	if (recorded->form != TAPE_V_RECORD || live->form != TAPE_V_RECORD)
		return recorded->form == live->form || recorded->form == TAPE_V_LOST;
	/* What an application passes in pReserved is between it and its module: never compared. */
	return tape_value_child(recorded, TAPE_INIT_FLAGS)->number ==
	               tape_value_child(live, TAPE_INIT_FLAGS)->number &&
	       tape_value_child(recorded, TAPE_INIT_MUTEXES)->number ==
	               tape_value_child(live, TAPE_INIT_MUTEXES)->number;
}

static bool same_argument(struct tape_compare *compare, const struct tape_shape *shape,
                          const struct tape_value *recorded, const struct tape_value *live)
{
	if (recorded->form == TAPE_V_LOST)
		return true;
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
	case TAPE_C_CONSTANT:
	case TAPE_C_FLAGS:
	case TAPE_C_BOOLEAN:
		return recorded->number == live->number;
	case TAPE_C_PRESENCE:
		return (shape->traits & TAPE_T_ANY) != 0 || recorded->form == live->form;
	case TAPE_C_INIT_ARGS:
		return same_init_args(recorded, live);
	case TAPE_C_BYTES:
		if ((shape->traits & TAPE_T_ANY) == 0)
			return same_value(compare, recorded, live);
		return recorded->form == TAPE_V_LOST || (is_empty(recorded) && is_empty(live)) ||
		       (recorded->form == live->form && recorded->length == live->length);
	case TAPE_C_TEMPLATE:
		if ((shape->traits & TAPE_T_OUT) != 0)
			return same_rooms(compare, recorded, live);
		return same_value(compare, recorded, live);
	case TAPE_C_NUMBER_AT:
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		return recorded->form == live->form;
	case TAPE_C_STRUCT:
		if (recorded->form != TAPE_V_RECORD || live->form != TAPE_V_RECORD)
			return (recorded->form == TAPE_V_NULL) == (live->form == TAPE_V_NULL);
		return same_record(compare, recorded, live);
	case TAPE_C_BYTES_AT:
	case TAPE_C_FILL:
	case TAPE_C_LATER:
	case TAPE_C_LIST_AT:
	case TAPE_C_FOUND:
	case TAPE_C_INTERFACES:
		return recorded->form == live->form &&
		       (recorded->form == TAPE_V_QUERY || recorded->number == live->number);
	default:
		return same_value(compare, recorded, live);
	}
}

/* Compare an argument that may have rules, or whose differences somebody asks for. */
static bool same_placed(struct tape_compare *compare, const struct tape_function *function,
                        size_t index, const struct tape_value *recorded,
                        const struct tape_value *live)
{
	struct tape_place place = { .function = (uint16_t)(function - tape_functions),
		                    .argument = (uint8_t)index };
	bool same;
	compare->place = &place;
	if (!is_ruled(compare, recorded, live, &same))
		same = same_argument(compare, &tape_shapes[function->arguments[index].kind],
		                     recorded, live);
	same = is_told(compare, same, recorded, live);
	compare->place = NULL;
	return same;
}

static int first_difference(struct tape_compare *compare, const struct tape_function *function,
                            const struct tape_value *recorded, const struct tape_value *live)
{
	size_t id = (size_t)(function - tape_functions);
	bool placed = compare->each != NULL || (compare->rules != NULL && compare->rules->any[id]);
	for (size_t i = 0; i < function->count; i++)
		if (TAPE_UNLIKELY(placed)
		            ? !same_placed(compare, function, i, &recorded[i], &live[i])
		            : !same_argument(compare, &tape_shapes[function->arguments[i].kind],
		                             &recorded[i], &live[i]))
			return (int)i;
	return -1;
}

static bool has_secret(const struct tape_function *function, const struct tape_value *recorded)
{
	for (size_t i = 0; i < function->count; i++) {
		uint8_t codec = tape_shapes[function->arguments[i].kind].codec;
		if (recorded[i].form == TAPE_V_SECRET || codec == TAPE_C_MECHANISM ||
		    codec == TAPE_C_TEMPLATE)
			return true;
	}
	return false;
}

int tape_compare_in(struct tape_compare *compare, const struct tape_function *function,
                    const struct tape_value *recorded, const struct tape_value *live)
{
	struct tape_compare look = *compare;
	/* Who wants to know of all differences wants to know of each once. */
	if (compare->each != NULL)
		return first_difference(compare, function, recorded, live);
	look.bind = false;
	int difference = first_difference(&look, function, recorded, live);
	bool ruled = compare->rules != NULL && compare->rules->any[function - tape_functions];
	if (difference >= 0 || !compare->bind || compare->bindings == NULL ||
	    (!ruled && !has_secret(function, recorded)))
		return difference;
	/* Two names in one call may stand for one value that was presented: then neither is bound. */
	size_t before = compare->bindings->count;
	difference = first_difference(compare, function, recorded, live);
	if (difference >= 0)
		take_back(compare->bindings, before);
	return difference;
}

int tape_compare_results(struct tape_compare *compare, const struct tape_function *function,
                         const struct tape_value *a, const struct tape_value *b)
{
	struct tape_place place = { .function = (uint16_t)(function - tape_functions) };
	int difference = -1;
	compare->place = compare->each == NULL ? NULL : &place;
	for (size_t i = 0; i < function->count && difference < 0; i++) {
		place.argument = (uint8_t)i;
		bool same = a[i].form == b[i].form ? same_value(compare, &a[i], &b[i])
		                                   : is_told(compare, false, &a[i], &b[i]);
		if (!same)
			difference = (int)i;
	}
	compare->place = NULL;
	return difference;
}

int tape_compare_out(const struct tape_function *function, const struct tape_value *a,
                     const struct tape_value *b)
{
	struct tape_compare compare = { 0 };
	return tape_compare_results(&compare, function, a, b);
}

/* Leave out what a clock shows; `fields` are room for one structure's. */
#define MAX_FIELDS 64
static void stop_clocks(const struct tape_function *function, struct tape_value *out,
                        struct tape_value *fields)
{
	for (size_t i = 0; i < function->count; i++) {
		if (tape_shapes[function->arguments[i].kind].codec != TAPE_C_STRUCT ||
		    out[i].form != TAPE_V_RECORD || out[i].count > MAX_FIELDS)
			continue;
		const struct tape_record *record = &tape_records[out[i].record];
		for (size_t j = 0; j < out[i].count && j < record->count; j++) {
			if (!tape_varies_clock((enum tape_record_id)out[i].record,
			                       &tape_fields[record->first + j]))
				continue;
			if (out[i].data != fields)
				memcpy(fields, out[i].data, out[i].count * sizeof(*fields));
			fields[j] = (struct tape_value){ .form = TAPE_V_ABSENT };
			out[i].data = fields;
		}
	}
}

bool tape_compare_steady(const struct tape_function *function, const struct tape_value *a,
                         const struct tape_value *b)
{
	struct tape_value out[2][TAPE_MAX_ARGUMENTS];
	struct tape_value fields[2][MAX_FIELDS];
	memcpy(out[0], a, function->count * sizeof(*a));
	memcpy(out[1], b, function->count * sizeof(*b));
	stop_clocks(function, out[0], fields[0]);
	stop_clocks(function, out[1], fields[1]);
	return tape_compare_out(function, out[0], out[1]) < 0;
}
