#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What no sane program passes and no sane module returns: where the module itself gets by, it gets by
# behind the recorder, to the same end; and memory that nobody wrote is not in the trace.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-hostile
export P11TAPE_MODULE=$P11TAPE_BUILD_DIR/tests/odd-module.so
export P11TAPE_TRACE=$work/t.yaml

"$program" "$P11TAPE_MODULE" "$P11TAPE_RECORDER_SO" 2>cases || fail "in $(tail -n 2 cases)"
"$P11TAPE" validate t.yaml >summary 2>&1 || fail "$(cat summary)"
grep -q ' whole$' summary || fail "$(cat summary)"
(($(wc -l <cases) > 70)) || fail "only $(wc -l <cases) cases"

# As text, as bytes, and from the second byte of it on.
! grep -n -m 3 -i 'LEAK\|EAKL\|4c45414b\|45414b4c\|"0x4b41454c' t.yaml || fail "the trace has what nobody wrote"
# As a number.
! grep -n -m 3 "$((0x4b41454c))\|$((0x4b41454c4b41454c))" t.yaml || fail "the trace has what nobody wrote"

# A message's parameter is its structure, whatever became of the Init call.
for session in 70 71 72 73 1000; do
	structure='CK_GCM_MESSAGE_PARAMS\|CK_CCM_MESSAGE_PARAMS'
	grep "\"C_EncryptMessage\(Begin\)\?\", .*\"hSession\": $session," t.yaml >messages ||
		fail "no messages in session $session"
	! grep -v "\"pParameter\": {\"as\": \"\($structure\)\"" messages || fail "addresses in session $session"
done
[[ $(grep -c '"CK_CCM_MESSAGE_PARAMS"' <(grep '"hSession": 7[23],' t.yaml)) == 4 ]] || fail "not the structure that was passed"

# What could not be read is said to be so.
grep -q '"partial": "unreadable"' t.yaml || fail "nothing was unreadable"
"$P11TAPE" show t.yaml >/dev/null
