#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# --order global: threads that race come in the recorded order, every time. --timing: calls take the time
# that they took, and hold up nobody else.
. "$(dirname "$0")/lib.sh"
race=$P11TAPE_BUILD_DIR/tests/race
new_token order

record() { # TRACE ORDER
	rm -f "$1"
	P11TAPE_MODULE=$softhsm P11TAPE_TRACE=$work/$1 "$race" "$P11TAPE_RECORDER_SO" "$2" >recorded
	echo "$2" >expected
	same "the recorded race" expected recorded
}

# A hundred races in one program, with either outcome; it is run ten times.
order=01101001100101101001011001101001100101100110100101101001100101100110100110010110100101100110100110
record race.yaml $order
for run in {1..10}; do
	"$P11TAPE" replay race.yaml --mode strict --order global -- "$race" {} "${order//[01]/?}" >replayed 2>err || fail "run $run: $(head -n 3 err)"
	same "race $run" expected replayed
done
"$P11TAPE" fmt -i race.yaml
"$P11TAPE" replay race.yaml --mode strict --order global -- "$race" {} "${order//[01]/?}" >replayed 2>err || fail "block form: $(head -n 3 err)"
same "the race in block form" expected replayed
# In one thread, and where calls overlap, it is kept as well.
"$P11TAPE_BUILD_DIR/tests/threads" "$softhsm" 8 20 >direct
P11TAPE_MODULE=$softhsm P11TAPE_TRACE=$work/threads.yaml "$P11TAPE_BUILD_DIR/tests/threads" "$P11TAPE_RECORDER_SO" 8 20 >recorded
"$P11TAPE" replay threads.yaml --mode strict --order global -- "$P11TAPE_BUILD_DIR/tests/threads" {} 8 20 >replayed 2>err || fail "threads: $(head -n 3 err)"
same "what eight threads print" direct replayed

# Without it, whoever comes first diverges where the other one did in the recording.
record one.yaml 1
"$P11TAPE" replay one.yaml --mode strict --order lane -- "$race" {} 0 >replayed 2>err && fail "the other order is served"
"$P11TAPE" replay one.yaml --mode strict --order global -- "$race" {} '?' >replayed 2>err || fail "$(<err)"

# A thread that never comes is named, with the call that it was to make, and the others go on.
line=$(grep -n '"call": "C_GetSlotInfo"' one.yaml | cut -d: -f1)
thread=$(sed -n "${line}s/.*\"thread\": \([0-9]*\).*/\1/p" one.yaml)
status=0
"$P11TAPE" replay one.yaml --mode strict --order global --order-timeout 1 --report report -- "$race" {} - >replayed 2>err || status=$?
[[ $status == 1 ]] || fail "status $status: $(<err)"
sentence="divergence 1: C_OpenSession: the recorded order is given up: for 1 s thread $thread has not come to call C_GetSlotInfo ($work/one.yaml:$line, id "
grep -qF "$sentence" err || fail "$(<err)"
head -n 1 report | grep -q '^{"divergence": 1, "kind": "order", .*"line": '"$line"', .*"expected": {"call": "C_GetSlotInfo"' || fail "$(<report)"

# ---- time ----------------------------------------------------------------------------------------------

# Of a recording in which the second thread came first, one in which the first was in a call all the while,
# for an hour.
record zero.yaml 0
/usr/bin/env -u LD_PRELOAD python3 - zero.yaml slow.yaml <<'END'
import re, sys
lines = open(sys.argv[1], encoding="utf-8").readlines()
at = lambda text: next(i for i, line in enumerate(lines) if text in line)
slow = lines.pop(at('"call": "C_GetSlotInfo"'))
lines.insert(at('"call": "C_OpenSession"'), slow)
number = re.search('"id": ([0-9]+)', slow)[1]
back = at('"return": ' + number + ",")
lines[back] = re.sub('"took": [0-9.]+', '"took": 3600.0', lines[back])
ids = [re.search('"id": ([0-9]+)', line)[1] for line in lines if '"call": ' in line]
new = lambda match: match[1] + str(ids.index(match[2]) + 1)
with open(sys.argv[2], "w", encoding="utf-8") as to:
    to.writelines(re.sub('("(?:id|return)": )([0-9]+)', new, line, count=1) for line in lines)
END
"$P11TAPE" validate -q slow.yaml
for pace in none x0 x0.000001; do
	"$P11TAPE" replay slow.yaml -v --mode strict --order global --timing $pace -- "$race" {} '?' >replayed 2>err || fail "$pace: $(<err)"
	grep -q ', 0 divergences$' err || fail "$pace: $(<err)"
done
P11TAPE_REPLAY=$work/slow.yaml P11TAPE_REPLAY_MODE=strict P11TAPE_REPLAY_TIMING=recorded \
	P11TAPE_MODULE=$P11TAPE_REPLAYER_SO P11TAPE_TRACE=$work/again.yaml "$race" "$P11TAPE_RECORDER_SO" '?' >replayed 2>err &
pid=$!
# The other thread is through; this one is in its call still.
while kill -0 $pid 2>/dev/null && ! { grep -qs '"call": "C_GetSlotInfo"' again.yaml &&
	id=$(sed -n 's/.*"call": "C_CloseSession", "id": \([0-9]*\),.*/\1/p' again.yaml) && [[ -n $id ]] &&
	grep -q "\"return\": $id," again.yaml; }; do
	sleep 0.05
done
kill -KILL $pid || fail "the program has ended: $(<err)"
{ wait $pid || true; } 2>/dev/null
id=$(sed -n 's/.*"call": "C_GetSlotInfo", "id": \([0-9]*\),.*/\1/p' again.yaml)
grep -q "\"return\": $id," again.yaml && fail "an hour is over already"
[[ ! -s err ]] || fail "$(<err)"

# What cannot be understood: a sentence.
for wrong in '--timing soon' '--timing x1001' '--order all' '--order global --mode lenient' '--order-timeout 0' '--order-timeout 1s'; do
	status=0
	# shellcheck disable=SC2086 # words
	"$P11TAPE" replay one.yaml $wrong -- touch started {} 2>err || status=$?
	[[ $status == 2 && ! -e started && $(wc -l <err) == 1 ]] || fail "$wrong: $status: $(<err)"
done
for wrong in TIMING=soon ORDER=all ORDER_TIMEOUT=never; do
	env P11TAPE_REPLAY="$work/one.yaml" "P11TAPE_REPLAY_$wrong" "$race" "$P11TAPE_REPLAYER_SO" 1 >replayed 2>err && fail "$wrong is taken"
	grep -q "^p11tape-replayer: .*P11TAPE_REPLAY_${wrong%=*}: " err || fail "$wrong: $(<err)"
done
