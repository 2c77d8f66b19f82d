/* SPDX-License-Identifier: MIT
 *
 * Equal ways lead to equal states, whatever the handles are called; and what a module may answer differently
 * is another state.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/scope.h"

#define MAX_ARGUMENTS TAPE_MAX_ARGUMENTS

/* A call, made of values that stand in the order of its arguments. */
struct made {
	struct tape_value in[MAX_ARGUMENTS], out[MAX_ARGUMENTS];
	size_t count;
};

static struct tape_value number(uint64_t n)
{
	return (struct tape_value){ .form = TAPE_V_NUMBER, .number = n };
}

static struct tape_value text(const char *bytes)
{
	return (struct tape_value){ .form = TAPE_V_BYTES, .data = bytes, .length = strlen(bytes) };
}

static struct tape_value room(uint64_t size)
{
	return (struct tape_value){ .form = TAPE_V_ROOM, .number = size };
}

static struct tape_value query(void)
{
	return (struct tape_value){ .form = TAPE_V_QUERY };
}

static struct tape_value mechanism(uint64_t type)
{
	static const struct tape_value none = { .form = TAPE_V_NULL };
	return (struct tape_value){
		.form = TAPE_V_MECHANISM, .tag = type, .count = 1, .data = &none
	};
}

static struct tape_value template(const struct tape_value *entries, size_t count)
{
	return (struct tape_value){ .form = TAPE_V_LIST,
		                    .count = (uint32_t)count,
		                    .data = entries };
}

/* Each call of a test has an identity of its own, and a line. */
static uint32_t line;

static void effect(struct tape_scopes *scopes, enum tape_function_id id, const struct made *made,
                   CK_RV rv, uint64_t self)
{
	const struct tape_function *function = &tape_functions[id];
	line++;
	const struct tape_scope_call call = {
		.function = function,
		.in = made->in,
		.out = made->out,
		.rv = rv,
		.fed = tape_scope_fed(scopes, function, made->in),
		.self = self,
		.line = line,
	};
	tape_scope_effect(scopes, &call);
	assert_false(scopes->failed);
}

static void initialize(struct tape_scopes *s, uint64_t self)
{
	effect(s, TAPE_FN_C_Initialize, &(struct made){ .in = { { .form = TAPE_V_NULL } } }, CKR_OK,
	       self);
}

static void open_as(struct tape_scopes *s, uint64_t handle, uint64_t flags)
{
	effect(s, TAPE_FN_C_OpenSession,
	       &(struct made){ .in = { number(3),
	                               number(flags),
	                               { .form = TAPE_V_NULL },
	                               { .form = TAPE_V_NULL },
	                               { .form = TAPE_V_PRESENT } },
	                       .out = { [4] = number(handle) } },
	       CKR_OK, 0);
}

static void with_session(struct tape_scopes *s, enum tape_function_id id, uint64_t session)
{
	effect(s, id, &(struct made){ .in = { number(session) } }, CKR_OK, 0);
}

static void login(struct tape_scopes *s, uint64_t session, CK_RV rv)
{
	effect(s, TAPE_FN_C_Login,
	       &(struct made){ .in = { number(session), number(CKU_USER), text("1234") } }, rv, 0);
}

static void create(struct tape_scopes *s, uint64_t session, uint64_t handle, uint64_t self,
                   bool token)
{
	const struct tape_value entry = {
		.form = TAPE_V_BYTES, .tag = CKA_TOKEN, .data = token ? "\1" : "\0", .length = 1
	};
	effect(s, TAPE_FN_C_CreateObject,
	       &(struct made){
		       .in = { number(session), template(&entry, 1), { .form = TAPE_V_PRESENT } },
		       .out = { [2] = number(handle) } },
	       CKR_OK, self);
}

static void destroy(struct tape_scopes *s, uint64_t session, uint64_t handle)
{
	effect(s, TAPE_FN_C_DestroyObject,
	       &(struct made){ .in = { number(session), number(handle) } }, CKR_OK, 0);
}

static void edit(struct tape_scopes *s, uint64_t session, uint64_t handle, const char *label)
{
	struct tape_value entry = text(label);
	entry.tag = CKA_LABEL;
	effect(s, TAPE_FN_C_SetAttributeValue,
	       &(struct made){ .in = { number(session), number(handle), template(&entry, 1) } },
	       CKR_OK, 0);
}

