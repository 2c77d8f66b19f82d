/* SPDX-License-Identifier: MIT
 *
 * The table of mechanisms, and what every use of one asks first: is it there, is its parameter right,
 * may this key be used so (PKCS#11 3.2 §5.1.6).
 */
#include <string.h>

#include "tests/mock/mock.h"

#define CRYPT (CKF_ENCRYPT | CKF_DECRYPT)
#define SIGNS (CKF_SIGN | CKF_VERIFY | CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY | CKF_MULTI_MESSAGE)
#define RECOVERY (CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER)
#define WRAPS (CKF_WRAP | CKF_UNWRAP)
#define KEMS (CKF_ENCAPSULATE | CKF_DECAPSULATE)
#define SEALS (CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MULTI_MESSAGE)
#define EC_FLAGS (CKF_EC_F_P | CKF_EC_OID | CKF_EC_UNCOMPRESS)

#define DIGEST(type_, name, bytes)     \
	{ .type = type_,               \
	  .flags = CKF_DIGEST,         \
	  .key_types = { ANY_KEY },    \
	  .algorithm = name,           \
	  .block = bytes,              \
	  .traits = WITHHOLDS,         \
	  .parameter = parameter_none, \
	  .compute = compute_digest },
#define HMAC_ROW(type_, key, name, bytes, reader)            \
	{ .type = type_,                                     \
	  .flags = SIGNS,                                    \
	  .min = 1,                                          \
	  .max = 512,                                        \
	  .key_types = { CKK_GENERIC_SECRET, key, ANY_KEY }, \
	  .algorithm = name,                                 \
	  .block = bytes,                                    \
	  .parameter = reader,                               \
	  .compute = compute_hmac },
#define HMAC(type_, key, name, bytes) HMAC_ROW(type_, key, name, bytes, parameter_none)
#define HMAC_GENERAL(type_, key, name, bytes) HMAC_ROW(type_, key, name, bytes, parameter_mac)
#define CMAC(type_, reader)                  \
	{ .type = type_,                     \
	  .flags = SIGNS,                    \
	  .min = 16,                         \
	  .max = 32,                         \
	  .key_types = { CKK_AES, ANY_KEY }, \
	  .algorithm = "AES-%u-CBC",         \
	  .block = 16,                       \
	  .parameter = reader,               \
	  .compute = compute_cmac },
#define RSA_CRYPT(type_, reader, functions)  \
	{ .type = type_,                     \
	  .flags = functions,                \
	  .min = 512,                        \
	  .max = 4096,                       \
	  .key_types = { CKK_RSA, ANY_KEY }, \
	  .traits = SINGLE | WITHHOLDS,      \
	  .parameter = reader,               \
	  .compute = compute_rsa_crypt },
#define RSA_SIGN(type_, name, reader, traits_) \
	{ .type = type_,                       \
	  .flags = SIGNS,                      \
	  .min = 512,                          \
	  .max = 4096,                         \
	  .key_types = { CKK_RSA, ANY_KEY },   \
	  .traits = traits_,                   \
	  .algorithm = name,                   \
	  .parameter = reader,                 \
	  .compute = compute_rsa_sign },
#define ECDSA(type_, name, traits_)         \
	{ .type = type_,                    \
	  .flags = SIGNS | EC_FLAGS,        \
	  .min = 256,                       \
	  .max = 521,                       \
	  .key_types = { CKK_EC, ANY_KEY }, \
	  .traits = traits_,                \
	  .algorithm = name,                \
	  .parameter = parameter_none,      \
	  .compute = compute_ecdsa },
#define EDDSA(type_)                                \
	{ .type = type_,                            \
	  .flags = SIGNS | EC_FLAGS,                \
	  .min = 255,                               \
	  .max = 448,                               \
	  .key_types = { CKK_EC_EDWARDS, ANY_KEY }, \
	  .parameter = parameter_eddsa,             \
	  .compute = compute_eddsa },
#define CIPHER(type_, name, block_, key, min_, max_, functions, traits_, reader, computes) \
	{ .type = type_,                                                                   \
	  .flags = functions,                                                              \
	  .min = min_,                                                                     \
	  .max = max_,                                                                     \
	  .key_types = { key, ANY_KEY },                                                   \
	  .traits = traits_,                                                               \
	  .algorithm = name,                                                               \
	  .block = block_,                                                                 \
	  .parameter = reader,                                                             \
	  .compute = computes },
