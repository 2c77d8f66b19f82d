/* SPDX-License-Identifier: MIT
 *
 * A module that works, with one deviation before it (shim.def): MUTANT_MODULE is loaded, MUTANT says which.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/api/pkcs11.h"

enum deviation {
	NONE,
#define SHIM_ROW(name, rule, sentence) D_##name,
#include "tests/mutants/shim.def"
#undef SHIM_ROW
};

static const char *const names[] = {
	"",
#define SHIM_ROW(name, rule, sentence) #name,
#include "tests/mutants/shim.def"
#undef SHIM_ROW
};

static CK_FUNCTION_LIST shown;
static CK_FUNCTION_LIST *real;
static void *handle; /* of dlopen() */
static enum deviation on;
static bool initialized;

#define ON(name) (on == D_##name)

/* One code for another. */
static CK_RV instead(bool wanted, CK_RV rv, CK_RV from, CK_RV to)
{
	return wanted && rv == from ? to : rv;
}

static CK_RV common(CK_RV rv)
{
	rv = instead(ON(uninitialized_code), rv, CKR_CRYPTOKI_NOT_INITIALIZED,
	             CKR_SESSION_HANDLE_INVALID);
	rv = instead(ON(session_invalid_code), rv, CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED);
	rv = instead(ON(session_no_token), rv, CKR_SESSION_HANDLE_INVALID, CKR_TOKEN_NOT_PRESENT);
	rv = instead(ON(code_not_parallel), rv, CKR_SESSION_HANDLE_INVALID,
	             CKR_FUNCTION_NOT_PARALLEL);
	rv = instead(ON(code_of_callbacks), rv, CKR_OBJECT_HANDLE_INVALID, CKR_CANCEL);
	rv = instead(ON(code_of_another), rv, CKR_OBJECT_HANDLE_INVALID, CKR_KEY_INDIGESTIBLE);
	rv = instead(ON(code_undefined), rv, CKR_SESSION_HANDLE_INVALID, 0x7ffffff0);
	return instead(ON(slot_unknown_code), rv, CKR_SLOT_ID_INVALID, CKR_TOKEN_NOT_PRESENT);
}

/* Where a pointer is written through, the real module has taken it. NOLINTBEGIN(clang-analyzer-core.NullDereference) */

/* ---- C_Initialize, C_Finalize ---------------------------------------------------------------- */

static void *go_on(void *unused)
{
	(void)unused;
	for (;;)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	return NULL;
}

