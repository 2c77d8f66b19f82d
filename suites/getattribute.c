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
	CK_ATTRIBUTE *template_end;       /* the same, of a template */
};

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
		attribute->type = type;
		attribute->length = length;
		attribute->value = malloc(length + 1);
		if (attribute->value == NULL)
			check_error(c, "out of memory");
		memcpy(attribute->value, value, length);
		if (length > 1 && pool->longer == MAX_POOL)
			pool->longer = pool->valid_count;
		if (length == 0 && pool->empty == MAX_POOL)
			pool->empty = pool->valid_count;
		pool->valid_count++;
	}
}

/* What lies in arrays of attributes is read in another way: suite objects. */
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
	bool sensitive, unextractable;
} subjects[] = {
	{ "data", OBJECT_DATA, 0, false, false },
	{ "certificate", OBJECT_CERTIFICATE, 0, false, false },
	{ "generic-secret", OBJECT_SECRET, 0, false, false },
	{ "aes", OBJECT_AES, 0, false, false },
	{ "aes-sensitive", OBJECT_AES, 0, true, false },
	{ "aes-unextractable", OBJECT_AES, 0, false, true },
	{ "rsa-public", OBJECT_RSA_PUBLIC, 0, false, false },
	{ "rsa-private", OBJECT_RSA_PRIVATE, 0, false, false },
	{ "rsa-private-sensitive", OBJECT_RSA_PRIVATE, 0, true, true },
	{ "ec-public", OBJECT_EC_PUBLIC, 0, false, false },
	{ "ec-private", OBJECT_EC_PRIVATE, 0, false, false },
	{ "ec-private-sensitive", OBJECT_EC_PRIVATE, 0, true, true },
	{ "token-certificate", OBJECT_KINDS, CKO_CERTIFICATE, false, false },
	{ "token-nss-trust", OBJECT_KINDS, CKO_NSS_TRUST, false, false },
	{ "token-trust", OBJECT_KINDS, CKO_TRUST, false, false },
	{ "token-profile", OBJECT_KINDS, CKO_PROFILE, false, false },
	{ "token-mechanism", OBJECT_KINDS, CKO_MECHANISM, false, false },
};

static CK_OBJECT_HANDLE find_or_make(struct check *c, const struct subject *subject)
{
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
	if (!subject->sensitive && !subject->unextractable)
		return object_make(c, subject->kind);
	object_template(c, &t, subject->kind);
	template_bool(&t, CKA_SENSITIVE, subject->sensitive);
	template_bool(&t, CKA_EXTRACTABLE, !subject->unextractable);
	return object_create(c, &t);
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
	CASE_INVALID,   /* the object has no such attribute */
	CASE_UNKNOWN,   /* nobody has */
	CASE_SENSITIVE, /* it is not told */
	CASE_EMPTY,     /* the value has no length */
	CASE_COUNT
};

static const char *const case_names[CASE_COUNT] = { "fit",     "large",   "query",     "too-small",
	                                            "invalid", "unknown", "sensitive", "empty" };

/* What the text demands of each (§5.7.5, cases 1 to 5). */
static const unsigned short case_rules[CASE_COUNT] = { 241, 241, 240, 242, 239, 239, 238, 247 };

struct entry {
	enum entry_case which;
	const struct attribute *attribute; /* of those that have a value */
	CK_ULONG room;
	unsigned char *buffer; /* NULL for a query */
};

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
}

/* Fill in entry `at`; `turn` chooses among the attributes that fit the case. */
static void make_entry(struct pool *pool, CK_ATTRIBUTE *template, struct entry *entries, size_t at,
                       enum entry_case which, size_t turn)
{
	struct entry *entry = &entries[at];
	CK_ATTRIBUTE *a = &template[at];
	size_t valid = turn % pool->valid_count;
	entry->which = which;
	if (which == CASE_SMALL)
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
	else if (which == CASE_INVALID || which == CASE_UNKNOWN || which == CASE_SENSITIVE) {
		entry->attribute = NULL;
		entry->room = 32;
		a->type = which == CASE_UNKNOWN   ? UNKNOWN_TYPE
		          : which == CASE_INVALID ? pool->invalid[turn % pool->invalid_count]
		                                  : pool->sensitive[turn % pool->sensitive_count];
	}
	entry->buffer = which == CASE_QUERY ? NULL : pool->ends[at] - entry->room;
	if (entry->buffer != NULL)
		memset(entry->buffer - 64, CHECK_POISON, entry->room + 64);
	a->pValue = entry->buffer;
	a->ulValueLen = which == CASE_QUERY ? 0 : entry->room;
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
		else if (entries[i].which == CASE_SMALL)
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
		                         case_names[entries[i].which]);
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

