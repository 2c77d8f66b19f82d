/* SPDX-License-Identifier: MIT
 *
 * Threads that use the library at once (PKCS#11 3.1 §5.4.1, Usage Guide 2.6), and notification callbacks (§5.22).
 */
#include <pthread.h>
#include <string.h>

#include "suites/keying.h"

#define THREADS 4
#define ROUNDS 40

struct worker {
	struct check *c;
	pthread_t thread;
	CK_SESSION_HANDLE session; /* its own, or that of all */
	CK_OBJECT_HANDLE key;
	CK_RV rv; /* the first that was not CKR_OK */
	const char *call, *trouble;
	unsigned int number;
};

static pthread_barrier_t together;

static bool ok(struct worker *w, const char *call, CK_RV rv)
{
	if (rv != CKR_OK && w->rv == CKR_OK) {
		w->rv = rv;
		w->call = call;
	}
	return rv == CKR_OK;
}

/* ---- what threads do ------------------------------------------------------------------------- */

static const CK_BYTE sha256_of_abc[32] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
	                                   0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
	                                   0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
	                                   0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad };

static void digest(struct worker *w)
{
	struct check *c = w->c;
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	CK_BYTE data[3] = "abc", out[32];
	CK_ULONG size = sizeof(out);
	if (ok(w, "C_DigestInit", c->p11->C_DigestInit(w->session, &mechanism)) &&
	    ok(w, "C_DigestUpdate", c->p11->C_DigestUpdate(w->session, data, 2)) &&
	    ok(w, "C_DigestUpdate", c->p11->C_DigestUpdate(w->session, data + 2, 1)) &&
	    ok(w, "C_DigestFinal", c->p11->C_DigestFinal(w->session, out, &size)) &&
	    (size != sizeof(out) || memcmp(out, sha256_of_abc, size) != 0))
		w->trouble = "a digest is wrong";
}

static void crypt(struct worker *w)
{
	struct check *c = w->c;
	CK_BYTE iv[16] = { 0 }, data[32], sealed[32], opened[32];
	CK_MECHANISM mechanism = { CKM_AES_CBC, iv, sizeof(iv) };
	CK_ULONG size = sizeof(sealed), opened_size = sizeof(opened);
	memset(data, (int)w->number, sizeof(data));
	if (ok(w, "C_EncryptInit", c->p11->C_EncryptInit(w->session, &mechanism, w->key)) &&
	    ok(w, "C_Encrypt", c->p11->C_Encrypt(w->session, data, sizeof(data), sealed, &size)) &&
	    ok(w, "C_DecryptInit", c->p11->C_DecryptInit(w->session, &mechanism, w->key)) &&
	    ok(w, "C_Decrypt", c->p11->C_Decrypt(w->session, sealed, size, opened, &opened_size)) &&
	    (opened_size != sizeof(data) || memcmp(data, opened, opened_size) != 0))
		w->trouble = "what was encrypted does not decrypt";
}

static void sign(struct worker *w)
{
	struct check *c = w->c;
	CK_MECHANISM mechanism = { CKM_SHA256_HMAC, NULL, 0 };
	CK_BYTE data[16], mac[32];
	CK_ULONG size = sizeof(mac);
	memset(data, (int)w->number, sizeof(data));
	if (ok(w, "C_SignInit", c->p11->C_SignInit(w->session, &mechanism, w->key)) &&
	    ok(w, "C_Sign", c->p11->C_Sign(w->session, data, sizeof(data), mac, &size)) &&
	    ok(w, "C_VerifyInit", c->p11->C_VerifyInit(w->session, &mechanism, w->key)))
		(void)ok(w, "C_Verify",
		         c->p11->C_Verify(w->session, data, sizeof(data), mac, size));
}

