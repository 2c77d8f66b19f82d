/* SPDX-License-Identifier: MIT
 *
 * How a module is found: its exported functions, function lists and interfaces (PKCS#11 3.1 §3.6, §5.4.4 to
 * §5.4.6). The lists are looked at as the module gives them, not as the recorder would.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites/check.h"
#include "suites/objects.h"

#define MAX_INTERFACES 64
#define STANDARD "PKCS 11"

/* ---- what is exported -------------------------------------------------------------------------------- */

static void *symbol(struct check *c, const char *name)
{
	if (c->handle == NULL)
		c->handle = dlopen(c->target->module, RTLD_NOW | RTLD_LOCAL);
	if (c->handle == NULL) {
		const char *why = dlerror();
		check_skip(c, "the module cannot be loaded: %s", why == NULL ? "" : why);
	}
	return dlsym(c->handle, name);
}

static void exports_list(struct check *c)
{
	EXPECT(c, 343, symbol(c, "C_GetFunctionList") != NULL,
	       "the module does not export C_GetFunctionList");
}

static void exports_interfaces(struct check *c)
{
	bool list = symbol(c, "C_GetInterfaceList") != NULL;
	bool one = symbol(c, "C_GetInterface") != NULL;
	if (!list && !one && c->target->newest < SPEC(3, 0))
		check_skip(c, "the module is of PKCS#11 2.40");
	EXPECT(c, 343, list && one, "the module exports %s only",
	       list ? "C_GetInterfaceList" : "C_GetInterface");
}

/* ---- C_GetFunctionList ------------------------------------------------------------------------------- */

static CK_FUNCTION_LIST *function_list(struct check *c)
{
	CK_C_GetFunctionList get;
	CK_FUNCTION_LIST *list = NULL;
	void *found = symbol(c, "C_GetFunctionList");
	if (found == NULL)
		check_skip(c, "the module does not export C_GetFunctionList");
	memcpy(&get, &found, sizeof(get));
	EXPECT_CODE(c, 48, "C_GetFunctionList", get(&list), CKR_OK);
	EXPECT(c, 48, list != NULL, "C_GetFunctionList returned CKR_OK, and no list");
	return list;
}

static void list_before(struct check *c)
{
	CK_FUNCTION_LIST *one = function_list(c), *two = function_list(c);
	EXPECT(c, 48, one == two, "two calls of C_GetFunctionList give different lists");
}

static void list_same(struct check *c)
{
	CK_FUNCTION_LIST *one = function_list(c);
	NEED_OK(c, check_finalize(c));
	EXPECT(c, 48, function_list(c) == one, "after C_Finalize the function list is another");
	NEED_OK(c, check_initialize(c));
	EXPECT(c, 48, function_list(c) == one, "after C_Initialize the function list is another");
}

static void list_version(struct check *c)
{
	CK_VERSION version = function_list(c)->version;
	bool is_240 = version.major == 2 && version.minor == 40;
	/* 3.2 is the first text that says so; all lists of 2.x are laid out alike. */
	if (c->target->newest >= SPEC(3, 2))
		EXPECT(c, 4, is_240, "the list of C_GetFunctionList is of version %u.%u, not 2.40",
		       version.major, version.minor);
	else if (c->target->newest >= SPEC(3, 0) && version.major == 2 && !is_240)
		DEVIATION(c, 4, "the list of C_GetFunctionList is of version %u.%u, not 2.40",
		          version.major, version.minor);
	else
		EXPECT(c, 4, version.major == 2,
		       "the list of C_GetFunctionList is of version %u.%u", version.major,
		       version.minor);
}

/* The text asks for a pointer; that NULL crashes many a module is worth knowing, and a fail. */
static void list_null(struct check *c)
{
	CK_C_GetFunctionList get;
	void *found = symbol(c, "C_GetFunctionList");
	if (found == NULL)
		check_skip(c, "the module does not export C_GetFunctionList");
	memcpy(&get, &found, sizeof(get));
	EXPECT_CODE(c, 314, "C_GetFunctionList", get(NULL), CKR_ARGUMENTS_BAD);
}

