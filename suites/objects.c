/* SPDX-License-Identifier: MIT */
#include "suites/objects.h"

#include <string.h>

#include "suites/keys.h"

/* ---- templates ------------------------------------------------------------------------------- */

void template_clear(struct template *t)
{
	t->count = 0;
	t->used = 0;
}

CK_ATTRIBUTE *template_find(struct template *t, CK_ATTRIBUTE_TYPE type)
{
	for (CK_ULONG i = 0; i < t->count; i++)
		if (t->entry[i].type == type)
			return &t->entry[i];
	return NULL;
}

void template_bytes(struct template *t, CK_ATTRIBUTE_TYPE type, const void *bytes, size_t size)
{
	CK_ATTRIBUTE *entry = template_find(t, type);
	size_t room = (size + 15u) & ~(size_t)15u;
	if (room > sizeof(t->storage) - t->used ||
	    (entry == NULL && t->count == TAPE_ARRAY_SIZE(t->entry)))
		return;
	if (entry == NULL)
		entry = &t->entry[t->count++];
	entry->type = type;
	entry->pValue = t->storage + t->used;
	entry->ulValueLen = size;
	if (size != 0)
		memcpy(entry->pValue, bytes, size);
	t->used += room;
}

void template_guarded(struct check *c, struct template *t, CK_ATTRIBUTE_TYPE type,
                      const void *bytes, size_t size)
{
	void *value = check_buffer(c, size);
	template_bytes(t, type, bytes, size);
	if (size != 0)
		memcpy(value, bytes, size);
	template_find(t, type)->pValue = value;
}

void template_ulong(struct template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
	template_bytes(t, type, &value, sizeof(value));
}

void template_bool(struct template *t, CK_ATTRIBUTE_TYPE type, bool value)
{
	CK_BBOOL byte = value ? CK_TRUE : CK_FALSE;
	template_bytes(t, type, &byte, sizeof(byte));
}

void template_text(struct template *t, CK_ATTRIBUTE_TYPE type, const char *text)
{
	template_bytes(t, type, text, strlen(text));
}

void template_remove(struct template *t, CK_ATTRIBUTE_TYPE type)
{
	CK_ATTRIBUTE *entry = template_find(t, type);
	if (entry == NULL)
		return;
	t->count--;
	memmove(entry, entry + 1, (size_t)(t->entry + t->count - entry) * sizeof(*entry));
}

void template_of(struct template *t, const struct template_value *values, size_t count,
                 bool is_private)
{
	template_clear(t);
	for (size_t i = 0; i < count; i++) {
		const struct template_value *value = &values[i];
		if (value->form == VALUE_IS_BYTES)
			template_bytes(t, value->type, value->bytes, value->number);
		else if (value->form == VALUE_IS_ULONG)
			template_ulong(t, value->type, value->number);
		else
			template_bool(t, value->type, value->number != 0);
	}
	template_text(t, CKA_LABEL, OBJECT_LABEL);
	template_bool(t, CKA_TOKEN, false);
	template_bool(t, CKA_PRIVATE, is_private);
}

/* ---- objects --------------------------------------------------------------------------------- */

static const CK_BYTE secret_value[32] = "p11tape check, a secret of 32 by";
static const CK_BYTE aes_value[16] = "p11tape 16 bytes";
static const CK_BYTE id[1] = { 0x11 };
/* DER: a name with the common name "p11tape check", as in the certificate; and the integer 1. */
static const CK_BYTE subject[] = { 0x30, 0x18, 0x31, 0x16, 0x30, 0x14, 0x06, 0x03, 0x55,
	                           0x04, 0x03, 0x0c, 0x0d, 'p',  '1',  '1',  't',  'a',
	                           'p',  'e',  ' ',  'c',  'h',  'e',  'c',  'k' };
static const CK_BYTE serial[] = { 0x02, 0x01, 0x01 };

