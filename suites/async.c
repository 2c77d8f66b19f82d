/* SPDX-License-Identifier: MIT
 *
 * Asynchronous sessions (PKCS#11 3.2 §5.6.1, §5.21): calls that answer CKR_PENDING and are completed later.
 */
#include <string.h>

#include "suites/keying.h"
#include "suites/keys.h"

/* A call that never ends asks too much of anybody. */
#define PATIENCE 100000

static CK_BYTE data[32] = "thirty-two bytes to be worked on";

/* A name as the functions want it: one that they may write to. */
static CK_UTF8CHAR_PTR name_of(const char *function)
{
	static CK_UTF8CHAR name[40];
	memcpy(name, function, strnlen(function, sizeof(name) - 1) + 1);
	return name;
}

/* An asynchronous session, beside c->session; skips where the token has none. */
static CK_SESSION_HANDLE open_async(struct check *c)
{
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
	CK_RV rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | CKF_ASYNC_SESSION, NULL,
	                                 NULL, &session);
	if (rv != CKR_OK)
		check_skip(c, "no asynchronous session can be opened (%s)", check_rv_name(rv));
	if (c->p32->C_AsyncComplete(session, name_of("C_Digest"), NULL) ==
	    CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_AsyncComplete is not supported");
	return session;
}

/* ---- calls that can be asynchronous -------------------------------------------------------------- */

struct job {
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key, other;
	CK_BYTE *out;
	CK_ULONG size;
	bool makes_keys, pair;
};

/* Begin the work; `size` says what there is room for. */
static CK_RV start_digest(struct check *c, struct job *j)
{
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	NEED_OK(c, c->p11->C_DigestInit(j->session, &mechanism));
	return c->p11->C_Digest(j->session, data, sizeof(data), j->out, &j->size);
}

static CK_RV start_sign(struct check *c, struct job *j)
{
	CK_MECHANISM mechanism = { CKM_SHA256_HMAC, NULL, 0 };
	NEED_OK(c, c->p11->C_SignInit(j->session, &mechanism, object_make(c, OBJECT_SECRET)));
	return c->p11->C_Sign(j->session, data, sizeof(data), j->out, &j->size);
}

static CK_RV start_encrypt(struct check *c, struct job *j)
{
	CK_MECHANISM mechanism = { CKM_AES_ECB, NULL, 0 };
	NEED_OK(c, c->p11->C_EncryptInit(j->session, &mechanism, object_make(c, OBJECT_AES)));
	return c->p11->C_Encrypt(j->session, data, sizeof(data), j->out, &j->size);
}

static CK_RV start_decrypt(struct check *c, struct job *j)
{
	CK_MECHANISM mechanism = { CKM_AES_ECB, NULL, 0 };
	NEED_OK(c, c->p11->C_DecryptInit(j->session, &mechanism, object_make(c, OBJECT_AES)));
	return c->p11->C_Decrypt(j->session, data, sizeof(data), j->out, &j->size);
}

static CK_RV start_generate(struct check *c, struct job *j)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	struct template t;
	keying_template(c, &t);
	template_ulong(&t, CKA_VALUE_LEN, 16);
	j->makes_keys = true;
	j->size = 0;
	return c->p11->C_GenerateKey(j->session, &mechanism, t.entry, t.count, &j->key);
}

static CK_RV start_pair(struct check *c, struct job *j)
{
	CK_MECHANISM mechanism = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	struct template public, private;
	keying_template(c, &public);
	template_bool(&public, CKA_PRIVATE, false);
	template_bytes(&public, CKA_EC_PARAMS, ec_params, sizeof(ec_params));
	keying_template(c, &private);
	j->makes_keys = j->pair = true;
	j->size = 0;
	return c->p11->C_GenerateKeyPair(j->session, &mechanism, public.entry, public.count,
	                                 private.entry, private.count, &j->key, &j->other);
}

static const struct call {
	const char *function;
	CK_RV (*start)(struct check *c, struct job *j);
	CK_ULONG size; /* of the output */
} calls[] = {
	{ "C_Digest", start_digest, 32 },       { "C_Sign", start_sign, 32 },
	{ "C_Encrypt", start_encrypt, 32 },     { "C_Decrypt", start_decrypt, 32 },
	{ "C_GenerateKey", start_generate, 0 }, { "C_GenerateKeyPair", start_pair, 0 },
};

