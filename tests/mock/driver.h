/* SPDX-License-Identifier: MIT
 *
 * What the mock's tests share: the module, loaded anew for each case, and short ways of calling it. The
 * words of P11TAPE_MOCK are the case's; MOCK_TEST_FAULT adds a fault to all of them, which the tests must then
 * notice (faults.sh); MOCK_TEST_WORDS adds other words;
 * MOCK_TEST_MODULE is what they load in its stead.
 */
#ifndef TAPE_TESTS_MOCK_DRIVER_H
#define TAPE_TESTS_MOCK_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above */
#include <cmocka.h>

#include "core/api/api.h"

extern CK_FUNCTION_LIST_3_2 *p11;

/* Say the code by its name when it is not the expected one. */
#define IS(call, code) check_code((call), (code), #call, __FILE__, __LINE__)
#define OK(call) IS(call, CKR_OK)
void check_code(CK_RV got, CK_RV expected, const char *call, const char *file, int line);

/* Load and unload; begin() is load(), C_Initialize(NULL). end() is C_Finalize and unload(). */
void load(const char *words);
void unload(void);
void begin(const char *words);
void end(void);

CK_SESSION_HANDLE open_session(CK_SLOT_ID slot, CK_FLAGS more_flags);
/* A read/write session on slot 0 with the user logged in. */
CK_SESSION_HANDLE user_session(void);
void log_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin);
CK_RV try_log_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin);

/* Templates. */
#define A_BYTES(type, text)                                            \
	{                                                              \
		type, (CK_VOID_PTR)(uintptr_t)(text), sizeof(text) - 1 \
	}
#define A_AT(type, variable)                        \
	{                                           \
		type, &(variable), sizeof(variable) \
	}
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
extern CK_BBOOL yes, no;
extern CK_OBJECT_CLASS class_data, class_secret, class_public, class_private, class_certificate;
extern CK_KEY_TYPE type_generic, type_aes, type_rsa, type_ec;

CK_OBJECT_HANDLE make_data(CK_SESSION_HANDLE session, const char *label, CK_BBOOL token,
                           CK_BBOOL private);
/* A key by C_CreateObject with all its uses, not private; `length` bytes 0, 1, 2 …. */
CK_OBJECT_HANDLE make_secret(CK_SESSION_HANDLE session, CK_KEY_TYPE type, CK_ULONG length);
CK_ULONG find_all(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count,
                  CK_OBJECT_HANDLE *found, CK_ULONG room);
CK_ULONG get_ulong(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
CK_BBOOL get_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
CK_RV set_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
               CK_BBOOL value);

#endif
