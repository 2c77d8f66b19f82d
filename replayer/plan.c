/* SPDX-License-Identifier: MIT */
#include "replayer/plan.h"

#include <string.h>

#include "core/answer.h"
#include "core/system.h"

enum check_kind {
	CHECK_EQUAL,     /* the word is `number` */
	CHECK_NULL,      /* the word is NULL */
	CHECK_SET,       /* the word is some pointer */
	CHECK_BYTES,     /* the word points to these bytes */
	CHECK_ROOM,      /* the word points to a CK_ULONG that is `number` */
	CHECK_TEMPLATE,  /* the word points to these attributes, with these values */
	CHECK_READS,     /* the word points to these attributes, with these rooms */
	CHECK_MECHANISM, /* the word points to this mechanism, with these parameter bytes */
};

struct entry {
	CK_ATTRIBUTE_TYPE type;
	CK_ULONG length;
	const void *data; /* READS: NULL asks for the length */
};

struct plan_check {
	uint8_t kind, word;
	uint32_t count;
	uint64_t number;
	size_t size;
	const void *data;
};

enum write_kind {
	WRITE_BYTES, /* to where the word points, `offset` bytes on */
	WRITE_EIGHTS, /* the same, a few times eight bytes: cheaper by hand than a call of memcpy() */
	WRITE_ULONG, /* to where the word points */
	WRITE_ATTRIBUTE, /* entry `offset` of the template that the word points to: its length, its value */
};

struct plan_write {
	uint8_t kind, word;
	uint32_t offset;
	CK_ULONG number;
	size_t size;
	const void *data;
};

#define MAX_EIGHTS 64
#define MAX_PARAMETER 64
#define MAX_CHECKS 24
#define MAX_WRITES 64

struct maker {
	struct tape_arena *arena;
	struct plan_check checks[MAX_CHECKS];
	struct plan_write writes[MAX_WRITES];
	size_t check_count, write_count;
	bool general; /* something has no plan */
};

static struct plan_check *check(struct maker *maker, enum check_kind kind, unsigned int word)
{
	if (maker->check_count == MAX_CHECKS) {
		maker->general = true;
		return &maker->checks[0];
	}
	struct plan_check *new_check = &maker->checks[maker->check_count++];
	memset(new_check, 0, sizeof(*new_check));
	new_check->kind = (uint8_t)kind;
	new_check->word = (uint8_t)word;
	return new_check;
}

static void check_equal(struct maker *maker, unsigned int word, uint64_t number)
{
	check(maker, CHECK_EQUAL, word)->number = number;
}

static struct plan_write *write_to(struct maker *maker, enum write_kind kind, unsigned int word)
{
	if (maker->write_count == MAX_WRITES) {
		maker->general = true;
		return &maker->writes[0];
	}
	struct plan_write *new_write = &maker->writes[maker->write_count++];
	memset(new_write, 0, sizeof(*new_write));
	new_write->kind = (uint8_t)kind;
	new_write->word = (uint8_t)word;
	return new_write;
}

static void write_bytes(struct maker *maker, unsigned int word, size_t offset, const void *data,
                        size_t size)
{
	if (size == 0)
		return;
	bool eights = size % 8 == 0 && size <= MAX_EIGHTS;
	struct plan_write *w = write_to(maker, eights ? WRITE_EIGHTS : WRITE_BYTES, word);
	w->offset = (uint32_t)offset;
	w->data = data;
	w->size = size;
}

