/* SPDX-License-Identifier: MIT
 *
 * Ending an operation before its time: C_SessionCancel (PKCS#11 3.1 §5.6.5) and the Init functions with a NULL
 * mechanism (§5.8.1 and others).
 */
#include <string.h>

#include "suites/check.h"
#include "suites/objects.h"

static const struct operation {
	const char *name;
	CK_FLAGS flag;
	enum tape_function_id init, step;
	CK_MECHANISM_TYPE mechanism; /* 0: a search */
	enum object_kind key;        /* OBJECT_KINDS: none */
} operations[] = {
	{ "find", CKF_FIND_OBJECTS, TAPE_FN_C_FindObjectsInit, TAPE_FN_C_FindObjects, 0,
	  OBJECT_KINDS },
	{ "encrypt", CKF_ENCRYPT, TAPE_FN_C_EncryptInit, TAPE_FN_C_EncryptUpdate, CKM_AES_ECB,
	  OBJECT_AES },
	{ "decrypt", CKF_DECRYPT, TAPE_FN_C_DecryptInit, TAPE_FN_C_DecryptUpdate, CKM_AES_ECB,
	  OBJECT_AES },
	{ "digest", CKF_DIGEST, TAPE_FN_C_DigestInit, TAPE_FN_C_DigestUpdate, CKM_SHA256,
	  OBJECT_KINDS },
	{ "sign", CKF_SIGN, TAPE_FN_C_SignInit, TAPE_FN_C_SignUpdate, CKM_SHA256_HMAC,
	  OBJECT_SECRET },
	{ "verify", CKF_VERIFY, TAPE_FN_C_VerifyInit, TAPE_FN_C_VerifyUpdate, CKM_SHA256_HMAC,
	  OBJECT_SECRET },
	{ "sign-recover", CKF_SIGN_RECOVER, TAPE_FN_C_SignRecoverInit, TAPE_FN_C_SignRecover,
	  CKM_RSA_PKCS, OBJECT_RSA_PRIVATE },
	{ "verify-recover", CKF_VERIFY_RECOVER, TAPE_FN_C_VerifyRecoverInit,
	  TAPE_FN_C_VerifyRecover, CKM_RSA_PKCS, OBJECT_RSA_PUBLIC },
	{ "message-sign", CKF_MESSAGE_SIGN, TAPE_FN_C_MessageSignInit, TAPE_FN_C_SignMessage,
	  CKM_SHA256_HMAC, OBJECT_SECRET },
	{ "message-verify", CKF_MESSAGE_VERIFY, TAPE_FN_C_MessageVerifyInit,
	  TAPE_FN_C_VerifyMessage, CKM_SHA256_HMAC, OBJECT_SECRET },
	{ "message-encrypt", CKF_MESSAGE_ENCRYPT, TAPE_FN_C_MessageEncryptInit,
	  TAPE_FN_C_EncryptMessageBegin, CKM_AES_GCM, OBJECT_AES },
	{ "message-decrypt", CKF_MESSAGE_DECRYPT, TAPE_FN_C_MessageDecryptInit,
	  TAPE_FN_C_DecryptMessageBegin, CKM_AES_GCM, OBJECT_AES },
};

#define ALL_FLAGS                                                                                  \
	(CKF_FIND_OBJECTS | CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_SIGN_RECOVER | \
	 CKF_VERIFY | CKF_VERIFY_RECOVER | CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT |             \
	 CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY)

static CK_OBJECT_HANDLE key_for(struct check *c, const struct operation *operation)
{
	return operation->key == OBJECT_KINDS ? CK_INVALID_HANDLE : object_make(c, operation->key);
}

static CK_RV init(struct check *c, const struct operation *operation, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM mechanism = { operation->mechanism, NULL, 0 };
	uintptr_t words[TAPE_MAX_WORDS] = { c->session, (uintptr_t)&mechanism, key };
	if (operation->mechanism == 0)
		return c->p11->C_FindObjectsInit(c->session, NULL, 0);
	return check_call(c, operation->init, words);
}

/*
 * Whether the operation is active: a step of it says anything but CKR_OPERATION_NOT_INITIALIZED. What else is
 * wrong with the step is no matter here.
 */
static bool is_active(struct check *c, const struct operation *operation)
{
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	check_arguments(c, operation->step, words);
	return check_call(c, operation->step, words) != CKR_OPERATION_NOT_INITIALIZED;
}

/* Where a step without an operation says something else nobody can tell whether there is one. */
static void need_telling(struct check *c, const struct operation *operation)
{
	if (check_function(c, operation->step) == NULL)
		check_skip(c, "the module has no function list with it");
	if (is_active(c, operation))
		check_skip(c, "%s without an operation does not say so",
		           tape_functions[operation->step].name.text);
}

