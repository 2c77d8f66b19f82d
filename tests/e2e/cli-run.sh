#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What people meet when they type: usage, record, replay, module, validate, and every exit status of theirs.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool
new_token cli

# Run a command that must end with STATUS and say a sentence with PATTERN, in a line of ours.
says() { # STATUS PATTERN COMMAND…
	local wanted=$1 pattern=$2 status=0
	shift 2
	"$@" >said.out 2>said.err </dev/null || status=$?
	[[ $status == "$wanted" ]] || fail "$*: status $status, not $wanted: $(<said.err)"
	[[ -z $pattern ]] || grep -q "^p11tape: .*$pattern" said.err || fail "$*: does not say '$pattern': $(<said.err)"
}

# ---- usage ----

says 2 '' "$P11TAPE"
says 2 'no command' "$P11TAPE" frobnicate
says 2 'no command' "$P11TAPE" --frobnicate
says 2 'p11tape help show' "$P11TAPE" show --frobnicate
says 2 'no command' "$P11TAPE" help frobnicate
says 0 '' "$P11TAPE" --version
"$P11TAPE" help | sed -n 's/^  \([a-z]*\) .*/\1/p' >commands
[[ $(wc -l <commands) -ge 9 ]] || fail "help lists too little"
while read -r command; do
	"$P11TAPE" help "$command" | grep -q '^\(usage: \)\?p11tape' || fail "help $command"
	"$P11TAPE" "$command" --help >help.out || fail "$command --help"
done <commands
says 2 'cannot be written' bash -c "'$P11TAPE' api >/dev/full"

# ---- record ----

# A program that does what its arguments say, and ends with a status of its own.
cat >program <<'END'
#!/bin/sh
pkcs11-tool --module "$1" "$2"
exit "$3"
END
chmod +x program
export TMPDIR=$work/tmp
mkdir "$TMPDIR"
tool=(pkcs11-tool --module {} --list-slots)
record=("$P11TAPE" record -m "$softhsm")
says 0 'no PKCS#11 module was loaded by true' "${record[@]}" -- true
says 2 'with -m' "$P11TAPE" record -- "${tool[@]}"
says 2 "the module's path" "$P11TAPE" record -m libnowhere.so -- "${tool[@]}"
says 2 'cannot be read' "$P11TAPE" record -m ./libnowhere.so -- "${tool[@]}"
says 2 'pin, none, secret or secret,plaintext' "${record[@]}" --redact all -- "${tool[@]}"
says 2 'behind --' "${record[@]}"
says 2 'another place' "${record[@]}" -o nowhere/trace.yaml -- touch started {}
mkfifo fifo
says 2 'no file' "${record[@]}" -o fifo -- touch started {}
[[ ! -e started && -p fifo ]] || fail "the program was started, or the fifo replaced"

says 7 'no PKCS#11 module was loaded by bash' "${record[@]}" -- bash -c 'exit 7' {}
says 0 'no PKCS#11 module was loaded by true' "${record[@]}" -- true {}
says 143 '' "${record[@]}" -- bash -c 'kill -TERM $$' {}
says 127 'cannot be started' "${record[@]}" -- ./nowhere {}
says 126 'cannot be started' "${record[@]}" -- "$work" {}
[[ ! -e p11tape.yaml ]] || fail "a trace of nothing"

says 0 '' "${record[@]}" -- "${tool[@]}"
"$P11TAPE" validate --quiet p11tape.yaml
[[ $(stat -c %a p11tape.yaml) == 600 ]] || fail "the trace is not private"
says 0 '' "${record[@]}" -- "${tool[@]}"
"$P11TAPE" validate --quiet p11tape.yaml p11tape.yaml.old
says 0 '' "${record[@]}" -o %e.yaml -- ./program {} --list-slots 0
"$P11TAPE" validate --quiet pkcs11-tool.yaml

# A SIGTERM is for the program, and p11tape waits for it.
"${record[@]}" -o term.yaml -- bash -c 'trap "exit 3" TERM; touch ready; while :; do sleep 0.1; done' {} 2>term.err &
until [[ -e ready ]]; do sleep 0.1; done
kill -TERM $!
status=0
wait $! || status=$?
[[ $status == 3 ]] || fail "after SIGTERM: status $status"

