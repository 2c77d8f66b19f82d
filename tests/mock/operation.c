/* SPDX-License-Identifier: MIT
 *
 * Operations of a session: when they begin and end, and how output is handed over (PKCS#11 3.2 §5.2, §5.8
 * to §5.17); saving and restoring them (§5.6.6, §5.6.7), cancelling (§5.6.5).
 *
 * An operation keeps all its input and computes everything anew of it: an Update call hands over what the
 * longer beginning has determined. So a call that is to be repeated (a length query, a buffer too small)
 * has nothing to undo but the input's length.
 */
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/async.h"
#include "tests/mock/mock.h"

/* ---- output (§5.2) ------------------------------------------------------------------------------ */

/* What a length query answers: enough, and "not by much" more. */
static CK_ULONG estimate(CK_ULONG length)
{
	if (FAULT(query_underestimates) && length > 0)
		return length - 1;
	if (FAULT(query_answers_zero))
		return 0;
	return mock_config.overestimate ? length + 16 : length;
}

bool give_room(CK_ULONG length, const CK_BYTE *to, CK_ULONG *to_length, CK_RV *rv)
{
	if (!to) {
		*to_length = estimate(length);
		*rv = CKR_OK;
		return false;
	}
	if (*to_length >= length || FAULT(output_overruns))
		return true;
	if (FAULT(output_truncated))
		return true;
	if (!FAULT(too_small_length_kept))
		*to_length = length;
	*rv = FAULT(too_small_wrong_code) ? CKR_ARGUMENTS_BAD : CKR_BUFFER_TOO_SMALL;
	return false;
}

CK_RV give_bytes(const CK_BYTE *data, CK_ULONG length, CK_BYTE *to, CK_ULONG *to_length)
{
	CK_RV rv = CKR_OK;

	if (!give_room(length, to, to_length, &rv) || !to)
		return rv;
	if (FAULT(output_truncated) && *to_length < length)
		length = *to_length;
	if (FAULT(output_overruns))
		memset(to, 0x5a, 20);
	if (length > 0)
		memcpy(to, data, length);
	if (!FAULT(output_length_kept))
		*to_length = length;
	return CKR_OK;
}

/* ---- beginning and end ------------------------------------------------------------------------------ */

static void operation_free(struct operation *operation)
{
	if (!operation)
		return;
	parameter_done(&operation->parameter);
	attributes_done(&operation->key);
	bytes_done(&operation->input);
	bytes_done(&operation->signature);
	free(operation);
}

void operation_end(struct session *session, enum kind kind)
{
	operation_free(session->operations[kind]);
	session->operations[kind] = NULL;
}

CK_RV operation_finish(struct session *session, enum kind kind, CK_RV rv, bool query)
{
	bool stays = rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && query);

	/* As the validation object's CKA_VALIDATION_FLAG says, if there is one (§4.15.3). */
	session->validation = rv == CKR_OK && mock_listed(mock_config.objects, "validation");
	if (stays && rv == CKR_OK && FAULT(query_ends_operation))
		stays = false;
	if (rv == CKR_BUFFER_TOO_SMALL && FAULT(too_small_ends_operation))
		stays = false;
	if (rv == CKR_OK && FAULT(success_keeps_operation))
		stays = true;
	if (rv != CKR_OK && FAULT(error_keeps_operation))
		stays = true;
	if (!stays)
		operation_end(session, kind);
	return rv;
}

/* May both be active (CKF_DUAL_CRYPTO_OPERATIONS, §3.2.3)? */
static bool pair_is_legal(enum kind a, enum kind b)
{
	static const enum kind pairs[][2] = { { KIND_DIGEST, KIND_ENCRYPT },
		                              { KIND_DECRYPT, KIND_DIGEST },
		                              { KIND_SIGN, KIND_ENCRYPT },
		                              { KIND_DECRYPT, KIND_VERIFY } };

	for (size_t i = 0; !mock_config.no_dual && i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if ((pairs[i][0] == a && pairs[i][1] == b) ||
		    (pairs[i][0] == b && pairs[i][1] == a))
			return true;
	}
	return false;
}

static bool blocked(struct session *session, enum kind kind)
{
	int active = 0;

	for (int other = 0; other < KIND_OPERATIONS; other++) {
		if (!session->operations[other])
			continue;
		if (other == (int)kind || !pair_is_legal(kind, (enum kind)other))
			return true;
		active++;
	}
	return active > 1;
}

