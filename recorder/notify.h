/* SPDX-License-Identifier: MIT
 *
 * Notifications (PKCS#11 3.1 §5.21): functions of ours that a module is given in the place of the
 * application's Notify functions, and that pass every call on to them.
 */
#ifndef TAPE_RECORDER_NOTIFY_H
#define TAPE_RECORDER_NOTIFY_H

#include "recorder/record.h"

/*
 * The function to hand to the module for `notify`: one of ours that stands for it as long as we are
 * loaded, or `notify` itself where it is NULL or too many others came before it; the trace says so then.
 */
CK_NOTIFY tape_notify_stand_in(struct tape_call *call, CK_NOTIFY notify);

#endif