#define GENERATE(type_, key, min_, max_, reader, generates) \
	{ .type = type_,                                    \
	  .flags = CKF_GENERATE,                            \
	  .min = min_,                                      \
	  .max = max_,                                      \
	  .key_types = { key, ANY_KEY },                    \
	  .parameter = reader,                              \
	  .generate = generates },
#define PAIR(type_, key, min_, max_, more_flags, generates) \
	{ .type = type_,                                    \
	  .flags = CKF_GENERATE_KEY_PAIR | (more_flags),    \
	  .min = min_,                                      \
	  .max = max_,                                      \
	  .key_types = { key, ANY_KEY },                    \
	  .parameter = parameter_none,                      \
	  .generate = generates },
#define AGREE(type_, key, key2, min_, max_, more_flags, derives) \
	{ .type = type_,                                         \
	  .flags = CKF_DERIVE | KEMS | (more_flags),             \
	  .min = min_,                                           \
	  .max = max_,                                           \
	  .key_types = { key, key2, ANY_KEY },                   \
	  .parameter = parameter_any,                            \
	  .derive = derives },
#define DERIVE(type_, name, bytes, derives) \
	{ .type = type_,                    \
	  .flags = CKF_DERIVE,              \
	  .key_types = { ANY_KEY },         \
	  .algorithm = name,                \
	  .block = bytes,                   \
	  .parameter = parameter_any,       \
	  .derive = derives },

/* clang-format off */
const struct mechanism mechanisms[] = {
#include "tests/mock/mechanisms.def"
};
/* clang-format on */
const size_t mechanism_count = sizeof(mechanisms) / sizeof(mechanisms[0]);

const struct kind_info kinds[KIND_COUNT] = {
	[KIND_ENCRYPT] = { CKF_ENCRYPT, CKA_ENCRYPT },
	[KIND_DECRYPT] = { CKF_DECRYPT, CKA_DECRYPT },
	[KIND_DIGEST] = { CKF_DIGEST, ANY_KEY },
	[KIND_SIGN] = { CKF_SIGN, CKA_SIGN },
	[KIND_SIGN_RECOVER] = { CKF_SIGN_RECOVER, CKA_SIGN_RECOVER },
	[KIND_VERIFY] = { CKF_VERIFY, CKA_VERIFY },
	[KIND_VERIFY_RECOVER] = { CKF_VERIFY_RECOVER, CKA_VERIFY_RECOVER },
	[KIND_VERIFY_SIGNATURE] = { CKF_VERIFY, CKA_VERIFY },
	[KIND_MESSAGE_ENCRYPT] = { CKF_MESSAGE_ENCRYPT, CKA_ENCRYPT },
	[KIND_MESSAGE_DECRYPT] = { CKF_MESSAGE_DECRYPT, CKA_DECRYPT },
	[KIND_MESSAGE_SIGN] = { CKF_MESSAGE_SIGN, CKA_SIGN },
	[KIND_MESSAGE_VERIFY] = { CKF_MESSAGE_VERIFY, CKA_VERIFY },
	[KIND_WRAP] = { CKF_WRAP, CKA_WRAP },
	[KIND_UNWRAP] = { CKF_UNWRAP, CKA_UNWRAP },
	[KIND_DERIVE] = { CKF_DERIVE, CKA_DERIVE },
	[KIND_ENCAPSULATE] = { CKF_ENCAPSULATE, CKA_ENCAPSULATE },
	[KIND_DECAPSULATE] = { CKF_DECAPSULATE, CKA_DECAPSULATE },
	[KIND_WRAP_AUTHENTICATED] = { CKF_WRAP, CKA_WRAP },
	[KIND_UNWRAP_AUTHENTICATED] = { CKF_UNWRAP, CKA_UNWRAP },
	[KIND_GENERATE] = { CKF_GENERATE, ANY_KEY },
	[KIND_GENERATE_PAIR] = { CKF_GENERATE_KEY_PAIR, ANY_KEY },
};

