#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Threads that race for equal sessions: every record is whole, and the trace replays by lanes whatever
# threads carry them.
. "$(dirname "$0")/lib.sh"
threads=$P11TAPE_BUILD_DIR/tests/threads
new_token threads

run direct "$threads" "$softhsm" 16 50
for try in {1..50}; do
	rm -f t.yaml
	run recorded env P11TAPE_MODULE="$softhsm" P11TAPE_TRACE="$work/t.yaml" "$threads" "$P11TAPE_RECORDER_SO" 16 50
	[[ $(cat recorded.status) == 0 ]] || fail "$(cat recorded.out)"
	same "the recorded run" direct.out recorded.out
	"$P11TAPE" validate t.yaml
	! overlapped t.yaml || break
done
overlapped t.yaml || fail "no calls overlapped in $try recordings"
mv overlapped.yaml block.yaml
mv tokens away
for trace in t.yaml block.yaml; do
	for try in 1 2 3 4 5 6 7 8 9 10; do
		run replayed env P11TAPE_REPLAY="$work/$trace" P11TAPE_REPLAY_REPORT="$work/report" \
			"$threads" "$P11TAPE_REPLAYER_SO" 16 50
		same "replay $try of $trace" recorded.out replayed.out
	done
done
! grep -q '"divergence"' report || fail "$(cat report)"
! grep -v '"unused": 0' report || fail "calls were left unused"
