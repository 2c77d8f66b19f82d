/* SPDX-License-Identifier: MIT */
#include "recorder/config.h"

#include <string.h>

#include "core/redact.h"

static const char default_trace[] = "p11tape.yaml";

static int read_redact(struct tape_options *options, struct tape_error *error)
{
	char word[64];
	int result = tape_config_get(&options->config, "P11TAPE_REDACT", word, sizeof(word), error);
	if (result <= 0)
		return result;
	if (tape_redact_read(word, &options->redact))
		return 0;
	return tape_error_set(error, TAPE_E_INVALID, 0,
	                      "P11TAPE_REDACT is " TAPE_REDACT_WORDS ", not '%s'", word);
}

static int read_inject(struct tape_options *options, struct tape_error *error)
{
	struct tape_error wrong = { 0 };
	int result = tape_config_get(&options->config, "P11TAPE_INJECT", options->rules,
	                             sizeof(options->rules), error);
	if (result <= 0)
		return result;
	result = tape_inject_read(&options->injections, options->rules, &wrong);
	return result == 0
	               ? 0
	               : tape_error_set(error, wrong.code, 0, "P11TAPE_INJECT: %s", wrong.sentence);
}

static int read_rotation(struct tape_options *options, struct tape_error *error)
{
	struct tape_error wrong = { 0 };
	char text[64];
	int result = tape_config_get(&options->config, "P11TAPE_ROTATE", text, sizeof(text), error);
	if (result <= 0)
		return result;
	result = tape_rotation_read(&options->rotation, text, &wrong);
	return result == 0
	               ? 0
	               : tape_error_set(error, wrong.code, 0, "P11TAPE_ROTATE: %s", wrong.sentence);
}

static int read_all(struct tape_options *options, struct tape_error *error)
{
	struct tape_config *config = &options->config;
	int result = tape_config_get(config, "P11TAPE_MODULE", options->module,
	                             sizeof(options->module), error);
	if (result < 0)
		return result;
	if (result == 0)
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "which module to record is not said; set P11TAPE_MODULE%s%s",
		                      config->path[0] == 0 ? "" : " or write it into ",
		                      config->path);
	result = tape_config_get(config, "P11TAPE_TRACE", options->trace, sizeof(options->trace),
	                         error);
	if (result < 0)
		return result;
	if (result == 0)
		memcpy(options->trace, default_trace, sizeof(default_trace));
	result = tape_config_get(config, "P11TAPE_PREFIX", options->prefix, sizeof(options->prefix),
	                         error);
	if (result < 0)
		return result;
	result = tape_config_get(config, "P11TAPE_CONTROL", options->control,
	                         sizeof(options->control), error);
	if (result < 0 || (result = read_rotation(options, error)) < 0)
		return result;
	result = read_redact(options, error);
	return result < 0 ? result : read_inject(options, error);
}

int tape_options_read(struct tape_options *options, struct tape_error *error)
{
	options->redact = TAPE_REDACT_PIN;
	memcpy(options->prefix, "C_", sizeof("C_"));
	tape_config_open(&options->config, (const void *)&default_trace);
	int result = read_all(options, error);
	tape_config_close(&options->config);
	return result;
}
