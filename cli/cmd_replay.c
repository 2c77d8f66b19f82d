/* SPDX-License-Identifier: MIT
 *
 * p11tape replay: run a program with the replayer in its module's place, and say afterwards
 * whether it did what was recorded. The replayer cannot set its host's exit status, and many
 * programs end without a word to their modules: a page that both share tells how far it came.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/halves.h"
#include "cli/interpose.h"
#include "cli/run.h"
#include "core/buf.h"
#include "core/pace.h"
#include "core/rules.h"
#include "core/scope.h"
#include "replayer/keys/keyring.h"
#include "replayer/progress.h"

static const char usage[] =
	"usage: p11tape replay TRACE [options] -- COMMAND [ARG…]\n"
	"\n"
	"Runs COMMAND against the trace, without the module that was recorded: where it\n"
	"asks for that module it gets the replayer.\n"
	"\n"
	"  p11tape replay p11tape.yaml -- certutil -L -d sql:db -h all\n"
	"\n"
	"Or every {} in its arguments becomes the path of the replayer:\n"
	"\n"
	"  p11tape replay p11tape.yaml -- pkcs11-tool --module {} -O\n"
	"\n"
	"Where TRACE is a directory, each module that was recorded in it is served, from its own\n"
	"traces: {libsofthsm2.so} is the path of the replayer for that one.\n"
	"\n"
	"The traces of other processes of the same recording (p11tape.1234.yaml) are found\n"
	"beside it.\n"
	"\n"
	"      --mode MODE          strict: the same calls in the same order; lenient\n"
	"                           (default): calls in another order, missing or repeated,\n"
	"                           as far as their answers are certain; model: the same,\n"
	"                           and what follows from recorded facts. The variable\n"
	"                           P11TAPE_REPLAY_MODE says it where the option does not\n"
	"      --secret NAME=VALUE  what the program will present for a secret of the\n"
	"                           trace, such as pin-1=1234; without it the first value\n"
	"                           presented is accepted\n"
	"      --match RULE         how an input, or a part of one, is compared, such as\n"
	"                           Function.argument=any: exact, length, any or as:NAME; for\n"
	"                           what the program draws at random by itself\n"
	"      --rules FILE         such rules, as p11tape rules writes them; those of --match\n"
	"                           stand before these, and these before the trace's own\n"
	"      --key SELECTOR,FILE  sign, decrypt and derive with the private key in FILE (PEM)\n"
	"                           where the recording has no answer; SELECTOR says whose it\n"
	"                           is: CKA_ID=0a1b, CKA_LABEL=text, handle=5, or several\n"
	"                           with + between them\n"
	"      --inject RULE        let calls fail, wait, crash or lack something, several\n"
	"                           times: C_Sign:rv=CKR_DEVICE_REMOVED:when=3 (see\n"
	"                           docs/faults.md); such a call uses up none of the trace\n"
	"      --timing PACE        a call takes the time that it took (recorded), a part or a\n"
	"                           multiple of it (x0.1), or as little as it can (none)\n"
	"      --order global       in strict mode: calls of all threads begin and return in the\n"
	"                           recorded order; else it is kept in each session (lane)\n"
	"      --order-timeout SECONDS\n"
	"                           give that order up if a thread does not come (10)\n"
	"      --reproduce-crash    where a call did not return in the recording, raise\n"
	"                           SIGSEGV in it, once all other calls have come\n"
	"      --reproduce-hang     the same, but never return from it\n"
	"      --backtrace          say of every divergence where it was called from\n"
	"      --on-divergence WHAT error: the call fails (default); abort: the first one\n"
	"                           raises SIGABRT besides, for a debugger; forward[=MODULE]: a\n"
	"                           live module (the recorded one) is brought to the state\n"
	"                           that the program is in, and answers from then on\n"
	"      --forward-trace FILE record what that module is asked in FILE (TRACE-forward.yaml)\n"
	"      --report FILE        write a JSON object a line about every divergence\n"
	"  -v, --verbose            print the summary even where all is well\n"
	"      --help               print this\n"
	"\n"
	"Exit status: that of COMMAND; 1 where COMMAND succeeded but did something else\n"
	"than was recorded, and no live module answered it; 2 where it was not started.\n"
	"128 and the signal's number where COMMAND was killed, as by --reproduce-crash: 139.\n";

struct replay {
	const char *trace, *mode, *report, *no_return, *rules_file;
	const char *timing, *order, *order_timeout, *backtrace, *on_divergence;
	const char *forward, *forward_trace; /* module, "" for the recorded one; where to record */
	char forward_module[PATH_MAX];       /* the live one, and a recorder for it */
	char forward_directory[PATH_MAX], forward_recorder[PATH_MAX], forward_redact[64];
	bool verbose;
	struct tape_buf secrets, rules, keys, inject; /* a line each */
	struct keyring *ring;                         /* NULL where no key is given */
	char key_of[KEYRING_MAX + 1];          /* where there are several modules: of each key, */
	struct tape_error no_key[KEYRING_MAX]; /* whether it is this one's, and why not */
	size_t learning;                       /* which trace is read for it */
	struct tape_scopes scopes;             /* of that one, as far as it is read */
	char report_path[PATH_MAX], progress_path[PATH_MAX];
	bool report_is_ours; /* a temporary file */
	struct tape_progress *progress;
	size_t progress_size;
	struct tape_set set;
	struct tape_interpose *interpose; /* NULL: the arguments name the replayer */
	uint64_t *totals;                 /* calls of each trace, discovery left out */
	char module[PATH_MAX];            /* where there are several: the one that was recorded, */
	char prefix[64];                  /* that its entry points have, */
	char copy[PATH_MAX];              /* and our copy that stands for it; "" for none */
};

