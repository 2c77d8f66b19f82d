/* SPDX-License-Identifier: MIT
 *
 * What `drive` must know of a trace before it calls anything: which secrets it takes, what it would
 * change, and what it will say of the objects and slots that it finds.
 */
#ifndef TAPE_SCAN_H
#define TAPE_SCAN_H

#include "core/api/api.h"
#include "core/error.h"
#include "core/value.h"

#define SCAN_SECRETS 256
#define SCAN_SECRET_NAME 32
#define SCAN_DANGERS 16 /* functions */
#define SCAN_ATTRIBUTES 32

/* Whose PIN a name stands for. */
enum scan_user { SCAN_NOBODY, SCAN_USER, SCAN_SO };

struct scan_secret {
	char name[SCAN_SECRET_NAME];
	enum scan_user user;
	size_t line; /* of the first call that presents it */
	enum tape_function_id function;
	bool wrong; /* all calls that present it were refused: it is a wrong PIN */
};

/* A call that could change the token. */
struct scan_danger {
	size_t line; /* of the first one */
	enum tape_function_id function;
	const char *what; /* it does */
	uint64_t count;
};

/* An attribute's value, as far as it is to be known again. */
struct scan_attribute {
	uint64_t type;
	size_t length;
	uint64_t hash[2];
};

/* What a trace says of an object, from one call on until its handle means another one. */
struct scan_object {
	uint64_t handle, from;
	struct scan_object *before; /* of the same handle */
	size_t count;
	struct scan_attribute attributes[SCAN_ATTRIBUTES];
};

/* What a trace says of a slot: its token's label. */
struct scan_slot {
	uint64_t slot;
	unsigned char label[32];
};

#define SCAN_SLOTS 64

struct scan {
	struct scan_secret secrets[SCAN_SECRETS];
	size_t secret_count;
	struct scan_danger dangers[SCAN_DANGERS];
	size_t danger_count;
	uint64_t calls;
	bool has_slot;
	uint64_t slot; /* the first one that a session was opened on, else that was asked about */
	struct scan_slot slots[SCAN_SLOTS];
	size_t slot_count;
	uint64_t *unreturned; /* ids of the calls that did not return, ascending */
	size_t unreturned_count;
	uint64_t key[2]; /* of the hashes */
	struct scan_objects *objects;
};

/* Read a trace, which tape_cli_check() has found to be whole, to its end. Returns 0 or an error code. */
TAPE_MUST_CHECK int scan_read(struct scan *ret_scan, const char *path, struct tape_error *error);
void scan_free(struct scan *scan);

/* What the trace says of the object that `handle` means in the call `id`; NULL for nothing. */
const struct scan_object *scan_object(const struct scan *scan, uint64_t handle, uint64_t id);

/* Say whether a call did not return. */
bool scan_is_unreturned(const struct scan *scan, uint64_t id);

/* The label of a recorded slot's token, 32 characters; NULL where the trace does not say. */
const unsigned char *scan_label(const struct scan *scan, uint64_t slot);

/* Say whether a PIN that a call presents was refused as a wrong one. */
bool scan_is_wrong_pin(CK_RV rv);

#endif