static void sign_init(struct tape_scopes *s, uint64_t session, uint64_t type, uint64_t key)
{
	effect(s, TAPE_FN_C_SignInit,
	       &(struct made){ .in = { number(session), mechanism(type), number(key) } }, CKR_OK,
	       0);
}

static void update(struct tape_scopes *s, uint64_t session, const char *bytes)
{
	effect(s, TAPE_FN_C_SignUpdate, &(struct made){ .in = { number(session), text(bytes) } },
	       CKR_OK, 0);
}

static void final(struct tape_scopes *s, uint64_t session, struct tape_value buffer, CK_RV rv)
{
	effect(s, TAPE_FN_C_SignFinal, &(struct made){ .in = { number(session), buffer } }, rv, 0);
}

static void find(struct tape_scopes *s, uint64_t session, const uint64_t *handles, size_t count)
{
	struct tape_value list[8];
	for (size_t i = 0; i < count; i++)
		list[i] = number(handles[i]);
	effect(s, TAPE_FN_C_FindObjects,
	       &(struct made){ .in = { number(session), room(8) },
	                       .out = { [1] = template(list, count) } },
	       CKR_OK, 0);
}

static void search(struct tape_scopes *s, uint64_t session)
{
	effect(s, TAPE_FN_C_FindObjectsInit,
	       &(struct made){ .in = { number(session), template(NULL, 0) } }, CKR_OK, 0);
}

/* What a call with these first two arguments reads. */
static uint64_t reads(struct tape_scopes *s, enum tape_function_id id, uint64_t session,
                      uint64_t second)
{
	struct tape_scope_value values[TAPE_SCOPES];
	const struct tape_value in[MAX_ARGUMENTS] = { number(session), number(second) };
	tape_scope_read(s, &tape_functions[id], in, values);
	return tape_scope_key(values, tape_scope_rows[id].reads);
}

static uint64_t everything(struct tape_scopes *s, uint64_t session, uint64_t object)
{
	struct tape_scope_value values[TAPE_SCOPES];
	const struct tape_value in[MAX_ARGUMENTS] = { number(session), number(object) };
	tape_scope_read(s, &tape_functions[TAPE_FN_C_GetAttributeValue], in, values);
	return tape_scope_key(values, TAPE_SCOPE_EVERY);
}

/* Two modules, begun alike: [0] with the session 1, [1] with the session 7. */
struct two {
	struct tape_scopes s[2];
};

static const uint64_t session[2] = { 1, 7 };

static int begin(void **state)
{
	static struct two two;
	memset(&two, 0, sizeof(two));
	for (size_t i = 0; i < 2; i++) {
		initialize(&two.s[i], 1);
		open_as(&two.s[i], session[i], CKF_SERIAL_SESSION);
	}
	*state = &two;
	return 0;
}

static int end(void **state)
{
	struct two *two = *state;
	tape_scopes_done(&two->s[0]);
	tape_scopes_done(&two->s[1]);
	return 0;
}

