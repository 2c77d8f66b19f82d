/* SPDX-License-Identifier: MIT
 *
 * The OASIS PKCS#11 Profiles: what a token that says it has a profile must offer, and the profiles' mandatory test
 * cases (BL-M-1, EXT-M-1, AUTH-M-1, CERT-M-1) as sequences of calls. A token that claims no profile is not held to one:
 * a case that it does not pass is skipped then, with the call.
 */
#include <stdlib.h>
#include <string.h>

#include "suites/check.h"
#include "suites/objects.h"

/* ---- which profiles the token claims ----------------------------------------------------------------- */

static const struct profile {
	const char *name;
	CK_PROFILE_ID id;
	unsigned short rule;
} profiles[] = {
	{ "baseline", CKP_BASELINE_PROVIDER, 303 },
	{ "extended", CKP_EXTENDED_PROVIDER, 304 },
	{ "authentication", CKP_AUTHENTICATION_TOKEN, 305 },
	{ "certificates", CKP_PUBLIC_CERTIFICATES_TOKEN, 306 },
	{ "hkdf-tls", CKP_HKDF_TLS_TOKEN, 307 },
	{ "complete", CKP_COMPLETE_PROVIDER, 308 },
};

enum { BASELINE, EXTENDED, AUTHENTICATION, CERTIFICATES, HKDF_TLS, COMPLETE };

/* The profile's object, or CK_INVALID_HANDLE. Some tokens cannot even search for what they do not know. */
static CK_OBJECT_HANDLE claim(struct check *c, const struct profile *profile)
{
	CK_ULONG class = CKO_PROFILE, count = 0, size;
	CK_ATTRIBUTE entry = { CKA_CLASS, &class, sizeof(class) };
	CK_OBJECT_HANDLE found[16], object = CK_INVALID_HANDLE;
	if (c->p11->C_FindObjectsInit(c->session, &entry, 1) != CKR_OK)
		return CK_INVALID_HANDLE;
	if (c->p11->C_FindObjects(c->session, found, TAPE_ARRAY_SIZE(found), &count) != CKR_OK)
		count = 0;
	(void)c->p11->C_FindObjectsFinal(c->session);
	for (CK_ULONG i = 0; i < count && i < TAPE_ARRAY_SIZE(found); i++) {
		CK_PROFILE_ID id = CKP_INVALID_ID;
		if (object_read(c, found[i], CKA_PROFILE_ID, &id, sizeof(id), &size) == CKR_OK &&
		    id == profile->id)
			object = found[i];
	}
	return object;
}

static CK_OBJECT_HANDLE need_claim(struct check *c, const struct profile *profile)
{
	CK_OBJECT_HANDLE object = claim(c, profile);
	if (object == CK_INVALID_HANDLE)
		check_skip(c, "the token has no profile object with %s",
		           check_name(TAPE_G_CKP, profile->id));
	return object;
}

/* ---- functions --------------------------------------------------------------------------------------- */

static const struct demand {
	unsigned int profile;
	enum tape_function_id id;
} demands[] = {
	{ BASELINE, TAPE_FN_C_GetFunctionList },
	{ BASELINE, TAPE_FN_C_GetInterfaceList },
	{ BASELINE, TAPE_FN_C_GetInterface },
	{ BASELINE, TAPE_FN_C_GetInfo },
	{ BASELINE, TAPE_FN_C_GetSlotList },
	{ BASELINE, TAPE_FN_C_GetSlotInfo },
	{ BASELINE, TAPE_FN_C_GetTokenInfo },
	{ BASELINE, TAPE_FN_C_OpenSession },
	{ BASELINE, TAPE_FN_C_GetSessionInfo },
	{ BASELINE, TAPE_FN_C_FindObjectsInit },
	{ BASELINE, TAPE_FN_C_FindObjects },
	{ BASELINE, TAPE_FN_C_FindObjectsFinal },
	{ BASELINE, TAPE_FN_C_GetAttributeValue },
	{ BASELINE, TAPE_FN_C_CloseSession },
	{ EXTENDED, TAPE_FN_C_GetMechanismList },
	{ EXTENDED, TAPE_FN_C_GetMechanismInfo },
	{ EXTENDED, TAPE_FN_C_Login },
	{ EXTENDED, TAPE_FN_C_LoginUser },
	{ EXTENDED, TAPE_FN_C_Logout },
	{ AUTHENTICATION, TAPE_FN_C_Login },
	{ AUTHENTICATION, TAPE_FN_C_LoginUser },
	{ AUTHENTICATION, TAPE_FN_C_Logout },
	{ AUTHENTICATION, TAPE_FN_C_SignInit },
	{ AUTHENTICATION, TAPE_FN_C_Sign },
	{ HKDF_TLS, TAPE_FN_C_DeriveKey },
};

