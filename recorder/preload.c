/* SPDX-License-Identifier: MIT
 *
 * p11tape-preload.so: steps in where an unmodified program looks up a PKCS#11 module's entry points.
 *
 * The program loads its module by itself, and keeps the loader's handle of it. When it asks that handle for
 * C_GetFunctionList or another name of Cryptoki, it gets our module's function instead: of a copy of the
 * recorder that is made for this one module, since each copy has one target. In a replay the copy is a
 * replayer, and is loaded in the module's place: that need not exist.
 *
 * All else is left to the loader, by tail calls: what dlopen() and dlsym() do depends on who called them.
 */
#include "recorder/preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/api/api.h"
#include "core/attributes.h"
#include "core/system.h"
#include "recorder/tell.h"

/* Modules that one process has loaded at a time; further ones are not recorded. */
#define MAX_MODULES 64
#define NOT_OURS ((void *)-1)
#define MAX_SERVE ((size_t)1 << 20)

#if defined(__has_attribute)
#if __has_attribute(musttail)
#define TAIL __attribute__((musttail))
#endif
#endif
#ifndef TAIL
#define TAIL /* this file is compiled with -foptimize-sibling-calls; tests/unmodified sees that it works */
#endif

typedef void *dlsym_fn(void *restrict handle, const char *restrict name);
typedef void *dlopen_fn(const char *name, int flags);
typedef int dlclose_fn(void *handle);

/* How entry points begin: Cryptoki's own names, and what NSS calls those of its softoken, without and with FIPS mode. */
static const char *const prefixes[] = { "C_", "NSC_", "FC_" };

/* A module of the program's, and the copies of ours that stand in for it, by the prefix that was asked for. */
struct module {
	const struct link_map *map;              /* NULL: a free place */
	void *copies[TAPE_ARRAY_SIZE(prefixes)]; /* the loader's handles; NULL while nobody asked */
	unsigned long opened;                    /* by the program, where we saw it */
	bool pinned; /* it was opened where we did not see it, or stays when closed: so do its copies */
};

/* In a replay: a module, its copy of the replayer, and the prefix that it was recorded with. */
struct served {
	const char *path, *copy, *prefix;
	_Atomic(void *) handle; /* the loader's, once it was loaded; it stays */
	atomic_ulong opened;    /* by the program, and not closed yet */
};

/*
 * Names that the program opened where we could not see what the loader made of them, by their hashes. A module that has
 * such a name may be in use by more than we counted.
 */
static atomic_bool unseen[1024];

static struct module modules[MAX_MODULES];
static atomic_size_t used; /* places of the table that were ever taken */
static _Atomic(struct tape_lock *)
	lock; /* of the table; in pages that a fork wipes: a child finds it free */
static atomic_bool told;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct {
	bool active;
	char directory[PATH_MAX];
	char only[PATH_MAX];
	bool serves; /* this is a replay */
	struct served served[MAX_MODULES];
	size_t served_count;
} settings;

static _Atomic(dlsym_fn *) real_sym;
static _Atomic(dlopen_fn *) real_open;
static _Atomic(dlclose_fn *) real_close;

/* ---- the loader's own ------------------------------------------------------------------------ */

static void *no_sym(void *restrict handle, const char *restrict name)
{
	(void)handle;
	(void)name;
	return NULL;
}

/* dlsym() cannot be asked for itself. Its version is the C library's when it came to this kind of machine. */
static TAPE_COLD dlsym_fn *find_sym(void)
{
	static const char *const versions[] = { "GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17",
		                                "GLIBC_2.0",  "GLIBC_2.2",   "GLIBC_2.4",
		                                "GLIBC_2.27", "GLIBC_2.36" };
	void *found = NULL;
	dlsym_fn *function = no_sym;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(versions) && found == NULL; i++)
		found = dlvsym(RTLD_NEXT, "dlsym", versions[i]);
	if (found != NULL)
		memcpy(&function, &found, sizeof(function));
	atomic_store(&real_sym, function);
	return function;
}

static inline dlsym_fn *next_sym(void)
{
	dlsym_fn *function = atomic_load_explicit(&real_sym, memory_order_relaxed);
	return TAPE_LIKELY(function != NULL) ? function : find_sym();
}

void *preload_next(const char *name)
{
	return next_sym()(RTLD_NEXT, name);
}

static dlopen_fn *next_open(void)
{
	dlopen_fn *function = atomic_load_explicit(&real_open, memory_order_relaxed);
	if (function == NULL) {
		void *found = preload_next("dlopen");
		memcpy(&function, &found, sizeof(function));
		atomic_store(&real_open, function);
	}
	return function;
}

