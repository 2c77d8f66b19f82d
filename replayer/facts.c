/* SPDX-License-Identifier: MIT */
#include "replayer/facts.h"

#include <stdlib.h>
#include <string.h>

#include "core/capture.h"
#include "core/redact.h"

struct fact {
	uint64_t object, type;
	struct tape_known known; /* NOTHING: contradicted */
	unsigned int part;
	bool written; /* not read: any reading knows better */
};

/* What was found in one state with one template. */
struct facts_search {
	struct facts_search *next;
	uint64_t set;
	struct tape_value template; /* a list of bytes */
	uint64_t *members, *sorted; /* identities */
	size_t count, room;
	uint64_t compared; /* facts->learnt when it was last held against the others */
	bool contradicted;
};

/* The mechanisms of a token. */
struct facts_list {
	struct facts_list *next;
	uint64_t token;
	const uint64_t *items;
	size_t count;
	bool contradicted;
};

/* What a sort of session is told of itself. */
struct facts_info {
	struct facts_info *next;
	uint64_t sort;
	struct tape_value value; /* a record */
	bool contradicted;
};

void facts_init(struct facts *facts, const uint64_t key[2], size_t limit)
{
	memset(facts, 0, sizeof(*facts));
	facts->key[0] = key[0];
	facts->key[1] = key[1];
	tape_arena_init(&facts->arena, NULL, 0, limit);
}

void facts_done(struct facts *facts)
{
	for (size_t i = 0; i < FACTS_SESSIONS; i++)
		free(facts->live[i].members);
	free(facts->slots);
	tape_arena_done(&facts->arena);
	memset(facts, 0, sizeof(*facts));
}

static void *keep(struct facts *facts, size_t count, size_t size)
{
	void *memory = tape_arena_array(&facts->arena, count, size);
	facts->full |= memory == NULL;
	return memory;
}

/* Copy a value, with all that it points to. */
static bool copy_value(struct facts *facts, struct tape_value *to, const struct tape_value *from,
                       unsigned int depth)
{
	*to = *from;
	to->memory = NULL;
	to->before = NULL;
	if (from->form == TAPE_V_BYTES || from->form == TAPE_V_SECRET) {
		to->data = tape_arena_copy(&facts->arena, from->data, from->length);
		facts->full |= to->data == NULL;
		return to->data != NULL;
	}
	if (from->form != TAPE_V_LIST && from->form != TAPE_V_RECORD)
		return true;
	struct tape_value *list =
		depth > TAPE_MAX_DEPTH ? NULL : keep(facts, from->count, sizeof(*list));
	to->data = list;
	for (size_t i = 0; list != NULL && i < from->count; i++)
		if (!copy_value(facts, &list[i], tape_value_child(from, i), depth + 1))
			return false;
	return list != NULL;
}

static uint64_t identity_of(const struct facts_moment *moment, uint64_t handle)
{
	const struct facts_handles *h = moment->handles;
	return h == NULL ? handle : h->identity(h->context, moment->session, handle);
}

static bool handle_of(const struct facts_moment *moment, uint64_t identity, uint64_t *ret_handle)
{
	const struct facts_handles *h = moment->handles;
	*ret_handle = identity;
	return h == NULL || h->find(h->context, identity, ret_handle);
}

static uint64_t state_of(const struct facts_moment *moment, uint64_t identity)
{
	const struct facts_handles *h = moment->handles;
	uint64_t handle;
	if (h == NULL || !h->find(h->context, identity, &handle))
		return 0;
	return h->state(h->context, moment->session, handle);
}

/* ---- attributes ------------------------------------------------------------------------------ */

static size_t slot_of(const struct facts *facts, uint64_t object, uint64_t type)
{
	const uint64_t words[2] = { object, type };
	uint64_t hash[2];
	tape_siphash(facts->key, words, sizeof(words), hash);
	return (size_t)hash[0] & (facts->slot_count - 1);
}

static struct fact *find_fact(const struct facts *facts, uint64_t object, uint64_t type)
{
	if (facts->slot_count == 0)
		return NULL;
	size_t slot = slot_of(facts, object, type);
	for (; facts->slots[slot] != NULL; slot = (slot + 1) & (facts->slot_count - 1))
		if (facts->slots[slot]->object == object && facts->slots[slot]->type == type)
			return facts->slots[slot];
	return NULL;
}