const struct mechanism *mechanism_row(CK_MECHANISM_TYPE type)
{
	for (size_t i = 0; i < mechanism_count; i++) {
		if (mechanisms[i].type == type)
			return &mechanisms[i];
	}
	return NULL;
}

const struct mechanism *mechanism_find(CK_MECHANISM_TYPE type)
{
	const struct tape_mechanism *row = tape_mechanism_find(type);
	const struct mechanism *mechanism;

	if (!row || !mock_has_version(row->major, row->minor))
		return NULL;
	if (mock_config.mechanisms[0] && !mock_listed(mock_config.mechanisms, row->name.text))
		return NULL;
	mechanism = mechanism_row(type);
	return mechanism && mechanism_flags(mechanism) ? mechanism : NULL;
}

CK_FLAGS mechanism_flags(const struct mechanism *mechanism)
{
	CK_FLAGS flags = mechanism->flags;

	if (!mock_has_version(3, 0))
		flags &= ~(CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MESSAGE_SIGN |
		           CKF_MESSAGE_VERIFY | CKF_MULTI_MESSAGE);
	if (!mock_has_version(3, 2))
		flags &= ~KEMS;
	/* What makes objects is not there, nor are its functions. */
	if (mock_config.read_only)
		flags &= ~(CKF_GENERATE | CKF_GENERATE_KEY_PAIR | CKF_UNWRAP | CKF_DERIVE | KEMS);
	return flags;
}

/* ---- parameters -------------------------------------------------------------------------------------- */

void parameter_done(struct parameter *parameter)
{
	bytes_done(&parameter->iv);
	bytes_done(&parameter->aad);
}

const char *hash_name(CK_MECHANISM_TYPE type)
{
	const struct mechanism *row = mechanism_row(type);

	return row && row->flags == CKF_DIGEST ? row->algorithm : NULL;
}

CK_ULONG hash_length(const char *name)
{
	for (size_t i = 0; i < mechanism_count; i++) {
		if (mechanisms[i].flags == CKF_DIGEST && strcmp(mechanisms[i].algorithm, name) == 0)
			return mechanisms[i].block;
	}
	return 0;
}

