/* SPDX-License-Identifier: MIT
 *
 * p11tape api: print the tables of core/api, for people (text) and for other programs (YAML).
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "core/api/api.h"

static const char usage[] =
	"usage: p11tape api [--format text|yaml] [SECTION…]\n"
	"\n"
	"Print what p11tape knows of PKCS#11. Without a section, print all of them.\n"
	"\n"
	"  functions    the functions, in list order, and the shapes of their arguments\n"
	"  shapes       the argument shapes\n"
	"  records      the structures and their fields\n"
	"  attributes   attribute types\n"
	"  mechanisms   mechanisms and their parameters\n"
	"  constants    all other constants, by group\n"
	"\n"
	"  -f, --format FORMAT   text (default) or yaml\n"
	"  -h, --help            print this\n";

/* ---- words for what the tables hold --------------------------------------------------------- */

#define WORD(prefix, word)    \
	case prefix##_##word: \
		return #word

static const char *codec_word(enum tape_codec codec)
{
	switch (codec) {
		WORD(TAPE_C, NUMBER);
		WORD(TAPE_C, BOOLEAN);
		WORD(TAPE_C, CONSTANT);
		WORD(TAPE_C, FLAGS);
		WORD(TAPE_C, PRESENCE);
		WORD(TAPE_C, CALLBACK);
		WORD(TAPE_C, INIT_ARGS);
		WORD(TAPE_C, BYTES);
		WORD(TAPE_C, SECRET);
		WORD(TAPE_C, CHARS);
		WORD(TAPE_C, TEXTZ);
		WORD(TAPE_C, TEMPLATE);
		WORD(TAPE_C, MECHANISM);
		WORD(TAPE_C, PARAMETER);
		WORD(TAPE_C, NUMBER_AT);
		WORD(TAPE_C, STRUCT);
		WORD(TAPE_C, BYTES_AT);
		WORD(TAPE_C, FILL);
		WORD(TAPE_C, LATER);
		WORD(TAPE_C, LIST_AT);
		WORD(TAPE_C, FOUND);
		WORD(TAPE_C, FUNCTIONS);
		WORD(TAPE_C, INTERFACES);
		WORD(TAPE_C, INTERFACE);
	}
	return "?";
}

static const char *kind_word(enum tape_field_kind kind)
{
	switch (kind) {
		WORD(TAPE_F, NUMBER);
		WORD(TAPE_F, LIMIT);
		WORD(TAPE_F, CONSTANT);
		WORD(TAPE_F, FLAGS);
		WORD(TAPE_F, OBJECT);
		WORD(TAPE_F, BOOL);
		WORD(TAPE_F, BYTE);
		WORD(TAPE_F, CHARS);
		WORD(TAPE_F, FIXED);
		WORD(TAPE_F, VERSION);
		WORD(TAPE_F, STRUCT);
		WORD(TAPE_F, ULONGS);
		WORD(TAPE_F, LENGTH);
		WORD(TAPE_F, P_BYTES);
		WORD(TAPE_F, P_SECRET);
		WORD(TAPE_F, P_BITS);
		WORD(TAPE_F, P_SIZED);
		WORD(TAPE_F, P_BYTES_AT);
		WORD(TAPE_F, P_SECRET_AT);
		WORD(TAPE_F, P_PARENT_BITS);
		WORD(TAPE_F, P_STRUCT);
		WORD(TAPE_F, P_STRUCTS);
		WORD(TAPE_F, P_TEMPLATE);
		WORD(TAPE_F, P_OBJECT);
		WORD(TAPE_F, P_TEXTZ);
		WORD(TAPE_F, P_MECHANISM);
		WORD(TAPE_F, P_OPAQUE);
		WORD(TAPE_F, P_VARIANT);
	}
	return "?";
}

static const char *secrecy_word(unsigned int secrecy)
{
	switch ((enum tape_secrecy)secrecy) {
		WORD(TAPE_S, PLAIN);
		WORD(TAPE_S, PIN);
		WORD(TAPE_S, SECRET);
		WORD(TAPE_S, DATA);
		WORD(TAPE_S, BY_CLASS);
	}
	return "?";
}

static const char *direction_word(enum tape_direction direction)
{
	switch (direction) {
		WORD(TAPE_D, IN);
		WORD(TAPE_D, OUT);
		WORD(TAPE_D, INOUT);
		WORD(TAPE_D, SEAL);
	}
	return "?";
}

