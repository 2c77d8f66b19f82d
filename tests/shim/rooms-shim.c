/* SPDX-License-Identifier: MIT
 *
 * A module that forwards to another one ($ROOMS_NEXT) what a program calls, but asks for it in other words: how
 * long an output is, then with no room for it, then with too much; attributes one by one and from the last
 * to the first; objects that are found one by one, or ten at a time ($ROOMS_FIND). The program gets what it asked
 * for. So any program is one that calls otherwise than it did when it was recorded.
 *
 * What the next module answers must be as PKCS#11 3.1 §5.2 has it: else it says so on stderr and exits.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/api/api.h"
#include "core/call.h"

static tape_any_fn next[TAPE_FN_COUNT];
static CK_FUNCTION_LIST shim_list;
static CK_ULONG at_a_time = 1;

#define MORE 100 /* room than anybody needs */

static void must(bool so, enum tape_function_id id, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "rooms-shim: %s: %s\n", tape_functions[id].name.text, what);
	_exit(99);
}

static void *room_for(enum tape_function_id id, size_t size)
{
	void *memory = malloc(size + 1);
	must(memory != NULL, id, "no memory");
	return memory;
}

/* ---- by shape -------------------------------------------------------------------------------- */

/* An output of which `unit` bytes are counted by `words[at + 1]`. */
static CK_RV ask_buffer(enum tape_function_id id, const uintptr_t *words, size_t at, size_t unit)
{
	uintptr_t mine[TAPE_MAX_WORDS];
	CK_ULONG *offered = (CK_ULONG *)words[at + 1];
	CK_ULONG needed = 0;
	CK_ULONG length = 0;
	memcpy(mine, words, sizeof(mine));
	if (words[at] == 0 || offered == NULL)
		return tape_call(next[id], id, words);
	mine[at] = 0;
	mine[at + 1] = (uintptr_t)&needed;
	CK_RV rv = tape_call(next[id], id, mine);
	/* Who offers too little gets to know that from the module itself. */
	if (rv != CKR_OK || needed > *offered)
		return rv != CKR_OK ? rv : tape_call(next[id], id, words);
	unsigned char *memory = room_for(id, (needed + MORE) * unit);
	mine[at] = (uintptr_t)memory;
	mine[at + 1] = (uintptr_t)&length;
	rv = CKR_BUFFER_TOO_SMALL;
	if (needed != 0)
		rv = tape_call(next[id], id, mine);
	/* It may turn out to be empty: that was the answer then. */
	if (rv == CKR_BUFFER_TOO_SMALL) {
		must(needed == 0 || (length != 0 && length <= needed), id, "what is needed");
		length = needed + MORE;
		rv = tape_call(next[id], id, mine);
	}
	if (rv == CKR_OK) {
		must(length <= needed, id, "more than was said");
		memcpy((void *)words[at], memory, length * unit);
		*offered = length;
	}
	free(memory);
	return rv;
}

static CK_RV ask_attribute(enum tape_function_id id, const uintptr_t *words, size_t at,
                           CK_ATTRIBUTE *entry)
{
	const struct tape_attribute *row = tape_attribute_find(entry->type);
	uintptr_t mine[TAPE_MAX_WORDS];
	CK_ATTRIBUTE one = { entry->type, NULL, 0 };
	memcpy(mine, words, sizeof(mine));
	mine[at] = (uintptr_t)&one;
	mine[at + 1] = 1;
	if (entry->pValue == NULL || (row != NULL && row->type == TAPE_A_TEMPLATE)) {
		mine[at] = (uintptr_t)entry;
		return tape_call(next[id], id, mine);
	}
	CK_RV rv = tape_call(next[id], id, mine);
	const CK_ULONG length = one.ulValueLen;
	if (rv != CKR_OK || length > entry->ulValueLen) {
		entry->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return rv != CKR_OK ? rv : CKR_BUFFER_TOO_SMALL;
	}
	one.pValue = room_for(id, length + MORE);
	if (length != 0) {
		one.ulValueLen = length - 1;
		must(tape_call(next[id], id, mine) == CKR_BUFFER_TOO_SMALL &&
		             one.ulValueLen == CK_UNAVAILABLE_INFORMATION,
		     id, "a room that is too small");
	}
	one.ulValueLen = length + MORE;
	rv = tape_call(next[id], id, mine);
	must(rv == CKR_OK && one.ulValueLen == length, id, "an attribute that has been there");
	memcpy(entry->pValue, one.pValue, length);
	entry->ulValueLen = length;
	free(one.pValue);
	return CKR_OK;
}

