/* SPDX-License-Identifier: MIT */
#include "cli/align.h"

#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/halves.h"
#include "core/parse.h"

#define NONE SIZE_MAX

/* Memory that the values of one trace may take. */
#define MAX_BYTES ((size_t)1 << (sizeof(size_t) > 4 ? 34 : 30))

/* So many calls that only one of two lanes has are searched for the best alignment. */
#define MAX_EDITS 2048

enum handles { SESSIONS, OBJECTS, SLOTS };

static int no_memory(struct tape_error *error)
{
	return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
}

/* ---- what calls consist of ------------------------------------------------------------------- */

static void mix(uint64_t *hash, uint64_t number)
{
	*hash = (*hash ^ number) * UINT64_C(0x9e3779b97f4a7c15);
	*hash ^= *hash >> 29;
}

static void mix_value(uint64_t *hash, const struct tape_value *value, unsigned int depth)
{
	size_t count = value->form == TAPE_V_MECHANISM ? 1 : value->count;
	bool inside = value->form == TAPE_V_LIST || value->form == TAPE_V_RECORD ||
	              value->form == TAPE_V_MECHANISM;
	/* Redacted or not, empty or NULL, a room or a query: programs that do the same may differ in it. */
	uint8_t form = value->form;
	if (!inside && form != TAPE_V_NUMBER)
		form = TAPE_V_BYTES;
	mix(hash, form);
	mix(hash, value->tag);
	mix(hash, inside ? value->record : 0);
	mix(hash, inside ? count : 0);
	for (size_t i = 0; inside && i < count && depth < TAPE_MAX_DEPTH; i++)
		mix_value(hash, tape_value_child(value, i), depth + 1);
	/* Which class is searched for is what a search is; which name, may vary. */
	const struct tape_attribute *row =
		form == TAPE_V_BYTES && depth == 1 ? tape_attribute_find(value->tag) : NULL;
	if (row != NULL && (row->type == TAPE_A_CONSTANT || row->type == TAPE_A_BOOL) &&
	    value->form == TAPE_V_BYTES)
		for (size_t i = 0; i < value->length; i++)
			mix(hash, ((const unsigned char *)value->data)[i]);
}

static uint64_t shape_of(const struct tape_function *function, const struct tape_value *in)
{
	uint64_t hash = (uint64_t)(function - tape_functions) + 1;
	for (size_t i = 0; i < function->count; i++) {
		uint8_t codec = tape_shapes[function->arguments[i].kind].codec;
		mix_value(&hash, &in[i], 0);
		if (codec == TAPE_C_CONSTANT || codec == TAPE_C_FLAGS || codec == TAPE_C_BOOLEAN)
			mix(&hash, in[i].number);
	}
	return hash;
}

/* ---- reading --------------------------------------------------------------------------------- */

struct reading {
	struct tape_align_side *side;
	const struct tape_node *names;
	bool lanes;
	struct tape_map open;     /* calls by id */
	struct tape_map sessions; /* lanes by handle */
};

static size_t new_lane(struct tape_align_side *side)
{
	void *lanes = tape_cli_grow(side->lanes, side->lane_count, &side->lane_room,
	                            sizeof(*side->lanes));
	if (lanes == NULL)
		return NONE;
	side->lanes = lanes;
	side->lanes[side->lane_count] =
		(struct tape_align_lane){ .first = NONE, .last = NONE, .twin = NONE };
	return side->lane_count++;
}

static struct tape_aligned *new_call(struct tape_align_side *side)
{
	void *calls = tape_cli_grow(side->calls, side->count, &side->room, sizeof(*side->calls));
	if (calls == NULL)
		return NULL;
	side->calls = calls;
	struct tape_aligned *call = &side->calls[side->count++];
	memset(call, 0, sizeof(*call));
	call->next = NONE;
	return call;
}

static bool append(struct tape_align_side *side, size_t lane, size_t index)
{
	if (lane == NONE)
		return false;
	struct tape_align_lane *to = &side->lanes[lane];
	side->calls[index].lane = lane;
	if (to->last == NONE)
		to->first = index;
	else
		side->calls[to->last].next = index;
	to->last = index;
	to->count++;
	return true;
}

