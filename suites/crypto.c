/* SPDX-License-Identifier: MIT */
#include "suites/crypto.h"

#include <dlfcn.h>
#include <string.h>

#include "suites/keys.h"

const struct crypto_verb_info crypto_verbs[VERB_COUNT] = {
	[VERB_DIGEST] = { "C_Digest", CKF_DIGEST, 0, TAPE_FN_C_DigestInit, TAPE_FN_C_Digest,
	                  TAPE_FN_C_DigestUpdate, TAPE_FN_C_DigestFinal },
	[VERB_ENCRYPT] = { "C_Encrypt", CKF_ENCRYPT, CKA_ENCRYPT, TAPE_FN_C_EncryptInit,
	                   TAPE_FN_C_Encrypt, TAPE_FN_C_EncryptUpdate, TAPE_FN_C_EncryptFinal },
	[VERB_DECRYPT] = { "C_Decrypt", CKF_DECRYPT, CKA_DECRYPT, TAPE_FN_C_DecryptInit,
	                   TAPE_FN_C_Decrypt, TAPE_FN_C_DecryptUpdate, TAPE_FN_C_DecryptFinal },
	[VERB_SIGN] = { "C_Sign", CKF_SIGN, CKA_SIGN, TAPE_FN_C_SignInit, TAPE_FN_C_Sign,
	                TAPE_FN_C_SignUpdate, TAPE_FN_C_SignFinal },
	[VERB_VERIFY] = { "C_Verify", CKF_VERIFY, CKA_VERIFY, TAPE_FN_C_VerifyInit,
	                  TAPE_FN_C_Verify, TAPE_FN_C_VerifyUpdate, TAPE_FN_C_VerifyFinal },
	[VERB_SIGN_RECOVER] = { "C_SignRecover", CKF_SIGN_RECOVER, CKA_SIGN_RECOVER,
	                        TAPE_FN_C_SignRecoverInit, TAPE_FN_C_SignRecover, TAPE_FN_COUNT,
	                        TAPE_FN_COUNT },
	[VERB_VERIFY_RECOVER] = { "C_VerifyRecover", CKF_VERIFY_RECOVER, CKA_VERIFY_RECOVER,
	                          TAPE_FN_C_VerifyRecoverInit, TAPE_FN_C_VerifyRecover,
	                          TAPE_FN_COUNT, TAPE_FN_COUNT },
};

enum {
	DIGEST = CRYPTO_DIGEST,
	CIPHER = CRYPTO_CIPHER,
	SIGNATURE = CRYPTO_SIGNATURE,
	RECOVERY = CRYPTO_RECOVERY,
	SAME = CRYPTO_SAME,
	SINGLE = CRYPTO_SINGLE,
	PADDED = CRYPTO_PADDED,
	SEALED = CRYPTO_SEALED,
	HIDDEN = CRYPTO_HIDDEN,
};

const struct crypto_mechanism crypto_mechanisms[] = {
#define MECHANISM(type, use, key, parameter, block, input, longest, output, traits, oracle, \
                  algorithm)                                                                \
	{ type,                                                                             \
	  #type,                                                                            \
	  use,                                                                              \
	  CRYPTO_KEY_##key,                                                                 \
	  CRYPTO_PARAMETER_##parameter,                                                     \
	  traits,                                                                           \
	  block,                                                                            \
	  input,                                                                            \
	  longest,                                                                          \
	  output,                                                                           \
	  ORACLE_##oracle,                                                                  \
	  algorithm },
#include "suites/crypto.def"
};
const size_t crypto_mechanism_count = TAPE_ARRAY_SIZE(crypto_mechanisms);

const struct crypto_mechanism *crypto_find(CK_MECHANISM_TYPE type)
{
	for (size_t i = 0; i < crypto_mechanism_count; i++)
		if (crypto_mechanisms[i].type == type)
			return &crypto_mechanisms[i];
	return NULL;
}

bool crypto_can(const struct crypto_mechanism *m, enum crypto_verb verb)
{
	static const unsigned char uses[VERB_COUNT] = {
		[VERB_DIGEST] = DIGEST,           [VERB_ENCRYPT] = CIPHER,
		[VERB_DECRYPT] = CIPHER,          [VERB_SIGN] = SIGNATURE,
		[VERB_VERIFY] = SIGNATURE,        [VERB_SIGN_RECOVER] = RECOVERY,
		[VERB_VERIFY_RECOVER] = RECOVERY,
	};
	return (m->use & uses[verb]) != 0;
}

bool crypto_is_listed(const struct check *c, const struct crypto_mechanism *m,
                      enum crypto_verb verb)
{
	const CK_MECHANISM_INFO *info = target_mechanism(c->target, m->type);
	return info != NULL && (info->flags & crypto_verbs[verb].flag) != 0;
}

bool crypto_streams(enum crypto_verb verb)
{
	return verb == VERB_ENCRYPT || verb == VERB_DECRYPT;
}

bool crypto_has_parts(const struct crypto_job *job)
{
	return crypto_verbs[job->verb].update != TAPE_FN_COUNT &&
	       (job->m->traits & CRYPTO_SINGLE) == 0;
}

/* ---- keys -------------------------------------------------------------------------------------------- */

