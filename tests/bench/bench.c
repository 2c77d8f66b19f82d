/* SPDX-License-Identifier: MIT
 *
 * One measurement of tests/bench/bench.py, in a process of its own:
 *
 *   bench stub MODULE [DIVISOR [OPERATION]]    calls that cost next to nothing, through MODULE
 *   bench token MODULE [DIVISOR [OPERATION]]   every kind of operation, on the token labelled "bench"
 *   bench setup MODULE                         make the keys of that token
 *   bench memory MODULE                        initialise, and no more: BYTES is anonymous memory then
 *   bench writes FILE OPERATION:BYTES…         two writes, of BYTES in all, for each call
 *   bench items TRACE                          read a trace's items with our reader: one "call"
 *   bench events TRACE                         the same file with libyaml's bare event loop: one "call"
 *
 * DIVISOR makes fewer calls (0.1: more), OPERATION only those of one kind. Each is made in a few blocks of
 * calls; for each block a line "operation calls nanoseconds instructions reading bytes" is printed:
 * instructions of user mode, or -1 where the kernel does not count them; nanoseconds that a replayer
 * spent reading its trace meanwhile; bytes by which the file $BENCH_OUTPUT has grown. What is called
 * depends on the arguments only, so that a trace of one run serves the next.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <yaml.h>

#include "core/arena.h"
#include "core/trace.h"
#include "replayer/progress.h"

#define BLOCKS 5
#define LARGE ((size_t)64 * 1024)

static void fail(const char *what, unsigned long number)
{
	fprintf(stderr, "bench: %s: %#lx\n", what, number);
	exit(1);
}

/* ---- counting ---------------------------------------------------------------------------------- */

static int instruction_counter = -1;
static const struct tape_progress *progress;

static void open_counters(void)
{
	struct perf_event_attr event = { .type = PERF_TYPE_HARDWARE,
		                         .size = sizeof(event),
		                         .config = PERF_COUNT_HW_INSTRUCTIONS,
		                         .exclude_kernel = 1,
		                         .exclude_hv = 1 };
	const char *path = getenv("P11TAPE_REPLAY_PROGRESS");

	instruction_counter =
		(int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (path) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		void *page = fd < 0 ? MAP_FAILED
		                    : mmap(NULL, TAPE_PROGRESS_SIZE, PROT_READ, MAP_SHARED, fd, 0);

		if (page == MAP_FAILED)
			fail("P11TAPE_REPLAY_PROGRESS cannot be mapped", 0);
		progress = page;
		close(fd);
	}
}

struct moment {
	long long nanoseconds, instructions, reading, bytes;
};

static struct moment now(void)
{
	struct moment moment = { .instructions = -1 };
	const char *grows = getenv("BENCH_OUTPUT");
	struct timespec time;
	struct stat status;

	if (grows && stat(grows, &status) == 0)
		moment.bytes = status.st_size;
	if (progress)
		moment.reading = (long long)atomic_load(&progress->reading);
	if (instruction_counter >= 0 &&
	    read(instruction_counter, &moment.instructions, sizeof(moment.instructions)) < 0)
		moment.instructions = -1;
	clock_gettime(CLOCK_MONOTONIC, &time);
	moment.nanoseconds = (long long)time.tv_sec * 1000000000 + time.tv_nsec;
	return moment;
}

static void print(const char *name, unsigned long calls, const struct moment *from,
                  const struct moment *to)
{
	printf("%s %lu %lld %lld %lld %lld\n", name, calls, to->nanoseconds - from->nanoseconds,
	       from->instructions < 0 ? -1 : to->instructions - from->instructions,
	       to->reading - from->reading, to->bytes - from->bytes);
}

/* ---- operations ---------------------------------------------------------------------------------- */

static CK_FUNCTION_LIST *module;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE aes, rsa, rsa_public, ec;
static CK_BYTE data[LARGE], output[LARGE];
static CK_RV bad; /* of the calls of a block */

static CK_OBJECT_CLASS class_public = CKO_PUBLIC_KEY, class_private = CKO_PRIVATE_KEY,
		       class_secret = CKO_SECRET_KEY;
static char label[] = "bench";
static CK_BYTE iv[16];

static void get_session_info(size_t size)
{
	CK_SESSION_INFO info;

	(void)size;
	bad |= module->C_GetSessionInfo(session, &info);
}

