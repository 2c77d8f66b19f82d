/* SPDX-License-Identifier: MIT
 *
 * The message functions of 3.0 (PKCS#11 3.1 §5.9, §5.11, §5.14, §5.16): processes that messages begin and end in.
 */
#include <string.h>

#include "suites/keying.h"

#define OUT_SIZE 256

static CK_BYTE plain[40] = "a message of forty bytes, in parts of...";
static CK_BYTE aad[11] = "header data";

/* ---- AEADs ------------------------------------------------------------------------------------ */

static const struct aead {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	CK_KEY_TYPE type;
	CK_ULONG iv_size;
} aeads[] = {
	{ "gcm", CKM_AES_GCM, CKK_AES, 12 },
	{ "ccm", CKM_AES_CCM, CKK_AES, 12 },
	{ "chacha20-poly1305", CKM_CHACHA20_POLY1305, CKK_CHACHA20, 12 },
};

/* The parameter of one message, of whatever mechanism. */
struct message {
	union {
		CK_GCM_MESSAGE_PARAMS gcm;
		CK_CCM_MESSAGE_PARAMS ccm;
		CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS chacha;
	} p;
	CK_ULONG size;
	CK_BYTE iv[16], tag[16];
};

static void set_message(const struct aead *a, struct message *m, CK_GENERATOR_FUNCTION generator,
                        CK_ULONG fixed, CK_ULONG data_size)
{
	memset(m, 0, sizeof(*m));
	for (CK_BYTE i = 0; i < a->iv_size; i++)
		m->iv[i] = (CK_BYTE)(0x40 + i);
	if (a->mechanism == CKM_AES_GCM) {
		m->p.gcm =
			(CK_GCM_MESSAGE_PARAMS){ m->iv, a->iv_size, fixed, generator, m->tag, 128 };
		m->size = sizeof(m->p.gcm);
	} else if (a->mechanism == CKM_AES_CCM) {
		m->p.ccm = (CK_CCM_MESSAGE_PARAMS){ data_size, m->iv,  a->iv_size, fixed,
			                            generator, m->tag, 16 };
		m->size = sizeof(m->p.ccm);
	} else {
		m->p.chacha =
			(CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS){ m->iv, a->iv_size, m->tag };
		m->size = sizeof(m->p.chacha);
	}
}

struct bench {
	const struct aead *a;
	CK_MECHANISM mechanism;
	CK_OBJECT_HANDLE key;
	struct message m;
	CK_BYTE sealed[OUT_SIZE];
	CK_ULONG size;
};

static void begin(struct check *c, struct bench *b)
{
	static const CK_BYTE value[32] = "p11tape check, a secret of 32 by";
	memset(b, 0, sizeof(*b));
	b->a = c->row->data;
	b->mechanism.mechanism = b->a->mechanism;
	/* Not every module that has the functions says so by CKF_MESSAGE_ENCRYPT: its Init shows it. */
	keying_mechanism(c, b->a->mechanism, 0);
	b->key = keying_secret(c, b->a->type, value, sizeof(value));
	set_message(b->a, &b->m, CKG_NO_GENERATE, 0, sizeof(plain));
}

static void begin_encrypt(struct check *c, struct bench *b)
{
	begin(c, b);
	NEED_OK(c, c->p30->C_MessageEncryptInit(c->session, &b->mechanism, b->key));
}

static CK_RV encrypt(struct check *c, struct bench *b)
{
	b->size = sizeof(b->sealed);
	return c->p30->C_EncryptMessage(c->session, &b->m.p, b->m.size, aad, sizeof(aad), plain,
	                                sizeof(plain), b->sealed, &b->size);
}

/* Sealed with b's parameter; the encryption process is over, that of decryption is open. */
static void begin_decrypt(struct check *c, struct bench *b)
{
	begin_encrypt(c, b);
	NEED_OK(c, encrypt(c, b));
	NEED_OK(c, c->p30->C_MessageEncryptFinal(c->session));
	NEED_OK(c, c->p30->C_MessageDecryptInit(c->session, &b->mechanism, b->key));
}

static CK_RV decrypt(struct check *c, struct bench *b, CK_BYTE *out, CK_ULONG *size)
{
	*size = OUT_SIZE;
	return c->p30->C_DecryptMessage(c->session, &b->m.p, b->m.size, aad, sizeof(aad), b->sealed,
	                                b->size, out, size);
}

/* ---- whole messages ---------------------------------------------------------------------------- */

static void round_trip(struct check *c)
{
	struct bench b;
	CK_BYTE out[OUT_SIZE];
	CK_ULONG size;
	begin_encrypt(c, &b);
	EXPECT_CODE(c, 186, "C_EncryptMessage", encrypt(c, &b), CKR_OK);
	EXPECT(c, 196, b.size == sizeof(plain),
	       "%zu bytes become %lu: the tag has its place in the parameter", sizeof(plain),
	       b.size);
	static const CK_BYTE none[16];
	EXPECT(c, 196, memcmp(b.m.tag, none, sizeof(none)) != 0, "no tag is in the parameter");
	EXPECT_RV(c, 186, c->p30->C_MessageEncryptFinal(c->session), CKR_OK);
	NEED_OK(c, c->p30->C_MessageDecryptInit(c->session, &b.mechanism, b.key));
	EXPECT_CODE(c, 186, "C_DecryptMessage", decrypt(c, &b, out, &size), CKR_OK);
	EXPECT(c, 186, size == sizeof(plain) && memcmp(out, plain, size) == 0,
	       "what was encrypted does not decrypt");
	EXPECT_RV(c, 186, c->p30->C_MessageDecryptFinal(c->session), CKR_OK);
}

