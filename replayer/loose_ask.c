/* SPDX-License-Identifier: MIT
 *
 * Lenient mode: what a call asks, as a hash and as values that are compared, with identities in the place of the
 * handles, whose numbers mean something else in the program than in the recording.
 */
#include "core/compare.h"
#include "replayer/loose_parts.h"

/* ---- what is asked --------------------------------------------------------------------------- */

static bool is_empty(const struct tape_value *value)
{
	return value->form == TAPE_V_NULL || (value->form == TAPE_V_BYTES && value->length == 0);
}

/* A structure's field that is compared whatever the other side has in it. */
static bool is_certain(enum tape_record_id record, const struct tape_field *field)
{
	for (size_t i = 0; i < tape_condition_count; i++)
		if (tape_conditions[i].record == record &&
		    tape_conditions[i].offset == field->offset)
			return false;
	return field->direction == TAPE_D_IN;
}

static uint64_t mix_child(uint64_t hash, const struct tape_value *value, size_t index)
{
	const struct tape_value *child = tape_value_child(value, index);
	return tape_value_is_object(value, index) ? tape_mix(hash, child->tag)
	                                          : loose_mix_value(hash, child);
}

uint64_t loose_mix_value(uint64_t hash, const struct tape_value *value)
{
	if (is_empty(value))
		return tape_mix(hash, value->tag);
	const struct tape_value *child;
	switch ((enum tape_form)value->form) {
	case TAPE_V_NUMBER:
	case TAPE_V_LENGTH:
		return tape_mix(tape_mix(hash, value->tag), value->number);
	case TAPE_V_BYTES:
	case TAPE_V_RAW:
		return tape_mix_bytes(tape_mix(hash, value->tag), value->data, value->length);
	case TAPE_V_LIST:
	case TAPE_V_MECHANISM:
		hash = tape_mix(tape_mix(hash, value->tag), value->count);
		for (size_t i = 0; i < value->count; i++)
			hash = mix_child(hash, value, i);
		return hash;
	case TAPE_V_RECORD:
		hash = tape_mix(hash, value->record);
		for (size_t i = 0; i < value->count && i < tape_records[value->record].count; i++) {
			size_t field = tape_records[value->record].first + i;
			child = tape_value_child(value, i);
			if (child->form != TAPE_V_ABSENT &&
			    is_certain((enum tape_record_id)value->record, &tape_fields[field]))
				hash = mix_child(hash, value, i);
		}
		return hash;
	default:
		return tape_mix(hash, value->form);
	}
}

static uint64_t mix_rooms(uint64_t hash, const struct tape_value *value)
{
	hash = tape_mix(hash, value->form);
	for (size_t i = 0; value->form == TAPE_V_LIST && i < value->count; i++) {
		const struct tape_value *entry = tape_value_child(value, i);
		hash = tape_mix(hash, entry->tag);
		if (entry->form == TAPE_V_ROOM)
			hash = tape_mix(hash, entry->number);
	}
	return hash;
}

/* A room that core/derive.h answers for, in a buffer or a list. */
static bool is_derived(const struct tape_argument *argument)
{
	return tape_derives_room(argument) && tape_shapes[argument->kind].codec != TAPE_C_TEMPLATE;
}

uint64_t loose_ask_of(const struct loose *loose, const struct tape_function *function,
                      const struct tape_value *in, bool rooms)
{
	size_t id = (size_t)(function - tape_functions);
	uint64_t hash = tape_mix(id, 1);
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if (loose->blind[id][i] || engine.options.rules.whole[id][i] != TAPE_RULE_EXACT)
			continue;
		switch ((enum tape_codec)shape->codec) {
		case TAPE_C_NUMBER:
		case TAPE_C_CONSTANT:
		case TAPE_C_FLAGS:
		case TAPE_C_BOOLEAN:
			hash = tape_mix(hash, in[i].number);
			break;
		case TAPE_C_BYTES:
			if ((shape->traits & TAPE_T_ANY) == 0)
				hash = loose_mix_value(hash, &in[i]);
			break;
		case TAPE_C_TEMPLATE:
			hash = (shape->traits & TAPE_T_OUT) != 0 ? mix_rooms(hash, &in[i])
			                                         : loose_mix_value(hash, &in[i]);
			break;
		case TAPE_C_MECHANISM:
		case TAPE_C_CHARS:
		case TAPE_C_TEXTZ:
			hash = loose_mix_value(hash, &in[i]);
			break;
		case TAPE_C_BYTES_AT:
		case TAPE_C_FILL:
		case TAPE_C_LIST_AT:
		case TAPE_C_FOUND:
			if (!rooms && is_derived(&function->arguments[i]))
				break;
			hash = tape_mix(hash, in[i].form);
			if (in[i].form != TAPE_V_QUERY)
				hash = tape_mix(hash, in[i].number);
			break;
		default:
			break;
		}
	}
	return hash;
}

