/* SPDX-License-Identifier: MIT */
#include "suites/check.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "suites/child.h"
#include "suites/outcome.h"
#include "suites/rules.h"

/* ---- verdicts -------------------------------------------------------------------------------- */

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = { "pass", "skip", "deviation", "fail", "error" };
	return names[verdict];
}

static const char *name_or_number(const struct tape_name *name, uint64_t value)
{
	static char texts[8][24];
	static unsigned int next;
	if (name != NULL)
		return name->text;
	char *text = texts[next++ % TAPE_ARRAY_SIZE(texts)];
	snprintf(text, sizeof(texts[0]), "0x%llx", (unsigned long long)value);
	return text;
}

const char *check_name(enum tape_group group, uint64_t value)
{
	return name_or_number(tape_constant_name(group, value), value);
}

const char *check_attribute_name(CK_ATTRIBUTE_TYPE type)
{
	return name_or_number(tape_attribute_name(type), type);
}

const char *check_mechanism_name(CK_MECHANISM_TYPE type)
{
	const struct tape_mechanism *row = tape_mechanism_find(type);
	return name_or_number(row == NULL ? NULL : &row->name, type);
}

const char *check_rv_name(CK_RV rv)
{
	return check_name(TAPE_G_CKR, rv);
}

static void add_finding(struct check *c, unsigned int rule, enum verdict verdict, const char *file,
                        int line, const char *text)
{
	struct outcome *outcome = c->outcome;
	if (verdict > outcome->verdict)
		outcome->verdict = (unsigned char)verdict;
	if (outcome->finding_count == OUTCOME_FINDINGS)
		return;
	struct finding *finding = &outcome->findings[outcome->finding_count];
	const char *slash = strrchr(file, '/');
	finding->rule = (unsigned short)rule;
	finding->verdict = (unsigned char)verdict;
	finding->line = line;
	snprintf(finding->file, sizeof(finding->file), "%s", slash == NULL ? file : slash + 1);
	snprintf(finding->text, sizeof(finding->text), "%s", text);
	/* Last, so that a process that dies meanwhile leaves no half of one. */
	outcome->finding_count++;
}

/* End the check: cmocka goes back to where it called it. */
static _Noreturn void leave(void)
{
	_fail("check", 0);
	abort();
}

static void add_note(struct check *c, const char *text)
{
	struct outcome *outcome = c->outcome;
	if (outcome->note_count < OUTCOME_NOTES)
		snprintf(outcome->notes[outcome->note_count++], OUTCOME_TEXT, "%s", text);
}

/* Every rule that is asserted must stand in the row: docs/conformance-coverage.md is made of the rows. */
static const struct rule *asserted(struct check *c, unsigned int number)
{
	const struct rule *rule = rule_find(number);
	if (rule == NULL)
		check_error(c, "there is no rule R-%03u", number);
	for (size_t i = 0; i < CHECK_RULES; i++)
		if (c->row->rules[i] == number)
			return rule;
	check_error(c, "R-%03u is asserted, but not in the check's row", number);
}

static void found(struct check *c, const struct rule *rule, const char *file, int line,
                  const char *text)
{
	if (rule->strength == RULE_SHOULD) {
		add_finding(c, rule->number, VERDICT_DEVIATION, file, line, text);
	} else if (rule->strength == RULE_MUST || rule->strength == RULE_FACT) {
		add_finding(c, rule->number, VERDICT_FAIL, file, line, text);
		leave();
	} else {
		add_note(c, text);
	}
}

void check_expect(struct check *c, unsigned int number, bool condition, const char *file, int line,
                  const char *format, ...)
{
	const struct rule *rule = asserted(c, number);
	char text[OUTCOME_TEXT];
	va_list arguments;
	c->outcome->expectations++;
	if (condition)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	found(c, rule, file, line, text);
}

void check_deviate(struct check *c, unsigned int number, const char *file, int line,
                   const char *format, ...)
{
	char text[OUTCOME_TEXT];
	va_list arguments;
	asserted(c, number);
	c->outcome->expectations++;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	add_finding(c, number, VERDICT_DEVIATION, file, line, text);
}

