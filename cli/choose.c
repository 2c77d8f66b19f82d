/* SPDX-License-Identifier: MIT
 *
 * Our modules come as two files each. A program that looks for C_GetInterface with dlsym() is to find it
 * where the recorded module has it, and nowhere else: which file that is, and where it lies.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "core/api/api.h"
#include "core/trace.h"

/* A table of a module that is larger is not looked at. */
#define MAX_TABLE ((size_t)64 << 20)
#define MAX_NAME 64

typedef ElfW(Ehdr) elf_header;
typedef ElfW(Shdr) elf_section;
typedef ElfW(Sym) elf_symbol;

/* ---- what a module exports ------------------------------------------------------------------- */

static bool read_at(int fd, void *to, size_t size, uint64_t at)
{
	ssize_t got;
	for (size_t done = 0; done < size; done += (size_t)got) {
		do
			got = pread(fd, (char *)to + done, size - done, (off_t)(at + done));
		while (got < 0 && errno == EINTR);
		if (got <= 0)
			return false;
	}
	return true;
}

/* Read a section, with a zero byte behind it; NULL where that is not possible. */
static char *read_section(int fd, const elf_section *section)
{
	if (section->sh_size > MAX_TABLE)
		return NULL;
	size_t size = (size_t)section->sh_size;
	char *bytes = malloc(size + 1);
	if (bytes != NULL && read_at(fd, bytes, size, section->sh_offset)) {
		bytes[size] = '\0';
		return bytes;
	}
	free(bytes);
	return NULL;
}

static bool read_header(int fd, elf_header *ret_header)
{
	const union {
		uint16_t number;
		unsigned char first;
	} order = { 1 };
	return read_at(fd, ret_header, sizeof(*ret_header), 0) &&
	       memcmp(ret_header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       ret_header->e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) &&
	       ret_header->e_ident[EI_DATA] == (order.first == 1 ? ELFDATA2LSB : ELFDATA2MSB) &&
	       ret_header->e_shentsize == sizeof(elf_section);
}

static bool read_section_header(int fd, const elf_header *header, size_t index,
                                elf_section *ret_section)
{
	return read_at(fd, ret_section, sizeof(*ret_section),
	               header->e_shoff + index * sizeof(*ret_section));
}

static unsigned int entries_of_table(int fd, const elf_section *symbols, const elf_section *names)
{
	unsigned int entries = 0;
	char *table = read_section(fd, symbols);
	char *text = read_section(fd, names);
	for (size_t at = 0;
	     table != NULL && text != NULL && at + sizeof(elf_symbol) <= (size_t)symbols->sh_size;
	     at += sizeof(elf_symbol)) {
		elf_symbol symbol;
		memcpy(&symbol, table + at, sizeof(symbol));
		/* Binding is in the upper half of st_info for either class. */
		if (symbol.st_shndx == SHN_UNDEF || symbol.st_info >> 4 == STB_LOCAL ||
		    symbol.st_name >= names->sh_size)
			continue;
		const char *name = text + symbol.st_name;
		/* No longer than could be one of ours: the file may have been made to take time. */
		entries |= tape_entry_find(name, strnlen(name, MAX_NAME));
	}
	free(table);
	free(text);
	return entries;
}

/*
 * The entry points that a module's own file exports, as enum tape_entry bits; 0 where that cannot be seen.
 * The file is read, not loaded: what a module does when it is loaded would happen once more than without
 * us. What it has from a library that it needs is not seen.
 */
static unsigned int entries_of_module(const char *path)
{
	elf_header header;
	elf_section symbols = { 0 };
	elf_section names;
	unsigned int entries = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return 0;
	size_t at = 0;
	size_t count = read_header(fd, &header) ? header.e_shnum : 0;
	while (at < count && read_section_header(fd, &header, at, &symbols) &&
	       symbols.sh_type != SHT_DYNSYM)
		at++;
	if (at < count && symbols.sh_type == SHT_DYNSYM && symbols.sh_link < count &&
	    read_section_header(fd, &header, symbols.sh_link, &names))
		entries = entries_of_table(fd, &symbols, &names);
	close(fd);
	return entries;
}

/* ---- our files ------------------------------------------------------------------------------- */

/* Find a file of ours, and say so where it is nowhere. */
static bool find_file(const char *name, char ret_path[PATH_MAX])
{
	if (tape_cli_find(name, ret_path))
		return true;
	tape_cli_fail("%s is neither beside the program nor in %s: build or install p11tape whole",
	              name, TAPE_MODULE_DIR);
	return false;
}

bool tape_cli_recorder(const char *module, char ret_path[PATH_MAX])
{
	unsigned int entries = module == NULL ? 0 : entries_of_module(module);
	return find_file(entries == TAPE_ENTRY_LIST ? "p11tape-recorder-2.so"
	                                            : "p11tape-recorder.so",
	                 ret_path);
}

bool tape_cli_replayer(const char *trace, char ret_path[PATH_MAX])
{
	struct tape_reader *reader;
	struct tape_error error = { 0 };
	unsigned int entries = 0;
	if (trace != NULL) {
		if (tape_reader_open(&reader, trace, &error) < 0) {
			tape_cli_fail_at(trace, &error);
			return false;
		}
		entries = tape_reader_header(reader)->entries;
		tape_reader_close(reader);
	}
	return find_file(entries == TAPE_ENTRY_LIST ? "p11tape-replayer-2.so"
	                                            : "p11tape-replayer.so",
	                 ret_path);
}