static const struct template_value data[] = {
	VALUE_ULONG(CKA_CLASS, CKO_DATA),
	VALUE_TEXT(CKA_APPLICATION, "p11tape"),
	VALUE_TEXT(CKA_VALUE, "what a data object holds"),
};

static const struct template_value certificate[] = {
	VALUE_ULONG(CKA_CLASS, CKO_CERTIFICATE),
	VALUE_ULONG(CKA_CERTIFICATE_TYPE, CKC_X_509),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_SUBJECT, subject),
	VALUE_BYTES(CKA_ISSUER, subject),
	VALUE_BYTES(CKA_SERIAL_NUMBER, serial),
	VALUE_BYTES(CKA_VALUE, certificate_value),
};

static const struct template_value secret[] = {
	VALUE_ULONG(CKA_CLASS, CKO_SECRET_KEY),
	VALUE_ULONG(CKA_KEY_TYPE, CKK_GENERIC_SECRET),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_VALUE, secret_value),
	VALUE_BOOL(CKA_SIGN, 1),
	VALUE_BOOL(CKA_VERIFY, 1),
	VALUE_BOOL(CKA_DERIVE, 1),
	VALUE_BOOL(CKA_EXTRACTABLE, 1),
	VALUE_BOOL(CKA_SENSITIVE, 0),
};

static const struct template_value aes[] = {
	VALUE_ULONG(CKA_CLASS, CKO_SECRET_KEY),
	VALUE_ULONG(CKA_KEY_TYPE, CKK_AES),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_VALUE, aes_value),
	VALUE_BOOL(CKA_ENCRYPT, 1),
	VALUE_BOOL(CKA_DECRYPT, 1),
	VALUE_BOOL(CKA_WRAP, 1),
	VALUE_BOOL(CKA_UNWRAP, 1),
	VALUE_BOOL(CKA_SIGN, 1),
	VALUE_BOOL(CKA_VERIFY, 1),
	VALUE_BOOL(CKA_DERIVE, 1),
	VALUE_BOOL(CKA_EXTRACTABLE, 1),
	VALUE_BOOL(CKA_SENSITIVE, 0),
};

static const struct template_value rsa_public[] = {
	VALUE_ULONG(CKA_CLASS, CKO_PUBLIC_KEY),
	VALUE_ULONG(CKA_KEY_TYPE, CKK_RSA),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_MODULUS, rsa_modulus),
	VALUE_BYTES(CKA_PUBLIC_EXPONENT, rsa_public_exponent),
	VALUE_BOOL(CKA_ENCRYPT, 1),
	VALUE_BOOL(CKA_VERIFY, 1),
	VALUE_BOOL(CKA_VERIFY_RECOVER, 1),
	VALUE_BOOL(CKA_WRAP, 1),
};

static const struct template_value rsa_private[] = {
	VALUE_ULONG(CKA_CLASS, CKO_PRIVATE_KEY),
	VALUE_ULONG(CKA_KEY_TYPE, CKK_RSA),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_SUBJECT, subject),
	VALUE_BYTES(CKA_MODULUS, rsa_modulus),
	VALUE_BYTES(CKA_PUBLIC_EXPONENT, rsa_public_exponent),
	VALUE_BYTES(CKA_PRIVATE_EXPONENT, rsa_private_exponent),
	VALUE_BYTES(CKA_PRIME_1, rsa_prime1),
	VALUE_BYTES(CKA_PRIME_2, rsa_prime2),
	VALUE_BYTES(CKA_EXPONENT_1, rsa_exponent1),
	VALUE_BYTES(CKA_EXPONENT_2, rsa_exponent2),
	VALUE_BYTES(CKA_COEFFICIENT, rsa_coefficient),
	VALUE_BOOL(CKA_DECRYPT, 1),
	VALUE_BOOL(CKA_SIGN, 1),
	VALUE_BOOL(CKA_SIGN_RECOVER, 1),
	VALUE_BOOL(CKA_UNWRAP, 1),
	VALUE_BOOL(CKA_EXTRACTABLE, 1),
	VALUE_BOOL(CKA_SENSITIVE, 0),
};

