/* SPDX-License-Identifier: MIT
 *
 * What holds for operations whatever the mechanism: how errors end them, which may go on side by side, and
 * what is refused at their beginning. A check of a function uses the first mechanism that works for it.
 */
#include <string.h>

#include "suites/crypto.h"

/* ---- errors end operations --------------------------------------------------------------------------- */

enum step { STEP_SINGLE, STEP_UPDATE, STEP_FINAL };
enum missing { NO_INPUT, NO_SIZE, NO_SIGNATURE };

static unsigned int step_rule(enum crypto_verb verb, enum step step)
{
	if (step == STEP_UPDATE)
		return crypto_streams(verb) ? 166 : 167;
	return verb == VERB_VERIFY ? 168 : 165;
}

/* The step with one pointer NULL. */
static CK_RV call_without(struct crypto_job *job, enum step step, enum missing missing)
{
	CK_BYTE *out = check_buffer(job->c, CRYPTO_ROOM);
	CK_ULONG room = job->verb == VERB_VERIFY ? job->out_size : CRYPTO_ROOM;
	CK_ULONG *size = missing == NO_SIZE ? NULL : &room;
	const CK_BYTE *in = missing == NO_INPUT ? NULL : job->in;
	if (missing == NO_SIGNATURE)
		out = NULL;
	else if (job->verb == VERB_VERIFY)
		memcpy(out, job->out, job->out_size);
	if (step == STEP_SINGLE)
		return crypto_single(job, in, job->in_size, out, size);
	if (step == STEP_UPDATE)
		return crypto_update(job, in, job->in_size, out, size);
	return crypto_final(job, out, size);
}

static void arguments(struct check *c)
{
	struct crypto_job job;
	enum crypto_verb verb = (enum crypto_verb)c->row->b;
	enum step step = (enum step)c->row->a;
	crypto_begin_any(c, &job, verb, step != STEP_SINGLE);
	crypto_start(&job);
	if (step == STEP_FINAL) {
		CK_ULONG size = CRYPTO_ROOM;
		CK_RV rv = crypto_update(&job, job.in, job.in_size, check_buffer(c, CRYPTO_ROOM),
		                         &size);
		if (rv != CKR_OK)
			check_skip(c, "%s returned %s", crypto_called(&job), check_rv_name(rv));
	}
	CK_RV rv = call_without(&job, step, (enum missing)c->row->d);
	EXPECT(c, 314, rv != CKR_OK, "%s with a NULL pointer returned CKR_OK", crypto_called(&job));
	if (rv != CKR_ARGUMENTS_BAD)
		check_note(c, "%s with a NULL pointer returned %s", crypto_called(&job),
		           check_rv_name(rv));
	crypto_expect_ended(&job, step_rule(verb, step), check_rv_name(rv));
}

/* ---- two operations ---------------------------------------------------------------------------------- */

/* What continues the one kind does not touch the other. */
static void other_operation(struct check *c)
{
	struct crypto_job active, other;
	crypto_begin_any(c, &other, (enum crypto_verb)c->row->b, false);
	CK_BYTE *out;
	CK_ULONG size;
	crypto_begin_any(c, &active, (enum crypto_verb)c->row->a, false);
	crypto_start(&active);
	CK_RV rv = crypto_good_call(&other, &out, &size);
	EXPECT_CODE(c, 163, crypto_called(&other), rv, CKR_OPERATION_NOT_INITIALIZED);
	crypto_expect_active(&active, 353, "a call for an operation of another kind");
}

/* A second operation of another kind works, or is refused: either way the first goes on. */
/* An operation goes on after an Init beside it succeeded, or has made room for that (Usage Guide, "Operations"). */
static void expect_beside(struct crypto_job *job)
{
	struct check *c = job->c;
	CK_BYTE *out;
	CK_ULONG size;
	CK_RV rv = crypto_good_call(job, &out, &size);
	EXPECT_CODE(c, 353, crypto_called(job), rv, CKR_OK, CKR_OPERATION_NOT_INITIALIZED);
	if (rv == CKR_OK)
		EXPECT(c, 353, job->verb == VERB_VERIFY || crypto_is_right(job, out, size),
		       "beside another operation %s gave something else", crypto_called(job));
	else
		check_note(c, "an Init call drops the operation of %s", crypto_called(job));
}

