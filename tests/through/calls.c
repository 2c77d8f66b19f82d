/* SPDX-License-Identifier: MIT
 *
 * calls TRACE [ID…]: issue a trace's own calls to the module in $P11TAPE_REPLAYER_SO (which $P11TAPE_REPLAY tells
 * what to serve), all of them in their order or those that are named, and hold each answer against the
 * recorded one. ID is a number; `twice` instead of numbers makes all calls that only read two times, `reversed`
 * turns each run of such calls round. Prints a word for each call that was named: same, refused (the answer of
 * a divergence), WRONG, or the name of the value that was returned; else only what is not the same, and the sums. Exits 1 where anything was wrong.
 *
 * Calls that did not return, and those that wait, are left out.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/call.h"
#include "core/capture.h"
#include "core/compare.h"
#include "core/map.h"
#include "core/parse.h"
#include "core/scope.h"
#include "core/stage.h"
#include "core/trace.h"

struct call {
	const struct tape_function *function;
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
	uint64_t id;
	size_t line;
	CK_RV rv;
	bool partial, returned;
};

static struct tape_arena kept, scratch;
static struct call *calls;
static size_t call_count;
static struct tape_map sessions, objects; /* live handles by recorded ones */
static void *module;
static size_t same_count, refused_count, wrong_count, left_out;
static const struct call *current;

static int fail(const char *what)
{
	fprintf(stderr, "calls: %s\n", what);
	return 2;
}

/* ---- reading --------------------------------------------------------------------------------- */

static struct call *find(uint64_t id)
{
	for (size_t i = call_count; i-- > 0;)
		if (calls[i].id == id)
			return &calls[i];
	return NULL;
}

static int take(struct tape_reader *reader, const struct tape_item *item, struct tape_error *error)
{
	struct tape_parse parse = { &kept, tape_reader_header(reader)->names, error };
	struct call *call = NULL;
	if (item->kind == TAPE_ITEM_CALL && item->function != TAPE_FN_COUNT) {
		if ((call_count & (call_count - 1)) == 0) {
			void *more = realloc(calls, (call_count == 0 ? 1 : 2 * call_count) *
			                                    sizeof(*calls));
			if (more == NULL)
				abort();
			calls = more;
		}
		call = &calls[call_count++];
		memset(call, 0, sizeof(*call));
		call->function = &tape_functions[item->function];
		call->id = item->id;
		call->line = item->line;
		call->partial = item->in != NULL && item->in->type == TAPE_NODE_SCALAR;
		int result = tape_parse_in(&parse, call->function, item->in, item->line, call->in);
		if (result < 0 || !item->whole)
			return result;
	} else if (item->kind == TAPE_ITEM_RETURN) {
		call = find(item->id);
	}
	if (call == NULL)
		return 0;
	call->returned = true;
	call->rv = item->rv;
	return tape_parse_out(&parse, call->function, item->out, item->line, call->in, call->out);
}

static int read_calls(const char *path)
{
	struct tape_error error = { 0 };
	struct tape_reader *reader;
	struct tape_arena items;
	struct tape_item item;
	tape_arena_init(&kept, NULL, 0, (size_t)1 << 30);
	tape_arena_init(&items, NULL, 0, (size_t)1 << 30);
	int result = tape_reader_open(&reader, path, &error);
	while (result >= 0 && (result = tape_reader_next(reader, &items, &item, &error)) > 0) {
		result = take(reader, &item, &error);
		tape_arena_reset(&items);
	}
	if (result < 0)
		fprintf(stderr, "%s:%zu: %s\n", path, error.line, error.sentence);
	return result;
}

/* ---- calling --------------------------------------------------------------------------------- */

/* A value for each name, as long as the trace says, and no other name's. */
static bool secret(void *context, const struct tape_value *value, const void **ret_bytes,
                   size_t *ret_length)
{
	(void)context;
	size_t length = value->stated ? (size_t)value->number : value->length + 4;
	char *bytes = tape_arena_get(&scratch, length + 1);
	if (bytes == NULL)
		return false;
	for (size_t i = 0; i < length; i++)
		bytes[i] = ((const char *)value->data)[value->length - 1 - i % value->length];
	*ret_bytes = bytes;
	*ret_length = length;
	return true;
}

