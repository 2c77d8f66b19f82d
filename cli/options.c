/* SPDX-License-Identifier: MIT
 *
 * Options that more than one command has: numbers, PINs, the label of a token.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

bool tape_cli_range(const char *option, const char *text, uint64_t least, uint64_t most,
                    uint64_t *ret_number)
{
	if (tape_cli_number(text, ret_number) && *ret_number >= least && *ret_number <= most)
		return true;
	tape_cli_fail("--%s is a number from %" PRIu64 " to %" PRIu64 ", not '%s'", option, least,
	              most, text);
	return false;
}

bool tape_cli_pin(const char *text, char ret_pin[TAPE_PIN_SIZE], bool *ret_has)
{
	if (text == NULL || text[0] == 0)
		return true;
	*ret_has = true;
	if ((size_t)snprintf(ret_pin, TAPE_PIN_SIZE, "%s", text) < TAPE_PIN_SIZE)
		return true;
	tape_cli_fail("a PIN has less than %d bytes", TAPE_PIN_SIZE);
	return false;
}

bool tape_cli_pin_file(const char *path, char ret_pin[TAPE_PIN_SIZE], bool *ret_has)
{
	FILE *file = fopen(path, "re");
	*ret_has = file != NULL && fgets(ret_pin, TAPE_PIN_SIZE, file) != NULL;
	if (*ret_has)
		ret_pin[strcspn(ret_pin, "\r\n")] = 0;
	else
		tape_cli_fail("no PIN can be read from %s%s%s", path, file == NULL ? ": " : "",
		              file == NULL ? strerror(errno) : "");
	if (file != NULL)
		fclose(file);
	return *ret_has;
}

bool tape_cli_label(const char *text, char ret_label[TAPE_LABEL_SIZE])
{
	if ((size_t)snprintf(ret_label, TAPE_LABEL_SIZE, "%s", text) < TAPE_LABEL_SIZE)
		return true;
	tape_cli_fail("a token's label has at most %d bytes", TAPE_LABEL_SIZE - 1);
	return false;
}
