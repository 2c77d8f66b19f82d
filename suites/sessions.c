/* SPDX-License-Identifier: MIT
 *
 * Opening and closing sessions, what C_GetSessionInfo says of them, and what goes with them
 * (PKCS#11 3.1 §5.6.1 to §5.6.4). C_CloseAllSessions has a suite of its own.
 */
#include <stdlib.h>
#include <string.h>

#include "suites/check.h"
#include "suites/objects.h"
#include "suites/states.h"

#define MANY 1000

/* ---- C_OpenSession ----------------------------------------------------------------------------------- */

static CK_RV open_session(struct check *c, CK_FLAGS flags, CK_SESSION_HANDLE *ret_session)
{
	*ret_session = CK_INVALID_HANDLE;
	return c->p11->C_OpenSession(c->slot, flags, NULL, NULL, ret_session);
}

static const struct {
	const char *name;
	CK_FLAGS flags;
} flag_sets[] = {
	{ "none", 0 },
	{ "rw", CKF_RW_SESSION },
	{ "serial", CKF_SERIAL_SESSION },
	{ "serial-rw", CKF_SERIAL_SESSION | CKF_RW_SESSION },
	{ "exclusive", 1 },
	{ "exclusive-rw", 1 | CKF_RW_SESSION },
	{ "serial-exclusive", CKF_SERIAL_SESSION | 1 },
	{ "all-but-serial", 0xffffffff & ~(CK_FLAGS)CKF_SERIAL_SESSION },
	{ "serial-high", CKF_SERIAL_SESSION | 0x40000000 },
};

static void open_flags(struct check *c)
{
	const struct situation *situation = &situations[c->row->b];
	CK_FLAGS flags = flag_sets[c->row->a].flags;
	const CK_FLAGS known = CKF_SERIAL_SESSION | CKF_RW_SESSION;
	struct sessions sessions;
	CK_SESSION_HANDLE session;
	states_enter(c, situation, &sessions);
	CK_RV rv = open_session(c, flags, &session);
	if ((flags & CKF_SERIAL_SESSION) == 0) {
		EXPECT_CODE(c, 104, "C_OpenSession", rv, CKR_SESSION_PARALLEL_NOT_SUPPORTED);
		states_expect(c, 110, &sessions, situation->login);
		return;
	}
	if ((flags & ~known) != 0) {
		/* Bits without a meaning: refused or not looked at. */
		EXPECT(c, 104, rv != CKR_SESSION_PARALLEL_NOT_SUPPORTED,
		       "with CKF_SERIAL_SESSION C_OpenSession returned "
		       "CKR_SESSION_PARALLEL_NOT_SUPPORTED");
		check_note(c, "C_OpenSession with flags 0x%lx returned %s", (unsigned long)flags,
		           check_rv_name(rv));
		return;
	}
	bool rw = (flags & CKF_RW_SESSION) != 0;
	if (situation->login == LOGIN_OFFICER && !rw) {
		if (rv != CKR_OK) {
			EXPECT_CODE(c, 105, "C_OpenSession", rv, CKR_SESSION_READ_WRITE_SO_EXISTS);
			return;
		}
		/* The Usage Guide of 3.2 lets it open: it is a public one then. */
		if (c->target->spec < SPEC(3, 2))
			DEVIATION(c, 105,
			          "a read-only session opens beside the security officer's");
		else
			check_note(c, "a read-only session opens beside the security officer's");
		states_expect(c, 146, &(struct sessions){ session, CK_INVALID_HANDLE },
		              LOGIN_OFFICER);
		return;
	}
	if (rw && rv == CKR_TOKEN_WRITE_PROTECTED)
		check_skip(c, "the token is write-protected");
	if (rv == CKR_SESSION_COUNT)
		check_skip(c, "the token has no second session");
	EXPECT_CODE(c, 110, "C_OpenSession", rv, CKR_OK);
	EXPECT(c, 108, session != CK_INVALID_HANDLE, "a session with the handle 0 was opened");
	states_expect(c, 109,
	              &(struct sessions){ rw ? CK_INVALID_HANDLE : session,
	                                  rw ? session : CK_INVALID_HANDLE },
	              situation->login);
}

static void open_null(struct check *c)
{
	CK_RV rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, NULL);
	EXPECT_CODE(c, 314, "C_OpenSession", rv, CKR_ARGUMENTS_BAD);
}

