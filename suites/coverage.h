/* SPDX-License-Identifier: MIT
 *
 * docs/conformance-coverage.md: which checks assert which rule, and which rules none asserts.
 */
#ifndef TAPE_SUITES_COVERAGE_H
#define TAPE_SUITES_COVERAGE_H

#include <stdio.h>

#include "suites/list.h"

void coverage_print(FILE *to, const struct check_list *list);

#endif