/* Begin the operation; skips where the token does not offer it. Returns the key. */
static CK_OBJECT_HANDLE begin(struct check *c, const struct operation *operation)
{
	if (operation->mechanism != 0) {
		const CK_MECHANISM_INFO *info = target_mechanism(c->target, operation->mechanism);
		if (info == NULL || (info->flags & operation->flag) == 0)
			check_skip(c, "the token has no %s for it",
			           check_mechanism_name(operation->mechanism));
	}
	need_telling(c, operation);
	CK_OBJECT_HANDLE key = key_for(c, operation);
	CK_RV rv = init(c, operation, key);
	if (rv != CKR_OK)
		check_skip(c, "%s returned %s", tape_functions[operation->init].name.text,
		           check_rv_name(rv));
	return key;
}

static CK_RV cancel(struct check *c, CK_FLAGS flags)
{
	CK_RV rv = c->p30->C_SessionCancel(c->session, flags);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SessionCancel is not supported");
	return rv;
}

/* ---- C_SessionCancel --------------------------------------------------------------------------------- */

static void cancel_nothing(struct check *c)
{
	const struct operation *operation = c->row->data;
	begin(c, operation);
	EXPECT_CODE(c, 154, "C_SessionCancel", cancel(c, 0), CKR_OK);
	EXPECT(c, 154, is_active(c, operation), "C_SessionCancel with no flag ends the operation");
}

static void cancel_others(struct check *c)
{
	const struct operation *operation = c->row->data;
	begin(c, operation);
	EXPECT_CODE(c, 155, "C_SessionCancel", cancel(c, ALL_FLAGS & ~operation->flag), CKR_OK);
	EXPECT(c, 155, is_active(c, operation),
	       "C_SessionCancel of all other operations ends this one");
}

static void cancel_it(struct check *c)
{
	const struct operation *operation = c->row->data;
	CK_OBJECT_HANDLE key = begin(c, operation);
	CK_FLAGS flags = c->row->b == 0 ? operation->flag : ALL_FLAGS;
	CK_RV rv = cancel(c, flags);
	EXPECT_CODE(c, 156, "C_SessionCancel", rv, CKR_OK, CKR_OPERATION_CANCEL_FAILED);
	if (rv == CKR_OPERATION_CANCEL_FAILED && c->row->b == 1) {
		check_note(c, "of all operations not all can be cancelled; this one is %s active",
		           is_active(c, operation) ? "still" : "not");
		return;
	}
	if (rv == CKR_OPERATION_CANCEL_FAILED) {
		EXPECT(c, 156, is_active(c, operation),
		       "C_SessionCancel returned CKR_OPERATION_CANCEL_FAILED, and the operation is "
		       "not active any more");
		check_note(c, "the operation cannot be cancelled");
		return;
	}
	EXPECT(c, 156, !is_active(c, operation),
	       "C_SessionCancel returned CKR_OK, and the operation is still active");
	if (operation->mechanism == 0)
		EXPECT(c, 160, !is_active(c, operation),
		       "CKF_FIND_OBJECTS does not end the search");
	EXPECT_CODE(c, 156, tape_functions[operation->init].name.text, init(c, operation, key),
	            CKR_OK);
}

static void cancel_idle(struct check *c)
{
	EXPECT_CODE(c, 155, "C_SessionCancel", cancel(c, ALL_FLAGS), CKR_OK);
	CK_SESSION_INFO info;
	EXPECT_RV(c, 155, c->p11->C_GetSessionInfo(c->session, &info), CKR_OK);
}

static void cancel_half(struct check *c)
{
	const struct operation *encrypt = &operations[1], *digest = &operations[3];
	const struct operation *one = c->row->a == 0 ? encrypt : digest;
	const struct operation *other = c->row->a == 0 ? digest : encrypt;
	begin(c, encrypt);
	CK_RV rv = init(c, digest, CK_INVALID_HANDLE);
	if (rv != CKR_OK)
		check_skip(c, "two operations at once cannot be: %s", check_rv_name(rv));
	rv = cancel(c, one->flag);
	EXPECT_CODE(c, 158, "C_SessionCancel", rv, CKR_OK, CKR_OPERATION_CANCEL_FAILED);
	EXPECT(c, 158, is_active(c, other), "C_SessionCancel of the %s operation ends the %s one",
	       one->name, other->name);
	if (rv == CKR_OK)
		EXPECT(c, 158, !is_active(c, one),
		       "C_SessionCancel returned CKR_OK, and the operation is still active");
}

