/* SPDX-License-Identifier: MIT */
#include "core/config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/system.h"

void tape_config_init(struct tape_config *config, const char *path, bool trusted)
{
	size_t length = strlen(path);
	config->trusted = trusted;
	config->read = false;
	config->text = NULL;
	config->length = config->room = 0;
	config->path[0] = 0;
	if (length < sizeof(config->path))
		memcpy(config->path, path, length + 1);
}

/*
 * Where a module lies: the name that it was loaded by, made absolute. The loader noted the directory
 * when it loaded the module; the working directory may have changed since.
 */
static bool find_module(const void *address, char *path, size_t size)
{
	Dl_info info;
	struct link_map *map = NULL;
	if (dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || info.dli_fname == NULL)
		return false;
	if (map == NULL || map->l_name == NULL || map->l_name[0] == 0) {
		/* The program itself, whose name says nothing of where it is. */
		ssize_t length = readlink("/proc/self/exe", path, size - 1);
		if (length <= 0)
			return false;
		path[length] = 0;
		return true;
	}
	size_t directory = 0;
	const char *name = info.dli_fname;
	if (name[0] != '/') {
		const char *slash = strrchr(name, '/');
		name = slash == NULL ? name : slash + 1;
		/* The loader copies without looking at a size: a name that is not absolute is a short one. */
		if (size < PATH_MAX || dlinfo(map, RTLD_DI_ORIGIN, path) != 0)
			return false;
		directory = strlen(path);
		path[directory++] = '/';
	}
	size_t length = strlen(name);
	if (length >= size - directory)
		return false;
	memcpy(path + directory, name, length + 1);
	return true;
}

void tape_config_open(struct tape_config *config, const void *address)
{
	static const char suffix[] = ".conf";
	tape_config_init(config, "", getauxval(AT_SECURE) == 0);
	if (!find_module(address, config->path, sizeof(config->path)) ||
	    strlen(config->path) + sizeof(suffix) > sizeof(config->path)) {
		config->path[0] = 0;
		return;
	}
	memcpy(config->path + strlen(config->path), suffix, sizeof(suffix));
}

void tape_config_close(struct tape_config *config)
{
	tape_pages_free(config->text, config->room);
	config->text = NULL;
	config->length = config->room = 0;
	config->read = false;
}

static bool only_root_writes(const struct stat *status)
{
	return status->st_uid == 0 && (status->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* What root alone can write must also stand where root alone can put it. */
static bool safe_for_privileged(const struct tape_config *config, const struct stat *status)
{
	char directory[PATH_MAX];
	struct stat where;
	const char *slash = strrchr(config->path, '/');
	if (slash == NULL)
		return false;
	size_t length = slash == config->path ? 1 : (size_t)(slash - config->path);
	memcpy(directory, config->path, length);
	directory[length] = 0;
	return only_root_writes(status) && stat(directory, &where) == 0 && only_root_writes(&where);
}

static int load(struct tape_config *config, int fd, struct tape_error *error)
{
	struct stat status;
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return tape_error_set(error, TAPE_E_INVALID, 0, "%s is not a file", config->path);
	if (!config->trusted && !safe_for_privileged(config, &status))
		return tape_error_set(
			error, TAPE_E_INVALID, 0,
			"%s is not obeyed in a set-uid or set-gid program, since not only root "
			"can write it",
			config->path);
	if (status.st_size > (off_t)TAPE_MAX_CONFIG)
		return tape_error_set(error, TAPE_E_LIMIT, 0, "%s is larger than %zu bytes",
		                      config->path, TAPE_MAX_CONFIG);
	if (status.st_size == 0)
		return 0;
	size_t size = (size_t)status.st_size;
	char *text = tape_pages_get(size);
	if (text == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "no memory to read %s",
		                      config->path);
	size_t length = 0;
	while (length < size) {
		ssize_t got = read(fd, text + length, size - length);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		length += (size_t)got;
	}
	config->text = text;
	config->room = size;
	config->length = length;
	return 0;
}

static int look(struct tape_config *config, struct tape_error *error)
{
	if (config->read)
		return 0;
	config->read = true;
	if (config->path[0] == 0)
		return 0;
	int fd = open(config->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "%s cannot be opened (errno %d)",
		                      config->path, errno);
	int result = load(config, fd, error);
	close(fd);
	return result;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **text, size_t *length)
{
	while (*length != 0 && is_blank(**text)) {
		(*text)++;
		(*length)--;
	}
	while (*length != 0 && is_blank((*text)[*length - 1]))
		(*length)--;
}

/* Find the value of the last line that sets `variable`; NULL where none does. */
static int find_line(const struct tape_config *config, const char *variable, const char **ret_value,
                     size_t *ret_length, struct tape_error *error)
{
	const char *found = NULL;
	size_t found_length = 0;
	size_t line = 0;
	for (size_t at = 0; at < config->length;) {
		const char *text = config->text + at;
		const char *newline = memchr(text, '\n', config->length - at);
		size_t length = newline == NULL ? config->length - at : (size_t)(newline - text);
		at += length + 1;
		line++;
		trim(&text, &length);
		if (length == 0 || text[0] == '#')
			continue;
		const char *equals = memchr(text, '=', length);
		if (equals == NULL || memchr(text, 0, length) != NULL)
			return tape_error_set(error, TAPE_E_INVALID, line,
			                      "%s:%zu is not NAME=value", config->path, line);
		size_t name_length = (size_t)(equals - text);
		const char *value = equals + 1;
		size_t value_length = length - name_length - 1;
		trim(&text, &name_length);
		trim(&value, &value_length);
		if (name_length != strlen(variable) || memcmp(text, variable, name_length) != 0)
			continue;
		found = value;
		found_length = value_length;
	}
	*ret_value = found;
	*ret_length = found_length;
	return 0;
}

int tape_config_get(struct tape_config *config, const char *variable, char *to, size_t size,
                    struct tape_error *error)
{
	const char *value = config->trusted ? secure_getenv(variable) : NULL;
	size_t length = 0;
	if (value != NULL && value[0] != 0) {
		length = strlen(value);
	} else {
		int result = look(config, error);
		if (result < 0 ||
		    (result = find_line(config, variable, &value, &length, error)) < 0)
			return result;
		if (value == NULL || length == 0)
			return 0;
	}
	if (length >= size)
		return tape_error_set(error, TAPE_E_LIMIT, 0,
		                      "the value of %s is longer than %zu bytes", variable,
		                      size - 1);
	memcpy(to, value, length);
	to[length] = 0;
	return 1;
}
