/* SPDX-License-Identifier: MIT
 *
 * The attributes that tell a key's history and guard it (PKCS#11 3.1 §4.6.2, §4.7 to §4.10): local, always
 * sensitive, never extractable, trusted, check value, unique identifier, … after C_GenerateKey,
 * C_GenerateKeyPair, C_CreateObject, C_CopyObject and C_SetAttributeValue.
 */
#include <string.h>

#include "suites/keys.h"
#include "suites/specimen.h"

/* ---- making keys ----------------------------------------------------------------------------- */

static const struct maker {
	const char *name;
	bool generates;
	enum object_kind kind; /* what is made, or the private one of the pair */
	CK_MECHANISM_TYPE mechanism;
} makers[] = {
	{ "create-generic-secret", false, OBJECT_SECRET, 0 },
	{ "create-aes", false, OBJECT_AES, 0 },
	{ "create-rsa-private", false, OBJECT_RSA_PRIVATE, 0 },
	{ "create-ec-private", false, OBJECT_EC_PRIVATE, 0 },
	{ "generate-generic-secret", true, OBJECT_SECRET, CKM_GENERIC_SECRET_KEY_GEN },
	{ "generate-aes", true, OBJECT_AES, CKM_AES_KEY_GEN },
	{ "generate-ec-private", true, OBJECT_EC_PRIVATE, CKM_EC_KEY_PAIR_GEN },
};

static bool is_secret(const struct maker *maker)
{
	return maker->kind == OBJECT_SECRET || maker->kind == OBJECT_AES;
}

/* What the key must not be given when it is generated. */
static void for_generation(struct template *t, const struct maker *maker)
{
	static const CK_ATTRIBUTE_TYPE made[] = { CKA_VALUE, CKA_EC_PARAMS, CKA_EC_POINT };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(made); i++)
		template_remove(t, made[i]);
	if (is_secret(maker))
		template_ulong(t, CKA_VALUE_LEN, maker->kind == OBJECT_AES ? 16 : 32);
}

/* Returns what the module did; the public key of a pair is given too, where wanted. */
static CK_RV make(struct check *c, const struct maker *maker, struct template *t,
                  CK_OBJECT_HANDLE *ret_key, CK_OBJECT_HANDLE *ret_public)
{
	CK_MECHANISM mechanism = { maker->mechanism, NULL, 0 };
	struct template public;
	*ret_key = *ret_public = CK_INVALID_HANDLE;
	if (!maker->generates)
		return c->p11->C_CreateObject(c->session, t->entry, t->count, ret_key);
	if (target_mechanism(c->target, maker->mechanism) == NULL)
		check_skip(c, "the token has no %s", check_mechanism_name(maker->mechanism));
	for_generation(t, maker);
	if (is_secret(maker))
		return c->p11->C_GenerateKey(c->session, &mechanism, t->entry, t->count, ret_key);
	object_template(c, &public, OBJECT_EC_PUBLIC);
	template_remove(&public, CKA_EC_POINT);
	return c->p11->C_GenerateKeyPair(c->session, &mechanism, public.entry, public.count,
	                                 t->entry, t->count, ret_public, ret_key);
}

static CK_OBJECT_HANDLE make_so(struct check *c, const struct maker *maker, bool sensitive,
                                bool extractable)
{
	struct template t;
	CK_OBJECT_HANDLE key, public;
	object_template(c, &t, maker->kind);
	template_bool(&t, CKA_SENSITIVE, sensitive);
	template_bool(&t, CKA_EXTRACTABLE, extractable);
	CK_RV rv = make(c, maker, &t, &key, &public);
	if (rv != CKR_OK)
		check_skip(c, "such a key cannot be made: %s", check_rv_name(rv));
	return key;
}

static void expect_bool(struct check *c, unsigned int rule, CK_OBJECT_HANDLE object,
                        CK_ATTRIBUTE_TYPE type, bool value, const char *when)
{
	bool is = object_bool(c, object, type);
	EXPECT(c, rule, is == value, "%s %s is %s", check_attribute_name(type), when,
	       is ? "true" : "false");
}

/* ---- the truth table ------------------------------------------------------------------------- */

