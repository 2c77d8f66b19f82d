/* SPDX-License-Identifier: MIT */
#include "suites/states.h"

#include <string.h>

const struct situation situations[SITUATIONS] = {
	{ "nobody-ro", LOGIN_NOBODY, true, false },
	{ "nobody-rw", LOGIN_NOBODY, false, true },
	{ "nobody-ro-and-rw", LOGIN_NOBODY, true, true },
	{ "user-ro", LOGIN_USER, true, false },
	{ "user-rw", LOGIN_USER, false, true },
	{ "user-ro-and-rw", LOGIN_USER, true, true },
	{ "officer-rw", LOGIN_OFFICER, false, true },
};

bool states_has_login(const struct check *c)
{
	return (c->target->token_info.flags & CKF_LOGIN_REQUIRED) != 0;
}

const char *states_pin(const struct check *c, CK_USER_TYPE user)
{
	return user == CKU_SO ? c->target->so_pin : c->target->pin;
}

void states_enter(struct check *c, const struct situation *situation, struct sessions *sessions)
{
	sessions->ro = situation->ro ? check_open(c, 0) : CK_INVALID_HANDLE;
	sessions->rw = situation->rw ? check_open(c, CKF_RW_SESSION) : CK_INVALID_HANDLE;
	c->session = situation->rw ? sessions->rw : sessions->ro;
	if (situation->login == LOGIN_NOBODY)
		return;
	if (!states_has_login(c))
		check_skip(c, "the token wants no login");
	if (situation->login == LOGIN_USER && !check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in without a PIN (--pin-file)");
	if (situation->login == LOGIN_OFFICER && !check_login(c, c->session, CKU_SO))
		check_skip(
			c,
			"the security officer cannot be logged in without a PIN (--so-pin-file)");
}

CK_STATE states_expected(enum login login, bool rw)
{
	switch (login) {
	case LOGIN_USER:
		return rw ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
	case LOGIN_OFFICER:
		/* There is no read-only one; from 3.2 on it acts as a public one (Usage Guide 3.2). */
		return rw ? CKS_RW_SO_FUNCTIONS : CKS_RO_PUBLIC_SESSION;
	default:
		return rw ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
	}
}

static void expect_one(struct check *c, unsigned int rule, CK_SESSION_HANDLE session, bool rw,
                       enum login login)
{
	CK_SESSION_INFO info;
	memset(&info, CHECK_POISON, sizeof(info));
	EXPECT_RV(c, rule, c->p11->C_GetSessionInfo(session, &info), CKR_OK);
	EXPECT(c, rule, info.state == states_expected(login, rw),
	       "a %s session is in the state %s, expected %s", rw ? "read-write" : "read-only",
	       check_name(TAPE_G_CKS, info.state),
	       check_name(TAPE_G_CKS, states_expected(login, rw)));
}

void states_expect(struct check *c, unsigned int rule, const struct sessions *sessions,
                   enum login login)
{
	if (sessions->ro != CK_INVALID_HANDLE)
		expect_one(c, rule, sessions->ro, false, login);
	if (sessions->rw != CK_INVALID_HANDLE)
		expect_one(c, rule, sessions->rw, true, login);
}
