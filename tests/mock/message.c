/* SPDX-License-Identifier: MIT
 *
 * The message functions (PKCS#11 3.2 §5.9, §5.11, §5.14, §5.16). The operation is the process that C_Message…Init
 * opens; `message` in it says that a message of several parts is open.
 */
#include <openssl/crypto.h>
#include <string.h>

#include "tests/mock/mock.h"

/* ---- parameters (§6.13.2, §6.13.4, §6.60) --------------------------------------------------------------- */

CK_RV message_read(const struct mechanism *row, const void *parameter, CK_ULONG length,
                   struct message_parameter *m)
{
	memset(m, 0, sizeof(*m));
	m->data = CK_UNAVAILABLE_INFORMATION;
	if (!parameter)
		return CKR_MECHANISM_PARAM_INVALID;
	if (row->parameter == parameter_gcm && length == sizeof(CK_GCM_MESSAGE_PARAMS)) {
		const CK_GCM_MESSAGE_PARAMS *p = parameter;

		*m = (struct message_parameter){ p->pIv,           p->pTag,          p->ulIvLen,
			                         p->ulTagBits / 8, p->ulIvFixedBits, m->data,
			                         p->ivGenerator };
		if (m->iv_length < 1 || m->iv_length > 128 || p->ulTagBits > 128 ||
		    p->ulTagBits < 32 || p->ulTagBits % 8 != 0)
			return CKR_MECHANISM_PARAM_INVALID;
	} else if (row->parameter == parameter_ccm && length == sizeof(CK_CCM_MESSAGE_PARAMS)) {
		const CK_CCM_MESSAGE_PARAMS *p = parameter;

		*m = (struct message_parameter){ p->pNonce,           p->pMAC,
			                         p->ulNonceLen,       p->ulMACLen,
			                         p->ulNonceFixedBits, p->ulDataLen,
			                         p->nonceGenerator };
		if (m->iv_length < 7 || m->iv_length > 13 || m->tag_length < 4 ||
		    m->tag_length > 16 || m->tag_length % 2 != 0)
			return CKR_MECHANISM_PARAM_INVALID;
	} else if (row->parameter == parameter_chacha &&
	           length == sizeof(CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS)) {
		const CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS *p = parameter;

		*m = (struct message_parameter){ p->pNonce, p->pTag, p->ulNonceLen,  16,
			                         0,         m->data, CKG_NO_GENERATE };
		if (m->iv_length != 12)
			return CKR_MECHANISM_PARAM_INVALID;
	} else {
		return CKR_MECHANISM_PARAM_INVALID;
	}
	return m->iv && m->tag && m->fixed_bits <= m->iv_length * 8 &&
	                       m->generator <= CKG_GENERATE_COUNTER_XOR
	               ? CKR_OK
	               : CKR_MECHANISM_PARAM_INVALID;
}

CK_RV message_begin(struct message_parameter *m, bool seals, const CK_BYTE *aad,
                    CK_ULONG aad_length, struct parameter *parameter)
{
	/* The bits that are not the caller's; all counters of ours are random numbers. */
	if (seals && m->generator != CKG_NO_GENERATE && !FAULT(iv_not_generated)) {
		CK_ULONG whole = m->fixed_bits / 8;
		CK_BYTE first = m->iv[whole < m->iv_length ? whole : 0];
		CK_BYTE keep = (CK_BYTE)(0xff00 >> (m->fixed_bits % 8));

		if (whole < m->iv_length) {
			random_bytes(m->iv + whole, m->iv_length - whole);
			m->iv[whole] = (CK_BYTE)((first & keep) | (m->iv[whole] & ~keep));
		}
	}
	parameter_done(parameter);
	bytes_add(&parameter->iv, m->iv, m->iv_length);
	bytes_add(&parameter->aad, aad, aad_length);
	parameter->length = m->tag_length;
	parameter->data = m->data;
	return parameter->iv.failed || parameter->aad.failed ? CKR_HOST_MEMORY : CKR_OK;
}

/* ---- encryption and decryption ------------------------------------------------------------------------------ */

static bool misses(const void *data, CK_ULONG length)
{
	return !data && length > 0;
}

