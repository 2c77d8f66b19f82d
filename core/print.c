/* SPDX-License-Identifier: MIT */
#include "core/print.h"

const struct tape_name *tape_any_name(enum tape_group group, uint64_t value)
{
	if (group == TAPE_G_CKM) {
		const struct tape_mechanism *row = tape_mechanism_find(value);
		return row == NULL || row->state != TAPE_CONST_MAIN ? NULL : &row->name;
	}
	if (group == TAPE_G_CKA)
		return tape_attribute_name(value);
	return tape_constant_name(group, value);
}

static void print_name(struct tape_buf *buf, const struct tape_name *name)
{
	if (TAPE_UNLIKELY(!tape_buf_need(buf, name->length + 2)))
		return;
	char *at = buf->data + buf->length;
	*at++ = '"';
	tape_copy(at, name->text, name->length);
	at[name->length] = '"';
	buf->length += name->length + 2;
}

/* A key of a mapping, with the comma before it unless it is the first one. */
static void print_key(struct tape_buf *buf, const struct tape_name *name, bool first)
{
	if (TAPE_UNLIKELY(!tape_buf_need(buf, name->length + 6)))
		return;
	char *at = buf->data + buf->length;
	if (!first) {
		*at++ = ',';
		*at++ = ' ';
	}
	*at++ = '"';
	tape_copy(at, name->text, name->length);
	at += name->length;
	memcpy(at, "\": ", 3);
	buf->length = (size_t)(at + 3 - buf->data);
}

static void print_word(struct tape_buf *buf, uint64_t number)
{
	tape_put_char(buf, '"');
	tape_put_hexadecimal(buf, number);
	tape_put_char(buf, '"');
}

void tape_print_number(struct tape_buf *buf, uint64_t number)
{
	if (TAPE_UNLIKELY(number == CK_UNAVAILABLE_INFORMATION))
		TAPE_PUT(buf, "\"unavailable\"");
	else if (number <= TAPE_MAX_EXACT)
		tape_put_decimal(buf, number);
	else
		print_word(buf, number);
}

void tape_print_constant(struct tape_buf *buf, enum tape_group group, uint64_t value)
{
	const struct tape_name *name = tape_any_name(group, value);
	if (name != NULL)
		print_name(buf, name);
	else if (value == CK_UNAVAILABLE_INFORMATION)
		TAPE_PUT(buf, "\"unavailable\"");
	else
		print_word(buf, value);
}

static void print_flags(struct tape_buf *buf, enum tape_group group, uint64_t flags)
{
	bool any = false;
	uint64_t rest = 0;
	tape_put_char(buf, '[');
	for (uint64_t left = flags; left != 0; left &= left - 1) {
		uint64_t bit = left & (~left + 1);
		const struct tape_name *name = tape_constant_name(group, bit);
		if (name == NULL) {
			rest |= bit;
			continue;
		}
		if (any)
			TAPE_PUT(buf, ", ");
		print_name(buf, name);
		any = true;
	}
	if (rest != 0) {
		if (any)
			TAPE_PUT(buf, ", ");
		print_word(buf, rest);
	}
	tape_put_char(buf, ']');
}

static void print_version(struct tape_buf *buf, uint64_t version)
{
	tape_put_char(buf, '"');
	tape_put_decimal(buf, version >> 8);
	tape_put_char(buf, '.');
	tape_put_decimal(buf, version & 0xff);
	tape_put_char(buf, '"');
}

static void print_boolean(struct tape_buf *buf, uint64_t number)
{
	if (number == CK_FALSE)
		TAPE_PUT(buf, "false");
	else if (number == CK_TRUE)
		TAPE_PUT(buf, "true");
	else
		tape_print_number(buf, number);
}

static void print_hex(struct tape_buf *buf, const unsigned char *data, size_t length)
{
	bool pieces = length > TAPE_PIECE;
	if (pieces)
		tape_put_char(buf, '[');
	do {
		size_t size = length < TAPE_PIECE ? length : TAPE_PIECE;
		tape_put_char(buf, '"');
		tape_put_hex(buf, data, size);
		tape_put_char(buf, '"');
		data += size;
		length -= size;
		if (length != 0)
			TAPE_PUT(buf, ", ");
	} while (length != 0);
	if (pieces)
		tape_put_char(buf, ']');
}

