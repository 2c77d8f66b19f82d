/* SPDX-License-Identifier: MIT */
#include "core/capture.h"

#include <string.h>

#include "core/buf.h"
#include "core/system.h"

/* Beyond this a length is doubted: the memory is probed before it is read. */
#define TRUSTED_BYTES ((size_t)64 * 1024)

/* Pages are at least this large. */
#define PAGE_BYTES ((size_t)4096)

/* Rooms up to this are copied before the call, to see whether a failing call wrote to them. */
#define SNAPSHOT_BYTES ((size_t)1024 * 1024)

/* How much reserved or name text is looked at. */
#define MAX_TEXT ((size_t)64 * 1024)

static void set(struct tape_value *value, enum tape_form form)
{
	memset(value, 0, sizeof(*value));
	value->form = (uint8_t)form;
}

static void set_number(struct tape_value *value, uint64_t number)
{
	set(value, TAPE_V_NUMBER);
	value->number = number;
}

static void set_length(struct tape_value *value, uint64_t number)
{
	set(value, TAPE_V_LENGTH);
	value->number = number;
}

static void set_bytes(struct tape_value *value, const void *data, size_t length)
{
	set(value, TAPE_V_BYTES);
	value->data = data;
	value->length = length;
}

static void set_lost(struct tape_capture *capture, struct tape_value *value, const char *why)
{
	set(value, TAPE_V_LOST);
	value->data = why;
	value->length = strlen(why);
	capture->lost = true;
}

static CK_ULONG ulong_at(const void *from)
{
	CK_ULONG number;
	memcpy(&number, from, sizeof(number));
	return number;
}

static void *pointer_at(const void *from)
{
	void *pointer;
	memcpy(&pointer, from, sizeof(pointer));
	return pointer;
}

static struct tape_value *children(struct tape_capture *capture, struct tape_value *value,
                                   size_t count)
{
	struct tape_value *list = count > TAPE_MAX_ELEMENTS
	                                  ? NULL
	                                  : tape_arena_get(capture->arena, count * sizeof(*list));
	if (list == NULL) {
		set_lost(capture, value, "out of memory");
		return NULL;
	}
	value->data = list;
	value->count = (uint32_t)count;
	return list;
}

/* ---- byte strings that the caller vouches for ------------------------------------------------ */

/* A length that a caller gave with a pointer: NULL, empty, or bytes (probed when they are many). */
static void capture_bytes(struct tape_capture *capture, struct tape_value *value, const void *data,
                          CK_ULONG length)
{
	if (data == NULL) {
		if (length == 0)
			set(value, TAPE_V_NULL);
		else
			set_length(value, length);
	} else if (length > TAPE_MAX_BYTES) {
		set_lost(capture, value, "too long");
	} else if (length > TRUSTED_BYTES && !tape_readable(data, length)) {
		set_lost(capture, value, "unreadable");
	} else {
		set_bytes(value, data, length);
		/* The pointer is only compared with output buffers, to notice in-place calls. */
		value->memory = (void *)(uintptr_t)data;
	}
}

/* A byte string behind a pointer inside a structure: copied, and never trusted. */
static void capture_far_bytes(struct tape_capture *capture, struct tape_value *value,
                              const void *data, CK_ULONG length)
{
	if (data == NULL || length == 0 || length > TAPE_MAX_BYTES) {
		capture_bytes(capture, value, data, length);
		return;
	}
	if (length > TRUSTED_BYTES && !tape_readable(data, length)) {
		set_lost(capture, value, "unreadable");
		return;
	}
	void *copy = tape_arena_get(capture->arena, length);
	if (copy == NULL)
		set_lost(capture, value, "out of memory");
	else if (!tape_peek(copy, data, length))
		set_lost(capture, value, "unreadable");
	else
		set_bytes(value, copy, length);
}

static inline bool redacts(const struct tape_capture *capture, enum tape_secrecy secrecy)
{
	return TAPE_UNLIKELY((capture->redact & 1u << secrecy) != 0);
}

/* Put a name in the place of contents, if the policy says so. Where they lie, and what they are of, stays. */
static void redact(struct tape_capture *capture, struct tape_value *value,
                   enum tape_secrecy secrecy)
{
	if (!redacts(capture, secrecy) ||
	    (value->form != TAPE_V_BYTES && value->form != TAPE_V_RAW) || value->length == 0)
		return;
	const char *name = tape_secret_name(capture->secrets, secrecy, value->data, value->length,
	                                    capture->arena);
	if (name == NULL) {
		uint64_t tag = value->tag;
		set_lost(capture, value, "out of memory");
		value->tag = tag;
		return;
	}
	value->form = TAPE_V_SECRET;
	if (!value->stated)
		value->number = value->length;
	/* The length of a PIN is not told. */
	value->stated = secrecy != TAPE_S_PIN;
	value->data = name;
	value->length = strlen(name);
}

/* How many bytes an input had that may have been redacted. */
static size_t size_of(const struct tape_value *in)
{
	return in->form == TAPE_V_ROOM || in->form == TAPE_V_SECRET ? (size_t)in->number
	                                                            : in->length;
}

static void capture_textz(struct tape_capture *capture, struct tape_value *value, const char *text)
{
	size_t length;
	if (text == NULL)
		set(value, TAPE_V_NULL);
	else if (tape_peek_length(text, MAX_TEXT, &length))
		capture_far_bytes(capture, value, text, length);
	else
		set_lost(capture, value, "unreadable");
}

/* ---- templates ------------------------------------------------------------------------------- */

static bool is_template(CK_ATTRIBUTE_TYPE type)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	return row != NULL && row->type == TAPE_A_TEMPLATE;
}

static void capture_template(struct tape_capture *capture, struct tape_value *value,
                             const CK_ATTRIBUTE *attributes, CK_ULONG count, bool reading,
                             uint64_t class, unsigned int depth);

uint64_t tape_template_class(const struct tape_value *list, const struct tape_value *asked)
{
	uint64_t class = TAPE_CLASS_UNKNOWN;
	for (size_t i = 0; i < list->count; i++) {
		const struct tape_value *entry = tape_value_child(list, i);
		if (entry->tag != CKA_CLASS || entry->form != TAPE_V_BYTES ||
		    (asked != NULL && tape_value_child(asked, i)->before == NULL))
			continue;
		if (entry->length != sizeof(CK_OBJECT_CLASS))
			return TAPE_CLASS_UNKNOWN;
		uint64_t said = ulong_at(entry->data);
		if (class != TAPE_CLASS_UNKNOWN && class != said)
			return TAPE_CLASS_UNKNOWN;
		class = said;
	}
	return class;
}

/* Attribute types without a row may be anything, key material too. */
static enum tape_secrecy attribute_secrecy(uint64_t type, uint64_t class)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	enum tape_secrecy secrecy = row == NULL ? TAPE_S_SECRET : (enum tape_secrecy)row->secrecy;
	return secrecy != TAPE_S_BY_CLASS    ? secrecy
	       : class == TAPE_CLASS_UNKNOWN ? TAPE_S_SECRET
	                                     : tape_class_secrecy(class);
}

