/* SPDX-License-Identifier: MIT
 *
 * In a replay the program's module need not exist, and some programs look at its file before they load it:
 * Java asks for its status, ssh-keygen reads it. A path that is not there, and that is served, is answered
 * from our file. Everything else goes to the C library.
 *
 * Its headers are not included: what is passed on need not be known, and they declare open() with `...`.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "core/attributes.h"
#include "recorder/preload.h"

/*
 * FORWARD(name, type, none, parameters, arguments): a function with a `path`. Where it fails for want of
 * the file, by returning `none`, it is called again with the copy's path.
 */
#define FORWARD(name, type, none, parameters, arguments)                                 \
	typedef type name##_fn parameters;                                               \
	TAPE_EXPORT name##_fn name;                                                      \
	type name parameters                                                             \
	{                                                                                \
		static _Atomic(name##_fn *) next;                                        \
		name##_fn *function = atomic_load_explicit(&next, memory_order_relaxed); \
		if (TAPE_UNLIKELY(function == NULL)) {                                   \
			void *found = preload_next(#name);                               \
			memcpy(&function, &found, sizeof(function));                     \
			atomic_store(&next, function);                                   \
		}                                                                        \
		type result = function arguments;                                        \
		const char *copy;                                                        \
		if (TAPE_UNLIKELY(result == (none)) && errno == ENOENT &&                \
		    (copy = preload_served(path)) != NULL) {                             \
			path = copy;                                                     \
			result = function arguments;                                     \
		}                                                                        \
		return result;                                                           \
	}

#define FORWARD_OPEN(name)                                                       \
	FORWARD(name, int, -1, (const char *path, int flags, unsigned int mode), \
	        (path, flags, mode))
#define FORWARD_OPENAT(name)                                                             \
	FORWARD(name, int, -1, (int at, const char *path, int flags, unsigned int mode), \
	        (at, path, flags, mode))
#define FORWARD_STATUS(name) \
	FORWARD(name, int, -1, (const char *path, void *status), (path, status))
#define FORWARD_STATUS_AT(name)                                                     \
	FORWARD(name, int, -1, (int at, const char *path, void *status, int flags), \
	        (at, path, status, flags))
/* What programs were linked with before glibc 2.33. */
#define FORWARD_STATUS_OLD(name)                                              \
	FORWARD(name, int, -1, (int version, const char *path, void *status), \
	        (version, path, status))
#define FORWARD_FOPEN(name)                                                                 \
	FORWARD(name, void *, NULL, (const char *restrict path, const char *restrict mode), \
	        (path, mode))

FORWARD_OPEN(open)
FORWARD_OPEN(open64)
FORWARD_OPENAT(openat)
FORWARD_OPENAT(openat64)
FORWARD_FOPEN(fopen)
FORWARD_FOPEN(fopen64)
FORWARD_STATUS(stat)
FORWARD_STATUS(stat64)
FORWARD_STATUS(lstat)
FORWARD_STATUS(lstat64)
FORWARD_STATUS_AT(fstatat)
FORWARD_STATUS_AT(fstatat64)
FORWARD_STATUS_OLD(__xstat)
FORWARD_STATUS_OLD(__xstat64)
FORWARD_STATUS_OLD(__lxstat)
FORWARD_STATUS_OLD(__lxstat64)
FORWARD(statx, int, -1, (int at, const char *path, int flags, unsigned int mask, void *status),
        (at, path, flags, mask, status))
FORWARD(access, int, -1, (const char *path, int mode), (path, mode))
FORWARD(faccessat, int, -1, (int at, const char *path, int mode, int flags),
        (at, path, mode, flags))
FORWARD(realpath, char *, NULL, (const char *restrict path, char *restrict resolved),
        (path, resolved))