static void cancel_other_session(struct check *c)
{
	const struct operation *operation = &operations[0];
	begin(c, operation);
	CK_SESSION_HANDLE session = c->session;
	c->session = check_open(c, 0);
	EXPECT_CODE(c, 155, "C_SessionCancel", cancel(c, ALL_FLAGS), CKR_OK);
	c->session = session;
	EXPECT(c, 155, is_active(c, operation),
	       "C_SessionCancel ends an operation of another session");
}

static void cancel_unknown(struct check *c)
{
	const struct operation *operation = &operations[0];
	begin(c, operation);
	CK_RV rv = cancel(c, 0x40000000);
	EXPECT(c, 155, is_active(c, operation),
	       "C_SessionCancel with a flag that means nothing ends a search");
	check_note(c, "C_SessionCancel with a flag that means nothing returned %s",
	           check_rv_name(rv));
}

/* ---- from a callback --------------------------------------------------------------------------------- */

static struct caller {
	struct check *c;
	CK_RV rv;
	unsigned int calls;
} caller;

static CK_RV cancel_inside(CK_SESSION_HANDLE session, CK_NOTIFICATION event,
                           CK_VOID_PTR application)
{
	struct caller *me = application;
	(void)event;
	me->calls++;
	me->rv = me->c->p30->C_SessionCancel(session, ALL_FLAGS);
	return CKR_OK;
}

static void cancel_in_callback(struct check *c)
{
	static CK_BYTE data[4096], digest[64];
	CK_ULONG size = sizeof(digest);
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	CK_SESSION_HANDLE session;
	caller.c = c;
	NEED_OK(c, c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, &caller, cancel_inside,
	                                 &session));
	NEED_OK(c, c->p11->C_DigestInit(session, &mechanism));
	CK_RV rv = CKR_OK;
	for (int i = 0; i < 100 && rv == CKR_OK; i++)
		rv = c->p11->C_DigestUpdate(session, data, sizeof(data));
	if (rv == CKR_OK)
		rv = c->p11->C_DigestFinal(session, digest, &size);
	if (caller.calls == 0)
		check_skip(c, "the module calls no callback in a digest operation");
	if (caller.rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SessionCancel is not supported");
	EXPECT_CODE(c, 157, "C_SessionCancel", caller.rv, CKR_FUNCTION_FAILED);
	EXPECT_CODE(c, 157, "C_DigestFinal", rv, CKR_OK);
}

/* ---- a NULL mechanism -------------------------------------------------------------------------------- */

static const struct initializer {
	enum tape_function_id id;
	const struct operation *operation; /* that it begins; NULL where none here does */
} initializers[] = {
	{ TAPE_FN_C_EncryptInit, &operations[1] },
	{ TAPE_FN_C_DecryptInit, &operations[2] },
	{ TAPE_FN_C_DigestInit, &operations[3] },
	{ TAPE_FN_C_SignInit, &operations[4] },
	{ TAPE_FN_C_VerifyInit, &operations[5] },
	{ TAPE_FN_C_SignRecoverInit, &operations[6] },
	{ TAPE_FN_C_VerifyRecoverInit, &operations[7] },
	{ TAPE_FN_C_MessageSignInit, &operations[8] },
	{ TAPE_FN_C_MessageVerifyInit, &operations[9] },
	{ TAPE_FN_C_MessageEncryptInit, &operations[10] },
	{ TAPE_FN_C_MessageDecryptInit, &operations[11] },
	{ TAPE_FN_C_VerifySignatureInit, NULL },
};

static CK_RV init_null(struct check *c, enum tape_function_id id, CK_OBJECT_HANDLE key)
{
	const struct tape_function *function = &tape_functions[id];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	check_arguments(c, id, words);
	for (size_t i = 0; i < function->count; i++) {
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_MECHANISM)
			words[function->arguments[i].word] = 0;
		if (function->arguments[i].kind == TAPE_K_OBJECT)
			words[function->arguments[i].word] = key;
	}
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", function->name.text);
	return rv;
}

