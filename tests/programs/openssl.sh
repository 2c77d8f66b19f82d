#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# OpenSSL with its PKCS#11 engine and keys in SoftHSM2: signatures, requests, an authority, mail, decryption,
# key agreement; s_server and s_client, each with a live peer.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program='openssl + engine_pkcs11'
need_engine
use_softhsm
make_pki
pki=$work/pki
printf hello >"$work/hello.txt"

# The same keys once more, for what the others may not do: 13 decrypts, 14 derives.
[[ ! -d $work/tokens.0 ]] || {
	fresh_token
	for key in client:13:decrypt client-ec:14:derive; do
		IFS=: read -r name id usage <<<"$key"
		named pkcs11-tool --module "$softhsm" --token-label clitok --login --pin "$user_pin" --write-object \
			"$pki/$name.key.der" --type privkey --id "$id" --label "$usage" --usage-"$usage"
	done >"$work/token.log" 2>&1
	keep_token
}

# Run an openssl command with an engine that loads MODULE, and leave out what it prints of its process, and of
# an engine that SoftHSM2 looks for: both have one list of errors.
on() { # MODULE COMMAND ARGUMENTS…
	local status=0
	{ PKCS11_MODULE_PATH=$1 timeout 60 openssl "$2" -engine pkcs11 "${@:3}" || status=$?; } >printed 2>&1
	sed -E 's/^[0-9A-F]*:error:/error:/; / Segmentation fault |rdrand|:DSO_load:|:dynamic_load:/d' printed
	rm printed
	return $status
}
engine_row() { # NAME [OPTION…] -- COMMAND ARGUMENTS…
	local name=$1 options=()
	shift
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	row "$name" --from "$engine" "${options[@]}" -- on {} "${@:2}"
}
rsa=(-keyform engine -sign "$(uri client)" -sha256)
ec=(-keyform engine -sign "$(uri client-ec)" -sha256)
in_out=(-in "$work/hello.txt" -out output)

engine_row dgst-rsa -- dgst "${rsa[@]}" -out output "$work/hello.txt"
engine_row dgst-ec --varies output -- dgst "${ec[@]}" -out output "$work/hello.txt"
engine_row dgst-pss --varies output -- dgst "${rsa[@]}" -sigopt rsa_padding_mode:pss -out output "$work/hello.txt"
openssl dgst -sign "$pki/client.key" -sha256 -out "$work/signature" "$work/hello.txt"
engine_row dgst-verify -- dgst -keyform engine -verify "$(uri client)" -sha256 -signature "$work/signature" "$work/hello.txt"
engine_row pkey -- pkey -inform engine -in "$(uri client)" -pubout
engine_row req-rsa -- req -new -keyform engine -key "$(uri client)" -subj /CN=new -out output
engine_row req-ec --varies output -- req -new -keyform engine -key "$(uri client-ec)" -subj /CN=new -out output
engine_row req-asks -- req -new -keyform engine -key 'pkcs11:token=clitok;object=client;type=private' -passin env:user_pin \
	-subj /CN=new -out output
engine_row pkeyutl-sign -- pkeyutl -sign -keyform engine -inkey "$(uri client)" -rawin -digest sha256 "${in_out[@]}"
for padding in pkcs1 oaep; do
	openssl pkeyutl -encrypt -certin -inkey "$pki/client.crt" -pkeyopt "rsa_padding_mode:$padding" \
		-in "$work/hello.txt" -out "$work/$padding"
	engine_row "pkeyutl-decrypt-$padding" -- pkeyutl -decrypt -keyform engine -inkey "$(uri decrypt)" \
		-pkeyopt "rsa_padding_mode:$padding" -in "$work/$padding" -out output
done
engine_row pkeyutl-derive -- pkeyutl -derive -keyform engine -inkey "$(uri derive)" \
	-peerkey "$pki/client-ec.pub.der" -peerform DER -out output
engine_row cms-sign -- cms -sign -binary -noattr -signer "$pki/client.crt" -keyform engine -inkey "$(uri client)" \
	-outform DER "${in_out[@]}"
