/* SPDX-License-Identifier: MIT
 *
 * C_CreateObject and what templates may say (PKCS#11 3.1 §4.1.1, §5.7.1): families of specimens × attributes.
 * Whatever is refused must leave no object.
 */
#include <string.h>

#include "suites/specimen.h"

/* ---- what is given is there ------------------------------------------------------------------ */

static void make(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	size_t before = count_objects(c);
	specimen_template(c, &t, c->row->a);
	NEED_OK(c, c->p11->C_CreateObject(c->session, t.entry, t.count, &object));
	EXPECT(c, 214, object != CK_INVALID_HANDLE, "C_CreateObject gave the handle 0");
	EXPECT(c, 213, count_objects(c) == before + 1,
	       "after C_CreateObject there are %zu objects where %zu were", count_objects(c),
	       before);
}

static void read_back(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	CK_OBJECT_HANDLE object;
	specimen_template(c, &t, c->row->a);
	object = object_create(c, &t);
	expect_value(c, 213, object, template_find(&t, fact->type));
}

/* Another value than the one of the specimen's template, or than the default. */
static void other_value(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	fact_change(&t, fact);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	    rv == CKR_ATTRIBUTE_VALUE_INVALID)
		check_skip(c, "the token refuses %s so: %s", fact_name(fact), check_rv_name(rv));
	NEED_OK(c, rv);
	expect_value(c, 213, object, template_find(&t, fact->type));
}

/* The attribute's length is 0 and stays so. */
static void empty_value(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_bytes(&t, fact->type, "", 0);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_ATTRIBUTE_VALUE_INVALID)
		check_skip(c, "the token wants a value for %s", fact_name(fact));
	EXPECT_CODE(c, fact->rule == 0 ? 320 : fact->rule, "C_CreateObject", rv, CKR_OK);
	expect_value(c, fact->rule == 0 ? 320 : fact->rule, object, template_find(&t, fact->type));
}

static void expect_default(struct check *c, const struct fact *fact, CK_OBJECT_HANDLE object)
{
	const unsigned int rule = fact->rule == 0 ? 320 : fact->rule;
	unsigned char value[SNAPSHOT_SIZE];
	CK_ULONG size, number = 0;
	CK_RV rv = object_read(c, object, fact->type, value, sizeof(value), &size);
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID && (fact->flags & FACT_OPTIONAL) != 0)
		check_skip(c, "the token has no %s", fact_name(fact));
	if (rv == CKR_ATTRIBUTE_TYPE_INVALID) {
		/* Whoever misses it goes by the default. */
		DEVIATION(c, rule, "%s, which the template omits, is not there", fact_name(fact));
		return;
	}
	EXPECT(c, rule, rv == CKR_OK, "reading %s, which the template omits, returned %s",
	       fact_name(fact), check_rv_name(rv));
	if (fact->initial == DEFAULT_EMPTY) {
		EXPECT(c, rule, size == 0, "%s, which the template omits, has %lu bytes",
		       fact_name(fact), (unsigned long)size);
		return;
	}
	bool is_bool = fact_form(fact) == TAPE_A_BOOL;
	EXPECT(c, rule, size == (is_bool ? sizeof(CK_BBOOL) : sizeof(CK_ULONG)), "%s has %lu bytes",
	       fact_name(fact), (unsigned long)size);
	memcpy(&number, value, size);
	if (is_bool)
		number = value[0];
	CK_ULONG expected = fact->initial == DEFAULT_TRUE          ? CK_TRUE
	                    : fact->initial == DEFAULT_UNAVAILABLE ? CK_UNAVAILABLE_INFORMATION
	                                                           : 0;
	EXPECT(c, rule, number == expected, "%s, which the template omits, is %ld, not %ld",
	       fact_name(fact), (long)number, (long)expected);
}

