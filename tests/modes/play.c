/* SPDX-License-Identifier: MIT */
#include "tests/modes/play.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/capture.h"
#include "core/parse.h"
#include "core/print.h"
#include "core/stage.h"

void play_fail(const char *format, ...)
{
	va_list list;
	/* Standard error is where the replayer speaks, and may go nowhere. */
	fputs("FAIL: ", stdout);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
	exit(1);
}

void *play_need(void *memory)
{
	if (memory == NULL)
		play_fail("out of memory");
	return memory;
}

/* ---- traces ---------------------------------------------------------------------------------- */

/* Outputs as text that lives in the arena. */
static const char *spell(struct tape_arena *arena, const struct tape_function *function,
                         const struct tape_value *out)
{
	struct tape_buf buf;
	char room[4096];
	tape_buf_init(&buf, room, sizeof(room), (size_t)1 << 28);
	(void)tape_print_values(&buf, function, out, true);
	const char *text = play_need(tape_arena_copy(arena, buf.data, buf.length));
	tape_buf_done(&buf);
	return text;
}

static void take_call(struct play_trace *trace, const struct tape_item *item)
{
	struct tape_error error = { 0 };
	struct tape_parse parse = { &trace->arena, tape_reader_header(trace->reader)->names,
		                    &error };
	if (item->function == TAPE_FN_COUNT || tape_functions[item->function].finds)
		return;
	if (trace->count == trace->room) {
		trace->room = trace->room == 0 ? 256 : trace->room * 2;
		trace->calls =
			play_need(realloc(trace->calls, trace->room * sizeof(*trace->calls)));
	}
	struct play_call *call = &trace->calls[trace->count++];
	*call = (struct play_call){ .function = &tape_functions[item->function],
		                    .id = item->id,
		                    .line = item->line,
		                    .item = trace->item_count - 1,
		                    .said = "" };
	call->in =
		play_need(tape_arena_array(&trace->arena, TAPE_MAX_ARGUMENTS, sizeof(*call->in)));
	if (tape_parse_in(&parse, call->function, item->in, item->line, call->in) < 0)
		play_fail("%s:%zu: %s", trace->path, item->line, error.sentence);
}

static void take_return(struct play_trace *trace, const struct tape_item *item)
{
	struct tape_error error = { 0 };
	struct tape_parse parse = { &trace->arena, tape_reader_header(trace->reader)->names,
		                    &error };
	struct play_call *call = NULL;
	for (size_t i = trace->count; i-- > 0 && call == NULL;)
		if (trace->calls[i].id == item->id)
			call = &trace->calls[i];
	if (call == NULL)
		return;
	call->out =
		play_need(tape_arena_array(&trace->arena, TAPE_MAX_ARGUMENTS, sizeof(*call->out)));
	if (tape_parse_out(&parse, call->function, item->out, item->line, call->in, call->out) < 0)
		play_fail("%s:%zu: %s", trace->path, item->line, error.sentence);
	call->returned = true;
	call->rv = item->rv;
	call->said = spell(&trace->arena, call->function, call->out);
}

void play_read(struct play_trace *trace, const char *path)
{
	struct tape_error error = { 0 };
	struct tape_item item;
	int result;
	memset(trace, 0, sizeof(*trace));
	trace->path = path;
	tape_arena_init(&trace->arena, NULL, 0, (size_t)1 << 30);
	if (tape_reader_open(&trace->reader, path, &error) < 0)
		play_fail("%s:%zu: %s", path, error.line, error.sentence);
	while ((result = tape_reader_next(trace->reader, &trace->arena, &item, &error)) > 0) {
		if (trace->item_count == trace->item_room) {
			trace->item_room = trace->item_room == 0 ? 256 : trace->item_room * 2;
			trace->items = play_need(
				realloc(trace->items, trace->item_room * sizeof(*trace->items)));
		}
		trace->items[trace->item_count++] = item;
		if (item.kind == TAPE_ITEM_CALL)
			take_call(trace, &item);
		if (item.kind == TAPE_ITEM_RETURN || (item.kind == TAPE_ITEM_CALL && item.whole))
			take_return(trace, &item);
	}
	if (result < 0)
		play_fail("%s:%zu: %s", path, error.line, error.sentence);
}

void play_done(struct play_trace *trace)
{
	tape_reader_close(trace->reader);
	tape_arena_done(&trace->arena);
	free(trace->items);
	free(trace->calls);
}