CK_RV operation_begin(struct session *session, enum kind kind, const CK_MECHANISM *mechanism,
                      CK_OBJECT_HANDLE key)
{
	struct operation *operation;
	const struct mechanism *row;
	struct parameter parameter;
	struct object *object = NULL;
	CK_RV rv;

	if (blocked(session, kind) && !mock_config.drop_old) {
		if (FAULT(active_drops_operation) || FAULT(init_twice))
			operation_end(session, kind);
		return FAULT(init_twice) ? CKR_OK : CKR_OPERATION_ACTIVE;
	}
	rv = mechanism_use(session, kind, mechanism, key, &row, &object, &parameter);
	if (rv != CKR_OK)
		return rv;
	operation = calloc(1, sizeof(*operation));
	if (!operation) {
		parameter_done(&parameter);
		return CKR_HOST_MEMORY;
	}
	operation->mechanism = row;
	operation->parameter = parameter;
	operation->key_handle = key;
	if (object) {
		attributes_copy(&operation->key, &object->attributes);
		operation->needs_login =
			attributes_bool(&object->attributes, CKA_ALWAYS_AUTHENTICATE) &&
			object_class(&object->attributes) == CKO_PRIVATE_KEY &&
			!FAULT(always_authenticate_ignored);
	}
	for (int other = 0; other < KIND_OPERATIONS && mock_config.drop_old; other++) {
		if (other == (int)kind || !pair_is_legal(kind, (enum kind)other))
			operation_end(session, (enum kind)other);
	}
	operation_end(session, kind);
	session->operations[kind] = operation;
	return CKR_OK;
}

/* From 3.0 on an Init call without a mechanism cancels (§5.8.1). */
bool mechanism_cancels(const CK_MECHANISM *mechanism, CK_RV *rv, struct session *session,
                       enum kind kind)
{
	if (mechanism || !mock_has_version(3, 0))
		return false;
	if (mock_config.no_cancel && session->operations[kind]) {
		*rv = CKR_OPERATION_CANCEL_FAILED;
	} else if (FAULT(null_mechanism_refused)) {
		*rv = CKR_ARGUMENTS_BAD;
	} else {
		operation_end(session, kind);
		*rv = CKR_OK;
	}
	return true;
}

static CK_RV init(CK_SESSION_HANDLE handle, enum kind kind, const CK_MECHANISM *mechanism,
                  CK_OBJECT_HANDLE key)
{
	struct session *session = session_find(handle);
	CK_RV rv;

	if (mechanism_cancels(mechanism, &rv, session, kind))
		return rv;
	return operation_begin(session, kind, mechanism, key);
}

/* ---- what all of them do ---------------------------------------------------------------------------- */

struct compute operation_compute(enum kind kind, struct operation *operation, bool last)
{
	return (struct compute){
		.kind = kind,
		.mechanism = operation->mechanism,
		.parameter = &operation->parameter,
		.key = &operation->key,
		.input = &operation->input,
		.signature = &operation->signature,
		.last = last,
	};
}

/* Hand over what more the operation's output is, with `data` behind its input. */
static CK_RV produce(struct operation *operation, enum kind kind, const CK_BYTE *data,
                     CK_ULONG length, bool last, CK_BYTE *to, CK_ULONG *to_length)
{
	struct compute compute = operation_compute(kind, operation, last);
	CK_ULONG total = operation->input.length + length, need;
	struct bytes output = { 0 };
	bool exact = kind != KIND_DECRYPT || !last;
	CK_RV rv;

	need = last ? compute_length(&compute, total) : compute_available(&compute, total);
	need = need > operation->emitted ? need - operation->emitted : 0;
	/* Ciphertexts of no right length give no length. */
	if ((!to || exact) && !give_room(need, to, to_length, &rv))
		return rv;
	bytes_add(&operation->input, data, length);
	if (operation->input.failed)
		return CKR_HOST_MEMORY;
	compute.output = &output;
	rv = operation->mechanism->compute(&compute);
	if (rv == CKR_OK && output.failed)
		rv = CKR_HOST_MEMORY;
	if (rv == CKR_OK && output.length >= operation->emitted) {
		if (FAULT(output_corrupted) && output.length > operation->emitted)
			output.data[operation->emitted] ^= 1;
		rv = give_bytes(output.data + operation->emitted,
		                output.length - operation->emitted, to, to_length);
		if (rv == CKR_OK)
			operation->emitted = output.length;
	}
	if (rv == CKR_BUFFER_TOO_SMALL)
		operation->input.length -= length;
	bytes_done(&output);
	return rv;
}

/* The checks before a step: CKR_OK, or why it must not be made. */
static CK_RV check_step(const struct operation *operation, bool single, bool parts)
{
	if (operation->needs_login)
		return CKR_USER_NOT_LOGGED_IN;
	if (single && operation->multi && !FAULT(single_after_update))
		return mock_config.other_codes ? CKR_FUNCTION_FAILED : CKR_OPERATION_ACTIVE;
	/* There is no operation "of an appropriate type". */
	if (parts && (operation->mechanism->traits & SINGLE))
		return CKR_OPERATION_NOT_INITIALIZED;
	return CKR_OK;
}