const char *mgf_name(CK_RSA_PKCS_MGF_TYPE type)
{
	static const char *const names[] = {
		[CKG_MGF1_SHA1] = "SHA1",         [CKG_MGF1_SHA224] = "SHA224",
		[CKG_MGF1_SHA256] = "SHA256",     [CKG_MGF1_SHA384] = "SHA384",
		[CKG_MGF1_SHA512] = "SHA512",     [CKG_MGF1_SHA3_224] = "SHA3-224",
		[CKG_MGF1_SHA3_256] = "SHA3-256", [CKG_MGF1_SHA3_384] = "SHA3-384",
		[CKG_MGF1_SHA3_512] = "SHA3-512",
	};

	return type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

static bool has(const CK_MECHANISM *mechanism, size_t size)
{
	return mechanism->pParameter && mechanism->ulParameterLen == size;
}

static CK_RV copied(const struct parameter *parameter)
{
	return parameter->iv.failed || parameter->aad.failed ? CKR_HOST_MEMORY : CKR_OK;
}

CK_RV parameter_none(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	(void)parameter;
	return mechanism->ulParameterLen == 0 || FAULT(parameter_unchecked)
	               ? CKR_OK
	               : CKR_MECHANISM_PARAM_INVALID;
}

/* Left to who generates or derives. */
CK_RV parameter_any(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	(void)parameter;
	return mechanism->pParameter || mechanism->ulParameterLen == 0
	               ? CKR_OK
	               : CKR_MECHANISM_PARAM_INVALID;
}

CK_RV parameter_iv(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	static const CK_BYTE zeros[16];
	CK_ULONG block = mechanism_row(mechanism->mechanism)->block;

	if (FAULT(iv_length_unchecked) && !has(mechanism, block)) {
		bytes_add(&parameter->iv, zeros, block);
		return CKR_OK;
	}
	if (!has(mechanism, block))
		return CKR_MECHANISM_PARAM_INVALID;
	bytes_add(&parameter->iv, mechanism->pParameter, block);
	return copied(parameter);
}

/* RFC 3394 and RFC 5649 have a standard IV. */
CK_RV parameter_wrap_iv(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	CK_ULONG length = mechanism->mechanism == CKM_AES_KEY_WRAP ? 8 : 4;

	if (mechanism->ulParameterLen == 0)
		return CKR_OK;
	if (!has(mechanism, length))
		return CKR_MECHANISM_PARAM_INVALID;
	bytes_add(&parameter->iv, mechanism->pParameter, length);
	return copied(parameter);
}

CK_RV parameter_ctr(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	const CK_AES_CTR_PARAMS *params = mechanism->pParameter;

	if (!has(mechanism, sizeof(*params)))
		return CKR_MECHANISM_PARAM_INVALID;
	if ((params->ulCounterBits < 1 || params->ulCounterBits > 128) &&
	    !FAULT(counter_bits_unchecked))
		return CKR_MECHANISM_PARAM_INVALID;
	parameter->bits = params->ulCounterBits;
	bytes_add(&parameter->iv, params->cb, sizeof(params->cb));
	return copied(parameter);
}

static bool pointer_fits(const void *pointer, CK_ULONG length)
{
	return pointer || length == 0;
}

CK_RV parameter_gcm(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	const CK_GCM_PARAMS *params = mechanism->pParameter;
	const CK_GCM_WRAP_PARAMS *wrap = mechanism->pParameter;
	CK_GCM_PARAMS same;

	/* C_WrapKey's structure is longer (§6.13.5). */
	if (has(mechanism, sizeof(*wrap))) {
		same = (CK_GCM_PARAMS){ wrap->pIv,  wrap->ulIvLen,  wrap->ulIvLen * 8,
			                wrap->pAAD, wrap->ulAADLen, wrap->ulTagBits };
		return parameter_gcm(&(CK_MECHANISM){ mechanism->mechanism, &same, sizeof(same) },
		                     parameter);
	}
	if (!has(mechanism, sizeof(*params)) || !params->pIv || params->ulIvLen < 1 ||
	    params->ulIvLen > 128 || !pointer_fits(params->pAAD, params->ulAADLen) ||
	    params->ulTagBits > 128 || params->ulTagBits < 32 || params->ulTagBits % 8 != 0)
		return CKR_MECHANISM_PARAM_INVALID;
	bytes_add(&parameter->iv, params->pIv, params->ulIvLen);
	bytes_add(&parameter->aad, params->pAAD, params->ulAADLen);
	parameter->length = params->ulTagBits / 8;
	return copied(parameter);
}

CK_RV parameter_ccm(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	const CK_CCM_PARAMS *params = mechanism->pParameter;
	const CK_CCM_WRAP_PARAMS *wrap = mechanism->pParameter;
	CK_CCM_PARAMS same;

	if (has(mechanism, sizeof(*wrap))) {
		same = (CK_CCM_PARAMS){ wrap->ulDataLen, wrap->pNonce,   wrap->ulNonceLen,
			                wrap->pAAD,      wrap->ulAADLen, wrap->ulMACLen };
		return parameter_ccm(&(CK_MECHANISM){ mechanism->mechanism, &same, sizeof(same) },
		                     parameter);
	}
	if (!has(mechanism, sizeof(*params)) || !params->pNonce || params->ulNonceLen < 7 ||
	    params->ulNonceLen > 13 || !pointer_fits(params->pAAD, params->ulAADLen) ||
	    params->ulMACLen < 4 || params->ulMACLen > 16 || params->ulMACLen % 2 != 0)
		return CKR_MECHANISM_PARAM_INVALID;
	bytes_add(&parameter->iv, params->pNonce, params->ulNonceLen);
	bytes_add(&parameter->aad, params->pAAD, params->ulAADLen);
	parameter->length = params->ulMACLen;
	parameter->data = params->ulDataLen;
	return copied(parameter);
}

CK_RV parameter_chacha(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	const CK_SALSA20_CHACHA20_POLY1305_PARAMS *params = mechanism->pParameter;

	if (!has(mechanism, sizeof(*params)) || !params->pNonce || params->ulNonceLen != 12 ||
	    !pointer_fits(params->pAAD, params->ulAADLen))
		return CKR_MECHANISM_PARAM_INVALID;
	bytes_add(&parameter->iv, params->pNonce, params->ulNonceLen);
	bytes_add(&parameter->aad, params->pAAD, params->ulAADLen);
	parameter->length = 16;
	return copied(parameter);
}

CK_RV parameter_oaep(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	const CK_RSA_PKCS_OAEP_PARAMS *params = mechanism->pParameter;

	if (!has(mechanism, sizeof(*params)))
		return CKR_MECHANISM_PARAM_INVALID;
	parameter->hash = hash_name(params->hashAlg);
	parameter->mgf = mgf_name(params->mgf);
	if (!parameter->hash || !parameter->mgf)
		return CKR_MECHANISM_PARAM_INVALID;
	if (!(params->source == CKZ_DATA_SPECIFIED ||
	      (params->source == 0 && params->ulSourceDataLen == 0)) ||
	    !pointer_fits(params->pSourceData, params->ulSourceDataLen))
		return CKR_MECHANISM_PARAM_INVALID;
	bytes_add(&parameter->aad, params->pSourceData, params->ulSourceDataLen);
	return copied(parameter);
}

CK_RV parameter_pss(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	const CK_RSA_PKCS_PSS_PARAMS *params = mechanism->pParameter;
	const char *own = mechanism_row(mechanism->mechanism)->algorithm;

	if (!has(mechanism, sizeof(*params)))
		return CKR_MECHANISM_PARAM_INVALID;
	parameter->hash = hash_name(params->hashAlg);
	parameter->mgf = mgf_name(params->mgf);
	parameter->length = params->sLen;
	if (!parameter->hash || !parameter->mgf || params->sLen > 512)
		return CKR_MECHANISM_PARAM_INVALID;
	/* Where the mechanism has a hash, the parameter must name it (§6.1.12). */
	if (own && strcmp(own, parameter->hash) != 0 && !FAULT(pss_hash_unchecked))
		return CKR_MECHANISM_PARAM_INVALID;
	return CKR_OK;
}

CK_RV parameter_mac(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	const CK_MAC_GENERAL_PARAMS *length = mechanism->pParameter;

	if (!has(mechanism, sizeof(*length)) || *length < 1 ||
	    *length > mechanism_row(mechanism->mechanism)->block)
		return CKR_MECHANISM_PARAM_INVALID;
	parameter->length = *length;
	return CKR_OK;
}

/* Neither prehashing nor contexts: libcrypto 3.0 has neither. */
CK_RV parameter_eddsa(const CK_MECHANISM *mechanism, struct parameter *parameter)
{
	const CK_EDDSA_PARAMS *params = mechanism->pParameter;

	(void)parameter;
	if (!params && mechanism->ulParameterLen == 0)
		return CKR_OK;
	if (!has(mechanism, sizeof(*params)) || params->phFlag || params->ulContextDataLen > 0)
		return CKR_MECHANISM_PARAM_INVALID;
	return CKR_OK;
}

/* ---- the use of a key ------------------------------------------------------------------------------------ */

static bool is_message(enum kind kind)
{
	return (kind >= KIND_MESSAGE_ENCRYPT && kind <= KIND_MESSAGE_VERIFY) ||
	       kind == KIND_WRAP_AUTHENTICATED || kind == KIND_UNWRAP_AUTHENTICATED;
}

/* The key's codes, which C_WrapKey and C_UnwrapKey have twice. */
struct key_codes {
	CK_RV handle, type, size;
};

static struct key_codes codes_of(enum kind kind)
{
	if (kind == KIND_WRAP || kind == KIND_WRAP_AUTHENTICATED)
		return (struct key_codes){ CKR_WRAPPING_KEY_HANDLE_INVALID,
			                   CKR_WRAPPING_KEY_TYPE_INCONSISTENT,
			                   CKR_WRAPPING_KEY_SIZE_RANGE };
	if (kind == KIND_UNWRAP || kind == KIND_UNWRAP_AUTHENTICATED)
		return (struct key_codes){ CKR_UNWRAPPING_KEY_HANDLE_INVALID,
			                   CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT,
			                   CKR_UNWRAPPING_KEY_SIZE_RANGE };
	return (struct key_codes){ CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT,
		                   CKR_KEY_SIZE_RANGE };
}

static bool type_fits(const struct mechanism *row, const struct attributes *key)
{
	CK_KEY_TYPE type = object_key_type(key);

	if (row->key_types[0] == ANY_KEY)
		return object_class(key) == CKO_SECRET_KEY;
	for (size_t i = 0; row->key_types[i] != ANY_KEY; i++) {
		if (row->key_types[i] == type)
			return true;
	}
	return false;
}

/* CKA_ALLOWED_MECHANISMS, where there is one (§4.8). */
static bool allowed(const struct attributes *key, CK_MECHANISM_TYPE type)
{
	const struct attribute *list = attributes_find(key, CKA_ALLOWED_MECHANISMS);
	CK_MECHANISM_TYPE one;

	if (!list || FAULT(allowed_mechanisms_ignored))
		return true;
	for (CK_ULONG at = 0; at + sizeof(one) <= list->length; at += sizeof(one)) {
		memcpy(&one, list->value + at, sizeof(one));
		if (one == type)
			return true;
	}
	return false;
}

static CK_RV check_key(enum kind kind, const struct mechanism *row, const struct object *object)
{
	struct key_codes codes = codes_of(kind);
	const struct attributes *key;
	CK_ULONG size;

	if (!object || !attributes_find(&object->attributes, CKA_KEY_TYPE) ||
	    object_class(&object->attributes) == CKO_DOMAIN_PARAMETERS)
		return FAULT(bad_key_wrong_code) ? CKR_OBJECT_HANDLE_INVALID : codes.handle;
	key = &object->attributes;
	/* CKR_KEY_TYPE_INCONSISTENT ranks before CKR_KEY_FUNCTION_NOT_PERMITTED (§5.1.6). */
	if (FAULT(permission_before_type) && !attributes_bool(key, kinds[kind].usage))
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	if (!type_fits(row, key))
		return codes.type;
	if (!attributes_bool(key, kinds[kind].usage) && !FAULT(usage_ignored))
		return CKR_KEY_FUNCTION_NOT_PERMITTED;
	if (!allowed(key, row->type))
		return CKR_MECHANISM_INVALID;
	size = key_size(key);
	if (row->max > 0 && (size < row->min || size > row->max))
		return codes.size;
	return CKR_OK;
}

CK_RV mechanism_use(struct session *session, enum kind kind, const CK_MECHANISM *mechanism,
                    CK_OBJECT_HANDLE key, const struct mechanism **ret_row, struct object **ret_key,
                    struct parameter *ret_parameter)
{
	const struct mechanism *row;
	struct object *object;
	CK_RV rv = CKR_OK;

	memset(ret_parameter, 0, sizeof(*ret_parameter));
	ret_parameter->data = CK_UNAVAILABLE_INFORMATION;
	if (!mechanism)
		return CKR_ARGUMENTS_BAD;
	row = mechanism_find(mechanism->mechanism);
	if (!row || (!(mechanism_flags(row) & kinds[kind].flag) && !FAULT(mechanism_flags_ignored)))
		return FAULT(bad_mechanism_wrong_code) ? CKR_FUNCTION_FAILED
		                                       : CKR_MECHANISM_INVALID;
	if (kind == KIND_VERIFY_SIGNATURE && row->compute == compute_hmac &&
	    FAULT(verify_signature_refused))
		return CKR_MECHANISM_INVALID;
	/* Each message brings its own parameter; here it may be left out. */
	if (!is_message(kind) || (row->flags & SIGNS) == SIGNS)
		rv = row->parameter(mechanism, ret_parameter);
	else if (mechanism->ulParameterLen > 0 && !mechanism->pParameter)
		rv = CKR_MECHANISM_PARAM_INVALID;
	if (rv == CKR_OK && kinds[kind].usage != ANY_KEY) {
		object = object_find(session, key);
		rv = check_key(kind, row, object);
		*ret_key = object;
	}
	if (rv != CKR_OK) {
		parameter_done(ret_parameter);
		return rv;
	}
	*ret_row = row;
	return CKR_OK;
}
