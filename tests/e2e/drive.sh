#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# p11tape drive: what was recorded from a module is what the module says again, from the same state; what
# it does not say again is shown, crashes and hangs among it; and the token is left alone unless told.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool openssl python3
unset P11TAPE_PIN P11TAPE_SO_PIN
stub=$P11TAPE_BUILD_DIR/tests/p11tape-stub-320.so
odd=$P11TAPE_BUILD_DIR/tests/odd-module.so
# A sanitizer's own handlers would turn a signal into an exit status.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:handle_segv=0:handle_abort=0
ulimit -c 0

# Drive, and expect an exit status; what is printed is in drive.out.
drive() { # STATUS TRACE OPTION…
	local status=$1 trace=$2
	shift 2
	run drive "$P11TAPE" drive "$trace" "$@"
	[[ $(<drive.status) == "$status" ]] || fail "drive $trace $*: status $(<drive.status), not $status: $(head -n 40 drive.out)"
}
says() { # PATTERN
	grep -q -e "$1" drive.out || fail "'$1' is not in: $(<drive.out)"
}

# ---- every function there is, on a module whose answers are always the same --------------------------

P11TAPE_MODULE=$stub P11TAPE_TRACE=$work/stub.yaml \
	"$P11TAPE_BUILD_DIR/tests/drive-stub" "$P11TAPE_RECORDER_SO" 3.2 >/dev/null
calls=$(grep -c '"call"' stub.yaml)
drive 2 stub.yaml -m "$stub"
says 'C_InitToken changes the token'
says 'C_UnwrapKeyAuthenticated makes objects of the token\|C_DestroyObject destroys objects of the token'
[[ $(tail -n 1 drive.out) == "p11tape: drive: a trace that changes the token is driven with --destructive only" ]] ||
	fail "$(tail -n 1 drive.out)"
drive 2 stub.yaml -m "$stub" --destructive
[[ $(wc -l <drive.out) == 1 ]] || fail "more than a sentence: $(<drive.out)"
says 'stub.yaml:[0-9]*: C_InitToken presents the secret pin-1, and nobody says what that is: .*--secret pin-1=VALUE'
secrets=(--destructive)
for i in 1 2 3 4 5 6 7 8; do secrets+=(--secret "pin-$i=value-$i"); done
drive 0 stub.yaml -m "$stub" "${secrets[@]}"
says "^stub.yaml: $calls of $calls calls as recorded\$"
# Every answer that is another one is shown.
sed 's/"rv": "CKR_OK"/"rv": "CKR_DEVICE_ERROR"/' stub.yaml >other.yaml
drive 1 other.yaml -m "$stub" "${secrets[@]}"
[[ $(grep -c '^difference [0-9]*: C_[A-Za-z]* returned CKR_OK, not CKR_DEVICE_ERROR (other.yaml:[0-9]*, id ' drive.out) == \
	$(grep -c CKR_DEVICE_ERROR other.yaml) ]] || fail "$(grep -c '^difference' drive.out) differences: $(tail -n 5 drive.out)"
# As JSON, a line each.
drive 1 other.yaml -m "$stub" "${secrets[@]}" --format json
python3 - drive.out <<-'end' || fail "not the JSON that it should be"
	import json, sys
	lines = [json.loads(line) for line in open(sys.argv[1])]
	assert lines[-1]["summary"]["differ"] == len(lines) - 1 > 50, lines[-1]
	assert all(line["kind"] == "rv" and line["live"]["rv"] == "CKR_OK" for line in lines[:-1])
	assert all(line["call"].startswith("C_") and line["line"] > 0 and "in" in line for line in lines[:-1])
end
! grep -e 'value-1' -e 76616c7565 drive.out || fail "a PIN is shown"
# A field, an attribute, bytes, a length.
for change in 's/"manufacturerID": "p11tape"/"manufacturerID": "p11tope"/ C_GetInfo.*pInfo.manufacturerID' \
	's/"ulMinKeySize": 16/"ulMinKeySize": 17/ C_GetMechanismInfo.*pInfo.ulMinKeySize'; do
	sed "${change%% C_*}" stub.yaml >other.yaml
	drive 1 other.yaml -m "$stub" "${secrets[@]}"
	says "^difference 1: C_${change##* C_}"
done

# ---- modules that do not return ----------------------------------------------------------------------

