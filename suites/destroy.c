/* SPDX-License-Identifier: MIT
 *
 * C_DestroyObject and C_GetObjectSize (PKCS#11 3.1 §5.7.3, §5.7.4), and how long objects live.
 */
#include <string.h>

#include "suites/specimen.h"

/* ---- gone ------------------------------------------------------------------------------------ */

enum { CALL_GET, CALL_SET, CALL_COPY, CALL_DESTROY, CALL_SIZE, CALL_COUNT };
static const char *const call_names[CALL_COUNT] = { "C_GetAttributeValue", "C_SetAttributeValue",
	                                            "C_CopyObject", "C_DestroyObject",
	                                            "C_GetObjectSize" };

static CK_RV call(struct check *c, size_t which, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	CK_OBJECT_HANDLE copy;
	CK_ULONG size;
	struct template t;
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	switch (which) {
	case CALL_GET:
		return c->p11->C_GetAttributeValue(session, object,
		                                   &(CK_ATTRIBUTE){ CKA_CLASS, NULL, 0 }, 1);
	case CALL_SET:
		return c->p11->C_SetAttributeValue(session, object, t.entry, t.count);
	case CALL_COPY:
		return c->p11->C_CopyObject(session, object, t.entry, t.count, &copy);
	case CALL_SIZE:
		return c->p11->C_GetObjectSize(session, object, &size);
	default:
		return c->p11->C_DestroyObject(session, object);
	}
}

static void gone(struct check *c)
{
	CK_SESSION_HANDLE other = check_open(c, CKF_RW_SESSION);
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	size_t before = count_objects(c);
	CK_RV rv = c->p11->C_DestroyObject(c->session, object);
	NEED_OK(c, rv);
	rv = call(c, c->row->b, c->session, object);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "%s is not supported", call_names[c->row->b]);
	EXPECT_CODE(c, 236, call_names[c->row->b], rv, CKR_OBJECT_HANDLE_INVALID);
	EXPECT_CODE(c, 236, call_names[c->row->b], call(c, c->row->b, other, object),
	            CKR_OBJECT_HANDLE_INVALID);
	EXPECT(c, 236, count_objects(c) == before - 1,
	       "after C_DestroyObject there are %zu objects where %zu were", count_objects(c),
	       before);
}

/* What a key would have been used for. */
static const struct use {
	const char *name;
	enum tape_function_id id;
	enum object_kind kind;
	CK_MECHANISM_TYPE mechanism;
} uses[] = {
	{ "C_EncryptInit", TAPE_FN_C_EncryptInit, OBJECT_AES, CKM_AES_ECB },
	{ "C_DecryptInit", TAPE_FN_C_DecryptInit, OBJECT_AES, CKM_AES_ECB },
	{ "C_SignInit", TAPE_FN_C_SignInit, OBJECT_RSA_PRIVATE, CKM_RSA_PKCS },
	{ "C_VerifyInit", TAPE_FN_C_VerifyInit, OBJECT_RSA_PUBLIC, CKM_RSA_PKCS },
	{ "C_SignInit-hmac", TAPE_FN_C_SignInit, OBJECT_SECRET, CKM_SHA256_HMAC },
	{ "C_EncryptInit-rsa", TAPE_FN_C_EncryptInit, OBJECT_RSA_PUBLIC, CKM_RSA_PKCS },
	{ "C_DecryptInit-rsa", TAPE_FN_C_DecryptInit, OBJECT_RSA_PRIVATE, CKM_RSA_PKCS },
};

static CK_RV begin(struct check *c, const struct use *use, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM mechanism = { use->mechanism, NULL, 0 };
	uintptr_t words[TAPE_MAX_WORDS] = { c->session, (uintptr_t)&mechanism, key };
	return check_call(c, use->id, words);
}

static void gone_key(struct check *c)
{
	const struct use *use = &uses[c->row->b];
	CK_OBJECT_HANDLE key = object_make(c, use->kind);
	CK_OBJECT_HANDLE spare = object_make(c, use->kind);
	CK_SESSION_HANDLE session = c->session;
	/* That the operation works with a key that is there is tried in a session of its own. */
	c->session = check_open(c, CKF_RW_SESSION);
	NEED_OK(c, begin(c, use, spare));
	NEED_OK(c, c->p11->C_CloseSession(c->session));
	c->session = session;
	NEED_OK(c, c->p11->C_DestroyObject(c->session, key));
	CK_RV rv = begin(c, use, key);
	if (rv == CKR_OBJECT_HANDLE_INVALID) {
		DEVIATION(c, 236,
		          "%s returned CKR_OBJECT_HANDLE_INVALID, expected CKR_KEY_HANDLE_INVALID",
		          use->name);
		return;
	}
	EXPECT_CODE(c, 236, use->name, rv, CKR_KEY_HANDLE_INVALID);
}

