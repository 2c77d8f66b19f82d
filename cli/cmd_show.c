/* SPDX-License-Identifier: MIT
 *
 * p11tape show: a trace for reading, in the manner of strace: a call a line, printed when it
 * returns. Several traces are merged by time. How values look is describe.c's business.
 */
#include <fnmatch.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/halves.h"

static const char usage[] =
	"usage: p11tape show [options] TRACE…\n"
	"\n"
	"Prints traces for reading, a call a line, in the order of their returns:\n"
	"\n"
	"  C_Sign(hSession=2, pData=\"hello\", pSignature=[64]) = CKR_OK, pSignature=3045…\n"
	"\n"
	"Inputs stand in the parentheses, outputs behind the return value. [2] in front\n"
	"is the thread, once there are several; #58 is the id of a call that overlapped\n"
	"with others. What the module told the application in the meantime stands in front\n"
	"of the call, indented, as Notify. Several traces are merged by time.\n"
	"\n"
	"  -v, --verbose           everything, an argument a line\n"
	"  -s, --size N            print N bytes of a string, N elements of a list (32)\n"
	"  -r, --time              print the time since the beginning in front\n"
	"  -f, --follow            wait for more, until the trace ends\n"
	"      --color WHEN        auto, always or never\n"
	"\n"
	"  -e, --function PATTERN  only functions that match, such as 'C_Find*';\n"
	"                          '!C_Find*' leaves them out\n"
	"      --thread N          only this thread\n"
	"      --session N         only this session\n"
	"      --rv PATTERN        only these return values, such as '!CKR_OK'\n"
	"      --id A-B            only these calls\n"
	"      --help              print this\n"
	"\n"
	"--function and --rv may be given several times.\n";

/* How long --follow sleeps before it looks again. */
#define POLL_NANOSECONDS 200000000

#define MAX_PATTERNS 64

/* Bytes of a string and elements of a list that are printed by default: strace's number. */
#define DEFAULT_LIMIT 32

struct patterns {
	const char *text[MAX_PATTERNS];
	size_t count;
};

struct settings {
	struct tape_describe describe;
	struct patterns functions, rvs;
	bool time, follow, color;
	bool has_thread, has_session;
	uint64_t thread, session;
	uint64_t first_id, last_id;
};

/* What is known of an open call beside its first half. */
struct began {
	uint64_t number;   /* of the call in its trace */
	bool among_others; /* others were open when it began */
};

/* One trace, and the line of it that is to be printed next. */
struct source {
	struct tape_halves halves;
	struct tape_open open;
	const char *path;
	char *prefix;     /* program and process, where there are several traces */
	uint64_t started; /* nanoseconds since 1970, or 0 */
	uint64_t clock;   /* the monotonic clock then, in nanoseconds, or 0 */
	uint64_t base;    /* the first start of all traces */
	uint64_t calls;
	uint64_t first_thread;
	bool threads; /* a second thread was seen */
	bool ended;   /* there was an `end` for the last load */
	bool done;
	struct tape_half *end;    /* read, and printed only when what follows is known */
	struct tape_half *header; /* of the next part, read, and printed behind the part before */
	struct tape_buf line;
	uint64_t time; /* of the line, in nanoseconds since 1970 (or since the start) */
};

/* ---- filters --------------------------------------------------------------------------------- */

static bool add_pattern(struct patterns *patterns, const char *text)
{
	if (patterns->count == MAX_PATTERNS)
		return false;
	patterns->text[patterns->count++] = text;
	return true;
}

/* One of the patterns must match, if there are any; none of those with a `!` may. */
static bool matches(const struct patterns *patterns, const char *text)
{
	bool wanted = false;
	bool found = false;
	for (size_t i = 0; i < patterns->count; i++) {
		const char *pattern = patterns->text[i];
		bool negative = pattern[0] == '!';
		bool match = fnmatch(pattern + negative, text, 0) == 0;
		if (negative && match)
			return false;
		wanted = wanted || !negative;
		found = found || (!negative && match);
	}
	return found || !wanted;
}