static void truth(struct check *c)
{
	const struct maker *maker = &makers[c->row->a];
	bool sensitive = c->row->b & 1, extractable = c->row->b & 2;
	const unsigned int rule = maker->generates ? 262 : 216;
	CK_OBJECT_HANDLE key = make_so(c, maker, sensitive, extractable);
	expect_bool(c, 213, key, CKA_SENSITIVE, sensitive, "of the new key");
	expect_bool(c, 213, key, CKA_EXTRACTABLE, extractable, "of the new key");
	expect_bool(c, rule, key, CKA_ALWAYS_SENSITIVE, maker->generates && sensitive,
	            "of the new key");
	expect_bool(c, rule, key, CKA_NEVER_EXTRACTABLE, maker->generates && !extractable,
	            "of the new key");
	expect_bool(c, maker->generates ? 260 : 216, key, CKA_LOCAL, maker->generates,
	            "of the new key");
	CK_ULONG mechanism = object_ulong(c, key, CKA_KEY_GEN_MECHANISM);
	EXPECT(c, 260,
	       mechanism == (maker->generates ? maker->mechanism : CK_UNAVAILABLE_INFORMATION),
	       "CKA_KEY_GEN_MECHANISM is 0x%lx", (unsigned long)mechanism);
}

/* What was once told stays told: the history does not change for the better. */
static void later(struct check *c)
{
	const struct maker *maker = &makers[c->row->a];
	bool sensitive = c->row->b & 1, extractable = c->row->b & 2;
	CK_ATTRIBUTE_TYPE type = (CK_ATTRIBUTE_TYPE)c->row->d;
	CK_OBJECT_HANDLE key = make_so(c, maker, sensitive, extractable);
	struct template t;
	bool always = object_bool(c, key, CKA_ALWAYS_SENSITIVE);
	bool never = object_bool(c, key, CKA_NEVER_EXTRACTABLE);
	bool local = object_bool(c, key, CKA_LOCAL);
	template_clear(&t);
	template_bool(&t, type, type == CKA_SENSITIVE);
	CK_RV rv = c->p11->C_SetAttributeValue(c->session, key, t.entry, t.count);
	if (rv != CKR_OK)
		check_skip(c, "the token does not change %s: %s", check_attribute_name(type),
		           check_rv_name(rv));
	expect_bool(c, 234, key, type, type == CKA_SENSITIVE, "after it was set");
	expect_bool(c, 262, key, CKA_ALWAYS_SENSITIVE, always, "after the change");
	expect_bool(c, 262, key, CKA_NEVER_EXTRACTABLE, never, "after the change");
	expect_bool(c, 262, key, CKA_LOCAL, local, "after the change");
}

static void copied(struct check *c)
{
	static const CK_ATTRIBUTE_TYPE history[] = { CKA_ALWAYS_SENSITIVE, CKA_NEVER_EXTRACTABLE,
		                                     CKA_LOCAL, CKA_SENSITIVE, CKA_EXTRACTABLE };
	const struct maker *maker = &makers[c->row->a];
	CK_OBJECT_HANDLE copy, key = make_so(c, maker, c->row->b & 1, c->row->b & 2);
	struct template t;
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	NEED_OK(c, c->p11->C_CopyObject(c->session, key, t.entry, t.count, &copy));
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(history); i++)
		expect_bool(c, 231, copy, history[i], object_bool(c, key, history[i]),
		            "of the copy");
	EXPECT(c, 231,
	       object_ulong(c, copy, CKA_KEY_GEN_MECHANISM) ==
	               object_ulong(c, key, CKA_KEY_GEN_MECHANISM),
	       "CKA_KEY_GEN_MECHANISM of the copy is not that of the source");
}

/* Making a copy unextractable does not say that it never was (§5.7.2). */
static void copied_unextractable(struct check *c)
{
	const struct maker *maker = &makers[c->row->a];
	CK_OBJECT_HANDLE copy, key = make_so(c, maker, true, true);
	struct template t;
	template_clear(&t);
	template_bool(&t, CKA_EXTRACTABLE, false);
	NEED_OK(c, c->p11->C_CopyObject(c->session, key, t.entry, t.count, &copy));
	expect_bool(c, 230, copy, CKA_EXTRACTABLE, false, "of the copy");
	expect_bool(c, 231, copy, CKA_NEVER_EXTRACTABLE, false, "of the copy");
	expect_bool(c, 231, key, CKA_EXTRACTABLE, true, "of the source");
}

