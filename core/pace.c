/* SPDX-License-Identifier: MIT */
#include "core/pace.h"

#include <stdbool.h>
#include <string.h>

/* x1000 is a call a second for each millisecond that it took. */
#define MAX_FACTOR 1000

/* x, digits, and up to six of them behind a point. */
static bool read_factor(const char *word, uint64_t *ret_millionths)
{
	uint64_t number = 0;
	uint64_t unit = TAPE_PACE_RECORDED;
	bool point = false;
	bool any = false;
	if (*word++ != 'x')
		return false;
	for (; *word != 0; word++) {
		if (*word == '.' && any && !point) {
			point = true;
			any = false;
			continue;
		}
		if (*word < '0' || *word > '9' || unit == 1)
			return false;
		any = true;
		if (point)
			unit /= 10;
		else
			number *= 10;
		number += (uint64_t)(*word - '0') * unit;
		if (number > MAX_FACTOR * TAPE_PACE_RECORDED)
			return false;
	}
	*ret_millionths = number;
	return any;
}

int tape_pace_read(const char *word, uint64_t *ret_millionths, struct tape_error *error)
{
	if (strcmp(word, "none") == 0)
		*ret_millionths = 0;
	else if (strcmp(word, "recorded") == 0)
		*ret_millionths = TAPE_PACE_RECORDED;
	else if (!read_factor(word, ret_millionths))
		return tape_error_set(
			error, TAPE_E_INVALID, 0,
			"'%.60s' is none of none, recorded and a factor up to x%d such "
			"as x0.1",
			word, MAX_FACTOR);
	return 0;
}