/* ---- interfaces -------------------------------------------------------------------------------------- */

/* What the module itself exports: the recorder has these functions for every module. */
static void *own_symbol(struct check *c, const char *name)
{
	void *handle = dlopen(c->target->module, RTLD_NOW | RTLD_LOCAL);
	return handle == NULL || dlsym(handle, name) == NULL ? NULL : symbol(c, name);
}

static CK_C_GetInterfaceList get_interface_list(struct check *c)
{
	CK_C_GetInterfaceList get;
	void *found = own_symbol(c, "C_GetInterfaceList");
	if (found == NULL)
		check_skip(c, "the module has no C_GetInterfaceList");
	memcpy(&get, &found, sizeof(get));
	return get;
}

static CK_C_GetInterface get_interface(struct check *c)
{
	CK_C_GetInterface get;
	void *found = own_symbol(c, "C_GetInterface");
	if (found == NULL)
		check_skip(c, "the module has no C_GetInterface");
	memcpy(&get, &found, sizeof(get));
	return get;
}

/* All interfaces, in memory of the process. */
static CK_INTERFACE *interfaces(struct check *c, CK_ULONG *ret_count)
{
	static CK_INTERFACE list[MAX_INTERFACES];
	CK_ULONG count = MAX_INTERFACES;
	CK_RV rv = get_interface_list(c)(list, &count);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetInterfaceList is not supported");
	NEED_OK(c, rv);
	if (count == 0)
		check_skip(c, "C_GetInterfaceList lists no interface");
	*ret_count = count;
	return list;
}

