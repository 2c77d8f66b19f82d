#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Nothing is lost: `pkcs11-tool --test` is killed at random moments while it is recorded. Before and behind
# the recorder stand shims that know which calls had returned to the program and which had entered
# the module; kill.py compares that with each trace.
#
# P11TAPE_KILL_RUNS is the number of kills, P11TAPE_KILL_SEED makes the moments the same again.
set -euo pipefail

here=$(dirname "$0")
softhsm=
for path in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib*/pkcs11/libsofthsm2.so; do
	[[ -e $path ]] && softhsm=$path && break
done
for program in pkcs11-tool softhsm2-util python3; do
	command -v "$program" >/dev/null || { echo "no $program here"; exit 77; }
done
if [[ -z $softhsm ]]; then
	echo "no libsofthsm2.so here"
	exit 77
fi

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkdir "$directory/token"
echo "directories.tokendir = $directory/token" >"$directory/softhsm2.conf"
export SOFTHSM2_CONF=$directory/softhsm2.conf
{
	softhsm2-util --init-token --free --label kill --so-pin 5678 --pin 1234
	for key in rsa:2048 EC:prime256v1; do
		pkcs11-tool --module "$softhsm" --login --pin 1234 --keypairgen --key-type $key \
			--id "$([[ $key == rsa* ]] && echo 01 || echo 02)" --label "$key"
	done
} >"$directory/setup" 2>&1 || {
	cat "$directory/setup"
	exit 1
}

# The programs that are killed are not ours: a preloaded sanitizer makes them slow, not wrong.
python3 "$here/kill.py" \
	--p11tape "$P11TAPE" --recorder "$P11TAPE_RECORDER_SO" --target "$softhsm" \
	--front "$P11TAPE_BUILD_DIR/tests/count-shim-front.so" \
	--back "$P11TAPE_BUILD_DIR/tests/count-shim-back.so" \
	--functions "$P11TAPE_SOURCE_DIR/core/api/functions.def" \
	--directory "$directory" --runs "${P11TAPE_KILL_RUNS:-20}" --seed "${P11TAPE_KILL_SEED:-}"
