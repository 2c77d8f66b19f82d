#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# pkcs11-tool on modules that have no device here, and fail each in its own way; on GNOME's keyring with its
# daemon, and without.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=all
program=pkcs11-tool
need_all pkcs11-tool gnome-keyring-daemon
tool=(pkcs11-tool --module {})

use_module ykcs11 "$multiarch/libykcs11.so.2"
row ykcs11-slots -- "${tool[@]}" --list-slots
row ykcs11-objects -- "${tool[@]}" --list-objects
row ykcs11-p11tool --program p11tool -- p11tool --provider {} --list-tokens

use_module scute "$(find /usr/lib -name scute.so | head -n 1)"
its_own='^((scute|gpg-connect-agent): |$)'
export GNUPGHOME=$work/none # no agent is to be started
row scute-slots -- without_lines "$its_own" "${tool[@]}" --list-slots
row scute-p11tool --program p11tool -- without_lines "$its_own" p11tool --provider {} --list-tokens

use_module GNOME-keyring "$multiarch/pkcs11/gnome-keyring-pkcs11.so"
export XDG_RUNTIME_DIR=$work/run GNOME_KEYRING_CONTROL=$work/run/keyring
row keyring-no-daemon -- "${tool[@]}" --list-slots
mkdir -m 700 "$XDG_RUNTIME_DIR" "$GNOME_KEYRING_CONTROL"
helper "$work/daemon.log" "$BASH" -c 'exec "$@" < <(printf password)' daemon gnome-keyring-daemon --unlock --foreground \
	--components=pkcs11 --control-directory="$GNOME_KEYRING_CONTROL"
for ((i = 0; i < 400; i++)); do
	[[ ! -S $GNOME_KEYRING_CONTROL/pkcs11 ]] || break
	sleep 0.05
done
row keyring-slots -- "${tool[@]}" --list-slots
row keyring-mechanisms -- "${tool[@]}" --list-mechanisms
row keyring-objects -- "${tool[@]}" --slot-index 1 --list-objects
row keyring-p11tool --program p11tool -- p11tool --provider {} --list-all
