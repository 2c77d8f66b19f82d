/* SPDX-License-Identifier: MIT
 *
 * The mock token: what its files share.
 *
 * All calls run under one lock (module.c), so nothing below locks. A function that returns CK_RV
 * changes nothing unless it returns CKR_OK (PKCS#11 3.2 §5.0), where its comment does not say else.
 */
#ifndef TAPE_TESTS_MOCK_H
#define TAPE_TESTS_MOCK_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/api/api.h"

/* ---- switches and faults (config.c) ----------------------------------------------------------- */

enum mock_fault {
#define FAULT_ROW(name, rule, sentence) MOCK_FAULT_##name,
#include "tests/mock/faults.def"
#undef FAULT_ROW
	MOCK_FAULT_COUNT
};

struct mock_config {
#define SWITCH_FLAG(member, word, sentence) bool member;
#define SWITCH_NUMBER(member, word, standard, sentence) CK_ULONG member;
#define SWITCH_TEXT(member, word, standard, sentence) char member[256];
#include "tests/mock/switches.def"
#undef SWITCH_FLAG
#undef SWITCH_NUMBER
#undef SWITCH_TEXT
	CK_VERSION version_number; /* of `version` */
	bool faults[MOCK_FAULT_COUNT];
};

extern struct mock_config mock_config;

/* Read P11TAPE_MOCK. An unknown word is said on stderr and refused: a fault must not be lost by a typo. */
bool mock_config_read(void);

/* Is this deviation switched on? */
#define FAULT(name) (mock_config.faults[MOCK_FAULT_##name])

/* Was it there in the version of PKCS#11 that the mock plays? */
bool mock_has_version(unsigned major, unsigned minor);

/* Is `word` in the list `text`, whose items have a '+' between them? */
bool mock_listed(const char *text, const char *word);

/* ---- bytes (attributes.c) --------------------------------------------------------------------- */

/* Bytes that grow. `failed` stays true once memory was refused: test it once, at the end. */
struct bytes {
	CK_BYTE *data;
	CK_ULONG length, room;
	bool failed;
};

void bytes_add(struct bytes *bytes, const void *data, CK_ULONG length);
/* Append `length` bytes to be filled in by the caller; NULL without memory. */
CK_BYTE *bytes_extend(struct bytes *bytes, CK_ULONG length);
void bytes_done(struct bytes *bytes); /* wipe and free */

/* ---- attributes (attributes.c) ---------------------------------------------------------------- */

struct attributes;

struct attribute {
	CK_ATTRIBUTE_TYPE type;
	CK_BYTE *value;
	CK_ULONG
	length; /* of value, in bytes; of a template: its items times sizeof(CK_ATTRIBUTE) */
	struct attributes *nested; /* an array of attributes, a copy of our own; else NULL */
};

struct attributes {
	struct attribute *list;
	size_t count, room;
	bool failed; /* memory was refused */
};

const struct attribute *attributes_find(const struct attributes *set, CK_ATTRIBUTE_TYPE type);
void attributes_put(struct attributes *set, CK_ATTRIBUTE_TYPE type, const void *value,
                    CK_ULONG length);
void attributes_put_bool(struct attributes *set, CK_ATTRIBUTE_TYPE type, bool value);
void attributes_put_ulong(struct attributes *set, CK_ATTRIBUTE_TYPE type, CK_ULONG value);
/* Put what a caller's template item says, nested items included. */
void attributes_put_item(struct attributes *set, const CK_ATTRIBUTE *item);
/* Put an array of attributes; `nested` is taken over. */
void attributes_put_nested(struct attributes *set, CK_ATTRIBUTE_TYPE type,
                           struct attributes *nested);
void attributes_put_copy(struct attributes *set, const struct attribute *from);
void attributes_copy(struct attributes *to, const struct attributes *from);
void attributes_drop(struct attributes *set, CK_ATTRIBUTE_TYPE type);
void attributes_done(struct attributes *set);

bool attributes_bool(const struct attributes *set, CK_ATTRIBUTE_TYPE type); /* false where absent */
CK_ULONG attributes_ulong(const struct attributes *set,
                          CK_ATTRIBUTE_TYPE type); /* CK_UNAVAILABLE… */

