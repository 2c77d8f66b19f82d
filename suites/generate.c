/* SPDX-License-Identifier: MIT
 *
 * C_GenerateKey (PKCS#11 3.1 §5.18.1): every mechanism that generates secret keys, with templates of every kind.
 */
#include <stdio.h>
#include <string.h>

#include "suites/keying.h"

static const struct generator {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	CK_KEY_TYPE type;
	CK_ULONG size;   /* of the key that is made, in bytes */
	bool says_size;  /* the template has to say it */
	CK_ULONG bad[4]; /* sizes that there are not; 0 behind the last */
} generators[] = {
	{ "aes-128", CKM_AES_KEY_GEN, CKK_AES, 16, true, { 1, 15, 17, 33 } },
	{ "aes-256", CKM_AES_KEY_GEN, CKK_AES, 32, true, { 31, 64 } },
	{ "aes-xts", CKM_AES_XTS_KEY_GEN, CKK_AES_XTS, 64, true, { 16, 63 } },
	{ "des", CKM_DES_KEY_GEN, CKK_DES, 8, false, { 0 } },
	{ "des3", CKM_DES3_KEY_GEN, CKK_DES3, 24, false, { 0 } },
	{ "generic-secret", CKM_GENERIC_SECRET_KEY_GEN, CKK_GENERIC_SECRET, 32, true, { 0 } },
	{ "sha1-hmac", CKM_SHA_1_KEY_GEN, CKK_SHA_1_HMAC, 20, true, { 0 } },
	{ "sha256-hmac", CKM_SHA256_KEY_GEN, CKK_SHA256_HMAC, 32, true, { 0 } },
	{ "sha512-hmac", CKM_SHA512_KEY_GEN, CKK_SHA512_HMAC, 64, true, { 0 } },
	{ "sha3-256-hmac", CKM_SHA3_256_KEY_GEN, CKK_SHA3_256_HMAC, 32, true, { 0 } },
	{ "hkdf", CKM_HKDF_KEY_GEN, CKK_HKDF, 32, true, { 0 } },
	{ "chacha20", CKM_CHACHA20_KEY_GEN, CKK_CHACHA20, 32, false, { 0 } },
	{ "poly1305", CKM_POLY1305_KEY_GEN, CKK_POLY1305, 32, false, { 0 } },
	{ "camellia", CKM_CAMELLIA_KEY_GEN, CKK_CAMELLIA, 16, true, { 15, 33 } },
	{ "seed", CKM_SEED_KEY_GEN, CKK_SEED, 16, false, { 0 } },
};

static const struct generator *begin(struct check *c, struct template *t)
{
	const struct generator *g = c->row->data;
	keying_mechanism(c, g->mechanism, CKF_GENERATE);
	keying_template(c, t);
	template_bool(t, CKA_SENSITIVE, false);
	template_bool(t, CKA_EXTRACTABLE, true);
	if (g->says_size)
		template_ulong(t, CKA_VALUE_LEN, g->size);
	return g;
}

static CK_RV generate(struct check *c, struct template *t, CK_OBJECT_HANDLE *ret_key)
{
	const struct generator *g = c->row->data;
	CK_MECHANISM mechanism = { g->mechanism, NULL, 0 };
	*ret_key = CK_INVALID_HANDLE;
	return c->p11->C_GenerateKey(c->session, &mechanism, t->entry, t->count, ret_key);
}

