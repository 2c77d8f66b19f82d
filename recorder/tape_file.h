/* SPDX-License-Identifier: MIT
 *
 * The file that a process writes its calls to: its name, its creation, and whole lines whatever happens
 * to the disk or to the descriptor. recorder/README.md has the rule by which files are named.
 */
#ifndef TAPE_RECORDER_TAPE_FILE_H
#define TAPE_RECORDER_TAPE_FILE_H

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/error.h"
#include "core/system.h"

/* Who writes: what names are made of, and what tells whether an existing file is this process's. */
struct tape_origin {
	const char *program; /* no slash in it */
	const char *module;  /* path */
	pid_t pid;
	uint64_t start; /* when the process began, in ticks since boot; 0 where it is not known */
};

/* The part of a file that begins now. */
struct tape_part {
	unsigned int
		load; /* 1; more where the module was loaded before in this process, in this file */
	uint64_t last; /* id of the last call of the part before */
};

struct tape_file {
	atomic_int fd;       /* TAPE_FILE_CLOSED, TAPE_FILE_LOST or a descriptor */
	int home;            /* the number that the descriptor had at first */
	atomic_uint careful; /* why lines are written under the lock: TAPE_FILE_TROUBLED… */
	bool dead;           /* the end of a line is lost: nothing can be written behind it */
	bool told;
	dev_t device;
	ino_t inode;
	char *rest; /* what is still to be written of a torn line */
	size_t rest_at, rest_end, rest_room;
	uint64_t lost;        /* lines that were not written, since the last gap */
	int why;              /* errno of the last failure */
	char path[PATH_MAX];  /* absolute */
	char first[PATH_MAX]; /* of the first file, of which this one is a continuation */
	char base
		[PATH_MAX]; /* working directory when the first file of this process tree was opened */
};

#define TAPE_FILE_CLOSED (-1)
#define TAPE_FILE_LOST (-2) /* closed by the application, and not to be found by its path */

#define TAPE_FILE_TROUBLED 1u /* something is to be written before the next line, or again */
#define TAPE_FILE_LIMITED 2u  /* RLIMIT_FSIZE is set: a write may raise SIGXFSZ */

/*
 * Create the file that `pattern` names (or go on in it, where this process wrote it), mode 0600.
 * Forgets what *file held, as a forked child must; `base` is kept. Returns 0 or an error code with a
 * sentence, after which the file is closed.
 */
TAPE_MUST_CHECK int tape_file_open(struct tape_file *file, const char *pattern,
                                   const struct tape_origin *origin, struct tape_part *ret_part,
                                   struct tape_error *error);

/*
 * Write the header of the part. Where that fails the file is closed, and removed if it was new: there is
 * no trace without a header. Returns 0 or an error code with a sentence.
 */
TAPE_MUST_CHECK int tape_file_begin(struct tape_file *file, const struct tape_part *part,
                                    const char *header, size_t length, struct tape_error *error);

/*
 * Go on in another file beside this one, NAME.partN.EXT, that begins with `header`, under the descriptor that this
 * one had; this one gets `end` behind its last line. Returns false where that is not possible, and then nothing has
 * changed. Under the lock.
 */
bool tape_file_continue(struct tape_file *file, unsigned int number, const char *header,
                        size_t length, const char *end, size_t end_length);

/* The name of the file that lines go to now, without its directory. */
void tape_file_name(const struct tape_file *file, char ret_name[NAME_MAX + 1]);

/* Give back the descriptor (if it still is this file's) and memory. */
void tape_file_close(struct tape_file *file);

static inline bool tape_file_is_open(const struct tape_file *file)
{
	return atomic_load_explicit(&file->fd, memory_order_relaxed) != TAPE_FILE_CLOSED;
}

/*
 * Look at RLIMIT_FSIZE, which the program may have changed. May change errno. A line that begins below the
 * limit is cut at it, which is trouble like any other; one that begins at the limit or beyond raises a
 * signal, hence who writes looks first.
 */
void tape_file_look(struct tape_file *file);

/*
 * Append whole lines with one write(). Never fails the caller: lines that cannot be written are counted
 * and a gap says so as soon as writing works again. May change errno. `lock` is only taken in trouble.
 */
void tape_file_write(struct tape_file *file, struct tape_lock *lock, const char *lines,
                     size_t length);

/* Behind the end: say on standard error what is missing, where no gap could be written. */
void tape_file_tell_lost(struct tape_file *file, struct tape_lock *lock);

/* Append what a header says of the process and the module: the text that files are recognised by. */
void tape_put_process(struct tape_buf *buf, const struct tape_origin *origin);
void tape_put_module(struct tape_buf *buf, const struct tape_origin *origin);

/* Append the `end` of a part, up to the list of open calls: how the next part finds its numbers. */
void tape_put_end(struct tape_buf *buf, const char *why, const struct tape_part *part);

#endif
