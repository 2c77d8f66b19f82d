#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# strongSwan's pki. It brings mutexes of its own, without the system's locks: SoftHSM2 takes them. Where a
# module refuses them, it offers the system's.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program=pki
plugins=/usr/lib/ipsec/plugins
need_all pki p11-kit "$plugins/libstrongswan-pkcs11.so"

# Its plugin for OpenSSL is left out: that one loads an engine with a PKCS#11 stack of its own. The order of
# a token's certificates, of which pki tells, is not SoftHSM2's promise.
on_token() { # MODULE COMMAND…
	local status=0
	ulimit -c 0
	cat >strongswan.conf <<-end
		pki { load = random nonce x509 pubkey pkcs1 pkcs8 pem pkcs11 gmp sha1 sha2 hmac }
		libstrongswan { plugins { pkcs11 { modules { tested { path = $1 } } } } }
	end
	STRONGSWAN_CONF=$PWD/strongswan.conf "$programs/terminal.py" PIN "$user_pin" stdbuf --output=0 "${@:2}" 2>messages ||
		status=$?
	sort -o messages messages
	return "$status"
}
export programs

# A server for p11-kit-client that serves SoftHSM2: it loads it anew for each client.
use_softhsm
export P11_KIT_SERVER_ADDRESS=unix:path=$work/p11-kit.sock
if [[ -d $work/tokens.0 ]]; then
	helper "$work/server.log" p11-kit server --foreground --name "$work/p11-kit.sock" --provider "$softhsm" 'pkcs11:token=clitok'
	await '^P11_KIT_SERVER_PID=' "$work/server.log"
fi
use_module 'p11-kit-client over SoftHSM2' "$multiarch/pkcs11/p11-kit-client.so"
row request-rsa -- on_token {} pki --req --type priv --keyid 11 --dn CN=rsa --outform pem
row print-rsa -- on_token {} pki --print --type priv --keyid 11
row print-ec -- on_token {} pki --print --type priv --keyid 12
row public-ec -- on_token {} pki --pub --type priv --keyid 12 --outform pem
row certificate -- on_token {} pki --print --type x509 --keyid 11

use_module "NSS's root certificates" "$multiarch/libnssckbi.so"
row roots -- on_token {} pki --print --type x509 --keyid 99

use_softhsm
row softhsm2-request-rsa --cut --up-to C_Sign --undriven 'the crash is that of the program' \
	--why 'SoftHSM2 crashes in C_Finalize, by itself too: pki calls it at exit, after the destructors of SoftHSM2' \
	-- on_token {} pki --req --type priv --keyid 11 --dn CN=rsa --outform pem
