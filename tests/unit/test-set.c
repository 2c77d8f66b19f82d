/* SPDX-License-Identifier: MIT
 *
 * Which traces belong together, and which child was forked where: by their headers alone.
 */
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

#include "core/set.h"

/* ---- headers ----------------------------------------------------------------------------------- */

/* A process that began at `second`; by default in another group and of another parent than all others. */
static struct tape_member process(uint64_t pid, int second)
{
	struct tape_member member = {
		.pid = pid, .start = (uint64_t)second, .parent = 9000 + pid, .group = 8000 + pid
	};
	snprintf(member.started, sizeof(member.started), "2026-01-01T00:00:%02d.000000Z", second);
	return member;
}

static struct tape_member forked(uint64_t pid, int second, uint64_t from, uint64_t after)
{
	struct tape_member member = process(pid, second);
	member.forked_from = from;
	member.forked_after = after;
	return member;
}

static bool belongs(struct tape_member first, struct tape_member second, struct tape_member trace)
{
	const struct tape_member members[] = { first, second };
	return tape_set_has(members, 2, &trace);
}

static void children_and_their_children_belong(void **state)
{
	(void)state;
	struct tape_member first = process(10, 1);
	struct tape_member child = forked(11, 2, 10, 5);
	assert_true(belongs(first, first, child));
	assert_true(belongs(first, child, forked(12, 3, 11, 7)));
	/* Of a process that is not of the set; or of one that had the same number later. */
	assert_false(belongs(first, child, forked(12, 3, 13, 7)));
	assert_false(belongs(first, process(20, 5), forked(21, 3, 20, 7)));
	/* A fork's group and parent say nothing. */
	struct tape_member other = forked(12, 3, 13, 7);
	other.group = first.group;
	other.parent = first.parent;
	assert_false(belongs(first, first, other));
}

static void a_copy_does_not_belong(void **state)
{
	(void)state;
	struct tape_member first = process(10, 1);
	struct tape_member child = forked(11, 2, 10, 5);
	assert_false(belongs(first, child, first));
	assert_false(belongs(first, child, child));
	/* The same process later: an exec. */
	struct tape_member later = process(10, 2);
	later.start = first.start;
	assert_true(belongs(first, child, later));
}

static void programs_of_one_run_belong(void **state)
{
	(void)state;
	struct tape_member first = process(10, 1);
	struct tape_member other = process(11, 2);
	assert_false(belongs(first, first, other));
	other.group = first.group;
	assert_true(belongs(first, first, other));
	/* What a shell runs one by one has its parent, and groups of its own. */
	other = process(11, 2);
	other.parent = first.parent;
	assert_false(belongs(first, first, other));
	other.group = 0;
	assert_true(belongs(first, first, other));
	other.parent = first.parent = 1;
	assert_false(belongs(first, first, other));
	/* Started by a process of the set; or in its place. */
	other = process(11, 2);
	other.parent = 10;
	assert_true(belongs(first, first, other));
	other = process(10, 2);
	other.group = 1;
	assert_false(belongs(first, first, other));
	other.start = first.start;
	assert_true(belongs(first, first, other));
}

static void what_is_older_or_unknown_does_not_belong(void **state)
{
	(void)state;
	struct tape_member first = process(10, 10);
	struct tape_member older = process(11, 9);
	older.group = first.group;
	assert_false(belongs(first, first, older));
	assert_false(belongs(first, first, forked(11, 9, 10, 1)));
	struct tape_member unknown = process(0, 11);
	unknown.group = first.group;
	assert_false(belongs(first, first, unknown));
	assert_false(belongs(process(0, 1), process(0, 1), forked(11, 2, 0, 1)));
}

static void a_fork_is_between_two_calls(void **state)
{
	(void)state;
	struct tape_member parent = process(10, 1);
	struct tape_member child = forked(11, 2, 10, 6);
	/* Discovery has an id and is never used up: 6 may lie behind the last call that was. */
	assert_int_equal(tape_set_distance(&parent, &child, 6, 7), 0);
	assert_int_equal(tape_set_distance(&parent, &child, 4, 7), 0);
	assert_int_equal(tape_set_distance(&parent, &child, 6, UINT64_MAX), 0);
	assert_int_equal(tape_set_distance(&parent, &child, 4, 6), 2);
	assert_int_equal(tape_set_distance(&parent, &child, 9, 10), 3);
	assert_true(tape_set_distance(&parent, &parent, 6, 7) == UINT64_MAX);
	child.forked_from = 12;
	assert_true(tape_set_distance(&parent, &child, 6, 7) == UINT64_MAX);
	/* The number was another process's once. */
	assert_true(tape_set_distance(&child, &(struct tape_member){ .forked_from = 11 }, 6, 7) ==
	            UINT64_MAX);
}

