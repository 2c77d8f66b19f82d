/* SPDX-License-Identifier: MIT
 *
 * Arguments that no sane program gives, and modules that no sane vendor sells. Every case is called
 * twice: directly, which shows that the module does without the memory in question, and through the
 * recorder, which must do without it as well. What memory holds afterwards must be the same.
 *
 *   robust-hostile DIRECT RECORDER [CASE]
 *
 * What must not be in the trace is spelled LEAK (4c45414b): robust-hostile.sh looks for it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/robust/robust.h"

/* What an application has: buffers that end where memory ends, and the canary in all of it. */
#define PLACE 8192
static unsigned char *place; /* PLACE bytes, then nothing */
#define AT_EDGE(size) ((void *)(place + PLACE - (size)))
#define NOWHERE ((void *)(uintptr_t)0x10)
#define ABSURD ((CK_ULONG)0x5a5a5a5a5a5a5a)
#define GONE ((void *)(place + PLACE)) /* mapped, and not to be read */

static CK_FUNCTION_LIST_3_2 *p11;

/* ---- the module's side ------------------------------------------------------------------------- */

static odd_hook *now;

static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	if (function == TAPE_FN_COUNT || tape_functions[function].finds || now == NULL)
		return ODD_AS_USUAL;
	return now(function, words);
}

static CK_RV refuse(enum tape_function_id function, const uintptr_t *words)
{
	(void)function;
	(void)words;
	return CKR_SESSION_HANDLE_INVALID;
}

static CK_RV accept(enum tape_function_id function, const uintptr_t *words)
{
	(void)function;
	(void)words;
	return CKR_OK;
}

/* Writes "sign" and says so, whatever room there is. */
static CK_RV sign_short(enum tape_function_id function, const uintptr_t *words)
{
	(void)function;
	memcpy((void *)words[3], "sign", 4);
	*(CK_ULONG *)words[4] = 4;
	return CKR_OK;
}

/* Says that it wrote far more than there is room for. */
static CK_RV sign_lie(enum tape_function_id function, const uintptr_t *words)
{
	(void)function;
	memcpy((void *)words[3], "sign", 4);
	*(CK_ULONG *)words[4] = ABSURD;
	return CKR_OK;
}

static CK_RV list_short(enum tape_function_id function, const uintptr_t *words)
{
	(void)function;
	((CK_ULONG *)words[1])[0] = 7;
	*(CK_ULONG *)words[2] = 1;
	return CKR_OK;
}

static CK_RV list_lie(enum tape_function_id function, const uintptr_t *words)
{
	(void)function;
	((CK_ULONG *)words[1])[0] = 7;
	*(CK_ULONG *)words[2] = ABSURD;
	return CKR_OK;
}

static CK_RV find_lie(enum tape_function_id function, const uintptr_t *words)
{
	(void)function;
	((CK_ULONG *)words[1])[0] = 7;
	*(CK_ULONG *)words[3] = ABSURD;
	return CKR_OK;
}