bool attribute_equals_item(const struct attribute *attribute, const CK_ATTRIBUTE *item);
bool attribute_equals(const struct attribute *a, const struct attribute *b);

/* CKR_ATTRIBUTE_TYPE_INVALID or _VALUE_INVALID for an item that is wrong whatever the object (§4.1.1). */
CK_RV attribute_check_item(const CK_ATTRIBUTE *item);

/* ---- policy (attributes.c, policy.def) -------------------------------------------------------- */

/* Where an object comes from. */
enum origin {
	FROM_CREATE,   /* C_CreateObject */
	FROM_GENERATE, /* C_GenerateKey, C_GenerateKeyPair */
	FROM_UNWRAP,   /* C_UnwrapKey, C_DecapsulateKey, C_EncapsulateKey */
	FROM_DERIVE,   /* C_DeriveKey */
	FROM_TOKEN,    /* the token itself: may set everything */
};

/* The footnotes of PKCS#11 3.2 §4.2, table 13, and what else a row says. */
enum policy_trait {
	NEED_CREATE = 1 << 0,   /* 1: must be specified for C_CreateObject */
	NOT_CREATE = 1 << 1,    /* 2 */
	NEED_GENERATE = 1 << 2, /* 3 */
	NOT_GENERATE = 1 << 3,  /* 4 */
	NEED_UNWRAP = 1 << 4,   /* 5 */
	NOT_UNWRAP = 1 << 5,    /* 6 */
	HIDDEN = 1 << 6,        /* 7: not revealed of a sensitive or unextractable key */
	CHANGES = 1 << 7,       /* 8: C_SetAttributeValue and C_CopyObject may change it */
	ONLY_SO = 1 << 8,       /* 10: only the SO sets it true */
	STAYS_TRUE = 1 << 9,    /* 11 */
	STAYS_FALSE = 1 << 10,  /* 12 */
	IN_COPY = 1 << 11, /* C_CopyObject may change it, C_SetAttributeValue may not (§4.1.3) */
	OURS = NOT_CREATE | NOT_GENERATE | NOT_UNWRAP, /* the token alone sets it */
};

enum policy_default { NONE, EMPTY, FALSE, TRUE, ZERO, UNAVAILABLE };

struct policy {
	CK_ATTRIBUTE_TYPE type;
	unsigned classes;    /* 1 << object class */
	CK_ULONG key_family; /* CKK_RSA, CKK_EC (Edwards and Montgomery too), CKK_DH, or ANY_KEY */
	unsigned traits;     /* enum policy_trait */
	enum policy_default value; /* where nobody says */
};

/* The row of an attribute in objects of a class and a key type (CK_UNAVAILABLE_INFORMATION: no key). */
const struct policy *policy_find(CK_ATTRIBUTE_TYPE type, CK_OBJECT_CLASS class,
                                 CK_KEY_TYPE key_type);
extern const struct policy policies[];
extern const size_t policy_count;
bool policy_applies(const struct policy *row, CK_OBJECT_CLASS class, CK_KEY_TYPE key_type);

/* ---- slots, tokens, sessions (state.c) --------------------------------------------------------- */

#define PIN_MIN 4
#define PIN_MAX 64
#define PIN_TRIES 3

struct pin {
	bool set;
	CK_BYTE text[PIN_MAX];
	CK_ULONG length;
	unsigned failures;
	bool to_be_changed; /* CKF_…_PIN_TO_BE_CHANGED */
};

#define NOBODY (~(CK_USER_TYPE)0)

struct object {
	struct object *next;
	struct slot *slot;
	CK_OBJECT_HANDLE handle; /* 0 until somebody who may see it meets it */
	CK_SESSION_HANDLE owner; /* of a session object; 0 for a token object */
	struct attributes attributes;
};

struct slot {
	CK_SLOT_ID id;
	bool removable, present, event;
	bool initialised; /* CKF_TOKEN_INITIALIZED */
	CK_UTF8CHAR label[32];
	struct pin so, user;
	CK_USER_TYPE login; /* CKU_SO, CKU_USER, or NOBODY */
	bool seeded;        /* C_SeedRandom was called */
	CK_ULONG unique;    /* the last CKA_UNIQUE_ID */
	CK_ULONG counter;   /* the monotonic counter's value */
	struct object *objects;
};