static void enter_fact(struct facts *facts, struct fact *fact)
{
	size_t slot = slot_of(facts, fact->object, fact->type);
	while (facts->slots[slot] != NULL)
		slot = (slot + 1) & (facts->slot_count - 1);
	facts->slots[slot] = fact;
}

/* Twice as many slots as facts: a fact takes far more than its two slots do. */
static bool grow_slots(struct facts *facts)
{
	if (facts->fact_count * 2 < facts->slot_count)
		return true;
	struct fact **old = facts->slots;
	size_t old_count = facts->slot_count;
	size_t count = old_count == 0 ? 256 : old_count * 2;
	struct fact **slots = calloc(count, sizeof(struct fact *));
	if (slots == NULL) {
		facts->full = true;
		return false;
	}
	facts->slots = slots;
	facts->slot_count = count;
	for (size_t i = 0; i < old_count; i++)
		if (old[i] != NULL)
			enter_fact(facts, old[i]);
	free(old);
	return true;
}

/* Whether joining has changed anything: what is new points elsewhere. */
static bool is_new(const struct tape_known *a, const struct tape_known *b)
{
	return a->sort != b->sort || a->sure != b->sure || a->code != b->code ||
	       a->value.data != b->value.data;
}

static void learn_attribute(struct facts *facts, uint64_t object, uint64_t type,
                            const struct tape_known *known, unsigned int part, bool written)
{
	struct fact *fact = find_fact(facts, object, type);
	struct tape_known joined = { .sort = TAPE_KNOWN_NOTHING };
	if (fact == NULL) {
		if (!grow_slots(facts) || (fact = keep(facts, 1, sizeof(*fact))) == NULL)
			return;
		*fact = (struct fact){ object, type, joined, part, written };
		enter_fact(facts, fact);
		facts->fact_count++;
	} else if (fact->written && !written) {
		fact->written = false;
	} else if (written || fact->known.sort == TAPE_KNOWN_NOTHING) {
		return;
	} else {
		joined = fact->known;
	}
	/* Names of two parts are two names, whatever they say. */
	bool named = known->value.form == TAPE_V_SECRET && known->sort == TAPE_KNOWN_VALUE;
	if (named && fact->part != part && joined.sort == TAPE_KNOWN_VALUE) {
		fact->known = (struct tape_known){ .sort = TAPE_KNOWN_NOTHING };
		return;
	}
	const struct tape_known before = joined;
	if (!tape_known_join(&joined, known)) {
		fact->known = (struct tape_known){ .sort = TAPE_KNOWN_NOTHING };
	} else if (is_new(&joined, &before)) {
		/* Without memory for what says more, what was known stays known. */
		struct tape_value copy;
		if (!copy_value(facts, &copy, &joined.value, 1)) {
			fact->known = before;
			return;
		}
		joined.value = copy;
		fact->known = joined;
		fact->part = part;
	}
}

static void learn_template(struct facts *facts, const struct facts_moment *moment,
                           const struct tape_value *in, const struct tape_value *out, CK_RV rv)
{
	if (moment->object == 0 || in->form != TAPE_V_LIST)
		return;
	for (size_t i = 0; i < in->count; i++) {
		struct tape_known known = tape_known_read(in, out, rv, i);
		if (known.sort != TAPE_KNOWN_NOTHING)
			learn_attribute(facts, moment->object, tape_value_child(in, i)->tag, &known,
			                moment->part, false);
	}
}

/* Whether a module must give a written value back as it was written: there is one way to spell it. */
static bool reads_back(const struct tape_attribute *row, uint64_t class)
{
	if (row == NULL || row->vendor != NULL)
		return false;
	if (row->secrecy != TAPE_S_PLAIN &&
	    (row->secrecy != TAPE_S_BY_CLASS || tape_class_secrecy(class) == TAPE_S_SECRET))
		return false;
	switch ((enum tape_attribute_type)row->type) {
	case TAPE_A_BYTES:
	case TAPE_A_UTF8:
	case TAPE_A_BOOL:
	case TAPE_A_ULONG:
	case TAPE_A_CONSTANT:
	case TAPE_A_FLAGS:
	case TAPE_A_DATE:
		return true;
	default:
		return false;
	}
}