/* One entry is there, the others are not: PKCS#11 3.1 §5.7.5. */
static CK_RV read_first(enum tape_function_id function, const uintptr_t *words)
{
	CK_ATTRIBUTE *attributes = (CK_ATTRIBUTE *)words[2];
	(void)function;
	memcpy(attributes[0].pValue, "first", 5);
	attributes[0].ulValueLen = 5;
	for (CK_ULONG i = 1; i < words[3]; i++)
		attributes[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
	return CKR_ATTRIBUTE_TYPE_INVALID;
}

/* The value is there although the application said nothing true about the room. */
static CK_RV read_short(enum tape_function_id function, const uintptr_t *words)
{
	CK_ATTRIBUTE *attributes = (CK_ATTRIBUTE *)words[2];
	(void)function;
	memcpy(attributes[0].pValue, "first", 5);
	attributes[0].ulValueLen = 5;
	return CKR_OK;
}

static CK_RV read_lie(enum tape_function_id function, const uintptr_t *words)
{
	CK_ATTRIBUTE *attributes = (CK_ATTRIBUTE *)words[2];
	(void)function;
	for (CK_ULONG i = 0; i < words[3]; i++)
		attributes[i].ulValueLen = ABSURD;
	return CKR_OK;
}

/* What is the application's own to say is changed: types and pointers. */
static CK_RV scramble(enum tape_function_id function, const uintptr_t *words)
{
	CK_ATTRIBUTE *attributes = (CK_ATTRIBUTE *)words[2];
	(void)function;
	for (CK_ULONG i = 0; i < words[3]; i++) {
		attributes[i].type = i % 2 == 0 ? CKA_WRAP_TEMPLATE : ABSURD;
		attributes[i].pValue = i % 2 == 0 ? NOWHERE : GONE;
		attributes[i].ulValueLen = i % 2 == 0 ? 3 * sizeof(CK_ATTRIBUTE) : 8;
	}
	return CKR_OK;
}

static CK_RV scramble_and_fail(enum tape_function_id function, const uintptr_t *words)
{
	scramble(function, words);
	return CKR_ATTRIBUTE_SENSITIVE;
}

/* In a template within a template. */
static CK_RV scramble_inner(enum tape_function_id function, const uintptr_t *words)
{
	CK_ATTRIBUTE *attributes = (CK_ATTRIBUTE *)words[2];
	CK_ATTRIBUTE *inner = attributes[0].pValue;
	(void)function;
	inner[0].type = CKA_LABEL;
	inner[0].pValue = GONE;
	inner[0].ulValueLen = 4;
	inner[1].type = CKA_UNWRAP_TEMPLATE;
	inner[1].pValue = NOWHERE;
	inner[1].ulValueLen = 5 * sizeof(CK_ATTRIBUTE);
	return CKR_OK;
}

/* ---- cases: what the application does ------------------------------------------------------------ */

static CK_RV sign_in_place(void)
{
	CK_BYTE *data = AT_EDGE(32);
	CK_ULONG length = 32;
	memcpy(data, "in place, in place, in place, in", 32);
	return p11->C_Sign(7, data, 32, data, &length);
}

static CK_RV sign_overlapping(void)
{
	CK_BYTE *data = AT_EDGE(40);
	CK_ULONG length = 29;
	memcpy(data, "overlapping, overlapping, overlapping, ov", 40);
	return p11->C_Sign(7, data, 32, data + 11, &length);
}

/* Even the length lies in what is signed. */
static CK_RV sign_over_length(void)
{
	CK_BYTE *data = AT_EDGE(64);
	CK_ULONG *length = (CK_ULONG *)(void *)(data + 16);
	memset(data, 'x', 64);
	*length = 32;
	return p11->C_Sign(7, data, 64, data + 32, length);
}

static CK_RV sign_nulls(void)
{
	CK_ULONG length = ABSURD;
	return p11->C_Sign(7, NULL, ABSURD, NULL, &length);
}

static CK_RV sign_no_length(void)
{
	return p11->C_Sign(7, AT_EDGE(1), 1, AT_EDGE(1), NULL);
}

static CK_RV sign_zero(void)
{
	CK_ULONG length = 0;
	return p11->C_Sign(7, GONE, 0, GONE, &length);
}

static CK_RV sign_larger_than_room(void)
{
	CK_ULONG length = 1000000;
	memcpy(AT_EDGE(4), "data", 4);
	return p11->C_Sign(7, AT_EDGE(4), 4, AT_EDGE(4), &length);
}

static CK_RV sign_absurd_room(void)
{
	CK_ULONG length = ABSURD;
	memcpy(AT_EDGE(4), "data", 4);
	return p11->C_Sign(7, AT_EDGE(4), 4, AT_EDGE(4), &length);
}

static CK_RV sign_too_long(void)
{
	CK_ULONG length = 4;
	return p11->C_Sign(7, AT_EDGE(4), 100000, AT_EDGE(4), &length);
}

static CK_RV sign_absurdly_long(void)
{
	CK_ULONG length = 4;
	return p11->C_Sign(7, AT_EDGE(4), ABSURD, AT_EDGE(4), &length);
}

static CK_RV slots_absurd_room(void)
{
	CK_ULONG count = ABSURD;
	return p11->C_GetSlotList(CK_TRUE, AT_EDGE(sizeof(CK_SLOT_ID)), &count);
}

static CK_RV slots_null(void)
{
	CK_ULONG count = ABSURD;
	return p11->C_GetSlotList(CK_TRUE, NULL, &count);
}

static CK_RV slots_one(void)
{
	CK_ULONG count = 1;
	return p11->C_GetSlotList(CK_TRUE, AT_EDGE(sizeof(CK_SLOT_ID)), &count);
}

static CK_RV find_one(void)
{
	CK_ULONG count = 99;
	return p11->C_FindObjects(7, AT_EDGE(sizeof(CK_OBJECT_HANDLE)), 1, &count);
}

static CK_RV find_zero(void)
{
	CK_ULONG count = 99;
	return p11->C_FindObjects(7, GONE, 0, &count);
}

static CK_RV login_null(void)
{
	return p11->C_Login(7, CKU_USER, NULL, ABSURD);
}

static CK_RV login_empty(void)
{
	return p11->C_Login(7, CKU_USER, GONE, 0);
}

static CK_RV login_too_long(void)
{
	return p11->C_Login(7, CKU_USER, AT_EDGE(4), 200000);
}

static CK_RV set_pin_nulls(void)
{
	return p11->C_SetPIN(7, NULL, ABSURD, GONE, 0);
}

static CK_RV init_token_short_label(void)
{
	CK_UTF8CHAR *label = AT_EDGE(5);
	memcpy(label, "short", 5);
	return p11->C_InitToken(1, NULL, 0, label);
}

static CK_RV init_token_no_label(void)
{
	return p11->C_InitToken(1, NULL, 0, NOWHERE);
}

static CK_RV initialize_nowhere(void)
{
	return p11->C_Initialize(NOWHERE);
}

static CK_RV initialize_short(void)
{
	return p11->C_Initialize(AT_EDGE(8));
}

static CK_RV initialize_reserved(void)
{
	CK_C_INITIALIZE_ARGS *args = AT_EDGE(sizeof(*args));
	memset(args, 0, sizeof(*args));
	args->pReserved = GONE;
	return p11->C_Initialize(args);
}

/* Text that ends where memory ends, without a terminator. */
static CK_RV initialize_endless(void)
{
	static CK_C_INITIALIZE_ARGS args;
	memset(AT_EDGE(100), 'a', 100);
	args.pReserved = AT_EDGE(100);
	return p11->C_Initialize(&args);
}

static CK_RV async_nowhere(void)
{
	return p11->C_AsyncComplete(7, NOWHERE, memset(AT_EDGE(sizeof(CK_ASYNC_DATA)), 0, 8));
}

static CK_RV async_garbage(void)
{
	CK_UTF8CHAR name[] = "C_Sign";
	CK_ASYNC_DATA *data = AT_EDGE(sizeof(*data));
	memset(data, 0x5a, sizeof(*data));
	return p11->C_AsyncComplete(7, name, data);
}

static CK_ATTRIBUTE *template(size_t count)
{
	CK_ATTRIBUTE *list = AT_EDGE(count * sizeof(*list));
	for (size_t i = 0; i < count; i++)
		list[i] = (CK_ATTRIBUTE){ CKA_LABEL, place + i * 64, 32 };
	return list;
}

static CK_RV read_two(void)
{
	return p11->C_GetAttributeValue(7, 1, template(2), 2);
}

static CK_RV read_null(void)
{
	return p11->C_GetAttributeValue(7, 1, NULL, ABSURD);
}

static CK_RV read_zero(void)
{
	return p11->C_GetAttributeValue(7, 1, GONE, 0);
}

static CK_RV read_absurd_count(void)
{
	return p11->C_GetAttributeValue(7, 1, template(2), ABSURD);
}

/* More than 64 KiB of template: it is looked at before it is read. */
static CK_RV read_large_count(void)
{
	return p11->C_GetAttributeValue(7, 1, template(2), 5000);
}

static CK_RV read_queries(void)
{
	CK_ATTRIBUTE *list = template(2);
	list[0].pValue = NULL;
	list[0].ulValueLen = ABSURD;
	list[1].pValue = NULL;
	list[1].ulValueLen = CK_UNAVAILABLE_INFORMATION;
	return p11->C_GetAttributeValue(7, 1, list, 2);
}

static CK_RV read_zero_rooms(void)
{
	CK_ATTRIBUTE *list = template(2);
	list[0].pValue = GONE;
	list[0].ulValueLen = 0;
	list[1].pValue = NOWHERE;
	list[1].ulValueLen = 0;
	return p11->C_GetAttributeValue(7, 1, list, 2);
}

/* The buffer ends long before the room that the application says it has. */
static CK_RV read_larger_than_room(void)
{
	static CK_ATTRIBUTE list;
	list = (CK_ATTRIBUTE){ CKA_LABEL, AT_EDGE(16), 4096 };
	return p11->C_GetAttributeValue(7, 1, &list, 1);
}

static CK_RV read_much_larger_than_room(void)
{
	static CK_ATTRIBUTE list;
	list = (CK_ATTRIBUTE){ CKA_LABEL, AT_EDGE(16), ABSURD };
	return p11->C_GetAttributeValue(7, 1, &list, 1);
}

static CK_RV read_nested_nowhere(void)
{
	CK_ATTRIBUTE *list = template(2);
	list[0] = (CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, NOWHERE, 3 * sizeof(*list) };
	list[1] = (CK_ATTRIBUTE){ CKA_DERIVE_TEMPLATE, AT_EDGE(8), 40 * sizeof(*list) };
	return p11->C_GetAttributeValue(7, 1, list, 2);
}

static CK_RV read_nested_absurd(void)
{
	CK_ATTRIBUTE *list = template(2);
	list[0] =
		(CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, place, ABSURD / sizeof(*list) * sizeof(*list) };
	list[1] = (CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, place, 7 };
	return p11->C_GetAttributeValue(7, 1, list, 2);
}

/* The inner template is what the stack happened to hold, as with a program that reads only its length. */
static CK_RV read_nested_garbage(void)
{
	static CK_ATTRIBUTE list;
	CK_ATTRIBUTE *inner = AT_EDGE(3 * sizeof(*inner));
	memset(inner, 0x5a, 3 * sizeof(*inner));
	inner[1].type = CKA_WRAP_TEMPLATE;
	list = (CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, inner, 3 * sizeof(*inner) };
	return p11->C_GetAttributeValue(7, 1, &list, 1);
}

/* A template that holds itself. */
static CK_RV read_nested_forever(void)
{
	CK_ATTRIBUTE *list = template(2);
	for (size_t i = 0; i < 2; i++)
		list[i] = (CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, list, 2 * sizeof(*list) };
	return p11->C_GetAttributeValue(7, 1, list, 2);
}

static CK_RV create(CK_ATTRIBUTE *list, CK_ULONG count)
{
	CK_OBJECT_HANDLE object = 99;
	return p11->C_CreateObject(7, list, count, &object);
}

static CK_RV create_absurd_count(void)
{
	return create(template(2), ABSURD);
}

static CK_RV create_nested_nowhere(void)
{
	CK_ATTRIBUTE *list = template(2);
	list[0] = (CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, NOWHERE, 3 * sizeof(*list) };
	list[1] = (CK_ATTRIBUTE){ CKA_UNWRAP_TEMPLATE, AT_EDGE(8), 40 * sizeof(*list) };
	return create(list, 2);
}

static CK_RV create_nested_garbage(void)
{
	static CK_ATTRIBUTE list;
	CK_ATTRIBUTE *inner = AT_EDGE(3 * sizeof(*inner));
	memset(inner, 0x5a, 3 * sizeof(*inner));
	inner[1] = (CK_ATTRIBUTE){ CKA_LABEL, NOWHERE, 100 };
	inner[2] = (CK_ATTRIBUTE){ CKA_LABEL, AT_EDGE(4), 100 };
	list = (CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, inner, 3 * sizeof(*inner) };
	return create(&list, 1);
}

static CK_RV create_nested_forever(void)
{
	CK_ATTRIBUTE *list = template(2);
	for (size_t i = 0; i < 2; i++)
		list[i] = (CK_ATTRIBUTE){ CKA_WRAP_TEMPLATE, list, 2 * sizeof(*list) };
	return create(list, 2);
}

static CK_RV create_zero(void)
{
	CK_ATTRIBUTE *list = template(2);
	list[0] = (CK_ATTRIBUTE){ CKA_LABEL, GONE, 0 };
	list[1] = (CK_ATTRIBUTE){ CKA_ID, NULL, ABSURD };
	return create(list, 2);
}

static CK_RV create_too_long(void)
{
	CK_ATTRIBUTE *list = template(2);
	list[0] = (CK_ATTRIBUTE){ CKA_LABEL, AT_EDGE(4), 100000 };
	list[1] = (CK_ATTRIBUTE){ CKA_ID, AT_EDGE(4), ABSURD };
	return create(list, 2);
}

/*
 * Another thread changes types and lengths all the time. Any mixture of them is one that the memory can
 * bear, hence whoever reads each of them once gets by.
 */
static volatile CK_ATTRIBUTE racing[3];
static atomic_bool raced;

static void *race(void *unused)
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_LABEL, CKA_WRAP_TEMPLATE, CKA_CLASS,
		                                   CKA_TOKEN, CKA_ALLOWED_MECHANISMS };
	static const CK_ULONG lengths[] = { 0, 1, sizeof(CK_ULONG), sizeof(CK_ATTRIBUTE), 200 };
	(void)unused;
	for (size_t i = 0; !atomic_load(&raced); i++) {
		racing[i % 3].type = types[i % 5];
		racing[i % 3].ulValueLen = lengths[i / 5 % 5];
	}
	return NULL;
}

