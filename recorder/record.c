/* SPDX-License-Identifier: MIT */
#include "recorder/record.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "core/call.h"
#include "core/print.h"
#include "core/redact.h"
#include "core/system.h"
#include "core/trace.h"
#include "recorder/calendar.h"
#include "recorder/discovery.h"
#include "recorder/module.h"
#include "recorder/notify.h"
#include "recorder/objects.h"
#include "recorder/tape_file.h"
#include "recorder/tell.h"
#include "recorder/trampolines.h"

#ifndef TAPE_VERSION
#define TAPE_VERSION "0.0.0"
#endif

/* One line and what is captured for it, at the most; beyond it a half says that it is partial. */
#define LINE_LIMIT ((size_t)1 << (sizeof(size_t) > 4 ? 30 : 27))
#define MEMORY_LIMIT ((size_t)1 << (sizeof(size_t) > 4 ? 30 : 27))

/* Sessions whose message parameters are known; and open calls that an `end` lists. */
#define MAX_MESSAGES 64
#define MAX_OPEN 64

static struct tape_file file = { .fd = TAPE_FILE_CLOSED };
static struct tape_part part;     /* the one that is being written; its `last` is last_id */
static uint64_t part_began;       /* monotonic */
static uint64_t part_started;     /* the same moment, since 1970 */
static unsigned int parts;        /* begun by this process and its parents */
static pid_t part_pid;            /* the process that began it: in a child its recorded ancestor */
static atomic_size_t last_id;     /* goes on in children, so that no id means two calls */
static const char *_Atomic ended; /* why the end stands there already: it is said again later */
static unsigned int policy;
static struct tape_secrets secrets; /* children go on with their parent's names */

/* How long a thread is away at least if it has changed a limit, and how often it is looked at anyway. */
#define AWAY_NS 100u
#define LOOK_NS 100000u

struct tape_injections *tape_record_injections;

/*
 * Another file is begun when this one is large or old enough; and a file says whether calls are recorded. Both are
 * looked at when a call begins: `long_run` says that there is anything to look at.
 */
static const struct tape_heading *part_heading;
static bool long_run;
static bool part_first;
static size_t part_forked_after;
static _Atomic uint64_t file_bytes;   /* written to the file since it was begun */
static _Atomic uint64_t file_began;   /* monotonic */
static unsigned int file_number;      /* 1 for the first file of the part */
static _Atomic uint64_t control_seen; /* monotonic: when the file was looked at */
static atomic_bool off;               /* calls are not recorded now */
static _Atomic uint64_t passed;       /* calls that were not, since a gap said so */

/* How often the control file is looked at. */
#define CONTROL_NS UINT64_C(100000000)

static atomic_uint looked; /* at the limit of the file's size; nanoseconds, which wrap */

/* ---- message operations ---------------------------------------------------------------------- */

/*
 * Which parameter structure a session's message operation uses, as its Init call fixed it. A child
 * inherits its parent's sessions, hence this; an entry torn by the fork is at worst kept as bytes.
 */
static struct {
	CK_SESSION_HANDLE session;
	bool known; /* else the entry is free */
	bool seal;
	uint8_t record; /* enum tape_record_id */
} messages[MAX_MESSAGES];
static size_t oldest_message;

#define NO_MESSAGE UINT8_MAX
static uint8_t message_init[TAPE_FN_COUNT]; /* index of the argument that fixes it, by function */

static void find_message_inits(void)
{
	for (size_t f = 0; f < TAPE_FN_COUNT; f++) {
		message_init[f] = NO_MESSAGE;
		for (uint8_t i = 0; i < tape_functions[f].count; i++) {
			uint8_t kind = tape_functions[f].arguments[i].kind;
			if (kind == TAPE_K_MESSAGE_SEAL_INIT || kind == TAPE_K_MESSAGE_OPEN_INIT)
				message_init[f] = i;
		}
	}
}

static size_t find_message(CK_SESSION_HANDLE session, bool seal)
{
	size_t i = 0;
	while (i < MAX_MESSAGES &&
	       (!messages[i].known || messages[i].session != session || messages[i].seal != seal))
		i++;
	return i;
}

/*
 * A failed Init leaves an operation that goes on as it is; where there is none, programs that do not look
 * at what it returned go on with its parameter.
 */
