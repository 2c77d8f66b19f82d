/* SPDX-License-Identifier: MIT
 *
 * Which objects a session sees and changes, by its state (PKCS#11 3.1 §5.6, §5.7; Usage Guide, "Table access to
 * objects"). A family: kinds of objects × states × what is done.
 */
#include <string.h>

#include "suites/specimen.h"

/* ---- the table ------------------------------------------------------------------------------- */

enum state { RO_PUBLIC, RW_PUBLIC, RO_USER, RW_USER, RW_SO, STATES };
static const struct {
	const char *name;
	CK_STATE state;
} states[STATES] = {
	{ "ro-public", CKS_RO_PUBLIC_SESSION }, { "rw-public", CKS_RW_PUBLIC_SESSION },
	{ "ro-user", CKS_RO_USER_FUNCTIONS },   { "rw-user", CKS_RW_USER_FUNCTIONS },
	{ "rw-so", CKS_RW_SO_FUNCTIONS },
};

enum deed { SEE, READ, CHANGE, COPY, DESTROY, CREATE, DEEDS };
static const char *const deed_names[DEEDS] = {
	"see", "read", "change", "copy", "destroy", "create"
};

static const struct object {
	const char *name;
	bool is_token, is_private;
	unsigned short rule; /* its row of the table */
} objects[] = {
	{ "public-session", false, false, 138 },
	{ "private-session", false, true, 139 },
	{ "public-token", true, false, 140 },
	{ "private-token", true, true, 141 },
};

enum access { NO_ACCESS, READ_ONLY, READ_WRITE };

static enum access access_in(const struct object *object, enum state state)
{
	bool is_user = state == RO_USER || state == RW_USER;
	if (object->is_private && !is_user)
		return NO_ACCESS;
	if (object->is_token && (state == RO_PUBLIC || state == RO_USER))
		return READ_ONLY;
	return READ_WRITE;
}

/* ---- getting there --------------------------------------------------------------------------- */

static void enter(struct check *c, CK_SESSION_HANDLE session, CK_USER_TYPE user)
{
	if (!check_login(c, session, user))
		check_skip(c, user == CKU_SO
		                      ? "the security officer cannot be logged in (--so-pin-file)"
		                      : "the user cannot be logged in (--pin-file)");
}

static void fill(struct check *c, struct template *t, const struct object *object,
                 enum object_kind kind)
{
	object_template(c, t, kind);
	template_bool(t, CKA_TOKEN, object->is_token);
	template_bool(t, CKA_PRIVATE, object->is_private);
}

/*
 * As the user, in a session that may write: data, or what the token has instead. Leaves the user logged
 * in.
 */
static CK_OBJECT_HANDLE make(struct check *c, const struct object *object,
                             enum object_kind *ret_kind)
{
	const enum object_kind kinds[] = { OBJECT_DATA,
		                           object->is_private ? OBJECT_AES : OBJECT_CERTIFICATE };
	CK_OBJECT_HANDLE made = CK_INVALID_HANDLE;
	CK_RV rv = CKR_OK;
	struct template t;
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	enter(c, c->session, CKU_USER);
	if (object->is_token)
		object_sweep(c);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(kinds); i++) {
		*ret_kind = kinds[i];
		fill(c, &t, object, kinds[i]);
		rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &made);
		if (rv == CKR_OK)
			return made;
	}
	check_skip(c, "no %s object can be created: %s", object->name, check_rv_name(rv));
}

/* A session in the state; c->session is read-write, the user is logged in. */
static CK_SESSION_HANDLE go_to(struct check *c, enum state state)
{
	CK_SESSION_HANDLE session = c->session;
	CK_SESSION_INFO info;
	if (state == RO_PUBLIC || state == RW_PUBLIC || state == RW_SO)
		NEED_OK(c, c->p11->C_Logout(c->session));
	if (state == RW_SO)
		enter(c, c->session, CKU_SO);
	if (state == RO_PUBLIC || state == RO_USER)
		session = check_open(c, 0);
	NEED_OK(c, c->p11->C_GetSessionInfo(session, &info));
	if (info.state != states[state].state)
		check_skip(c, "the state %s is not reached, but %s", states[state].name,
		           check_name(TAPE_G_CKS, info.state));
	return session;
}

/* Token objects must not stay. */
static void tidy(struct check *c)
{
	(void)c->p11->C_Logout(c->session);
	if (check_login(c, c->session, CKU_USER))
		object_sweep(c);
}

/* ---- what is done ---------------------------------------------------------------------------- */

static bool is_seen(struct check *c, CK_SESSION_HANDLE session, bool as_private)
{
	CK_OBJECT_HANDLE found[4];
	CK_SESSION_HANDLE kept = c->session;
	struct template t;
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	if (as_private)
		template_bool(&t, CKA_PRIVATE, true);
	c->session = session;
	size_t count = object_find(c, &t, found, TAPE_ARRAY_SIZE(found));
	c->session = kept;
	return count != 0;
}

