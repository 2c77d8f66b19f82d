/* SPDX-License-Identifier: MIT
 *
 * Where a program calls us from: its backtrace, for those who ask for it (--backtrace). The first one loads
 * libgcc_s and allocates; nothing here is used without having been asked for.
 */
#ifndef TAPE_REPLAYER_CALLERS_H
#define TAPE_REPLAYER_CALLERS_H

#include "core/buf.h"

/* Load what is needed: once, before the first divergence. */
void callers_prepare(void);

/*
 * Append the frames that are not ours, innermost first, as MODULE+0xOFFSET: one a line, each behind
 * `before`, or (`before` NULL) as the strings of a JSON list. The offset is of the return address in the
 * module's file, as addr2line takes it.
 */
void callers_put(struct tape_buf *buf, const char *before);

#endif
