/* SPDX-License-Identifier: MIT
 *
 * Dual-function operations (PKCS#11 3.1 §5.17): what they give is what two single operations give, whatever
 * happens to the output on the way.
 */
#include <string.h>

#include "suites/crypto.h"

/* A function, the operation that makes or takes the ciphertext, and the one on the message. */
static const struct {
	enum tape_function_id id;
	enum crypto_verb crypt, data;
} duals[] = {
	{ TAPE_FN_C_DigestEncryptUpdate, VERB_ENCRYPT, VERB_DIGEST },
	{ TAPE_FN_C_DecryptDigestUpdate, VERB_DECRYPT, VERB_DIGEST },
	{ TAPE_FN_C_SignEncryptUpdate, VERB_ENCRYPT, VERB_SIGN },
	{ TAPE_FN_C_DecryptVerifyUpdate, VERB_DECRYPT, VERB_VERIFY },
};

struct pair {
	struct crypto_job crypt, data;
	enum tape_function_id id;
	CK_BYTE *out; /* CRYPTO_ROOM bytes; `used` of them are there */
	CK_ULONG used;
};

/* A cipher that holds nothing back. */
static void begin_crypt(struct check *c, struct crypto_job *job, enum crypto_verb verb)
{
	static const CK_MECHANISM_TYPE types[] = { CKM_AES_CBC, CKM_AES_ECB, CKM_AES_CTR,
		                                   CKM_DES3_CBC, CKM_DES3_ECB };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(types); i++) {
		const struct crypto_mechanism *m = crypto_find(types[i]);
		if (crypto_is_listed(c, m, verb)) {
			crypto_begin_with(c, job, m, verb);
			return;
		}
	}
	check_skip(c, "no mechanism of the token's is known for %s in parts",
	           crypto_verbs[verb].name);
}

/* The other job works on the cipher's message: what it gives of that is made by single operations. */
static void begin_data(struct check *c, struct pair *pair, enum crypto_verb verb)
{
	struct crypto_job *data = &pair->data;
	crypto_begin_any(c, data, verb, true);
	struct crypto_job aside = *data;
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	CK_ULONG size = CRYPTO_ROOM;
	aside.session = check_open(c, 0);
	if (verb == VERB_VERIFY) {
		aside.verb = VERB_SIGN;
		aside.key = data->other;
	}
	crypto_start(&aside);
	CK_RV rv = crypto_single(&aside, pair->crypt.message, pair->crypt.message_size, out, &size);
	if (rv != CKR_OK)
		check_skip(c, "%s returned %s", crypto_called(&aside), check_rv_name(rv));
	(void)c->p11->C_CloseSession(aside.session);
	data->in = pair->crypt.message;
	data->in_size = pair->crypt.message_size;
	data->out = out;
	data->out_size = size;
}

static void prepare(struct check *c, struct pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	pair->id = duals[c->row->a].id;
	if (check_function(c, pair->id) == NULL)
		check_skip(c, "the module has no function list with it");
	begin_crypt(c, &pair->crypt, duals[c->row->a].crypt);
	begin_data(c, pair, duals[c->row->a].data);
	pair->out = check_buffer(c, CRYPTO_ROOM);
}

static bool offers_dual(const struct check *c)
{
	return (c->target->token_info.flags & CKF_DUAL_CRYPTO_OPERATIONS) != 0;
}

/* Begin both; a token that does not offer it may refuse. */
static void start(struct check *c, struct pair *pair)
{
	crypto_start(&pair->crypt);
	CK_RV rv = crypto_init(&pair->data);
	if (rv != CKR_OK && !offers_dual(c))
		check_skip(c, "the token has no CKF_DUAL_CRYPTO_OPERATIONS, and %s returned %s",
		           crypto_called(&pair->data), check_rv_name(rv));
	EXPECT(c, 164, rv == CKR_OK,
	       "the token has CKF_DUAL_CRYPTO_OPERATIONS, and beside %s %s returned %s",
	       crypto_verbs[pair->crypt.verb].name, crypto_called(&pair->data), check_rv_name(rv));
}