static void end_message(struct operation *operation)
{
	operation->message = false;
	bytes_done(&operation->input);
	bytes_done(&operation->signature);
	operation->emitted = 0;
}

/* The message's next output; with `last`, its tag goes to (or is taken from) the parameter. */
static CK_RV crypt(struct operation *operation, enum kind kind, struct message_parameter *m,
                   const CK_BYTE *data, CK_ULONG length, bool last, CK_BYTE *to,
                   CK_ULONG *to_length)
{
	struct compute compute = operation_compute(kind, operation, last);
	struct bytes output = { 0 }, tag = { 0 };
	CK_ULONG total = operation->input.length + length, need;
	CK_RV rv;

	compute.detached = true;
	compute.output = &output;
	compute.tag = &tag;
	need = last ? compute_length(&compute, total) : compute_available(&compute, total);
	need -= operation->emitted;
	if (!give_room(need, to, to_length, &rv))
		return rv;
	if (kind == KIND_MESSAGE_DECRYPT)
		bytes_add(&tag, m->tag, m->tag_length);
	bytes_add(&operation->input, data, length);
	rv = operation->input.failed || tag.failed ? CKR_HOST_MEMORY
	                                           : operation->mechanism->compute(&compute);
	if (rv == CKR_OK)
		rv = give_bytes(output.data + operation->emitted,
		                output.length - operation->emitted, to, to_length);
	if (rv == CKR_OK) {
		operation->emitted = output.length;
		if (last && kind == KIND_MESSAGE_ENCRYPT && !FAULT(message_tag_missing))
			memcpy(m->tag, tag.data, m->tag_length);
	}
	bytes_done(&output);
	bytes_done(&tag);
	return rv;
}

static CK_RV crypt_message(CK_SESSION_HANDLE handle, enum kind kind, const void *parameter,
                           CK_ULONG parameter_length, const CK_BYTE *aad, CK_ULONG aad_length,
                           const CK_BYTE *data, CK_ULONG length, CK_BYTE *to, CK_ULONG *to_length)
{
	struct session *session = session_find(handle);
	struct operation *operation = session->operations[kind];
	struct message_parameter m;
	struct compute compute;
	CK_RV rv;

	if (!operation)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (operation->message && !FAULT(message_inside_message))
		return CKR_OPERATION_ACTIVE;
	if (operation->needs_login)
		return CKR_USER_NOT_LOGGED_IN;
	if (misses(aad, aad_length) || misses(data, length) || !to_length)
		return CKR_ARGUMENTS_BAD;
	rv = message_read(operation->mechanism, parameter, parameter_length, &m);
	if (rv != CKR_OK)
		return rv;
	/* No IV is made for a call that only asks. */
	compute = operation_compute(kind, operation, true);
	compute.detached = true;
	if (!give_room(compute_length(&compute, length), to, to_length, &rv))
		return rv;
	rv = message_begin(&m, kind == KIND_MESSAGE_ENCRYPT, aad, aad_length,
	                   &operation->parameter);
	if (rv == CKR_OK)
		rv = crypt(operation, kind, &m, data, length, true, to, to_length);
	end_message(operation);
	if (FAULT(message_ends_process))
		operation_end(session, kind);
	return rv;
}

static CK_RV begin_message(CK_SESSION_HANDLE handle, enum kind kind, const void *parameter,
                           CK_ULONG parameter_length, const CK_BYTE *aad, CK_ULONG aad_length)
{
	struct operation *operation = session_find(handle)->operations[kind];
	struct message_parameter m;
	CK_RV rv;

	if (!operation)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (operation->message)
		return CKR_OPERATION_ACTIVE;
	if (operation->needs_login)
		return CKR_USER_NOT_LOGGED_IN;
	if (misses(aad, aad_length))
		return CKR_ARGUMENTS_BAD;
	rv = message_read(operation->mechanism, parameter, parameter_length, &m);
	if (rv == CKR_OK)
		rv = message_begin(&m, kind == KIND_MESSAGE_ENCRYPT, aad, aad_length,
		                   &operation->parameter);
	operation->message = rv == CKR_OK;
	return rv;
}