static void print_text_or_hex(struct tape_buf *buf, const struct tape_value *value, bool text)
{
	if (text && value->length != 0 && value->length <= TAPE_PIECE &&
	    tape_text_is_plain(value->data, value->length)) {
		TAPE_PUT(buf, "\"text\": ");
		tape_put_quoted(buf, value->data, value->length);
	} else {
		TAPE_PUT(buf, "\"hex\": ");
		print_hex(buf, value->data, value->length);
	}
}

/*
 * The inside of a mapping for the forms that every shape can have: no braces, so that an attribute's
 * entry can put its type before it. NULL and lists are for the caller.
 */
static void print_inside(struct tape_buf *buf, const struct tape_value *value, bool text)
{
	switch ((enum tape_form)value->form) {
	case TAPE_V_BYTES:
		if (value->stated) {
			TAPE_PUT(buf, "\"len\": ");
			tape_print_number(buf, value->number);
			TAPE_PUT(buf, ", ");
		}
		print_text_or_hex(buf, value, text);
		break;
	case TAPE_V_RAW:
		TAPE_PUT(buf, "\"raw\": ");
		print_hex(buf, value->data, value->length);
		break;
	case TAPE_V_LENGTH:
		TAPE_PUT(buf, "\"len\": ");
		tape_print_number(buf, value->number);
		break;
	case TAPE_V_SECRET:
		TAPE_PUT(buf, "\"secret\": ");
		tape_put_quoted(buf, value->data, value->length);
		if (value->stated) {
			TAPE_PUT(buf, ", \"len\": ");
			tape_print_number(buf, value->number);
		}
		break;
	case TAPE_V_ROOM:
		TAPE_PUT(buf, "\"room\": ");
		tape_print_number(buf, value->number);
		break;
	case TAPE_V_QUERY:
	case TAPE_V_UNSTATED:
		if (value->form == TAPE_V_QUERY)
			TAPE_PUT(buf, "\"room\": null");
		else
			TAPE_PUT(buf, "\"room\": \"unstated\"");
		if (value->stated) {
			TAPE_PUT(buf, ", \"len\": ");
			tape_print_number(buf, value->number);
		}
		break;
	case TAPE_V_SAME:
		TAPE_PUT(buf, "\"same\": true");
		break;
	case TAPE_V_LOST:
		TAPE_PUT(buf, "\"partial\": ");
		tape_put_quoted_lossy(buf, value->data, value->length);
		break;
	default:
		TAPE_PUT(buf, "\"partial\": \"not spelled\"");
		break;
	}
}

static void print_common(struct tape_buf *buf, const struct tape_value *value, bool text)
{
	if (value->form == TAPE_V_NULL) {
		TAPE_PUT(buf, "null");
	} else if (value->form == TAPE_V_PRESENT) {
		TAPE_PUT(buf, "true");
	} else {
		tape_put_char(buf, '{');
		print_inside(buf, value, text);
		tape_put_char(buf, '}');
	}
}

/* ---- templates ------------------------------------------------------------------------------- */

/* What an attribute's lengths count. */
static size_t element_size(const struct tape_attribute *row)
{
	switch (row == NULL ? TAPE_A_BYTES : (enum tape_attribute_type)row->type) {
	case TAPE_A_ULONG:
	case TAPE_A_CONSTANT:
	case TAPE_A_FLAGS:
	case TAPE_A_ULONGS:
	case TAPE_A_CONSTANTS:
		return sizeof(CK_ULONG);
	case TAPE_A_TEMPLATE:
		return sizeof(CK_ATTRIBUTE);
	case TAPE_A_BOOL:
		return sizeof(CK_BBOOL);
	default:
		return 0;
	}
}