static bool misses_input(const CK_BYTE *data, CK_ULONG length)
{
	return !data && length > 0;
}

static const CK_RV not_initialized = CKR_OPERATION_NOT_INITIALIZED;

/* C_Encrypt, C_Decrypt, C_Digest, C_Sign, C_SignRecover, and the Final functions (data NULL, single false). */
static CK_RV finish(CK_SESSION_HANDLE handle, enum kind kind, bool single, const CK_BYTE *data,
                    CK_ULONG length, CK_BYTE *to, CK_ULONG *to_length)
{
	struct session *session = session_find(handle);
	struct operation *operation = session->operations[kind];
	CK_RV rv;

	if (!operation)
		return FAULT(operation_not_needed) ? CKR_OK : not_initialized;
	rv = check_step(operation, single, !single);
	if (rv == CKR_OK && (misses_input(data, length) || !to_length))
		rv = CKR_ARGUMENTS_BAD;
	if (rv == CKR_OK)
		rv = produce(operation, kind, data, length, true, to, to_length);
	if (rv == CKR_OK && !to)
		return operation_finish(session, kind, rv, true);
	return operation_finish(session, kind, rv, false);
}

/* C_EncryptUpdate, C_DecryptUpdate. */
static CK_RV update(struct session *session, enum kind kind, const CK_BYTE *data, CK_ULONG length,
                    CK_BYTE *to, CK_ULONG *to_length)
{
	struct operation *operation = session->operations[kind];
	CK_RV rv;

	if (!operation)
		return not_initialized;
	rv = check_step(operation, false, true);
	if (rv == CKR_OK && (misses_input(data, length) || !to_length))
		rv = CKR_ARGUMENTS_BAD;
	if (rv == CKR_OK)
		rv = produce(operation, kind, data, length, false, to, to_length);
	if (rv == CKR_OK && to)
		operation->multi = true;
	if (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL && !FAULT(error_keeps_operation))
		operation_end(session, kind);
	return rv;
}

/* C_DigestUpdate, C_SignUpdate, C_VerifyUpdate, C_VerifySignatureUpdate: input without output. */
static CK_RV absorb(struct session *session, enum kind kind, const CK_BYTE *data, CK_ULONG length)
{
	struct operation *operation = session->operations[kind];
	CK_RV rv;

	if (!operation)
		return FAULT(operation_not_needed) ? CKR_OK : not_initialized;
	rv = check_step(operation, false, true);
	if (rv == CKR_OK && misses_input(data, length))
		rv = CKR_ARGUMENTS_BAD;
	if (rv == CKR_OK) {
		bytes_add(&operation->input, data, length);
		operation->multi = true;
		if (operation->input.failed)
			rv = CKR_HOST_MEMORY;
	}
	if (rv != CKR_OK && !FAULT(error_keeps_operation))
		operation_end(session, kind);
	return rv;
}

/* C_Verify and its like: the operation ends, whatever comes (§5.15.2). */
static CK_RV verify(CK_SESSION_HANDLE handle, enum kind kind, bool single, const CK_BYTE *data,
                    CK_ULONG length, const CK_BYTE *signature, CK_ULONG signature_length)
{
	struct session *session = session_find(handle);
	struct operation *operation = session->operations[kind];
	struct bytes nothing = { 0 };
	struct compute compute;
	CK_RV rv;

	if (!operation)
		return not_initialized;
	rv = check_step(operation, single, !single);
	if (rv == CKR_OK &&
	    (misses_input(data, length) || misses_input(signature, signature_length)))
		rv = CKR_ARGUMENTS_BAD;
	if (rv == CKR_OK) {
		bytes_add(&operation->input, data, length);
		if (kind == KIND_VERIFY)
			bytes_add(&operation->signature, signature, signature_length);
		compute = operation_compute(kind, operation, true);
		compute.output = &nothing;
		rv = operation->mechanism->compute(&compute);
		if (FAULT(verify_always_ok) && rv == CKR_SIGNATURE_INVALID)
			rv = CKR_OK;
		if (FAULT(verify_wrong_code) && rv == CKR_SIGNATURE_INVALID)
			rv = CKR_FUNCTION_FAILED;
		bytes_done(&nothing);
	}
	if (!FAULT(verify_keeps_operation))
		operation_end(session, kind);
	return rv;
}

/* ---- encryption (§5.8, §5.10) ------------------------------------------------------------------------ */

CK_RV mock_C_EncryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                         CK_OBJECT_HANDLE hKey)
{
	return init(hSession, KIND_ENCRYPT, pMechanism, hKey);
}

