/* SPDX-License-Identifier: MIT
 *
 * C_GetAttributeValue with several attributes (PKCS#11 3.1 §5.7.5): what one entry of the template meets must not
 * be lost, changed or hidden by what another one meets. Applications rely on it (NSS asks for four trust
 * attributes at once, of which a module may lack one), and proxies are known to lose it.
 *
 * Everything is held against reading one attribute at a time.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "suites/check.h"
#include "suites/objects.h"

#define MAX_ENTRIES 16
#define CAPACITY 8192 /* of a buffer; longer values are left alone */
#define MAX_POOL 192
#define UNKNOWN_TYPE (CKA_VENDOR_DEFINED | 0x7fff0001UL)
#define INNER 2 /* entries of an attribute that is an array of attributes */

/* ---- the object and its attributes ----------------------------------------------------------- */

/* Reading it alone gave this. */
struct attribute {
	CK_ATTRIBUTE_TYPE type;
	CK_ULONG length; /* of a value */
	unsigned char *value;
};

/* What can be asked of an object, by what comes of it. */
struct pool {
	CK_OBJECT_HANDLE object;
	struct attribute valid[MAX_POOL];
	CK_ATTRIBUTE_TYPE invalid[MAX_POOL], sensitive[MAX_POOL];
	size_t valid_count, invalid_count, sensitive_count;
	size_t longer; /* index of a valid one with more than a byte; valid_count for none */
	size_t empty;  /* index of one of no length; valid_count for none */
	unsigned char *ends[MAX_ENTRIES]; /* of buffers that end at a hole */
	/* CKA_WRAP_TEMPLATE, of the objects that have one: its entries, and room for their values. */
	struct attribute inner[INNER];
	size_t inner_count; /* 0 for none */
	unsigned char *inner_ends[MAX_ENTRIES][INNER];
	CK_ATTRIBUTE *template_end; /* the same, of a template */
};

static void keep(struct check *c, struct attribute *attribute, CK_ATTRIBUTE_TYPE type,
                 const void *value, CK_ULONG length)
{
	attribute->type = type;
	attribute->length = length;
	attribute->value = malloc(length + 1);
	if (attribute->value == NULL)
		check_error(c, "out of memory");
	memcpy(attribute->value, value, length);
}

static void ask_one(struct check *c, struct pool *pool, CK_ATTRIBUTE_TYPE type)
{
	unsigned char value[CAPACITY];
	CK_ULONG length = 0;
	CK_RV rv = object_read(c, pool->object, type, NULL, 0, &length);
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID && pool->invalid_count < MAX_POOL) {
		pool->invalid[pool->invalid_count++] = type;
	} else if (rv == CKR_ATTRIBUTE_SENSITIVE && pool->sensitive_count < MAX_POOL) {
		pool->sensitive[pool->sensitive_count++] = type;
	} else if (rv == CKR_OK && length < CAPACITY && pool->valid_count < MAX_POOL) {
		CK_ULONG room = length;
		struct attribute *attribute = &pool->valid[pool->valid_count];
		rv = object_read(c, pool->object, type, value, room, &length);
		if (rv != CKR_OK || length != room)
			return;
		keep(c, attribute, type, value, length);
		if (length > 1 && pool->longer == MAX_POOL)
			pool->longer = pool->valid_count;
		if (length == 0 && pool->empty == MAX_POOL)
			pool->empty = pool->valid_count;
		pool->valid_count++;
	}
}

/* What lies in arrays of attributes is read in another way: ask_inner(), and the suite "nested". */
static bool is_asked(const struct tape_attribute *row)
{
	return row->state == TAPE_CONST_MAIN && row->type != TAPE_A_TEMPLATE &&
	       (row->vendor == NULL || strncmp(row->name.text, "CKA_NSS_TRUST", 13) == 0);
}