/* Redact the contents in a template. `class` is what is known of the object, unless the template says it. */
static void redact_template(struct tape_capture *capture, struct tape_value *value,
                            const struct tape_value *asked, uint64_t class)
{
	struct tape_value *list = (struct tape_value *)(uintptr_t)value->data;
	uint64_t said = tape_template_class(value, asked);
	if (said != TAPE_CLASS_UNKNOWN)
		class = said;
	for (size_t i = 0; i < value->count; i++) {
		/* Bytes where a template should be may be anything. */
		enum tape_secrecy secrecy = list[i].form == TAPE_V_RAW
		                                    ? TAPE_S_SECRET
		                                    : attribute_secrecy(list[i].tag, class);
		redact(capture, &list[i], secrecy);
	}
}

/*
 * A caller may say that it has more room than it has. What begins in a page can be read to its end;
 * beyond that nobody vouches for anything before the module has written there.
 */
static bool stays_in_page(const void *memory, size_t size)
{
	return ((uintptr_t)memory & (PAGE_BYTES - 1)) + size <= PAGE_BYTES;
}

static void keep_before(struct tape_capture *capture, struct tape_value *value, void *memory,
                        size_t size)
{
	value->memory = memory;
	value->before = NULL;
	if (!capture->snapshot || size == 0 || size > SNAPSHOT_BYTES)
		return;
	void *copy = tape_arena_get(capture->arena, size);
	if (copy == NULL)
		return;
	if (stays_in_page(memory, size))
		memcpy(copy, memory, size);
	else if (!tape_peek(copy, memory, size))
		return;
	value->before = copy;
}

static void capture_entry(struct tape_capture *capture, struct tape_value *value,
                          const CK_ATTRIBUTE *attribute, bool reading, unsigned int depth)
{
	CK_ATTRIBUTE a = *attribute;
	bool nested = is_template(a.type) && a.pValue != NULL;

	if (nested && a.ulValueLen % sizeof(CK_ATTRIBUTE) == 0 && depth < TAPE_MAX_DEPTH) {
		capture_template(capture, value, a.pValue, a.ulValueLen / sizeof(CK_ATTRIBUTE),
		                 reading, TAPE_CLASS_UNKNOWN, depth + 1);
		value->number = a.ulValueLen;
		value->memory = a.pValue;
	} else if (reading && a.pValue == NULL) {
		set(value, TAPE_V_QUERY);
		/* What stands in the length of a query is chance: kept only to see whether it changes. */
		value->length = a.ulValueLen;
	} else if (reading && depth > 1 && !tape_readable(a.pValue, a.ulValueLen)) {
		set_lost(capture, value, "unreadable");
	} else if (reading) {
		set(value, TAPE_V_ROOM);
		value->number = a.ulValueLen;
		keep_before(capture, value, a.pValue, a.ulValueLen);
	} else {
		/* Whether the module follows a pointer out of an array in an array nobody knows. */
		if (depth > 1)
			capture_far_bytes(capture, value, a.pValue, a.ulValueLen);
		else
			capture_bytes(capture, value, a.pValue, a.ulValueLen);
		if (nested && value->form == TAPE_V_BYTES)
			value->form = TAPE_V_RAW;
	}
	value->tag = a.type;
}

static void capture_template(struct tape_capture *capture, struct tape_value *value,
                             const CK_ATTRIBUTE *attributes, CK_ULONG count, bool reading,
                             uint64_t class, unsigned int depth)
{
	if (attributes == NULL) {
		if (count == 0)
			set(value, TAPE_V_NULL);
		else
			set_length(value, count);
		return;
	}
	set(value, TAPE_V_LIST);
	if (count > TAPE_MAX_ELEMENTS) {
		set_lost(capture, value, "too many attributes");
		return;
	}
	if ((depth > 1 || count * sizeof(*attributes) > TRUSTED_BYTES) &&
	    !tape_readable(attributes, count * sizeof(*attributes))) {
		set_lost(capture, value, "unreadable");
		return;
	}
	struct tape_value *list = children(capture, value, count);
	if (list == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		capture_entry(capture, &list[i], &attributes[i], reading, depth);
	if (!reading && redacts(capture, TAPE_S_SECRET))
		redact_template(capture, value, NULL, class);
	if (!reading || depth == 1)
		return;
	/* The module says the types of a nested template: what stands there is only to see a change. */
	for (size_t i = 0; i < count; i++)
		list[i].tag = TAPE_TAG_ANY;
	if (!capture->snapshot)
		return;
	void *copy = tape_arena_get(capture->arena, count * sizeof(*attributes));
	if (copy != NULL)
		memcpy(copy, attributes, count * sizeof(*attributes));
	value->before = copy;
}

static bool capture_template_out(struct tape_capture *capture, struct tape_value *value,
                                 const CK_ATTRIBUTE *attributes, size_t count,
                                 const struct tape_value *in, bool good, uint64_t class,
                                 unsigned int depth);

/*
 * One entry of a template that was read. PKCS#11 3.1 §5.7.5: on CKR_ATTRIBUTE_SENSITIVE,
 * CKR_ATTRIBUTE_TYPE_INVALID and CKR_BUFFER_TOO_SMALL the other entries are filled in all the same, and
 * proxies are known to lose them: what counts is what changed. Returns whether it differs from SAME.
 */
static bool capture_entry_out(struct tape_capture *capture, struct tape_value *value,
                              const CK_ATTRIBUTE *attribute, const struct tape_value *in, bool good,
                              unsigned int depth)
{
	CK_ULONG length = attribute->ulValueLen;
	if (in->form == TAPE_V_QUERY) {
		if (!good && length == in->length)
			set(value, TAPE_V_SAME);
		else
			set_length(value, length);
	} else if (in->form == TAPE_V_LIST) {
		set(value, TAPE_V_LIST);
		if (length == CK_UNAVAILABLE_INFORMATION || length > in->number ||
		    length % sizeof(CK_ATTRIBUTE) != 0) {
			set_length(value, length);
		} else {
			bool changed = capture_template_out(capture, value, in->memory,
			                                    length / sizeof(CK_ATTRIBUTE), in, good,
			                                    TAPE_CLASS_UNKNOWN, depth + 1);
			if (!changed && !good && length == in->number)
				set(value, TAPE_V_SAME);
		}
	} else if (in->form != TAPE_V_ROOM) {
		set(value, TAPE_V_SAME);
	} else if (length == CK_UNAVAILABLE_INFORMATION || length > in->number) {
		if (!good && length == in->number)
			set(value, TAPE_V_SAME);
		else
			set_length(value, length);
	} else if (!good && (in->before == NULL ? length == in->number
	                                        : memcmp(in->before, in->memory, length) == 0)) {
		if (length == in->number)
			set(value, TAPE_V_SAME);
		else
			set_length(value, length);
	} else if (length > TAPE_MAX_BYTES ||
	           (length > TRUSTED_BYTES && !tape_readable(in->memory, length))) {
		set_lost(capture, value, "unreadable");
	} else {
		set_bytes(value, in->memory, length);
	}
	value->tag = in->tag;
	return value->form != TAPE_V_SAME;
}

static bool capture_template_out(struct tape_capture *capture, struct tape_value *value,
                                 const CK_ATTRIBUTE *attributes, size_t count,
                                 const struct tape_value *in, bool good, uint64_t class,
                                 unsigned int depth)
{
	bool changed = good;
	set(value, TAPE_V_LIST);
	struct tape_value *list = children(capture, value, count);
	if (list == NULL)
		return true;
	for (size_t i = 0; i < count; i++) {
		bool differs = capture_entry_out(capture, &list[i], &attributes[i],
		                                 tape_value_child(in, i), good, depth);
		if (depth > 1) {
			const CK_ATTRIBUTE *before = in->before;
			differs |= good || before == NULL || before[i].type != attributes[i].type;
			list[i].tag = differs ? attributes[i].type : TAPE_TAG_ANY;
		}
		changed |= differs;
	}
	if (redacts(capture, TAPE_S_SECRET))
		redact_template(capture, value, good ? NULL : in, class);
	return changed;
}

/* ---- structures ------------------------------------------------------------------------------ */

struct place {
	const unsigned char *image; /* a copy that can be read */
	unsigned char *memory;      /* where it really lies */
	enum tape_record_id record;
	const struct place *parent;
	enum tape_direction rule; /* IN and OUT hold for all of it, INOUT leaves it to the fields */
};

static void capture_mechanism(struct tape_capture *capture, struct tape_value *value,
                              const CK_MECHANISM *mechanism, unsigned int traits,
                              unsigned int depth);
static void capture_record(struct tape_capture *capture, struct tape_value *value,
                           const struct place *place, unsigned int traits, unsigned int depth);

static enum tape_direction direction_of(const struct place *place, const struct tape_field *field,
                                        unsigned int traits)
{
	if (place->rule == TAPE_D_IN || place->rule == TAPE_D_OUT)
		return place->rule;
	if (field->direction == TAPE_D_SEAL)
		return (traits & TAPE_T_SEAL) != 0 ? TAPE_D_OUT : TAPE_D_IN;
	return (enum tape_direction)field->direction;
}

/* How many conditions the fields of each record have: of most, none. */
static const uint8_t condition_counts[TAPE_R_COUNT] = {
#define RECORD(record, major, minor) [TAPE_R_##record] = 0
#define FIELD(record, member, kind, dir, extent, detail)
#define ONLY_IF(record, member, selector, value) +1
#define END(record) ,
#include "core/api/records.def"
#undef RECORD
#undef FIELD
#undef ONLY_IF
#undef END
};

/* Say whether a field counts, given the fields that may disable it. */
static bool field_applies(const struct place *place, const struct tape_field *field)
{
	if (TAPE_LIKELY(condition_counts[place->record] == 0))
		return true;
	for (size_t i = 0; i < tape_condition_count; i++) {
		const struct tape_condition *c = &tape_conditions[i];
		if (c->record != place->record || c->offset != field->offset)
			continue;
		uint64_t now = c->selector_size == 1 ? place->image[c->selector]
		                                     : ulong_at(place->image + c->selector);
		if (now != c->value)
			return false;
	}
	return true;
}

/* The bits that the structure around this one says an IV has (CK_SSL3_KEY_MAT_PARAMS and kin). */
static CK_ULONG parent_iv_bits(const struct place *place)
{
	static const char name[] = "ulIVSizeInBits";
	if (place->parent == NULL)
		return 0;
	const struct tape_record *record = &tape_records[place->parent->record];
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		if (field->name.length == sizeof(name) - 1 &&
		    memcmp(field->name.text, name, sizeof(name) - 1) == 0)
			return ulong_at(place->parent->image + field->offset);
	}
	return 0;
}

