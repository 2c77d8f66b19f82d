#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The replayer's memory does not grow with the trace: twenty times the calls, the same peak.
#
# P11TAPE_ROBUST_ROUNDS is how many rounds of calls the long one has.
. "$(dirname "$0")/lib.sh"
need python3
if [[ ${LD_PRELOAD:-} == *asan* ]]; then
	echo "skipped: ASan keeps what was freed"
	exit 77
fi
threads=$P11TAPE_BUILD_DIR/tests/threads
new_token memory

peak() { # CALLS
	rm -f t.yaml
	P11TAPE_MODULE=$softhsm P11TAPE_TRACE=$work/t.yaml "$threads" "$P11TAPE_RECORDER_SO" 1 "$1" >recorded.out
	P11TAPE_REPLAY=$work/t.yaml python3 - "$threads" "$P11TAPE_REPLAYER_SO" "$1" <<'P'
import resource, subprocess, sys
subprocess.run([sys.argv[1], sys.argv[2], "1", sys.argv[3]], check=True, stdout=open("replayed.out", "w"))
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
P
	cmp -s recorded.out replayed.out || fail "the replay of $1 rounds differs"
}

rounds=${P11TAPE_ROBUST_ROUNDS:-100000}
small=$(peak 5000)
large=$(peak "$rounds")
echo "peak: $small KiB for 5000 rounds, $large KiB for $rounds, $(grep -c '"call"' t.yaml) calls"
[[ $((large - small)) -lt 1024 ]] || fail "memory grows with the trace"
