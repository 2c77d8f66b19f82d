#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Model mode: what a program recorded is served to programs that ask otherwise. The same program through a shim
# that asks for every output in other rooms, attributes one by one and objects so many at a time; and other
# commands of it, whose searches lie within the recorded one. What was not recorded is a divergence.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool p11tool openssl python3
shim=$P11TAPE_BUILD_DIR/tests/rooms-shim.so
new_token model
pkcs11-tool --module "$softhsm" --login --pin 1234 --keypairgen --key-type rsa:2048 --id 01 --label one >/dev/null 2>&1
pkcs11-tool --module "$softhsm" --login --pin 1234 --keypairgen --key-type EC:prime256v1 --id 02 --label two >/dev/null 2>&1
printf 'some data' >data
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout /dev/null -subj /CN=four -outform DER \
	-out four.der 2>/dev/null
pkcs11-tool --module "$softhsm" --login --pin 1234 --write-object four.der --type cert --id 04 --label four >/dev/null 2>&1
pkcs11-tool --module "$softhsm" --login --pin 1234 --write-object data --type data --label three >/dev/null 2>&1
login=(--login --pin 1234)
token=(--login --set-pin 1234 'pkcs11:token=model')

# What a program prints and its exit status: directly, and from a trace in a mode.
direct() { # NAME PROGRAM ARGUMENTS…
	local name=$1
	shift
	run "$name.direct" "${@//\{\}/$softhsm}"
	[[ $(<"$name.direct.status") == 0 ]] || fail "$name: $(<"$name.direct.out")"
}
record() { # TRACE PROGRAM ARGUMENTS…
	local trace=$1
	shift
	"$P11TAPE" record -m "$softhsm" -o "$trace" -- "$@" >/dev/null 2>&1 || fail "record $trace: $*"
}
replay() { # NAME MODE TRACE PROGRAM ARGUMENTS…
	local name=$1 mode=$2 trace=$3
	shift 3
	rm -f report
	"$P11TAPE" replay --mode "$mode" --report report "$trace" -- "$@" >"$name.out" 2>"$name.err" </dev/null ||
		echo $? >"$name.status"
}
divergences() {
	grep -c '"divergence"' report || true
}
by_model() {
	python3 -c 'import json; print(max(json.loads(l).get("summary", {}).get("by-model", 0) for l in open("report")))'
}

# ---- the same program, in other words ----------------------------------------------------------------

through_shim() { # NAME PROGRAM ARGUMENTS…
	local name=$1 find status
	shift
	direct "$name" "$@"
	# The shim changes nothing with the module itself.
	run "$name.shim" env ROOMS_NEXT="$softhsm" "${@//\{\}/$shim}"
	same "$name: through the shim" "$name.direct.out" "$name.shim.out"
	record "$name.yaml" "$@"
	for find in 1 10; do
		rm -f report
		run "$name.model" env ROOMS_FIND=$find ROOMS_NEXT="$P11TAPE_REPLAYER_SO" P11TAPE_REPLAY="$name.yaml" \
			P11TAPE_REPLAY_MODE=model P11TAPE_REPLAY_REPORT=report "${@//\{\}/$shim}"
		same "$name: by model, $find at a time" "$name.direct.out" "$name.model.out"
		same "$name: exit status" "$name.direct.status" "$name.model.status"
		[[ $(divergences) == 0 ]] || fail "$name: $(grep '"divergence"' report)"
		[[ $(by_model) -ge 2 ]] || fail "$name: $(by_model) calls by model"
	done
	echo "$name: $(by_model) calls by model"
	# No other mode may do that.
	for mode in strict lenient; do
		rm -f report
		run "$name.$mode" env ROOMS_NEXT="$P11TAPE_REPLAYER_SO" P11TAPE_REPLAY="$name.yaml" \
			P11TAPE_REPLAY_MODE=$mode P11TAPE_REPLAY_REPORT=report "${@//\{\}/$shim}"
		[[ $(divergences) != 0 ]] || fail "$name: $mode mode answers for other rooms"
	done
}
through_shim slots pkcs11-tool --module {} --list-slots
through_shim mechanisms pkcs11-tool --module {} --list-mechanisms
through_shim objects pkcs11-tool --module {} "${login[@]}" --list-objects
through_shim read pkcs11-tool --module {} "${login[@]}" --read-object --type data --label three
through_shim hash pkcs11-tool --module {} --hash --mechanism SHA256 --input-file data
through_shim sign pkcs11-tool --module {} "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 01 --input-file data
through_shim p11tool p11tool --provider {} --list-all "${token[@]}"

# ---- other commands ----------------------------------------------------------------------------------

otherwise() { # TRACE PROGRAM ARGUMENTS…
	local trace=$1
	shift
	"${@//\{\}/$softhsm}" >direct.out 2>/dev/null </dev/null || true
	replay other model "$trace" "$@"
	[[ $(divergences) == 0 ]] || fail "$*: $(grep '"divergence"' report)"
	[[ $(by_model) -ge 2 ]] || fail "$*: $(by_model) calls by model"
	same "$*" direct.out other.out
	echo "from $trace: $*: $(by_model) calls by model"
	replay other lenient "$trace" "$@"
	[[ $(divergences) != 0 ]] || fail "$*: lenient mode answers"
}
record all.yaml p11tool --provider {} --list-all 'pkcs11:token=model'
for url in 'pkcs11:token=model;id=%01' 'pkcs11:token=model;object=two' 'pkcs11:token=model;type=cert' \
	'pkcs11:token=model;type=data' 'pkcs11:token=model;id=%01;object=two'; do
	otherwise all.yaml p11tool --provider {} --list-all --only-urls "$url"
done
otherwise all.yaml p11tool --provider {} --list-privkeys 'pkcs11:token=model'

# ---- what is not known -------------------------------------------------------------------------------

# An attribute that was not read; objects that the search did not look for.
replay unknown model objects.yaml pkcs11-tool --module {} "${login[@]}" --read-object --type pubkey --id 01
[[ $(<unknown.status) == 1 && $(divergences) == 1 && $(by_model) -ge 2 ]] ||
	fail "an attribute that is not known is answered: $(<unknown.err)"
record some.yaml p11tool --provider {} --list-all 'pkcs11:token=model;type=cert'
replay unknown model some.yaml p11tool --provider {} --list-all 'pkcs11:token=model'
[[ $(divergences) != 0 ]] || fail "a search is answered from one that looked for less"
