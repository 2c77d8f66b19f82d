/* SPDX-License-Identifier: MIT
 *
 * Slots, tokens and mechanisms: what the module tells of them (PKCS#11 3.1 §5.5), and C_WaitForSlotEvent.
 */
#include <stdlib.h>
#include <string.h>

#include "core/varies.h"
#include "suites/check.h"
#include "suites/objects.h"

/* ---- lists ------------------------------------------------------------------------------------------- */

/* The lists that follow one convention: what they hold, and how they are asked for. */
enum list_id { ALL_SLOTS, TOKEN_SLOTS, MECHANISMS, LISTS };

static const struct {
	const char *name, *function;
	unsigned short rule;
} lists[LISTS] = {
	{ "slots", "C_GetSlotList", 71 },
	{ "token-slots", "C_GetSlotList", 71 },
	{ "mechanisms", "C_GetMechanismList", 88 },
};

static CK_RV get_list(struct check *c, CK_ULONG *entries, CK_ULONG *count)
{
	switch ((enum list_id)c->row->a) {
	case ALL_SLOTS:
		return c->p11->C_GetSlotList(CK_FALSE, entries, count);
	case TOKEN_SLOTS:
		return c->p11->C_GetSlotList(CK_TRUE, entries, count);
	default:
		return c->p11->C_GetMechanismList(c->slot, entries, count);
	}
}

static const char *list_function(const struct check *c)
{
	return lists[c->row->a].function;
}

static CK_ULONG count_list(struct check *c)
{
	CK_ULONG count = 0;
	NEED_OK(c, get_list(c, NULL, &count));
	return count;
}

/* The number is asked for with whatever is in *pulCount. */
static void list_count(struct check *c)
{
	static const CK_ULONG before[] = { 0, 1, 0x5555, CK_UNAVAILABLE_INFORMATION };
	CK_ULONG first = 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(before); i++) {
		CK_ULONG count = before[i];
		EXPECT_CODE(c, c->row->rules[0], list_function(c), get_list(c, NULL, &count),
		            CKR_OK);
		if (i == 0)
			first = count;
		EXPECT(c, c->row->rules[0], count == first,
		       "with *pulCount 0x%lx before the call the number is %lu, with 0 it is %lu",
		       (unsigned long)before[i], (unsigned long)count, (unsigned long)first);
	}
}

static void list_exact(struct check *c)
{
	CK_ULONG number = count_list(c), count = number;
	CK_ULONG *entries = check_buffer(c, number * sizeof(*entries));
	EXPECT_CODE(c, c->row->rules[0], list_function(c), get_list(c, entries, &count), CKR_OK);
	EXPECT(c, c->row->rules[0], count == number, "%lu were announced, %lu are there",
	       (unsigned long)number, (unsigned long)count);
}

static void list_small(struct check *c)
{
	CK_ULONG number = count_list(c);
	CK_ULONG room = c->row->b == 0 ? 0 : number - 1, count = room;
	if (number == 0)
		check_skip(c, "the list is empty");
	CK_ULONG *entries = check_buffer(c, room * sizeof(*entries));
	EXPECT_CODE(c, c->row->rules[0], list_function(c), get_list(c, entries, &count),
	            CKR_BUFFER_TOO_SMALL);
	EXPECT(c, c->row->rules[0], count == number,
	       "with CKR_BUFFER_TOO_SMALL *pulCount is %lu, and there are %lu",
	       (unsigned long)count, (unsigned long)number);
}

static void list_large(struct check *c)
{
	CK_ULONG number = count_list(c), count = number + 5;
	size_t size = (number + 5) * sizeof(CK_ULONG);
	CK_ULONG *entries = check_buffer(c, size);
	EXPECT_CODE(c, c->row->rules[0], list_function(c), get_list(c, entries, &count), CKR_OK);
	EXPECT(c, c->row->rules[0], count == number, "%lu were announced, %lu are there",
	       (unsigned long)number, (unsigned long)count);
	if (!check_untouched(entries, number * sizeof(CK_ULONG), size))
		check_note(c, "what lies behind the last entry, in the buffer's room, is written");
}

static void list_null_count(struct check *c)
{
	CK_ULONG entries[1];
	CK_RV rv = get_list(c, c->row->b == 0 ? NULL : entries, NULL);
	EXPECT(c, 314, rv != CKR_OK, "%s with pulCount NULL returned CKR_OK", list_function(c));
	if (rv != CKR_ARGUMENTS_BAD)
		check_note(c, "%s with pulCount NULL returned %s", list_function(c),
		           check_rv_name(rv));
}

static int compare(const void *one, const void *two)
{
	CK_ULONG a = *(const CK_ULONG *)one, b = *(const CK_ULONG *)two;
	return a < b ? -1 : a > b;
}

/* The list, sorted, in memory that lives as long as the process. */
static CK_ULONG *sorted_list(struct check *c, CK_ULONG *ret_count)
{
	*ret_count = count_list(c);
	CK_ULONG *entries = calloc(*ret_count + 1, sizeof(*entries));
	if (entries == NULL)
		check_error(c, "out of memory");
	NEED_OK(c, get_list(c, entries, ret_count));
	qsort(entries, *ret_count, sizeof(*entries), compare);
	return entries;
}

static void list_unique(struct check *c)
{
	CK_ULONG count;
	CK_ULONG *entries = sorted_list(c, &count);
	if (count < 2)
		check_skip(c, "the list has no two entries");
	for (CK_ULONG i = 1; i < count; i++)
		EXPECT(c, c->row->rules[0], entries[i] != entries[i - 1],
		       "0x%lx is in the list twice", (unsigned long)entries[i]);
	free(entries);
}

/* The list is as it was sampled by the call with NULL (§5.5.1); mechanisms do not come and go either. */
static void list_stays(struct check *c)
{
	CK_ULONG count, again;
	CK_ULONG *entries = sorted_list(c, &count);
	CK_ULONG *others = calloc(count + 1, sizeof(*others));
	if (others == NULL)
		check_error(c, "out of memory");
	for (int i = 0; i < 5; i++) {
		again = count;
		EXPECT_CODE(c, c->row->rules[0], list_function(c), get_list(c, others, &again),
		            CKR_OK);
		qsort(others, again, sizeof(*others), compare);
		EXPECT(c, c->row->rules[0],
		       again == count && memcmp(entries, others, count * sizeof(*others)) == 0,
		       "two calls one after the other give different lists");
	}
	free(others);
	free(entries);
}

static void mechanisms_with_session(struct check *c)
{
	CK_ULONG count, again;
	CK_ULONG *entries = sorted_list(c, &count);
	(void)check_open(c, 0);
	CK_ULONG *others = sorted_list(c, &again);
	EXPECT(c, 88, again == count && memcmp(entries, others, count * sizeof(*others)) == 0,
	       "with a session open the list of mechanisms is another");
	free(others);
	free(entries);
}

/* ---- slots ------------------------------------------------------------------------------------------- */

