/* SPDX-License-Identifier: MIT
 *
 * Random numbers that are the same in every run: SHA-256 in counter mode over the seed. libcrypto draws
 * from it too (a provider of one algorithm), so that keys, paddings and salts repeat. Within a run each
 * C_Initialize begins other numbers, and so does a forked child's.
 */
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/mock/mock.h"

static struct {
	CK_BYTE key[SHA256_DIGEST_LENGTH];
	uint64_t counter;
	CK_BYTE block[SHA256_DIGEST_LENGTH];
	size_t left; /* bytes at the end of block that were not given yet */
} stream;

/* libcrypto may draw when no call of ours is under the lock. */
static pthread_mutex_t stream_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Of the process that loaded the library its lives; of a child their number and that it is one. */
static struct {
	CK_ULONG seed, life, child;
} origin;
static pid_t first_process;

void random_begin(void)
{
	if (first_process == 0)
		first_process = getpid();
	origin.seed = mock_config.seed;
	origin.child = getpid() != first_process;
	memset(&stream, 0, sizeof(stream));
	SHA256((const unsigned char *)&origin, sizeof(origin), stream.key);
	origin.life++;
}

void random_add_seed(const CK_BYTE *seed, CK_ULONG length)
{
	struct bytes both = { 0 };

	bytes_add(&both, stream.key, sizeof(stream.key));
	bytes_add(&both, seed, length);
	if (!both.failed)
		SHA256(both.data, both.length, stream.key);
	stream.left = 0;
	bytes_done(&both);
}

void random_bytes(CK_BYTE *to, size_t length)
{
	pthread_mutex_lock(&stream_mutex);
	for (; length > 0; length--) {
		if (stream.left == 0) {
			CK_BYTE input[sizeof(stream.key) + sizeof(stream.counter)];

			memcpy(input, stream.key, sizeof(stream.key));
			memcpy(input + sizeof(stream.key), &stream.counter, sizeof(stream.counter));
			SHA256(input, sizeof(input), stream.block);
			stream.counter++;
			stream.left = sizeof(stream.block);
		}
		*to++ = FAULT(random_is_constant)
		                ? 0x55
		                : stream.block[sizeof(stream.block) - stream.left];
		stream.left--;
	}
	pthread_mutex_unlock(&stream_mutex);
}

/* ---- the provider: OpenSSL's provider-rand(7) --------------------------------------------------------- */

static void *rand_new(void *provider, void *parent, const OSSL_DISPATCH *parent_calls)
{
	(void)provider;
	(void)parent;
	(void)parent_calls;
	return malloc(1);
}

static void rand_free(void *context)
{
	free(context);
}

static int rand_instantiate(void *context, unsigned int strength, int resistance,
                            const unsigned char *text, size_t length, const OSSL_PARAM params[])
{
	(void)context;
	(void)strength;
	(void)resistance;
	(void)text;
	(void)length;
	(void)params;
	return 1;
}

static int rand_uninstantiate(void *context)
{
	(void)context;
	return 1;
}

static int rand_generate(void *context, unsigned char *out, size_t length, unsigned int strength,
                         int resistance, const unsigned char *text, size_t text_length)
{
	(void)context;
	(void)strength;
	(void)resistance;
	(void)text;
	(void)text_length;
	random_bytes(out, length);
	return 1;
}

static int rand_enable_locking(void *context)
{
	(void)context;
	return 1;
}

static int rand_lock(void *context)
{
	(void)context;
	return 1;
}

static void rand_unlock(void *context)
{
	(void)context;
}

static int rand_get_params(void *context, OSSL_PARAM params[])
{
	OSSL_PARAM *param;

	(void)context;
	param = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STATE);
	if (param && !OSSL_PARAM_set_int(param, EVP_RAND_STATE_READY))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_STRENGTH);
	if (param && !OSSL_PARAM_set_uint(param, 256))
		return 0;
	param = OSSL_PARAM_locate(params, OSSL_RAND_PARAM_MAX_REQUEST);
	return !param || OSSL_PARAM_set_size_t(param, 1 << 16);
}

