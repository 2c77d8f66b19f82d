/* SPDX-License-Identifier: MIT
 *
 * Whatever bytes a trace consists of: reading it, both spellings of what was read, and decoding every
 * value end in a sentence or in success, never in a crash.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/parse.h"
#include "core/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const struct tape_header *header, const struct tape_item *item,
                   struct tape_arena *arena)
{
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_error error;
	struct tape_parse parse = { arena, header->names, &error };
	if (item->kind != TAPE_ITEM_CALL || item->function == TAPE_FN_COUNT)
		return;
	const struct tape_function *function = &tape_functions[item->function];
	if (tape_parse_in(&parse, function, item->in, item->line, in) == 0 && item->whole &&
	    tape_parse_out(&parse, function, item->out, item->line, in, out) < 0)
		return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	struct tape_reader *reader;
	struct tape_error error;
	struct tape_arena arena;
	struct tape_item item;
	struct tape_buf buf;
	int fd = memfd_create("trace", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	tape_arena_init(&arena, NULL, 0, (size_t)256 << 20);
	tape_buf_init(&buf, NULL, 0, (size_t)256 << 20);
	if (tape_reader_open(&reader, path, &error) == 0) {
		while (tape_reader_next(reader, &arena, &item, &error) > 0) {
			decode(tape_reader_header(reader), &item, &arena);
			tape_node_put_block(&buf, item.node);
			tape_node_put_line(&buf, item.node);
			buf.length = 0;
			tape_arena_reset(&arena);
		}
		tape_reader_close(reader);
	}
	tape_buf_done(&buf);
	tape_arena_done(&arena);
	close(fd);
	return 0;
}
