/* SPDX-License-Identifier: MIT
 *
 * Fault injection: the rules' language, which calls a rule is for, and what becomes of their arguments.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/inject.h"

/* ---- the language ---------------------------------------------------------------------------- */

static int add(struct tape_injections *injections, const char *rule, struct tape_error *error)
{
	return tape_inject_add(injections, rule, strlen(rule), error);
}

static void test_refused(void **state)
{
	static const struct {
		const char *rule, *sentence;
	} wrong[] = {
		{ "", "'' is not a function" },
		{ "C_Sign", "says of no call what is to happen" },
		{ "C_Sign:", "says of no call what is to happen" },
		{ "C_Sign::crash", "'' is not an action" },
		{ "C_Sig:crash", "'C_Sig' is not a function" },
		{ "C_Sig*n:crash:", NULL },
		{ "C_X*:crash", "'C_X*' is not a function" },
		{ "C_Sign,,C_Login:crash", "'' is not a function" },
		{ "C_Sign:boom", "'boom' is not an action" },
		{ "C_Sign:crash=1", "'crash' is not known here" },
		{ "C_Sign:rv", "'rv' is not an action" },
		{ "C_Sign:rv=", "'' is neither the name of a return value nor a number" },
		{ "C_Sign:rv=CKM_RSA_PKCS", "neither the name of a return value" },
		{ "C_Sign:rv=CKR_PIN_TOO_WEAK", "has two values in headers that are in use" },
		{ "C_Sign:rv=0x10000000000000000", "neither the name of a return value" },
		{ "C_Sign:rv=CKR_OK:rv=CKR_OK", "stands there twice" },
		{ "C_Sign:delay=5m", "is not a time such as 100ms" },
		{ "C_Sign:delay=", "is not a time" },
		{ "C_Sign:delay=-1s", "is not a time" },
		{ "C_Sign:delay=86401s", "is more than a day" },
		{ "C_Sign:delay=99999999999999999999s", "is not a time" },
		{ "C_Sign:truncate=x", "is not a number of bytes" },
		{ "C_Sign:hide=CKR_OK", "is neither CKM_… nor CKA_…" },
		{ "C_Sign:hide=CKM_NO_SUCH", "'CKM_NO_SUCH' is not known" },
		{ "all:hide=CKA_TRUST_SERVER_AUTH", "has two values" },
		{ "all:hide=CKM_RSA_PKCS:hide=CKM_MD5", "a rule of its own" },
		{ "C_Sign:crash:when=0", "is not FIRST[..LAST][+[STEP]]" },
		{ "C_Sign:crash:when=3..2", "is not FIRST" },
		{ "C_Sign:crash:when=3..", "is not FIRST" },
		{ "C_Sign:crash:when=..3", "is not FIRST" },
		{ "C_Sign:crash:when=1+0", "is not FIRST" },
		{ "C_Sign:crash:when=1+1+1", "is not FIRST" },
		{ "C_Sign:crash:when=1:when=2", "is a second 'when'" },
		{ "C_Sign:when=3", "says of no call what is to happen" },
		{ "C_Sign:crash:session=", "is not a number" },
		{ "C_Sign:crash:token=1", "'token' is not known here" },
		{ "C_Sign:crash when=1", "without blanks" },
		{ "C_Sign:crash\n", "without blanks" },
		{ "C_Sign:crash\x7f", "without blanks" },
		{ "C_Sign:rv=\"CKR_OK\"", "neither the name" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct tape_injections injections = { 0 };
		struct tape_error error = { 0 };
		int result = add(&injections, wrong[i].rule, &error);
		if (wrong[i].sentence == NULL) {
			assert_int_equal(result, 0);
			continue;
		}
		if (result == 0 || strstr(error.sentence, wrong[i].sentence) == NULL)
			fail_msg("%s: %d, %s", wrong[i].rule, result, error.sentence);
		assert_int_equal(injections.count, 0);
	}
}

/* Every beginning of a rule, and every byte in every place of it: never more than a sentence. */
static void test_mutated(void **state)
{
	static const char rule[] =
		"C_Sign,C_Login*:rv=0x32:delay_enter=1ms:delay_exit=2us:truncate=3:"
		"hide=CKA_LABEL:object=1:session=2:slot=3:thread=4:when=1..9+2";
	static struct tape_injections injections;
	(void)state;
	for (size_t i = 0; i < sizeof(rule); i++) {
		char *exact = malloc(i + 1);
		memcpy(exact, rule, i);
		for (int byte = 0; byte < 256 && i != 0; byte++) {
			struct tape_error error = { 0 };
			exact[i - 1] = (char)byte;
			memset(&injections, 0, sizeof(injections));
			int result = tape_inject_add(&injections, exact, i, &error);
			assert_true(result == 0 ? injections.count == 1 : error.sentence[0] != 0);
		}
		free(exact);
	}
}

static void test_many(void **state)
{
	struct tape_injections injections = { 0 };
	struct tape_error error = { 0 };
	char text[128];
	struct tape_buf buf;
	(void)state;
	assert_int_equal(tape_inject_read(&injections,
	                                  " C_Sign:rv=5:delay=1us\n\tC_S*:truncate=1  all:hang ",
	                                  &error),
	                 0);
	assert_int_equal(injections.count, 3);
	tape_buf_init(&buf, text, sizeof(text), sizeof(text));
	tape_inject_put(&buf, &injections, 5);
	assert_int_equal(buf.length, strlen("rv=5:delay=1us:hang"));
	assert_memory_equal(text, "rv=5:delay=1us:hang", buf.length);
	while (injections.count < TAPE_INJECT_MAX)
		assert_int_equal(add(&injections, "all:crash", &error), 0);
	assert_true(add(&injections, "all:crash", &error) < 0);
}

/* ---- which calls ----------------------------------------------------------------------------- */

/* Which of the first nine calls a rule holds for: "..x.x.x.x". */
static const char *chosen(const char *when)
{
	static char picture[10];
	struct tape_injections injections = { 0 };
	struct tape_error error;
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	char rule[64];
	snprintf(rule, sizeof(rule), "C_Logout:rv=1%s%s",
	         when == NULL ? "" : ":when=", when == NULL ? "" : when);
	assert_int_equal(add(&injections, rule, &error), 0);
	for (int i = 0; i < 9; i++) {
		/* Others are not counted. */
		assert_int_equal(
			tape_inject_choose(&injections, &tape_functions[TAPE_FN_C_Login], words, 1),
			0);
		picture[i] = tape_inject_choose(&injections, &tape_functions[TAPE_FN_C_Logout],
		                                words, 1) != 0
		                     ? 'x'
		                     : '.';
	}
	return picture;
}

static void test_when(void **state)
{
	(void)state;
	assert_string_equal(chosen(NULL), "xxxxxxxxx");
	assert_string_equal(chosen("3"), "..x......");
	assert_string_equal(chosen("3+"), "..xxxxxxx");
	assert_string_equal(chosen("3+2"), "..x.x.x.x");
	assert_string_equal(chosen("2..4"), ".xxx.....");
	assert_string_equal(chosen("2..7+3"), ".x..x....");
}

static bool fits(const char *rules, enum tape_function_id id, const uintptr_t *words,
                 uint64_t thread)
{
	struct tape_injections injections = { 0 };
	struct tape_error error;
	assert_int_equal(tape_inject_read(&injections, rules, &error), 0);
	return tape_inject_choose(&injections, &tape_functions[id], words, thread) != 0;
}

static void test_filters(void **state)
{
	const uintptr_t copy[] = { 7, 9, 0, 0, 0, 0 };
	const uintptr_t open[] = { 3, 0, 0, 0, 0, 0 };
	(void)state;
	assert_true(fits("all:hang:session=7:object=9:thread=2", TAPE_FN_C_CopyObject, copy, 2));
	assert_false(fits("all:hang:session=7:object=9:thread=2", TAPE_FN_C_CopyObject, copy, 1));
	assert_false(fits("all:hang:session=9", TAPE_FN_C_CopyObject, copy, 1));
	assert_false(fits("all:hang:object=7", TAPE_FN_C_CopyObject, copy, 1));
	assert_true(fits("all:hang:slot=3", TAPE_FN_C_OpenSession, open, 1));
	assert_false(fits("all:hang:slot=3", TAPE_FN_C_CopyObject, copy, 1));
	assert_true(fits("C_?opy*,C_Sign:hang", TAPE_FN_C_CopyObject, copy, 1));
	assert_false(fits("C_*t:hang", TAPE_FN_C_OpenSession, open, 1));
}

/* ---- what is done ---------------------------------------------------------------------------- */

/* A module that has two mechanisms, and answers any attribute with four bytes. */
struct module {
	unsigned int calls;
	bool short_of_room;
};

static CK_RV list_mechanisms(const struct module *module, const uintptr_t *words)
{
	CK_MECHANISM_TYPE *list = (CK_MECHANISM_TYPE *)words[1];
	CK_ULONG *count = (CK_ULONG *)words[2];
	CK_ULONG room = *count;
	*count = 2;
	if (module->short_of_room || (list != NULL && room < 2))
		return CKR_BUFFER_TOO_SMALL;
	if (list != NULL) {
		list[0] = CKM_SHA256;
		list[1] = CKM_RSA_PKCS;
	}
	return CKR_OK;
}

static CK_RV make_list(void *context, const uintptr_t *words)
{
	struct module *module = context;
	module->calls++;
	return list_mechanisms(module, words);
}

static CK_RV make_attributes(void *context, const uintptr_t *words)
{
	CK_ATTRIBUTE *list = (CK_ATTRIBUTE *)words[2];
	((struct module *)context)->calls++;
	for (CK_ULONG i = 0; i < words[3]; i++) {
		if (list[i].pValue != NULL && list[i].type == CKA_WRAP_TEMPLATE) {
			CK_ATTRIBUTE *nested = list[i].pValue;
			nested[0].type = CKA_LABEL;
			nested[0].ulValueLen = 4;
			nested[1].type = CKA_ID;
			nested[1].ulValueLen = 4;
			list[i].ulValueLen = 2 * sizeof(CK_ATTRIBUTE);
			continue;
		}
		if (list[i].pValue != NULL)
			memcpy(list[i].pValue, "ABCD", 4);
		list[i].ulValueLen = 4;
	}
	return CKR_OK;
}

static CK_RV make_signature(void *context, const uintptr_t *words)
{
	CK_ULONG *length = (CK_ULONG *)words[4];
	((struct module *)context)->calls++;
	if (words[3] != 0)
		memset((void *)words[3], 'S', 32);
	*length = 32;
	return CKR_OK;
}

static CK_RV inject(const char *rules, enum tape_function_id id, const uintptr_t *words,
                    tape_inject_call_fn *make, struct module *module)
{
	struct tape_injections injections = { 0 };
	struct tape_error error;
	bool made = false;
	unsigned int calls = module->calls;
	assert_int_equal(tape_inject_read(&injections, rules, &error), 0);
	uint32_t chosen = tape_inject_choose(&injections, &tape_functions[id], words, 1);
	assert_int_not_equal(chosen, 0);
	CK_RV rv = tape_inject_call(&injections, chosen, &tape_functions[id], words, make, module,
	                            &made);
	assert_int_equal(made, module->calls != calls);
	return rv;
}

static void test_rv(void **state)
{
	struct module module = { 0 };
	CK_BYTE signature[32] = { 0 };
	CK_ULONG length = sizeof(signature);
	const uintptr_t words[] = { 1, (uintptr_t) "x", 1, (uintptr_t)signature,
		                    (uintptr_t)&length };
	(void)state;
	assert_int_equal(inject("C_Sign:rv=CKR_DEVICE_REMOVED:delay=1us", TAPE_FN_C_Sign, words,
	                        make_signature, &module),
	                 CKR_DEVICE_REMOVED);
	assert_int_equal(module.calls, 0);
	assert_int_equal(inject("C_Sign:truncate=9:delay_exit=1us", TAPE_FN_C_Sign, words,
	                        make_signature, &module),
	                 CKR_OK);
	assert_int_equal(length, 9);
	assert_int_equal(module.calls, 1);
}

static void test_crash_handled(void **state)
{
	struct module module = { 0 };
	const uintptr_t words[] = { 1 };
	(void)state;
	void (*before)(int) = signal(SIGSEGV, SIG_IGN);
	assert_int_equal(inject("C_Logout:crash", TAPE_FN_C_Logout, words, make_list, &module),
	                 CKR_GENERAL_ERROR);
	assert_int_equal(module.calls, 0);
	signal(SIGSEGV, before);
}

static void test_hidden_mechanism(void **state)
{
	static const char rule[] = "all:hide=CKM_RSA_PKCS";
	struct module module = { 0 };
	CK_MECHANISM_TYPE list[4] = { 77, 77, 77, 77 };
	CK_ULONG count = 99;
	CK_MECHANISM mechanism = { CKM_RSA_PKCS, NULL, 0 };
	const uintptr_t query[] = { 1, 0, (uintptr_t)&count };
	const uintptr_t full[] = { 1, (uintptr_t)list, (uintptr_t)&count };
	const uintptr_t info[] = { 1, CKM_RSA_PKCS, 0 };
	const uintptr_t init[TAPE_MAX_WORDS] = { 1, (uintptr_t)&mechanism, 2 };
	(void)state;
	assert_int_equal(inject(rule, TAPE_FN_C_GetMechanismList, query, make_list, &module),
	                 CKR_OK);
	assert_int_equal(count, 1);
	/* So many do fit, though the module has more. */
	assert_int_equal(inject(rule, TAPE_FN_C_GetMechanismList, full, make_list, &module),
	                 CKR_OK);
	assert_int_equal(count, 1);
	assert_int_equal(list[0], CKM_SHA256);
	assert_int_equal(list[1], 77);
	count = 0;
	assert_int_equal(inject(rule, TAPE_FN_C_GetMechanismList, full, make_list, &module),
	                 CKR_BUFFER_TOO_SMALL);
	assert_int_equal(count, 1);
	module.calls = 0;
	assert_int_equal(inject(rule, TAPE_FN_C_GetMechanismInfo, info, make_list, &module),
	                 CKR_MECHANISM_INVALID);
	assert_int_equal(inject(rule, TAPE_FN_C_SignInit, init, make_list, &module),
	                 CKR_MECHANISM_INVALID);
	assert_int_equal(inject(rule, TAPE_FN_C_WrapKey, init, make_list, &module),
	                 CKR_MECHANISM_INVALID);
	assert_int_equal(module.calls, 0);
	mechanism.mechanism = CKM_SHA256;
	assert_false(fits(rule, TAPE_FN_C_SignInit, init, 1));
	assert_true(fits("all:hide=CKM_0x80001234", TAPE_FN_C_GetMechanismList, query, 1));
}

static void test_hidden_attribute(void **state)
{
	static const char rules[] = "all:hide=CKA_LABEL all:hide=CKA_0x80001234";
	struct module module = { 0 };
	unsigned char id[4] = { 0 };
	unsigned char label[8] = "before";
	unsigned char nested_label[4] = { 0 };
	unsigned char nested_id[4] = { 0 };
	CK_ATTRIBUTE nested[2] = { { 0, nested_label, 4 }, { 0, nested_id, 4 } };
	CK_ATTRIBUTE list[] = { { CKA_ID, id, sizeof(id) },
		                { CKA_LABEL, label, sizeof(label) },
		                { 0x80001234, NULL, 5 },
		                { CKA_SUBJECT, NULL, 0 },
		                { CKA_WRAP_TEMPLATE, nested, sizeof(nested) } };
	uintptr_t words[] = { 1, 2, (uintptr_t)list, 5 };
	(void)state;
	assert_int_equal(
		inject(rules, TAPE_FN_C_GetAttributeValue, words, make_attributes, &module),
		CKR_ATTRIBUTE_TYPE_INVALID);
	assert_int_equal(module.calls, 1);
	assert_memory_equal(id, "ABCD", 4);
	assert_int_equal(list[0].ulValueLen, 4);
	/* PKCS#11 3.1 §5.7.5: unavailable, and the memory is left alone. */
	assert_int_equal(list[1].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_string_equal((char *)label, "before");
	assert_ptr_equal(list[1].pValue, label);
	assert_int_equal(list[2].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(list[3].ulValueLen, 4);
	assert_int_equal(nested[0].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(nested[1].ulValueLen, 4);

	/* Without it nothing happens, and where it is an input the module is not asked. */
	module.calls = 0;
	assert_false(fits("all:hide=CKA_SUBJECT", TAPE_FN_C_GetAttributeValue,
	                  (uintptr_t[]){ 1, 2, (uintptr_t)list, 1 }, 1));
	assert_int_equal(inject(rules, TAPE_FN_C_FindObjectsInit,
	                        (uintptr_t[]){ 1, (uintptr_t)list, 2 }, make_list, &module),
	                 CKR_ATTRIBUTE_TYPE_INVALID);
	assert_int_equal(inject(rules, TAPE_FN_C_CreateObject,
	                        (uintptr_t[]){ 1, (uintptr_t)&list[4], 1, 0 }, make_list, &module),
	                 CKR_ATTRIBUTE_TYPE_INVALID);
	assert_int_equal(module.calls, 0);
	/* What no attributes can lie at is the module's to refuse. */
	assert_false(fits(rules, TAPE_FN_C_GetAttributeValue, (uintptr_t[]){ 1, 2, 8, 3 }, 1));
	assert_false(
		fits(rules, TAPE_FN_C_FindObjectsInit, (uintptr_t[]){ 1, 8, (uintptr_t)-1 }, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_when),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_rv),
		cmocka_unit_test(test_crash_handled),
		cmocka_unit_test(test_hidden_mechanism),
		cmocka_unit_test(test_hidden_attribute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