CK_RV mock_C_Encrypt(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                     CK_BYTE_PTR pEncryptedData, CK_ULONG_PTR pulEncryptedDataLen)
{
	return async_bytes(session_find(hSession), "C_Encrypt",
	                   finish(hSession, KIND_ENCRYPT, true, pData, ulDataLen, pEncryptedData,
	                          pulEncryptedDataLen),
	                   pEncryptedData, pulEncryptedDataLen);
}

CK_RV mock_C_EncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
                           CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
	return update(session_find(hSession), KIND_ENCRYPT, pPart, ulPartLen, pEncryptedPart,
	              pulEncryptedPartLen);
}

CK_RV mock_C_EncryptFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastEncryptedPart,
                          CK_ULONG_PTR pulLastEncryptedPartLen)
{
	return finish(hSession, KIND_ENCRYPT, false, NULL, 0, pLastEncryptedPart,
	              pulLastEncryptedPartLen);
}

CK_RV mock_C_DecryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                         CK_OBJECT_HANDLE hKey)
{
	return init(hSession, KIND_DECRYPT, pMechanism, hKey);
}

CK_RV mock_C_Decrypt(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedData,
                     CK_ULONG ulEncryptedDataLen, CK_BYTE_PTR pData, CK_ULONG_PTR pulDataLen)
{
	return async_bytes(session_find(hSession), "C_Decrypt",
	                   finish(hSession, KIND_DECRYPT, true, pEncryptedData, ulEncryptedDataLen,
	                          pData, pulDataLen),
	                   pData, pulDataLen);
}

CK_RV mock_C_DecryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
                           CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen)
{
	return update(session_find(hSession), KIND_DECRYPT, pEncryptedPart, ulEncryptedPartLen,
	              pPart, pulPartLen);
}

CK_RV mock_C_DecryptFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastPart,
                          CK_ULONG_PTR pulLastPartLen)
{
	return finish(hSession, KIND_DECRYPT, false, NULL, 0, pLastPart, pulLastPartLen);
}

/* ---- digests (§5.12) ------------------------------------------------------------------------------------ */

CK_RV mock_C_DigestInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism)
{
	return init(hSession, KIND_DIGEST, pMechanism, CK_INVALID_HANDLE);
}

CK_RV mock_C_Digest(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                    CK_BYTE_PTR pDigest, CK_ULONG_PTR pulDigestLen)
{
	return async_bytes(
		session_find(hSession), "C_Digest",
		finish(hSession, KIND_DIGEST, true, pData, ulDataLen, pDigest, pulDigestLen),
		pDigest, pulDigestLen);
}

CK_RV mock_C_DigestUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
	return absorb(session_find(hSession), KIND_DIGEST, pPart, ulPartLen);
}

CK_RV mock_C_DigestKey(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey)
{
	struct session *session = session_find(hSession);
	const struct object *key = object_find(session, hKey);
	const struct attribute *value;
	CK_RV rv = CKR_OK;

	if (!session->operations[KIND_DIGEST])
		return not_initialized;
	if (!key || !attributes_find(&key->attributes, CKA_KEY_TYPE))
		rv = CKR_KEY_HANDLE_INVALID;
	else if (object_class(&key->attributes) != CKO_SECRET_KEY)
		rv = FAULT(indigestible_wrong_code) ? CKR_KEY_TYPE_INCONSISTENT
		                                    : CKR_KEY_INDIGESTIBLE;
	if (rv != CKR_OK) {
		operation_end(session, KIND_DIGEST);
		return rv;
	}
	value = attributes_find(&key->attributes, CKA_VALUE);
	return absorb(session, KIND_DIGEST, value->value, value->length);
}

CK_RV mock_C_DigestFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pDigest, CK_ULONG_PTR pulDigestLen)
{
	return finish(hSession, KIND_DIGEST, false, NULL, 0, pDigest, pulDigestLen);
}

/* ---- signing and MACing (§5.13) ---------------------------------------------------------------------------- */

CK_RV mock_C_SignInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                      CK_OBJECT_HANDLE hKey)
{
	return init(hSession, KIND_SIGN, pMechanism, hKey);
}

CK_RV mock_C_Sign(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                  CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	return async_bytes(
		session_find(hSession), "C_Sign",
		finish(hSession, KIND_SIGN, true, pData, ulDataLen, pSignature, pulSignatureLen),
		pSignature, pulSignatureLen);
}

CK_RV mock_C_SignUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
	return absorb(session_find(hSession), KIND_SIGN, pPart, ulPartLen);
}

CK_RV mock_C_SignFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature,
                       CK_ULONG_PTR pulSignatureLen)
{
	return finish(hSession, KIND_SIGN, false, NULL, 0, pSignature, pulSignatureLen);
}

CK_RV mock_C_SignRecoverInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                             CK_OBJECT_HANDLE hKey)
{
	return init(hSession, KIND_SIGN_RECOVER, pMechanism, hKey);
}

