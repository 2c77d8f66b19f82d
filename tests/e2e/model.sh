#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What is derived of a module's answers is what the module answers: SoftHSM2, and the mock token as it is and
# where it uses the freedom that PKCS#11 gives.
. "$(dirname "$0")/lib.sh"
mock=$P11TAPE_BUILD_DIR/tests/p11tape-mock.so

# Seeds are fixed: a failure can be repeated.
holds() { # WHAT COMMAND…
	local what=$1
	shift
	run model "$@"
	[[ $(<model.status) == 0 ]] || fail "$what: $(head -n 20 model.out)"
	echo "$what: $(tr '\n' ';' <model.out)"
}

if [[ -e $mock ]]; then
	for seed in 1 2; do
		for words in objects=keys overestimate other-codes version=2.40; do
			holds "mock, $words, $seed" env P11TAPE_MOCK=$words \
				"$P11TAPE_BUILD_DIR/tests/model" "$mock" 0 1234 $seed 1000
		done
	done
	# A module that breaks a rule is noticed: this test can fail.
	for fault in short_attribute_length_given partial_read_lost find_ignores_label \
		too_small_ends_operation query_ends_operation mechanism_info_unknown; do
		run fault env P11TAPE_MOCK=fault=$fault "$P11TAPE_BUILD_DIR/tests/model" "$mock" 0 1234 1 1000
		[[ $(<fault.status) == 1 ]] || fail "the fault $fault passes: $(cat fault.out)"
	done
fi
new_token model
for seed in 1 2; do
	holds "SoftHSM2, $seed" "$P11TAPE_BUILD_DIR/tests/model" "$softhsm" 0 1234 $seed 2000
done