/* The session that a call belongs to is an argument of its shape; C_OpenSession's is an output. */
static bool is_session(const struct tape_item *call, const struct tape_item *back, uint64_t session)
{
	if (call->kind == TAPE_ITEM_NOTIFY) {
		const struct tape_node *node = tape_node_get(call->in, "hSession");
		uint64_t number;
		return node != NULL && tape_node_number(node, &number) && number == session;
	}
	if (call->function == TAPE_FN_COUNT)
		return false;
	const struct tape_function *function = &tape_functions[call->function];
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		const struct tape_node *node = NULL;
		uint64_t number;
		if (argument->kind == TAPE_K_SESSION)
			node = tape_node_get(call->in, argument->key.text);
		else if (argument->kind == TAPE_K_OUT_SESSION && back != NULL)
			node = tape_node_get(back->out, argument->key.text);
		if (node != NULL && tape_node_number(node, &number) && number == session)
			return true;
	}
	return false;
}

/* `back` is NULL for a call that did not return. */
static bool is_wanted(const struct settings *settings, const struct tape_item *call,
                      const struct tape_item *back)
{
	const struct tape_node *rv = back == NULL ? NULL : tape_node_get(back->node, "rv");
	if (call->id < settings->first_id || call->id > settings->last_id)
		return false;
	if (settings->has_thread && call->thread != settings->thread)
		return false;
	if (settings->has_session && !is_session(call, back, settings->session))
		return false;
	return matches(&settings->functions, call->name) &&
	       matches(&settings->rvs, rv == NULL || rv->type != TAPE_NODE_SCALAR ? "?" : rv->text);
}

/* ---- lines ----------------------------------------------------------------------------------- */

enum paint { PLAIN, COMMENT, FUNCTION, GOOD, BAD, EVENT };

static void paint(const struct settings *settings, struct tape_buf *buf, enum paint paint)
{
	static const char *const codes[] = {
		[PLAIN] = "\033[0m", [COMMENT] = "\033[2m", [FUNCTION] = "\033[1m",
		[GOOD] = "\033[32m", [BAD] = "\033[31m",    [EVENT] = "\033[33m",
	};
	if (settings->color)
		tape_put_text(buf, codes[paint]);
}

/* The lines of a trace stand in its order, which traces are merged by: what did not return comes late. */
static void pass_time(struct source *source, uint64_t at)
{
	if (source->started + at > source->time)
		source->time = source->started + at;
}

/* Begin a line at `at` nanoseconds of the trace, if that is known. */
static void begin_line(const struct settings *settings, struct source *source, bool has_at,
                       uint64_t at, uint64_t thread)
{
	char text[32];
	if (has_at)
		pass_time(source, at);
	if (settings->time) {
		at += source->started - source->base;
		snprintf(text, sizeof(text), "%5" PRIu64 ".%06" PRIu64 " ", at / 1000000000,
		         at / 1000 % 1000000);
		tape_put_text(&source->line, has_at ? text : "             ");
	}
	if (source->prefix != NULL)
		tape_put_text(&source->line, source->prefix);
	if (source->threads && thread != 0 && !settings->describe.lines) {
		snprintf(text, sizeof(text), "[%" PRIu64 "] ", thread);
		tape_put_text(&source->line, text);
	}
}

/* A value that is ours, not Cryptoki's: text needs no quotes. */
static void put_word(struct tape_buf *buf, const struct tape_node *node)
{
	const struct tape_describe whole = { .limit = SIZE_MAX };
	if (node->type == TAPE_NODE_SCALAR)
		tape_describe_text(buf, node->text, node->length);
	else
		tape_describe_node(buf, &whole, node);
}