static void default_value(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_remove(&t, fact->type);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_TEMPLATE_INCOMPLETE &&
	    (fact->type == CKA_ISSUER || fact->type == CKA_SERIAL_NUMBER || fact->type == CKA_ID))
		check_skip(c, "the token does not do without %s", fact_name(fact));
	EXPECT_CODE(c, fact->rule == 0 ? 320 : fact->rule, "C_CreateObject", rv, CKR_OK);
	expect_default(c, fact, object);
	/* Whoever keeps session objects: nobody would know this one by its label. */
	if (fact->type == CKA_LABEL)
		(void)c->p11->C_DestroyObject(c->session, object);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void missing(struct check *c)
{
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_remove(&t, facts[c->row->b].type);
	EXPECT_NOT_CREATED(c, 208, &t, CKR_TEMPLATE_INCOMPLETE);
}

static void unknown_type(struct check *c)
{
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_ulong(&t, UNKNOWN_TYPE, 1);
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_OK && can_read(c, object, UNKNOWN_TYPE)) {
		check_note(c, "the token takes and keeps any attribute");
		expect_value(c, 205, object, template_find(&t, UNKNOWN_TYPE));
		return;
	}
	EXPECT_REFUSED(c, 205, "C_CreateObject", rv, CKR_ATTRIBUTE_TYPE_INVALID);
}

/* A length that the attribute's type cannot have, each that there is in turn. */
static void wrong_length(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	static const CK_BYTE bytes[24] = "20300102";
	static const size_t lengths[] = { 0, 1, 2, 3, 4, 7, 9, 16 };
	enum tape_attribute_type form = fact_form(fact);
	size_t good = form == TAPE_A_BOOL   ? sizeof(CK_BBOOL)
	              : form == TAPE_A_DATE ? sizeof(CK_DATE)
	                                    : sizeof(CK_ULONG);
	struct template t;
	specimen_needed(c, c->row->a);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(lengths); i++) {
		CK_ATTRIBUTE *entry;
		if (lengths[i] == good || (lengths[i] == 0 && form == TAPE_A_DATE))
			continue;
		specimen_template(c, &t, c->row->a);
		entry = template_find(&t, fact->type);
		if (entry == NULL || form == TAPE_A_DATE) {
			template_guarded(c, &t, fact->type, bytes, lengths[i]);
		} else {
			/* The value that is right, cut off or followed by zeros. */
			CK_BYTE value[sizeof(bytes)] = { 0 };
			memcpy(value, entry->pValue, entry->ulValueLen);
			template_guarded(c, &t, fact->type, value, lengths[i]);
		}
		EXPECT_NOT_CREATED(c, 206, &t, CKR_ATTRIBUTE_VALUE_INVALID,
		                   CKR_TEMPLATE_INCONSISTENT);
	}
}

/* Numbers that no constant has. */
static void wrong_constant(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_ulong(&t, fact->type, 0x7fff0003UL);
	EXPECT_NOT_CREATED(c, 206, &t, CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT);
}

static void wrong_date(struct check *c)
{
	static const char *const dates[] = { "xxxxxxxx", "20301301", "20300231", "20300100" };
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(dates); i++) {
		CK_OBJECT_HANDLE object;
		template_text(&t, facts[c->row->b].type, dates[i]);
		CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
		if (rv != CKR_OK)
			EXPECT_REFUSED(c, 206, "C_CreateObject", rv, CKR_ATTRIBUTE_VALUE_INVALID);
		else if (i == 0)
			/* Dates are for reference only (§4.7): nothing is done with them. */
			DEVIATION(c, 206, "C_CreateObject takes %s \"%s\"",
			          fact_name(&facts[c->row->b]), dates[i]);
		else
			check_note(c, "%s \"%s\" is accepted", fact_name(&facts[c->row->b]),
			           dates[i]);
	}
}

/* CK_BBOOL is CK_TRUE or CK_FALSE (§3.2); what is said of other bytes is left to modules, but not two things. */
static void wrong_bool(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	const CK_BBOOL two = 2;
	CK_BBOOL value = CK_FALSE;
	CK_ULONG size;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_bytes(&t, fact->type, &two, sizeof(two));
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv != CKR_OK) {
		EXPECT_REFUSED(c, 206, "C_CreateObject", rv, CKR_ATTRIBUTE_VALUE_INVALID,
		               CKR_TEMPLATE_INCONSISTENT);
		return;
	}
	NEED_OK(c, object_read(c, object, fact->type, &value, sizeof(value), &size));
	check_note(c, "%s 2 is accepted, and reads %d", fact_name(fact), value);
	EXPECT(c, 206, value == CK_TRUE || value == CK_FALSE || value == two, "%s 2 became %d",
	       fact_name(fact), value);
}

