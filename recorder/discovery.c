/* SPDX-License-Identifier: MIT */
#include "recorder/discovery.h"

#include <string.h>

#include "recorder/module.h"
#include "recorder/tell.h"
#include "recorder/trampolines.h"

/* Lists, interfaces and foreign names that a target may show in its life. */
#define MAX_LISTS 24
#define MAX_INTERFACES 32
#define MAX_NOTED 16

/* The first pointer of any function list. */
#define POINTERS_AT offsetof(CK_FUNCTION_LIST, C_Initialize)

/*
 * A list of the target's and ours in its place. A target may change its list in place (a proxy does when
 * it is initialised again): ours is brought up to date whenever it is handed out.
 */
static struct {
	const void *theirs;
	size_t pointers;
	CK_FUNCTION_LIST_3_2 ours;
} lists[MAX_LISTS];

static struct {
	const CK_INTERFACE *theirs;
	CK_INTERFACE ours;
} interfaces[MAX_INTERFACES];

static const void *noted[MAX_NOTED];
static atomic_bool told_loop;

static CK_UTF8CHAR standard_name[] = "PKCS 11";

/* ---- lists ----------------------------------------------------------------------------------- */

static tape_any_fn pointer_in(const void *list, size_t index)
{
	tape_any_fn pointer;
	memcpy(&pointer, (const char *)list + POINTERS_AT + index * sizeof(pointer),
	       sizeof(pointer));
	return pointer;
}

/* The application may be calling through a list that it has: what is right stays untouched. */
static void set_pointer_in(void *list, size_t index, tape_any_fn pointer)
{
	if (pointer_in(list, index) == pointer)
		return;
	memcpy((char *)list + POINTERS_AT + index * sizeof(pointer), &pointer, sizeof(pointer));
}

/*
 * Find or make the function of ours that calls `theirs` in the place `index` of a list. NULL where the
 * target has shown too many different ones. Under lists_lock.
 */
static tape_any_fn find_trampoline(size_t index, tape_any_fn theirs)
{
	/* Where the program made our names global, the target's own list can be bound to them. */
	for (size_t set = 0; set < TAPE_SETS; set++)
		if (theirs == tape_trampolines[set][index] ||
		    theirs == atomic_load(&tape_targets[set][index]))
			return tape_trampolines[set][index];
	/* That set 0 has no discovery function says that the target does not export it. */
	for (size_t set = tape_functions[index].finds ? 1 : 0; set < TAPE_SETS; set++) {
		if (atomic_load(&tape_targets[set][index]) != NULL)
			continue;
		atomic_store(&tape_targets[set][index], theirs);
		return tape_trampolines[set][index];
	}
	return NULL;
}

/* Ours for a list of the target's, or the target's own where we cannot stand in. */
static void *present_list(struct tape_state *state, void *theirs, size_t pointers)
{
	const char *passed = NULL;
	void *ours = theirs;
	if (theirs == NULL)
		return NULL;
	tape_lock_take(&state->lists_lock);
	size_t at = 0;
	while (at < MAX_LISTS && lists[at].theirs != NULL &&
	       (lists[at].theirs != theirs || lists[at].pointers != pointers))
		at++;
	if (at == MAX_LISTS) {
		passed = "C_GetFunctionList";
	} else {
		lists[at].theirs = theirs;
		lists[at].pointers = pointers;
		ours = &lists[at].ours;
		if (memcmp(ours, theirs, sizeof(CK_VERSION)) != 0)
			memcpy(ours, theirs, sizeof(CK_VERSION));
		for (size_t i = 0; i < pointers; i++) {
			tape_any_fn pointer = pointer_in(theirs, i);
			tape_any_fn trampoline =
				pointer == NULL ? NULL : find_trampoline(i, pointer);
			if (pointer != NULL && trampoline == NULL) {
				passed = tape_functions[i].name.text;
				trampoline = pointer;
			}
			set_pointer_in(ours, i, trampoline);
		}
	}
	tape_lock_give(&state->lists_lock);
	if (passed != NULL)
		tape_record_passed_through(state, passed);
	return ours;
}

static size_t pointers_of(const void *list)
{
	CK_VERSION version;
	memcpy(&version, list, sizeof(version));
	return tape_list_pointers(version.major, version.minor);
}