static void open_async(struct check *c)
{
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE session;
	NEED_OK(c, check_token_info(c, c->slot, &info));
	if (c->target->spec < SPEC(3, 2))
		check_skip(c, "the module is older than PKCS#11 3.2");
	CK_RV rv = open_session(c, CKF_SERIAL_SESSION | CKF_ASYNC_SESSION, &session);
	if ((info.flags & CKF_ASYNC_SESSION_SUPPORTED) == 0)
		EXPECT_CODE(c, 117, "C_OpenSession", rv, CKR_SESSION_ASYNC_NOT_SUPPORTED);
	else
		EXPECT_CODE(c, 117, "C_OpenSession", rv, CKR_OK);
	EXPECT_CODE(c, 117, "C_OpenSession", open_session(c, CKF_SERIAL_SESSION, &session), CKR_OK);
}

static CK_RV count_calls(CK_SESSION_HANDLE session, CK_NOTIFICATION event, CK_VOID_PTR application)
{
	(void)session;
	(void)event;
	++*(unsigned int *)application;
	return CKR_OK;
}

static void notify(struct check *c)
{
	static unsigned int calls;
	CK_SESSION_HANDLE session;
	CK_BYTE bytes[64];
	CK_TOKEN_INFO info;
	EXPECT_RV(c, 345,
	          c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, &calls, count_calls, &session),
	          CKR_OK);
	(void)c->p11->C_GenerateRandom(session, bytes, sizeof(bytes));
	(void)c->p11->C_FindObjectsInit(session, NULL, 0);
	(void)c->p11->C_FindObjectsFinal(session);
	if (calls != 0)
		check_note(c, "the callback was called %u times", calls);
	EXPECT_RV(c, 345, c->p11->C_CloseSession(session), CKR_OK);
	unsigned int before = calls;
	CK_SESSION_HANDLE other = check_open(c, 0);
	(void)c->p11->C_GenerateRandom(other, bytes, sizeof(bytes));
	(void)check_token_info(c, c->slot, &info);
	(void)c->p11->C_CloseSession(other);
	(void)check_finalize(c);
	EXPECT(c, 345, calls == before, "the callback is called after its session was closed");
}

/* ---- many -------------------------------------------------------------------------------------------- */

static int compare(const void *one, const void *two)
{
	CK_ULONG a = *(const CK_ULONG *)one, b = *(const CK_ULONG *)two;
	return a < b ? -1 : a > b;
}

static void many(struct check *c)
{
	static CK_SESSION_HANDLE sessions[MANY];
	bool rw = c->row->a != 0;
	const CK_TOKEN_INFO *token = &c->target->token_info;
	CK_ULONG limit = rw ? token->ulMaxRwSessionCount : token->ulMaxSessionCount;
	size_t count = 0;
	CK_RV rv = CKR_OK;
	while (count < MANY && rv == CKR_OK) {
		rv = open_session(c, CKF_SERIAL_SESSION | (rw ? CKF_RW_SESSION : 0),
		                  &sessions[count]);
		count += rv == CKR_OK;
	}
	if (rw && rv == CKR_TOKEN_WRITE_PROTECTED)
		check_skip(c, "the token is write-protected");
	if (rv != CKR_OK)
		EXPECT_CODE(c, 106, "C_OpenSession", rv, CKR_SESSION_COUNT);
	if (limit != CK_EFFECTIVELY_INFINITE && limit != CK_UNAVAILABLE_INFORMATION &&
	    count > limit)
		check_note(c, "%zu sessions are open, and the token says that %lu may", count,
		           (unsigned long)limit);
	if (rv != CKR_OK)
		check_note(c, "session %zu is refused", count + 1);
	qsort(sessions, count, sizeof(sessions[0]), compare);
	for (size_t i = 0; i < count; i++) {
		EXPECT(c, 108, sessions[i] != CK_INVALID_HANDLE, "a handle is 0");
		EXPECT(c, 346, i == 0 || sessions[i] != sessions[i - 1],
		       "two open sessions have the handle 0x%lx", (unsigned long)sessions[i]);
	}
	for (size_t i = 0; i < count; i++)
		EXPECT_RV(c, 106, c->p11->C_CloseSession(sessions[i]), CKR_OK);
	CK_SESSION_HANDLE again;
	EXPECT_CODE(c, 106, "C_OpenSession", open_session(c, CKF_SERIAL_SESSION, &again), CKR_OK);
}

