#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A trace per process: every process of a replay gets its own, whatever the order they run in, and workers
# of one fork divide their requests as they like.
. "$(dirname "$0")/lib.sh"
processes=$P11TAPE_BUILD_DIR/tests/processes
need pkcs11-tool
new_token processes
cp -a tokens fresh

record() { # COMMAND…
	rm -rf t*.yaml tokens && cp -a fresh tokens
	run recorded "$P11TAPE" record -m "$softhsm" -o t.yaml -- "$@"
	[[ $(<recorded.status) == 0 ]] || fail "recorded: $(<recorded.out)"
	rm -rf tokens
	sort recorded.out >wanted
}

# Replay, and say how it must end: the exit status, and what it prints beside the wanted lines.
replay() { # STATUS PATTERN COMMAND…
	local status=$1 pattern=$2
	shift 2
	run replayed "$P11TAPE" replay --report report -v t.yaml -- "$@"
	grep -v '^p11tape: \|^p11tape-replayer: \|^  \(recorded\|called\):' replayed.out | sort >got || true
	[[ $(<replayed.status) == "$status" ]] || fail "$*: status $(<replayed.status), not $status: $(<replayed.out)"
	grep -q -e "$pattern" replayed.out || fail "$*: no '$pattern' in: $(<replayed.out)"
}
exact() { # COMMAND…
	replay 0 ', 0 divergences' "$@"
	same "the replay of $*" wanted got
}

count() { # of traces
	[[ $(find . -name 't*.yaml' | wc -l) == "$1" ]] || fail "not $1 traces: $(ls)"
}

# ---- workers ----------------------------------------------------------------------------------------

# Four requests over two workers, and any other division of them.
record "$processes" {} 1,3 2,4
count 3
for division in '1,3 2,4' '2,4 1,3' '1,2 3,4' '3,4 1,2' '4,3 2,1' '1,2,3,4 -' '4,3,2,1' '1 2,3,4' '3 4 1 2' '_1,4 t3,2'; do
	# shellcheck disable=SC2086
	exact "$processes" {} $division
done
grep -q '"trace": "[^"]*/t\.[0-9]*\.yaml"}}' report || fail "no summary of a child: $(<report)"

# The same where the requests differ from run to run, and a rule says so.
record "$processes" {} 1,3 2,4
run replayed "$P11TAPE" replay --match C_Digest.pData=length -v t.yaml -- "$processes" {} 5,6,7,8 -
[[ $(<replayed.status) == 0 ]] || fail "with a rule: $(<replayed.out)"

# Whoever makes a call more than all workers together, or one that none made, diverges; and what is left
# is named.
replay 1 'p11tape-replayer: divergence 1: C_Digest was recorded with another pData' "$processes" {} 1,3 2,5
replay 1 'divergence 1: C_DigestInit was called, but the recording has no further call' "$processes" {} 1,2,3,4,1
replay 1 ':[0-9]*: the first call that was not made: C_DigestInit' "$processes" {} 1,3 2
replay 1 't\.[0-9]*\.yaml: no process asked for it' "$processes" {} 1,3
replay 1 'divergence 1: C_DigestInit was called where the recording has C_Login' "$processes" {} 1,3 2,4 a1

# What the server does itself between two forks. A child may be any that begins so; only of one fork are
# they shared.
record "$processes" {} +7 1,2 . +8 2,3 . +9
count 3
exact "$processes" {} +7 1,2 . +8 2,3 . +9
exact "$processes" {} +7 2,3 . +8 1,2 . +9
replay 1 'divergence 1: C_Digest was recorded with another pData' "$processes" {} +7 1,3 . +8 2,2 . +9
# And alone it keeps to its order.
replay 1 'divergence 1: C_Digest was recorded with another pData' "$processes" {} +7 2,1 . +8 2,3 . +9

# The order in which workers are made does not count where their first calls tell them apart.
record "$processes" {} 1 a2 a3 4
count 5
exact "$processes" {} 4 a3 1 a2

# A daemon that closes what it has inherited; a child in between that makes no call; one that never did.
record "$processes" {} +1 d2,3 - .
count 2
exact "$processes" {} +1 d2,3 - .

# Nobody was recorded: the first call says so.
record "$processes" {} +1
count 1
replay 1 'divergence 1: C_Initialize: no trace of this process: beside [^ ]*/t.yaml no child is recorded' \
	"$processes" {} +1 2