/* A length or room of a typed attribute counts elements, since their size differs between platforms. */
static void print_attribute_length(struct tape_buf *buf, const struct tape_attribute *row,
                                   uint64_t length)
{
	size_t size = element_size(row); /* 0 where there is no row */
	if (row == NULL || size == 0 || length == CK_UNAVAILABLE_INFORMATION) {
		tape_print_number(buf, length);
	} else if (length % size != 0 || (length == 0 && row->type < TAPE_A_ULONGS) ||
	           (row->type == TAPE_A_BOOL && length != 1)) {
		TAPE_PUT(buf, "{\"bytes\": ");
		tape_print_number(buf, length);
		tape_put_char(buf, '}');
	} else if (row->type == TAPE_A_BOOL) {
		TAPE_PUT(buf, "\"bool\"");
	} else if (row->type == TAPE_A_TEMPLATE) {
		TAPE_PUT(buf, "{\"template\": ");
		tape_print_number(buf, length / size);
		tape_put_char(buf, '}');
	} else if (length == size) {
		TAPE_PUT(buf, "\"ulong\"");
	} else {
		TAPE_PUT(buf, "{\"ulong\": ");
		tape_print_number(buf, length / size);
		tape_put_char(buf, '}');
	}
}

static CK_ULONG ulong_at(const void *from)
{
	CK_ULONG number;
	memcpy(&number, from, sizeof(number));
	return number;
}

static void print_ulong(struct tape_buf *buf, const struct tape_attribute *row, uint64_t number)
{
	if (row->type == TAPE_A_CONSTANT || row->type == TAPE_A_CONSTANTS)
		tape_print_constant(buf, (enum tape_group)row->group, number);
	else if (row->type == TAPE_A_FLAGS)
		print_flags(buf, (enum tape_group)row->group, number);
	else
		tape_print_number(buf, number);
}

static bool is_date(const unsigned char *data, size_t length)
{
	if (length != 8)
		return false;
	for (size_t i = 0; i < length; i++)
		if (data[i] < '0' || data[i] > '9')
			return false;
	return true;
}

/* The bytes of an attribute's value, by its type where they have the type's size, else as hex. */
static void print_attribute_bytes(struct tape_buf *buf, const struct tape_attribute *row,
                                  const struct tape_value *value)
{
	const unsigned char *data = value->data;
	size_t length = value->length;
	switch (row == NULL ? TAPE_A_BYTES : (enum tape_attribute_type)row->type) {
	case TAPE_A_ULONG:
	case TAPE_A_CONSTANT:
	case TAPE_A_FLAGS:
		if (length != sizeof(CK_ULONG))
			break;
		TAPE_PUT(buf, "\"ulong\": ");
		print_ulong(buf, row, ulong_at(data));
		return;
	case TAPE_A_ULONGS:
	case TAPE_A_CONSTANTS:
		if (length % sizeof(CK_ULONG) != 0)
			break;
		TAPE_PUT(buf, "\"ulongs\": [");
		for (size_t i = 0; i < length; i += sizeof(CK_ULONG)) {
			if (i != 0)
				TAPE_PUT(buf, ", ");
			print_ulong(buf, row, ulong_at(data + i));
		}
		tape_put_char(buf, ']');
		return;
	case TAPE_A_BOOL:
	case TAPE_A_BOOL_OR_TIME:
		if (length == 1 && (data[0] == CK_TRUE || data[0] == CK_FALSE)) {
			TAPE_PUT(buf, "\"bool\": ");
			print_boolean(buf, data[0]);
			return;
		}
		if (row->type == TAPE_A_BOOL)
			break;
		print_text_or_hex(buf, value, true);
		return;
	case TAPE_A_UTF8:
		print_text_or_hex(buf, value, true);
		return;
	case TAPE_A_DATE:
		if (!is_date(data, length))
			break;
		TAPE_PUT(buf, "\"date\": ");
		tape_put_quoted(buf, value->data, length);
		return;
	case TAPE_A_VERSION:
		if (length != 2)
			break;
		TAPE_PUT(buf, "\"version\": ");
		print_version(buf, (uint64_t)data[0] << 8 | data[1]);
		return;
	default:
		break;
	}
	print_text_or_hex(buf, value, false);
}

static void print_template(struct tape_buf *buf, const struct tape_value *value, bool typed,
                           bool rooms);

