/* SPDX-License-Identifier: MIT */
#include "core/derive.h"

#include <string.h>

/* ---- values ---------------------------------------------------------------------------------- */

static struct tape_value length_value(uint64_t tag, uint64_t length)
{
	return (struct tape_value){ .form = TAPE_V_LENGTH, .tag = tag, .number = length };
}

static bool is_unavailable(uint64_t length)
{
	return (CK_ULONG)length == CK_UNAVAILABLE_INFORMATION;
}

/*
 * How much an output is, if all of it is known: in bytes, of lists in elements. What a module said to be
 * longer than the room is not known beyond it.
 */
static bool whole(const struct tape_value *out, uint64_t room, uint64_t *ret_length)
{
	switch ((enum tape_form)out->form) {
	case TAPE_V_BYTES:
		*ret_length = out->length;
		return !out->stated;
	case TAPE_V_SECRET:
		*ret_length = out->number;
		return out->stated && out->number <= room;
	case TAPE_V_LIST:
		*ret_length = out->count;
		return !out->stated;
	default:
		return false;
	}
}

/* ---- rooms ----------------------------------------------------------------------------------- */

static const struct tape_shape *shape_of(const struct tape_argument *argument)
{
	return &tape_shapes[argument->kind];
}

bool tape_derives_room(const struct tape_argument *argument)
{
	const struct tape_shape *shape = shape_of(argument);
	return (shape->traits & TAPE_T_OUT) != 0 &&
	       (shape->codec == TAPE_C_BYTES_AT || shape->codec == TAPE_C_LIST_AT ||
	        shape->codec == TAPE_C_TEMPLATE);
}

bool tape_call_steps(const struct tape_function *function, const struct tape_value *in, CK_RV rv)
{
	if (rv == CKR_BUFFER_TOO_SMALL)
		return false;
	for (size_t i = 0; i < function->count && rv == CKR_OK; i++)
		if (shape_of(&function->arguments[i])->codec == TAPE_C_BYTES_AT &&
		    in[i].form == TAPE_V_QUERY)
			return false;
	return true;
}

/* Whether an argument is an output with a room, which the caller of tape_derive() has not compared. */
static bool has_room_of_its_own(const struct tape_shape *shape)
{
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_TEMPLATE:
		return (shape->traits & TAPE_T_OUT) != 0;
	case TAPE_C_BYTES_AT:
	case TAPE_C_FILL:
	case TAPE_C_LATER:
	case TAPE_C_LIST_AT:
	case TAPE_C_FOUND:
	case TAPE_C_INTERFACES:
		return true;
	default:
		return false;
	}
}

/* Whether two rooms are the same one to the module; what stands in the length of a query is chance. */
static bool same_room(const struct tape_value *a, const struct tape_value *b)
{
	if (a->form != b->form)
		return false;
	if (a->form == TAPE_V_LIST) {
		for (size_t i = 0; i < a->count; i++)
			if (i >= b->count ||
			    !same_room(tape_value_child(a, i), tape_value_child(b, i)))
				return false;
		return a->count == b->count;
	}
	return (a->form != TAPE_V_ROOM && !a->stated) || a->number == b->number;
}

static bool only_length(const struct tape_function *function, size_t which, uint64_t length,
                        CK_RV rv, struct tape_derived *derived)
{
	for (size_t i = 0; i < function->count; i++)
		derived->out[i] = (struct tape_value){ .form = TAPE_V_ABSENT };
	derived->out[which] = length_value(0, length);
	derived->rv = rv;
	return true;
}

/* Bytes or a list behind a length (§5.2, §5.5.1, §5.5.5). `exact`: a length is never an estimate. */
static bool derive_buffer(const struct tape_function *function, size_t which, bool exact,
                          const struct tape_value *in, const struct tape_value *out,
                          const struct tape_value *live, struct tape_derived *derived)
{
	const bool asks = live->form == TAPE_V_QUERY;
	const CK_RV rv = derived->rv;
	uint64_t length;
	if (!asks && live->form != TAPE_V_ROOM)
		return false;
	if (rv == CKR_OK && in->form == TAPE_V_ROOM && whole(out, in->number, &length)) {
		if (!asks && live->number >= length) {
			/* A module may want more room than it fills, and said only that it does not want more than this. */
			if (live->number < in->number && !exact)
				derived->leeway |= TAPE_LEEWAY_CODE;
			return true;
		}
		if (!exact)
			derived->leeway |= TAPE_LEEWAY_LENGTH;
		return only_length(function, which, length, asks ? CKR_OK : CKR_BUFFER_TOO_SMALL,
		                   derived);
	}
	if (rv == CKR_OK && in->form == TAPE_V_QUERY && out->form == TAPE_V_LENGTH)
		return exact && live->number < out->number &&
		       only_length(function, which, out->number, CKR_BUFFER_TOO_SMALL, derived);
	if (rv == CKR_BUFFER_TOO_SMALL && in->form == TAPE_V_ROOM && out->form == TAPE_V_LENGTH) {
		if (asks) {
			if (!exact)
				derived->leeway |= TAPE_LEEWAY_LENGTH;
			return only_length(function, which, out->number, CKR_OK, derived);
		}
		return live->number < (exact ? out->number : in->number) &&
		       only_length(function, which, out->number, rv, derived);
	}
	return rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL && in->form == TAPE_V_ROOM && !asks &&
	       live->number >= in->number;
}

