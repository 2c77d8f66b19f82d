/* SPDX-License-Identifier: MIT
 *
 * Handles, slots and pointers that mean nothing: what every function says to them (PKCS#11 3.1 §5.1). Families
 * over functions.def, by the shapes of the arguments.
 */
#include <string.h>

#include "suites/check.h"
#include "suites/objects.h"

/* ---- sessions -------------------------------------------------------------------------------- */

enum session_case { SESSION_ZERO, SESSION_UNKNOWN, SESSION_CLOSED, SESSION_CASES };

static const char *const session_names[SESSION_CASES] = { "zero", "unknown", "closed" };

static void bad_session(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	const struct tape_function *function = &tape_functions[id];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	check_arguments(c, id, words);
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
	if (c->row->b == SESSION_UNKNOWN)
		session = c->session ^ 0x55550000;
	if (c->row->b == SESSION_CLOSED) {
		session = c->session;
		NEED_OK(c, c->p11->C_CloseSession(session));
		c->session = CK_INVALID_HANDLE;
	}
	words[function->arguments[function->lane].word] = session;
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", function->name.text);
	/* The text has them "simply return" the one (§5.20), and says of no session the other. */
	if (c->row->rules[1] == 10) {
		EXPECT_CODE(c, 10, function->name.text, rv, CKR_FUNCTION_NOT_PARALLEL,
		            CKR_SESSION_HANDLE_INVALID);
		return;
	}
	/* What is wrong with other arguments may be said first by none: sessions rank above (§5.1.7). */
	EXPECT_CODE(c, c->row->rules[0], function->name.text, rv, CKR_SESSION_HANDLE_INVALID);
	if (c->row->rules[1] == 15)
		EXPECT(c, 15, rv != CKR_ARGUMENTS_BAD, "%s returned CKR_ARGUMENTS_BAD",
		       function->name.text);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static void bad_slot(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	const struct tape_function *function = &tape_functions[id];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	CK_SLOT_ID slot = 0x7ffffff0;
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	for (size_t i = 0; i < c->target->slot_count; i++)
		slot += c->target->slots[i] == slot;
	check_arguments(c, id, words);
	words[function->arguments[c->row->b].word] = slot;
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", function->name.text);
	EXPECT_CODE(c, 78, function->name.text, rv, CKR_SLOT_ID_INVALID);
}

/* ---- operations ------------------------------------------------------------------------------ */

/* What goes on with an operation that was not begun, and the rule that says what it answers then. */
static const struct {
	enum tape_function_id id;
	unsigned short rule;
} steps[] = {
	{ TAPE_FN_C_FindObjects, 255 },
	{ TAPE_FN_C_FindObjectsFinal, 255 },
	{ TAPE_FN_C_Encrypt, 163 },
	{ TAPE_FN_C_EncryptUpdate, 163 },
	{ TAPE_FN_C_EncryptFinal, 163 },
	{ TAPE_FN_C_Decrypt, 163 },
	{ TAPE_FN_C_DecryptUpdate, 163 },
	{ TAPE_FN_C_DecryptFinal, 163 },
	{ TAPE_FN_C_Digest, 163 },
	{ TAPE_FN_C_DigestUpdate, 163 },
	{ TAPE_FN_C_DigestKey, 163 },
	{ TAPE_FN_C_DigestFinal, 163 },
	{ TAPE_FN_C_Sign, 163 },
	{ TAPE_FN_C_SignUpdate, 163 },
	{ TAPE_FN_C_SignFinal, 163 },
	{ TAPE_FN_C_SignRecover, 163 },
	{ TAPE_FN_C_Verify, 163 },
	{ TAPE_FN_C_VerifyUpdate, 163 },
	{ TAPE_FN_C_VerifyFinal, 163 },
	{ TAPE_FN_C_VerifyRecover, 163 },
	{ TAPE_FN_C_DigestEncryptUpdate, 181 },
	{ TAPE_FN_C_DecryptDigestUpdate, 181 },
	{ TAPE_FN_C_SignEncryptUpdate, 181 },
	{ TAPE_FN_C_DecryptVerifyUpdate, 181 },
	{ TAPE_FN_C_GetOperationState, 147 },
	{ TAPE_FN_C_EncryptMessage, 163 },
	{ TAPE_FN_C_EncryptMessageBegin, 163 },
	{ TAPE_FN_C_EncryptMessageNext, 188 },
	{ TAPE_FN_C_MessageEncryptFinal, 163 },
	{ TAPE_FN_C_DecryptMessage, 163 },
	{ TAPE_FN_C_DecryptMessageBegin, 163 },
	{ TAPE_FN_C_DecryptMessageNext, 188 },
	{ TAPE_FN_C_MessageDecryptFinal, 163 },
	{ TAPE_FN_C_SignMessage, 163 },
	{ TAPE_FN_C_SignMessageBegin, 163 },
	{ TAPE_FN_C_SignMessageNext, 188 },
	{ TAPE_FN_C_MessageSignFinal, 163 },
	{ TAPE_FN_C_VerifyMessage, 163 },
	{ TAPE_FN_C_VerifyMessageBegin, 163 },
	{ TAPE_FN_C_VerifyMessageNext, 188 },
	{ TAPE_FN_C_MessageVerifyFinal, 163 },
	{ TAPE_FN_C_VerifySignature, 163 },
	{ TAPE_FN_C_VerifySignatureUpdate, 163 },
	{ TAPE_FN_C_VerifySignatureFinal, 163 },
};

static bool is_step(enum tape_function_id id)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(steps); i++)
		if (steps[i].id == id)
			return true;
	return false;
}