static void note_message(struct tape_call *call, size_t index, bool good)
{
	const struct tape_function *function = call->function;
	const struct tape_value *value = &call->in[index];
	bool seal = function->arguments[index].kind == TAPE_K_MESSAGE_SEAL_INIT;
	bool begins = value->form == TAPE_V_MECHANISM; /* with NULL it cancels */
	enum tape_record_id record = TAPE_R_NONE;
	if (function->lane < 0)
		return;
	CK_SESSION_HANDLE session = call->words[function->arguments[function->lane].word];
	if (begins) {
		const struct tape_mechanism *row = tape_mechanism_find(value->tag);
		if (row != NULL)
			record = (enum tape_record_id)row->message_record;
	}
	tape_lock_take(&call->state->message_lock);
	size_t at = find_message(session, seal);
	if (at == MAX_MESSAGES && begins) {
		at = oldest_message++ % MAX_MESSAGES;
		good = true;
	}
	if (at != MAX_MESSAGES && good) {
		messages[at].known = false;
		messages[at].session = session;
		messages[at].seal = seal;
		messages[at].record = (uint8_t)record;
		messages[at].known = begins;
	}
	tape_lock_give(&call->state->message_lock);
}

static enum tape_record_id message_record(void *context, CK_SESSION_HANDLE session, bool seal)
{
	struct tape_state *state = context;
	enum tape_record_id record = TAPE_R_COUNT; /* nothing is known */
	tape_lock_take(&state->message_lock);
	size_t at = find_message(session, seal);
	if (at != MAX_MESSAGES)
		record = (enum tape_record_id)messages[at].record;
	tape_lock_give(&state->message_lock);
	return record;
}

/* ---- the header and the end ------------------------------------------------------------------ */

/* proc(5): the 22nd field of stat. The second one is a name in parentheses, with anything in it. */
#define START_FIELD 22

/* When this process began, in ticks since boot: with the process number it is nobody else. */
static uint64_t process_start(void)
{
	char text[1024];
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t got = read(fd, text, sizeof(text));
	close(fd);
	const char *at = got <= 0 ? NULL : memrchr(text, ')', (size_t)got);
	if (at == NULL)
		return 0;
	unsigned int field = 2;
	uint64_t number = 0;
	for (; at < text + got && field <= START_FIELD; at++) {
		if (*at == ' ')
			field++;
		else if (field == START_FIELD && *at >= '0' && *at <= '9')
			number = number * 10 + (uint64_t)(*at - '0');
	}
	return number;
}

static void put_header(struct tape_buf *buf, const struct tape_heading *heading,
                       const struct tape_origin *origin, bool first, size_t forked_after,
                       const char *continues)
{
	char started[TAPE_TIME_ISO];
	const char *separator = "";
	TAPE_PUT(buf, "- {\"p11tape\": ");
	tape_put_decimal(buf, TAPE_FORMAT_VERSION);
	TAPE_PUT(buf, ", \"version\": \"" TAPE_VERSION "\", \"started\": \"");
	tape_put(buf, started, tape_time_iso(started, part_started));
	TAPE_PUT(buf, "\", \"clock\": ");
	tape_put_seconds(buf, part_began, 9);
	TAPE_PUT(buf, ", ");
	tape_put_process(buf, origin);
	TAPE_PUT(buf, "\"parent\": ");
	tape_put_decimal(buf, (uint64_t)getppid());
	TAPE_PUT(buf, ", \"group\": ");
	tape_put_decimal(buf, (uint64_t)getpgrp());
	if (!first) {
		TAPE_PUT(buf, ", \"forked-from\": ");
		tape_put_decimal(buf, (uint64_t)part_pid);
		TAPE_PUT(buf, ", \"forked-after\": ");
		tape_put_decimal(buf, forked_after);
	}
	TAPE_PUT(buf, "}, ");
	if (part.load > 1) {
		TAPE_PUT(buf, "\"load\": ");
		tape_put_decimal(buf, part.load);
		TAPE_PUT(buf, ", ");
	}
	if (continues != NULL) {
		TAPE_PUT(buf, "\"continues\": ");
		tape_put_quoted_lossy(buf, continues, strlen(continues));
		TAPE_PUT(buf, ", ");
	}
	tape_put_module(buf, origin);
	TAPE_PUT(buf, ", \"exports\": [");
	for (size_t i = 0; i < TAPE_FN_COUNT; i++) {
		if (!heading->exports[i])
			continue;
		tape_put_text(buf, separator);
		tape_put_quoted(buf, tape_functions[i].name.text, tape_functions[i].name.length);
		separator = ", ";
	}
	TAPE_PUT(buf, "]");
	if (strcmp(heading->prefix, "C_") != 0) {
		TAPE_PUT(buf, ", \"prefix\": ");
		tape_put_quoted(buf, heading->prefix, strlen(heading->prefix));
	}
	TAPE_PUT(buf, "}, \"abi\": {\"ulong\": ");
	tape_put_decimal(buf, sizeof(CK_ULONG));
	TAPE_PUT(buf, ", \"packing\": \"natural\"}, \"redact\": \"");
	tape_put_text(buf, tape_redact_text(policy));
	TAPE_PUT(buf, "\"}\n");
}

