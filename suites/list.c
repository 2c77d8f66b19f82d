/* SPDX-License-Identifier: MIT */
#include "suites/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct suite suites[] = {
#define SUITE(name, what, sections) { #name, what, sections, suite_##name },
#include "suites/suites.def"
#undef SUITE
};
const size_t suite_count = TAPE_ARRAY_SIZE(suites);

static const char *TAPE_PRINTF(2, 0)
	keep_text(struct check_list *list, const char *format, va_list arguments)
{
	char text[512];
	int length = vsnprintf(text, sizeof(text), format, arguments);
	char *copy = tape_arena_copy(&list->arena, text, length < 0 ? 0 : strlen(text));
	list->failed |= copy == NULL;
	return copy == NULL ? "" : copy;
}

const char *check_text(struct check_list *list, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	const char *text = keep_text(list, format, arguments);
	va_end(arguments);
	return text;
}

void check_add(struct check_list *list, struct check_row row, const char *format, ...)
{
	va_list arguments;
	if (list->count == list->room) {
		size_t room = list->room == 0 ? 1024 : 2 * list->room;
		struct check_row **rows = realloc(list->rows, room * sizeof(*rows));
		if (rows == NULL) {
			list->failed = true;
			return;
		}
		list->rows = rows;
		list->room = room;
	}
	va_start(arguments, format);
	row.suite = list->suite;
	row.name = keep_text(list, format, arguments);
	va_end(arguments);
	struct check_row *copy = tape_arena_get(&list->arena, sizeof(row));
	list->failed |= copy == NULL;
	if (copy == NULL)
		return;
	*copy = row;
	list->rows[list->count++] = copy;
}

void list_make(struct check_list *list)
{
	memset(list, 0, sizeof(*list));
	tape_arena_init(&list->arena, NULL, 0, (size_t)64 << 20);
	for (size_t i = 0; i < suite_count; i++) {
		list->suite = suites[i].name;
		suites[i].add(list);
	}
}

void list_done(struct check_list *list)
{
	tape_arena_done(&list->arena);
	free(list->rows);
}
