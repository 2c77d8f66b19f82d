/* SPDX-License-Identifier: MIT
 *
 * Objects for checks: templates that are built and changed an attribute at a time, and objects of every
 * kind with known contents.
 *
 * Objects are session objects unless a template says otherwise. A token object of a check carries the
 * label OBJECT_LABEL: what is left of them after a crash is found by it and destroyed.
 */
#ifndef TAPE_SUITES_OBJECTS_H
#define TAPE_SUITES_OBJECTS_H

#include "suites/check.h"

#define OBJECT_LABEL "p11tape check"

/* ---- templates --------------------------------------------------------------------------------------- */

#define TEMPLATE_ENTRIES 40
#define TEMPLATE_STORAGE 4096

struct template
{
	CK_ATTRIBUTE entry[TEMPLATE_ENTRIES];
	CK_ULONG count;
	_Alignas(16) unsigned char
		storage[TEMPLATE_STORAGE]; /* of the values; a template is not copied */
	size_t used;
};

/* Begin with nothing. */
void template_clear(struct template *t);

/* Give an attribute a value; one that is there already gets the new one. */
void template_ulong(struct template *t, CK_ATTRIBUTE_TYPE type, CK_ULONG value);
void template_bool(struct template *t, CK_ATTRIBUTE_TYPE type, bool value);
void template_bytes(struct template *t, CK_ATTRIBUTE_TYPE type, const void *bytes, size_t size);

/* The same, where memory ends behind the value. */
void template_guarded(struct check *c, struct template *t, CK_ATTRIBUTE_TYPE type,
                      const void *bytes, size_t size);
void template_text(struct template *t, CK_ATTRIBUTE_TYPE type, const char *text);

/* A row of a table of attributes. */
struct template_value {
	CK_ATTRIBUTE_TYPE type;
	enum { VALUE_IS_BYTES, VALUE_IS_ULONG, VALUE_IS_BOOL } form;
	CK_ULONG number; /* of ULONG and BOOL; of BYTES, their number */
	const void *bytes;
};

#define VALUE_BYTES(type, bytes)                           \
	{                                                  \
		type, VALUE_IS_BYTES, sizeof(bytes), bytes \
	}
#define VALUE_TEXT(type, text)                               \
	{                                                    \
		type, VALUE_IS_BYTES, sizeof(text) - 1, text \
	}
#define VALUE_ULONG(type, number)                  \
	{                                          \
		type, VALUE_IS_ULONG, number, NULL \
	}
#define VALUE_BOOL(type, number)                  \
	{                                         \
		type, VALUE_IS_BOOL, number, NULL \
	}

/* Begin with what a table says, for a session object with the label OBJECT_LABEL. */
void template_of(struct template *t, const struct template_value *values, size_t count,
                 bool is_private);

void template_remove(struct template *t, CK_ATTRIBUTE_TYPE type);
CK_ATTRIBUTE *template_find(struct template *t, CK_ATTRIBUTE_TYPE type);

/* ---- objects ----------------------------------------------------------------------------------------- */

enum object_kind {
	OBJECT_DATA,
	OBJECT_CERTIFICATE, /* X.509 */
	OBJECT_SECRET,      /* CKK_GENERIC_SECRET, 32 bytes */
	OBJECT_AES,         /* 16 bytes */
	OBJECT_RSA_PUBLIC,  /* 2048 bits */
	OBJECT_RSA_PRIVATE,
	OBJECT_EC_PUBLIC, /* P-256 */
	OBJECT_EC_PRIVATE,
	OBJECT_KINDS
};

/* "aes". */
const char *object_name(enum object_kind kind);

/*
 * What C_CreateObject needs for such an object, and: a session object; keys with every use that their
 * type has; secret and private ones neither sensitive nor unextractable, and not CKA_PRIVATE, so that
 * no login is needed for them, where `c`'s session is a public one.
 */
void object_template(const struct check *c, struct template *t, enum object_kind kind);

/*
 * Create an object in c->session of what object_template() says. Where the module creates no such object,
 * keys are generated; where it can do neither, the check is skipped.
 */
CK_OBJECT_HANDLE object_make(struct check *c, enum object_kind kind);

/* Create an object of a template; skips the check where it is refused. */
CK_OBJECT_HANDLE object_create(struct check *c, struct template *t);

/* Read one attribute into `room` bytes at `to`. Returns what C_GetAttributeValue returned, *ret_size too. */
CK_RV object_read(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type, void *to,
                  CK_ULONG room, CK_ULONG *ret_size);

/* A CK_BBOOL or CK_ULONG attribute; skips the check where it cannot be read. */
bool object_bool(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);
CK_ULONG object_ulong(struct check *c, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type);

/* How many objects a search finds that matches the template (NULL: all), at most `room`; fills `found`. */
size_t object_find(struct check *c, struct template *t, CK_OBJECT_HANDLE *found, size_t room);

/* Destroy every object that carries OBJECT_LABEL and can be seen. */
void object_sweep(struct check *c);

#endif