static dlclose_fn *next_close(void)
{
	dlclose_fn *function = atomic_load_explicit(&real_close, memory_order_relaxed);
	if (function == NULL) {
		void *found = preload_next("dlclose");
		memcpy(&function, &found, sizeof(function));
		atomic_store(&real_close, function);
	}
	return function;
}

/* ---- what we are told ------------------------------------------------------------------------ */

/* Our own open() asks what we are told: the system is asked past it. */
static char *read_file(const char *path)
{
	struct stat status;
	char *text = NULL;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &status) == 0 && status.st_size >= 0 && (size_t)status.st_size < MAX_SERVE &&
	    (text = tape_pages_get((size_t)status.st_size + 1)) != NULL) {
		ssize_t got;
		size_t length = 0;
		while (length < (size_t)status.st_size &&
		       (got = read(fd, text + length, (size_t)status.st_size - length)) > 0)
			length += (size_t)got;
	}
	close(fd);
	return text;
}

/* Cut the text into fields, in place. */
static void read_served(char *text)
{
	while (*text != 0 && settings.served_count < MAX_MODULES) {
		struct served *served = &settings.served[settings.served_count++];
		served->path = strsep(&text, "\t");
		served->copy = text == NULL ? "" : strsep(&text, "\t");
		served->prefix = text == NULL ? "" : strsep(&text, "\n");
		if (text == NULL)
			break;
	}
}

static void read_settings(void)
{
	bool wipes;
	const char *directory = secure_getenv(TAPE_PRELOAD_DIRECTORY);
	const char *only = secure_getenv(TAPE_PRELOAD_ONLY);
	const char *serve = secure_getenv(TAPE_PRELOAD_SERVE);
	atomic_store(&lock, tape_pages_get_wiped(sizeof(struct tape_lock), &wipes));
	if (directory == NULL || directory[0] != '/' || atomic_load(&lock) == NULL ||
	    strlen(directory) >= sizeof(settings.directory) ||
	    (only != NULL && strlen(only) >= sizeof(settings.only)))
		return;
	memcpy(settings.directory, directory, strlen(directory) + 1);
	if (only != NULL)
		memcpy(settings.only, only, strlen(only) + 1);
	settings.serves = serve != NULL;
	char *text = serve == NULL ? NULL : read_file(serve);
	if (text != NULL)
		read_served(text);
	settings.active = true;
}

static bool is_active(void)
{
	int saved = errno;
	pthread_once(&once, read_settings);
	errno = saved;
	return settings.active;
}

/* Behind what stands at `at` and leads nowhere: slashes, and components that are a dot. */
static const char *skip_nothing(const char *at)
{
	while (at[0] == '/' && (at[1] == '/' || (at[1] == '.' && (at[2] == '/' || at[2] == 0))))
		at += at[1] == '/' ? 1 : 2;
	return at;
}

static bool is_same_path(const char *a, const char *b)
{
	for (;; a++, b++) {
		a = skip_nothing(a);
		b = skip_nothing(b);
		if (*a != *b)
			return false;
		if (*a == 0)
			return true;
	}
}

/* Find what is served for a module, for that prefix; NULL where nothing is. */
static struct served *find_served(const char *path, const char *prefix)
{
	char absolute[PATH_MAX];
	if (path[0] != '/' && strchr(path, '/') != NULL &&
	    getcwd(absolute, sizeof(absolute)) != NULL &&
	    strlen(absolute) + strlen(path) + 2 <= sizeof(absolute)) {
		char *end = absolute + strlen(absolute);
		*end = '/';
		memcpy(end + 1, path, strlen(path) + 1);
		path = absolute;
	}
	for (size_t i = 0; i < settings.served_count; i++) {
		struct served *served = &settings.served[i];
		/* A name without a directory is looked for by the loader: whatever it would find is meant. */
		const char *slash = strchr(path, '/') != NULL ? NULL : strrchr(served->path, '/');
		if (is_same_path(slash == NULL ? served->path : slash + 1, path) &&
		    strcmp(served->prefix, prefix) == 0)
			return served;
	}
	return NULL;
}

const char *preload_served(const char *path)
{
	if (path == NULL || path[0] == 0 || !is_active() || !settings.serves)
		return NULL;
	int saved = errno;
	const struct served *served = find_served(path, prefixes[0]);
	errno = saved;
	return served == NULL ? NULL : served->copy;
}

/* ---- whose ----------------------------------------------------------------------------------- */