/* PKCS#11 3.1 §5.1.1, and the token errors of §5.1.3 that any call may meet. */
static bool is_universal(CK_RV rv)
{
	return rv == CKR_GENERAL_ERROR || rv == CKR_HOST_MEMORY || rv == CKR_FUNCTION_FAILED ||
	       rv == CKR_DEVICE_ERROR || rv == CKR_DEVICE_MEMORY;
}

/*
 * Codes that are true where another one is expected, and say less (§5.1.6): a key is an object, a wrapping key is a
 * key, a wrapped key and a signature are data, what is no key is of no type and good for nothing; of an object that
 * one does not see it is true, too, that nobody has logged in. CKR_ARGUMENTS_BAD is "rather generic"; of a pointer that
 * is NULL a code that names what it should point to is as good.
 */
static bool says_less(CK_RV rv, CK_RV expected)
{
	static const struct {
		CK_RV expected, rv;
	} pairs[] = {
		{ CKR_OBJECT_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN },
		{ CKR_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID },
		{ CKR_KEY_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN },
		{ CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT },
		{ CKR_KEY_HANDLE_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED },
		{ CKR_KEY_HANDLE_INVALID, CKR_KEY_UNEXTRACTABLE },
		{ CKR_KEY_HANDLE_INVALID, CKR_KEY_NOT_WRAPPABLE },
		{ CKR_KEY_HANDLE_INVALID, CKR_KEY_INDIGESTIBLE },
		{ CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID },
		{ CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID },
		{ CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT },
		{ CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED },
		{ CKR_WRAPPING_KEY_HANDLE_INVALID, CKR_WRAPPING_KEY_TYPE_INCONSISTENT },
		{ CKR_WRAPPING_KEY_TYPE_INCONSISTENT, CKR_KEY_TYPE_INCONSISTENT },
		{ CKR_WRAPPING_KEY_SIZE_RANGE, CKR_KEY_SIZE_RANGE },
		{ CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_OBJECT_HANDLE_INVALID },
		{ CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_KEY_HANDLE_INVALID },
		{ CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT },
		{ CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_KEY_FUNCTION_NOT_PERMITTED },
		{ CKR_UNWRAPPING_KEY_HANDLE_INVALID, CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT },
		{ CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, CKR_KEY_TYPE_INCONSISTENT },
		{ CKR_UNWRAPPING_KEY_SIZE_RANGE, CKR_KEY_SIZE_RANGE },
		{ CKR_SIGNATURE_LEN_RANGE, CKR_DATA_LEN_RANGE },
		{ CKR_SIGNATURE_LEN_RANGE, CKR_ARGUMENTS_BAD },
		{ CKR_DATA_LEN_RANGE, CKR_ARGUMENTS_BAD },
		{ CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_DATA_LEN_RANGE },
		{ CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ARGUMENTS_BAD },
		{ CKR_AEAD_DECRYPT_FAILED, CKR_ENCRYPTED_DATA_INVALID },
		{ CKR_WRAPPED_KEY_LEN_RANGE, CKR_DATA_LEN_RANGE },
		{ CKR_WRAPPED_KEY_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE },
		{ CKR_WRAPPED_KEY_LEN_RANGE, CKR_ARGUMENTS_BAD },
		{ CKR_WRAPPED_KEY_INVALID, CKR_ENCRYPTED_DATA_INVALID },
		{ CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD },
		{ CKR_ATTRIBUTE_VALUE_INVALID, CKR_ARGUMENTS_BAD },
		{ CKR_KEY_SIZE_RANGE, CKR_ARGUMENTS_BAD },
		{ CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT },
		{ CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT },
		{ CKR_ARGUMENTS_BAD, CKR_TEMPLATE_INCOMPLETE },
		{ CKR_ARGUMENTS_BAD, CKR_MECHANISM_INVALID },
		{ CKR_ARGUMENTS_BAD, CKR_MECHANISM_PARAM_INVALID },
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(pairs); i++)
		if (pairs[i].expected == expected && pairs[i].rv == rv)
			return true;
	return false;
}

