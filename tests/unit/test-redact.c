/* SPDX-License-Identifier: MIT
 *
 * Canaries: whatever the rows of core/api call a secret is planted in every place where a call can have it,
 * under every policy, and looked for in what is printed, in every spelling that it could have there. Under
 * a policy that does not hide it, it must be found: a search that finds nothing proves nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/capture.h"
#include "core/compare.h"
#include "core/print.h"
#include "core/redact.h"
#include "recorder/objects.h"

#define ARENA_LIMIT ((size_t)256 << 20)

/* Three canaries: bytes, more of them than one string holds, and text with what is escaped in it. */
#define LONGEST ((size_t)70000)
static unsigned char binary[32], large[LONGEST];
static const unsigned char text[] = "canary \"in\\ quotes\", 32 bytes \"\\";
static const struct {
	const unsigned char *bytes;
	size_t length;
} canaries[] = { { binary, sizeof(binary) }, { text, sizeof(text) - 1 }, { large, sizeof(large) } };

static const unsigned int policies[] = { TAPE_REDACT_NONE, TAPE_REDACT_PIN, TAPE_REDACT_SECRET,
	                                 TAPE_REDACT_ALL };

struct cage {
	struct tape_arena arena, memory;
	struct tape_lock lock;
	struct tape_secrets secrets;
	struct tape_buf printed;
	unsigned int policy;
	uint64_t class; /* what is known of every object */
	size_t hidden, shown;
	char what[200];
};

/* ---- searching ------------------------------------------------------------------------------ */

static bool is_in(const struct cage *c, const void *needle, size_t length)
{
	return memmem(c->printed.data, c->printed.length, needle, length) != NULL;
}

/* Hexadecimal digits, each byte in `width` of them. */
static bool hex_is_in(const struct cage *c, const unsigned char *bytes, size_t width, bool upper)
{
	const char *letters = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char digits[64];
	for (size_t i = 0; i < 8; i++) {
		char *to = digits + i * width;
		memset(to, '0', width);
		to[0] = letters[bytes[i] >> 4];
		to[1] = letters[bytes[i] & 15];
	}
	return is_in(c, digits, 8 * width);
}

static bool base64_is_in(const struct cage *c, const unsigned char *bytes)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t shift = 0; shift < 3; shift++) {
		const unsigned char *b = bytes + shift;
		const char spelled[] = { letters[b[0] >> 2],
			                 letters[(b[0] & 3) << 4 | b[1] >> 4],
			                 letters[(b[1] & 15) << 2 | b[2] >> 6],
			                 letters[b[2] & 63],
			                 letters[b[3] >> 2],
			                 letters[(b[3] & 3) << 4 | b[4] >> 4],
			                 letters[(b[4] & 15) << 2 | b[5] >> 6],
			                 letters[b[5] & 63] };
		if (is_in(c, spelled, sizeof(spelled)))
			return true;
	}
	return false;
}

/* Eight bytes, however they may have been spelled. */
static bool window_is_in(const struct cage *c, const unsigned char *window)
{
	unsigned char back[8];
	char word[40];
	uint64_t little = 0;
	uint64_t big = 0;
	for (size_t i = 0; i < 8; i++) {
		back[i] = window[7 - i];
		little |= (uint64_t)window[i] << 8 * i;
		big = big << 8 | window[i];
	}
	if (is_in(c, window, 8) || hex_is_in(c, window, 2, false) ||
	    hex_is_in(c, window, 2, true) || hex_is_in(c, back, 2, false) ||
	    hex_is_in(c, window, 4, false) || hex_is_in(c, window, 8, false) ||
	    base64_is_in(c, window))
		return true;
	size_t length = (size_t)snprintf(word, sizeof(word), "%llu", (unsigned long long)little);
	if (is_in(c, word, length))
		return true;
	length = (size_t)snprintf(word, sizeof(word), "%llu", (unsigned long long)big);
	if (is_in(c, word, length))
		return true;
	/* As JSON escapes it. */
	char escaped[16];
	length = 0;
	for (size_t i = 0; i < 8; i++) {
		if (window[i] == '"' || window[i] == '\\')
			escaped[length++] = '\\';
		escaped[length++] = (char)window[i];
	}
	return is_in(c, escaped, length);
}

static bool leaks(const struct cage *c, size_t canary)
{
	const unsigned char *bytes = canaries[canary].bytes;
	size_t length = canaries[canary].length;
	/* Of a large one where strings begin and end; of others every window. */
	size_t step = length > 1000 ? 2179 : 1;
	for (size_t at = 0; at + 8 <= length; at += step)
		if (window_is_in(c, bytes + at))
			return true;
	return length > TAPE_PIECE &&
	       (window_is_in(c, bytes + TAPE_PIECE - 8) || window_is_in(c, bytes + TAPE_PIECE) ||
	        window_is_in(c, bytes + length - 8));
}

static void judge(struct cage *c, size_t canary, enum tape_secrecy secrecy)
{
	bool hides = (c->policy & 1u << secrecy) != 0;
	bool named = is_in(c, "\"secret\": \"", 11);
	bool leaked = leaks(c, canary);
	if (leaked == hides || named != hides)
		fail_msg("%s, policy %s: %s\n%.*s", c->what, tape_redact_text(c->policy),
		         leaked ? "the canary is out" : "it is hidden",
		         (int)(c->printed.length < 2000 ? c->printed.length : 2000),
		         c->printed.data);
	if (!hides) {
		c->shown++;
		return;
	}
	c->hidden++;
	/* A length is told of everything but a PIN. */
	char length[40];
	int size = snprintf(length, sizeof(length), "\", \"len\": %zu", canaries[canary].length);
	assert_true(is_in(c, length, (size_t)size) == (secrecy != TAPE_S_PIN));
}