static void slots_accepted(struct check *c)
{
	CK_ULONG count;
	CK_ULONG *slots = sorted_list(c, &count);
	if (count == 0)
		check_skip(c, "the module has no slot");
	for (CK_ULONG i = 0; i < count; i++) {
		CK_SLOT_INFO info;
		/* No number is set apart to mean none, neither the least nor the greatest. */
		bool odd = slots[i] == 0 || slots[i] == CK_UNAVAILABLE_INFORMATION;
		EXPECT_RV(c, odd ? 76 : 72, c->p11->C_GetSlotInfo(slots[i], &info), CKR_OK);
		if (odd)
			check_note(c, "0x%lx is the number of a slot", (unsigned long)slots[i]);
	}
	free(slots);
}

static bool is_in(const CK_ULONG *entries, CK_ULONG count, CK_ULONG entry)
{
	return count != 0 && bsearch(&entry, entries, count, sizeof(entry), compare) != NULL;
}

/* With tokenPresent the list has exactly the slots that say CKF_TOKEN_PRESENT. */
static void token_present(struct check *c)
{
	CK_ULONG all_count = 0, count = 0;
	CK_SLOT_ID all[TARGET_SLOTS * 4], present[TARGET_SLOTS * 4];
	NEED_OK(c, c->p11->C_GetSlotList(CK_FALSE, NULL, &all_count));
	if (all_count > TAPE_ARRAY_SIZE(all))
		check_skip(c, "the module has %lu slots", (unsigned long)all_count);
	NEED_OK(c, c->p11->C_GetSlotList(CK_FALSE, all, &all_count));
	NEED_OK(c, c->p11->C_GetSlotList(CK_TRUE, NULL, &count));
	if (count > TAPE_ARRAY_SIZE(present))
		check_skip(c, "the module has %lu slots with a token", (unsigned long)count);
	NEED_OK(c, c->p11->C_GetSlotList(CK_TRUE, present, &count));
	qsort(all, all_count, sizeof(all[0]), compare);
	qsort(present, count, sizeof(present[0]), compare);
	for (CK_ULONG i = 0; i < all_count; i++) {
		CK_SLOT_INFO info;
		NEED_OK(c, c->p11->C_GetSlotInfo(all[i], &info));
		bool says = (info.flags & CKF_TOKEN_PRESENT) != 0;
		EXPECT(c, 74, says == is_in(present, count, all[i]),
		       "slot 0x%lx %s CKF_TOKEN_PRESENT, and is %s the list with tokenPresent",
		       (unsigned long)all[i], says ? "has" : "has not", says ? "not in" : "in");
	}
	for (CK_ULONG i = 0; i < count; i++)
		EXPECT(c, 74, is_in(all, all_count, present[i]),
		       "slot 0x%lx is only in the list with tokenPresent",
		       (unsigned long)present[i]);
	if (all_count == 0)
		check_skip(c, "the module has no slot");
}

/* Blank padded: no zero in it (§3.2.2); and blanks stand behind the text. */
static void expect_padded(struct check *c, const char *name, const CK_UTF8CHAR *text, size_t size)
{
	EXPECT(c, 77, memchr(text, 0, size) == NULL,
	       "%s has a zero in it: it is to be padded with blanks", name);
	if (text[0] == ' ' && memchr(text, ' ', size) == text) {
		for (size_t i = 1; i < size; i++)
			if (text[i] != ' ') {
				check_note(c, "%s begins with blanks", name);
				return;
			}
	}
}

/* Structures without what the compiler puts between their members. */
static CK_RV slot_info(struct check *c, CK_SLOT_ID slot, int poison, CK_SLOT_INFO *info)
{
	memset(info, poison, sizeof(*info));
	return c->p11->C_GetSlotInfo(slot, info);
}

#define SAME(one, two, member) (memcmp(&(one).member, &(two).member, sizeof((one).member)) == 0)

static void slot_written(struct check *c)
{
	CK_SLOT_INFO one, two;
	for (size_t i = 0; i < c->target->slot_count; i++) {
		CK_SLOT_ID slot = c->target->slots[i];
		EXPECT_CODE(c, 341, "C_GetSlotInfo", slot_info(c, slot, 0x00, &one), CKR_OK);
		EXPECT_CODE(c, 341, "C_GetSlotInfo", slot_info(c, slot, 0xff, &two), CKR_OK);
		EXPECT(c, 341,
		       SAME(one, two, slotDescription) && SAME(one, two, manufacturerID) &&
		               SAME(one, two, flags) && SAME(one, two, hardwareVersion) &&
		               SAME(one, two, firmwareVersion),
		       "C_GetSlotInfo of slot 0x%lx does not write all members",
		       (unsigned long)slot);
	}
}

static void slot_text(struct check *c)
{
	for (size_t i = 0; i < c->target->slot_count; i++) {
		CK_SLOT_INFO *info = check_buffer(c, sizeof(*info));
		NEED_OK(c, c->p11->C_GetSlotInfo(c->target->slots[i], info));
		expect_padded(c, "slotDescription", info->slotDescription,
		              sizeof(info->slotDescription));
		expect_padded(c, "manufacturerID", info->manufacturerID,
		              sizeof(info->manufacturerID));
	}
}

static void slot_flags(struct check *c)
{
	const CK_FLAGS known = CKF_TOKEN_PRESENT | CKF_REMOVABLE_DEVICE | CKF_HW_SLOT;
	CK_SLOT_ID slots[TARGET_SLOTS * 4];
	CK_ULONG count = TAPE_ARRAY_SIZE(slots);
	NEED_OK(c, c->p11->C_GetSlotList(CK_FALSE, slots, &count));
	for (CK_ULONG i = 0; i < count; i++) {
		CK_SLOT_INFO info, again;
		CK_SLOT_ID slot = slots[i];
		NEED_OK(c, c->p11->C_GetSlotInfo(slot, &info));
		EXPECT(c, 75, (info.flags & (CKF_REMOVABLE_DEVICE | CKF_TOKEN_PRESENT)) != 0,
		       "slot 0x%lx is not removable and has no token", (unsigned long)slot);
		NEED_OK(c, check_finalize(c));
		NEED_OK(c, check_initialize(c));
		NEED_OK(c, c->p11->C_GetSlotInfo(slot, &again));
		EXPECT(c, 75, ((info.flags ^ again.flags) & CKF_REMOVABLE_DEVICE) == 0,
		       "CKF_REMOVABLE_DEVICE of slot 0x%lx changed", (unsigned long)slot);
		if ((info.flags & ~known) != 0)
			check_note(c, "slot 0x%lx has flags 0x%lx that mean nothing",
			           (unsigned long)slot, (unsigned long)(info.flags & ~known));
	}
}

