/* SPDX-License-Identifier: MIT
 *
 * C_GenerateRandom and C_SeedRandom (PKCS#11 3.1 §5.19).
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites/check.h"
#include "suites/objects.h"
#include "suites/states.h"

/* Random numbers, or a skip where the token has none for this session. */
static void generate(struct check *c, void *to, size_t size)
{
	CK_RV rv = c->p11->C_GenerateRandom(c->session, to, size);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED || rv == CKR_RANDOM_NO_RNG ||
	    rv == CKR_SEED_RANDOM_REQUIRED || rv == CKR_USER_NOT_LOGGED_IN)
		check_skip(c, "C_GenerateRandom returned %s", check_rv_name(rv));
	/* The text knows no limit, approved generators do: 2^19 bits a request (NIST SP 800-90A). */
	if (rv == CKR_ARGUMENTS_BAD && size > 65536) {
		DEVIATION(c, 284, "C_GenerateRandom of %zu bytes returned CKR_ARGUMENTS_BAD", size);
		check_skip(c, "so many bytes are refused");
	}
	EXPECT_CODE(c, 284, "C_GenerateRandom", rv, CKR_OK);
}

/*
 * Whether the last bytes are written: one of `tries` calls at least must change each of them from what it was. A
 * byte stays by chance once in 256.
 */
#define TRIES 8
#define TAIL 16

/* Of many bytes the last ones are not all left out by chance: one call is enough. */
static void last_bytes(struct check *c, size_t size)
{
	unsigned char *buffer = check_buffer(c, size);
	bool written = false;
	generate(c, buffer, size);
	for (size_t i = size - TAIL; i < size; i++)
		written = written || buffer[i] != CHECK_POISON;
	EXPECT(c, 284, written, "of %zu bytes the last %d are not written", size, TAIL);
	EXPECT(c, 313, check_untouched(buffer, size, size), "bytes before the buffer are written");
}

static void exact_length(struct check *c)
{
	size_t size = c->row->a, tail = size < TAIL ? size : TAIL;
	bool written[TAIL] = { false };
	if (size > 4097) {
		last_bytes(c, size);
		return;
	}
	unsigned char *buffer = check_buffer(c, size);
	for (int i = 0; i < TRIES; i++) {
		memset(buffer + size - tail, CHECK_POISON, tail);
		generate(c, buffer, size);
		for (size_t j = 0; j < tail; j++)
			written[j] = written[j] || buffer[size - tail + j] != CHECK_POISON;
	}
	for (size_t j = 0; j < tail; j++)
		EXPECT(c, 284, written[j], "of %zu bytes number %zu is never written", size,
		       size - tail + j + 1);
	EXPECT(c, 313, check_untouched(buffer, size, size), "bytes before the buffer are written");
}

static void no_length(struct check *c)
{
	unsigned char *buffer = check_buffer(c, 16);
	unsigned char bytes[4];
	generate(c, bytes, sizeof(bytes));
	CK_RV rv = c->p11->C_GenerateRandom(c->session, c->row->a == 0 ? buffer : NULL, 0);
	/* Nothing is asked for; whether that may be is not said. */
	EXPECT(c, 284, rv == CKR_OK || rv == CKR_ARGUMENTS_BAD,
	       "C_GenerateRandom of 0 bytes returned %s", check_rv_name(rv));
	EXPECT(c, 284, check_untouched(buffer, 0, 16), "C_GenerateRandom of 0 bytes writes");
	if (rv != CKR_OK)
		check_note(c, "0 bytes are refused");
}

static void null_buffer(struct check *c)
{
	unsigned char bytes[4];
	generate(c, bytes, sizeof(bytes));
	EXPECT_RV(c, 314, c->p11->C_GenerateRandom(c->session, NULL, 16), CKR_ARGUMENTS_BAD);
}

#define NUMBER 32

