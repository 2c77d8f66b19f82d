/* SPDX-License-Identifier: MIT
 *
 * A program that does one thing otherwise than the recorded one: every single-call mutation of a trace's
 * calls (left out, made twice, swapped with the next one, one argument changed) and of its answers (one byte
 * changed). Strict mode notices each, unless docs/trace-format.md says that it is not compared; lenient mode
 * those that the table in docs/replay.md says, which is tried here by rows:
 *
 *   made twice    a READ, a call that failed, a question for a length: not noticed (rows 3, 9, 18);
 *                 a CHANGE, a DRAW, what ends or begins: noticed (rows 11, 13, 14, 17)
 *   left out      noticed where a later call reads what it changed (row 4)
 *   swapped       noticed where one reads what the other one changed (rows 2, 5, 12)
 *   an argument   noticed (row 8)
 *   a byte        noticed: by who gets it
 *
 * In model mode other rooms and a randomised operation's length may follow from what is known (rows 27 to 38).
 *
 * To be noticed is that there is a divergence, or that a call is answered otherwise than recorded. Where
 * the rows leave it open (chance equals another recorded call, a poll, …) the mutation is counted as open.
 *
 *   mutations MODE TRACE…
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/compare.h"
#include "core/scope.h"
#include "core/varies.h"
#include "tests/modes/play.h"

enum verdict { OPEN, UNNOTICED, NOTICED };

static const char *const verdicts[] = { "open", "not noticed", "noticed" };

enum mutation { TWICE, LEFT_OUT, SWAPPED, ARGUMENT, BYTE, MUTATIONS };

static const char *const mutations[MUTATIONS] = { "made twice", "left out", "swapped",
	                                          "argument changed", "byte changed" };

static struct play_trace trace;
static struct play_answers *answers;
static const char *mode;
static char directory[] = "/tmp/p11tape-mutations-XXXXXX";
static char report[64], mutated_path[64];
static size_t counts[MUTATIONS][3], wrong;

/* ---- what calls read and change -------------------------------------------------------------- */

/* A piece of the module's state: a scope of docs/replay.md, and whose it is. */
struct piece {
	enum tape_scope scope;
	uint64_t whose; /* session or object; 0 for all */
};

/* A session that has to be there, apart from slots' numbers. */
#define A_SESSION (UINT64_C(1) << 63)

#define MAX_PIECES 64

struct pieces {
	struct piece list[MAX_PIECES];
	size_t count;
};

static void add_piece(struct pieces *pieces, enum tape_scope scope, uint64_t whose)
{
	if (pieces->count == MAX_PIECES)
		play_fail("a call touches too much");
	pieces->list[pieces->count++] = (struct piece){ scope, whose };
}

static const struct tape_scope_row *row_of(const struct play_call *call)
{
	return &tape_scope_rows[call->function - tape_functions];
}

static const struct tape_effects *effects_of(const struct play_call *call)
{
	return &tape_effects[call->function - tape_functions];
}

static uint64_t session_of(const struct play_call *call)
{
	return call->function->lane < 0 ? 0 : call->in[call->function->lane].number;
}

/* The slot that a call is about, by its number or by its session; one that is not known is nobody's. */
static uint64_t slot_of(const struct play_call *call)
{
	for (size_t i = 0; i < call->function->count; i++)
		if (call->function->arguments[i].kind == TAPE_K_SLOT)
			return call->in[i].number;
	for (const struct play_call *c = call; c-- > trace.calls;)
		for (size_t i = 0; c->out != NULL && i < c->function->count; i++)
			if (c->function->arguments[i].kind == TAPE_K_OUT_SESSION &&
			    c->out[i].form == TAPE_V_NUMBER && c->out[i].number == session_of(call))
				return slot_of(c);
	return UINT64_MAX;
}

static bool is_good(const struct play_call *call)
{
	return call->returned && tape_scope_answers(call->rv);
}