CK_RV mock_C_SignRecover(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                         CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	return finish(hSession, KIND_SIGN_RECOVER, true, pData, ulDataLen, pSignature,
	              pulSignatureLen);
}

/* ---- verifying (§5.15) --------------------------------------------------------------------------------------- */

CK_RV mock_C_VerifyInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                        CK_OBJECT_HANDLE hKey)
{
	return init(hSession, KIND_VERIFY, pMechanism, hKey);
}

CK_RV mock_C_Verify(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                    CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
	return verify(hSession, KIND_VERIFY, true, pData, ulDataLen, pSignature, ulSignatureLen);
}

CK_RV mock_C_VerifyUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
	return absorb(session_find(hSession), KIND_VERIFY, pPart, ulPartLen);
}

CK_RV mock_C_VerifyFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature,
                         CK_ULONG ulSignatureLen)
{
	return verify(hSession, KIND_VERIFY, false, NULL, 0, pSignature, ulSignatureLen);
}

CK_RV mock_C_VerifyRecoverInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                               CK_OBJECT_HANDLE hKey)
{
	return init(hSession, KIND_VERIFY_RECOVER, pMechanism, hKey);
}

CK_RV mock_C_VerifyRecover(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature,
                           CK_ULONG ulSignatureLen, CK_BYTE_PTR pData, CK_ULONG_PTR pulDataLen)
{
	struct session *session = session_find(hSession);
	struct operation *operation = session->operations[KIND_VERIFY_RECOVER];
	struct bytes output = { 0 };
	struct compute compute;
	CK_RV rv = CKR_OK;

	if (!operation)
		return not_initialized;
	if (misses_input(pSignature, ulSignatureLen) || !pulDataLen)
		rv = CKR_ARGUMENTS_BAD;
	if (rv == CKR_OK) {
		bytes_done(&operation->signature);
		bytes_add(&operation->signature, pSignature, ulSignatureLen);
		compute = operation_compute(KIND_VERIFY_RECOVER, operation, true);
		compute.output = &output;
		/* An invalid signature is never a buffer too small (§5.15.6). */
		rv = operation->mechanism->compute(&compute);
	}
	if (rv == CKR_OK)
		rv = give_bytes(output.data, output.length, pData, pulDataLen);
	bytes_done(&output);
	return operation_finish(session, KIND_VERIFY_RECOVER, rv, !pData);
}

CK_RV mock_C_VerifySignatureInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                                 CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pSignature,
                                 CK_ULONG ulSignatureLen)
{
	struct session *session = session_find(hSession);
	CK_RV rv;

	if (mechanism_cancels(pMechanism, &rv, session, KIND_VERIFY_SIGNATURE))
		return rv;
	if (misses_input(pSignature, ulSignatureLen))
		return CKR_ARGUMENTS_BAD;
	rv = operation_begin(session, KIND_VERIFY_SIGNATURE, pMechanism, hKey);
	if (rv == CKR_OK)
		bytes_add(&session->operations[KIND_VERIFY_SIGNATURE]->signature, pSignature,
		          ulSignatureLen);
	return rv;
}

CK_RV mock_C_VerifySignature(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen)
{
	return verify(hSession, KIND_VERIFY_SIGNATURE, true, pData, ulDataLen, NULL, 0);
}

CK_RV mock_C_VerifySignatureUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart,
                                   CK_ULONG ulPartLen)
{
	return absorb(session_find(hSession), KIND_VERIFY_SIGNATURE, pPart, ulPartLen);
}

CK_RV mock_C_VerifySignatureFinal(CK_SESSION_HANDLE hSession)
{
	return verify(hSession, KIND_VERIFY_SIGNATURE, false, NULL, 0, NULL, 0);
}

/* ---- dual functions (§5.17) ------------------------------------------------------------------------------------ */

/* `first` gives output; `second` sees the plaintext, but only if output was really given. */
static CK_RV dual(CK_SESSION_HANDLE handle, enum kind first, enum kind second, CK_BYTE *data,
                  CK_ULONG length, CK_BYTE *to, CK_ULONG *to_length)
{
	struct session *session = session_find(handle);
	struct bytes plain = { 0 };
	CK_RV rv;

	if (mock_config.no_dual)
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (!session->operations[first] || !session->operations[second])
		return FAULT(dual_needs_one) ? update(session, first, data, length, to, to_length)
		                             : not_initialized;
	/* Before the output may come to lie over it. */
	if (first == KIND_ENCRYPT && data)
		bytes_add(&plain, data, length);
	rv = update(session, first, data, length, to, to_length);
	if (rv == CKR_OK && (to || FAULT(dual_query_feeds))) {
		if (first == KIND_DECRYPT)
			rv = absorb(session, second, to, *to_length);
		else
			rv = absorb(session, second, plain.data, plain.length);
	}
	bytes_done(&plain);
	return rv;
}

