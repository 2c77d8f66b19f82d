/* SPDX-License-Identifier: MIT */
#include "cli/drive.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/answer.h"
#include "core/capture.h"
#include "core/parse.h"
#include "core/stage.h"
#include "core/system.h"
#include "core/varies.h"

#define SECOND 1000000000u

/* A call that was read and not yet issued. */
struct pending {
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_half *back; /* NULL: it has not returned so far */
	bool at_once;           /* nothing stands between its halves */
};

struct stream {
	struct drive *drive;
	struct tape_halves halves;
	struct tape_open open;
	struct tape_half *header;
	struct tape_half *first, **end; /* calls to be issued, in the order in which they began */
	struct tape_half *last;         /* the call that was read last, if nothing else was since */
	struct tape_error error;
};

static int drive_trace(struct drive *drive, const struct drive_trace *trace);

/* ---- the module ------------------------------------------------------------------------------ */

/*
 * The first list that the program asked for is the one that it called through; a module's lists need not
 * have the same functions (NSS tells another version in each).
 */
static void follow_discovery(struct drive *drive, const struct drive_call *call)
{
	const struct tape_argument *argument;
	if (!call->function->finds || drive->listed || call->live_rv != CKR_OK)
		return;
	for (size_t i = 0; i < call->function->count; i++) {
		argument = &call->function->arguments[i];
		const void *const *to = (const void *const *)call->words[argument->word];
		if (to == NULL)
			continue;
		if (argument->kind == TAPE_K_OUT_INTERFACE)
			drive->listed |= tape_live_take_interface(&drive->live, *to, true);
		else if (argument->kind == TAPE_K_OUT_FUNCTION_LIST && *to != NULL)
			tape_live_take(&drive->live, *to, TAPE_FN_COUNT_2, drive->listed = true);
	}
}

static bool load(struct drive *drive)
{
	const struct drive_options *options = drive->options;
	const char *path = options->recorder[0] != 0 ? options->recorder : options->module;
	struct tape_error error;
	drive->listed = false;
	if (tape_live_load(&drive->live, path, options->module, &error) == 0)
		return true;
	tape_cli_fail("%s", error.sentence);
	return false;
}

static void unload(struct drive *drive)
{
	if (drive->live.handle != NULL)
		dlclose(drive->live.handle);
	drive->live.handle = NULL;
	drive->initialized = false;
	tape_map_clear(&drive->sessions);
	tape_map_clear(&drive->objects);
	tape_map_clear(&drive->owners);
	tape_map_clear(&drive->places);
	tape_map_clear(&drive->operations);
	tape_map_clear(&drive->random);
}

/* ---- what the application brings ------------------------------------------------------------- */

/* Mutexes for one thread; and what they answer, if that is not CKR_OK. */
static CK_RV mutex_answer;

static CK_RV create_mutex(void **mutex)
{
	if (mutex_answer != CKR_OK)
		return mutex_answer;
	*mutex = malloc(1);
	return *mutex == NULL ? CKR_HOST_MEMORY : CKR_OK;
}

static CK_RV destroy_mutex(void *mutex)
{
	free(mutex);
	return CKR_OK;
}

static CK_RV use_mutex(void *mutex)
{
	return mutex == NULL ? CKR_MUTEX_BAD : mutex_answer;
}

/* These codes are of the application's mutex functions alone (PKCS#11 3.1 §5.1.5): a module had it from them. */
static CK_RV answer_of_mutexes(const struct drive_call *call)
{
	bool theirs = call->rv == CKR_MUTEX_BAD || call->rv == CKR_MUTEX_NOT_LOCKED;
	return call->returned && theirs ? call->rv : CKR_OK;
}

static CK_RV notified(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	(void)session;
	(void)event;
	(void)application;
	return CKR_OK;
}

/* A call, and the process that issues it. */
struct issue {
	struct drive *drive;
	struct drive_call *call;
};

static bool find_secret(void *context, const struct tape_value *secret, const void **ret_bytes,
                        size_t *ret_length)
{
	const struct issue *issue = context;
	const struct drive_options *options = issue->drive->options;
	for (size_t i = 0; i < options->secret_count; i++)
		if (strlen(options->secrets[i].name) == secret->length &&
		    memcmp(options->secrets[i].name, secret->data, secret->length) == 0) {
			*ret_bytes = options->secrets[i].value;
			*ret_length = strlen(options->secrets[i].value);
			return true;
		}
	return false;
}

