/* SPDX-License-Identifier: MIT
 *
 * All checks of all suites.
 */
#ifndef TAPE_SUITES_LIST_H
#define TAPE_SUITES_LIST_H

#include "core/arena.h"
#include "suites/check.h"

struct suite {
	const char *name, *what, *sections;
	void (*add)(struct check_list *list);
};

extern const struct suite suites[];
extern const size_t suite_count;

struct check_list {
	struct tape_arena arena;
	const char *suite; /* whose checks are being added */
	struct check_row **rows;
	size_t count, room;
	bool failed; /* memory is out */
};

/* Make the list; give it back. */
void list_make(struct check_list *list);
void list_done(struct check_list *list);

#endif