static void public_is_local(struct check *c)
{
	const struct maker *maker = &makers[c->row->a];
	CK_OBJECT_HANDLE key, public;
	struct template t;
	object_template(c, &t, maker->kind);
	NEED_OK(c, make(c, maker, &t, &key, &public));
	expect_bool(c, 260, public, CKA_LOCAL, true, "of the public key");
	EXPECT(c, 260, object_ulong(c, public, CKA_KEY_GEN_MECHANISM) == maker->mechanism,
	       "CKA_KEY_GEN_MECHANISM of the public key is wrong");
}

/* ---- what only the token may say ------------------------------------------------------------- */

static void claim(struct check *c)
{
	const struct maker *maker = &makers[c->row->a];
	const struct fact *fact = &facts[c->row->b];
	CK_OBJECT_HANDLE key, public;
	struct template t;
	fact_needed(c, fact);
	object_template(c, &t, maker->kind);
	NEED_OK(c, make(c, maker, &t, &key, &public));
	object_template(c, &t, maker->kind);
	if (fact_form(fact) == TAPE_A_BOOL)
		template_bool(&t, fact->type, true);
	else
		template_ulong(&t, fact->type, CKM_RSA_PKCS_KEY_PAIR_GEN);
	size_t before = count_objects(c);
	CK_RV rv = make(c, maker, &t, &key, &public);
	EXPECT_REFUSED(c, 207, "key generation", rv, CKR_ATTRIBUTE_READ_ONLY,
	               CKR_TEMPLATE_INCONSISTENT);
	/* Once for each way to make keys. */
	if (fact->type == CKA_LOCAL)
		EXPECT(c, 1, count_objects(c) == before, "the refused key is there");
}

static void unique_id(struct check *c)
{
	unsigned char ids[3][SNAPSHOT_SIZE];
	CK_ULONG sizes[3], again;
	CK_OBJECT_HANDLE objects[3];
	struct template t;
	if (c->target->spec < SPEC(3, 0))
		check_skip(c, "CKA_UNIQUE_ID came with PKCS#11 3.0");
	objects[0] = specimen_make(c, c->row->a);
	objects[1] = specimen_make(c, c->row->a);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	if (c->p11->C_CopyObject(c->session, objects[0], t.entry, t.count, &objects[2]) != CKR_OK)
		objects[2] = specimen_make(c, c->row->a);
	for (size_t i = 0; i < 3; i++) {
		EXPECT_RV(
			c, 218,
			object_read(c, objects[i], CKA_UNIQUE_ID, ids[i], SNAPSHOT_SIZE, &sizes[i]),
			CKR_OK);
		EXPECT(c, 218, sizes[i] != 0, "CKA_UNIQUE_ID is empty");
		for (size_t j = 0; j < i; j++)
			EXPECT(c, 218,
			       sizes[i] != sizes[j] || memcmp(ids[i], ids[j], sizes[i]) != 0,
			       "two objects have the same CKA_UNIQUE_ID");
	}
	EXPECT_RV(c, 218, object_read(c, objects[0], CKA_UNIQUE_ID, ids[1], SNAPSHOT_SIZE, &again),
	          CKR_OK);
	EXPECT(c, 218, again == sizes[0] && memcmp(ids[0], ids[1], again) == 0,
	       "CKA_UNIQUE_ID changes from one reading to the next");
}

static void unique_id_is_the_tokens(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE copy, object = specimen_make(c, c->row->a);
	if (c->target->spec < SPEC(3, 0))
		check_skip(c, "CKA_UNIQUE_ID came with PKCS#11 3.0");
	specimen_template(c, &t, c->row->a);
	template_text(&t, CKA_UNIQUE_ID, "p11tape");
	EXPECT_NOT_CREATED(c, 218, &t, CKR_ATTRIBUTE_READ_ONLY);
	template_clear(&t);
	template_text(&t, CKA_UNIQUE_ID, "p11tape");
	EXPECT_REFUSED(c, 218, "C_SetAttributeValue",
	               c->p11->C_SetAttributeValue(c->session, object, t.entry, t.count),
	               CKR_ATTRIBUTE_READ_ONLY);
	EXPECT_REFUSED(c, 218, "C_CopyObject",
	               c->p11->C_CopyObject(c->session, object, t.entry, t.count, &copy),
	               CKR_ATTRIBUTE_READ_ONLY);
}

