/* SPDX-License-Identifier: MIT
 *
 * C_CopyObject (PKCS#11 3.1 §4.1.3, §5.7.2): a copy is its source, but for what the template may change.
 */
#include <string.h>

#include "suites/specimen.h"

static const CK_ATTRIBUTE_TYPE only_the_id[] = { CKA_UNIQUE_ID, CK_UNAVAILABLE_INFORMATION };

static CK_RV copy(struct check *c, CK_OBJECT_HANDLE source, struct template *t,
                  CK_OBJECT_HANDLE *ret_copy)
{
	*ret_copy = CK_INVALID_HANDLE;
	return c->p11->C_CopyObject(c->session, source, t == NULL ? NULL : t->entry,
	                            t == NULL ? 0 : t->count, ret_copy);
}

/* Skips the check where the module copies no such object at all; the copy is gone again. */
static void need_copies(struct check *c, CK_OBJECT_HANDLE source)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	CK_RV rv = copy(c, source, &t, &object);
	if (rv != CKR_OK)
		check_skip(c, "the token does not copy it: C_CopyObject returned %s",
		           check_rv_name(rv));
	NEED_OK(c, c->p11->C_DestroyObject(c->session, object));
}

static void expect_alike(struct check *c, unsigned int rule, const struct snapshot *source,
                         CK_OBJECT_HANDLE object, const CK_ATTRIBUTE_TYPE *except, const char *what)
{
	static struct snapshot other;
	snapshot_take(c, &other, object, c->row->a);
	size_t at = snapshot_differs(source, &other, except);
	EXPECT(c, rule, at == fact_count, "%s of the %s is not that of the source",
	       fact_name(&facts[at == fact_count ? 0 : at]), what);
}

/* ---- nothing is changed ---------------------------------------------------------------------- */

enum { EMPTY_NULL, EMPTY_POINTER, EMPTY_LABEL, EMPTY_COUNT };
static const char *const empty_names[EMPTY_COUNT] = { "no-template", "empty-template", "label" };

static void plain(struct check *c)
{
	static struct snapshot before;
	struct template t;
	CK_OBJECT_HANDLE object, source = specimen_make(c, c->row->a);
	snapshot_take(c, &before, source, c->row->a);
	if (c->row->b != EMPTY_LABEL)
		need_copies(c, source);
	template_clear(&t);
	if (c->row->b == EMPTY_LABEL)
		template_text(&t, CKA_LABEL, OBJECT_LABEL);
	CK_RV rv = copy(c, source, c->row->b == EMPTY_NULL ? NULL : &t, &object);
	if (c->row->b == EMPTY_LABEL && rv != CKR_OK)
		check_skip(c, "the token does not copy it: C_CopyObject returned %s",
		           check_rv_name(rv));
	if (c->row->b == EMPTY_NULL && rv == CKR_ARGUMENTS_BAD) {
		/* That NULL is a template of no attributes is said of C_FindObjectsInit only. */
		DEVIATION(c, 321, "C_CopyObject without a template returned CKR_ARGUMENTS_BAD");
		return;
	}
	EXPECT_CODE(c, 321, "C_CopyObject", rv, CKR_OK);
	EXPECT(c, 321, object != source && object != CK_INVALID_HANDLE,
	       "the copy of object %lu has the handle %lu", (unsigned long)source,
	       (unsigned long)object);
	expect_alike(c, 321, &before, object, only_the_id, "copy");
	expect_alike(c, 321, &before, source, (const CK_ATTRIBUTE_TYPE[]){ ~0UL }, "copied object");
	/* And it stands for itself. */
	NEED_OK(c, c->p11->C_DestroyObject(c->session, source));
	expect_alike(c, 321, &before, object, only_the_id, "copy without its source");
}

/* ---- what may be changed --------------------------------------------------------------------- */

static unsigned short rule_of_change(const struct fact *fact)
{
	return (fact->flags & (FACT_RISES | FACT_FALLS)) != 0 ? 230 : 229;
}

