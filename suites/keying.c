/* SPDX-License-Identifier: MIT */
#include "suites/keying.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool keying_has(const struct check *c, CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
	const CK_MECHANISM_INFO *info = target_mechanism(c->target, type);
	return info != NULL && (info->flags & flags) == flags;
}

const CK_MECHANISM_INFO *keying_mechanism(struct check *c, CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
	if (target_mechanism(c->target, type) == NULL)
		check_skip(c, "the token does not list %s", check_mechanism_name(type));
	if (!keying_has(c, type, flags))
		check_skip(c, "the token lists %s, but not for this", check_mechanism_name(type));
	return target_mechanism(c->target, type);
}

void keying_row(struct check_row *row, CK_MECHANISM_TYPE type, CK_FLAGS flags)
{
	row->mechanism = type;
	row->mechanism_flags = flags;
}

/* ---- objects --------------------------------------------------------------------------------- */

/* Token objects of other processes are not this check's. */
static void own_id(CK_BYTE id[20])
{
	memset(id, 0, 20);
	snprintf((char *)id, 20, "check %ld", (long)getpid());
}

void keying_template(struct check *c, struct template *t)
{
	CK_BYTE id[20];
	own_id(id);
	template_clear(t);
	template_bool(t, CKA_TOKEN, false);
	template_bool(t, CKA_PRIVATE, check_needs(c->row, NEED_USER));
	template_text(t, CKA_LABEL, OBJECT_LABEL);
	template_bytes(t, CKA_ID, id, sizeof(id));
}

size_t keying_left(struct check *c)
{
	struct template t;
	CK_OBJECT_HANDLE found[8];
	CK_BYTE id[20];
	own_id(id);
	template_clear(&t);
	template_bytes(&t, CKA_ID, id, sizeof(id));
	return object_find(c, &t, found, TAPE_ARRAY_SIZE(found));
}

void keying_nothing_left(struct check *c, const char *call)
{
	size_t left = keying_left(c);
	EXPECT(c, 213, left == 0, "%s failed and left %zu objects", call, left);
}

void keying_expect_history(struct check *c, CK_OBJECT_HANDLE key, bool sensitive, bool extractable)
{
	EXPECT(c, 262, object_bool(c, key, CKA_SENSITIVE) == sensitive,
	       "CKA_SENSITIVE is not as the template says");
	EXPECT(c, 262, object_bool(c, key, CKA_EXTRACTABLE) == extractable,
	       "CKA_EXTRACTABLE is not as the template says");
	EXPECT(c, 262, object_bool(c, key, CKA_ALWAYS_SENSITIVE) == sensitive,
	       "CKA_ALWAYS_SENSITIVE is %s of a key generated with CKA_SENSITIVE %s",
	       sensitive ? "false" : "true", sensitive ? "true" : "false");
	EXPECT(c, 262, object_bool(c, key, CKA_NEVER_EXTRACTABLE) == !extractable,
	       "CKA_NEVER_EXTRACTABLE is %s of a key generated with CKA_EXTRACTABLE %s",
	       extractable ? "true" : "false", extractable ? "true" : "false");
}

void keying_add_secrecy(struct check_list *list, struct check_row latches, struct check_row hidden,
                        const char *name)
{
	for (unsigned int i = 0; i < 4; i++) {
		latches.a = i & 1;
		latches.b = i >> 1;
		check_add(list, latches, "latches/%s-%s-%s", name,
		          latches.a != 0 ? "sensitive" : "plain",
		          latches.b != 0 ? "extractable" : "unextractable");
	}
	for (unsigned int i = 0; i < 2; i++) {
		hidden.a = i;
		check_add(list, hidden, "hidden/%s-%s", name,
		          i != 0 ? "sensitive" : "unextractable");
	}
}

void keying_uses(struct template *t, CK_KEY_TYPE type)
{
	bool mac = type == CKK_GENERIC_SECRET || type == CKK_HKDF ||
	           (type >= CKK_MD5_HMAC && type <= CKK_SHA224_HMAC) || type == CKK_POLY1305;
	template_bool(t, CKA_DERIVE, true);
	template_bool(t, mac ? CKA_SIGN : CKA_ENCRYPT, true);
	template_bool(t, mac ? CKA_VERIFY : CKA_DECRYPT, true);
}

bool keying_value(struct check *c, CK_OBJECT_HANDLE key, CK_BYTE *to, CK_ULONG *ret_size)
{
	return object_read(c, key, CKA_VALUE, to, KEYING_VALUE_SIZE, ret_size) == CKR_OK &&
	       *ret_size <= KEYING_VALUE_SIZE;
}

CK_OBJECT_HANDLE keying_secret(struct check *c, CK_KEY_TYPE type, const void *value, size_t size)
{
	struct template t;
	object_template(c, &t, OBJECT_SECRET);
	template_remove(&t, CKA_SIGN);
	template_remove(&t, CKA_VERIFY);
	keying_uses(&t, type);
	template_bool(&t, CKA_WRAP, true);
	template_bool(&t, CKA_UNWRAP, true);
	template_ulong(&t, CKA_KEY_TYPE, type);
	template_bytes(&t, CKA_VALUE, value, size);
	return object_create(c, &t);
}

/* ---- using keys ------------------------------------------------------------------------------ */

static CK_BYTE message[64] = "what is encrypted and signed to see that a key works, 64 bytes.";