/* ---- a call --------------------------------------------------------------------------------- */

static uint64_t class_of_all(void *context, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	(void)session;
	(void)object;
	return ((struct cage *)context)->class;
}

static struct tape_capture begin_call(struct cage *c)
{
	tape_arena_reset(&c->arena);
	tape_secrets_forget(&c->secrets);
	c->printed.length = 0;
	return (struct tape_capture){ .arena = &c->arena,
		                      .secrets = &c->secrets,
		                      .redact = c->policy,
		                      .snapshot = true,
		                      .images = true,
		                      .object_class = class_of_all,
		                      .context = c };
}

/* Print a call's inputs, let `act` be the module, and print its outputs. */
static void make_call(struct cage *c, enum tape_function_id id, const uintptr_t *words, CK_RV rv,
                      void (*act)(void *), void *context)
{
	const struct tape_function *function = &tape_functions[id];
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	struct tape_capture capture = begin_call(c);
	tape_capture_in(&capture, function, words, in);
	tape_print_values(&c->printed, function, in, false);
	if (act != NULL)
		act(context);
	tape_capture_out(&capture, function, words, in, rv, out);
	tape_print_values(&c->printed, function, out, true);
	assert_false(c->printed.failed);
}

static void *fresh(struct cage *c, size_t size)
{
	void *memory = tape_arena_get(&c->memory, size);
	assert_non_null(memory);
	memset(memory, 0, size);
	return memory;
}

struct written {
	void *to;
	CK_ULONG *length;
	size_t canary;
};

static void write_canary(void *context)
{
	struct written *written = context;
	memcpy(written->to, canaries[written->canary].bytes, canaries[written->canary].length);
	*written->length = (CK_ULONG)canaries[written->canary].length;
}

static void nothing(void *context)
{
	(void)context;
}

/* ---- arguments ------------------------------------------------------------------------------ */

static enum tape_secrecy secrecy_of(const struct tape_shape *shape)
{
	if (shape->codec == TAPE_C_SECRET)
		return TAPE_S_PIN;
	if ((shape->traits & TAPE_T_KEYS) != 0)
		return TAPE_S_SECRET;
	return (shape->traits & TAPE_T_DATA) != 0 ? TAPE_S_DATA : TAPE_S_PLAIN;
}

static void plant_argument(struct cage *c, enum tape_function_id id, size_t i, size_t canary)
{
	const struct tape_argument *argument = &tape_functions[id].arguments[i];
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	CK_ULONG length = LONGEST;
	struct written written = { fresh(c, LONGEST), &length, canary };
	bool out = (shape->traits & TAPE_T_OUT) != 0;
	words[argument->word] = (uintptr_t)(out ? written.to : canaries[canary].bytes);
	words[argument->word + 1] = out ? (uintptr_t)&length : canaries[canary].length;
	make_call(c, id, words, CKR_OK, out ? write_canary : nothing, &written);
	judge(c, canary, secrecy_of(shape));
}

static void arguments_are_hidden(void **state)
{
	struct cage *c = *state;
	size_t counts[TAPE_S_BY_CLASS] = { 0 };
	for (size_t f = 0; f < TAPE_FN_COUNT; f++)
		for (size_t i = 0; i < tape_functions[f].count; i++) {
			const struct tape_argument *argument = &tape_functions[f].arguments[i];
			enum tape_secrecy secrecy = secrecy_of(&tape_shapes[argument->kind]);
			counts[secrecy]++;
			for (size_t p = 0; secrecy != TAPE_S_PLAIN && p < 4; p++)
				for (size_t canary = 0; canary < 3; canary++) {
					snprintf(c->what, sizeof(c->what), "%s, %s",
					         tape_functions[f].name.text, argument->key.text);
					tape_arena_reset(&c->memory);
					c->policy = policies[p];
					plant_argument(c, (enum tape_function_id)f, i, canary);
				}
		}
	/* C_InitToken, C_InitPIN, C_SetPIN twice, C_Login, C_LoginUser. */
	assert_int_equal(counts[TAPE_S_PIN], 6);
	assert_int_equal(counts[TAPE_S_SECRET], 2);
	assert_in_range(counts[TAPE_S_DATA], 27, 40);
}

/* ---- attributes ----------------------------------------------------------------------------- */

static void plant_attribute(struct cage *c, CK_ATTRIBUTE_TYPE type, size_t canary,
                            enum tape_secrecy secrecy)
{
	const unsigned char *bytes = canaries[canary].bytes;
	CK_ULONG length = (CK_ULONG)canaries[canary].length;
	CK_ATTRIBUTE entry = { type, (void *)(uintptr_t)bytes, length };
	CK_ATTRIBUTE nest = { CKA_UNWRAP_TEMPLATE, &entry, sizeof(entry) };

