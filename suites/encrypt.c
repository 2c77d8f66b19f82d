/* SPDX-License-Identifier: MIT
 *
 * Encryption and decryption (PKCS#11 3.1 §5.8, §5.10): what holds for every mechanism, known answers both
 * ways, lengths, padding and tags that are wrong.
 */
#include <string.h>

#include "suites/crypto.h"

static const struct oracle_bytes nothing = { NULL, 0 };

/* ---- known answers ----------------------------------------------------------------------------------- */

static void encrypt_known(struct check *c)
{
	struct crypto_job job;
	CK_BYTE back[CRYPTO_ROOM];
	CK_ULONG size;
	crypto_begin_unjudged(c, &job);
	enum oracle_answer answer =
		crypto_ask(&job, ORACLE_UNMAKE, (struct oracle_bytes){ job.out, job.out_size },
	                   nothing, back, &size);
	EXPECT(c, 351, answer == ORACLE_DONE, "libcrypto cannot decrypt what %s gave",
	       crypto_called(&job));
	EXPECT(c, 351, size == job.message_size && memcmp(back, job.message, size) == 0,
	       "libcrypto decrypts what %s gave to something else", crypto_called(&job));
}

static void decrypt_known(struct check *c)
{
	struct crypto_job job;
	CK_BYTE made[CRYPTO_ROOM];
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG made_size, size = CRYPTO_ROOM;
	crypto_begin_made(c, &job, VERB_DECRYPT, made, &made_size);
	CK_RV rv = crypto_single(&job, made, made_size, out, &size);
	EXPECT(c, 351, rv == CKR_OK, "%s of what libcrypto encrypted returned %s",
	       crypto_called(&job), check_rv_name(rv));
	EXPECT(c, 351, size == job.message_size && memcmp(out, job.message, size) == 0,
	       "%s of what libcrypto encrypted gave something else", crypto_called(&job));
}

/* A message of no bytes, where that can be encrypted. */
static void encrypt_empty(struct check *c)
{
	struct crypto_job job;
	CK_BYTE expected[CRYPTO_ROOM];
	CK_ULONG expected_size, size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	if (job.m->parameter == CRYPTO_PARAMETER_CCM)
		check_skip(c, "the parameter of %s says how long the message is", job.m->name);
	if (job.m->output != 0)
		check_skip(c, "%s is another matter", job.m->name);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, 0, out, &size);
	bool demands = (job.m->traits & (CRYPTO_PADDED | CRYPTO_SEALED)) == 0;
	if (demands && (rv == CKR_DATA_LEN_RANGE || rv == CKR_ARGUMENTS_BAD)) {
		check_note(c, "%s of nothing returned %s", crypto_called(&job), check_rv_name(rv));
		EXPECT(c, 313, check_untouched(out, 0, CRYPTO_ROOM),
		       "%s of nothing failed and wrote something", crypto_called(&job));
		crypto_expect_ended(&job, 165, check_rv_name(rv));
		return;
	}
	EXPECT_CODE(c, 351, crypto_called(&job), rv, CKR_OK);
	(void)crypto_ask(&job, ORACLE_MAKE, nothing, nothing, expected, &expected_size);
	EXPECT(c, 351, size == expected_size && memcmp(out, expected, size) == 0,
	       "%s of nothing gave %lu bytes, not what libcrypto gives (%lu)", crypto_called(&job),
	       (unsigned long)size, (unsigned long)expected_size);
}

/* ---- lengths ----------------------------------------------------------------------------------------- */

/* Zeros, of a length that the mechanism cannot take: skips where it takes all. */
static CK_BYTE *bad_length(struct check *c, const struct crypto_job *job, CK_ULONG *ret_size)
{
	const struct crypto_mechanism *m = job->m;
	bool decrypts = job->verb == VERB_DECRYPT;
	if (m->output != 0)
		*ret_size = decrypts ? m->output - 1u : m->longest + 1u;
	else if (m->block > 1 && (decrypts || (m->traits & CRYPTO_PADDED) == 0))
		*ret_size = m->block - 1u;
	else if (decrypts && (m->traits & CRYPTO_SEALED) != 0)
		*ret_size = 5;
	else
		check_skip(c, "%s takes any length", m->name);
	return memset(check_buffer(c, *ret_size), 0, *ret_size);
}