static void differ(struct check *c)
{
	unsigned char numbers[64][NUMBER];
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(numbers); i++)
		generate(c, numbers[i], NUMBER);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(numbers); i++)
		for (size_t j = 0; j < i; j++)
			EXPECT(c, 349, memcmp(numbers[i], numbers[j], NUMBER) != 0,
			       "two numbers of %d bytes are the same", NUMBER);
}

/* What a generator that is broken does: few values, one bit always, a short cycle. */
static void spread(struct check *c)
{
	static unsigned char bytes[1 << 16];
	unsigned int count[256] = { 0 }, ones = 0;
	generate(c, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		count[bytes[i]]++;
		ones += (unsigned int)__builtin_popcount(bytes[i]);
	}
	/* 256 of each are expected, with a deviation of 16: what is ten times that is no chance. */
	for (size_t i = 0; i < 256; i++)
		EXPECT(c, 349, count[i] > 96 && count[i] < 416,
		       "of %zu bytes %u are 0x%02zx: about 256 would be", sizeof(bytes), count[i],
		       i);
	EXPECT(c, 349, ones > 258000 && ones < 266300, "of %zu bits %u are set", sizeof(bytes) * 8,
	       ones);
	for (size_t step = 16; step <= sizeof(bytes) / 2; step *= 2)
		EXPECT(c, 349, memcmp(bytes, bytes + step, 16) != 0,
		       "the numbers repeat after %zu bytes", step);
}

static void lives_differ(struct check *c)
{
	unsigned char one[NUMBER], two[NUMBER];
	generate(c, one, sizeof(one));
	NEED_OK(c, check_finalize(c));
	NEED_OK(c, check_initialize(c));
	c->session = check_open(c, 0);
	generate(c, two, sizeof(two));
	EXPECT(c, 349, memcmp(one, two, sizeof(one)) != 0,
	       "after C_Finalize and C_Initialize the same numbers come");
}

static void processes_differ(struct check *c)
{
	unsigned char one[NUMBER], two[NUMBER];
	int ends[2], status;
	generate(c, one, sizeof(one));
	if (pipe(ends) != 0)
		check_error(c, "no pipe can be made");
	pid_t child = fork();
	if (child == 0) {
		CK_RV rv = check_begin_anew(c, &c->session);
		if (rv == CKR_OK)
			rv = c->p11->C_GenerateRandom(c->session, two, sizeof(two));
		_exit(rv == CKR_OK && write(ends[1], two, sizeof(two)) == sizeof(two) ? 0 : 2);
	}
	close(ends[1]);
	bool got = read(ends[0], two, sizeof(two)) == sizeof(two);
	close(ends[0]);
	if (child < 0 || waitpid(child, &status, 0) != child)
		check_error(c, "no process can be made");
	if (!got)
		check_skip(c, "a forked process gets no random numbers");
	generate(c, one, sizeof(one));
	EXPECT(c, 349, memcmp(one, two, sizeof(one)) != 0,
	       "a forked process gets the same numbers as its parent");
}

static void in_situation(struct check *c)
{
	struct sessions sessions;
	unsigned char bytes[NUMBER];
	states_enter(c, &situations[c->row->a], &sessions);
	if ((c->target->token_info.flags & CKF_RNG) == 0)
		check_skip(c, "the token has no CKF_RNG");
	generate(c, bytes, sizeof(bytes));
	if (sessions.ro != CK_INVALID_HANDLE && sessions.rw != CK_INVALID_HANDLE)
		EXPECT_RV(c, 284, c->p11->C_GenerateRandom(sessions.ro, bytes, sizeof(bytes)),
		          CKR_OK);
	states_expect(c, 284, &sessions, situations[c->row->a].login);
}

