/* SPDX-License-Identifier: MIT */
#include "core/inject.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/system.h"
#include "core/value.h"

enum action {
	ACTION_RV = 1 << 0,
	ACTION_DELAY = 1 << 1,
	ACTION_CRASH = 1 << 2,
	ACTION_HANG = 1 << 3,
	ACTION_TRUNCATE = 1 << 4,
	ACTION_HIDE_MECHANISM = 1 << 5,
	ACTION_HIDE_ATTRIBUTE = 1 << 6,
};

#define ACTION_HIDE (ACTION_HIDE_MECHANISM | ACTION_HIDE_ATTRIBUTE)

/* What does not come back before people look for it is better said as `hang`. */
#define MAX_DELAY_NS UINT64_C(86400000000000)

/* Memory for a template whose entries are hidden. */
#define MAX_SHADOW ((size_t)1 << 30)

/* ---- reading rules --------------------------------------------------------------------------- */

struct word {
	const char *text;
	size_t length;
};

struct reading {
	struct word rule; /* for errors */
	struct tape_injection *injection;
	bool when;
	struct tape_error *error;
};

static int refuse(const struct reading *reading, struct word word, const char *why)
{
	return tape_error_set(reading->error, TAPE_E_INVALID, 0, "'%.*s': '%.*s' %s",
	                      (int)(reading->rule.length < 120 ? reading->rule.length : 120),
	                      reading->rule.text, (int)(word.length < 60 ? word.length : 60),
	                      word.text, why);
}

static bool is_word(struct word word, const char *text)
{
	return strlen(text) == word.length && memcmp(word.text, text, word.length) == 0;
}

/* Cut the first part off, up to `separator` or to the end. */
static struct word cut(struct word *from, char separator)
{
	const char *end = memchr(from->text, separator, from->length);
	struct word part = { from->text, end == NULL ? from->length : (size_t)(end - from->text) };
	size_t used = part.length + (end != NULL);
	from->text += used;
	from->length -= used;
	return part;
}

/* A whole decimal number, or a hexadecimal one behind 0x. */
static bool read_number(struct word word, uint64_t *ret_number)
{
	uint64_t base = 10;
	uint64_t number = 0;
	if (word.length > 2 && memcmp(word.text, "0x", 2) == 0) {
		base = 16;
		word.text += 2;
		word.length -= 2;
	}
	for (size_t i = 0; i < word.length; i++) {
		char c = word.text[i];
		uint64_t digit = c >= '0' && c <= '9'                 ? (uint64_t)(c - '0')
		                 : base == 16 && c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10)
		                 : base == 16 && c >= 'A' && c <= 'F' ? (uint64_t)(c - 'A' + 10)
		                                                      : base;
		if (digit == base || number > (UINT64_MAX - digit) / base)
			return false;
		number = number * base + digit;
	}
	*ret_number = number;
	return word.length != 0;
}

/* Whether a name is of the pattern, in which * stands for anything and ? for one character. */
static bool fits_pattern(const char *name, struct word pattern)
{
	const char *retry_name = NULL;
	struct word retry = { NULL, 0 };
	while (*name != 0) {
		if (pattern.length != 0 && pattern.text[0] == '*') {
			cut(&pattern, '*');
			retry = pattern;
			retry_name = name;
		} else if (pattern.length != 0 &&
		           (pattern.text[0] == '?' || pattern.text[0] == *name)) {
			pattern.text++;
			pattern.length--;
			name++;
		} else if (retry_name != NULL) {
			name = ++retry_name;
			pattern = retry;
		} else {
			return false;
		}
	}
	while (pattern.length != 0 && pattern.text[0] == '*') {
		pattern.text++;
		pattern.length--;
	}
	return pattern.length == 0;
}

