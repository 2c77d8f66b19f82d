/* SPDX-License-Identifier: MIT */
#include "recorder/trampolines.h"

#include "recorder/notify.h"

tape_any_fn _Atomic tape_targets[TAPE_SETS][TAPE_FN_COUNT];

/*
 * What the target is given for an argument: its words as they came, but for the shapes that have a
 * STAND_IN_… of their own. The comma in such a one moves it to where SECOND looks.
 */
#define STAND_IN_NOTIFY ~, tape_notify_stand_in
#define AS_IT_IS(call, ...) __VA_ARGS__
#define SECOND(first, second, ...) second
#define CHOOSE(...) SECOND(__VA_ARGS__)
#define GIVEN(k, ...) CHOOSE(TAPE_CAT(STAND_IN_, k), AS_IT_IS, ~)(&call, __VA_ARGS__)

/* One of ours: the arguments as words for those who walk them, and as they are for the target. */
#define TRAMPOLINE(set, function, ...)                                                           \
	static CK_RV set_##set##_##function(TAPE_EACH(TAPE_DECL, __VA_ARGS__))                   \
	{                                                                                        \
		const uintptr_t words[] = { TAPE_EACH(TAPE_WORDS, __VA_ARGS__) };                \
		struct tape_call call;                                                           \
		CK_##function target =                                                           \
			(CK_##function)tape_record_enter(&call, set, TAPE_FN_##function, words); \
		return tape_record_leave(&call, TAPE_LIKELY(target != NULL)                      \
		                                        ? target(TAPE_EACH(GIVEN, __VA_ARGS__))  \
		                                        : call.rv);                              \
	}

#define CK_FN(name, major, minor, ...) TRAMPOLINE(0, name, __VA_ARGS__)
#include "core/api/functions.def"
#undef CK_FN
#define CK_FN(name, major, minor, ...) TRAMPOLINE(1, name, __VA_ARGS__)
#include "core/api/functions.def"
#undef CK_FN
#define CK_FN(name, major, minor, ...) TRAMPOLINE(2, name, __VA_ARGS__)
#include "core/api/functions.def"
#undef CK_FN
#define CK_FN(name, major, minor, ...) TRAMPOLINE(3, name, __VA_ARGS__)
#include "core/api/functions.def"
#undef CK_FN
#define CK_FN(name, major, minor, ...) TRAMPOLINE(4, name, __VA_ARGS__)
#include "core/api/functions.def"
#undef CK_FN
#define CK_FN(name, major, minor, ...) TRAMPOLINE(5, name, __VA_ARGS__)
#include "core/api/functions.def"
#undef CK_FN
#define CK_FN(name, major, minor, ...) TRAMPOLINE(6, name, __VA_ARGS__)
#include "core/api/functions.def"
#undef CK_FN
#define CK_FN(name, major, minor, ...) TRAMPOLINE(7, name, __VA_ARGS__)
#include "core/api/functions.def"
#undef CK_FN

const tape_any_fn tape_trampolines[TAPE_SETS][TAPE_FN_COUNT] = {
	{
#define CK_FN(name, major, minor, ...) (tape_any_fn) set_0_##name,
#include "core/api/functions.def"
#undef CK_FN
	},
	{
#define CK_FN(name, major, minor, ...) (tape_any_fn) set_1_##name,
#include "core/api/functions.def"
#undef CK_FN
	},
	{
#define CK_FN(name, major, minor, ...) (tape_any_fn) set_2_##name,
#include "core/api/functions.def"
#undef CK_FN
	},
	{
#define CK_FN(name, major, minor, ...) (tape_any_fn) set_3_##name,
#include "core/api/functions.def"
#undef CK_FN
	},
	{
#define CK_FN(name, major, minor, ...) (tape_any_fn) set_4_##name,
#include "core/api/functions.def"
#undef CK_FN
	},
	{
#define CK_FN(name, major, minor, ...) (tape_any_fn) set_5_##name,
#include "core/api/functions.def"
#undef CK_FN
	},
	{
#define CK_FN(name, major, minor, ...) (tape_any_fn) set_6_##name,
#include "core/api/functions.def"
#undef CK_FN
	},
	{
#define CK_FN(name, major, minor, ...) (tape_any_fn) set_7_##name,
#include "core/api/functions.def"
#undef CK_FN
	},
};

/*
 * What programs find by name are other names for set 0: nothing of ours refers to an exported name, so
 * that no program's own C_ functions can come between our tables and our functions.
 */
#define CK_FN(name, major, minor, ...)                                   \
	extern CK_RV name(TAPE_EACH(TAPE_DECL, __VA_ARGS__)) TAPE_EXPORT \
		__attribute__((alias("set_0_" #name)));
#include "core/api/functions.def"
#undef CK_FN
