/* SPDX-License-Identifier: MIT
 *
 * The module that is checked: what the user said of it, and what was found out by asking it before the
 * first check.
 */
#ifndef TAPE_SUITES_TARGET_H
#define TAPE_SUITES_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/api/pkcs11.h"

#define TARGET_PIN_SIZE 256
#define TARGET_COMMAND_SIZE 1024
#define TARGET_MECHANISMS 512
#define TARGET_SLOTS 64

/* A specification version: 3.1 is 0x0301. */
#define SPEC(major, minor) ((unsigned int)((major) << 8 | (minor)))

struct target {
	/* What the user said. */
	char module[PATH_MAX];
	char recorder[PATH_MAX]; /* "" where checks are not recorded */
	char oracle[PATH_MAX];   /* p11tape-oracle.so; "" where it was not built */
	char init_args[1024];    /* for pReserved, as NSS and p11-kit use it; "" for none */
	char pin[TARGET_PIN_SIZE], so_pin[TARGET_PIN_SIZE];
	bool has_pin, has_so_pin;
	char unplug[TARGET_COMMAND_SIZE],
		plug[TARGET_COMMAND_SIZE]; /* commands of a shell; "" where there are none */
	bool destructive;
	bool slot_is_given;
	char token[33]; /* the label of the token to use; "" for any */
	CK_SLOT_ID slot;

	/* What was found out. */
	bool opens;               /* dlopen() of the file worked */
	bool loads;               /* and it gives a function list */
	bool initializes;         /* C_Initialize returned CKR_OK */
	bool has_slot, has_token; /* a slot; an initialised token in it */
	bool user_logs_in, so_logs_in;
	char trouble[500];   /* what stopped the asking; "" for nothing */
	unsigned int spec;   /* in force: --spec, or the module's own */
	unsigned int newest; /* the newest "PKCS 11" list that it has */
	CK_INFO info;
	CK_SLOT_INFO slot_info;
	CK_TOKEN_INFO token_info;
	CK_SLOT_ID slots[TARGET_SLOTS];
	size_t slot_count;
	CK_MECHANISM_TYPE mechanisms[TARGET_MECHANISMS];
	CK_MECHANISM_INFO mechanism_infos[TARGET_MECHANISMS];
	size_t mechanism_count;
};

/* The information of a mechanism that the token lists, or NULL. */
const CK_MECHANISM_INFO *target_mechanism(const struct target *target, CK_MECHANISM_TYPE type);

#endif