static const char *type_word(enum tape_attribute_type type)
{
	switch (type) {
		WORD(TAPE_A, BYTES);
		WORD(TAPE_A, BIGINT);
		WORD(TAPE_A, UTF8);
		WORD(TAPE_A, BOOL);
		WORD(TAPE_A, ULONG);
		WORD(TAPE_A, CONSTANT);
		WORD(TAPE_A, FLAGS);
		WORD(TAPE_A, DATE);
		WORD(TAPE_A, VERSION);
		WORD(TAPE_A, ULONGS);
		WORD(TAPE_A, CONSTANTS);
		WORD(TAPE_A, TEMPLATE);
		WORD(TAPE_A, BOOL_OR_TIME);
	}
	return "?";
}

static const char *parameter_word(enum tape_parameter parameter)
{
	switch (parameter) {
		WORD(TAPE_P, UNKNOWN);
		WORD(TAPE_P, NONE);
		WORD(TAPE_P, BYTES);
		WORD(TAPE_P, ULONG);
		WORD(TAPE_P, OBJECT);
		WORD(TAPE_P, RECORD);
	}
	return "?";
}

static const char *state_word(enum tape_constant_state state)
{
	switch (state) {
		WORD(TAPE_CONST, MAIN);
		WORD(TAPE_CONST, ALIAS);
		WORD(TAPE_CONST, AMBIGUOUS);
	}
	return "?";
}

/* Bits, in the order of their values. */
static const char *const trait_words[] = { "OUT",  "ANY",  "LANE", "SEAL",  "OPEN",
	                                   "WRAP", "MSG",  "TEXT", "FINDS", "WAITS",
	                                   "ENDS", "KEYS", "DATA", "OF",    "SEEKS" };
static const char *const use_words[] = { "ENCRYPT",  "SIGN", "RECOVER", "DIGEST",      "KEY",
	                                 "KEY_PAIR", "WRAP", "DERIVE",  "ENCAPSULATE", "MESSAGE" };

static void print_bits(unsigned bits, const char *const *words, size_t count, const char *between)
{
	const char *before = "";

	for (size_t i = 0; i < count; i++) {
		if (!(bits >> i & 1))
			continue;
		printf("%s%s", before, words[i]);
		before = between;
	}
}

/* "3.2", or the vendor's name. */
struct since {
	char text[16];
};

static struct since since(unsigned major, unsigned minor, const char *vendor)
{
	struct since result;

	if (major)
		snprintf(result.text, sizeof(result.text), "%u.%u", major, minor);
	else
		snprintf(result.text, sizeof(result.text), "%s", vendor ? vendor : "vendor");
	return result;
}

/* The rest of a YAML mapping that says where a name is from. */
static void print_origin(unsigned major, unsigned minor, const char *vendor)
{
	if (major)
		printf("since: \"%u.%u\"", major, minor);
	else
		printf("since: null");
	if (vendor)
		printf(", vendor: %s", vendor);
}

static const char *record_word(size_t record)
{
	return tape_records[record].name.text;
}

/* ---- functions ------------------------------------------------------------------------------ */

static void functions_text(void)
{
	for (size_t i = 0; i < TAPE_FN_COUNT; i++) {
		const struct tape_function *function = &tape_functions[i];
		const char *before = "";

		printf("%-27s  %-4s  ", function->name.text,
		       since(function->major, function->minor, NULL).text);
		for (size_t j = 0; j < function->count; j++) {
			const struct tape_argument *argument = &function->arguments[j];
			const struct tape_shape *shape = &tape_shapes[argument->kind];

			printf("%s%s", before, shape->name.text);
			for (size_t k = 0; k < shape->words; k++)
				printf(" %s", argument->parameters[k]);
			before = ", ";
		}
		putchar('\n');
	}
}

static void functions_yaml(void)
{
	for (size_t i = 0; i < TAPE_FN_COUNT; i++) {
		const struct tape_function *function = &tape_functions[i];

		printf("- name: %s\n  since: \"%u.%u\"\n  index: %zu\n", function->name.text,
		       function->major, function->minor, i);
		printf("  lane: %s\n  finds: %s\n  arguments:\n",
		       function->lane < 0 ? "null" : function->arguments[function->lane].key.text,
		       function->finds ? "true" : "false");
		for (size_t j = 0; j < function->count; j++) {
			const struct tape_argument *argument = &function->arguments[j];
			const struct tape_shape *shape = &tape_shapes[argument->kind];

			printf("  - {name: %s, shape: %s, codec: %s, parameters: [",
			       argument->key.text, shape->name.text, codec_word(shape->codec));
			for (size_t k = 0; k < shape->words; k++)
				printf("%s%s", k ? ", " : "", argument->parameters[k]);
			printf("]}\n");
		}
	}
}