static int read_functions(struct reading *reading, struct word set)
{
	static const struct word everything = { "*", 1 };
	do {
		struct word name = cut(&set, ',');
		struct word pattern = is_word(name, "all") ? everything : name;
		bool any = false;
		for (size_t i = 0; i < TAPE_FN_COUNT; i++)
			if (fits_pattern(tape_functions[i].name.text, pattern))
				any = reading->injection->functions[i] = true;
		if (!any)
			return refuse(reading, name, "is not a function of PKCS#11 3.2");
	} while (set.length != 0);
	return 0;
}

static int read_rv(struct reading *reading, struct word value)
{
	const struct tape_constant *row = NULL;
	uint64_t rv;
	if (!read_number(value, &rv) &&
	    !tape_constant_value(TAPE_G_CKR, value.text, value.length, &rv, &row))
		return refuse(reading, value,
		              row != NULL ? "has two values in headers that are in use: say which, "
		                            "as a number"
		                          : "is neither the name of a return value nor a number");
	if (rv > (CK_RV)-1)
		return refuse(reading, value, "does not fit a CK_RV");
	reading->injection->rv = (CK_RV)rv;
	reading->injection->actions |= ACTION_RV;
	return 0;
}

static int read_delay(struct reading *reading, struct word value, uint64_t *ret_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
	struct word number = value;
	uint64_t count;
	/* As strace has it: microseconds where nothing else is said. */
	uint64_t ns = 1000;
	while (number.length != 0 && (unsigned char)(number.text[number.length - 1] - '0') > 9)
		number.length--;
	struct word unit = { number.text + number.length, value.length - number.length };
	bool known = unit.length == 0;
	for (size_t i = 0; i < TAPE_ARRAY_SIZE(units); i++)
		if (is_word(unit, units[i].unit)) {
			ns = units[i].ns;
			known = true;
		}
	if (!known || !read_number(number, &count))
		return refuse(reading, value, "is not a time such as 100ms (us, ms, s)");
	if (count > MAX_DELAY_NS / ns)
		return refuse(reading, value, "is more than a day: 'hang' is for ever");
	*ret_ns = count * ns;
	reading->injection->actions |= ACTION_DELAY;
	return 0;
}

static int read_hidden(struct reading *reading, struct word name)
{
	struct tape_injection *injection = reading->injection;
	const struct tape_constant *row = NULL;
	bool ambiguous = false;
	bool mechanism = name.length > 4 && memcmp(name.text, "CKM_", 4) == 0;
	bool attribute = name.length > 4 && memcmp(name.text, "CKA_", 4) == 0;
	struct word number = { name.text + 4, name.length - 4 };
	if ((injection->actions & ACTION_HIDE) != 0)
		return refuse(reading, name, "is a second one to hide: give it a rule of its own");
	if (!mechanism && !attribute)
		return refuse(reading, name, "is neither CKM_… nor CKA_…");
	injection->actions |= mechanism ? ACTION_HIDE_MECHANISM : ACTION_HIDE_ATTRIBUTE;
	/* What has no name is CKA_0x80001234. */
	if (number.length > 2 && memcmp(number.text, "0x", 2) == 0 &&
	    read_number(number, &injection->hidden))
		return 0;
	if (mechanism
	            ? tape_constant_value(TAPE_G_CKM, name.text, name.length, &injection->hidden,
	                                  &row)
	            : tape_attribute_value(name.text, name.length, &injection->hidden, &ambiguous))
		return 0;
	if (ambiguous || row != NULL)
		return refuse(reading, name,
		              "has two values in headers that are in use: say which, as CKA_0x…");
	return refuse(reading, name, "is not known; a number is CKM_0x… or CKA_0x…");
}

