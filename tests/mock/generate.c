/* SPDX-License-Identifier: MIT
 *
 * C_GenerateKey, C_GenerateKeyPair (PKCS#11 3.2 §5.18.1, §5.18.2).
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "tests/mock/async.h"
#include "tests/mock/mock.h"

/* ---- secret keys ------------------------------------------------------------------------------ */

static CK_RV check_secret_length(const struct mechanism *row, CK_KEY_TYPE type,
                                 const struct attributes *template, CK_ULONG *ret_length)
{
	CK_ULONG length = attributes_ulong(template, CKA_VALUE_LEN);

	if (secret_fixed_length(type)) {
		if (length != CK_UNAVAILABLE_INFORMATION && length != secret_fixed_length(type))
			return CKR_TEMPLATE_INCONSISTENT;
		*ret_length = secret_fixed_length(type);
		return CKR_OK;
	}
	if (length == CK_UNAVAILABLE_INFORMATION)
		return CKR_TEMPLATE_INCOMPLETE;
	if (!secret_length_fits(type, length) ||
	    (row->max && (length < row->min || length > row->max)))
		return CKR_KEY_SIZE_RANGE;
	*ret_length = length;
	return CKR_OK;
}

CK_RV generate_secret(struct session *session, const CK_MECHANISM *mechanism,
                      const struct attributes *template, struct attributes *public_part,
                      struct attributes *key)
{
	const struct mechanism *row = mechanism_row(mechanism->mechanism);
	CK_KEY_TYPE type = row->key_types[0];
	struct bytes value = { 0 };
	CK_ULONG length;
	CK_BYTE *to;
	CK_RV rv;

	(void)session;
	(void)public_part;
	rv = check_secret_length(row, type, template, &length);
	if (rv != CKR_OK)
		return rv;
	to = bytes_extend(&value, length);
	if (to)
		random_bytes(to, length);
	if (to && (type == CKK_DES2 || type == CKK_DES3))
		set_des_parity(to, length);
	attributes_put_ulong(key, CKA_CLASS, CKO_SECRET_KEY);
	attributes_put_ulong(key, CKA_KEY_TYPE, type);
	attributes_put(key, CKA_VALUE, value.data, value.length);
	bytes_done(&value);
	return to ? CKR_OK : CKR_HOST_MEMORY;
}

static const char *prf_name(CK_PKCS5_PBKD2_PSEUDO_RANDOM_FUNCTION_TYPE prf)
{
	static const char *const names[] = {
		[CKP_PKCS5_PBKD2_HMAC_SHA1] = "SHA1",
		[CKP_PKCS5_PBKD2_HMAC_SHA224] = "SHA224",
		[CKP_PKCS5_PBKD2_HMAC_SHA256] = "SHA256",
		[CKP_PKCS5_PBKD2_HMAC_SHA384] = "SHA384",
		[CKP_PKCS5_PBKD2_HMAC_SHA512] = "SHA512",
		[CKP_PKCS5_PBKD2_HMAC_SHA512_224] = "SHA512-224",
		[CKP_PKCS5_PBKD2_HMAC_SHA512_256] = "SHA512-256",
	};

	return prf < sizeof(names) / sizeof(names[0]) ? names[prf] : NULL;
}

/* §6.31: the older structure points to the password's length, and is as large as the newer one. */
CK_RV generate_pbkd2(struct session *session, const CK_MECHANISM *mechanism,
                     const struct attributes *template, struct attributes *public_part,
                     struct attributes *key)
{
	const CK_PKCS5_PBKD2_PARAMS2 *params = mechanism->pParameter;
	CK_KEY_TYPE type = object_key_type(template);
	CK_ULONG length, password;
	struct bytes value = { 0 };
	const char *hash;
	CK_BYTE *to;
	EVP_MD *md;
	bool good;
	CK_RV rv;

