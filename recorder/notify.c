/* SPDX-License-Identifier: MIT */
#include "recorder/notify.h"

#include <errno.h>

/*
 * pApplication is the application's, and nobody says that a module gives it back: so a function of ours
 * can only know by itself which one it stands for. Programs have one or two.
 */
#define EACH_STAND_IN(X) \
	X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/* What each stands for. Never taken back: modules may keep a session's function beyond its end. */
#define ONE(n) +1
static CK_NOTIFY _Atomic behind[EACH_STAND_IN(ONE)];

/* The module's thread may be any, and the application may leave its function as it likes. */
static CK_RV pass_on(size_t index, CK_SESSION_HANDLE session, CK_NOTIFICATION event,
                     void *application)
{
	struct tape_notice notice;
	CK_NOTIFY notify = atomic_load_explicit(&behind[index], memory_order_acquire);
	tape_record_notice(&notice, session, event);
	return tape_record_answer(&notice, notify(session, event, application));
}

#define STAND_IN(n)                                                                 \
	static CK_RV stand_in_##n(CK_SESSION_HANDLE session, CK_NOTIFICATION event, \
	                          void *application)                                \
	{                                                                           \
		return pass_on(n, session, event, application);                     \
	}
EACH_STAND_IN(STAND_IN)

#define NAME(n) stand_in_##n,
static const CK_NOTIFY stand_ins[] = { EACH_STAND_IN(NAME) };

CK_NOTIFY tape_notify_stand_in(struct tape_call *call, CK_NOTIFY notify)
{
	static atomic_bool told;
	if (notify == NULL)
		return NULL;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(stand_ins); i++) {
		CK_NOTIFY known = NULL;
		if (atomic_compare_exchange_strong(&behind[i], &known, notify) || known == notify)
			return stand_ins[i];
	}
	if (!atomic_exchange(&told, true)) {
		int saved = errno;
		tape_record_passed_through(call->state, "Notify");
		errno = saved;
	}
	return notify;
}