/* What the members from `node` on say beside the usual: (synthetic) (during #57). */
static void put_remarks(struct tape_buf *buf, const struct tape_node *node)
{
	static const char *const shown[] = { "call", "notify", "return", "id",   "at",  "thread",
		                             "in",   "out",    "rv",     "took", "last" };
	for (; node != NULL; node = node->next) {
		size_t i = 0;
		bool truth = false;
		while (i < TAPE_ARRAY_SIZE(shown) && strcmp(node->key, shown[i]) != 0)
			i++;
		if (i < TAPE_ARRAY_SIZE(shown) ||
		    (node->type != TAPE_NODE_SCALAR && node->count == 0))
			continue;
		TAPE_PUT(buf, " (");
		tape_describe_text(buf, node->key, node->key_length);
		if (!tape_node_boolean(node, &truth) || !truth) {
			bool call =
				strcmp(node->key, "during") == 0 || strcmp(node->key, "of") == 0;
			tape_put_text(buf, call ? " #" : ": ");
			put_word(buf, node);
		}
		tape_put_char(buf, ')');
	}
}

static void put_result(const struct settings *settings, struct tape_buf *buf,
                       const struct tape_item *back)
{
	const struct tape_node *rv = tape_node_get(back->node, "rv");
	TAPE_PUT(buf, " = ");
	paint(settings, buf, back->rv == CKR_OK ? GOOD : BAD);
	tape_describe_node(buf, &settings->describe, rv);
	paint(settings, buf, PLAIN);
}

static void put_took(const struct settings *settings, struct tape_buf *buf,
                     const struct tape_item *back)
{
	if (!back->has_took)
		return;
	paint(settings, buf, COMMENT);
	TAPE_PUT(buf, " <");
	tape_describe_duration(buf, back->took);
	tape_put_char(buf, '>');
	paint(settings, buf, PLAIN);
}

static void put_name(const struct settings *settings, struct tape_buf *buf,
                     const struct tape_item *call)
{
	paint(settings, buf, FUNCTION);
	tape_describe_text(buf, call->name, strlen(call->name));
	paint(settings, buf, PLAIN);
}

static void put_short(const struct settings *settings, struct tape_buf *buf,
                      const struct tape_item *call, const struct tape_item *back, bool with_id)
{
	if (with_id) {
		tape_put_char(buf, '#');
		tape_put_decimal(buf, call->id);
		tape_put_char(buf, ' ');
	}
	put_name(settings, buf, call);
	tape_put_char(buf, '(');
	tape_describe_in(buf, &settings->describe, call);
	if (call->kind == TAPE_ITEM_NOTIFY) {
		TAPE_PUT(buf, ", event=");
		put_word(buf, tape_node_get(call->node, "notify"));
	}
	tape_put_char(buf, ')');
	if (back == NULL) {
		paint(settings, buf, BAD);
		TAPE_PUT(buf, " = ? (did not return)");
		paint(settings, buf, PLAIN);
		put_remarks(buf, call->node->first);
		tape_put_char(buf, '\n');
		return;
	}
	put_result(settings, buf, back);
	if (back->out != NULL && back->out->first != NULL) {
		TAPE_PUT(buf, ", ");
		tape_describe_out(buf, &settings->describe, call, back);
	}
	put_took(settings, buf, back);
	put_remarks(buf, call->node->first);
	put_remarks(buf, back->node->first);
	tape_put_char(buf, '\n');
}

static void put_long(const struct settings *settings, struct tape_buf *buf,
                     const struct tape_item *call, const struct tape_item *back)
{
	char text[96];
	put_name(settings, buf, call);
	snprintf(text, sizeof(text), " #%" PRIu64 ", thread %" PRIu64 ", line %zu", call->id,
	         call->thread, call->line);
	tape_put_text(buf, text);
	if (call->has_at) {
		TAPE_PUT(buf, ", at ");
		tape_put_seconds(buf, call->at, 6);
		TAPE_PUT(buf, " s");
	}
	put_remarks(buf, call->node->first);
	tape_put_char(buf, '\n');
	tape_describe_in(buf, &settings->describe, call);
	if (call->kind == TAPE_ITEM_NOTIFY) {
		TAPE_PUT(buf, "  event = ");
		put_word(buf, tape_node_get(call->node, "notify"));
		tape_put_char(buf, '\n');
	}
	tape_put_char(buf, ' ');
	if (back == NULL) {
		TAPE_PUT(buf, " = ? (did not return)\n");
		return;
	}
	put_result(settings, buf, back);
	put_took(settings, buf, back);
	put_remarks(buf, back->node->first);
	tape_put_char(buf, '\n');
	tape_describe_out(buf, &settings->describe, call, back);
}

