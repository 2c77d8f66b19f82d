/* SPDX-License-Identifier: MIT
 *
 * What the files of p11tape-keys.so share.
 */
#ifndef TAPE_REPLAYER_KEYS_INTERNAL_H
#define TAPE_REPLAYER_KEYS_INTERNAL_H

#include <openssl/evp.h>

#include "replayer/keys/keys.h"

struct keys_key {
	EVP_PKEY *pkey;
	CK_KEY_TYPE type;
};

/* Everything is fetched from here: no configuration file, and nothing of another libcrypto, plays a part. */
extern OSSL_LIB_CTX *keys_library;

/* The entries of struct keys_table of the same names. */
bool keys_supports(const struct keys_key *key, enum keys_act act, CK_MECHANISM_TYPE mechanism);
CK_RV keys_begin(const struct keys_key *key, enum keys_act act, const CK_MECHANISM *mechanism,
                 struct keys_operation **ret_operation);
CK_RV keys_update(struct keys_operation *operation, const void *data, size_t length);
CK_RV keys_finish(struct keys_operation *operation, const void *data, size_t data_length,
                  unsigned char *out, CK_ULONG *length);
void keys_end(struct keys_operation *operation);
CK_RV keys_derive(const struct keys_key *key, const CK_MECHANISM *mechanism, size_t wanted,
                  unsigned char *out, size_t *length);

#endif
