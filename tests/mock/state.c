/* SPDX-License-Identifier: MIT
 *
 * Slots, tokens, PINs, sessions and who is logged in (PKCS#11 3.2 §5.5, §5.6).
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "tests/mock/async.h"
#include "tests/mock/mock.h"

struct mock mock;

/* Becomes readable at C_Finalize and stays so: each C_Initialize has a new one. */
static int wake_fd = -1;

/* Text of a structure: padded with blanks, without a terminator (§3.2). */
static void fill_text(CK_BYTE *to, size_t size, const char *text)
{
	memset(to, FAULT(text_nul_padded) ? '\0' : ' ', size);
	for (size_t i = 0; i < size && text[i]; i++)
		to[i] = (CK_BYTE)text[i];
}
#define FILL_TEXT(member, text) fill_text(member, sizeof(member), text)

/* ---- beginning and end -------------------------------------------------------------------------- */

static void set_pin(struct pin *pin, const CK_BYTE *text, CK_ULONG length)
{
	pin->set = true;
	memcpy(pin->text, text, length);
	pin->length = length;
	pin->failures = 0;
	pin->to_be_changed = false;
}

static void make_ready(struct slot *slot)
{
	slot->initialised = true;
	FILL_TEXT(slot->label, slot->id == 0 ? "mock" : "mock 2");
	set_pin(&slot->so, (const CK_BYTE *)mock_config.so_pin, strlen(mock_config.so_pin));
	if (strcmp(mock_config.token, "no-user-pin") != 0) {
		set_pin(&slot->user, (const CK_BYTE *)mock_config.pin, strlen(mock_config.pin));
		slot->user.to_be_changed = mock_config.pin_to_be_changed;
		if (strcmp(mock_config.token, "user-pin-locked") == 0)
			slot->user.failures = PIN_TRIES;
	}
}

static bool make_slots(void)
{
	mock.slots = calloc(mock_config.slots ? mock_config.slots : 1, sizeof(*mock.slots));
	if (!mock.slots)
		return false;
	mock.slot_count = mock_config.slots;
	for (CK_ULONG i = 0; i < mock.slot_count; i++) {
		struct slot *slot = &mock.slots[i];

		slot->id = i;
		slot->login = NOBODY;
		slot->present = i < 2 && (i > 0 || strcmp(mock_config.token, "none") != 0);
		/* What cannot be removed is always there (§3.2.2). */
		slot->removable = !slot->present || (i == 0 && mock_config.hotplug[0]);
		FILL_TEXT(slot->label, "");
		if (i < 2 && (i > 0 || strcmp(mock_config.token, "uninitialised") != 0))
			make_ready(slot);
	}
	return true;
}

bool mock_state_begin(void)
{
	if (!mock.slots && (!make_slots() || !store_read())) {
		mock_state_unload();
		return false;
	}
	mock.crypto = OSSL_LIB_CTX_new();
	if (!mock.crypto || !random_install(mock.crypto)) {
		random_remove();
		OSSL_LIB_CTX_free(mock.crypto);
		mock.crypto = NULL;
		return false;
	}
	wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	random_begin();
	mock.last_handle =
		strcmp(mock_config.handles, "huge") == 0 ? ~0UL << (sizeof(CK_ULONG) * 4) : 0;
	if (mock_config.hotplug[0] && mock.slot_count > 0)
		mock.slots[0].present = access(mock_config.hotplug, F_OK) == 0;
	for (CK_ULONG i = 0; i < mock.slot_count; i++) {
		struct slot *slot = &mock.slots[i];

		slot->event = FAULT(event_pending_at_start); /* cleared (§5.5.4) */
		slot->seeded = false;
		if (!slot->objects && slot->present && slot->initialised)
			slot_add_presets(slot);
	}
	return true;
}

CK_ULONG new_handle(void)
{
	return ++mock.last_handle;
}

static void close_session(struct session *session);

void mock_state_end(void)
{
	CK_USER_TYPE login = mock.slot_count > 0 ? mock.slots[0].login : NOBODY;

	while (mock.sessions && !FAULT(finalize_keeps_sessions))
		close_session(mock.sessions);
	if (mock.slot_count > 0 && FAULT(finalize_keeps_login))
		mock.slots[0].login = login;
	for (CK_ULONG i = 0; i < mock.slot_count; i++) {
		for (struct object *object = mock.slots[i].objects; object; object = object->next)
			object->handle = CK_INVALID_HANDLE;
	}
	store_write();
	random_remove();
	OSSL_LIB_CTX_free(mock.crypto);
	mock.crypto = NULL;
	if (wake_fd >= 0)
		close(wake_fd);
	wake_fd = -1;
}

