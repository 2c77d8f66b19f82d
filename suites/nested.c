/* SPDX-License-Identifier: MIT
 *
 * Attributes that are arrays of attributes (PKCS#11 3.1 §5.7.5): CKA_WRAP_TEMPLATE and its kind. They are read in
 * three steps: how long the array is, which types and lengths it has, the values.
 */
#include <string.h>

#include "suites/specimen.h"

#define MAX_INNER 4

static const struct array {
	const char *name;
	CK_ATTRIBUTE_TYPE type;
	enum object_kind kind; /* of a key that has it */
	unsigned int since;
} arrays[] = {
	{ "wrap-template/aes", CKA_WRAP_TEMPLATE, OBJECT_AES, 0 },
	{ "unwrap-template/aes", CKA_UNWRAP_TEMPLATE, OBJECT_AES, 0 },
	{ "derive-template/aes", CKA_DERIVE_TEMPLATE, OBJECT_AES, SPEC(2, 40) },
	{ "wrap-template/rsa-public", CKA_WRAP_TEMPLATE, OBJECT_RSA_PUBLIC, 0 },
	{ "unwrap-template/rsa-private", CKA_UNWRAP_TEMPLATE, OBJECT_RSA_PRIVATE, 0 },
	{ "derive-template/ec-private", CKA_DERIVE_TEMPLATE, OBJECT_EC_PRIVATE, SPEC(2, 40) },
};

/* What the inner template says: a truth value, a number, a text, and one that is empty. */
struct inner {
	CK_BBOOL truth;
	CK_OBJECT_CLASS class;
	char label[16];
	CK_ATTRIBUTE entries[MAX_INNER];
	size_t count;
};

static void fill(struct inner *inner)
{
	inner->truth = CK_TRUE;
	inner->class = CKO_SECRET_KEY;
	strcpy(inner->label, "p11tape inner");
	inner->entries[0] = (CK_ATTRIBUTE){ CKA_EXTRACTABLE, &inner->truth, sizeof(inner->truth) };
	inner->entries[1] = (CK_ATTRIBUTE){ CKA_CLASS, &inner->class, sizeof(inner->class) };
	inner->entries[2] = (CK_ATTRIBUTE){ CKA_LABEL, inner->label, strlen(inner->label) };
	inner->count = 3;
}

/* A key that has the array. Skips the check where the token takes none. */
static CK_OBJECT_HANDLE make(struct check *c, const struct inner *inner)
{
	const struct array *array = &arrays[c->row->a];
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	struct template t;
	object_template(c, &t, array->kind);
	template_bytes(&t, array->type, inner->entries, inner->count * sizeof(CK_ATTRIBUTE));
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv != CKR_OK)
		check_skip(c, "no key is created with %s: %s", check_attribute_name(array->type),
		           check_rv_name(rv));
	return object;
}

static CK_RV read_array(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *entries,
                        CK_ULONG size, CK_ULONG *ret_size)
{
	return object_read(c, object, arrays[c->row->a].type, entries, size, ret_size);
}

/* Which of the inner template's entries has the type: their order is not kept for sure. */
static const CK_ATTRIBUTE *original(const struct inner *inner, CK_ATTRIBUTE_TYPE type)
{
	for (size_t i = 0; i < inner->count; i++)
		if (inner->entries[i].type == type)
			return &inner->entries[i];
	return NULL;
}

/* An array of entries that end at a hole, without values. */
static CK_ATTRIBUTE *room_for(struct check *c, size_t count)
{
	CK_ATTRIBUTE *entries = check_buffer(c, count * sizeof(*entries));
	for (size_t i = 0; i < count; i++)
		entries[i] = (CK_ATTRIBUTE){ CKA_VENDOR_DEFINED | 0x7fff0004UL, NULL, 77 };
	return entries;
}

/* ---- the three steps ------------------------------------------------------------------------- */

static void length(struct check *c)
{
	struct inner inner;
	CK_ULONG size = 77;
	fill(&inner);
	CK_OBJECT_HANDLE object = make(c, &inner);
	EXPECT_RV(c, 240, read_array(c, object, NULL, 0, &size), CKR_OK);
	EXPECT(c, 240, size == inner.count * sizeof(CK_ATTRIBUTE),
	       "the array has %lu bytes, not %zu", (unsigned long)size,
	       inner.count * sizeof(CK_ATTRIBUTE));
}

static void types(struct check *c)
{
	struct inner inner;
	CK_ULONG size;
	fill(&inner);
	CK_OBJECT_HANDLE object = make(c, &inner);
	CK_ATTRIBUTE *entries = room_for(c, inner.count);
	EXPECT_RV(c, 245, read_array(c, object, entries, inner.count * sizeof(CK_ATTRIBUTE), &size),
	          CKR_OK);
	EXPECT(c, 245, size == inner.count * sizeof(CK_ATTRIBUTE), "the array has %lu bytes",
	       (unsigned long)size);
	for (size_t i = 0; i < inner.count; i++) {
		const CK_ATTRIBUTE *from = original(&inner, entries[i].type);
		if (from == NULL && c->target->spec < SPEC(3, 0))
			check_skip(c, "the inner types are not set, which 2.40 does not ask for");
		EXPECT(c, 246, from != NULL, "the type of an inner entry is 0x%lx",
		       (unsigned long)entries[i].type);
		/* cppcheck-suppress nullPointerRedundantCheck ; EXPECT() does not return then */
		EXPECT(c, 245, entries[i].ulValueLen == from->ulValueLen,
		       "the inner %s has the length %ld", check_attribute_name(entries[i].type),
		       (long)entries[i].ulValueLen);
		EXPECT(c, 245, entries[i].pValue == NULL, "the pointer of an inner entry is set");
	}
}

