/* SPDX-License-Identifier: MIT */
#include "core/set.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/trace.h"

/* ---- who belongs ----------------------------------------------------------------------------- */

/* The same recording once more: a copy of it, or its other spelling. */
static bool is_copy(const struct tape_member *one, const struct tape_member *two)
{
	return one->pid == two->pid && one->start == two->start &&
	       strcmp(one->started, two->started) == 0;
}

bool tape_set_has(const struct tape_member *members, size_t count, const struct tape_member *trace)
{
	const struct tape_member *first = members;
	for (size_t i = 0; i < count; i++)
		if (is_copy(&members[i], trace))
			return false;
	/* Without its number (the canonical form) nobody can be said to be of it. */
	if (first->pid == 0 || trace->pid == 0 || strcmp(trace->started, first->started) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct tape_member *member = &members[i];
		if (strcmp(trace->started, member->started) < 0 || trace->start < member->start)
			continue;
		/* Forked from it; or started by it, or in its place. */
		if (trace->forked_from != 0
		            ? trace->forked_from == member->pid
		            : trace->parent == member->pid ||
		                      (trace->pid == member->pid && trace->start == member->start))
			return true;
	}
	if (trace->forked_from != 0)
		return false;
	/* A script's programs are of one process group; what a shell runs one by one is not. */
	if (trace->group != 0 && first->group != 0)
		return trace->group == first->group;
	return trace->parent > 1 && trace->parent == first->parent;
}

uint64_t tape_set_distance(const struct tape_member *parent, const struct tape_member *child,
                           uint64_t last, uint64_t next)
{
	if (child->forked_from == 0 || child->forked_from != parent->pid ||
	    strcmp(child->started, parent->started) < 0)
		return UINT64_MAX;
	if (child->forked_after < last)
		return last - child->forked_after;
	return child->forked_after < next ? 0 : child->forked_after - last;
}

/* ---- reading --------------------------------------------------------------------------------- */

bool tape_set_path(char ret_path[PATH_MAX], const char *beside, const char *name)
{
	const char *slash = strrchr(beside, '/');
	int length = slash == NULL ? 0 : (int)(slash + 1 - beside);
	return snprintf(ret_path, PATH_MAX, "%.*s%s", length, beside, name) < PATH_MAX;
}

/* The names that a recorder makes of `first`: something is put before its last extension. */
static bool is_beside(const char *first, const char *name)
{
	const char *dot = strrchr(first, '.');
	size_t stem = dot == NULL || dot == first ? strlen(first) : (size_t)(dot - first);
	const char *end = first + stem;
	size_t length = strlen(name);
	return length > strlen(first) + 1 && memcmp(name, first, stem) == 0 && name[stem] == '.' &&
	       strcmp(name + length - strlen(end), end) == 0;
}