/* The same by C_Encrypt: ciphertext and tag in one. */
static void same_as_encrypt(struct check *c)
{
	struct bench b;
	CK_BYTE out[OUT_SIZE];
	CK_ULONG size = sizeof(out);
	CK_GCM_PARAMS gcm;
	begin_encrypt(c, &b);
	if (b.a->mechanism != CKM_AES_GCM)
		check_skip(c, "tried with CKM_AES_GCM");
	keying_mechanism(c, CKM_AES_GCM, CKF_ENCRYPT);
	NEED_OK(c, encrypt(c, &b));
	NEED_OK(c, c->p30->C_MessageEncryptFinal(c->session));
	gcm = (CK_GCM_PARAMS){ b.m.iv, b.a->iv_size, b.a->iv_size * 8, aad, sizeof(aad), 128 };
	b.mechanism.pParameter = &gcm;
	b.mechanism.ulParameterLen = sizeof(gcm);
	NEED_OK(c, c->p11->C_EncryptInit(c->session, &b.mechanism, b.key));
	NEED_OK(c, c->p11->C_Encrypt(c->session, plain, sizeof(plain), out, &size));
	EXPECT(c, 196, size == b.size + 16 && memcmp(out, b.sealed, b.size) == 0,
	       "C_Encrypt and C_EncryptMessage give different ciphertexts");
	EXPECT(c, 196, memcmp(out + b.size, b.m.tag, 16) == 0,
	       "C_Encrypt and C_EncryptMessage give different tags");
}

static void many_messages(struct check *c)
{
	struct bench b;
	CK_BYTE first[OUT_SIZE];
	begin_encrypt(c, &b);
	NEED_OK(c, encrypt(c, &b));
	memcpy(first, b.sealed, sizeof(first));
	for (CK_BYTE i = 0; i < 5; i++) {
		set_message(b.a, &b.m, CKG_NO_GENERATE, 0, sizeof(plain));
		b.m.iv[0] = i;
		EXPECT_CODE(c, 186, "C_EncryptMessage", encrypt(c, &b), CKR_OK);
		EXPECT(c, 186, memcmp(first, b.sealed, sizeof(plain)) != 0,
		       "another IV makes no difference");
	}
}

static void sizes(struct check *c)
{
	struct bench b;
	CK_ULONG need = 0, size = sizeof(plain) - 1;
	CK_BYTE *small = check_buffer(c, size), *exact = check_buffer(c, sizeof(plain));
	begin_encrypt(c, &b);
	EXPECT_RV(c, 30,
	          c->p30->C_EncryptMessage(c->session, &b.m.p, b.m.size, aad, sizeof(aad), plain,
	                                   sizeof(plain), NULL, &need),
	          CKR_OK);
	EXPECT(c, 30, need >= sizeof(plain) && need <= sizeof(plain) + 64,
	       "the length query said %lu", need);
	EXPECT_RV(c, 32,
	          c->p30->C_EncryptMessage(c->session, &b.m.p, b.m.size, aad, sizeof(aad), plain,
	                                   sizeof(plain), small, &size),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 32, size >= sizeof(plain), "with CKR_BUFFER_TOO_SMALL the length is %lu", size);
	size = sizeof(plain);
	EXPECT_RV(c, 34,
	          c->p30->C_EncryptMessage(c->session, &b.m.p, b.m.size, aad, sizeof(aad), plain,
	                                   sizeof(plain), exact, &size),
	          CKR_OK);
	EXPECT(c, 31, size == sizeof(plain), "the length is %lu", size);
}

static void in_place(struct check *c)
{
	struct bench b;
	CK_BYTE both[OUT_SIZE];
	CK_ULONG size = sizeof(both);
	begin_encrypt(c, &b);
	NEED_OK(c, encrypt(c, &b));
	memcpy(both, plain, sizeof(plain));
	EXPECT_RV(c, 37,
	          c->p30->C_EncryptMessage(c->session, &b.m.p, b.m.size, aad, sizeof(aad), both,
	                                   sizeof(plain), both, &size),
	          CKR_OK);
	EXPECT(c, 37, size == b.size && memcmp(both, b.sealed, size) == 0,
	       "in place the ciphertext is another one");
}

/* ---- IVs that the token makes -------------------------------------------------------------------- */

static void generates(struct check *c)
{
	struct bench b;
	struct message before;
	CK_BYTE out[OUT_SIZE];
	CK_ULONG size, fixed = c->row->b;
	begin_encrypt(c, &b);
	if (b.a->mechanism == CKM_CHACHA20_POLY1305)
		check_skip(c, "the parameter has no generator");
	set_message(b.a, &b.m, c->row->a, fixed, sizeof(plain));
	before = b.m;
	CK_RV rv = encrypt(c, &b);
	if (c->row->a != CKG_GENERATE && rv != CKR_OK)
		check_skip(c, "the generator is not supported (%s)", check_rv_name(rv));
	EXPECT_CODE(c, 197, "C_EncryptMessage", rv, CKR_OK);
	EXPECT(c, 197, memcmp(before.iv, b.m.iv, fixed / 8) == 0,
	       "of the IV, bits that are fixed were changed");
	EXPECT(c, 193, memcmp(before.iv, b.m.iv, b.a->iv_size) != 0,
	       "the IV that was generated is not in the parameter");
	before = b.m;
	/* The next one is another. */
	EXPECT_CODE(c, 197, "C_EncryptMessage", encrypt(c, &b), CKR_OK);
	EXPECT(c, 197, memcmp(before.iv, b.m.iv, b.a->iv_size) != 0, "two IVs are the same");
	NEED_OK(c, c->p30->C_MessageEncryptFinal(c->session));
	NEED_OK(c, c->p30->C_MessageDecryptInit(c->session, &b.mechanism, b.key));
	EXPECT_CODE(c, 197, "C_DecryptMessage", decrypt(c, &b, out, &size), CKR_OK);
	EXPECT(c, 197, size == sizeof(plain) && memcmp(out, plain, size) == 0,
	       "with the generated IV it does not decrypt");
}