/* A key that is destroyed while it is used: what comes of the operation is open, but not the session. */
static void in_use(struct check *c)
{
	const struct use *use = &uses[c->row->b];
	CK_OBJECT_HANDLE key = object_make(c, use->kind);
	CK_BYTE data[32] = { 0 }, out[512];
	CK_ULONG size = sizeof(out);
	CK_SESSION_INFO info;
	NEED_OK(c, begin(c, use, key));
	CK_RV rv = c->p11->C_DestroyObject(c->session, key);
	check_note(c, "C_DestroyObject of a key in use returned %s", check_rv_name(rv));
	if (use->id == TAPE_FN_C_SignInit)
		rv = c->p11->C_Sign(c->session, data, sizeof(data), out, &size);
	else if (use->id == TAPE_FN_C_EncryptInit)
		rv = c->p11->C_Encrypt(c->session, data, sizeof(data), out, &size);
	else if (use->id == TAPE_FN_C_DecryptInit)
		rv = c->p11->C_Decrypt(c->session, data, sizeof(data), out, &size);
	else
		rv = c->p11->C_Verify(c->session, data, sizeof(data), out, 256);
	check_note(c, "going on with %s returned %s", use->name, check_rv_name(rv));
	EXPECT_RV(c, 236, c->p11->C_GetSessionInfo(c->session, &info), CKR_OK);
}

/* ---- what is not destroyed ------------------------------------------------------------------- */

static void not_destroyable(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_bool(&t, CKA_DESTROYABLE, false);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv != CKR_OK)
		check_skip(c, "no object with CKA_DESTROYABLE false is created: %s",
		           check_rv_name(rv));
	rv = c->p11->C_DestroyObject(c->session, object);
	EXPECT_REFUSED(c, 235, "C_DestroyObject", rv, CKR_ACTION_PROHIBITED);
	EXPECT(c, 235, call(c, CALL_GET, c->session, object) == CKR_OK,
	       "C_DestroyObject returned %s, yet the object is gone", check_rv_name(rv));
}

static void others_stay(struct check *c)
{
	CK_OBJECT_HANDLE one = specimen_make(c, c->row->a), two = specimen_make(c, c->row->a);
	CK_OBJECT_HANDLE three = specimen_make(c, c->row->a);
	static struct snapshot before, after;
	static const CK_ATTRIBUTE_TYPE nothing[] = { CK_UNAVAILABLE_INFORMATION };
	snapshot_take(c, &before, three, c->row->a);
	NEED_OK(c, c->p11->C_DestroyObject(c->session, two));
	EXPECT_CODE(c, 214, "C_GetAttributeValue", call(c, CALL_GET, c->session, one), CKR_OK);
	snapshot_take(c, &after, three, c->row->a);
	EXPECT(c, 214, snapshot_differs(&before, &after, nothing) == fact_count,
	       "another object has changed");
}

/* Through another session than the one that created it. */
static void by_another_session(struct check *c)
{
	CK_SESSION_HANDLE other = check_open(c, CKF_RW_SESSION);
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	EXPECT_RV(c, 142, c->p11->C_DestroyObject(other, object), CKR_OK);
	EXPECT_CODE(c, 236, "C_GetAttributeValue", call(c, CALL_GET, c->session, object),
	            CKR_OBJECT_HANDLE_INVALID);
}

/* ---- token objects --------------------------------------------------------------------------- */

static CK_OBJECT_HANDLE make_token_object(struct check *c)
{
	struct template t;
	specimen_template(c, &t, c->row->a);
	template_bool(&t, CKA_TOKEN, true);
	return object_create(c, &t);
}

/* End the library and begin anew, as another process would. */
static void restart(struct check *c)
{
	NEED_OK(c, check_finalize(c));
	NEED_OK(c, check_initialize(c));
	c->session = check_open(c, CKF_RW_SESSION);
	if (!check_login(c, c->session, CKU_USER) &&
	    (c->target->token_info.flags & CKF_LOGIN_REQUIRED) != 0)
		check_skip(c, "the user cannot log in a second time");
}

