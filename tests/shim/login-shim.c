/* SPDX-License-Identifier: MIT
 *
 * A module for programs that ask for no PIN: LOGIN_MODULE, whose tokens say that nobody must log in, since every
 * session that is opened is logged in here, with LOGIN_PIN.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "core/api/pkcs11.h"

static CK_FUNCTION_LIST *next;
static CK_FUNCTION_LIST shown;

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_RV rv = next->C_GetTokenInfo(slot, info);
	if (rv == CKR_OK)
		info->flags &= ~(CK_FLAGS)CKF_LOGIN_REQUIRED;
	return rv;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                          CK_SESSION_HANDLE *session)
{
	CK_UTF8CHAR pin[64];
	const char *said = getenv("LOGIN_PIN");
	CK_RV rv = next->C_OpenSession(slot, flags, application, notify, session);
	if (rv == CKR_OK && said != NULL && strlen(said) < sizeof(pin)) {
		memcpy(pin, said, strlen(said));
		/* Logged in already, or a token without a user: it is as it is. */
		(void)next->C_Login(*session, CKU_USER, pin, (CK_ULONG)strlen(said));
	}
	return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	CK_C_GetFunctionList get;
	if (next == NULL) {
		const char *path = getenv("LOGIN_MODULE");
		void *module = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
		void *symbol = module == NULL ? NULL : dlsym(module, "C_GetFunctionList");
		if (symbol == NULL)
			return CKR_GENERAL_ERROR;
		memcpy(&get, &symbol, sizeof(get));
		if (get(&next) != CKR_OK)
			return CKR_GENERAL_ERROR;
		shown = *next;
		shown.C_GetTokenInfo = get_token_info;
		shown.C_OpenSession = open_session;
	}
	*list = &shown;
	return CKR_OK;
}