CK_RV mock_C_DigestEncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
                                 CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
	return dual(hSession, KIND_ENCRYPT, KIND_DIGEST, pPart, ulPartLen, pEncryptedPart,
	            pulEncryptedPartLen);
}

CK_RV mock_C_DecryptDigestUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
                                 CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart,
                                 CK_ULONG_PTR pulPartLen)
{
	return dual(hSession, KIND_DECRYPT, KIND_DIGEST, pEncryptedPart, ulEncryptedPartLen, pPart,
	            pulPartLen);
}

CK_RV mock_C_SignEncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
                               CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
	return dual(hSession, KIND_ENCRYPT, KIND_SIGN, pPart, ulPartLen, pEncryptedPart,
	            pulEncryptedPartLen);
}

CK_RV mock_C_DecryptVerifyUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
                                 CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart,
                                 CK_ULONG_PTR pulPartLen)
{
	return dual(hSession, KIND_DECRYPT, KIND_VERIFY, pEncryptedPart, ulEncryptedPartLen, pPart,
	            pulPartLen);
}

/* ---- cancelling (§5.6.5) ---------------------------------------------------------------------------------------- */

CK_RV mock_C_SessionCancel(CK_SESSION_HANDLE hSession, CK_FLAGS flags)
{
	struct session *session = session_find(hSession);

	for (int kind = 0; kind < KIND_OPERATIONS; kind++) {
		if (session->operations[kind] && (kinds[kind].flag & flags) &&
		    mock_config.no_cancel)
			return CKR_OPERATION_CANCEL_FAILED;
	}
	if (FAULT(cancel_all) || (!flags && FAULT(cancel_zero)))
		flags = ~(CK_FLAGS)0;
	for (int kind = 0; kind < KIND_OPERATIONS; kind++) {
		if ((kinds[kind].flag & flags) && !FAULT(cancel_nothing))
			operation_end(session, (enum kind)kind);
	}
	if (flags & CKF_FIND_OBJECTS) {
		free(session->search.found);
		memset(&session->search, 0, sizeof(session->search));
	}
	if (flags)
		async_drop(session);
	return CKR_OK;
}

/* ---- saving and restoring (§5.6.6, §5.6.7) -------------------------------------------------------------------------- */

static const char state_magic[8] = "mockop1";

static bool savable(int kind)
{
	return kind == KIND_ENCRYPT || kind == KIND_DECRYPT || kind == KIND_DIGEST ||
	       kind == KIND_SIGN || kind == KIND_VERIFY;
}

static void save_ulong(struct bytes *state, CK_ULONG value)
{
	bytes_add(state, &value, sizeof(value));
}

static void save_bytes(struct bytes *state, const struct bytes *from)
{
	save_ulong(state, from->length);
	bytes_add(state, from->data, from->length);
}

static CK_ULONG load_ulong(const struct bytes *state, CK_ULONG *at)
{
	CK_ULONG value = 0;

	if (state->length - *at >= sizeof(value)) {
		memcpy(&value, state->data + *at, sizeof(value));
		*at += sizeof(value);
	}
	return value;
}

static bool load_bytes(const struct bytes *state, CK_ULONG *at, struct bytes *to)
{
	CK_ULONG length = load_ulong(state, at);

	if (state->length - *at < length)
		return false;
	bytes_add(to, state->data + *at, length);
	*at += length;
	return !to->failed;
}

static void save_name(struct bytes *state, const char *name)
{
	struct bytes text = { .data = (CK_BYTE *)(uintptr_t)name,
		              .length = name ? strlen(name) : 0 };

	save_bytes(state, &text);
}

/* The digest of that name, as the table has it; NULL for none. */
static const char *load_name(const struct bytes *state, CK_ULONG *at)
{
	struct bytes text = { 0 };
	const char *name = NULL;

	if (load_bytes(state, at, &text)) {
		for (size_t i = 0; i < mechanism_count && !name; i++) {
			const char *known = mechanisms[i].algorithm;

			if (known && text.length > 0 && strlen(known) == text.length &&
			    memcmp(known, text.data, text.length) == 0)
				name = known;
		}
	}
	bytes_done(&text);
	return name;
}

