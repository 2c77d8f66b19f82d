/* SPDX-License-Identifier: MIT
 *
 * What answers a call: docs/replay.md, sentence by sentence, on small traces written here. Every case
 * loads the replayer in a process of its own, since it stays in memory and goes on where it was.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/api/pkcs11.h"

static char directory[] = "/tmp/p11tape-replay-XXXXXX";
static char trace_path[64], report_path[64], report[65536];

#define HEADER "- {\"p11tape\": 1}\n"
#define LIST                                                                                 \
	"- {\"call\": \"C_GetFunctionList\", \"id\": 1}\n"                                   \
	"- {\"return\": 1, \"out\": {\"ppFunctionList\": {\"version\": \"2.40\"}}, \"rv\": " \
	"\"CKR_OK\"}\n"
#define SESSION_INFO(id, session, state)                                                       \
	"- {\"call\": \"C_GetSessionInfo\", \"id\": " #id ", \"in\": {\"hSession\": " #session \
	"}}\n"                                                                                 \
	"- {\"return\": " #id ", \"out\": {\"pInfo\": {\"slotID\": 0, \"state\": \"" state     \
	"\", \"flags\": [], \"ulDeviceError\": 0}}, \"rv\": \"CKR_OK\"}\n"
#define LOGIN(id, secret)                                          \
	"- {\"call\": \"C_Login\", \"id\": " #id                   \
	", \"in\": {\"hSession\": 1, \"userType\": \"CKU_USER\", " \
	"\"pPin\": {\"secret\": \"" secret "\"}}}\n"               \
	"- {\"return\": " #id ", \"rv\": \"CKR_OK\"}\n"

/* In the case's own process. */
static CK_FUNCTION_LIST *p11;

static void load(void)
{
	CK_C_GetFunctionList get;
	void *module = dlopen(getenv("P11TAPE_REPLAYER_SO"), RTLD_NOW | RTLD_LOCAL);
	if (module == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		_exit(99);
	}
	*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get(&p11) != CKR_OK)
		_exit(98);
}

