#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What a divergence can say and do besides: where the program called from, and SIGABRT for a debugger.
. "$(dirname "$0")/lib.sh"
facts=$P11TAPE_BUILD_DIR/tests/facts
# A sanitizer's own handlers would turn a signal into an exit status.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:handle_abort=0
ulimit -c 0
need addr2line
new_token divergence
P11TAPE_MODULE=$softhsm P11TAPE_TRACE=$work/t.yaml "$facts" "$P11TAPE_RECORDER_SO" >recorded

# The login does not come: from ask_mechanisms() the first call is another one than the recorded one.
replay() { # OPTION…
	status=0
	{ "$P11TAPE" replay t.yaml --mode strict --inject C_Login:rv=CKR_PIN_LOCKED --report report "$@" \
		-- "$facts" {} >replayed 2>err || status=$?; } 2>/dev/null
}
replay --backtrace
[[ $status == 1 ]] || fail "status $status: $(<err)"
sed '/^p11tape-replayer: divergence 2/,$d' err >first
mapfile -t frames < <(sed -n 's/^  from:     //p' first)
[[ ${#frames[@]} -ge 2 ]] || fail "no backtrace: $(<first)"
grep -q 'from:.*p11tape-replayer' err && fail "frames of ours: $(<err)"
[[ ${frames[0]%+0x*} == "$facts" ]] || fail "${frames[0]} is not of $facts"
function=$(addr2line -f -e "$facts" "${frames[0]#*+}" | head -n 1)
[[ $function == ask_mechanisms || $function == main ]] || fail "${frames[0]} is in $function"
env -u LD_PRELOAD python3 - report "${frames[@]}" <<'END' || fail "$(head -n 1 report)"
import json, sys
first = json.loads(open(sys.argv[1], encoding="utf-8").readline())
sys.exit(first["divergence"] != 1 or first["backtrace"] != sys.argv[2:])
END

replay
grep -q 'from:\|backtrace' err report && fail "a backtrace that nobody asked for"

# The report is written when the signal comes, and it comes once.
replay --on-divergence abort
[[ $status == 134 ]] || fail "abort: status $status: $(<err)"
[[ $(grep -c '^{"divergence": ' report) == 1 ]] || fail "abort: $(<report)"
cp err aborted
(trap '' ABRT && replay --on-divergence abort && [[ $status == 1 ]] && [[ $(grep -c '^{"divergence": ' report) -gt 1 ]]) ||
	fail "abort, ignored: $(<err)"
replay --on-divergence error
[[ $status == 1 ]] || fail "error: status $status"

status=0
"$P11TAPE" replay t.yaml --on-divergence stop -- touch started {} 2>err || status=$?
[[ $status == 2 && ! -e started && $(wc -l <err) == 1 ]] || fail "stop: $status: $(<err)"
for wrong in ON_DIVERGENCE=stop BACKTRACE=yes; do
	env P11TAPE_REPLAY="$work/t.yaml" "P11TAPE_REPLAY_$wrong" "$facts" "$P11TAPE_REPLAYER_SO" >replayed 2>err && fail "$wrong is taken"
	grep -q "^p11tape-replayer: .*P11TAPE_REPLAY_${wrong%=*}: " err || fail "$wrong: $(<err)"
done