/* ---- trusted --------------------------------------------------------------------------------- */

/* Made trusted by somebody who is not the security officer. */
static void trust_oneself(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_bool(&t, CKA_TRUSTED, true);
	CK_RV rv;
	if (c->row->b == 0) {
		rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	} else {
		object = specimen_make(c, c->row->a);
		template_clear(&t);
		template_bool(&t, CKA_TRUSTED, true);
		rv = c->p11->C_SetAttributeValue(c->session, object, t.entry, t.count);
	}
	if (rv == CKR_OK) {
		/* Taken and not done: it is the effect that counts. */
		bool trusted = object_bool(c, object, CKA_TRUSTED);
		EXPECT(c, 219, !trusted, "a user has made a trusted object");
		DEVIATION(c, 219, "CKA_TRUSTED true is taken, and not heeded");
		return;
	}
	EXPECT_REFUSED(c, 219, c->row->b == 0 ? "C_CreateObject" : "C_SetAttributeValue", rv,
	               CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT, CKR_USER_NOT_LOGGED_IN,
	               CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_TYPE_INVALID);
	if (c->row->b != 0 && rv != CKR_ATTRIBUTE_TYPE_INVALID)
		EXPECT(c, 219, !object_bool(c, object, CKA_TRUSTED), "yet it is trusted");
}

static void trust_by_so(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	specimen_template(c, &t, c->row->a);
	template_bool(&t, CKA_PRIVATE, false);
	template_bool(&t, CKA_TRUSTED, true);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv != CKR_OK)
		check_skip(c, "the security officer creates no trusted object: %s",
		           check_rv_name(rv));
	expect_bool(c, 219, object, CKA_TRUSTED, true, "that the security officer set");
	if (specimens[c->row->a].class != SPECIMEN_CERTIFICATE)
		return;
	/* Trusted certificates cannot be modified (§4.6.2). */
	template_clear(&t);
	template_text(&t, CKA_LABEL, "p11tape other");
	rv = c->p11->C_SetAttributeValue(c->session, object, t.entry, t.count);
	EXPECT_REFUSED(c, 219, "C_SetAttributeValue", rv, CKR_ATTRIBUTE_READ_ONLY,
	               CKR_ACTION_PROHIBITED);
}

/* ---- other guards ---------------------------------------------------------------------------- */

static void authenticate_public(struct check *c)
{
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_bool(&t, CKA_ALWAYS_AUTHENTICATE, true);
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv != CKR_OK)
		check_skip(c, "no key is created with CKA_ALWAYS_AUTHENTICATE: %s",
		           check_rv_name(rv));
	template_bool(&t, CKA_PRIVATE, false);
	rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_OK && (object_bool(c, object, CKA_PRIVATE) ||
	                     !object_bool(c, object, CKA_ALWAYS_AUTHENTICATE)))
		check_skip(c, "the token corrects the template");
	EXPECT_REFUSED(c, 220, "C_CreateObject", rv, CKR_TEMPLATE_INCONSISTENT,
	               CKR_ATTRIBUTE_VALUE_INVALID);
}

static void wrong_public_key_info(struct check *c)
{
	/* A SubjectPublicKeyInfo of another key: Ed25519, all zeros. */
	static const CK_BYTE info[44] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
		                          0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_bytes(&t, CKA_PUBLIC_KEY_INFO, info, sizeof(info));
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	EXPECT_REFUSED(c, 221, "C_CreateObject", rv, CKR_ATTRIBUTE_VALUE_INVALID,
	               CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT);
}

/* ---- check values ---------------------------------------------------------------------------- */

static const struct check_value {
	const char *specimen;
	CK_BYTE value[3];
} check_values[] = {
	{ "aes", { 0xb7, 0x10, 0xdb } },         /* of one block of zeros, in ECB mode */
	{ "aes-256", { 0xd1, 0xb7, 0x06 } },     /* computed by OpenSSL */
	{ "des3", { 0x4e, 0xba, 0x73 } },        /* */
	{ "certificate", { 0x2d, 0xf3, 0xd3 } }, /* SHA-1 of it */
};

