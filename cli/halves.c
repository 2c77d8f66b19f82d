/* SPDX-License-Identifier: MIT */
#include "cli/halves.h"

#include <stdlib.h>
#include <string.h>

/* Both halves of a whole call live in one memory. */
struct tape_memory {
	struct tape_arena arena;
	unsigned int users;
	struct tape_memory *next;
};

/* Memories kept for the next items, so that a trace of calls in turn allocates nothing. */
#define SPARE_MAX 16

static struct tape_memory *get_memory(struct tape_halves *halves)
{
	struct tape_memory *memory = halves->spare;
	if (memory != NULL) {
		halves->spare = memory->next;
		halves->spare_count--;
		return memory;
	}
	memory = calloc(1, sizeof(*memory));
	if (memory != NULL)
		tape_arena_init(&memory->arena, NULL, 0, TAPE_MAX_ITEM);
	return memory;
}

static void give_memory(struct tape_halves *halves, struct tape_memory *memory)
{
	if (halves->spare_count == SPARE_MAX) {
		tape_arena_done(&memory->arena);
		free(memory);
		return;
	}
	tape_arena_reset(&memory->arena);
	memory->next = halves->spare;
	halves->spare = memory;
	halves->spare_count++;
}

static struct tape_half *new_half(struct tape_memory *memory, const struct tape_item *item)
{
	struct tape_half *half = tape_arena_get(&memory->arena, sizeof(*half));
	if (half == NULL)
		return NULL;
	memset(half, 0, sizeof(*half));
	half->item = *item;
	half->memory = memory;
	memory->users++;
	return half;
}

void tape_halves_give(struct tape_halves *halves, struct tape_half *half)
{
	if (half != NULL && --half->memory->users == 0)
		give_memory(halves, half->memory);
}

struct tape_arena *tape_half_arena(struct tape_half *half)
{
	return &half->memory->arena;
}

/* ---- splitting whole calls ------------------------------------------------------------------- */

static bool is_one_of(const struct tape_node *node, const char *const *keys, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(node->key, keys[i]) == 0)
			return true;
	return false;
}

bool tape_half_returns(const struct tape_node *member, bool has_in, bool behind)
{
	static const char *const of_call[] = { "call",      "notify",   "id",        "at",
		                               "thread",    "during",   "interface", "of",
		                               "synthetic", "injected", "in" };
	static const char *const of_return[] = { "out", "rv", "took" };
	/* Of a call without inputs it is these that were lost (docs/trace-format.md). */
	if (strcmp(member->key, "partial") == 0)
		return has_in;
	if (is_one_of(member, of_return, TAPE_ARRAY_SIZE(of_return)))
		return true;
	return behind && !is_one_of(member, of_call, TAPE_ARRAY_SIZE(of_call));
}

/* Share a whole call's members out between its halves. */
static bool split_node(struct tape_arena *arena, const struct tape_node *whole,
                       struct tape_node *call, struct tape_node *back)
{
	bool has_in = tape_node_get(whole, "in") != NULL;
	const struct tape_node *id = tape_node_get(whole, "id");
	if (!tape_node_share(arena, back, id, "return", strlen("return")))
		return false;
	for (const struct tape_node *child = whole->first; child != NULL; child = child->next) {
		if (strcmp(child->key, "until") == 0)
			continue;
		bool returned = tape_half_returns(child, has_in, back->count > 1);
		if (!tape_node_share(arena, returned ? back : call, child, child->key,
		                     child->key_length))
			return false;
	}
	return true;
}

