#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# One body of tests, three ways: directly, through the recorder, and against the replayer.
. "$(dirname "$0")/lib.sh"
through=$P11TAPE_BUILD_DIR/tests/through

new_token through
cp -a tokens fresh
run direct "$through" "$softhsm"
[[ $(cat direct.status) == 0 ]] || fail "directly: $(tail -n 5 direct.out)"

rm -rf tokens && cp -a fresh tokens
run recorded env P11TAPE_MODULE="$softhsm" P11TAPE_TRACE="$work/t.yaml" "$through" "$P11TAPE_RECORDER_SO"
[[ $(cat recorded.status) == 0 ]] || fail "recorded: $(tail -n 5 recorded.out)"

# The replay has no token, and no module to find one with.
mv tokens away
run replayed env SOFTHSM2_CONF=/nonexistent P11TAPE_REPLAY="$work/t.yaml" \
	P11TAPE_REPLAY_REPORT="$work/report" "$through" "$P11TAPE_REPLAYER_SO"
[[ $(cat replayed.status) == 0 ]] || fail "replayed: $(tail -n 5 replayed.out)"

# Random values included: the replay is the recorded run.
same "what the recorded and the replayed run show" recorded.out replayed.out
# But for those, the recorder changes nothing.
drop='/^# \(random\|point\|signature\):/d'
sed "$drop" direct.out >direct.same
sed "$drop" recorded.out >recorded.same
same "what the direct and the recorded run show" direct.same recorded.same

grep -q '"summary": {"served": [0-9]*, "unused": 0, "divergences": 0, ' report || fail "$(cat report)"
"$P11TAPE" validate t.yaml

# The fixed point: recording the replay gives the trace again.
run again env SOFTHSM2_CONF=/nonexistent P11TAPE_REPLAY="$work/t.yaml" \
	P11TAPE_MODULE="$P11TAPE_REPLAYER_SO" P11TAPE_TRACE="$work/again.yaml" "$through" "$P11TAPE_RECORDER_SO"
calls_of t.yaml >one
calls_of again.yaml >two
same "the replay recorded again" one two

# Block form and canonical form serve as well.
"$P11TAPE" fmt t.yaml >block.yaml
run block env SOFTHSM2_CONF=/nonexistent P11TAPE_REPLAY="$work/block.yaml" \
	"$through" "$P11TAPE_REPLAYER_SO"
same "the block form's replay" replayed.out block.out
