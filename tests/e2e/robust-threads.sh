#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# 64 threads that call as fast as they can: every record is whole and none is lost; nothing is held while
# the module runs; and it all fits on a small stack.
#
# P11TAPE_ROBUST_CALLS is how many calls each thread makes.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-threads
calls=${P11TAPE_ROBUST_CALLS:-200}
export P11TAPE_MODULE=$P11TAPE_BUILD_DIR/tests/odd-module.so
export P11TAPE_TRACE=$work/t.yaml

"$program" "$P11TAPE_RECORDER_SO" hammer 64 "$calls" >output
"$P11TAPE" validate t.yaml >summary 2>&1 || fail "$(cat summary)"
"$P11TAPE_SOURCE_DIR/tests/robust/threads.py" t.yaml "$(sed -n 's/^calls //p' output)" 64 "$calls"

# The trace replays by lanes: each thread gets its own signatures, which the program checks.
for try in 1 2 3; do
	rm -f report
	P11TAPE_REPLAY=$work/t.yaml P11TAPE_REPLAY_REPORT=$work/report \
		"$program" "$P11TAPE_REPLAYER_SO" hammer 64 "$calls" >replayed
	same "replay $try" output replayed
	grep -q '"unused": 0, "divergences": 0' report || fail "replay $try: $(cat report)"
done

rm t.yaml
"$program" "$P11TAPE_RECORDER_SO" meet
"$P11TAPE" validate t.yaml >summary 2>&1 || fail "$(cat summary)"
grep -q ' whole$' summary || fail "$(cat summary)"

rm t.yaml
"$program" "$P11TAPE_RECORDER_SO" small
"$P11TAPE" validate t.yaml >summary 2>&1 || fail "$(cat summary)"
