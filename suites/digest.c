/* SPDX-License-Identifier: MIT
 *
 * Digests (PKCS#11 3.1 §5.12): what holds for every mechanism, known answers, C_DigestKey.
 */
#include <string.h>

#include "suites/crypto.h"

/* ---- known answers ----------------------------------------------------------------------------------- */

/* The row's mechanism over `size` bytes of a pattern, against the oracle. */
static void compare(struct check *c, size_t size)
{
	struct crypto_job job;
	CK_BYTE expected[CRYPTO_ROOM];
	CK_ULONG expected_size, got = CRYPTO_ROOM;
	crypto_begin(c, &job);
	CK_BYTE *message = check_buffer(c, size);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	for (size_t i = 0; i < size; i++)
		message[i] = (CK_BYTE)(i % 251);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, message, size, out, &got);
	EXPECT(c, 351, rv == CKR_OK, "%s of %zu bytes returned %s", crypto_called(&job), size,
	       check_rv_name(rv));
	(void)crypto_ask(&job, ORACLE_MAKE, (struct oracle_bytes){ message, size },
	                 (struct oracle_bytes){ NULL, 0 }, expected, &expected_size);
	EXPECT(c, 351, got == expected_size && memcmp(out, expected, got) == 0,
	       "%s of %zu bytes is not what libcrypto says", job.m->name, size);
}

static void known_answer(struct check *c)
{
	/* Around the ends of blocks. */
	static const size_t sizes[] = { 1, 55, 56, 63, 64, 65, 111, 112, 127, 128, 129, 1000 };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(sizes); i++)
		compare(c, sizes[i]);
}

static void empty(struct check *c)
{
	compare(c, 0);
}

static void output_size(struct check *c)
{
	struct crypto_job job;
	crypto_begin_unjudged(c, &job);
	EXPECT(c, 351, job.out_size == job.m->output, "%s has %lu bytes, expected %u", job.m->name,
	       (unsigned long)job.out_size, job.m->output);
}

/* ---- C_DigestKey ------------------------------------------------------------------------------------- */

/* Digest the key, between two parts, or skip. */
static void digest_key(struct crypto_job *job, CK_OBJECT_HANDLE key, const char *what)
{
	struct check *c = job->c;
	CK_RV rv = c->p11->C_DigestKey(c->session, key);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_DigestKey is not supported");
	if (rv == CKR_KEY_INDIGESTIBLE)
		check_skip(c, "C_DigestKey does not take %s: CKR_KEY_INDIGESTIBLE", what);
	EXPECT_CODE(c, 179, "C_DigestKey", rv, CKR_OK);
}

static void key(struct check *c)
{
	struct crypto_job job;
	struct template t;
	CK_BYTE all[CRYPTO_ROOM];
	CK_ULONG size = CRYPTO_ROOM;
	enum object_kind kind = (enum object_kind)c->row->d;
	crypto_begin(c, &job);
	object_template(c, &t, kind);
	const CK_ATTRIBUTE *value = template_find(&t, CKA_VALUE);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	/* message, key, message */
	memcpy(all, job.in, job.in_size);
	memcpy(all + job.in_size, value->pValue, value->ulValueLen);
	memcpy(all + job.in_size + value->ulValueLen, job.in, job.in_size);
	CK_ULONG all_size = 2 * job.in_size + value->ulValueLen;
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM), *expected = check_buffer(c, CRYPTO_ROOM);
	crypto_start(&job);
	NEED_OK(c, c->p11->C_DigestUpdate(c->session, (CK_BYTE_PTR)(uintptr_t)job.in, job.in_size));
	digest_key(&job, object, object_name(kind));
	EXPECT_RV(c, 179,
	          c->p11->C_DigestUpdate(c->session, (CK_BYTE_PTR)(uintptr_t)job.in, job.in_size),
	          CKR_OK);
	EXPECT_RV(c, 179, c->p11->C_DigestFinal(c->session, out, &size), CKR_OK);
	CK_ULONG expected_size = CRYPTO_ROOM;
	crypto_start(&job);
	NEED_OK(c, c->p11->C_Digest(c->session, all, all_size, expected, &expected_size));
	EXPECT(c, 179, size == expected_size && memcmp(out, expected, size) == 0,
	       "with C_DigestKey the digest is not that of the key's value");
}