static void objects(struct worker *w)
{
	struct check *c = w->c;
	CK_ULONG class = CKO_DATA, size = 1;
	CK_BYTE value = (CK_BYTE)w->number, got = 0;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE t[] = { { CKA_CLASS, &class, sizeof(class) },
		             { CKA_TOKEN, &no, sizeof(no) },
		             { CKA_PRIVATE, &no, sizeof(no) },
		             { CKA_VALUE, &value, 1 } };
	CK_ATTRIBUTE read = { CKA_VALUE, &got, size };
	CK_OBJECT_HANDLE object;
	if (!ok(w, "C_CreateObject", c->p11->C_CreateObject(w->session, t, 4, &object)))
		return;
	if (ok(w, "C_GetAttributeValue",
	       c->p11->C_GetAttributeValue(w->session, object, &read, 1)) &&
	    got != value)
		w->trouble = "an object has another one's value";
	(void)ok(w, "C_DestroyObject", c->p11->C_DestroyObject(w->session, object));
}

static void find(struct worker *w)
{
	struct check *c = w->c;
	CK_OBJECT_HANDLE found[16];
	CK_ULONG count = 0;
	if (!ok(w, "C_FindObjectsInit", c->p11->C_FindObjectsInit(w->session, NULL, 0)))
		return;
	(void)ok(w, "C_FindObjects", c->p11->C_FindObjects(w->session, found, 16, &count));
	(void)ok(w, "C_FindObjectsFinal", c->p11->C_FindObjectsFinal(w->session));
}

static void open_and_close(struct worker *w)
{
	struct check *c = w->c;
	CK_SESSION_HANDLE session;
	CK_SESSION_INFO info;
	if (ok(w, "C_OpenSession",
	       c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &session))) {
		(void)ok(w, "C_GetSessionInfo", c->p11->C_GetSessionInfo(session, &info));
		(void)ok(w, "C_CloseSession", c->p11->C_CloseSession(session));
	}
}

/* Not C_GetTokenInfo: other checks' logins write to what it reads, and that is another matter. */
static void ask(struct worker *w)
{
	struct check *c = w->c;
	CK_INFO info;
	CK_SLOT_INFO slot;
	CK_MECHANISM_INFO mechanism;
	CK_SLOT_ID slots[TARGET_SLOTS];
	CK_ULONG count = TARGET_SLOTS;
	(void)ok(w, "C_GetInfo", c->p11->C_GetInfo(&info));
	(void)ok(w, "C_GetSlotList", c->p11->C_GetSlotList(CK_FALSE, slots, &count));
	(void)ok(w, "C_GetSlotInfo", c->p11->C_GetSlotInfo(c->slot, &slot));
	if (c->target->mechanism_count != 0)
		(void)ok(w, "C_GetMechanismInfo",
		         c->p11->C_GetMechanismInfo(c->slot, c->target->mechanisms[0], &mechanism));
}

static void randomness(struct worker *w)
{
	CK_BYTE bytes[32];
	(void)ok(w, "C_GenerateRandom", w->c->p11->C_GenerateRandom(w->session, bytes, 32));
}

static void generate(struct worker *w)
{
	struct check *c = w->c;
	CK_MECHANISM mechanism = { CKM_AES_KEY_GEN, NULL, 0 };
	CK_ULONG size = 16;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE t[] = { { CKA_VALUE_LEN, &size, sizeof(size) },
		             { CKA_TOKEN, &no, sizeof(no) },
		             { CKA_PRIVATE, &no, sizeof(no) } };
	CK_OBJECT_HANDLE key;
	if (ok(w, "C_GenerateKey", c->p11->C_GenerateKey(w->session, &mechanism, t, 3, &key)))
		(void)ok(w, "C_DestroyObject", c->p11->C_DestroyObject(w->session, key));
}

/* Each thread does another thing. */
static void mixed(struct worker *w)
{
	static void (*const all[])(struct worker *) = { digest, objects, find, open_and_close };
	all[w->number % TAPE_ARRAY_SIZE(all)](w);
}