static bool derive_template(struct tape_arena *arena, size_t which, const struct tape_value *in,
                            const struct tape_value *out, const struct tape_value *live,
                            struct tape_derived *derived)
{
	struct tape_codes codes = { false };
	struct tape_value *entries;
	if (in->form != TAPE_V_LIST || live->form != TAPE_V_LIST || in->count != live->count)
		return false;
	entries = tape_arena_array(arena, in->count, sizeof(*entries));
	if (entries == NULL)
		return false;
	for (size_t i = 0; i < in->count; i++) {
		struct tape_known known = tape_known_read(in, out, derived->rv, i);
		const struct tape_value *entry = tape_value_child(live, i);
		if (entry->tag != tape_value_child(in, i)->tag ||
		    !tape_known_answer(&known, entry, arena, &codes, &entries[i]))
			return false;
	}
	/* What was refused is refused again: the recorded code is still one of those that apply. */
	if (tape_codes_known(&codes))
		derived->rv = tape_codes_rv(&codes, &derived->leeway);
	else
		derived->leeway |= TAPE_LEEWAY_CODE;
	derived->out[which] =
		(struct tape_value){ .form = TAPE_V_LIST, .count = in->count, .data = entries };
	return true;
}

bool tape_derive(struct tape_arena *arena, const struct tape_function *function,
                 const struct tape_value *in, const struct tape_value *out, CK_RV rv,
                 const struct tape_value *live, struct tape_derived *ret_derived)
{
	struct tape_derived derived = { .rv = rv };
	size_t which = function->count;
	memcpy(derived.out, out, function->count * sizeof(*out));
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (out[i].form == TAPE_V_LOST)
			return false;
		if (!has_room_of_its_own(shape_of(argument)) || same_room(&in[i], &live[i]))
			continue;
		/* Which of two rooms that are too small is told first nobody says. */
		if (!tape_derives_room(argument) || which != function->count)
			return false;
		which = i;
	}
	if (which != function->count) {
		const enum tape_codec codec =
			(enum tape_codec)shape_of(&function->arguments[which])->codec;
		bool follows =
			codec == TAPE_C_TEMPLATE
				? derive_template(arena, which, &in[which], &out[which],
		                                  &live[which], &derived)
				: derive_buffer(function, which, codec == TAPE_C_LIST_AT,
		                                &in[which], &out[which], &live[which], &derived);
		if (!follows)
			return false;
	}
	derived.steps = tape_call_steps(function, live, derived.rv);
	*ret_derived = derived;
	return true;
}

/* ---- attributes ----------------------------------------------------------------------------- */

static struct tape_known known_value(const struct tape_value *value)
{
	return (struct tape_known){ .sort = TAPE_KNOWN_VALUE, .sure = true, .value = *value };
}

static struct tape_known known_length(uint64_t length)
{
	return (struct tape_known){ .sort = TAPE_KNOWN_LENGTH,
		                    .sure = true,
		                    .value = length_value(0, length) };
}

/* An entry that gave something, whatever became of the others. */
static struct tape_known known_entry(const struct tape_value *in, const struct tape_value *out,
                                     CK_RV rv)
{
	static const struct tape_known nothing = { .sort = TAPE_KNOWN_NOTHING };
	uint64_t length;
	if (out->form == TAPE_V_LIST) {
		/* Of a failing call nobody knows which of the entries inside were left alone. */
		for (size_t i = 0; i < out->count; i++) {
			uint8_t form = tape_value_child(out, i)->form;
			if (rv != CKR_OK || form == TAPE_V_SAME || form == TAPE_V_LOST ||
			    form == TAPE_V_RAW ||
			    (form == TAPE_V_LENGTH &&
			     is_unavailable(tape_value_child(out, i)->number)))
				return nothing;
		}
		return known_value(out);
	}
	if (out->form == TAPE_V_LENGTH && !is_unavailable(out->number) &&
	    (in->form == TAPE_V_QUERY || (in->form == TAPE_V_ROOM && out->number <= in->number)))
		return known_length(out->number);
	if (in->form == TAPE_V_ROOM && whole(out, in->number, &length))
		return known_value(out);
	return nothing;
}