void play_write(const struct play_trace *trace, const char *path, size_t index,
                const struct tape_node *changed)
{
	struct tape_buf buf;
	FILE *file = fopen(path, "we");
	if (file == NULL)
		play_fail("%s: %s", path, strerror(errno));
	tape_buf_init(&buf, NULL, 0, (size_t)1 << 28);
	tape_node_put_line(&buf, tape_reader_header(trace->reader)->node);
	for (size_t i = 0; i < trace->item_count; i++) {
		const struct tape_node *node = i == index ? changed : trace->items[i].node;
		if (node != NULL)
			tape_node_put_line(&buf, node);
	}
	if (buf.failed || fwrite(buf.data, 1, buf.length, file) != buf.length || fclose(file) != 0)
		play_fail("%s cannot be written", path);
	tape_buf_done(&buf);
}

/* ---- answers --------------------------------------------------------------------------------- */

#define SAID_ROOM ((size_t)1 << 24)

struct play_answers *play_new_answers(size_t room)
{
	size_t size = sizeof(struct play_answers) + room * sizeof(struct play_answer) + SAID_ROOM;
	struct play_answers *answers = mmap(NULL, size, PROT_READ | PROT_WRITE,
	                                    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (answers == MAP_FAILED)
		play_fail("out of memory");
	answers->room = room;
	answers->said_room = SAID_ROOM;
	return answers;
}

static char *said_of(const struct play_answers *answers)
{
	return (char *)(uintptr_t)(answers->answers + answers->room);
}

const char *play_said(const struct play_answers *answers, size_t index)
{
	return said_of(answers) + answers->answers[index].said;
}

static uint32_t say(struct play_answers *answers, const char *text)
{
	size_t length = strlen(text) + 1;
	if (length > answers->said_room - answers->said)
		play_fail("there is no room for what was answered");
	memcpy(said_of(answers) + answers->said, text, length);
	answers->said += length;
	return (uint32_t)(answers->said - length);
}

/* ---- modules --------------------------------------------------------------------------------- */

void play_load(struct play_module *module, const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		play_fail("%s", dlerror());
	for (size_t i = 0; i < TAPE_FN_COUNT; i++)
		*(void **)&module->functions[i] = dlsym(library, tape_functions[i].name.text);
	module->report = -1;
}

void play_load_replayer(struct play_module *module, const char *trace, const char *mode,
                        const char *report)
{
	const char *replayer = getenv("P11TAPE_REPLAYER_SO");
	if (replayer == NULL)
		play_fail("P11TAPE_REPLAYER_SO is not set");
	setenv("P11TAPE_REPLAY", trace, 1);
	setenv("P11TAPE_REPLAY_MODE", mode, 1);
	setenv("P11TAPE_REPLAY_REPORT", report, 1);
	int file = open(report, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0)
		play_fail("%s: %s", report, strerror(errno));
	play_load(module, replayer);
	module->report = file;
}

static bool has(const char *text, ssize_t length, const char *word)
{
	return memmem(text, (size_t)length, word, strlen(word)) != NULL;
}

/* Take what was reported since this was last asked. */
static void take_report(const struct play_module *module, struct play_answer *answer)
{
	char text[65536];
	ssize_t got;
	/* A line of the report is one write. */
	while (module->report >= 0 && (got = read(module->report, text, sizeof(text))) > 0) {
		answer->diverged |= has(text, got, "\"divergence\":");
		answer->other_rv |= has(text, got, "\"text\": \"by model, return code");
		answer->other_length |= has(text, got, "length may differ\"}");
		if (has(text, got, "\"failure\":"))
			play_fail("the replayer refuses: %.*s", (int)got, text);
	}
}

/* What stands for a secret: one value for a name, as long as the trace says. */
static bool find_secret(void *context, const struct tape_value *secret, const void **ret_bytes,
                        size_t *ret_length)
{
	struct tape_arena *arena = context;
	size_t length = secret->stated ? (size_t)secret->number : secret->length;
	char *bytes = play_need(tape_arena_array(arena, length + 1, 1));
	for (size_t i = 0; i < length; i++)
		bytes[i] = ((const char *)secret->data)[(secret->length - 1 - i % secret->length)];
	*ret_bytes = bytes;
	*ret_length = length;
	return true;
}

static CK_RV notified(CK_SESSION_HANDLE session, CK_NOTIFICATION event, CK_VOID_PTR application)
{
	(void)session;
	(void)event;
	(void)application;
	return CKR_OK;
}

static CK_RV make_mutex(CK_VOID_PTR_PTR mutex)
{
	static char some;
	*mutex = &some;
	return CKR_OK;
}

static CK_RV use_mutex(CK_VOID_PTR mutex)
{
	(void)mutex;
	return CKR_OK;
}

/* What is staged asks here for both: the arena, and the handles. */
struct asking {
	struct tape_arena *arena;
	const struct play_handles *handles;
	const struct play_call *call;
};

static bool stage_secret(void *context, const struct tape_value *secret, const void **ret_bytes,
                         size_t *ret_length)
{
	const struct asking *asking = context;
	return find_secret(asking->arena, secret, ret_bytes, ret_length);
}

static uint64_t stage_handle(void *context, enum tape_kind kind, uint64_t recorded)
{
	const struct asking *asking = context;
	if (asking->handles == NULL || asking->handles->live == NULL)
		return recorded;
	return asking->handles->live(asking->handles->context, kind, recorded);
}

static enum tape_record_id find_record(void *context, CK_SESSION_HANDLE session, bool seal)
{
	const struct asking *asking = context;
	const struct play_call *call = asking->call;
	(void)session;
	(void)seal;
	for (size_t i = 0; i < call->function->count; i++)
		if (tape_shapes[call->function->arguments[i].kind].codec == TAPE_C_PARAMETER &&
		    call->in[i].form == TAPE_V_RECORD)
			return (enum tape_record_id)call->in[i].record;
	return TAPE_R_NONE;
}

void play_call(struct play_module *module, const struct play_call *call,
               const struct play_handles *handles, struct play_answers *answers, size_t index)
{
	struct play_answer *answer = &answers->answers[index];
	enum tape_function_id id = (enum tape_function_id)(call->function - tape_functions);
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	struct tape_arena arena;
	tape_arena_init(&arena, NULL, 0, (size_t)1 << 30);
	struct asking asking = { &arena, handles, call };
	struct tape_stage stage = { .arena = &arena,
		                    .mutexes = { .CreateMutex = make_mutex,
		                                 .DestroyMutex = use_mutex,
		                                 .LockMutex = use_mutex,
		                                 .UnlockMutex = use_mutex },
		                    .notify = notified,
		                    .secret = stage_secret,
		                    .handle = stage_handle,
		                    .fill = 0xa5,
		                    .context = &asking };
	struct tape_capture capture = {
		.arena = &arena, .snapshot = true, .message_record = find_record, .context = &asking
	};
	if (tape_stage_in(&stage, call->function, call->in, words) < 0)
		play_fail("line %zu: %s: %s", call->line, call->function->name.text,
		          stage.missing == NULL ? "out of memory" : stage.missing);
	if (module->functions[id] == NULL)
		play_fail("the module has no %s", call->function->name.text);
	tape_capture_in(&capture, call->function, words, in);
	answer->rv = tape_call(module->functions[id], id, words);
	take_report(module, answer);
	tape_capture_out(&capture, call->function, words, in, answer->rv, out);
	if (handles != NULL && handles->answered != NULL)
		handles->answered(handles->context, call, answer->rv, out);
	answer->said = say(answers, spell(&arena, call->function, out));
	answer->called = true;
	tape_arena_done(&arena);
}

/* ---- runs ------------------------------------------------------------------------------------ */

#define PATIENCE 10

static void play_all(const char *trace, const char *mode, const struct play_call *const *calls,
                     size_t count, const char *report, const struct play_handles *handles,
                     struct play_answers *answers)
{
	struct play_module module;
	/* What the replay says to people is in the report. */
	int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0)
		_exit(1);
	play_load_replayer(&module, trace, mode, report);
	for (size_t i = 0; i < count; i++) {
		alarm(PATIENCE);
		play_call(&module, calls[i], handles, answers, i);
	}
	alarm(0);
	exit(0);
}

bool play_replay(const char *trace, const char *mode, const struct play_call *const *calls,
                 size_t count, const char *report, const struct play_handles *handles,
                 struct play_answers *answers)
{
	int status;
	if (count > answers->room)
		play_fail("there is no room for %zu answers", count);
	memset(answers->answers, 0, count * sizeof(*answers->answers));
	answers->said = 0;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		play_all(trace, mode, calls, count, report, handles, answers);
	if (child < 0 || waitpid(child, &status, 0) != child)
		play_fail("fork: %s", strerror(errno));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
