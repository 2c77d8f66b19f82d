/* SPDX-License-Identifier: MIT
 *
 * Objects: making, copying, reading, changing, finding, destroying them (PKCS#11 3.2 §4.1, §5.7).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/mock.h"

CK_OBJECT_CLASS object_class(const struct attributes *set)
{
	return attributes_ulong(set, CKA_CLASS);
}

CK_KEY_TYPE object_key_type(const struct attributes *set)
{
	return attributes_ulong(set, CKA_KEY_TYPE);
}

static bool is_key(CK_OBJECT_CLASS class)
{
	return class == CKO_PUBLIC_KEY || class == CKO_PRIVATE_KEY || class == CKO_SECRET_KEY;
}

static bool is_true_by_default(const struct object *object, CK_ATTRIBUTE_TYPE type)
{
	return !attributes_find(&object->attributes, type) ||
	       attributes_bool(&object->attributes, type);
}

/* ---- who sees what (§5.7, Usage Guide: access to objects) -------------------------------------------- */

static bool visible(const struct session *session, const struct object *object)
{
	if (object->slot != session->slot)
		return false;
	if (!attributes_bool(&object->attributes, CKA_PRIVATE))
		return true;
	return session_private(session) == CKR_OK || FAULT(private_objects_public) ||
	       (FAULT(logout_keeps_private_objects) && object->handle != CK_INVALID_HANDLE) ||
	       (FAULT(so_sees_private) && session->slot->login == CKU_SO);
}

struct object *object_find(const struct session *session, CK_OBJECT_HANDLE handle)
{
	if (handle == CK_INVALID_HANDLE)
		return NULL;
	for (struct object *object = session->slot->objects; object; object = object->next) {
		if (object->handle == handle)
			return visible(session, object) ? object : NULL;
	}
	return NULL;
}

static CK_OBJECT_HANDLE handle_of(struct object *object)
{
	if (object->handle == CK_INVALID_HANDLE)
		object->handle = new_handle();
	return object->handle;
}

void object_free(struct object *object)
{
	if (!object)
		return;
	attributes_done(&object->attributes);
	free(object);
}

/* At the list's end, so that searches go by age. */
static void append(struct object *object)
{
	struct object **link = &object->slot->objects;

	while (*link)
		link = &(*link)->next;
	*link = object;
}

CK_OBJECT_HANDLE object_publish(struct object *object)
{
	append(object);
	return handle_of(object);
}

void slot_drop_objects(struct slot *slot, bool (*which)(const struct object *, const void *),
                       const void *context)
{
	struct object **link = &slot->objects;

	while (*link) {
		struct object *object = *link;

		if (!which(object, context)) {
			link = &object->next;
			continue;
		}
		*link = object->next;
		object_free(object);
	}
}

struct object *object_add(struct slot *slot, struct attributes *set)
{
	struct object *object = calloc(1, sizeof(*object));

	if (!object || set->failed) {
		attributes_done(set);
		free(object);
		return NULL;
	}
	object->slot = slot;
	object->attributes = *set;
	memset(set, 0, sizeof(*set));
	append(object);
	return object;
}

static void put_unique_id(struct slot *slot, struct attributes *set)
{
	char text[32];
	int length;

	if (!mock_has_version(3, 0))
		return;
	if (!FAULT(unique_id_repeats))
		slot->unique++;
	length = snprintf(text, sizeof(text), "mock-%lu-%lu", slot->id, slot->unique);
	attributes_put(set, CKA_UNIQUE_ID, text, (CK_ULONG)length);
}

/* Features and mechanisms are the token's own: no storage objects, not to be copied or destroyed. */
static bool is_fixture(const struct object *object)
{
	CK_OBJECT_CLASS class = object_class(&object->attributes);

	return class == CKO_HW_FEATURE || class == CKO_MECHANISM;
}

/* ---- making (§4.1.1) ----------------------------------------------------------------------------------- */