/* ---- interfaces ------------------------------------------------------------------------------ */

static bool is_standard(const CK_INTERFACE *interface)
{
	return interface->pFunctionList != NULL && interface->pInterfaceName != NULL &&
	       strcmp((const char *)interface->pInterfaceName, (const char *)standard_name) == 0;
}

/* Say once of each interface that its functions are not ours. */
static void note_foreign(struct tape_state *state, const CK_INTERFACE *interface)
{
	const void *name = interface->pInterfaceName;
	if (name == NULL)
		return;
	tape_lock_take(&state->lists_lock);
	size_t at = 0;
	while (at < MAX_NOTED && noted[at] != NULL && noted[at] != name)
		at++;
	bool news = at < MAX_NOTED && noted[at] == NULL;
	if (news)
		noted[at] = name;
	tape_lock_give(&state->lists_lock);
	if (news)
		tape_record_passed_through(state, name);
}

static void present_interfaces(struct tape_state *state, CK_INTERFACE *list, CK_ULONG count)
{
	for (CK_ULONG i = 0; i < count; i++) {
		if (is_standard(&list[i]))
			list[i].pFunctionList = present_list(state, list[i].pFunctionList,
			                                     pointers_of(list[i].pFunctionList));
		else
			note_foreign(state, &list[i]);
	}
}

static CK_INTERFACE *present_interface(struct tape_state *state, CK_INTERFACE *theirs)
{
	if (theirs == NULL)
		return NULL;
	if (!is_standard(theirs)) {
		note_foreign(state, theirs);
		return theirs;
	}
	CK_INTERFACE ours = *theirs;
	ours.pFunctionList =
		present_list(state, theirs->pFunctionList, pointers_of(theirs->pFunctionList));
	tape_lock_take(&state->lists_lock);
	size_t at = 0;
	while (at < MAX_INTERFACES && interfaces[at].theirs != NULL &&
	       interfaces[at].theirs != theirs)
		at++;
	if (at < MAX_INTERFACES) {
		interfaces[at].theirs = theirs;
		if (memcmp(&interfaces[at].ours, &ours, sizeof(ours)) != 0)
			interfaces[at].ours = ours;
	}
	tape_lock_give(&state->lists_lock);
	if (at < MAX_INTERFACES)
		return &interfaces[at].ours;
	note_foreign(state, theirs);
	return theirs;
}

/* ---- what the target has, beside the function that it lacks ---------------------------------- */

static CK_INTERFACE *their_interface(CK_BYTE major, CK_BYTE minor)
{
	CK_C_GetInterface get =
		(CK_C_GetInterface)atomic_load(&tape_targets[0][TAPE_FN_C_GetInterface]);
	CK_VERSION version = { major, minor };
	CK_INTERFACE *found = NULL;
	if (get == NULL || get(standard_name, &version, &found, 0) != CKR_OK || found == NULL ||
	    found->pFunctionList == NULL)
		return NULL;
	return found;
}

/* The target's list of the second version, by whatever entry point it has. */
static CK_RV their_list(CK_FUNCTION_LIST **ret_list)
{
	static const CK_BYTE minors[] = { 40, 30, 20, 11, 10, 1, 0 };
	CK_C_GetFunctionList get =
		(CK_C_GetFunctionList)atomic_load(&tape_targets[0][TAPE_FN_C_GetFunctionList]);
	if (get != NULL) {
		CK_FUNCTION_LIST *list = NULL;
		CK_RV rv = get(&list);
		if (rv == CKR_OK && list == NULL)
			rv = CKR_GENERAL_ERROR;
		if (rv == CKR_OK)
			*ret_list = list;
		return rv;
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(minors); i++) {
		CK_INTERFACE *interface = their_interface(2, minors[i]);
		if (interface == NULL || pointers_of(interface->pFunctionList) != TAPE_FN_COUNT_2)
			continue;
		*ret_list = interface->pFunctionList;
		return CKR_OK;
	}
	return CKR_FUNCTION_NOT_SUPPORTED;
}

