/* SPDX-License-Identifier: MIT
 *
 * The mock's objects: templates, reading, changing, finding.
 */
#include "tests/mock/driver.h"

#include <string.h>

static CK_SESSION_HANDLE session;

static int begin_with_user(void **state)
{
	(void)state;
	begin("");
	session = user_session();
	return 0;
}

static int end_all(void **state)
{
	(void)state;
	end();
	return 0;
}

/* What C_CreateObject says to a template; the session has no more objects than before unless CKR_OK. */
static CK_RV create(CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *object)
{
	CK_OBJECT_HANDLE found[64];
	CK_ULONG before = find_all(session, NULL, 0, found, 64);
	CK_RV rv = p11->C_CreateObject(session, template, count, object);

	assert_int_equal(find_all(session, NULL, 0, found, 64), before + (rv == CKR_OK));
	return rv;
}

static CK_RV create_more(CK_ATTRIBUTE *base, CK_ULONG count, CK_ATTRIBUTE more)
{
	CK_ATTRIBUTE template[16];
	CK_OBJECT_HANDLE object;

	memcpy(template, base, count * sizeof(*base));
	template[count] = more;
	return create(template, count + 1, &object);
}

static void templates_are_checked(void **state)
{
	CK_OBJECT_HANDLE object;
	CK_ULONG bits = 1, length = 16;
	CK_ATTRIBUTE key[] = { A_AT(CKA_CLASS, class_secret), A_AT(CKA_KEY_TYPE, type_aes),
		               A_BYTES(CKA_VALUE, "0123456789abcdef"), A_AT(CKA_TOKEN, no) };

	(void)state;
	IS(create(key, 0, &object), CKR_TEMPLATE_INCOMPLETE);
	IS(create(key, 1, &object), CKR_TEMPLATE_INCOMPLETE);
	IS(create(key, 2, &object), CKR_TEMPLATE_INCOMPLETE);
	OK(create(key, 3, &object));
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_AT(0x7ffffff0UL, bits)), CKR_ATTRIBUTE_TYPE_INVALID);
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_AT(CKA_ENCRYPT, bits)), CKR_ATTRIBUTE_VALUE_INVALID);
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_BYTES(CKA_START_DATE, "2026")),
	   CKR_ATTRIBUTE_VALUE_INVALID);
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_BYTES(CKA_START_DATE, "20261340")),
	   CKR_ATTRIBUTE_VALUE_INVALID);
	OK(create_more(key, 4, (CK_ATTRIBUTE)A_BYTES(CKA_START_DATE, "20261231")));
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_AT(CKA_LOCAL, yes)), CKR_ATTRIBUTE_READ_ONLY);
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_BYTES(CKA_UNIQUE_ID, "x")), CKR_ATTRIBUTE_READ_ONLY);
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_AT(CKA_VALUE_LEN, length)), CKR_ATTRIBUTE_READ_ONLY);
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_AT(CKA_MODULUS_BITS, bits)),
	   CKR_TEMPLATE_INCONSISTENT);
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_AT(CKA_TOKEN, yes)), CKR_TEMPLATE_INCONSISTENT);
	OK(create_more(key, 4, (CK_ATTRIBUTE)A_AT(CKA_TOKEN, no)));
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_AT(CKA_TRUSTED, yes)), CKR_ATTRIBUTE_READ_ONLY);
	IS(create_more(key, 4, (CK_ATTRIBUTE)A_BYTES(CKA_CHECK_VALUE, "abc")),
	   CKR_ATTRIBUTE_VALUE_INVALID);
	IS(p11->C_CreateObject(session, NULL, 1, &object), CKR_ARGUMENTS_BAD);
	IS(p11->C_CreateObject(session, key, 3, NULL), CKR_ARGUMENTS_BAD);
	key[2].ulValueLen = 15;
	IS(create(key, 3, &object), CKR_ATTRIBUTE_VALUE_INVALID);
}