static CK_RV next_part(CK_SESSION_HANDLE handle, enum kind kind, const void *parameter,
                       CK_ULONG parameter_length, const CK_BYTE *data, CK_ULONG length, CK_BYTE *to,
                       CK_ULONG *to_length, CK_FLAGS flags)
{
	struct operation *operation = session_find(handle)->operations[kind];
	bool last = flags & CKF_END_OF_MESSAGE;
	struct message_parameter m;
	CK_RV rv;

	if (!operation || !operation->message)
		return FAULT(message_next_without_begin) ? CKR_OK : CKR_OPERATION_NOT_INITIALIZED;
	if (misses(data, length) || !to_length)
		rv = CKR_ARGUMENTS_BAD;
	else
		rv = message_read(operation->mechanism, parameter, parameter_length, &m);
	if (rv == CKR_OK)
		rv = crypt(operation, kind, &m, data, length, last, to, to_length);
	/* An error ends the message, and its last part ends it anyway (§5.9.4). */
	if (rv != CKR_BUFFER_TOO_SMALL && (rv != CKR_OK || (last && to)) &&
	    !FAULT(end_of_message_ignored))
		end_message(operation);
	if (rv != CKR_BUFFER_TOO_SMALL && rv != CKR_OK && FAULT(message_error_ends_process))
		operation_end(session_find(handle), kind);
	return rv;
}

/* C_Message…Init, C_Message…Final. */
static CK_RV begin_process(CK_SESSION_HANDLE handle, enum kind kind, const CK_MECHANISM *mechanism,
                           CK_OBJECT_HANDLE key)
{
	struct session *session = session_find(handle);
	CK_RV rv;

	if (mechanism_cancels(mechanism, &rv, session, kind))
		return rv;
	return operation_begin(session, kind, mechanism, key);
}

static CK_RV end_process(CK_SESSION_HANDLE handle, enum kind kind)
{
	struct session *session = session_find(handle);

	if (!session->operations[kind])
		return CKR_OPERATION_NOT_INITIALIZED;
	if (!FAULT(message_final_keeps))
		operation_end(session, kind);
	return CKR_OK;
}

CK_RV mock_C_MessageEncryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                                CK_OBJECT_HANDLE hKey)
{
	return begin_process(hSession, KIND_MESSAGE_ENCRYPT, pMechanism, hKey);
}

CK_RV mock_C_EncryptMessage(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                            CK_ULONG ulParameterLen, CK_BYTE_PTR pAssociatedData,
                            CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pPlaintext,
                            CK_ULONG ulPlaintextLen, CK_BYTE_PTR pCiphertext,
                            CK_ULONG_PTR pulCiphertextLen)
{
	return crypt_message(hSession, KIND_MESSAGE_ENCRYPT, pParameter, ulParameterLen,
	                     pAssociatedData, ulAssociatedDataLen, pPlaintext, ulPlaintextLen,
	                     pCiphertext, pulCiphertextLen);
}

CK_RV mock_C_EncryptMessageBegin(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                                 CK_ULONG ulParameterLen, CK_BYTE_PTR pAssociatedData,
                                 CK_ULONG ulAssociatedDataLen)
{
	return begin_message(hSession, KIND_MESSAGE_ENCRYPT, pParameter, ulParameterLen,
	                     pAssociatedData, ulAssociatedDataLen);
}

CK_RV mock_C_EncryptMessageNext(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                                CK_ULONG ulParameterLen, CK_BYTE_PTR pPlaintextPart,
                                CK_ULONG ulPlaintextPartLen, CK_BYTE_PTR pCiphertextPart,
                                CK_ULONG_PTR pulCiphertextPartLen, CK_FLAGS flags)
{
	return next_part(hSession, KIND_MESSAGE_ENCRYPT, pParameter, ulParameterLen, pPlaintextPart,
	                 ulPlaintextPartLen, pCiphertextPart, pulCiphertextPartLen, flags);
}

CK_RV mock_C_MessageEncryptFinal(CK_SESSION_HANDLE hSession)
{
	return end_process(hSession, KIND_MESSAGE_ENCRYPT);
}

CK_RV mock_C_MessageDecryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                                CK_OBJECT_HANDLE hKey)
{
	return begin_process(hSession, KIND_MESSAGE_DECRYPT, pMechanism, hKey);
}