/* How many calls and notifications it stands inside of; none where they are not open. */
static unsigned int depth_of(const struct source *source, const struct tape_item *item)
{
	enum { DEEPEST = 16 };
	unsigned int depth = 0;
	while (item->during != 0 && depth < DEEPEST) {
		const struct tape_half *outer = tape_open_find(&source->open, item->during);
		if (outer == NULL)
			break;
		item = &outer->item;
		depth++;
	}
	return depth;
}

static void put_call(const struct settings *settings, struct source *source,
                     const struct tape_item *call, const struct tape_item *back, bool with_id)
{
	if (!is_wanted(settings, call, back))
		return;
	begin_line(settings, source, call->has_at, call->at, call->thread);
	for (unsigned int depth = depth_of(source, call); depth != 0 && !settings->describe.lines;
	     depth--)
		TAPE_PUT(&source->line, "  ");
	if (call->has_at && back != NULL && back->has_took)
		pass_time(source, call->at + back->took);
	if (settings->describe.lines)
		put_long(settings, &source->line, call, back);
	else
		put_short(settings, &source->line, call, back, with_id);
}

static const char *text_in(const struct tape_node *map, const char *key)
{
	const struct tape_node *node = tape_node_get(map, key);
	return node == NULL || node->type != TAPE_NODE_SCALAR ? "" : node->text;
}

/* # pkcs11-tool (pid 1234) → /usr/lib/softhsm/libsofthsm2.so, 2026-11-21T10:15:02.120394Z */
static void put_header(const struct settings *settings, struct source *source,
                       const struct tape_node *header)
{
	const struct tape_node *process = tape_node_get(header, "process");
	const struct {
		const char *before, *text, *after;
	} parts[] = {
		{ " ", text_in(process, "program"), "" },
		{ " (pid ", text_in(process, "pid"), ")" },
		{ " → ", text_in(tape_node_get(header, "module"), "path"), "" },
		{ ", ", text_in(header, "started"), "" },
		{ ", load ", text_in(header, "load"), "" },
	};
	struct tape_buf *buf = &source->line;
	paint(settings, buf, COMMENT);
	tape_put_char(buf, '#');
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(parts); i++) {
		if (parts[i].text[0] == '\0')
			continue;
		tape_put_text(buf, parts[i].before);
		tape_describe_text(buf, parts[i].text, strlen(parts[i].text));
		tape_put_text(buf, parts[i].after);
	}
	if (strcmp(text_in(header, "redact"), "none") == 0)
		TAPE_PUT(buf, ", PINs in the clear");
	paint(settings, buf, PLAIN);
	tape_put_char(buf, '\n');
}

/* --- gap: 12 (why: disk full) ---, and +++ end: unload +++ */
static void put_event(const struct settings *settings, struct source *source,
                      const struct tape_item *item)
{
	struct tape_buf *buf = &source->line;
	const char *fence = item->kind == TAPE_ITEM_END ? "+++" : "---";
	const struct tape_node *what = item->node->first;
	begin_line(settings, source, item->has_at, item->at, 0);
	paint(settings, buf, EVENT);
	tape_put_text(buf, fence);
	tape_put_char(buf, ' ');
	tape_describe_text(buf, what->key, what->key_length);
	TAPE_PUT(buf, ": ");
	put_word(buf, what);
	put_remarks(buf, what->next);
	tape_put_char(buf, ' ');
	tape_put_text(buf, fence);
	paint(settings, buf, PLAIN);
	tape_put_char(buf, '\n');
}

