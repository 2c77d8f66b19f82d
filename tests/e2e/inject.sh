#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Fault injection, in recordings and in replays: what the program gets, that the trace says so, and that
# such a trace replays like any other.
. "$(dirname "$0")/lib.sh"
facts=$P11TAPE_BUILD_DIR/tests/facts
# A sanitizer's own handlers would turn a signal into an exit status.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:handle_segv=0
ulimit -c 0
need openssl pkcs11-tool
new_token inject
{
	openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=inject -days 30
	openssl x509 -in cert.pem -outform der -out cert.der
	openssl rsa -in key.pem -outform der -out privkey.der
	for type in cert privkey; do
		pkcs11-tool --module "$softhsm" --login --pin 1234 --write-object $type.der --type $type --label k --id 01
	done
} >/dev/null 2>&1

"$facts" "$softhsm" >direct
grep -q '^signature: 0x0, 0x0, 256 bytes$' direct || fail "the token: $(<direct)"

lines() { # LINE…
	(($# == 0)) || printf '%s\n' "$@"
}

# Record under a rule; the lines that differ from a run without it are the ones behind it.
recorded() { # STATUS RULE… -- DIFFERENT LINE…
	local status=0 expected=$1 rules=()
	shift
	while [[ $1 != -- ]]; do
		rules+=(--inject "$1")
		shift
	done
	shift
	rm -f t.yaml*
	{ "$P11TAPE" record -m "$softhsm" -o t.yaml "${rules[@]}" -- "$facts" {} >live 2>err || status=$?; } 2>/dev/null
	[[ $status == "$expected" ]] || fail "${rules[*]}: status $status: $(<err)"
	lines "$@" >expected
	diff direct live | sed -n 's/^> //p' >different || true
	same "what facts prints under ${rules[*]}" expected different
	if [[ $expected == 0 ]]; then
		"$P11TAPE" validate -q t.yaml
		for spelling in lines block; do
			"$P11TAPE" replay -v t.yaml --mode strict -- "$facts" {} >replayed 2>err || fail "${rules[*]}, $spelling: $(<err)"
			same "the replay of ${rules[*]}, $spelling," live replayed
			"$P11TAPE" fmt -i t.yaml
		done
	fi
}
injected() { # FUNCTION WHAT: so many calls are marked with it
	"$P11TAPE" show t.yaml | grep -c "^$1(.* (injected: $2)\$" || true
}

# An answer in the module's place.
recorded 0 C_Sign:rv=CKR_DEVICE_REMOVED -- 'signature: 0x0, 0x32, 0 bytes'
[[ $(injected C_Sign rv=CKR_DEVICE_REMOVED) == 1 ]] || fail "$("$P11TAPE" show t.yaml)"
# The module was not called: what the program had in its buffer is not in the trace.
grep -A 8 'call: C_Sign$' t.yaml | grep -q 'out:' && fail "an output: $(<t.yaml)"
recorded 0 C_Sign:rv=0 -- 'signature: 0x0, 0x0, 512 bytes'
grep -q ' out: .*pSignature' t.yaml && fail "an output that nobody wrote"
recorded 0 'C_Log*:rv=0x80000123:slot=1' --
recorded 0 'C_Log*:rv=0x80000123:session=1' -- 'login: 0x80000123' 'signature: 0x0, 0x82, 0 bytes'
recorded 0 'C_FindObjectsInit:rv=CKR_PIN_EXPIRED:when=3' -- 'signature: 0xa3, 0x82, 0 bytes'
recorded 0 'C_FindObjects*:rv=CKR_PIN_EXPIRED:when=9' -- 'signature: 0x0, 0x90, 0 bytes'
recorded 0 'C_FindObjects*:rv=CKR_PIN_EXPIRED:when=10' --
recorded 0 'C_Finalize:rv=CKR_FUNCTION_FAILED:thread=2' --
recorded 0 'C_Finalize:rv=CKR_FUNCTION_FAILED:thread=1' -- 'end: 0x6'

# Output, and time.
recorded 0 C_Sign:truncate=7 -- 'signature: 0x0, 0x0, 7 bytes'
grep -q 'pSignature: {hex: "[0-9a-f]\{14\}"}' t.yaml || fail "truncated: $(grep pSignature t.yaml)"
recorded 0 C_Sign:delay=20ms C_Sign:delay_exit=30ms --
[[ $(injected C_Sign delay=20ms:delay_exit=30ms) == 1 ]] || fail "$("$P11TAPE" show t.yaml)"
took=$("$P11TAPE" fmt --lines t.yaml | grep -A1 '"call": "C_Sign"' | sed -n 's/.*"took": \([0-9.]*\)}$/\1/p')
awk -v took="$took" 'BEGIN { exit !(took >= 0.05) }' || fail "C_Sign took $took s"

# What the module lacks. The certificate's four attributes are asked for at once: NSS did so with a trust
# object's, and distrusted every root where a module did not know one of them.
recorded 0 all:hide=CKM_SHA256_RSA_PKCS -- \
	'mechanisms: 0x0, 0x0, as many as were said: yes, CKM_SHA256_RSA_PKCS: no' \
	'information on it: 0x70' 'signature: 0x0, 0x70, 0 bytes'
[[ $(injected 'C_[A-Za-z]*' hide=CKM_SHA256_RSA_PKCS) == 4 ]] || fail "$("$P11TAPE" show t.yaml)"
recorded 0 all:hide=CKA_VALUE -- \
	'lengths: 0x12, class 8, label 1, id 1, value -1' \
	"values: 0x12, label 'k', value -1" \
	'trusted by the impatient: no'
recorded 0 all:hide=CKA_LABEL -- 'search by label: 0x12' \
	'lengths: 0x12, class 8, label -1, id 1, value '"$(stat -c %s cert.der)" \
	"values: 0x12, label '-', value $(stat -c %s cert.der)" \
	'trusted by the impatient: no'
# The same by a value alone, as far as a value goes.
recorded 0 C_GetAttributeValue:rv=CKR_ATTRIBUTE_TYPE_INVALID -- \
	'lengths: 0x12, class 0, label 0, id 0, value 0' \
	"values: 0x12, label '', value 0" \
	'trusted by the impatient: no'

# A live module is not asked for what was injected, but for what was only late.
recorded 0 C_Sign:rv=CKR_DEVICE_REMOVED C_Login:delay=1us -- 'signature: 0x0, 0x32, 0 bytes'
"$P11TAPE" drive t.yaml -m "$softhsm" --secret pin-1=1234 -v >driven 2>&1 || fail "driven: $(<driven)"
[[ $(grep -c '^not issued: ' driven) == 1 ]] || fail "$(<driven)"
grep -q '^not issued: C_Sign .*: a fault was injected' driven || fail "$(<driven)"

# Crashes and hangs.
recorded 139 C_Sign:crash --
grep -q '"call": "C_Sign".*"injected": "crash"' t.yaml || fail "crash: $(<t.yaml)"
status=0
{ "$P11TAPE" replay t.yaml --mode strict --reproduce-crash -- "$facts" {} >replayed 2>err || status=$?; } 2>/dev/null
[[ $status == 139 ]] || fail "the crash again: $status: $(<err)"
rm -f t.yaml
P11TAPE_INJECT=C_Sign:hang P11TAPE_MODULE=$softhsm P11TAPE_TRACE=$work/t.yaml "$facts" "$P11TAPE_RECORDER_SO" >live 2>err &
pid=$!
while kill -0 $pid && ! grep -qs '"call": "C_Sign"' t.yaml; do sleep 0.05; done
until [[ $(<"/proc/$pid/stat") == *") S "* ]]; do sleep 0.01; done
kill -KILL $pid
{ wait $pid || true; } 2>/dev/null
grep -q '"injected": "hang"' t.yaml || fail "hang: $(<t.yaml)"

# Discovery, too: no list, no module.
rm -f t.yaml
{ "$P11TAPE" record -m "$softhsm" -o t.yaml --inject C_GetFunctionList:rv=CKR_OK -- "$facts" {} >live 2>&1 || true; } 2>/dev/null
# What becomes of the program then is its own affair.
grep -q '^- {"return": 1, "rv": "CKR_OK"' t.yaml || fail "C_GetFunctionList: $(<t.yaml)"
rm -f t.yaml
"$P11TAPE" record -m "$softhsm" -o t.yaml --inject 'C_GetFunctionList:rv=CKR_FUNCTION_FAILED' -- "$facts" {} >live 2>&1 &&
	fail "C_GetFunctionList failed, and facts went on"

# In a replay of a recording without faults: the call uses up nothing, and what was found is spoiled.
rm -f clean.yaml
"$P11TAPE" record -m "$softhsm" -o clean.yaml -- "$facts" {} >live
same "the clean recording" direct live
replayed() { # STATUS RULE DIFFERENT LINE…
	local status=0 expected=$1 rule=$2
	shift 2
	{ "$P11TAPE" replay clean.yaml -v --mode strict --inject "$rule" -- "$facts" {} >replayed 2>err || status=$?; } 2>/dev/null
	[[ $status == "$expected" ]] || fail "replay, $rule: status $status: $(<err)"
	lines "$@" >expected
	diff direct replayed | sed -n 's/^> //p' >different || true
	same "the replay under $rule" expected different
}
replayed 0 C_Sign:truncate=7 'signature: 0x0, 0x0, 7 bytes'
replayed 1 C_Sign:rv=CKR_DEVICE_REMOVED 'signature: 0x0, 0x32, 0 bytes' 'end: 0x5'
grep -q 'C_Finalize was called where the recording has C_Sign ' err || fail "$(<err)"
replayed 1 C_Finalize:rv=CKR_DEVICE_REMOVED 'end: 0x32'
grep -q 'the first call that was not made: C_Finalize' err || fail "$(<err)"
replayed 0 C_GetMechanismList:hide=CKM_SHA256_RSA_PKCS \
	'mechanisms: 0x0, 0x0, as many as were said: yes, CKM_SHA256_RSA_PKCS: no'
replayed 139 C_Sign:crash:thread=1
replayed 0 C_Sign:crash:thread=2
replayed 0 C_Sign:delay=1us

# In model mode what is hidden is hidden as in the live module.
for rule in all:hide=CKA_VALUE all:hide=CKA_LABEL all:hide=CKM_SHA256_RSA_PKCS C_FindObjectsInit:rv=CKR_PIN_EXPIRED:when=1; do
	rm -f t.yaml
	"$P11TAPE" record -m "$softhsm" -o t.yaml --inject "$rule" -- "$facts" {} >live
	"$P11TAPE" replay clean.yaml --mode model --inject "$rule" -- "$facts" {} >replayed 2>err || true
	same "model, $rule" live replayed
	grep -q 'divergence [0-9]' err && fail "model, $rule: $(<err)"
done
# An operation has ended with the call that failed in it.
for mode in lenient model; do
	"$P11TAPE" replay clean.yaml --mode $mode --inject 'C_Sign:rv=CKR_FUNCTION_FAILED' -- "$facts" {} >replayed 2>err || true
	grep -q 'divergence [0-9]' err && fail "$mode: $(<err)"
done

# What is no rule: a sentence, before the program starts, and by the modules themselves.
for command in "record -m $softhsm -o none.yaml" "replay clean.yaml"; do
	status=0
	# shellcheck disable=SC2086 # words
	"$P11TAPE" $command --inject 'C_Sign:rv=CKR_NO' -- touch started {} 2>err || status=$?
	[[ $status == 2 && ! -e started ]] || fail "$command: $status"
	grep -qx "p11tape: ${command%% *}: --inject: 'C_Sign:rv=CKR_NO': 'CKR_NO' is neither the name of a return value nor a number" err ||
		fail "$(<err)"
done
P11TAPE_INJECT=boom P11TAPE_MODULE=$softhsm P11TAPE_TRACE=$work/none.yaml "$facts" "$P11TAPE_RECORDER_SO" >live 2>err && fail "boom is taken"
grep -qx "p11tape: P11TAPE_INJECT: 'boom': 'boom' is not a function of PKCS#11 3.2" err || fail "$(<err)"
P11TAPE_REPLAY_INJECT=boom P11TAPE_REPLAY=$work/clean.yaml "$facts" "$P11TAPE_REPLAYER_SO" >live 2>err && fail "boom is taken"
grep -q "P11TAPE_REPLAY_INJECT: 'boom': 'boom' is not a function" err || fail "$(<err)"
