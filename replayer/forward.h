/* SPDX-License-Identifier: MIT
 *
 * --on-divergence forward: where the trace has no answer a live module is brought to the state that the program is in,
 * and answers from then on (docs/replay.md, "Going on with a live module"). What the program called so far is kept for
 * that, PINs too, in memory that is wiped. One for the process; under the lock of replay.c, but where it says so.
 */
#ifndef TAPE_REPLAYER_FORWARD_H
#define TAPE_REPLAYER_FORWARD_H

#include "core/api/api.h"

/* What a call returns inside of the replayer that a live module is to answer. No module returns it. */
#define FORWARD_HERE ((CK_RV)0x8074617065u)

/* So many calls and bytes of theirs are kept at the most; behind them nothing is forwarded. */
#define FORWARD_CALLS ((size_t)1 << 18)
#define FORWARD_BYTES ((size_t)64 << 20)

/* Begin to keep calls: forwarding to the engine's options' module was asked for. */
void forward_begin(void);

/* Whether a live module answers now. Without the lock. */
bool forward_is_on(void);

/* Have `serve` answer a call from the trace, and keep it. */
typedef CK_RV forward_serve(const struct tape_function *function, const uintptr_t *words);
CK_RV forward_keep(const struct tape_function *function, const uintptr_t *words,
                   forward_serve *serve);

/*
 * A call has no answer: go over to the live module. Returns whether it answers from now on, this call being the first
 * one. Otherwise *ret_why says why not; NULL where nobody asked for it.
 */
bool forward_switch(const struct tape_function *function, const char **ret_why);

/*
 * Have the live module answer. Without the lock. Returns false where the call names what the live module is not known
 * to have; `ret_why` says it.
 */
#define FORWARD_WHY 128
bool forward_call(const struct tape_function *function, const uintptr_t *words, CK_RV *ret_rv,
                  char ret_why[FORWARD_WHY]);

/* Wipe what is kept, when the process ends. */
void forward_end(void);

#endif
