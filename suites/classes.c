/* SPDX-License-Identifier: MIT
 *
 * Objects that are not keys or certificates (PKCS#11 3.1 §4.3, §4.12 to §4.14; 3.2 §4.7, §4.15): hardware
 * features, mechanisms, profiles, trust, validations. Most are the token's own: it says what they are.
 */
#include <string.h>

#include "suites/specimen.h"

#define ROOM 256

static size_t find_class(struct check *c, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *found)
{
	struct template t;
	template_clear(&t);
	template_ulong(&t, CKA_CLASS, class);
	return object_find(c, &t, found, ROOM);
}

static size_t need_class(struct check *c, CK_OBJECT_CLASS class, CK_OBJECT_HANDLE *found)
{
	size_t count = find_class(c, class, found);
	if (count == 0)
		check_skip(c, "there is no object of class %s in the token",
		           check_name(TAPE_G_CKO, class));
	return count;
}

/* ---- searches -------------------------------------------------------------------------------- */

/* They are found by those only who ask for them (2.40). */
static void hidden(struct check *c)
{
	static CK_OBJECT_HANDLE all[4096];
	CK_OBJECT_HANDLE found[ROOM];
	CK_OBJECT_CLASS class = c->row->a;
	size_t count = find_class(c, class, found);
	size_t total = object_find(c, NULL, all, TAPE_ARRAY_SIZE(all));
	bool seen = false;
	if (c->target->spec >= SPEC(3, 2))
		check_skip(c, "the sentence is not in PKCS#11 3.2");
	for (size_t i = 0; i < total; i++) {
		CK_ULONG value = CK_UNAVAILABLE_INFORMATION, size;
		if (object_read(c, all[i], CKA_CLASS, &value, sizeof(value), &size) != CKR_OK)
			continue;
		seen = true;
		EXPECT(c, 258, value != class, "a search for all finds one of class %s",
		       check_name(TAPE_G_CKO, class));
	}
	for (size_t i = 0; i < count; i++)
		EXPECT(c, 258, object_ulong(c, found[i], CKA_CLASS) == class,
		       "an object of another class is found");
	if (count == 0 && !seen)
		check_skip(c, "a search finds no object");
}

/* ---- what applications cannot make ----------------------------------------------------------- */

static const struct own {
	const char *name;
	CK_OBJECT_CLASS class;
	CK_ATTRIBUTE_TYPE type; /* that says what it is */
	CK_ULONG value;
	unsigned short rule;
} owns[] = {
	{ "mechanism", CKO_MECHANISM, CKA_MECHANISM_TYPE, CKM_RSA_PKCS, 301 },
	{ "user-interface", CKO_HW_FEATURE, CKA_HW_FEATURE_TYPE, CKH_USER_INTERFACE, 301 },
	{ "validation", CKO_VALIDATION, CKA_VALIDATION_TYPE, 1, 298 },
};

static void not_made(struct check *c)
{
	const struct own *own = &owns[c->row->a];
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	struct template t;
	template_clear(&t);
	template_ulong(&t, CKA_CLASS, own->class);
	template_ulong(&t, own->type, own->value);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	EXPECT(c, own->rule, rv != CKR_OK, "an application has made an object of class %s",
	       check_name(TAPE_G_CKO, own->class));
}

/* What the user interface is like is not for applications to say (§4.3.5). */
static const CK_ATTRIBUTE_TYPE interface_types[] = {
	CKA_PIXEL_X, CKA_PIXEL_Y,        CKA_RESOLUTION, CKA_CHAR_ROWS,        CKA_CHAR_COLUMNS,
	CKA_COLOR,   CKA_BITS_PER_PIXEL, CKA_CHAR_SETS,  CKA_ENCODING_METHODS, CKA_MIME_TYPES
};

static void set_own(struct check *c)
{
	CK_OBJECT_HANDLE found[ROOM];
	CK_OBJECT_CLASS class = c->row->a;
	CK_ATTRIBUTE_TYPE type = (CK_ATTRIBUTE_TYPE)c->row->b;
	unsigned char before[512], after[512];
	CK_ULONG size, size_after;
	struct template t;
	size_t count = need_class(c, class, found);
	for (size_t i = 0; i < count; i++) {
		if (object_read(c, found[i], type, before, sizeof(before), &size) != CKR_OK ||
		    size == 0)
			continue;
		unsigned char value[512];
		memcpy(value, before, size);
		value[0] ^= 1;
		template_clear(&t);
		template_bytes(&t, type, value, size);
		CK_RV rv = c->p11->C_SetAttributeValue(c->session, found[i], t.entry, t.count);
		EXPECT(c, 301, rv != CKR_OK, "%s can be set", check_attribute_name(type));
		NEED_OK(c, object_read(c, found[i], type, after, sizeof(after), &size_after));
		EXPECT(c, 301, size == size_after && memcmp(before, after, size) == 0,
		       "%s has changed", check_attribute_name(type));
		return;
	}
	check_skip(c, "no object has %s", check_attribute_name(type));
}