static void write_ulong(struct maker *maker, unsigned int word, uint64_t number)
{
	write_to(maker, WRITE_ULONG, word)->number = (CK_ULONG)number;
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static void plan_bytes(struct maker *maker, const struct tape_value *in, unsigned int word,
                       bool any)
{
	if (in->form == TAPE_V_LENGTH) {
		check(maker, CHECK_NULL, word);
		check_equal(maker, word + 1, in->number);
	} else if (in->form == TAPE_V_NULL || (in->form == TAPE_V_BYTES && in->length == 0)) {
		/* The pointer under length 0 is chance. */
		check_equal(maker, word + 1, 0);
	} else if (in->form == TAPE_V_BYTES) {
		check_equal(maker, word + 1, in->length);
		struct plan_check *c = check(maker, any ? CHECK_SET : CHECK_BYTES, word);
		c->data = in->data;
		c->size = in->length;
	} else {
		maker->general = true;
	}
}

static void plan_template(struct maker *maker, const struct tape_value *in, unsigned int word,
                          bool reading)
{
	if (in->form != TAPE_V_LIST || in->count == 0) {
		maker->general = true;
		return;
	}
	struct entry *entries = tape_arena_array(maker->arena, in->count, sizeof(*entries));
	if (entries == NULL) {
		maker->general = true;
		return;
	}
	for (size_t i = 0; i < in->count; i++) {
		const struct tape_value *value = tape_value_child(in, i);
		entries[i].type = (CK_ATTRIBUTE_TYPE)value->tag;
		entries[i].data = reading ? "" : value->data;
		entries[i].length = (CK_ULONG)(reading ? value->number : value->length);
		if (reading && value->form == TAPE_V_QUERY)
			entries[i].data = NULL;
		else if (value->form != (reading ? TAPE_V_ROOM : TAPE_V_BYTES) &&
		         (reading || value->form != TAPE_V_NULL))
			maker->general = true;
	}
	check(maker, CHECK_SET, word);
	check_equal(maker, word + 1, in->count);
	struct plan_check *c = check(maker, reading ? CHECK_READS : CHECK_TEMPLATE, word);
	c->data = entries;
	c->count = in->count;
}

static void plan_mechanism(struct maker *maker, const struct tape_value *in,
                           const struct tape_value *out, unsigned int word)
{
	if (in->form == TAPE_V_NULL) {
		check(maker, CHECK_NULL, word);
		return;
	}
	if (in->form != TAPE_V_MECHANISM || out->form != TAPE_V_ABSENT) {
		maker->general = true;
		return;
	}
	const struct tape_value *parameter = tape_value_child(in, 0);
	check(maker, CHECK_SET, word);
	struct plan_check *c = check(maker, CHECK_MECHANISM, word);
	c->number = in->tag;
	if (parameter->form == TAPE_V_BYTES && parameter->length <= MAX_PARAMETER) {
		c->data = parameter->data;
		c->size = parameter->length;
	} else if (parameter->form != TAPE_V_NULL) {
		maker->general = true;
	}
}

/* An output buffer: which of its pointers are NULL, and its room. */
static void plan_buffer(struct maker *maker, const struct tape_value *in, unsigned int word,
                        unsigned int length_word)
{
	bool buffer = in->form == TAPE_V_ROOM || in->form == TAPE_V_UNSTATED;
	bool length = in->form == TAPE_V_ROOM || in->form == TAPE_V_QUERY;
	if (!buffer && !length && in->form != TAPE_V_NULL) {
		maker->general = true;
		return;
	}
	check(maker, buffer ? CHECK_SET : CHECK_NULL, word);
	check(maker, length ? CHECK_SET : CHECK_NULL, length_word);
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void plan_template_out(struct maker *maker, const struct tape_value *in,
                              const struct tape_value *out, unsigned int word)
{
	if (out->form == TAPE_V_ABSENT)
		return;
	if (out->form != TAPE_V_LIST || in->form != TAPE_V_LIST || in->count != out->count) {
		maker->general = true;
		return;
	}
	for (size_t i = 0; i < out->count; i++) {
		const struct tape_value *value = tape_value_child(out, i);
		const struct tape_value *room = tape_value_child(in, i);
		if (value->form == TAPE_V_SAME)
			continue;
		struct plan_write *w = write_to(maker, WRITE_ATTRIBUTE, word);
		w->offset = (uint32_t)i;
		if (value->form == TAPE_V_LENGTH) {
			w->number = (CK_ULONG)value->number;
		} else if (value->form == TAPE_V_BYTES && !value->stated &&
		           room->form == TAPE_V_ROOM && value->length <= room->number) {
			w->number = (CK_ULONG)value->length;
			w->data = value->data;
			w->size = value->length;
		} else {
			maker->general = true;
		}
	}
}

/* Let the general way fill an image, and copy the fields that it wrote. */
static void plan_struct_out(struct maker *maker, const struct tape_value *out, unsigned int word)
{
	if (out->form == TAPE_V_ABSENT)
		return;
	if (out->form != TAPE_V_RECORD) {
		maker->general = true;
		return;
	}
	const struct tape_record *record = &tape_records[out->record];
	unsigned char *image = tape_arena_get(maker->arena, record->size);
	if (image == NULL) {
		maker->general = true;
		return;
	}
	tape_answer_record(image, out);
	size_t begin = 0;
	size_t end = 0;
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		if (tape_value_child(out, i)->form == TAPE_V_ABSENT)
			continue;
		if (field->offset != end) {
			write_bytes(maker, word, begin, image + begin, end - begin);
			begin = field->offset;
		}
		end = (size_t)field->offset + field->size;
	}
	write_bytes(maker, word, begin, image + begin, end - begin);
}

static void plan_bytes_out(struct maker *maker, const struct tape_value *in,
                           const struct tape_value *out, unsigned int word)
{
	if (out->form == TAPE_V_LENGTH) {
		write_ulong(maker, word + 1, out->number);
	} else if (out->form == TAPE_V_BYTES && in->form == TAPE_V_ROOM &&
	           out->length <= in->number) {
		write_bytes(maker, word, 0, out->data, out->length);
		write_ulong(maker, word + 1, out->stated ? out->number : out->length);
	} else if (out->form != TAPE_V_ABSENT) {
		maker->general = true;
	}
}

static void plan_list_out(struct maker *maker, const struct tape_value *in,
                          const struct tape_value *out, unsigned int word, unsigned int count_word)
{
	if (out->form == TAPE_V_ABSENT)
		return;
	if (out->form == TAPE_V_LENGTH) {
		write_ulong(maker, count_word, out->number);
		return;
	}
	if (out->form != TAPE_V_LIST || in->form != TAPE_V_ROOM || out->count > in->number) {
		maker->general = true;
		return;
	}
	CK_ULONG *list = tape_arena_array(maker->arena, out->count, sizeof(*list));
	if (list == NULL) {
		maker->general = true;
		return;
	}
	for (size_t i = 0; i < out->count; i++)
		list[i] = (CK_ULONG)tape_value_child(out, i)->number;
	write_bytes(maker, word, 0, list, out->count * sizeof(*list));
	write_ulong(maker, count_word, out->stated ? out->number : out->count);
}

/* ---- a call ---------------------------------------------------------------------------------- */

static void plan_argument(struct maker *maker, const struct tape_argument *argument,
                          const struct tape_value *in, const struct tape_value *out)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	unsigned int word = argument->word;
	bool reading = (shape->traits & TAPE_T_OUT) != 0;
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
	case TAPE_C_CONSTANT:
	case TAPE_C_FLAGS:
	case TAPE_C_BOOLEAN:
		check_equal(maker, word, in->number);
		break;
	case TAPE_C_PRESENCE:
	case TAPE_C_CALLBACK:
		if ((shape->traits & TAPE_T_ANY) == 0)
			check(maker, in->form == TAPE_V_NULL ? CHECK_NULL : CHECK_SET, word);
		break;
	case TAPE_C_BYTES:
		plan_bytes(maker, in, word, (shape->traits & TAPE_T_ANY) != 0);
		break;
	case TAPE_C_TEMPLATE:
		plan_template(maker, in, word, reading);
		plan_template_out(maker, in, out, word);
		break;
	case TAPE_C_MECHANISM:
		plan_mechanism(maker, in, out, word);
		break;
	case TAPE_C_NUMBER_AT:
		check(maker, in->form == TAPE_V_NULL ? CHECK_NULL : CHECK_SET, word);
		if (out->form == TAPE_V_NUMBER)
			write_ulong(maker, word, out->number);
		break;
	case TAPE_C_STRUCT:
		if (!reading || shape->detail == TAPE_R_CK_ASYNC_DATA) {
			maker->general = true;
			break;
		}
		check(maker, in->form == TAPE_V_NULL ? CHECK_NULL : CHECK_SET, word);
		plan_struct_out(maker, out, word);
		break;
	case TAPE_C_BYTES_AT:
		plan_buffer(maker, in, word, word + 1);
		if (in->form == TAPE_V_ROOM)
			check(maker, CHECK_ROOM, word + 1)->number = in->number;
		plan_bytes_out(maker, in, out, word);
		break;
	case TAPE_C_LIST_AT:
		plan_buffer(maker, in, word, word + 1);
		if (in->form == TAPE_V_ROOM)
			check(maker, CHECK_ROOM, word + 1)->number = in->number;
		plan_list_out(maker, in, out, word, word + 1);
		break;
	case TAPE_C_FOUND:
		if (in->form != TAPE_V_ROOM) {
			maker->general = true;
			break;
		}
		check(maker, CHECK_SET, word);
		check_equal(maker, word + 1, in->number);
		check(maker, CHECK_SET, word + 2);
		plan_list_out(maker, in, out, word, word + 2);
		break;
	case TAPE_C_FILL:
		if (in->form != TAPE_V_ROOM ||
		    (out->form != TAPE_V_BYTES && out->form != TAPE_V_ABSENT) ||
		    (out->form == TAPE_V_BYTES && out->length > in->number)) {
			maker->general = true;
			break;
		}
		check(maker, CHECK_SET, word);
		check_equal(maker, word + 1, in->number);
		if (out->form == TAPE_V_BYTES)
			write_bytes(maker, word, 0, out->data, out->length);
		break;
	default:
		maker->general = true;
		break;
	}
}

