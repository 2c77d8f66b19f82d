/* SPDX-License-Identifier: MIT
 *
 * PINs that checks change, and how they are put back.
 */
#ifndef TAPE_SUITES_PINS_H
#define TAPE_SUITES_PINS_H

#include "suites/check.h"

/*
 * Put PINs and label back as the user of p11tape knows them, whatever a check with NEED_PINS did, finished or
 * not. Runs in a process of its own after each of them. Ends with an error where it does not succeed.
 */
void pins_restore(struct check *c);

#endif
