/* SPDX-License-Identifier: MIT */
#include "suites/child.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "suites/objects.h"
#include "suites/pins.h"

static struct outcome *current;

/* The module wrote (or read) behind a buffer: keep which, and die of it. */
static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)context;
	current->overrun = child_overrun(info->si_addr);
	signal(number, SIG_DFL);
	raise(number);
}

/* cmocka catches signals to go on with the next test; here there is none, and a crash is a finding. */
static void take_signals(void)
{
	static const int fatal[] = { SIGILL, SIGABRT, SIGFPE, SIGSYS };
	static char stack[64 * 1024];
	struct sigaction action = { .sa_sigaction = on_fault,
		                    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
	sigaltstack(&(stack_t){ .ss_sp = stack, .ss_size = sizeof(stack) }, NULL);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(fatal); i++)
		signal(fatal[i], SIG_DFL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
}

/* A wrong PIN may be presented only where the right one is known and no try has failed yet. */
static void spare_the_pin(struct check *c)
{
	CK_TOKEN_INFO info;
	NEED_OK(c, c->p11->C_GetTokenInfo(c->slot, &info));
	if (!c->target->user_logs_in)
		check_skip(c, "no wrong PIN is presented where the right one is not known");
	if ((info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED |
	                   CKF_PROTECTED_AUTHENTICATION_PATH)) != 0)
		check_skip(c, "no wrong PIN is presented where it could lock the token");
	c->outcome->presented = true;
}

bool child_lacks(const struct check_row *row, const struct target *target, char *reason)
{
	const CK_MECHANISM_INFO *info = target_mechanism(target, row->mechanism);
	bool has_login = (target->token_info.flags & CKF_LOGIN_REQUIRED) != 0;
	reason[0] = 0;
	if (check_needs(row, NEED_INIT) && !target->initializes)
		snprintf(reason, OUTCOME_TEXT, "%s", target->trouble);
	else if (check_needs(row, NEED_SLOT) && !target->has_slot)
		snprintf(reason, OUTCOME_TEXT, "the module has no slot");
	else if (check_needs(row, NEED_TOKEN) && !target->has_token)
		snprintf(reason, OUTCOME_TEXT, "there is no initialised token in slot %lu",
		         (unsigned long)target->slot);
	else if (check_needs(row, NEED_PLUG) && (target->unplug[0] == 0 || target->plug[0] == 0))
		snprintf(reason, OUTCOME_TEXT,
		         "nothing was said of how the token is taken out (--unplug, --plug)");
	else if (row->mechanism_flags != 0 &&
	         (info == NULL || (info->flags & row->mechanism_flags) == 0))
		snprintf(reason, OUTCOME_TEXT, "the token does not list %s for it",
		         check_mechanism_name(row->mechanism));
	else if (check_needs(row, NEED_USER) && has_login && !target->user_logs_in)
		snprintf(reason, OUTCOME_TEXT,
		         "the user cannot be logged in without a PIN (--pin-file)");
	else if (check_needs(row, NEED_SO) && !target->so_logs_in)
		snprintf(reason, OUTCOME_TEXT,
		         "the security officer cannot be logged in without a PIN (--so-pin-file)");
	return reason[0] != 0;
}

static void prepare(struct check *c)
{
	const struct target *target = c->target;
	if (check_needs(c->row, NEED_LOADED))
		check_load(c);
	if (check_needs(c->row, NEED_V30) && c->p30 == NULL)
		check_skip(c, "the module is of PKCS#11 2.40");
	if (check_needs(c->row, NEED_V32) && c->p32 == NULL)
		check_skip(c, "the module has no function list of PKCS#11 3.2");
	if (check_needs(c->row, NEED_INIT))
		NEED_OK(c, check_initialize(c));
	c->slot = target->slot;
	if (check_needs(c->row, NEED_WRONG_PIN))
		spare_the_pin(c);
	if (check_needs(c->row, NEED_SESSION))
		c->session = check_open(c, check_needs(c->row, NEED_RW) ? CKF_RW_SESSION : 0);
	if (check_needs(c->row, NEED_USER) &&
	    (target->token_info.flags & CKF_LOGIN_REQUIRED) != 0 &&
	    !check_login(c, c->session, CKU_USER))
		check_skip(c, "the user, who could log in before, cannot");
	if (check_needs(c->row, NEED_SO) && !check_login(c, c->session, CKU_SO))
		check_skip(c, "the security officer, who could log in before, cannot");
}

static void body(void **state)
{
	struct check *c = *state;
	take_signals();
	prepare(c);
	c->row->run(c);
	if (c->outcome->expectations == 0)
		check_error(c, "nothing was asserted");
	c->outcome->ended = true;
}

static void run(struct check *c)
{
	const struct CMUnitTest test[] = { { c->row->name, body, NULL, NULL, c } };
	current = c->outcome;
	_cmocka_run_group_tests(c->row->name, test, 1, NULL, NULL);
	c->outcome->ended = true;
	take_signals();
	if (c->initialized)
		check_finalize(c);
	c->outcome->closed = true;
}

void child_run(const struct check_row *row, const struct target *target, struct outcome *outcome)
{
	struct check c = { .row = row, .target = target, .outcome = outcome };
	run(&c);
}

/* ---- sweeping -------------------------------------------------------------------------------- */

static void sweep(struct check *c)
{
	c->outcome->expectations++;
	if (c->row->b != 0)
		check_plug(c, true);
	if (c->row->a != 0)
		pins_restore(c);
	c->session = check_open(c, CKF_RW_SESSION);
	(void)check_login(c, c->session, CKU_USER);
	object_sweep(c);
}