void facts_learn_written(struct facts *facts, uint64_t object, const struct tape_value *list)
{
	if (object == 0 || list->form != TAPE_V_LIST)
		return;
	uint64_t class = tape_template_class(list, NULL);
	for (size_t i = 0; i < list->count; i++) {
		const struct tape_value *entry = tape_value_child(list, i);
		const struct tape_known known = { TAPE_KNOWN_VALUE, true, CKR_OK, *entry };
		if (entry->form == TAPE_V_BYTES &&
		    reads_back(tape_attribute_find(entry->tag), class))
			learn_attribute(facts, object, entry->tag, &known, 0, true);
	}
}

static bool answer_template(const struct facts *facts, const struct facts_moment *moment,
                            const struct tape_value *live, struct tape_arena *arena,
                            struct facts_answer *answer, struct tape_value *ret_out)
{
	static const struct tape_known nothing = { .sort = TAPE_KNOWN_NOTHING };
	struct tape_codes codes = { false };
	/* What a module says to an empty template nobody says. */
	if (moment->object == 0 || live->form != TAPE_V_LIST || live->count == 0)
		return false;
	struct tape_value *entries = tape_arena_array(arena, live->count, sizeof(*entries));
	if (entries == NULL)
		return false;
	for (size_t i = 0; i < live->count; i++) {
		const struct tape_value *entry = tape_value_child(live, i);
		const struct fact *fact = find_fact(facts, moment->object, entry->tag);
		if (!tape_known_answer(fact == NULL ? &nothing : &fact->known, entry, arena, &codes,
		                       &entries[i]))
			return false;
		if (fact == NULL || entries[i].form != TAPE_V_SECRET)
			continue;
		if (answer->part != 0 && answer->part != fact->part)
			return false;
		answer->part = fact->part;
	}
	if (!tape_codes_known(&codes))
		return false;
	answer->derived.rv = tape_codes_rv(&codes, &answer->derived.leeway);
	*ret_out =
		(struct tape_value){ .form = TAPE_V_LIST, .count = live->count, .data = entries };
	return true;
}

/* ---- searches -------------------------------------------------------------------------------- */

/* Whether a template can be compared: what it says is known to the byte. */
static bool is_plain(const struct tape_value *list)
{
	if (list->form == TAPE_V_NULL)
		return true;
	if (list->count > FACTS_MAX_TEMPLATE)
		return false;
	for (size_t i = 0; list->form == TAPE_V_LIST && i < list->count; i++) {
		uint8_t form = tape_value_child(list, i)->form;
		if (form != TAPE_V_BYTES && form != TAPE_V_NULL)
			return false;
	}
	return list->form == TAPE_V_LIST;
}

static size_t entries_of(const struct tape_value *list)
{
	return list->form == TAPE_V_LIST ? list->count : 0;
}

static size_t size_of(const struct tape_value *entry)
{
	return entry->form == TAPE_V_BYTES ? entry->length : 0;
}

static bool has_entry(const struct tape_value *list, const struct tape_value *entry)
{
	for (size_t i = 0; i < entries_of(list); i++) {
		const struct tape_value *other = tape_value_child(list, i);
		if (other->tag == entry->tag && size_of(other) == size_of(entry) &&
		    (size_of(entry) == 0 || memcmp(other->data, entry->data, size_of(entry)) == 0))
			return true;
	}
	return false;
}

/* Whether whatever matches `inner` matches `outer` as well. */
static bool is_within(const struct tape_value *inner, const struct tape_value *outer)
{
	for (size_t i = 0; i < entries_of(outer); i++)
		if (!has_entry(inner, tape_value_child(outer, i)))
			return false;
	return true;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t first = *(const uint64_t *)a;
	const uint64_t second = *(const uint64_t *)b;
	return (first > second) - (first < second);
}