/* ---- shapes --------------------------------------------------------------------------------- */

/* What the codec is told: a group, a record or a number. */
static void print_shape_detail(const struct tape_shape *shape, const char *nothing, int width)
{
	char number[16];
	const char *text = nothing;

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_CONSTANT:
	case TAPE_C_FLAGS:
	case TAPE_C_LIST_AT:
		if (shape->detail)
			text = tape_groups[shape->detail].name;
		break;
	case TAPE_C_STRUCT:
		text = record_word(shape->detail);
		break;
	default:
		if (!shape->detail)
			break;
		snprintf(number, sizeof(number), "%u", shape->detail);
		text = number;
		break;
	}
	printf("%-*s", width, text);
}

static void shapes_text(void)
{
	for (size_t i = 0; i < TAPE_K_COUNT; i++) {
		const struct tape_shape *shape = &tape_shapes[i];

		printf("%-17s  %-10s  %u  ", shape->name.text, codec_word(shape->codec),
		       shape->words);
		print_shape_detail(shape, "-", 17);
		printf("  ");
		print_bits(shape->traits, trait_words, TAPE_ARRAY_SIZE(trait_words), " ");
		puts(shape->traits ? "" : "-");
	}
}

static void shapes_yaml(void)
{
	for (size_t i = 0; i < TAPE_K_COUNT; i++) {
		const struct tape_shape *shape = &tape_shapes[i];

		printf("- {name: %s, codec: %s, words: %u, detail: ", shape->name.text,
		       codec_word(shape->codec), shape->words);
		print_shape_detail(shape, "null", 0);
		printf(", traits: [");
		print_bits(shape->traits, trait_words, TAPE_ARRAY_SIZE(trait_words), ", ");
		printf("]}\n");
	}
}

/* ---- records -------------------------------------------------------------------------------- */

static const char *member_at(const struct tape_record *record, size_t offset)
{
	for (size_t i = 0; i < record->count; i++)
		if (tape_fields[record->first + i].offset == offset)
			return tape_fields[record->first + i].name.text;
	return NULL;
}

/* A group, a record, a secrecy, or how many bytes or CK_ULONG. */
static void print_field_detail(const struct tape_field *field, const char *nothing)
{
	switch ((enum tape_field_kind)field->kind) {
	case TAPE_F_CONSTANT:
	case TAPE_F_FLAGS:
		fputs(tape_groups[field->detail].name, stdout);
		break;
	case TAPE_F_STRUCT:
	case TAPE_F_P_STRUCT:
	case TAPE_F_P_STRUCTS:
		fputs(record_word(field->detail), stdout);
		break;
	case TAPE_F_CHARS:
	case TAPE_F_FIXED:
		printf("%u", field->size);
		break;
	case TAPE_F_ULONGS:
		printf("%zu", field->size / sizeof(CK_ULONG));
		break;
	case TAPE_F_P_SIZED:
		printf("%u", field->detail);
		break;
	case TAPE_F_P_BYTES:
	case TAPE_F_P_BYTES_AT:
		fputs(field->detail == TAPE_S_PLAIN ? nothing : secrecy_word(field->detail),
		      stdout);
		break;
	default:
		fputs(nothing, stdout);
		break;
	}
}

/* The name of the value that a condition asks for, or the number. */
static void print_wanted(const struct tape_record *record, const struct tape_condition *condition)
{
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		const struct tape_name *name;

		if (field->offset != condition->selector || field->kind != TAPE_F_CONSTANT)
			continue;
		name = tape_constant_name(field->detail, condition->value);
		if (!name)
			break;
		fputs(name->text, stdout);
		return;
	}
	printf("%" PRIu64, condition->value);
}

