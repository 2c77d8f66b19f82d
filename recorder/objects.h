/* SPDX-License-Identifier: MIT
 *
 * Which classes objects have, for redaction: a certificate's CKA_VALUE is for everybody, a key's is not.
 *
 * A class is known where the object's handle was given out by a call that said it (C_CreateObject, a search
 * for one class), or where CKA_CLASS was read; until the handle is given out again. What is not known is
 * taken for a key. The tables are of a fixed size, and forget.
 */
#ifndef TAPE_RECORDER_OBJECTS_H
#define TAPE_RECORDER_OBJECTS_H

#include "recorder/record.h"

/* Take note of a call's inputs, before its target is called. */
void tape_objects_enter(struct tape_call *call);

/* Take note of what a call returned. `out` are its outputs as captured. */
void tape_objects_leave(struct tape_call *call, const struct tape_value *out, CK_RV rv);

/* tape_object_class_fn; the context is the state. */
uint64_t tape_objects_class(void *context, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);

#endif
