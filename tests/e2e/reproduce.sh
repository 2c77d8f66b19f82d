#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Calls that did not return: a divergence, unless --reproduce-crash or --reproduce-hang ask for the same.
. "$(dirname "$0")/lib.sh"
drive=$P11TAPE_BUILD_DIR/tests/drive-stub
robust_wait=$P11TAPE_BUILD_DIR/tests/robust-wait
leave=$P11TAPE_BUILD_DIR/tests/robust-leave
odd=$P11TAPE_BUILD_DIR/tests/odd-module.so
# A sanitizer's own handlers would turn a signal into an exit status.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:handle_segv=0:handle_abort=0
ulimit -c 0

replay() { # STATUS OPTION… -- COMMAND…
	local expected=$1 status=0
	shift
	{ "$P11TAPE" replay -v t.yaml "$@" >out 2>err || status=$?; } 2>/dev/null
	[[ $status == "$expected" ]] || fail "$*: status $status instead of $expected: $(<err)"
}
as_recorded() { # WHAT
	local calls
	calls=$(grep -c '"call": "C_[^G]' t.yaml || true)
	calls=$((calls + $(grep '"call": "C_G' t.yaml | grep -cv 'C_GetInterface\|C_GetFunctionList' || true)))
	grep -q "replay of t.yaml: $calls of $calls calls served, 0 divergences" err || fail "$1: not $calls calls: $(<err)"
}
record() { # FUNCTION DEED COMMAND…
	local function=$1 deed=$2
	shift 2
	rm -f t.yaml
	{ ODD_FUNCTION=$function ODD_DOES=$deed P11TAPE_MODULE=$odd P11TAPE_TRACE=$work/t.yaml \
		"$@" >/dev/null &
		[[ $deed != hang ]] || kill_inside $! "$function"
		wait $! || true; } 2>/dev/null
	{ "$P11TAPE" validate t.yaml || true; } | grep -q ": $function (id [0-9]*) did not return" || fail "$function, $deed"
}

for function in C_Initialize C_Login C_CreateObject C_GetAttributeValue C_Sign C_EncryptMessage C_Finalize; do
	for deed in segv abort exit; do
		record $function $deed "$drive" "$P11TAPE_RECORDER_SO" 3.2
		line=$(grep -n "\"call\": \"$function\"" t.yaml | tail -n 1 | cut -d: -f1)
		replay 139 --reproduce-crash --report report -- "$drive" {} 3.2
		as_recorded "$function, $deed"
		sentence="$function did not return ($work/t.yaml:$line): it crashes, as it was told to"
		grep -qxF "p11tape-replayer: $sentence" err || fail "$function, $deed: $(<err)"
		grep -qxF "{\"note\": \"$sentence\"}" report || fail "$function, $deed: $(<report)"
	done
	# Block form has it too; and without the option it is a divergence.
	"$P11TAPE" fmt -i t.yaml 2>/dev/null
	replay 139 --reproduce-crash -- "$drive" {} 3.2
	status=0
	"$P11TAPE" replay t.yaml -- "$drive" {} 3.2 >/dev/null 2>err || status=$?
	[[ $status != 0 && $status != 139 ]] || fail "$function: status $status"
	grep -q "divergence 1: $function: the recorded call did not return" err || fail "$function: $(<err)"
done

for function in C_Initialize C_Sign C_Finalize; do
	record $function hang "$drive" "$P11TAPE_RECORDER_SO" 3.2
	# shellcheck disable=SC2016 # the inner shell expands it
	replay 137 --reproduce-hang -- bash -c '
		"$0" "$1" 3.2 >/dev/null & pid=$!
		while kill -0 $pid && ! grep -q "it hangs" err; do sleep 0.05; done
		# It sleeps: it has used no time to speak of, and C_Finalize of nobody ends it.
		until [[ $(</proc/$pid/stat) == *") S "* ]]; do sleep 0.01; done
		kill -KILL $pid; wait $pid' "$drive" {}
	as_recorded "$function, hang"
done

# Other threads: the crash waits for those that were in a call, too.
{ P11TAPE_MODULE=$odd P11TAPE_TRACE=$work/w.yaml "$robust_wait" "$P11TAPE_RECORDER_SO" crash >/dev/null || true; } 2>/dev/null
mv w.yaml t.yaml
for _ in 1 2 3; do
	replay 139 --reproduce-crash -- "$robust_wait" {} crash
	as_recorded "two threads"
done

# Where the program's own handler comes back, so does the call.
replay 1 --reproduce-crash -- "$robust_wait" {} crash handler
grep -q '^handled: 1, 5$' out || fail "handler: $(<out)"
grep -q 'divergence 1: C_Login: the recorded call did not return' err || fail "handler: $(<err)"

# A thread that went on, or ended, in a call was in no crash.
for way in longjmp pthread_exit; do
	rm -f t.yaml
	P11TAPE_MODULE=$odd P11TAPE_TRACE=$work/t.yaml "$leave" "$P11TAPE_RECORDER_SO" $way
	"$P11TAPE" replay t.yaml --reproduce-crash -- "$leave" {} $way >/dev/null 2>err && fail "$way: as recorded"
	grep -q 'divergence 1: C_Digest: the recorded call did not return' err || fail "$way: $(<err)"
done

status=0
P11TAPE_REPLAY=$work/t.yaml P11TAPE_REPLAY_NO_RETURN=explode "$drive" "$P11TAPE_REPLAYER_SO" 3.2 >/dev/null 2>err || status=$?
[[ $status != 0 ]] || fail "P11TAPE_REPLAY_NO_RETURN=explode is taken"
grep -q "P11TAPE_REPLAY_NO_RETURN: 'explode' is neither 'crash' nor 'hang'" err || fail "$(<err)"
