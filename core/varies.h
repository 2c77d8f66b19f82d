/* SPDX-License-Identifier: MIT
 *
 * What a call does to a token, and what of its answer may be another one the next time (the rows are in
 * core/api/effects.def and core/api/varies.def): for those who issue recorded calls again.
 */
#ifndef TAPE_VARIES_H
#define TAPE_VARIES_H

#include "core/api/api.h"
#include "core/rules.h"
#include "core/value.h"

/* The operations of a session, as far as their outputs depend on what came before. */
enum tape_operation {
	TAPE_OP_NONE = 0,
	TAPE_OP_ENCRYPT = 1 << 0,
	TAPE_OP_DECRYPT = 1 << 1,
	TAPE_OP_DIGEST = 1 << 2,
	TAPE_OP_SIGN = 1 << 3,
	TAPE_OP_RECOVER = 1 << 4,
	TAPE_OP_VERIFY = 1 << 5,
	TAPE_OP_WRAP = 1 << 6,
	TAPE_OP_ALL = (1 << 7) - 1,
};

enum tape_effect {
	TAPE_EFFECT_BEGINS = 1 << 0,
	TAPE_EFFECT_MAKES = 1 << 1,
	TAPE_EFFECT_OPENS = 1 << 2,
	TAPE_EFFECT_OWN = 1 << 3,
	TAPE_EFFECT_CREATES = 1 << 4,
	TAPE_EFFECT_GENERATES = 1 << 5,
	TAPE_EFFECT_DESTROYS = 1 << 6,
	TAPE_EFFECT_EDITS = 1 << 7,
	TAPE_EFFECT_TOKEN = 1 << 8,
	TAPE_EFFECT_FORGETS = 1 << 9,
};

struct tape_effects {
	uint16_t operations; /* enum tape_operation bits */
	uint16_t effects;    /* enum tape_effect bits */
};

/* By function; all zero for those without effects. */
extern const struct tape_effects tape_effects[TAPE_FN_COUNT];

/* Say whether a structure's field, an attribute, or what operations make with a mechanism may differ. */
bool tape_varies_field(enum tape_record_id record, const struct tape_field *field);
bool tape_varies_clock(enum tape_record_id record, const struct tape_field *field);
bool tape_varies_attribute(uint64_t type);
/* The same of a place: of one of these attributes, or a field of a structure that an argument is. */
bool tape_varies_place(const struct tape_place *place);
bool tape_varies_mechanism(uint64_t mechanism, unsigned int operations);

/*
 * Say what a call does to a token that stays: "makes objects of the token"; NULL where it does nothing of the kind.
 * `own` says that all objects which it names are session objects of the program's own.
 */
const char *tape_harm(const struct tape_function *function, const struct tape_value *in, bool own);

/* The value of a boolean attribute in any of the call's templates; `otherwise` where none has it. */
bool tape_template_says(const struct tape_function *function, const struct tape_value *in,
                        uint64_t type, bool otherwise);

/* Say whether a call presents a PIN or a password. */
bool tape_presents(const struct tape_function *function, const struct tape_value *in);

#endif