static const struct work {
	const char *name;
	void (*run)(struct worker *w);
	CK_MECHANISM_TYPE mechanism; /* that it needs, with the flags */
	CK_FLAGS flags;
	enum { NO_KEY, AES_KEY, MAC_KEY } key;
} works[] = {
	{ "ask", ask, CKM_SHA256, 0, NO_KEY },
	{ "open", open_and_close, CKM_SHA256, 0, NO_KEY },
	{ "digest", digest, CKM_SHA256, CKF_DIGEST, NO_KEY },
	{ "encrypt", crypt, CKM_AES_CBC, CKF_ENCRYPT | CKF_DECRYPT, AES_KEY },
	{ "sign", sign, CKM_SHA256_HMAC, CKF_SIGN | CKF_VERIFY, MAC_KEY },
	{ "objects", objects, CKM_SHA256, 0, NO_KEY },
	{ "find", find, CKM_SHA256, 0, NO_KEY },
	{ "random", randomness, CKM_SHA256, 0, NO_KEY },
	{ "generate", generate, CKM_AES_KEY_GEN, CKF_GENERATE, NO_KEY },
	{ "mixed", mixed, CKM_SHA256, CKF_DIGEST, NO_KEY },
};

/* ---- running them ---------------------------------------------------------------------------- */

static void *worker(void *context)
{
	struct worker *w = context;
	const struct work *work = w->c->row->data;
	pthread_barrier_wait(&together);
	for (int i = 0; i < ROUNDS && w->rv == CKR_OK && w->trouble == NULL; i++)
		work->run(w);
	return NULL;
}

static const struct work *prepare(struct check *c, struct worker *workers)
{
	static const CK_BYTE value[32] = "p11tape check, a secret of 32 by";
	const struct work *work = c->row->data;
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	if (work->flags != 0)
		keying_mechanism(c, work->mechanism, work->flags);
	if (work->key != NO_KEY)
		key = keying_secret(c, work->key == AES_KEY ? CKK_AES : CKK_GENERIC_SECRET, value,
		                    sizeof(value));
	for (unsigned int i = 0; i < THREADS; i++)
		workers[i] =
			(struct worker){ .c = c, .session = c->session, .key = key, .number = i };
	/* Alone it works: what fails then fails for being many. */
	for (unsigned int i = 0; i < THREADS; i++) {
		work->run(&workers[i]);
		if (workers[i].rv != CKR_OK)
			check_skip(c, "%s returned %s, without other threads", workers[i].call,
			           check_rv_name(workers[i].rv));
	}
	return work;
}

static void run_all(struct check *c, struct worker *workers)
{
	pthread_barrier_init(&together, NULL, THREADS);
	for (unsigned int i = 0; i < THREADS; i++)
		if (pthread_create(&workers[i].thread, NULL, worker, &workers[i]) != 0)
			check_error(c, "no thread can be made");
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
}

/* CKF_OS_LOCKING_OK was set (§5.4.1): threads may call at once, each with its session. */
static void own_sessions(struct check *c)
{
	struct worker workers[THREADS];
	prepare(c, workers);
	for (unsigned int i = 0; i < THREADS; i++)
		workers[i].session = check_open(c, 0);
	run_all(c, workers);
	for (unsigned int i = 0; i < THREADS; i++) {
		EXPECT(c, 42, workers[i].rv == CKR_OK, "%s returned %s in one of %d threads",
		       workers[i].call, check_rv_name(workers[i].rv), THREADS);
		EXPECT(c, 42, workers[i].trouble == NULL, "%s, with %d threads",
		       workers[i].trouble == NULL ? "" : workers[i].trouble, THREADS);
	}
}