static void parameter_is_input(struct check *c)
{
	struct bench b;
	struct message before;
	CK_BYTE out[OUT_SIZE];
	CK_ULONG size;
	begin_decrypt(c, &b);
	memcpy(&before, &b.m, sizeof(before));
	EXPECT_CODE(c, 186, "C_DecryptMessage", decrypt(c, &b, out, &size), CKR_OK);
	EXPECT(c, 193,
	       /* Padding is copied, too. NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*) */
	       memcmp(&before.p, &b.m.p, sizeof(before.p)) == 0 &&
	               memcmp(before.iv, b.m.iv, sizeof(before.iv)) == 0 &&
	               memcmp(before.tag, b.m.tag, sizeof(before.tag)) == 0,
	       "decryption changes the parameter");
}

/* ---- what was changed ------------------------------------------------------------------------------ */

static void changed(struct check *c)
{
	struct bench b;
	CK_BYTE *out = check_buffer(c, sizeof(plain));
	CK_ULONG size = sizeof(plain);
	CK_BYTE head[sizeof(aad)];
	memcpy(head, aad, sizeof(aad));
	begin_decrypt(c, &b);
	switch (c->row->a) {
	case 0:
		b.m.tag[0] ^= 1;
		break;
	case 1:
		b.m.tag[15] ^= 0x80;
		break;
	case 2:
		b.sealed[0] ^= 1;
		break;
	case 3:
		b.m.iv[0] ^= 1;
		break;
	case 4:
		head[0] ^= 1;
		break;
	default:
		b.size--;
		if (b.a->mechanism == CKM_AES_CCM)
			b.m.p.ccm.ulDataLen--;
		break;
	}
	EXPECT_RV(c, 195,
	          c->p30->C_DecryptMessage(c->session, &b.m.p, b.m.size, head, sizeof(head),
	                                   b.sealed, b.size, out, &size),
	          CKR_AEAD_DECRYPT_FAILED);
	EXPECT(c, 198, memcmp(out, plain, 16) != 0, "plaintext was given though the tag is wrong");
	/* That message failed; the process goes on. */
	struct bench good;
	CK_BYTE again[OUT_SIZE];
	begin(c, &good);
	set_message(b.a, &good.m, CKG_NO_GENERATE, 0, sizeof(plain));
	CK_SESSION_HANDLE first = c->session;
	c->session = check_open(c, 0);
	NEED_OK(c, c->p30->C_MessageEncryptInit(c->session, &good.mechanism, good.key));
	NEED_OK(c, encrypt(c, &good));
	c->session = first;
	EXPECT_CODE(c, 190, "C_DecryptMessage", decrypt(c, &good, again, &size), CKR_OK);
}

/* ---- messages in parts ------------------------------------------------------------------------------- */

static CK_RV message_begin(struct check *c, struct bench *b, bool seals)
{
	return seals ? c->p30->C_EncryptMessageBegin(c->session, &b->m.p, b->m.size, aad,
	                                             sizeof(aad))
	             : c->p30->C_DecryptMessageBegin(c->session, &b->m.p, b->m.size, aad,
	                                             sizeof(aad));
}

static CK_RV message_next(struct check *c, struct bench *b, bool seals, CK_BYTE *data,
                          CK_ULONG size, CK_BYTE *out, CK_ULONG *out_size, CK_FLAGS flags)
{
	*out_size = OUT_SIZE;
	return seals ? c->p30->C_EncryptMessageNext(c->session, &b->m.p, b->m.size, data, size, out,
	                                            out_size, flags)
	             : c->p30->C_DecryptMessageNext(c->session, &b->m.p, b->m.size, data, size, out,
	                                            out_size, flags);
}

/* Tried in a session of its own. */
static void need_parts(struct check *c)
{
	struct bench b;
	CK_SESSION_HANDLE first = c->session;
	begin(c, &b);
	c->session = check_open(c, 0);
	NEED_OK(c, c->p30->C_MessageEncryptInit(c->session, &b.mechanism, b.key));
	NEED_OK(c, message_begin(c, &b, true));
	c->session = first;
}