static bool is_in_directory(const char *path)
{
	size_t length = strlen(settings.directory);
	return path != NULL && strncmp(path, settings.directory, length) == 0 &&
	       path[length] == '/';
}

/* What our copies, and the replayers that we serve, ask the loader for is answered by the loader. */
static bool is_ours(const void *address)
{
	Dl_info info;
	if (dladdr(address, &info) == 0)
		return false;
	for (size_t i = 0; i < settings.served_count; i++)
		if (strcmp(info.dli_fname, settings.served[i].copy) == 0)
			return true;
	return is_in_directory(info.dli_fname);
}

/* Entry points with names of their own are stepped into where somebody asks for that module only. */
static bool is_wanted(const char *path, size_t prefix)
{
	const char *slash = strrchr(path, '/');
	if (settings.only[0] == 0)
		return prefix == 0 || settings.serves;
	return fnmatch(settings.only, path, 0) == 0 ||
	       (slash != NULL && fnmatch(settings.only, slash + 1, 0) == 0);
}

/* The object that has an address, if it is a library and none of ours. */
static const struct link_map *find_owner(const void *address)
{
	Dl_info info;
	struct link_map *map = NULL;
	if (dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL ||
	    map->l_name == NULL || map->l_name[0] == 0 || is_in_directory(map->l_name))
		return NULL;
	return map;
}

/* Whether the handle leads to an entry point of that prefix in that very object: else it is no module. */
static bool has_entry(void *handle, size_t prefix, const struct link_map *map)
{
	static const char *const names[] = { "GetFunctionList", "GetInterface" };
	char name[32];
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(names); i++) {
		snprintf(name, sizeof(name), "%s%s", prefixes[prefix], names[i]);
		void *symbol = next_sym()(handle, name);
		if (symbol != NULL && find_owner(symbol) == map)
			return true;
	}
	return false;
}

/* Which prefix a name of an entry point has: the index, or -1 where it is no such name. */
static int find_prefix(const char *name)
{
	/* Nearly all names that are asked for end here. */
	if (name[0] != 'C' && name[0] != 'N' && name[0] != 'F')
		return -1;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(prefixes); i++) {
		size_t length = strlen(prefixes[i]);
		if (strncmp(name, prefixes[i], length) != 0)
			continue;
		for (size_t j = 0; j < TAPE_FN_COUNT; j++)
			/* Other names of NSS's begin so as well. */
			if ((i == 0 || tape_functions[j].finds) &&
			    strcmp(tape_functions[j].name.text + 2, name + length) == 0)
				return (int)i;
	}
	return -1;
}

/* ---- copies ---------------------------------------------------------------------------------- */

static void fail(const char *module, const char *why)
{
	if (!atomic_exchange(&told, true))
		tape_tell("%s is not recorded: %s", module, why);
}

static bool copy_bytes(const char *from, int to)
{
	char piece[16384];
	ssize_t got = -1;
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (got = read(fd, piece, sizeof(piece))) > 0)
		if (write(to, piece, (size_t)got) != got)
			got = -1;
	if (fd >= 0)
		close(fd);
	return got == 0;
}

/* Make a file as a whole, so that another process which does the same is not disturbed. */
static bool make_file(const char *path, const char *from, const char *text)
{
	char temporary[PATH_MAX];
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= sizeof(temporary))
		return false;
	int fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0)
		return false;
	bool good = from != NULL ? copy_bytes(from, fd)
	                         : write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	if (good && rename(temporary, path) == 0)
		return true;
	unlink(temporary);
	return false;
}

/* FNV-1a */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = UINT64_C(14695981039346656037);
	for (; *text != 0; text++)
		hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
	return hash;
}

/* A copy of the recorder whose options are beside it: it is for that module. */
static bool make_copy(const char *module, const char *prefix, char ret_copy[PATH_MAX])
{
	char recorder[PATH_MAX];
	char conf[PATH_MAX];
	char text[PATH_MAX + 128];
	Dl_info info;
	const char *name = strrchr(module, '/');
	const char *slash =
		dladdr((const void *)&prefixes, &info) == 0 ? NULL : strrchr(info.dli_fname, '/');
	if (slash == NULL || strpbrk(module, "\r\n") != NULL)
		return false;
	if ((size_t)snprintf(recorder, sizeof(recorder), "%.*s/p11tape-recorder.so",
	                     (int)(slash - info.dli_fname), info.dli_fname) >= sizeof(recorder) ||
	    (size_t)snprintf(ret_copy, PATH_MAX, "%s/%s%016llx.%s", settings.directory, prefix,
	                     (unsigned long long)hash_text(module),
	                     name == NULL ? module : name + 1) >= PATH_MAX ||
	    (size_t)snprintf(conf, sizeof(conf), "%s.conf", ret_copy) >= sizeof(conf))
		return false;
	snprintf(text, sizeof(text), "P11TAPE_MODULE=%s\nP11TAPE_PREFIX=%s\n", module, prefix);
	return access(ret_copy, R_OK) == 0 ||
	       (make_file(conf, NULL, text) && make_file(ret_copy, recorder, NULL));
}