/* A return whose call is not known: it was lost, or given up. */
static void put_resumed(const struct settings *settings, struct source *source,
                        const struct tape_item *back)
{
	struct tape_buf *buf = &source->line;
	const struct tape_item unknown = { .id = back->id, .name = "?", .function = TAPE_FN_COUNT };
	if (!is_wanted(settings, &unknown, back))
		return;
	begin_line(settings, source, false, 0, 0);
	TAPE_PUT(buf, "<... #");
	tape_put_decimal(buf, back->id);
	TAPE_PUT(buf, " resumed>");
	put_result(settings, buf, back);
	if (back->out != NULL && back->out->first != NULL) {
		TAPE_PUT(buf, ", ");
		tape_describe_out(buf, &settings->describe, NULL, back);
	}
	put_took(settings, buf, back);
	tape_put_char(buf, '\n');
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Seconds and their fraction since 1970 as nanoseconds; 0 for what is no time. */
static uint64_t parse_time(const char *text)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (rest == NULL)
		return 0;
	time_t seconds = timegm(&tm);
	uint64_t nanoseconds = seconds < 0 ? 0 : (uint64_t)seconds * 1000000000;
	uint64_t unit = 100000000;
	for (rest += *rest == '.'; *rest >= '0' && *rest <= '9'; rest++, unit /= 10)
		nanoseconds += (uint64_t)(*rest - '0') * unit;
	return nanoseconds;
}

static void take_call(const struct settings *settings, struct source *source,
                      struct tape_half *half)
{
	struct began *began = tape_arena_get(tape_half_arena(half), sizeof(*began));
	if (source->calls == 0)
		source->first_thread = half->item.thread;
	if (half->item.thread != source->first_thread)
		source->threads = true;
	source->calls++;
	if (began != NULL)
		*began = (struct began){ source->calls, source->open.count != 0 };
	half->note = began;
	tape_open_add(&source->open, half);
	if (!tape_open_is_full(&source->open))
		return;
	struct tape_half *oldest = source->open.first;
	put_call(settings, source, &oldest->item, NULL, true);
	tape_open_remove(&source->open, oldest);
	tape_halves_give(&source->halves, oldest);
}

static void take_return(const struct settings *settings, struct source *source,
                        struct tape_half *half)
{
	struct tape_half *call = tape_open_find(&source->open, half->item.id);
	if (call == NULL) {
		put_resumed(settings, source, &half->item);
		return;
	}
	const struct began *began = call->note;
	bool overlapped = began == NULL || began->among_others || began->number != source->calls;
	tape_open_remove(&source->open, call);
	put_call(settings, source, &call->item, &half->item, overlapped);
	tape_halves_give(&source->halves, call);
}

/* What is still open did not return. */
static void put_open(const struct settings *settings, struct source *source)
{
	while (source->open.first != NULL) {
		struct tape_half *call = source->open.first;
		put_call(settings, source, &call->item, NULL, true);
		tape_open_remove(&source->open, call);
		tape_halves_give(&source->halves, call);
	}
}

static void put_end(const struct settings *settings, struct source *source)
{
	if (source->end == NULL)
		return;
	put_event(settings, source, &source->end->item);
	tape_halves_give(&source->halves, source->end);
	source->end = NULL;
}

static uint64_t clock_of(const struct tape_node *header)
{
	const struct tape_node *node = tape_node_get(header, "clock");
	uint64_t clock;
	return node != NULL && tape_node_seconds(node, &clock) ? clock : 0;
}

/* A part begins: in the time of the first one, where a clock that nobody sets says how much later. */
static void begin_part(struct source *source, const struct tape_node *header)
{
	uint64_t clock = clock_of(header);
	source->ended = false;
	if (clock != 0 && source->clock != 0)
		source->started += clock - source->clock;
	else
		source->started = parse_time(text_in(header, "started"));
	source->clock = clock;
	source->time = source->started;
}