/* Steps two and three; `more` bytes of room for each, and entries behind the last. */
static void expect_values(struct check *c, CK_OBJECT_HANDLE object, const struct inner *inner,
                          unsigned int rule, size_t more)
{
	CK_ULONG size;
	unsigned char *values[MAX_INNER];
	CK_ATTRIBUTE *entries = room_for(c, inner->count);
	NEED_OK(c, read_array(c, object, entries, inner->count * sizeof(CK_ATTRIBUTE), &size));
	for (size_t i = 0; i < inner->count; i++) {
		EXPECT(c, rule, entries[i].ulValueLen < 1024, "an inner length is %ld",
		       (long)entries[i].ulValueLen);
		values[i] = check_buffer(c, entries[i].ulValueLen + more);
		entries[i].pValue = values[i];
		entries[i].ulValueLen += more;
	}
	EXPECT_RV(c, rule,
	          read_array(c, object, entries, inner->count * sizeof(CK_ATTRIBUTE), &size),
	          CKR_OK);
	for (size_t i = 0; i < inner->count; i++) {
		const CK_ATTRIBUTE *from = original(inner, entries[i].type);
		EXPECT(c, rule, from != NULL, "there is an inner entry of type %s",
		       check_attribute_name(entries[i].type));
		EXPECT(c, rule,
		       entries[i].ulValueLen == from->ulValueLen &&
		               memcmp(values[i], from->pValue, from->ulValueLen) == 0,
		       "the inner %s is not what was given", check_attribute_name(from->type));
		EXPECT(c, 313,
		       check_untouched(values[i], from->ulValueLen, from->ulValueLen + more),
		       "bytes were written behind the inner %s", check_attribute_name(from->type));
	}
}

static void values(struct check *c)
{
	struct inner inner;
	fill(&inner);
	expect_values(c, make(c, &inner), &inner, 245, c->row->b == 0 ? 0 : 5);
}

/* ---- too small ------------------------------------------------------------------------------- */

/* One inner buffer is a byte short: that one is not told, the others are (§5.7.5). */
static void inner_too_small(struct check *c)
{
	struct inner inner;
	CK_ULONG size;
	size_t small = c->row->b;
	fill(&inner);
	CK_OBJECT_HANDLE object = make(c, &inner);
	CK_ATTRIBUTE *entries = room_for(c, inner.count);
	NEED_OK(c, read_array(c, object, entries, inner.count * sizeof(CK_ATTRIBUTE), &size));
	for (size_t i = 0; i < inner.count; i++) {
		entries[i].ulValueLen -= i == small;
		entries[i].pValue = check_buffer(c, entries[i].ulValueLen);
	}
	EXPECT_RV(c, 245, read_array(c, object, entries, inner.count * sizeof(CK_ATTRIBUTE), &size),
	          CKR_BUFFER_TOO_SMALL);
	bool told = true;
	for (size_t i = 0; i < inner.count; i++) {
		const CK_ATTRIBUTE *from = original(&inner, entries[i].type);
		if (i == small)
			EXPECT(c, 245, entries[i].ulValueLen == CK_UNAVAILABLE_INFORMATION,
			       "the length of the entry without room is %ld",
			       (long)entries[i].ulValueLen);
		else
			told &= from != NULL && entries[i].ulValueLen == from->ulValueLen &&
			        memcmp(entries[i].pValue, from->pValue, from->ulValueLen) == 0;
	}
	/* That each of the template's attributes is processed may not mean those of the array. */
	if (!told)
		DEVIATION(c, 245, "the value of another entry is not told");
}

static void outer_too_small(struct check *c)
{
	struct inner inner;
	CK_ULONG size;
	fill(&inner);
	CK_OBJECT_HANDLE object = make(c, &inner);
	CK_ATTRIBUTE *entries = room_for(c, inner.count - 1);
	EXPECT_RV(c, 242,
	          read_array(c, object, entries, (inner.count - 1) * sizeof(CK_ATTRIBUTE), &size),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 242, size == CK_UNAVAILABLE_INFORMATION, "the length is %ld", (long)size);
}

static void outer_larger(struct check *c)
{
	struct inner inner;
	CK_ULONG size;
	fill(&inner);
	CK_OBJECT_HANDLE object = make(c, &inner);
	CK_ATTRIBUTE *entries = room_for(c, inner.count + 2);
	EXPECT_RV(c, 241,
	          read_array(c, object, entries, (inner.count + 2) * sizeof(CK_ATTRIBUTE), &size),
	          CKR_OK);
	EXPECT(c, 241, size == inner.count * sizeof(CK_ATTRIBUTE), "the length is %ld", (long)size);
	for (size_t i = inner.count; i < inner.count + 2; i++)
		EXPECT(c, 313, entries[i].ulValueLen == 77 && entries[i].pValue == NULL,
		       "an entry behind the last was changed");
}