#define EXPECT(condition)                                                  \
	do {                                                               \
		if (!(condition)) {                                        \
			dprintf(2, "line %d: %s\n", __LINE__, #condition); \
			_exit(97);                                         \
		}                                                          \
	} while (0)

/* Serve `trace` to `program` in a process of its own; keep what is on stderr out of the way, and the report. */
static int serve(const char *trace, const char *options, void (*program)(void))
{
	FILE *file = fopen(trace_path, "w");
	assert_non_null(file);
	fputs(trace, file);
	fclose(file);
	unlink(report_path);
	fflush(stdout);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		setenv("P11TAPE_REPLAY", trace_path, 1);
		setenv("P11TAPE_REPLAY_MODE", "strict", 1);
		setenv("P11TAPE_REPLAY_REPORT", report_path, 1);
		if (options != NULL)
			putenv((char *)(uintptr_t)options);
		load();
		program();
		exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	size_t length = 0;
	file = fopen(report_path, "r");
	if (file != NULL) {
		length = fread(report, 1, sizeof(report) - 1, file);
		fclose(file);
	}
	report[length] = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define assert_served(trace, options, program) assert_int_equal(serve(trace, options, program), 0)
#define assert_reported(text) assert_non_null(strstr(report, text))
#define assert_clean() assert_non_null(strstr(report, "\"unused\": 0, \"divergences\": 0"))

static CK_STATE state_of(CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info = { 7, 7, 7, 7 };
	return p11->C_GetSessionInfo(session, &info) == CKR_OK ? info.state : (CK_STATE)-1;
}

static void two_infos(void)
{
	EXPECT(state_of(1) == CKS_RO_PUBLIC_SESSION);
	EXPECT(state_of(1) == CKS_RO_USER_FUNCTIONS);
}

#define TWO                                                     \
	HEADER LIST SESSION_INFO(2, 1, "CKS_RO_PUBLIC_SESSION") \
		SESSION_INFO(3, 1, "CKS_RO_USER_FUNCTIONS")

static void calls_are_served_in_order(void **state)
{
	(void)state;
	assert_served(TWO, NULL, two_infos);
	assert_clean();
}

static void an_extra_call(void)
{
	EXPECT(state_of(1) == CKS_RO_PUBLIC_SESSION);
	CK_SESSION_INFO info = { 7, 7, 7, 7 };
	EXPECT(p11->C_GetSessionInfo(2, &info) == CKR_GENERAL_ERROR);
	EXPECT(info.slotID == 7 && info.state == 7 && info.ulDeviceError == 7);
	EXPECT(p11->C_CloseSession(1) == CKR_GENERAL_ERROR);
	EXPECT(state_of(1) == CKS_RO_USER_FUNCTIONS);
}

static void one_extra_call_costs_one_divergence(void **state)
{
	(void)state;
	assert_served(TWO, NULL, an_extra_call);
	assert_reported("{\"divergence\": 1, \"kind\": \"argument\", \"argument\": \"hSession\", ");
	assert_reported("\"line\": 6, \"id\": 3");
	assert_reported("{\"divergence\": 2, \"kind\": \"function\"");
	assert_reported("\"served\": 2, \"unused\": 0, \"divergences\": 2");
}

static void three_infos(void)
{
	two_infos();
	EXPECT(state_of(1) == (CK_STATE)-1);
}

static void nothing_is_behind_the_end(void **state)
{
	(void)state;
	assert_served(TWO, NULL, three_infos);
	assert_reported("\"kind\": \"past-end\"");
}

static void one_info(void)
{
	EXPECT(state_of(1) == CKS_RO_PUBLIC_SESSION);
}

static void calls_left_are_counted(void **state)
{
	(void)state;
	assert_served(TWO, NULL, one_info);
	assert_reported("\"unused\": 1, \"first-unused-line\": 6");
}

static void no_answer(void)
{
	EXPECT(state_of(1) == (CK_STATE)-1);
}

static void a_call_that_did_not_return(void **state)
{
	(void)state;
	assert_served(HEADER LIST
	              "- {\"call\": \"C_GetSessionInfo\", \"id\": 2, \"in\": {\"hSession\": 1}}\n",
	              NULL, no_answer);
	assert_reported("\"kind\": \"no-return\"");
}

static void discovery_again_and_again(void)
{
	CK_C_GetFunctionList get = p11->C_GetFunctionList;
	CK_FUNCTION_LIST *list = NULL;
	EXPECT(state_of(1) == CKS_RO_PUBLIC_SESSION);
	EXPECT(get(&list) == CKR_OK && list == p11);
	EXPECT(list->version.major == 2 && list->version.minor == 20);
	EXPECT(list->C_WaitForSlotEvent == NULL && list->C_Login != NULL);
}

static void discovery_is_never_used_up(void **state)
{
	(void)state;
	assert_served(HEADER "- {\"call\": \"C_GetFunctionList\", \"id\": 1}\n"
	                     "- {\"return\": 1, \"out\": {\"ppFunctionList\": {\"version\": "
	                     "\"2.20\", \"missing\": "
	                     "[\"C_WaitForSlotEvent\"]}}, \"rv\": \"CKR_OK\"}\n" SESSION_INFO(
				     2, 1, "CKS_RO_PUBLIC_SESSION"),
	              NULL, discovery_again_and_again);
	assert_clean();
}

static CK_RV login(const char *pin)
{
	return p11->C_Login(1, CKU_USER, (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));
}

static void same_pin_twice(void)
{
	EXPECT(login("1234") == CKR_OK);
	EXPECT(login("1234") == CKR_OK);
}

static void another_pin_later(void)
{
	EXPECT(login("1234") == CKR_OK);
	EXPECT(login("4321") == CKR_GENERAL_ERROR);
	EXPECT(login("1234") == CKR_OK);
}

#define ONE_PIN HEADER LIST LOGIN(2, "pin-1") LOGIN(3, "pin-1")
#define TWO_PINS HEADER LIST LOGIN(2, "pin-1") LOGIN(3, "pin-2")

static void a_secret_binds_to_the_first_value(void **state)
{
	(void)state;
	assert_served(ONE_PIN, NULL, same_pin_twice);
	assert_clean();
	assert_served(ONE_PIN, NULL, another_pin_later);
	assert_reported("\"argument\": \"pPin\"");
	/* What was presented is shown under a name. */
	assert_null(strstr(report, "4321"));
	assert_null(strstr(report, "34333231"));
	assert_reported("\"secret\": \"presented-1\"");
}

static void two_pins(void)
{
	EXPECT(login("1234") == CKR_OK);
	EXPECT(login("1234") == CKR_GENERAL_ERROR);
	EXPECT(login("4321") == CKR_OK);
}

static void two_names_never_accept_one_value(void **state)
{
	(void)state;
	assert_served(TWO_PINS, NULL, two_pins);
	assert_reported("\"divergences\": 1");
}

static void the_wrong_pin_first(void)
{
	EXPECT(login("1234") == CKR_GENERAL_ERROR);
	EXPECT(login("9999") == CKR_OK);
	EXPECT(login("9999") == CKR_OK);
}

static void a_secret_can_be_told_beforehand(void **state)
{
	(void)state;
	assert_served(ONE_PIN, "P11TAPE_REPLAY_SECRET=pin-1=9999", the_wrong_pin_first);
	assert_reported("\"divergences\": 1");
}

static void seeds(void)
{
	CK_BYTE seed[4] = { 9, 9, 9, 9 };
	EXPECT(p11->C_SeedRandom(1, seed, 4) == CKR_OK);
	EXPECT(p11->C_SeedRandom(1, seed, 3) == CKR_GENERAL_ERROR);
	EXPECT(p11->C_DigestUpdate(1, seed, 4) == CKR_OK);
}

#define SEED                                                                                 \
	HEADER LIST "- {\"call\": \"C_SeedRandom\", \"id\": 2, \"in\": {\"hSession\": 1, "   \
		    "\"pSeed\": {\"hex\": \"01020304\"}}}\n"                                 \
		    "- {\"return\": 2, \"rv\": \"CKR_OK\"}\n"                                \
		    "- {\"call\": \"C_DigestUpdate\", \"id\": 3, \"in\": {\"hSession\": 1, " \
		    "\"pPart\": {\"hex\": \"01020304\"}}}\n"                                 \
		    "- {\"return\": 3, \"rv\": \"CKR_OK\"}\n"

static void a_rule_widens_what_equals(void **state)
{
	(void)state;
	assert_served(SEED, "P11TAPE_REPLAY_MATCH=C_DigestUpdate.pPart=length", seeds);
	assert_reported("\"divergences\": 1");
	assert_int_equal(serve(SEED, NULL, seeds), 97);
}

static void read_two(void)
{
	CK_ULONG value = 5;
	char label[8] = "before";
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &value, sizeof(value) },
		{ CKA_LABEL, label, sizeof(label) },
		{ CKA_MODULUS, NULL, 12345 },
	};
	EXPECT(p11->C_GetAttributeValue(1, 2, template, 3) == CKR_ATTRIBUTE_TYPE_INVALID);
	EXPECT(value == CKO_DATA);
	EXPECT(strcmp(label, "before") == 0 && template[1].ulValueLen == 8);
	EXPECT(template[2].ulValueLen == CK_UNAVAILABLE_INFORMATION);
}