static size_t specimen_by_name(const char *name)
{
	size_t which = 0;
	while (strcmp(specimens[which].name, name) != 0)
		which++;
	return which;
}

/* Whether the token knows check values of such objects; what it says is put into `value`. */
static bool tells_check_value(struct check *c, CK_OBJECT_HANDLE object, CK_BYTE *value,
                              CK_ULONG room, CK_ULONG *ret_size)
{
	CK_RV rv = object_read(c, object, CKA_CHECK_VALUE, value, room, ret_size);
	return rv == CKR_OK && *ret_size != 0;
}

static void check_value(struct check *c)
{
	const struct check_value *known = &check_values[c->row->b];
	CK_BYTE value[64];
	CK_ULONG size;
	CK_OBJECT_HANDLE object = specimen_create(c, c->row->a);
	if (!tells_check_value(c, object, value, sizeof(value), &size))
		check_skip(c, "the token tells no CKA_CHECK_VALUE");
	EXPECT(c, 223, size == 3 && memcmp(value, known->value, 3) == 0,
	       "CKA_CHECK_VALUE has %lu bytes, %02x%02x%02x…, and not %02x%02x%02x",
	       (unsigned long)size, value[0], value[1], value[2], known->value[0], known->value[1],
	       known->value[2]);
}

enum { CHECK_RIGHT, CHECK_WRONG, CHECK_EMPTY };

static void give_check_value(struct check *c)
{
	const struct check_value *known = &check_values[c->row->b];
	CK_BYTE value[64], wrong[3] = { 0, 0, 0 };
	CK_ULONG size;
	CK_OBJECT_HANDLE object = specimen_create(c, c->row->a);
	bool supported = tells_check_value(c, object, value, sizeof(value), &size);
	struct template t;
	specimen_template(c, &t, c->row->a);
	template_bytes(&t, CKA_CHECK_VALUE, c->row->d == CHECK_WRONG ? wrong : known->value,
	               c->row->d == CHECK_EMPTY ? 0 : 3);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID && !supported)
		check_skip(c, "the token does not know CKA_CHECK_VALUE");
	if (c->row->d == CHECK_WRONG && supported) {
		EXPECT_REFUSED(c, 222, "C_CreateObject", rv, CKR_ATTRIBUTE_VALUE_INVALID,
		               CKR_TEMPLATE_INCONSISTENT);
		return;
	}
	EXPECT_CODE(c, 222, "C_CreateObject", rv, CKR_OK);
	bool told = tells_check_value(c, object, value, sizeof(value), &size);
	if (c->row->d == CHECK_EMPTY)
		EXPECT(c, 222, !told, "an empty CKA_CHECK_VALUE does not suppress it");
	else if (supported)
		EXPECT(c, 222, told && size == 3 && memcmp(value, known->value, 3) == 0,
		       "CKA_CHECK_VALUE is not the one that was given");
}

/* ---- points ------------------------------------------------------------------------------------ */

/* Of a P-256 key: 0x04 0x41 0x04 and twice 32 bytes. For Edwards and Montgomery keys the texts differ. */
static void point_is_der(struct check *c)
{
	const struct maker *maker = &makers[c->row->a];
	CK_OBJECT_HANDLE key, public;
	unsigned char point[SNAPSHOT_SIZE];
	CK_ULONG size;
	struct template t;
	object_template(c, &t, maker->kind);
	NEED_OK(c, make(c, maker, &t, &key, &public));
	NEED_OK(c, object_read(c, public, CKA_EC_POINT, point, sizeof(point), &size));
	EXPECT(c, 325, size == sizeof(ec_point) && memcmp(point, ec_point, 3) == 0,
	       "CKA_EC_POINT of a P-256 key has %lu bytes and begins with %02x%02x%02x",
	       (unsigned long)size, point[0], point[1], point[2]);
}

/* ---- RSA key pairs --------------------------------------------------------------------------- */

static const struct {
	const char *name;
	CK_BYTE bytes[3];
	size_t size;
} exponents[] = {
	{ "none", { 0 }, 0 }, { "zero", { 0 }, 1 }, { "one", { 1 }, 1 }, { "even", { 1, 0, 0 }, 3 }
};

