/* SPDX-License-Identifier: MIT
 *
 * drive-stub MODULE GENERATION: call every function that MODULE offers, once, in the order of
 * functions.def, with arguments made by shape; print what discovery shows and what each call wrote, in a
 * form without addresses, so that the output through a recorder can be compared with the output without.
 *
 * GENERATION is the way to the functions: 2.40 (C_GetFunctionList), 3.0 or 3.2 (C_GetInterface), or
 * direct (the C_ symbols). Exit status 3: MODULE does not have it.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/api/api.h"

typedef void function_pointer(void);

/* ---- memory that calls write to, printed afterwards ------------------------------------------- */

#define UNTOUCHED 0x5a

static _Alignas(16) unsigned char pool[1 << 14];
static size_t pool_used;

static struct region {
	const char *name;
	const void *memory;
	size_t size;
} regions[64];
static size_t region_count;

static void *take(size_t size)
{
	void *memory = pool + pool_used;

	pool_used += (size + 15) / 16 * 16;
	if (pool_used > sizeof(pool)) {
		fputs("drive-stub: the pool is too small\n", stderr);
		exit(2);
	}
	memset(memory, UNTOUCHED, size);
	return memory;
}

/* Memory that may be written. */
static void *watch(const char *name, size_t size)
{
	void *memory = take(size);

	if (region_count == TAPE_ARRAY_SIZE(regions)) {
		fputs("drive-stub: too many outputs\n", stderr);
		exit(2);
	}
	regions[region_count++] = (struct region){ name, memory, size };
	return memory;
}

static CK_ULONG *watch_ulong(const char *name, CK_ULONG value)
{
	CK_ULONG *memory = watch(name, sizeof(value));

	*memory = value;
	return memory;
}

static void *pattern(size_t size, unsigned char first)
{
	unsigned char *memory = take(size);

	for (size_t i = 0; i < size; i++)
		memory[i] = (unsigned char)(first + i);
	return memory;
}

static char *text(const char *from)
{
	size_t size = strlen(from) + 1;

	return memcpy(take(size), from, size);
}

/* ---- arguments by shape ------------------------------------------------------------------------ */

static CK_RV on_notify(CK_SESSION_HANDLE session, CK_NOTIFICATION event, CK_VOID_PTR application)
{
	(void)session;
	(void)event;
	(void)application;
	return CKR_OK;
}

static CK_ULONG flags_of(unsigned int group)
{
	switch (group) {
	case TAPE_G_CKF_SESSION:
		return CKF_SERIAL_SESSION | CKF_RW_SESSION;
	case TAPE_G_CKF_MECHANISM:
		return CKF_ENCRYPT | CKF_SIGN;
	case TAPE_G_CKF_INTERFACE:
		return 0;
	default:
		return 1;
	}
}

static CK_ATTRIBUTE *template_in(CK_ULONG *ret_count)
{
	static const CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	static const CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE *list = take(3 * sizeof(*list));

	list[0] = (CK_ATTRIBUTE){ CKA_CLASS, take(sizeof(class)), sizeof(class) };
	memcpy(list[0].pValue, &class, sizeof(class));
	list[1] = (CK_ATTRIBUTE){ CKA_TOKEN, take(sizeof(yes)), sizeof(yes) };
	memcpy(list[1].pValue, &yes, sizeof(yes));
	list[2] = (CK_ATTRIBUTE){ CKA_LABEL, text("drive"), 5 };
	*ret_count = 3;
	return list;
}

/* Rooms of every kind: fixed, larger than the value, a query, unknown, and a template within. */
static CK_ATTRIBUTE *template_out(CK_ULONG *ret_count)
{
	CK_ATTRIBUTE *list = take(6 * sizeof(*list));
	CK_ATTRIBUTE *inner = take(sizeof(*inner));

	list[0] = (CK_ATTRIBUTE){ CKA_CLASS, watch("CKA_CLASS", 8), sizeof(CK_ULONG) };
	list[1] = (CK_ATTRIBUTE){ CKA_LABEL, watch("CKA_LABEL", 32), 32 };
	list[2] = (CK_ATTRIBUTE){ CKA_ID, NULL, 12345 };
	list[3] = (CK_ATTRIBUTE){ CKA_MODULUS, watch("CKA_MODULUS", 64), 64 };
	list[4] = (CK_ATTRIBUTE){ CKA_VENDOR_DEFINED | 0x123456, watch("vendor's", 8), 8 };
	*inner = (CK_ATTRIBUTE){ 0, watch("inner CKA_TOKEN", 4), 4 };
	list[5] = (CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, inner, sizeof(*inner) };
	*ret_count = 6;
	return list;
}