static void no_operation(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	check_arguments(c, id, words);
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", tape_functions[id].name.text);
	EXPECT_CODE(c, c->row->rules[0], tape_functions[id].name.text, rv,
	            CKR_OPERATION_NOT_INITIALIZED);
}

/* ---- objects --------------------------------------------------------------------------------- */

/* The code that stands for a bad handle, by what the argument is for (§5.1.6). */
static CK_RV bad_object_code(const struct tape_argument *argument)
{
	static const struct {
		const char *name;
		CK_RV rv;
	} names[] = {
		{ "hObject", CKR_OBJECT_HANDLE_INVALID },
		{ "hWrappingKey", CKR_WRAPPING_KEY_HANDLE_INVALID },
		{ "hUnwrappingKey", CKR_UNWRAPPING_KEY_HANDLE_INVALID },
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(names); i++)
		if (strcmp(names[i].name, argument->key.text) == 0)
			return names[i].rv;
	return CKR_KEY_HANDLE_INVALID;
}

/* A mechanism that the function takes, so that its key is what is wrong. */
static CK_MECHANISM_TYPE usable_mechanism(const struct check *c, enum tape_function_id id)
{
	static const struct {
		enum tape_function_id id;
		CK_FLAGS flag;
		CK_MECHANISM_TYPE candidates[4];
	} functions[] = {
		{ TAPE_FN_C_EncryptInit, CKF_ENCRYPT, { CKM_AES_ECB, CKM_RSA_PKCS, CKM_DES3_ECB } },
		{ TAPE_FN_C_DecryptInit, CKF_DECRYPT, { CKM_AES_ECB, CKM_RSA_PKCS, CKM_DES3_ECB } },
		{ TAPE_FN_C_SignInit, CKF_SIGN, { CKM_RSA_PKCS, CKM_ECDSA, CKM_SHA256_HMAC } },
		{ TAPE_FN_C_VerifyInit, CKF_VERIFY, { CKM_RSA_PKCS, CKM_ECDSA, CKM_SHA256_HMAC } },
		{ TAPE_FN_C_SignRecoverInit, CKF_SIGN_RECOVER, { CKM_RSA_PKCS, CKM_RSA_X_509 } },
		{ TAPE_FN_C_VerifyRecoverInit,
		  CKF_VERIFY_RECOVER,
		  { CKM_RSA_PKCS, CKM_RSA_X_509 } },
		{ TAPE_FN_C_WrapKey, CKF_WRAP, { CKM_AES_KEY_WRAP, CKM_RSA_PKCS, CKM_AES_ECB } },
		{ TAPE_FN_C_UnwrapKey,
		  CKF_UNWRAP,
		  { CKM_AES_KEY_WRAP, CKM_RSA_PKCS, CKM_AES_ECB } },
		{ TAPE_FN_C_DeriveKey,
		  CKF_DERIVE,
		  { CKM_SHA256_KEY_DERIVATION, CKM_ECDH1_DERIVE } },
	};
	for (size_t f = 0; f < TAPE_ARRAY_SIZE(functions); f++)
		for (size_t i = 0; functions[f].id == id && i < 4; i++) {
			CK_MECHANISM_TYPE type = functions[f].candidates[i];
			const CK_MECHANISM_INFO *info = target_mechanism(c->target, type);
			if (type != 0 && info != NULL && (info->flags & functions[f].flag) != 0)
				return type;
		}
	return CK_UNAVAILABLE_INFORMATION;
}