static void read_only(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	if (fact_form(fact) == TAPE_A_BOOL)
		template_bool(&t, fact->type, true);
	else if (fact_form(fact) == TAPE_A_UTF8)
		template_text(&t, fact->type, "p11tape");
	else
		template_ulong(&t, fact->type, 16);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_OK && fact->type == CKA_VALUE_LEN) {
		DEVIATION(c, 207, "C_CreateObject takes %s, which it must not be given",
		          fact_name(fact));
		return;
	}
	EXPECT_REFUSED(c, 207, "C_CreateObject", rv, CKR_ATTRIBUTE_READ_ONLY,
	               CKR_TEMPLATE_INCONSISTENT);
}

/* Attributes that objects of the class do not have. */
static const struct {
	unsigned int class, family; /* of those that have none */
	CK_ATTRIBUTE_TYPE type;
} foreign[] = {
	{ SPECIMEN_DATA, 0, CKA_MODULUS },
	{ SPECIMEN_DATA, 0, CKA_KEY_TYPE },
	{ SPECIMEN_DATA, 0, CKA_SENSITIVE },
	{ SPECIMEN_DATA, 0, CKA_CERTIFICATE_TYPE },
	{ SPECIMEN_CERTIFICATE, 0, CKA_MODULUS },
	{ SPECIMEN_CERTIFICATE, 0, CKA_KEY_TYPE },
	{ SPECIMEN_CERTIFICATE, 0, CKA_SENSITIVE },
	{ SPECIMEN_CERTIFICATE, 0, CKA_APPLICATION },
	{ SPECIMEN_PUBLIC, 0, CKA_SENSITIVE },
	{ SPECIMEN_PUBLIC, 0, CKA_EXTRACTABLE },
	{ SPECIMEN_PUBLIC, 0, CKA_DECRYPT },
	{ SPECIMEN_PUBLIC, 0, CKA_SIGN },
	{ SPECIMEN_PUBLIC, 0, CKA_UNWRAP },
	{ SPECIMEN_PUBLIC, 0, CKA_CERTIFICATE_TYPE },
	{ SPECIMEN_PUBLIC, FAMILY_RSA, CKA_EC_POINT },
	{ SPECIMEN_PUBLIC, FAMILY_RSA, CKA_PRIVATE_EXPONENT },
	{ SPECIMEN_PUBLIC, FAMILY_EC, CKA_MODULUS },
	{ SPECIMEN_PRIVATE, 0, CKA_ENCRYPT },
	{ SPECIMEN_PRIVATE, 0, CKA_VERIFY },
	{ SPECIMEN_PRIVATE, 0, CKA_WRAP },
	{ SPECIMEN_PRIVATE, 0, CKA_CERTIFICATE_TYPE },
	{ SPECIMEN_PRIVATE, FAMILY_RSA, CKA_EC_PARAMS },
	{ SPECIMEN_PRIVATE, FAMILY_EC, CKA_MODULUS },
	{ SPECIMEN_PRIVATE, FAMILY_EC, CKA_PRIME_1 },
	{ SPECIMEN_SECRET, 0, CKA_MODULUS },
	{ SPECIMEN_SECRET, 0, CKA_SIGN_RECOVER },
	{ SPECIMEN_SECRET, 0, CKA_EC_PARAMS },
	{ SPECIMEN_SECRET, 0, CKA_SUBJECT },
	{ SPECIMEN_SECRET, 0, CKA_ALWAYS_AUTHENTICATE },
	{ SPECIMEN_DOMAIN, 0, CKA_SENSITIVE },
	{ SPECIMEN_DOMAIN, 0, CKA_VALUE },
};

