/* SPDX-License-Identifier: MIT */
#include "core/map.h"

#include <stdlib.h>
#include <string.h>

#define MAP_FIRST 64

enum pair_state { PAIR_FREE, PAIR_USED, PAIR_REMOVED };

struct tape_pair {
	uint64_t from, to;
	enum pair_state state;
};

/* Where a number is, or where it would be put. The map has a free pair. */
static struct tape_pair *find(const struct tape_map *map, uint64_t from)
{
	struct tape_pair *removed = NULL;
	for (size_t at = (size_t)(from * 0x9e3779b97f4a7c15u >> 20);; at++) {
		struct tape_pair *pair = &map->pairs[at & (map->room - 1)];
		if (pair->state == PAIR_FREE)
			return removed != NULL ? removed : pair;
		if (pair->state == PAIR_REMOVED) {
			removed = removed != NULL ? removed : pair;
		} else if (pair->from == from) {
			return pair;
		}
	}
}

static bool grow(struct tape_map *map)
{
	/* Of the same size where it is only full of what was removed. */
	struct tape_map bigger = { .room = map->room == 0               ? MAP_FIRST
		                           : map->count * 4 < map->room ? map->room
		                                                        : map->room * 2 };
	bigger.pairs = calloc(bigger.room, sizeof(*bigger.pairs));
	if (bigger.pairs == NULL)
		return false;
	for (size_t i = 0; i < map->room; i++)
		if (map->pairs[i].state == PAIR_USED) {
			*find(&bigger, map->pairs[i].from) = map->pairs[i];
			bigger.count++;
		}
	bigger.used = bigger.count;
	free(map->pairs);
	*map = bigger;
	return true;
}

bool tape_map_put(struct tape_map *map, uint64_t from, uint64_t to)
{
	if ((map->used + 1) * 2 > map->room && !grow(map))
		return false;
	struct tape_pair *pair = find(map, from);
	map->used += pair->state == PAIR_FREE;
	map->count += pair->state != PAIR_USED;
	*pair = (struct tape_pair){ from, to, PAIR_USED };
	return true;
}

bool tape_map_get(const struct tape_map *map, uint64_t from, uint64_t *ret_to)
{
	const struct tape_pair *pair = map->room == 0 ? NULL : find(map, from);
	if (pair == NULL || pair->state != PAIR_USED)
		return false;
	*ret_to = pair->to;
	return true;
}

void tape_map_remove(struct tape_map *map, uint64_t from)
{
	struct tape_pair *pair = map->room == 0 ? NULL : find(map, from);
	if (pair == NULL || pair->state != PAIR_USED)
		return;
	pair->state = PAIR_REMOVED;
	map->count--;
}

void tape_map_clear(struct tape_map *map)
{
	if (map->room != 0)
		memset(map->pairs, 0, map->room * sizeof(*map->pairs));
	map->count = 0;
	map->used = 0;
}

void tape_map_done(struct tape_map *map)
{
	free(map->pairs);
	memset(map, 0, sizeof(*map));
}

bool tape_map_reserve(struct tape_map *map)
{
	return map->room != 0 || grow(map);
}