/* Tells keys apart without telling the key. */
static void fingerprint(const struct attributes *key, CK_BYTE hash[SHA256_DIGEST_LENGTH])
{
	static const CK_ATTRIBUTE_TYPE material[] = { CKA_KEY_TYPE, CKA_VALUE, CKA_MODULUS,
		                                      CKA_PRIVATE_EXPONENT, CKA_EC_POINT };
	struct bytes all = { 0 };

	for (size_t i = 0; i < sizeof(material) / sizeof(material[0]); i++) {
		const struct attribute *attribute = attributes_find(key, material[i]);

		if (attribute)
			bytes_add(&all, attribute->value, attribute->length);
	}
	SHA256(all.data ? all.data : (const CK_BYTE *)"", all.length, hash);
	bytes_done(&all);
}

static void save_operation(struct bytes *state, int kind, const struct operation *operation)
{
	CK_BYTE hash[SHA256_DIGEST_LENGTH];

	save_ulong(state, (CK_ULONG)kind);
	save_ulong(state, operation->mechanism->type);
	save_bytes(state, &operation->parameter.iv);
	save_bytes(state, &operation->parameter.aad);
	save_ulong(state, operation->parameter.bits);
	save_ulong(state, operation->parameter.length);
	save_ulong(state, operation->parameter.data);
	save_name(state, operation->parameter.hash);
	save_name(state, operation->parameter.mgf);
	save_ulong(state, operation->multi);
	save_ulong(state, operation->needs_login);
	save_ulong(state, operation->emitted);
	save_bytes(state, &operation->input);
	fingerprint(&operation->key, hash);
	bytes_add(state, hash, sizeof(hash));
	save_ulong(state, operation->key.count > 0);
	save_ulong(state, operation->key_handle);
}

/* A checksum over it all: nothing that was changed is taken for a state. */
static void seal_state(struct bytes *state)
{
	CK_BYTE hash[SHA256_DIGEST_LENGTH];

	SHA256(state->data, state->length, hash);
	bytes_add(state, hash, sizeof(hash));
}

CK_RV mock_C_GetOperationState(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState,
                               CK_ULONG_PTR pulOperationStateLen)
{
	struct session *session = session_find(hSession);
	struct bytes state = { 0 };
	CK_ULONG count = 0;
	CK_RV rv;

	if (!pulOperationStateLen)
		return CKR_ARGUMENTS_BAD;
	for (int kind = 0; kind < KIND_OPERATIONS; kind++)
		count += savable(kind) && session->operations[kind];
	/* It ranks before CKR_STATE_UNSAVEABLE (§5.1.6). */
	if (count == 0)
		return FAULT(unsaveable_first) ? CKR_STATE_UNSAVEABLE : not_initialized;
	if (mock_config.unsaveable)
		return CKR_STATE_UNSAVEABLE;
	bytes_add(&state, state_magic, sizeof(state_magic));
	save_ulong(&state, session->slot->id);
	save_ulong(&state, session_state(session));
	save_ulong(&state, mock_generation());
	save_ulong(&state, count);
	for (int kind = 0; kind < KIND_OPERATIONS; kind++) {
		if (savable(kind) && session->operations[kind])
			save_operation(&state, kind, session->operations[kind]);
	}
	seal_state(&state);
	rv = state.failed
	             ? CKR_HOST_MEMORY
	             : give_bytes(state.data, state.length, pOperationState, pulOperationStateLen);
	bytes_done(&state);
	return rv;
}

/* Which of the two keys an operation takes (§5.6.7). */
static CK_OBJECT_HANDLE key_for(CK_ULONG kind, CK_OBJECT_HANDLE encryption,
                                CK_OBJECT_HANDLE authentication)
{
	return kind == KIND_ENCRYPT || kind == KIND_DECRYPT ? encryption : authentication;
}

static CK_RV restore_key(struct session *session, struct operation *operation,
                         CK_OBJECT_HANDLE given, const CK_BYTE hash[SHA256_DIGEST_LENGTH],
                         CK_OBJECT_HANDLE old)
{
	CK_BYTE theirs[SHA256_DIGEST_LENGTH];
	const struct object *key;

	if (given == CK_INVALID_HANDLE && mock_config.state_key_not_needed &&
	    !FAULT(state_key_always_needed))
		given = old;
	if (given == CK_INVALID_HANDLE)
		return CKR_KEY_NEEDED;
	key = object_find(session, given);
	if (!key)
		return CKR_KEY_HANDLE_INVALID;
	fingerprint(&key->attributes, theirs);
	if (memcmp(hash, theirs, sizeof(theirs)) != 0)
		return FAULT(changed_key_wrong_code) ? CKR_KEY_TYPE_INCONSISTENT : CKR_KEY_CHANGED;
	attributes_copy(&operation->key, &key->attributes);
	operation->key_handle = given;
	return operation->key.failed ? CKR_HOST_MEMORY : CKR_OK;
}

