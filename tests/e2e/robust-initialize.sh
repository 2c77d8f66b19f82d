#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What programs pass to C_Initialize reaches the module as it is; the trace has what can be told of it; and a
# replay asks for nothing of it but which locks there are.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-initialize
export P11TAPE_TRACE=$work/t.yaml

text="configDir='sql:/db' flags=readOnly,noModDB é"
P11TAPE_MODULE=$P11TAPE_BUILD_DIR/tests/odd-module.so "$program" "$P11TAPE_RECORDER_SO" "$text"
"$P11TAPE" validate t.yaml >summary 2>&1 || fail "$(cat summary)"
sed -n 's/^- {"call": "C_Initialize", .*"in": {"pInitArgs": \(.*\)}}$/\1/p' t.yaml >got
cat >expected <<END
null
{"flags": ["CKF_OS_LOCKING_OK"]}
{"flags": [], "mutexes": ["CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex"]}
{"flags": ["0x80000000"], "mutexes": ["LockMutex"]}
{"flags": [], "mutexes": ["CreateMutex", "DestroyMutex", "LockMutex", "UnlockMutex"], "pReserved": {"text": "$text"}}
{"flags": [], "pReserved": true}
{"flags": [], "pReserved": true}
{"flags": [], "pReserved": true}
{"flags": [], "pReserved": true}
END
same "what the trace has of it" expected got

# Another string, and strings where there were none, are no divergence; other locks are.
replay() { # TRACE
	rm -f report
	P11TAPE_REPLAY=$1 P11TAPE_REPLAY_REPORT=$work/report \
		"$program" "$P11TAPE_REPLAYER_SO" 'another string' replay 2>stderr
}
sed 's/, "pReserved": true/, "pReserved": {"text": "there was one"}/' t.yaml >strings.yaml
sed 's/, "pReserved": {[^}]*}//' t.yaml >none.yaml
for trace in t.yaml strings.yaml none.yaml; do
	replay "$work/$trace" || fail "$trace: $(cat stderr)"
	grep -q '"unused": 0, "divergences": 0' report || fail "$trace: $(cat report)"
done
sed 's/\["LockMutex"\]/["UnlockMutex"]/' t.yaml >locks.yaml
! replay "$work/locks.yaml" || fail "other locks are no divergence"
grep -q '"argument": "pInitArgs"' report || fail "$(cat report)"