static void what_was_not_written_stays(void **state)
{
	(void)state;
	assert_served(HEADER LIST "- call: C_GetAttributeValue\n"
	                          "  id: 2\n"
	                          "  in:\n"
	                          "    hSession: 1\n"
	                          "    hObject: 2\n"
	                          "    pTemplate:\n"
	                          "    - {type: CKA_CLASS, room: ulong}\n"
	                          "    - {type: CKA_LABEL, room: 8}\n"
	                          "    - {type: CKA_MODULUS, room: null}\n"
	                          "  out:\n"
	                          "    pTemplate:\n"
	                          "    - {ulong: CKO_DATA}\n"
	                          "    - {same: true}\n"
	                          "    - {len: unavailable}\n"
	                          "  rv: CKR_ATTRIBUTE_TYPE_INVALID\n",
	              NULL, read_two);
	assert_clean();
}

static void sign_partial(void)
{
	CK_BYTE data[1] = { 1 };
	CK_BYTE signature[8] = { 7 };
	CK_ULONG length = 8;
	EXPECT(p11->C_Sign(1, data, 1, signature, &length) == CKR_GENERAL_ERROR);
	EXPECT(signature[0] == 7 && length == 8);
	EXPECT(state_of(1) == CKS_RO_PUBLIC_SESSION);
}

