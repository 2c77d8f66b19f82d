#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A program that another one starts, which is set-gid: OpenSSH's agent and its helper. And one that is found in PATH.
# shellcheck disable=SC1091,SC2154 # lib.sh
. "$(dirname "$0")/lib.sh"
need ssh-agent ssh-add pkcs11-tool
[[ -x /usr/lib/openssh/ssh-pkcs11-helper ]] || {
	echo "skipped: there is no ssh-pkcs11-helper"
	exit 77
}
new_token wrap
pkcs11-tool --module "$softhsm" --login --pin 1234 --keypairgen --key-type EC:prime256v1 --id 01 --label key >/dev/null 2>&1
export TMPDIR=$work/tmp module=$softhsm
mkdir "$TMPDIR"
printf '#!/bin/sh\necho 1234\n' >askpass
chmod +x askpass
export SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force

cat >agent.sh <<'END'
eval "$(ssh-agent -P '/*')" >/dev/null
trap 'ssh-agent -k >/dev/null' EXIT
ssh-add -s "$module" </dev/null 2>&1
ssh-add -L | cut -d ' ' -f 1,2
ssh-add -e "$module" 2>&1
END
bash agent.sh >direct.out
grep -q ecdsa direct.out || fail "no key: $(<direct.out)"

# What the command for the agent says when it is tried so, and what it names.
status=0
"$P11TAPE" record -o agent.yaml -- "$(command -v ssh-agent)" true 2>refused.err || status=$?
if [[ -g $(command -v ssh-agent) ]]; then
	[[ $status == 2 ]] || fail "a set-gid program: status $status"
	for way in 'p11tape wrap ssh-pkcs11-helper' 'module recorder --for' 'modutil -dbdir' '/etc/pkcs11/modules'; do
		grep -q -e "$way" refused.err || fail "a way is not named, $way: $(<refused.err)"
	done
fi

"$P11TAPE" wrap -o agent.yaml ssh-pkcs11-helper -- bash agent.sh >recorded.out
same 'the recorded run' direct.out recorded.out
grep -q '"program": "ssh-pkcs11-helper"' agent.yaml || fail "the helper was not recorded: $(head -n 1 agent.yaml)"
mv tokens elsewhere
"$P11TAPE" wrap --replay agent.yaml --mode strict ssh-pkcs11-helper -- bash agent.sh >replayed.out 2>replayed.err ||
	fail "replay: $(<replayed.err)"
same 'the replayed run' direct.out replayed.out
[[ ! -s replayed.err ]] || fail "the replay says: $(<replayed.err)"
mv elsewhere tokens

# By PATH; the exit status is the command's own.
status=0
"$P11TAPE" wrap -o tool.yaml pkcs11-tool -- bash -c "pkcs11-tool --module $softhsm --list-slots >/dev/null; exit 5" || status=$?
[[ $status == 5 && -s tool.yaml ]] || fail "by PATH: status $status"
status=0
"$P11TAPE" wrap -o none.yaml pkcs11-tool -- true 2>none.err || status=$?
[[ $status == 0 && ! -e none.yaml ]] || fail "nothing was started: status $status"
grep -q 'was not started by true' none.err || fail "it does not say so: $(<none.err)"
refuses() { # PATTERN ARGUMENTS…
	! "$P11TAPE" wrap "${@:2}" 2>wrong.err || fail "wrap accepts ${*:2}"
	grep -q "$1" wrong.err || fail "wrap ${*:2} says: $(<wrong.err)"
}
refuses 'name the program'
refuses 'name a command' pkcs11-tool
refuses 'no program nowhere' nowhere -- true
left=$(find "$TMPDIR" -mindepth 1 ! -path "$TMPDIR/ssh-*")
[[ -z $left ]] || fail "something is left: $left"
