/* SPDX-License-Identifier: MIT
 *
 * functions.def read once: every function boxes its arguments and asks the engine. The exported names
 * are aliases, so that no other library's C_ symbol can come between a list and its functions.
 */
#include "replayer/trampolines.h"

#include "core/api/api.h"
#include "core/attributes.h"
#include "replayer/replay.h"

#define CK_FN(name, major, minor, ...)                                            \
	static CK_RV replay_##name(TAPE_EACH(TAPE_DECL, __VA_ARGS__))             \
	{                                                                         \
		const uintptr_t words[] = { TAPE_EACH(TAPE_WORDS, __VA_ARGS__) }; \
		return replay_call(TAPE_FN_##name, words);                        \
	}                                                                         \
	TAPE_EXPORT CK_RV name(TAPE_EACH(TAPE_DECL, __VA_ARGS__))                 \
		__attribute__((alias("replay_" #name)));
#include "core/api/functions.def"
#undef CK_FN

const replay_pointer replay_pointers[TAPE_FN_COUNT] = {
#define CK_FN(name, major, minor, ...) (replay_pointer) replay_##name,
#include "core/api/functions.def"
#undef CK_FN
};