/* One session for all is undefined (Usage Guide): what happens is noted, a crash as well. */
static void one_session(struct check *c)
{
	struct worker workers[THREADS];
	prepare(c, workers);
	run_all(c, workers);
	unsigned int good = 0;
	for (unsigned int i = 0; i < THREADS; i++) {
		good += workers[i].rv == CKR_OK && workers[i].trouble == NULL;
		if (workers[i].rv != CKR_OK)
			check_note(c, "%s returned %s in one of several threads", workers[i].call,
			           check_rv_name(workers[i].rv));
		if (workers[i].trouble != NULL)
			check_note(c, "%s, in one of several threads", workers[i].trouble);
	}
	OBSERVE(c, 59, "of %d threads that share a session %u see no trouble", THREADS, good);
}

/* ---- what threads share ---------------------------------------------------------------------- */

struct visitor {
	struct check *c;
	CK_OBJECT_HANDLE object;
	CK_SESSION_HANDLE session, opened;
	CK_RV info_rv, read_rv, open_rv, init_rv;
	CK_BYTE value[64];
	CK_ULONG size;
};

static void *visit(void *context)
{
	struct visitor *v = context;
	struct check *c = v->c;
	CK_SESSION_INFO info;
	CK_ATTRIBUTE read = { CKA_VALUE, v->value, sizeof(v->value) };
	CK_MECHANISM mechanism = { CKM_SHA256, NULL, 0 };
	v->info_rv = c->p11->C_GetSessionInfo(v->session, &info);
	v->read_rv = c->p11->C_GetAttributeValue(v->session, v->object, &read, 1);
	v->size = read.ulValueLen;
	v->open_rv = c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, NULL, NULL, &v->opened);
	v->init_rv = c->p11->C_DigestInit(v->session, &mechanism);
	return NULL;
}

/* Sessions, objects and operations are the application's, not a thread's. */
static void shared_handles(struct check *c)
{
	struct visitor v = { .c = c, .session = c->session };
	pthread_t thread;
	CK_BYTE data[3] = "abc", out[32];
	CK_ULONG size = sizeof(out);
	CK_SESSION_INFO info;
	v.object = object_make(c, OBJECT_DATA);
	if (pthread_create(&thread, NULL, visit, &v) != 0)
		check_error(c, "no thread can be made");
	pthread_join(thread, NULL);
	EXPECT_CODE(c, 61, "C_GetSessionInfo, in another thread,", v.info_rv, CKR_OK);
	EXPECT_CODE(c, 61, "C_GetAttributeValue, in another thread,", v.read_rv, CKR_OK);
	if (v.open_rv == CKR_SESSION_COUNT)
		check_skip(c, "the token has no second session");
	EXPECT_CODE(c, 61, "C_OpenSession, in another thread,", v.open_rv, CKR_OK);
	/* The session of a thread that is gone. */
	EXPECT_RV(c, 61, c->p11->C_GetSessionInfo(v.opened, &info), CKR_OK);
	if (v.init_rv != CKR_OK)
		return;
	EXPECT_RV(c, 61, c->p11->C_Digest(c->session, data, sizeof(data), out, &size), CKR_OK);
	EXPECT(c, 61, size == 32 && memcmp(out, sha256_of_abc, size) == 0,
	       "a digest that another thread began is wrong");
}

/* A login counts for all threads. */
static void *state_of(void *context)
{
	struct visitor *v = context;
	CK_SESSION_INFO info = { 0 };
	v->info_rv = v->c->p11->C_GetSessionInfo(v->session, &info);
	v->size = info.state;
	return NULL;
}

static void shared_login(struct check *c)
{
	struct visitor v = { .c = c, .session = c->session };
	pthread_t thread;
	CK_SESSION_INFO info;
	NEED_OK(c, c->p11->C_GetSessionInfo(c->session, &info));
	if (pthread_create(&thread, NULL, state_of, &v) != 0)
		check_error(c, "no thread can be made");
	pthread_join(thread, NULL);
	EXPECT_CODE(c, 61, "C_GetSessionInfo, in another thread,", v.info_rv, CKR_OK);
	EXPECT(c, 61, v.size == info.state, "in another thread the session's state is %s",
	       check_name(TAPE_G_CKS, v.size));
}

