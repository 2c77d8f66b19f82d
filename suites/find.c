/* SPDX-License-Identifier: MIT
 *
 * C_FindObjectsInit, C_FindObjects, C_FindObjectsFinal (PKCS#11 3.1 §5.7.7 to §5.7.9): what is found, in what
 * portions, and what happens meanwhile.
 */
#include <string.h>

#include "suites/specimen.h"

#define MANY 7
#define MARK "p11tape find"

/* ---- searching ------------------------------------------------------------------------------- */

static CK_RV begin(struct check *c, CK_SESSION_HANDLE session, struct template *t)
{
	return c->p11->C_FindObjectsInit(session, t == NULL ? NULL : t->entry,
	                                 t == NULL ? 0 : t->count);
}

static CK_RV next(struct check *c, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *found,
                  CK_ULONG room, CK_ULONG *ret_count)
{
	return c->p11->C_FindObjects(session, found, room, ret_count);
}

static CK_RV end(struct check *c, CK_SESSION_HANDLE session)
{
	return c->p11->C_FindObjectsFinal(session);
}

static bool contains(const CK_OBJECT_HANDLE *handles, size_t count, CK_OBJECT_HANDLE handle)
{
	for (size_t i = 0; i < count; i++)
		/* cppcheck-suppress uninitvar ; what is counted was found */
		if (handles[i] == handle)
			return true;
	return false;
}

/* Make `count` data objects that a search for the label MARK finds. */
static void make_many(struct check *c, CK_OBJECT_HANDLE *objects, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct template t;
		object_template(c, &t, OBJECT_DATA);
		template_text(&t, CKA_LABEL, MARK);
		template_bytes(&t, CKA_VALUE, &i, sizeof(i));
		objects[i] = object_create(c, &t);
	}
}

static void marked(struct template *t)
{
	template_clear(t);
	template_text(t, CKA_LABEL, MARK);
}

/* ---- what matches ---------------------------------------------------------------------------- */

enum { MATCH_EXACT, MATCH_PREFIX, MATCH_LONGER, MATCH_OTHER, MATCH_EMPTY, MATCH_COUNT };
static const char *const match_names[MATCH_COUNT] = { "exact", "shorter", "longer", "other",
	                                              "empty" };

/* Look for the object by one of its attributes, or by a value that it does not have. */
static void match(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	unsigned char value[SNAPSHOT_SIZE];
	CK_OBJECT_HANDLE found[256];
	CK_ULONG got;
	struct template t, search;
	specimen_template(c, &t, c->row->a);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	CK_ATTRIBUTE *entry = template_find(&t, fact->type);
	CK_ULONG size = entry->ulValueLen;
	memcpy(value, entry->pValue, size);
	value[size] = 0;
	if (c->row->d == MATCH_PREFIX)
		size--;
	else if (c->row->d == MATCH_LONGER)
		size++;
	else if (c->row->d == MATCH_EMPTY)
		size = 0;
	else if (c->row->d == MATCH_OTHER && fact_form(fact) == TAPE_A_BOOL)
		value[0] = !value[0];
	else if (c->row->d == MATCH_OTHER)
		value[size - 1] ^= 0x01;
	template_clear(&search);
	template_bytes(&search, fact->type, value, size);
	/* The class is given too, so that there are few others. */
	if (fact->type != CKA_CLASS)
		template_ulong(&search, CKA_CLASS, object_ulong(c, object, CKA_CLASS));
	CK_RV rv = begin(c, c->session, &search);
	if (c->row->d != MATCH_EXACT && (rv == CKR_ATTRIBUTE_VALUE_INVALID)) {
		check_note(c, "C_FindObjectsInit returned %s", check_rv_name(rv));
		EXPECT_CODE(c, 251, "C_FindObjects, after C_FindObjectsInit failed,",
		            next(c, c->session, found, 1, &got), CKR_OPERATION_NOT_INITIALIZED);
		return;
	}
	EXPECT_CODE(c, 251, "C_FindObjectsInit", rv, CKR_OK);
	(void)end(c, c->session);
	bool there =
		contains(found, object_find(c, &search, found, TAPE_ARRAY_SIZE(found)), object);
	/* What a token keeps to itself it need not compare. */
	if (c->row->d == MATCH_EXACT && !there && (fact->flags & FACT_SECRET) != 0)
		check_skip(c, "the token does not search for %s", fact_name(fact));
	EXPECT(c, 251, there == (c->row->d == MATCH_EXACT),
	       "searching for %s, %s: the object is %s", fact_name(fact), match_names[c->row->d],
	       there ? "found" : "not found");
}