static const unsigned forbids[] = {
	[FROM_CREATE] = NOT_CREATE,
	[FROM_GENERATE] = NOT_GENERATE,
	[FROM_UNWRAP] = NOT_UNWRAP,
	[FROM_DERIVE] = NOT_UNWRAP,
};

static const unsigned needs[] = {
	[FROM_CREATE] = NEED_CREATE,
	[FROM_GENERATE] = NEED_GENERATE,
	[FROM_UNWRAP] = NEED_UNWRAP,
	[FROM_DERIVE] = 0,
};

/* CKA_CLASS or CKA_KEY_TYPE as the function or the template says it. */
static CK_ULONG said(CK_ATTRIBUTE_TYPE type, const struct attributes *contributed,
                     const CK_ATTRIBUTE *template, CK_ULONG count)
{
	CK_ULONG value = attributes_ulong(contributed, type);

	for (CK_ULONG i = 0; value == CK_UNAVAILABLE_INFORMATION && i < count; i++) {
		if (template[i].type == type && template[i].ulValueLen == sizeof(value))
			memcpy(&value, template[i].pValue, sizeof(value));
	}
	return value;
}

static CK_RV check_kind(CK_OBJECT_CLASS class, CK_KEY_TYPE type)
{
	static const CK_KEY_TYPE secrets[] = {
		CKK_GENERIC_SECRET, CKK_AES,           CKK_DES3,          CKK_DES2,
		CKK_CHACHA20,       CKK_HKDF,          CKK_MD5_HMAC,      CKK_SHA_1_HMAC,
		CKK_SHA224_HMAC,    CKK_SHA256_HMAC,   CKK_SHA384_HMAC,   CKK_SHA512_HMAC,
		CKK_SHA3_224_HMAC,  CKK_SHA3_256_HMAC, CKK_SHA3_384_HMAC, CKK_SHA3_512_HMAC
	};

	switch (class) {
	case CK_UNAVAILABLE_INFORMATION:
		return CKR_TEMPLATE_INCOMPLETE;
	case CKO_DATA:
	case CKO_CERTIFICATE:
	case CKO_HW_FEATURE:
	case CKO_MECHANISM:
		return CKR_OK;
	case CKO_PROFILE:
		return mock_has_version(3, 0) ? CKR_OK : CKR_ATTRIBUTE_VALUE_INVALID;
	case CKO_TRUST:
		return mock_has_version(3, 2) ? CKR_OK : CKR_ATTRIBUTE_VALUE_INVALID;
	case CKO_DOMAIN_PARAMETERS:
		if (type == CK_UNAVAILABLE_INFORMATION)
			return CKR_TEMPLATE_INCOMPLETE;
		return type == CKK_DH ? CKR_OK : CKR_ATTRIBUTE_VALUE_INVALID;
	case CKO_PUBLIC_KEY:
	case CKO_PRIVATE_KEY:
		if (type == CK_UNAVAILABLE_INFORMATION)
			return CKR_TEMPLATE_INCOMPLETE;
		if (type == CKK_RSA || type == CKK_EC || type == CKK_DH)
			return CKR_OK;
		return (type == CKK_EC_EDWARDS || type == CKK_EC_MONTGOMERY) &&
		                       mock_has_version(3, 0)
		               ? CKR_OK
		               : CKR_ATTRIBUTE_VALUE_INVALID;
	case CKO_SECRET_KEY:
		if (type == CK_UNAVAILABLE_INFORMATION)
			return CKR_TEMPLATE_INCOMPLETE;
		for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
			if (type == secrets[i])
				return CKR_OK;
		}
		return CKR_ATTRIBUTE_VALUE_INVALID;
	default:
		return CKR_ATTRIBUTE_VALUE_INVALID;
	}
}

