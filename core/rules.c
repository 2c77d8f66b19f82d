/* SPDX-License-Identifier: MIT */
#include "core/rules.h"

#include <string.h>

static const char *const words[] = {
	[TAPE_RULE_EXACT] = "exact",
	[TAPE_RULE_LENGTH] = "length",
	[TAPE_RULE_ANY] = "any",
};

static bool is_word(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

static int add(struct tape_rules *rules, const char *place, size_t place_length, const char *word,
               size_t word_length, size_t line, struct tape_error *error)
{
	const char *dot = memchr(place, '.', place_length);
	size_t name = dot == NULL ? place_length : (size_t)(dot - place);
	enum tape_function_id id = tape_function_find(place, name);
	if (id == TAPE_FN_COUNT)
		return tape_error_set(error, TAPE_E_INVALID, line, "rule '%.*s': no such function",
		                      (int)(place_length < 80 ? place_length : 80), place);
	const struct tape_function *function = &tape_functions[id];
	size_t argument = 0;
	while (dot != NULL && argument < function->count &&
	       !is_word(dot + 1, place_length - name - 1, function->arguments[argument].key.text))
		argument++;
	if (dot == NULL || argument == function->count)
		return tape_error_set(
			error, TAPE_E_INVALID, line, "rule '%.*s': %s has no such argument",
			(int)(place_length < 80 ? place_length : 80), place, function->name.text);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(words); i++)
		if (is_word(word, word_length, words[i])) {
			rules->rule[id][argument] = (uint8_t)i;
			rules->any[id] = true;
			return 0;
		}
	return tape_error_set(error, TAPE_E_INVALID, line,
	                      "rule '%.*s': exact, length or any is expected",
	                      (int)(place_length < 80 ? place_length : 80), place);
}

int tape_rules_add(struct tape_rules *rules, const char *text, size_t length,
                   struct tape_error *error)
{
	const char *equals = memchr(text, '=', length);
	size_t place = equals == NULL ? length : (size_t)(equals - text);
	size_t word = equals == NULL ? 0 : length - place - 1;
	return add(rules, text, place, text + length - word, word, 0, error);
}

int tape_rules_read(struct tape_rules *rules, const struct tape_node *header,
                    struct tape_error *error)
{
	const struct tape_node *node = tape_node_get(header, "rules");
	if (node == NULL)
		return 0;
	if (node->type != TAPE_NODE_MAPPING)
		return tape_error_set(
			error, TAPE_E_INVALID, node->line,
			"'rules' is a mapping of Function.argument to exact, length or any");
	for (const struct tape_node *rule = node->first; rule != NULL; rule = rule->next) {
		if (rule->type != TAPE_NODE_SCALAR)
			return tape_error_set(error, TAPE_E_INVALID, rule->line,
			                      "rule '%.80s': exact, length or any is expected",
			                      rule->key);
		int result = add(rules, rule->key, rule->key_length, rule->text, rule->length,
		                 rule->line, error);
		if (result < 0)
			return result;
	}
	return 0;
}