static void ec_parameters_are_checked(void **state)
{
	CK_OBJECT_HANDLE object;
	CK_ATTRIBUTE key[] = { A_AT(CKA_CLASS, class_public), A_AT(CKA_KEY_TYPE, type_ec),
		               A_BYTES(CKA_EC_PARAMS, "\x06\x05\x2b\x81\x04\x00\x0a"),
		               A_BYTES(CKA_EC_POINT, "\x04\x01\x00") };

	(void)state;
	IS(create(key, 4, &object), CKR_CURVE_NOT_SUPPORTED);
	key[2] = (CK_ATTRIBUTE)A_BYTES(CKA_EC_PARAMS, "nonsense");
	IS(create(key, 4, &object), CKR_DOMAIN_PARAMS_INVALID);
	key[2] = (CK_ATTRIBUTE)A_BYTES(CKA_EC_PARAMS, "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07");
	IS(create(key, 4, &object), CKR_ATTRIBUTE_VALUE_INVALID);
}

static void defaults_are_set(void **state)
{
	CK_OBJECT_HANDLE key = make_secret(session, CKK_AES, 16), data;
	CK_BYTE check[3];
	CK_ATTRIBUTE read[] = { A_AT(CKA_CHECK_VALUE, check), { CKA_START_DATE, check, 3 } };
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_data) };

	(void)state;
	OK(create(template, 1, &data));
	assert_false(get_bool(session, data, CKA_TOKEN));
	assert_true(get_bool(session, data, CKA_MODIFIABLE));
	assert_true(get_bool(session, data, CKA_COPYABLE));
	assert_true(get_bool(session, data, CKA_DESTROYABLE));
	assert_false(get_bool(session, key, CKA_LOCAL));
	assert_false(get_bool(session, key, CKA_ALWAYS_SENSITIVE));
	assert_false(get_bool(session, key, CKA_NEVER_EXTRACTABLE));
	assert_int_equal(get_ulong(session, key, CKA_KEY_GEN_MECHANISM),
	                 CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(get_ulong(session, key, CKA_VALUE_LEN), 16);
	OK(p11->C_GetAttributeValue(session, key, read, 2));
	/* AES-128 of a zero block under 00 01 … 0f begins so. */
	assert_memory_equal(check, "\xc6\xa1\x3b", 3);
	assert_int_equal(read[1].ulValueLen, 0);
}

static void generated_keys_know_their_history(void **state)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_MECHANISM pair = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	CK_ULONG length = 16, bits = 1024;
	CK_ATTRIBUTE template[] = { A_AT(CKA_VALUE_LEN, length), A_AT(CKA_SENSITIVE, yes),
		                    A_AT(CKA_EXTRACTABLE, no), A_AT(CKA_CLASS, class_public) };
	CK_ATTRIBUTE public[] = { A_AT(CKA_MODULUS_BITS, bits), A_AT(CKA_KEY_TYPE, type_aes) };
	CK_ATTRIBUTE bad[] = { A_AT(CKA_MODULUS_BITS, bits) };
	CK_OBJECT_HANDLE key, other, found[8];
	CK_ULONG before;
	CK_BYTE exponent[8];
	CK_ATTRIBUTE read = { CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent) };

	(void)state;
	OK(p11->C_GenerateKey(session, &mechanism, template, 3, &key));
	assert_true(get_bool(session, key, CKA_LOCAL));
	assert_true(get_bool(session, key, CKA_ALWAYS_SENSITIVE));
	assert_true(get_bool(session, key, CKA_NEVER_EXTRACTABLE));
	assert_int_equal(get_ulong(session, key, CKA_KEY_GEN_MECHANISM), CKM_AES_KEY_GEN);
	OK(p11->C_GenerateKey(session, &mechanism, template, 1, &key));
	assert_false(get_bool(session, key, CKA_ALWAYS_SENSITIVE));
	assert_false(get_bool(session, key, CKA_NEVER_EXTRACTABLE));
	IS(p11->C_GenerateKey(session, &mechanism, template, 0, &key), CKR_TEMPLATE_INCOMPLETE);
	IS(p11->C_GenerateKey(session, &mechanism, template, 4, &key), CKR_TEMPLATE_INCONSISTENT);
	length = 17;
	IS(p11->C_GenerateKey(session, &mechanism, template, 1, &key), CKR_KEY_SIZE_RANGE);

	before = find_all(session, NULL, 0, found, 8);
	IS(p11->C_GenerateKeyPair(session, &pair, public, 2, NULL, 0, &key, &other),
	   CKR_TEMPLATE_INCONSISTENT);
	/* Only the private template is bad. */
	IS(p11->C_GenerateKeyPair(session, &pair, public, 1, bad, 1, &key, &other),
	   CKR_TEMPLATE_INCONSISTENT);
	assert_int_equal(find_all(session, NULL, 0, found, 8), before);
	OK(p11->C_GenerateKeyPair(session, &pair, public, 1, NULL, 0, &key, &other));
	OK(p11->C_GetAttributeValue(session, key, &read, 1));
	assert_memory_equal(exponent, "\x01\x00\x01", 3);
	assert_int_equal(get_ulong(session, key, CKA_CLASS), CKO_PUBLIC_KEY);
	assert_int_equal(get_ulong(session, other, CKA_CLASS), CKO_PRIVATE_KEY);
}

