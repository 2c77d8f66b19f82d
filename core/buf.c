/* SPDX-License-Identifier: MIT */
#include "core/buf.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "core/system.h"

void tape_buf_init(struct tape_buf *buf, void *storage, size_t size, size_t limit)
{
	buf->data = buf->first = storage;
	buf->room = buf->first_room = size < limit ? size : limit;
	buf->length = 0;
	buf->limit = limit;
	buf->failed = false;
}

void tape_buf_done(struct tape_buf *buf)
{
	if (buf->data != buf->first)
		tape_pages_free(buf->data, buf->room);
	tape_buf_init(buf, buf->first, buf->first_room, buf->limit);
}

bool tape_buf_grow(struct tape_buf *buf, size_t more)
{
	if (buf->failed)
		return false;
	if (more > buf->limit || buf->length > buf->limit - more) {
		buf->failed = true;
		return false;
	}
	size_t wanted = buf->length + more;
	size_t room = buf->room < 32768 ? 65536 : buf->room * 2;
	/* The room is never more than the limit: that is all who appends looks at. */
	if (room > buf->limit)
		room = buf->limit;
	if (room < wanted)
		room = wanted;
	char *data = tape_pages_get(room);
	if (data == NULL) {
		buf->failed = true;
		return false;
	}
	if (buf->length != 0)
		memcpy(data, buf->data, buf->length);
	if (buf->data != buf->first)
		tape_pages_free(buf->data, buf->room);
	buf->data = data;
	buf->room = room;
	return true;
}

void tape_put_text(struct tape_buf *buf, const char *text)
{
	tape_put(buf, text, strlen(text));
}

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
			    "25262728293031323334353637383940414243444546474849"
			    "50515253545556575859606162636465666768697071727374"
			    "75767778798081828384858687888990919293949596979899";

/* Write `number` so that it ends at `end`; return where it begins. */
static char *decimal_before(char *end, uint64_t number)
{
	while (number >= 100) {
		const char *pair = pairs + (number % 100) * 2;
		number /= 100;
		*--end = pair[1];
		*--end = pair[0];
	}
	if (number >= 10) {
		*--end = pairs[number * 2 + 1];
		*--end = pairs[number * 2];
	} else {
		*--end = (char)('0' + number);
	}
	return end;
}

static size_t decimal_length(uint64_t number)
{
	size_t length = 1;
	while (number >= 10000) {
		number /= 10000;
		length += 4;
	}
	return length + (number >= 10) + (number >= 100) + (number >= 1000);
}

void tape_put_decimal(struct tape_buf *buf, uint64_t number)
{
	if (number < 10) {
		tape_put_char(buf, (char)('0' + number));
		return;
	}
	size_t length = decimal_length(number);
	if (TAPE_UNLIKELY(!tape_buf_need(buf, length)))
		return;
	decimal_before(buf->data + buf->length + length, number);
	buf->length += length;
}

static char *put_pair(char *to, uint32_t number)
{
	memcpy(to, &pairs[(size_t)number * 2], 2);
	return to + 2;
}

void tape_put_seconds(struct tape_buf *buf, uint64_t nanoseconds, unsigned int digits)
{
	if (nanoseconds >= 1000000000u) {
		tape_put_decimal(buf, nanoseconds / 1000000000u);
		nanoseconds %= 1000000000u;
	} else {
		tape_put_char(buf, '0');
	}
	if (TAPE_UNLIKELY(!tape_buf_need(buf, 10)))
		return;
	uint32_t fraction = (uint32_t)nanoseconds;
	char *at = buf->data + buf->length;
	*at++ = '.';
	if (digits == 6) {
		fraction /= 1000;
		at = put_pair(at, fraction / 10000);
	} else {
		*at++ = (char)('0' + fraction / 100000000);
		fraction %= 100000000;
		at = put_pair(at, fraction / 1000000);
		at = put_pair(at, fraction / 10000 % 100);
	}
	at = put_pair(at, fraction / 100 % 100);
	at = put_pair(at, fraction % 100);
	buf->length = (size_t)(at - buf->data);
}

static const char digits_of[] = "0123456789abcdef";

