/* SPDX-License-Identifier: MIT */
#include "suites/specimen.h"

#include <string.h>

#include "suites/keys.h"

/* ---- specimens ------------------------------------------------------------------------------- */

#define VALUE_KEY(class, key) VALUE_ULONG(CKA_CLASS, class), VALUE_ULONG(CKA_KEY_TYPE, key)
#define VALUE_OPEN VALUE_BOOL(CKA_SENSITIVE, 0), VALUE_BOOL(CKA_EXTRACTABLE, 1)

static const CK_BYTE id[] = { 0x12 };
/* With the parity that FIPS 46-3 wants. */
static const CK_BYTE des3_value[24] = { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
	                                0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01,
	                                0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23 };
static const CK_BYTE aes256_value[32] = "p11tape, a key for AES of 256 bi";

static const struct template_value aes256[] = {
	VALUE_KEY(CKO_SECRET_KEY, CKK_AES),   VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_VALUE, aes256_value), VALUE_BOOL(CKA_ENCRYPT, 1),
	VALUE_BOOL(CKA_DECRYPT, 1),           VALUE_OPEN,
};

static const struct template_value des3[] = {
	VALUE_KEY(CKO_SECRET_KEY, CKK_DES3), VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_VALUE, des3_value),  VALUE_BOOL(CKA_ENCRYPT, 1),
	VALUE_BOOL(CKA_DECRYPT, 1),          VALUE_OPEN,
};

static const struct template_value hmac[] = {
	VALUE_KEY(CKO_SECRET_KEY, CKK_SHA256_HMAC),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_VALUE, aes256_value),
	VALUE_BOOL(CKA_SIGN, 1),
	VALUE_BOOL(CKA_VERIFY, 1),
	VALUE_OPEN,
};

/* Of the private key's numbers, those without which it is none (§6.1.3). */
static const struct template_value rsa_minimal[] = {
	VALUE_KEY(CKO_PRIVATE_KEY, CKK_RSA),
	VALUE_BYTES(CKA_MODULUS, rsa_modulus),
	VALUE_BYTES(CKA_PUBLIC_EXPONENT, rsa_public_exponent),
	VALUE_BYTES(CKA_PRIVATE_EXPONENT, rsa_private_exponent),
	VALUE_OPEN,
};

static const struct template_value ed25519_public[] = {
	VALUE_KEY(CKO_PUBLIC_KEY, CKK_EC_EDWARDS),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_EC_PARAMS, ed25519_params),
	VALUE_BYTES(CKA_EC_POINT, ed25519_point),
	VALUE_BOOL(CKA_VERIFY, 1),
};

static const struct template_value ed25519_private[] = {
	VALUE_KEY(CKO_PRIVATE_KEY, CKK_EC_EDWARDS),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_EC_PARAMS, ed25519_params),
	VALUE_BYTES(CKA_VALUE, ed25519_value),
	VALUE_BOOL(CKA_SIGN, 1),
	VALUE_OPEN,
};

static const struct template_value x25519_public[] = {
	VALUE_KEY(CKO_PUBLIC_KEY, CKK_EC_MONTGOMERY),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_EC_PARAMS, x25519_params),
	VALUE_BYTES(CKA_EC_POINT, x25519_point),
};

static const struct template_value x25519_private[] = {
	VALUE_KEY(CKO_PRIVATE_KEY, CKK_EC_MONTGOMERY),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_EC_PARAMS, x25519_params),
	VALUE_BYTES(CKA_VALUE, x25519_value),
	VALUE_BOOL(CKA_DERIVE, 1),
	VALUE_OPEN,
};

static const struct template_value dsa_public[] = {
	VALUE_KEY(CKO_PUBLIC_KEY, CKK_DSA),  VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_PRIME, group_prime), VALUE_BYTES(CKA_SUBPRIME, group_subprime),
	VALUE_BYTES(CKA_BASE, group_base),   VALUE_BYTES(CKA_VALUE, group_public),
	VALUE_BOOL(CKA_VERIFY, 1),
};

