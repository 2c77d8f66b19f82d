#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# osslsigncode with SoftHSM2, by OpenSSL's engine.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program=osslsigncode
engine=$multiarch/engines-3/pkcs11.so
need_all osslsigncode "$engine"
printf 'Write-Host "it works"\r\n' >"$work/script.ps1"

use_softhsm
sign=(osslsigncode sign -pkcs11engine "$engine" -pkcs11module {} -pass "$user_pin" -time 1700000000 -h sha256
	-in "$work/script.ps1" -out signed.ps1)
uri='pkcs11:token=clitok;object=client;type=private'
row rsa -- "${sign[@]}" -certs "$work/pki/client.crt" -key "$uri"
row ec --varies signed.ps1 -- "${sign[@]}" -certs "$work/pki/client-ec.crt" \
	-key 'pkcs11:token=clitok;object=client-ec;type=private'
row certificate -- "${sign[@]}" -pkcs11cert 'pkcs11:token=clitok;object=client;type=cert' -key "$uri"
# Errors begin with the number of the thread.
row wrong-pin -- without_lines '^[0-9A-F]+:error:' "${sign[@]/"$user_pin"/$other_pin}" -certs "$work/pki/client.crt" -key "$uri"