/* The text of a call as people know it: "c->p11->C_Finalize(NULL)" is for the compiler. */
static const char *call_text(const struct check *c, const char *call)
{
	static const struct {
		const char *ours, *name;
	} wrapped[] = { { "check_initialize(", "C_Initialize" },
		        { "initialize(", "C_Initialize" },
		        { "check_token_info(", "C_GetTokenInfo" },
		        { "check_finalize(", "C_Finalize" },
		        { "object_read(", "C_GetAttributeValue" } };
	const char *arrow = strstr(call, "->C_");
	if (arrow != NULL)
		return arrow + 2;
	if (strncmp(call, "check_call(", 11) == 0 && c->called != NULL)
		return c->called;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(wrapped); i++)
		if (strncmp(call, wrapped[i].ours, strlen(wrapped[i].ours)) == 0)
			return wrapped[i].name;
	return call;
}

CK_RV check_expect_rv(struct check *c, unsigned int number, const char *call, CK_RV rv,
                      const CK_RV *codes, size_t count, const char *file, int line)
{
	const struct rule *rule = asserted(c, number);
	char text[OUTCOME_TEXT];
	size_t used;
	bool fails = true;
	bool less = is_universal(rv);
	c->outcome->expectations++;
	for (size_t i = 0; i < count; i++) {
		if (codes[i] == rv)
			return rv;
		fails = fails && codes[i] != CKR_OK;
		less = less || says_less(rv, codes[i]);
	}
	used = (size_t)snprintf(text, sizeof(text), "%s returned %s, expected ", call_text(c, call),
	                        check_rv_name(rv));
	for (size_t i = 0; i < count && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s",
		                         i == 0          ? ""
		                         : i + 1 < count ? ", "
		                                         : " or ",
		                         check_rv_name(codes[i]));
	if (fails && less)
		add_finding(c, number, VERDICT_DEVIATION, file, line, text);
	else
		found(c, rule, file, line, text);
	return rv;
}

void check_note(struct check *c, const char *format, ...)
{
	char text[OUTCOME_TEXT];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	add_note(c, text);
}

void check_observe(struct check *c, unsigned int number, const char *format, ...)
{
	const struct rule *rule = asserted(c, number);
	char text[OUTCOME_TEXT];
	va_list arguments;
	if (rule->strength != RULE_MAY && rule->strength != RULE_UNDEF && rule->test == 'T')
		check_error(c, "R-%03u can be broken: it is to be asserted", number);
	c->outcome->expectations++;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	add_note(c, text);
}

static _Noreturn void stop(struct check *c, enum verdict verdict)
{
	if (verdict > c->outcome->verdict)
		c->outcome->verdict = (unsigned char)verdict;
	leave();
}

void check_skip(struct check *c, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(c->outcome->reason, sizeof(c->outcome->reason), format, arguments);
	va_end(arguments);
	stop(c, VERDICT_SKIP);
}

void check_error(struct check *c, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(c->outcome->reason, sizeof(c->outcome->reason), format, arguments);
	va_end(arguments);
	stop(c, VERDICT_ERROR);
}

void check_need_ok(struct check *c, const char *call, CK_RV rv)
{
	if (rv == CKR_OK)
		return;
	/* The arguments are for the compiler, and names of ours tell nobody anything. */
	const char *text = call_text(c, call);
	if (strncmp(text, "C_", 2) != 0)
		text = "what the check needs first";
	check_skip(c, "%.*s returned %s", (int)strcspn(text, "("), text, check_rv_name(rv));
}

/* ---- what the process has -------------------------------------------------------------------- */

static size_t count_entries(const char *path)
{
	size_t count = 0;
	DIR *directory = opendir(path);
	while (directory != NULL && readdir(directory) != NULL)
		count++;
	if (directory != NULL)
		closedir(directory);
	return count;
}

size_t check_descriptors(void)
{
	return count_entries("/proc/self/fd");
}

