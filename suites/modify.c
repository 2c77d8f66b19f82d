/* SPDX-License-Identifier: MIT
 *
 * C_SetAttributeValue (PKCS#11 3.1 §4.1.2, §5.7.6): it changes what may be changed, all of it or nothing.
 */
#include <string.h>

#include "suites/specimen.h"

static const CK_ATTRIBUTE_TYPE nothing[] = { CK_UNAVAILABLE_INFORMATION };

static CK_RV set(struct check *c, CK_OBJECT_HANDLE object, struct template *t)
{
	return c->p11->C_SetAttributeValue(c->session, object, t->entry, t->count);
}

/* Skips the check where the module modifies no such object. */
static void need_modifies(struct check *c, CK_OBJECT_HANDLE object)
{
	struct template t;
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	NEED_OK(c, set(c, object, &t));
}

static void expect_same(struct check *c, unsigned int rule, const struct snapshot *before,
                        CK_OBJECT_HANDLE object, const CK_ATTRIBUTE_TYPE *except)
{
	static struct snapshot after;
	snapshot_take(c, &after, object, c->row->a);
	size_t at = snapshot_differs(before, &after, except);
	EXPECT(c, rule, at == fact_count, "%s has changed",
	       fact_name(&facts[at == fact_count ? 0 : at]));
}

/* A template that has the fact's attribute alone, with another value. */
static void changed(struct check *c, struct template *t, const struct fact *fact)
{
	struct template given;
	specimen_template(c, &given, c->row->a);
	if (template_find(&given, fact->type) == NULL && fact_form(fact) == TAPE_A_BOOL &&
	    (fact->flags & FACT_FORBIDDEN) != 0)
		template_bool(&given, fact->type, true);
	else
		fact_change(&given, fact);
	CK_ATTRIBUTE *entry = template_find(&given, fact->type);
	template_bytes(t, fact->type, entry->pValue, entry->ulValueLen);
}

/* A token need not permit what the tables do (§4.1.2). */
static void need_permission(struct check *c, const char *what, CK_RV rv)
{
	if (rv == CKR_ATTRIBUTE_READ_ONLY || rv == CKR_TEMPLATE_INCONSISTENT ||
	    rv == CKR_ATTRIBUTE_TYPE_INVALID)
		check_skip(c, "the token does not permit that %s is modified: %s", what,
		           check_rv_name(rv));
}

/* ---- what may be changed --------------------------------------------------------------------- */

static void change(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	static struct snapshot before;
	struct template t;
	CK_ATTRIBUTE_TYPE except[] = { fact->type, CK_UNAVAILABLE_INFORMATION };
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	need_modifies(c, object);
	snapshot_take(c, &before, object, c->row->a);
	template_clear(&t);
	changed(c, &t, fact);
	CK_RV rv = set(c, object, &t);
	need_permission(c, fact_name(fact), rv);
	EXPECT_CODE(c, 322, "C_SetAttributeValue", rv, CKR_OK);
	expect_value(c, 322, object, &t.entry[0]);
	/* What is sensitive now is not told any more. */
	if ((fact->flags & (FACT_RISES | FACT_FALLS)) == 0)
		expect_same(c, 322, &before, object, except);
}

/* Empty, and back. */
static void to_empty(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	need_modifies(c, object);
	template_clear(&t);
	changed(c, &t, fact);
	CK_RV rv = set(c, object, &t);
	need_permission(c, fact_name(fact), rv);
	NEED_OK(c, rv);
	t.entry[0].ulValueLen = 0;
	rv = set(c, object, &t);
	if (rv == CKR_ATTRIBUTE_VALUE_INVALID)
		check_skip(c, "the token wants a value for %s", fact_name(fact));
	EXPECT_CODE(c, 322, "C_SetAttributeValue", rv, CKR_OK);
	expect_value(c, 322, object, &t.entry[0]);
}

