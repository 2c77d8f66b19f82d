/* SPDX-License-Identifier: MIT */
#include "core/rules.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/print.h"
#include "core/yaml_read.h"

#define EXPECTED "exact, length, any or as:NAME is expected"

static const char parameter[] = "parameter";

/* ---- places ---------------------------------------------------------------------------------- */

void tape_place_field(struct tape_place *place, const char *field)
{
	if (place->depth < TAPE_MAX_STEPS)
		place->steps[place->depth] = (struct tape_step){ .field = field };
	place->depth++;
}

void tape_place_attribute(struct tape_place *place, uint64_t type)
{
	if (place->depth < TAPE_MAX_STEPS)
		place->steps[place->depth] = (struct tape_step){ .type = type };
	place->depth++;
}

static bool same_step(const struct tape_step *a, const struct tape_step *b)
{
	if (a->field == NULL || b->field == NULL)
		return a->field == b->field && a->type == b->type;
	return strcmp(a->field, b->field) == 0;
}

bool tape_place_equal(const struct tape_place *a, const struct tape_place *b)
{
	if (a->function != b->function || a->argument != b->argument || a->depth != b->depth ||
	    a->depth > TAPE_MAX_STEPS)
		return false;
	for (size_t i = 0; i < a->depth; i++)
		if (!same_step(&a->steps[i], &b->steps[i]))
			return false;
	return true;
}

