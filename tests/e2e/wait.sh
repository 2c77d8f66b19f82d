#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# C_WaitForSlotEvent: recorded without holding up the other threads; replayed, it returns when what had
# happened in the recording has happened, whichever thread is the faster one.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-wait
odd=$P11TAPE_BUILD_DIR/tests/odd-module.so

replay() { # SCENARIO [DIFFERENCE]
	"$P11TAPE" replay -v "${trace:-$1.yaml}" -- timeout -s KILL 60 "$program" {} "$@" >replayed 2>err ||
		fail "$*: status $?: $(<err)"
	grep -q ', 0 divergences$' err || fail "$*: $(<err)"
}

for scenario in event busy finalize lost cancel poll; do
	# ASan never hears of the frames that a cancelled thread leaves behind.
	[[ $scenario != cancel || -z ${LD_PRELOAD:-} ]] || continue
	timeout -s KILL 60 "$program" "$odd" $scenario >$scenario.direct
	P11TAPE_MODULE=$odd P11TAPE_TRACE=$work/$scenario.yaml \
		timeout -s KILL 60 "$program" "$P11TAPE_RECORDER_SO" $scenario >recorded
	same "what $scenario prints, recorded," $scenario.direct recorded
	"$P11TAPE" validate -q $scenario.yaml
	replay $scenario
	same "what $scenario prints, replayed," $scenario.direct replayed
	"$P11TAPE" fmt $scenario.yaml >block.yaml
	trace=block.yaml replay $scenario
	same "what $scenario prints, replayed from block form," $scenario.direct replayed
	P11TAPE_REPLAY=$work/$scenario.yaml P11TAPE_MODULE=$P11TAPE_REPLAYER_SO P11TAPE_TRACE=$work/again.yaml \
		timeout -s KILL 60 "$program" "$P11TAPE_RECORDER_SO" $scenario >again
	same "what $scenario prints while its replay is recorded" $scenario.direct again
	rm again.yaml
done

# It waited, while the others went on; and for what.
grep -q '"call": "C_WaitForSlotEvent".*"thread": 2' event.yaml || fail "no second thread"
"$P11TAPE" validate lost.yaml >summary || fail "lost: $(<summary)"
grep -q 'C_WaitForSlotEvent (id [0-9]*) did not return' summary || fail "lost: $(<summary)"
grep -q '^waited: 190, ' finalize.direct || fail "finalize: $(<finalize.direct)"
grep -q '^waited: 0, slot 42$' event.direct || fail "event: $(<event.direct)"

# Which of the two calls returns first is chance, too: where the wait does, C_Finalize has to have come all the same.
waited=$(grep CKR_CRYPTOKI_NOT_INITIALIZED finalize.yaml)
awk -v waited="$waited" '$0 != waited { print } /"call": "C_Finalize"/ { print waited }' finalize.yaml >first.yaml
for mode in strict lenient; do
	P11TAPE_REPLAY_MODE=$mode trace=first.yaml replay finalize
	same "what finalize prints, $mode, where the wait returned first," finalize.direct replayed
done

# The order in which two threads come is chance.
for difference in early late; do
	replay event $difference
	same "what event prints, $difference," event.direct replayed
done

# What never returned returns when everything ends (PKCS#11 3.1 §5.5.4).
replay lost join
grep -q '^waited: 190, ' replayed || fail "lost, joined: $(<replayed)"

# What never comes is named; and a program ends while a thread of it waits.
"$P11TAPE" replay event.yaml --report report -- timeout -s KILL 60 "$program" {} event skip >replayed 2>err &
pid=$!
while kill -0 "$pid" 2>/dev/null && ! grep -q 'waits for' err; do
	sleep 0.1
done
touch skip
status=0
wait "$pid" || status=$?
[[ $status == 1 ]] || fail "skip: status $status: $(<err)"
login=$(grep -n '"C_Login"' event.yaml | tail -n 1 | cut -d: -f1)
waits=$(grep -n '"C_WaitForSlotEvent"' event.yaml | cut -d: -f1)
sentence="p11tape-replayer: C_WaitForSlotEvent, $work/event.yaml:$waits, waits for C_Login, $work/event.yaml:$login, which has not come"
[[ $(grep -c 'waits for' err) == 1 ]] || fail "skip: $(<err)"
grep -qxF "$sentence" err || fail "skip: $(<err)"
grep -q '^{"note": "C_WaitForSlotEvent, ' report || fail "skip: $(<report)"

# Polls are calls like any other: a program that asks once less has not done what was recorded.
[[ $(grep -c CKF_DONT_BLOCK poll.yaml) == 5 ]] || fail "poll: $(<poll.yaml)"
awk '/CKF_DONT_BLOCK/ && !seen { seen = 1; skip = 2 } skip { skip--; next } 1' poll.yaml >fewer.yaml
status=0
"$P11TAPE" replay fewer.yaml -- "$program" {} poll >replayed 2>err || status=$?
[[ $status == 1 ]] || fail "fewer polls: status $status: $(<err)"
grep -q 'C_WaitForSlotEvent was called where the recording has C_Login' err || fail "fewer polls: $(<err)"
