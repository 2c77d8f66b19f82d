/* SPDX-License-Identifier: MIT */
#include "cli/mapping.h"

#include <stdlib.h>
#include <string.h>

/* The i-th newest, or NULL. */
static const struct tape_swap *newest(const struct tape_swaps *swaps, size_t i)
{
	if (i >= swaps->count || i >= TAPE_SWAPS)
		return NULL;
	return &swaps->swaps[(swaps->count - 1 - i) % TAPE_SWAPS];
}

static bool same(const void *a, size_t a_length, const void *b, size_t b_length)
{
	return a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

bool tape_swaps_add(struct tape_swaps *swaps, const void *recorded, size_t recorded_length,
                    const void *live, size_t live_length)
{
	if (recorded_length < TAPE_SWAP_MIN)
		return true;
	struct tape_swap swap = { malloc(recorded_length), malloc(live_length + 1), recorded_length,
		                  live_length };
	if (swap.recorded == NULL || swap.live == NULL) {
		free(swap.recorded);
		free(swap.live);
		return false;
	}
	memcpy(swap.recorded, recorded, recorded_length);
	if (live_length != 0)
		memcpy(swap.live, live, live_length);
	struct tape_swap *place = &swaps->swaps[swaps->count++ % TAPE_SWAPS];
	free(place->recorded);
	free(place->live);
	*place = swap;
	return true;
}

bool tape_swaps_has(const struct tape_swaps *swaps, const void *recorded, size_t recorded_length,
                    const void *live, size_t live_length)
{
	const struct tape_swap *swap;
	for (size_t i = 0; (swap = newest(swaps, i)) != NULL; i++)
		if (same(swap->recorded, swap->recorded_length, recorded, recorded_length) &&
		    same(swap->live, swap->live_length, live, live_length))
			return true;
	return false;
}

/* Put live parts where the bytes have recorded ones. */
static bool find_parts(const struct tape_swaps *swaps, struct tape_arena *arena,
                       const unsigned char *recorded, size_t length, const void **ret_live)
{
	unsigned char *copy = NULL;
	const struct tape_swap *swap;
	for (size_t i = 0; (swap = newest(swaps, i)) != NULL; i++) {
		const unsigned char *at = recorded;
		if (swap->live_length != swap->recorded_length)
			continue;
		while ((at = memmem(at, length - (size_t)(at - recorded), swap->recorded,
		                    swap->recorded_length)) != NULL) {
			if (copy == NULL &&
			    (copy = tape_arena_copy(arena, recorded, length)) == NULL)
				return false;
			/* The newest wins. */
			if (same(copy + (at - recorded), swap->recorded_length, at,
			         swap->recorded_length))
				memcpy(copy + (at - recorded), swap->live, swap->live_length);
			at += swap->recorded_length;
		}
	}
	if (copy != NULL)
		*ret_live = copy;
	return copy != NULL;
}

bool tape_swaps_find(const struct tape_swaps *swaps, struct tape_arena *arena, const void *recorded,
                     size_t length, const void **ret_live, size_t *ret_length)
{
	const struct tape_swap *swap;
	if (length < TAPE_SWAP_MIN)
		return false;
	for (size_t i = 0; (swap = newest(swaps, i)) != NULL; i++)
		if (same(swap->recorded, swap->recorded_length, recorded, length)) {
			*ret_live = swap->live;
			*ret_length = swap->live_length;
			return true;
		}
	for (size_t i = 0; length >= TAPE_SWAP_PART && (swap = newest(swaps, i)) != NULL; i++) {
		const unsigned char *at =
			swap->live_length == swap->recorded_length
				? memmem(swap->recorded, swap->recorded_length, recorded, length)
				: NULL;
		if (at == NULL)
			continue;
		*ret_live = swap->live + (at - swap->recorded);
		*ret_length = length;
		return true;
	}
	if (!find_parts(swaps, arena, recorded, length, ret_live))
		return false;
	*ret_length = length;
	return true;
}

void tape_swaps_clear(struct tape_swaps *swaps)
{
	for (size_t i = 0; i < TAPE_SWAPS; i++) {
		free(swaps->swaps[i].recorded);
		free(swaps->swaps[i].live);
	}
	memset(swaps, 0, sizeof(*swaps));
}