static void take(const struct settings *settings, struct source *source, struct tape_half *half)
{
	bool begins = half->item.kind == TAPE_ITEM_HEADER;
	if (begins)
		put_open(settings, source);
	put_end(settings, source);
	if (begins && source->line.length != 0) {
		source->header = half;
		return;
	}
	switch (half->item.kind) {
	case TAPE_ITEM_CALL:
	case TAPE_ITEM_NOTIFY:
		take_call(settings, source, half);
		return;
	case TAPE_ITEM_END:
		source->end = half;
		source->ended = true;
		return;
	case TAPE_ITEM_RETURN:
		take_return(settings, source, half);
		break;
	case TAPE_ITEM_HEADER:
		begin_part(source, half->item.node);
		put_header(settings, source, half->item.node);
		break;
	case TAPE_ITEM_EVENT:
		put_event(settings, source, &half->item);
		break;
	}
	tape_halves_give(&source->halves, half);
}

/* Read until source->line has something to print. Returns 1, 0 at the end, or an error code. */
static int read_line(const struct settings *settings, struct source *source,
                     struct tape_error *error)
{
	struct tape_half *half = source->header;
	int result = 1;
	source->line.length = 0;
	source->header = NULL;
	if (half != NULL)
		take(settings, source, half);
	while (source->line.length == 0 &&
	       (result = tape_halves_next(&source->halves, &half, error)) > 0)
		take(settings, source, half);
	return source->line.length != 0 ? 1 : result;
}

/* The same, with what there is to say once everything is read. */
static int read_line_or_close(const struct settings *settings, struct source *source,
                              struct tape_error *error)
{
	if (source->done)
		return 0;
	int result = read_line(settings, source, error);
	if (result != 0)
		return result;
	source->done = true;
	put_open(settings, source);
	put_end(settings, source);
	if (source->calls == 0)
		TAPE_PUT(&source->line, "# no PKCS#11 call was recorded\n");
	return source->line.length != 0;
}

static bool write_line(struct source *source)
{
	if (source->line.failed)
		return false;
	fwrite(source->line.data, 1, source->line.length, stdout);
	return true;
}

static int no_memory(struct tape_error *error)
{
	return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
}

/* ---- one trace, several traces --------------------------------------------------------------- */

static int open_source(const struct settings *settings, struct source *source, const char *path,
                       struct tape_error *error)
{
	memset(source, 0, sizeof(*source));
	source->path = path;
	tape_buf_init(&source->line, NULL, 0, TAPE_MAX_ITEM);
	int result = tape_halves_init(&source->halves, path, error);
	if (result < 0)
		return result;
	const struct tape_header *header = tape_reader_header(source->halves.reader);
	source->started = source->time = parse_time(header->started);
	source->clock = clock_of(header->node);
	put_header(settings, source, header->node);
	return 0;
}

static void close_source(struct source *source)
{
	while (source->open.first != NULL) {
		struct tape_half *call = source->open.first;
		tape_open_remove(&source->open, call);
		tape_halves_give(&source->halves, call);
	}
	tape_halves_give(&source->halves, source->end);
	tape_halves_give(&source->halves, source->header);
	tape_halves_done(&source->halves);
	tape_buf_done(&source->line);
	free(source->prefix);
}

static void warn(const struct source *source)
{
	if (tape_reader_torn(source->halves.reader))
		tape_cli_warn("%s: the last line is torn: the recording was cut off in it",
		              source->path);
	else if (!source->ended)
		tape_cli_warn("%s: the end is missing: the program was killed, or still runs",
		              source->path);
}

/* The header's line is ready; print it, and everything behind it until the trace ends. */
static int follow(const struct settings *settings, struct source *source, struct tape_error *error)
{
	const struct timespec poll = { 0, POLL_NANOSECONDS };
	int result = 1;
	while (result > 0) {
		do {
			if (!write_line(source))
				return no_memory(error);
		} while ((result = read_line(settings, source, error)) > 0);
		if (result < 0 || source->end != NULL)
			break;
		fflush(stdout);
		while ((result = tape_halves_refresh(&source->halves, error)) == 0 &&
		       !ferror(stdout))
			nanosleep(&poll, NULL);
		source->line.length = 0;
	}
	if (result == 0 && read_line_or_close(settings, source, error) > 0 && !write_line(source))
		return no_memory(error);
	return result;
}

