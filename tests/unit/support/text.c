/* SPDX-License-Identifier: MIT */
#include "tests/unit/support/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void text_refill(int fd, const char *text, size_t length)
{
	if (ftruncate(fd, 0) != 0)
		abort();
	for (size_t at = 0; at < length;) {
		ssize_t done = pwrite(fd, text + at, length - at, (off_t)at);
		if (done <= 0)
			abort();
		at += (size_t)done;
	}
}

int text_file(const char *text, size_t length)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	if (fd < 0)
		abort();
	text_refill(fd, text, length);
	return fd;
}

size_t text_setting(const char *name, size_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : (size_t)strtoull(text, NULL, 10);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

struct json {
	const unsigned char *at, *end;
	unsigned int depth;
};

static bool take(struct json *j, char c)
{
	if (j->at == j->end || *j->at != (unsigned char)c)
		return false;
	j->at++;
	return true;
}

static void skip_blanks(struct json *j)
{
	while (take(j, ' ') || take(j, '\t') || take(j, '\n') || take(j, '\r'))
		;
}

static bool take_word(struct json *j, const char *word)
{
	size_t length = strlen(word);

	if ((size_t)(j->end - j->at) < length || memcmp(j->at, word, length) != 0)
		return false;
	j->at += length;
	return true;
}

static bool take_digits(struct json *j)
{
	const unsigned char *from = j->at;

	while (j->at < j->end && *j->at >= '0' && *j->at <= '9')
		j->at++;
	return j->at != from;
}

static bool take_number(struct json *j)
{
	take(j, '-');
	if (!take(j, '0') && !take_digits(j))
		return false;
	if (take(j, '.') && !take_digits(j))
		return false;
	if (take(j, 'e') || take(j, 'E')) {
		if (!take(j, '+'))
			take(j, '-');
		return take_digits(j);
	}
	return true;
}

static bool take_escape(struct json *j)
{
	if (take(j, 'u')) {
		for (int i = 0; i < 4; i++) {
			if (j->at == j->end || strchr("0123456789abcdefABCDEF", *j->at) == NULL ||
			    *j->at == 0)
				return false;
			j->at++;
		}
		return true;
	}
	if (j->at == j->end || *j->at == 0 || strchr("\"\\/bfnrt", *j->at) == NULL)
		return false;
	j->at++;
	return true;
}

/* One character of more than one byte. */
static bool take_wide(struct json *j)
{
	unsigned char c = *j->at;
	size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	unsigned int least = size == 4 ? 0x10000 : size == 3 ? 0x800 : 0x80;
	unsigned int code = c & (0xffu >> (size + 1));

	if (c < 0xc0 || c > 0xf7 || (size_t)(j->end - j->at) < size)
		return false;
	for (size_t i = 1; i < size; i++) {
		if ((j->at[i] & 0xc0) != 0x80)
			return false;
		code = code << 6 | (j->at[i] & 0x3fu);
	}
	if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return false;
	j->at += size;
	return true;
}

static bool take_string(struct json *j)
{
	if (!take(j, '"'))
		return false;
	while (j->at < j->end && *j->at != '"') {
		if (take(j, '\\')) {
			if (!take_escape(j))
				return false;
		} else if (*j->at < 0x20) {
			return false;
		} else if (*j->at < 0x80) {
			j->at++;
		} else if (!take_wide(j)) {
			return false;
		}
	}
	return take(j, '"');
}

static bool take_value(struct json *j);

static bool take_members(struct json *j, bool named, char close)
{
	if (j->depth++ > 64)
		return false;
	skip_blanks(j);
	bool closed = take(j, close);
	while (!closed) {
		if (named) {
			skip_blanks(j);
			if (!take_string(j))
				return false;
			skip_blanks(j);
			if (!take(j, ':'))
				return false;
		}
		if (!take_value(j))
			return false;
		closed = take(j, close);
		if (!closed && !take(j, ','))
			return false;
	}
	j->depth--;
	return true;
}

static bool take_value(struct json *j)
{
	bool good;

	skip_blanks(j);
	if (take(j, '{'))
		good = take_members(j, true, '}');
	else if (take(j, '['))
		good = take_members(j, false, ']');
	else if (j->at < j->end && *j->at == '"')
		good = take_string(j);
	else
		good = take_word(j, "null") || take_word(j, "true") || take_word(j, "false") ||
		       take_number(j);
	skip_blanks(j);
	return good;
}

bool text_is_json(const char *text, size_t length, size_t *ret_at)
{
	struct json j = { (const unsigned char *)text, (const unsigned char *)text + length, 0 };
	bool good = take_value(&j) && j.at == j.end;

	*ret_at = (size_t)(j.at - (const unsigned char *)text);
	return good;
}
