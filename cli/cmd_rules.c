/* SPDX-License-Identifier: MIT
 *
 * p11tape rules: two recordings of the same program, and what of its inputs differs from run to run.
 *
 * What the program only passes on from its module (random data, a new key's parts) needs no rule: in a
 * replay the module says what it said. What else differs it drew itself, or made of what differs.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/align.h"
#include "cli/cli.h"
#include "cli/rules.h"
#include "core/compare.h"
#include "core/set.h"
#include "core/varies.h"

static const char usage[] =
	"usage: p11tape rules TRACE1 TRACE2\n"
	"\n"
	"Compares two recordings of the same program, made from the same state of the\n"
	"token, and prints the rules that a replay of TRACE1 needs: for what the program\n"
	"draws by itself and no trace can know. They are for replay --rules, and for\n"
	"TRACE1's header, where --write puts them.\n"
	"\n"
	"  length       an input is as long as the recorded one\n"
	"  any          it is whatever it is\n"
	"  {as: id-1}   it is drawn once and comes again, from the program or from the\n"
	"               module: the replay says what the program drew\n"
	"\n"
	"      --write   add the rules to the header of TRACE1, and of the traces of its\n"
	"                other processes\n"
	"      --help    print this\n"
	"\n"
	"p11tape record --twice makes both recordings.\n"
	"\n"
	"Exit status: 0 where no rule is needed; 1 where there are some, or where calls\n"
	"have no counterpart, which no rule mends; 2 for unusable input.\n";

/* Differences that are looked at, each beside each. */
#define MAX_DIFFERENCES 8192

/* Where two recordings differ in an input. */
struct difference {
	struct tape_place place;
	struct tape_value first, second;
	size_t line;    /* of the first recording's call */
	size_t said_at; /* line of a call before it that was answered differently; 0 for none */
	bool echoed;    /* the pair of values stands elsewhere too */
};

struct proposal {
	struct tape_place place;
	enum tape_rule rule;
	char name[TAPE_RULE_NAME];
	size_t said_at;
	enum tape_function_id said_by;
};

struct rules {
	const char *first, *second; /* the recordings that are being compared */
	struct tape_alignment alignment;
	struct tape_bindings bindings;
	struct tape_rules known; /* that the trace has already */
	struct tape_swaps swaps; /* what the module said differently */
	const struct tape_aligned *call;
	struct difference *differences;
	size_t count, room;
	const struct tape_aligned *said; /* the first call that was answered differently */
	bool said_now;
	bool looking; /* for values of `differences` in outputs */
	struct proposal *proposals;
	size_t proposal_count, proposal_room;
	size_t numbers;  /* names that were given */
	uint64_t single; /* calls without a counterpart */
	bool many, failed;
};

/* ---- looking --------------------------------------------------------------------------------- */

static bool is_bytes(const struct tape_value *value)
{
	return value->form == TAPE_V_BYTES && value->length != 0;
}

static bool same_bytes(const struct tape_value *a, const struct tape_value *b)
{
	return a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

/* Whether the second value is what the first one becomes when the program passes on what it was told. */
static bool is_passed_on(struct rules *rules, const struct tape_value *first,
                         const struct tape_value *second)
{
	const void *live;
	size_t length;
	return is_bytes(first) && is_bytes(second) &&
	       tape_swaps_find(&rules->swaps, &rules->alignment.sides[0].arena, first->data,
	                       first->length, &live, &length) &&
	       length == second->length && memcmp(live, second->data, length) == 0;
}

static void take_input(void *context, const struct tape_place *place,
                       const struct tape_value *first, const struct tape_value *second)
{
	struct rules *rules = context;
	if (is_passed_on(rules, first, second))
		return;
	if (rules->count == MAX_DIFFERENCES) {
		if (!rules->many)
			tape_cli_warn("%s:%zu: only the first %d differences are looked at",
			              rules->first, rules->call->line, MAX_DIFFERENCES);
		rules->many = true;
		return;
	}
	void *list = tape_cli_grow(rules->differences, rules->count, &rules->room,
	                           sizeof(*rules->differences));
	rules->failed |= list == NULL;
	if (list == NULL)
		return;
	rules->differences = list;
	rules->differences[rules->count++] = (struct difference){
		.place = *place,
		.first = *first,
		.second = *second,
		.line = rules->call->line,
		.said_at = rules->said == NULL ? 0 : rules->said->line,
	};
}

static bool is_pair(const struct difference *difference, const struct tape_value *first,
                    const struct tape_value *second)
{
	return is_bytes(first) && is_bytes(second) && is_bytes(&difference->first) &&
	       is_bytes(&difference->second) && same_bytes(&difference->first, first) &&
	       same_bytes(&difference->second, second);
}

/* The pair of values that an earlier input had. */
static bool was_drawn(const struct rules *rules, const struct tape_value *first,
                      const struct tape_value *second)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct difference *d = &rules->differences[i];
		if (is_pair(d, first, second))
			return true;
	}
	return false;
}

