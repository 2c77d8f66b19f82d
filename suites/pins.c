/* SPDX-License-Identifier: MIT
 *
 * C_InitToken, C_InitPIN and C_SetPIN (PKCS#11 3.1 §5.5.7 to §5.5.9). Whatever a check does to the PINs, the runner
 * has pins_restore() put them back after it: checks need not.
 */
#include "suites/pins.h"

#include <stdio.h>
#include <string.h>

#include "suites/objects.h"
#include "suites/states.h"

/* ---- PINs -------------------------------------------------------------------------------------------- */

/* Another PIN of the same length, which any token that takes the first takes as well. */
static const char *other_pin(const struct check *c, CK_USER_TYPE user, char room[TARGET_PIN_SIZE])
{
	memcpy(room, states_pin(c, user), TARGET_PIN_SIZE);
	size_t length = strlen(room);
	if (length != 0)
		room[length - 1] = (char)(room[length - 1] == '7' ? '8' : '7');
	return room;
}

static CK_RV login(struct check *c, CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin)
{
	char copy[TARGET_PIN_SIZE];
	snprintf(copy, sizeof(copy), "%s", pin);
	return c->p11->C_Login(session, user, (CK_UTF8CHAR_PTR)copy, strlen(copy));
}

static CK_RV set_pin(struct check *c, CK_SESSION_HANDLE session, const char *from, const char *to)
{
	char old[TARGET_PIN_SIZE], new[TARGET_PIN_SIZE];
	snprintf(old, sizeof(old), "%s", from);
	snprintf(new, sizeof(new), "%s", to);
	return c->p11->C_SetPIN(session, (CK_UTF8CHAR_PTR)old, strlen(old), (CK_UTF8CHAR_PTR) new,
	                        strlen(new));
}

static CK_RV init_pin(struct check *c, CK_SESSION_HANDLE session, const char *pin)
{
	char copy[TARGET_PIN_SIZE];
	snprintf(copy, sizeof(copy), "%s", pin);
	return c->p11->C_InitPIN(session, (CK_UTF8CHAR_PTR)copy, strlen(copy));
}

static CK_RV init_token(struct check *c, const char *pin, const CK_UTF8CHAR label[32])
{
	char copy[TARGET_PIN_SIZE];
	CK_UTF8CHAR *text = check_buffer(c, 32);
	snprintf(copy, sizeof(copy), "%s", pin);
	memcpy(text, label, 32);
	return c->p11->C_InitToken(c->slot, (CK_UTF8CHAR_PTR)copy, strlen(copy), text);
}

/* Whether a PIN is the user's, tried in a session where nobody is logged in. */
static bool is_pin(struct check *c, CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *pin)
{
	bool works = login(c, session, user, pin) == CKR_OK;
	if (works)
		(void)c->p11->C_Logout(session);
	return works;
}

/* ---- putting back ------------------------------------------------------------------------------------ */

static void restore_officer(struct check *c, CK_SESSION_HANDLE session)
{
	char other[TARGET_PIN_SIZE];
	if (!c->target->so_logs_in || is_pin(c, session, CKU_SO, c->target->so_pin))
		return;
	if (login(c, session, CKU_SO, other_pin(c, CKU_SO, other)) != CKR_OK ||
	    set_pin(c, session, other, c->target->so_pin) != CKR_OK)
		check_error(c, "the security officer's PIN cannot be put back; try '%s'", other);
	(void)c->p11->C_Logout(session);
}

static void restore_user(struct check *c, CK_SESSION_HANDLE session)
{
	char other[TARGET_PIN_SIZE];
	bool done;
	if (!c->target->user_logs_in || is_pin(c, session, CKU_USER, c->target->pin))
		return;
	if (c->target->so_logs_in && login(c, session, CKU_SO, c->target->so_pin) == CKR_OK)
		done = init_pin(c, session, c->target->pin) == CKR_OK;
	else
		done = login(c, session, CKU_USER, other_pin(c, CKU_USER, other)) == CKR_OK &&
		       set_pin(c, session, other, c->target->pin) == CKR_OK;
	(void)c->p11->C_Logout(session);
	if (!done)
		check_error(c, "the user's PIN cannot be put back; try '%s'",
		            other_pin(c, CKU_USER, other));
}

