/* SPDX-License-Identifier: MIT
 *
 * What a check is and what it can use.
 *
 * A check is a function that calls the module and states what must be so, each time with the rule that
 * says so (core/api/rules.def). It runs in a process of its own, in which everything that its row asks
 * for has been done: the module loaded, initialised, a session open, the user logged in. Nothing that it
 * leaves behind can spoil another check. What a check needs beyond that it tries out itself and, where
 * the module does not offer it, skips with the reason.
 *
 *   static void twice(struct check *c)
 *   {
 *           EXPECT_RV(c, 52, c->p11->C_Finalize(NULL), CKR_OK);
 *           EXPECT_RV(c, 52, c->p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
 *   }
 *
 * Expectations are for the check's own thread alone: one that is not met ends the check (by longjmp).
 */
#ifndef TAPE_SUITES_CHECK_H
#define TAPE_SUITES_CHECK_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/api/api.h"
#include "core/attributes.h"
#include "core/call.h"
#include "suites/target.h"

struct check;

/* What is done before a check, each including what it rests on. */
enum need {
	NEED_FILE = 0,        /* nothing: the check loads the module itself, or looks at its file */
	NEED_LOADED = 1 << 0, /* the module is loaded, its lists are found, nothing was called */
	NEED_INIT = 1 << 1 | NEED_LOADED,
	NEED_SLOT = 1 << 2 | NEED_INIT,     /* there is a slot: c->slot */
	NEED_TOKEN = 1 << 3 | NEED_SLOT,    /* with an initialised token in it */
	NEED_SESSION = 1 << 4 | NEED_TOKEN, /* c->session is open: read-only, public */
	NEED_RW = 1 << 5 | NEED_SESSION,    /* it is read-write */
	NEED_USER = 1 << 6 | NEED_SESSION,  /* the user is logged in, where the token wants that */
	NEED_SO = 1 << 7 | NEED_RW,         /* the security officer is logged in */
	NEED_ALONE = 1 << 9,                /* no other check may run meanwhile */
	NEED_DESTRUCTIVE = 1 << 8 | NEED_ALONE, /* changes the token: only with --destructive */
	NEED_WRONG_PIN = 1 << 10 | NEED_TOKEN |
	                 NEED_ALONE, /* presents one wrong PIN: only if the token can bear it */
	NEED_V30 = 1 << 11,          /* of PKCS#11 3.0 and later; c->p30 is there */
	NEED_V32 = 1 << 12,          /* of PKCS#11 3.2 and later; c->p32 is there */
	NEED_DIRECT = 1 << 13, /* not recorded: looks at what the module does to its process */
	/* Changes PINs or the whole token: with an own process that puts PINs and label back. */
	NEED_PINS = 1 << 15 | NEED_DESTRUCTIVE | NEED_TOKEN,
	/* Takes the token out of its slot; it is put back after the check. */
	NEED_PLUG = 1 << 16 | NEED_ALONE | NEED_TOKEN,
	ALLOW_DEATH = 1 << 14, /* the text leaves open what happens: a crash or a hang is a note */
};

#define CHECK_RULES 10
#define CHECK_NAME_SIZE 120

struct check_row {
	const char *suite, *name;          /* "finalize", "twice": the check is finalize/twice */
	const char *what;                  /* a sentence: what the check tries and demands */
	unsigned short rules[CHECK_RULES]; /* that it asserts; 0 behind the last */
	unsigned int needs;                /* enum need bits */
	void (*run)(struct check *c);
	/* Flags of which the token must list this mechanism with one; 0 for none. */
	CK_FLAGS mechanism_flags;
	CK_MECHANISM_TYPE mechanism;
	/* Of a row that a table made: a function, an attribute, a mechanism, an index. */
	uintptr_t a, b, d;
	const void *data;
};

/* Whether a check needs all of `need`. */
static inline bool check_needs(const struct check_row *row, enum need need)
{
	return (row->needs & (unsigned int)need) == (unsigned int)need;
}

/* A row in short: CHECK(twice, NEED_INIT, "a second C_Finalize finds nothing to end", 52). */
#define CHECK(function, need, sentence, ...) \
	((struct check_row){                 \
		.run = function, .needs = need, .what = sentence, .rules = { __VA_ARGS__ } })

struct check_list;

/*
 * Add a check; its name is made of `format`. The row's strings live as long as the list: literals, or
 * check_text(). Called by the suites' functions (suites.def).
 */
void check_add(struct check_list *list, struct check_row row, const char *format, ...)
	TAPE_PRINTF(3, 4);