static void a_gap_in_an_output_is_not_filled(void **state)
{
	(void)state;
	assert_served(HEADER LIST
	              "- {\"call\": \"C_Sign\", \"id\": 2, \"in\": {\"hSession\": 1, \"pData\": "
	              "{\"hex\": \"01\"}, "
	              "\"pSignature\": {\"room\": 8}}}\n"
	              "- {\"return\": 2, \"out\": {\"pSignature\": {\"partial\": \"unreadable\"}}, "
	              "\"rv\": \"CKR_OK\"}\n" SESSION_INFO(3, 1, "CKS_RO_PUBLIC_SESSION"),
	              NULL, sign_partial);
	assert_reported("\"kind\": \"partial\"");
}

static void pins_of_two_parts(void)
{
	EXPECT(login("1234") == CKR_OK);
	EXPECT(login("4321") == CKR_OK);
	EXPECT(login("1234") == CKR_GENERAL_ERROR);
	EXPECT(login("4321") == CKR_OK);
}

static void names_of_secrets_are_of_one_part(void **state)
{
	(void)state;
	assert_served(HEADER LIST LOGIN(2, "pin-1") "- {\"p11tape\": 1, \"load\": 2}\n" LOGIN(
			      3, "pin-1") LOGIN(4, "pin-1"),
	              NULL, pins_of_two_parts);
	assert_reported("\"divergences\": 1");
}

static void two_digests(void)
{
	CK_BYTE data[1] = { 1 };
	EXPECT(p11->C_DigestUpdate(1, data, 1) == CKR_GENERAL_ERROR);
	EXPECT(state_of(1) == CKS_RO_PUBLIC_SESSION);
}

static void a_call_without_inputs_is_used_up(void **state)
{
	(void)state;
	assert_served(
		HEADER LIST
		"- {\"call\": \"C_DigestUpdate\", \"id\": 2, \"partial\": \"out of memory\"}\n"
		"- {\"return\": 2, \"rv\": \"CKR_OK\"}\n" SESSION_INFO(3, 1,
	                                                               "CKS_RO_PUBLIC_SESSION"),
		NULL, two_digests);
	assert_reported("\"kind\": \"partial\"");
	assert_reported("\"divergences\": 1");
}

static void a_gap_explains_a_lone_return(void **state)
{
	(void)state;
	assert_served(HEADER LIST SESSION_INFO(
			      2, 1, "CKS_RO_PUBLIC_SESSION") "- {\"gap\": 1, \"why\": \"ENOSPC\"}\n"
	                                                     "- {\"return\": 3, \"rv\": "
	                                                     "\"CKR_OK\"}\n" SESSION_INFO(
								     4, 1, "CKS_RO_USER_FUNCTIONS"),
	              NULL, two_infos);
	assert_clean();
}

