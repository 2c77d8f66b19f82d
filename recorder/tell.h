/* SPDX-License-Identifier: MIT
 *
 * What the recorder says to people: whole lines on standard error, without stdio, locale or locks.
 */
#ifndef TAPE_RECORDER_TELL_H
#define TAPE_RECORDER_TELL_H

#include "core/attributes.h"

/* Write "p11tape: ", the sentence and a newline to standard error. Keeps errno. */
void tape_tell(const char *format, ...) TAPE_PRINTF(1, 2);

/*
 * The name of an errno value ("ENOSPC") and what it means. strerror() translates, under a lock that a
 * fork can leave held. Where the number has no name here, "error" and "an error".
 */
const char *tape_errno_name(int number);
const char *tape_errno_text(int number);

#endif
