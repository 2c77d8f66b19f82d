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
	run refused "$P11TAPE" replay --mode lenient "${options[@]}" list.yaml -- touch started {}
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

# ---- what is computed is what the token makes of it -----------------------------------------------------------

# Recorded with one input, replayed with another one: the result is the one of SoftHSM2 for that.
compute() { # NAME KEY RECORDED-INPUT OTHER-INPUT ARGUMENTS…
	local name=$1 key=$2 recorded=$3 other=$4
	shift 4
	record "$name" "$@" --input-file "$recorded" --output-file "$name.recorded"
	tool "$softhsm" "$@" --input-file "$other" --output-file "$name.expected" >log 2>&1 || fail "$name: $(cat log)"
	by_key "$name" "$key" "$@" --input-file "$other"
	! cmp -s "$name.recorded" "$name.computed" || fail "$name: this is the recorded answer"
}
by_key() { # NAME KEY ARGUMENTS…
	local name=$1 key=$2
	shift 2
	mv tokens away
	run "$name" env SOFTHSM2_CONF=/nonexistent "$P11TAPE" replay --mode lenient --verbose --report "$name.json" \
		--key "$key" "$name.yaml" -- pkcs11-tool --module {} "${login[@]}" "$@" --output-file "$name.computed"
	mv away tokens
	[[ $(cat "$name.status") == 0 ]] || fail "$name: $(cat "$name.out")"
	grep -q ' 0 divergences$' "$name.out" || fail "$name: $(cat "$name.out")"
	grep -q '^p11tape: by key: [1-9]' "$name.out" || fail "$name: no key was used: $(cat "$name.out")"
	grep -q '"by-key": [1-9]' "$name.json" || fail "$name: $(cat "$name.json")"
}
equal() { # as compute
	compute "$@"
	same "$1" "$1.expected" "$1.computed"
}
rsa=CKA_ID=01,rsa.pem
ec=CKA_ID=02,ec.pem
printf 'what never was recorded' >other.txt
openssl dgst -sha256 -binary recorded.txt >recorded.hash
openssl dgst -sha256 -binary other.txt >other.hash
for mechanism in RSA-PKCS SHA1-RSA-PKCS SHA256-RSA-PKCS SHA384-RSA-PKCS SHA512-RSA-PKCS; do
	equal "$mechanism" "$rsa" recorded.hash other.hash --sign --mechanism "$mechanism" --id 01
done
# In parts: SHA256-RSA-PKCS of what is longer than pkcs11-tool's buffer.
head -c 100000 /dev/zero | tr '\0' a >recorded.long
head -c 100000 /dev/zero | tr '\0' b >other.long
equal parts CKA_ID=01,traditional.pem recorded.long other.long --sign --mechanism SHA256-RSA-PKCS --id 01
for file in recorded other; do
	{ head -c 224 /dev/zero && cat "$file.hash"; } >"$file.raw"
	openssl pkeyutl -encrypt -inkey rsa.pem -in "$file.hash" -out "$file.pkcs"
	openssl pkeyutl -encrypt -inkey rsa.pem -pkeyopt rsa_padding_mode:oaep -in "$file.hash" -out "$file.oaep"
	openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout -outform DER -out "$file.peer"
done
equal RSA-X-509 "$rsa" recorded.raw other.raw --sign --mechanism RSA-X-509 --id 01
handle=$(sed -n 's/.*{"call": "C_SignInit".*"hKey": \([0-9]*\).*/\1/p' RSA-PKCS.yaml)
by_key RSA-PKCS "handle=$handle,rsa.pem" --sign --mechanism RSA-PKCS --id 01 --input-file other.hash
same by-handle RSA-PKCS.expected RSA-PKCS.computed
equal decrypt-pkcs "$rsa" recorded.pkcs other.pkcs --decrypt --mechanism RSA-PKCS --id 01
equal decrypt-oaep "$rsa" recorded.oaep other.oaep --decrypt --mechanism RSA-PKCS-OAEP --hash-algorithm SHA-1 --id 01
equal decrypt-raw "$rsa" recorded.pkcs other.pkcs --decrypt --mechanism RSA-X-509 --id 01
same decrypt-pkcs other.hash decrypt-pkcs.computed
equal derive "$ec" recorded.peer other.peer --derive --mechanism ECDH1-DERIVE --id 02
openssl pkeyutl -derive -inkey ec.pem -peerkey <(openssl pkey -pubin -inform DER -in other.peer) -out derive.own
same derive derive.own derive.computed