static bool temporary(char path[PATH_MAX], int *ret_fd)
{
	const char *directory = getenv("TMPDIR");
	if (directory == NULL || directory[0] != '/')
		directory = "/tmp";
	if ((size_t)snprintf(path, PATH_MAX, "%s/p11tape-XXXXXX", directory) < PATH_MAX &&
	    (*ret_fd = mkostemp(path, O_CLOEXEC)) >= 0)
		return true;
	path[0] = '\0';
	tape_cli_fail("no temporary file can be made in %s: %s", directory, strerror(errno));
	return false;
}

static bool make_report(struct replay *replay)
{
	int fd;
	if (replay->report_path[0] != '\0')
		return true;
	if (replay->report == NULL) {
		if (!temporary(replay->report_path, &fd))
			return false;
		replay->report_is_ours = true;
		close(fd);
		return true;
	}
	if (!tape_cli_absolute(replay->report, replay->report_path))
		return false;
	/* The replayer appends: what an earlier replay found is not of this one. */
	fd = open(replay->report_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		tape_cli_fail("the report %s cannot be written: %s", replay->report,
		              strerror(errno));
		return false;
	}
	close(fd);
	return true;
}

static bool make_progress(struct replay *replay)
{
	int fd;
	uint64_t uses = TAPE_PROGRESS_SIZE + replay->set.count * sizeof(struct tape_seat);
	size_t size = (size_t)uses;
	for (size_t i = 0; i < replay->set.count; i++)
		size += (size_t)replay->totals[i];
	if (!temporary(replay->progress_path, &fd))
		return false;
	void *pages = ftruncate(fd, (off_t)size) == 0
	                      ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
	                      : MAP_FAILED;
	int reason = errno;
	close(fd);
	if (pages == MAP_FAILED) {
		tape_cli_fail("%s cannot be shared: %s", replay->progress_path, strerror(reason));
		return false;
	}
	replay->progress = pages;
	replay->progress_size = size;
	replay->progress->count = replay->set.count;
	struct tape_seat *seats = tape_progress_seats(replay->progress);
	for (size_t i = 0; i < replay->set.count; i++) {
		seats[i].member = replay->set.members[i];
		seats[i].total = replay->totals[i];
		seats[i].uses = uses;
		uses += replay->totals[i];
	}
	return true;
}

/* The keys that are given, before the program is started for one that is none. */
static int open_keys(struct replay *replay, struct tape_error *error)
{
	char library[PATH_MAX];
	if (replay->keys.length == 0)
		return 0;
	if (replay->keys.failed)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	if (!tape_cli_find(KEYRING_LIBRARY, library))
		return tape_error_set(error, TAPE_E_SYSTEM, 0,
		                      "this p11tape was built without test keys: " KEYRING_LIBRARY
		                      " is neither beside the program nor where modules are "
		                      "installed");
	return keyring_open(&replay->ring, replay->keys.data, library, error);
}

static uint64_t identify(void *context, uint64_t session, uint64_t object)
{
	return tape_scope_object(context, session, object);
}

static void learn(void *context, const struct tape_item *call, const struct tape_value *in,
                  const struct tape_value *out, uint64_t rv)
{
	struct replay *replay = context;
	const struct tape_function *function = &tape_functions[call->function];
	const struct tape_scope_call effect = { .function = function,
		                                .in = in,
		                                .out = out,
		                                .rv = (CK_RV)rv,
		                                .fed = tape_scope_fed(&replay->scopes, function,
		                                                      in),
		                                .self = call->id,
		                                .line = (uint32_t)call->line };
	tape_scope_effect(&replay->scopes, &effect);
	keyring_learn(replay->ring, replay->learning, function, in, out, (CK_RV)rv, call->line,
	              identify, &replay->scopes);
}

/* Whether each key is for an object of the trace, and fits it; of several modules' traces it need not be. */
static int check_keys(struct replay *replay, struct tape_error *error)
{
	if (replay->ring == NULL)
		return 0;
	if (replay->module[0] == '\0')
		return keyring_check(replay->ring, true, error);
	for (size_t i = 0; i < keyring_count(replay->ring); i++) {
		int result = keyring_fits(replay->ring, i, &replay->no_key[i]);
		if (result < 0 && result != -TAPE_E_INVALID) {
			*error = replay->no_key[i];
			return result;
		}
		replay->key_of[i] = result > 0 ? '1' : '0';
		/* What is said of an object that it is for, and does not fit, tells more. */
		if (result == 0)
			replay->no_key[i].code = 0;
	}
	return 0;
}