static void unique_ids_differ(void **state)
{
	CK_OBJECT_HANDLE first = make_data(session, "one", CK_FALSE, CK_FALSE), second, found[4];
	CK_BYTE id[2][64];
	CK_ATTRIBUTE read[2] = { { CKA_UNIQUE_ID, id[0], 64 }, { CKA_UNIQUE_ID, id[1], 64 } };

	(void)state;
	OK(p11->C_CopyObject(session, first, NULL, 0, &second));
	OK(p11->C_GetAttributeValue(session, first, &read[0], 1));
	OK(p11->C_GetAttributeValue(session, second, &read[1], 1));
	assert_true(read[0].ulValueLen != read[1].ulValueLen ||
	            memcmp(id[0], id[1], read[0].ulValueLen) != 0);
	assert_int_equal(find_all(session, &read[0], 1, found, 4), 1);
}

static void attributes_change(void **state)
{
	CK_OBJECT_HANDLE key = make_secret(session, CKK_AES, 16), object;
	CK_ATTRIBUTE fixed[] = { A_AT(CKA_CLASS, class_data), A_AT(CKA_MODIFIABLE, no),
		                 A_AT(CKA_COPYABLE, no), A_AT(CKA_DESTROYABLE, no) };
	CK_ATTRIBUTE two[] = { A_BYTES(CKA_LABEL, "new"), A_AT(CKA_LOCAL, yes) };
	CK_BYTE label[8];
	CK_ATTRIBUTE read = A_AT(CKA_LABEL, label);

	(void)state;
	OK(set_bool(session, key, CKA_ENCRYPT, no));
	assert_false(get_bool(session, key, CKA_ENCRYPT));
	IS(p11->C_SetAttributeValue(session, key, two, 2), CKR_ATTRIBUTE_READ_ONLY);
	OK(p11->C_GetAttributeValue(session, key, &read, 1));
	assert_int_equal(read.ulValueLen, 0);
	OK(set_bool(session, key, CKA_SENSITIVE, yes));
	assert_false(get_bool(session, key, CKA_ALWAYS_SENSITIVE));
	IS(set_bool(session, key, CKA_SENSITIVE, no), CKR_ATTRIBUTE_READ_ONLY);
	OK(set_bool(session, key, CKA_EXTRACTABLE, no));
	assert_false(get_bool(session, key, CKA_NEVER_EXTRACTABLE));
	IS(set_bool(session, key, CKA_EXTRACTABLE, yes), CKR_ATTRIBUTE_READ_ONLY);
	IS(set_bool(session, key, CKA_PRIVATE, yes), CKR_ATTRIBUTE_READ_ONLY);

	OK(create(fixed, COUNT(fixed), &object));
	IS(p11->C_SetAttributeValue(session, object, two, 1), CKR_ACTION_PROHIBITED);
	IS(p11->C_CopyObject(session, object, NULL, 0, &key), CKR_ACTION_PROHIBITED);
	IS(p11->C_DestroyObject(session, object), CKR_ACTION_PROHIBITED);
	IS(p11->C_DestroyObject(session, object + 100), CKR_OBJECT_HANDLE_INVALID);
	IS(p11->C_SetAttributeValue(session, 0, two, 1), CKR_OBJECT_HANDLE_INVALID);
}

