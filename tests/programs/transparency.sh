#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Suites that others wrote for PKCS#11 modules, run directly and through the recorder: each check must end the same.
# These are of Debian's binary packages; ci/transparency runs transparency-sources.sh beside.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
program='tests of miekg/pkcs11'
need_all go cc
package=/usr/share/gocode/src/github.com/miekg/pkcs11
[[ -f $package/pkcs11_test.go ]] || skip_all "there is no $package"
use_softhsm

# The tests inside the Go package: they bring a token along.
(cd "$work" && GO111MODULE=off GOFLAGS='' GOPATH=/usr/share/gocode GOCACHE=$work/go-cache \
	go test -c -o "$work/go-tests" github.com/miekg/pkcs11)
export package
go_tests() { # MODULE
	local status=0
	cp -R "$package/test_data" "$package/softhsm2.conf" .
	chmod -R u+w .
	SOFTHSM_LIB=$1 "$work/go-tests" -test.v >printed || status=$?
	sed -nE 's/^ *--- ([A-Z]+): ([^ ]+) .*/\L\1\E \2/p' printed
	rm -r ./*
	return $status
}
# They compare what they decrypt in pieces: a policy that hides it leaves nothing to compare.
hidden=()
[[ ${P11TAPE_ROWS_REDACT:-pin} != *plaintext* ]] || hidden=(--cannot 'its tests compare what is hidden')
row go-pkcs11 --from "$package/pkcs11.go" --checks "${hidden[@]}" -- go_tests {}
