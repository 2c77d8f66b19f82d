/* SPDX-License-Identifier: MIT
 *
 * p11tape check: run the conformance suites against a module.
 */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/describe.h"
#include "cli/halves.h"
#include "core/system.h"
#include "suites/coverage.h"
#include "suites/list.h"
#include "suites/report.h"
#include "suites/rules.h"
#include "suites/runner.h"

static const char usage[] =
	"usage: p11tape check -m MODULE [options] [CHECK…]\n"
	"\n"
	"Tries a module against the rules of PKCS#11, each check in a process of its own,\n"
	"and prints what it found. CHECK is a name or a pattern: 'finalize/*'.\n"
	"\n"
	"  -m, --module FILE        the module\n"
	"      --slot NUMBER        the slot to use; or\n"
	"      --token LABEL        the token to use (default: the first that is there)\n"
	"      --pin PIN            the user's PIN, also in P11TAPE_PIN; better:\n"
	"      --pin-file FILE      its first line\n"
	"      --so-pin PIN         the security officer's, also in P11TAPE_SO_PIN\n"
	"      --so-pin-file FILE\n"
	"      --init-args TEXT     for C_Initialize's pReserved, as NSS and p11-kit have it\n"
	"      --unplug COMMAND     a shell command that takes the token out of its slot, and\n"
	"      --plug COMMAND       one that puts it back: for checks of removal\n"
	"      --destructive        also what changes the token: objects, PINs, C_InitToken\n"
	"      --wrong-pins N       that may be presented where the token does not show in its\n"
	"                           flags that the right one makes it forget them (default: 2)\n"
	"      --spec VERSION       the rules of this version: 2.40, 3.0, 3.1, 3.2 (default:\n"
	"                           the module's own)\n"
	"\n"
	"      --suite NAME         only this suite; may be repeated\n"
	"      --rule R-057         only checks that assert this rule; may be repeated\n"
	"      --list               print the checks that would run\n"
	"      --coverage           print which checks assert which rule, as Markdown\n"
	"      --shard I/N          only the I-th of N parts\n"
	"      --repeat N           run everything so many times\n"
	"      --first              stop at the first finding\n"
	"  -j, --jobs N             checks at a time (default: the processors there are)\n"
	"      --timeout SECONDS    that a check may take (default: 10)\n"
	"\n"
	"      --expect FILE        what is known of the module: known findings are no fail;\n"
	"                           new ones and vanished ones are shown\n"
	"      --bless              write FILE anew with what is found now\n"
	"\n"
	"      --format FORMAT      text, tap, junit or json\n"
	"  -o, --output FILE        print there\n"
	"      --evidence DIR       where to keep the trace of each finding (default:\n"
	"                           p11tape-check)\n"
	"      --keep-all           keep the traces of all checks\n"
	"      --direct             do not record\n"
	"  -v, --verbose            print what passed and what was skipped, and notes\n"
	"      --help               print this\n"
	"\n"
	"Exit status: 0; 1 where a check failed; 2 for an error of p11tape's, or where\n"
	"nothing could be tried.\n";

#define MAX_SELECTIONS 64

_Static_assert(TARGET_PIN_SIZE == TAPE_PIN_SIZE, "options fill in a target");

struct options {
	struct target target;
	struct run_options run;
	struct report report;
	const char *output;
	const char *expect;
	bool bless, list, coverage, direct;
	const char *suites[MAX_SELECTIONS];
	uint64_t rules[MAX_SELECTIONS];
	size_t suite_count, rule_count;
	uint64_t shard, shards, repeat;
	char **patterns;
	size_t pattern_count;
	uint64_t slot;
};

/* ---- options --------------------------------------------------------------------------------- */

static bool take_command(const char *option, char command[TARGET_COMMAND_SIZE])
{
	if ((size_t)snprintf(command, TARGET_COMMAND_SIZE, "%s", optarg) < TARGET_COMMAND_SIZE)
		return true;
	tape_cli_fail("the command of --%s has %d bytes or more", option, TARGET_COMMAND_SIZE);
	return false;
}

static bool take_spec(const char *text, unsigned int *ret_spec)
{
	static const struct {
		const char *name;
		unsigned int spec;
	} versions[] = { { "2.40", SPEC(2, 40) },
		         { "3.0", SPEC(3, 0) },
		         { "3.1", SPEC(3, 1) },
		         { "3.2", SPEC(3, 2) } };
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(versions); i++)
		if (strcmp(versions[i].name, text) == 0) {
			*ret_spec = versions[i].spec;
			return true;
		}
	tape_cli_fail("--spec is 2.40, 3.0, 3.1 or 3.2, not '%s'", text);
	return false;
}