static void expect_entry(struct check *c, const CK_ATTRIBUTE *template, const struct entry *entries,
                         size_t count, size_t at, CK_RV rv)
{
	const CK_ATTRIBUTE *a = &template[at];
	const struct entry *entry = &entries[at];
	/* Where something else failed, that this one was processed is R-244. */
	bool is_own = rv == CKR_OK || !others_fail(entries, count, at);
	unsigned int rule = is_own ? case_rules[entry->which] : 244;
	bool has_value = entry->attribute != NULL && entry->which != CASE_SMALL;
	CK_ULONG length = has_value ? entry->attribute->length : CK_UNAVAILABLE_INFORMATION;
	if (a->ulValueLen != length)
		FAIL(c, rule, "of {%s} the length of %s is %s%ld, not %s%ld",
		     describe(template, entries, count), check_attribute_name(a->type),
		     a->ulValueLen == CK_UNAVAILABLE_INFORMATION ? "unavailable " : "",
		     (long)a->ulValueLen,
		     length == CK_UNAVAILABLE_INFORMATION ? "unavailable " : "", (long)length);
	if (entry->buffer == NULL)
		return;
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
		expect_entry(c, asked, entries, count, i, rv);
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

/* Two cases in every pair of positions. */
static void two_cases(struct check *c)
{
	enum entry_case first = (enum entry_case)c->row->b, second = (enum entry_case)c->row->d;
	struct pool *pool = make_pool(c);
	CK_ATTRIBUTE template[MAX_ENTRIES];
	struct entry entries[MAX_ENTRIES];
	static const size_t counts[] = { 2, 3, 4, 7, MAX_ENTRIES };
	need_case(c, pool, first);
	need_case(c, pool, second);
	for (size_t n = 0; n < TAPE_ARRAY_SIZE(counts); n++)
		for (size_t one = 0; one < counts[n]; one++)
			for (size_t two = 0; two < counts[n]; two++) {
				if (one == two)
					continue;
				for (size_t i = 0; i < counts[n]; i++)
					make_entry(pool, template, entries, i,
					           i == one   ? first
					           : i == two ? second
					                      : CASE_FIT,
					           i + one + two);
				expect_template(c, pool, template, entries, counts[n]);
			}
}

/* The same numbers in every run. */
static size_t roll(uint32_t *dice, size_t count)
{
	*dice = *dice * 1664525u + 1013904223u;
	return (*dice >> 8) % count;
}

static bool has_case(const struct pool *pool, enum entry_case which)
{
	return !(which == CASE_INVALID && pool->invalid_count == 0) &&
	       !(which == CASE_SENSITIVE && pool->sensitive_count == 0) &&
	       !(which == CASE_SMALL && pool->longer == MAX_POOL) &&
	       !(which == CASE_EMPTY && pool->empty == MAX_POOL);
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
	enum entry_case cases[MAX_ENTRIES];
	size_t turns[MAX_ENTRIES];
	for (size_t i = 0; i < MAX_ENTRIES; i++) {
		do
			cases[i] = (enum entry_case)roll(&dice, CASE_COUNT);
		while (!has_case(pool, cases[i]));
		turns[i] = roll(&dice, 1000);
	}
	for (size_t shift = 0; shift < MAX_ENTRIES; shift++) {
		for (size_t i = 0; i < MAX_ENTRIES; i++) {
			size_t from = (i + shift) % MAX_ENTRIES;
			make_entry(pool, template, entries, i, cases[from], turns[from]);
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

void suite_getattribute(struct check_list *list);

static void add(struct check_list *list, struct check_row row, size_t subject, const char *name)
{
	/* Objects that are in the token are looked at whether or not there is a PIN. */
	row.needs = subjects[subject].kind == OBJECT_KINDS ? NEED_SESSION : NEED_USER;
	row.a = subject;
	check_add(list, row, "%s/%s", name, subjects[subject].name);
}

void suite_getattribute(struct check_list *list)
{
	for (size_t s = 0; s < TAPE_ARRAY_SIZE(subjects); s++) {
		for (unsigned int which = 0; which < CASE_COUNT; which++) {
			struct check_row row = CHECK(
				one_case, 0, "in every position of templates of 1 to 16 attributes",
				243, 244, 241, 313, case_rules[which], 238);
			row.b = which;
			add(list, row, s, check_text(list, "one-%s", case_names[which]));
		}
		for (unsigned int one = CASE_QUERY; one < CASE_COUNT; one++)
			for (unsigned int two = one + 1; two < CASE_COUNT; two++) {
				struct check_row row = CHECK(
					two_cases, 0, "in every pair of positions of templates",
					243, 244, 241, 313, 238, case_rules[one], case_rules[two]);
				row.b = one;
				row.d = two;
				add(list, row, s,
				    check_text(list, "%s-and-%s", case_names[one],
				               case_names[two]));
			}
		add(list,
		    CHECK(any_cases, 0, "any template at all", 243, 244, 241, 313, 238, 239, 240,
		          247, 242),
		    s, "any");
		add(list,
		    CHECK(any_order, 0, "whatever the order, each gets the same", 243, 244, 241,
		          313, 238, 239, 240, 247, 242),
		    s, "order");
		add(list,
		    CHECK(duplicates, 0, "one attribute several times", 243, 244, 241, 313, 240,
		          238, 242),
		    s, "duplicates");
		add(list, CHECK(all_at_once, 0, "all attributes in one template", 243, 241), s,
		    "all-at-once");
		add(list,
		    CHECK(repeats, 0, "the same question three times", 243, 244, 241, 313, 238, 239,
		          240, 247, 242),
		    s, "repeats");
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
