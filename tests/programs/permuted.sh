#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A trace of certutil or tstclnt serves another version of them: one that meets the slots in another order, or offers
# other buffers (tests/shim/permute-shim.c).
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
program=certutil
need_all certutil tstclnt openssl
make_nss
printf 'GET /page HTTP/1.0\r\n\r\n' >"$work/request"
shim=$P11TAPE_BUILD_DIR/tests/permute-shim.so

# Replay the row's trace through the shim: NAME.out and NAME.json.
through() { # MODE NAME [OPTION…] -- COMMAND…
	local mode=$1 name=$2 replayer options=()
	shift 2
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	shift
	replayer=$("$P11TAPE" module replayer --for "$dir/trace.yaml")
	(
		cd "$dir"
		without "$module" -- env PERMUTE="$words" PERMUTE_NEXT="$replayer" "$P11TAPE" replay --mode "$mode" "${options[@]}" \
			--report "$name.json" trace.yaml -- env NOTHING={} "${@//"{}"/$shim}"
	) >"$dir/$name.out" 2>&1 </dev/null || true
}

# permuted NAME MODE WORDS [--served] [OPTION…] -- COMMAND…: recorded as it is, replayed through the shim. It prints the
# same lines, or (--served) others, since a live peer refuses the recorded signature.
permuted() {
	row=$1
	local mode=$2 words=$3 dir=$work/rows/$1 options=() served=no
	shift 3
	while [[ $1 != -- ]]; do
		if [[ $1 == --served ]]; then served=yes; else options+=("$1"); fi
		shift
	done
	shift
	mkdir "$dir"
	fresh
	(cd "$dir" && "$P11TAPE" record -m "$module" -o trace.yaml -- "$@") >"$dir/recorded.out" 2>&1 </dev/null ||
		fail "recorded: $(tail "$dir/recorded.out")"
	rm -rf "$work/tokens"
	through "$mode" permuted "${options[@]}" -- "$@"
	! grep -q '"divergence": ' "$dir/permuted.json" || fail "with $words: $(grep -m 3 '"divergence": ' "$dir/permuted.json")"
	grep -q '"served": [1-9]' "$dir/permuted.json" || fail "with $words, nothing was served: $(cat "$dir/permuted.out")"
	[[ $served == yes ]] || cmp -s <(sort "$dir/recorded.out") <(grep -v '^p11tape' "$dir/permuted.out" | sort) ||
		fail "with $words: $(diff "$dir/recorded.out" "$dir/permuted.out")"
	# In the trace's order it would not have been served: what is asked is another thing.
	through strict strict "${options[@]}" -- "$@"
	grep -q '"divergence": ' "$dir/strict.json" || fail "with $words: strict mode serves it too"
	echo "ok: $family/$row: mode $mode, $words"
	row=""
}

# The functions of lib.sh, for p11tape to run.
in_shell=("$BASH" -euo pipefail -c '"$@"' shell)
export -f nss
server asks -CAfile "$work/pki/ca.crt" -Verify 3
asks=$port
server plain
plain=$port
client=(timeout 20 tstclnt -A "$work/request" -h 127.0.0.1 -d "sql:$work/nss")

use_softhsm
list=(nss nss.0 {} '' certutil -L -h all -d "sql:$work/nss" -f "$work/pin")
keys=(nss nss.0 {} '' certutil -K -h clitok -d "sql:$work/nss" -f "$work/pin")
token=(nss nss.0 {} '' "${client[@]}" -p "$asks" -n clitok:client -w "$user_pin" -V tls1.3:tls1.3)
permuted list-slots lenient slots -- "${in_shell[@]}" "${list[@]}"
permuted keys-slots lenient slots -- "${in_shell[@]}" "${keys[@]}"
permuted tls-slots lenient slots --served --match C_Sign.pData=length -- "${in_shell[@]}" "${token[@]}"

permuted list-rooms model rooms -- "${in_shell[@]}" "${list[@]}"
permuted keys-rooms model 'slots rooms' -- "${in_shell[@]}" "${keys[@]}"
permuted tls-rooms model 'slots rooms' --served --match C_Sign.pData=length -- "${in_shell[@]}" "${token[@]}"

use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
anchors=(nss nss-none {} "parameters=paths='$work/anchors'"$'\n'NSS=trustOrder=100)
permuted anchors-list-rooms model rooms -- "${in_shell[@]}" "${anchors[@]}" certutil -L -h all -d "sql:$work/nss"
permuted anchors-tls-rooms model rooms -- "${in_shell[@]}" "${anchors[@]}" "${client[@]}" -p "$plain" -V tls1.3:tls1.3
