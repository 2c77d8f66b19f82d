/* SPDX-License-Identifier: MIT */
#include "suites/returns.h"

#include <string.h>

#define END CK_UNAVAILABLE_INFORMATION /* is no code */

static const CK_RV *const listed[TAPE_FN_COUNT] = {
#define CK_RETURNS(function, ...) [TAPE_FN_##function] = (const CK_RV[]){ __VA_ARGS__, END },
#define CK_ONLY(...)
#include "core/api/returns.def"
#undef CK_RETURNS
#undef CK_ONLY
};

static const struct {
	CK_RV rv;
	const char *functions; /* "C_Login, C_LoginUser" */
} only[] = {
#define CK_RETURNS(...)
#define CK_ONLY(code, ...) { code, #__VA_ARGS__ },
#include "core/api/returns.def"
#undef CK_RETURNS
#undef CK_ONLY
};

static bool is_in(const CK_RV *codes, CK_RV rv)
{
	for (; codes != NULL && *codes != END; codes++)
		if (*codes == rv)
			return true;
	return false;
}

static bool has_argument(const struct tape_function *function, enum tape_kind kind)
{
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == kind)
			return true;
	return false;
}

/* PKCS#11 3.1 §5.1.1 to §5.1.3 and §5.1.6: what does not stand in the lists, or in some of them only. */
static bool is_for_all(const struct tape_function *function, CK_RV rv)
{
	static const CK_RV any[] = { CKR_OK,
		                     CKR_GENERAL_ERROR,
		                     CKR_HOST_MEMORY,
		                     CKR_FUNCTION_FAILED,
		                     CKR_OPERATION_NOT_VALIDATED,
		                     CKR_FUNCTION_NOT_SUPPORTED,
		                     CKR_CRYPTOKI_NOT_INITIALIZED,
		                     CKR_ARGUMENTS_BAD,
		                     END };
	static const CK_RV session[] = { CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, END };
	static const CK_RV token[] = { CKR_DEVICE_ERROR,          CKR_DEVICE_MEMORY,
		                       CKR_DEVICE_REMOVED,        CKR_TOKEN_NOT_PRESENT,
		                       CKR_TOKEN_NOT_INITIALIZED, END };
	bool with_session = function->lane >= 0;
	return is_in(any, rv) || (with_session && is_in(session, rv)) ||
	       ((with_session || has_argument(function, TAPE_K_SLOT)) && is_in(token, rv));
}

/* Whether `name` is one of the words of `names`. */
static bool is_word(const char *names, const struct tape_name *name)
{
	const char *at = names;
	while ((at = strstr(at, name->text)) != NULL) {
		char after = at[name->length];
		if (after == 0 || after == ',')
			return true;
		at++;
	}
	return false;
}

static bool is_foreign(const struct tape_function *function, CK_RV rv)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(only); i++)
		if (only[i].rv == rv)
			return !is_word(only[i].functions, &function->name);
	return false;
}

enum returns returns_judge(enum tape_function_id id, CK_RV rv)
{
	const struct tape_function *function = &tape_functions[id];
	if (rv == CKR_CANCEL || rv == CKR_MUTEX_BAD || rv == CKR_MUTEX_NOT_LOCKED)
		return RETURNS_CALLBACK;
	if (is_for_all(function, rv) || is_in(listed[id], rv))
		return RETURNS_LISTED;
	bool defined = tape_constant_name(TAPE_G_CKR, rv) != NULL;
	if (listed[id] == NULL && defined)
		return RETURNS_LISTED;
	if (rv == CKR_FUNCTION_NOT_PARALLEL)
		return RETURNS_PARALLEL;
	if (is_foreign(function, rv))
		return RETURNS_FOREIGN;
	if (rv >= CKR_VENDOR_DEFINED && rv <= 0xffffffff)
		return RETURNS_VENDOR;
	return defined ? RETURNS_UNLISTED : RETURNS_UNDEFINED;
}