static CK_RV template_in_a_race(void)
{
	static CK_ATTRIBUTE inner[16];
	CK_OBJECT_HANDLE object = 99;
	pthread_t thread;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(racing); i++) {
		racing[i].type = CKA_LABEL;
		racing[i].ulValueLen = 1;
		racing[i].pValue = inner;
	}
	atomic_store(&raced, false);
	CHECK(pthread_create(&thread, NULL, race, NULL) == 0);
	for (int i = 0; i < 2000; i++) {
		p11->C_CreateObject(7, (CK_ATTRIBUTE *)(uintptr_t)racing, 3, &object);
		p11->C_GetAttributeValue(7, 1, (CK_ATTRIBUTE *)(uintptr_t)racing, 3);
	}
	atomic_store(&raced, true);
	pthread_join(thread, NULL);
	return CKR_OK;
}

/* Outputs of each sort that a failing call leaves alone: what was in them is nobody's business. */
static CK_RV fail_all(void)
{
	CK_ULONG *number = AT_EDGE(sizeof(*number));
	CHECK(p11->C_GetInfo(AT_EDGE(sizeof(CK_INFO))) != CKR_OK);
	CHECK(p11->C_GetSlotInfo(1, AT_EDGE(sizeof(CK_SLOT_INFO))) != CKR_OK);
	CHECK(p11->C_GetTokenInfo(1, AT_EDGE(sizeof(CK_TOKEN_INFO))) != CKR_OK);
	CHECK(p11->C_GetSessionInfo(1, AT_EDGE(sizeof(CK_SESSION_INFO))) != CKR_OK);
	CHECK(p11->C_GetMechanismInfo(1, 1, AT_EDGE(sizeof(CK_MECHANISM_INFO))) != CKR_OK);
	CHECK(p11->C_OpenSession(1, 4, NULL, NULL, number) != CKR_OK);
	CHECK(p11->C_GetObjectSize(1, 1, number) != CKR_OK);
	CHECK(p11->C_WaitForSlotEvent(1, number, NULL) != CKR_OK);
	CHECK(p11->C_GenerateRandom(1, place, 64) != CKR_OK);
	CHECK(p11->C_FindObjects(1, (CK_OBJECT_HANDLE *)(void *)place, 4, number) != CKR_OK);
	return p11->C_GetAttributeValue(7, 1, template(3), 3);
}