# What the program calls, up to where the module leaves it.
write_trace() { # FILE [FUNCTION]
	local id=0 function
	echo '- {"p11tape": 1}'
	for function in C_Initialize C_CloseSession C_SignUpdate C_Digest C_Finalize; do
		id=$((id + 1))
		printf -- '- {"call": "%s", "id": %d, "in": {' "$function" "$id"
		case $function in
		C_Initialize) printf '"pInitArgs": null' ;;
		C_Finalize) printf '"pReserved": null' ;;
		C_CloseSession) printf '"hSession": 7' ;;
		C_SignUpdate) printf '"hSession": 7, "pPart": {"text": "hello"}' ;;
		C_Digest) printf '"hSession": 7, "pData": {"text": "hello"}, "pDigest": {"room": "unstated"}' ;;
		esac
		echo '}}'
		[[ $function != "${2:-}" ]] || break
		printf -- '- {"return": %d, "rv": "CKR_OK"}\n' "$id"
	done
} >"$1"
write_trace good.yaml
drive 0 good.yaml -m "$odd"
says '^good.yaml: 5 of 5 calls as recorded$'
for function in C_Initialize C_SignUpdate C_Finalize; do
	write_trace crash.yaml $function
	export ODD_FUNCTION=$function ODD_DOES=segv
	drive 0 crash.yaml -m "$odd"
	says "crash.yaml:[0-9]*: $function did not return: the process died of it: Segmentation fault; nor did it in the recording"
	drive 1 good.yaml -m "$odd"
	says "^difference 1: $function did not return: the process died of it: Segmentation fault (good.yaml:[0-9]*, id [0-9]*)"
	export ODD_DOES=_exit
	drive 1 good.yaml -m "$odd" --format json
	says '"kind": "no-return".*it ended the process with status 3'
	unset ODD_FUNCTION ODD_DOES
	drive 1 crash.yaml -m "$odd"
	says "^difference 1: $function returned, and did not in the recording (crash.yaml:[0-9]*, id "
done
export ODD_FUNCTION=C_Digest ODD_DOES=hang
drive 1 good.yaml -m "$odd" --timeout 1
says '^difference 1: C_Digest did not return within 1 second (good.yaml:'
says '^good.yaml: 3 of 5 calls as recorded, 1 differs, 1 not reached$'
write_trace hang.yaml C_Digest
drive 0 hang.yaml -m "$odd" --timeout 1
# A length that was never written is another one each time: it makes sense in neither run.
ODD_DOES=nonsense
too_small() { # LENGTH
	sed 's/"room": "unstated"/"room": 3/; /"return": 4/s/.*/- {"return": 4, "out": {"pDigest": {"len": '"$1"'}}, "rv": "CKR_BUFFER_TOO_SMALL"}/' good.yaml
}
too_small 3417614320 >nonsense.yaml
drive 0 nonsense.yaml -m "$odd"
too_small 32 >sense.yaml
drive 1 sense.yaml -m "$odd"
says '^difference 1: C_Digest gave another pDigest (sense.yaml:'
unset ODD_FUNCTION ODD_DOES

# ---- SoftHSM2 ----------------------------------------------------------------------------------------

new_token drive
printf hello >hello.txt
openssl dgst -sha256 -binary -out digest hello.txt
login=(pkcs11-tool --module "$softhsm" --token-label drive --login --pin 1234)
{
	"${login[@]}" --keypairgen --key-type rsa:2048 --id 11 --label rsa
	"${login[@]}" --keypairgen --key-type EC:prime256v1 --id 12 --label ec --usage-derive --usage-sign
	"${login[@]}" --keygen --key-type aes:32 --id 13 --label aes
	for i in 1 2 3 4 5 6; do
		"${login[@]}" --write-object hello.txt --type data --label "data $i" --private
	done
} >token.log 2>&1 || fail "no keys: $(<token.log)"
cp -a tokens tokens.0
fresh() { rm -rf tokens && cp -a tokens.0 tokens; }
login=(pkcs11-tool --module {} --token-label drive --login --pin 1234)

# Record, and drive from the state that the recording began with.
recorded() { # NAME COMMAND…
	local name=$1
	shift
	fresh
	run "$name" "$P11TAPE" record -m "$softhsm" -o "$name.yaml" -- "$@"
	[[ -s $name.yaml ]] || fail "not recorded: $(<"$name.out")"
}
again() { # NAME OPTION…
	local name=$1
	shift
	fresh
	drive 0 "$name.yaml" -m "$softhsm" --pin 1234 "$@"
	says "^$name.yaml: .* calls as recorded"
	! grep -e ' not reached' drive.out || fail "$name: $(<drive.out)"
}
recorded slots pkcs11-tool --module {} --list-slots
again slots
recorded mechanisms pkcs11-tool --module {} --list-mechanisms
again mechanisms
recorded objects "${login[@]}" --list-objects
again objects
recorded random pkcs11-tool --module {} --token-label drive --generate-random 32 --output-file random
again random
recorded sign "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 11 --input-file hello.txt --output-file signature
again sign
recorded pss "${login[@]}" --sign --mechanism SHA256-RSA-PKCS-PSS --id 11 --input-file hello.txt --output-file signature
again pss
recorded ecdsa "${login[@]}" --sign --mechanism ECDSA --id 12 --input-file digest --output-file signature
again ecdsa
recorded aes "${login[@]}" --encrypt --mechanism AES-CBC-PAD --iv 000102030405060708090a0b0c0d0e0f --id 13 \
	--input-file hello.txt --output-file encrypted
