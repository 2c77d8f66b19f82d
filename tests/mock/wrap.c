/* SPDX-License-Identifier: MIT
 *
 * Wrapping and unwrapping keys (PKCS#11 3.2 §5.18.3, §5.18.4, §5.18.6, §5.18.7), encapsulating and decapsulating
 * (§5.18.8, §5.18.9).
 */
#include <openssl/evp.h>
#include <string.h>

#include "tests/mock/mock.h"

static bool misses(const void *data, CK_ULONG length)
{
	return !data && length > 0;
}

static CK_ULONG template_ulong(const CK_ATTRIBUTE *template, CK_ULONG count, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG value = CK_UNAVAILABLE_INFORMATION;

	for (CK_ULONG i = 0; i < count; i++) {
		if (template[i].type == type && template[i].pValue &&
		    template[i].ulValueLen == sizeof(value))
			memcpy(&value, template[i].pValue, sizeof(value));
	}
	return value;
}

/* ---- wrapping ------------------------------------------------------------------------------------- */

/* CKA_WRAP_TEMPLATE: what the target must be like. */
static bool fits_template(const struct object *wrapping, const struct object *target)
{
	const struct attribute *template =
		attributes_find(&wrapping->attributes, CKA_WRAP_TEMPLATE);

	for (size_t i = 0; template && template->nested && i < template->nested->count; i++) {
		const struct attribute *need = &template->nested->list[i];
		const struct attribute *is = attributes_find(&target->attributes, need->type);

		if (!is || !attribute_equals(is, need))
			return FAULT(wrap_template_ignored);
	}
	return true;
}

static CK_RV check_target(const struct mechanism *row, const struct object *wrapping,
                          const struct object *target)
{
	CK_OBJECT_CLASS class;

	if (!target || !attributes_find(&target->attributes, CKA_KEY_TYPE))
		return CKR_KEY_HANDLE_INVALID;
	class = object_class(&target->attributes);
	if (class != CKO_SECRET_KEY && class != CKO_PRIVATE_KEY)
		return CKR_KEY_NOT_WRAPPABLE;
	if (!attributes_bool(&target->attributes, CKA_EXTRACTABLE) &&
	    !FAULT(wrap_ignores_extractable))
		return CKR_KEY_UNEXTRACTABLE;
	if (attributes_bool(&target->attributes, CKA_WRAP_WITH_TRUSTED) &&
	    !attributes_bool(&wrapping->attributes, CKA_TRUSTED) && !FAULT(wrap_ignores_trusted))
		return CKR_KEY_NOT_WRAPPABLE;
	if (!fits_template(wrapping, target))
		return CKR_KEY_HANDLE_INVALID;
	/* Without padding the end of a PKCS #8 structure would be lost; RSA takes secrets only (§6.1.6). */
	if (class == CKO_PRIVATE_KEY && !(row->traits & (PADDED | STREAM)))
		return CKR_KEY_NOT_WRAPPABLE;
	return CKR_OK;
}

/* Wrap, with the tag in the ciphertext or, if `message` is there, apart. */
static CK_RV wrap(const struct compute *use, const struct object *target,
                  const struct message_parameter *message, CK_BYTE *to, CK_ULONG *to_length)
{
	struct bytes input = { 0 }, output = { 0 }, tag = { 0 };
	struct compute compute = *use;
	CK_RV rv = key_wrap_bytes(&target->attributes, &input);

	compute.kind = KIND_WRAP;
	compute.input = &input;
	compute.output = &output;
	compute.tag = &tag;
	compute.last = true;
	compute.detached = message != NULL;
	if (rv == CKR_OK && give_room(compute_length(&compute, input.length), to, to_length, &rv))
		rv = compute.mechanism->compute(&compute);
	if (rv == CKR_OK && output.length > 0)
		rv = give_bytes(output.data, output.length, to, to_length);
	if (rv == CKR_OK && message && tag.length == message->tag_length)
		memcpy(message->tag, tag.data, tag.length);
	bytes_done(&input);
	bytes_done(&output);
	bytes_done(&tag);
	return rv;
}

