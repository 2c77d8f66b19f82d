/* SPDX-License-Identifier: MIT
 *
 * How rules are said, what they let pass, and what stands for what under a name that a rule gives.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/names.h"
#include "core/parse.h"
#include "core/rules.h"
#include "core/yaml_read.h"

static struct tape_rules rules;
static struct tape_arena arena;
static struct tape_bindings bindings = { .key = { 1, 2 } };

/* ---- how they are said ----------------------------------------------------------------------- */

static void say(const char *text)
{
	struct tape_error error = { 0 };
	int result = tape_rules_add(&rules, text, strlen(text), &error);
	if (result < 0)
		fail_msg("%s", error.sentence);
}

static void begin(void)
{
	memset(&rules, 0, sizeof(rules));
	tape_arena_done(&arena);
	tape_bindings_done(&bindings);
}

static void rules_are_said(void **state)
{
	static const struct {
		const char *rule, *error; /* NULL: it is one */
	} rows[] = {
		{ "C_SeedRandom.pSeed=any", NULL },
		{ "C_Sign.pData=exact", NULL },
		{ "C_Sign.pData=length", NULL },
		{ "C_Sign.pData=as:data-1", NULL },
		{ "C_CreateObject.pTemplate.CKA_ID=as:id", NULL },
		{ "C_CreateObject.pTemplate.0x80001234=any", NULL },
		{ "C_CreateObject.pTemplate.CKA_WRAP_TEMPLATE.CKA_ID=any", NULL },
		{ "C_EncryptInit.pMechanism.parameter=any", NULL },
		{ "C_EncryptInit.pMechanism.parameter.pIv=length", NULL },
		{ "C_EncryptMessage.pParameter.pIv=length", NULL },
		{ "C_Sing.pData=any", "rule 'C_Sing.pData': no such function" },
		{ "C_Sign=any", "rule 'C_Sign': the function has no such argument" },
		{ "C_Sign.data=any", "rule 'C_Sign.data': the function has no such argument" },
		{ "C_Sign.pData.CKA_ID=any",
		  "rule 'C_Sign.pData.CKA_ID': the argument has no such part" },
		{ "C_EncryptInit.pMechanism.pIv=any",
		  "rule 'C_EncryptInit.pMechanism.pIv': the argument has no such part" },
		{ "C_CreateObject.pTemplate.pIv=any",
		  "rule 'C_CreateObject.pTemplate.pIv': the argument has no such part" },
		{ "C_CreateObject.pTemplate.CKA_IDD=any",
		  "rule 'C_CreateObject.pTemplate.CKA_IDD': an attribute, a structure's field or "
		  "'parameter' is expected behind the argument" },
		{ "C_CreateObject.pTemplate.=any",
		  "rule 'C_CreateObject.pTemplate.': an attribute, a structure's field or "
		  "'parameter' is expected behind the argument" },
		{ "C_Sign.pData=most",
		  "rule 'C_Sign.pData': exact, length, any or as:NAME is expected" },
		{ "C_Sign.pData",
		  "rule 'C_Sign.pData': exact, length, any or as:NAME is expected" },
		{ "C_Sign.pData=as:", "rule 'C_Sign.pData': a name has 1 to 23 characters" },
		{ "C_Sign.pData=as:a b",
		  "rule 'C_Sign.pData': a name consists of letters, digits, - and _" },
		{ "C_Sign.pData=as:123456789012345678901234",
		  "rule 'C_Sign.pData': a name has 1 to 23 characters" },
		{ "C_CreateObject.pTemplate.CKA_ID.CKA_ID.CKA_ID.CKA_ID.CKA_ID.CKA_ID.CKA_ID=any",
		  "rule "
		  "'C_CreateObject.pTemplate.CKA_ID.CKA_ID.CKA_ID.CKA_ID.CKA_ID.CKA_ID.CKA_ID': "
		  "it goes too deep" },
	};
	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++) {
		struct tape_error error = { 0 };
		begin();
		int result = tape_rules_add(&rules, rows[i].rule, strlen(rows[i].rule), &error);
		if (rows[i].error != NULL) {
			assert_int_equal(result, -TAPE_E_INVALID);
			assert_string_equal(error.sentence, rows[i].error);
			assert_int_equal(rules.count, 0);
			continue;
		}
		assert_int_equal(result, 0);
		/* And spelled as it was said. */
		struct tape_buf buf;
		tape_buf_init(&buf, NULL, 0, 4096);
		tape_place_put(&buf, &rules.rows[0].place);
		size_t length = strcspn(rows[i].rule, "=");
		assert_int_equal(buf.length, length);
		assert_memory_equal(buf.data, rows[i].rule, length);
		tape_buf_done(&buf);
	}
}

