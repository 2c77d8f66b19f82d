/* SPDX-License-Identifier: MIT
 *
 * p11tape drive: issue a trace's calls to a live module and say what it answers differently.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/drive.h"
#include "core/set.h"
#include "core/system.h"

static const char usage[] =
	"usage: p11tape drive TRACE -m MODULE [options]\n"
	"\n"
	"Issues the calls of TRACE to MODULE, in the order in which they began, and shows\n"
	"what it answers differently. Handles, random bytes, randomised signatures, serial\n"
	"numbers and times may differ; return values, lengths and all else may not.\n"
	"\n"
	"  -m, --module FILE        the module\n"
	"      --slot NUMBER        the slot that stands for the recorded one; or\n"
	"      --token LABEL        the token (default: those at the same places in the list\n"
	"                           of slots)\n"
	"      --pin PIN            the user's PIN, also in P11TAPE_PIN; better:\n"
	"      --pin-file FILE      its first line\n"
	"      --so-pin PIN         the security officer's, also in P11TAPE_SO_PIN\n"
	"      --so-pin-file FILE\n"
	"      --secret NAME=VALUE  the value of any secret of the trace: pin-1=1234\n"
	"      --destructive        also drive traces that change the token: that make or\n"
	"                           destroy its objects, set PINs, initialise it, and\n"
	"                           present wrong PINs\n"
	"      --timeout SECONDS    that a call may take (default: 10)\n"
	"\n"
	"      --record FILE        record the run\n"
	"      --format FORMAT      text or json: an object a line\n"
	"  -v, --verbose            print every call\n"
	"      --help               print this\n"
	"\n"
	"Exit status: 0; 1 where something differs; 2 where nothing was called.\n";

struct command {
	struct drive_options options;
	char trace[PATH_MAX];
	char pin[TAPE_PIN_SIZE], so_pin[TAPE_PIN_SIZE];
	bool has_pin, has_so_pin;
	struct tape_set set;
	struct drive_trace *traces;
	size_t trace_count;
	uint64_t calls;
};

/* ---- the traces ------------------------------------------------------------------------------ */

static int add_trace(struct command *command, const struct tape_member *member)
{
	struct drive_trace *trace = &command->traces[command->trace_count];
	struct tape_error error = { 0 };
	struct tape_summary summary;
	if (!tape_set_path(trace->path, command->trace, member->name))
		return tape_cli_fail("%s: the path is too long", command->trace);
	trace->pid = member->pid;
	trace->forked_from = member->forked_from;
	trace->forked_after = member->forked_after;
	if (tape_cli_check(trace->path, NULL, &summary, &error) < 0 ||
	    scan_read(&trace->scan, trace->path, &error) < 0)
		return tape_cli_fail_at(trace->path, &error);
	command->trace_count++;
	command->calls += summary.calls;
	return TAPE_EXIT_GOOD;
}

static bool was_taken(const struct command *command, uint64_t pid)
{
	for (size_t i = 0; i < command->trace_count; i++)
		if (pid != 0 && command->traces[i].pid == pid)
			return true;
	return false;
}

/* The trace, and those of the processes that were forked from its own. */
static int read_traces(struct command *command)
{
	struct tape_error error = { 0 };
	if (tape_set_read(&command->set, command->trace, &error) < 0)
		return tape_cli_fail_at(command->set.path, &error);
	command->traces = calloc(command->set.count, sizeof(*command->traces));
	if (command->traces == NULL)
		return tape_cli_fail("out of memory");
	int status = add_trace(command, &command->set.members[0]);
	/* Ascending by their start: a parent stands before its children. */
	for (size_t i = 1; i < command->set.count && status == TAPE_EXIT_GOOD; i++) {
		const struct tape_member *member = &command->set.members[i];
		if (member->forked_after != 0 && was_taken(command, member->forked_from))
			status = add_trace(command, member);
	}
	if (status == TAPE_EXIT_GOOD && command->traces[0].forked_after != 0)
		tape_cli_warn(
			"%s is of a forked process, which goes on with what another one "
			"began: drive that one's trace, and this one beside it is driven, too",
			command->trace);
	return status;
}