/* A text that lives as long as the list. */
const char *check_text(struct check_list *list, const char *format, ...) TAPE_PRINTF(2, 3);

struct check {
	const struct check_row *row;
	const struct target
		*target; /* the module, its token, PINs, mechanisms: what was found out before */
	void *handle;    /* of dlopen() */
	CK_FUNCTION_LIST *p11;     /* NULL until loaded */
	CK_FUNCTION_LIST_3_0 *p30; /* NULL where the module has none */
	CK_FUNCTION_LIST_3_2 *p32;
	CK_SLOT_ID slot;
	CK_SESSION_HANDLE session;
	bool initialized;
	const char *called; /* what check_call() called last, for the report */
	struct outcome *outcome;
};

/* ---- doing what the needs say, for checks that do it themselves -------------------------------------- */

/* Load the module (through the recorder where the run is recorded) and find its lists. */
void check_load(struct check *c);

/* C_Initialize as every check gets it: CKF_OS_LOCKING_OK, and --init-args. Returns what it returned. */
CK_RV check_initialize(struct check *c);

/* C_Finalize(NULL) and dlclose(). */
CK_RV check_finalize(struct check *c);
void check_unload(struct check *c);

/*
 * In a forked child, which begins anew (Usage Guide, "Applications and processes"): initialize, and open a
 * read-only session. Returns what the first call that failed returned.
 */
CK_RV check_begin_anew(struct check *c, CK_SESSION_HANDLE *ret_session);

/* Open a session with `flags` beside CKF_SERIAL_SESSION; skips the check where that is refused. */
CK_SESSION_HANDLE check_open(struct check *c, CK_FLAGS flags);

/* The same, read-only, with another slot; skips the check where no other one opens a session. */
CK_SESSION_HANDLE check_open_elsewhere(struct check *c);

/* Take down whether the token's flags showed a wrong PIN, and no more when the right one had come. */
void check_forgiven(struct check *c, CK_FLAGS wrong, CK_FLAGS right);

/* Log in with the PIN that the user of p11tape gave; false where there is none or it is refused. */
bool check_login(struct check *c, CK_SESSION_HANDLE session, CK_USER_TYPE user);

/*
 * To hold while a check that is not alone logs in by itself: a login writes to the token, and others that log in or
 * initialise meanwhile may find half of it.
 */
int check_lock(void);
void check_unlock(int lock);

/* C_GetTokenInfo, not while another process logs in (SoftHSM2 2.6.1 then returns CKR_GENERAL_ERROR). */
CK_RV check_token_info(struct check *c, CK_SLOT_ID slot, CK_TOKEN_INFO *info);

/*
 * Take the token out of its slot, or put it back, by the command that the user of p11tape gave, and wait until
 * C_GetSlotInfo says so. Skips the check where there is no command, or where the module does not notice.
 */
void check_plug(struct check *c, bool in);

/*
 * The function by its number: from the newest list that the module has, or NULL where none has it.
 * With it, tape_call() calls a function that a table names.
 */
tape_any_fn check_function(const struct check *c, enum tape_function_id id);

/* Call function `id` with its parameters in `words`; CKR_FUNCTION_NOT_SUPPORTED where there is none. */
CK_RV check_call(struct check *c, enum tape_function_id id, const uintptr_t *words);

/*
 * Arguments that mean nothing in particular but are all there, for each of the row's shapes: the check's
 * session and slot, one-byte inputs, output buffers with room, pointers that can be written through.
 * For checks that ask what a function says before it looks at them.
 */
void check_arguments(struct check *c, enum tape_function_id id, uintptr_t words[TAPE_MAX_WORDS]);

/* ---- what the process has ---------------------------------------------------------------------------- */

size_t check_descriptors(void);
size_t check_threads(void);

/* ---- memory ------------------------------------------------------------------------------------------ */

/*
 * `size` bytes that end at a page that is not there and are poisoned, as what stands before them is. A
 * module that writes behind them is found out at once.
 */
void *check_buffer(struct check *c, size_t size);

/* From now on only the last `size` bytes of the buffer that ends at `end` are given to the module. */
void check_room(const void *end, size_t size);

/* Whether bytes `from` to `to` of a buffer are still poisoned, and nothing was written before it. */
bool check_untouched(const void *buffer, size_t from, size_t to);

#define CHECK_POISON 0xa5

/* ---- verdicts ---------------------------------------------------------------------------------------- */

