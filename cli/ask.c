/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/cli.h"

bool tape_cli_ask(char *value, size_t size, const char *format, ...)
{
	struct termios before;
	va_list arguments;
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	FILE *terminal = isatty(STDIN_FILENO) && fd >= 0 ? fdopen(fd, "r") : NULL;
	if (terminal == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	bool quiet = tcgetattr(fd, &before) == 0;
	struct termios silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	quiet = quiet && tcsetattr(fd, TCSAFLUSH, &silent) == 0;
	va_start(arguments, format);
	vdprintf(fd, format, arguments);
	va_end(arguments);
	bool good = fgets(value, (int)size, terminal) != NULL;
	if (quiet)
		tcsetattr(fd, TCSAFLUSH, &before);
	dprintf(fd, "\n");
	fclose(terminal);
	if (good)
		value[strcspn(value, "\r\n")] = 0;
	return good && value[0] != 0;
}