void plan_make(struct plan *plan, struct tape_arena *arena, const struct tape_function *function,
               const struct tape_value *in, const struct tape_value *out)
{
	struct maker maker;
	maker.arena = arena;
	maker.check_count = maker.write_count = 0;
	maker.general = false;
	plan_clear(plan);
	for (size_t i = 0; i < function->count && !maker.general; i++)
		plan_argument(&maker, &function->arguments[i], &in[i], &out[i]);
	if (maker.general || maker.check_count == 0)
		return;
	struct plan_check *checks = tape_arena_array(arena, maker.check_count, sizeof(*checks));
	struct plan_write *writes = tape_arena_array(arena, maker.write_count, sizeof(*writes));
	if (checks == NULL || writes == NULL)
		return;
	memcpy(checks, maker.checks, maker.check_count * sizeof(*checks));
	memcpy(writes, maker.writes, maker.write_count * sizeof(*writes));
	plan->checks = checks;
	plan->writes = writes;
	plan->check_count = (uint16_t)maker.check_count;
	plan->write_count = (uint16_t)maker.write_count;
}

/* ---- serving --------------------------------------------------------------------------------- */

static bool same_template(const struct plan_check *c, const CK_ATTRIBUTE *attributes)
{
	const struct entry *entries = c->data;
	for (size_t i = 0; i < c->count; i++) {
		const CK_ATTRIBUTE *a = &attributes[i];
		if (a->type != entries[i].type || a->ulValueLen != entries[i].length)
			return false;
		if (a->ulValueLen != 0 &&
		    (a->pValue == NULL || memcmp(a->pValue, entries[i].data, a->ulValueLen) != 0))
			return false;
	}
	return true;
}

