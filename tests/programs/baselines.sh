#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# What `p11tape check` finds in the modules that Debian has, against fixtures/baselines/: run by ci/baselines. Those that
# need a daemon are in tests of their own (opencryptoki.sh, tpm2.sh).
# shellcheck disable=SC1091,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
program="p11tape check"
[[ -n ${P11TAPE_BASELINES:-} ]] || skip_all 'ci/baselines runs it'
need_all certutil softhsm2-util
failed=0

use_softhsm
P11TAPE_PIN=$user_pin P11TAPE_SO_PIN=$so_pin baseline softhsm2 --token clitok --destructive
use_module 'p11-kit-proxy over SoftHSM2' "$multiarch/p11-kit-proxy.so"
runner=(registered "$softhsm" '')
P11TAPE_PIN=$user_pin P11TAPE_SO_PIN=$so_pin baseline p11-kit-proxy --token clitok --jobs 1
runner=()

make_nss
mkdir "$work/key"
echo "$user_pin" >"$work/key-pin"
certutil -N -d "sql:$work/key" -f "$work/key-pin"
use_softokn_copy
softokn="configdir='sql:$work/key' certPrefix='' keyPrefix='' secmod='secmod.db' flags= "
P11TAPE_PIN=$user_pin baseline softokn-key --wrong-pins 100 --init-args "$softokn" --slot 2 --jobs 1
baseline softokn-generic --init-args "$softokn" --slot 1 --jobs 1

use_module "NSS's root certificates" "$multiarch/nss/libnssckbi.so"
[[ -e $module ]] || module=$(find /usr/lib -name libnssckbi.so | head -n 1)
baseline ckbi
use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
baseline p11-kit-trust --init-args "paths='$work/anchors'"
use_module opensc-pkcs11 "$multiarch/opensc-pkcs11.so"
baseline opensc-no-reader
use_module ykcs11 "$multiarch/libykcs11.so.2"
baseline ykcs11-no-device
use_module GNOME-keyring "$multiarch/pkcs11/gnome-keyring-pkcs11.so"
baseline gnome-keyring-no-daemon
exit $failed