static const struct template_value dsa_private[] = {
	VALUE_KEY(CKO_PRIVATE_KEY, CKK_DSA),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_PRIME, group_prime),
	VALUE_BYTES(CKA_SUBPRIME, group_subprime),
	VALUE_BYTES(CKA_BASE, group_base),
	VALUE_BYTES(CKA_VALUE, group_private),
	VALUE_BOOL(CKA_SIGN, 1),
	VALUE_OPEN,
};

static const struct template_value dsa_domain[] = {
	VALUE_KEY(CKO_DOMAIN_PARAMETERS, CKK_DSA),
	VALUE_BYTES(CKA_PRIME, group_prime),
	VALUE_BYTES(CKA_SUBPRIME, group_subprime),
	VALUE_BYTES(CKA_BASE, group_base),
};

static const struct template_value dh_public[] = {
	VALUE_KEY(CKO_PUBLIC_KEY, CKK_DH),    VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_PRIME, group_prime),  VALUE_BYTES(CKA_BASE, group_base),
	VALUE_BYTES(CKA_VALUE, group_public),
};

static const struct template_value dh_private[] = {
	VALUE_KEY(CKO_PRIVATE_KEY, CKK_DH),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_PRIME, group_prime),
	VALUE_BYTES(CKA_BASE, group_base),
	VALUE_BYTES(CKA_VALUE, group_private),
	VALUE_BOOL(CKA_DERIVE, 1),
	VALUE_OPEN,
};

static const struct template_value dh_domain[] = {
	VALUE_KEY(CKO_DOMAIN_PARAMETERS, CKK_DH),
	VALUE_BYTES(CKA_PRIME, group_prime),
	VALUE_BYTES(CKA_BASE, group_base),
};

#define OF(name, class, family, kind)                    \
	{                                                \
		name, class, family, kind, NULL, 0, true \
	}
#define OWN(name, class, family, values)                                                  \
	{                                                                                 \
		name, class, family, OBJECT_KINDS, values, TAPE_ARRAY_SIZE(values), false \
	}

const struct specimen specimens[] = {
	OF("data", SPECIMEN_DATA, FAMILY_NONE, OBJECT_DATA),
	OF("certificate", SPECIMEN_CERTIFICATE, FAMILY_NONE, OBJECT_CERTIFICATE),
	OF("generic-secret", SPECIMEN_SECRET, FAMILY_SECRET, OBJECT_SECRET),
	OF("aes", SPECIMEN_SECRET, FAMILY_SECRET, OBJECT_AES),
	OF("rsa-public", SPECIMEN_PUBLIC, FAMILY_RSA, OBJECT_RSA_PUBLIC),
	OF("rsa-private", SPECIMEN_PRIVATE, FAMILY_RSA, OBJECT_RSA_PRIVATE),
	OF("ec-public", SPECIMEN_PUBLIC, FAMILY_EC, OBJECT_EC_PUBLIC),
	OF("ec-private", SPECIMEN_PRIVATE, FAMILY_EC, OBJECT_EC_PRIVATE),
	OWN("aes-256", SPECIMEN_SECRET, FAMILY_SECRET, aes256),
	OWN("des3", SPECIMEN_SECRET, FAMILY_FIXED, des3),
	OWN("hmac-sha256", SPECIMEN_SECRET, FAMILY_SECRET, hmac),
	OWN("rsa-private-minimal", SPECIMEN_PRIVATE, FAMILY_RSA, rsa_minimal),
	OWN("ed25519-public", SPECIMEN_PUBLIC, FAMILY_EC, ed25519_public),
	OWN("ed25519-private", SPECIMEN_PRIVATE, FAMILY_EC, ed25519_private),
	OWN("x25519-public", SPECIMEN_PUBLIC, FAMILY_EC, x25519_public),
	OWN("x25519-private", SPECIMEN_PRIVATE, FAMILY_EC, x25519_private),
	OWN("dsa-public", SPECIMEN_PUBLIC, FAMILY_DSA, dsa_public),
	OWN("dsa-private", SPECIMEN_PRIVATE, FAMILY_DSA, dsa_private),
	OWN("dsa-domain", SPECIMEN_DOMAIN, FAMILY_DSA, dsa_domain),
	OWN("dh-public", SPECIMEN_PUBLIC, FAMILY_DH, dh_public),
	OWN("dh-private", SPECIMEN_PRIVATE, FAMILY_DH, dh_private),
	OWN("dh-domain", SPECIMEN_DOMAIN, FAMILY_DH, dh_domain),
};
const size_t specimen_count = TAPE_ARRAY_SIZE(specimens);

