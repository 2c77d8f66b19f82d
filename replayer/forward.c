/* SPDX-License-Identifier: MIT */
#include "replayer/forward.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/answer.h"
#include "core/capture.h"
#include "core/live.h"
#include "core/stage.h"
#include "core/system.h"
#include "core/varies.h"
#include "replayer/engine.h"
#include "replayer/loose.h"
#include "replayer/report.h"
#include "replayer/wait.h"

/* Attributes that an object is known again by. */
#define MAX_KNOWN 64
#define MAX_SLOTS 64
/* Objects of one description that are looked at. */
#define MAX_ALIKE 4096

/* A call that the program made and the trace answered. */
struct served {
	struct served *next;
	const struct tape_function *function;
	uintptr_t words[TAPE_MAX_WORDS];
	CK_C_INITIALIZE_ARGS mutexes; /* the program's, where the call brought them */
	struct tape_value in[TAPE_MAX_ARGUMENTS], out[TAPE_MAX_ARGUMENTS];
	CK_RV rv;
};

/* The numbers that the program has, and those that they stand for. */
enum { SESSIONS, OBJECTS, SLOTS, SPACES };

struct space {
	struct tape_map live, program;
	struct tape_map unknown; /* numbers of the program's that stand for nothing there */
	uint64_t fresh;
};

static struct {
	_Atomic enum { OFF, KEEPING, BRINGING, ON, REFUSED } state;
	char path[sizeof(((struct options *)0)->forward)];
	char why[sizeof(((struct options *)0)->forward) + 512]; /* of REFUSED */
	struct tape_arena arena;                                /* of the calls kept */
	struct served *first, **end;
	size_t count;
	struct tape_map own;   /* session objects that the program made */
	struct tape_live live; /* what answers: the module, or a recorder before it */
	struct tape_live bare; /* the module, for questions of our own */
	bool initialized;      /* by us */
	bool failed;           /* no memory for what is not known there */
	struct space spaces[SPACES];
	/* While the state is brought there: operations by the program's session. */
	struct tape_map absent;   /* that were not begun there */
	struct tape_map doubtful; /* that answered otherwise there */
	uint64_t made, otherwise;
	const char *first_otherwise;
} forward;

static void forget_calls(void)
{
	tape_arena_wipe(&forward.arena);
	tape_map_clear(&forward.own);
	forward.first = NULL;
	forward.end = &forward.first;
	forward.count = 0;
}

/* Returns false. */
TAPE_PRINTF(1, 2) static bool refuse(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	vsnprintf(forward.why, sizeof(forward.why), format, list);
	va_end(list);
	forget_calls();
	forward.state = REFUSED;
	return false;
}

void forward_begin(void)
{
	tape_arena_init(&forward.arena, NULL, 0, FORWARD_BYTES);
	forget_calls();
	memcpy(forward.path, engine.options.forward, sizeof(forward.path));
	if (forward.path[0] == 0 && engine.reader != NULL)
		snprintf(forward.path, sizeof(forward.path), "%s",
		         tape_reader_header(engine.reader)->module);
	forward.state = KEEPING;
}

bool forward_is_on(void)
{
	return forward.state == ON;
}

void forward_end(void)
{
	if (forward.state == KEEPING)
		forget_calls();
}

/* ---- who is who ------------------------------------------------------------------------------ */

static int space_of(enum tape_kind kind)
{
	switch ((int)kind) {
	case TAPE_K_SESSION:
	case TAPE_K_OUT_SESSION:
		return SESSIONS;
	case TAPE_K_OBJECT:
	case TAPE_K_OUT_OBJECT:
	case TAPE_K_OUT_OBJECTS:
		return OBJECTS;
	case TAPE_K_SLOT:
	case TAPE_K_OUT_SLOT:
	case TAPE_K_OUT_SLOTS:
		return SLOTS;
	default:
		return -1;
	}
}

static bool bind(int space, uint64_t program, uint64_t live)
{
	struct space *s = &forward.spaces[space];
	uint64_t before;
	if (tape_map_get(&s->live, program, &before))
		tape_map_remove(&s->program, before);
	tape_map_remove(&s->unknown, program);
	return tape_map_put(&s->live, program, live) && tape_map_put(&s->program, live, program);
}

static void unbind(int space, uint64_t program)
{
	struct space *s = &forward.spaces[space];
	uint64_t live;
	if (tape_map_get(&s->live, program, &live))
		tape_map_remove(&s->program, live);
	tape_map_remove(&s->live, program);
	tape_map_remove(&s->unknown, program);
}

static bool is_unknown(int space, uint64_t program)
{
	uint64_t ignored;
	return tape_map_get(&forward.spaces[space].unknown, program, &ignored);
}

static void set_unknown(int space, uint64_t program)
{
	forward.failed |= !tape_map_put(&forward.spaces[space].unknown, program, 1);
}