static bool split(struct tape_memory *memory, const struct tape_item *whole,
                  struct tape_half **ret_call, struct tape_half **ret_back)
{
	struct tape_item call = *whole;
	struct tape_item back = { .kind = TAPE_ITEM_RETURN,
		                  .line = whole->line,
		                  .id = whole->id,
		                  .function = whole->function,
		                  .during = whole->during,
		                  .until = whole->until,
		                  .has_took = whole->has_took,
		                  .took = whole->took,
		                  .out = whole->out,
		                  .rv = whole->rv };
	call.node = tape_node_new(&memory->arena, TAPE_NODE_MAPPING, whole->line);
	back.node = tape_node_new(&memory->arena, TAPE_NODE_MAPPING, whole->line);
	if (call.node == NULL || back.node == NULL ||
	    !split_node(&memory->arena, whole->node, call.node, back.node))
		return false;
	call.whole = false;
	call.until = 0;
	call.out = NULL;
	call.has_took = false;
	*ret_call = new_half(memory, &call);
	*ret_back = *ret_call == NULL ? NULL : new_half(memory, &back);
	return *ret_back != NULL;
}

/* ---- the stream ------------------------------------------------------------------------------ */

int tape_halves_init(struct tape_halves *halves, const char *path, struct tape_error *error)
{
	memset(halves, 0, sizeof(*halves));
	halves->ready_end = &halves->ready;
	halves->waiting_end = &halves->waiting;
	return tape_reader_open(&halves->reader, path, error);
}

static void give_list(struct tape_halves *halves, struct tape_half *list)
{
	while (list != NULL) {
		struct tape_half *next = list->next;
		tape_halves_give(halves, list);
		list = next;
	}
}

void tape_halves_done(struct tape_halves *halves)
{
	give_list(halves, halves->ready);
	give_list(halves, halves->waiting);
	while (halves->spare != NULL) {
		struct tape_memory *next = halves->spare->next;
		tape_arena_done(&halves->spare->arena);
		free(halves->spare);
		halves->spare = next;
	}
	tape_reader_close(halves->reader);
	memset(halves, 0, sizeof(*halves));
}

static void append(struct tape_half ***end, struct tape_half *half)
{
	half->next = NULL;
	**end = half;
	*end = &half->next;
}

/* Make ready what waits for its inside, from the innermost out to the call that `inside` began in, or all. */
static void leave(struct tape_halves *halves, struct tape_half **outer,
                  const struct tape_half *inside)
{
	while (*outer != NULL && (inside == NULL || inside->item.during != (*outer)->item.id)) {
		struct tape_half *half = *outer;
		*outer = half->next;
		append(&halves->ready_end, half);
	}
}

/*
 * Make returns ready that were given in the order of their calls. What began inside of one, and stands
 * behind it therefore, returns before it.
 */
static void make_ready(struct tape_halves *halves, struct tape_half *list)
{
	struct tape_half *outer = NULL; /* what waits for its inside, innermost first */
	while (list != NULL) {
		struct tape_half *half = list;
		list = half->next;
		leave(halves, &outer, half);
		half->next = outer;
		outer = half;
	}
	leave(halves, &outer, NULL);
}

/* Make the returns that wait for `id` ready; all of them where their time is over. */
static void release(struct tape_halves *halves, uint64_t id, bool all)
{
	struct tape_half *half = halves->waiting;
	struct tape_half *released = NULL;
	struct tape_half **released_end = &released;
	halves->waiting = NULL;
	halves->waiting_end = &halves->waiting;
	while (half != NULL) {
		struct tape_half *next = half->next;
		if (all || half->item.until == id) {
			if (all && halves->misplaced == 0)
				halves->misplaced = half->item.line;
			halves->waiting_count--;
			append(&released_end, half);
		} else {
			append(&halves->waiting_end, half);
		}
		half = next;
	}
	make_ready(halves, released);
}

static int no_memory(const struct tape_item *item, struct tape_error *error)
{
	return tape_error_set(error, TAPE_E_LIMIT, item->line, "an item takes too much memory");
}

