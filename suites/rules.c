/* SPDX-License-Identifier: MIT */
#include "suites/rules.h"

#include "core/attributes.h"

const struct rule rules[] = {
#define CHAPTER(heading) { 0, 0, 0, heading, "" },
#define CK_RULE(number, strength, test, sentence, sections) \
	{ number, RULE_##strength, #test[0], sentence, sections },
#include "core/api/rules.def"
#undef CHAPTER
#undef CK_RULE
};

const size_t rule_count = TAPE_ARRAY_SIZE(rules);

const struct rule *rule_find(unsigned int number)
{
	for (size_t i = 0; i < rule_count; i++)
		if (rules[i].number == number && number != 0)
			return &rules[i];
	return NULL;
}

const char *rule_strength_name(const struct rule *rule)
{
	static const char *const names[] = { "MUST", "SHOULD", "MAY", "UNDEF", "FACT" };
	return names[rule->strength];
}