/* Ask for the lengths, then for the values. */
static void get_attributes(size_t size)
{
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE type;
	CK_BYTE name[32], modulus[512];
	CK_ATTRIBUTE query[] = { { CKA_CLASS, NULL, 0 },
		                 { CKA_KEY_TYPE, NULL, 0 },
		                 { CKA_LABEL, NULL, 0 },
		                 { CKA_MODULUS, NULL, 0 } };
	CK_ATTRIBUTE fetch[] = { { CKA_CLASS, &class, sizeof(class) },
		                 { CKA_KEY_TYPE, &type, sizeof(type) },
		                 { CKA_LABEL, name, sizeof(name) },
		                 { CKA_MODULUS, modulus, sizeof(modulus) } };

	(void)size;
	bad |= module->C_GetAttributeValue(session, rsa_public, query, 4);
	bad |= module->C_GetAttributeValue(session, rsa_public, fetch, 4);
}

static void find(size_t size)
{
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class_public, sizeof(class_public) },
		                    { CKA_LABEL, label, sizeof(label) - 1 } };
	CK_OBJECT_HANDLE found[10];
	CK_ULONG count;

	(void)size;
	bad |= module->C_FindObjectsInit(session, template, 2);
	bad |= module->C_FindObjects(session, found, 10, &count);
	bad |= module->C_FindObjectsFinal(session);
}

static void digest(size_t size)
{
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	CK_ULONG length = 32;

	bad |= module->C_DigestInit(session, &mechanism);
	bad |= module->C_Digest(session, data, size, output, &length);
}

static void encrypt(size_t size)
{
	CK_MECHANISM mechanism = { CKM_AES_CBC, iv, sizeof(iv) };
	CK_ULONG length = size;

	bad |= module->C_EncryptInit(session, &mechanism, aes);
	bad |= module->C_Encrypt(session, data, size, output, &length);
}

static void sign(CK_MECHANISM_TYPE type, CK_OBJECT_HANDLE key, size_t size)
{
	CK_MECHANISM mechanism = { type, NULL, 0 };
	CK_ULONG length = 256;

	bad |= module->C_SignInit(session, &mechanism, key);
	bad |= module->C_Sign(session, data, size, output, &length);
}

static void sign_rsa(size_t size)
{
	sign(CKM_SHA256_RSA_PKCS, rsa, size);
}

static void sign_ec(size_t size)
{
	sign(CKM_ECDSA, ec, size);
}

static void draw(size_t size)
{
	bad |= module->C_GenerateRandom(session, output, size);
}

/*
 * `stub` and `token` are how often an operation is made in a block. Few enough that the trace stays in
 * pages that the kernel has at hand: fresh ones cost more than what is measured.
 */
static const struct operation {
	const char *name;
	unsigned int calls;
	unsigned int stub, token;
	size_t size;
	void (*make)(size_t size);
} operations[] = {
	{ "session-info", 1, 4000, 3000, 0, get_session_info },
	{ "attributes", 2, 1500, 300, 0, get_attributes },
	{ "search", 3, 1500, 200, 0, find },
	{ "digest-1k", 2, 500, 500, 1024, digest },
	{ "encrypt-1k", 2, 0, 300, 1024, encrypt },
	{ "encrypt-64k", 2, 15, 20, LARGE, encrypt },
	{ "random-32", 1, 0, 1000, 32, draw },
	{ "sign-rsa", 2, 0, 20, 32, sign_rsa },
	{ "sign-ec", 2, 0, 60, 32, sign_ec },
};

static void measure(const struct operation *operation, size_t count)
{
	for (int block = 0; block < BLOCKS; block++) {
		struct moment from = now(), to;

		for (size_t i = 0; i < count; i++)
			operation->make(operation->size);
		to = now();
		if (bad != CKR_OK)
			fail(operation->name, bad);
		print(operation->name, operation->calls * (unsigned long)count, &from, &to);
	}
}

static void measure_all(int token, double divisor, const char *only)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(operations); i++) {
		double count = token ? operations[i].token : operations[i].stub;

		if (count != 0 && (!only || strcmp(only, operations[i].name) == 0))
			measure(&operations[i], (size_t)(count / divisor) + 1);
	}
}

