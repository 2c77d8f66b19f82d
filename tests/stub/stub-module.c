/* SPDX-License-Identifier: MIT
 *
 * A PKCS#11 module with all 104 functions, made of the rows of functions.def: each counts itself,
 * does the cheapest predictable thing that the shapes of its arguments ask for, and returns CKR_OK.
 * It keeps no state, so that calls may come in any order, and costs a few nanoseconds, so that what is
 * measured in front of it is what stands in front of it.
 *
 * STUB_VERSION (240, 300 or 320) says which lists and entry points there are. The environment:
 *
 *   STUB_COUNTS        file to which "function count" lines are written when the module is unloaded
 *   STUB_LIST_VERSION  major version that the list of C_GetFunctionList claims (its pointers stay 68)
 *   STUB_MISSING       functions, with commas between, that the lists have as NULL
 *
 * Every list ends where its page ends, and the next page is not there: whoever reads past it crashes.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/api/api.h"

#ifndef STUB_VERSION
#define STUB_VERSION 320
#endif

/* Bytes that an output has at least; it has as many as there is room for where there is more. */
#define STUB_OUTPUT 32

/* Loaded and stored, not added to: exact in one thread, and free of a lock's cost. */
static atomic_ulong counts[TAPE_FN_COUNT];

static inline void count(enum tape_function_id function)
{
	unsigned long now = atomic_load_explicit(&counts[function], memory_order_relaxed);

	atomic_store_explicit(&counts[function], now + 1, memory_order_relaxed);
}

/* What an argument's answer may need to know of the call that it belongs to. */
struct answer {
	enum tape_function_id function;
	enum tape_kind shape; /* of the argument */
	CK_RV rv;
	const CK_UTF8CHAR *name;
	const CK_VERSION *version;
};

/* ---- lists and interfaces ------------------------------------------------------------------- */

static CK_FUNCTION_LIST *list_2_40;

#define STUB_INTERFACES ((STUB_VERSION >= 300) + (STUB_VERSION >= 320) + 2)
static CK_INTERFACE interfaces[STUB_INTERFACES];

static CK_RV give_interfaces(CK_INTERFACE *to, CK_ULONG *number)
{
	CK_ULONG room;

	if (!number)
		return CKR_ARGUMENTS_BAD;
	room = *number;
	*number = STUB_INTERFACES;
	if (!to)
		return CKR_OK;
	if (room < STUB_INTERFACES)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(to, interfaces, sizeof(interfaces));
	return CKR_OK;
}

static CK_RV give_interface(const struct answer *answer, CK_INTERFACE **to)
{
	if (!to)
		return CKR_ARGUMENTS_BAD;
	for (size_t i = 0; i < STUB_INTERFACES; i++) {
		const CK_VERSION *version = interfaces[i].pFunctionList;

		if (answer->name && strcmp((const char *)answer->name,
		                           (const char *)interfaces[i].pInterfaceName) != 0)
			continue;
		if (answer->version && (answer->version->major != version->major ||
		                        answer->version->minor != version->minor))
			continue;
		*to = &interfaces[i];
		return CKR_OK;
	}
	return CKR_FUNCTION_FAILED;
}

/* ---- what each codec of kinds.def does ------------------------------------------------------- */

/* A pattern that differs from function to function, and from byte to byte where it begins. */
static void fill(const struct answer *answer, CK_BYTE *to, CK_ULONG length)
{
	CK_BYTE first = (CK_BYTE)answer->function;
	CK_ULONG head = length < STUB_OUTPUT ? length : STUB_OUTPUT;

	for (CK_ULONG i = 0; i < head; i++)
		to[i] = (CK_BYTE)(first + i);
	if (length > head)
		memset(to + head, first, length - head);
}

/* Text of a structure: padded with blanks, without a terminator. */
#define FILL_TEXT(member, text)                               \
	do {                                                  \
		memset(member, ' ', sizeof(member));          \
		memcpy(member, "" text, sizeof("" text) - 1); \
	} while (0)

static CK_RV fill_info(CK_INFO *info)
{
	info->cryptokiVersion.major = STUB_VERSION / 100;
	info->cryptokiVersion.minor = STUB_VERSION / 10 % 10 * (STUB_VERSION < 300 ? 10 : 1);
	FILL_TEXT(info->manufacturerID, "p11tape");
	info->flags = 0;
	FILL_TEXT(info->libraryDescription, "stub");
	info->libraryVersion.major = 1;
	info->libraryVersion.minor = 2;
	return CKR_OK;
}

