/* SPDX-License-Identifier: MIT */
#include "replayer/keys/keyring.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/map.h"
#include "core/system.h"

#define MAX_TERMS 4
#define MAX_VALUE \
	((size_t)4096) /* of an attribute: what is longer is no modulus, no name and no point */

/* A term that is no attribute's: the handle. */
#define TERM_HANDLE TAPE_TAG_ANY

struct fact {
	struct fact *next;
	uint64_t type;
	size_t length;
	unsigned char value[];
};

struct object {
	struct object *next;
	size_t trace;
	uint64_t identity, handle;
	size_t line; /* that named it first */
	struct fact *facts;
};

/* What the objects that a session finds have in common. */
struct search {
	struct search *next;
	uint64_t session;
	struct fact *facts;
};

struct given {
	char *text; /* SELECTOR,FILE */
	struct fact *terms;
	struct keys_key *key;
	bool fits;
};

struct keyring {
	const struct keys_table *table;
	struct given given[KEYRING_MAX];
	size_t count;
	struct object *objects, **objects_end;
	struct tape_map places; /* of objects */
	struct search *searches;
	bool failed; /* memory was out */
};

/* What a key can be held against. */
static const uint64_t public_types[] = { CKA_KEY_TYPE, CKA_MODULUS, CKA_PUBLIC_EXPONENT,
	                                 CKA_EC_PARAMS, CKA_EC_POINT };

/* ---- facts --------------------------------------------------------------------------------------- */

static struct fact *find_fact(struct fact *list, uint64_t type)
{
	while (list != NULL && list->type != type)
		list = list->next;
	return list;
}

static void free_facts(struct fact **list)
{
	for (struct fact *fact; (fact = *list) != NULL;) {
		*list = fact->next;
		free(fact);
	}
}

/* Put a fact in the place of an older one. Returns false without memory. */
static bool set_fact(struct fact **list, uint64_t type, const void *value, size_t length)
{
	struct fact *fact = malloc(sizeof(*fact) + length);
	if (fact == NULL)
		return false;
	fact->type = type;
	fact->length = length;
	if (length != 0)
		memcpy(fact->value, value, length);
	for (struct fact **link = list; *link != NULL; link = &(*link)->next)
		if ((*link)->type == type) {
			struct fact *old = *link;
			*link = old->next;
			free(old);
			break;
		}
	fact->next = *list;
	*list = fact;
	return true;
}

static bool is_fact(struct fact *list, uint64_t type, const void *value, size_t length)
{
	const struct fact *fact = find_fact(list, type);
	return fact != NULL && fact->length == length && memcmp(fact->value, value, length) == 0;
}

static bool has_class(const struct object *object, CK_OBJECT_CLASS class)
{
	return is_fact(object->facts, CKA_CLASS, &class, sizeof(class));
}

