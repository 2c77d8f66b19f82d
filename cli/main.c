/* SPDX-License-Identifier: MIT
 *
 * p11tape: the table of commands, help, and what all commands share. The work is in cmd_*.c.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/trace.h"

static int cmd_help(int argc, char **argv);
static int cmd_version(int argc, char **argv);

static const struct {
	const char *name, *summary;
	tape_command_fn *function;
} commands[] = {
	{ "record", "run a program and record its PKCS#11 calls", tape_cmd_record },
	{ "replay", "run a program against a trace, without the module", tape_cmd_replay },
	{ "check", "try a module against the rules of PKCS#11", tape_cmd_check },
	{ "drive", "issue a trace's calls to a module and show what differs", tape_cmd_drive },
	{ "rules", "compare two recordings and propose the rules that a replay needs",
	  tape_cmd_rules },
	{ "wrap", "record or replay a program that another one starts", tape_cmd_wrap },
	{ "diff", "compare two recordings of the same calls", tape_cmd_diff },
	{ "show", "print a trace for reading", tape_cmd_show },
	{ "fmt", "rewrite a trace: block form, record lines, canonical", tape_cmd_fmt },
	{ "validate", "check that a trace is whole and that every value in it can be read",
	  tape_cmd_validate },
	{ "api", "print what p11tape knows of PKCS#11", tape_cmd_api },
	{ "module", "print the path of the recorder or the replayer, or make a copy of it",
	  tape_cmd_module },
	{ "help", "print this, or a command's options", cmd_help },
	{ "version", "print the version", cmd_version },
};

static tape_command_fn *find_command(const char *name)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return commands[i].function;
	return NULL;
}

static int unknown(const char *name)
{
	return tape_cli_fail("there is no command '%s'; 'p11tape help' lists them", name);
}

static void print_help(FILE *to)
{
	fputs("p11tape: a tape recorder for PKCS#11\n\nusage: p11tape COMMAND [options]\n\n", to);
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-9s  %s\n", commands[i].name, commands[i].summary);
	fputs("\n'p11tape help COMMAND' prints a command's options.\n", to);
}

static int run_command(const char *name, int argc, char **argv)
{
	tape_command_fn *function = find_command(name);
	char called[64];
	if (function == NULL)
		return unknown(name);
	snprintf(called, sizeof(called), "p11tape %s", name);
	argv[0] = called;
	return function(argc, argv);
}

static int cmd_help(int argc, char **argv)
{
	char help[] = "--help";
	char *asked[] = { NULL, help, NULL };
	if (argc > 2)
		return tape_cli_fail("help takes one command");
	if (argc == 2 && strcmp(argv[1], "help") != 0 && strcmp(argv[1], "--help") != 0)
		return run_command(argv[1], 2, asked);
	print_help(stdout);
	return TAPE_EXIT_GOOD;
}

static int cmd_version(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0)
		return tape_cli_usage("usage: p11tape version\n");
	if (argc > 1)
		return tape_cli_fail("version takes no arguments");
	printf("p11tape %s, trace format %d, PKCS#11 3.2\n", TAPE_VERSION, TAPE_FORMAT_VERSION);
	return TAPE_EXIT_GOOD;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return TAPE_EXIT_BAD;
	}
	const char *name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
		name = "version";
	else if (name[0] == '-')
		return tape_cli_fail("'%s' is no command; 'p11tape help' lists them", name);
	return tape_cli_finish(run_command(name, argc - 1, argv + 1));
}

/* ---- for all commands ------------------------------------------------------------------------ */

static void TAPE_PRINTF(1, 0) print_sentence(const char *format, va_list arguments)
{
	/* What was printed so far stands before the sentence where both go to one place. */
	fflush(stdout);
	fputs("p11tape: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

int tape_cli_fail(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_sentence(format, arguments);
	va_end(arguments);
	return TAPE_EXIT_BAD;
}

void tape_cli_warn(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	print_sentence(format, arguments);
	va_end(arguments);
}

int tape_cli_fail_at(const char *path, const struct tape_error *error)
{
	if (error->line == 0)
		return tape_cli_fail("%s: %s", path, error->sentence);
	return tape_cli_fail("%s:%zu: %s", path, error->line, error->sentence);
}

int tape_cli_misused(const char *command)
{
	return tape_cli_fail("'p11tape help %s' says how it is used", command);
}

int tape_cli_usage(const char *text)
{
	fputs(text, stdout);
	return TAPE_EXIT_GOOD;
}

void *tape_cli_grow(void *list, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return list;
	size_t more = *room == 0 ? 64 : *room * 2;
	void *bigger = realloc(list, more * size);
	if (bigger != NULL)
		*room = more;
	return bigger;
}

bool tape_cli_number(const char *text, uint64_t *ret_number)
{
	char *end;
	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	unsigned long long number = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0')
		return false;
	*ret_number = number;
	return true;
}

int tape_cli_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	return tape_cli_fail("standard output cannot be written: %s", strerror(errno));
}

bool tape_cli_find(const char *name, char ret_path[PATH_MAX])
{
	static const char *const places[] = { "../lib", "../lib/pkcs11" };
	char program[PATH_MAX];
	char tried[2 * PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	if (length > 0) {
		program[length] = '\0';
		*strrchr(program, '/') = '\0';
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(places); i++) {
			snprintf(tried, sizeof(tried), "%s/%s/%s", program, places[i], name);
			if (realpath(tried, ret_path) != NULL)
				return true;
		}
	}
	snprintf(tried, sizeof(tried), "%s/%s", TAPE_MODULE_DIR, name);
	if (realpath(tried, ret_path) != NULL)
		return true;
	ret_path[0] = '\0';
	return false;
}

bool tape_cli_temporary(char ret_path[PATH_MAX])
{
	const char *parent = getenv("TMPDIR");
	if (parent == NULL || parent[0] != '/')
		parent = "/tmp";
	if ((size_t)snprintf(ret_path, PATH_MAX, "%s/p11tape-XXXXXX", parent) < PATH_MAX &&
	    mkdtemp(ret_path) != NULL)
		return true;
	ret_path[0] = '\0';
	tape_cli_fail("no temporary directory can be made in %s: %s", parent, strerror(errno));
	return false;
}

bool tape_cli_absolute(const char *path, char ret_path[PATH_MAX])
{
	char here[PATH_MAX];
	int length;
	if (path[0] == '/')
		length = snprintf(ret_path, PATH_MAX, "%s", path);
	else if (getcwd(here, sizeof(here)) != NULL)
		length = snprintf(ret_path, PATH_MAX, "%s/%s", here, path);
	else
		length = -1;
	if (length >= 0 && length < PATH_MAX)
		return true;
	tape_cli_fail("%s: its absolute path cannot be made: %s", path,
	              length < 0 ? strerror(errno) : "too long");
	return false;
}