static bool take_rule(struct options *options, const char *text)
{
	uint64_t number;
	const char *digits = strncmp(text, "R-", 2) == 0 ? text + 2 : text;
	while (digits[0] == '0' && digits[1] != 0)
		digits++;
	if (!tape_cli_number(digits, &number) || rule_find((unsigned int)number) == NULL) {
		tape_cli_fail("there is no rule '%s'; docs/conformance-coverage.md lists them",
		              text);
		return false;
	}
	options->rules[options->rule_count++] = number;
	return true;
}

static bool take_shard(struct options *options, const char *text)
{
	char first[12];
	const char *slash = strchr(text, '/');
	size_t length = slash == NULL ? sizeof(first) : (size_t)(slash - text);
	uint64_t shard, shards;
	if (length < sizeof(first)) {
		memcpy(first, text, length);
		first[length] = '\0';
		if (tape_cli_number(first, &shard) && tape_cli_number(slash + 1, &shards) &&
		    shard >= 1 && shard <= shards && shards <= UINT_MAX) {
			options->shard = (unsigned int)shard - 1;
			options->shards = (unsigned int)shards;
			return true;
		}
	}
	tape_cli_fail("--shard is I/N, such as 1/4, not '%s'", text);
	return false;
}

static bool take_suite(struct options *options, const char *name)
{
	for (size_t i = 0; i < suite_count; i++)
		if (strcmp(suites[i].name, name) == 0) {
			options->suites[options->suite_count++] = suites[i].name;
			return true;
		}
	tape_cli_fail("there is no suite '%s'; 'p11tape check --list' prints all checks", name);
	return false;
}