/* ---- files ------------------------------------------------------------------------------------- */

static char directory[] = "/tmp/p11tape-set-XXXXXX";
static char first_path[64];

static void put(const char *name, const char *text)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void put_trace(const char *name, int second, const char *process_of, const char *module)
{
	char text[512];
	snprintf(text, sizeof(text),
	         "- {\"p11tape\": 1, \"started\": \"2026-01-01T00:00:%02d.000000Z\", \"process\": "
	         "{\"program\": \"a\", %s}, \"module\": {\"path\": \"%s\"}}\n",
	         second, process_of, module);
	put(name, text);
}

static int make_directory(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/p11tape-set-XXXXXX");
	snprintf(first_path, sizeof(first_path), "%s/t.yaml", mkdtemp(directory));
	put_trace("t.yaml", 1, "\"pid\": 10, \"start\": 5, \"parent\": 2, \"group\": 3", "m.so");
	return 0;
}

static int remove_directory(void **state)
{
	char command[128];
	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", directory);
	/* NOLINTNEXTLINE(cert-env33-c): the words are ours */
	return system(command);
}

#define CHILD(pid, from) \
	"\"pid\": " #pid ", \"start\": 6, \"forked-from\": " #from ", \"forked-after\": 4"

static void a_set_is_found_by_names_and_headers(void **state)
{
	struct tape_set set;
	struct tape_error error;
	(void)state;
	put_trace("t.12.yaml", 3, CHILD(12, 11), "m.so");
	put_trace("t.11.yaml", 2, CHILD(11, 10), "m.so");
	put_trace("t.13.yaml", 2, CHILD(13, 10), "another.so");
	put_trace("t.14.yaml", 2, CHILD(14, 9), "m.so");
	put_trace("t.15.yaml.old", 2, CHILD(15, 10), "m.so");
	put_trace("t2.16.yaml", 2, CHILD(16, 10), "m.so");
	put("t.notes.yaml", "some: notes\n");
	put("t.empty.yaml", "");
	assert_int_equal(tape_set_read(&set, first_path, &error), 0);
	assert_int_equal(set.count, 3);
	assert_string_equal(set.members[0].name, "t.yaml");
	assert_string_equal(set.members[1].name, "t.11.yaml");
	assert_string_equal(set.members[2].name, "t.12.yaml");
	assert_string_equal(set.members[2].program, "a");
	assert_int_equal(set.members[2].forked_after, 4);
	tape_set_free(&set);
}

static void a_broken_trace_beside_it_is_an_error(void **state)
{
	struct tape_set set;
	struct tape_error error;
	(void)state;
	put("t.11.yaml", "- {\"p11tape\": 1, \"process\": 7}\n");
	assert_true(tape_set_read(&set, first_path, &error) < 0);
	assert_string_equal(set.path + strlen(directory), "/t.11.yaml");
	assert_int_equal(error.line, 1);
	assert_string_equal(error.sentence, "'process' is a mapping");
	assert_null(set.members);
}

static void a_trace_without_numbers_is_alone(void **state)
{
	struct tape_set set;
	struct tape_error error;
	(void)state;
	put("t.yaml", "- p11tape: 1\n");
	put_trace("t.11.yaml", 2, "\"forked-after\": 4", "");
	assert_int_equal(tape_set_read(&set, first_path, &error), 0);
	assert_int_equal(set.count, 1);
	tape_set_free(&set);
}

static void paths_lie_beside_each_other(void **state)
{
	char path[PATH_MAX];
	(void)state;
	assert_true(tape_set_path(path, "a/b/t.yaml", "t.1.yaml"));
	assert_string_equal(path, "a/b/t.1.yaml");
	assert_true(tape_set_path(path, "t.yaml", "t.1.yaml"));
	assert_string_equal(path, "t.1.yaml");
}

int main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_and_their_children_belong),
		cmocka_unit_test(a_copy_does_not_belong),
		cmocka_unit_test(programs_of_one_run_belong),
		cmocka_unit_test(what_is_older_or_unknown_does_not_belong),
		cmocka_unit_test(a_fork_is_between_two_calls),
		IN_DIRECTORY(a_set_is_found_by_names_and_headers),
		IN_DIRECTORY(a_broken_trace_beside_it_is_an_error),
		IN_DIRECTORY(a_trace_without_numbers_is_alone),
		cmocka_unit_test(paths_lie_beside_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
