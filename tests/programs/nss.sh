#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# NSS's certutil and modutil: with SoftHSM2, Mozilla's root certificates, p11-kit's trust module, and a copy
# of NSS's own softokn beside the one that NSS works with.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=all
program=certutil
make_nss
db=(-d "sql:$work/nss")
pin=(-f "$work/pin")

use_softhsm
row list --twice -- nss nss.0 {} '' certutil -L -h all "${db[@]}" "${pin[@]}"
row keys -- nss nss.0 {} '' certutil -K -h clitok "${db[@]}" "${pin[@]}"
row keys-wrong-pin -- nss nss.0 {} '' certutil -K -h clitok "${db[@]}" -f "$work/other-pin"
row request-rsa --varies request \
	-- nss nss.0 {} '' certutil -R -h clitok -k rsa -g 2048 -s CN=new -z "$work/pki/ca.der" -o request "${db[@]}" "${pin[@]}"
row request-ec --varies request \
	-- nss nss.0 {} '' certutil -R -h clitok -k ec -q nistp256 -s CN=new -z "$work/pki/ca.der" -o request "${db[@]}" "${pin[@]}"
row request-existing -- nss nss.0 {} '' certutil -R -h clitok -k 11 -s CN=new -o request "${db[@]}" "${pin[@]}"
row export -- nss nss.0 {} '' certutil -L -h clitok -n clitok:client -a "${db[@]}" "${pin[@]}"
row add -- nss nss.0 {} '' certutil -A -h clitok -n added -t C,, -i "$work/pki/server.crt" "${db[@]}" "${pin[@]}"
row modules --program modutil -- nss nss.0 {} '' modutil -list -dbdir "sql:$work/nss"
row module --program modutil -- nss nss.0 {} '' modutil -list tested -dbdir "sql:$work/nss"
row module-add --program modutil -- nss nss.0 '' '' modutil -add tested -libfile {} -force -dbdir "sql:$work/nss"

use_module "NSS's root certificates" "$multiarch/libnssckbi.so"
row roots -- nss nss.0 {} NSS=trustOrder=100 certutil -L -h all "${db[@]}"

use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
row anchors -- nss nss-none {} "parameters=paths='$work/anchors'"$'\n'NSS=trustOrder=100 certutil -L -h all "${db[@]}"
row anchors-modules --program modutil \
	-- nss nss-none {} "parameters=paths='$work/anchors'"$'\n'NSS=trustOrder=100 modutil -list -dbdir "sql:$work/nss"

use_softokn_copy
refused=(--but 'C_GetInterface: the interface was passed through' --no-fixed-point
	--why "NSS's own interface (Vendor NSS FIPS Interface) is not Cryptoki: it is passed through, and refused in the replay")
row softokn "${refused[@]}" -- nss nss.0 {} "$softokn" certutil -L -h all "${db[@]}"
row softokn-keys "${refused[@]}" -- nss nss.0 {} "$softokn" certutil -K -h all "${db[@]}"