static CK_RV start(struct check *c, struct job *j, CK_SESSION_HANDLE session, CK_ULONG room)
{
	const struct call *call = c->row->data;
	*j = (struct job){ .session = session, .size = room };
	j->out = room == 0 ? NULL : check_buffer(c, room);
	return call->start(c, j);
}

/* Started in an asynchronous session, and pending. */
static const struct call *pending(struct check *c, struct job *j)
{
	const struct call *call = c->row->data;
	CK_SESSION_HANDLE session = open_async(c);
	CK_RV rv = start(c, j, session, call->size);
	if (rv == CKR_OK)
		check_skip(c, "%s is done at once", call->function);
	if (rv != CKR_PENDING)
		check_skip(c, "%s returned %s", call->function, check_rv_name(rv));
	return call;
}

static CK_RV complete(struct check *c, const struct job *j, const char *function,
                      CK_ASYNC_DATA *result)
{
	CK_RV rv = CKR_PENDING;
	for (int i = 0; i < PATIENCE && rv == CKR_PENDING; i++)
		rv = c->p32->C_AsyncComplete(j->session, name_of(function), result);
	return rv;
}

/* ---- what is demanded ------------------------------------------------------------------------------ */

static void session_flag(struct check *c)
{
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
	bool offered = (c->target->token_info.flags & CKF_ASYNC_SESSION_SUPPORTED) != 0;
	CK_SESSION_INFO info;
	CK_RV rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | CKF_ASYNC_SESSION, NULL,
	                                 NULL, &session);
	if (c->target->spec < SPEC(3, 2))
		check_skip(c, "the flag is one of 3.2's");
	if (!offered) {
		EXPECT_CODE(c, 117, "C_OpenSession", rv, CKR_SESSION_ASYNC_NOT_SUPPORTED);
		return;
	}
	EXPECT_CODE(c, 117, "C_OpenSession", rv, CKR_OK);
	EXPECT_RV(c, 117, c->p11->C_GetSessionInfo(session, &info), CKR_OK);
	EXPECT(c, 117, (info.flags & CKF_ASYNC_SESSION) != 0,
	       "the session's flags, 0x%lx, lack CKF_ASYNC_SESSION", info.flags);
}

static void synchronous_too(struct check *c)
{
	CK_SESSION_INFO info;
	EXPECT_RV(c, 117, c->p11->C_GetSessionInfo(c->session, &info), CKR_OK);
	EXPECT(c, 117, (info.flags & CKF_ASYNC_SESSION) == 0,
	       "a session that was opened without CKF_ASYNC_SESSION has it");
}

static void never_pending(struct check *c)
{
	struct job j;
	const struct call *call = c->row->data;
	CK_RV rv = start(c, &j, c->session, call->size);
	EXPECT(c, 199, rv != CKR_PENDING, "%s returned CKR_PENDING in a synchronous session",
	       call->function);
}

static void completes(struct check *c)
{
	struct job j, plain;
	CK_ASYNC_DATA result = { 0, NULL, 0, 0, 0 };
	const struct call *call = pending(c, &j);
	EXPECT_CODE(c, 200, "C_AsyncComplete", complete(c, &j, call->function, &result), CKR_OK);
	if (j.makes_keys) {
		EXPECT(c, 200, result.hObject != CK_INVALID_HANDLE, "no key's handle is given");
		EXPECT(c, 200,
		       object_ulong(c, result.hObject, CKA_CLASS) ==
		               (j.pair ? CKO_PUBLIC_KEY : CKO_SECRET_KEY),
		       "hObject is no key of the kind");
		if (j.pair)
			EXPECT(c, 200,
			       object_ulong(c, result.hAdditionalObject, CKA_CLASS) ==
			               CKO_PRIVATE_KEY,
			       "hAdditionalObject is no private key");
		return;
	}
	NEED_OK(c, start(c, &plain, c->session, call->size));
	EXPECT(c, 200, result.ulValue == plain.size && memcmp(j.out, plain.out, plain.size) == 0,
	       "the result is another than a synchronous session's");
}

static void pending_writes_nothing(struct check *c)
{
	struct job j;
	CK_ASYNC_DATA result, before;
	const struct call *call = pending(c, &j);
	memset(&result, 0x5a, sizeof(result));
	result.ulVersion = 0;
	before = result;
	CK_RV rv = c->p32->C_AsyncComplete(j.session, name_of(call->function), &result);
	if (rv != CKR_PENDING)
		check_skip(c, "it is complete already (%s)", check_rv_name(rv));
	EXPECT(c, 200, memcmp(&result, &before, sizeof(result)) == 0,
	       "with CKR_PENDING bytes are written to pResult");
}