static void copies_keep_their_history(void **state)
{
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_ULONG length = 16;
	CK_ATTRIBUTE template[] = { A_AT(CKA_VALUE_LEN, length), A_AT(CKA_SENSITIVE, yes) };
	CK_ATTRIBUTE changes[] = { A_AT(CKA_EXTRACTABLE, no), A_AT(CKA_TOKEN, yes) };
	CK_ATTRIBUTE back[] = { A_AT(CKA_SENSITIVE, no) };
	CK_OBJECT_HANDLE key, copy;
	CK_ULONG size = 0;

	(void)state;
	OK(p11->C_GenerateKey(session, &mechanism, template, 2, &key));
	OK(p11->C_CopyObject(session, key, changes, 2, &copy));
	assert_int_not_equal(copy, key);
	assert_true(get_bool(session, copy, CKA_ALWAYS_SENSITIVE));
	assert_true(get_bool(session, copy, CKA_LOCAL));
	assert_true(get_bool(session, copy, CKA_TOKEN));
	assert_false(get_bool(session, copy, CKA_NEVER_EXTRACTABLE));
	IS(p11->C_CopyObject(session, key, back, 1, &copy), CKR_ATTRIBUTE_READ_ONLY);
	OK(p11->C_GetObjectSize(session, key, &size));
	assert_true(size > 16);
	OK(p11->C_DestroyObject(session, key));
	IS(p11->C_GetObjectSize(session, key, &size), CKR_OBJECT_HANDLE_INVALID);
}

static void reading_has_five_cases(void **state)
{
	CK_BBOOL sensitive = CK_TRUE, extractable = CK_TRUE;
	CK_ATTRIBUTE template[] = {
		A_AT(CKA_CLASS, class_secret),          A_AT(CKA_KEY_TYPE, type_aes),
		A_BYTES(CKA_VALUE, "0123456789abcdef"), A_AT(CKA_SENSITIVE, sensitive),
		A_AT(CKA_EXTRACTABLE, extractable),     A_BYTES(CKA_LABEL, "a label")
	};
	CK_BYTE value[32] = { 0 }, label[32];
	CK_ULONG length = 99, bits = 99;
	CK_OBJECT_HANDLE key;
	CK_RV rv;

	(void)state;
	for (int round = 0; round < 3; round++) {
		CK_ATTRIBUTE read[] = { { CKA_VALUE, value, sizeof(value) },
			                { CKA_MODULUS_BITS, &bits, sizeof(bits) },
			                { CKA_LABEL, NULL, 0 },
			                { CKA_LABEL, label, 3 },
			                { CKA_VALUE_LEN, &length, sizeof(length) },
			                { CKA_LABEL, label, sizeof(label) } };

		sensitive = round == 0;
		extractable = round != 1;
		OK(create(template, COUNT(template), &key));
		memset(label, 'x', sizeof(label));
		rv = p11->C_GetAttributeValue(session, key, read, COUNT(read));
		assert_true(rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
		            rv == CKR_BUFFER_TOO_SMALL);
		assert_int_equal(read[0].ulValueLen, round == 2 ? 16 : CK_UNAVAILABLE_INFORMATION);
		assert_int_equal(read[1].ulValueLen, CK_UNAVAILABLE_INFORMATION);
		assert_int_equal(read[2].ulValueLen, 7);
		assert_int_equal(read[3].ulValueLen, CK_UNAVAILABLE_INFORMATION);
		assert_int_equal(length, 16);
		assert_int_equal(read[5].ulValueLen, 7);
		assert_memory_equal(label, "a labelx", 8);
		/* Alone, so that nothing else hides what is written where there is no room. */
		memset(label, 'x', sizeof(label));
		read[3].ulValueLen = 3;
		IS(p11->C_GetAttributeValue(session, key, &read[3], 1), CKR_BUFFER_TOO_SMALL);
		assert_int_equal(label[4], 'x');
	}
	IS(p11->C_GetAttributeValue(session, key, NULL, 1), CKR_ARGUMENTS_BAD);
	IS(p11->C_GetAttributeValue(session, 12345, NULL, 0), CKR_OBJECT_HANDLE_INVALID);
}

