/* SPDX-License-Identifier: MIT */
#include "replayer/module.h"

#include <string.h>

#include "core/buf.h"
#include "core/capture.h"
#include "core/system.h"
#include "core/value.h"
#include "replayer/replay.h"
#include "replayer/trampolines.h"

#define MAX_LISTS 32
#define MAX_NAME 64

/*
 * One list of the recorded module: version, which entries are NULL, and the interface it is shown as. An
 * interface that was passed through has its name and flags, and no functions.
 */
struct list {
	CK_FUNCTION_LIST_3_2 functions;
	CK_INTERFACE interface;
	CK_UTF8CHAR name[MAX_NAME];
	bool named;       /* it was shown as an interface */
	atomic_bool told; /* that it is withheld */
};

/* Handed out to programs, so they stay where they are. Written under the lock, before they are used. */
static struct list lists[MAX_LISTS];
static size_t list_count;

static uint64_t version_of(const struct list *list)
{
	return (uint64_t)list->functions.version.major << 8 | list->functions.version.minor;
}

static void set_pointer(struct list *list, size_t index, replay_pointer pointer)
{
	char *first = (char *)&list->functions + offsetof(CK_FUNCTION_LIST_3_2, C_Initialize);
	memcpy(first + index * sizeof(pointer), &pointer, sizeof(pointer));
}

static bool is_named(const struct list *list, const struct tape_value *name)
{
	return list->named && name->form == TAPE_V_BYTES &&
	       strlen((const char *)list->name) == name->length &&
	       memcmp(list->name, name->data, name->length) == 0;
}

/* Find or make the list that a recorded value shows; NULL where there are too many. */
static struct list *list_of(const struct tape_value *shown)
{
	const struct tape_value *name = tape_value_child(shown, TAPE_LIST_NAME);
	const struct tape_value *version = tape_value_child(shown, TAPE_LIST_VERSION);
	const struct tape_value *flags = tape_value_child(shown, TAPE_LIST_FLAGS);
	const struct tape_value *missing = tape_value_child(shown, TAPE_LIST_MISSING);
	bool named = name->form == TAPE_V_BYTES;
	bool known = version->form == TAPE_V_NUMBER;
	if ((!known && !named) || (named && name->length >= MAX_NAME))
		return NULL;
	for (size_t i = 0; i < list_count; i++)
		if (version_of(&lists[i]) == (known ? version->number : 0) &&
		    lists[i].named == named &&
		    (!named ||
		     (is_named(&lists[i], name) && lists[i].interface.flags == flags->number)))
			return &lists[i];
	if (list_count == MAX_LISTS)
		return NULL;
	struct list *list = &lists[list_count++];
	if (known) {
		list->functions.version.major = (CK_BYTE)(version->number >> 8);
		list->functions.version.minor = (CK_BYTE)version->number;
	}
	/* What C_GetFunctionList returns has 68 pointers, whatever version it claims. */
	size_t pointers = named ? tape_list_pointers(list->functions.version.major,
	                                             list->functions.version.minor)
	                        : TAPE_FN_COUNT_2;
	for (size_t i = 0; known && i < pointers; i++)
		set_pointer(list, i, replay_pointers[i]);
	for (size_t i = 0; missing->form == TAPE_V_LIST && i < missing->count; i++)
		set_pointer(list, (size_t)tape_value_child(missing, i)->number, NULL);
	if (named) {
		memcpy(list->name, name->data, name->length);
		list->named = true;
		list->interface.pInterfaceName = list->name;
		list->interface.pFunctionList = known ? &list->functions : NULL;
		list->interface.flags = (CK_FLAGS)flags->number;
	}
	return list;
}

static bool is_second(const struct tape_value *shown)
{
	const struct tape_value *version = tape_value_child(shown, TAPE_LIST_VERSION);
	return version->form == TAPE_V_NUMBER && version->number >> 8 == 2;
}

/*
 * The list of C_GetFunctionList: the recorded one, or the interface of the second version that a recorder
 * showed in its place, or a plain 2.40 for a trace that has neither.
 */
