/* SPDX-License-Identifier: MIT
 *
 * Names for secrets. Equal secrets of one trace carry one name and two names never mean one value, yet
 * neither the secret nor anything it could be guessed from is kept: only SipHash-2-4-128 under a key
 * that is drawn at start and never leaves the process.
 */
#ifndef TAPE_REDACT_H
#define TAPE_REDACT_H

#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "core/attributes.h"
#include "core/system.h"

#define TAPE_MAX_SECRETS 1024

struct tape_secrets {
	struct tape_lock *lock; /* in pages that a fork wipes */
	const char *prefix; /* of the names; "pin" unless set otherwise after tape_secrets_init() */
	uint64_t key[2];
	size_t count;
	uint64_t seen[TAPE_MAX_SECRETS][2];
};

/* Draw the key. Returns 0 or -TAPE_E_SYSTEM where the system gives no random bytes. */
TAPE_MUST_CHECK int tape_secrets_init(struct tape_secrets *secrets, struct tape_lock *lock);

/* Forget everything, wiping it. */
void tape_secrets_done(struct tape_secrets *secrets);

/*
 * Find or make the name of a secret: "pin-1". Zero-terminated, in the arena. NULL once there are
 * TAPE_MAX_SECRETS of them or the arena is full.
 */
TAPE_MUST_CHECK const char *tape_secret_name(struct tape_secrets *secrets, const void *secret,
                                             size_t length, struct tape_arena *arena);

/* SipHash-2-4 with 128 bits of output. */
void tape_siphash(const uint64_t key[2], const void *data, size_t length, uint64_t ret_hash[2]);

#endif