/* The call that began the operation that a call carries on; NULL for none. */
static const struct play_call *begin_of(const struct play_call *call)
{
	for (const struct play_call *c = call; c-- > trace.calls;)
		if (c->function->lane >= 0 && session_of(c) == session_of(call) &&
		    (row_of(c)->operations & row_of(call)->operations) != 0 &&
		    (effects_of(c)->effects & TAPE_EFFECT_BEGINS) != 0)
			return c;
	return NULL;
}

/* Whether the call itself is the first one to give out a handle. */
static bool is_first(const struct play_call *call, enum tape_kind kind, uint64_t handle)
{
	for (const struct play_call *c = trace.calls; c < call; c++)
		for (size_t i = 0; c->out != NULL && i < c->function->count; i++) {
			if (c->function->arguments[i].kind != kind)
				continue;
			for (size_t j = 0; c->out[i].form == TAPE_V_LIST && j < c->out[i].count;
			     j++)
				if (tape_value_child(&c->out[i], j)->number == handle)
					return false;
		}
	return true;
}

/* Objects in the inputs or the outputs of a call. */
static void add_objects(struct pieces *pieces, const struct play_call *call, bool outputs)
{
	for (size_t i = 0; i < call->function->count; i++) {
		enum tape_kind kind = (enum tape_kind)call->function->arguments[i].kind;
		const struct tape_value *out = call->out == NULL ? NULL : &call->out[i];
		if (!outputs && kind == TAPE_K_OBJECT)
			add_piece(pieces, TAPE_SCOPE_OBJECT, call->in[i].number);
		if (!outputs || out == NULL)
			continue;
		if (kind == TAPE_K_OUT_OBJECT && out->form == TAPE_V_NUMBER)
			add_piece(pieces, TAPE_SCOPE_OBJECT, out->number);
		if (kind == TAPE_K_OUT_SESSION && out->form == TAPE_V_NUMBER)
			add_piece(pieces, TAPE_SCOPE_SESSIONS, A_SESSION | out->number);
		for (size_t j = 0; kind == TAPE_K_OUT_OBJECTS && out->form == TAPE_V_LIST &&
		                   j < out->count && pieces->count < MAX_PIECES - 8;
		     j++)
			if (is_first(call, kind, tape_value_child(out, j)->number))
				add_piece(pieces, TAPE_SCOPE_OBJECT,
				          tape_value_child(out, j)->number);
	}
}

/* A question: the operation stays as it was. */
static bool only_asks(const struct play_call *call)
{
	if (call->rv == CKR_BUFFER_TOO_SMALL)
		return true;
	for (size_t i = 0; i < call->function->count; i++)
		if (tape_shapes[call->function->arguments[i].kind].codec == TAPE_C_BYTES_AT &&
		    call->in[i].form == TAPE_V_QUERY)
			return true;
	return false;
}

/* What a call that succeeded was able to rely on. */
static struct pieces reads(const struct play_call *call)
{
	const struct tape_scope_row *row = row_of(call);
	struct pieces pieces = { 0 };
	add_piece(&pieces, TAPE_SCOPE_LIFE, 0);
	for (size_t scope = 0; scope < TAPE_SCOPES; scope++) {
		if ((row->reads & TAPE_SCOPE_BIT(scope)) == 0)
			continue;
		if (scope == TAPE_SCOPE_OP || scope == TAPE_SCOPE_ALL_OPS)
			add_piece(&pieces, TAPE_SCOPE_ALL_OPS, session_of(call));
		else if (scope != TAPE_SCOPE_OBJECT)
			add_piece(&pieces, (enum tape_scope)scope, slot_of(call));
	}
	add_objects(&pieces, call, false);
	const struct play_call *begin = row->operations == 0 ? NULL : begin_of(call);
	if (begin != NULL)
		add_objects(&pieces, begin, false);
	if (call->function->lane >= 0)
		add_piece(&pieces, TAPE_SCOPE_SESSIONS, A_SESSION | session_of(call));
	return pieces;
}

static bool makes_object(const struct play_call *call)
{
	return (effects_of(call)->effects & (TAPE_EFFECT_CREATES | TAPE_EFFECT_GENERATES)) != 0;
}

