/* SPDX-License-Identifier: MIT
 *
 * Which codes a function may return (core/api/returns.def).
 */
#ifndef TAPE_SUITES_RETURNS_H
#define TAPE_SUITES_RETURNS_H

#include "core/api/api.h"

enum returns {
	RETURNS_LISTED,   /* the text lists it for the function, or for all */
	RETURNS_UNLISTED, /* the text does not; it may come all the same */
	RETURNS_VENDOR,   /* a vendor's own */
	RETURNS_FOREIGN,  /* it is for other functions alone */
	RETURNS_PARALLEL, /* CKR_FUNCTION_NOT_PARALLEL from a function that is not legacy */
	RETURNS_CALLBACK, /* it is for callbacks alone */
	RETURNS_UNDEFINED, /* nobody defines it */
};

enum returns returns_judge(enum tape_function_id id, CK_RV rv);

#endif