/* ---- it is the token's own ------------------------------------------------------------------- */

/* What was given is changed afterwards; the object keeps what it was given. */
static void deep_copy(struct check *c)
{
	struct inner inner, kept;
	fill(&inner);
	CK_OBJECT_HANDLE object = make(c, &inner);
	memset(&inner, 0xee, sizeof(inner));
	fill(&kept);
	expect_values(c, object, &kept, 283, 0);
}

static void copied(struct check *c)
{
	struct inner inner;
	struct template t;
	CK_OBJECT_HANDLE copy;
	fill(&inner);
	CK_OBJECT_HANDLE object = make(c, &inner);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	NEED_OK(c, c->p11->C_CopyObject(c->session, object, t.entry, t.count, &copy));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, object));
	expect_values(c, copy, &inner, 283, 0);
}

static void outlives(struct check *c)
{
	struct inner inner;
	struct template t;
	CK_OBJECT_HANDLE found[1], copy;
	fill(&inner);
	object_sweep(c);
	CK_OBJECT_HANDLE object = make(c, &inner);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_bool(&t, CKA_TOKEN, true);
	NEED_OK(c, c->p11->C_CopyObject(c->session, object, t.entry, t.count, &copy));
	NEED_OK(c, check_finalize(c));
	NEED_OK(c, check_initialize(c));
	c->session = check_open(c, CKF_RW_SESSION);
	(void)check_login(c, c->session, CKU_USER);
	if (object_find(c, &t, found, 1) != 1)
		check_skip(c, "the token's copy is not there after C_Finalize");
	expect_values(c, found[0], &inner, 283, 0);
	object_sweep(c);
}

static void empty(struct check *c)
{
	struct inner inner = { .count = 0 };
	CK_ULONG size = 77;
	CK_OBJECT_HANDLE object = make(c, &inner);
	EXPECT_RV(c, 247, read_array(c, object, NULL, 0, &size), CKR_OK);
	EXPECT(c, 247, size == 0, "an empty array has %lu bytes", (unsigned long)size);
}

/* Not a whole number of entries; values that are not there. */
static void bad_array(struct check *c)
{
	struct inner inner;
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	const struct array *array = &arrays[c->row->a];
	fill(&inner);
	make(c, &inner);
	object_template(c, &t, array->kind);
	if (c->row->b == 0) {
		template_bytes(&t, array->type, inner.entries, sizeof(CK_ATTRIBUTE) + 1);
	} else {
		inner.entries[0].pValue = NULL;
		template_bytes(&t, array->type, inner.entries, sizeof(CK_ATTRIBUTE));
	}
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	EXPECT_REFUSED(c, c->row->b == 0 ? 206 : 314, "C_CreateObject", rv,
	               CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_ARGUMENTS_BAD);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add(struct check_list *list, struct check_row row, size_t a, uintptr_t b,
                const char *name)
{
	row.needs |= SPECIMEN_NEEDS;
	row.a = a;
	row.b = b;
	check_add(list, row, "%s/%s", arrays[a].name, name);
}

void suite_nested(struct check_list *list)
{
	static const char *const small[] = { "first-too-small", "second-too-small",
		                             "last-too-small" };
	for (size_t a = 0; a < TAPE_ARRAY_SIZE(arrays); a++) {
		add(list, CHECK(length, 0, "first its length is told", 240), a, 0, "length");
		add(list, CHECK(types, 0, "then the types and lengths of its entries", 245, 246), a,
		    0, "types");
		add(list, CHECK(values, 0, "then their values", 245, 313), a, 0, "values");
		add(list, CHECK(values, 0, "and with more room the same", 245, 313), a, 1,
		    "values-larger");
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(small); i++)
			add(list,
			    CHECK(inner_too_small, 0, "a value without room spoils no other", 245),
			    a, i, small[i]);
		add(list, CHECK(outer_too_small, 0, "an array without room is not told", 242), a, 0,
		    "too-small");
		add(list, CHECK(outer_larger, 0, "more room than there are entries", 241, 313), a,
		    0, "larger");
		add(list, CHECK(deep_copy, 0, "it does not hang on the caller's memory", 283, 313),
		    a, 0, "deep-copy");
		add(list, CHECK(copied, 0, "a copy of the key has it", 283, 313), a, 0, "copied");
		add(list,
		    CHECK(outlives, NEED_DESTRUCTIVE, "a token's key has it after a restart", 283,
		          313),
		    a, 0, "outlives");
		add(list, CHECK(empty, 0, "an empty one is one", 247), a, 0, "empty");
		add(list, CHECK(bad_array, 0, "half an entry is refused", 206), a, 0,
		    "half-an-entry");
		add(list, CHECK(bad_array, 0, "an entry without a value is refused", 314), a, 1,
		    "null-value");
	}
}