static const struct {
	CK_KEY_TYPE type;
	CK_ULONG size; /* of a secret key */
	CK_MECHANISM_TYPE generates;
	bool is_pair;
} key_types[] = {
	[CRYPTO_KEY_GENERIC] = { CKK_GENERIC_SECRET, 64, CKM_GENERIC_SECRET_KEY_GEN, false },
	[CRYPTO_KEY_AES] = { CKK_AES, 16, CKM_AES_KEY_GEN, false },
	[CRYPTO_KEY_DES] = { CKK_DES, 8, CKM_DES_KEY_GEN, false },
	[CRYPTO_KEY_DES3] = { CKK_DES3, 24, CKM_DES3_KEY_GEN, false },
	[CRYPTO_KEY_CAMELLIA] = { CKK_CAMELLIA, 16, CKM_CAMELLIA_KEY_GEN, false },
	[CRYPTO_KEY_ARIA] = { CKK_ARIA, 16, CKM_ARIA_KEY_GEN, false },
	[CRYPTO_KEY_SEED] = { CKK_SEED, 16, CKM_SEED_KEY_GEN, false },
	[CRYPTO_KEY_RC4] = { CKK_RC4, 16, CKM_RC4_KEY_GEN, false },
	[CRYPTO_KEY_CHACHA20] = { CKK_CHACHA20, 32, CKM_CHACHA20_KEY_GEN, false },
	[CRYPTO_KEY_RSA] = { CKK_RSA, 0, CKM_RSA_PKCS_KEY_PAIR_GEN, true },
	[CRYPTO_KEY_DSA] = { CKK_DSA, 0, CKM_DSA_KEY_PAIR_GEN, true },
	[CRYPTO_KEY_EC] = { CKK_EC, 0, CKM_EC_KEY_PAIR_GEN, true },
	[CRYPTO_KEY_EDWARDS] = { CKK_EC_EDWARDS, 0, CKM_EC_EDWARDS_KEY_PAIR_GEN, true },
	[CRYPTO_KEY_ML_DSA] = { CKK_ML_DSA, 0, CKM_ML_DSA_KEY_PAIR_GEN, true },
};

/* Every byte of odd parity, as DES wants it, no byte like another. */
static void fill_key(CK_BYTE *to, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		CK_BYTE byte = (CK_BYTE)(2 * (i + 9) + 16 * (i % 5));
		CK_BYTE ones = 0;
		for (CK_BYTE bits = byte; bits != 0; bits &= (CK_BYTE)(bits - 1))
			ones++;
		to[i] = (CK_BYTE)(byte ^ (ones % 2 == 0));
	}
}

static void secret_template(const struct check *c, struct template *t, enum crypto_key_type type)
{
	CK_BYTE value[64];
	CK_ULONG size = key_types[type].size;
	object_template(c, t, type == CRYPTO_KEY_GENERIC ? OBJECT_SECRET : OBJECT_AES);
	fill_key(value, size);
	template_ulong(t, CKA_KEY_TYPE, key_types[type].type);
	template_bytes(t, CKA_VALUE, value, size);
}

static void pair_templates(const struct check *c, struct template *private, struct template *public,
                           enum crypto_key_type type)
{
	bool is_rsa = type == CRYPTO_KEY_RSA;
	object_template(c, private, is_rsa ? OBJECT_RSA_PRIVATE : OBJECT_EC_PRIVATE);
	object_template(c, public, is_rsa ? OBJECT_RSA_PUBLIC : OBJECT_EC_PUBLIC);
	template_ulong(private, CKA_KEY_TYPE, key_types[type].type);
	template_ulong(public, CKA_KEY_TYPE, key_types[type].type);
	if (type == CRYPTO_KEY_EDWARDS) {
		template_bytes(private, CKA_EC_PARAMS, ed25519_params, sizeof(ed25519_params));
		template_bytes(private, CKA_VALUE, ed25519_value, sizeof(ed25519_value));
		template_bytes(public, CKA_EC_PARAMS, ed25519_params, sizeof(ed25519_params));
		template_bytes(public, CKA_EC_POINT, ed25519_point, sizeof(ed25519_point));
	}
	if (type == CRYPTO_KEY_DSA || type == CRYPTO_KEY_ML_DSA) {
		template_remove(private, CKA_EC_PARAMS);
		template_remove(private, CKA_VALUE);
		template_remove(private, CKA_DERIVE);
		template_remove(public, CKA_EC_PARAMS);
		template_remove(public, CKA_EC_POINT);
	}
	for (int i = 0; i < 2 && type == CRYPTO_KEY_DSA; i++) {
		struct template *t = i == 0 ? private : public;
		template_bytes(t, CKA_PRIME, group_prime, sizeof(group_prime));
		template_bytes(t, CKA_SUBPRIME, group_subprime, sizeof(group_subprime));
		template_bytes(t, CKA_BASE, group_base, sizeof(group_base));
		if (i == 0)
			template_bytes(t, CKA_VALUE, group_private, sizeof(group_private));
		else
			template_bytes(t, CKA_VALUE, group_public, sizeof(group_public));
	}
}

static CK_RV create(struct check *c, struct template *t, CK_OBJECT_HANDLE *ret_object)
{
	return c->p11->C_CreateObject(c->session, t->entry, t->count, ret_object);
}

/* Whether the value was read into the template, for the oracle. */
static bool read_into(struct check *c, CK_OBJECT_HANDLE object, struct template *t,
                      CK_ATTRIBUTE_TYPE type)
{
	CK_BYTE value[1024];
	CK_ULONG size;
	if (object_read(c, object, type, value, sizeof(value), &size) != CKR_OK ||
	    size > sizeof(value))
		return false;
	template_bytes(t, type, value, size);
	return true;
}

