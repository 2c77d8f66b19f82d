/* SPDX-License-Identifier: MIT */
#include "cli/interpose.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "recorder/preload.h"

typedef ElfW(Ehdr) elf_header;
typedef ElfW(Phdr) elf_segment;

/* ---- programs that the loader does not let us into ------------------------------------------- */

bool tape_interpose_find(const char *name, char ret_path[PATH_MAX])
{
	const char *list = getenv("PATH");
	if (strchr(name, '/') != NULL)
		return (size_t)snprintf(ret_path, PATH_MAX, "%s", name) < PATH_MAX;
	if (list == NULL)
		list = "/bin:/usr/bin";
	for (const char *at = list;; at++) {
		size_t length = strcspn(at, ":");
		snprintf(ret_path, PATH_MAX, "%.*s%s%s", (int)length, at, length == 0 ? "" : "/",
		         name);
		if (access(ret_path, X_OK) == 0)
			return true;
		at += length;
		if (*at == 0)
			return false;
	}
}

/* Whether it runs with other rights than its caller's: the loader then obeys no environment. */
static bool is_privileged(const struct stat *status)
{
	return ((status->st_mode & S_ISUID) != 0 && status->st_uid != geteuid()) ||
	       ((status->st_mode & S_ISGID) != 0 && status->st_gid != getegid());
}

/* Whether it is a program that no loader takes part in; scripts and what cannot be read are none. */
static bool is_static(const char *path)
{
	elf_header header;
	elf_segment segment;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	bool elf = fd >= 0 && pread(fd, &header, sizeof(header), 0) == (ssize_t)sizeof(header) &&
	           memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 &&
	           header.e_phentsize == sizeof(segment);
	bool asks = false;
	for (size_t i = 0; elf && !asks && i < header.e_phnum; i++)
		asks = pread(fd, &segment, sizeof(segment),
		             (off_t)(header.e_phoff + i * sizeof(segment))) ==
		               (ssize_t)sizeof(segment) &&
		       segment.p_type == PT_INTERP;
	if (fd >= 0)
		close(fd);
	return elf && !asks;
}

/* What to do instead, for programs that are known to need it. */
static const char *other_way(const char *program)
{
	static const struct {
		const char *program, *way;
	} known[] = {
		{ "ssh-agent", "'p11tape wrap ssh-pkcs11-helper -- ssh-agent …' stands before the "
		               "helper that it "
		               "starts" },
	};
	const char *slash = strrchr(program, '/');
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(known); i++)
		if (strcmp(slash == NULL ? program : slash + 1, known[i].program) == 0)
			return known[i].way;
	return "put {} where its arguments name its module, or configure the module's path that "
	       "'p11tape module' prints";
}

/* What works for every program whose module a person can name. */
static void tell_ways(void)
{
	tape_cli_warn("a copy of the recorder needs no environment: p11tape module recorder --for "
	              "MODULE --copy /PATH/recorded.so --set P11TAPE_MODULE=MODULE --set "
	              "P11TAPE_TRACE=/PATH/t.yaml");
	tape_cli_warn("it is named to NSS by: modutil -dbdir sql:DIRECTORY -add recorded -libfile "
	              "/PATH/recorded.so");
	tape_cli_warn("and to p11-kit by a line in /etc/pkcs11/modules/recorded.module: module: "
	              "/PATH/recorded.so");
}

/* ---- what the program needs ------------------------------------------------------------------ */

/* A variable's value with ours put to it. */
static char *join(const char *first, const char *second)
{
	char *text = NULL;
	bool both = first != NULL && first[0] != '\0' && second != NULL && second[0] != '\0';
	if (asprintf(&text, "%s%s%s", first == NULL ? "" : first, both ? ":" : "",
	             second == NULL ? "" : second) < 0)
		return NULL;
	return text;
}