/* What the checks of this suite look at: an object that they make, or one that is in the token. */
static const struct subject {
	const char *name;
	enum object_kind kind; /* OBJECT_KINDS: found in the token */
	CK_OBJECT_CLASS class;
	bool sensitive, unextractable, array;
} subjects[] = {
	{ "data", OBJECT_DATA, 0, false, false, false },
	{ "certificate", OBJECT_CERTIFICATE, 0, false, false, false },
	{ "generic-secret", OBJECT_SECRET, 0, false, false, false },
	{ "aes", OBJECT_AES, 0, false, false, false },
	{ "aes-sensitive", OBJECT_AES, 0, true, false, false },
	{ "aes-unextractable", OBJECT_AES, 0, false, true, false },
	{ "aes-wrap-template", OBJECT_AES, 0, false, false, true },
	{ "rsa-public", OBJECT_RSA_PUBLIC, 0, false, false, false },
	{ "rsa-private", OBJECT_RSA_PRIVATE, 0, false, false, false },
	{ "rsa-private-sensitive", OBJECT_RSA_PRIVATE, 0, true, true, false },
	{ "ec-public", OBJECT_EC_PUBLIC, 0, false, false, false },
	{ "ec-private", OBJECT_EC_PRIVATE, 0, false, false, false },
	{ "ec-private-sensitive", OBJECT_EC_PRIVATE, 0, true, true, false },
	{ "token-certificate", OBJECT_KINDS, CKO_CERTIFICATE, false, false, false },
	{ "token-nss-trust", OBJECT_KINDS, CKO_NSS_TRUST, false, false, false },
	{ "token-trust", OBJECT_KINDS, CKO_TRUST, false, false, false },
	{ "token-profile", OBJECT_KINDS, CKO_PROFILE, false, false, false },
	{ "token-mechanism", OBJECT_KINDS, CKO_MECHANISM, false, false, false },
};

static CK_OBJECT_HANDLE find_or_make(struct check *c, const struct subject *subject)
{
	CK_BBOOL yes = CK_TRUE;
	CK_OBJECT_CLASS class = CKO_SECRET_KEY;
	/* As long as the template that points there. */
	const CK_ATTRIBUTE inner[INNER] = { { CKA_EXTRACTABLE, &yes, sizeof(yes) },
		                            { CKA_CLASS, &class, sizeof(class) } };
	struct template t;
	CK_OBJECT_HANDLE found[1];
	if (subject->kind == OBJECT_KINDS) {
		template_clear(&t);
		template_ulong(&t, CKA_CLASS, subject->class);
		if (object_find(c, &t, found, 1) == 0)
			check_skip(c, "there is no object of class %s in the token",
			           check_name(TAPE_G_CKO, subject->class));
		return found[0];
	}
	if (!subject->sensitive && !subject->unextractable && !subject->array)
		return object_make(c, subject->kind);
	object_template(c, &t, subject->kind);
	if (subject->array)
		template_bytes(&t, CKA_WRAP_TEMPLATE, inner, sizeof(inner));
	template_bool(&t, CKA_SENSITIVE, subject->sensitive);
	template_bool(&t, CKA_EXTRACTABLE, !subject->unextractable);
	return object_create(c, &t);
}

/* Read the array alone, in three steps: its length, the types and lengths of its entries, their values. */
static void ask_inner(struct check *c, struct pool *pool)
{
	CK_ATTRIBUTE entries[INNER] = { { 0 } };
	unsigned char values[INNER][sizeof(CK_ULONG)];
	CK_ULONG size;
	if (object_read(c, pool->object, CKA_WRAP_TEMPLATE, NULL, 0, &size) != CKR_OK ||
	    size != sizeof(entries) ||
	    object_read(c, pool->object, CKA_WRAP_TEMPLATE, entries, sizeof(entries), &size) !=
	            CKR_OK)
		return;
	for (size_t i = 0; i < INNER; i++) {
		if (entries[i].ulValueLen > sizeof(values[i]))
			return;
		entries[i].pValue = values[i];
	}
	if (object_read(c, pool->object, CKA_WRAP_TEMPLATE, entries, sizeof(entries), &size) !=
	    CKR_OK)
		return;
	for (size_t i = 0; i < INNER; i++) {
		keep(c, &pool->inner[i], entries[i].type, values[i], entries[i].ulValueLen);
		for (size_t at = 0; at < MAX_ENTRIES; at++)
			pool->inner_ends[at][i] =
				(unsigned char *)check_buffer(c, entries[i].ulValueLen) +
				entries[i].ulValueLen;
	}
	pool->inner_count = INNER;
}

