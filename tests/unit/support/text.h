/* SPDX-License-Identifier: MIT
 *
 * Text as a file, and what JSON is.
 */
#ifndef TEST_TEXT_H
#define TEST_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Make a file in memory that holds the text; the caller closes it. */
int text_file(const char *text, size_t length);

/* Make it hold another text. */
void text_refill(int fd, const char *text, size_t length);

/* The number that an environment variable holds, or `otherwise`. */
size_t text_setting(const char *name, size_t otherwise);

/*
 * Say whether text is one JSON value and nothing else: RFC 8259, strictly, and UTF-8. Where it is not,
 * *ret_at is where.
 */
bool text_is_json(const char *text, size_t length, size_t *ret_at);

#endif