static uint64_t handle(void *context, enum tape_kind kind, uint64_t recorded)
{
	(void)context;
	uint64_t live = recorded;
	if (kind == TAPE_K_SESSION)
		tape_map_get(&sessions, recorded, &live);
	else if (kind == TAPE_K_OBJECT)
		tape_map_get(&objects, recorded, &live);
	return live;
}

static CK_RV notified(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	(void)session;
	(void)event;
	(void)application;
	return CKR_OK;
}

static CK_RV mutex(void *any)
{
	(void)any;
	return CKR_OK;
}

static enum tape_record_id parameter(void *context, CK_SESSION_HANDLE session, bool seal)
{
	(void)context;
	(void)session;
	(void)seal;
	for (size_t i = 0; i < current->function->count; i++)
		if (tape_shapes[current->function->arguments[i].kind].codec == TAPE_C_PARAMETER &&
		    current->in[i].form == TAPE_V_RECORD)
			return (enum tape_record_id)current->in[i].record;
	return TAPE_R_NONE;
}

struct inner {
	uint64_t numbers[64];
	size_t count;
};

static void note_inner(void *context, const struct tape_value *given, bool by_module)
{
	struct inner *inner = context;
	if (by_module && inner->count < sizeof(inner->numbers) / sizeof(inner->numbers[0]))
		inner->numbers[inner->count++] = given->number;
}

/* Those inside of structures, which both sides have in the same places. */
static void map_inner(void *context, const struct tape_value *given, bool by_module)
{
	struct inner *recorded = context;
	struct tape_value *live = (struct tape_value *)(uintptr_t)given;
	if (!by_module || recorded->count == 0)
		return;
	uint64_t number = recorded->numbers[--recorded->count];
	if (!tape_map_put(&objects, number, live->number))
		abort();
	live->number = number;
}

/* What was given for handles stands for the recorded ones from now on; the rest is compared. */
static void map_handles(const struct call *call, struct tape_value *live)
{
	for (size_t i = 0; i < call->function->count; i++) {
		const struct tape_argument *argument = &call->function->arguments[i];
		struct tape_map *map = argument->kind == TAPE_K_OUT_SESSION ? &sessions : &objects;
		bool found = tape_shapes[argument->kind].codec == TAPE_C_FOUND;
		if (live[i].form != call->out[i].form ||
		    (argument->kind != TAPE_K_OUT_SESSION && argument->kind != TAPE_K_OUT_OBJECT &&
		     !found))
			continue;
		if (live[i].form == TAPE_V_NUMBER) {
			if (!tape_map_put(map, call->out[i].number, live[i].number))
				abort();
			live[i].number = call->out[i].number;
		}
		if (live[i].form != TAPE_V_LIST || live[i].count != call->out[i].count)
			continue;
		struct tape_value *handles = (struct tape_value *)(uintptr_t)live[i].data;
		for (size_t j = 0; j < live[i].count; j++) {
			uint64_t recorded = tape_value_child(&call->out[i], j)->number;
			if (!tape_map_put(map, recorded, handles[j].number))
				abort();
			handles[j].number = recorded;
		}
	}
	struct inner inner = { 0 };
	struct inner turned = { 0 };
	tape_value_each_object(call->function, call->out, note_inner, &inner);
	while (inner.count != 0)
		turned.numbers[turned.count++] = inner.numbers[--inner.count];
	tape_value_each_object(call->function, live, map_inner, &turned);
}

