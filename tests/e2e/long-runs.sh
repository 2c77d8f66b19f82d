#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What programs that run for days need: a trace that goes on in other files, and recording that is switched off and
# on while they run.
# shellcheck disable=SC1091,SC2154 # lib.sh
. "$(dirname "$0")/lib.sh"
need gnutls-serv openssl pkcs11-tool python3
new_token long
threads=$P11TAPE_BUILD_DIR/tests/threads

# The parts of a trace in their order, as one.
whole() { # STEM
	local number=2
	cat "$1.yaml"
	while [[ -e $1.part$number.yaml ]]; do
		cat "$1.part$number.yaml"
		number=$((number + 1))
	done
}
calls() { "$P11TAPE" validate "$1" | sed -n 's/.*: \([0-9]*\) calls.*/\1/p'; }

# Sixteen threads, whose calls begin in one file and return in another.
run direct "$threads" "$softhsm" 16 50
run once "$P11TAPE" record -o once.yaml -- "$threads" "$softhsm" 16 50
run parts "$P11TAPE" record --rotate 20K -o parts.yaml -- "$threads" "$softhsm" 16 50
same 'the run in parts' direct.out parts.out
whole parts >all.yaml
[[ -e parts.part5.yaml ]] || fail "there are not enough parts: $(ls)"
for part in parts.part*.yaml; do
	"$P11TAPE" validate "$part" >said || fail "$part: $(<said)"
	head -n 1 "$part" | grep -q '"continues": "parts\.' || fail "$part does not say what it goes on from"
	[[ $(stat -c %a "$part") == 600 ]] || fail "$part is not private"
	size=$(stat -c %s "$part")
	[[ $size -lt 60000 ]] || fail "$part has $size bytes"
done
tail -n 20 parts.yaml | grep -q '^- {"end": "rotate"' || fail 'the first part has no end'
"$P11TAPE" validate all.yaml >said || fail "the parts as one: $(<said)"
[[ $(calls all.yaml) == "$(calls once.yaml)" ]] || fail "$(calls all.yaml) calls in parts, $(calls once.yaml) at once"
mv tokens away
run replayed "$P11TAPE" replay --mode strict --order global all.yaml -- "$threads" "$softhsm" 16 50
same 'the replay of the parts' parts.out replayed.out
[[ $(<replayed.status) == 0 ]] || fail "replay: $(<replayed.out)"
mv away tokens
# A part alone can be read, though calls return in it that began before.
"$P11TAPE" show parts.part3.yaml >part.txt || fail 'a part cannot be shown'
"$P11TAPE" replay parts.yaml -- true 2>said || true
grep -q 'did not load' said || fail "the first part is no trace of its own: $(<said)"

# A server: each part can be read while it is at work, the one that it is writing as well. Only between a file's making
# and its first line there is nothing to read.
read_part() { # FILE
	local status=0
	"$P11TAPE" validate "$1" >valid 2>&1 || status=$?
	case $status in
	0) ;;
	1) grep -q ', the end is missing$' valid || fail "$1, while it is written: $(<valid)" ;;
	*)
		grep -q ': empty: ' valid || fail "$1, while it is written: $(<valid)"
		return 0
		;;
	esac
	"$P11TAPE" show "$1" >shown 2>said || fail "$1, while it is written: $(<said)"
	[[ $(wc -l <shown) -gt 1 ]] || return 0
	read_again=$((read_again + 1))
}
openssl req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.crt -days 30 -subj /CN=localhost 2>/dev/null
openssl pkcs8 -topk8 -nocrypt -in server.key -outform DER -out server.der
pkcs11-tool --module "$softhsm" --login --pin 1234 --write-object server.der --type privkey --id 01 --label server \
	--usage-sign >/dev/null 2>&1
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export GNUTLS_PIN=1234
"$P11TAPE" record --rotate 4K -o served.yaml -- gnutls-serv --http --quiet --port="$port" --disable-client-cert \
	--provider="$softhsm" --x509certfile=server.crt --x509keyfile='pkcs11:token=long;object=server;type=private' \
	>server.log 2>&1 </dev/null &
server=$!
helpers+=("$server")
visit() { openssl s_client -connect "127.0.0.1:$port" -no_ticket </dev/null >visited 2>&1; }
visits() {
	local i
	for ((i = 0; i < 40; i++)); do visit || exit 1; done
}
until visit; do
	kill -0 $server 2>/dev/null || fail "the server has ended: $(<server.log)"
