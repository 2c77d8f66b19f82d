/* SPDX-License-Identifier: MIT
 *
 * p11tape module: where our modules are, and copies of them with their options beside them, for
 * programs that no environment reaches.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

static const char usage[] =
	"usage: p11tape module recorder|replayer [options]\n"
	"\n"
	"Prints the path of the module, so that any program can be pointed at it.\n"
	"\n"
	"      --for WHAT        the file of it that fits WHAT: the module to record, or the\n"
	"                        trace to replay. A program that looks for C_GetInterface by\n"
	"                        itself then finds it only where the real module has it\n"
	"      --copy PATH       copy the module to PATH instead, for a program that no\n"
	"                        environment reaches: its options stand in PATH.conf\n"
	"      --set NAME=VALUE  write an option into PATH.conf, several times, such as\n"
	"                        P11TAPE_MODULE=/usr/lib/softhsm/libsofthsm2.so\n"
	"      --force           replace what stands there\n"
	"      --help            print this\n";

#define MAX_SETTINGS 64

struct settings {
	const char *text[MAX_SETTINGS];
	size_t count;
};

/* What the file's reader would take for something else is refused. */
static bool add_setting(struct settings *settings, const char *text)
{
	const char *equals = strchr(text, '=');
	if (settings->count == MAX_SETTINGS || equals == NULL ||
	    strncmp(text, "P11TAPE_", 8) != 0 || strpbrk(text, "\r\n") != NULL)
		return false;
	if (strcspn(text, " \t#") < (size_t)(equals - text))
		return false;
	settings->text[settings->count++] = text;
	return true;
}

static bool copy_bytes(int from, int to)
{
	char piece[65536];
	ssize_t got;
	while ((got = read(from, piece, sizeof(piece))) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		for (ssize_t done, at = 0; at < got; at += done)
			if ((done = write(to, piece + at, (size_t)(got - at))) < 0)
				return false;
	}
	return true;
}

static bool write_settings(const struct settings *settings, int to)
{
	FILE *file = fdopen(dup(to), "w");
	if (file == NULL)
		return false;
	for (size_t i = 0; i < settings->count; i++)
		fprintf(file, "%s\n", settings->text[i]);
	bool good = !ferror(file);
	return fclose(file) == 0 && good;
}

/*
 * Make the file beside its place and move it there, so that a program which has the old one loaded
 * keeps it. It gets the bytes of `from`, or the settings where they are not NULL.
 */
static int make_file(const char *path, int from, const struct settings *settings, mode_t mode)
{
	char temporary[PATH_MAX + 8];
	snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path);
	int to = mkostemp(temporary, O_CLOEXEC);
	if (to < 0)
		return tape_cli_fail("%s cannot be written: %s", path, strerror(errno));
	bool good = (settings != NULL ? write_settings(settings, to) : copy_bytes(from, to)) &&
	            fchmod(to, mode) == 0 && rename(temporary, path) == 0;
	int reason = errno;
	close(to);
	if (good)
		return TAPE_EXIT_GOOD;
	unlink(temporary);
	return tape_cli_fail("%s cannot be written: %s", path, strerror(reason));
}

static int copy_module(const char *module, const char *path, const struct settings *settings,
                       bool force)
{
	char conf[PATH_MAX];
	struct stat status;
	if ((size_t)snprintf(conf, sizeof(conf), "%s.conf", path) >= sizeof(conf))
		return tape_cli_fail("%s: the path is too long", path);
	if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode))
		return tape_cli_fail("%s is no file that a copy could replace; choose another name",
		                     path);
	if (!force && (access(path, F_OK) == 0 || access(conf, F_OK) == 0))
		return tape_cli_fail("%s exists already; --force replaces it",
		                     access(path, F_OK) == 0 ? path : conf);
	int from = open(module, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		return tape_cli_fail("%s cannot be read: %s", module, strerror(errno));
	int result = make_file(conf, -1, settings, 0644);
	if (result == TAPE_EXIT_GOOD)
		result = make_file(path, from, NULL, 0755);
	close(from);
	return result;
}

int tape_cli_copy_module(const char *module, const char *path, const char *const *lines,
                         size_t count)
{
	struct settings settings = { .count = 0 };
	for (size_t i = 0; i < count; i++)
		if (lines[i][0] != '\0' && !add_setting(&settings, lines[i]))
			return tape_cli_fail("'%s' cannot stand in %s.conf", lines[i], path);
	return copy_module(module, path, &settings, false);
}

static bool find_recorder(const char *what, char ret_path[PATH_MAX])
{
	char target[PATH_MAX];
	if (what == NULL)
		return tape_cli_recorder(NULL, ret_path);
	return tape_cli_find_module(what, target) && tape_cli_recorder(target, ret_path);
}

int tape_cmd_module(int argc, char **argv)
{
	static const struct option options[] = {
		{ "for", required_argument, NULL, 'F' }, { "copy", required_argument, NULL, 'c' },
		{ "set", required_argument, NULL, 's' }, { "force", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },      { NULL, 0, NULL, 0 },
	};
	struct settings settings = { .count = 0 };
	const char *what = NULL;
	const char *copy = NULL;
	bool force = false;
	char module[PATH_MAX];
	int option;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'F':
			what = optarg;
			break;
		case 'c':
			copy = optarg;
			break;
		case 's':
			if (!add_setting(&settings, optarg))
				return tape_cli_fail("module: '%s' is not P11TAPE_NAME=VALUE",
				                     optarg);
			break;
		case 'f':
			force = true;
			break;
		case 'h':
			return tape_cli_usage(usage);
		default:
			return tape_cli_misused("module");
		}
	}
	bool recorder = optind + 1 == argc && strcmp(argv[optind], "recorder") == 0;
	if (!recorder && (optind + 1 != argc || strcmp(argv[optind], "replayer") != 0))
		return tape_cli_fail("module: say which, recorder or replayer");
	if (copy == NULL && (settings.count != 0 || force))
		return tape_cli_fail("module: --set and --force are for --copy");
	if (!(recorder ? find_recorder(what, module) : tape_cli_replayer(what, module)))
		return TAPE_EXIT_BAD;
	if (copy != NULL)
		return copy_module(module, copy, &settings, force);
	puts(module);
	return TAPE_EXIT_GOOD;
}