static bool is_bound(int space, uint64_t program, uint64_t *ret_live)
{
	return tape_map_get(&forward.spaces[space].live, program, ret_live);
}

/* The program's number for one of the live module's: its own, unless the program has that for something else. */
static uint64_t to_program(int space, uint64_t live)
{
	struct space *s = &forward.spaces[space];
	uint64_t program = live;
	uint64_t ignored;
	if (tape_map_get(&s->program, live, &program))
		return program;
	if (s->fresh == 0)
		s->fresh = (uint64_t)1 << 24;
	while (program == 0 ? space != SLOTS
	                    : is_bound(space, program, &ignored) || is_unknown(space, program))
		program = s->fresh++;
	/* Without memory the program has a number that nothing stands behind. */
	(void)bind(space, program, live);
	return program;
}

/* What the trace gave when the live module was already there, which knows nothing of it. */
static void came_late(const struct tape_function *function, const struct tape_value *out)
{
	uint64_t ignored;
	for (size_t i = 0; i < function->count; i++) {
		enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
		if ((kind == TAPE_K_OUT_SESSION || kind == TAPE_K_OUT_OBJECT) &&
		    !is_bound(space_of(kind), out[i].number, &ignored))
			set_unknown(space_of(kind), out[i].number);
	}
}

/* ---- keeping --------------------------------------------------------------------------------- */

static enum tape_record_id by_size(void *context, CK_SESSION_HANDLE session, bool seal)
{
	(void)context;
	(void)session;
	(void)seal;
	return TAPE_R_COUNT;
}

static const struct tape_scope_row *row_of(const struct tape_function *function)
{
	return &tape_scope_rows[function - tape_functions];
}

static unsigned int effects_of(const struct tape_function *function)
{
	return tape_effects[function - tape_functions].effects;
}

/* Whether all objects that a call names are session objects that the program made. */
static bool names_own(const struct tape_function *function, const struct tape_value *in)
{
	uint64_t ignored;
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OBJECT &&
		    !tape_map_get(&forward.own, in[i].number, &ignored))
			return false;
	return true;
}

static void keep(const struct tape_function *function, const uintptr_t *words,
                 const struct tape_value *in, const struct tape_value *out, CK_RV rv)
{
	unsigned int effects = effects_of(function);
	const char *harm = rv == CKR_OK ? tape_harm(function, in, names_own(function, in)) : NULL;
	if (harm != NULL) {
		refuse("%s %s, and is not made again on a live one", function->name.text, harm);
		return;
	}
	if ((effects & TAPE_EFFECT_FORGETS) != 0 && rv == CKR_OK)
		forget_calls();
	struct served *served = tape_arena_get(&forward.arena, sizeof(*served));
	if (served == NULL || ++forward.count > FORWARD_CALLS)
		goto full;
	memset(served, 0, sizeof(*served));
	served->function = function;
	memcpy(served->words, words, function->words * sizeof(*words));
	served->rv = rv;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (!tape_value_copy(&forward.arena, &served->in[i], &in[i]) ||
		    !tape_value_copy(&forward.arena, &served->out[i], &out[i]))
			goto full;
		if (argument->kind == TAPE_K_INIT_ARGS && in[i].form == TAPE_V_RECORD)
			memcpy(&served->mutexes, (const void *)words[argument->word],
			       sizeof(served->mutexes));
		/* Where it were of the token we would not be here. */
		if (argument->kind == TAPE_K_OUT_OBJECT && rv == CKR_OK &&
		    !tape_map_put(&forward.own, out[i].number, 1))
			goto full;
	}
	*forward.end = served;
	forward.end = &served->next;
	return;
full:
	refuse("the program has made more calls than are kept for a live module");
}

CK_RV forward_keep(const struct tape_function *function, const uintptr_t *words,
                   forward_serve *serve)
{
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_arena arena;
	struct tape_capture capture = { .arena = &arena,
		                        .snapshot = true,
		                        .message_record = by_size };
	/* It came while another thread went over. */
	if (forward.state == ON)
		return FORWARD_HERE;
	if (forward.state != KEEPING)
		return serve(function, words);
	tape_arena_init(&arena, NULL, 0, TAPE_MAX_ITEM);
	tape_capture_in(&capture, function, words, in);
	CK_RV rv = serve(function, words);
	if (rv != FORWARD_HERE) {
		tape_capture_out(&capture, function, words, in, rv, out);
		/* The lock may have been given away, and another thread have gone over. */
		if (forward.state == KEEPING)
			keep(function, words, in, out, rv);
		else if (rv == CKR_OK)
			came_late(function, out);
	}
	tape_arena_wipe(&arena);
	return rv;
}

/* ---- knowing again ----------------------------------------------------------------------------- */

