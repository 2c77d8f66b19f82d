/* SPDX-License-Identifier: MIT
 *
 * C_CloseAllSessions (PKCS#11 3.1 §5.6.3): only that slot's, all of them, with all that hangs on them.
 */
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites/active.h"
#include "suites/check.h"
#include "suites/objects.h"

#define MANY 16

/* The call that this suite is about, where it is not the check's own question whether it works. */
static void close_all(struct check *c)
{
	CK_RV rv = c->p11->C_CloseAllSessions(c->slot);
	/* A module that opens sessions and does not close them all is found out by "supported". */
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_CloseAllSessions is not supported");
	EXPECT_CODE(c, 113, "C_CloseAllSessions", rv, CKR_OK);
	c->session = CK_INVALID_HANDLE;
}

static CK_RV session_info(struct check *c, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;
	return c->p11->C_GetSessionInfo(session, &info);
}

static void supported(struct check *c)
{
	EXPECT_RV(c, 113, c->p11->C_CloseAllSessions(c->slot), CKR_OK);
}

static void all_closed(struct check *c)
{
	CK_SESSION_HANDLE sessions[MANY];
	size_t count = 0;
	while (count < MANY && c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL,
	                                             &sessions[count]) == CKR_OK)
		count++;
	CK_SESSION_HANDLE first = c->session;
	close_all(c);
	EXPECT_CODE(c, 113, "C_GetSessionInfo", session_info(c, first), CKR_SESSION_HANDLE_INVALID);
	for (size_t i = 0; i < count; i++)
		EXPECT_CODE(c, 113, "C_GetSessionInfo", session_info(c, sessions[i]),
		            CKR_SESSION_HANDLE_INVALID);
}

static void read_only_and_read_write(struct check *c)
{
	CK_SESSION_HANDLE writable = check_open(c, CKF_RW_SESSION);
	CK_SESSION_HANDLE readable = c->session;
	close_all(c);
	EXPECT_CODE(c, 113, "C_GetSessionInfo", session_info(c, writable),
	            CKR_SESSION_HANDLE_INVALID);
	EXPECT_CODE(c, 113, "C_GetSessionInfo", session_info(c, readable),
	            CKR_SESSION_HANDLE_INVALID);
}

static void none_open(struct check *c)
{
	CK_RV rv = c->p11->C_CloseAllSessions(c->slot);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_CloseAllSessions is not supported");
	EXPECT_CODE(c, 113, "C_CloseAllSessions", rv, CKR_OK);
}

static void twice(struct check *c)
{
	close_all(c);
	close_all(c);
}

static void bad_slot(struct check *c)
{
	CK_SLOT_ID slot = 0x7ffffff0;
	for (size_t i = 0; i < c->target->slot_count; i++)
		slot += c->target->slots[i] == slot;
	CK_RV rv = c->p11->C_CloseAllSessions(slot);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_CloseAllSessions is not supported");
	EXPECT_CODE(c, 78, "C_CloseAllSessions", rv, CKR_SLOT_ID_INVALID);
	EXPECT_CODE(c, 114, "C_GetSessionInfo", session_info(c, c->session), CKR_OK);
}

static void other_slot(struct check *c)
{
	CK_SESSION_HANDLE other = check_open_elsewhere(c);
	close_all(c);
	EXPECT_CODE(c, 114, "C_GetSessionInfo", session_info(c, other), CKR_OK);
}

static void logged_out(struct check *c)
{
	CK_SESSION_INFO info;
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	close_all(c);
	CK_SESSION_HANDLE session = check_open(c, 0);
	NEED_OK(c, c->p11->C_GetSessionInfo(session, &info));
	EXPECT(c, 113, info.state == CKS_RO_PUBLIC_SESSION,
	       "a session that is opened after C_CloseAllSessions is in the state %s",
	       check_name(TAPE_G_CKS, info.state));
	EXPECT(c, 113, check_login(c, session, CKU_USER),
	       "after C_CloseAllSessions the user cannot log in again");
	NEED_OK(c, c->p11->C_GetSessionInfo(session, &info));
	EXPECT(c, 113, info.state == CKS_RO_USER_FUNCTIONS, "the state after the new login is %s",
	       check_name(TAPE_G_CKS, info.state));
}

static void officer_logged_out(struct check *c)
{
	CK_SESSION_INFO info;
	close_all(c);
	/* With the security officer logged in this would be CKR_SESSION_READ_WRITE_SO_EXISTS (§5.6.1). */
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
	EXPECT_RV(c, 113, c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session),
	          CKR_OK);
	NEED_OK(c, c->p11->C_GetSessionInfo(session, &info));
	EXPECT(c, 113, info.state == CKS_RO_PUBLIC_SESSION, "the state is %s",
	       check_name(TAPE_G_CKS, info.state));
}