static CK_RV initialize(CK_VOID_PTR args)
{
	CK_C_INITIALIZE_ARGS changed;
	pthread_t thread;
	CK_RV rv;

	if (args != NULL && (ON(initialize_reserved) || ON(initialize_some_mutexes))) {
		memcpy(&changed, args, sizeof(changed));
		if (ON(initialize_reserved))
			changed.pReserved = NULL;
		else if (changed.CreateMutex == NULL || changed.DestroyMutex == NULL ||
		         changed.LockMutex == NULL || changed.UnlockMutex == NULL)
			changed.CreateMutex = NULL, changed.DestroyMutex = NULL,
			changed.LockMutex = NULL, changed.UnlockMutex = NULL;
		args = &changed;
	}
	if (args == NULL && ON(initialize_null))
		return CKR_ARGUMENTS_BAD;
	rv = real->C_Initialize(args);
	rv = instead(ON(initialize_twice), rv, CKR_CRYPTOKI_ALREADY_INITIALIZED, CKR_OK);
	if (rv == CKR_OK) {
		initialized = true;
		if (ON(finalize_leaks) && open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			rv = CKR_HOST_MEMORY;
		if ((ON(finalize_leaves_thread) || ON(initialize_makes_thread)) &&
		    pthread_create(&thread, NULL, go_on, NULL) == 0)
			pthread_detach(thread);
	}
	return rv;
}

static CK_RV finalize(CK_VOID_PTR reserved)
{
	CK_RV rv;

	if (ON(finalize_reserved))
		reserved = NULL;
	if (initialized && reserved == NULL && ON(finalize_nothing)) {
		initialized = false;
		return CKR_OK;
	}
	rv = real->C_Finalize(reserved);
	if (rv == CKR_OK)
		initialized = false;
	return instead(ON(finalize_twice), common(rv), CKR_CRYPTOKI_NOT_INITIALIZED, CKR_OK);
}

static CK_RV get_info(CK_INFO_PTR info)
{
	CK_RV rv;

	if (info == NULL && ON(null_accepted))
		return CKR_OK;
	rv = real->C_GetInfo(info);
	if (rv == CKR_OK && ON(info_flags))
		info->flags = 1;
	if (rv == CKR_OK && ON(info_version))
		info->cryptokiVersion = (CK_VERSION){ 2, 10 };
	return common(rv);
}

static CK_RV get_function_status(CK_SESSION_HANDLE session)
{
	return instead(ON(function_status_ok), real->C_GetFunctionStatus(session),
	               CKR_FUNCTION_NOT_PARALLEL, CKR_OK);
}

/* ---- slots and tokens ------------------------------------------------------------------------ */

static CK_RV get_slot_list(CK_BBOOL present, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	CK_ULONG room = count == NULL ? 0 : *count;
	CK_RV rv;

	if (count == NULL && ON(null_accepted))
		return CKR_OK;
	rv = real->C_GetSlotList(present, slots, count);
	if (rv == CKR_BUFFER_TOO_SMALL && ON(slot_list_count_kept))
		*count = room;
	if (rv == CKR_OK && slots != NULL && ON(slot_ids_plus_one)) {
		for (CK_ULONG i = 0; i < *count; i++)
			slots[i]++;
	}
	return common(rv);
}

static CK_RV get_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO_PTR info)
{
	CK_VERSION firmware = { 0, 0 };
	CK_RV rv;

	if (info == NULL && ON(null_accepted))
		return CKR_OK;
	if (info != NULL)
		firmware = info->firmwareVersion;
	rv = real->C_GetSlotInfo(slot, info);
	if (rv == CKR_OK && ON(slot_member_kept))
		info->firmwareVersion = firmware;
	return common(rv);
}

static CK_RV init_token(CK_SLOT_ID slot, CK_UTF8CHAR_PTR pin, CK_ULONG length,
                        CK_UTF8CHAR_PTR label)
{
	CK_UTF8CHAR capital[32];

	if (label == NULL || !ON(token_label_other))
		return common(real->C_InitToken(slot, pin, length, label));
	for (size_t i = 0; i < sizeof(capital); i++)
		capital[i] = (CK_UTF8CHAR)(label[i] >= 'a' && label[i] <= 'z' ? label[i] - 32
		                                                              : label[i]);
	return real->C_InitToken(slot, pin, length, capital);
}

static CK_RV set_pin(CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR old, CK_ULONG old_length,
                     CK_UTF8CHAR_PTR new, CK_ULONG new_length)
{
	if (ON(set_pin_nothing))
		return common(real->C_SetPIN(session, old, old_length, old, old_length));
	return common(real->C_SetPIN(session, old, old_length, new, new_length));
}

static bool pin_failed;

static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	CK_RV rv = real->C_GetTokenInfo(slot, info);

	if (rv == CKR_OK && ON(pin_count_low_stays) && pin_failed)
		info->flags |= CKF_USER_PIN_COUNT_LOW;
	if (rv == CKR_OK && ON(token_text_nul)) {
		for (size_t i = sizeof(info->label); i != 0 && info->label[i - 1] == ' '; i--)
			info->label[i - 1] = 0;
	}
	return common(rv);
}

static CK_RV get_mechanism_list(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR list, CK_ULONG_PTR count)
{
	return common(instead(ON(mechanism_list_short), real->C_GetMechanismList(slot, list, count),
	                      CKR_BUFFER_TOO_SMALL, CKR_OK));
}

static CK_RV get_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info)
{
	CK_RV rv = real->C_GetMechanismInfo(slot, type, info);

	if (type == CKM_SHA256 && ON(mechanism_undescribed))
		return CKR_MECHANISM_INVALID;
	if (rv == CKR_MECHANISM_INVALID && ON(mechanism_info_always)) {
		memset(info, 0, sizeof(*info));
		return CKR_OK;
	}
	return common(rv);
}