/* In 2.40 it means nothing, and must do nothing; later it cancels what is active. */
static void null_active(struct check *c)
{
	const struct initializer *initializer = c->row->data;
	const struct operation *operation = initializer->operation;
	if (operation == NULL || check_function(c, initializer->id) == NULL)
		check_skip(c, "the module has no function list with it");
	CK_OBJECT_HANDLE key = begin(c, operation);
	CK_RV rv = init_null(c, initializer->id, key);
	bool active = is_active(c, operation);
	if (c->target->spec < SPEC(3, 0)) {
		EXPECT(c, 161, rv != CKR_OK || !active,
		       "%s with a NULL mechanism returned CKR_OK, and changed nothing",
		       tape_functions[initializer->id].name.text);
		if (rv == CKR_OK)
			check_note(c, "a NULL mechanism cancels, as in PKCS#11 3.0");
		else if (!active)
			check_note(c,
			           "a NULL mechanism is refused with %s, and the operation ended",
			           check_rv_name(rv));
		return;
	}
	EXPECT_CODE(c, 159, tape_functions[initializer->id].name.text, rv, CKR_OK,
	            CKR_OPERATION_CANCEL_FAILED);
	EXPECT(c, 159, active == (rv != CKR_OK),
	       "%s with a NULL mechanism returned %s, and the operation is %s active",
	       tape_functions[initializer->id].name.text, check_rv_name(rv),
	       active ? "still" : "not");
	if (rv == CKR_OK)
		EXPECT_CODE(c, 159, tape_functions[initializer->id].name.text,
		            init(c, operation, key), CKR_OK);
}

/* Without anything to cancel nothing is said of what comes; nothing is begun by it in any case. */
static void null_idle(struct check *c)
{
	const struct initializer *initializer = c->row->data;
	if (initializer->operation != NULL)
		need_telling(c, initializer->operation);
	CK_RV rv = init_null(c, initializer->id, CK_INVALID_HANDLE);
	unsigned int rule = c->row->rules[0];
	EXPECT(c, rule, rv != CKR_OPERATION_ACTIVE,
	       "%s with a NULL mechanism, and nothing active, returned CKR_OPERATION_ACTIVE",
	       tape_functions[initializer->id].name.text);
	if (initializer->operation != NULL)
		EXPECT(c, rule, !is_active(c, initializer->operation),
		       "%s with a NULL mechanism begins an operation",
		       tape_functions[initializer->id].name.text);
	check_note(c, "with nothing active it returned %s", check_rv_name(rv));
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add_session_cancel(struct check_list *list)
{
	static const struct {
		const char *name, *what;
		void (*run)(struct check *c);
		unsigned short rule;
		unsigned int variant;
	} members[] = {
		{ "nothing", "without a flag nothing is cancelled", cancel_nothing, 154, 0 },
		{ "others", "flags of what is not active are ignored", cancel_others, 155, 0 },
		{ "it", "the operation is cancelled, or that fails", cancel_it, 156, 0 },
		{ "all", "so it is with all flags", cancel_it, 156, 1 },
	};
	for (size_t m = 0; m < TAPE_ARRAY_SIZE(members); m++)
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(operations); i++) {
			struct check_row row = { .run = members[m].run,
				                 .needs = NEED_RW | NEED_USER | NEED_V30,
				                 .what = members[m].what,
				                 .b = members[m].variant,
				                 .data = &operations[i] };
			row.rules[0] = members[m].rule;
			row.rules[1] = members[m].rule == 156 ? 160 : 0;
			check_add(list, row, "%s/%s", members[m].name, operations[i].name);
		}
	check_add(list,
	          CHECK(cancel_idle, NEED_SESSION | NEED_V30,
	                "where nothing is active nothing is cancelled", 155),
	          "idle");
	for (unsigned int half = 0; half < 2; half++) {
		struct check_row row = CHECK(cancel_half, NEED_RW | NEED_USER | NEED_V30,
		                             "one half of two operations is cancelled alone", 158);
		row.a = half;
		check_add(list, row, "half/%s", half == 0 ? "encrypt" : "digest");
	}
	check_add(list,
	          CHECK(cancel_other_session, NEED_SESSION | NEED_V30, "other sessions go on", 155),
	          "other-session");
	check_add(list,
	          CHECK(cancel_unknown, NEED_SESSION | NEED_V30, "a flag that means nothing", 155),
	          "unknown-flag");
	check_add(list,
	          CHECK(cancel_in_callback, NEED_SESSION | NEED_V30,
	                "from inside a callback nothing is cancelled", 157),
	          "in-callback");
}

void suite_cancel(struct check_list *list)
{
	add_session_cancel(list);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(initializers); i++) {
		const char *name = tape_functions[initializers[i].id].name.text;
		struct check_row row = CHECK(null_active, NEED_RW | NEED_USER,
		                             "a NULL mechanism cancels, or is refused", 159, 161);
		row.data = &initializers[i];
		if (initializers[i].operation != NULL)
			check_add(list, row, "null-active/%s", name);
		row.run = null_idle;
		row.what = "a NULL mechanism begins nothing";
		check_add(list, row, "null-idle/%s", name);
	}
}