# ---- replay ----

replay=("$P11TAPE" replay p11tape.yaml)
says 0 '' "${replay[@]}" -- "${tool[@]}"
[[ ! -s said.err ]] || ! grep -q ^p11tape said.err || fail "a good replay says: $(<said.err)"
says 0 'calls served, 0 divergences' "${replay[@]}" --verbose -- "${tool[@]}"
says 1 ' [1-9][0-9]* divergence' "${replay[@]}" -- ./program {} -M 0
grep -q 'p11tape.yaml:[0-9]*: the first call that was not made' said.err || fail "no first call: $(<said.err)"
says 5 'divergence' "${replay[@]}" -- ./program {} -M 5
says 1 'did not load the replayer' "${replay[@]}" -- true {}
says 4 'did not load the replayer' "${replay[@]}" -- bash -c 'exit 4' {}
says 137 '' "${replay[@]}" -- bash -c 'kill -KILL $$' {}
says 127 'cannot be started' "${replay[@]}" -- ./nowhere {}
says 1 'did not load the module' "${replay[@]}" -- true
says 2 'a mode' "${replay[@]}" --mode vague -- "${tool[@]}"
says 2 'NAME=VALUE' "${replay[@]}" --secret 1234 -- "${tool[@]}"
says 2 'nowhere.yaml: ' "$P11TAPE" replay nowhere.yaml -- "${tool[@]}"
says 1 '' "${replay[@]}" --report report.json -- ./program {} -M 0
python3 -c 'import json; assert any("text" in json.loads(line) for line in open("report.json"))'
rmdir "$TMPDIR" || fail "temporary files are left: $(ls "$TMPDIR")"
mkdir "$TMPDIR"

# ---- validate ----

lines=$(wc -l <p11tape.yaml)
says 0 '' "$P11TAPE" validate p11tape.yaml
grep -q 'calls, 1 thread, whole' said.out || fail "validate: $(<said.out)"
head -n $((lines - 1)) p11tape.yaml >unended.yaml
says 1 '' "$P11TAPE" validate unended.yaml
grep -q 'the end is missing' said.out || fail "validate: $(<said.out)"
head -c -20 unended.yaml >torn.yaml
says 1 '' "$P11TAPE" validate torn.yaml
grep -q 'the last line is torn' said.out || fail "validate: $(<said.out)"
grep -q 'did not return' said.out || fail "validate: $(<said.out)"
sed 's/"rv": "CKR_OK"/"rv": "CKR_FINE"/' p11tape.yaml >damaged.yaml
says 2 'damaged.yaml:3: .*CKR_FINE' "$P11TAPE" validate damaged.yaml
sed 1d p11tape.yaml | cat p11tape.yaml - >twice.yaml
says 2 "twice.yaml:$((lines + 1)): id 1 stands twice" "$P11TAPE" validate p11tape.yaml twice.yaml
sed 2d p11tape.yaml >headless.yaml
says 2 'headless.yaml:2: .*not open' "$P11TAPE" validate headless.yaml
says 2 'damaged.yaml:3: ' "$P11TAPE" replay damaged.yaml -- touch started {}
[[ ! -e started ]] || fail "the program was started on a damaged trace"

# ---- module ----

[[ $("$P11TAPE" module recorder) -ef $P11TAPE_RECORDER_SO ]] || fail "module recorder"
[[ $("$P11TAPE" module replayer) -ef $P11TAPE_REPLAYER_SO ]] || fail "module replayer"
says 2 'recorder or replayer' "$P11TAPE" module
says 2 'for --copy' "$P11TAPE" module recorder --set P11TAPE_MODULE=x
copy=("$P11TAPE" module recorder --copy copy.so)
says 0 '' "${copy[@]}" --set "P11TAPE_MODULE=$softhsm" --set "P11TAPE_TRACE=$work/copied.yaml"
says 0 '' pkcs11-tool --module ./copy.so --list-slots
"$P11TAPE" validate --quiet copied.yaml
says 2 'exists already' "${copy[@]}"
says 2 'P11TAPE_NAME=VALUE' "${copy[@]}" --force --set MODULE=x
says 0 '' "${copy[@]}" --force
[[ ! -s copy.so.conf ]] || fail "--force keeps old settings"