size_t check_threads(void)
{
	return count_entries("/proc/self/task");
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define MAX_BUFFERS 4096

/* What lies before a buffer in its page is watched, up to so much of it. */
#define WATCHED 64

static struct buffer {
	unsigned char *hole; /* the page that is not there */
	size_t size;
} buffers[MAX_BUFFERS];
static size_t buffer_count;

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

void *check_buffer(struct check *c, size_t size)
{
	size_t page = page_size();
	size_t room = (size + WATCHED + page - 1) / page * page;
	if (buffer_count == MAX_BUFFERS)
		check_error(c, "more than %d buffers", MAX_BUFFERS);
	unsigned char *pages =
		mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED || mprotect(pages + room, page, PROT_NONE) != 0)
		check_error(c, "no memory for a buffer of %zu bytes", size);
	memset(pages, CHECK_POISON, room);
	buffers[buffer_count].hole = pages + room;
	buffers[buffer_count++].size = size;
	return pages + room - size;
}

void check_room(const void *end, size_t size)
{
	for (size_t i = 0; i < buffer_count; i++)
		if (buffers[i].hole == end)
			buffers[i].size = size;
}

bool check_untouched(const void *buffer, size_t from, size_t to)
{
	const unsigned char *bytes = buffer;
	for (size_t i = from; i < to; i++)
		if (bytes[i] != CHECK_POISON)
			return false;
	for (size_t i = 1; i <= WATCHED; i++)
		if (bytes[-(ptrdiff_t)i] != CHECK_POISON)
			return false;
	return true;
}

size_t child_overrun(const void *address)
{
	const unsigned char *at = address;
	for (size_t i = 0; i < buffer_count; i++)
		if (at >= buffers[i].hole && at < buffers[i].hole + page_size())
			return buffers[i].size;
	return 0;
}

/* ---- the module ------------------------------------------------------------------------------ */

static void find_symbol(struct check *c, const char *name, void *ret_function)
{
	void *symbol = dlsym(c->handle, name);
	memcpy(ret_function, &symbol, sizeof(symbol));
}

static bool is_standard(const CK_INTERFACE *interface)
{
	return interface->pInterfaceName != NULL && interface->pFunctionList != NULL &&
	       strcmp((const char *)interface->pInterfaceName, "PKCS 11") == 0;
}

static void find_lists(struct check *c)
{
	CK_C_GetFunctionList get_list;
	CK_C_GetInterfaceList get_interfaces;
	CK_INTERFACE interfaces[32];
	CK_ULONG count = TAPE_ARRAY_SIZE(interfaces);
	find_symbol(c, "C_GetFunctionList", &get_list);
	find_symbol(c, "C_GetInterfaceList", &get_interfaces);
	if (get_list != NULL)
		(void)get_list(&c->p11);
	if (get_interfaces == NULL || get_interfaces(interfaces, &count) != CKR_OK)
		return;
	for (size_t i = 0; i < count && i < TAPE_ARRAY_SIZE(interfaces); i++) {
		if (!is_standard(&interfaces[i]))
			continue;
		const CK_VERSION *version = interfaces[i].pFunctionList;
		unsigned int spec = SPEC(version->major, version->minor);
		if (c->p11 == NULL)
			c->p11 = interfaces[i].pFunctionList;
		if (spec >= SPEC(3, 0))
			c->p30 = interfaces[i].pFunctionList;
		if (spec >= SPEC(3, 2))
			c->p32 = interfaces[i].pFunctionList;
	}
}

/* The recorder can be loaded whatever the module is like: say what is wrong with that. */
static _Noreturn void no_list(struct check *c)
{
	void *module = dlopen(c->target->module, RTLD_LAZY | RTLD_LOCAL);
	if (module == NULL) {
		const char *why = dlerror();
		check_skip(c, "the module cannot be loaded: %s", why == NULL ? "" : why);
	}
	if (dlsym(module, "C_GetFunctionList") == NULL &&
	    dlsym(module, "C_GetInterfaceList") == NULL)
		check_skip(c, "the file is no PKCS#11 module: it exports neither "
		              "C_GetFunctionList nor C_GetInterfaceList");
	check_skip(c, "the module gives no function list");
}

