/* SPDX-License-Identifier: MIT
 *
 * C_GenerateKeyPair (PKCS#11 3.1 §5.18.2): every mechanism that generates pairs, with templates of every kind;
 * RSA sizes and exponents, elliptic curves.
 */
#include <string.h>

#include "suites/keying.h"
#include "suites/keys.h"
#include "suites/values.h"

struct pair_kind {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	CK_KEY_TYPE type;
	/* What the mechanism needs in the public template: an attribute that must not be missing comes last. */
	void (*fill)(struct check *c, struct template *t);
	CK_ATTRIBUTE_TYPE needed;
	CK_MECHANISM_TYPE
	signs; /* with so many bytes; CK_UNAVAILABLE_INFORMATION where they do not sign */
	CK_ULONG data_size;
};

static const CK_BYTE curve_p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
static const CK_BYTE curve_ed25519[] = { 0x06, 0x03, 0x2b, 0x65, 0x70 };
static const CK_BYTE curve_ed25519_name[] = { 0x13, 0x0c, 'e', 'd', 'w', 'a', 'r',
	                                      'd',  's',  '2', '5', '5', '1', '9' };
static const CK_BYTE curve_x25519[] = { 0x06, 0x03, 0x2b, 0x65, 0x6e };

/* Small is fast: what is tried here is not the size. */
static CK_ULONG rsa_bits(struct check *c)
{
	const CK_MECHANISM_INFO *info = target_mechanism(c->target, CKM_RSA_PKCS_KEY_PAIR_GEN);
	return info != NULL && info->ulMinKeySize <= 1024 && info->ulMaxKeySize >= 1024 ? 1024
	                                                                                : 2048;
}

static void fill_rsa(struct check *c, struct template *t)
{
	template_bytes(t, CKA_PUBLIC_EXPONENT, rsa_public_exponent, sizeof(rsa_public_exponent));
	template_ulong(t, CKA_MODULUS_BITS, rsa_bits(c));
}

static void fill_ec(struct check *c, struct template *t)
{
	(void)c;
	template_bytes(t, CKA_EC_PARAMS, curve_p256, sizeof(curve_p256));
}

/* 3.0 has the OID and a name; modules take one of them. */
static void fill_edwards(struct check *c, struct template *t)
{
	(void)c;
	template_bytes(t, CKA_EC_PARAMS, curve_ed25519_name, sizeof(curve_ed25519_name));
}

static void fill_edwards_oid(struct check *c, struct template *t)
{
	(void)c;
	template_bytes(t, CKA_EC_PARAMS, curve_ed25519, sizeof(curve_ed25519));
}

static void fill_montgomery(struct check *c, struct template *t)
{
	(void)c;
	template_bytes(t, CKA_EC_PARAMS, curve_x25519, sizeof(curve_x25519));
}

static void fill_dh(struct check *c, struct template *t)
{
	static const CK_BYTE two[1] = { 2 };
	(void)c;
	template_bytes(t, CKA_BASE, two, sizeof(two));
	template_bytes(t, CKA_PRIME, dh_prime, sizeof(dh_prime));
}

static void fill_dsa(struct check *c, struct template *t)
{
	(void)c;
	template_bytes(t, CKA_SUBPRIME, group_subprime, sizeof(group_subprime));
	template_bytes(t, CKA_BASE, group_base, sizeof(group_base));
	template_bytes(t, CKA_PRIME, group_prime, sizeof(group_prime));
}

static void fill_parameter_set(struct check *c, struct template *t)
{
	const struct pair_kind *kind = c->row->data;
	template_ulong(t, CKA_PARAMETER_SET,
	               kind->type == CKK_SLH_DSA ? CKP_SLH_DSA_SHA2_128F : CKP_ML_DSA_44);
}

#define NO_SIGNATURE CK_UNAVAILABLE_INFORMATION

static const struct pair_kind kinds[] = {
	{ "rsa", CKM_RSA_PKCS_KEY_PAIR_GEN, CKK_RSA, fill_rsa, CKA_MODULUS_BITS, CKM_RSA_PKCS, 32 },
	{ "ec", CKM_EC_KEY_PAIR_GEN, CKK_EC, fill_ec, CKA_EC_PARAMS, CKM_ECDSA, 32 },
	{ "edwards", CKM_EC_EDWARDS_KEY_PAIR_GEN, CKK_EC_EDWARDS, fill_edwards, CKA_EC_PARAMS,
	  CKM_EDDSA, 64 },
	{ "edwards-oid", CKM_EC_EDWARDS_KEY_PAIR_GEN, CKK_EC_EDWARDS, fill_edwards_oid,
	  CKA_EC_PARAMS, CKM_EDDSA, 64 },
	{ "montgomery", CKM_EC_MONTGOMERY_KEY_PAIR_GEN, CKK_EC_MONTGOMERY, fill_montgomery,
	  CKA_EC_PARAMS, NO_SIGNATURE, 0 },
	{ "dh", CKM_DH_PKCS_KEY_PAIR_GEN, CKK_DH, fill_dh, CKA_PRIME, NO_SIGNATURE, 0 },
	{ "dsa", CKM_DSA_KEY_PAIR_GEN, CKK_DSA, fill_dsa, CKA_PRIME, CKM_DSA, 20 },
	{ "ml-dsa", CKM_ML_DSA_KEY_PAIR_GEN, CKK_ML_DSA, fill_parameter_set, CKA_PARAMETER_SET,
	  CKM_ML_DSA, 64 },
	{ "slh-dsa", CKM_SLH_DSA_KEY_PAIR_GEN, CKK_SLH_DSA, fill_parameter_set, CKA_PARAMETER_SET,
	  CKM_SLH_DSA, 64 },
	{ "ml-kem", CKM_ML_KEM_KEY_PAIR_GEN, CKK_ML_KEM, fill_parameter_set, CKA_PARAMETER_SET,
	  NO_SIGNATURE, 0 },
};

