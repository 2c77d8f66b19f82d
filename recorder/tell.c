/* SPDX-License-Identifier: MIT */
#include "recorder/tell.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/system.h"

void tape_tell(const char *format, ...)
{
	static const char prefix[] = "p11tape: ";
	char line[1024];
	int saved = errno;
	va_list arguments;
	memcpy(line, prefix, sizeof(prefix));
	size_t length = sizeof(prefix) - 1;
	va_start(arguments, format);
	/* It is begun, the line above. NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	int wanted = vsnprintf(line + length, sizeof(line) - length - 1, format, arguments);
	va_end(arguments);
	if (wanted > 0)
		length += strlen(line + length);
	line[length++] = '\n';
	/* Where nobody listens nothing is lost that could be helped. */
	tape_write_quietly(STDERR_FILENO, line, length);
	errno = saved;
}

static const struct {
	int number;
	const char *name, *text;
} errors[] = {
	{ EACCES, "EACCES", "permission denied" },
	{ EBADF, "EBADF", "the descriptor was closed" },
	{ EDQUOT, "EDQUOT", "disk quota exceeded" },
	{ EFBIG, "EFBIG", "the file would become larger than is allowed" },
	{ EINVAL, "EINVAL", "invalid argument" },
	{ EIO, "EIO", "input/output error" },
	{ EISDIR, "EISDIR", "it is a directory" },
	{ ELOOP, "ELOOP", "it is a symbolic link" },
	{ EMFILE, "EMFILE", "too many open files" },
	{ ENAMETOOLONG, "ENAMETOOLONG", "the name is too long" },
	{ ENFILE, "ENFILE", "too many open files in the system" },
	{ ENOENT, "ENOENT", "no such file or directory" },
	{ ENOMEM, "ENOMEM", "out of memory" },
	{ ENOSPC, "ENOSPC", "no space left on the device" },
	{ ENOTDIR, "ENOTDIR", "not a directory" },
	{ EPERM, "EPERM", "operation not permitted" },
	{ EROFS, "EROFS", "read-only file system" },
	{ ESTALE, "ESTALE", "the file is no longer there" },
};

const char *tape_errno_name(int number)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(errors); i++)
		if (errors[i].number == number)
			return errors[i].name;
	return "error";
}

const char *tape_errno_text(int number)
{
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(errors); i++)
		if (errors[i].number == number)
			return errors[i].text;
	return "an error";
}