	/* Given: in every template that a function takes, and in one within it. */
	for (size_t f = 0; f < TAPE_FN_COUNT; f++)
		for (size_t i = 0; i < tape_functions[f].count; i++) {
			const struct tape_argument *argument = &tape_functions[f].arguments[i];
			const struct tape_shape *shape = &tape_shapes[argument->kind];
			if (shape->codec != TAPE_C_TEMPLATE || (shape->traits & TAPE_T_OUT) != 0)
				continue;
			for (size_t nested = 0; nested < 2; nested++) {
				uintptr_t words[TAPE_MAX_WORDS] = { 0 };
				words[argument->word] = (uintptr_t)(nested ? &nest : &entry);
				words[argument->word + 1] = 1;
				make_call(c, (enum tape_function_id)f, words, CKR_OK, NULL, NULL);
				judge(c, canary, secrecy);
			}
		}
	/* In a template behind a mechanism's parameter. */
	CK_DERIVED_KEY more = { &entry, 1, NULL };
	CK_SP800_108_KDF_PARAMS kdf = { .prfType = CKM_SHA256_HMAC,
		                        .ulAdditionalDerivedKeys = 1,
		                        .pAdditionalDerivedKeys = &more };
	CK_MECHANISM mechanism = { CKM_SP800_108_COUNTER_KDF, &kdf, sizeof(kdf) };
	uintptr_t derive[TAPE_MAX_WORDS] = { 1, (uintptr_t)&mechanism };
	make_call(c, TAPE_FN_C_DeriveKey, derive, CKR_OK, NULL, NULL);
	judge(c, canary, secrecy);
	/* Read, well and in part. */
	for (size_t half = 0; half < 2; half++) {
		unsigned char *room = fresh(c, LONGEST);
		CK_ATTRIBUTE read = { type, room, LONGEST };
		struct written written = { room, &read.ulValueLen, canary };
		uintptr_t words[] = { 1, 2, (uintptr_t)&read, 1 };
		make_call(c, TAPE_FN_C_GetAttributeValue, words,
		          half ? CKR_ATTRIBUTE_SENSITIVE : CKR_OK, write_canary, &written);
		judge(c, canary, secrecy);
		/* Within another one, whose types the module fills in. */
		CK_ATTRIBUTE outer = { CKA_UNWRAP_TEMPLATE, &read, sizeof(read) };
		read = (CK_ATTRIBUTE){ type, fresh(c, LONGEST), LONGEST };
		written.to = read.pValue;
		words[2] = (uintptr_t)&outer;
		make_call(c, TAPE_FN_C_GetAttributeValue, words,
		          half ? CKR_ATTRIBUTE_SENSITIVE : CKR_OK, write_canary, &written);
		judge(c, canary, secrecy);
	}
}

static void key_material_is_hidden(void **state)
{
	struct cage *c = *state;
	size_t rows = 0;
	c->class = TAPE_CLASS_UNKNOWN;
	for (size_t a = 0; a <= tape_attribute_count; a++) {
		/* Last a type that nobody knows: it may be a key. */
		uint64_t type = a < tape_attribute_count ? tape_attributes[a].value : 0x80007777;
		const struct tape_attribute *row = tape_attribute_find(type);
		if (row != NULL && (row->secrecy == TAPE_S_PLAIN || row != &tape_attributes[a]))
			continue;
		rows++;
		for (size_t p = 0; p < 4; p++)
			for (size_t canary = 0; canary < 3; canary++) {
				snprintf(c->what, sizeof(c->what), "attribute 0x%llx",
				         (unsigned long long)type);
				tape_arena_reset(&c->memory);
				c->policy = policies[p];
				plant_attribute(c, (CK_ATTRIBUTE_TYPE)type, canary, TAPE_S_SECRET);
			}
	}
	assert_in_range(rows, 35, 60);
}