/* Nobody has asked for the list in this life of the library. */
static void without_list(struct check *c)
{
	CK_SLOT_INFO info;
	CK_TOKEN_INFO token;
	CK_SESSION_HANDLE session;
	CK_RV rv = c->p11->C_GetSlotInfo(c->slot, &info);
	EXPECT(c, 72, rv != CKR_SLOT_ID_INVALID,
	       "C_GetSlotInfo does not know a slot until C_GetSlotList is called");
	if (!c->target->has_token)
		return;
	EXPECT_RV(c, 72, check_token_info(c, c->slot, &token), CKR_OK);
	EXPECT_RV(c, 72, c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session),
	          CKR_OK);
}

/* ---- slots without a token, tokens that are not initialised ------------------------------------------- */

/* The functions that an empty slot refuses. */
static const enum tape_function_id of_tokens[] = {
	TAPE_FN_C_GetTokenInfo, TAPE_FN_C_GetMechanismList, TAPE_FN_C_GetMechanismInfo,
	TAPE_FN_C_InitToken,    TAPE_FN_C_OpenSession,      TAPE_FN_C_CloseAllSessions,
};

static void empty_slot(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	CK_SLOT_ID slots[TARGET_SLOTS * 4];
	CK_ULONG count = TAPE_ARRAY_SIZE(slots);
	NEED_OK(c, c->p11->C_GetSlotList(CK_FALSE, slots, &count));
	for (CK_ULONG i = 0; i < count; i++) {
		CK_SLOT_INFO info;
		if (c->p11->C_GetSlotInfo(slots[i], &info) != CKR_OK ||
		    (info.flags & CKF_TOKEN_PRESENT) != 0)
			continue;
		c->slot = slots[i];
		check_arguments(c, id, words);
		CK_RV rv = check_call(c, id, words);
		if (rv == CKR_FUNCTION_NOT_SUPPORTED)
			check_skip(c, "%s is not supported", tape_functions[id].name.text);
		EXPECT(c, 14, rv != CKR_DEVICE_REMOVED && rv != CKR_TOKEN_NOT_INITIALIZED,
		       "%s returned %s, which ranks below CKR_TOKEN_NOT_PRESENT",
		       tape_functions[id].name.text, check_rv_name(rv));
		EXPECT_CODE(c, 79, tape_functions[id].name.text, rv, CKR_TOKEN_NOT_PRESENT);
		return;
	}
	check_skip(c, "every slot has a token");
}

static CK_SLOT_ID blank_token(struct check *c, CK_TOKEN_INFO *info)
{
	for (size_t i = 0; i < c->target->slot_count; i++)
		if (check_token_info(c, c->target->slots[i], info) == CKR_OK &&
		    (info->flags & CKF_TOKEN_INITIALIZED) == 0)
			return c->target->slots[i];
	check_skip(c, "every token is initialised");
}

static void blank_has_no_pin(struct check *c)
{
	CK_TOKEN_INFO info;
	CK_SLOT_ID slot = blank_token(c, &info);
	PREFER(c, 84, (info.flags & CKF_USER_PIN_INITIALIZED) == 0,
	       "the token in slot 0x%lx has a user PIN and is not initialised",
	       (unsigned long)slot);
}

/* Some modules open sessions with what they do not call initialised, to initialise it: that is noted. */
static void blank_session(struct check *c)
{
	CK_TOKEN_INFO info;
	CK_SESSION_HANDLE session;
	CK_SLOT_ID slot = blank_token(c, &info);
	CK_RV rv = c->p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session);
	EXPECT(c, 84,
	       rv == CKR_OK || rv == CKR_TOKEN_NOT_RECOGNIZED || rv == CKR_TOKEN_NOT_INITIALIZED ||
	               rv == CKR_DEVICE_ERROR || rv == CKR_GENERAL_ERROR ||
	               rv == CKR_FUNCTION_FAILED || rv == CKR_TOKEN_NOT_PRESENT,
	       "C_OpenSession with a token that is not initialised returned %s", check_rv_name(rv));
	check_note(c, "C_OpenSession with a token that is not initialised returned %s",
	           check_rv_name(rv));
}

/* ---- tokens ------------------------------------------------------------------------------------------ */

static CK_TOKEN_INFO *token_info(struct check *c)
{
	CK_TOKEN_INFO *info = check_buffer(c, sizeof(*info));
	NEED_OK(c, check_token_info(c, c->slot, info));
	return info;
}

static void token_written(struct check *c)
{
	CK_TOKEN_INFO one, two;
	memset(&one, 0x00, sizeof(one));
	memset(&two, 0xff, sizeof(two));
	EXPECT_RV(c, 341, check_token_info(c, c->slot, &one), CKR_OK);
	EXPECT_RV(c, 341, check_token_info(c, c->slot, &two), CKR_OK);
	/* What stands in utcTime without a clock is nothing (§3.2.3), and free memory moves. */
	EXPECT(c, 341,
	       SAME(one, two, label) && SAME(one, two, manufacturerID) && SAME(one, two, model) &&
	               SAME(one, two, serialNumber) && SAME(one, two, flags) &&
	               SAME(one, two, ulMaxSessionCount) && SAME(one, two, ulMaxRwSessionCount) &&
	               SAME(one, two, ulMaxPinLen) && SAME(one, two, ulMinPinLen) &&
	               SAME(one, two, ulTotalPublicMemory) &&
	               SAME(one, two, ulTotalPrivateMemory) && SAME(one, two, hardwareVersion) &&
	               SAME(one, two, firmwareVersion),
	       "C_GetTokenInfo does not write all members: two calls differ by what was there "
	       "before");
}

static void token_text(struct check *c)
{
	CK_TOKEN_INFO *info = token_info(c);
	expect_padded(c, "label", info->label, sizeof(info->label));
	expect_padded(c, "manufacturerID", info->manufacturerID, sizeof(info->manufacturerID));
	expect_padded(c, "model", info->model, sizeof(info->model));
	expect_padded(c, "serialNumber", info->serialNumber, sizeof(info->serialNumber));
}

static void token_time(struct check *c)
{
	CK_TOKEN_INFO *info = token_info(c);
	bool digits = true;
	for (size_t i = 0; i < sizeof(info->utcTime); i++)
		digits = digits && info->utcTime[i] >= '0' && info->utcTime[i] <= '9';
	if ((info->flags & CKF_CLOCK_ON_TOKEN) == 0) {
		if (!digits)
			check_note(c, "the token has no clock, and no digits in utcTime");
		check_skip(c, "the token has no clock");
	}
	EXPECT(c, 81, digits, "utcTime of a token with a clock is not 16 digits: %.16s",
	       (const char *)info->utcTime);
	EXPECT(c, 81, memcmp(info->utcTime + 14, "00", 2) == 0, "utcTime does not end in 00: %.16s",
	       (const char *)info->utcTime);
	int month = (info->utcTime[4] - '0') * 10 + info->utcTime[5] - '0';
	EXPECT(c, 81, month >= 1 && month <= 12, "the month of utcTime is %d", month);
}