/* And then the end, with all of them open (a module crashed there). */
static void many_and_end(struct check *c)
{
	CK_SESSION_HANDLE session;
	for (size_t i = 0; i < MANY; i++)
		if (open_session(c, CKF_SERIAL_SESSION, &session) != CKR_OK)
			break;
	if (c->row->a != 0)
		EXPECT_RV(c, 113, c->p11->C_CloseAllSessions(c->slot), CKR_OK);
	EXPECT_CODE(c, 52, "C_Finalize", check_finalize(c), CKR_OK);
	EXPECT_CODE(c, 52, "C_Initialize", check_initialize(c), CKR_OK);
	EXPECT_CODE(c, 106, "C_OpenSession", open_session(c, CKF_SERIAL_SESSION, &session), CKR_OK);
}

/* Opened and closed over and over, nothing runs out. */
static void open_and_close(struct check *c)
{
	CK_SESSION_HANDLE session;
	for (int i = 0; i < 3 * MANY; i++) {
		EXPECT_CODE(c, 106, "C_OpenSession", open_session(c, CKF_SERIAL_SESSION, &session),
		            CKR_OK);
		EXPECT_RV(c, 106, c->p11->C_CloseSession(session), CKR_OK);
	}
}

/* ---- C_CloseSession ---------------------------------------------------------------------------------- */

static CK_RV session_info(struct check *c, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;
	return c->p11->C_GetSessionInfo(session, &info);
}

#define FEW 5

/* Whichever goes, the others stay. */
static void close_one(struct check *c)
{
	CK_SESSION_HANDLE sessions[FEW];
	for (size_t i = 0; i < FEW; i++)
		sessions[i] = check_open(c, (i & 1) != 0 ? CKF_RW_SESSION : 0);
	EXPECT_RV(c, 115, c->p11->C_CloseSession(sessions[c->row->a]), CKR_OK);
	for (size_t i = 0; i < FEW; i++)
		EXPECT_CODE(c, 115, "C_GetSessionInfo", session_info(c, sessions[i]),
		            i == c->row->a ? CKR_SESSION_HANDLE_INVALID : CKR_OK);
	EXPECT_RV(c, 115, c->p11->C_CloseSession(sessions[c->row->a]), CKR_SESSION_HANDLE_INVALID);
}

static CK_RV read_class(struct check *c, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	CK_ULONG class;
	CK_ATTRIBUTE entry = { CKA_CLASS, &class, sizeof(class) };
	return c->p11->C_GetAttributeValue(session, object, &entry, 1);
}

/* What was made through a session goes with it, for all others too; what was made through another stays. */
static void objects_go(struct check *c)
{
	CK_SESSION_HANDLE first = c->session, second = check_open(c, CKF_RW_SESSION);
	CK_OBJECT_HANDLE object = object_make(c, (enum object_kind)c->row->a);
	c->session = second;
	CK_OBJECT_HANDLE other = object_make(c, (enum object_kind)c->row->a);
	EXPECT_CODE(c, 142, "C_GetAttributeValue", read_class(c, second, object), CKR_OK);
	EXPECT_RV(c, 111, c->p11->C_CloseSession(first), CKR_OK);
	EXPECT_CODE(c, 111, "C_GetAttributeValue", read_class(c, second, object),
	            CKR_OBJECT_HANDLE_INVALID);
	EXPECT_CODE(c, 111, "C_GetAttributeValue", read_class(c, second, other), CKR_OK);
	struct template t;
	CK_OBJECT_HANDLE found[2];
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, false);
	EXPECT(c, 111, object_find(c, &t, found, 2) == 1 && found[0] == other,
	       "a search finds an object whose session was closed, or not the one that is left");
}

