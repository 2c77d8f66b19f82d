#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# TLS with NSS: tstclnt against servers on this machine, with a client's key in SoftHSM2 and in a softokn of
# its own, and with certificates of authorities in modules; selfserv with its key in SoftHSM2.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
own_network=yes
. "$(dirname "$0")/lib.sh"
program=tstclnt
make_nss
printf 'GET /page HTTP/1.0\r\n\r\n' >"$work/request"

server asks -CAfile "$work/pki/ca.crt" -Verify 3
asks=$port
server plain
plain=$port

client=(timeout 20 tstclnt -A "$work/request" -h 127.0.0.1 -d "sql:$work/nss")
use_softhsm
for version in 1.2 1.3; do
	id=11
	for name in client client-ec; do
		row "$name-tls$version" "${signs[@]}" --twice --key "CKA_ID=$id,$work/pki/$name.key" \
			-- nss nss.0 {} '' "${client[@]}" -p "$asks" -n "clitok:$name" -w "$user_pin" -V "tls$version:tls$version"
		id=$((id + 1))
	done
done

use_module "NSS's root certificates" "$multiarch/libnssckbi.so"
row roots-refuse -- nss nss-none {} NSS=trustOrder=100 "${client[@]}" -p "$plain" -V tls1.3:tls1.3
row roots-client -- nss nss.0 {} NSS=trustOrder=100 "${client[@]}" -p "$asks" -V tls1.3:tls1.3

use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
anchors="parameters=paths='$work/anchors'"$'\n'NSS=trustOrder=100
row anchors-tls1.2 -- nss nss-none {} "$anchors" "${client[@]}" -p "$plain" -V tls1.2:tls1.2
row anchors-tls1.3 -- nss nss-none {} "$anchors" "${client[@]}" -p "$plain" -V tls1.3:tls1.3
row system-refuse -- nss nss-none {} NSS=trustOrder=100 "${client[@]}" -p "$plain" -V tls1.3:tls1.3

use_softokn_copy
for version in 1.2 1.3; do
	row "softokn-tls$version" "${signs_once[@]}" --lacks 'Vendor NSS FIPS Interface' \
		-- nss nss.0 {} "$softokn" "${client[@]}" -p "$asks" -n 'copy:client' -V "tls$version:tls$version"
done

# A server with its key in the token, asked once, and then to stop. A client does not trust a recorded
# signature: then it is made to stop.
serve() { # MODULE PORT OPTIONS…
	local i port request
	nss nss.0 "$1" '' exec selfserv -d "sql:$work/nss" -w "$user_pin" -p "$2" "${@:3}" >server 2>&1 &
	printf -v port ':%04X 0*:0000 0A' "$2"
	for ((i = 0; i < 200; i++)); do
		! grep -q "$port" /proc/net/tcp /proc/net/tcp6 || break
		sleep 0.05
	done
	for request in / /stop; do
		printf 'GET %s HTTP/1.0\r\n\r\n' "$request" |
			timeout 20 openssl s_client -quiet -connect "127.0.0.1:$2" >answer 2>&1 || true
		grep -q 'HTTP/1.0 200' answer || { kill $! && break; }
	done
	wait $! || true
	sed -i '/^HTTP/!d' answer
}
export -f nss
use_softhsm
for version in 1.2 1.3; do
	port=$(free_port tcp)
	row "selfserv-tls$version" --program selfserv --needs openssl "${signs_once[@]}" \
		--key "CKA_ID=11,$work/pki/client.key" \
		-- serve {} "$port" -n clitok:client -V "tls$version:tls$version"
done
