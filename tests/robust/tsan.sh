#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Recorder and replayer under ThreadSanitizer: 64 threads, calls that wait for each other, notifications, forks.
# Programs, modules and ours are all built with it (the preset tsan), since its runtime cannot be preloaded; that is
# why this is no end-to-end test, which runs programs of others.
. "$(dirname "$0")/../e2e/lib.sh"
export P11TAPE_MODULE=$P11TAPE_BUILD_DIR/tests/odd-module.so
export P11TAPE_TRACE=$work/t.yaml
export TSAN_OPTIONS="suppressions=$P11TAPE_SOURCE_DIR/tests/robust/tsan.supp ${TSAN_OPTIONS:-}"

tests=$P11TAPE_BUILD_DIR/tests
"$tests/robust-threads" "$P11TAPE_RECORDER_SO" hammer 64 "${P11TAPE_ROBUST_CALLS:-50}" >output
"$P11TAPE" validate -q t.yaml
"$P11TAPE_SOURCE_DIR/tests/robust/threads.py" t.yaml "$(sed -n 's/^calls //p' output)" 64 "${P11TAPE_ROBUST_CALLS:-50}"
for mode in strict lenient; do
	P11TAPE_REPLAY=$work/t.yaml P11TAPE_REPLAY_MODE=$mode P11TAPE_REPLAY_REPORT=$work/report \
		"$tests/robust-threads" "$P11TAPE_REPLAYER_SO" hammer 64 "${P11TAPE_ROBUST_CALLS:-50}" >replayed
	cmp output replayed
	grep -q '"unused": 0, "divergences": 0' report
	rm report
done
rm t.yaml
"$tests/robust-threads" "$P11TAPE_RECORDER_SO" meet
rm t.yaml
for program in notify:thread notify:calls wait:event wait:finalize; do
	"$tests/robust-${program%:*}" "$P11TAPE_RECORDER_SO" "${program#*:}" >output
	for mode in strict lenient; do
		P11TAPE_REPLAY=$work/t.yaml P11TAPE_REPLAY_MODE=$mode \
			"$tests/robust-${program%:*}" "$P11TAPE_REPLAYER_SO" "${program#*:}" >replayed
		same "$program, replayed ($mode)," output replayed
	done
	rm t.yaml
done
"$tests/robust-fork" "$P11TAPE_RECORDER_SO" hammer "${P11TAPE_ROBUST_FORKS:-20}" >/dev/null
rm t*.yaml
# The same where the lock for writing is used.
(ulimit -f 4000000 && exec "$tests/robust-threads" "$P11TAPE_RECORDER_SO" hammer 64 20 >output)
"$P11TAPE" validate -q t.yaml