static void exponent(struct check *c)
{
	CK_MECHANISM mechanism = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	struct template public, private;
	CK_OBJECT_HANDLE pair[2] = { CK_INVALID_HANDLE, CK_INVALID_HANDLE };
	unsigned char value[16];
	CK_ULONG size;
	if (target_mechanism(c->target, CKM_RSA_PKCS_KEY_PAIR_GEN) == NULL)
		check_skip(c, "the token has no CKM_RSA_PKCS_KEY_PAIR_GEN");
	template_clear(&public);
	template_ulong(&public, CKA_MODULUS_BITS, 2048);
	template_bool(&public, CKA_VERIFY, true);
	template_clear(&private);
	template_bool(&private, CKA_SIGN, true);
	if (c->row->b != 0)
		template_bytes(&public, CKA_PUBLIC_EXPONENT, exponents[c->row->b].bytes,
		               exponents[c->row->b].size);
	size_t before = count_objects(c);
	CK_RV rv = c->p11->C_GenerateKeyPair(c->session, &mechanism, public.entry, public.count,
	                                     private.entry, private.count, &pair[0], &pair[1]);
	if (c->row->b != 0) {
		EXPECT_REFUSED(c, 227, "C_GenerateKeyPair", rv, CKR_TEMPLATE_INCONSISTENT,
		               CKR_ATTRIBUTE_VALUE_INVALID);
		EXPECT(c, 1, count_objects(c) == before, "half a key pair is left");
		return;
	}
	if (rv == CKR_TEMPLATE_INCOMPLETE)
		check_skip(c, "the token wants CKA_PUBLIC_EXPONENT, as versions before 3.2 do");
	if (rv != CKR_OK) {
		template_bytes(&public, CKA_PUBLIC_EXPONENT, rsa_public_exponent, 3);
		NEED_OK(c, c->p11->C_GenerateKeyPair(c->session, &mechanism, public.entry,
		                                     public.count, private.entry, private.count,
		                                     &pair[0], &pair[1]));
	}
	EXPECT_CODE(c, 227, "C_GenerateKeyPair", rv, CKR_OK);
	NEED_OK(c, object_read(c, pair[0], CKA_PUBLIC_EXPONENT, value, sizeof(value), &size));
	EXPECT(c, 227, size == 3 && memcmp(value, rsa_public_exponent, 3) == 0,
	       "CKA_PUBLIC_EXPONENT has %lu bytes, and is not 65537", (unsigned long)size);
}

/* ---- the list -------------------------------------------------------------------------------- */

static const char *const secrecies[] = { "unextractable", "sensitive-unextractable", "open",
	                                 "sensitive" };

static void add_maker(struct check_list *list, size_t m)
{
	const struct maker *maker = &makers[m];
	for (unsigned int s = 0; s < TAPE_ARRAY_SIZE(secrecies); s++) {
		struct check_row row = CHECK(truth, SPECIMEN_NEEDS, "the key's history is true",
		                             213, maker->generates ? 262 : 216, 260);
		row.a = m;
		row.b = s;
		check_add(list, row, "truth/%s/%s", maker->name, secrecies[s]);
		row = CHECK(copied, SPECIMEN_NEEDS, "a copy has the history of its source", 231);
		row.a = m;
		row.b = s;
		check_add(list, row, "copy/%s/%s", maker->name, secrecies[s]);
		row = CHECK(later, SPECIMEN_NEEDS, "a change does not better the history", 262,
		            234);
		row.a = m;
		row.b = s;
		row.d = CKA_SENSITIVE;
		if ((s & 1) == 0)
			check_add(list, row, "becomes-sensitive/%s/%s", maker->name, secrecies[s]);
		row.d = CKA_EXTRACTABLE;
		if ((s & 2) != 0)
			check_add(list, row, "becomes-unextractable/%s/%s", maker->name,
			          secrecies[s]);
	}
	struct check_row row = CHECK(copied_unextractable, SPECIMEN_NEEDS,
	                             "a copy made unextractable once was extractable", 230, 231);
	row.a = m;
	check_add(list, row, "copy-unextractable/%s", maker->name);
	row = CHECK(public_is_local, SPECIMEN_NEEDS, "so is the history of the public key", 260);
	row.a = m;
	if (maker->generates && !is_secret(maker))
		check_add(list, row, "public/%s", maker->name);
	row = CHECK(point_is_der, SPECIMEN_NEEDS, "a point is the DER of an OCTET STRING", 325);
	row.a = m;
	if (maker->mechanism == CKM_EC_KEY_PAIR_GEN)
		check_add(list, row, "ec-point/%s", maker->name);
	for (size_t f = 0; f < fact_count; f++) {
		row = CHECK(claim, SPECIMEN_NEEDS, "nobody but the token tells the history", 207,
		            1);
		row.a = m;
		row.b = f;
		if (maker->generates && (facts[f].flags & FACT_FORBIDDEN) != 0 &&
		    fact_applies(&facts[f], &specimens[specimen_of(maker->kind)]) &&
		    facts[f].type != CKA_VALUE_LEN)
			check_add(list, row, "claim/%s/%s", maker->name, fact_name(&facts[f]));
	}
}

