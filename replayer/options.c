/* SPDX-License-Identifier: MIT */
#include "replayer/options.h"

#include <string.h>
#include <sys/random.h>

#include "core/config.h"
#include "core/pace.h"
#include "core/system.h"
#include "replayer/keys/keyring.h"

/* An option's value, "" where it is not set. */
static int get(struct tape_config *config, const char *variable, char *to, size_t size,
               struct tape_error *error)
{
	int result = tape_config_get(config, variable, to, size, error);
	if (result <= 0)
		to[0] = 0;
	return result < 0 ? result : 0;
}

/* NAME=VALUE, one a line: what the program will present for a secret that the trace only names. */
static int bind_secrets(struct tape_bindings *bindings, const char *list, struct tape_error *error)
{
	while (*list != 0) {
		size_t line = strcspn(list, "\n");
		const char *equals = memchr(list, '=', line);
		size_t name = equals == NULL ? 0 : (size_t)(equals - list);
		if (name == 0 ||
		    tape_bindings_add(bindings, list, name, equals + 1, line - name - 1) < 0)
			return tape_error_set(
				error, TAPE_E_INVALID, 0,
				"P11TAPE_REPLAY_SECRET: NAME=VALUE is expected on each line");
		list += line + (list[line] == '\n');
	}
	return 0;
}

static int read_injections(struct options *options, struct tape_config *config,
                           struct tape_error *error)
{
	struct tape_error wrong = { 0 };
	char rules[4096];
	int result = get(config, "P11TAPE_REPLAY_INJECT", rules, sizeof(rules), error);
	if (result < 0)
		return result;
	result = tape_inject_read(&options->injections, rules, &wrong);
	return result == 0 ? 0
	                   : tape_error_set(error, wrong.code, 0, "P11TAPE_REPLAY_INJECT: %s",
	                                    wrong.sentence);
}

static int read_order(struct options *options, const char *order, const char *seconds,
                      struct tape_error *error)
{
	uint64_t limit = 0;
	options->ordered = strcmp(order, "global") == 0;
	if (!options->ordered && order[0] != 0 && strcmp(order, "lane") != 0)
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "P11TAPE_REPLAY_ORDER: '%s' is neither 'lane' nor 'global'",
		                      order);
	if (options->ordered && options->mode != MODE_STRICT)
		return tape_error_set(
			error, TAPE_E_INVALID, 0,
			"P11TAPE_REPLAY_ORDER: 'global' is for strict mode: the others "
			"keep no order");
	for (const char *at = seconds; *at != 0; at++) {
		limit = limit * 10 + (uint64_t)(*at - '0');
		if (*at < '0' || *at > '9' || limit > TAPE_ORDER_MAX)
			limit = TAPE_ORDER_MAX + 1;
	}
	if (seconds[0] == 0)
		limit = TAPE_ORDER_SECONDS;
	if (limit == 0 || limit > TAPE_ORDER_MAX)
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "P11TAPE_REPLAY_ORDER_TIMEOUT: '%s' is no number of seconds "
		                      "from 1 to %d",
		                      seconds, TAPE_ORDER_MAX);
	options->order_wait = limit * 1000000000u;
	return 0;
}

static int read_how(struct options *options, const char *backtrace, const char *wanted,
                    struct tape_error *error)
{
	options->backtrace = strcmp(backtrace, "1") == 0;
	options->aborts = strcmp(wanted, "abort") == 0;
	options->forwards = strcmp(wanted, "forward") == 0;
	if (!options->backtrace && backtrace[0] != 0)
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "P11TAPE_REPLAY_BACKTRACE: '%s' is not 1", backtrace);
	if (!options->aborts && !options->forwards && wanted[0] != 0 &&
	    strcmp(wanted, "error") != 0)
		return tape_error_set(
			error, TAPE_E_INVALID, 0,
			"P11TAPE_REPLAY_ON_DIVERGENCE: '%s' is none of 'error', 'abort' and "
			"'forward'",
			wanted);
	if (options->forwards && options->mode == MODE_STRICT)
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "P11TAPE_REPLAY_ON_DIVERGENCE: strict mode says what was "
		                      "recorded and nothing else; 'forward' is for the modes "
		                      "lenient and model");
	return 0;
}

static int read_pace(struct options *options, const char *timing, struct tape_error *error)
{
	struct tape_error wrong = { 0 };
	int result = timing[0] == 0 ? 0 : tape_pace_read(timing, &options->pace, &wrong);
	return result == 0 ? 0
	                   : tape_error_set(error, wrong.code, 0, "P11TAPE_REPLAY_TIMING: %s",
	                                    wrong.sentence);
}

/* Function.argument=rule, one a line. */
static int read_rules(struct tape_rules *rules, const char *list, struct tape_error *error)
{
	while (*list != 0) {
		size_t line = strcspn(list, "\n");
		int result = line == 0 ? 0 : tape_rules_add(rules, list, line, error);
		if (result < 0)
			return result;
		list += line + (list[line] == '\n');
	}
	return 0;
}

/*
 * Of keys that are given for several modules those that are this one's: a digit for each line, 1 or 0, as the command
 * writes it beside our copy. Without it all are.
 */