size_t specimen_of(enum object_kind kind)
{
	size_t which = 0;
	while (specimens[which].kind != kind)
		which++;
	return which;
}

void specimen_template(const struct check *c, struct template *t, size_t which)
{
	const struct specimen *specimen = &specimens[which];
	if (specimen->kind != OBJECT_KINDS) {
		object_template(c, t, specimen->kind);
		return;
	}
	template_of(t, specimen->values, specimen->value_count,
	            check_needs(c->row, NEED_USER) &&
	                    (specimen->class & (SPECIMEN_PRIVATE | SPECIMEN_SECRET)) != 0);
}

/* What a specimen's template has is known by building one. */
bool specimen_has(size_t specimen, CK_ATTRIBUTE_TYPE type)
{
	static const struct check_row row = { .needs = SPECIMEN_NEEDS };
	const struct check c = { .row = &row };
	struct template t;
	specimen_template(&c, &t, specimen);
	return template_find(&t, type) != NULL;
}

CK_OBJECT_HANDLE specimen_create(struct check *c, size_t which)
{
	struct template t;
	specimen_template(c, &t, which);
	return object_create(c, &t);
}

CK_OBJECT_HANDLE specimen_make(struct check *c, size_t which)
{
	if (specimens[which].kind != OBJECT_KINDS)
		return object_make(c, specimens[which].kind);
	return specimen_create(c, which);
}

void specimen_needed(struct check *c, size_t which)
{
	NEED_OK(c, c->p11->C_DestroyObject(c->session, specimen_create(c, which)));
}

/* ---- attributes ------------------------------------------------------------------------------ */

#define STORAGE SPECIMEN_ANY
#define DATA SPECIMEN_DATA
#define CERT SPECIMEN_CERTIFICATE
#define PUBLIC SPECIMEN_PUBLIC
#define PRIVATE SPECIMEN_PRIVATE
#define SECRET SPECIMEN_SECRET
#define DOMAIN SPECIMEN_DOMAIN
#define ANY FAMILY_NONE
#define REQUIRED FACT_REQUIRED
#define FORBIDDEN FACT_FORBIDDEN
#define HIDDEN FACT_SECRET
#define MODIFY FACT_MODIFIABLE
#define COPY FACT_COPYABLE
#define DELICATE FACT_DELICATE
#define OPTIONAL FACT_OPTIONAL