/* How many bytes (or elements) a pointer field covers. Returns false if that cannot be read. */
static bool extent_of(const struct place *place, const struct tape_field *field,
                      CK_ULONG *ret_length)
{
	switch (field->kind) {
	case TAPE_F_P_BYTES:
	case TAPE_F_P_SECRET:
	case TAPE_F_P_VARIANT:
	case TAPE_F_P_STRUCTS:
	case TAPE_F_P_TEMPLATE:
		*ret_length = ulong_at(place->image + field->extent);
		return true;
	case TAPE_F_P_BITS: {
		CK_ULONG bits = ulong_at(place->image + field->extent);
		*ret_length = bits / 8 + (bits % 8 != 0);
		return true;
	}
	case TAPE_F_P_SIZED:
		*ret_length = field->detail;
		return true;
	case TAPE_F_P_PARENT_BITS: {
		CK_ULONG bits = parent_iv_bits(place);
		*ret_length = bits / 8 + (bits % 8 != 0);
		return true;
	}
	case TAPE_F_P_BYTES_AT:
	case TAPE_F_P_SECRET_AT: {
		const void *at = pointer_at(place->image + field->extent);
		*ret_length = 0;
		return at == NULL || tape_peek(ret_length, at, sizeof(*ret_length));
	}
	default:
		*ret_length = 0;
		return true;
	}
}

/* What the bytes behind a pointer are. */
static enum tape_secrecy field_secrecy(const struct place *place, const struct tape_field *field)
{
	switch (field->kind) {
	case TAPE_F_P_SECRET:
	case TAPE_F_P_SECRET_AT:
		return TAPE_S_PIN;
	case TAPE_F_P_VARIANT:
		return field->detail != 0 && ulong_at(place->image) == field->detail ? TAPE_S_PIN
		                                                                     : TAPE_S_PLAIN;
	case TAPE_F_P_BYTES:
	case TAPE_F_P_BYTES_AT:
		return (enum tape_secrecy)field->detail;
	default:
		return TAPE_S_PLAIN;
	}
}

static void capture_far_record(struct tape_capture *capture, struct tape_value *value, void *memory,
                               enum tape_record_id record, const struct place *parent,
                               enum tape_direction rule, unsigned int traits, unsigned int depth)
{
	size_t size = tape_records[record].size;
	void *image = tape_arena_get(capture->arena, size);
	if (image == NULL) {
		set_lost(capture, value, "out of memory");
	} else if (!tape_peek(image, memory, size)) {
		set_lost(capture, value, "unreadable");
	} else {
		struct place place = { image, memory, record, parent, rule };
		capture_record(capture, value, &place, traits, depth);
	}
}

static void capture_output_field(struct tape_capture *capture, struct tape_value *value,
                                 void *memory, CK_ULONG length)
{
	if (memory == NULL) {
		capture_bytes(capture, value, NULL, length);
		return;
	}
	if (length > TAPE_MAX_BYTES || !tape_readable(memory, length)) {
		set_lost(capture, value, "unreadable");
		return;
	}
	set(value, TAPE_V_ROOM);
	value->number = length;
	keep_before(capture, value, memory, length);
}

static void capture_structs(struct tape_capture *capture, struct tape_value *value,
                            const struct tape_field *field, void *memory, CK_ULONG count,
                            const struct place *parent, enum tape_direction rule,
                            unsigned int traits, unsigned int depth)
{
	enum tape_record_id record = (enum tape_record_id)field->detail;
	if (memory == NULL) {
		capture_bytes(capture, value, NULL, count);
		return;
	}
	set(value, TAPE_V_LIST);
	if (count > TAPE_MAX_ELEMENTS) {
		set_lost(capture, value, "too many elements");
		return;
	}
	if (!tape_readable(memory, count * tape_records[record].size)) {
		set_lost(capture, value, "unreadable");
		return;
	}
	struct tape_value *list = children(capture, value, count);
	if (list == NULL)
		return;
	for (size_t i = 0; i < count; i++)
		capture_far_record(capture, &list[i],
		                   (char *)memory + i * tape_records[record].size, record, parent,
		                   rule, traits, depth);
}

