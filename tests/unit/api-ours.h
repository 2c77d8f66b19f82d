/* SPDX-License-Identifier: MIT
 *
 * Our header and another's are never seen by one C file, since they define the same names. A test
 * makes a list of named numbers of theirs (api-theirs.h); api-ours.c sees ours and compares.
 */
#ifndef TAPE_TESTS_API_OURS_H
#define TAPE_TESTS_API_OURS_H

#include <stddef.h>
#include <stdint.h>

/* A number of theirs: as it is, or as the text that a macro expands to. */
struct theirs {
	const char *name; /* CKA_CLASS; sizeof CK_DATE; CK_DATE.month; sizeof CK_DATE.month */
	const char *text; /* the expansion: the name itself where they have no such macro */
	uint64_t value;   /* the size or offset, where text is NULL */
};

/* A number in which they are known to differ from us. */
struct difference {
	const char *name;
	uint64_t ours, theirs;
};

/*
 * Fail the running test unless every number that they share with us is equal, but for the known
 * differences, all of which must be there; and unless they share at least `least` numbers.
 */
void compare_with_ours(const struct theirs *theirs, size_t count, const struct difference *known,
                       size_t known_count, size_t least);

/*
 * Structures that records.def leaves out, in its form: RECORD(structure) and FIELD(structure, member)
 * by other names.
 */
/* clang-format off */
#define MORE_STRUCTURES(SIZE, MEMBER)              \
	SIZE(CK_ATTRIBUTE)                         \
	MEMBER(CK_ATTRIBUTE, type)                 \
	MEMBER(CK_ATTRIBUTE, pValue)               \
	MEMBER(CK_ATTRIBUTE, ulValueLen)           \
	SIZE(CK_MECHANISM)                         \
	MEMBER(CK_MECHANISM, mechanism)            \
	MEMBER(CK_MECHANISM, pParameter)           \
	MEMBER(CK_MECHANISM, ulParameterLen)       \
	SIZE(CK_C_INITIALIZE_ARGS)                 \
	MEMBER(CK_C_INITIALIZE_ARGS, CreateMutex)  \
	MEMBER(CK_C_INITIALIZE_ARGS, DestroyMutex) \
	MEMBER(CK_C_INITIALIZE_ARGS, LockMutex)    \
	MEMBER(CK_C_INITIALIZE_ARGS, UnlockMutex)  \
	MEMBER(CK_C_INITIALIZE_ARGS, flags)        \
	MEMBER(CK_C_INITIALIZE_ARGS, pReserved)    \
	SIZE(CK_INTERFACE)                         \
	MEMBER(CK_INTERFACE, pInterfaceName)       \
	MEMBER(CK_INTERFACE, pFunctionList)        \
	MEMBER(CK_INTERFACE, flags)                \
	SIZE(CK_FUNCTION_LIST)                     \
	MEMBER(CK_FUNCTION_LIST, version)          \
	SIZE(CK_FUNCTION_LIST_3_0)                 \
	MEMBER(CK_FUNCTION_LIST_3_0, version)      \
	SIZE(CK_FUNCTION_LIST_3_2)                 \
	MEMBER(CK_FUNCTION_LIST_3_2, version)
/* clang-format on */

#endif