/* ---- values ---------------------------------------------------------------------------------- */

static struct tape_node *read_yaml(const char *text)
{
	struct tape_error error = { 0 };
	struct tape_yaml *yaml;
	struct tape_node *item = NULL;
	int fd = memfd_create("item", 0);
	assert_true(fd >= 0);
	assert_int_equal(dprintf(fd, "- %s\n", text), strlen(text) + 3);
	assert_int_equal(tape_yaml_open(&yaml, fd, 0, UINT64_MAX, 1, &error), 0);
	if (tape_yaml_next(yaml, &arena, &item, &error) != 1)
		fail_msg("%s", error.sentence);
	tape_yaml_close(yaml);
	close(fd);
	return item;
}

static struct tape_value *inputs(enum tape_function_id id, const char *text)
{
	struct tape_error error = { 0 };
	struct tape_parse parse = { &arena, NULL, &error };
	struct tape_value *values = calloc(TAPE_MAX_ARGUMENTS, sizeof(*values));
	assert_non_null(values);
	if (tape_parse_in(&parse, &tape_functions[id], read_yaml(text), 1, values) < 0)
		fail_msg("%s", error.sentence);
	return values;
}

/* Returns the argument that differs, or -1; what is new is bound. */
static int compared(enum tape_function_id id, const char *recorded, const char *live)
{
	struct tape_value *a = inputs(id, recorded);
	struct tape_value *b = inputs(id, live);
	struct tape_compare compare = {
		.bindings = &bindings, .rules = &rules, .part = 1, .bind = true
	};
	int result = tape_compare_in(&compare, &tape_functions[id], a, b);
	free(a);
	free(b);
	return result;
}

#define TEMPLATE(id, label)                                           \
	"{hSession: 1, pTemplate: [{type: CKA_ID, hex: \"" id "\"}, " \
	"{type: CKA_LABEL, text: \"" label "\"}]}"

static void parts_have_rules(void **state)
{
	(void)state;
	begin();
	assert_int_equal(compared(TAPE_FN_C_CreateObject, TEMPLATE("01", "a"), TEMPLATE("02", "a")),
	                 1);
	say("C_CreateObject.pTemplate.CKA_ID=length");
	assert_int_equal(compared(TAPE_FN_C_CreateObject, TEMPLATE("01", "a"), TEMPLATE("02", "a")),
	                 -1);
	assert_int_equal(
		compared(TAPE_FN_C_CreateObject, TEMPLATE("01", "a"), TEMPLATE("0202", "a")), 1);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, TEMPLATE("01", "a"), TEMPLATE("02", "b")),
	                 1);
	/* The same part of another function has no rule. */
	assert_int_equal(
		compared(TAPE_FN_C_FindObjectsInit, TEMPLATE("01", "a"), TEMPLATE("02", "a")), 1);
	say("C_CreateObject.pTemplate.CKA_ID=any");
	assert_int_equal(
		compared(TAPE_FN_C_CreateObject, TEMPLATE("01", "a"), TEMPLATE("0202", "a")), -1);
	say("C_CreateObject.pTemplate.CKA_ID=exact");
	assert_int_equal(compared(TAPE_FN_C_CreateObject, TEMPLATE("01", "a"), TEMPLATE("02", "a")),
	                 1);
	assert_int_equal(rules.whole[TAPE_FN_C_CreateObject][1], TAPE_RULE_EXACT);
	say("C_CreateObject.pTemplate.CKA_ID=length");
	assert_int_equal(rules.whole[TAPE_FN_C_CreateObject][1], TAPE_RULE_PARTS);
	say("C_CreateObject.pTemplate=any");
	assert_int_equal(rules.whole[TAPE_FN_C_CreateObject][1], TAPE_RULE_ANY);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, TEMPLATE("01", "a"), TEMPLATE("02", "b")),
	                 -1);
}