static void make_secret(struct check *c, struct crypto_job *job)
{
	enum crypto_key_type type = (enum crypto_key_type)job->m->key;
	struct template *t = job->key_values;
	CK_MECHANISM generate = { key_types[type].generates, NULL, 0 };
	CK_RV rv = create(c, t, &job->key);
	job->other = job->key;
	job->known = rv == CKR_OK;
	if (rv == CKR_OK)
		return;
	template_remove(t, CKA_VALUE);
	if (type != CRYPTO_KEY_DES && type != CRYPTO_KEY_DES3 && type != CRYPTO_KEY_SEED)
		template_ulong(t, CKA_VALUE_LEN, key_types[type].size);
	CK_RV generated =
		c->p11->C_GenerateKey(c->session, &generate, t->entry, t->count, &job->key);
	if (generated != CKR_OK)
		check_skip(c, "a key for %s can be neither created (%s) nor generated (%s)",
		           job->m->name, check_rv_name(rv), check_rv_name(generated));
	job->other = job->key;
	job->known = read_into(c, job->key, t, CKA_VALUE);
}

static CK_RV generate_pair(struct check *c, struct crypto_job *job, CK_OBJECT_HANDLE *private,
                           CK_OBJECT_HANDLE *public)
{
	static const CK_ATTRIBUTE_TYPE made[] = {
		CKA_MODULUS,    CKA_PUBLIC_EXPONENT, CKA_PRIVATE_EXPONENT, CKA_PRIME_1, CKA_PRIME_2,
		CKA_EXPONENT_1, CKA_EXPONENT_2,      CKA_COEFFICIENT,      CKA_VALUE,   CKA_EC_POINT
	};
	static const CK_BYTE exponent[] = { 1, 0, 1 };
	enum crypto_key_type type = (enum crypto_key_type)job->m->key;
	struct template *t[] = { job->key_values, job->public_values };
	CK_MECHANISM generate = { key_types[type].generates, NULL, 0 };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(made); i++) {
		template_remove(t[0], made[i]);
		template_remove(t[1], made[i]);
	}
	static const CK_ATTRIBUTE_TYPE domain[] = { CKA_EC_PARAMS, CKA_PRIME, CKA_SUBPRIME,
		                                    CKA_BASE };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(domain); i++)
		template_remove(t[0], domain[i]);
	if (type == CRYPTO_KEY_RSA) {
		template_ulong(t[1], CKA_MODULUS_BITS, 2048);
		template_bytes(t[1], CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent));
	}
	if (type == CRYPTO_KEY_ML_DSA)
		template_ulong(t[1], CKA_PARAMETER_SET, CKP_ML_DSA_44);
	return c->p11->C_GenerateKeyPair(c->session, &generate, t[1]->entry, t[1]->count,
	                                 t[0]->entry, t[0]->count, public, private);
}

static void make_pair(struct check *c, struct crypto_job *job)
{
	CK_OBJECT_HANDLE private = CK_INVALID_HANDLE, public = CK_INVALID_HANDLE;
	CK_RV rv = job->m->key == CRYPTO_KEY_ML_DSA ? CKR_FUNCTION_NOT_SUPPORTED
	                                            : create(c, job->key_values, &private);
	if (rv == CKR_OK)
		rv = create(c, job->public_values, &public);
	job->known = rv == CKR_OK;
	if (rv != CKR_OK) {
		CK_RV generated = generate_pair(c, job, &private, &public);
		if (generated != CKR_OK)
			check_skip(c, "keys for %s can be neither created (%s) nor generated (%s)",
			           job->m->name, check_rv_name(rv), check_rv_name(generated));
	}
	bool is_public = job->verb == VERB_ENCRYPT || job->verb == VERB_VERIFY ||
	                 job->verb == VERB_VERIFY_RECOVER;
	job->key = is_public ? public : private;
	job->other = is_public ? private : public;
}

static void make_keys(struct check *c, struct crypto_job *job)
{
	static struct template key_values, public_values;
	enum crypto_key_type type = (enum crypto_key_type)job->m->key;
	job->key_values = &key_values;
	job->public_values = &public_values;
	template_clear(&key_values);
	template_clear(&public_values);
	job->known = true;
	if (type == CRYPTO_KEY_NONE)
		return;
	if (key_types[type].is_pair) {
		pair_templates(c, &key_values, &public_values, type);
		make_pair(c, job);
	} else {
		secret_template(c, &key_values, type);
		make_secret(c, job);
	}
}

void crypto_key_template(struct check *c, struct crypto_job *job, struct template *t)
{
	static struct template unused;
	enum crypto_key_type type = (enum crypto_key_type)job->m->key;
	bool is_public = job->verb == VERB_ENCRYPT || job->verb == VERB_VERIFY ||
	                 job->verb == VERB_VERIFY_RECOVER;
	if (!key_types[type].is_pair)
		secret_template(c, t, type);
	else if (is_public)
		pair_templates(c, &unused, t, type);
	else
		pair_templates(c, t, &unused, type);
}

/* ---- parameters -------------------------------------------------------------------------------------- */

static const CK_BYTE iv[16] = { 0xf0, 0xe1, 0xd2, 0xc3, 0xb4, 0xa5, 0x96, 0x87,
	                        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01 };
static const CK_BYTE aad[20] = "what is not secret!";
#define NONCE ((CK_ULONG)12)
#define TAG ((CK_ULONG)16)

static void *copy(struct check *c, const void *from, size_t size)
{
	return memcpy(check_buffer(c, size), from, size);
}