/* Take into set 0 what the target does not export by name but shows in a list. */
static void adopt(struct tape_state *state, const void *list, size_t pointers)
{
	tape_lock_take(&state->lists_lock);
	for (size_t i = 0; i < pointers; i++) {
		tape_any_fn theirs = pointer_in(list, i);
		if (!tape_functions[i].finds && theirs != tape_trampolines[0][i] &&
		    atomic_load(&tape_targets[0][i]) == NULL)
			atomic_store(&tape_targets[0][i], theirs);
	}
	tape_lock_give(&state->lists_lock);
}

static tape_any_fn find_in_lists(struct tape_state *state, enum tape_function_id id)
{
	CK_FUNCTION_LIST *list;
	if (id < TAPE_FN_COUNT_2) {
		if (their_list(&list) == CKR_OK)
			adopt(state, list, TAPE_FN_COUNT_2);
	} else {
		const CK_INTERFACE *interface = their_interface(3, 2);
		if (interface == NULL)
			interface = their_interface(3, 0);
		if (interface != NULL)
			adopt(state, interface->pFunctionList,
			      pointers_of(interface->pFunctionList));
	}
	return atomic_load(&tape_targets[0][id]);
}

/* ---- answers in the target's place ----------------------------------------------------------- */

/* The one interface that a target of the second version would show, as p11-kit and NSS take it. */
static CK_RV only_interface(struct tape_state *state, CK_INTERFACE **ret_interface)
{
	static CK_INTERFACE interface = { .pInterfaceName = standard_name };
	CK_FUNCTION_LIST *list;
	CK_RV rv = their_list(&list);
	if (rv != CKR_OK)
		return rv;
	void *ours = present_list(state, list, TAPE_FN_COUNT_2);
	tape_lock_take(&state->lists_lock);
	if (interface.pFunctionList != ours)
		interface.pFunctionList = ours;
	tape_lock_give(&state->lists_lock);
	*ret_interface = &interface;
	return CKR_OK;
}

static CK_RV answer_list(struct tape_state *state, CK_FUNCTION_LIST **to)
{
	CK_FUNCTION_LIST *list;
	if (to == NULL)
		return CKR_ARGUMENTS_BAD;
	CK_RV rv = their_list(&list);
	if (rv == CKR_OK)
		*to = present_list(state, list, TAPE_FN_COUNT_2);
	return rv;
}

static CK_RV answer_interfaces(struct tape_state *state, CK_INTERFACE *to, CK_ULONG *count)
{
	CK_INTERFACE *interface;
	if (count == NULL)
		return CKR_ARGUMENTS_BAD;
	CK_RV rv = only_interface(state, &interface);
	if (rv != CKR_OK)
		return rv;
	CK_ULONG room = *count;
	*count = 1;
	if (to == NULL)
		return CKR_OK;
	if (room < 1)
		return CKR_BUFFER_TOO_SMALL;
	*to = *interface;
	return CKR_OK;
}