/* All that may be changed, at once. */
static void change_all(struct check *c)
{
	const struct specimen *specimen = &specimens[c->row->a];
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	need_modifies(c, object);
	template_clear(&t);
	for (size_t f = 0; f < fact_count; f++)
		if (fact_applies(&facts[f], specimen) && (facts[f].flags & FACT_MODIFIABLE) != 0 &&
		    (facts[f].flags & (FACT_RISES | FACT_FALLS)) == 0 &&
		    fact_form(&facts[f]) != TAPE_A_DATE)
			changed(c, &t, &facts[f]);
	CK_RV rv = set(c, object, &t);
	need_permission(c, "one of them", rv);
	EXPECT_CODE(c, 322, "C_SetAttributeValue", rv, CKR_OK);
	for (CK_ULONG i = 0; i < t.count; i++)
		expect_value(c, 322, object, &t.entry[i]);
}

/* ---- what may not ---------------------------------------------------------------------------- */

static void forbidden(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	static struct snapshot before;
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	fact_needed(c, fact);
	need_modifies(c, object);
	snapshot_take(c, &before, object, c->row->a);
	template_clear(&t);
	changed(c, &t, fact);
	CK_RV rv = set(c, object, &t);
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID && !can_read(c, object, fact->type))
		check_skip(c, "the object has no %s", fact_name(fact));
	EXPECT_REFUSED(c, 233, "C_SetAttributeValue", rv, CKR_ATTRIBUTE_READ_ONLY,
	               CKR_TEMPLATE_INCONSISTENT);
	expect_same(c, 1, &before, object, nothing);
}

static void unknown_type(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	need_modifies(c, object);
	template_clear(&t);
	template_ulong(&t, UNKNOWN_TYPE, 1);
	CK_RV rv = set(c, object, &t);
	if (rv == CKR_OK && can_read(c, object, UNKNOWN_TYPE)) {
		check_note(c, "the token takes and keeps any attribute");
		expect_value(c, 205, object, &t.entry[0]);
		return;
	}
	EXPECT_REFUSED(c, 205, "C_SetAttributeValue", rv, CKR_ATTRIBUTE_TYPE_INVALID);
}

static void foreign_type(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	need_modifies(c, object);
	template_clear(&t);
	template_text(&t,
	              specimens[c->row->a].class == SPECIMEN_DATA ? CKA_ISSUER : CKA_APPLICATION,
	              "p11tape");
	EXPECT_REFUSED(c, 209, "C_SetAttributeValue", set(c, object, &t), CKR_TEMPLATE_INCONSISTENT,
	               CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_READ_ONLY);
}