/* ---- what they tell -------------------------------------------------------------------------- */

static void mechanisms(struct check *c)
{
	CK_OBJECT_HANDLE found[ROOM];
	size_t count = need_class(c, CKO_MECHANISM, found);
	for (size_t i = 0; i < count; i++) {
		CK_ULONG type, size;
		EXPECT(c, 301,
		       object_read(c, found[i], CKA_MECHANISM_TYPE, &type, sizeof(type), &size) ==
		                       CKR_OK &&
		               size == sizeof(type),
		       "a mechanism object has no CKA_MECHANISM_TYPE");
	}
}

static void profiles(struct check *c)
{
	CK_OBJECT_HANDLE found[ROOM];
	CK_ULONG ids[ROOM], size;
	if (c->target->spec < SPEC(3, 0))
		check_skip(c, "profiles came with PKCS#11 3.0");
	size_t count = need_class(c, CKO_PROFILE, found);
	for (size_t i = 0; i < count; i++) {
		EXPECT(c, 300,
		       object_read(c, found[i], CKA_PROFILE_ID, &ids[i], sizeof(ids[i]), &size) ==
		                       CKR_OK &&
		               size == sizeof(ids[i]),
		       "a profile has no CKA_PROFILE_ID");
		for (size_t j = 0; j < i; j++)
			if (ids[i] == ids[j])
				check_note(c, "profile %s is there twice",
				           check_name(TAPE_G_CKP, ids[i]));
	}
	struct template t;
	template_clear(&t);
	template_ulong(&t, CKA_CLASS, CKO_PROFILE);
	template_ulong(&t, CKA_PROFILE_ID, ids[0]);
	EXPECT(c, 300, object_find(c, &t, found, ROOM) >= 1,
	       "a profile is not found by its CKA_PROFILE_ID");
}

static void features(struct check *c)
{
	CK_OBJECT_HANDLE found[ROOM];
	size_t count = need_class(c, CKO_HW_FEATURE, found);
	bool seen = false;
	for (size_t i = 0; i < count; i++) {
		unsigned char value[64];
		CK_ULONG size;
		CK_ULONG type = object_ulong(c, found[i], CKA_HW_FEATURE_TYPE);
		CK_RV rv = object_read(c, found[i], CKA_VALUE, value, sizeof(value), &size);
		if (type == CKH_CLOCK)
			EXPECT(c, 324, rv == CKR_OK && size == 16,
			       "the clock's value has %ld bytes", (long)size);
		if (type == CKH_MONOTONIC_COUNTER)
			EXPECT(c, 324, rv == CKR_OK && size != 0, "a counter has no value");
		seen |= type == CKH_CLOCK || type == CKH_MONOTONIC_COUNTER;
	}
	if (!seen)
		check_skip(c, "the token has no clock and no counter");
}

/* ---- validations (3.2) ----------------------------------------------------------------------- */

static void need_32(struct check *c)
{
	if (c->target->spec < SPEC(3, 2))
		check_skip(c, "such objects came with PKCS#11 3.2");
}

static void validations(struct check *c)
{
	CK_OBJECT_HANDLE found[ROOM];
	need_32(c);
	size_t count = need_class(c, CKO_VALIDATION, found);
	for (size_t i = 0; i < count; i++) {
		EXPECT(c, 298, object_bool(c, found[i], CKA_TOKEN),
		       "a validation is no token object");
		EXPECT(c, 298, !object_bool(c, found[i], CKA_MODIFIABLE),
		       "a validation is modifiable");
	}
}