static void take_output(void *context, const struct tape_place *place,
                        const struct tape_value *first, const struct tape_value *second)
{
	struct rules *rules = context;
	/* What is of the moment, such as the time, no program makes its inputs of. */
	if (tape_varies_place(place))
		return;
	if (was_drawn(rules, first, second))
		return;
	rules->said_now = true;
	if (is_bytes(first) && second->form == TAPE_V_BYTES)
		rules->failed |= !tape_swaps_add(&rules->swaps, first->data, first->length,
		                                 second->data, second->length);
}

static int take_single(struct rules *rules, const struct tape_aligned *call, const char *path,
                       const char *other)
{
	if (rules->single++ < 10)
		tape_cli_warn("%s:%zu: %s has no counterpart in %s", path, call->line,
		              call->function->name.text, other);
	return 0;
}

static int take_call(void *context, const struct tape_aligned *first,
                     const struct tape_aligned *second, const struct tape_value *in,
                     const struct tape_value *out)
{
	struct rules *rules = context;
	if (second == NULL)
		return take_single(rules, first, rules->first, rules->second);
	if (first == NULL)
		return take_single(rules, second, rules->second, rules->first);
	struct tape_compare inputs = { .bindings = &rules->bindings,
		                       .rules = &rules->known,
		                       .bind = true,
		                       .each = take_input,
		                       .context = rules };
	struct tape_compare outputs = inputs;
	outputs.each = take_output;
	rules->call = first;
	(void)tape_compare_in(&inputs, first->function, first->in, in);
	rules->said_now = first->returned && second->returned && first->rv != second->rv;
	if (first->out != NULL && out != NULL)
		(void)tape_compare_results(&outputs, first->function, first->out, out);
	if (rules->said_now && rules->said == NULL)
		rules->said = first;
	return rules->failed ? -TAPE_E_MEMORY : 0;
}

/* ---- deciding -------------------------------------------------------------------------------- */

/* Whether each value of one recording stands for one value of the other, and is as long. */
static bool is_one_to_one(const struct difference *list, size_t count, bool *ret_as_long)
{
	bool one_to_one = true;
	*ret_as_long = true;
	for (size_t i = 0; i < count; i++) {
		const struct difference *a = &list[i];
		if (!is_bytes(&a->first) || !is_bytes(&a->second)) {
			*ret_as_long = false;
			return false;
		}
		*ret_as_long &= a->first.length == a->second.length;
		for (size_t j = 0; j < i; j++)
			one_to_one &= same_bytes(&a->first, &list[j].first) ==
			              same_bytes(&a->second, &list[j].second);
	}
	return one_to_one && *ret_as_long;
}

static bool shares_value(const struct difference *a, size_t a_count, const struct difference *b,
                         size_t b_count)
{
	for (size_t i = 0; i < a_count; i++)
		for (size_t j = 0; j < b_count; j++)
			if (is_pair(&a[i], &b[j].first, &b[j].second))
				return true;
	return false;
}

