/* SPDX-License-Identifier: MIT
 *
 * The test keys of `p11tape replay --key`: which objects of a trace they are for, and that they fit. Used
 * by the command, which refuses before a program is started, and by the replayer.
 *
 * A key is given as SELECTOR,FILE. The selector says attributes that the trace shows of the private key,
 * CKA_ID=0a1b or CKA_LABEL=text (bytes in hex, text as it is), or its handle, handle=5; several with + between
 * them. The file is what stands behind the first comma.
 */
#ifndef TAPE_REPLAYER_KEYS_KEYRING_H
#define TAPE_REPLAYER_KEYS_KEYRING_H

#include "core/api/api.h"
#include "core/error.h"
#include "core/value.h"
#include "replayer/keys/keys.h"

#define KEYRING_MAX 16                       /* keys */
#define KEYRING_MAX_FILE ((size_t)64 * 1024) /* bytes of a PEM file */
#define KEYRING_LIBRARY "p11tape-keys.so"

struct keyring;

/*
 * Read the keys of `list`, SELECTOR,FILE one a line, with the library at `library`. Each file is read once,
 * and what was read is wiped. On failure `ret_ring` is untouched; the sentence begins with the line.
 */
TAPE_MUST_CHECK int keyring_open(struct keyring **ret_ring, const char *list, const char *library,
                                 struct tape_error *error);

/* Wipe and free; NULL is fine. The library stays. */
void keyring_close(struct keyring *ring);

/* The library's functions. */
const struct keys_table *keyring_table(const struct keyring *ring);

/*
 * Who is meant by an object's handle in a session: equal numbers for the same object. Asked during
 * keyring_learn(), when the call that is learned from has had its effect.
 */
typedef uint64_t keyring_identity_fn(void *context, uint64_t session, uint64_t object);

/*
 * Take what a recorded call says of objects. Calls are given in the order of their returns; `trace` is a number
 * of their trace's own, since what is known of an object in one process need not be so in another one.
 */
void keyring_learn(struct keyring *ring, size_t trace, const struct tape_function *function,
                   const struct tape_value *in, const struct tape_value *out, CK_RV rv, size_t line,
                   keyring_identity_fn *identity, void *context);

/*
 * Once all is learned: see that no key contradicts what the trace shows of its object, and, if `all`, that
 * there is an object for each key.
 */
TAPE_MUST_CHECK int keyring_check(struct keyring *ring, bool all, struct tape_error *error);

/*
 * The same of the key of line `index` (from 0 on, empty lines left out), where it need not fit: 1 where it does. 0
 * where it is for no object, and -TAPE_E_INVALID where an object that it is for is of another key, with a sentence in
 * both cases. Asked of each in turn: two that fit are not for one object (-TAPE_E_LIMIT).
 */
int keyring_fits(struct keyring *ring, size_t index, struct tape_error *error);
size_t keyring_count(const struct keyring *ring);

/*
 * The key for an object of a trace, by its identity; NULL where none was given. What its own trace does not
 * say of it another one may: that of the process that this one was forked from.
 */
const struct keys_key *keyring_find(const struct keyring *ring, size_t trace, uint64_t identity);

#endif