static void foreign_type(struct check *c)
{
	CK_ATTRIBUTE_TYPE type = foreign[c->row->b].type;
	const struct tape_attribute *row = tape_attribute_find(type);
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	if (row->type == TAPE_A_BOOL)
		template_bool(&t, type, true);
	else if (row->type == TAPE_A_CONSTANT)
		template_ulong(&t, type, 0);
	else
		template_text(&t, type, "p11tape check");
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_OK) {
		/* The text says "should"; what a token has beyond the tables is its own. */
		DEVIATION(c, 209, "C_CreateObject takes %s, which such objects do not have",
		          check_attribute_name(type));
		return;
	}
	EXPECT_REFUSED(c, 209, "C_CreateObject", rv, CKR_TEMPLATE_INCONSISTENT,
	               CKR_ATTRIBUTE_TYPE_INVALID);
}

/* Append an entry without looking for one of its type. */
static void append(struct template *t, const CK_ATTRIBUTE *entry)
{
	if (t->count < TEMPLATE_ENTRIES)
		t->entry[t->count++] = *entry;
}

/* Which attributes are tried: of every form one. */
static bool is_tried_twice(CK_ATTRIBUTE_TYPE type)
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_TOKEN,   CKA_PRIVATE,   CKA_LABEL,
		                                   CKA_ID,      CKA_VALUE,     CKA_SENSITIVE,
		                                   CKA_MODULUS, CKA_EC_PARAMS, CKA_SUBJECT };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(types); i++)
		if (types[i] == type)
			return true;
	return false;
}

static void twice_different(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	CK_ATTRIBUTE first = *template_find(&t, fact->type);
	fact_change(&t, fact);
	append(&t, &first);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_OK) {
		/* It is the text's own example, but what it says there is "should". */
		DEVIATION(c, 209, "C_CreateObject takes two values for %s", fact_name(fact));
		(void)c->p11->C_DestroyObject(c->session, object);
		return;
	}
	EXPECT_REFUSED(c, 209, "C_CreateObject", rv, CKR_TEMPLATE_INCONSISTENT);
}

static void twice_same(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	append(&t, template_find(&t, fact->type));
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	check_note(c, "%s given twice with one value: %s", fact_name(fact), check_rv_name(rv));
	EXPECT_CODE(c, 210, "C_CreateObject", rv, CKR_OK, CKR_TEMPLATE_INCONSISTENT);
	if (rv == CKR_OK)
		expect_value(c, 213, object, template_find(&t, fact->type));
}

/* The class or the type of another specimen. */
static void wrong_class(struct check *c)
{
	const CK_OBJECT_CLASS class = c->row->b;
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	if (object_ulong(c, specimen_create(c, c->row->a), CKA_CLASS) == class)
		check_error(c, "that is its class");
	template_ulong(&t, CKA_CLASS, class);
	if (class == CKO_DATA) {
		/* All that is wrong is what data objects do not have: as in "foreign". */
		CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
		CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
		if (rv == CKR_OK)
			DEVIATION(c, 209, "a data object may have the attributes of %s",
			          specimens[c->row->a].name);
		else
			EXPECT_REFUSED(c, 209, "C_CreateObject", rv, CKR_TEMPLATE_INCONSISTENT,
			               CKR_ATTRIBUTE_TYPE_INVALID);
		return;
	}
	EXPECT_NOT_CREATED(c, 209, &t, CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE,
	                   CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID);
}

static void wrong_key_type(struct check *c)
{
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_ulong(&t, CKA_KEY_TYPE, c->row->b);
	EXPECT_NOT_CREATED(c, 209, &t, CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE,
	                   CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_VALUE_INVALID);
}

/* A pointer that is NULL, a length that is not (§3.4: only of an empty value is the pointer irrelevant). */
static void null_value(struct check *c)
{
	const struct fact *fact = &facts[c->row->b];
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	CK_ATTRIBUTE *entry = template_find(&t, fact->type);
	entry->pValue = NULL;
	EXPECT_NOT_CREATED(c, 314, &t, CKR_ARGUMENTS_BAD, CKR_ATTRIBUTE_VALUE_INVALID,
	                   CKR_TEMPLATE_INCONSISTENT, CKR_TEMPLATE_INCOMPLETE);
}

/* ---- templates as a whole -------------------------------------------------------------------- */