static struct proposal *find_proposal(const struct rules *rules, const struct tape_place *place)
{
	for (size_t i = 0; i < rules->proposal_count; i++)
		if (tape_place_equal(&rules->proposals[i].place, place))
			return &rules->proposals[i];
	return NULL;
}

/* Propose, or loosen what was proposed for another process. */
static void propose(struct rules *rules, const struct tape_place *place, enum tape_rule rule,
                    const char *name, size_t said_at)
{
	struct proposal *proposal = find_proposal(rules, place);
	if (proposal == NULL) {
		void *list = tape_cli_grow(rules->proposals, rules->proposal_count,
		                           &rules->proposal_room, sizeof(*rules->proposals));
		rules->failed |= list == NULL;
		if (list == NULL)
			return;
		rules->proposals = list;
		proposal = &rules->proposals[rules->proposal_count++];
		*proposal = (struct proposal){ .place = *place,
			                       .rule = TAPE_RULE_EXACT,
			                       .said_at = said_at };
		if (said_at != 0 && rules->said != NULL)
			proposal->said_by =
				(enum tape_function_id)(rules->said->function - tape_functions);
	}
	if (said_at == 0)
		proposal->said_at = 0;
	if (proposal->rule == TAPE_RULE_ANY ||
	    (proposal->rule == TAPE_RULE_LENGTH && rule != TAPE_RULE_ANY))
		return;
	proposal->rule = rule;
	snprintf(proposal->name, sizeof(proposal->name), "%s", name == NULL ? "" : name);
}

/* id-1 for CKA_ID, data-2 for pData. */
static void make_name(struct rules *rules, const struct tape_place *place,
                      char name[TAPE_RULE_NAME])
{
	struct tape_buf buf;
	char room[1024];
	tape_buf_init(&buf, room, sizeof(room), sizeof(room));
	tape_place_put(&buf, place);
	tape_put_char(&buf, '\0');
	const char *text = strrchr(room, '.') + 1;
	if (strncmp(text, "CKA_", 4) == 0)
		text += 4;
	else if (text[0] == 'p' && isupper((unsigned char)text[1]))
		text++;
	size_t length = 0;
	for (; length < TAPE_RULE_NAME - 8 && text[length] != '\0'; length++)
		name[length] =
			(char)(text[length] == '_' ? '-' : tolower((unsigned char)text[length]));
	for (bool taken = true; taken;) {
		snprintf(name + length, TAPE_RULE_NAME - length, "-%zu", ++rules->numbers);
		taken = false;
		for (size_t i = 0; i < rules->known.count; i++)
			taken |= strcmp(rules->known.rows[i].name, name) == 0;
	}
	tape_buf_done(&buf);
}