static const struct {
	const char *name;
	CK_MECHANISM_TYPE hash;
	CK_RSA_PKCS_MGF_TYPE mgf;
	CK_ULONG size;
} hashes[] = {
	{ "SHA1", CKM_SHA_1, CKG_MGF1_SHA1, 20 },
	{ "SHA224", CKM_SHA224, CKG_MGF1_SHA224, 28 },
	{ "SHA256", CKM_SHA256, CKG_MGF1_SHA256, 32 },
	{ "SHA384", CKM_SHA384, CKG_MGF1_SHA384, 48 },
	{ "SHA512", CKM_SHA512, CKG_MGF1_SHA512, 64 },
	{ "SHA3-256", CKM_SHA3_256, CKG_MGF1_SHA3_256, 32 },
	{ "SHA3-384", CKM_SHA3_384, CKG_MGF1_SHA3_384, 48 },
	{ "SHA3-512", CKM_SHA3_512, CKG_MGF1_SHA3_512, 64 },
};

static size_t find_hash(const char *name)
{
	size_t i = 0;
	while (i + 1 < TAPE_ARRAY_SIZE(hashes) && strcmp(hashes[i].name, name) != 0)
		i++;
	return i;
}

static void set_parameter(struct check *c, struct crypto_job *job)
{
	const struct crypto_mechanism *m = job->m;
	size_t hash = find_hash(m->algorithm);
	CK_AES_CTR_PARAMS ctr = { .ulCounterBits = 64 };
	CK_GCM_PARAMS gcm = { copy(c, iv, NONCE),        NONCE,       8 * NONCE,
		              copy(c, aad, sizeof(aad)), sizeof(aad), 8 * TAG };
	CK_CCM_PARAMS ccm = { m->input,    copy(c, iv, NONCE),
		              NONCE,       copy(c, aad, sizeof(aad)),
		              sizeof(aad), TAG };
	CK_SALSA20_CHACHA20_POLY1305_PARAMS chacha = { copy(c, iv, NONCE), NONCE,
		                                       copy(c, aad, sizeof(aad)), sizeof(aad) };
	CK_ULONG length = m->output;
	CK_RSA_PKCS_PSS_PARAMS pss = { hashes[hash].hash, hashes[hash].mgf, hashes[hash].size };
	CK_RSA_PKCS_OAEP_PARAMS oaep = { hashes[hash].hash, hashes[hash].mgf, CKZ_DATA_SPECIFIED,
		                         NULL, 0 };
	const struct {
		const void *bytes;
		size_t size;
	} parameters[] = {
		[CRYPTO_PARAMETER_NONE] = { NULL, 0 },
		[CRYPTO_PARAMETER_IV8] = { iv, 8 },
		[CRYPTO_PARAMETER_IV16] = { iv, 16 },
		[CRYPTO_PARAMETER_CTR] = { &ctr, sizeof(ctr) },
		[CRYPTO_PARAMETER_GCM] = { &gcm, sizeof(gcm) },
		[CRYPTO_PARAMETER_CCM] = { &ccm, sizeof(ccm) },
		[CRYPTO_PARAMETER_CHACHA] = { &chacha, sizeof(chacha) },
		[CRYPTO_PARAMETER_MAC_LENGTH] = { &length, sizeof(length) },
		[CRYPTO_PARAMETER_PSS] = { &pss, sizeof(pss) },
		[CRYPTO_PARAMETER_OAEP] = { &oaep, sizeof(oaep) },
	};
	memcpy(ctr.cb, iv, sizeof(ctr.cb));
	job->mechanism.mechanism = m->type;
	job->mechanism.ulParameterLen = parameters[m->parameter].size;
	job->mechanism.pParameter =
		m->parameter == CRYPTO_PARAMETER_NONE
			? NULL
			: copy(c, parameters[m->parameter].bytes, parameters[m->parameter].size);
}

void *crypto_parameter(struct check *c, const struct crypto_job *job)
{
	return copy(c, job->mechanism.pParameter, job->mechanism.ulParameterLen);
}

/* ---- calls ------------------------------------------------------------------------------------------- */

const char *crypto_called(const struct crypto_job *job)
{
	return job->c->called;
}

CK_RV crypto_init_with(struct crypto_job *job, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	const uintptr_t words[TAPE_MAX_WORDS] = { job->session, (uintptr_t)mechanism, key };
	return check_call(job->c, crypto_verbs[job->verb].init, words);
}

CK_RV crypto_init(struct crypto_job *job)
{
	return crypto_init_with(job, &job->mechanism, job->key);
}

void crypto_start(struct crypto_job *job)
{
	CK_RV rv = crypto_init(job);
	if (rv != CKR_OK)
		check_skip(job->c, "%s, which worked before, returned %s", crypto_called(job),
		           check_rv_name(rv));
}

/* What follows the input: the output and where its size is; or a signature and its size. */
static uintptr_t size_word(const struct crypto_job *job, CK_ULONG *size)
{
	return job->verb == VERB_VERIFY && size != NULL ? *size : (uintptr_t)size;
}

CK_RV crypto_single(struct crypto_job *job, const void *in, CK_ULONG in_size, void *out,
                    CK_ULONG *size)
{
	const uintptr_t words[TAPE_MAX_WORDS] = { job->session, (uintptr_t)in, in_size,
		                                  (uintptr_t)out, size_word(job, size) };
	return check_call(job->c, crypto_verbs[job->verb].single, words);
}

CK_RV crypto_update(struct crypto_job *job, const void *in, CK_ULONG in_size, void *out,
                    CK_ULONG *size)
{
	const uintptr_t words[TAPE_MAX_WORDS] = { job->session, (uintptr_t)in, in_size,
		                                  (uintptr_t)out, (uintptr_t)size };
	return check_call(job->c, crypto_verbs[job->verb].update, words);
}