static int prepare_secrets(struct tape_state *state, const struct tape_heading *heading, bool first,
                           struct tape_error *error)
{
	policy = heading->redact;
	secrets.lock = &state->secrets_lock;
	if (policy == TAPE_REDACT_NONE || !first ||
	    tape_secrets_init(&secrets, &state->secrets_lock) == 0)
		return 0;
	return tape_error_set(
		error, TAPE_E_SYSTEM, 0,
		"the system gives no random numbers (%s), without which secrets cannot be "
		"hidden; set P11TAPE_REDACT=none to record them",
		tape_errno_text(errno));
}

/*
 * `at` counts from what the header says in `started`, to the microsecond. The two clocks are read at one
 * moment: again where the thread had to wait between them.
 */
static void begin_time(void)
{
	uint64_t before, after;
	unsigned int tries = 0;
	do {
		before = tape_clock_monotonic();
		part_started = tape_clock_realtime();
		after = tape_clock_monotonic();
	} while (after - before > 2000 && ++tries < 10);
	part_began = before - part_started % 1000;
}

int tape_record_begin(struct tape_state *state, const struct tape_heading *heading, bool first,
                      struct tape_error *error)
{
	struct tape_origin origin = { heading->program, heading->module, getpid(),
		                      process_start() };
	size_t forked_after = atomic_load(&last_id);
	find_message_inits();
	atomic_store(&ended, NULL);
	begin_time();
	int result = prepare_secrets(state, heading, first, error);
	if (result == 0)
		result = tape_file_open(&file, heading->pattern, &origin, &part, error);
	if (result == 0) {
		char text[2048];
		struct tape_buf buf;
		if (part.last > forked_after)
			atomic_store(&last_id, (size_t)part.last);
		tape_buf_init(&buf, text, sizeof(text), 64 * sizeof(text));
		put_header(&buf, heading, &origin, first, forked_after, NULL);
		result = tape_file_begin(&file, &part, buf.data, buf.length, error);
		/* A child of a process that has no trace goes on from where that one did. */
		if (result == 0)
			part_pid = origin.pid;
		tape_buf_done(&buf);
	}
	if (result < 0 && first)
		return result;
	if (result < 0)
		tape_tell("%s; the calls of process %d go unrecorded", error->sentence,
		          (int)origin.pid);
	part_heading = heading;
	part_first = first;
	part_forked_after = forked_after;
	file_number = 1;
	atomic_store(&file_bytes, 0);
	atomic_store(&file_began, tape_clock_monotonic());
	long_run = heading->rotation.bytes != 0 || heading->rotation.nanoseconds != 0 ||
	           heading->control[0] != 0;
	atomic_store(&control_seen, 0);
	atomic_store(&passed, 0);
	atomic_store_explicit(&state->part, ++parts, memory_order_release);
	return 0;
}

static void write_lines(struct tape_state *state, const struct tape_buf *buf)
{
	tape_file_write(&file, &state->file_lock, buf->data, buf->length);
	if (TAPE_UNLIKELY(long_run))
		atomic_fetch_add_explicit(&file_bytes, buf->length, memory_order_relaxed);
}

/* Say how many calls went by while nothing was recorded. */
static void write_passed(struct tape_state *state)
{
	char text[128];
	struct tape_buf buf;
	uint64_t count = atomic_exchange(&passed, 0);
	if (count == 0)
		return;
	tape_buf_init(&buf, text, sizeof(text), sizeof(text));
	TAPE_PUT(&buf, "- {\"gap\": ");
	tape_put_decimal(&buf, count);
	TAPE_PUT(&buf, ", \"why\": \"off\"}\n");
	write_lines(state, &buf);
}