	(void)session;
	(void)public_part;
	if (!params || mechanism->ulParameterLen != sizeof(*params))
		return CKR_MECHANISM_PARAM_INVALID;
	hash = prf_name(params->prf);
	password = params->ulPasswordLen;
	/* No password is as long as an address is high. */
	if (password > 0x10000)
		password = *((const CK_PKCS5_PBKD2_PARAMS *)(const void *)params)->ulPasswordLen;
	if (!hash || params->saltSource != CKZ_SALT_SPECIFIED || params->iterations == 0 ||
	    (!params->pSaltSourceData && params->ulSaltSourceDataLen > 0) ||
	    (!params->pPassword && password > 0))
		return CKR_MECHANISM_PARAM_INVALID;
	if (type == CK_UNAVAILABLE_INFORMATION)
		return CKR_TEMPLATE_INCOMPLETE;
	rv = check_secret_length(mechanism_row(mechanism->mechanism), type, template, &length);
	if (rv != CKR_OK)
		return rv;
	md = EVP_MD_fetch(mock.crypto, hash, NULL);
	to = bytes_extend(&value, length);
	good = md && to &&
	       PKCS5_PBKDF2_HMAC((const char *)params->pPassword, (int)password,
	                         params->pSaltSourceData, (int)params->ulSaltSourceDataLen,
	                         (int)params->iterations, md, (int)length, to);
	attributes_put_ulong(key, CKA_CLASS, CKO_SECRET_KEY);
	attributes_put(key, CKA_VALUE, value.data, value.length);
	bytes_done(&value);
	EVP_MD_free(md);
	return good ? CKR_OK : CKR_FUNCTION_FAILED;
}

/* ---- pairs -------------------------------------------------------------------------------------- */

static CK_RV put_pair(EVP_PKEY *pkey, struct attributes *public_part,
                      struct attributes *private_part)
{
	bool good =
		pkey && key_put_public(pkey, public_part) && key_put_private(pkey, private_part);

	EVP_PKEY_free(pkey);
	return good ? CKR_OK : CKR_FUNCTION_FAILED;
}

CK_RV generate_rsa(struct session *session, const CK_MECHANISM *mechanism,
                   const struct attributes *template, struct attributes *public_part,
                   struct attributes *private_part)
{
	const struct mechanism *row = mechanism_row(mechanism->mechanism);
	const struct attribute *exponent = attributes_find(template, CKA_PUBLIC_EXPONENT);
	CK_ULONG bits = attributes_ulong(template, CKA_MODULUS_BITS);
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *pkey = NULL;
	BIGNUM *e = BN_new();
	bool usable;

	(void)session;
	if (bits == CK_UNAVAILABLE_INFORMATION) {
		BN_free(e);
		return CKR_TEMPLATE_INCOMPLETE;
	}
	if (bits < row->min || bits > row->max || bits % 8 != 0) {
		BN_free(e);
		return CKR_KEY_SIZE_RANGE;
	}
	/* 65537 where nobody says (§6.1.4). */
	if (exponent)
		BN_bin2bn(exponent->value, (int)exponent->length, e);
	else
		BN_set_word(e, 65537);
	usable = BN_is_odd(e) && BN_num_bits(e) > 1 && BN_num_bits(e) <= 64;
	ctx = EVP_PKEY_CTX_new_from_name(mock.crypto, "RSA", NULL);
	if (usable && ctx && EVP_PKEY_keygen_init(ctx) > 0 &&
	    EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, (int)bits) > 0 &&
	    EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e) > 0 && EVP_PKEY_generate(ctx, &pkey) <= 0)
		pkey = NULL;
	EVP_PKEY_CTX_free(ctx);
	BN_free(e);
	return usable ? put_pair(pkey, public_part, private_part) : CKR_TEMPLATE_INCONSISTENT;
}

CK_RV generate_ec(struct session *session, const CK_MECHANISM *mechanism,
                  const struct attributes *template, struct attributes *public_part,
                  struct attributes *private_part)
{
	const struct mechanism *row = mechanism_row(mechanism->mechanism);
	const struct attribute *params = attributes_find(template, CKA_EC_PARAMS);
	CK_KEY_TYPE type;
	const char *name;
	EVP_PKEY *pkey;
	CK_RV rv;