/* ---- what was given -------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, size_t length, unsigned char *to)
{
	if (length % 2 != 0)
		return false;
	for (size_t i = 0; i < length; i += 2) {
		int high = hex_digit(text[i]);
		int low = hex_digit(text[i + 1]);
		if (high < 0 || low < 0)
			return false;
		to[i / 2] = (unsigned char)(high << 4 | low);
	}
	return true;
}

static int add_handle(struct given *given, const char *value, size_t length,
                      struct tape_error *error)
{
	uint64_t handle = 0;
	bool good = length != 0 && length < 20;
	for (size_t i = 0; good && i < length; i++) {
		good = value[i] >= '0' && value[i] <= '9';
		handle = handle * 10 + (uint64_t)(value[i] - '0');
	}
	if (!good)
		return tape_error_set(error, TAPE_E_INVALID, 0, "%s: '%.*s' is not a handle",
		                      given->text, (int)length, value);
	if (!set_fact(&given->terms, TERM_HANDLE, &handle, sizeof(handle)))
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	return 0;
}

/* NAME=VALUE, `length` characters. */
static int add_term(struct given *given, const char *term, size_t length, struct tape_error *error)
{
	static const char handle[] = "handle";
	unsigned char bytes[MAX_VALUE / 2];
	const char *equals = memchr(term, '=', length);
	uint64_t type = 0;
	bool ambiguous;
	if (equals == NULL)
		return tape_error_set(
			error, TAPE_E_INVALID, 0,
			"%s: CKA_ID=0a1b,FILE or the like is expected: '%.*s' has no value",
			given->text, (int)length, term);
	size_t name = (size_t)(equals - term);
	const char *value = equals + 1;
	size_t value_length = length - name - 1;
	if (name == strlen(handle) && memcmp(term, handle, name) == 0)
		return add_handle(given, value, value_length, error);
	const struct tape_attribute *row = NULL;
	if (tape_attribute_value(term, name, &type, &ambiguous))
		row = tape_attribute_find(type);
	if (row == NULL)
		return tape_error_set(error, TAPE_E_INVALID, 0, "%s: '%.*s' is not an attribute",
		                      given->text, (int)name, term);
	if (value_length > sizeof(bytes))
		return tape_error_set(error, TAPE_E_INVALID, 0, "%s: the value of %s is too long",
		                      given->text, row->name.text);
	bool added;
	if (row->type == TAPE_A_UTF8) {
		added = set_fact(&given->terms, type, value, value_length);
	} else if (row->type == TAPE_A_BYTES || row->type == TAPE_A_BIGINT) {
		if (!read_hex(value, value_length, bytes))
			return tape_error_set(
				error, TAPE_E_INVALID, 0,
				"%s: the value of %s is bytes in hex, two digits each", given->text,
				row->name.text);
		added = set_fact(&given->terms, type, bytes, value_length / 2);
	} else {
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "%s: %s is neither bytes nor text and selects no key",
		                      given->text, row->name.text);
	}
	return added ? 0 : tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
}

/* A label may have a + in it: another term begins only where one can. */
static size_t term_length(const char *term, const char *end)
{
	for (const char *at = term; at < end; at++)
		if (*at == '+' &&
		    (strncmp(at + 1, "CKA_", 4) == 0 || strncmp(at + 1, "handle=", 7) == 0))
			return (size_t)(at - term);
	return (size_t)(end - term);
}

static int read_terms(struct given *given, const char *end, struct tape_error *error)
{
	for (const char *term = given->text;;) {
		size_t length = term_length(term, end);
		int result = add_term(given, term, length, error);
		if (result < 0 || term + length == end)
			return result;
		term += length + 1;
	}
}

/* Returns how many bytes there are, or an error code. */
static int read_file(struct given *given, const char *path, char *to, struct tape_error *error)
{
	size_t length = 0;
	ssize_t got = 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && got > 0 && length <= KEYRING_MAX_FILE) {
		got = read(fd, to + length, KEYRING_MAX_FILE + 1 - length);
		if (got > 0)
			length += (size_t)got;
		else if (got < 0 && errno == EINTR)
			got = 1;
	}
	int reason = errno;
	if (fd >= 0)
		close(fd);
	if (fd < 0 || got < 0)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "%s: %s cannot be read: %s",
		                      given->text, path, strerror(reason));
	if (length > KEYRING_MAX_FILE)
		return tape_error_set(error, TAPE_E_INVALID, 0, "%s: %s is too large for a key",
		                      given->text, path);
	return (int)length;
}