static void put_end(struct tape_buf *buf, struct tape_state *state, const char *why)
{
	struct tape_part now = { part.load, atomic_load(&last_id) };
	const char *separator = "";
	size_t count = 0;
	tape_put_end(buf, why, &now);
	TAPE_PUT(buf, ", \"open\": [");
	for (size_t i = 0; i < TAPE_THREADS; i++) {
		size_t id = atomic_load_explicit(&state->thread[i].open, memory_order_relaxed);
		if (id == 0 || ++count > MAX_OPEN)
			continue;
		tape_put_text(buf, separator);
		tape_put_decimal(buf, id);
		separator = ", ";
	}
	tape_put_char(buf, ']');
	if (count > MAX_OPEN || atomic_load(&state->unlisted) != 0)
		TAPE_PUT(buf, ", \"many\": true");
	TAPE_PUT(buf, "}\n");
}

void tape_record_end(struct tape_state *state, const char *why)
{
	char text[2048];
	struct tape_buf buf;
	if (!tape_file_is_open(&file))
		return;
	write_passed(state);
	tape_buf_init(&buf, text, sizeof(text), sizeof(text));
	put_end(&buf, state, why);
	tape_file_look(&file);
	tape_file_write(&file, &state->file_lock, buf.data, buf.length);
	tape_file_tell_lost(&file, &state->file_lock);
	atomic_store(&ended, why);
}

void tape_record_close(void)
{
	tape_file_close(&file);
	tape_secrets_done(&secrets);
}

bool tape_record_is_open(struct tape_state *state)
{
	bool open = atomic_load(&state->unlisted) != 0;
	for (size_t i = 0; i < TAPE_THREADS && !open; i++)
		open = atomic_load_explicit(&state->thread[i].open, memory_order_relaxed) != 0;
	return open;
}

void tape_record_passed_through(struct tape_state *state, const char *name)
{
	char text[1024];
	struct tape_buf buf;
	tape_buf_init(&buf, text, sizeof(text), sizeof(text));
	TAPE_PUT(&buf, "- {\"passed-through\": ");
	tape_put_quoted_lossy(&buf, name, strnlen(name, sizeof(text) / 4));
	TAPE_PUT(&buf, "}\n");
	tape_file_look(&file);
	tape_file_write(&file, &state->file_lock, buf.data, buf.length);
}

/* ---- long runs ------------------------------------------------------------------------------- */

static bool is_due(uint64_t now)
{
	const struct tape_rotation *rotation = &part_heading->rotation;
	return (rotation->bytes != 0 && atomic_load(&file_bytes) >= rotation->bytes) ||
	       (rotation->nanoseconds != 0 &&
	        now - atomic_load(&file_began) >= rotation->nanoseconds);
}

/*
 * Go on in another file. The descriptor stays the same one, so that a thread which is writing its line writes it
 * whole, into one file or the other. Where no file can be made, this one goes on.
 */
static TAPE_COLD void rotate(struct tape_state *state, uint64_t now)
{
	struct tape_origin origin = { part_heading->program, part_heading->module, getpid(),
		                      process_start() };
	char text[2048];
	struct tape_buf buf;
	tape_lock_take(&state->file_lock);
	if (is_due(now)) {
		char before[NAME_MAX + 1];
		tape_file_name(&file, before);
		tape_buf_init(&buf, text, sizeof(text), 64 * sizeof(text));
		put_header(&buf, part_heading, &origin, part_first, part_forked_after, before);
		size_t header = buf.length;
		put_end(&buf, state, "rotate");
		if (!buf.failed && tape_file_continue(&file, file_number + 1, buf.data, header,
		                                      buf.data + header, buf.length - header))
			file_number++;
		tape_buf_done(&buf);
		atomic_store(&file_bytes, 0);
		atomic_store(&file_began, now);
	}
	tape_lock_give(&state->file_lock);
}