/* Every attribute of the template at once; then with one that differs. */
static void match_all(struct check *c)
{
	CK_OBJECT_HANDLE found[64];
	struct template t;
	specimen_template(c, &t, c->row->a);
	CK_OBJECT_HANDLE object = object_create(c, &t);
	if (specimens[c->row->a].class == SPECIMEN_PRIVATE ||
	    specimens[c->row->a].class == SPECIMEN_SECRET)
		for (size_t f = 0; f < fact_count; f++)
			if ((facts[f].flags & FACT_SECRET) != 0)
				template_remove(&t, facts[f].type);
	EXPECT(c, 251, contains(found, object_find(c, &t, found, 64), object),
	       "the object is not found by all of its attributes");
	for (CK_ULONG i = 0; i < t.count; i++) {
		unsigned char *last =
			(unsigned char *)t.entry[i].pValue + t.entry[i].ulValueLen - 1;
		*last ^= 0x01;
		CK_RV rv = begin(c, c->session, &t);
		if (rv == CKR_OK) {
			(void)end(c, c->session);
			EXPECT(c, 251, object_find(c, &t, found, 64) == 0,
			       "the object is found though %s differs",
			       check_attribute_name(t.entry[i].type));
		}
		*last ^= 0x01;
	}
}

static void match_nothing_given(struct check *c)
{
	static CK_OBJECT_HANDLE found[4096];
	CK_OBJECT_HANDLE objects[MANY];
	make_many(c, objects, MANY);
	/* Not through object_find(): the pointer is what is tried. */
	EXPECT_RV(c, 250,
	          c->p11->C_FindObjectsInit(c->session,
	                                    c->row->b == 0 ? NULL : (CK_ATTRIBUTE[1]){ 0 }, 0),
	          CKR_OK);
	CK_ULONG count = 0, got = 1;
	while (got != 0 && count < TAPE_ARRAY_SIZE(found)) {
		EXPECT_RV(c, 254,
		          next(c, c->session, found + count, TAPE_ARRAY_SIZE(found) - count, &got),
		          CKR_OK);
		count += got;
	}
	for (size_t i = 0; i < MANY; i++)
		EXPECT(c, 250, contains(found, count, objects[i]),
		       "an empty template does not find object %lu", (unsigned long)objects[i]);
	EXPECT_RV(c, 254, end(c, c->session), CKR_OK);
}

static void match_label_in_other_class(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[64];
	CK_OBJECT_HANDLE key = object_make(c, OBJECT_AES), data = object_make(c, OBJECT_DATA);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_ulong(&t, CKA_CLASS, CKO_DATA);
	size_t count = object_find(c, &t, found, 64);
	EXPECT(c, 251, contains(found, count, data), "the data object is not found");
	EXPECT(c, 251, !contains(found, count, key), "a key is found as data");
}

/* An attribute that the object has, but empty; and an object that has none of that type. */
static void match_empty_value(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[64];
	object_template(c, &t, OBJECT_DATA);
	template_text(&t, CKA_LABEL, "");
	CK_OBJECT_HANDLE empty = object_create(c, &t);
	object_template(c, &t, OBJECT_DATA);
	CK_OBJECT_HANDLE full = object_create(c, &t);
	template_clear(&t);
	template_text(&t, CKA_LABEL, "");
	size_t count = object_find(c, &t, found, 64);
	EXPECT(c, 251, contains(found, count, empty), "the object without a label is not found");
	EXPECT(c, 251, !contains(found, count, full),
	       "an object with a label is found by an empty one");
}

/* ---- portions -------------------------------------------------------------------------------- */

static const CK_ULONG portions[] = { 1, 2, 3, MANY - 1, MANY, MANY + 1, 100 };

static void portion(struct check *c)
{
	const CK_ULONG room = portions[c->row->b];
	CK_OBJECT_HANDLE objects[MANY], all[MANY + 1];
	CK_OBJECT_HANDLE *found = check_buffer(c, room * sizeof(*found));
	CK_ULONG *got = check_buffer(c, sizeof(*got));
	size_t count = 0;
	struct template t;
	make_many(c, objects, MANY);
	marked(&t);
	EXPECT_RV(c, 254, begin(c, c->session, &t), CKR_OK);
	for (;;) {
		memset(found, CHECK_POISON, room * sizeof(*found));
		EXPECT_RV(c, 254, next(c, c->session, found, room, got), CKR_OK);
		EXPECT(c, 254, *got <= room, "C_FindObjects for %lu handles says %lu",
		       (unsigned long)room, (unsigned long)*got);
		EXPECT(c, 313, check_untouched(found, *got * sizeof(*found), room * sizeof(*found)),
		       "C_FindObjects wrote behind the %lu handles that it gave",
		       (unsigned long)*got);
		if (*got == 0)
			break;
		EXPECT(c, 254, count + *got <= MANY, "%zu objects are found where %d are",
		       count + (size_t)*got, MANY);
		memcpy(all + count, found, *got * sizeof(*found));
		count += *got;
	}
	EXPECT(c, 254, count == MANY, "%zu objects are found where %d are", count, MANY);
	for (size_t i = 0; i < MANY; i++)
		EXPECT(c, 254, contains(all, count, objects[i]), "one object is found twice");
	/* And it may be asked again. */
	EXPECT_RV(c, 254, next(c, c->session, found, room, got), CKR_OK);
	EXPECT(c, 254, *got == 0, "after the end there are %lu more", (unsigned long)*got);
	EXPECT_RV(c, 254, end(c, c->session), CKR_OK);
}