static void parts_follow_each_other(void **state)
{
	(void)state;
	assert_served(
		HEADER LIST SESSION_INFO(
			2, 1,
			"CKS_RO_PUBLIC_SESSION") "- {\"end\": \"unload\", \"last\": 2, \"open\": "
						 "[]}\n"
						 "- {\"p11tape\": 1, \"load\": 2}\n" SESSION_INFO(
							 3, 1, "CKS_RO_USER_FUNCTIONS"),
		NULL, two_infos);
	assert_clean();
}

static void crossed_sessions(void)
{
	CK_SESSION_HANDLE a = 0;
	CK_SESSION_HANDLE b = 0;
	EXPECT(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &a) == CKR_OK);
	EXPECT(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &b) == CKR_OK);
	EXPECT(a == 1 && b == 2);
	/* In the recording session 1 destroys object 5 and session 2 object 6: here it is the other way round. */
	EXPECT(state_of(a) == CKS_RO_PUBLIC_SESSION);
	EXPECT(p11->C_DestroyObject(a, 6) == CKR_OK);
	EXPECT(state_of(b) == CKS_RO_PUBLIC_SESSION);
	EXPECT(p11->C_DestroyObject(b, 5) == CKR_OK);
	EXPECT(p11->C_DestroyObject(b, 6) == CKR_GENERAL_ERROR);
}

#define OPEN_CALL(id)                                                       \
	"- {\"call\": \"C_OpenSession\", \"id\": " #id ", \"thread\": " #id \
	", \"in\": {\"slotID\": 0, \"flags\": "                             \
	"[\"CKF_SERIAL_SESSION\"], \"pApplication\": null, \"Notify\": null}}\n"
#define OPEN_RETURN(id, session) \
	"- {\"return\": " #id ", \"out\": {\"phSession\": " #session "}, \"rv\": \"CKR_OK\"}\n"
#define DESTROY(id, session, object)                                                          \
	"- {\"call\": \"C_DestroyObject\", \"id\": " #id ", \"in\": {\"hSession\": " #session \
	", \"hObject\": " #object "}}\n- {\"return\": " #id ", \"rv\": \"CKR_OK\"}\n"

static void sessions_are_bound_by_content(void **state)
{
	(void)state;
	assert_served(HEADER LIST OPEN_CALL(2) OPEN_CALL(3) OPEN_RETURN(2, 1) OPEN_RETURN(3, 2)
	                      SESSION_INFO(4, 1, "CKS_RO_PUBLIC_SESSION")
	                              SESSION_INFO(5, 2, "CKS_RO_PUBLIC_SESSION") DESTROY(6, 1, 5)
	                                      DESTROY(7, 2, 6),
	              NULL, crossed_sessions);
	assert_reported("\"unused\": 0, \"divergences\": 1");
}

static void overlapping_calls_in_another_order(void)
{
	CK_SESSION_INFO info;
	EXPECT(p11->C_GetSessionInfo(1, &info) == CKR_OK);
	EXPECT(p11->C_DestroyObject(1, 5) == CKR_OK);
	EXPECT(p11->C_DestroyObject(1, 6) == CKR_OK);
}

static void calls_that_overlapped_may_come_in_either_order(void **state)
{
	(void)state;
	assert_served(
		HEADER LIST
		"- {\"call\": \"C_DestroyObject\", \"id\": 2, \"in\": {\"hSession\": 1, "
		"\"hObject\": 5}}\n"
		"- {\"call\": \"C_GetSessionInfo\", \"id\": 3, \"thread\": 2, \"in\": "
		"{\"hSession\": 1}}\n"
		"- {\"return\": 2, \"rv\": \"CKR_OK\"}\n"
		"- {\"return\": 3, \"out\": {\"pInfo\": {\"slotID\": 0, \"state\": "
		"\"CKS_RO_PUBLIC_SESSION\", "
		"\"flags\": [], \"ulDeviceError\": 0}}, \"rv\": \"CKR_OK\"}\n" DESTROY(4, 1, 6),
		NULL, overlapping_calls_in_another_order);
	assert_clean();
	/* But a return before a call proves the order. */
	assert_int_equal(serve(HEADER LIST DESTROY(2, 1, 5)
	                               SESSION_INFO(3, 1, "CKS_RO_PUBLIC_SESSION") DESTROY(4, 1, 6),
	                       NULL, overlapping_calls_in_another_order),
	                 97);
}