static const struct template_value ec_public[] = {
	VALUE_ULONG(CKA_CLASS, CKO_PUBLIC_KEY),
	VALUE_ULONG(CKA_KEY_TYPE, CKK_EC),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_EC_PARAMS, ec_params),
	VALUE_BYTES(CKA_EC_POINT, ec_point),
	VALUE_BOOL(CKA_VERIFY, 1),
};

static const struct template_value ec_private[] = {
	VALUE_ULONG(CKA_CLASS, CKO_PRIVATE_KEY),
	VALUE_ULONG(CKA_KEY_TYPE, CKK_EC),
	VALUE_BYTES(CKA_ID, id),
	VALUE_BYTES(CKA_SUBJECT, subject),
	VALUE_BYTES(CKA_EC_PARAMS, ec_params),
	VALUE_BYTES(CKA_VALUE, ec_value),
	VALUE_BOOL(CKA_SIGN, 1),
	VALUE_BOOL(CKA_DERIVE, 1),
	VALUE_BOOL(CKA_EXTRACTABLE, 1),
	VALUE_BOOL(CKA_SENSITIVE, 0),
};

static const struct {
	const char *name;
	const struct template_value *values;
	size_t count;
} kinds[OBJECT_KINDS] = {
#define KIND(name, values)                            \
	{                                             \
		name, values, TAPE_ARRAY_SIZE(values) \
	}
	[OBJECT_DATA] = KIND("data", data),
	[OBJECT_CERTIFICATE] = KIND("certificate", certificate),
	[OBJECT_SECRET] = KIND("generic-secret", secret),
	[OBJECT_AES] = KIND("aes", aes),
	[OBJECT_RSA_PUBLIC] = KIND("rsa-public", rsa_public),
	[OBJECT_RSA_PRIVATE] = KIND("rsa-private", rsa_private),
	[OBJECT_EC_PUBLIC] = KIND("ec-public", ec_public),
	[OBJECT_EC_PRIVATE] = KIND("ec-private", ec_private),
#undef KIND
};

const char *object_name(enum object_kind kind)
{
	return kinds[kind].name;
}

void object_template(const struct check *c, struct template *t, enum object_kind kind)
{
	template_of(t, kinds[kind].values, kinds[kind].count,
	            check_needs(c->row, NEED_USER) &&
	                    (kind == OBJECT_SECRET || kind == OBJECT_AES ||
	                     kind == OBJECT_RSA_PRIVATE || kind == OBJECT_EC_PRIVATE));
}

/* ---- where keys can only be generated -------------------------------------------------------- */

static CK_RV generate_secret(struct check *c, struct template *t, enum object_kind kind,
                             CK_OBJECT_HANDLE *ret_key)
{
	bool is_aes = kind == OBJECT_AES;
	CK_MECHANISM mechanism = { is_aes ? CKM_AES_KEY_GEN : CKM_GENERIC_SECRET_KEY_GEN, NULL, 0 };
	template_remove(t, CKA_VALUE);
	template_ulong(t, CKA_VALUE_LEN, is_aes ? sizeof(aes_value) : sizeof(secret_value));
	return c->p11->C_GenerateKey(c->session, &mechanism, t->entry, t->count, ret_key);
}