static void portion_of_none(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[MANY];
	CK_ULONG got = 77;
	struct template t;
	make_many(c, objects, MANY);
	marked(&t);
	NEED_OK(c, begin(c, c->session, &t));
	CK_RV rv = next(c, c->session, found, 0, &got);
	check_note(c, "C_FindObjects for no handles returned %s", check_rv_name(rv));
	EXPECT(c, 254, rv != CKR_OK || got == 0, "C_FindObjects for no handles gave %lu",
	       (unsigned long)got);
	if (rv == CKR_OK) {
		EXPECT_RV(c, 254, next(c, c->session, found, MANY, &got), CKR_OK);
		EXPECT(c, 254, got == MANY, "then %lu are found where %d are", (unsigned long)got,
		       MANY);
	}
}

static void portion_of_nothing(struct check *c)
{
	CK_OBJECT_HANDLE found[1];
	CK_ULONG got = 77;
	struct template t;
	marked(&t);
	NEED_OK(c, begin(c, c->session, &t));
	EXPECT_RV(c, 254, next(c, c->session, found, 1, &got), CKR_OK);
	EXPECT(c, 254, got == 0, "%lu objects are found where none is", (unsigned long)got);
	EXPECT_RV(c, 254, end(c, c->session), CKR_OK);
}

static void null_pointers(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[MANY];
	CK_ULONG got = 0;
	struct template t;
	make_many(c, objects, MANY);
	marked(&t);
	NEED_OK(c, begin(c, c->session, &t));
	EXPECT_RV(c, 314, next(c, c->session, NULL, MANY, &got), CKR_ARGUMENTS_BAD);
	EXPECT_RV(c, 314, next(c, c->session, found, MANY, NULL), CKR_ARGUMENTS_BAD);
}

static void null_template(struct check *c)
{
	EXPECT_RV(c, 314, c->p11->C_FindObjectsInit(c->session, NULL, 2), CKR_ARGUMENTS_BAD);
	struct template t;
	marked(&t);
	EXPECT_RV(c, 249, begin(c, c->session, &t), CKR_OK);
}

static void null_value(struct check *c)
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_KEY_TYPE, CKA_CLASS, CKA_LABEL,
		                                   CKA_ID,       CKA_TOKEN, CKA_VALUE };
	CK_ATTRIBUTE entry = { types[c->row->b], NULL, types[c->row->b] == CKA_TOKEN ? 1 : 8 };
	CK_OBJECT_HANDLE found[64];
	CK_ULONG got = 0;
	object_make(c, OBJECT_AES);
	CK_RV rv = c->p11->C_FindObjectsInit(c->session, &entry, 1);
	EXPECT_CODE(c, 314, "C_FindObjectsInit", rv, CKR_OK, CKR_ARGUMENTS_BAD,
	            CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_TYPE_INVALID);
	if (rv != CKR_OK)
		return;
	rv = next(c, c->session, found, 64, &got);
	EXPECT(c, 314, rv != CKR_OK || got == 0, "a NULL value finds %lu objects",
	       (unsigned long)got);
}

/* ---- one search at a time -------------------------------------------------------------------- */

static void second_init(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[MANY + 1];
	CK_ULONG got = 0;
	struct template t, other;
	make_many(c, objects, MANY);
	marked(&t);
	template_clear(&other);
	template_text(&other, CKA_LABEL, "something else");
	EXPECT_RV(c, 249, begin(c, c->session, &t), CKR_OK);
	EXPECT_RV(c, 249, begin(c, c->session, &other), CKR_OPERATION_ACTIVE);
	EXPECT_RV(c, 249, next(c, c->session, found, MANY + 1, &got), CKR_OK);
	EXPECT(c, 249, got == MANY, "after the refused one the search finds %lu, not %d",
	       (unsigned long)got, MANY);
	EXPECT_RV(c, 249, begin(c, c->session, &other), CKR_OPERATION_ACTIVE);
	EXPECT_RV(c, 249, end(c, c->session), CKR_OK);
	EXPECT_RV(c, 249, begin(c, c->session, &other), CKR_OK);
	EXPECT_RV(c, 249, end(c, c->session), CKR_OK);
}

