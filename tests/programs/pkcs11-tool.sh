#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pkcs11-tool on SoftHSM2, on modules without a token, and on modules of certificates.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program=pkcs11-tool
tool=(pkcs11-tool --module {})
login=("${tool[@]}" --token-label clitok --login --pin "$user_pin")
printf %s "$known_data" >"$work/hello.txt"
openssl dgst -sha256 -binary -out "$work/digest" "$work/hello.txt"

use_softhsm
row slots -- "${tool[@]}" --list-slots
row mechanisms -- "${tool[@]}" --list-mechanisms
row objects-public -- "${tool[@]}" --list-objects
row objects -- "${login[@]}" --list-objects
row wrong-pin -- "${tool[@]}" --token-label clitok --login --pin "$other_pin" --list-objects
row read-certificate -- "${tool[@]}" --token-label clitok --read-object --type cert --id 11 --output-file certificate
row random --varies random -- "${tool[@]}" --token-label clitok --generate-random 32 --output-file random
row change-pin -- "${login[@]}" --change-pin --new-pin "$other_pin"

row rsa-generate -- "${login[@]}" --keypairgen --key-type rsa:2048 --id 31 --label new
row rsa-sign -- "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 11 --input-file "$work/hello.txt" \
	--output-file signature
row rsa-pss --varies signature -- "${login[@]}" --sign --mechanism SHA256-RSA-PKCS-PSS --id 11 \
	--input-file "$work/hello.txt" --output-file signature

row ec-generate --vary 's/(EC_POINT: ).*/\1/' -- "${login[@]}" --keypairgen --key-type EC:prime256v1 --id 31 --label new
row ec-sign --varies signature -- "${login[@]}" --sign --mechanism ECDSA --id 12 --input-file "$work/digest" \
	--output-file signature

row aes-generate -- "${login[@]}" --keygen --key-type aes:32 --id 31 --label new
iv=000102030405060708090a0b0c0d0e0f
# The key of the next rows: generated once, so that what is encrypted is the same.
[[ ! -d $work/tokens.0 ]] || {
	fresh_token
	named pkcs11-tool --module "$softhsm" "${login[@]:3}" --keygen --key-type aes:32 --id 33 --label aes --sensitive \
		>/dev/null 2>&1
	pkcs11-tool --module "$softhsm" "${login[@]:3}" --encrypt --mechanism AES-CBC-PAD --iv "$iv" --id 33 \
		--input-file "$work/hello.txt" --output-file "$work/encrypted" >/dev/null 2>&1
	keep_token
}
row aes-encrypt -- "${login[@]}" --encrypt --mechanism AES-CBC-PAD --iv "$iv" --id 33 \
	--input-file "$work/hello.txt" --output-file encrypted
row aes-decrypt -- "${login[@]}" --decrypt --mechanism AES-CBC-PAD --iv "$iv" --id 33 \
	--input-file "$work/encrypted" --output-file decrypted
printf %s 'known key 5170 of thirty-two byt' >"$work/known.key"
row write-key -- "${login[@]}" --write-object "$work/known.key" --type secrkey --key-type AES:32 --id 34 --label known \
	--extractable
row write-private -- "${login[@]}" --write-object "$work/pki/server.key.der" --type privkey --id 35 --label server
row write-delete -- bash -euc '
	pkcs11-tool --module "$0" --token-label clitok --login --pin "$user_pin" --delete-object --type cert --id 20
	' {}

row test --match C_Decrypt.pEncryptedData=length \
	--why 'encrypts in its own process, with random padding, what the token then decrypts' \
	-- "${login[@]}" --test
# It opens a session that it can write with only if something else demands one.
row test-ec --vary 's/(EC_POINT: ).*/\1/' -- "${login[@]}" --test-ec --id 31 --key-type EC:prime256v1 \
	--write-object "$work/pki/ca.der" --type cert
row moz-cert -- "${login[@]}" --moz-cert "$work/pki/client.der" --id 31 --key-type RSA:2048
row fork -- "${tool[@]}" --test-fork

# Three threads, one after the other: the main one waits for its input until the two others are through.
threads() { # MODULE OPTIONS…
	local i tool status=0
	mkfifo fifo
	touch printed
	exec 3<>fifo
	pkcs11-tool --module "$1" --token-label clitok --login --pin "$user_pin" --sign --mechanism SHA256-RSA-PKCS \
		--id 11 --input-file fifo --output-file signature "${@:2}" >printed 2>&1 3>&- &
	tool=$!
	for ((i = 0; i < 400; i++)); do
		kill -0 "$tool" 2>/dev/null || break
		[[ $(grep -c ' returning rv' printed) != 2 || -z $(find "/proc/$tool/fd" -lname '*/fifo') ]] || break
		sleep 0.05
	done
	printf hello >&3
	exec 3>&-
	wait "$tool" || status=$?
	rm fifo
	sort -o printed printed
	return "$status"
}
row threads -- threads {} --test-threads P1GISLSLT0 --test-threads P2GISLT0
# SoftHSM2 does not always bear it, with and without us: what is printed and how it ends differs from run to run.
race() { threads "$@" >/dev/null 2>&1 || true; }
export -f threads
row threads-race --cut --cannot 'two threads race for the order of their calls' \
	-- race {} --test-threads P1GISLSLT0 --test-threads P1GISLT0

# A new token has a random serial number, and with it another slot.
row init-token --vary 's/[0-9]+//g' -- "${tool[@]}" --slot-index 1 --init-token --label new --so-pin "$so_pin"

# Modules of certificates, and one without a reader.
use_module "NSS's root certificates" "$multiarch/libnssckbi.so"
row ckbi -- "${tool[@]}" --list-objects
row ckbi-slots -- "${tool[@]}" --list-slots

use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
row trust -- "${tool[@]}" --list-objects

use_module opensc-pkcs11 "$multiarch/opensc-pkcs11.so"
row no-reader -- "${tool[@]}" --list-slots
row no-reader-objects -- "${tool[@]}" --list-objects

# It needs to be told its directory, and pkcs11-tool cannot: it refuses to begin.
use_module softokn "$multiarch/libsoftokn3.so"
row softokn-refuses -- "${tool[@]}" --list-slots