/* Ask the module itself. Returns CKR_FUNCTION_NOT_SUPPORTED where it has no such function. */
#define ASK(name, ...)                                  \
	(forward.bare.functions[TAPE_FN_##name] == NULL \
	         ? CKR_FUNCTION_NOT_SUPPORTED           \
	         : ((CK_##name)forward.bare.functions[TAPE_FN_##name])(__VA_ARGS__))

static const struct tape_value *label_in(const struct tape_function *function,
                                         const struct tape_value *in, const struct tape_value *out,
                                         uint64_t slot)
{
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OUT_TOKEN_INFO &&
		    out[i].form == TAPE_V_RECORD && in[0].number == slot)
			return tape_value_child(&out[i], 0);
	return NULL;
}

/* The label of a token that the program, or else the recorded one, saw in a slot: blank-padded. */
static bool find_label(uint64_t slot, unsigned char ret_label[32])
{
	const struct tape_value *label = NULL;
	const struct record *record;
	for (const struct served *s = forward.first; s != NULL && label == NULL; s = s->next)
		label = label_in(s->function, s->in, s->out, slot);
	for (size_t i = 0; label == NULL && (record = loose_record(i)) != NULL; i++)
		if (record->rv == CKR_OK && record->return_at < LATER && !record->partial)
			label = label_in(record->function, record->in, record->out, slot);
	memset(ret_label, ' ', 32);
	if (label == NULL || label->form != TAPE_V_BYTES || label->length == 0 ||
	    label->length > 32)
		return false;
	memcpy(ret_label, label->data, label->length);
	return true;
}

/* Slots are known again by their token's label; without one, by their number. */
static void find_slot(uint64_t program)
{
	unsigned char label[32];
	CK_SLOT_ID slots[MAX_SLOTS];
	CK_ULONG count = MAX_SLOTS;
	CK_TOKEN_INFO info;
	uint64_t ignored;
	uint64_t found = 0;
	size_t many = 0;
	bool labelled = find_label(program, label);
	if (ASK(C_GetSlotList, CK_FALSE, slots, &count) != CKR_OK)
		count = 0;
	for (CK_ULONG i = 0; i < count && i < MAX_SLOTS; i++) {
		if (tape_map_get(&forward.spaces[SLOTS].program, slots[i], &ignored) ||
		    (labelled ? ASK(C_GetTokenInfo, slots[i], &info) != CKR_OK ||
		                        memcmp(info.label, label, sizeof(label)) != 0
		              : slots[i] != program))
			continue;
		many = slots[i] == program ? 1 : many + 1;
		found = slots[i];
		if (found == program)
			break;
	}
	if (many == 1)
		(void)bind(SLOTS, program, found);
	else
		set_unknown(SLOTS, program);
}

/* All those that the program was told of, before one that it was not told of gets the number of one. */
static void find_slots(const struct tape_value *list)
{
	uint64_t ignored;
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++) {
		uint64_t program = tape_value_child(list, i)->number;
		if (!is_bound(SLOTS, program, &ignored) && !is_unknown(SLOTS, program))
			find_slot(program);
	}
}

/* What objects are known again by. */
struct known {
	CK_ATTRIBUTE attributes[MAX_KNOWN];
	CK_ULONG count;
};

static void add_known(struct known *known, uint64_t type, const struct tape_value *value)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	/* Modules do not search for lists, and not all of them for what is empty. */
	if (value->form != TAPE_V_BYTES || value->length == 0 || known->count == MAX_KNOWN ||
	    tape_varies_attribute(type) ||
	    (row != NULL && (row->type == TAPE_A_ULONGS || row->type == TAPE_A_CONSTANTS ||
	                     row->type == TAPE_A_TEMPLATE)))
		return;
	for (CK_ULONG i = 0; i < known->count; i++)
		if (known->attributes[i].type == type)
			return;
	known->attributes[known->count++] =
		(CK_ATTRIBUTE){ (CK_ATTRIBUTE_TYPE)type, (void *)(uintptr_t)value->data,
		                (CK_ULONG)value->length };
}

static void add_template(struct known *known, const struct tape_value *types,
                         const struct tape_value *values)
{
	for (size_t i = 0; types->form == TAPE_V_LIST && values->form == TAPE_V_LIST &&
	                   i < types->count && i < values->count;
	     i++)
		add_known(known, tape_value_child(types, i)->tag, tape_value_child(values, i));
}

static bool is_among(const struct tape_value *list, uint64_t number)
{
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++)
		if (tape_value_child(list, i)->number == number)
			return true;
	return false;
}

/* What a search asked for; NULL for a call that begins none. */
static const struct tape_value *sought(const struct served *served)
{
	const struct tape_function *function = served->function;
	for (size_t i = 0; i < function->count && served->rv == CKR_OK; i++)
		if ((tape_shapes[function->arguments[i].kind].traits & TAPE_T_SEEKS) != 0)
			return &served->in[i];
	return NULL;
}