static void templates_are_read_in_steps(void **state)
{
	CK_ATTRIBUTE inner[] = { A_AT(CKA_CLASS, class_secret), A_BYTES(CKA_LABEL, "wrapped") };
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_secret),
		                    A_AT(CKA_KEY_TYPE, type_aes),
		                    A_BYTES(CKA_VALUE, "0123456789abcdef"),
		                    { CKA_WRAP_TEMPLATE, inner, sizeof(inner) } };
	CK_ATTRIBUTE items[2] = { { 0 }, { 0 } };
	CK_ATTRIBUTE read = { CKA_WRAP_TEMPLATE, NULL, 0 };
	CK_BYTE label[8];
	CK_ULONG class = 0;
	CK_OBJECT_HANDLE key;

	(void)state;
	OK(create(template, COUNT(template), &key));
	/* A copy was taken. */
	inner[0].pValue = NULL;
	OK(p11->C_GetAttributeValue(session, key, &read, 1));
	assert_int_equal(read.ulValueLen, sizeof(inner));
	read.pValue = items;
	OK(p11->C_GetAttributeValue(session, key, &read, 1));
	assert_int_equal(items[0].type, CKA_CLASS);
	assert_int_equal(items[0].ulValueLen, sizeof(CK_ULONG));
	assert_int_equal(items[1].ulValueLen, 7);
	items[0].pValue = &class;
	items[1].pValue = label;
	items[1].ulValueLen = 3;
	IS(p11->C_GetAttributeValue(session, key, &read, 1), CKR_BUFFER_TOO_SMALL);
	assert_int_equal(items[1].ulValueLen, CK_UNAVAILABLE_INFORMATION);
	assert_int_equal(class, CKO_SECRET_KEY);
}

static void searches_match_bytes(void **state)
{
	CK_OBJECT_HANDLE found[8] = { 0 };
	CK_ATTRIBUTE label = A_BYTES(CKA_LABEL, "one");
	CK_ATTRIBUTE both[] = { A_BYTES(CKA_LABEL, "one"), A_AT(CKA_CLASS, class_secret) };
	CK_ATTRIBUTE unknown = A_BYTES(0x7ffffff0UL, "x");
	CK_ULONG count = 99;

	(void)state;
	make_data(session, "one", CK_FALSE, CK_FALSE);
	make_data(session, "one more", CK_FALSE, CK_FALSE);
	make_data(session, "two", CK_FALSE, CK_TRUE);
	assert_int_equal(find_all(session, NULL, 0, found, 8), 3);
	assert_int_equal(find_all(session, &label, 1, found, 8), 1);
	assert_int_equal(find_all(session, both, 2, found, 8), 0);
	assert_int_equal(find_all(session, &unknown, 1, found, 8), 0);
	IS(p11->C_FindObjects(session, found, 8, &count), CKR_OPERATION_NOT_INITIALIZED);
	IS(p11->C_FindObjectsFinal(session), CKR_OPERATION_NOT_INITIALIZED);
	OK(p11->C_FindObjectsInit(session, NULL, 0));
	IS(p11->C_FindObjectsInit(session, NULL, 0), CKR_OPERATION_ACTIVE);
	memset(found, 0, sizeof(found));
	OK(p11->C_FindObjects(session, found, 2, &count));
	assert_int_equal(count, 2);
	assert_int_equal(found[2], 0);
	OK(p11->C_FindObjects(session, found, 8, &count));
	assert_int_equal(count, 1);
	OK(p11->C_FindObjects(session, found, 8, &count));
	assert_int_equal(count, 0);
	OK(p11->C_FindObjectsFinal(session));
	IS(p11->C_FindObjectsInit(session, NULL, 1), CKR_ARGUMENTS_BAD);
	OK(p11->C_FindObjectsInit(session, NULL, 0));
	OK(p11->C_SessionCancel(session, CKF_FIND_OBJECTS));
	IS(p11->C_FindObjectsFinal(session), CKR_OPERATION_NOT_INITIALIZED);
}