/* What the control file says: "off" and "0" are no, and what is not there says nothing. */
static TAPE_COLD void look_at_control(uint64_t now)
{
	char word[4] = "";
	atomic_store_explicit(&control_seen, now, memory_order_relaxed);
	int fd = open(part_heading->control, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return;
	ssize_t got = read(fd, word, sizeof(word) - 1);
	close(fd);
	/* Empty while somebody is writing it. */
	if (got > 0)
		atomic_store(&off, word[0] == '0' || memcmp(word, "off", 3) == 0);
}

/* Whether a call that begins is recorded; another file is begun if it is time. */
static TAPE_COLD bool is_recorded(struct tape_state *state)
{
	uint64_t now = tape_clock_monotonic();
	bool looks = part_heading->control[0] != 0 &&
	             now - atomic_load_explicit(&control_seen, memory_order_relaxed) >= CONTROL_NS;
	/* To open a file is a cancellation point, where the program expects none. */
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (looks)
		look_at_control(now);
	bool recorded = !atomic_load(&off);
	if (!recorded) {
		atomic_fetch_add(&passed, 1);
	} else {
		write_passed(state);
		if (is_due(now))
			rotate(state, now);
	}
	pthread_setcancelstate(cancel, &cancel);
	return recorded;
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* How the first half of each function's calls begins, padded so that it is copied in one go. */
struct opening {
	char text[56];
	uint8_t length;
};

#define OPENING(name) "- {\"call\": \"" #name "\", \"id\": "
static const struct opening openings[TAPE_FN_COUNT] = {
#define CK_FN(name, major, minor, ...) \
	[TAPE_FN_##name] = { OPENING(name), sizeof(OPENING(name)) - 1 },
#include "core/api/functions.def"
#undef CK_FN
};

static void put_opening(struct tape_buf *buf, const struct opening *opening)
{
	/* Nothing is in the buffer yet, and it is larger than any opening. */
	memcpy(buf->data, opening->text, sizeof(opening->text));
	buf->length = opening->length;
}

/* Where memory ran out: what stands behind `keep` gives way to saying so. */
static void make_partial(struct tape_buf *buf, size_t keep)
{
	buf->failed = false;
	buf->length = keep;
	TAPE_PUT(buf, ", \"partial\": \"out of memory\"");
}

static void put_thread(struct tape_buf *buf, const struct tape_thread *thread)
{
	if (TAPE_LIKELY(thread != NULL && thread->number == 1))
		return;
	TAPE_PUT(buf, ", \"thread\": ");
	tape_put_decimal(buf, thread != NULL ? thread->number : (uint64_t)gettid());
}

static void put_during(struct tape_buf *buf, size_t outer)
{
	if (outer == 0)
		return;
	TAPE_PUT(buf, ", \"during\": ");
	tape_put_decimal(buf, outer);
}

/*
 * The notification inside which a call is made, or 0. Where the application left its function by
 * longjmp() or the like, the thread still says that it is in there: but what it calls later stands
 * higher up on the stack, or, deep enough, cannot be told from it.
 */
static size_t inside_notice(const struct tape_call *call)
{
	struct tape_thread *thread = call->thread;
	if (thread == NULL ||
	    atomic_load_explicit(&thread->notice, memory_order_relaxed) != call->outer)
		return 0;
	if ((uintptr_t)call < atomic_load_explicit(&thread->frame, memory_order_relaxed))
		return call->outer;
	atomic_store_explicit(&thread->notice, 0, memory_order_relaxed);
	return 0;
}

static void write_call(struct tape_call *call)
{
	const struct tape_function *function = call->function;
	struct tape_buf *buf = &call->buf;
	tape_buf_init(buf, call->line, sizeof(call->line), LINE_LIMIT);
	tape_arena_init(&call->arena, call->memory, sizeof(call->memory), MEMORY_LIMIT);
	call->capture.arena = &call->arena;
	call->capture.secrets = &secrets;
	call->capture.redact = policy;
	call->capture.snapshot = true;
	call->capture.images = true;
	call->capture.lost = false;
	call->capture.message_record = message_record;
	call->capture.object_class = tape_objects_class;
	call->capture.context = call->state;

	const struct opening *opening = &openings[function - tape_functions];
	put_opening(buf, opening);
	tape_put_decimal(buf, call->id);
	call->id_at = opening->length;
	call->id_length = (uint8_t)(buf->length - opening->length);
	TAPE_PUT(buf, ", \"at\": ");
	tape_put_seconds(buf, call->began - part_began, 9);
	put_thread(buf, call->thread);
	if (TAPE_UNLIKELY(call->outer != 0))
		put_during(buf, inside_notice(call));
	if (TAPE_UNLIKELY(call->synthetic))
		TAPE_PUT(buf, ", \"synthetic\": true");
	if (TAPE_UNLIKELY(call->injected != 0)) {
		TAPE_PUT(buf, ", \"injected\": \"");
		tape_inject_put(buf, tape_record_injections, call->injected);
		tape_put_char(buf, '"');
	}
	size_t keep = buf->length;
	TAPE_PUT(buf, ", \"in\": ");
	tape_capture_in(&call->capture, function, call->words, call->in);
	if (TAPE_UNLIKELY((policy & TAPE_REDACT_SECRET) == TAPE_REDACT_SECRET))
		tape_objects_enter(call);
	if (!tape_print_values(buf, function, call->in, false))
		buf->length = keep;
	if (TAPE_UNLIKELY(buf->failed))
		make_partial(buf, keep);
	TAPE_PUT(buf, "}\n");
	write_lines(call->state, buf);
}

static inline void put_rv(struct tape_buf *buf, CK_RV rv, uint64_t took)
{
	if (TAPE_LIKELY(rv == CKR_OK)) {
		TAPE_PUT(buf, ", \"rv\": \"CKR_OK\", \"took\": ");
	} else {
		TAPE_PUT(buf, ", \"rv\": ");
		tape_print_constant(buf, TAPE_G_CKR, rv);
		TAPE_PUT(buf, ", \"took\": ");
	}
	tape_put_seconds(buf, took, 9);
	TAPE_PUT(buf, "}\n");
}

/* The value by which outputs count: a call that was not made has none, whatever it returned. */
static inline CK_RV written(const struct tape_call *call, CK_RV rv)
{
	return TAPE_UNLIKELY(call->unmade) ? CKR_FUNCTION_FAILED : rv;
}

static void write_return(struct tape_call *call, CK_RV rv, uint64_t returned)
{
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_buf *buf = &call->buf;
	static const char opening[] = "- {\"return\": ";
	/* The number stands in the buffer still, farther back than here: nothing before it is longer. */
	memmove(buf->data + sizeof(opening) - 1, buf->data + call->id_at, call->id_length);
	memcpy(buf->data, opening, sizeof(opening) - 1);
	buf->length = sizeof(opening) - 1 + call->id_length;
	size_t keep = buf->length;
	TAPE_PUT(buf, ", \"out\": ");
	tape_capture_out(&call->capture, call->function, call->words, call->in, written(call, rv),
	                 out);
	if (TAPE_UNLIKELY((policy & TAPE_REDACT_SECRET) == TAPE_REDACT_SECRET))
		tape_objects_leave(call, out, written(call, rv));
	if (!tape_print_values(buf, call->function, out, true))
		buf->length = keep;
	if (TAPE_UNLIKELY(buf->failed))
		make_partial(buf, keep);
	put_rv(buf, rv, returned - call->began);
}

/*
 * A program may lower the limit of files' sizes between two calls. To look each time would cost half of what
 * a write does; but lowering it takes a system call, and where none can have been made, nothing has changed
 * but by another thread.
 */
static void look_at_limit(const struct tape_call *call)
{
	unsigned int now = (unsigned int)call->began;
	const struct tape_thread *thread = call->thread;
	if (TAPE_LIKELY(thread != NULL) &&
	    now - atomic_load_explicit(&thread->left, memory_order_relaxed) < AWAY_NS &&
	    now - atomic_load_explicit(&looked, memory_order_relaxed) < LOOK_NS)
		return;
	atomic_store_explicit(&looked, now, memory_order_relaxed);
	tape_file_look(&file);
}

static void open_call(struct tape_call *call)
{
	struct tape_thread *thread = tape_thread_find(call->state);
	call->thread = thread;
	call->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	call->outer =
		thread == NULL ? 0 : atomic_load_explicit(&thread->open, memory_order_relaxed);
	if (TAPE_UNLIKELY(thread == NULL || call->outer != 0))
		atomic_fetch_add(&call->state->unlisted, 1);
	if (thread != NULL)
		atomic_store_explicit(&thread->open, call->id, memory_order_relaxed);
}

static void close_call(struct tape_call *call)
{
	if (call->thread != NULL)
		atomic_store_explicit(&call->thread->open, call->outer, memory_order_relaxed);
	if (TAPE_UNLIKELY(call->thread == NULL || call->outer != 0))
		atomic_fetch_sub(&call->state->unlisted, 1);
}

/* ---- injection ------------------------------------------------------------------------------- */

/* The rules for a call, if there are any; a thread that has no number goes by its system's. */
static TAPE_COLD void choose_injections(struct tape_call *call)
{
	uint64_t number = 0;
	if (tape_record_injections->by_thread) {
		const struct tape_thread *thread = tape_thread_find(call->state);
		number = thread != NULL ? thread->number : (uint64_t)gettid();
	}
	call->injected =
		tape_inject_choose(tape_record_injections, call->function, call->words, number);
}

/* A call to the target that is not the trampoline's, and that gets the same stand-ins. */
struct detour {
	struct tape_call *call;
	tape_any_fn target;
};

static CK_RV make_call(void *context, const uintptr_t *words)
{
	struct detour *detour = context;
	struct tape_call *call = detour->call;
	const struct tape_function *function = call->function;
	enum tape_function_id id = (enum tape_function_id)(function - tape_functions);
	uintptr_t given[TAPE_MAX_WORDS];
	memcpy(given, words, function->words * sizeof(*given));
	for (size_t i = 0; i < function->count; i++) {
		uintptr_t *word = &given[function->arguments[i].word];
		CK_NOTIFY notify;
		if (function->arguments[i].kind != TAPE_K_NOTIFY)
			continue;
		memcpy(&notify, word, sizeof(notify));
		notify = tape_notify_stand_in(call, notify);
		memcpy(word, &notify, sizeof(notify));
	}
	return detour->target == NULL ? call->rv : tape_call(detour->target, id, given);
}

/* Answer a call by the rules that hold for it. */
static TAPE_COLD void inject(struct tape_call *call, tape_any_fn target)
{
	struct detour detour = { call, target };
	bool made;
	call->rv = tape_inject_call(tape_record_injections, call->injected, call->function,
	                            call->words, make_call, &detour, &made);
	call->unmade = !made;
}

/* ---- entering and leaving -------------------------------------------------------------------- */

tape_any_fn tape_record_enter(struct tape_call *call, unsigned int set, enum tape_function_id id,
                              const uintptr_t *words)
{
	int saved = errno;
	call->function = &tape_functions[id];
	call->words = words;
	call->part = 0;
	call->finds = false;
	call->synthetic = call->unmade = false;
	call->injected = 0;
	call->rv = CKR_GENERAL_ERROR;
	call->state = tape_state_current();
	if (TAPE_UNLIKELY(call->state == NULL)) {
		call->state = tape_module_start();
		if (call->state == NULL)
			goto out;
	}
	tape_any_fn target = atomic_load_explicit(&tape_targets[set][id], memory_order_relaxed);
	if (TAPE_UNLIKELY(call->function->finds || target == NULL)) {
		if (!tape_discovery_enter(call, &target)) {
			call->state = NULL;
			goto out;
		}
		call->synthetic = target == NULL;
	}
	if (TAPE_UNLIKELY(tape_record_injections != NULL))
		choose_injections(call);
	if (TAPE_LIKELY(tape_file_is_open(&file)) &&
	    (TAPE_LIKELY(!long_run) || is_recorded(call->state))) {
		call->part = atomic_load_explicit(&call->state->part, memory_order_relaxed);
		call->began = tape_clock_monotonic();
		open_call(call);
		look_at_limit(call);
		write_call(call);
	}
	if (TAPE_UNLIKELY(call->synthetic))
		call->rv = tape_discovery_answer(call);
	if (TAPE_UNLIKELY(call->injected != 0)) {
		errno = saved;
		inject(call, target);
		return NULL;
	}
	errno = saved;
	return target;
out:
	errno = saved;
	return NULL;
}

/* Say whether there is a first half to return to. A child that was forked behind it has none. */
static bool is_ours(struct tape_state *state, unsigned int its_part)
{
	return its_part != 0 && tape_state_current() == state &&
	       its_part == atomic_load_explicit(&state->part, memory_order_relaxed);
}

CK_RV tape_record_leave(struct tape_call *call, CK_RV rv)
{
	if (TAPE_UNLIKELY(call->state == NULL))
		return rv;
	int saved = errno;
	if (TAPE_UNLIKELY(call->finds))
		tape_discovery_leave(call, written(call, rv));
	if (TAPE_LIKELY(is_ours(call->state, call->part))) {
		uint64_t returned = tape_clock_monotonic();
		write_return(call, rv, returned);
		close_call(call);
		if (TAPE_UNLIKELY(returned - call->began > LOOK_NS))
			tape_file_look(&file);
		const char *why = atomic_load_explicit(&ended, memory_order_relaxed);
		if (TAPE_UNLIKELY(why != NULL))
			put_end(&call->buf, call->state, why);
		write_lines(call->state, &call->buf);
		size_t init = message_init[call->function - tape_functions];
		if (TAPE_UNLIKELY(init != NO_MESSAGE))
			note_message(call, init, written(call, rv) == CKR_OK);
		if (TAPE_LIKELY(call->thread != NULL))
			atomic_store_explicit(&call->thread->left,
			                      (unsigned int)tape_clock_monotonic(),
			                      memory_order_relaxed);
	}
	if (call->part != 0) {
		if (TAPE_UNLIKELY(call->buf.data != call->buf.first))
			tape_buf_done(&call->buf);
		if (TAPE_UNLIKELY(call->arena.chunks != NULL))
			tape_arena_done(&call->arena);
	}
	errno = saved;
	return rv;
}

/* ---- notifications --------------------------------------------------------------------------- */

/* A line of a notification, with room for an `end` behind it. */
#define NOTICE_ROOM 512
#define NOTICE_LIMIT 8192

static void open_notice(struct tape_notice *notice)
{
	struct tape_thread *thread = tape_thread_find(notice->state);
	notice->thread = thread;
	notice->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	notice->outer = notice->outer_notice = notice->outer_frame = 0;
	if (thread == NULL) {
		atomic_fetch_add(&notice->state->unlisted, 1);
		return;
	}
	notice->outer = atomic_load_explicit(&thread->open, memory_order_relaxed);
	notice->outer_notice = atomic_load_explicit(&thread->notice, memory_order_relaxed);
	notice->outer_frame = atomic_load_explicit(&thread->frame, memory_order_relaxed);
	if (notice->outer != 0)
		atomic_fetch_add(&notice->state->unlisted, 1);
	atomic_store_explicit(&thread->notice, notice->id, memory_order_relaxed);
	atomic_store_explicit(&thread->frame, (uintptr_t)notice, memory_order_relaxed);
	atomic_store_explicit(&thread->open, notice->id, memory_order_relaxed);
}

static void close_notice(struct tape_notice *notice)
{
	struct tape_thread *thread = notice->thread;
	if (thread != NULL) {
		atomic_store_explicit(&thread->open, notice->outer, memory_order_relaxed);
		atomic_store_explicit(&thread->notice, notice->outer_notice, memory_order_relaxed);
		atomic_store_explicit(&thread->frame, notice->outer_frame, memory_order_relaxed);
	}
	if (thread == NULL || notice->outer != 0)
		atomic_fetch_sub(&notice->state->unlisted, 1);
}

void tape_record_notice(struct tape_notice *notice, CK_SESSION_HANDLE session,
                        CK_NOTIFICATION event)
{
	char text[NOTICE_ROOM];
	struct tape_buf buf;
	int saved = errno;
	notice->part = 0;
	notice->state = tape_state_current();
	if (notice->state == NULL || !tape_file_is_open(&file))
		return;
	notice->part = atomic_load_explicit(&notice->state->part, memory_order_relaxed);
	notice->began = tape_clock_monotonic();
	open_notice(notice);
	tape_buf_init(&buf, text, sizeof(text), sizeof(text));
	TAPE_PUT(&buf, "- {\"notify\": ");
	tape_print_constant(&buf, TAPE_G_CKN, event);
	TAPE_PUT(&buf, ", \"id\": ");
	tape_put_decimal(&buf, notice->id);
	TAPE_PUT(&buf, ", \"at\": ");
	tape_put_seconds(&buf, notice->began - part_began, 6);
	put_thread(&buf, notice->thread);
	/* Inside a notification, but in no call: a thread that has left that one, and is the module's now. */
	if (notice->outer != notice->outer_notice)
		put_during(&buf, notice->outer);
	TAPE_PUT(&buf, ", \"in\": {\"hSession\": ");
	tape_print_number(&buf, session);
	TAPE_PUT(&buf, "}}\n");
	tape_file_write(&file, &notice->state->file_lock, buf.data, buf.length);
	errno = saved;
}

CK_RV tape_record_answer(struct tape_notice *notice, CK_RV rv)
{
	char text[NOTICE_ROOM];
	struct tape_buf buf;
	int saved = errno;
	if (!is_ours(notice->state, notice->part))
		return rv;
	uint64_t returned = tape_clock_monotonic();
	tape_buf_init(&buf, text, sizeof(text), NOTICE_LIMIT);
	TAPE_PUT(&buf, "- {\"return\": ");
	tape_put_decimal(&buf, notice->id);
	put_rv(&buf, rv, returned - notice->began);
	close_notice(notice);
	const char *why = atomic_load_explicit(&ended, memory_order_relaxed);
	if (why != NULL)
		put_end(&buf, notice->state, why);
	tape_file_write(&file, &notice->state->file_lock, buf.data, buf.length);
	tape_buf_done(&buf);
	errno = saved;
	return rv;
}
