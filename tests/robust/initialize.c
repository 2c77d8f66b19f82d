/* SPDX-License-Identifier: MIT
 *
 * C_Initialize as programs call it: with nothing, with locks of their own, with a structure that is longer
 * than the standard's (NSS), with a string or anything else where the standard has a reserved pointer.
 *
 *   robust-initialize MODULE TEXT [replay]   initialise once in each way; TEXT is what the string says
 *
 * Behind a recorder the odd module must get the application's very pointer, with what is in it untouched;
 * `replay` says that there is no odd module to ask.
 */
#include <stdio.h>
#include <string.h>

#include "tests/robust/robust.h"

/* What NSS has: its string stands in the place of pReserved, which comes once more behind it. */
struct nss_args {
	CK_C_INITIALIZE_ARGS standard;
	void *reserved;
	unsigned char more[64];
};

static const void *passed;
static unsigned char image[4096];
static size_t size;
static unsigned int arrived;

static CK_RV hook(enum tape_function_id function, const uintptr_t *words)
{
	if (function != TAPE_FN_C_Initialize)
		return ODD_AS_USUAL;
	CHECK((const void *)words[0] == passed);
	CHECK(size == 0 || memcmp(passed, image, size) == 0);
	arrived++;
	return CKR_OK;
}

static CK_RV create(void **mutex)
{
	(void)mutex;
	robust_fail(__FILE__, __LINE__, "nobody was asked for a lock");
}

static CK_RV use(void *mutex)
{
	(void)mutex;
	robust_fail(__FILE__, __LINE__, "nobody was asked for a lock");
}

static CK_FUNCTION_LIST_3_2 *p11;

static void initialize(void *args, size_t args_size)
{
	passed = args;
	size = args_size;
	if (size != 0)
		memcpy(image, args, size);
	CHECK(p11->C_Initialize(args) == CKR_OK);
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): of size 0 where it is NULL */
	CHECK(size == 0 || memcmp(args, image, size) == 0);
	CHECK(p11->C_Finalize(NULL) == CKR_OK);
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	robust_set_hook(hook);
	p11 = robust_load(argv[1], NULL);
	initialize(NULL, 0);

	/* The standard's structure, and then nothing. */
	CK_C_INITIALIZE_ARGS *args = robust_edge(sizeof(*args));
	*args = (CK_C_INITIALIZE_ARGS){ .flags = CKF_OS_LOCKING_OK };
	initialize(args, sizeof(*args));
	*args = (CK_C_INITIALIZE_ARGS){ create, use, use, use, 0, NULL };
	initialize(args, sizeof(*args));
	/* PKCS#11 3.1 §5.4.1 forbids it; what a module makes of it is the module's business. */
	*args = (CK_C_INITIALIZE_ARGS){ .LockMutex = use, .flags = (CK_FLAGS)0x80000000u };
	initialize(args, sizeof(*args));

	struct nss_args *nss = robust_edge(sizeof(*nss));
	memset(nss, 0x5a, sizeof(*nss));
	nss->standard = (CK_C_INITIALIZE_ARGS){ create, use, use, use, 0, argv[2] };
	initialize(nss, sizeof(*nss));

	/* No text: a control character, no end to it, nothing there, empty. */
	char *control = robust_edge(8);
	memcpy(control, "abc\033[1m", 8);
	char *endless = robust_edge(8);
	memcpy(endless, "endless!", 8);
	void *const others[] = { control, endless, (void *)(uintptr_t)0x10, endless + 8 };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(others); i++) {
		*args = (CK_C_INITIALIZE_ARGS){ .pReserved = others[i] };
		initialize(args, sizeof(*args));
	}
	if (argc == 3)
		CHECK(arrived == 5 + TAPE_ARRAY_SIZE(others));
	return 0;
}