/* The operations of a session; also the uses of a key. */
enum kind {
	KIND_ENCRYPT,
	KIND_DECRYPT,
	KIND_DIGEST,
	KIND_SIGN,
	KIND_SIGN_RECOVER,
	KIND_VERIFY,
	KIND_VERIFY_RECOVER,
	KIND_VERIFY_SIGNATURE,
	KIND_MESSAGE_ENCRYPT,
	KIND_MESSAGE_DECRYPT,
	KIND_MESSAGE_SIGN,
	KIND_MESSAGE_VERIFY,
	KIND_OPERATIONS, /* the rest are uses only */
	KIND_WRAP = KIND_OPERATIONS,
	KIND_UNWRAP,
	KIND_DERIVE,
	KIND_ENCAPSULATE,
	KIND_DECAPSULATE,
	KIND_GENERATE,
	KIND_GENERATE_PAIR,
	KIND_WRAP_AUTHENTICATED,
	KIND_UNWRAP_AUTHENTICATED,
	KIND_COUNT
};

struct operation;

struct search {
	bool active;
	CK_OBJECT_HANDLE *found;
	size_t count, next;
};

struct session {
	struct session *next;
	CK_SESSION_HANDLE handle;
	struct slot *slot;
	CK_FLAGS flags;
	struct operation *operations[KIND_OPERATIONS];
	struct search search;
	struct pending *pending; /* async.c */
	CK_FLAGS validation;     /* of the last operation (§5.6.11) */
};

/* What lives from C_Initialize to C_Finalize, and the slots, which live longer. */
struct mock {
	struct slot *slots;
	CK_ULONG slot_count;
	struct session *sessions;
	CK_ULONG last_handle;
	OSSL_LIB_CTX *crypto;
};
extern struct mock mock;

/* Wait for slot events and C_Finalize (module.c and state.c). */
void mock_lock(void);
void mock_unlock(void);
unsigned long mock_generation(void); /* differs after every C_Finalize */

bool mock_state_begin(void); /* C_Initialize */
void mock_state_end(void);   /* C_Finalize: all sessions are gone, token objects stay */
void mock_state_unload(void);
void mock_poll_slots(void); /* see whether tokens came or went */
void mock_wake(void);       /* release who waits for a slot event */

struct slot *slot_find(CK_SLOT_ID id);
struct session *session_find(CK_SESSION_HANDLE handle);
CK_ULONG new_handle(void);

/* Log out: private objects become unknown, private session objects die (§5.6.10). */
void slot_log_out(struct slot *slot);

bool session_is_rw(const struct session *session);
CK_STATE session_state(const struct session *session);
/* May the session's application see private objects? CKR_OK, CKR_USER_NOT_LOGGED_IN, CKR_PIN_EXPIRED. */
CK_RV session_private(const struct session *session);
/* May it write token objects? CKR_OK, CKR_TOKEN_WRITE_PROTECTED or CKR_SESSION_READ_ONLY, in that order. */
CK_RV session_writes(const struct session *session);
/* Functions that create or change objects are not there on a read-only module. */
CK_RV slot_writes(const struct slot *slot);

/* ---- objects (objects.c) ------------------------------------------------------------------------ */

/* The object behind a handle, if the session may see it; else NULL. */
struct object *object_find(const struct session *session, CK_OBJECT_HANDLE handle);

CK_OBJECT_CLASS object_class(const struct attributes *set);
CK_KEY_TYPE object_key_type(const struct attributes *set);

/*
 * Make a new object of a template and of what the function contributes (its class, its key's value …),
 * by the rules of §4.1.1. `extra` may be NULL: a template of a key (CKA_UNWRAP_TEMPLATE …) that is added.
 * `contributed` is taken over, whatever happens. The object is not yet to be found: object_publish().
 */
CK_RV object_make(struct session *session, enum origin origin, const CK_ATTRIBUTE *template,
                  CK_ULONG count, struct attributes *contributed, const struct attributes *extra,
                  struct object **ret_object);
CK_OBJECT_HANDLE object_publish(struct object *object);
void object_free(struct object *object);
void slot_drop_objects(struct slot *slot, bool (*which)(const struct object *, const void *),
                       const void *context);

