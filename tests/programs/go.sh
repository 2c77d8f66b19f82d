#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Go with SoftHSM2, by the package github.com/miekg/pkcs11: a program of ours with one goroutine and with
# several, and the package's own tests.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
sources=/usr/share/gocode
package=$sources/src/github.com/miekg/pkcs11
program='Go + miekg/pkcs11'
need_all go cc
[[ -f $package/pkcs11.go ]] || skip_all "there is no $package"
export GO111MODULE=off GOFLAGS='' GOPATH=$work/go:$sources GOCACHE=${P11TAPE_BUILD_DIR:-$work}/programs/go-cache
(cd "$programs/go" && go build -o "$work/ours" .)
use_softhsm
version=(--from "$package/pkcs11.go")
row one "${version[@]}" -- "$work/ours" {} clitok "$user_pin" 1 client
row one-ec "${version[@]}" --vary 's/(signature ).*/\1/' -- "$work/ours" {} clitok "$user_pin" 1 client-ec
row four "${version[@]}" -- "$work/ours" {} clitok "$user_pin" 4 client
row four-both "${version[@]}" --vary 's/(signature ).*/\1/' -- "$work/ours" {} clitok "$user_pin" 4 client client-ec