static void beside(struct check *c)
{
	struct crypto_job first, second;
	crypto_begin_any(c, &second, (enum crypto_verb)c->row->b, false);
	crypto_begin_any(c, &first, (enum crypto_verb)c->row->a, false);
	crypto_start(&first);
	CK_RV rv = crypto_init(&second);
	if (rv != CKR_OK) {
		EXPECT_CODE(c, 162, crypto_called(&second), rv, CKR_OPERATION_ACTIVE);
		check_note(c, "%s beside %s returned %s", crypto_called(&second),
		           crypto_verbs[first.verb].name, check_rv_name(rv));
	} else {
		crypto_expect_active(&second, 353, "the Init of an operation beside it");
		expect_beside(&first);
		return;
	}
	crypto_expect_active(&first, 353, "an operation that was refused beside it");
}

/* A search, a digest and a signature, step by step. */
static void three(struct check *c)
{
	struct crypto_job sign, digest;
	CK_OBJECT_HANDLE found[4];
	CK_ULONG count = 0;
	crypto_begin_any(c, &sign, VERB_SIGN, false);
	crypto_begin_any(c, &digest, VERB_DIGEST, false);
	NEED_OK(c, c->p11->C_FindObjectsInit(c->session, NULL, 0));
	crypto_start(&digest);
	CK_RV rv = crypto_init(&sign);
	if (rv == CKR_OPERATION_ACTIVE)
		check_note(c, "a signature beside a digest and a search is refused");
	else
		EXPECT_CODE(c, 164, crypto_called(&sign), rv, CKR_OK);
	EXPECT_RV(c, 353, c->p11->C_FindObjects(c->session, found, 4, &count), CKR_OK);
	if (rv == CKR_OK)
		expect_beside(&digest);
	else
		crypto_expect_active(&digest, 353, "a search");
	if (rv == CKR_OK)
		crypto_expect_active(&sign, 353, "a digest and a search");
	EXPECT_RV(c, 353, c->p11->C_FindObjects(c->session, found, 4, &count), CKR_OK);
	EXPECT_RV(c, 353, c->p11->C_FindObjectsFinal(c->session), CKR_OK);
}

enum meanwhile { GENERATE_RANDOM, GENERATE_KEY, CREATE_OBJECT, FIND_OBJECTS, SESSION_INFO };
static const char *const meanwhile_names[] = { "C_GenerateRandom", "C_GenerateKey",
	                                       "C_CreateObject", "C_FindObjectsInit",
	                                       "C_GetSessionInfo" };

static CK_RV do_meanwhile(struct check *c, enum meanwhile what)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	CK_BYTE bytes[16];
	CK_SESSION_INFO info;
	CK_MECHANISM generate = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_RV rv;
	switch (what) {
	case GENERATE_RANDOM:
		return c->p11->C_GenerateRandom(c->session, bytes, sizeof(bytes));
	case GENERATE_KEY:
		object_template(c, &t, OBJECT_AES);
		template_remove(&t, CKA_VALUE);
		template_ulong(&t, CKA_VALUE_LEN, 16);
		return c->p11->C_GenerateKey(c->session, &generate, t.entry, t.count, &object);
	case CREATE_OBJECT:
		object_template(c, &t, OBJECT_DATA);
		return c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	case FIND_OBJECTS:
		rv = c->p11->C_FindObjectsInit(c->session, NULL, 0);
		return rv == CKR_OK ? c->p11->C_FindObjectsFinal(c->session) : rv;
	case SESSION_INFO:
		return c->p11->C_GetSessionInfo(c->session, &info);
	}
	return CKR_OK;
}

static void meanwhile(struct check *c)
{
	struct crypto_job job;
	enum meanwhile what = (enum meanwhile)c->row->d;
	crypto_begin_any(c, &job, (enum crypto_verb)c->row->b, false);
	CK_RV before = do_meanwhile(c, what);
	if (before != CKR_OK)
		check_skip(c, "%s returns %s", meanwhile_names[what], check_rv_name(before));
	crypto_start(&job);
	CK_RV rv = do_meanwhile(c, what);
	if (rv == CKR_OPERATION_ACTIVE && what != SESSION_INFO)
		check_note(c, "%s while an operation is active returns CKR_OPERATION_ACTIVE",
		           meanwhile_names[what]);
	else
		EXPECT_CODE(c, 183, meanwhile_names[what], rv, CKR_OK);
	crypto_expect_active(&job, 353, meanwhile_names[what]);
}