CK_RV crypto_final(struct crypto_job *job, void *out, CK_ULONG *size)
{
	const uintptr_t words[TAPE_MAX_WORDS] = { job->session, (uintptr_t)out,
		                                  size_word(job, size) };
	return check_call(job->c, crypto_verbs[job->verb].final, words);
}

/* A step of an operation in parts was refused: by `rule` that is a finding, with 0 a reason to skip. */
static void need_step(struct crypto_job *job, CK_RV rv, unsigned int rule)
{
	struct check *c = job->c;
	if (rule != 0)
		EXPECT(c, rule, rv == CKR_OK, "%s does not work in parts: %s returned %s",
		       job->m->name, crypto_called(job), check_rv_name(rv));
	else if (rv != CKR_OK)
		check_skip(c, "%s does not take such parts: %s returned %s", job->m->name,
		           crypto_called(job), check_rv_name(rv));
}

CK_ULONG crypto_in_parts(struct crypto_job *job, size_t part, CK_BYTE *out, CK_ULONG room,
                         unsigned int rule)
{
	CK_ULONG used = 0;
	crypto_start(job);
	for (CK_ULONG at = 0; at < job->in_size; at += part) {
		CK_ULONG size = room - used;
		CK_ULONG length = job->in_size - at < part ? job->in_size - at : part;
		need_step(job, crypto_update(job, job->in + at, length, out + used, &size), rule);
		if (crypto_streams(job->verb))
			used += size;
		if (used > room)
			check_skip(job->c, "%s says it wrote %lu bytes", crypto_called(job),
			           (unsigned long)used);
	}
	CK_ULONG size = job->verb == VERB_VERIFY ? job->out_size : room - used;
	if (job->verb == VERB_VERIFY)
		memcpy(out, job->out, job->out_size);
	need_step(job, crypto_final(job, out + used, &size), rule);
	return used + size;
}

void crypto_need_parts(struct crypto_job *job)
{
	struct check *c = job->c;
	if (!crypto_has_parts(job))
		check_skip(c, "%s is for single-part operations only", job->m->name);
	struct crypto_job aside = *job;
	aside.session = check_open(c, 0);
	(void)crypto_in_parts(&aside, job->in_size, check_buffer(c, CRYPTO_ROOM), CRYPTO_ROOM, 0);
	(void)c->p11->C_CloseSession(aside.session);
}

/* ---- the oracle -------------------------------------------------------------------------------------- */

static oracle_fn load_oracle(struct check *c)
{
	static oracle_fn oracle;
	if (oracle != NULL)
		return oracle;
	if (c->target->oracle[0] == 0)
		check_skip(c, "p11tape was built without libcrypto: there is nothing to compare "
		              "with");
	void *library = dlopen(c->target->oracle, RTLD_NOW | RTLD_LOCAL);
	void *symbol = library == NULL ? NULL : dlsym(library, "tape_oracle");
	if (symbol == NULL) {
		const char *why = dlerror();
		check_error(c, "the oracle cannot be used: %s", why == NULL ? "" : why);
	}
	memcpy(&oracle, &symbol, sizeof(oracle));
	return oracle;
}

static struct oracle_bytes value_of(struct template *t, CK_ATTRIBUTE_TYPE type)
{
	const CK_ATTRIBUTE *entry = template_find(t, type);
	return entry == NULL ? (struct oracle_bytes){ NULL, 0 }
	                     : (struct oracle_bytes){ entry->pValue, entry->ulValueLen };
}

/* The point without the OCTET STRING around it. */
static struct oracle_bytes point_of(struct template *t, CK_ATTRIBUTE_TYPE type)
{
	struct oracle_bytes point = value_of(t, type);
	return (struct oracle_bytes){ point.bytes + 2, point.size - 2 };
}

static void describe_key(struct crypto_job *job, struct oracle_request *r)
{
	struct template *secret = job->key_values, *public = job->public_values;
	switch ((enum crypto_key_type)job->m->key) {
	case CRYPTO_KEY_NONE:
		break;
	case CRYPTO_KEY_RSA:
		r->key = value_of(secret, CKA_PRIVATE_EXPONENT);
		r->public_key = value_of(public, CKA_MODULUS);
		r->exponent = value_of(public, CKA_PUBLIC_EXPONENT);
		break;
	case CRYPTO_KEY_DSA:
		r->key = value_of(secret, CKA_VALUE);
		r->public_key = value_of(public, CKA_VALUE);
		r->prime = value_of(public, CKA_PRIME);
		r->subprime = value_of(public, CKA_SUBPRIME);
		r->base = value_of(public, CKA_BASE);
		break;
	case CRYPTO_KEY_EC:
	case CRYPTO_KEY_EDWARDS:
		r->key = value_of(secret, CKA_VALUE);
		r->public_key = point_of(public, CKA_EC_POINT);
		break;
	default:
		r->key = value_of(secret, CKA_VALUE);
	}
}

static bool hashes_itself(const struct crypto_mechanism *m)
{
	return m->oracle == ORACLE_EDDSA || (m->traits & CRYPTO_SINGLE) == 0;
}