/* ---- mechanisms, all of them ----------------------------------------------------------------------- */

static void call_with(CK_MECHANISM *mechanism)
{
	static CK_BYTE data[16];
	static CK_ULONG length = sizeof(data);
	CK_OBJECT_HANDLE object = 99;
	p11->C_EncryptInit(7, mechanism, 1);
	p11->C_SignInit(7, mechanism, 1);
	p11->C_MessageEncryptInit(7, mechanism, 1);
	p11->C_EncryptMessage(7, mechanism->pParameter, mechanism->ulParameterLen, NULL, 0, data,
	                      16, data, &length);
	p11->C_WrapKey(7, mechanism, 1, 2, data, &length);
	p11->C_UnwrapKey(7, mechanism, 1, data, 16, NULL, 0, &object);
	p11->C_DeriveKey(7, mechanism, 1, NULL, 0, &object);
}

/* Parameters as they lie about in memory: zeroes, letters, ones, numbers, and pointers to nowhere. */
static CK_RV mechanisms(void)
{
	const CK_ULONG lengths[] = { 0, 1, 8, 15, 16, 200, 100000, ABSURD };
	CK_MECHANISM *mechanism = AT_EDGE(sizeof(*mechanism));
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		const struct tape_mechanism *row = &tape_mechanisms[i];
		const size_t sizes[] = { tape_records[row->record].size,
			                 tape_records[row->message_record].size,
			                 tape_records[row->wrap_record].size,
			                 tape_records[row->other_record].size };
		mechanism->mechanism = (CK_MECHANISM_TYPE)row->value;
		for (size_t j = 0; j < TAPE_ARRAY_SIZE(lengths); j++) {
			mechanism->ulParameterLen = lengths[j];
			mechanism->pParameter = j % 2 == 0 ? NOWHERE : GONE;
			call_with(mechanism);
			mechanism->pParameter = AT_EDGE(sizeof(*mechanism) + 5);
			call_with(mechanism);
			mechanism->pParameter = NULL;
			call_with(mechanism);
		}
		for (size_t j = 0; j < TAPE_ARRAY_SIZE(sizes); j++) {
			static const CK_ULONG fills[] = { 0,
				                          (CK_ULONG)0x4141414141414141u,
				                          CK_UNAVAILABLE_INFORMATION,
				                          1,
				                          16,
				                          0x10,
				                          0x1000 };
			CK_ULONG *parameter = AT_EDGE(sizeof(*mechanism) + (sizes[j] + 7) / 8 * 8);
			if (sizes[j] == 0)
				continue;
			mechanism->pParameter = parameter;
			mechanism->ulParameterLen = sizes[j];
			for (size_t k = 0; k <= TAPE_ARRAY_SIZE(fills); k++) {
				/* The last one: words that are small numbers and pointers to nothing in turn. */
				for (size_t l = 0; l < (sizes[j] + 7) / 8; l++)
					parameter[l] = k < TAPE_ARRAY_SIZE(fills) ? fills[k]
					               : l % 2 == 0               ? (CK_ULONG)GONE
					                                          : 12;
				call_with(mechanism);
			}
		}
	}
	return CKR_OK;
}

