/* SPDX-License-Identifier: MIT
 *
 * What p11tape-keys.so offers: private-key operations with a key that the user gave, as PKCS#11 defines
 * them. The library brings its own libcrypto, hidden (docs/architecture.md), is loaded only where a key was
 * given, and is never unloaded. A key has one caller at a time.
 *
 * CKR_FUNCTION_NOT_SUPPORTED is how every function here says "that is not for me to say": the mechanism
 * is not known, or not with this key, or modules differ in it. No other library answers for a module then.
 */
#ifndef TAPE_REPLAYER_KEYS_KEYS_H
#define TAPE_REPLAYER_KEYS_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/api/pkcs11.h"

/* Raised with every change of this file: both sides are built together, and must be installed together. */
#define KEYS_VERSION 1u

struct keys_key;
struct keys_operation;

enum keys_act {
	KEYS_SIGN = 1 << 0,
	KEYS_DECRYPT = 1 << 1,
	KEYS_DERIVE = 1 << 2,
};

enum keys_match { KEYS_SAME, KEYS_OTHER, KEYS_UNKNOWN };

struct keys_table {
	unsigned int version; /* KEYS_VERSION */

	/*
	 * Take the first private key of a PEM file. NULL where there is none that can be used; *ret_reason
	 * then ends the sentence "FILE …" and is never freed. Never asks for a passphrase.
	 */
	struct keys_key *(*open)(const void *pem, size_t length, const char **ret_reason);

	/* Wipe and free; NULL is fine. Its operations must have ended. */
	void (*close)(struct keys_key *key);

	/*
	 * Whether the key's attribute of this type has this value: CKA_KEY_TYPE, CKA_MODULUS,
	 * CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS and CKA_EC_POINT (bare, or in an OCTET STRING); UNKNOWN for others.
	 */
	enum keys_match (*match)(const struct keys_key *key, CK_ATTRIBUTE_TYPE type,
	                         const void *value, size_t length);

	/* Whether there is a row for this mechanism, for what it is to do (one enum keys_act) with this key. */
	bool (*supports)(const struct keys_key *key, enum keys_act act,
	                 CK_MECHANISM_TYPE mechanism);

	/*
	 * Begin to sign or decrypt. The mechanism's parameter is read now and not kept. Returns CKR_OK,
	 * CKR_MECHANISM_PARAM_INVALID, CKR_HOST_MEMORY or CKR_FUNCTION_NOT_SUPPORTED.
	 */
	CK_RV(*begin)
	(const struct keys_key *key, enum keys_act act, const CK_MECHANISM *mechanism,
	 struct keys_operation **ret_operation);

	/* Feed the next part; CKR_FUNCTION_NOT_SUPPORTED with mechanisms of one part. */
	CK_RV (*update)(struct keys_operation *operation, const void *data, size_t length);

	/*
	 * Feed the last part, or all of it, and make the output. PKCS#11 3.1 §5.2: without room (`out` NULL)
	 * or with too little (CKR_BUFFER_TOO_SMALL) *length becomes what suffices, and nothing was fed. CKR_OK
	 * with an `out` and all other values end the operation, which can only be given to end() then.
	 */
	CK_RV(*finish)
	(struct keys_operation *operation, const void *data, size_t data_length, unsigned char *out,
	 CK_ULONG *length);

	/* Wipe and free; NULL is fine. */
	void (*end)(struct keys_operation *operation);

	/*
	 * Agree on a secret: all of it, before the truncation that a template may want, or with a key
	 * derivation function as many bytes as are asked for. *length is the room at `out`, which suffices
	 * if it is KEYS_MAX_SECRET; `wanted` is 0 where the template names no length.
	 */
	CK_RV(*derive)
	(const struct keys_key *key, const CK_MECHANISM *mechanism, size_t wanted,
	 unsigned char *out, size_t *length);
};

#define KEYS_MAX_SECRET 1024

/* The one name that p11tape-keys.so shows. NULL where libcrypto cannot be set up. */
#define KEYS_SYMBOL "tape_keys"
typedef const struct keys_table *keys_fn(void);

#endif
