#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The mock token with other people's programs, and its own tests through the recorder and the replayer.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool
mock=$P11TAPE_BUILD_DIR/tests/p11tape-mock.so
[[ -e $mock ]] || {
	echo "skipped: the mock was not built"
	exit 77
}
login=(--login --pin 1234)
export P11TAPE_MOCK=objects=keys

scenario() { # NAME ARGUMENTS…
	local name=$1 rules=()
	shift
	# --test encrypts in its own process, with random padding, what the token then decrypts.
	[[ $name != test ]] || rules=(--match C_Decrypt.pEncryptedData=length)
	run "$name.direct" pkcs11-tool --module "$mock" "$@"
	run "$name.recorded" "$P11TAPE" record -m "$mock" -o "$name.yaml" -- pkcs11-tool --module {} "$@"
	run "$name.replayed" "$P11TAPE" replay --mode strict "${rules[@]}" "$name.yaml" -- \
		pkcs11-tool --module {} "$@"
	same "$name: output, recorded" "$name.direct.out" "$name.recorded.out"
	same "$name: output, replayed" "$name.direct.out" "$name.replayed.out"
	same "$name: exit status, recorded" "$name.direct.status" "$name.recorded.status"
	same "$name: exit status, replayed" "$name.direct.status" "$name.replayed.status"
}

scenario slots --list-slots
scenario mechanisms --list-mechanisms
scenario objects "${login[@]}" --list-objects
scenario test "${login[@]}" --test
scenario rsa "${login[@]}" --keypairgen --key-type rsa:2048 --id 02 --label new
scenario ec "${login[@]}" --keypairgen --key-type EC:secp384r1 --id 03 --label new
scenario aes "${login[@]}" --keygen --key-type aes:32 --id 04 --label new
grep -q 'token label *: mock$' slots.direct.out || fail "the token is not listed: $(cat slots.direct.out)"
grep -q 'AES-GCM.*encrypt, decrypt' mechanisms.direct.out || fail "AES-GCM is not listed"
[[ $(grep -c 'label: *mock root' objects.direct.out) == 3 ]] || fail "the objects are not listed: $(cat objects.direct.out)"
grep -q '^No errors' test.direct.out || fail "--test: $(cat test.direct.out)"
for kind in rsa ec aes; do
	[[ $(cat $kind.direct.status) == 0 ]] || fail "$kind: $(cat $kind.direct.out)"
done

# From one process to the next, with libcrypto's word on what was signed.
printf hello >hello.txt
stored() { # ARGUMENTS…
	P11TAPE_MOCK=store=$PWD/store pkcs11-tool --module "$mock" "${login[@]}" "$@" >stored.out 2>&1 ||
		fail "pkcs11-tool $*: $(cat stored.out)"
}
stored --keypairgen --key-type rsa:2048 --id 05
stored --read-object --type pubkey --id 05 --output-file public.der
stored --sign --mechanism SHA256-RSA-PKCS --id 05 --input-file hello.txt --output-file hello.sig
openssl dgst -sha256 -verify public.der -keyform DER -signature hello.sig hello.txt >verified.out 2>&1 ||
	fail "openssl does not verify: $(cat verified.out)"

# The words are checked.
run typo env P11TAPE_MOCK=overestimat pkcs11-tool --module "$mock" --list-slots
grep -q "'overestimat' is not understood" typo.out || fail "a wrong word passes: $(cat typo.out)"

# A module may show its entry point alone; one without is no module.
run list-only pkcs11-tool --module "$P11TAPE_BUILD_DIR/tests/p11tape-mock-list-only.so" --list-slots
same "the module with C_GetFunctionList alone" slots.direct.out list-only.out
run no-entry pkcs11-tool --module "$P11TAPE_BUILD_DIR/tests/p11tape-mock-no-entry.so" --list-slots
[[ $(cat no-entry.status) != 0 ]] || fail "a module without an entry point loads"

if command -v p11tool >/dev/null; then
	run p11tool p11tool --provider "$mock" --login --set-pin 1234 --list-all pkcs11:token=mock
	grep -q 'X.509 Certificate (RSA-2048)' p11tool.out || fail "p11tool: $(cat p11tool.out)"
	grep -q 'Type: Private key (RSA-2048)' p11tool.out || fail "p11tool: $(cat p11tool.out)"
fi
if command -v certutil >/dev/null && command -v modutil >/dev/null; then
	mkdir db
	certutil -N -d sql:db --empty-password
	modutil -force -dbdir sql:db -add mock -libfile "$mock" >/dev/null 2>&1 </dev/null
	echo 1234 >pin
	run certutil certutil -L -d sql:db -h mock -f pin
	grep -q 'mock:mock root.*u,u,u' certutil.out || fail "certutil: $(cat certutil.out)"
fi

# The mock's own tests notice no recorder in between, nor, where no version is played, a replayer.
for name in token objects crypto; do
	run "own-$name" env MOCK_TEST_MODULE="$P11TAPE_RECORDER_SO" P11TAPE_MODULE="$mock" \
		P11TAPE_TRACE="$PWD/own-$name.yaml" "$P11TAPE_BUILD_DIR/tests/test-mock-$name"
	[[ $(cat "own-$name.status") == 0 ]] || fail "$name through the recorder: $(cat "own-$name.out")"
	"$P11TAPE" validate --quiet "own-$name.yaml" || fail "$name: validate"
	[[ $name != token ]] || continue
	run "own-$name.replayed" env MOCK_TEST_MODULE="$P11TAPE_REPLAYER_SO" P11TAPE_REPLAY="$PWD/own-$name.yaml" \
		P11TAPE_REPLAY_MODE=strict "$P11TAPE_BUILD_DIR/tests/test-mock-$name"
	[[ $(cat "own-$name.replayed.status") == 0 ]] || fail "$name against the replayer: $(cat "own-$name.replayed.out")"
done