grep -q '"kind": "process"' report || fail "$(<report)"

# Many children: each its own trace, and no descriptor or memory more for the last than for the first.
record "$processes" {} loop 200
count 201
exact "$processes" {} loop 200
run bare env P11TAPE_REPLAY="$work/t.yaml" "$processes" "$P11TAPE_REPLAYER_SO" loop 200
same "the replay without the command" recorded.out bare.out

# Two processes that nothing tells apart take a trace each.
# shellcheck disable=SC2016 # $0 is the inner shell's
twins=(sh -c 'pkcs11-tool --module "$0" -L >one & pkcs11-tool --module "$0" -L >two & wait; wait' {})
record "${twins[@]}"
count 2
for _ in 1 2 3 4 5; do
	exact "${twins[@]}"
done

# A fork finds other threads in the middle of everything. What they are answered is not looked at: threads
# that race are not repeated. ASan's malloc, unlike libc's, may be locked for ever in such a child.
if [[ ${LD_PRELOAD:-} != *asan* ]]; then
	record "$processes" {} hammer 20
	count 21
	run hammered env P11TAPE_REPLAY="$work/t.yaml" P11TAPE_REPLAY_REPORT="$work/hammered" \
		"$processes" "$P11TAPE_REPLAYER_SO" hammer 100
	! grep -a 'did not end well' hammered.out || fail "a child of a busy process"
	[[ $(<hammered.status) == [03] ]] || fail "hammered: $(<hammered.status)"
	[[ $(grep -c '"summary"' hammered) -ge 100 ]] || fail "children did not come to their end"
fi

# ---- programs ---------------------------------------------------------------------------------------

# A script that runs the same program again, with other arguments and side by side.

# shellcheck disable=SC2016
script='pkcs11-tool --module "$0" -L >one; pkcs11-tool --module "$0" -O >two
	pkcs11-tool --module "$0" -M >three & pkcs11-tool --module "$0" --login --pin 1234 -O >four &
	wait; wait; "$1" "$0" 1,2 3,4; cat one two three four'
record sh -c "$script" {} "$processes"
count 7
for _ in 1 2 3 4 5; do
	exact sh -c "$script" {} "$processes"
done
# In another order: the first process is not served the first trace.
# shellcheck disable=SC2016
turned='pkcs11-tool --module "$0" -M >three; "$1" "$0" 4,3 1,2; pkcs11-tool --module "$0" --login --pin 1234 -O >four
	pkcs11-tool --module "$0" -L >one & pkcs11-tool --module "$0" -O >two & wait; cat one two three four'
exact sh -c "$turned" {} "$processes"
# One left out, one too many.
replay 1 ': no process asked for it' sh -c "${script/*>two/}" {} "$processes"
replay 1 'no trace of this process: .*/t.yaml and the traces beside it are of other processes' \
	sh -c "$script; pkcs11-tool --module \"\$0\" -L" {} "$processes"

# Without the command there is nobody to ask who has which: content decides, and then the order.
run bare env P11TAPE_REPLAY="$work/t.yaml" P11TAPE_REPLAY_REPORT="$work/bare.report" \
	sh -c "$turned" "$P11TAPE_REPLAYER_SO" "$processes"
sort bare.out >got
same "the replay without the command" wanted got
! grep -q '"divergence"' bare.report || fail "$(<bare.report)"

# ---- which files -----------------------------------------------------------------------------------

# What lies beside a trace and is not of it is left alone: older recordings, other modules', no traces.
record "$processes" {} 1
for file in t.*.yaml; do
	sed 's/"forked-from": [0-9]*/"forked-from": 1/' "$file" >t.another.yaml
	sed 's/"path": "[^"]*"/"path": "another.so"/' "$file" >t.module.yaml
done
echo 'a: file' >t.config.yaml
mkfifo t.pipe.yaml
exact "$processes" {} 1
grep -q 'replay of t.yaml and 1 trace beside it: ' replayed.out || fail "$(<replayed.out)"
rm t.another.yaml t.module.yaml t.config.yaml t.pipe.yaml

# A trace that is of it and broken: nothing is started.
file=$(echo t.*.yaml)
sed -i '2s/C_Initialize/C_Initialise/' "$file"
replay 2 "^p11tape: $file:2: 'C_Initialise' is not a function" "$processes" {} 1
sed -i '1s/"started": /"started": [/' "$file"
replay 2 "^p11tape: $file:1: " "$processes" {} 1