/* FIRST, FIRST+, FIRST+STEP, FIRST..LAST, FIRST..LAST+STEP: as strace has it. */
static int read_when(struct reading *reading, struct word value)
{
	struct tape_injection *injection = reading->injection;
	struct word range = value;
	struct word first = cut(&range, '+');
	bool steps = first.length != value.length;
	struct word last = first;
	uint64_t number;
	size_t dots = 0;
	while (dots + 1 < first.length && memcmp(first.text + dots, "..", 2) != 0)
		dots++;
	bool until = dots + 1 < first.length;
	if (until) {
		first.length = dots;
		last.text += dots + 2;
		last.length -= dots + 2;
	}
	injection->step = 1;
	if (!read_number(first, &number) || number == 0 ||
	    (until && (!read_number(last, &injection->last) || injection->last < number)) ||
	    (range.length != 0 && (!read_number(range, &injection->step) || injection->step == 0)))
		return refuse(reading, value,
		              "is not FIRST[..LAST][+[STEP]], counted from 1: 3, 3+, 3+2, 3..5");
	injection->first = number;
	if (!until)
		injection->last = steps ? UINT64_MAX : number;
	reading->when = true;
	return 0;
}

static int read_filter(struct reading *reading, struct word key, struct word value)
{
	static const char *const names[TAPE_INJECT_FILTERS] = { "session", "object", "slot",
		                                                "thread" };
	struct tape_injection *injection = reading->injection;
	size_t i = 0;
	while (i < TAPE_INJECT_FILTERS && !is_word(key, names[i]))
		i++;
	if (i == TAPE_INJECT_FILTERS)
		return refuse(reading, key,
		              "is not known here: rv, delay, delay_enter, delay_exit, crash, hang, "
		              "truncate, hide, when, session, object, slot and thread are");
	if (!read_number(value, &injection->filter[i]))
		return refuse(reading, value, "is not a number");
	injection->filters |= 1u << i;
	return 0;
}

static void add_text(struct tape_injection *injection, struct word item)
{
	size_t at = strlen(injection->text);
	if (at != 0)
		injection->text[at++] = ':';
	memcpy(injection->text + at, item.text, item.length);
	injection->text[at + item.length] = 0;
}

static int read_item(struct reading *reading, struct word item)
{
	struct tape_injection *injection = reading->injection;
	struct word value = item;
	struct word key = cut(&value, '=');
	bool has_value = key.length != item.length;
	unsigned int actions = injection->actions;
	int result = 0;
	if (!has_value && is_word(item, "crash")) {
		injection->actions |= ACTION_CRASH;
	} else if (!has_value && is_word(item, "hang")) {
		injection->actions |= ACTION_HANG;
	} else if (!has_value) {
		return refuse(reading, item, "is not an action; 'crash' and 'hang' take no value");
	} else if (is_word(key, "rv")) {
		result = read_rv(reading, value);
	} else if (is_word(key, "delay") || is_word(key, "delay_enter")) {
		result = read_delay(reading, value, &injection->delay_enter);
	} else if (is_word(key, "delay_exit")) {
		result = read_delay(reading, value, &injection->delay_exit);
		actions &= ~(unsigned int)ACTION_DELAY;
	} else if (is_word(key, "truncate")) {
		injection->actions |= ACTION_TRUNCATE;
		if (!read_number(value, &injection->truncate))
			return refuse(reading, value, "is not a number of bytes");
	} else if (is_word(key, "hide")) {
		result = read_hidden(reading, value);
	} else if (is_word(key, "when")) {
		return reading->when ? refuse(reading, item, "is a second 'when'")
		                     : read_when(reading, value);
	} else {
		return read_filter(reading, key, value);
	}
	if (result < 0)
		return result;
	if (injection->actions == actions)
		return refuse(reading, item, "stands there twice");
	if (strlen(injection->text) + item.length + 2 > sizeof(injection->text))
		return refuse(reading, item, "is one action too many");
	add_text(injection, item);
	return 0;
}