static void validation_stays(struct check *c)
{
	CK_OBJECT_HANDLE found[ROOM];
	struct template t;
	need_32(c);
	size_t count = need_class(c, CKO_VALIDATION, found);
	template_clear(&t);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	CK_RV rv = c->row->a == 0
	                   ? c->p11->C_SetAttributeValue(c->session, found[0], t.entry, t.count)
	                   : c->p11->C_DestroyObject(c->session, found[0]);
	EXPECT_REFUSED(c, 298, c->row->a == 0 ? "C_SetAttributeValue" : "C_DestroyObject", rv,
	               CKR_ACTION_PROHIBITED, CKR_ATTRIBUTE_READ_ONLY, CKR_TOKEN_WRITE_PROTECTED);
	EXPECT(c, 298, find_class(c, CKO_VALIDATION, found) == count, "the validation is gone");
}

static void validation_flags(struct check *c)
{
	CK_FLAGS *flags = check_buffer(c, sizeof(*flags)), poison = *flags;
	CK_RV rv = c->p32->C_GetSessionValidationFlags(c->session, CKS_LAST_VALIDATION_OK, flags);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_GetSessionValidationFlags is not supported");
	EXPECT_CODE(c, 299, "C_GetSessionValidationFlags", rv, CKR_OK);
	EXPECT(c, 299, *flags != poison, "C_GetSessionValidationFlags says nothing");
	/* The same of the same operation. */
	CK_FLAGS again = 0;
	EXPECT_RV(c, 299,
	          c->p32->C_GetSessionValidationFlags(c->session, CKS_LAST_VALIDATION_OK, &again),
	          CKR_OK);
	if (again != *flags)
		check_note(c, "asked twice, it tells 0x%lx and 0x%lx", (unsigned long)*flags,
		           (unsigned long)again);
}

/* ---- trust (3.2) ----------------------------------------------------------------------------- */

static const CK_ATTRIBUTE_TYPE trusts[] = { CKA_TRUST_SERVER_AUTH,   CKA_TRUST_CLIENT_AUTH,
	                                    CKA_TRUST_CODE_SIGNING,  CKA_TRUST_EMAIL_PROTECTION,
	                                    CKA_TRUST_TIME_STAMPING, CKA_TRUST_OCSP_SIGNING,
	                                    CKA_TRUST_IPSEC_IKE };

static void trust_template(struct template *t, bool with_hash)
{
	static const CK_BYTE name[] = { 0x30, 0x00 }, serial[] = { 0x02, 0x01, 0x01 };
	static const CK_BYTE hash[20] = { 0x2d, 0xf3, 0xd3 };
	template_clear(t);
	template_ulong(t, CKA_CLASS, CKO_TRUST);
	template_bool(t, CKA_TOKEN, false);
	template_text(t, CKA_LABEL, OBJECT_LABEL);
	template_bytes(t, CKA_ISSUER, name, sizeof(name));
	template_bytes(t, CKA_SERIAL_NUMBER, serial, sizeof(serial));
	if (!with_hash)
		return;
	template_bytes(t, CKA_HASH_OF_CERTIFICATE, hash, sizeof(hash));
	template_ulong(t, CKA_NAME_HASH_ALGORITHM, CKM_SHA_1);
}

static CK_OBJECT_HANDLE make_trust(struct check *c, struct template *t)
{
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	need_32(c);
	CK_RV rv = c->p11->C_CreateObject(c->session, t->entry, t->count, &object);
	if (rv != CKR_OK)
		check_skip(c, "the token makes no trust objects: %s", check_rv_name(rv));
	return object;
}

static void trust_unknown(struct check *c)
{
	struct template t;
	CK_ULONG value, size;
	trust_template(&t, true);
	CK_OBJECT_HANDLE object = make_trust(c, &t);
	CK_RV rv = object_read(c, object, trusts[c->row->a], &value, sizeof(value), &size);
	/* What is missing counts as unknown, whether it is told or not. */
	EXPECT_CODE(c, 296, "C_GetAttributeValue", rv, CKR_OK, CKR_ATTRIBUTE_TYPE_INVALID);
	if (rv == CKR_OK)
		EXPECT(c, 296, size == 0 || value == CKT_TRUST_UNKNOWN, "%s is %lu",
		       check_attribute_name(trusts[c->row->a]), (unsigned long)value);
}

static void trust_given(struct check *c)
{
	struct template t;
	trust_template(&t, true);
	template_ulong(&t, trusts[c->row->a], CKT_TRUSTED);
	CK_OBJECT_HANDLE object = make_trust(c, &t);
	expect_value(c, 213, object, template_find(&t, trusts[c->row->a]));
}