static uint64_t find_handle(void *context, enum tape_kind kind, uint64_t recorded)
{
	const struct issue *issue = context;
	const struct drive *drive = issue->drive;
	uint64_t live = recorded;
	if (kind == TAPE_K_SESSION)
		(void)tape_map_get(&drive->sessions, recorded, &live);
	else if (kind == TAPE_K_OBJECT)
		(void)tape_map_get(&drive->objects, recorded, &live);
	else if (kind == TAPE_K_SLOT)
		(void)tape_map_get(&drive->slots, recorded, &live);
	return live;
}

static bool find_bytes(void *context, const void *recorded, size_t length, const void **ret_bytes,
                       size_t *ret_length)
{
	const struct issue *issue = context;
	bool any = tape_swaps_find(&issue->drive->swaps, &issue->drive->arena, recorded, length,
	                           ret_bytes, ret_length);
	issue->call->swapped |= any;
	return any;
}

/*
 * For a recorded call that did not return: everything ends where memory ends, since it may have died of
 * what it did behind a buffer.
 */
static void *find_room(void *context, size_t size)
{
	const struct issue *issue = context;
	struct drive *drive = issue->drive;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t pages = (size + page - 1) / page * page;
	if (pages < size)
		return NULL;
	unsigned char *memory = mmap(NULL, pages + page, PROT_READ | PROT_WRITE,
	                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || mprotect(memory + pages, page, PROT_NONE) != 0)
		return NULL;
	if (drive->room_count < TAPE_ARRAY_SIZE(drive->rooms))
		drive->rooms[drive->room_count++] = (struct drive_room){ memory, pages };
	return memory + (pages - size);
}

/* Or of having written to its inputs: of calls that have nothing else. */
static void protect_inputs(struct drive *drive, const struct drive_call *call)
{
	size_t count = drive->room_count;
	drive->room_count = 0;
	for (size_t i = 0; i < call->function->count; i++)
		if ((tape_shapes[call->function->arguments[i].kind].traits & TAPE_T_OUT) != 0)
			return;
	for (size_t i = 0; i < count; i++)
		(void)mprotect(drive->rooms[i].memory, drive->rooms[i].size, PROT_READ);
}

/* The trace knows which structure a message's parameter is. */
static enum tape_record_id find_record(void *context, CK_SESSION_HANDLE session, bool seal)
{
	const struct issue *issue = context;
	const struct drive_call *call = issue->call;
	(void)session;
	(void)seal;
	for (size_t i = 0; i < call->function->count; i++)
		if (tape_shapes[call->function->arguments[i].kind].codec == TAPE_C_PARAMETER &&
		    call->in[i].form == TAPE_V_RECORD)
			return (enum tape_record_id)call->in[i].record;
	return TAPE_R_NONE;
}

/* ---- one call -------------------------------------------------------------------------------- */

static void set_phase(struct drive *drive, enum drive_phase phase)
{
	atomic_store(&drive->slot->began, tape_clock_monotonic());
	atomic_store(&drive->slot->phase, phase);
}

static bool blocks(const struct drive_call *call)
{
	for (size_t i = 0; i < call->function->count; i++)
		if (call->function->arguments[i].kind == TAPE_K_WAIT_FLAGS &&
		    (call->in[i].number & CKF_DONT_BLOCK) == 0)
			return true;
	return false;
}

static enum drive_skip reason_to_skip(const struct drive *drive, const struct drive_call *call,
                                      const struct pending *pending)
{
	bool presents = tape_presents(call->function, call->in);
	if (call->item->synthetic)
		return DRIVE_SYNTHETIC;
	if (call->item->injected)
		return DRIVE_INJECTED;
	if (call->item->during != 0)
		return DRIVE_DURING;
	/* One that was refused at once is no wait; one that an event ended waits for another now. */
	if (blocks(call) && (!pending->at_once || call->rv == CKR_OK))
		return DRIVE_WAITS;
	if (presents && call->returned && scan_is_wrong_pin(call->rv) &&
	    !drive->options->destructive)
		return DRIVE_WRONG_PIN;
	if (presents && drive->refused)
		return DRIVE_REFUSED;
	return DRIVE_ISSUED;
}