/* What the program was told of an object: what searches asked for that found it, and what it read. */
static void gather(struct known *known, uint64_t object)
{
	struct tape_map searches = { .pairs = NULL }; /* by session, as numbers */
	for (const struct served *s = forward.first; s != NULL; s = s->next) {
		const struct tape_function *function = s->function;
		const struct tape_value *asked = sought(s);
		uint64_t session = function->lane < 0 ? 0 : s->in[function->lane].number;
		uint64_t address = 0;
		bool names = false;
		if (asked != NULL && !tape_map_put(&searches, session, (uintptr_t)asked))
			tape_map_remove(&searches, session);
		for (size_t i = 0; i < function->count; i++) {
			enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
			names |= kind == TAPE_K_OBJECT && s->in[i].number == object;
			if (kind == TAPE_K_READ_TEMPLATE && names)
				add_template(known, &s->in[i], &s->out[i]);
			if (kind != TAPE_K_OUT_OBJECTS || !is_among(&s->out[i], object) ||
			    !tape_map_get(&searches, session, &address))
				continue;
			asked = (const struct tape_value *)(uintptr_t)address;
			add_template(known, asked, asked);
		}
	}
	tape_map_done(&searches);
}

/*
 * The one object of a slot that has all of it; or, where several have, `place` if that is one of them. Returns false where
 * there is none.
 */
