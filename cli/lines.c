/* SPDX-License-Identifier: MIT */
#include "cli/lines.h"

#include "core/print.h"

/* How much of one line is shown. */
#define SHOWN ((size_t)600)

void tape_line_cut(struct tape_buf *buf, size_t begin)
{
	if (buf->failed || buf->length - begin <= SHOWN)
		return;
	buf->length = begin + SHOWN;
	while (((unsigned char)buf->data[buf->length] & 0xc0) == 0x80)
		buf->length--;
	TAPE_PUT(buf, " …");
}

void tape_line_call(struct tape_buf *buf, const struct tape_function *function,
                    const struct tape_value *in)
{
	size_t begin = buf->length;
	tape_put(buf, function->name.text, function->name.length);
	tape_put_char(buf, ' ');
	if (!tape_print_values(buf, function, in, false))
		TAPE_PUT(buf, "{}");
	tape_line_cut(buf, begin);
}

void tape_line_rv(struct tape_buf *buf, CK_RV rv)
{
	const struct tape_name *name = tape_constant_name(TAPE_G_CKR, rv);
	if (name != NULL)
		tape_put(buf, name->text, name->length);
	else
		tape_put_hexadecimal(buf, rv);
}

void tape_line_answer(struct tape_buf *buf, const struct tape_function *function, CK_RV rv,
                      const struct tape_value *out)
{
	size_t begin = buf->length;
	if (out == NULL) {
		TAPE_PUT(buf, "it did not return");
		return;
	}
	tape_line_rv(buf, rv);
	size_t end = buf->length;
	tape_put_char(buf, ' ');
	if (!tape_print_values(buf, function, out, true))
		buf->length = end;
	tape_line_cut(buf, begin);
}