int tape_inject_add(struct tape_injections *injections, const char *text, size_t length,
                    struct tape_error *error)
{
	struct word rest = { text, length };
	struct reading reading = { .rule = rest, .error = error };
	for (size_t i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return tape_error_set(error, TAPE_E_INVALID, 0,
			                      "a rule is FUNCTIONS:ACTION[:when=…], in plain "
			                      "characters without blanks");
	if (injections->count == TAPE_INJECT_MAX)
		return tape_error_set(error, TAPE_E_LIMIT, 0, "more than %d rules",
		                      TAPE_INJECT_MAX);
	struct tape_injection *injection = &injections->rules[injections->count];
	memset(injection, 0, sizeof(*injection));
	reading.injection = injection;
	injection->first = injection->step = 1;
	injection->last = UINT64_MAX;
	int result = read_functions(&reading, cut(&rest, ':'));
	while (result == 0 && rest.length != 0)
		result = read_item(&reading, cut(&rest, ':'));
	if (result < 0)
		return result;
	if (injection->actions == 0)
		return tape_error_set(error, TAPE_E_INVALID, 0,
		                      "'%.*s' says of no call what is to happen, such as "
		                      "C_Sign:rv=CKR_DEVICE_REMOVED:when=3",
		                      (int)(length < 120 ? length : 120), text);
	injections->by_thread |= (injection->filters & 1u << TAPE_INJECT_THREAD) != 0;
	injections->count++;
	return 0;
}

int tape_inject_read(struct tape_injections *injections, const char *list, struct tape_error *error)
{
	static const char between[] = " \t\r\n";
	for (list += strspn(list, between); *list != 0; list += strspn(list, between)) {
		size_t length = strcspn(list, between);
		int result = tape_inject_add(injections, list, length, error);
		if (result < 0)
			return result;
		list += length;
	}
	return 0;
}

/* ---- which calls ----------------------------------------------------------------------------- */

static bool is_template(CK_ATTRIBUTE_TYPE type)
{
	const struct tape_attribute *row = tape_attribute_find(type);
	return row != NULL && row->type == TAPE_A_TEMPLATE;
}

/* Attributes that can be read; NULL where there are none. A module would look at them too. */
static CK_ATTRIBUTE *attributes_at(uintptr_t pointer, CK_ULONG count)
{
	return pointer != 0 && count <= TAPE_MAX_ELEMENTS &&
	                       tape_readable((void *)pointer, count * sizeof(CK_ATTRIBUTE))
	               ? (CK_ATTRIBUTE *)pointer
	               : NULL;
}

/* How many attributes an entry has in it; 0 for other values. */
static CK_ULONG nested_in(const CK_ATTRIBUTE *attribute)
{
	return attribute->pValue == NULL || !is_template(attribute->type) ||
	                       attribute->ulValueLen == CK_UNAVAILABLE_INFORMATION
	               ? 0
	               : attribute->ulValueLen / sizeof(CK_ATTRIBUTE);
}

/* Whether a template names the attribute, in an array of attributes too. */
static bool template_has(uintptr_t pointer, CK_ULONG count, uint64_t type, unsigned int depth)
{
	const CK_ATTRIBUTE *list = attributes_at(pointer, count);
	for (CK_ULONG i = 0; list != NULL && i < count; i++) {
		CK_ULONG nested = nested_in(&list[i]);
		if (list[i].type == type ||
		    (nested != 0 && depth < TAPE_MAX_DEPTH &&
		     template_has((uintptr_t)list[i].pValue, nested, type, depth + 1)))
			return true;
	}
	return false;
}

/* Whether the answer may have the attribute: it is asked for, or what is in an array is the module's to say. */
static bool reading_has(uintptr_t pointer, CK_ULONG count, uint64_t type)
{
	const CK_ATTRIBUTE *list = attributes_at(pointer, count);
	for (CK_ULONG i = 0; list != NULL && i < count; i++)
		if (list[i].type == type || nested_in(&list[i]) != 0)
			return true;
	return false;
}

/* Whether values are read, and not only their lengths. */
static bool has_room(uintptr_t pointer, CK_ULONG count)
{
	const CK_ATTRIBUTE *list = attributes_at(pointer, count);
	for (CK_ULONG i = 0; list != NULL && i < count; i++)
		if (list[i].pValue != NULL)
			return true;
	return false;
}

static bool is_mechanism_list(const struct tape_shape *shape)
{
	return shape->codec == TAPE_C_LIST_AT && shape->detail == TAPE_G_CKM;
}

static bool names_mechanism(const struct tape_shape *shape, const uintptr_t *w, uint64_t hidden)
{
	CK_MECHANISM mechanism;
	if (shape->codec == TAPE_C_CONSTANT)
		return shape->detail == TAPE_G_CKM && w[0] == hidden;
	return shape->codec == TAPE_C_MECHANISM && w[0] != 0 &&
	       tape_peek(&mechanism, (void *)w[0], sizeof(mechanism)) &&
	       mechanism.mechanism == hidden;
}

static bool names_attribute(const struct tape_shape *shape, const uintptr_t *w, uint64_t hidden)
{
	return shape->codec == TAPE_C_TEMPLATE && (shape->traits & TAPE_T_OUT) == 0 &&
	       template_has(w[0], w[1], hidden, 1);
}

/* Whether an action has anything to do with an argument. */
static bool concerns(const struct tape_injection *injection, const struct tape_shape *shape,
                     const uintptr_t *w)
{
	bool reading = shape->codec == TAPE_C_TEMPLATE && (shape->traits & TAPE_T_OUT) != 0;
	if ((injection->actions & ACTION_HIDE_MECHANISM) != 0)
		return names_mechanism(shape, w, injection->hidden) || is_mechanism_list(shape);
	if ((injection->actions & ACTION_HIDE_ATTRIBUTE) != 0)
		return reading ? reading_has(w[0], w[1], injection->hidden)
		               : names_attribute(shape, w, injection->hidden);
	return (reading && has_room(w[0], w[1])) ||
	       (shape->codec == TAPE_C_BYTES_AT && w[0] != 0 && w[1] != 0);
}

static bool fits(const struct tape_injection *injection, const struct tape_function *function,
                 const uintptr_t *words, uint64_t thread)
{
	static const uint8_t kinds[] = { [TAPE_INJECT_SESSION] = TAPE_K_SESSION,
		                         [TAPE_INJECT_OBJECT] = TAPE_K_OBJECT,
		                         [TAPE_INJECT_SLOT] = TAPE_K_SLOT };
	unsigned int met = 0;
	bool concerned = (injection->actions & (ACTION_HIDE | ACTION_TRUNCATE)) == 0;
	if (!injection->functions[function - tape_functions])
		return false;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_argument *argument = &function->arguments[i];
		const uintptr_t *w = words + argument->word;
		for (size_t f = 0; f < TAPE_ARRAY_SIZE(kinds); f++)
			if (argument->kind == kinds[f] && w[0] == injection->filter[f])
				met |= 1u << f;
		concerned = concerned || concerns(injection, &tape_shapes[argument->kind], w);
	}
	if (thread == injection->filter[TAPE_INJECT_THREAD])
		met |= 1u << TAPE_INJECT_THREAD;
	return concerned && (met & injection->filters) == injection->filters;
}