again aes
# It makes keys and signs, verifies, wraps, encrypts and decrypts with them; what came out is put in again.
recorded test "${login[@]}" --test
again test --destructive
recorded generate "${login[@]}" --keypairgen --key-type EC:prime256v1 --id 31 --label new
drive 2 generate.yaml -m "$softhsm" --pin 1234
says 'generate.yaml:[0-9]*: C_GenerateKeyPair makes objects of the token (1 such call)'
again generate --destructive
recorded pin "${login[@]}" --change-pin --new-pin 4321
again pin --destructive --secret pin-2=4321

# Bytes that may not differ: the signature of the recording, changed; a ciphertext of another length.
sed 's/"pSignature": {"hex": "..../"pSignature": {"hex": "0000/' sign.yaml >changed.yaml
fresh
drive 1 changed.yaml -m "$softhsm" --pin 1234
says '^difference 1: C_Sign gave another pSignature (changed.yaml:'
sed 's/"pSignature": {"hex": "..../"pSignature": {"hex": "/' pss.yaml >changed.yaml
drive 1 changed.yaml -m "$softhsm" --pin 1234
says '^difference 1: C_Sign gave another pSignature (changed.yaml:'
sed 's/"CKA_LABEL", "text": "rsa"/"CKA_LABEL", "text": "rsb"/; s/{"text": "rsa"}/{"text": "rsb"}/' objects.yaml >changed.yaml
! cmp -s objects.yaml changed.yaml || fail "nothing was changed"
drive 1 changed.yaml -m "$softhsm" --pin 1234
says '^difference 1: C_GetAttributeValue gave another pTemplate.CKA_LABEL'

# Another token, which stands at another slot: the slot is found, or named.
mv tokens tokens.aside && mkdir tokens
softhsm2-util --init-token --free --label other --so-pin 5678 --pin 9999 >/dev/null
drive 0 slots.yaml -m "$softhsm"
slot=$(pkcs11-tool --module "$softhsm" --list-slots | sed -n 's/^Slot 0 (\(0x[0-9a-f]*\)).*/\1/p')
drive 0 random.yaml -m "$softhsm" --slot "$((slot))"
drive 0 random.yaml -m "$softhsm" --token other
drive 2 random.yaml -m "$softhsm" --token none
[[ $(<drive.out) == "p11tape: no token in any slot has the label 'none'" ]] || fail "$(<drive.out)"
rm -rf tokens && mv tokens.aside tokens

# A wrong PIN is presented only on request, and none after one that was right has been refused.
recorded wrong pkcs11-tool --module {} --token-label drive --login --pin 9876 --list-objects
again wrong
says '1 with a wrong PIN, which takes --destructive'
again wrong --destructive --secret pin-1=9876
fresh
drive 1 sign.yaml -m "$softhsm" --pin 9876
says 'C_Login returned CKR_PIN_INCORRECT, not CKR_OK'
fresh
export P11TAPE_PIN=1234
drive 0 sign.yaml -m "$softhsm"
unset P11TAPE_PIN
echo 1234 >pin.txt
drive 0 sign.yaml -m "$softhsm" --pin-file pin.txt
! grep -rE '"(1234|31323334)"' drive.out || fail "a PIN is shown"

# A driven trace can be recorded: it has the calls of the trace, and what was asked beside them.
calls_in() { # TRACE
	"$P11TAPE" show "$1" | sed -n 's/^\(C_[A-Za-z]*\).* = \(CKR_[A-Z_]*\).*/\1 \2/p' | grep -v -e Interface -e FunctionList
}
for name in sign random slots; do
	fresh
	drive 0 "$name.yaml" -m "$softhsm" --pin 1234 --record "driven-$name.yaml"
	! diff <(calls_in "$name.yaml") <(calls_in "driven-$name.yaml") | grep '^<' || fail "$name: calls are missing"
	again "driven-$name"
done

# Processes: a forked one is driven where it was forked.
recorded fork pkcs11-tool --module {} --test-fork
[[ $(find . -name 'fork.*.yaml' | wc -l) == 1 ]] || fail "there is no trace of a child"
again fork
says '^fork.yaml: 4 of 4 calls as recorded'

