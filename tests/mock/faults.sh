#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Is each fault of faults.def one? With it switched on, some test of the mock must fail, crash or hang.
set -euo pipefail

here=$P11TAPE_SOURCE_DIR/tests/mock
tests=("$P11TAPE_BUILD_DIR"/tests/test-mock-{token,objects,crypto})
mapfile -t faults < <(sed -n 's/^FAULT_ROW(\([a-z0-9_]*\),.*/\1/p' "$here/faults.def")
unnoticed=()

# A test says which it is only where it fails: without a fault all pass (mock.token and the others).
for fault in "${faults[@]}"; do
	noticed=no
	for test in "${tests[@]}"; do
		if ! { MOCK_TEST_FAULT=$fault timeout 10 "$test" </dev/null; } &>/dev/null; then
			noticed=yes
			break
		fi
	done
	[[ $noticed == yes ]] || unnoticed+=("$fault")
done

echo "${#faults[@]} faults, ${#unnoticed[@]} unnoticed"
if [[ ${#unnoticed[@]} != 0 ]]; then
	printf '  %s\n' "${unnoticed[@]}"
	exit 1
fi