static void add_specimen(struct check_list *list, size_t s)
{
	const struct specimen *specimen = &specimens[s];
	static const char *const ways[] = { "created", "modified" };
	struct check_row row =
		CHECK(unique_id, SPECIMEN_NEEDS, "every object has its own CKA_UNIQUE_ID", 218);
	row.a = s;
	check_add(list, row, "unique-id/%s", specimen->name);
	row = CHECK(unique_id_is_the_tokens, SPECIMEN_NEEDS, "and nobody gives it one", 218);
	row.a = s;
	check_add(list, row, "unique-id-given/%s", specimen->name);
	for (size_t i = 0; i < 2; i++) {
		row = CHECK(trust_oneself, SPECIMEN_NEEDS, "a user makes nothing trusted", 219);
		row.a = s;
		row.b = i;
		if ((specimen->class &
		     (SPECIMEN_CERTIFICATE | SPECIMEN_PUBLIC | SPECIMEN_SECRET)) != 0)
			check_add(list, row, "trusted-%s/%s", ways[i], specimen->name);
	}
	row = CHECK(trust_by_so, NEED_SO, "what the security officer trusts is trusted", 219);
	row.a = s;
	if ((specimen->class & (SPECIMEN_CERTIFICATE | SPECIMEN_PUBLIC | SPECIMEN_SECRET)) != 0)
		check_add(list, row, "trusted-by-so/%s", specimen->name);
	if (specimen->class != SPECIMEN_PRIVATE)
		return;
	row = CHECK(authenticate_public, SPECIMEN_NEEDS,
	            "a key that wants a PIN each time is private", 220);
	row.a = s;
	check_add(list, row, "always-authenticate/%s", specimen->name);
	row = CHECK(wrong_public_key_info, SPECIMEN_NEEDS,
	            "the public key of another key is refused", 221);
	row.a = s;
	check_add(list, row, "public-key-info/%s", specimen->name);
}

void suite_lifecycle(struct check_list *list)
{
	static const char *const gifts[] = { "right", "wrong", "empty" };
	struct check_row row;
	for (size_t m = 0; m < TAPE_ARRAY_SIZE(makers); m++)
		add_maker(list, m);
	for (size_t s = 0; s < specimen_count && specimens[s].is_full; s++)
		add_specimen(list, s);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(check_values); i++) {
		row = CHECK(check_value, SPECIMEN_NEEDS, "the check value is the right one", 223);
		row.a = specimen_by_name(check_values[i].specimen);
		row.b = i;
		check_add(list, row, "check-value/%s", check_values[i].specimen);
		for (size_t d = 0; d < TAPE_ARRAY_SIZE(gifts); d++) {
			row = CHECK(give_check_value, SPECIMEN_NEEDS,
			            "a wrong check value is refused, an empty one suppresses it",
			            222);
			row.a = specimen_by_name(check_values[i].specimen);
			row.b = i;
			row.d = d;
			if (specimens[row.a].class == SPECIMEN_SECRET)
				check_add(list, row, "check-value-%s/%s", gifts[d],
				          check_values[i].specimen);
		}
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(exponents); i++) {
		row = CHECK(exponent, SPECIMEN_NEEDS,
		            "a key pair has the exponent 65537, or a good one", 227, 1);
		row.b = i;
		check_add(list, row, "rsa-exponent/%s", exponents[i].name);
	}
}
