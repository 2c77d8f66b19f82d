#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What is the program's own stays as it is; and where the machine fails the recorder, the program works
# on, lines stay whole, and the trace says what it lacks.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-surroundings
recorder=$P11TAPE_RECORDER_SO
target=$P11TAPE_BUILD_DIR/tests/odd-module.so
export P11TAPE_MODULE=$target
export P11TAPE_TRACE=$work/t.yaml

# The halves that are in TRACE and those that its gaps say are lost are those of all calls that were made.
adds_up() { # TRACE OUTPUT WHY
	local calls halves lost why status=0
	calls=$(sed -n 's/^calls //p' "$2")
	"$P11TAPE" validate "$1" >summary 2>&1 || status=$?
	((status <= 1)) || fail "$1: $(cat summary)"
	# A line is whole or it is the last one.
	! sed '$d' "$1" | grep -v '^- {.*}$' || fail "$1: torn lines"
	halves=$(grep -c '^- {"\(call\|return\)": .*}$' "$1")
	lost=$(sed -n 's/^- {"gap": \([0-9]*\).*/\1/p' "$1" | awk '{ sum += $1 } END { print sum + 0 }')
	why=$(sed -n 's/^- {"gap": [0-9]*, "why": "\(.*\)"}$/\1/p' "$1" | sort -u | tr '\n' ' ')
	[[ $why == "$3" ]] || fail "$1: gaps because of '$why', not '$3'"
	[[ -z $3 || $lost -gt 0 ]] || fail "$1: nothing is lost"
	((halves + lost == 2 * calls)) || fail "$1: $calls calls made, $halves halves there, $lost lost"
}

# ---- nothing changes

"$program" "$recorder" watch >output
[[ ! -s output ]] || fail "on standard output: $(cat output)"
"$P11TAPE" validate -q t.yaml t.*.yaml
# The same of the replayer: first what was recorded, then what was not.
mv t.yaml watched.yaml
rm t.*.yaml
export P11TAPE_REPLAY=$work/watched.yaml P11TAPE_REPLAY_REPORT=$work/report
"$program" "$P11TAPE_REPLAYER_SO" watch-replay >output 2>stderr || fail "$(tail -n 3 stderr)"
[[ ! -s output ]] || fail "on standard output: $(cat output)"
(($(grep -c '"divergence"' report) >= 100)) || fail "$(wc -l report)"
# Neither a report that may not grow nor a standard error that nobody reads raises a signal.
rm report
(ulimit -Sf 4 && exec "$program" "$P11TAPE_REPLAYER_SO" watch-replay 2>/dev/null)
(ulimit -Sf 0 && exec "$program" "$P11TAPE_REPLAYER_SO" watch-replay 2>>stderr)
"$program" "$P11TAPE_REPLAYER_SO" watch-replay 2>&1 >/dev/null | true
[[ ${PIPESTATUS[0]} == 0 ]] || fail "a standard error that nobody reads: ${PIPESTATUS[0]}"
unset P11TAPE_REPLAY P11TAPE_REPLAY_MODE P11TAPE_REPLAY_REPORT
# Careful: every write blocks a signal for a moment.
(ulimit -Sf 100000 && exec "$program" "$recorder" watch)
rm t.yaml t.*.yaml
# The mode of the file is not the program's umask's to say.
for mask in 0 077 0777; do
	(umask $mask && exec "$program" "$recorder" steady 10 >/dev/null)
	[[ $(stat -c %a t.yaml) == 600 ]] || fail "umask $mask: $(stat -c %a t.yaml)"
	rm -f t.yaml
done

# ---- a limit of the size of files: no SIGXFSZ, and writing goes on when it is raised

: >ballast
(ulimit -Sf 64 && exec "$program" "$recorder" steady 2000 ballast >output 2>stderr)
adds_up t.yaml output 'EFBIG '
grep -q "^p11tape: the trace $work/t.yaml cannot be written: the file would become larger" stderr || fail "$(cat stderr)"
[[ $(wc -l <stderr) == 1 ]] || fail "not one line: $(cat stderr)"
[[ $(tail -n 1 t.yaml) == '- {"end": "exit"'* ]] || fail "no end behind the gap"
rm t.yaml

# The limit is lowered later, below what is there already; it is raised again, or it is not.
"$program" "$recorder" lowered "$P11TAPE_TRACE" >output 2>stderr || fail "$?: $(cat stderr)"
adds_up t.yaml output 'EFBIG '
[[ $(tail -n 1 t.yaml) == '- {"end": "exit"'* ]] || fail "no end behind the gap"
! grep 'ends too early' stderr || fail "nothing is missing at the end"
rm t.yaml
# What it prints goes through a pipe: the limit is for all files.
"$program" "$recorder" lowered "$P11TAPE_TRACE" keep 2>&1 | cat >output
[[ ${PIPESTATUS[0]} == 0 ]] || fail "$(cat output)"
lines=$(sed -n "s|^p11tape: the trace $P11TAPE_TRACE ends too early: \([0-9]*\) lines of calls are missing: the file.*|\1|p" output)
[[ $lines == 22 ]] || fail "11 calls are missing: $(cat output)"
# With these lines everything is there.
echo "- {\"gap\": $lines, \"why\": \"EFBIG\"}" >>t.yaml
adds_up t.yaml output 'EFBIG '
rm t.yaml