static void reload(void)
{
	one_info();
	void *module = dlopen(getenv("P11TAPE_REPLAYER_SO"), RTLD_NOW | RTLD_LOCAL);
	/* Once for this handle, once for load()'s: for any other module that was the end of it. */
	dlclose(module);
	dlclose(module);
	load();
	EXPECT(state_of(1) == CKS_RO_USER_FUNCTIONS);
}

static void a_module_loaded_again_goes_on(void **state)
{
	(void)state;
	assert_served(TWO, NULL, reload);
	assert_clean();
}

/* ---- notifications ---- */

#define OPEN_NOTIFIED(id, session)                                                          \
	"- {\"call\": \"C_OpenSession\", \"id\": " #id                                      \
	", \"in\": {\"slotID\": 0, \"flags\": [\"CKF_SERIAL_SESSION\"], \"pApplication\": " \
	"true, \"Notify\": true}}\n"                                                        \
	"- {\"return\": " #id ", \"out\": {\"phSession\": " #session "}, \"rv\": \"CKR_OK\"}\n"
#define NOTIFY(id, session, event) \
	"- {\"notify\": \"" event "\", \"id\": " #id ", \"in\": {\"hSession\": " #session "}}\n"
#define ANSWER(id, rv) "- {\"return\": " #id ", \"rv\": \"" rv "\"}\n"
#define STATUS_DURING(id, notice, session)                                            \
	"- {\"call\": \"C_GetFunctionStatus\", \"id\": " #id ", \"during\": " #notice \
	", \"in\": {\"hSession\": " #session "}}\n"                                   \
	"- {\"return\": " #id ", \"rv\": \"CKR_FUNCTION_NOT_PARALLEL\"}\n"

static unsigned int notified;
static CK_SESSION_HANDLE notified_of;
static CK_NOTIFICATION notified_last;

static CK_RV be_notified(CK_SESSION_HANDLE session, CK_NOTIFICATION event, void *application)
{
	EXPECT(application == &notified);
	notified++;
	notified_of = session;
	notified_last = event;
	if (event == CKN_SURRENDER)
		EXPECT(p11->C_GetFunctionStatus(session) == CKR_FUNCTION_NOT_PARALLEL);
	return CKR_OK;
}

static CK_SESSION_HANDLE open_notified(void)
{
	CK_SESSION_HANDLE session = 0;
	EXPECT(p11->C_OpenSession(0, CKF_SERIAL_SESSION, &notified, be_notified, &session) ==
	       CKR_OK);
	return session;
}

static void between_calls(void)
{
	CK_SESSION_HANDLE session = open_notified();
	EXPECT(notified == 0);
	EXPECT(state_of(session) == CKS_RO_PUBLIC_SESSION);
	EXPECT(notified == 2 && notified_of == session && notified_last == CKN_OTP_CHANGED);
	EXPECT(state_of(session) == CKS_RO_USER_FUNCTIONS);
	EXPECT(notified == 2);
}