# ---- findings ----------------------------------------------------------------------------------------

# Each is reproduced by its evidence alone, and not on a module that does not have it.
fresh
for choice in '--suite handles --suite finalize' 'nested/wrap-template/aes/*'; do
	# shellcheck disable=SC2086 # words
	P11TAPE_PIN=1234 P11TAPE_SO_PIN=5678 run check "$P11TAPE" check -m "$softhsm" --evidence found $choice
done
[[ -e found/nested.wrap-template.aes.second-too-small.yaml ]] || fail "not found: $(ls found)"
findings=$(find found -name '*.yaml' | wc -l)
[[ $findings -ge 5 ]] || fail "only $findings findings"
reproduced=0
for trace in found/*.yaml; do
	! sed -n 1p "$trace" | grep -q forked-from || continue
	drive 0 "$trace" -m "$softhsm" --pin 1234 --so-pin 5678
	! grep -q ' not reached' drive.out || fail "$(<drive.out)"
	reproduced=$((reproduced + 1))
done
[[ $reproduced -ge 5 ]] || fail "only $reproduced findings were reproduced"
grep -q 'p11tape drive' check.out || fail "the report does not say how: $(tail -n 3 check.out)"
drive 1 found/handles.object-zero.C_SignInit-hKey.yaml -m "$stub" --pin 1234
says 'C_SignInit returned CKR_[A-Z_]*, not CKR_OBJECT_HANDLE_INVALID'

# Modules of certificates. (Not among the findings: what NSS's does with objects of closed sessions is a use of
# memory that it freed, and another thing now and then.)
certificates=$(find /usr/lib -name libnssckbi.so | head -n 1)
for module in "$certificates" /usr/lib/*/pkcs11/p11-kit-trust.so; do
	[[ -e $module ]] || continue
	"$P11TAPE" record -m "$module" -o certificates.yaml -- pkcs11-tool --module {} --list-objects >/dev/null 2>&1
	drive 0 certificates.yaml -m "$module"
done
# What callbacks answered is in no trace: codes that are theirs alone say it.
opensc=$(find /usr/lib -name opensc-pkcs11.so | head -n 1)
rm -r found
run check "$P11TAPE" check -m "$opensc" --evidence found 'initialize/failing-mutexes/*'
drive 0 found/initialize.failing-mutexes.CKR_MUTEX_BAD.yaml -m "$opensc"
# A list may have another C_GetFunctionList than the module exports: that one is called.
proxy=$(find /usr/lib -name p11-kit-proxy.so | head -n 1)
if [[ -n $proxy ]]; then
	run check "$P11TAPE" check -m "$proxy" --evidence found 'interfaces/list/null'
	drive 0 found/interfaces.list.null.yaml -m "$proxy"
fi
# A mechanism's parameter that the module writes to is compared with that call, and not with those behind it.
softokn=$(find /usr/lib/*-linux-gnu* -name libsoftokn3.so 2>/dev/null | head -n 1)
if [[ -n $softokn ]]; then
	run check "$P11TAPE" check -m "$softokn" --slot 1 --evidence found --keep-all derive/tls12-keys \
		--init-args "configdir='' certPrefix='' keyPrefix='' secmod='' flags=readOnly,noCertDB,noModDB,forceOpen"
	drive 0 found/derive.tls12-keys.yaml -m "$softokn"
fi
if [[ -n $certificates ]]; then
	rm -r found
	run check "$P11TAPE" check -m "$certificates" --evidence found --suite initialize
	for trace in found/*.yaml; do
		drive 0 "$trace" -m "$certificates"
	done
fi

# ---- nonsense ----------------------------------------------------------------------------------------

for words in '' 'sign.yaml' "-m $softhsm" "sign.yaml -m /nonexistent.so" "nothing.yaml -m $softhsm" "- -m $softhsm" \
	"sign.yaml -m $softhsm --format xml" "sign.yaml -m $softhsm --slot x" "sign.yaml -m $softhsm --secret x" \
	"sign.yaml -m $softhsm" "sign.yaml -m sign.yaml --pin 1" "sign.yaml sign.yaml -m $softhsm"; do
	# shellcheck disable=SC2086 # words
	run bad "$P11TAPE" drive $words
	[[ $(<bad.status) == 2 && $(wc -l <bad.out) == 1 ]] || fail "$words: status $(<bad.status): $(<bad.out)"
done
echo '- nonsense' >>sign.yaml
drive 2 sign.yaml -m "$softhsm" --pin 1234
says 'sign.yaml:[0-9]*: '