static void order(struct check *c)
{
	static struct snapshot one, other;
	const CK_ATTRIBUTE_TYPE except[] = { CKA_UNIQUE_ID, CK_UNAVAILABLE_INFORMATION };
	struct template t;
	CK_ATTRIBUTE given[TEMPLATE_ENTRIES];
	CK_OBJECT_HANDLE object = specimen_create(c, c->row->a);
	snapshot_take(c, &one, object, c->row->a);
	specimen_template(c, &t, c->row->a);
	memcpy(given, t.entry, sizeof(given));
	/* Backwards, and beginning with each. */
	for (size_t first = 0; first < t.count; first++) {
		for (size_t i = 0; i < t.count; i++)
			t.entry[i] = given[(first + t.count - i) % t.count];
		EXPECT_RV(c, 212, c->p11->C_CreateObject(c->session, t.entry, t.count, &object),
		          CKR_OK);
		snapshot_take(c, &other, object, c->row->a);
		size_t at = snapshot_differs(&one, &other, except);
		EXPECT(c, 212, at == fact_count,
		       "%s depends on the order of the attributes in the template",
		       fact_name(&facts[at]));
		NEED_OK(c, c->p11->C_DestroyObject(c->session, object));
	}
}

static void identical(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE one = specimen_create(c, c->row->a), other = CK_INVALID_HANDLE;
	specimen_template(c, &t, c->row->a);
	EXPECT_RV(c, 215, c->p11->C_CreateObject(c->session, t.entry, t.count, &other), CKR_OK);
	EXPECT(c, 215, one != other, "two objects have the handle %lu", (unsigned long)one);
	NEED_OK(c, c->p11->C_DestroyObject(c->session, one));
	EXPECT_CODE(c, 215, "C_GetAttributeValue",
	            c->p11->C_GetAttributeValue(c->session, other,
	                                        &(CK_ATTRIBUTE){ CKA_CLASS, NULL, 0 }, 1),
	            CKR_OK);
}

static void no_template(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	template_clear(&t);
	EXPECT_NOT_CREATED(c, 208, &t, CKR_TEMPLATE_INCOMPLETE);
	CK_RV rv = c->p11->C_CreateObject(c->session, NULL, 0, &object);
	EXPECT_REFUSED(c, 208, "C_CreateObject", rv, CKR_TEMPLATE_INCOMPLETE, CKR_ARGUMENTS_BAD);
	EXPECT_RV(c, 314, c->p11->C_CreateObject(c->session, NULL, 3, &object), CKR_ARGUMENTS_BAD);
}

static void no_handle(struct check *c)
{
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	size_t before = count_objects(c);
	EXPECT_RV(c, 314, c->p11->C_CreateObject(c->session, t.entry, t.count, NULL),
	          CKR_ARGUMENTS_BAD);
	EXPECT(c, 1, count_objects(c) == before, "an object without a handle is there");
}

/* Each fault is enough; which of them is told is open (§4.1.1). */
static void two_faults(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_remove(&t, CKA_CLASS);
	template_ulong(&t, UNKNOWN_TYPE, 1);
	EXPECT_NOT_CREATED(c, 208, &t, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCOMPLETE);
	specimen_template(c, &t, c->row->a);
	template_remove(&t, CKA_CLASS);
	template_bytes(&t, CKA_MODIFIABLE, "\0\0", 2);
	EXPECT_NOT_CREATED(c, 208, &t, CKR_TEMPLATE_INCOMPLETE, CKR_ATTRIBUTE_VALUE_INVALID);
	OBSERVE(c, 211, "of no CKA_CLASS and a CKA_MODIFIABLE of two bytes it tells %s",
	        check_rv_name(c->p11->C_CreateObject(c->session, t.entry, t.count, &object)));
}

/* ---- nothing is left ------------------------------------------------------------------------- */

static const char *const faults[] = { "missing", "unknown-type", "wrong-length", "wrong-value",
	                              "foreign", "read-only",    "two-values",   "wrong-class" };