/* ---- large inputs ------------------------------------------------------------------------------------ */

#define LARGE ((size_t)1 << 20)

/* The same megabyte at once and in parts: both work, and give the same. */
static void large(struct check *c)
{
	struct crypto_job job;
	crypto_begin_any(c, &job, (enum crypto_verb)c->row->b, true);
	CK_BYTE *in = check_buffer(c, LARGE);
	CK_BYTE *once = check_buffer(c, LARGE + 64), *parts = check_buffer(c, LARGE + 64);
	CK_ULONG once_size = LARGE + 64, used = 0, size;
	for (size_t i = 0; i < LARGE; i++)
		in[i] = (CK_BYTE)(i % 251);
	crypto_start(&job);
	CK_RV rv = crypto_single(&job, in, LARGE, once, &once_size);
	EXPECT_CODE(c, 354, crypto_called(&job), rv, CKR_OK);
	crypto_start(&job);
	for (size_t at = 0; at < LARGE; at += LARGE / 16) {
		size = LARGE + 64 - used;
		rv = crypto_update(&job, in + at, LARGE / 16, parts + used, &size);
		EXPECT_CODE(c, 354, crypto_called(&job), rv, CKR_OK);
		used += crypto_streams(job.verb) ? size : 0;
	}
	size = LARGE + 64 - used;
	rv = crypto_final(&job, parts + used, &size);
	EXPECT_CODE(c, 354, crypto_called(&job), rv, CKR_OK);
	used += size;
	if ((job.m->traits & CRYPTO_SAME) != 0)
		EXPECT(c, 354, used == once_size && memcmp(once, parts, used) == 0,
		       "a megabyte in parts gives something else than at once");
}

/* ---- what is refused at the beginning ---------------------------------------------------------------- */

static void not_a_key(struct check *c)
{
	struct crypto_job job;
	crypto_begin_any(c, &job, (enum crypto_verb)c->row->b, false);
	CK_OBJECT_HANDLE object = object_make(c, (enum object_kind)c->row->d);
	EXPECT_CODE(c, 177, crypto_called(&job), crypto_init_with(&job, &job.mechanism, object),
	            CKR_KEY_HANDLE_INVALID);
}

/* A key that says itself which mechanisms it is for (§4.8). */
static void not_allowed(struct check *c)
{
	static const CK_MECHANISM_TYPE allowed[] = { CKM_AES_KEY_WRAP_PAD };
	struct crypto_job job;
	struct template t;
	CK_OBJECT_HANDLE key;
	CK_ULONG size;
	crypto_begin_any(c, &job, (enum crypto_verb)c->row->b, false);
	crypto_key_template(c, &job, &t);
	template_bytes(&t, CKA_ALLOWED_MECHANISMS, allowed, sizeof(allowed));
	key = object_create(c, &t);
	CK_MECHANISM_TYPE kept = 0;
	NEED_OK(c, object_read(c, key, CKA_ALLOWED_MECHANISMS, &kept, sizeof(kept), &size));
	if (size != sizeof(kept) || kept != allowed[0])
		check_skip(c, "the token does not keep CKA_ALLOWED_MECHANISMS");
	CK_RV rv = crypto_init_with(&job, &job.mechanism, key);
	EXPECT_CODE(c, 178, crypto_called(&job), rv, CKR_MECHANISM_INVALID);
}

static void destroyed_key(struct check *c)
{
	struct crypto_job job;
	crypto_begin_any(c, &job, (enum crypto_verb)c->row->b, false);
	NEED_OK(c, c->p11->C_DestroyObject(c->session, job.key));
	EXPECT_CODE(c, 177, crypto_called(&job), crypto_init(&job), CKR_KEY_HANDLE_INVALID);
}

