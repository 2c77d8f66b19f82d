/* SPDX-License-Identifier: MIT
 *
 * The only file that parses YAML: a stream of the items of a top-level sequence, through libyaml, in
 * memory that does not grow with the stream. Hostile input is expected: depth, size and count are
 * limited, and every refusal is one sentence with the line.
 */
#ifndef TAPE_YAML_READ_H
#define TAPE_YAML_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "core/tree.h"

/* Limits on one item. */
#define TAPE_YAML_MAX_DEPTH 32
#define TAPE_YAML_MAX_NODES ((size_t)1 << 21)
#define TAPE_YAML_MAX_KEYS 1024

struct tape_yaml;

/*
 * Begin to read an open file from its current position (which must be the beginning of an item, or of
 * the file); `line` is the number of the line there, 1 at the beginning. Reads no further than offset
 * `end` (UINT64_MAX for all). The descriptor stays the caller's and is read with pread().
 */
TAPE_MUST_CHECK int tape_yaml_open(struct tape_yaml **ret_yaml, int fd, uint64_t begin,
                                   uint64_t end, size_t line, struct tape_error *error);

/*
 * Read the next item into `arena`. Returns 1 with *ret_item, 0 at the end of the sequence, or a
 * negative error code; after an error only tape_yaml_close() is allowed.
 */
TAPE_MUST_CHECK int tape_yaml_next(struct tape_yaml *yaml, struct tape_arena *arena,
                                   struct tape_node **ret_item, struct tape_error *error);

/* The number of the line in which what is read ends, wherever reading is. */
size_t tape_yaml_end_line(const struct tape_yaml *yaml);

void tape_yaml_close(struct tape_yaml *yaml);

/*
 * Find where the whole lines of a file end: its size, unless the last line is a record line without
 * its newline and its closing brace, which is how a write that was cut short looks. *ret_torn says so.
 */
TAPE_MUST_CHECK int tape_yaml_whole(int fd, uint64_t *ret_end, bool *ret_torn,
                                    struct tape_error *error);

#endif