static bool changes_object(const struct play_call *call)
{
	return (effects_of(call)->effects & (TAPE_EFFECT_DESTROYS | TAPE_EFFECT_EDITS)) != 0;
}

static bool logs_in_or_out(const struct play_call *call)
{
	size_t id = (size_t)(call->function - tape_functions);
	return id == TAPE_FN_C_Login || id == TAPE_FN_C_LoginUser || id == TAPE_FN_C_Logout;
}

/* A search that found nothing more goes on finding nothing. */
static bool found_nothing(const struct play_call *call)
{
	for (size_t i = 0; call->out != NULL && i < call->function->count; i++)
		if (call->function->arguments[i].kind == TAPE_K_OUT_OBJECTS)
			return call->out[i].form == TAPE_V_LIST && call->out[i].count == 0;
	return false;
}

/* All sessions of a slot. */
static void add_sessions(struct pieces *pieces, const struct play_call *call)
{
	for (const struct play_call *c = trace.calls; c < call; c++)
		for (size_t i = 0; c->out != NULL && i < c->function->count; i++)
			if (c->function->arguments[i].kind == TAPE_K_OUT_SESSION &&
			    c->out[i].form == TAPE_V_NUMBER && slot_of(c) == slot_of(call))
				add_piece(pieces, TAPE_SCOPE_SESSIONS,
				          A_SESSION | c->out[i].number);
}

/* What a call changed. Of one that failed, nothing, but for PINs. */
static struct pieces changes(const struct play_call *call)
{
	const struct tape_scope_row *row = row_of(call);
	size_t id = (size_t)(call->function - tape_functions);
	struct pieces pieces = { 0 };
	if (!is_good(call)) {
		if (logs_in_or_out(call) && id != TAPE_FN_C_Logout)
			add_piece(&pieces, TAPE_SCOPE_PINS, slot_of(call));
		return pieces;
	}
	if (id == TAPE_FN_C_Initialize || id == TAPE_FN_C_Finalize)
		add_piece(&pieces, TAPE_SCOPE_LIFE, 0);
	if (logs_in_or_out(call))
		add_piece(&pieces, TAPE_SCOPE_LOGIN, slot_of(call));
	if (id == TAPE_FN_C_OpenSession || id == TAPE_FN_C_CloseSession ||
	    id == TAPE_FN_C_CloseAllSessions)
		add_piece(&pieces, TAPE_SCOPE_SESSIONS, slot_of(call));
	if (id == TAPE_FN_C_CloseSession)
		add_piece(&pieces, TAPE_SCOPE_SESSIONS, A_SESSION | session_of(call));
	if (makes_object(call) || changes_object(call))
		add_piece(&pieces, TAPE_SCOPE_OBJECTS, slot_of(call));
	if (changes_object(call))
		add_objects(&pieces, call, false);
	add_objects(&pieces, call, true);
	if (id == TAPE_FN_C_CloseAllSessions)
		add_sessions(&pieces, call);
	if (row->operations != 0 && !only_asks(call) && !found_nothing(call))
		add_piece(&pieces, TAPE_SCOPE_ALL_OPS, session_of(call));
	return pieces;
}

static bool meet(const struct pieces *a, const struct pieces *b)
{
	for (size_t i = 0; i < a->count; i++)
		for (size_t j = 0; j < b->count; j++)
			if (a->list[i].scope == b->list[j].scope &&
			    a->list[i].whose == b->list[j].whose)
				return true;
	return false;
}

/* ---- what is to be expected ------------------------------------------------------------------ */

static bool is_class(const struct play_call *call, enum tape_scope_class class)
{
	return row_of(call)->class == class;
}

static bool is_random(const struct play_call *call)
{
	const struct play_call *begin = row_of(call)->operations == 0 ? call : begin_of(call);
	if (is_class(call, TAPE_CLASS_DRAW))
		return true;
	for (size_t i = 0; begin != NULL && i < begin->function->count; i++)
		if (begin->in[i].form == TAPE_V_MECHANISM)
			return tape_varies_mechanism(begin->in[i].tag,
			                             effects_of(call)->operations);
	return false;
}