static const char *const reasons[DRIVE_SKIPS] = {
	[DRIVE_SYNTHETIC] = "the recorder answered it, not the module",
	[DRIVE_INJECTED] = "a fault was injected: what it answered is not the module's",
	[DRIVE_DURING] = "it was made inside of a notification",
	[DRIVE_WAITS] = "it waits for an event",
	[DRIVE_WRONG_PIN] = "wrong PINs are presented with --destructive only",
	[DRIVE_REFUSED] = "a PIN was refused before",
	[DRIVE_LOST] = "its inputs are not in the recording",
};

static void skip(struct drive *drive, const struct drive_call *call, enum drive_skip reason)
{
	atomic_fetch_add(&drive->shared->skipped[reason], 1);
	if (drive->options->verbose)
		drive_tell(drive, call, reasons[reason]);
}

/*
 * Some modules add flags to what they find in a structure (SoftHSM2 2.6.1 in C_GetMechanismInfo). Those
 * that the recorded program had there are not in its trace: with the recorded answer in the structure
 * before the call, such a module gives just this again.
 */
static bool adds_flags(struct drive *drive, struct drive_call *call)
{
	struct tape_capture capture = { .arena = &drive->arena, .snapshot = true };
	static struct tape_value again[TAPE_MAX_ARGUMENTS];
	const struct tape_value *before = call->live_out;
	for (size_t i = 0; i < call->function->count; i++) {
		const struct tape_argument *argument = &call->function->arguments[i];
		if (tape_shapes[argument->kind].codec != TAPE_C_STRUCT ||
		    call->out[i].form != TAPE_V_RECORD || call->live_out[i].form != TAPE_V_RECORD)
			continue;
		const struct tape_record *record = &tape_records[call->out[i].record];
		for (size_t j = 0; j < record->count; j++)
			if (tape_fields[record->first + j].kind == TAPE_F_FLAGS &&
			    tape_value_child(&before[i], j)->number == 0)
				return false;
		/* Whatever else is different stays so: only flags are given. */
		tape_answer_record((void *)call->words[argument->word], &call->live_out[i]);
		for (size_t j = 0; j < record->count; j++)
			if (tape_fields[record->first + j].kind == TAPE_F_FLAGS) {
				CK_FLAGS flags =
					(CK_FLAGS)tape_value_child(&call->out[i], j)->number;
				memcpy((char *)call->words[argument->word] +
				               tape_fields[record->first + j].offset,
				       &flags, sizeof(flags));
			}
		set_phase(drive, DRIVE_CALLING);
		CK_RV rv = tape_call(drive->live.functions[call->item->function],
		                     call->item->function, call->words);
		set_phase(drive, DRIVE_BETWEEN);
		tape_capture_out(&capture, call->function, call->words, call->live_in, rv, again);
		call->live_out = again;
		bool same = rv == CKR_OK && drive_compare(drive, call);
		call->live_out = before;
		return same;
	}
	return false;
}

static void judge(struct drive *drive, struct drive_call *call)
{
	if (!call->returned) {
		drive_differ(drive, call, "returned", "returned, and did not in the recording");
		return;
	}
	if (call->live_rv != call->rv) {
		if (tape_presents(call->function, call->in) && scan_is_wrong_pin(call->live_rv))
			drive->refused = true;
		drive_differ(drive, call, "rv", NULL);
		return;
	}
	if (drive_compare(drive, call) || adds_flags(drive, call))
		drive_tell(drive, call, NULL);
	else
		drive_differ(drive, call, "output", NULL);
}

/* The types of an attribute's entries; NULL where nobody told any, or there is no room for more. */
static struct drive_nested *find_nested(struct drive *drive, uint64_t attribute, bool add)
{
	for (size_t i = 0; i < DRIVE_NESTED; i++) {
		struct drive_nested *nested = &drive->nested[i];
		if (nested->attribute == 0 && add)
			nested->attribute = attribute;
		if (nested->attribute == attribute)
			return nested;
	}
	return NULL;
}

/*
 * The types that stand in a nested template before it is read are not in a trace: the module says them. There are
 * modules that read them first (SoftHSM2 2.6.1): they get those that the recorded one said last.
 */