/*
 * A message is encrypted although its Init call failed, or was never made, or came to an end: the parameter
 * is the structure all the same, and the addresses in it are not for the trace. robust-hostile.sh looks for
 * the sessions 70 to 73, and 1000.
 */
static CK_RV message(CK_SESSION_HANDLE session, CK_MECHANISM_TYPE type, bool begins)
{
	static CK_BYTE iv[12], tag[16];
	static CK_GCM_MESSAGE_PARAMS gcm;
	static CK_CCM_MESSAGE_PARAMS ccm;
	static CK_BYTE text[16];
	CK_ULONG length = sizeof(text);
	CK_MECHANISM mechanism = { type, NULL, 0 };
	gcm = (CK_GCM_MESSAGE_PARAMS){ iv, sizeof(iv), 0, CKG_NO_GENERATE, tag, 128 };
	ccm = (CK_CCM_MESSAGE_PARAMS){ 16, iv, sizeof(iv), 0, CKG_NO_GENERATE, tag, sizeof(tag) };
	void *parameter = type == CKM_AES_CCM ? (void *)&ccm : (void *)&gcm;
	CK_ULONG size = type == CKM_AES_CCM ? sizeof(ccm) : sizeof(gcm);
	if (begins)
		p11->C_MessageEncryptInit(session, &mechanism, 1);
	p11->C_EncryptMessageBegin(session, parameter, size, NULL, 0);
	return p11->C_EncryptMessage(session, parameter, size, NULL, 0, text, 16, text, &length);
}