static int take_whole(struct tape_halves *halves, struct tape_memory *memory,
                      const struct tape_item *item, struct tape_error *error)
{
	struct tape_half *call = NULL;
	struct tape_half *back = NULL;
	if (!split(memory, item, &call, &back)) {
		memory->users = 0;
		give_memory(halves, memory);
		return no_memory(item, error);
	}
	append(&halves->ready_end, call);
	if (item->until == 0) {
		append(&halves->ready_end, back);
	} else {
		append(&halves->waiting_end, back);
		if (++halves->waiting_count > TAPE_HALVES_MAX)
			return tape_error_set(error, TAPE_E_LIMIT, item->line,
			                      "more than %zu returns wait for their 'until'",
			                      TAPE_HALVES_MAX);
	}
	release(halves, item->id, false);
	return 0;
}

/* Read one item and queue what comes of it. Returns 1, 0 at the end, or a negative code. */
static int read_more(struct tape_halves *halves, struct tape_error *error)
{
	struct tape_item item;
	struct tape_memory *memory = get_memory(halves);
	if (memory == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	int result = tape_reader_next(halves->reader, &memory->arena, &item, error);
	if (result <= 0) {
		give_memory(halves, memory);
		return result;
	}
	if (item.whole) {
		result = take_whole(halves, memory, &item, error);
		return result < 0 ? result : 1;
	}
	struct tape_half *half = new_half(memory, &item);
	if (half == NULL) {
		give_memory(halves, memory);
		return no_memory(&item, error);
	}
	if (item.kind == TAPE_ITEM_HEADER)
		release(halves, 0, true);
	append(&halves->ready_end, half);
	if (item.id != 0 && item.kind != TAPE_ITEM_RETURN)
		release(halves, item.id, false);
	return 1;
}

int tape_halves_next(struct tape_halves *halves, struct tape_half **ret_half,
                     struct tape_error *error)
{
	while (halves->ready == NULL) {
		int result = halves->ended ? 0 : read_more(halves, error);
		if (result < 0)
			return result;
		if (result == 0) {
			halves->ended = true;
			release(halves, 0, true);
			if (halves->ready == NULL)
				return 0;
		}
	}
	struct tape_half *half = halves->ready;
	halves->ready = half->next;
	if (halves->ready == NULL)
		halves->ready_end = &halves->ready;
	half->next = NULL;
	*ret_half = half;
	return 1;
}

int tape_halves_refresh(struct tape_halves *halves, struct tape_error *error)
{
	int result = tape_reader_refresh(halves->reader, error);
	halves->ended = result <= 0;
	return result;
}

/* ---- open calls ------------------------------------------------------------------------------ */

static size_t bucket_of(uint64_t id)
{
	return (size_t)(id % TAPE_ARRAY_SIZE(((struct tape_open *)NULL)->buckets));
}

void tape_open_add(struct tape_open *open, struct tape_half *call)
{
	struct tape_half **bucket = &open->buckets[bucket_of(call->item.id)];
	call->same_bucket = *bucket;
	*bucket = call;
	call->later = NULL;
	call->earlier = open->last;
	if (open->last == NULL)
		open->first = call;
	else
		open->last->later = call;
	open->last = call;
	open->count++;
	call->bytes = call->memory->arena.used;
	open->bytes += call->bytes;
}

struct tape_half *tape_open_find(const struct tape_open *open, uint64_t id)
{
	struct tape_half *call = open->buckets[bucket_of(id)];
	while (call != NULL && call->item.id != id)
		call = call->same_bucket;
	return call;
}

void tape_open_remove(struct tape_open *open, struct tape_half *call)
{
	struct tape_half **link = &open->buckets[bucket_of(call->item.id)];
	while (*link != call)
		link = &(*link)->same_bucket;
	*link = call->same_bucket;
	*(call->earlier == NULL ? &open->first : &call->earlier->later) = call->later;
	*(call->later == NULL ? &open->last : &call->later->earlier) = call->earlier;
	open->count--;
	open->bytes -= call->bytes;
}

bool tape_open_is_full(const struct tape_open *open)
{
	return open->count > TAPE_HALVES_MAX || open->bytes > TAPE_HALVES_MAX_BYTES;
}