enum option_code {
	OPTION_SLOT = 256,
	OPTION_TOKEN,
	OPTION_PIN,
	OPTION_PIN_FILE,
	OPTION_SO_PIN,
	OPTION_SO_PIN_FILE,
	OPTION_INIT_ARGS,
	OPTION_UNPLUG,
	OPTION_PLUG,
	OPTION_DESTRUCTIVE,
	OPTION_SPEC,
	OPTION_WRONG_PINS,
	OPTION_SUITE,
	OPTION_RULE,
	OPTION_LIST,
	OPTION_COVERAGE,
	OPTION_SHARD,
	OPTION_REPEAT,
	OPTION_FIRST,
	OPTION_TIMEOUT,
	OPTION_EXPECT,
	OPTION_BLESS,
	OPTION_FORMAT,
	OPTION_EVIDENCE,
	OPTION_KEEP_ALL,
	OPTION_DIRECT,
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
	{ "init-args", required_argument, NULL, OPTION_INIT_ARGS },
	{ "unplug", required_argument, NULL, OPTION_UNPLUG },
	{ "plug", required_argument, NULL, OPTION_PLUG },
	{ "destructive", no_argument, NULL, OPTION_DESTRUCTIVE },
	{ "wrong-pins", required_argument, NULL, OPTION_WRONG_PINS },
	{ "spec", required_argument, NULL, OPTION_SPEC },
	{ "suite", required_argument, NULL, OPTION_SUITE },
	{ "rule", required_argument, NULL, OPTION_RULE },
	{ "list", no_argument, NULL, OPTION_LIST },
	{ "coverage", no_argument, NULL, OPTION_COVERAGE },
	{ "shard", required_argument, NULL, OPTION_SHARD },
	{ "repeat", required_argument, NULL, OPTION_REPEAT },
	{ "first", no_argument, NULL, OPTION_FIRST },
	{ "jobs", required_argument, NULL, 'j' },
	{ "timeout", required_argument, NULL, OPTION_TIMEOUT },
	{ "expect", required_argument, NULL, OPTION_EXPECT },
	{ "bless", no_argument, NULL, OPTION_BLESS },
	{ "format", required_argument, NULL, OPTION_FORMAT },
	{ "output", required_argument, NULL, 'o' },
	{ "evidence", required_argument, NULL, OPTION_EVIDENCE },
	{ "keep-all", no_argument, NULL, OPTION_KEEP_ALL },
	{ "direct", no_argument, NULL, OPTION_DIRECT },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

static bool take_option(struct options *options, int option)
{
	struct target *target = &options->target;
	uint64_t number;
	if ((option == OPTION_SUITE && options->suite_count == MAX_SELECTIONS) ||
	    (option == OPTION_RULE && options->rule_count == MAX_SELECTIONS)) {
		tape_cli_fail("at most %d suites and rules can be named", MAX_SELECTIONS);
		return false;
	}
	switch (option) {
	case 'm':
		return tape_cli_absolute(optarg, target->module);
	case OPTION_SLOT:
		if (!tape_cli_range("slot", optarg, 0, (CK_SLOT_ID)-1, &options->slot))
			return false;
		target->slot = (CK_SLOT_ID)options->slot;
		target->slot_is_given = true;
		return true;
	case OPTION_TOKEN:
		return tape_cli_label(optarg, target->token);
	case OPTION_PIN:
		return tape_cli_pin(optarg, target->pin, &target->has_pin);
	case OPTION_PIN_FILE:
		return tape_cli_pin_file(optarg, target->pin, &target->has_pin);
	case OPTION_SO_PIN:
		return tape_cli_pin(optarg, target->so_pin, &target->has_so_pin);
	case OPTION_SO_PIN_FILE:
		return tape_cli_pin_file(optarg, target->so_pin, &target->has_so_pin);
	case OPTION_INIT_ARGS:
		snprintf(target->init_args, sizeof(target->init_args), "%s", optarg);
		return true;
	case OPTION_UNPLUG:
		return take_command("unplug", target->unplug);
	case OPTION_PLUG:
		return take_command("plug", target->plug);
	case OPTION_DESTRUCTIVE:
		return target->destructive = true;
	case OPTION_WRONG_PINS:
		if (!tape_cli_range("wrong-pins", optarg, 0, 1000000, &number))
			return false;
		options->run.wrong_pins = (unsigned int)number;
		return true;
	case OPTION_SPEC:
		return take_spec(optarg, &target->spec);
	case OPTION_SUITE:
		return take_suite(options, optarg);
	case OPTION_RULE:
		return take_rule(options, optarg);
	case OPTION_LIST:
		return options->list = true;
	case OPTION_COVERAGE:
		return options->coverage = true;
	case OPTION_SHARD:
		return take_shard(options, optarg);
	case OPTION_REPEAT:
		return tape_cli_range("repeat", optarg, 1, 1000000, &options->repeat);
	case OPTION_FIRST:
		return options->run.first = true;
	case 'j':
		if (!tape_cli_range("jobs", optarg, 1, 64, &number))
			return false;
		options->run.jobs = (unsigned int)number;
		return true;
	case OPTION_TIMEOUT:
		if (!tape_cli_range("timeout", optarg, 1, 86400, &number))
			return false;
		options->run.timeout = (unsigned int)number;
		return true;
	case OPTION_EXPECT:
		options->expect = optarg;
		return true;
	case OPTION_BLESS:
		return options->bless = true;
	case OPTION_FORMAT:
		if (report_format_find(optarg, &options->report.format))
			return true;
		tape_cli_fail("--format is text, tap, junit or json, not '%s'", optarg);
		return false;
	case 'o':
		options->output = optarg;
		return true;
	case OPTION_EVIDENCE:
		options->run.evidence = optarg;
		return true;
	case OPTION_KEEP_ALL:
		return options->run.keep_all = true;
	case OPTION_DIRECT:
		return options->direct = true;
	case 'v':
		return options->report.verbose = true;
	default:
		tape_cli_misused("check");
		return false;
	}
}

/* ---- choosing -------------------------------------------------------------------------------- */

static bool is_among(const struct options *options, const struct check_row *row)
{
	char name[CHECK_NAME_SIZE * 2];
	bool wanted = options->suite_count == 0;
	for (size_t i = 0; i < options->suite_count; i++)
		wanted |= strcmp(options->suites[i], row->suite) == 0;
	bool asserts = options->rule_count == 0;
	for (size_t i = 0; i < options->rule_count; i++)
		for (size_t j = 0; j < CHECK_RULES; j++)
			asserts |= row->rules[j] == options->rules[i];
	bool matches = options->pattern_count == 0;
	snprintf(name, sizeof(name), "%s/%s", row->suite, row->name);
	for (size_t i = 0; i < options->pattern_count; i++)
		matches |= fnmatch(options->patterns[i], name, 0) == 0;
	return wanted && asserts && matches;
}

static const struct check_row **choose(struct options *options, const struct check_list *list,
                                       size_t *ret_count)
{
	const struct check_row **rows = malloc((list->count + 1) * sizeof(*rows));
	uint64_t seen = 0;
	*ret_count = 0;
	for (size_t i = 0; rows != NULL && i < list->count; i++) {
		if (!is_among(options, list->rows[i]))
			continue;
		if (check_needs(list->rows[i], NEED_DESTRUCTIVE) && !options->target.destructive)
			options->report.left_out++;
		else if (seen++ % options->shards == options->shard)
			rows[(*ret_count)++] = list->rows[i];
	}
	return rows;
}

static void print_list(const struct check_row *const *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		printf("%s/%s", rows[i]->suite, rows[i]->name);
		for (size_t j = 0; j < CHECK_RULES && rows[i]->rules[j] != 0; j++)
			printf(" R-%03u", rows[i]->rules[j]);
		printf("  %s\n", rows[i]->what);
	}
}

