/* SPDX-License-Identifier: MIT */
#include "core/rotation.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SECOND UINT64_C(1000000000)

static const struct {
	char unit;
	bool time;
	uint64_t size;
} units[] = {
	{ 'K', false, UINT64_C(1) << 10 }, { 'M', false, UINT64_C(1) << 20 },
	{ 'G', false, UINT64_C(1) << 30 }, { 's', true, SECOND },
	{ 'm', true, 60 * SECOND },        { 'h', true, 3600 * SECOND },
	{ 'd', true, 86400 * SECOND },
};

/* Take a number with its unit. Returns what stands behind it, or NULL. */
static const char *take(struct tape_rotation *rotation, const char *text)
{
	uint64_t number = 0;
	const char *at = text;
	for (; *at >= '0' && *at <= '9' && number < UINT32_MAX; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	if (at == text || number == 0 || number > UINT32_MAX)
		return NULL;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(units); i++) {
		uint64_t *limit = units[i].time ? &rotation->nanoseconds : &rotation->bytes;
		if (*at != units[i].unit)
			continue;
		if (*limit != 0 || number > UINT64_MAX / units[i].size)
			return NULL;
		*limit = number * units[i].size;
		return at + 1;
	}
	return NULL;
}

int tape_rotation_read(struct tape_rotation *ret_rotation, const char *text,
                       struct tape_error *error)
{
	struct tape_rotation rotation = { 0, 0 };
	const char *at = take(&rotation, text);
	if (at != NULL && *at == ',')
		at = take(&rotation, at + 1);
	if (at == NULL || *at != 0)
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "it is " TAPE_ROTATION_WORDS ", not '%.40s'", text);
	*ret_rotation = rotation;
	return 0;
}