static struct pool *make_pool(struct check *c)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	if (pool == NULL)
		check_error(c, "out of memory");
	pool->longer = pool->empty = MAX_POOL;
	pool->object = find_or_make(c, &subjects[c->row->a]);
	for (size_t i = 0; i < tape_attribute_count; i++)
		if (is_asked(&tape_attributes[i]))
			ask_one(c, pool, (CK_ATTRIBUTE_TYPE)tape_attributes[i].value);
	if (pool->valid_count == 0)
		check_skip(c, "no attribute of the object can be read");
	if (subjects[c->row->a].array)
		ask_inner(c, pool);
	pool->template_end =
		(CK_ATTRIBUTE *)check_buffer(c, MAX_ENTRIES * sizeof(CK_ATTRIBUTE)) + MAX_ENTRIES;
	for (size_t i = 0; i < MAX_ENTRIES; i++)
		pool->ends[i] = (unsigned char *)check_buffer(c, CAPACITY) + CAPACITY;
	return pool;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* What an entry of a template can be. */
enum entry_case {
	CASE_FIT,       /* a buffer of the very size */
	CASE_LARGE,     /* a larger one */
	CASE_QUERY,     /* NULL: the length is asked for */
	CASE_SMALL,     /* a buffer that is a byte short */
	CASE_NO_ROOM,   /* one of no bytes, for a value of some */
	CASE_INVALID,   /* the object has no such attribute */
	CASE_UNKNOWN,   /* nobody has */
	CASE_SENSITIVE, /* it is not told */
	CASE_EMPTY,     /* the value has no length */
	CASE_NESTED,    /* an array of attributes, with room for their values */
	CASE_COUNT
};

/* What the text demands of each (§5.7.5, cases 1 to 5). */
static const struct {
	const char *name;
	unsigned short rule;
} cases[CASE_COUNT] = {
	{ "fit", 241 },     { "large", 241 },   { "query", 240 },   { "too-small", 242 },
	{ "no-room", 242 }, { "invalid", 239 }, { "unknown", 239 }, { "sensitive", 238 },
	{ "empty", 247 },   { "nested", 245 },
};

struct entry {
	enum entry_case which;
	const struct attribute *attribute; /* of those that have a value */
	CK_ULONG room;
	unsigned char *buffer; /* NULL for a query */
};

static bool has_case(const struct pool *pool, enum entry_case which)
{
	return !(which == CASE_INVALID && pool->invalid_count == 0) &&
	       !(which == CASE_SENSITIVE && pool->sensitive_count == 0) &&
	       !(which == CASE_SMALL && pool->longer == MAX_POOL) &&
	       !(which == CASE_EMPTY && pool->empty == MAX_POOL) &&
	       !(which == CASE_NESTED && pool->inner_count == 0);
}

/* Skips the check where the object has nothing for such a case. */
static void need_case(struct check *c, const struct pool *pool, enum entry_case which)
{
	if (which == CASE_INVALID && pool->invalid_count == 0)
		check_skip(c, "the object has every attribute");
	if (which == CASE_SENSITIVE && pool->sensitive_count == 0)
		check_skip(c, "nothing of the object is sensitive");
	if (which == CASE_SMALL && pool->longer == MAX_POOL)
		check_skip(c, "no attribute is longer than a byte");
	if (which == CASE_EMPTY && pool->empty == MAX_POOL)
		check_skip(c, "no attribute is empty");
	if (which == CASE_NESTED && pool->inner_count == 0)
		check_skip(c, "CKA_WRAP_TEMPLATE cannot be read alone");
}

/* The array's entries with just enough room. Their types are those that the second step gave: 2.40 has no more. */
static void make_inner(struct pool *pool, CK_ATTRIBUTE *inner, size_t at)
{
	for (size_t i = 0; i < pool->inner_count; i++) {
		CK_ULONG length = pool->inner[i].length;
		unsigned char *room = pool->inner_ends[at][i] - length;
		memset(room, CHECK_POISON, length);
		inner[i] = (CK_ATTRIBUTE){ pool->inner[i].type, room, length };
	}
}