static int choose_keys(char *list, const char *which, struct tape_error *error)
{
	char *to = list;
	for (const char *from = list; *which != 0 && *from != 0;) {
		size_t line = strcspn(from, "\n");
		line += from[line] == '\n';
		if (*which != '0' && *which != '1')
			return tape_error_set(error, TAPE_E_INVALID, 0,
			                      "P11TAPE_REPLAY_KEY_OF: a digit is expected for each "
			                      "key, 1 or 0");
		if (*which == '1') {
			memmove(to, from, line);
			to += line;
		}
		from += line;
		if (*++which == 0 || *from == 0)
			*to = 0;
	}
	return 0;
}

static int read_mode(enum mode *ret_mode, const char *name, struct tape_error *error)
{
	static const char *const names[] = {
		[MODE_STRICT] = "strict", [MODE_LENIENT] = "lenient", [MODE_MODEL] = "model"
	};
	*ret_mode = MODE_LENIENT;
	if (name[0] == 0)
		return 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(names); i++)
		if (strcmp(name, names[i]) == 0) {
			*ret_mode = (enum mode)i;
			return 0;
		}
	return tape_error_set(error, TAPE_E_INVALID, 0,
	                      "P11TAPE_REPLAY_MODE: '%s' is not a mode; there are: strict, "
	                      "lenient, model",
	                      name);
}

int options_read(struct options *ret_options, struct tape_bindings *bindings,
                 struct tape_error *error)
{
	struct options *o = ret_options;
	struct tape_config config;
	char mode[32];
	char no_return[32];
	char backtrace[32];
	char wanted[32];
	char timing[32];
	char order[32];
	char seconds[32];
	char which[KEYRING_MAX + 1];
	char secrets[4096];
	char match[4096];
	char rules[4096];
	int result;

	memset(o, 0, sizeof(*o));
	tape_config_open(&config, (const void *)(uintptr_t)&options_read);
	if ((result = get(&config, "P11TAPE_REPLAY_REPORT", o->report, sizeof(o->report), error)) <
	            0 ||
	    (result = get(&config, "P11TAPE_REPLAY_PROGRESS", o->progress, sizeof(o->progress),
	                  error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY", o->trace, sizeof(o->trace), error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_MODE", mode, sizeof(mode), error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_NO_RETURN", no_return, sizeof(no_return),
	                  error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_BACKTRACE", backtrace, sizeof(backtrace),
	                  error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_ON_DIVERGENCE", wanted, sizeof(wanted), error)) <
	            0 ||
	    (result = get(&config, "P11TAPE_REPLAY_FORWARD", o->forward, sizeof(o->forward),
	                  error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_FORWARD_RECORDER", o->recorder,
	                  sizeof(o->recorder), error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_TIMING", timing, sizeof(timing), error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_ORDER", order, sizeof(order), error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_ORDER_TIMEOUT", seconds, sizeof(seconds),
	                  error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_KEY", o->keys, sizeof(o->keys), error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_KEY_OF", which, sizeof(which), error)) < 0 ||
	    (result = choose_keys(o->keys, which, error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_MATCH", match, sizeof(match), error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_RULES", rules, sizeof(rules), error)) < 0 ||
	    (result = get(&config, "P11TAPE_REPLAY_SECRET", secrets, sizeof(secrets), error)) < 0)
		goto out;
	if (o->trace[0] == 0) {
		result = tape_error_set(error, TAPE_E_INVALID, 0,
		                        "no trace to serve: set P11TAPE_REPLAY to the path of one");
		goto out;
	}
	if ((result = read_mode(&o->mode, mode, error)) < 0)
		goto out;
	if (o->keys[0] != 0 && o->mode == MODE_STRICT) {
		result = tape_error_set(
			error, TAPE_E_INVALID, 0,
			"P11TAPE_REPLAY_KEY: strict mode says what was recorded and "
			"nothing else; test keys are for the modes lenient and model");
		goto out;
	}
	if (strcmp(no_return, "crash") == 0) {
		o->no_return = NO_RETURN_CRASH;
	} else if (strcmp(no_return, "hang") == 0) {
		o->no_return = NO_RETURN_HANG;
	} else if (no_return[0] != 0) {
		result = tape_error_set(
			error, TAPE_E_INVALID, 0,
			"P11TAPE_REPLAY_NO_RETURN: '%s' is neither 'crash' nor 'hang'", no_return);
		goto out;
	}
	if (getrandom(bindings->key, sizeof(bindings->key), 0) != (ssize_t)sizeof(bindings->key)) {
		result =
			tape_error_set(error, TAPE_E_SYSTEM, 0, "the system gives no random bytes");
		goto out;
	}
	if ((result = read_how(o, backtrace, wanted, error)) < 0 ||
	    (result = read_pace(o, timing, error)) < 0 ||
	    (result = read_order(o, order, seconds, error)) < 0)
		goto out;
	result = read_injections(o, &config, error);
	if (result >= 0)
		result = bind_secrets(bindings, secrets, error);
	if (result >= 0)
		result = read_rules(&o->rules, match, error);
	/* What was said first stays: the trace's own rules come last. */
	if (result >= 0 && rules[0] != 0)
		result = tape_rules_read_file(&o->rules, rules, error);
out:
	tape_wipe(secrets, sizeof(secrets));
	tape_config_close(&config);
	return result;
}