int tape_interpose_begin(struct tape_interpose *interpose, const char *program, const char *only)
{
	char path[PATH_MAX];
	char preload[PATH_MAX];
	struct stat status;
	memset(interpose, 0, sizeof(*interpose));
	interpose->only = only;
	if (tape_interpose_find(program, path) && stat(path, &status) == 0 &&
	    is_privileged(&status)) {
		tape_cli_fail("%s is set-%s, so that nothing can be put before its module: %s",
		              path, (status.st_mode & S_ISUID) != 0 ? "uid" : "gid",
		              other_way(program));
		tell_ways();
		return TAPE_EXIT_BAD;
	}
	if (!tape_cli_find("p11tape-preload.so", preload))
		return tape_cli_fail("p11tape-preload.so is neither beside the program nor in %s: "
		                     "build or install p11tape whole",
		                     TAPE_MODULE_DIR);
	if (strpbrk(preload, " :") != NULL)
		return tape_cli_fail(
			"%s cannot be preloaded, since its path has a blank or a colon; "
			"put {} where the arguments name the module",
			preload);
	if (!tape_cli_temporary(interpose->directory))
		return TAPE_EXIT_BAD;
	/* Behind what is preloaded anyway: sanitizers' runtimes must come first. */
	interpose->preload = join(getenv("LD_PRELOAD"), preload);
	/* ASan ends a program in which another library was loaded before its own. */
	interpose->asan = join(getenv("ASAN_OPTIONS"), "verify_asan_link_order=0");
	if (interpose->preload == NULL || interpose->asan == NULL)
		return tape_cli_fail("out of memory");
	return TAPE_EXIT_GOOD;
}

int tape_interpose_serve(struct tape_interpose *interpose, const char *path, const char *prefix,
                         const char *replayer)
{
	if (strpbrk(path, "\t\n") != NULL || strpbrk(replayer, "\t\n") != NULL)
		return tape_cli_fail("%s: such a path cannot be served", path);
	if ((size_t)snprintf(interpose->serve, sizeof(interpose->serve), "%s/serve",
	                     interpose->directory) >= sizeof(interpose->serve))
		return tape_cli_fail("%s: the path is too long", interpose->directory);
	FILE *file = fopen(interpose->serve, "ae");
	if (file != NULL) {
		fprintf(file, "%s\t%s\t%s\n", path, replayer, prefix[0] == '\0' ? "C_" : prefix);
		bool good = !ferror(file);
		if (fclose(file) == 0 && good)
			return TAPE_EXIT_GOOD;
	}
	return tape_cli_fail("%s cannot be written: %s", interpose->serve, strerror(errno));
}

void tape_interpose_variables(const struct tape_interpose *interpose,
                              struct tape_variables *variables)
{
	tape_variables_set(variables, "LD_PRELOAD", interpose->preload);
	tape_variables_set(variables, "ASAN_OPTIONS", interpose->asan);
	tape_variables_set(variables, TAPE_PRELOAD_DIRECTORY, interpose->directory);
	tape_variables_set(variables, TAPE_PRELOAD_ONLY, interpose->only);
	tape_variables_set(variables, TAPE_PRELOAD_SERVE,
	                   interpose->serve[0] == '\0' ? NULL : interpose->serve);
}

void tape_interpose_explain(const char *program)
{
	char path[PATH_MAX];
	if (tape_interpose_find(program, path) && is_static(path))
		tape_cli_warn("%s is linked statically: nothing can be put before what it calls",
		              path);
	else
		tape_cli_warn(
			"if it has one, it may be in a program with set-uid or set-gid, in one "
			"whose environment was emptied, or be loaded by a library that was opened "
			"with RTLD_DEEPBIND: %s",
			other_way(program));
	tell_ways();
}

void tape_interpose_end(struct tape_interpose *interpose)
{
	DIR *directory = interpose->directory[0] == '\0' ? NULL : opendir(interpose->directory);
	struct dirent *entry;
	while (directory != NULL && (entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory != NULL) {
		closedir(directory);
		rmdir(interpose->directory);
	}
	free(interpose->preload);
	free(interpose->asan);
}