static int by_number(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static int by_step(const struct tape_step *a, const struct tape_step *b)
{
	if (a->field == NULL || b->field == NULL)
		return a->field != b->field ? by_number(a->field == NULL, b->field == NULL)
		                            : by_number(a->type, b->type);
	return strcmp(a->field, b->field);
}

static int by_place(const void *a, const void *b)
{
	const struct difference *left = a;
	const struct difference *right = b;
	int order = by_number(left->place.function, right->place.function);
	if (order == 0)
		order = by_number(left->place.argument, right->place.argument);
	if (order == 0)
		order = by_number(left->place.depth, right->place.depth);
	for (size_t i = 0; order == 0 && i < left->place.depth && i < TAPE_MAX_STEPS; i++)
		order = by_step(&left->place.steps[i], &right->place.steps[i]);
	return order != 0 ? order : by_number(left->line, right->line);
}

/* Differences of one place. */
struct group {
	size_t begin, count, line;
	bool one_to_one, as_long, named;
	char name[TAPE_RULE_NAME];
};

static int by_line(const void *a, const void *b)
{
	const struct group *left = a;
	const struct group *right = b;
	return by_number(left->line, right->line);
}

/* A value that comes again: at another place, or at this one. */
static bool comes_again(const struct rules *rules, const struct group *groups, size_t count,
                        size_t index)
{
	const struct difference *list = &rules->differences[groups[index].begin];
	for (size_t i = 0; i < groups[index].count; i++)
		for (size_t j = 0; j < i; j++)
			if (same_bytes(&list[i].first, &list[j].first))
				return true;
	for (size_t i = 0; i < count; i++)
		if (i != index && groups[i].one_to_one &&
		    shares_value(list, groups[index].count, &rules->differences[groups[i].begin],
		                 groups[i].count))
			return true;
	for (size_t i = 0; i < groups[index].count; i++)
		if (list[i].echoed)
			return true;
	return false;
}

static void name_groups(struct rules *rules, struct group *groups, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!groups[i].one_to_one || !comes_again(rules, groups, count, i))
			continue;
		groups[i].named = true;
		for (size_t j = 0; j < i && groups[i].name[0] == '\0'; j++)
			if (groups[j].named &&
			    shares_value(&rules->differences[groups[i].begin], groups[i].count,
			                 &rules->differences[groups[j].begin], groups[j].count))
				memcpy(groups[i].name, groups[j].name, TAPE_RULE_NAME);
		if (groups[i].name[0] == '\0')
			make_name(rules, &rules->differences[groups[i].begin].place,
			          groups[i].name);
	}
}

/* ---- echoes ---------------------------------------------------------------------------------- */

struct echo {
	struct rules *rules;
	const struct group *groups; /* NULL: only mark what is echoed */
	size_t count;
};

static void take_echo(void *context, const struct tape_place *place, const struct tape_value *first,
                      const struct tape_value *second)
{
	const struct echo *echo = context;
	struct difference output = { .first = *first, .second = *second };
	for (size_t i = 0; i < echo->rules->count && echo->groups == NULL; i++)
		echo->rules->differences[i].echoed |=
			shares_value(&echo->rules->differences[i], 1, &output, 1);
	for (size_t i = 0; i < echo->count && echo->groups != NULL; i++)
		if (echo->groups[i].named &&
		    shares_value(&echo->rules->differences[echo->groups[i].begin],
		                 echo->groups[i].count, &output, 1)) {
			propose(echo->rules, place, TAPE_RULE_AS, echo->groups[i].name, 0);
			return;
		}
}

static int look_for_echo(void *context, const struct tape_aligned *first,
                         const struct tape_aligned *second, const struct tape_value *in,
                         const struct tape_value *out)
{
	struct tape_compare outputs = { .each = take_echo, .context = context };
	(void)in;
	if (first != NULL && second != NULL && first->out != NULL && out != NULL)
		(void)tape_compare_results(&outputs, first->function, first->out, out);
	return 0;
}