static void remember_types(struct drive *drive, const struct drive_call *call, size_t index)
{
	const struct tape_value *asked = &call->in[index];
	const struct tape_value *told = &call->out[index];
	for (size_t i = 0; told->form == TAPE_V_LIST && i < told->count; i++) {
		const struct tape_value *entry = tape_value_child(told, i);
		if (entry->form != TAPE_V_LIST)
			continue;
		struct drive_nested *nested =
			find_nested(drive, tape_value_child(asked, i)->tag, true);
		if (nested == NULL)
			return;
		for (size_t j = 0; j < entry->count && j < DRIVE_TYPES; j++)
			if (tape_value_child(entry, j)->form != TAPE_V_SAME)
				nested->types[j] = tape_value_child(entry, j)->tag;
	}
}

static uint64_t find_type(void *context, uint64_t attribute, size_t index)
{
	const struct issue *issue = context;
	const struct drive_nested *nested = find_nested(issue->drive, attribute, false);
	return nested == NULL || index >= DRIVE_TYPES ? CKA_CLASS : nested->types[index];
}

/* Stage, call, capture. Returns false where it was not issued. */
static bool make_call(struct drive *drive, struct drive_call *call)
{
	struct issue issue = { drive, call };
	struct tape_stage stage = { .arena = &drive->arena,
		                    .mutexes = { .CreateMutex = create_mutex,
		                                 .DestroyMutex = destroy_mutex,
		                                 .LockMutex = use_mutex,
		                                 .UnlockMutex = use_mutex },
		                    .notify = notified,
		                    .secret = find_secret,
		                    .handle = find_handle,
		                    .bytes = find_bytes,
		                    .type = find_type,
		                    .room = call->returned ? NULL : find_room,
		                    .fill = 0xa5,
		                    .context = &issue };
	struct tape_capture capture = { .arena = &drive->arena,
		                        .snapshot = true,
		                        .message_record = find_record,
		                        .context = &issue };
	static struct tape_value live_in[TAPE_MAX_ARGUMENTS], live_out[TAPE_MAX_ARGUMENTS];
	uintptr_t *words = call->words;
	tape_any_fn function = drive->live.functions[call->item->function];
	for (size_t i = 0; call->returned && i < call->function->count; i++)
		if (tape_shapes[call->function->arguments[i].kind].codec == TAPE_C_TEMPLATE)
			remember_types(drive, call, i);
	if (tape_stage_in(&stage, call->function, call->in, words) < 0) {
		skip(drive, call, DRIVE_LOST);
		return false;
	}
	if (function == NULL) {
		atomic_fetch_add(&drive->shared->made, 1);
		drive_differ(drive, call, "function", "is not in the module");
		return false;
	}
	tape_capture_in(&capture, call->function, words, live_in);
	call->live_in = live_in;
	drive_expect(drive, call);
	drive_publish(drive, call);
	fflush(NULL);
	mutex_answer = answer_of_mutexes(call);
	set_phase(drive, DRIVE_CALLING);
	protect_inputs(drive, call);
	call->live_rv = tape_call(function, call->item->function, words);
	set_phase(drive, DRIVE_BETWEEN);
	mutex_answer = CKR_OK;
	tape_capture_out(&capture, call->function, words, live_in, call->live_rv, live_out);
	call->live_out = live_out;
	follow_discovery(drive, call);
	atomic_fetch_add(&drive->shared->made, 1);
	return true;
}

static int run_process(struct drive *drive, const struct drive_trace *trace);

/* The processes that were forked after this call. */
static void fork_children(struct drive *drive, uint64_t id)
{
	const struct drive_trace *trace = drive->trace;
	for (size_t i = 1; i < drive->trace_count; i++)
		if (trace->pid != 0 && drive->traces[i].forked_from == trace->pid &&
		    drive->traces[i].forked_after == id)
			(void)run_process(drive, &drive->traces[i]);
}

