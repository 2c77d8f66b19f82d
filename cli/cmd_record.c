/* SPDX-License-Identifier: MIT
 *
 * p11tape record: run a program with the recorder before its module: as it is, or where its arguments
 * say {}.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/interpose.h"
#include "cli/rules.h"
#include "cli/run.h"
#include "core/redact.h"
#include "core/rotation.h"

static const char usage[] =
	"usage: p11tape record [-m MODULE] [options] -- COMMAND [ARG…]\n"
	"\n"
	"Runs COMMAND and records its PKCS#11 calls, of every module that it loads:\n"
	"\n"
	"  p11tape record -- certutil -L -d sql:db -h all\n"
	"\n"
	"Or every {} in its arguments becomes the path of the recorder, which then stands\n"
	"before MODULE:\n"
	"\n"
	"  p11tape record -m libsofthsm2.so -- pkcs11-tool --module {} -O\n"
	"\n"
	"  -m, --module MODULE  without {}: which modules to record, by a pattern for their\n"
	"                       paths or names (all of them); with {}: the module, by its\n"
	"                       path or by a name that the loader or p11-kit knows\n"
	"  -o, --output TRACE   where to (p11tape.yaml); an older trace there is kept as\n"
	"                       TRACE.old. %p is the process, %e the program, %m the\n"
	"                       module, %n a number, %t the time, %% a %\n"
	"      --redact WHAT    what becomes names: pin, PINs and passwords (default); secret,\n"
	"                       keys too; secret,plaintext, also what is encrypted,\n"
	"                       decrypted, digested or signed; none, nothing\n"
	"      --twice          run COMMAND twice, and write the rules that a replay needs for\n"
	"                       what it draws by itself into TRACE's header (p11tape rules)\n"
	"      --before CMD     with --twice: a shell command that makes the token what it is\n"
	"                       to be before each run\n"
	"      --inject RULE    let calls fail, wait, crash or lack something, several times:\n"
	"                       C_Sign:rv=CKR_DEVICE_REMOVED:when=3 (see docs/faults.md)\n"
	"      --rotate WHEN    go on in TRACE.part2, .part3 …: behind so many bytes (100M), or\n"
	"                       after so long (1h), or both (100M,1h)\n"
	"      --control FILE   record while FILE does not say off: 'echo off >FILE', and\n"
	"                       'echo on >FILE', at any time\n"
	"      --help           print this\n"
	"\n"
	"Exit status: that of COMMAND; 2 where it was not started. With --twice the first\n"
	"run's, or the second one's where that is not 0.\n";

#define DEFAULT_TRACE "p11tape.yaml"

/* ---- the module ------------------------------------------------------------------------------ */

/*
 * Ask the loader for the path of a library, in a child of ours: what the library does when it is
 * loaded is not to happen in this process. Returns whether it was found.
 */
static bool ask_loader(const char *name, char ret_path[PATH_MAX])
{
	int fds[2];
	size_t length = 0;
	if (pipe2(fds, O_CLOEXEC) != 0)
		return false;
	pid_t pid = fork();
	if (pid == 0) {
		struct link_map *map;
		void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
		if (library == NULL || dlinfo(library, RTLD_DI_LINKMAP, &map) != 0)
			_exit(1);
		length = strlen(map->l_name) + 1;
		_exit(length > PATH_MAX || write(fds[1], map->l_name, length) != (ssize_t)length);
	}
	close(fds[1]);
	for (ssize_t got; (got = read(fds[0], ret_path + length, PATH_MAX - length)) > 0;)
		length += (size_t)got;
	close(fds[0]);
	int status;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 && length != 0 &&
	       ret_path[length - 1] == '\0';
}