static void outlives(struct check *c)
{
	static struct snapshot before, after;
	static const CK_ATTRIBUTE_TYPE nothing[] = { CK_UNAVAILABLE_INFORMATION };
	struct template t;
	CK_OBJECT_HANDLE found[2];
	object_sweep(c);
	snapshot_take(c, &before, make_token_object(c), c->row->a);
	restart(c);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, true);
	size_t count = object_find(c, &t, found, 2);
	EXPECT(c, 323, count == 1, "after C_Finalize and C_Initialize there are %zu such objects",
	       count);
	snapshot_take(c, &after, found[0], c->row->a);
	size_t at = snapshot_differs(&before, &after, nothing);
	EXPECT(c, 323, at == fact_count, "%s is not what it was before C_Finalize",
	       fact_name(&facts[at == fact_count ? 0 : at]));
	object_sweep(c);
}

static void destroyed_for_good(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[2];
	object_sweep(c);
	NEED_OK(c, c->p11->C_DestroyObject(c->session, make_token_object(c)));
	restart(c);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	size_t count = object_find(c, &t, found, 2);
	EXPECT(c, 236, count == 0, "after C_Finalize and C_Initialize the object is back");
}

static void session_object_ends(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[2];
	specimen_create(c, c->row->a);
	restart(c);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, false);
	size_t count = object_find(c, &t, found, 2);
	EXPECT(c, 323, count == 0, "after C_Finalize and C_Initialize the session object is there");
}

/* ---- size ------------------------------------------------------------------------------------ */

static void size(struct check *c)
{
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	CK_ULONG *size = check_buffer(c, sizeof(*size)), poison = *size;
	CK_RV rv = c->p11->C_GetObjectSize(c->session, object, size);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetObjectSize is not supported");
	EXPECT_CODE(c, 237, "C_GetObjectSize", rv, CKR_OK, CKR_INFORMATION_SENSITIVE);
	if (rv != CKR_OK)
		check_note(c, "C_GetObjectSize returned %s", check_rv_name(rv));
	else
		EXPECT(c, 237, *size != poison, "C_GetObjectSize says nothing");
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add(struct check_list *list, struct check_row row, size_t specimen, uintptr_t b,
                const char *family, const char *member)
{
	row.needs |= SPECIMEN_NEEDS;
	row.a = specimen;
	row.b = b;
	check_add(list, row, member == NULL ? "%s/%s" : "%s/%s/%s", family,
	          specimens[specimen].name, member);
}

void suite_destroy(struct check_list *list)
{
	for (size_t s = 0; s < specimen_count; s++) {
		for (size_t i = 0; i < CALL_COUNT; i++)
			if (specimens[s].is_full || i == CALL_GET)
				add(list, CHECK(gone, 0, "its handle means nothing then", 236), s,
				    i, "gone", call_names[i]);
		add(list, CHECK(size, 0, "a size is told, or is sensitive", 237), s, 0, "size",
		    NULL);
		if (!specimens[s].is_full)
			continue;
		add(list, CHECK(not_destroyable, 0, "what is not destroyable stays", 235), s, 0,
		    "not-destroyable", NULL);
		add(list, CHECK(others_stay, 0, "those that are like it stay", 214), s, 0,
		    "others-stay", NULL);
		add(list, CHECK(by_another_session, 0, "any session may destroy it", 142, 236), s,
		    0, "by-another-session", NULL);
		add(list,
		    CHECK(outlives, NEED_DESTRUCTIVE, "a token object is there after a restart",
		          323),
		    s, 0, "outlives", NULL);
		add(list,
		    CHECK(destroyed_for_good, NEED_DESTRUCTIVE,
		          "a destroyed token object is not there after a restart", 236),
		    s, 0, "destroyed-for-good", NULL);
		add(list,
		    CHECK(session_object_ends, 0, "a session object ends with the library", 323), s,
		    0, "session-object-ends", NULL);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(uses); i++) {
		struct check_row row =
			CHECK(gone_key, SPECIMEN_NEEDS, "a destroyed key begins no operation", 236);
		row.b = i;
		check_add(list, row, "gone-key/%s", uses[i].name);
		row = CHECK(in_use, SPECIMEN_NEEDS, "a key that is destroyed in use does no harm",
		            236);
		row.b = i;
		check_add(list, row, "in-use/%s", uses[i].name);
	}
}