/* Make the template faulty; what is at fault comes last or first, whichever is found out later. */
static void spoil(struct template *t, size_t fault)
{
	CK_OBJECT_CLASS class = CKO_DATA;
	CK_ATTRIBUTE first = t->entry[t->count - 1];
	if (t->count != 0)
		memcpy(&class, template_find(t, CKA_CLASS)->pValue, sizeof(class));
	switch (fault) {
	case 0:
		template_remove(t, class == CKO_DATA ? CKA_CLASS : CKA_VALUE);
		template_remove(t, CKA_MODULUS);
		template_remove(t, CKA_EC_PARAMS);
		break;
	case 1:
		template_ulong(t, UNKNOWN_TYPE, 1);
		break;
	case 2:
		template_bytes(t, CKA_MODIFIABLE, "\1\1\1", 3);
		break;
	case 3:
		template_text(t, CKA_START_DATE, "20301");
		break;
	case 4:
		template_text(t, class == CKO_CERTIFICATE ? CKA_APPLICATION : CKA_ISSUER,
		              "p11tape");
		break;
	case 5:
		template_bool(t, CKA_LOCAL, true);
		break;
	case 6:
		fact_change(t, &(struct fact){ .type = first.type });
		append(t, &first);
		break;
	default:
		template_ulong(t, CKA_CLASS,
		               class == CKO_SECRET_KEY ? CKO_PUBLIC_KEY : CKO_SECRET_KEY);
		break;
	}
}

static void nothing_left(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	spoil(&t, c->row->b);
	size_t before = count_objects(c);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_OK)
		check_skip(c, "the token takes such a template");
	size_t after = count_objects(c);
	EXPECT(c, 1, after == before,
	       "C_CreateObject returned %s, yet there are %zu objects where %zu were",
	       check_rv_name(rv), after, before);
}

/* ---- curves ---------------------------------------------------------------------------------- */

static void bad_curve(struct check *c)
{
	/* An object identifier that is no curve's; not DER at all; an OCTET STRING. */
	static const CK_BYTE unknown[] = { 0x06, 0x08, 0x2a, 0x86, 0x48,
		                           0xce, 0x3d, 0x03, 0x7f, 0x7f };
	static const CK_BYTE garbage[] = { 0xff, 0xff, 0xff };
	static const CK_BYTE octets[] = { 0x04, 0x02, 0x01, 0x01 };
	static const struct {
		const CK_BYTE *bytes;
		size_t size;
	} cases[] = { { unknown, sizeof(unknown) },
		      { garbage, sizeof(garbage) },
		      { octets, sizeof(octets) } };
	struct template t;
	specimen_needed(c, c->row->a);
	specimen_template(c, &t, c->row->a);
	template_bytes(&t, CKA_EC_PARAMS, cases[c->row->b].bytes, cases[c->row->b].size);
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (rv == CKR_OK) {
		/* When it is found out is left open for imported keys by many tokens. */
		DEVIATION(c, 225, "C_CreateObject takes a key of a curve that is none");
		return;
	}
	EXPECT_REFUSED(c, 225, "C_CreateObject", rv, CKR_CURVE_NOT_SUPPORTED,
	               CKR_DOMAIN_PARAMS_INVALID, CKR_ATTRIBUTE_VALUE_INVALID);
}

static void rsa_tells(struct check *c)
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_MODULUS, CKA_PUBLIC_EXPONENT,
		                                   CKA_PRIVATE_EXPONENT };
	CK_OBJECT_HANDLE object = specimen_create(c, c->row->a);
	struct template t;
	specimen_template(c, &t, c->row->a);
	/* Two of the three are no secret, whatever the key's attributes. */
	for (size_t i = 0; i < 2; i++) {
		CK_ULONG size;
		EXPECT(c, 226,
		       object_read(c, object, types[i], NULL, 0, &size) != CKR_ATTRIBUTE_SENSITIVE,
		       "%s is said to be sensitive", check_attribute_name(types[i]));
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(types); i++)
		expect_value(c, 226, object, template_find(&t, types[i]));
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add(struct check_list *list, struct check_row row, size_t specimen, uintptr_t b,
                const char *family, const char *member)
{
	row.needs |= SPECIMEN_NEEDS;
	/* A module that is wrong about it may make a token object. */
	if (member != NULL && strcmp(member, "CKA_TOKEN") == 0 && row.run != read_back &&
	    row.run != default_value)
		row.needs |= NEED_DESTRUCTIVE;
	row.a = specimen;
	row.b = b;
	check_add(list, row, member == NULL ? "%s/%s" : "%s/%s/%s", family,
	          specimens[specimen].name, member);
}