/* Fill in entry `at`; `turn` chooses among the attributes that fit the case. */
static void make_entry(struct pool *pool, CK_ATTRIBUTE *template, struct entry *entries, size_t at,
                       enum entry_case which, size_t turn)
{
	struct entry *entry = &entries[at];
	CK_ATTRIBUTE *a = &template[at];
	size_t valid = turn % pool->valid_count;
	entry->which = which;
	if (which == CASE_SMALL || (which == CASE_NO_ROOM && pool->longer != MAX_POOL))
		while (pool->valid[valid].length < 2)
			valid = (valid + 1) % pool->valid_count;
	if (which == CASE_EMPTY)
		valid = pool->empty;
	entry->attribute = &pool->valid[valid];
	entry->room = entry->attribute->length;
	a->type = entry->attribute->type;
	if (which == CASE_LARGE)
		entry->room += 7;
	else if (which == CASE_SMALL)
		entry->room--;
	else if (which == CASE_NO_ROOM)
		entry->room = 0;
	else if (which == CASE_NESTED) {
		entry->attribute = NULL;
		entry->room = pool->inner_count * sizeof(CK_ATTRIBUTE);
		a->type = CKA_WRAP_TEMPLATE;
	} else if (which == CASE_INVALID || which == CASE_UNKNOWN || which == CASE_SENSITIVE) {
		entry->attribute = NULL;
		entry->room = 32;
		a->type = which == CASE_UNKNOWN   ? UNKNOWN_TYPE
		          : which == CASE_INVALID ? pool->invalid[turn % pool->invalid_count]
		                                  : pool->sensitive[turn % pool->sensitive_count];
	}
	/* Where there is nothing to tell, it makes no difference whether there is a buffer. */
	bool has_buffer = which != CASE_QUERY &&
	                  (entry->attribute != NULL || which == CASE_NESTED || turn % 2 == 0);
	entry->buffer = has_buffer ? pool->ends[at] - entry->room : NULL;
	if (has_buffer)
		memset(entry->buffer - 64, CHECK_POISON, entry->room + 64);
	check_room(pool->ends[at], entry->room);
	if (which == CASE_NESTED)
		make_inner(pool, (CK_ATTRIBUTE *)(void *)entry->buffer, at);
	a->pValue = entry->buffer;
	/* Of a query the length means nothing before the call. */
	a->ulValueLen = has_buffer ? entry->room : turn % 2 == 0 ? 0 : 0x5a5a5a5aUL;
}

/* The codes that the entries contribute; CKR_OK is permitted if there is none. */
struct codes {
	CK_RV rv[3];
	size_t count;
};

static void contribute(struct codes *codes, CK_RV rv)
{
	for (size_t i = 0; i < codes->count; i++)
		if (codes->rv[i] == rv)
			return;
	codes->rv[codes->count++] = rv;
}

static struct codes codes_of(const struct entry *entries, size_t count)
{
	struct codes codes = { .count = 0 };
	for (size_t i = 0; i < count; i++) {
		if (entries[i].which == CASE_INVALID || entries[i].which == CASE_UNKNOWN)
			contribute(&codes, CKR_ATTRIBUTE_TYPE_INVALID);
		else if (entries[i].which == CASE_SENSITIVE)
			contribute(&codes, CKR_ATTRIBUTE_SENSITIVE);
		else if (entries[i].which == CASE_SMALL || entries[i].which == CASE_NO_ROOM)
			contribute(&codes, CKR_BUFFER_TOO_SMALL);
	}
	return codes;
}

/* "CKA_CLASS fit, CKA_VALUE sensitive" */
static const char *describe(const CK_ATTRIBUTE *template, const struct entry *entries, size_t count)
{
	static char text[360];
	size_t used = 0;
	text[0] = 0;
	for (size_t i = 0; i < count && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s",
		                         i == 0 ? "" : ", ", check_attribute_name(template[i].type),
		                         cases[entries[i].which].name);
	return text;
}

/* Whether another entry than that one cannot be given. */
static bool others_fail(const struct entry *entries, size_t count, size_t at)
{
	for (size_t i = 0; i < count; i++)
		if (i != at && codes_of(&entries[i], 1).count != 0)
			return true;
	return false;
}

static void expect_inner(struct check *c, const struct pool *pool, const CK_ATTRIBUTE *inner,
                         unsigned int rule, const char *described)
{
	for (size_t i = 0; i < pool->inner_count; i++) {
		const struct attribute *alone = &pool->inner[i];
		EXPECT(c, rule,
		       inner[i].type == alone->type && inner[i].ulValueLen == alone->length &&
		               memcmp(inner[i].pValue, alone->value, alone->length) == 0,
		       "of {%s} entry %zu of CKA_WRAP_TEMPLATE is not the one that is read alone",
		       described, i);
	}
}