static void write_bytes(int fd, size_t size)
{
	while (size != 0) {
		ssize_t written = write(fd, output, size < sizeof(output) ? size : sizeof(output));

		if (written <= 0)
			fail("write", (unsigned long)written);
		size -= (size_t)written;
	}
}

/* Pages that are nobody's file. */
static long long anonymous_bytes(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[256];
	long long kilobytes = -1;

	while (status && kilobytes < 0 && fgets(line, sizeof(line), status))
		if (strncmp(line, "RssAnon:", 8) == 0)
			kilobytes = strtoll(line + 8, NULL, 10);
	if (kilobytes < 0)
		fail("the system does not say how much memory is used", 0);
	fclose(status);
	return kilobytes * 1024;
}

/* What any recorder that keeps both halves of a call has to spend. */
static void measure_writes(const char *path, char *const *arguments)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	if (fd < 0)
		fail(path, 0);
	for (; *arguments; arguments++) {
		char *name = *arguments;
		char *colon = strchr(name, ':');
		size_t size = colon ? (size_t)strtoul(colon + 1, NULL, 10) : 0;

		if (colon)
			*colon = 0;
		for (int block = 0; block < BLOCKS; block++) {
			unsigned long count = 3000000 / (size + 500) + 10;
			struct moment from = now(), to;

			for (unsigned long i = 0; i < count; i++) {
				write_bytes(fd, size / 2);
				write_bytes(fd, size - size / 2);
			}
			to = now();
			print(name, count, &from, &to);
		}
	}
	close(fd);
}

/* ---- modules and tokens ------------------------------------------------------------------------- */

static void must(const char *what, CK_RV rv)
{
	if (rv != CKR_OK)
		fail(what, rv);
}

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void *address = library ? dlsym(library, "C_GetFunctionList") : NULL;
	CK_C_GetFunctionList get;

	if (!address) {
		fprintf(stderr, "bench: %s\n", dlerror());
		exit(1);
	}
	memcpy(&get, &address, sizeof(get));
	must("C_GetFunctionList", get(&module));
	must("C_Initialize", module->C_Initialize(NULL));
	for (size_t i = 0; i < LARGE; i++)
		data[i] = (CK_BYTE)(i * 167 + i / 256);
}

static CK_OBJECT_HANDLE find_key(CK_OBJECT_CLASS class, CK_KEY_TYPE type)
{
	CK_ATTRIBUTE template[] = { { CKA_CLASS, &class, sizeof(class) },
		                    { CKA_KEY_TYPE, &type, sizeof(type) },
		                    { CKA_LABEL, label, sizeof(label) - 1 } };
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_ULONG count;

	must("C_FindObjectsInit", module->C_FindObjectsInit(session, template, 3));
	must("C_FindObjects", module->C_FindObjects(session, &key, 1, &count));
	must("C_FindObjectsFinal", module->C_FindObjectsFinal(session));
	return key;
}

static void open_token(void)
{
	CK_SLOT_ID slots[16];
	CK_ULONG count = TAPE_ARRAY_SIZE(slots);
	CK_TOKEN_INFO info;
	CK_UTF8CHAR pin[] = "1234";

	must("C_GetSlotList", module->C_GetSlotList(CK_TRUE, slots, &count));
	for (CK_ULONG i = 0; i < count; i++) {
		must("C_GetTokenInfo", module->C_GetTokenInfo(slots[i], &info));
		if (memcmp(info.label, label, sizeof(label) - 1) != 0)
			continue;
		must("C_OpenSession",
		     module->C_OpenSession(slots[i], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL,
		                           NULL, &session));
		must("C_Login", module->C_Login(session, CKU_USER, pin, sizeof(pin) - 1));
		return;
	}
	fail("there is no token labelled bench", 0);
}