static void expect_length_code(struct crypto_job *job, CK_RV rv)
{
	struct check *c = job->c;
	if (job->m->block > 1)
		EXPECT(c, 289, rv != CKR_OK, "%s takes a part of a block", crypto_called(job));
	if (job->verb == VERB_ENCRYPT) {
		EXPECT_CODE(c, 174, crypto_called(job), rv, CKR_DATA_LEN_RANGE);
		return;
	}
	/* §5.1.6 ranks the one above the other, §5.10.2 permits either. */
	EXPECT_CODE(c, 175, crypto_called(job), rv, CKR_ENCRYPTED_DATA_LEN_RANGE,
	            CKR_ENCRYPTED_DATA_INVALID);
	if (rv == CKR_ENCRYPTED_DATA_INVALID)
		check_note(c, "%s says CKR_ENCRYPTED_DATA_INVALID of a bad length",
		           crypto_called(job));
}

static void length(struct check *c)
{
	struct crypto_job job;
	CK_ULONG in_size, size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	CK_BYTE *in = bad_length(c, &job, &in_size);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, in, in_size, check_buffer(c, CRYPTO_ROOM), &size);
	expect_length_code(&job, rv);
	crypto_expect_ended(&job, 165, "input of a bad length");
}

static void final_length(struct check *c)
{
	struct crypto_job job;
	CK_ULONG in_size, size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *in = bad_length(c, &job, &in_size);
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, in, in_size, check_buffer(c, CRYPTO_ROOM), &size);
	if (rv == CKR_OK) {
		size = CRYPTO_ROOM;
		rv = crypto_final(&job, check_buffer(c, CRYPTO_ROOM), &size);
	}
	expect_length_code(&job, rv);
	crypto_expect_ended(&job, 165, "input of a bad length");
}

/* Both too long and worth more than the modulus. */
static void length_before_content(struct check *c)
{
	struct crypto_job job;
	CK_ULONG size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	CK_ULONG in_size = job.verb == VERB_ENCRYPT ? job.m->longest + 1u : job.m->output + 1u;
	CK_BYTE *in = memset(check_buffer(c, in_size), 0xff, in_size);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, in, in_size, check_buffer(c, CRYPTO_ROOM), &size);
	if (job.verb == VERB_ENCRYPT) {
		EXPECT_CODE(c, 17, crypto_called(&job), rv, CKR_DATA_LEN_RANGE);
		return;
	}
	EXPECT_CODE(c, 18, crypto_called(&job), rv, CKR_ENCRYPTED_DATA_LEN_RANGE,
	            CKR_ENCRYPTED_DATA_INVALID);
	if (rv == CKR_ENCRYPTED_DATA_INVALID)
		check_note(c, "%s says CKR_ENCRYPTED_DATA_INVALID of a bad length",
		           crypto_called(&job));
}

/* ECB and CBC give nothing at the end; CBC_PAD gives a block at most. */
static void block_sizes(struct check *c)
{
	struct crypto_job job;
	CK_ULONG size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	bool padded = (job.m->traits & CRYPTO_PADDED) != 0;
	CK_ULONG block = job.m->block;
	CK_ULONG expected = padded ? job.message_size / block * block + block : job.message_size;
	if (job.verb == VERB_ENCRYPT)
		EXPECT(c, 289, job.out_size == expected, "%s makes %lu bytes of %lu, expected %lu",
		       job.m->name, (unsigned long)job.out_size, (unsigned long)job.message_size,
		       (unsigned long)expected);
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, job.in, job.in_size, out, &size);
	if (rv != CKR_OK)
		check_skip(c, "%s returned %s", crypto_called(&job), check_rv_name(rv));
	size = CRYPTO_ROOM;
	rv = crypto_final(&job, out, &size);
	EXPECT_CODE(c, 289, crypto_called(&job), rv, CKR_OK);
	EXPECT(c, 289, size <= (padded ? block : 0), "%s gave %lu bytes", crypto_called(&job),
	       (unsigned long)size);
}