static int read_key(struct keyring *ring, struct given *given, const char *path,
                    struct tape_error *error)
{
	const char *reason = NULL;
	char *pem = malloc(KEYRING_MAX_FILE + 1);
	if (pem == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	int result = read_file(given, path, pem, error);
	if (result >= 0) {
		given->key = ring->table->open(pem, (size_t)result, &reason);
		if (given->key == NULL)
			result = tape_error_set(error, TAPE_E_INVALID, 0, "%s: %s %s", given->text,
			                        path, reason);
	}
	tape_wipe(pem, KEYRING_MAX_FILE + 1);
	free(pem);
	return result < 0 ? result : 0;
}

static int add_given(struct keyring *ring, const char *line, size_t length,
                     struct tape_error *error)
{
	if (ring->count == KEYRING_MAX)
		return tape_error_set(error, TAPE_E_LIMIT, 0, "more than %d keys", KEYRING_MAX);
	struct given *given = &ring->given[ring->count];
	given->text = strndup(line, length);
	if (given->text == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	ring->count++;
	char *comma = strchr(given->text, ',');
	if (comma == NULL || comma[1] == '\0')
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "%s: a selector and a file are expected: CKA_ID=0a1b,FILE",
		                      given->text);
	int result = read_terms(given, comma, error);
	return result < 0 ? result : read_key(ring, given, comma + 1, error);
}

/* ---- the library ----------------------------------------------------------------------------------- */

/*
 * It shows one name and binds everything else within itself: no RTLD_DEEPBIND, which would take the
 * program's own malloc from the C library's calls in it.
 */
static int load(struct keyring *ring, const char *path, struct tape_error *error)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL)
		return tape_error_set(error, TAPE_E_SYSTEM, 0,
		                      "test keys need %s, which cannot be loaded: %s", path,
		                      dlerror());
	keys_fn *function = (keys_fn *)(uintptr_t)dlsym(library, KEYS_SYMBOL);
	ring->table = function == NULL ? NULL : function();
	if (ring->table == NULL)
		return tape_error_set(error, TAPE_E_SYSTEM, 0, "%s cannot be used", path);
	if (ring->table->version != KEYS_VERSION)
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "%s is of another version of p11tape", path);
	return 0;
}

int keyring_open(struct keyring **ret_ring, const char *list, const char *library,
                 struct tape_error *error)
{
	struct keyring *ring = calloc(1, sizeof(*ring));
	if (ring == NULL)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	ring->objects_end = &ring->objects;
	int result = load(ring, library, error);
	while (result >= 0 && *list != '\0') {
		size_t length = strcspn(list, "\n");
		if (length != 0)
			result = add_given(ring, list, length, error);
		list += length + (list[length] == '\n');
	}
	if (result < 0)
		keyring_close(ring);
	else
		*ret_ring = ring;
	return result;
}

void keyring_close(struct keyring *ring)
{
	if (ring == NULL)
		return;
	for (size_t i = 0; i < ring->count; i++) {
		ring->table->close(ring->given[i].key);
		free_facts(&ring->given[i].terms);
		free(ring->given[i].text);
	}
	for (struct object *object; (object = ring->objects) != NULL;) {
		ring->objects = object->next;
		free_facts(&object->facts);
		free(object);
	}
	for (struct search *search; (search = ring->searches) != NULL;) {
		ring->searches = search->next;
		free_facts(&search->facts);
		free(search);
	}
	tape_map_done(&ring->places);
	free(ring);
}

const struct keys_table *keyring_table(const struct keyring *ring)
{
	return ring->table;
}

/* ---- learning --------------------------------------------------------------------------------------- */

static bool is_wanted(const struct keyring *ring, uint64_t type)
{
	if (type == CKA_CLASS || type == CKA_ID)
		return true;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(public_types); i++)
		if (public_types[i] == type)
			return true;
	for (size_t i = 0; i < ring->count; i++)
		if (find_fact(ring->given[i].terms, type) != NULL)
			return true;
	return false;
}

static void learn_template(struct keyring *ring, struct fact **facts, const struct tape_value *list)
{
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++) {
		const struct tape_value *entry = tape_value_child(list, i);
		if (entry->form == TAPE_V_BYTES && entry->stated == 0 &&
		    entry->length <= MAX_VALUE && is_wanted(ring, entry->tag) &&
		    !set_fact(facts, entry->tag, entry->data, entry->length))
			ring->failed = true;
	}
}

