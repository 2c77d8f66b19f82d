/* SPDX-License-Identifier: MIT
 *
 * C_GetOperationState and C_SetOperationState (PKCS#11 3.1 §5.6.6, §5.6.7): operations that are saved in one session
 * and go on in another.
 */
#include <string.h>

#include "suites/keying.h"

#define STATE_SIZE 65536
#define OUTPUT_SIZE 512

static CK_BYTE first_part[48] = "the first part of what is worked on, 48 bytes..";
static CK_BYTE second_part[32] = "and the second one, of 32 bytes";

enum operation { DIGESTS, SIGNS, VERIFIES, ENCRYPTS, DECRYPTS };

static const struct saved_kind {
	const char *name;
	enum operation operation;
	CK_MECHANISM_TYPE mechanism;
} kinds[] = {
	{ "md5", DIGESTS, CKM_MD5 },
	{ "sha1", DIGESTS, CKM_SHA_1 },
	{ "sha256", DIGESTS, CKM_SHA256 },
	{ "sha512", DIGESTS, CKM_SHA512 },
	{ "sign-hmac-sha256", SIGNS, CKM_SHA256_HMAC },
	{ "verify-hmac-sha256", VERIFIES, CKM_SHA256_HMAC },
	{ "encrypt-aes-cbc", ENCRYPTS, CKM_AES_CBC },
	{ "decrypt-aes-cbc", DECRYPTS, CKM_AES_CBC },
};

struct saved {
	const struct saved_kind *kind;
	CK_OBJECT_HANDLE key, other_key;
	CK_BYTE out[OUTPUT_SIZE]; /* of the whole operation, uninterrupted */
	CK_ULONG out_size, mac_size;
	CK_BYTE mac[64];
	CK_BYTE state[STATE_SIZE];
	CK_ULONG size;
};

static CK_RV begin_operation(struct check *c, const struct saved *s, CK_SESSION_HANDLE session)
{
	static CK_BYTE iv[16];
	CK_MECHANISM mechanism = { s->kind->mechanism, NULL, 0 };
	if (s->kind->mechanism == CKM_AES_CBC) {
		mechanism.pParameter = iv;
		mechanism.ulParameterLen = sizeof(iv);
	}
	switch (s->kind->operation) {
	case DIGESTS:
		return c->p11->C_DigestInit(session, &mechanism);
	case SIGNS:
		return c->p11->C_SignInit(session, &mechanism, s->key);
	case VERIFIES:
		return c->p11->C_VerifyInit(session, &mechanism, s->key);
	case ENCRYPTS:
		return c->p11->C_EncryptInit(session, &mechanism, s->key);
	default:
		return c->p11->C_DecryptInit(session, &mechanism, s->key);
	}
}

/* Output goes behind what is there. */
static CK_RV feed(struct check *c, const struct saved *s, CK_SESSION_HANDLE session, CK_BYTE *data,
                  CK_ULONG size, CK_BYTE *out, CK_ULONG *out_size)
{
	CK_ULONG room = OUTPUT_SIZE - *out_size;
	CK_RV rv;
	switch (s->kind->operation) {
	case DIGESTS:
		return c->p11->C_DigestUpdate(session, data, size);
	case SIGNS:
		return c->p11->C_SignUpdate(session, data, size);
	case VERIFIES:
		return c->p11->C_VerifyUpdate(session, data, size);
	case ENCRYPTS:
		rv = c->p11->C_EncryptUpdate(session, data, size, out + *out_size, &room);
		break;
	default:
		rv = c->p11->C_DecryptUpdate(session, data, size, out + *out_size, &room);
	}
	*out_size += rv == CKR_OK ? room : 0;
	return rv;
}

static CK_RV end_operation(struct check *c, struct saved *s, CK_SESSION_HANDLE session,
                           CK_BYTE *out, CK_ULONG *out_size)
{
	CK_ULONG room = OUTPUT_SIZE - *out_size;
	CK_RV rv;
	switch (s->kind->operation) {
	case DIGESTS:
		rv = c->p11->C_DigestFinal(session, out, &room);
		break;
	case SIGNS:
		rv = c->p11->C_SignFinal(session, out, &room);
		break;
	case VERIFIES:
		return c->p11->C_VerifyFinal(session, s->mac, s->mac_size);
	case ENCRYPTS:
		rv = c->p11->C_EncryptFinal(session, out + *out_size, &room);
		break;
	default:
		rv = c->p11->C_DecryptFinal(session, out + *out_size, &room);
	}
	*out_size += rv == CKR_OK ? room : 0;
	return rv;
}