static void make_keys(void)
{
	static CK_BYTE p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
	CK_BBOOL yes = CK_TRUE;
	CK_ULONG bits = 2048, bytes = 32;
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_ATTRIBUTE secret[] = { { CKA_TOKEN, &yes, sizeof(yes) },
		                  { CKA_LABEL, label, sizeof(label) - 1 },
		                  { CKA_ENCRYPT, &yes, sizeof(yes) },
		                  { CKA_VALUE_LEN, &bytes, sizeof(bytes) } };
	CK_ATTRIBUTE public[] = { { CKA_TOKEN, &yes, sizeof(yes) },
		                  { CKA_LABEL, label, sizeof(label) - 1 },
		                  { CKA_MODULUS_BITS, &bits, sizeof(bits) } };
	CK_ATTRIBUTE private[] = { { CKA_TOKEN, &yes, sizeof(yes) },
		                   { CKA_LABEL, label, sizeof(label) - 1 },
		                   { CKA_SIGN, &yes, sizeof(yes) } };

	must("C_GenerateKey", module->C_GenerateKey(session, &mechanism, secret, 4, &aes));
	mechanism.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN;
	must("C_GenerateKeyPair", module->C_GenerateKeyPair(session, &mechanism, public, 3, private,
	                                                    3, &rsa_public, &rsa));
	mechanism.mechanism = CKM_EC_KEY_PAIR_GEN;
	public[2] = (CK_ATTRIBUTE){ CKA_EC_PARAMS, p256, sizeof(p256) };
	must("C_GenerateKeyPair", module->C_GenerateKeyPair(session, &mechanism, public, 3, private,
	                                                    3, &rsa_public, &ec));
}

static void find_keys(void)
{
	aes = find_key(class_secret, CKK_AES);
	rsa = find_key(class_private, CKK_RSA);
	rsa_public = find_key(class_public, CKK_RSA);
	ec = find_key(class_private, CKK_EC);
}

/* ---- reading -------------------------------------------------------------------------------------- */

static void read_items(const char *path)
{
	struct tape_error error = { 0 };
	struct tape_reader *reader;
	struct tape_arena arena;
	struct tape_item item;
	int result;

	tape_arena_init(&arena, NULL, 0, (size_t)1 << 30);
	if (tape_reader_open(&reader, path, &error) < 0) {
		fprintf(stderr, "bench: %s\n", error.sentence);
		exit(1);
	}
	while ((result = tape_reader_next(reader, &arena, &item, &error)) > 0)
		tape_arena_reset(&arena);
	if (result < 0) {
		fprintf(stderr, "bench: %s\n", error.sentence);
		exit(1);
	}
	tape_reader_close(reader);
	tape_arena_done(&arena);
}

static void read_events(const char *path)
{
	FILE *file = fopen(path, "r");
	yaml_parser_t parser;
	yaml_event_t event;
	int last;

	if (!file || !yaml_parser_initialize(&parser))
		fail("the trace cannot be read", 0);
	yaml_parser_set_input_file(&parser, file);
	do {
		if (!yaml_parser_parse(&parser, &event))
			fail("libyaml does not read the trace", parser.problem_mark.line);
		last = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	} while (!last);
	yaml_parser_delete(&parser);
	fclose(file);
}

int main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	double divisor = argc > 3 ? strtod(argv[3], NULL) : 1;
	const char *only = argc > 4 ? argv[4] : NULL;
	struct moment from, to;

	if (!(divisor > 0))
		divisor = 1;
	open_counters();
	if (strcmp(what, "stub") == 0) {
		load(argv[2]);
		session = aes = rsa_public = 1;
		measure_all(0, divisor, only);
		must("C_Finalize", module->C_Finalize(NULL));
	} else if (strcmp(what, "token") == 0) {
		load(argv[2]);
		open_token();
		find_keys();
		measure_all(1, divisor, only);
		must("C_Finalize", module->C_Finalize(NULL));
	} else if (strcmp(what, "setup") == 0) {
		load(argv[2]);
		open_token();
		make_keys();
		must("C_Finalize", module->C_Finalize(NULL));
	} else if (strcmp(what, "memory") == 0) {
		from = now();
		load(argv[2]);
		to = now();
		to.bytes = from.bytes + anonymous_bytes();
		print(what, 1, &from, &to);
	} else if (strcmp(what, "writes") == 0) {
		measure_writes(argv[2], argv + 3);
	} else if (strcmp(what, "items") == 0 || strcmp(what, "events") == 0) {
		from = now();
		if (*what == 'i')
			read_items(argv[2]);
		else
			read_events(argv[2]);
		to = now();
		print(what, 1, &from, &to);
	} else {
		fputs("usage: bench stub|token|setup|memory|writes|items|events FILE [ARGUMENTS]\n",
		      stderr);
		return 2;
	}
	return 0;
}
