/* SPDX-License-Identifier: MIT
 *
 * p11tape wrap: record or replay a program that another one starts, where nothing can be preloaded into that
 * one: a wrapper in a temporary place stands before it while a command runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/interpose.h"
#include "cli/run.h"
#include "core/redact.h"

static const char usage[] =
	"usage: p11tape wrap [-m PATTERN] [-o TRACE | --replay TRACE] PROGRAM -- COMMAND [ARG…]\n"
	"\n"
	"Runs COMMAND, and records PROGRAM, which COMMAND starts, or replays to it. For\n"
	"programs behind others that are set-uid or set-gid, whose environment the loader\n"
	"does not obey:\n"
	"\n"
	"  p11tape wrap -o t.yaml ssh-pkcs11-helper -- ssh-agent sh -c 'ssh-add -s …; ssh host'\n"
	"\n"
	"A wrapper of that name is written into a temporary directory, which comes first in\n"
	"PATH, and removed when COMMAND has ended. OpenSSH is told of its helper by\n"
	"SSH_PKCS11_HELPER.\n"
	"\n"
	"  -m, --module PATTERN  which modules to record, as record -m without {}\n"
	"  -o, --output TRACE    where to (p11tape.yaml); further runs of PROGRAM write\n"
	"                        beside it\n"
	"      --replay TRACE    replay instead\n"
	"      --mode MODE       with --replay: as replay --mode\n"
	"      --help            print this\n"
	"\n"
	"Exit status: that of COMMAND; 2 where it was not started.\n";

/* Programs that are not in PATH, and the variable by which their callers are told where they are. */
static const struct {
	const char *program, *variable;
	const char *places[4];
} helpers[] = {
	{ "ssh-pkcs11-helper",
	  "SSH_PKCS11_HELPER",
	  { "/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec" } },
};

struct wrap {
	const char *module, *trace, *redact, *replay, *mode, *program;
	const char *variable; /* that names the program to its caller; NULL: PATH does */
};

static bool find_program(struct wrap *wrap, char ret_path[PATH_MAX])
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(helpers); i++) {
		if (strcmp(wrap->program, helpers[i].program) != 0)
			continue;
		wrap->variable = helpers[i].variable;
		for (size_t j = 0; j < TAPE_ARRAY_SIZE(helpers[i].places); j++) {
			snprintf(ret_path, PATH_MAX, "%s/%s", helpers[i].places[j], wrap->program);
			if (access(ret_path, X_OK) == 0)
				return true;
		}
	}
	char found[PATH_MAX];
	return tape_interpose_find(wrap->program, found) && tape_cli_absolute(found, ret_path);
}

/* One word for a shell. */
static void put_word(FILE *to, const char *word)
{
	fputc('\'', to);
	for (; *word != '\0'; word++)
		if (*word == '\'')
			fputs("'\\''", to);
		else
			fputc(*word, to);
	fputc('\'', to);
}

/* The wrapper of a recording sets what the program is to have, and becomes it. */
static int put_recording(FILE *to, const struct wrap *wrap, const struct tape_interpose *interpose)
{
	char trace[PATH_MAX];
	char variable[PATH_MAX];
	struct tape_variables variables = { .count = 0 };
	if (tape_cli_new_trace(wrap->trace, trace, variable) != TAPE_EXIT_GOOD)
		return TAPE_EXIT_BAD;
	tape_variables_set(&variables, "P11TAPE_TRACE", variable);
	tape_variables_set(&variables, "P11TAPE_REDACT", wrap->redact);
	tape_interpose_variables(interpose, &variables);
	fputs("unset P11TAPE_MODULE\nexport", to);
	for (size_t i = 0; i < variables.count; i++) {
		fprintf(to, " %s=", variables.list[i].name);
		put_word(to, variables.list[i].value);
	}
	fputs("\nexec", to);
	return TAPE_EXIT_GOOD;
}