/* What is verified was signed before. */
static void make_mac(struct check *c, struct saved *s)
{
	CK_MECHANISM mechanism = { s->kind->mechanism, NULL, 0 };
	s->mac_size = sizeof(s->mac);
	NEED_OK(c, c->p11->C_SignInit(c->session, &mechanism, s->key));
	NEED_OK(c, c->p11->C_SignUpdate(c->session, first_part, sizeof(first_part)));
	NEED_OK(c, c->p11->C_SignUpdate(c->session, second_part, sizeof(second_part)));
	NEED_OK(c, c->p11->C_SignFinal(c->session, s->mac, &s->mac_size));
}

/* Keys; what the uninterrupted operation gives; and the first half of it, active in c->session. */
static void begin(struct check *c, struct saved *s)
{
	static const CK_FLAGS flags[] = { CKF_DIGEST, CKF_SIGN, CKF_VERIFY, CKF_ENCRYPT,
		                          CKF_DECRYPT };
	static const CK_BYTE value[32] = "p11tape check, a secret of 32 by";
	static const CK_BYTE other[32] = "p11tape check, another of 32 by!";
	CK_KEY_TYPE type = CKK_GENERIC_SECRET;
	s->kind = c->row->data;
	s->out_size = 0;
	s->key = s->other_key = CK_INVALID_HANDLE;
	keying_mechanism(c, s->kind->mechanism, flags[s->kind->operation]);
	if (s->kind->operation >= ENCRYPTS)
		type = CKK_AES;
	if (s->kind->operation != DIGESTS) {
		s->key = keying_secret(c, type, value, sizeof(value));
		s->other_key = keying_secret(c, type, other, sizeof(other));
	}
	if (s->kind->operation == VERIFIES)
		make_mac(c, s);
	NEED_OK(c, begin_operation(c, s, c->session));
	NEED_OK(c, feed(c, s, c->session, first_part, sizeof(first_part), s->out, &s->out_size));
	NEED_OK(c, feed(c, s, c->session, second_part, sizeof(second_part), s->out, &s->out_size));
	NEED_OK(c, end_operation(c, s, c->session, s->out, &s->out_size));
}

static CK_ULONG begin_half(struct check *c, struct saved *s, CK_BYTE *out)
{
	CK_ULONG out_size = 0;
	NEED_OK(c, begin_operation(c, s, c->session));
	NEED_OK(c, feed(c, s, c->session, first_part, sizeof(first_part), out, &out_size));
	return out_size;
}

/* Save it. A token may save nothing, or not this: there is a code for each. */
static CK_ULONG save(struct check *c, struct saved *s, CK_BYTE *out)
{
	begin(c, s);
	CK_ULONG out_size = begin_half(c, s, out);
	s->size = sizeof(s->state);
	CK_RV rv = c->p11->C_GetOperationState(c->session, s->state, &s->size);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_STATE_UNSAVEABLE)
		check_skip(c, "the operation is not saved: %s", check_rv_name(rv));
	NEED_OK(c, rv);
	return out_size;
}

static CK_RV restore_from(struct check *c, const struct saved *s, CK_BYTE *state,
                          CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	bool crypts = s->kind->operation >= ENCRYPTS;
	return c->p11->C_SetOperationState(session, state, s->size, crypts ? key : 0,
	                                   crypts ? 0 : key);
}

static CK_RV restore(struct check *c, struct saved *s, CK_SESSION_HANDLE session,
                     CK_OBJECT_HANDLE key)
{
	return restore_from(c, s, s->state, session, key);
}

/* Go on with the second part: what comes out must be what came out without interruption. */
static void go_on(struct check *c, struct saved *s, unsigned int rule, CK_SESSION_HANDLE session,
                  CK_BYTE *out, CK_ULONG out_size)
{
	EXPECT_CODE(c, rule, "going on",
	            feed(c, s, session, second_part, sizeof(second_part), out, &out_size), CKR_OK);
	EXPECT_CODE(c, rule, "ending", end_operation(c, s, session, out, &out_size), CKR_OK);
	EXPECT(c, rule, out_size == s->out_size && memcmp(out, s->out, out_size) == 0,
	       "the restored operation gives %lu bytes, others than the uninterrupted one's %lu",
	       out_size, s->out_size);
}