static CK_RV message_after_failure(void)
{
	return message(70, CKM_AES_GCM, true);
}

static CK_RV message_after_nothing(void)
{
	CHECK(message(71, CKM_AES_GCM, false) != CKR_OK);
	return message(72, CKM_AES_CCM, false);
}

static CK_RV message_after_cancel(void)
{
	CHECK(message(73, CKM_AES_CCM, true) == CKR_OK);
	CHECK(p11->C_MessageEncryptInit(73, NULL, 0) == CKR_OK);
	return message(73, CKM_AES_GCM, false);
}

/* More sessions than anybody keeps in mind. */
static CK_RV message_after_many(void)
{
	for (CK_SESSION_HANDLE session = 1000; session < 1200; session++)
		CHECK(message(session, CKM_AES_GCM, true) == CKR_OK);
	return message(1000, CKM_AES_GCM, false);
}

/* A mechanism that is not there. */
static CK_RV mechanism_nowhere(void)
{
	CHECK(p11->C_EncryptInit(7, NOWHERE, 1) == CKR_OK);
	CHECK(p11->C_DigestInit(7, GONE) == CKR_OK);
	return p11->C_SignInit(7, AT_EDGE(8), 1);
}

static const struct {
	const char *name;
	odd_hook *hook;
	CK_RV (*call)(void);
} cases[] = {
#define CASE(hook, call)                    \
	{                                   \
#call " " #hook, hook, call \
	}
	CASE(sign_short, sign_in_place),
	CASE(sign_lie, sign_in_place),
	CASE(sign_short, sign_overlapping),
	CASE(sign_short, sign_over_length),
	CASE(refuse, sign_nulls),
	CASE(accept, sign_nulls),
	CASE(refuse, sign_no_length),
	CASE(accept, sign_no_length),
	CASE(refuse, sign_zero),
	CASE(accept, sign_zero),
	CASE(sign_short, sign_larger_than_room),
	CASE(sign_short, sign_absurd_room),
	CASE(sign_lie, sign_larger_than_room),
	CASE(sign_lie, sign_absurd_room),
	CASE(refuse, sign_absurd_room),
	CASE(refuse, sign_too_long),
	CASE(refuse, sign_absurdly_long),
	CASE(list_short, slots_absurd_room),
	CASE(list_lie, slots_absurd_room),
	CASE(list_lie, slots_one),
	CASE(refuse, slots_null),
	CASE(find_lie, find_one),
	CASE(accept, find_zero),
	CASE(accept, login_null),
	CASE(accept, login_empty),
	CASE(refuse, login_too_long),
	CASE(refuse, set_pin_nulls),
	CASE(accept, init_token_short_label),
	CASE(accept, init_token_no_label),
	CASE(accept, initialize_nowhere),
	CASE(accept, initialize_short),
	CASE(accept, initialize_reserved),
	CASE(accept, initialize_endless),
	CASE(accept, async_nowhere),
	CASE(refuse, async_nowhere),
	CASE(accept, async_garbage),
	CASE(refuse, async_garbage),
	CASE(read_first, read_two),
	CASE(refuse, read_two),
	CASE(read_lie, read_two),
	CASE(scramble, read_two),
	CASE(scramble_and_fail, read_two),
	CASE(refuse, read_null),
	CASE(accept, read_zero),
	CASE(refuse, read_absurd_count),
	CASE(refuse, read_large_count),
	CASE(accept, read_large_count),
	CASE(refuse, read_queries),
	CASE(accept, read_queries),
	CASE(read_lie, read_queries),
	CASE(refuse, read_zero_rooms),
	CASE(accept, read_zero_rooms),
	CASE(read_short, read_larger_than_room),
	CASE(read_short, read_much_larger_than_room),
	CASE(refuse, read_much_larger_than_room),
	CASE(read_lie, read_much_larger_than_room),
	CASE(refuse, read_larger_than_room),
	CASE(refuse, read_nested_nowhere),
	CASE(accept, read_nested_nowhere),
	CASE(scramble, read_nested_nowhere),
	CASE(refuse, read_nested_absurd),
	CASE(accept, read_nested_absurd),
	CASE(refuse, read_nested_garbage),
	CASE(accept, read_nested_garbage),
	CASE(scramble_inner, read_nested_garbage),
	CASE(scramble, read_nested_garbage),
	CASE(refuse, read_nested_forever),
	CASE(accept, read_nested_forever),
	CASE(scramble, read_nested_forever),
	CASE(accept, create_absurd_count),
	CASE(accept, create_nested_nowhere),
	CASE(accept, create_nested_garbage),
	CASE(accept, create_nested_forever),
	CASE(accept, create_zero),
	CASE(refuse, create_zero),
	CASE(refuse, create_too_long),
	CASE(refuse, template_in_a_race),
	CASE(accept, template_in_a_race),
	CASE(refuse, fail_all),
	CASE(accept, mechanism_nowhere),
	CASE(refuse, message_after_failure),
	CASE(refuse, message_after_nothing),
	CASE(accept, message_after_cancel),
	CASE(accept, message_after_many),
	CASE(accept, mechanisms),
};