/* Whether a search found all that the other one did. */
static bool has_members(const struct facts_search *search, const struct facts_search *other)
{
	for (size_t i = 0; i < other->count; i++)
		if (search->count == 0 || bsearch(&other->members[i], search->sorted, search->count,
		                                  sizeof(uint64_t), compare_numbers) == NULL)
			return false;
	return true;
}

static struct facts_search **chain_of(struct facts *facts, uint64_t set)
{
	return &facts->searches[set % TAPE_ARRAY_SIZE(facts->searches)];
}

static struct facts_running *place_of(struct facts_running *places, uint64_t session)
{
	return &places[session % FACTS_SESSIONS];
}

/* Of two searches of which one is within the other: did they find the same of what both look for? */
static bool agree(const struct facts_search *outer, const struct facts_search *inner)
{
	return !is_within(&inner->template, &outer->template) || has_members(outer, inner);
}

/* Hold a search against all others of its state, once after anything was learnt. */
static bool is_consistent(struct facts *facts, struct facts_search *search)
{
	if (search->contradicted || search->compared == facts->learnt)
		return !search->contradicted;
	for (struct facts_search *other = *chain_of(facts, search->set); other != NULL;
	     other = other->next)
		if (other != search && other->set == search->set &&
		    (!agree(search, other) || !agree(other, search))) {
			search->contradicted = true;
			return false;
		}
	search->compared = facts->learnt;
	return true;
}

/* A search that cannot be kept cannot be compared either: none of its state is relied upon. */
static void forget_searches(struct facts *facts, uint64_t set)
{
	for (struct facts_search *s = *chain_of(facts, set); s != NULL; s = s->next)
		s->contradicted |= s->set == set;
}

static struct facts_search *find_same(struct facts *facts, uint64_t set,
                                      const struct tape_value *template)
{
	struct facts_search *s = *chain_of(facts, set);
	while (s != NULL && (s->set != set || !is_within(template, &s->template) ||
	                     !is_within(&s->template, template)))
		s = s->next;
	return s;
}

static void learn_search(struct facts *facts, const struct facts_moment *moment,
                         const struct tape_value *template, CK_RV rv)
{
	struct facts_running *running = place_of(facts->recorded, moment->session);
	struct facts_search *search;
	if (rv != CKR_OK || moment->session == 0)
		return;
	*running = (struct facts_running){ .session = moment->session, .set = moment->set };
	if (moment->set == 0 || !is_plain(template))
		return;
	running->search = find_same(facts, moment->set, template);
	running->again = running->search != NULL;
	if (running->again)
		return;
	search = keep(facts, 1, sizeof(*search));
	if (search != NULL) {
		memset(search, 0, sizeof(*search));
		search->set = moment->set;
	}
	if (search == NULL || !copy_value(facts, &search->template, template, 1))
		forget_searches(facts, moment->set);
	else
		running->search = search;
}

/* The end of a search that was recorded. */
static void learn_end(struct facts *facts, struct facts_search *search)
{
	struct facts_search **chain = chain_of(facts, search->set);
	search->sorted = keep(facts, search->count, sizeof(*search->sorted));
	if (search->sorted == NULL) {
		forget_searches(facts, search->set);
		return;
	}
	if (search->count != 0)
		memcpy(search->sorted, search->members, search->count * sizeof(*search->sorted));
	qsort(search->sorted, search->count, sizeof(*search->sorted), compare_numbers);
	search->next = *chain;
	*chain = search;
	facts->learnt++;
}

static bool learn_members(struct facts *facts, const struct facts_moment *moment,
                          struct facts_search *search, const struct tape_value *out)
{
	if (search->count + out->count > search->room) {
		size_t room = (search->count + out->count) * 2;
		uint64_t *members = keep(facts, room, sizeof(*members));
		if (members == NULL) {
			forget_searches(facts, search->set);
			return false;
		}
		if (search->count != 0)
			memcpy(members, search->members, search->count * sizeof(*members));
		search->members = members;
		search->room = room;
	}
	for (size_t i = 0; i < out->count; i++)
		search->members[search->count++] =
			identity_of(moment, tape_value_child(out, i)->number);
	return true;
}