static void records_text(void)
{
	for (size_t i = TAPE_R_NONE + 1; i < TAPE_R_COUNT; i++) {
		const struct tape_record *record = &tape_records[i];

		printf("%s%s  %s%s\n", i > TAPE_R_NONE + 1 ? "\n" : "", record->name.text,
		       since(record->major, record->minor, NULL).text,
		       record->writes ? "  written" : "");
		for (size_t j = 0; j < record->count; j++) {
			const struct tape_field *field = &tape_fields[record->first + j];
			const char *extent = member_at(record, field->extent);

			printf("  %-24s  %-13s  %-5s  %-24s  ", field->name.text,
			       kind_word(field->kind), direction_word(field->direction),
			       extent ? extent : "-");
			print_field_detail(field, "-");
			putchar('\n');
		}
		for (size_t j = 0; j < tape_condition_count; j++) {
			const struct tape_condition *condition = &tape_conditions[j];

			if (condition->record != i)
				continue;
			printf("  %s only if %s is ", member_at(record, condition->offset),
			       member_at(record, condition->selector));
			print_wanted(record, condition);
			putchar('\n');
		}
	}
}

static void records_yaml(void)
{
	for (size_t i = TAPE_R_NONE + 1; i < TAPE_R_COUNT; i++) {
		const struct tape_record *record = &tape_records[i];
		const char *before = "";

		printf("- name: %s\n  ", record->name.text);
		print_origin(record->major, record->minor, NULL);
		printf("\n  writes: %s\n  fields:\n", record->writes ? "true" : "false");
		for (size_t j = 0; j < record->count; j++) {
			const struct tape_field *field = &tape_fields[record->first + j];
			const char *extent = member_at(record, field->extent);

			printf("  - {name: %s, kind: %s, direction: %s, extent: %s, detail: ",
			       field->name.text, kind_word(field->kind),
			       direction_word(field->direction), extent ? extent : "null");
			print_field_detail(field, "null");
			printf("}\n");
		}
		printf("  conditions: [");
		for (size_t j = 0; j < tape_condition_count; j++) {
			const struct tape_condition *condition = &tape_conditions[j];

			if (condition->record != i)
				continue;
			printf("%s{member: %s, selector: %s, value: ", before,
			       member_at(record, condition->offset),
			       member_at(record, condition->selector));
			print_wanted(record, condition);
			putchar('}');
			before = ", ";
		}
		printf("]\n");
	}
}

/* ---- attributes ----------------------------------------------------------------------------- */

static void attributes_text(void)
{
	for (size_t i = 0; i < tape_attribute_count; i++) {
		const struct tape_attribute *row = &tape_attributes[i];

		printf("0x%08" PRIx64 "  %-39s  %-11s  %-12s  %-13s  %-8s  %s\n", row->value,
		       row->name.text, since(row->major, row->minor, row->vendor).text,
		       type_word(row->type), row->group ? tape_groups[row->group].name : "-",
		       row->secrecy ? secrecy_word(row->secrecy) : "-", state_word(row->state));
	}
}

static void attributes_yaml(void)
{
	for (size_t i = 0; i < tape_attribute_count; i++) {
		const struct tape_attribute *row = &tape_attributes[i];

		printf("- {name: %s, value: 0x%08" PRIx64 ", state: %s, type: %s, group: %s, "
		       "secrecy: %s, ",
		       row->name.text, row->value, state_word(row->state), type_word(row->type),
		       row->group ? tape_groups[row->group].name : "null",
		       secrecy_word(row->secrecy));
		print_origin(row->major, row->minor, row->vendor);
		printf("}\n");
	}
}

/* ---- mechanisms ----------------------------------------------------------------------------- */

static void mechanisms_text(void)
{
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		const struct tape_mechanism *row = &tape_mechanisms[i];

		printf("0x%08" PRIx64 "  %-48s  %-8s  %-5s  %-42s  ", row->value, row->name.text,
		       since(row->major, row->minor, row->vendor).text, state_word(row->state),
		       row->record ? record_word(row->record) : parameter_word(row->parameter));
		print_bits(row->uses, use_words, TAPE_ARRAY_SIZE(use_words), " ");
		if (row->message_record)
			printf("; message: %s", record_word(row->message_record));
		if (row->wrap_record)
			printf("; wrap: %s", record_word(row->wrap_record));
		if (row->other_record)
			printf("; other: %s", record_word(row->other_record));
		putchar('\n');
	}
}

static void print_record(const char *key, size_t record)
{
	printf(", %s: %s", key, record ? record_word(record) : "null");
}