static void after_final(struct check *c)
{
	CK_OBJECT_HANDLE found[1];
	CK_ULONG got;
	struct template t;
	marked(&t);
	NEED_OK(c, begin(c, c->session, &t));
	EXPECT_RV(c, 255, end(c, c->session), CKR_OK);
	EXPECT_RV(c, 255, next(c, c->session, found, 1, &got), CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_RV(c, 255, end(c, c->session), CKR_OPERATION_NOT_INITIALIZED);
}

/* Ended before all was asked for; the next search is a new one. */
static void early_final(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[MANY + 1];
	CK_ULONG got = 0;
	struct template t;
	make_many(c, objects, MANY);
	marked(&t);
	for (CK_ULONG room = 0; room < MANY; room++) {
		EXPECT_RV(c, 249, begin(c, c->session, &t), CKR_OK);
		if (room != 0)
			EXPECT_RV(c, 254, next(c, c->session, found, room, &got), CKR_OK);
		EXPECT_RV(c, 254, end(c, c->session), CKR_OK);
	}
	EXPECT_RV(c, 249, begin(c, c->session, &t), CKR_OK);
	EXPECT_RV(c, 254, next(c, c->session, found, MANY + 1, &got), CKR_OK);
	EXPECT(c, 254, got == MANY, "the last search finds %lu of %d", (unsigned long)got, MANY);
}

/* ---- templates that make no sense ------------------------------------------------------------ */

static void unknown_type(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[MANY + 1];
	CK_ULONG got = 77;
	struct template t;
	make_many(c, objects, MANY);
	if (c->row->b == 0)
		template_clear(&t);
	else
		marked(&t);
	template_ulong(&t, UNKNOWN_TYPE, 1);
	CK_RV rv = begin(c, c->session, &t);
	check_note(c, "C_FindObjectsInit with an unknown type returned %s", check_rv_name(rv));
	EXPECT_CODE(c, 253, "C_FindObjectsInit", rv, CKR_OK, CKR_ATTRIBUTE_TYPE_INVALID,
	            CKR_ATTRIBUTE_VALUE_INVALID);
	if (rv == CKR_OK) {
		EXPECT_RV(c, 251, next(c, c->session, found, MANY + 1, &got), CKR_OK);
		EXPECT(c, 251, got == 0, "an attribute that no object has finds %lu",
		       (unsigned long)got);
		EXPECT_RV(c, 254, end(c, c->session), CKR_OK);
	}
	marked(&t);
	EXPECT_RV(c, 249, begin(c, c->session, &t), CKR_OK);
	EXPECT_RV(c, 254, next(c, c->session, found, MANY + 1, &got), CKR_OK);
	EXPECT(c, 254, got == MANY, "then %lu objects are found where %d are", (unsigned long)got,
	       MANY);
}

static void contradiction(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[MANY];
	CK_OBJECT_CLASS class = CKO_DATA, other = CKO_SECRET_KEY;
	CK_ATTRIBUTE entries[] = { { CKA_CLASS, &class, sizeof(class) },
		                   { CKA_CLASS, &other, sizeof(other) } };
	CK_ULONG got = 0;
	make_many(c, objects, MANY);
	CK_RV rv = c->p11->C_FindObjectsInit(c->session, entries, 2);
	EXPECT_CODE(c, 251, "C_FindObjectsInit", rv, CKR_OK, CKR_ATTRIBUTE_VALUE_INVALID,
	            CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ARGUMENTS_BAD);
	if (rv != CKR_OK)
		return;
	EXPECT_RV(c, 251, next(c, c->session, found, MANY, &got), CKR_OK);
	EXPECT(c, 251, got == 0, "%lu objects have two classes", (unsigned long)got);
}

/* ---- several sessions ------------------------------------------------------------------------ */

static void two_sessions(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], one[MANY], two[MANY];
	CK_SESSION_HANDLE other = check_open(c, CKF_RW_SESSION);
	CK_ULONG got;
	struct template t;
	make_many(c, objects, MANY);
	marked(&t);
	EXPECT_RV(c, 249, begin(c, c->session, &t), CKR_OK);
	EXPECT_RV(c, 249, begin(c, other, &t), CKR_OK);
	for (size_t i = 0; i < MANY; i++) {
		EXPECT_RV(c, 254, next(c, c->session, &one[i], 1, &got), CKR_OK);
		EXPECT(c, 254, got == 1, "the first session's search ends after %zu", i);
		EXPECT_RV(c, 254, next(c, other, &two[i], 1, &got), CKR_OK);
		EXPECT(c, 254, got == 1, "the second session's search ends after %zu", i);
	}
	EXPECT_RV(c, 254, end(c, c->session), CKR_OK);
	EXPECT_RV(c, 254, next(c, other, two, 1, &got), CKR_OK);
	for (size_t i = 0; i < MANY; i++)
		EXPECT(c, 142, contains(one, MANY, objects[i]) && contains(two, MANY, objects[i]),
		       "not every object is found by both sessions");
}

