#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a replay answers is what SoftHSM2 answers to the same calls in the same order (tests/modes/property.c). By hand,
# and in ci/soak-replay: replay-property.sh MODES FIRST-SEED COUNT [CALLS]
# shellcheck disable=SC1091 # lib.sh
. "$(dirname "$0")/lib.sh"
need pkcs11-tool
IFS=, read -ra modes <<<"${1:-strict,lenient,model}"
first=${2:-1} count=${3:-8} calls=${4:-150}

new_token property
pkcs11-tool --module "$softhsm" --login --pin 1234 --keypairgen --key-type rsa:2048 --id 0000 --label a >/dev/null 2>&1
mv tokens tokens.0
status=0
for mode in "${modes[@]}"; do
	"$P11TAPE_BUILD_DIR/tests/play-property" "$softhsm" "$work" "$mode" "$first" "$count" "$calls" || status=1
done
exit $status