/* What CKA_VALUE is, the class says: in the template, asked for with it, or known from before. */
static void a_value_is_what_its_class_says(void **state)
{
	static const CK_OBJECT_CLASS classes[] = {
#define CLASS(name, secrecy) name,
#include "core/api/classes.def"
#undef CLASS
		CKO_VENDOR_DEFINED + 4711,
	};
	struct cage *c = *state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(classes) * 4 * 2; i++) {
		CK_OBJECT_CLASS class = classes[i / 8];
		enum tape_secrecy secrecy = tape_class_secrecy(class);
		CK_ATTRIBUTE value = { CKA_VALUE, binary, sizeof(binary) };
		CK_ATTRIBUTE is = { CKA_CLASS, &class, sizeof(class) };
		CK_ATTRIBUTE given[2] = { i % 2 ? value : is, i % 2 ? is : value };
		uintptr_t words[TAPE_MAX_WORDS] = { 1, (uintptr_t)given, 2 };
		c->policy = policies[i / 2 % 4];
		c->class = TAPE_CLASS_UNKNOWN;
		snprintf(c->what, sizeof(c->what), "class 0x%lx", class);
		make_call(c, TAPE_FN_C_CreateObject, words, CKR_OK, NULL, NULL);
		judge(c, 0, secrecy);

		/* Read with its class. */
		unsigned char room[sizeof(binary)];
		CK_OBJECT_CLASS got = class;
		CK_ATTRIBUTE read[2] = { { CKA_CLASS, &got, sizeof(got) },
			                 { CKA_VALUE, room, sizeof(room) } };
		uintptr_t get[] = { 1, 2, (uintptr_t)read, 2 };
		struct written written = { room, &read[1].ulValueLen, 0 };
		make_call(c, TAPE_FN_C_GetAttributeValue, get, CKR_OK, write_canary, &written);
		judge(c, 0, secrecy);
		/* What the caller had in CKA_CLASS, where the module wrote nothing, says nothing. */
		memset(room, 0, sizeof(room));
		read[1].ulValueLen = sizeof(room);
		make_call(c, TAPE_FN_C_GetAttributeValue, get, CKR_ATTRIBUTE_SENSITIVE,
		          write_canary, &written);
		judge(c, 0, TAPE_S_SECRET);

		/* Known from before; what the template says counts for more. */
		c->class = class;
		get[2] = (uintptr_t)&read[1];
		get[3] = 1;
		memset(room, 0, sizeof(room));
		make_call(c, TAPE_FN_C_GetAttributeValue, get, CKR_OK, write_canary, &written);
		judge(c, 0, secrecy);
		uintptr_t set[] = { 1, 2, (uintptr_t)&value, 1 };
		make_call(c, TAPE_FN_C_SetAttributeValue, set, CKR_OK, NULL, NULL);
		judge(c, 0, secrecy);
		/* It is known of the object that is read, not of one that is made. */
		words[1] = (uintptr_t)&value;
		words[2] = 1;
		make_call(c, TAPE_FN_C_CreateObject, words, CKR_OK, NULL, NULL);
		judge(c, 0, TAPE_S_SECRET);
	}
	/* Nor where nobody looked what stood there: a length that changed is no class. */
	CK_OBJECT_CLASS stale[2] = { CKO_CERTIFICATE, 0 };
	unsigned char given[sizeof(binary)];
	CK_ATTRIBUTE both[2] = { { CKA_CLASS, stale, sizeof(stale) },
		                 { CKA_VALUE, given, sizeof(given) + 1 } };
	uintptr_t failing[] = { 1, 2, (uintptr_t)both, 2 };
	const struct tape_function *get = &tape_functions[TAPE_FN_C_GetAttributeValue];
	struct tape_value in[TAPE_MAX_ARGUMENTS];
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	c->class = TAPE_CLASS_UNKNOWN;
	c->policy = TAPE_REDACT_SECRET;
	struct tape_capture capture = begin_call(c);
	capture.snapshot = false;
	tape_capture_in(&capture, get, failing, in);
	both[0].ulValueLen = sizeof(*stale);
	memcpy(given, binary, sizeof(given));
	both[1].ulValueLen = sizeof(given);
	tape_capture_out(&capture, get, failing, in, CKR_ATTRIBUTE_SENSITIVE, out);
	tape_print_values(&c->printed, get, out, true);
	strcpy(c->what, "a class that nobody wrote");
	judge(c, 0, TAPE_S_SECRET);

	/* Two classes are none, and neither is half of one. */
	CK_OBJECT_CLASS certificate = CKO_CERTIFICATE;
	CK_OBJECT_CLASS key = CKO_SECRET_KEY;
	CK_ATTRIBUTE odd[] = { { CKA_CLASS, &certificate, sizeof(certificate) },
		               { CKA_VALUE, binary, sizeof(binary) },
		               { CKA_CLASS, &key, sizeof(key) } };
	uintptr_t words[TAPE_MAX_WORDS] = { 1, (uintptr_t)odd, 3 };
	c->class = TAPE_CLASS_UNKNOWN;
	for (size_t p = 0; p < 4; p++) {
		c->policy = policies[p];
		words[2] = 3;
		odd[0].ulValueLen = sizeof(certificate);
		make_call(c, TAPE_FN_C_CreateObject, words, CKR_OK, NULL, NULL);
		judge(c, 0, TAPE_S_SECRET);
		words[2] = 2;
		odd[0].ulValueLen = 1;
		make_call(c, TAPE_FN_C_CreateObject, words, CKR_OK, NULL, NULL);
		judge(c, 0, TAPE_S_SECRET);
	}
}

/* ---- structures ----------------------------------------------------------------------------- */

static CK_ULONG behind; /* the length behind a pointer of its own */

struct planted {
	size_t wanted; /* which of the secret fields below a structure */
	size_t met;
	enum tape_secrecy secrecy;
	struct written written;
	bool writes;
};

static enum tape_secrecy field_secrecy(const struct tape_field *field)
{
	if (field->kind == TAPE_F_P_SECRET || field->kind == TAPE_F_P_SECRET_AT ||
	    (field->kind == TAPE_F_P_VARIANT && field->detail != 0))
		return TAPE_S_PIN;
	if (field->kind == TAPE_F_P_BYTES || field->kind == TAPE_F_P_BYTES_AT)
		return (enum tape_secrecy)field->detail;
	return TAPE_S_PLAIN;
}

static void put_pointer(unsigned char *at, const void *pointer)
{
	memcpy(at, &pointer, sizeof(pointer));
}

static void put_length(unsigned char *at, size_t length)
{
	CK_ULONG number = (CK_ULONG)length;
	memcpy(at, &number, sizeof(number));
}

static unsigned char *fill_record(struct cage *c, enum tape_record_id id, size_t canary,
                                  struct planted *planted, unsigned char *memory)
{
	if (memory == NULL)
		memory = fresh(c, tape_records[id].size);
	for (size_t i = 0; i < tape_records[id].count; i++) {
		const struct tape_field *field = &tape_fields[tape_records[id].first + i];
		unsigned char *at = memory + field->offset;
		if (field->kind == TAPE_F_STRUCT) {
			fill_record(c, (enum tape_record_id)field->detail, canary, planted, at);
		} else if (field->kind == TAPE_F_P_STRUCT || field->kind == TAPE_F_P_STRUCTS) {
			put_pointer(at, fill_record(c, (enum tape_record_id)field->detail, canary,
			                            planted, NULL));
			if (field->kind == TAPE_F_P_STRUCTS)
				put_length(memory + field->extent, 1);
		}
		enum tape_secrecy secrecy = field_secrecy(field);
		if (secrecy == TAPE_S_PLAIN || planted->met++ != planted->wanted)
			continue;
		planted->secrecy = secrecy;
		size_t length = canaries[canary].length;
		const void *bytes = canaries[canary].bytes;
		if (field->direction != TAPE_D_IN) {
			/* What the module writes; what it reads there must not be out either. */
			planted->writes = true;
			bytes = fresh(c, length + 1);
			planted->written =
				(struct written){ (void *)(uintptr_t)bytes, &behind, canary };
		}
		put_pointer(at, bytes);
		behind = (CK_ULONG)length;
		if (field->kind == TAPE_F_P_SECRET_AT || field->kind == TAPE_F_P_BYTES_AT)
			put_pointer(memory + field->extent, &behind);
		else
			put_length(memory + field->extent, length);
		if (field->kind == TAPE_F_P_VARIANT)
			put_length(memory, field->detail);
	}
	return memory;
}