static int issue(struct stream *stream, struct tape_half *half)
{
	struct drive *drive = stream->drive;
	const struct pending *pending = half->note;
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct drive_call call = { .item = &half->item,
		                   .function = &tape_functions[half->item.function],
		                   .in = pending->in,
		                   .out = out,
		                   .returned = pending->back != NULL };
	int result = 0;
	tape_arena_reset(&drive->arena);
	if (pending->back != NULL) {
		const struct tape_item *back = &pending->back->item;
		struct tape_parse parse = { tape_half_arena(pending->back), drive->names,
			                    &stream->error };
		result = tape_parse_out(&parse, call.function, back->out, back->line, pending->in,
		                        out);
		call.rv = back->rv;
	}
	if (result < 0)
		return result;
	enum drive_skip reason = reason_to_skip(drive, &call, pending);
	if (reason != DRIVE_ISSUED)
		skip(drive, &call, reason);
	else if (make_call(drive, &call)) {
		bool forgets =
			call.live_rv == CKR_OK &&
			(tape_effects[half->item.function].effects & TAPE_EFFECT_FORGETS) != 0;
		/* Of the two that forget, one takes arguments of its own. */
		if (forgets)
			drive->initialized = call.function->arguments[0].kind == TAPE_K_INIT_ARGS;
		judge(drive, &call);
		if (forgets && drive->initialized && !drive_choose_slot(drive)) {
			tape_cli_fail("no token in any slot has the label '%s'",
			              drive->options->token);
			return -TAPE_E_INVALID;
		}
	}
	fork_children(drive, half->item.id);
	return 0;
}

/* ---- the stream ------------------------------------------------------------------------------ */

static bool is_ready(const struct stream *stream, const struct tape_half *call)
{
	const struct pending *pending = call->note;
	return pending->back != NULL ||
	       scan_is_unreturned(&stream->drive->trace->scan, call->item.id);
}

static void give_first(struct stream *stream)
{
	struct tape_half *call = stream->first;
	struct pending *pending = call->note;
	stream->first = call->next;
	if (stream->first == NULL)
		stream->end = &stream->first;
	if (pending != NULL && pending->back != NULL)
		tape_halves_give(&stream->halves, pending->back);
	else
		tape_open_remove(&stream->open, call);
	if (stream->last == call)
		stream->last = NULL;
	tape_halves_give(&stream->halves, call);
}

/* Issue what can be issued; all of it where the trace, or a part of it, ends. */
static int issue_ready(struct stream *stream, bool all)
{
	int result = 0;
	while (result == 0 && stream->first != NULL && (all || is_ready(stream, stream->first))) {
		result = issue(stream, stream->first);
		give_first(stream);
	}
	return result;
}

static int take_call(struct stream *stream, struct tape_half *half)
{
	struct tape_parse parse = { tape_half_arena(half), stream->drive->names, &stream->error };
	struct pending *pending = tape_arena_get(parse.arena, sizeof(*pending));
	if (pending != NULL)
		memset(pending, 0, sizeof(*pending));
	half->note = pending;
	half->next = NULL;
	*stream->end = half;
	stream->end = &half->next;
	tape_open_add(&stream->open, half);
	if (pending == NULL)
		return tape_error_set(&stream->error, TAPE_E_MEMORY, 0, "out of memory");
	if (tape_open_is_full(&stream->open))
		return tape_error_set(&stream->error, TAPE_E_LIMIT, half->item.line,
		                      "more than %zu calls are open at once", TAPE_HALVES_MAX);
	stream->last = half;
	return tape_parse_in(&parse, &tape_functions[half->item.function], half->item.in,
	                     half->item.line, pending->in);
}

static void take_return(struct stream *stream, struct tape_half *half)
{
	struct tape_half *call = tape_open_find(&stream->open, half->item.id);
	if (call == NULL) {
		tape_halves_give(&stream->halves, half);
		return;
	}
	struct pending *pending = call->note;
	tape_open_remove(&stream->open, call);
	pending->back = half;
	pending->at_once = call == stream->last;
	stream->last = NULL;
}

/* The module was unloaded there, and loaded again. */
static int take_header(struct stream *stream, struct tape_half *half)
{
	int result = issue_ready(stream, true);
	tape_halves_give(&stream->halves, stream->header);
	stream->header = half;
	stream->drive->names = tape_node_get(half->item.node, "names");
	unload(stream->drive);
	set_phase(stream->drive, DRIVE_LOADING);
	if (result == 0 && !load(stream->drive))
		return -TAPE_E_SYSTEM;
	set_phase(stream->drive, DRIVE_BETWEEN);
	return result;
}