/* The same search once more: it must give the same, as far as it was recorded. */
static void learn_again(const struct facts_moment *moment, struct facts_running *running,
                        const struct tape_value *out)
{
	struct facts_search *search = running->search;
	for (size_t i = 0; i < out->count; i++, running->given++)
		search->contradicted |=
			running->given >= search->count ||
			search->members[running->given] !=
				identity_of(moment, tape_value_child(out, i)->number);
	search->contradicted |= out->count == 0 && running->given != search->count;
}

static void learn_found(struct facts *facts, const struct facts_moment *moment,
                        const struct tape_value *in, const struct tape_value *out, CK_RV rv)
{
	struct facts_running *running = place_of(facts->recorded, moment->session);
	struct facts_search *search = running->search;
	if (running->session != moment->session || search == NULL)
		return;
	/* Objects that come or go meanwhile may be found or not (PKCS#11 3.1 §5.7.7). */
	if (rv != CKR_OK || moment->set != running->set || in->form != TAPE_V_ROOM ||
	    in->number == 0 || out->form != TAPE_V_LIST || out->stated) {
		running->search = NULL;
		return;
	}
	if (running->again)
		learn_again(moment, running, out);
	else if (out->count == 0)
		learn_end(facts, search);
	else if (!learn_members(facts, moment, search, out))
		running->search = NULL;
	if (out->count == 0)
		running->search = NULL;
}

/* Whether a rule lets some template say another value of an attribute than the recorded one. */
static bool is_ruled(const struct facts *facts, uint64_t type)
{
	for (size_t i = 0; facts->rules != NULL && i < facts->rules->count; i++) {
		const struct tape_place *place = &facts->rules->rows[i].place;
		const struct tape_function *function = &tape_functions[place->function];
		const uint8_t kind = function->arguments[place->argument].kind;
		const struct tape_step *last =
			&place->steps[place->depth == 0 ? 0 : place->depth - 1];
		if (place->depth == 0 ? tape_shapes[kind].codec == TAPE_C_TEMPLATE
		                      : last->field == NULL && last->type == type)
			return true;
	}
	return false;
}

enum belongs { IS_OUT, IS_IN, MAY_BE };

/* Whether an object has what one entry of a template says. */
static enum belongs matches(const struct facts *facts, uint64_t object,
                            const struct tape_value *entry)
{
	const struct fact *fact = object == 0 ? NULL : find_fact(facts, object, entry->tag);
	uint64_t length;
	if (fact == NULL || is_ruled(facts, entry->tag))
		return MAY_BE;
	if (fact->known.sort == TAPE_KNOWN_NONE)
		return fact->known.sure && fact->known.code == CKR_ATTRIBUTE_TYPE_INVALID ? IS_OUT
		                                                                          : MAY_BE;
	if (!tape_known_length(&fact->known, &length))
		return MAY_BE;
	if (length != size_of(entry))
		return IS_OUT;
	if (length == 0)
		return IS_IN;
	if (fact->known.value.form != TAPE_V_BYTES)
		return MAY_BE;
	return memcmp(fact->known.value.data, entry->data, size_of(entry)) == 0 ? IS_IN : IS_OUT;
}

/* Classes of what a search for nothing in particular finds, in every version (§4.4; 2.40 §4.3.2 hides others). */
static bool is_ordinary_class(const struct tape_value *entry)
{
	CK_OBJECT_CLASS class;
	if (size_of(entry) != sizeof(class))
		return false;
	memcpy(&class, entry->data, sizeof(class));
	return class == CKO_DATA || class == CKO_CERTIFICATE || class == CKO_PUBLIC_KEY ||
	       class == CKO_PRIVATE_KEY || class == CKO_SECRET_KEY;
}

/*
 * Whether a search that has this entry more than another one finds a part of what that one finds: those that
 * have this very value, whatever the module thinks of the entry (§5.7.7). Not of arrays, which SoftHSM2 finds
 * never. And whether it might refuse the entry.
 */