/* P11TAPE_MOCK=store=FILE (store.c). False, with a sentence on stderr, for a file that is none. */
bool store_read(void);
void store_write(void);

/* Objects that a token is born with (presets.c). */
void slot_add_presets(struct slot *slot);
struct object *object_add(struct slot *slot, struct attributes *set);

/* ---- mechanisms (mechanisms.c, mechanisms.def) -------------------------------------------------- */

/* A mechanism's parameter, checked and copied. */
struct parameter {
	struct bytes iv;  /* IV, nonce, counter block */
	struct bytes aad; /* associated data, OAEP label */
	CK_ULONG bits;    /* of the counter */
	CK_ULONG length;  /* of the tag, the MAC, the salt */
	CK_ULONG data;    /* length of the data, CCM; CK_UNAVAILABLE_INFORMATION if not said */
	const char *hash; /* libcrypto's name */
	const char *mgf;  /* libcrypto's name of its hash */
};

struct compute {
	enum kind kind;
	const struct mechanism *mechanism;
	const struct parameter *parameter;
	const struct attributes *key; /* NULL for digests */
	const struct bytes *input;
	const struct bytes *signature; /* KIND_VERIFY */
	bool last;                     /* else only the beginning of the input is there */
	bool detached;                 /* AEAD: the tag is not part of the data, but in `tag` */
	struct bytes *tag;
	struct bytes *output;
};

enum mechanism_trait {
	SINGLE = 1 << 0,    /* single-part only */
	STREAM = 1 << 1,    /* any length, no block */
	PADDED = 1 << 2,    /* pads to whole blocks */
	AEAD = 1 << 3,      /* a tag follows the ciphertext */
	WITHHOLDS = 1 << 4, /* gives no output before the end */
};

struct mechanism {
	CK_MECHANISM_TYPE type;
	CK_FLAGS flags;
	CK_ULONG min, max;     /* key size, as C_GetMechanismInfo says it */
	CK_ULONG key_types[4]; /* ANY_KEY ends the list */
	unsigned traits;       /* enum mechanism_trait */
	const char *
		algorithm; /* libcrypto's name of the digest or, with %u for the bits, the cipher */
	CK_ULONG block;    /* a cipher's block, a digest's or MAC's length, in bytes */
	/* Check and copy the parameter. Never NULL. */
	CK_RV (*parameter)(const CK_MECHANISM *mechanism, struct parameter *parameter);
	/* Encrypt, decrypt, sign, verify, digest. */
	CK_RV (*compute)(const struct compute *compute);
	/* Make the key's value or the pair: what the function contributes to the new objects. */
	CK_RV(*generate)
	(struct session *session, const CK_MECHANISM *mechanism,
	 const struct attributes *public_template, struct attributes *public_part,
	 struct attributes *private_part);
	/* Derive: the bytes of the new key, `length` of them (0: the natural length). */
	CK_RV(*derive)
	(struct session *session, const CK_MECHANISM *mechanism, const struct attributes *base,
	 CK_ULONG length, struct bytes *secret, struct attributes *contributed);
};

#define ANY_KEY CK_UNAVAILABLE_INFORMATION

extern const struct mechanism mechanisms[];
extern const size_t mechanism_count;

/* The row of a mechanism that this configuration has; NULL for others. */
const struct mechanism *mechanism_find(CK_MECHANISM_TYPE type);
CK_FLAGS mechanism_flags(const struct mechanism *mechanism);   /* in the version played */
const struct mechanism *mechanism_row(CK_MECHANISM_TYPE type); /* whatever the configuration */
void parameter_done(struct parameter *parameter);

/* What a use is called in mechanisms and keys. */
struct kind_info {
	CK_FLAGS flag;           /* CKF_ENCRYPT … */
	CK_ATTRIBUTE_TYPE usage; /* CKA_ENCRYPT …; ANY_KEY for none */
};
extern const struct kind_info kinds[KIND_COUNT];

/*
 * May `mechanism` be used so, and with that key? In the order: CKR_MECHANISM_INVALID, _PARAM_INVALID,
 * then the key's codes; WRAP and UNWRAP have codes of their own (§5.1.6). `key` may be 0 for KIND_DIGEST.
 */