/* PKCS#11 3.1 §5.4.6: an interface matches by name, version, and by having all flags asked for. */
static CK_RV answer_interface(struct tape_state *state, const char *name, const CK_VERSION *version,
                              CK_FLAGS flags, CK_INTERFACE **to)
{
	CK_INTERFACE *interface;
	if (to == NULL)
		return CKR_ARGUMENTS_BAD;
	CK_RV rv = only_interface(state, &interface);
	if (rv != CKR_OK)
		return rv;
	const CK_FUNCTION_LIST *list = interface->pFunctionList;
	/* What softokn and p11-kit return where nothing matches: NSS asks again without the flag. */
	if ((name != NULL && strcmp(name, (const char *)standard_name) != 0) ||
	    (version != NULL &&
	     /* their_list() gave one. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	     (version->major != list->version.major || version->minor != list->version.minor)) ||
	    (flags & ~interface->flags) != 0)
		return CKR_ARGUMENTS_BAD;
	*to = interface;
	return CKR_OK;
}

CK_RV tape_discovery_answer(struct tape_call *call)
{
	const char *name = NULL;
	const CK_VERSION *version = NULL;
	CK_FLAGS flags = 0;
	CK_INTERFACE **interface = NULL;
	if (!call->function->finds)
		return CKR_FUNCTION_NOT_SUPPORTED;
	for (size_t i = 0; i < call->function->count; i++) {
		const struct tape_argument *argument = &call->function->arguments[i];
		const uintptr_t *w = call->words + argument->word;
		switch ((enum tape_codec)tape_shapes[argument->kind].codec) {
		case TAPE_C_FUNCTIONS:
			return answer_list(call->state, (CK_FUNCTION_LIST **)w[0]);
		case TAPE_C_INTERFACES:
			return answer_interfaces(call->state, (CK_INTERFACE *)w[0],
			                         (CK_ULONG *)w[1]);
		case TAPE_C_TEXTZ:
			name = (const char *)w[0];
			break;
		case TAPE_C_STRUCT:
			version = (const CK_VERSION *)w[0];
			break;
		case TAPE_C_FLAGS:
			flags = (CK_FLAGS)w[0];
			break;
		case TAPE_C_INTERFACE:
			interface = (CK_INTERFACE **)w[0];
			break;
		default:
			break;
		}
	}
	return answer_interface(call->state, name, version, flags, interface);
}

/* ---- around a call --------------------------------------------------------------------------- */

/*
 * A target that loads modules itself (a proxy) may load us again, and we would ask it again: a thread
 * that is in discovery cannot come here a second time.
 */
static bool enter_once(struct tape_state *state)
{
	uintptr_t self = (uintptr_t)pthread_self();
	for (size_t i = 0; i < TAPE_DISCOVERING; i++)
		if (atomic_load(&state->discovering[i]) == self)
			return false;
	for (size_t i = 0; i < TAPE_DISCOVERING; i++) {
		uintptr_t nobody = 0;
		if (atomic_compare_exchange_strong(&state->discovering[i], &nobody, self))
			break;
	}
	return true;
}

static void leave_once(struct tape_state *state)
{
	uintptr_t self = (uintptr_t)pthread_self();
	for (size_t i = 0; i < TAPE_DISCOVERING; i++)
		if (atomic_load(&state->discovering[i]) == self)
			atomic_store(&state->discovering[i], 0);
}

bool tape_discovery_enter(struct tape_call *call, tape_any_fn *target)
{
	const struct tape_function *function = call->function;
	struct tape_state *state = call->state;
	if (!enter_once(state)) {
		if (!atomic_exchange(&told_loop, true))
			tape_tell("%s leads back to this recorder; set P11TAPE_MODULE to the "
			          "module that is "
			          "to be recorded",
			          tape_module_path());
		return false;
	}
	if (!function->finds) {
		*target = find_in_lists(state, (enum tape_function_id)(function - tape_functions));
		leave_once(state);
		return true;
	}
	call->finds = true;
	call->room = 0;
	for (size_t i = 0; i < function->count; i++) {
		const uintptr_t *w = call->words + function->arguments[i].word;
		if (tape_shapes[function->arguments[i].kind].codec == TAPE_C_INTERFACES &&
		    w[1] != 0)
			call->room = *(const CK_ULONG *)w[1];
	}
	return true;
}

void tape_discovery_leave(struct tape_call *call, CK_RV rv)
{
	leave_once(call->state);
	if (rv != CKR_OK || call->synthetic)
		return;
	for (size_t i = 0; i < call->function->count; i++) {
		const struct tape_argument *argument = &call->function->arguments[i];
		const uintptr_t *w = call->words + argument->word;
		if (w[0] == 0)
			continue;
		switch ((enum tape_codec)tape_shapes[argument->kind].codec) {
		case TAPE_C_FUNCTIONS: {
			CK_FUNCTION_LIST **list = (CK_FUNCTION_LIST **)w[0];
			*list = present_list(call->state, *list, TAPE_FN_COUNT_2);
			break;
		}
		case TAPE_C_INTERFACES: {
			CK_ULONG count = w[1] == 0 ? 0 : *(const CK_ULONG *)w[1];
			present_interfaces(call->state, (CK_INTERFACE *)w[0],
			                   count < call->room ? count : call->room);
			break;
		}
		case TAPE_C_INTERFACE: {
			CK_INTERFACE **interface = (CK_INTERFACE **)w[0];
			*interface = present_interface(call->state, *interface);
			break;
		}
		default:
			break;
		}
	}
}