static bool narrows(const struct tape_value *entry, unsigned int *leeway)
{
	const struct tape_attribute *row = tape_attribute_find(entry->tag);
	if (entry->tag == CKA_CLASS)
		return is_ordinary_class(entry);
	if (row == NULL || row->vendor != NULL) {
		*leeway |= TAPE_LEEWAY_CODE;
		return true;
	}
	switch ((enum tape_attribute_type)row->type) {
	case TAPE_A_BOOL:
		return size_of(entry) == sizeof(CK_BBOOL);
	case TAPE_A_ULONG:
	case TAPE_A_CONSTANT:
	case TAPE_A_FLAGS:
		return size_of(entry) == sizeof(CK_ULONG);
	case TAPE_A_ULONGS:
	case TAPE_A_CONSTANTS:
	case TAPE_A_TEMPLATE:
		return false;
	default:
		return true;
	}
}

/*
 * What a template finds, from a search that it is within: its members of which every entry that it has more
 * is known. `to` has room for all of them; NULL only asks whether it is known.
 */
static bool filter(const struct facts *facts, const struct facts_moment *moment,
                   const struct facts_search *search, const struct tape_value *template,
                   uint64_t *to, size_t *ret_count, unsigned int *leeway)
{
	*ret_count = 0;
	for (size_t i = 0; i < entries_of(template); i++) {
		const struct tape_value *entry = tape_value_child(template, i);
		if (!has_entry(&search->template, entry) && !narrows(entry, leeway))
			return false;
	}
	for (size_t m = 0; m < search->count; m++) {
		enum belongs belongs = IS_IN;
		uint64_t object = 0;
		for (size_t i = 0; i < entries_of(template) && belongs != IS_OUT; i++) {
			const struct tape_value *entry = tape_value_child(template, i);
			if (has_entry(&search->template, entry))
				continue;
			if (object == 0)
				object = state_of(moment, search->members[m]);
			enum belongs here = matches(facts, object, entry);
			belongs = here == IS_IN ? belongs : here;
		}
		if (belongs == MAY_BE)
			return false;
		if (belongs == IS_OUT)
			continue;
		if (to != NULL)
			to[*ret_count] = search->members[m];
		(*ret_count)++;
	}
	return true;
}

/* The search that tells what a template finds: the very one if there is one, else one that it is within. */
static const struct facts_search *find_search(struct facts *facts,
                                              const struct facts_moment *moment,
                                              const struct tape_value *template,
                                              unsigned int *ret_leeway)
{
	const struct facts_search *found = NULL;
	size_t count;
	if (moment->set == 0 || !is_plain(template))
		return NULL;
	for (struct facts_search *s = *chain_of(facts, moment->set); s != NULL; s = s->next) {
		unsigned int leeway = 0;
		if (s->set != moment->set || !is_within(template, &s->template) ||
		    (found != NULL && !is_within(&s->template, template)) ||
		    !is_consistent(facts, s) ||
		    !filter(facts, moment, s, template, NULL, &count, &leeway))
			continue;
		found = s;
		*ret_leeway = leeway;
		if (is_within(&s->template, template))
			break;
	}
	return found;
}

static void forget_running(struct facts *facts, uint64_t session)
{
	struct facts_running *running = place_of(facts->live, session);
	if (running->session != session)
		return;
	free(running->members);
	*running = (struct facts_running){ .session = 0 };
}

static void served_search(struct facts *facts, const struct facts_moment *moment,
                          const struct tape_value *template)
{
	struct facts_running *running = place_of(facts->live, moment->session);
	unsigned int leeway = 0;
	free(running->members);
	*running = (struct facts_running){ .session = moment->session, .set = moment->set };
	const struct facts_search *search = find_search(facts, moment, template, &leeway);
	if (search == NULL)
		return;
	running->members = calloc(search->count + 1, sizeof(*running->members));
	if (running->members != NULL &&
	    !filter(facts, moment, search, template, running->members, &running->count, &leeway))
		forget_running(facts, moment->session);
}

/* What was given must be what was there to be given, in that order; else the rest is not known. */
static void served_found(struct facts *facts, const struct facts_moment *moment,
                         const struct tape_value *out, CK_RV rv)
{
	struct facts_running *running = place_of(facts->live, moment->session);
	if (running->session != moment->session || running->members == NULL)
		return;
	bool known = rv == CKR_OK && out->form == TAPE_V_LIST && !out->stated &&
	             (out->count != 0 || running->given == running->count);
	for (size_t i = 0; known && i < out->count; i++, running->given++)
		known = running->given < running->count &&
		        identity_of(moment, tape_value_child(out, i)->number) ==
		                running->members[running->given];
	if (!known)
		forget_running(facts, moment->session);
}

