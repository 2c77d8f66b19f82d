/* SPDX-License-Identifier: MIT
 *
 * P11TAPE_MOCK: words, with commas or blanks between them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock.h"

struct mock_config mock_config;

static const char *const fault_names[] = {
#define FAULT_ROW(name, rule, sentence) #name,
#include "tests/mock/faults.def"
#undef FAULT_ROW
};

struct mock_switch {
	const char *word;
	size_t offset;
	enum { IS_FLAG, IS_NUMBER, IS_TEXT } type;
	CK_ULONG number;
	const char *text;
};

static const struct mock_switch switches[] = {
#define SWITCH_FLAG(member, word, sentence) \
	{ word, offsetof(struct mock_config, member), IS_FLAG, 0, NULL },
#define SWITCH_NUMBER(member, word, standard, sentence) \
	{ word, offsetof(struct mock_config, member), IS_NUMBER, standard, NULL },
#define SWITCH_TEXT(member, word, standard, sentence) \
	{ word, offsetof(struct mock_config, member), IS_TEXT, 0, standard },
#include "tests/mock/switches.def"
#undef SWITCH_FLAG
#undef SWITCH_NUMBER
#undef SWITCH_TEXT
};
#define SWITCHES (sizeof(switches) / sizeof(switches[0]))

static bool set(const struct mock_switch *row, const char *value)
{
	char *member = (char *)&mock_config + row->offset;
	char *end;

	switch (row->type) {
	case IS_FLAG:
		*(bool *)member = true;
		return value == NULL;
	case IS_NUMBER:
		if (!value || !*value)
			return false;
		errno = 0;
		*(CK_ULONG *)(void *)member = strtoul(value, &end, 0);
		return errno == 0 && *end == '\0';
	case IS_TEXT:
		if (!value || strlen(value) >= sizeof(mock_config.version))
			return false;
		memcpy(member, value, strlen(value) + 1);
		return true;
	}
	return false;
}

static bool set_fault(const char *name)
{
	for (size_t i = 0; name && i < MOCK_FAULT_COUNT; i++) {
		if (strcmp(name, fault_names[i]) == 0) {
			mock_config.faults[i] = true;
			return true;
		}
	}
	return false;
}

static bool set_word(char *word)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = '\0';
	if (strcmp(word, "fault") == 0)
		return set_fault(value);
	for (size_t i = 0; i < SWITCHES; i++) {
		if (strcmp(word, switches[i].word) == 0)
			return set(&switches[i], value);
	}
	return false;
}

static bool read_version(void)
{
	static const struct {
		const char *text;
		CK_VERSION version;
	} known[] = {
		{ "2.40", { 2, 40 } }, { "3.0", { 3, 0 } }, { "3.1", { 3, 1 } }, { "3.2", { 3, 2 } }
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(mock_config.version, known[i].text) == 0) {
			mock_config.version_number = known[i].version;
			return true;
		}
	}
	return false;
}

bool mock_config_read(void)
{
	const char *text = getenv("P11TAPE_MOCK");
	char *copy, *rest, *word;
	bool good = true;

	memset(&mock_config, 0, sizeof(mock_config));
	for (size_t i = 0; i < SWITCHES; i++) {
		if (switches[i].type == IS_TEXT)
			set(&switches[i], switches[i].text);
		else if (switches[i].type == IS_NUMBER)
			*(CK_ULONG *)(void *)((char *)&mock_config + switches[i].offset) =
				switches[i].number;
	}
	copy = strdup(text ? text : "");
	if (!copy)
		return false;
	for (word = strtok_r(copy, ", \t\n", &rest); word; word = strtok_r(NULL, ", \t\n", &rest)) {
		if (set_word(word))
			continue;
		fprintf(stderr, "p11tape-mock: P11TAPE_MOCK: '%s' is not understood\n", word);
		good = false;
	}
	free(copy);
	if (!read_version()) {
		fprintf(stderr, "p11tape-mock: P11TAPE_MOCK: there is no version %s\n",
		        mock_config.version);
		good = false;
	}
	return good;
}

bool mock_has_version(unsigned major, unsigned minor)
{
	const CK_VERSION *played = &mock_config.version_number;

	return major < played->major || (major == played->major && minor <= played->minor);
}

bool mock_listed(const char *text, const char *word)
{
	size_t length = strlen(word);

	while (*text) {
		size_t item = strcspn(text, "+");

		if (item == length && memcmp(text, word, length) == 0)
			return true;
		text += item + (text[item] == '+');
	}
	return false;
}
