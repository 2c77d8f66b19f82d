/* SPDX-License-Identifier: MIT
 *
 * Points in time as text, in UTC. gmtime() and localtime() share a lock that a fork can leave held.
 */
#ifndef TAPE_RECORDER_CALENDAR_H
#define TAPE_RECORDER_CALENDAR_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that hold the text of any nanoseconds since 1970 that fit in 64 bits. */
#define TAPE_TIME_ISO 40
#define TAPE_TIME_COMPACT 40

/* Write 2026-11-21T10:15:02.120394Z, or 20261121T101502Z; return the length. No terminating zero. */
size_t tape_time_iso(char *to, uint64_t nanoseconds);
size_t tape_time_compact(char *to, uint64_t nanoseconds);

#endif