/* Take the template's items into the object. */
static CK_RV take_items(const struct session *session, enum origin origin, CK_OBJECT_CLASS class,
                        CK_KEY_TYPE key_type, const CK_ATTRIBUTE *template, CK_ULONG count,
                        const struct attributes *contributed, struct attributes *set)
{
	for (CK_ULONG i = 0; i < count; i++) {
		const CK_ATTRIBUTE *item = &template[i];
		const struct policy *row = policy_find(item->type, class, key_type);
		const struct attribute *other = attributes_find(set, item->type);

		if (!row) {
			if (FAULT(foreign_attributes_accepted))
				continue;
			return CKR_TEMPLATE_INCONSISTENT;
		}
		if ((row->traits & forbids[origin]) && !FAULT(read_only_attributes_accepted))
			return CKR_ATTRIBUTE_READ_ONLY;
		if ((row->traits & ONLY_SO) && *(CK_BBOOL *)item->pValue &&
		    session->slot->login != CKU_SO && !FAULT(trusted_by_anybody))
			return CKR_ATTRIBUTE_READ_ONLY;
		if (other && (!attribute_equals_item(other, item) || mock_config.other_codes) &&
		    !FAULT(contradictions_accepted))
			return CKR_TEMPLATE_INCONSISTENT;
		other = attributes_find(contributed, item->type);
		if (other && !attribute_equals_item(other, item) && !FAULT(contradictions_accepted))
			return CKR_TEMPLATE_INCONSISTENT;
		attributes_put_item(set, item);
	}
	return CKR_OK;
}

/* Add CKA_UNWRAP_TEMPLATE or CKA_DERIVE_TEMPLATE of a key (§5.18.4, §5.18.5). */
static CK_RV take_extra(const struct attributes *extra, struct attributes *set)
{
	for (size_t i = 0; extra && i < extra->count; i++) {
		const struct attribute *other = attributes_find(set, extra->list[i].type);

		if (other && !attribute_equals(other, &extra->list[i]))
			return CKR_TEMPLATE_INCONSISTENT;
		attributes_put_copy(set, &extra->list[i]);
	}
	return CKR_OK;
}

static void put_default(struct attributes *set, const struct policy *row)
{
	switch (row->value) {
	case NONE:
		break;
	case EMPTY:
		attributes_put(set, row->type, NULL, 0);
		break;
	case FALSE:
	case TRUE:
		attributes_put_bool(set, row->type, row->value == TRUE);
		break;
	case ZERO:
		attributes_put_ulong(set, row->type, 0);
		break;
	case UNAVAILABLE:
		attributes_put_ulong(set, row->type, CK_UNAVAILABLE_INFORMATION);
		break;
	}
}

static CK_RV take_defaults(enum origin origin, CK_OBJECT_CLASS class, CK_KEY_TYPE key_type,
                           struct attributes *set)
{
	/* The token's choice (§4.4): private and secret keys are private objects. */
	if (!attributes_find(set, CKA_PRIVATE))
		attributes_put_bool(set, CKA_PRIVATE,
		                    class == CKO_PRIVATE_KEY || class == CKO_SECRET_KEY ||
		                            (class == CKO_TRUST && FAULT(trust_is_private)));
	/* §5.18.4: of an unwrapped key CKA_EXTRACTABLE is true by default. */
	if ((origin == FROM_UNWRAP || origin == FROM_DERIVE) &&
	    (class == CKO_PRIVATE_KEY || class == CKO_SECRET_KEY) &&
	    !attributes_find(set, CKA_EXTRACTABLE))
		attributes_put_bool(set, CKA_EXTRACTABLE, !FAULT(unwrapped_not_extractable));
	for (size_t i = 0; i < policy_count; i++) {
		const struct policy *row = &policies[i];

		if (!policy_applies(row, class, key_type) || attributes_find(set, row->type) ||
		    !policy_find(row->type, class, key_type))
			continue;
		if ((row->traits & needs[origin]) && !FAULT(incomplete_accepted))
			return CKR_TEMPLATE_INCOMPLETE;
		put_default(set, row);
	}
	if (FAULT(modifiable_defaults_false))
		attributes_put_bool(set, CKA_MODIFIABLE, false);
	return CKR_OK;
}