static void expect_entry(struct check *c, const struct pool *pool, const CK_ATTRIBUTE *template,
                         const struct entry *entries, size_t count, size_t at, CK_RV rv)
{
	const CK_ATTRIBUTE *a = &template[at];
	const struct entry *entry = &entries[at];
	/* Where something else failed, that this one was processed is R-244. */
	bool is_own = rv == CKR_OK || !others_fail(entries, count, at);
	unsigned int rule = is_own ? cases[entry->which].rule : 244;
	bool has_value = entry->attribute != NULL && entry->which != CASE_SMALL &&
	                 entry->which != CASE_NO_ROOM;
	CK_ULONG length = entry->which == CASE_NESTED ? entry->room
	                  : has_value                 ? entry->attribute->length
	                                              : CK_UNAVAILABLE_INFORMATION;
	if (a->ulValueLen != length)
		FAIL(c, rule, "of {%s} the length of %s is %s%ld, not %s%ld",
		     describe(template, entries, count), check_attribute_name(a->type),
		     a->ulValueLen == CK_UNAVAILABLE_INFORMATION ? "unavailable " : "",
		     (long)a->ulValueLen,
		     length == CK_UNAVAILABLE_INFORMATION ? "unavailable " : "", (long)length);
	if (entry->buffer == NULL)
		return;
	if (entry->which == CASE_NESTED) {
		expect_inner(c, pool, a->pValue, rule, describe(template, entries, count));
		return;
	}
	size_t written = has_value ? length : 0;
	if (written != 0 && memcmp(entry->buffer, entry->attribute->value, written) != 0)
		FAIL(c, rule, "of {%s} the value of %s is not the one that is read alone",
		     describe(template, entries, count), check_attribute_name(a->type));
	if (entry->which == CASE_SENSITIVE && !check_untouched(entry->buffer, 0, entry->room))
		FAIL(c, 238, "of {%s} something was written for %s, which is sensitive",
		     describe(template, entries, count), check_attribute_name(a->type));
	if (!check_untouched(entry->buffer, entry->which == CASE_LARGE ? entry->room : written,
	                     entry->room))
		FAIL(c, 313, "of {%s} bytes were written that do not belong to %s",
		     describe(template, entries, count), check_attribute_name(a->type));
}

/* Ask, and hold every entry against what it must be. */
static CK_RV expect_template(struct check *c, struct pool *pool, CK_ATTRIBUTE *template,
                             const struct entry *entries, size_t count)
{
	CK_ATTRIBUTE *asked = pool->template_end - count;
	memcpy(asked, template, count * sizeof(*template));
	struct codes codes = codes_of(entries, count);
	CK_RV rv = c->p11->C_GetAttributeValue(c->session, pool->object, asked, count);
	bool permitted = codes.count == 0 && rv == CKR_OK;
	for (size_t i = 0; i < codes.count; i++)
		permitted |= rv == codes.rv[i];
	EXPECT(c, 243, permitted, "of {%s} C_GetAttributeValue returned %s",
	       describe(template, entries, count), check_rv_name(rv));
	for (size_t i = 0; i < count; i++) {
		EXPECT(c, 313,
		       asked[i].type == template[i].type && asked[i].pValue == template[i].pValue,
		       "of {%s} the type or the pointer of an entry was changed",
		       describe(template, entries, count));
		expect_entry(c, pool, asked, entries, count, i, rv);
	}
	return rv;
}

/* ---- checks ---------------------------------------------------------------------------------- */

/* One case in every position among entries that are well. */
static void one_case(struct check *c)
{
	enum entry_case which = (enum entry_case)c->row->b;
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE template[MAX_ENTRIES];
	struct entry entries[MAX_ENTRIES];
	need_case(c, pool, which);
	for (size_t count = 1; count <= MAX_ENTRIES; count++)
		for (size_t at = 0; at < count; at++) {
			for (size_t i = 0; i < count; i++)
				make_entry(pool, template, entries, i, i == at ? which : CASE_FIT,
				           i + count);
			expect_template(c, pool, template, entries, count);
		}
}

/*
 * Two cases in templates of every length: in every pair of positions of short ones and of the longest, each in
 * every position beside the other in some of the others.
 */