static void presets_are_there(void **state)
{
	CK_OBJECT_CLASS feature = CKO_HW_FEATURE, profile = CKO_PROFILE;
	CK_ATTRIBUTE features[] = { A_AT(CKA_CLASS, feature) },
		     profiles[] = { A_AT(CKA_CLASS, profile) };
	CK_ATTRIBUTE roots[] = { A_AT(CKA_CLASS, class_certificate) };
	CK_OBJECT_HANDLE found[8], object;

	(void)state;
	begin("version=3.0,objects=features+profile+ckbi");
	session = open_session(0, CKF_RW_SESSION);
	assert_int_equal(find_all(session, features, 1, found, 8), 2);
	/* Two profiles, a certificate, its trust, the list's mark; no feature that nobody asked for. */
	assert_int_equal(find_all(session, NULL, 0, found, 8), 5);
	assert_int_equal(find_all(session, profiles, 1, found, 8), 2);
	assert_int_equal(get_ulong(session, found[0], CKA_PROFILE_ID), CKP_BASELINE_PROVIDER);
	IS(p11->C_CreateObject(session, features, 1, &object), CKR_TEMPLATE_INCONSISTENT);
	assert_int_equal(find_all(session, roots, 1, found, 8), 1);
	end();
}

static void presets_say_what_they_must(void **state)
{
	CK_OBJECT_CLASS feature = CKO_HW_FEATURE, validation = CKO_VALIDATION, trust = CKO_TRUST;
	CK_ULONG clock = CKH_CLOCK, anchor = CKT_TRUST_ANCHOR;
	CK_BYTE time[17];
	CK_ATTRIBUTE clocks[] = { A_AT(CKA_CLASS, feature), A_AT(CKA_HW_FEATURE_TYPE, clock) },
		     validations[] = { A_AT(CKA_CLASS, validation) }, read = A_AT(CKA_VALUE, time);
	CK_ATTRIBUTE trusts[] = { A_AT(CKA_CLASS, trust), A_BYTES(CKA_ISSUER, "i"),
		                  A_BYTES(CKA_SERIAL_NUMBER, "s"),
		                  A_AT(CKA_TRUST_SERVER_AUTH, anchor) };
	CK_OBJECT_HANDLE found[2], object;

	(void)state;
	begin("objects=features+validation");
	session = open_session(0, CKF_RW_SESSION);
	assert_int_equal(find_all(session, clocks, 2, found, 2), 1);
	OK(p11->C_GetAttributeValue(session, found[0], &read, 1));
	assert_int_equal(read.ulValueLen, 16);
	assert_int_equal(find_all(session, validations, 1, found, 2), 1);
	assert_false(get_bool(session, found[0], CKA_MODIFIABLE));
	IS(create(trusts, 4, &object), CKR_TEMPLATE_INCOMPLETE);
	OK(create(trusts, 3, &object));
	assert_false(get_bool(session, object, CKA_PRIVATE));
	end();
}