#define CALL(id, function)                     \
	{                                      \
		id, (void (*)(void))(function) \
	}
static const OSSL_DISPATCH rand_calls[] = {
	CALL(OSSL_FUNC_RAND_NEWCTX, rand_new),
	CALL(OSSL_FUNC_RAND_FREECTX, rand_free),
	CALL(OSSL_FUNC_RAND_INSTANTIATE, rand_instantiate),
	CALL(OSSL_FUNC_RAND_UNINSTANTIATE, rand_uninstantiate),
	CALL(OSSL_FUNC_RAND_GENERATE, rand_generate),
	CALL(OSSL_FUNC_RAND_ENABLE_LOCKING, rand_enable_locking),
	CALL(OSSL_FUNC_RAND_LOCK, rand_lock),
	CALL(OSSL_FUNC_RAND_UNLOCK, rand_unlock),
	CALL(OSSL_FUNC_RAND_GET_CTX_PARAMS, rand_get_params),
	{ 0, NULL },
};

static const OSSL_ALGORITHM rand_algorithms[] = {
	{ "MOCK-RAND", "provider=mock", rand_calls, NULL },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
	(void)provider;
	*no_cache = 0;
	return operation == OSSL_OP_RAND ? rand_algorithms : NULL;
}

static const OSSL_DISPATCH provider_calls[] = {
	CALL(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
	{ 0, NULL },
};

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **context)
{
	(void)handle;
	(void)in;
	*out = provider_calls;
	*context = &stream;
	return 1;
}

static OSSL_PROVIDER *ours, *standard;

bool random_install(OSSL_LIB_CTX *library)
{
	if (!OSSL_PROVIDER_add_builtin(library, "mock", provider_init))
		return false;
	ours = OSSL_PROVIDER_load(library, "mock");
	standard = OSSL_PROVIDER_load(library, "default");
	return ours && standard && RAND_set_DRBG_type(library, "MOCK-RAND", NULL, NULL, NULL);
}

void random_remove(void)
{
	if (ours)
		OSSL_PROVIDER_unload(ours);
	if (standard)
		OSSL_PROVIDER_unload(standard);
	ours = standard = NULL;
}

/* ---- the functions (§5.19) ------------------------------------------------------------------------------ */

CK_RV mock_C_SeedRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSeed, CK_ULONG ulSeedLen)
{
	struct slot *slot = session_find(hSession)->slot;

	if (mock_config.no_rng)
		return CKR_RANDOM_NO_RNG;
	if (mock_config.no_seed)
		return FAULT(no_seed_wrong_code) ? CKR_ARGUMENTS_BAD
		                                 : CKR_RANDOM_SEED_NOT_SUPPORTED;
	if (!pSeed && ulSeedLen > 0)
		return CKR_ARGUMENTS_BAD;
	random_add_seed(pSeed, ulSeedLen);
	slot->seeded = true;
	return CKR_OK;
}

CK_RV mock_C_GenerateRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR RandomData,
                            CK_ULONG ulRandomLen)
{
	const struct slot *slot = session_find(hSession)->slot;

	if (mock_config.no_rng)
		return FAULT(no_rng_wrong_code) ? CKR_ARGUMENTS_BAD : CKR_RANDOM_NO_RNG;
	if (!RandomData && ulRandomLen > 0)
		return CKR_ARGUMENTS_BAD;
	if (mock_config.seed_required && !slot->seeded && !FAULT(seed_not_required))
		return CKR_SEED_RANDOM_REQUIRED;
	if (FAULT(random_not_filled) && ulRandomLen > 8)
		ulRandomLen = 8;
	random_bytes(RandomData, ulRandomLen);
	return CKR_OK;
}