static void judge(const struct call *call, CK_RV rv, struct tape_value *live, bool named)
{
	const char *word = "same";
	char where[128] = "";
	if (rv != call->rv) {
		bool refused = rv == CKR_GENERAL_ERROR;
		word = refused ? "refused" : "WRONG";
		*(refused ? &refused_count : &wrong_count) += 1;
		snprintf(where, sizeof(where), "0x%lx instead of 0x%lx", rv, call->rv);
	} else {
		map_handles(call, live);
		int argument = tape_compare_out(call->function, call->out, live);
		if (argument >= 0 && !tape_compare_steady(call->function, call->out, live)) {
			word = "WRONG";
			snprintf(where, sizeof(where), "%s differs",
			         call->function->arguments[argument].key.text);
			wrong_count++;
		} else {
			same_count++;
		}
	}
	const struct tape_name *name = tape_constant_name(TAPE_G_CKR, rv);
	if (named && rv != call->rv && word[0] == 'W')
		printf("%s ", name == NULL ? word : name->text);
	else if (named)
		printf("%s ", word);
	else if (word[0] != 's')
		printf("%s, line %zu: %s: %s\n", call->function->name.text, call->line, word,
		       where);
}

static void make(const struct call *call, bool named)
{
	struct tape_stage stage = { .arena = &scratch,
		                    .mutexes = { .CreateMutex = (CK_CREATEMUTEX)mutex,
		                                 .DestroyMutex = mutex,
		                                 .LockMutex = mutex,
		                                 .UnlockMutex = mutex },
		                    .notify = notified,
		                    .secret = secret,
		                    .handle = handle,
		                    .fill = 0xa5 };
	struct tape_capture capture = { .arena = &scratch,
		                        .snapshot = true,
		                        .message_record = parameter };
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	uintptr_t words[TAPE_MAX_WORDS];
	tape_any_fn function;
	tape_arena_reset(&scratch);
	current = call;
	*(void **)&function = dlsym(module, call->function->name.text);
	bool waits = call->function->waits >= 0 &&
	             (call->in[call->function->waits].number & CKF_DONT_BLOCK) == 0;
	if (call->function->finds)
		return;
	if (function == NULL || !call->returned || waits ||
	    tape_stage_in(&stage, call->function, call->in, words) < 0) {
		left_out++;
		if (named)
			printf("left-out ");
		return;
	}
	tape_capture_in(&capture, call->function, words, in);
	CK_RV rv = tape_call(function, (enum tape_function_id)(call->function - tape_functions),
	                     words);
	tape_capture_out(&capture, call->function, words, in, rv, out);
	judge(call, rv, out, named);
}

static bool reads(const struct call *call)
{
	return tape_scope_rows[call->function - tape_functions].class == TAPE_CLASS_READ;
}

static void make_all(bool twice, bool reversed)
{
	for (size_t i = 0; i < call_count;) {
		size_t end = i + 1;
		while (reversed && reads(&calls[i]) && end < call_count && reads(&calls[end]))
			end++;
		for (size_t j = end; reversed && j-- > i;)
			make(&calls[j], false);
		for (size_t j = i; !reversed && j < end; j++) {
			make(&calls[j], false);
			if (twice && reads(&calls[j]))
				make(&calls[j], false);
		}
		i = end;
	}
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return fail("usage: calls TRACE [ID… | twice | reversed]");
	module = dlopen(getenv("P11TAPE_REPLAYER_SO"), RTLD_NOW | RTLD_LOCAL);
	if (module == NULL)
		return fail(dlerror());
	tape_arena_init(&scratch, NULL, 0, (size_t)1 << 30);
	if (read_calls(argv[1]) < 0)
		return 2;
	bool twice = argc == 3 && strcmp(argv[2], "twice") == 0;
	bool reversed = argc == 3 && strcmp(argv[2], "reversed") == 0;
	if (argc == 2 || twice || reversed) {
		make_all(twice, reversed);
		printf("%zu same, %zu refused, %zu wrong, %zu left out\n", same_count,
		       refused_count, wrong_count, left_out);
		return wrong_count != 0;
	}
	for (int i = 2; i < argc; i++) {
		const struct call *call = find(strtoull(argv[i], NULL, 10));
		if (call == NULL)
			return fail("no call has such an id");
		make(call, true);
	}
	printf("\n");
	return wrong_count != 0;
}