static struct object *get_object(struct keyring *ring, size_t trace, uint64_t identity,
                                 uint64_t handle, size_t line)
{
	/* A number of both: where two come to one, which is rare, the first is looked for by itself. */
	uint64_t place = identity ^ ((uint64_t)trace * 0x9e3779b97f4a7c15u);
	uint64_t at = 0;
	struct object *object = ring->objects;
	if (!tape_map_get(&ring->places, place, &at))
		object = NULL;
	else if (((struct object *)(uintptr_t)at)->identity == identity)
		object = (struct object *)(uintptr_t)at;
	while (object != NULL && (object->trace != trace || object->identity != identity))
		object = object->next;
	if (object != NULL)
		return object;
	object = calloc(1, sizeof(*object));
	if (object == NULL) {
		ring->failed = true;
		return NULL;
	}
	object->trace = trace;
	object->identity = identity;
	object->handle = handle;
	object->line = line;
	if (!set_fact(&object->facts, TERM_HANDLE, &handle, sizeof(handle)))
		ring->failed = true;
	if (!tape_map_put(&ring->places, place, (uintptr_t)object))
		ring->failed = true;
	*ring->objects_end = object;
	ring->objects_end = &object->next;
	return object;
}

static struct search *get_search(struct keyring *ring, uint64_t session)
{
	for (struct search *search = ring->searches; search != NULL; search = search->next)
		if (search->session == session)
			return search;
	struct search *search = calloc(1, sizeof(*search));
	if (search == NULL) {
		ring->failed = true;
		return NULL;
	}
	search->session = session;
	search->next = ring->searches;
	ring->searches = search;
	return search;
}

struct lesson {
	struct keyring *ring;
	size_t trace;
	const struct tape_function *function;
	const struct tape_value *in, *out;
	uint64_t session;
	size_t line;
	keyring_identity_fn *identity;
	void *context;
};

static struct object *named(const struct lesson *lesson, uint64_t handle)
{
	return get_object(lesson->ring, lesson->trace,
	                  lesson->identity(lesson->context, lesson->session, handle), handle,
	                  lesson->line);
}

static void add_facts(const struct lesson *lesson, struct object *to, const struct fact *facts)
{
	for (const struct fact *fact = facts; fact != NULL; fact = fact->next)
		if (!set_fact(&to->facts, fact->type, fact->value, fact->length))
			lesson->ring->failed = true;
}

static void learn_found(const struct lesson *lesson, const struct tape_value *list)
{
	const struct search *search = get_search(lesson->ring, lesson->session);
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++) {
		struct object *object = named(lesson, tape_value_child(list, i)->number);
		if (object == NULL || search == NULL)
			return;
		add_facts(lesson, object, search->facts);
	}
}

static struct object *first_object(const struct lesson *lesson)
{
	for (size_t i = 0; i < lesson->function->count; i++)
		if (lesson->function->arguments[i].kind == TAPE_K_OBJECT)
			return named(lesson, lesson->in[i].number);
	return NULL;
}

/* A template of the function's first object: what was read, or what it was changed to. */
static void learn_of(const struct lesson *lesson, size_t i, CK_RV rv)
{
	const struct tape_function *function = lesson->function;
	bool reads = (tape_shapes[function->arguments[i].kind].traits & TAPE_T_OUT) != 0;
	/* A copy's template is another object's, which is named by an output. */
	for (size_t j = 0; j < function->count; j++)
		if (function->arguments[j].kind == TAPE_K_OUT_OBJECT)
			return;
	struct object *object = reads || rv == CKR_OK ? first_object(lesson) : NULL;
	if (object != NULL)
		learn_template(lesson->ring, &object->facts,
		               reads ? &lesson->out[i] : &lesson->in[i]);
}

/*
 * A new object is what the template says that goes with it: C_GenerateKeyPair has two of each. A copy is what
 * its source is, but for that (PKCS#11 3.1 §5.7.2): the same key.
 */
static void learn_made(const struct lesson *lesson, uint64_t handle, size_t number)
{
	const struct tape_function *function = lesson->function;
	struct object *object = named(lesson, handle);
	for (size_t i = 0; i < function->count && object != NULL; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if (shape->codec != TAPE_C_TEMPLATE || number-- != 0)
			continue;
		if ((shape->traits & TAPE_T_OF) != 0) {
			const struct object *source = first_object(lesson);
			if (source != NULL && source != object)
				add_facts(lesson, object, source->facts);
		}
		learn_template(lesson->ring, &object->facts, &lesson->in[i]);
		return;
	}
}

