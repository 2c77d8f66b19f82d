/* SPDX-License-Identifier: MIT
 *
 * What a person, or a program, reads of a driven trace: the recorded call and the live answer side by
 * side, like a divergence of a replay.
 */
#include <stdio.h>
#include <string.h>

#include "cli/drive.h"
#include "cli/lines.h"
#include "core/buf.h"
#include "core/print.h"

#define MAX_TEXT ((size_t)1 << 30)

static void put_answer(struct tape_buf *buf, const char *label, const struct drive_call *call,
                       bool returned, CK_RV rv, const struct tape_value *out)
{
	tape_put_text(buf, label);
	tape_line_answer(buf, call->function, rv, returned ? out : NULL);
	tape_put_char(buf, '\n');
}

static void put_place(struct tape_buf *buf, const char *path, uint64_t line, uint64_t id)
{
	TAPE_PUT(buf, " (");
	tape_put_text(buf, path);
	tape_put_char(buf, ':');
	tape_put_decimal(buf, line);
	TAPE_PUT(buf, ", id ");
	tape_put_decimal(buf, id);
	TAPE_PUT(buf, ")\n");
}

static void put_begin(struct tape_buf *buf, uint64_t number, const char *name)
{
	TAPE_PUT(buf, "difference ");
	tape_put_decimal(buf, number);
	TAPE_PUT(buf, ": ");
	tape_put_text(buf, name);
	tape_put_char(buf, ' ');
}

