#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# tpm2-pkcs11 on a TPM in software. Its session handles need 64 bits. The TPM listens on TCP ports: it has a
# network of its own.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
namespaces=(--net)
. "$(dirname "$0")/lib.sh"
drives=yes
program=pkcs11-tool
tpm2=$multiarch/libtpm2_pkcs11.so.1
need_all pkcs11-tool openssl swtpm tpm2_flushcontext tpm2_shutdown ip "$tpm2" "$multiarch/libtss2-tcti-swtpm.so.0"
ip link set lo up

export TPM2_PKCS11_STORE=$work/store TPM2_PKCS11_TCTI=swtpm:host=127.0.0.1,port=2321 TSS2_LOG=all+none
export TPM2TOOLS_TCTI=$TPM2_PKCS11_TCTI
mkdir "$work/tpm" "$work/store"

# The TPM is started for each run: the objects that a process has left in it are gone then.
stop() {
	local pid
	[[ -s $work/swtpm.pid ]] || return 0
	pid=$(<"$work/swtpm.pid")
	kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	rm -f "$work/swtpm.pid"
}
start() {
	swtpm socket --tpm2 --tpmstate dir="$work/tpm" --flags not-need-init,startup-clear --daemon --pid file="$work/swtpm.pid" \
		--server type=tcp,port=2321,bindaddr=127.0.0.1 --ctrl type=tcp,port=2322,bindaddr=127.0.0.1 >>"$work/swtpm.log" 2>&1
	await . "$work/swtpm.pid"
}
restore() { # STATE
	stop
	rm -rf "$work/tpm" "$work/store"
	cp -a "$work/$1/." "$work"
	start
}
fresh() { restore ready; }

tool=(pkcs11-tool --module {})
login=("${tool[@]}" --token-label tpmtok --login --pin "$user_pin")
printf hello >"$work/hello.txt"
openssl dgst -sha256 -binary -out "$work/digest" "$work/hello.txt"
by_hand() { # OPTIONS…
	pkcs11-tool --module "$tpm2" "$@"
	tpm2_flushcontext --transient-object
}
# A TPM that has not been told of its end takes that for a wrong PIN.
start
{
	by_hand --init-token --slot-index 0 --label tpmtok --so-pin "$so_pin"
	by_hand --token-label tpmtok --login --login-type so --so-pin "$so_pin" --init-pin --new-pin "$user_pin"
	by_hand --token-label tpmtok --login --pin "$user_pin" --keypairgen --key-type rsa:2048 --id 11 --label rsa
	by_hand --token-label tpmtok --login --pin "$user_pin" --keypairgen --key-type EC:prime256v1 --id 12 --label ec
	tpm2_shutdown --clear
} >"$work/token.log" 2>&1 || fail "no token: $(tail -n 3 "$work/token.log")"
stop
mkdir "$work/ready"
cp -a "$work/tpm" "$work/store" "$work/ready"

use_module 'tpm2-pkcs11 (swtpm)' "$tpm2"
row slots -- "${tool[@]}" --list-slots
row mechanisms -- "${tool[@]}" --token-label tpmtok --list-mechanisms
row objects -- "${login[@]}" --list-objects
its_own='^(ERROR|WARNING): '
row wrong-pin -- without_lines "$its_own" "${tool[@]}" --token-label tpmtok --login --pin "$other_pin" --list-objects
row rsa-sign -- "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --label rsa --input-file "$work/hello.txt" \
	--output-file signature
row ec-sign --varies signature -- "${login[@]}" --sign --mechanism ECDSA --label ec --input-file "$work/digest" \
	--output-file signature
row rsa-generate -- "${login[@]}" --keypairgen --key-type rsa:2048 --id 31 --label new
row ec-generate --vary 's/(EC_POINT: ).*/\1/' -- "${login[@]}" --keypairgen --key-type EC:prime256v1 --id 31 --label new
row random --varies random -- "${tool[@]}" --token-label tpmtok --generate-random 32 --output-file random
row test --cannot 'it takes what it encrypts from rand(), and so does the module: without it, other numbers come' \
	-- without_lines "$its_own" "${login[@]}" --test

row ssh-keygen --program ssh-keygen -- ssh-keygen -D {}
row p11tool --program p11tool -- without_lines "$its_own" p11tool --provider {} --login --set-pin "$user_pin" --list-all 'pkcs11:token=tpmtok'
row p11tool-mechanisms --program p11tool -- without_lines "$its_own" p11tool --provider {} --list-mechanisms 'pkcs11:token=tpmtok'

# A process that is killed in a call leaves its session in the TPM, which soon has no room for more. A resource
# manager takes it away.
brokered() { # COMMAND…
	TPM2_PKCS11_TCTI=tabrmd:bus_type=session dbus-run-session -- "$BASH" -euc '
		tpm2-abrmd --session --allow-root --tcti="$TPM2TOOLS_TCTI" --max-connections=100 >broker.log 2>&1 &
		while ! dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.NameHasOwner \
			string:com.intel.tss2.Tabrmd | grep -q "boolean true"; do
			kill -0 $!
			sleep 0.05
		done
		"$@" || status=$?
		kill $!
		exit ${status:-0}' brokered "$@"
}
runner=(brokered)
[[ -z ${P11TAPE_BASELINES:-} ]] || need_all dbus-run-session dbus-send tpm2-abrmd
P11TAPE_PIN=$user_pin P11TAPE_SO_PIN=$so_pin baseline tpm2-pkcs11 --token tpmtok --jobs 1 --timeout 20
exit "${failed:-0}"
