/* SPDX-License-Identifier: MIT */
#include "suites/report.h"

#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/system.h"
#include "suites/rules.h"

bool report_format_find(const char *name, enum report_format *ret_format)
{
	static const char *const names[] = { "text", "tap", "junit", "json" };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(names); i++)
		if (strcmp(names[i], name) == 0) {
			*ret_format = (enum report_format)i;
			return true;
		}
	return false;
}

static const char *const colours[] = { "", "", "\033[33m", "\033[31m", "\033[35m" };

/* ---- text ------------------------------------------------------------------------------------ */

static void clear_progress(const struct report *report)
{
	if (report->progress)
		fputs("\r\033[K", report->to);
}

static void show_progress(const struct report *report)
{
	if (!report->progress || report->done == report->total)
		return;
	uint64_t taken = tape_clock_monotonic() - report->began;
	uint64_t left = taken / report->done * (report->total - report->done);
	fprintf(report->to,
	        "%zu of %zu checks, %zu failed, %zu deviations, about %llu seconds left",
	        report->done, report->total, report->verdicts[VERDICT_FAIL],
	        report->verdicts[VERDICT_DEVIATION], (unsigned long long)left / 1000000000u + 1);
	fflush(report->to);
}

static void put_rule(FILE *to, unsigned int number)
{
	const struct rule *rule = rule_find(number);
	if (rule != NULL)
		fprintf(to, "            R-%03u %s (%s): %s\n", number, rule_strength_name(rule),
		        rule->sections, rule->sentence);
}

static uint64_t add_hash(uint64_t hash, const char *text, size_t length)
{
	/* FNV-1a */
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
	return hash;
}

/*
 * Whether a member of the family has shown the same finding: what goes wrong for one mechanism, function or
 * combination goes wrong for fifty.
 */
static bool was_shown(struct report *report, const struct result *result)
{
	const struct check_row *row = result->row;
	const char *slash = strrchr(row->name, '/');
	size_t length = slash == NULL ? strlen(row->name) : (size_t)(slash - row->name);
	if (slash == NULL || result->outcome.finding_count == 0)
		return false;
	const struct finding *finding = &result->outcome.findings[0];
	uint64_t hash = add_hash(0xcbf29ce484222325u, row->suite, strlen(row->suite));
	hash = add_hash(hash, row->name, length);
	hash = add_hash(hash + finding->rule, finding->text, strlen(finding->text)) | 1;
	for (size_t i = 0; i < REPORT_ALIKE; i++) {
		struct alike *alike = &report->alike[(hash + i) % REPORT_ALIKE];
		if (alike->hash == hash) {
			alike->more++;
			return true;
		}
		if (alike->hash == 0) {
			alike->hash = hash;
			snprintf(alike->name, sizeof(alike->name), "%s/%s", row->suite, row->name);
			return false;
		}
	}
	return false;
}

static void text_result(struct report *report, const struct result *result)
{
	const struct outcome *outcome = &result->outcome;
	FILE *to = report->to;
	bool colour = report->progress;
	if (!report->verbose && (outcome->verdict <= VERDICT_SKIP || was_shown(report, result)))
		return;
	fprintf(to, "%s%-9s%s %s/%s\n", colour ? colours[outcome->verdict] : "",
	        verdict_name(outcome->verdict), colour ? "\033[m" : "", result->row->suite,
	        result->row->name);
	if (outcome->reason[0] != 0)
		fprintf(to, "          %s\n", outcome->reason);
	for (size_t i = 0; i < outcome->finding_count; i++) {
		const struct finding *finding = &outcome->findings[i];
		fprintf(to, "          %s\n", finding->text);
		put_rule(to, finding->rule);
	}
	for (size_t i = 0; i < outcome->note_count; i++)
		fprintf(to, "          note: %s\n", outcome->notes[i]);
	if (result->trace[0] != 0) {
		char path[PATH_MAX];
		snprintf(path, sizeof(path), "%s/%s", report->evidence, result->trace);
		if (report->show_calls != NULL)
			report->show_calls(to, "            ", path);
		fprintf(to, "          evidence: %s\n", path);
	}
}