/* Read every trace to its end once, so that the program is not started for one that is broken. */
static int check_set(struct replay *replay)
{
	struct tape_error error = { 0 };
	struct tape_summary summary;
	if (open_keys(replay, &error) < 0)
		return tape_cli_fail("replay: --key: %s", error.sentence);
	if (replay->set.count == 0 && tape_set_read(&replay->set, replay->trace, &error) < 0)
		return tape_cli_fail_at(replay->set.path, &error);
	replay->totals = calloc(replay->set.count, sizeof(*replay->totals));
	if (replay->totals == NULL)
		return tape_cli_fail("out of memory");
	for (size_t i = 0; i < replay->set.count; i++) {
		char path[PATH_MAX];
		if (!tape_set_path(path, replay->trace, replay->set.members[i].name))
			return tape_cli_fail("%s: the path is too long", replay->trace);
		replay->learning = i;
		int result = replay->ring == NULL
		                     ? tape_cli_check(path, NULL, &summary, &error)
		                     : tape_cli_watch(path, learn, replay, &summary, &error);
		tape_scopes_done(&replay->scopes);
		if (result < 0)
			return tape_cli_fail_at(path, &error);
		replay->totals[i] = summary.calls - summary.finds;
	}
	if (check_keys(replay, &error) < 0)
		return tape_cli_fail("replay: --key: %s", error.sentence);
	return TAPE_EXIT_GOOD;
}