/* The lane of a session that nobody was seen to open is one of its own, too. */
static size_t lane_of(struct reading *reading, const struct tape_aligned *call)
{
	uint64_t lane;
	if (!reading->lanes || call->function->lane < 0)
		return 0;
	uint64_t session = call->in[call->function->lane].number;
	if (tape_map_get(&reading->sessions, session, &lane))
		return (size_t)lane;
	lane = new_lane(reading->side);
	return lane != NONE && tape_map_put(&reading->sessions, session, lane) ? (size_t)lane
	                                                                       : NONE;
}

static int take_call(struct reading *reading, const struct tape_item *item,
                     struct tape_error *error)
{
	struct tape_align_side *side = reading->side;
	struct tape_parse parse = { &side->arena, reading->names, error };
	if (item->function == TAPE_FN_COUNT)
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "'%.60s' is not a function of PKCS#11 3.2", item->name);
	const struct tape_function *function = &tape_functions[item->function];
	if (function->finds)
		return 0;
	struct tape_aligned *call = new_call(side);
	if (call == NULL)
		return no_memory(error);
	call->function = function;
	call->id = item->id;
	call->line = item->line;
	call->in = tape_arena_array(&side->arena, function->count, sizeof(*call->in));
	if (call->in == NULL)
		return no_memory(error);
	int result = tape_parse_in(&parse, function, item->in, item->line, call->in);
	if (result < 0)
		return result;
	call->shape = shape_of(function, call->in);
	if (!append(side, lane_of(reading, call), side->count - 1) ||
	    !tape_map_put(&reading->open, item->id, side->count - 1))
		return no_memory(error);
	return 0;
}

static int take_return(struct reading *reading, const struct tape_item *item,
                       struct tape_error *error)
{
	struct tape_align_side *side = reading->side;
	struct tape_parse parse = { &side->arena, reading->names, error };
	uint64_t index;
	if (!tape_map_get(&reading->open, item->id, &index))
		return 0;
	tape_map_remove(&reading->open, item->id);
	struct tape_aligned *call = &side->calls[index];
	const struct tape_function *function = call->function;
	call->out = tape_arena_array(&side->arena, function->count, sizeof(*call->out));
	if (call->out == NULL)
		return no_memory(error);
	int result = tape_parse_out(&parse, function, item->out, item->line, call->in, call->out);
	if (result < 0)
		return result;
	call->returned = true;
	call->rv = item->rv;
	for (size_t i = 0; reading->lanes && call->rv == CKR_OK && i < function->count; i++) {
		size_t lane;
		if (function->arguments[i].kind != TAPE_K_OUT_SESSION ||
		    call->out[i].form != TAPE_V_NUMBER)
			continue;
		if ((lane = new_lane(side)) == NONE ||
		    !tape_map_put(&reading->sessions, call->out[i].number, lane))
			return no_memory(error);
	}
	return 0;
}

static int read_side(struct tape_align_side *side, const char *path, bool lanes,
                     struct tape_error *error)
{
	struct reading reading = { .side = side, .lanes = lanes };
	struct tape_halves halves;
	struct tape_half *half;
	tape_arena_init(&side->arena, NULL, 0, MAX_BYTES);
	reading.names = tape_reader_header(side->reader)->names;
	int result = tape_halves_init(&halves, path, error);
	if (result < 0)
		return result;
	if (new_lane(side) == NONE)
		result = no_memory(error);
	while (result >= 0 && (result = tape_halves_next(&halves, &half, error)) > 0) {
		if (half->item.kind == TAPE_ITEM_CALL)
			result = take_call(&reading, &half->item, error);
		else if (half->item.kind == TAPE_ITEM_RETURN)
			result = take_return(&reading, &half->item, error);
		if (result < 0 && error->line == 0)
			error->line = half->item.line;
		tape_halves_give(&halves, half);
	}
	tape_halves_done(&halves);
	tape_map_done(&reading.open);
	tape_map_done(&reading.sessions);
	return result;
}

/* ---- lanes ----------------------------------------------------------------------------------- */

/* How many calls two lanes begin with that look alike. */
static size_t common_beginning(const struct tape_alignment *alignment, size_t a, size_t b)
{
	const struct tape_align_side *sides = alignment->sides;
	size_t i = sides[0].lanes[a].first;
	size_t j = sides[1].lanes[b].first;
	size_t count = 0;
	for (; i != NONE && j != NONE && sides[0].calls[i].shape == sides[1].calls[j].shape;
	     i = sides[0].calls[i].next, j = sides[1].calls[j].next)
		count++;
	return count;
}