CK_RV mock_C_DecryptMessage(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                            CK_ULONG ulParameterLen, CK_BYTE_PTR pAssociatedData,
                            CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pCiphertext,
                            CK_ULONG ulCiphertextLen, CK_BYTE_PTR pPlaintext,
                            CK_ULONG_PTR pulPlaintextLen)
{
	return crypt_message(hSession, KIND_MESSAGE_DECRYPT, pParameter, ulParameterLen,
	                     pAssociatedData, ulAssociatedDataLen, pCiphertext, ulCiphertextLen,
	                     pPlaintext, pulPlaintextLen);
}

CK_RV mock_C_DecryptMessageBegin(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                                 CK_ULONG ulParameterLen, CK_BYTE_PTR pAssociatedData,
                                 CK_ULONG ulAssociatedDataLen)
{
	return begin_message(hSession, KIND_MESSAGE_DECRYPT, pParameter, ulParameterLen,
	                     pAssociatedData, ulAssociatedDataLen);
}

CK_RV mock_C_DecryptMessageNext(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                                CK_ULONG ulParameterLen, CK_BYTE_PTR pCiphertextPart,
                                CK_ULONG ulCiphertextPartLen, CK_BYTE_PTR pPlaintextPart,
                                CK_ULONG_PTR pulPlaintextPartLen, CK_FLAGS flags)
{
	return next_part(hSession, KIND_MESSAGE_DECRYPT, pParameter, ulParameterLen,
	                 pCiphertextPart, ulCiphertextPartLen, pPlaintextPart, pulPlaintextPartLen,
	                 flags);
}

CK_RV mock_C_MessageDecryptFinal(CK_SESSION_HANDLE hSession)
{
	return end_process(hSession, KIND_MESSAGE_DECRYPT);
}

/* ---- signing and verifying: no mechanism here has a parameter for single messages ------------------------ */

static CK_RV sign(struct operation *operation, const CK_BYTE *data, CK_ULONG length, CK_BYTE *to,
                  CK_ULONG *to_length)
{
	struct compute compute = operation_compute(KIND_MESSAGE_SIGN, operation, true);
	struct bytes output = { 0 };
	CK_RV rv;

	if (!give_room(compute_length(&compute, operation->input.length + length), to, to_length,
	               &rv))
		return rv;
	bytes_add(&operation->input, data, length);
	compute.output = &output;
	rv = operation->input.failed ? CKR_HOST_MEMORY : operation->mechanism->compute(&compute);
	if (rv == CKR_OK)
		rv = give_bytes(output.data, output.length, to, to_length);
	bytes_done(&output);
	return rv;
}

static CK_RV verify(struct operation *operation, const CK_BYTE *data, CK_ULONG length,
                    const CK_BYTE *signature, CK_ULONG signature_length)
{
	struct compute compute = operation_compute(KIND_MESSAGE_VERIFY, operation, true);
	struct bytes output = { 0 };
	CK_RV rv;

	bytes_add(&operation->input, data, length);
	bytes_add(&operation->signature, signature, signature_length);
	compute.output = &output;
	rv = operation->input.failed || operation->signature.failed
	             ? CKR_HOST_MEMORY
	             : operation->mechanism->compute(&compute);
	bytes_done(&output);
	return rv;
}

static CK_RV begin_signed(CK_SESSION_HANDLE handle, enum kind kind, const void *parameter,
                          CK_ULONG parameter_length)
{
	struct operation *operation = session_find(handle)->operations[kind];

	if (!operation)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (operation->message)
		return CKR_OPERATION_ACTIVE;
	if (operation->needs_login)
		return CKR_USER_NOT_LOGGED_IN;
	if (misses(parameter, parameter_length))
		return CKR_ARGUMENTS_BAD;
	operation->message = true;
	return CKR_OK;
}

CK_RV mock_C_MessageSignInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                             CK_OBJECT_HANDLE hKey)
{
	return begin_process(hSession, KIND_MESSAGE_SIGN, pMechanism, hKey);
}