CK_RV mock_C_WrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                     CK_OBJECT_HANDLE hWrappingKey, CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pWrappedKey,
                     CK_ULONG_PTR pulWrappedKeyLen)
{
	struct session *session = session_find(hSession);
	const struct object *target = object_find(session, hKey);
	struct object *wrapping;
	struct parameter parameter;
	struct compute compute = { .parameter = &parameter };
	CK_RV rv;

	if (!pulWrappedKeyLen)
		return CKR_ARGUMENTS_BAD;
	rv = mechanism_use(session, KIND_WRAP, pMechanism, hWrappingKey, &compute.mechanism,
	                   &wrapping, &parameter);
	if (rv != CKR_OK)
		return rv;
	compute.key = &wrapping->attributes;
	rv = check_target(compute.mechanism, wrapping, target);
	if (rv == CKR_OK)
		rv = wrap(&compute, target, NULL, pWrappedKey, pulWrappedKeyLen);
	parameter_done(&parameter);
	return rv;
}

/* The mechanism of the authenticated functions: an AEAD, with its message parameter. */
static CK_RV use_authenticated(struct session *session, enum kind kind,
                               const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key,
                               struct compute *compute, struct object **ret_key,
                               struct parameter *parameter, struct message_parameter *message)
{
	CK_RV rv = mechanism_use(session, kind, mechanism, key, &compute->mechanism, ret_key,
	                         parameter);

	if (rv != CKR_OK)
		return rv;
	if (!(compute->mechanism->traits & AEAD))
		rv = CKR_MECHANISM_INVALID;
	else
		rv = message_read(compute->mechanism, mechanism->pParameter,
		                  mechanism->ulParameterLen, message);
	if (rv != CKR_OK)
		parameter_done(parameter);
	compute->parameter = parameter;
	return rv;
}

CK_RV mock_C_WrapKeyAuthenticated(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                                  CK_OBJECT_HANDLE hWrappingKey, CK_OBJECT_HANDLE hKey,
                                  CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen,
                                  CK_BYTE_PTR pWrappedKey, CK_ULONG_PTR pulWrappedKeyLen)
{
	struct session *session = session_find(hSession);
	const struct object *target = object_find(session, hKey);
	struct message_parameter message;
	struct compute compute = { 0 };
	struct parameter parameter;
	struct object *wrapping;
	CK_RV rv;

	if (!pulWrappedKeyLen || misses(pAssociatedData, ulAssociatedDataLen))
		return CKR_ARGUMENTS_BAD;
	rv = use_authenticated(session, KIND_WRAP_AUTHENTICATED, pMechanism, hWrappingKey, &compute,
	                       &wrapping, &parameter, &message);
	if (rv != CKR_OK)
		return rv;
	compute.key = &wrapping->attributes;
	rv = check_target(compute.mechanism, wrapping, target);
	/* No IV is made for a length query. */
	if (rv == CKR_OK)
		rv = message_begin(&message, pWrappedKey != NULL, pAssociatedData,
		                   FAULT(wrapped_data_ignored) ? 0 : ulAssociatedDataLen,
		                   &parameter);
	if (rv == CKR_OK)
		rv = wrap(&compute, target, &message, pWrappedKey, pulWrappedKeyLen);
	parameter_done(&parameter);
	return rv;
}

/* ---- unwrapping -------------------------------------------------------------------------------------- */

/* The length of a secret key that was unwrapped: the type's, the template's, or that of the data. */
static CK_RV unwrapped_length(const struct mechanism *row, CK_KEY_TYPE type, CK_ULONG said,
                              struct bytes *value)
{
	CK_ULONG length = secret_fixed_length(type) ? secret_fixed_length(type) : said;
	bool exact = (row->traits & (PADDED | STREAM)) || row->compute == compute_keywrap ||
	             (row->compute == compute_rsa_crypt && row->type != CKM_RSA_X_509);