/* ---- saving ---------------------------------------------------------------------------------- */

static void nothing_to_save(struct check *c)
{
	CK_BYTE *state = check_buffer(c, 64);
	CK_ULONG size = 64;
	CK_OBJECT_HANDLE found;
	CK_ULONG count;
	if (c->row->a != 0) {
		/* A search is no operation that can be saved. */
		NEED_OK(c, c->p11->C_FindObjectsInit(c->session, NULL, 0));
		(void)c->p11->C_FindObjects(c->session, &found, 1, &count);
	}
	CK_RV rv = c->p11->C_GetOperationState(c->session, c->row->b != 0 ? NULL : state, &size);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "the function is not supported");
	if (rv == CKR_STATE_UNSAVEABLE)
		FAIL(c, 24, "C_GetOperationState without an operation returned %s",
		     check_rv_name(rv));
	EXPECT_CODE(c, 147, "C_GetOperationState", rv, CKR_OPERATION_NOT_INITIALIZED);
	EXPECT(c, 147, check_untouched(state, 0, 64), "bytes were written to pOperationState");
}

static void saves_or_says(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	begin(c, &s);
	begin_half(c, &s, out);
	s.size = sizeof(s.state);
	EXPECT_REFUSED(c, 148, c->p11->C_GetOperationState(c->session, s.state, &s.size), CKR_OK,
	               CKR_STATE_UNSAVEABLE);
}

static void sizes(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	CK_ULONG need = 0, out_size = save(c, &s, out);
	EXPECT_RV(c, 149, c->p11->C_GetOperationState(c->session, NULL, &need), CKR_OK);
	EXPECT(c, 149, need >= s.size && need <= s.size + 4096,
	       "the length query said %lu, the state has %lu bytes", need, s.size);
	CK_ULONG size = s.size - 1;
	CK_BYTE *small = check_buffer(c, size);
	EXPECT_RV(c, 149, c->p11->C_GetOperationState(c->session, small, &size),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 149, size >= s.size,
	       "with CKR_BUFFER_TOO_SMALL the length is %lu, needed are %lu", size, s.size);
	size = need;
	CK_BYTE *exact = check_buffer(c, need);
	EXPECT_RV(c, 149, c->p11->C_GetOperationState(c->session, exact, &size), CKR_OK);
	/* All this was only looking on. */
	go_on(c, &s, 149, c->session, out, out_size);
}

static void null_length(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	save(c, &s, out);
	EXPECT_RV(c, 314, c->p11->C_GetOperationState(c->session, s.state, NULL),
	          CKR_ARGUMENTS_BAD);
}

/* ---- restoring ------------------------------------------------------------------------------- */

static void elsewhere(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	CK_ULONG out_size = save(c, &s, out);
	CK_SESSION_HANDLE other = check_open(c, 0);
	EXPECT_CODE(c, 365, "C_SetOperationState", restore(c, &s, other, s.key), CKR_OK);
	go_on(c, &s, 365, other, out, out_size);
}

/* Both go on from where it was saved, neither minding the other. */
static void twice(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE], mine[OUTPUT_SIZE];
	CK_ULONG out_size = save(c, &s, out);
	memcpy(mine, out, sizeof(mine));
	CK_SESSION_HANDLE other = check_open(c, 0);
	EXPECT_CODE(c, 365, "C_SetOperationState", restore(c, &s, other, s.key), CKR_OK);
	go_on(c, &s, 365, c->session, mine, out_size);
	go_on(c, &s, 365, other, out, out_size);
}

static void back(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE], more[OUTPUT_SIZE];
	CK_ULONG out_size = save(c, &s, out), more_size = 0;
	NEED_OK(c, feed(c, &s, c->session, first_part, sizeof(first_part), more, &more_size));
	EXPECT_CODE(c, 153, "C_SetOperationState", restore(c, &s, c->session, s.key), CKR_OK);
	go_on(c, &s, 153, c->session, out, out_size);
}

