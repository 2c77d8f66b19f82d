/* SPDX-License-Identifier: MIT
 *
 * One item of a trace as YAML has it: mappings, sequences and scalars, with the line each stands on.
 * Knows nothing of PKCS#11. Nodes and their text belong to the arena of the item.
 */
#ifndef TAPE_TREE_H
#define TAPE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/buf.h"

enum tape_node_type { TAPE_NODE_SCALAR, TAPE_NODE_SEQUENCE, TAPE_NODE_MAPPING };

struct tape_node {
	uint8_t type; /* enum tape_node_type */
	bool quoted; /* a scalar in quotes (or a block scalar): never null, a number or a boolean */
	uint32_t count;   /* children */
	size_t line;      /* 1-based */
	const char *text; /* of a scalar, zero-terminated */
	size_t length;
	const char *key; /* in a mapping: what this node is called, zero-terminated */
	size_t key_length;
	struct tape_node *first, *last, *next;
};

/* Make an empty node in the arena; NULL without memory. */
TAPE_MUST_CHECK struct tape_node *tape_node_new(struct tape_arena *arena, enum tape_node_type type,
                                                size_t line);

/* Hang `child` behind the other children, under `key` where the parent is a mapping. */
void tape_node_append(struct tape_node *parent, struct tape_node *child, const char *key,
                      size_t key_length);

/* Hang a copy of `from` there, which shares all below it. Returns false without memory. */
TAPE_MUST_CHECK bool tape_node_share(struct tape_arena *arena, struct tape_node *parent,
                                     const struct tape_node *from, const char *key,
                                     size_t key_length);

/* Find a mapping's value by key (zero-terminated); NULL where `node` is no mapping or lacks it. */
struct tape_node *tape_node_get(const struct tape_node *node, const char *key);

/* Compare a scalar's text with a word. */
bool tape_node_is(const struct tape_node *node, const char *word);

/* Say whether a node is YAML's null; whether it is a boolean. */
bool tape_node_is_null(const struct tape_node *node);
bool tape_node_boolean(const struct tape_node *node, bool *ret_value);

/* Say whether a scalar is text to every YAML loader: it is quoted, or a name as C_Sign is. */
bool tape_node_is_text(const struct tape_node *node);

/* Read a whole number: decimal, or 0x and hexadecimal digits (quoted or not). */
bool tape_node_number(const struct tape_node *node, uint64_t *ret_number);

/* Read seconds with a decimal fraction as nanoseconds. */
bool tape_node_seconds(const struct tape_node *node, uint64_t *ret_nanoseconds);

/* Append an item in one of the two spellings: a record line, or block form. Both end with a newline. */
void tape_node_put_line(struct tape_buf *buf, const struct tape_node *item);
void tape_node_put_block(struct tape_buf *buf, const struct tape_node *item);

/* Append a node on one line, as in a record line, without a newline. */
void tape_node_put_flow(struct tape_buf *buf, const struct tape_node *node);

#endif
