#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# NSS's certutil, modutil, pk12util and signtool: with SoftHSM2, Mozilla's root certificates, p11-kit's trust module,
# and a copy of NSS's own softokn beside the one that NSS works with.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=all
program=certutil
make_nss
db=(-d "sql:$work/nss")
pin=(-f "$work/pin")

use_softhsm
# One more key, that signs code: signer, key 13.
if [[ -n $module ]]; then
	{
		(cd "$work/pki" && make_certificate signer 'keyUsage=digitalSignature\nextendedKeyUsage=codeSigning\n' rsa:2048)
		into_token signer 13
		certutil -M -n authority -t C,,C -d "sql:$work/nss.0"
	} >"$work/signer.log" 2>&1 || fail "no signer: $(tail -n 3 "$work/signer.log")"
	keep_token
fi
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

# A module that modutil adds to the database, as people do: the programs then find it there.
added() { # MODULE COMMAND…
	nss nss.0 '' '' modutil -add tested -libfile "$1" -force -dbdir "sql:$work/nss"
	"${@:2}"
}
export -f nss
row added -- added {} certutil -K -h clitok "${db[@]}" "${pin[@]}"

# What NSS is told by variables is what it is told without us.
variables() { # MODULE COMMAND…
	export NSS_DEFAULT_DB_TYPE=sql NSS_USE_SHEXP_IN_CERT_NAME=yes NSS_IGNORE_SYSTEM_POLICY=1
	nss nss.0 "$1" '' env | grep ^NSS
	"${@:2}"
}
row variables -- variables {} certutil -L -h all -d "$work/nss" "${pin[@]}"

program=pk12util
row import -- added {} pk12util -i "$work/pki/server.p12" -h clitok -k "$work/pin" -W x "${db[@]}"
# When a second has passed NSS asks again whether the token is there, and to make a key of a password takes it about one.
row export-refused --recorded 'NSS asks once more when a second has passed, and its key derivation takes about one' \
	-- added {} pk12util -o client.p12 -n clitok:client -k "$work/pin" -W x "${db[@]}"

# A directory is signed with a key in the token, and the archive verified without it. What is signed is new each time.
signs_directory() { # MODULE
	added "$1" mkdir page
	openssl rand -hex 32 >page/page.html
	signtool -d "sql:$work/nss" -L
	signtool -d "sql:$work/nss" -k clitok:signer -p "$user_pin" -Z page.jar page
	signtool -d "sql:$work/nss.0" -v page.jar
	signtool -d "sql:$work/nss.0" -w page.jar
}
export -f added
made=(page/page.html page/META-INF/manifest.mf page/META-INF/zigbert.sf page/META-INF/zigbert.rsa page.jar)
row sign --program signtool --match C_Sign.pData=length --up-to C_Sign --key "CKA_ID=13,$work/pki/signer.key" \
	--vary 's/deflated [0-9]+%/deflated/' --varies "${made[*]}" --why 'the recorded signature is not for what is signed' \
	-- signs_directory {}
program=certutil

use_module "NSS's root certificates" "$multiarch/libnssckbi.so"
row roots -- nss nss.0 {} NSS=trustOrder=100 certutil -L -h all "${db[@]}"
row roots-modules --program modutil -- nss nss.0 {} NSS=trustOrder=100 modutil -list -dbdir "sql:$work/nss"
row roots-module-add --program modutil -- nss nss.0 '' '' modutil -add tested -libfile {} -force -dbdir "sql:$work/nss"

use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
row anchors -- nss nss-none {} "parameters=paths='$work/anchors'"$'\n'NSS=trustOrder=100 certutil -L -h all "${db[@]}"
row anchors-modules --program modutil \
	-- nss nss-none {} "parameters=paths='$work/anchors'"$'\n'NSS=trustOrder=100 modutil -list -dbdir "sql:$work/nss"

use_softokn_copy
row softokn "${vendor[@]}" -- nss nss.0 {} "$softokn" certutil -L -h all "${db[@]}"
row softokn-keys "${vendor[@]}" -- nss nss.0 {} "$softokn" certutil -K -h all "${db[@]}"
row softokn-modules "${vendor[@]}" --program modutil -- nss nss.0 {} "$softokn" modutil -list -dbdir "sql:$work/nss"
row softokn-module-add "${vendor[@]}" --program modutil -- nss nss.0 '' '' modutil -force -dbdir "sql:$work/nss" \
	-rawadd "library=\"{}\" name=\"tested\" parameters=\"${softokn#parameters=}\" NSS=\"trustOrder=100\""
row softokn-export --lacks 'Vendor NSS FIPS Interface' --match C_GenerateKey.pMechanism.parameter.pSaltSourceData=length \
	--match C_WrapKey.pMechanism.parameter=length --match C_EncryptInit.pMechanism.parameter=length \
	--match C_EncryptUpdate.pPart=length --served --varies client.p12 --program pk12util \
	--why 'NSS draws salts and initialisation vectors, and says them in what it encrypts' \
	-- nss nss.0 {} "$softokn" pk12util -o client.p12 -n copy:client -W x "${db[@]}"
