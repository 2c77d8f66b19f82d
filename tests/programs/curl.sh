#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# curl with a client's key in SoftHSM2, and its certificate too, by OpenSSL's engine; the server is on this
# machine.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=all
program=curl
need_engine
use_softhsm
server asks -CAfile "$work/pki/ca.crt" -Verify 3
asks=https://localhost:$port/page
server plain
plain=https://localhost:$port/page

get() { # MODULE OPTIONS…
	PKCS11_MODULE_PATH=$1 curl --silent --show-error --max-time 20 --noproxy '*' --cacert "$work/pki/ca.crt" \
		--engine pkcs11 --key-type ENG "${@:2}"
}

for version in 1.2 1.3; do
	for name in client client-ec; do
		with "$name"
		row "$name-tls$version" "${signs[@]}" "${by[@]}" -- get {} --key "$(uri "$name")" --cert "$work/pki/$name.crt" \
			"--tlsv$version" --tls-max "$version" "$asks"
	done
done
for name in client client-ec; do
	with "$name"
	row "$name-certificate" "${signs[@]}" "${by[@]}" -- get {} --key "$(uri "$name")" \
		--cert-type ENG --cert "$(uri "$name" "$user_pin" cert)" "$asks"
done
with client
row two-pages "${signs_once[@]}" "${by[@]}" -- get {} --key "$(uri client)" --cert "$work/pki/client.crt" "$asks" "$asks"

# It loads what the server does not ask for.
row not-asked -- get {} --key "$(uri client)" --cert-type ENG --cert "$(uri client "$user_pin" cert)" "$plain"
row no-certificate -- get {} --key "$(uri client)" --cert-type ENG --cert "$(uri nobody "$user_pin" cert)" "$asks"
row other-certificate -- get {} --key "$(uri client-ec)" --cert-type ENG --cert "$(uri client "$user_pin" cert)" "$asks"
row no-key -- get {} --key "$(uri nobody)" --cert "$work/pki/client.crt" "$asks"
row wrong-pin -- get {} --key "$(uri client "$other_pin")" --cert "$work/pki/client.crt" "$asks"