/* ---- what was altered -------------------------------------------------------------------------------- */

static void damaged(struct check *c)
{
	struct crypto_job job;
	CK_ULONG size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	CK_BYTE *in = memcpy(check_buffer(c, job.in_size), job.in, job.in_size);
	/* Of CBC, the bit of the padding's last byte that makes it more than a block. */
	bool padded = (job.m->traits & CRYPTO_PADDED) != 0;
	size_t at =
		padded ? job.in_size - job.m->block - 1u : (c->row->d == 0 ? 0 : job.in_size - 1);
	in[at] ^= 0x80;
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, in, job.in_size, check_buffer(c, CRYPTO_ROOM), &size);
	EXPECT(c, 351, rv != CKR_OK, "%s of an altered ciphertext returned CKR_OK",
	       crypto_called(&job));
	if (rv == CKR_ENCRYPTED_DATA_LEN_RANGE || rv == CKR_AEAD_DECRYPT_FAILED)
		check_note(c, "%s of an altered ciphertext returned %s", crypto_called(&job),
		           check_rv_name(rv));
	else if (rv != CKR_ENCRYPTED_DATA_INVALID)
		DEVIATION(c, 351,
		          "%s of an altered ciphertext returned %s, expected "
		          "CKR_ENCRYPTED_DATA_INVALID",
		          crypto_called(&job), check_rv_name(rv));
	crypto_expect_ended(&job, 165, "an altered ciphertext");
}

static void damaged_parts(struct check *c)
{
	struct crypto_job job;
	CK_ULONG size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	crypto_need_parts(&job);
	CK_BYTE *in = memcpy(check_buffer(c, job.in_size), job.in, job.in_size);
	bool padded = (job.m->traits & CRYPTO_PADDED) != 0;
	in[padded ? job.in_size - job.m->block - 1u : job.in_size - 1] ^= 0x80;
	crypto_start(&job);
	CK_RV rv = crypto_update(&job, in, job.in_size, check_buffer(c, CRYPTO_ROOM), &size);
	if (rv != CKR_OK)
		check_skip(c, "%s returned %s", crypto_called(&job), check_rv_name(rv));
	size = CRYPTO_ROOM;
	rv = crypto_final(&job, check_buffer(c, CRYPTO_ROOM), &size);
	EXPECT(c, 351, rv != CKR_OK, "%s of an altered ciphertext returned CKR_OK",
	       crypto_called(&job));
	crypto_expect_ended(&job, 165, "an altered ciphertext");
}

/* Another AAD than at encryption. */
static void other_aad(struct check *c)
{
	struct crypto_job job;
	CK_ULONG size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	switch ((enum crypto_parameter)job.m->parameter) {
	case CRYPTO_PARAMETER_GCM:
		((CK_GCM_PARAMS *)job.mechanism.pParameter)->ulAADLen--;
		break;
	case CRYPTO_PARAMETER_CCM:
		((CK_CCM_PARAMS *)job.mechanism.pParameter)->ulAADLen--;
		break;
	default:
		((CK_SALSA20_CHACHA20_POLY1305_PARAMS *)job.mechanism.pParameter)->ulAADLen--;
	}
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, job.in, job.in_size, check_buffer(c, CRYPTO_ROOM), &size);
	EXPECT(c, 351, rv != CKR_OK, "%s with other additional data returned CKR_OK",
	       crypto_called(&job));
	crypto_expect_ended(&job, 165, "other additional data");
}

/* ---- CKM_AES_CTR ------------------------------------------------------------------------------------- */