static bool is_same_call(const struct play_call *a, const struct play_call *b)
{
	struct tape_compare compare = { 0 };
	return a->function == b->function &&
	       tape_compare_in(&compare, a->function, a->in, b->in) < 0;
}

/* Whether the trace has an equal call elsewhere: what is answered then depends on more than the rows here. */
static bool has_equal(const struct play_call *call)
{
	for (size_t i = 0; i < trace.count; i++)
		if (&trace.calls[i] != call && is_same_call(&trace.calls[i], call))
			return true;
	return false;
}

/* An equal call that was answered otherwise: a poll, or another state. */
static bool has_other_answer(const struct play_call *call)
{
	for (size_t i = 0; i < trace.count; i++)
		if (is_same_call(&trace.calls[i], call) &&
		    (trace.calls[i].rv != call->rv || strcmp(trace.calls[i].said, call->said) != 0))
			return true;
	return false;
}

static bool is_of_device(CK_RV rv)
{
	return tape_scope_outside(rv) != TAPE_OUTSIDE_NOTHING;
}

static bool is_model(void)
{
	return strcmp(mode, "model") == 0;
}

static enum verdict expect_twice(size_t index)
{
	const struct play_call *call = &trace.calls[index];
	struct pieces changed = changes(call);
	if (!call->returned || is_of_device(call->rv))
		return OPEN;
	if (logs_in_or_out(call) && !is_good(call))
		return NOTICED;
	if (is_class(call, TAPE_CLASS_READ))
		return has_other_answer(call) ? OPEN : UNNOTICED;
	if (!is_good(call) && call->rv != CKR_BUFFER_TOO_SMALL)
		return has_equal(call) ? OPEN : UNNOTICED;
	if (is_class(call, TAPE_CLASS_CHANGE) || is_class(call, TAPE_CLASS_DRAW))
		return NOTICED;
	if (is_random(call) && !(is_model() && only_asks(call)))
		return NOTICED;
	if (only_asks(call))
		return has_other_answer(call) ? OPEN : UNNOTICED;
	if (found_nothing(call))
		return UNNOTICED;
	struct pieces read = reads(call);
	if (!meet(&changed, &read))
		return UNNOTICED;
	return has_equal(call) ? OPEN : NOTICED;
}

/* What need not have been recorded (row 16). */
static bool ends_something(const struct play_call *call)
{
	switch ((size_t)(call->function - tape_functions)) {
	case TAPE_FN_C_Finalize:
	case TAPE_FN_C_CloseSession:
	case TAPE_FN_C_CloseAllSessions:
	case TAPE_FN_C_Logout:
	case TAPE_FN_C_FindObjectsFinal:
		return true;
	default:
		return false;
	}
}

static bool is_search(const struct play_call *call)
{
	return row_of(call)->operations == 1u << TAPE_OPERATION_FIND;
}

static void forget_operations(struct pieces *pieces)
{
	size_t count = 0;
	for (size_t i = 0; i < pieces->count; i++)
		if (pieces->list[i].scope != TAPE_SCOPE_ALL_OPS)
			pieces->list[count++] = pieces->list[i];
	pieces->count = count;
}

static enum verdict expect_left_out(size_t index)
{
	const struct play_call *call = &trace.calls[index];
	struct pieces changed = changes(call);
	if (!call->returned || is_of_device(call->rv))
		return OPEN;
	if (is_class(call, TAPE_CLASS_READ) && has_other_answer(call))
		return OPEN;
	enum verdict verdict = UNNOTICED;
	bool searches = is_search(call);
	for (size_t i = index + 1; i < trace.count; i++) {
		struct pieces read = reads(&trace.calls[i]);
		/* What a search gave it has forgotten when it ends. */
		if (searches && is_search(&trace.calls[i]) && ends_something(&trace.calls[i]) &&
		    session_of(&trace.calls[i]) == session_of(call)) {
			forget_operations(&changed);
			searches = false;
		}
		if (!meet(&changed, &read) || ends_something(&trace.calls[i]))
			continue;
		/* What was done before, or is done again, may come to the same; what was asked before, too. */
		if ((!has_equal(call) || row_of(call)->operations != 0) &&
		    !has_equal(&trace.calls[i]) && is_good(&trace.calls[i]))
			return NOTICED;
		verdict = OPEN;
	}
	return verdict;
}

