#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# OpenSSH with SoftHSM2: ssh-keygen -D, and ssh-agent, whose ssh-pkcs11-helper loads the module.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program=ssh-keygen
loader=/usr/lib/openssh/ssh-pkcs11-helper
need_all ssh-keygen ssh-agent ssh-add "$loader"
printf '#!/bin/sh\necho "%s"\n' "$user_pin" >"$work/askpass"
chmod +x "$work/askpass"
printf data >"$work/data"

use_softhsm
row keygen -- ssh-keygen -D {}
row keygen-no-token --undriven 'it has an environment of its own' -- env SOFTHSM2_CONF="$work/no-token.conf" ssh-keygen -D {}

# ssh-agent takes modules from where -P says; its helper is a child of its own.
with_agent() { # MODULE KEY…
	local key
	eval "$(ssh-agent -P '/*')" >/dev/null
	trap 'ssh-agent -k >/dev/null' EXIT
	SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force ssh-add -s "$1" </dev/null
	ssh-add -L | sed 's/ [^ ]*$//' | sort >keys
	for key in "${@:2}"; do
		grep "^$key" keys >"$key.pub"
		ssh-keygen -Y sign -n file -f "$key.pub" <"$work/data" >"$key.sig" 2>/dev/null && echo "signed with $key"
	done
	ssh-add -e "$1"
}
program=ssh-agent
# It is set-gid: an unmodified command line is refused, and p11tape says what works (e2e.unmodified).
[[ $unmodified == no ]] || exit 0
row agent-rsa --from "$loader" -- with_agent {} ssh-rsa
row agent-ec --from "$loader" --varies ecdsa-sha2-nistp256.sig -- with_agent {} ecdsa-sha2-nistp256
row agent-both --from "$loader" --varies ecdsa-sha2-nistp256.sig -- with_agent {} ssh-rsa ecdsa-sha2-nistp256

# What is signed is drawn at random, and verified.
with_random() { # MODULE KEY
	eval "$(ssh-agent -P '/*')" >/dev/null
	trap 'ssh-agent -k >/dev/null' EXIT
	SSH_ASKPASS=$work/askpass SSH_ASKPASS_REQUIRE=force ssh-add -s "$1" </dev/null
	ssh-add -L | grep "^$2" | sed 's/ [^ ]*$//' >key.pub
	sed 's/^/me /' key.pub >signers
	head -c 32 /dev/urandom >random
	ssh-keygen -Y sign -n file -f key.pub <random >signature 2>/dev/null
	ssh-keygen -Y verify -f signers -I me -n file -s signature <random | sed 's/ with .*//' || true
	ssh-add -e "$1"
	rm random signature
}
for case in 'rsa ssh-rsa 11 client' 'ec ecdsa-sha2-nistp256 12 client-ec'; do
	read -r name type id key <<<"$case"
	row "random-$name" --from "$loader" --match C_Sign.pData=length --served --why 'what is signed is random' \
		--key "CKA_ID=$id,$work/pki/$key.key" -- with_random {} "$type"
done