static CK_RV act(struct check *c, enum deed deed, CK_SESSION_HANDLE session,
                 CK_OBJECT_HANDLE object, const struct object *kind, enum object_kind of)
{
	CK_OBJECT_HANDLE other;
	struct template t;
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	switch (deed) {
	case READ:
		return c->p11->C_GetAttributeValue(session, object,
		                                   &(CK_ATTRIBUTE){ CKA_CLASS, NULL, 0 }, 1);
	case CHANGE:
		return c->p11->C_SetAttributeValue(session, object, t.entry, t.count);
	case COPY:
		return c->p11->C_CopyObject(session, object, t.entry, t.count, &other);
	case DESTROY:
		return c->p11->C_DestroyObject(session, object);
	default:
		fill(c, &t, kind, of);
		return c->p11->C_CreateObject(session, t.entry, t.count, &other);
	}
}

static void expect_no_access(struct check *c, enum deed deed, enum state state, CK_RV rv,
                             const struct object *kind)
{
	if (deed != CREATE) {
		/* After C_Logout the handle is none any more, in whatever session (§5.6.9). */
		EXPECT_CODE(c, rv == CKR_OK ? kind->rule : 145, deed_names[deed], rv,
		            CKR_OBJECT_HANDLE_INVALID);
		return;
	}
	if (kind->is_token && state == RO_PUBLIC &&
	    (rv == CKR_SESSION_READ_ONLY || rv == CKR_TOKEN_WRITE_PROTECTED))
		EXPECT_CODE(c, 143, "C_CreateObject", rv, CKR_SESSION_READ_ONLY,
		            CKR_TOKEN_WRITE_PROTECTED);
	else if (state == RW_SO)
		EXPECT_CODE(c, 144, "C_CreateObject", rv, CKR_USER_NOT_LOGGED_IN,
		            CKR_TEMPLATE_INCONSISTENT);
	else
		EXPECT_CODE(c, 144, "C_CreateObject", rv, CKR_USER_NOT_LOGGED_IN);
}

static void do_it(struct check *c)
{
	const struct object *kind = &objects[c->row->a];
	enum state state = (enum state)c->row->b;
	enum deed deed = (enum deed)c->row->d;
	enum access access = access_in(kind, state);
	enum object_kind of;
	CK_OBJECT_HANDLE object = make(c, kind, &of);
	CK_SESSION_HANDLE session = go_to(c, state);
	if (deed == SEE) {
		bool seen = is_seen(c, session, false);
		EXPECT(c, access == NO_ACCESS ? 252 : kind->rule, seen == (access != NO_ACCESS),
		       "in %s a search %s the %s object", states[state].name,
		       seen ? "finds" : "does not find", kind->name);
		EXPECT(c, 252, access != NO_ACCESS || !is_seen(c, session, true),
		       "in %s a search for CKA_PRIVATE true finds one", states[state].name);
		tidy(c);
		return;
	}
	CK_RV rv = act(c, deed, session, object, kind, of);
	if (kind->is_token)
		tidy(c);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED || (deed == CHANGE && rv == CKR_ATTRIBUTE_READ_ONLY))
		check_skip(c, "the token offers no %s: %s", deed_names[deed], check_rv_name(rv));
	if (access == NO_ACCESS)
		expect_no_access(c, deed, state, rv, kind);
	else if (access == READ_ONLY && deed != READ)
		EXPECT_CODE(c, 143, deed_names[deed], rv, CKR_SESSION_READ_ONLY,
		            CKR_TOKEN_WRITE_PROTECTED);
	else
		EXPECT_CODE(c, kind->rule, deed_names[deed], rv, CKR_OK);
}

/* ---- sessions -------------------------------------------------------------------------------- */

/* Every session of the application sees and changes what another one made, whether R/O or R/W. */
static void shared(struct check *c)
{
	CK_SESSION_HANDLE other = check_open(c, c->row->b == 0 ? 0 : CKF_RW_SESSION);
	CK_SESSION_HANDLE maker = c->session;
	CK_OBJECT_HANDLE object, found[64];
	struct template t;
	static struct snapshot one, two;
	static const CK_ATTRIBUTE_TYPE nothing[] = { CK_UNAVAILABLE_INFORMATION };
	object = specimen_make(c, c->row->a);
	snapshot_take(c, &one, object, c->row->a);
	c->session = other;
	snapshot_take(c, &two, object, c->row->a);
	EXPECT(c, 142, snapshot_differs(&one, &two, nothing) == fact_count,
	       "another session reads another value of %s",
	       fact_name(&facts[snapshot_differs(&one, &two, nothing) % fact_count]));
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, false);
	size_t count = object_find(c, &t, found, TAPE_ARRAY_SIZE(found));
	bool there = false;
	for (size_t i = 0; i < count; i++)
		there |= found[i] == object;
	EXPECT(c, 142, there, "another session does not find it by the same handle");
	template_clear(&t);
	template_text(&t, CKA_LABEL, "p11tape other");
	CK_RV rv = c->p11->C_SetAttributeValue(other, object, t.entry, t.count);
	c->session = maker;
	if (rv == CKR_ATTRIBUTE_READ_ONLY || rv == CKR_ACTION_PROHIBITED)
		check_skip(c, "the token modifies no label");
	EXPECT_CODE(c, 142, "C_SetAttributeValue", rv, CKR_OK);
	expect_value(c, 142, object, template_find(&t, CKA_LABEL));
}

