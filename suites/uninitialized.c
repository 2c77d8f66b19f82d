/* SPDX-License-Identifier: MIT
 *
 * What every function says while the library is not initialised (PKCS#11 3.1 §5.1.6, §5.4.1). One check for
 * each row of functions.def and each way to be so.
 */
#include "suites/check.h"

/* C_Initialize, and what is there to find the functions, work without it. */
static bool is_for_before(const struct tape_function *function)
{
	return function->finds ||
	       (function->count == 1 && function->arguments[0].kind == TAPE_K_INIT_ARGS);
}

static void expect_not_initialized(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	check_arguments(c, id, words);
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED) {
		/* A stub may know nothing but that it is one (§5.0). */
		check_skip(c, "%s is not supported, initialised or not",
		           tape_functions[id].name.text);
	}
	if (c->row->rules[1] == 10) {
		/* The text has them "simply return" the one (§5.20), and says nothing of when. */
		EXPECT_CODE(c, 10, tape_functions[id].name.text, rv, CKR_FUNCTION_NOT_PARALLEL,
		            CKR_CRYPTOKI_NOT_INITIALIZED);
		return;
	}
	if (tape_functions[id].finds)
		EXPECT(c, 48, rv != CKR_CRYPTOKI_NOT_INITIALIZED, "%s returned %s",
		       tape_functions[id].name.text, check_rv_name(rv));
	else
		EXPECT(c, 47, rv == CKR_CRYPTOKI_NOT_INITIALIZED,
		       "%s returned %s, expected CKR_CRYPTOKI_NOT_INITIALIZED",
		       tape_functions[id].name.text, check_rv_name(rv));
}

static void after_finalize(struct check *c)
{
	NEED_OK(c, check_finalize(c));
	expect_not_initialized(c);
}

void suite_uninitialized(struct check_list *list)
{
	for (unsigned int f = 0; f < TAPE_FN_COUNT; f++) {
		const struct tape_function *function = &tape_functions[f];
		struct check_row row = { .a = f };
		row.rules[0] = function->finds ? 48 : 47;
		if (is_for_before(function) && !function->finds)
			continue;
		if (f == TAPE_FN_C_GetFunctionStatus || f == TAPE_FN_C_CancelFunction)
			row.rules[1] = 10;
		row.run = expect_not_initialized;
		row.needs = NEED_LOADED;
		row.what = check_text(list, "%s before C_Initialize", function->name.text);
		check_add(list, row, "before/%s", function->name.text);
		row.run = after_finalize;
		row.needs = NEED_INIT;
		row.what = check_text(list, "%s after C_Finalize", function->name.text);
		check_add(list, row, "after/%s", function->name.text);
	}
}
