/* SPDX-License-Identifier: MIT */
#include "core/redact.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/error.h"

static uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

static uint64_t load_le(const unsigned char *bytes, size_t count)
{
	uint64_t word = 0;
	for (size_t i = 0; i < count; i++)
		word |= (uint64_t)bytes[i] << (8 * i);
	return word;
}

void tape_siphash(const uint64_t key[2], const void *data, size_t length, uint64_t ret_hash[2])
{
	const unsigned char *bytes = data;
	uint64_t v[4] = {
		key[0] ^ 0x736f6d6570736575u,
		key[1] ^ 0x646f72616e646f6du ^ 0xee,
		key[0] ^ 0x6c7967656e657261u,
		key[1] ^ 0x7465646279746573u,
	};
	size_t left = length;
	for (; left >= 8; left -= 8, bytes += 8) {
		uint64_t word = load_le(bytes, 8);
		v[3] ^= word;
		sip_round(v);
		sip_round(v);
		v[0] ^= word;
	}
	uint64_t last = (uint64_t)length << 56 | load_le(bytes, left);
	v[3] ^= last;
	sip_round(v);
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xee;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	ret_hash[0] = v[0] ^ v[1] ^ v[2] ^ v[3];
	v[1] ^= 0xdd;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	ret_hash[1] = v[0] ^ v[1] ^ v[2] ^ v[3];
}

static const struct {
	const char *text;
	unsigned int policy;
} policies[] = {
	{ "pin", TAPE_REDACT_PIN },
	{ "none", TAPE_REDACT_NONE },
	{ "secret", TAPE_REDACT_SECRET },
	{ "secret,plaintext", TAPE_REDACT_ALL },
	{ "plaintext,secret", TAPE_REDACT_ALL },
};

bool tape_redact_read(const char *text, unsigned int *ret_policy)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(policies); i++)
		if (strcmp(policies[i].text, text) == 0) {
			*ret_policy = policies[i].policy;
			return true;
		}
	return false;
}

const char *tape_redact_text(unsigned int policy)
{
	size_t i = 0;
	while (i + 1 < TAPE_ARRAY_SIZE(policies) && policies[i].policy != policy)
		i++;
	return policies[i].text;
}

int tape_secrets_init(struct tape_secrets *secrets, struct tape_lock *lock)
{
	secrets->lock = lock;
	secrets->prefix = NULL;
	tape_secrets_forget(secrets);
	if (getrandom(secrets->key, sizeof(secrets->key), 0) == (ssize_t)sizeof(secrets->key))
		return 0;
	memset(secrets->numbers, 0xff, sizeof(secrets->numbers));
	return -TAPE_E_SYSTEM;
}

void tape_secrets_forget(struct tape_secrets *secrets)
{
	if (secrets->count != 0)
		memset(secrets->slots, 0, sizeof(secrets->slots));
	memset(secrets->numbers, 0, sizeof(secrets->numbers));
	tape_wipe(secrets->seen, secrets->count * sizeof(*secrets->seen));
	secrets->count = 0;
}

void tape_secrets_done(struct tape_secrets *secrets)
{
	tape_wipe(secrets->key, sizeof(secrets->key));
	tape_secrets_forget(secrets);
}

bool tape_secret_is_many(const char *name, size_t length)
{
	return length == sizeof(TAPE_SECRET_MANY) - 1 &&
	       memcmp(name, TAPE_SECRET_MANY, length) == 0;
}

/* Under the lock: the number and the secrecy of a secret, entered if it is new. Returns false for one too many. */
static bool look_up(struct tape_secrets *secrets, enum tape_secrecy secrecy, const uint64_t hash[2],
                    struct tape_seen *ret_seen)
{
	static const uint16_t limits[TAPE_S_BY_CLASS] = { [TAPE_S_PIN] = TAPE_MAX_PINS,
		                                          [TAPE_S_SECRET] = TAPE_MAX_VALUES,
		                                          [TAPE_S_DATA] = TAPE_MAX_DATA };
	size_t slot = (size_t)hash[0] % TAPE_SECRET_SLOTS;
	for (; secrets->slots[slot] != 0; slot = (slot + 1) % TAPE_SECRET_SLOTS) {
		*ret_seen = secrets->seen[secrets->slots[slot] - 1];
		if (memcmp(ret_seen->hash, hash, sizeof(ret_seen->hash)) == 0)
			return true;
	}
	if (secrets->numbers[secrecy] >= limits[secrecy])
		return false;
	/* In an order in which a fork may cut it off: a number is lost at worst, never given twice. */
	secrets->numbers[secrecy]++;
	ret_seen->number = secrets->prefix == NULL ? secrets->numbers[secrecy]
	                                           : (uint16_t)(secrets->count + 1);
	ret_seen->secrecy = (uint8_t)secrecy;
	memcpy(ret_seen->hash, hash, sizeof(ret_seen->hash));
	secrets->seen[secrets->count++] = *ret_seen;
	secrets->slots[slot] = (uint16_t)secrets->count;
	return true;
}

const char *tape_secret_name(struct tape_secrets *secrets, enum tape_secrecy secrecy,
                             const void *secret, size_t length, struct tape_arena *arena)
{
	static const char *const prefixes[TAPE_S_BY_CLASS] = { "", "pin", "value", "data" };
	uint64_t hash[2];
	struct tape_seen seen;

	tape_siphash(secrets->key, secret, length, hash);
	tape_lock_take(secrets->lock);
	bool known = look_up(secrets, secrecy, hash, &seen);
	tape_lock_give(secrets->lock);
	if (!known)
		return TAPE_SECRET_MANY;
	char name[32];
	int size = snprintf(name, sizeof(name), "%s-%u",
	                    secrets->prefix != NULL ? secrets->prefix : prefixes[seen.secrecy],
	                    (unsigned int)seen.number);
	return tape_arena_copy(arena, name, (size_t)size);
}
