/* SPDX-License-Identifier: MIT
 *
 * Objects that a token is born with: P11TAPE_MOCK=objects=….
 */
#include <openssl/asn1.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock.h"
#include "tests/mock/preset-key.h"

/* A token object of a class, with what storage objects have. */
static struct attributes begin(CK_OBJECT_CLASS class, const char *label)
{
	struct attributes set = { 0 };

	attributes_put_ulong(&set, CKA_CLASS, class);
	if (class == CKO_HW_FEATURE || class == CKO_MECHANISM)
		return set;
	attributes_put_bool(&set, CKA_TOKEN, true);
	attributes_put_bool(&set, CKA_PRIVATE, false);
	attributes_put_bool(&set, CKA_MODIFIABLE, false);
	attributes_put_bool(&set, CKA_COPYABLE, true);
	attributes_put_bool(&set, CKA_DESTROYABLE, false);
	attributes_put(&set, CKA_LABEL, label, strlen(label));
	if (mock_has_version(3, 0)) {
		attributes_put(&set, CKA_UNIQUE_ID, "preset-?", 8);
	}
	return set;
}

static void add(struct slot *slot, struct attributes *set)
{
	struct attribute *id;
	char digit = (char)('a' + slot->unique);

	/* Unique among the presets, which are few; those made later have another form. */
	for (size_t i = 0; i < set->count; i++) {
		id = &set->list[i];
		if (id->type == CKA_UNIQUE_ID)
			id->value[id->length - 1] = (CK_BYTE)digit;
	}
	slot->unique++;
	object_add(slot, set);
}

static void add_features(struct slot *slot)
{
	struct attributes clock = begin(CKO_HW_FEATURE, "");
	struct attributes counter = begin(CKO_HW_FEATURE, "");

	attributes_put_ulong(&clock, CKA_HW_FEATURE_TYPE, CKH_CLOCK);
	attributes_put(&clock, CKA_VALUE, "2026010112000000", FAULT(clock_short) ? 14 : 16);
	add(slot, &clock);
	attributes_put_ulong(&counter, CKA_HW_FEATURE_TYPE, CKH_MONOTONIC_COUNTER);
	attributes_put_bool(&counter, CKA_RESET_ON_INIT, false);
	attributes_put_bool(&counter, CKA_HAS_RESET, false);
	attributes_put(&counter, CKA_VALUE, "\0\0\0\0\0\0\0", 8);
	add(slot, &counter);
}

static void add_mechanisms(struct slot *slot)
{
	for (size_t i = 0; i < mechanism_count; i++) {
		struct attributes set;

		if (!mechanism_find(mechanisms[i].type))
			continue;
		set = begin(CKO_MECHANISM, "");
		attributes_put_ulong(&set, CKA_MECHANISM_TYPE, mechanisms[i].type);
		add(slot, &set);
	}
}

static void add_profiles(struct slot *slot)
{
	static const CK_PROFILE_ID profiles[] = { CKP_BASELINE_PROVIDER, CKP_EXTENDED_PROVIDER };

	for (size_t i = 0; mock_has_version(3, 0) && i < sizeof(profiles) / sizeof(profiles[0]);
	     i++) {
		struct attributes set = begin(CKO_PROFILE, "profile");

		if (!FAULT(profile_without_id))
			attributes_put_ulong(&set, CKA_PROFILE_ID, profiles[i]);
		add(slot, &set);
	}
}

static void add_validation(struct slot *slot)
{
	struct attributes set = begin(CKO_VALIDATION, "validation");
	CK_VERSION version = { 1, 0 };

	if (FAULT(validation_modifiable))
		attributes_put_bool(&set, CKA_MODIFIABLE, true);
	attributes_put_ulong(&set, CKA_VALIDATION_TYPE, CKV_TYPE_SOFTWARE);
	attributes_put(&set, CKA_VALIDATION_VERSION, &version, sizeof(version));
	attributes_put_ulong(&set, CKA_VALIDATION_LEVEL, 1);
	attributes_put(&set, CKA_VALIDATION_MODULE_ID, "mock", 4);
	attributes_put_ulong(&set, CKA_VALIDATION_FLAG, 1);
	attributes_put_ulong(&set, CKA_VALIDATION_AUTHORITY_TYPE, CKV_AUTHORITY_TYPE_UNSPECIFIED);
	add(slot, &set);
}