static void *load_copy(const char *module, size_t prefix)
{
	char made[PATH_MAX];
	const char *path = made;
	if (settings.serves) {
		const struct served *served = find_served(module, prefixes[prefix]);
		if (served == NULL)
			return NULL;
		path = served->copy;
	} else if (!make_copy(module, prefixes[prefix], made)) {
		fail(module, "the recorder could not be copied");
		return NULL;
	}
	void *copy = next_open()(path, RTLD_NOW | RTLD_LOCAL);
	if (copy == NULL) {
		const char *why = dlerror();
		fail(module, why == NULL ? "the recorder could not be loaded" : why);
	}
	return copy;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* The place of a module; a new one where `make` says so. Under the lock. */
static struct module *find_module(const struct link_map *map, bool make)
{
	struct module *unused = NULL;
	size_t count = atomic_load(&used);
	for (size_t i = 0; i < count; i++) {
		if (modules[i].map == map)
			return &modules[i];
		if (modules[i].map == NULL)
			unused = &modules[i];
	}
	if (!make || (unused == NULL && count == MAX_MODULES))
		return NULL;
	if (unused == NULL) {
		unused = &modules[count];
		atomic_store(&used, count + 1);
	}
	memset(unused, 0, sizeof(*unused));
	unused->map = map;
	return unused;
}

/* The copy that stands in for a module, loaded where nobody asked before. */
static void *find_copy(const struct link_map *map, size_t prefix)
{
	tape_lock_take(atomic_load(&lock));
	struct module *module = find_module(map, false);
	void *copy = module == NULL ? NULL : module->copies[prefix];
	tape_lock_give(atomic_load(&lock));
	if (copy != NULL)
		return copy;
	/* Not under the lock: the loader calls constructors. */
	copy = load_copy(map->l_name, prefix);
	if (copy == NULL)
		return NULL;
	tape_lock_take(atomic_load(&lock));
	module = find_module(map, true);
	void *other = module == NULL ? NULL : module->copies[prefix];
	if (module != NULL && other == NULL)
		module->copies[prefix] = copy;
	if (module != NULL && module->opened == 0)
		module->pinned = true;
	tape_lock_give(atomic_load(&lock));
	if (other == NULL)
		return copy;
	next_close()(copy);
	return other;
}

static atomic_bool *unseen_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return &unseen[hash_text(slash == NULL ? path : slash + 1) % TAPE_ARRAY_SIZE(unseen)];
}

/* The program has closed what it opened: the copies go before the module. */
static bool forget(const struct link_map *map, void *copies[TAPE_ARRAY_SIZE(prefixes)])
{
	tape_lock_take(atomic_load(&lock));
	struct module *module = find_module(map, false);
	bool last = module != NULL && !module->pinned && !atomic_load(unseen_of(map->l_name)) &&
	            module->opened != 0 && --module->opened == 0;
	if (last) {
		memcpy(copies, module->copies, sizeof(module->copies));
		module->map = NULL;
	}
	tape_lock_give(atomic_load(&lock));
	return last;
}

/* ---- in the program's way -------------------------------------------------------------------- */

static TAPE_COLD void *stand_in(void *handle, const char *name, size_t prefix, const void *caller)
{
	int saved = errno;
	void *ours = NULL;
	void *theirs = is_active() ? next_sym()(handle, name) : NULL;
	const struct link_map *map = theirs == NULL ? NULL : find_owner(theirs);
	if (map != NULL && is_wanted(map->l_name, prefix) && !is_ours(caller) &&
	    has_entry(handle, prefix, map)) {
		void *copy = find_copy(map, prefix);
		char own[64];
		snprintf(own, sizeof(own), "C_%s", name + strlen(prefixes[prefix]));
		if (copy != NULL)
			ours = next_sym()(copy, own);
	}
	errno = saved;
	return ours;
}

