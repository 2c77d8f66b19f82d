/* SPDX-License-Identifier: MIT
 *
 * pins REPLAYER switch|finalize|refuse: logs in with a PIN that nobody else has, and looks for it in all of its own
 * memory. It is kept as long as it may have to be presented to a live module; behind the switch to the odd module
 * (P11TAPE_REPLAY_FORWARD), behind C_Finalize, and when the live module has refused it, it is nowhere. e2e.forward
 * writes the trace that it begins with.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "tests/robust/robust.h"

#define LENGTH 16
#define PIECE ((size_t)1 << 20)
/* A sanitizer reserves more than anybody can read, and nothing of ours is in it. */
#define HUGE_REGION ((size_t)1 << 32)

/* The PIN is written down in another form, so that only what was made of it is found. */
#define MASK 0xa5
static unsigned char masked[LENGTH];
static bool refuses;
static unsigned int presented;

static void unmask(unsigned char pin[LENGTH])
{
	for (size_t i = 0; i < LENGTH; i++)
		pin[i] = masked[i] ^ MASK;
}

static bool is_pin(const unsigned char *bytes)
{
	for (size_t i = 0; i < LENGTH; i++)
		if ((bytes[i] ^ MASK) != masked[i])
			return false;
	return true;
}

/* The module: it keeps no PIN. */
static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	switch ((int)function) {
	case TAPE_FN_C_OpenSession:
		*(CK_SESSION_HANDLE *)words[4] = 77;
		return CKR_OK;
	case TAPE_FN_C_GetSlotList:
		return robust_one_slot(words);
	case TAPE_FN_C_Login:
		CHECK(words[3] == LENGTH && is_pin((const unsigned char *)words[2]));
		presented++;
		return refuses ? CKR_PIN_INCORRECT : CKR_OK;
	default:
		return ODD_AS_USUAL;
	}
}

static CK_RV log_in(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session)
{
	unsigned char pin[LENGTH];
	unmask(pin);
	CK_RV rv = p11->C_Login(session, CKU_USER, pin, LENGTH);
	explicit_bzero(pin, sizeof(pin));
	return rv;
}

/* How often the PIN is in a region; `piece` is where its bytes are read to. */
static unsigned int count_in(int memory, unsigned long start, unsigned long end,
                             unsigned char *piece)
{
	unsigned int count = 0;
	for (unsigned long at = start; at < end;) {
		size_t size = end - at < PIECE ? end - at : PIECE;
		ssize_t got = pread(memory, piece, size, (off_t)at);
		if (got < LENGTH)
			break;
		for (size_t i = 0; i + LENGTH <= (size_t)got; i++)
			count += is_pin(piece + i);
		if ((size_t)got < size || at + size == end)
			break;
		at += size - LENGTH + 1;
	}
	explicit_bzero(piece, PIECE);
	return count;
}

static unsigned int count_pins(void)
{
	static unsigned char *piece;
	char line[512];
	unsigned int count = 0;
	if (piece == NULL)
		piece = mmap(NULL, PIECE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		             0);
	CHECK(piece != MAP_FAILED);
	int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	FILE *maps = fopen("/proc/self/maps", "re");
	CHECK(memory >= 0 && maps != NULL);
	while (fgets(line, sizeof(line), maps) != NULL) {
		char *rest;
		unsigned long start = strtoul(line, &rest, 16);
		unsigned long end = *rest == '-' ? strtoul(rest + 1, &rest, 16) : start;
		unsigned int found = 0;
		if (rest[0] != ' ' || rest[1] != 'r' || end - start >= HUGE_REGION ||
		    strstr(line, "[v") != NULL)
			continue;
		/* Neighbours may be shown as one region with the piece itself. */
		unsigned long own = (unsigned long)piece;
		unsigned long before = own > start && own < end ? own : end;
		if (start != own)
			found += count_in(memory, start, before, piece);
		if (own >= start && own + PIECE < end)
			found += count_in(memory, own + PIECE, end, piece);
		if (found != 0)
			fprintf(stderr, "%u in %s", found, line);
		count += found;
	}
	fclose(maps);
	close(memory);
	return count;
}

int main(int argc, char **argv)
{
	CK_C_GetFunctionList get;
	CK_FUNCTION_LIST *p11;
	CK_SESSION_HANDLE session;
	CK_SESSION_INFO info;
	CHECK(argc == 3);
	refuses = strcmp(argv[2], "refuse") == 0;
	CHECK(getrandom(masked, sizeof(masked), 0) == sizeof(masked));
	robust_set_hook(hook);
	void *module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	CHECK(module != NULL);
	robust_symbol(module, "C_GetFunctionList", &get);
	CHECK(get(&p11) == CKR_OK);

	/* Recorded. */
	CHECK(p11->C_Initialize(NULL) == CKR_OK);
	CHECK(p11->C_OpenSession(1, CKF_SERIAL_SESSION, NULL, NULL, &session) == CKR_OK);
	CHECK(count_pins() == 0);
	CHECK(log_in(p11, session) == CKR_OK);
	CHECK(presented == 0);
	/* Who looks finds it where it is. */
	CHECK(count_pins() == 1);
	if (strcmp(argv[2], "finalize") == 0) {
		CHECK(p11->C_Finalize(NULL) == CKR_OK);
		CHECK(count_pins() == 0);
		return 0;
	}

	/* Not recorded. */
	CK_RV rv = p11->C_GetSessionInfo(session, &info);
	CHECK(presented == 1);
	CHECK(rv == (refuses ? CKR_GENERAL_ERROR : CKR_OK));
	CHECK(count_pins() == 0);
	if (!refuses) {
		CHECK(log_in(p11, session) == CKR_OK);
		CHECK(presented == 2 && count_pins() == 0);
	}
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
	CHECK(count_pins() == 0);
	return 0;
}