#define GCM(iv, aad)                                                                         \
	"{hSession: 1, pMechanism: {mechanism: CKM_AES_GCM, parameter: {as: CK_GCM_PARAMS, " \
	"pIv: {hex: \"" iv "\"}, ulIvBits: 96, pAAD: {hex: \"" aad                           \
	"\"}, ulTagBits: 128}}, hKey: 2}"
#define CBC(iv)                                                                              \
	"{hSession: 1, pMechanism: {mechanism: CKM_AES_CBC, parameter: {hex: \"" iv "\"}}, " \
	"hKey: 2}"
#define READ(room)                                                                                 \
	"{hSession: 1, hObject: 2, pTemplate: [{type: CKA_ID, room: " room "}, {type: CKA_LABEL, " \
	"room: 8}]}"

static void parameters_and_rooms_have_rules(void **state)
{
	(void)state;
	begin();
	assert_int_equal(compared(TAPE_FN_C_EncryptInit, GCM("00", "aa"), GCM("11", "aa")), 1);
	say("C_EncryptInit.pMechanism.parameter.pIv=length");
	assert_int_equal(compared(TAPE_FN_C_EncryptInit, GCM("00", "aa"), GCM("11", "aa")), -1);
	assert_int_equal(compared(TAPE_FN_C_EncryptInit, GCM("00", "aa"), GCM("1111", "aa")), 1);
	assert_int_equal(compared(TAPE_FN_C_EncryptInit, GCM("00", "aa"), GCM("11", "ab")), 1);
	assert_int_equal(compared(TAPE_FN_C_EncryptInit, CBC("00"), CBC("11")), 1);
	say("C_EncryptInit.pMechanism.parameter=length");
	assert_int_equal(compared(TAPE_FN_C_EncryptInit, CBC("00"), CBC("11")), -1);
	assert_int_equal(compared(TAPE_FN_C_EncryptInit, CBC("00"), CBC("1111")), 1);
	/* The rule for all of the parameter stands before that of a field. */
	assert_int_equal(compared(TAPE_FN_C_EncryptInit, GCM("00", "aa"), CBC("11")), 1);

	assert_int_equal(compared(TAPE_FN_C_GetAttributeValue, READ("1"), READ("2")), 2);
	say("C_GetAttributeValue.pTemplate.CKA_ID=any");
	assert_int_equal(compared(TAPE_FN_C_GetAttributeValue, READ("1"), READ("2")), -1);
	assert_int_equal(compared(TAPE_FN_C_GetAttributeValue, READ("1"), READ("null")), -1);
}

/* ---- names ----------------------------------------------------------------------------------- */

#define ID(id) "{hSession: 1, pTemplate: [{type: CKA_ID, hex: \"" id "\"}]}"
#define PAIR(a, b)                                                                         \
	"{hSession: 1, pMechanism: {mechanism: CKM_EC_KEY_PAIR_GEN}, pPublicKeyTemplate: " \
	"[{type: CKA_ID, hex: \"" a "\"}], pPrivateKeyTemplate: [{type: CKA_ID, hex: \"" b "\"}]}"

