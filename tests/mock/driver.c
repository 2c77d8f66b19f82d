/* SPDX-License-Identifier: MIT
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/driver.h"

CK_FUNCTION_LIST_3_2 *p11;
CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
CK_OBJECT_CLASS class_data = CKO_DATA, class_secret = CKO_SECRET_KEY, class_public = CKO_PUBLIC_KEY,
		class_private = CKO_PRIVATE_KEY, class_certificate = CKO_CERTIFICATE;
CK_KEY_TYPE type_generic = CKK_GENERIC_SECRET, type_aes = CKK_AES, type_rsa = CKK_RSA,
	    type_ec = CKK_EC;

static void *module;

static const char *code_name(CK_RV code)
{
	for (size_t i = 0; i < tape_constant_count; i++) {
		if (tape_constants[i].group == TAPE_G_CKR && tape_constants[i].value == code)
			return tape_constants[i].name.text;
	}
	return "a code without a name";
}

void check_code(CK_RV got, CK_RV expected, const char *call, const char *file, int line)
{
	if (got != expected)
		print_error("%s: %s, not %s\n", call, code_name(got), code_name(expected));
	_assert_int_equal(got, expected, file, line);
}

void load(const char *words)
{
	const char *build = getenv("P11TAPE_BUILD_DIR"), *fault = getenv("MOCK_TEST_FAULT");
	const char *other = getenv("MOCK_TEST_MODULE"), *more = getenv("MOCK_TEST_WORDS");
	char path[4096], value[1024];
	CK_C_GetInterface get;

	snprintf(value, sizeof(value), "%s,%s%s%s", more ? more : "", words, fault ? ",fault=" : "",
	         fault ? fault : "");
	setenv("P11TAPE_MOCK", value, 1);
	snprintf(path, sizeof(path), "%s/tests/p11tape-mock.so", build ? build : "build");
	module = dlopen(other ? other : path, RTLD_NOW | RTLD_LOCAL);
	if (!module)
		fail_msg("%s", dlerror());
	/* The list of 3.2 has all functions, whatever version is played. */
	*(void **)&get = dlsym(module, "C_GetInterface");
	assert_non_null(get);
	p11 = calloc(1, sizeof(*p11));
	assert_non_null(p11);
#define CK_FN(name, major, minor, ...) *(void **)&p11->name = dlsym(module, #name);
#include "core/api/functions.def"
#undef CK_FN
}

void unload(void)
{
	free(p11);
	p11 = NULL;
	dlclose(module);
}

void begin(const char *words)
{
	load(words);
	OK(p11->C_Initialize(NULL));
}

void end(void)
{
	OK(p11->C_Finalize(NULL));
	unload();
}

CK_SESSION_HANDLE open_session(CK_SLOT_ID slot, CK_FLAGS more_flags)
{
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;

	OK(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | more_flags, NULL, NULL, &session));
	return session;
}

CK_RV try_log_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin)
{
	return p11->C_Login(session, user, (CK_UTF8CHAR *)(uintptr_t)pin, strlen(pin));
}

void log_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin)
{
	OK(try_log_in(session, user, pin));
}

CK_SESSION_HANDLE user_session(void)
{
	CK_SESSION_HANDLE session = open_session(0, CKF_RW_SESSION);

	log_in(session, CKU_USER, "1234");
	return session;
}

CK_OBJECT_HANDLE make_data(CK_SESSION_HANDLE session, const char *label, CK_BBOOL token,
                           CK_BBOOL private)
{
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_data),
		                    A_AT(CKA_TOKEN, token),
		                    A_AT(CKA_PRIVATE, private),
		                    { CKA_LABEL, (CK_VOID_PTR)(uintptr_t)label, strlen(label) },
		                    A_BYTES(CKA_VALUE, "some data") };
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;

	OK(p11->C_CreateObject(session, template, COUNT(template), &object));
	return object;
}

CK_OBJECT_HANDLE make_secret(CK_SESSION_HANDLE session, CK_KEY_TYPE type, CK_ULONG length)
{
	CK_BYTE value[256];
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret),
		                    A_AT(CKA_KEY_TYPE, type),
		                    A_AT(CKA_PRIVATE, no),
		                    { CKA_VALUE, value, length },
		                    A_AT(CKA_DERIVE, yes) };
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;

	for (CK_ULONG i = 0; i < length; i++)
		value[i] = (CK_BYTE)i;
	OK(p11->C_CreateObject(session, template, COUNT(template), &object));
	return object;
}

CK_ULONG find_all(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count,
                  CK_OBJECT_HANDLE *found, CK_ULONG room)
{
	CK_ULONG number = 0;

	OK(p11->C_FindObjectsInit(session, template, count));
	OK(p11->C_FindObjects(session, found, room, &number));
	OK(p11->C_FindObjectsFinal(session));
	return number;
}

CK_ULONG get_ulong(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG value = 0;
	CK_ATTRIBUTE template = A_AT(type, value);

	OK(p11->C_GetAttributeValue(session, object, &template, 1));
	assert_int_equal(template.ulValueLen, sizeof(value));
	return value;
}

CK_BBOOL get_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL value = 7;
	CK_ATTRIBUTE template = A_AT(type, value);

	OK(p11->C_GetAttributeValue(session, object, &template, 1));
	return value;
}

CK_RV set_bool(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
               CK_BBOOL value)
{
	CK_ATTRIBUTE template = A_AT(type, value);

	return p11->C_SetAttributeValue(session, object, &template, 1);
}