	(void)session;
	if (!params)
		return CKR_TEMPLATE_INCOMPLETE;
	rv = curve_name(params, &name);
	if (rv != CKR_OK)
		return rv;
	type = name[0] == 'P' ? CKK_EC : name[0] == 'E' ? CKK_EC_EDWARDS : CKK_EC_MONTGOMERY;
	if (type != row->key_types[0])
		return CKR_CURVE_NOT_SUPPORTED;
	pkey = type == CKK_EC ? EVP_PKEY_Q_keygen(mock.crypto, NULL, "EC", name)
	                      : EVP_PKEY_Q_keygen(mock.crypto, NULL, name);
	rv = put_pair(pkey, public_part, private_part);
	/* As the caller wrote them: an OID or a name. */
	if (rv == CKR_OK)
		attributes_put(private_part, CKA_EC_PARAMS, params->value, params->length);
	return rv;
}

CK_RV generate_dh(struct session *session, const CK_MECHANISM *mechanism,
                  const struct attributes *template, struct attributes *public_part,
                  struct attributes *private_part)
{
	const struct attribute *prime = attributes_find(template, CKA_PRIME);
	const struct attribute *base = attributes_find(template, CKA_BASE);
	BN_CTX *bn = BN_CTX_new_ex(mock.crypto);
	BIGNUM *p = NULL, *g = NULL, *x = BN_secure_new(), *y = BN_new(), *range = BN_new();
	CK_BYTE buffer[512];
	int length;
	CK_RV rv = CKR_FUNCTION_FAILED;

	(void)session;
	(void)mechanism;
	if (!prime || !base) {
		rv = CKR_TEMPLATE_INCOMPLETE;
		goto out;
	}
	if (prime->length > sizeof(buffer) || prime->length < 64) {
		rv = CKR_KEY_SIZE_RANGE;
		goto out;
	}
	p = BN_bin2bn(prime->value, (int)prime->length, NULL);
	g = BN_bin2bn(base->value, (int)base->length, NULL);
	if (!bn || !p || !g || !x || !y || !range || BN_num_bits(p) < 512 || !BN_is_odd(p))
		goto out;
	/* 1 < x < p - 1, as PKCS #3 has it. */
	if (!BN_copy(range, p) || !BN_sub_word(range, 3) || !BN_priv_rand_range_ex(x, range, 0, bn))
		goto out;
	if (!BN_add_word(x, 2) || !BN_mod_exp(y, g, x, p, bn))
		goto out;
	length = BN_num_bytes(p);
	attributes_put_ulong(public_part, CKA_CLASS, CKO_PUBLIC_KEY);
	attributes_put_ulong(public_part, CKA_KEY_TYPE, CKK_DH);
	BN_bn2binpad(y, buffer, length);
	attributes_put(public_part, CKA_VALUE, buffer, (CK_ULONG)length);
	attributes_put_ulong(private_part, CKA_CLASS, CKO_PRIVATE_KEY);
	attributes_put_ulong(private_part, CKA_KEY_TYPE, CKK_DH);
	attributes_put(private_part, CKA_PRIME, prime->value, prime->length);
	attributes_put(private_part, CKA_BASE, base->value, base->length);
	BN_bn2binpad(x, buffer, length);
	attributes_put(private_part, CKA_VALUE, buffer, (CK_ULONG)length);
	rv = CKR_OK;
out:
	OPENSSL_cleanse(buffer, sizeof(buffer));
	BN_free(p);
	BN_free(g);
	BN_clear_free(x);
	BN_free(y);
	BN_free(range);
	BN_CTX_free(bn);
	return rv;
}

CK_RV generate_dh_parameters(struct session *session, const CK_MECHANISM *mechanism,
                             const struct attributes *template, struct attributes *public_part,
                             struct attributes *key)
{
	const struct mechanism *row = mechanism_row(mechanism->mechanism);
	CK_ULONG bits = attributes_ulong(template, CKA_PRIME_BITS);
	BN_CTX *bn = BN_CTX_new_ex(mock.crypto);
	BIGNUM *p = BN_new();
	CK_BYTE buffer[128], two = 2;
	CK_RV rv = CKR_FUNCTION_FAILED;