static bool any_object(const struct object *object, const void *context)
{
	(void)object;
	(void)context;
	return true;
}

void mock_state_unload(void)
{
	for (CK_ULONG i = 0; i < mock.slot_count; i++)
		slot_drop_objects(&mock.slots[i], any_object, NULL);
	free(mock.slots);
	mock.slots = NULL;
	mock.slot_count = 0;
}

void mock_wake(void)
{
	uint64_t one = 1;

	if (wake_fd >= 0 && write(wake_fd, &one, sizeof(one)) < 0)
		return; /* it is full: readable all the same */
}

/* ---- slots (§5.5) --------------------------------------------------------------------------------- */

struct slot *slot_find(CK_SLOT_ID id)
{
	return id < mock.slot_count ? &mock.slots[id] : NULL;
}

static bool of_slot(const struct session *session, const struct slot *slot)
{
	return session->slot == slot;
}

static void close_all(const struct slot *slot)
{
	struct session *next;

	for (struct session *session = mock.sessions; session; session = next) {
		next = session->next;
		if (of_slot(session, slot))
			close_session(session);
	}
}

void mock_poll_slots(void)
{
	struct slot *slot = mock.slots;
	bool present;

	if (!mock_config.hotplug[0] || mock.slot_count == 0)
		return;
	present = access(mock_config.hotplug, F_OK) == 0;
	if (present == slot->present)
		return;
	slot->present = present;
	slot->event = present || !FAULT(removal_no_event);
	if (!FAULT(removal_keeps_sessions)) {
		/* Removal closes the sessions and logs out (Usage Guide, Session events). */
		close_all(slot);
		slot_log_out(slot);
	}
	if (present && slot->initialised && !slot->objects)
		slot_add_presets(slot);
}

/* CKR_SLOT_ID_INVALID, CKR_TOKEN_NOT_PRESENT or CKR_OK. */
static CK_RV token_in(CK_SLOT_ID id, struct slot **ret_slot)
{
	struct slot *slot = slot_find(id);

	if (!slot)
		return FAULT(bad_slot_wrong_code) ? CKR_ARGUMENTS_BAD : CKR_SLOT_ID_INVALID;
	if (!slot->present)
		return FAULT(empty_slot_wrong_code) ? CKR_DEVICE_ERROR : CKR_TOKEN_NOT_PRESENT;
	*ret_slot = slot;
	return CKR_OK;
}

CK_RV mock_C_GetInfo(CK_INFO_PTR pInfo)
{
	if (!pInfo)
		return CKR_ARGUMENTS_BAD;
	memset(pInfo, 0, sizeof(*pInfo));
	pInfo->cryptokiVersion = mock_config.version_number;
	if (FAULT(info_flags_set))
		pInfo->flags = 1;
	FILL_TEXT(pInfo->manufacturerID, "p11tape");
	FILL_TEXT(pInfo->libraryDescription, "mock token");
	pInfo->libraryVersion = (CK_VERSION){ 1, 0 };
	return CKR_OK;
}

CK_RV mock_C_GetSlotList(CK_BBOOL tokenPresent, CK_SLOT_ID_PTR pSlotList, CK_ULONG_PTR pulCount)
{
	CK_ULONG count = 0, room;

	if (!pulCount)
		return CKR_ARGUMENTS_BAD;
	room = *pulCount;
	for (CK_ULONG i = 0; i < mock.slot_count; i++) {
		if (tokenPresent && !mock.slots[i].present && !FAULT(slot_list_ignores_present))
			continue;
		if (pSlotList && (count < room || FAULT(slot_list_overruns)))
			pSlotList[count] = mock.slots[i].id;
		count++;
	}
	if (pSlotList && count > room) {
		if (!FAULT(slot_list_count_kept))
			*pulCount = count;
		return FAULT(slot_list_overruns) ? CKR_OK : CKR_BUFFER_TOO_SMALL;
	}
	*pulCount = count;
	return CKR_OK;
}