static CK_GCM_MESSAGE_PARAMS *gcm(void)
{
	CK_GCM_MESSAGE_PARAMS *params = take(sizeof(*params));

	*params = (CK_GCM_MESSAGE_PARAMS){ .pIv = watch("pIv", 12),
		                           .ulIvLen = 12,
		                           .ivGenerator = CKG_GENERATE_RANDOM,
		                           .pTag = watch("pTag", 16),
		                           .ulTagBits = 128 };
	return params;
}

static CK_MECHANISM *make_mechanism(unsigned int traits)
{
	CK_MECHANISM *mechanism = take(sizeof(*mechanism));

	if ((traits & TAPE_T_MSG) != 0)
		*mechanism = (CK_MECHANISM){ CKM_AES_GCM, gcm(), sizeof(CK_GCM_MESSAGE_PARAMS) };
	else if ((traits & TAPE_T_WRAP) != 0)
		*mechanism = (CK_MECHANISM){ CKM_AES_KEY_WRAP, NULL, 0 };
	else if ((traits & (TAPE_T_SEAL | TAPE_T_OPEN)) != 0)
		*mechanism = (CK_MECHANISM){ CKM_AES_GCM, NULL, 0 };
	else
		*mechanism = (CK_MECHANISM){ CKM_AES_CBC, pattern(16, 0xa0), 16 };
	return mechanism;
}

static CK_ULONG in_bytes(uintptr_t *w, size_t size, unsigned char first)
{
	w[0] = (uintptr_t)pattern(size, first);
	return size;
}

static void make_argument(const struct tape_function *function,
                          const struct tape_argument *argument, uintptr_t *w)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	const char *const *names = argument->parameters;
	CK_ULONG number = 0;

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
		w[0] = 7 + (uintptr_t)argument->kind;
		break;
	case TAPE_C_BOOLEAN:
		w[0] = CK_TRUE;
		break;
	case TAPE_C_CONSTANT:
		w[0] = 1;
		break;
	case TAPE_C_FLAGS:
		w[0] = flags_of(shape->detail);
		break;
	case TAPE_C_PRESENCE:
		w[0] = (shape->traits & TAPE_T_ANY) != 0 ? (uintptr_t)take(1) : 0;
		break;
	case TAPE_C_CALLBACK:
		w[0] = (uintptr_t)on_notify;
		break;
	case TAPE_C_INIT_ARGS: {
		CK_C_INITIALIZE_ARGS *args = take(sizeof(*args));

		*args = (CK_C_INITIALIZE_ARGS){ .flags = CKF_OS_LOCKING_OK };
		w[0] = (uintptr_t)args;
		break;
	}
	case TAPE_C_BYTES:
		w[1] = in_bytes(w, 24, 0x10);
		break;
	case TAPE_C_SECRET:
		w[1] = in_bytes(w, 6, (unsigned char)('1' + argument->word));
		break;
	case TAPE_C_CHARS:
		w[0] = (uintptr_t)memset(take(shape->detail), ' ', shape->detail);
		memcpy((void *)w[0], "drive", 5);
		break;
	case TAPE_C_TEXTZ:
		w[0] = (uintptr_t)text(function->finds ? "PKCS 11" : "C_Sign");
		break;
	case TAPE_C_TEMPLATE:
		w[0] = (uintptr_t)((shape->traits & TAPE_T_OUT) != 0 ? template_out(&number)
		                                                     : template_in(&number));
		w[1] = number;
		break;
	case TAPE_C_MECHANISM:
		w[0] = (uintptr_t)make_mechanism(shape->traits);
		break;
	case TAPE_C_PARAMETER:
		if ((shape->traits & TAPE_T_MSG) != 0) {
			w[0] = (uintptr_t)gcm();
			w[1] = sizeof(CK_GCM_MESSAGE_PARAMS);
		} else {
			w[1] = in_bytes(w, 8, 0xc0);
		}
		break;
	case TAPE_C_NUMBER_AT:
		w[0] = (uintptr_t)watch_ulong(names[0], 99);
		break;
	case TAPE_C_STRUCT:
		if (shape->detail == TAPE_R_CK_VERSION) {
			CK_VERSION *version = take(sizeof(*version));

			*version = (CK_VERSION){ 2, 40 };
			w[0] = (uintptr_t)version;
		} else if (shape->detail == TAPE_R_CK_ASYNC_DATA) {
			CK_ASYNC_DATA *data = take(sizeof(*data));

			*data = (CK_ASYNC_DATA){ .ulVersion = 0,
				                 .pValue = watch("pValue", 16),
				                 .ulValue = 16 };
			w[0] = (uintptr_t)data;
		} else {
			w[0] = (uintptr_t)watch(names[0], tape_records[shape->detail].size);
		}
		break;
	case TAPE_C_BYTES_AT:
		w[0] = (uintptr_t)watch(names[0], 40);
		w[1] = (uintptr_t)watch_ulong(names[1], 40);
		break;
	case TAPE_C_FILL:
	case TAPE_C_LATER:
		w[0] = (uintptr_t)watch(names[0], 16);
		w[1] = 16;
		break;
	case TAPE_C_LIST_AT:
		w[0] = (uintptr_t)watch(names[0], 8 * sizeof(CK_ULONG));
		w[1] = (uintptr_t)watch_ulong(names[1], 8);
		break;
	case TAPE_C_FOUND:
		w[0] = (uintptr_t)watch(names[0], 8 * sizeof(CK_ULONG));
		w[1] = 8;
		w[2] = (uintptr_t)watch_ulong(names[2], 99);
		break;
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		w[0] = (uintptr_t)memset(take(sizeof(void *)), 0, sizeof(void *));
		break;
	case TAPE_C_INTERFACES:
		w[0] = (uintptr_t)memset(take(8 * sizeof(CK_INTERFACE)), 0,
		                         8 * sizeof(CK_INTERFACE));
		w[1] = (uintptr_t)watch_ulong(names[1], 8);
		break;
	}
}