void child_sweep(const struct check_row *after, const struct target *target,
                 struct outcome *outcome)
{
	struct check_row row = { .suite = "target",
		                 .name = "sweep",
		                 .needs = NEED_TOKEN,
		                 .run = sweep,
		                 .a = after != NULL && check_needs(after, NEED_PINS),
		                 .b = after != NULL && check_needs(after, NEED_PLUG) &&
		                      target->plug[0] != 0 };
	child_run(&row, target, outcome);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static struct target *asked;

/* Some tokens that work do not say CKF_TOKEN_INITIALIZED: what opens a session is one. */
static bool is_ready(struct check *c, CK_SLOT_ID slot, const CK_TOKEN_INFO *info)
{
	CK_SESSION_HANDLE session;
	if ((info->flags & CKF_TOKEN_INITIALIZED) != 0)
		return true;
	if (c->p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK)
		return false;
	(void)c->p11->C_CloseSession(session);
	return true;
}

static void ask_slot(struct check *c, struct target *target)
{
	CK_ULONG count = TARGET_SLOTS;
	/* All that have a token come first: a slot without one can tell little. */
	for (CK_BBOOL present = CK_TRUE;; present = CK_FALSE) {
		count = TARGET_SLOTS;
		CK_RV rv = c->p11->C_GetSlotList(present, target->slots, &count);
		target->slot_count = rv == CKR_OK && count <= TARGET_SLOTS ? count : 0;
		if (rv != CKR_OK)
			snprintf(target->trouble, sizeof(target->trouble),
			         "C_GetSlotList returned %s", check_rv_name(rv));
		if (target->slot_count != 0 || present == CK_FALSE)
			break;
	}
	for (size_t i = 0; i < target->slot_count; i++) {
		CK_TOKEN_INFO info;
		CK_SLOT_ID slot = target->slots[i];
		if (target->slot_is_given && slot != target->slot)
			continue;
		bool has_token = c->p11->C_GetTokenInfo(slot, &info) == CKR_OK;
		size_t length = strlen(target->token);
		if (length != 0 && (!has_token || memcmp(info.label, target->token, length) != 0))
			continue;
		bool ready = has_token && is_ready(c, slot, &info);
		if (target->has_slot && !(ready && !target->has_token))
			continue;
		target->slot = slot;
		target->has_slot = true;
		target->has_token = ready;
		if (has_token)
			target->token_info = info;
	}
	if (target->has_slot)
		(void)c->p11->C_GetSlotInfo(target->slot, &target->slot_info);
}

static void ask_mechanisms(struct check *c, struct target *target)
{
	CK_ULONG count = TARGET_MECHANISMS;
	if (c->p11->C_GetMechanismList(target->slot, target->mechanisms, &count) != CKR_OK)
		return;
	target->mechanism_count = count < TARGET_MECHANISMS ? count : TARGET_MECHANISMS;
	for (size_t i = 0; i < target->mechanism_count; i++) {
		/* Some modules add flags to what they find there. */
		target->mechanism_infos[i] = (CK_MECHANISM_INFO){ 0 };
		(void)c->p11->C_GetMechanismInfo(target->slot, target->mechanisms[i],
		                                 &target->mechanism_infos[i]);
	}
}

/* Present a PIN once. A token that is near to being locked is left alone. */
static bool try_login(struct check *c, const struct target *target, CK_USER_TYPE user)
{
	bool so = user == CKU_SO;
	CK_FLAGS danger = so ? CKF_SO_PIN_FINAL_TRY | CKF_SO_PIN_LOCKED
	                     : CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED;
	CK_SESSION_HANDLE session;
	if ((target->token_info.flags & danger) != 0 ||
	    !(so ? target->has_so_pin : target->has_pin))
		return false;
	if (c->p11->C_OpenSession(target->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
	                          &session) != CKR_OK &&
	    c->p11->C_OpenSession(target->slot, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK)
		return false;
	asked->user_logs_in |= !so;
	asked->so_logs_in |= so;
	bool works = check_login(c, session, user);
	if (works)
		(void)c->p11->C_Logout(session);
	(void)c->p11->C_CloseSession(session);
	return works;
}

static void ask(struct check *c)
{
	struct target *target = asked;
	void *module = dlopen(target->module, RTLD_LAZY | RTLD_LOCAL);
	target->opens = module != NULL;
	check_load(c);
	if (module != NULL)
		dlclose(module);
	CK_VERSION newest = c->p11->version;
	target->loads = true;
	if (c->p30 != NULL)
		newest = c->p30->version;
	if (c->p32 != NULL)
		newest = c->p32->version;
	target->newest = SPEC(newest.major, newest.minor);
	if (target->spec == 0)
		target->spec = target->newest;
	c->outcome->expectations++;
	CK_RV rv = check_initialize(c);
	if (rv != CKR_OK) {
		snprintf(target->trouble, sizeof(target->trouble), "C_Initialize returned %s",
		         check_rv_name(rv));
		return;
	}
	target->initializes = true;
	(void)c->p11->C_GetInfo(&target->info);
	ask_slot(c, target);
	c->slot = target->slot;
	if (!target->has_token)
		return;
	ask_mechanisms(c, target);
	target->user_logs_in = try_login(c, target, CKU_USER);
	target->so_logs_in = try_login(c, target, CKU_SO);
}

void child_ask(struct target *target, struct outcome *outcome)
{
	static const struct check_row row = {
		.suite = "target", .name = "ask", .needs = NEED_FILE, .run = ask
	};
	asked = target;
	child_run(&row, target, outcome);
}