static void encrypts(struct check *c, unsigned int rule, CK_OBJECT_HANDLE key, CK_MECHANISM *how)
{
	CK_BYTE sealed[128], opened[128];
	CK_ULONG sealed_size = sizeof(sealed), size = sizeof(opened);
	EXPECT_RV(c, rule, c->p11->C_EncryptInit(c->session, how, key), CKR_OK);
	EXPECT_RV(c, rule,
	          c->p11->C_Encrypt(c->session, message, sizeof(message), sealed, &sealed_size),
	          CKR_OK);
	EXPECT_RV(c, rule, c->p11->C_DecryptInit(c->session, how, key), CKR_OK);
	EXPECT_RV(c, rule, c->p11->C_Decrypt(c->session, sealed, sealed_size, opened, &size),
	          CKR_OK);
	EXPECT(c, rule,
	       size == sizeof(message) && memcmp(opened, message, sizeof(message)) == 0 &&
	               memcmp(sealed, message, sizeof(message)) != 0,
	       "what the key encrypts it does not decrypt");
}

static void signs(struct check *c, unsigned int rule, CK_MECHANISM *how, CK_OBJECT_HANDLE signer,
                  CK_OBJECT_HANDLE verifier, CK_ULONG data_size)
{
	static CK_BYTE signature[51200];
	CK_ULONG size = sizeof(signature);
	EXPECT_RV(c, rule, c->p11->C_SignInit(c->session, how, signer), CKR_OK);
	EXPECT_RV(c, rule, c->p11->C_Sign(c->session, message, data_size, signature, &size),
	          CKR_OK);
	EXPECT(c, rule, size > 0 && size <= sizeof(signature), "a signature of %lu bytes", size);
	EXPECT_RV(c, rule, c->p11->C_VerifyInit(c->session, how, verifier), CKR_OK);
	EXPECT_RV(c, rule, c->p11->C_Verify(c->session, message, data_size, signature, size),
	          CKR_OK);
	signature[size / 2] ^= 1;
	EXPECT_RV(c, rule, c->p11->C_VerifyInit(c->session, how, verifier), CKR_OK);
	CK_RV rv = c->p11->C_Verify(c->session, message, data_size, signature, size);
	EXPECT(c, rule, rv != CKR_OK, "a signature that was changed is valid");
}

bool keying_works(struct check *c, unsigned int rule, CK_OBJECT_HANDLE key, CK_KEY_TYPE type)
{
	static CK_BYTE iv[16];
	static const struct {
		CK_KEY_TYPE type;
		CK_MECHANISM_TYPE mechanism;
		CK_ULONG iv_size;
		bool signs;
	} ways[] = {
		{ CKK_AES, CKM_AES_CBC, 16, false },
		{ CKK_AES, CKM_AES_ECB, 0, false },
		{ CKK_DES, CKM_DES_CBC, 8, false },
		{ CKK_DES2, CKM_DES3_CBC, 8, false },
		{ CKK_DES3, CKM_DES3_CBC, 8, false },
		{ CKK_CAMELLIA, CKM_CAMELLIA_CBC, 16, false },
		{ CKK_ARIA, CKM_ARIA_CBC, 16, false },
		{ CKK_SEED, CKM_SEED_CBC, 16, false },
		{ CKK_RC4, CKM_RC4, 0, false },
		{ CKK_GENERIC_SECRET, CKM_SHA256_HMAC, 0, true },
		{ CKK_SHA_1_HMAC, CKM_SHA_1_HMAC, 0, true },
		{ CKK_SHA224_HMAC, CKM_SHA224_HMAC, 0, true },
		{ CKK_SHA256_HMAC, CKM_SHA256_HMAC, 0, true },
		{ CKK_SHA384_HMAC, CKM_SHA384_HMAC, 0, true },
		{ CKK_SHA512_HMAC, CKM_SHA512_HMAC, 0, true },
	};
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(ways); i++) {
		CK_MECHANISM how = { ways[i].mechanism, ways[i].iv_size == 0 ? NULL : iv,
			             ways[i].iv_size };
		CK_FLAGS flags = ways[i].signs ? CKF_SIGN | CKF_VERIFY : CKF_ENCRYPT | CKF_DECRYPT;
		if (ways[i].type != type || !keying_has(c, ways[i].mechanism, flags))
			continue;
		/* What a token lists it may still not do: that is not this check's matter. */
		NEED_OK(c, ways[i].signs ? c->p11->C_SignInit(c->session, &how, key)
		                         : c->p11->C_EncryptInit(c->session, &how, key));
		if (ways[i].signs) {
			CK_BYTE mac[64];
			CK_ULONG size = sizeof(mac);
			NEED_OK(c, c->p11->C_Sign(c->session, message, 16, mac, &size));
			signs(c, rule, &how, key, key, sizeof(message));
		} else {
			CK_BYTE sealed[128];
			CK_ULONG size = sizeof(sealed);
			NEED_OK(c, c->p11->C_Encrypt(c->session, message, sizeof(message), sealed,
			                             &size));
			encrypts(c, rule, key, &how);
		}
		return true;
	}
	return false;
}

void keying_pair_works(struct check *c, unsigned int rule, CK_MECHANISM *mechanism,
                       CK_OBJECT_HANDLE public_key, CK_OBJECT_HANDLE private_key,
                       CK_ULONG data_size)
{
	signs(c, rule, mechanism, private_key, public_key, data_size);
}

/* ---- refusals -------------------------------------------------------------------------------- */

CK_RV keying_refused(struct check *c, unsigned int rule, const char *call, CK_RV rv,
                     const CK_RV *codes, size_t count, const char *file, int line)
{
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "the function is not supported");
	return check_expect_rv(c, rule, call, rv, codes, count, file, line);
}