static void names_are_one_to_one(void **state)
{
	(void)state;
	begin();
	say("C_GenerateKeyPair.pPublicKeyTemplate.CKA_ID=as:id-1");
	say("C_GenerateKeyPair.pPrivateKeyTemplate.CKA_ID=as:id-1");
	say("C_CreateObject.pTemplate.CKA_ID=as:id-1");
	say("C_FindObjectsInit.pTemplate.CKA_ID=as:id-2");
	/* One recorded value is one live value, within a call; else nothing is bound. */
	assert_int_equal(
		compared(TAPE_FN_C_GenerateKeyPair, PAIR("0101", "0101"), PAIR("aaaa", "bbbb")), 3);
	assert_int_equal(bindings.count, 0);
	assert_int_equal(
		compared(TAPE_FN_C_GenerateKeyPair, PAIR("0101", "0202"), PAIR("aaaa", "aaaa")), 3);
	assert_int_equal(bindings.count, 0);
	assert_int_equal(
		compared(TAPE_FN_C_GenerateKeyPair, PAIR("0101", "0101"), PAIR("aaaa", "aaaa")),
		-1);
	/* And from call to call. */
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0101"), ID("aaaa")), -1);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0101"), ID("0101")), 1);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0202"), ID("aaaa")), 1);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0202"), ID("bbbb")), -1);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0303"), ID("cccccc")), 1);
	/* Another name is another matter. */
	assert_int_equal(compared(TAPE_FN_C_FindObjectsInit, ID("0101"), ID("bbbb")), -1);
	assert_int_equal(compared(TAPE_FN_C_FindObjectsInit, ID("0101"), ID("aaaa")), 1);
	/* What is no string of bytes is compared as ever. */
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID(""), ID("")), -1);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0101"), ID("")), 1);
}

static const struct tape_value *answered(const char *in, const char *out)
{
	const struct tape_function *function = &tape_functions[TAPE_FN_C_GetAttributeValue];
	struct tape_error error = { 0 };
	struct tape_parse parse = { &arena, NULL, &error };
	struct tape_compare compare = { .bindings = &bindings, .rules = &rules };
	struct tape_value values[TAPE_MAX_ARGUMENTS];
	struct tape_value *ins = inputs(TAPE_FN_C_GetAttributeValue, in);
	assert_int_equal(tape_parse_out(&parse, function, read_yaml(out), 1, ins, values), 0);
	const struct tape_value *named = tape_names_answer(&compare, &arena, function, values);
	assert_non_null(named);
	/* What was recorded stays what it was. */
	const struct tape_value *recorded = tape_value_child(&values[2], 0);
	assert_true(recorded->form != TAPE_V_BYTES || recorded->length == 0 ||
	            ((const unsigned char *)recorded->data)[0] < 0x10);
	const struct tape_value *entry = tape_value_child(&named[2], 0);
	free(ins);
	return entry;
}

static void outputs_get_the_live_value(void **state)
{
	(void)state;
	begin();
	say("C_CreateObject.pTemplate.CKA_ID=as:id-1");
	say("C_GetAttributeValue.pTemplate.CKA_ID=as:id-1");
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0101"), ID("aaaa")), -1);
	const struct tape_value *entry =
		answered(READ("2"), "{pTemplate: [{hex: \"0101\"}, {text: \"l\"}]}");
	assert_int_equal(entry->length, 2);
	assert_memory_equal(entry->data, "\xaa\xaa", 2);
	/* A value that the module says first stands for itself, and nothing else does. */
	entry = answered(READ("2"), "{pTemplate: [{hex: \"0202\"}, {text: \"l\"}]}");
	assert_memory_equal(entry->data, "\x02\x02", 2);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0202"), ID("bbbb")), 1);
	assert_int_equal(compared(TAPE_FN_C_CreateObject, ID("0202"), ID("0202")), -1);
	/* Other attributes, and what is only a length, are as they were recorded. */
	entry = answered("{hSession: 1, hObject: 2, pTemplate: [{type: CKA_LABEL, room: 2}]}",
	                 "{pTemplate: [{hex: \"0101\"}]}");
	assert_memory_equal(entry->data, "\x01\x01", 2);
	entry = answered(READ("null"), "{pTemplate: [{len: 2}, {text: \"l\"}]}");
	assert_int_equal(entry->form, TAPE_V_LENGTH);
	assert_int_equal(entry->number, 2);
}

/* ---- headers and files ----------------------------------------------------------------------- */

