#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A module that never comes back, in each of its functions: the trace has the call with all its inputs,
# and everything before it.
. "$(dirname "$0")/lib.sh"
drive=$P11TAPE_BUILD_DIR/tests/drive-stub
leave=$P11TAPE_BUILD_DIR/tests/robust-leave
export P11TAPE_MODULE=$P11TAPE_BUILD_DIR/tests/odd-module.so
export P11TAPE_TRACE=$work/t.yaml
# A sanitizer's own handlers would turn a signal into an exit status.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:handle_segv=0:handle_abort=0
ulimit -c 0

# The record lines without what differs from run to run.
plain() { # TRACE
	sed -E '1d; s/"at": [0-9.]+/"at": 0/; s/"took": [0-9.]+/"took": 0/' "$1"
}

"$drive" "$P11TAPE_RECORDER_SO" 3.2 >/dev/null
"$P11TAPE" validate -q t.yaml
plain t.yaml >whole

# Run until FUNCTION does DEED, and compare with what was recorded without it.
crash() { # FUNCTION DEED STATUS VALIDATE
	local function=$1 deed=$2 status=0 lines
	rm -f t.yaml
	{
		ODD_FUNCTION=$function ODD_DOES=$deed "$drive" "$P11TAPE_RECORDER_SO" 3.2 >/dev/null &
		[[ $deed != hang ]] || kill_inside $! "$function"
		wait $! || status=$?
	} 2>/dev/null
	[[ $status == "$3" ]] || fail "$function, $deed: exit status $status"
	plain t.yaml | sed '/^- {"end"/d' >before
	lines=$(wc -l <before)
	cmp -s before <(head -n "$lines" whole) || {
		diff before <(head -n "$lines" whole) || true
		fail "$function, $deed: the trace is not what was called"
	}
	[[ $(tail -n 1 before) == "- {\"call\": \"$function\", "* ]] || fail "$function, $deed: $(tail -n 1 before)"
	status=0
	"$P11TAPE" validate t.yaml >summary 2>&1 || status=$?
	[[ $status == "$4" ]] || fail "$function, $deed: validate: $status"
	grep -q ": $function (id [0-9]*) did not return" summary || fail "$function, $deed: $(cat summary)"
}

functions=$(sed -n 's/^CK_FN(\(C_[A-Za-z]*\),.*/\1/p' "$P11TAPE_SOURCE_DIR/core/api/functions.def")
[[ $(wc -l <<<"$functions") == 104 ]] || fail "these are not the 104 functions: $functions"
# Under a sanitizer, which takes its time: calls of each sort (nothing, bytes in, a secret, templates, a message,
# discovery).
few=" C_Initialize C_Login C_CreateObject C_GetAttributeValue C_Sign C_EncryptMessage C_WaitForSlotEvent C_GetInterface C_Finalize "
for function in $functions; do
	crash "$function" kill 137 1
	[[ -z ${LD_PRELOAD:-} || $few == *" $function "* ]] || continue
	crash "$function" hang 137 1
	crash "$function" segv 139 1
	"$P11TAPE" show t.yaml >shown 2>&1
	tail -n 5 shown | grep -q "$function(.*did not return" || fail "show: $(cat shown)"
	crash "$function" abort 134 1
	crash "$function" _exit 3 1
	# exit() runs our destructor: the end stands there, and says what is open.
	crash "$function" exit 3 0
	tail -n 1 t.yaml | grep -q '"end": "exit".*"open": \[[0-9]*\]' || fail "$function: $(tail -n 1 t.yaml)"
done

for way in longjmp pthread_exit cancel; do
	# ASan never hears of the frames that a cancelled thread leaves behind.
	[[ $way != cancel || -z ${LD_PRELOAD:-} ]] || continue
	rm -f t.yaml
	"$leave" "$P11TAPE_RECORDER_SO" $way
	"$P11TAPE" validate t.yaml >summary 2>&1 || fail "$way: $(cat summary)"
	grep -q 'C_Digest (id 5) did not return' summary || fail "$way: $(cat summary)"
	grep -q '^t.yaml: 8 calls, . threads\?, 1 did not return' summary || fail "$way: $(cat summary)"
	grep -q '"pData": {"text": "the last words"}' t.yaml || fail "$way: the input is missing"
	"$P11TAPE" show t.yaml >shown 2>&1
	grep -q 'did not return' shown || fail "$way: show: $(cat shown)"
done
