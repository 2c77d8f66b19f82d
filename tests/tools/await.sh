# SPDX-License-Identifier: MIT
#
# For what sources it, and has fail().
# shellcheck shell=bash

# Wait until a pattern stands in a file, at most 20 seconds.
await() { # PATTERN FILE
	local i
	for ((i = 0; i < 400; i++)); do
		! grep -q -e "$1" "$2" 2>/dev/null || return 0
		sleep 0.05
	done
	fail "'$1' did not come: $(cat "$2" 2>/dev/null)"
}