/*
 * EXPECT_RV(c, rule, call, code…): the call must return one of the codes. Where it must fail and fails
 * with one of the universal errors (CKR_GENERAL_ERROR, …: PKCS#11 3.1 §5.1.1), which have precedence, or
 * with a code that is true and says less (CKR_KEY_HANDLE_INVALID of a wrapping key), that is a deviation. The text of the call stands in the report.
 */
#define EXPECT_RV(c, rule, call, ...)                                                     \
	check_expect_rv(c, rule, #call, call, (const CK_RV[]){ __VA_ARGS__ },             \
	                sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV), __FILE__, \
	                __LINE__)

/* The same of a code that a call returned before: EXPECT_CODE(c, 46, "C_Initialize", rv, CKR_OK). */
#define EXPECT_CODE(c, rule, name, rv, ...)                                               \
	check_expect_rv(c, rule, name, rv, (const CK_RV[]){ __VA_ARGS__ },                \
	                sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV), __FILE__, \
	                __LINE__)

/*
 * EXPECT(c, rule, condition, "what was seen", …): the condition must hold. One that the compiler can tell
 * beforehand asserts nothing, and is refused.
 */
#define EXPECT(c, rule, condition, ...)                                              \
	do {                                                                         \
		CHECK_IS_MEASURED(condition);                                        \
		check_expect(c, rule, (condition), __FILE__, __LINE__, __VA_ARGS__); \
	} while (0)

/* PREFER(c, rule, condition, …): the same, but what is against it is a DEVIATION. */
#define PREFER(c, rule, condition, ...)                                            \
	do {                                                                       \
		CHECK_IS_MEASURED(condition);                                      \
		if (condition)                                                     \
			check_expect(c, rule, true, __FILE__, __LINE__, "%s", ""); \
		else                                                               \
			check_deviate(c, rule, __FILE__, __LINE__, __VA_ARGS__);   \
	} while (0)

/* Whether an expression is a constant is seen best where nothing is optimised yet. */
#define CHECK_IS_MEASURED(condition)                                                 \
	_Static_assert(__builtin_choose_expr(__builtin_constant_p(condition), 0, 1), \
	               "this asserts nothing: " #condition)

/* Not as the rule demands: a fail for a MUST (ends the check), a deviation for a SHOULD, else a note. */
#define FAIL(c, rule, ...) check_expect(c, rule, false, __FILE__, __LINE__, __VA_ARGS__)

/* Against a MUST in words, but tolerated by another version of the text or by all that use modules. */
#define DEVIATION(c, rule, ...) check_deviate(c, rule, __FILE__, __LINE__, __VA_ARGS__)

CK_RV check_expect_rv(struct check *c, unsigned int rule, const char *call, CK_RV rv,
                      const CK_RV *codes, size_t count, const char *file, int line);
void check_expect(struct check *c, unsigned int rule, bool condition, const char *file, int line,
                  const char *format, ...) TAPE_PRINTF(6, 7);
void check_deviate(struct check *c, unsigned int rule, const char *file, int line,
                   const char *format, ...) TAPE_PRINTF(5, 6);
void check_observe(struct check *c, unsigned int rule, const char *format, ...) TAPE_PRINTF(3, 4);

/*
 * What the module does where `rule` leaves it open: a note that is all its check needs to show. A rule that
 * can be broken is not observed but asserted.
 */
#define OBSERVE(c, rule, ...) check_observe(c, rule, __VA_ARGS__)

/* Worth knowing and no fault: permitted variations, what the text leaves undefined. */
void check_note(struct check *c, const char *format, ...) TAPE_PRINTF(2, 3);

/* End the check: the module does not offer what it needs. Say what was tried and what was answered. */
_Noreturn void check_skip(struct check *c, const char *format, ...) TAPE_PRINTF(2, 3);

/* Go on only if a call that merely prepares something succeeded; else skip. */
#define NEED_OK(c, call) check_need_ok(c, #call, call)
void check_need_ok(struct check *c, const char *call, CK_RV rv);

/* Our own fault: something that must work on any machine did not. Ends the check. */
_Noreturn void check_error(struct check *c, const char *format, ...) TAPE_PRINTF(2, 3);

/* "CKR_OK", or a number where the value has no name; one of a few buffers of the process. */
const char *check_rv_name(CK_RV rv);
const char *check_name(enum tape_group group, uint64_t value);
const char *check_attribute_name(CK_ATTRIBUTE_TYPE type);
const char *check_mechanism_name(CK_MECHANISM_TYPE type);

/* ---- the suites -------------------------------------------------------------------------------------- */

/* Each adds its checks to the list. */
#define SUITE(name, what, sections) void suite_##name(struct check_list *list);
#include "suites/suites.def"
#undef SUITE

#endif