/* Sessions that threads open at once come in any order: the one that goes on most alike is the same one. */
static void pair_lanes(struct tape_alignment *alignment)
{
	struct tape_align_side *first = &alignment->sides[0];
	struct tape_align_side *second = &alignment->sides[1];
	for (size_t a = 0; a < first->lane_count; a++) {
		size_t best = NONE;
		size_t most = 0;
		for (size_t b = a == 0 ? 0 : 1; b < second->lane_count; b++) {
			size_t common = common_beginning(alignment, a, b);
			if (second->lanes[b].twin != NONE || (best != NONE && common <= most))
				continue;
			best = b;
			most = common;
			if (a == 0 ||
			    (common == first->lanes[a].count && common == second->lanes[b].count))
				break;
		}
		if (best == NONE)
			continue;
		first->lanes[a].twin = best;
		second->lanes[best].twin = a;
	}
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct lists {
	struct tape_aligned **first, **second;
	size_t first_count, second_count;
};

static void pair(struct tape_aligned *a, struct tape_aligned *b)
{
	a->twin = b;
	b->twin = a;
}

static struct tape_aligned **list_calls(struct tape_align_side *side,
                                        const struct tape_align_lane *lane)
{
	struct tape_aligned **list = malloc((lane->count + 1) * sizeof(*list));
	size_t count = 0;
	for (size_t i = lane->first; list != NULL && i != NONE; i = side->calls[i].next)
		list[count++] = &side->calls[i];
	return list;
}

/* How far two lists go on alike from there. */
static long follow(const struct lists *lists, long at, long diagonal)
{
	while (at < (long)lists->first_count && at - diagonal < (long)lists->second_count &&
	       lists->first[at]->shape == lists->second[at - diagonal]->shape)
		at++;
	return at;
}

/* Which diagonal an edit came from: one more of the second list, or of the first. */
static long come_from(const long *furthest, long edits, long diagonal)
{
	if (diagonal == -edits ||
	    (diagonal != edits && furthest[diagonal - 1] < furthest[diagonal + 1]))
		return diagonal + 1;
	return diagonal - 1;
}

/* Pair what lies on the way back from the end. rows[e] is how far e edits come, by diagonal. */
static void pair_back(const struct lists *lists, long *const *rows, long edits)
{
	long at = (long)lists->first_count;
	long diagonal = at - (long)lists->second_count;
	for (; edits >= 0; edits--) {
		long from = diagonal;
		long begin = 0;
		if (edits > 0) {
			from = come_from(rows[edits - 1] + edits, edits, diagonal);
			begin = rows[edits - 1][edits + from];
			begin += from < diagonal;
		}
		for (; at > begin; at--)
			pair(lists->first[at - 1], lists->second[at - 1 - diagonal]);
		at = begin - (from < diagonal);
		diagonal = from;
	}
}

/*
 * The longest common list of calls that look alike (Myers, "An O(ND) Difference Algorithm"). Returns
 * false without memory; pairs nothing where the lists have too little in common.
 */
static bool pair_alike(const struct lists *lists)
{
	static long *rows[MAX_EDITS + 1];
	long most = (long)(lists->first_count + lists->second_count);
	long end = (long)lists->first_count - (long)lists->second_count;
	bool good = true;
	bool found = false;
	long edits = 0;
	if (most > MAX_EDITS)
		most = MAX_EDITS;
	for (; edits <= most && !found; edits++) {
		/* From -edits - 1 to edits + 1, since the next row looks beside its own. */
		long *row = calloc((size_t)edits * 2 + 3, sizeof(*row));
		rows[edits] = row;
		if (row == NULL) {
			good = false;
			edits++;
			break;
		}
		for (long d = -edits; d <= edits && !found; d += 2) {
			long at = 0;
			if (edits > 0) {
				const long *before = rows[edits - 1] + edits;
				long from = come_from(before, edits, d);
				at = before[from] + (from < d);
			}
			row[edits + 1 + d] = follow(lists, at, d);
			found = d == end && row[edits + 1 + d] >= (long)lists->first_count;
		}
	}
	if (found)
		pair_back(lists, rows, edits - 1);
	while (edits-- > 0)
		free(rows[edits]);
	return good;
}

/* Between those: calls of the same function, in their order. */
static void pair_rest(const struct lists *lists)
{
	size_t j = 0;
	for (size_t i = 0; i < lists->first_count; i++) {
		struct tape_aligned *a = lists->first[i];
		if (a->twin != NULL) {
			while (lists->second[j] != a->twin)
				j++;
			j++;
			continue;
		}
		size_t k = j;
		while (k < lists->second_count && lists->second[k]->twin == NULL &&
		       lists->second[k]->function != a->function)
			k++;
		if (k == lists->second_count || lists->second[k]->twin != NULL)
			continue;
		pair(a, lists->second[k]);
		j = k + 1;
	}
}

static bool pair_calls(struct tape_alignment *alignment, size_t lane)
{
	struct tape_align_lane *a = &alignment->sides[0].lanes[lane];
	if (a->twin == NONE)
		return true;
	struct tape_align_lane *b = &alignment->sides[1].lanes[a->twin];
	struct lists lists = { list_calls(&alignment->sides[0], a),
		               list_calls(&alignment->sides[1], b), a->count, b->count };
	bool good = lists.first != NULL && lists.second != NULL && pair_alike(&lists);
	if (good)
		pair_rest(&lists);
	free(lists.first);
	free(lists.second);
	return good;
}

int tape_align(struct tape_alignment *ret_alignment, const char *first, const char *second,
               const char **ret_path, struct tape_error *error)
{
	const char *const paths[] = { first, second };
	memset(ret_alignment, 0, sizeof(*ret_alignment));
	for (size_t i = 0; i < 2; i++) {
		struct tape_align_side *side = &ret_alignment->sides[i];
		*ret_path = paths[i];
		int result = tape_reader_open(&side->reader, paths[i], error);
		if (result >= 0)
			result = tape_trace_overlaps(side->reader, error);
		if (result < 0)
			return result;
		ret_alignment->lanes |= result != 0;
	}
	for (size_t i = 0; i < 2; i++) {
		*ret_path = paths[i];
		int result =
			read_side(&ret_alignment->sides[i], paths[i], ret_alignment->lanes, error);
		if (result < 0)
			return result;
	}
	pair_lanes(ret_alignment);
	for (size_t i = 0; i < ret_alignment->sides[0].lane_count; i++)
		if (!pair_calls(ret_alignment, i))
			return no_memory(error);
	return 0;
}

void tape_align_done(struct tape_alignment *alignment)
{
	for (size_t i = 0; i < 2; i++) {
		struct tape_align_side *side = &alignment->sides[i];
		if (side->reader != NULL)
			tape_reader_close(side->reader);
		tape_arena_done(&side->arena);
		free(side->calls);
		free(side->lanes);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(alignment->handles); i++) {
		tape_map_done(&alignment->handles[i]);
		tape_map_done(&alignment->taken[i]);
	}
}

/* ---- handles --------------------------------------------------------------------------------- */

struct renaming {
	struct tape_alignment *alignment;
	struct tape_arena *arena;
	bool failed;
};

/* From now on `second` is called `first`; what either stood for before, it does no longer. */
static void bind(struct renaming *renaming, enum handles kind, uint64_t first, uint64_t second)
{
	struct tape_map *handles = &renaming->alignment->handles[kind];
	struct tape_map *taken = &renaming->alignment->taken[kind];
	uint64_t before;
	if (tape_map_get(handles, second, &before))
		tape_map_remove(taken, before);
	if (tape_map_get(taken, first, &before))
		tape_map_remove(handles, before);
	renaming->failed |=
		!tape_map_put(handles, second, first) || !tape_map_put(taken, first, second);
}

/* Inherited ones, which no output has brought, are bound where they are first met. */
static void rename_handle(struct renaming *renaming, enum handles kind,
                          const struct tape_value *first, struct tape_value *second)
{
	uint64_t name;
	if (first->form != TAPE_V_NUMBER || second->form != TAPE_V_NUMBER)
		return;
	bool known = tape_map_get(&renaming->alignment->handles[kind], second->number, &name);
	uint64_t ignored;
	if (!known && !tape_map_get(&renaming->alignment->taken[kind], first->number, &ignored)) {
		bind(renaming, kind, first->number, second->number);
		name = first->number;
		known = true;
	}
	if (known)
		second->number = name;
}

static bool handles_of(enum tape_kind kind, enum handles *ret_handles)
{
	switch (kind) {
	case TAPE_K_SESSION:
	case TAPE_K_OUT_SESSION:
		*ret_handles = SESSIONS;
		return true;
	case TAPE_K_OBJECT:
	case TAPE_K_OUT_OBJECT:
	case TAPE_K_OUT_OBJECTS:
		*ret_handles = OBJECTS;
		return true;
	case TAPE_K_SLOT:
	case TAPE_K_OUT_SLOT:
	case TAPE_K_OUT_SLOTS:
		*ret_handles = SLOTS;
		return true;
	default:
		return false;
	}
}

/* Objects in structures: inputs are renamed, outputs are bound and renamed. */
static void rename_inside(struct renaming *renaming, const struct tape_value *first,
                          struct tape_value *second, bool is_object, bool output)
{
	bool inside = second->form == TAPE_V_RECORD || second->form == TAPE_V_LIST ||
	              second->form == TAPE_V_MECHANISM;
	size_t count = second->form == TAPE_V_MECHANISM ? 1 : second->count;
	if (is_object && first->form == TAPE_V_NUMBER) {
		if (output)
			bind(renaming, OBJECTS, first->number, second->number);
		rename_handle(renaming, OBJECTS, first, second);
		return;
	}
	if (!inside || count == 0 || first->form != second->form || first->count != second->count)
		return;
	struct tape_value *children = tape_arena_array(renaming->arena, count, sizeof(*children));
	if (children == NULL) {
		renaming->failed = true;
		return;
	}
	memcpy(children, second->data, count * sizeof(*children));
	second->data = children;
	for (size_t i = 0; i < count; i++)
		rename_inside(renaming, tape_value_child(first, i), &children[i],
		              tape_value_is_object(second, i), output);
}

/* A handle that the module gave out, or a list of them. */
static void bind_given(struct renaming *renaming, enum handles kind, const struct tape_value *first,
                       struct tape_value *second)
{
	if (first->form == TAPE_V_NUMBER && second->form == TAPE_V_NUMBER) {
		bind(renaming, kind, first->number, second->number);
		second->number = first->number;
	}
	if (first->form != TAPE_V_LIST || second->form != TAPE_V_LIST)
		return;
	struct tape_value *list = tape_arena_array(renaming->arena, second->count, sizeof(*list));
	if (list == NULL) {
		renaming->failed = true;
		return;
	}
	if (second->count != 0)
		memcpy(list, second->data, second->count * sizeof(*list));
	second->data = list;
	for (size_t i = 0; i < first->count && i < second->count; i++) {
		bind(renaming, kind, tape_value_child(first, i)->number, list[i].number);
		list[i].number = tape_value_child(first, i)->number;
	}
}

static void rename_call(struct renaming *renaming, const struct tape_aligned *first,
                        const struct tape_aligned *second, struct tape_value *in,
                        struct tape_value *out)
{
	const struct tape_function *function = first->function;
	bool answered = first->out != NULL && second->out != NULL;
	for (size_t i = 0; i < function->count; i++) {
		enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
		enum handles handles;
		in[i] = second->in[i];
		if (second->out != NULL)
			out[i] = second->out[i];
		if (!handles_of(kind, &handles)) {
			rename_inside(renaming, &first->in[i], &in[i], false, false);
			if (answered)
				rename_inside(renaming, &first->out[i], &out[i], false, true);
		} else if ((tape_shapes[kind].traits & TAPE_T_OUT) == 0) {
			if (renaming->alignment->lanes && (int)i == function->lane)
				bind(renaming, handles, first->in[i].number, in[i].number);
			rename_handle(renaming, handles, &first->in[i], &in[i]);
		} else if (answered) {
			bind_given(renaming, handles, &first->out[i], &out[i]);
		}
	}
}

int tape_align_walk(struct tape_alignment *alignment, tape_align_fn *each, void *context)
{
	struct tape_align_side *second = &alignment->sides[1];
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct renaming renaming = { alignment, &second->arena, false };
	int result = 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(alignment->handles); i++) {
		tape_map_clear(&alignment->handles[i]);
		tape_map_clear(&alignment->taken[i]);
	}
	for (size_t i = 0; i < alignment->sides[0].count && result == 0; i++) {
		struct tape_aligned *call = &alignment->sides[0].calls[i];
		if (call->twin != NULL)
			rename_call(&renaming, call, call->twin, in, out);
		if (renaming.failed)
			return -TAPE_E_MEMORY;
		result = each(context, call, call->twin, in,
		              call->twin != NULL && call->twin->out != NULL ? out : NULL);
	}
	for (size_t i = 0; i < second->count && result == 0; i++)
		if (second->calls[i].twin == NULL)
			result = each(context, NULL, &second->calls[i], NULL, NULL);
	return result;
}