static void run(size_t i, CK_FUNCTION_LIST_3_2 *list, unsigned char *ret_place, CK_RV *ret_rv)
{
	p11 = list;
	now = cases[i].hook;
	/* Who says CKR_OK and writes nothing passes off what was there; mechanisms are read from it. */
	bool honest = (now == refuse && cases[i].call != mechanisms) || now == read_first ||
	              now == read_short || now == sign_short || now == list_short ||
	              now == scramble_and_fail;
	for (size_t j = 0; j < PLACE; j += 4)
		memcpy(place + j, honest ? "LEAK" : "fill", 4);
	*ret_rv = cases[i].call();
	now = NULL;
	memcpy(ret_place, place, PLACE);
}

int main(int argc, char **argv)
{
	static unsigned char directly[PLACE], recorded[PLACE];
	if (argc < 3)
		return 2;
	robust_set_hook(hook);
	place = robust_edge(PLACE);
	CK_FUNCTION_LIST_3_2 *direct = robust_load(argv[1], NULL);
	CK_FUNCTION_LIST_3_2 *recorder = robust_load(argv[2], NULL);
	CHECK(direct != recorder);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(cases); i++) {
		CK_RV rv_directly, rv_recorded;
		if (argc > 3 && strcmp(argv[3], cases[i].name) != 0)
			continue;
		/* Whoever crashes in it is to be known. */
		fprintf(stderr, "%s\n", cases[i].name);
		run(i, direct, directly, &rv_directly);
		run(i, recorder, recorded, &rv_recorded);
		CHECK(rv_directly == rv_recorded);
		CHECK(memcmp(directly, recorded, PLACE) == 0);
	}
	return 0;
}