static void plant_fields(struct cage *c, const struct tape_mechanism *row,
                         enum tape_record_id record, enum tape_function_id id, bool *done)
{
	for (size_t wanted = 0;; wanted++)
		for (size_t i = 0; i < (size_t)4 * 3; i++) {
			struct planted planted = { .wanted = wanted };
			c->policy = policies[i % 4];
			tape_arena_reset(&c->memory);
			unsigned char *memory = fill_record(c, record, i / 4, &planted, NULL);
			if (planted.met <= wanted)
				return;
			done[record] = true;
			CK_MECHANISM mechanism = { (CK_MECHANISM_TYPE)row->value, memory,
				                   tape_records[record].size };
			uintptr_t words[TAPE_MAX_WORDS] = { 1, (uintptr_t)&mechanism };
			snprintf(c->what, sizeof(c->what), "%s, %s, secret %zu", row->name.text,
			         tape_records[record].name.text, wanted);
			make_call(c, id, words, CKR_OK, planted.writes ? write_canary : NULL,
			          &planted.written);
			judge(c, i / 4, planted.secrecy);
		}
}

static void parameters_are_hidden(void **state)
{
	struct cage *c = *state;
	bool done[TAPE_R_COUNT] = { false };
	size_t count = 0;
	for (size_t m = 0; m < tape_mechanism_count; m++) {
		const struct tape_mechanism *row = &tape_mechanisms[m];
		if (tape_mechanism_find(row->value) != row)
			continue;
		plant_fields(c, row, (enum tape_record_id)row->record, TAPE_FN_C_DeriveKey, done);
		plant_fields(c, row, (enum tape_record_id)row->other_record, TAPE_FN_C_GenerateKey,
		             done);
		plant_fields(c, row, (enum tape_record_id)row->wrap_record, TAPE_FN_C_WrapKey,
		             done);
	}
	for (size_t id = 1; id < TAPE_R_COUNT; id++) {
		bool secret = false;
		for (size_t i = 0; i < tape_records[id].count; i++)
			secret |= field_secrecy(&tape_fields[tape_records[id].first + i]) !=
			          TAPE_S_PLAIN;
		/* One that stands in others only was met there. */
		if (secret && !done[id] && id != TAPE_R_CK_OTP_PARAM)
			fail_msg("%s came up nowhere", tape_records[id].name.text);
		count += done[id];
	}
	assert_in_range(count, 17, 40);

	/* A parameter that nobody can read may have anything in it. */
	for (size_t i = 0; i < (size_t)4 * 3; i++) {
		CK_MECHANISM mechanism = { CKM_VENDOR_DEFINED + 4711,
			                   (void *)(uintptr_t)canaries[i / 4].bytes,
			                   canaries[i / 4].length };
		uintptr_t words[TAPE_MAX_WORDS] = { 1, (uintptr_t)&mechanism };
		c->policy = policies[i % 4];
		strcpy(c->what, "an unknown parameter");
		make_call(c, TAPE_FN_C_DeriveKey, words, CKR_OK, NULL, NULL);
		judge(c, i / 4, TAPE_S_SECRET);
		/* And what the module makes of it. */
		unsigned char *changed = fresh(c, canaries[i / 4].length);
		CK_ULONG length;
		struct written written = { changed, &length, i / 4 };
		mechanism.pParameter = changed;
		make_call(c, TAPE_FN_C_DeriveKey, words, CKR_OK, write_canary, &written);
		judge(c, i / 4, TAPE_S_SECRET);
	}
}

/* ---- names ---------------------------------------------------------------------------------- */

static const char *name_of(struct cage *c, enum tape_secrecy secrecy, const char *secret)
{
	return tape_secret_name(&c->secrets, secrecy, secret, strlen(secret), &c->arena);
}

static void equal_secrets_have_one_name(void **state)
{
	struct cage *c = *state;
	begin_call(c);
	assert_string_equal(name_of(c, TAPE_S_PIN, "1234"), "pin-1");
	assert_string_equal(name_of(c, TAPE_S_SECRET, "key"), "value-1");
	assert_string_equal(name_of(c, TAPE_S_DATA, "hello"), "data-1");
	assert_string_equal(name_of(c, TAPE_S_DATA, "1234"), "pin-1");
	assert_string_equal(name_of(c, TAPE_S_DATA, "key"), "value-1");
	assert_string_equal(name_of(c, TAPE_S_SECRET, "hello"), "data-1");
	assert_string_equal(name_of(c, TAPE_S_SECRET, "another"), "value-2");
	tape_secrets_forget(&c->secrets);
	assert_string_equal(name_of(c, TAPE_S_SECRET, "another"), "value-1");
}