/* ---- threads and sessions that close ---------------------------------------------------------- */

struct closer {
	struct check *c;
	CK_SESSION_HANDLE session;
	CK_RV rv;
	volatile bool closed;
};

static void *use_until_closed(void *context)
{
	struct closer *closer = context;
	struct check *c = closer->c;
	CK_SESSION_INFO info;
	pthread_barrier_wait(&together);
	while (!closer->closed && closer->rv == CKR_OK)
		closer->rv = c->p11->C_GetSessionInfo(closer->session, &info);
	if (closer->rv == CKR_OK)
		closer->rv = c->p11->C_GetSessionInfo(closer->session, &info);
	return NULL;
}

static void closed_meanwhile(struct check *c)
{
	struct closer closer = { .c = c, .session = check_open(c, 0), .rv = CKR_OK };
	pthread_t thread;
	pthread_barrier_init(&together, NULL, 2);
	if (pthread_create(&thread, NULL, use_until_closed, &closer) != 0)
		check_error(c, "no thread can be made");
	pthread_barrier_wait(&together);
	CK_RV rv = c->row->a != 0 ? c->p11->C_CloseAllSessions(c->slot)
	                          : c->p11->C_CloseSession(closer.session);
	closer.closed = true;
	pthread_join(thread, NULL);
	EXPECT_CODE(c, 115, c->row->a != 0 ? "C_CloseAllSessions" : "C_CloseSession", rv, CKR_OK);
	EXPECT_CODE(c, 115, "C_GetSessionInfo, in another thread,", closer.rv,
	            CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED);
}

/* ---- two waiters ------------------------------------------------------------------------------ */

static void *poll_events(void *context)
{
	struct worker *w = context;
	CK_SLOT_ID slot;
	pthread_barrier_wait(&together);
	for (int i = 0; i < ROUNDS && (w->rv == CKR_NO_EVENT || w->rv == CKR_OK); i++)
		w->rv = w->c->p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &slot, NULL);
	return NULL;
}

static void two_waiters(struct check *c)
{
	struct worker workers[2] = { { .c = c }, { .c = c } };
	pthread_barrier_init(&together, NULL, 2);
	for (int i = 0; i < 2; i++)
		if (pthread_create(&workers[i].thread, NULL, poll_events, &workers[i]) != 0)
			check_error(c, "no thread can be made");
	for (int i = 0; i < 2; i++)
		pthread_join(workers[i].thread, NULL);
	OBSERVE(c, 60, "C_WaitForSlotEvent in two threads: %s and %s", check_rv_name(workers[0].rv),
	        check_rv_name(workers[1].rv));
}

/* ---- notifications ---------------------------------------------------------------------------- */

static struct {
	unsigned int calls, surrenders;
	CK_RV answer, cancel_rv;
	struct check *c;
} notified;

static CK_RV notify(CK_SESSION_HANDLE session, CK_NOTIFICATION event, CK_VOID_PTR application)
{
	notified.calls++;
	if (application != &notified)
		return CKR_OK;
	if (event != CKN_SURRENDER)
		return CKR_OK;
	notified.surrenders++;
	if (notified.c->p30 != NULL)
		notified.cancel_rv = notified.c->p30->C_SessionCancel(session, ~0UL);
	return notified.answer;
}

/* Something that may take long. */
static CK_RV long_call(struct check *c, CK_SESSION_HANDLE session)
{
	CK_MECHANISM mechanism = { CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0 };
	CK_ULONG bits = 1024;
	CK_BYTE exponent[3] = { 1, 0, 1 };
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE public[] = { { CKA_MODULUS_BITS, &bits, sizeof(bits) },
		                  { CKA_PUBLIC_EXPONENT, exponent, sizeof(exponent) },
		                  { CKA_TOKEN, &no, sizeof(no) } };
	CK_ATTRIBUTE private[] = { { CKA_TOKEN, &no, sizeof(no) },
		                   { CKA_PRIVATE, &no, sizeof(no) } };
	CK_OBJECT_HANDLE one, other;
	return c->p11->C_GenerateKeyPair(session, &mechanism, public, 3, private, 2, &one, &other);
}