/*
 * Every source has its header's line ready. Prints the earliest line there is until all are done.
 * Returns the source that failed, or NULL.
 */
static struct source *merge(const struct settings *settings, struct source *sources, size_t count,
                            struct tape_error *error)
{
	for (;;) {
		struct source *next = NULL;
		for (size_t i = 0; i < count; i++)
			if (sources[i].line.length != 0 &&
			    (next == NULL || sources[i].time < next->time))
				next = &sources[i];
		if (next == NULL)
			return NULL;
		if (!write_line(next)) {
			no_memory(error);
			return next;
		}
		next->line.length = 0;
		if (read_line_or_close(settings, next, error) < 0)
			return next;
	}
}

static bool is_one_process(const struct source *a, const struct source *b)
{
	const struct tape_header *one = tape_reader_header(a->halves.reader);
	const struct tape_header *other = tape_reader_header(b->halves.reader);
	return one->pid == other->pid && one->start != 0 && one->start == other->start;
}

/* The traces of one process have one clock, to which the time of day adds only what was done to it. */
static void align(struct source *sources, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		size_t j = 0;
		while (j < i &&
		       (sources[j].clock == 0 || !is_one_process(&sources[i], &sources[j])))
			j++;
		if (j < i && sources[i].clock != 0)
			sources[i].started = sources[i].time =
				sources[j].started + sources[i].clock - sources[j].clock;
	}
}

static bool shares_process(const struct source *sources, size_t count, size_t index)
{
	for (size_t i = 0; i < count; i++)
		if (i != index && is_one_process(&sources[i], &sources[index]))
			return true;
	return false;
}

/* With several traces every line says whose it is, and times count from the first start. */
static bool tell_apart(struct source *sources, size_t count)
{
	uint64_t first = UINT64_MAX;
	align(sources, count);
	for (size_t i = 0; i < count; i++)
		if (sources[i].started < first)
			first = sources[i].started;
	for (size_t i = 0; i < count; i++) {
		const struct tape_header *header = tape_reader_header(sources[i].halves.reader);
		char pid[32];
		struct tape_buf buf;
		sources[i].base = first;
		if (count == 1)
			continue;
		snprintf(pid, sizeof(pid), header->pid == 0 ? " " : "[%" PRIu64 "] ", header->pid);
		tape_buf_init(&buf, NULL, 0, TAPE_MAX_ITEM);
		tape_describe_text(&buf, header->program, strlen(header->program));
		tape_put_text(&buf, pid);
		if (shares_process(sources, count, i)) {
			const char *slash = strrchr(header->module, '/');
			const char *name = slash == NULL ? header->module : slash + 1;
			tape_describe_text(&buf, name, strlen(name));
			tape_put_char(&buf, ' ');
		}
		sources[i].prefix = buf.failed ? NULL : strndup(buf.data, buf.length);
		tape_buf_done(&buf);
		if (sources[i].prefix == NULL)
			return false;
	}
	return true;
}