/* Data may run out; PINs and keys are told apart all the same. */
static void there_are_only_so_many_names(void **state)
{
	struct cage *c = *state;
	static const struct {
		enum tape_secrecy secrecy;
		unsigned int limit;
	} sorts[] = { { TAPE_S_DATA, TAPE_MAX_DATA },
		      { TAPE_S_SECRET, TAPE_MAX_VALUES },
		      { TAPE_S_PIN, TAPE_MAX_PINS } };
	char secret[40];
	begin_call(c);
	for (size_t s = 0; s < TAPE_ARRAY_SIZE(sorts); s++) {
		for (unsigned int i = 1; i <= sorts[s].limit + 10; i++) {
			char number[16];
			snprintf(secret, sizeof(secret), "%zu %u", s, i);
			snprintf(number, sizeof(number), "-%u", i);
			const char *name = name_of(c, sorts[s].secrecy, secret);
			assert_non_null(name);
			if (i > sorts[s].limit)
				assert_string_equal(name, "many");
			else
				assert_string_equal(strchr(name, '-'), number);
		}
		snprintf(secret, sizeof(secret), "%zu %u", s, sorts[s].limit / 2);
		assert_int_equal(
			strtol(strchr(name_of(c, sorts[s].secrecy, secret), '-') + 1, NULL, 10),
			sorts[s].limit / 2);
	}
	assert_int_equal(c->secrets.count, TAPE_MAX_SECRETS);
	tape_secrets_forget(&c->secrets);
}

static void policies_have_words(void **state)
{
	static const char *const bad[] = { "",           "all",     "plaintext",
		                           "pin,secret", "secret,", "SECRET",
		                           " pin ",      "pin\n",   "secret, plaintext" };
	unsigned int policy;
	(void)state;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(policies); i++) {
		assert_true(tape_redact_read(tape_redact_text(policies[i]), &policy));
		assert_int_equal(policy, policies[i]);
	}
	assert_true(tape_redact_read("plaintext,secret", &policy));
	assert_string_equal(tape_redact_text(policy), "secret,plaintext");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(bad); i++)
		assert_false(tape_redact_read(bad[i], &policy));
}

/* ---- what a replay makes of names ------------------------------------------------------------ */

static struct tape_value secret_of(const char *name, size_t length)
{
	return (struct tape_value){ .form = TAPE_V_SECRET,
		                    .stated = length != 0,
		                    .number = length,
		                    .data = name,
		                    .length = strlen(name) };
}

/* Whether C_Digest with this data is the recorded one. */
static bool accepts(struct tape_bindings *bindings, unsigned int part, const char *name,
                    size_t length, const void *data, size_t size)
{
	const struct tape_function *function = &tape_functions[TAPE_FN_C_Digest];
	struct tape_compare compare = { .bindings = bindings, .part = part, .bind = true };
	struct tape_value recorded[TAPE_MAX_ARGUMENTS] = { { .form = TAPE_V_NUMBER } };
	struct tape_value live[TAPE_MAX_ARGUMENTS] = { { .form = TAPE_V_NUMBER } };
	recorded[1] = secret_of(name, length);
	live[1] = (struct tape_value){ .form = TAPE_V_BYTES, .data = data, .length = size };
	return tape_compare_in(&compare, function, recorded, live) < 0;
}

static void a_name_is_one_value_in_both_directions(void **state)
{
	struct tape_bindings bindings = { .key = { 1, 2 } };
	unsigned char got[32];
	unsigned char other[32];
	struct tape_value one = secret_of("value-1", 16);
	struct tape_value eleven = secret_of("value-11", 16);
	struct tape_value data = secret_of("data-1", 5);
	struct tape_value many = secret_of("many", 16);
	(void)state;

	/* Out, then in: what was made up comes back, and nothing else is taken for it. */
	assert_int_equal(tape_bindings_fill(&bindings, 1, &one, got, 16), 16);
	assert_int_equal(tape_bindings_fill(&bindings, 1, &eleven, other, 16), 16);
	assert_memory_not_equal(got, other, 16);
	assert_true(accepts(&bindings, 1, "value-1", 16, got, 16));
	assert_false(accepts(&bindings, 1, "value-1", 16, other, 16));
	assert_false(accepts(&bindings, 1, "value-2", 16, other, 16));
	assert_int_equal(tape_bindings_fill(&bindings, 1, &one, other, 16), 16);
	assert_memory_equal(got, other, 16);
	/* In every replay the same, and in another part another name. */
	struct tape_bindings again = { .key = { 3, 4 } };
	tape_bindings_fill(&again, 1, &one, other, 16);
	assert_memory_equal(got, other, 16);
	tape_bindings_done(&again);
	assert_true(accepts(&bindings, 2, "value-1", 16, "sixteen bytes ..", 16));

	/* In, then out: what the program presented. */
	assert_false(accepts(&bindings, 1, "data-1", 5, "hell", 4));
	assert_true(accepts(&bindings, 1, "data-1", 5, "hello", 5));
	assert_false(accepts(&bindings, 1, "data-2", 5, "hello", 5));
	assert_int_equal(tape_bindings_fill(&bindings, 1, &data, got, 5), 0);
	assert_memory_equal(got, "hello", 5);
	/* Short strings are alike by chance. */
	struct tape_value byte = secret_of("data-3", 1);
	assert_int_equal(tape_bindings_fill(&bindings, 1, &byte, got, 1), 1);
	assert_true(accepts(&bindings, 1, "data-4", 1, got, 1));
	/* What could not be told apart stands for anything of its length. */
	assert_int_equal(tape_bindings_fill(&bindings, 1, &many, got, 16), 16);
	assert_true(accepts(&bindings, 1, "many", 5, "hello", 5));
	assert_true(accepts(&bindings, 1, "many", 5, "world", 5));
	assert_false(accepts(&bindings, 1, "many", 5, "worlds", 6));
	/* Told beforehand. */
	assert_int_equal(tape_bindings_add(&bindings, "value-9", 7, "0123456789abcdef", 16), 0);
	struct tape_value nine = secret_of("value-9", 16);
	assert_int_equal(tape_bindings_fill(&bindings, 1, &nine, got, 16), 0);
	assert_memory_equal(got, "0123456789abcdef", 16);
	tape_bindings_done(&bindings);
}

