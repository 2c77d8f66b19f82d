/* SPDX-License-Identifier: MIT
 *
 * What libcrypto makes of the same input: a library of its own (p11tape-oracle.so), which only the process
 * of a check loads that compares. So libcrypto is in no process that looks at unloading, and p11tape does
 * not need it.
 */
#ifndef TAPE_SUITES_ORACLE_H
#define TAPE_SUITES_ORACLE_H

#include <stdbool.h>
#include <stddef.h>

enum oracle_kind {
	ORACLE_NONE, /* nobody knows */
	ORACLE_DIGEST,
	ORACLE_HMAC,
	ORACLE_CMAC,
	ORACLE_CIPHER,
	ORACLE_AEAD,
	ORACLE_RSA_PKCS, /* PKCS #1 v1.5: signatures and ciphertexts */
	ORACLE_RSA_RAW,
	ORACLE_RSA_OAEP,
	ORACLE_RSA_PSS,
	ORACLE_DSA,
	ORACLE_ECDSA, /* on P-256 */
	ORACLE_EDDSA,
};

enum oracle_act {
	ORACLE_MAKE,   /* digest, sign, encrypt */
	ORACLE_UNMAKE, /* decrypt, or verify `check` */
};

enum oracle_answer {
	ORACLE_DONE,
	ORACLE_WRONG,   /* no such ciphertext, no such signature */
	ORACLE_UNKNOWN, /* libcrypto has no such algorithm or takes no such key */
};

struct oracle_bytes {
	const unsigned char *bytes; /* NULL where there are none */
	size_t size;
};

/* Numbers are big-endian; points are uncompressed; DSA and ECDSA signatures are r and s of equal length. */
struct oracle_request {
	enum oracle_kind kind;
	enum oracle_act act;
	bool signs; /* of RSA: signatures, not ciphertexts */
	bool padded;
	bool hashes;                    /* the message, not its digest, is given to sign */
	const char *algorithm;          /* libcrypto's name of the digest or the cipher */
	struct oracle_bytes key;        /* of secret keys; the private part of others */
	struct oracle_bytes public_key; /* RSA's modulus */
	struct oracle_bytes exponent;   /* RSA's public one */
	struct oracle_bytes prime, subprime, base;
	struct oracle_bytes iv, aad;
	size_t tag;  /* bytes of it */
	size_t salt; /* of PSS */
	struct oracle_bytes in, check;
	unsigned char *out; /* room for out_size bytes; then how many they are */
	size_t out_size;
};

/* The one function of the library, "tape_oracle". */
typedef enum oracle_answer (*oracle_fn)(struct oracle_request *request);

#endif