static bool is_supported(struct check *c, enum tape_function_id id)
{
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	const struct tape_function *function = &tape_functions[id];
	if (check_function(c, id) == NULL)
		return false;
	check_arguments(c, id, words);
	/* With no session nothing is done, and no PIN is looked at. */
	if (function->lane >= 0)
		words[function->arguments[function->lane].word] = CK_INVALID_HANDLE;
	return check_call(c, id, words) != CKR_FUNCTION_NOT_SUPPORTED;
}

static void function_demanded(struct check *c)
{
	const struct demand *demand = c->row->data;
	need_claim(c, &profiles[demand->profile]);
	EXPECT(c, c->row->rules[0], is_supported(c, demand->id),
	       "the token has the profile, and the module no %s",
	       tape_functions[demand->id].name.text);
}

static void all_functions(struct check *c)
{
	need_claim(c, &profiles[COMPLETE]);
	for (unsigned int f = TAPE_FN_C_GetInfo; f < TAPE_FN_COUNT_3_0; f++)
		if (tape_functions[f].lane >= 0)
			EXPECT(c, 308, is_supported(c, (enum tape_function_id)f),
			       "a complete provider has no %s", tape_functions[f].name.text);
}

/* ---- what the profiles say of objects ---------------------------------------------------------------- */

static void profile_object(struct check *c)
{
	static const CK_ATTRIBUTE_TYPE types[] = { CKA_CLASS,      CKA_TOKEN, CKA_PRIVATE,
		                                   CKA_MODIFIABLE, CKA_LABEL, CKA_UNIQUE_ID,
		                                   CKA_PROFILE_ID };
	const struct profile *profile = c->row->data;
	CK_OBJECT_HANDLE object = need_claim(c, profile);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(types); i++) {
		CK_BYTE value[512];
		CK_ULONG size;
		CK_RV rv = object_read(c, object, types[i], value, sizeof(value), &size);
		EXPECT(c, c->row->rules[0], rv == CKR_OK, "%s of the profile object gives %s",
		       check_attribute_name(types[i]), check_rv_name(rv));
	}
}

/* An identifier of the key that belongs to a certificate; false where the attribute is empty or not there. */
static bool read_id(struct check *c, CK_OBJECT_HANDLE object, CK_BYTE *id, CK_ULONG *size)
{
	return object_read(c, object, CKA_ID, id, *size, size) == CKR_OK && *size != 0 &&
	       *size != CK_UNAVAILABLE_INFORMATION;
}

static bool has_key(struct check *c, const CK_BYTE *id, CK_ULONG size)
{
	static const CK_OBJECT_CLASS classes[] = { CKO_PRIVATE_KEY, CKO_PUBLIC_KEY };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(classes); i++) {
		struct template t;
		CK_OBJECT_HANDLE found[1];
		template_clear(&t);
		template_ulong(&t, CKA_CLASS, classes[i]);
		template_bytes(&t, CKA_ID, id, size);
		if (object_find(c, &t, found, 1) == 1)
			return true;
	}
	return false;
}

#define CERTIFICATES_SEEN 64

static void certificates(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[CERTIFICATES_SEEN];
	need_claim(c, &profiles[CERTIFICATES]);
	template_clear(&t);
	template_ulong(&t, CKA_CLASS, CKO_CERTIFICATE);
	size_t count = object_find(c, &t, found, CERTIFICATES_SEEN);
	bool seen = false;
	for (size_t i = 0; i < count && i < CERTIFICATES_SEEN; i++) {
		CK_BYTE id[256];
		CK_ULONG size = sizeof(id);
		/* Those of authorities have no key here. */
		if (!read_id(c, found[i], id, &size))
			continue;
		EXPECT(c, 306, has_key(c, id, size),
		       "no key with the CKA_ID of certificate 0x%lx is found without login",
		       (unsigned long)found[i]);
		seen = true;
	}
	if (!seen)
		check_skip(c, "no certificate with a CKA_ID is found without login");
}

