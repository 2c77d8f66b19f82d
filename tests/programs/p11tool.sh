#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# GnuTLS's p11tool on SoftHSM2, and on p11-kit's trust module.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program=p11tool
export GNUTLS_PIN=$user_pin GNUTLS_SO_PIN=$so_pin
tool=(p11tool --batch --provider {})
draws='p11tool draws the CKA_ID at random'

use_softhsm
row tokens -- "${tool[@]}" --list-tokens
row mechanisms -- "${tool[@]}" --list-mechanisms pkcs11:token=clitok
row list -- "${tool[@]}" --list-all pkcs11:token=clitok
row list-login --twice -- "${tool[@]}" --login --list-all pkcs11:token=clitok
row test-sign-rsa -- "${tool[@]}" --login --test-sign 'pkcs11:token=clitok;object=client;type=private'
row test-sign-ec -- "${tool[@]}" --login --test-sign 'pkcs11:token=clitok;object=client-ec;type=private'
row export -- "${tool[@]}" --export 'pkcs11:token=clitok;object=client;type=cert' --outfile certificate
row random --varies printed -- bash -euc 'p11tool --provider "$0" --generate-random 32 pkcs11:token=clitok >printed' {}
row write -- "${tool[@]}" --login --write --label new --id 41 --load-certificate "$work/pki/server.crt" pkcs11:token=clitok
row generate-rsa --varies key.pem --twice --match C_GenerateKeyPair.pPublicKeyTemplate.CKA_ID=as:id-1 \
	--match C_GenerateKeyPair.pPrivateKeyTemplate.CKA_ID=as:id-1 --why "$draws" \
	-- "${tool[@]}" --login --generate-privkey rsa --bits 2048 --label new --outfile key.pem pkcs11:token=clitok
row generate-ec --varies key.pem \
	-- "${tool[@]}" --login --generate-privkey ecdsa --curve secp256r1 --label new --id 41 --outfile key.pem \
	pkcs11:token=clitok
row wrong-pin -- env GNUTLS_PIN="$other_pin" "${tool[@]}" --login --list-all-privkeys pkcs11:token=clitok

use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
row trusted -- "${tool[@]}" --list-all-trusted
row trust-tokens -- "${tool[@]}" --list-tokens

use_module "NSS's root certificates" "$multiarch/libnssckbi.so"
row roots -- "${tool[@]}" --list-all-certs
row roots-tokens -- "${tool[@]}" --list-tokens