enum oracle_answer crypto_ask(struct crypto_job *job, enum oracle_act act, struct oracle_bytes in,
                              struct oracle_bytes check, CK_BYTE *out, CK_ULONG *ret_size)
{
	const struct crypto_mechanism *m = job->m;
	bool sealed = (m->traits & CRYPTO_SEALED) != 0;
	oracle_fn oracle = load_oracle(job->c);
	struct oracle_request r = {
		.kind = m->oracle,
		.act = act,
		.signs = job->verb != VERB_ENCRYPT && job->verb != VERB_DECRYPT,
		.padded = (m->traits & CRYPTO_PADDED) != 0,
		.hashes = hashes_itself(m),
		.algorithm = m->algorithm,
		.tag = sealed ? TAG : 0,
		.salt = hashes[find_hash(m->algorithm)].size,
		.in = in,
		.check = check,
		.out = out,
		.out_size = CRYPTO_ROOM,
	};
	if (!job->known)
		check_skip(job->c, "the keys of %s are not known to p11tape", m->name);
	describe_key(job, &r);
	if (m->parameter == CRYPTO_PARAMETER_IV8 || m->parameter == CRYPTO_PARAMETER_IV16 ||
	    m->parameter == CRYPTO_PARAMETER_CTR)
		r.iv = (struct oracle_bytes){ iv, m->parameter == CRYPTO_PARAMETER_IV8 ? 8 : 16 };
	if (sealed) {
		r.iv = (struct oracle_bytes){ iv, NONCE };
		r.aad = (struct oracle_bytes){ aad, sizeof(aad) };
	}
	enum oracle_answer answer = oracle(&r);
	if (answer == ORACLE_UNKNOWN)
		check_skip(job->c, "libcrypto does not know %s", m->name);
	*ret_size = r.out_size;
	if (m->parameter == CRYPTO_PARAMETER_MAC_LENGTH && r.out_size > m->output)
		*ret_size = m->output;
	return answer;
}

/* ---- preparing --------------------------------------------------------------------------------------- */

static void make_message(struct check *c, struct crypto_job *job)
{
	CK_BYTE *message = check_buffer(c, job->m->input);
	for (size_t i = 0; i < job->m->input; i++)
		message[i] = (CK_BYTE)(7 * i + 1);
	/* Less than any modulus. */
	if (job->m->oracle == ORACLE_RSA_RAW)
		message[0] = 0;
	job->message = message;
	job->message_size = job->m->input;
}

/* The verb that makes the input of this one; itself where the message is. */
static enum crypto_verb maker(enum crypto_verb verb)
{
	switch (verb) {
	case VERB_DECRYPT:
		return VERB_ENCRYPT;
	case VERB_VERIFY:
		return VERB_SIGN;
	case VERB_VERIFY_RECOVER:
		return VERB_SIGN_RECOVER;
	default:
		return verb;
	}
}

static enum crypto_verb undoer(enum crypto_verb verb)
{
	switch (verb) {
	case VERB_ENCRYPT:
		return VERB_DECRYPT;
	case VERB_SIGN:
		return VERB_VERIFY;
	case VERB_SIGN_RECOVER:
		return VERB_VERIFY_RECOVER;
	default:
		return verb;
	}
}

/* A single-part run of `verb` with `key`, in `session`. */
static CK_RV run_once(struct crypto_job *job, enum crypto_verb verb, CK_OBJECT_HANDLE key,
                      CK_SESSION_HANDLE session, const CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                      CK_ULONG *size)
{
	struct crypto_job other = *job;
	other.verb = verb;
	other.session = session;
	CK_RV rv = crypto_init_with(&other, &job->mechanism, key);
	if (rv == CKR_OK)
		rv = crypto_single(&other, in, in_size, out, size);
	return rv;
}

/* What is to be decrypted or verified: made by the module where it can, else by the oracle. */
static void make_input(struct crypto_job *job, CK_SESSION_HANDLE session)
{
	struct check *c = job->c;
	enum crypto_verb verb = maker(job->verb);
	struct oracle_bytes message = { job->message, job->message_size };
	CK_BYTE *made = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = CRYPTO_ROOM;
	bool done = false;
	if (crypto_is_listed(c, job->m, verb)) {
		CK_RV rv = run_once(job, verb, job->other, session, job->message, job->message_size,
		                    made, &size);
		done = rv == CKR_OK && size <= CRYPTO_ROOM;
	}
	if (!done) {
		struct crypto_job other = *job;
		other.verb = verb;
		if (crypto_ask(&other, ORACLE_MAKE, message, (struct oracle_bytes){ NULL, 0 }, made,
		               &size) != ORACLE_DONE)
			check_skip(c, "there is nothing to give %s", crypto_verbs[job->verb].name);
	}
	if (job->verb == VERB_VERIFY) {
		job->in = job->message;
		job->in_size = job->message_size;
		job->out = copy(c, made, size);
		job->out_size = size;
	} else {
		job->in = copy(c, made, size);
		job->in_size = size;
		job->out = job->message;
		job->out_size = job->message_size;
	}
}

void crypto_prepare(struct check *c, struct crypto_job *job, const struct crypto_mechanism *m,
                    enum crypto_verb verb)
{
	memset(job, 0, sizeof(*job));
	job->c = c;
	job->m = m;
	job->verb = verb;
	job->session = c->session;
	if (!crypto_is_listed(c, m, verb))
		check_skip(c, "the token does not list %s for %s", m->name,
		           crypto_verbs[verb].name);
	make_keys(c, job);
	make_message(c, job);
	job->in = job->message;
	job->in_size = job->message_size;
	set_parameter(c, job);
}