const struct fact facts[] = {
	/* §4.2, §4.4 */
	{ CKA_CLASS, STORAGE, ANY, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_TOKEN, STORAGE, ANY, COPY, DEFAULT_FALSE, 217, 0 },
	{ CKA_PRIVATE, STORAGE, ANY, COPY, DEFAULT_NONE, 0, 0 },
	{ CKA_MODIFIABLE, STORAGE, ANY, COPY, DEFAULT_TRUE, 217, 0 },
	{ CKA_LABEL, STORAGE, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	{ CKA_COPYABLE, STORAGE, ANY, DELICATE, DEFAULT_TRUE, 217, 0 },
	{ CKA_DESTROYABLE, STORAGE, ANY, COPY, DEFAULT_TRUE, 217, 0 },
	{ CKA_UNIQUE_ID, STORAGE, ANY, FORBIDDEN, DEFAULT_NONE, 0, SPEC(3, 0) },
	/* §4.5: each of these may be modified. */
	{ CKA_APPLICATION, DATA, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	{ CKA_OBJECT_ID, DATA, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	{ CKA_VALUE, DATA, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	/* §4.6.2: only the ID, the issuer and the serial number may be modified. */
	{ CKA_CERTIFICATE_TYPE, CERT, ANY, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_TRUSTED, CERT, ANY, DELICATE, DEFAULT_FALSE, 0, 0 },
	{ CKA_CERTIFICATE_CATEGORY, CERT, ANY, 0, DEFAULT_ZERO, 0, 0 },
	{ CKA_START_DATE, CERT, ANY, 0, DEFAULT_EMPTY, 224, 0 },
	{ CKA_END_DATE, CERT, ANY, 0, DEFAULT_EMPTY, 224, 0 },
	{ CKA_SUBJECT, CERT, ANY, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_ID, CERT, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	{ CKA_ISSUER, CERT, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	{ CKA_SERIAL_NUMBER, CERT, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	{ CKA_VALUE, CERT, ANY, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_URL, CERT, ANY, OPTIONAL | DELICATE, DEFAULT_EMPTY, 0, 0 },
	{ CKA_CHECK_VALUE, CERT, ANY, OPTIONAL | DELICATE, DEFAULT_NONE, 0, 0 },
	/* §4.7 */
	{ CKA_KEY_TYPE, SPECIMEN_KEY | DOMAIN, ANY, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_ID, SPECIMEN_KEY, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	{ CKA_START_DATE, SPECIMEN_KEY, ANY, MODIFY, DEFAULT_EMPTY, 224, 0 },
	{ CKA_END_DATE, SPECIMEN_KEY, ANY, MODIFY, DEFAULT_EMPTY, 224, 0 },
	{ CKA_DERIVE, SPECIMEN_KEY, ANY, MODIFY, DEFAULT_FALSE, 0, 0 },
	{ CKA_LOCAL, SPECIMEN_KEY | DOMAIN, ANY, FORBIDDEN, DEFAULT_FALSE, 216, 0 },
	{ CKA_KEY_GEN_MECHANISM, SPECIMEN_KEY, ANY, FORBIDDEN, DEFAULT_UNAVAILABLE, 260, 0 },
	/* §4.8 to §4.10 */
	{ CKA_SUBJECT, PUBLIC | PRIVATE, ANY, MODIFY, DEFAULT_EMPTY, 0, 0 },
	{ CKA_SENSITIVE, SECRET, ANY, MODIFY | FACT_RISES, DEFAULT_FALSE, 0, 0 },
	{ CKA_SENSITIVE, PRIVATE, ANY, MODIFY | FACT_RISES, DEFAULT_NONE, 0, 0 },
	{ CKA_ENCRYPT, PUBLIC | SECRET, ANY, MODIFY, DEFAULT_NONE, 0, 0 },
	{ CKA_DECRYPT, PRIVATE | SECRET, ANY, MODIFY, DEFAULT_NONE, 0, 0 },
	{ CKA_SIGN, PRIVATE | SECRET, ANY, MODIFY, DEFAULT_NONE, 0, 0 },
	{ CKA_SIGN_RECOVER, PRIVATE, ANY, MODIFY, DEFAULT_NONE, 0, 0 },
	{ CKA_VERIFY, PUBLIC | SECRET, ANY, MODIFY, DEFAULT_NONE, 0, 0 },
	{ CKA_VERIFY_RECOVER, PUBLIC, ANY, MODIFY, DEFAULT_NONE, 0, 0 },
	{ CKA_WRAP, PUBLIC | SECRET, ANY, MODIFY, DEFAULT_NONE, 0, 0 },
	{ CKA_UNWRAP, PRIVATE | SECRET, ANY, MODIFY, DEFAULT_NONE, 0, 0 },
	{ CKA_EXTRACTABLE, PRIVATE | SECRET, ANY, MODIFY | FACT_FALLS, DEFAULT_NONE, 0, 0 },
	{ CKA_ALWAYS_SENSITIVE, PRIVATE | SECRET, ANY, FORBIDDEN, DEFAULT_FALSE, 216, 0 },
	{ CKA_NEVER_EXTRACTABLE, PRIVATE | SECRET, ANY, FORBIDDEN, DEFAULT_FALSE, 216, 0 },
	{ CKA_WRAP_WITH_TRUSTED, PRIVATE | SECRET, ANY, DELICATE, DEFAULT_FALSE, 0, 0 },
	{ CKA_ALWAYS_AUTHENTICATE, PRIVATE, ANY, DELICATE, DEFAULT_FALSE, 0, 0 },
	{ CKA_TRUSTED, PUBLIC | SECRET, ANY, DELICATE, DEFAULT_NONE, 0, 0 },
	{ CKA_CHECK_VALUE, SECRET, ANY, OPTIONAL | DELICATE, DEFAULT_NONE, 0, 0 },
	/* The mechanisms' chapters */
	{ CKA_MODULUS, PUBLIC | PRIVATE, FAMILY_RSA, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_MODULUS_BITS, PUBLIC, FAMILY_RSA, FORBIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_PUBLIC_EXPONENT, PUBLIC, FAMILY_RSA, REQUIRED, DEFAULT_NONE, 0, 0 },
	/* Required since 2.40. */
	{ CKA_PUBLIC_EXPONENT, PRIVATE, FAMILY_RSA, 0, DEFAULT_NONE, 0, 0 },
	{ CKA_PRIVATE_EXPONENT, PRIVATE, FAMILY_RSA, REQUIRED | HIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_PRIME_1, PRIVATE, FAMILY_RSA, HIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_PRIME_2, PRIVATE, FAMILY_RSA, HIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_EXPONENT_1, PRIVATE, FAMILY_RSA, HIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_EXPONENT_2, PRIVATE, FAMILY_RSA, HIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_COEFFICIENT, PRIVATE, FAMILY_RSA, HIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_EC_PARAMS, PUBLIC | PRIVATE, FAMILY_EC, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_EC_POINT, PUBLIC, FAMILY_EC, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_PRIME, PUBLIC | PRIVATE | DOMAIN, FAMILY_DSA | FAMILY_DH, REQUIRED, DEFAULT_NONE, 0,
	  0 },
	{ CKA_SUBPRIME, PUBLIC | PRIVATE | DOMAIN, FAMILY_DSA, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_BASE, PUBLIC | PRIVATE | DOMAIN, FAMILY_DSA | FAMILY_DH, REQUIRED, DEFAULT_NONE, 0,
	  0 },
	{ CKA_PRIME_BITS, DOMAIN, FAMILY_DSA | FAMILY_DH, FORBIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_VALUE, PUBLIC, FAMILY_DSA | FAMILY_DH, REQUIRED, DEFAULT_NONE, 0, 0 },
	{ CKA_VALUE, PRIVATE, FAMILY_EC | FAMILY_DSA | FAMILY_DH, REQUIRED | HIDDEN, DEFAULT_NONE,
	  0, 0 },
	{ CKA_VALUE_BITS, PRIVATE, FAMILY_DH, FORBIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_VALUE, SECRET, FAMILY_SECRET | FAMILY_FIXED, REQUIRED | HIDDEN, DEFAULT_NONE, 0, 0 },
	{ CKA_VALUE_LEN, SECRET, FAMILY_SECRET, FORBIDDEN, DEFAULT_NONE, 0, 0 },
};
const size_t fact_count = TAPE_ARRAY_SIZE(facts);
_Static_assert(TAPE_ARRAY_SIZE(facts) <= 80, "struct snapshot has an entry for each");

bool fact_applies(const struct fact *fact, const struct specimen *specimen)
{
	return (fact->classes & specimen->class) != 0 &&
	       (fact->families == ANY || (fact->families & specimen->family) != 0);
}

bool fact_is_tried(const struct fact *fact, const struct specimen *specimen)
{
	return fact_applies(fact, specimen) && (specimen->is_full || fact->families != FAMILY_NONE);
}

void fact_needed(struct check *c, const struct fact *fact)
{
	if (c->target->spec < fact->since)
		check_skip(c, "%s came with PKCS#11 %u.%u", fact_name(fact), fact->since >> 8,
		           fact->since & 0xff);
}

const char *fact_name(const struct fact *fact)
{
	return check_attribute_name(fact->type);
}

enum tape_attribute_type fact_form(const struct fact *fact)
{
	return (enum tape_attribute_type)tape_attribute_find(fact->type)->type;
}

/* A value that is good for the attribute, for when the template has none. */
static void put_sample(struct template *t, const struct fact *fact)
{
	/* DER: a name with the common name "other"; the integer 2; an object identifier. */
	static const CK_BYTE name[] = { 0x30, 0x10, 0x31, 0x0e, 0x30, 0x0c, 0x06, 0x03, 0x55,
		                        0x04, 0x03, 0x0c, 0x05, 'o',  't',  'h',  'e',  'r' };
	static const CK_BYTE number[] = { 0x02, 0x01, 0x02 };
	static const CK_BYTE oid[] = { 0x06, 0x03, 0x2a, 0x03, 0x04 };
	if (fact->type == CKA_SUBJECT || fact->type == CKA_ISSUER)
		template_bytes(t, fact->type, name, sizeof(name));
	else if (fact->type == CKA_SERIAL_NUMBER)
		template_bytes(t, fact->type, number, sizeof(number));
	else if (fact->type == CKA_OBJECT_ID)
		template_bytes(t, fact->type, oid, sizeof(oid));
	else
		template_text(t, fact->type, "p11tape other");
}

void fact_change(struct template *t, const struct fact *fact)
{
	const CK_ATTRIBUTE *entry = template_find(t, fact->type);
	CK_ULONG number = 0;
	CK_BBOOL truth = fact->initial == DEFAULT_TRUE;
	switch (fact_form(fact)) {
	case TAPE_A_BOOL:
		if (entry != NULL)
			memcpy(&truth, entry->pValue, sizeof(truth));
		template_bool(t, fact->type, !truth);
		break;
	case TAPE_A_ULONG:
	case TAPE_A_CONSTANT:
		if (entry != NULL)
			memcpy(&number, entry->pValue, sizeof(number));
		template_ulong(t, fact->type, number + 1);
		break;
	case TAPE_A_DATE:
		template_text(t, fact->type, "20300102");
		break;
	default:
		put_sample(t, fact);
		break;
	}
}

/* ---- looking at objects ---------------------------------------------------------------------- */

/* Numbers are read into as many bytes as they have: some modules want no more. */
static CK_RV read_value(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type,
                        unsigned char *value, CK_ULONG *ret_size)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	CK_ULONG room = SNAPSHOT_SIZE;
	if (row != NULL && row->type == TAPE_A_BOOL)
		room = sizeof(CK_BBOOL);
	else if (row != NULL && (row->type == TAPE_A_ULONG || row->type == TAPE_A_CONSTANT))
		room = sizeof(CK_ULONG);
	return object_read(c, object, type, value, room, ret_size);
}

void snapshot_take(struct check *c, struct snapshot *snapshot, CK_OBJECT_HANDLE object,
                   size_t which)
{
	memset(snapshot, 0, sizeof(*snapshot));
	for (size_t i = 0; i < fact_count; i++)
		if (fact_applies(&facts[i], &specimens[which]))
			snapshot->entries[i].rv =
				read_value(c, object, facts[i].type, snapshot->entries[i].value,
			                   &snapshot->entries[i].size);
}

size_t snapshot_differs(const struct snapshot *one, const struct snapshot *other,
                        const CK_ATTRIBUTE_TYPE *except)
{
	for (size_t i = 0; i < fact_count; i++) {
		size_t at = 0;
		while (except[at] != CK_UNAVAILABLE_INFORMATION && except[at] != facts[i].type)
			at++;
		if (except[at] == facts[i].type)
			continue;
		if (one->entries[i].rv != other->entries[i].rv ||
		    (one->entries[i].rv == CKR_OK &&
		     (one->entries[i].size != other->entries[i].size ||
		      memcmp(one->entries[i].value, other->entries[i].value, SNAPSHOT_SIZE) != 0)))
			return i;
	}
	return fact_count;
}

void expect_value(struct check *c, unsigned int rule, CK_OBJECT_HANDLE object,
                  const CK_ATTRIBUTE *entry)
{
	unsigned char value[SNAPSHOT_SIZE];
	CK_ULONG size;
	const char *name = check_attribute_name(entry->type);
	CK_RV rv = read_value(c, object, entry->type, value, &size);
	if (rv == CKR_ATTRIBUTE_SENSITIVE)
		check_skip(c, "the token does not tell %s", name);
	EXPECT(c, rule, rv == CKR_OK, "C_GetAttributeValue of %s returned %s", name,
	       check_rv_name(rv));
	EXPECT(c, rule, size == entry->ulValueLen && memcmp(value, entry->pValue, size) == 0,
	       "%s has %lu bytes that are not the %lu that were given", name, (unsigned long)size,
	       (unsigned long)entry->ulValueLen);
}

size_t count_objects(struct check *c)
{
	static CK_OBJECT_HANDLE found[4096];
	return object_find(c, NULL, found, TAPE_ARRAY_SIZE(found));
}

bool can_read(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG size;
	return object_read(c, object, type, NULL, 0, &size) == CKR_OK;
}

void expect_refused(struct check *c, unsigned int rule, const char *name, CK_RV rv,
                    const CK_RV *codes, size_t count, const char *file, int line)
{
	static const CK_RV others[] = { CKR_ATTRIBUTE_READ_ONLY,     CKR_ATTRIBUTE_TYPE_INVALID,
		                        CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCOMPLETE,
		                        CKR_TEMPLATE_INCONSISTENT,   CKR_ARGUMENTS_BAD,
		                        CKR_DOMAIN_PARAMS_INVALID,   CKR_ACTION_PROHIBITED,
		                        CKR_KEY_SIZE_RANGE };
	for (size_t i = 0; i < count; i++)
		if (rv == codes[i]) {
			check_expect_rv(c, rule, name, rv, codes, count, file, line);
			return;
		}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(others); i++)
		if (rv == others[i]) {
			check_deviate(c, rule, file, line, "%s returned %s, expected %s", name,
			              check_rv_name(rv), check_rv_name(codes[0]));
			return;
		}
	check_expect_rv(c, rule, name, rv, codes, count, file, line);
}

static bool asserts(const struct check *c, unsigned int rule)
{
	for (size_t i = 0; i < CHECK_RULES; i++)
		if (c->row->rules[i] == rule)
			return true;
	return false;
}

void expect_not_created(struct check *c, unsigned int rule, struct template *t, const CK_RV *codes,
                        size_t count, const char *file, int line)
{
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	bool counts = asserts(c, 1);
	size_t before = counts ? count_objects(c) : 0;
	CK_RV rv = c->p11->C_CreateObject(c->session, t->entry, t->count, &object);
	if (rv == CKR_OK)
		(void)c->p11->C_DestroyObject(c->session, object);
	expect_refused(c, rule, "C_CreateObject", rv, codes, count, file, line);
	size_t after = counts ? count_objects(c) : 0;
	check_expect(c, counts ? 1 : rule, rv == CKR_OK || after == before, file, line,
	             "C_CreateObject returned %s, yet there are %zu objects where %zu were",
	             check_rv_name(rv), after, before);
}