static CK_RV read_operation(struct session *session, const struct bytes *state, CK_ULONG *at,
                            CK_ULONG kind, CK_OBJECT_HANDLE encryption,
                            CK_OBJECT_HANDLE authentication, struct operation *operation)
{
	CK_BYTE hash[SHA256_DIGEST_LENGTH];
	bool keyed;

	operation->mechanism = mechanism_row(load_ulong(state, at));
	if (!operation->mechanism || !load_bytes(state, at, &operation->parameter.iv) ||
	    !load_bytes(state, at, &operation->parameter.aad))
		return CKR_SAVED_STATE_INVALID;
	operation->parameter.bits = load_ulong(state, at);
	operation->parameter.length = load_ulong(state, at);
	operation->parameter.data = load_ulong(state, at);
	operation->parameter.hash = load_name(state, at);
	operation->parameter.mgf = load_name(state, at);
	operation->multi = load_ulong(state, at);
	operation->needs_login = load_ulong(state, at);
	operation->emitted = load_ulong(state, at);
	if (!load_bytes(state, at, &operation->input) || state->length - *at < sizeof(hash))
		return CKR_SAVED_STATE_INVALID;
	memcpy(hash, state->data + *at, sizeof(hash));
	*at += sizeof(hash);
	keyed = load_ulong(state, at);
	if (!keyed) {
		load_ulong(state, at);
		return CKR_OK;
	}
	return restore_key(session, operation, key_for(kind, encryption, authentication), hash,
	                   load_ulong(state, at));
}

static CK_RV load_operation(struct session *session, const struct bytes *state, CK_ULONG *at,
                            CK_OBJECT_HANDLE encryption, CK_OBJECT_HANDLE authentication,
                            struct session *to)
{
	CK_ULONG kind = load_ulong(state, at);
	struct operation *operation;
	CK_RV rv;

	if (kind >= KIND_OPERATIONS || to->operations[kind])
		return CKR_SAVED_STATE_INVALID;
	operation = calloc(1, sizeof(*operation));
	if (!operation)
		return CKR_HOST_MEMORY;
	rv = read_operation(session, state, at, kind, encryption, authentication, operation);
	if (rv == CKR_OK)
		to->operations[kind] = operation;
	else
		operation_free(operation);
	return rv;
}

/* A key for which no operation of the state has a use. */
static bool superfluous(const struct session *loaded, CK_OBJECT_HANDLE encryption,
                        CK_OBJECT_HANDLE authentication)
{
	bool encrypts = loaded->operations[KIND_ENCRYPT] || loaded->operations[KIND_DECRYPT];
	bool signs = loaded->operations[KIND_SIGN] || loaded->operations[KIND_VERIFY];

	return (encryption && !encrypts) || (authentication && !signs);
}

static bool state_is_sealed(const CK_BYTE *data, CK_ULONG length)
{
	CK_BYTE hash[SHA256_DIGEST_LENGTH];

	if (!data || length < sizeof(state_magic) + sizeof(hash) ||
	    memcmp(data, state_magic, sizeof(state_magic)) != 0)
		return false;
	SHA256(data, length - sizeof(hash), hash);
	return memcmp(hash, data + length - sizeof(hash), sizeof(hash)) == 0;
}

CK_RV mock_C_SetOperationState(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState,
                               CK_ULONG ulOperationStateLen, CK_OBJECT_HANDLE hEncryptionKey,
                               CK_OBJECT_HANDLE hAuthenticationKey)
{
	struct session *session = session_find(hSession);
	struct session loaded = { .slot = session->slot };
	struct bytes state = { .data = pOperationState, .length = ulOperationStateLen };
	CK_ULONG at = sizeof(state_magic), count;
	CK_RV rv = CKR_OK;

	if (misses_input(pOperationState, ulOperationStateLen))
		return CKR_ARGUMENTS_BAD;
	if (!state_is_sealed(pOperationState, ulOperationStateLen) ||
	    load_ulong(&state, &at) != session->slot->id ||
	    load_ulong(&state, &at) != session_state(session) ||
	    load_ulong(&state, &at) != mock_generation())
		return FAULT(bad_state_wrong_code) ? CKR_OK : CKR_SAVED_STATE_INVALID;
	count = load_ulong(&state, &at);
	while (rv == CKR_OK && count-- > 0)
		rv = load_operation(session, &state, &at, hEncryptionKey, hAuthenticationKey,
		                    &loaded);
	if (rv == CKR_OK && superfluous(&loaded, hEncryptionKey, hAuthenticationKey) &&
	    !FAULT(superfluous_key_accepted))
		rv = CKR_KEY_NOT_NEEDED;
	for (int kind = 0; kind < KIND_OPERATIONS; kind++) {
		if (rv != CKR_OK) {
			operation_end(&loaded, (enum kind)kind);
			continue;
		}
		/* What was active is dropped. */
		operation_end(session, (enum kind)kind);
		session->operations[kind] = loaded.operations[kind];
	}
	return rv;
}