/* HkdfLabel of TLS 1.3 (RFC 8446 §7.1): twelve bytes, a label, no context. */
static void hkdf(struct check *c)
{
	static const char *const labels[] = { "tls13 iv", "tls13 quic iv" };
	need_claim(c, &profiles[HKDF_TLS]);
	CK_OBJECT_HANDLE key = object_make(c, OBJECT_SECRET);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(labels); i++) {
		CK_BYTE info[32] = { 0, 12 };
		size_t length = strlen(labels[i]);
		info[2] = (CK_BYTE)length;
		memcpy(info + 3, labels[i], length);
		CK_HKDF_PARAMS parameters = { .bExpand = CK_TRUE,
			                      .prfHashMechanism = CKM_SHA256,
			                      .ulSaltType = CKF_HKDF_SALT_NULL,
			                      .pInfo = info,
			                      .ulInfoLen = length + 4 };
		CK_MECHANISM mechanism = { CKM_HKDF_DATA, &parameters, sizeof(parameters) };
		struct template t;
		CK_OBJECT_HANDLE made;
		template_clear(&t);
		template_ulong(&t, CKA_CLASS, CKO_DATA);
		template_bool(&t, CKA_TOKEN, false);
		template_ulong(&t, CKA_VALUE_LEN, 12);
		EXPECT_RV(c, 307,
		          c->p11->C_DeriveKey(c->session, &mechanism, key, t.entry, t.count, &made),
		          CKR_OK);
	}
}

/* ---- the mandatory cases ----------------------------------------------------------------------------- */

/* A step of a case. Who claims the profile fails where it fails; who does not is not asked. */
struct scene {
	const struct profile *profile;
	bool claimed;
};

#define STEP(c, scene, call) step(c, scene, #call, call)

static void step(struct check *c, const struct scene *scene, const char *call, CK_RV rv)
{
	const char *name = strstr(call, "C_");
	int length = name == NULL ? 0 : (int)strcspn(name, "(");
	if (rv != CKR_OK && !scene->claimed)
		check_skip(c, "the token has not the profile, and %.*s returned %s", length,
		           name == NULL ? "" : name, check_rv_name(rv));
	EXPECT(c, 309, rv == CKR_OK, "%.*s returned %s", length, name == NULL ? "" : name,
	       check_rv_name(rv));
}

static void step_that(struct check *c, const struct scene *scene, bool holds, const char *what)
{
	if (!holds && !scene->claimed)
		check_skip(c, "the token has not the profile, and %s", what);
	EXPECT(c, 309, holds, "%s", what);
}

/* C_Initialize has been called. The cases take the first slot; here it is the one that the user named. */
static void open_scene(struct check *c, struct scene *scene, unsigned int profile, CK_FLAGS flags)
{
	CK_SLOT_ID slots[TARGET_SLOTS];
	CK_ULONG count = 0;
	bool there = false;
	scene->profile = &profiles[profile];
	scene->claimed = false;
	STEP(c, scene, c->p11->C_GetSlotList(CK_TRUE, NULL, &count));
	step_that(c, scene, count != 0 && count <= TARGET_SLOTS, "there is no slot with a token");
	STEP(c, scene, c->p11->C_GetSlotList(CK_TRUE, slots, &count));
	for (CK_ULONG i = 0; i < count; i++)
		there = there || slots[i] == c->slot;
	step_that(c, scene, there, "the token's slot is not in the list");
	STEP(c, scene,
	     c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION | flags, NULL, NULL, &c->session));
	scene->claimed = claim(c, scene->profile) != CK_INVALID_HANDLE;
	if (!scene->claimed)
		check_note(c, "the token does not claim the profile");
}

static void close_scene(struct check *c, const struct scene *scene)
{
	STEP(c, scene, c->p11->C_CloseSession(c->session));
	c->session = CK_INVALID_HANDLE;
	STEP(c, scene, c->p11->C_CloseAllSessions(c->slot));
	STEP(c, scene, c->p11->C_Finalize(NULL));
	c->initialized = false;
}

static void ask_information(struct check *c, const struct scene *scene)
{
	CK_INFO info;
	CK_SLOT_INFO slot;
	CK_TOKEN_INFO token;
	STEP(c, scene, c->p11->C_GetInfo(&info));
	STEP(c, scene, c->p11->C_GetSlotInfo(c->slot, &slot));
	step_that(c, scene, (slot.flags & CKF_TOKEN_PRESENT) != 0, "the slot has no token");
	STEP(c, scene, check_token_info(c, c->slot, &token));
}