static enum verdict expect_swapped(size_t index)
{
	const struct play_call *first = &trace.calls[index];
	const struct play_call *second = first + 1;
	struct pieces first_changes = changes(first);
	struct pieces second_changes = changes(second);
	struct pieces first_reads = reads(first);
	struct pieces second_reads = reads(second);
	if (!first->returned || !second->returned || is_of_device(first->rv) ||
	    is_of_device(second->rv))
		return OPEN;
	if (is_same_call(first, second))
		return first->rv == second->rv && strcmp(first->said, second->said) == 0 ? UNNOTICED
		                                                                         : OPEN;
	if (has_other_answer(first) || has_other_answer(second))
		return OPEN;
	bool depend = meet(&first_changes, &second_reads) || meet(&first_reads, &second_changes);
	if (meet(&first_changes, &second_changes) && !depend)
		return OPEN;
	if (!depend)
		return UNNOTICED;
	return has_equal(first) || has_equal(second) || !is_good(first) || !is_good(second)
	               ? OPEN
	               : NOTICED;
}

/* ---- trying ---------------------------------------------------------------------------------- */

/*
 * Play calls and say whether anything was noticed. `same[i]` is the recorded call whose answer the i-th is to
 * get; NULL where it was not recorded.
 */
static bool notices(const char *path, const struct play_call *const *calls,
                    const struct play_call *const *same, size_t count)
{
	if (!play_replay(path, mode, calls, count, report, NULL, answers))
		play_fail("%s: the replay did not end in order", path);
	for (size_t i = 0; i < count; i++) {
		const struct play_answer *answer = &answers->answers[i];
		if (answer->diverged && (same[i] == NULL || same[i]->returned))
			return true;
		if (!answer->diverged && same[i] != NULL && same[i]->returned &&
		    (answer->rv != same[i]->rv ||
		     strcmp(play_said(answers, i), same[i]->said) != 0))
			return true;
	}
	return false;
}

/* Whether strict mode's summary tells of calls that nobody made. */
static bool has_unused(void)
{
	char text[8192];
	FILE *file = fopen(report, "re");
	bool unused = false;
	while (file != NULL && fgets(text, sizeof(text), file) != NULL)
		unused |= strstr(text, "\"unused\": ") != NULL &&
		          strstr(text, "\"unused\": 0") == NULL;
	if (file != NULL)
		fclose(file);
	return unused;
}

static void judge(enum mutation mutation, const struct play_call *call, const char *what,
                  bool noticed, enum verdict expected)
{
	bool strict = strcmp(mode, "strict") == 0;
	if (strict) {
		noticed |= has_unused();
		if (expected != UNNOTICED || mutation != ARGUMENT)
			expected = NOTICED;
	}
	counts[mutation][expected]++;
	if (expected == OPEN || (expected == NOTICED) == noticed)
		return;
	wrong++;
	printf("%s:%zu: %s %s%s: %s in mode %s, but it should be %s\n", trace.path, call->line,
	       call->function->name.text, mutations[mutation], what,
	       noticed ? "noticed" : "not noticed", mode, verdicts[expected]);
}

static void try_order(enum mutation mutation, size_t index)
{
	const struct play_call **calls = play_need(calloc(trace.count + 1, sizeof(*calls)));
	size_t count = 0;
	for (size_t i = 0; i < trace.count; i++) {
		if (mutation == SWAPPED && i == index) {
			calls[count++] = &trace.calls[i + 1];
			calls[count++] = &trace.calls[i++];
			continue;
		}
		if (mutation != LEFT_OUT || i != index)
			calls[count++] = &trace.calls[i];
		if (mutation == TWICE && i == index)
			calls[count++] = &trace.calls[i];
	}
	bool noticed = notices(trace.path, calls, calls, count);
	enum verdict expected = mutation == TWICE      ? expect_twice(index)
	                        : mutation == LEFT_OUT ? expect_left_out(index)
	                                               : expect_swapped(index);
	/* Two equal calls in each other's places are the recorded order. */
	bool nothing =
		mutation == SWAPPED && is_same_call(&trace.calls[index], &trace.calls[index + 1]);
	if (!nothing)
		judge(mutation, &trace.calls[index], "", noticed, expected);
	free(calls);
}