void check_load(struct check *c)
{
	bool direct = (c->row->needs & NEED_DIRECT) != 0 || c->target->recorder[0] == 0;
	const char *path = direct ? c->target->module : c->target->recorder;
	c->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	/* What a program loads lazily may lack a function that nobody calls. */
	if (c->handle == NULL)
		c->handle = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
	if (c->handle == NULL) {
		const char *why = dlerror();
		check_skip(c, "the module cannot be loaded: %s", why == NULL ? "" : why);
	}
	find_lists(c);
	if (c->p11 == NULL)
		no_list(c);
}

char child_lock[64];

/* Wait for the other processes: logins (LOCK_EX) for all, initialisations (LOCK_SH) for logins. */
static int take_lock(int how)
{
	int fd = open(child_lock, O_RDWR | O_CLOEXEC);
	while (fd >= 0 && flock(fd, how) != 0 && errno == EINTR)
		;
	return fd;
}

static void give_lock(int fd)
{
	if (fd >= 0)
		close(fd);
}

int check_lock(void)
{
	return take_lock(LOCK_EX);
}

void check_unlock(int lock)
{
	give_lock(lock);
}

CK_RV check_token_info(struct check *c, CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	int lock = take_lock(LOCK_SH);
	CK_RV rv = c->p11->C_GetTokenInfo(slot, info);
	give_lock(lock);
	return rv;
}

static bool is_plugged(struct check *c)
{
	CK_SLOT_INFO info;
	return c->p11->C_GetSlotInfo(c->slot, &info) == CKR_OK &&
	       (info.flags & CKF_TOKEN_PRESENT) != 0;
}

void check_plug(struct check *c, bool in)
{
	const char *command = in ? c->target->plug : c->target->unplug;
	const int looks = 250;
	if (command[0] == 0)
		check_skip(c, "nothing was said of how the token is taken out (--unplug, --plug)");
	/* It is the user's own. NOLINTNEXTLINE(cert-env33-c) */
	int status = system(command);
	if (status != 0)
		check_error(c, "'%s' ended with status %d", command, status);
	/* A reader that is asked now and then needs its time. */
	for (int i = 0; i < looks; i++) {
		if (is_plugged(c) == in)
			return;
		nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
	}
	check_skip(c, "'%s' was run, and C_GetSlotInfo %s CKF_TOKEN_PRESENT", command,
	           in ? "has no" : "has");
}

CK_RV check_initialize(struct check *c)
{
	/*
	 * NSS's structure has a string in pReserved's place and a pointer more. A module that wants
	 * the standard's reads what it knows.
	 */
	struct {
		CK_C_INITIALIZE_ARGS standard;
		void *reserved;
	} arguments = { .standard.flags = CKF_OS_LOCKING_OK };
	char text[sizeof(c->target->init_args)];
	memcpy(text, c->target->init_args, sizeof(text));
	if (text[0] != 0)
		arguments.standard.pReserved = text;
	int lock = take_lock(LOCK_SH);
	CK_RV rv = c->p11->C_Initialize(&arguments);
	give_lock(lock);
	c->initialized = rv == CKR_OK;
	return rv;
}

CK_RV check_finalize(struct check *c)
{
	CK_RV rv = c->p11->C_Finalize(NULL);
	if (rv == CKR_OK)
		c->initialized = false;
	c->session = CK_INVALID_HANDLE;
	return rv;
}

void check_unload(struct check *c)
{
	if (c->handle != NULL)
		dlclose(c->handle);
	c->handle = NULL;
	c->p11 = NULL;
	c->p30 = NULL;
	c->p32 = NULL;
	c->initialized = false;
	c->session = CK_INVALID_HANDLE;
}

CK_RV check_begin_anew(struct check *c, CK_SESSION_HANDLE *ret_session)
{
	CK_RV rv = check_initialize(c);
	if (rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) {
		(void)c->p11->C_Finalize(NULL);
		rv = check_initialize(c);
	}
	if (rv == CKR_OK)
		rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, ret_session);
	return rv;
}