static void two_cases(struct check *c)
{
	enum entry_case first = (enum entry_case)c->row->b, second = (enum entry_case)c->row->d;
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE template[MAX_ENTRIES];
	struct entry entries[MAX_ENTRIES];
	need_case(c, pool, first);
	need_case(c, pool, second);
	for (size_t count = 2; count <= MAX_ENTRIES; count++) {
		size_t step = count <= 4 || count == MAX_ENTRIES ? 1 : 3;
		for (size_t one = 0; one < count; one++)
			for (size_t two = (one + 1) % step; two < count; two += step) {
				if (one == two)
					continue;
				for (size_t i = 0; i < count; i++)
					make_entry(pool, template, entries, i,
					           i == one   ? first
					           : i == two ? second
					                      : CASE_FIT,
					           i + one + two);
				expect_template(c, pool, template, entries, count);
			}
	}
}

#define SHORT 3

/* Every case with every other one, and itself, in every position of short templates. */
static void combinations(struct check *c)
{
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE template[SHORT];
	struct entry entries[SHORT];
	size_t all = 1;
	for (size_t count = 1; count <= SHORT; count++) {
		all *= CASE_COUNT;
		for (size_t number = 0; number < all; number++) {
			bool has_all = true;
			size_t rest = number;
			for (size_t i = 0; i < count && has_all; i++, rest /= CASE_COUNT) {
				enum entry_case which = (enum entry_case)(rest % CASE_COUNT);
				has_all = has_case(pool, which);
				if (has_all)
					make_entry(pool, template, entries, i, which, number + i);
			}
			if (has_all)
				expect_template(c, pool, template, entries, count);
		}
	}
}

/* The same numbers in every run. */
static size_t roll(uint32_t *dice, size_t count)
{
	*dice = *dice * 1664525u + 1013904223u;
	return (*dice >> 8) % count;
}

static void make_any(struct pool *pool, CK_ATTRIBUTE *template, struct entry *entries, size_t count,
                     uint32_t *dice)
{
	for (size_t i = 0; i < count; i++) {
		enum entry_case which;
		do
			which = (enum entry_case)roll(dice, CASE_COUNT);
		while (!has_case(pool, which));
		make_entry(pool, template, entries, i, which, roll(dice, 1000));
	}
}

static void any_cases(struct check *c)
{
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE template[MAX_ENTRIES];
	struct entry entries[MAX_ENTRIES];
	uint32_t dice = (uint32_t)c->row->a + 1;
	for (int i = 0; i < 200; i++) {
		size_t count = 1 + roll(&dice, MAX_ENTRIES);
		make_any(pool, template, entries, count, &dice);
		expect_template(c, pool, template, entries, count);
	}
}

/* The same entries in another order give each the same. */
static void any_order(struct check *c)
{
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE template[MAX_ENTRIES];
	struct entry entries[MAX_ENTRIES];
	uint32_t dice = 7;
	enum entry_case rolled[MAX_ENTRIES];
	size_t turns[MAX_ENTRIES];
	for (size_t i = 0; i < MAX_ENTRIES; i++) {
		do
			rolled[i] = (enum entry_case)roll(&dice, CASE_COUNT);
		while (!has_case(pool, rolled[i]));
		turns[i] = roll(&dice, 1000);
	}
	for (size_t shift = 0; shift < MAX_ENTRIES; shift++) {
		for (size_t i = 0; i < MAX_ENTRIES; i++) {
			size_t from = (i + shift) % MAX_ENTRIES;
			make_entry(pool, template, entries, i, rolled[from], turns[from]);
		}
		expect_template(c, pool, template, entries, MAX_ENTRIES);
	}
}

/* The same attribute twice and more: each entry gets what is its own. */
static void duplicates(struct check *c)
{
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE template[MAX_ENTRIES];
	struct entry entries[MAX_ENTRIES];
	static const enum entry_case mixed[] = { CASE_FIT, CASE_QUERY, CASE_LARGE, CASE_SMALL };
	need_case(c, pool, CASE_SMALL);
	for (size_t count = 2; count <= MAX_ENTRIES; count++) {
		for (size_t i = 0; i < count; i++)
			make_entry(pool, template, entries, i, CASE_FIT, 0);
		expect_template(c, pool, template, entries, count);
		for (size_t i = 0; i < count; i++)
			make_entry(pool, template, entries, i, mixed[i % 4], pool->longer);
		expect_template(c, pool, template, entries, count);
	}
}