/* One comes behind the last call: nobody is there to be told. */
static void notifications_come_before_the_next_call(void **state)
{
	(void)state;
	assert_served(HEADER LIST OPEN_NOTIFIED(2, 1) NOTIFY(3, 1, "CKN_SURRENDER") STATUS_DURING(
			      4, 3, 1) ANSWER(3, "CKR_OK") NOTIFY(5, 1, "CKN_OTP_CHANGED")
	                      ANSWER(5, "CKR_OK") SESSION_INFO(6, 1, "CKS_RO_PUBLIC_SESSION")
	                              SESSION_INFO(7, 1, "CKS_RO_USER_FUNCTIONS")
	                                      NOTIFY(8, 1, "CKN_OTP_CHANGED") ANSWER(8, "CKR_OK"),
	              NULL, between_calls);
	assert_reported("\"served\": 4, \"unused\": 0, \"divergences\": 0");
}

static void the_sessions_swapped(void)
{
	CK_SESSION_HANDLE first = open_notified();
	CK_SESSION_HANDLE second = open_notified();
	EXPECT(first != second);
	/* Session 1 of this run does what session 2 did in the recording. */
	EXPECT(p11->C_DigestKey(first, 9) == CKR_OK);
	EXPECT(notified == 1 && notified_of == first);
	EXPECT(state_of(second) == CKS_RO_PUBLIC_SESSION);
}

static void notifications_follow_their_session(void **state)
{
	(void)state;
	assert_served(
		HEADER LIST OPEN_NOTIFIED(2, 1) OPEN_NOTIFIED(
			3, 2) "- {\"call\": \"C_GetSessionInfo\", \"id\": 4, \"in\": "
			      "{\"hSession\": 1}}\n"
			      "- {\"call\": \"C_DigestKey\", \"id\": 5, \"thread\": 2, \"in\": "
			      "{\"hSession\": 2, \"hKey\": 9}}\n"
			      "- {\"notify\": \"CKN_OTP_CHANGED\", \"id\": 6, \"thread\": 2, "
			      "\"during\": 5, "
			      "\"in\": {\"hSession\": 2}}\n" ANSWER(6, "CKR_OK") ANSWER(
				      5, "CKR_OK") "- {\"return\": 4, \"out\": {\"pInfo\": "
						   "{\"slotID\": 0, \"state\": "
						   "\"CKS_RO_PUBLIC_SESSION\", \"flags\": [], "
						   "\"ulDeviceError\": 0}}, \"rv\": \"CKR_OK\"}\n",
		NULL, the_sessions_swapped);
	assert_clean();
}

static int make_directory(void **state)
{
	(void)state;
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(trace_path, sizeof(trace_path), "%s/t.yaml", directory);
	snprintf(report_path, sizeof(report_path), "%s/report", directory);
	/* Divergences are shown on stderr too: here they are expected. */
	return freopen("/dev/null", "w", stderr) == NULL;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(trace_path);
	unlink(report_path);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_are_served_in_order),
		cmocka_unit_test(one_extra_call_costs_one_divergence),
		cmocka_unit_test(nothing_is_behind_the_end),
		cmocka_unit_test(calls_left_are_counted),
		cmocka_unit_test(a_call_that_did_not_return),
		cmocka_unit_test(discovery_is_never_used_up),
		cmocka_unit_test(a_secret_binds_to_the_first_value),
		cmocka_unit_test(two_names_never_accept_one_value),
		cmocka_unit_test(a_secret_can_be_told_beforehand),
		cmocka_unit_test(a_rule_widens_what_equals),
		cmocka_unit_test(what_was_not_written_stays),
		cmocka_unit_test(a_gap_in_an_output_is_not_filled),
		cmocka_unit_test(names_of_secrets_are_of_one_part),
		cmocka_unit_test(a_call_without_inputs_is_used_up),
		cmocka_unit_test(a_gap_explains_a_lone_return),
		cmocka_unit_test(parts_follow_each_other),
		cmocka_unit_test(sessions_are_bound_by_content),
		cmocka_unit_test(calls_that_overlapped_may_come_in_either_order),
		cmocka_unit_test(a_module_loaded_again_goes_on),
		cmocka_unit_test(notifications_come_before_the_next_call),
		cmocka_unit_test(notifications_follow_their_session),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
