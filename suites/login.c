/* SPDX-License-Identifier: MIT
 *
 * C_Login, C_LoginUser and C_Logout: who may log in when, and what becomes of all sessions of the application
 * (PKCS#11 3.1 §5.6.8 to §5.6.10; Usage Guide, "Session states").
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites/check.h"
#include "suites/objects.h"
#include "suites/states.h"

/* ---- the table of states ----------------------------------------------------------------------------- */

static const struct user_type {
	const char *name;
	CK_USER_TYPE type;
} user_types[] = {
	{ "CKU_SO", CKU_SO },
	{ "CKU_USER", CKU_USER },
	{ "CKU_CONTEXT_SPECIFIC", CKU_CONTEXT_SPECIFIC },
	{ "3", 3 },
	{ "77", 77 },
	{ "max", CK_UNAVAILABLE_INFORMATION },
};

static bool is_known(CK_USER_TYPE type)
{
	return type == CKU_SO || type == CKU_USER || type == CKU_CONTEXT_SPECIFIC;
}

/* How a login is asked for: C_Login, or C_LoginUser with a name. */
enum way { BY_LOGIN, BY_LOGIN_USER };

static const char *function_name(const struct check *c)
{
	return c->row->d == BY_LOGIN ? "C_Login" : "C_LoginUser";
}

static CK_RV login_with(struct check *c, CK_SESSION_HANDLE session, CK_USER_TYPE type,
                        const char *pin, size_t length)
{
	char copy[TARGET_PIN_SIZE * 2] = "";
	memcpy(copy, pin, length);
	int lock = check_lock();
	CK_RV rv = c->row->d == BY_LOGIN
	                   ? c->p11->C_Login(session, type, (CK_UTF8CHAR_PTR)copy, length)
	                   : c->p30->C_LoginUser(session, type, (CK_UTF8CHAR_PTR)copy, length, NULL,
	                                         0);
	check_unlock(lock);
	if (c->row->d == BY_LOGIN)
		return rv;
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_LoginUser is not supported");
	return rv;
}