CK_RV mechanism_use(struct session *session, enum kind kind, const CK_MECHANISM *mechanism,
                    CK_OBJECT_HANDLE key, const struct mechanism **ret_row, struct object **ret_key,
                    struct parameter *ret_parameter);

/* The parameter's forms (parameters.c). */
typedef CK_RV parameter_reader(const CK_MECHANISM *mechanism, struct parameter *parameter);
parameter_reader parameter_none, parameter_any, parameter_iv, parameter_ctr, parameter_gcm,
	parameter_ccm, parameter_chacha, parameter_oaep, parameter_pss, parameter_mac,
	parameter_eddsa, parameter_wrap_iv;

/* The computations (cipher.c, sign.c). */
typedef CK_RV computation(const struct compute *compute);
computation compute_cipher, compute_ccm, compute_chacha, compute_keywrap, compute_rsa_crypt,
	compute_rsa_sign, compute_ecdsa, compute_eddsa, compute_hmac, compute_cmac, compute_digest;

/* How long the output of a computation is, known before it is done; an upper bound when decrypting. */
CK_ULONG compute_length(const struct compute *compute, CK_ULONG input);
/* How much of the output is determined by the beginning of the input. */
CK_ULONG compute_available(const struct compute *compute, CK_ULONG input);

/* One-shot digest and MAC, by libcrypto's name. */
CK_RV digest_bytes(const char *name, const void *data, size_t length, struct bytes *output);
CK_RV hmac_bytes(const char *name, const void *key, size_t key_length, const void *data,
                 size_t length, struct bytes *output);
/* libcrypto's name of a hash mechanism or a mask generation function; NULL if unknown. */
const char *hash_name(CK_MECHANISM_TYPE type);
const char *mgf_name(CK_RSA_PKCS_MGF_TYPE type);
CK_ULONG hash_length(const char *name);

/* ---- keys (keys.c) ------------------------------------------------------------------------------- */

/* libcrypto's form of a key; NULL where its attributes make none. */
EVP_PKEY *key_open(const struct attributes *key);
/* Put the attributes that follow from a key pair's material. */
bool key_put_public(EVP_PKEY *pkey, struct attributes *set);
bool key_put_private(EVP_PKEY *pkey, struct attributes *set);
/* The length that mechanisms count a key in: bits for asymmetric keys, bytes for secret ones. */
CK_ULONG key_size(const struct attributes *key);
/* The bytes that C_WrapKey wraps: a secret's value, a private key's PKCS #8. CKR_KEY_NOT_WRAPPABLE. */
CK_RV key_wrap_bytes(const struct attributes *key, struct bytes *bytes);
/* The attributes that a PKCS #8 private key brings. */
CK_RV key_unwrap_private(const struct bytes *bytes, struct attributes *contributed);
/* Is the material of a new key object right? Adds what follows from it (lengths, check values …). */
CK_RV key_complete(struct attributes *set);
/* libcrypto's group, or "ED25519" …, of CKA_EC_PARAMS. */
CK_RV curve_name(const struct attribute *params, const char **ret_name);
/* 0 where the type has no fixed lengths; else is `length` one of them? */
bool secret_length_fits(CK_KEY_TYPE type, CK_ULONG length);
CK_ULONG secret_fixed_length(CK_KEY_TYPE type);
/* The first three bytes of a zero block encrypted (§4.11); false where the type has none. */
bool key_check_value(CK_KEY_TYPE type, const struct attribute *value, CK_BYTE check[3]);
void set_des_parity(CK_BYTE *key, CK_ULONG length);

/* ---- generating, deriving (generate.c, derive.c) --------------------------------------------------- */

CK_RV generate_secret(struct session *, const CK_MECHANISM *, const struct attributes *,
                      struct attributes *, struct attributes *);
CK_RV generate_pbkd2(struct session *, const CK_MECHANISM *, const struct attributes *,
                     struct attributes *, struct attributes *);
CK_RV generate_rsa(struct session *, const CK_MECHANISM *, const struct attributes *,
                   struct attributes *, struct attributes *);
CK_RV generate_ec(struct session *, const CK_MECHANISM *, const struct attributes *,
                  struct attributes *, struct attributes *);