/* ---- a certificate with its keys -------------------------------------------------------------------- */

static X509 *make_certificate(EVP_PKEY *key)
{
	X509 *certificate = X509_new_ex(mock.crypto, NULL);
	X509_NAME *name = certificate ? X509_get_subject_name(certificate) : NULL;

	if (name && X509_set_version(certificate, X509_VERSION_3) &&
	    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) &&
	    ASN1_TIME_set_string(X509_getm_notBefore(certificate), "20260101000000Z") &&
	    ASN1_TIME_set_string(X509_getm_notAfter(certificate), "20460101000000Z") &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mock root",
	                               -1, -1, 0) &&
	    X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key) &&
	    X509_sign(certificate, key, EVP_sha256()) > 0)
		return certificate;
	X509_free(certificate);
	return NULL;
}

static void put_name(struct attributes *set, CK_ATTRIBUTE_TYPE type, const X509_NAME *name)
{
	unsigned char *der = NULL;
	int length = i2d_X509_NAME(name, &der);

	if (length > 0)
		attributes_put(set, type, der, (CK_ULONG)length);
	OPENSSL_free(der);
}

static void put_issuer_and_serial(struct attributes *set, X509 *certificate)
{
	unsigned char *der = NULL;
	int length = i2d_ASN1_INTEGER(X509_get_serialNumber(certificate), &der);

	put_name(set, CKA_ISSUER, X509_get_issuer_name(certificate));
	if (length > 0)
		attributes_put(set, CKA_SERIAL_NUMBER, der, (CK_ULONG)length);
	OPENSSL_free(der);
}

static void put_certificate(struct attributes *set, X509 *certificate)
{
	unsigned char *der = NULL;
	int length = i2d_X509(certificate, &der);

	attributes_put_ulong(set, CKA_CERTIFICATE_TYPE, CKC_X_509);
	attributes_put_ulong(set, CKA_CERTIFICATE_CATEGORY, CK_CERTIFICATE_CATEGORY_UNSPECIFIED);
	attributes_put_bool(set, CKA_TRUSTED, false);
	attributes_put(set, CKA_ID, "\x01", 1);
	put_name(set, CKA_SUBJECT, X509_get_subject_name(certificate));
	put_issuer_and_serial(set, certificate);
	if (length > 0)
		attributes_put(set, CKA_VALUE, der, (CK_ULONG)length);
	OPENSSL_free(der);
}

static void put_nss_trust(struct attributes *set, X509 *certificate)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned length;

	put_issuer_and_serial(set, certificate);
	if (X509_digest(certificate, EVP_sha1(), hash, &length))
		attributes_put(set, CKA_NSS_CERT_SHA1_HASH, hash, length);
	attributes_put_ulong(set, CKA_NSS_TRUST_SERVER_AUTH, CKT_NSS_TRUSTED_DELEGATOR);
	attributes_put_ulong(set, CKA_NSS_TRUST_CLIENT_AUTH, CKT_NSS_MUST_VERIFY_TRUST);
	attributes_put_ulong(set, CKA_NSS_TRUST_EMAIL_PROTECTION, CKT_NSS_TRUSTED_DELEGATOR);
	attributes_put_ulong(set, CKA_NSS_TRUST_CODE_SIGNING, CKT_NSS_MUST_VERIFY_TRUST);
	attributes_put_bool(set, CKA_TRUST_STEP_UP_APPROVED, false);
}

static void put_trust(struct attributes *set, X509 *certificate)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	unsigned length;

	put_issuer_and_serial(set, certificate);
	attributes_put_ulong(set, CKA_NAME_HASH_ALGORITHM, CKM_SHA256);
	if (X509_digest(certificate, EVP_sha256(), hash, &length))
		attributes_put(set, CKA_HASH_OF_CERTIFICATE, hash, length);
	attributes_put_ulong(set, CKA_TRUST_SERVER_AUTH, CKT_TRUST_ANCHOR);
	attributes_put_ulong(set, CKA_TRUST_CLIENT_AUTH, CKT_TRUST_UNKNOWN);
}