static void add_values(struct check_list *list, size_t s, size_t f)
{
	const struct fact *fact = &facts[f];
	const char *name = fact_name(fact);
	bool is_text = fact_form(fact) == TAPE_A_UTF8 || fact_form(fact) == TAPE_A_BYTES;
	bool is_open = (fact->flags &
	                (FACT_FORBIDDEN | FACT_REQUIRED | FACT_SECRET | FACT_DELICATE)) == 0 &&
	               fact->type != CKA_TOKEN && fact->type != CKA_PUBLIC_EXPONENT;
	unsigned short rule = fact->rule == 0 ? 320 : fact->rule;
	if (specimen_has(s, fact->type))
		add(list, CHECK(read_back, 0, "what the template gives is read back", 213), s, f,
		    "given", name);
	if (is_open)
		add(list, CHECK(other_value, 0, "another value is kept as well", 213), s, f,
		    "other-value", name);
	if (fact->initial != DEFAULT_NONE)
		add(list, CHECK(default_value, 0, "an omitted attribute has its default", rule), s,
		    f, "default", name);
	if (is_open && is_text)
		add(list, CHECK(empty_value, 0, "an empty value is one", rule), s, f, "empty",
		    name);
}

static void add_refusals(struct check_list *list, size_t s, size_t f)
{
	const struct fact *fact = &facts[f];
	const char *name = fact_name(fact);
	enum tape_attribute_type form = fact_form(fact);
	bool fixed = form == TAPE_A_BOOL || form == TAPE_A_ULONG || form == TAPE_A_CONSTANT ||
	             form == TAPE_A_DATE;
	bool given = specimen_has(s, fact->type);
	if (given && (fact->flags & FACT_REQUIRED) != 0)
		add(list, CHECK(missing, 0, "without what is required nothing is made", 208), s, f,
		    "missing", name);
	if (fixed && (fact->flags & (FACT_FORBIDDEN | FACT_DELICATE)) == 0)
		add(list,
		    CHECK(wrong_length, 0, "a length that the type cannot have is refused", 206), s,
		    f, "wrong-length", name);
	if (form == TAPE_A_CONSTANT && (fact->flags & FACT_REQUIRED) != 0)
		add(list, CHECK(wrong_constant, 0, "a number that means nothing is refused", 206),
		    s, f, "wrong-value", name);
	if (form == TAPE_A_DATE)
		add(list, CHECK(wrong_date, 0, "a date that is none is refused", 206), s, f,
		    "wrong-value", name);
	if (form == TAPE_A_BOOL && given)
		add(list,
		    CHECK(wrong_bool, 0, "a truth value that is none is refused or read as true",
		          206),
		    s, f, "wrong-value", name);
	if ((fact->flags & FACT_FORBIDDEN) != 0 && fact->type != CKA_UNIQUE_ID)
		add(list, CHECK(read_only, 0, "what only the token may set is refused", 207), s, f,
		    "read-only", name);
	if (given && specimens[s].is_full && is_tried_twice(fact->type))
		add(list,
		    CHECK(twice_different, 0, "two values for one attribute are refused", 209), s,
		    f, "twice-different", name);
	if (given && (fact->type == CKA_LABEL || fact->type == CKA_CLASS ||
	              (fact->flags & FACT_REQUIRED) != 0))
		add(list,
		    CHECK(twice_same, 0, "one value twice is taken, or is inconsistent", 210, 213,
		          1),
		    s, f, "twice-same", name);
	if (given &&
	    (specimens[s].kind == OBJECT_DATA || specimens[s].kind == OBJECT_AES ||
	     specimens[s].kind == OBJECT_RSA_PRIVATE || specimens[s].kind == OBJECT_CERTIFICATE))
		add(list, CHECK(null_value, 0, "a NULL value of a length is refused", 314), s, f,
		    "null-value", name);
}