/* ---- sessions and login ---------------------------------------------------------------------- */

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application,
                          CK_NOTIFY notify, CK_SESSION_HANDLE_PTR session)
{
	static CK_SESSION_HANDLE before;
	static int count;
	CK_RV rv;

	if (ON(session_parallel))
		flags |= CKF_SERIAL_SESSION;
	if (ON(session_count_code) && ++count > 10)
		return CKR_DEVICE_MEMORY;
	rv = real->C_OpenSession(slot, flags, application, notify, session);
	if (rv == CKR_OK && ON(session_handle_zero))
		*session = 0;
	if (rv == CKR_OK && ON(session_handle_repeats)) {
		CK_SESSION_HANDLE fresh = *session;

		if (before != 0)
			*session = before;
		before = fresh;
	}
	return common(rv);
}

static CK_RV close_session(CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	if (ON(close_nothing))
		return real->C_GetSessionInfo(session, &info);
	return common(real->C_CloseSession(session));
}

static CK_RV close_all_sessions(CK_SLOT_ID slot)
{
	CK_SLOT_INFO info;

	if (ON(close_all_unsupported))
		return CKR_FUNCTION_NOT_SUPPORTED;
	if (ON(close_all_nothing))
		return real->C_GetSlotInfo(slot, &info);
	return common(real->C_CloseAllSessions(slot));
}

static CK_RV get_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info)
{
	CK_RV rv;

	if (info == NULL && ON(null_accepted))
		return CKR_OK;
	rv = real->C_GetSessionInfo(session, info);
	if (rv == CKR_OK && ON(session_state_public))
		info->state = (info->flags & CKF_RW_SESSION) != 0 ? CKS_RW_PUBLIC_SESSION
		                                                  : CKS_RO_PUBLIC_SESSION;
	if (rv == CKR_OK && ON(session_flags))
		info->flags |= CKF_RW_SESSION;
	return common(rv);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin,
                   CK_ULONG length)
{
	CK_RV rv = real->C_Login(session, user, pin, length);

	pin_failed |= rv == CKR_PIN_INCORRECT;
	rv = instead(ON(login_twice), rv, CKR_USER_ALREADY_LOGGED_IN, CKR_OK);
	rv = instead(ON(login_pin_code), rv, CKR_PIN_INCORRECT, CKR_PIN_INVALID);
	return common(instead(ON(login_beside_read_only), rv, CKR_SESSION_READ_ONLY_EXISTS,
	                      CKR_SESSION_READ_ONLY));
}

static CK_RV logout(CK_SESSION_HANDLE session)
{
	CK_SESSION_INFO info;

	if (ON(logout_nothing))
		return real->C_GetSessionInfo(session, &info);
	return common(real->C_Logout(session));
}

/* ---- objects --------------------------------------------------------------------------------- */

/* The object's class, if it has one. */
static CK_OBJECT_CLASS class_of(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	CK_OBJECT_CLASS class = CK_UNAVAILABLE_INFORMATION;
	CK_ATTRIBUTE entry = { CKA_CLASS, &class, sizeof(class) };

	(void)real->C_GetAttributeValue(session, object, &entry, 1);
	return class;
}

#define ENTRIES 64

static CK_UTF8CHAR label[] = { 'm', 'u', 't', 'a', 'n', 't' };

/* The template without the attributes of a type, in room for ENTRIES; returns how many are left. */
static CK_ULONG without(CK_ATTRIBUTE_TYPE type, const CK_ATTRIBUTE *entries, CK_ULONG count,
                        CK_ATTRIBUTE *rest)
{
	CK_ULONG left = 0;

	for (CK_ULONG i = 0; i < count && left < ENTRIES - 1; i++) {
		if (entries[i].type != type)
			rest[left++] = entries[i];
	}
	return left;
}