static void capture_pointer_field(struct tape_capture *capture, struct tape_value *value,
                                  const struct place *place, const struct tape_field *field,
                                  enum tape_direction direction, unsigned int traits,
                                  unsigned int depth)
{
	void *memory = pointer_at(place->image + field->offset);
	CK_ULONG length;
	if (!extent_of(place, field, &length)) {
		set_lost(capture, value, "unreadable");
		return;
	}
	switch (field->kind) {
	case TAPE_F_P_OPAQUE:
		if (direction == TAPE_D_OUT)
			set(value, TAPE_V_ABSENT);
		else
			set(value, memory == NULL ? TAPE_V_NULL : TAPE_V_PRESENT);
		return;
	case TAPE_F_P_TEXTZ:
		capture_textz(capture, value, memory);
		return;
	case TAPE_F_P_MECHANISM:
		capture_mechanism(capture, value, memory, traits, depth + 1);
		return;
	case TAPE_F_P_TEMPLATE:
		/* At least the second level: a pointer out of a structure is never trusted. */
		capture_template(capture, value, memory, length, false, TAPE_CLASS_UNKNOWN,
		                 depth + 2);
		return;
	case TAPE_F_P_STRUCTS:
		capture_structs(capture, value, field, memory, length, place, direction, traits,
		                depth + 1);
		return;
	case TAPE_F_P_STRUCT:
		if (memory == NULL)
			set(value, TAPE_V_NULL);
		else
			capture_far_record(capture, value, memory,
			                   (enum tape_record_id)field->detail, place, direction,
			                   traits, depth + 1);
		return;
	case TAPE_F_P_OBJECT:
		if (memory == NULL)
			set(value, TAPE_V_NULL);
		else
			capture_output_field(capture, value, memory, sizeof(CK_OBJECT_HANDLE));
		if (value->form == TAPE_V_ROOM)
			value->form = TAPE_V_ABSENT;
		return;
	default:
		break;
	}
	if (memory == NULL &&
	    (field->kind == TAPE_F_P_SIZED || field->kind == TAPE_F_P_PARENT_BITS)) {
		set(value, TAPE_V_NULL);
		return;
	}
	if (direction == TAPE_D_OUT) {
		capture_output_field(capture, value, memory, length);
		return;
	}
	capture_far_bytes(capture, value, memory, length);
	if (direction == TAPE_D_INOUT && value->form == TAPE_V_BYTES) {
		value->memory = memory;
		value->before = value->data;
	}
	redact(capture, value, field_secrecy(place, field));
}

/* The value of a field that lies in the structure itself, from a readable image. */
static void capture_inner_field(struct tape_capture *capture, struct tape_value *value,
                                const struct place *place, const struct tape_field *field,
                                unsigned int traits, unsigned int depth)
{
	const unsigned char *at = place->image + field->offset;
	switch (field->kind) {
	case TAPE_F_NUMBER:
	case TAPE_F_LIMIT:
	case TAPE_F_CONSTANT:
	case TAPE_F_FLAGS:
	case TAPE_F_OBJECT:
		set_number(value, ulong_at(at));
		break;
	case TAPE_F_BOOL:
	case TAPE_F_BYTE:
		set_number(value, *at);
		break;
	case TAPE_F_VERSION:
		set_number(value, (uint64_t)at[0] << 8 | at[1]);
		break;
	case TAPE_F_STRUCT: {
		struct place inner = { at,
			               place->memory == NULL ? NULL : place->memory + field->offset,
			               (enum tape_record_id)field->detail, place,
			               direction_of(place, field, traits) };
		capture_record(capture, value, &inner, traits, depth + 1);
		break;
	}
	case TAPE_F_CHARS:
	case TAPE_F_FIXED:
	case TAPE_F_ULONGS:
		set_bytes(value, at, field->size);
		break;
	default: /* TAPE_F_LENGTH */
		set(value, TAPE_V_ABSENT);
		break;
	}
}

static bool is_pointer_field(const struct tape_field *field)
{
	return field->kind >= TAPE_F_P_BYTES;
}

static void capture_record(struct tape_capture *capture, struct tape_value *value,
                           const struct place *place, unsigned int traits, unsigned int depth)
{
	const struct tape_record *record = &tape_records[place->record];
	set(value, TAPE_V_RECORD);
	if (depth > TAPE_MAX_DEPTH) {
		set_lost(capture, value, "too deep");
		return;
	}
	value->record = (uint16_t)place->record;
	value->memory = place->memory;
	value->before = place->image;
	struct tape_value *list = children(capture, value, record->count);
	if (list == NULL)
		return;
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		enum tape_direction direction = direction_of(place, field, traits);
		/* Where all of a structure is output, so are the pointers in it. */
		if (!field_applies(place, field) ||
		    (place->rule == TAPE_D_OUT && field->kind != TAPE_F_STRUCT))
			set(&list[i], TAPE_V_ABSENT);
		else if (is_pointer_field(field))
			capture_pointer_field(capture, &list[i], place, field, direction, traits,
			                      depth);
		else if (direction == TAPE_D_OUT && field->kind != TAPE_F_STRUCT)
			set(&list[i], TAPE_V_ABSENT);
		else
			capture_inner_field(capture, &list[i], place, field, traits, depth);
	}
}

static bool capture_record_out(struct tape_capture *capture, struct tape_value *value,
                               const struct tape_value *in, const struct place *parent,
                               enum tape_direction rule, unsigned int traits, bool good,
                               unsigned int depth);

/* A buffer whose length stands behind a pointer of its own, where the module leaves another one. */
static bool capture_bytes_at_out(struct tape_capture *capture, struct tape_value *value,
                                 const struct place *now, const struct tape_field *field,
                                 const struct tape_value *in, bool good)
{
	const void *at = pointer_at(now->image + field->extent);
	CK_ULONG room = in->form == TAPE_V_NULL ? 0 : (CK_ULONG)in->number;
	CK_ULONG length;
	if (in->form != TAPE_V_ROOM && in->form != TAPE_V_LENGTH && in->form != TAPE_V_NULL)
		return false;
	if (at == NULL || !tape_peek(&length, at, sizeof(length)))
		length = room;
	CK_ULONG readable = length < room ? length : room;
	if (in->form == TAPE_V_ROOM &&
	    (good || (in->before != NULL && memcmp(in->before, in->memory, readable) != 0))) {
		set_bytes(value, in->memory, readable);
		value->stated = length != readable;
		value->number = value->stated != 0 ? length : 0;
		redact(capture, value, field_secrecy(now, field));
	} else if (length != room) {
		set_length(value, length);
	}
	return value->form != TAPE_V_ABSENT;
}

static bool capture_pointer_out(struct tape_capture *capture, struct tape_value *value,
                                const struct place *now, const struct tape_field *field,
                                const struct tape_value *in, enum tape_direction direction,
                                unsigned int traits, bool good, unsigned int depth)
{
	set(value, TAPE_V_ABSENT);
	if (in->form == TAPE_V_RECORD)
		return capture_record_out(capture, value, in, now, direction, traits, good,
		                          depth + 1);
	if (in->form == TAPE_V_LIST && field->kind == TAPE_F_P_STRUCTS) {
		bool changed = false;
		set(value, TAPE_V_LIST);
		struct tape_value *list = children(capture, value, in->count);
		if (list == NULL)
			return true;
		for (size_t i = 0; i < in->count; i++)
			changed |= capture_record_out(capture, &list[i], tape_value_child(in, i),
			                              now, direction, traits, good, depth + 1);
		if (!changed)
			set(value, TAPE_V_ABSENT);
		return changed;
	}
	if (direction != TAPE_D_IN && field->kind == TAPE_F_P_BYTES_AT)
		return capture_bytes_at_out(capture, value, now, field, in, good);
	if (direction == TAPE_D_IN || in->memory == NULL)
		return false;
	if (field->kind == TAPE_F_P_OBJECT) {
		bool changed = good || in->before == NULL ||
		               memcmp(in->before, in->memory, sizeof(CK_OBJECT_HANDLE)) != 0;
		if (changed)
			set_number(value, ulong_at(in->memory));
		return changed;
	}
	size_t size = size_of(in);
	CK_ULONG length;
	if (!extent_of(now, field, &length) || length > size)
		length = size;
	bool written = direction == TAPE_D_OUT ? good : false;
	if (!written && (in->before == NULL || memcmp(in->before, in->memory, length) == 0))
		return false;
	set_bytes(value, in->memory, length);
	redact(capture, value, field_secrecy(now, field));
	return true;
}