static const struct operation {
	const char *name;
	enum tape_function_id init, step;
	CK_MECHANISM_TYPE mechanism;
	enum object_kind key;
} operations[] = {
	{ "find", TAPE_FN_C_FindObjectsInit, TAPE_FN_C_FindObjects, 0, OBJECT_KINDS },
	{ "digest", TAPE_FN_C_DigestInit, TAPE_FN_C_DigestUpdate, CKM_SHA256, OBJECT_KINDS },
	{ "encrypt", TAPE_FN_C_EncryptInit, TAPE_FN_C_EncryptUpdate, CKM_AES_ECB, OBJECT_AES },
	{ "decrypt", TAPE_FN_C_DecryptInit, TAPE_FN_C_DecryptUpdate, CKM_AES_ECB, OBJECT_AES },
	{ "sign", TAPE_FN_C_SignInit, TAPE_FN_C_SignUpdate, CKM_SHA256_HMAC, OBJECT_SECRET },
	{ "verify", TAPE_FN_C_VerifyInit, TAPE_FN_C_VerifyUpdate, CKM_SHA256_HMAC, OBJECT_SECRET },
};

static CK_RV begin(struct check *c, const struct operation *operation, CK_SESSION_HANDLE session,
                   CK_OBJECT_HANDLE key)
{
	CK_MECHANISM mechanism = { operation->mechanism, NULL, 0 };
	uintptr_t words[TAPE_MAX_WORDS] = { session, (uintptr_t)&mechanism, key };
	if (operation->mechanism == 0)
		return c->p11->C_FindObjectsInit(session, NULL, 0);
	return check_call(c, operation->init, words);
}

static CK_OBJECT_HANDLE operation_key(struct check *c, const struct operation *operation)
{
	if (operation->mechanism != 0 && target_mechanism(c->target, operation->mechanism) == NULL)
		check_skip(c, "the token has no %s", check_mechanism_name(operation->mechanism));
	return operation->key == OBJECT_KINDS ? CK_INVALID_HANDLE : object_make(c, operation->key);
}

static CK_RV step(struct check *c, const struct operation *operation, CK_SESSION_HANDLE session)
{
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	check_arguments(c, operation->step, words);
	words[0] = session;
	return check_call(c, operation->step, words);
}

/* An operation goes with its session, and is not in the next one. */
static void operation_goes(struct check *c)
{
	const struct operation *operation = c->row->data;
	CK_OBJECT_HANDLE key = operation_key(c, operation);
	CK_SESSION_HANDLE session = check_open(c, 0);
	NEED_OK(c, begin(c, operation, session, key));
	EXPECT_RV(c, 115, c->p11->C_CloseSession(session), CKR_OK);
	EXPECT_CODE(c, 115, tape_functions[operation->step].name.text, step(c, operation, session),
	            CKR_SESSION_HANDLE_INVALID);
	CK_SESSION_HANDLE next = check_open(c, 0);
	EXPECT_CODE(c, 163, tape_functions[operation->step].name.text, step(c, operation, next),
	            CKR_OPERATION_NOT_INITIALIZED);
}