uint32_t tape_inject_choose(struct tape_injections *injections,
                            const struct tape_function *function, const uintptr_t *words,
                            uint64_t thread)
{
	uint32_t rules = 0;
	for (size_t i = 0; i < injections->count; i++) {
		struct tape_injection *injection = &injections->rules[i];
		if (!fits(injection, function, words, thread))
			continue;
		uint64_t number = atomic_fetch_add(&injection->seen, 1) + 1;
		if (number >= injection->first && number <= injection->last &&
		    (number - injection->first) % injection->step == 0)
			rules |= 1u << i;
	}
	return rules;
}

void tape_inject_put(struct tape_buf *buf, const struct tape_injections *injections, uint32_t rules)
{
	const char *separator = "";
	for (size_t i = 0; i < injections->count; i++) {
		if ((rules & 1u << i) == 0)
			continue;
		tape_put_text(buf, separator);
		tape_put_text(buf, injections->rules[i].text);
		separator = ":";
	}
}

/* ---- what is done ---------------------------------------------------------------------------- */

/* A call on its way. */
struct deed {
	const struct tape_injections *injections;
	uint32_t rules;
	const struct tape_function *function;
	const uintptr_t *words;
	tape_inject_call_fn *make;
	void *context;
};

/* Find the next rule of the call from `*at` on that has one of the actions; NULL behind the last. */
static const struct tape_injection *next_rule(const struct deed *deed, unsigned int actions,
                                              size_t *at)
{
	while (*at < deed->injections->count) {
		size_t i = (*at)++;
		const struct tape_injection *injection = &deed->injections->rules[i];
		if ((deed->rules & 1u << i) != 0 && (injection->actions & actions) != 0)
			return injection;
	}
	return NULL;
}