/* What the module wrote into a structure and behind its pointers. Returns false for nothing. */
static bool capture_record_out(struct tape_capture *capture, struct tape_value *value,
                               const struct tape_value *in, const struct place *parent,
                               enum tape_direction rule, unsigned int traits, bool good,
                               unsigned int depth)
{
	set(value, TAPE_V_ABSENT);
	if (in->form != TAPE_V_RECORD || in->memory == NULL || in->before == NULL ||
	    depth > TAPE_MAX_DEPTH)
		return false;
	const struct tape_record *record = &tape_records[in->record];
	if (rule == TAPE_D_IN || (rule != TAPE_D_OUT && !record->writes))
		return false;
	struct place before = { in->before, in->memory, (enum tape_record_id)in->record, parent,
		                rule };
	struct place now = before;
	now.image = in->memory;
	set(value, TAPE_V_RECORD);
	value->record = in->record;
	struct tape_value *list = children(capture, value, record->count);
	if (list == NULL)
		return true;
	bool changed = false;
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		const struct tape_value *was = tape_value_child(in, i);
		enum tape_direction direction = direction_of(&before, field, traits);
		if (!field_applies(&before, field)) {
			set(&list[i], TAPE_V_ABSENT);
		} else if (is_pointer_field(field)) {
			changed |= capture_pointer_out(capture, &list[i], &now, field, was,
			                               direction, traits, good, depth);
		} else if (field->kind == TAPE_F_STRUCT) {
			changed |= capture_record_out(capture, &list[i], was, &now, direction,
			                              traits, good, depth + 1);
		} else if (direction != TAPE_D_IN &&
		           ((direction == TAPE_D_OUT && good) ||
		            memcmp(before.image + field->offset, now.image + field->offset,
		                   field->size) != 0)) {
			capture_inner_field(capture, &list[i], &now, field, traits, depth);
			changed = true;
		} else {
			set(&list[i], TAPE_V_ABSENT);
		}
	}
	if (!changed)
		set(value, TAPE_V_ABSENT);
	return changed;
}

/*
 * An information structure, which the module fills in as a whole: plain fields, without conditions and
 * pointers, and nothing that was there before.
 */
static void capture_info_out(struct tape_capture *capture, struct tape_value *value,
                             const struct tape_value *in, bool good)
{
	const struct tape_record *record = &tape_records[in->record];
	const unsigned char *before = in->before;
	struct place now = { in->memory, in->memory, (enum tape_record_id)in->record, NULL,
		             TAPE_D_OUT };
	if (!good && memcmp(before, now.image, record->size) == 0)
		return;
	if (good && capture->images) {
		set(value, TAPE_V_IMAGE);
		value->record = in->record;
		value->data = in->memory;
		return;
	}
	set(value, TAPE_V_RECORD);
	value->record = in->record;
	struct tape_value *list = children(capture, value, record->count);
	if (list == NULL)
		return;
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		if (good ||
		    memcmp(before + field->offset, now.image + field->offset, field->size) != 0)
			capture_inner_field(capture, &list[i], &now, field, TAPE_T_OUT, 1);
		else
			set(&list[i], TAPE_V_ABSENT);
	}
}

/* ---- mechanisms and their parameters --------------------------------------------------------- */

/* Lengths that could be true: tells layouts of one size apart (CKM_PKCS5_PBKD2). */
static bool plausible(enum tape_record_id id, const unsigned char *image)
{
	struct place place = { image, NULL, id, NULL, TAPE_D_INOUT };
	for (size_t i = 0; i < tape_records[id].count; i++) {
		const struct tape_field *field = &tape_fields[tape_records[id].first + i];
		CK_ULONG length;
		if (!is_pointer_field(field))
			continue;
		const void *memory = pointer_at(image + field->offset);
		if (!extent_of(&place, field, &length) || length > TAPE_MAX_BYTES)
			return false;
		/* An address may be a small number, where it is taken for a length. */
		if (memory != NULL && !tape_readable(memory, length))
			return false;
	}
	return true;
}

enum tape_record_id tape_parameter_record(const struct tape_mechanism *row, unsigned int traits,
                                          const void *parameter, size_t length)
{
	enum tape_record_id first = (enum tape_record_id)row->record;
	if ((traits & TAPE_T_MSG) != 0 && row->message_record != TAPE_R_NONE)
		first = (enum tape_record_id)row->message_record;
	else if ((traits & TAPE_T_WRAP) != 0 && row->wrap_record != TAPE_R_NONE)
		first = (enum tape_record_id)row->wrap_record;
	const enum tape_record_id choices[] = { first, (enum tape_record_id)row->record,
		                                (enum tape_record_id)row->other_record };
	enum tape_record_id fits = TAPE_R_NONE;
	unsigned char image[256];
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(choices); i++) {
		enum tape_record_id id = choices[i];
		if (id == TAPE_R_NONE || tape_records[id].size != length || length > sizeof(image))
			continue;
		if (fits == TAPE_R_NONE)
			fits = id;
		if (row->other_record == TAPE_R_NONE)
			return id;
		if (tape_peek(image, parameter, length) && plausible(id, image))
			return id;
	}
	return fits;
}

static void capture_parameter(struct tape_capture *capture, struct tape_value *value,
                              void *parameter, CK_ULONG length, enum tape_parameter kind,
                              enum tape_record_id record, unsigned int traits, unsigned int depth)
{
	if (parameter == NULL || length == 0) {
		capture_bytes(capture, value, parameter, length);
		return;
	}
	if (kind == TAPE_P_RECORD && record != TAPE_R_NONE) {
		capture_far_record(capture, value, parameter, record, NULL, TAPE_D_INOUT, traits,
		                   depth);
		return;
	}
	capture_far_bytes(capture, value, parameter, length);
	if (value->form != TAPE_V_BYTES)
		return;
	value->memory = parameter;
	value->before = value->data;
	if ((kind == TAPE_P_ULONG || kind == TAPE_P_OBJECT) && length == sizeof(CK_ULONG)) {
		value->number = ulong_at(value->data);
		value->form = TAPE_V_NUMBER;
		/* Remembered for the spelling: an object is not a number. */
		value->record = (uint16_t)kind;
	} else if (kind != TAPE_P_BYTES) {
		value->form = TAPE_V_RAW;
		/* What it is nobody says: it may have a key in it. */
		redact(capture, value, TAPE_S_SECRET);
	}
}

