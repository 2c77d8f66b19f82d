#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Modules that call the application back: directly, recorded, and replayed without the module the program
# prints the same, and what was recorded of the replay is what was replayed.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-notify
odd=$P11TAPE_BUILD_DIR/tests/odd-module.so

record() { # SCENARIO
	"$program" "$odd" "$1" >"$1.direct"
	P11TAPE_MODULE=$odd P11TAPE_TRACE=$work/$1.yaml "$program" "$P11TAPE_RECORDER_SO" "$1" >"$1.recorded"
	same "what $1 prints, recorded," "$1.direct" "$1.recorded"
	"$P11TAPE" validate "$1.yaml" >"$1.summary" || fail "$1: $(<"$1.summary")"
}
told() { # SCENARIO NOTIFICATIONS
	grep -q ", $2 notifications\?, " "$1.summary" || fail "$1: $(<"$1.summary")"
}
replay() { # SCENARIO TRACE
	"$P11TAPE" replay -v "$2" -- timeout -s KILL 60 "$program" {} "$1" >"$1.replayed" 2>"$1.err" ||
		fail "$2: status $?: $(<"$1.err")"
	same "what $1 prints, replayed from $2," "$1.direct" "$1.replayed"
	grep -q ', 0 divergences$' "$1.err" || fail "$2: $(<"$1.err")"
}

for scenario in calls leave exit thread; do
	record $scenario
	"$P11TAPE" fmt "$scenario.yaml" >"$scenario.block.yaml"
	"$P11TAPE" fmt --lines "$scenario.block.yaml" >lines.yaml
	same "$scenario, to block form and back," "$scenario.yaml" lines.yaml
	replay $scenario "$scenario.yaml"
	replay $scenario "$scenario.block.yaml"
	P11TAPE_REPLAY=$work/$scenario.yaml P11TAPE_MODULE=$P11TAPE_REPLAYER_SO P11TAPE_TRACE=$work/$scenario.again.yaml \
		"$program" "$P11TAPE_RECORDER_SO" $scenario >again.out
	same "what $scenario prints while its replay is recorded" $scenario.direct again.out
	# When the module's own thread came was chance.
	[[ $scenario == thread ]] ||
		same "$scenario, recorded again," <(calls_of $scenario.yaml) <(calls_of $scenario.again.yaml)
done
told calls 7
told leave 1
told thread 2
grep -q ' did not return, whole$' leave.summary || fail "leave: $(<leave.summary)"

# Nested: three calls deep, and in whole calls.
"$P11TAPE" show calls.yaml >shown
grep -Eq '^ {8}#[0-9]+ C_GetFunctionStatus.* = CKR_OK .*\(during #9\)$' shown || fail "show: $(<shown)"
grep -Eq '^ {6}#9 Notify\(hSession=1, event=CKN_SURRENDER\) = CKR_CANCEL .*\(during #8\)$' shown || fail "show: $(<shown)"
! grep -q '^- return' calls.block.yaml || fail "block form has halves: $(<calls.block.yaml)"
# What the application calls after longjmp() is not inside of what it left.
grep -c '"during"' leave.yaml | grep -qx 2 || fail "leave: $(grep during leave.yaml)"

# More functions than there is room for: the rest goes past us, and the trace says so once.
record many
told many 16
[[ $(grep -c '"passed-through": "Notify"' many.yaml) == 1 ]] || fail "many: $(grep passed many.yaml)"

# The program's answer is compared.
status=0
"$P11TAPE" replay --report report calls.yaml -- "$program" {} answer >answered 2>err || status=$?
[[ $status == 1 ]] || fail "another answer: status $status: $(<err)"
grep -q 'divergence 1: Notify (CKN_SURRENDER) answered CKR_OK where the recording has CKR_CANCEL (.*calls.yaml:[0-9]*, id 12)$' \
	err || fail "another answer: $(<err)"
grep -q '^{"divergence": 1, "kind": "notify", .*"expected": {"notify": "CKN_SURRENDER", "rv": "CKR_CANCEL"}, "actual": {"notify": "CKN_SURRENDER", "rv": "CKR_OK"}, ' \
	report || fail "another answer: $(<report)"
same "what another answer prints" calls.direct answered

# A notification for a session that the program never opened.
sed 's/^\(- {"notify": .*"hSession": \)2}/\199}/' calls.yaml >stray.yaml
status=0
"$P11TAPE" replay stray.yaml -- "$program" {} calls >/dev/null 2>err || status=$?
[[ $status == 1 ]] || fail "a stray notification: status $status: $(<err)"
grep -q 'Notify (CKN_SURRENDER): the program has given no function for this session' err || fail "$(<err)"