static bool look_for(CK_SLOT_ID slot, struct known *known, uint64_t place, uint64_t *ret_object)
{
	CK_OBJECT_HANDLE found;
	CK_SESSION_HANDLE session;
	CK_ULONG count = 1;
	size_t many = 0;
	bool placed = false;
	/* The security officer has read-write sessions only (PKCS#11 3.1 §5.6.1). */
	if (ASK(C_OpenSession, slot, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK &&
	    ASK(C_OpenSession, slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) !=
	            CKR_OK)
		return false;
	if (ASK(C_FindObjectsInit, session, known->attributes, known->count) == CKR_OK) {
		while (ASK(C_FindObjects, session, &found, 1, &count) == CKR_OK && count == 1 &&
		       many++ < MAX_ALIKE && !placed) {
			*ret_object = found;
			placed = found == place;
		}
		(void)ASK(C_FindObjectsFinal, session);
	}
	(void)ASK(C_CloseSession, session);
	return placed || many == 1;
}

/*
 * An object that the program found in the recording. Where others have all that the program was told of it, nobody can
 * tell them apart but by their places in a search that found as many: `place` (0: it had another number of objects).
 */
static void find_object(uint64_t live_session, uint64_t program, uint64_t place)
{
	struct known known = { .count = 0 };
	CK_SESSION_INFO info;
	uint64_t live;
	uint64_t other;
	gather(&known, program);
	if (known.count + place != 0 &&
	    ASK(C_GetSessionInfo, (CK_SESSION_HANDLE)live_session, &info) == CKR_OK &&
	    look_for(info.slotID, &known, place, &live) &&
	    !tape_map_get(&forward.spaces[OBJECTS].program, live, &other))
		(void)bind(OBJECTS, program, live);
	else
		set_unknown(OBJECTS, program);
}

/* ---- arguments ------------------------------------------------------------------------------- */

/* What stands in the place of the program's arguments. */
struct lending {
	bool failed;  /* no memory, or what is not understood */
	bool unknown; /* something is named that the live module is not known to have */
	bool other;   /* a number that is another one there */
	int space;
	uint64_t number; /* the first one */
};

static uint64_t lend_handle(void *context, enum tape_kind kind, uint64_t program)
{
	struct lending *lending = context;
	int space = space_of(kind);
	uint64_t live;
	if (space < 0 || (space != SLOTS && program == 0))
		return program;
	if (space == SLOTS && !is_unknown(space, program) && !is_bound(space, program, &live))
		find_slot(program);
	if (is_bound(space, program, &live)) {
		lending->other |= live != program;
		return live;
	}
	if (is_unknown(space, program)) {
		lending->unknown = true;
		lending->space = space;
		lending->number = program;
	}
	/* A number that was made up must not become somebody's: no slot has the highest one, no object or session 0. */
	lending->other = true;
	return space == SLOTS ? (CK_SLOT_ID)-1 : 0;
}

/* A session's Notify function, and what it is called with. */
struct notify {
	CK_NOTIFY function;
	void *application;
};

/* The live module has a notification: it is of a session that the program knows by another number. */
static CK_RV notified(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	const struct notify *notify = application;
	if (notify == NULL || forward.state != ON)
		return CKR_OK;
	engine_enter();
	uint64_t program = to_program(SESSIONS, session);
	engine_leave();
	return notify->function((CK_SESSION_HANDLE)program, event, notify->application);
}

/*
 * What a session is opened with: the program's own pApplication, or, with a Notify function, what ours needs. That lives
 * as long as the process, since nothing says when the module has called it for the last time.
 */
static void lend_notify(const struct tape_function *function, const uintptr_t *program,
                        uintptr_t *live)
{
	uintptr_t callback = 0;
	uintptr_t application = 0;
	for (size_t i = 0; i < function->count; i++) {
		unsigned int word = function->arguments[i].word;
		if (function->arguments[i].kind == TAPE_K_NOTIFY)
			callback = program[word];
		else if (function->arguments[i].kind == TAPE_K_APPLICATION)
			live[word] = application = program[word];
	}
	struct notify *notify = callback == 0 ? NULL : malloc(sizeof(*notify));
	if (notify != NULL)
		*notify = (struct notify){ (CK_NOTIFY)callback, (void *)application };
	for (size_t i = 0; i < function->count && callback != 0; i++) {
		unsigned int word = function->arguments[i].word;
		if (function->arguments[i].kind == TAPE_K_NOTIFY)
			live[word] = (uintptr_t)notified;
		else if (function->arguments[i].kind == TAPE_K_APPLICATION)
			live[word] = (uintptr_t)notify;
	}
	/* The module has it. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
}

/* Handles in structures: the program's numbers for the live ones. Returns whether any is another. */
static bool give_back(struct tape_value *value)
{
	bool any = false;
	struct tape_value *children = (struct tape_value *)(uintptr_t)value->data;
	if (value->form == TAPE_V_MECHANISM)
		return give_back(children);
	if (value->form == TAPE_V_LIST)
		for (size_t i = 0; i < value->count; i++)
			any |= give_back(&children[i]);
	if (value->form != TAPE_V_RECORD || value->record == TAPE_R_NONE)
		return any;
	const struct tape_record *record = &tape_records[value->record];
	for (size_t i = 0; i < value->count && i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		bool object = tape_value_is_object(value, i);
		/* The only structure that names a slot is about a session. */
		bool slot = value->record == TAPE_R_CK_SESSION_INFO &&
		            field->offset == offsetof(CK_SESSION_INFO, slotID);
		if (children[i].form == TAPE_V_NUMBER &&
		    (slot || (object && children[i].number != 0))) {
			uint64_t live = children[i].number;
			children[i].number = to_program(slot ? SLOTS : OBJECTS, live);
			any |= children[i].number != live;
		} else {
			any |= give_back(&children[i]);
		}
	}
	return any;
}

/* The outputs of a call that succeeded, as the program is to have them. `out` is ours to write to. */
static bool give_outputs(const struct tape_function *function, struct tape_value *out)
{
	bool any = false;
	for (size_t i = 0; i < function->count; i++) {
		enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
		int space = (tape_shapes[kind].traits & TAPE_T_OUT) != 0 ? space_of(kind) : -1;
		bool list = out[i].form == TAPE_V_LIST;
		struct tape_value *numbers =
			list ? (struct tape_value *)(uintptr_t)out[i].data : &out[i];
		if (space < 0) {
			any |= give_back(&out[i]);
			continue;
		}
		for (size_t j = 0; j < (list ? out[i].count : out[i].form == TAPE_V_NUMBER); j++) {
			uint64_t live = numbers[j].number;
			numbers[j].number = to_program(space, live);
			any |= numbers[j].number != live;
		}
	}
	return any;
}

/* ---- bringing a module to a state ------------------------------------------------------------ */

static void count_otherwise(const struct served *served)
{
	if (forward.otherwise++ == 0)
		forward.first_otherwise = served->function->name.text;
}

static uint64_t operations_of(const struct tape_map *map, const struct served *served)
{
	uint64_t bits = 0;
	if (served->function->lane >= 0)
		(void)tape_map_get(map, served->in[served->function->lane].number, &bits);
	return bits & row_of(served->function)->operations;
}

static bool mark(struct tape_map *map, const struct served *served, unsigned int operations,
                 bool set)
{
	uint64_t session = served->in[served->function->lane].number;
	uint64_t bits = 0;
	(void)tape_map_get(map, session, &bits);
	bits = set ? bits | operations : bits & ~(uint64_t)operations;
	if (bits != 0)
		return tape_map_put(map, session, bits);
	tape_map_remove(map, session);
	return true;
}

/* What a call ended there is no question any more. */
static void forget_ended(const struct served *served)
{
	const struct tape_scope_row *row = row_of(served->function);
	struct tape_scope_call call = {
		.function = served->function, .in = served->in, .out = served->out, .rv = served->rv
	};
	unsigned int bits = row->operations;
	if (served->function->lane < 0)
		return;
	if (row->act == TAPE_ACT_CLOSES || row->act == TAPE_ACT_CANCELS)
		bits = ~0u;
	else if (row->act != TAPE_ACT_ENDS || !tape_scope_gave_output(&call))
		return;
	(void)mark(&forward.absent, served, bits, false);
	(void)mark(&forward.doubtful, served, bits, false);
}

/* A call that cannot be made there: what it made is not known there. */
static bool leave_out(const struct served *served)
{
	const struct tape_scope_row *row = row_of(served->function);
	bool good = true;
	for (size_t i = 0; i < served->function->count; i++)
		if (served->function->arguments[i].kind == TAPE_K_OUT_OBJECT &&
		    served->rv == CKR_OK)
			set_unknown(OBJECTS, served->out[i].number);
	if (row->operations != 0 && served->function->lane >= 0 && served->rv == CKR_OK)
		good = mark(&forward.absent, served, row->operations, true);
	forget_ended(served);
	return good || refuse("out of memory");
}

/* A slot that is not there: what was only read of it may be another one's business. */
static bool lacks_slot(const struct served *served, uint64_t slot)
{
	unsigned char label[32];
	count_otherwise(served);
	if (row_of(served->function)->class == TAPE_CLASS_READ)
		return true;
	if (find_label(slot, label))
		return refuse("no slot of %s, or more than one, has the token '%.32s'",
		              forward.path, (const char *)label);
	return refuse("%s has no slot %llu, and the label of its token is not recorded",
	              forward.path, (unsigned long long)slot);
}

static void differ_steadily(void *context, const struct tape_place *place,
                            const struct tape_value *recorded, const struct tape_value *live)
{
	(void)recorded;
	(void)live;
	*(bool *)context |= !tape_varies_place(place);
}

/* Whether a call that only reads told the program something else than the live module does. */
static bool tells_otherwise(const struct served *served, const struct tape_value *out)
{
	bool differs = false;
	struct tape_compare compare = { .each = differ_steadily, .context = &differs };
	return tape_compare_results(&compare, served->function, served->out, out) >= 0 || differs;
}

/* What a search found: known again by what the program knows of it. */
static bool bind_found(const struct served *served, const struct tape_value *list,
                       const struct tape_value *live, uint64_t live_session)
{
	uint64_t ignored;
	bool same = list->form == live->form && list->count == live->count;
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++) {
		uint64_t program = tape_value_child(list, i)->number;
		if (!is_bound(OBJECTS, program, &ignored) && !is_unknown(OBJECTS, program))
			find_object(live_session, program,
			            same ? tape_value_child(live, i)->number : 0);
	}
	for (size_t i = 0; same && list->form == TAPE_V_LIST && i < live->count; i++) {
		uint64_t program;
		same = tape_map_get(&forward.spaces[OBJECTS].program,
		                    tape_value_child(live, i)->number, &program) &&
		       is_among(list, program);
	}
	if (same)
		return true;
	count_otherwise(served);
	return mark(&forward.doubtful, served, row_of(served->function)->operations, true) ||
	       refuse("out of memory");
}

/* A call that answered as it was served: what stands for what from now on. */
static bool bind_outputs(const struct served *served, struct tape_value *out, uint64_t live_session)
{
	const struct tape_function *function = served->function;
	for (size_t i = 0; i < function->count; i++) {
		enum tape_kind kind = (enum tape_kind)function->arguments[i].kind;
		if (kind == TAPE_K_OUT_SLOTS)
			find_slots(&served->out[i]);
		if (kind == TAPE_K_OUT_OBJECTS &&
		    !bind_found(served, &served->out[i], &out[i], live_session))
			return false;
		if ((kind == TAPE_K_OUT_SESSION || kind == TAPE_K_OUT_OBJECT) &&
		    !bind(space_of(kind), served->out[i].number, out[i].number))
			return refuse("out of memory");
	}
	if (row_of(function)->class == TAPE_CLASS_READ) {
		give_outputs(function, out);
		if (tells_otherwise(served, out))
			count_otherwise(served);
	}
	return true;
}

static const char *code_of(CK_RV rv)
{
	const struct tape_name *name = tape_constant_name(TAPE_G_CKR, rv);
	return name == NULL ? "a code without a name" : name->text;
}

static bool judge(const struct served *served, CK_RV rv, struct tape_value *out,
                  uint64_t live_session)
{
	const struct tape_scope_row *row = row_of(served->function);
	if (rv == served->rv)
		return rv != CKR_OK || bind_outputs(served, out, live_session);
	count_otherwise(served);
	if (row->class == TAPE_CLASS_READ)
		return true;
	if (row->operations == 0 || served->function->lane < 0)
		return refuse("%s, which returned %s, returns %s on %s",
		              served->function->name.text, code_of(served->rv), code_of(rv),
		              forward.path);
	return mark(&forward.doubtful, served, row->operations, true) || refuse("out of memory");
}

/* Make a call again. Returns false, refused, where the state cannot be brought there. */
static bool bring(const struct served *served)
{
	const struct tape_function *function = served->function;
	const struct tape_scope_row *row = row_of(function);
	enum tape_function_id id = (enum tape_function_id)(function - tape_functions);
	struct tape_arena arena;
	struct lending lending = { .unknown = false };
	struct tape_stage stage = { .arena = &arena,
		                    .mutexes = served->mutexes,
		                    .notify = notified,
		                    .handle = lend_handle,
		                    .context = &lending };
	struct tape_capture capture = { .arena = &arena,
		                        .snapshot = true,
		                        .message_record = by_size };
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	uintptr_t words[TAPE_MAX_WORDS];
	/* What failed and is no part of an operation changed nothing; a wrong PIN least of all is said again. */
	bool in_vain = served->rv != CKR_OK &&
	               (row->class == TAPE_CLASS_CHANGE || row->class == TAPE_CLASS_DRAW);
	if (in_vain || function->waits >= 0)
		return true;
	/* What is generated is another key there than the program knows. */
	if ((effects_of(function) & TAPE_EFFECT_GENERATES) != 0)
		return leave_out(served);
	if (row->act == TAPE_ACT_BEGINS || row->act == TAPE_ACT_SEEKS)
		(void)mark(&forward.absent, served, row->operations, false);
	else if (operations_of(&forward.absent, served) != 0)
		return leave_out(served);
	tape_arena_init(&arena, NULL, 0, TAPE_MAX_ITEM);
	bool good = true;
	if (tape_stage_in(&stage, function, served->in, words) < 0) {
		good = refuse("%s cannot be made again: %s", function->name.text,
		              stage.missing == NULL ? "out of memory" : stage.missing);
	} else if (lending.unknown) {
		good = lending.space == SLOTS ? lacks_slot(served, lending.number)
		                              : leave_out(served);
	} else if (forward.live.functions[id] == NULL) {
		good = row->class == TAPE_CLASS_READ ||
		       refuse("%s is not in %s", function->name.text, forward.path);
	} else {
		lend_notify(function, served->words, words);
		tape_capture_in(&capture, function, words, in);
		CK_RV rv = tape_call(forward.live.functions[id], id, words);
		tape_capture_out(&capture, function, words, in, rv, out);
		forward.made++;
		if ((effects_of(function) & TAPE_EFFECT_FORGETS) != 0 && rv == CKR_OK)
			forward.initialized = true;
		good = judge(served, rv, out, function->lane < 0 ? 0 : in[function->lane].number);
		if (good)
			forget_ended(served);
	}
	tape_arena_wipe(&arena);
	return good;
}

static bool bring_all(const char *path)
{
	struct tape_error error;
	const char *recorder = engine.options.recorder;
	/* A module that is not there is not the recorder's to complain of. */
	if (tape_live_load(&forward.bare, path, path, &error) < 0 ||
	    tape_live_load(&forward.live, recorder[0] != 0 ? recorder : path, path, &error) < 0)
		return refuse("%s", error.sentence);
	for (const struct served *s = forward.first; s != NULL; s = s->next)
		if (!bring(s))
			return false;
	if (forward.failed)
		return refuse("out of memory");
	if (forward.absent.count != 0)
		return refuse("an operation is active with an object that %s is not known to have",
		              path);
	if (forward.doubtful.count != 0)
		return refuse("an operation is active that went otherwise on %s", path);
	return true;
}

static void tell(const struct tape_function *function)
{
	char sentence[sizeof(engine.options.forward) + 512];
	int length = snprintf(sentence, sizeof(sentence),
	                      "%s is not in the recording: from here on %s answers, on which %llu "
	                      "calls were made again",
	                      function->name.text, forward.path, (unsigned long long)forward.made);
	if (forward.otherwise != 0 && length > 0 && (size_t)length < sizeof(sentence))
		snprintf(sentence + length, sizeof(sentence) - (size_t)length,
		         "; %llu of them answered otherwise, the first one was %s",
		         (unsigned long long)forward.otherwise, forward.first_otherwise);
	report_note(sentence);
}

bool forward_switch(const struct tape_function *function, const char **ret_why)
{
	*ret_why = NULL;
	if (forward.state == KEEPING) {
		forward.state = BRINGING;
		if (bring_all(forward.path)) {
			tell(function);
			forget_calls();
			forward.state = ON;
			/* Who waits for an event of the recording waits there. */
			wait_check();
			return true;
		}
		CK_C_Finalize finalize = (CK_C_Finalize)forward.live.functions[TAPE_FN_C_Finalize];
		if (forward.initialized && finalize != NULL)
			(void)finalize(NULL);
	}
	if (forward.state == REFUSED)
		*ret_why = forward.why;
	return false;
}

/* ---- going on with it ------------------------------------------------------------------------ */

/*
 * Inputs with handles inside that are others there: arguments of our own. What holds none stays the program's, with all
 * that it points to. Returns whether there are any.
 */
static bool lend_inside(struct tape_arena *arena, const struct tape_function *function,
                        const struct tape_value *in, uintptr_t *words, struct lending *lending)
{
	struct tape_value inside[TAPE_MAX_ARGUMENTS];
	uintptr_t staged[TAPE_MAX_WORDS];
	struct lending inner = { .unknown = false };
	struct tape_stage stage = { .arena = arena, .handle = lend_handle, .context = &inner };
	bool deep[TAPE_MAX_ARGUMENTS] = { false };
	bool any = false;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		deep[i] = shape->codec == TAPE_C_MECHANISM || shape->codec == TAPE_C_PARAMETER;
		inside[i] = deep[i] ? in[i] : (struct tape_value){ .form = TAPE_V_NULL };
		any |= deep[i];
	}
	if (!any)
		return false;
	if (tape_stage_in(&stage, function, inside, staged) < 0) {
		lending->failed = true;
		return false;
	}
	if (inner.unknown)
		*lending = inner;
	for (size_t i = 0; inner.other && i < function->count; i++)
		for (size_t j = 0; deep[i] && j < tape_shapes[function->arguments[i].kind].words;
		     j++)
			words[function->arguments[i].word + j] =
				staged[function->arguments[i].word + j];
	return inner.other;
}