/* Search for what a template says, as the cases do: one object at a time. */
static CK_OBJECT_HANDLE search(struct check *c, const struct scene *scene, struct template *t)
{
	CK_OBJECT_HANDLE object = CK_INVALID_HANDLE;
	CK_ULONG count = 0;
	STEP(c, scene, c->p11->C_FindObjectsInit(c->session, t->entry, t->count));
	STEP(c, scene, c->p11->C_FindObjects(c->session, &object, 1, &count));
	STEP(c, scene, c->p11->C_FindObjectsFinal(c->session));
	return count == 1 ? object : CK_INVALID_HANDLE;
}

static void baseline_case(struct check *c)
{
	struct scene scene;
	struct template t;
	open_scene(c, &scene, BASELINE, 0);
	ask_information(c, &scene);
	template_clear(&t);
	template_bool(&t, CKA_TOKEN, true);
	(void)search(c, &scene, &t);
	close_scene(c, &scene);
}

static void extended_case(struct check *c)
{
	struct scene scene;
	struct template t;
	CK_MECHANISM_TYPE mechanisms[TARGET_MECHANISMS];
	CK_ULONG count = 0;
	open_scene(c, &scene, EXTENDED, CKF_RW_SESSION);
	ask_information(c, &scene);
	STEP(c, &scene, c->p11->C_GetMechanismList(c->slot, NULL, &count));
	step_that(c, &scene, count != 0 && count <= TARGET_MECHANISMS, "it lists no mechanism");
	STEP(c, &scene, c->p11->C_GetMechanismList(c->slot, mechanisms, &count));
	for (CK_ULONG i = 0; i < count && i < 3; i++) {
		CK_MECHANISM_INFO info;
		STEP(c, &scene, c->p11->C_GetMechanismInfo(c->slot, mechanisms[i], &info));
	}
	if (!check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in without a PIN (--pin-file)");
	template_clear(&t);
	template_bool(&t, CKA_TOKEN, true);
	(void)search(c, &scene, &t);
	STEP(c, &scene, c->p11->C_Logout(c->session));
	close_scene(c, &scene);
}

/* The keys that the case expects in the token, made where it is allowed. */
static void make_keys(struct check *c)
{
	static const enum object_kind kinds[] = { OBJECT_RSA_PUBLIC, OBJECT_RSA_PRIVATE };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(kinds); i++) {
		struct template t;
		object_template(c, &t, kinds[i]);
		template_bool(&t, CKA_TOKEN, true);
		object_create(c, &t);
	}
}

static void authentication_case(struct check *c)
{
	struct scene scene;
	struct template t;
	CK_MECHANISM mechanism = { CKM_SHA256_RSA_PKCS, NULL, 0 };
	CK_BYTE modulus[1024], exponent[1024], signature[1024];
	CK_BYTE data[] = "what is to be signed";
	CK_ATTRIBUTE entries[] = { { CKA_MODULUS, modulus, sizeof(modulus) },
		                   { CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent) } };
	CK_ULONG size = sizeof(signature);
	open_scene(c, &scene, AUTHENTICATION, CKF_RW_SESSION);
	if (!check_login(c, c->session, CKU_USER))
		check_skip(c, "the user cannot be logged in without a PIN (--pin-file)");
	make_keys(c);
	template_clear(&t);
	template_bool(&t, CKA_TOKEN, true);
	template_text(&t, CKA_LABEL, OBJECT_LABEL);
	template_ulong(&t, CKA_CLASS, CKO_PUBLIC_KEY);
	CK_OBJECT_HANDLE public = search(c, &scene, &t);
	step_that(c, &scene, public != CK_INVALID_HANDLE, "the public key is not found");
	STEP(c, &scene, c->p11->C_GetAttributeValue(c->session, public, entries, 2));
	template_ulong(&t, CKA_CLASS, CKO_PRIVATE_KEY);
	CK_OBJECT_HANDLE private = search(c, &scene, &t);
	step_that(c, &scene, private != CK_INVALID_HANDLE, "the private key is not found");
	STEP(c, &scene, c->p11->C_SignInit(c->session, &mechanism, private));
	STEP(c, &scene, c->p11->C_Sign(c->session, data, sizeof(data), signature, &size));
	step_that(c, &scene, size == entries[0].ulValueLen,
	          "the signature is not as long as the modulus");
	STEP(c, &scene, c->p11->C_VerifyInit(c->session, &mechanism, public));
	STEP(c, &scene, c->p11->C_Verify(c->session, data, sizeof(data), signature, size));
	STEP(c, &scene, c->p11->C_Logout(c->session));
	close_scene(c, &scene);
}

