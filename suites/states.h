/* SPDX-License-Identifier: MIT
 *
 * The states that sessions can be in (PKCS#11 3.1 §3.3.4, §5.6.8): who is logged in, which sessions are open.
 */
#ifndef TAPE_SUITES_STATES_H
#define TAPE_SUITES_STATES_H

#include "suites/check.h"

enum login { LOGIN_NOBODY, LOGIN_USER, LOGIN_OFFICER };

/* One of the situations: who is logged in, with a read-only, a read-write session or both. */
struct situation {
	const char *name;
	enum login login;
	bool ro, rw;
};

#define SITUATIONS 7
extern const struct situation situations[SITUATIONS];

/* The sessions of a situation; CK_INVALID_HANDLE where there is none. */
struct sessions {
	CK_SESSION_HANDLE ro, rw;
};

/*
 * Bring a check with NEED_TOKEN into a situation; skips it where that cannot be. c->session is then the
 * read-write session, where there is one.
 */
void states_enter(struct check *c, const struct situation *situation, struct sessions *sessions);

/* The state that the text gives a session: read-only or read-write, with that login. */
CK_STATE states_expected(enum login login, bool rw);

/* Expect that the sessions are in the states of `login`, and that C_GetSessionInfo says all else right. */
void states_expect(struct check *c, unsigned int rule, const struct sessions *sessions,
                   enum login login);

/* Whether the token tells users apart: without that nobody's login changes anything. */
bool states_has_login(const struct check *c);

/* The PIN that belongs to a user type, as the user of p11tape gave it. */
const char *states_pin(const struct check *c, CK_USER_TYPE user);

#endif