static void begin(struct check *c, struct crypto_job *job, const struct crypto_mechanism *m,
                  enum crypto_verb verb)
{
	crypto_prepare(c, job, m, verb);
	CK_SESSION_HANDLE aside = check_open(c, 0);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = CRYPTO_ROOM;
	if (maker(verb) != verb)
		make_input(job, aside);
	if (verb == VERB_VERIFY) {
		size = job->out_size;
		memcpy(out, job->out, size);
	}
	CK_RV rv = run_once(job, verb, job->key, aside, job->in, job->in_size, out, &size);
	if (rv != CKR_OK)
		check_skip(c, "%s does not work: %s returned %s (works/%s-%s)", m->name,
		           crypto_called(job), check_rv_name(rv), crypto_verbs[verb].name, m->name);
	if (size > CRYPTO_ROOM)
		check_skip(c, "%s says it wrote %lu bytes into %d", crypto_called(job),
		           (unsigned long)size, CRYPTO_ROOM);
	if (maker(verb) == verb) {
		job->out = copy(c, out, size);
		job->out_size = size;
	} else if (verb != VERB_VERIFY &&
	           (size != job->out_size || memcmp(out, job->out, size) != 0)) {
		check_skip(c, "%s does not give the message back (known-answer/%s-%s)",
		           crypto_called(job), crypto_verbs[verb].name, m->name);
	}
	(void)c->p11->C_CloseSession(aside);
}

void crypto_begin_with(struct check *c, struct crypto_job *job, const struct crypto_mechanism *m,
                       enum crypto_verb verb)
{
	begin(c, job, m, verb);
	/* What is wrong already would be laid to whatever the check tries. */
	if (!crypto_is_right(job, job->out, job->out_size))
		check_skip(c, "what %s gives is wrong (known-answer/%s-%s)",
		           crypto_verbs[verb].name, crypto_verbs[verb].name, m->name);
}

void crypto_begin_unjudged(struct check *c, struct crypto_job *job)
{
	begin(c, job, &crypto_mechanisms[c->row->a], (enum crypto_verb)c->row->b);
}

void crypto_begin(struct check *c, struct crypto_job *job)
{
	crypto_begin_with(c, job, &crypto_mechanisms[c->row->a], (enum crypto_verb)c->row->b);
}

void crypto_begin_made(struct check *c, struct crypto_job *job, enum crypto_verb verb,
                       CK_BYTE *made, CK_ULONG *ret_size)
{
	const struct oracle_bytes nothing = { NULL, 0 };
	crypto_prepare(c, job, &crypto_mechanisms[c->row->a], verb);
	CK_RV rv = crypto_init(job);
	if (rv != CKR_OK)
		check_skip(c, "%s does not work: %s returned %s", job->m->name, crypto_called(job),
		           check_rv_name(rv));
	(void)crypto_ask(job, ORACLE_MAKE, (struct oracle_bytes){ job->message, job->message_size },
	                 nothing, made, ret_size);
}

/* What most tokens have and what is quick, by the verb. */
static const CK_MECHANISM_TYPE preferred[VERB_COUNT][6] = {
	[VERB_DIGEST] = { CKM_SHA256, CKM_SHA_1, CKM_SHA512, CKM_SHA384, CKM_MD5 },
	[VERB_ENCRYPT] = { CKM_AES_CBC_PAD, CKM_AES_CBC, CKM_AES_ECB, CKM_AES_CTR, CKM_DES3_CBC_PAD,
	                   CKM_DES3_CBC },
	[VERB_DECRYPT] = { CKM_AES_CBC_PAD, CKM_AES_CBC, CKM_AES_ECB, CKM_AES_CTR, CKM_DES3_CBC_PAD,
	                   CKM_DES3_CBC },
	[VERB_SIGN] = { CKM_SHA256_HMAC, CKM_AES_CMAC, CKM_SHA256_RSA_PKCS, CKM_ECDSA_SHA256,
	                CKM_SHA_1_HMAC },
	[VERB_VERIFY] = { CKM_SHA256_HMAC, CKM_AES_CMAC, CKM_SHA256_RSA_PKCS, CKM_ECDSA_SHA256,
	                  CKM_SHA_1_HMAC },
	[VERB_SIGN_RECOVER] = { CKM_RSA_PKCS, CKM_RSA_X_509 },
	[VERB_VERIFY_RECOVER] = { CKM_RSA_PKCS, CKM_RSA_X_509 },
};
static const CK_MECHANISM_TYPE single_only[VERB_COUNT][3] = {
	[VERB_ENCRYPT] = { CKM_RSA_PKCS },
	[VERB_DECRYPT] = { CKM_RSA_PKCS },
	[VERB_SIGN] = { CKM_RSA_PKCS, CKM_ECDSA, CKM_EDDSA },
	[VERB_VERIFY] = { CKM_RSA_PKCS, CKM_ECDSA, CKM_EDDSA },
};

void crypto_begin_any(struct check *c, struct crypto_job *job, enum crypto_verb verb, bool multi)
{
	for (size_t i = 0; i < 9; i++) {
		CK_MECHANISM_TYPE type = i < 6 ? preferred[verb][i] : single_only[verb][i - 6];
		const struct crypto_mechanism *m = crypto_find(type);
		if ((i >= 6 && multi) || m == NULL || !crypto_can(m, verb) ||
		    !crypto_is_listed(c, m, verb))
			continue;
		crypto_begin_with(c, job, m, verb);
		return;
	}
	check_skip(c, "no mechanism of the token's is known for %s%s", crypto_verbs[verb].name,
	           multi ? " in parts" : "");
}

/* ---- judging ----------------------------------------------------------------------------------------- */

