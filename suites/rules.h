/* SPDX-License-Identifier: MIT
 *
 * The rules of core/api/rules.def as a table.
 */
#ifndef TAPE_SUITES_RULES_H
#define TAPE_SUITES_RULES_H

#include <stddef.h>

enum rule_strength { RULE_MUST, RULE_SHOULD, RULE_MAY, RULE_UNDEF, RULE_FACT };

struct rule {
	unsigned short number;  /* R-039 is 39; 0 for a heading, which is the sentence then */
	unsigned char strength; /* enum rule_strength */
	char test; /* T: can be tried on a module; A: the application's duty; N: cannot be decided */
	const char *sentence, *sections;
};

/* Rules and headings, in the order of the document. */
extern const struct rule rules[];
extern const size_t rule_count;

/* Find a rule by its number; NULL where there is none. */
const struct rule *rule_find(unsigned int number);

/* "MUST". */
const char *rule_strength_name(const struct rule *rule);

#endif