static void capture_mechanism(struct tape_capture *capture, struct tape_value *value,
                              const CK_MECHANISM *mechanism, unsigned int traits,
                              unsigned int depth)
{
	CK_MECHANISM m;
	if (mechanism == NULL) {
		set(value, TAPE_V_NULL);
		return;
	}
	if (depth > TAPE_MAX_DEPTH) {
		set_lost(capture, value, "too deep");
		return;
	}
	if (!tape_peek(&m, mechanism, sizeof(m))) {
		set_lost(capture, value, "unreadable");
		return;
	}
	set(value, TAPE_V_MECHANISM);
	value->tag = m.mechanism;
	struct tape_value *parameter = children(capture, value, 1);
	if (parameter == NULL)
		return;
	const struct tape_mechanism *row = tape_mechanism_find(m.mechanism);
	enum tape_parameter kind =
		row == NULL ? TAPE_P_UNKNOWN : (enum tape_parameter)row->parameter;
	enum tape_record_id record = TAPE_R_NONE;
	if (row != NULL && m.pParameter != NULL && m.ulParameterLen != 0) {
		record = tape_parameter_record(row, traits, m.pParameter, m.ulParameterLen);
		if (record != TAPE_R_NONE)
			kind = TAPE_P_RECORD;
	}
	capture_parameter(capture, parameter, m.pParameter, m.ulParameterLen, kind, record, traits,
	                  depth + 1);
}

/* What the module wrote through a parameter: fields of a record, or plain bytes that changed. */
static void capture_parameter_out(struct tape_capture *capture, struct tape_value *value,
                                  const struct tape_value *in, unsigned int traits, bool good)
{
	set(value, TAPE_V_ABSENT);
	if (in->form == TAPE_V_RECORD) {
		capture_record_out(capture, value, in, NULL, TAPE_D_INOUT, traits, good, 1);
		return;
	}
	bool bytes = in->form == TAPE_V_BYTES || in->form == TAPE_V_RAW ||
	             in->form == TAPE_V_NUMBER || in->form == TAPE_V_SECRET;
	if (!bytes || in->memory == NULL || in->before == NULL)
		return;
	size_t length = in->form == TAPE_V_NUMBER ? sizeof(CK_ULONG) : size_of(in);
	if (memcmp(in->before, in->memory, length) == 0)
		return;
	if (in->form == TAPE_V_NUMBER) {
		*value = *in;
		value->memory = NULL;
		value->before = NULL;
		value->number = ulong_at(in->memory);
		return;
	}
	set_bytes(value, in->memory, length);
	if (in->form != TAPE_V_BYTES) {
		value->form = TAPE_V_RAW;
		redact(capture, value, TAPE_S_SECRET);
	}
}

/* ---- C_Initialize ---------------------------------------------------------------------------- */

static void capture_init_args(struct tape_capture *capture, struct tape_value *value,
                              const void *memory)
{
	CK_C_INITIALIZE_ARGS args;
	if (memory == NULL) {
		set(value, TAPE_V_NULL);
		return;
	}
	if (!tape_peek(&args, memory, sizeof(args))) {
		set_lost(capture, value, "unreadable");
		return;
	}
	set(value, TAPE_V_RECORD);
	struct tape_value *list = children(capture, value, TAPE_INIT_COUNT);
	if (list == NULL)
		return;
	set_number(&list[TAPE_INIT_FLAGS], args.flags);
	set_number(&list[TAPE_INIT_MUTEXES], (args.CreateMutex != NULL ? 1u : 0u) |
	                                             (args.DestroyMutex != NULL ? 2u : 0u) |
	                                             (args.LockMutex != NULL ? 4u : 0u) |
	                                             (args.UnlockMutex != NULL ? 8u : 0u));
	/*
	 * NSS and p11-kit put a zero-terminated string of parameters where the standard has a reserved
	 * pointer. Whether that is what it is shows only in the bytes.
	 */
	size_t length;
	struct tape_value *reserved = &list[TAPE_INIT_RESERVED];
	if (args.pReserved == NULL) {
		set(reserved, TAPE_V_ABSENT);
	} else if (tape_peek_length(args.pReserved, MAX_TEXT, &length)) {
		capture_far_bytes(capture, reserved, args.pReserved, length);
		if (reserved->form != TAPE_V_BYTES || !tape_text_is_plain(reserved->data, length))
			set(reserved, TAPE_V_PRESENT);
	} else {
		set(reserved, TAPE_V_PRESENT);
	}
}

/* ---- discovery ------------------------------------------------------------------------------- */

size_t tape_list_pointers(unsigned int major, unsigned int minor)
{
	if (major < 3)
		return TAPE_FN_COUNT_2;
	if (major == 3 && minor < 2)
		return TAPE_FN_COUNT_3_0;
	return TAPE_FN_COUNT_3_2;
}

/* The NULL entries among the first `pointers` of a function list, as a list of function numbers. */
static void capture_missing(struct tape_capture *capture, struct tape_value *value,
                            const void *list, size_t pointers)
{
	const char *first = (const char *)list + offsetof(CK_FUNCTION_LIST, C_Initialize);
	uint64_t missing[TAPE_FN_COUNT];
	size_t count = 0;
	for (size_t i = 0; i < pointers; i++)
		if (pointer_at(first + i * sizeof(void *)) == NULL)
			missing[count++] = i;
	set(value, TAPE_V_LIST);
	struct tape_value *out = children(capture, value, count);
	for (size_t i = 0; out != NULL && i < count; i++)
		set_number(&out[i], missing[i]);
}

static void capture_functions(struct tape_capture *capture, struct tape_value *value,
                              const CK_FUNCTION_LIST *list)
{
	if (list == NULL) {
		set(value, TAPE_V_NULL);
		return;
	}
	set(value, TAPE_V_RECORD);
	struct tape_value *facts = children(capture, value, TAPE_LIST_COUNT);
	if (facts == NULL)
		return;
	set(&facts[TAPE_LIST_NAME], TAPE_V_ABSENT);
	set(&facts[TAPE_LIST_FLAGS], TAPE_V_ABSENT);
	set_number(&facts[TAPE_LIST_VERSION],
	           (uint64_t)list->version.major << 8 | list->version.minor);
	/* Never past 68 pointers: SoftHSM 2.7 claims 3.x in a list of that length. */
	capture_missing(capture, &facts[TAPE_LIST_MISSING], list, TAPE_FN_COUNT_2);
}

static void capture_interface(struct tape_capture *capture, struct tape_value *value,
                              const CK_INTERFACE *interface)
{
	static const char standard[] = "PKCS 11";
	if (interface == NULL) {
		set(value, TAPE_V_NULL);
		return;
	}
	set(value, TAPE_V_RECORD);
	struct tape_value *facts = children(capture, value, TAPE_LIST_COUNT);
	if (facts == NULL)
		return;
	capture_textz(capture, &facts[TAPE_LIST_NAME], (const char *)interface->pInterfaceName);
	set_number(&facts[TAPE_LIST_FLAGS], interface->flags);
	set(&facts[TAPE_LIST_VERSION], TAPE_V_ABSENT);
	set(&facts[TAPE_LIST_MISSING], TAPE_V_ABSENT);
	const struct tape_value *name = &facts[TAPE_LIST_NAME];
	const CK_FUNCTION_LIST *list = interface->pFunctionList;
	if (name->form != TAPE_V_BYTES || name->length != sizeof(standard) - 1 || list == NULL ||
	    memcmp(name->data, standard, sizeof(standard) - 1) != 0)
		return;
	set_number(&facts[TAPE_LIST_VERSION],
	           (uint64_t)list->version.major << 8 | list->version.minor);
	capture_missing(capture, &facts[TAPE_LIST_MISSING], list,
	                tape_list_pointers(list->version.major, list->version.minor));
}

