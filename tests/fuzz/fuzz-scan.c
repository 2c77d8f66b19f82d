/* SPDX-License-Identifier: MIT
 *
 * Whatever a trace consists of: what `p11tape drive` does with it before it calls anything, which is to look
 * through it and to make arguments of its calls, ends in a sentence or in success.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/halves.h"
#include "cli/scan.h"
#include "core/capture.h"
#include "core/parse.h"
#include "core/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find_secret(void *context, const struct tape_value *secret, const void **ret_bytes,
                        size_t *ret_length)
{
	(void)context;
	(void)secret;
	*ret_bytes = "1234";
	*ret_length = 4;
	return true;
}

/* Arguments in memory, and what is captured of them. */
static void make(const struct tape_item *item, const struct tape_node *names)
{
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value again[TAPE_MAX_ARGUMENTS];
	uintptr_t words[TAPE_MAX_WORDS];
	struct tape_error error;
	struct tape_arena arena;
	struct tape_stage stage = { .arena = &arena, .secret = find_secret, .fill = 0xa5 };
	struct tape_capture capture = { .arena = &arena, .snapshot = true };
	struct tape_parse parse = { &arena, names, &error };
	if (item->kind != TAPE_ITEM_CALL || item->function == TAPE_FN_COUNT)
		return;
	const struct tape_function *function = &tape_functions[item->function];
	tape_arena_init(&arena, NULL, 0, (size_t)16 << 20);
	memset(words, 0, sizeof(words));
	if (tape_parse_in(&parse, function, item->in, item->line, in) == 0 &&
	    tape_stage_in(&stage, function, in, words) == 0)
		tape_capture_in(&capture, function, words, again);
	tape_arena_done(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	struct tape_halves halves;
	struct tape_half *half;
	struct tape_error error;
	struct scan scan;
	int fd = memfd_create("trace", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (scan_read(&scan, path, &error) == 0) {
		(void)scan_object(&scan, 1, 1);
		(void)scan_label(&scan, 1);
	}
	scan_free(&scan);
	if (tape_halves_init(&halves, path, &error) == 0) {
		const struct tape_node *names = tape_reader_header(halves.reader)->names;
		while (tape_halves_next(&halves, &half, &error) > 0) {
			/* The names of a later load are in an item that is given back. */
			if (half->item.kind == TAPE_ITEM_HEADER)
				names = NULL;
			make(&half->item, names);
			tape_halves_give(&halves, half);
		}
		tape_halves_done(&halves);
	}
	close(fd);
	return 0;
}