/* All that the object has in one template: more entries than any table of a proxy's may hold. */
static void all_at_once(struct check *c)
{
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE *template = check_buffer(c, pool->valid_count * sizeof(*template));
	for (size_t i = 0; i < pool->valid_count; i++) {
		template[i].type = pool->valid[i].type;
		template[i].ulValueLen = pool->valid[i].length;
		template[i].pValue = check_buffer(c, pool->valid[i].length);
	}
	EXPECT_RV(
		c, 243,
		c->p11->C_GetAttributeValue(c->session, pool->object, template, pool->valid_count),
		CKR_OK);
	for (size_t i = 0; i < pool->valid_count; i++)
		EXPECT(c, 241,
		       template[i].ulValueLen == pool->valid[i].length &&
		               memcmp(template[i].pValue, pool->valid[i].value,
		                      pool->valid[i].length) == 0,
		       "of %zu attributes %s is another one than alone", pool->valid_count,
		       check_attribute_name(template[i].type));
}

/* Twice the same question. */
static void repeats(struct check *c)
{
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE template[MAX_ENTRIES];
	struct entry entries[MAX_ENTRIES];
	for (int round = 0; round < 3; round++) {
		uint32_t dice = 99;
		make_any(pool, template, entries, MAX_ENTRIES, &dice);
		expect_template(c, pool, template, entries, MAX_ENTRIES);
	}
}

/* The length that is asked for is that of the value. */
static void lengths(struct check *c)
{
	CK_OBJECT_HANDLE object = find_or_make(c, &subjects[c->row->a]);
	unsigned char *value = check_buffer(c, CAPACITY);
	size_t asked = 0;
	for (size_t i = 0; i < tape_attribute_count; i++) {
		CK_ATTRIBUTE_TYPE type = (CK_ATTRIBUTE_TYPE)tape_attributes[i].value;
		CK_ULONG length = 0, given = 0;
		if (!is_asked(&tape_attributes[i]) ||
		    object_read(c, object, type, NULL, 0, &length) != CKR_OK || length > CAPACITY)
			continue;
		/* There is room for more than it said. */
		if (object_read(c, object, type, value, CAPACITY, &given) != CKR_OK)
			continue;
		asked++;
		EXPECT(c, 240, given == length,
		       "the length of %s, asked for with NULL, is %lu; the value has %lu bytes",
		       check_attribute_name(type), (unsigned long)length, (unsigned long)given);
	}
	if (asked == 0)
		check_skip(c, "no attribute of the object can be read");
}

static void no_template(struct check *c)
{
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE entry = { CKA_CLASS, NULL, 0 };
	CK_RV rv = c->p11->C_GetAttributeValue(c->session, pool->object, NULL, 1);
	EXPECT_CODE(c, 314, "C_GetAttributeValue(NULL, 1)", rv, CKR_ARGUMENTS_BAD);
	/* Nothing is asked: nothing can go wrong; some say that it is no question. */
	rv = c->p11->C_GetAttributeValue(c->session, pool->object, &entry, 0);
	if (rv != CKR_OK)
		check_note(c, "C_GetAttributeValue of no attributes returned %s",
		           check_rv_name(rv));
	EXPECT(c, 243, rv == CKR_OK || rv == CKR_ARGUMENTS_BAD, "an empty template: %s",
	       check_rv_name(rv));
}

/*
 * What NSS asks of every trust object, in one call. Mozilla's root module lacks CKA_NSS_TRUST_STEP_UP_APPROVED or a
 * usage in some; whoever then loses the others makes a trusted root an unknown one.
 */
