/* SPDX-License-Identifier: MIT */
#include "core/call.h"

#define CK_FN(name, major, minor, ...)                                            \
	static CK_RV call_##name(tape_any_fn function, const uintptr_t *word)     \
	{                                                                         \
		TAPE_SEQ(TAPE_UNBOX, __VA_ARGS__)                                 \
		return ((CK_##name)function)(TAPE_EACH(TAPE_NAMES, __VA_ARGS__)); \
	}
#include "core/api/functions.def"
#undef CK_FN

CK_RV tape_call(tape_any_fn function, enum tape_function_id id, const uintptr_t *words)
{
	static CK_RV (*const calls[TAPE_FN_COUNT])(tape_any_fn, const uintptr_t *) = {
#define CK_FN(name, major, minor, ...) [TAPE_FN_##name] = call_##name,
#include "core/api/functions.def"
#undef CK_FN
	};
	return calls[id](function, words);
}
