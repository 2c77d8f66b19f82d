/* SPDX-License-Identifier: MIT */
#include "suites/coverage.h"

#include <string.h>

#include "suites/rules.h"

static bool asserts(const struct check_row *row, unsigned int number)
{
	for (size_t i = 0; i < CHECK_RULES; i++)
		if (row->rules[i] == number)
			return true;
	return false;
}

static size_t count_checks(const struct check_list *list, unsigned int number)
{
	size_t count = 0;
	for (size_t i = 0; i < list->count; i++)
		count += asserts(list->rows[i], number);
	return count;
}

/* What the names of a family have in common, "before/" of "before/C_Sign"; all of a name of its own. */
static size_t family(const char *name)
{
	const char *slash = strrchr(name, '/');
	return slash == NULL ? strlen(name) : (size_t)(slash - name) + 1;
}

static bool same_family(const struct check_row *one, const struct check_row *two)
{
	size_t length = family(one->name);
	return strcmp(one->suite, two->suite) == 0 && length == family(two->name) &&
	       strncmp(one->name, two->name, length) == 0;
}

static void print_checks(FILE *to, const struct check_list *list, unsigned int number)
{
	const char *separator = "";
	for (size_t i = 0; i < list->count; i++) {
		const struct check_row *row = list->rows[i];
		size_t members = 0;
		bool first = true;
		if (!asserts(row, number))
			continue;
		for (size_t j = 0; j < list->count; j++)
			if (asserts(list->rows[j], number) && same_family(row, list->rows[j])) {
				members++;
				first &= j >= i;
			}
		if (!first)
			continue;
		if (members == 1)
			fprintf(to, "%s%s/%s", separator, row->suite, row->name);
		else
			fprintf(to, "%s%s/%.*s* (%zu)", separator, row->suite,
			        (int)family(row->name), row->name, members);
		separator = ", ";
	}
}

void coverage_print(FILE *to, const struct check_list *list)
{
	size_t testable = 0, covered = 0;
	for (size_t i = 0; i < rule_count; i++) {
		testable += rules[i].test == 'T';
		covered += rules[i].test == 'T' && count_checks(list, rules[i].number) != 0;
	}
	fprintf(to,
	        "# Which checks assert which rule\n\n"
	        "Made by `p11tape check --coverage`; not edited by hand. The rules are rows of\n"
	        "[core/api/rules.def](../core/api/rules.def), which says what the columns mean; "
	        "the checks are in\n"
	        "[suites](../suites/). A family of checks stands once, with the number of its "
	        "members.\n\n"
	        "%zu checks; %zu of %zu rules that can be tried on a module are asserted by one at "
	        "least.\n",
	        list->count, covered, testable);
	for (size_t i = 0; i < rule_count; i++) {
		const struct rule *rule = &rules[i];
		if (rule->number == 0) {
			fprintf(to,
			        "\n## %s\n\n| rule | | sections | says | checks |\n| --- | --- | "
			        "--- "
			        "| --- | --- |\n",
			        rule->sentence);
			continue;
		}
		fprintf(to, "| R-%03u | %s | %s | %s | ", rule->number, rule_strength_name(rule),
		        rule->sections, rule->sentence);
		if (count_checks(list, rule->number) != 0)
			print_checks(to, list, rule->number);
		else
			fputs(rule->test == 'T'   ? "**none yet**"
			      : rule->test == 'A' ? "the application's duty"
			                          : "cannot be decided from outside",
			      to);
		fputs(" |\n", to);
	}
}
