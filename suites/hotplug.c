/* SPDX-License-Identifier: MIT
 *
 * A token that is taken out and put back (PKCS#11 3.1 §5.5.4, §5.6; Usage Guide, "Session events"), by the commands
 * that the user of p11tape gave for it. The runner puts it back after each of these checks, however that ended.
 */
#include <time.h>

#include "suites/check.h"
#include "suites/objects.h"
#include "suites/states.h"

/* What goes on when the token moves is seen by asking: so often, with a pause between. */
#define LOOKS 250

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static CK_RV session_info(struct check *c, CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;
	return c->p11->C_GetSessionInfo(session, &info);
}

static void expect_closed(struct check *c, CK_SESSION_HANDLE session, const char *when)
{
	CK_RV rv = session_info(c, session);
	EXPECT(c, 116, rv != CKR_OK, "%s a session is still open", when);
	if (rv == CKR_TOKEN_NOT_PRESENT)
		DEVIATION(c, 16, "C_GetSessionInfo returned CKR_TOKEN_NOT_PRESENT");
	else
		EXPECT_CODE(c, 116, "C_GetSessionInfo", rv, CKR_SESSION_HANDLE_INVALID,
		            CKR_DEVICE_REMOVED, CKR_SESSION_CLOSED);
}

static void sessions_close(struct check *c)
{
	CK_SESSION_HANDLE session = check_open(c, c->row->a);
	EXPECT_CODE(c, 116, "C_GetSessionInfo", session_info(c, session), CKR_OK);
	check_plug(c, false);
	expect_closed(c, session, "without the token");
	check_plug(c, true);
	expect_closed(c, session, "when the token is back");
}

static void logged_out(struct check *c)
{
	if (!states_has_login(c))
		check_skip(c, "the token wants no login");
	check_plug(c, false);
	check_plug(c, true);
	states_expect(c, 116, &(struct sessions){ check_open(c, 0), CK_INVALID_HANDLE },
	              LOGIN_NOBODY);
}

/* They go with their session (§5.6.2). */
static void session_objects_go(struct check *c)
{
	CK_OBJECT_CLASS class;
	CK_ULONG size;
	CK_OBJECT_HANDLE object = object_make(c, OBJECT_DATA);
	check_plug(c, false);
	check_plug(c, true);
	c->session = check_open(c, 0);
	EXPECT_CODE(c, 111, "C_GetAttributeValue",
	            object_read(c, object, CKA_CLASS, &class, sizeof(class), &size),
	            CKR_OBJECT_HANDLE_INVALID);
}

static void empty_slot(struct check *c)
{
	CK_TOKEN_INFO token;
	CK_SLOT_INFO slot;
	CK_SESSION_HANDLE session;
	CK_SLOT_ID slots[TARGET_SLOTS];
	CK_ULONG count = TAPE_ARRAY_SIZE(slots);
	bool listed = false;
	check_plug(c, false);
	EXPECT_RV(c, 79, c->p11->C_GetTokenInfo(c->slot, &token), CKR_TOKEN_NOT_PRESENT);
	EXPECT_RV(c, 79, c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session),
	          CKR_TOKEN_NOT_PRESENT);
	EXPECT_RV(c, 79, c->p11->C_CloseAllSessions(c->slot), CKR_TOKEN_NOT_PRESENT);
	NEED_OK(c, c->p11->C_GetSlotList(CK_TRUE, slots, &count));
	for (CK_ULONG i = 0; i < count; i++)
		listed |= slots[i] == c->slot;
	EXPECT(c, 74, !listed, "the empty slot is in the list with tokenPresent");
	NEED_OK(c, c->p11->C_GetSlotInfo(c->slot, &slot));
	EXPECT(c, 75, (slot.flags & CKF_REMOVABLE_DEVICE) != 0,
	       "a slot whose token was taken out is not removable");
}

/* ---- events -------------------------------------------------------------------------------------------- */

static CK_RV poll_event(struct check *c, CK_SLOT_ID *ret_slot)
{
	CK_RV rv = c->p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, ret_slot, NULL);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_WaitForSlotEvent is not supported");
	return rv;
}

/* What has happened before, in whatever slot. */
static void take_events(struct check *c)
{
	CK_SLOT_ID slot;
	for (int i = 0; i < LOOKS && poll_event(c, &slot) == CKR_OK; i++)
		pause_a_little();
}

/* An event of the check's slot; those of others are none of ours. */
static CK_RV own_event(struct check *c)
{
	CK_SLOT_ID slot = c->slot;
	CK_RV rv;
	do
		rv = poll_event(c, &slot);
	while (rv == CKR_OK && slot != c->slot);
	return rv;
}

static void event_once(struct check *c)
{
	bool in = c->row->a != 0;
	CK_RV rv = CKR_NO_EVENT;
	if (in)
		check_plug(c, false);
	take_events(c);
	check_plug(c, in);
	for (int i = 0; i < LOOKS && (rv = own_event(c)) == CKR_NO_EVENT; i++)
		pause_a_little();
	EXPECT_CODE(c, 85, "C_WaitForSlotEvent", rv, CKR_OK);
	rv = own_event(c);
	EXPECT(c, 85, rv != CKR_OK, "C_WaitForSlotEvent reports one event twice");
	EXPECT_CODE(c, 85, "C_WaitForSlotEvent", rv, CKR_NO_EVENT);
}

/* ---- the list ------------------------------------------------------------------------------------------ */

void suite_hotplug(struct check_list *list)
{
	struct check_row row = CHECK(sessions_close, NEED_PLUG,
	                             "sessions end when the token is taken out", 16, 116);
	check_add(list, row, "sessions/read-only");
	row.a = CKF_RW_SESSION;
	check_add(list, row, "sessions/read-write");
	check_add(list,
	          CHECK(logged_out, NEED_PLUG | NEED_USER, "whoever takes the token out logs out",
	                116),
	          "login");
	check_add(list,
	          CHECK(session_objects_go, NEED_PLUG | NEED_USER,
	                "session objects go with the token", 111),
	          "session-objects");
	check_add(list,
	          CHECK(empty_slot, NEED_PLUG, "a slot whose token was taken out is empty", 74, 75,
	                79),
	          "empty-slot");
	row = CHECK(event_once, NEED_PLUG, "a token that goes or comes is one event", 85);
	check_add(list, row, "event/out");
	row.a = 1;
	check_add(list, row, "event/in");
}