static bool is_hidden(const struct deed *deed, unsigned int action, uint64_t what)
{
	const struct tape_injection *injection;
	for (size_t at = 0; (injection = next_rule(deed, action, &at)) != NULL;)
		if (injection->hidden == what)
			return true;
	return false;
}

static void sleep_for(uint64_t nanoseconds)
{
	struct timespec left = { .tv_sec = (time_t)(nanoseconds / 1000000000u),
		                 .tv_nsec = (long)(nanoseconds % 1000000000u) };
	while (nanoseconds != 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
		;
}

/* PKCS#11 3.1 §5.1.6: what a module without the mechanism or the attribute says to an input that names it. */
static CK_RV refuse_inputs(const struct deed *deed)
{
	const struct tape_injection *injection;
	for (size_t at = 0; (injection = next_rule(deed, ACTION_HIDE, &at)) != NULL;)
		for (size_t i = 0; i < deed->function->count; i++) {
			const struct tape_argument *argument = &deed->function->arguments[i];
			const struct tape_shape *shape = &tape_shapes[argument->kind];
			const uintptr_t *w = deed->words + argument->word;
			if ((injection->actions & ACTION_HIDE_MECHANISM) != 0 &&
			    names_mechanism(shape, w, injection->hidden))
				return CKR_MECHANISM_INVALID;
			if ((injection->actions & ACTION_HIDE_ATTRIBUTE) != 0 &&
			    names_attribute(shape, w, injection->hidden))
				return CKR_ATTRIBUTE_TYPE_INVALID;
		}
	return CKR_OK;
}

/* Make the call with other words for one argument. */
static CK_RV make_with(const struct deed *deed, const struct tape_argument *argument,
                       uintptr_t first, uintptr_t second)
{
	uintptr_t words[TAPE_MAX_WORDS];
	memcpy(words, deed->words, deed->function->words * sizeof(*words));
	words[argument->word] = first;
	words[argument->word + 1] = second;
	return deed->make(deed->context, words);
}

/*
 * A list of mechanisms is always asked for whole: how many there are without the hidden ones, and whether
 * these fit, nobody can know from their number (PKCS#11 3.1 §5.2).
 */
static CK_RV make_list(const struct deed *deed, const struct tape_argument *argument)
{
	const uintptr_t *w = deed->words + argument->word;
	CK_MECHANISM_TYPE *to = (CK_MECHANISM_TYPE *)w[0];
	CK_ULONG *count = (CK_ULONG *)w[1];
	CK_ULONG found = TAPE_INJECT_LIST;
	CK_ULONG left = 0;
	if (count == NULL)
		return deed->make(deed->context, deed->words);
	CK_MECHANISM_TYPE *list = tape_pages_get(TAPE_INJECT_LIST * sizeof(*list));
	if (list == NULL)
		return CKR_HOST_MEMORY;
	CK_RV rv = make_with(deed, argument, (uintptr_t)list, (uintptr_t)&found);
	if (rv == CKR_OK && found <= TAPE_INJECT_LIST) {
		for (CK_ULONG i = 0; i < found; i++)
			if (!is_hidden(deed, ACTION_HIDE_MECHANISM, list[i]))
				list[left++] = list[i];
		if (to != NULL && left > *count)
			rv = CKR_BUFFER_TOO_SMALL;
		else if (to != NULL)
			memcpy(to, list, left * sizeof(*list));
		*count = left;
	} else if (rv == CKR_BUFFER_TOO_SMALL) {
		*count = found;
	}
	tape_pages_free(list, TAPE_INJECT_LIST * sizeof(*list));
	return rv;
}

/* Whether the value says of a template's entries one by one what became of them (PKCS#11 3.1 §5.7.5). */
static bool is_of_entries(CK_RV rv)
{
	return rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID ||
	       rv == CKR_BUFFER_TOO_SMALL;
}

/* Entries of arrays, whose types are the module's to say. Returns whether one of them is hidden. */
static bool hide_nested(const struct deed *deed, CK_ATTRIBUTE *list, CK_ULONG count,
                        const CK_ATTRIBUTE *before, unsigned int depth)
{
	bool any = false;
	for (CK_ULONG i = 0; i < count; i++) {
		CK_ULONG room = before == NULL ? list[i].ulValueLen : before[i].ulValueLen;
		if (depth > 1 && is_hidden(deed, ACTION_HIDE_ATTRIBUTE, list[i].type)) {
			list[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
			any = true;
			continue;
		}
		CK_ULONG nested = list[i].ulValueLen > room ? 0 : nested_in(&list[i]);
		CK_ATTRIBUTE *inner = attributes_at((uintptr_t)list[i].pValue, nested);
		if (nested != 0 && inner != NULL && depth < TAPE_MAX_DEPTH)
			any |= hide_nested(deed, inner, nested, NULL, depth + 1);
	}
	return any;
}

/*
 * A template is read into a copy of it, in which hidden entries have memory of ours: the module (or the
 * recorded call, which may have asked for the very entries) fills in all of it, and nothing of what is
 * hidden comes into the caller's memory.
 */
static CK_RV make_reading(const struct deed *deed, const struct tape_argument *argument)
{
	const uintptr_t *w = deed->words + argument->word;
	CK_ULONG count = w[1];
	CK_ATTRIBUTE *theirs = attributes_at(w[0], count);
	if (theirs == NULL)
		return deed->make(deed->context, deed->words);
	size_t size = 2 * count * sizeof(*theirs);
	for (CK_ULONG i = 0; i < count; i++)
		if (is_hidden(deed, ACTION_HIDE_ATTRIBUTE, theirs[i].type) &&
		    theirs[i].pValue != NULL) {
			if (theirs[i].ulValueLen > MAX_SHADOW - size)
				return CKR_HOST_MEMORY;
			size += (theirs[i].ulValueLen + 15) & ~(size_t)15;
		}
	CK_ATTRIBUTE *list = tape_pages_get(size);
	if (list == NULL)
		return CKR_HOST_MEMORY;
	CK_ATTRIBUTE *before = list + count;
	unsigned char *memory = (unsigned char *)(before + count);
	memcpy(list, theirs, count * sizeof(*list));
	memcpy(before, theirs, count * sizeof(*list));
	for (CK_ULONG i = 0; i < count; i++)
		if (is_hidden(deed, ACTION_HIDE_ATTRIBUTE, list[i].type) &&
		    list[i].pValue != NULL) {
			list[i].pValue = memory;
			memory += (list[i].ulValueLen + 15) & ~(size_t)15;
		}
	CK_RV rv = make_with(deed, argument, (uintptr_t)list, count);
	bool by_entry = is_of_entries(rv);
	bool any = by_entry && hide_nested(deed, list, count, before, 1);
	for (CK_ULONG i = 0; i < count; i++) {
		bool hidden = is_hidden(deed, ACTION_HIDE_ATTRIBUTE, theirs[i].type);
		if (hidden && !by_entry)
			continue;
		theirs[i].ulValueLen = hidden ? CK_UNAVAILABLE_INFORMATION : list[i].ulValueLen;
		any |= hidden;
	}
	tape_pages_free(list, size);
	return any ? CKR_ATTRIBUTE_TYPE_INVALID : rv;
}

static CK_RV make_call(const struct deed *deed)
{
	for (size_t i = 0; i < deed->function->count; i++) {
		const struct tape_argument *argument = &deed->function->arguments[i];
		const struct tape_shape *shape = &tape_shapes[argument->kind];
		size_t at = 0;
		if (is_mechanism_list(shape) && next_rule(deed, ACTION_HIDE_MECHANISM, &at) != NULL)
			return make_list(deed, argument);
		at = 0;
		if (shape->codec == TAPE_C_TEMPLATE && (shape->traits & TAPE_T_OUT) != 0 &&
		    next_rule(deed, ACTION_HIDE_ATTRIBUTE, &at) != NULL)
			return make_reading(deed, argument);
	}
	return deed->make(deed->context, deed->words);
}

static void shorten(CK_ULONG *length, uint64_t limit)
{
	if (*length != CK_UNAVAILABLE_INFORMATION && *length > limit)
		*length = (CK_ULONG)limit;
}

/* The lengths of outputs with contents: those that are merely asked for stay right. */
static void truncate_outputs(const struct deed *deed, uint64_t limit)
{
	for (size_t i = 0; i < deed->function->count; i++) {
		const struct tape_argument *argument = &deed->function->arguments[i];
		const struct tape_shape *shape = &tape_shapes[argument->kind];
		const uintptr_t *w = deed->words + argument->word;
		if (shape->codec == TAPE_C_BYTES_AT && w[0] != 0 && w[1] != 0)
			shorten((CK_ULONG *)w[1], limit);
		if (shape->codec != TAPE_C_TEMPLATE || (shape->traits & TAPE_T_OUT) == 0)
			continue;
		CK_ATTRIBUTE *list = attributes_at(w[0], w[1]);
		for (CK_ULONG n = 0; list != NULL && n < w[1]; n++)
			if (list[n].pValue != NULL && !is_template(list[n].type))
				shorten(&list[n].ulValueLen, limit);
	}
}

CK_RV tape_inject_call(const struct tape_injections *injections, uint32_t rules,
                       const struct tape_function *function, const uintptr_t *words,
                       tape_inject_call_fn *make, void *context, bool *ret_made)
{
	const struct deed deed = { injections, rules, function, words, make, context };
	const struct tape_injection *injection;
	uint64_t enter = 0;
	uint64_t leave = 0;
	size_t at = 0;
	CK_RV rv;
	*ret_made = false;
	while ((injection = next_rule(&deed, ACTION_DELAY, &at)) != NULL) {
		enter += injection->delay_enter;
		leave += injection->delay_exit;
	}
	sleep_for(enter);
	at = 0;
	if (next_rule(&deed, ACTION_CRASH, &at) != NULL) {
		raise(SIGSEGV);
		/* A handler of the program's came back, or it is ignored: so does the call. */
		return CKR_GENERAL_ERROR;
	}
	at = 0;
	if (next_rule(&deed, ACTION_HANG, &at) != NULL)
		for (;;)
			pause();
	at = 0;
	injection = next_rule(&deed, ACTION_RV, &at);
	if (injection != NULL) {
		rv = injection->rv;
	} else {
		rv = refuse_inputs(&deed);
		*ret_made = rv == CKR_OK;
		if (*ret_made)
			rv = make_call(&deed);
		at = 0;
		while (rv == CKR_OK && (injection = next_rule(&deed, ACTION_TRUNCATE, &at)) != NULL)
			truncate_outputs(&deed, injection->truncate);
	}
	sleep_for(leave);
	return rv;
}