static void unknown_mechanism(struct check *c)
{
	static const CK_MECHANISM_TYPE unknown[] = { 0x8f0f1234, 0x7fff0001 };
	struct crypto_job job;
	crypto_begin_any(c, &job, (enum crypto_verb)c->row->b, false);
	CK_MECHANISM mechanism = { unknown[c->row->d], NULL, 0 };
	if (target_mechanism(c->target, mechanism.mechanism) != NULL)
		check_skip(c, "the token lists 0x%lx", mechanism.mechanism);
	CK_RV rv = crypto_init_with(&job, &mechanism, job.key);
	EXPECT_CODE(c, 178, crypto_called(&job), rv, CKR_MECHANISM_INVALID);
	/* And nothing was begun. */
	CK_BYTE *out;
	CK_ULONG size;
	rv = crypto_good_call(&job, &out, &size);
	EXPECT_CODE(c, 163, crypto_called(&job), rv, CKR_OPERATION_NOT_INITIALIZED);
}

static bool is_public(enum crypto_verb verb)
{
	return verb == VERB_ENCRYPT || verb == VERB_VERIFY || verb == VERB_VERIFY_RECOVER;
}

/* Every verb that the token does not list the mechanism for, with a key and a parameter that are its own. */
static void not_for(struct check *c)
{
	const struct crypto_mechanism *m = &crypto_mechanisms[c->row->a];
	struct crypto_job job;
	bool tried = false;
	enum crypto_verb listed = VERB_DIGEST;
	while (listed < VERB_COUNT && !(crypto_can(m, listed) && crypto_is_listed(c, m, listed)))
		listed++;
	if (listed == VERB_COUNT)
		check_skip(c, "the token does not list %s for what it is for", m->name);
	crypto_prepare(c, &job, m, listed);
	for (enum crypto_verb verb = VERB_DIGEST; verb < VERB_COUNT; verb++) {
		if (crypto_is_listed(c, m, verb) ||
		    (m->key == CRYPTO_KEY_NONE && verb != VERB_DIGEST))
			continue;
		job.verb = verb;
		CK_RV rv = crypto_init_with(&job, &job.mechanism,
		                            is_public(verb) == is_public(listed) ? job.key
		                                                                 : job.other);
		if (rv == CKR_FUNCTION_NOT_SUPPORTED)
			continue;
		tried = true;
		EXPECT(c, 93, rv != CKR_OK, "%s takes %s, which is not listed for it",
		       crypto_called(&job), m->name);
		/* What is wrong with the key may be said first. */
		if (rv == CKR_KEY_FUNCTION_NOT_PERMITTED || rv == CKR_KEY_TYPE_INCONSISTENT)
			check_note(c, "%s of %s returned %s", crypto_called(&job), m->name,
			           check_rv_name(rv));
		else
			EXPECT_CODE(c, 93, crypto_called(&job), rv, CKR_MECHANISM_INVALID);
	}
	if (!tried)
		check_skip(c, "the token lists %s for everything", m->name);
}

/* ---- C_GetOperationState ----------------------------------------------------------------------------- */

static void state_without(struct check *c)
{
	CK_ULONG size = 0;
	CK_RV rv = c->p11->C_GetOperationState(c->session, NULL, &size);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetOperationState is not supported");
	EXPECT_CODE(c, 24, "C_GetOperationState", rv, CKR_OPERATION_NOT_INITIALIZED);
}

static void state_room(struct check *c)
{
	struct crypto_job job;
	CK_ULONG needed = 0;
	crypto_begin_any(c, &job, VERB_DIGEST, true);
	crypto_start(&job);
	NEED_OK(c, c->p11->C_DigestUpdate(c->session, (CK_BYTE_PTR)(uintptr_t)job.in, job.in_size));
	NEED_OK(c, c->p11->C_GetOperationState(c->session, NULL, &needed));
	CK_BYTE *state = check_buffer(c, needed);
	CK_ULONG size = needed;
	EXPECT_RV(c, 36, c->p11->C_GetOperationState(c->session, state, &size), CKR_OK);
	EXPECT(c, 36, size <= needed, "C_GetOperationState asked for %lu bytes and gave %lu",
	       needed, size);
	CK_ULONG room = size - 1;
	CK_BYTE *small = check_buffer(c, room);
	EXPECT_RV(c, 36, c->p11->C_GetOperationState(c->session, small, &room),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 36, room >= size, "C_GetOperationState says that %lu bytes suffice for %lu", room,
	       size);
	CK_BYTE *out = check_buffer(c, CRYPTO_ROOM);
	size = CRYPTO_ROOM;
	EXPECT_RV(c, 36, c->p11->C_DigestFinal(c->session, out, &size), CKR_OK);
	EXPECT(c, 36, crypto_is_right(&job, out, size),
	       "after C_GetOperationState the digest is another one");
}