static void put_flags(struct attributes *set, const CK_ATTRIBUTE_TYPE *types, size_t count,
                      bool value)
{
	for (size_t i = 0; i < count; i++)
		attributes_put_bool(set, types[i], value);
}

static void add_keys(struct slot *slot, EVP_PKEY *key)
{
	static const CK_ATTRIBUTE_TYPE public_uses[] = { CKA_ENCRYPT, CKA_VERIFY,
		                                         CKA_VERIFY_RECOVER, CKA_WRAP };
	static const CK_ATTRIBUTE_TYPE private_uses[] = {
		CKA_DECRYPT, CKA_SIGN,      CKA_SIGN_RECOVER,     CKA_UNWRAP,
		CKA_PRIVATE, CKA_SENSITIVE, CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE
	};
	static const CK_ATTRIBUTE_TYPE private_not[] = { CKA_EXTRACTABLE, CKA_ALWAYS_AUTHENTICATE,
		                                         CKA_WRAP_WITH_TRUSTED };
	struct attributes sets[2];

	sets[0] = begin(CKO_PUBLIC_KEY, "mock root");
	key_put_public(key, &sets[0]);
	attributes_put_ulong(&sets[0], CKA_MODULUS_BITS, key_size(&sets[0]));
	put_flags(&sets[0], public_uses, sizeof(public_uses) / sizeof(public_uses[0]), true);
	attributes_put_bool(&sets[0], CKA_TRUSTED, false);
	sets[1] = begin(CKO_PRIVATE_KEY, "mock root");
	key_put_private(key, &sets[1]);
	put_flags(&sets[1], private_uses, sizeof(private_uses) / sizeof(private_uses[0]), true);
	put_flags(&sets[1], private_not, sizeof(private_not) / sizeof(private_not[0]), false);
	for (size_t i = 0; i < 2; i++) {
		attributes_put(&sets[i], CKA_ID, "\x01", 1);
		attributes_put(&sets[i], CKA_SUBJECT, NULL, 0);
		attributes_put(&sets[i], CKA_START_DATE, NULL, 0);
		attributes_put(&sets[i], CKA_END_DATE, NULL, 0);
		attributes_put_bool(&sets[i], CKA_DERIVE, false);
		attributes_put_bool(&sets[i], CKA_LOCAL, true);
		attributes_put_ulong(&sets[i], CKA_KEY_GEN_MECHANISM, CKM_RSA_PKCS_KEY_PAIR_GEN);
		add(slot, &sets[i]);
	}
}

void slot_add_presets(struct slot *slot)
{
	const char *objects = mock_config.objects;
	bool nss = mock_listed(objects, "nss-trust"), roots = mock_listed(objects, "ckbi");
	bool keys = mock_listed(objects, "keys"), trust = mock_listed(objects, "trust");
	struct attributes set;
	X509 *certificate;
	EVP_PKEY *key;
	const unsigned char *der = preset_key;

	if (mock_listed(objects, "features"))
		add_features(slot);
	if (mock_listed(objects, "mechanisms"))
		add_mechanisms(slot);
	if (mock_listed(objects, "profile"))
		add_profiles(slot);
	if (mock_listed(objects, "validation") && mock_has_version(3, 2))
		add_validation(slot);
	if (!nss && !roots && !keys && !trust)
		return;
	key = d2i_PrivateKey_ex(EVP_PKEY_RSA, NULL, &der, sizeof(preset_key), mock.crypto, NULL);
	certificate = key ? make_certificate(key) : NULL;
	if (certificate) {
		if (roots) {
			set = begin(CKO_NSS_BUILTIN_ROOT_LIST, "mock roots");
			add(slot, &set);
		}
		set = begin(CKO_CERTIFICATE, "mock root");
		put_certificate(&set, certificate);
		add(slot, &set);
		if (nss || roots) {
			set = begin(CKO_NSS_TRUST, "mock root");
			put_nss_trust(&set, certificate);
			add(slot, &set);
		}
		if (trust && mock_has_version(3, 2)) {
			set = begin(CKO_TRUST, "mock root");
			put_trust(&set, certificate);
			add(slot, &set);
		}
		if (keys)
			add_keys(slot, key);
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
}