static void decide(struct rules *rules)
{
	struct echo echo = { .rules = rules };
	size_t count = 0;
	if (rules->count == 0)
		return;
	struct group *groups = calloc(rules->count, sizeof(*groups));
	rules->failed |= groups == NULL;
	if (groups == NULL)
		return;
	/* Handles are bound as they were before; without memory there is no echo. */
	rules->failed |= tape_align_walk(&rules->alignment, look_for_echo, &echo) < 0;
	qsort(rules->differences, rules->count, sizeof(*rules->differences), by_place);
	for (size_t i = 0; i < rules->count; i++) {
		const struct difference *d = &rules->differences[i];
		if (i == 0 || !tape_place_equal(&d->place, &d[-1].place))
			groups[count++] = (struct group){ .begin = i, .line = d->line };
		groups[count - 1].count++;
	}
	for (size_t i = 0; i < count; i++)
		groups[i].one_to_one = is_one_to_one(&rules->differences[groups[i].begin],
		                                     groups[i].count, &groups[i].as_long);
	qsort(groups, count, sizeof(*groups), by_line);
	name_groups(rules, groups, count);
	for (size_t i = 0; i < count; i++) {
		const struct difference *d = &rules->differences[groups[i].begin];
		enum tape_rule rule = groups[i].named     ? TAPE_RULE_AS
		                      : groups[i].as_long ? TAPE_RULE_LENGTH
		                                          : TAPE_RULE_ANY;
		propose(rules, &d->place, rule, groups[i].name, d->said_at);
	}
	echo.groups = groups;
	echo.count = count;
	rules->failed |= tape_align_walk(&rules->alignment, look_for_echo, &echo) < 0;
	free(groups);
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int compare_traces(struct rules *rules, const char *first, const char *second)
{
	struct tape_error error = { 0 };
	const char *path = first;
	rules->first = first;
	rules->second = second;
	int result = tape_align(&rules->alignment, first, second, &path, &error);
	if (result >= 0) {
		path = first;
		result = tape_rules_read(&rules->known,
		                         tape_reader_header(rules->alignment.sides[0].reader)->node,
		                         &error);
	}
	if (result >= 0) {
		if (tape_align_walk(&rules->alignment, take_call, rules) >= 0)
			decide(rules);
		else
			rules->failed = true;
	}
	tape_align_done(&rules->alignment);
	tape_bindings_done(&rules->bindings);
	tape_swaps_clear(&rules->swaps);
	free(rules->differences);
	rules->differences = NULL;
	rules->count = rules->room = 0;
	rules->said = NULL;
	if (result < 0)
		return tape_cli_fail_at(path, &error);
	return rules->failed ? tape_cli_fail("out of memory") : TAPE_EXIT_GOOD;
}

static int compare_sets(struct rules *rules, const char *first, const char *second,
                        const struct tape_set *a, const struct tape_set *b)
{
	char paths[2][PATH_MAX];
	size_t count = a->count < b->count ? a->count : b->count;
	if (a->count != b->count) {
		tape_cli_warn("%s has %zu traces, %s %zu: processes cannot be compared one by one",
		              first, a->count, second, b->count);
		rules->single++;
	}
	for (size_t i = 0; i < count; i++) {
		if (!tape_set_path(paths[0], first, a->members[i].name) ||
		    !tape_set_path(paths[1], second, b->members[i].name))
			return tape_cli_fail("%s: the path is too long", first);
		int status = compare_traces(rules, paths[0], paths[1]);
		if (status != TAPE_EXIT_GOOD)
			return status;
	}
	return TAPE_EXIT_GOOD;
}

/* ---- saying ---------------------------------------------------------------------------------- */

static void put_word(struct tape_buf *buf, const struct proposal *proposal)
{
	if (proposal->rule == TAPE_RULE_AS) {
		TAPE_PUT(buf, "{as: ");
		tape_put_text(buf, proposal->name);
		tape_put_char(buf, '}');
	} else {
		tape_put_text(buf, proposal->rule == TAPE_RULE_ANY ? "any" : "length");
	}
}

static int print_rules(const struct rules *rules)
{
	struct tape_buf buf;
	tape_buf_init(&buf, NULL, 0, (size_t)1 << 24);
	TAPE_PUT(&buf, "- rules:\n");
	for (size_t i = 0; i < rules->proposal_count; i++) {
		const struct proposal *proposal = &rules->proposals[i];
		TAPE_PUT(&buf, "    ");
		tape_place_put(&buf, &proposal->place);
		TAPE_PUT(&buf, ": ");
		put_word(&buf, proposal);
		if (proposal->said_at != 0) {
			TAPE_PUT(&buf, " # unless it follows from what ");
			tape_put_text(&buf, tape_functions[proposal->said_by].name.text);
			TAPE_PUT(&buf, " (line ");
			tape_put_decimal(&buf, proposal->said_at);
			TAPE_PUT(&buf, ") said differently");
		}
		tape_put_char(&buf, '\n');
	}
	fwrite(buf.data, 1, buf.length, stdout);
	tape_buf_done(&buf);
	return tape_cli_finish(TAPE_EXIT_FOUND);
}

static struct tape_node *new_scalar(struct tape_arena *arena, const char *text)
{
	struct tape_node *node = tape_node_new(arena, TAPE_NODE_SCALAR, 0);
	if (node == NULL)
		return NULL;
	node->quoted = true;
	node->text = text;
	node->length = strlen(text);
	return node;
}

static bool add_rule(struct tape_arena *arena, struct tape_node *map,
                     const struct proposal *proposal)
{
	struct tape_buf buf;
	char room[1024];
	tape_buf_init(&buf, room, sizeof(room), sizeof(room));
	tape_place_put(&buf, &proposal->place);
	const char *key = tape_arena_copy(arena, buf.data, buf.length);
	size_t length = buf.length;
	struct tape_node *word;
	tape_buf_done(&buf);
	if (proposal->rule == TAPE_RULE_AS) {
		struct tape_node *name = new_scalar(arena, proposal->name);
		word = tape_node_new(arena, TAPE_NODE_MAPPING, 0);
		if (name == NULL || word == NULL)
			return false;
		tape_node_append(word, name, "as", 2);
	} else {
		word = new_scalar(arena, proposal->rule == TAPE_RULE_ANY ? "any" : "length");
	}
	if (key == NULL || word == NULL)
		return false;
	tape_node_append(map, word, key, length);
	return true;
}

/* The header as it is, with its rules and the proposed ones. */
static struct tape_node *make_header(const struct rules *rules, struct tape_arena *arena,
                                     const struct tape_node *from)
{
	struct tape_node *header = tape_node_new(arena, TAPE_NODE_MAPPING, from->line);
	struct tape_node *map = tape_node_new(arena, TAPE_NODE_MAPPING, from->line);
	const struct tape_node *before = tape_node_get(from, "rules");
	bool good = header != NULL && map != NULL;
	for (const struct tape_node *child = from->first; good && child != NULL;
	     child = child->next)
		good = child == before ||
		       tape_node_share(arena, header, child, child->key, child->key_length);
	for (const struct tape_node *rule = before == NULL ? NULL : before->first;
	     good && rule != NULL; rule = rule->next)
		good = tape_node_share(arena, map, rule, rule->key, rule->key_length);
	for (size_t i = 0; good && i < rules->proposal_count; i++)
		good = add_rule(arena, map, &rules->proposals[i]);
	if (!good)
		return NULL;
	tape_node_append(header, map, "rules", 5);
	return header;
}

/* Copy a trace to `to`, with another header. What is no part of the header stays as it is, byte for byte. */
static bool copy_trace(FILE *from, FILE *to, const struct tape_node *header, size_t next_line)
{
	struct tape_buf buf;
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	size_t number = 0;
	tape_buf_init(&buf, NULL, 0, (size_t)1 << 25);
	while ((length = getline(&line, &room, from)) > 0) {
		number++;
		if (number == header->line) {
			if (strncmp(line, "- {", 3) == 0)
				tape_node_put_line(&buf, header);
			else
				tape_node_put_block(&buf, header);
			fwrite(buf.data, 1, buf.length, to);
		}
		if (number < header->line || number >= next_line || line[0] == '#')
			fwrite(line, 1, (size_t)length, to);
	}
	bool good = !buf.failed && !ferror(from) && !ferror(to);
	free(line);
	tape_buf_done(&buf);
	return good;
}

/* The new file takes the place of the old one only when it is whole. */
static int replace_trace(const char *path, const struct tape_node *header, size_t next_line)
{
	char temporary[PATH_MAX + 8];
	struct stat status;
	FILE *from = fopen(path, "re");
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	int fd = from == NULL ? -1 : mkostemp(temporary, O_CLOEXEC);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
	bool good = to != NULL && fstat(fileno(from), &status) == 0 &&
	            fchmod(fd, status.st_mode & 0777) == 0 &&
	            copy_trace(from, to, header, next_line);
	good = (to == NULL || fclose(to) == 0) && good && rename(temporary, path) == 0;
	int reason = errno;
	if (!good && fd >= 0)
		unlink(temporary);
	if (from != NULL)
		fclose(from);
	return good ? TAPE_EXIT_GOOD
	            : tape_cli_fail("%s cannot be written: %s", path, strerror(reason));
}

static int write_rules(const struct rules *rules, const char *path)
{
	char real[PATH_MAX];
	struct tape_error error = { 0 };
	struct tape_reader *reader;
	struct tape_arena arena;
	struct tape_item item = { .line = SIZE_MAX };
	/* A file is replaced where it lies, not the link to it. */
	if (realpath(path, real) == NULL)
		return tape_cli_fail("%s: %s", path, strerror(errno));
	if (tape_reader_open(&reader, real, &error) < 0)
		return tape_cli_fail_at(path, &error);
	tape_arena_init(&arena, NULL, 0, TAPE_MAX_ITEM);
	int status = TAPE_EXIT_GOOD;
	if (tape_reader_next(reader, &arena, &item, &error) < 0)
		status = tape_cli_fail_at(path, &error);
	struct tape_node *header = make_header(rules, &arena, tape_reader_header(reader)->node);
	if (status == TAPE_EXIT_GOOD)
		status = header == NULL ? tape_cli_fail("out of memory")
		                        : replace_trace(real, header, item.line);
	tape_arena_done(&arena);
	tape_reader_close(reader);
	return status;
}

static int say(const struct rules *rules, const char *first, const struct tape_set *set, bool write)
{
	char path[PATH_MAX];
	if (rules->single != 0)
		tape_cli_warn("%" PRIu64
		              " calls or processes have no counterpart: no rule mends that",
		              rules->single);
	if (rules->proposal_count == 0)
		return rules->single != 0 ? TAPE_EXIT_FOUND : TAPE_EXIT_GOOD;
	if (!write)
		return print_rules(rules);
	for (size_t i = 0; i < set->count; i++) {
		if (!tape_set_path(path, first, set->members[i].name))
			return tape_cli_fail("%s: the path is too long", first);
		int status = write_rules(rules, path);
		if (status != TAPE_EXIT_GOOD)
			return status;
	}
	tape_cli_warn("%zu rule%s written to the header of %s", rules->proposal_count,
	              rules->proposal_count == 1 ? "" : "s", first);
	return TAPE_EXIT_FOUND;
}

/* ---- the command ----------------------------------------------------------------------------- */

int tape_cli_rules(const char *first, const char *second, bool write)
{
	static struct rules rules; /* large */
	struct tape_set sets[2] = { 0 };
	struct tape_error error = { 0 };
	const char *const paths[] = { first, second };
	int status = TAPE_EXIT_GOOD;
	memset(&rules, 0, sizeof(rules));
	for (size_t i = 0; i < 2 && status == TAPE_EXIT_GOOD; i++)
		if (tape_set_read(&sets[i], paths[i], &error) < 0)
			status = tape_cli_fail_at(sets[i].path, &error);
	if (status == TAPE_EXIT_GOOD)
		status = compare_sets(&rules, first, second, &sets[0], &sets[1]);
	if (status == TAPE_EXIT_GOOD)
		status = say(&rules, first, &sets[0], write);
	free(rules.proposals);
	tape_set_free(&sets[0]);
	tape_set_free(&sets[1]);
	return status;
}

int tape_cmd_rules(int argc, char **argv)
{
	static const struct option options[] = {
		{ "write", no_argument, NULL, 'w' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool write = false;
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h')
			return tape_cli_usage(usage);
		if (option != 'w')
			return tape_cli_misused("rules");
		write = true;
	}
	if (optind + 2 != argc)
		return tape_cli_fail("rules: name two traces");
	if (strcmp(argv[optind], "-") == 0 || strcmp(argv[optind + 1], "-") == 0)
		return tape_cli_fail("rules: the traces are files, since they are read twice");
	return tape_cli_rules(argv[optind], argv[optind + 1], write);
}