static CK_RV create_object(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR entries, CK_ULONG count,
                           CK_OBJECT_HANDLE_PTR object)
{
	static CK_OBJECT_CLASS data = CKO_DATA;
	static CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE left = { CKA_CLASS, &data, sizeof(data) }, rest[ENTRIES];
	CK_OBJECT_HANDLE unwanted;
	CK_RV rv;

	if (entries == NULL || object == NULL)
		return common(real->C_CreateObject(session, entries, count, object));
	if (ON(create_class_first) && count > 1 && entries[0].type != CKA_CLASS)
		return CKR_TEMPLATE_INCOMPLETE;
	if (ON(create_in_session))
		count = without(CKA_TOKEN, entries, count, rest), entries = rest;
	if (ON(create_on_token)) {
		count = without(CKA_TOKEN, entries, count, rest);
		rest[count++] = (CK_ATTRIBUTE){ CKA_TOKEN, &yes, sizeof(yes) };
		entries = rest;
	}
	if (ON(create_label) && without(CKA_LABEL, entries, count, rest) == count) {
		rest[count++] = (CK_ATTRIBUTE){ CKA_LABEL, label, sizeof(label) };
		entries = rest;
	}
	rv = real->C_CreateObject(session, entries, count, object);
	if (rv != CKR_OK && ON(create_leaves_object))
		(void)real->C_CreateObject(session, &left, 1, &unwanted);
	return common(rv);
}

static CK_RV copy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                         CK_ATTRIBUTE_PTR entries, CK_ULONG count, CK_OBJECT_HANDLE_PTR copy)
{
	CK_ATTRIBUTE rest[ENTRIES];

	if (ON(copy_renames) && (entries != NULL || count == 0) &&
	    without(CKA_LABEL, entries, count, rest) == count) {
		rest[count++] = (CK_ATTRIBUTE){ CKA_LABEL, label, sizeof(label) };
		entries = rest;
	}
	return common(real->C_CopyObject(session, object, entries, count, copy));
}

static CK_RV set_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                 CK_ATTRIBUTE_PTR entries, CK_ULONG count)
{
	CK_ULONG size;

	if (ON(set_nothing) && entries != NULL)
		return real->C_GetObjectSize(session, object, &size);
	return common(real->C_SetAttributeValue(session, object, entries, count));
}

static CK_RV generate_key(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism,
                          CK_ATTRIBUTE_PTR entries, CK_ULONG count, CK_OBJECT_HANDLE_PTR key)
{
	CK_ATTRIBUTE rest[ENTRIES];

	if (ON(generate_any_class) && entries != NULL)
		count = without(CKA_CLASS, entries, count, rest), entries = rest;
	return common(real->C_GenerateKey(session, mechanism, entries, count, key));
}

static CK_RV wrap_key(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism,
                      CK_OBJECT_HANDLE wrapping, CK_OBJECT_HANDLE key, CK_BYTE_PTR wrapped,
                      CK_ULONG_PTR length)
{
	CK_RV rv = real->C_WrapKey(session, mechanism, wrapping, key, wrapped, length);

	return common(instead(ON(wrapping_key_code), rv, CKR_WRAPPING_KEY_HANDLE_INVALID,
	                      CKR_KEY_HANDLE_INVALID));
}

/* What is said of one attribute that was read, and what then of the call. */
static CK_RV read_entry(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR entry,
                        CK_RV rv)
{
	bool date = entry->type == CKA_START_DATE || entry->type == CKA_END_DATE;

	if (ON(empty_date_long) && date && entry->ulValueLen == 0)
		entry->ulValueLen = sizeof(CK_DATE);
	if (ON(modulus_hidden) && entry->type == CKA_MODULUS &&
	    class_of(session, object) == CKO_PRIVATE_KEY) {
		entry->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_ATTRIBUTE_SENSITIVE;
	}
	return rv;
}

static bool is_partial(CK_RV rv)
{
	return rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE ||
	       rv == CKR_BUFFER_TOO_SMALL;
}

static CK_RV read_until_one_fails(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                  CK_ATTRIBUTE_PTR entries, CK_ULONG count)
{
	CK_RV rv = CKR_OK;

	for (CK_ULONG i = 0; i < count && rv == CKR_OK; i++)
		rv = real->C_GetAttributeValue(session, object, &entries[i], 1);
	return rv;
}

/* Give the beginning of what has no room. */
static CK_RV read_cut(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR entry)
{
	unsigned char whole[8192];
	CK_ATTRIBUTE copy = { entry->type, whole, sizeof(whole) };
	CK_ULONG room = entry->ulValueLen;
	CK_RV rv = real->C_GetAttributeValue(session, object, entry, 1);

	if (rv != CKR_BUFFER_TOO_SMALL ||
	    real->C_GetAttributeValue(session, object, &copy, 1) != CKR_OK)
		return rv;
	memcpy(entry->pValue, whole, room);
	entry->ulValueLen = room;
	return CKR_OK;
}