static const struct pair_kind *const rsa = &kinds[0], *const ec = &kinds[1];

struct pair {
	struct template public, private;
	CK_OBJECT_HANDLE public_key, private_key;
};

static const struct pair_kind *begin(struct check *c, struct pair *p)
{
	const struct pair_kind *kind = c->row->data;
	keying_mechanism(c, kind->mechanism, CKF_GENERATE_KEY_PAIR);
	keying_template(c, &p->public);
	template_bool(&p->public, CKA_PRIVATE, false);
	kind->fill(c, &p->public);
	keying_template(c, &p->private);
	template_bool(&p->private, CKA_SENSITIVE, false);
	template_bool(&p->private, CKA_EXTRACTABLE, true);
	if (kind->signs != NO_SIGNATURE) {
		template_bool(&p->public, CKA_VERIFY, true);
		template_bool(&p->private, CKA_SIGN, true);
	} else if (kind->type != CKK_ML_KEM) {
		template_bool(&p->private, CKA_DERIVE, true);
	}
	return kind;
}

static CK_RV generate(struct check *c, struct pair *p)
{
	const struct pair_kind *kind = c->row->data;
	CK_MECHANISM mechanism = { kind->mechanism, NULL, 0 };
	p->public_key = p->private_key = CK_INVALID_HANDLE;
	return c->p11->C_GenerateKeyPair(c->session, &mechanism, p->public.entry, p->public.count,
	                                 p->private.entry, p->private.count, &p->public_key,
	                                 &p->private_key);
}

/* Refusals mean something only where the good template works; of RSA this is believed. */
static void need_generator(struct check *c, struct pair *p)
{
	const struct pair_kind *kind = c->row->data;
	if (kind->type == CKK_RSA)
		return;
	NEED_OK(c, generate(c, p));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, p->public_key));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, p->private_key));
}

/* ---- pairs that are made --------------------------------------------------------------------- */

static void attributes(struct check *c)
{
	struct pair p;
	const struct pair_kind *kind = begin(c, &p);
	NEED_OK(c, generate(c, &p));
	EXPECT(c, 214, p.public_key != p.private_key && p.public_key != 0 && p.private_key != 0,
	       "the handles are %lu and %lu", p.public_key, p.private_key);
	CK_ULONG class = object_ulong(c, p.public_key, CKA_CLASS);
	EXPECT(c, 261, class == CKO_PUBLIC_KEY, "the public key's CKA_CLASS is %s",
	       check_name(TAPE_G_CKO, class));
	class = object_ulong(c, p.private_key, CKA_CLASS);
	EXPECT(c, 261, class == CKO_PRIVATE_KEY, "the private key's CKA_CLASS is %s",
	       check_name(TAPE_G_CKO, class));
	for (int i = 0; i < 2; i++) {
		CK_ULONG type =
			object_ulong(c, i == 0 ? p.public_key : p.private_key, CKA_KEY_TYPE);
		EXPECT(c, 261, type == kind->type, "CKA_KEY_TYPE is %s",
		       check_name(TAPE_G_CKK, type));
	}
}

static void local(struct check *c)
{
	struct pair p;
	const struct pair_kind *kind = begin(c, &p);
	NEED_OK(c, generate(c, &p));
	CK_OBJECT_HANDLE key = c->row->a != 0 ? p.private_key : p.public_key;
	EXPECT(c, 260, object_bool(c, key, CKA_LOCAL), "CKA_LOCAL is false");
	CK_ULONG mechanism = object_ulong(c, key, CKA_KEY_GEN_MECHANISM);
	EXPECT(c, 260, mechanism == kind->mechanism, "CKA_KEY_GEN_MECHANISM is %s",
	       check_mechanism_name(mechanism));
}

static void latches(struct check *c)
{
	struct pair p;
	bool sensitive = c->row->a != 0, extractable = c->row->b != 0;
	begin(c, &p);
	template_bool(&p.private, CKA_SENSITIVE, sensitive);
	template_bool(&p.private, CKA_EXTRACTABLE, extractable);
	NEED_OK(c, generate(c, &p));
	keying_expect_history(c, p.private_key, sensitive, extractable);
}