/* Each session has operations of its own. */
static void operation_apart(struct check *c)
{
	const struct operation *operation = c->row->data;
	CK_OBJECT_HANDLE key = operation_key(c, operation);
	CK_SESSION_HANDLE other = check_open(c, 0);
	NEED_OK(c, begin(c, operation, c->session, key));
	EXPECT_CODE(c, 163, tape_functions[operation->step].name.text, step(c, operation, other),
	            CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_CODE(c, 162, tape_functions[operation->init].name.text,
	            begin(c, operation, other, key), CKR_OK);
	EXPECT_RV(c, 115, c->p11->C_CloseSession(other), CKR_OK);
	EXPECT_CODE(c, 115, tape_functions[operation->step].name.text,
	            step(c, operation, c->session), CKR_OK);
}

/* The slot that a session is with says so even if the module has several. */
static void every_slot(struct check *c)
{
	size_t tried = 0;
	for (size_t i = 0; i < c->target->slot_count; i++) {
		CK_SESSION_HANDLE session;
		CK_SESSION_INFO info;
		if (c->p11->C_OpenSession(c->target->slots[i], CKF_SERIAL_SESSION, NULL, NULL,
		                          &session) != CKR_OK)
			continue;
		tried++;
		EXPECT_RV(c, 110, c->p11->C_GetSessionInfo(session, &info), CKR_OK);
		EXPECT(c, 110, info.slotID == c->target->slots[i],
		       "a session with slot 0x%lx says that it is with slot 0x%lx",
		       (unsigned long)c->target->slots[i], (unsigned long)info.slotID);
	}
	if (tried == 0)
		check_skip(c, "no slot opens a session");
}

/* ---- C_GetSessionInfo -------------------------------------------------------------------------------- */

static void info_fields(struct check *c)
{
	const struct situation *situation = &situations[c->row->a];
	struct sessions sessions;
	states_enter(c, situation, &sessions);
	for (int rw = 0; rw < 2; rw++) {
		CK_SESSION_HANDLE session = rw != 0 ? sessions.rw : sessions.ro;
		CK_SESSION_INFO *info = check_buffer(c, sizeof(*info));
		CK_SESSION_INFO other;
		if (session == CK_INVALID_HANDLE)
			continue;
		memset(&other, 0, sizeof(other));
		EXPECT_RV(c, 110, c->p11->C_GetSessionInfo(session, info), CKR_OK);
		EXPECT_RV(c, 110, c->p11->C_GetSessionInfo(session, &other), CKR_OK);
		EXPECT(c, 110, info->slotID == c->slot, "slotID is 0x%lx",
		       (unsigned long)info->slotID);
		EXPECT(c, 110, (info->flags & CKF_SERIAL_SESSION) != 0,
		       "CKF_SERIAL_SESSION is not set");
		EXPECT(c, 110, ((info->flags & CKF_RW_SESSION) != 0) == (rw != 0),
		       "a %s session has the flags 0x%lx", rw != 0 ? "read-write" : "read-only",
		       (unsigned long)info->flags);
		EXPECT(c, 110, info->state == states_expected(situation->login, rw != 0),
		       "the state is %s", check_name(TAPE_G_CKS, info->state));
		EXPECT(c, 341,
		       info->slotID == other.slotID && info->state == other.state &&
		               info->flags == other.flags &&
		               info->ulDeviceError == other.ulDeviceError,
		       "C_GetSessionInfo does not write all members");
	}
}

/* ---- what a read-only session may not ---------------------------------------------------------------- */

static void token_object_refused(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	object_template(c, &t, (enum object_kind)c->row->a);
	template_bool(&t, CKA_TOKEN, true);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_CreateObject is not supported");
	/* What is wrong with the token is said before what is wrong with the session (§5.1.6). */
	if ((c->target->token_info.flags & CKF_WRITE_PROTECTED) != 0)
		EXPECT_CODE(c, 22, "C_CreateObject", rv, CKR_TOKEN_WRITE_PROTECTED);
	else
		EXPECT_CODE(c, 143, "C_CreateObject", rv, CKR_SESSION_READ_ONLY);
}

static void token_object_kept(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object, copy;
	CK_ATTRIBUTE entry = { CKA_LABEL, (void *)(uintptr_t)OBJECT_LABEL,
		               sizeof(OBJECT_LABEL) - 1 };
	CK_SESSION_HANDLE ro = c->session, rw = check_open(c, CKF_RW_SESSION);
	c->session = rw;
	object_template(c, &t, (enum object_kind)c->row->a);
	template_bool(&t, CKA_TOKEN, true);
	object = object_create(c, &t);
	CK_RV set = c->p11->C_SetAttributeValue(ro, object, &entry, 1);
	CK_RV copied = c->p11->C_CopyObject(ro, object, &entry, 1, &copy);
	CK_RV destroyed = c->p11->C_DestroyObject(ro, object);
	EXPECT_CODE(c, 143, "C_SetAttributeValue", set, CKR_SESSION_READ_ONLY,
	            CKR_FUNCTION_NOT_SUPPORTED);
	EXPECT_CODE(c, 143, "C_DestroyObject", destroyed, CKR_SESSION_READ_ONLY);
	EXPECT_CODE(c, 143, "C_GetAttributeValue", read_class(c, rw, object), CKR_OK);
	EXPECT_CODE(c, 143, "C_CopyObject", copied, CKR_SESSION_READ_ONLY,
	            CKR_FUNCTION_NOT_SUPPORTED, CKR_ACTION_PROHIBITED);
}

static void token_key_refused(struct check *c)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	struct template t;
	CK_OBJECT_HANDLE key;
	if (target_mechanism(c->target, CKM_AES_KEY_GEN) == NULL)
		check_skip(c, "the token has no CKM_AES_KEY_GEN");
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, true);
	template_ulong(&t, CKA_VALUE_LEN, 16);
	EXPECT_RV(c, 143, c->p11->C_GenerateKey(c->session, &mechanism, t.entry, t.count, &key),
	          CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

static void session_object_works(struct check *c)
{
	/* Session objects are no business of the token's: a read-only session makes them (Usage Guide). */
	CK_OBJECT_HANDLE object = object_make(c, (enum object_kind)c->row->a);
	EXPECT_CODE(c, 138, "C_GetAttributeValue", read_class(c, c->session, object), CKR_OK);
	EXPECT_RV(c, 138, c->p11->C_DestroyObject(c->session, object), CKR_OK);
}

/* ---- legacy functions -------------------------------------------------------------------------------- */

static void not_parallel(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	uintptr_t words[TAPE_MAX_WORDS] = { c->session };
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_note(c, "%s is a stub", tape_functions[id].name.text);
	else if (rv == CKR_SESSION_PARALLEL_NOT_SUPPORTED)
		DEVIATION(c, 10, "%s returned CKR_SESSION_PARALLEL_NOT_SUPPORTED",
		          tape_functions[id].name.text);
	else
		EXPECT_CODE(c, 10, tape_functions[id].name.text, rv, CKR_FUNCTION_NOT_PARALLEL);
	EXPECT(c, 10, rv != CKR_OK, "%s returned CKR_OK", tape_functions[id].name.text);
}

static void not_parallel_in_operation(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	uintptr_t words[TAPE_MAX_WORDS] = { c->session };
	CK_OBJECT_HANDLE found;
	CK_ULONG count;
	NEED_OK(c, c->p11->C_FindObjectsInit(c->session, NULL, 0));
	CK_RV rv = check_call(c, id, words);
	EXPECT(c, 10, rv != CKR_OK, "%s returned CKR_OK", tape_functions[id].name.text);
	/* What is active is not cancelled by it. */
	EXPECT_RV(c, 10, c->p11->C_FindObjects(c->session, &found, 1, &count), CKR_OK);
}

/* ---- order of errors --------------------------------------------------------------------------------- */

/* A closed session, a mechanism that is none and no key: the session is what is said (§5.1.7). */
static void session_first(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	const struct tape_function *function = &tape_functions[id];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	CK_SESSION_HANDLE closed = c->session;
	NEED_OK(c, c->p11->C_CloseSession(closed));
	c->session = CK_INVALID_HANDLE;
	check_arguments(c, id, words);
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		CK_MECHANISM *mechanism = (CK_MECHANISM *)words[argument->word];
		if (tape_shapes[argument->kind].codec == TAPE_C_MECHANISM)
			mechanism->mechanism = 0x7fffff00;
		if (argument->kind == TAPE_K_OBJECT)
			words[argument->word] = 0x7ffffff1;
	}
	words[function->arguments[function->lane].word] = closed;
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", function->name.text);
	EXPECT(c, 16, rv != CKR_TOKEN_NOT_PRESENT, "%s returned CKR_TOKEN_NOT_PRESENT",
	       function->name.text);
	EXPECT_CODE(c, 15, function->name.text, rv, CKR_SESSION_HANDLE_INVALID);
	EXPECT(c, 13, rv != CKR_SESSION_CLOSED,
	       "a session that was closed long ago gives CKR_SESSION_CLOSED");
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add_opening(struct check_list *list)
{
	/* The read-write situations, and one read-only for those who have no other. */
	static const unsigned int in[] = { 0, 1, 3, 4, 6 };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(in); i++)
		for (size_t f = 0; f < TAPE_ARRAY_SIZE(flag_sets); f++) {
			struct check_row row = CHECK(open_flags, NEED_TOKEN,
			                             "sessions are serial, and what they say they "
			                             "are",
			                             104, 105, 108, 109, 110, 146);
			row.a = f;
			row.b = in[i];
			check_add(list, row, "open/%s-%s", situations[in[i]].name,
			          flag_sets[f].name);
		}
	check_add(list,
	          CHECK(open_null, NEED_TOKEN, "without a place for the handle it is refused", 314),
	          "open/null");
	check_add(list,
	          CHECK(open_async, NEED_TOKEN, "asynchronous sessions are refused or work", 117),
	          "open/async");
	check_add(list,
	          CHECK(notify, NEED_TOKEN, "a callback is not called once its session is closed",
	                345),
	          "notify");
	for (unsigned int rw = 0; rw < 2; rw++) {
		struct check_row row = CHECK(
			many, NEED_TOKEN, "as many as there may be, each with a handle of its own",
			106, 108, 346);
		row.a = rw;
		check_add(list, row, "many/%s", rw != 0 ? "rw" : "ro");
		struct check_row end =
			CHECK(many_and_end, NEED_TOKEN,
		              "the library ends and begins with many open", 52, 106, 113);
		end.a = rw;
		check_add(list, end, "many-and-end/%s", rw != 0 ? "close-all" : "finalize");
	}
	check_add(list, CHECK(open_and_close, NEED_TOKEN, "sessions do not run out", 106),
	          "open-and-close");
}