static void swap_values(CK_ATTRIBUTE_PTR entries, CK_ULONG count)
{
	unsigned char kept[64];
	CK_ULONG length = entries[0].ulValueLen;

	if (count < 2 || length != entries[1].ulValueLen || length > sizeof(kept) ||
	    entries[0].pValue == NULL || entries[1].pValue == NULL)
		return;
	memcpy(kept, entries[0].pValue, length);
	memcpy(entries[0].pValue, entries[1].pValue, length);
	memcpy(entries[1].pValue, kept, length);
}

static CK_RV get_attribute_value(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                 CK_ATTRIBUTE_PTR entries, CK_ULONG count)
{
	CK_ULONG room[64], given = count < 64 ? count : 64;
	CK_RV rv;

	if (entries == NULL || count == 0)
		return common(real->C_GetAttributeValue(session, object, entries, count));
	if (ON(partial_reads_lost))
		return read_until_one_fails(session, object, entries, count);
	if (ON(short_value_cut) && count == 1)
		return read_cut(session, object, entries);
	for (CK_ULONG i = 0; i < given; i++)
		room[i] = entries[i].ulValueLen;
	rv = real->C_GetAttributeValue(session, object, entries, count);
	for (CK_ULONG i = 0; i < count && (rv == CKR_OK || is_partial(rv)); i++)
		rv = read_entry(session, object, &entries[i], rv);
	if (rv == CKR_OK && ON(values_swapped))
		swap_values(entries, count);
	if (rv == CKR_OK && ON(length_plus_one) && count == 1 && entries[0].pValue == NULL)
		entries[0].ulValueLen++;
	if (rv == CKR_OK && ON(value_overruns) && entries[0].pValue != NULL)
		((unsigned char *)entries[0].pValue)[room[0]] = 0;
	for (CK_ULONG i = 0; i < given && ON(unavailable_length_kept); i++) {
		if (entries[i].ulValueLen == CK_UNAVAILABLE_INFORMATION)
			entries[i].ulValueLen = room[i];
	}
	return is_partial(rv) && ON(partial_reads_ok) ? CKR_OK : common(rv);
}

static CK_RV destroy_object(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	CK_ULONG size;

	CK_SESSION_INFO info;

	if (ON(destroy_nothing))
		return real->C_GetObjectSize(session, object, &size);
	if (ON(session_objects_read_only) && real->C_GetSessionInfo(session, &info) == CKR_OK &&
	    (info.flags & CKF_RW_SESSION) == 0)
		return CKR_SESSION_READ_ONLY;
	return common(real->C_DestroyObject(session, object));
}

static bool nothing_found;

static CK_RV find_objects_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR entries, CK_ULONG count)
{
	CK_RV rv;

	if (ON(find_everything))
		entries = NULL, count = 0;
	rv = real->C_FindObjectsInit(session, entries, count);
	nothing_found = ON(find_all_none) && count == 0;
	if (rv == CKR_OPERATION_ACTIVE && ON(find_twice) &&
	    real->C_FindObjectsFinal(session) == CKR_OK)
		rv = real->C_FindObjectsInit(session, entries, count);
	return common(rv);
}

static CK_RV find_objects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG room,
                          CK_ULONG_PTR count)
{
	CK_RV rv = real->C_FindObjects(session, objects, room, count);

	if (rv == CKR_OPERATION_NOT_INITIALIZED && ON(find_without_init)) {
		*count = 0;
		return CKR_OK;
	}
	if (rv == CKR_OK && nothing_found)
		*count = 0;
	if (rv == CKR_OK && *count == room && ON(find_counts_more))
		++*count;
	return common(rv);
}

/* ---- operations ------------------------------------------------------------------------------ */

static CK_RV begun(CK_RV rv)
{
	rv = instead(ON(key_type_code), rv, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_HANDLE_INVALID);
	return common(
		instead(ON(mechanism_invalid_code), rv, CKR_MECHANISM_INVALID, CKR_ARGUMENTS_BAD));
}