static CK_RV fill_slot_info(CK_SLOT_INFO *info)
{
	FILL_TEXT(info->slotDescription, "stub slot");
	FILL_TEXT(info->manufacturerID, "p11tape");
	info->flags = CKF_TOKEN_PRESENT;
	info->hardwareVersion.major = 3;
	info->hardwareVersion.minor = 4;
	info->firmwareVersion.major = 5;
	info->firmwareVersion.minor = 6;
	return CKR_OK;
}

static CK_RV fill_token_info(CK_TOKEN_INFO *info)
{
	FILL_TEXT(info->label, "stub token");
	FILL_TEXT(info->manufacturerID, "p11tape");
	FILL_TEXT(info->model, "stub");
	FILL_TEXT(info->serialNumber, "0001");
	info->flags =
		CKF_RNG | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED | CKF_TOKEN_INITIALIZED;
	info->ulMaxSessionCount = CK_EFFECTIVELY_INFINITE;
	info->ulSessionCount = CK_UNAVAILABLE_INFORMATION;
	info->ulMaxRwSessionCount = 10;
	info->ulRwSessionCount = 1;
	info->ulMaxPinLen = 64;
	info->ulMinPinLen = 4;
	info->ulTotalPublicMemory = CK_UNAVAILABLE_INFORMATION;
	info->ulFreePublicMemory = CK_UNAVAILABLE_INFORMATION;
	info->ulTotalPrivateMemory = 65536;
	info->ulFreePrivateMemory = 32768;
	info->hardwareVersion.major = 3;
	info->hardwareVersion.minor = 4;
	info->firmwareVersion.major = 5;
	info->firmwareVersion.minor = 6;
	memset(info->utcTime, '0', sizeof(info->utcTime));
	return CKR_OK;
}

static CK_RV fill_mechanism_info(CK_MECHANISM_INFO *info)
{
	info->ulMinKeySize = 16;
	info->ulMaxKeySize = 32;
	info->flags = CKF_ENCRYPT | CKF_DECRYPT;
	return CKR_OK;
}

static inline CK_RV fill_session_info(CK_SESSION_INFO *info)
{
	info->slotID = 1;
	info->state = CKS_RW_USER_FUNCTIONS;
	info->flags = CKF_RW_SESSION | CKF_SERIAL_SESSION;
	info->ulDeviceError = 0;
	return CKR_OK;
}

static CK_RV fill_async_data(CK_ASYNC_DATA *data)
{
	data->ulValue = 4;
	data->hObject = 201;
	data->hAdditionalObject = 202;
	return CKR_OK;
}

static inline CK_RV codec_STRUCT(struct answer *answer, int traits, void *to)
{
	(void)traits;
	if (!to)
		return CKR_OK;
	switch (answer->shape) {
	case TAPE_K_OUT_SESSION_INFO:
		return fill_session_info(to);
	case TAPE_K_VERSION:
		answer->version = to;
		return CKR_OK;
	case TAPE_K_OUT_INFO:
		return fill_info(to);
	case TAPE_K_OUT_SLOT_INFO:
		return fill_slot_info(to);
	case TAPE_K_OUT_TOKEN_INFO:
		return fill_token_info(to);
	case TAPE_K_OUT_MECHANISM_INFO:
		return fill_mechanism_info(to);
	case TAPE_K_ASYNC_DATA:
		return fill_async_data(to);
	default:
		return CKR_OK;
	}
}

/* PKCS#11 3.1 §5.2: a NULL buffer asks for the length, a small one is told it. */
static inline CK_RV codec_BYTES_AT(const struct answer *answer, int traits, CK_BYTE *to,
                                   CK_ULONG *length)
{
	(void)traits;
	if (!length)
		return CKR_ARGUMENTS_BAD;
	if (!to || *length < STUB_OUTPUT) {
		*length = STUB_OUTPUT;
		return to ? CKR_BUFFER_TOO_SMALL : CKR_OK;
	}
	fill(answer, to, *length);
	return CKR_OK;
}

static inline CK_RV codec_FILL(const struct answer *answer, int traits, CK_BYTE *to,
                               CK_ULONG length)
{
	(void)traits;
	if (to)
		fill(answer, to, length);
	return CKR_OK;
}

/* What is to be written later is never written: nothing here is asynchronous. */
#define codec_LATER(answer, traits, a, b) ((void)(a), (void)(b), CKR_OK)

/* Three slots, or three mechanisms: CKM_RSA_PKCS, CKM_RSA_9796, CKM_RSA_X_509. */
static CK_RV codec_LIST_AT(const struct answer *answer, int traits, CK_ULONG *to, CK_ULONG *number)
{
	CK_ULONG room;

	(void)answer;
	(void)traits;
	if (!number)
		return CKR_ARGUMENTS_BAD;
	room = *number;
	*number = 3;
	if (!to)
		return CKR_OK;
	if (room < 3)
		return CKR_BUFFER_TOO_SMALL;
	for (CK_ULONG i = 0; i < 3; i++)
		to[i] = i + 1;
	return CKR_OK;
}