	if (said != CK_UNAVAILABLE_INFORMATION && said != length)
		return CKR_WRAPPED_KEY_LEN_RANGE;
	if (length == CK_UNAVAILABLE_INFORMATION) {
		/* Zeros may have been added to fill a block: of an AES key only 16 bytes are certain. */
		if (!exact && !(type == CKK_AES && value->length == 16))
			return CKR_TEMPLATE_INCOMPLETE;
		length = value->length;
	}
	if (length > value->length || (exact && length != value->length) || length == 0 ||
	    !secret_length_fits(type, length))
		return CKR_WRAPPED_KEY_LEN_RANGE;
	/* Raw RSA has zeros before it, a block cipher behind it. */
	if (row->compute == compute_rsa_crypt)
		memmove(value->data, value->data + value->length - length, length);
	value->length = length;
	return CKR_OK;
}

/* Make the key object of the bytes. */
static CK_RV make_unwrapped(struct session *session, const struct mechanism *row,
                            const struct object *unwrapping, struct bytes *value,
                            const CK_ATTRIBUTE *template, CK_ULONG count,
                            CK_OBJECT_HANDLE *ret_handle)
{
	const struct attribute *extra =
		attributes_find(&unwrapping->attributes, CKA_UNWRAP_TEMPLATE);
	CK_OBJECT_CLASS class = template_ulong(template, count, CKA_CLASS);
	CK_KEY_TYPE type = template_ulong(template, count, CKA_KEY_TYPE);
	struct attributes contributed = { 0 };
	struct object *object;
	CK_RV rv = CKR_OK;

	if (class == CK_UNAVAILABLE_INFORMATION || type == CK_UNAVAILABLE_INFORMATION) {
		rv = CKR_TEMPLATE_INCOMPLETE;
	} else if (class == CKO_PRIVATE_KEY) {
		rv = key_unwrap_private(value, &contributed);
	} else if (class == CKO_SECRET_KEY) {
		rv = unwrapped_length(row, type, template_ulong(template, count, CKA_VALUE_LEN),
		                      value);
		if (rv == CKR_OK)
			attributes_put(&contributed, CKA_VALUE, value->data, value->length);
	} else {
		rv = CKR_TEMPLATE_INCONSISTENT;
	}
	if (rv != CKR_OK) {
		attributes_done(&contributed);
		return rv;
	}
	rv = object_make(session, FROM_UNWRAP, template, count, &contributed,
	                 extra && !FAULT(unwrap_template_ignored) ? extra->nested : NULL, &object);
	if (rv == CKR_OK)
		*ret_handle = object_publish(object);
	return rv;
}

static CK_RV unwrap(const struct compute *use, const CK_BYTE *wrapped, CK_ULONG length,
                    struct bytes *tag, struct bytes *value)
{
	struct compute compute = *use;
	struct bytes input = { 0 };
	CK_RV rv;

	bytes_add(&input, wrapped, length);
	compute.kind = KIND_UNWRAP;
	compute.input = &input;
	compute.output = value;
	compute.tag = tag;
	compute.detached = tag != NULL;
	compute.last = true;
	rv = input.failed ? CKR_HOST_MEMORY : compute.mechanism->compute(&compute);
	bytes_done(&input);
	return rv;
}

CK_RV mock_C_UnwrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                       CK_OBJECT_HANDLE hUnwrappingKey, CK_BYTE_PTR pWrappedKey,
                       CK_ULONG ulWrappedKeyLen, CK_ATTRIBUTE_PTR pTemplate,
                       CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE_PTR phKey)
{
	struct session *session = session_find(hSession);
	struct parameter parameter;
	struct compute compute = { .parameter = &parameter };
	struct bytes value = { 0 };
	struct object *unwrapping;
	CK_RV rv = slot_writes(session->slot);

	if (rv != CKR_OK)
		return rv;
	if (!phKey || !pWrappedKey || misses(pTemplate, ulAttributeCount))
		return CKR_ARGUMENTS_BAD;
	rv = mechanism_use(session, KIND_UNWRAP, pMechanism, hUnwrappingKey, &compute.mechanism,
	                   &unwrapping, &parameter);
	if (rv != CKR_OK)
		return rv;
	compute.key = &unwrapping->attributes;
	rv = unwrap(&compute, pWrappedKey, ulWrappedKeyLen, NULL, &value);
	if (rv == CKR_OK)
		rv = make_unwrapped(session, compute.mechanism, unwrapping, &value, pTemplate,
		                    ulAttributeCount, phKey);
	parameter_done(&parameter);
	bytes_done(&value);
	return rv;
}