/* A PIN of the user's own is needed where the login may succeed: no wrong one is presented. */
static const char *need_pin(struct check *c, CK_USER_TYPE type)
{
	bool works = type == CKU_SO ? c->target->so_logs_in : c->target->user_logs_in;
	if (!states_has_login(c))
		check_skip(c, "the token wants no login");
	if ((c->target->token_info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0)
		check_skip(c, "the token asks for the PIN itself");
	if (!works)
		check_skip(c, "no PIN of %s is known to work",
		           type == CKU_SO ? "the security officer (--so-pin-file)"
		                          : "the user (--pin-file)");
	return states_pin(c, type);
}

static void need_login(struct check *c)
{
	if (!states_has_login(c))
		check_skip(c, "the token wants no login");
}

/* What the text says of a login in a situation; a second code where two are true at once. */
static CK_RV expected_login(const struct situation *situation, CK_USER_TYPE type, CK_RV *ret_other,
                            unsigned int *ret_rule)
{
	*ret_other = CKR_OK;
	if (!is_known(type)) {
		*ret_rule = 122;
		return CKR_USER_TYPE_INVALID;
	}
	if (type == CKU_CONTEXT_SPECIFIC) {
		*ret_rule = 125;
		return CKR_OPERATION_NOT_INITIALIZED;
	}
	if (situation->login != LOGIN_NOBODY) {
		bool same = (situation->login == LOGIN_OFFICER) == (type == CKU_SO);
		*ret_rule = 120;
		if (type == CKU_SO && situation->ro)
			*ret_other = CKR_SESSION_READ_ONLY_EXISTS;
		return same ? CKR_USER_ALREADY_LOGGED_IN : CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
	}
	if (type == CKU_SO && situation->ro) {
		*ret_rule = 119;
		return CKR_SESSION_READ_ONLY_EXISTS;
	}
	*ret_rule = 137;
	return CKR_OK;
}

/*
 * What a module may say of a type that is no user's, where somebody is logged in: that comes first or last
 * (§5.1.7). Without an operation a module that knows no context-specific login says so in its own way.
 */
static bool is_other_answer(struct check *c, const struct situation *situation, CK_USER_TYPE type,
                            CK_RV rv)
{
	bool already =
		situation->login != LOGIN_NOBODY &&
		(rv == CKR_USER_ALREADY_LOGGED_IN || rv == CKR_USER_ANOTHER_ALREADY_LOGGED_IN);
	if (!is_known(type) && already) {
		check_note(c,
		           "that somebody is logged in is said before that there is no such user");
		return true;
	}
	if (type == CKU_CONTEXT_SPECIFIC &&
	    (already || rv == CKR_USER_TYPE_INVALID || rv == CKR_USER_NOT_LOGGED_IN)) {
		DEVIATION(c, 125, "%s returned %s, expected CKR_OPERATION_NOT_INITIALIZED",
		          function_name(c), check_rv_name(rv));
		return true;
	}
	return false;
}

/* Read-only and read-write sessions have a rule each. */
static unsigned short state_rule(const struct situation *situation)
{
	return situation->ro ? 135 : 136;
}

/* C_LoginUser is asked for users without a name: not every token has such. */
static void need_login_user(struct check *c, const char *pin)
{
	CK_SESSION_HANDLE session = check_open(c, CKF_RW_SESSION);
	CK_RV rv = login_with(c, session, CKU_USER, pin, strlen(pin));
	(void)c->p11->C_CloseSession(session);
	if (rv != CKR_OK)
		check_skip(c, "C_LoginUser without a name returned %s", check_rv_name(rv));
}

static void login_table(struct check *c)
{
	const struct situation *situation = &situations[c->row->a];
	CK_USER_TYPE type = user_types[c->row->b].type;
	const char *pin = need_pin(c, type == CKU_SO ? CKU_SO : CKU_USER);
	struct sessions sessions;
	CK_RV other;
	unsigned int rule;
	enum login after = situation->login;
	if (c->row->d == BY_LOGIN_USER)
		need_login_user(c, need_pin(c, CKU_USER));
	states_enter(c, situation, &sessions);
	states_expect(c, state_rule(situation), &sessions, situation->login);
	CK_RV expected = expected_login(situation, type, &other, &rule);
	CK_RV rv = login_with(c, c->session, type, pin, strlen(pin));
	if (is_other_answer(c, situation, type, rv)) {
		states_expect(c, 118, &sessions, situation->login);
		return;
	}
	if (rule == 119 && rv == CKR_OK) {
		/* The Usage Guide of 3.2 lets read-only sessions stay, and be public ones. */
		if (c->target->spec >= SPEC(3, 2))
			OBSERVE(c, 146, "the security officer logs in beside a read-only session");
		else
			DEVIATION(c, 119,
			          "the security officer logs in beside a read-only session");
		states_expect(c, 146, &sessions, LOGIN_OFFICER);
		return;
	}
	if (other == CKR_OK || rv != other)
		EXPECT_CODE(c, rule, function_name(c), rv, expected);
	if (rv == CKR_OK)
		after = type == CKU_SO ? LOGIN_OFFICER : LOGIN_USER;
	/* All sessions changed, or none. C_LoginUser obeys the same rules. */
	states_expect(c, c->row->d == BY_LOGIN_USER ? 133 : 118, &sessions, after);
	/* And one that is opened now is as the others are. */
	CK_SESSION_HANDLE late = check_open(c, CKF_RW_SESSION);
	states_expect(c, 109, &(struct sessions){ CK_INVALID_HANDLE, late }, after);
}

static void logout_table(struct check *c)
{
	const struct situation *situation = &situations[c->row->a];
	struct sessions sessions;
	states_enter(c, situation, &sessions);
	CK_RV rv = c->p11->C_Logout(
		c->row->b == 0 || sessions.ro == CK_INVALID_HANDLE ? c->session : sessions.ro);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_Logout is not supported");
	if (situation->login == LOGIN_NOBODY)
		EXPECT_CODE(c, 130, "C_Logout", rv, CKR_USER_NOT_LOGGED_IN);
	else
		EXPECT_CODE(c, 137, "C_Logout", rv, CKR_OK);
	states_expect(c, 118, &sessions, LOGIN_NOBODY);
	CK_SESSION_HANDLE late = check_open(c, 0);
	states_expect(c, 109, &(struct sessions){ late, CK_INVALID_HANDLE }, LOGIN_NOBODY);
}

static void logout_twice(struct check *c)
{
	need_login(c);
	EXPECT_RV(c, 137, c->p11->C_Logout(c->session), CKR_OK);
	EXPECT_RV(c, 130, c->p11->C_Logout(c->session), CKR_USER_NOT_LOGGED_IN);
}

/* Login through one session, logout through another, and again. */
static void across_sessions(struct check *c)
{
	struct sessions sessions;
	need_login(c);
	states_enter(c, &situations[2], &sessions);
	for (int i = 0; i < 3; i++) {
		if (!check_login(c, (i & 1) == 0 ? sessions.ro : sessions.rw, CKU_USER))
			check_skip(c, "the user cannot be logged in without a PIN (--pin-file)");
		states_expect(c, 118, &sessions, LOGIN_USER);
		EXPECT_RV(c, 118, c->p11->C_Logout((i & 1) == 0 ? sessions.rw : sessions.ro),
		          CKR_OK);
		states_expect(c, 118, &sessions, LOGIN_NOBODY);
	}
}

static void one_after_other(struct check *c)
{
	struct sessions sessions;
	(void)need_pin(c, CKU_SO);
	(void)need_pin(c, CKU_USER);
	states_enter(c, &situations[1], &sessions);
	for (int i = 0; i < 4; i++) {
		bool so = (i & 1) != 0;
		EXPECT(c, 137, check_login(c, c->session, so ? CKU_SO : CKU_USER),
		       "after a logout %s cannot log in", so ? "the security officer" : "the user");
		states_expect(c, 137, &sessions, so ? LOGIN_OFFICER : LOGIN_USER);
		EXPECT_RV(c, 137, c->p11->C_Logout(c->session), CKR_OK);
		states_expect(c, 137, &sessions, LOGIN_NOBODY);
	}
}

/* Another process is another application (Usage Guide): its login is its own. */
static void other_process(struct check *c)
{
	int status;
	if (!states_has_login(c))
		check_skip(c, "the token wants no login");
	pid_t child = fork();
	if (child == 0) {
		CK_SESSION_HANDLE session;
		CK_SESSION_INFO info;
		CK_RV rv = check_begin_anew(c, &session);
		if (rv != CKR_OK || c->p11->C_GetSessionInfo(session, &info) != CKR_OK)
			_exit(2);
		_exit(info.state == CKS_RO_PUBLIC_SESSION ? 0 : 1);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		check_error(c, "no process can be made");
	if (!WIFEXITED(status) || WEXITSTATUS(status) == 2)
		check_skip(c, "a forked process cannot open a session of its own");
	EXPECT(c, 57, WEXITSTATUS(status) == 0, "the user is logged in in another process, too");
	states_expect(c, 57, &(struct sessions){ c->session, CK_INVALID_HANDLE }, LOGIN_USER);
}

static void last_session(struct check *c)
{
	struct sessions sessions;
	states_enter(c, &situations[c->row->a], &sessions);
	/* While one is left the login is, too. */
	CK_SESSION_HANDLE extra = check_open(c, CKF_RW_SESSION);
	EXPECT_RV(c, 112, c->p11->C_CloseSession(c->session), CKR_OK);
	states_expect(c, 112, &(struct sessions){ CK_INVALID_HANDLE, extra },
	              situations[c->row->a].login);
	EXPECT_RV(c, 112, c->p11->C_CloseSession(extra), CKR_OK);
	c->session = CK_INVALID_HANDLE;
	CK_SESSION_HANDLE session = check_open(c, 0);
	states_expect(c, 112, &(struct sessions){ session, CK_INVALID_HANDLE }, LOGIN_NOBODY);
	EXPECT(c, 112, !c->target->user_logs_in || check_login(c, session, CKU_USER),
	       "after the last session was closed the user cannot log in");
}

/* ---- PINs that are not the PIN ----------------------------------------------------------------------- */

/* One that is near to the right one, so that what looks at part of it only is found out. */
enum wrong {
	WRONG_OTHER,
	WRONG_SHORTER,
	WRONG_LONGER,
	WRONG_ZERO,
	WRONG_TAIL,
	WRONG_EMPTY,
	WRONG_LONG
};

static const char *const wrong_names[] = { "other",         "part",  "longer",   "with-zero",
	                                   "zero-and-more", "empty", "very-long" };

static size_t make_wrong(enum wrong how, const char *pin, char wrong[TARGET_PIN_SIZE * 2])
{
	size_t length = strlen(pin);
	memset(wrong, 'x', (size_t)TARGET_PIN_SIZE * 2);
	memcpy(wrong, pin, length);
	switch (how) {
	case WRONG_OTHER:
		wrong[length - 1] = (char)(wrong[length - 1] == '7' ? '8' : '7');
		return length;
	case WRONG_SHORTER:
		return length - 1;
	case WRONG_LONGER:
		return length + 1;
	case WRONG_ZERO:
		wrong[length] = 0;
		return length + 1;
	case WRONG_TAIL:
		wrong[length] = 0;
		return length + 4;
	case WRONG_EMPTY:
		return 0;
	default:
		return 300;
	}
}

static CK_FLAGS pin_flags(struct check *c)
{
	CK_TOKEN_INFO info;
	NEED_OK(c, c->p11->C_GetTokenInfo(c->slot, &info));
	return info.flags;
}

/* No wrong PIN where one has been tried before, and the right one may not follow in time. */
static void spare(struct check *c, CK_USER_TYPE type)
{
	CK_FLAGS danger =
		type == CKU_SO
			? CKF_SO_PIN_COUNT_LOW | CKF_SO_PIN_FINAL_TRY | CKF_SO_PIN_LOCKED
			: CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
	if ((pin_flags(c) & danger) != 0)
		check_skip(c, "a wrong PIN was presented before");
}

static void wrong_pin(struct check *c)
{
	CK_USER_TYPE type = (CK_USER_TYPE)c->row->b;
	const char *pin = need_pin(c, type);
	char wrong[TARGET_PIN_SIZE * 2];
	spare(c, type);
	c->session = check_open(c, CKF_RW_SESSION);
	size_t length = make_wrong((enum wrong)c->row->a, pin, wrong);
	CK_RV rv = login_with(c, c->session, type, wrong, length);
	CK_FLAGS after = pin_flags(c);
	CK_SESSION_INFO info = { 0 };
	CK_RV got = c->p11->C_GetSessionInfo(c->session, &info);
	/* Whatever was found: the right PIN takes back what the wrong one did. */
	CK_RV again = rv == CKR_OK ? CKR_OK : login_with(c, c->session, type, pin, strlen(pin));
	CK_FLAGS restored = pin_flags(c);
	check_forgiven(c, after, restored);
	/* Some take a PIN to end at a zero, and C programs to have one: the zero alone is tolerated. */
	if (rv == CKR_OK && c->row->a == WRONG_ZERO) {
		DEVIATION(c, 123, "the PIN with a zero behind it logs in");
		return;
	}
	EXPECT(c, 123, rv != CKR_OK, "a PIN that is not the PIN logs in");
	if (rv == CKR_PIN_LEN_RANGE || rv == CKR_PIN_INVALID)
		DEVIATION(c, 101, "%s returned %s, which is for setting a PIN", function_name(c),
		          check_rv_name(rv));
	else if (rv == CKR_ARGUMENTS_BAD && (length == 0 || length > TARGET_PIN_SIZE))
		check_note(c, "such a PIN gives CKR_ARGUMENTS_BAD");
	else
		EXPECT_CODE(c, 123, function_name(c), rv, CKR_PIN_INCORRECT);
	EXPECT_CODE(c, 123, "C_GetSessionInfo", got, CKR_OK);
	EXPECT(c, 123, info.state == CKS_RW_PUBLIC_SESSION,
	       "after a login that failed the state is %s", check_name(TAPE_G_CKS, info.state));
	EXPECT_CODE(c, 123, function_name(c), again, CKR_OK);
	CK_FLAGS low = type == CKU_SO ? CKF_SO_PIN_COUNT_LOW : CKF_USER_PIN_COUNT_LOW;
	/* The token may count (§3.2.3): then it also forgets (SHOULD of people, MUST of none). */
	if ((after & low) == 0)
		check_note(c, "a wrong PIN is not seen in the token's flags");
	EXPECT(c, 344, (restored & low) == 0,
	       "a wrong PIN is seen in the token's flags after the right one was presented");
}

static void wrong_while_logged_in(struct check *c)
{
	char wrong[TARGET_PIN_SIZE * 2];
	const char *pin = need_pin(c, CKU_USER);
	size_t length = make_wrong(WRONG_OTHER, pin, wrong);
	if (!check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in");
	CK_RV rv = login_with(c, c->session, CKU_USER, wrong, length);
	(void)c->p11->C_Logout(c->session);
	bool again = check_login(c, c->session, CKU_USER);
	/* Who is in is not asked for the PIN; which of the two is said is open (§5.1.7). */
	EXPECT(c, 120, rv == CKR_USER_ALREADY_LOGGED_IN || rv == CKR_PIN_INCORRECT,
	       "a wrong PIN of who is logged in gives %s", check_rv_name(rv));
	EXPECT(c, 123, again, "the user cannot log in again");
}

static void null_pin(struct check *c)
{
	(void)need_pin(c, CKU_USER);
	CK_RV rv = c->p11->C_Login(c->session, CKU_USER, NULL, c->row->a);
	(void)c->p11->C_Logout(c->session);
	bool again = check_login(c, c->session, CKU_USER);
	EXPECT(c, 102, rv != CKR_OK, "no PIN logs in");
	EXPECT(c, 123, again, "the user cannot log in again");
	if (rv != CKR_ARGUMENTS_BAD && rv != CKR_PIN_INCORRECT)
		check_note(c, "a login without a PIN gives %s", check_rv_name(rv));
}

/* ---- the user that is none yet ----------------------------------------------------------------------- */

static void no_user_pin(struct check *c)
{
	if ((c->target->token_info.flags & CKF_USER_PIN_INITIALIZED) != 0)
		check_skip(c, "the token has a user PIN");
	if (!states_has_login(c))
		check_skip(c, "the token wants no login");
	EXPECT_RV(c, 121,
	          c->p11->C_Login(c->session, CKU_USER, (CK_UTF8CHAR_PTR)(uintptr_t) "0000", 4),
	          CKR_USER_PIN_NOT_INITIALIZED);
}

/* ---- what a logout does to objects ------------------------------------------------------------------- */

static CK_OBJECT_HANDLE make_private(struct check *c, enum object_kind kind)
{
	struct template t;
	object_template(c, &t, kind);
	template_bool(&t, CKA_PRIVATE, true);
	return object_create(c, &t);
}

static CK_RV read_class(struct check *c, CK_OBJECT_HANDLE object)
{
	CK_BYTE class[sizeof(CK_ULONG)];
	CK_ULONG size;
	return object_read(c, object, CKA_CLASS, class, sizeof(class), &size);
}

static void expect_gone(struct check *c, CK_OBJECT_HANDLE object)
{
	CK_RV rv = read_class(c, object);
	EXPECT_CODE(c, rv == CKR_OK ? 131 : 145, "C_GetAttributeValue", rv,
	            CKR_OBJECT_HANDLE_INVALID);
}

static void private_objects_go(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[1];
	need_login(c);
	CK_OBJECT_HANDLE object = make_private(c, (enum object_kind)c->row->a);
	EXPECT_CODE(c, 131, "C_GetAttributeValue", read_class(c, object), CKR_OK);
	EXPECT_RV(c, 131, c->p11->C_Logout(c->session), CKR_OK);
	expect_gone(c, object);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, false);
	EXPECT(c, 145, object_find(c, &t, found, 1) == 0,
	       "a search in a public session finds the private object");
	if (!check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in again");
	EXPECT_CODE(c, 131, "C_GetAttributeValue", read_class(c, object),
	            CKR_OBJECT_HANDLE_INVALID);
	EXPECT(c, 131, object_find(c, &t, found, 1) == 0,
	       "a private session object is there after a logout and a new login");
}

static void public_objects_stay(struct check *c)
{
	struct template t;
	need_login(c);
	object_template(c, &t, (enum object_kind)c->row->a);
	template_bool(&t, CKA_PRIVATE, false);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	EXPECT_RV(c, 131, c->p11->C_Logout(c->session), CKR_OK);
	EXPECT_CODE(c, 138, "C_GetAttributeValue", read_class(c, object), CKR_OK);
	if (!check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in again");
	EXPECT_CODE(c, 138, "C_GetAttributeValue", read_class(c, object), CKR_OK);
}

/* A private object of the token outlives the logout; the handle to it does not (§5.6.10). */
static void private_token_object(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[2];
	need_login(c);
	object_template(c, &t, (enum object_kind)c->row->a);
	template_bool(&t, CKA_PRIVATE, true);
	template_bool(&t, CKA_TOKEN, true);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	EXPECT_RV(c, 131, c->p11->C_Logout(c->session), CKR_OK);
	expect_gone(c, object);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	EXPECT(c, 145, object_find(c, &t, found, 2) == 0,
	       "a search in a public session finds the private token object");
	if (!check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in again");
	/* Before it is found again: a token may give it its old handle then. */
	EXPECT_CODE(c, 131, "C_GetAttributeValue", read_class(c, object),
	            CKR_OBJECT_HANDLE_INVALID);
	EXPECT(c, 131, object_find(c, &t, found, 2) == 1,
	       "a private token object is not found after a logout and a new login");
}

static void private_refused(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	struct sessions sessions;
	const struct situation *situation = &situations[c->row->b];
	need_login(c);
	states_enter(c, situation, &sessions);
	object_template(c, &t, (enum object_kind)c->row->a);
	template_bool(&t, CKA_PRIVATE, true);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_CreateObject is not supported");
	if (situation->login == LOGIN_OFFICER)
		EXPECT_CODE(c, 144, "C_CreateObject", rv, CKR_USER_NOT_LOGGED_IN,
		            CKR_TEMPLATE_INCONSISTENT);
	else
		EXPECT_CODE(c, 144, "C_CreateObject", rv, CKR_USER_NOT_LOGGED_IN);
}

/* ---- operations -------------------------------------------------------------------------------------- */

/* An operation may or may not survive; the session is well in any case. */
static void operation_and_logout(struct check *c)
{
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	CK_BYTE data[3] = "abc", digest[64];
	CK_ULONG size = sizeof(digest);
	need_login(c);
	NEED_OK(c, c->p11->C_DigestInit(c->session, &mechanism));
	NEED_OK(c, c->p11->C_DigestUpdate(c->session, data, sizeof(data)));
	if (c->row->a == 0) {
		EXPECT_RV(c, 132, c->p11->C_Logout(c->session), CKR_OK);
	} else {
		EXPECT_RV(c, 132, c->p11->C_Logout(c->session), CKR_OK);
		EXPECT(c, 132, check_login(c, c->session, CKU_USER),
		       "the user cannot log in again");
	}
	CK_RV rv = c->p11->C_DigestFinal(c->session, digest, &size);
	EXPECT(c, 132, rv == CKR_OK || rv == CKR_OPERATION_NOT_INITIALIZED,
	       "C_DigestFinal after C_Logout returned %s", check_rv_name(rv));
	if (rv == CKR_OPERATION_NOT_INITIALIZED)
		check_note(c, "an operation does not survive C_Logout");
	EXPECT_RV(c, 132, c->p11->C_DigestInit(c->session, &mechanism), CKR_OK);
}

static void context_wrong_operation(struct check *c)
{
	CK_MECHANISM mechanism = { CKM_SHA256_HMAC, NULL, 0 };
	CK_BYTE data[3] = "abc", mac[64];
	CK_ULONG size = sizeof(mac);
	const char *pin = need_pin(c, CKU_USER);
	CK_OBJECT_HANDLE key = object_make(c, OBJECT_SECRET);
	NEED_OK(c, c->p11->C_SignInit(c->session, &mechanism, key));
	CK_RV rv = login_with(c, c->session, CKU_CONTEXT_SPECIFIC, pin, strlen(pin));
	EXPECT_CODE(c, 128, "C_Login", rv, CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_RV(c, 128, c->p11->C_Sign(c->session, data, sizeof(data), mac, &size), CKR_OK);
}

/* ---- keys that want a login for each use ------------------------------------------------------------- */

static CK_OBJECT_HANDLE always_key(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE key;
	need_login(c);
	object_template(c, &t, OBJECT_RSA_PRIVATE);
	template_bool(&t, CKA_PRIVATE, true);
	template_bool(&t, CKA_ALWAYS_AUTHENTICATE, true);
	if (target_mechanism(c->target, CKM_RSA_PKCS) == NULL)
		check_skip(c, "the token has no CKM_RSA_PKCS");
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &key);
	if (rv != CKR_OK)
		check_skip(c, "no key with CKA_ALWAYS_AUTHENTICATE can be made: %s",
		           check_rv_name(rv));
	if (!object_bool(c, key, CKA_ALWAYS_AUTHENTICATE))
		check_skip(c, "a key that was made with CKA_ALWAYS_AUTHENTICATE has it not");
	return key;
}

static CK_RV sign(struct check *c)
{
	static CK_BYTE data[20], signature[512];
	CK_ULONG size = sizeof(signature);
	return c->p11->C_Sign(c->session, data, sizeof(data), signature, &size);
}

static CK_RV context_login(struct check *c)
{
	const char *pin = need_pin(c, CKU_USER);
	return login_with(c, c->session, CKU_CONTEXT_SPECIFIC, pin, strlen(pin));
}

static void always_without(struct check *c)
{
	CK_MECHANISM mechanism = { CKM_RSA_PKCS, NULL, 0 };
	CK_OBJECT_HANDLE key = always_key(c);
	NEED_OK(c, c->p11->C_SignInit(c->session, &mechanism, key));
	EXPECT_CODE(c, 126, "C_Sign", sign(c), CKR_USER_NOT_LOGGED_IN);
}

static void always_with(struct check *c)
{
	CK_MECHANISM mechanism = { CKM_RSA_PKCS, NULL, 0 };
	CK_OBJECT_HANDLE key = always_key(c);
	for (int i = 0; i < 2; i++) {
		NEED_OK(c, c->p11->C_SignInit(c->session, &mechanism, key));
		EXPECT_CODE(c, 126, "C_Login", context_login(c), CKR_OK);
		states_expect(c, 127, &(struct sessions){ CK_INVALID_HANDLE, c->session },
		              LOGIN_USER);
		EXPECT_CODE(c, 126, "C_Sign", sign(c), CKR_OK);
	}
}

static void always_once(struct check *c)
{
	CK_MECHANISM mechanism = { CKM_RSA_PKCS, NULL, 0 };
	CK_OBJECT_HANDLE key = always_key(c);
	NEED_OK(c, c->p11->C_SignInit(c->session, &mechanism, key));
	EXPECT_CODE(c, 126, "C_Login", context_login(c), CKR_OK);
	EXPECT_CODE(c, 126, "C_Sign", sign(c), CKR_OK);
	/* The login was for that operation alone. */
	NEED_OK(c, c->p11->C_SignInit(c->session, &mechanism, key));
	EXPECT_CODE(c, 127, "C_Sign", sign(c), CKR_USER_NOT_LOGGED_IN);
}

/* ---- C_LoginUser ------------------------------------------------------------------------------------- */

static void login_user_name(struct check *c)
{
	const char *pin = need_pin(c, CKU_USER);
	CK_UTF8CHAR name[] = "p11tape";
	char copy[TARGET_PIN_SIZE];
	memcpy(copy, pin, sizeof(copy));
	CK_RV rv = c->p30->C_LoginUser(c->session, CKU_USER, (CK_UTF8CHAR_PTR)copy, strlen(copy),
	                               name, sizeof(name) - 1);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_LoginUser is not supported");
	struct sessions sessions = { c->session, CK_INVALID_HANDLE };
	/* Whether a token knows such a user is its own affair. */
	states_expect(c, 133, &sessions, rv == CKR_OK ? LOGIN_USER : LOGIN_NOBODY);
	check_note(c, "C_LoginUser with a name that nobody gave returned %s", check_rv_name(rv));
	if (rv != CKR_OK)
		return;
	EXPECT(c, 133,
	       c->p11->C_Login(c->session, CKU_USER, (CK_UTF8CHAR_PTR)copy, strlen(copy)) ==
	               CKR_USER_ALREADY_LOGGED_IN,
	       "C_Login after C_LoginUser does not say CKR_USER_ALREADY_LOGGED_IN");
}

/* ---- PINs that are locked ---------------------------------------------------------------------------- */

/* No check locks a PIN: a token is needed that says that its PIN is. */
static void locked_pin(struct check *c)
{
	bool so = c->row->b == CKU_SO;
	const char *pin = states_pin(c, (CK_USER_TYPE)c->row->b);
	if ((pin_flags(c) & (so ? CKF_SO_PIN_LOCKED : CKF_USER_PIN_LOCKED)) == 0)
		check_skip(c, "the PIN is not locked");
	if (!(so ? c->target->has_so_pin : c->target->has_pin))
		check_skip(c, "no PIN was given");
	CK_SESSION_HANDLE session = check_open(c, CKF_RW_SESSION);
	CK_RV rv = login_with(c, session, (CK_USER_TYPE)c->row->b, pin, strlen(pin));
	EXPECT(c, 123, rv != CKR_OK, "the token says that the PIN is locked, and it logs in");
	EXPECT_CODE(c, 123, "C_Login", rv, CKR_PIN_LOCKED);
	states_expect(c, 123, &(struct sessions){ CK_INVALID_HANDLE, session }, LOGIN_NOBODY);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add_table(struct check_list *list, enum way way)
{
	for (unsigned int s = 0; s < SITUATIONS; s++)
		for (unsigned int u = 0; u < TAPE_ARRAY_SIZE(user_types); u++) {
			struct check_row row = CHECK(
				login_table, NEED_TOKEN,
				"who may log in may, and all sessions are in the state of that",
				109, 118, state_rule(&situations[s]));
			unsigned int rule;
			CK_RV other;
			(void)expected_login(&situations[s], user_types[u].type, &other, &rule);
			row.rules[3] = (unsigned short)rule;
			row.rules[4] = rule == 119 ? 146 : 0;
			row.a = s;
			row.b = u;
			row.d = way;
			if (way == BY_LOGIN_USER) {
				row.needs |= NEED_V30;
				row.rules[row.rules[4] == 0 ? 4 : 5] = 133;
			}
			check_add(list, row, "%s/%s-%s", way == BY_LOGIN ? "table" : "user-table",
			          situations[s].name, user_types[u].name);
		}
}

static void add_logout(struct check_list *list)
{
	for (unsigned int s = 0; s < SITUATIONS; s++)
		for (unsigned int other = 0; other < 2; other++) {
			struct check_row row =
				CHECK(logout_table, NEED_TOKEN,
			              "C_Logout makes all sessions public", 109, 118, 130, 137);
			row.a = s;
			row.b = other;
			if (other == 0 || (situations[s].ro && situations[s].rw))
				check_add(list, row, "logout/%s%s", situations[s].name,
				          other != 0 ? "-by-the-other" : "");
		}
	for (unsigned int s = 0; s < SITUATIONS; s++) {
		struct check_row row =
			CHECK(last_session, NEED_TOKEN,
		              "with the last session the login goes, and not before", 112);
		row.a = s;
		if (situations[s].login != LOGIN_NOBODY && !(situations[s].ro && situations[s].rw))
			check_add(list, row, "last-session/%s", situations[s].name);
	}
}

static void add_logout_twice(struct check_list *list)
{
	check_add(list, CHECK(logout_twice, NEED_USER, "once is enough", 130, 137), "logout/twice");
}

static void add_pins(struct check_list *list)
{
	static const struct {
		const char *name;
		CK_USER_TYPE type;
	} users[] = { { "user", CKU_USER }, { "officer", CKU_SO } };
	for (unsigned int w = 0; w < TAPE_ARRAY_SIZE(wrong_names); w++)
		for (unsigned int u = 0; u < TAPE_ARRAY_SIZE(users); u++) {
			struct check_row row =
				CHECK(wrong_pin, NEED_WRONG_PIN,
			              "what is not the PIN is refused, and changes nothing", 101,
			              123, 344);
			row.a = w;
			row.b = users[u].type;
			check_add(list, row, "wrong-pin/%s-%s", users[u].name, wrong_names[w]);
		}
	for (unsigned int u = 0; u < TAPE_ARRAY_SIZE(users); u++) {
		struct check_row row =
			CHECK(locked_pin, NEED_TOKEN, "a PIN that is locked logs nobody in", 123);
		row.b = users[u].type;
		check_add(list, row, "locked-pin/%s", users[u].name);
	}
	check_add(list,
	          CHECK(wrong_while_logged_in, NEED_WRONG_PIN | NEED_SESSION,
	                "a wrong PIN of who is logged in changes nothing", 120, 123),
	          "wrong-pin/while-logged-in");
	for (unsigned int length = 0; length < 5; length += 4) {
		struct check_row row = CHECK(null_pin, NEED_WRONG_PIN | NEED_SESSION,
		                             "no PIN is no PIN", 102, 123);
		row.a = length;
		check_add(list, row, "no-pin/%u", length);
	}
	check_add(list,
	          CHECK(no_user_pin, NEED_SESSION,
	                "who has no PIN yet gives CKR_USER_PIN_NOT_INITIALIZED", 121),
	          "no-user-pin");
}

static void add_objects(struct check_list *list)
{
	for (unsigned int kind = 0; kind < OBJECT_KINDS; kind++) {
		const char *name = object_name((enum object_kind)kind);
		struct check_row row =
			CHECK(private_objects_go, NEED_RW | NEED_USER,
		              "private session objects go with the login, for good", 131, 145);
		row.a = kind;
		check_add(list, row, "private-objects-go/%s", name);
		row.run = public_objects_stay;
		row.what = "public session objects stay";
		row.rules[1] = 138;
		check_add(list, row, "public-objects-stay/%s", name);
		row.run = private_token_object;
		row.needs |= NEED_DESTRUCTIVE;
		row.what = "private token objects are there for the user alone";
		row.rules[1] = 145;
		check_add(list, row, "private-token-object/%s", name);
		for (unsigned int s = 0; s < SITUATIONS; s++) {
			struct check_row refused =
				CHECK(private_refused, NEED_TOKEN,
			              "who is not the user makes no private object", 144);
			refused.a = kind;
			refused.b = s;
			if (situations[s].login != LOGIN_USER &&
			    !(situations[s].ro && situations[s].rw))
				check_add(list, refused, "private-refused/%s-%s",
				          situations[s].name, name);
		}
	}
}

void suite_login(struct check_list *list)
{
	add_table(list, BY_LOGIN);
	add_table(list, BY_LOGIN_USER);
	add_logout(list);
	add_logout_twice(list);
	check_add(list,
	          CHECK(across_sessions, NEED_TOKEN, "login and logout through different sessions",
	                118),
	          "across-sessions");
	check_add(list,
	          CHECK(one_after_other, NEED_TOKEN, "user and security officer in turn", 137),
	          "one-after-other");
	check_add(list, CHECK(other_process, NEED_USER, "another process logs in on its own", 57),
	          "other-process");
	add_pins(list);
	add_objects(list);
	for (unsigned int again = 0; again < 2; again++) {
		struct check_row row =
			CHECK(operation_and_logout, NEED_USER,
		              "an operation survives or does not, the session does", 132);
		row.a = again;
		check_add(list, row, "operation/%s", again != 0 ? "logout-and-login" : "logout");
	}
	check_add(list,
	          CHECK(context_wrong_operation, NEED_RW | NEED_USER,
	                "a key that wants no login of its own gets none", 128),
	          "context-specific/other-key");
	check_add(list,
	          CHECK(always_without, NEED_RW | NEED_USER, "without a login of its own no use",
	                126),
	          "context-specific/without");
	check_add(list,
	          CHECK(always_with, NEED_RW | NEED_USER, "with one, and no other state", 126, 127),
	          "context-specific/with");
	check_add(list,
	          CHECK(always_once, NEED_RW | NEED_USER, "a login is for one operation", 126, 127),
	          "context-specific/once");
	check_add(list,
	          CHECK(login_user_name, NEED_SESSION | NEED_V30, "C_LoginUser with a name", 133),
	          "login-user-name");
}