static void in_operation(struct check *c)
{
	unsigned char bytes[NUMBER], digest[64];
	CK_BYTE data[3] = "abc";
	CK_ULONG size = sizeof(digest);
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	NEED_OK(c, c->p11->C_DigestInit(c->session, &mechanism));
	CK_RV rv = c->p11->C_GenerateRandom(c->session, bytes, sizeof(bytes));
	EXPECT(c, 284, rv != CKR_OPERATION_NOT_INITIALIZED, "C_GenerateRandom returned %s",
	       check_rv_name(rv));
	if (rv != CKR_OK)
		check_note(c, "while an operation is active C_GenerateRandom returns %s",
		           check_rv_name(rv));
	EXPECT_RV(c, 284, c->p11->C_Digest(c->session, data, sizeof(data), digest, &size), CKR_OK);
	EXPECT(c, 284, digest[0] == 0xba && digest[1] == 0x78 && digest[31] == 0xad,
	       "random numbers that were asked for change a digest that was begun before");
}

/* ---- seeds ------------------------------------------------------------------------------------------- */

static void seed(struct check *c)
{
	static CK_BYTE bytes[1 << 20];
	size_t size = c->row->a;
	unsigned char number[NUMBER];
	memset(bytes, 0x5a, sizeof(bytes));
	CK_RV rv = c->p11->C_SeedRandom(c->session, bytes, size);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SeedRandom is not supported");
	/* What it says then is for seed/no-rng. */
	if ((c->target->token_info.flags & CKF_RNG) == 0)
		check_skip(c, "the token has no CKF_RNG");
	if (size == 0 && rv == CKR_ARGUMENTS_BAD)
		check_note(c, "an empty seed is refused");
	else
		EXPECT_CODE(c, 286, "C_SeedRandom", rv, CKR_OK, CKR_RANDOM_SEED_NOT_SUPPORTED);
	generate(c, number, sizeof(number));
}

static void seed_null(struct check *c)
{
	CK_RV rv = c->p11->C_SeedRandom(c->session, NULL, 16);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SeedRandom is not supported");
	EXPECT_CODE(c, 314, "C_SeedRandom", rv, CKR_ARGUMENTS_BAD, CKR_RANDOM_SEED_NOT_SUPPORTED,
	            CKR_RANDOM_NO_RNG);
}

/* A seed is mixed into what is there (§5.19.1): the same one twice makes not the same numbers. */
static void seed_adds(struct check *c)
{
	CK_BYTE bytes[NUMBER] = { 1, 2, 3 };
	unsigned char one[NUMBER], two[NUMBER];
	CK_RV rv = c->p11->C_SeedRandom(c->session, bytes, sizeof(bytes));
	if (rv != CKR_OK)
		check_skip(c, "C_SeedRandom returned %s", check_rv_name(rv));
	generate(c, one, sizeof(one));
	EXPECT_RV(c, 349, c->p11->C_SeedRandom(c->session, bytes, sizeof(bytes)), CKR_OK);
	generate(c, two, sizeof(two));
	EXPECT(c, 349, memcmp(one, two, sizeof(one)) != 0,
	       "the same seed makes the same numbers: it is mixed into nothing");
}

static void seed_required(struct check *c)
{
	unsigned char number[NUMBER];
	CK_BYTE bytes[NUMBER] = { 1, 2, 3 };
	bool says = (c->target->token_info.flags & CKF_SEED_RANDOM_REQUIRED) != 0;
	CK_RV rv = c->p11->C_GenerateRandom(c->session, number, sizeof(number));
	if (!says) {
		EXPECT(c, 287, rv != CKR_SEED_RANDOM_REQUIRED,
		       "C_GenerateRandom wants a seed, and CKF_SEED_RANDOM_REQUIRED is not set");
		return;
	}
	EXPECT_CODE(c, 287, "C_GenerateRandom", rv, CKR_SEED_RANDOM_REQUIRED);
	EXPECT_RV(c, 287, c->p11->C_SeedRandom(c->session, bytes, sizeof(bytes)), CKR_OK);
	EXPECT_RV(c, 287, c->p11->C_GenerateRandom(c->session, number, sizeof(number)), CKR_OK);
}

