#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# OpenVPN with SoftHSM2: the identities of a token, and a client that proves itself with the token's key.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
own_network=yes
. "$(dirname "$0")/lib.sh"
drives=yes
program=openvpn
need_all openvpn

use_softhsm
row show-ids -- openvpn --suppress-timestamps --show-pkcs11-ids {}

# A tunnel between two processes, without an interface, on a free port of 127.0.0.1. The client is made to
# leave when the tunnel stands, or when the server has refused it and is gone.
tunnel() { # MODULE ID PORT OPTIONS…
	local common=(openvpn --dev null --suppress-timestamps --ca "$work/pki/ca.crt" --tls-exit --single-session)
	local server client i
	touch client server
	"${common[@]}" --local 127.0.0.1 --lport "$3" --tls-server --dh none \
		--cert "$work/pki/server.crt" --key "$work/pki/server.key" >server 2>&1 &
	server=$!
	"$programs/terminal.py" 'Password:' "$user_pin" \
		"${common[@]}" --remote 127.0.0.1 "$3" --nobind --tls-client --writepid pid \
		--pkcs11-providers "$1" --pkcs11-id "$(grep -o "[^ ]*/$2\$" "$work/ids")" "${@:4}" >client 2>&1 &
	client=$!
	for ((i = 0; i < 400; i++)); do
		{ kill -0 "$client" && kill -0 "$server"; } 2>/dev/null || break
		[[ $(cat client server | grep -c 'Initialization Sequence Completed') != 2 ]] || break
		sleep 0.05
	done
	kill "$(<pid)" "$server" 2>/dev/null || true
	wait "$client" "$server" || true
	sed -n 's/ with .*//; /Initiated$\|Completed$/p' client
	rm -f pid
}
export programs
if [[ -d $work/tokens.0 ]]; then
	fresh
	openvpn --show-pkcs11-ids "$softhsm" >"$work/ids"
fi
signs=(--varies 'client server' --match C_Sign.pData=length --up-to C_Sign
	--why 'what is signed holds random bytes of both sides; a live peer refuses the recorded signature')
for version in 1.2 1.3; do
	with client
	row "client-rsa-tls$version" "${signs[@]}" "${by[@]}" -- tunnel {} 11 "$(free_port udp)" --tls-version-max "$version"
	with client-ec
	row "client-ec-tls$version" "${signs[@]}" "${by[@]}" -- tunnel {} 12 "$(free_port udp)" --tls-version-max "$version"
done