static void print_entry(struct tape_buf *buf, const struct tape_value *value, bool typed,
                        bool rooms)
{
	const struct tape_attribute *row = NULL;
	tape_put_char(buf, '{');
	if (value->tag != TAPE_TAG_ANY) {
		row = tape_attribute_find(value->tag);
		if (typed) {
			TAPE_PUT(buf, "\"type\": ");
			if (row != NULL && row->state == TAPE_CONST_MAIN)
				print_name(buf, &row->name);
			else
				tape_print_constant(buf, TAPE_G_CKA, value->tag);
			TAPE_PUT(buf, ", ");
		}
	}
	switch ((enum tape_form)value->form) {
	case TAPE_V_BYTES:
		print_attribute_bytes(buf, row, value);
		break;
	case TAPE_V_ROOM:
		TAPE_PUT(buf, "\"room\": ");
		print_attribute_length(buf, row, value->number);
		break;
	case TAPE_V_LENGTH:
		TAPE_PUT(buf, "\"len\": ");
		print_attribute_length(buf, row, value->number);
		break;
	case TAPE_V_LIST:
		if (rooms) {
			TAPE_PUT(buf, "\"room\": ");
			print_attribute_length(buf, row, value->number);
			TAPE_PUT(buf, ", ");
		}
		TAPE_PUT(buf, "\"template\": ");
		print_template(buf, value, true, rooms);
		break;
	case TAPE_V_NULL:
		TAPE_PUT(buf, "\"value\": null");
		break;
	default:
		print_inside(buf, value, false);
		break;
	}
	tape_put_char(buf, '}');
}

static void print_template(struct tape_buf *buf, const struct tape_value *value, bool typed,
                           bool rooms)
{
	if (value->form != TAPE_V_LIST) {
		print_common(buf, value, false);
		return;
	}
	tape_put_char(buf, '[');
	for (size_t i = 0; i < value->count; i++) {
		if (i != 0)
			TAPE_PUT(buf, ", ");
		print_entry(buf, tape_value_child(value, i), typed, rooms);
	}
	tape_put_char(buf, ']');
}

/* ---- structures, mechanisms ------------------------------------------------------------------ */

static void print_record(struct tape_buf *buf, const struct tape_value *value, bool named);
static void print_mechanism(struct tape_buf *buf, const struct tape_value *value);

/* Text padded with blanks to the member's size, spelled without them where that is exact. */
static void print_chars(struct tape_buf *buf, const struct tape_value *value)
{
	const char *text = value->data;
	size_t length = value->length;
	if (value->form != TAPE_V_BYTES || !tape_text_is_plain(text, length)) {
		print_common(buf, value, false);
		return;
	}
	while (length != 0 && text[length - 1] == ' ')
		length--;
	tape_put_quoted(buf, text, length);
}

static void print_numbers(struct tape_buf *buf, const struct tape_value *value,
                          enum tape_group group)
{
	if (value->form != TAPE_V_LIST) {
		print_common(buf, value, false);
		return;
	}
	if (value->stated) {
		TAPE_PUT(buf, "{\"len\": ");
		tape_print_number(buf, value->number);
		TAPE_PUT(buf, ", \"list\": ");
	}
	tape_put_char(buf, '[');
	for (size_t i = 0; i < value->count; i++) {
		uint64_t number = tape_value_child(value, i)->number;
		if (i != 0)
			TAPE_PUT(buf, ", ");
		if (group == TAPE_G_NONE)
			tape_print_number(buf, number);
		else
			tape_print_constant(buf, group, number);
	}
	tape_put_char(buf, ']');
	if (value->stated)
		tape_put_char(buf, '}');
}

static void print_field_number(struct tape_buf *buf, const struct tape_field *field,
                               uint64_t number)
{
	switch (field->kind) {
	case TAPE_F_LIMIT:
		if (number == CK_EFFECTIVELY_INFINITE)
			TAPE_PUT(buf, "\"infinite\"");
		else
			tape_print_number(buf, number);
		break;
	case TAPE_F_CONSTANT:
		tape_print_constant(buf, (enum tape_group)field->detail, number);
		break;
	case TAPE_F_FLAGS:
		print_flags(buf, (enum tape_group)field->detail, number);
		break;
	case TAPE_F_BOOL:
		print_boolean(buf, number);
		break;
	case TAPE_F_VERSION:
		print_version(buf, number);
		break;
	default:
		tape_print_number(buf, number);
		break;
	}
}

