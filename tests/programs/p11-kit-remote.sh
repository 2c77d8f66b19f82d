#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# p11-kit's remoting: a program calls p11-kit-client, and a server's process for each client calls SoftHSM2.
# Recorded and replayed is the client's side, the server's side, and both at once.
# shellcheck disable=SC1091,SC2016,SC2034,SC2094,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
client=$multiarch/pkcs11/p11-kit-client.so
need_all pkcs11-tool p11-kit openssl pgrep "$client"
printf hello >"$work/hello.txt"
openssl dgst -sha256 -binary -out "$work/digest" "$work/hello.txt"

# Run a command with a server over MODULE, which ends with it. What it prints is sorted: the order of
# SoftHSM2's objects is that of their addresses.
served() { # MODULE COMMAND…
	local i server status=0
	export P11_KIT_SERVER_ADDRESS=unix:path=$PWD/socket
	touch server
	p11-kit server --foreground --name "$PWD/socket" --provider "$1" 'pkcs11:token=clitok' >server 2>&1 &
	server=$!
	for ((i = 0; i < 400; i++)); do
		! grep -q SERVER_PID server || break
		sleep 0.05
	done
	"${@:2}" >printed 2>&1 || status=$?
	sort printed
	# The client is gone; the process that served it finalises now.
	for ((i = 0; i < 400; i++)); do
		pgrep --parent "$server" >/dev/null || break
		sleep 0.05
	done
	kill "$server"
	wait "$server" || true
	rm -f socket server printed
	return "$status"
}
export -f served

# What --test prints depends on which key the server finds first: it gets only one.
fresh() {
	fresh_token
	[[ ${row:-} != *-test ]] || pkcs11-tool --module "$softhsm" --token-label clitok --login --pin "$user_pin" \
		--delete-object --type privkey --id 12 >/dev/null 2>&1
}

# The rows of either side.
rows() { # SIDE COMMAND…
	local side=$1 login=("${@:2}" --token-label clitok --login --pin "$user_pin")
	row "$side-slots" -- "${@:2}" --list-slots
	row "$side-objects" -- "${login[@]}" --list-objects
	row "$side-wrong-pin" -- "${@:2}" --token-label clitok --login --pin "$other_pin" --list-objects
	row "$side-rsa-sign" -- "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 11 --input-file "$work/hello.txt" \
		--output-file signature
	row "$side-ec-sign" --varies signature -- "${login[@]}" --sign --mechanism ECDSA --id 12 --input-file "$work/digest" \
		--output-file signature
	row "$side-ec-generate" --vary 's/(EC_POINT: ).*/\1/' \
		-- "${login[@]}" --keypairgen --key-type EC:prime256v1 --id 31 --label new
	row "$side-test" --match C_Decrypt.pEncryptedData=length \
		--why 'encrypts in its own process, with random padding, what the token then decrypts' -- "${login[@]}" --test
}

use_softhsm
program='p11-kit server'
rows server served {} pkcs11-tool --module "$client"

use_module 'p11-kit-client over SoftHSM2' "$client"
program=pkcs11-tool
drive_in=(served "$softhsm")
rows client served "$softhsm" pkcs11-tool --module {}

# Both sides of one run: two traces, which show merges by time. Then each is replayed without the other.
if [[ -n $module && ${P11TAPE_ROWS:-both} == both ]]; then
	row=both
	dir=$work/rows/$row
	listing=(--token-label clitok --login --pin "$user_pin" --list-objects)
	mkdir "$dir"
	cd "$dir" || fail "no $dir"
	# Not p11tape record, whose environment would reach the server's copy too.
	for side in client server; do
		real=$client
		[[ $side == client ]] || real=$softhsm
		"$P11TAPE" module recorder --copy "$dir/$side.so" --set "P11TAPE_MODULE=$real" \
			--set "P11TAPE_TRACE=$dir/$side.yaml"
	done
	fresh
	served "$softhsm" pkcs11-tool --module "$client" "${listing[@]}" >printed.direct
	fresh
	served "$dir/server.so" pkcs11-tool --module "$dir/client.so" "${listing[@]}" >printed.recorded
	"$P11TAPE" validate client.yaml server.yaml >validate.out || fail "$(<validate.out)"
	"$P11TAPE" show client.yaml server.yaml >shown || fail "the traces cannot be shown together"
	[[ $(grep -c 'C_Login(' shown) == 2 ]] || fail "the traces are not merged"
	canaries
	rm -rf "$work/tokens"
	without "$client" "$softhsm" -- "$P11TAPE" replay client.yaml -- pkcs11-tool --module {} "${listing[@]}" 2>&1 |
		sort >printed.client || fail "the client's side: $(<printed.client)"
	without "$softhsm" -- "$P11TAPE" replay server.yaml -- "$BASH" -euc 'served "$@"' both {} \
		pkcs11-tool --module "$client" "${listing[@]}" >printed.server 2>&1 || fail "the server's side: $(<printed.server)"
	for file in printed.recorded printed.client printed.server; do
		cmp -s printed.direct "$file" || fail "$file differs: $(diff printed.direct "$file" | head)"
	done
	fact exact "$(awk '{ sum += $2 } END { print sum }' validate.out)" 1 2 'each side is replayed without the other'
	echo "ok: $family/$row"
fi