static void token_flags(struct check *c)
{
	CK_TOKEN_INFO *info = token_info(c);
	EXPECT(c, 82, (info->flags & CKF_SECONDARY_AUTHENTICATION) == 0,
	       "CKF_SECONDARY_AUTHENTICATION is set");
	for (int bit = 0; bit < 32; bit++) {
		CK_FLAGS flag = (CK_FLAGS)1 << bit;
		if ((info->flags & flag) != 0 && tape_constant_name(TAPE_G_CKF_TOKEN, flag) == NULL)
			check_note(c, "flag 0x%lx of the token means nothing", (unsigned long)flag);
	}
}

/* What a limit says; 0 and ~0 say nothing (§3.2.3). */
static bool says(CK_ULONG limit)
{
	return limit != CK_EFFECTIVELY_INFINITE && limit != CK_UNAVAILABLE_INFORMATION;
}

static void token_numbers(struct check *c)
{
	CK_TOKEN_INFO *info = token_info(c);
	EXPECT(c, 80, info->ulMinPinLen <= info->ulMaxPinLen, "ulMinPinLen %lu is more than %lu",
	       (unsigned long)info->ulMinPinLen, (unsigned long)info->ulMaxPinLen);
	if (info->ulSessionCount != CK_UNAVAILABLE_INFORMATION && says(info->ulMaxSessionCount))
		EXPECT(c, 80, info->ulSessionCount <= info->ulMaxSessionCount,
		       "%lu sessions of %lu are open", (unsigned long)info->ulSessionCount,
		       (unsigned long)info->ulMaxSessionCount);
	if (info->ulRwSessionCount != CK_UNAVAILABLE_INFORMATION && says(info->ulMaxRwSessionCount))
		EXPECT(c, 80, info->ulRwSessionCount <= info->ulMaxRwSessionCount,
		       "%lu read-write sessions of %lu are open",
		       (unsigned long)info->ulRwSessionCount,
		       (unsigned long)info->ulMaxRwSessionCount);
	if (says(info->ulTotalPublicMemory) &&
	    info->ulFreePublicMemory != CK_UNAVAILABLE_INFORMATION)
		EXPECT(c, 80, info->ulFreePublicMemory <= info->ulTotalPublicMemory,
		       "%lu bytes of %lu are free", (unsigned long)info->ulFreePublicMemory,
		       (unsigned long)info->ulTotalPublicMemory);
	if (says(info->ulTotalPrivateMemory) &&
	    info->ulFreePrivateMemory != CK_UNAVAILABLE_INFORMATION)
		EXPECT(c, 80, info->ulFreePrivateMemory <= info->ulTotalPrivateMemory,
		       "%lu bytes of %lu are free", (unsigned long)info->ulFreePrivateMemory,
		       (unsigned long)info->ulTotalPrivateMemory);
}

/* The counters of sessions, of this process at least. Who counts none says so each time. */
static void token_counters(struct check *c)
{
	CK_TOKEN_INFO *before = token_info(c);
	bool rw = c->row->b != 0;
	CK_SESSION_HANDLE session = check_open(c, rw ? CKF_RW_SESSION : 0);
	CK_TOKEN_INFO *open = token_info(c);
	NEED_OK(c, c->p11->C_CloseSession(session));
	CK_TOKEN_INFO *closed = token_info(c);
	if (before->ulSessionCount == CK_UNAVAILABLE_INFORMATION ||
	    before->ulRwSessionCount == CK_UNAVAILABLE_INFORMATION) {
		EXPECT(c, 80,
		       open->ulSessionCount == before->ulSessionCount ||
		               open->ulRwSessionCount == before->ulRwSessionCount,
		       "counters are unavailable at one time and there at another");
		check_note(c, "the token does not count sessions");
		return;
	}
	EXPECT(c, 80, open->ulSessionCount == before->ulSessionCount + 1,
	       "with one session more ulSessionCount goes from %lu to %lu",
	       (unsigned long)before->ulSessionCount, (unsigned long)open->ulSessionCount);
	EXPECT(c, 80, open->ulRwSessionCount == before->ulRwSessionCount + (rw ? 1 : 0),
	       "with one %s session more ulRwSessionCount goes from %lu to %lu",
	       rw ? "read-write" : "read-only", (unsigned long)before->ulRwSessionCount,
	       (unsigned long)open->ulRwSessionCount);
	EXPECT(c, 80,
	       closed->ulSessionCount == before->ulSessionCount &&
	               closed->ulRwSessionCount == before->ulRwSessionCount,
	       "after the session was closed the counters are %lu and %lu, before it was opened "
	       "%lu and %lu",
	       (unsigned long)closed->ulSessionCount, (unsigned long)closed->ulRwSessionCount,
	       (unsigned long)before->ulSessionCount, (unsigned long)before->ulRwSessionCount);
}

static void token_initialized(struct check *c)
{
	CK_TOKEN_INFO *info = token_info(c);
	/* One that is not initialised may open sessions, but nobody's PIN is there. */
	bool initialized = (info->flags & CKF_TOKEN_INITIALIZED) != 0;
	PREFER(c, 84, initialized || !c->target->user_logs_in,
	       "the user can log in, and the token does not say CKF_TOKEN_INITIALIZED");
	if (!initialized)
		check_note(c, "sessions are opened with a token that is not initialised");
	if (c->target->user_logs_in && (info->flags & CKF_LOGIN_REQUIRED) != 0)
		EXPECT(c, 84, (info->flags & CKF_USER_PIN_INITIALIZED) != 0,
		       "the user can log in, and CKF_USER_PIN_INITIALIZED is not set");
}

static void write_protected(struct check *c)
{
	CK_SESSION_HANDLE session;
	if ((token_info(c)->flags & CKF_WRITE_PROTECTED) == 0) {
		/* The flag is not set: then a read-write session opens, or it should be set. */
		CK_RV rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
		                                 NULL, &session);
		EXPECT(c, 107, rv != CKR_TOKEN_WRITE_PROTECTED,
		       "a token without CKF_WRITE_PROTECTED refuses a read-write session with "
		       "CKR_TOKEN_WRITE_PROTECTED");
		return;
	}
	EXPECT_RV(c, 107,
	          c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
	                                &session),
	          CKR_TOKEN_WRITE_PROTECTED);
	EXPECT_RV(c, 107, c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session),
	          CKR_OK);
}

/* Without the flag the RNG's functions say that there is none; with it they work (random.c tries more). */
static void rng_flag(struct check *c)
{
	CK_BYTE bytes[8];
	bool has = (token_info(c)->flags & CKF_RNG) != 0;
	CK_RV rv = c->p11->C_GenerateRandom(c->session, bytes, sizeof(bytes));
	if (rv == CKR_FUNCTION_NOT_SUPPORTED && !has)
		check_skip(c, "the token has no random numbers, the module not the function");
	if (has)
		EXPECT_CODE(c, 285, "C_GenerateRandom", rv, CKR_OK, CKR_USER_NOT_LOGGED_IN,
		            CKR_SEED_RANDOM_REQUIRED);
	else if (rv == CKR_OK)
		DEVIATION(c, 285, "C_GenerateRandom works, and the token has no CKF_RNG");
	else
		EXPECT_CODE(c, 285, "C_GenerateRandom", rv, CKR_RANDOM_NO_RNG);
}