/* One for every kind of object: what it left behind is not there for a new session. */
static void session_objects_gone(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[1];
	CK_BYTE class[sizeof(CK_ULONG)];
	CK_ULONG size;
	CK_OBJECT_HANDLE object = object_make(c, (enum object_kind)c->row->a);
	close_all(c);
	c->session = check_open(c, 0);
	(void)check_login(c, c->session, CKU_USER);
	EXPECT_RV(c, 113, object_read(c, object, CKA_CLASS, class, sizeof(class), &size),
	          CKR_OBJECT_HANDLE_INVALID);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, false);
	EXPECT(c, 113, object_find(c, &t, found, 1) == 0,
	       "a search finds the session object after C_CloseAllSessions");
}

static void token_objects_stay(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[2];
	object_template(c, &t, OBJECT_DATA);
	template_bool(&t, CKA_TOKEN, true);
	object_create(c, &t);
	close_all(c);
	c->session = check_open(c, CKF_RW_SESSION);
	(void)check_login(c, c->session, CKU_USER);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	EXPECT(c, 113, object_find(c, &t, found, 2) == 1,
	       "the token object is not found after C_CloseAllSessions");
}

static void operation_gone(struct check *c)
{
	const struct active *operation = c->row->data;
	NEED_OK(c, active_begin(c, operation));
	CK_SESSION_HANDLE old = c->session;
	close_all(c);
	c->session = old;
	EXPECT_CODE(c, 113, tape_functions[operation->step].name.text, active_step(c, operation),
	            CKR_SESSION_HANDLE_INVALID);
	/* Modules use numbers of handles again: what was begun in the old one is not in the new one. */
	c->session = check_open(c, 0);
	EXPECT_CODE(c, 113, tape_functions[operation->step].name.text, active_step(c, operation),
	            CKR_OPERATION_NOT_INITIALIZED);
}

static void everything_works_again(struct check *c)
{
	for (int i = 0; i < 3; i++) {
		close_all(c);
		c->session = check_open(c, (i & 1) == 0 ? 0 : CKF_RW_SESSION);
		(void)check_login(c, c->session, CKU_USER);
		EXPECT_RV(c, 113, c->p11->C_FindObjectsInit(c->session, NULL, 0), CKR_OK);
		EXPECT_RV(c, 113, c->p11->C_FindObjectsFinal(c->session), CKR_OK);
	}
}

/* The count that the token keeps, where it keeps one (CK_TOKEN_INFO.ulSessionCount). */
static void count_is_zero(struct check *c)
{
	CK_TOKEN_INFO info;
	check_open(c, 0);
	NEED_OK(c, c->p11->C_GetTokenInfo(c->slot, &info));
	if (info.ulSessionCount == CK_UNAVAILABLE_INFORMATION)
		check_skip(c, "the token does not count sessions");
	if (info.ulSessionCount != 2)
		check_skip(c, "with two sessions open the token says %lu",
		           (unsigned long)info.ulSessionCount);
	close_all(c);
	NEED_OK(c, c->p11->C_GetTokenInfo(c->slot, &info));
	EXPECT(c, 113, info.ulSessionCount == 0,
	       "after C_CloseAllSessions the token says that %lu sessions are open",
	       (unsigned long)info.ulSessionCount);
}

/* Another process has sessions of its own (§5.6.3: "an application"). It tells by its exit status. */
static void other_process(struct check *c)
{
	int ready[2], go[2];
	char byte = 0;
	int status;
	if (pipe(ready) != 0 || pipe(go) != 0)
		check_error(c, "no pipe can be made");
	pid_t child = fork();
	if (child == 0) {
		CK_SESSION_HANDLE session;
		CK_RV rv = check_begin_anew(c, &session);
		byte = (char)(rv == CKR_OK);
		if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 1 || rv != CKR_OK)
			_exit(2);
		_exit(session_info(c, session) == CKR_OK ? 0 : 1);
	}
	if (read(ready[0], &byte, 1) != 1 || byte == 0) {
		waitpid(child, &status, 0);
		check_skip(c, "a forked process cannot open a session of its own");
	}
	close_all(c);
	if (write(go[1], &byte, 1) != 1 || waitpid(child, &status, 0) != child)
		check_error(c, "the other process is gone");
	EXPECT(c, 114, WIFEXITED(status) && WEXITSTATUS(status) == 0,
	       "the session of another process was closed too");
}