/* As many as there is room for (§5.7.8). */
static bool answer_found(struct facts *facts, const struct facts_moment *moment,
                         const struct tape_value *live, struct tape_arena *arena,
                         struct tape_value *ret_out)
{
	const struct facts_running *running = place_of(facts->live, moment->session);
	if (!moment->searches || running->session != moment->session || moment->session == 0 ||
	    running->members == NULL || running->set != moment->set || live->form != TAPE_V_ROOM ||
	    live->number == 0)
		return false;
	size_t rest = running->count - running->given;
	size_t count = live->number < rest ? (size_t)live->number : rest;
	struct tape_value *items = tape_arena_array(arena, count, sizeof(*items));
	if (items == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		const uint64_t identity = running->members[running->given + i];
		items[i] = (struct tape_value){ .form = TAPE_V_NUMBER, .tag = identity };
		if (!handle_of(moment, identity, &items[i].number))
			return false;
	}
	*ret_out =
		(struct tape_value){ .form = TAPE_V_LIST, .count = (uint32_t)count, .data = items };
	return true;
}

/* ---- mechanisms ------------------------------------------------------------------------------ */

static bool in_list(const uint64_t *items, size_t count, uint64_t item)
{
	for (size_t i = 0; i < count; i++)
		if (items[i] == item)
			return true;
	return false;
}

static struct facts_list *find_list(const struct facts *facts, uint64_t token)
{
	struct facts_list *list = facts->lists;
	while (list != NULL && list->token != token)
		list = list->next;
	return list;
}

static void learn_list(struct facts *facts, const struct facts_moment *moment,
                       const struct tape_value *out, CK_RV rv)
{
	if (moment->token == 0 || rv != CKR_OK || out->form != TAPE_V_LIST || out->stated)
		return;
	struct facts_list *list = find_list(facts, moment->token);
	if (list != NULL) {
		list->contradicted |= list->count != out->count;
		for (size_t i = 0; i < out->count && !list->contradicted; i++)
			list->contradicted = !in_list(list->items, list->count,
			                              tape_value_child(out, i)->number);
		return;
	}
	uint64_t *items = keep(facts, out->count, sizeof(*items));
	list = keep(facts, 1, sizeof(*list));
	if (items == NULL || list == NULL)
		return;
	for (size_t i = 0; i < out->count; i++)
		items[i] = tape_value_child(out, i)->number;
	*list = (struct facts_list){ facts->lists, moment->token, items, out->count, false };
	facts->lists = list;
}

/* ---- sessions -------------------------------------------------------------------------------- */

static struct facts_info *find_info(const struct facts *facts, uint64_t sort)
{
	struct facts_info *info = facts->infos;
	while (info != NULL && info->sort != sort)
		info = info->next;
	return info;
}

