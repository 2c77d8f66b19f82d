/* SPDX-License-Identifier: MIT */
#include "core/varies.h"

#include <string.h>

#define NONE TAPE_OP_NONE
#define ENCRYPT TAPE_OP_ENCRYPT
#define DECRYPT TAPE_OP_DECRYPT
#define DIGEST TAPE_OP_DIGEST
#define SIGN TAPE_OP_SIGN
#define RECOVER TAPE_OP_RECOVER
#define VERIFY TAPE_OP_VERIFY
#define WRAP TAPE_OP_WRAP
#define ALL TAPE_OP_ALL
#define BEGINS TAPE_EFFECT_BEGINS
#define MAKES TAPE_EFFECT_MAKES
#define OPENS TAPE_EFFECT_OPENS
#define OWN TAPE_EFFECT_OWN
#define CREATES TAPE_EFFECT_CREATES
#define GENERATES TAPE_EFFECT_GENERATES
#define DESTROYS TAPE_EFFECT_DESTROYS
#define EDITS TAPE_EFFECT_EDITS
#define TOKEN TAPE_EFFECT_TOKEN
#define FORGETS TAPE_EFFECT_FORGETS

const struct tape_effects tape_effects[TAPE_FN_COUNT] = {
#define EFFECT(function, of_operations, of_effects) \
	[TAPE_FN_##function] = { .operations = of_operations, .effects = of_effects },
#include "core/api/effects.def"
#undef EFFECT
};

bool tape_varies_field(enum tape_record_id record, const struct tape_field *field)
{
	static const struct {
		enum tape_record_id record;
		size_t offset;
	} rows[] = {
#define VARIES_FIELD(structure, member) { TAPE_R_##structure, offsetof(structure, member) },
#include "core/api/varies.def"
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		if (rows[i].record == record && rows[i].offset == field->offset)
			return true;
	return false;
}

bool tape_varies_clock(enum tape_record_id record, const struct tape_field *field)
{
	static const struct {
		enum tape_record_id record;
		size_t offset;
	} rows[] = {
#define VARIES_FIELD(structure, member)
#define VARIES_CLOCK(structure, member) { TAPE_R_##structure, offsetof(structure, member) },
#include "core/api/varies.def"
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		if (rows[i].record == record && rows[i].offset == field->offset)
			return true;
	return false;
}

bool tape_varies_attribute(uint64_t type)
{
	static const uint64_t rows[] = {
#define VARIES_ATTRIBUTE(name) name,
#include "core/api/varies.def"
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		if (rows[i] == type)
			return true;
	return false;
}

static bool varies_member(enum tape_record_id record, const char *name)
{
	static const struct {
		enum tape_record_id record;
		const char *name;
	} rows[] = {
#define VARIES_FIELD(structure, member) { TAPE_R_##structure, #member },
#include "core/api/varies.def"
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		if (rows[i].record == record && strcmp(rows[i].name, name) == 0)
			return true;
	return false;
}

bool tape_varies_place(const struct tape_place *place)
{
	const struct tape_argument *argument =
		&tape_functions[place->function].arguments[place->argument];
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	for (size_t i = 0; i < place->depth && i < TAPE_MAX_STEPS; i++) {
		const struct tape_step *step = &place->steps[i];
		if (step->field == NULL ? tape_varies_attribute(step->type)
		                        : i == 0 && shape->codec == TAPE_C_STRUCT &&
		                                  varies_member((enum tape_record_id)shape->detail,
		                                                step->field))
			return true;
	}
	return false;
}

bool tape_varies_mechanism(uint64_t mechanism, unsigned int operations)
{
	static const struct {
		uint64_t mechanism;
		unsigned int operations;
	} rows[] = {
#define VARIES_MECHANISM(name, of_operations) { name, of_operations },
#include "core/api/varies.def"
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++)
		if (rows[i].mechanism == mechanism && (rows[i].operations & operations) != 0)
			return true;
	return false;
}

bool tape_presents(const struct tape_function *function, const struct tape_value *in)
{
	for (size_t i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_SECRET &&
		    (in[i].form == TAPE_V_SECRET || (in[i].form == TAPE_V_BYTES && in[i].length)))
			return true;
	return false;
}

bool tape_template_says(const struct tape_function *function, const struct tape_value *in,
                        uint64_t type, bool otherwise)
{
	bool found = false;
	bool any = false;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_value *list = &in[i];
		if (tape_shapes[function->arguments[i].kind].codec != TAPE_C_TEMPLATE ||
		    list->form != TAPE_V_LIST)
			continue;
		for (size_t j = 0; j < list->count; j++) {
			const struct tape_value *entry = tape_value_child(list, j);
			if (entry->tag != type || entry->form != TAPE_V_BYTES || entry->length == 0)
				continue;
			found = true;
			any |= *(const unsigned char *)entry->data != 0;
		}
	}
	return found ? any : otherwise;
}

const char *tape_harm(const struct tape_function *function, const struct tape_value *in, bool own)
{
	unsigned int effects = tape_effects[function - tape_functions].effects;
	bool copies = false; /* what a template of an object does not say is as in that object */
	for (size_t i = 0; i < function->count; i++)
		copies |= (tape_shapes[function->arguments[i].kind].traits & TAPE_T_OF) != 0;
	if ((effects & TAPE_EFFECT_TOKEN) != 0)
		return "changes the token";
	if ((effects & (TAPE_EFFECT_CREATES | TAPE_EFFECT_GENERATES)) != 0 &&
	    tape_template_says(function, in, CKA_TOKEN, copies && !own))
		return "makes objects of the token";
	if ((effects & TAPE_EFFECT_EDITS) != 0 && !own)
		return "changes objects of the token";
	if ((effects & TAPE_EFFECT_DESTROYS) != 0 && !own)
		return "destroys objects of the token";
	return NULL;
}
