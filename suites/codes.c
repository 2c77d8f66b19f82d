/* SPDX-License-Identifier: MIT
 *
 * The codes that functions return (PKCS#11 3.1 §5.1): one check for each function, which calls it in all the ways
 * that are wrong and looks at what is said. What is right to say to which is for other suites.
 */
#include <string.h>

#include "suites/check.h"
#include "suites/objects.h"
#include "suites/returns.h"
#include "suites/states.h"

#define NO_OBJECT 0x7ffffff1 /* no handle of a session that has few objects */
#define NO_MECHANISM 0x7fffff00
#define SEEN 32

/* What a function has returned, each code once. */
struct seen {
	enum tape_function_id id;
	CK_RV codes[SEEN];
	size_t count;
};

static void add(struct seen *seen, CK_RV rv)
{
	for (size_t i = 0; i < seen->count; i++)
		if (seen->codes[i] == rv)
			return;
	if (seen->count < SEEN)
		seen->codes[seen->count++] = rv;
}

/* A PIN is never presented where the token could take it for a wrong one. */
static bool has_secret(const struct tape_function *function)
{
	for (size_t i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_SECRET)
			return true;
	return false;
}

/* Set every argument of a codec, or of a shape, to a value. */
static bool set_codec(const struct tape_function *function, uintptr_t *words, enum tape_codec codec,
                      uintptr_t value)
{
	bool any = false;
	for (size_t i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == codec) {
			words[function->arguments[i].word] = value;
			any = true;
		}
	return any;
}

static bool set_kind(const struct tape_function *function, uintptr_t *words, enum tape_kind kind,
                     uintptr_t value)
{
	bool any = false;
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == kind) {
			words[function->arguments[i].word] = value;
			any = true;
		}
	return any;
}

/* The ways to call a function: with what is the matter, in the order of the switch. */
enum wrong {
	WRONG_NOTHING,
	WRONG_SESSION,
	WRONG_SLOT,
	WRONG_OBJECT,
	WRONG_MECHANISM,
	WRONG_FLAGS,
	WRONG_TYPE,
	WRONGS
};

/* Change what `check_arguments` gave. False where the function has nothing of the kind. */
static bool spoil(const struct tape_function *function, uintptr_t *words, enum wrong wrong,
                  CK_OBJECT_HANDLE object)
{
	static CK_MECHANISM mechanism = { NO_MECHANISM, NULL, 0 };
	/* Handles that are passed are never of what the user has in his token. */
	(void)set_kind(function, words, TAPE_K_OBJECT, object);
	switch (wrong) {
	case WRONG_NOTHING:
		return true;
	case WRONG_SESSION:
		return set_kind(function, words, TAPE_K_SESSION, 0x55550000);
	case WRONG_SLOT:
		return set_kind(function, words, TAPE_K_SLOT, 0x7ffffff0);
	case WRONG_OBJECT:
		return set_kind(function, words, TAPE_K_OBJECT, NO_OBJECT);
	case WRONG_MECHANISM:
		return set_codec(function, words, TAPE_C_MECHANISM, (uintptr_t)&mechanism);
	case WRONG_FLAGS:
		/* The wait must not wait. */
		return !set_kind(function, words, TAPE_K_WAIT_FLAGS, CKF_DONT_BLOCK | 0x40000000) &&
		       set_codec(function, words, TAPE_C_FLAGS, 0xfffffff0);
	default:
		return set_codec(function, words, TAPE_C_CONSTANT, 0x7ffffff0);
	}
}

static void call_wrongly(struct check *c, struct seen *seen, CK_OBJECT_HANDLE object)
{
	const struct tape_function *function = &tape_functions[seen->id];
	for (int wrong = WRONG_NOTHING; wrong < WRONGS; wrong++) {
		uintptr_t words[TAPE_MAX_WORDS] = { 0 };
		bool harmless =
			wrong == WRONG_SESSION || wrong == WRONG_SLOT || wrong == WRONG_TYPE;
		check_arguments(c, seen->id, words);
		if (!spoil(function, words, (enum wrong)wrong, object) ||
		    (has_secret(function) && !harmless))
			continue;
		add(seen, check_call(c, seen->id, words));
	}
}

static void expect_codes(struct check *c, const struct seen *seen)
{
	for (size_t i = 0; i < seen->count; i++) {
		const char *function = tape_functions[seen->id].name.text;
		const char *name = check_rv_name(seen->codes[i]);
		enum returns judged = returns_judge(seen->id, seen->codes[i]);
		EXPECT(c, 340, judged != RETURNS_UNDEFINED, "%s returned %s, which means nothing",
		       function, name);
		EXPECT(c, 27, judged != RETURNS_CALLBACK,
		       "%s returned %s, which is for callbacks alone", function, name);
		EXPECT(c, 11, judged != RETURNS_PARALLEL, "%s returned %s", function, name);
		EXPECT(c, 26, judged != RETURNS_FOREIGN,
		       "%s returned %s, which is for other functions alone", function, name);
		if (tape_functions[seen->id].lane >= 0)
			EXPECT(c, 16, seen->codes[i] != CKR_TOKEN_NOT_PRESENT,
			       "%s returned %s, of a session", function, name);
		if (judged == RETURNS_UNLISTED)
			check_note(c, "the text does not list %s for %s", name, function);
		if (judged == RETURNS_VENDOR)
			check_note(c, "%s returned %s, a vendor's", function, name);
	}
}

static void codes(struct check *c)
{
	struct seen seen = { .id = (enum tape_function_id)c->row->a };
	CK_OBJECT_HANDLE object = NO_OBJECT;
	if (check_function(c, seen.id) == NULL)
		check_skip(c, "the module has no function list with it");
	call_wrongly(c, &seen, NO_OBJECT);
	CK_SESSION_HANDLE session;
	if (c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
	                          &session) == CKR_OK)
		c->session = session;
	if (check_login(c, c->session, CKU_USER)) {
		struct template t;
		object_template(c, &t, OBJECT_DATA);
		if (c->p11->C_CreateObject(c->session, t.entry, t.count, &object) != CKR_OK)
			object = NO_OBJECT;
	}
	call_wrongly(c, &seen, object);
	expect_codes(c, &seen);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

void suite_codes(struct check_list *list)
{
	for (unsigned int f = 0; f < TAPE_FN_COUNT; f++) {
		struct check_row row = CHECK(codes, NEED_SESSION,
		                             "it returns codes that are defined, and not those of "
		                             "others",
		                             11, 16, 26, 27, 340);
		row.a = f;
		/* What begins and ends everything, and C_InitToken even with a wrong PIN. */
		if (f != TAPE_FN_C_Initialize && f != TAPE_FN_C_Finalize)
			check_add(list, row, "%s", tape_functions[f].name.text);
	}
}
