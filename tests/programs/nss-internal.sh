#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# NSS's internal softoken: databases are made, keys and certificates made and listed, and TLS is spoken with the message
# functions of PKCS#11 3.0, key derivation, operation states.
# NSS finds it by entry points of its own (NSC_…). A command line as it is needs `record -m '*softokn*'`; else a library
# of ours (nss-internal.c) stands in its place. Either way NSS reads pkcs11.txt by another entry point, from the real one.
# In a replay the databases are not there, and none is made: softoken's files are not what a trace brings back.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program=certutil
unshare --mount true 2>/dev/null || skip_all 'no mount namespaces here (not root?)'
need_all cc certutil tstclnt openssl
make_nss

# What softoken works on: nothing; empty, without a password; client and locked, with the client's key; fips, where NSS
# is told by $work/fips.txt to ask for the softoken of FIPS mode (FC_…).
mkdir -p "$work"/tokens/{nothing,locked}
cp -a "$work/nss-none" "$work/tokens/empty"
cp -a "$work/nss-client" "$work/tokens/client"
{
	certutil -N -d "sql:$work/tokens/locked" -f "$work/pin"
	pk12util -i "$work/pki/client.p12" -W x -d "sql:$work/tokens/locked" -k "$work/pin"
	cp -a "$work/tokens/locked" "$work/tokens/fips"
	modutil -fips true -force -dbdir "sql:$work/tokens/fips"
	mv "$work/tokens/fips/pkcs11.txt" "$work/fips.txt"
} >"$work/tokens.log" 2>&1 || fail "no database: $(tail -n 3 "$work/tokens.log")"
cp -a "$work/tokens" "$work/tokens.0"
head -c 64 /dev/zero >"$work/noise"

internal=()
if [[ $unmodified == yes ]]; then
	use_module "NSS's internal softoken" "$multiarch/libsoftokn3.so"
	stays='*softokn*'
else
	mkdir "$work/real" "$work/other"
	cp "$multiarch/libsoftokn3.so" "$work/real/libsoftokn3-real.so"
	cp "$multiarch/libsoftokn3.so" "$work/other/libsoftokn3-other.so"
	cc -shared -fPIC -I "$P11TAPE_SOURCE_DIR" -o "$work/libsoftokn3.so" "$programs/nss-internal.c" \
		-Wl,-soname,libsoftokn3.so -ldl
	use_module "NSS's internal softoken" "$work/real/libsoftokn3-real.so" "$multiarch/libsoftokn3.so"
	export SOFTOKN=$module SOFTOKN_OTHER=$work/other/libsoftokn3-other.so multiarch
	internal=(inside {})
fi

# Run a command with our library in softoken's place, unless the module is softoken itself.
inside() { # MODULE COMMAND…
	[[ $1 != "$SOFTOKN" ]] || exec "${@:2}"
	SOFTOKN_MODULE=$1 exec unshare --mount "$BASH" -euc 'mount --bind "$1" "$2"; shift 2; exec "$@"' inner \
		"$work/libsoftokn3.so" "$multiarch/libsoftokn3.so" "${@:2}"
}
softoken() { # NAME OPTION… -- COMMAND…
	local options=()
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	row "${options[@]}" --lacks 'Vendor NSS FIPS Interface' -- "${internal[@]}" "${@:2}"
}
client=sql:$work/tokens/client
locked=sql:$work/tokens/locked

softoken keys -- certutil -K -d "$client"
softoken certificates -- certutil -L -d "$client"
softoken keys-locked -- certutil -K -d "$locked" -f "$work/pin"
softoken keys-wrong-pin -- certutil -K -d "$locked" -f "$work/other-pin"
fips() {
	mkdir -p "$work/tokens/fips"
	cp "$work/fips.txt" "$work/tokens/fips/pkcs11.txt"
	certutil -K -d "sql:$work/tokens/fips" -f "$work/pin"
}
export -f fips
[[ $unmodified == no ]] || softoken keys-fips -- "$BASH" -euo pipefail -c fips
softoken module-list --program modutil -- modutil -list -dbdir "$client"
softoken new --why 'the database itself is softoken'"'"'s, and not made in the replay' \
	-- certutil -N -d "sql:$work/tokens/nothing" -f "$work/pin"

# A certificate made and listed: the date in it is of the moment.
made_and_listed() { # DATABASE
	certutil -S -n made -s CN=made -x -t CTu,, -m 77 -z "$work/noise" -d "$1"
	certutil -L -d "$1"
	certutil -L -n made -a -d "$1" >made.pem
	certutil -K -d "$1"
}
export -f made_and_listed
softoken made --match C_DigestUpdate.pPart=length --match C_CreateObject.pTemplate.CKA_VALUE=as:value-1 \
	--match C_Digest.pData=as:value-1 --vary 's/[0-9a-f]{40}/ID/' --varies made.pem \
	--why 'a certificate has the date of the moment; the replay lists the recorded one' \
	-- "$BASH" -euo pipefail -c 'made_and_listed "$@"' shell "sql:$work/tokens/empty"

program=tstclnt
printf 'GET /page HTTP/1.0\r\n\r\n' >"$work/request"
server asks -CAfile "$work/pki/ca.crt" -verify 3
for version in 1.2 1.3; do
	softoken "tls$version" --recorded 'what a live server says is of the moment, and so are the keys that are made of it' \
		--undriven 'what the server enciphered is for the keys of the recording' \
		-- timeout 20 tstclnt -A "$work/request" -h 127.0.0.1 -p "$port" -d "$client" \
		-V "tls$version:tls$version" -o -n client
done
[[ ! -f $work/rows/tls1.3/trace.yaml ]] || grep -q C_EncryptMessage "$work/rows/tls1.3/trace.yaml" ||
	fail "TLS 1.3 was recorded without message functions"