/* ---- calling by boxed words -------------------------------------------------------------------- */

/* CALL(0, t1, t2, …): each tuple's words, cast back to what its shape says. */
#define CALL_1(at, t) TAPE_CAST(at, TAPE_SPREAD t)
#define CALL_2(at, t, ...) CALL_1(at, t), CALL_1((at) + TAPE_ARITY t, __VA_ARGS__)
#define CALL_3(at, t, ...) CALL_1(at, t), CALL_2((at) + TAPE_ARITY t, __VA_ARGS__)
#define CALL_4(at, t, ...) CALL_1(at, t), CALL_3((at) + TAPE_ARITY t, __VA_ARGS__)
#define CALL_5(at, t, ...) CALL_1(at, t), CALL_4((at) + TAPE_ARITY t, __VA_ARGS__)
#define CALL_6(at, t, ...) CALL_1(at, t), CALL_5((at) + TAPE_ARITY t, __VA_ARGS__)
#define CALL_7(at, t, ...) CALL_1(at, t), CALL_6((at) + TAPE_ARITY t, __VA_ARGS__)
#define CALL_8(at, t, ...) CALL_1(at, t), CALL_7((at) + TAPE_ARITY t, __VA_ARGS__)
#define CALL(...) TAPE_CAT(CALL_, TAPE_COUNT(__VA_ARGS__))(0, __VA_ARGS__)

#define TAPE_SPREAD(...) __VA_ARGS__
#define TAPE_CAST(...) TAPE_CAST_TUPLE(__VA_ARGS__)
#define TAPE_CAST_TUPLE(at, ...) TAPE_CAT(CAST_, TAPE_COUNT(__VA_ARGS__))(at, __VA_ARGS__)
#define CAST_2(at, k, a) (kind_##k##_1) w[at]
#define CAST_3(at, k, a, b) CAST_2(at, k, a), (kind_##k##_2)w[(at) + 1]
#define CAST_4(at, k, a, b, c) CAST_3(at, k, a, b), (kind_##k##_3)w[(at) + 2]