static void print_ulong_array(struct tape_buf *buf, const struct tape_value *value)
{
	tape_put_char(buf, '[');
	for (size_t i = 0; i < value->length; i += sizeof(CK_ULONG)) {
		if (i != 0)
			TAPE_PUT(buf, ", ");
		tape_print_number(buf, ulong_at((const char *)value->data + i));
	}
	tape_put_char(buf, ']');
}

static void print_field(struct tape_buf *buf, const struct tape_field *field,
                        const struct tape_value *value)
{
	if (value->form == TAPE_V_NUMBER) {
		print_field_number(buf, field, value->number);
	} else if (value->form == TAPE_V_RECORD) {
		print_record(buf, value, false);
	} else if (field->kind == TAPE_F_CHARS) {
		print_chars(buf, value);
	} else if (field->kind == TAPE_F_ULONGS && value->form == TAPE_V_BYTES) {
		print_ulong_array(buf, value);
	} else if (field->kind == TAPE_F_P_TEMPLATE) {
		print_template(buf, value, true, false);
	} else if (field->kind == TAPE_F_P_MECHANISM) {
		print_mechanism(buf, value);
	} else if (value->form == TAPE_V_LIST) {
		tape_put_char(buf, '[');
		for (size_t i = 0; i < value->count; i++) {
			const struct tape_value *child = tape_value_child(value, i);
			if (i != 0)
				TAPE_PUT(buf, ", ");
			if (child->form == TAPE_V_RECORD)
				print_record(buf, child, false);
			else if (child->form == TAPE_V_ABSENT)
				TAPE_PUT(buf, "{}");
			else
				print_common(buf, child, false);
		}
		tape_put_char(buf, ']');
	} else {
		print_common(buf, value,
		             field->kind == TAPE_F_P_TEXTZ || field->kind == TAPE_F_P_SECRET ||
		                     field->kind == TAPE_F_P_SECRET_AT);
	}
}

/* In a list of structures an element that the module left alone is an empty mapping. */
static void print_record(struct tape_buf *buf, const struct tape_value *value, bool named)
{
	const struct tape_record *record = &tape_records[value->record];
	bool first = !named;
	tape_put_char(buf, '{');
	if (named) {
		TAPE_PUT(buf, "\"as\": ");
		print_name(buf, &record->name);
	}
	for (size_t i = 0; i < value->count; i++) {
		const struct tape_value *child = tape_value_child(value, i);
		if (child->form == TAPE_V_ABSENT)
			continue;
		const struct tape_field *field = &tape_fields[record->first + i];
		print_key(buf, &field->name, first);
		print_field(buf, field, child);
		first = false;
	}
	tape_put_char(buf, '}');
}

/* What print_record() writes of the values in a structure that has no pointers, straight from memory. */
static void print_image(struct tape_buf *buf, const struct tape_record *record,
                        const unsigned char *image)
{
	tape_put_char(buf, '{');
	for (size_t i = 0; i < record->count; i++) {
		const struct tape_field *field = &tape_fields[record->first + i];
		const unsigned char *at = image + field->offset;
		print_key(buf, &field->name, i == 0);
		switch ((enum tape_field_kind)field->kind) {
		case TAPE_F_BOOL:
		case TAPE_F_BYTE:
			print_field_number(buf, field, *at);
			break;
		case TAPE_F_VERSION:
			print_version(buf, (uint64_t)at[0] << 8 | at[1]);
			break;
		case TAPE_F_CHARS:
		case TAPE_F_FIXED: {
			const struct tape_value bytes = { .form = TAPE_V_BYTES,
				                          .length = field->size,
				                          .data = at };
			print_field(buf, field, &bytes);
			break;
		}
		default:
			print_field_number(buf, field, ulong_at(at));
			break;
		}
	}
	tape_put_char(buf, '}');
}