static void add_closing(struct check_list *list)
{
	for (unsigned int i = 0; i < FEW; i++) {
		struct check_row row =
			CHECK(close_one, NEED_TOKEN, "one is closed, the others stay", 115);
		row.a = i;
		check_add(list, row, "close/%u-of-%u", i + 1, FEW);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(operations); i++) {
		struct check_row row = CHECK(operation_goes, NEED_USER,
		                             "an operation goes with its session", 115, 163);
		row.data = &operations[i];
		check_add(list, row, "operation-goes/%s", operations[i].name);
		struct check_row apart =
			CHECK(operation_apart, NEED_USER, "sessions have operations of their own",
		              115, 162, 163);
		apart.data = &operations[i];
		check_add(list, apart, "operation-apart/%s", operations[i].name);
	}
	check_add(list, CHECK(every_slot, NEED_SLOT, "a session knows its slot", 110),
	          "every-slot");
}

static void add_objects(struct check_list *list)
{
	for (unsigned int kind = 0; kind < OBJECT_KINDS; kind++) {
		const char *name = object_name((enum object_kind)kind);
		struct check_row go = CHECK(objects_go, NEED_RW | NEED_USER,
		                            "session objects go with their session", 111, 142);
		go.a = kind;
		check_add(list, go, "objects-go/%s", name);
		struct check_row refused =
			CHECK(token_object_refused, NEED_USER | NEED_DESTRUCTIVE,
		              "a read-only session makes no token object", 22, 143);
		refused.a = kind;
		check_add(list, refused, "read-only/create/%s", name);
		refused.run = token_object_kept;
		refused.rules[0] = 143;
		refused.rules[1] = 0;
		refused.what = "a read-only session changes no token object";
		check_add(list, refused, "read-only/change/%s", name);
		struct check_row works = CHECK(session_object_works, NEED_USER,
		                               "a read-only session makes session objects", 138);
		works.a = kind;
		check_add(list, works, "read-only/session-object/%s", name);
	}
	check_add(list,
	          CHECK(token_key_refused, NEED_USER | NEED_DESTRUCTIVE,
	                "a read-only session generates no token key", 143),
	          "read-only/generate");
}