CK_RV mock_C_UnwrapKeyAuthenticated(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                                    CK_OBJECT_HANDLE hUnwrappingKey, CK_BYTE_PTR pWrappedKey,
                                    CK_ULONG ulWrappedKeyLen, CK_ATTRIBUTE_PTR pTemplate,
                                    CK_ULONG ulAttributeCount, CK_BYTE_PTR pAssociatedData,
                                    CK_ULONG ulAssociatedDataLen, CK_OBJECT_HANDLE_PTR phKey)
{
	struct session *session = session_find(hSession);
	struct message_parameter message;
	struct compute compute = { 0 };
	struct bytes value = { 0 }, tag = { 0 };
	struct parameter parameter;
	struct object *unwrapping;
	CK_RV rv = slot_writes(session->slot);

	if (rv != CKR_OK)
		return rv;
	if (!phKey || !pWrappedKey || misses(pTemplate, ulAttributeCount) ||
	    misses(pAssociatedData, ulAssociatedDataLen))
		return CKR_ARGUMENTS_BAD;
	rv = use_authenticated(session, KIND_UNWRAP_AUTHENTICATED, pMechanism, hUnwrappingKey,
	                       &compute, &unwrapping, &parameter, &message);
	if (rv != CKR_OK)
		return rv;
	compute.key = &unwrapping->attributes;
	rv = message_begin(&message, false, pAssociatedData,
	                   FAULT(wrapped_data_ignored) ? 0 : ulAssociatedDataLen, &parameter);
	bytes_add(&tag, message.tag, message.tag_length);
	if (rv == CKR_OK)
		rv = unwrap(&compute, pWrappedKey, ulWrappedKeyLen, &tag, &value);
	if (rv == CKR_OK)
		rv = make_unwrapped(session, compute.mechanism, unwrapping, &value, pTemplate,
		                    ulAttributeCount, phKey);
	parameter_done(&parameter);
	bytes_done(&value);
	bytes_done(&tag);
	return rv;
}

/* ---- encapsulating: RSA sends a random secret, (EC)DH an ephemeral public key --------------------------- */

/* How long the secret is to be: of RSA nothing else says it. */
static CK_RV secret_length(const struct mechanism *row, const CK_ATTRIBUTE *template,
                           CK_ULONG count, CK_ULONG *ret_length)
{
	CK_KEY_TYPE type = template_ulong(template, count, CKA_KEY_TYPE);
	CK_ULONG length = template_ulong(template, count, CKA_VALUE_LEN);

	if (type == CK_UNAVAILABLE_INFORMATION)
		return CKR_TEMPLATE_INCOMPLETE;
	if (secret_fixed_length(type))
		length = secret_fixed_length(type);
	if (length == CK_UNAVAILABLE_INFORMATION) {
		if (row->compute)
			return CKR_TEMPLATE_INCOMPLETE;
		length = 0;
	}
	if (length > 512)
		return CKR_KEY_SIZE_RANGE;
	*ret_length = length;
	return CKR_OK;
}

/* The derivation's parameter with the peer's public data in it. */
static CK_RV derive_with(struct session *session, const struct mechanism *row,
                         const CK_MECHANISM *mechanism, const struct attributes *private_key,
                         CK_BYTE *data, CK_ULONG data_length, CK_ULONG length, struct bytes *secret)
{
	CK_ECDH1_DERIVE_PARAMS params = { .kdf = CKD_NULL };
	CK_MECHANISM whole = { mechanism->mechanism, &params, sizeof(params) };
	struct attributes nothing = { 0 };
	CK_RV rv;

	if (row->derive == derive_dh) {
		whole.pParameter = data;
		whole.ulParameterLen = data_length;
	} else {
		if (mechanism->pParameter && mechanism->ulParameterLen == sizeof(params))
			memcpy(&params, mechanism->pParameter, sizeof(params));
		else if (mechanism->ulParameterLen != 0)
			return CKR_MECHANISM_PARAM_INVALID;
		params.pPublicData = data;
		params.ulPublicDataLen = data_length;
	}
	rv = row->derive(session, &whole, private_key, length, secret, &nothing);
	attributes_done(&nothing);
	return rv == CKR_OK && length > 0 && secret->length < length ? CKR_KEY_SIZE_RANGE : rv;
}