static void closed_session(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[MANY];
	CK_SESSION_HANDLE other = check_open(c, CKF_RW_SESSION);
	CK_ULONG got = 0;
	struct template t;
	make_many(c, objects, MANY);
	marked(&t);
	NEED_OK(c, begin(c, other, &t));
	NEED_OK(c, c->p11->C_CloseSession(other));
	other = check_open(c, CKF_RW_SESSION);
	EXPECT_RV(c, 255, next(c, other, found, 1, &got), CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_RV(c, 249, begin(c, other, &t), CKR_OK);
}

/* ---- meanwhile ------------------------------------------------------------------------------- */

enum {
	MEANWHILE_READ,
	MEANWHILE_CREATE,
	MEANWHILE_DESTROY,
	MEANWHILE_COPY,
	MEANWHILE_MODIFY,
	MEANWHILE_DIGEST,
	MEANWHILE_COUNT
};
static const char *const meanwhile_names[MEANWHILE_COUNT] = { "read", "create", "destroy",
	                                                      "copy", "modify", "digest" };

static void act(struct check *c, CK_OBJECT_HANDLE object)
{
	CK_BYTE data[4] = { 0 }, digest[64];
	CK_ULONG size = sizeof(digest);
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	CK_OBJECT_HANDLE other;
	struct template t;
	marked(&t);
	switch (c->row->b) {
	case MEANWHILE_READ:
		NEED_OK(c, c->p11->C_GetAttributeValue(c->session, object,
		                                       &(CK_ATTRIBUTE){ CKA_CLASS, NULL, 0 }, 1));
		break;
	case MEANWHILE_CREATE:
		make_many(c, &other, 1);
		break;
	case MEANWHILE_DESTROY:
		NEED_OK(c, c->p11->C_DestroyObject(c->session, object));
		break;
	case MEANWHILE_COPY:
		(void)c->p11->C_CopyObject(c->session, object, t.entry, t.count, &other);
		break;
	case MEANWHILE_MODIFY:
		template_text(&t, CKA_LABEL, "p11tape, found");
		(void)c->p11->C_SetAttributeValue(c->session, object, t.entry, t.count);
		break;
	default:
		/* Sessions with one operation at a time, searches included, are known. */
		if (c->p11->C_DigestInit(c->session, &mechanism) != CKR_OK)
			check_note(c, "there is no digesting during a search");
		else
			(void)c->p11->C_Digest(c->session, data, sizeof(data), digest, &size);
		break;
	}
}

/* The objects that were there when the search began are found, whatever is done between the portions. */
static void meanwhile(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[4 * MANY];
	CK_ULONG got = 1;
	size_t count = 0, given = 0;
	struct template t;
	make_many(c, objects, MANY);
	marked(&t);
	NEED_OK(c, begin(c, c->session, &t));
	while (count < TAPE_ARRAY_SIZE(found)) {
		EXPECT_RV(c, 254, next(c, c->session, found + count, 1, &got), CKR_OK);
		if (got == 0)
			break;
		EXPECT(c, 254, got == 1, "C_FindObjects for one handle says %lu",
		       (unsigned long)got);
		EXPECT(c, 254, !contains(found, count, found[count]), "object %lu is found twice",
		       (unsigned long)found[count]);
		act(c, found[count]);
		count++;
	}
	for (size_t i = 0; i < MANY; i++)
		given += contains(found, count, objects[i]);
	EXPECT(c, 254, given == MANY, "%zu of %d objects are found", given, MANY);
	EXPECT_RV(c, 254, end(c, c->session), CKR_OK);
	OBSERVE(c, 256, "%zu objects are found that came later", count - given);
}

/* All are destroyed behind the back of a search. */
static void all_destroyed(struct check *c)
{
	CK_OBJECT_HANDLE objects[MANY], found[MANY];
	CK_ULONG got = 0;
	struct template t;
	make_many(c, objects, MANY);
	marked(&t);
	NEED_OK(c, begin(c, c->session, &t));
	for (size_t i = 0; i < MANY; i++)
		NEED_OK(c, c->p11->C_DestroyObject(c->session, objects[i]));
	EXPECT_RV(c, 254, next(c, c->session, found, MANY, &got), CKR_OK);
	check_note(c, "%lu of %d destroyed objects are reported", (unsigned long)got, MANY);
	for (CK_ULONG i = 0; i < got; i++)
		EXPECT(c, 236,
		       c->p11->C_GetAttributeValue(c->session, found[i],
		                                   &(CK_ATTRIBUTE){ CKA_CLASS, NULL, 0 },
		                                   1) == CKR_OBJECT_HANDLE_INVALID,
		       "a destroyed object is not invalid");
	EXPECT_RV(c, 254, end(c, c->session), CKR_OK);
}

/* Log in or out during a search. Whether it survives is open; what a public session is given is not. */
static void login_meanwhile(struct check *c)
{
	bool out = c->row->b != 0;
	CK_OBJECT_HANDLE found[64], data = CK_INVALID_HANDLE;
	CK_SESSION_INFO info;
	CK_ULONG got = 0;
	struct template t;
	if ((c->target->token_info.flags & CKF_LOGIN_REQUIRED) == 0)
		check_skip(c, "the token wants no login");
	if (out) {
		if (!check_login(c, c->session, CKU_USER))
			check_skip(c, "the user cannot be logged in without a PIN (--pin-file)");
		object_template(c, &t, OBJECT_DATA);
		template_bool(&t, CKA_PRIVATE, true);
		data = object_create(c, &t);
	}
	NEED_OK(c, begin(c, c->session, NULL));
	if (out)
		NEED_OK(c, c->p11->C_Logout(c->session));
	else if (!check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in without a PIN (--pin-file)");
	CK_RV rv = next(c, c->session, found, 64, &got);
	check_note(c, "C_FindObjects then returned %s", check_rv_name(rv));
	EXPECT_CODE(c, 252, "C_FindObjects", rv, CKR_OK, CKR_OPERATION_NOT_INITIALIZED);
	if (rv == CKR_OK && out && contains(found, got, data))
		EXPECT(c, 252,
		       c->p11->C_GetAttributeValue(c->session, data,
		                                   &(CK_ATTRIBUTE){ CKA_CLASS, NULL, 0 },
		                                   1) == CKR_OBJECT_HANDLE_INVALID,
		       "a private object is reported after C_Logout, and can be read");
	(void)end(c, c->session);
	EXPECT_RV(c, 252, c->p11->C_GetSessionInfo(c->session, &info), CKR_OK);
	EXPECT_RV(c, 249, begin(c, c->session, NULL), CKR_OK);
}

/* ---- unique identifiers ---------------------------------------------------------------------- */

static void by_unique_id(struct check *c)
{
	unsigned char id[SNAPSHOT_SIZE];
	CK_ULONG size;
	CK_OBJECT_HANDLE found[2];
	struct template t;
	CK_OBJECT_HANDLE object = specimen_make(c, c->row->a);
	specimen_make(c, c->row->a);
	if (c->target->spec < SPEC(3, 0))
		check_skip(c, "CKA_UNIQUE_ID came with PKCS#11 3.0");
	NEED_OK(c, object_read(c, object, CKA_UNIQUE_ID, id, sizeof(id), &size));
	template_clear(&t);
	template_bytes(&t, CKA_UNIQUE_ID, id, size);
	size_t count = object_find(c, &t, found, 2);
	EXPECT(c, 257, count == 1 && found[0] == object, "CKA_UNIQUE_ID finds %zu objects", count);
	NEED_OK(c, c->p11->C_DestroyObject(c->session, object));
	count = object_find(c, &t, found, 2);
	EXPECT(c, 257, count == 0, "CKA_UNIQUE_ID of a destroyed object finds %zu", count);
}

/* ---- objects that are there: of tokens on which none can be made ------------------------------ */

#define KNOWN 4096

static size_t known(struct check *c, CK_OBJECT_HANDLE *objects)
{
	size_t count = object_find(c, NULL, objects, KNOWN);
	if (count == 0 || count == KNOWN)
		check_skip(c, "a public session sees %s",
		           count == 0 ? "no object" : "more objects than are looked at");
	return count;
}

static void portion_of_known(struct check *c)
{
	static CK_OBJECT_HANDLE all[KNOWN], seen[KNOWN];
	CK_ULONG room = c->row->b, got = 1;
	size_t count = object_find(c, NULL, all, KNOWN), total = 0;
	for (size_t i = 1; i < count; i++)
		EXPECT(c, 254, all[i] != all[0], "0x%lx is found twice", (unsigned long)all[i]);
	count = known(c, all);
	CK_OBJECT_HANDLE *found = check_buffer(c, room * sizeof(*found));
	NEED_OK(c, begin(c, c->session, NULL));
	while (got != 0 && total < count + room) {
		EXPECT_CODE(c, 254, "C_FindObjects", next(c, c->session, found, room, &got),
		            CKR_OK);
		EXPECT(c, 254, got <= room,
		       "C_FindObjects gave %lu objects, and there was room "
		       "for %lu",
		       (unsigned long)got, (unsigned long)room);
		for (CK_ULONG i = 0; i < got; i++) {
			EXPECT(c, 254, !contains(seen, total, found[i]), "0x%lx is found twice",
			       (unsigned long)found[i]);
			EXPECT(c, 254, contains(all, count, found[i]), "0x%lx was not found before",
			       (unsigned long)found[i]);
			seen[total++] = found[i];
		}
	}
	EXPECT(c, 254, total == count, "%zu objects are found by %lu at a time, and %zu at once",
	       total, (unsigned long)room, count);
	EXPECT_CODE(c, 254, "C_FindObjects", next(c, c->session, found, room, &got), CKR_OK);
	EXPECT(c, 254, got == 0, "behind the last object there are %lu more", (unsigned long)got);
	EXPECT_CODE(c, 254, "C_FindObjectsFinal", end(c, c->session), CKR_OK);
}

/* Every object that a search by the label finds has it. */
static bool expect_label(struct check *c, const char *label, CK_ULONG size, CK_OBJECT_HANDLE object)
{
	static CK_OBJECT_HANDLE found[KNOWN];
	struct template t;
	char other[256];
	CK_ULONG other_size;
	template_clear(&t);
	template_bytes(&t, CKA_LABEL, label, size);
	size_t count = object_find(c, &t, found, KNOWN);
	for (size_t i = 0; i < count; i++)
		EXPECT(c, 251,
		       object_read(c, found[i], CKA_LABEL, other, sizeof(other), &other_size) ==
		                       CKR_OK &&
		               other_size == size && memcmp(label, other, size) == 0,
		       "a search for a label finds an object that has another one");
	return contains(found, count, object);
}

#define TRIED 16

static void match_known(struct check *c)
{
	static CK_OBJECT_HANDLE all[KNOWN];
	size_t count = known(c, all), tried = 0;
	for (size_t i = 0; i < count && tried < TRIED; i++) {
		char label[256];
		CK_ULONG size;
		if (object_read(c, all[i], CKA_LABEL, label, sizeof(label), &size) != CKR_OK ||
		    size < 2)
			continue;
		EXPECT(c, 251, expect_label(c, label, size, all[i]),
		       "an object is not found by its label");
		(void)expect_label(c, label, size - 1, all[i]);
		tried++;
	}
	if (tried == 0)
		check_skip(c, "no object has a label");
}

static void search_again(struct check *c)
{
	static CK_OBJECT_HANDLE all[KNOWN];
	CK_OBJECT_HANDLE found;
	CK_ULONG got;
	(void)known(c, all);
	EXPECT_CODE(c, 249, "C_FindObjectsInit", begin(c, c->session, NULL), CKR_OK);
	EXPECT_CODE(c, 249, "C_FindObjectsInit", begin(c, c->session, NULL), CKR_OPERATION_ACTIVE);
	EXPECT_CODE(c, 249, "C_FindObjects", next(c, c->session, &found, 1, &got), CKR_OK);
	EXPECT(c, 249, got == 1, "after a second C_FindObjectsInit the search finds nothing");
	EXPECT_CODE(c, 249, "C_FindObjectsFinal", end(c, c->session), CKR_OK);
	EXPECT_CODE(c, 249, "C_FindObjectsInit", begin(c, c->session, NULL), CKR_OK);
	EXPECT_CODE(c, 249, "C_FindObjectsFinal", end(c, c->session), CKR_OK);
	EXPECT_CODE(c, 255, "C_FindObjects", next(c, c->session, &found, 1, &got),
	            CKR_OPERATION_NOT_INITIALIZED);
}

static void add_known(struct check_list *list)
{
	static const unsigned int rooms[] = { 1, 2, 3, 64 };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(rooms); i++) {
		struct check_row row = CHECK(portion_of_known, NEED_SESSION,
		                             "what is there is found once, by few at a time", 254);
		row.b = rooms[i];
		check_add(list, row, "known/by-%u", rooms[i]);
	}
	check_add(list,
	          CHECK(match_known, NEED_SESSION, "what is there is found by its label", 251),
	          "known/by-label");
	check_add(list,
	          CHECK(search_again, NEED_SESSION, "a search ends, and another begins", 249, 255),
	          "known/again");
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add_matches(struct check_list *list, size_t s)
{
	for (size_t f = 0; f < fact_count; f++) {
		struct check_row row =
			CHECK(match, SPECIMEN_NEEDS, "it is found by the very value alone", 251);
		if (!fact_is_tried(&facts[f], &specimens[s]) || !specimen_has(s, facts[f].type))
			continue;
		row.a = s;
		row.b = f;
		for (row.d = 0; row.d < MATCH_COUNT; row.d++) {
			/* A class that is not its own is not its own. */
			if (row.d == MATCH_EMPTY && facts[f].type != CKA_LABEL &&
			    facts[f].type != CKA_ID && facts[f].type != CKA_VALUE)
				continue;
			/* The lengths of numbers are tried with the class. */
			if ((row.d == MATCH_PREFIX || row.d == MATCH_LONGER) &&
			    fact_form(&facts[f]) == TAPE_A_BOOL && facts[f].type != CKA_TOKEN)
				continue;
			check_add(list, row, "match-%s/%s/%s", match_names[row.d],
			          specimens[s].name, fact_name(&facts[f]));
		}
	}
}

static void add_each(struct check_list *list, struct check_row row, size_t count,
                     const char *family, const char *const *names)
{
	for (row.b = 0; row.b < count; row.b++)
		check_add(list, row, "%s/%s", family, names[row.b]);
}

void suite_find(struct check_list *list)
{
	static const char *const rooms[] = { "1", "2", "3", "n-1", "n", "n+1", "100" };
	static const char *const pointers[] = { "null", "not-null" };
	static const char *const types[] = { "CKA_KEY_TYPE", "CKA_CLASS", "CKA_LABEL",
		                             "CKA_ID",       "CKA_TOKEN", "CKA_VALUE" };
	static const char *const alone[] = { "alone", "among-others" };
	static const char *const logins[] = { "login", "logout" };
	for (size_t s = 0; s < specimen_count; s++) {
		struct check_row row = CHECK(match_all, SPECIMEN_NEEDS,
		                             "all attributes must match, not one alone", 251);
		add_matches(list, s);
		row.a = s;
		check_add(list, row, "match-all/%s", specimens[s].name);
		row = CHECK(by_unique_id, SPECIMEN_NEEDS, "CKA_UNIQUE_ID finds one object or none",
		            257);
		row.a = s;
		if (specimens[s].is_full)
			check_add(list, row, "unique-id/%s", specimens[s].name);
	}
	add_each(list, CHECK(match_nothing_given, NEED_RW, "no attributes find all", 250, 254), 2,
	         "match-everything", pointers);
	check_add(list,
	          CHECK(match_label_in_other_class, SPECIMEN_NEEDS, "class and label must match",
	                251),
	          "match-class-and-label");
	check_add(
		list,
		CHECK(match_empty_value, NEED_RW, "an empty value is matched by itself alone", 251),
		"match-empty-label");
	add_each(list, CHECK(portion, NEED_RW, "whatever the room, each is found once", 254, 313),
	         TAPE_ARRAY_SIZE(rooms), "portion", rooms);
	check_add(list, CHECK(portion_of_none, NEED_RW, "room for none is given none", 254),
	          "portion/0");
	check_add(list,
	          CHECK(portion_of_nothing, NEED_SESSION, "nothing is found where nothing is", 254),
	          "portion-of-nothing");
	check_add(list, CHECK(null_pointers, NEED_RW, "a search needs where to write", 314),
	          "null-pointers");
	check_add(list,
	          CHECK(null_template, NEED_SESSION, "a template that is not there", 314, 249),
	          "null-template");
	add_each(list,
	         CHECK(null_value, SPECIMEN_NEEDS, "a NULL value of a length finds nothing", 314),
	         TAPE_ARRAY_SIZE(types), "null-value", types);
	check_add(list, CHECK(second_init, NEED_RW, "a session has one search at a time", 249),
	          "second-init");
	check_add(list, CHECK(after_final, NEED_SESSION, "after its end there is no search", 255),
	          "after-final");
	check_add(list, CHECK(early_final, NEED_RW, "a search may end early", 249, 254),
	          "early-final");
	add_each(list,
	         CHECK(unknown_type, NEED_RW, "what no object has finds nothing, or is refused",
	               253, 251, 254, 249),
	         2, "unknown-type", alone);
	check_add(list, CHECK(contradiction, NEED_RW, "two classes find nothing", 251),
	          "contradiction");
	check_add(list,
	          CHECK(two_sessions, NEED_RW, "each session has its own search", 249, 254, 142),
	          "two-sessions");
	check_add(list, CHECK(closed_session, NEED_RW, "a search ends with its session", 255, 249),
	          "closed-session");
	add_each(
		list,
		CHECK(meanwhile, NEED_RW, "what is done during a search does it no harm", 254, 256),
		MEANWHILE_COUNT, "meanwhile", meanwhile_names);
	check_add(list,
	          CHECK(all_destroyed, NEED_RW, "objects destroyed during a search do no harm", 254,
	                236),
	          "meanwhile/destroy-all");
	add_each(list,
	         CHECK(login_meanwhile, NEED_RW, "login and logout during a search do no harm", 252,
	               249),
	         2, "meanwhile", logins);
	add_known(list);
}
