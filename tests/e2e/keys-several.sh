#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# replay --key with a directory of traces: two modules, whose tokens have different keys of one CKA_ID, and several
# processes. Each key signs for the module whose object it is, and for no other; a key that is nobody's is refused
# before the program is started.
# shellcheck disable=SC1091,SC2154 # lib.sh
. "$(dirname "$0")/lib.sh"
need pkcs11-tool openssl
[[ -e ${P11TAPE_REPLAYER_SO%/*}/p11tape-keys.so ]] || {
	echo "skipped: built without libcrypto"
	exit 77
}
export TMPDIR=$work/tmp
mkdir "$TMPDIR" day modules

for name in one other; do
	openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.pem"
	openssl pkey -in "$name.pem" -outform DER -out "$name.der"
	openssl pkey -in "$name.pem" -pubout -outform DER -out "$name.pub"
	new_token "$name"
	cp "$softhsm" "modules/$name.so"
	for type in privkey:der pubkey:pub; do
		pkcs11-tool --module "modules/$name.so" --login --pin 1234 --write-object "$name.${type#*:}" --type "${type%:*}" \
			--id 01 --usage-sign >log 2>&1 || fail "$(<log)"
	done
	mv tokens "tokens.$name"
	sed "s/tokens$/tokens.$name/" softhsm2.conf >"$name.conf"
done
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out nobody.pem

# Each module in two processes: one that signs, and one that lists the points that tell the keys apart.
cat >program.sh <<'SCRIPT'
for name in one other; do
	for what in "--list-objects" \
		"--sign --mechanism ECDSA --id 01 --signature-format openssl --input-file $1 --output-file $name.$2"; do
		SOFTHSM2_CONF=$PWD/$name.conf pkcs11-tool --module "$PWD/modules/$name.so" --login --pin 1234 $what || exit
	done
done
SCRIPT
echo 'what was recorded' | openssl dgst -sha256 -binary >recorded.hash
echo 'what never was recorded' | openssl dgst -sha256 -binary >new.hash
signed_by() { # NAME
	openssl pkeyutl -verify -inkey "$1.pem" -in new.hash -sigfile "$1.computed" >log || fail "$1: $(<log)"
	rm "$1.computed"
}
says 0 '' "$P11TAPE" record -o day/t.yaml -- sh program.sh recorded.hash recorded
[[ $(find day -name '*.yaml' | wc -l) == 4 ]] || fail "not four traces: $(ls day)"
mv modules away
mkdir modules

both=(--key "CKA_ID=01,one.pem" --key "CKA_ID=01,other.pem")
says 0 '' "$P11TAPE" replay day --mode lenient -v --report report "${both[@]}" -- sh program.sh new.hash computed
for name in one other; do
	signed_by "$name"
done
[[ $(grep -c 'by key: 1 call$' said.err) == 2 ]] || fail "not one call by each key: $(<said.err)"
[[ $(grep -c ', 0 divergences$' said.err) == 2 ]] || fail "$(<said.err)"
# The lines are told apart whatever their order is.
says 0 '' "$P11TAPE" replay day --mode lenient --key CKA_ID=01,other.pem --key CKA_ID=01,one.pem -- \
	sh program.sh new.hash computed
signed_by one
signed_by other
# With the key of the one, the other does not sign.
says 1 'divergence 1: C_Sign' "$P11TAPE" replay day --mode lenient -v --key CKA_ID=01,other.pem -- \
	sh -c 'sed "s/ || exit//" program.sh >all.sh; sh all.sh new.hash computed'
[[ $(grep -c 'by key: 1 call$' said.err) == 1 && ! -s one.computed ]] || fail "$(<said.err)"
signed_by other

# What is nobody's, and what two keys would be for.
says 2 '--key: day/.*yaml: CKA_ID=02,.*one.pem: the trace shows no private key with this; those that it shows: handle=' \
	"$P11TAPE" replay day --mode lenient --key CKA_ID=02,one.pem -- touch started
says 2 '--key: day/.*yaml: CKA_ID=01,.*nobody.pem: .* is another one: its CKA_EC_POINT differs' \
	"$P11TAPE" replay day --mode lenient "${both[@]}" --key CKA_ID=01,nobody.pem -- touch started
says 2 'is for the modes lenient and model' "$P11TAPE" replay day --mode strict "${both[@]}" -- touch started
says 2 '--key: CKA_ID=01,.*one.pem: .* is selected by CKA_ID=01,.*one.pem, too' \
	"$P11TAPE" replay day --mode lenient "${both[@]}" --key CKA_ID=01,one.pem -- touch started
[[ ! -e started ]] || fail 'it was started'
[[ -z $(ls -A "$TMPDIR") ]] || fail "something is left: $(ls "$TMPDIR")"