static bool takes_mechanism(const struct tape_function *function, size_t *ret_index)
{
	for (size_t i = 0; i < function->count; i++)
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_MECHANISM) {
			*ret_index = i;
			return true;
		}
	return false;
}

static const CK_OBJECT_HANDLE bad_objects[] = { CK_INVALID_HANDLE, 0x7ffffff1 };
static const char *const bad_object_names[] = { "zero", "unknown" };

/* Handles of objects belong to a token (§3.4.1): the number may be an object there, but not this one. */
static void object_of_other_slot(struct check *c)
{
	CK_BYTE label[sizeof(OBJECT_LABEL)];
	CK_ULONG size;
	CK_OBJECT_HANDLE object = object_make(c, OBJECT_DATA);
	c->session = check_open_elsewhere(c);
	CK_RV rv = object_read(c, object, CKA_LABEL, label, sizeof(label), &size);
	EXPECT(c, 236,
	       rv != CKR_OK || size != strlen(OBJECT_LABEL) ||
	               memcmp(label, OBJECT_LABEL, size) != 0,
	       "a session with another token reads the object");
}

static void bad_object(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	const struct tape_function *function = &tape_functions[id];
	const struct tape_argument *argument = &function->arguments[c->row->b];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	size_t index;
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	check_arguments(c, id, words);
	if (takes_mechanism(function, &index)) {
		CK_MECHANISM *mechanism = (CK_MECHANISM *)words[function->arguments[index].word];
		mechanism->mechanism = usable_mechanism(c, id);
		if (mechanism->mechanism == CK_UNAVAILABLE_INFORMATION)
			check_skip(c, "no mechanism of the token's is known for %s",
			           function->name.text);
	}
	/* The other objects that it takes are good ones. */
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OBJECT && i != c->row->b)
			words[function->arguments[i].word] = object_make(
				c, usable_mechanism(c, id) == CKM_RSA_PKCS ? OBJECT_RSA_PUBLIC
									   : OBJECT_AES);
	words[argument->word] = bad_objects[c->row->d];
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", function->name.text);
	CK_RV expected = bad_object_code(argument);
	/* What was to be unwrapped is no key either, and may be looked at first (§5.1.7). */
	if (rv == CKR_WRAPPED_KEY_LEN_RANGE || rv == CKR_WRAPPED_KEY_INVALID)
		check_skip(c, "%s looks at the wrapped key first: %s", function->name.text,
		           check_rv_name(rv));
	EXPECT_CODE(c, c->row->rules[0], function->name.text, rv, expected);
}

/* ---- pointers -------------------------------------------------------------------------------- */

/* A pointer that the function cannot do without: it writes a number or a structure there, or reads one. */
static bool is_needed(const struct tape_argument *argument)
{
	switch ((enum tape_codec)tape_shapes[argument->kind].codec) {
	case TAPE_C_NUMBER_AT:
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		return true;
	case TAPE_C_STRUCT:
		/* C_GetInterface's version may be NULL. */
		return argument->kind != TAPE_K_VERSION;
	default:
		return false;
	}
}

