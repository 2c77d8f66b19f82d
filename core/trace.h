/* SPDX-License-Identifier: MIT
 *
 * A trace as a stream of items: the header, the halves of calls, and events (docs/trace-format.md is
 * normative). Memory does not grow with the trace: an item lives in the caller's arena.
 */
#ifndef TAPE_TRACE_H
#define TAPE_TRACE_H

#include "core/api/api.h"
#include "core/error.h"
#include "core/tree.h"

/* The version of the format that this program writes; it reads this and every older one. */
#define TAPE_FORMAT_VERSION 1

/* Memory that one item may take when it is read. */
#define TAPE_MAX_ITEM ((size_t)1 << (sizeof(size_t) > 4 ? 32 : 30))

enum tape_item_kind {
	TAPE_ITEM_HEADER, /* {"p11tape": 1, …} */
	TAPE_ITEM_CALL,   /* {"call": name, "id": n, …}; `whole` where its return stands in it */
	TAPE_ITEM_NOTIFY, /* {"notify": what, "id": n, …}: a call of the application's, of `name` Notify */
	TAPE_ITEM_RETURN, /* {"return": id, …}, of a call or a notification */
	TAPE_ITEM_EVENT,  /* gap, passed-through, fork, x-…: `name` is the key */
	TAPE_ITEM_END,    /* {"end": why, "open": [ids]} */
};

struct tape_item {
	enum tape_item_kind kind;
	size_t line;
	struct tape_node *node; /* all of it */
	uint64_t id; /* CALL, NOTIFY: its own; RETURN: which call; EVENT: its own, or 0 */
	enum tape_function_id function; /* CALL; TAPE_FN_COUNT for what is none that we know */
	const char *name; /* CALL: the function's name; EVENT: the event's key; zero-terminated */
	bool whole;       /* CALL, NOTIFY: the return is in it */
	bool synthetic;   /* CALL: the recorder answered for a target that lacks the function */
	bool injected; /* CALL: what came of it is not, or not all, the module's own; delays are no fault */
	bool has_at, has_took;
	uint64_t at;     /* nanoseconds since the header's start */
	uint64_t took;   /* nanoseconds */
	uint64_t thread; /* 1 where it is not said */
	uint64_t
		until; /* whole CALL, NOTIFY: its return stands behind the first half of this id; else 0 */
	uint64_t during; /* CALL: id of the notification inside which it was made; NOTIFY: id of the
	                  * call inside which it came; else 0 */
	struct tape_node *in, *out; /* mappings; the reason where all of it is `partial`; or NULL */
	CK_RV rv;                   /* RETURN, whole CALL and NOTIFY */
};

/* Whether a return belongs to such an item, in it or behind it. */
static inline bool tape_item_returns(const struct tape_item *item)
{
	return item->kind == TAPE_ITEM_CALL || item->kind == TAPE_ITEM_NOTIFY;
}

/* What the first item says. Text is zero-terminated, "" where it is not said; owned by the reader. */
struct tape_header {
	uint64_t format;
	const char *version, *started, *program, *module, *prefix, *redact;
	uint64_t pid, start, parent, group;
	uint64_t forked_from;  /* the recorded process that this one was forked from; 0 for none */
	uint64_t forked_after; /* the last call that it had begun */
	uint64_t load;         /* 1 for the first time the module was loaded in its process */
	const char *continues; /* the file that this one goes on from; calls may have begun there */
	unsigned int entries;  /* enum tape_entry bits that the module exports; 0: not said */
	unsigned int ulong_size;
	const struct tape_node *node;
	const struct tape_node *names; /* {"CKM_X": "0x…"}: names that the tables lack; or NULL */
};

struct tape_reader;

/*
 * Open a trace and read its header. `path` "-" is standard input (copied to an unlinked temporary file,
 * since a trace is read by position). On failure the error's sentence does not name the file: it is for
 * printing behind FILE:LINE.
 */
TAPE_MUST_CHECK int tape_reader_open(struct tape_reader **ret_reader, const char *path,
                                     struct tape_error *error);
void tape_reader_close(struct tape_reader *reader);

/*
 * In a forked child, where another thread may have been reading at that moment: give back the
 * descriptor, if it still is this file's, and touch nothing else. The memory stays.
 */
void tape_reader_abandon(const struct tape_reader *reader);

const struct tape_header *tape_reader_header(const struct tape_reader *reader);
const char *tape_reader_path(const struct tape_reader *reader);

/* Whether the last line is torn: it is left out, everything before it is read. */
bool tape_reader_torn(const struct tape_reader *reader);

/*
 * Read the next item into `arena`; further HEADER items are parts of the same file (the module was
 * loaded again). Returns 1, 0 at the end, or a negative error code, after which the reader can only be
 * closed. Checks the item's own keys; the values in `in` and `out` are core/parse.h's to check.
 */
TAPE_MUST_CHECK int tape_reader_next(struct tape_reader *reader, struct tape_arena *arena,
                                     struct tape_item *ret_item, struct tape_error *error);

/* Start again behind the header. */
TAPE_MUST_CHECK int tape_reader_rewind(struct tape_reader *reader, struct tape_error *error);

/* Take over what was appended to the file since it was opened (show --follow). */
TAPE_MUST_CHECK int tape_reader_refresh(struct tape_reader *reader, struct tape_error *error);

/*
 * Say whether any two calls overlap: whether some call begins before another has returned, other than
 * inside a notification of it (`during`). Scans the whole trace, through libyaml unless it consists of
 * record lines that take turns. Returns 1, 0, or an error code.
 */
TAPE_MUST_CHECK int tape_trace_overlaps(struct tape_reader *reader, struct tape_error *error);

#endif