static void usable(struct check *c)
{
	struct pair p;
	const struct pair_kind *kind = begin(c, &p);
	CK_MECHANISM how = { kind->signs, NULL, 0 };
	if (kind->signs == NO_SIGNATURE)
		check_skip(c, "keys of this type do not sign");
	keying_mechanism(c, kind->signs, CKF_SIGN | CKF_VERIFY);
	NEED_OK(c, generate(c, &p));
	keying_pair_works(c, 361, &how, p.public_key, p.private_key, kind->data_size);
}

static bool same(struct check *c, const struct pair *p, CK_ATTRIBUTE_TYPE type)
{
	CK_BYTE one[KEYING_VALUE_SIZE], other[KEYING_VALUE_SIZE];
	CK_ULONG size, other_size;
	if (object_read(c, p->public_key, type, one, sizeof(one), &size) != CKR_OK ||
	    object_read(c, p->private_key, type, other, sizeof(other), &other_size) != CKR_OK)
		check_skip(c, "%s cannot be read of both keys", check_attribute_name(type));
	return size == other_size && size <= sizeof(one) && memcmp(one, other, size) == 0;
}

static void belong_together(struct check *c)
{
	struct pair p;
	const struct pair_kind *kind = begin(c, &p);
	CK_ATTRIBUTE_TYPE common = kind->type == CKK_RSA                           ? CKA_MODULUS
	                           : kind->type == CKK_DH || kind->type == CKK_DSA ? CKA_PRIME
	                                                                           : kind->needed;
	NEED_OK(c, generate(c, &p));
	bool equal = same(c, &p, common);
	if (!equal && kind->type == CKK_EC_EDWARDS) {
		/* The curve has an OID and a name. */
		check_note(c, "the keys of a pair spell their curve differently");
		equal = true;
	}
	EXPECT(c, 361, equal, "%s of the two keys differs", check_attribute_name(common));
}

/* Each key has what its own template says. */
static void labels(struct check *c)
{
	struct pair p;
	CK_BYTE text[64];
	CK_ULONG size;
	begin(c, &p);
	template_text(&p.public, CKA_LABEL, OBJECT_LABEL " public");
	template_text(&p.private, CKA_LABEL, OBJECT_LABEL " private");
	template_text(&p.public, CKA_ID, "one");
	template_text(&p.private, CKA_ID, "another");
	NEED_OK(c, generate(c, &p));
	static const struct {
		bool private;
		CK_ATTRIBUTE_TYPE type;
		const char *value;
	} wanted[] = { { false, CKA_LABEL, OBJECT_LABEL " public" },
		       { true, CKA_LABEL, OBJECT_LABEL " private" },
		       { false, CKA_ID, "one" },
		       { true, CKA_ID, "another" } };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(wanted); i++) {
		NEED_OK(c, object_read(c, wanted[i].private ? p.private_key : p.public_key,
		                       wanted[i].type, text, sizeof(text), &size));
		EXPECT(c, 213,
		       size == strlen(wanted[i].value) && memcmp(text, wanted[i].value, size) == 0,
		       "%s of the %s key is not as its template says",
		       check_attribute_name(wanted[i].type),
		       wanted[i].private ? "private" : "public");
	}
}

static void differ(struct check *c)
{
	struct pair p, other;
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_MODULUS, CKA_EC_POINT, CKA_VALUE };
	CK_BYTE one[KEYING_VALUE_SIZE], two[KEYING_VALUE_SIZE];
	CK_ULONG size, other_size;
	begin(c, &p);
	begin(c, &other);
	NEED_OK(c, generate(c, &p));
	NEED_OK(c, generate(c, &other));
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(types); i++) {
		if (object_read(c, p.public_key, types[i], one, sizeof(one), &size) != CKR_OK ||
		    object_read(c, other.public_key, types[i], two, sizeof(two), &other_size) !=
		            CKR_OK)
			continue;
		EXPECT(c, 360, size != other_size || memcmp(one, two, size) != 0,
		       "two pairs have one public key");
		return;
	}
	check_skip(c, "nothing of the public key can be read");
}

static void hidden(struct check *c)
{
	struct pair p;
	CK_ULONG got;
	CK_BYTE *value = check_buffer(c, 4096);
	const struct pair_kind *kind = begin(c, &p);
	CK_ATTRIBUTE_TYPE secret = kind->type == CKK_RSA ? CKA_PRIVATE_EXPONENT : CKA_VALUE;
	template_bool(&p.private, CKA_SENSITIVE, c->row->a != 0);
	template_bool(&p.private, CKA_EXTRACTABLE, c->row->a != 0);
	NEED_OK(c, generate(c, &p));
	EXPECT_RV(c, 248, object_read(c, p.private_key, secret, value, 4096, &got),
	          CKR_ATTRIBUTE_SENSITIVE);
	EXPECT(c, 238, got == CK_UNAVAILABLE_INFORMATION, "ulValueLen is %lu", got);
	EXPECT(c, 248, check_untouched(value, 0, 4096), "bytes were written to pValue");
}