/* Without CKF_LOGIN_REQUIRED there is something that works without login; with it, something that does not. */
static void login_required(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	object_template(c, &t, OBJECT_DATA);
	template_bool(&t, CKA_PRIVATE, true);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if ((token_info(c)->flags & CKF_LOGIN_REQUIRED) == 0) {
		EXPECT(c, 134, rv != CKR_USER_NOT_LOGGED_IN,
		       "a token that needs no login refuses a private object without one");
		return;
	}
	EXPECT(c, 134, rv != CKR_OK,
	       "a token with CKF_LOGIN_REQUIRED takes a private object without login");
}

static void protected_path(struct check *c)
{
	if ((token_info(c)->flags & CKF_PROTECTED_AUTHENTICATION_PATH) == 0) {
		/* Then a PIN that is not there cannot be the PIN. */
		CK_RV rv = c->p11->C_Login(c->session, CKU_USER, NULL, 0);
		EXPECT(c, 102, rv != CKR_OK || (token_info(c)->flags & CKF_LOGIN_REQUIRED) == 0,
		       "a login without a PIN succeeded at a token without a protected "
		       "authentication path");
		return;
	}
	check_skip(c, "the token asks for the PIN itself: no login is tried");
}

/* Where a PIN is to be changed first, all that needs the login waits for that. */
static void pin_expired(struct check *c)
{
	CK_OBJECT_HANDLE object;
	struct template t;
	if ((token_info(c)->flags & CKF_USER_PIN_TO_BE_CHANGED) == 0)
		check_skip(c, "CKF_USER_PIN_TO_BE_CHANGED is not set");
	if (!check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in without a PIN (--pin-file)");
	object_template(c, &t, OBJECT_DATA);
	template_bool(&t, CKA_PRIVATE, true);
	EXPECT_RV(c, 83, c->p11->C_CreateObject(c->session, t.entry, t.count, &object),
	          CKR_PIN_EXPIRED);
}

/* ---- mechanisms -------------------------------------------------------------------------------------- */

static void mechanism_info(struct check *c)
{
	const struct tape_mechanism *row = c->row->data;
	CK_MECHANISM_INFO one, two;
	memset(&one, 0x00, sizeof(one));
	memset(&two, 0xff, sizeof(two));
	CK_RV rv = c->p11->C_GetMechanismInfo(c->slot, (CK_MECHANISM_TYPE)row->value, &one);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetMechanismInfo is not supported");
	if (target_mechanism(c->target, (CK_MECHANISM_TYPE)row->value) == NULL) {
		if (rv == CKR_OK)
			DEVIATION(c, 89, "%s is not in the list, and C_GetMechanismInfo knows it",
			          row->name.text);
		else
			EXPECT_CODE(c, 89, "C_GetMechanismInfo", rv, CKR_MECHANISM_INVALID);
		return;
	}
	EXPECT_CODE(c, 342, "C_GetMechanismInfo", rv, CKR_OK);
	NEED_OK(c, c->p11->C_GetMechanismInfo(c->slot, (CK_MECHANISM_TYPE)row->value, &two));
	EXPECT(c, 341, one.ulMinKeySize == two.ulMinKeySize && one.ulMaxKeySize == two.ulMaxKeySize,
	       "C_GetMechanismInfo does not write the key sizes: they are what was there before");
	EXPECT(c, 341, one.flags == two.flags,
	       "C_GetMechanismInfo does not write the flags: 0x%lx over zeros, 0x%lx over ones",
	       (unsigned long)one.flags, (unsigned long)two.flags);
}

/* What the flags say of functions, where the tables know what a mechanism is for (§3.5.3, §6). */
static CK_FLAGS possible_flags(unsigned int uses)
{
	static const struct {
		enum tape_use use;
		CK_FLAGS flags;
	} table[] = {
		{ TAPE_USE_ENCRYPT, CKF_ENCRYPT | CKF_DECRYPT | CKF_WRAP | CKF_UNWRAP },
		{ TAPE_USE_SIGN, CKF_SIGN | CKF_VERIFY },
		{ TAPE_USE_RECOVER, CKF_SIGN_RECOVER | CKF_VERIFY_RECOVER },
		{ TAPE_USE_DIGEST, CKF_DIGEST },
		{ TAPE_USE_KEY, CKF_GENERATE },
		{ TAPE_USE_KEY_PAIR, CKF_GENERATE_KEY_PAIR },
		{ TAPE_USE_WRAP, CKF_WRAP | CKF_UNWRAP },
		{ TAPE_USE_DERIVE, CKF_DERIVE },
		{ TAPE_USE_ENCAPSULATE, CKF_ENCAPSULATE | CKF_DECAPSULATE },
		{ TAPE_USE_MESSAGE, CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MESSAGE_SIGN |
		                            CKF_MESSAGE_VERIFY | CKF_MULTI_MESSAGE },
	};
	CK_FLAGS flags = 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(table); i++)
		if ((uses & (unsigned int)table[i].use) != 0)
			flags |= table[i].flags;
	return flags;
}

#define FUNCTION_FLAGS                                                                       \
	(CKF_ENCRYPT | CKF_DECRYPT | CKF_DIGEST | CKF_SIGN | CKF_SIGN_RECOVER | CKF_VERIFY | \
	 CKF_VERIFY_RECOVER | CKF_GENERATE | CKF_GENERATE_KEY_PAIR | CKF_WRAP | CKF_UNWRAP | \
	 CKF_DERIVE)

static void mechanism_flags(struct check *c)
{
	const struct tape_mechanism *row = c->row->data;
	const CK_MECHANISM_INFO *info = target_mechanism(c->target, (CK_MECHANISM_TYPE)row->value);
	const CK_FLAGS messages =
		CKF_MESSAGE_ENCRYPT | CKF_MESSAGE_DECRYPT | CKF_MESSAGE_SIGN | CKF_MESSAGE_VERIFY;
	if (info == NULL)
		check_skip(c, "the token does not list %s", row->name.text);
	EXPECT(c, 90, (info->flags & CKF_EXTENSION) == 0, "%s has CKF_EXTENSION", row->name.text);
	if (c->target->spec >= SPEC(3, 0))
		EXPECT(c, 91,
		       (info->flags & CKF_MULTI_MESSAGE) == 0 || (info->flags & messages) != 0,
		       "%s has CKF_MULTI_MESSAGE, and none of the message flags", row->name.text);
	EXPECT(c, 342, info->ulMinKeySize <= info->ulMaxKeySize || info->ulMaxKeySize == 0,
	       "keys for %s are of %lu at least and of %lu at most", row->name.text,
	       (unsigned long)info->ulMinKeySize, (unsigned long)info->ulMaxKeySize);
	if ((info->flags & FUNCTION_FLAGS & ~possible_flags(row->uses)) != 0)
		check_note(
			c, "%s has flags for functions that the text does not have it for: 0x%lx",
			row->name.text,
			(unsigned long)(info->flags & FUNCTION_FLAGS & ~possible_flags(row->uses)));
	if ((info->flags & (FUNCTION_FLAGS | messages | CKF_ENCAPSULATE | CKF_DECAPSULATE)) == 0)
		check_note(c, "%s has no flag: no function takes it", row->name.text);
}