static void print_parameter(struct tape_buf *buf, const struct tape_value *value)
{
	if (value->form == TAPE_V_RECORD) {
		print_record(buf, value, true);
	} else if (value->form == TAPE_V_NUMBER) {
		if (value->record == TAPE_P_OBJECT)
			TAPE_PUT(buf, "{\"object\": ");
		else
			TAPE_PUT(buf, "{\"ulong\": ");
		tape_print_number(buf, value->number);
		tape_put_char(buf, '}');
	} else {
		print_common(buf, value, false);
	}
}

static void print_mechanism(struct tape_buf *buf, const struct tape_value *value)
{
	if (value->form != TAPE_V_MECHANISM) {
		print_common(buf, value, false);
		return;
	}
	const struct tape_value *parameter = tape_value_child(value, 0);
	TAPE_PUT(buf, "{\"mechanism\": ");
	tape_print_constant(buf, TAPE_G_CKM, value->tag);
	if (parameter->form != TAPE_V_NULL) {
		TAPE_PUT(buf, ", \"parameter\": ");
		print_parameter(buf, parameter);
	}
	tape_put_char(buf, '}');
}

/* ---- C_Initialize, discovery ----------------------------------------------------------------- */

static void print_init_args(struct tape_buf *buf, const struct tape_value *value)
{
	static const char *const mutexes[] = { "CreateMutex", "DestroyMutex", "LockMutex",
		                               "UnlockMutex" };
	if (value->form != TAPE_V_RECORD) {
		print_common(buf, value, false);
		return;
	}
	TAPE_PUT(buf, "{\"flags\": ");
	print_flags(buf, TAPE_G_CKF_INITIALIZE, tape_value_child(value, TAPE_INIT_FLAGS)->number);
	uint64_t given = tape_value_child(value, TAPE_INIT_MUTEXES)->number;
	if (given != 0) {
		const char *separator = "";
		TAPE_PUT(buf, ", \"mutexes\": [");
		for (size_t i = 0; i < TAPE_ARRAY_SIZE(mutexes); i++) {
			if ((given & 1u << i) == 0)
				continue;
			tape_put_text(buf, separator);
			tape_put_quoted(buf, mutexes[i], strlen(mutexes[i]));
			separator = ", ";
		}
		tape_put_char(buf, ']');
	}
	const struct tape_value *reserved = tape_value_child(value, TAPE_INIT_RESERVED);
	if (reserved->form != TAPE_V_ABSENT) {
		TAPE_PUT(buf, ", \"pReserved\": ");
		print_common(buf, reserved, true);
	}
	tape_put_char(buf, '}');
}

static void print_list(struct tape_buf *buf, const struct tape_value *value)
{
	if (value->form != TAPE_V_RECORD) {
		print_common(buf, value, false);
		return;
	}
	const char *separator = "";
	tape_put_char(buf, '{');
	const struct tape_value *name = tape_value_child(value, TAPE_LIST_NAME);
	if (name->form != TAPE_V_ABSENT) {
		TAPE_PUT(buf, "\"name\": ");
		print_common(buf, name, true);
		separator = ", ";
	}
	const struct tape_value *version = tape_value_child(value, TAPE_LIST_VERSION);
	if (version->form != TAPE_V_ABSENT) {
		tape_put_text(buf, separator);
		TAPE_PUT(buf, "\"version\": ");
		print_version(buf, version->number);
		separator = ", ";
	}
	const struct tape_value *flags = tape_value_child(value, TAPE_LIST_FLAGS);
	if (flags->form != TAPE_V_ABSENT) {
		tape_put_text(buf, separator);
		TAPE_PUT(buf, "\"flags\": ");
		print_flags(buf, TAPE_G_CKF_INTERFACE, flags->number);
		separator = ", ";
	}
	const struct tape_value *missing = tape_value_child(value, TAPE_LIST_MISSING);
	if (missing->form == TAPE_V_LIST && missing->count != 0) {
		tape_put_text(buf, separator);
		TAPE_PUT(buf, "\"missing\": [");
		for (size_t i = 0; i < missing->count; i++) {
			if (i != 0)
				TAPE_PUT(buf, ", ");
			print_name(buf, &tape_functions[tape_value_child(missing, i)->number].name);
		}
		tape_put_char(buf, ']');
	}
	tape_put_char(buf, '}');
}

