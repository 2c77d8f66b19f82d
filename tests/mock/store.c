/* SPDX-License-Identifier: MIT
 *
 * P11TAPE_MOCK=store=FILE: tokens that outlive the process. Read at the first C_Initialize, written at
 * C_Finalize, for one process at a time; in this machine's own layout.
 */
#include <stdio.h>
#include <string.h>

#include "tests/mock/mock.h"

static const char magic[8] = "mocktok";

/* ---- writing ------------------------------------------------------------------------------------ */

static void put_number(struct bytes *to, CK_ULONG number)
{
	bytes_add(to, &number, sizeof(number));
}

static void put_attributes(struct bytes *to, const struct attributes *set)
{
	put_number(to, set->count);
	for (size_t i = 0; i < set->count; i++) {
		const struct attribute *attribute = &set->list[i];

		put_number(to, attribute->type);
		put_number(to, attribute->nested != NULL);
		if (attribute->nested) {
			put_attributes(to, attribute->nested);
			continue;
		}
		put_number(to, attribute->length);
		bytes_add(to, attribute->value, attribute->length);
	}
}

static void put_slot(struct bytes *to, const struct slot *slot)
{
	CK_ULONG count = 0;

	put_number(to, slot->initialised);
	bytes_add(to, slot->label, sizeof(slot->label));
	bytes_add(to, &slot->so, sizeof(slot->so));
	bytes_add(to, &slot->user, sizeof(slot->user));
	put_number(to, slot->unique);
	put_number(to, slot->counter);
	for (const struct object *object = slot->objects; object; object = object->next)
		count += object->owner == 0;
	put_number(to, count);
	for (const struct object *object = slot->objects; object; object = object->next) {
		if (object->owner == 0)
			put_attributes(to, &object->attributes);
	}
}

void store_write(void)
{
	struct bytes all = { 0 };
	FILE *file;
	bool good;

	if (!mock_config.store[0])
		return;
	bytes_add(&all, magic, sizeof(magic));
	put_number(&all, mock.slot_count);
	for (CK_ULONG i = 0; i < mock.slot_count; i++)
		put_slot(&all, &mock.slots[i]);
	file = all.failed ? NULL : fopen(mock_config.store, "wb");
	good = file && fwrite(all.data, all.length, 1, file) == 1;
	if ((file && fclose(file) != 0) || !good)
		fprintf(stderr, "p11tape-mock: %s cannot be written\n", mock_config.store);
	bytes_done(&all);
}

/* ---- reading ------------------------------------------------------------------------------------- */

struct reader {
	const CK_BYTE *at;
	CK_ULONG left;
	bool failed; /* the file ended early */
};

static const CK_BYTE *take(struct reader *from, CK_ULONG length)
{
	const CK_BYTE *data = from->at;

	if (from->failed || from->left < length) {
		from->failed = true;
		return NULL;
	}
	from->at += length;
	from->left -= length;
	return data;
}

static void take_to(struct reader *from, void *to, size_t size)
{
	const CK_BYTE *data = take(from, size);

	if (data)
		memcpy(to, data, size);
}

static CK_ULONG take_number(struct reader *from)
{
	CK_ULONG number = 0;

	take_to(from, &number, sizeof(number));
	return number;
}

static void take_attributes(struct reader *from, struct attributes *set, bool outermost)
{
	CK_ULONG count = take_number(from);

	while (count-- > 0 && !from->failed) {
		CK_ATTRIBUTE_TYPE type = take_number(from);
		const CK_BYTE *value;
		CK_ULONG length;

		if (take_number(from)) {
			struct attributes nested = { 0 };

			/* A template in a template is not ours. */
			from->failed = from->failed || !outermost;
			take_attributes(from, &nested, false);
			attributes_put_nested(set, type, &nested);
			continue;
		}
		length = take_number(from);
		value = take(from, length);
		if (value)
			attributes_put(set, type, value, length);
	}
}

static void take_slot(struct reader *from, struct slot *slot)
{
	CK_ULONG count;

	slot->initialised = take_number(from);
	take_to(from, slot->label, sizeof(slot->label));
	take_to(from, &slot->so, sizeof(slot->so));
	take_to(from, &slot->user, sizeof(slot->user));
	slot->unique = take_number(from);
	slot->counter = take_number(from);
	if (slot->so.length > PIN_MAX || slot->user.length > PIN_MAX)
		from->failed = true;
	count = take_number(from);
	while (count-- > 0 && !from->failed) {
		struct attributes set = { 0 };

		take_attributes(from, &set, true);
		object_add(slot, &set);
	}
}

bool store_read(void)
{
	struct reader from = { 0 };
	struct bytes all = { 0 };
	const CK_BYTE *mark;
	CK_BYTE part[4096];
	FILE *file;
	size_t n;

	file = mock_config.store[0] ? fopen(mock_config.store, "rb") : NULL;
	if (!file)
		return true; /* not yet written */
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		bytes_add(&all, part, n);
	fclose(file);
	from = (struct reader){ all.data, all.length, all.failed };
	mark = take(&from, sizeof(magic));
	if (!mark || memcmp(mark, magic, sizeof(magic)) != 0 ||
	    take_number(&from) != mock.slot_count)
		from.failed = true;
	for (CK_ULONG i = 0; i < mock.slot_count && !from.failed; i++)
		take_slot(&from, &mock.slots[i]);
	if (from.failed)
		fprintf(stderr, "p11tape-mock: %s is not a store of %lu slots\n", mock_config.store,
		        mock.slot_count);
	bytes_done(&all);
	return !from.failed;
}