static int take_half(struct stream *stream, struct tape_half *half)
{
	switch (half->item.kind) {
	case TAPE_ITEM_CALL:
		return take_call(stream, half);
	case TAPE_ITEM_RETURN:
		take_return(stream, half);
		return 0;
	case TAPE_ITEM_HEADER:
		return take_header(stream, half);
	default:
		tape_halves_give(&stream->halves, half);
		return 0;
	}
}

/* End what the trace left open: an application that vanishes would leave it, too. */
static void end(struct drive *drive)
{
	set_phase(drive, DRIVE_ENDING);
	CK_C_Finalize finalize = (CK_C_Finalize)drive->live.functions[TAPE_FN_C_Finalize];
	if (drive->initialized && finalize != NULL && drive->depth == 0)
		(void)finalize(NULL);
	if (drive->depth == 0)
		unload(drive);
	set_phase(drive, DRIVE_ENDED);
}

/* Drive a trace in this process, with the module loaded or not. Returns 0 or an error code. */
static int drive_trace(struct drive *drive, const struct drive_trace *trace)
{
	struct stream stream = { .drive = drive };
	struct tape_half *half;
	size_t ahead = 0;
	stream.end = &stream.first;
	drive->trace = trace;
	drive->slot->path = trace->path;
	int result = tape_halves_init(&stream.halves, trace->path, &stream.error);
	if (result < 0)
		return tape_cli_fail_at(trace->path, &stream.error), result;
	drive->names = tape_reader_header(stream.halves.reader)->names;
	if (drive->live.handle == NULL && !load(drive))
		result = -TAPE_E_SYSTEM;
	set_phase(drive, DRIVE_BETWEEN);
	if (drive->depth == 0 && result == 0 && drive->options->has_slot)
		(void)drive_choose_slot(drive);
	while (result >= 0 &&
	       (result = tape_halves_next(&stream.halves, &half, &stream.error)) > 0) {
		result = take_half(&stream, half);
		if (result >= 0 && ++ahead > DRIVE_AHEAD)
			result = issue_ready(&stream, false);
	}
	if (result >= 0)
		result = issue_ready(&stream, true);
	if (result < 0 && stream.error.code != 0)
		tape_cli_fail_at(trace->path, &stream.error);
	while (stream.first != NULL)
		give_first(&stream);
	tape_halves_give(&stream.halves, stream.header);
	tape_halves_done(&stream.halves);
	return result;
}

/* ---- processes ------------------------------------------------------------------------------- */

/* Take what is needed for a while, so that the module's heap is its own between its calls. */
static void begin(struct drive *drive)
{
	struct tape_map *const maps[] = { &drive->sessions, &drive->objects, &drive->slots,
		                          &drive->owners,   &drive->places,  &drive->operations,
		                          &drive->random };
	tape_arena_init(&drive->arena, NULL, 0, TAPE_MAX_ITEM);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(maps); i++)
		(void)!tape_map_reserve(maps[i]);
}

