#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# NSS's internal softoken, recorded: the message functions of PKCS#11 3.0, key derivation, operation states.
# NSS finds it by entry points of its own, so a library of ours (nss-internal.c) stands in its place.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program=certutil
unshare --mount true 2>/dev/null || skip_all 'no mount namespaces here (not root?)'
need_all cc certutil tstclnt openssl
make_nss
mkdir "$work/real" "$work/site"
cp "$multiarch/libsoftokn3.so" "$work/real/libsoftokn3-real.so" 2>/dev/null || true
cc -shared -fPIC -I "$P11TAPE_SOURCE_DIR" -o "$work/libsoftokn3.so" "$programs/nss-internal.c" \
	-Wl,-soname,libsoftokn3.so -ldl
use_module "NSS's internal softoken" "$work/real/libsoftokn3-real.so" "$multiarch/libsoftokn3.so"
export SOFTOKN_REAL=$module multiarch

internal() { # MODULE DATABASE COMMAND…
	local file=$1 real=$multiarch/libsoftokn3.so
	rm -rf "$work/nss"
	cp -a "$work/$2" "$work/nss"
	shift 2
	[[ $file != "$SOFTOKN_REAL" ]] || exec "$@"
	SOFTOKN_RECORDER=$file exec unshare --mount "$BASH" -euc 'mount --bind "$1" "$2"; shift 2; exec "$@"' inner \
		"$work/libsoftokn3.so" "$real" "$@"
}
only=(--recorded "NSS finds its own softoken by entry points that are not Cryptoki's")
row keys "${only[@]}" -- internal {} nss-client certutil -K -d "sql:$work/nss"
row certificates "${only[@]}" -- internal {} nss-client certutil -L -d "sql:$work/nss"

program=tstclnt
printf 'GET /page HTTP/1.0\r\n\r\n' >"$work/request"
echo 'it works' >"$work/site/page"
helper "$work/server.log" env -C "$work/site" openssl s_server -accept 127.0.0.1:0 -WWW \
	-cert "$work/pki/server.crt" -key "$work/pki/server.key" -CAfile "$work/pki/ca.crt" -verify 3
await '^ACCEPT ' "$work/server.log"
port=$(sed -n 's/^ACCEPT .*://p' "$work/server.log" | head -n 1)
for version in 1.2 1.3; do
	row "tls$version" "${only[@]}" --undriven 'what the server enciphered is for the keys of the recording' \
		-- internal {} nss-client timeout 20 tstclnt -A "$work/request" -h 127.0.0.1 -p "$port" \
		-d "sql:$work/nss" -V "tls$version:tls$version" -o -n client
done
[[ ! -f $work/rows/tls1.3/trace.yaml ]] || grep -q C_EncryptMessage "$work/rows/tls1.3/trace.yaml" ||
	fail "TLS 1.3 was recorded without message functions"
