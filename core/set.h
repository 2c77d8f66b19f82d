/* SPDX-License-Identifier: MIT
 *
 * The traces of one recording: the one that the first process wrote, and those that its children and
 * the other programs of the same run wrote beside it (docs/replay.md, "Processes").
 */
#ifndef TAPE_SET_H
#define TAPE_SET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define TAPE_SET_MAX ((size_t)4096)

/* What tells a trace's process from others; fixed in size, since processes share a table of them. */
struct tape_member {
	char name[NAME_MAX + 1]; /* of the file, without its directory */
	char program[NAME_MAX + 1];
	char started[32]; /* as the header has it: it sorts by time */
	uint64_t pid, start, parent, group;
	uint64_t forked_from; /* 0: no forked process */
	uint64_t forked_after;
};

struct tape_set {
	struct tape_member *members; /* the trace that was named, then the others by their start */
	size_t count;
	char path[PATH_MAX]; /* of the file that an error is about */
};

/*
 * Find the set of the trace at `path`. Files beside it that are no traces, or another recording's, are
 * passed over; a trace that cannot be read is an error, about set->path.
 */
TAPE_MUST_CHECK int tape_set_read(struct tape_set *ret_set, const char *path,
                                  struct tape_error *error);
void tape_set_free(struct tape_set *set);

/* The traces of one recording, module by module. */
struct tape_sets {
	struct tape_set *sets; /* each of another module, in the order of the modules' paths */
	size_t count;
	char path[PATH_MAX]; /* of the file that an error is about */
};

/*
 * Find the sets of all traces in a directory, whatever their names. It is an error (about sets->path) if there
 * is none, or if two traces of a module are not of one recording.
 */
TAPE_MUST_CHECK int tape_sets_read(struct tape_sets *ret_sets, const char *directory,
                                   struct tape_error *error);
void tape_sets_free(struct tape_sets *sets);

/* The path of a file that lies beside the one at `beside`. Returns false where it is too long. */
bool tape_set_path(char ret_path[PATH_MAX], const char *beside, const char *name);

/*
 * Say whether a trace of the same module belongs to the set of members[0], given those that are known
 * to belong.
 */
bool tape_set_has(const struct tape_member *members, size_t count, const struct tape_member *trace);

/*
 * How well `child` fits a process that was forked from `parent`'s after the call with the id `last` and
 * before `next` (UINT64_MAX where there is none): 0 exactly, more where it was forked elsewhere, and
 * UINT64_MAX where it is no child of it.
 */
uint64_t tape_set_distance(const struct tape_member *parent, const struct tape_member *child,
                           uint64_t last, uint64_t next);

#endif
