#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pkcs11-tool on openCryptoki's software token. Its daemon, its shared memory and its files are the machine's:
# here they are in namespaces, in memory.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
namespaces=(--ipc)
. "$(dirname "$0")/lib.sh"
drives=yes
program=pkcs11-tool
opencryptoki=$multiarch/opencryptoki/libopencryptoki.so.0
need_all pkcs11-tool openssl pkcsslotd ipcrm "$opencryptoki"
getent group pkcs11 >/dev/null || skip_all 'there is no group pkcs11'

state=/var/lib/opencryptoki
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
mount -t tmpfs none "$state"
mkdir -p /run/lock/opencryptoki/swtok "$state/swtok/TOK_OBJ"
chgrp -R pkcs11 /run/lock/opencryptoki "$state"
chmod -R 770 /run/lock/opencryptoki "$state"

# The daemon keeps counts and the token's objects in memory, and ignores SIGTERM.
stop() {
	local pid
	[[ -s /run/pkcsslotd.pid ]] || return 0
	pid=$(</run/pkcsslotd.pid)
	kill -KILL "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	ipcrm --all=shm
	rm -f /dev/shm/* /run/pkcsslotd.*
}
start() {
	pkcsslotd >>"$work/pkcsslotd.log" 2>&1
	await . /run/pkcsslotd.pid
}
fresh() {
	stop
	rm -rf "${state:?}"/*
	cp -a "$work/state/." "$state"
	start
}

tool=(pkcs11-tool --module {} --slot 3)
login=("${tool[@]}" --login --pin "$short_pin")
drive_pin=$short_pin drive_so_pin=$short_so_pin drive_other_pin=$short_so_pin
printf hello >"$work/hello.txt"
openssl dgst -sha256 -binary -out "$work/digest" "$work/hello.txt"
make_pki
start
# New PINs must differ from the first ones, which are known.
{
	by_hand=("${tool[@]//"{}"/$opencryptoki}")
	"${by_hand[@]}" --init-token --label octok --so-pin 87654321
	"${by_hand[@]}" --login --login-type so --so-pin 87654321 --change-pin --new-pin "$short_so_pin"
	"${by_hand[@]}" --login --login-type so --so-pin "$short_so_pin" --init-pin --new-pin 12345670
	"${by_hand[@]}" --login --pin 12345670 --change-pin --new-pin "$short_pin"
	by_hand+=(--login --pin "$short_pin" --write-object)
	id=11
	for name in client client-ec; do
		"${by_hand[@]}" "$work/pki/$name.key.der" --type privkey --id $id --label $name --usage-sign
		"${by_hand[@]}" "$work/pki/$name.pub.der" --type pubkey --id $id --label $name
		"${by_hand[@]}" "$work/pki/$name.der" --type cert --id $id --label $name
		id=$((id + 1))
	done
} >"$work/token.log" 2>&1 || fail "no token: $(tail -n 3 "$work/token.log")"
stop
cp -a "$state" "$work/state"

use_module 'openCryptoki (software token)' "$opencryptoki"
row slots -- "${tool[@]:0:3}" --list-slots
row mechanisms -- "${tool[@]}" --list-mechanisms
row objects-public -- "${tool[@]}" --list-objects
row objects -- "${login[@]}" --list-objects
row wrong-pin -- "${tool[@]}" --login --pin "$short_so_pin" --list-objects
row rsa-sign -- "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 11 --input-file "$work/hello.txt" \
	--output-file signature
row rsa-generate -- "${login[@]}" --keypairgen --key-type rsa:2048 --id 31 --label new
row ec-sign --varies signature -- "${login[@]}" --sign --mechanism ECDSA --id 12 --input-file "$work/digest" \
	--output-file signature
row ec-generate --vary 's/(EC_POINT: ).*/\1/' -- "${login[@]}" --keypairgen --key-type EC:prime256v1 --id 31 --label new
row random --varies random -- "${tool[@]}" --generate-random 32 --output-file random
row delete -- "${login[@]}" --delete-object --type cert --id 11
row change-pin -- "${login[@]}" --change-pin --new-pin "$short_so_pin"
row test --match C_Decrypt.pEncryptedData=length \
	--why 'encrypts in its own process, with random padding, what the token then decrypts' \
	-- "${login[@]}" --test
P11TAPE_PIN=$short_pin P11TAPE_SO_PIN=$short_so_pin baseline opencryptoki --wrong-pins 100 --slot 3 --destructive
exit "${failed:-0}"
