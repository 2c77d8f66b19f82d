/* SPDX-License-Identifier: MIT
 *
 * Are two calls' inputs the same? Equality after the don't-cares that PKCS#11 and the rows name
 * (docs/trace-format.md, "What is not compared"), and with secrets compared by name.
 */
#ifndef TAPE_COMPARE_H
#define TAPE_COMPARE_H

#include "core/api/api.h"
#include "core/rules.h"
#include "core/value.h"

/*
 * What a program presented for the secrets that a trace only names. A name binds to the first value
 * presented for it and then demands it; two names never bind to one value. Only hashes are kept.
 */
#define TAPE_MAX_BINDINGS 256
struct tape_binding {
	unsigned int part; /* of the trace: names are of one part; 0: of every one */
	char name[32];
	uint64_t hash[2];
};
struct tape_bindings {
	uint64_t key[2]; /* of the hashes; random */
	size_t count;
	struct tape_binding bound[TAPE_MAX_BINDINGS];
};

struct tape_compare {
	struct tape_bindings *bindings; /* NULL: a secret equals anything that is presented */
	const struct tape_rules *rules; /* NULL: none */
	unsigned int
		part; /* that the recorded call stands in, from 1 on; 0 where that does not matter */
	bool bind; /* once the whole call is known to be equal, remember what was presented for new names */
};

/*
 * Compare recorded inputs with captured ones. Returns -1 where they are equal, else the index of the
 * first argument that differs.
 */
int tape_compare_in(struct tape_compare *compare, const struct tape_function *function,
                    const struct tape_value *recorded, const struct tape_value *live);

/* Compare outputs, for diff and the tests of the fixed point. Returns as tape_compare_in(). */
int tape_compare_out(const struct tape_function *function, const struct tape_value *a,
                     const struct tape_value *b);

/*
 * Bind a name beforehand (--secret pin-1=…). Returns 0, or -TAPE_E_LIMIT where there are too many or the
 * name is too long.
 */
TAPE_MUST_CHECK int tape_bindings_add(struct tape_bindings *bindings, const char *name,
                                      size_t name_length, const void *secret, size_t length);

#endif