static CK_RV generate_pair(struct check *c, enum object_kind kind, CK_OBJECT_HANDLE *ret_key)
{
	struct template public, private;
	bool is_rsa = kind == OBJECT_RSA_PUBLIC || kind == OBJECT_RSA_PRIVATE;
	CK_MECHANISM mechanism = { is_rsa ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN, NULL,
		                   0 };
	static const CK_ATTRIBUTE_TYPE made[] = {
		CKA_MODULUS,    CKA_PUBLIC_EXPONENT, CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2,
		CKA_EXPONENT_1, CKA_EXPONENT_2,      CKA_COEFFICIENT,      CKA_VALUE,   CKA_EC_POINT
	};
	CK_OBJECT_HANDLE pair[2];
	object_template(c, &public, is_rsa ? OBJECT_RSA_PUBLIC : OBJECT_EC_PUBLIC);
	object_template(c, &private, is_rsa ? OBJECT_RSA_PRIVATE : OBJECT_EC_PRIVATE);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(made); i++) {
		template_remove(&public, made[i]);
		template_remove(&private, made[i]);
	}
	template_remove(&private, CKA_EC_PARAMS);
	if (is_rsa) {
		template_ulong(&public, CKA_MODULUS_BITS, 2048);
		template_bytes(&public, CKA_PUBLIC_EXPONENT, rsa_public_exponent,
		               sizeof(rsa_public_exponent));
	}
	CK_RV rv = c->p11->C_GenerateKeyPair(c->session, &mechanism, public.entry, public.count,
	                                     private.entry, private.count, &pair[0], &pair[1]);
	if (rv == CKR_OK)
		*ret_key = pair[kind == OBJECT_RSA_PRIVATE || kind == OBJECT_EC_PRIVATE];
	return rv;
}

CK_OBJECT_HANDLE object_make(struct check *c, enum object_kind kind)
{
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	CK_RV generated = CKR_FUNCTION_NOT_SUPPORTED;
	object_template(c, &t, kind);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_OK)
		return object;
	if (kind == OBJECT_SECRET || kind == OBJECT_AES)
		generated = generate_secret(c, &t, kind, &object);
	else if (kind != OBJECT_DATA && kind != OBJECT_CERTIFICATE)
		generated = generate_pair(c, kind, &object);
	if (generated != CKR_OK)
		check_skip(c, "an object (%s) can be neither created (%s) nor generated (%s)",
		           kinds[kind].name, check_rv_name(rv), check_rv_name(generated));
	return object;
}

CK_OBJECT_HANDLE object_create(struct check *c, struct template *t)
{
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	NEED_OK(c, c->p11->C_CreateObject(c->session, t->entry, t->count, &object));
	return object;
}

/* ---- looking at objects ---------------------------------------------------------------------- */

CK_RV object_read(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *to,
                  CK_ULONG room, CK_ULONG *ret_size)
{
	CK_ATTRIBUTE entry = { type, to, room };
	CK_RV rv = c->p11->C_GetAttributeValue(c->session, object, &entry, 1);
	*ret_size = entry.ulValueLen;
	return rv;
}

static void read_exactly(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *to,
                         CK_ULONG size)
{
	CK_ULONG got;
	CK_RV rv = object_read(c, object, type, to, size, &got);
	if (rv != CKR_OK || got != size)
		check_skip(c, "%s cannot be read (%s)", check_attribute_name(type),
		           check_rv_name(rv));
}

bool object_bool(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
	CK_BBOOL value = CK_FALSE;
	read_exactly(c, object, type, &value, sizeof(value));
	return value != CK_FALSE;
}

CK_ULONG object_ulong(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
	CK_ULONG value = 0;
	read_exactly(c, object, type, &value, sizeof(value));
	return value;
}

size_t object_find(struct check *c, struct template *t, CK_OBJECT_HANDLE *found, size_t room)
{
	size_t count = 0;
	CK_ULONG got = 1;
	NEED_OK(c, c->p11->C_FindObjectsInit(c->session, t == NULL ? NULL : t->entry,
	                                     t == NULL ? 0 : t->count));
	while (count < room && got != 0) {
		NEED_OK(c, c->p11->C_FindObjects(c->session, found + count, room - count, &got));
		count += got <= room - count ? got : room - count;
	}
	NEED_OK(c, c->p11->C_FindObjectsFinal(c->session));
	return count;
}

void object_sweep(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[256];
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	size_t count = object_find(c, &t, found, TAPE_ARRAY_SIZE(found));
	for (size_t i = 0; i < count; i++)
		(void)c->p11->C_DestroyObject(c->session, found[i]);
}