/* What only the token says of keys (§4.8 to §4.11, §5.7.1). */
static void put_history(enum origin origin, CK_OBJECT_CLASS class, struct attributes *set)
{
	bool generated = origin == FROM_GENERATE;

	if (!is_key(class))
		return;
	attributes_put_bool(set, CKA_LOCAL, generated != FAULT(local_wrong));
	if (class == CKO_PUBLIC_KEY)
		return;
	attributes_put_bool(set, CKA_ALWAYS_SENSITIVE,
	                    (generated && attributes_bool(set, CKA_SENSITIVE)) ||
	                            FAULT(always_sensitive_always));
	attributes_put_bool(set, CKA_NEVER_EXTRACTABLE,
	                    (generated && !attributes_bool(set, CKA_EXTRACTABLE)) ||
	                            FAULT(never_extractable_always));
}

static bool all_unknown(const struct attributes *set)
{
	for (CK_ATTRIBUTE_TYPE type = CKA_TRUST_SERVER_AUTH; type <= CKA_TRUST_OCSP_SIGNING;
	     type++) {
		CK_ULONG trust = attributes_ulong(set, type);

		if (trust != CK_UNAVAILABLE_INFORMATION && trust != CKT_TRUST_UNKNOWN &&
		    trust != CKT_NOT_TRUSTED)
			return false;
	}
	return true;
}

/* What attributes ask of each other. */
static CK_RV check_together(CK_OBJECT_CLASS class, struct attributes *set)
{
	const struct attribute *value = attributes_find(set, CKA_VALUE);

	if (attributes_bool(set, CKA_ALWAYS_AUTHENTICATE) && !attributes_bool(set, CKA_PRIVATE) &&
	    !FAULT(always_authenticate_public))
		return CKR_TEMPLATE_INCONSISTENT;
	/* The token alone makes these (§4.3, §4.13, §4.14). */
	if (class == CKO_HW_FEATURE || class == CKO_MECHANISM || class == CKO_PROFILE)
		return CKR_TEMPLATE_INCONSISTENT;
	/* An empty value is to be had from CKA_URL (§4.6.3). */
	if (class == CKO_CERTIFICATE && value->length == 0 &&
	    attributes_find(set, CKA_URL)->length == 0)
		return CKR_TEMPLATE_INCOMPLETE;
	/* §4.7 */
	if (class == CKO_TRUST && !all_unknown(set) && !FAULT(trust_incomplete_accepted) &&
	    (!attributes_find(set, CKA_HASH_OF_CERTIFICATE) ||
	     !attributes_find(set, CKA_NAME_HASH_ALGORITHM)))
		return CKR_TEMPLATE_INCOMPLETE;
	if (is_key(class) || class == CKO_CERTIFICATE)
		return key_complete(set);
	return CKR_OK;
}

/* May the session have such an object? */
static CK_RV check_access(const struct session *session, const struct attributes *set)
{
	CK_RV rv = CKR_OK;

	if (attributes_bool(set, CKA_TOKEN))
		rv = session_writes(session);
	if (rv == CKR_OK && attributes_bool(set, CKA_PRIVATE) && !FAULT(private_without_login))
		rv = session_private(session);
	return rv;
}

CK_RV object_make(struct session *session, enum origin origin, const CK_ATTRIBUTE *template,
                  CK_ULONG count, struct attributes *contributed, const struct attributes *extra,
                  struct object **ret_object)
{
	CK_OBJECT_CLASS class = CK_UNAVAILABLE_INFORMATION;
	CK_KEY_TYPE key_type = CK_UNAVAILABLE_INFORMATION;
	struct attributes set = { 0 };
	struct object *object = NULL;
	CK_RV rv = slot_writes(session->slot);

