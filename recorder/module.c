/* SPDX-License-Identifier: MIT */
#include "recorder/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/system.h"
#include "recorder/config.h"
#include "recorder/record.h"
#include "recorder/tell.h"
#include "recorder/trampolines.h"

/* The target and what is said of it; set once, under start_lock, before `loaded`. */
static struct {
	void *handle;
	char module[PATH_MAX]; /* as the loader found it */
	char trace[PATH_MAX];
	char prefix[16];
	char control[PATH_MAX];
	char program[256];
	struct tape_heading heading;
} target;

static struct tape_injections injections;
static atomic_bool loaded;
static atomic_bool told;
static atomic_bool exiting;

/* A start in progress: too much for a thread's stack. */
struct start {
	struct tape_options options;
	struct tape_error error;
	char module[PATH_MAX];
	void *handle;
	tape_any_fn functions[TAPE_FN_COUNT];
};

const char *tape_module_path(void)
{
	return target.module;
}

/* ---- the target ------------------------------------------------------------------------------ */

static const char hint[] = "set P11TAPE_MODULE to the module that is to be recorded";

static bool is_ourselves(const struct link_map *map)
{
	Dl_info info;
	struct link_map *own = NULL;
	return dladdr1((const void *)&hint, &info, (void **)&own, RTLD_DL_LINKMAP) != 0 &&
	       own == map;
}

/* The path that the loader found, made absolute. */
static void find_path(struct start *start, const struct link_map *map)
{
	const char *name = map != NULL && map->l_name != NULL && map->l_name[0] != 0
	                           ? map->l_name
	                           : start->options.module;
	size_t length = strlen(name);
	size_t directory = 0;
	if (name[0] != '/' && strchr(name, '/') != NULL &&
	    getcwd(start->module, sizeof(start->module)) != NULL) {
		directory = strlen(start->module);
		start->module[directory++] = '/';
	}
	if (length >= sizeof(start->module) - directory)
		length = sizeof(start->module) - directory - 1;
	memcpy(start->module + directory, name, length);
	start->module[directory + length] = 0;
}

/* NSS calls the entry points of its softoken NSC_GetFunctionList or FC_GetFunctionList. */
static tape_any_fn find_function(void *handle, const char *prefix, enum tape_function_id id)
{
	tape_any_fn function;
	char name[64];
	snprintf(name, sizeof(name), "%s%s", tape_functions[id].finds ? prefix : "C_",
	         tape_functions[id].name.text + 2);
	void *symbol = dlsym(handle, name);
	memcpy(&function, &symbol, sizeof(function));
	/* A target that is linked with us shows our functions as its own. */
	return function == tape_trampolines[0][id] ? NULL : function;
}

static int find_functions(struct start *start)
{
	bool any = false;
	for (size_t i = 0; i < TAPE_FN_COUNT; i++) {
		start->functions[i] = find_function(start->handle, start->options.prefix,
		                                    (enum tape_function_id)i);
		any |= tape_functions[i].finds && start->functions[i] != NULL;
	}
	if (any)
		return 0;
	return tape_error_set(&start->error, TAPE_E_INVALID, 0,
	                      "%s is not a PKCS#11 module: it has none of %sGetFunctionList, "
	                      "%sGetInterfaceList and %sGetInterface; %s",
	                      start->options.module, start->options.prefix, start->options.prefix,
	                      start->options.prefix, hint);
}

static int open_target(struct start *start)
{
	const char *module = start->options.module;
	struct link_map *map = NULL;
	start->handle = dlopen(module, RTLD_NOW | RTLD_LOCAL);
	if (start->handle == NULL) {
		const char *why = dlerror();
		tape_error_set(&start->error, TAPE_E_SYSTEM, 0, "%s cannot be loaded: %s; %s",
		               module, why == NULL ? "the loader does not say why" : why, hint);
		/* What a program loads lazily may lack a function that nobody calls. */
		start->handle = dlopen(module, RTLD_LAZY | RTLD_LOCAL);
		if (start->handle == NULL)
			return -TAPE_E_SYSTEM;
	}
	if (dlinfo(start->handle, RTLD_DI_LINKMAP, &map) != 0)
		map = NULL;
	if (map != NULL && is_ourselves(map))
		return tape_error_set(&start->error, TAPE_E_INVALID, 0,
		                      "%s is this recorder itself; %s", module, hint);
	find_path(start, map);
	return find_functions(start);
}