/* ---- mechanisms that are used otherwise -------------------------------------------------------------- */

/* data as key and a new key at once make no sense. */
static void ike_prf(struct check *c)
{
	CK_BYTE nonces[2][16] = { { 1 }, { 2 } };
	CK_IKE_PRF_DERIVE_PARAMS parameter = {
		CKM_SHA256_HMAC,   CK_TRUE,   CK_TRUE,           nonces[0],
		sizeof(nonces[0]), nonces[1], sizeof(nonces[1]), CK_INVALID_HANDLE,
	};
	CK_MECHANISM mechanism = { CKM_IKE_PRF_DERIVE, &parameter, sizeof(parameter) };
	CK_OBJECT_HANDLE base = object_make(c, OBJECT_SECRET), derived;
	struct template t;
	parameter.hNewKey = base;
	object_template(c, &t, OBJECT_SECRET);
	template_remove(&t, CKA_VALUE);
	EXPECT_RV(c, 294,
	          c->p11->C_DeriveKey(c->session, &mechanism, base, t.entry, t.count, &derived),
	          CKR_ARGUMENTS_BAD);
}

/* how long the key is is known, whatever the parameter says. */
static void ccm_wrap(struct check *c)
{
	CK_BYTE nonce[12] = { 1 };
	CK_CCM_PARAMS parameter = { 16, nonce, sizeof(nonce), NULL, 0, 16 };
	CK_MECHANISM mechanism = { CKM_AES_CCM, &parameter, sizeof(parameter) };
	CK_OBJECT_HANDLE key = object_make(c, OBJECT_AES);
	CK_BYTE right[64], other[64];
	CK_ULONG right_size = sizeof(right), other_size = sizeof(other);
	NEED_OK(c, c->p11->C_WrapKey(c->session, &mechanism, key, key, right, &right_size));
	parameter.ulDataLen = 999;
	EXPECT_RV(c, 295, c->p11->C_WrapKey(c->session, &mechanism, key, key, other, &other_size),
	          CKR_OK);
	EXPECT(c, 295, right_size == other_size && memcmp(right, other, right_size) == 0,
	       "with another ulDataLen the wrapped key is another one");
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add_arguments(struct check_list *list, enum crypto_verb verb, enum step step,
                          enum missing missing, const char *what)
{
	const struct crypto_verb_info *v = &crypto_verbs[verb];
	const enum tape_function_id ids[] = { v->single, v->update, v->final };
	struct check_row row = CHECK(arguments, NEED_USER,
	                             "a NULL pointer is refused and ends the operation", 314);
	if (ids[step] == TAPE_FN_COUNT)
		return;
	row.a = step;
	row.b = verb;
	row.d = missing;
	row.rules[1] = (unsigned short)step_rule(verb, step);
	check_add(list, row, "arguments/%s-%s", tape_functions[ids[step]].name.text, what);
}

static void add_all_arguments(struct check_list *list, enum crypto_verb verb)
{
	add_arguments(list, verb, STEP_SINGLE, NO_INPUT, "input");
	add_arguments(list, verb, STEP_UPDATE, NO_INPUT, "input");
	if (verb == VERB_VERIFY) {
		add_arguments(list, verb, STEP_SINGLE, NO_SIGNATURE, "signature");
		add_arguments(list, verb, STEP_FINAL, NO_SIGNATURE, "signature");
		return;
	}
	add_arguments(list, verb, STEP_SINGLE, NO_SIZE, "size");
	if (crypto_streams(verb))
		add_arguments(list, verb, STEP_UPDATE, NO_SIZE, "size");
	add_arguments(list, verb, STEP_FINAL, NO_SIZE, "size");
}

static void add_pairs(struct check_list *list, enum crypto_verb first, enum crypto_verb second)
{
	struct check_row row = CHECK(
		other_operation, NEED_USER,
		"an operation of one kind is none of another, and is not touched by its calls", 163,
		353);
	row.a = first;
	row.b = second;
	check_add(list, row, "other/%s-%s", crypto_verbs[first].name, crypto_verbs[second].name);
	row = CHECK(beside, NEED_USER, "an operation beside another: both work, or it is refused",
	            353, 162);
	row.a = first;
	row.b = second;
	check_add(list, row, "beside/%s-%s", crypto_verbs[first].name, crypto_verbs[second].name);
}

static void add_beginnings(struct check_list *list, enum crypto_verb verb)
{
	const char *name = tape_functions[crypto_verbs[verb].init].name.text;
	struct check_row row =
		CHECK(unknown_mechanism, NEED_USER, "an unknown mechanism is refused", 178, 163);
	row.b = verb;
	check_add(list, row, "mechanism-vendor/%s", name);
	row.d = 1;
	check_add(list, row, "mechanism-unknown/%s", name);
	if (verb == VERB_DIGEST)
		return;
	row = CHECK(not_a_key, NEED_USER, "an object that is no key is refused", 177);
	row.b = verb;
	row.d = OBJECT_DATA;
	check_add(list, row, "key-data/%s", name);
	row.d = OBJECT_CERTIFICATE;
	check_add(list, row, "key-certificate/%s", name);
	row = CHECK(not_allowed, NEED_USER, "a key is for the mechanisms that it says", 178);
	row.b = verb;
	check_add(list, row, "key-not-allowed/%s", name);
	row = CHECK(destroyed_key, NEED_USER, "a key that was destroyed is refused", 177);
	row.b = verb;
	check_add(list, row, "key-destroyed/%s", name);
}

static void add_meanwhile(struct check_list *list, enum crypto_verb verb)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(meanwhile_names); i++) {
		struct check_row row =
			CHECK(meanwhile, NEED_USER,
		              "what else is done meanwhile disturbs no operation", 353, 183);
		row.b = verb;
		row.d = i;
		check_add(list, row, "meanwhile/%s-%s", crypto_verbs[verb].name,
		          meanwhile_names[i]);
	}
}