/* row->a: what the callback answers; libraries need not call it. */
static void surrender(struct check *c)
{
	CK_SESSION_HANDLE session;
	keying_mechanism(c, CKM_RSA_PKCS_KEY_PAIR_GEN, CKF_GENERATE_KEY_PAIR);
	memset(&notified, 0, sizeof(notified));
	notified.c = c;
	notified.answer = c->row->a;
	notified.cancel_rv = CKR_FUNCTION_FAILED;
	NEED_OK(c, c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, &notified, notify, &session));
	CK_RV rv = long_call(c, session);
	if (notified.surrenders == 0) {
		OBSERVE(c, 185, "no callback is made (%s)", check_rv_name(rv));
		return;
	}
	EXPECT(c, 157, notified.cancel_rv == CKR_FUNCTION_FAILED,
	       "C_SessionCancel, called by a callback, returned %s",
	       check_rv_name(notified.cancel_rv));
	if (notified.answer == CKR_CANCEL)
		EXPECT_CODE(c, 185, "C_GenerateKeyPair, cancelled by a callback,", rv,
		            CKR_FUNCTION_CANCELED);
}

/* When the session is closed nobody is to be called any more. */
static void not_after_close(struct check *c)
{
	CK_SESSION_HANDLE session;
	memset(&notified, 0, sizeof(notified));
	notified.c = c;
	NEED_OK(c, c->p11->C_OpenSession(c->slot, CKF_SERIAL_SESSION, &notified, notify, &session));
	NEED_OK(c, c->p11->C_CloseSession(session));
	unsigned int before = notified.calls;
	(void)long_call(c, c->session);
	EXPECT(c, 313, notified.calls == before, "a closed session's callback was called");
}

/* ---- the list --------------------------------------------------------------------------------- */

void suite_threads(struct check_list *list)
{
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(works); i++) {
		row = CHECK(own_sessions, NEED_USER, "threads with a session each", 42);
		row.data = &works[i];
		check_add(list, row, "own-session/%s", works[i].name);
		row = CHECK(one_session, NEED_USER | ALLOW_DEATH,
		            "threads with one session for all", 59);
		row.data = &works[i];
		check_add(list, row, "one-session/%s", works[i].name);
	}
	check_add(list, CHECK(shared_handles, NEED_USER, "handles are every thread's", 61),
	          "shared-handles");
	check_add(list, CHECK(shared_login, NEED_USER, "a login is every thread's", 61),
	          "shared-login");
	for (unsigned int i = 0; i < 2; i++) {
		/* While it is used: that is one session for two threads, of which nothing is defined. */
		row = CHECK(closed_meanwhile, NEED_SESSION | ALLOW_DEATH,
		            "a session that is closed while another thread uses it", 115);
		row.a = i;
		check_add(list, row, "closed-meanwhile/%s",
		          i == 0 ? "C_CloseSession" : "C_CloseAllSessions");
	}
	check_add(
		list,
		CHECK(two_waiters, NEED_INIT | ALLOW_DEATH, "two threads that wait for events", 60),
		"two-waiters");
	for (unsigned int i = 0; i < 2; i++) {
		row = CHECK(surrender, NEED_USER, "a callback may cancel what runs", 185, 157);
		row.a = i == 0 ? CKR_OK : CKR_CANCEL;
		check_add(list, row, "surrender/%s", i == 0 ? "CKR_OK" : "CKR_CANCEL");
	}
	check_add(
		list,
		CHECK(not_after_close, NEED_USER, "a closed session's callback is not called", 313),
		"not-after-close");
}