static void clean_up(struct replay *replay)
{
	if (replay->progress != NULL)
		munmap(replay->progress, replay->progress_size);
	if (replay->progress_path[0] != '\0')
		unlink(replay->progress_path);
	if (replay->report_is_ours)
		unlink(replay->report_path);
	tape_set_free(&replay->set);
	keyring_close(replay->ring);
	free(replay->totals);
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* How many calls of a trace were served, and which is the first that was not. */
static uint64_t count_served(const struct replay *replay, size_t index, uint64_t *ret_first)
{
	const struct tape_seat *seat = &tape_progress_seats(replay->progress)[index];
	const _Atomic uint8_t *uses = tape_progress_uses(replay->progress, index);
	uint64_t served = 0;
	*ret_first = seat->total;
	for (uint64_t i = seat->total; i-- > 0;)
		if (i < seat->reached || uses[i] != 0)
			served++;
		else
			*ret_first = i;
	return served;
}

/* Find the call that `before` others stand before, discovery left out. */
static bool find_call(const char *trace, uint64_t before, char *name, size_t size, size_t *ret_line)
{
	struct tape_halves halves;
	struct tape_error error;
	struct tape_half *half;
	bool found = false;
	if (tape_halves_init(&halves, trace, &error) < 0)
		return false;
	while (!found && tape_halves_next(&halves, &half, &error) > 0) {
		const struct tape_item *item = &half->item;
		if (item->kind == TAPE_ITEM_CALL && item->function != TAPE_FN_COUNT &&
		    !tape_functions[item->function].finds) {
			found = before-- == 0;
			snprintf(name, size, "%s", item->name);
			*ret_line = item->line;
		}
		tape_halves_give(&halves, half);
	}
	tape_halves_done(&halves);
	return found;
}

/* Say what was left of a trace, if anything was. */
static void print_unused(const struct replay *replay, size_t index)
{
	char path[PATH_MAX];
	char name[64];
	size_t line;
	uint64_t first;
	uint64_t total = tape_progress_seats(replay->progress)[index].total;
	uint64_t served = count_served(replay, index, &first);
	if (served == total || !tape_set_path(path, replay->trace, replay->set.members[index].name))
		return;
	if (served == 0 && replay->set.count > 1)
		tape_cli_warn("%s: no process asked for it", path);
	else if (find_call(path, first, name, sizeof(name), &line))
		tape_cli_warn("%s:%zu: the first call that was not made: %s", path, line, name);
}

/* Say how it went. Returns whether it went as recorded. */
static bool judge(const struct replay *replay, const char *program)
{
	struct tape_progress *progress = replay->progress;
	uint64_t total = 0;
	uint64_t served = 0;
	uint64_t first;
	uint64_t diverged = progress->diverged;
	uint64_t filled = progress->filled;
	char others[48] = "";
	if (progress->failed != 0)
		/* The replayer said why on the program's standard error. */
		return false;
	if (progress->magic != TAPE_PROGRESS_MAGIC && replay->module[0] != '\0') {
		tape_cli_warn("%s: no call was served: %s did not load %s", replay->trace, program,
		              replay->module);
		return false;
	}
	if (progress->magic != TAPE_PROGRESS_MAGIC) {
		tape_cli_warn("no call was served: %s did not load the %s", program,
		              replay->interpose == NULL
		                      ? "replayer; see that the argument with {} is the one that "
		                        "names its module"
		                      : "module that was recorded");
		return false;
	}
	bool good = diverged == 0;
	for (size_t i = 0; i < replay->set.count; i++) {
		total += replay->totals[i];
		served += count_served(replay, i, &first);
	}
	bool strict = strcmp(replay->mode, "strict") == 0;
	good &= served == total || !strict;
	if (!good || served != total || replay->verbose || isatty(STDERR_FILENO)) {
		if (replay->set.count > 1)
			snprintf(others, sizeof(others), " and %zu trace%s beside it",
			         replay->set.count - 1, replay->set.count == 2 ? "" : "s");
		tape_cli_warn("replay of %s%s: %" PRIu64 " of %" PRIu64 " calls served, %" PRIu64
		              " divergence%s",
		              replay->trace, others, served, total, diverged,
		              diverged == 1 ? "" : "s");
		if (progress->beyond != 0)
			tape_cli_warn("%" PRIu64 " calls were answered again", progress->beyond);
		if (progress->ended != 0)
			tape_cli_warn("%" PRIu64 " calls that only end something were answered "
			              "without a recorded one",
			              progress->ended);
		if (progress->derived != 0)
			tape_cli_warn("%" PRIu64
			              " calls were answered by model; another module may "
			              "return another code in %" PRIu64
			              " of them, and say a larger length in %" PRIu64,
			              progress->derived, progress->codes, progress->lengths);
		if (progress->keyed != 0)
			tape_cli_warn("by key: %" PRIu64 " call%s", progress->keyed,
			              progress->keyed == 1 ? "" : "s");
		if (progress->forwarded != 0)
			tape_cli_warn("forwarded: %" PRIu64 " call%s", progress->forwarded,
			              progress->forwarded == 1 ? "" : "s");
		if (filled != 0)
			tape_cli_warn("%" PRIu64 " bytes of redacted outputs were made up", filled);
	}
	for (size_t i = 0; i < replay->set.count; i++)
		print_unused(replay, i);
	return good;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* Read the traces, and make what the replayer needs. Returns an exit status. */
static int make_ready(struct replay *replay)
{
	if (check_set(replay) != TAPE_EXIT_GOOD || !make_report(replay) || !make_progress(replay))
		return TAPE_EXIT_BAD;
	return TAPE_EXIT_GOOD;
}

/* Set what is the same for all modules. `rules_file` lives as long as the variables. */
static int set_options(struct replay *replay, struct tape_variables *variables,
                       char rules_file[PATH_MAX])
{
	if (replay->rules_file != NULL && !tape_cli_absolute(replay->rules_file, rules_file))
		return TAPE_EXIT_BAD;
	tape_variables_set(variables, "P11TAPE_REPLAY_MODE", replay->mode);
	tape_variables_set(variables, "P11TAPE_REPLAY_NO_RETURN", replay->no_return);
	tape_variables_set_lines(variables, "P11TAPE_REPLAY_SECRET", &replay->secrets);
	tape_variables_set_lines(variables, "P11TAPE_REPLAY_KEY", &replay->keys);
	tape_variables_set_lines(variables, "P11TAPE_REPLAY_MATCH", &replay->rules);
	tape_variables_set_lines(variables, "P11TAPE_REPLAY_INJECT", &replay->inject);
	tape_variables_set(variables, "P11TAPE_REPLAY_RULES",
	                   replay->rules_file == NULL ? NULL : rules_file);
	tape_variables_set(variables, "P11TAPE_REPLAY_BACKTRACE", replay->backtrace);
	tape_variables_set(variables, "P11TAPE_REPLAY_ON_DIVERGENCE", replay->on_divergence);
	if (replay->forward != NULL) {
		tape_variables_set(variables, "P11TAPE_REPLAY_FORWARD", replay->forward_module);
		tape_variables_set(variables, "P11TAPE_REPLAY_FORWARD_RECORDER",
		                   replay->forward_recorder);
		/* The recorder's own file says these. */
		tape_variables_set(variables, "P11TAPE_MODULE", "");
		tape_variables_set(variables, "P11TAPE_TRACE", "");
		tape_variables_set(variables, "P11TAPE_REDACT", replay->forward_redact);
	}
	tape_variables_set(variables, "P11TAPE_REPLAY_TIMING", replay->timing);
	tape_variables_set(variables, "P11TAPE_REPLAY_ORDER", replay->order);
	tape_variables_set(variables, "P11TAPE_REPLAY_ORDER_TIMEOUT", replay->order_timeout);
	if (replay->interpose != NULL)
		tape_interpose_variables(replay->interpose, variables);
	return TAPE_EXIT_GOOD;
}

/* Where the live module's trace goes: p11tape.yaml has p11tape-forward.yaml, which no set of processes takes for its own. */
static void name_forward_trace(const struct replay *replay, char path[PATH_MAX])
{
	const char *slash = strrchr(replay->trace, '/');
	const char *dot = strrchr(slash == NULL ? replay->trace : slash, '.');
	int stem = (int)(dot == NULL ? strlen(replay->trace) : (size_t)(dot - replay->trace));
	if (replay->forward_trace != NULL)
		snprintf(path, PATH_MAX, "%s", replay->forward_trace);
	else
		snprintf(path, PATH_MAX, "%.*s-forward%s", stem, replay->trace,
		         dot == NULL ? "" : dot);
}

/*
 * A recorder for the live module, of the kind that the recorded one had, in a directory of its own, or in the one where
 * the preloaded library lets ours alone. A module that is not there is nothing to fail for: it may not be needed.
 */
static int make_forward(struct replay *replay)
{
	char shown[PATH_MAX];
	char trace[PATH_MAX];
	char lines[2][PATH_MAX + 64];
	const char *const settings[] = { lines[0], lines[1] };
	char recorder[PATH_MAX];
	struct tape_reader *reader;
	struct tape_error error;
	if (replay->forward == NULL)
		return TAPE_EXIT_GOOD;
	if (tape_reader_open(&reader, replay->trace, &error) < 0)
		return tape_cli_fail_at(replay->trace, &error);
	const struct tape_header *header = tape_reader_header(reader);
	const char *module = replay->forward[0] == '\0' ? header->module : replay->forward;
	snprintf(replay->forward_module, PATH_MAX, "%s", module);
	snprintf(replay->forward_redact, sizeof(replay->forward_redact), "%s", header->redact);
	tape_reader_close(reader);
	name_forward_trace(replay, shown);
	const char *directory = replay->forward_directory;
	if (replay->interpose != NULL)
		directory = replay->interpose->directory;
	else if (!tape_cli_temporary(replay->forward_directory))
		return TAPE_EXIT_BAD;
	if ((replay->forward[0] != '\0' &&
	     !tape_cli_find_module(replay->forward, replay->forward_module)) ||
	    !tape_cli_recorder(replay->forward_module, recorder) ||
	    tape_cli_new_trace(shown, trace, lines[0]) != TAPE_EXIT_GOOD)
		return TAPE_EXIT_BAD;
	memcpy(trace, lines[0], sizeof(trace));
	snprintf(lines[0], sizeof(lines[0]), "P11TAPE_MODULE=%s", replay->forward_module);
	snprintf(lines[1], sizeof(lines[1]), "P11TAPE_TRACE=%s", trace);
	if ((size_t)snprintf(replay->forward_recorder, PATH_MAX, "%s/forward.so", directory) >=
	    PATH_MAX)
		return tape_cli_fail("%s: the path is too long", directory);
	return tape_cli_copy_module(recorder, replay->forward_recorder, settings,
	                            TAPE_ARRAY_SIZE(settings));
}

static void end_forward(const struct replay *replay)
{
	char conf[PATH_MAX + 8];
	if (replay->forward_directory[0] == '\0')
		return;
	snprintf(conf, sizeof(conf), "%s.conf", replay->forward_recorder);
	unlink(replay->forward_recorder);
	unlink(conf);
	rmdir(replay->forward_directory);
}

static int run(struct replay *replay, char **command, char **arguments)
{
	char trace[PATH_MAX];
	char rules_file[PATH_MAX];
	bool started;
	struct tape_variables variables = { .count = 0 };
	if (!tape_cli_absolute(replay->trace, trace) || make_ready(replay) != TAPE_EXIT_GOOD ||
	    make_forward(replay) != TAPE_EXIT_GOOD ||
	    set_options(replay, &variables, rules_file) != TAPE_EXIT_GOOD)
		return TAPE_EXIT_BAD;
	tape_variables_set(&variables, "P11TAPE_REPLAY", trace);
	tape_variables_set(&variables, "P11TAPE_REPLAY_REPORT", replay->report_path);
	tape_variables_set(&variables, "P11TAPE_REPLAY_PROGRESS", replay->progress_path);
	int status = tape_run(arguments, &variables, &started);
	if (started && !judge(replay, command[0]) && status == 0)
		return TAPE_EXIT_FOUND;
	return status;
}

/* The replayer stands where the arguments say {}. */
static int replay_configured(struct replay *replay, const char *replayer, char **command)
{
	char **arguments = tape_run_arguments(command, "{}", replayer);
	if (arguments == NULL)
		return tape_cli_fail("out of memory");
	int status = run(replay, command, arguments);
	tape_run_free(arguments);
	return status;
}

/* The replayer is loaded for the module that was recorded, by the path that the program asks for. */
static int replay_unmodified(struct replay *replay, const char *replayer, char **command)
{
	struct tape_interpose interpose;
	struct tape_reader *reader;
	struct tape_error error;
	if (tape_reader_open(&reader, replay->trace, &error) < 0)
		return tape_cli_fail_at(replay->trace, &error);
	replay->interpose = &interpose;
	const struct tape_header *header = tape_reader_header(reader);
	int status = tape_interpose_begin(&interpose, command[0], NULL);
	if (status == TAPE_EXIT_GOOD)
		status = tape_interpose_serve(&interpose, header->module, header->prefix, replayer);
	if (status == TAPE_EXIT_GOOD)
		status = run(replay, command, command);
	replay->interpose = NULL;
	tape_interpose_end(&interpose);
	tape_reader_close(reader);
	return status;
}

/* ---- several modules ------------------------------------------------------------------------- */

struct several {
	struct replay *parts; /* one for each module */
	size_t count;
	char directory[PATH_MAX]; /* of our copies; "" for none */
};

static const char *name_of(const struct replay *part)
{
	const char *slash = strrchr(part->module, '/');
	return slash == NULL ? part->module : slash + 1;
}

/* How arguments name a module: {libsofthsm2.so}. */
static void place_of(const struct replay *part, char place[PATH_MAX])
{
	snprintf(place, PATH_MAX, "{%s}", name_of(part));
}

/* Prepare for the module of a set, whose traces become the part's. Returns an exit status. */
static int begin_part(struct several *several, const struct replay *options, struct tape_set *set)
{
	struct replay *part = &several->parts[several->count++];
	char replayer[PATH_MAX];
	char absolute[PATH_MAX];
	char lines[2][PATH_MAX + 64];
	char keys[KEYRING_MAX + 32] = "";
	const char *const settings[] = { lines[0], lines[1], keys };
	char *trace;
	struct tape_reader *reader;
	struct tape_error error;
	/* There is one for each set. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	*part = *options;
	part->set = *set;
	memset(set, 0, sizeof(*set));
	/* The report is the first one's. */
	if (part != several->parts)
		memcpy(part->report_path, several->parts->report_path, sizeof(part->report_path));
	part->trace = NULL;
	if (asprintf(&trace, "%s/%s", options->trace, part->set.members[0].name) < 0)
		return tape_cli_fail("out of memory");
	part->trace = trace;
	if (tape_reader_open(&reader, trace, &error) < 0)
		return tape_cli_fail_at(trace, &error);
	const struct tape_header *header = tape_reader_header(reader);
	snprintf(part->module, sizeof(part->module), "%s", header->module);
	snprintf(part->prefix, sizeof(part->prefix), "%s", header->prefix);
	int status = tape_cli_absolute(trace, absolute) && tape_cli_replayer(trace, replayer)
	                     ? make_ready(part)
	                     : TAPE_EXIT_BAD;
	if (status == TAPE_EXIT_GOOD &&
	    (size_t)snprintf(part->copy, PATH_MAX, "%s/%zu-%s", several->directory, several->count,
	                     name_of(part)) >= PATH_MAX)
		status = tape_cli_fail("%s: the path is too long", part->module);
	snprintf(lines[0], sizeof(lines[0]), "P11TAPE_REPLAY=%s", absolute);
	snprintf(lines[1], sizeof(lines[1]), "P11TAPE_REPLAY_PROGRESS=%s", part->progress_path);
	if (part->ring != NULL)
		snprintf(keys, sizeof(keys), "P11TAPE_REPLAY_KEY_OF=%s", part->key_of);
	if (status == TAPE_EXIT_GOOD)
		status = tape_cli_copy_module(replayer, part->copy, settings,
		                              TAPE_ARRAY_SIZE(settings));
	tape_reader_close(reader);
	return status;
}

/* Each key is for one of the modules at least. Returns an exit status. */
static int check_parts_keys(const struct several *several)
{
	const struct keyring *ring = several->parts[0].ring;
	for (size_t i = 0; ring != NULL && i < keyring_count(ring); i++) {
		const struct replay *refused = &several->parts[0];
		bool any = false;
		for (size_t j = 0; j < several->count; j++) {
			const struct replay *part = &several->parts[j];
			any |= part->key_of[i] == '1';
			if (refused->no_key[i].code == 0 && part->no_key[i].code != 0)
				refused = part;
		}
		if (!any)
			return tape_cli_fail("replay: --key: %s: %s", refused->trace,
			                     refused->no_key[i].sentence);
	}
	return TAPE_EXIT_GOOD;
}

/* The copies look beside themselves for what computes with keys. */
static bool link_library(const struct several *several, bool make)
{
	char library[PATH_MAX];
	char link[PATH_MAX + sizeof(KEYRING_LIBRARY)];
	snprintf(link, sizeof(link), "%s/" KEYRING_LIBRARY, several->directory);
	if (!make)
		return unlink(link) == 0;
	return tape_cli_find(KEYRING_LIBRARY, library) && symlink(library, link) == 0;
}

static void end_parts(struct several *several)
{
	char conf[PATH_MAX + 8];
	for (size_t i = 0; i < several->count; i++) {
		struct replay *part = &several->parts[i];
		snprintf(conf, sizeof(conf), "%s.conf", part->copy);
		if (part->copy[0] != '\0') {
			unlink(part->copy);
			unlink(conf);
		}
		clean_up(part);
		free((char *)(uintptr_t)part->trace);
	}
	if (several->directory[0] != '\0') {
		(void)link_library(several, false);
		rmdir(several->directory);
	}
	free(several->parts);
}

/* The arguments with the modules' places filled in; NULL, having said why, where that cannot be done. */
static char **fill_places(const struct several *several, char **command)
{
	char place[PATH_MAX];
	char **arguments = tape_run_arguments(command, "{}", several->parts[0].copy);
	for (size_t i = 0; arguments != NULL && i < several->count; i++) {
		place_of(&several->parts[i], place);
		char **filled = tape_run_arguments(arguments, place, several->parts[i].copy);
		tape_run_free(arguments);
		arguments = filled;
	}
	if (arguments == NULL)
		tape_cli_fail("out of memory");
	return arguments;
}

/* Say whether a module is named in the arguments, and whether by {} where that can be any. */
static bool is_placed(const struct several *several, char **command, bool *ret_unclear)
{
	char place[PATH_MAX];
	bool any = tape_run_has(command, "{}");
	*ret_unclear = any && several->count > 1;
	for (size_t i = 0; i < several->count; i++) {
		place_of(&several->parts[i], place);
		any |= tape_run_has(command, place);
	}
	return any;
}

/* Have the program's own paths lead to our copies. Returns an exit status. */
static int serve_paths(const struct several *several, struct tape_interpose *interpose,
                       const char *program)
{
	int status = tape_interpose_begin(interpose, program, NULL);
	for (size_t i = 0; status == TAPE_EXIT_GOOD && i < several->count; i++)
		status = tape_interpose_serve(interpose, several->parts[i].module,
		                              several->parts[i].prefix, several->parts[i].copy);
	return status;
}

static int run_parts(struct several *several, struct replay *options, char **command,
                     char **arguments)
{
	char rules_file[PATH_MAX];
	struct tape_variables variables = { .count = 0 };
	bool started;
	bool good = true;
	if (set_options(options, &variables, rules_file) != TAPE_EXIT_GOOD)
		return TAPE_EXIT_BAD;
	/* Each copy has its own beside it. */
	tape_variables_set(&variables, "P11TAPE_REPLAY", "");
	tape_variables_set(&variables, "P11TAPE_REPLAY_PROGRESS", "");
	tape_variables_set(&variables, "P11TAPE_REPLAY_REPORT", several->parts[0].report_path);
	int status = tape_run(arguments, &variables, &started);
	for (size_t i = 0; started && i < several->count; i++)
		good &= judge(&several->parts[i], command[0]);
	return status == 0 && !good ? TAPE_EXIT_FOUND : status;
}

/* Run the program, with the copies ready. */
static int replay_parts(struct several *several, struct replay *options, char **command)
{
	struct tape_interpose interpose = { 0 };
	char place[PATH_MAX];
	bool unclear;
	bool placed = is_placed(several, command, &unclear);
	if (unclear) {
		place_of(&several->parts[0], place);
		return tape_cli_fail(
			"replay: {} could be any of %zu modules: name one by its file, "
			"such as %s",
			several->count, place);
	}
	int status = TAPE_EXIT_GOOD;
	if (!placed) {
		options->interpose = &interpose;
		status = serve_paths(several, &interpose, command[0]);
	}
	char **arguments = status == TAPE_EXIT_GOOD ? fill_places(several, command) : NULL;
	status =
		arguments == NULL ? TAPE_EXIT_BAD : run_parts(several, options, command, arguments);
	tape_run_free(arguments);
	options->interpose = NULL;
	tape_interpose_end(&interpose);
	return status;
}

/* A directory of traces: each module that was recorded has one, or a set of them. */
static int replay_directory(struct replay *options, char **command)
{
	struct tape_sets sets;
	struct tape_error error = { 0 };
	struct several several = { .count = 0 };
	if (options->forward != NULL)
		return tape_cli_fail("replay: --on-divergence forward is for one trace: name the "
		                     "module's own");
	if (tape_sets_read(&sets, options->trace, &error) < 0)
		return tape_cli_fail_at(sets.path, &error);
	int status = TAPE_EXIT_GOOD;
	several.parts = calloc(sets.count, sizeof(*several.parts));
	if (several.parts == NULL)
		status = tape_cli_fail("out of memory");
	else if (!tape_cli_temporary(several.directory))
		status = TAPE_EXIT_BAD;
	for (size_t i = 0; status == TAPE_EXIT_GOOD && i < sets.count; i++)
		status = begin_part(&several, options, &sets.sets[i]);
	if (status == TAPE_EXIT_GOOD)
		status = check_parts_keys(&several);
	if (status == TAPE_EXIT_GOOD && options->keys.length != 0 && !link_library(&several, true))
		status = tape_cli_fail("%s: " KEYRING_LIBRARY " cannot be put there: %s",
		                       several.directory, strerror(errno));
	if (status == TAPE_EXIT_GOOD)
		status = replay_parts(&several, options, command);
	end_parts(&several);
	tape_sets_free(&sets);
	return status;
}

static int prepare(struct replay *replay, char **command)
{
	char replayer[PATH_MAX];
	struct stat status_of_trace;
	if (stat(replay->trace, &status_of_trace) == 0 && S_ISDIR(status_of_trace.st_mode))
		return replay_directory(replay, command);
	if (!tape_cli_replayer(replay->trace, replayer))
		return TAPE_EXIT_BAD;
	int status = tape_run_has(command, "{}") ? replay_configured(replay, replayer, command)
	                                         : replay_unmodified(replay, replayer, command);
	end_forward(replay);
	clean_up(replay);
	return status;
}

static bool add_secret(struct replay *replay, const char *text)
{
	const char *equals = strchr(text, '=');
	if (equals == NULL || equals == text || strchr(text, '\n') != NULL)
		return false;
	tape_put_text(&replay->secrets, text);
	tape_put_char(&replay->secrets, '\n');
	return true;
}

/* The program may run in another directory: the file is named from the root. */
static bool add_key(struct replay *replay, const char *text)
{
	char path[PATH_MAX];
	const char *comma = strchr(text, ',');
	if (comma == NULL || comma == text || comma[1] == '\0' || strchr(text, '\n') != NULL) {
		tape_cli_fail("replay: --key is SELECTOR,FILE, such as CKA_ID=0a1b,key.pem");
		return false;
	}
	if (!tape_cli_absolute(comma + 1, path))
		return false;
	tape_put(&replay->keys, text, (size_t)(comma + 1 - text));
	tape_put_text(&replay->keys, path);
	tape_put_char(&replay->keys, '\n');
	return true;
}

static bool add_rule(struct replay *replay, const char *text, struct tape_error *error)
{
	static struct tape_rules rules; /* only to be checked; large */
	if (tape_rules_add(&rules, text, strlen(text), error) < 0)
		return false;
	tape_put_text(&replay->rules, text);
	tape_put_char(&replay->rules, '\n');
	return true;
}

static bool check_rules(const char *path, struct tape_error *error)
{
	static struct tape_rules rules; /* large */
	return tape_rules_read_file(&rules, path, error) >= 0;
}

static bool is_mode(const char *name)
{
	return strcmp(name, "strict") == 0 || strcmp(name, "lenient") == 0 ||
	       strcmp(name, "model") == 0;
}

/* What is done at a divergence: error, abort, forward or forward=MODULE. */
static bool set_divergence(struct replay *replay, const char *text)
{
	static const char word[] = "forward";
	size_t length = sizeof(word) - 1;
	bool forwards = strncmp(text, word, length) == 0 &&
	                (text[length] == '\0' || (text[length] == '=' && text[length + 1] != '\0'));
	if (!forwards && strcmp(text, "error") != 0 && strcmp(text, "abort") != 0) {
		tape_cli_fail("replay: --on-divergence: '%s' is none of 'error', 'abort', "
		              "'forward' and 'forward=MODULE'",
		              text);
		return false;
	}
	replay->on_divergence = forwards ? word : text;
	replay->forward = !forwards ? NULL : text + length + (text[length] == '=');
	return true;
}

static int parse(struct replay *replay, int argc, char **argv)
{
	static const struct option options[] = {
		{ "mode", required_argument, NULL, 'm' },
		{ "secret", required_argument, NULL, 's' },
		{ "match", required_argument, NULL, 'M' },
		{ "rules", required_argument, NULL, 'R' },
		{ "key", required_argument, NULL, 'k' },
		{ "inject", required_argument, NULL, 'i' },
		{ "backtrace", no_argument, NULL, 'b' },
		{ "on-divergence", required_argument, NULL, 'd' },
		{ "forward-trace", required_argument, NULL, 'F' },
		{ "timing", required_argument, NULL, 't' },
		{ "order", required_argument, NULL, 'o' },
		{ "order-timeout", required_argument, NULL, 'O' },
		{ "reproduce-crash", no_argument, NULL, 'C' },
		{ "reproduce-hang", no_argument, NULL, 'H' },
		{ "report", required_argument, NULL, 'r' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct tape_error error;
	uint64_t number;
	size_t traces = 0;
	int option;
	/* -: the trace stands before the options, and what comes behind -- is not ours. */
	while ((option = getopt_long(argc, argv, "-v", options, NULL)) != -1) {
		switch (option) {
		case 1:
			if (traces++ != 0)
				return tape_cli_fail("replay: the command stands behind --");
			replay->trace = optarg;
			break;
		case 'm':
			replay->mode = optarg;
			break;
		case 's':
			if (!add_secret(replay, optarg))
				return tape_cli_fail("replay: --secret is NAME=VALUE");
			break;
		case 'M':
			if (!add_rule(replay, optarg, &error))
				return tape_cli_fail("replay: --match: %s", error.sentence);
			break;
		case 'R':
			if (!check_rules(optarg, &error))
				return tape_cli_fail("%s", error.sentence);
			replay->rules_file = optarg;
			break;
		case 'k':
			if (!add_key(replay, optarg))
				return TAPE_EXIT_BAD;
			break;
		case 'i':
			if (!tape_cli_add_injection(&replay->inject, "replay", optarg))
				return TAPE_EXIT_BAD;
			break;
		case 'b':
			replay->backtrace = "1";
			break;
		case 'd':
			if (!set_divergence(replay, optarg))
				return TAPE_EXIT_BAD;
			break;
		case 'F':
			replay->forward_trace = optarg;
			break;
		case 't':
			if (tape_pace_read(optarg, &number, &error) < 0)
				return tape_cli_fail("replay: --timing: %s", error.sentence);
			replay->timing = optarg;
			break;
		case 'o':
			if (strcmp(optarg, "global") != 0 && strcmp(optarg, "lane") != 0)
				return tape_cli_fail("replay: --order: '%s' is neither 'lane' nor "
				                     "'global'",
				                     optarg);
			replay->order = optarg;
			break;
		case 'O':
			if (!tape_cli_number(optarg, &number) || number == 0 ||
			    number > TAPE_ORDER_MAX)
				return tape_cli_fail(
					"replay: --order-timeout: '%s' is no number of "
					"seconds from 1 to %d",
					optarg, TAPE_ORDER_MAX);
			replay->order_timeout = optarg;
			break;
		case 'C':
		case 'H':
			replay->no_return = option == 'C' ? "crash" : "hang";
			break;
		case 'r':
			replay->report = optarg;
			break;
		case 'v':
			replay->verbose = true;
			break;
		case 'h':
			return tape_cli_usage(usage);
		default:
			return tape_cli_misused("replay");
		}
	}
	if (!is_mode(replay->mode))
		return tape_cli_fail(
			"replay: '%s' is not a mode; there are: strict, lenient, model",
			replay->mode);
	if (traces == 0)
		return tape_cli_fail("replay: name a trace");
	if (optind == argc)
		return tape_cli_fail("replay: name a command behind --");
	if (replay->order != NULL && strcmp(replay->order, "global") == 0 &&
	    strcmp(replay->mode, "strict") != 0)
		return tape_cli_fail(
			"replay: --order global is for --mode strict: the others keep no "
			"order");
	if (replay->keys.length != 0 && strcmp(replay->mode, "strict") == 0)
		return tape_cli_fail(
			"replay: --key is for the modes lenient and model: strict mode "
			"says what was recorded and nothing else");
	if (replay->forward != NULL && strcmp(replay->mode, "strict") == 0)
		return tape_cli_fail("replay: --on-divergence forward is for the modes lenient and "
		                     "model: strict mode says what was recorded and nothing else");
	if (replay->forward_trace != NULL && replay->forward == NULL)
		return tape_cli_fail("replay: --forward-trace is for --on-divergence forward");
	if (strcmp(replay->trace, "-") == 0)
		return tape_cli_fail("replay: the trace is a file, since another program reads it");
	if (replay->keys.length != 0)
		tape_put_char(&replay->keys, '\0');
	return prepare(replay, argv + optind);
}

int tape_cmd_replay(int argc, char **argv)
{
	const char *mode = getenv("P11TAPE_REPLAY_MODE");
	struct replay replay = { .mode = mode == NULL || mode[0] == '\0' ? "lenient" : mode };
	tape_buf_init(&replay.secrets, NULL, 0, (size_t)1 << 20);
	tape_buf_init(&replay.rules, NULL, 0, (size_t)1 << 20);
	tape_buf_init(&replay.keys, NULL, 0, (size_t)1 << 20);
	tape_buf_init(&replay.inject, NULL, 0, (size_t)1 << 20);
	int status = parse(&replay, argc, argv);
	tape_buf_done(&replay.secrets);
	tape_buf_done(&replay.rules);
	tape_buf_done(&replay.keys);
	tape_buf_done(&replay.inject);
	return status;
}