static CK_RV call(enum tape_function_id id, function_pointer *pointer, const uintptr_t *w)
{
	switch (id) {
#define CK_FN(name, major, minor, ...) \
	case TAPE_FN_##name:           \
		return ((CK_##name)pointer)(CALL(__VA_ARGS__));
#include "core/api/functions.def"
#undef CK_FN
	default:
		abort();
	}
}

/* ---- printing ---------------------------------------------------------------------------------- */

/* A list's version, and which of its first `pointers` entries are NULL. */
static void print_list(const void *list, size_t pointers)
{
	const CK_VERSION *version = list;
	const char *first = (const char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize);

	printf("version %d.%d missing", version->major, version->minor);
	for (size_t i = 0; i < pointers; i++) {
		function_pointer *pointer;

		memcpy(&pointer, first + i * sizeof(pointer), sizeof(pointer));
		if (!pointer)
			printf(" %s", tape_functions[i].name.text);
	}
	putchar('\n');
}

static size_t pointers_of(const CK_VERSION *version)
{
	if (version->major < 3)
		return TAPE_FN_COUNT_2;
	return version->minor < 2 ? TAPE_FN_COUNT_3_0 : TAPE_FN_COUNT_3_2;
}

static void print_interface(const CK_INTERFACE *interface)
{
	const CK_VERSION *version = interface->pFunctionList;
	const char *name = (const char *)interface->pInterfaceName;

	printf("  interface '%s' flags %lu ", name, interface->flags);
	if (!version)
		puts("without functions");
	else if (strcmp(name, "PKCS 11") == 0)
		print_list(version, pointers_of(version));
	else
		printf("version %d.%d\n", version->major, version->minor);
}

static void print_bytes(const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		printf("%02x", bytes[i]);
}

static void print_argument(const struct tape_argument *argument, const uintptr_t *w)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_FUNCTIONS: {
		CK_FUNCTION_LIST *list = *(CK_FUNCTION_LIST **)w[0];

		if (list) {
			printf("  list ");
			print_list(list, TAPE_FN_COUNT_2);
		}
		break;
	}
	case TAPE_C_INTERFACE: {
		CK_INTERFACE *interface = *(CK_INTERFACE **)w[0];

		if (interface)
			print_interface(interface);
		break;
	}
	case TAPE_C_INTERFACES:
		for (CK_ULONG i = 0; i < *(CK_ULONG *)w[1] && i < 8; i++)
			print_interface((CK_INTERFACE *)w[0] + i);
		break;
	case TAPE_C_TEMPLATE:
		for (CK_ULONG i = 0; (shape->traits & TAPE_T_OUT) != 0 && i < w[1]; i++) {
			const CK_ATTRIBUTE *attribute = (CK_ATTRIBUTE *)w[0] + i;

			printf("  %s[%lu] type %#lx length %ld\n", argument->key.text, i,
			       attribute->type, (long)attribute->ulValueLen);
			if (attribute->type == CKA_WRAP_TEMPLATE) {
				attribute = attribute->pValue;
				printf("  inner type %#lx length %ld\n", attribute->type,
				       (long)attribute->ulValueLen);
			}
		}
		break;
	case TAPE_C_STRUCT:
		if (shape->detail == TAPE_R_CK_ASYNC_DATA) {
			const CK_ASYNC_DATA *data = (CK_ASYNC_DATA *)w[0];

			printf("  %lu %lu %lu %lu\n", data->ulVersion, data->ulValue, data->hObject,
			       data->hAdditionalObject);
		}
		break;
	default:
		break;
	}
}

static void drive(enum tape_function_id id, function_pointer *pointer)
{
	const struct tape_function *function = &tape_functions[id];
	uintptr_t w[TAPE_MAX_WORDS] = { 0 };

	if (!pointer) {
		printf("%s absent\n", function->name.text);
		return;
	}
	pool_used = 0;
	region_count = 0;
	for (size_t i = 0; i < function->count; i++)
		make_argument(function, &function->arguments[i], w + function->arguments[i].word);

	CK_RV rv = call(id, pointer, w);

	printf("%s = %#lx\n", function->name.text, rv);
	for (size_t i = 0; i < function->count; i++)
		print_argument(&function->arguments[i], w + function->arguments[i].word);
	for (size_t i = 0; i < region_count; i++) {
		printf("  %s ", regions[i].name);
		print_bytes(regions[i].memory, regions[i].size);
		putchar('\n');
	}
}

/* ---- the ways to the functions ----------------------------------------------------------------- */

static function_pointer *symbol(void *module, const char *name)
{
	void *address = dlsym(module, name);
	function_pointer *pointer;

	memcpy(&pointer, &address, sizeof(pointer));
	return pointer;
}