/* An ephemeral pair beside the public key: its public data are the ciphertext. */
static CK_RV ephemeral(struct session *session, const struct object *key,
                       struct attributes *private_part, struct bytes *ciphertext)
{
	CK_KEY_TYPE type = object_key_type(&key->attributes);
	struct attributes public_part = { 0 };
	const struct attribute *point;
	CK_MECHANISM mechanism = { type == CKK_DH   ? CKM_DH_PKCS_KEY_PAIR_GEN
		                   : type == CKK_EC ? CKM_EC_KEY_PAIR_GEN
		                                    : CKM_EC_MONTGOMERY_KEY_PAIR_GEN,
		                   NULL, 0 };
	CK_RV rv = mechanism_row(mechanism.mechanism)
	                   ->generate(session, &mechanism, &key->attributes, &public_part,
	                              private_part);

	point = attributes_find(&public_part, type == CKK_DH ? CKA_VALUE : CKA_EC_POINT);
	if (rv == CKR_OK && type == CKK_EC) {
		/* The point itself, out of its OCTET STRING. */
		CK_ULONG head = point->value[1] == 0x81 ? 3 : 2;

		bytes_add(ciphertext, point->value + head, point->length - head);
	} else if (rv == CKR_OK) {
		bytes_add(ciphertext, point->value, point->length);
	}
	attributes_done(&public_part);
	return rv;
}

static CK_RV encapsulate(struct session *session, const CK_MECHANISM *mechanism,
                         struct compute *compute, const struct object *key, CK_ULONG length,
                         struct bytes *secret, struct bytes *ciphertext)
{
	bool dh = object_key_type(&key->attributes) == CKK_DH;
	const struct attribute *theirs =
		attributes_find(&key->attributes, dh ? CKA_VALUE : CKA_EC_POINT);
	struct attributes own = { 0 };
	CK_BYTE *to;
	CK_RV rv;

	if (compute->mechanism->compute) {
		to = bytes_extend(secret, length);
		if (!to)
			return CKR_HOST_MEMORY;
		random_bytes(to, length);
		compute->kind = KIND_ENCAPSULATE;
		compute->key = &key->attributes;
		compute->input = secret;
		compute->output = ciphertext;
		compute->last = true;
		return compute->mechanism->compute(compute);
	}
	rv = ephemeral(session, key, &own, ciphertext);
	if (rv == CKR_OK)
		rv = derive_with(session, compute->mechanism, mechanism, &own, theirs->value,
		                 theirs->length, length, secret);
	attributes_done(&own);
	return rv;
}

static CK_ULONG ciphertext_length(const struct attributes *key)
{
	CK_ULONG bytes = (key_size(key) + 7) / 8;

	return object_key_type(key) == CKK_EC ? 2 * bytes + 1 : bytes;
}

static CK_RV make_secret(struct session *session, enum kind kind, const struct object *key,
                         const struct bytes *secret, const CK_ATTRIBUTE *template, CK_ULONG count,
                         struct object **ret_object)
{
	const struct attribute *extra = attributes_find(
		&key->attributes,
		kind == KIND_ENCAPSULATE ? CKA_ENCAPSULATE_TEMPLATE : CKA_DECAPSULATE_TEMPLATE);
	struct attributes contributed = { 0 };

	attributes_put_ulong(&contributed, CKA_CLASS, CKO_SECRET_KEY);
	attributes_put(&contributed, CKA_VALUE, secret->data, secret->length);
	return object_make(session, FROM_UNWRAP, template, count, &contributed,
	                   extra ? extra->nested : NULL, ret_object);
}