CK_RV mock_C_GetSlotInfo(CK_SLOT_ID slotID, CK_SLOT_INFO_PTR pInfo)
{
	const struct slot *slot = slot_find(slotID);

	if (!slot)
		return FAULT(bad_slot_wrong_code) ? CKR_ARGUMENTS_BAD : CKR_SLOT_ID_INVALID;
	if (!pInfo)
		return CKR_ARGUMENTS_BAD;
	memset(pInfo, 0, sizeof(*pInfo));
	FILL_TEXT(pInfo->slotDescription, "mock slot");
	FILL_TEXT(pInfo->manufacturerID, "p11tape");
	if (slot->present)
		pInfo->flags |= CKF_TOKEN_PRESENT;
	if (slot->removable && !FAULT(slot_hides_removable))
		pInfo->flags |= CKF_REMOVABLE_DEVICE;
	pInfo->hardwareVersion = (CK_VERSION){ 1, 0 };
	pInfo->firmwareVersion = (CK_VERSION){ 1, 0 };
	return CKR_OK;
}

static CK_FLAGS pin_flags(const struct pin *pin, CK_FLAGS low, CK_FLAGS final, CK_FLAGS locked,
                          CK_FLAGS change)
{
	CK_FLAGS flags = 0;

	if (pin->to_be_changed)
		flags |= change;
	if (mock_config.silent_pins)
		return flags;
	if (pin->failures > 0)
		flags |= low;
	if (pin->failures == PIN_TRIES - 1)
		flags |= final;
	if (pin->failures >= PIN_TRIES)
		flags |= locked;
	return flags;
}

static CK_FLAGS token_flags(const struct slot *slot)
{
	CK_FLAGS flags = CKF_CLOCK_ON_TOKEN;

	if (!mock_config.no_rng)
		flags |= CKF_RNG;
	if (!mock_config.no_login)
		flags |= CKF_LOGIN_REQUIRED;
	if (!mock_config.no_dual)
		flags |= CKF_DUAL_CRYPTO_OPERATIONS;
	if (mock_config.write_protected || mock_config.read_only)
		flags |= CKF_WRITE_PROTECTED;
	if (mock_config.protected_path)
		flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
	if (mock_config.state_key_not_needed)
		flags |= CKF_RESTORE_KEY_NOT_NEEDED;
	if (mock_config.async && mock_has_version(3, 2))
		flags |= CKF_ASYNC_SESSION_SUPPORTED;
	if (mock_config.seed_required && !slot->seeded)
		flags |= CKF_SEED_RANDOM_REQUIRED;
	if (slot->initialised)
		flags |= CKF_TOKEN_INITIALIZED;
	if (slot->user.set && !FAULT(token_hides_user_pin))
		flags |= CKF_USER_PIN_INITIALIZED;
	if (FAULT(token_secondary_authentication))
		flags |= CKF_SECONDARY_AUTHENTICATION;
	flags |= pin_flags(&slot->user, CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY,
	                   CKF_USER_PIN_LOCKED, CKF_USER_PIN_TO_BE_CHANGED);
	flags |= pin_flags(&slot->so, CKF_SO_PIN_COUNT_LOW, CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED,
	                   CKF_SO_PIN_TO_BE_CHANGED);
	return flags;
}

CK_RV mock_C_GetTokenInfo(CK_SLOT_ID slotID, CK_TOKEN_INFO_PTR pInfo)
{
	char serial[] = "0000000000000001";
	struct slot *slot;
	CK_RV rv = token_in(slotID, &slot);

	if (rv != CKR_OK)
		return rv;
	if (!pInfo)
		return CKR_ARGUMENTS_BAD;
	memset(pInfo, 0, sizeof(*pInfo));
	memcpy(pInfo->label, slot->label, sizeof(pInfo->label));
	FILL_TEXT(pInfo->manufacturerID, "p11tape");
	FILL_TEXT(pInfo->model, "mock");
	serial[15] = (char)('1' + slot->id % 9);
	FILL_TEXT(pInfo->serialNumber, serial);
	pInfo->flags = token_flags(slot);
	pInfo->ulMaxSessionCount =
		mock_config.max_sessions ? mock_config.max_sessions : CK_EFFECTIVELY_INFINITE;
	pInfo->ulMaxRwSessionCount = pInfo->ulMaxSessionCount;
	for (const struct session *session = mock.sessions; session; session = session->next) {
		if (!of_slot(session, slot))
			continue;
		pInfo->ulSessionCount++;
		if (session_is_rw(session))
			pInfo->ulRwSessionCount++;
	}
	pInfo->ulMaxPinLen = PIN_MAX;
	pInfo->ulMinPinLen = PIN_MIN;
	pInfo->ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION;
	pInfo->ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION;
	pInfo->ulTotalPrivateMemory = CK_UNAVAILABLE_INFORMATION;
	pInfo->ulFreePrivateMemory = CK_UNAVAILABLE_INFORMATION;
	pInfo->hardwareVersion = (CK_VERSION){ 1, 0 };
	pInfo->firmwareVersion = (CK_VERSION){ 1, 0 };
	FILL_TEXT(pInfo->utcTime, "2026010112000000");
	return CKR_OK;
}