/* In which unit the sizes are the mechanism's chapter says (2.40 curr 2; v3.2 6): other ones show by their order. */
static const struct sizes {
	const char *name;
	CK_MECHANISM_TYPE mechanisms[6];
	CK_ULONG least, most; /* that a largest key can have, in the right unit */
	const char *unit;
} sizes[] = {
	{ "rsa",
	  { CKM_RSA_PKCS_KEY_PAIR_GEN, CKM_RSA_PKCS, CKM_RSA_X_509, CKM_SHA256_RSA_PKCS,
	    CKM_RSA_PKCS_OAEP, CKM_RSA_PKCS_PSS },
	  512,
	  1 << 20,
	  "bits" },
	{ "ec",
	  { CKM_EC_KEY_PAIR_GEN, CKM_ECDSA, CKM_ECDSA_SHA256, CKM_ECDH1_DERIVE },
	  112,
	  1 << 16,
	  "bits" },
	{ "aes",
	  { CKM_AES_KEY_GEN, CKM_AES_ECB, CKM_AES_CBC, CKM_AES_CBC_PAD, CKM_AES_GCM, CKM_AES_CTR },
	  16,
	  64,
	  "bytes" },
};

static void mechanism_sizes(struct check *c)
{
	const struct sizes *row = c->row->data;
	bool seen = false;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(row->mechanisms); i++) {
		const CK_MECHANISM_INFO *info = target_mechanism(c->target, row->mechanisms[i]);
		if (info == NULL || row->mechanisms[i] == 0 || info->ulMaxKeySize == 0)
			continue;
		seen = true;
		PREFER(c, 342, info->ulMaxKeySize >= row->least && info->ulMaxKeySize <= row->most,
		       "keys for %s have %lu %s at most", check_mechanism_name(row->mechanisms[i]),
		       (unsigned long)info->ulMaxKeySize, row->unit);
	}
	if (!seen)
		check_skip(c, "no mechanism is listed that says how large such keys are");
}

/* Mechanisms that no table here knows. */
static void unknown_mechanisms(struct check *c)
{
	bool seen = false;
	for (size_t i = 0; i < c->target->mechanism_count; i++) {
		CK_MECHANISM_TYPE type = c->target->mechanisms[i];
		CK_MECHANISM_INFO one, two;
		const struct tape_mechanism *row = tape_mechanism_find(type);
		if (row != NULL && row->vendor == NULL)
			continue;
		memset(&one, 0x00, sizeof(one));
		memset(&two, 0xff, sizeof(two));
		EXPECT_RV(c, 342, c->p11->C_GetMechanismInfo(c->slot, type, &one), CKR_OK);
		NEED_OK(c, c->p11->C_GetMechanismInfo(c->slot, type, &two));
		EXPECT(c, 341,
		       one.flags == two.flags && one.ulMinKeySize == two.ulMinKeySize &&
		               one.ulMaxKeySize == two.ulMaxKeySize,
		       "C_GetMechanismInfo does not write all of what %s is",
		       check_mechanism_name(type));
		if (type < CKM_VENDOR_DEFINED && row == NULL)
			check_note(c, "0x%lx is no mechanism of PKCS#11, and no vendor's",
			           (unsigned long)type);
		seen = true;
	}
	if (!seen)
		check_skip(c, "every mechanism that is listed is one of the text's");
}

static void no_mechanism(struct check *c)
{
	static const CK_MECHANISM_TYPE none[] = { 0x7fffff00, CKM_VENDOR_DEFINED | 0x7ffffff0,
		                                  CK_UNAVAILABLE_INFORMATION };
	CK_MECHANISM_INFO info;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(none); i++)
		EXPECT_RV(c, 89, c->p11->C_GetMechanismInfo(c->slot, none[i], &info),
		          CKR_MECHANISM_INVALID);
}

/* ---- a mechanism without the flag for a function ------------------------------------------------------- */

static const struct use {
	enum tape_function_id id;
	CK_FLAGS flag;
	enum object_kind key; /* that is passed; OBJECT_KINDS for none */
} uses[] = {
	{ TAPE_FN_C_EncryptInit, CKF_ENCRYPT, OBJECT_AES },
	{ TAPE_FN_C_DecryptInit, CKF_DECRYPT, OBJECT_AES },
	{ TAPE_FN_C_DigestInit, CKF_DIGEST, OBJECT_KINDS },
	{ TAPE_FN_C_SignInit, CKF_SIGN, OBJECT_SECRET },
	{ TAPE_FN_C_SignRecoverInit, CKF_SIGN_RECOVER, OBJECT_RSA_PRIVATE },
	{ TAPE_FN_C_VerifyInit, CKF_VERIFY, OBJECT_SECRET },
	{ TAPE_FN_C_VerifyRecoverInit, CKF_VERIFY_RECOVER, OBJECT_RSA_PUBLIC },
	{ TAPE_FN_C_GenerateKey, CKF_GENERATE, OBJECT_KINDS },
	{ TAPE_FN_C_GenerateKeyPair, CKF_GENERATE_KEY_PAIR, OBJECT_KINDS },
	{ TAPE_FN_C_WrapKey, CKF_WRAP, OBJECT_AES },
	{ TAPE_FN_C_UnwrapKey, CKF_UNWRAP, OBJECT_AES },
	{ TAPE_FN_C_DeriveKey, CKF_DERIVE, OBJECT_SECRET },
	{ TAPE_FN_C_MessageEncryptInit, CKF_MESSAGE_ENCRYPT, OBJECT_AES },
	{ TAPE_FN_C_MessageDecryptInit, CKF_MESSAGE_DECRYPT, OBJECT_AES },
	{ TAPE_FN_C_MessageSignInit, CKF_MESSAGE_SIGN, OBJECT_SECRET },
	{ TAPE_FN_C_MessageVerifyInit, CKF_MESSAGE_VERIFY, OBJECT_SECRET },
};

/* Call a function with a mechanism and no parameter; everything else is in order, or at least there. */
static CK_RV use_mechanism(struct check *c, const struct use *use, CK_MECHANISM_TYPE type,
                           CK_OBJECT_HANDLE key)
{
	const struct tape_function *function = &tape_functions[use->id];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	CK_MECHANISM mechanism = { type, NULL, 0 };
	check_arguments(c, use->id, words);
	for (size_t i = 0; i < function->count; i++) {
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_MECHANISM)
			words[function->arguments[i].word] = (uintptr_t)&mechanism;
		if (function->arguments[i].kind == TAPE_K_OBJECT)
			words[function->arguments[i].word] = key;
	}
	return check_call(c, use->id, words);
}

#define WITHOUT_FLAG 12