static void the_so_trusts(void **state)
{
	CK_SESSION_HANDLE so;
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_certificate),
		                    A_BYTES(CKA_SUBJECT, "s"),
		                    A_BYTES(CKA_VALUE, "v"),
		                    { CKA_CERTIFICATE_TYPE, NULL, 0 },
		                    A_AT(CKA_TOKEN, yes) };
	CK_ULONG x509 = CKC_X_509;
	CK_ATTRIBUTE label = A_BYTES(CKA_LABEL, "l");
	CK_OBJECT_HANDLE certificate;

	(void)state;
	template[3].pValue = &x509;
	template[3].ulValueLen = sizeof(x509);
	begin("");
	so = user_session();
	OK(p11->C_CreateObject(so, template, COUNT(template), &certificate));
	IS(set_bool(so, certificate, CKA_TRUSTED, yes), CKR_ATTRIBUTE_READ_ONLY);
	OK(p11->C_Logout(so));
	log_in(so, CKU_SO, "12345678");
	OK(set_bool(so, certificate, CKA_TRUSTED, yes));
	IS(p11->C_SetAttributeValue(so, certificate, &label, 1), CKR_ACTION_PROHIBITED);
	end();
}

static void private_keys_are_checked(void **state)
{
	CK_MECHANISM pair = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_ATTRIBUTE public[] = { A_BYTES(CKA_EC_PARAMS,
		                          "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07") };
	CK_ATTRIBUTE open[] = { A_AT(CKA_SENSITIVE, no), A_AT(CKA_EXTRACTABLE, yes) };
	CK_BYTE value[32] = { 0 }, info[128] = { 0 };
	CK_ATTRIBUTE read[] = { A_AT(CKA_VALUE, value),
		                { CKA_PUBLIC_KEY_INFO, info, sizeof(info) } };
	CK_ATTRIBUTE template[] = { A_AT(CKA_CLASS, class_private),
		                    A_AT(CKA_KEY_TYPE, type_ec),
		                    public [0],
		                    A_AT(CKA_VALUE, value),
		                    { CKA_PUBLIC_KEY_INFO, info, 0 },
		                    A_AT(CKA_ALWAYS_AUTHENTICATE, yes),
		                    A_AT(CKA_PRIVATE, no) };
	CK_OBJECT_HANDLE key, other, object;

	(void)state;
	OK(p11->C_GenerateKeyPair(session, &pair, public, 1, open, 2, &key, &other));
	{
		CK_BYTE point[80];
		CK_ATTRIBUTE read_point = A_AT(CKA_EC_POINT, point);

		OK(p11->C_GetAttributeValue(session, key, &read_point, 1));
		assert_int_equal(read_point.ulValueLen, 67);
		assert_memory_equal(point, "\x04\x41\x04", 3);
	}
	OK(p11->C_GetAttributeValue(session, other, read, 2));
	template[4].ulValueLen = read[1].ulValueLen;
	OK(create(template, 5, &object));
	OK(create(template, 6, &object));
	IS(create(template, 7, &object), CKR_TEMPLATE_INCONSISTENT);
	info[read[1].ulValueLen - 1] ^= 1;
	IS(create(template, 5, &object), CKR_ATTRIBUTE_VALUE_INVALID);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin_with_user, end_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(templates_are_checked),
		CASE(ec_parameters_are_checked),
		CASE(defaults_are_set),
		CASE(generated_keys_know_their_history),
		CASE(unique_ids_differ),
		CASE(attributes_change),
		CASE(copies_keep_their_history),
		CASE(reading_has_five_cases),
		CASE(templates_are_read_in_steps),
		CASE(searches_match_bytes),
		CASE(private_keys_are_checked),
		cmocka_unit_test(presets_are_there),
		cmocka_unit_test(presets_say_what_they_must),
		cmocka_unit_test(the_so_trusts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