static bool lend(struct tape_arena *arena, const struct tape_function *function,
                 const uintptr_t *words, const struct tape_value *in, uintptr_t *live,
                 struct lending *lending)
{
	memcpy(live, words, function->words * sizeof(*words));
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (tape_shapes[argument->kind].codec == TAPE_C_NUMBER)
			live[argument->word] = (uintptr_t)lend_handle(
				lending, (enum tape_kind)argument->kind, words[argument->word]);
	}
	bool inside = lend_inside(arena, function, in, live, lending);
	lend_notify(function, words, live);
	return inside;
}

/* What a call that succeeded ended: numbers that may come to mean something else. */
static void forget_handles(const struct tape_function *function, const struct tape_value *in)
{
	unsigned int effects = effects_of(function);
	if ((effects & TAPE_EFFECT_FORGETS) != 0)
		for (int space = SESSIONS; space <= OBJECTS; space++) {
			tape_map_clear(&forward.spaces[space].live);
			tape_map_clear(&forward.spaces[space].program);
			tape_map_clear(&forward.spaces[space].unknown);
		}
	if (row_of(function)->act == TAPE_ACT_CLOSES)
		unbind(SESSIONS, in[function->lane].number);
	for (size_t i = 0; (effects & TAPE_EFFECT_DESTROYS) != 0 && i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OBJECT)
			unbind(OBJECTS, in[i].number);
}