static CK_RV ask_template(enum tape_function_id id, const uintptr_t *words, size_t at)
{
	CK_ATTRIBUTE *list = (CK_ATTRIBUTE *)words[at];
	CK_RV rv = CKR_OK;
	if (list == NULL || words[at + 1] == 0)
		return tape_call(next[id], id, words);
	for (CK_ULONG i = words[at + 1]; i-- > 0;) {
		CK_RV one = ask_attribute(id, words, at, &list[i]);
		if (one != CKR_OK && one != CKR_ATTRIBUTE_SENSITIVE &&
		    one != CKR_ATTRIBUTE_TYPE_INVALID && one != CKR_BUFFER_TOO_SMALL)
			return one;
		if (rv == CKR_OK || one == CKR_ATTRIBUTE_SENSITIVE)
			rv = one == CKR_OK ? rv : one;
	}
	return rv;
}

static CK_RV ask_found(enum tape_function_id id, const uintptr_t *words, size_t at)
{
	uintptr_t mine[TAPE_MAX_WORDS];
	CK_OBJECT_HANDLE *list = (CK_OBJECT_HANDLE *)words[at];
	CK_ULONG *count = (CK_ULONG *)words[at + 2];
	CK_ULONG total = 0;
	CK_ULONG given = 1;
	CK_RV rv = CKR_OK;
	memcpy(mine, words, sizeof(mine));
	while (rv == CKR_OK && given != 0 && total < words[at + 1]) {
		CK_ULONG rest = words[at + 1] - total;
		mine[at] = (uintptr_t)(list + total);
		mine[at + 1] = rest < at_a_time ? rest : at_a_time;
		mine[at + 2] = (uintptr_t)&given;
		rv = tape_call(next[id], id, mine);
		total += rv == CKR_OK ? given : 0;
	}
	if (rv == CKR_OK)
		*count = total;
	return rv;
}

static CK_RV ask(enum tape_function_id id, const uintptr_t *words)
{
	const struct tape_function *function = &tape_functions[id];
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		const size_t at = function->arguments[i].word;
		if ((shape->traits & TAPE_T_OUT) == 0)
			continue;
		switch ((enum tape_codec)shape->codec) {
		case TAPE_C_BYTES_AT:
			return ask_buffer(id, words, at, 1);
		case TAPE_C_LIST_AT:
			return ask_buffer(id, words, at, sizeof(CK_ULONG));
		case TAPE_C_TEMPLATE:
			return ask_template(id, words, at);
		case TAPE_C_FOUND:
			return ask_found(id, words, at);
		default:
			break;
		}
	}
	return tape_call(next[id], id, words);
}

/* ---- one function per row -------------------------------------------------------------------- */

#define CK_FN(name, major, minor, ...)                                                          \
	static CK_RV shim_##name(TAPE_EACH(TAPE_DECL, __VA_ARGS__))                             \
	{                                                                                       \
		const uintptr_t words[TAPE_MAX_WORDS] = { TAPE_EACH(TAPE_WORDS, __VA_ARGS__) }; \
		return ask(TAPE_FN_##name, words);                                              \
	}
#include "core/api/functions.def"
#undef CK_FN

static const tape_any_fn functions[TAPE_FN_COUNT] = {
#define CK_FN(name, major, minor, ...) (tape_any_fn) shim_##name,
#include "core/api/functions.def"
#undef CK_FN
};

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ppFunctionList)
{
	const size_t first = offsetof(CK_FUNCTION_LIST, C_Initialize);
	const char *path = getenv("ROOMS_NEXT");
	const char *find = getenv("ROOMS_FIND");
	void *module = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get = NULL;
	CK_FUNCTION_LIST *list = NULL;
	if (module != NULL)
		*(void **)&get = dlsym(module, "C_GetFunctionList");
	must(get != NULL && get(&list) == CKR_OK, TAPE_FN_C_GetFunctionList,
	     "ROOMS_NEXT is no module");
	if (find != NULL)
		at_a_time = strtoul(find, NULL, 10);
	memcpy(next, (const char *)list + first, TAPE_FN_COUNT_2 * sizeof(*next));
	shim_list = *list;
	memcpy((char *)&shim_list + first, functions, TAPE_FN_COUNT_2 * sizeof(*next));
	shim_list.C_GetFunctionList = C_GetFunctionList;
	*ppFunctionList = &shim_list;
	return CKR_OK;
}