/* ---- refused: both or none ------------------------------------------------------------------- */

static void refused(struct check *c, unsigned int rule, struct pair *p, const CK_RV *codes,
                    size_t count)
{
	CK_RV rv = generate(c, p);
	check_expect_rv(c, rule, "C_GenerateKeyPair", rv, codes, count, __FILE__, __LINE__);
	size_t left = rv == CKR_OK ? 0 : keying_left(c);
	EXPECT(c, 261, left == 0, "C_GenerateKeyPair failed and left %zu keys", left);
}

#define REFUSED(c, rule, p, ...)                            \
	refused(c, rule, p, (const CK_RV[]){ __VA_ARGS__ }, \
	        sizeof((const CK_RV[]){ __VA_ARGS__ }) / sizeof(CK_RV))

/* The template that row->a selects: 0 the public key's, 1 the private key's. */
static struct template *selected(struct check *c, struct pair *p)
{
	return c->row->a != 0 ? &p->private : &p->public;
}

static void incomplete(struct check *c)
{
	struct pair p;
	const struct pair_kind *kind = begin(c, &p);
	need_generator(c, &p);
	template_remove(&p.public, kind->needed);
	REFUSED(c, 208, &p, CKR_TEMPLATE_INCOMPLETE);
}

static void other_class(struct check *c)
{
	struct pair p;
	begin(c, &p);
	need_generator(c, &p);
	template_ulong(selected(c, &p), CKA_CLASS, c->row->b);
	REFUSED(c, 259, &p, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
}

static void other_type(struct check *c)
{
	struct pair p;
	const struct pair_kind *kind = begin(c, &p);
	need_generator(c, &p);
	template_ulong(selected(c, &p), CKA_KEY_TYPE, kind->type == CKK_RSA ? CKK_EC : CKK_RSA);
	REFUSED(c, 259, &p, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_VALUE_INVALID);
}

static void read_only_given(struct check *c)
{
	struct pair p;
	begin(c, &p);
	need_generator(c, &p);
	if (c->row->b == CKA_KEY_GEN_MECHANISM)
		template_ulong(selected(c, &p), c->row->b, CKM_AES_KEY_GEN);
	else
		template_bool(selected(c, &p), c->row->b, true);
	REFUSED(c, 207, &p, CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT);
}

static void unknown_attribute(struct check *c)
{
	struct pair p;
	begin(c, &p);
	need_generator(c, &p);
	template_ulong(selected(c, &p), CKA_VENDOR_DEFINED | 0x7fffffUL, 1);
	REFUSED(c, 205, &p, CKR_ATTRIBUTE_TYPE_INVALID);
}

static void bad_value(struct check *c)
{
	struct pair p;
	begin(c, &p);
	need_generator(c, &p);
	template_bytes(selected(c, &p), CKA_MODIFIABLE, "\1\1", 2);
	REFUSED(c, 206, &p, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
}

static void token_key_read_only(struct check *c)
{
	struct pair p;
	begin(c, &p);
	need_generator(c, &p);
	template_bool(selected(c, &p), CKA_TOKEN, true);
	REFUSED(c, 143, &p, CKR_SESSION_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
}

static void private_key_public(struct check *c)
{
	struct pair p;
	begin(c, &p);
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	template_bool(selected(c, &p), CKA_PRIVATE, true);
	REFUSED(c, 144, &p, CKR_USER_NOT_LOGGED_IN);
}

static void null_handle(struct check *c)
{
	struct pair p;
	const struct pair_kind *kind = begin(c, &p);
	CK_MECHANISM mechanism = { kind->mechanism, NULL, 0 };
	CK_OBJECT_HANDLE key;
	need_generator(c, &p);
	EXPECT_REFUSED(c, 314,
	               c->p11->C_GenerateKeyPair(c->session, &mechanism, p.public.entry,
	                                         p.public.count, p.private.entry, p.private.count,
	                                         c->row->a == 0 ? NULL : &key,
	                                         c->row->a == 0 ? &key : NULL),
	               CKR_ARGUMENTS_BAD);
	EXPECT(c, 261, keying_left(c) == 0, "C_GenerateKeyPair failed and left a key");
}

static void other_mechanism(struct check *c)
{
	struct pair p;
	CK_MECHANISM mechanism = { c->row->a, NULL, 0 };
	if (keying_has(c, c->row->a, CKF_GENERATE_KEY_PAIR))
		check_skip(c, "the token says that it generates pairs with this mechanism");
	keying_template(c, &p.public);
	template_bool(&p.public, CKA_PRIVATE, false);
	keying_template(c, &p.private);
	EXPECT_REFUSED(c, 93,
	               c->p11->C_GenerateKeyPair(c->session, &mechanism, p.public.entry,
	                                         p.public.count, p.private.entry, p.private.count,
	                                         &p.public_key, &p.private_key),
	               CKR_MECHANISM_INVALID);
	EXPECT(c, 261, keying_left(c) == 0, "C_GenerateKeyPair failed and left a key");
}

static void token_pair(struct check *c)
{
	struct pair p;
	begin(c, &p);
	template_bool(&p.public, CKA_TOKEN, true);
	template_bool(&p.private, CKA_TOKEN, true);
	NEED_OK(c, generate(c, &p));
	bool both =
		object_bool(c, p.public_key, CKA_TOKEN) && object_bool(c, p.private_key, CKA_TOKEN);
	size_t found = keying_left(c);
	CK_RV rv = c->p11->C_DestroyObject(c->session, p.public_key);
	CK_RV other = c->p11->C_DestroyObject(c->session, p.private_key);
	EXPECT(c, 213, both, "CKA_TOKEN is false");
	EXPECT(c, 261, found == 2, "%zu keys are found by their CKA_ID", found);
	EXPECT_CODE(c, 236, "C_DestroyObject", rv, CKR_OK);
	EXPECT_CODE(c, 236, "C_DestroyObject", other, CKR_OK);
}

/* ---- RSA (§6.1.4) ---------------------------------------------------------------------------- */

static void rsa_default_exponent(struct check *c)
{
	struct pair p;
	CK_BYTE exponent[16];
	CK_ULONG size;
	begin(c, &p);
	template_remove(&p.public, CKA_PUBLIC_EXPONENT);
	CK_RV rv = generate(c, &p);
	if (rv == CKR_TEMPLATE_INCOMPLETE) {
		/* 2.40 and 3.1 have it as an attribute that the template must have. */
		check_skip(c, "the template must say CKA_PUBLIC_EXPONENT");
	}
	NEED_OK(c, rv);
	NEED_OK(c, object_read(c, p.public_key, CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent),
	                       &size));
	EXPECT(c, 227,
	       size == 3 && memcmp(exponent, rsa_public_exponent, sizeof(rsa_public_exponent)) == 0,
	       "without CKA_PUBLIC_EXPONENT it is not 65537");
}

static void rsa_exponent(struct check *c)
{
	struct pair p;
	CK_BYTE exponent[2] = { (CK_BYTE)(c->row->a >> 8), (CK_BYTE)c->row->a };
	begin(c, &p);
	template_bytes(&p.public, CKA_PUBLIC_EXPONENT, exponent + (c->row->a < 256),
	               c->row->a < 256 ? 1 : 2);
	CK_RV rv = generate(c, &p);
	if (c->row->b != 0 && rv == CKR_OK) {
		CK_MECHANISM how = { CKM_RSA_PKCS, NULL, 0 };
		keying_pair_works(c, 361, &how, p.public_key, p.private_key, 32);
		return;
	}
	/* A small exponent may be too small for the token. The code is named since 3.2. */
	EXPECT(c, 227, rv != CKR_OK, "an exponent of %lu is taken", (CK_ULONG)c->row->a);
	if (rv != CKR_TEMPLATE_INCONSISTENT && rv != CKR_ATTRIBUTE_VALUE_INVALID)
		check_note(c, "an exponent that cannot be is refused with %s", check_rv_name(rv));
	EXPECT(c, 261, keying_left(c) == 0, "C_GenerateKeyPair failed and left a key");
}

static void rsa_size(struct check *c)
{
	struct pair p;
	begin(c, &p);
	template_ulong(&p.public, CKA_MODULUS_BITS, c->row->a);
	REFUSED(c, 206, &p, CKR_KEY_SIZE_RANGE, CKR_ATTRIBUTE_VALUE_INVALID,
	        CKR_TEMPLATE_INCONSISTENT);
}

static void rsa_has_modulus(struct check *c)
{
	struct pair p;
	CK_BYTE modulus[KEYING_VALUE_SIZE];
	CK_ULONG size;
	begin(c, &p);
	NEED_OK(c, generate(c, &p));
	NEED_OK(c, object_read(c, p.public_key, CKA_MODULUS, modulus, sizeof(modulus), &size));
	EXPECT(c, 361,
	       size == rsa_bits(c) / 8 && modulus[0] >= 0x80 && (modulus[size - 1] & 1) != 0,
	       "the modulus is not an odd number of %lu bits", rsa_bits(c));
	EXPECT(c, 361, object_ulong(c, p.public_key, CKA_MODULUS_BITS) == rsa_bits(c),
	       "CKA_MODULUS_BITS is not as the template says");
}

static void rsa_modulus_given(struct check *c)
{
	struct pair p;
	begin(c, &p);
	template_bytes(&p.public, CKA_MODULUS, rsa_public_exponent, sizeof(rsa_public_exponent));
	REFUSED(c, 207, &p, CKR_ATTRIBUTE_READ_ONLY, CKR_TEMPLATE_INCONSISTENT,
	        CKR_ATTRIBUTE_TYPE_INVALID);
}

/* ---- curves (§6.3) --------------------------------------------------------------------------- */

struct curve {
	const char *name;
	CK_BYTE params[16];
	CK_ULONG size;  /* of params */
	CK_ULONG bytes; /* of a coordinate; 0 where there is no such curve */
};

static const struct curve curves[] = {
	{ "p192", { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01 }, 10, 24 },
	{ "p224", { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x21 }, 7, 28 },
	{ "p256", { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 }, 10, 32 },
	{ "p384", { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22 }, 7, 48 },
	{ "p521", { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23 }, 7, 66 },
	{ "secp256k1", { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a }, 7, 32 },
	{ "brainpool-p256r1",
	  { 0x06, 0x09, 0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x07 },
	  11,
	  32 },
	{ "brainpool-p384r1",
	  { 0x06, 0x09, 0x2b, 0x24, 0x03, 0x03, 0x02, 0x08, 0x01, 0x01, 0x0b },
	  11,
	  48 },
};

static const struct curve bad_curves[] = {
	{ "unknown-oid", { 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x7f }, 7, 0 },
	{ "foreign-oid", { 0x06, 0x03, 0x55, 0x04, 0x03 }, 5, 0 },
	{ "truncated-oid", { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d }, 7, 0 },
	{ "empty", { 0 }, 0, 0 },
	{ "null", { 0x05, 0x00 }, 2, 0 },
	{ "integer", { 0x02, 0x01, 0x07 }, 3, 0 },
	{ "bare-oid", { 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 }, 8, 0 },
	{ "empty-sequence", { 0x30, 0x00 }, 2, 0 },
	{ "huge-length", { 0x06, 0x84, 0xff, 0xff, 0xff, 0xff, 0x2a }, 7, 0 },
	{ "unknown-name", { 0x13, 0x06, 'n', 'o', 'c', 'u', 'r', 'v' }, 8, 0 },
};

static void curve(struct check *c)
{
	const struct curve *curve = (const struct curve *)c->row->a;
	struct pair p;
	CK_MECHANISM how = { CKM_ECDSA, NULL, 0 };
	CK_BYTE point[256], params[64];
	CK_ULONG size;
	begin(c, &p);
	need_generator(c, &p);
	template_bytes(&p.public, CKA_EC_PARAMS, curve->params, curve->size);
	CK_RV rv = generate(c, &p);
	EXPECT_CODE(c, 225, "C_GenerateKeyPair", rv, CKR_OK, CKR_CURVE_NOT_SUPPORTED,
	            CKR_DOMAIN_PARAMS_INVALID);
	if (rv != CKR_OK) {
		EXPECT(c, 261, keying_left(c) == 0, "C_GenerateKeyPair failed and left a key");
		return;
	}
	NEED_OK(c, object_read(c, p.public_key, CKA_EC_PARAMS, params, sizeof(params), &size));
	EXPECT(c, 361, size == curve->size && memcmp(params, curve->params, size) == 0,
	       "CKA_EC_PARAMS is another curve's");
	NEED_OK(c, object_read(c, p.public_key, CKA_EC_POINT, point, sizeof(point), &size));
	EXPECT(c, 363,
	       size > 2 && point[0] == 0x04 &&
	               (size == 2 * curve->bytes + 3 || size == 2 * curve->bytes + 4 ||
	                size == curve->bytes + 3),
	       "CKA_EC_POINT, %lu bytes, is not a DER OCTET STRING with a point of the curve",
	       size);
	keying_pair_works(c, 361, &how, p.public_key, p.private_key, 32);
}

static void bad_curve(struct check *c)
{
	const struct curve *curve = (const struct curve *)c->row->a;
	struct pair p;
	begin(c, &p);
	need_generator(c, &p);
	template_bytes(&p.public, CKA_EC_PARAMS, curve->params, curve->size);
	REFUSED(c, 225, &p, CKR_CURVE_NOT_SUPPORTED, CKR_DOMAIN_PARAMS_INVALID,
	        CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add_made(struct check_list *list, const struct pair_kind *kind)
{
	const struct {
		const char *name;
		struct check_row row;
	} members[] = {
		{ "attributes",
		  CHECK(attributes, NEED_USER, "a pair is what it should be", 214, 261) },
		{ "usable",
		  CHECK(usable, NEED_USER, "what one key signs the other verifies", 361) },
		{ "belong-together",
		  CHECK(belong_together, NEED_USER, "what both keys have is the same", 361) },
		{ "labels", CHECK(labels, NEED_USER, "each key has what its template says", 213) },
		{ "differ", CHECK(differ, NEED_USER, "two pairs are two", 360) },
		{ "incomplete",
		  CHECK(incomplete, NEED_USER, "without what the mechanism needs it is incomplete",
		        208, 261) },
		{ "token-pair", CHECK(token_pair, NEED_USER | NEED_RW | NEED_DESTRUCTIVE,
		                      "token keys are made, both", 213, 261, 236) },
	};
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(members); i++) {
		row = members[i].row;
		row.data = kind;
		keying_row(&row, kind->mechanism, CKF_GENERATE_KEY_PAIR);
		check_add(list, row, "%s/%s", members[i].name, kind->name);
	}
	row = CHECK(latches, NEED_USER, "what was always so follows from what is so", 262);
	row.data = kind;
	keying_row(&row, kind->mechanism, CKF_GENERATE_KEY_PAIR);
	struct check_row hides =
		CHECK(hidden, NEED_USER, "the private value is not shown", 248, 238);
	hides.data = kind;
	keying_row(&hides, kind->mechanism, CKF_GENERATE_KEY_PAIR);
	keying_add_secrecy(list, row, hides, kind->name);
}

/* What either template can have wrong. */
static void add_refused(struct check_list *list, const struct pair_kind *kind, unsigned int which)
{
	static const CK_OBJECT_CLASS classes[] = { CKO_DATA, CKO_SECRET_KEY };
	static const CK_ATTRIBUTE_TYPE read_only[] = { CKA_LOCAL, CKA_KEY_GEN_MECHANISM,
		                                       CKA_ALWAYS_SENSITIVE,
		                                       CKA_NEVER_EXTRACTABLE };
	static const char *const sides[] = { "public", "private" };
	const struct {
		const char *name;
		struct check_row row;
	} members[] = {
		{ "local", CHECK(local, NEED_USER, "a generated key says how it was made", 260) },
		{ "other-type",
		  CHECK(other_type, NEED_USER, "another key type is refused", 259, 261) },
		{ "unknown-attribute", CHECK(unknown_attribute, NEED_USER,
		                             "an unknown attribute is refused", 205, 261) },
		{ "bad-value",
		  CHECK(bad_value, NEED_USER, "a value of another size than the type's is refused",
		        206, 261) },
		{ "read-only-session",
		  CHECK(token_key_read_only, NEED_USER,
		        "a token key is not generated in a read-only session", 143, 261) },
		{ "no-login", CHECK(private_key_public, NEED_SESSION,
		                    "a private object is not generated without login", 144, 261) },
		{ "null-handle",
		  CHECK(null_handle, NEED_USER, "NULL for a handle is refused", 314, 261) },
	};
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(members); i++) {
		row = members[i].row;
		row.data = kind;
		keying_row(&row, kind->mechanism, CKF_GENERATE_KEY_PAIR);
		row.a = which;
		check_add(list, row, "%s/%s-%s", members[i].name, kind->name, sides[which]);
	}
	for (size_t i = 0; i <= TAPE_ARRAY_SIZE(classes); i++) {
		row = CHECK(other_class, NEED_USER, "another class is refused", 259, 261);
		row.data = kind;
		keying_row(&row, kind->mechanism, CKF_GENERATE_KEY_PAIR);
		row.a = which;
		row.b = i < TAPE_ARRAY_SIZE(classes) ? classes[i]
		        : which == 0                 ? CKO_PRIVATE_KEY
		                                     : CKO_PUBLIC_KEY;
		check_add(list, row, "other-class/%s-%s-%s", kind->name, sides[which],
		          check_name(TAPE_G_CKO, row.b));
	}
	for (size_t i = 0; i < (which == 0 ? 2 : TAPE_ARRAY_SIZE(read_only)); i++) {
		row = CHECK(read_only_given, NEED_USER,
		            "an attribute that only the token sets is refused", 207, 261);
		row.data = kind;
		keying_row(&row, kind->mechanism, CKF_GENERATE_KEY_PAIR);
		row.a = which;
		row.b = read_only[i];
		check_add(list, row, "read-only/%s-%s-%s", kind->name, sides[which],
		          check_attribute_name(read_only[i]));
	}
}

static void add_rsa(struct check_list *list)
{
	static const struct {
		CK_ULONG exponent;
		bool good;
	} exponents[] = { { 0, false }, { 1, false }, { 2, false },    { 4, false },
		          { 3, true },  { 17, true }, { 65534, false } };
	static const CK_ULONG sizes[] = { 1, 8, 64, 256, 1UL << 20 };
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(exponents); i++) {
		/* An exponent that cannot be may make a search for primes endless. */
		row = CHECK(rsa_exponent, NEED_USER,
		            "a public exponent that cannot be is refused, one that can is used",
		            227, 361, 261);
		row.data = rsa;
		row.a = exponents[i].exponent;
		row.b = exponents[i].good;
		check_add(list, row, "rsa/exponent-%lu", exponents[i].exponent);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(sizes); i++) {
		row = CHECK(rsa_size, NEED_USER, "a modulus of no sensible size is refused", 206,
		            261);
		row.data = rsa;
		row.a = sizes[i];
		check_add(list, row, "rsa/bits-%lu", sizes[i]);
	}
	row = CHECK(rsa_default_exponent, NEED_USER, "the public exponent is 65537 by default",
	            227);
	row.data = rsa;
	check_add(list, row, "rsa/default-exponent");
	row = CHECK(rsa_has_modulus, NEED_USER, "the modulus has its size", 361);
	row.data = rsa;
	check_add(list, row, "rsa/modulus");
	row = CHECK(rsa_modulus_given, NEED_USER, "the modulus is not the caller's", 207, 261);
	row.data = rsa;
	check_add(list, row, "rsa/modulus-given");
}

static void add_curves(struct check_list *list)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(curves); i++) {
		struct check_row row = CHECK(curve, NEED_USER,
		                             "a curve is supported, or refused as one that is not",
		                             225, 361, 363, 261);
		row.data = ec;
		row.a = (uintptr_t)&curves[i];
		check_add(list, row, "curve/%s", curves[i].name);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(bad_curves); i++) {
		struct check_row row = CHECK(bad_curve, NEED_USER,
		                             "parameters that name no curve are refused", 225, 261);
		row.data = ec;
		row.a = (uintptr_t)&bad_curves[i];
		check_add(list, row, "bad-curve/%s", bad_curves[i].name);
	}
}