	if (rv == CKR_OK && !template && count > 0)
		rv = CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; rv == CKR_OK && i < count; i++)
		rv = attribute_check_item(&template[i]);
	if (rv == CKR_OK) {
		class = said(CKA_CLASS, contributed, template, count);
		key_type = said(CKA_KEY_TYPE, contributed, template, count);
		rv = check_kind(class, key_type);
	}
	if (rv == CKR_OK)
		rv = take_items(session, origin, class, key_type, template, count, contributed,
		                &set);
	if (rv == CKR_OK)
		rv = take_extra(extra, &set);
	if (rv == CKR_OK) {
		attributes_copy(&set, contributed);
		rv = take_defaults(origin, class, key_type, &set);
	}
	if (rv == CKR_OK) {
		put_history(origin, class, &set);
		rv = check_together(class, &set);
	}
	if (rv == CKR_OK)
		rv = check_access(session, &set);
	if (rv == CKR_OK) {
		put_unique_id(session->slot, &set);
		object = calloc(1, sizeof(*object));
		if (!object || set.failed || contributed->failed)
			rv = CKR_HOST_MEMORY;
	}
	attributes_done(contributed);
	if (rv != CKR_OK) {
		attributes_done(&set);
		free(object);
		return rv;
	}
	object->slot = session->slot;
	object->attributes = set;
	object->owner = attributes_bool(&set, CKA_TOKEN) ? 0 : session->handle;
	*ret_object = object;
	return CKR_OK;
}

CK_RV mock_C_CreateObject(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount,
                          CK_OBJECT_HANDLE_PTR phObject)
{
	struct session *session = session_find(hSession);
	struct attributes contributed = { 0 };
	struct object *object;
	CK_RV rv;

	if (!phObject)
		return CKR_ARGUMENTS_BAD;
	rv = object_make(session, FROM_CREATE, pTemplate, ulCount, &contributed, NULL, &object);
	if (rv == CKR_OK)
		*phObject = object_publish(object);
	return rv;
}

/* ---- changing (§4.1.2), copying (§4.1.3) --------------------------------------------------------------- */

static CK_RV change(const struct session *session, struct attributes *set, const CK_ATTRIBUTE *item,
                    unsigned permits)
{
	const struct policy *row = policy_find(item->type, object_class(set), object_key_type(set));
	const struct attribute *old = attributes_find(set, item->type);
	CK_RV rv = attribute_check_item(item);

	if (rv != CKR_OK)
		return rv;
	if (!row)
		return CKR_TEMPLATE_INCONSISTENT;
	if (old && attribute_equals_item(old, item))
		return CKR_OK;
	if (!(row->traits & permits) && !FAULT(read_only_attributes_change))
		return CKR_ATTRIBUTE_READ_ONLY;
	if ((row->traits & STAYS_TRUE) && attributes_bool(set, item->type) &&
	    !FAULT(sensitive_goes_back))
		return CKR_ATTRIBUTE_READ_ONLY;
	if ((row->traits & STAYS_FALSE) && !attributes_bool(set, item->type) &&
	    !FAULT(extractable_goes_back))
		return CKR_ATTRIBUTE_READ_ONLY;
	if ((row->traits & ONLY_SO) && session->slot->login != CKU_SO && !FAULT(trusted_by_anybody))
		return CKR_ATTRIBUTE_READ_ONLY;
	attributes_put_item(set, item);
	return CKR_OK;
}

CK_RV mock_C_CopyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
                        CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount,
                        CK_OBJECT_HANDLE_PTR phNewObject)
{
	struct session *session = session_find(hSession);
	const struct object *source = object_find(session, hObject);
	struct attributes set = { 0 };
	struct object *object = NULL;
	CK_RV rv = slot_writes(session->slot);

	if (rv != CKR_OK)
		return rv;
	if (!source)
		return CKR_OBJECT_HANDLE_INVALID;
	if (!phNewObject || (!pTemplate && ulCount > 0))
		return CKR_ARGUMENTS_BAD;
	if (is_fixture(source) ||
	    (!is_true_by_default(source, CKA_COPYABLE) && !FAULT(uncopyable_copied)))
		return CKR_ACTION_PROHIBITED;
	attributes_copy(&set, &source->attributes);
	for (CK_ULONG i = 0; rv == CKR_OK && i < ulCount; i++)
		rv = change(session, &set, &pTemplate[i], CHANGES | IN_COPY);
	if (rv == CKR_OK && FAULT(copy_loses_history)) {
		attributes_put_bool(&set, CKA_ALWAYS_SENSITIVE, false);
		attributes_put_bool(&set, CKA_LOCAL, false);
	}
	if (rv == CKR_OK)
		rv = check_access(session, &set);
	if (rv == CKR_OK) {
		if (!FAULT(copy_keeps_unique_id))
			put_unique_id(session->slot, &set);
		object = calloc(1, sizeof(*object));
		if (!object || set.failed)
			rv = CKR_HOST_MEMORY;
	}
	if (rv != CKR_OK) {
		attributes_done(&set);
		free(object);
		return rv;
	}
	object->slot = session->slot;
	object->attributes = set;
	object->owner = attributes_bool(&set, CKA_TOKEN) ? 0 : session->handle;
	*phNewObject = object_publish(object);
	return CKR_OK;
}