	(void)session;
	(void)public_part;
	if (bits == CK_UNAVAILABLE_INFORMATION) {
		rv = CKR_TEMPLATE_INCOMPLETE;
	} else if (bits < row->min || bits > row->max) {
		rv = CKR_KEY_SIZE_RANGE;
	} else if (bn && p && BN_generate_prime_ex2(p, (int)bits, 0, NULL, NULL, NULL, bn)) {
		attributes_put_ulong(key, CKA_CLASS, CKO_DOMAIN_PARAMETERS);
		attributes_put_ulong(key, CKA_KEY_TYPE, CKK_DH);
		attributes_put_bool(key, CKA_LOCAL, true);
		attributes_put(key, CKA_PRIME, buffer, (CK_ULONG)BN_bn2bin(p, buffer));
		attributes_put(key, CKA_BASE, &two, 1);
		rv = CKR_OK;
	}
	BN_free(p);
	BN_CTX_free(bn);
	return rv;
}

/* ---- the functions ---------------------------------------------------------------------------------- */

/* The template as a set, for who generates: checked here, so that lengths can be trusted. */
static CK_RV read_template(const CK_ATTRIBUTE *template, CK_ULONG count, struct attributes *set)
{
	if (!template && count > 0)
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < count; i++) {
		CK_RV rv = attribute_check_item(&template[i]);

		if (rv != CKR_OK)
			return rv;
		attributes_put_item(set, &template[i]);
	}
	return set->failed ? CKR_HOST_MEMORY : CKR_OK;
}

static bool conflicts(const struct attributes *template, CK_ATTRIBUTE_TYPE type, CK_ULONG right)
{
	CK_ULONG said = attributes_ulong(template, type);

	return said != CK_UNAVAILABLE_INFORMATION && said != right &&
	       !FAULT(contradictions_accepted);
}

static CK_RV generate_key(struct session *session, const CK_MECHANISM *mechanism,
                          const CK_ATTRIBUTE *template, CK_ULONG count, struct object **ret_object)
{
	struct attributes set = { 0 }, contributed = { 0 };
	const struct mechanism *row;
	struct parameter parameter;
	CK_RV rv = slot_writes(session->slot);
	CK_OBJECT_CLASS class;

	if (rv == CKR_OK)
		rv = mechanism_use(session, KIND_GENERATE, mechanism, 0, &row, NULL, &parameter);
	if (rv != CKR_OK)
		return rv;
	parameter_done(&parameter);
	rv = read_template(template, count, &set);
	class = row->generate == generate_dh_parameters ? CKO_DOMAIN_PARAMETERS : CKO_SECRET_KEY;
	/* The class is the mechanism's, and so is the type but for PBKD2 (§5.18.1). */
	if (rv == CKR_OK &&
	    (conflicts(&set, CKA_CLASS, class) ||
	     (row->generate != generate_pbkd2 && conflicts(&set, CKA_KEY_TYPE, row->key_types[0]))))
		rv = CKR_TEMPLATE_INCONSISTENT;
	if (rv == CKR_OK)
		rv = row->generate(session, mechanism, &set, NULL, &contributed);
	attributes_done(&set);
	if (rv != CKR_OK) {
		attributes_done(&contributed);
		return rv;
	}
	if (class == CKO_SECRET_KEY)
		attributes_put_ulong(&contributed, CKA_KEY_GEN_MECHANISM,
		                     FAULT(key_gen_mechanism_missing) ? CK_UNAVAILABLE_INFORMATION
		                                                      : mechanism->mechanism);
	return object_make(session, FROM_GENERATE, template, count, &contributed, NULL, ret_object);
}