/* That there is no generator is said before that it takes no seed (§5.1.6). */
static void no_rng(struct check *c)
{
	CK_BYTE bytes[NUMBER] = { 1, 2, 3 };
	CK_RV rv = c->p11->C_SeedRandom(c->session, bytes, sizeof(bytes));
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SeedRandom is not supported");
	if ((c->target->token_info.flags & CKF_RNG) != 0) {
		EXPECT(c, 23, rv != CKR_RANDOM_NO_RNG,
		       "the token has CKF_RNG, and C_SeedRandom returned CKR_RANDOM_NO_RNG");
		return;
	}
	EXPECT(c, 23, rv != CKR_RANDOM_SEED_NOT_SUPPORTED,
	       "a token without CKF_RNG returned CKR_RANDOM_SEED_NOT_SUPPORTED to C_SeedRandom");
	EXPECT_CODE(c, 285, "C_SeedRandom", rv, CKR_RANDOM_NO_RNG);
}

/* ---- the list ---------------------------------------------------------------------------------------- */

void suite_random(struct check_list *list)
{
	static const size_t sizes[] = { 1,    2,    7,    8,    9,     15,    16,      17,     31,
		                        32,   33,   64,   255,  256,   257,   1000,    1023,   1024,
		                        1025, 4095, 4096, 4097, 16384, 65536, 1000000, 1 << 20 };
	static const size_t seeds[] = { 0, 1, 16, 20, 64, 256, 4096, 65536, 1 << 20 };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(sizes); i++) {
		struct check_row row =
			CHECK(exact_length, NEED_SESSION,
		              "so many bytes are made, not more and not less", 284, 313);
		row.a = sizes[i];
		check_add(list, row, "length/%zu", sizes[i]);
	}
	for (unsigned int null = 0; null < 2; null++) {
		struct check_row row = CHECK(no_length, NEED_SESSION, "no bytes are none", 284);
		row.a = null;
		check_add(list, row, "length/0%s", null != 0 ? "-null" : "");
	}
	check_add(list,
	          CHECK(null_buffer, NEED_SESSION, "without a buffer it is refused", 284, 314),
	          "null");
	check_add(list, CHECK(differ, NEED_SESSION, "no two numbers are the same", 284, 349),
	          "differ");
	check_add(list, CHECK(spread, NEED_SESSION, "all values come", 284, 349), "spread");
	check_add(list,
	          CHECK(lives_differ, NEED_SESSION, "each life of the library has other numbers",
	                284, 349),
	          "lives-differ");
	check_add(list,
	          CHECK(processes_differ, NEED_SESSION, "each process has other numbers", 284, 349),
	          "processes-differ");
	for (unsigned int s = 0; s < SITUATIONS; s++) {
		struct check_row row =
			CHECK(in_situation, NEED_TOKEN, "every session gets them", 284);
		row.a = s;
		check_add(list, row, "state/%s", situations[s].name);
	}
	check_add(list,
	          CHECK(in_operation, NEED_SESSION, "an operation that is active goes on", 284),
	          "in-operation");
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(seeds); i++) {
		struct check_row row =
			CHECK(seed, NEED_SESSION, "a seed is taken, or none is, and numbers come",
		              284, 285, 286);
		row.a = seeds[i];
		check_add(list, row, "seed/%zu", seeds[i]);
	}
	check_add(list, CHECK(seed_null, NEED_SESSION, "a seed that is not there is refused", 314),
	          "seed/null");
	check_add(list, CHECK(seed_adds, NEED_SESSION, "a seed adds to what is there", 284, 349),
	          "seed/adds");
	check_add(list,
	          CHECK(seed_required, NEED_SESSION,
	                "CKF_SEED_RANDOM_REQUIRED says whether a seed is wanted", 287),
	          "seed/required");
	check_add(list,
	          CHECK(no_rng, NEED_SESSION, "that there is no generator is said first", 23, 285),
	          "seed/no-rng");
}