static void thousands_of_names_are_bound(void **state)
{
	struct tape_bindings bindings = { .key = { 5, 6 } };
	char name[32];
	(void)state;
	for (unsigned int pass = 0; pass < 2; pass++)
		for (unsigned int i = 1; i <= TAPE_MAX_DATA; i++) {
			snprintf(name, sizeof(name), "data-%u", i);
			assert_true(accepts(&bindings, 1, name, sizeof(i), &i, sizeof(i)));
		}
	unsigned int seven = 7;
	assert_false(accepts(&bindings, 1, "data-8", sizeof(seven), &seven, sizeof(seven)));
	assert_false(accepts(&bindings, 1, "data-9999", sizeof(seven), &seven, sizeof(seven)));
	assert_int_equal(bindings.count, TAPE_MAX_DATA);
	assert_int_equal(bindings.bytes, TAPE_MAX_DATA * sizeof(unsigned int));
	tape_bindings_done(&bindings);
}

/* ---- what the recorder knows of objects ------------------------------------------------------ */

static struct tape_state *objects_state;

/* A call through the recorder's eyes: `words` with their outputs as the module left them. */
static void happens(struct cage *c, enum tape_function_id id, const uintptr_t *words, CK_RV rv,
                    void (*act)(void *), void *context)
{
	static struct tape_call call;
	struct tape_value out[TAPE_MAX_ARGUMENTS];
	c->policy = TAPE_REDACT_SECRET;
	call.function = &tape_functions[id];
	call.words = words;
	call.state = objects_state;
	call.capture = begin_call(c);
	tape_capture_in(&call.capture, call.function, words, call.in);
	tape_objects_enter(&call);
	if (act != NULL)
		act(context);
	tape_capture_out(&call.capture, call.function, words, call.in, rv, out);
	tape_objects_leave(&call, out, rv);
}

static uint64_t known(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	return tape_objects_class(objects_state, session, object);
}

static void opens(struct cage *c, CK_SLOT_ID slot, CK_SESSION_HANDLE session)
{
	const uintptr_t words[] = { slot, CKF_SERIAL_SESSION, 0, 0, (uintptr_t)&session };
	happens(c, TAPE_FN_C_OpenSession, words, CKR_OK, NULL, NULL);
}

static void finds(struct cage *c, CK_SESSION_HANDLE session, const CK_OBJECT_CLASS *class,
                  CK_OBJECT_HANDLE object)
{
	CK_ATTRIBUTE template = { CKA_CLASS, (void *)(uintptr_t) class, sizeof(*class) };
	CK_ULONG count = 1;
	const uintptr_t begin[] = { session, (uintptr_t) & template, class == NULL ? 0 : 1 };
	const uintptr_t next[] = { session, (uintptr_t)&object, 1, (uintptr_t)&count };
	happens(c, TAPE_FN_C_FindObjectsInit, begin, CKR_OK, NULL, NULL);
	happens(c, TAPE_FN_C_FindObjects, next, CKR_OK, NULL, NULL);
}

static void creates(struct cage *c, enum tape_function_id id, CK_SESSION_HANDLE session,
                    CK_OBJECT_CLASS class, CK_OBJECT_HANDLE object, CK_RV rv)
{
	CK_ATTRIBUTE template = { CKA_CLASS, &class, sizeof(class) };
	uintptr_t words[TAPE_MAX_WORDS] = { session };
	const struct tape_function *function = &tape_functions[id];
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (argument->kind == TAPE_K_OUT_OBJECT)
			words[argument->word] = (uintptr_t)&object;
		if (tape_shapes[argument->kind].codec == TAPE_C_TEMPLATE) {
			words[argument->word] = (uintptr_t) & template;
			words[argument->word + 1] = 1;
		}
	}
	happens(c, id, words, rv, NULL, NULL);
}

static void put_class(void *context)
{
	*(CK_OBJECT_CLASS *)context = CKO_CERTIFICATE;
}