CK_RV mock_C_EncapsulateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                            CK_OBJECT_HANDLE hPublicKey, CK_ATTRIBUTE_PTR pTemplate,
                            CK_ULONG ulAttributeCount, CK_BYTE_PTR pCiphertext,
                            CK_ULONG_PTR pulCiphertextLen, CK_OBJECT_HANDLE_PTR phKey)
{
	struct session *session = session_find(hSession);
	struct bytes secret = { 0 }, ciphertext = { 0 };
	struct parameter parameter;
	struct compute compute = { .parameter = &parameter };
	struct object *key, *object = NULL;
	CK_ULONG length;
	CK_RV rv = slot_writes(session->slot);

	if (rv != CKR_OK)
		return rv;
	if (!pulCiphertextLen || !phKey || misses(pTemplate, ulAttributeCount))
		return CKR_ARGUMENTS_BAD;
	rv = mechanism_use(session, KIND_ENCAPSULATE, pMechanism, hPublicKey, &compute.mechanism,
	                   &key, &parameter);
	if (rv != CKR_OK)
		return rv;
	rv = secret_length(compute.mechanism, pTemplate, ulAttributeCount, &length);
	if (rv == CKR_OK &&
	    give_room(ciphertext_length(&key->attributes), pCiphertext, pulCiphertextLen, &rv)) {
		rv = encapsulate(session, pMechanism, &compute, key, length, &secret, &ciphertext);
		if (rv == CKR_OK)
			rv = make_secret(session, KIND_ENCAPSULATE, key, &secret, pTemplate,
			                 ulAttributeCount, &object);
		if (rv == CKR_OK)
			rv = give_bytes(ciphertext.data, ciphertext.length, pCiphertext,
			                pulCiphertextLen);
	}
	if (object && rv == CKR_OK)
		*phKey = object_publish(object);
	else
		object_free(object);
	bytes_done(&secret);
	bytes_done(&ciphertext);
	parameter_done(&parameter);
	return rv;
}

CK_RV mock_C_DecapsulateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                            CK_OBJECT_HANDLE hPrivateKey, CK_ATTRIBUTE_PTR pTemplate,
                            CK_ULONG ulAttributeCount, CK_BYTE_PTR pCiphertext,
                            CK_ULONG ulCiphertextLen, CK_OBJECT_HANDLE_PTR phKey)
{
	struct session *session = session_find(hSession);
	struct bytes secret = { 0 };
	struct parameter parameter;
	struct compute compute = { .parameter = &parameter };
	struct object *key, *object;
	CK_ULONG length;
	CK_RV rv = slot_writes(session->slot);

	if (rv != CKR_OK)
		return rv;
	if (!pCiphertext || !phKey || misses(pTemplate, ulAttributeCount))
		return CKR_ARGUMENTS_BAD;
	rv = mechanism_use(session, KIND_DECAPSULATE, pMechanism, hPrivateKey, &compute.mechanism,
	                   &key, &parameter);
	if (rv != CKR_OK)
		return rv;
	rv = secret_length(compute.mechanism, pTemplate, ulAttributeCount, &length);
	if (rv == CKR_OK && compute.mechanism->compute) {
		compute.key = &key->attributes;
		rv = unwrap(&compute, pCiphertext, ulCiphertextLen, NULL, &secret);
		if (rv == CKR_OK)
			rv = unwrapped_length(
				compute.mechanism,
				template_ulong(pTemplate, ulAttributeCount, CKA_KEY_TYPE), length,
				&secret);
	} else if (rv == CKR_OK) {
		rv = derive_with(session, compute.mechanism, pMechanism, &key->attributes,
		                 pCiphertext, ulCiphertextLen, length, &secret);
	}
	if (rv == CKR_OK && FAULT(decapsulated_is_other))
		secret.data[0] ^= 1;
	if (rv == CKR_OK)
		rv = make_secret(session, KIND_DECAPSULATE, key, &secret, pTemplate,
		                 ulAttributeCount, &object);
	if (rv == CKR_OK)
		*phKey = object_publish(object);
	bytes_done(&secret);
	parameter_done(&parameter);
	return rv;
}