/* What became of a call that writes `*length` bytes to `output`, in which there was `room`. */
static CK_RV written(CK_RV rv, const void *output, CK_ULONG_PTR length, CK_ULONG room)
{
	rv = instead(ON(encrypted_length_code), rv, CKR_ENCRYPTED_DATA_LEN_RANGE,
	             CKR_DATA_LEN_RANGE);
	rv = instead(ON(encrypted_length_code), rv, CKR_ENCRYPTED_DATA_INVALID, CKR_DATA_LEN_RANGE);
	if (rv == CKR_OK && output == NULL && ON(query_zero))
		*length = 0;
	if (rv == CKR_OK && output != NULL && *length != 0 && ON(length_short))
		--*length;
	if (rv == CKR_BUFFER_TOO_SMALL && ON(too_small_ok)) {
		*length = room;
		return CKR_OK;
	}
	return common(instead(ON(operation_not_needed), rv, CKR_OPERATION_NOT_INITIALIZED, CKR_OK));
}

/* Functions of (session, input, length, output, length), and those without an input. */
#define WITH_INPUT(name, function)                                                            \
	static CK_RV name(CK_SESSION_HANDLE session, CK_BYTE_PTR input, CK_ULONG size,        \
	                  CK_BYTE_PTR output, CK_ULONG_PTR length)                            \
	{                                                                                     \
		unsigned char unwanted[8192];                                                 \
		CK_ULONG more = sizeof(unwanted), room = length == NULL ? 0 : *length;        \
		CK_RV rv = real->function(session, input, size, output, length);              \
                                                                                              \
		if (rv == CKR_BUFFER_TOO_SMALL && ON(too_small_ends))                         \
			real->function(session, input, size, unwanted, &more);                \
		if (rv == CKR_OK && output != NULL && output == input && ON(in_place_spoils)) \
			output[0] ^= 1;                                                       \
		return written(rv, output, length, room);                                     \
	}
#define WITHOUT_INPUT(name, function)                                                         \
	static CK_RV name(CK_SESSION_HANDLE session, CK_BYTE_PTR output, CK_ULONG_PTR length) \
	{                                                                                     \
		unsigned char unwanted[8192];                                                 \
		CK_ULONG more = sizeof(unwanted), room = length == NULL ? 0 : *length;        \
		CK_RV rv = real->function(session, output, length);                           \
                                                                                              \
		if (rv == CKR_BUFFER_TOO_SMALL && ON(too_small_ends))                         \
			real->function(session, unwanted, &more);                             \
		return written(rv, output, length, room);                                     \
	}

WITH_INPUT(encrypt, C_Encrypt)
WITH_INPUT(decrypt, C_Decrypt)
WITH_INPUT(digest, C_Digest)
WITH_INPUT(sign, C_Sign)
WITHOUT_INPUT(encrypt_final, C_EncryptFinal)
WITHOUT_INPUT(digest_final, C_DigestFinal)
WITHOUT_INPUT(sign_final, C_SignFinal)

#define INIT_WITH_KEY(name, function)                                            \
	static CK_RV name(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, \
	                  CK_OBJECT_HANDLE key)                                  \
	{                                                                        \
		return begun(real->function(session, mechanism, key));           \
	}

INIT_WITH_KEY(encrypt_init, C_EncryptInit)
INIT_WITH_KEY(decrypt_init, C_DecryptInit)
INIT_WITH_KEY(sign_init, C_SignInit)
INIT_WITH_KEY(verify_init, C_VerifyInit)

static CK_RV digest_init(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism)
{
	static CK_SESSION_HANDLE before;
	CK_BYTE digest[64];
	CK_ULONG length = sizeof(digest);

	if (ON(mechanism_broken) && mechanism != NULL && mechanism->mechanism == CKM_SHA256)
		return CKR_MECHANISM_INVALID;
	if (ON(digest_disturbs) && before != session)
		(void)real->C_DigestFinal(before, digest, &length);
	before = session;
	return begun(real->C_DigestInit(session, mechanism));
}

static CK_RV digest_update(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG size)
{
	if (ON(update_drops) && size > 16)
		size--;
	return common(real->C_DigestUpdate(session, part, size));
}

static CK_RV verified(CK_RV rv)
{
	rv = instead(ON(signature_length_code), rv, CKR_SIGNATURE_LEN_RANGE, CKR_DATA_LEN_RANGE);
	rv = instead(ON(verify_ok), rv, CKR_SIGNATURE_LEN_RANGE, CKR_OK);
	return common(instead(ON(verify_ok), rv, CKR_SIGNATURE_INVALID, CKR_OK));
}