static void run_child(struct drive *drive, const struct drive_trace *trace)
{
	const struct rlimit none = { 0, 0 };
	/* Whoever ends p11tape ends this too. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setrlimit(RLIMIT_CORE, &none);
	if (drive->depth == 0)
		begin(drive);
	int result = drive_trace(drive, trace);
	fflush(NULL);
	if (result < 0) {
		atomic_store(&drive->slot->phase, DRIVE_FAILED);
		_exit(TAPE_EXIT_BAD);
	}
	end(drive);
	fflush(NULL);
	_exit(TAPE_EXIT_GOOD);
}

/* Wait for the process, not longer than a call may take. Returns its status. */
static int watch(const struct drive *drive, const struct drive_slot *slot, pid_t pid,
                 bool *ret_hung)
{
	uint64_t limit = (uint64_t)drive->options->timeout * SECOND;
	sigset_t signals;
	int status = 0;
	*ret_hung = false;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	for (pid_t ended; (ended = waitpid(pid, &status, WNOHANG)) != pid;) {
		if (ended < 0 && errno != EINTR)
			break;
		uint64_t now = tape_clock_monotonic();
		uint64_t began = atomic_load(&slot->began);
		uint32_t phase = atomic_load(&slot->phase);
		uint64_t left = SECOND;
		if (phase != DRIVE_BETWEEN && now > began && now - began >= limit) {
			*ret_hung = true;
			kill(pid, SIGKILL);
		} else if (now > began && began + limit - now < left) {
			left = began + limit - now;
		}
		struct timespec patience = { (time_t)(left / SECOND), (long)(left % SECOND) };
		sigtimedwait(&signals, NULL, &patience);
	}
	return status;
}

/* Say how a process ended that did not come to the end of its trace. */
static int judge_death(struct drive *drive, struct drive_slot *slot, int status, bool hung)
{
	char what[160];
	if (hung)
		snprintf(what, sizeof(what), "did not return within %u second%s",
		         drive->options->timeout, drive->options->timeout == 1 ? "" : "s");
	else if (WIFSIGNALED(status))
		snprintf(what, sizeof(what), "did not return: the process died of it: %s",
		         strsignal(WTERMSIG(status)));
	else
		snprintf(what, sizeof(what), "did not return: it ended the process with status %d",
		         WEXITSTATUS(status));
	switch ((enum drive_phase)atomic_load(&slot->phase)) {
	case DRIVE_ENDED:
		if (WIFEXITED(status))
			return 0;
		tape_cli_warn("%s: the module died behind the last call, when it was unloaded or "
		              "the process ended: %s",
		              slot->path, strsignal(WTERMSIG(status)));
		return 0;
	case DRIVE_ENDING:
		tape_cli_warn("%s: behind the last call, C_Finalize %s", slot->path, what);
		return 0;
	case DRIVE_CALLING:
		atomic_fetch_add(&drive->shared->made, 1);
		if (slot->returned)
			drive_differ_at(drive, slot, "no-return", what);
		else
			tape_cli_warn("%s:%" PRIu64 ": %s %s; nor did it in the recording",
			              slot->path, slot->line,
			              tape_functions[slot->function].name.text, what);
		return 0;
	case DRIVE_BETWEEN:
		/* What the module left behind: another thread, or memory that is not its own. */
		snprintf(what, sizeof(what), "returned, and the process died behind it: %s",
		         WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "it exited");
		drive_differ_at(drive, slot, "died", what);
		return 0;
	case DRIVE_LOADING:
		tape_cli_fail("the module %s when it was loaded", what);
		return -1;
	default:
		return -1;
	}
}

static int run_process(struct drive *drive, const struct drive_trace *trace)
{
	unsigned int depth = drive->slot == NULL ? 0 : drive->depth + 1;
	sigset_t signals;
	sigset_t saved;
	bool hung;
	if (depth == DRIVE_DEPTH) {
		tape_cli_warn("%s: more than %d processes forked from each other: left out",
		              trace->path, DRIVE_DEPTH);
		return 0;
	}
	struct drive_slot *slot = &drive->shared->slots[depth];
	memset(slot, 0, sizeof(*slot));
	slot->path = trace->path;
	slot->began = tape_clock_monotonic();
	slot->phase = DRIVE_LOADING;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, &saved);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &saved, NULL);
		drive->slot = slot;
		drive->depth = depth;
		run_child(drive, trace);
	}
	if (pid < 0) {
		sigprocmask(SIG_SETMASK, &saved, NULL);
		tape_cli_fail("no process can be made: %s", strerror(errno));
		return -1;
	}
	int status = watch(drive, slot, pid, &hung);
	sigprocmask(SIG_SETMASK, &saved, NULL);
	if (drive->slot != NULL)
		set_phase(drive, DRIVE_BETWEEN);
	if (atomic_load(&slot->phase) == DRIVE_ENDED && WIFEXITED(status))
		return 0;
	return judge_death(drive, slot, status, hung);
}

int drive_run(struct drive *drive)
{
	/* Whoever started us may have it ignored: then nobody could be waited for. */
	signal(SIGCHLD, SIG_DFL);
	drive->shared = mmap(NULL, sizeof(*drive->shared), PROT_READ | PROT_WRITE,
	                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (drive->shared == MAP_FAILED) {
		drive->shared = NULL;
		return tape_cli_fail("out of memory");
	}
	if (run_process(drive, &drive->traces[0]) < 0)
		return TAPE_EXIT_BAD;
	return atomic_load(&drive->shared->differ) == 0 ? TAPE_EXIT_GOOD : TAPE_EXIT_FOUND;
}