/* Ask for the length, then for the value. */
static void read_twice(struct check *c, const struct scene *scene, CK_OBJECT_HANDLE object,
                       CK_ATTRIBUTE_TYPE type)
{
	CK_ATTRIBUTE entry = { type, NULL, 0 };
	STEP(c, scene, c->p11->C_GetAttributeValue(c->session, object, &entry, 1));
	CK_ULONG length = entry.ulValueLen;
	step_that(c, scene, length != CK_UNAVAILABLE_INFORMATION && length < 1 << 20,
	          "an attribute has no length");
	entry.pValue = check_buffer(c, length == 0 ? 1 : length);
	STEP(c, scene, c->p11->C_GetAttributeValue(c->session, object, &entry, 1));
	step_that(c, scene, entry.ulValueLen == length,
	          "the value has another length than was said");
}

static void certificates_case(struct check *c)
{
	struct scene scene;
	struct template t;
	open_scene(c, &scene, CERTIFICATES, 0);
	template_clear(&t);
	template_bool(&t, CKA_TOKEN, true);
	template_ulong(&t, CKA_CLASS, CKO_CERTIFICATE);
	CK_OBJECT_HANDLE certificate = search(c, &scene, &t);
	step_that(c, &scene, certificate != CK_INVALID_HANDLE, "no certificate is found");
	read_twice(c, &scene, certificate, CKA_LABEL);
	read_twice(c, &scene, certificate, CKA_VALUE);
	close_scene(c, &scene);
}

/* With a certificate that is made for it, where that is allowed. */
static void certificates_case_made(struct check *c)
{
	struct template t;
	object_template(c, &t, OBJECT_CERTIFICATE);
	template_bool(&t, CKA_TOKEN, true);
	object_create(c, &t);
	NEED_OK(c, c->p11->C_CloseSession(c->session));
	certificates_case(c);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

void suite_profiles(struct check_list *list)
{
	static const unsigned short rules[] = { 302, 304, 305, 306, 307, 308 };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(demands); i++) {
		struct check_row row =
			CHECK(function_demanded, NEED_SESSION,
		              "the module has the function that the profile demands", 302);
		row.data = &demands[i];
		row.rules[0] = rules[demands[i].profile];
		check_add(list, row, "function/%s-%s", profiles[demands[i].profile].name,
		          tape_functions[demands[i].id].name.text);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(profiles); i++) {
		struct check_row row = CHECK(profile_object, NEED_SESSION,
		                             "the profile object has its attributes", 303);
		row.data = &profiles[i];
		row.rules[0] = profiles[i].rule;
		check_add(list, row, "object/%s", profiles[i].name);
	}
	check_add(list,
	          CHECK(all_functions, NEED_SESSION, "a complete provider has all functions", 308),
	          "complete");
	check_add(list,
	          CHECK(certificates, NEED_SESSION, "keys of certificates are found without login",
	                306),
	          "certificates");
	check_add(
		list,
		CHECK(hkdf, NEED_RW | NEED_USER, "initialisation vectors of TLS are derived", 307),
		"hkdf-tls");
	check_add(list, CHECK(baseline_case, NEED_TOKEN, "the case BL-M-1", 309), "case/BL-M-1");
	check_add(list, CHECK(extended_case, NEED_TOKEN, "the case EXT-M-1", 309), "case/EXT-M-1");
	check_add(
		list,
		CHECK(authentication_case, NEED_TOKEN | NEED_DESTRUCTIVE, "the case AUTH-M-1", 309),
		"case/AUTH-M-1");
	check_add(list, CHECK(certificates_case, NEED_TOKEN, "the case CERT-M-1", 309),
	          "case/CERT-M-1");
	check_add(list,
	          CHECK(certificates_case_made, NEED_RW | NEED_USER | NEED_DESTRUCTIVE,
	                "the case CERT-M-1 with a certificate of ours", 309),
	          "case/CERT-M-1-made");
}