void suite_sessions(struct check_list *list)
{
	static const enum tape_function_id legacy[] = { TAPE_FN_C_GetFunctionStatus,
		                                        TAPE_FN_C_CancelFunction };
	add_opening(list);
	add_closing(list);
	add_objects(list);
	for (unsigned int s = 0; s < SITUATIONS; s++) {
		struct check_row row =
			CHECK(info_fields, NEED_TOKEN, "C_GetSessionInfo says what is", 110, 341);
		row.a = s;
		check_add(list, row, "info/%s", situations[s].name);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(legacy); i++) {
		struct check_row row =
			CHECK(not_parallel, NEED_SESSION, "no function is parallel", 10);
		row.a = legacy[i];
		check_add(list, row, "legacy/%s", tape_functions[legacy[i]].name.text);
		row.run = not_parallel_in_operation;
		check_add(list, row, "legacy/%s-in-operation", tape_functions[legacy[i]].name.text);
	}
	for (unsigned int f = 0; f < TAPE_FN_COUNT; f++) {
		struct check_row row =
			CHECK(session_first, NEED_SESSION,
		              "that the session is closed is said before all else", 13, 15, 16);
		size_t mechanism = 0;
		for (size_t i = 0; i < tape_functions[f].count; i++)
			mechanism += tape_shapes[tape_functions[f].arguments[i].kind].codec ==
			                     TAPE_C_MECHANISM ||
			             tape_functions[f].arguments[i].kind == TAPE_K_OBJECT;
		row.a = f;
		if (tape_functions[f].lane >= 0 && mechanism != 0)
			check_add(list, row, "session-first/%s", tape_functions[f].name.text);
	}
}