/* What is active in the other session, of another kind, is dropped. */
static void drops(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	CK_ULONG out_size = save(c, &s, out);
	CK_MECHANISM sha = { CKM_SHA256, NULL, 0 };
	CK_MECHANISM hmac = { CKM_SHA256_HMAC, NULL, 0 };
	CK_SESSION_HANDLE other = check_open(c, 0);
	if (s.kind->operation == DIGESTS)
		NEED_OK(c, c->p11->C_SignInit(other, &hmac,
		                              keying_secret(c, CKK_GENERIC_SECRET, s.state, 32)));
	else
		NEED_OK(c, c->p11->C_DigestInit(other, &sha));
	EXPECT_CODE(c, 153, "C_SetOperationState", restore(c, &s, other, s.key), CKR_OK);
	CK_BYTE left[64];
	CK_ULONG size = sizeof(left);
	CK_RV rv = s.kind->operation == DIGESTS ? c->p11->C_SignFinal(other, left, &size)
	                                        : c->p11->C_DigestFinal(other, left, &size);
	EXPECT_CODE(c, 153, "the operation that was active", rv, CKR_OPERATION_NOT_INITIALIZED);
	go_on(c, &s, 153, other, out, out_size);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static bool flag_not_needed(const struct check *c)
{
	return (c->target->token_info.flags & CKF_RESTORE_KEY_NOT_NEEDED) != 0;
}

static void key_needed(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	CK_ULONG out_size = save(c, &s, out);
	CK_SESSION_HANDLE other = check_open(c, 0);
	CK_RV rv = restore(c, &s, other, CK_INVALID_HANDLE);
	if (s.kind->operation == DIGESTS) {
		EXPECT_CODE(c, 151, "C_SetOperationState", rv, CKR_OK);
	} else if (flag_not_needed(c)) {
		EXPECT_CODE(c, 152, "C_SetOperationState", rv, CKR_OK);
	} else if (rv != CKR_OK) {
		EXPECT_CODE(c, 151, "C_SetOperationState", rv, CKR_KEY_NEEDED);
		return;
	} else {
		check_note(c, "no key is needed, though CKF_RESTORE_KEY_NOT_NEEDED is not set");
	}
	go_on(c, &s, 151, other, out, out_size);
}

static void key_not_needed(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	static const CK_BYTE value[32] = { 7 };
	CK_ULONG out_size = save(c, &s, out);
	CK_OBJECT_HANDLE key = s.key;
	if (key == CK_INVALID_HANDLE)
		key = keying_secret(c, CKK_GENERIC_SECRET, value, sizeof(value));
	CK_SESSION_HANDLE other = check_open(c, 0);
	CK_RV rv = c->p11->C_SetOperationState(other, s.state, s.size, key, key);
	/* A token whose state has the key may take it as well. */
	if (rv == CKR_OK && s.key != CK_INVALID_HANDLE && flag_not_needed(c))
		go_on(c, &s, 151, other, out, out_size);
	else
		EXPECT_CODE(c, 151, "C_SetOperationState", rv, CKR_KEY_NOT_NEEDED);
}

static void key_changed(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	CK_ULONG size = save(c, &s, out);
	if (s.kind->operation == DIGESTS)
		check_skip(c, "a digest has no key");
	CK_SESSION_HANDLE other = check_open(c, 0);
	CK_RV rv = restore(c, &s, other, s.other_key);
	/* Only if the token can see it (§5.6.7). */
	if (rv == CKR_OK) {
		check_note(c, "another key is not noticed");
		EXPECT_CODE(c, 151, "going on",
		            feed(c, &s, other, second_part, sizeof(second_part), out, &size),
		            CKR_OK);
		return;
	}
	EXPECT_CODE(c, 151, "C_SetOperationState", rv, CKR_KEY_CHANGED, CKR_KEY_NOT_NEEDED);
}

/* ---- states that are none -------------------------------------------------------------------- */

/* row->a: how the state is spoiled. */
static void invalid(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	save(c, &s, out);
	CK_SESSION_HANDLE other = check_open(c, 0);
	switch (c->row->a) {
	case 0: /* nothing */
		s.size = 0;
		break;
	case 1:
		s.size = 1;
		break;
	case 2: /* cut */
		s.size--;
		break;
	case 3: /* longer */
		s.state[s.size++] = 0;
		break;
	case 4: /* something else */
		memset(s.state, 0x5a, s.size);
		break;
	default:
		memset(s.state, 0, s.size);
		break;
	}
	/* Nobody is to look behind it. */
	CK_BYTE *state = check_buffer(c, s.size);
	memcpy(state, s.state, s.size);
	CK_RV rv = restore_from(c, &s, state, other, s.key);
	EXPECT(c, 150, rv != CKR_OK, "what is no state was taken for one");
	if (rv != CKR_ARGUMENTS_BAD || s.size != 0)
		EXPECT_CODE(c, 150, "C_SetOperationState", rv, CKR_SAVED_STATE_INVALID);
	CK_BYTE left[64];
	CK_ULONG size = sizeof(left);
	EXPECT_CODE(c, 150, "C_DigestFinal", c->p11->C_DigestFinal(other, left, &size),
	            CKR_OPERATION_NOT_INITIALIZED);
}

/* Saved in a read-only session, restored in a read-write one (§5.6.7): the states differ. */
static void other_session_state(struct check *c)
{
	static struct saved s;
	CK_BYTE out[OUTPUT_SIZE];
	save(c, &s, out);
	CK_SESSION_HANDLE other = CK_INVALID_HANDLE;
	NEED_OK(c, c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
	                                 &other));
	CK_RV rv = restore(c, &s, other, s.key);
	if (rv == CKR_OK)
		DEVIATION(c, 150,
		          "the state of a read-only session is restored in a read-write one");
	else
		EXPECT_CODE(c, 150, "C_SetOperationState", rv, CKR_SAVED_STATE_INVALID);
}