bool crypto_is_right(struct crypto_job *job, const void *out, CK_ULONG size)
{
	struct check *c = job->c;
	enum crypto_verb verb = undoer(job->verb);
	if (verb == job->verb || (job->m->traits & CRYPTO_SAME) != 0)
		return size == job->out_size && memcmp(out, job->out, size) == 0;
	if (!crypto_is_listed(c, job->m, verb))
		return size == job->out_size;
	CK_SESSION_HANDLE aside = check_open(c, 0);
	CK_BYTE *back = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG back_size = CRYPTO_ROOM;
	bool signs = verb == VERB_VERIFY;
	if (signs)
		memcpy(back, out, size);
	if (signs)
		back_size = size;
	CK_RV rv = run_once(job, verb, job->other, aside, signs ? job->in : out,
	                    signs ? job->in_size : size, back, &back_size);
	(void)c->p11->C_CloseSession(aside);
	return rv == CKR_OK &&
	       (signs || (back_size == job->in_size && memcmp(back, job->in, back_size) == 0));
}

CK_RV crypto_good_call(struct crypto_job *job, CK_BYTE **ret_out, CK_ULONG *ret_size)
{
	*ret_out = check_buffer(job->c, CRYPTO_ROOM);
	*ret_size = CRYPTO_ROOM;
	if (job->verb == VERB_VERIFY) {
		memcpy(*ret_out, job->out, job->out_size);
		*ret_size = job->out_size;
	}
	return crypto_single(job, job->in, job->in_size, *ret_out, ret_size);
}

void crypto_expect_ended(struct crypto_job *job, unsigned int rule, const char *after)
{
	struct check *c = job->c;
	CK_BYTE *out;
	CK_ULONG size;
	CK_RV rv = crypto_good_call(job, &out, &size);
	EXPECT(c, rule, rv == CKR_OPERATION_NOT_INITIALIZED,
	       "after %s the operation is still there: %s returned %s, expected "
	       "CKR_OPERATION_NOT_INITIALIZED",
	       after, crypto_called(job), check_rv_name(rv));
}

void crypto_expect_active(struct crypto_job *job, unsigned int rule, const char *after)
{
	struct check *c = job->c;
	CK_BYTE *out;
	CK_ULONG size;
	CK_RV rv = crypto_good_call(job, &out, &size);
	EXPECT(c, rule, rv == CKR_OK,
	       "after %s %s with the same input returned %s, expected CKR_OK", after,
	       crypto_called(job), check_rv_name(rv));
	EXPECT(c, rule, job->verb == VERB_VERIFY || crypto_is_right(job, out, size),
	       "after %s %s with the same input gave something else", after, crypto_called(job));
}

void crypto_expect_bad_parameter(struct crypto_job *job, CK_RV rv, bool null)
{
	struct check *c = job->c;
	/* The one is "a generic error code" for any argument, the other the one for this (§5.1.6). */
	if (rv == CKR_ARGUMENTS_BAD && null)
		rv = CKR_MECHANISM_PARAM_INVALID;
	if (rv == CKR_ARGUMENTS_BAD) {
		DEVIATION(c, 178,
		          "%s returned CKR_ARGUMENTS_BAD, expected CKR_MECHANISM_PARAM_INVALID",
		          crypto_called(job));
		return;
	}
	EXPECT_CODE(c, 178, crypto_called(job), rv, CKR_MECHANISM_PARAM_INVALID);
}

/* ---- that it works ----------------------------------------------------------------------------------- */

/* What a token may demand of keys and parameters beyond what the mechanism does. */
static bool is_restriction(CK_RV rv)
{
	return rv == CKR_MECHANISM_PARAM_INVALID || rv == CKR_KEY_SIZE_RANGE ||
	       rv == CKR_KEY_TYPE_INCONSISTENT || rv == CKR_KEY_FUNCTION_NOT_PERMITTED ||
	       rv == CKR_USER_NOT_LOGGED_IN || rv == CKR_CURVE_NOT_SUPPORTED;
}

void crypto_works(struct check *c)
{
	struct crypto_job job;
	CK_BYTE *out;
	CK_ULONG size;
	crypto_prepare(c, &job, &crypto_mechanisms[c->row->a], (enum crypto_verb)c->row->b);
	if (maker(job.verb) != job.verb)
		make_input(&job, check_open(c, 0));
	CK_RV rv = crypto_init(&job);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", crypto_called(&job));
	if (is_restriction(rv))
		check_skip(c, "%s takes other keys or parameters: %s returned %s", job.m->name,
		           crypto_called(&job), check_rv_name(rv));
	EXPECT(c, 350, rv == CKR_OK, "%s is listed for it, and %s returned %s", job.m->name,
	       crypto_called(&job), check_rv_name(rv));
	rv = crypto_good_call(&job, &out, &size);
	EXPECT(c, 350, rv == CKR_OK, "%s is listed for it, and %s returned %s", job.m->name,
	       crypto_called(&job), check_rv_name(rv));
}

/* ---- lists ------------------------------------------------------------------------------------------- */

void crypto_add(struct check_list *list, struct check_row row, enum crypto_verb verb,
                const char *family, bool (*takes)(const struct crypto_mechanism *m))
{
	row.needs |= NEED_USER;
	row.b = verb;
	for (size_t i = 0; i < crypto_mechanism_count; i++) {
		const struct crypto_mechanism *m = &crypto_mechanisms[i];
		if (!crypto_can(m, verb) || (takes != NULL && !takes(m)))
			continue;
		row.a = i;
		row.mechanism = m->type;
		row.mechanism_flags = crypto_verbs[verb].flag;
		check_add(list, row, "%s/%s-%s", family, crypto_verbs[verb].name, m->name);
	}
}