static void change(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	const unsigned int rule = rule_of_change(fact);
	static struct snapshot before;
	struct template given, t;
	CK_OBJECT_HANDLE object, source = specimen_make(c, c->row->a);
	CK_ATTRIBUTE_TYPE except[] = { CKA_UNIQUE_ID, fact->type, CK_UNAVAILABLE_INFORMATION };
	need_copies(c, source);
	snapshot_take(c, &before, source, c->row->a);
	specimen_template(c, &given, c->row->a);
	fact_change(&given, fact);
	template_clear(&t);
	CK_ATTRIBUTE *entry = template_find(&given, fact->type);
	template_bytes(&t, fact->type, entry->pValue, entry->ulValueLen);
	CK_RV rv = copy(c, source, &t, &object);
	/* A token need not permit what the tables do (§4.1.2, note 8 of table 13). */
	if (rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_ATTRIBUTE_READ_ONLY ||
	    (rv == CKR_ATTRIBUTE_VALUE_INVALID && fact->type == CKA_PRIVATE) ||
	    /* The PIN must be changed first (§3.2.3). */
	    (rv == CKR_PIN_EXPIRED && fact->type == CKA_PRIVATE) ||
	    (rv == CKR_ATTRIBUTE_TYPE_INVALID && !can_read(c, source, fact->type)))
		check_skip(c, "the token refuses a copy with another %s: %s", fact_name(fact),
		           check_rv_name(rv));
	EXPECT_CODE(c, rule, "C_CopyObject", rv, CKR_OK);
	expect_value(c, rule, object, entry);
	/* What is sensitive now is not told any more. */
	if ((fact->flags & (FACT_RISES | FACT_FALLS)) == 0)
		expect_alike(c, 321, &before, object, except, "copy");
	expect_alike(c, 321, &before, source, (const CK_ATTRIBUTE_TYPE[]){ ~0UL }, "copied object");
	(void)c->p11->C_DestroyObject(c->session, object);
}

/* ---- what may not ---------------------------------------------------------------------------- */

static void forbidden(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	static struct snapshot before;
	struct template given, t;
	CK_OBJECT_HANDLE object, source = specimen_make(c, c->row->a);
	fact_needed(c, fact);
	need_copies(c, source);
	snapshot_take(c, &before, source, c->row->a);
	specimen_template(c, &given, c->row->a);
	if (template_find(&given, fact->type) == NULL && fact_form(fact) == TAPE_A_BOOL)
		template_bool(&given, fact->type, true);
	else
		fact_change(&given, fact);
	template_clear(&t);
	CK_ATTRIBUTE *entry = template_find(&given, fact->type);
	template_bytes(&t, fact->type, entry->pValue, entry->ulValueLen);
	CK_RV rv = copy(c, source, &t, &object);
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID && !can_read(c, source, fact->type))
		check_skip(c, "the object has no %s", fact_name(fact));
	EXPECT_REFUSED(c, 233, "C_CopyObject", rv, CKR_ATTRIBUTE_READ_ONLY,
	               CKR_TEMPLATE_INCONSISTENT);
	expect_alike(c, 1, &before, source, (const CK_ATTRIBUTE_TYPE[]){ ~0UL }, "copied object");
}

static void nothing_left(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object, source = specimen_make(c, c->row->a);
	need_copies(c, source);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	if (c->row->b == 0)
		template_ulong(&t, UNKNOWN_TYPE, 1);
	else if (c->row->b == 1)
		template_ulong(&t, CKA_CLASS, CKO_HW_FEATURE);
	else
		template_bytes(&t, CKA_MODIFIABLE, "\1\1\1", 3);
	size_t before = count_objects(c);
	CK_RV rv = copy(c, source, &t, &object);
	if (rv == CKR_OK)
		check_skip(c, "the token takes such a template");
	size_t after = count_objects(c);
	EXPECT(c, 1, before == after,
	       "C_CopyObject returned %s, yet there are %zu objects where %zu were",
	       check_rv_name(rv), after, before);
}

static void unknown_type(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object, source = specimen_make(c, c->row->a);
	need_copies(c, source);
	template_clear(&t);
	template_ulong(&t, UNKNOWN_TYPE, 1);
	CK_RV rv = copy(c, source, &t, &object);
	if (rv == CKR_OK && can_read(c, object, UNKNOWN_TYPE)) {
		check_note(c, "the token takes and keeps any attribute");
		expect_value(c, 205, object, &t.entry[0]);
		return;
	}
	EXPECT_REFUSED(c, 205, "C_CopyObject", rv, CKR_ATTRIBUTE_TYPE_INVALID);
}