CK_RV mock_C_GetMechanismList(CK_SLOT_ID slotID, CK_MECHANISM_TYPE_PTR pMechanismList,
                              CK_ULONG_PTR pulCount)
{
	CK_ULONG count = 0, room;
	struct slot *slot;
	CK_RV rv = token_in(slotID, &slot);

	if (rv != CKR_OK)
		return rv;
	if (!pulCount)
		return CKR_ARGUMENTS_BAD;
	room = *pulCount;
	for (size_t i = 0; i < mechanism_count; i++) {
		if (!mechanism_find(mechanisms[i].type))
			continue;
		if (pMechanismList && count < room)
			pMechanismList[count] = mechanisms[i].type;
		count++;
	}
	if (FAULT(mechanism_list_count_off))
		count++;
	*pulCount = count;
	return pMechanismList && count > room ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

CK_RV mock_C_GetMechanismInfo(CK_SLOT_ID slotID, CK_MECHANISM_TYPE type,
                              CK_MECHANISM_INFO_PTR pInfo)
{
	const struct mechanism *mechanism;
	struct slot *slot;
	CK_RV rv = token_in(slotID, &slot);

	if (rv != CKR_OK)
		return rv;
	mechanism = mechanism_find(type);
	if (!mechanism)
		return FAULT(mechanism_info_unknown) ? CKR_OK : CKR_MECHANISM_INVALID;
	if (!pInfo)
		return CKR_ARGUMENTS_BAD;
	pInfo->ulMinKeySize = mechanism->min;
	pInfo->ulMaxKeySize = mechanism->max;
	pInfo->flags = mechanism_flags(mechanism);
	if (FAULT(mechanism_extension_flag))
		pInfo->flags |= CKF_EXTENSION;
	return CKR_OK;
}

/* Wait until a token may have come or gone, or C_Finalize is called. Without the lock. */
static void wait_for_change(int wake)
{
	struct pollfd fds[2] = { { .fd = wake, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
	char directory[sizeof(mock_config.hotplug)];
	char *slash;

	if (mock_config.hotplug[0]) {
		fds[1].fd = inotify_init1(IN_CLOEXEC);
		memcpy(directory, mock_config.hotplug, sizeof(directory));
		slash = strrchr(directory, '/');
		if (slash)
			slash[slash == directory] = '\0';
		inotify_add_watch(fds[1].fd, slash ? directory : ".",
		                  IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO);
	}
	/* What happened before the watch was there is seen by looking once more. */
	if (!mock_config.hotplug[0] ||
	    mock.slots[0].present == (access(mock_config.hotplug, F_OK) == 0)) {
		while (poll(fds, 2, -1) < 0 && errno == EINTR)
			;
	}
	if (fds[1].fd >= 0)
		close(fds[1].fd);
}

CK_RV mock_C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pRserved)
{
	unsigned long begun = mock_generation();
	int wake;

	if (pRserved || !pSlot)
		return CKR_ARGUMENTS_BAD;
	for (;;) {
		for (CK_ULONG i = 0; i < mock.slot_count; i++) {
			if (!mock.slots[i].event)
				continue;
			if (!FAULT(event_not_cleared))
				mock.slots[i].event = false;
			*pSlot = mock.slots[i].id;
			return CKR_OK;
		}
		if (flags & CKF_DONT_BLOCK)
			return FAULT(no_event_is_ok) ? CKR_OK : CKR_NO_EVENT;
		wake = fcntl(wake_fd, F_DUPFD_CLOEXEC, 0);
		mock_unlock();
		wait_for_change(wake);
		close(wake);
		/* The lock is gone, too: leave() knows this code. */
		if (mock_generation() != begun)
			return CKR_CRYPTOKI_NOT_INITIALIZED;
		mock_lock();
		mock_poll_slots();
	}
}

/* ---- PINs (§5.5.7 to §5.5.9) ------------------------------------------------------------------------ */

/* Verify: CKR_OK, CKR_PIN_LOCKED or CKR_PIN_INCORRECT. */
static CK_RV check_pin(struct pin *pin, const CK_BYTE *text, CK_ULONG length)
{
	/* The keypad's owner knows the PIN. */
	if (mock_config.protected_path && !text)
		return pin->failures >= PIN_TRIES ? CKR_PIN_LOCKED : CKR_OK;
	if (!text && length > 0)
		return CKR_ARGUMENTS_BAD;
	if (pin->failures >= PIN_TRIES && !FAULT(pin_never_locks))
		return CKR_PIN_LOCKED;
	if (pin->length != length || (length > 0 && memcmp(pin->text, text, length) != 0)) {
		pin->failures++;
		if (FAULT(pin_wrong_code))
			return CKR_PIN_INVALID;
		return CKR_PIN_INCORRECT;
	}
	pin->failures = 0;
	return CKR_OK;
}

/* May it be a PIN? These codes are for setting one only. */
static CK_RV check_new_pin(const CK_BYTE *text, CK_ULONG length)
{
	if (!text)
		return mock_config.protected_path ? CKR_OK : CKR_ARGUMENTS_BAD;
	if ((length < PIN_MIN && !FAULT(pin_length_unchecked)) || length > PIN_MAX)
		return CKR_PIN_LEN_RANGE;
	if (memchr(text, 0, length))
		return CKR_PIN_INVALID;
	return CKR_OK;
}

static void take_pin(struct pin *pin, const CK_BYTE *text, CK_ULONG length, const char *keypad)
{
	if (!text) {
		text = (const CK_BYTE *)keypad;
		length = strlen(keypad);
	}
	set_pin(pin, text, length);
}

static bool destroyable(const struct object *object, const void *context)
{
	const struct attribute *attribute = attributes_find(&object->attributes, CKA_DESTROYABLE);

	(void)context;
	return !attribute || attribute->value[0];
}

CK_RV mock_C_InitToken(CK_SLOT_ID slotID, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen,
                       CK_UTF8CHAR_PTR pLabel)
{
	struct slot *slot;
	CK_RV rv = token_in(slotID, &slot);

	if (rv != CKR_OK)
		return rv;
	if (mock_config.read_only || mock_config.write_protected)
		return CKR_TOKEN_WRITE_PROTECTED;
	if (!pLabel || (!pPin && !mock_config.protected_path))
		return CKR_ARGUMENTS_BAD;
	for (const struct session *session = mock.sessions; session; session = session->next) {
		if (of_slot(session, slot) && !FAULT(init_token_despite_sessions))
			return CKR_SESSION_EXISTS;
	}
	if (slot->initialised) {
		rv = FAULT(init_token_any_pin) ? CKR_OK : check_pin(&slot->so, pPin, ulPinLen);
		if (rv != CKR_OK)
			return rv;
	} else {
		/* The list of codes has none for lengths. */
		rv = check_new_pin(pPin, ulPinLen);
		if (rv != CKR_OK)
			return CKR_PIN_INCORRECT;
		take_pin(&slot->so, pPin, ulPinLen, mock_config.so_pin);
	}
	if (!FAULT(init_token_keeps_objects))
		slot_drop_objects(slot, destroyable, NULL);
	if (!FAULT(init_token_keeps_user_pin))
		memset(&slot->user, 0, sizeof(slot->user));
	memcpy(slot->label, pLabel, sizeof(slot->label));
	slot->initialised = true;
	return CKR_OK;
}

CK_RV mock_C_InitPIN(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen)
{
	struct session *session = session_find(hSession);
	CK_RV rv;

	if (session_state(session) != CKS_RW_SO_FUNCTIONS && !FAULT(init_pin_by_anybody))
		return CKR_USER_NOT_LOGGED_IN;
	rv = session_writes(session);
	if (rv != CKR_OK)
		return rv;
	rv = check_new_pin(pPin, ulPinLen);
	if (rv == CKR_OK)
		take_pin(&session->slot->user, pPin, ulPinLen, mock_config.pin);
	return rv;
}

CK_RV mock_C_SetPIN(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pOldPin, CK_ULONG ulOldLen,
                    CK_UTF8CHAR_PTR pNewPin, CK_ULONG ulNewLen)
{
	struct session *session = session_find(hSession);
	struct slot *slot = session->slot;
	bool so = slot->login == CKU_SO;
	struct pin *pin = so ? &slot->so : &slot->user;
	CK_RV rv = session_writes(session);

	if (rv != CKR_OK && !(rv == CKR_SESSION_READ_ONLY && FAULT(set_pin_read_only)))
		return rv;
	if (!mock_config.protected_path && (!pOldPin || !pNewPin))
		return CKR_ARGUMENTS_BAD;
	if (!pin->set)
		return CKR_PIN_INCORRECT;
	rv = check_pin(pin, pOldPin, ulOldLen);
	if (rv == CKR_OK)
		rv = check_new_pin(pNewPin, ulNewLen);
	if (rv == CKR_OK)
		take_pin(pin, pNewPin, ulNewLen, so ? mock_config.so_pin : mock_config.pin);
	return rv;
}

/* ---- sessions (§5.6.1 to §5.6.4) ---------------------------------------------------------------------- */

struct session *session_find(CK_SESSION_HANDLE handle)
{
	for (struct session *session = mock.sessions; session; session = session->next) {
		if (session->handle == handle)
			return session;
	}
	return NULL;
}

bool session_is_rw(const struct session *session)
{
	return session->flags & CKF_RW_SESSION;
}

CK_STATE session_state(const struct session *session)
{
	if (session->slot->login == CKU_SO && session_is_rw(session))
		return CKS_RW_SO_FUNCTIONS;
	if (session->slot->login == CKU_USER)
		return session_is_rw(session) ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
	return session_is_rw(session) ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
}

CK_RV session_private(const struct session *session)
{
	const struct slot *slot = session->slot;

	if (mock_config.no_login)
		return CKR_OK;
	if (slot->login != CKU_USER)
		return CKR_USER_NOT_LOGGED_IN;
	return slot->user.to_be_changed && !FAULT(expired_pin_accepted) ? CKR_PIN_EXPIRED : CKR_OK;
}

CK_RV slot_writes(const struct slot *slot)
{
	(void)slot;
	return mock_config.read_only ? CKR_FUNCTION_NOT_SUPPORTED : CKR_OK;
}

/* CKR_TOKEN_WRITE_PROTECTED ranks before CKR_SESSION_READ_ONLY (§5.1.6). */
CK_RV session_writes(const struct session *session)
{
	if (mock_config.write_protected || mock_config.read_only)
		return FAULT(read_only_before_protected) && !session_is_rw(session)
		               ? CKR_SESSION_READ_ONLY
		               : CKR_TOKEN_WRITE_PROTECTED;
	if (!session_is_rw(session) && !FAULT(read_only_writes))
		return CKR_SESSION_READ_ONLY;
	return CKR_OK;
}

CK_RV mock_C_OpenSession(CK_SLOT_ID slotID, CK_FLAGS flags, CK_VOID_PTR pApplication,
                         CK_NOTIFY Notify, CK_SESSION_HANDLE_PTR phSession)
{
	CK_ULONG open = 0;
	struct session *session;
	struct slot *slot;
	CK_RV rv = token_in(slotID, &slot);

	(void)pApplication;
	(void)Notify; /* a library need not make callbacks (§5.22) */
	if (rv != CKR_OK)
		return rv;
	if (!phSession)
		return CKR_ARGUMENTS_BAD;
	if (!(flags & CKF_SERIAL_SESSION) && !FAULT(parallel_sessions))
		return CKR_SESSION_PARALLEL_NOT_SUPPORTED;
	if ((flags & CKF_ASYNC_SESSION) && !(token_flags(slot) & CKF_ASYNC_SESSION_SUPPORTED))
		return mock_has_version(3, 2) && !FAULT(async_refused_wrong_code)
		               ? CKR_SESSION_ASYNC_NOT_SUPPORTED
		               : CKR_ARGUMENTS_BAD;
	if ((flags & CKF_RW_SESSION) && (mock_config.write_protected || mock_config.read_only) &&
	    !FAULT(write_protected_opens_rw))
		return CKR_TOKEN_WRITE_PROTECTED;
	if (!(flags & CKF_RW_SESSION) && slot->login == CKU_SO && !FAULT(read_only_beside_so))
		return CKR_SESSION_READ_WRITE_SO_EXISTS;
	for (session = mock.sessions; session; session = session->next)
		open += of_slot(session, slot);
	if (mock_config.max_sessions && open >= mock_config.max_sessions)
		return CKR_SESSION_COUNT;

	session = calloc(1, sizeof(*session));
	if (!session)
		return CKR_HOST_MEMORY;
	session->handle = new_handle();
	session->slot = slot;
	session->flags = flags & (CKF_SERIAL_SESSION | CKF_RW_SESSION | CKF_ASYNC_SESSION);
	session->next = mock.sessions;
	mock.sessions = session;
	*phSession = session->handle;
	return CKR_OK;
}

static bool owned(const struct object *object, const void *session)
{
	return object->owner == ((const struct session *)session)->handle;
}

static void close_session(struct session *session)
{
	struct slot *slot = session->slot;
	struct session **link = &mock.sessions;
	bool last = true;

	for (int kind = 0; kind < KIND_OPERATIONS; kind++)
		operation_end(session, (enum kind)kind);
	free(session->search.found);
	async_drop(session);
	if (!FAULT(close_keeps_objects))
		slot_drop_objects(slot, owned, session);
	while (*link != session)
		link = &(*link)->next;
	*link = session->next;
	free(session);
	for (session = mock.sessions; session; session = session->next)
		last = last && !of_slot(session, slot);
	/* The last session takes the login with it (§5.6.2). */
	if (last && !FAULT(last_session_keeps_login))
		slot_log_out(slot);
}

CK_RV mock_C_CloseSession(CK_SESSION_HANDLE hSession)
{
	if (FAULT(close_session_keeps_handle))
		return CKR_OK;
	close_session(session_find(hSession));
	return CKR_OK;
}

CK_RV mock_C_CloseAllSessions(CK_SLOT_ID slotID)
{
	struct slot *slot;
	CK_RV rv;

	if (FAULT(close_all_unsupported))
		return CKR_FUNCTION_NOT_SUPPORTED;
	rv = token_in(slotID, &slot);
	if (rv != CKR_OK)
		return rv;
	if (FAULT(close_all_closes_one)) {
		if (mock.sessions)
			close_session(mock.sessions);
		return CKR_OK;
	}
	if (FAULT(close_all_closes_others)) {
		while (mock.sessions)
			close_session(mock.sessions);
		return CKR_OK;
	}
	close_all(slot);
	return CKR_OK;
}

CK_RV mock_C_GetSessionInfo(CK_SESSION_HANDLE hSession, CK_SESSION_INFO_PTR pInfo)
{
	const struct session *session = session_find(hSession);

	if (!pInfo)
		return CKR_ARGUMENTS_BAD;
	pInfo->slotID = session->slot->id;
	pInfo->state = session_state(session);
	if (FAULT(session_state_stale))
		pInfo->state =
			session_is_rw(session) ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
	pInfo->flags = session->flags;
	if (FAULT(session_flags_no_serial))
		pInfo->flags &= ~CKF_SERIAL_SESSION;
	pInfo->ulDeviceError = 0;
	return CKR_OK;
}

/* ---- login (§5.6.8 to §5.6.10) ------------------------------------------------------------------------- */

/* For one operation with a key of CKA_ALWAYS_AUTHENTICATE (§4.10). */
static CK_RV log_in_for_operation(struct session *session, const CK_BYTE *pin, CK_ULONG length)
{
	static const enum kind private_uses[] = { KIND_DECRYPT, KIND_SIGN, KIND_SIGN_RECOVER,
		                                  KIND_MESSAGE_DECRYPT, KIND_MESSAGE_SIGN };
	CK_RV rv;

	for (size_t i = 0; i < sizeof(private_uses) / sizeof(private_uses[0]); i++) {
		struct operation *operation = session->operations[private_uses[i]];

		if (!operation || !attributes_bool(&operation->key, CKA_ALWAYS_AUTHENTICATE))
			continue;
		rv = check_pin(&session->slot->user, pin, length);
		if (rv == CKR_OK)
			operation->needs_login = false;
		else if (rv == CKR_PIN_LOCKED)
			slot_log_out(session->slot);
		return rv;
	}
	return FAULT(context_login_always) ? CKR_OK : CKR_OPERATION_NOT_INITIALIZED;
}

static CK_RV log_in(struct session *session, CK_USER_TYPE user, const CK_BYTE *pin, CK_ULONG length)
{
	struct slot *slot = session->slot;
	struct pin *known = user == CKU_SO ? &slot->so : &slot->user;
	CK_RV rv;

	if (!pin && !mock_config.protected_path)
		return CKR_ARGUMENTS_BAD;
	if (user == CKU_CONTEXT_SPECIFIC)
		return log_in_for_operation(session, pin, length);
	if (user != CKU_SO && user != CKU_USER)
		return FAULT(user_type_unchecked) ? CKR_OK : CKR_USER_TYPE_INVALID;
	if (slot->login == user)
		return FAULT(login_twice_succeeds) ? CKR_OK : CKR_USER_ALREADY_LOGGED_IN;
	if (slot->login != NOBODY)
		return FAULT(login_other_wrong_code) ? CKR_USER_ALREADY_LOGGED_IN
		                                     : CKR_USER_ANOTHER_ALREADY_LOGGED_IN;
	if (!known->set)
		return FAULT(pin_not_initialized_wrong_code) ? CKR_PIN_INCORRECT
		                                             : CKR_USER_PIN_NOT_INITIALIZED;
	if (user == CKU_SO && !FAULT(so_beside_read_only)) {
		for (const struct session *other = mock.sessions; other; other = other->next) {
			if (of_slot(other, slot) && !session_is_rw(other))
				return CKR_SESSION_READ_ONLY_EXISTS;
		}
	}
	rv = check_pin(known, pin, length);
	if (FAULT(login_accepts_any_pin) && rv == CKR_PIN_INCORRECT)
		rv = CKR_OK;
	if (rv == CKR_OK)
		slot->login = user;
	return rv;
}

CK_RV mock_C_Login(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin,
                   CK_ULONG ulPinLen)
{
	return log_in(session_find(hSession), userType, pPin, ulPinLen);
}

CK_RV mock_C_LoginUser(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin,
                       CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pUsername, CK_ULONG ulUsernameLen)
{
	/* There is one normal user, whatever the name. */
	if (!pUsername && ulUsernameLen > 0)
		return CKR_ARGUMENTS_BAD;
	if (FAULT(login_user_nothing))
		return CKR_OK;
	return log_in(session_find(hSession), userType, pPin, ulPinLen);
}

static bool private_session_object(const struct object *object, const void *context)
{
	(void)context;
	return object->owner != 0 && attributes_bool(&object->attributes, CKA_PRIVATE);
}

void slot_log_out(struct slot *slot)
{
	slot->login = NOBODY;
	if (FAULT(logout_keeps_private_objects) || mock_config.no_login)
		return;
	slot_drop_objects(slot, private_session_object, NULL);
	/* Handles of private objects are dead for good: a later login gives new ones (§5.6.10). */
	for (struct object *object = slot->objects; object; object = object->next) {
		if (attributes_bool(&object->attributes, CKA_PRIVATE) &&
		    !FAULT(logout_keeps_handles))
			object->handle = CK_INVALID_HANDLE;
	}
}

CK_RV mock_C_Logout(CK_SESSION_HANDLE hSession)
{
	struct slot *slot = session_find(hSession)->slot;

	if (slot->login == NOBODY)
		return FAULT(logout_always_succeeds) ? CKR_OK : CKR_USER_NOT_LOGGED_IN;
	slot_log_out(slot);
	return CKR_OK;
}

/* ---- what 2.40 left behind (§5.20), validation (§5.6.11) ---------------------------------------------- */

CK_RV mock_C_GetFunctionStatus(CK_SESSION_HANDLE hSession)
{
	(void)hSession;
	return FAULT(function_status_ok) ? CKR_OK : CKR_FUNCTION_NOT_PARALLEL;
}

CK_RV mock_C_CancelFunction(CK_SESSION_HANDLE hSession)
{
	(void)hSession;
	return FAULT(function_status_ok) ? CKR_OK : CKR_FUNCTION_NOT_PARALLEL;
}

CK_RV mock_C_GetSessionValidationFlags(CK_SESSION_HANDLE hSession,
                                       CK_SESSION_VALIDATION_FLAGS_TYPE type, CK_FLAGS_PTR pFlags)
{
	const struct session *session = session_find(hSession);

	if (!pFlags || type != CKS_LAST_VALIDATION_OK)
		return CKR_ARGUMENTS_BAD;
	*pFlags = session->validation;
	return CKR_OK;
}