static void begin_ctr(struct check *c, struct crypto_job *job, CK_ULONG bits)
{
	crypto_begin_with(c, job, crypto_find(CKM_AES_CTR), (enum crypto_verb)c->row->b);
	((CK_AES_CTR_PARAMS *)job->mechanism.pParameter)->ulCounterBits = bits;
}

static void ctr_bits(struct check *c)
{
	struct crypto_job job;
	begin_ctr(c, &job, c->row->d);
	CK_RV rv = crypto_init(&job);
	EXPECT_CODE(c, 288, crypto_called(&job), rv, CKR_MECHANISM_PARAM_INVALID);
}

static void ctr_overflow(struct check *c)
{
	struct crypto_job job;
	CK_ULONG size = CRYPTO_ROOM;
	begin_ctr(c, &job, 8);
	((CK_AES_CTR_PARAMS *)job.mechanism.pParameter)->cb[15] = 0xfe;
	CK_RV rv = crypto_init(&job);
	if (rv != CKR_OK)
		check_skip(c, "%s with a counter of 8 bits returned %s", crypto_called(&job),
		           check_rv_name(rv));
	/* 61 bytes are four blocks, of which two can be counted. */
	rv = crypto_single(&job, job.in, job.in_size, check_buffer(c, CRYPTO_ROOM), &size);
	/* The same said of a ciphertext. */
	if (rv == CKR_ENCRYPTED_DATA_LEN_RANGE && job.verb == VERB_DECRYPT)
		rv = CKR_DATA_LEN_RANGE;
	EXPECT_CODE(c, 288, crypto_called(&job), rv, CKR_DATA_LEN_RANGE);
}

/* ---- bad contents of parameters ---------------------------------------------------------------------- */

enum content { TAG_BITS, IV_NULL, NONCE_SHORT, MAC_ODD, HASH_UNKNOWN, MGF_UNKNOWN };

static void bad_content(struct check *c)
{
	struct crypto_job job;
	crypto_begin(c, &job);
	void *parameter = job.mechanism.pParameter;
	switch ((enum content)c->row->d) {
	case TAG_BITS:
		((CK_GCM_PARAMS *)parameter)->ulTagBits = 129;
		break;
	case IV_NULL:
		((CK_GCM_PARAMS *)parameter)->pIv = NULL;
		break;
	case NONCE_SHORT:
		((CK_CCM_PARAMS *)parameter)->ulNonceLen = 6;
		break;
	case MAC_ODD:
		((CK_CCM_PARAMS *)parameter)->ulMACLen = 3;
		break;
	case HASH_UNKNOWN:
		((CK_RSA_PKCS_OAEP_PARAMS *)parameter)->hashAlg = CKM_AES_ECB;
		break;
	case MGF_UNKNOWN:
		((CK_RSA_PKCS_OAEP_PARAMS *)parameter)->mgf = 0x77;
		break;
	}
	CK_RV rv = crypto_init(&job);
	crypto_expect_bad_parameter(&job, rv, c->row->d == IV_NULL);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static bool is_block(const struct crypto_mechanism *m)
{
	return m->block > 1;
}

static bool is_checked(const struct crypto_mechanism *m)
{
	return (m->traits & (CRYPTO_PADDED | CRYPTO_SEALED)) != 0;
}

static bool is_sealed(const struct crypto_mechanism *m)
{
	return (m->traits & CRYPTO_SEALED) != 0;
}

static bool is_rsa(const struct crypto_mechanism *m)
{
	return m->key == CRYPTO_KEY_RSA;
}

static bool takes_some_lengths(const struct crypto_mechanism *m)
{
	return m->output != 0 || m->block > 1 || is_sealed(m);
}

static bool is_gcm(const struct crypto_mechanism *m)
{
	return m->parameter == CRYPTO_PARAMETER_GCM;
}

static bool is_ccm(const struct crypto_mechanism *m)
{
	return m->parameter == CRYPTO_PARAMETER_CCM;
}

static bool is_oaep(const struct crypto_mechanism *m)
{
	return m->parameter == CRYPTO_PARAMETER_OAEP;
}

static void add_contents(struct check_list *list, enum crypto_verb verb)
{
	static const struct {
		const char *family;
		bool (*takes)(const struct crypto_mechanism *m);
		enum content content;
	} contents[] = {
		{ "parameter-tag", is_gcm, TAG_BITS },
		{ "parameter-iv-null", is_gcm, IV_NULL },
		{ "parameter-nonce", is_ccm, NONCE_SHORT },
		{ "parameter-mac", is_ccm, MAC_ODD },
		{ "parameter-hash", is_oaep, HASH_UNKNOWN },
		{ "parameter-mgf", is_oaep, MGF_UNKNOWN },
	};
	struct check_row row = CHECK(bad_content, NEED_USER,
	                             "a parameter with contents that cannot be is refused", 178);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(contents); i++) {
		row.d = contents[i].content;
		crypto_add(list, row, verb, contents[i].family, contents[i].takes);
	}
}