static void wrong_length(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object, source = specimen_make(c, c->row->a);
	need_copies(c, source);
	template_clear(&t);
	template_bytes(&t, (CK_ATTRIBUTE_TYPE)c->row->b, "\1\1\1", 3);
	EXPECT_REFUSED(c, 206, "C_CopyObject", copy(c, source, &t, &object),
	               CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
}

static void null_value(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object, source = specimen_make(c, c->row->a);
	need_copies(c, source);
	template_clear(&t);
	template_bytes(&t, (CK_ATTRIBUTE_TYPE)c->row->b, "\1\1\1\1\1\1\1",
	               c->row->b == CKA_LABEL ? 8 : 1);
	t.entry[0].pValue = NULL;
	EXPECT_REFUSED(c, 314, "C_CopyObject", copy(c, source, &t, &object), CKR_ARGUMENTS_BAD,
	               CKR_ATTRIBUTE_VALUE_INVALID);
}

static void not_copyable(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	specimen_template(c, &t, c->row->a);
	template_bool(&t, CKA_COPYABLE, false);
	CK_OBJECT_HANDLE source = object_create(c, &t);
	size_t before = count_objects(c);
	template_clear(&t);
	if (c->row->b == 0)
		template_text(&t, CKA_LABEL, OBJECT_LABEL);
	CK_RV rv = copy(c, source, &t, &object);
	EXPECT_REFUSED(c, 228, "C_CopyObject", rv, CKR_ACTION_PROHIBITED);
	EXPECT(c, 1, count_objects(c) == before, "the refused copy is there");
}

static void no_handle(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE source = specimen_make(c, c->row->a);
	need_copies(c, source);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	size_t before = count_objects(c);
	EXPECT_RV(c, 314, c->p11->C_CopyObject(c->session, source, t.entry, t.count, NULL),
	          CKR_ARGUMENTS_BAD);
	EXPECT_RV(c, 314, c->p11->C_CopyObject(c->session, source, NULL, 1, &source),
	          CKR_ARGUMENTS_BAD);
	EXPECT(c, 1, count_objects(c) == before, "an object without a handle is there");
}

/* ---- sensitive and extractable --------------------------------------------------------------- */

static const struct {
	bool sensitive, extractable; /* of the source */
	CK_ATTRIBUTE_TYPE type;      /* what the template says: CKA_CLASS for nothing */
	bool value;
	bool permitted;
	const char *name;
} turns[] = {
	{ true, true, CKA_CLASS, false, true, "sensitive" },
	{ false, false, CKA_CLASS, false, true, "unextractable" },
	{ true, false, CKA_CLASS, false, true, "both" },
	{ false, true, CKA_SENSITIVE, true, true, "becomes-sensitive" },
	{ false, true, CKA_EXTRACTABLE, false, true, "becomes-unextractable" },
	{ true, true, CKA_SENSITIVE, true, true, "stays-sensitive" },
	{ true, false, CKA_EXTRACTABLE, false, true, "stays-unextractable" },
	{ true, true, CKA_SENSITIVE, false, false, "becomes-insensitive" },
	{ true, false, CKA_SENSITIVE, false, false, "unextractable-becomes-insensitive" },
	{ false, false, CKA_EXTRACTABLE, true, false, "becomes-extractable" },
	{ true, false, CKA_EXTRACTABLE, true, false, "sensitive-becomes-extractable" },
};

static void turn(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	specimen_template(c, &t, c->row->a);
	template_bool(&t, CKA_SENSITIVE, turns[c->row->b].sensitive);
	template_bool(&t, CKA_EXTRACTABLE, turns[c->row->b].extractable);
	CK_OBJECT_HANDLE source = object_create(c, &t);
	need_copies(c, source);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	if (turns[c->row->b].type != CKA_CLASS)
		template_bool(&t, turns[c->row->b].type, turns[c->row->b].value);
	size_t before = count_objects(c);
	CK_RV rv = copy(c, source, &t, &object);
	if (!turns[c->row->b].permitted) {
		EXPECT_REFUSED(c, 230, "C_CopyObject", rv, CKR_ATTRIBUTE_READ_ONLY,
		               CKR_TEMPLATE_INCONSISTENT);
		EXPECT(c, 1, count_objects(c) == before, "the refused copy is there");
		return;
	}
	/* What is frozen is read-only, whatever value is given (notes 11 and 12). */
	bool frozen = (turns[c->row->b].type == CKA_SENSITIVE && turns[c->row->b].sensitive) ||
	              (turns[c->row->b].type == CKA_EXTRACTABLE && !turns[c->row->b].extractable);
	if (frozen && rv == CKR_ATTRIBUTE_READ_ONLY) {
		EXPECT(c, 1, count_objects(c) == before, "the refused copy is there");
		check_note(c, "%s may not even be given the value that it has",
		           check_attribute_name(turns[c->row->b].type));
		return;
	}
	EXPECT_CODE(c, 230, "C_CopyObject", rv, CKR_OK);
	EXPECT(c, 230,
	       object_bool(c, object, CKA_SENSITIVE) ==
	               (turns[c->row->b].sensitive || turns[c->row->b].type == CKA_SENSITIVE),
	       "CKA_SENSITIVE of the copy is wrong");
	EXPECT(c, 230,
	       object_bool(c, object, CKA_EXTRACTABLE) ==
	               (turns[c->row->b].extractable && turns[c->row->b].type != CKA_EXTRACTABLE),
	       "CKA_EXTRACTABLE of the copy is wrong");
	EXPECT(c, 231,
	       object_bool(c, object, CKA_ALWAYS_SENSITIVE) ==
	               object_bool(c, source, CKA_ALWAYS_SENSITIVE),
	       "CKA_ALWAYS_SENSITIVE of the copy is not that of the source");
	EXPECT(c, 231,
	       object_bool(c, object, CKA_NEVER_EXTRACTABLE) ==
	               object_bool(c, source, CKA_NEVER_EXTRACTABLE),
	       "CKA_NEVER_EXTRACTABLE of the copy is not that of the source");
	EXPECT(c, 231, object_bool(c, object, CKA_LOCAL) == object_bool(c, source, CKA_LOCAL),
	       "CKA_LOCAL of the copy is not that of the source");
}

/* ---- between session and token --------------------------------------------------------------- */

static void to_token(struct check *c)
{
	static struct snapshot before;
	CK_ATTRIBUTE_TYPE except[] = { CKA_UNIQUE_ID, CKA_TOKEN, CKA_LABEL,
		                       CK_UNAVAILABLE_INFORMATION };
	struct template t;
	CK_OBJECT_HANDLE object, back, source = specimen_make(c, c->row->a);
	need_copies(c, source);
	snapshot_take(c, &before, source, c->row->a);
	template_clear(&t);
	template_bool(&t, CKA_TOKEN, true);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	NEED_OK(c, copy(c, source, &t, &object));
	EXPECT(c, 229, object_bool(c, object, CKA_TOKEN), "the copy is no token object");
	/* Some tokens tell no key's value that they store. */
	if (can_read(c, source, CKA_SENSITIVE) && !object_bool(c, source, CKA_SENSITIVE) &&
	    object_bool(c, object, CKA_SENSITIVE)) {
		NEED_OK(c, c->p11->C_DestroyObject(c->session, object));
		DEVIATION(c, 321, "the token's copy of a key that is not sensitive is sensitive");
		return;
	}
	expect_alike(c, 321, &before, object, except, "token's copy");
	template_bool(&t, CKA_TOKEN, false);
	EXPECT_CODE(c, 229, "C_CopyObject", copy(c, object, &t, &back), CKR_OK);
	EXPECT(c, 229, !object_bool(c, back, CKA_TOKEN), "the copy of the copy is a token object");
	expect_alike(c, 321, &before, back, except, "session's copy of it");
	NEED_OK(c, c->p11->C_DestroyObject(c->session, object));
}

static void to_token_read_only(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object, source = specimen_make(c, c->row->a);
	need_copies(c, source);
	template_clear(&t);
	template_bool(&t, CKA_TOKEN, true);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	size_t before = count_objects(c);
	CK_RV rv = copy(c, source, &t, &object);
	if (rv == CKR_OK)
		(void)c->p11->C_DestroyObject(c->session, object);
	EXPECT_REFUSED(c, 143, "C_CopyObject", rv, CKR_SESSION_READ_ONLY,
	               CKR_TOKEN_WRITE_PROTECTED);
	EXPECT(c, 1, count_objects(c) == before, "the refused copy is there");
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add(struct check_list *list, struct check_row row, size_t specimen, uintptr_t b,
                const char *family, const char *member)
{
	if (row.needs == 0)
		row.needs = SPECIMEN_NEEDS;
	row.a = specimen;
	row.b = b;
	check_add(list, row, member == NULL ? "%s/%s" : "%s/%s/%s", family,
	          specimens[specimen].name, member);
}

static void add_specimen(struct check_list *list, size_t s)
{
	static const char *const leaving[] = { "unknown-type", "wrong-class", "wrong-length" };
	for (size_t i = 0; i < EMPTY_COUNT; i++)
		add(list, CHECK(plain, 0, "a copy is like its source", 321), s, i, "plain",
		    empty_names[i]);
	add(list, CHECK(unknown_type, 0, "an attribute that nobody knows is refused", 205), s, 0,
	    "unknown-type", NULL);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(leaving); i++)
		add(list, CHECK(nothing_left, 0, "what is refused leaves no copy", 1), s, i,
		    "nothing-left", leaving[i]);
	add(list, CHECK(wrong_length, 0, "a length that the type cannot have is refused", 206), s,
	    CKA_PRIVATE, "wrong-length", "CKA_PRIVATE");
	add(list, CHECK(wrong_length, 0, "a length that the type cannot have is refused", 206), s,
	    CKA_MODIFIABLE, "wrong-length", "CKA_MODIFIABLE");
	add(list, CHECK(null_value, 0, "a NULL value of a length is refused", 314), s, CKA_LABEL,
	    "null-value", "CKA_LABEL");
	add(list, CHECK(null_value, 0, "a NULL value of a length is refused", 314), s, CKA_PRIVATE,
	    "null-value", "CKA_PRIVATE");
	add(list, CHECK(not_copyable, 0, "what is not copyable is not copied", 228, 1), s, 0,
	    "not-copyable", "label");
	add(list, CHECK(not_copyable, 0, "what is not copyable is not copied", 228, 1), s, 1,
	    "not-copyable", "empty-template");
	add(list, CHECK(no_handle, 0, "without a place for the handle nothing is made", 314, 1), s,
	    0, "no-handle", NULL);
	add(list,
	    CHECK(to_token, NEED_RW | NEED_USER | NEED_DESTRUCTIVE,
	          "a copy may be a token object, and its copy a session's", 229, 321),
	    s, 0, "to-token", NULL);
	add(list,
	    CHECK(to_token_read_only, NEED_USER | NEED_DESTRUCTIVE,
	          "a session that is read-only makes no token's copy", 143, 1),
	    s, 0, "to-token-read-only", NULL);
}

void suite_copy(struct check_list *list)
{
	for (size_t s = 0; s < specimen_count; s++) {
		for (size_t f = 0; f < fact_count; f++) {
			const struct fact *fact = &facts[f];
			bool may = (fact->flags & (FACT_MODIFIABLE | FACT_COPYABLE)) != 0;
			if (!fact_is_tried(fact, &specimens[s]) ||
			    (fact->flags & FACT_DELICATE) != 0 || fact->type == CKA_TOKEN)
				continue;
			if (may)
				add(list,
				    CHECK(change, 0, "a copy may differ in it",
				          rule_of_change(fact), 321),
				    s, f, "change", fact_name(fact));
			else
				add(list,
				    CHECK(forbidden, 0, "a copy may not differ in it", 233, 1), s,
				    f, "forbidden", fact_name(fact));
		}
		if (!specimens[s].is_full)
			add(list, CHECK(plain, 0, "a copy is like its source", 321), s, EMPTY_LABEL,
			    "plain", empty_names[EMPTY_LABEL]);
		else
			add_specimen(list, s);
		bool is_secret = (specimens[s].class & (SPECIMEN_PRIVATE | SPECIMEN_SECRET)) != 0;
		for (size_t i = 0; is_secret && specimens[s].is_full && i < TAPE_ARRAY_SIZE(turns);
		     i++)
			add(list, CHECK(turn, 0, "a copy may hide more, never less", 230, 231, 1),
			    s, i, "secrecy", turns[i].name);
	}
}