uint32_t *loose_kin_bucket(const struct loose *loose, const struct tape_function *function,
                           const struct tape_value *asked)
{
	uint64_t ask = loose_ask_of(loose, function, asked, false);
	return &loose->kin_buckets[ask & (loose->bucket_count - 1)];
}

/* ---- identities ------------------------------------------------------------------------------ */

void loose_put_recorded(const struct tape_function *function, const struct tape_value *in,
                        struct tape_value *to)
{
	memcpy(to, in, function->count * sizeof(*to));
	for (size_t i = 0; i < function->count; i++)
		if (loose_is_handle(function, i)) {
			to[i].number = in[i].tag;
			to[i].tag = 0;
		}
}

uint64_t loose_identity_of(struct tape_scopes *scopes, const struct tape_function *function,
                           const struct tape_value *in, size_t argument)
{
	uint64_t session = function->lane < 0 ? 0 : in[function->lane].number;
	return (int)argument == function->lane
	               ? tape_scope_session(scopes, session)
	               : tape_scope_object(scopes, session, in[argument].number);
}

struct naming {
	struct tape_scopes *scopes;
	uint64_t session;
};

/* What is named lies in an arena of ours, that of the trace or of the call. */
static void name_inner(void *context, const struct tape_value *handle, bool given)
{
	const struct naming *naming = context;
	(void)given;
	((struct tape_value *)(uintptr_t)handle)->tag =
		tape_scope_object(naming->scopes, naming->session, handle->number);
}

void loose_name_inside(struct tape_scopes *scopes, const struct tape_function *function,
                       const struct tape_value *in, const struct tape_value *values)
{
	struct naming naming = { scopes, function->lane < 0 ? 0 : in[function->lane].number };
	tape_value_each_object(function, values, name_inner, &naming);
}

void loose_put_live(struct loose *loose, const struct tape_function *function,
                    const struct tape_value *in, struct tape_value *to)
{
	memcpy(to, in, function->count * sizeof(*to));
	loose_name_inside(&loose->live, function, in, in);
	for (size_t i = 0; i < function->count; i++)
		if (loose_is_handle(function, i))
			to[i].number = loose_identity_of(&loose->live, function, in, i);
}

/* ---- comparing ------------------------------------------------------------------------------- */

int loose_compare(const struct entry *entry, const struct tape_value *asked, unsigned int part,
                  bool bind)
{
	const struct tape_function *function = entry->record->function;
	struct tape_value recorded[TAPE_MAX_ARGUMENTS];
	struct tape_compare compare = { .bindings = part == 0 ? &engine.bindings : NULL,
		                        .rules = &engine.options.rules,
		                        .part = entry->record->part,
		                        .identities = true,
		                        .bind = bind };
	loose_put_recorded(function, entry->record->in, recorded);
	return tape_compare_in(&compare, function, recorded, asked);
}

static bool has_parameter(const struct tape_function *function)
{
	for (size_t i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_PARAMETER)
			return true;
	return false;
}

/* Capture a call as if it were the recorded one. */
static void capture_as(struct loose *loose, const struct entry *entry,
                       const struct tape_function *function, const uintptr_t *words,
                       struct tape_value *live, struct tape_value *asked)
{
	if (has_parameter(function))
		engine_capture(entry->record, function, words, live);
	loose_put_live(loose, function, live, asked);
}

int loose_compare_live(struct loose *loose, const struct entry *entry,
                       const struct tape_function *function, const uintptr_t *words,
                       struct tape_value *live, bool bind)
{
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	capture_as(loose, entry, function, words, live, asked);
	return loose_compare(entry, asked, 0, bind);
}

int loose_compare_kin(struct loose *loose, const struct entry *entry, const uintptr_t *words,
                      struct tape_value *live, bool bind)
{
	struct tape_value asked[TAPE_MAX_ARGUMENTS];
	const struct tape_function *function = entry->record->function;
	capture_as(loose, entry, function, words, live, asked);
	for (size_t i = 0; i < function->count; i++)
		if (is_derived(&function->arguments[i]))
			asked[i] = entry->record->in[i];
	return loose_compare(entry, asked, 0, bind);
}

bool loose_derives(const struct record *record, const struct tape_value *live,
                   struct tape_derived *ret_derived)
{
	return !record->partial && record->return_at != NOT_YET &&
	       tape_scope_outside(record->rv) == TAPE_OUTSIDE_NOTHING &&
	       tape_derive(&engine.scratch, record->function, record->in, record->out, record->rv,
	                   live, ret_derived);
}