static void add_lengths(struct check_list *list, enum crypto_verb verb)
{
	bool encrypts = verb == VERB_ENCRYPT;
	struct check_row row =
		CHECK(length, NEED_USER, "a length that the mechanism cannot take is refused", 174,
	              165, 289);
	row.rules[0] = encrypts ? 174 : 175;
	crypto_add(list, row, verb, "length", takes_some_lengths);
	row.run = final_length;
	crypto_add(list, row, verb, "final-length", takes_some_lengths);
	row = CHECK(length_before_content, NEED_USER, "a bad length is said before bad contents",
	            17);
	row.rules[0] = encrypts ? 17 : 18;
	crypto_add(list, row, verb, "length-before-content", is_rsa);
	crypto_add(list,
	           CHECK(block_sizes, NEED_USER, "what block ciphers give out at the end", 289),
	           verb, "block-sizes", is_block);
}

static void add_ctr(struct check_list *list, enum crypto_verb verb)
{
	static const CK_ULONG bits[] = { 0, 129, 0xffffffff };
	struct check_row row = CHECK(ctr_bits, NEED_USER, "a counter has 1 to 128 bits", 288);
	row.b = verb;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(bits); i++) {
		row.d = bits[i];
		check_add(list, row, "counter-bits/%s-%lu", crypto_verbs[verb].name, bits[i]);
	}
	row = CHECK(ctr_overflow, NEED_USER, "a counter that runs out is refused", 288);
	row.b = verb;
	check_add(list, row, "counter-overflow/%s", crypto_verbs[verb].name);
}

void suite_encrypt(struct check_list *list)
{
	for (enum crypto_verb verb = VERB_ENCRYPT; verb <= VERB_DECRYPT; verb++) {
		crypto_add_families(list, verb);
		add_lengths(list, verb);
		add_contents(list, verb);
		add_ctr(list, verb);
	}
	crypto_add(list,
	           CHECK(encrypt_known, NEED_USER, "libcrypto decrypts what is encrypted", 351),
	           VERB_ENCRYPT, "known-answer", NULL);
	crypto_add(list,
	           CHECK(decrypt_known, NEED_USER, "what libcrypto encrypts is decrypted", 351),
	           VERB_DECRYPT, "known-answer", NULL);
	crypto_add(list, CHECK(encrypt_empty, NEED_USER, "a message of no bytes", 351, 165, 313),
	           VERB_ENCRYPT, "empty", NULL);
	struct check_row row =
		CHECK(damaged, NEED_USER, "what was altered is not decrypted", 351, 165);
	crypto_add(list, row, VERB_DECRYPT, "damaged", is_checked);
	row.d = 1;
	crypto_add(list, row, VERB_DECRYPT, "damaged-tag", is_sealed);
	crypto_add(list,
	           CHECK(damaged_parts, NEED_USER, "what was altered is not decrypted in parts",
	                 351, 165),
	           VERB_DECRYPT, "damaged-parts", is_checked);
	crypto_add(list,
	           CHECK(other_aad, NEED_USER, "other additional data is found out", 351, 165),
	           VERB_DECRYPT, "other-aad", is_sealed);
}