/* Directly after Init, and to the end. */
static void key_alone(struct check *c)
{
	struct crypto_job job;
	struct template t;
	CK_ULONG size = CRYPTO_ROOM, expected_size = CRYPTO_ROOM;
	crypto_begin(c, &job);
	object_template(c, &t, OBJECT_SECRET);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	CK_ATTRIBUTE *value = template_find(&t, CKA_VALUE);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM), *expected = check_buffer(c, CRYPTO_ROOM);
	crypto_start(&job);
	digest_key(&job, object, "a generic secret");
	EXPECT_RV(c, 179, c->p11->C_DigestFinal(c->session, out, &size), CKR_OK);
	crypto_start(&job);
	NEED_OK(c, c->p11->C_Digest(c->session, value->pValue, value->ulValueLen, expected,
	                            &expected_size));
	EXPECT(c, 179, size == expected_size && memcmp(out, expected, size) == 0,
	       "the digest of a key is not that of its value");
}

static void key_handle(struct check *c)
{
	static const CK_OBJECT_HANDLE handles[] = { CK_INVALID_HANDLE, 0x7ffffff1 };
	struct crypto_job job;
	crypto_begin_any(c, &job, VERB_DIGEST, true);
	crypto_start(&job);
	CK_OBJECT_HANDLE object = c->row->d < 2 ? handles[c->row->d] : object_make(c, OBJECT_DATA);
	CK_RV rv = c->p11->C_DigestKey(c->session, object);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_DigestKey is not supported");
	if (rv == CKR_OBJECT_HANDLE_INVALID) {
		DEVIATION(c, 177,
		          "C_DigestKey returned CKR_OBJECT_HANDLE_INVALID, expected "
		          "CKR_KEY_HANDLE_INVALID");
		return;
	}
	EXPECT_CODE(c, 177, "C_DigestKey", rv, CKR_KEY_HANDLE_INVALID);
}

/* A public key's value is no byte string that could be digested. */
static void key_public(struct check *c)
{
	struct crypto_job job;
	crypto_begin_any(c, &job, VERB_DIGEST, true);
	CK_OBJECT_HANDLE object = object_make(c, OBJECT_RSA_PUBLIC);
	crypto_start(&job);
	CK_RV rv = c->p11->C_DigestKey(c->session, object);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_DigestKey is not supported");
	/* "Perhaps the key isn't a secret key" (§5.1.6). */
	EXPECT_CODE(c, 179, "C_DigestKey", rv, CKR_KEY_INDIGESTIBLE);
}

static void key_sensitive(struct check *c)
{
	struct crypto_job job;
	struct template t;
	CK_ULONG size = CRYPTO_ROOM;
	crypto_begin_any(c, &job, VERB_DIGEST, true);
	object_template(c, &t, OBJECT_SECRET);
	template_bool(&t, CKA_SENSITIVE, true);
	template_bool(&t, CKA_EXTRACTABLE, false);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	crypto_start(&job);
	CK_RV rv = c->p11->C_DigestKey(c->session, object);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_DigestKey is not supported");
	EXPECT_CODE(c, 179, "C_DigestKey", rv, CKR_OK, CKR_KEY_INDIGESTIBLE);
	if (rv == CKR_OK)
		EXPECT_RV(c, 179, c->p11->C_DigestFinal(c->session, out, &size), CKR_OK);
	check_note(c, "C_DigestKey of a sensitive key returned %s", check_rv_name(rv));
}

/* ---- the list ---------------------------------------------------------------------------------------- */

void suite_digest(struct check_list *list)
{
	static const char *const handles[] = { "zero", "unknown", "data" };
	crypto_add_families(list, VERB_DIGEST);
	crypto_add(list,
	           CHECK(known_answer, NEED_USER, "digests are those that libcrypto computes", 351),
	           VERB_DIGEST, "known-answer", NULL);
	crypto_add(list, CHECK(empty, NEED_USER, "a message of no bytes has a digest", 351),
	           VERB_DIGEST, "empty", NULL);
	crypto_add(list, CHECK(output_size, NEED_USER, "a digest has its size", 351), VERB_DIGEST,
	           "output-size", NULL);
	struct check_row row = CHECK(key, NEED_USER, "C_DigestKey between parts of data", 179);
	row.d = OBJECT_SECRET;
	crypto_add(list, row, VERB_DIGEST, "key-generic-secret", NULL);
	row.d = OBJECT_AES;
	crypto_add(list, row, VERB_DIGEST, "key-aes", NULL);
	crypto_add(list, CHECK(key_alone, NEED_USER, "C_DigestKey and nothing else", 179),
	           VERB_DIGEST, "key-alone", NULL);
	row = CHECK(key_handle, NEED_USER, "C_DigestKey of what is no key, in an operation", 177);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(handles); i++) {
		row.d = i;
		check_add(list, row, "key-handle/%s", handles[i]);
	}
	check_add(list, CHECK(key_public, NEED_USER, "C_DigestKey of a public key is refused", 179),
	          "key-public");
	check_add(list,
	          CHECK(key_sensitive, NEED_USER, "C_DigestKey of a sensitive key: yes or no", 179),
	          "key-sensitive");
}