/* ---- what it takes --------------------------------------------------------------------------- */

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static bool is_harmless(const struct command *command)
{
	uint64_t count = 0;
	for (size_t i = 0; i < command->trace_count; i++) {
		const struct drive_trace *trace = &command->traces[i];
		for (size_t j = 0; j < trace->scan.danger_count; j++) {
			const struct scan_danger *danger = &trace->scan.dangers[j];
			count += danger->count;
			tape_cli_warn("%s:%zu: %s %s (%" PRIu64 " such call%s)", trace->path,
			              danger->line, tape_functions[danger->function].name.text,
			              danger->what, danger->count, plural(danger->count));
		}
	}
	if (count != 0)
		tape_cli_fail("drive: a trace that changes the token is driven with --destructive "
		              "only");
	return count == 0;
}

static bool has_secret(const struct drive_options *options, const char *name)
{
	for (size_t i = 0; i < options->secret_count; i++)
		if (strcmp(options->secrets[i].name, name) == 0)
			return true;
	return false;
}

static bool add_secret(struct drive_options *options, const char *name, size_t name_length,
                       const char *value)
{
	if (options->secret_count == SCAN_SECRETS || name_length == 0 ||
	    name_length >= SCAN_SECRET_NAME || strlen(value) >= TAPE_PIN_SIZE)
		return false;
	struct drive_secret *secret = &options->secrets[options->secret_count++];
	memcpy(secret->name, name, name_length);
	memcpy(secret->value, value, strlen(value) + 1);
	return true;
}

static const char *option_of(enum scan_user user)
{
	return user == SCAN_USER ? "--pin-file, P11TAPE_PIN or "
	       : user == SCAN_SO ? "--so-pin-file, P11TAPE_SO_PIN or "
	                         : "";
}

/* Find a value for every secret before anything is called. */
static bool find_secrets(struct command *command)
{
	struct drive_options *options = &command->options;
	char value[TAPE_PIN_SIZE];
	for (size_t i = 0; i < command->trace_count; i++)
		for (size_t j = 0; j < command->traces[i].scan.secret_count; j++) {
			const struct scan_secret *secret = &command->traces[i].scan.secrets[j];
			const char *path = command->traces[i].path;
			const char *known =
				secret->user == SCAN_USER && command->has_pin    ? command->pin
				: secret->user == SCAN_SO && command->has_so_pin ? command->so_pin
										 : NULL;
			if (has_secret(options, secret->name) ||
			    (secret->wrong && !options->destructive))
				continue;
			if (known == NULL &&
			    tape_cli_ask(value, sizeof(value), "%s, which %s presents (%s:%zu): ",
			                 secret->name, tape_functions[secret->function].name.text,
			                 path, secret->line))
				known = value;
			if (known == NULL) {
				tape_cli_fail("%s:%zu: %s presents the secret %s, and nobody says "
				              "what that is: %s--secret %s=VALUE",
				              path, secret->line,
				              tape_functions[secret->function].name.text,
				              secret->name, option_of(secret->user), secret->name);
				return false;
			}
			if (!add_secret(options, secret->name, strlen(secret->name), known)) {
				tape_cli_fail("it takes more than %d secrets", SCAN_SECRETS);
				return false;
			}
			tape_wipe(value, sizeof(value));
		}
	return true;
}

/* ---- the run --------------------------------------------------------------------------------- */

/* What is set for our modules is not meant for this one. */
static void set_environment(const struct drive_options *options)
{
	static const char *const ours[] = { "P11TAPE_REDACT", "P11TAPE_REPLAY", "P11TAPE_PIN",
		                            "P11TAPE_SO_PIN" };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(ours); i++)
		unsetenv(ours[i]);
	if (options->record[0] == 0)
		return;
	setenv("P11TAPE_MODULE", options->module, 1);
	setenv("P11TAPE_TRACE", options->record, 1);
}