void pins_restore(struct check *c)
{
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE session;
	c->slot = c->target->slot;
	/* need_pins() lets no check change them then. */
	if (!c->target->user_logs_in || !c->target->so_logs_in)
		return;
	if (c->p11->C_GetTokenInfo(c->slot, &info) != CKR_OK)
		check_error(c, "the token is gone after a check that changed its PINs");
	if (c->target->so_logs_in &&
	    (memcmp(info.label, c->target->token_info.label, sizeof(info.label)) != 0 ||
	     (info.flags & CKF_TOKEN_INITIALIZED) == 0))
		(void)init_token(c, c->target->so_pin, c->target->token_info.label);
	if (c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
	                          &session) != CKR_OK)
		check_error(c, "no session can be opened after a check that changed PINs");
	restore_officer(c, session);
	restore_user(c, session);
	(void)c->p11->C_CloseSession(session);
}

/* ---- what the checks need ---------------------------------------------------------------------------- */

static void need_pins(struct check *c)
{
	const CK_FLAGS danger = CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY |
	                        CKF_USER_PIN_LOCKED | CKF_SO_PIN_COUNT_LOW | CKF_SO_PIN_FINAL_TRY |
	                        CKF_SO_PIN_LOCKED;
	CK_TOKEN_INFO info;
	if (!states_has_login(c))
		check_skip(c, "the token wants no login");
	if ((c->target->token_info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0)
		check_skip(c, "the token asks for PINs itself");
	if (!c->target->user_logs_in || !c->target->so_logs_in)
		check_skip(c, "PINs are changed only where both are known (--pin, --so-pin)");
	if (strlen(c->target->pin) < 2 || strlen(c->target->so_pin) < 2)
		check_skip(c, "a PIN of one character is not changed");
	NEED_OK(c, c->p11->C_GetTokenInfo(c->slot, &info));
	if ((info.flags & danger) != 0)
		check_skip(c, "a wrong PIN was presented before");
}

static CK_FLAGS token_flags(struct check *c)
{
	CK_TOKEN_INFO info;
	NEED_OK(c, c->p11->C_GetTokenInfo(c->slot, &info));
	return info.flags;
}

static CK_SESSION_HANDLE fresh_session(struct check *c)
{
	(void)c->p11->C_CloseAllSessions(c->slot);
	c->session = check_open(c, CKF_RW_SESSION);
	return c->session;
}

/* Only this PIN is the user's; the other one, of the same length, is not. One wrong try, made good. */
static void expect_pin(struct check *c, unsigned int rule, CK_USER_TYPE user, bool changed)
{
	char other[TARGET_PIN_SIZE];
	const char *old = states_pin(c, user);
	CK_SESSION_HANDLE session = fresh_session(c);
	other_pin(c, user, other);
	bool old_works = is_pin(c, session, user, old);
	bool new_works = is_pin(c, session, user, other);
	/* The good one last, so that no count of tries stays. */
	if (old_works)
		(void)is_pin(c, session, user, old);
	EXPECT(c, rule, old_works == !changed, "the old PIN %s",
	       old_works ? "is still good" : "is not good any more");
	EXPECT(c, rule, new_works == changed, "the new PIN %s",
	       new_works ? "is good" : "is not good");
}

/* ---- C_InitPIN --------------------------------------------------------------------------------------- */

static void init_pin_state(struct check *c)
{
	const struct situation *situation = &situations[c->row->a];
	struct sessions sessions;
	char other[TARGET_PIN_SIZE];
	need_pins(c);
	states_enter(c, situation, &sessions);
	CK_RV rv = init_pin(c, c->session, other_pin(c, CKU_USER, other));
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_InitPIN is not supported");
	if (situation->login == LOGIN_OFFICER)
		EXPECT_CODE(c, 98, "C_InitPIN", rv, CKR_OK);
	else if (situation->ro && rv == CKR_SESSION_READ_ONLY)
		check_note(c, "C_InitPIN looks at the session first");
	else
		EXPECT_CODE(c, 98, "C_InitPIN", rv, CKR_USER_NOT_LOGGED_IN);
	states_expect(c, 98, &sessions, situation->login);
	expect_pin(c, 98, CKU_USER, situation->login == LOGIN_OFFICER);
}

/* ---- PINs that cannot be ----------------------------------------------------------------------------- */

enum bad_pin { PIN_SHORT, PIN_EMPTY, PIN_LONG, PIN_VERY_LONG, PIN_NULL, BAD_PINS };

static const char *const bad_pin_names[BAD_PINS] = { "short", "empty", "long", "very-long",
	                                             "null" };

#define LONGEST 4096

static size_t bad_length(struct check *c, enum bad_pin how)
{
	const CK_TOKEN_INFO *info = &c->target->token_info;
	switch (how) {
	case PIN_SHORT:
		if (info->ulMinPinLen < 2 || info->ulMinPinLen > LONGEST)
			check_skip(c, "a PIN of one character is long enough");
		return info->ulMinPinLen - 1;
	case PIN_EMPTY:
		if (info->ulMinPinLen == 0)
			check_skip(c, "an empty PIN is long enough");
		return 0;
	case PIN_LONG:
		if (info->ulMaxPinLen >= LONGEST)
			check_skip(c, "no PIN is too long");
		return info->ulMaxPinLen + 1;
	case PIN_VERY_LONG:
		if (info->ulMaxPinLen >= LONGEST)
			check_skip(c, "no PIN is too long");
		return LONGEST;
	default:
		return 6;
	}
}

static void expect_refused(struct check *c, const char *function, CK_RV rv, enum bad_pin how)
{
	const CK_TOKEN_INFO *info = &c->target->token_info;
	EXPECT(c, 347, rv != CKR_OK,
	       "%s takes a PIN of %zu characters; the token says that it takes %lu to %lu",
	       function, bad_length(c, how), (unsigned long)info->ulMinPinLen,
	       (unsigned long)info->ulMaxPinLen);
	if (how == PIN_NULL || how == PIN_EMPTY)
		EXPECT_CODE(c, 347, function, rv, CKR_ARGUMENTS_BAD, CKR_PIN_LEN_RANGE,
		            CKR_PIN_INVALID);
	else
		EXPECT_CODE(c, 347, function, rv, CKR_PIN_LEN_RANGE, CKR_PIN_INVALID,
		            CKR_PIN_TOO_WEAK);
}

static CK_UTF8CHAR *bad_pin(struct check *c, enum bad_pin how, size_t *ret_length)
{
	static CK_UTF8CHAR text[LONGEST];
	*ret_length = bad_length(c, how);
	memset(text, '7', sizeof(text));
	return how == PIN_NULL ? NULL : text;
}

static void init_pin_bad(struct check *c)
{
	struct sessions sessions;
	size_t length;
	need_pins(c);
	CK_UTF8CHAR *pin = bad_pin(c, (enum bad_pin)c->row->a, &length);
	states_enter(c, &situations[6], &sessions);
	CK_RV rv = c->p11->C_InitPIN(c->session, pin, length);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_InitPIN is not supported");
	expect_refused(c, "C_InitPIN", rv, (enum bad_pin)c->row->a);
	/* What failed has changed nothing. */
	CK_SESSION_HANDLE session = fresh_session(c);
	EXPECT(c, 1, is_pin(c, session, CKU_USER, c->target->pin),
	       "after a C_InitPIN that failed the user cannot log in");
}

/* ---- C_SetPIN ---------------------------------------------------------------------------------------- */

static CK_USER_TYPE whose_pin(const struct situation *situation)
{
	return situation->login == LOGIN_OFFICER ? CKU_SO : CKU_USER;
}

static void set_pin_state(struct check *c)
{
	const struct situation *situation = &situations[c->row->a];
	CK_USER_TYPE user = whose_pin(situation);
	struct sessions sessions;
	char other[TARGET_PIN_SIZE];
	need_pins(c);
	states_enter(c, situation, &sessions);
	CK_SESSION_HANDLE session = situation->rw && c->row->b == 0 ? sessions.rw : sessions.ro;
	CK_RV rv = set_pin(c, session, states_pin(c, user), other_pin(c, user, other));
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SetPIN is not supported");
	bool works = session == sessions.rw;
	if (works)
		EXPECT_CODE(c, 99, "C_SetPIN", rv, CKR_OK);
	else
		EXPECT_CODE(c, 99, "C_SetPIN", rv, CKR_SESSION_READ_ONLY,
		            CKR_TOKEN_WRITE_PROTECTED);
	/* Who is logged in stays so. */
	states_expect(c, 100, &sessions, situation->login);
	expect_pin(c, 100, user, works);
}

static void set_pin_wrong(struct check *c)
{
	const struct situation *situation = &situations[c->row->a];
	CK_USER_TYPE user = whose_pin(situation);
	struct sessions sessions;
	char wrong[TARGET_PIN_SIZE], other[TARGET_PIN_SIZE];
	const char *pin = states_pin(c, user);
	need_pins(c);
	states_enter(c, situation, &sessions);
	/* The new one as the old one, or half of the old one. */
	other_pin(c, user, wrong);
	if (c->row->b != 0) {
		snprintf(wrong, sizeof(wrong), "%s", pin);
		wrong[strlen(wrong) - 1] = 0;
	}
	CK_RV rv = set_pin(c, c->session, wrong, other_pin(c, user, other));
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SetPIN is not supported");
	CK_FLAGS after = token_flags(c);
	CK_SESSION_HANDLE session = fresh_session(c);
	bool kept = is_pin(c, session, user, pin);
	check_forgiven(c, after, token_flags(c));
	EXPECT_CODE(c, 123, "C_SetPIN", rv, CKR_PIN_INCORRECT);
	EXPECT(c, 1, kept, "after a C_SetPIN that failed the PIN is not good any more");
}

static void set_pin_bad(struct check *c)
{
	const struct situation *situation = &situations[c->row->b];
	CK_USER_TYPE user = whose_pin(situation);
	struct sessions sessions;
	size_t length;
	char old[TARGET_PIN_SIZE];
	need_pins(c);
	CK_UTF8CHAR *pin = bad_pin(c, (enum bad_pin)c->row->a, &length);
	states_enter(c, situation, &sessions);
	snprintf(old, sizeof(old), "%s", states_pin(c, user));
	CK_RV rv = c->p11->C_SetPIN(c->session, (CK_UTF8CHAR_PTR)old, strlen(old), pin, length);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SetPIN is not supported");
	if (rv == CKR_OK) {
		/* Nobody could put back a PIN that he does not know: at once, then. */
		(void)c->p11->C_SetPIN(c->session, pin, length, (CK_UTF8CHAR_PTR)old, strlen(old));
	}
	expect_refused(c, "C_SetPIN", rv, (enum bad_pin)c->row->a);
	CK_SESSION_HANDLE session = fresh_session(c);
	EXPECT(c, 1, is_pin(c, session, user, old),
	       "after a C_SetPIN that failed the PIN is not good any more");
}

static void set_pin_same(struct check *c)
{
	struct sessions sessions;
	need_pins(c);
	states_enter(c, &situations[c->row->a], &sessions);
	CK_USER_TYPE user = whose_pin(&situations[c->row->a]);
	CK_RV rv = set_pin(c, c->session, states_pin(c, user), states_pin(c, user));
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SetPIN is not supported");
	EXPECT_CODE(c, 100, "C_SetPIN", rv, CKR_OK, CKR_PIN_INVALID);
	if (rv != CKR_OK)
		check_note(c, "the PIN cannot be set to what it is");
	expect_pin(c, 100, user, false);
}

/* The old PIN is not looked for where it is not (§5.5.9: it must be). */
static void set_pin_no_old(struct check *c)
{
	struct sessions sessions;
	char other[TARGET_PIN_SIZE];
	need_pins(c);
	states_enter(c, &situations[c->row->a], &sessions);
	CK_USER_TYPE user = whose_pin(&situations[c->row->a]);
	other_pin(c, user, other);
	CK_RV rv = c->p11->C_SetPIN(c->session, NULL, 0, (CK_UTF8CHAR_PTR)other, strlen(other));
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SetPIN is not supported");
	EXPECT_CODE(c, 102, "C_SetPIN", rv, CKR_ARGUMENTS_BAD, CKR_PIN_INCORRECT,
	            CKR_PIN_LEN_RANGE);
	expect_pin(c, 102, user, false);
}

/* A longer PIN, up to what the token says that it takes. */
static void set_pin_longest(struct check *c)
{
	struct sessions sessions;
	char old[TARGET_PIN_SIZE];
	CK_UTF8CHAR new[TARGET_PIN_SIZE];
	CK_ULONG length = c->row->b == 0 ? c->target->token_info.ulMinPinLen
	                                 : c->target->token_info.ulMaxPinLen;
	need_pins(c);
	if (length == 0 || length >= sizeof(new))
		check_skip(c, "the token says %lu", (unsigned long)length);
	memset(new, '5', sizeof(new));
	states_enter(c, &situations[1], &sessions);
	snprintf(old, sizeof(old), "%s", c->target->pin);
	CK_RV rv = c->p11->C_SetPIN(c->session, (CK_UTF8CHAR_PTR)old, strlen(old), new, length);
	if (rv == CKR_PIN_TOO_WEAK || rv == CKR_PIN_INVALID)
		check_skip(c, "the token takes no such PIN: %s", check_rv_name(rv));
	EXPECT_CODE(c, 347, "C_SetPIN", rv, CKR_OK);
	CK_SESSION_HANDLE session = fresh_session(c);
	rv = c->p11->C_Login(session, CKU_USER, new, length);
	CK_RV back = c->p11->C_SetPIN(session, new, length, (CK_UTF8CHAR_PTR)old, strlen(old));
	EXPECT_CODE(c, 347, "C_Login", rv, CKR_OK);
	EXPECT_CODE(c, 347, "C_SetPIN", back, CKR_OK);
}

/* ---- C_InitToken ------------------------------------------------------------------------------------- */

/* Nothing but what checks make is ever lost: a token with objects of its user's is left alone. */
static void need_own_token(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[1];
	need_pins(c);
	CK_SESSION_HANDLE session = fresh_session(c);
	if (!check_login(c, session, CKU_USER))
		check_skip(c, "the user cannot be logged in");
	object_sweep(c);
	template_clear(&t);
	template_bool(&t, CKA_TOKEN, true);
	if (object_find(c, &t, found, 1) != 0)
		check_skip(c, "the token has objects that C_InitToken would destroy");
	EXPECT_RV(c, 113, c->p11->C_CloseSession(session), CKR_OK);
	c->session = CK_INVALID_HANDLE;
}

static void make_token_object(struct check *c)
{
	struct template t;
	CK_SESSION_HANDLE session = fresh_session(c);
	if (!check_login(c, session, CKU_USER))
		check_skip(c, "the user cannot be logged in");
	object_template(c, &t, OBJECT_DATA);
	template_bool(&t, CKA_TOKEN, true);
	object_create(c, &t);
	NEED_OK(c, c->p11->C_CloseSession(session));
	c->session = CK_INVALID_HANDLE;
}

static size_t count_token_objects(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[4];
	template_clear(&t);
	template_bool(&t, CKA_TOKEN, true);
	return object_find(c, &t, found, 4);
}

static void expect_as_before(struct check *c, unsigned int rule)
{
	CK_SESSION_HANDLE session = fresh_session(c);
	EXPECT(c, rule, check_login(c, session, CKU_USER),
	       "after a C_InitToken that failed the user cannot log in");
	EXPECT(c, rule, count_token_objects(c) == 1,
	       "after a C_InitToken that failed the token's object is gone");
}

static void init_token_with_session(struct check *c)
{
	struct sessions sessions;
	need_own_token(c);
	make_token_object(c);
	states_enter(c, &situations[c->row->a], &sessions);
	CK_RV rv = init_token(c, c->target->so_pin, c->target->token_info.label);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_InitToken is not supported");
	EXPECT_CODE(c, 94, "C_InitToken", rv, CKR_SESSION_EXISTS);
	states_expect(c, 94, &sessions, situations[c->row->a].login);
	expect_as_before(c, 94);
}

static void init_token_wrong_pin(struct check *c)
{
	char other[TARGET_PIN_SIZE];
	need_own_token(c);
	make_token_object(c);
	CK_RV rv = init_token(c, other_pin(c, CKU_SO, other), c->target->token_info.label);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_InitToken is not supported");
	EXPECT_CODE(c, 95, "C_InitToken", rv, CKR_PIN_INCORRECT);
	expect_as_before(c, 95);
}

static void init_token_null(struct check *c)
{
	CK_UTF8CHAR label[32], pin[TARGET_PIN_SIZE];
	need_own_token(c);
	make_token_object(c);
	memcpy(label, c->target->token_info.label, sizeof(label));
	memcpy(pin, c->target->so_pin, sizeof(pin));
	CK_RV rv = c->row->a == 0 ? c->p11->C_InitToken(c->slot, NULL, 4, label)
	                          : c->p11->C_InitToken(c->slot, pin, strlen((char *)pin), NULL);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_InitToken is not supported");
	EXPECT_CODE(c, 314, "C_InitToken", rv, CKR_ARGUMENTS_BAD);
	expect_as_before(c, 314);
}

static void reinitialize(struct check *c, const CK_UTF8CHAR label[32])
{
	need_own_token(c);
	make_token_object(c);
	CK_RV rv = init_token(c, c->target->so_pin, label);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_InitToken is not supported");
	EXPECT_CODE(c, 96, "C_InitToken", rv, CKR_OK);
}

static void init_token_objects(struct check *c)
{
	reinitialize(c, c->target->token_info.label);
	CK_SESSION_HANDLE session = fresh_session(c);
	EXPECT(c, 96, count_token_objects(c) == 0, "objects outlive C_InitToken");
	EXPECT(c, 96, check_login(c, session, CKU_SO),
	       "after C_InitToken the security officer cannot log in with the same PIN");
	EXPECT_CODE(c, 96, "C_InitPIN", init_pin(c, session, c->target->pin), CKR_OK);
	EXPECT_RV(c, 96, c->p11->C_Logout(session), CKR_OK);
	EXPECT(c, 96, check_login(c, session, CKU_USER), "after C_InitPIN the user cannot log in");
	EXPECT(c, 96, count_token_objects(c) == 0, "objects of the user's outlive C_InitToken");
}

static void init_token_user(struct check *c)
{
	reinitialize(c, c->target->token_info.label);
	CK_FLAGS flags = token_flags(c);
	CK_SESSION_HANDLE session = fresh_session(c);
	CK_RV rv = login(c, session, CKU_USER, c->target->pin);
	EXPECT(c, 96, rv != CKR_OK, "after C_InitToken the user logs in with the PIN of before");
	EXPECT_CODE(c, 121, "C_Login", rv, CKR_USER_PIN_NOT_INITIALIZED);
	EXPECT(c, 84, (flags & CKF_TOKEN_INITIALIZED) != 0,
	       "after C_InitToken CKF_TOKEN_INITIALIZED is not set");
	EXPECT(c, 84, (flags & CKF_USER_PIN_INITIALIZED) == 0,
	       "after C_InitToken CKF_USER_PIN_INITIALIZED is set");
	EXPECT(c, 96, check_login(c, session, CKU_SO),
	       "after C_InitToken the security officer cannot log in with the same PIN");
	EXPECT_CODE(c, 84, "C_InitPIN", init_pin(c, session, c->target->pin), CKR_OK);
	EXPECT(c, 84, (token_flags(c) & CKF_USER_PIN_INITIALIZED) != 0,
	       "after C_InitPIN CKF_USER_PIN_INITIALIZED is not set");
}

/* What C_InitToken has made is a token: it takes objects, and has them in another life of the library. */
static void init_token_works(struct check *c)
{
	reinitialize(c, c->target->token_info.label);
	CK_SESSION_HANDLE session = fresh_session(c);
	EXPECT(c, 96, check_login(c, session, CKU_SO),
	       "after C_InitToken the security officer cannot log in with the same PIN");
	EXPECT_CODE(c, 96, "C_InitPIN", init_pin(c, session, c->target->pin), CKR_OK);
	EXPECT_RV(c, 96, c->p11->C_CloseSession(session), CKR_OK);
	make_token_object(c);
	NEED_OK(c, check_finalize(c));
	NEED_OK(c, check_initialize(c));
	session = fresh_session(c);
	EXPECT(c, 96, check_login(c, session, CKU_USER),
	       "after C_InitToken, C_InitPIN and C_Initialize the user cannot log in");
	EXPECT(c, 96, count_token_objects(c) == 1,
	       "a token that C_InitToken has made does not keep an object");
	object_sweep(c);
}

static void init_token_label(struct check *c)
{
	static const char *const labels[] = { "0123456789abcdefghijklmnopqrstuv",
		                              "p11tape                         ",
		                              "                                ",
		                              "na\xc3\xafve \xe2\x82\xac                       " };
	CK_TOKEN_INFO info;
	const CK_UTF8CHAR *label = (const CK_UTF8CHAR *)labels[c->row->a];
	reinitialize(c, label);
	NEED_OK(c, c->p11->C_GetTokenInfo(c->slot, &info));
	EXPECT(c, 348, memcmp(info.label, label, sizeof(info.label)) == 0,
	       "C_InitToken was given the label '%.32s', C_GetTokenInfo says '%.32s'", label,
	       info.label);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add_setting(struct check_list *list)
{
	static const unsigned int writable[] = { 1, 4, 6 };
	for (unsigned int s = 0; s < SITUATIONS; s++) {
		struct check_row row = CHECK(init_pin_state, NEED_PINS,
		                             "C_InitPIN is for the security officer", 98);
		row.a = s;
		check_add(list, row, "init-pin/%s", situations[s].name);
		struct check_row set = CHECK(set_pin_state, NEED_PINS,
		                             "C_SetPIN changes the PIN of who is there, in a "
		                             "read-write session",
		                             99, 100);
		set.a = s;
		check_add(list, set, "set-pin/%s", situations[s].name);
		set.b = 1;
		if (situations[s].ro && situations[s].rw)
			check_add(list, set, "set-pin/%s-by-ro", situations[s].name);
	}
	for (unsigned int p = 0; p < BAD_PINS; p++) {
		struct check_row row =
			CHECK(init_pin_bad, NEED_PINS,
		              "C_InitPIN takes PINs that the token says it takes", 1, 347);
		row.a = p;
		check_add(list, row, "init-pin-length/%s", bad_pin_names[p]);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(writable); i++) {
		const char *name = situations[writable[i]].name;
		for (unsigned int p = 0; p < BAD_PINS; p++) {
			struct check_row row =
				CHECK(set_pin_bad, NEED_PINS,
			              "C_SetPIN takes PINs that the token says it takes", 1, 347);
			row.a = p;
			row.b = writable[i];
			check_add(list, row, "set-pin-length/%s-%s", name, bad_pin_names[p]);
		}
		for (unsigned int part = 0; part < 2; part++) {
			struct check_row row = CHECK(set_pin_wrong, NEED_PINS | NEED_WRONG_PIN,
			                             "C_SetPIN wants the old PIN", 1, 123);
			row.a = writable[i];
			row.b = part;
			check_add(list, row, "set-pin-wrong/%s%s", name, part != 0 ? "-part" : "");
		}
		struct check_row row =
			CHECK(set_pin_same, NEED_PINS,
		              "the PIN can be set to what it is, or is refused, and stays", 100);
		row.a = writable[i];
		check_add(list, row, "set-pin-same/%s", name);
		row.run = set_pin_no_old;
		row.what = "C_SetPIN without the old PIN changes nothing";
		row.rules[0] = 102;
		check_add(list, row, "set-pin-no-old/%s", name);
	}
	for (unsigned int longest = 0; longest < 2; longest++) {
		struct check_row row =
			CHECK(set_pin_longest, NEED_PINS,
		              "a PIN of the least and of the greatest length works", 347);
		row.b = longest;
		check_add(list, row, "set-pin-length/%s", longest != 0 ? "longest" : "shortest");
	}
}

static void add_tokens(struct check_list *list)
{
	for (unsigned int s = 0; s < SITUATIONS; s++) {
		struct check_row row =
			CHECK(init_token_with_session, NEED_PINS,
		              "C_InitToken is refused while a session is open", 94, 113);
		row.a = s;
		check_add(list, row, "init-token/session-%s", situations[s].name);
	}
	check_add(list,
	          CHECK(init_token_wrong_pin, NEED_PINS | NEED_WRONG_PIN,
	                "C_InitToken wants the security officer's PIN", 95, 113),
	          "init-token/wrong-pin");
	for (unsigned int label = 0; label < 2; label++) {
		struct check_row row = CHECK(init_token_null, NEED_PINS,
		                             "C_InitToken needs a PIN and a label", 113, 314);
		row.a = label;
		check_add(list, row, "init-token/no-%s", label != 0 ? "label" : "pin");
	}
	check_add(list,
	          CHECK(init_token_objects, NEED_PINS, "C_InitToken destroys all objects", 96, 113),
	          "init-token/objects");
	check_add(list,
	          CHECK(init_token_user, NEED_PINS,
	                "after C_InitToken there is no user until C_InitPIN", 84, 96, 113, 121),
	          "init-token/user");
	check_add(list,
	          CHECK(init_token_works, NEED_PINS, "what C_InitToken makes is a token", 96, 113),
	          "init-token/works");
	for (unsigned int i = 0; i < 4; i++) {
		struct check_row row =
			CHECK(init_token_label, NEED_PINS,
		              "the label is the 32 characters that were given", 96, 113, 348);
		row.a = i;
		check_add(list, row, "init-token/label-%u", i + 1);
	}
}

void suite_pins(struct check_list *list)
{
	add_setting(list);
	add_tokens(list);
}