# ---- a full disk

if [[ $EUID == 0 ]] && unshare -m true 2>/dev/null; then
	mkdir disk
	export program recorder
	# shellcheck disable=SC2016 # for the other shell
	P11TAPE_TRACE=$work/disk/t.yaml unshare -m bash -euc '
		mount -t tmpfs -o size=2m tmpfs disk
		head -c 1920k /dev/zero >disk/ballast
		"$program" "$recorder" steady 2000 disk/ballast >output 2>stderr
		cp disk/t.yaml .
		# Full to the last byte before there is a trace; the first one of all fails its caller.
		rm disk/t.yaml
		head -c 4m /dev/zero >disk/ballast 2>/dev/null || true
		! "$program" "$recorder" steady 10 >/dev/null 2>stderr-full
		[[ ! -e disk/t.yaml ]]' || fail "$(cat stderr*)"
	adds_up t.yaml output 'ENOSPC '
	[[ $(cat stderr) == "p11tape: the trace $work/disk/t.yaml cannot be written: no space left on the device; "* ]] ||
		fail "$(cat stderr)"
	grep -q '^p11tape: .*no space left on the device' stderr-full || fail "$(cat stderr-full)"
	rm t.yaml
else
	echo "left out: a full disk needs root and unshare"
fi

# ---- no descriptor

"$program" "$recorder" no-descriptor 2>stderr
grep -q '^p11tape: .' stderr || fail "no sentence"
"$program" "$recorder" no-descriptor "$target" >output 2>stderr
[[ $(grep -c '^p11tape: ' stderr) == 1 ]] || fail "$(cat stderr)"
adds_up t.yaml output ''
rm t.yaml

# ---- closefrom(), and files of its own: alone, and with another recorder in the process

mkdir files
"$program" "$recorder" closefrom files >output
adds_up t.yaml output ''
rm -r t.yaml files
mkdir files
cp "$target" other-target.so
"$P11TAPE" module recorder --copy "$work/other-recorder.so" \
	--set P11TAPE_MODULE="$work/other-target.so" --set P11TAPE_TRACE="$work/other.yaml"
# The environment would win over the file that stands beside the copy; so this one is a copy, too.
"$P11TAPE" module recorder --copy "$work/first-recorder.so" \
	--set P11TAPE_MODULE="$target" --set P11TAPE_TRACE="$work/t.yaml"
env -u P11TAPE_MODULE -u P11TAPE_TRACE \
	"$program" "$work/first-recorder.so" closefrom files "$work/other-recorder.so" >output
adds_up t.yaml output ''
"$P11TAPE" validate other.yaml >summary 2>&1
grep -q '^other.yaml: 4 calls, 1 thread, whole$' summary || fail "$(cat summary)"
rm -r t.yaml other.yaml files

# ---- the directory is gone, the sandbox is closed: the process goes on, its child goes unrecorded

mkdir here
P11TAPE_TRACE=$work/here/t.yaml "$program" "$recorder" gone "$work/here" >output 2>stderr
adds_up here.moved/t.yaml output ''
grep -q '^p11tape: the trace .* cannot be created: no such file.* go unrecorded$' stderr || fail "$(cat stderr)"
[[ $(find here.moved -type f | wc -l) == 1 && $(wc -l <stderr) == 1 ]] || fail "$(ls here.moved; cat stderr)"
"$program" "$recorder" sandbox >output 2>stderr
adds_up t.yaml output ''
grep -q '^p11tape: the trace .* cannot be created: operation not permitted.* go unrecorded$' stderr || fail "$(cat stderr)"
[[ $(echo t*.yaml) == t.yaml && $(wc -l <stderr) == 1 ]] || fail "$(echo t*.yaml; cat stderr)"
rm t.yaml
# The same before the first call: the caller is failed, and told why.
for what in "$target" random; do
	"$program" "$recorder" confined "$what" 2>stderr || fail "$what: $(cat stderr)"
	[[ ! -e t.yaml && $(wc -l <stderr) == 1 ]] || fail "$what: $(cat stderr)"
done
grep -q '^p11tape: the system gives no random numbers (operation not permitted)' stderr || fail "$(cat stderr)"
# Read-only from the beginning: the caller is failed.
if P11TAPE_TRACE=/proc/t.yaml "$program" "$recorder" steady 10 >/dev/null 2>stderr; then
	fail "a trace in /proc"
fi
grep -q '^p11tape: the trace /proc/t.yaml cannot be created: ' stderr || fail "$(cat stderr)"

# ---- nobody reads standard error

for how in broken-pipe closed; do
	P11TAPE_MODULE=/nonexistent "$program" "$recorder" $how || fail "$how: $?"
done