static CK_RV update(struct pair *pair, const void *in, CK_ULONG in_size, void *out, CK_ULONG *size)
{
	struct check *c = pair->crypt.c;
	const uintptr_t words[TAPE_MAX_WORDS] = { c->session, (uintptr_t)in, in_size,
		                                  (uintptr_t)out, (uintptr_t)size };
	CK_RV rv = check_call(c, pair->id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", c->called);
	return rv;
}

/* Bytes `from` to `to` of the input. */
static void feed(struct check *c, struct pair *pair, CK_ULONG from, CK_ULONG to)
{
	CK_ULONG size = CRYPTO_ROOM - pair->used;
	CK_RV rv = update(pair, pair->crypt.in + from, to - from, pair->out + pair->used, &size);
	EXPECT_CODE(c, 180, c->called, rv, CKR_OK);
	pair->used += size;
}

/* End both: each has given what it gives alone. */
static void finish(struct check *c, struct pair *pair)
{
	CK_ULONG size = CRYPTO_ROOM - pair->used;
	CK_RV rv = crypto_final(&pair->crypt, pair->out + pair->used, &size);
	EXPECT_CODE(c, 180, crypto_called(&pair->crypt), rv, CKR_OK);
	EXPECT(c, 180, crypto_is_right(&pair->crypt, pair->out, pair->used + size),
	       "%s gave something else than %s", tape_functions[pair->id].name.text,
	       crypto_verbs[pair->crypt.verb].name);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	bool verifies = pair->data.verb == VERB_VERIFY;
	memcpy(out, pair->data.out, verifies ? pair->data.out_size : 0);
	size = verifies ? pair->data.out_size : CRYPTO_ROOM;
	rv = crypto_final(&pair->data, out, &size);
	EXPECT_CODE(c, 180, crypto_called(&pair->data), rv, CKR_OK);
	EXPECT(c, 180, verifies || crypto_is_right(&pair->data, out, size),
	       "after %s %s gives something else than of the message alone",
	       tape_functions[pair->id].name.text, crypto_called(&pair->data));
}

/* ---- checks ------------------------------------------------------------------------------------------ */

static void equals(struct check *c)
{
	struct pair pair;
	prepare(c, &pair);
	start(c, &pair);
	CK_ULONG part = c->row->d == 0 ? pair.crypt.in_size : c->row->d;
	for (CK_ULONG at = 0; at < pair.crypt.in_size; at += part)
		feed(c, &pair, at, at + part < pair.crypt.in_size ? at + part : pair.crypt.in_size);
	finish(c, &pair);
}

/* Half of it by the dual function, half by the two others. */
static void mixed(struct check *c)
{
	struct pair pair;
	prepare(c, &pair);
	start(c, &pair);
	CK_ULONG half = pair.crypt.in_size / 2;
	feed(c, &pair, 0, half);
	CK_ULONG size = CRYPTO_ROOM - pair.used;
	CK_RV rv = crypto_update(&pair.crypt, pair.crypt.in + half, pair.crypt.in_size - half,
	                         pair.out + pair.used, &size);
	EXPECT_CODE(c, 180, crypto_called(&pair.crypt), rv, CKR_OK);
	pair.used += size;
	rv = crypto_update(&pair.data, pair.data.in + half, pair.data.in_size - half, NULL, NULL);
	EXPECT_CODE(c, 180, crypto_called(&pair.data), rv, CKR_OK);
	finish(c, &pair);
}

static void query(struct check *c)
{
	struct pair pair;
	CK_ULONG said = 0;
	prepare(c, &pair);
	start(c, &pair);
	CK_RV rv = update(&pair, pair.crypt.in, pair.crypt.in_size, NULL, &said);
	EXPECT_CODE(c, 30, c->called, rv, CKR_OK);
	EXPECT(c, 30, said >= pair.crypt.out_size, "%s says that %lu bytes suffice for %lu",
	       c->called, said, pair.crypt.out_size);
	feed(c, &pair, 0, pair.crypt.in_size);
	finish(c, &pair);
}

static void too_small(struct check *c)
{
	struct pair pair;
	prepare(c, &pair);
	start(c, &pair);
	CK_ULONG room = c->row->d == 0 ? 0 : pair.crypt.out_size - 1;
	CK_ULONG said = room;
	CK_RV rv = update(&pair, pair.crypt.in, pair.crypt.in_size, check_buffer(c, room), &said);
	EXPECT(c, 32, rv == CKR_BUFFER_TOO_SMALL,
	       "%s with room for %lu of %lu bytes returned %s, expected CKR_BUFFER_TOO_SMALL",
	       c->called, room, pair.crypt.out_size, check_rv_name(rv));
	EXPECT(c, 32, said >= pair.crypt.out_size, "%s says that %lu bytes suffice for %lu",
	       c->called, said, pair.crypt.out_size);
	feed(c, &pair, 0, pair.crypt.in_size);
	finish(c, &pair);
}

/* With one of the two alone. */
static void one(struct check *c)
{
	struct pair pair;
	CK_ULONG size = CRYPTO_ROOM;
	prepare(c, &pair);
	crypto_start(c->row->d == 0 ? &pair.crypt : &pair.data);
	CK_RV rv = update(&pair, pair.crypt.in, pair.crypt.in_size, pair.out, &size);
	EXPECT_CODE(c, 181, c->called, rv, CKR_OPERATION_NOT_INITIALIZED);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

void suite_dual(struct check_list *list)
{
	const struct {
		const char *name;
		struct check_row row;
		uintptr_t d;
	} families[] = {
		{ "equals",
		  CHECK(equals, NEED_USER, "it gives what two single operations give", 180, 164),
		  0 },
		{ "parts-of-16",
		  CHECK(equals, NEED_USER, "in parts it gives what two single operations give", 180,
		        164),
		  16 },
		{ "mixed", CHECK(mixed, NEED_USER, "single updates may follow", 180, 164), 0 },
		{ "query",
		  CHECK(query, NEED_USER, "a length query feeds neither operation", 180, 30, 164),
		  0 },
		{ "no-room",
		  CHECK(too_small, NEED_USER, "no room feeds neither operation", 180, 32, 164), 0 },
		{ "too-small",
		  CHECK(too_small, NEED_USER, "a byte too little feeds neither operation", 180, 32,
		        164),
		  1 },
		{ "crypt-alone",
		  CHECK(one, NEED_USER, "with one of the operations alone it is refused", 181), 0 },
		{ "data-alone",
		  CHECK(one, NEED_USER, "with one of the operations alone it is refused", 181), 1 },
	};
	for (size_t f = 0; f < TAPE_ARRAY_SIZE(families); f++)
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(duals); i++) {
			struct check_row row = families[f].row;
			row.a = i;
			row.d = families[f].d;
			check_add(list, row, "%s/%s", families[f].name,
			          tape_functions[duals[i].id].name.text);
		}
}
