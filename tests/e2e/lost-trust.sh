#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The bug that p11tape began with. NSS asks Mozilla's trust objects for several trust attributes at once; one is not
# there; something in the middle then loses those behind it, and authorities lose their trust. Recorded with the middle
# and without it, `diff` names the call, the trace shows the attributes, and certutil prints the wrong flags again with
# neither the trust module nor the middle there.
# shellcheck disable=SC1091,SC2154 # lib.sh
. "$(dirname "$0")/lib.sh"
need certutil modutil
roots=$(find /usr/lib /usr/local/lib -name libnssckbi.so 2>/dev/null | head -n 1)
middle=$P11TAPE_BUILD_DIR/tests/mutant-shim.so
[[ -n $roots && -e $middle ]] || {
	echo "skipped: there is no libnssckbi.so, or the tests' modules were not built"
	exit 77
}
export MUTANT_MODULE=$roots MUTANT=partial_reads_lost
cp "$middle" middle.so

database() { # DIRECTORY MODULE
	mkdir "$1"
	certutil -N -d "sql:$1" --empty-password
	modutil -dbdir "sql:$1" -add roots -libfile "$2" -force >/dev/null 2>&1
}
list() { certutil -L -d "sql:$1" -h all; }
export -f list

database direct "$roots"
database through "$work/middle.so"
for name in direct through; do
	# The middle loads a module itself, which would have a trace of its own.
	pattern='*libnssckbi.so'
	[[ $name == direct ]] || pattern='*middle.so'
	"$P11TAPE" record -m "$pattern" -o "$name.yaml" -- bash -c "list $name" >"$name.out" 2>"$name.err" ||
		fail "$name: $(<"$name.err")"
done
grep -q ' C,C, $' direct.out || fail "no authority is trusted: $(head -n 8 direct.out)"
! grep -qE ' [A-Za-z]*C[A-Za-z]*,C,' through.out || fail 'the middle lost nothing'

# The trace alone shows what is missing, and the diff where the middle is not transparent.
"$P11TAPE" show through.yaml >through.txt
grep -q 'CKA_NSS_TRUST_CLIENT_AUTH: unavailable' through.txt || fail "the trace does not show what is missing"
status=0
"$P11TAPE" diff direct.yaml through.yaml >diff.out || status=$?
[[ $status == 1 ]] || fail "diff: status $status"
grep -q '^@@ direct.yaml:[0-9]* through.yaml:[0-9]* C_GetAttributeValue: .*CKA_NSS_TRUST_EMAIL_PROTECTION' diff.out ||
	fail "diff does not name the call: $(head -n 5 diff.out)"
! grep '^@@' diff.out | grep -v C_GetAttributeValue || fail 'diff names other calls'
tail -n 1 diff.out | grep -q '^not transparent: ' || fail "$(tail -n 1 diff.out)"

# The same middle without the fault is transparent.
MUTANT='' "$P11TAPE" record -m '*middle.so' -o good.yaml -- bash -c 'list through' >good.out 2>/dev/null
same 'the middle without its fault' direct.out good.out
"$P11TAPE" diff direct.yaml good.yaml >diff.out || fail "not transparent without the fault: $(tail -n 3 diff.out)"
tail -n 1 diff.out | grep -q '^transparent: ' || fail "$(tail -n 1 diff.out)"

# Offline: no middle, no trust module, the same wrong flags.
rm middle.so
unset MUTANT MUTANT_MODULE
"$P11TAPE" replay through.yaml -- bash -c 'list through' >replayed.out 2>replayed.err || fail "replay: $(<replayed.err)"
same 'the replayed listing' through.out replayed.out