static void in_parts(struct check *c)
{
	struct bench b, whole;
	CK_BYTE out[2 * OUT_SIZE];
	CK_ULONG first, second;
	bool seals = c->row->a != 0;
	need_parts(c);
	begin_encrypt(c, &whole);
	NEED_OK(c, encrypt(c, &whole));
	NEED_OK(c, c->p30->C_MessageEncryptFinal(c->session));
	begin(c, &b);
	if (seals) {
		NEED_OK(c, c->p30->C_MessageEncryptInit(c->session, &b.mechanism, b.key));
	} else {
		NEED_OK(c, c->p30->C_MessageDecryptInit(c->session, &b.mechanism, b.key));
		memcpy(b.m.tag, whole.m.tag, sizeof(b.m.tag));
	}
	CK_BYTE *input = seals ? plain : whole.sealed;
	EXPECT_CODE(c, 188, seals ? "C_EncryptMessageBegin" : "C_DecryptMessageBegin",
	            message_begin(c, &b, seals), CKR_OK);
	EXPECT_CODE(c, 188, seals ? "C_EncryptMessageNext" : "C_DecryptMessageNext",
	            message_next(c, &b, seals, input, 16, out, &first, 0), CKR_OK);
	EXPECT(c, 188, first <= 16, "16 bytes gave %lu", first);
	EXPECT_CODE(c, 189, seals ? "C_EncryptMessageNext" : "C_DecryptMessageNext",
	            message_next(c, &b, seals, input + 16, sizeof(plain) - 16, out + first, &second,
	                         CKF_END_OF_MESSAGE),
	            CKR_OK);
	EXPECT(c, 188,
	       first + second == sizeof(plain) &&
	               memcmp(out, seals ? whole.sealed : plain, sizeof(plain)) == 0,
	       "in parts another output comes out");
	if (seals)
		EXPECT(c, 196, memcmp(b.m.tag, whole.m.tag, 16) == 0,
		       "in parts the tag is another");
	/* The message is over, the process is not. */
	EXPECT_CODE(c, 189, seals ? "C_EncryptMessageNext" : "C_DecryptMessageNext",
	            message_next(c, &b, seals, input, 16, out, &first, 0),
	            CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_CODE(c, 186, seals ? "C_EncryptMessageBegin" : "C_DecryptMessageBegin",
	            message_begin(c, &b, seals), CKR_OK);
}

static void wrong_tag_in_parts(struct check *c)
{
	struct bench b;
	CK_BYTE out[2 * OUT_SIZE];
	CK_ULONG first, second;
	need_parts(c);
	begin_decrypt(c, &b);
	b.m.tag[3] ^= 4;
	NEED_OK(c, message_begin(c, &b, false));
	NEED_OK(c, message_next(c, &b, false, b.sealed, 16, out, &first, 0));
	EXPECT_CODE(c, 195, "C_DecryptMessageNext",
	            message_next(c, &b, false, b.sealed + 16, b.size - 16, out + first, &second,
	                         CKF_END_OF_MESSAGE),
	            CKR_AEAD_DECRYPT_FAILED);
	EXPECT_CODE(c, 189, "C_DecryptMessageNext",
	            message_next(c, &b, false, b.sealed, 16, out, &first, 0),
	            CKR_OPERATION_NOT_INITIALIZED);
}

static void one_inside_another(struct check *c)
{
	struct bench b;
	bool seals = c->row->a != 0;
	CK_BYTE out[OUT_SIZE];
	CK_ULONG size;
	need_parts(c);
	if (seals)
		begin_encrypt(c, &b);
	else
		begin_decrypt(c, &b);
	NEED_OK(c, message_begin(c, &b, seals));
	CK_RV rv = seals ? encrypt(c, &b) : decrypt(c, &b, out, &size);
	EXPECT_CODE(c, 187, seals ? "C_EncryptMessage" : "C_DecryptMessage", rv,
	            CKR_OPERATION_ACTIVE, CKR_OPERATION_NOT_INITIALIZED);
}

static void too_small_in_parts(struct check *c)
{
	struct bench b;
	CK_BYTE out[OUT_SIZE];
	CK_ULONG size = 3;
	CK_BYTE *small = check_buffer(c, 3);
	need_parts(c);
	begin_encrypt(c, &b);
	NEED_OK(c, message_begin(c, &b, true));
	EXPECT_RV(c, 32,
	          c->p30->C_EncryptMessageNext(c->session, &b.m.p, b.m.size, plain, sizeof(plain),
	                                       small, &size, CKF_END_OF_MESSAGE),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 32, size >= sizeof(plain), "with CKR_BUFFER_TOO_SMALL the length is %lu", size);
	EXPECT_CODE(c, 189, "C_EncryptMessageNext",
	            message_next(c, &b, true, plain, sizeof(plain), out, &size, CKF_END_OF_MESSAGE),
	            CKR_OK);
	EXPECT(c, 31, size == sizeof(plain), "the length is %lu", size);
}

/* An error that is none of the output's size ends the message, not the process. */
static void error_in_parts(struct check *c)
{
	struct bench b;
	CK_BYTE out[OUT_SIZE];
	CK_ULONG size;
	need_parts(c);
	begin_encrypt(c, &b);
	NEED_OK(c, message_begin(c, &b, true));
	size = sizeof(out);
	CK_RV rv =
		c->p30->C_EncryptMessageNext(c->session, &b.m.p, b.m.size, NULL, 16, out, &size, 0);
	EXPECT_CODE(c, 314, "C_EncryptMessageNext", rv, CKR_ARGUMENTS_BAD);
	EXPECT_CODE(c, 190, "C_EncryptMessageNext",
	            message_next(c, &b, true, plain, 16, out, &size, 0),
	            CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_CODE(c, 190, "C_EncryptMessageBegin", message_begin(c, &b, true), CKR_OK);
}

/* ---- orders that are none ------------------------------------------------------------------------------ */

static void init_twice(struct check *c)
{
	struct bench b;
	begin_encrypt(c, &b);
	CK_RV rv = c->p30->C_MessageEncryptInit(c->session, &b.mechanism, b.key);
	EXPECT_CODE(c, 162, "C_MessageEncryptInit", rv, CKR_OPERATION_ACTIVE, CKR_OK);
	EXPECT_CODE(c, 186, "C_EncryptMessage", encrypt(c, &b), CKR_OK);
}

static void after_final(struct check *c)
{
	struct bench b;
	begin_encrypt(c, &b);
	EXPECT_RV(c, 186, c->p30->C_MessageEncryptFinal(c->session), CKR_OK);
	CK_RV rv = encrypt(c, &b);
	EXPECT(c, 186, rv != CKR_OK, "after C_MessageEncryptFinal C_EncryptMessage encrypts");
	EXPECT_CODE(c, 163, "C_EncryptMessage", rv, CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_RV(c, 163, c->p30->C_MessageEncryptFinal(c->session), CKR_OPERATION_NOT_INITIALIZED);
}

static void cancelled(struct check *c)
{
	struct bench b;
	begin_encrypt(c, &b);
	CK_RV rv = c->p30->C_MessageEncryptInit(c->session, NULL, CK_INVALID_HANDLE);
	EXPECT_CODE(c, 159, "C_MessageEncryptInit", rv, CKR_OK, CKR_OPERATION_CANCEL_FAILED);
	if (rv == CKR_OK)
		EXPECT_CODE(c, 159, "C_EncryptMessage", encrypt(c, &b),
		            CKR_OPERATION_NOT_INITIALIZED);
}

static void session_cancel(struct check *c)
{
	struct bench b;
	begin_encrypt(c, &b);
	CK_RV rv = c->p30->C_SessionCancel(c->session, CKF_MESSAGE_ENCRYPT);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "C_SessionCancel is not supported");
	EXPECT_CODE(c, 155, "C_SessionCancel", rv, CKR_OK, CKR_OPERATION_CANCEL_FAILED);
	if (rv == CKR_OK)
		EXPECT_CODE(c, 155, "C_EncryptMessage", encrypt(c, &b),
		            CKR_OPERATION_NOT_INITIALIZED);
}

/* The length of no parameter. */
#define SHORT 5

static void parameter(struct check *c)
{
	struct bench b;
	/* Nobody is to look behind what is said of its length. */
	CK_BYTE *bytes = check_buffer(c, SHORT);
	begin_encrypt(c, &b);
	memcpy(bytes, &b.m.p, SHORT);
	b.size = sizeof(b.sealed);
	CK_RV rv = c->p30->C_EncryptMessage(c->session, c->row->a == 0 ? NULL : bytes,
	                                    c->row->a == 0 ? 0 : SHORT, aad, sizeof(aad), plain,
	                                    sizeof(plain), b.sealed, &b.size);
	EXPECT_CODE(c, 178, "C_EncryptMessage", rv, CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD);
}

static void permitted(struct check *c)
{
	struct bench b;
	CK_BBOOL no = CK_FALSE;
	CK_ATTRIBUTE uses = { c->row->a != 0 ? CKA_ENCRYPT : CKA_DECRYPT, &no, sizeof(no) };
	begin(c, &b);
	NEED_OK(c, c->p11->C_SetAttributeValue(c->session, b.key, &uses, 1));
	if (c->row->a != 0)
		EXPECT_RV(c, 176, c->p30->C_MessageEncryptInit(c->session, &b.mechanism, b.key),
		          CKR_KEY_FUNCTION_NOT_PERMITTED);
	else
		EXPECT_RV(c, 176, c->p30->C_MessageDecryptInit(c->session, &b.mechanism, b.key),
		          CKR_KEY_FUNCTION_NOT_PERMITTED);
}

static void no_key(struct check *c)
{
	struct bench b;
	begin(c, &b);
	EXPECT_RV(c, 177, c->p30->C_MessageEncryptInit(c->session, &b.mechanism, CK_INVALID_HANDLE),
	          CKR_KEY_HANDLE_INVALID);
	EXPECT_RV(c, 177, c->p30->C_MessageDecryptInit(c->session, &b.mechanism, CK_INVALID_HANDLE),
	          CKR_KEY_HANDLE_INVALID);
}

/* C_Encrypt and C_Decrypt give nothing away before the tag is seen to be right (§6.13). */
static void releases_early(struct check *c)
{
	static CK_BYTE iv[12];
	struct bench b;
	CK_GCM_PARAMS gcm = { iv, sizeof(iv), sizeof(iv) * 8, NULL, 0, 128 };
	CK_CCM_PARAMS ccm = { sizeof(plain), iv, sizeof(iv), NULL, 0, 16 };
	CK_BYTE sealed[OUT_SIZE], out[OUT_SIZE];
	CK_ULONG size = sizeof(sealed), out_size = sizeof(out);
	static const CK_BYTE value[32] = "p11tape check, a secret of 32 by";
	b.a = c->row->data;
	keying_mechanism(c, b.a->mechanism, CKF_ENCRYPT | CKF_DECRYPT);
	if (b.a->mechanism == CKM_CHACHA20_POLY1305)
		check_skip(c, "the text says it of GCM and CCM");
	b.mechanism = (CK_MECHANISM){ b.a->mechanism,
		                      b.a->mechanism == CKM_AES_GCM ? (void *)&gcm : (void *)&ccm,
		                      b.a->mechanism == CKM_AES_GCM ? sizeof(gcm) : sizeof(ccm) };
	b.key = keying_secret(c, CKK_AES, value, sizeof(value));
	NEED_OK(c, c->p11->C_EncryptInit(c->session, &b.mechanism, b.key));
	NEED_OK(c, c->p11->C_Encrypt(c->session, plain, sizeof(plain), sealed, &size));
	NEED_OK(c, c->p11->C_DecryptInit(c->session, &b.mechanism, b.key));
	NEED_OK(c, c->p11->C_DecryptUpdate(c->session, sealed, size, out, &out_size));
	EXPECT(c, 198, out_size == 0, "C_DecryptUpdate gives %lu bytes that may be forged",
	       out_size);
}

/* ---- signing and verifying messages ----------------------------------------------------------------------- */

static const struct signer {
	const char *name;
	CK_MECHANISM_TYPE mechanism;
	enum object_kind private, public;
} signers[] = {
	{ "hmac", CKM_SHA256_HMAC, OBJECT_SECRET, OBJECT_SECRET },
	{ "rsa", CKM_SHA256_RSA_PKCS, OBJECT_RSA_PRIVATE, OBJECT_RSA_PUBLIC },
	{ "ecdsa", CKM_ECDSA_SHA256, OBJECT_EC_PRIVATE, OBJECT_EC_PUBLIC },
};

struct signing {
	CK_MECHANISM mechanism;
	CK_OBJECT_HANDLE private, public;
	CK_BYTE signature[512];
	CK_ULONG size;
};

static void begin_sign(struct check *c, struct signing *s)
{
	const struct signer *signer = c->row->data;
	memset(s, 0, sizeof(*s));
	s->mechanism.mechanism = signer->mechanism;
	keying_mechanism(c, signer->mechanism, 0);
	s->private = object_make(c, signer->private);
	s->public = signer->public == signer->private ? s->private : object_make(c, signer->public);
	NEED_OK(c, c->p30->C_MessageSignInit(c->session, &s->mechanism, s->private));
}

static CK_RV sign(struct check *c, struct signing *s)
{
	s->size = sizeof(s->signature);
	return c->p30->C_SignMessage(c->session, NULL, 0, plain, sizeof(plain), s->signature,
	                             &s->size);
}

static CK_RV verify(struct check *c, struct signing *s)
{
	return c->p30->C_VerifyMessage(c->session, NULL, 0, plain, sizeof(plain), s->signature,
	                               s->size);
}

static void begin_verify(struct check *c, struct signing *s)
{
	begin_sign(c, s);
	NEED_OK(c, sign(c, s));
	NEED_OK(c, c->p30->C_MessageSignFinal(c->session));
	NEED_OK(c, c->p30->C_MessageVerifyInit(c->session, &s->mechanism, s->public));
}

static void sign_and_verify(struct check *c)
{
	struct signing s;
	begin_verify(c, &s);
	for (int i = 0; i < 3; i++)
		EXPECT_CODE(c, 186, "C_VerifyMessage", verify(c, &s), CKR_OK);
	s.signature[s.size / 2] ^= 1;
	EXPECT_CODE(c, 171, "C_VerifyMessage", verify(c, &s), CKR_SIGNATURE_INVALID);
	s.signature[s.size / 2] ^= 1;
	EXPECT_CODE(c, 186, "C_VerifyMessage", verify(c, &s), CKR_OK);
	EXPECT_RV(c, 186, c->p30->C_MessageVerifyFinal(c->session), CKR_OK);
	EXPECT_CODE(c, 163, "C_VerifyMessage", verify(c, &s), CKR_OPERATION_NOT_INITIALIZED);
}

static void sign_sizes(struct check *c)
{
	struct signing s;
	CK_ULONG need = 0, size;
	begin_sign(c, &s);
	NEED_OK(c, sign(c, &s));
	EXPECT_RV(c, 30,
	          c->p30->C_SignMessage(c->session, NULL, 0, plain, sizeof(plain), NULL, &need),
	          CKR_OK);
	EXPECT(c, 30, need >= s.size && need <= s.size + 64, "the length query said %lu", need);
	size = s.size - 1;
	CK_BYTE *small = check_buffer(c, size);
	EXPECT_RV(c, 32,
	          c->p30->C_SignMessage(c->session, NULL, 0, plain, sizeof(plain), small, &size),
	          CKR_BUFFER_TOO_SMALL);
	EXPECT(c, 32, size >= s.size, "with CKR_BUFFER_TOO_SMALL the length is %lu", size);
	EXPECT_CODE(c, 34, "C_SignMessage", sign(c, &s), CKR_OK);
}

static void need_signed_parts(struct check *c, struct signing *s)
{
	CK_SESSION_HANDLE session = check_open(c, 0);
	NEED_OK(c, c->p30->C_MessageSignInit(session, &s->mechanism, s->private));
	NEED_OK(c, c->p30->C_SignMessageBegin(session, NULL, 0));
}

static void sign_in_parts(struct check *c)
{
	struct signing s;
	begin_sign(c, &s);
	need_signed_parts(c, &s);
	EXPECT_RV(c, 188, c->p30->C_SignMessageBegin(c->session, NULL, 0), CKR_OK);
	EXPECT_RV(c, 191, c->p30->C_SignMessageNext(c->session, NULL, 0, plain, 16, NULL, NULL),
	          CKR_OK);
	s.size = sizeof(s.signature);
	EXPECT_RV(c, 191,
	          c->p30->C_SignMessageNext(c->session, NULL, 0, plain + 16, sizeof(plain) - 16,
	                                    s.signature, &s.size),
	          CKR_OK);
	/* It was the last part. */
	EXPECT_RV(c, 191, c->p30->C_SignMessageNext(c->session, NULL, 0, plain, 16, NULL, NULL),
	          CKR_OPERATION_NOT_INITIALIZED);
	NEED_OK(c, c->p30->C_MessageSignFinal(c->session));
	NEED_OK(c, c->p30->C_MessageVerifyInit(c->session, &s.mechanism, s.public));
	EXPECT_CODE(c, 191, "C_VerifyMessage", verify(c, &s), CKR_OK);
	EXPECT_RV(c, 188, c->p30->C_VerifyMessageBegin(c->session, NULL, 0), CKR_OK);
	EXPECT_RV(c, 192, c->p30->C_VerifyMessageNext(c->session, NULL, 0, plain, 16, NULL, 0),
	          CKR_OK);
	EXPECT_RV(c, 192,
	          c->p30->C_VerifyMessageNext(c->session, NULL, 0, plain + 16, sizeof(plain) - 16,
	                                      s.signature, s.size),
	          CKR_OK);
	EXPECT_RV(c, 192, c->p30->C_VerifyMessageNext(c->session, NULL, 0, plain, 16, NULL, 0),
	          CKR_OPERATION_NOT_INITIALIZED);
}

/* A signature that is wrong ends the message as well. */
static void wrong_in_parts(struct check *c)
{
	struct signing s;
	begin_verify(c, &s);
	need_signed_parts(c, &s);
	s.signature[0] ^= 1;
	NEED_OK(c, c->p30->C_VerifyMessageBegin(c->session, NULL, 0));
	EXPECT_RV(c, 192,
	          c->p30->C_VerifyMessageNext(c->session, NULL, 0, plain, sizeof(plain),
	                                      s.signature, s.size),
	          CKR_SIGNATURE_INVALID);
	EXPECT_RV(c, 192, c->p30->C_VerifyMessageNext(c->session, NULL, 0, plain, 16, NULL, 0),
	          CKR_OPERATION_NOT_INITIALIZED);
	EXPECT_RV(c, 186, c->p30->C_VerifyMessageBegin(c->session, NULL, 0), CKR_OK);
}

static void sign_inside(struct check *c)
{
	struct signing s;
	bool signs = c->row->a != 0;
	if (signs)
		begin_sign(c, &s);
	else
		begin_verify(c, &s);
	need_signed_parts(c, &s);
	NEED_OK(c, signs ? c->p30->C_SignMessageBegin(c->session, NULL, 0)
	                 : c->p30->C_VerifyMessageBegin(c->session, NULL, 0));
	EXPECT_CODE(c, 187, signs ? "C_SignMessage" : "C_VerifyMessage",
	            signs ? sign(c, &s) : verify(c, &s), CKR_OPERATION_ACTIVE,
	            CKR_OPERATION_NOT_INITIALIZED);
}

/* ---- every function without its Init ----------------------------------------------------------------------- */

static void not_begun(struct check *c)
{
	enum tape_function_id id = (enum tape_function_id)c->row->a;
	uintptr_t words[TAPE_MAX_WORDS] = { 0 };
	if (check_function(c, id) == NULL)
		check_skip(c, "the module has no function list with it");
	check_arguments(c, id, words);
	unsigned short rule = c->row->rules[0];
	CK_RV rv = check_call(c, id, words);
	if (rv == CKR_FUNCTION_NOT_SUPPORTED)
		check_skip(c, "the function is not supported");
	EXPECT_CODE(c, rule, tape_functions[id].name.text, rv, CKR_OPERATION_NOT_INITIALIZED);
}

/* Processes are open, messages are not. */
static void next_without_begin(struct check *c)
{
	CK_BYTE out[OUT_SIZE];
	CK_ULONG size;
	if (c->row->a < 2) {
		struct bench b;
		bool seals = c->row->a == 0;
		need_parts(c);
		if (seals)
			begin_encrypt(c, &b);
		else
			begin_decrypt(c, &b);
		EXPECT_CODE(c, 188, seals ? "C_EncryptMessageNext" : "C_DecryptMessageNext",
		            message_next(c, &b, seals, plain, 16, out, &size, 0),
		            CKR_OPERATION_NOT_INITIALIZED);
		return;
	}
	struct signing s;
	size = sizeof(out);
	if (c->row->a == 2) {
		begin_sign(c, &s);
		need_signed_parts(c, &s);
		EXPECT_RV(c, 188,
		          c->p30->C_SignMessageNext(c->session, NULL, 0, plain, 16, out, &size),
		          CKR_OPERATION_NOT_INITIALIZED);
	} else {
		begin_verify(c, &s);
		need_signed_parts(c, &s);
		EXPECT_RV(c, 188,
		          c->p30->C_VerifyMessageNext(c->session, NULL, 0, plain, 16, out, 32),
		          CKR_OPERATION_NOT_INITIALIZED);
	}
}

/* ---- the list ------------------------------------------------------------------------------------------------ */

static void add_aead(struct check_list *list, const struct aead *a)
{
	static const char *const changes[] = { "tag-first", "tag-last", "ciphertext",
		                               "iv",        "aad",      "cut" };
	static const struct {
		const char *name;
		CK_GENERATOR_FUNCTION generator;
		CK_ULONG fixed;
	} generators[] = { { "any", CKG_GENERATE, 0 },
		           { "any-fixed-32", CKG_GENERATE, 32 },
		           { "random", CKG_GENERATE_RANDOM, 0 },
		           { "counter", CKG_GENERATE_COUNTER, 0 },
		           { "counter-fixed-32", CKG_GENERATE_COUNTER, 32 } };
	const unsigned int need = NEED_USER | NEED_V30;
	const struct {
		const char *name;
		struct check_row row;
	} members[] = {
		{ "round-trip", CHECK(round_trip, need, "a message comes back", 186, 196) },
		{ "same-as-encrypt",
		  CHECK(same_as_encrypt, need, "a message is as C_Encrypt encrypts it", 196) },
		{ "many", CHECK(many_messages, need, "one process, many messages", 186) },
		{ "sizes", CHECK(sizes, need, "the output follows §5.2", 30, 31, 32, 34) },
		{ "in-place", CHECK(in_place, need, "input and output may be one", 37) },
		{ "parameter-is-input",
		  CHECK(parameter_is_input, need, "decryption writes nothing to it", 186, 193) },
		{ "wrong-tag-in-parts",
		  CHECK(wrong_tag_in_parts, need, "a wrong tag fails the last part", 195, 189) },
		{ "too-small-in-parts",
		  CHECK(too_small_in_parts, need, "a part may be tried again", 31, 32, 189) },
		{ "error-in-parts", CHECK(error_in_parts, need,
		                          "an error ends the message, not the process", 314, 190) },
		{ "init-twice", CHECK(init_twice, need, "a process within a process", 162, 186) },
		{ "after-final", CHECK(after_final, need, "after the end it is over", 186, 163) },
		{ "cancel", CHECK(cancelled, need, "without a mechanism it cancels", 159) },
		{ "session-cancel",
		  CHECK(session_cancel, need, "C_SessionCancel ends the process", 155) },
		{ "no-key", CHECK(no_key, need, "what is no key begins none", 177) },
		{ "releases-early",
		  CHECK(releases_early, NEED_USER, "no plaintext before the tag is seen", 198) },
	};
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(members); i++) {
		row = members[i].row;
		row.data = a;
		keying_row(&row, a->mechanism, CKF_ENCRYPT | CKF_MESSAGE_ENCRYPT);
		check_add(list, row, "%s/%s", members[i].name, a->name);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(changes); i++) {
		row = CHECK(changed, need, "what was changed does not decrypt", 195, 198, 190);
		row.data = a;
		keying_row(&row, a->mechanism, CKF_ENCRYPT | CKF_MESSAGE_ENCRYPT);
		row.a = i;
		check_add(list, row, "changed/%s-%s", a->name, changes[i]);
	}
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(generators); i++) {
		row = CHECK(generates, need, "the token makes the IV", 197, 193);
		row.data = a;
		keying_row(&row, a->mechanism, CKF_ENCRYPT | CKF_MESSAGE_ENCRYPT);
		row.a = generators[i].generator;
		row.b = generators[i].fixed;
		check_add(list, row, "generates/%s-%s", a->name, generators[i].name);
	}
	for (unsigned int i = 0; i < 2; i++) {
		static const char *const ways[] = { "decrypt", "encrypt" };
		row = CHECK(in_parts, need, "a message in parts is the same", 188, 189, 186, 196);
		row.data = a;
		keying_row(&row, a->mechanism, CKF_ENCRYPT | CKF_MESSAGE_ENCRYPT);
		row.a = i;
		check_add(list, row, "in-parts/%s-%s", a->name, ways[i]);
		row = CHECK(one_inside_another, need, "no message within a message", 187);
		row.data = a;
		keying_row(&row, a->mechanism, CKF_ENCRYPT | CKF_MESSAGE_ENCRYPT);
		row.a = i;
		check_add(list, row, "inside/%s-%s", a->name, ways[i]);
		row = CHECK(permitted, need, "a key without the use begins none", 176);
		row.data = a;
		keying_row(&row, a->mechanism, CKF_ENCRYPT | CKF_MESSAGE_ENCRYPT);
		row.a = i;
		check_add(list, row, "not-permitted/%s-%s", a->name, ways[i]);
		row = CHECK(parameter, need, "a parameter that does not fit is refused", 178);
		row.data = a;
		keying_row(&row, a->mechanism, CKF_ENCRYPT | CKF_MESSAGE_ENCRYPT);
		row.a = i;
		check_add(list, row, "parameter/%s-%s", a->name, i == 0 ? "none" : "short");
	}
}

