#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# headers.sh COMPILER [FLAGS]: every header of ours compiles alone and included twice, without a warning.
set -euo pipefail

if [[ $# == 0 ]]; then
	echo "usage: ${0##*/} COMPILER [FLAGS]" >&2
	exit 2
fi
cd "$(dirname "$0")/../.."
failed=0

for header in core/*.h core/api/*.h recorder/*.h replayer/*.h suites/*.h cli/*.h; do
	[[ -e $header ]] || continue
	printf '#include "%s"\n#include "%s"\nextern int not_empty;\n' "$header" "$header" |
		"$@" -Werror -std=c11 -D_GNU_SOURCE -I. -fsyntax-only -x c - || {
		echo "$header does not compile alone"
		failed=1
	}
done

exit $failed