void tape_put_hexadecimal(struct tape_buf *buf, uint64_t number)
{
	char text[18];
	char *end = text + sizeof(text);
	char *at = end;
	do {
		*--at = digits_of[number & 15];
		number >>= 4;
	} while (number != 0);
	*--at = 'x';
	*--at = '0';
	tape_put(buf, at, (size_t)(end - at));
}

#ifdef __SSE2__
/* The digits of sixteen nibbles, one in each byte. */
static __m128i digits_of_nibbles(__m128i nibbles)
{
	__m128i letters = _mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9));
	__m128i digits = _mm_add_epi8(nibbles, _mm_set1_epi8('0'));
	return _mm_add_epi8(digits, _mm_and_si128(letters, _mm_set1_epi8('a' - '9' - 1)));
}

/* Payloads are most of what is written: sixteen bytes at a time. Returns how many it did. */
static size_t hex_blocks(char *to, const unsigned char *from, size_t size)
{
	const __m128i mask = _mm_set1_epi8(15);
	size_t done = 0;
	for (; size - done >= 16; done += 16) {
		__m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(from + done));
		__m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), mask);
		__m128i low = _mm_and_si128(bytes, mask);
		__m128i *out = (__m128i *)(void *)(to + 2 * done);
		_mm_storeu_si128(out, digits_of_nibbles(_mm_unpacklo_epi8(high, low)));
		_mm_storeu_si128(out + 1, digits_of_nibbles(_mm_unpackhi_epi8(high, low)));
	}
	return done;
}
#else
static size_t hex_blocks(char *to, const unsigned char *from, size_t size)
{
	(void)to;
	(void)from;
	(void)size;
	return 0;
}
#endif

void tape_put_hex(struct tape_buf *buf, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	if (size > SIZE_MAX / 2 || !tape_buf_need(buf, size * 2)) {
		buf->failed = true;
		return;
	}
	const unsigned char *from = bytes;
	char *to = buf->data + buf->length;
	for (size_t i = hex_blocks(to, from, size); i < size; i++) {
		to[2 * i] = digits_of[from[i] >> 4];
		to[2 * i + 1] = digits_of[from[i] & 15];
	}
	buf->length += size * 2;
}

/*
 * The length of the plain UTF-8 character at `text`, or 0 where there is none. Plain is what a
 * YAML 1.1 loader and a JSON parser both accept raw between double quotes (or escaped by us).
 */
static size_t plain_character(const unsigned char *text, size_t length)
{
	unsigned char c = text[0];
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	size_t size = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	if (c < 0xc2 || c > 0xf4 || size > length)
		return 0;
	uint32_t code = c & (0xffu >> (size + 1));
	for (size_t i = 1; i < size; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3fu);
	}
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	if (code < 0xa0 || code == 0x2028 || code == 0x2029 || code == 0xfeff)
		return 0;
	/* The last two of every plane are no characters. */
	return (code & 0xfffe) == 0xfffe ? 0 : size;
}

bool tape_text_is_plain(const void *text, size_t length)
{
	const unsigned char *at = text;
	const unsigned char *end = at + length;
	while (at < end) {
		if (*at >= 0x20 && *at < 0x7f) {
			at++;
			continue;
		}
		size_t size = plain_character(at, (size_t)(end - at));
		if (size == 0)
			return false;
		at += size;
	}
	return true;
}

void tape_put_quoted(struct tape_buf *buf, const char *text, size_t length)
{
	tape_put_char(buf, '"');
	size_t from = 0;
	for (size_t i = 0; i < length; i++) {
		if (text[i] != '"' && text[i] != '\\')
			continue;
		tape_put(buf, text + from, i - from);
		tape_put_char(buf, '\\');
		from = i;
	}
	tape_put(buf, text + from, length - from);
	tape_put_char(buf, '"');
}

void tape_put_quoted_lossy(struct tape_buf *buf, const char *text, size_t length)
{
	tape_put_char(buf, '"');
	for (size_t i = 0; i < length;) {
		size_t size = plain_character((const unsigned char *)text + i, length - i);
		if (size == 0) {
			TAPE_PUT(buf, "\xef\xbf\xbd");
			i++;
			continue;
		}
		if (text[i] == '"' || text[i] == '\\')
			tape_put_char(buf, '\\');
		tape_put(buf, text + i, size);
		i += size;
	}
	tape_put_char(buf, '"');
}