static void add_signer(struct check_list *list, const struct signer *signer)
{
	const unsigned int need = NEED_USER | NEED_V30;
	const struct {
		const char *name;
		struct check_row row;
	} members[] = {
		{ "verifies",
		  CHECK(sign_and_verify, need, "signed messages are verified", 186, 171, 163) },
		{ "sign-sizes", CHECK(sign_sizes, need, "the output follows §5.2", 30, 32, 34) },
		{ "sign-in-parts",
		  CHECK(sign_in_parts, need, "messages in parts are the same", 188, 191, 192) },
		{ "wrong-in-parts",
		  CHECK(wrong_in_parts, need, "a wrong signature ends the message", 192, 186) },
	};
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(members); i++) {
		row = members[i].row;
		row.data = signer;
		keying_row(&row, signer->mechanism, CKF_SIGN | CKF_MESSAGE_SIGN);
		check_add(list, row, "%s/%s", members[i].name, signer->name);
	}
	for (unsigned int i = 0; i < 2; i++) {
		row = CHECK(sign_inside, need, "no message within a message", 187);
		row.data = signer;
		keying_row(&row, signer->mechanism, CKF_SIGN | CKF_MESSAGE_SIGN);
		row.a = i;
		check_add(list, row, "inside/%s-%s", signer->name, i != 0 ? "sign" : "verify");
	}
}