TAPE_EXPORT void *dlsym(void *restrict handle, const char *restrict name)
{
	/* What RTLD_NEXT is depends on the caller. */
	if (handle != RTLD_NEXT && handle != RTLD_DEFAULT) {
		int prefix = find_prefix(name);
		if (TAPE_UNLIKELY(prefix >= 0)) {
			void *ours =
				stand_in(handle, name, (size_t)prefix, __builtin_return_address(0));
			if (ours != NULL)
				return ours;
		}
	}
	TAIL return next_sym()(handle, name);
}

/* Whether the caller has directories of its own where the loader looks for names: it would not look there for us. */
static bool has_own_path(const void *caller)
{
	Dl_info info;
	struct link_map *map = NULL;
	if (dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL)
		return true;
	for (const ElfW(Dyn) *entry = map->l_ld; entry != NULL && entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == DT_RUNPATH || entry->d_tag == DT_RPATH)
			return true;
	return false;
}

/* Whether the loader keeps a library behind its last dlclose(): what the program got of it then stays valid. */
static bool stays(const struct link_map *map)
{
	for (const ElfW(Dyn) *entry = map->l_ld; entry != NULL && entry->d_tag != DT_NULL; entry++)
		if (entry->d_tag == DT_FLAGS_1 && (entry->d_un.d_val & DF_1_NODELETE) != 0)
			return true;
	return false;
}

/* Count how often the program has opened a module, since it is unloaded when it has closed it as often. */
static TAPE_COLD void *open_counted(const char *name, int flags, const void *caller)
{
	void *handle = next_open()(name, flags);
	int saved = errno;
	struct link_map *map = NULL;
	if (handle == NULL || is_ours(caller) || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
		goto out;
	bool found = false;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(prefixes) && !found; i++)
		found = has_entry(handle, i, map);
	dlerror();
	if (!found)
		goto out;
	tape_lock_take(atomic_load(&lock));
	struct module *module = find_module(map, true);
	if (module != NULL) {
		module->opened++;
		module->pinned |= (flags & RTLD_NODELETE) != 0 || stays(map);
	}
	tape_lock_give(atomic_load(&lock));
out:
	errno = saved;
	return handle;
}

/* The replayer stays loaded; the program is told of it only while it has it open. */
static void *open_served(struct served *served, int flags)
{
	if ((flags & RTLD_NOLOAD) != 0 && atomic_load(&served->opened) == 0)
		return NULL;
	void *handle = next_open()(served->copy, flags & ~(RTLD_NOLOAD | RTLD_DEEPBIND));
	if (handle != NULL) {
		atomic_store(&served->handle, handle);
		atomic_fetch_add(&served->opened, 1);
	}
	return handle;
}

static void close_served(const void *handle)
{
	for (size_t i = 0; i < settings.served_count; i++)
		if (atomic_load(&settings.served[i].handle) == handle &&
		    atomic_load(&settings.served[i].opened) != 0)
			atomic_fetch_sub(&settings.served[i].opened, 1);
}

/* Returns NOT_OURS where the loader is to be asked as if we were not here. */
static TAPE_COLD void *open_module(const char *name, int flags, const void *caller)
{
	struct served *served = settings.serves ? find_served(name, prefixes[0]) : NULL;
	if (served != NULL && !is_ours(caller))
		return open_served(served, flags);
	/* Where $ORIGIN is depends on the caller; and so may where a mere name is looked for. */
	if (strchr(name, '$') != NULL || (strchr(name, '/') == NULL && has_own_path(caller))) {
		atomic_store(unseen_of(name), true);
		return NOT_OURS;
	}
	return open_counted(name, flags, caller);
}

TAPE_EXPORT void *dlopen(const char *name, int flags)
{
	if (name != NULL && is_active()) {
		void *handle = open_module(name, flags, __builtin_return_address(0));
		if (handle != NOT_OURS)
			return handle;
	}
	TAIL return next_open()(name, flags);
}

static TAPE_COLD void close_copies(void *handle, const void *caller)
{
	int saved = errno;
	struct link_map *map = NULL;
	void *copies[TAPE_ARRAY_SIZE(prefixes)] = { NULL };
	if (handle != NULL && !is_ours(caller) && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 &&
	    forget(map, copies))
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(prefixes); i++)
			if (copies[i] != NULL)
				next_close()(copies[i]);
	errno = saved;
}

TAPE_EXPORT int dlclose(void *handle)
{
	if (settings.serves)
		close_served(handle);
	else if (atomic_load(&used) != 0)
		close_copies(handle, __builtin_return_address(0));
	TAIL return next_close()(handle);
}
