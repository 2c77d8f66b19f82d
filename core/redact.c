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

int tape_secrets_init(struct tape_secrets *secrets, struct tape_lock *lock)
{
	secrets->lock = lock;
	secrets->prefix = "pin";
	secrets->count = 0;
	if (getrandom(secrets->key, sizeof(secrets->key), 0) != (ssize_t)sizeof(secrets->key))
		return -TAPE_E_SYSTEM;
	return 0;
}

void tape_secrets_done(struct tape_secrets *secrets)
{
	tape_wipe(secrets->key, sizeof(secrets->key));
	tape_wipe(secrets->seen, sizeof(secrets->seen));
	secrets->count = 0;
}

const char *tape_secret_name(struct tape_secrets *secrets, const void *secret, size_t length,
                             struct tape_arena *arena)
{
	uint64_t hash[2];
	size_t number;

	tape_siphash(secrets->key, secret, length, hash);
	tape_lock_take(secrets->lock);
	for (number = 0; number < secrets->count; number++)
		if (memcmp(secrets->seen[number], hash, sizeof(hash)) == 0)
			break;
	if (number == secrets->count && number < TAPE_MAX_SECRETS) {
		memcpy(secrets->seen[number], hash, sizeof(hash));
		secrets->count++;
	}
	tape_lock_give(secrets->lock);
	if (number == TAPE_MAX_SECRETS)
		return NULL;
	char name[32];
	int size = snprintf(name, sizeof(name), "%s-%zu", secrets->prefix, number + 1);
	return tape_arena_copy(arena, name, (size_t)size);
}
