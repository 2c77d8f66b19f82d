/* SPDX-License-Identifier: MIT */
#include "recorder/calendar.h"

#include <string.h>

#define NS_PER_SECOND 1000000000u
#define SECONDS_PER_DAY 86400u

struct civil {
	unsigned int year, month, day;
};

/*
 * The date of a day since 1970. Years are counted from March, so that the leap day is their last; an
 * era is 400 years, 146097 days.
 */
static struct civil civil_of(uint64_t days)
{
	struct civil date;
	uint64_t shifted = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
	uint64_t era = shifted / 146097;
	unsigned int day_of_era = (unsigned int)(shifted % 146097);
	unsigned int year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	unsigned int day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	unsigned int month_from_march = (5 * day_of_year + 2) / 153;
	date.day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
	date.month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	date.year = (unsigned int)(era * 400) + year_of_era + (date.month <= 2);
	return date;
}

static char *put_digits(char *to, unsigned int number, unsigned int digits)
{
	for (unsigned int i = digits; i-- > 0; number /= 10)
		to[i] = (char)('0' + number % 10);
	return to + digits;
}

static char *put_char(char *to, char c)
{
	*to = c;
	return to + 1;
}

size_t tape_time_iso(char *to, uint64_t nanoseconds)
{
	uint64_t seconds = nanoseconds / NS_PER_SECOND;
	unsigned int second = (unsigned int)(seconds % SECONDS_PER_DAY);
	struct civil date = civil_of(seconds / SECONDS_PER_DAY);
	char *at = put_digits(to, date.year, 4);
	at = put_digits(put_char(at, '-'), date.month, 2);
	at = put_digits(put_char(at, '-'), date.day, 2);
	at = put_digits(put_char(at, 'T'), second / 3600, 2);
	at = put_digits(put_char(at, ':'), second / 60 % 60, 2);
	at = put_digits(put_char(at, ':'), second % 60, 2);
	at = put_digits(put_char(at, '.'), (unsigned int)(nanoseconds % NS_PER_SECOND / 1000), 6);
	return (size_t)(put_char(at, 'Z') - to);
}

size_t tape_time_compact(char *to, uint64_t nanoseconds)
{
	char iso[TAPE_TIME_ISO];
	size_t length = 0;
	tape_time_iso(iso, nanoseconds);
	for (const char *at = iso; *at != '.'; at++)
		if (*at != '-' && *at != ':')
			to[length++] = *at;
	to[length++] = 'Z';
	return length;
}