/* What the Usage Guide of 3.2 permits, and the base text does not. */
static void read_only_session_of_so(struct check *c)
{
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
	CK_SESSION_INFO info;
	CK_RV rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
	check_note(c, "C_OpenSession, read-only, with the SO logged in returned %s",
	           check_rv_name(rv));
	EXPECT_CODE(c, 146, "C_OpenSession", rv, CKR_OK, CKR_SESSION_READ_WRITE_SO_EXISTS);
	if (rv != CKR_OK)
		return;
	NEED_OK(c, c->p11->C_GetSessionInfo(session, &info));
	EXPECT(c, 146, info.state == CKS_RO_PUBLIC_SESSION, "its state is %s",
	       check_name(TAPE_G_CKS, info.state));
}

/* A handle stays good while searches, logins and other objects come and go. */
static void handle_stays(struct check *c)
{
	static struct snapshot before, after;
	static const CK_ATTRIBUTE_TYPE nothing[] = { CK_UNAVAILABLE_INFORMATION };
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	snapshot_take(c, &before, object, c->row->a);
	for (int i = 0; i < 20; i++) {
		CK_OBJECT_HANDLE other = specimen_make(c, c->row->a);
		EXPECT(c, 214, other != object, "two objects have the handle %lu",
		       (unsigned long)object);
		(void)count_objects(c);
		if (i % 2 == 0)
			NEED_OK(c, c->p11->C_DestroyObject(c->session, other));
	}
	snapshot_take(c, &after, object, c->row->a);
	EXPECT(c, 214, snapshot_differs(&before, &after, nothing) == fact_count,
	       "the handle stands for something else");
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* A private key's handle after C_Logout: it is no key's any more. */
static void key_after_logout(struct check *c)
{
	CK_MECHANISM mechanism = { c->row->a == 0 ? CKM_AES_ECB : CKM_RSA_PKCS, NULL, 0 };
	if (target_mechanism(c->target, mechanism.mechanism) == NULL)
		check_skip(c, "the token does not list %s",
		           check_mechanism_name(mechanism.mechanism));
	CK_OBJECT_HANDLE key = object_make(c, c->row->a == 0 ? OBJECT_AES : OBJECT_RSA_PRIVATE);
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	if (!object_bool(c, key, CKA_PRIVATE))
		check_skip(c, "the key is no private object");
	NEED_OK(c, c->p11->C_Logout(c->session));
	CK_RV rv = c->row->a == 0 ? c->p11->C_EncryptInit(c->session, &mechanism, key)
	                          : c->p11->C_SignInit(c->session, &mechanism, key);
	EXPECT_CODE(c, 145, c->row->a == 0 ? "C_EncryptInit" : "C_SignInit", rv,
	            CKR_KEY_HANDLE_INVALID);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add_deeds(struct check_list *list, size_t o, unsigned int s)
{
	for (unsigned int deed = 0; deed < DEEDS; deed++) {
		struct check_row row = CHECK(do_it, NEED_RW, "the state says what may be done",
		                             objects[o].rule, 143, 144, 145, 252);
		row.a = o;
		row.b = s;
		row.d = deed;
		if (objects[o].is_token)
			row.needs |= NEED_DESTRUCTIVE;
		check_add(list, row, "%s/%s/%s", objects[o].name, states[s].name, deed_names[deed]);
	}
}

void suite_access(struct check_list *list)
{
	for (size_t o = 0; o < TAPE_ARRAY_SIZE(objects); o++)
		for (unsigned int s = 0; s < STATES; s++)
			add_deeds(list, o, s);
	for (size_t s = 0; s < specimen_count && specimens[s].is_full; s++) {
		struct check_row row = CHECK(shared, SPECIMEN_NEEDS,
		                             "every session has the same session objects", 142);
		row.a = s;
		row.b = 0;
		check_add(list, row, "shared/%s/read-only", specimens[s].name);
		row.b = 1;
		check_add(list, row, "shared/%s/read-write", specimens[s].name);
		row = CHECK(handle_stays, SPECIMEN_NEEDS, "a handle stands for one object", 214);
		row.a = s;
		check_add(list, row, "handle-stays/%s", specimens[s].name);
	}
	check_add(list,
	          CHECK(read_only_session_of_so, NEED_SO,
	                "a read-only session beside the SO's is refused, or a public one", 146),
	          "read-only-beside-so");
	for (size_t i = 0; i < 2; i++) {
		struct check_row row = CHECK(key_after_logout, SPECIMEN_NEEDS,
		                             "after C_Logout a private key is none", 145);
		row.a = i;
		check_add(list, row, "key-after-logout/%s", i == 0 ? "aes" : "rsa-private");
	}
}