#define assert_alike(two, id, second)                                        \
	assert_true(reads(&(two)->s[0], TAPE_FN_##id, session[0], second) == \
	            reads(&(two)->s[1], TAPE_FN_##id, session[1], second))
#define assert_apart(two, id, second)                                         \
	assert_false(reads(&(two)->s[0], TAPE_FN_##id, session[0], second) == \
	             reads(&(two)->s[1], TAPE_FN_##id, session[1], second))

static void every_function_has_a_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < TAPE_FN_COUNT; i++)
		assert_int_equal(tape_functions[i].finds, tape_scope_rows[i].reads == 0);
}

static void handles_have_no_say(void **state)
{
	struct two *two = *state;
	assert_true(tape_scope_session(&two->s[0], 1) == tape_scope_session(&two->s[1], 7));
	create(&two->s[0], 1, 5, 50, true);
	create(&two->s[1], 7, 9, 50, true);
	assert_true(tape_scope_object(&two->s[0], 1, 5) == tape_scope_object(&two->s[1], 7, 9));
	edit(&two->s[0], 1, 5, "a");
	edit(&two->s[1], 7, 9, "a");
	assert_true(everything(&two->s[0], 1, 5) == everything(&two->s[1], 7, 9));
	edit(&two->s[1], 7, 9, "b");
	assert_false(everything(&two->s[0], 1, 5) == everything(&two->s[1], 7, 9));
}

static void sessions_opened_otherwise_are_others(void **state)
{
	struct two *two = *state;
	open_as(&two->s[0], 2, CKF_SERIAL_SESSION | CKF_RW_SESSION);
	open_as(&two->s[1], 2, CKF_SERIAL_SESSION);
	assert_false(tape_scope_session(&two->s[0], 2) == tape_scope_session(&two->s[1], 2));
	assert_true(tape_scope_session(&two->s[1], 7) == tape_scope_session(&two->s[1], 2));
	with_session(&two->s[1], TAPE_FN_C_CloseSession, 2);
	assert_false(tape_scope_session(&two->s[1], 7) == tape_scope_session(&two->s[1], 2));
}

static void the_order_of_what_is_made_does_not_matter(void **state)
{
	struct two *two = *state;
	create(&two->s[0], 1, 5, 50, true);
	create(&two->s[0], 1, 6, 60, false);
	create(&two->s[1], 7, 6, 60, false);
	create(&two->s[1], 7, 5, 50, true);
	assert_alike(two, C_FindObjectsInit, 0);
	/* A token's and a session's are not the same. */
	create(&two->s[0], 1, 8, 80, true);
	create(&two->s[1], 7, 8, 80, false);
	assert_apart(two, C_FindObjectsInit, 0);
}

static void what_was_made_and_destroyed_has_never_been(void **state)
{
	struct two *two = *state;
	create(&two->s[0], 1, 5, 50, true);
	edit(&two->s[0], 1, 5, "a");
	destroy(&two->s[0], 1, 5);
	assert_alike(two, C_FindObjectsInit, 0);
	/* But what was found was there. */
	find(&two->s[0], 1, (uint64_t[]){ 4 }, 1);
	find(&two->s[1], 7, (uint64_t[]){ 4 }, 1);
	destroy(&two->s[0], 1, 4);
	assert_apart(two, C_FindObjectsInit, 0);
	assert_apart(two, C_GetAttributeValue, 4);
}

static void a_number_used_again_is_another_object(void **state)
{
	struct two *two = *state;
	create(&two->s[0], 1, 5, 50, true);
	create(&two->s[1], 7, 5, 50, true);
	uint64_t before = tape_scope_object(&two->s[0], 1, 5);
	destroy(&two->s[0], 1, 5);
	create(&two->s[0], 1, 5, 51, true);
	assert_false(tape_scope_object(&two->s[0], 1, 5) == before);
	assert_true(tape_scope_object(&two->s[1], 7, 5) == before);
	uint64_t number;
	assert_false(tape_scope_find(&two->s[0], before, &number));
	assert_true(tape_scope_find(&two->s[1], before, &number));
	assert_int_equal(number, 5);
}

static void slots_number_their_objects_by_themselves(void **state)
{
	struct two *two = *state;
	for (size_t i = 0; i < 2; i++) {
		effect(&two->s[i], TAPE_FN_C_OpenSession,
		       &(struct made){ .in = { number(4),
		                               number(CKF_SERIAL_SESSION),
		                               { .form = TAPE_V_NULL },
		                               { .form = TAPE_V_NULL },
		                               { .form = TAPE_V_PRESENT } },
		                       .out = { [4] = number(2) } },
		       CKR_OK, 0);
		find(&two->s[i], 2, (uint64_t[]){ 5 }, 1);
	}
	edit(&two->s[0], 2, 5, "a");
	for (size_t i = 0; i < 2; i++)
		create(&two->s[i], session[i], 5, 50, true);
	assert_alike(two, C_GetAttributeValue, 5);
	assert_false(reads(&two->s[0], TAPE_FN_C_GetAttributeValue, 2, 5) ==
	             reads(&two->s[1], TAPE_FN_C_GetAttributeValue, 2, 5));
}

/* The parameter of CKM_CONCATENATE_BASE_AND_KEY is a handle by itself. */
static struct tape_value handle_parameter(uint64_t object)
{
	return (struct tape_value){ .form = TAPE_V_NUMBER,
		                    .record = TAPE_P_OBJECT,
		                    .number = object };
}

static struct tape_value concatenation(const struct tape_value *key)
{
	return (struct tape_value){ .form = TAPE_V_MECHANISM,
		                    .tag = CKM_CONCATENATE_BASE_AND_KEY,
		                    .count = 1,
		                    .data = key };
}

static void keys_in_parameters_are_who_is_meant(void **state)
{
	struct two *two = *state;
	uint64_t fed[2][2];
	for (size_t i = 0; i < 2; i++) {
		find(&two->s[i], session[i], (uint64_t[]){ 3 }, 1);
		create(&two->s[i], session[i], 5 + i, 50, true);
		for (size_t j = 0; j < 2; j++) {
			const struct tape_value key = handle_parameter(5 + j);
			const struct tape_value in[MAX_ARGUMENTS] = { number(session[i]),
				                                      concatenation(&key),
				                                      number(3) };
			fed[i][j] = tape_scope_fed(&two->s[i], &tape_functions[TAPE_FN_C_DeriveKey],
			                           in);
		}
	}
	assert_true(fed[0][0] == fed[1][1]);
	assert_false(fed[0][0] == fed[1][0]);
	assert_false(fed[0][0] == fed[0][1]);
}

static void keys_in_parameters_count(void **state)
{
	struct two *two = *state;
	const struct tape_value key = handle_parameter(4);
	const struct tape_value concatenate = concatenation(&key);
	struct tape_scope_value values[2][TAPE_SCOPES];
	for (size_t i = 0; i < 2; i++) {
		find(&two->s[i], session[i], (uint64_t[]){ 3, 4 }, 2);
		if (i == 1)
			edit(&two->s[i], session[i], 4, "a");
		const struct tape_value in[MAX_ARGUMENTS] = { number(session[i]), concatenate,
			                                      number(3) };
		tape_scope_read(&two->s[i], &tape_functions[TAPE_FN_C_DeriveKey], in, values[i]);
	}
	assert_false(values[0][TAPE_SCOPE_OBJECT].hash == values[1][TAPE_SCOPE_OBJECT].hash);
}

static void keys_that_parameters_return_are_new(void **state)
{
	struct two *two = *state;
	struct tape_value fields[6] = { [2] = number(8) };
	const struct tape_value material = { .form = TAPE_V_RECORD,
		                             .record = TAPE_R_CK_SSL3_KEY_MAT_OUT,
		                             .count = 6,
		                             .data = fields };
	struct tape_value parameters[6] = { [5] = material };
	const struct tape_value parameter = { .form = TAPE_V_RECORD,
		                              .record = TAPE_R_CK_SSL3_KEY_MAT_PARAMS,
		                              .count = 6,
		                              .data = parameters };
	const struct tape_value derive = { .form = TAPE_V_MECHANISM,
		                           .tag = CKM_SSL3_KEY_AND_MAC_DERIVE,
		                           .count = 1,
		                           .data = &parameter };
	for (size_t i = 0; i < 2; i++)
		effect(&two->s[i], TAPE_FN_C_DeriveKey,
		       &(struct made){ .in = { number(session[i]),
		                               derive,
		                               number(3),
		                               template(NULL, 0),
		                               { .form = TAPE_V_NULL } },
		                       .out = { [1] = derive } },
		       CKR_OK, 60 + i);
	assert_true(tape_scope_object_lives(&two->s[0], 1, 8));
	assert_false(tape_scope_object(&two->s[0], 1, 8) == tape_scope_object(&two->s[1], 7, 8));
}

static void objects_of_a_session_end_with_it(void **state)
{
	struct two *two = *state;
	for (size_t i = 0; i < 2; i++)
		open_as(&two->s[i], 2, CKF_SERIAL_SESSION);
	create(&two->s[0], 2, 5, 50, false);
	assert_apart(two, C_FindObjectsInit, 0);
	with_session(&two->s[0], TAPE_FN_C_CloseSession, 2);
	with_session(&two->s[1], TAPE_FN_C_CloseSession, 2);
	assert_alike(two, C_FindObjectsInit, 0);
	assert_false(tape_scope_object_lives(&two->s[0], 1, 5));
}

static void logging_out_ends_private_handles(void **state)
{
	struct two *two = *state;
	find(&two->s[0], 1, (uint64_t[]){ 3 }, 1);
	find(&two->s[1], 7, (uint64_t[]){ 3 }, 1);
	login(&two->s[0], 1, CKR_OK);
	assert_apart(two, C_GetAttributeValue, 3);
	login(&two->s[1], 7, CKR_OK);
	find(&two->s[0], 1, (uint64_t[]){ 4 }, 1);
	find(&two->s[1], 7, (uint64_t[]){ 4 }, 1);
	assert_alike(two, C_GetAttributeValue, 3);
	assert_alike(two, C_GetAttributeValue, 4);
	with_session(&two->s[0], TAPE_FN_C_Logout, 1);
	login(&two->s[0], 1, CKR_OK);
	/* The same user again: what was found while nobody was logged in is public, and stays. */
	assert_alike(two, C_GetAttributeValue, 3);
	assert_apart(two, C_GetAttributeValue, 4);
	assert_apart(two, C_FindObjectsInit, 0);
}

static void the_last_session_logs_out(void **state)
{
	struct two *two = *state;
	login(&two->s[0], 1, CKR_OK);
	with_session(&two->s[0], TAPE_FN_C_CloseSession, 1);
	open_as(&two->s[0], 1, CKF_SERIAL_SESSION);
	assert_alike(two, C_GetSessionInfo, 0);
}

static void vain_logins_count_until_a_good_one(void **state)
{
	struct two *two = *state;
	login(&two->s[0], 1, CKR_PIN_INCORRECT);
	assert_apart(two, C_Login, 0);
	assert_alike(two, C_GetSessionInfo, 0);
	login(&two->s[0], 1, CKR_OK);
	login(&two->s[1], 7, CKR_OK);
	assert_alike(two, C_Login, 0);
	login(&two->s[0], 1, CKR_USER_ALREADY_LOGGED_IN);
	assert_alike(two, C_Login, 0);
}

static void an_operation_is_what_it_was_fed(void **state)
{
	struct two *two = *state;
	for (size_t i = 0; i < 2; i++)
		sign_init(&two->s[i], session[i], CKM_SHA256_RSA_PKCS, 4);
	assert_alike(two, C_SignUpdate, 0);
	update(&two->s[0], 1, "a");
	update(&two->s[0], 1, "b");
	update(&two->s[1], 7, "b");
	update(&two->s[1], 7, "a");
	assert_apart(two, C_SignFinal, 0);
	/* Asked for its length, or for too small a room, it stays as it is; then it is over. */
	uint64_t before = reads(&two->s[0], TAPE_FN_C_SignFinal, 1, 0);
	final(&two->s[0], 1, query(), CKR_OK);
	final(&two->s[0], 1, room(1), CKR_BUFFER_TOO_SMALL);
	assert_true(reads(&two->s[0], TAPE_FN_C_SignFinal, 1, 0) == before);
	final(&two->s[0], 1, room(256), CKR_OK);
	final(&two->s[1], 7, room(512), CKR_OK);
	assert_alike(two, C_SignInit, 0);
}

static void an_operation_knows_its_key(void **state)
{
	struct two *two = *state;
	for (size_t i = 0; i < 2; i++) {
		create(&two->s[i], session[i], 4, 40, true);
		sign_init(&two->s[i], session[i], CKM_SHA256_RSA_PKCS, 4);
	}
	assert_alike(two, C_Sign, 0);
	edit(&two->s[0], 1, 4, "a");
	assert_apart(two, C_Sign, 0);
}

static void one_search_may_be_asked_in_parts(void **state)
{
	struct two *two = *state;
	for (size_t i = 0; i < 2; i++)
		search(&two->s[i], session[i]);
	find(&two->s[0], 1, (uint64_t[]){ 3, 4, 5 }, 3);
	find(&two->s[1], 7, (uint64_t[]){ 3 }, 1);
	assert_apart(two, C_FindObjects, 0);
	find(&two->s[1], 7, (uint64_t[]){ 4, 5 }, 2);
	assert_alike(two, C_FindObjects, 0);
	find(&two->s[1], 7, NULL, 0);
	assert_alike(two, C_FindObjects, 0);
}

static void randomised_mechanisms_are_known(void **state)
{
	struct two *two = *state;
	const struct tape_function *sign = &tape_functions[TAPE_FN_C_Sign];
	const struct tape_value in[MAX_ARGUMENTS] = { number(1) };
	sign_init(&two->s[0], 1, CKM_SHA256_RSA_PKCS, 4);
	assert_false(tape_scope_varies(&two->s[0], sign, in));
	sign_init(&two->s[0], 1, CKM_ECDSA, 4);
	assert_true(tape_scope_varies(&two->s[0], sign, in));
	sign_init(&two->s[0], 1, 0x80001234, 4);
	assert_true(tape_scope_varies(&two->s[0], sign, in));
}

static void what_happens_outside_changes_all(void **state)
{
	struct two *two = *state;
	tape_scope_happened(&two->s[0], 99, 1);
	assert_apart(two, C_GetSessionInfo, 0);
	tape_scope_happened(&two->s[1], 99, 2);
	assert_alike(two, C_GetSessionInfo, 0);
}

static void a_life_ends_everything_but_the_token(void **state)
{
	struct two *two = *state;
	create(&two->s[0], 1, 5, 50, false);
	login(&two->s[0], 1, CKR_OK);
	for (size_t i = 0; i < 2; i++) {
		effect(&two->s[i], TAPE_FN_C_Finalize,
		       &(struct made){ .in = { { .form = TAPE_V_NULL } } }, CKR_OK, 0);
		assert_false(tape_scope_session_lives(&two->s[i], session[i]));
		initialize(&two->s[i], 2);
		open_as(&two->s[i], session[i], CKF_SERIAL_SESSION);
	}
	assert_alike(two, C_FindObjectsInit, 0);
	create(&two->s[0], 1, 5, 51, true);
	for (size_t i = 0; i < 2; i++) {
		initialize(&two->s[i], 3);
		open_as(&two->s[i], session[i], CKF_SERIAL_SESSION);
	}
	assert_apart(two, C_FindObjectsInit, 0);
}

static void a_copy_is_alike(void **state)
{
	struct two *two = *state;
	struct tape_scopes copy;
	create(&two->s[0], 1, 5, 50, true);
	login(&two->s[0], 1, CKR_OK);
	sign_init(&two->s[0], 1, CKM_ECDSA, 5);
	assert_true(tape_scopes_copy(&copy, &two->s[0]));
	assert_true(everything(&copy, 1, 5) == everything(&two->s[0], 1, 5));
	edit(&two->s[0], 1, 5, "a");
	edit(&copy, 1, 5, "a");
	assert_true(everything(&copy, 1, 5) == everything(&two->s[0], 1, 5));
	tape_scopes_done(&copy);
}

static void what_only_ends_cannot_fail(void **state)
{
	struct two *two = *state;
	const struct tape_value in[MAX_ARGUMENTS] = { number(1) };
	const struct tape_function *close = &tape_functions[TAPE_FN_C_CloseSession];
	const struct tape_function *logout = &tape_functions[TAPE_FN_C_Logout];
	const struct tape_function *stop = &tape_functions[TAPE_FN_C_FindObjectsFinal];
	struct tape_scopes *s = &two->s[0];
	assert_false(tape_scope_ends(s, logout, in));
	login(s, 1, CKR_OK);
	assert_true(tape_scope_ends(s, logout, in));
	assert_false(tape_scope_ends(s, stop, in));
	search(s, 1);
	assert_true(tape_scope_ends(s, stop, in));
	assert_false(tape_scope_ends(s, &tape_functions[TAPE_FN_C_SignFinal], in));
	assert_true(tape_scope_ends(s, close, in));
	with_session(s, TAPE_FN_C_CloseSession, 1);
	assert_false(tape_scope_ends(s, close, in));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_function_has_a_row),
		TEST(handles_have_no_say),
		TEST(sessions_opened_otherwise_are_others),
		TEST(the_order_of_what_is_made_does_not_matter),
		TEST(what_was_made_and_destroyed_has_never_been),
		TEST(a_number_used_again_is_another_object),
		TEST(slots_number_their_objects_by_themselves),
		TEST(keys_in_parameters_are_who_is_meant),
		TEST(keys_in_parameters_count),
		TEST(keys_that_parameters_return_are_new),
		TEST(objects_of_a_session_end_with_it),
		TEST(logging_out_ends_private_handles),
		TEST(the_last_session_logs_out),
		TEST(vain_logins_count_until_a_good_one),
		TEST(an_operation_is_what_it_was_fed),
		TEST(an_operation_knows_its_key),
		TEST(one_search_may_be_asked_in_parts),
		TEST(randomised_mechanisms_are_known),
		TEST(what_happens_outside_changes_all),
		TEST(a_life_ends_everything_but_the_token),
		TEST(a_copy_is_alike),
		TEST(what_only_ends_cannot_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