/* ---- inputs ---------------------------------------------------------------------------------- */

/* An output buffer and a pointer to its length, in bytes or elements. */
static void capture_buffer(struct tape_value *value, void *buffer, const CK_ULONG *length)
{
	if (length == NULL)
		set(value, buffer == NULL ? TAPE_V_NULL : TAPE_V_UNSTATED);
	else
		set(value, buffer == NULL ? TAPE_V_QUERY : TAPE_V_ROOM);
	value->memory = buffer;
	if (length == NULL)
		return;
	value->tag = *length;
	if (buffer != NULL)
		value->number = *length;
}

/* An output buffer with its length beside it. */
static void capture_room(struct tape_value *value, void *buffer, CK_ULONG length)
{
	if (buffer == NULL && length == 0) {
		set(value, TAPE_V_NULL);
		return;
	}
	set(value, buffer == NULL ? TAPE_V_QUERY : TAPE_V_ROOM);
	value->memory = buffer;
	value->number = length;
	value->stated = buffer == NULL;
}

/* The same, with a pointer to how much was given, which may be NULL as well. */
static void capture_found(struct tape_value *value, void *buffer, CK_ULONG room,
                          const CK_ULONG *count)
{
	capture_room(value, buffer, room);
	if (count != NULL) {
		if (buffer == NULL)
			value->form = TAPE_V_QUERY;
		value->tag = *count;
	} else if (value->form != TAPE_V_NULL) {
		value->form = buffer == NULL ? TAPE_V_LENGTH : TAPE_V_UNSTATED;
	}
	value->stated = value->form == TAPE_V_QUERY || value->form == TAPE_V_UNSTATED;
}

static void capture_struct(struct tape_capture *capture, struct tape_value *value,
                           const struct tape_shape *shape, void *memory)
{
	enum tape_record_id id = (enum tape_record_id)shape->detail;
	const struct tape_record *record = &tape_records[id];
	if (memory == NULL) {
		set(value, TAPE_V_NULL);
		return;
	}
	const void *image = memory;
	if ((shape->traits & TAPE_T_OUT) != 0) {
		set(value, TAPE_V_ABSENT);
		if (!capture->snapshot && id != TAPE_R_CK_ASYNC_DATA)
			return;
		void *copy = tape_arena_get(capture->arena, record->size);
		if (copy == NULL) {
			set_lost(capture, value, "out of memory");
			return;
		}
		memcpy(copy, memory, record->size);
		image = copy;
		if (id != TAPE_R_CK_ASYNC_DATA) {
			/* All of it is output: nothing to say before the call. */
			value->record = (uint16_t)id;
			value->memory = memory;
			value->before = image;
			return;
		}
	}
	struct place place = { image, memory, id, NULL, TAPE_D_INOUT };
	capture_record(capture, value, &place, shape->traits, 1);
}

/*
 * The message structure of `length` bytes, where no Init call has said which one it is: a program that
 * calls without one passes it all the same, and its pointers are nobody's business.
 */
static enum tape_record_id message_record_by_size(const void *parameter, CK_ULONG length)
{
	unsigned char image[256];
	if (parameter == NULL || length == 0 || length > sizeof(image))
		return TAPE_R_NONE;
	for (size_t i = 0; i < tape_mechanism_count; i++) {
		enum tape_record_id id = (enum tape_record_id)tape_mechanisms[i].message_record;
		if (id != TAPE_R_NONE && tape_records[id].size == length &&
		    tape_peek(image, parameter, length) && plausible(id, image))
			return id;
	}
	return TAPE_R_NONE;
}

static enum tape_record_id message_record(struct tape_capture *capture,
                                          const struct tape_function *function,
                                          const uintptr_t *words, unsigned int traits,
                                          const void *parameter, CK_ULONG length)
{
	if ((traits & TAPE_T_MSG) == 0 || capture->message_record == NULL || function->lane < 0)
		return TAPE_R_NONE;
	CK_SESSION_HANDLE session =
		(CK_SESSION_HANDLE)words[function->arguments[function->lane].word];
	enum tape_record_id record =
		capture->message_record(capture->context, session, (traits & TAPE_T_SEAL) != 0);
	if (record == TAPE_R_COUNT)
		return message_record_by_size(parameter, length);
	return tape_records[record].size == length ? record : TAPE_R_NONE;
}

static enum tape_secrecy shape_secrecy(const struct tape_shape *shape)
{
	return shape->codec == TAPE_C_SECRET        ? TAPE_S_PIN
	       : (shape->traits & TAPE_T_KEYS) != 0 ? TAPE_S_SECRET
	       : (shape->traits & TAPE_T_DATA) != 0 ? TAPE_S_DATA
	                                            : TAPE_S_PLAIN;
}

/* The class of the object that a template belongs to, by what was seen before. */
static uint64_t class_of_object(struct tape_capture *capture, const struct tape_function *function,
                                const uintptr_t *words, const struct tape_shape *shape)
{
	if (!redacts(capture, TAPE_S_SECRET) || (shape->traits & TAPE_T_OF) == 0 ||
	    capture->object_class == NULL || function->lane < 0)
		return TAPE_CLASS_UNKNOWN;
	CK_SESSION_HANDLE session = words[function->arguments[function->lane].word];
	for (size_t i = 0; i < function->count; i++)
		if (function->arguments[i].kind == TAPE_K_OBJECT)
			return capture->object_class(capture->context, session,
			                             words[function->arguments[i].word]);
	return TAPE_CLASS_UNKNOWN;
}

static void capture_argument(struct tape_capture *capture, const struct tape_function *function,
                             const struct tape_argument *argument, const uintptr_t *words,
                             struct tape_value *value)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	const uintptr_t *w = words + argument->word;
	void *pointer = (void *)w[0];

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
	case TAPE_C_CONSTANT:
	case TAPE_C_FLAGS:
	case TAPE_C_BOOLEAN:
		set_number(value, w[0]);
		break;
	case TAPE_C_PRESENCE:
	case TAPE_C_CALLBACK:
		set(value, w[0] == 0 ? TAPE_V_NULL : TAPE_V_PRESENT);
		break;
	case TAPE_C_INIT_ARGS:
		capture_init_args(capture, value, pointer);
		break;
	case TAPE_C_BYTES:
	case TAPE_C_SECRET:
		capture_bytes(capture, value, pointer, w[1]);
		redact(capture, value, shape_secrecy(shape));
		break;
	case TAPE_C_CHARS:
		if (pointer == NULL)
			set(value, TAPE_V_NULL);
		else
			capture_far_bytes(capture, value, pointer, shape->detail);
		break;
	case TAPE_C_TEXTZ:
		capture_textz(capture, value, pointer);
		break;
	case TAPE_C_TEMPLATE:
		capture_template(capture, value, pointer, w[1], (shape->traits & TAPE_T_OUT) != 0,
		                 class_of_object(capture, function, words, shape), 1);
		value->memory = pointer;
		break;
	case TAPE_C_MECHANISM:
		capture_mechanism(capture, value, pointer, shape->traits, 1);
		break;
	case TAPE_C_PARAMETER: {
		enum tape_record_id record =
			message_record(capture, function, words, shape->traits, pointer, w[1]);
		capture_parameter(capture, value, pointer, w[1],
		                  record != TAPE_R_NONE ? TAPE_P_RECORD : TAPE_P_BYTES, record,
		                  shape->traits, 1);
		break;
	}
	case TAPE_C_NUMBER_AT:
		set(value, pointer == NULL ? TAPE_V_NULL : TAPE_V_ABSENT);
		value->memory = pointer;
		if (pointer != NULL && capture->snapshot)
			value->tag = *(CK_ULONG *)pointer;
		break;
	case TAPE_C_STRUCT:
		capture_struct(capture, value, shape, pointer);
		break;
	case TAPE_C_BYTES_AT:
	case TAPE_C_LIST_AT:
	case TAPE_C_INTERFACES:
		capture_buffer(value, pointer, (const CK_ULONG *)w[1]);
		break;
	case TAPE_C_FILL:
	case TAPE_C_LATER:
		capture_room(value, pointer, w[1]);
		break;
	case TAPE_C_FOUND:
		capture_found(value, pointer, w[1], (const CK_ULONG *)w[2]);
		break;
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		set(value, pointer == NULL ? TAPE_V_NULL : TAPE_V_ABSENT);
		break;
	}
}