static void mechanisms_yaml(void)
{
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		const struct tape_mechanism *row = &tape_mechanisms[i];

		printf("- {name: %s, value: 0x%08" PRIx64 ", state: %s, uses: [", row->name.text,
		       row->value, state_word(row->state));
		print_bits(row->uses, use_words, TAPE_ARRAY_SIZE(use_words), ", ");
		printf("], parameter: %s", parameter_word(row->parameter));
		print_record("record", row->record);
		print_record("message_record", row->message_record);
		print_record("wrap_record", row->wrap_record);
		print_record("other_record", row->other_record);
		printf(", ");
		print_origin(row->major, row->minor, row->vendor);
		printf("}\n");
	}
}

/* ---- constants ------------------------------------------------------------------------------ */

static void constants_text(void)
{
	for (size_t group = TAPE_G_NONE + 1; group < TAPE_G_COUNT; group++) {
		printf("%s%s: %s\n", group > TAPE_G_NONE + 1 ? "\n" : "", tape_groups[group].name,
		       tape_groups[group].meaning);
		for (size_t i = 0; i < tape_constant_count; i++) {
			const struct tape_constant *row = &tape_constants[i];

			if (row->group == group)
				printf("  0x%08" PRIx64 "  %-39s  %-8s  %s\n", row->value,
				       row->name.text,
				       since(row->major, row->minor, row->vendor).text,
				       state_word(row->state));
		}
	}
}

static void constants_yaml(void)
{
	for (size_t group = TAPE_G_NONE + 1; group < TAPE_G_COUNT; group++) {
		bool empty = true;

		printf("- group: %s\n  prefix: \"%s\"\n  meaning: \"%s\"\n  constants:",
		       tape_groups[group].name, tape_groups[group].prefix,
		       tape_groups[group].meaning);
		for (size_t i = 0; i < tape_constant_count; i++) {
			const struct tape_constant *row = &tape_constants[i];

			if (row->group != group)
				continue;
			printf("\n  - {name: %s, value: 0x%08" PRIx64 ", state: %s, ",
			       row->name.text, row->value, state_word(row->state));
			print_origin(row->major, row->minor, row->vendor);
			putchar('}');
			empty = false;
		}
		printf("%s\n", empty ? " []" : "");
	}
}

/* ---- command -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	const char *heading; /* of the columns */
	void (*text)(void);
	void (*yaml)(void);
} sections[] = {
	{ "functions", "function, since, arguments: shape and parameters", functions_text,
	  functions_yaml },
	{ "shapes", "shape, codec, words, detail, traits", shapes_text, shapes_yaml },
	{ "records", "structure, since; member, kind, direction, extent, detail", records_text,
	  records_yaml },
	{ "attributes", "value, name, since or vendor, type, group, secrecy, state",
	  attributes_text, attributes_yaml },
	{ "mechanisms", "value, name, since or vendor, state, parameter, uses", mechanisms_text,
	  mechanisms_yaml },
	{ "constants", "value, name, since or vendor, state", constants_text, constants_yaml },
};

static size_t find_section(const char *name)
{
	size_t i = 0;

	while (i < TAPE_ARRAY_SIZE(sections) && strcmp(sections[i].name, name) != 0)
		i++;
	return i;
}

/* A heading comes where there is more than one section. */
static void print_section(size_t i, bool yaml, bool only, bool first)
{
	if (yaml) {
		printf("%s:\n", sections[i].name);
		sections[i].yaml();
		return;
	}
	if (!only)
		printf("%s# %s: %s\n\n", first ? "" : "\n", sections[i].name, sections[i].heading);
	sections[i].text();
}

int tape_cmd_api(int argc, char **argv)
{
	static const struct option options[] = {
		{ "format", required_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	bool yaml = false;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "f:h", options, NULL)) != -1) {
		switch (option) {
		case 'f':
			yaml = strcmp(optarg, "yaml") == 0;
			if (!yaml && strcmp(optarg, "text") != 0)
				return tape_cli_fail("there is no format '%s': text and yaml are",
				                     optarg);
			break;
		case 'h':
			return tape_cli_usage(usage);
		default:
			return tape_cli_misused("api");
		}
	}
	for (int i = optind; i < argc; i++)
		if (find_section(argv[i]) == TAPE_ARRAY_SIZE(sections))
			return tape_cli_fail(
				"there is no section '%s'; 'p11tape help api' lists them", argv[i]);

	if (optind == argc)
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(sections); i++)
			print_section(i, yaml, false, i == 0);
	for (int i = optind; i < argc; i++)
		print_section(find_section(argv[i]), yaml, argc - optind == 1, i == optind);
	return TAPE_EXIT_GOOD;
}
