#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# TLS with GnuTLS: gnutls-cli and gnutls-serv with keys and certificates in SoftHSM2, each with a live peer; they
# load the module themselves, or p11-kit does for them.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
program=gnutls-cli
need_all openssl
export GNUTLS_PIN=$user_pin
use_softhsm
server asks -CAfile "$work/pki/ca.crt" -Verify 3
asks=$port
server plain
plain=$port

# The names of a certificate and its key; the PIN comes from the environment.
pair() { # CERTIFICATE KEY
	pair=("--x509certfile=pkcs11:token=clitok;object=$1;type=cert" "--x509keyfile=pkcs11:token=clitok;object=$2;type=private")
}
only() { # VERSION
	echo "--priority=NORMAL:-VERS-ALL:+VERS-TLS$1"
}

# The server closes the connection: until then more may come from the fifo.
get() { # PORT OPTIONS…
	local status=0
	mkfifo fifo
	exec 3<>fifo
	printf 'GET /page HTTP/1.0\r\n\r\n' >&3
	timeout 20 gnutls-cli --x509cafile="$work/pki/ca.crt" --port="$1" "${@:2}" localhost <fifo >printed 2>&1 || status=$?
	sed '/^- Status\|^- Description\|^\*\*\*\|^it works/!d' printed
	rm printed fifo
	return $status
}
# It asks how long the signature is, and then for it: of the same data.
signs_same=(--match C_Sign.pData=as:data-1 --twice "${signs[@]:2}")
for version in 1.2 1.3; do
	for name in client client-ec; do
		pair "$name" "$name"
		with "$name"
		row "cli-$name-tls$version" "${signs_same[@]}" "${by[@]}" -- get "$asks" --provider={} "${pair[@]}" "$(only "$version")"
	done
done
pair client client
row cli-not-asked -- get "$plain" --provider={} "${pair[@]}"
GNUTLS_PIN=$other_pin row cli-wrong-pin -- get "$asks" --provider={} "${pair[@]}"
pair nobody client
row cli-no-certificate -- get "$asks" --provider={} "${pair[@]}"
pair client nobody
row cli-no-key -- get "$asks" --provider={} "${pair[@]}"

# The port that a process listens to.
port_of() { # PROCESS
	local i inodes port
	for ((i = 0; i < 400; i++)); do
		inodes=$(find "/proc/$1/fd" -lname 'socket:*' -printf '%l\n' 2>/dev/null | tr -dc '0-9\n' || true)
		port=$(awk -v inodes="$inodes" '
			BEGIN { n = split(inodes, list); for (i = 1; i <= n; i++) its[list[i]] = 1 }
			$4 == "0A" && $10 in its { sub(/.*:/, "", $2); print $2; exit }' /proc/net/tcp)
		[[ -z $port ]] || break
		sleep 0.05
	done
	echo $((16#$port))
}
# A server with its key in the token, asked twice. It ends as services end: by a signal.
serve() { # OPTIONS…
	local port
	gnutls-serv --http --quiet --port=0 --disable-client-cert "$@" >server 2>&1 &
	trap 'kill $!' EXIT
	port=$(port_of $!)
	ask "$port"
	ask "$port"
	trap - EXIT
	kill $!
	wait $!
}
export -f get serve port_of ask
program=gnutls-serv
for version in 1.2 1.3; do
	for name in client client-ec; do
		pair "$name" "$name"
		with "$name"
		row "serv-$name-tls$version" --cut "${signs[@]}" "${by[@]}" -- serve --provider={} "${pair[@]}" "$(only "$version")"
	done
done
pair client nobody
row serv-no-key -- gnutls-serv --port=0 --provider={} "${pair[@]}"

# p11-kit loads the module, which is in its registry.
need_registry
in_shell=("$BASH" -euo pipefail -c '"$@"' shell)
pair client client
with client
row serv-by-p11-kit --cut "${signs[@]}" "${by[@]}" -- registered {} '' "${in_shell[@]}" serve "${pair[@]}"
program=gnutls-cli
row cli-by-p11-kit "${signs[@]}" "${by[@]}" -- registered {} '' "${in_shell[@]}" get "$asks" "${pair[@]}"
row cli-not-asked-by-p11-kit -- registered {} '' "${in_shell[@]}" get "$plain" "${pair[@]}"
