/* SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "tests/mock/async.h"

struct pending {
	const char *function;
	bool asked; /* C_AsyncComplete was called once */
	CK_RV rv;
	CK_BYTE *value;
	CK_ULONG length;
	CK_OBJECT_HANDLE object, additional;
};

void async_drop(struct session *session)
{
	free(session->pending);
	session->pending = NULL;
}

static bool is_async(const struct session *session)
{
	return (session->flags & CKF_ASYNC_SESSION) || FAULT(pending_in_any_session);
}

static struct pending *begin(struct session *session, const char *function, CK_RV rv)
{
	async_drop(session);
	session->pending = calloc(1, sizeof(*session->pending));
	if (session->pending) {
		session->pending->function = function;
		session->pending->rv = rv;
	}
	return session->pending;
}

CK_RV async_bytes(struct session *session, const char *function, CK_RV rv, CK_BYTE *to,
                  CK_ULONG *to_length)
{
	struct pending *pending;

	/* A buffer too small is said at once, and a length query is no work (§5.21.1). */
	if (!is_async(session) || rv == CKR_BUFFER_TOO_SMALL || !to || rv == CKR_ARGUMENTS_BAD ||
	    rv == CKR_OPERATION_NOT_INITIALIZED)
		return rv;
	pending = begin(session, function, rv);
	if (!pending)
		return CKR_HOST_MEMORY;
	pending->value = to;
	pending->length = *to_length;
	return CKR_PENDING;
}

CK_RV async_keys(struct session *session, const char *function, CK_OBJECT_HANDLE first,
                 CK_OBJECT_HANDLE second, CK_OBJECT_HANDLE *ret_first, CK_OBJECT_HANDLE *ret_second)
{
	struct pending *pending;

	if (!is_async(session)) {
		*ret_first = first;
		if (ret_second)
			*ret_second = second;
		return CKR_OK;
	}
	pending = begin(session, function, CKR_OK);
	if (!pending)
		return CKR_HOST_MEMORY;
	pending->object = first;
	pending->additional = second;
	return CKR_PENDING;
}

CK_RV mock_C_AsyncComplete(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName,
                           CK_ASYNC_DATA_PTR pResult)
{
	struct session *session = session_find(hSession);
	struct pending *pending = session->pending;
	CK_RV rv;

	if (!pFunctionName)
		return CKR_ARGUMENTS_BAD;
	if (!pending || strcmp(pending->function, (const char *)pFunctionName) != 0)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (!pending->asked) {
		pending->asked = true;
		if (FAULT(pending_writes_result) && pResult)
			memset(pResult, 0, sizeof(*pResult));
		return CKR_PENDING;
	}
	/* The version is the caller's to say (§5.21.1). */
	if (!pResult || pResult->ulVersion != 0)
		return CKR_ARGUMENTS_BAD;
	pResult->pValue = pending->value;
	pResult->ulValue = pending->length;
	pResult->hObject = pending->object;
	pResult->hAdditionalObject = pending->additional;
	rv = pending->rv;
	async_drop(session);
	return rv;
}

CK_RV mock_C_AsyncGetID(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName,
                        CK_ULONG_PTR pulID)
{
	const struct pending *pending = session_find(hSession)->pending;

	if (!pFunctionName || !pulID)
		return CKR_ARGUMENTS_BAD;
	if (!pending || strcmp(pending->function, (const char *)pFunctionName) != 0)
		return CKR_OPERATION_NOT_INITIALIZED;
	/* Nothing outlives its session here. */
	return CKR_STATE_UNSAVEABLE;
}

CK_RV mock_C_AsyncJoin(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName, CK_ULONG ulID,
                       CK_BYTE_PTR pData, CK_ULONG ulData)
{
	(void)hSession;
	(void)ulID;
	if (!pFunctionName || (!pData && ulData > 0))
		return CKR_ARGUMENTS_BAD;
	return CKR_SAVED_STATE_INVALID; /* C_AsyncGetID gave no such ID */
}