static void what_was_said_first_stays(void **state)
{
	struct tape_error error = { 0 };
	(void)state;
	begin();
	say("C_Sign.pData=exact");
	const struct tape_node *header =
		read_yaml("{rules: {C_Sign.pData: any, C_Decrypt.pEncryptedData: length, "
	                  "C_CreateObject.pTemplate.CKA_ID: {as: id-1}}}");
	assert_int_equal(tape_rules_read(&rules, header, &error), 0);
	assert_int_equal(rules.count, 3);
	assert_int_equal(rules.whole[TAPE_FN_C_Sign][1], TAPE_RULE_EXACT);
	assert_int_equal(rules.whole[TAPE_FN_C_Decrypt][1], TAPE_RULE_LENGTH);
	assert_int_equal(rules.whole[TAPE_FN_C_CreateObject][1], TAPE_RULE_PARTS);
	assert_string_equal(rules.rows[2].name, "id-1");
	static const char *const wrong[] = {
		"{rules: {C_Sign.pData: {is: id-1}}}",
		"{rules: {C_Sign.pData: {as: id-1, of: id-2}}}",
		"{rules: {C_Sign.pData: {as: [id]}}}",
		"{rules: {C_Sign.pData: [any]}}",
		"{rules: {C_Sign.pData: many}}",
		"{rules: [C_Sign.pData]}",
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(wrong); i++)
		assert_int_equal(tape_rules_read(&rules, read_yaml(wrong[i]), &error),
		                 -TAPE_E_INVALID);
	assert_int_equal(rules.count, 3);
}

static void rules_have_files(void **state)
{
	static const struct {
		const char *text, *error;
	} rows[] = {
		{ "- rules:\n    C_Sign.pData: any\n", NULL },
		{ "- {\"p11tape\": 1, \"rules\": {\"C_Sign.pData\": \"any\"}}\n- {\"call\": 1}\n",
		  NULL },
		{ "- rules:\n    C_Sign.pData: any\n    C_Sing.pData: any\n",
		  ":3: rule 'C_Sing.pData': no such function" },
		{ "- {\"p11tape\": 1}\n", ":1: there are no rules" },
		{ "", ":1: there are no rules" },
		{ "C_Sign.pData=any\n", ":1: " },
	};
	char path[] = "/tmp/p11tape-rules-XXXXXX";
	struct tape_error error = { 0 };
	int fd = mkstemp(path);
	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rows); i++) {
		begin();
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, rows[i].text, strlen(rows[i].text), 0),
		                 strlen(rows[i].text));
		int result = tape_rules_read_file(&rules, path, &error);
		assert_int_equal(result, rows[i].error == NULL ? 0 : -TAPE_E_INVALID);
		assert_int_equal(rules.whole[TAPE_FN_C_Sign][1],
		                 i < 3 ? TAPE_RULE_ANY : TAPE_RULE_EXACT);
		if (rows[i].error != NULL) {
			assert_memory_equal(error.sentence, path, strlen(path));
			assert_memory_equal(error.sentence + strlen(path), rows[i].error,
			                    strlen(rows[i].error));
		}
	}
	close(fd);
	unlink(path);
	assert_int_equal(tape_rules_read_file(&rules, path, &error), -TAPE_E_SYSTEM);
}

static void there_is_a_limit(void **state)
{
	struct tape_error error = { 0 };
	char text[64];
	(void)state;
	begin();
	for (int i = 0; i <= TAPE_MAX_RULES; i++) {
		int length = snprintf(text, sizeof(text), "C_CreateObject.pTemplate.0x%x=any",
		                      0x80000000u + (unsigned int)i);
		assert_int_equal(tape_rules_add(&rules, text, (size_t)length, &error),
		                 i < TAPE_MAX_RULES ? 0 : -TAPE_E_LIMIT);
	}
}

static int done(void **state)
{
	(void)state;
	begin();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_are_said),
		cmocka_unit_test(parts_have_rules),
		cmocka_unit_test(parameters_and_rooms_have_rules),
		cmocka_unit_test(names_are_one_to_one),
		cmocka_unit_test(outputs_get_the_live_value),
		cmocka_unit_test(what_was_said_first_stays),
		cmocka_unit_test(rules_have_files),
		cmocka_unit_test(there_is_a_limit),
	};
	tape_arena_init(&arena, NULL, 0, (size_t)1 << 24);
	return cmocka_run_group_tests(tests, NULL, done);
}
