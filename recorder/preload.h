/* SPDX-License-Identifier: MIT
 *
 * What p11tape-preload.so is told by `p11tape record` and `p11tape replay` (cli/interpose.c), and what its
 * two halves share.
 *
 *   P11TAPE_PRELOAD        a private directory where copies of our modules lie
 *   P11TAPE_PRELOAD_ONLY   record: a pattern of fnmatch(3) for the modules' paths or names; all if not set
 *   P11TAPE_PRELOAD_SERVE  replay: a file with a line "PATH<TAB>COPY<TAB>PREFIX" for each module that is served
 */
#ifndef TAPE_RECORDER_PRELOAD_H
#define TAPE_RECORDER_PRELOAD_H

#define TAPE_PRELOAD_DIRECTORY "P11TAPE_PRELOAD"
#define TAPE_PRELOAD_ONLY "P11TAPE_PRELOAD_ONLY"
#define TAPE_PRELOAD_SERVE "P11TAPE_PRELOAD_SERVE"

/*
 * In a replay: the copy that is served for a module that is asked for by `path`; NULL for every other path,
 * and in a recording.
 */
const char *preload_served(const char *path);

/* The function behind ours: of the library that comes next. */
void *preload_next(const char *name);

#endif
