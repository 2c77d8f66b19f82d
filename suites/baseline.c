/* SPDX-License-Identifier: MIT */
#include "suites/baseline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/yaml_read.h"

#define FORMAT 1
#define MAX_MEMORY ((size_t)64 << 20)

void baseline_init(struct baseline *baseline)
{
	memset(baseline, 0, sizeof(*baseline));
	tape_arena_init(&baseline->arena, NULL, 0, MAX_MEMORY);
}

void baseline_done(struct baseline *baseline)
{
	tape_arena_done(&baseline->arena);
	free(baseline->entries);
	baseline->entries = NULL;
	baseline->count = baseline->room = 0;
}

static struct baseline_entry *new_entry(struct baseline *baseline)
{
	if (baseline->count == baseline->room) {
		size_t room = baseline->room == 0 ? 256 : 2 * baseline->room;
		struct baseline_entry *entries =
			realloc(baseline->entries, room * sizeof(*entries));
		if (entries == NULL)
			return NULL;
		baseline->entries = entries;
		baseline->room = room;
	}
	struct baseline_entry *entry = &baseline->entries[baseline->count];
	memset(entry, 0, sizeof(*entry));
	return entry;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int take_entry(struct baseline *baseline, const struct tape_node *item,
                      struct tape_error *error)
{
	const struct tape_node *check = tape_node_get(item, "check");
	const struct tape_node *verdict = tape_node_get(item, "verdict");
	struct baseline_entry *entry = new_entry(baseline);
	if (check == NULL || check->type != TAPE_NODE_SCALAR || verdict == NULL)
		return tape_error_set(error, TAPE_E_INVALID, item->line,
		                      "a finding of a baseline has a check and a verdict");
	if (entry == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, item->line, "out of memory");
	if (tape_node_is(verdict, "fail"))
		entry->verdict = VERDICT_FAIL;
	else if (tape_node_is(verdict, "deviation"))
		entry->verdict = VERDICT_DEVIATION;
	else
		return tape_error_set(error, TAPE_E_INVALID, verdict->line,
		                      "a baseline's verdict is fail or deviation");
	entry->check = tape_arena_copy(&baseline->arena, check->text, check->length);
	if (entry->check == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, item->line, "out of memory");
	baseline->count++;
	return 0;
}

static int read_items(struct baseline *baseline, struct tape_yaml *yaml, struct tape_error *error)
{
	struct tape_arena arena;
	struct tape_node *item;
	int result;
	bool first = true;
	tape_arena_init(&arena, NULL, 0, MAX_MEMORY);
	while ((result = tape_yaml_next(yaml, &arena, &item, error)) > 0) {
		uint64_t format;
		const struct tape_node *version = tape_node_get(item, "baseline");
		if (first &&
		    (version == NULL || !tape_node_number(version, &format) || format != FORMAT))
			result = tape_error_set(error, TAPE_E_INVALID, item->line,
			                        "this is no baseline of format %d", FORMAT);
		else if (!first)
			result = take_entry(baseline, item, error);
		if (result < 0)
			break;
		first = false;
		tape_arena_reset(&arena);
	}
	if (result == 0 && first)
		result = tape_error_set(error, TAPE_E_INVALID, 1,
		                        "this is no baseline: it is empty");
	tape_arena_done(&arena);
	return result;
}

int baseline_read(struct baseline *baseline, const char *path, struct tape_error *error)
{
	struct tape_yaml *yaml;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "it cannot be read: %s",
		                      strerror(errno));
	int result = tape_yaml_open(&yaml, fd, 0, UINT64_MAX, 1, error);
	if (result == 0) {
		result = read_items(baseline, yaml, error);
		tape_yaml_close(yaml);
	}
	close(fd);
	return result;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool is_of(const struct baseline_entry *entry, const struct check_row *row)
{
	size_t length = strlen(row->suite);
	return strncmp(entry->check, row->suite, length) == 0 && entry->check[length] == '/' &&
	       strcmp(entry->check + length + 1, row->name) == 0;
}

bool baseline_meet(struct baseline *baseline, const struct result *result)
{
	for (size_t i = 0; i < baseline->count; i++) {
		struct baseline_entry *entry = &baseline->entries[i];
		if (!is_of(entry, result->row))
			continue;
		if ((enum verdict)result->outcome.verdict == entry->verdict)
			return entry->met = true;
		/* What was not tried is neither here nor gone. */
		entry->missed |= result->outcome.verdict != VERDICT_SKIP;
		return false;
	}
	return false;
}

/* ---- writing --------------------------------------------------------------------------------- */

bool baseline_add(struct baseline *baseline, const struct result *result)
{
	const struct outcome *outcome = &result->outcome;
	char name[CHECK_NAME_SIZE * 2];
	if (outcome->verdict != VERDICT_FAIL && outcome->verdict != VERDICT_DEVIATION)
		return true;
	struct baseline_entry *entry = new_entry(baseline);
	if (entry == NULL)
		return false;
	/* The worst one; a crash comes after what was found before it. */
	const struct finding *finding = &outcome->findings[0];
	for (size_t i = 1; i < outcome->finding_count; i++)
		if (outcome->findings[i].verdict > finding->verdict)
			finding = &outcome->findings[i];
	snprintf(name, sizeof(name), "%s/%s", result->row->suite, result->row->name);
	entry->check = tape_arena_copy(&baseline->arena, name, strlen(name));
	entry->seen = tape_arena_copy(&baseline->arena, finding->text, strlen(finding->text));
	entry->verdict = (enum verdict)outcome->verdict;
	entry->rule = finding->rule;
	if (entry->check == NULL || entry->seen == NULL)
		return false;
	baseline->count++;
	return true;
}

static int by_name(const void *one, const void *two)
{
	const struct baseline_entry *a = one, *b = two;
	return strcmp(a->check, b->check);
}

static void put_text(struct tape_buf *buf, const char *key, const char *text, size_t length)
{
	tape_put_text(buf, key);
	tape_put_quoted_lossy(buf, text, length);
	tape_put_char(buf, '\n');
}

/* A blank-padded text of Cryptoki without its blanks. */
static size_t unpadded(const CK_UTF8CHAR *text, size_t size)
{
	while (size != 0 && (text[size - 1] == ' ' || text[size - 1] == 0))
		size--;
	return size;
}

int baseline_write(struct baseline *baseline, const char *path, const struct target *target,
                   struct tape_error *error)
{
	char room[4096], module[160];
	struct tape_buf buf;
	const CK_INFO *info = &target->info;
	tape_buf_init(&buf, room, sizeof(room), MAX_MEMORY);
	if (baseline->count != 0)
		qsort(baseline->entries, baseline->count, sizeof(*baseline->entries), by_name);
	snprintf(module, sizeof(module), "%.*s, %.*s, %u.%u",
	         (int)unpadded(info->manufacturerID, sizeof(info->manufacturerID)),
	         (const char *)info->manufacturerID,
	         (int)unpadded(info->libraryDescription, sizeof(info->libraryDescription)),
	         (const char *)info->libraryDescription, info->libraryVersion.major,
	         info->libraryVersion.minor);
	TAPE_PUT(&buf, "- baseline: 1\n");
	put_text(&buf, "  module: ", module, strlen(module));
	for (size_t i = 0; i < baseline->count; i++) {
		const struct baseline_entry *entry = &baseline->entries[i];
		char rule[32];
		tape_put_text(&buf, "- check: ");
		tape_put_text(&buf, entry->check);
		tape_put_text(&buf, "\n  verdict: ");
		tape_put_text(&buf, verdict_name(entry->verdict));
		snprintf(rule, sizeof(rule), "\n  rule: R-%03u", entry->rule);
		tape_put_text(&buf, entry->rule == 0 ? "" : rule);
		put_text(&buf, "\n  seen: ", entry->seen, strlen(entry->seen));
	}
	FILE *file = buf.failed ? NULL : fopen(path, "we");
	bool good = file != NULL && fwrite(buf.data, 1, buf.length, file) == buf.length;
	if (file != NULL)
		good = fclose(file) == 0 && good;
	tape_buf_done(&buf);
	return good ? 0
	            : tape_error_set(error, TAPE_E_SYSTEM, 0, "it cannot be written: %s",
	                             strerror(errno));
}