done
visits &
read_again=0
while kill -0 $! 2>/dev/null; do
	for part in served*.yaml; do read_part "$part"; done
done
wait $! || fail "the server does not answer: $(<visited)"
kill $server
wait $server || true
[[ -e served.part5.yaml && $read_again -gt 10 ]] || fail "too little: $read_again times read, of $(ls)"
whole served >served.all
"$P11TAPE" validate served.all >said || grep -q ', the end is missing$' said || fail "the server's trace: $(<said)"
signed=$("$P11TAPE" show served.all 2>/dev/null | grep -c '^C_SignInit(.* = CKR_OK') || true
[[ $signed -gt 40 ]] || fail "$signed signatures, not 41"

# By time; and where no file can be made it goes on in the first one.
cat >slowly.py <<'END'
import ctypes, sys, time, os
module = ctypes.CDLL(sys.argv[1])
module.C_Initialize(None)
info = ctypes.create_string_buffer(256)
for step in sys.stdin:
    for i in range(20):
        module.C_GetInfo(info)
    print(step.strip(), flush=True)
module.C_Finalize(None)
END
seconds() {
	echo one
	await one timed.out
	sleep 1.1
	echo two
}
"$P11TAPE" record --rotate 1s -o timed.yaml -- python3 slowly.py "$softhsm" < <(seconds) >timed.out
[[ -e timed.part2.yaml ]] || fail 'a second did not end the first file'
# Where a machine is slow a second may end before.
[[ $(calls timed.yaml) -le 21 ]] || fail "by time: $(calls timed.yaml) calls in the first file"
whole timed >timed.all
[[ $(calls timed.all) == 42 ]] || fail "by time: $(calls timed.all) calls, not 42"
touch stuck.part2.yaml
run stuck "$P11TAPE" record --rotate 10K -o stuck.yaml -- "$threads" "$softhsm" 2 20
same 'the run that could not go on elsewhere' <("$threads" "$softhsm" 2 20) stuck.out
[[ ! -s stuck.part2.yaml && ! -e stuck.part3.yaml ]] || fail 'a file that was there was taken'
"$P11TAPE" validate stuck.yaml >said || fail "where no file can be made: $(<said)"

# Off and on. The program says when it has made its calls, so that the file changes between them; the recorder looks
# ten times a second.
steps() {
	echo first
	await first switched.out
	echo off >control
	sleep 0.3
	echo second
	await second switched.out
	echo on >control
	sleep 0.3
	echo third
}
echo on >control
"$P11TAPE" record --control control -o switched.yaml -- python3 slowly.py "$softhsm" < <(steps) >switched.out
[[ $(<switched.out) == $'first\nsecond\nthird' ]] || fail "switched: $(<switched.out)"
grep -q '^- {"gap": 20, "why": "off"}$' switched.yaml || fail "no gap of 20 calls: $(grep gap switched.yaml)"
[[ $(calls switched.yaml) == 42 ]] || fail "switched: $(calls switched.yaml) calls, not 42"
# Switched off from the beginning: all that is there is how many calls there were.
echo 0 >control
"$P11TAPE" record --control control -o nothing.yaml -- python3 slowly.py "$softhsm" < <(echo one) >nothing.out
grep -q '^- {"gap": 22, "why": "off"}$' nothing.yaml || fail "off: $(<nothing.yaml)"

# Files are opened meanwhile, in a thread that is to be cancelled: not in us.
echo on >control
run kept "$P11TAPE" record --rotate 10K --control control -o kept.yaml -- "$P11TAPE_BUILD_DIR/tests/keeps" "$softhsm"
whole kept >kept.all
[[ $(calls kept.all) == 1003 && -e kept.part2.yaml ]] || fail "cancelled: $(calls kept.all) calls, not 1003"

# What is no size and no time.
for wrong in '' 0 10 10X 1h,1m '100M,' M100 99999999999G; do
	! "$P11TAPE" record --rotate "$wrong" -- true 2>said || fail "--rotate '$wrong' is taken"
	grep -q 'a size (100M), a time (1h)' said || fail "--rotate '$wrong' says: $(<said)"
done
! P11TAPE_MODULE=$softhsm P11TAPE_ROTATE=soon pkcs11-tool --module "$P11TAPE_RECORDER_SO" -L >said 2>&1 ||
	fail 'the module takes P11TAPE_ROTATE=soon'
grep -q "P11TAPE_ROTATE: it is a size" said || fail "the module says: $(<said)"