#define THREADS 4
#define ROUNDS 50

struct worker {
	struct check *c;
	pthread_t thread;
	CK_RV odd; /* something other than a valid and an invalid session can mean */
};

static void *open_and_close(void *context)
{
	struct worker *worker = context;
	struct check *c = worker->c;
	for (int i = 0; i < ROUNDS && worker->odd == CKR_OK; i++) {
		CK_SESSION_HANDLE session;
		CK_RV rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
		if (rv == CKR_OK)
			rv = session_info(c, session);
		if (rv == CKR_OK)
			rv = c->p11->C_CloseSession(session);
		if (rv != CKR_OK && rv != CKR_SESSION_HANDLE_INVALID && rv != CKR_SESSION_CLOSED &&
		    rv != CKR_SESSION_COUNT)
			worker->odd = rv;
	}
	return NULL;
}

static void concurrent(struct check *c)
{
	struct worker workers[THREADS];
	for (size_t i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){ .c = c };
		if (pthread_create(&workers[i].thread, NULL, open_and_close, &workers[i]) != 0)
			check_error(c, "no thread can be made");
	}
	CK_RV rv = CKR_OK;
	for (int i = 0; i < ROUNDS && rv == CKR_OK; i++)
		rv = c->p11->C_CloseAllSessions(c->slot);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	EXPECT_CODE(c, 113, "C_CloseAllSessions", rv, CKR_OK);
	for (size_t i = 0; i < THREADS; i++)
		EXPECT(c, 115, workers[i].odd == CKR_OK,
		       "a thread whose session was closed meanwhile got %s",
		       check_rv_name(workers[i].odd));
	c->session = check_open(c, 0);
	EXPECT_CODE(c, 113, "C_GetSessionInfo", session_info(c, c->session), CKR_OK);
}

void suite_closeall(struct check_list *list)
{
	check_add(
		list,
		CHECK(supported, NEED_SESSION, "a module that opens sessions closes them all", 113),
		"supported");
	check_add(list,
	          CHECK(all_closed, NEED_SESSION, "no handle of the slot is valid afterwards", 113),
	          "all-closed");
	check_add(list,
	          CHECK(read_only_and_read_write, NEED_SESSION,
	                "read-only and read-write sessions are closed alike", 113),
	          "read-only-and-read-write");
	check_add(list, CHECK(none_open, NEED_TOKEN, "it works where no session is open", 113),
	          "none-open");
	check_add(list, CHECK(twice, NEED_SESSION, "it works a second time", 113), "twice");
	check_add(list,
	          CHECK(bad_slot, NEED_SESSION, "an unknown slot is refused, and nothing is closed",
	                78, 114),
	          "bad-slot");
	check_add(list,
	          CHECK(other_slot, NEED_SESSION, "sessions with other slots stay open", 113, 114),
	          "other-slot");
	check_add(list,
	          CHECK(logged_out, NEED_USER, "the user is logged out, and can log in again", 113),
	          "logged-out");
	check_add(list,
	          CHECK(officer_logged_out, NEED_SO, "the security officer is logged out", 113),
	          "officer-logged-out");
	for (unsigned int kind = 0; kind < OBJECT_KINDS; kind++) {
		struct check_row row =
			CHECK(session_objects_gone, NEED_USER, "session objects are gone", 113);
		row.a = kind;
		check_add(list, row, "session-objects-gone/%s",
		          object_name((enum object_kind)kind));
	}
	check_add(list,
	          CHECK(token_objects_stay, NEED_RW | NEED_USER | NEED_DESTRUCTIVE,
	                "token objects stay", 113),
	          "token-objects-stay");
	for (size_t i = 0; i < ACTIVE_COUNT; i++) {
		struct check_row row = CHECK(operation_gone, NEED_USER,
		                             "an active operation goes with its session", 113);
		row.data = &active_operations[i];
		check_add(list, row, "operation-gone/%s", active_operations[i].name);
	}
	check_add(list,
	          CHECK(everything_works_again, NEED_USER, "sessions can be opened and used again",
	                113),
	          "everything-works-again");
	check_add(list,
	          CHECK(count_is_zero, NEED_SESSION, "the token counts no session any more", 113),
	          "count-is-zero");
	check_add(list,
	          CHECK(other_process, NEED_SESSION, "sessions of other processes stay open", 113,
	                114),
	          "other-process");
	check_add(list,
	          CHECK(concurrent, NEED_SESSION,
	                "threads that open sessions meanwhile get valid or invalid handles, and "
	                "nothing else",
	                113, 115),
	          "concurrent");
}