/* Find `module: /PATH/NAME` in one of p11-kit's files. */
static bool ask_file(const char *file, const char *name, char ret_path[PATH_MAX])
{
	char line[PATH_MAX];
	FILE *from = fopen(file, "re");
	bool found = false;
	while (from != NULL && !found && fgets(line, sizeof(line), from) != NULL) {
		char *path = line + strlen("module:");
		if (strncmp(line, "module:", strlen("module:")) != 0)
			continue;
		path += strspn(path, " \t");
		path[strcspn(path, " \t\r\n")] = '\0';
		const char *slash = strrchr(path, '/');
		found = path[0] == '/' && strcmp(slash + 1, name) == 0 && access(path, R_OK) == 0;
		if (found)
			snprintf(ret_path, PATH_MAX, "%s", path);
	}
	if (from != NULL)
		fclose(from);
	return found;
}

/* The modules that are registered with p11-kit, which is where distributions list them. */
static bool ask_p11_kit(const char *name, char ret_path[PATH_MAX])
{
	glob_t files = { 0 };
	bool found = false;
	if (glob("/etc/pkcs11/modules/*.module", 0, NULL, &files) != 0)
		files.gl_pathc = 0;
	glob("/usr/share/p11-kit/modules/*.module", files.gl_pathc != 0 ? GLOB_APPEND : 0, NULL,
	     &files);
	for (size_t i = 0; i < files.gl_pathc && !found; i++)
		found = ask_file(files.gl_pathv[i], name, ret_path);
	globfree(&files);
	return found;
}

bool tape_cli_find_module(const char *name, char ret_path[PATH_MAX])
{
	char found[PATH_MAX];
	if (strchr(name, '/') == NULL && (ask_loader(name, found) || ask_p11_kit(name, found)))
		return tape_cli_absolute(found, ret_path);
	if (access(name, R_OK) == 0)
		return tape_cli_absolute(name, ret_path);
	if (strchr(name, '/') != NULL)
		tape_cli_fail("the module %s cannot be read: %s", name, strerror(errno));
	else
		tape_cli_fail("neither the loader nor p11-kit knows %s; name the module's path",
		              name);
	return false;
}

/* ---- the trace ------------------------------------------------------------------------------- */

/* Say whether a file can be created at `path`, by doing so; it is not left there. */
static bool can_create(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	close(fd);
	return unlink(path) == 0;
}

/*
 * Make sure that the recorder will be able to create the trace, before the program is started.
 * `shown` is the path as it was given.
 */
static int prepare_trace(const char *shown, const char *path)
{
	struct stat status;
	char beside[PATH_MAX + 16];
	const char *slash = strrchr(path, '/');
	if (strchr(shown, '%') != NULL) {
		/* The name is the recorder's to make, and the directory too if a % is in it. */
		if (memchr(path, '%', (size_t)(slash - path)) != NULL)
			return TAPE_EXIT_GOOD;
		snprintf(beside, sizeof(beside), "%.*s/.p11tape-%d", (int)(slash - path), path,
		         (int)getpid());
		if (can_create(beside))
			return TAPE_EXIT_GOOD;
		return tape_cli_fail("the trace %s cannot be written: %s", path, strerror(errno));
	}
	if (lstat(path, &status) == 0) {
		if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
			return tape_cli_fail("%s is no file that a trace could replace; "
			                     "choose another with -o",
			                     path);
		snprintf(beside, sizeof(beside), "%s.old", path);
		if (rename(path, beside) != 0)
			return tape_cli_fail("%s cannot be kept as %s: %s", path, beside,
			                     strerror(errno));
	}
	if (can_create(path))
		return TAPE_EXIT_GOOD;
	return tape_cli_fail("the trace %s cannot be written: %s; choose another place with -o",
	                     path, strerror(errno));
}

/* The working directory is no pattern: a % in it is doubled. */
static bool make_variable(const char *shown, const char *path, char *variable, size_t size)
{
	size_t length = 0;
	const char *own = path + strlen(path) - strlen(shown);
	for (const char *at = path; *at != '\0' && length + 2 < size; at++) {
		if (*at == '%' && at < own)
			variable[length++] = '%';
		variable[length++] = *at;
	}
	variable[length] = '\0';
	return length + 2 < size;
}