static void null_state(struct check *c)
{
	EXPECT_REFUSED(c, 314, c->p11->C_SetOperationState(c->session, NULL, 16, 0, 0),
	               CKR_ARGUMENTS_BAD, CKR_SAVED_STATE_INVALID);
}

/* ---- the list -------------------------------------------------------------------------------- */

void suite_state(struct check_list *list)
{
	static const char *const spoiled[] = { "nothing", "one-byte", "cut",
		                               "longer",  "garbage",  "zeros" };
	struct check_row row;
	for (unsigned int i = 0; i < 4; i++) {
		row = CHECK(nothing_to_save, NEED_SESSION, "without an operation there is no state",
		            147, 24);
		row.a = i & 1;
		row.b = i >> 1;
		check_add(list, row, "nothing/%s%s", row.a != 0 ? "search" : "none",
		          row.b != 0 ? "-query" : "");
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(kinds); i++) {
		const struct {
			const char *name;
			struct check_row row;
		} members[] = {
			{ "saves", CHECK(saves_or_says, NEED_USER,
			                 "an operation is saved, or said to be unsaveable", 148) },
			{ "sizes", CHECK(sizes, NEED_USER, "the output follows §5.2", 149) },
			{ "null-length",
			  CHECK(null_length, NEED_USER, "NULL for the length is refused", 314) },
			{ "elsewhere",
			  CHECK(elsewhere, NEED_USER, "it goes on in another session", 365) },
			{ "twice", CHECK(twice, NEED_USER, "it goes on in two sessions", 365) },
			{ "back", CHECK(back, NEED_USER, "it goes back to what was saved", 153) },
			{ "drops", CHECK(drops, NEED_USER, "what is active is dropped", 153) },
			{ "key-needed",
			  CHECK(key_needed, NEED_USER, "keys are needed, or not", 151, 152) },
			{ "key-not-needed",
			  CHECK(key_not_needed, NEED_USER, "a key too many is refused", 151) },
			{ "key-changed", CHECK(key_changed, NEED_USER,
			                       "another key is refused, if it is seen", 151) },
			{ "other-session-state",
			  CHECK(other_session_state, NEED_USER,
			        "the session must be in the state of the saved one's", 150) },
		};
		for (size_t m = 0; m < TAPE_ARRAY_SIZE(members); m++) {
			row = members[m].row;
			row.data = &kinds[i];
			check_add(list, row, "%s/%s", members[m].name, kinds[i].name);
		}
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(spoiled); i++) {
		row = CHECK(invalid, NEED_USER, "what is no state is refused", 150);
		row.data = &kinds[2];
		row.a = i;
		check_add(list, row, "invalid/%s", spoiled[i]);
	}
	check_add(list, CHECK(null_state, NEED_SESSION, "NULL for the state is refused", 314),
	          "null-state");
}