static bool same_record(const struct tape_value *a, const struct tape_value *b)
{
	if (a->record != b->record || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (tape_value_child(a, i)->form != tape_value_child(b, i)->form ||
		    tape_value_child(a, i)->number != tape_value_child(b, i)->number)
			return false;
	return true;
}

static void learn_info(struct facts *facts, const struct facts_moment *moment,
                       const struct tape_value *out, CK_RV rv)
{
	if (moment->sort == 0 || rv != CKR_OK || out->form != TAPE_V_RECORD)
		return;
	struct facts_info *info = find_info(facts, moment->sort);
	if (info != NULL) {
		info->contradicted |= !same_record(&info->value, out);
		return;
	}
	info = keep(facts, 1, sizeof(*info));
	if (info == NULL)
		return;
	*info = (struct facts_info){ .next = facts->infos, .sort = moment->sort };
	if (!copy_value(facts, &info->value, out, 1))
		return;
	facts->infos = info;
}

static bool answer_info(const struct facts *facts, const struct facts_moment *moment,
                        const struct tape_value *live, struct tape_value *ret_out)
{
	const struct facts_info *info = find_info(facts, moment->sort);
	if (moment->sort == 0 || info == NULL || info->contradicted || live->form == TAPE_V_NULL)
		return false;
	*ret_out = info->value;
	return true;
}

/* ---- by shape -------------------------------------------------------------------------------- */

static bool reads_template(const struct tape_shape *shape)
{
	return shape->codec == TAPE_C_TEMPLATE && (shape->traits & TAPE_T_OUT) != 0;
}

static bool lists_mechanisms(const struct tape_shape *shape)
{
	return shape->codec == TAPE_C_LIST_AT && shape->detail == TAPE_G_CKM;
}

static bool tells_of_session(const struct tape_shape *shape)
{
	return shape->codec == TAPE_C_STRUCT && shape->detail == TAPE_R_CK_SESSION_INFO;
}

/* The mechanism that a call asks the token about, if it does: NULL where it does not. */
static const struct tape_value *asked_mechanism(const struct tape_function *function,
                                                const struct tape_value *live)
{
	const struct tape_value *type = NULL;
	bool asks = false;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if (shape->codec == TAPE_C_STRUCT && shape->detail == TAPE_R_CK_MECHANISM_INFO)
			asks = live[i].form != TAPE_V_NULL;
		else if (shape->codec == TAPE_C_CONSTANT && shape->detail == TAPE_G_CKM)
			type = &live[i];
	}
	return asks ? type : NULL;
}

/* What is not in the list is no mechanism of the token (§5.5.6). */
static bool lacks_mechanism(const struct facts *facts, const struct facts_moment *moment,
                            const struct tape_value *type)
{
	const struct facts_list *list = find_list(facts, moment->token);
	return type != NULL && moment->token != 0 && list != NULL && !list->contradicted &&
	       !in_list(list->items, list->count, type->number);
}

void facts_learn(struct facts *facts, const struct facts_moment *moment,
                 const struct tape_function *function, const struct tape_value *in,
                 const struct tape_value *out, CK_RV rv)
{
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if (reads_template(shape))
			learn_template(facts, moment, &in[i], &out[i], rv);
		else if ((shape->traits & TAPE_T_SEEKS) != 0)
			learn_search(facts, moment, &in[i], rv);
		else if (shape->codec == TAPE_C_FOUND)
			learn_found(facts, moment, &in[i], &out[i], rv);
		else if (lists_mechanisms(shape))
			learn_list(facts, moment, &out[i], rv);
		else if (tells_of_session(shape))
			learn_info(facts, moment, &out[i], rv);
	}
}

bool facts_answer(struct facts *facts, const struct facts_moment *moment,
                  const struct tape_function *function, const struct tape_value *live,
                  struct tape_arena *arena, struct facts_answer *ret_answer)
{
	struct facts_answer answer = { .derived = { .rv = CKR_OK, .steps = true } };
	struct tape_derived *derived = &answer.derived;
	bool known = lacks_mechanism(facts, moment, asked_mechanism(function, live));
	if (known)
		derived->rv = CKR_MECHANISM_INVALID;
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if (reads_template(shape))
			known = answer_template(facts, moment, &live[i], arena, &answer,
			                        &derived->out[i]);
		else if ((shape->traits & TAPE_T_SEEKS) != 0)
			known = !moment->busy &&
			        find_search(facts, moment, &live[i], &derived->leeway) != NULL;
		else if (shape->codec == TAPE_C_FOUND)
			known = answer_found(facts, moment, &live[i], arena, &derived->out[i]);
		else if (tells_of_session(shape))
			known = answer_info(facts, moment, &live[i], &derived->out[i]);
	}
	if (known)
		*ret_answer = answer;
	return known;
}

void facts_served(struct facts *facts, const struct facts_moment *moment,
                  const struct tape_function *function, const struct tape_value *live,
                  const struct tape_value *out, CK_RV rv)
{
	for (size_t i = 0; i < function->count; i++) {
		const struct tape_shape *shape = &tape_shapes[function->arguments[i].kind];
		if ((shape->traits & TAPE_T_SEEKS) != 0 && rv == CKR_OK)
			served_search(facts, moment, &live[i]);
		else if (shape->codec == TAPE_C_FOUND)
			served_found(facts, moment, &out[i], rv);
	}
}