static struct list *main_list(void)
{
	static struct tape_value plain[TAPE_LIST_COUNT];
	const struct tape_value *shown;
	for (size_t i = 0; (shown = replay_list(i)) != NULL; i++)
		if (tape_value_child(shown, TAPE_LIST_NAME)->form == TAPE_V_ABSENT)
			return list_of(shown);
	bool second = replay_only_list();
	for (size_t i = 0; second && (shown = replay_list(i)) != NULL; i++)
		if (is_second(shown))
			return list_of(shown);
	plain[TAPE_LIST_VERSION].form = TAPE_V_NUMBER;
	plain[TAPE_LIST_VERSION].number = 2 << 8 | 40;
	struct tape_value value = { .form = TAPE_V_RECORD,
		                    .count = TAPE_LIST_COUNT,
		                    .data = plain };
	return list_of(&value);
}

static CK_RV get_function_list(const uintptr_t *words)
{
	const struct tape_value *out;
	CK_RV rv = CKR_OK;
	CK_FUNCTION_LIST **to = (CK_FUNCTION_LIST **)words[0];
	bool known = replay_find(TAPE_FN_C_GetFunctionList, words, &out, &rv);
	if (known && rv != CKR_OK)
		return rv;
	if (to == NULL)
		return CKR_ARGUMENTS_BAD;
	struct list *list = known && out[0].form == TAPE_V_RECORD ? list_of(&out[0]) : main_list();
	if (list == NULL)
		return CKR_GENERAL_ERROR;
	*to = (CK_FUNCTION_LIST *)(void *)&list->functions;
	return CKR_OK;
}

static CK_RV refuse(enum tape_function_id function, const uintptr_t *words, const char *why)
{
	replay_refuse(function, words, why);
	return CKR_GENERAL_ERROR;
}

/*
 * Whether an interface is one that was passed through: what it does is not in the recording, so that the
 * module is shown without it. A program that needs it goes another way, and diverges there.
 */
static bool is_withheld(struct list *list)
{
	const char *name = (const char *)list->name;
	char room[512];
	struct tape_buf sentence;
	if (list->interface.pFunctionList != NULL)
		return false;
	if (atomic_exchange(&list->told, true))
		return true;
	tape_buf_init(&sentence, room, sizeof(room), sizeof(room));
	TAPE_PUT(&sentence, "calls into the interface ");
	tape_put_quoted_lossy(&sentence, name, strlen(name));
	TAPE_PUT(&sentence, " were not recorded: the module is shown without it");
	tape_put_char(&sentence, 0);
	replay_note(sentence.data);
	tape_buf_done(&sentence);
	return true;
}

/*
 * PKCS#11 3.1 §5.4.6: by name, version and flags; NULL leaves the choice to the module. Used for
 * questions that were not recorded, over the lists that were.
 */
static struct list *choose(const char *name, const CK_VERSION *version, CK_FLAGS flags)
{
	const struct tape_value *shown;
	for (size_t i = 0; (shown = replay_list(i)) != NULL; i++) {
		struct list *list = list_of(shown);
		if (list == NULL || list->interface.pFunctionList == NULL)
			continue;
		if (strcmp((const char *)list->name, name == NULL ? "PKCS 11" : name) == 0 &&
		    (version == NULL ||
		     memcmp(version, &list->functions.version, sizeof(*version)) == 0) &&
		    (list->interface.flags & flags) == flags)
			return list;
	}
	return NULL;
}

/*
 * The one interface of a module that has no entry point for interfaces, as the recorder would have shown
 * it (recorder/discovery.c); NULL for other modules.
 */
static CK_INTERFACE *only_interface(void)
{
	static CK_UTF8CHAR name[] = "PKCS 11";
	static CK_INTERFACE interface = { .pInterfaceName = name };
	struct list *list = replay_only_list() ? main_list() : NULL;
	if (list == NULL)
		return NULL;
	interface.pFunctionList = &list->functions;
	return &interface;
}

