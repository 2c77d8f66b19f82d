#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# hollow.sh COMPILER [FLAGS]: what a check asserts must be measured: an expectation that holds whatever the module
# does is not compiled.
set -euo pipefail

if [[ $# == 0 ]]; then
	echo "usage: ${0##*/} COMPILER [FLAGS]" >&2
	exit 2
fi
cd "$(dirname "$0")/../.."
failed=0

compiles() { # MACRO CONDITION COMPILER…
	local macro=$1 condition=$2
	shift 2
	printf '#include "suites/check.h"\nvoid f(struct check *c);\nvoid f(struct check *c) { %s(c, 1, %s, "%%s", ""); }\n' \
		"$macro" "$condition" | "$@" -Werror -std=c11 -D_GNU_SOURCE -I. -fsyntax-only -x c - 2>/dev/null
}

for macro in EXPECT PREFER; do
	compiles "$macro" 'c->initialized' "$@" || {
		echo "$macro does not compile"
		failed=1
	}
	for constant in true '1 == 1' 'CKR_OK == 0'; do
		! compiles "$macro" "$constant" "$@" || {
			echo "$macro takes $constant"
			failed=1
		}
	done
done

exit $failed
