#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The bug that p11tape began with. NSS asks trust objects for several trust attributes at once; one is not there;
# something in the middle then loses those behind it, and authorities lose their trust. Recorded with the middle and
# without it, `diff` names the call, the trace shows the attributes, and with neither the trust module nor the middle
# there certutil prints the wrong flags again, and tstclnt refuses the server again.
# shellcheck disable=SC1091,SC2154 # lib.sh
. "$(dirname "$0")/lib.sh"
need certutil modutil openssl python3 tstclnt
roots=$(find /usr/lib /usr/local/lib -name libnssckbi.so 2>/dev/null | head -n 1)
anchors=$(find /usr/lib /usr/local/lib -name p11-kit-trust.so 2>/dev/null | head -n 1)
shim=$P11TAPE_BUILD_DIR/tests/mutant-shim.so
[[ -n $roots && -n $anchors && -e $shim ]] || {
	echo "skipped: there is no libnssckbi.so, no p11-kit-trust.so, or the tests' modules were not built"
	exit 77
}
export MUTANT=partial_reads_lost

# The databases direct and through: MODULE itself, and the middle before it.
databases() { # MODULE [LINES]
	local name
	export MUTANT_MODULE=$1
	rm -rf direct through
	cp "$shim" middle.so
	for name in direct through; do
		mkdir "$name"
		certutil -N -d "sql:$name" --empty-password
	done
	printf '\nlibrary=%s\nname=trusts\n%s\n' "$1" "${2:-}" >>direct/pkcs11.txt
	printf '\nlibrary=%s\nname=trusts\n%s\n' "$work/middle.so" "${2:-}" >>through/pkcs11.txt
}

# Record a program with a database. The middle loads a module itself, which would have a trace of its own.
record() { # DATABASE RUN COMMAND…
	local pattern="*${MUTANT_MODULE##*/}" status=0
	[[ $1 == direct ]] || pattern='*middle.so'
	"$P11TAPE" record -m "$pattern" -o "$2.yaml" -- "${@:3}" >"$2.out" 2>"$2.err" </dev/null || status=$?
	echo "$status" >"$2.status"
}

# Of a program that was recorded as NAME-direct and NAME-through: the second trace alone shows what is missing, and
# the diff where the middle is not transparent first. (What the program does about it differs, too.)
shows_the_loss() { # NAME
	local status=0 first
	"$P11TAPE" show "$1-through.yaml" >shown
	grep -q 'CKA_NSS_TRUST_CLIENT_AUTH: unavailable, .*: unchanged' shown || fail "$1: the trace does not show what is missing"
	"$P11TAPE" diff "$1-direct.yaml" "$1-through.yaml" >diff.out || status=$?
	[[ $status == 1 ]] || fail "$1: diff: status $status"
	first=$(grep -m 1 '^@@' diff.out)
	[[ $first == "@@ $1-direct.yaml:"*" $1-through.yaml:"*' C_GetAttributeValue: '*CKA_NSS_TRUST_EMAIL_PROTECTION* ]] ||
		fail "$1: diff does not name the call: $first"
	tail -n 1 diff.out | grep -q '^not transparent: ' || fail "$1: $(tail -n 1 diff.out)"
}

# The same middle without the fault is transparent.
without_the_fault() { # NAME COMMAND…
	MUTANT='' record through "$1-good" "${@:2}"
	same "$1: the middle without its fault" "$1-direct.out" "$1-good.out"
	"$P11TAPE" diff "$1-direct.yaml" "$1-good.yaml" >diff.out ||
		fail "$1: not transparent without the fault: $(tail -n 3 diff.out)"
	tail -n 1 diff.out | grep -q '^transparent: ' || fail "$1: $(tail -n 1 diff.out)"
}

# Offline: no middle, no trust module, the same wrong result.
offline() { # NAME COMMAND…
	rm middle.so
	run replayed env -u MUTANT -u MUTANT_MODULE "$P11TAPE" replay "$1-through.yaml" -- "${@:2}"
	cat "$1-through.out" "$1-through.err" >wrong
	same "$1: the replay" wrong replayed.out
	same "$1: the replay's status" "$1-through.status" replayed.status
}

# Mozilla's authorities, in a listing.
list=(certutil -L -h all -d)
databases "$roots"
for name in direct through; do
	record $name list-$name "${list[@]}" "sql:$name"
	[[ $(<list-$name.status) == 0 ]] || fail "$name: $(<list-$name.err)"
done
grep -q ' C,C, $' list-direct.out || fail "no authority is trusted: $(head -n 8 list-direct.out)"
! grep -qE ' [A-Za-z]*C[A-Za-z]*,C,' list-through.out || fail 'the middle lost nothing'
shows_the_loss list
! grep '^@@' diff.out | grep -v C_GetAttributeValue || fail 'diff names other calls'
without_the_fault list "${list[@]}" sql:through
offline list "${list[@]}" sql:through

# An authority of our own, whose trust only the module has: a server that has its certificate from it.
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -subj '/CN=Test Authority' \
	-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
openssl x509 -in ca.crt -outform DER -out ca.der
openssl req -new -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj '/CN=localhost' 2>/dev/null
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out server.crt -days 800 \
	-extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1) 2>/dev/null
mkdir -p site store/anchors store/blocklist
echo 'it works' >site/page
printf 'GET /page HTTP/1.0\r\n\r\n' >request
"$P11TAPE_SOURCE_DIR/tests/tools/nss-trust.py" ca.der >store/anchors/authority.p11-kit
env -C site openssl s_server -accept 127.0.0.1:0 -WWW -cert "$work/server.crt" -key "$work/server.key" \
	-cert_chain "$work/ca.crt" >server.log 2>&1 </dev/null &
helpers+=($!)
await '^ACCEPT ' server.log
port=$(sed -n 's/^ACCEPT .*://p' server.log | head -n 1)

visit=(timeout 20 tstclnt -A request -h 127.0.0.1 -p "$port" -V tls1.3:tls1.3 -d)
databases "$anchors" "parameters=paths='$work/store'"$'\n'NSS=trustOrder=100
for name in direct through; do
	record $name visit-$name "${visit[@]}" "sql:$name"
done
[[ $(<visit-direct.status) == 0 ]] || fail "the server is refused: $(<visit-direct.err)"
grep -q 'it works' visit-direct.out || fail "no page: $(<visit-direct.out)"
[[ $(<visit-through.status) != 0 ]] || fail 'the middle lost nothing: the server is trusted'
grep -q 'SEC_ERROR_UNTRUSTED_ISSUER' visit-through.{out,err} || fail "tstclnt: $(<visit-through.err)"
shows_the_loss visit
without_the_fault visit "${visit[@]}" sql:through
offline visit "${visit[@]}" sql:through