static void put_sentence(struct tape_buf *buf, const struct drive_call *call, const char *kind,
                         const char *what)
{
	if (what != NULL) {
		tape_put_text(buf, what);
	} else if (strcmp(kind, "rv") == 0) {
		TAPE_PUT(buf, "returned ");
		tape_line_rv(buf, call->live_rv);
		TAPE_PUT(buf, ", not ");
		tape_line_rv(buf, call->rv);
	} else {
		TAPE_PUT(buf, "gave another ");
		tape_put_text(buf, call->where);
	}
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_member(struct tape_buf *buf, const char *name, const char *text)
{
	TAPE_PUT(buf, ", ");
	tape_put_quoted(buf, name, strlen(name));
	TAPE_PUT(buf, ": ");
	tape_put_quoted_lossy(buf, text, strlen(text));
}

static void put_json_begin(struct tape_buf *buf, uint64_t number, const char *kind,
                           const char *path, uint64_t line, uint64_t id)
{
	TAPE_PUT(buf, "{\"difference\": ");
	tape_put_decimal(buf, number);
	put_member(buf, "kind", kind);
	put_member(buf, "file", path);
	TAPE_PUT(buf, ", \"line\": ");
	tape_put_decimal(buf, line);
	TAPE_PUT(buf, ", \"id\": ");
	tape_put_decimal(buf, id);
}

static void put_json_answer(struct tape_buf *buf, const char *key, const struct drive_call *call,
                            bool returned, CK_RV rv, const struct tape_value *out)
{
	TAPE_PUT(buf, ", ");
	tape_put_quoted(buf, key, strlen(key));
	if (!returned) {
		TAPE_PUT(buf, ": null");
		return;
	}
	TAPE_PUT(buf, ": {\"rv\": ");
	tape_print_constant(buf, TAPE_G_CKR, rv);
	size_t end = buf->length;
	TAPE_PUT(buf, ", \"out\": ");
	if (!tape_print_values(buf, call->function, out, true))
		buf->length = end;
	tape_put_char(buf, '}');
}

static void put_json(struct tape_buf *buf, const struct drive *drive, const struct drive_call *call,
                     const char *kind, uint64_t number, const char *text)
{
	put_json_begin(buf, number, kind, drive->trace->path, call->item->line, call->item->id);
	put_member(buf, "call", call->function->name.text);
	if (call->where[0] != 0)
		put_member(buf, "where", call->where);
	TAPE_PUT(buf, ", \"in\": ");
	if (!tape_print_values(buf, call->function, call->in, false))
		TAPE_PUT(buf, "{}");
	put_json_answer(buf, "recorded", call, call->returned, call->rv, call->out);
	if (call->live_out != NULL)
		put_json_answer(buf, "live", call, true, call->live_rv, call->live_out);
	put_member(buf, "text", text);
	TAPE_PUT(buf, "}\n");
}

/* ---- all ------------------------------------------------------------------------------------- */

static void write_out(const struct tape_buf *buf)
{
	fwrite(buf->data, 1, buf->length, stdout);
	fflush(stdout);
}

void drive_tell(const struct drive *drive, const struct drive_call *call, const char *what)
{
	char room[4096];
	struct tape_buf buf;
	if (!drive->options->verbose || drive->options->json)
		return;
	tape_buf_init(&buf, room, sizeof(room), MAX_TEXT);
	tape_put_text(&buf, what == NULL ? "as recorded: " : "not issued: ");
	tape_line_call(&buf, call->function, call->in);
	if (what != NULL) {
		TAPE_PUT(&buf, ": ");
		tape_put_text(&buf, what);
		tape_put_char(&buf, '\n');
	} else {
		put_answer(&buf, " = ", call, true, call->live_rv, call->live_out);
	}
	write_out(&buf);
	tape_buf_done(&buf);
}

void drive_differ(struct drive *drive, const struct drive_call *call, const char *kind,
                  const char *what)
{
	char room[4096];
	char sentence_room[512];
	struct tape_buf buf;
	struct tape_buf sentence;
	uint64_t number = atomic_fetch_add(&drive->shared->differ, 1) + 1;
	tape_buf_init(&buf, room, sizeof(room), MAX_TEXT);
	tape_buf_init(&sentence, sentence_room, sizeof(sentence_room), sizeof(sentence_room));
	put_sentence(&sentence, call, kind, what);
	tape_put_char(&sentence, 0);
	if (drive->options->json) {
		put_json(&buf, drive, call, kind, number, sentence.data);
	} else {
		put_begin(&buf, number, call->function->name.text);
		tape_put_text(&buf, sentence.data);
		put_place(&buf, drive->trace->path, call->item->line, call->item->id);
		TAPE_PUT(&buf, "  call:     ");
		tape_line_call(&buf, call->function, call->in);
		tape_put_char(&buf, '\n');
		put_answer(&buf, "  recorded: ", call, call->returned, call->rv, call->out);
		if (call->live_out != NULL)
			put_answer(&buf, "  live:     ", call, true, call->live_rv, call->live_out);
	}
	write_out(&buf);
	tape_buf_done(&sentence);
	tape_buf_done(&buf);
}

void drive_publish(struct drive *drive, const struct drive_call *call)
{
	struct drive_slot *slot = drive->slot;
	struct tape_buf buf;
	slot->id = call->item->id;
	slot->line = call->item->line;
	slot->function = call->item->function;
	slot->returned = call->returned;
	tape_buf_init(&buf, slot->call, sizeof(slot->call) - 1, sizeof(slot->call) - 1);
	tape_line_call(&buf, call->function, call->in);
	slot->call[buf.length] = 0;
	tape_buf_init(&buf, slot->json, sizeof(slot->json) - 1, sizeof(slot->json) - 1);
	if (!tape_print_values(&buf, call->function, call->in, false))
		TAPE_PUT(&buf, "{}");
	slot->json[buf.failed ? 0 : buf.length] = 0;
}

void drive_differ_at(struct drive *drive, const struct drive_slot *slot, const char *kind,
                     const char *what)
{
	char room[4096];
	struct tape_buf buf;
	uint64_t number = atomic_fetch_add(&drive->shared->differ, 1) + 1;
	const char *name = tape_functions[slot->function].name.text;
	tape_buf_init(&buf, room, sizeof(room), MAX_TEXT);
	if (drive->options->json) {
		put_json_begin(&buf, number, kind, slot->path, slot->line, slot->id);
		put_member(&buf, "call", name);
		if (slot->json[0] != 0) {
			TAPE_PUT(&buf, ", \"in\": ");
			tape_put_text(&buf, slot->json);
		}
		TAPE_PUT(&buf, ", \"live\": null");
		put_member(&buf, "text", what);
		TAPE_PUT(&buf, "}\n");
	} else {
		put_begin(&buf, number, name);
		tape_put_text(&buf, what);
		put_place(&buf, slot->path, slot->line, slot->id);
		TAPE_PUT(&buf, "  call:     ");
		tape_put_text(&buf, slot->call);
		tape_put_char(&buf, '\n');
	}
	write_out(&buf);
	tape_buf_done(&buf);
}
