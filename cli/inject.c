/* SPDX-License-Identifier: MIT
 *
 * --inject, of record and of replay: rules are looked at before a program is started.
 */
#include <string.h>

#include "cli/cli.h"
#include "core/inject.h"

bool tape_cli_add_injection(struct tape_buf *rules, const char *command, const char *text)
{
	static struct tape_injections injections; /* only to be checked */
	struct tape_error error = { 0 };
	if (tape_inject_add(&injections, text, strlen(text), &error) < 0) {
		tape_cli_fail("%s: --inject: %s", command, error.sentence);
		return false;
	}
	tape_put_text(rules, text);
	tape_put_char(rules, '\n');
	return true;
}