CK_RV mock_C_SetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
                               CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
	struct session *session = session_find(hSession);
	struct object *object = object_find(session, hObject);
	struct attributes set = { 0 };
	CK_RV rv = slot_writes(session->slot);

	if (rv != CKR_OK)
		return rv;
	if (!object)
		return CKR_OBJECT_HANDLE_INVALID;
	if (!pTemplate && ulCount > 0)
		return CKR_ARGUMENTS_BAD;
	if (object->owner == 0) {
		rv = session_writes(session);
		if (rv != CKR_OK)
			return rv;
	}
	if (!is_true_by_default(object, CKA_MODIFIABLE) && !FAULT(unmodifiable_changes))
		return CKR_ACTION_PROHIBITED;
	/* Trusted certificates cannot be modified (§4.6.2). */
	if (object_class(&object->attributes) == CKO_CERTIFICATE &&
	    attributes_bool(&object->attributes, CKA_TRUSTED))
		return CKR_ACTION_PROHIBITED;
	/* All or nothing. */
	attributes_copy(&set, &object->attributes);
	for (CK_ULONG i = 0; rv == CKR_OK && i < ulCount; i++) {
		rv = change(session, &set, &pTemplate[i], CHANGES);
		if (rv == CKR_OK && FAULT(set_attributes_half_done))
			attributes_put_item(&object->attributes, &pTemplate[i]);
	}
	if (rv == CKR_OK && set.failed)
		rv = CKR_HOST_MEMORY;
	if (rv != CKR_OK) {
		attributes_done(&set);
		return rv;
	}
	attributes_done(&object->attributes);
	object->attributes = set;
	return CKR_OK;
}

static bool same(const struct object *object, const void *other)
{
	return object == other;
}

CK_RV mock_C_DestroyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject)
{
	struct session *session = session_find(hSession);
	struct object *object = object_find(session, hObject);
	CK_RV rv = slot_writes(session->slot);

	if (rv != CKR_OK)
		return rv;
	if (!object)
		return FAULT(bad_object_wrong_code) ? CKR_ARGUMENTS_BAD : CKR_OBJECT_HANDLE_INVALID;
	if (object->owner == 0) {
		rv = session_writes(session);
		if (rv != CKR_OK)
			return rv;
	}
	if (is_fixture(object) ||
	    (!is_true_by_default(object, CKA_DESTROYABLE) && !FAULT(undestroyable_destroyed)))
		return CKR_ACTION_PROHIBITED;
	if (!FAULT(destroyed_stays))
		slot_drop_objects(session->slot, same, object);
	return CKR_OK;
}

CK_RV mock_C_GetObjectSize(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
                           CK_ULONG_PTR pulSize)
{
	const struct object *object = object_find(session_find(hSession), hObject);
	CK_ULONG size = 0;

	if (!object)
		return CKR_OBJECT_HANDLE_INVALID;
	if (!pulSize)
		return CKR_ARGUMENTS_BAD;
	for (size_t i = 0; i < object->attributes.count; i++)
		size += sizeof(CK_ATTRIBUTE) + object->attributes.list[i].length;
	*pulSize = mock_config.other_codes ? CK_UNAVAILABLE_INFORMATION : size;
	return CKR_OK;
}

/* ---- reading (§5.7.5) -------------------------------------------------------------------------------------- */

