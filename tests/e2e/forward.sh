#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# replay --on-divergence forward: a program that goes beyond its recording gets from there on what SoftHSM2 answers, in
# the state that the program is in, and what it was asked is a trace of its own. What cannot be brought there is a
# divergence with the reason.
# shellcheck disable=SC1010 # a step is called done
. "$(dirname "$0")/lib.sh"
need pkcs11-tool openssl
new_token forward
steps=$P11TAPE_BUILD_DIR/tests/steps
tool() { # ARGUMENTS…
	pkcs11-tool --module "$softhsm" --login --pin 1234 "$@" >>log 2>&1
}
for key in 01:one 02:two; do
	tool --keypairgen --key-type rsa:2048 --id "${key%:*}" --label "${key#*:}" || fail "$(<log)"
done
tool --read-object --type pubkey --id 01 --output-file one.pub
cp -r tokens tokens.0

forward() { # NAME TRACE OPTIONS… -- COMMAND…
	local name=$1 trace=$2
	shift 2
	rm -f "$name.json"
	run "$name" "$P11TAPE" replay "$trace" --mode lenient --verbose --report "$name.json" --on-divergence forward "$@"
}

# ---- pkcs11-tool: a listing was recorded, and it signs ------------------------------------------------------------

login=(--login --pin 1234)
printf 'what was never recorded' >data
"$P11TAPE" record -m "$softhsm" -o list.yaml -- pkcs11-tool --module {} "${login[@]}" -O >log 2>&1 || fail "$(<log)"
signs=(pkcs11-tool --module {} "${login[@]}" -O --sign --mechanism SHA256-RSA-PKCS --id 01 -i data)
forward tool list.yaml -- "${signs[@]}" -o signature
[[ $(<tool.status) == 0 ]] || fail "pkcs11-tool: $(<tool.out)"
openssl dgst -sha256 -verify <(openssl pkey -pubin -inform DER -in one.pub) -signature signature data >log ||
	fail "the signature: $(<log)"
grep -q "^p11tape-replayer: C_[A-Za-z]* is not in the recording: from here on $softhsm answers" tool.out || fail "$(<tool.out)"
grep -q '^{"note": ".* from here on ' tool.json || fail "$(<tool.json)"
grep -q '^p11tape: forwarded: [1-9][0-9]* calls$' tool.out || fail "$(<tool.out)"
grep -q '"divergences": 0, .*"forwarded": [1-9]' tool.json || fail "$(<tool.json)"
! grep -q "\"1234\"" list-forward.yaml || fail "the PIN is in the new trace"
grep -q "\"pPin\": {\"secret\": \"pin-1\"" list-forward.yaml || fail "the login is not in the new trace"
# The new trace has all that the program did: without the token it is served, to the last byte, even in strict mode.
mv tokens away
for mode in lenient strict; do
	says 0 '' "$P11TAPE" replay --mode "$mode" list-forward.yaml -- "${signs[@]}" -o again
	same "replayed in mode $mode" signature again
done
mv away tokens
# Nor is it taken for a process of the first one.
says 0 '' "$P11TAPE" replay --verbose --mode lenient list.yaml -- pkcs11-tool --module {} "${login[@]}" -O
grep -q ' 0 divergences$' said.err || fail "$(<said.err)"
# A program that names its own module: what the replayer loads is the module, not the replayer again.
# (Under a sanitizer something else is preloaded.)
if [[ -z ${LD_PRELOAD:-} ]]; then
	forward unmodified list.yaml --forward-trace own.yaml -- pkcs11-tool --module "$softhsm" "${signs[@]:3}" -o again
	[[ $(<unmodified.status) == 0 ]] || fail "unmodified: $(<unmodified.out)"
	same unmodified signature again
	"$P11TAPE" validate own.yaml >log || fail "$(<log)"
fi

# ---- steps: the same as on the module, wherever the recording ends ------------------------------------------------

