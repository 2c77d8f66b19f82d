/* SPDX-License-Identifier: MIT
 *
 * Options: the environment, the file beside a module, and who is listened to.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config.h"

#define NAME "P11TAPE_TEST_OPTION"

static char directory[64];
static char path[96];

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/p11tape-config-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/module.so.conf", directory);
	return unsetenv(NAME);
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(path);
	rmdir(path);
	return rmdir(directory);
}

static void write_file(const void *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
}

static int get(bool trusted, char *to, size_t size, struct tape_error *error)
{
	struct tape_config config;
	tape_config_init(&config, path, trusted);
	int result = tape_config_get(&config, NAME, to, size, error);
	tape_config_close(&config);
	return result;
}

/* The value that a file's text gives; "(none)" where it gives none. */
static const char *value_in(const char *text)
{
	static char value[64];
	struct tape_error error;
	write_file(text, strlen(text));
	strcpy(value, "(none)");
	assert_true(get(true, value, sizeof(value), &error) >= 0);
	return value;
}

static void refused(const char *text, size_t length, const char *why)
{
	char value[64] = "untouched";
	struct tape_error error;
	write_file(text, length);
	assert_true(get(true, value, sizeof(value), &error) < 0);
	assert_non_null(strstr(error.sentence, why));
	assert_string_equal(value, "untouched");
}

static void a_value_goes_to_the_end_of_its_line(void **state)
{
	(void)state;
	assert_string_equal(value_in(NAME "=a b = # c\nOTHER=x\n"), "a b = # c");
	assert_string_equal(value_in(NAME "=last line"), "last line");
}

static void blanks_around_names_and_values_do_not_count(void **state)
{
	(void)state;
	assert_string_equal(value_in(" \t" NAME " =\t a \t\r\n"), "a");
}

static void comments_and_empty_lines_do_not_count(void **state)
{
	(void)state;
	assert_string_equal(value_in("\n  # " NAME "=a\n\t\n#x\n" NAME "=b\n"), "b");
}

static void the_last_line_of_a_name_wins(void **state)
{
	(void)state;
	assert_string_equal(value_in(NAME "=a\n" NAME "=b\n"), "b");
}

static void names_are_compared_whole(void **state)
{
	(void)state;
	assert_string_equal(value_in(NAME "S=a\nX" NAME "=b\n"), "(none)");
}

static void nothing_is_not_a_value(void **state)
{
	(void)state;
	assert_string_equal(value_in(NAME "=\n"), "(none)");
	assert_string_equal(value_in(""), "(none)");
}

static void a_missing_file_sets_nothing(void **state)
{
	char value[8];
	struct tape_error error;
	(void)state;
	unlink(path);
	assert_int_equal(get(true, value, sizeof(value), &error), 0);
}

static void the_environment_comes_first(void **state)
{
	char value[16];
	struct tape_error error;
	(void)state;
	write_file(NAME "=file\n", sizeof(NAME "=file\n") - 1);
	setenv(NAME, "environment", 1);
	assert_int_equal(get(true, value, sizeof(value), &error), 1);
	assert_string_equal(value, "environment");
	setenv(NAME, "", 1);
	assert_int_equal(get(true, value, sizeof(value), &error), 1);
	assert_string_equal(value, "file");
	unsetenv(NAME);
}

static void what_is_not_an_assignment_is_refused_with_its_line(void **state)
{
	(void)state;
	refused("A=b\nnonsense\n", 13, "module.so.conf:2 is not NAME=value");
	refused("A=b\n\nB=\0\n", 9, "module.so.conf:3 is not NAME=value");
}

static void a_value_without_room_is_refused(void **state)
{
	char text[128] = NAME "=";
	(void)state;
	memset(text + strlen(text), 'x', 64);
	refused(text, strlen(text), "is longer than 63 bytes");
}

static void a_huge_file_is_refused(void **state)
{
	char *text = malloc(TAPE_MAX_CONFIG + 1);
	(void)state;
	assert_non_null(text);
	memset(text, '\n', TAPE_MAX_CONFIG + 1);
	refused(text, TAPE_MAX_CONFIG + 1, "is larger than 65536 bytes");
	free(text);
}

static void a_directory_is_refused(void **state)
{
	char value[8];
	struct tape_error error;
	(void)state;
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(get(true, value, sizeof(value), &error) < 0);
	assert_non_null(strstr(error.sentence, "is not a file"));
	rmdir(path);
}

static void the_privileged_do_not_listen_to_the_environment(void **state)
{
	char value[16] = "untouched";
	struct tape_error error;
	(void)state;
	unlink(path);
	setenv(NAME, "environment", 1);
	assert_int_equal(get(false, value, sizeof(value), &error), 0);
	assert_string_equal(value, "untouched");
	unsetenv(NAME);
}

static void the_privileged_obey_only_what_root_alone_can_write(void **state)
{
	char value[16];
	struct tape_error error;
	bool root = geteuid() == 0;
	(void)state;
	write_file(NAME "=file\n", sizeof(NAME "=file\n") - 1);
	assert_int_equal(get(false, value, sizeof(value), &error) > 0, root);
	chmod(path, 0620);
	assert_true(get(false, value, sizeof(value), &error) < 0);
	assert_non_null(strstr(error.sentence, "not only root can write it"));
	chmod(path, 0600);
	chmod(directory, 0777);
	assert_true(get(false, value, sizeof(value), &error) < 0);
	chmod(directory, 0700);
}

static void the_file_stands_beside_the_module(void **state)
{
	struct tape_config config;
	char self[PATH_MAX];
	(void)state;
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - sizeof(".conf"));
	assert_true(length > 0);
	memcpy(self + length, ".conf", sizeof(".conf"));
	tape_config_open(&config, (const void *)&path);
	assert_string_equal(config.path, self);
	tape_config_close(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_goes_to_the_end_of_its_line),
		cmocka_unit_test(blanks_around_names_and_values_do_not_count),
		cmocka_unit_test(comments_and_empty_lines_do_not_count),
		cmocka_unit_test(the_last_line_of_a_name_wins),
		cmocka_unit_test(names_are_compared_whole),
		cmocka_unit_test(nothing_is_not_a_value),
		cmocka_unit_test(a_missing_file_sets_nothing),
		cmocka_unit_test(the_environment_comes_first),
		cmocka_unit_test(what_is_not_an_assignment_is_refused_with_its_line),
		cmocka_unit_test(a_value_without_room_is_refused),
		cmocka_unit_test(a_huge_file_is_refused),
		cmocka_unit_test(a_directory_is_refused),
		cmocka_unit_test(the_privileged_do_not_listen_to_the_environment),
		cmocka_unit_test(the_privileged_obey_only_what_root_alone_can_write),
		cmocka_unit_test(the_file_stands_beside_the_module),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