static void without_flag(struct check *c)
{
	const struct use *use = c->row->data;
	size_t tried = 0;
	if (check_function(c, use->id) == NULL)
		check_skip(c, "the module has no function list with it");
	CK_OBJECT_HANDLE key =
		use->key == OBJECT_KINDS ? CK_INVALID_HANDLE : object_make(c, use->key);
	for (size_t i = 0; i < c->target->mechanism_count && tried < WITHOUT_FLAG; i++) {
		CK_MECHANISM_TYPE type = c->target->mechanisms[i];
		if ((c->target->mechanism_infos[i].flags & use->flag) != 0)
			continue;
		CK_RV rv = use_mechanism(c, use, type, key);
		if (rv == CKR_FUNCTION_NOT_SUPPORTED)
			check_skip(c, "%s is not supported", tape_functions[use->id].name.text);
		tried++;
		EXPECT(c, 93, rv != CKR_OK, "%s takes %s, which has no flag for it",
		       tape_functions[use->id].name.text, check_mechanism_name(type));
		/* The key, too, is not for it, and the order of such errors is open (§5.1.7). */
		if (rv != CKR_MECHANISM_INVALID)
			check_note(c, "%s with %s, which has no flag for it, returned %s",
			           tape_functions[use->id].name.text, check_mechanism_name(type),
			           check_rv_name(rv));
	}
	if (tried == 0)
		check_skip(c, "every mechanism of the token has the flag");
}

static void unlisted_mechanism(struct check *c)
{
	static const CK_MECHANISM_TYPE none[] = { 0x7fffff00, CKM_VENDOR_DEFINED | 0x7ffffff0 };
	const struct use *use = c->row->data;
	if (check_function(c, use->id) == NULL)
		check_skip(c, "the module has no function list with it");
	CK_OBJECT_HANDLE key =
		use->key == OBJECT_KINDS ? CK_INVALID_HANDLE : object_make(c, use->key);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(none); i++) {
		CK_RV rv = use_mechanism(c, use, none[i], key);
		if (rv == CKR_FUNCTION_NOT_SUPPORTED)
			check_skip(c, "%s is not supported", tape_functions[use->id].name.text);
		EXPECT_CODE(c, 93, tape_functions[use->id].name.text, rv, CKR_MECHANISM_INVALID);
	}
}

/* ---- events ------------------------------------------------------------------------------------------ */

static CK_RV poll_event(struct check *c, CK_SLOT_ID *ret_slot)
{
	CK_RV rv = c->p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, ret_slot, NULL);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_WaitForSlotEvent is not supported");
	return rv;
}

static void expect_slot_of_event(struct check *c, CK_SLOT_ID slot)
{
	CK_SLOT_INFO info;
	EXPECT(c, 85, c->p11->C_GetSlotInfo(slot, &info) != CKR_SLOT_ID_INVALID,
	       "C_WaitForSlotEvent reports slot 0x%lx, which is none", (unsigned long)slot);
}

static void no_event(struct check *c)
{
	CK_SLOT_ID *slot = check_buffer(c, sizeof(*slot));
	CK_RV rv = poll_event(c, slot);
	/* Nothing has happened since C_Initialize, and no flag is set then; hot-plugging apart. */
	if (rv == CKR_OK) {
		expect_slot_of_event(c, *slot);
		check_note(c, "an event of slot 0x%lx is reported at the start",
		           (unsigned long)*slot);
		return;
	}
	EXPECT_CODE(c, 85, "C_WaitForSlotEvent", rv, CKR_NO_EVENT);
}

/* Every event is reported once: a module whose slots do not change comes to an end. */
static void events_end(struct check *c)
{
	CK_SLOT_ID slot = 0;
	CK_RV rv = CKR_OK;
	int count = 0;
	while (count < 100 && (rv = poll_event(c, &slot)) == CKR_OK) {
		expect_slot_of_event(c, slot);
		count++;
	}
	EXPECT(c, 85, rv != CKR_OK, "C_WaitForSlotEvent reports events without end");
	EXPECT_CODE(c, 85, "C_WaitForSlotEvent", rv, CKR_NO_EVENT);
}

/* A token that moves just then is an event; one that does so twice is none. */
static void no_event_again(struct check *c)
{
	CK_SLOT_ID slot;
	CK_RV first = poll_event(c, &slot);
	NEED_OK(c, check_finalize(c));
	NEED_OK(c, check_initialize(c));
	CK_RV rv = poll_event(c, &slot);
	EXPECT(c, 86, rv == CKR_OK || rv == CKR_NO_EVENT,
	       "C_WaitForSlotEvent after a second C_Initialize returned %s", check_rv_name(rv));
	EXPECT(c, 86, first != CKR_OK || rv != CKR_OK,
	       "just after C_Initialize an event is there, each time");
	if (rv == CKR_OK)
		check_note(c, "an event is reported just after C_Initialize");
}

static void event_with_session(struct check *c)
{
	CK_SLOT_ID slot;
	CK_RV rv = poll_event(c, &slot);
	(void)c->p11->C_CloseSession(c->session);
	c->session = CK_INVALID_HANDLE;
	CK_RV after = poll_event(c, &slot);
	/* Sessions are no events of a slot. */
	EXPECT(c, 85, rv != CKR_NO_EVENT || after == CKR_NO_EVENT,
	       "when a session was closed C_WaitForSlotEvent returned %s", check_rv_name(after));
}

static void event_reserved(struct check *c)
{
	CK_SLOT_ID slot = 0;
	char anything;
	CK_RV rv = c->p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, &anything);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_WaitForSlotEvent is not supported");
	/* §5.5.4: "should be NULL_PTR": the application's duty; what comes of it is open. */
	EXPECT(c, 85,
	       rv == CKR_ARGUMENTS_BAD || rv == CKR_NO_EVENT || rv == CKR_OK ||
	               rv == CKR_GENERAL_ERROR || rv == CKR_FUNCTION_FAILED,
	       "C_WaitForSlotEvent with pReserved returned %s", check_rv_name(rv));
	if (rv != CKR_ARGUMENTS_BAD)
		check_note(c, "pReserved that is not NULL is not looked at");
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add_list(struct check_list *list, unsigned int id)
{
	enum need need = id == MECHANISMS ? NEED_TOKEN : NEED_INIT;
	static const struct {
		void (*run)(struct check *c);
		unsigned int variant;
		const char *name, *what;
	} members[] = {
		{ list_count, 0, "count", "with NULL the number comes, whatever *pulCount was" },
		{ list_exact, 0, "exact", "a buffer of the right size takes the list" },
		{ list_small, 0, "no-room",
		  "a buffer of no size is too small, and the number comes" },
		{ list_small, 1, "one-less", "a buffer that is too small by one is refused" },
		{ list_large, 0, "larger", "in a larger buffer the number of entries is told" },
		{ list_null_count, 0, "null-count",
		  "without a place for the number it is refused" },
		{ list_null_count, 1, "null-count-list", "and with one for the list as well" },
		{ list_unique, 0, "unique", "no entry is there twice" },
		{ list_stays, 0, "stays", "the list is the same from call to call" },
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(members); i++) {
		struct check_row row = { .run = members[i].run,
			                 .needs = need,
			                 .what = members[i].what,
			                 .a = id,
			                 .b = members[i].variant };
		row.rules[0] = lists[id].rule;
		if (members[i].run == list_stays && id != MECHANISMS)
			row.rules[0] = 73;
		if (members[i].run == list_null_count)
			row.rules[0] = 314;
		check_add(list, row, "list/%s-%s", lists[id].name, members[i].name);
	}
}