/* Without a hash only distrust can be said. */
static void trust_without_hash(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	trust_template(&t, true);
	make_trust(c, &t);
	trust_template(&t, false);
	template_ulong(&t, CKA_TRUST_SERVER_AUTH, c->row->a == 0 ? CKT_TRUSTED : CKT_NOT_TRUSTED);
	CK_RV rv = c->p11->C_CreateObject(c->session, t.entry, t.count, &object);
	if (c->row->a == 0)
		EXPECT_REFUSED(c, 296, "C_CreateObject", rv, CKR_TEMPLATE_INCOMPLETE);
	else
		EXPECT_CODE(c, 296, "C_CreateObject", rv, CKR_OK);
}

static void trust_defaults(struct check *c)
{
	struct template t;
	trust_template(&t, true);
	CK_OBJECT_HANDLE object = make_trust(c, &t);
	EXPECT(c, 297, object_bool(c, object, CKA_MODIFIABLE), "CKA_MODIFIABLE is false");
	EXPECT(c, 297, !object_bool(c, object, CKA_PRIVATE), "CKA_PRIVATE is true");
}

/* ---- the list -------------------------------------------------------------------------------- */

static void add_trust(struct check_list *list)
{
	static const char *const hashes[] = { "trusted", "distrusted" };
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(trusts); i++) {
		row = CHECK(trust_unknown, SPECIMEN_NEEDS, "what is not said is unknown", 296);
		row.a = i;
		check_add(list, row, "trust-unknown/%s", check_attribute_name(trusts[i]));
		row = CHECK(trust_given, SPECIMEN_NEEDS, "what is said is kept", 213);
		row.a = i;
		check_add(list, row, "trust-given/%s", check_attribute_name(trusts[i]));
	}
	for (size_t i = 0; i < 2; i++) {
		row = CHECK(trust_without_hash, SPECIMEN_NEEDS,
		            "without a hash a certificate is not trusted", 296);
		row.a = i;
		check_add(list, row, "trust-without-hash/%s", hashes[i]);
	}
	check_add(list, CHECK(trust_defaults, SPECIMEN_NEEDS, "its defaults are its own", 297),
	          "trust-defaults");
}

void suite_classes(struct check_list *list)
{
	static const char *const names[] = { "hw-feature", "mechanism" };
	static const CK_OBJECT_CLASS classes[] = { CKO_HW_FEATURE, CKO_MECHANISM };
	struct check_row row;
	for (size_t i = 0; i < 2; i++) {
		row = CHECK(hidden, NEED_SESSION, "only who asks for them finds them", 258);
		row.a = classes[i];
		check_add(list, row, "hidden/%s", names[i]);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(owns); i++) {
		row = CHECK(not_made, SPECIMEN_NEEDS, "an application makes none", owns[i].rule);
		row.a = i;
		check_add(list, row, "not-made/%s", owns[i].name);
	}
	for (size_t i = 0; i <= TAPE_ARRAY_SIZE(interface_types); i++) {
		bool is_mechanism = i == TAPE_ARRAY_SIZE(interface_types);
		row = CHECK(set_own, SPECIMEN_NEEDS | NEED_DESTRUCTIVE,
		            "what the token says of itself stays", 301);
		row.a = is_mechanism ? CKO_MECHANISM : CKO_HW_FEATURE;
		row.b = is_mechanism ? CKA_MECHANISM_TYPE : interface_types[i];
		check_add(list, row, "set/%s", check_attribute_name((CK_ATTRIBUTE_TYPE)row.b));
	}
	check_add(list,
	          CHECK(mechanisms, NEED_SESSION, "mechanism objects say which they are", 301),
	          "mechanisms");
	check_add(list, CHECK(profiles, NEED_SESSION, "profiles say which they are", 300),
	          "profiles");
	check_add(list, CHECK(features, NEED_SESSION, "clocks and counters have values", 324),
	          "hardware-features");
	check_add(list,
	          CHECK(validations, NEED_SESSION, "validations are read-only token objects", 298),
	          "validations");
	for (size_t i = 0; i < 2; i++) {
		row = CHECK(validation_stays, SPECIMEN_NEEDS | NEED_DESTRUCTIVE,
		            "a validation is not changed", 298);
		row.a = i;
		check_add(list, row, "validation-%s", i == 0 ? "modify" : "destroy");
	}
	check_add(list,
	          CHECK(validation_flags, NEED_SESSION | NEED_V32,
	                "the session tells how the last operation was validated", 299),
	          "validation-flags");
	add_trust(list);
}