/* Whether the room was certainly large enough, so that an entry was refused for another reason. */
static bool has_enough(const struct tape_value *in)
{
	const struct tape_attribute *row = tape_attribute_find(in->tag);
	if (in->form == TAPE_V_QUERY)
		return true;
	if (in->form != TAPE_V_ROOM || row == NULL)
		return false;
	switch ((enum tape_attribute_type)row->type) {
	case TAPE_A_BOOL:
		return in->number >= sizeof(CK_BBOOL);
	case TAPE_A_ULONG:
	case TAPE_A_CONSTANT:
	case TAPE_A_FLAGS:
		return in->number >= sizeof(CK_ULONG);
	default:
		return false;
	}
}

struct tape_known tape_known_read(const struct tape_value *in, const struct tape_value *out,
                                  CK_RV rv, size_t index)
{
	struct tape_known none = { .sort = TAPE_KNOWN_NOTHING };
	size_t refused = 0;
	if (in->form != TAPE_V_LIST || out->form != TAPE_V_LIST || index >= in->count ||
	    in->count != out->count || in->count > TAPE_MAX_KNOWN ||
	    (rv != CKR_OK && rv != CKR_ATTRIBUTE_SENSITIVE && rv != CKR_ATTRIBUTE_TYPE_INVALID &&
	     rv != CKR_BUFFER_TOO_SMALL))
		return none;
	const struct tape_value *asked = tape_value_child(in, index);
	const struct tape_value *entry = tape_value_child(out, index);
	if (entry->form != TAPE_V_LENGTH || !is_unavailable(entry->number))
		return known_entry(asked, entry, rv);
	if (rv != CKR_ATTRIBUTE_SENSITIVE && rv != CKR_ATTRIBUTE_TYPE_INVALID)
		return none;
	/* The code is that of one of the entries that were refused; what was left as it was may be one. */
	for (size_t i = 0; i < out->count; i++) {
		const struct tape_value *other = tape_value_child(out, i);
		refused += other->form == TAPE_V_SAME || other->form == TAPE_V_LOST ||
		           other->form == TAPE_V_LIST ||
		           (other->form == TAPE_V_LENGTH && is_unavailable(other->number));
	}
	none.sure = refused == 1;
	if (!none.sure && !has_enough(asked))
		return none;
	none.sort = TAPE_KNOWN_NONE;
	none.code = rv;
	return none;
}

bool tape_known_length(const struct tape_known *known, uint64_t *ret_length)
{
	const struct tape_value *value = &known->value;
	if (known->sort != TAPE_KNOWN_VALUE && known->sort != TAPE_KNOWN_LENGTH)
		return false;
	if (value->form == TAPE_V_LIST)
		*ret_length = (uint64_t)value->count * sizeof(CK_ATTRIBUTE);
	else if (value->form == TAPE_V_BYTES)
		*ret_length = value->length;
	else
		*ret_length = value->number;
	return true;
}

static bool same_bytes(const struct tape_value *a, const struct tape_value *b)
{
	return a->form == b->form && a->length == b->length &&
	       (a->length == 0 || memcmp(a->data, b->data, a->length) == 0);
}

/* What is known of an entry inside an attribute of attributes. */
static struct tape_known known_child(const struct tape_value *child)
{
	if (child->form == TAPE_V_LENGTH)
		return known_length(child->number);
	return known_value(child);
}

/* The two have the same entries, as far as both are known; `a` says at least as much as `b`. */
static bool says_as_much(const struct tape_value *a, const struct tape_value *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		struct tape_known first = known_child(tape_value_child(a, i));
		struct tape_known second = known_child(tape_value_child(b, i));
		struct tape_known joined = first;
		if (tape_value_child(a, i)->tag != tape_value_child(b, i)->tag ||
		    !tape_known_join(&joined, &second) || joined.sort != first.sort)
			return false;
	}
	return true;
}

