/* SPDX-License-Identifier: MIT
 *
 * Growing bytes with a hard maximum and sticky failure: write freely, test `failed` once. Also the
 * emitter of record lines: numbers, hex and JSON-compatible YAML strings. (libyaml's emitter takes
 * 12 to 15 times the instructions of this one; it is the oracle of tests/unit/test-emitter-oracle.c.)
 */
#ifndef TAPE_BUF_H
#define TAPE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/attributes.h"

struct tape_buf {
	char *data;
	size_t length, room;
	size_t limit;
	char *first; /* the caller's storage, never freed */
	size_t first_room;
	bool failed; /* something did not fit in memory or under the limit; data is then incomplete */
};

/* Begin in `storage`; move to mapped pages when it is too small, up to `limit` bytes. */
void tape_buf_init(struct tape_buf *buf, void *storage, size_t size, size_t limit);

/* Give pages back; the buffer is empty and usable again. */
void tape_buf_done(struct tape_buf *buf);

/* Make room for `more` bytes behind the end. Returns false (and sets failed) where there is none. */
bool tape_buf_grow(struct tape_buf *buf, size_t more);

static inline bool tape_buf_need(struct tape_buf *buf, size_t more)
{
	if (TAPE_LIKELY(more <= buf->room - buf->length))
		return true;
	return tape_buf_grow(buf, more);
}

/*
 * Copy what is mostly a name: for those a call of memcpy() costs more than the copying. Two copies that
 * may overlap do for any size between theirs and twice that.
 */
static inline void tape_copy(char *to, const char *from, size_t size)
{
	if (TAPE_UNLIKELY(size > 32)) {
		memcpy(to, from, size);
	} else if (size >= 16) {
		memcpy(to, from, 16);
		/* cppcheck-suppress pointerOutOfBoundsCond ; it takes the size for that of `from` + 16 */
		memcpy(to + size - 16, from + size - 16, 16);
	} else if (size >= 8) {
		memcpy(to, from, 8);
		memcpy(to + size - 8, from + size - 8, 8);
	} else if (size >= 4) {
		memcpy(to, from, 4);
		memcpy(to + size - 4, from + size - 4, 4);
	} else {
		for (size_t i = 0; i < size; i++)
			to[i] = from[i];
	}
}

static inline void tape_put(struct tape_buf *buf, const char *bytes, size_t size)
{
	if (TAPE_UNLIKELY(!tape_buf_need(buf, size)))
		return;
	tape_copy(buf->data + buf->length, bytes, size);
	buf->length += size;
}

/* Append a string literal, whose size the compiler knows. */
#define TAPE_PUT(buf, literal)                                                                \
	do {                                                                                  \
		if (TAPE_LIKELY(tape_buf_need((buf), sizeof("" literal) - 1))) {              \
			memcpy((buf)->data + (buf)->length, literal, sizeof("" literal) - 1); \
			(buf)->length += sizeof("" literal) - 1;                              \
		}                                                                             \
	} while (0)

static inline void tape_put_char(struct tape_buf *buf, char c)
{
	if (TAPE_LIKELY(tape_buf_need(buf, 1)))
		buf->data[buf->length++] = c;
}

/* Append zero-terminated text as it is. */
void tape_put_text(struct tape_buf *buf, const char *text);

/* Append a number in decimal. */
void tape_put_decimal(struct tape_buf *buf, uint64_t number);

/* Append nanoseconds as seconds with `digits` (6 or 9) decimals: 0.003377. */
void tape_put_seconds(struct tape_buf *buf, uint64_t nanoseconds, unsigned int digits);

/* Append a number in lower-case hexadecimal with its 0x, unquoted. */
void tape_put_hexadecimal(struct tape_buf *buf, uint64_t number);

/* Append bytes as lower-case hex digits, unquoted. */
void tape_put_hex(struct tape_buf *buf, const void *bytes, size_t size);

/* Append text as a double-quoted string; it must satisfy tape_text_is_plain(). */
void tape_put_quoted(struct tape_buf *buf, const char *text, size_t length);

/* Append any bytes as a double-quoted string; what is not plain text is written as U+FFFD. */
void tape_put_quoted_lossy(struct tape_buf *buf, const char *text, size_t length);

/*
 * Say whether text reads back to the same bytes from a double-quoted string in YAML 1.1 and in JSON:
 * well-formed UTF-8 without C0, DEL, C1, surrogates, U+2028, U+2029, U+FEFF, U+FFFE and U+FFFF.
 */
bool tape_text_is_plain(const void *text, size_t length);

#endif