/* Say whether a file that cannot be read means to be a trace. */
static bool claims_to_be_a_trace(const char *path)
{
	char head[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t got = fd < 0 ? -1 : pread(fd, head, sizeof(head), 0);
	if (fd >= 0)
		close(fd);
	return got > 0 && (memmem(head, (size_t)got, "\"p11tape\"", 9) != NULL ||
	                   memmem(head, (size_t)got, "p11tape:", 8) != NULL);
}

static void copy_text(char *to, size_t size, const char *from)
{
	snprintf(to, size, "%s", from);
}

static void take_header(struct tape_member *member, const struct tape_header *header)
{
	copy_text(member->program, sizeof(member->program), header->program);
	copy_text(member->started, sizeof(member->started), header->started);
	member->pid = header->pid;
	member->start = header->start;
	member->parent = header->parent;
	member->group = header->group;
	member->forked_from = header->forked_from;
	member->forked_after = header->forked_after;
}

static struct tape_member *add(struct tape_set *set, const char *name)
{
	struct tape_member *members =
		realloc(set->members, (set->count + 1) * sizeof(*set->members));
	if (members == NULL)
		return NULL;
	set->members = members;
	struct tape_member *member = &members[set->count++];
	memset(member, 0, sizeof(*member));
	copy_text(member->name, sizeof(member->name), name);
	return member;
}

static int no_memory(struct tape_error *error)
{
	return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
}

/* Read the header of a file beside the first one; it is added if it is of the same module. */
static int take_file(struct tape_set *set, const char *first, const char *name, const char *module,
                     struct tape_error *error)
{
	struct stat status;
	struct tape_reader *reader;
	if (!tape_set_path(set->path, first, name) || lstat(set->path, &status) != 0 ||
	    !S_ISREG(status.st_mode) || strlen(name) > NAME_MAX)
		return 0;
	int result = tape_reader_open(&reader, set->path, error);
	if (result < 0)
		return claims_to_be_a_trace(set->path) ? result : 0;
	const struct tape_header *header = tape_reader_header(reader);
	/* What goes on from another file is no process's trace by itself. */
	if (strcmp(header->module, module) == 0 && header->pid != 0 && header->continues[0] == 0) {
		struct tape_member *member = add(set, name);
		if (member == NULL)
			result = no_memory(error);
		else
			take_header(member, header);
	}
	tape_reader_close(reader);
	return result < 0 ? result : 0;
}

static int by_start(const void *a, const void *b)
{
	const struct tape_member *one = a;
	const struct tape_member *two = b;
	int order = strcmp(one->started, two->started);
	return order != 0 ? order : strcmp(one->name, two->name);
}

/* Leave those that belong, in the order of their start. */
static void sift(struct tape_set *set)
{
	struct tape_member *members = set->members;
	size_t known = 1;
	qsort(members + 1, set->count - 1, sizeof(*members), by_start);
	/* A process starts behind the one that made it, so that one pass sees it behind that one. */
	for (size_t i = 1; i < set->count; i++)
		if (tape_set_has(members, known, &members[i]))
			members[known++] = members[i];
	set->count = known;
}

static int take_directory(struct tape_set *set, const char *path, const char *module,
                          struct tape_error *error)
{
	const char *slash = strrchr(path, '/');
	const char *first = slash == NULL ? path : slash + 1;
	char directory[PATH_MAX];
	struct dirent *entry;
	int result = 0;
	snprintf(directory, sizeof(directory), "%.*s.", (int)(first - path), path);
	DIR *handle = opendir(directory);
	/* What may not be listed has nothing for us. */
	while (handle != NULL && result == 0 && (entry = readdir(handle)) != NULL)
		if (is_beside(first, entry->d_name))
			result = take_file(set, path, entry->d_name, module, error);
	if (handle != NULL)
		closedir(handle);
	if (result == 0 && set->count > TAPE_SET_MAX)
		result = tape_error_set(error, TAPE_E_LIMIT, 0, "more than %zu traces beside it",
		                        TAPE_SET_MAX);
	return result;
}

int tape_set_read(struct tape_set *ret_set, const char *path, struct tape_error *error)
{
	struct tape_set *set = ret_set;
	struct tape_reader *reader;
	const char *slash = strrchr(path, '/');
	memset(set, 0, sizeof(*set));
	copy_text(set->path, sizeof(set->path), path);
	int result = tape_reader_open(&reader, path, error);
	if (result < 0)
		return result;
	const struct tape_header *header = tape_reader_header(reader);
	struct tape_member *member = add(set, slash == NULL ? path : slash + 1);
	if (member == NULL) {
		result = no_memory(error);
	} else {
		take_header(member, header);
		if (member->pid != 0)
			result = take_directory(set, path, header->module, error);
	}
	if (result == 0)
		sift(set);
	else
		tape_set_free(set);
	tape_reader_close(reader);
	return result;
}

void tape_set_free(struct tape_set *set)
{
	free(set->members);
	set->members = NULL;
	set->count = 0;
}

/* ---- several modules ------------------------------------------------------------------------- */

struct found {
	char *module; /* and the prefix of its entry points */
	struct tape_member member;
};

static int by_module(const void *a, const void *b)
{
	const struct found *one = a;
	const struct found *two = b;
	int order = strcmp(one->module, two->module);
	return order != 0 ? order : by_start(&one->member, &two->member);
}

static int find_trace(struct tape_sets *sets, const char *directory, const char *name,
                      struct found **found, size_t *count, struct tape_error *error)
{
	struct stat status;
	struct tape_reader *reader;
	if (name[0] == '.' ||
	    snprintf(sets->path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX ||
	    lstat(sets->path, &status) != 0 || !S_ISREG(status.st_mode))
		return 0;
	int result = tape_reader_open(&reader, sets->path, error);
	if (result < 0)
		return claims_to_be_a_trace(sets->path) ? result : 0;
	const struct tape_header *header = tape_reader_header(reader);
	struct found *all = realloc(*found, (*count + 1) * sizeof(*all));
	struct found *one = NULL;
	if (all != NULL) {
		*found = all;
		one = memset(&all[*count], 0, sizeof(*one));
	}
	if (one == NULL || asprintf(&one->module, "%s\n%s", header->module, header->prefix) < 0) {
		result = no_memory(error);
	} else {
		copy_text(one->member.name, sizeof(one->member.name), name);
		take_header(&one->member, header);
		++*count;
	}
	tape_reader_close(reader);
	if (result == 0 && *count > TAPE_SET_MAX)
		return tape_error_set(error, TAPE_E_LIMIT, 0, "more than %zu traces", TAPE_SET_MAX);
	return result;
}

/* Put a trace to its module's set, which is the last one, or begin one. */
static int take_found(struct tape_sets *sets, const char *directory, const struct found *found,
                      bool begins, struct tape_error *error)
{
	if (begins) {
		struct tape_set *all = realloc(sets->sets, (sets->count + 1) * sizeof(*all));
		if (all == NULL)
			return no_memory(error);
		sets->sets = all;
		memset(&all[sets->count++], 0, sizeof(*all));
	}
	struct tape_set *set = &sets->sets[sets->count - 1];
	if (!begins && !tape_set_has(set->members, set->count, &found->member)) {
		snprintf(sets->path, PATH_MAX, "%s/%s", directory, found->member.name);
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "it is of the same module as %.150s and not of the same "
		                      "recording: a directory has one recording",
		                      set->members[0].name);
	}
	struct tape_member *member = add(set, found->member.name);
	if (member == NULL)
		return no_memory(error);
	/* There is one for each that was counted. NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	*member = found->member;
	return 0;
}

int tape_sets_read(struct tape_sets *ret_sets, const char *directory, struct tape_error *error)
{
	struct tape_sets *sets = ret_sets;
	struct found *found = NULL;
	size_t count = 0;
	struct dirent *entry;
	int result = 0;
	memset(sets, 0, sizeof(*sets));
	DIR *handle = opendir(directory);
	if (handle == NULL)
		result = tape_error_set(error, TAPE_E_SYSTEM, 0, "cannot be listed: %s",
		                        strerror(errno));
	while (handle != NULL && result == 0 && (entry = readdir(handle)) != NULL)
		result = find_trace(sets, directory, entry->d_name, &found, &count, error);
	if (handle != NULL)
		closedir(handle);
	if (result == 0 || handle == NULL)
		copy_text(sets->path, sizeof(sets->path), directory);
	if (result == 0 && count == 0)
		result = tape_error_set(error, TAPE_E_INVALID, 0, "no trace is in it");
	if (found != NULL)
		qsort(found, count, sizeof(*found), by_module);
	for (size_t i = 0; i < count && result == 0; i++)
		result = take_found(sets, directory, &found[i],
		                    i == 0 || strcmp(found[i].module, found[i - 1].module) != 0,
		                    error);
	for (size_t i = 0; i < count; i++)
		free(found[i].module);
	free(found);
	if (result < 0)
		tape_sets_free(sets);
	return result < 0 ? result : 0;
}

void tape_sets_free(struct tape_sets *sets)
{
	for (size_t i = 0; i < sets->count; i++)
		tape_set_free(&sets->sets[i]);
	free(sets->sets);
	sets->sets = NULL;
	sets->count = 0;
}