# Another mechanism than the recorded one, which the trace lists.
tool "$softhsm" --sign --mechanism SHA384-RSA-PKCS --id 01 --input-file other.txt --output-file listed.expected >log 2>&1
record listed --list-mechanisms --sign --mechanism SHA256-RSA-PKCS --id 01 --input-file recorded.txt --output-file none
by_key listed "$rsa" --list-mechanisms --sign --mechanism SHA384-RSA-PKCS --id 01 --input-file other.txt
same 'another mechanism' listed.expected listed.computed

# A key that wants to be confirmed each time, and a program that does so.
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out always.pem
openssl pkey -in always.pem -outform DER -out always.der
tool "$softhsm" --write-object always.der --type privkey --id 03 --label always --usage-sign --always-auth >log 2>&1
equal always CKA_ID=03,always.pem recorded.hash other.hash --sign --mechanism RSA-PKCS --id 03
grep -q '"userType": "CKU_CONTEXT_SPECIFIC"' always.yaml || fail 'nothing was confirmed'

# What is random is verified.
compute ECDSA "$ec" recorded.hash other.hash --sign --mechanism ECDSA --id 02 --signature-format openssl
openssl pkeyutl -verify -inkey ec.pem -in other.hash -sigfile ECDSA.computed >log || fail "ECDSA: $(cat log)"
compute PSS "$rsa" recorded.txt other.txt --sign --mechanism SHA256-RSA-PKCS-PSS --id 01
openssl dgst -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-2 -verify <(openssl pkey -in rsa.pem -pubout) \
	-signature PSS.computed other.txt >log || fail "PSS: $(cat log)"

# ---- what is not answered -----------------------------------------------------------------------------------

diverges() { # SENTENCE NAME OPTIONS… -- ARGUMENTS…
	local sentence=$1 name=$2 options=()
	shift 2
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	run diverges "$P11TAPE" replay --mode lenient --verbose "${options[@]}" "$name.yaml" -- pkcs11-tool --module {} \
		"${login[@]}" "${@:2}" --output-file none
	[[ $(cat diverges.status) != 0 ]] || fail "no divergence: $(cat diverges.out)"
	grep -q "$sentence" diverges.out || fail "$sentence: $(cat diverges.out)"
	! grep -q '^p11tape: by key' diverges.out || fail "$sentence: a key answered: $(cat diverges.out)"
}
sign=(--sign --mechanism RSA-PKCS --id 01 --input-file)
# Without a key; and with data that is too long, of which modules say different things.
diverges 'divergence 1: C_Sign\b' RSA-PKCS -- "${sign[@]}" other.hash
diverges 'the test key finds no answer' RSA-PKCS --key "$rsa" -- "${sign[@]}" other.raw
# A key that was confirmed in the recording, and a program that does not do so: to it the key says that it need not.
sed '/"CKA_ALWAYS_AUTHENTICATE", "room": "bool"/{n;s/"bool": true/"bool": false/}' always.yaml >never.yaml
! cmp -s always.yaml never.yaml || fail 'always.yaml does not ask'
diverges 'after C_Login for it only' never --key CKA_ID=03,always.pem -- "${sign[@]/01/03}" other.hash
# To sign with a key that only decrypted; by a mechanism that the trace does not list; what is no ciphertext.
diverges 'in this state the key began nothing of the kind' decrypt-pkcs --key "$rsa" -- "${sign[@]}" other.hash
diverges 'the trace does not show that the slot has this mechanism' RSA-PKCS --key "$rsa" -- \
	--sign --mechanism SHA256-RSA-PKCS --id 01 --input-file other.txt