static void add_tokens(struct check_list *list)
{
	check_add(list, CHECK(token_written, NEED_TOKEN, "every member is written", 341),
	          "token/written");
	check_add(list, CHECK(token_text, NEED_TOKEN, "texts are padded with blanks", 77),
	          "token/text");
	check_add(list, CHECK(token_time, NEED_TOKEN, "utcTime is 16 digits", 81), "token/time");
	check_add(list, CHECK(token_flags, NEED_TOKEN, "flags have a meaning", 82), "token/flags");
	check_add(list, CHECK(token_numbers, NEED_TOKEN, "nothing is more than its limit", 80),
	          "token/numbers");
	for (unsigned int rw = 0; rw < 2; rw++) {
		struct check_row row =
			CHECK(token_counters, NEED_TOKEN, "counters follow the sessions", 80);
		row.b = rw;
		check_add(list, row, "token/counters-%s", rw != 0 ? "rw" : "ro");
		row.needs = NEED_SESSION;
		check_add(list, row, "token/counters-%s-beside", rw != 0 ? "rw" : "ro");
	}
	check_add(list,
	          CHECK(token_initialized, NEED_TOKEN,
	                "what says that token and PIN are initialised is right", 84),
	          "token/initialized");
	check_add(list,
	          CHECK(write_protected, NEED_TOKEN,
	                "CKF_WRITE_PROTECTED goes with CKR_TOKEN_WRITE_PROTECTED", 107),
	          "token/write-protected");
	check_add(list, CHECK(rng_flag, NEED_SESSION, "CKF_RNG says whether there is one", 285),
	          "token/rng");
	check_add(list,
	          CHECK(login_required, NEED_SESSION, "CKF_LOGIN_REQUIRED says whether it is", 134),
	          "token/login-required");
	check_add(list,
	          CHECK(protected_path, NEED_SESSION,
	                "without a protected authentication path no PIN is no PIN", 102),
	          "token/protected-path");
	check_add(list,
	          CHECK(pin_expired, NEED_SESSION,
	                "a PIN that is to be changed lets nothing else be done", 83),
	          "token/pin-expired");
}

static void add_mechanisms(struct check_list *list)
{
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		const struct tape_mechanism *row = &tape_mechanisms[i];
		if (row->state != TAPE_CONST_MAIN || row->vendor != NULL)
			continue;
		struct check_row info =
			CHECK(mechanism_info, NEED_TOKEN,
		              "what is listed is described, fully, and nothing else", 89, 341, 342);
		info.data = row;
		check_add(list, info, "mechanism/%s", row->name.text);
		struct check_row flags = CHECK(mechanism_flags, NEED_TOKEN,
		                               "flags and sizes make sense", 90, 91, 342);
		flags.data = row;
		check_add(list, flags, "mechanism-flags/%s", row->name.text);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(sizes); i++) {
		struct check_row row = CHECK(mechanism_sizes, NEED_TOKEN,
		                             "sizes are in the mechanism's unit", 342);
		row.data = &sizes[i];
		check_add(list, row, "mechanism-sizes/%s", sizes[i].name);
	}
	check_add(list,
	          CHECK(unknown_mechanisms, NEED_TOKEN,
	                "mechanisms of vendors are described, and fully", 341, 342),
	          "mechanisms-of-vendors");
	check_add(list, CHECK(no_mechanism, NEED_TOKEN, "what is no mechanism is refused", 89),
	          "no-mechanism");
	check_add(list,
	          CHECK(mechanisms_with_session, NEED_TOKEN, "the list does not depend on sessions",
	                88),
	          "mechanisms-with-session");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(uses); i++) {
		const char *function = tape_functions[uses[i].id].name.text;
		struct check_row row =
			CHECK(without_flag, NEED_RW | NEED_USER,
		              "a mechanism without the flag for the function is refused", 93);
		row.data = &uses[i];
		check_add(list, row, "without-flag/%s", function);
		row.run = unlisted_mechanism;
		row.what = "what is no mechanism is refused";
		check_add(list, row, "no-mechanism/%s", function);
	}
}

void suite_slots(struct check_list *list)
{
	for (unsigned int id = 0; id < LISTS; id++)
		add_list(list, id);
	check_add(list,
	          CHECK(slots_accepted, NEED_INIT, "every slot of the list is a slot", 72, 76),
	          "accepted");
	check_add(list,
	          CHECK(token_present, NEED_INIT, "tokenPresent leaves out slots without a token",
	                74),
	          "token-present");
	check_add(list, CHECK(slot_written, NEED_SLOT, "every member is written", 341),
	          "slot/written");
	check_add(list, CHECK(slot_text, NEED_SLOT, "texts are padded with blanks", 77),
	          "slot/text");
	check_add(list,
	          CHECK(slot_flags, NEED_SLOT, "what is not removable has a token, always", 75),
	          "slot/flags");
	check_add(
		list,
		CHECK(without_list, NEED_SLOT, "slots are known before the list is asked for", 72),
		"without-list");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(of_tokens); i++) {
		struct check_row row = CHECK(empty_slot, NEED_INIT,
		                             "an empty slot gives CKR_TOKEN_NOT_PRESENT", 79, 14);
		row.a = of_tokens[i];
		/* A slot that says that it is empty may not be. */
		if ((tape_effects[of_tokens[i]].effects & TAPE_EFFECT_TOKEN) != 0)
			row.needs |= NEED_DESTRUCTIVE;
		check_add(list, row, "empty/%s", tape_functions[of_tokens[i]].name.text);
	}
	check_add(list,
	          CHECK(blank_has_no_pin, NEED_INIT, "a token that is not initialised has no PIN",
	                84),
	          "blank/no-pin");
	check_add(list,
	          CHECK(blank_session, NEED_INIT, "sessions with a token that is not initialised",
	                84),
	          "blank/session");
	add_tokens(list);
	add_mechanisms(list);
	check_add(list, CHECK(no_event, NEED_INIT, "without an event there is none", 85),
	          "event/none");
	check_add(list, CHECK(events_end, NEED_INIT, "an event is reported once", 85),
	          "event/once");
	check_add(list, CHECK(no_event_again, NEED_INIT, "events do not outlive C_Finalize", 86),
	          "event/initialize-again");
	check_add(list, CHECK(event_with_session, NEED_SESSION, "sessions make no events", 85),
	          "event/session");
	check_add(list,
	          CHECK(event_reserved, NEED_INIT, "pReserved is refused, or not looked at", 85),
	          "event/reserved");
}