void suite_message(struct check_list *list)
{
	static const enum tape_function_id begun[] = {
		TAPE_FN_C_EncryptMessage,      TAPE_FN_C_EncryptMessageBegin,
		TAPE_FN_C_EncryptMessageNext,  TAPE_FN_C_MessageEncryptFinal,
		TAPE_FN_C_DecryptMessage,      TAPE_FN_C_DecryptMessageBegin,
		TAPE_FN_C_DecryptMessageNext,  TAPE_FN_C_MessageDecryptFinal,
		TAPE_FN_C_SignMessage,         TAPE_FN_C_SignMessageBegin,
		TAPE_FN_C_SignMessageNext,     TAPE_FN_C_MessageSignFinal,
		TAPE_FN_C_VerifyMessage,       TAPE_FN_C_VerifyMessageBegin,
		TAPE_FN_C_VerifyMessageNext,   TAPE_FN_C_MessageVerifyFinal,
		TAPE_FN_C_VerifySignature,     TAPE_FN_C_VerifySignatureUpdate,
		TAPE_FN_C_VerifySignatureFinal
	};
	static const char *const nexts[] = { "encrypt", "decrypt", "sign", "verify" };
	struct check_row row;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(aeads); i++)
		add_aead(list, &aeads[i]);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(signers); i++)
		add_signer(list, &signers[i]);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(begun); i++) {
		row = CHECK(not_begun, NEED_SESSION, "without its Init it is refused", 163);
		row.a = begun[i];
		check_add(list, row, "not-begun/%s", tape_functions[begun[i]].name.text);
	}
	for (unsigned int i = 0; i < 4; i++) {
		row = CHECK(next_without_begin, NEED_USER | NEED_V30,
		            "a part without a message is refused", 188);
		row.data = i < 2 ? (const void *)&aeads[0] : (const void *)&signers[0];
		row.a = i;
		check_add(list, row, "next-without-begin/%s", nexts[i]);
	}
}
