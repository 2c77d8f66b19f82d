/* SPDX-License-Identifier: MIT
 *
 * C_Finalize, and unloading the module (PKCS#11 3.1 §5.4.2).
 */
#include "suites/check.h"

static void reserved(struct check *c)
{
	char anything;
	EXPECT_RV(c, 51, c->p11->C_Finalize(&anything), CKR_ARGUMENTS_BAD);
}

static void twice(struct check *c)
{
	EXPECT_RV(c, 52, check_finalize(c), CKR_OK);
	EXPECT_RV(c, 52, c->p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

static void without_initialize(struct check *c)
{
	EXPECT_RV(c, 52, c->p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

void suite_finalize(struct check_list *list);

void suite_finalize(struct check_list *list)
{
	check_add(list, CHECK(reserved, NEED_INIT, "pReserved that is not NULL is refused", 51),
	          "reserved");
	check_add(list, CHECK(twice, NEED_INIT, "a second C_Finalize finds nothing to end", 52),
	          "twice");
	check_add(list,
	          CHECK(without_initialize, NEED_LOADED,
	                "C_Finalize without C_Initialize finds nothing to end", 52),
	          "without-initialize");
}