void tape_place_put(struct tape_buf *buf, const struct tape_place *place)
{
	const struct tape_function *function = &tape_functions[place->function];
	tape_put_text(buf, function->name.text);
	tape_put_char(buf, '.');
	tape_put_text(buf, function->arguments[place->argument].key.text);
	for (size_t i = 0; i < place->depth && i < TAPE_MAX_STEPS; i++) {
		const struct tape_step *step = &place->steps[i];
		const struct tape_name *name =
			step->field == NULL ? tape_attribute_name(step->type) : NULL;
		tape_put_char(buf, '.');
		if (step->field != NULL)
			tape_put_text(buf, step->field);
		else if (name != NULL)
			tape_put_text(buf, name->text);
		else
			tape_put_hexadecimal(buf, step->type);
	}
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_word(const char *text, size_t length, const char *word)
{
	return strlen(word) == length && memcmp(text, word, length) == 0;
}

/* The name of a field as the tables have it; NULL where no structure has such a field. */
static const char *find_field(const char *text, size_t length)
{
	if (is_word(text, length, parameter))
		return parameter;
	for (size_t i = 0; i < tape_field_count; i++)
		if (is_word(text, length, tape_fields[i].name.text))
			return tape_fields[i].name.text;
	return NULL;
}

static bool read_type(const char *text, size_t length, uint64_t *ret_type)
{
	char number[19];
	struct tape_node node = { .type = TAPE_NODE_SCALAR, .text = number, .length = length };
	if (length < sizeof(number) && length > 2 && memcmp(text, "0x", 2) == 0) {
		memcpy(number, text, length);
		number[length] = 0;
		return tape_node_number(&node, ret_type);
	}
	bool ambiguous;
	return tape_attribute_value(text, length, ret_type, &ambiguous);
}

/* Whether such a step leads into an argument; what is further inside depends on the call. */
static bool leads_into(const struct tape_argument *argument, const struct tape_step *step)
{
	switch ((enum tape_codec)tape_shapes[argument->kind].codec) {
	case TAPE_C_TEMPLATE:
		return step->field == NULL;
	case TAPE_C_MECHANISM:
		return step->field == parameter;
	case TAPE_C_PARAMETER:
	case TAPE_C_STRUCT:
		return step->field != NULL && step->field != parameter;
	default:
		return false;
	}
}

static const char *read_steps(struct tape_place *place, const char *text, size_t length)
{
	const struct tape_argument *argument =
		&tape_functions[place->function].arguments[place->argument];
	while (length != 0) {
		const char *dot = memchr(text + 1, '.', length - 1);
		size_t step = dot == NULL ? length - 1 : (size_t)(dot - text - 1);
		const char *field = find_field(text + 1, step);
		uint64_t type;
		if (place->depth == TAPE_MAX_STEPS)
			return "it goes too deep";
		if (field != NULL)
			tape_place_field(place, field);
		else if (read_type(text + 1, step, &type))
			tape_place_attribute(place, type);
		else
			return "an attribute, a structure's field or 'parameter' is expected "
			       "behind the argument";
		if (place->depth == 1 && !leads_into(argument, &place->steps[0]))
			return "the argument has no such part";
		text += step + 1;
		length -= step + 1;
	}
	return NULL;
}

static const char *read_place(struct tape_place *place, const char *text, size_t length)
{
	const char *dot = memchr(text, '.', length);
	size_t name = dot == NULL ? length : (size_t)(dot - text);
	enum tape_function_id id = tape_function_find(text, name);
	if (id == TAPE_FN_COUNT)
		return "no such function";
	const struct tape_function *function = &tape_functions[id];
	size_t rest = dot == NULL ? 0 : length - name - 1;
	const char *end = dot == NULL ? NULL : memchr(dot + 1, '.', rest);
	size_t key = end == NULL ? rest : (size_t)(end - dot - 1);
	place->function = (uint16_t)id;
	while (place->argument < function->count &&
	       (dot == NULL ||
	        !is_word(dot + 1, key, function->arguments[place->argument].key.text)))
		place->argument++;
	if (place->argument == function->count)
		return "the function has no such argument";
	return read_steps(place, dot + 1 + key, rest - key);
}

static const char *read_word(struct tape_rule_row *row, const char *text, size_t length)
{
	static const char *const words[] = {
		[TAPE_RULE_EXACT] = "exact",
		[TAPE_RULE_LENGTH] = "length",
		[TAPE_RULE_ANY] = "any",
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(words); i++)
		if (is_word(text, length, words[i])) {
			row->rule = (uint8_t)i;
			return NULL;
		}
	if (length < 3 || memcmp(text, "as:", 3) != 0)
		return EXPECTED;
	text += 3;
	length -= 3;
	if (length == 0 || length >= sizeof(row->name))
		return "a name has 1 to 23 characters";
	for (size_t i = 0; i < length; i++)
		if (!((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z') ||
		      (text[i] >= '0' && text[i] <= '9') || text[i] == '-' || text[i] == '_'))
			return "a name consists of letters, digits, - and _";
	row->rule = TAPE_RULE_AS;
	memcpy(row->name, text, length);
	return NULL;
}

static int refuse(struct tape_error *error, size_t line, const char *place, size_t length,
                  const char *why)
{
	return tape_error_set(error, TAPE_E_INVALID, line, "rule '%.*s': %s",
	                      (int)(length < 100 ? length : 100), place, why);
}

/* How an argument is compared as a whole, now that the rows have changed. */
static uint8_t sum_up(const struct tape_rules *rules, const struct tape_place *place)
{
	uint8_t whole = TAPE_RULE_EXACT;
	for (size_t i = 0; i < rules->count; i++) {
		const struct tape_rule_row *row = &rules->rows[i];
		if (row->place.function != place->function ||
		    row->place.argument != place->argument || row->rule == TAPE_RULE_EXACT)
			continue;
		if (row->place.depth == 0 && row->rule != TAPE_RULE_AS)
			return row->rule;
		whole = TAPE_RULE_PARTS;
	}
	return whole;
}

static int add(struct tape_rules *rules, const char *text, size_t length, const char *word,
               size_t word_length, size_t line, bool replace, struct tape_error *error)
{
	struct tape_rule_row new_row = { .rule = TAPE_RULE_EXACT };
	const char *why = read_place(&new_row.place, text, length);
	if (why == NULL)
		why = read_word(&new_row, word, word_length);
	if (why != NULL)
		return refuse(error, line, text, length, why);
	size_t i = 0;
	while (i < rules->count && !tape_place_equal(&rules->rows[i].place, &new_row.place))
		i++;
	if (i < rules->count && !replace)
		return 0;
	if (i == TAPE_MAX_RULES)
		return tape_error_set(error, TAPE_E_LIMIT, line, "there are more than %d rules",
		                      TAPE_MAX_RULES);
	rules->count += i == rules->count;
	rules->rows[i] = new_row;
	const struct tape_place *place = &rules->rows[i].place;
	rules->any[place->function] = true;
	rules->whole[place->function][place->argument] = sum_up(rules, place);
	return 0;
}

int tape_rules_add(struct tape_rules *rules, const char *text, size_t length,
                   struct tape_error *error)
{
	const char *equals = memchr(text, '=', length);
	size_t place = equals == NULL ? length : (size_t)(equals - text);
	size_t word = equals == NULL ? 0 : length - place - 1;
	return add(rules, text, place, text + length - word, word, 0, true, error);
}

/* {"as": "id-1"} is as:id-1. */
static int read_as(struct tape_rules *rules, const struct tape_node *rule, struct tape_error *error)
{
	const struct tape_node *name = rule->first;
	char word[3 + TAPE_RULE_NAME + 1] = "as:";
	if (rule->type != TAPE_NODE_MAPPING || rule->count != 1 || strcmp(name->key, "as") != 0 ||
	    !tape_node_is_text(name) || name->length > TAPE_RULE_NAME)
		return refuse(error, rule->line, rule->key, rule->key_length,
		              "exact, length, any or {as: NAME} is expected");
	memcpy(word + 3, name->text, name->length);
	return add(rules, rule->key, rule->key_length, word, 3 + name->length, rule->line, false,
	           error);
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
			"'rules' is a mapping of Function.argument to exact, length, any or {as: "
			"NAME}");
	for (const struct tape_node *rule = node->first; rule != NULL; rule = rule->next) {
		int result = rule->type != TAPE_NODE_SCALAR
		                     ? read_as(rules, rule, error)
		                     : add(rules, rule->key, rule->key_length, rule->text,
		                           rule->length, rule->line, false, error);
		if (result < 0)
			return result;
	}
	return 0;
}

static int read_item(struct tape_rules *rules, int fd, struct tape_arena *arena,
                     struct tape_error *error)
{
	struct tape_yaml *yaml;
	struct tape_node *item = NULL;
	int result = tape_yaml_open(&yaml, fd, 0, UINT64_MAX, 1, error);
	if (result < 0)
		return result;
	result = tape_yaml_next(yaml, arena, &item, error);
	if (result >= 0 && (item == NULL || tape_node_get(item, "rules") == NULL))
		result = tape_error_set(error, TAPE_E_INVALID, item == NULL ? 1 : item->line,
		                        "there are no rules: the first item is '- rules:', with a "
		                        "mapping of Function.argument to exact, length, any or "
		                        "{as: NAME}");
	if (result >= 0)
		result = tape_rules_read(rules, item, error);
	tape_yaml_close(yaml);
	return result;
}

int tape_rules_read_file(struct tape_rules *rules, const char *path, struct tape_error *error)
{
	struct tape_error inner = { 0 };
	struct tape_arena arena;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "%.200s: %s", path, strerror(errno));
	tape_arena_init(&arena, NULL, 0, (size_t)1 << 24);
	int result = read_item(rules, fd, &arena, &inner);
	tape_arena_done(&arena);
	close(fd);
	if (result < 0)
		tape_error_set(error, inner.code, 0, "%.120s:%zu: %.250s", path, inner.line,
		               inner.sentence);
	return result;
}

const struct tape_rule_row *tape_rules_find(const struct tape_rules *rules,
                                            const struct tape_place *place)
{
	for (size_t i = 0; i < rules->count; i++)
		if (tape_place_equal(&rules->rows[i].place, place))
			return &rules->rows[i];
	return NULL;
}