diverges 'the test key finds no answer' decrypt-pkcs --key "$rsa" -- --decrypt --mechanism RSA-PKCS --id 01 --input-file other.oaep
run strict "$P11TAPE" replay --mode strict --key "$rsa" RSA-PKCS.yaml -- touch started {}
[[ $(cat strict.status) == 2 && ! -e started ]] || fail "strict mode took a key"
grep -q 'is for the modes lenient and model' strict.out || fail "$(cat strict.out)"
run bare env P11TAPE_REPLAY_MODE=lenient P11TAPE_REPLAY="$work/RSA-PKCS.yaml" P11TAPE_REPLAY_KEY=CKA_ID=01,/nowhere \
	pkcs11-tool --module "$P11TAPE_REPLAYER_SO" "${login[@]}" "${sign[@]}" other.hash
grep -q '/nowhere cannot be read: No such file' bare.out || fail "bare: $(cat bare.out)"

# No byte of a key is in what was written.
for file in ./*.json ./*.yaml ./*.out; do
	for key in rsa ec; do
		secret=$(openssl pkey -in "$key.pem" -noout -text | sed -n '/^\(privateExponent\|priv\):/,/^[a-z]/p' |
			sed -n 's/^ *\([0-9a-f:]*\)$/\1/p' | tr -d ':\n' | cut -c 9-40)
		[[ -n $secret ]] || fail "no secret of $key"
		! grep -q "$secret" "$file" || fail "$key is in $file"
	done
done

# ---- a program with a libcrypto of its own -------------------------------------------------------------------

library=${P11TAPE_REPLAYER_SO%/*}/p11tape-keys.so
[[ $(nm -D --defined-only "$library" | awk '{ print $NF }') == tape_keys ]] || fail "$library shows more than tape_keys"
# But for a sanitizer's runtime.
! readelf -dW "$library" | grep NEEDED |
	grep -vE '\[(libc|libpthread|libdl|ld-linux[^]]*|libz|libzstd|libasan|libubsan|libtsan)\.so' ||
	fail "$library needs more than libc"
host=$P11TAPE_BUILD_DIR/tests/robust-crypto
openssl pkey -in rsa.pem -pubout -out public.pem
"$P11TAPE" record -m "$softhsm" -o host.yaml -- "$host" {} public.pem first recorded >log 2>&1 || fail "$(cat log)"
mv tokens away
host() { # EXPECTED-LINES first|last WORDS… -- COMMAND…
	local lines=$1 order=$2 words=()
	shift 2
	while [[ $1 != -- ]]; do
		words+=("$1")
		shift
	done
	run host "$P11TAPE" replay --mode lenient --verbose --key "$rsa" host.yaml -- "${@:2}" "$host" {} public.pem "$order" \
		"${words[@]}"
	[[ $(cat host.status) == 0 ]] || fail "$order: $(cat host.out)"
	[[ $(grep -c ': good$\|^the program.s own exit handler$' host.out) == "$lines" ]] || fail "$order: $(cat host.out)"
	grep -q ' 0 divergences$' host.out || fail "$order: $(cat host.out)"
}
# Three signatures, and the exit handlers of a parent and a child.
host 5 first other --
host 5 last other --
host 3 first other alone --
if [[ -z ${LD_PRELOAD:-} ]] && command -v valgrind >/dev/null; then
	host 3 first other alone -- valgrind -q --error-exitcode=9 --leak-check=full
	host 3 last other alone -- valgrind -q --error-exitcode=9 --leak-check=full
fi
# One libcrypto more than the program's own, and no more: it is loaded where a key is given, and only there.
run maps env LD_DEBUG=files LD_DEBUG_OUTPUT="$work/ld" "$P11TAPE" replay --mode lenient host.yaml -- "$host" {} public.pem \
	first recorded alone
! grep -l p11tape-keys.so ld.* || fail "libcrypto was loaded without a key"