static CK_RV verify(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG size,
                    CK_BYTE_PTR signature, CK_ULONG length)
{
	return verified(real->C_Verify(session, data, size, signature, length));
}

static CK_RV verify_final(CK_SESSION_HANDLE session, CK_BYTE_PTR signature, CK_ULONG length)
{
	return verified(real->C_VerifyFinal(session, signature, length));
}

static CK_RV generate_random(CK_SESSION_HANDLE session, CK_BYTE_PTR bytes, CK_ULONG size)
{
	CK_RV rv = real->C_GenerateRandom(session, bytes, ON(random_half) ? size / 2 : size);

	if (rv == CKR_OK && size != 0 && ON(random_overruns))
		bytes[size] = 0;
	return common(rv);
}

/* ---- the list -------------------------------------------------------------------------------- */

static bool load(void)
{
	const char *module = getenv("MUTANT_MODULE"), *name = getenv("MUTANT");
	CK_C_GetFunctionList get_list;
	void *symbol;

	for (size_t i = 0; name != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			on = (enum deviation)i;
	}
	if (module == NULL || name == NULL || (on == NONE && *name != 0)) {
		fprintf(stderr,
		        "mutant-shim: MUTANT and MUTANT_MODULE say nothing that is known\n");
		return false;
	}
	handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	symbol = handle == NULL ? NULL : dlsym(handle, "C_GetFunctionList");
	if (symbol == NULL)
		return false;
	memcpy(&get_list, &symbol, sizeof(get_list));
	return get_list(&real) == CKR_OK;
}

/* The module goes with us, or it would not be new to whoever loads us again. */
__attribute__((destructor)) static void unload(void)
{
	if (handle != NULL)
		dlclose(handle);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
	if (list == NULL)
		return CKR_ARGUMENTS_BAD;
	if (real == NULL && !load())
		return CKR_GENERAL_ERROR;
	shown = *real;
	shown.C_Initialize = initialize;
	shown.C_Finalize = finalize;
	shown.C_GetInfo = get_info;
	shown.C_GetFunctionList = C_GetFunctionList;
	shown.C_GetSlotList = get_slot_list;
	shown.C_GetSlotInfo = get_slot_info;
	shown.C_GetTokenInfo = get_token_info;
	shown.C_GetMechanismList = get_mechanism_list;
	shown.C_GetMechanismInfo = get_mechanism_info;
	shown.C_OpenSession = open_session;
	shown.C_CloseSession = close_session;
	shown.C_CloseAllSessions = close_all_sessions;
	shown.C_GetSessionInfo = get_session_info;
	shown.C_InitToken = init_token;
	shown.C_SetPIN = set_pin;
	shown.C_Login = login;
	shown.C_Logout = logout;
	shown.C_GetAttributeValue = get_attribute_value;
	shown.C_CreateObject = create_object;
	shown.C_CopyObject = copy_object;
	shown.C_SetAttributeValue = set_attribute_value;
	shown.C_DestroyObject = destroy_object;
	shown.C_FindObjectsInit = find_objects_init;
	shown.C_FindObjects = find_objects;
	shown.C_EncryptInit = encrypt_init;
	shown.C_Encrypt = encrypt;
	shown.C_EncryptFinal = encrypt_final;
	shown.C_DecryptInit = decrypt_init;
	shown.C_Decrypt = decrypt;
	shown.C_DigestInit = digest_init;
	shown.C_Digest = digest;
	shown.C_DigestUpdate = digest_update;
	shown.C_DigestFinal = digest_final;
	shown.C_SignInit = sign_init;
	shown.C_Sign = sign;
	shown.C_SignFinal = sign_final;
	shown.C_VerifyInit = verify_init;
	shown.C_Verify = verify;
	shown.C_VerifyFinal = verify_final;
	shown.C_GenerateKey = generate_key;
	shown.C_WrapKey = wrap_key;
	shown.C_GenerateRandom = generate_random;
	shown.C_GetFunctionStatus = ON(list_has_null) ? NULL : get_function_status;
	*list = &shown;
	return CKR_OK;
}

/* NOLINTEND(clang-analyzer-core.NullDereference) */