/* ---- arguments ------------------------------------------------------------------------------- */

/* Change a value somewhere. Returns whether there was anything to change. */
static bool change_value(struct tape_value *value, unsigned int depth)
{
	bool inside = value->form == TAPE_V_LIST || value->form == TAPE_V_RECORD ||
	              value->form == TAPE_V_MECHANISM;
	size_t count = value->form == TAPE_V_MECHANISM ? 1 : value->count;
	if (inside && depth < TAPE_MAX_DEPTH) {
		struct tape_value *children =
			play_need(tape_arena_array(&trace.arena, count, sizeof(*children)));
		if (count != 0)
			memcpy(children, value->data, count * sizeof(*children));
		value->data = children;
		for (size_t i = count; i-- > 0;)
			if (children[i].form != TAPE_V_ABSENT &&
			    change_value(&children[i], depth + 1))
				return true;
		return false;
	}
	if (value->form == TAPE_V_NUMBER || value->form == TAPE_V_ROOM) {
		value->number ^= 1;
		return true;
	}
	if ((value->form != TAPE_V_BYTES && value->form != TAPE_V_RAW) || value->length == 0)
		return false;
	unsigned char *bytes = play_need(tape_arena_copy(&trace.arena, value->data, value->length));
	bytes[value->length / 2] ^= 1;
	value->data = bytes;
	return true;
}

/* Other rooms, and another object's attributes, may be answered by what is known (rows 27 to 38). */
static bool may_follow(const struct play_call *call, size_t argument)
{
	enum tape_kind kind = (enum tape_kind)call->function->arguments[argument].kind;
	return (tape_shapes[kind].traits & TAPE_T_OUT) != 0 ||
	       (kind == TAPE_K_OBJECT && is_class(call, TAPE_CLASS_READ));
}

static void try_argument(size_t index, size_t argument)
{
	struct play_call *call = &trace.calls[index];
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct play_call changed = *call;
	char what[64];
	changed.in = in;
	memcpy(in, call->in, call->function->count * sizeof(*in));
	if (!change_value(&in[argument], 0))
		return;
	/* What is not compared, and what another recorded call has. */
	enum verdict expected = is_same_call(call, &changed) ? UNNOTICED : NOTICED;
	if (expected == NOTICED && strcmp(mode, "strict") != 0)
		for (size_t i = 0; i < trace.count; i++)
			if (is_same_call(&trace.calls[i], &changed))
				expected = OPEN;
	if (!call->returned || (is_model() && may_follow(call, argument)))
		expected = OPEN;
	const struct play_call **calls = play_need(calloc(trace.count + 1, sizeof(*calls)));
	const struct play_call **same = play_need(calloc(trace.count + 1, sizeof(*same)));
	for (size_t i = 0; i < trace.count; i++) {
		calls[i] = i == index ? &changed : &trace.calls[i];
		same[i] = &trace.calls[i];
	}
	bool noticed = notices(trace.path, calls, same, trace.count);
	snprintf(what, sizeof(what), " (%s)", call->function->arguments[argument].key.text);
	judge(ARGUMENT, call, what, noticed, expected);
	free(calls);
	free(same);
}

/* ---- outputs --------------------------------------------------------------------------------- */

