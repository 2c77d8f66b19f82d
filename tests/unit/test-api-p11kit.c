/* SPDX-License-Identifier: MIT
 *
 * Our header against that of p11-kit: every name and every layout that both have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define CRYPTOKI_COMPAT 1
#include <p11-kit/pkcs11.h>
#include <p11-kit/pkcs11x.h>

/* Types of later versions: any will do. */
typedef void *CK_ASYNC_DATA_PTR;
typedef void *CK_INTERFACE_PTR;
typedef CK_INTERFACE_PTR *CK_INTERFACE_PTR_PTR;
typedef CK_FLAGS *CK_FLAGS_PTR;
typedef CK_ULONG CK_SESSION_VALIDATION_FLAGS_TYPE;

/* The structures that this header has. */
#define HAS_CK_ATTRIBUTE HAS_IT
#define HAS_CK_MECHANISM HAS_IT
#define HAS_CK_C_INITIALIZE_ARGS HAS_IT
#define HAS_CK_FUNCTION_LIST HAS_IT
#define HAS_CK_VERSION HAS_IT
#define HAS_CK_INFO HAS_IT
#define HAS_CK_SLOT_INFO HAS_IT
#define HAS_CK_TOKEN_INFO HAS_IT
#define HAS_CK_SESSION_INFO HAS_IT
#define HAS_CK_DATE HAS_IT
#define HAS_CK_MECHANISM_INFO HAS_IT
#define HAS_CK_RSA_PKCS_OAEP_PARAMS HAS_IT
#define HAS_CK_RSA_PKCS_PSS_PARAMS HAS_IT
#define HAS_CK_ECDH1_DERIVE_PARAMS HAS_IT
#define HAS_CK_DES_CBC_ENCRYPT_DATA_PARAMS HAS_IT
#define HAS_CK_AES_CBC_ENCRYPT_DATA_PARAMS HAS_IT
#define HAS_CK_KEY_DERIVATION_STRING_DATA HAS_IT
#define HAS_CK_OTP_PARAM HAS_IT
#define HAS_CK_OTP_PARAMS HAS_IT
#define HAS_CK_OTP_SIGNATURE_INFO HAS_IT
#define HAS_CK_AES_CTR_PARAMS HAS_IT
#define HAS_CK_GCM_PARAMS HAS_IT

#include "tests/unit/api-theirs.h"

/* NSS's trust attributes under their old names; and GnuPG's header numbers five return values so. */
static const struct difference different_constants[] = {
	{ "CKA_TRUST_SERVER_AUTH", 0x62c, 0xce536358 },
	{ "CKA_TRUST_CLIENT_AUTH", 0x62d, 0xce536359 },
	{ "CKA_TRUST_CODE_SIGNING", 0x62e, 0xce53635a },
	{ "CKA_TRUST_EMAIL_PROTECTION", 0x62f, 0xce53635b },
	{ "CKA_TRUST_TIME_STAMPING", 0x631, 0xce53635f },
	{ "CKR_EXCEEDED_MAX_ITERATIONS", 0x1b5, 0x1c0 },
	{ "CKR_FIPS_SELF_TEST_FAILED", 0x1b6, 0x1c1 },
	{ "CKR_LIBRARY_LOAD_FAILED", 0x1b7, 0x1c2 },
	{ "CKR_PIN_TOO_WEAK", 0x1b8, 0x1c3 },
	{ "CKR_PUBLIC_KEY_INVALID", 0x1b9, 0x1c4 },
};

static void constants_are_equal(void **state)
{
	(void)state;
	compare_with_ours(their_constants, TAPE_ARRAY_SIZE(their_constants), different_constants,
	                  TAPE_ARRAY_SIZE(different_constants), 750);
}

static void layouts_are_equal(void **state)
{
	(void)state;
	compare_with_ours(their_layouts, TAPE_ARRAY_SIZE(their_layouts), NULL, 0, 330);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(constants_are_equal),
		cmocka_unit_test(layouts_are_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