/* The smallest of HSS: one tree of five levels, with the shortest one-time signatures (RFC 8554). */
#define LMS_SHA256_M32_H5 5
#define LMOTS_SHA256_N32_W8 4
#define HSS_SIGNATURES 32

static CK_RV sign_once(struct check *c, CK_OBJECT_HANDLE key)
{
	static CK_BYTE signature[4096];
	CK_MECHANISM mechanism = { CKM_HSS, NULL, 0 };
	CK_BYTE data[3] = "abc";
	CK_ULONG size = sizeof(signature);
	CK_RV rv = c->p11->C_SignInit(c->session, &mechanism, key);
	return rv != CKR_OK ? rv : c->p11->C_Sign(c->session, data, sizeof(data), signature, &size);
}

/* Each signature takes a part of the key; when none is left, neither C_SignInit nor C_Sign makes another. */
static void exhausted(struct check *c)
{
	const CK_ULONG tree = LMS_SHA256_M32_H5, once = LMOTS_SHA256_N32_W8;
	CK_MECHANISM mechanism = { CKM_HSS_KEY_PAIR_GEN, NULL, 0 };
	struct pair p;
	CK_RV rv = CKR_OK;
	unsigned int made = 0;
	keying_mechanism(c, CKM_HSS, CKF_SIGN);
	keying_template(c, &p.public);
	template_bool(&p.public, CKA_VERIFY, true);
	keying_template(c, &p.private);
	template_bool(&p.private, CKA_SIGN, true);
	template_ulong(&p.private, CKA_HSS_LEVELS, 1);
	template_bytes(&p.private, CKA_HSS_LMS_TYPES, &tree, sizeof(tree));
	template_bytes(&p.private, CKA_HSS_LMOTS_TYPES, &once, sizeof(once));
	NEED_OK(c, c->p11->C_GenerateKeyPair(c->session, &mechanism, p.public.entry, p.public.count,
	                                     p.private.entry, p.private.count, &p.public_key,
	                                     &p.private_key));
	CK_ULONG left = object_ulong(c, p.private_key, CKA_HSS_KEYS_REMAINING);
	if (left > HSS_SIGNATURES)
		check_skip(c, "the key has %lu signatures, not %d", (unsigned long)left,
		           HSS_SIGNATURES);
	while (made <= HSS_SIGNATURES && (rv = sign_once(c, p.private_key)) == CKR_OK)
		made++;
	EXPECT(c, 280, made <= left, "of a key with %lu signatures %u were made",
	       (unsigned long)left, made);
	EXPECT_CODE(c, 280, "C_Sign with a key that is used up", rv, CKR_KEY_EXHAUSTED);
	EXPECT(c, 280, object_ulong(c, p.private_key, CKA_HSS_KEYS_REMAINING) == 0,
	       "the key is used up, and CKA_HSS_KEYS_REMAINING is not 0");
}

void suite_pair(struct check_list *list)
{
	static const CK_MECHANISM_TYPE others[] = { CKM_SHA256,   CKM_AES_KEY_GEN,
		                                    CKM_RSA_PKCS, CKM_ECDH1_DERIVE,
		                                    CKM_ECDSA,    CKM_VENDOR_DEFINED | 0x7fffffUL };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(kinds); i++) {
		add_made(list, &kinds[i]);
		add_refused(list, &kinds[i], 0);
		add_refused(list, &kinds[i], 1);
	}
	add_rsa(list);
	add_curves(list);
	struct check_row row =
		CHECK(exhausted, NEED_USER, "a key of so many signatures makes no more", 280);
	keying_row(&row, CKM_HSS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
	check_add(list, row, "hss/exhausted");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(others); i++) {
		row = CHECK(other_mechanism, NEED_USER,
		            "a mechanism that generates no pair is refused", 93, 261);
		row.a = others[i];
		check_add(list, row, "other-mechanism/%s",
		          i + 1 < TAPE_ARRAY_SIZE(others) ? check_mechanism_name(others[i])
		                                          : "unknown");
	}
}