/* "the token does not list … for it" */
static void put_reason(char *to, size_t room, const char *reason)
{
	size_t used = 0;
	while (*reason != 0 && used + sizeof("…") < room) {
		size_t word = strcspn(reason, " ,:;()");
		bool name = strncmp(reason, "CKM_", 4) == 0 || strncmp(reason, "CKA_", 4) == 0 ||
		            strncmp(reason, "0x", 2) == 0;
		if (word == 0)
			to[used++] = *reason++;
		else if (name)
			used += (size_t)snprintf(to + used, room - used, "…");
		else
			used += (size_t)snprintf(to + used, room - used, "%.*s", (int)word, reason);
		reason += word;
		if (used >= room)
			used = room - 1;
	}
	to[used] = 0;
}

static void count_skip(struct report *report, const char *reason)
{
	char text[sizeof(report->skipped[0].reason)];
	put_reason(text, sizeof(text), reason);
	for (size_t i = 0; i < REPORT_REASONS; i++) {
		struct skipped *skipped = &report->skipped[i];
		if (skipped->count != 0 && strcmp(skipped->reason, text) != 0)
			continue;
		memcpy(skipped->reason, text, sizeof(text));
		skipped->count++;
		return;
	}
}

#define REASONS_SHOWN 6

static int by_count(const void *one, const void *two)
{
	size_t a = ((const struct skipped *)one)->count, b = ((const struct skipped *)two)->count;
	return a > b ? -1 : a < b;
}

static void text_skipped(struct report *report)
{
	size_t others = report->verdicts[VERDICT_SKIP];
	qsort(report->skipped, REPORT_REASONS, sizeof(report->skipped[0]), by_count);
	for (size_t i = 0; i < REASONS_SHOWN && report->skipped[i].count != 0; i++) {
		fprintf(report->to, "%7zu skipped: %s\n", report->skipped[i].count,
		        report->skipped[i].reason);
		others -= report->skipped[i].count;
	}
	if (others != 0)
		fprintf(report->to, "%7zu skipped for other reasons (-v shows them)\n", others);
}

/* A text of CK_INFO or CK_TOKEN_INFO without the blanks that fill it. */
static void put_padded(FILE *to, const CK_UTF8CHAR *text, int size)
{
	while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == 0))
		size--;
	fprintf(to, "%.*s", size, (const char *)text);
}

/* What was tried, in a line: "SoftHSM, Implementation of PKCS11, 2.6, slot 0, token 'lab', rules of 2.40". */
static void text_target(const struct report *report)
{
	const struct target *target = report->target;
	const CK_INFO *info = &target->info;
	put_padded(report->to, info->manufacturerID, sizeof(info->manufacturerID));
	fputs(", ", report->to);
	put_padded(report->to, info->libraryDescription, sizeof(info->libraryDescription));
	fprintf(report->to, ", %u.%u", info->libraryVersion.major, info->libraryVersion.minor);
	if (target->has_slot)
		fprintf(report->to, ", slot %lu", (unsigned long)target->slot);
	if (target->has_token) {
		fputs(", token '", report->to);
		put_padded(report->to, target->token_info.label, sizeof(target->token_info.label));
		fputc('\'', report->to);
	}
	fprintf(report->to, ", rules of %u.%u\n", target->spec >> 8, target->spec & 0xff);
}