CK_RV mock_C_GenerateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                         CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phKey)
{
	struct session *session = session_find(hSession);
	struct object *object;
	CK_RV rv;

	if (!phKey)
		return CKR_ARGUMENTS_BAD;
	rv = generate_key(session, pMechanism, pTemplate, ulCount, &object);
	if (rv != CKR_OK)
		return rv;
	return async_keys(session, "C_GenerateKey", object_publish(object), CK_INVALID_HANDLE,
	                  phKey, NULL);
}

static CK_RV generate_pair(struct session *session, const CK_MECHANISM *mechanism,
                           const CK_ATTRIBUTE *public_template, CK_ULONG public_count,
                           const CK_ATTRIBUTE *private_template, CK_ULONG private_count,
                           struct object **ret_public, struct object **ret_private)
{
	struct attributes set = { 0 }, private_set = { 0 }, public_part = { 0 },
			  private_part = { 0 };
	struct object *public_key = NULL, *private_key = NULL;
	const struct mechanism *row;
	struct parameter parameter;
	CK_RV rv = slot_writes(session->slot);

	if (rv == CKR_OK)
		rv = mechanism_use(session, KIND_GENERATE_PAIR, mechanism, 0, &row, NULL,
		                   &parameter);
	if (rv != CKR_OK)
		return rv;
	parameter_done(&parameter);
	rv = read_template(public_template, public_count, &set);
	if (rv == CKR_OK)
		rv = read_template(private_template, private_count, &private_set);
	if (rv == CKR_OK && (conflicts(&set, CKA_CLASS, CKO_PUBLIC_KEY) ||
	                     conflicts(&private_set, CKA_CLASS, CKO_PRIVATE_KEY) ||
	                     conflicts(&set, CKA_KEY_TYPE, row->key_types[0]) ||
	                     conflicts(&private_set, CKA_KEY_TYPE, row->key_types[0])))
		rv = CKR_TEMPLATE_INCONSISTENT;
	if (rv == CKR_OK)
		rv = row->generate(session, mechanism, &set, &public_part, &private_part);
	if (rv == CKR_OK) {
		attributes_put_ulong(&public_part, CKA_KEY_GEN_MECHANISM, mechanism->mechanism);
		attributes_put_ulong(&private_part, CKA_KEY_GEN_MECHANISM, mechanism->mechanism);
		rv = object_make(session, FROM_GENERATE, public_template, public_count,
		                 &public_part, NULL, &public_key);
	}
	if (rv == CKR_OK)
		rv = object_make(session, FROM_GENERATE, private_template, private_count,
		                 &private_part, NULL, &private_key);
	attributes_done(&set);
	attributes_done(&private_set);
	attributes_done(&public_part);
	attributes_done(&private_part);
	if (rv != CKR_OK) {
		/* Both or none (§5.18.2). */
		if (public_key && FAULT(pair_leaves_half))
			object_publish(public_key);
		else
			object_free(public_key);
		return rv;
	}
	*ret_public = public_key;
	*ret_private = private_key;
	return CKR_OK;
}

CK_RV mock_C_GenerateKeyPair(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
                             CK_ATTRIBUTE_PTR pPublicKeyTemplate,
                             CK_ULONG ulPublicKeyAttributeCount,
                             CK_ATTRIBUTE_PTR pPrivateKeyTemplate,
                             CK_ULONG ulPrivateKeyAttributeCount, CK_OBJECT_HANDLE_PTR phPublicKey,
                             CK_OBJECT_HANDLE_PTR phPrivateKey)
{
	struct session *session = session_find(hSession);
	struct object *public_key, *private_key;
	CK_OBJECT_HANDLE handle;
	CK_RV rv;

	if (!phPublicKey || !phPrivateKey)
		return CKR_ARGUMENTS_BAD;
	rv = generate_pair(session, pMechanism, pPublicKeyTemplate, ulPublicKeyAttributeCount,
	                   pPrivateKeyTemplate, ulPrivateKeyAttributeCount, &public_key,
	                   &private_key);
	if (rv != CKR_OK)
		return rv;
	handle = object_publish(public_key);
	return async_keys(session, "C_GenerateKeyPair", handle, object_publish(private_key),
	                  phPublicKey, phPrivateKey);
}