static void wrong_length(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	static struct snapshot before;
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	need_modifies(c, object);
	snapshot_take(c, &before, object, c->row->a);
	for (size_t size = 0; size < 12; size++) {
		if ((fact_form(fact) == TAPE_A_BOOL && size == 1) ||
		    (fact_form(fact) == TAPE_A_DATE && (size == 8 || size == 0)))
			continue;
		template_clear(&t);
		template_bytes(&t, fact->type, "\1\1\1\1\1\1\1\1\1\1\1", size);
		EXPECT_REFUSED(c, 206, "C_SetAttributeValue", set(c, object, &t),
		               CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
	}
	expect_same(c, 1, &before, object, nothing);
}

static void null_value(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	need_modifies(c, object);
	template_clear(&t);
	template_text(&t, (CK_ATTRIBUTE_TYPE)c->row->b, "p11tape");
	if (c->row->b != CKA_LABEL && c->row->b != CKA_ID)
		t.entry[0].ulValueLen = 1;
	t.entry[0].pValue = NULL;
	EXPECT_REFUSED(c, 314, "C_SetAttributeValue", set(c, object, &t), CKR_ARGUMENTS_BAD,
	               CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY);
}

static void no_template(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	need_modifies(c, object);
	EXPECT_RV(c, 314, c->p11->C_SetAttributeValue(c->session, object, NULL, 1),
	          CKR_ARGUMENTS_BAD);
	template_clear(&t);
	CK_RV rv = set(c, object, &t);
	check_note(c, "C_SetAttributeValue with an empty template returned %s", check_rv_name(rv));
}

/* ---- all or nothing -------------------------------------------------------------------------- */

static const char *const spoilers[] = { "read-only", "unknown-type", "wrong-length" };

static void put_spoiler(struct template *t, size_t which)
{
	if (which == 0)
		template_ulong(t, CKA_CLASS, CKO_HW_FEATURE);
	else if (which == 1)
		template_ulong(t, UNKNOWN_TYPE, 1);
	else
		template_bytes(t, CKA_TOKEN, "\1\1\1", 3);
}

/* A good attribute and a bad one: the good one is not changed, whichever comes first. */
static void atomic(struct check *c)
{
	static struct snapshot before;
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	bool bad_first = c->row->d != 0;
	need_modifies(c, object);
	snapshot_take(c, &before, object, c->row->a);
	template_clear(&t);
	if (bad_first)
		put_spoiler(&t, c->row->b);
	template_text(&t, CKA_LABEL, "p11tape other");
	if (!bad_first)
		put_spoiler(&t, c->row->b);
	CK_RV rv = set(c, object, &t);
	if (rv == CKR_OK)
		check_skip(c, "the token takes such a template");
	expect_same(c, 1, &before, object, nothing);
}

static void not_modifiable(struct check *c)
{
	static struct snapshot before;
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	specimen_template(c, &t, c->row->a);
	template_bool(&t, CKA_MODIFIABLE, false);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	snapshot_take(c, &before, object, c->row->a);
	template_clear(&t);
	changed(c, &t, fact);
	EXPECT_REFUSED(c, 232, "C_SetAttributeValue", set(c, object, &t), CKR_ACTION_PROHIBITED);
	expect_same(c, 232, &before, object, nothing);
}

/* ---- freezing -------------------------------------------------------------------------------- */

static const struct freeze {
	const char *name;
	CK_ATTRIBUTE_TYPE type;
	bool frozen; /* the value that it keeps */
} freezes[] = {
	{ "sensitive", CKA_SENSITIVE, true },
	{ "extractable", CKA_EXTRACTABLE, false },
	{ "wrap-with-trusted", CKA_WRAP_WITH_TRUSTED, true },
	{ "copyable", CKA_COPYABLE, false },
};

/* How it came to have that value: by the template, or by a change. */
static void freeze(struct check *c)
{
	const struct freeze *what = &freezes[c->row->b];
	struct template t;
	specimen_template(c, &t, c->row->a);
	template_bool(&t, what->type, c->row->d == 0 ? what->frozen : !what->frozen);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	need_modifies(c, object);
	template_clear(&t);
	if (c->row->d != 0) {
		template_bool(&t, what->type, what->frozen);
		CK_RV rv = set(c, object, &t);
		/* Which of the two texts about CKA_COPYABLE holds is open (§4.4). */
		if (rv != CKR_OK)
			check_skip(c, "the token does not change %s: %s",
			           check_attribute_name(what->type), check_rv_name(rv));
		EXPECT(c, 234, object_bool(c, object, what->type) == what->frozen,
		       "%s was set, yet is %d", check_attribute_name(what->type), !what->frozen);
	}
	template_bool(&t, what->type, !what->frozen);
	EXPECT_REFUSED(c, 234, "C_SetAttributeValue", set(c, object, &t), CKR_ATTRIBUTE_READ_ONLY,
	               CKR_TEMPLATE_INCONSISTENT);
	EXPECT(c, 234, object_bool(c, object, what->type) == what->frozen, "%s is %d again",
	       check_attribute_name(what->type), !what->frozen);
	/* The value that it has may be said again, or be refused. */
	template_bool(&t, what->type, what->frozen);
	check_note(c, "%s set to what it is: %s", check_attribute_name(what->type),
	           check_rv_name(set(c, object, &t)));
	EXPECT(c, 234, object_bool(c, object, what->type) == what->frozen, "%s is %d again",
	       check_attribute_name(what->type), !what->frozen);
}

/* Once it is sensitive its value is not told any more. */
static void hides(struct check *c)
{
	const struct freeze *what = &freezes[c->row->b];
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	CK_ATTRIBUTE_TYPE secret =
		specimens[c->row->a].family == FAMILY_RSA ? CKA_PRIVATE_EXPONENT : CKA_VALUE;
	unsigned char value[SNAPSHOT_SIZE];
	CK_ULONG size;
	struct template t;
	NEED_OK(c, object_read(c, object, secret, value, sizeof(value), &size));
	template_clear(&t);
	template_bool(&t, what->type, what->frozen);
	NEED_OK(c, set(c, object, &t));
	EXPECT_RV(c, 248, object_read(c, object, secret, value, sizeof(value), &size),
	          CKR_ATTRIBUTE_SENSITIVE);
	EXPECT(c, 248, size == CK_UNAVAILABLE_INFORMATION, "its length is told: %lu",
	       (unsigned long)size);
	EXPECT_RV(c, 248, object_read(c, object, secret, NULL, 0, &size), CKR_ATTRIBUTE_SENSITIVE);
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add(struct check_list *list, struct check_row row, size_t specimen, uintptr_t b,
                const char *family, const char *member)
{
	row.needs |= SPECIMEN_NEEDS;
	row.a = specimen;
	row.b = b;
	check_add(list, row, member == NULL ? "%s/%s" : "%s/%s/%s", family,
	          specimens[specimen].name, member);
}

static void add_fact(struct check_list *list, size_t s, size_t f)
{
	const struct fact *fact = &facts[f];
	enum tape_attribute_type form = fact_form(fact);
	bool may = (fact->flags & FACT_MODIFIABLE) != 0;
	const char *name = fact_name(fact);
	if (!fact_is_tried(fact, &specimens[s]) || (fact->flags & FACT_DELICATE) != 0)
		return;
	if (!may) {
		/* A module that is wrong about it may make a token object. */
		add(list,
		    CHECK(forbidden, fact->type == CKA_TOKEN ? NEED_DESTRUCTIVE : 0,
		          "it may not be changed", 233, 1),
		    s, f, "forbidden", name);
		return;
	}
	add(list, CHECK(change, 0, "it may be changed, and nothing else is", 322), s, f, "change",
	    name);
	if (form == TAPE_A_UTF8 || form == TAPE_A_BYTES || form == TAPE_A_DATE)
		add(list, CHECK(to_empty, 0, "it may become empty", 322), s, f, "empty", name);
	else
		add(list,
		    CHECK(wrong_length, 0, "a length that the type cannot have is refused", 206, 1),
		    s, f, "wrong-length", name);
	add(list, CHECK(not_modifiable, 0, "nothing of what is not modifiable is changed", 232), s,
	    f, "not-modifiable", name);
}

static void add_freezes(struct check_list *list, size_t s)
{
	bool is_secret = (specimens[s].class & (SPECIMEN_PRIVATE | SPECIMEN_SECRET)) != 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(freezes); i++) {
		struct check_row row = CHECK(freeze, 0, "it does not come back", 234);
		if (!is_secret && freezes[i].type != CKA_COPYABLE)
			continue;
		row.d = 0;
		add(list, row, s, i, "frozen-by-template", freezes[i].name);
		row.d = 1;
		add(list, row, s, i, "frozen-by-change", freezes[i].name);
		if (i < 2)
			add(list, CHECK(hides, 0, "from then on the value is not told", 248), s, i,
			    "hides", freezes[i].name);
	}
}

void suite_modify(struct check_list *list)
{
	for (size_t s = 0; s < specimen_count; s++) {
		for (size_t f = 0; f < fact_count; f++)
			add_fact(list, s, f);
		add(list, CHECK(change_all, 0, "all may be changed at once", 322), s, 0,
		    "change-all", NULL);
		if (!specimens[s].is_full)
			continue;
		add_freezes(list, s);
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(spoilers); i++) {
			if (i != 0 && specimens[s].kind != OBJECT_AES)
				continue;
			struct check_row row =
				CHECK(atomic, 0, "a bad attribute spoils the good one", 1);
			row.d = 0;
			add(list, row, s, i, "atomic-bad-last", spoilers[i]);
			row.d = 1;
			add(list, row, s, i, "atomic-bad-first", spoilers[i]);
		}
		add(list, CHECK(unknown_type, 0, "an attribute that nobody knows is refused", 205),
		    s, 0, "unknown-type", NULL);
		add(list, CHECK(foreign_type, 0, "an attribute of other objects is refused", 209),
		    s, 0, "foreign", NULL);
		add(list, CHECK(null_value, 0, "a NULL value of a length is refused", 314), s,
		    CKA_LABEL, "null-value", "CKA_LABEL");
		add(list, CHECK(null_value, 0, "a NULL value of a length is refused", 314), s,
		    CKA_PRIVATE, "null-value", "CKA_PRIVATE");
		add(list, CHECK(no_template, 0, "no template is refused", 314), s, 0, "no-template",
		    NULL);
	}
}