CK_SESSION_HANDLE check_open(struct check *c, CK_FLAGS flags)
{
	CK_SESSION_HANDLE session = CK_INVALID_HANDLE;
	NEED_OK(c,
	        c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | flags, NULL, NULL, &session));
	return session;
}

CK_SESSION_HANDLE check_open_elsewhere(struct check *c)
{
	CK_SESSION_HANDLE session;
	for (size_t i = 0; i < c->target->slot_count; i++)
		if (c->target->slots[i] != c->slot &&
		    c->p11->C_OpenSession(c->target->slots[i], CKF_SERIAL_SESSION, NULL, NULL,
		                          &session) == CKR_OK)
			return session;
	check_skip(c, "no other slot opens a session");
}

void check_forgiven(struct check *c, CK_FLAGS wrong, CK_FLAGS right)
{
	const CK_FLAGS low = CKF_USER_PIN_COUNT_LOW | CKF_SO_PIN_COUNT_LOW;
	c->outcome->forgiven |= (wrong & low) != 0 && (right & low) == 0;
}

bool check_login(struct check *c, CK_SESSION_HANDLE session, CK_USER_TYPE user)
{
	bool so = user == CKU_SO;
	char pin[TARGET_PIN_SIZE];
	memcpy(pin, so ? c->target->so_pin : c->target->pin, sizeof(pin));
	/* The PIN was tried before: one that is wrong is never presented twice. */
	if (!(so ? c->target->so_logs_in : c->target->user_logs_in))
		return false;
	int lock = take_lock(LOCK_EX);
	CK_RV rv = (c->target->token_info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0
	                   ? c->p11->C_Login(session, user, NULL, 0)
	                   : c->p11->C_Login(session, user, (CK_UTF8CHAR_PTR)pin, strlen(pin));
	give_lock(lock);
	return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
}

tape_any_fn check_function(const struct check *c, enum tape_function_id id)
{
	const void *list = c->p11;
	size_t count = TAPE_FN_COUNT_2;
	tape_any_fn function;
	if (c->p30 != NULL && id >= count) {
		list = c->p30;
		count = TAPE_FN_COUNT_3_0;
	}
	if (c->p32 != NULL && id >= count) {
		list = c->p32;
		count = TAPE_FN_COUNT_3_2;
	}
	if (list == NULL || id >= count)
		return NULL;
	/* TAPE_FN_x is the position in every list that has it. */
	memcpy(&function,
	       (const char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize) +
	               (size_t)id * sizeof(function),
	       sizeof(function));
	return function;
}

CK_RV check_call(struct check *c, enum tape_function_id id, const uintptr_t *words)
{
	tape_any_fn function = check_function(c, id);
	c->called = tape_functions[id].name.text;
	if (function == NULL)
		return CKR_FUNCTION_NOT_SUPPORTED;
	snprintf(c->outcome->calling, sizeof(c->outcome->calling), "%s", c->called);
	CK_RV rv = tape_call(function, id, words);
	c->outcome->calling[0] = 0;
	return rv;
}

/* ---- arguments of no particular meaning ------------------------------------------------------ */

#define INPUT_SIZE 16
#define ROOM 512

static void *input(struct check *c, size_t size)
{
	return memset(check_buffer(c, size), 0, size);
}

/* A count or a length that says `number`. */
static void *counter(struct check *c, CK_ULONG number)
{
	return memcpy(check_buffer(c, sizeof(number)), &number, sizeof(number));
}

static void *template(struct check *c, bool read)
{
	CK_ULONG class = CKO_DATA;
	CK_ATTRIBUTE entry = { CKA_CLASS, check_buffer(c, sizeof(class)), sizeof(class) };
	if (!read)
		memcpy(entry.pValue, &class, sizeof(class));
	return memcpy(check_buffer(c, sizeof(entry)), &entry, sizeof(entry));
}

static void *mechanism(struct check *c)
{
	CK_MECHANISM value = { CKM_SHA256, NULL, 0 };
	return memcpy(check_buffer(c, sizeof(value)), &value, sizeof(value));
}

static uintptr_t number_for(const struct check *c, enum tape_kind kind)
{
	switch (kind) {
	case TAPE_K_SESSION:
		return c->session;
	case TAPE_K_SLOT:
		return c->slot;
	case TAPE_K_OBJECT:
		return 1;
	case TAPE_K_USER_TYPE:
		return CKU_USER;
	case TAPE_K_MECHANISM_TYPE:
		return CKM_SHA256;
	case TAPE_K_SESSION_FLAGS:
		return CKF_SERIAL_SESSION;
	case TAPE_K_WAIT_FLAGS:
		return CKF_DONT_BLOCK;
	default:
		return 0;
	}
}

static void argument(struct check *c, const struct tape_argument *row, uintptr_t *words)
{
	const struct tape_shape *shape = &tape_shapes[row->kind];
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
	case TAPE_C_BOOLEAN:
	case TAPE_C_CONSTANT:
	case TAPE_C_FLAGS:
		words[0] = number_for(c, row->kind);
		break;
	case TAPE_C_PRESENCE:
	case TAPE_C_CALLBACK:
	case TAPE_C_INIT_ARGS:
		words[0] = 0;
		break;
	case TAPE_C_BYTES:
		words[0] = (uintptr_t)input(c, INPUT_SIZE);
		words[1] = INPUT_SIZE;
		break;
	case TAPE_C_SECRET:
		/* Never a wrong PIN. */
		words[1] = strlen(c->target->pin);
		words[0] = (uintptr_t)memcpy(check_buffer(c, words[1]), c->target->pin, words[1]);
		break;
	case TAPE_C_CHARS:
		words[0] = (uintptr_t)memset(check_buffer(c, shape->detail), ' ', shape->detail);
		break;
	case TAPE_C_TEXTZ:
		words[0] = (uintptr_t)memcpy(check_buffer(c, 8), "PKCS 11", 8);
		break;
	case TAPE_C_TEMPLATE:
		words[0] = (uintptr_t) template(c, (shape->traits & TAPE_T_OUT) != 0);
		words[1] = 1;
		break;
	case TAPE_C_MECHANISM:
		words[0] = (uintptr_t)mechanism(c);
		break;
	case TAPE_C_PARAMETER:
		words[0] = 0;
		words[1] = 0;
		break;
	case TAPE_C_NUMBER_AT:
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		words[0] = (uintptr_t)check_buffer(c, sizeof(CK_ULONG));
		break;
	case TAPE_C_STRUCT:
		words[0] = (uintptr_t)input(c, tape_records[shape->detail].size);
		break;
	case TAPE_C_BYTES_AT:
		words[0] = (uintptr_t)check_buffer(c, ROOM);
		words[1] = (uintptr_t)counter(c, ROOM);
		break;
	case TAPE_C_LIST_AT:
	case TAPE_C_INTERFACES:
		words[0] = (uintptr_t)check_buffer(c, ROOM * sizeof(CK_INTERFACE));
		words[1] = (uintptr_t)counter(c, ROOM);
		break;
	case TAPE_C_FILL:
	case TAPE_C_LATER:
		words[0] = (uintptr_t)check_buffer(c, INPUT_SIZE);
		words[1] = INPUT_SIZE;
		break;
	case TAPE_C_FOUND:
		words[0] = (uintptr_t)check_buffer(c, 4 * sizeof(CK_OBJECT_HANDLE));
		words[1] = 4;
		words[2] = (uintptr_t)check_buffer(c, sizeof(CK_ULONG));
		break;
	}
}

void check_arguments(struct check *c, enum tape_function_id id, uintptr_t words[TAPE_MAX_WORDS])
{
	const struct tape_function *function = &tape_functions[id];
	for (size_t i = 0; i < function->count; i++)
		argument(c, &function->arguments[i], &words[function->arguments[i].word]);
}

const CK_MECHANISM_INFO *target_mechanism(const struct target *target, CK_MECHANISM_TYPE type)
{
	for (size_t i = 0; i < target->mechanism_count; i++)
		if (target->mechanisms[i] == type)
			return &target->mechanism_infos[i];
	return NULL;
}