static void completed_once(struct check *c)
{
	struct job j;
	CK_ASYNC_DATA result = { 0, NULL, 0, 0, 0 };
	const struct call *call = pending(c, &j);
	NEED_OK(c, complete(c, &j, call->function, &result));
	EXPECT_RV(c, 202, c->p32->C_AsyncComplete(j.session, name_of(call->function), &result),
	          CKR_OPERATION_NOT_INITIALIZED);
}

static void another_function(struct check *c)
{
	struct job j;
	CK_ASYNC_DATA result = { 0, NULL, 0, 0, 0 };
	const struct call *call = pending(c, &j);
	EXPECT_RV(c, 202, c->p32->C_AsyncComplete(j.session, name_of("C_WrapKey"), &result),
	          CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_CODE(c, 200, "C_AsyncComplete", complete(c, &j, call->function, &result), CKR_OK);
}

static void too_small_at_once(struct check *c)
{
	struct job j;
	const struct call *call = c->row->data;
	if (call->size == 0)
		check_skip(c, "the function has no output of that kind");
	CK_SESSION_HANDLE session = open_async(c);
	CK_RV rv = start(c, &j, session, call->size - 1);
	EXPECT_CODE(c, 201, call->function, rv, CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 201, j.size >= call->size, "the length is %lu", j.size);
}

static void get_id(struct check *c)
{
	struct job j;
	CK_ULONG id = 0;
	CK_ASYNC_DATA result = { 0, NULL, 0, 0, 0 };
	const struct call *call = pending(c, &j);
	CK_RV rv = c->p32->C_AsyncGetID(j.session, name_of(call->function), &id);
	EXPECT_CODE(c, 202, "C_AsyncGetID", rv, CKR_OK, CKR_STATE_UNSAVEABLE);
	if (rv != CKR_OK) {
		check_note(c, "what is pending cannot be left and joined again");
		EXPECT_CODE(c, 200, "C_AsyncComplete", complete(c, &j, call->function, &result),
		            CKR_OK);
		return;
	}
	/* The session may go; another one takes the work over. */
	NEED_OK(c, c->p11->C_CloseSession(j.session));
	j.session = open_async(c);
	EXPECT_RV(c, 203,
	          c->p32->C_AsyncJoin(j.session, name_of(call->function), id, j.out, j.size),
	          CKR_OK);
	EXPECT_CODE(c, 203, "C_AsyncComplete", complete(c, &j, call->function, &result), CKR_OK);
}

static void close_cancels(struct check *c)
{
	struct job j;
	pending(c, &j);
	CK_RV rv = c->row->a != 0 ? c->p11->C_CloseAllSessions(c->slot)
	                          : c->p11->C_CloseSession(j.session);
	EXPECT_CODE(c, 203, c->row->a != 0 ? "C_CloseAllSessions" : "C_CloseSession", rv, CKR_OK);
	/* Nothing is written any more to what the caller may have given back. */
	if (j.out != NULL)
		memset(j.out, CHECK_POISON, ((const struct call *)c->row->data)->size);
	CK_SESSION_HANDLE session = open_async(c);
	CK_ASYNC_DATA result = { 0, NULL, 0, 0, 0 };
	EXPECT_RV(c, 203,
	          c->p32->C_AsyncComplete(
			  session, name_of(((const struct call *)c->row->data)->function), &result),
	          CKR_OPERATION_NOT_INITIALIZED);
	if (j.out != NULL)
		EXPECT(c, 203, check_untouched(j.out, 0, ((const struct call *)c->row->data)->size),
		       "output is written after its session was closed");
}

static void cancel(struct check *c)
{
	struct job j;
	CK_ASYNC_DATA result = { 0, NULL, 0, 0, 0 };
	const struct call *call = pending(c, &j);
	CK_RV rv = c->p30->C_SessionCancel(j.session, CKF_DIGEST | CKF_SIGN | CKF_ENCRYPT |
	                                                      CKF_DECRYPT | CKF_GENERATE |
	                                                      CKF_GENERATE_KEY_PAIR);
	if (rv != CKR_OK)
		check_skip(c, "C_SessionCancel returned %s", check_rv_name(rv));
	EXPECT_RV(c, 203, c->p32->C_AsyncComplete(j.session, name_of(call->function), &result),
	          CKR_OPERATION_NOT_INITIALIZED, CKR_FUNCTION_CANCELED);
}

/* ---- nothing is pending ------------------------------------------------------------------------------ */

static void nothing_pending(struct check *c)
{
	CK_ASYNC_DATA result = { 0, NULL, 0, 0, 0 };
	CK_ULONG id;
	CK_BYTE bytes[8];
	CK_SESSION_HANDLE session = c->row->b != 0 ? open_async(c) : c->session;
	CK_RV rv = c->row->a == 0 ? c->p32->C_AsyncComplete(session, name_of("C_Digest"), &result)
	           : c->row->a == 1
	                   ? c->p32->C_AsyncGetID(session, name_of("C_Digest"), &id)
	                   : c->p32->C_AsyncJoin(session, name_of("C_Digest"), 12345, bytes, 8);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "the function is not supported");
	if (c->row->a == 2)
		EXPECT_CODE(c, 202, "C_AsyncJoin", rv, CKR_SAVED_STATE_INVALID,
		            CKR_OPERATION_NOT_INITIALIZED, CKR_ARGUMENTS_BAD);
	else
		EXPECT_CODE(c, 202, c->row->a == 0 ? "C_AsyncComplete" : "C_AsyncGetID", rv,
		            CKR_OPERATION_NOT_INITIALIZED);
}