CK_RV generate_dh(struct session *, const CK_MECHANISM *, const struct attributes *,
                  struct attributes *, struct attributes *);
CK_RV generate_dh_parameters(struct session *, const CK_MECHANISM *, const struct attributes *,
                             struct attributes *, struct attributes *);

typedef CK_RV derivation(struct session *session, const CK_MECHANISM *mechanism,
                         const struct attributes *base, CK_ULONG length, struct bytes *secret,
                         struct attributes *contributed);
derivation derive_ecdh, derive_dh, derive_hkdf, derive_hkdf_data, derive_digest,
	derive_base_and_data, derive_data_and_base, derive_base_and_key, derive_xor, derive_encrypt,
	derive_tls12_master;

/* The agreement itself: the x coordinate (or the DH secret), before any KDF. */
CK_RV agree(const struct attributes *private_key, const CK_BYTE *public_data, CK_ULONG length,
            struct bytes *shared);

/* ---- operations (operation.c) ------------------------------------------------------------------- */

struct operation {
	const struct mechanism *mechanism;
	struct parameter parameter;
	CK_OBJECT_HANDLE key_handle;
	struct attributes key;  /* a copy: destroying the object does not disturb the operation */
	bool needs_login;       /* CKA_ALWAYS_AUTHENTICATE, and nobody logged in for it yet */
	bool multi;             /* an Update call was there */
	struct bytes input;     /* all of it; everything is computed anew of it */
	CK_ULONG emitted;       /* output that was given away */
	struct bytes signature; /* KIND_VERIFY_SIGNATURE */
	bool message;           /* a message is open (message.c) */
};

void operation_end(struct session *session, enum kind kind);
/* End the operation unless `rv` is CKR_BUFFER_TOO_SMALL or a length query's CKR_OK (§5.2); returns rv. */
CK_RV operation_finish(struct session *session, enum kind kind, CK_RV rv, bool query);
/* Begin: for messages too. */
CK_RV operation_begin(struct session *session, enum kind kind, const CK_MECHANISM *mechanism,
                      CK_OBJECT_HANDLE key);
bool mechanism_cancels(const CK_MECHANISM *mechanism, CK_RV *rv, struct session *session,
                       enum kind kind);
struct compute operation_compute(enum kind kind, struct operation *operation, bool last);

/* §5.2: hand `bytes` from `from` on to the caller. */
CK_RV give_bytes(const CK_BYTE *data, CK_ULONG length, CK_BYTE *to, CK_ULONG *to_length);
/* §5.2 before the work is done: true if `length` bytes would do, else *rv is to be returned. */
bool give_room(CK_ULONG length, const CK_BYTE *to, CK_ULONG *to_length, CK_RV *rv);

/* ---- messages (message.c) ------------------------------------------------------------------------------ */

/*
 * Read a *_MESSAGE_PARAMS structure. `iv` and `tag` are the caller's memory: for the IV to be generated,
 * for the tag to be written or read.
 */
struct message_parameter {
	CK_BYTE *iv, *tag;
	CK_ULONG iv_length, tag_length, fixed_bits, data;
	CK_GENERATOR_FUNCTION generator;
};
CK_RV message_read(const struct mechanism *row, const void *parameter, CK_ULONG length,
                   struct message_parameter *message);
/* Make the IV, if the caller wants that, and take it and the associated data into `parameter`. */
CK_RV message_begin(struct message_parameter *message, bool seals, const CK_BYTE *aad,
                    CK_ULONG aad_length, struct parameter *parameter);

/* ---- random numbers (random.c) -------------------------------------------------------------------- */

bool random_install(OSSL_LIB_CTX *library); /* makes libcrypto draw from ours, too */
void random_remove(void);                   /* before the library context goes */
void random_begin(void);
void random_add_seed(const CK_BYTE *seed, CK_ULONG length);
void random_bytes(CK_BYTE *to, size_t length);

/* ---- the functions --------------------------------------------------------------------------------- */

/* mock_C_x: C_x behind the lock; the session of the first argument is known to be there. */
#define CK_FN(name, major, minor, ...) CK_RV mock_##name(TAPE_EACH(TAPE_DECL, __VA_ARGS__));
#include "core/api/functions.def"
#undef CK_FN

#endif