static void add_kinds(struct check_list *list, size_t s)
{
	const struct specimen *specimen = &specimens[s];
	static const struct {
		unsigned int class;
		const char *name;
		CK_OBJECT_CLASS value;
	} classes[] = { { SPECIMEN_DATA, "data", CKO_DATA },
		        { SPECIMEN_CERTIFICATE, "certificate", CKO_CERTIFICATE },
		        { SPECIMEN_PUBLIC, "public-key", CKO_PUBLIC_KEY },
		        { SPECIMEN_PRIVATE, "private-key", CKO_PRIVATE_KEY },
		        { SPECIMEN_SECRET, "secret-key", CKO_SECRET_KEY } };
	static const struct {
		unsigned int family;
		const char *name;
		CK_KEY_TYPE value;
	} types[] = { { FAMILY_RSA, "rsa", CKK_RSA },
		      { FAMILY_EC, "ec", CKK_EC },
		      { FAMILY_DSA, "dsa", CKK_DSA },
		      { FAMILY_SECRET | FAMILY_FIXED, "aes", CKK_AES } };
	bool is_few = specimen->kind == OBJECT_DATA || specimen->kind == OBJECT_AES ||
	              specimen->kind == OBJECT_RSA_PRIVATE;
	for (size_t i = 0; is_few && i < TAPE_ARRAY_SIZE(faults); i++)
		add(list, CHECK(nothing_left, 0, "what is refused leaves no object", 1), s, i,
		    "nothing-left", faults[i]);
	for (size_t i = 0; specimen->is_full && i < TAPE_ARRAY_SIZE(foreign); i++)
		if (foreign[i].class == specimen->class &&
		    (foreign[i].family == 0 || foreign[i].family == specimen->family))
			add(list,
			    CHECK(foreign_type, 0, "an attribute of other objects is refused", 209),
			    s, i, "foreign", check_attribute_name(foreign[i].type));
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(classes); i++)
		if (classes[i].class != specimen->class && specimen->is_full)
			add(list,
			    CHECK(wrong_class, 0, "a class that does not fit is refused", 209), s,
			    classes[i].value, "class", classes[i].name);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(types); i++)
		if (specimen->is_full && (specimen->class & SPECIMEN_KEY) != 0 &&
		    (types[i].family & specimen->family) == 0)
			add(list,
			    CHECK(wrong_key_type, 0, "a key type that does not fit is refused",
			          209),
			    s, types[i].value, "key-type", types[i].name);
}

static void add_whole(struct check_list *list, size_t s)
{
	add(list, CHECK(unknown_type, 0, "an attribute that nobody knows is refused", 205), s, 0,
	    "unknown-type", NULL);
	add(list, CHECK(order, 0, "the order of the attributes does not matter", 212), s, 0,
	    "order", NULL);
	add(list, CHECK(identical, 0, "two objects may be alike", 215), s, 0, "identical", NULL);
	add(list, CHECK(no_handle, 0, "without a place for the handle nothing is made", 314, 1), s,
	    0, "no-handle", NULL);
	add(list, CHECK(two_faults, 0, "of two faults one is told", 208, 211), s, 0, "two-faults",
	    NULL);
}

void suite_create(struct check_list *list)
{
	static const char *const curves[] = { "unknown", "garbage", "octets" };
	for (size_t s = 0; s < specimen_count; s++) {
		add(list, CHECK(make, 0, "it can be made", 214, 213), s, 0, "make", NULL);
		for (size_t f = 0; f < fact_count; f++)
			if (fact_is_tried(&facts[f], &specimens[s])) {
				add_values(list, s, f);
				add_refusals(list, s, f);
			}
		add_kinds(list, s);
		if (specimens[s].is_full)
			add_whole(list, s);
		for (size_t i = 0; specimens[s].family == FAMILY_EC && i < 3; i++)
			add(list, CHECK(bad_curve, 0, "a curve that is none is refused", 225), s, i,
			    "curve", curves[i]);
		if (specimens[s].family == FAMILY_RSA && specimens[s].class == SPECIMEN_PRIVATE)
			add(list, CHECK(rsa_tells, 0, "the three numbers are told", 226), s, 0,
			    "tells", NULL);
	}
	check_add(list, CHECK(no_template, SPECIMEN_NEEDS, "an empty template, and none", 208, 314),
	          "no-template");
}