static bool hidden(const struct object *object, CK_ATTRIBUTE_TYPE type)
{
	const struct attributes *set = &object->attributes;
	const struct policy *row = policy_find(type, object_class(set), object_key_type(set));

	if (!row || !(row->traits & HIDDEN))
		return false;
	return (attributes_bool(set, CKA_SENSITIVE) && !FAULT(sensitive_revealed)) ||
	       (!attributes_bool(set, CKA_EXTRACTABLE) && !FAULT(unextractable_revealed));
}

/* An array's items have buffers of their own. */
static CK_RV read_nested(const struct attributes *nested, CK_ATTRIBUTE *items)
{
	CK_RV rv = CKR_OK;

	for (size_t i = 0; i < nested->count; i++) {
		const struct attribute *inner = &nested->list[i];

		items[i].type = inner->type;
		if (items[i].pValue && items[i].ulValueLen < inner->length) {
			items[i].ulValueLen = CK_UNAVAILABLE_INFORMATION;
			rv = CKR_BUFFER_TOO_SMALL;
			continue;
		}
		if (items[i].pValue && inner->length > 0)
			memcpy(items[i].pValue, inner->value, inner->length);
		items[i].ulValueLen = inner->length;
	}
	return rv;
}

/* The five cases of §5.7.5, in their order. */
static CK_RV read_item(struct object *object, CK_ATTRIBUTE *item)
{
	const struct attribute *attribute = attributes_find(&object->attributes, item->type);

	if (hidden(object, item->type)) {
		if (!FAULT(sensitive_length_kept))
			item->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_ATTRIBUTE_SENSITIVE;
	}
	if (!attribute) {
		if (!FAULT(missing_length_kept))
			item->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_ATTRIBUTE_TYPE_INVALID;
	}
	if (!item->pValue) {
		item->ulValueLen = attribute->length;
		return CKR_OK;
	}
	if (item->ulValueLen < attribute->length && !FAULT(attribute_overruns)) {
		item->ulValueLen = FAULT(short_attribute_length_given) ? attribute->length
		                                                       : CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	item->ulValueLen = attribute->length;
	if (attribute->nested)
		return read_nested(attribute->nested, item->pValue);
	if (attribute->length > 0)
		memcpy(item->pValue, attribute->value, attribute->length);
	return CKR_OK;
}

/* A monotonic counter counts when it is read (§4.3.4). */
static void count_up(struct object *object)
{
	CK_BYTE value[8];
	CK_ULONG counter = ++object->slot->counter;

	for (int i = 7; i >= 0; i--, counter >>= 8)
		value[i] = (CK_BYTE)counter;
	attributes_put(&object->attributes, CKA_VALUE, value, sizeof(value));
}

CK_RV mock_C_GetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
                               CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
	struct object *object = object_find(session_find(hSession), hObject);
	CK_RV rv = CKR_OK;

	if (!object)
		return FAULT(bad_object_wrong_code) ? CKR_ARGUMENTS_BAD : CKR_OBJECT_HANDLE_INVALID;
	if (!pTemplate && ulCount > 0)
		return CKR_ARGUMENTS_BAD;
	if (attributes_ulong(&object->attributes, CKA_HW_FEATURE_TYPE) == CKH_MONOTONIC_COUNTER)
		count_up(object);
	for (CK_ULONG i = 0; i < ulCount; i++) {
		CK_RV one = read_item(object, &pTemplate[i]);

		/* Any of the codes may be returned, once all is done. */
		if (one != CKR_OK && (rv == CKR_OK || mock_config.other_codes))
			rv = one;
		if (rv != CKR_OK && FAULT(partial_read_lost))
			return rv;
	}
	return FAULT(partial_read_ok) ? CKR_OK : rv;
}

/* ---- finding (§5.7.7 to §5.7.9) ---------------------------------------------------------------------------------- */

