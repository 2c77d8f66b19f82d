/* SPDX-License-Identifier: MIT */
#include "suites/active.h"

#include "suites/objects.h"

const struct active active_operations[ACTIVE_COUNT] = {
	{ "find", 0, TAPE_FN_C_FindObjectsInit, TAPE_FN_C_FindObjects },
	{ "digest", CKM_SHA256, TAPE_FN_C_DigestInit, TAPE_FN_C_DigestUpdate },
	{ "encrypt", CKM_AES_ECB, TAPE_FN_C_EncryptInit, TAPE_FN_C_EncryptUpdate },
	{ "decrypt", CKM_AES_ECB, TAPE_FN_C_DecryptInit, TAPE_FN_C_DecryptUpdate },
	{ "sign", CKM_SHA256_HMAC, TAPE_FN_C_SignInit, TAPE_FN_C_SignUpdate },
	{ "verify", CKM_SHA256_HMAC, TAPE_FN_C_VerifyInit, TAPE_FN_C_VerifyUpdate },
};

CK_RV active_begin(struct check *c, const struct active *operation)
{
	CK_MECHANISM mechanism = { operation->mechanism, NULL, 0 };
	if (operation->mechanism == 0)
		return c->p11->C_FindObjectsInit(c->session, NULL, 0);
	if (target_mechanism(c->target, operation->mechanism) == NULL)
		check_skip(c, "the token has no %s", check_mechanism_name(operation->mechanism));
	CK_OBJECT_HANDLE key = operation->mechanism == CKM_AES_ECB ? object_make(c, OBJECT_AES)
	                       : operation->mechanism == CKM_SHA256_HMAC
	                               ? object_make(c, OBJECT_SECRET)
	                               : CK_INVALID_HANDLE;
	uintptr_t words[TAPE_MAX_WORDS] = { c->session, (uintptr_t)&mechanism, key };
	return check_call(c, operation->init, words);
}

CK_RV active_step(struct check *c, const struct active *operation)
{
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	check_arguments(c, operation->step, words);
	return check_call(c, operation->step, words);
}