CK_RV mock_C_SignMessage(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                         CK_ULONG ulParameterLen, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                         CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	struct operation *operation = session_find(hSession)->operations[KIND_MESSAGE_SIGN];
	CK_RV rv;

	if (!operation)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (misses(pData, ulDataLen) || !pulSignatureLen)
		return CKR_ARGUMENTS_BAD;
	rv = begin_signed(hSession, KIND_MESSAGE_SIGN, pParameter, ulParameterLen);
	if (rv != CKR_OK)
		return rv;
	rv = sign(operation, pData, ulDataLen, pSignature, pulSignatureLen);
	end_message(operation);
	return rv;
}

CK_RV mock_C_SignMessageBegin(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                              CK_ULONG ulParameterLen)
{
	const struct operation *operation = session_find(hSession)->operations[KIND_MESSAGE_SIGN];

	if (operation && (operation->mechanism->traits & SINGLE))
		return CKR_MECHANISM_INVALID;
	return begin_signed(hSession, KIND_MESSAGE_SIGN, pParameter, ulParameterLen);
}

CK_RV mock_C_SignMessageNext(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                             CK_ULONG ulParameterLen, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                             CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	struct operation *operation = session_find(hSession)->operations[KIND_MESSAGE_SIGN];
	CK_RV rv;

	if (!operation || !operation->message)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (misses(pData, ulDataLen) || misses(pParameter, ulParameterLen)) {
		end_message(operation);
		return CKR_ARGUMENTS_BAD;
	}
	/* Without a length more parts follow (§5.14.4). */
	if (!pulSignatureLen) {
		bytes_add(&operation->input, pData, ulDataLen);
		return operation->input.failed ? CKR_HOST_MEMORY : CKR_OK;
	}
	rv = sign(operation, pData, ulDataLen, pSignature, pulSignatureLen);
	if (rv != CKR_BUFFER_TOO_SMALL && !(rv == CKR_OK && !pSignature))
		end_message(operation);
	return rv;
}

CK_RV mock_C_MessageSignFinal(CK_SESSION_HANDLE hSession)
{
	return end_process(hSession, KIND_MESSAGE_SIGN);
}

CK_RV mock_C_MessageVerifyInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                               CK_OBJECT_HANDLE hKey)
{
	return begin_process(hSession, KIND_MESSAGE_VERIFY, pMechanism, hKey);
}

CK_RV mock_C_VerifyMessage(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                           CK_ULONG ulParameterLen, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                           CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
	struct operation *operation = session_find(hSession)->operations[KIND_MESSAGE_VERIFY];
	CK_RV rv;

	if (!operation)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (misses(pData, ulDataLen) || misses(pSignature, ulSignatureLen))
		return CKR_ARGUMENTS_BAD;
	rv = begin_signed(hSession, KIND_MESSAGE_VERIFY, pParameter, ulParameterLen);
	if (rv != CKR_OK)
		return rv;
	rv = verify(operation, pData, ulDataLen, pSignature, ulSignatureLen);
	end_message(operation);
	return rv;
}

CK_RV mock_C_VerifyMessageBegin(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                                CK_ULONG ulParameterLen)
{
	return begin_signed(hSession, KIND_MESSAGE_VERIFY, pParameter, ulParameterLen);
}

CK_RV mock_C_VerifyMessageNext(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter,
                               CK_ULONG ulParameterLen, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
                               CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
	struct operation *operation = session_find(hSession)->operations[KIND_MESSAGE_VERIFY];
	CK_RV rv;

	if (!operation || !operation->message)
		return CKR_OPERATION_NOT_INITIALIZED;
	if (misses(pData, ulDataLen) || misses(pParameter, ulParameterLen)) {
		end_message(operation);
		return CKR_ARGUMENTS_BAD;
	}
	if (!pSignature) {
		bytes_add(&operation->input, pData, ulDataLen);
		return operation->input.failed ? CKR_HOST_MEMORY : CKR_OK;
	}
	rv = verify(operation, pData, ulDataLen, pSignature, ulSignatureLen);
	end_message(operation);
	return rv;
}

CK_RV mock_C_MessageVerifyFinal(CK_SESSION_HANDLE hSession)
{
	return end_process(hSession, KIND_MESSAGE_VERIFY);
}