void keyring_learn(struct keyring *ring, size_t trace, const struct tape_function *function,
                   const struct tape_value *in, const struct tape_value *out, CK_RV rv, size_t line,
                   keyring_identity_fn *identity, void *context)
{
	uint64_t session = function->lane < 0 ? 0 : in[function->lane].number;
	const struct lesson lesson = { ring,    trace, function, in,     out,
		                       session, line,  identity, context };
	size_t made = 0;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if ((shape->traits & TAPE_T_OF) != 0) {
			learn_of(&lesson, i, rv);
		} else if (rv != CKR_OK) {
			continue;
		} else if ((shape->traits & TAPE_T_SEEKS) != 0) {
			struct search *search = get_search(ring, session);
			if (search == NULL)
				continue;
			free_facts(&search->facts);
			learn_template(ring, &search->facts, &in[i]);
		} else if (function->arguments[i].kind == TAPE_K_OUT_OBJECTS) {
			learn_found(&lesson, &out[i]);
		} else if (function->arguments[i].kind == TAPE_K_OUT_OBJECT &&
		           out[i].form == TAPE_V_NUMBER) {
			learn_made(&lesson, out[i].number, made++);
		}
	}
}

/* ---- whether they fit --------------------------------------------------------------------------------- */

/* Whether it is the object that a key was given for; UNKNOWN where not all that counts is known. */
static enum keys_match select_object(const struct given *given, const struct object *object)
{
	enum keys_match match = KEYS_SAME;
	if (!has_class(object, CKO_PRIVATE_KEY))
		match = find_fact(object->facts, CKA_CLASS) == NULL ? KEYS_UNKNOWN : KEYS_OTHER;
	for (const struct fact *term = given->terms; term != NULL && match != KEYS_OTHER;
	     term = term->next)
		if (find_fact(object->facts, term->type) == NULL)
			match = KEYS_UNKNOWN;
		else if (!is_fact(object->facts, term->type, term->value, term->length))
			match = KEYS_OTHER;
	return match;
}

static bool selects(const struct given *given, const struct object *object)
{
	return select_object(given, object) == KEYS_SAME;
}

/* What an object shows that is not the key's. */
static const struct fact *contradiction(const struct keyring *ring, const struct given *given,
                                        const struct object *object)
{
	for (const struct fact *fact = object->facts; fact != NULL; fact = fact->next)
		if (ring->table->match(given->key, (CK_ATTRIBUTE_TYPE)fact->type, fact->value,
		                       fact->length) == KEYS_OTHER)
			return fact;
	return NULL;
}

/* A public key of the same CKA_ID (PKCS#11 3.1 §4.8) tells what modules do not show of the private one. */
static bool is_companion(const struct keyring *ring, const struct given *given,
                         const struct object *object, const struct object *private)
{
	const struct fact *id = find_fact(private->facts, CKA_ID);
	const struct fact *type = find_fact(object->facts, CKA_KEY_TYPE);
	return id != NULL && id->length != 0 && type != NULL && has_class(object, CKO_PUBLIC_KEY) &&
	       is_fact(object->facts, CKA_ID, id->value, id->length) &&
	       ring->table->match(given->key, CKA_KEY_TYPE, type->value, type->length) == KEYS_SAME;
}

static int check_object(const struct keyring *ring, const struct given *given,
                        const struct object *private, struct tape_error *error)
{
	for (const struct object *object = ring->objects; object != NULL; object = object->next) {
		if (object != private && (object->trace != private->trace ||
		                          !is_companion(ring, given, object, private)))
			continue;
		const struct fact *fact = contradiction(ring, given, object);
		if (fact != NULL)
			return tape_error_set(
				error, TAPE_E_INVALID, 0,
				"%s: the key of handle %llu, which the trace names at "
				"line %zu, is another one: its %s differs",
				given->text, (unsigned long long)object->handle, object->line,
				tape_attribute_name(fact->type)->text);
	}
	return 0;
}

