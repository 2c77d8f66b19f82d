/* SPDX-License-Identifier: MIT
 *
 * What a trace does not say. A policy is a set of secrecies; what is of one of them gets a name in the
 * value's place. Equal secrets of one trace carry one name and two names never mean one value, yet neither
 * the secret nor anything it could be guessed from is kept: only SipHash-2-4-128 under a key that is drawn
 * at start and never leaves the process.
 */
#ifndef TAPE_REDACT_H
#define TAPE_REDACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/api/api.h"
#include "core/arena.h"
#include "core/attributes.h"
#include "core/system.h"

/* A policy: 1 << enum tape_secrecy for each that is redacted. */
#define TAPE_REDACT_NONE 0u
#define TAPE_REDACT_PIN (1u << TAPE_S_PIN)
#define TAPE_REDACT_SECRET (TAPE_REDACT_PIN | 1u << TAPE_S_SECRET)
#define TAPE_REDACT_ALL (TAPE_REDACT_SECRET | 1u << TAPE_S_DATA)

/* What the policies are called, for sentences. */
#define TAPE_REDACT_WORDS "pin, none, secret or secret,plaintext"

/* Read a policy as people and headers write it. Returns false for anything else. */
bool tape_redact_read(const char *text, unsigned int *ret_policy);

/* How a header writes a policy. */
const char *tape_redact_text(unsigned int policy);

/*
 * How many secrets of each secrecy are told apart. Those that come later are all called TAPE_SECRET_MANY,
 * which says nothing but that it was a secret: a name that stands for any value.
 */
#define TAPE_MAX_PINS 1024
#define TAPE_MAX_VALUES 2048
#define TAPE_MAX_DATA 4096
#define TAPE_MAX_SECRETS (TAPE_MAX_PINS + TAPE_MAX_VALUES + TAPE_MAX_DATA)
#define TAPE_SECRET_MANY "many"

/* Places to look a secret up: a power of two, and never full. */
#define TAPE_SECRET_SLOTS 16384

struct tape_secrets {
	struct tape_lock *lock; /* in pages that a fork wipes */
	const char *prefix;     /* of all names; NULL for the usual ones: pin, value, data */
	uint64_t key[2];
	size_t count;
	uint16_t numbers[TAPE_S_BY_CLASS]; /* given out, by secrecy */
	uint16_t slots[TAPE_SECRET_SLOTS]; /* index in `seen`, plus one; 0 for none */
	struct tape_seen {
		uint64_t hash[2];
		uint16_t number;
		uint8_t secrecy; /* of the first one that was met */
	} seen[TAPE_MAX_SECRETS];
};

/*
 * Draw the key. Returns 0 or -TAPE_E_SYSTEM where the system gives no random bytes: then every secret is
 * one too many.
 */
TAPE_MUST_CHECK int tape_secrets_init(struct tape_secrets *secrets, struct tape_lock *lock);

/* Forget what was seen: numbers begin anew. */
void tape_secrets_forget(struct tape_secrets *secrets);

/* Forget everything, wiping it. */
void tape_secrets_done(struct tape_secrets *secrets);

/*
 * Find or make the name of a secret: "pin-1", "value-3", "data-17". Zero-terminated, in the arena or
 * constant. NULL where the arena is full.
 */
TAPE_MUST_CHECK const char *tape_secret_name(struct tape_secrets *secrets,
                                             enum tape_secrecy secrecy, const void *secret,
                                             size_t length, struct tape_arena *arena);

/* Whether a name is TAPE_SECRET_MANY. */
bool tape_secret_is_many(const char *name, size_t length);

/* SipHash-2-4 with 128 bits of output. */
void tape_siphash(const uint64_t key[2], const void *data, size_t length, uint64_t ret_hash[2]);

#endif