static void null_name(struct check *c)
{
	CK_ASYNC_DATA result = { 0, NULL, 0, 0, 0 };
	CK_ULONG id;
	CK_SESSION_HANDLE session = open_async(c);
	EXPECT_RV(c, 314,
	          c->row->a == 0 ? c->p32->C_AsyncComplete(session, NULL, &result)
	                         : c->p32->C_AsyncGetID(session, NULL, &id),
	          CKR_ARGUMENTS_BAD);
}

/* ---- the list ------------------------------------------------------------------------------------------ */

void suite_async(struct check_list *list)
{
	static const char *const functions[] = { "C_AsyncComplete", "C_AsyncGetID", "C_AsyncJoin" };
	const unsigned int needs = NEED_USER | NEED_V32;
	struct check_row row;
	check_add(list, CHECK(session_flag, NEED_TOKEN, "asynchronous sessions, or a refusal", 117),
	          "session");
	check_add(
		list,
		CHECK(synchronous_too, NEED_SESSION, "synchronous sessions are always there", 117),
		"synchronous");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(calls); i++) {
		const struct {
			const char *name;
			struct check_row row;
		} members[] = {
			{ "never-pending",
			  CHECK(never_pending, NEED_USER, "a synchronous session waits", 199) },
			{ "completes", CHECK(completes, needs, "the result is the same", 200) },
			{ "writes-nothing",
			  CHECK(pending_writes_nothing, needs, "CKR_PENDING writes nothing", 200) },
			{ "once",
			  CHECK(completed_once, needs, "what is complete is complete", 202) },
			{ "another-function",
			  CHECK(another_function, needs, "the name must be that of the call", 200,
			        202) },
			{ "too-small",
			  CHECK(too_small_at_once, needs, "too little room is said at once", 201) },
			{ "get-id", CHECK(get_id, needs, "what is pending can be left, or not", 200,
			                  202, 203) },
			{ "close", CHECK(close_cancels, needs, "C_CloseSession cancels", 203) },
			{ "cancel", CHECK(cancel, needs, "C_SessionCancel cancels", 203) },
		};
		for (size_t m = 0; m < TAPE_ARRAY_SIZE(members); m++) {
			row = members[m].row;
			row.data = &calls[i];
			check_add(list, row, "%s/%s", members[m].name, calls[i].function);
		}
		row = CHECK(close_cancels, needs, "C_CloseAllSessions cancels", 203);
		row.data = &calls[i];
		row.a = 1;
		check_add(list, row, "close-all/%s", calls[i].function);
	}
	for (unsigned int i = 0; i < 6; i++) {
		row = CHECK(nothing_pending, needs, "nothing is pending", 202);
		row.a = i % 3;
		row.b = i / 3;
		check_add(list, row, "nothing-pending/%s-%s", functions[i % 3],
		          i < 3 ? "synchronous" : "asynchronous");
	}
	for (unsigned int i = 0; i < 2; i++) {
		row = CHECK(null_name, needs, "NULL for the name is refused", 314);
		row.a = i;
		check_add(list, row, "null-name/%s", functions[i]);
	}
}