/* Change a scalar by one digit or letter, or to the other boolean. Returns whether it was. */
static bool change_scalar(struct tape_node *node)
{
	bool boolean;
	if (tape_node_boolean(node, &boolean)) {
		node->text = boolean ? "false" : "true";
		node->length = strlen(node->text);
		return true;
	}
	/* A constant, and a number that is a word, would have to become another one. */
	uint64_t number;
	if (node->length == 0 || tape_node_is_null(node) || memchr(node->text, '_', node->length) ||
	    (!tape_node_number(node, &number) && !node->quoted))
		return false;
	char *text = play_need(tape_arena_copy(&trace.arena, node->text, node->length));
	char *at = text + node->length / 2;
	if ((*at < '1' || *at > '9') && (*at < 'a' || *at > 'z'))
		return false;
	if (*at == '9' || *at == 'z' || *at == 'f')
		--*at;
	else
		++*at;
	node->text = text;
	return true;
}

/* A copy of which the first scalar that can be is another one. */
static struct tape_node *change_node(const struct tape_node *from, bool *done)
{
	struct tape_node *copy =
		play_need(tape_node_new(&trace.arena, (enum tape_node_type)from->type, from->line));
	copy->quoted = from->quoted;
	copy->text = from->text;
	copy->length = from->length;
	if (from->type == TAPE_NODE_SCALAR && !*done)
		*done = change_scalar(copy);
	for (const struct tape_node *child = from->first; child != NULL; child = child->next)
		tape_node_append(copy, change_node(child, done), child->key, child->key_length);
	return copy;
}

/* Change a byte of what was answered: in `out` of the call's item. */
static void try_byte(size_t index, const struct play_call *const *calls)
{
	const struct play_call *call = &trace.calls[index];
	const struct tape_item *item = &trace.items[call->item];
	bool done = false;
	if (!item->whole || item->out == NULL || item->out->type != TAPE_NODE_MAPPING)
		return;
	struct tape_node *changed =
		play_need(tape_node_new(&trace.arena, TAPE_NODE_MAPPING, item->line));
	for (const struct tape_node *child = item->node->first; child != NULL; child = child->next)
		if (strcmp(child->key, "out") == 0)
			tape_node_append(changed, change_node(child, &done), child->key,
			                 child->key_length);
		else if (!tape_node_share(&trace.arena, changed, child, child->key,
		                          child->key_length))
			play_fail("out of memory");
	if (!done)
		return;
	play_write(&trace, mutated_path, call->item, changed);
	judge(BYTE, call, "", notices(mutated_path, calls, calls, trace.count), NOTICED);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static void try_trace(const char *path)
{
	play_read(&trace, path);
	const struct play_call **calls = play_need(calloc(trace.count + 1, sizeof(*calls)));
	answers = play_new_answers(trace.count + 1);
	for (size_t i = 0; i < trace.count; i++)
		calls[i] = &trace.calls[i];
	if (notices(path, calls, calls, trace.count))
		play_fail("%s: mode %s does not serve it as it is", path, mode);
	for (size_t i = 0; i < trace.count; i++) {
		try_order(TWICE, i);
		try_order(LEFT_OUT, i);
		if (i + 1 < trace.count)
			try_order(SWAPPED, i);
		for (size_t j = 0; j < trace.calls[i].function->count; j++)
			try_argument(i, j);
		try_byte(i, calls);
	}
	free(calls);
	free(trace.items);
	free(trace.calls);
	tape_reader_close(trace.reader);
	tape_arena_done(&trace.arena);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		play_fail("usage: %s MODE TRACE…", argv[0]);
	mode = argv[1];
	if (mkdtemp(directory) == NULL)
		play_fail("no temporary directory");
	snprintf(report, sizeof(report), "%s/report", directory);
	snprintf(mutated_path, sizeof(mutated_path), "%s/t.yaml", directory);
	for (int i = 2; i < argc; i++)
		try_trace(argv[i]);
	for (size_t i = 0; i < MUTATIONS; i++)
		printf("mode %s, %s: %zu to be noticed, %zu not, %zu open\n", mode, mutations[i],
		       counts[i][NOTICED], counts[i][UNNOTICED], counts[i][OPEN]);
	printf("%zu wrong\n", wrong);
	unlink(report);
	unlink(mutated_path);
	rmdir(directory);
	return wrong == 0 ? 0 : 1;
}