openssl cms -encrypt -binary -in "$work/hello.txt" -out "$work/mail" "$pki/client.crt"
engine_row cms-decrypt -- cms -decrypt -keyform engine -inkey "$(uri decrypt)" -recip "$pki/client.crt" \
	-in "$work/mail" -out output

# An authority whose key is in the token: two certificates, one process.
printf '%s\n' '[ca]' 'default_ca=it' '[it]' 'database=index' 'serial=serial' 'new_certs_dir=.' 'default_md=sha256' \
	'policy=any' '[any]' 'commonName=supplied' >"$work/ca.cnf"
authority() { # MODULE KEY
	touch index
	echo 5001 >serial
	on "$1" ca -config "$work/ca.cnf" -batch -notext -cert "$work/pki/client.crt" -keyform engine -keyfile "$2" \
		-startdate 20260101000000Z -enddate 20360101000000Z -infiles "$work/pki/server.csr" "$work/pki/client-ec.csr"
}
export -f on
row ca --from "$engine" -- authority {} "$(uri client)"

# The engine by a configuration file, with its PIN.
configured() { # MODULE LINES COMMAND ARGUMENTS…
	printf '%s\n' 'openssl_conf=all' '[all]' 'engines=list' '[list]' 'pkcs11=it' '[it]' "dynamic_path=$engine" \
		"MODULE_PATH=$1" "$2" 'init=1' >"$work/openssl.cnf"
	OPENSSL_CONF=$work/openssl.cnf openssl "${@:3}"
}
export engine
row configured --from "$engine" -- configured {} "PIN=$user_pin" \
	dgst -engine pkcs11 -keyform engine -sign label_client -sha256 -out output "$work/hello.txt"

# What goes wrong.
SOFTHSM2_CONF=$work/no-token.conf engine_row no-configuration -- dgst "${rsa[@]}" -out output "$work/hello.txt"
for case in "wrong-pin $(uri client "$other_pin")" "no-key $(uri nobody)" "no-token pkcs11:token=nobody;type=private"; do
	GLIBC_TUNABLES=$sure row "${case%% *}" --from "$engine" "${crashes[@]}" -- on {} \
		dgst -keyform engine -sign "${case#* }" -out output "$work/hello.txt"
done

# A server with its key in the token answers two clients, and leaves. They believe no recorded signature.
serve() { # MODULE LABEL CERTIFICATE OPTIONS…
	local port
	on "$1" s_server -accept 127.0.0.1:0 -naccept 2 -www -cert "$3" -keyform engine -key "$2" "${@:4}" >server &
	await '^ACCEPT ' printed
	port=$(sed -n 's/^ACCEPT .*://p' printed | head -n 1)
	ask "$port"
	ask "$port"
	wait $!
	sed -i 's/:[0-9]*$//' server
}
export -f await fail ask
for version in 1.2 1.3; do
	for name in client client-ec; do
		with "$name"
		row "s_server-$name-tls$version" --from "$engine" "${signs[@]}" "${by[@]}" \
			-- serve {} "$(uri "$name")" "$pki/$name.crt" "-tls${version/./_}"
	done
done

# A client with its key in the token.
server asks -CAfile "$pki/ca.crt" -Verify 3
connect() { # MODULE OPTIONS…
	printf 'GET /page HTTP/1.0\r\n\r\n' | on "$1" s_client -brief -ign_eof "${@:2}"
}
for version in 1.2 1.3; do
	for name in client client-ec; do
		with "$name"
		row "s_client-$name-tls$version" --from "$engine" "${signs[@]}" "${by[@]}" -- connect {} -connect "127.0.0.1:$port" \
			-CAfile "$pki/ca.crt" -verify_return_error -cert "$pki/$name.crt" -keyform engine -key "$(uri "$name")" \
			"-tls${version/./_}"
	done
done

# A module that must be told where its keys are.
make_nss
use_softokn_copy
row softokn --from "$engine" -- configured {} \
	"INIT_ARGS=configdir='sql:$work/nss-client' certPrefix='' keyPrefix='' secmod='secmod.db' flags=" \
	dgst -engine pkcs11 -keyform engine -sign 'pkcs11:object=client;type=private' -sha256 -out output "$work/hello.txt"