/* ---- running --------------------------------------------------------------------------------- */

/* A slot or a token that the user named is there, or it is an error. */
static bool has_what_was_named(const struct target *target)
{
	if (!target->initializes || target->has_slot || target->slot_count == 0)
		return true;
	if (target->slot_is_given)
		tape_cli_fail("there is no slot %lu: the first one is %lu",
		              (unsigned long)target->slot, (unsigned long)target->slots[0]);
	else
		tape_cli_fail("no slot has a token with the label '%s'", target->token);
	return false;
}

/* Where nobody said it and the token wants it; who gives none goes without. */
static bool ask_for_pin(struct target *target)
{
	const CK_TOKEN_INFO *info = &target->token_info;
	int length = sizeof(info->label);
	if (!target->has_token || target->has_pin || target->user_logs_in ||
	    (info->flags & CKF_LOGIN_REQUIRED) == 0 ||
	    (info->flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0)
		return false;
	while (length > 0 && info->label[length - 1] == ' ')
		length--;
	target->has_pin =
		tape_cli_ask(target->pin, sizeof(target->pin),
	                     "PIN of the user of token '%.*s' (none: go without it): ", length,
	                     (const char *)info->label);
	return target->has_pin;
}

/* What the module lacks for more to be tried, and what to do about it. */
static void tell_lacks(const struct target *target)
{
	if (target->trouble[0] != 0)
		tape_cli_warn("%s", target->trouble);
	if (!target->initializes) {
		if (target->loads)
			tape_cli_warn("does the module find its configuration, its environment, "
			              "its daemon? One that wants a text in pReserved gets it by "
			              "--init-args");
		return;
	}
	if (!target->has_slot)
		tape_cli_warn("there is no slot: nothing behind C_GetSlotList can be tried; is a "
		              "reader connected, and its service running?");
	else if (!target->has_token)
		tape_cli_warn("slot %lu has no initialised token: name another one with --slot or "
		              "--token, or initialise it: pkcs11-tool --module %s --slot %lu "
		              "--init-token --label NAME",
		              (unsigned long)target->slot, target->module,
		              (unsigned long)target->slot);
	else if ((target->token_info.flags & CKF_LOGIN_REQUIRED) != 0 && !target->user_logs_in)
		tape_cli_warn(
			target->has_pin
				? "the user's PIN was refused: it is not tried again, and what "
				  "needs it is skipped"
				: "there is no PIN: what needs the user logged in is skipped "
				  "(--pin-file, P11TAPE_PIN)");
}

/* ---- the calls of a finding ------------------------------------------------------------------ */

/* So many calls are shown: what is wrong is in the last ones. */
#define LAST_CALLS 6

struct last_calls {
	char lines[LAST_CALLS][256];
	uint64_t ids[LAST_CALLS];
	size_t count;
};

static const struct tape_describe brief = { .limit = 16 };

static void add_call(struct last_calls *last, const struct tape_item *call)
{
	struct tape_buf buf;
	char *line = last->lines[last->count % LAST_CALLS];
	last->ids[last->count++ % LAST_CALLS] = call->id;
	tape_buf_init(&buf, line, sizeof(last->lines[0]) - 1, sizeof(last->lines[0]) - 1);
	tape_put_text(&buf, call->name);
	tape_put_char(&buf, '(');
	tape_describe_in(&buf, &brief, call);
	tape_put_char(&buf, ')');
	line[buf.length] = 0;
}

static void add_return(struct last_calls *last, const struct tape_half *call,
                       const struct tape_item *back)
{
	struct tape_buf buf;
	size_t shown = last->count < LAST_CALLS ? last->count : LAST_CALLS;
	for (size_t i = 0; i < shown; i++) {
		char *line = last->lines[i];
		size_t used = strlen(line);
		if (last->ids[i] != back->id)
			continue;
		tape_buf_init(&buf, line + used, sizeof(last->lines[0]) - 1 - used,
		              sizeof(last->lines[0]) - 1 - used);
		tape_put_text(&buf, " = ");
		tape_describe_node(&buf, &brief, tape_node_get(back->node, "rv"));
		if (back->out != NULL) {
			tape_put_text(&buf, ", ");
			tape_describe_out(&buf, &brief, call == NULL ? NULL : &call->item, back);
		}
		line[used + buf.length] = 0;
	}
}

/* The last calls of a trace, but for those that merely end the check. */
static void show_calls(FILE *to, const char *indent, const char *path)
{
	static struct last_calls last;
	struct tape_halves halves;
	struct tape_open open = { 0 };
	struct tape_half *half;
	struct tape_error error;
	last.count = 0;
	if (tape_halves_init(&halves, path, &error) < 0)
		return;
	while (tape_halves_next(&halves, &half, &error) > 0) {
		struct tape_half *call = NULL;
		if (half->item.kind == TAPE_ITEM_CALL) {
			add_call(&last, &half->item);
			tape_open_add(&open, half);
			continue;
		}
		if (half->item.kind == TAPE_ITEM_RETURN) {
			call = tape_open_find(&open, half->item.id);
			add_return(&last, call, &half->item);
		}
		if (call != NULL) {
			tape_open_remove(&open, call);
			tape_halves_give(&halves, call);
		}
		tape_halves_give(&halves, half);
	}
	while (open.first != NULL) {
		half = open.first;
		tape_open_remove(&open, half);
		tape_halves_give(&halves, half);
	}
	tape_halves_done(&halves);
	size_t end = last.count;
	if (end != 0 &&
	    strcmp(last.lines[(end - 1) % LAST_CALLS], "C_Finalize(pReserved=NULL) = CKR_OK") == 0)
		end--;
	for (size_t i = last.count < LAST_CALLS ? 0 : last.count - LAST_CALLS; i < end; i++)
		fprintf(to, "%s%s\n", indent, last.lines[i % LAST_CALLS]);
}

/* ---- the run --------------------------------------------------------------------------------- */

struct collected {
	struct report *report;
	struct baseline found; /* for --bless */
	bool failed;
};

static void add_result(void *context, const struct result *result)
{
	struct collected *collected = context;
	report_add(collected->report, result);
	collected->failed |= !baseline_add(&collected->found, result);
}

static bool make_evidence(const char *directory)
{
	if (mkdir(directory, 0700) == 0 || errno == EEXIST)
		return true;
	tape_cli_fail("the directory %s for evidence cannot be made: %s", directory,
	              strerror(errno));
	return false;
}

/* Run all, and print. Returns the exit status. */
static int run_and_report(struct options *options, const struct check_row *const *rows,
                          size_t count, struct collected *collected)
{
	struct report *report = collected->report;
	struct tape_error error = { 0 };
	int result = 0;
	report_begin(report);
	for (uint64_t i = 0; i < options->repeat && result == 0; i++)
		result = run_checks(rows, count, &options->target, &options->run, add_result,
		                    collected, &error);
	size_t vanished = report_end(report);
	if (report->to != stdout && fclose(report->to) != 0)
		return tape_cli_fail("%s cannot be written: %s", options->output, strerror(errno));
	if (result < 0)
		return tape_cli_fail("%s", error.sentence);
	if (collected->failed)
		return tape_cli_fail("out of memory");
	if (options->bless &&
	    baseline_write(&collected->found, options->expect, &options->target, &error) < 0)
		return tape_cli_fail_at(options->expect, &error);
	if (report->verdicts[VERDICT_ERROR] != 0)
		return TAPE_EXIT_BAD;
	if (report->verdicts[VERDICT_SKIP] == report->done && report->known_count == 0)
		return tape_cli_fail("nothing could be tried");
	/* Of a module that is known every change counts. */
	bool found = report->verdicts[VERDICT_FAIL] != 0 || vanished != 0 ||
	             (report->known != NULL && report->verdicts[VERDICT_DEVIATION] != 0);
	return found && !options->bless ? TAPE_EXIT_FOUND : TAPE_EXIT_GOOD;
}

static int run(struct options *options, const struct check_row *const *rows, size_t count)
{
	struct report *report = &options->report;
	struct collected collected = { .report = report };
	struct baseline known;
	struct tape_error error = { 0 };
	int status = TAPE_EXIT_BAD;
	baseline_init(&known);
	baseline_init(&collected.found);
	if (options->expect != NULL && !options->bless) {
		if (baseline_read(&known, options->expect, &error) < 0) {
			tape_cli_fail_at(options->expect, &error);
			goto out;
		}
		report->known = &known;
	}
	if (run_ask(&options->target, &options->run, &error) < 0) {
		tape_cli_fail("%s", error.sentence);
		goto out;
	}
	if (!options->target.opens) {
		tape_cli_fail("%s", options->target.trouble);
		goto out;
	}
	if (!has_what_was_named(&options->target))
		goto out;
	if (ask_for_pin(&options->target) && run_ask(&options->target, &options->run, &error) < 0) {
		tape_cli_fail("%s", error.sentence);
		goto out;
	}
	tell_lacks(&options->target);
	if (!make_evidence(options->run.evidence))
		goto out;
	report->target = &options->target;
	report->evidence = options->run.evidence;
	report->show_calls = show_calls;
	report->total = count * (size_t)options->repeat;
	report->to = options->output == NULL ? stdout : fopen(options->output, "we");
	if (report->to == NULL) {
		tape_cli_fail("%s cannot be written: %s", options->output, strerror(errno));
		goto out;
	}
	report->progress = isatty(fileno(report->to)) != 0 && report->format == REPORT_TEXT;
	status = run_and_report(options, rows, count, &collected);
	/* Only where nothing was kept in it. */
	rmdir(options->run.evidence);
out:
	report->known = NULL;
	baseline_done(&known);
	baseline_done(&collected.found);
	return status;
}

static int check(struct options *options)
{
	struct check_list list;
	size_t count;
	list_make(&list);
	const struct check_row **rows = choose(options, &list, &count);
	int status;
	if (rows == NULL || list.failed) {
		status = tape_cli_fail("out of memory");
	} else if (options->list) {
		print_list(rows, count);
		status = TAPE_EXIT_GOOD;
	} else if (options->coverage) {
		coverage_print(stdout, &list);
		status = TAPE_EXIT_GOOD;
	} else if (count == 0) {
		status = tape_cli_fail("no check is of that name, suite and rule");
	} else if (options->target.module[0] == 0) {
		status = tape_cli_fail("which module to check is not said: -m MODULE");
	} else if (access(options->target.module, R_OK) != 0) {
		status = tape_cli_fail("%s: %s", options->target.module, strerror(errno));
	} else {
		status = run(options, rows, count);
	}
	free(rows);
	list_done(&list);
	return status;
}

int tape_cmd_check(int argc, char **argv)
{
	static struct options options;
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	options.run.jobs = processors > 0 && processors < 64 ? (unsigned int)processors : 1;
	struct run_pins pins = { 0 };
	options.run.timeout = 10;
	options.run.wrong_pins = 2;
	options.run.pins = &pins;
	options.run.evidence = "p11tape-check";
	options.shards = 1;
	options.repeat = 1;
	if (!tape_cli_pin(getenv("P11TAPE_PIN"), options.target.pin, &options.target.has_pin) ||
	    !tape_cli_pin(getenv("P11TAPE_SO_PIN"), options.target.so_pin,
	                  &options.target.has_so_pin))
		return TAPE_EXIT_BAD;
	for (int option; (option = getopt_long(argc, argv, "m:j:o:v", long_options, NULL)) != -1;) {
		if (option == OPTION_HELP)
			return tape_cli_usage(usage);
		if (!take_option(&options, option))
			return TAPE_EXIT_BAD;
	}
	options.patterns = argv + optind;
	options.pattern_count = (size_t)(argc - optind);
	if (!options.direct && !options.list && !options.coverage &&
	    !tape_cli_recorder(options.target.module, options.target.recorder))
		return TAPE_EXIT_BAD;
	(void)tape_cli_find("p11tape-oracle.so", options.target.oracle);
	if (options.bless && options.expect == NULL)
		return tape_cli_fail("--bless writes the file that --expect names");
	int status = check(&options);
	tape_wipe(options.target.pin, sizeof(options.target.pin));
	tape_wipe(options.target.so_pin, sizeof(options.target.so_pin));
	return status;
}