# Recorded are the steps before ++, and the program makes them and those behind it.
both() { # NAME STEP… ++ STEP…
	local name=$1 before=() after=()
	shift
	while [[ $1 != ++ ]]; do
		before+=("$1")
		shift
	done
	after=("${@:2}")
	restore
	"$steps" "$softhsm" "${before[@]}" "${after[@]}" >"$name.live" || fail "$name: $(<"$name.live")"
	restore
	"$P11TAPE" record -m "$softhsm" -o "$name.yaml" -- "$steps" {} "${before[@]}" >log 2>&1 || fail "$name: $(<log)"
	restore
	forward "$name" "$name.yaml" --forward-trace "$name.new.yaml" -- "$steps" {} "${before[@]}" "${after[@]}"
	grep '^[a-z-]*: ' "$name.out" | grep -v '^p11tape' >"$name.got" || true
}
restore() {
	rm -rf tokens
	cp -r tokens.0 tokens
}
goes_on() { # as both
	local name=$1 all=()
	both "$@"
	[[ $(<"$name.status") == 0 ]] || fail "$name: $(<"$name.out")"
	same "$name" "$name.live" "$name.got"
	! grep -q 'answered otherwise' "$name.out" || fail "$name: $(<"$name.out")"
	grep -q '^p11tape: forwarded: ' "$name.out" || fail "$name: nothing was forwarded: $(<"$name.out")"
	for step in "${@:2}"; do
		[[ $step == ++ ]] || all+=("$step")
	done
	rm -rf tokens
	run again "$P11TAPE" replay --mode lenient "$name.new.yaml" -- "$steps" {} "${all[@]}"
	grep '^[a-z-]*: ' again.out | grep -v '^p11tape' >again.got || true
}
stops() { # SENTENCE as both
	both "${@:2}"
	grep -q "^  forward:  .*$1" "$2.out" || fail "$2: no '$1': $(<"$2.out")"
	grep -q '"no-forward": ' "$2.json" || fail "$2: $(<"$2.json")"
	! grep -q '^p11tape: forwarded: ' "$2.out" || fail "$2: $(<"$2.out")"
}
key=(init list token open login:1234 seek:two next:8 done pick:0 id pick:1 id)
serves() { # as both: and the new trace is one of the whole run
	goes_on "$@"
	[[ $(<again.status) == 0 ]] || fail "$1, from the new trace: $(<again.out)"
	same "$1, from the new trace" "$1.live" again.got
}
serves sign "${key[@]}" ++ modulus sign-init sign:more info close final
serves objects "${key[@]}" ++ seek: next:8 done pick:2 id label
# An operation that is under way, and one that is over.
serves parts "${key[@]}" sign-init part:a part:b ++ part:c sign-final
serves over "${key[@]}" sign-init sign:a sign-init sign:b ++ sign-init sign:c
# A search of which some was given.
serves search init list token open login:1234 seek:two next:1 ++ next:1 next:1 next:1 done pick:1 id
# Session objects that the program made and changed; sessions that it closed; that it logged out and in again.
serves made init list open login:1234 create:mine relabel:yours label ++ seek:yours next:8 done pick:1 label destroy seek:yours next:8
serves sessions init list open open use:0 login:1234 close use:1 info seek:one next:8 done ++ sign-init sign:a label
serves again "${key[@]}" logout login:1234 seek:one next:8 done pick:2 ++ sign-init sign:a logout info sign-init
goes_on finalized init list open close final init list open ++ login:1234 seek:one next:8 final init open info
# A wrong PIN is not said again: the token counts.
goes_on wrong init list open login:0000 login:1234 ++ seek:one next:8
! grep -q CKR_PIN_INCORRECT wrong.new.yaml || fail "the program's own vain login is part of the new trace"
# From the first call on.
serves nothing init ++ list token open info

# In a forked child, before and behind the switch: each process goes over by itself.
goes_on child init list open login:1234 fork init list open ++ token info
goes_on parent init list open login:1234 ++ seek:one next:8 fork init list open info login:1234 seek:one next:1 done sign-init sign:a

# Handles in structures, and notifications: a module whose handles are others.
cat >other.yaml <<'END'
- {p11tape: 1, module: {path: /nowhere/module.so}}
- {call: C_Initialize, id: 1, in: {pInitArgs: null}}
- {return: 1, rv: CKR_OK}
- {call: C_OpenSession, id: 2, in: {slotID: 1, flags: [CKF_SERIAL_SESSION], pApplication: true, Notify: true}}
- {return: 2, out: {phSession: 1}, rv: CKR_OK}
- {call: C_CreateObject, id: 3, in: {hSession: 1, pTemplate: [{type: CKA_CLASS, ulong: CKO_SECRET_KEY}]}}
- {return: 3, out: {phObject: 2}, rv: CKR_OK}
- {call: C_CreateObject, id: 4, in: {hSession: 1, pTemplate: [{type: CKA_CLASS, ulong: CKO_SECRET_KEY}]}}
- {return: 4, out: {phObject: 3}, rv: CKR_OK}
- {call: C_WaitForSlotEvent, id: 5, thread: 2, in: {flags: [], pRserved: null}}
END
run other "$P11TAPE" replay other.yaml --mode lenient --verbose --on-divergence "forward=$P11TAPE_BUILD_DIR/tests/odd-module.so" \
	-- "$P11TAPE_BUILD_DIR/tests/robust-forward" {}
[[ $(<other.status) == 0 ]] || fail "other: $(<other.out)"
grep -q '^p11tape: forwarded: 7 calls$' other.out || fail "other: $(<other.out)"