static int nothing_selected(const struct keyring *ring, const struct given *given,
                            struct tape_error *error)
{
	char names[160] = "";
	size_t length = 0;
	for (const struct object *object = ring->objects; object != NULL; object = object->next) {
		const struct fact *id = find_fact(object->facts, CKA_ID);
		if (!has_class(object, CKO_PRIVATE_KEY))
			continue;
		length += (size_t)snprintf(names + length, sizeof(names) - length, "%shandle=%llu",
		                           length == 0 ? "" : ", ",
		                           (unsigned long long)object->handle);
		if (id != NULL && length < sizeof(names) - 40 && id->length <= 8) {
			length += (size_t)snprintf(names + length, sizeof(names) - length,
			                           "+CKA_ID=");
			for (size_t i = 0; i < id->length; i++)
				length += (size_t)snprintf(names + length, sizeof(names) - length,
				                           "%02x", id->value[i]);
		}
		if (length > sizeof(names) - 64) {
			length += (size_t)snprintf(names + length, sizeof(names) - length, ", …");
			break;
		}
	}
	return tape_error_set(
		error, TAPE_E_INVALID, 0,
		"%s: the trace shows no private key with this; those that it shows: %s",
		given->text, length == 0 ? "none" : names);
}

/* Another key that fits is for the same object. */
static int check_others(const struct keyring *ring, size_t index, const struct object *object,
                        struct tape_error *error)
{
	for (size_t i = 0; i < index; i++)
		if (ring->given[i].fits && selects(&ring->given[i], object))
			return tape_error_set(error, TAPE_E_LIMIT, 0,
			                      "%s: the key of handle %llu is selected by %s, too",
			                      ring->given[index].text,
			                      (unsigned long long)object->handle,
			                      ring->given[i].text);
	return 0;
}

size_t keyring_count(const struct keyring *ring)
{
	return ring->count;
}

int keyring_fits(struct keyring *ring, size_t index, struct tape_error *error)
{
	struct given *given = &ring->given[index];
	bool found = false;
	given->fits = false;
	if (ring->failed)
		return tape_error_set(error, TAPE_E_MEMORY, 0, "out of memory");
	int result = 0;
	/* One object may show what another process's, which looks alike, does not. */
	for (const struct object *object = ring->objects; object != NULL && result >= 0;
	     object = object->next)
		if (selects(given, object)) {
			result = check_object(ring, given, object, error);
			found = true;
		}
	for (const struct object *object = ring->objects; object != NULL && result >= 0;
	     object = object->next)
		if (selects(given, object))
			result = check_others(ring, index, object, error);
	if (result < 0)
		return result;
	given->fits = found;
	if (!found)
		(void)nothing_selected(ring, given, error);
	return found;
}

int keyring_check(struct keyring *ring, bool all, struct tape_error *error)
{
	for (size_t i = 0; i < ring->count; i++) {
		int result = keyring_fits(ring, i, error);
		if (result < 0)
			return result;
		if (result == 0 && all)
			return -TAPE_E_INVALID;
	}
	return 0;
}

const struct keys_key *keyring_find(const struct keyring *ring, size_t trace, uint64_t identity)
{
	const struct given *elsewhere = NULL;
	for (size_t i = 0; i < ring->count; i++) {
		const struct given *given = &ring->given[i];
		enum keys_match own = KEYS_UNKNOWN;
		bool others = false;
		for (const struct object *object = ring->objects; object != NULL;
		     object = object->next) {
			if (object->identity != identity)
				continue;
			enum keys_match match = select_object(given, object);
			if (object->trace == trace)
				own = match;
			else
				others |= match == KEYS_SAME;
		}
		if (own == KEYS_SAME)
			return given->key;
		if (own == KEYS_UNKNOWN && others)
			elsewhere = given;
	}
	return elsewhere == NULL ? NULL : elsewhere->key;
}