bool forward_call(const struct tape_function *function, const uintptr_t *words, CK_RV *ret_rv,
                  char ret_why[FORWARD_WHY])
{
	static const char *const names[SPACES] = { "session", "object", "slot" };
	enum tape_function_id id = (enum tape_function_id)(function - tape_functions);
	_Alignas(16) char room[RECORD_ROOM];
	struct tape_arena arena;
	struct tape_capture capture = { .arena = &arena,
		                        .snapshot = true,
		                        .message_record = by_size };
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value live_in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	uintptr_t live[TAPE_MAX_WORDS];
	struct lending lending = { .unknown = false };
	tape_arena_init(&arena, room, sizeof(room), TAPE_MAX_ITEM);
	tape_capture_in(&capture, function, words, in);
	engine_enter();
	bool inside = lend(&arena, function, words, in, live, &lending);
	engine_leave();
	if (lending.unknown) {
		snprintf(ret_why, FORWARD_WHY,
		         "it is not known which %s of the live module is %s %llu",
		         names[lending.space], names[lending.space],
		         (unsigned long long)lending.number);
		tape_arena_wipe(&arena);
		return false;
	}
	if (lending.failed) {
		*ret_rv = CKR_HOST_MEMORY;
		tape_arena_wipe(&arena);
		return true;
	}
	tape_capture_in(&capture, function, live, live_in);
	*ret_rv = forward.live.functions[id] == NULL
	                  ? CKR_FUNCTION_NOT_SUPPORTED
	                  : tape_call(forward.live.functions[id], id, live);
	tape_capture_out(&capture, function, live, live_in, *ret_rv, out);
	engine_enter();
	/* The order counts: a number that is forgotten may be given out by the same call. */
	if (*ret_rv == CKR_OK)
		forget_handles(function, in);
	if ((*ret_rv == CKR_OK && give_outputs(function, out)) || inside)
		tape_answer(NULL, function, words, in, out);
	engine_leave();
	atomic_fetch_add(&report_counters->forwarded, 1);
	tape_arena_wipe(&arena);
	return true;
}
