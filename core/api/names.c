/* SPDX-License-Identifier: MIT
 *
 * From names to values. The names are found through one hash table, filled when the first name is
 * asked for: what reads traces needs it, and of the recorder only what reads rules (core/inject.c).
 */
#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "core/api/api.h"

/* A name space is a constant group, or one of the other tables. */
enum {
	SPACE_FUNCTIONS = TAPE_G_COUNT,
	SPACE_RECORDS,
};

/* Every name counts once: which table it is in, and the row. */
enum table {
	TABLE_NONE,
	TABLE_CONSTANTS,
	TABLE_ATTRIBUTES,
	TABLE_MECHANISMS,
	TABLE_FUNCTIONS,
	TABLE_RECORDS,
};

struct entry {
	uint16_t table; /* enum table */
	uint16_t row;
};

/* At least twice the names, and a power of two. */
#define SLOTS 4096
static struct entry slots[SLOTS];
static pthread_once_t filled = PTHREAD_ONCE_INIT;

static const struct tape_name *entry_name(struct entry entry)
{
	switch ((enum table)entry.table) {
	case TABLE_CONSTANTS:
		return &tape_constants[entry.row].name;
	case TABLE_ATTRIBUTES:
		return &tape_attributes[entry.row].name;
	case TABLE_MECHANISMS:
		return &tape_mechanisms[entry.row].name;
	case TABLE_FUNCTIONS:
		return &tape_functions[entry.row].name;
	case TABLE_RECORDS:
		return &tape_records[entry.row].name;
	case TABLE_NONE:
		break;
	}
	return NULL;
}

static unsigned entry_space(struct entry entry)
{
	switch ((enum table)entry.table) {
	case TABLE_CONSTANTS:
		return tape_constants[entry.row].group;
	case TABLE_ATTRIBUTES:
		return TAPE_G_CKA;
	case TABLE_MECHANISMS:
		return TAPE_G_CKM;
	case TABLE_FUNCTIONS:
		return SPACE_FUNCTIONS;
	case TABLE_RECORDS:
		return SPACE_RECORDS;
	case TABLE_NONE:
		break;
	}
	return TAPE_G_NONE;
}

static bool entry_ambiguous(struct entry entry)
{
	switch ((enum table)entry.table) {
	case TABLE_CONSTANTS:
		return tape_constants[entry.row].state == TAPE_CONST_AMBIGUOUS;
	case TABLE_ATTRIBUTES:
		return tape_attributes[entry.row].state == TAPE_CONST_AMBIGUOUS;
	case TABLE_MECHANISMS:
		return tape_mechanisms[entry.row].state == TAPE_CONST_AMBIGUOUS;
	default:
		return false;
	}
}

/* FNV-1a, over the name space and the name. */
static size_t hash(unsigned space, const char *name, size_t length)
{
	uint32_t sum = (2166136261u ^ space) * 16777619u;

	for (size_t i = 0; i < length; i++)
		sum = (sum ^ (unsigned char)name[i]) * 16777619u;
	return sum ^ sum >> 15;
}

/* Find the slot that holds the name, or the free one where it belongs. */
static struct entry *find_slot(unsigned space, const char *name, size_t length)
{
	size_t i = hash(space, name, length) % SLOTS;

	while (slots[i].table != TABLE_NONE) {
		const struct tape_name *other = entry_name(slots[i]);

		if (other->length == length && entry_space(slots[i]) == space &&
		    memcmp(other->text, name, length) == 0)
			break;
		i = (i + 1) % SLOTS;
	}
	return &slots[i];
}

/* A name may have two rows: the one that can be read counts. */
static void add(enum table table, size_t row)
{
	const struct entry entry = { (uint16_t)table, (uint16_t)row };
	const struct tape_name *name = entry_name(entry);
	struct entry *slot = find_slot(entry_space(entry), name->text, name->length);

	if (slot->table == TABLE_NONE || (entry_ambiguous(*slot) && !entry_ambiguous(entry)))
		*slot = entry;
}

static void fill(void)
{
	assert(tape_constant_count + tape_attribute_count + tape_mechanism_count + TAPE_FN_COUNT +
	               TAPE_R_COUNT <=
	       SLOTS / 2);

	for (size_t i = 0; i < tape_constant_count; i++)
		add(TABLE_CONSTANTS, i);
	for (size_t i = 0; i < tape_attribute_count; i++)
		add(TABLE_ATTRIBUTES, i);
	for (size_t i = 0; i < tape_mechanism_count; i++)
		add(TABLE_MECHANISMS, i);
	for (size_t i = 0; i < TAPE_FN_COUNT; i++)
		add(TABLE_FUNCTIONS, i);
	for (size_t i = TAPE_R_NONE + 1; i < TAPE_R_COUNT; i++)
		add(TABLE_RECORDS, i);
}

static struct entry find(unsigned space, const char *name, size_t length)
{
	pthread_once(&filled, fill);
	return *find_slot(space, name, length);
}

bool tape_constant_value(enum tape_group group, const char *name, size_t length,
                         uint64_t *ret_value, const struct tape_constant **ret_row)
{
	const struct entry entry = find(group, name, length);

	if (ret_row)
		*ret_row = entry.table == TABLE_CONSTANTS ? &tape_constants[entry.row] : NULL;
	if (entry.table == TABLE_NONE || entry_ambiguous(entry))
		return false;

	if (entry.table == TABLE_ATTRIBUTES)
		*ret_value = tape_attributes[entry.row].value;
	else if (entry.table == TABLE_MECHANISMS)
		*ret_value = tape_mechanisms[entry.row].value;
	else
		*ret_value = tape_constants[entry.row].value;
	return true;
}

bool tape_attribute_value(const char *name, size_t length, uint64_t *ret_value, bool *ret_ambiguous)
{
	const struct entry entry = find(TAPE_G_CKA, name, length);

	if (ret_ambiguous)
		*ret_ambiguous = entry_ambiguous(entry);
	if (entry.table == TABLE_NONE || entry_ambiguous(entry))
		return false;
	*ret_value = tape_attributes[entry.row].value;
	return true;
}

enum tape_function_id tape_function_find(const char *name, size_t length)
{
	const struct entry entry = find(SPACE_FUNCTIONS, name, length);

	return entry.table == TABLE_NONE ? TAPE_FN_COUNT : (enum tape_function_id)entry.row;
}

unsigned int tape_entry_find(const char *name, size_t length)
{
	enum tape_function_id id = tape_function_find(name, length);

	if (id == TAPE_FN_COUNT || !tape_functions[id].finds)
		return 0;
	return tape_functions[id].major < 3 ? TAPE_ENTRY_LIST : TAPE_ENTRY_INTERFACES;
}

enum tape_record_id tape_record_find(const char *name, size_t length)
{
	const struct entry entry = find(SPACE_RECORDS, name, length);

	return entry.table == TABLE_NONE ? TAPE_R_NONE : (enum tape_record_id)entry.row;
}