static void a_class_is_known_until_its_handle_is_given_again(void **state)
{
	static const CK_OBJECT_CLASS certificate = CKO_CERTIFICATE;
	struct cage *c = *state;
	objects_state = calloc(1, sizeof(*objects_state));
	assert_non_null(objects_state);

	assert_int_equal(known(1, 5), TAPE_CLASS_UNKNOWN);
	opens(c, 10, 1);
	opens(c, 10, 2);
	opens(c, 11, 3);
	finds(c, 1, &certificate, 5);
	assert_int_equal(known(1, 5), CKO_CERTIFICATE);
	/* A handle is its token's: for all of the token's sessions, and no others. */
	assert_int_equal(known(2, 5), CKO_CERTIFICATE);
	assert_int_equal(known(3, 5), TAPE_CLASS_UNKNOWN);
	assert_int_equal(known(4, 5), TAPE_CLASS_UNKNOWN);
	assert_int_equal(known(1, 6), TAPE_CLASS_UNKNOWN);
	for (CK_SLOT_ID slot = 11; slot < 20000; slot++) {
		opens(c, slot, 3);
		assert_int_equal(known(3, 5), TAPE_CLASS_UNKNOWN);
	}
	/* A session's number comes back for another slot. */
	opens(c, 11, 2);
	assert_int_equal(known(2, 5), TAPE_CLASS_UNKNOWN);

	/* Whoever gives the handle out again says what it is, or makes it unknown. */
	finds(c, 1, NULL, 5);
	assert_int_equal(known(1, 5), TAPE_CLASS_UNKNOWN);
	static const enum tape_function_id makers[] = {
		TAPE_FN_C_GenerateKey,  TAPE_FN_C_DeriveKey,      TAPE_FN_C_UnwrapKey,
		TAPE_FN_C_CreateObject, TAPE_FN_C_EncapsulateKey, TAPE_FN_C_DecapsulateKey,
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(makers); i++) {
		finds(c, 1, &certificate, 5);
		creates(c, makers[i], 1, CKO_SECRET_KEY, 5, CKR_OK);
		assert_int_equal(known(1, 5), CKO_SECRET_KEY);
	}
	finds(c, 1, &certificate, 5);
	creates(c, TAPE_FN_C_GenerateKeyPair, 1, CKO_PRIVATE_KEY, 5, CKR_OK);
	assert_int_equal(known(1, 5), TAPE_CLASS_UNKNOWN);
	finds(c, 1, &certificate, 5);
	creates(c, TAPE_FN_C_CreateObject, 1, CKO_CERTIFICATE, 5, CKR_DEVICE_ERROR);
	assert_int_equal(known(1, 5), CKO_CERTIFICATE);
	/* From a session whose slot nobody saw: nothing is certain. */
	creates(c, TAPE_FN_C_CreateObject, 99, CKO_SECRET_KEY, 5, CKR_OK);
	assert_int_equal(known(1, 5), TAPE_CLASS_UNKNOWN);

	/* A key that a mechanism's parameter hands out. */
	finds(c, 1, &certificate, 5);
	CK_SSL3_KEY_MAT_OUT keys = { .hClientMacSecret = 5 };
	CK_SSL3_KEY_MAT_PARAMS parameter = { .pReturnedKeyMaterial = &keys };
	CK_MECHANISM mechanism = { CKM_SSL3_KEY_AND_MAC_DERIVE, &parameter, sizeof(parameter) };
	const uintptr_t derive[] = { 1, (uintptr_t)&mechanism, 3, 0, 0, 0 };
	happens(c, TAPE_FN_C_DeriveKey, derive, CKR_OK, NULL, NULL);
	assert_int_equal(known(1, 5), TAPE_CLASS_UNKNOWN);

	/* A copy is what its source is. */
	finds(c, 1, &certificate, 5);
	CK_OBJECT_HANDLE copy = 6;
	const uintptr_t words[] = { 1, 5, 0, 0, (uintptr_t)&copy };
	happens(c, TAPE_FN_C_CopyObject, words, CKR_OK, NULL, NULL);
	assert_int_equal(known(1, 6), CKO_CERTIFICATE);

	/* The class that was read; not what stood there before. */
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_ATTRIBUTE read = { CKA_CLASS, &class, sizeof(class) };
	const uintptr_t get[] = { 1, 7, (uintptr_t)&read, 1 };
	happens(c, TAPE_FN_C_GetAttributeValue, get, CKR_OBJECT_HANDLE_INVALID, NULL, NULL);
	assert_int_equal(known(1, 7), TAPE_CLASS_UNKNOWN);
	class = CKO_DATA;
	happens(c, TAPE_FN_C_GetAttributeValue, get, CKR_OK, put_class, &class);
	assert_int_equal(known(1, 7), CKO_CERTIFICATE);

	/* More objects than there is room for: some are forgotten, none is taken for another. */
	for (CK_OBJECT_HANDLE i = 100; i < 20000; i++)
		creates(c, TAPE_FN_C_CreateObject, 1, CKO_DATA + i % 3, i, CKR_OK);
	size_t kept = 0;
	for (CK_OBJECT_HANDLE i = 100; i < 20000; i++) {
		uint64_t is = known(1, i);
		kept += is != TAPE_CLASS_UNKNOWN;
		assert_true(is == TAPE_CLASS_UNKNOWN || is == CKO_DATA + i % 3);
	}
	assert_in_range(kept, 1000, 10000);
	free(objects_state);
}

/* ---- before and after ----------------------------------------------------------------------- */

static int begin(void **state)
{
	struct cage *c = calloc(1, sizeof(*c));
	uint64_t dice = 20261121;
	assert_non_null(c);
	for (size_t i = 0; i < LONGEST; i++) {
		dice = dice * 6364136223846793005u + 1442695040888963407u;
		large[i] = (unsigned char)(dice >> 56);
	}
	memcpy(binary, large + 1000, sizeof(binary));
	memcpy(large + 1000, large, sizeof(binary));
	tape_arena_init(&c->arena, NULL, 0, ARENA_LIMIT);
	tape_arena_init(&c->memory, NULL, 0, ARENA_LIMIT);
	tape_buf_init(&c->printed, NULL, 0, ARENA_LIMIT);
	assert_int_equal(tape_secrets_init(&c->secrets, &c->lock), 0);
	*state = c;
	return 0;
}

static int end(void **state)
{
	struct cage *c = *state;
	print_message("%zu times hidden, %zu times shown\n", c->hidden, c->shown);
	tape_arena_done(&c->arena);
	tape_arena_done(&c->memory);
	tape_buf_done(&c->printed);
	free(c);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_hidden),
		cmocka_unit_test(key_material_is_hidden),
		cmocka_unit_test(a_value_is_what_its_class_says),
		cmocka_unit_test(parameters_are_hidden),
		cmocka_unit_test(equal_secrets_have_one_name),
		cmocka_unit_test(there_are_only_so_many_names),
		cmocka_unit_test(policies_have_words),
		cmocka_unit_test(a_name_is_one_value_in_both_directions),
		cmocka_unit_test(thousands_of_names_are_bound),
		cmocka_unit_test(a_class_is_known_until_its_handle_is_given_again),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
