#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A trace per process, whatever way processes are made, and however busy the threads are that are lost on
# the way: nobody hangs, every trace can be read, no call is in two of them.
#
# P11TAPE_ROBUST_FORKS is how often a busy process forks.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-fork
forks=${P11TAPE_ROBUST_FORKS:-100}
export P11TAPE_MODULE=$P11TAPE_BUILD_DIR/tests/odd-module.so
# Relative, and children change their directory.
export P11TAPE_TRACE=t.yaml

# What `validate` says of TRACE… is that: 0 whole, 1 without an end.
validates() { # STATUS TRACE…
	local wanted=$1 status=0
	shift
	[[ $# != 0 ]] || return 0
	"$P11TAPE" validate -q "$@" || status=$?
	[[ $status == "$wanted" ]] || fail "validate: $status, not $wanted: $*"
}

number_behind() { # KEY TRACE: in its header
	sed -n "1s/.*\"$1\": \([0-9]*\).*/\1/p" "$2"
}

# The output of robust-fork against the traces that lie here.
check() { # OUTPUT PARENT-STATUS
	local word pid how whole=() cut=() first
	"$P11TAPE" validate t.yaml >summary 2>&1 || true
	validates "$2" t.yaml
	if ! grep -q "^t.yaml: $(sed -n 's/^calls //p' "$1") calls" summary; then
		fail "the program made $(grep calls "$1"): $(cat summary)"
	fi
	while read -r word pid how; do
		[[ $word == child ]] || continue
		case $how in
		exit) whole+=("t.$pid.yaml") ;;
		_exit) cut+=("t.$pid.yaml") ;;
		silent) [[ ! -e t.$pid.yaml ]] || fail "$pid made no call and has a trace" ;;
		esac
	done <"$1"
	validates 0 "${whole[@]}"
	validates 1 "${cut[@]}"
	for word in "${whole[@]}" "${cut[@]}"; do
		pid=${word#t.}
		[[ $(number_behind pid "$word") == "${pid%.yaml}" ]] || fail "$word is not of its process"
		[[ $(stat -c %a "$word") == 600 ]] || fail "$word is not private"
	done
	[[ $(find . -name 't*.yaml' | wc -l) == $((${#whole[@]} + ${#cut[@]} + 1)) ]] || fail "more traces: $(ls)"
}

# Children of a fork say whose they are and from where their ids go on.
check_forked() { # TRACE…
	local trace first parent after
	parent=$(number_behind pid t.yaml)
	for trace; do
		after=$(number_behind forked-after "$trace")
		first=$(sed -n '2s/.*"id": \([0-9]*\).*/\1/p' "$trace")
		[[ $(number_behind parent "$trace") == "$parent" ]] || fail "$trace: not of $parent"
		((first > after && after > 1)) || fail "$trace: forked after $after, begins with $first"
	done
}

for mode in hammer inside; do
	rm -f t*.yaml
	"$program" "$P11TAPE_RECORDER_SO" $mode "$forks" >output
	check output 0
	check_forked t.*.yaml
done

# The same where every write is made under a lock: a limit of the file's size is set.
rm -f t*.yaml
(ulimit -f 4000000 && exec "$program" "$P11TAPE_RECORDER_SO" hammer $((forks / 5 + 1)) >output)
check output 0

rm -f t*.yaml
"$program" "$P11TAPE_RECORDER_SO" clones "$forks" >output
check output 0
check_forked t.*.yaml

# What a child becomes by exec has nothing of its parent but the environment.
rm -f t*.yaml
"$program" "$P11TAPE_RECORDER_SO" spawns "$forks" >output
check output 0
! grep -l '"forked-after"' t*.yaml || fail "an exec counts as a fork"

# The process stays, the program is another one: it has a file of its own and its ids begin again.
rm -f t*.yaml
"$program" "$P11TAPE_RECORDER_SO" exec >output
echo "child $(number_behind pid t.yaml) exit" >>output
check output 1

rm -f t*.yaml
"$program" "$P11TAPE_RECORDER_SO" daemon "$work/ended" >output
# It is through where its trace is.
for ((try = 0; try < 600; try++)); do
	[[ ! -s ended ]] || ! grep -qs '^- {"end": "exit"' t.*.yaml || break
	sleep 0.1
done
cat ended >>output
validates 0 t.yaml t.*.yaml
[[ $(find . -name 't*.yaml' | wc -l) == 2 && -e t.$(sed -n 's/child \(.*\) exit/\1/p' ended).yaml ]] || fail "$(ls)"

# The same against the trace ends in the same way.
replays() { # MODE STATUS
	local status=0
	rm -f report
	{ P11TAPE_REPLAY=$work/t.yaml P11TAPE_REPLAY_REPORT=$work/report \
		"$program" "$P11TAPE_REPLAYER_SO" "$1" >replayed || status=$?; } 2>stderr
	[[ $status == "$2" ]] || fail "$1, replayed: $status: $(cat stderr)"
	! grep '"divergence"\|"failure"' report || fail "$1, replayed"
	# Who is killed sums nothing up.
	[[ $1 == _exit || $1 == term ]] || grep -q '"unused": 0, ' report || fail "$1, replayed: $(cat report)"
}

for mode in exit _exit term; do
	rm -f t*.yaml
	status=0
	{ "$program" "$P11TAPE_RECORDER_SO" $mode || status=$?; } 2>stderr
	[[ $status == $([[ $mode == term ]] && echo 143 || echo 0) ]] || fail "$mode: $status"
	validates "$([[ $mode == exit ]] && echo 0 || echo 1)" t.yaml
	"$P11TAPE" validate t.yaml >summary 2>&1 || true
	grep -q '^t.yaml: 9 calls, 1 thread, ' summary || fail "$mode: $(cat summary)"
	replays $mode "$status"
done

# The process lives as long as its last thread does.
rm -f t*.yaml
"$program" "$P11TAPE_RECORDER_SO" main-exit >output
check output 0
replays main-exit 0

# The others call on until they are stopped: behind the end, which is said again, or in the midst of a call.
for ((try = 0; try < forks / 10 + 1; try++)); do
	rm -f t*.yaml
	"$program" "$P11TAPE_RECORDER_SO" thread-exit
	status=0
	"$P11TAPE" validate t.yaml >summary 2>&1 || status=$?
	((status <= 1)) || fail "thread-exit: $(cat summary)"
	grep -q '^- {"end": "exit"' t.yaml || fail "thread-exit: no end"
done