# The PIN is kept until it has been presented, or need not be, and not longer.
cat >pins.yaml <<'END'
- {p11tape: 1, module: {path: /nowhere/module.so}}
- {call: C_Initialize, id: 1, in: {pInitArgs: null}, rv: CKR_OK}
- {call: C_OpenSession, id: 2, in: {slotID: 1, flags: [CKF_SERIAL_SESSION], pApplication: null, Notify: null}, out: {phSession: 1}, rv: CKR_OK}
- {call: C_Login, id: 3, in: {hSession: 1, userType: CKU_USER, pPin: {secret: pin-1}}, rv: CKR_OK}
END
for what in switch finalize refuse; do
	run "pins.$what" "$P11TAPE" replay pins.yaml --mode lenient --verbose \
		--on-divergence "forward=$P11TAPE_BUILD_DIR/tests/odd-module.so" --forward-trace "pins.$what.yaml" \
		-- "$P11TAPE_BUILD_DIR/tests/robust-pins" {} "$what"
	[[ $(<"pins.$what.status") == $([[ $what == refuse ]] && echo 1 || echo 0) ]] || fail "PINs: $(<"pins.$what.out")"
	! grep -q 'CHECK\|pins.c' "pins.$what.out" || fail "PINs: $(<"pins.$what.out")"
done

# ---- what is not forwarded ------------------------------------------------------------------------------------------

stops 'C_CreateObject makes objects of the token' token "${key[@]}" create-token:stays ++ sign-init sign:a
stops 'C_SetAttributeValue changes objects of the token' relabel "${key[@]}" relabel:other ++ label
stops 'C_DestroyObject destroys objects of the token' destroy "${key[@]}" destroy ++ seek:one
stops 'an operation is active with an object' generate init list open login:1234 generate encrypt-init ++ info
# A key that was generated is another one there.
both generated init list open login:1234 generate ++ info encrypt-init
grep -q 'divergence 1: .*it is not known which object of the live module is object' generated.out || fail "$(<generated.out)"
[[ $(grep -c '^{"divergence"' generated.json) == 1 ]] || fail "$(<generated.json)"

# Another token: without the object, with another PIN, with another label; no module at all; a file that is none.
record_key() {
	restore
	"$P11TAPE" record -m "$softhsm" -o key.yaml -- "$steps" {} "${key[@]}" >log 2>&1 || fail "$(<log)"
}
record_key
tool --delete-object --type privkey --id 02
forward lacks key.yaml -- "$steps" {} "${key[@]}" sign-init pick:0 sign-init
grep -q 'it is not known which object of the live module is object' lacks.out || fail "lacks: $(<lacks.out)"
grep -q 'answered otherwise, the first one was C_FindObjects' lacks.out || fail "lacks: $(<lacks.out)"
restore
pkcs11-tool --module "$softhsm" --login --pin 1234 --change-pin --new-pin 4321 >log 2>&1 || fail "$(<log)"
forward pin key.yaml -- "$steps" {} "${key[@]}" sign-init
grep -q "^  forward:  C_Login, which returned CKR_OK, returns CKR_PIN_INCORRECT on $softhsm" pin.out || fail "pin: $(<pin.out)"
rm -rf tokens/*
softhsm2-util --init-token --free --label other --so-pin 5678 --pin 1234 >/dev/null
forward label key.yaml -- "$steps" {} "${key[@]}" sign-init
grep -q "^  forward:  no slot of $softhsm, or more than one, has the token 'forward" label.out || fail "label: $(<label.out)"
restore
sed "s|$softhsm|/nowhere/module.so|" key.yaml >moved.yaml
forward absent moved.yaml -- "$steps" {} "${key[@]}" sign-init
grep -q '^  forward:  the module cannot be loaded: .*/nowhere/module.so' absent.out || fail "absent: $(<absent.out)"
[[ $(<absent.status) == 1 && $(grep -c 'divergence 1: ' absent.out) == 1 ]] || fail "absent: $(<absent.out)"
run named "$P11TAPE" replay moved.yaml --mode model --on-divergence "forward=$softhsm" -- "$steps" {} "${key[@]}" sign-init sign:a
[[ $(<named.status) == 0 ]] || fail "named: $(<named.out)"
says 2 'the module /nowhere.so cannot be read' "$P11TAPE" replay key.yaml --mode lenient \
	--on-divergence forward=/nowhere.so -- touch started {}
says 2 'is for the modes lenient and model' "$P11TAPE" replay key.yaml --mode strict --on-divergence forward -- touch started {}
says 2 'forward-trace is for' "$P11TAPE" replay key.yaml --mode lenient --forward-trace x -- touch started {}
[[ ! -e started ]] || fail "a program was started"

# Bare: the module that the header names, unrecorded.
run bare env P11TAPE_REPLAY="$work/key.yaml" P11TAPE_REPLAY_MODE=lenient P11TAPE_REPLAY_ON_DIVERGENCE=forward \
	"$steps" "$P11TAPE_REPLAYER_SO" "${key[@]}" sign-init sign:more
[[ $(<bare.status) == 0 ]] || fail "bare: $(<bare.out)"
grep '^sign: ' sign.live >expected
grep '^sign: ' bare.out >got
same bare expected got