/*
 * Everything that asks the loader stands here, before start_lock: constructors of other modules, which
 * run under the loader's own lock, may be calling us meanwhile. Threads that do it at once all come to
 * the same; the first one is kept.
 */
static int prepare(struct start *start)
{
	int result = tape_options_read(&start->options, &start->error);
	if (result == 0)
		result = open_target(start);
	/* The program's next dlerror() is not to speak of what we looked for. */
	dlerror();
	return result;
}

/*
 * exit() calls this before it calls destructors, dlclose() after them: thus the destructor knows
 * whether we are unloaded, or the program ends and may still call us. It is registered as atexit()
 * would, but that nobody's interposed atexit() forgets which library it belongs to.
 */
extern int __cxa_atexit(void (*function)(void *), void *argument, void *library);
extern void *__dso_handle __attribute__((visibility("hidden")));

static void at_exit(void *unused)
{
	(void)unused;
	atomic_store(&exiting, true);
}

static void install(struct start *start)
{
	target.handle = start->handle;
	start->handle = NULL;
	memcpy(target.module, start->module, sizeof(target.module));
	memcpy(target.trace, start->options.trace, sizeof(target.trace));
	memcpy(target.prefix, start->options.prefix, sizeof(target.prefix));
	tape_program_name(target.program, sizeof(target.program));
	target.heading.pattern = target.trace;
	target.heading.module = target.module;
	target.heading.prefix = target.prefix;
	target.heading.program = target.program;
	target.heading.redact = start->options.redact;
	target.heading.rotation = start->options.rotation;
	memcpy(target.control, start->options.control, sizeof(target.control));
	target.heading.control = target.control;
	if (start->options.injections.count != 0) {
		injections = start->options.injections;
		tape_record_injections = &injections;
	}
	for (size_t i = 0; i < TAPE_FN_COUNT; i++) {
		target.heading.exports[i] = tape_functions[i].finds && start->functions[i] != NULL;
		atomic_store(&tape_targets[0][i], start->functions[i]);
	}
	__cxa_atexit(at_exit, NULL, &__dso_handle);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void tell_failure(const struct tape_error *error)
{
	if (!atomic_exchange(&told, true))
		tape_tell("%s", error->sentence);
}

static void begin(struct tape_state *state, struct start *start, int prepared)
{
	bool first = !atomic_load(&loaded);
	int result = first ? prepared : 0;
	if (result == 0 && target.handle == NULL)
		install(start);
	if (result == 0)
		result = tape_record_begin(state, &target.heading, first, &start->error);
	if (result == 0) {
		atomic_store(&loaded, true);
		return;
	}
	tell_failure(&start->error);
	atomic_store(&state->failed, true);
}

struct tape_state *tape_module_start(void)
{
	struct tape_state *state = tape_state_get();
	if (state == NULL || atomic_load(&state->failed))
		return NULL;
	struct start *start = tape_pages_get(sizeof(*start));
	if (start == NULL)
		return NULL;
	/* Much of what follows is a cancellation point, where the program expects none. */
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	int prepared = atomic_load(&loaded) ? 0 : prepare(start);
	tape_lock_take(&state->start_lock);
	if (atomic_load(&state->part) == 0 && !atomic_load(&state->failed))
		begin(state, start, prepared);
	tape_lock_give(&state->start_lock);
	if (start->handle != NULL)
		dlclose(start->handle);
	tape_pages_free(start, sizeof(*start));
	pthread_setcancelstate(cancel, &cancel);
	return atomic_load(&state->part) == 0 ? NULL : state;
}

/* ---- the end --------------------------------------------------------------------------------- */

__attribute__((destructor)) static void unload(void)
{
	int saved = errno;
	int cancel;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	struct tape_state *state = tape_state_current();
	if (state != NULL)
		tape_record_end(state, atomic_load(&exiting) ? "exit" : "unload");
	/* Other exit handlers, and threads that nobody stopped, may still call. */
	if (atomic_load(&exiting))
		goto out;
	if (state == NULL || !tape_record_is_open(state)) {
		tape_record_close();
		if (target.handle != NULL)
			dlclose(target.handle);
		tape_state_free();
	}
out:
	pthread_setcancelstate(cancel, &cancel);
	errno = saved;
}