int tape_cli_new_trace(const char *shown, char ret_trace[PATH_MAX], char ret_variable[PATH_MAX])
{
	if (!tape_cli_absolute(shown, ret_trace))
		return TAPE_EXIT_BAD;
	if (!make_variable(shown, ret_trace, ret_variable, PATH_MAX))
		return tape_cli_fail("%s: the path is too long", shown);
	return prepare_trace(shown, ret_trace);
}

/* Count the calls of a file that the recorder wrote, by the beginnings of its lines. */
static uint64_t count_calls(const char *path)
{
	static const char begin[] = "- {\"call\": ";
	uint64_t count = 0;
	char *line = NULL;
	size_t room = 0;
	FILE *from = fopen(path, "re");
	while (from != NULL && getline(&line, &room, from) > 0)
		count += strncmp(line, begin, sizeof(begin) - 1) == 0;
	free(line);
	if (from != NULL)
		fclose(from);
	return count;
}

/* A glob pattern for the names that the recorder makes of `path` in other processes. */
static void make_pattern(const char *path, char *pattern, size_t size)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	const char *dot = strrchr(name, '.');
	size_t length = 0;
	bool ours = false; /* the path has %-sequences of its own */
	for (const char *at = path; *at != '\0' && length + 4 < size; at++) {
		if (at == dot && dot != name && !ours) {
			pattern[length++] = '.';
			pattern[length++] = '*';
		}
		if (*at == '%' && at[1] != '\0') {
			pattern[length++] = *++at == '%' ? '%' : '*';
			ours = true;
			continue;
		}
		if (strchr("*?[\\", *at) != NULL)
			pattern[length++] = '\\';
		pattern[length++] = *at;
	}
	pattern[length] = '\0';
}

static bool is_newer(const char *path, const struct timespec *start)
{
	struct stat status;
	if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
		return false;
	return status.st_ctim.tv_sec > start->tv_sec ||
	       (status.st_ctim.tv_sec == start->tv_sec && status.st_ctim.tv_nsec >= start->tv_nsec);
}

/* Say on a terminal what was recorded, and everywhere that nothing was. Returns whether anything was. */
static bool summarise(const char *trace, const char *program, const char *hint,
                      const struct timespec *start)
{
	char pattern[2 * PATH_MAX];
	bool talk = isatty(STDERR_FILENO);
	bool found = is_newer(trace, start);
	if (found && talk)
		tape_cli_warn("%" PRIu64 " calls in %s", count_calls(trace), trace);
	glob_t files = { 0 };
	make_pattern(trace, pattern, sizeof(pattern));
	if (glob(pattern, 0, NULL, &files) != 0)
		files.gl_pathc = 0;
	for (size_t i = 0; i < files.gl_pathc; i++) {
		const char *path = files.gl_pathv[i];
		if (strcmp(path, trace) == 0 || !is_newer(path, start))
			continue;
		found = true;
		if (talk)
			tape_cli_warn("%" PRIu64 " calls in %s", count_calls(path), path);
	}
	globfree(&files);
	if (!found)
		tape_cli_warn("no PKCS#11 module was loaded by %s, so there is no trace%s", program,
		              hint);
	return found;
}

/* ---- the command ----------------------------------------------------------------------------- */

struct settings {
	const char *module, *trace, *redact, *before, *rotate, *control;
	struct tape_buf inject; /* a rule a line */
	bool twice;
};

/* How the recorder comes before the module: by {} in the arguments, or by itself. */
struct way {
	char **arguments;
	const char *target;               /* NULL: the recorder finds its targets */
	struct tape_interpose *interpose; /* NULL: the arguments name the recorder */
};

