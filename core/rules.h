/* SPDX-License-Identifier: MIT
 *
 * What a trace's user lets a program vary: per function and argument, how an input is compared. For what
 * a program draws at random by itself (a padded ciphertext, a nonce) and no row can know.
 */
#ifndef TAPE_RULES_H
#define TAPE_RULES_H

#include "core/api/api.h"
#include "core/error.h"
#include "core/tree.h"

enum tape_rule {
	TAPE_RULE_EXACT,  /* equal, as everything is without a rule */
	TAPE_RULE_LENGTH, /* as long as the recorded one */
	TAPE_RULE_ANY,    /* whatever it is */
};

struct tape_rules {
	bool any[TAPE_FN_COUNT]; /* the function has a rule */
	uint8_t rule[TAPE_FN_COUNT][TAPE_MAX_ARGUMENTS];
};

/* Take one rule: C_SeedRandom.pSeed=any. Returns 0 or -TAPE_E_INVALID with a sentence. */
TAPE_MUST_CHECK int tape_rules_add(struct tape_rules *rules, const char *text, size_t length,
                                   struct tape_error *error);

/* Take the rules that a trace's header holds: {"C_SeedRandom.pSeed": "any"}. NULL has none. */
TAPE_MUST_CHECK int tape_rules_read(struct tape_rules *rules, const struct tape_node *header,
                                    struct tape_error *error);

#endif
