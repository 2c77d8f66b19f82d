/* SPDX-License-Identifier: MIT
 *
 * What the commands of p11tape share: exit statuses, how an error is printed, and the commands
 * themselves, which main.c puts into a table.
 */
#ifndef TAPE_CLI_H
#define TAPE_CLI_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/attributes.h"
#include "core/buf.h"
#include "core/error.h"

enum tape_exit {
	TAPE_EXIT_GOOD = 0,
	TAPE_EXIT_FOUND = 1, /* it worked, and what it found is not as expected */
	TAPE_EXIT_BAD = 2,   /* usage, or input that cannot be used */
};

/*
 * The commands: argv[0] is "p11tape NAME", for getopt's messages; the result is an exit status.
 * Each answers --help on standard output.
 */
typedef int tape_command_fn(int argc, char **argv);
tape_command_fn tape_cmd_record, tape_cmd_replay, tape_cmd_show, tape_cmd_fmt, tape_cmd_validate,
	tape_cmd_api, tape_cmd_module, tape_cmd_check, tape_cmd_diff, tape_cmd_drive, tape_cmd_wrap,
	tape_cmd_rules;

/* Print "p11tape: " and a sentence on standard error. Returns TAPE_EXIT_BAD. */
int tape_cli_fail(const char *format, ...) TAPE_PRINTF(1, 2);

/* Print a warning in the same form. */
void tape_cli_warn(const char *format, ...) TAPE_PRINTF(1, 2);

/* Print an error of a trace as "p11tape: FILE:LINE: sentence". Returns TAPE_EXIT_BAD. */
int tape_cli_fail_at(const char *path, const struct tape_error *error);

/* Point at `p11tape help COMMAND`, once getopt has complained. Returns TAPE_EXIT_BAD. */
int tape_cli_misused(const char *command);

/* Print a usage text on standard output. Returns TAPE_EXIT_GOOD. */
int tape_cli_usage(const char *text);

/*
 * Ask on the terminal, without an echo, for a line of less than `size` bytes. Returns false where there is no
 * terminal, or nothing was said.
 */
bool tape_cli_ask(char *value, size_t size, const char *format, ...) TAPE_PRINTF(3, 4);

/*
 * Make room for one more element of `size` bytes in a list on the heap. Returns the list, which may have moved,
 * or NULL without memory: it then stays as it was.
 */
TAPE_MUST_CHECK void *tape_cli_grow(void *list, size_t count, size_t *room, size_t size);

/* Read a whole decimal number that an option was given. */
bool tape_cli_number(const char *text, uint64_t *ret_number);

/*
 * What options say (cli/options.c). All return false (and say why) where the text cannot be used. No PIN, or an empty
 * one, is none: *ret_has stays as it is.
 */
#define TAPE_PIN_SIZE 256
#define TAPE_LABEL_SIZE 33
bool tape_cli_range(const char *option, const char *text, uint64_t least, uint64_t most,
                    uint64_t *ret_number);
bool tape_cli_pin(const char *text, char ret_pin[TAPE_PIN_SIZE], bool *ret_has);
bool tape_cli_pin_file(const char *path, char ret_pin[TAPE_PIN_SIZE], bool *ret_has);
bool tape_cli_label(const char *text, char ret_label[TAPE_LABEL_SIZE]);

/* Flush standard output. Returns `status`, or TAPE_EXIT_BAD where it could not be written. */
int tape_cli_finish(int status);

/*
 * Find the file of our recorder that stands for `module` (a path), or of our replayer that stands for
 * the module that `trace` was recorded of (cli/choose.c). NULL, or what cannot be looked at, gets the
 * ordinary file, which has all entry points. Returns false (and says why) if it is nowhere, or if the
 * trace cannot be read.
 */
bool tape_cli_recorder(const char *module, char ret_path[PATH_MAX]);
bool tape_cli_replayer(const char *trace, char ret_path[PATH_MAX]);

/*
 * Find a module that a person names: by its path, or by a name that the loader or p11-kit knows
 * (cmd_record.c). Returns false (and says why) if it is nowhere.
 */
bool tape_cli_find_module(const char *name, char ret_path[PATH_MAX]);

/*
 * Find a file of ours by its name: beside the program in a build tree or an installed one, else where it
 * was to be installed. Returns false, says nothing and makes the path "" if it is nowhere.
 */
bool tape_cli_find(const char *name, char ret_path[PATH_MAX]);

/*
 * Take a rule that --inject of `command` was given, and add it to `rules`, one a line. Returns false (and
 * says why) if it is none.
 */
bool tape_cli_add_injection(struct tape_buf *rules, const char *command, const char *text);

/*
 * Copy a module of ours to `path`, with lines NAME=value in the .conf beside it, of which empty ones are left out
 * (cmd_module.c). Returns an exit status.
 */
TAPE_MUST_CHECK int tape_cli_copy_module(const char *module, const char *path,
                                         const char *const *lines, size_t count);

/* Make a private directory. Returns false (and says why, and makes the path "") if that fails. */
bool tape_cli_temporary(char ret_path[PATH_MAX]);

/*
 * Make room for a trace that `shown` names (cmd_record.c): an older one is kept as .old, and the recorder will be
 * able to create it. ret_trace is its path, ret_variable what P11TAPE_TRACE gets. Returns an exit status.
 */
TAPE_MUST_CHECK int tape_cli_new_trace(const char *shown, char ret_trace[PATH_MAX],
                                       char ret_variable[PATH_MAX]);

/* Make a path absolute without resolving links. Returns false (and says why) if that fails. */
bool tape_cli_absolute(const char *path, char ret_path[PATH_MAX]);

/* What reading all of a trace says about it. */
struct tape_summary {
	uint64_t calls;
	uint64_t finds; /* those of them that are discovery */
	uint64_t notifications;
	uint64_t open; /* those, of both, that did not return */
	uint64_t lost; /* calls that are not in the trace, by its own word (`gap`) */
	uint64_t threads;
	bool ended; /* there is an `end` for the last load */
	bool torn;  /* the last line is not whole */
};

struct tape_item;

/*
 * Read a trace to its end, decode every value in it and match every return with its call
 * (cmd_validate.c). `unreturned`, if not NULL, is told of every call that did not return. Returns
 * 0 or an error code.
 */
typedef void tape_unreturned_fn(const char *path, const struct tape_item *call);
TAPE_MUST_CHECK int tape_cli_check(const char *path, tape_unreturned_fn *unreturned,
                                   struct tape_summary *ret_summary, struct tape_error *error);

/* The same; `returned` is told of every call that returned, in the order of the returns. */
struct tape_value;
typedef void tape_returned_fn(void *context, const struct tape_item *call,
                              const struct tape_value *in, const struct tape_value *out,
                              uint64_t rv);
TAPE_MUST_CHECK int tape_cli_watch(const char *path, tape_returned_fn *returned, void *context,
                                   struct tape_summary *ret_summary, struct tape_error *error);

#endif
