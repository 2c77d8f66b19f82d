/* SPDX-License-Identifier: MIT
 *
 * The recorder's options (recorder/README.md), from the environment or the .conf beside the recorder.
 */
#ifndef TAPE_RECORDER_CONFIG_H
#define TAPE_RECORDER_CONFIG_H

#include <limits.h>
#include <stdbool.h>

#include "core/config.h"
#include "core/error.h"
#include "core/inject.h"
#include "core/rotation.h"

struct tape_options {
	char module[PATH_MAX];         /* P11TAPE_MODULE: what to record, as dlopen() takes it */
	char trace[PATH_MAX];          /* P11TAPE_TRACE: where to, with its %-sequences */
	char prefix[16];               /* P11TAPE_PREFIX: how the entry points begin; "C_" */
	unsigned int redact;           /* P11TAPE_REDACT: the policy */
	struct tape_rotation rotation; /* P11TAPE_ROTATE: when another file is begun */
	char control
		[PATH_MAX]; /* P11TAPE_CONTROL: the file that says whether to record; "": always */
	struct tape_injections injections; /* P11TAPE_INJECT: what is to go wrong */
	char rules[4096];                  /* their text */
	struct tape_config config;
};

/* Read all options. Returns 0, or an error code and a sentence that names the variable or file. */
TAPE_MUST_CHECK int tape_options_read(struct tape_options *options, struct tape_error *error);

#endif