static inline CK_RV codec_FOUND(const struct answer *answer, int traits, CK_OBJECT_HANDLE *to,
                                CK_ULONG room, CK_ULONG *number)
{
	CK_ULONG found = room < 3 ? room : 3;

	(void)answer;
	(void)traits;
	if (!to || !number)
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < found; i++)
		to[i] = 101 + i;
	*number = found;
	return CKR_OK;
}

static inline CK_RV codec_NUMBER_AT(const struct answer *answer, int traits, CK_ULONG *to)
{
	(void)traits;
	if (to)
		*to = 1000 + (CK_ULONG)answer->function;
	return CKR_OK;
}

/* The value of an attribute by the type of its row: written, or its length told. */
static inline CK_RV fill_bytes(CK_ATTRIBUTE *attribute, const void *value, CK_ULONG length)
{
	CK_ULONG room = attribute->ulValueLen;

	attribute->ulValueLen = length;
	if (!attribute->pValue)
		return CKR_OK;
	if (room < length) {
		attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	memcpy(attribute->pValue, value, length);
	return CKR_OK;
}

/* An array attribute has one entry, CKA_TOKEN, whose value is written where there is room. */
static CK_RV fill_template(CK_ATTRIBUTE *attribute)
{
	CK_ATTRIBUTE *inner = attribute->pValue;
	CK_ULONG room = attribute->ulValueLen;
	CK_BBOOL yes = CK_TRUE;

	attribute->ulValueLen = sizeof(*inner);
	if (!inner)
		return CKR_OK;
	if (room < sizeof(*inner)) {
		attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	inner->type = CKA_TOKEN;
	return fill_bytes(inner, &yes, sizeof(yes));
}

static CK_RV fill_attribute(CK_ATTRIBUTE *attribute)
{
	static const CK_BYTE bytes[16] =
		"\x80\x91\xa2\xb3\xc4\xd5\xe6\xf7\x08\x19\x2a\x3b\x4c\x5d\x6e";
	static const CK_BBOOL yes = CK_TRUE;
	static const CK_ULONG numbers[] = { 3, 5 };
	static const CK_VERSION version = { 3, 2 };
	const struct tape_attribute *row = tape_attribute_find(attribute->type);

	if (!row) {
		attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_ATTRIBUTE_TYPE_INVALID;
	}
	switch ((enum tape_attribute_type)row->type) {
	case TAPE_A_UTF8:
		return fill_bytes(attribute, "stub", 4);
	case TAPE_A_BOOL:
	case TAPE_A_BOOL_OR_TIME:
		return fill_bytes(attribute, &yes, sizeof(yes));
	case TAPE_A_ULONG:
	case TAPE_A_CONSTANT:
	case TAPE_A_FLAGS:
		return fill_bytes(attribute, &numbers[0], sizeof(numbers[0]));
	case TAPE_A_ULONGS:
	case TAPE_A_CONSTANTS:
		return fill_bytes(attribute, numbers, sizeof(numbers));
	case TAPE_A_DATE:
		return fill_bytes(attribute, "20260102", 8);
	case TAPE_A_VERSION:
		return fill_bytes(attribute, &version, sizeof(version));
	case TAPE_A_TEMPLATE:
		return fill_template(attribute);
	case TAPE_A_BYTES:
	case TAPE_A_BIGINT:
		break;
	}
	return fill_bytes(attribute, bytes, sizeof(bytes));
}

static inline CK_RV codec_TEMPLATE(const struct answer *answer, int traits,
                                   CK_ATTRIBUTE *attributes, CK_ULONG number)
{
	CK_RV rv = CKR_OK;

	(void)answer;
	if (!(traits & TAPE_T_OUT) || !attributes)
		return CKR_OK;
	for (CK_ULONG i = 0; i < number; i++) {
		CK_RV one = fill_attribute(&attributes[i]);

		if (rv == CKR_OK)
			rv = one;
	}
	return rv;
}

/* The one parameter that is written: a message's generated IV and its tag, for AES-GCM. */
static inline CK_RV codec_PARAMETER(const struct answer *answer, int traits, CK_VOID_PTR parameter,
                                    CK_ULONG length)
{
	CK_GCM_MESSAGE_PARAMS gcm;

	if ((traits & (TAPE_T_MSG | TAPE_T_SEAL)) != (TAPE_T_MSG | TAPE_T_SEAL) || !parameter ||
	    length != sizeof(gcm))
		return CKR_OK;
	memcpy(&gcm, parameter, sizeof(gcm));
	if (gcm.pIv)
		fill(answer, gcm.pIv, gcm.ulIvLen);
	if (gcm.pTag)
		fill(answer, gcm.pTag, gcm.ulTagBits / 8);
	return CKR_OK;
}

static inline CK_RV codec_MECHANISM(const struct answer *answer, int traits,
                                    const CK_MECHANISM *mechanism)
{
	if (!mechanism)
		return CKR_OK;
	return codec_PARAMETER(answer, traits, mechanism->pParameter, mechanism->ulParameterLen);
}

static inline CK_RV codec_TEXTZ(struct answer *answer, int traits, const CK_UTF8CHAR *name)
{
	(void)traits;
	answer->name = name;
	return CKR_OK;
}

static CK_RV codec_FUNCTIONS(const struct answer *answer, int traits, CK_FUNCTION_LIST **to)
{
	(void)answer;
	(void)traits;
	if (!to)
		return CKR_ARGUMENTS_BAD;
	*to = list_2_40;
	return CKR_OK;
}

#define codec_INTERFACES(answer, traits, a, b) give_interfaces(a, b)
#define codec_INTERFACE(answer, traits, a) give_interface(answer, a)

/* Inputs are not looked at. */
#define codec_NUMBER(answer, traits, a) ((void)(a), CKR_OK)
#define codec_BOOLEAN(answer, traits, a) ((void)(a), CKR_OK)
#define codec_CONSTANT(answer, traits, a) ((void)(a), CKR_OK)
#define codec_FLAGS(answer, traits, a) ((void)(a), CKR_OK)
#define codec_PRESENCE(answer, traits, a) ((void)(a), CKR_OK)
#define codec_CALLBACK(answer, traits, a) ((void)(a), CKR_OK)
#define codec_INIT_ARGS(answer, traits, a) ((void)(a), CKR_OK)
#define codec_CHARS(answer, traits, a) ((void)(a), CKR_OK)
#define codec_BYTES(answer, traits, a, b) ((void)(a), (void)(b), CKR_OK)
#define codec_SECRET(answer, traits, a, b) ((void)(a), (void)(b), CKR_OK)

/* ---- one function per shape, one per row ----------------------------------------------------- */

/* As kinds.def spells them. */
enum {
	OUT = TAPE_T_OUT,
	ANY = TAPE_T_ANY,
	LANE = TAPE_T_LANE,
	SEAL = TAPE_T_SEAL,
	OPEN = TAPE_T_OPEN,
	WRAP = TAPE_T_WRAP,
	MSG = TAPE_T_MSG,
	TEXT = TAPE_T_TEXT,
	FINDS = TAPE_T_FINDS,
	KEYS = TAPE_T_KEYS,
	DATA = TAPE_T_DATA,
	OF = TAPE_T_OF,
	SEEKS = TAPE_T_SEEKS
};

static inline void merge(struct answer *answer, CK_RV rv)
{
	if (answer->rv == CKR_OK)
		answer->rv = rv;
}

#define KIND1(kind, t1, codec, detail, traits)                        \
	static inline void answer_##kind(struct answer *answer, t1 a) \
	{                                                             \
		answer->shape = TAPE_K_##kind;                        \
		merge(answer, codec_##codec(answer, traits, a));      \
	}
#define KIND2(kind, t1, t2, codec, detail, traits)                          \
	static inline void answer_##kind(struct answer *answer, t1 a, t2 b) \
	{                                                                   \
		answer->shape = TAPE_K_##kind;                              \
		merge(answer, codec_##codec(answer, traits, a, b));         \
	}
#define KIND3(kind, t1, t2, t3, codec, detail, traits)                            \
	static inline void answer_##kind(struct answer *answer, t1 a, t2 b, t3 c) \
	{                                                                         \
		answer->shape = TAPE_K_##kind;                                    \
		merge(answer, codec_##codec(answer, traits, a, b, c));            \
	}
#include "core/api/kinds.def"
#undef KIND1
#undef KIND2
#undef KIND3

#define ANSWER(kind, ...) answer_##kind(&answer, __VA_ARGS__)

#define CK_FN(name, major, minor, ...)                                               \
	static CK_RV stub_##name(TAPE_EACH(TAPE_DECL, __VA_ARGS__))                  \
	{                                                                            \
		struct answer answer = { .function = TAPE_FN_##name, .rv = CKR_OK }; \
                                                                                     \
		count(TAPE_FN_##name);                                               \
		TAPE_EACH(ANSWER, __VA_ARGS__);                                      \
		return answer.rv;                                                    \
	}
#include "core/api/functions.def"
#undef CK_FN

/* ---- the module's life ------------------------------------------------------------------------ */

typedef void function_pointer(void);

static function_pointer *const functions[TAPE_FN_COUNT] = {
#define CK_FN(name, major, minor, ...) (function_pointer *)stub_##name,
#include "core/api/functions.def"
#undef CK_FN
};

/* Get `size` zeroed bytes that end where a page ends which is followed by nothing. */
static void *guarded(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *pages =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED || size > page || mprotect(pages + page, page, PROT_NONE) != 0) {
		fputs("stub module: no memory for a function list\n", stderr);
		abort();
	}
	return pages + page - size;
}

static int is_missing(const struct tape_name *name)
{
	const char *at = getenv("STUB_MISSING");

	while (at && *at) {
		size_t length = strcspn(at, ",");

		if (length == name->length && memcmp(at, name->text, length) == 0)
			return 1;
		at += length + (at[length] == ',');
	}
	return 0;
}

static void *make_list(int major, int minor, size_t pointers)
{
	size_t first = offsetof(CK_FUNCTION_LIST, C_Initialize);
	CK_VERSION *version = guarded(first + pointers * sizeof(functions[0]));

	version->major = (CK_BYTE)major;
	version->minor = (CK_BYTE)minor;
	for (size_t i = 0; i < pointers; i++)
		if (!is_missing(&tape_functions[i].name))
			memcpy((char *)version + first + i * sizeof(functions[0]), &functions[i],
			       sizeof(functions[0]));
	return version;
}

/* An interface that nobody but a vendor knows; tests/stub/drive-stub.c knows it. */
struct vendor_list {
	CK_VERSION version;
	CK_RV (*add)(CK_ULONG a, CK_ULONG b, CK_ULONG *sum);
};

static CK_RV vendor_add(CK_ULONG a, CK_ULONG b, CK_ULONG *sum)
{
	*sum = a + b;
	return CKR_OK;
}

static void add_interface(size_t *number, const char *name, void *list, CK_FLAGS flags)
{
	CK_INTERFACE *interface = &interfaces[(*number)++];

	memcpy(&interface->pInterfaceName, &name, sizeof(name));
	interface->pFunctionList = list;
	interface->flags = flags;
}

__attribute__((constructor)) static void prepare(void)
{
	const char *claimed = getenv("STUB_LIST_VERSION");
	struct vendor_list *vendor = guarded(sizeof(*vendor));
	size_t number = 0;

	list_2_40 = make_list(2, 40, TAPE_FN_COUNT_2);
	if (STUB_VERSION >= 320)
		add_interface(&number, "PKCS 11", make_list(3, 2, TAPE_FN_COUNT_3_2), 0);
	if (STUB_VERSION >= 300)
		add_interface(&number, "PKCS 11", make_list(3, 0, TAPE_FN_COUNT_3_0),
		              CKF_INTERFACE_FORK_SAFE);
	add_interface(&number, "PKCS 11", list_2_40, 0);
	vendor->version.major = 1;
	vendor->add = vendor_add;
	add_interface(&number, "Vendor Stub Interface", vendor, 0);

	/* The interface of 2.40 stays what it is: SoftHSM 2.7 differs from the standard here only. */
	if (claimed)
		list_2_40 = make_list((int)strtol(claimed, NULL, 10), 0, TAPE_FN_COUNT_2);
}

__attribute__((destructor)) static void write_counts(void)
{
	const char *path = getenv("STUB_COUNTS");
	FILE *file = path ? fopen(path, "a") : NULL;

	if (!file)
		return;
	for (size_t i = 0; i < TAPE_FN_COUNT; i++)
		if (counts[i] != 0)
			fprintf(file, "%s %lu\n", tape_functions[i].name.text,
			        (unsigned long)counts[i]);
	fclose(file);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **ppFunctionList)
{
	return stub_C_GetFunctionList(ppFunctionList);
}

#if STUB_VERSION >= 300
CK_RV C_GetInterfaceList(CK_INTERFACE *pInterfacesList, CK_ULONG *pulCount)
{
	return stub_C_GetInterfaceList(pInterfacesList, pulCount);
}

CK_RV C_GetInterface(CK_UTF8CHAR *pInterfaceName, CK_VERSION *pVersion, CK_INTERFACE **ppInterface,
                     CK_FLAGS flags)
{
	return stub_C_GetInterface(pInterfaceName, pVersion, ppInterface, flags);
}
#endif