static void text_end(struct report *report, size_t vanished)
{
	for (size_t i = 0; i < REPORT_ALIKE; i++)
		if (report->alike[i].more != 0)
			fprintf(report->to, "%zu more findings like that of %s\n",
			        report->alike[i].more, report->alike[i].name);
	uint64_t taken = tape_clock_monotonic() - report->began;
	text_skipped(report);
	if (report->target->initializes)
		text_target(report);
	fprintf(report->to,
	        "%zu checks in %llu.%llu s: %zu passed, %zu failed, %zu deviations, %zu skipped, "
	        "%zu "
	        "errors\n",
	        report->done, (unsigned long long)(taken / 1000000000u),
	        (unsigned long long)(taken / 100000000u % 10), report->verdicts[VERDICT_PASS],
	        report->verdicts[VERDICT_FAIL], report->verdicts[VERDICT_DEVIATION],
	        report->verdicts[VERDICT_SKIP], report->verdicts[VERDICT_ERROR]);
	if (report->left_out != 0)
		fprintf(report->to,
		        "not tried without --destructive, for they change the token: %zu\n",
		        report->left_out);
	if (report->kept)
		fprintf(report->to, "p11tape drive EVIDENCE -m %s repeats the calls of a finding\n",
		        report->target->module);
	if (report->known != NULL)
		fprintf(report->to, "beside %zu findings that are known; %zu known ones vanished\n",
		        report->known_count, vanished);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void put_json(struct tape_buf *buf, const char *key, const char *text)
{
	tape_put_quoted(buf, key, strlen(key));
	TAPE_PUT(buf, ": ");
	tape_put_quoted_lossy(buf, text, strlen(text));
}

/* One object a line. */
static void json_result(const struct report *report, const struct result *result)
{
	const struct outcome *outcome = &result->outcome;
	char name[CHECK_NAME_SIZE * 2], room[8192];
	struct tape_buf buf;
	tape_buf_init(&buf, room, sizeof(room), (size_t)1 << 20);
	snprintf(name, sizeof(name), "%s/%s", result->row->suite, result->row->name);
	TAPE_PUT(&buf, "{");
	put_json(&buf, "check", name);
	TAPE_PUT(&buf, ", ");
	put_json(&buf, "verdict", verdict_name(outcome->verdict));
	TAPE_PUT(&buf, ", ");
	put_json(&buf, "what", result->row->what);
	TAPE_PUT(&buf, ", \"rules\": [");
	for (size_t i = 0; i < CHECK_RULES && result->row->rules[i] != 0; i++) {
		if (i != 0)
			TAPE_PUT(&buf, ", ");
		tape_put_decimal(&buf, result->row->rules[i]);
	}
	TAPE_PUT(&buf, "], \"seconds\": ");
	tape_put_seconds(&buf, outcome->took, 6);
	TAPE_PUT(&buf, ", \"findings\": [");
	for (size_t i = 0; i < outcome->finding_count; i++) {
		const struct finding *finding = &outcome->findings[i];
		if (i != 0)
			TAPE_PUT(&buf, ", ");
		TAPE_PUT(&buf, "{\"rule\": ");
		tape_put_decimal(&buf, finding->rule);
		TAPE_PUT(&buf, ", ");
		put_json(&buf, "verdict", verdict_name(finding->verdict));
		TAPE_PUT(&buf, ", ");
		put_json(&buf, "seen", finding->text);
		TAPE_PUT(&buf, "}");
	}
	TAPE_PUT(&buf, "], \"notes\": [");
	for (size_t i = 0; i < outcome->note_count; i++) {
		if (i != 0)
			TAPE_PUT(&buf, ", ");
		tape_put_quoted_lossy(&buf, outcome->notes[i], strlen(outcome->notes[i]));
	}
	TAPE_PUT(&buf, "]");
	if (outcome->reason[0] != 0) {
		TAPE_PUT(&buf, ", ");
		put_json(&buf, "reason", outcome->reason);
	}
	if (result->trace[0] != 0) {
		TAPE_PUT(&buf, ", ");
		put_json(&buf, "evidence", result->trace);
	}
	TAPE_PUT(&buf, "}\n");
	fwrite(buf.data, 1, buf.length, report->to);
	tape_buf_done(&buf);
}

/* ---- TAP ------------------------------------------------------------------------------------- */

static void tap_result(const struct report *report, const struct result *result)
{
	const struct outcome *outcome = &result->outcome;
	bool bad = outcome->verdict == VERDICT_FAIL || outcome->verdict == VERDICT_ERROR;
	fprintf(report->to, "%sok %zu - %s/%s", bad ? "not " : "", report->done, result->row->suite,
	        result->row->name);
	if (outcome->verdict == VERDICT_SKIP)
		fprintf(report->to, " # SKIP %s", outcome->reason);
	fputc('\n', report->to);
	for (size_t i = 0; i < outcome->finding_count; i++)
		fprintf(report->to, "# %s: R-%03u: %s\n",
		        verdict_name(outcome->findings[i].verdict), outcome->findings[i].rule,
		        outcome->findings[i].text);
	if (outcome->verdict == VERDICT_ERROR)
		fprintf(report->to, "# error: %s\n", outcome->reason);
}

/* ---- JUnit ----------------------------------------------------------------------------------- */

static void put_xml(FILE *to, const char *text)
{
	for (; *text != 0; text++) {
		unsigned char c = (unsigned char)*text;
		if (c == '<')
			fputs("&lt;", to);
		else if (c == '>')
			fputs("&gt;", to);
		else if (c == '&')
			fputs("&amp;", to);
		else if (c == '"')
			fputs("&quot;", to);
		else if (c < 0x20 && c != '\n' && c != '\t')
			fputc('?', to);
		else
			fputc(c, to);
	}
}

static void junit_result(const struct report *report, const struct result *result)
{
	const struct outcome *outcome = &result->outcome;
	FILE *to = report->to;
	fprintf(to, "<testcase classname=\"");
	put_xml(to, result->row->suite);
	fprintf(to, "\" name=\"");
	put_xml(to, result->row->name);
	fprintf(to, "\" time=\"%llu.%06llu\">\n", (unsigned long long)(outcome->took / 1000000000u),
	        (unsigned long long)(outcome->took % 1000000000u / 1000u));
	for (size_t i = 0; i < outcome->finding_count; i++) {
		bool fails = outcome->findings[i].verdict == VERDICT_FAIL;
		fprintf(to, fails ? "<failure message=\"" : "<system-out>deviation: ");
		fprintf(to, "R-%03u: ", outcome->findings[i].rule);
		put_xml(to, outcome->findings[i].text);
		fprintf(to, fails ? "\"/>\n" : "</system-out>\n");
	}
	if (outcome->verdict == VERDICT_SKIP || outcome->verdict == VERDICT_ERROR) {
		fprintf(to, outcome->verdict == VERDICT_SKIP ? "<skipped message=\""
		                                             : "<error message=\"");
		put_xml(to, outcome->reason);
		fprintf(to, "\"/>\n");
	}
	fputs("</testcase>\n", to);
}

/* ---- all ------------------------------------------------------------------------------------- */

void report_begin(struct report *report)
{
	report->began = tape_clock_monotonic();
	if (report->format == REPORT_TAP)
		fprintf(report->to, "TAP version 13\n1..%zu\n", report->total);
	else if (report->format == REPORT_JUNIT)
		fprintf(report->to,
		        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"p11tape "
		        "check\" tests=\"%zu\">\n",
		        report->total);
}

void report_add(struct report *report, const struct result *result)
{
	bool known = report->known != NULL && baseline_meet(report->known, result);
	if (result->outcome.verdict == VERDICT_SKIP)
		count_skip(report, result->outcome.reason);
	report->done++;
	report->kept |= result->trace[0] != 0;
	if (known)
		report->known_count++;
	else
		report->verdicts[result->outcome.verdict]++;
	if (known && report->format == REPORT_TEXT && !report->verbose) {
		clear_progress(report);
		show_progress(report);
		return;
	}
	switch (report->format) {
	case REPORT_TEXT:
		clear_progress(report);
		text_result(report, result);
		show_progress(report);
		break;
	case REPORT_TAP:
		tap_result(report, result);
		break;
	case REPORT_JUNIT:
		junit_result(report, result);
		break;
	case REPORT_JSON:
		json_result(report, result);
		break;
	}
}

size_t report_end(struct report *report)
{
	size_t vanished = 0;
	for (size_t i = 0; report->known != NULL && i < report->known->count; i++) {
		const struct baseline_entry *entry = &report->known->entries[i];
		if (!entry->missed || entry->met)
			continue;
		vanished++;
		if (report->format == REPORT_TEXT)
			fprintf(report->to, "vanished  %s\n", entry->check);
	}
	if (report->format == REPORT_TEXT)
		text_end(report, vanished);
	else if (report->format == REPORT_JUNIT)
		fputs("</testsuite>\n", report->to);
	return vanished;
}