/* Run the command and write its trace to `shown`. *ret_started says whether it ran. */
static int record_once(struct settings *settings, const struct way *way, const char *shown,
                       bool *ret_started)
{
	char trace[PATH_MAX];
	char variable[PATH_MAX];
	char control[PATH_MAX];
	struct tape_variables variables = { .count = 0 };
	struct timespec start;
	*ret_started = false;
	if ((settings->control != NULL && !tape_cli_absolute(settings->control, control)) ||
	    tape_cli_new_trace(shown, trace, variable) != TAPE_EXIT_GOOD)
		return TAPE_EXIT_BAD;
	/* Where the recorder finds its targets each copy of it has its own beside it. */
	tape_variables_set(&variables, "P11TAPE_MODULE", way->target == NULL ? "" : way->target);
	tape_variables_set(&variables, "P11TAPE_TRACE", variable);
	tape_variables_set(&variables, "P11TAPE_REDACT", settings->redact);
	tape_variables_set_lines(&variables, "P11TAPE_INJECT", &settings->inject);
	tape_variables_set(&variables, "P11TAPE_ROTATE", settings->rotate);
	tape_variables_set(&variables, "P11TAPE_CONTROL",
	                   settings->control == NULL ? NULL : control);
	if (way->interpose != NULL)
		tape_interpose_variables(way->interpose, &variables);
	/* The clock that files are stamped by. */
	clock_gettime(CLOCK_REALTIME_COARSE, &start);
	int status = tape_run(way->arguments, &variables, ret_started);
	const char *hint = "; see that the argument with {} is the one that names its module";
	if (*ret_started &&
	    !summarise(trace, way->arguments[0], way->interpose == NULL ? hint : "", &start) &&
	    way->interpose != NULL)
		tape_interpose_explain(way->arguments[0]);
	return status;
}

/* Make the token what it is to be. */
static bool prepare_token(const char *before)
{
	char shell[] = "/bin/sh";
	char option[] = "-c";
	char *arguments[] = { shell, option, (char *)(uintptr_t)before, NULL };
	bool started;
	int status = before == NULL ? 0 : tape_run(arguments, NULL, &started);
	if (status != 0)
		tape_cli_fail("the command of --before ended with %d", status);
	return status == 0;
}

static void remove_directory(const char *path)
{
	char pattern[PATH_MAX];
	glob_t files = { 0 };
	snprintf(pattern, sizeof(pattern), "%s/*", path);
	if (glob(pattern, 0, NULL, &files) != 0)
		files.gl_pathc = 0;
	for (size_t i = 0; i < files.gl_pathc; i++)
		unlink(files.gl_pathv[i]);
	globfree(&files);
	rmdir(path);
}

/* The second run's traces are of use for the rules only: they are beside no other, and not kept. */
static int record_twice(struct settings *settings, const struct way *way)
{
	char directory[PATH_MAX];
	char second[PATH_MAX];
	const char *slash = strrchr(settings->trace, '/');
	const char *name = slash == NULL ? settings->trace : slash + 1;
	bool started;
	if (strchr(settings->trace, '%') != NULL)
		return tape_cli_fail("record: --twice compares traces by their names: no %% in -o");
	if (!prepare_token(settings->before))
		return TAPE_EXIT_BAD;
	int status = record_once(settings, way, settings->trace, &started);
	if (!started || access(settings->trace, F_OK) != 0)
		return status;
	if (!prepare_token(settings->before))
		return TAPE_EXIT_BAD;
	if ((size_t)snprintf(directory, sizeof(directory), "%.*s.p11tape-XXXXXX",
	                     (int)(name - settings->trace), settings->trace) >= sizeof(directory) ||
	    mkdtemp(directory) == NULL)
		return tape_cli_fail("no directory can be made beside %s: %s", settings->trace,
		                     strerror(errno));
	int again = TAPE_EXIT_BAD;
	started = false;
	if ((size_t)snprintf(second, sizeof(second), "%s/%s", directory, name) < sizeof(second))
		again = record_once(settings, way, second, &started);
	if (started && again != status)
		tape_cli_warn("the second run ended with %d, the first one with %d", again, status);
	if (started && tape_cli_rules(settings->trace, second, true) == TAPE_EXIT_BAD)
		again = TAPE_EXIT_BAD;
	remove_directory(directory);
	return status != 0 ? status : again;
}