static const char *const skipped[DRIVE_SKIPS] = {
	[DRIVE_SYNTHETIC] = "answered by the recorder",
	[DRIVE_INJECTED] = "with an injected fault",
	[DRIVE_DURING] = "inside of a notification",
	[DRIVE_WAITS] = "waiting for an event",
	[DRIVE_WRONG_PIN] = "with a wrong PIN, which takes --destructive",
	[DRIVE_REFUSED] = "with a PIN, after one was refused",
	[DRIVE_LOST] = "not wholly in the recording",
};

static void print_summary(const struct command *command, const struct drive *drive)
{
	const char *before = " (";
	uint64_t made = drive->shared->made;
	uint64_t differ = drive->shared->differ;
	uint64_t left_out = 0;
	for (size_t i = 1; i < DRIVE_SKIPS; i++)
		left_out += drive->shared->skipped[i];
	uint64_t unmade = command->calls - made - left_out;
	if (command->options.json) {
		printf("{\"summary\": {\"calls\": %" PRIu64 ", \"made\": %" PRIu64
		       ", \"differ\": %" PRIu64 ", \"skipped\": %" PRIu64
		       ", \"not-reached\": %" PRIu64 "}}\n",
		       command->calls, made, differ, left_out, unmade);
		return;
	}
	printf("%s: %" PRIu64 " of %" PRIu64 " calls as recorded", command->trace,
	       made > differ ? made - differ : 0, command->calls);
	if (differ != 0)
		printf(", %" PRIu64 " differ%s", differ, differ == 1 ? "s" : "");
	if (unmade != 0)
		printf(", %" PRIu64 " not reached", unmade);
	if (left_out != 0)
		printf(", %" PRIu64 " skipped", left_out);
	for (size_t i = 1; i < DRIVE_SKIPS; i++) {
		uint64_t count = drive->shared->skipped[i];
		if (count == 0)
			continue;
		printf("%s%" PRIu64 " %s", before, count, skipped[i]);
		before = ", ";
	}
	printf("%s\n", left_out != 0 ? ")" : "");
}

static int run(struct command *command)
{
	struct drive drive = { .options = &command->options };
	if (read_traces(command) != TAPE_EXIT_GOOD ||
	    (!command->options.destructive && !is_harmless(command)) || !find_secrets(command))
		return TAPE_EXIT_BAD;
	drive.traces = command->traces;
	drive.trace_count = command->trace_count;
	set_environment(&command->options);
	int status = drive_run(&drive);
	if (status != TAPE_EXIT_BAD)
		print_summary(command, &drive);
	if (drive.shared != NULL)
		munmap(drive.shared, sizeof(*drive.shared));
	return status;
}

/* ---- options --------------------------------------------------------------------------------- */

enum option_code {
	OPTION_SLOT = 256,
	OPTION_TOKEN,
	OPTION_PIN,
	OPTION_PIN_FILE,
	OPTION_SO_PIN,
	OPTION_SO_PIN_FILE,
	OPTION_SECRET,
	OPTION_DESTRUCTIVE,
	OPTION_TIMEOUT,
	OPTION_RECORD,
	OPTION_FORMAT,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "module", required_argument, NULL, 'm' },
	{ "slot", required_argument, NULL, OPTION_SLOT },
	{ "token", required_argument, NULL, OPTION_TOKEN },
	{ "pin", required_argument, NULL, OPTION_PIN },
	{ "pin-file", required_argument, NULL, OPTION_PIN_FILE },
	{ "so-pin", required_argument, NULL, OPTION_SO_PIN },
	{ "so-pin-file", required_argument, NULL, OPTION_SO_PIN_FILE },
	{ "secret", required_argument, NULL, OPTION_SECRET },
	{ "destructive", no_argument, NULL, OPTION_DESTRUCTIVE },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "record", required_argument, NULL, OPTION_RECORD },
	{ "format", required_argument, NULL, OPTION_FORMAT },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static bool take_secret(struct drive_options *options, const char *text)
{
	const char *equals = strchr(text, '=');
	if (equals != NULL && add_secret(options, text, (size_t)(equals - text), equals + 1))
		return true;
	tape_cli_fail("drive: --secret is NAME=VALUE");
	return false;
}

