#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# replay --key: what is given as a key is looked at before the program is started; what pkcs11-tool wants signed,
# decrypted and derived that was never recorded is what SoftHSM2, which has the same keys, makes of it; and nothing
# of libcrypto is left in a program, or comes to it, that has its own.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool openssl
[[ -e ${P11TAPE_REPLAYER_SO%/*}/p11tape-keys.so ]] || {
	echo "skipped: built without libcrypto"
	exit 77
}
new_token keys
login=(--login --pin 1234)
tool() { # MODULE ARGUMENTS…
	pkcs11-tool --module "$1" "${login[@]}" "${@:2}"
}

# The keys: in files, and in the token.
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.pem
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.pem
for key in rsa:01:--usage-sign:--usage-decrypt ec:02:--usage-sign:--usage-derive; do
	IFS=: read -r name id usage more <<<"$key"
	openssl pkey -in "$name.pem" -outform DER -out "$name.der"
	openssl pkey -in "$name.pem" -pubout -outform DER -out "$name.pub"
	tool "$softhsm" --write-object "$name.der" --type privkey --id "$id" --label "$name" "$usage" "$more"
	tool "$softhsm" --write-object "$name.pub" --type pubkey --id "$id" --label "$name" "$usage" "$more"
done >log 2>&1
openssl pkey -in rsa.pem -aes128 -passout pass:word -out encrypted.pem
openssl pkey -in rsa.pem -traditional -out traditional.pem

# ---- what is refused before the program is started -----------------------------------------------------------

printf 'what was recorded' >recorded.txt
record() { # NAME ARGUMENTS…
	"$P11TAPE" record -m "$softhsm" -o "$1.yaml" -- pkcs11-tool --module {} "${login[@]}" "${@:2}" >log 2>&1 ||
		fail "$1 was not recorded: $(cat log)"
}
record list --list-objects

refused() { # SENTENCE KEY…
	local sentence=$1 options=()
	shift
	for key; do
		options+=(--key "$key")
	done
	run refused "$P11TAPE" replay --mode strict "${options[@]}" list.yaml -- touch started {}
	[[ $(cat refused.status) == 2 && ! -e started ]] || fail "$*: not refused: $(cat refused.out)"
	[[ $(cat refused.out) == *"$sentence"* ]] || fail "$*: $(cat refused.out)"
	[[ $(wc -l <refused.out) == 1 ]] || fail "$*: more than one sentence: $(cat refused.out)"
}
refused '--key is SELECTOR,FILE' rsa.pem
refused '--key is SELECTOR,FILE' CKA_ID=01,
refused '/nowhere.pem cannot be read: No such file or directory' CKA_ID=01,nowhere.pem
refused 'rsa.pub has no private key in PEM form' CKA_ID=01,rsa.pub
refused 'encrypted.pem is encrypted: give the key without a passphrase' CKA_ID=01,encrypted.pem
refused "'CKA_NAME' is not an attribute" CKA_NAME=01,rsa.pem
refused "'id' has no value" id,rsa.pem
refused 'the value of CKA_ID is bytes in hex' CKA_ID=1,rsa.pem
refused 'the value of CKA_ID is bytes in hex' CKA_ID=0g,rsa.pem
refused 'CKA_CLASS is neither bytes nor text' CKA_CLASS=3,rsa.pem
refused "'x' is not a handle" handle=x,rsa.pem
refused 'the trace shows no private key with this; those that it shows: handle=' CKA_ID=09,rsa.pem
refused 'the trace shows no private key with this' CKA_ID=01+CKA_LABEL=ec,rsa.pem
refused 'is another one: its CKA_KEY_TYPE differs' CKA_ID=01,ec.pem
refused 'is another one: its CKA_EC_POINT differs' CKA_ID=02,other.pem
refused 'is selected by' CKA_ID=01,rsa.pem CKA_LABEL=rsa,rsa.pem
head -c 100000 /dev/zero >large.pem
refused 'large.pem is too large for a key' CKA_ID=01,large.pem
echo "refused: all"