static void add_not_for(struct check_list *list)
{
	CK_FLAGS all = 0;
	for (enum crypto_verb verb = VERB_DIGEST; verb < VERB_COUNT; verb++)
		all |= crypto_verbs[verb].flag;
	for (size_t i = 0; i < crypto_mechanism_count; i++) {
		struct check_row row =
			CHECK(not_for, NEED_USER,
		              "a mechanism is refused where it is not listed for", 93);
		row.a = i;
		row.mechanism = crypto_mechanisms[i].type;
		row.mechanism_flags = all;
		check_add(list, row, "not-for/%s", crypto_mechanisms[i].name);
	}
}

void suite_operation(struct check_list *list)
{
	for (enum crypto_verb verb = VERB_DIGEST; verb < VERB_COUNT; verb++) {
		add_all_arguments(list, verb);
		add_beginnings(list, verb);
		add_meanwhile(list, verb);
		for (enum crypto_verb other = VERB_DIGEST; other < VERB_COUNT; other++)
			if (other != verb)
				add_pairs(list, verb, other);
	}
	static const enum crypto_verb larges[] = { VERB_DIGEST, VERB_ENCRYPT, VERB_SIGN };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(larges); i++) {
		struct check_row row =
			CHECK(large, NEED_USER, "a megabyte at once is one in parts", 354);
		row.b = larges[i];
		check_add(list, row, "large/%s", crypto_verbs[larges[i]].name);
	}
	add_not_for(list);
	check_add(list,
	          CHECK(three, NEED_USER, "a search, a digest and a signature in one session", 164,
	                353),
	          "search-digest-sign");
	check_add(list,
	          CHECK(state_without, NEED_SESSION,
	                "without an operation there is none, saveable or not", 24),
	          "state-without");
	check_add(list,
	          CHECK(state_room, NEED_USER, "C_GetOperationState tells what room it needs", 36),
	          "state-room");
	struct check_row row =
		CHECK(ike_prf, NEED_USER, "data as key and a new key exclude each other", 294);
	row.mechanism = CKM_IKE_PRF_DERIVE;
	row.mechanism_flags = CKF_DERIVE;
	check_add(list, row, "ike-prf-both");
	row = CHECK(ccm_wrap, NEED_USER, "CCM wraps a key whatever ulDataLen says", 295);
	row.mechanism = CKM_AES_CCM;
	row.mechanism_flags = CKF_WRAP;
	check_add(list, row, "ccm-wrap-length");
}