static bool same_reads(const struct plan_check *c, const CK_ATTRIBUTE *attributes)
{
	const struct entry *entries = c->data;
	for (size_t i = 0; i < c->count; i++) {
		const CK_ATTRIBUTE *a = &attributes[i];
		if (a->type != entries[i].type ||
		    (a->pValue == NULL) != (entries[i].data == NULL) ||
		    (a->pValue != NULL && a->ulValueLen != entries[i].length))
			return false;
	}
	return true;
}

static bool same_mechanism(const struct plan_check *c, const CK_MECHANISM *m)
{
	if (m->mechanism != c->number)
		return false;
	if (c->size == 0)
		return m->ulParameterLen == 0;
	/* An uninitialised CK_MECHANISM is nothing rare: what it points to may be anywhere. */
	unsigned char parameter[MAX_PARAMETER];
	return m->ulParameterLen == c->size && tape_peek(parameter, m->pParameter, c->size) &&
	       memcmp(parameter, c->data, c->size) == 0;
}

bool plan_equals(const struct plan *plan, const uintptr_t *words)
{
	if (plan->checks == NULL)
		return false;
	for (const struct plan_check *c = plan->checks, *end = c + plan->check_count; c < end;
	     c++) {
		uintptr_t word = words[c->word];
		bool same = false;
		switch ((enum check_kind)c->kind) {
		case CHECK_EQUAL:
			same = word == c->number;
			break;
		case CHECK_NULL:
			same = word == 0;
			break;
		case CHECK_SET:
			same = word != 0;
			break;
		case CHECK_BYTES:
			same = word != 0 && memcmp((const void *)word, c->data, c->size) == 0;
			break;
		case CHECK_ROOM:
			same = *(const CK_ULONG *)word == c->number;
			break;
		case CHECK_TEMPLATE:
			same = same_template(c, (const CK_ATTRIBUTE *)word);
			break;
		case CHECK_READS:
			same = same_reads(c, (const CK_ATTRIBUTE *)word);
			break;
		case CHECK_MECHANISM:
			same = same_mechanism(c, (const CK_MECHANISM *)word);
			break;
		}
		if (!same)
			return false;
	}
	return true;
}

void plan_answer(const struct plan *plan, const uintptr_t *words)
{
	for (const struct plan_write *w = plan->writes, *end = w + plan->write_count; w < end;
	     w++) {
		uintptr_t word = words[w->word];
		switch ((enum write_kind)w->kind) {
		case WRITE_BYTES:
			memcpy((char *)word + w->offset, w->data, w->size);
			break;
		case WRITE_EIGHTS:
			for (size_t i = 0; i < w->size; i += 8)
				memcpy((char *)word + w->offset + i, (const char *)w->data + i, 8);
			break;
		case WRITE_ULONG:
			*(CK_ULONG *)word = w->number;
			break;
		case WRITE_ATTRIBUTE: {
			CK_ATTRIBUTE *a = (CK_ATTRIBUTE *)word + w->offset;
			if (w->size != 0)
				memcpy(a->pValue, w->data, w->size);
			a->ulValueLen = w->number;
			break;
		}
		}
	}
}