void tape_capture_in(struct tape_capture *capture, const struct tape_function *function,
                     const uintptr_t *words, struct tape_value *in)
{
	for (size_t i = 0; i < function->count; i++)
		capture_argument(capture, function, &function->arguments[i], words, &in[i]);
	/* PKCS#11 3.1 §5.2 allows output over input: note where it does. */
	for (size_t i = 1; i < function->count; i++) {
		if (in[i].form != TAPE_V_ROOM ||
		    tape_shapes[function->arguments[i].kind].codec != TAPE_C_BYTES_AT)
			continue;
		for (size_t j = 0; j < i; j++)
			if ((in[j].form == TAPE_V_BYTES || in[j].form == TAPE_V_SECRET) &&
			    in[j].memory == in[i].memory && in[j].length != 0)
				in[i].count = (uint32_t)(j + 1);
	}
}

/* ---- outputs --------------------------------------------------------------------------------- */

static void capture_list(struct tape_capture *capture, struct tape_value *value,
                         const CK_ULONG *list, CK_ULONG count, CK_ULONG room)
{
	CK_ULONG readable = count < room ? count : room;
	set(value, TAPE_V_LIST);
	if (readable > TAPE_MAX_ELEMENTS) {
		set_lost(capture, value, "too many elements");
		return;
	}
	struct tape_value *items = children(capture, value, readable);
	if (items == NULL)
		return;
	for (size_t i = 0; i < readable; i++)
		set_number(&items[i], list[i]);
	if (count != readable) {
		value->stated = 1;
		value->number = count;
	}
}

static void capture_argument_out(struct tape_capture *capture, const struct tape_function *function,
                                 const struct tape_argument *argument, const uintptr_t *words,
                                 const struct tape_value *in, CK_RV rv, struct tape_value *value)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	const uintptr_t *w = words + argument->word;
	bool good = rv == CKR_OK;
	set(value, TAPE_V_ABSENT);
	if (in->form == TAPE_V_NULL || in->form == TAPE_V_LOST)
		return;

	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_TEMPLATE:
		if (in->form != TAPE_V_LIST ||
		    !capture_template_out(capture, value, in->memory, in->count, in, good,
		                          class_of_object(capture, function, words, shape), 1))
			set(value, TAPE_V_ABSENT);
		break;
	case TAPE_C_MECHANISM: {
		struct tape_value parameter;
		if (in->form != TAPE_V_MECHANISM)
			break;
		capture_parameter_out(capture, &parameter, tape_value_child(in, 0), shape->traits,
		                      good);
		if (parameter.form == TAPE_V_ABSENT)
			break;
		set(value, TAPE_V_MECHANISM);
		value->tag = in->tag;
		struct tape_value *list = children(capture, value, 1);
		if (list != NULL)
			*list = parameter;
		break;
	}
	case TAPE_C_PARAMETER:
		capture_parameter_out(capture, value, in, shape->traits, good);
		break;
	case TAPE_C_NUMBER_AT:
		if (good || *(const CK_ULONG *)w[0] != in->tag)
			set_number(value, *(const CK_ULONG *)w[0]);
		break;
	case TAPE_C_STRUCT:
		if (in->form == TAPE_V_ABSENT && in->before != NULL)
			capture_info_out(capture, value, in, good);
		else
			capture_record_out(capture, value, in, NULL, TAPE_D_INOUT, shape->traits,
			                   good, 1);
		break;
	case TAPE_C_BYTES_AT: {
		if (w[1] == 0)
			break;
		CK_ULONG length = *(const CK_ULONG *)w[1];
		if (good && in->form == TAPE_V_ROOM) {
			CK_ULONG readable = length < in->number ? length : (CK_ULONG)in->number;
			if (readable > TAPE_MAX_BYTES ||
			    (readable > TRUSTED_BYTES && !tape_readable(in->memory, readable))) {
				set_lost(capture, value, "unreadable");
				break;
			}
			set_bytes(value, in->memory, readable);
			if (length != readable) {
				value->stated = 1;
				value->number = length;
			}
			redact(capture, value, shape_secrecy(shape));
		} else if (good || length != in->tag) {
			set_length(value, length);
		}
		break;
	}
	case TAPE_C_FILL:
		if (good && in->form == TAPE_V_ROOM)
			capture_bytes(capture, value, in->memory, (CK_ULONG)in->number);
		break;
	case TAPE_C_LIST_AT:
	case TAPE_C_INTERFACES: {
		if (w[1] == 0)
			break;
		CK_ULONG count = *(const CK_ULONG *)w[1];
		if (!good || in->form != TAPE_V_ROOM) {
			if (good || count != in->tag)
				set_length(value, count);
			break;
		}
		if (shape->codec == TAPE_C_LIST_AT) {
			capture_list(capture, value, in->memory, count, (CK_ULONG)in->number);
			break;
		}
		const CK_INTERFACE *interfaces = in->memory;
		CK_ULONG readable = count < in->number ? count : (CK_ULONG)in->number;
		set(value, TAPE_V_LIST);
		if (readable > TAPE_MAX_ELEMENTS) {
			set_lost(capture, value, "too many elements");
			break;
		}
		struct tape_value *items = children(capture, value, readable);
		for (size_t i = 0; items != NULL && i < readable; i++)
			capture_interface(capture, &items[i], &interfaces[i]);
		break;
	}
	case TAPE_C_FOUND: {
		if (w[2] == 0)
			break;
		CK_ULONG count = *(const CK_ULONG *)w[2];
		if (good && in->form == TAPE_V_ROOM)
			capture_list(capture, value, in->memory, count, (CK_ULONG)in->number);
		else if (good || count != in->tag)
			set_length(value, count);
		break;
	}
	case TAPE_C_FUNCTIONS:
		if (good)
			capture_functions(capture, value, *(CK_FUNCTION_LIST **)w[0]);
		break;
	case TAPE_C_INTERFACE:
		if (good)
			capture_interface(capture, value, *(CK_INTERFACE **)w[0]);
		break;
	default:
		break;
	}
}

void tape_capture_out(struct tape_capture *capture, const struct tape_function *function,
                      const uintptr_t *words, const struct tape_value *in, CK_RV rv,
                      struct tape_value *out)
{
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		const struct tape_shape *shape = &tape_shapes[argument->kind];
		if ((shape->traits & TAPE_T_OUT) == 0)
			out[i].form = TAPE_V_ABSENT;
		else
			capture_argument_out(capture, function, argument, words, &in[i], rv,
			                     &out[i]);
	}
}
