/* SPDX-License-Identifier: MIT
 *
 * Asynchronous calls (PKCS#11 3.2 §5.21), with P11TAPE_MOCK=async: the work is done at once, but a session
 * of CKF_ASYNC_SESSION learns it from C_AsyncComplete, which answers CKR_PENDING the first time.
 */
#ifndef TAPE_TESTS_MOCK_ASYNC_H
#define TAPE_TESTS_MOCK_ASYNC_H

#include "tests/mock/mock.h"

/* What a function answers that has written `rv` and its output: CKR_PENDING, or rv where it is not async. */
CK_RV async_bytes(struct session *session, const char *function, CK_RV rv, CK_BYTE *to,
                  CK_ULONG *to_length);

/* The same for new objects; the second pointer may be NULL. */
CK_RV async_keys(struct session *session, const char *function, CK_OBJECT_HANDLE first,
                 CK_OBJECT_HANDLE second, CK_OBJECT_HANDLE *ret_first,
                 CK_OBJECT_HANDLE *ret_second);

/* Forget what is pending. */
void async_drop(struct session *session);

#endif