static void null_pointer(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	const struct tape_function *function = &tape_functions[id];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	check_arguments(c, id, words);
	words[function->arguments[c->row->b].word] = 0;
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", function->name.text);
	/* Something else may be wrong as well, and be said; that all was well may not. */
	EXPECT(c, 314, rv != CKR_OK, "%s with %s NULL returned CKR_OK", function->name.text,
	       function->arguments[c->row->b].key.text);
	if (rv != CKR_ARGUMENTS_BAD)
		check_note(c, "%s with %s NULL returned %s", function->name.text,
		           function->arguments[c->row->b].key.text, check_rv_name(rv));
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add_session_checks(struct check_list *list, enum tape_function_id id)
{
	for (unsigned int which = 0; which < SESSION_CASES; which++) {
		struct check_row row =
			CHECK(bad_session, NEED_SESSION, "a session that is none is refused", 115);
		row.a = id;
		row.b = which;
		row.rules[0] = which == SESSION_ZERO ? 108 : 115;
		row.rules[1] = id == TAPE_FN_C_GetFunctionStatus || id == TAPE_FN_C_CancelFunction
		                       ? 10
		                       : 15;
		check_add(list, row, "session-%s/%s", session_names[which],
		          tape_functions[id].name.text);
	}
}

static void add_argument_checks(struct check_list *list, enum tape_function_id id, size_t index)
{
	const struct tape_function *function = &tape_functions[id];
	const struct tape_argument *argument = &function->arguments[index];
	struct check_row row = { .a = id, .b = index };
	if (argument->kind == TAPE_K_SLOT) {
		row.run = bad_slot;
		row.needs = NEED_INIT;
		row.rules[0] = 78;
		row.what = "a slot that is none is refused";
		check_add(list, row, "slot/%s", function->name.text);
	}
	for (unsigned int which = 0; argument->kind == TAPE_K_OBJECT && which < 2; which++) {
		bool keeps = strcmp(argument->key.text, "hEncryptionKey") == 0 ||
		             strcmp(argument->key.text, "hAuthenticationKey") == 0;
		/* 0 is a good value there; and what needs an operation is asked with one elsewhere. */
		if (keeps || is_step(id))
			continue;
		CK_RV rv = bad_object_code(argument);
		row.run = bad_object;
		row.needs = NEED_RW | NEED_USER;
		row.rules[0] = rv == CKR_OBJECT_HANDLE_INVALID ? 236
		               : rv == CKR_KEY_HANDLE_INVALID  ? 177
		                                               : 267;
		row.d = which;
		row.what = "an object that is none is refused";
		check_add(list, row, "object-%s/%s-%s", bad_object_names[which],
		          function->name.text, argument->key.text);
	}
	if (is_needed(argument)) {
		row.run = null_pointer;
		row.needs = NEED_SESSION;
		row.rules[0] = 314;
		row.what = "a NULL pointer is refused where memory is needed";
		check_add(list, row, "null/%s-%s", function->name.text, argument->key.text);
	}
}

void suite_handles(struct check_list *list)
{
	for (unsigned int f = 0; f < TAPE_FN_COUNT; f++) {
		enum tape_function_id id = (enum tape_function_id)f;
		if (tape_functions[f].lane >= 0)
			add_session_checks(list, id);
		for (size_t i = 0; i < tape_functions[f].count; i++)
			add_argument_checks(list, id, i);
	}
	check_add(list,
	          CHECK(object_of_other_slot, NEED_SESSION,
	                "an object of one token is none of another's", 236),
	          "object-of-other-slot");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(steps); i++) {
		struct check_row row = CHECK(no_operation, NEED_USER,
		                             "without an operation that was begun it says so", 163);
		row.a = steps[i].id;
		row.rules[0] = steps[i].rule;
		check_add(list, row, "no-operation/%s", tape_functions[steps[i].id].name.text);
	}
}
