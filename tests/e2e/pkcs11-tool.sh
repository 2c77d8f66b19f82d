#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pkcs11-tool, recorded on SoftHSM2 and replayed without it: same output, same exit status, the same
# trace again; and what a divergence looks like.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool
new_token tool
printf hello >hello.txt
openssl dgst -sha256 -binary hello.txt >hello.hash
login=(--login --pin 1234)

scenario() { # NAME ARGUMENTS…
	local name=$1 rules=()
	shift
	# --test encrypts in its own process, with random padding, what the token then decrypts.
	[[ $name != test ]] || rules=(--match C_Decrypt.pEncryptedData=length)
	rm -f result
	run "$name.recorded" "$P11TAPE" record -m "$softhsm" -o "$name.yaml" -- pkcs11-tool --module {} "$@"
	[[ -f result ]] && mv result "$name.recorded.result"
	mv tokens away
	run "$name.replayed" env SOFTHSM2_CONF=/nonexistent LD_DEBUG=files LD_DEBUG_OUTPUT="$work/$name.ld" \
		"$P11TAPE" replay --mode strict "${rules[@]}" "$name.yaml" -- pkcs11-tool --module {} "$@"
	! grep -q softhsm "$name".ld.* || fail "$name: the replay loaded SoftHSM2"
	same "$name: output" "$name.recorded.out" "$name.replayed.out"
	same "$name: exit status" "$name.recorded.status" "$name.replayed.status"
	[[ -f $name.recorded.result ]] && same "$name: the file written" "$name.recorded.result" result
	rm -f result
	run "$name.again" env SOFTHSM2_CONF=/nonexistent P11TAPE_REPLAY="$work/$name.yaml" \
		P11TAPE_REPLAY_MODE=strict P11TAPE_REPLAY_MATCH="${rules[1]:-}" "$P11TAPE" record \
		-m "$("$P11TAPE" module replayer --for "$name.yaml")" -o "$name.again.yaml" -- pkcs11-tool --module {} "$@"
	mv away tokens
	# What is under a rule or a don't-care is the program's own in each run.
	calls_of "$name.yaml" | sed '/^    \(pEncryptedData\|pSeed\):/d' >one
	calls_of "$name.again.yaml" | sed '/^    \(pEncryptedData\|pSeed\):/d' >two
	same "$name: the fixed point" one two
	"$P11TAPE" validate --quiet "$name.yaml" || fail "$name: validate"
}

scenario slots --list-slots
scenario mechanisms --list-mechanisms
scenario rsa "${login[@]}" --keypairgen --key-type rsa:2048 --id 01 --label rsa-key
scenario ec "${login[@]}" --keypairgen --key-type EC:prime256v1 --id 02 --label ec-key
scenario aes "${login[@]}" --keygen --key-type aes:32 --id 03 --label aes-key
scenario list "${login[@]}" --list-objects
scenario sign-rsa "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 01 --input-file hello.txt --output-file result
scenario sign-ec "${login[@]}" --sign --mechanism ECDSA --id 02 --input-file hello.hash --output-file result
scenario wrong-pin --login --pin 4321 --list-objects
scenario test "${login[@]}" --test
[[ $(cat sign-rsa.recorded.status) == 0 && $(cat sign-ec.recorded.status) == 0 ]] || fail "nothing was signed"
[[ $(cat wrong-pin.recorded.status) != 0 ]] || fail "the wrong PIN was accepted"
# On this SoftHSM2 the test ends at OAEP by itself: what matters is that the replay ends there too.
grep -q 'OAEP\|No errors' test.replayed.out || fail "--test ended elsewhere"

# PINs are not in any trace.
! grep -lE '"(1234|4321)"|31323334|34333231' ./*.yaml || fail "a PIN is in a trace"

# Another id is a divergence: reported with both sides, the argument and the line; the program fails.
run other "$P11TAPE" replay --mode strict --report report.json sign-rsa.yaml -- pkcs11-tool --module {} \
	"${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 99 --input-file hello.txt --output-file result
[[ $(cat other.status) == 1 ]] || fail "a divergence must exit 1"
grep -q 'C_FindObjectsInit was recorded with another pTemplate (.*sign-rsa.yaml:[0-9]*, id [0-9]*)' other.out ||
	fail "$(cat other.out)"
grep -q 'recorded: C_FindObjectsInit .*"hex": "01"' other.out || fail "the recorded side is missing"
grep -q 'called:   C_FindObjectsInit .*"hex": "99"' other.out || fail "the called side is missing"
python3 -c '
import json, sys
first = json.loads(open("report.json").readline())
assert first["kind"] == "argument" and first["argument"] == "pTemplate", first
assert first["expected"]["call"] == first["actual"]["call"] == "C_FindObjectsInit"
'
# Fewer calls than recorded is one too.
run fewer "$P11TAPE" replay --mode strict list.yaml -- pkcs11-tool --module {} --list-slots
[[ $(cat fewer.status) == 1 ]] || fail "unused calls must exit 1: $(cat fewer.out)"
