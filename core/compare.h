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
 * What the secrets are that a trace only names. A name binds to the first value that is presented for it,
 * or to the bytes that were made up for it as an output, and then demands them; two names never bind to
 * one value that was presented. TAPE_SECRET_MANY binds to nothing and accepts everything.
 *
 * Hashes are kept; and, to be given back where the name is an output later, what was told beforehand and
 * values whose length the trace tells: these are not PINs.
 */
#define TAPE_MAX_BINDINGS 65536
#define TAPE_MAX_BOUND_BYTES \
	((size_t)64 << 20) /* of all values together; longer ones are hashes only */

struct tape_binding {
	unsigned int part; /* of the trace: names are of one part; 0: of every one */
	bool made_up;
	char name[32];
	uint64_t hash[2];
	unsigned char *value; /* NULL where it is not kept */
	size_t length;
};

struct tape_bindings {
	uint64_t key[2]; /* of the hashes; random */
	size_t count, room;
	struct tape_binding *bound; /* malloc */
	uint32_t *names, *values;   /* where to look: index in `bound` plus one; `slots` of each */
	size_t slots;
	size_t bytes; /* in kept values */
};

/* Is told where a recorded value and a live one differ: of an argument, or of a part of it. */
typedef void tape_difference_fn(void *context, const struct tape_place *place,
                                const struct tape_value *recorded, const struct tape_value *live);

struct tape_compare {
	struct tape_bindings *bindings; /* NULL: a secret equals anything that is presented */
	const struct tape_rules *rules; /* NULL: none */
	unsigned int
		part; /* that the recorded call stands in, from 1 on; 0 where that does not matter */
	bool identities; /* handles inside of structures are who is meant by them: in their `tag` */
	bool bind; /* once the whole call is known to be equal, remember what was presented for new names */
	tape_difference_fn *each; /* is told of every difference, which then counts as none; NULL */
	void *context;
	struct tape_place *place; /* where the comparison is; its own */
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

/* The same, but for what a clock shows (varies.def), and returning whether they are equal. */
bool tape_compare_steady(const struct tape_function *function, const struct tape_value *a,
                         const struct tape_value *b);

/* The same of two calls' outputs, with places and `each` as for inputs. */
int tape_compare_results(struct tape_compare *compare, const struct tape_function *function,
                         const struct tape_value *a, const struct tape_value *b);

/*
 * Bind a name beforehand (--secret pin-1=…). Returns 0, or -TAPE_E_LIMIT where there are too many, the
 * name is too long or memory is out.
 */
TAPE_MUST_CHECK int tape_bindings_add(struct tape_bindings *bindings, const char *name,
                                      size_t name_length, const void *secret, size_t length);

/*
 * The bytes of a redacted output, `size` of them, to `to`: what its name is bound to, if that is known and
 * as long as `secret` says, else the same ones in every replay, made of the name, which is then bound to
 * them. `bindings` may be NULL. Returns how many were made up.
 */
size_t tape_bindings_fill(struct tape_bindings *bindings, unsigned int part,
                          const struct tape_value *secret, unsigned char *to, size_t size);

/*
 * What stands for recorded bytes under the name that a rule gives (TAPE_RULE_AS): as many bytes, to be read
 * until more is bound. What was not presented before stands for itself from now on. NULL without memory.
 */
const void *tape_bindings_named(struct tape_bindings *bindings, const char *name,
                                const void *recorded, size_t length);

/* Forget all but the key; the memory is given back. */
void tape_bindings_done(struct tape_bindings *bindings);

#endif