/* ---- arguments ------------------------------------------------------------------------------- */

void tape_print_value(struct tape_buf *buf, const struct tape_function *function,
                      const struct tape_argument *argument, const struct tape_value *value,
                      bool output)
{
	const struct tape_shape *shape = &tape_shapes[argument->kind];
	switch ((enum tape_codec)shape->codec) {
	case TAPE_C_NUMBER:
		tape_print_number(buf, value->number);
		break;
	case TAPE_C_NUMBER_AT:
		if (value->form == TAPE_V_NUMBER)
			tape_print_number(buf, value->number);
		else
			print_common(buf, value, false);
		break;
	case TAPE_C_BOOLEAN:
		print_boolean(buf, value->number);
		break;
	case TAPE_C_CONSTANT:
		tape_print_constant(buf, (enum tape_group)shape->detail, value->number);
		break;
	case TAPE_C_FLAGS:
		print_flags(buf, (enum tape_group)shape->detail, value->number);
		break;
	case TAPE_C_INIT_ARGS:
		print_init_args(buf, value);
		break;
	case TAPE_C_CHARS:
		print_chars(buf, value);
		break;
	case TAPE_C_TEMPLATE:
		print_template(buf, value, !output, !output && (shape->traits & TAPE_T_OUT) != 0);
		break;
	case TAPE_C_MECHANISM:
		if (output && value->form == TAPE_V_MECHANISM)
			print_parameter(buf, tape_value_child(value, 0));
		else
			print_mechanism(buf, value);
		break;
	case TAPE_C_PARAMETER:
		print_parameter(buf, value);
		break;
	case TAPE_C_STRUCT:
		/* A version alone reads better as one word. */
		if (value->form == TAPE_V_RECORD && value->record == TAPE_R_CK_VERSION)
			print_version(buf, tape_value_child(value, 0)->number << 8 |
			                           tape_value_child(value, 1)->number);
		else if (value->form == TAPE_V_RECORD)
			print_record(buf, value, false);
		else if (value->form == TAPE_V_IMAGE)
			print_image(buf, &tape_records[value->record], value->data);
		else
			print_common(buf, value, false);
		break;
	case TAPE_C_LIST_AT:
	case TAPE_C_FOUND:
		print_numbers(buf, value, (enum tape_group)shape->detail);
		break;
	case TAPE_C_FUNCTIONS:
	case TAPE_C_INTERFACE:
		print_list(buf, value);
		break;
	case TAPE_C_INTERFACES:
		if (value->form != TAPE_V_LIST) {
			print_common(buf, value, false);
			break;
		}
		tape_put_char(buf, '[');
		for (size_t i = 0; i < value->count; i++) {
			if (i != 0)
				TAPE_PUT(buf, ", ");
			print_list(buf, tape_value_child(value, i));
		}
		tape_put_char(buf, ']');
		break;
	case TAPE_C_BYTES_AT:
		if (value->form == TAPE_V_ROOM && value->count != 0) {
			TAPE_PUT(buf, "{\"room\": ");
			tape_print_number(buf, value->number);
			TAPE_PUT(buf, ", \"at\": ");
			print_name(buf, &function->arguments[value->count - 1].key);
			tape_put_char(buf, '}');
			break;
		}
		print_common(buf, value, true);
		break;
	default:
		print_common(buf, value, true);
		break;
	}
}

bool tape_print_values(struct tape_buf *buf, const struct tape_function *function,
                       const struct tape_value *values, bool output)
{
	bool any = false;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		if (values[i].form == TAPE_V_ABSENT)
			continue;
		if (any)
			TAPE_PUT(buf, ", ");
		else
			tape_put_char(buf, '{');
		any = true;
		tape_put(buf, argument->json.text, argument->json.length);
		tape_print_value(buf, function, argument, &values[i], output);
	}
	if (any)
		tape_put_char(buf, '}');
	return any;
}