static bool take_option(struct command *command, int option)
{
	struct drive_options *options = &command->options;
	uint64_t number;
	switch (option) {
	case 'm':
		return tape_cli_absolute(optarg, options->module);
	case OPTION_SLOT:
		options->has_slot = true;
		return tape_cli_range("slot", optarg, 0, (CK_SLOT_ID)-1, &options->slot);
	case OPTION_TOKEN:
		return tape_cli_label(optarg, options->token);
	case OPTION_PIN:
		return tape_cli_pin(optarg, command->pin, &command->has_pin);
	case OPTION_PIN_FILE:
		return tape_cli_pin_file(optarg, command->pin, &command->has_pin);
	case OPTION_SO_PIN:
		return tape_cli_pin(optarg, command->so_pin, &command->has_so_pin);
	case OPTION_SO_PIN_FILE:
		return tape_cli_pin_file(optarg, command->so_pin, &command->has_so_pin);
	case OPTION_SECRET:
		return take_secret(options, optarg);
	case OPTION_DESTRUCTIVE:
		return options->destructive = true;
	case OPTION_TIMEOUT:
		if (!tape_cli_range("timeout", optarg, 1, 86400, &number))
			return false;
		options->timeout = (unsigned int)number;
		return true;
	case OPTION_RECORD:
		return tape_cli_absolute(optarg, options->record) &&
		       tape_cli_recorder(NULL, options->recorder);
	case OPTION_FORMAT:
		options->json = strcmp(optarg, "json") == 0;
		if (options->json || strcmp(optarg, "text") == 0)
			return true;
		tape_cli_fail("--format is text or json, not '%s'", optarg);
		return false;
	case 'v':
		return options->verbose = true;
	default:
		tape_cli_misused("drive");
		return false;
	}
}

static int parse(struct command *command, int argc, char **argv)
{
	if (!tape_cli_pin(getenv("P11TAPE_PIN"), command->pin, &command->has_pin) ||
	    !tape_cli_pin(getenv("P11TAPE_SO_PIN"), command->so_pin, &command->has_so_pin))
		return TAPE_EXIT_BAD;
	for (int option; (option = getopt_long(argc, argv, "m:v", long_options, NULL)) != -1;) {
		if (option == OPTION_HELP)
			return tape_cli_usage(usage);
		if (!take_option(command, option))
			return TAPE_EXIT_BAD;
	}
	if (optind + 1 != argc)
		return tape_cli_fail("drive: name one trace");
	if (strcmp(argv[optind], "-") == 0)
		return tape_cli_fail("drive: the trace is a file, since it is read twice");
	if (command->options.module[0] == 0)
		return tape_cli_fail("drive: which module to drive is not said: -m MODULE");
	if (access(command->options.module, R_OK) != 0)
		return tape_cli_fail("%s: %s", command->options.module, strerror(errno));
	snprintf(command->trace, sizeof(command->trace), "%s", argv[optind]);
	return run(command);
}

int tape_cmd_drive(int argc, char **argv)
{
	static struct command command;
	command.options.timeout = 10;
	int status = parse(&command, argc, argv);
	for (size_t i = 0; i < command.trace_count; i++)
		scan_free(&command.traces[i].scan);
	free(command.traces);
	tape_set_free(&command.set);
	tape_wipe(command.pin, sizeof(command.pin));
	tape_wipe(command.so_pin, sizeof(command.so_pin));
	tape_wipe(command.options.secrets, sizeof(command.options.secrets));
	return status;
}
