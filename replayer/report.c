/* SPDX-License-Identifier: MIT */
#include "replayer/report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/derive.h"
#include "core/print.h"
#include "core/system.h"
#include "replayer/callers.h"
#include "replayer/engine.h"

/* How much of one call is shown on stderr; the report has all of it. */
#define SHOWN ((size_t)600)
#define MAX_REPORT ((size_t)64 * 1024 * 1024)

static const char *trace_path = "";
static const char *report_path = "";
static int report_fd = -1;
static dev_t report_device;
static ino_t report_inode;
static uint64_t divergences; /* of this process */
static bool with_backtrace;
static bool aborts;
static size_t seats; /* of the page */
static struct tape_progress private_page;
struct tape_progress *report_counters = &private_page;

static void write_all(int fd, const char *text, size_t length)
{
	int saved = errno;
	while (length != 0) {
		ssize_t done = tape_write_quietly(fd, text, length);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			break;
		text += done;
		length -= (size_t)done;
	}
	errno = saved;
}

static void open_report(void)
{
	struct stat status;
	report_fd = report_path[0] == 0
	                    ? -1
	                    : open(report_path,
	                           O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (report_fd >= 0 && report_fd < 64) {
		/* Out of the way of programs that count on low numbers. */
		int high = fcntl(report_fd, F_DUPFD_CLOEXEC, 64);
		if (high >= 0) {
			close(report_fd);
			report_fd = high;
		}
	}
	if (report_fd >= 0 && fstat(report_fd, &status) == 0) {
		report_device = status.st_dev;
		report_inode = status.st_ino;
	}
}

void report_open(const char *trace, const char *report, const char *page)
{
	trace_path = trace;
	report_path = report;
	open_report();
	int fd = page[0] == 0 ? -1 : open(page, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct stat status;
	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size >= TAPE_PROGRESS_SIZE) {
		size_t size = (size_t)status.st_size;
		void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (memory != MAP_FAILED) {
			report_counters = memory;
			size = (size - TAPE_PROGRESS_SIZE) / sizeof(struct tape_seat);
			if (report_counters->count <= size)
				seats = (size_t)report_counters->count;
		}
	}
	if (fd >= 0)
		close(fd);
}

void report_how(bool backtrace, bool wants_abort)
{
	with_backtrace = backtrace;
	aborts = wants_abort;
	if (backtrace)
		callers_prepare();
}

struct tape_seat *report_seats(size_t *ret_count)
{
	*ret_count = seats;
	return seats == 0 ? NULL : tape_progress_seats(report_counters);
}

void report_inherit(void)
{
	struct stat status;
	divergences = 0;
	/* A daemon closes all it has inherited, and the number may be another file's now. */
	if (report_fd >= 0 && (fstat(report_fd, &status) != 0 || status.st_dev != report_device ||
	                       status.st_ino != report_inode))
		open_report();
}

void report_close(void)
{
	if (report_fd >= 0)
		close(report_fd);
	report_fd = -1;
}

static const char *const kinds[] = {
	[REPORT_ARGUMENT] = "argument",     [REPORT_FUNCTION] = "function",
	[REPORT_PAST_END] = "past-end",     [REPORT_NO_RETURN] = "no-return",
	[REPORT_PARTIAL] = "partial",       [REPORT_NOTIFY] = "notify",
	[REPORT_DISCOVERY] = "discovery",   [REPORT_PROCESS] = "process",
	[REPORT_UNRECORDED] = "unrecorded", [REPORT_USED_UP] = "used-up",
	[REPORT_STATE] = "state",           [REPORT_ORDER] = "order",
	[REPORT_FORWARD] = "forward",
};

static void put_call(struct tape_buf *buf, const struct report_side *side)
{
	const struct tape_function *function = &tape_functions[side->function];
	tape_put(buf, function->name.text, function->name.length);
	tape_put_char(buf, ' ');
	if (!tape_print_values(buf, function, side->in, false))
		TAPE_PUT(buf, "{}");
}

/* One line of the human text, cut where it is long; never in the middle of a character. */
static void put_side(struct tape_buf *buf, const char *label, const struct report_side *side)
{
	tape_put_text(buf, label);
	if (side->in == NULL) {
		TAPE_PUT(buf, "nothing\n");
		return;
	}
	size_t begin = buf->length;
	put_call(buf, side);
	if (!buf->failed && buf->length - begin > SHOWN) {
		buf->length = begin + SHOWN;
		while (((unsigned char)buf->data[buf->length] & 0xc0) == 0x80)
			buf->length--;
		TAPE_PUT(buf, " …");
	}
	tape_put_char(buf, '\n');
}

/* A constant for people: print.c has it in quotes. */
static void put_constant(struct tape_buf *buf, enum tape_group group, uint64_t value)
{
	size_t begin = buf->length;
	tape_print_constant(buf, group, value);
	if (buf->failed || buf->data[begin] != '"')
		return;
	buf->length -= 2;
	memmove(buf->data + begin, buf->data + begin + 1, buf->length - begin);
}

static void put_notification(struct tape_buf *buf, const struct report *report)
{
	TAPE_PUT(buf, "Notify (");
	put_constant(buf, TAPE_G_CKN, report->event);
	TAPE_PUT(buf, ")");
	if (report->why != NULL) {
		TAPE_PUT(buf, ": ");
		tape_put_text(buf, report->why);
		return;
	}
	TAPE_PUT(buf, " answered ");
	put_constant(buf, TAPE_G_CKR, report->answers[1]);
	TAPE_PUT(buf, " where the recording has ");
	put_constant(buf, TAPE_G_CKR, report->answers[0]);
}

static void put_place(struct tape_buf *buf, uint64_t line, uint64_t id)
{
	tape_put_text(buf, trace_path);
	tape_put_char(buf, ':');
	tape_put_decimal(buf, line);
	if (id == 0)
		return;
	TAPE_PUT(buf, ", id ");
	tape_put_decimal(buf, id);
}

static const char *argument_name(const struct report *report, int argument)
{
	return tape_functions[report->actual.function]
	        .arguments[argument < 0 ? 0 : argument]
	        .key.text;
}

/* The last call that changed a scope, in the recording or here. */
static void put_cause(struct tape_buf *buf, const struct report_cause *cause)
{
	if (cause->line == 0) {
		TAPE_PUT(buf, "nothing");
		return;
	}
	tape_put_text(buf, cause->function);
	TAPE_PUT(buf, " (");
	put_place(buf, cause->line, 0);
	tape_put_char(buf, ')');
}

static void put_state(struct tape_buf *buf, const struct report *report)
{
	TAPE_PUT(buf, " was recorded in another state: ");
	tape_put_text(buf, report->scope);
	TAPE_PUT(buf, ", made what it was by ");
	put_cause(buf, &report->recorded_by);
	TAPE_PUT(buf, ", and here by ");
	put_cause(buf, &report->live_by);
}

static void put_nearest(struct tape_buf *buf, const struct report *report)
{
	for (size_t i = 0; i < report->near_count; i++) {
		const struct report_near *near = &report->nearest[i];
		put_side(buf, "  or:       ", &near->side);
		TAPE_PUT(buf, "            (");
		put_place(buf, near->line, near->id);
		if (near->argument >= 0) {
			TAPE_PUT(buf, ", another ");
			tape_put_text(buf, argument_name(report, near->argument));
		}
		TAPE_PUT(buf, ")\n");
	}
}

static void put_text(struct tape_buf *buf, const struct report *report, uint64_t number)
{
	TAPE_PUT(buf, "p11tape-replayer: divergence ");
	tape_put_decimal(buf, number);
	TAPE_PUT(buf, ": ");
	const char *called = report->kind == REPORT_NOTIFY
	                             ? NULL
	                             : tape_functions[report->actual.function].name.text;
	switch (report->kind) {
	case REPORT_NOTIFY:
		put_notification(buf, report);
		break;
	case REPORT_ARGUMENT:
		tape_put_text(buf, called);
		TAPE_PUT(buf, " was recorded with another ");
		tape_put_text(buf, argument_name(report, report->argument));
		break;
	case REPORT_FUNCTION:
		tape_put_text(buf, called);
		TAPE_PUT(buf, " was called where the recording has ");
		tape_put_text(buf, tape_functions[report->expected.function].name.text);
		break;
	case REPORT_PAST_END:
		tape_put_text(buf, called);
		TAPE_PUT(buf, " was called, but the recording has no further call");
		if (report->why != NULL) {
			tape_put_char(buf, ' ');
			tape_put_text(buf, report->why);
		}
		break;
	case REPORT_UNRECORDED:
		tape_put_text(buf, called);
		TAPE_PUT(buf, " was never recorded");
		if (report->line != 0) {
			TAPE_PUT(buf, " with this ");
			tape_put_text(buf, argument_name(report, report->argument));
		}
		break;
	case REPORT_USED_UP:
		tape_put_text(buf, called);
		TAPE_PUT(buf,
		         " was not recorded so often in this state: its last answer is used up");
		break;
	case REPORT_STATE:
		tape_put_text(buf, called);
		put_state(buf, report);
		break;
	default:
		tape_put_text(buf, called);
		TAPE_PUT(buf, ": ");
		tape_put_text(buf, report->why == NULL ? "it cannot be answered" : report->why);
		break;
	}
	if (report->line != 0) {
		TAPE_PUT(buf, " (");
		put_place(buf, report->line, report->id);
		tape_put_char(buf, ')');
	}
	tape_put_char(buf, '\n');
	if (report->key != NULL) {
		TAPE_PUT(buf, "  key:      ");
		tape_put_text(buf, report->key);
		tape_put_char(buf, '\n');
	}
	if (report->forward != NULL) {
		TAPE_PUT(buf, "  forward:  ");
		tape_put_text(buf, report->forward);
		tape_put_char(buf, '\n');
	}
	bool lenient = report->kind == REPORT_UNRECORDED || report->kind == REPORT_USED_UP ||
	               report->kind == REPORT_STATE;
	if (report->kind == REPORT_PAST_END || (lenient && report->line == 0)) {
		put_side(buf, "  called:   ", &report->actual);
	} else if (report->kind == REPORT_ARGUMENT || report->kind == REPORT_FUNCTION || lenient) {
		put_side(buf, "  recorded: ", &report->expected);
		put_nearest(buf, report);
		put_side(buf, "  called:   ", &report->actual);
	}
}

static void put_member(struct tape_buf *buf, const char *name, const struct report_side *side)
{
	if (side->in == NULL)
		return;
	TAPE_PUT(buf, ", ");
	tape_put_quoted(buf, name, strlen(name));
	TAPE_PUT(buf, ": {\"call\": ");
	const struct tape_function *function = &tape_functions[side->function];
	tape_put_quoted(buf, function->name.text, function->name.length);
	TAPE_PUT(buf, ", \"in\": ");
	if (!tape_print_values(buf, function, side->in, false))
		TAPE_PUT(buf, "{}");
	tape_put_char(buf, '}');
}

/* A call as the members of an object that stay open. */
static void put_cause_member(struct tape_buf *buf, const char *name,
                             const struct report_cause *cause)
{
	if (cause->line == 0)
		return;
	TAPE_PUT(buf, ", ");
	tape_put_quoted(buf, name, strlen(name));
	TAPE_PUT(buf, ": {\"call\": ");
	tape_put_quoted(buf, cause->function, strlen(cause->function));
	TAPE_PUT(buf, ", \"line\": ");
	tape_put_decimal(buf, cause->line);
	tape_put_char(buf, '}');
}

static void put_near_members(struct tape_buf *buf, const struct report *report)
{
	if (report->key != NULL) {
		TAPE_PUT(buf, ", \"no-key\": ");
		tape_put_quoted(buf, report->key, strlen(report->key));
	}
	if (report->forward != NULL) {
		TAPE_PUT(buf, ", \"no-forward\": ");
		tape_put_quoted_lossy(buf, report->forward, strlen(report->forward));
	}
	if (report->scope != NULL) {
		TAPE_PUT(buf, ", \"state\": {\"scope\": ");
		tape_put_quoted(buf, report->scope, strlen(report->scope));
		put_cause_member(buf, "recorded", &report->recorded_by);
		put_cause_member(buf, "here", &report->live_by);
		tape_put_char(buf, '}');
	}
	for (size_t i = 0; i < report->near_count; i++) {
		const struct report_near *near = &report->nearest[i];
		tape_put_text(buf, i == 0 ? ", \"nearest\": [{\"line\": " : ", {\"line\": ");
		tape_put_decimal(buf, near->line);
		TAPE_PUT(buf, ", \"id\": ");
		tape_put_decimal(buf, near->id);
		if (near->argument >= 0) {
			const char *name = argument_name(report, near->argument);
			TAPE_PUT(buf, ", \"argument\": ");
			tape_put_quoted(buf, name, strlen(name));
		}
		put_member(buf, "expected", &near->side);
		tape_put_text(buf, i + 1 == report->near_count ? "}]" : "}");
	}
}

static void put_answer(struct tape_buf *buf, const char *name, CK_NOTIFICATION event, CK_RV rv)
{
	TAPE_PUT(buf, ", ");
	tape_put_quoted(buf, name, strlen(name));
	TAPE_PUT(buf, ": {\"notify\": ");
	tape_print_constant(buf, TAPE_G_CKN, event);
	TAPE_PUT(buf, ", \"rv\": ");
	tape_print_constant(buf, TAPE_G_CKR, rv);
	tape_put_char(buf, '}');
}

/* A JSON string may hold newlines only escaped. */
static void put_json_text(struct tape_buf *buf, const char *text, size_t length)
{
	tape_put_char(buf, '"');
	for (size_t i = 0; i < length; i++) {
		if (text[i] == '\n') {
			TAPE_PUT(buf, "\\n");
			continue;
		}
		if (text[i] == '"' || text[i] == '\\')
			tape_put_char(buf, '\\');
		tape_put_char(buf, text[i]);
	}
	tape_put_char(buf, '"');
}

void report_divergence(const struct report *report)
{
	char text_room[4096];
	char line_room[4096];
	struct tape_buf text;
	struct tape_buf line;
	uint64_t number = atomic_fetch_add(&report_counters->diverged, 1) + 1;
	divergences++;

	tape_buf_init(&text, text_room, sizeof(text_room), MAX_REPORT);
	put_text(&text, report, number);
	if (with_backtrace)
		callers_put(&text, "  from:     ");
	write_all(STDERR_FILENO, text.data, text.length);
	if (report_fd >= 0) {
		tape_buf_init(&line, line_room, sizeof(line_room), MAX_REPORT);
		TAPE_PUT(&line, "{\"divergence\": ");
		tape_put_decimal(&line, number);
		TAPE_PUT(&line, ", \"kind\": ");
		tape_put_quoted(&line, kinds[report->kind], strlen(kinds[report->kind]));
		if (report->argument >= 0) {
			const struct tape_name *key = &tape_functions[report->actual.function]
			                                       .arguments[report->argument]
			                                       .key;
			TAPE_PUT(&line, ", \"argument\": ");
			tape_put_quoted(&line, key->text, key->length);
		}
		if (report->line != 0) {
			TAPE_PUT(&line, ", \"file\": ");
			tape_put_quoted_lossy(&line, trace_path, strlen(trace_path));
			TAPE_PUT(&line, ", \"line\": ");
			tape_put_decimal(&line, report->line);
			TAPE_PUT(&line, ", \"id\": ");
			tape_put_decimal(&line, report->id);
		}
		put_member(&line, "expected", &report->expected);
		put_member(&line, "actual", &report->actual);
		put_near_members(&line, report);
		if (report->kind == REPORT_NOTIFY && report->why == NULL) {
			put_answer(&line, "expected", report->event, report->answers[0]);
			put_answer(&line, "actual", report->event, report->answers[1]);
		}
		if (with_backtrace) {
			TAPE_PUT(&line, ", \"backtrace\": ");
			callers_put(&line, NULL);
		}
		TAPE_PUT(&line, ", \"text\": ");
		put_json_text(&line, text.data, text.length);
		TAPE_PUT(&line, "}\n");
		if (!line.failed)
			write_all(report_fd, line.data, line.length);
		tape_buf_done(&line);
	}
	tape_buf_done(&text);
	if (!aborts || divergences > 1)
		return;
	engine_leave();
	raise(SIGABRT);
	engine_enter();
}

static void report_sentence(const char *key, const char *sentence)
{
	char room[1024];
	struct tape_buf buf;
	tape_buf_init(&buf, room, sizeof(room), MAX_REPORT);
	TAPE_PUT(&buf, "{");
	tape_put_quoted(&buf, key, strlen(key));
	TAPE_PUT(&buf, ": ");
	tape_put_quoted_lossy(&buf, sentence, strlen(sentence));
	TAPE_PUT(&buf, "}\n");
	if (report_fd >= 0 && !buf.failed)
		write_all(report_fd, buf.data, buf.length);
	tape_buf_done(&buf);
}

static void say(const char *sentence)
{
	static const char prefix[] = "p11tape-replayer: ";
	char room[1024];
	struct tape_buf buf;
	tape_buf_init(&buf, room, sizeof(room), MAX_REPORT);
	tape_put(&buf, prefix, sizeof(prefix) - 1);
	tape_put_text(&buf, sentence);
	tape_put_char(&buf, '\n');
	write_all(STDERR_FILENO, buf.data, buf.length);
	tape_buf_done(&buf);
}

void report_failure(const char *sentence)
{
	say(sentence);
	atomic_store(&report_counters->failed, 1);
	report_sentence("failure", sentence);
}

void report_note(const char *sentence)
{
	say(sentence);
	report_sentence("note", sentence);
}

void report_derived(enum tape_function_id function, CK_RV rv, unsigned int leeway)
{
	char room[256];
	struct tape_buf buf;
	const bool code = (leeway & TAPE_LEEWAY_CODE) != 0;
	const bool length = (leeway & TAPE_LEEWAY_LENGTH) != 0;
	atomic_fetch_add(&report_counters->derived, 1);
	atomic_fetch_add(&report_counters->codes, code);
	atomic_fetch_add(&report_counters->lengths, length);
	if (leeway == 0 || report_fd < 0)
		return;
	tape_buf_init(&buf, room, sizeof(room), MAX_REPORT);
	TAPE_PUT(&buf, "{\"by-model\": ");
	tape_put_quoted(&buf, tape_functions[function].name.text,
	                tape_functions[function].name.length);
	TAPE_PUT(&buf, ", \"rv\": ");
	tape_print_constant(&buf, TAPE_G_CKR, rv);
	TAPE_PUT(&buf, ", \"text\": \"by model, ");
	tape_put_text(&buf, code && length ? "return code and length"
	                    : code         ? "return code"
	                                   : "length");
	TAPE_PUT(&buf, " may differ\"}\n");
	if (!buf.failed)
		write_all(report_fd, buf.data, buf.length);
	tape_buf_done(&buf);
}

/* What the whole replay has counted so far, if anything. */
static void put_total(struct tape_buf *buf, const char *key, const _Atomic uint64_t *counter)
{
	uint64_t count = atomic_load(counter);
	if (count == 0)
		return;
	tape_put_text(buf, key);
	tape_put_decimal(buf, count);
}

void report_summary(const char *trace, uint64_t served, uint64_t unused, uint64_t line)
{
	char room[1024];
	struct tape_buf buf;
	if (report_fd < 0)
		return;
	tape_buf_init(&buf, room, sizeof(room), MAX_REPORT);
	TAPE_PUT(&buf, "{\"summary\": {\"served\": ");
	tape_put_decimal(&buf, served);
	TAPE_PUT(&buf, ", \"unused\": ");
	tape_put_decimal(&buf, unused);
	if (line != 0) {
		TAPE_PUT(&buf, ", \"first-unused-line\": ");
		tape_put_decimal(&buf, line);
	}
	TAPE_PUT(&buf, ", \"divergences\": ");
	tape_put_decimal(&buf, divergences);
	put_total(&buf, ", \"made-up\": ", &report_counters->filled);
	put_total(&buf, ", \"again\": ", &report_counters->beyond);
	put_total(&buf, ", \"ended\": ", &report_counters->ended);
	put_total(&buf, ", \"by-model\": ", &report_counters->derived);
	put_total(&buf, ", \"by-key\": ", &report_counters->keyed);
	put_total(&buf, ", \"forwarded\": ", &report_counters->forwarded);
	TAPE_PUT(&buf, ", \"pid\": ");
	tape_put_decimal(&buf, (uint64_t)getpid());
	if (trace != NULL) {
		TAPE_PUT(&buf, ", \"trace\": ");
		tape_put_quoted_lossy(&buf, trace, strlen(trace));
	}
	TAPE_PUT(&buf, "}}\n");
	if (!buf.failed)
		write_all(report_fd, buf.data, buf.length);
	tape_buf_done(&buf);
}
