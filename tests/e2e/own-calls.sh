#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Every fixture, driven by its own calls: in their order each mode answers all of them as recorded; with each reading
# call made twice, and with neighbouring ones turned round, lenient mode never answers anything else.
. "$(dirname "$0")/lib.sh"
calls=$P11TAPE_BUILD_DIR/tests/calls

drive() { # MODE TRACE [HOW]
	rm -f report
	P11TAPE_REPLAY=$2 P11TAPE_REPLAY_MODE=$1 P11TAPE_REPLAY_REPORT=$work/report "$calls" "${@:2}" 2>/dev/null | tail -n 1
}

for trace in "$P11TAPE_SOURCE_DIR"/fixtures/programs/*.yaml; do
	name=${trace##*/}
	in_order=$(drive strict "$trace")
	[[ $in_order == [1-9]*" same, 0 refused, 0 wrong, "* ]] || fail "$name, strict: $in_order"
	for mode in lenient model; do
		[[ $(drive "$mode" "$trace") == "$in_order" ]] || fail "$name, $mode: $(drive "$mode" "$trace")"
		grep -q '"summary": {"served": [0-9]*, "unused": 0, "divergences": 0, ' report || fail "$name: $(cat report)"
		for how in twice reversed; do
			result=$(drive "$mode" "$trace" "$how")
			[[ $result == [1-9]*" same, "*" refused, 0 wrong, "* ]] || fail "$name, $mode, $how: $result"
			# Where nothing overlaps only an error of the device is not given twice.
			[[ $result == *" same, 0 refused, "* || $name == modules-ykcs11-slots.yaml ]] ||
				grep -q '^  *thread:' "$trace" || fail "$name, $mode, $how: $result"
		done
	done
done