static void nss_trust(struct check *c)
{
	static const CK_ATTRIBUTE_TYPE asked[] = { CKA_NSS_TRUST_SERVER_AUTH,
		                                   CKA_NSS_TRUST_CLIENT_AUTH,
		                                   CKA_NSS_TRUST_EMAIL_PROTECTION,
		                                   CKA_NSS_TRUST_CODE_SIGNING };
	struct template t;
	CK_OBJECT_HANDLE found[512];
	size_t lacking = 0;
	template_clear(&t);
	template_ulong(&t, CKA_CLASS, CKO_NSS_TRUST);
	size_t count = object_find(c, &t, found, TAPE_ARRAY_SIZE(found));
	if (count == 0)
		check_skip(c, "there are no trust objects of NSS's kind");
	for (size_t i = 0; i < count; i++) {
		CK_ULONG values[4], alone[4];
		CK_RV alone_rv[4];
		CK_ATTRIBUTE template[4];
		for (size_t j = 0; j < 4; j++) {
			CK_ULONG size;
			alone_rv[j] = object_read(c, found[i], asked[j], &alone[j],
			                          sizeof(alone[j]), &size);
			values[j] = 0;
			template[j] = (CK_ATTRIBUTE){ asked[j], &values[j], sizeof(values[j]) };
		}
		CK_RV rv = c->p11->C_GetAttributeValue(c->session, found[i], template, 4);
		for (size_t j = 0; j < 4; j++) {
			lacking += alone_rv[j] == CKR_ATTRIBUTE_TYPE_INVALID;
			if (alone_rv[j] == CKR_OK)
				EXPECT(c, rv == CKR_OK ? 241 : 244,
				       template[j].ulValueLen == sizeof(CK_ULONG) &&
				               values[j] == alone[j],
				       "asked with three others, %s is lost (C_GetAttributeValue "
				       "returned %s)",
				       check_attribute_name(asked[j]), check_rv_name(rv));
			else
				EXPECT(c, 239, template[j].ulValueLen == CK_UNAVAILABLE_INFORMATION,
				       "%s, which the object lacks, has the length %lu",
				       check_attribute_name(asked[j]),
				       (unsigned long)template[j].ulValueLen);
		}
	}
	check_note(c, "%zu trust objects, in which %zu of the four attributes are lacking", count,
	           lacking);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add(struct check_list *list, struct check_row row, size_t subject, const char *name)
{
	/* Objects that are in the token are looked at whether or not there is a PIN. */
	row.needs = subjects[subject].kind == OBJECT_KINDS ? NEED_SESSION : NEED_USER;
	row.a = subject;
	check_add(list, row, "%s/%s", name, subjects[subject].name);
}

/* Only one subject has an array. */
static bool is_for(enum entry_case which, size_t subject)
{
	return which != CASE_NESTED || subjects[subject].array;
}

static void add_pairs(struct check_list *list, size_t subject)
{
	for (unsigned int one = CASE_QUERY; one < CASE_COUNT; one++)
		for (unsigned int two = one + 1; two < CASE_COUNT; two++) {
			struct check_row row = CHECK(
				two_cases, 0, "side by side in templates of 2 to 16 attributes",
				243, 244, 241, 313, 238, cases[one].rule, cases[two].rule);
			row.b = one;
			row.d = two;
			if (is_for((enum entry_case)two, subject))
				add(list, row, subject,
				    check_text(list, "%s-and-%s", cases[one].name,
				               cases[two].name));
		}
}

void suite_getattribute(struct check_list *list)
{
	static const struct {
		const char *name, *what;
		void (*run)(struct check *c);
	} mixtures[] = {
		{ "combinations", "every case with every other, in short templates", combinations },
		{ "any", "any template at all", any_cases },
		{ "order", "whatever the order, each gets the same", any_order },
		{ "duplicates", "one attribute several times", duplicates },
		{ "repeats", "the same question three times", repeats },
	};
	for (size_t s = 0; s < TAPE_ARRAY_SIZE(subjects); s++) {
		for (unsigned int which = 0; which < CASE_COUNT; which++) {
			struct check_row row = CHECK(
				one_case, 0, "in every position of templates of 1 to 16 attributes",
				243, 244, 241, 313, cases[which].rule, 238);
			row.b = which;
			if (is_for((enum entry_case)which, s))
				add(list, row, s, check_text(list, "one-%s", cases[which].name));
		}
		add_pairs(list, s);
		for (size_t m = 0; m < TAPE_ARRAY_SIZE(mixtures); m++)
			add(list,
			    CHECK(mixtures[m].run, 0, mixtures[m].what, 243, 244, 241, 313, 238,
			          239, 240, 247, 242, 245),
			    s, mixtures[m].name);
		add(list, CHECK(all_at_once, 0, "all attributes in one template", 243, 241), s,
		    "all-at-once");
		add(list, CHECK(lengths, 0, "the length is that of the value", 240), s, "lengths");
		add(list, CHECK(no_template, 0, "no template, and an empty one", 314, 243), s,
		    "no-template");
	}
	check_add(
		list,
		CHECK(nss_trust, NEED_SESSION,
	              "the four trust attributes that NSS asks for at once: the lack of one loses "
	              "no other",
	              241, 244, 239),
		"nss-trust");
}