static int record(struct settings *settings, const struct way *way)
{
	bool started;
	return settings->twice ? record_twice(settings, way)
	                       : record_once(settings, way, settings->trace, &started);
}

/* The recorder stands where the arguments say {}. */
static int record_configured(struct settings *settings, char **command)
{
	char recorder[PATH_MAX];
	char target[PATH_MAX];
	if (settings->module == NULL)
		return tape_cli_fail("record: name the module to record with -m, since an argument "
		                     "has {}");
	if (!tape_cli_find_module(settings->module, target) || !tape_cli_recorder(target, recorder))
		return TAPE_EXIT_BAD;
	const struct way way = { .arguments = tape_run_arguments(command, "{}", recorder),
		                 .target = target };
	if (way.arguments == NULL)
		return tape_cli_fail("out of memory");
	int status = record(settings, &way);
	tape_run_free(way.arguments);
	return status;
}

/* The recorder steps in where the program looks up its modules' entry points. */
static int record_unmodified(struct settings *settings, char **command)
{
	struct tape_interpose interpose;
	const struct way way = { .arguments = command, .interpose = &interpose };
	int status = tape_interpose_begin(&interpose, command[0], settings->module);
	if (status == TAPE_EXIT_GOOD)
		status = record(settings, &way);
	tape_interpose_end(&interpose);
	return status;
}

static int parse(struct settings *settings, int argc, char **argv)
{
	static const struct option options[] = {
		{ "module", required_argument, NULL, 'm' },
		{ "output", required_argument, NULL, 'o' },
		{ "redact", required_argument, NULL, 'r' },
		{ "twice", no_argument, NULL, 't' },
		{ "before", required_argument, NULL, 'b' },
		{ "inject", required_argument, NULL, 'i' },
		{ "rotate", required_argument, NULL, 'R' },
		{ "control", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	unsigned int policy;
	struct tape_rotation rotation;
	struct tape_error error;
	int option;
	/* +: the command's own options are not ours. */
	while ((option = getopt_long(argc, argv, "+m:o:", options, NULL)) != -1) {
		switch (option) {
		case 'm':
			settings->module = optarg;
			break;
		case 'o':
			settings->trace = optarg;
			break;
		case 'r':
			if (!tape_redact_read(optarg, &policy))
				return tape_cli_fail("record: --redact is " TAPE_REDACT_WORDS
				                     ", not '%s'",
				                     optarg);
			settings->redact = optarg;
			break;
		case 't':
			settings->twice = true;
			break;
		case 'b':
			settings->before = optarg;
			break;
		case 'R':
			if (tape_rotation_read(&rotation, optarg, &error) < 0)
				return tape_cli_fail("record: --rotate: %s", error.sentence);
			settings->rotate = optarg;
			break;
		case 'c':
			settings->control = optarg;
			break;
		case 'i':
			if (!tape_cli_add_injection(&settings->inject, "record", optarg))
				return TAPE_EXIT_BAD;
			break;
		case 'h':
			return tape_cli_usage(usage);
		default:
			return tape_cli_misused("record");
		}
	}
	if (optind == argc)
		return tape_cli_fail("record: name a command behind --");
	if (settings->before != NULL && !settings->twice)
		return tape_cli_fail("record: --before is for --twice");
	char **command = argv + optind;
	return tape_run_has(command, "{}") ? record_configured(settings, command)
	                                   : record_unmodified(settings, command);
}

int tape_cmd_record(int argc, char **argv)
{
	struct settings settings = { .trace = DEFAULT_TRACE };
	tape_buf_init(&settings.inject, NULL, 0, (size_t)1 << 20);
	int status = parse(&settings, argc, argv);
	tape_buf_done(&settings.inject);
	return status;
}