/* That of a replay is p11tape, which says of each run how it went. */
static int put_replay(FILE *to, const struct wrap *wrap)
{
	char own[PATH_MAX];
	char trace[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
	if (length <= 0)
		return tape_cli_fail("it cannot be found out where p11tape is: %s",
		                     strerror(errno));
	own[length] = '\0';
	if (!tape_cli_absolute(wrap->replay, trace))
		return TAPE_EXIT_BAD;
	fputs("exec ", to);
	put_word(to, own);
	fputs(" replay ", to);
	put_word(to, trace);
	if (wrap->mode != NULL) {
		fputs(" --mode ", to);
		put_word(to, wrap->mode);
	}
	fputs(" --", to);
	return TAPE_EXIT_GOOD;
}

static int write_wrapper(const struct wrap *wrap, const struct tape_interpose *interpose,
                         const char *path, const char *program)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
	if (to == NULL) {
		if (fd >= 0)
			close(fd);
		return tape_cli_fail("%s cannot be written: %s", path, strerror(errno));
	}
	fputs("#!/bin/sh\n", to);
	int status =
		wrap->replay != NULL ? put_replay(to, wrap) : put_recording(to, wrap, interpose);
	fputc(' ', to);
	put_word(to, program);
	fputs(" \"$@\"\n", to);
	bool good = !ferror(to);
	if (fclose(to) != 0 || !good)
		return tape_cli_fail("%s cannot be written: %s", path, strerror(errno));
	return status;
}

static int run(const struct wrap *wrap, const struct tape_interpose *interpose, const char *wrapper,
               char **command)
{
	struct tape_variables variables = { .count = 0 };
	const char *before = getenv("PATH");
	char *path = NULL;
	bool started;
	if (asprintf(&path, "%s%s%s", interpose->directory, before == NULL ? "" : ":",
	             before == NULL ? "" : before) < 0)
		return tape_cli_fail("out of memory");
	tape_variables_set(&variables, "PATH", path);
	if (wrap->variable != NULL)
		tape_variables_set(&variables, wrap->variable, wrapper);
	int status = tape_run(command, &variables, &started);
	free(path);
	if (started && wrap->replay == NULL && access(wrap->trace, F_OK) != 0 &&
	    strchr(wrap->trace, '%') == NULL)
		tape_cli_warn(
			"%s was not started by %s, or loaded no PKCS#11 module: there is no trace",
			wrap->program, command[0]);
	return status;
}

static int wrap_program(struct wrap *wrap, char **command)
{
	struct tape_interpose interpose;
	char program[PATH_MAX];
	char wrapper[PATH_MAX];
	const char *slash = strrchr(wrap->program, '/');
	if (!find_program(wrap, program))
		return tape_cli_fail("wrap: there is no program %s", wrap->program);
	int status = tape_interpose_begin(&interpose, program, wrap->module);
	if (status == TAPE_EXIT_GOOD &&
	    (size_t)snprintf(wrapper, sizeof(wrapper), "%s/%s", interpose.directory,
	                     slash == NULL ? wrap->program : slash + 1) >= sizeof(wrapper))
		status = tape_cli_fail("%s: the path is too long", wrap->program);
	if (status == TAPE_EXIT_GOOD)
		status = write_wrapper(wrap, &interpose, wrapper, program);
	if (status == TAPE_EXIT_GOOD)
		status = run(wrap, &interpose, wrapper, command);
	tape_interpose_end(&interpose);
	return status;
}

int tape_cmd_wrap(int argc, char **argv)
{
	static const struct option options[] = {
		{ "module", required_argument, NULL, 'm' },
		{ "output", required_argument, NULL, 'o' },
		{ "redact", required_argument, NULL, 'r' },
		{ "replay", required_argument, NULL, 'R' },
		{ "mode", required_argument, NULL, 'M' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct wrap wrap = { .trace = "p11tape.yaml" };
	unsigned int policy;
	int option;
	/* -: the program stands among the options, and what comes behind -- is not ours. */
	while ((option = getopt_long(argc, argv, "-m:o:", options, NULL)) != -1) {
		switch (option) {
		case 1:
			if (wrap.program != NULL)
				return tape_cli_fail("wrap: the command stands behind --");
			wrap.program = optarg;
			break;
		case 'm':
			wrap.module = optarg;
			break;
		case 'o':
			wrap.trace = optarg;
			break;
		case 'r':
			if (!tape_redact_read(optarg, &policy))
				return tape_cli_fail("wrap: --redact is " TAPE_REDACT_WORDS
				                     ", not '%s'",
				                     optarg);
			wrap.redact = optarg;
			break;
		case 'R':
			wrap.replay = optarg;
			break;
		case 'M':
			wrap.mode = optarg;
			break;
		case 'h':
			return tape_cli_usage(usage);
		default:
			return tape_cli_misused("wrap");
		}
	}
	if (wrap.program == NULL)
		return tape_cli_fail("wrap: name the program that is started");
	if (optind == argc)
		return tape_cli_fail("wrap: name a command behind --");
	if (wrap.mode != NULL && wrap.replay == NULL)
		return tape_cli_fail("wrap: --mode is for --replay");
	return wrap_program(&wrap, argv + optind);
}