/* Choose it, or not; CKR_ARGUMENTS_BAD is what the recorder says. */
static CK_RV answer_interface(CK_INTERFACE *interface, const uintptr_t *words)
{
	const char *name = (const char *)words[0];
	const CK_VERSION *version = (const CK_VERSION *)words[1];
	if ((name != NULL && strcmp(name, (const char *)interface->pInterfaceName) != 0) ||
	    (version != NULL && memcmp(version, interface->pFunctionList, sizeof(*version)) != 0) ||
	    words[3] != 0)
		return CKR_ARGUMENTS_BAD;
	*(CK_INTERFACE **)words[2] = interface;
	return CKR_OK;
}

static CK_RV answer_interfaces(const CK_INTERFACE *interface, CK_INTERFACE *to, CK_ULONG *count)
{
	if (count == NULL)
		return CKR_ARGUMENTS_BAD;
	CK_ULONG room = *count;
	*count = 1;
	if (to != NULL && room == 0)
		return CKR_BUFFER_TOO_SMALL;
	if (to != NULL)
		*to = *interface;
	return CKR_OK;
}

static CK_RV get_interface(const uintptr_t *words)
{
	const struct tape_value *out;
	CK_RV rv;
	CK_INTERFACE **to = (CK_INTERFACE **)words[2];
	bool known = replay_find(TAPE_FN_C_GetInterface, words, &out, &rv);
	if (known && rv != CKR_OK)
		return rv;
	if (to == NULL)
		return CKR_ARGUMENTS_BAD;
	struct list *list;
	CK_INTERFACE *only = known ? NULL : only_interface();
	if (only != NULL)
		return answer_interface(only, words);
	if (known && out[2].form == TAPE_V_RECORD) {
		list = list_of(&out[2]);
		if (list == NULL)
			return refuse(TAPE_FN_C_GetInterface, words,
			              "the recorded interface cannot be shown");
		if (is_withheld(list))
			return CKR_ARGUMENTS_BAD; /* as where nothing matches */
	} else {
		list = choose((const char *)words[0], (const CK_VERSION *)words[1],
		              (CK_FLAGS)words[3]);
		if (list == NULL)
			return refuse(TAPE_FN_C_GetInterface, words,
			              "no such interface was recorded");
	}
	*to = &list->interface;
	return CKR_OK;
}

static CK_RV get_interface_list(const uintptr_t *words)
{
	const struct tape_value *out;
	CK_RV rv;
	CK_INTERFACE *to = (CK_INTERFACE *)words[0];
	CK_ULONG *count = (CK_ULONG *)words[1];
	if (!replay_find(TAPE_FN_C_GetInterfaceList, words, &out, &rv)) {
		const CK_INTERFACE *only = only_interface();
		if (only != NULL)
			return answer_interfaces(only, to, count);
		return refuse(TAPE_FN_C_GetInterfaceList, words,
		              "it was not recorded with these arguments");
	}
	if (count == NULL || out[0].form == TAPE_V_ABSENT)
		return rv;
	if (out[0].form == TAPE_V_LENGTH) {
		*count = (CK_ULONG)out[0].number;
		return rv;
	}
	if (rv != CKR_OK || out[0].form != TAPE_V_LIST || to == NULL || out[0].count > *count)
		return rv;
	CK_ULONG shown = 0;
	for (size_t i = 0; i < out[0].count; i++) {
		struct list *list = list_of(tape_value_child(&out[0], i));
		if (list == NULL)
			return refuse(TAPE_FN_C_GetInterfaceList, words,
			              "too many interfaces were recorded");
		if (!is_withheld(list))
			to[shown++] = list->interface;
	}
	*count = shown;
	return rv;
}

CK_RV module_find(enum tape_function_id function, const uintptr_t *words)
{
	CK_RV rv;
	if (!replay_ready())
		return CKR_GENERAL_ERROR;
	struct tape_lock *lock = replay_list_lock();
	tape_lock_take(lock);
	if (function == TAPE_FN_C_GetFunctionList)
		rv = get_function_list(words);
	else if (function == TAPE_FN_C_GetInterface)
		rv = get_interface(words);
	else
		rv = get_interface_list(words);
	tape_lock_give(lock);
	replay_count_found();
	return rv;
}
