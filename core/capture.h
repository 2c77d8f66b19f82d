/* SPDX-License-Identifier: MIT
 *
 * From a caller's memory to values: a call's inputs before the module sees them, and what the module
 * wrote afterwards. Which bytes count is PKCS#11's own rules, per shape; docs/trace-format.md lists them.
 *
 * Nothing here fails the caller: what cannot be kept becomes TAPE_V_LOST, and `lost` says so. What the
 * policy redacts becomes TAPE_V_SECRET before anything else sees it; `number` is its length all the same.
 */
#ifndef TAPE_CAPTURE_H
#define TAPE_CAPTURE_H

#include "core/api/api.h"
#include "core/arena.h"
#include "core/redact.h"
#include "core/value.h"

/*
 * Tells which message parameter structure a session's operation uses; TAPE_R_NONE where it uses none, and
 * TAPE_R_COUNT where nothing is known of the session: then the structure of that size is taken, if any.
 */
typedef enum tape_record_id tape_message_record_fn(void *context, CK_SESSION_HANDLE session,
                                                   bool seal);

/*
 * Tells the class of an object, where it is known for certain; else TAPE_CLASS_UNKNOWN. Only asked where
 * the policy redacts key material.
 */
#define TAPE_CLASS_UNKNOWN UINT64_MAX
typedef uint64_t tape_object_class_fn(void *context, CK_SESSION_HANDLE session,
                                      CK_OBJECT_HANDLE object);

struct tape_capture {
	struct tape_arena *arena; /* copies, children and names live here */
	struct tape_secrets
		*secrets;    /* names secrets; may be NULL where the policy redacts nothing */
	unsigned int redact; /* the policy: TAPE_REDACT_… */
	bool snapshot;       /* keep what outputs held before, for tape_capture_out() */
	bool images; /* leave structures that are all output as TAPE_V_IMAGE: they only get printed */
	bool lost;   /* some value became TAPE_V_LOST */
	tape_message_record_fn *message_record;
	tape_object_class_fn
		*object_class; /* NULL: no class is known but by what a template says */
	void *context;
};

/*
 * Capture the inputs of a call: one value per argument of `function`, from its boxed parameters.
 * Byte strings point into the caller's memory: use the values before the call returns.
 */
void tape_capture_in(struct tape_capture *capture, const struct tape_function *function,
                     const uintptr_t *words, struct tape_value *in);

/*
 * Capture what the module wrote in a call that returned `rv`. `in` are the values that
 * tape_capture_in() made with `snapshot` for this very call. Trusts no length of the module's.
 */
void tape_capture_out(struct tape_capture *capture, const struct tape_function *function,
                      const uintptr_t *words, const struct tape_value *in, CK_RV rv,
                      struct tape_value *out);

/*
 * The class that a template says its object has. TAPE_CLASS_UNKNOWN where it says none, or two. Of a
 * template that was read in vain (`asked` are the inputs then, else NULL) only what certainly changed counts.
 */
uint64_t tape_template_class(const struct tape_value *list, const struct tape_value *asked);

/* Choose the structure of a mechanism's parameter of `length` bytes at `parameter` (may be hostile). */
enum tape_record_id tape_parameter_record(const struct tape_mechanism *row, unsigned int traits,
                                          const void *parameter, size_t length);

/* What a function list or an interface shows: its version and the entries it has as NULL. */
size_t tape_list_pointers(unsigned int major, unsigned int minor);

#endif