/* What a token lists and cannot do with a good template is not what the other checks are about. */
static void need_generator(struct check *c, struct template *t)
{
	CK_OBJECT_HANDLE key;
	NEED_OK(c, generate(c, t, &key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
}

/* ---- keys that are made ---------------------------------------------------------------------- */

static void attributes(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_BYTE value[KEYING_VALUE_SIZE];
	CK_ULONG size;
	const struct generator *g = begin(c, &t);
	NEED_OK(c, generate(c, &t, &key));
	EXPECT(c, 214, key != CK_INVALID_HANDLE, "the key's handle is CK_INVALID_HANDLE");
	CK_ULONG class = object_ulong(c, key, CKA_CLASS);
	CK_ULONG type = object_ulong(c, key, CKA_KEY_TYPE);
	EXPECT(c, 259, class == CKO_SECRET_KEY, "CKA_CLASS is %s", check_name(TAPE_G_CKO, class));
	EXPECT(c, 259, type == g->type, "CKA_KEY_TYPE is %s", check_name(TAPE_G_CKK, type));
	EXPECT(c, 213, keying_left(c) == 1, "the key is not found by its CKA_ID");
	if (keying_value(c, key, value, &size))
		EXPECT(c, 213, size == g->size, "the key has %lu bytes, not %lu", size, g->size);
}

static void local(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	const struct generator *g = begin(c, &t);
	NEED_OK(c, generate(c, &t, &key));
	EXPECT(c, 260, object_bool(c, key, CKA_LOCAL), "CKA_LOCAL is false");
	CK_ULONG mechanism = object_ulong(c, key, CKA_KEY_GEN_MECHANISM);
	EXPECT(c, 260, mechanism == g->mechanism, "CKA_KEY_GEN_MECHANISM is %s",
	       check_mechanism_name(mechanism));
}

/* row->a: CKA_SENSITIVE; row->b: CKA_EXTRACTABLE. */
static void latches(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	bool sensitive = c->row->a != 0, extractable = c->row->b != 0;
	begin(c, &t);
	template_bool(&t, CKA_SENSITIVE, sensitive);
	template_bool(&t, CKA_EXTRACTABLE, extractable);
	NEED_OK(c, generate(c, &t, &key));
	keying_expect_history(c, key, sensitive, extractable);
}

/* A key that is sensitive, or not extractable, does not show its value. */
static void hidden(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_ULONG got;
	CK_BYTE *value = check_buffer(c, 512);
	begin(c, &t);
	template_bool(&t, CKA_SENSITIVE, c->row->a != 0);
	template_bool(&t, CKA_EXTRACTABLE, c->row->a != 0);
	NEED_OK(c, generate(c, &t, &key));
	EXPECT_RV(c, 248, object_read(c, key, CKA_VALUE, value, 512, &got),
	          CKR_ATTRIBUTE_SENSITIVE);
	EXPECT(c, 238, got == CK_UNAVAILABLE_INFORMATION, "ulValueLen is %lu", got);
	EXPECT(c, 248, check_untouched(value, 0, 512), "bytes were written to pValue");
}

static void usable(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	const struct generator *g = begin(c, &t);
	keying_uses(&t, g->type);
	NEED_OK(c, generate(c, &t, &key));
	if (!keying_works(c, 361, key, g->type))
		check_skip(c, "the token has no mechanism to try a key of this type with");
}

static void differ(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE one, other;
	CK_BYTE first[KEYING_VALUE_SIZE], second[KEYING_VALUE_SIZE];
	CK_ULONG size, other_size;
	begin(c, &t);
	NEED_OK(c, generate(c, &t, &one));
	NEED_OK(c, generate(c, &t, &other));
	EXPECT(c, 214, one != other, "two keys have one handle");
	if (!keying_value(c, one, first, &size) || !keying_value(c, other, second, &other_size))
		check_skip(c, "the key's value cannot be read");
	EXPECT(c, 360, size == other_size && memcmp(first, second, size) != 0,
	       "two keys have the same value");
}

/* Backwards. */
static void order(struct check *c)
{
	struct template t, back;
	CK_OBJECT_HANDLE key;
	begin(c, &t);
	need_generator(c, &t);
	template_clear(&back);
	for (CK_ULONG i = t.count; i-- > 0;)
		template_bytes(&back, t.entry[i].type, t.entry[i].pValue, t.entry[i].ulValueLen);
	EXPECT_RV(c, 212, generate(c, &back, &key), CKR_OK);
}

static void class_given(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	const struct generator *g = begin(c, &t);
	need_generator(c, &t);
	template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&t, CKA_KEY_TYPE, g->type);
	EXPECT_RV(c, 259, generate(c, &t, &key), CKR_OK);
}

/* ---- refused --------------------------------------------------------------------------------- */

#define REFUSED(c, rule, t, ...)                                            \
	do {                                                                \
		CK_OBJECT_HANDLE made;                                      \
		CK_RV answer = generate(c, t, &made);                       \
		EXPECT_CODE(c, rule, "C_GenerateKey", answer, __VA_ARGS__); \
		if (answer != CKR_OK)                                       \
			keying_nothing_left(c, "C_GenerateKey");            \
	} while (0)

static void no_size(struct check *c)
{
	struct template t;
	begin(c, &t);
	need_generator(c, &t);
	template_remove(&t, CKA_VALUE_LEN);
	REFUSED(c, 208, &t, CKR_TEMPLATE_INCOMPLETE);
}

/* §4.1.1 has several codes for it: a value that is invalid, a template that makes no sense, a size. */
static void bad_size(struct check *c)
{
	struct template t;
	begin(c, &t);
	need_generator(c, &t);
	template_ulong(&t, CKA_VALUE_LEN, c->row->a);
	REFUSED(c, 206, &t, CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
	        CKR_TEMPLATE_INCONSISTENT);
}

/* A CKA_VALUE_LEN of a fixed-size type: its own size may be said or not, another not. */
static void other_size(struct check *c)
{
	struct template t;
	const struct generator *g = begin(c, &t);
	need_generator(c, &t);
	template_ulong(&t, CKA_VALUE_LEN, g->size + 1);
	CK_OBJECT_HANDLE key;
	CK_RV rv = generate(c, &t, &key);
	if (rv == CKR_OK) {
		CK_BYTE value[KEYING_VALUE_SIZE];
		CK_ULONG size;
		EXPECT(c, 213,
		       !keying_value(c, key, value, &size) || size == g->size ||
		               size == g->size + 1,
		       "the key has neither its type's size nor CKA_VALUE_LEN bytes");
		DEVIATION(c, 213, "CKA_VALUE_LEN of %lu was ignored", g->size + 1);
		return;
	}
	EXPECT_CODE(c, 206, "C_GenerateKey", rv, CKR_ATTRIBUTE_VALUE_INVALID, CKR_KEY_SIZE_RANGE,
	            CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_READ_ONLY);
	keying_nothing_left(c, "C_GenerateKey");
}

/* §5.18.1 names the code; that the value is invalid (§4.1.1) is not wrong either. */
static void conflict(struct check *c, struct template *t)
{
	CK_OBJECT_HANDLE key;
	CK_RV rv = generate(c, t, &key);
	if (rv == CKR_ATTRIBUTE_VALUE_INVALID)
		DEVIATION(
			c, 259,
			"C_GenerateKey returned %s for what conflicts with the mechanism, expected "
			"CKR_TEMPLATE_INCONSISTENT",
			check_rv_name(rv));
	else
		EXPECT_CODE(c, 259, "C_GenerateKey", rv, CKR_TEMPLATE_INCONSISTENT);
	keying_nothing_left(c, "C_GenerateKey");
}

static void other_class(struct check *c)
{
	struct template t;
	begin(c, &t);
	need_generator(c, &t);
	template_ulong(&t, CKA_CLASS, c->row->a);
	conflict(c, &t);
}

static void other_type(struct check *c)
{
	struct template t;
	const struct generator *g = begin(c, &t);
	need_generator(c, &t);
	template_ulong(&t, CKA_KEY_TYPE, g->type == CKK_AES ? CKK_DES3 : CKK_AES);
	conflict(c, &t);
}

static void read_only_given(struct check *c)
{
	struct template t;
	begin(c, &t);
	need_generator(c, &t);
	template_bool(&t, c->row->a, true);
	REFUSED(c, 207, &t, CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
}

/* What the mechanism makes (note 4 of the attribute tables, PKCS#11 3.1 §4). */
static void value_given(struct check *c)
{
	struct template t;
	CK_BYTE value[128] = { 1 };
	const struct generator *g = begin(c, &t);
	need_generator(c, &t);
	template_bytes(&t, CKA_VALUE, value, g->size);
	REFUSED(c, 207, &t, CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT,
	        CKR_ATTRIBUTE_TYPE_INVALID);
}

static void unknown_attribute(struct check *c)
{
	struct template t;
	begin(c, &t);
	need_generator(c, &t);
	template_ulong(&t, CKA_VENDOR_DEFINED | 0x7fffffUL, 1);
	REFUSED(c, 205, &t, CKR_ATTRIBUTE_TYPE_INVALID);
}

static void foreign_attribute(struct check *c)
{
	struct template t;
	CK_BYTE exponent[3] = { 1, 0, 1 };
	begin(c, &t);
	need_generator(c, &t);
	template_bytes(&t, CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
	REFUSED(c, 209, &t, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID);
}

/* A CK_BBOOL or CK_ULONG attribute with a value of another size. */
static void bad_value(struct check *c)
{
	struct template t;
	/* Whoever takes a CKA_TOKEN of two bytes is not to make a token object of it. */
	CK_BYTE bytes[16] = { c->row->a != CKA_TOKEN };
	begin(c, &t);
	need_generator(c, &t);
	template_bytes(&t, c->row->a, bytes, c->row->b);
	REFUSED(c, 206, &t, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT,
	        CKR_KEY_SIZE_RANGE);
}

static void twice_same(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	begin(c, &t);
	need_generator(c, &t);
	t.entry[t.count] = *template_find(&t, CKA_LABEL);
	t.count++;
	CK_RV rv = generate(c, &t, &key);
	EXPECT_CODE(c, 210, "C_GenerateKey", rv, CKR_OK, CKR_TEMPLATE_INCONSISTENT);
	if (rv != CKR_OK)
		keying_nothing_left(c, "C_GenerateKey");
}

static void twice_different(struct check *c)
{
	struct template t;
	CK_BBOOL extractable = CK_FALSE;
	begin(c, &t);
	need_generator(c, &t);
	t.entry[t.count++] = (CK_ATTRIBUTE){ CKA_EXTRACTABLE, &extractable, sizeof(extractable) };
	REFUSED(c, 209, &t, CKR_TEMPLATE_INCONSISTENT);
}

static void parameter_given(struct check *c)
{
	struct template t;
	CK_BYTE parameter[16] = { 0 };
	CK_OBJECT_HANDLE key;
	CK_ULONG class, size;
	const struct generator *g = begin(c, &t);
	CK_MECHANISM mechanism = { g->mechanism, parameter, sizeof(parameter) };
	need_generator(c, &t);
	CK_RV rv = c->p11->C_GenerateKey(c->session, &mechanism, t.entry, t.count, &key);
	if (rv == CKR_OK) {
		check_note(c, "a parameter for a mechanism without one is ignored");
		EXPECT(c, 178,
		       object_read(c, key, CKA_CLASS, &class, sizeof(class), &size) == CKR_OK,
		       "C_GenerateKey returned CKR_OK, and there is no object");
		return;
	}
	EXPECT_CODE(c, 178, "C_GenerateKey", rv, CKR_MECHANISM_PARAM_INVALID);
	keying_nothing_left(c, "C_GenerateKey");
}

static void null_key(struct check *c)
{
	struct template t;
	const struct generator *g = begin(c, &t);
	CK_MECHANISM mechanism = { g->mechanism, NULL, 0 };
	need_generator(c, &t);
	EXPECT_REFUSED(c, 314,
	               c->p11->C_GenerateKey(c->session, &mechanism, t.entry, t.count, NULL),
	               CKR_ARGUMENTS_BAD);
	keying_nothing_left(c, "C_GenerateKey");
}

static void null_template(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	const struct generator *g = begin(c, &t);
	CK_MECHANISM mechanism = { g->mechanism, NULL, 0 };
	need_generator(c, &t);
	EXPECT_REFUSED(c, 314, c->p11->C_GenerateKey(c->session, &mechanism, NULL, 2, &key),
	               CKR_ARGUMENTS_BAD);
}

static void null_mechanism(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	begin(c, &t);
	need_generator(c, &t);
	EXPECT_REFUSED(c, 314, c->p11->C_GenerateKey(c->session, NULL, t.entry, t.count, &key),
	               CKR_ARGUMENTS_BAD);
	keying_nothing_left(c, "C_GenerateKey");
}

static void other_mechanism(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_MECHANISM mechanism = { c->row->a, NULL, 0 };
	if (keying_has(c, c->row->a, CKF_GENERATE))
		check_skip(c, "the token says that it generates keys with this mechanism");
	keying_template(c, &t);
	template_ulong(&t, CKA_VALUE_LEN, 16);
	EXPECT_REFUSED(c, 93, c->p11->C_GenerateKey(c->session, &mechanism, t.entry, t.count, &key),
	               CKR_MECHANISM_INVALID);
	keying_nothing_left(c, "C_GenerateKey");
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void token_key_read_only(struct check *c)
{
	struct template t;
	begin(c, &t);
	need_generator(c, &t);
	template_bool(&t, CKA_TOKEN, true);
	REFUSED(c, 143, &t, CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

static void private_key_public(struct check *c)
{
	struct template t;
	begin(c, &t);
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	/* There are mechanisms that are listed and work for nobody: that is another check's finding. */
	template_bool(&t, CKA_PRIVATE, false);
	CK_OBJECT_HANDLE key;
	CK_RV rv = generate(c, &t, &key);
	if (rv == CKR_OK)
		NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
	else if (rv != CKR_USER_NOT_LOGGED_IN)
		check_skip(c, "C_GenerateKey of a public key returned %s", check_rv_name(rv));
	template_bool(&t, CKA_PRIVATE, true);
	REFUSED(c, 144, &t, CKR_USER_NOT_LOGGED_IN);
}

static void token_key(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	begin(c, &t);
	template_bool(&t, CKA_TOKEN, true);
	NEED_OK(c, generate(c, &t, &key));
	EXPECT(c, 213, object_bool(c, key, CKA_TOKEN), "CKA_TOKEN is false");
	CK_SESSION_HANDLE other = check_open(c, 0);
	NEED_OK(c, c->p11->C_CloseSession(c->session));
	c->session = other;
	EXPECT(c, 111, keying_left(c) == 1,
	       "a token key is gone with the session that it was made in");
	c->session = check_open(c, CKF_RW_SESSION);
	struct template mine;
	CK_OBJECT_HANDLE found[1];
	template_clear(&mine);
	template_bytes(&mine, CKA_ID, template_find(&t, CKA_ID)->pValue,
	               template_find(&t, CKA_ID)->ulValueLen);
	if (object_find(c, &mine, found, 1) == 1)
		(void)c->p11->C_DestroyObject(c->session, found[0]);
}

static void session_key_gone(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	begin(c, &t);
	NEED_OK(c, generate(c, &t, &key));
	CK_SESSION_HANDLE other = check_open(c, 0);
	EXPECT_RV(c, 111, c->p11->C_CloseSession(c->session), CKR_OK);
	c->session = other;
	EXPECT(c, 111, keying_left(c) == 0, "a session key outlives its session");
}

/* The text lets a token refuse it. */
static void while_digesting(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_MECHANISM digest = { CKM_SHA256, NULL, 0 };
	CK_BYTE data[1] = { 0 }, out[32];
	CK_ULONG size = sizeof(out);
	begin(c, &t);
	need_generator(c, &t);
	NEED_OK(c, c->p11->C_DigestInit(c->session, &digest));
	CK_RV rv = generate(c, &t, &key);
	EXPECT_CODE(c, 183, "C_GenerateKey", rv, CKR_OK, CKR_OPERATION_ACTIVE);
	EXPECT_RV(c, 162, c->p11->C_Digest(c->session, data, 1, out, &size), CKR_OK);
}

/* ---- passwords and parameters ---------------------------------------------------------------- */

/*
 * RFC 6070: "password", "salt", 2 times HMAC-SHA-1. 2.40 before its errata had a pointer to the password's length
 * where there is the length now: a module that keeps to it may die.
 */
static void pbkd2(struct check *c)
{
	static const CK_BYTE expected[20] = { 0xea, 0x6c, 0x01, 0x4d, 0xc7, 0x2d, 0x6f,
		                              0x8c, 0xcd, 0x1e, 0xd9, 0x2a, 0xce, 0x1d,
		                              0x41, 0xf0, 0xd8, 0xde, 0x89, 0x57 };
	CK_BYTE salt[4] = "salt";
	CK_UTF8CHAR password[8] = "password";
	CK_PKCS5_PBKD2_PARAMS2 params = { CKZ_SALT_SPECIFIED,
		                          salt,
		                          sizeof(salt),
		                          2,
		                          CKP_PKCS5_PBKD2_HMAC_SHA1,
		                          NULL,
		                          0,
		                          password,
		                          sizeof(password) };
	CK_MECHANISM mechanism = { CKM_PKCS5_PBKD2, &params, sizeof(params) };
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_BYTE value[KEYING_VALUE_SIZE];
	CK_ULONG size;
	keying_mechanism(c, CKM_PKCS5_PBKD2, CKF_GENERATE);
	keying_template(c, &t);
	template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
	template_ulong(&t, CKA_KEY_TYPE, CKK_GENERIC_SECRET);
	template_ulong(&t, CKA_VALUE_LEN, sizeof(expected));
	template_bool(&t, CKA_SENSITIVE, false);
	template_bool(&t, CKA_EXTRACTABLE, true);
	NEED_OK(c, c->p11->C_GenerateKey(c->session, &mechanism, t.entry, t.count, &key));
	if (!keying_value(c, key, value, &size))
		check_skip(c, "the key's value cannot be read");
	EXPECT(c, 362, size == sizeof(expected) && memcmp(value, expected, size) == 0,
	       "the key is not that of RFC 6070");
}

/* A conflict is seen before anything is computed. */
static void parameters_class(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	CK_MECHANISM mechanism = { c->row->a, NULL, 0 };
	keying_mechanism(c, c->row->a, CKF_GENERATE);
	keying_template(c, &t);
	template_remove(&t, CKA_ID);
	template_ulong(&t, CKA_PRIME_BITS, 512);
	template_ulong(&t, CKA_CLASS, CKO_SECRET_KEY);
	EXPECT_REFUSED(c, 259,
	               c->p11->C_GenerateKey(c->session, &mechanism, t.entry, t.count, &object),
	               CKR_TEMPLATE_INCONSISTENT);
}

static void parameters_no_size(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	CK_MECHANISM mechanism = { c->row->a, NULL, 0 };
	keying_mechanism(c, c->row->a, CKF_GENERATE);
	keying_template(c, &t);
	template_remove(&t, CKA_ID);
	EXPECT_REFUSED(c, 208,
	               c->p11->C_GenerateKey(c->session, &mechanism, t.entry, t.count, &object),
	               CKR_TEMPLATE_INCOMPLETE);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add_refused(struct check_list *list, const struct generator *g)
{
	static const CK_OBJECT_CLASS classes[] = { CKO_DATA, CKO_PUBLIC_KEY };
	static const CK_ATTRIBUTE_TYPE read_only[] = { CKA_LOCAL, CKA_ALWAYS_SENSITIVE,
		                                       CKA_NEVER_EXTRACTABLE };
	struct check_row row =
		CHECK(bad_size, NEED_USER, "a size that the key type has not is refused", 206, 213);
	row.data = g;
	keying_row(&row, g->mechanism, CKF_GENERATE);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(g->bad) && g->bad[i] != 0; i++) {
		row.a = g->bad[i];
		check_add(list, row, "bad-size/%s-%lu", g->name, g->bad[i]);
	}
	row = CHECK(other_class, NEED_USER, "a class that is not a secret key's is refused", 259,
	            213);
	row.data = g;
	keying_row(&row, g->mechanism, CKF_GENERATE);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(classes); i++) {
		row.a = classes[i];
		check_add(list, row, "other-class/%s-%s", g->name,
		          check_name(TAPE_G_CKO, classes[i]));
	}
	row = CHECK(read_only_given, NEED_USER, "an attribute that only the token sets is refused",
	            207, 213);
	row.data = g;
	keying_row(&row, g->mechanism, CKF_GENERATE);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(read_only); i++) {
		row.a = read_only[i];
		check_add(list, row, "read-only/%s-%s", g->name,
		          check_attribute_name(read_only[i]));
	}
}

static void add_for_all(struct check_list *list, const struct generator *g)
{
	const struct {
		const char *name;
		struct check_row row;
	} members[] = {
		{ "attributes", CHECK(attributes, NEED_USER, "a generated key is what it should be",
		                      214, 259, 213) },
		{ "local", CHECK(local, NEED_USER, "a generated key says how it was made", 260) },
		{ "usable", CHECK(usable, NEED_USER, "a generated key can be used", 361) },
		{ "differ", CHECK(differ, NEED_USER, "two keys are two", 214, 360) },
		{ "order",
		  CHECK(order, NEED_USER, "the order of attributes does not matter", 212) },
		{ "class-given", CHECK(class_given, NEED_USER, "class and type may be said", 259) },
		{ "other-type",
		  CHECK(other_type, NEED_USER, "another key type is refused", 259, 213) },
		{ "value-given",
		  CHECK(value_given, NEED_USER, "CKA_VALUE is not the caller's", 207, 213) },
		{ "unknown-attribute", CHECK(unknown_attribute, NEED_USER,
		                             "an unknown attribute is refused", 205, 213) },
		{ "foreign-attribute", CHECK(foreign_attribute, NEED_USER,
		                             "another class's attribute is refused", 209, 213) },
		{ "twice-same",
		  CHECK(twice_same, NEED_USER, "one attribute twice, the same value", 210, 213) },
		{ "twice-different", CHECK(twice_different, NEED_USER,
		                           "one attribute with two values is refused", 209, 213) },
		{ "parameter", CHECK(parameter_given, NEED_USER,
		                     "a parameter for a mechanism without one", 178, 213) },
		{ "null-key",
		  CHECK(null_key, NEED_USER, "NULL for the handle is refused", 314, 213) },
		{ "read-only-session",
		  CHECK(token_key_read_only, NEED_USER,
		        "a token key is not generated in a read-only session", 143, 213) },
		{ "no-login", CHECK(private_key_public, NEED_SESSION,
		                    "a private key is not generated without login", 144, 213) },
		{ "session-gone",
		  CHECK(session_key_gone, NEED_USER, "a session key goes with its session", 111) },
		{ "while-digesting", CHECK(while_digesting, NEED_USER,
		                           "beside a digest, or CKR_OPERATION_ACTIVE", 183, 162) },
		{ "token-key", CHECK(token_key, NEED_USER | NEED_RW | NEED_DESTRUCTIVE,
		                     "a token key stays", 213, 111) },
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(members); i++) {
		struct check_row row = members[i].row;
		row.data = g;
		keying_row(&row, g->mechanism, CKF_GENERATE);
		check_add(list, row, "%s/%s", members[i].name, g->name);
	}
}

static void add_sizes(struct check_list *list, const struct generator *g)
{
	struct check_row row;
	if (g->says_size)
		row = CHECK(no_size, NEED_USER, "without CKA_VALUE_LEN it is incomplete", 208, 213);
	else
		row = CHECK(other_size, NEED_USER, "another size than the type's is not made", 206,
		            213);
	row.data = g;
	keying_row(&row, g->mechanism, CKF_GENERATE);
	check_add(list, row, "%s/%s", g->says_size ? "no-size" : "other-size", g->name);
	row = CHECK(latches, NEED_USER, "what was always so follows from what is so", 262);
	row.data = g;
	keying_row(&row, g->mechanism, CKF_GENERATE);
	struct check_row hides = CHECK(hidden, NEED_USER, "the value is not shown", 248, 238);
	hides.data = g;
	keying_row(&hides, g->mechanism, CKF_GENERATE);
	keying_add_secrecy(list, row, hides, g->name);
}

/* What depends on no mechanism is tried with AES. */
static void add_arguments(struct check_list *list, const struct generator *g)
{
	static const struct {
		CK_ATTRIBUTE_TYPE type;
		CK_ULONG size;
	} bad[] = {
		{ CKA_TOKEN, 0 },     { CKA_TOKEN, 2 },      { CKA_PRIVATE, 0 },
		{ CKA_PRIVATE, 4 },   { CKA_SENSITIVE, 0 },  { CKA_SENSITIVE, 8 },
		{ CKA_ENCRYPT, 0 },   { CKA_ENCRYPT, 2 },    { CKA_EXTRACTABLE, 0 },
		{ CKA_WRAP, 2 },      { CKA_MODIFIABLE, 2 }, { CKA_VALUE_LEN, 1 },
		{ CKA_VALUE_LEN, 4 }, { CKA_VALUE_LEN, 16 }, { CKA_CLASS, 1 },
		{ CKA_CLASS, 4 },     { CKA_KEY_TYPE, 3 },   { CKA_START_DATE, 3 },
	};
	static const CK_MECHANISM_TYPE others[] = { CKM_SHA256,
		                                    CKM_AES_ECB,
		                                    CKM_AES_CBC,
		                                    CKM_RSA_PKCS,
		                                    CKM_RSA_PKCS_KEY_PAIR_GEN,
		                                    CKM_EC_KEY_PAIR_GEN,
		                                    CKM_ECDH1_DERIVE,
		                                    CKM_SHA256_HMAC,
		                                    CKM_VENDOR_DEFINED | 0x7fffffUL };
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(bad); i++) {
		row = CHECK(bad_value, NEED_USER,
		            "a value of another size than the type's is refused", 206, 213);
		row.data = g;
		keying_row(&row, g->mechanism, CKF_GENERATE);
		row.a = bad[i].type;
		row.b = bad[i].size;
		check_add(list, row, "bad-value/%s-%lu", check_attribute_name(bad[i].type),
		          bad[i].size);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(others); i++) {
		row = CHECK(other_mechanism, NEED_USER,
		            "a mechanism that generates no key is refused", 93, 213);
		row.a = others[i];
		check_add(list, row, "other-mechanism/%s",
		          i + 1 < TAPE_ARRAY_SIZE(others) ? check_mechanism_name(others[i])
		                                          : "unknown");
	}
	row = CHECK(null_template, NEED_USER, "NULL for a template is refused", 314);
	row.data = g;
	keying_row(&row, g->mechanism, CKF_GENERATE);
	check_add(list, row, "null-template");
	row = CHECK(null_mechanism, NEED_USER, "NULL for the mechanism is refused", 314, 213);
	row.data = g;
	keying_row(&row, g->mechanism, CKF_GENERATE);
	check_add(list, row, "null-mechanism");
}

void suite_generate(struct check_list *list)
{
	static const CK_MECHANISM_TYPE parameters[] = { CKM_DH_PKCS_PARAMETER_GEN,
		                                        CKM_DSA_PARAMETER_GEN,
		                                        CKM_X9_42_DH_PARAMETER_GEN };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(generators); i++) {
		add_for_all(list, &generators[i]);
		add_sizes(list, &generators[i]);
		add_refused(list, &generators[i]);
	}
	add_arguments(list, &generators[0]);
	check_add(list,
	          CHECK(pbkd2, NEED_USER | ALLOW_DEATH, "a key of a password is that of RFC 6070",
	                362),
	          "pbkd2");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(parameters); i++) {
		struct check_row row = CHECK(parameters_class, NEED_USER,
		                             "domain parameters are of no other class", 259);
		row.a = parameters[i];
		check_add(list, row, "parameters-class/%s", check_mechanism_name(parameters[i]));
		row.run = parameters_no_size;
		row.what = "domain parameters of no size are incomplete";
		row.rules[0] = 208;
		check_add(list, row, "parameters-no-size/%s", check_mechanism_name(parameters[i]));
	}
}