static CK_VERSION version_of(const CK_INTERFACE *interface)
{
	CK_VERSION version;
	/* EXPECT() does not return where there is none. NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
	memcpy(&version, interface->pFunctionList, sizeof(version));
	return version;
}

static bool is_standard(const CK_INTERFACE *interface)
{
	return interface->pInterfaceName != NULL && interface->pFunctionList != NULL &&
	       strcmp((const char *)interface->pInterfaceName, STANDARD) == 0;
}

static CK_ULONG count_interfaces(struct check *c)
{
	CK_ULONG count = 0;
	CK_RV rv = get_interface_list(c)(NULL, &count);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetInterfaceList is not supported");
	EXPECT_CODE(c, c->row->rules[0], "C_GetInterfaceList", rv, CKR_OK);
	return count;
}

static void interfaces_count(struct check *c)
{
	static const CK_ULONG before[] = { 1, 0x5555, CK_UNAVAILABLE_INFORMATION };
	CK_ULONG first = count_interfaces(c);
	EXPECT(c, 63, first != 0, "the module has C_GetInterfaceList, and no interface");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(before); i++) {
		CK_ULONG count = before[i];
		EXPECT_CODE(c, 63, "C_GetInterfaceList", get_interface_list(c)(NULL, &count),
		            CKR_OK);
		EXPECT(c, 63, count == first,
		       "with *pulCount 0x%lx before the call the number is %lu, with 0 it is %lu",
		       (unsigned long)before[i], (unsigned long)count, (unsigned long)first);
	}
}

static void interfaces_room(struct check *c)
{
	CK_ULONG number = count_interfaces(c);
	CK_ULONG room = c->row->a == 0 ? 0 : c->row->a == 1 ? number - 1 : number;
	CK_ULONG count = room + (c->row->a == 3 ? 3 : 0);
	CK_INTERFACE *list = check_buffer(c, count * sizeof(*list));
	CK_RV rv = get_interface_list(c)(list, &count);
	if (c->row->a < 2)
		EXPECT_CODE(c, 64, "C_GetInterfaceList", rv, CKR_BUFFER_TOO_SMALL);
	else
		EXPECT_CODE(c, 64, "C_GetInterfaceList", rv, CKR_OK);
	EXPECT(c, 64, count == number, "*pulCount is %lu, and there are %lu", (unsigned long)count,
	       (unsigned long)number);
}

static void interfaces_null_count(struct check *c)
{
	CK_INTERFACE list[1];
	CK_RV rv = get_interface_list(c)(c->row->a == 0 ? NULL : list, NULL);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetInterfaceList is not supported");
	EXPECT_CODE(c, 314, "C_GetInterfaceList", rv, CKR_ARGUMENTS_BAD);
}

static void interfaces_versions(struct check *c)
{
	CK_ULONG count;
	const CK_INTERFACE *list = interfaces(c, &count);
	for (CK_ULONG i = 0; i < count; i++) {
		EXPECT(c, 68, list[i].pFunctionList != NULL, "interface %lu has no function list",
		       (unsigned long)i);
		if (!is_standard(&list[i]))
			continue;
		CK_VERSION version = version_of(&list[i]);
		EXPECT(c, 68, version.major == 2 || version.major == 3,
		       "an interface \"" STANDARD "\" is of version %u.%u", version.major,
		       version.minor);
	}
}

static void interfaces_names(struct check *c)
{
	CK_ULONG count;
	const CK_INTERFACE *list = interfaces(c, &count);
	for (CK_ULONG i = 0; i < count; i++) {
		const char *name = (const char *)list[i].pInterfaceName;
		EXPECT(c, 69, name != NULL, "interface %lu has no name", (unsigned long)i);
		/* As above. NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
		if (strcmp(name, STANDARD) != 0 && strncmp(name, "Vendor ", 7) != 0)
			DEVIATION(c, 69, "an interface is named \"%.60s\"", name);
		if ((list[i].flags & ~(CK_FLAGS)CKF_INTERFACE_FORK_SAFE) != 0)
			check_note(c, "interface \"%.60s\" has flags 0x%lx that mean nothing", name,
			           (unsigned long)list[i].flags);
	}
}

static void interfaces_listed(struct check *c)
{
	CK_ULONG count;
	bool seen = false;
	const CK_INTERFACE *list = interfaces(c, &count);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_VERSION version;
		CK_INTERFACE *found = NULL;
		if (!is_standard(&list[i]))
			continue;
		version = version_of(&list[i]);
		EXPECT_CODE(
			c, 66, "C_GetInterface",
			get_interface(c)(list[i].pInterfaceName, &version, &found, list[i].flags),
			CKR_OK);
		EXPECT(c, 66, found != NULL && found->pFunctionList != NULL,
		       "C_GetInterface returned CKR_OK, and no interface");
		CK_VERSION got = version_of(found);
		EXPECT(c, 66, got.major == version.major && got.minor == version.minor,
		       "C_GetInterface was asked for version %u.%u, and gave %u.%u", version.major,
		       version.minor, got.major, got.minor);
		EXPECT(c, 65, is_standard(found), "the interface is of another name");
		EXPECT(c, 67, (found->flags & list[i].flags) == list[i].flags,
		       "the interface has not the flags that were asked for");
		seen = true;
	}
	if (!seen)
		check_skip(c, "C_GetInterfaceList lists none of \"" STANDARD "\"");
}

/* The newest list's version is that of the library (§3.6.5). */
static void interfaces_newest(struct check *c)
{
	CK_INFO info;
	if (c->p30 == NULL)
		check_skip(c, "the module is of PKCS#11 2.40");
	NEED_OK(c, c->p11->C_GetInfo(&info));
	EXPECT(c, 5, SPEC(c->p30->version.major, c->p30->version.minor) >= SPEC(3, 0),
	       "a list of PKCS#11 3.0 says %u.%u", c->p30->version.major, c->p30->version.minor);
	unsigned int own = SPEC(info.cryptokiVersion.major, info.cryptokiVersion.minor);
	if (own != c->target->newest)
		DEVIATION(c, 5, "CK_INFO.cryptokiVersion is %u.%u, the newest list %u.%u", own >> 8,
		          own & 0xff, c->target->newest >> 8, c->target->newest & 0xff);
}

/* ---- C_GetInterface ---------------------------------------------------------------------------------- */

/* What a request that names nothing there gets: no interface. */
static const struct request {
	const char *name, *interface; /* of the check; asked for, NULL for any */
	CK_VERSION version;           /* 0.0 for any */
	CK_FLAGS flags;
	unsigned short rule;
} bad_requests[] = {
	{ "unknown-name", "Vendor p11tape nobody", { 0, 0 }, 0, 65 },
	{ "part-of-name", "PKCS 1", { 0, 0 }, 0, 65 },
	{ "longer-name", "PKCS 11 ", { 0, 0 }, 0, 65 },
	{ "other-case", "pkcs 11", { 0, 0 }, 0, 65 },
	{ "empty-name", "", { 0, 0 }, 0, 65 },
	{ "future-version", STANDARD, { 9, 9 }, 0, 66 },
	{ "old-version", STANDARD, { 1, 0 }, 0, 66 },
	{ "odd-minor", STANDARD, { 3, 99 }, 0, 66 },
	{ "version-without-name", NULL, { 9, 9 }, 0, 66 },
	{ "unknown-flags", STANDARD, { 0, 0 }, 0x40000000, 67 },
	{ "all-flags", STANDARD, { 0, 0 }, 0xffffffff, 67 },
	{ "flags-without-name", NULL, { 0, 0 }, 0x40000000, 67 },
};

static void bad_request(struct check *c)
{
	const struct request *request = c->row->data;
	CK_VERSION version = request->version;
	CK_INTERFACE *found = NULL;
	CK_RV rv = get_interface(c)((CK_UTF8CHAR_PTR)(uintptr_t)request->interface,
	                            version.major == 0 ? NULL : &version, &found, request->flags);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetInterface is not supported");
	EXPECT(c, request->rule, rv != CKR_OK,
	       "C_GetInterface returned CKR_OK for what the module does not have, and %s",
	       found == NULL ? "no interface" : "gave another interface");
	PREFER(c, 70, rv == CKR_ARGUMENTS_BAD || rv == CKR_FUNCTION_FAILED,
	       "C_GetInterface returned %s, expected CKR_ARGUMENTS_BAD or CKR_FUNCTION_FAILED",
	       check_rv_name(rv));
}

static CK_INTERFACE *ask(struct check *c, const char *name, unsigned int rule)
{
	CK_INTERFACE *found = NULL;
	CK_RV rv = get_interface(c)((CK_UTF8CHAR_PTR)(uintptr_t)name, NULL, &found, 0);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetInterface is not supported");
	EXPECT_CODE(c, rule, "C_GetInterface", rv, CKR_OK);
	EXPECT(c, rule, found != NULL && found->pFunctionList != NULL,
	       "C_GetInterface returned CKR_OK, and no interface");
	return found;
}

static void default_interface(struct check *c)
{
	const CK_INTERFACE *found = ask(c, NULL, 65);
	EXPECT(c, 65, found->pInterfaceName != NULL, "the default interface has no name");
	CK_VERSION version = version_of(found);
	check_note(c, "the default interface is \"%.60s\" %u.%u",
	           (const char *)found->pInterfaceName, version.major, version.minor);
}

static void any_version(struct check *c)
{
	const CK_INTERFACE *found = ask(c, STANDARD, 66);
	EXPECT(c, 66, is_standard(found), "the interface is of another name");
	CK_VERSION version = version_of(found);
	if (SPEC(version.major, version.minor) != c->target->newest)
		check_note(c, "of any version it is %u.%u, not the newest", version.major,
		           version.minor);
}

static void before_initialize(struct check *c)
{
	(void)ask(c, STANDARD, 48);
	CK_ULONG count;
	(void)interfaces(c, &count);
	EXPECT(c, 48, count == count_interfaces(c),
	       "before C_Initialize C_GetInterfaceList counts others than it lists");
}

static const CK_VERSION versions[] = { { 2, 40 }, { 3, 0 }, { 3, 1 }, { 3, 2 } };

static void exact_version(struct check *c)
{
	CK_VERSION version = versions[c->row->a];
	CK_INTERFACE *found = NULL;
	CK_RV rv = get_interface(c)((CK_UTF8CHAR_PTR)(uintptr_t)STANDARD, &version, &found, 0);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetInterface is not supported");
	if (rv != CKR_OK) {
		/* Then it is in the list of interfaces neither. */
		CK_ULONG count;
		const CK_INTERFACE *list = interfaces(c, &count);
		for (CK_ULONG i = 0; i < count; i++) {
			CK_VERSION has = version_of(&list[i]);
			EXPECT(c, 66,
			       !is_standard(&list[i]) || has.major != version.major ||
			               has.minor != version.minor,
			       "version %u.%u is listed, and C_GetInterface returns %s",
			       version.major, version.minor, check_rv_name(rv));
		}
		return;
	}
	EXPECT(c, 66, found != NULL && found->pFunctionList != NULL,
	       "C_GetInterface returned CKR_OK, and no interface");
	CK_VERSION got = version_of(found);
	EXPECT(c, 66, got.major == version.major && got.minor == version.minor,
	       "C_GetInterface was asked for version %u.%u, and gave %u.%u", version.major,
	       version.minor, got.major, got.minor);
}

/* ---- the members of the lists ------------------------------------------------------------------------ */

static tape_any_fn member(const void *list, size_t index)
{
	tape_any_fn function;
	memcpy(&function,
	       (const char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize) +
	               index * sizeof(function),
	       sizeof(function));
	return function;
}

static size_t members(CK_VERSION version)
{
	unsigned int spec = SPEC(version.major, version.minor);
	return spec >= SPEC(3, 2)   ? TAPE_FN_COUNT_3_2
	       : spec >= SPEC(3, 0) ? TAPE_FN_COUNT_3_0
	       : spec >= SPEC(2, 1) ? TAPE_FN_COUNT_2
	                            : 0;
}

/* In every list that has it by its version. */
static void member_there(struct check *c)
{
	size_t index = c->row->a;
	void *list = symbol(c, "C_GetFunctionList") == NULL ? NULL : function_list(c);
	bool seen = false;
	if (list != NULL && index < members(((CK_FUNCTION_LIST *)list)->version)) {
		seen = true;
		EXPECT(c, 3, member(list, index) != NULL,
		       "it is NULL in the list of C_GetFunctionList");
	}
	if (symbol(c, "C_GetInterfaceList") != NULL) {
		CK_ULONG count;
		const CK_INTERFACE *all = interfaces(c, &count);
		for (CK_ULONG i = 0; i < count; i++) {
			if (!is_standard(&all[i]) || index >= members(version_of(&all[i])))
				continue;
			CK_VERSION version = version_of(&all[i]);
			seen = true;
			EXPECT(c, 3, member(all[i].pFunctionList, index) != NULL,
			       "it is NULL in the list of version %u.%u", version.major,
			       version.minor);
		}
	}
	if (!seen)
		check_skip(c, "the module has no function list with it");
}

/* Code, and not what happens to stand behind a list that is too short for its version. */
static void members_are_code(struct check *c)
{
	CK_ULONG count;
	bool seen = false;
	const CK_INTERFACE *all = interfaces(c, &count);
	for (CK_ULONG i = 0; i < count; i++) {
		if (!is_standard(&all[i]))
			continue;
		CK_VERSION version = version_of(&all[i]);
		for (size_t f = 0; f < members(version); f++) {
			Dl_info info;
			tape_any_fn function = member(all[i].pFunctionList, f);
			void *address;
			memcpy(&address, &function, sizeof(address));
			EXPECT(c, 3, address != NULL && dladdr(address, &info) != 0,
			       "%s in the list of version %u.%u is no function",
			       tape_functions[f].name.text, version.major, version.minor);
			seen = true;
		}
	}
	if (!seen)
		check_skip(c, "C_GetInterfaceList lists none of \"" STANDARD "\"");
}

/* ---- fork -------------------------------------------------------------------------------------------- */

/* The interface says that each process has its own copy after fork (§3.6.7). */
static void fork_safe(struct check *c)
{
	CK_ULONG count;
	bool safe = false;
	int status;
	const CK_INTERFACE *all = interfaces(c, &count);
	for (CK_ULONG i = 0; i < count; i++)
		safe = safe ||
		       (is_standard(&all[i]) && (all[i].flags & CKF_INTERFACE_FORK_SAFE) != 0);
	if (!safe)
		check_skip(c, "no interface says CKF_INTERFACE_FORK_SAFE");
	CK_OBJECT_HANDLE object = object_make(c, OBJECT_DATA);
	pid_t child = fork();
	if (child == 0) {
		CK_SESSION_INFO info;
		CK_ULONG size;
		CK_BYTE class[sizeof(CK_ULONG)];
		if (c->p11->C_GetSessionInfo(c->session, &info) != CKR_OK)
			_exit(1);
		if (object_read(c, object, CKA_CLASS, class, sizeof(class), &size) != CKR_OK)
			_exit(2);
		(void)c->p11->C_DestroyObject(c->session, object);
		(void)c->p11->C_Logout(c->session);
		(void)c->p11->C_CloseSession(c->session);
		_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		check_error(c, "no process can be made");
	EXPECT(c, 58, WIFEXITED(status) && WEXITSTATUS(status) == 0, "in a forked process %s",
	       !WIFEXITED(status)         ? "the module crashed"
	       : WEXITSTATUS(status) == 1 ? "the session is not there"
	                                  : "the session object is not there");
	CK_SESSION_INFO info;
	CK_BYTE class[sizeof(CK_ULONG)];
	CK_ULONG size;
	EXPECT_RV(c, 58, c->p11->C_GetSessionInfo(c->session, &info), CKR_OK);
	EXPECT_RV(c, 58, object_read(c, object, CKA_CLASS, class, sizeof(class), &size), CKR_OK);
}

/* ---- layout ------------------------------------------------------------------------------------------ */

/*
 * Structures are packed by the letter, and laid out as the platform's compiler does wherever modules are
 * used on it (§2.1). A module that was built otherwise writes its token information elsewhere.
 */
static void layout(struct check *c)
{
	CK_TOKEN_INFO *info = check_buffer(c, sizeof(*info));
	NEED_OK(c, c->p11->C_GetTokenInfo(c->slot, info));
	EXPECT(c, 9,
	       !check_untouched(info->utcTime, 0, sizeof(info->utcTime)) ||
	               !check_untouched(&info->firmwareVersion, 0, 2),
	       "CK_TOKEN_INFO is not filled to its end: the module packs its structures otherwise");
}

/* ---- the list ---------------------------------------------------------------------------------------- */

static void add_lists(struct check_list *list)
{
	check_add(
		list,
		CHECK(exports_list, NEED_FILE | NEED_DIRECT, "C_GetFunctionList is exported", 343),
		"exports/C_GetFunctionList");
	check_add(list,
	          CHECK(exports_interfaces, NEED_FILE | NEED_DIRECT,
	                "so are the functions that give interfaces", 343),
	          "exports/C_GetInterface");
	check_add(list,
	          CHECK(list_before, NEED_LOADED, "C_GetFunctionList gives one list, at any time",
	                48),
	          "list/before-initialize");
	check_add(list, CHECK(list_same, NEED_INIT, "the list stays", 48), "list/stays");
	check_add(list, CHECK(list_version, NEED_LOADED, "the list is of version 2.40", 4, 48),
	          "list/version");
	check_add(list, CHECK(list_null, NEED_LOADED, "C_GetFunctionList refuses NULL", 314),
	          "list/null");
	for (unsigned int f = 0; f < TAPE_FN_COUNT; f++) {
		struct check_row row = CHECK(member_there, NEED_LOADED | NEED_DIRECT,
		                             "it is in every list that has a place for it", 3, 48);
		row.a = f;
		check_add(list, row, "member/%s", tape_functions[f].name.text);
	}
	check_add(list,
	          CHECK(members_are_code, NEED_LOADED | NEED_DIRECT,
	                "a list is as long as its version says", 3),
	          "members-are-code");
}

static void add_interfaces(struct check_list *list)
{
	static const char *const rooms[] = { "no-room", "one-less", "exact", "larger" };
	check_add(list,
	          CHECK(interfaces_count, NEED_LOADED, "with NULL the number of interfaces comes",
	                63),
	          "interfaces/count");
	for (unsigned int i = 0; i < TAPE_ARRAY_SIZE(rooms); i++) {
		struct check_row row =
			CHECK(interfaces_room, NEED_LOADED, "the number comes in any case", 64);
		row.a = i;
		check_add(list, row, "interfaces/%s", rooms[i]);
	}
	for (unsigned int i = 0; i < 2; i++) {
		struct check_row row = CHECK(interfaces_null_count, NEED_LOADED,
		                             "without a place for the number it is refused", 314);
		row.a = i;
		check_add(list, row, "interfaces/null-count%s", i == 0 ? "" : "-list");
	}
	check_add(list,
	          CHECK(interfaces_versions, NEED_LOADED, "every list begins with its version", 68),
	          "interfaces/versions");
	check_add(list, CHECK(interfaces_names, NEED_LOADED, "names are of two kinds", 69),
	          "interfaces/names");
	check_add(list,
	          CHECK(interfaces_listed, NEED_LOADED, "C_GetInterface gives what is listed", 65,
	                66, 67),
	          "interfaces/listed");
	check_add(list,
	          CHECK(interfaces_newest, NEED_INIT, "the newest list's version is the library's",
	                5),
	          "interfaces/newest");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(bad_requests); i++) {
		struct check_row row =
			CHECK(bad_request, NEED_LOADED, "what is not there is not given", 0, 70);
		row.data = &bad_requests[i];
		row.rules[0] = bad_requests[i].rule;
		check_add(list, row, "interface/%s", bad_requests[i].name);
	}
	check_add(list,
	          CHECK(default_interface, NEED_LOADED, "without a name there is a default", 65),
	          "interface/default");
	check_add(list, CHECK(any_version, NEED_LOADED, "without a version any will do", 66),
	          "interface/any-version");
	check_add(list,
	          CHECK(before_initialize, NEED_LOADED, "interfaces are found before C_Initialize",
	                48),
	          "interface/before-initialize");
	for (unsigned int i = 0; i < TAPE_ARRAY_SIZE(versions); i++) {
		struct check_row row = CHECK(exact_version, NEED_LOADED,
		                             "the version is exactly what was asked for", 66);
		row.a = i;
		check_add(list, row, "interface/version-%u.%u", versions[i].major,
		          versions[i].minor);
	}
}

void suite_interfaces(struct check_list *list)
{
	add_lists(list);
	add_interfaces(list);
	check_add(list,
	          CHECK(fork_safe, NEED_RW | NEED_USER,
	                "a fork-safe interface gives each process its own copy", 58),
	          "fork-safe");
	check_add(list,
	          CHECK(layout, NEED_TOKEN,
	                "structures are laid out as the platform's compiler does", 9),
	          "layout");
}
