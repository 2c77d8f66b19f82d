/* SPDX-License-Identifier: MIT
 *
 * What a trace's user lets a program vary: how an input, or a part of one, is compared. For what a program
 * draws at random by itself (a padded ciphertext, a nonce, a new key's CKA_ID) and no row can know.
 */
#ifndef TAPE_RULES_H
#define TAPE_RULES_H

#include "core/api/api.h"
#include "core/buf.h"
#include "core/error.h"
#include "core/tree.h"

enum tape_rule {
	TAPE_RULE_EXACT,  /* equal, as everything is without a rule */
	TAPE_RULE_LENGTH, /* as long as the recorded one */
	TAPE_RULE_ANY,    /* whatever it is */
	TAPE_RULE_AS, /* as long; and one live value stands for one recorded one, wherever the name does */
	TAPE_RULE_PARTS, /* of an argument in tape_rules.whole: there is more to know in `rules` */
};

#define TAPE_MAX_RULES 256
#define TAPE_MAX_STEPS 6 /* from an argument to a part of it */
#define TAPE_RULE_NAME 24

/* One step into a value, as the trace spells it. */
struct tape_step {
	const char
		*field; /* of a structure, or "parameter" of a mechanism; constant; NULL: `type` */
	uint64_t type;  /* of an attribute */
};

/* Where a value stands: C_GenerateKeyPair.pPublicKeyTemplate.CKA_ID, C_EncryptInit.pMechanism.parameter.pIv. */
struct tape_place {
	uint16_t function; /* enum tape_function_id */
	uint8_t argument;
	uint8_t depth; /* steps; where there are more, only so many are here */
	struct tape_step steps[TAPE_MAX_STEPS];
};

/* All zero are no rules; to be copied as a whole. */
struct tape_rules {
	bool any[TAPE_FN_COUNT]; /* the function has a rule */
	/* What of an argument as a whole is compared: EXACT where neither it nor a part of it has a rule. */
	uint8_t whole[TAPE_FN_COUNT][TAPE_MAX_ARGUMENTS];
	size_t count;
	struct tape_rule_row {
		struct tape_place place;
		uint8_t rule; /* enum tape_rule, but for PARTS */
		char name[TAPE_RULE_NAME];
	} rows[TAPE_MAX_RULES];
};

/*
 * Take one rule: C_SeedRandom.pSeed=any, C_CreateObject.pTemplate.CKA_ID=as:id-1. It takes the place of an
 * earlier one for the same place. Returns 0 or an error code with a sentence.
 */
TAPE_MUST_CHECK int tape_rules_add(struct tape_rules *rules, const char *text, size_t length,
                                   struct tape_error *error);

/*
 * Take the rules that a trace's header holds, or none: {"C_SeedRandom.pSeed": "any",
 * "C_CreateObject.pTemplate.CKA_ID": {"as": "id-1"}}. What was said before about a place stays.
 */
TAPE_MUST_CHECK int tape_rules_read(struct tape_rules *rules, const struct tape_node *header,
                                    struct tape_error *error);

/*
 * The same from a file: a trace, or one whose first item has `rules` as a header has them. The sentence of
 * an error names the file, and `error->line` is 0.
 */
TAPE_MUST_CHECK int tape_rules_read_file(struct tape_rules *rules, const char *path,
                                         struct tape_error *error);

/* Find the rule of exactly this place; NULL where there is none. */
const struct tape_rule_row *tape_rules_find(const struct tape_rules *rules,
                                            const struct tape_place *place);

/* Append a place, a step: these take it back by `depth--`. Further steps than fit are counted, not kept. */
void tape_place_field(struct tape_place *place, const char *field);
void tape_place_attribute(struct tape_place *place, uint64_t type);

bool tape_place_equal(const struct tape_place *a, const struct tape_place *b);

/* Append a place as rules spell it. */
void tape_place_put(struct tape_buf *buf, const struct tape_place *place);

#endif
