#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# record-fixtures.sh [PATTERN]: record fixtures/programs/ anew, from the rows that are listed here: those
# that match `test-row`, all without a pattern. Uses build/, or what P11TAPE_BUILD_DIR names.
set -euo pipefail

fixtures=(
	curl-client-certificate
	curl-wrong-pin
	gnutls-cli-client-ec-tls1.2
	gnutls-cli-wrong-pin
	go-four-both
	java-request-ec
	modules-ykcs11-slots
	nginx-ec
	nss-internal-tls1.3
	nss-keys
	nss-request-ec
	ods-generate-ecdsa
	ods-speed-1
	opencryptoki-objects
	opencryptoki-test
	openssl-ca
	openssl-s_server-client-ec-tls1.3
	openvpn-client-rsa-tls1.3
	openvpn-show-ids
	osslsigncode-ec
	p11-kit-proxy-sign
	p11-kit-remote-client-ec-sign
	p11-kit-remote-server-ec-sign
	p11tool-test-sign-ec
	pkcs11-tool-aes-encrypt
	pkcs11-tool-ec-generate
	pkcs11-tool-fork
	pkcs11-tool-objects
	pkcs11-tool-threads
	pkcs11-tool-wrong-pin
	pkcs11js-generate
	pykcs11-sign
	ssh-agent-both
	strongswan-request-rsa
	tpm2-ec-sign
	tpm2-rsa-generate
	tstclnt-anchors-tls1.3
	tstclnt-client-ec-tls1.3
	tstclnt-selfserv-tls1.3
	tstclnt-softokn-tls1.2
)

here=$(realpath "$(dirname "$0")")
top=$(realpath "$here/../..")
export P11TAPE_SOURCE_DIR=$top P11TAPE_BUILD_DIR=${P11TAPE_BUILD_DIR:-$top/build}
export P11TAPE=$P11TAPE_BUILD_DIR/bin/p11tape
export P11TAPE_RECORDER_SO=$P11TAPE_BUILD_DIR/lib/p11tape-recorder.so
export P11TAPE_REPLAYER_SO=$P11TAPE_BUILD_DIR/lib/p11tape-replayer.so

# Always the same: some programs tell their modules where they are.
kept=/tmp/p11tape-fixtures
mkdir "$kept"
trap 'rm -rf "$kept"' EXIT
# The facts of these runs are not the report's: they are of a few rows only.
mkdir "$kept/facts"
ln -s "$P11TAPE_BUILD_DIR/node" "$kept/facts/"

for fixture in "${fixtures[@]}"; do
	# shellcheck disable=SC2053 # a pattern
	[[ $fixture == ${1:-*} ]] || continue
	# The test whose name is the longest that the fixture's begins with.
	test=$(cd "$here" && for file in *.sh; do
		[[ $fixture != "${file%.sh}"-* ]] || echo "${#file} ${file%.sh}"
	done | sort -n | sed -n '$s/.* //p')
	row=${fixture#"$test"-}
	P11TAPE_BUILD_DIR=$kept/facts P11TAPE_KEEP=$kept/run P11TAPE_ROWS=$row "$here/$test.sh"
	rm -f "$top/fixtures/programs/$fixture".*yaml
	number=1
	while read -r trace; do
		name=$fixture
		[[ $trace == */trace.yaml ]] || name=$fixture.child$((number++))
		"$P11TAPE" fmt --canonical "$trace" >"$top/fixtures/programs/$name.yaml"
	done < <(find "$kept/run/rows/$row" -name 'trace*.yaml' | sort)
done
