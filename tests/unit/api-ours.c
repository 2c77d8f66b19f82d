/* SPDX-License-Identifier: MIT
 *
 * Our side of the comparison with other headers; and what a macro of theirs comes to, from its text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/api/api.h"
#include "tests/unit/api-ours.h"

/* ---- ours ----------------------------------------------------------------------------------- */

struct number {
	const char *name;
	uint64_t value;
};

/* What our header says, under every name that it defines. */
static const struct number ours[] = {
#define CONST(group, name, value, major, minor) { #name, name },
#define CONST_ALIAS(group, name, value, major, minor) { #name, name },
#define CONST_AMBIGUOUS(group, name, value, major, minor) { #name, name },
#define CONST_VENDOR(vendor, group, name, value) { #name, name },
#define CONST_VENDOR_ALIAS(vendor, group, name, value) { #name, name },
#include "core/api/constants.def"

#define ATTR(name, value, major, minor, type, group, secrecy) { #name, name },
#define ATTR_ALIAS(name, value, major, minor, type, group, secrecy) { #name, name },
#define ATTR_AMBIGUOUS(name, value, major, minor, type, group, secrecy) { #name, name },
#define ATTR_VENDOR(vendor, name, value, type, group, secrecy) { #name, name },
#define ATTR_VENDOR_ALIAS(vendor, name, value, type, group, secrecy) { #name, name },
#include "core/api/attributes.def"

#define MECH(name, value, major, minor, uses, ...) { #name, name },
#define MECH_ALIAS(name, value, major, minor, uses, ...) { #name, name },
#define MECH_VENDOR(vendor, name, value, uses, ...) { #name, name },
#include "core/api/mechanisms.def"

#define OUR_SIZE(record) { "sizeof " #record, sizeof(record) },
#define OUR_MEMBER(record, member)                         \
	{ #record "." #member, offsetof(record, member) }, \
		{ "sizeof " #record "." #member, sizeof(((record *)0)->member) },

#define RECORD(record, major, minor) OUR_SIZE(record)
#define FIELD(record, member, kind, dir, extent, detail) OUR_MEMBER(record, member)
#define ONLY_IF(record, member, selector, value)
#define END(record)
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END

/* A function is in the list of the version that brought it, and in later ones. */
#define IN_LIST_2_40(name)                 \
	OUR_MEMBER(CK_FUNCTION_LIST, name) \
	IN_LIST_3_0(name)
#define IN_LIST_3_0(name)                      \
	OUR_MEMBER(CK_FUNCTION_LIST_3_0, name) \
	IN_LIST_3_2(name)
#define IN_LIST_3_2(name) OUR_MEMBER(CK_FUNCTION_LIST_3_2, name)
#define CK_FN(name, major, minor, ...) TAPE_CAT(IN_LIST_##major, _##minor)(name)
#include "core/api/functions.def"
#undef CK_FN

	MORE_STRUCTURES(OUR_SIZE, OUR_MEMBER)
};

static bool find_ours(const char *name, uint64_t *ret_value)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(ours); i++) {
		if (strcmp(ours[i].name, name) != 0)
			continue;
		*ret_value = ours[i].value;
		return true;
	}
	return false;
}

/* ---- theirs --------------------------------------------------------------------------------- */

/*
 * The constant expressions that headers use, all macros expanded: numbers, parentheses, casts, and
 * ~ - + << | with the precedence of C. An unknown word ends the evaluation: *text then stands there.
 */
static uint64_t evaluate_or(const char **text);

static void skip_blanks(const char **text)
{
	*text += strspn(*text, " \t\n");
}

static bool take(const char **text, const char *token)
{
	skip_blanks(text);
	if (strncmp(*text, token, strlen(token)) != 0)
		return false;
	*text += strlen(token);
	return true;
}

/* (unsigned long), (CK_KEY_TYPE): words in parentheses, with something to cast behind them. */
static bool take_cast(const char **text)
{
	static const char word[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789 \t";
	const char *end = *text;

	if (!take(&end, "("))
		return false;
	skip_blanks(&end);
	if (strchr("0123456789", *end))
		return false;
	end += strspn(end, word);
	if (!take(&end, ")"))
		return false;
	*text = end;
	return true;
}

static uint64_t evaluate_unary(const char **text)
{
	uint64_t value;
	char *end;

	skip_blanks(text);
	if (take(text, "~"))
		return ~evaluate_unary(text);
	if (take(text, "-"))
		return 0 - evaluate_unary(text);
	if (take_cast(text))
		return evaluate_unary(text);
	if (take(text, "(")) {
		value = evaluate_or(text);
		if (!take(text, ")"))
			*text = "?";
		return value;
	}
	value = strtoull(*text, &end, 0);
	*text = end == *text ? "?" : end + strspn(end, "uUlL");
	return value;
}

static uint64_t evaluate_sum(const char **text)
{
	uint64_t value = evaluate_unary(text);

	for (;;) {
		if (take(text, "+"))
			value += evaluate_unary(text);
		else if (take(text, "-"))
			value -= evaluate_unary(text);
		else
			return value;
	}
}

static uint64_t evaluate_shift(const char **text)
{
	uint64_t value = evaluate_sum(text);

	while (take(text, "<<"))
		value <<= evaluate_sum(text) & 63;
	return value;
}

static uint64_t evaluate_or(const char **text)
{
	uint64_t value = evaluate_shift(text);

	while (take(text, "|"))
		value |= evaluate_shift(text);
	return value;
}

static bool find_theirs(const struct theirs *theirs, uint64_t *ret_value)
{
	const char *text = theirs->text;

	if (!text) {
		*ret_value = theirs->value;
		return true;
	}
	if (strcmp(text, theirs->name) == 0)
		return false;
	*ret_value = evaluate_or(&text);
	skip_blanks(&text);
	if (*text)
		fail_msg("%s is %s, which this test cannot evaluate", theirs->name, theirs->text);
	return true;
}

/* ---- comparison ----------------------------------------------------------------------------- */

static const struct difference *find_difference(const char *name, const struct difference *known,
                                                size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(known[i].name, name) == 0)
			return &known[i];
	return NULL;
}

void compare_with_ours(const struct theirs *theirs, size_t count, const struct difference *known,
                       size_t known_count, size_t least)
{
	size_t shared = 0, wrong = 0, seen = 0;

	for (size_t i = 0; i < count; i++) {
		const struct difference *difference =
			find_difference(theirs[i].name, known, known_count);
		uint64_t here, there;

		if (!find_theirs(&theirs[i], &there))
			continue;
		if (!find_ours(theirs[i].name, &here)) {
			print_error("%s: not in our header\n", theirs[i].name);
			wrong++;
			continue;
		}
		shared++;
		seen += difference != NULL;
		if (difference ? difference->ours == here && difference->theirs == there
		               : here == there)
			continue;
		print_error("%s: %#jx here, %#jx there%s\n", theirs[i].name, (uintmax_t)here,
		            (uintmax_t)there, difference ? ": not the known difference" : "");
		wrong++;
	}
	if (seen != known_count)
		print_error("%zu known differences, of which %zu were looked at\n", known_count,
		            seen);
	assert_int_equal(wrong, 0);
	assert_int_equal(seen, known_count);
	print_message("%zu numbers compared, %zu known to differ\n", shared, known_count);
	if (shared < least)
		fail_msg("expected at least %zu", least);
}