static bool matches(const struct object *object, const CK_ATTRIBUTE *template, CK_ULONG count)
{
	for (CK_ULONG i = 0; i < count; i++) {
		const struct attribute *attribute =
			attributes_find(&object->attributes, template[i].type);

		if (FAULT(find_ignores_label) && template[i].type == CKA_LABEL)
			continue;
		/* A search must not tell what C_GetAttributeValue hides. */
		if (!attribute || hidden(object, template[i].type))
			return false;
		if (FAULT(find_matches_prefix) && attribute->length >= template[i].ulValueLen &&
		    !attribute->nested &&
		    memcmp(attribute->value, template[i].pValue, template[i].ulValueLen) == 0)
			continue;
		if (!attribute_equals_item(attribute, &template[i]))
			return false;
	}
	return true;
}

/* Up to 3.1 a search finds features and mechanisms only where it names their class (2.40 §4.3.2, §4.12.2). */
static bool asked_for(const struct object *object, const CK_ATTRIBUTE *template, CK_ULONG count)
{
	CK_OBJECT_CLASS class = object_class(&object->attributes);

	if ((class != CKO_HW_FEATURE && class != CKO_MECHANISM) || mock_has_version(3, 2) ||
	    FAULT(features_always_found))
		return true;
	for (CK_ULONG i = 0; i < count; i++) {
		if (template[i].type == CKA_CLASS)
			return true;
	}
	return false;
}

CK_RV mock_C_FindObjectsInit(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate,
                             CK_ULONG ulCount)
{
	struct session *session = session_find(hSession);
	struct search *search = &session->search;
	size_t count = 0;

	if (search->active && !FAULT(find_twice))
		return CKR_OPERATION_ACTIVE;
	if (!pTemplate && ulCount > 0)
		return CKR_ARGUMENTS_BAD;
	for (CK_ULONG i = 0; i < ulCount; i++) {
		if (!pTemplate[i].pValue && pTemplate[i].ulValueLen > 0)
			return CKR_ATTRIBUTE_VALUE_INVALID;
		/* Else an unknown attribute matches nothing. */
		if (mock_config.other_codes &&
		    attribute_check_item(&pTemplate[i]) == CKR_ATTRIBUTE_TYPE_INVALID)
			return CKR_ATTRIBUTE_TYPE_INVALID;
	}
	free(search->found);
	memset(search, 0, sizeof(*search));
	for (const struct object *object = session->slot->objects; object; object = object->next)
		count++;
	search->found = calloc(count + 1, sizeof(*search->found));
	if (!search->found)
		return CKR_HOST_MEMORY;
	for (struct object *object = session->slot->objects; object; object = object->next) {
		if (visible(session, object) && asked_for(object, pTemplate, ulCount) &&
		    matches(object, pTemplate, ulCount))
			search->found[search->count++] = handle_of(object);
	}
	search->active = true;
	return CKR_OK;
}

CK_RV mock_C_FindObjects(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE_PTR phObject,
                         CK_ULONG ulMaxObjectCount, CK_ULONG_PTR pulObjectCount)
{
	struct search *search = &session_find(hSession)->search;
	CK_ULONG count = 0;

	if (!search->active)
		return FAULT(find_without_init) ? CKR_OK : CKR_OPERATION_NOT_INITIALIZED;
	if (!pulObjectCount || (!phObject && ulMaxObjectCount > 0))
		return CKR_ARGUMENTS_BAD;
	if (FAULT(find_overruns))
		ulMaxObjectCount += 4;
	while (phObject && count < ulMaxObjectCount && search->next < search->count)
		phObject[count++] = search->found[search->next++];
	if (FAULT(find_never_ends) && search->next == search->count)
		search->next = 0;
	*pulObjectCount = count;
	return CKR_OK;
}

CK_RV mock_C_FindObjectsFinal(CK_SESSION_HANDLE hSession)
{
	struct search *search = &session_find(hSession)->search;

	if (!search->active)
		return FAULT(find_without_init) ? CKR_OK : CKR_OPERATION_NOT_INITIALIZED;
	if (FAULT(find_final_keeps))
		return CKR_OK;
	free(search->found);
	memset(search, 0, sizeof(*search));
	return CKR_OK;
}