static void drive_list(const void *list, size_t pointers)
{
	const char *first = (const char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize);

	puts("calls");
	for (size_t i = 0; i < pointers; i++) {
		function_pointer *pointer;

		memcpy(&pointer, first + i * sizeof(pointer), sizeof(pointer));
		drive((enum tape_function_id)i, pointer);
	}
}

static int drive_function_list(void *module)
{
	CK_C_GetFunctionList get = (CK_C_GetFunctionList)symbol(module, "C_GetFunctionList");
	CK_FUNCTION_LIST *list = NULL;
	CK_RV rv = get ? get(&list) : CKR_FUNCTION_NOT_SUPPORTED;

	if (rv != CKR_OK || !list) {
		printf("C_GetFunctionList: %#lx\n", rv);
		return 3;
	}
	printf("list ");
	print_list(list, TAPE_FN_COUNT_2);
	drive_list(list, TAPE_FN_COUNT_2);
	return 0;
}

/* As tests/stub/stub-module.c declares it. */
struct vendor_list {
	CK_VERSION version;
	CK_RV (*add)(CK_ULONG a, CK_ULONG b, CK_ULONG *sum);
};

static void drive_vendor(CK_C_GetInterface get)
{
	CK_INTERFACE *interface = NULL;
	char name[] = "Vendor Stub Interface";
	CK_RV rv = get((CK_UTF8CHAR *)name, NULL, &interface, 0);
	CK_ULONG sum = 0;

	if (rv != CKR_OK || !interface) {
		printf("no vendor's interface: %#lx\n", rv);
		return;
	}
	print_interface(interface);
	rv = ((const struct vendor_list *)interface->pFunctionList)->add(40, 2, &sum);
	printf("vendor's add = %#lx, %lu\n", rv, sum);
}

static int drive_interface(void *module, CK_VERSION version)
{
	CK_C_GetInterfaceList list = (CK_C_GetInterfaceList)symbol(module, "C_GetInterfaceList");
	CK_C_GetInterface get = (CK_C_GetInterface)symbol(module, "C_GetInterface");
	CK_INTERFACE interfaces[8];
	CK_INTERFACE *interface = NULL;
	CK_ULONG count = 0;
	char name[] = "PKCS 11";
	CK_RV rv;

	if (!list || !get) {
		puts("no C_GetInterface");
		return 3;
	}
	rv = list(NULL, &count);
	printf("interfaces %#lx %lu\n", rv, count);
	count = TAPE_ARRAY_SIZE(interfaces);
	rv = list(interfaces, &count);
	printf("interfaces %#lx %lu\n", rv, count);
	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++)
		print_interface(&interfaces[i]);
	rv = get(NULL, NULL, &interface, 0);
	printf("first interface %#lx\n", rv);
	if (rv == CKR_OK)
		print_interface(interface);
	drive_vendor(get);

	rv = get((CK_UTF8CHAR *)name, &version, &interface, 0);
	if (rv != CKR_OK) {
		printf("no interface %d.%d: %#lx\n", version.major, version.minor, rv);
		return 3;
	}
	print_interface(interface);
	drive_list(interface->pFunctionList, pointers_of(interface->pFunctionList));
	return 0;
}

static int drive_symbols(void *module)
{
	puts("calls");
	for (size_t i = 0; i < TAPE_FN_COUNT; i++)
		drive((enum tape_function_id)i, symbol(module, tape_functions[i].name.text));
	return 0;
}

int main(int argc, char **argv)
{
	void *module;
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: drive-stub MODULE 2.40|3.0|3.2|direct\n");
		return 2;
	}
	module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!module) {
		fprintf(stderr, "drive-stub: %s\n", dlerror());
		return 2;
	}
	if (strcmp(argv[2], "2.40") == 0) {
		status = drive_function_list(module);
	} else if (strcmp(argv[2], "3.0") == 0) {
		status = drive_interface(module, (CK_VERSION){ 3, 0 });
	} else if (strcmp(argv[2], "3.2") == 0) {
		status = drive_interface(module, (CK_VERSION){ 3, 2 });
	} else if (strcmp(argv[2], "direct") == 0) {
		status = drive_symbols(module);
	} else {
		fprintf(stderr, "drive-stub: no generation '%s'\n", argv[2]);
		status = 2;
	}
	dlclose(module);
	return status;
}