static int show(const struct settings *settings, struct source *sources, char **paths, size_t count)
{
	struct tape_error error = { 0 };
	struct source *failed = NULL;
	size_t opened = 0;
	while (opened < count && failed == NULL) {
		struct source *source = &sources[opened];
		if (open_source(settings, source, paths[opened++], &error) < 0)
			failed = source;
	}
	if (failed == NULL && !tell_apart(sources, count)) {
		failed = sources;
		no_memory(&error);
	}
	if (failed == NULL && settings->follow)
		failed = follow(settings, sources, &error) < 0 ? sources : NULL;
	else if (failed == NULL)
		failed = merge(settings, sources, count, &error);
	int status = failed == NULL ? TAPE_EXIT_GOOD : tape_cli_fail_at(failed->path, &error);
	fflush(stdout);
	for (size_t i = 0; i < opened; i++) {
		if (failed == NULL)
			warn(&sources[i]);
		close_source(&sources[i]);
	}
	return status;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool parse_ids(struct settings *settings, const char *text)
{
	char first[24];
	const char *dash = strchr(text, '-');
	size_t length = dash == NULL ? strlen(text) : (size_t)(dash - text);
	if (length >= sizeof(first))
		return false;
	memcpy(first, text, length);
	first[length] = '\0';
	if (!tape_cli_number(first, &settings->first_id))
		return false;
	settings->last_id = dash == NULL ? settings->first_id : UINT64_MAX;
	return dash == NULL || dash[1] == '\0' || tape_cli_number(dash + 1, &settings->last_id);
}

static bool parse_color(struct settings *settings, const char *when)
{
	const char *refused = getenv("NO_COLOR");
	if (strcmp(when, "always") == 0)
		settings->color = true;
	else if (strcmp(when, "never") == 0)
		settings->color = false;
	else if (strcmp(when, "auto") == 0)
		settings->color = isatty(STDOUT_FILENO) && (refused == NULL || refused[0] == '\0');
	else
		return false;
	return true;
}

static bool parse_size(struct settings *settings, const char *text)
{
	uint64_t size;
	if (!tape_cli_number(text, &size) || size > SIZE_MAX)
		return false;
	settings->describe.limit = (size_t)size;
	return true;
}

/* Take one option. Returns false where its argument is not what it should be. */
static bool take_option(struct settings *settings, int option, const char *argument)
{
	switch (option) {
	case 'v':
		settings->describe.lines = true;
		if (settings->describe.limit == DEFAULT_LIMIT)
			settings->describe.limit = SIZE_MAX;
		return true;
	case 's':
		return parse_size(settings, argument);
	case 'r':
		settings->time = true;
		return true;
	case 'f':
		settings->follow = true;
		return true;
	case 'C':
		return parse_color(settings, argument);
	case 'e':
		return add_pattern(&settings->functions, argument);
	case 'R':
		return add_pattern(&settings->rvs, argument);
	case 'T':
		settings->has_thread = true;
		return tape_cli_number(argument, &settings->thread);
	case 'S':
		settings->has_session = true;
		return tape_cli_number(argument, &settings->session);
	default:
		return parse_ids(settings, argument);
	}
}

int tape_cmd_show(int argc, char **argv)
{
	static const struct option options[] = {
		{ "verbose", no_argument, NULL, 'v' },
		{ "size", required_argument, NULL, 's' },
		{ "time", no_argument, NULL, 'r' },
		{ "follow", no_argument, NULL, 'f' },
		{ "color", required_argument, NULL, 'C' },
		{ "function", required_argument, NULL, 'e' },
		{ "thread", required_argument, NULL, 'T' },
		{ "session", required_argument, NULL, 'S' },
		{ "rv", required_argument, NULL, 'R' },
		{ "id", required_argument, NULL, 'I' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct settings settings = { .describe = { .limit = DEFAULT_LIMIT },
		                     .last_id = UINT64_MAX };
	int option;
	parse_color(&settings, "auto");
	while ((option = getopt_long(argc, argv, "vs:rfe:", options, NULL)) != -1) {
		if (option == 'h')
			return tape_cli_usage(usage);
		if (option == '?')
			return tape_cli_misused("show");
		if (!take_option(&settings, option, optarg))
			return tape_cli_fail("show: an option does not take '%s'; 'p11tape help "
			                     "show' says what it takes",
			                     optarg);
	}
	if (optind == argc)
		return tape_cli_fail("show: name a trace");
	size_t count = (size_t)(argc - optind);
	if (settings.follow && count != 1)
		return tape_cli_fail("show: --follow is for one trace");
	struct source *sources = calloc(count, sizeof(*sources));
	if (sources == NULL)
		return tape_cli_fail("out of memory");
	int status = show(&settings, sources, argv + optind, count);
	free(sources);
	return status;
}