bool tape_known_join(struct tape_known *a, const struct tape_known *b)
{
	uint64_t length;
	uint64_t other;
	if (b->sort == TAPE_KNOWN_NOTHING)
		return true;
	if (a->sort == TAPE_KNOWN_NOTHING) {
		*a = *b;
		return true;
	}
	if (a->sort == TAPE_KNOWN_NONE || b->sort == TAPE_KNOWN_NONE) {
		if (a->sort != b->sort || (a->sure && b->sure && a->code != b->code))
			return false;
		if (!a->sure)
			*a = *b;
		return true;
	}
	if (!tape_known_length(a, &length) || !tape_known_length(b, &other) || length != other)
		return false;
	if (b->sort == TAPE_KNOWN_LENGTH)
		return true;
	if (a->sort == TAPE_KNOWN_LENGTH) {
		*a = *b;
		return true;
	}
	if (a->value.form != TAPE_V_LIST || b->value.form != TAPE_V_LIST)
		return same_bytes(&a->value, &b->value);
	if (says_as_much(&a->value, &b->value))
		return true;
	/* Where each says something that the other one does not, neither is the one to keep. */
	if (!says_as_much(&b->value, &a->value))
		return false;
	*a = *b;
	return true;
}

static bool answer_known(const struct tape_known *known, const struct tape_value *live,
                         uint64_t tag, struct tape_arena *arena, struct tape_codes *codes,
                         unsigned int depth, struct tape_value *ret_out);

/* An attribute of attributes whose entries the caller offers rooms for (§5.7.5, the last case). */
static bool answer_list(const struct tape_value *value, const struct tape_value *live, uint64_t tag,
                        struct tape_arena *arena, struct tape_codes *codes, unsigned int depth,
                        struct tape_value *ret_out)
{
	struct tape_value *entries;
	if (depth >= TAPE_MAX_DEPTH)
		return false;
	entries = tape_arena_array(arena, value->count, sizeof(*entries));
	if (entries == NULL)
		return false;
	for (size_t i = 0; i < value->count; i++) {
		const struct tape_value *child = tape_value_child(value, i);
		struct tape_known known = known_child(child);
		if (!answer_known(&known, tape_value_child(live, i), child->tag, arena, codes,
		                  depth + 1, &entries[i]))
			return false;
	}
	*ret_out = (struct tape_value){
		.form = TAPE_V_LIST, .tag = tag, .count = value->count, .data = entries
	};
	return true;
}

static bool answer_known(const struct tape_known *known, const struct tape_value *live,
                         uint64_t tag, struct tape_arena *arena, struct tape_codes *codes,
                         unsigned int depth, struct tape_value *ret_out)
{
	static const unsigned char none[1];
	uint64_t length;
	uint64_t room = live->number; /* in bytes; of a list: as the caller stated it */
	if (live->form != TAPE_V_QUERY && live->form != TAPE_V_ROOM && live->form != TAPE_V_LIST)
		return false;
	if (known->sort == TAPE_KNOWN_NONE) {
		codes->sensitive |= known->sure && known->code == CKR_ATTRIBUTE_SENSITIVE;
		codes->invalid |= known->sure && known->code == CKR_ATTRIBUTE_TYPE_INVALID;
		codes->unsure |= !known->sure;
		*ret_out = length_value(tag, CK_UNAVAILABLE_INFORMATION);
		return true;
	}
	if (!tape_known_length(known, &length))
		return false;
	if (live->form == TAPE_V_QUERY) {
		*ret_out = length_value(tag, length);
		return true;
	}
	if (room < length) {
		codes->small = true;
		*ret_out = length_value(tag, CK_UNAVAILABLE_INFORMATION);
		return true;
	}
	if (length == 0) {
		*ret_out = (struct tape_value){ .form = TAPE_V_BYTES, .tag = tag, .data = none };
		return true;
	}
	if (known->sort == TAPE_KNOWN_LENGTH ||
	    (known->value.form == TAPE_V_LIST) != (live->form == TAPE_V_LIST))
		return false;
	if (live->form == TAPE_V_LIST)
		return answer_list(&known->value, live, tag, arena, codes, depth, ret_out);
	*ret_out = known->value;
	ret_out->tag = tag;
	return true;
}

bool tape_known_answer(const struct tape_known *known, const struct tape_value *live,
                       struct tape_arena *arena, struct tape_codes *codes,
                       struct tape_value *ret_out)
{
	return answer_known(known, live, live->tag, arena, codes, 1, ret_out);
}

static int how_many(const struct tape_codes *codes)
{
	return codes->sensitive + codes->invalid + codes->small;
}

bool tape_codes_known(const struct tape_codes *codes)
{
	return !codes->unsure;
}

CK_RV tape_codes_rv(const struct tape_codes *codes, unsigned int *ret_leeway)
{
	if (how_many(codes) > 1)
		*ret_leeway |= TAPE_LEEWAY_CODE;
	return codes->sensitive ? CKR_ATTRIBUTE_SENSITIVE
	       : codes->invalid ? CKR_ATTRIBUTE_TYPE_INVALID
	       : codes->small   ? CKR_BUFFER_TOO_SMALL
	                        : CKR_OK;
}
