#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A script of ours for PyKCS11 with SoftHSM2.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=all
program='Python + PyKCS11'
python=/usr/bin/python3 # Debian's, whichever comes first in PATH
need_all "$python"
package=$("$python" -c 'import PyKCS11; print(PyKCS11.__file__)' 2>/dev/null) || skip_all 'there is no PyKCS11'
export PYTHONDONTWRITEBYTECODE=1
use_softhsm
script=(--from "$package" -- "$python" "$programs/pykcs11.py")
row list "${script[@]}" list {} clitok "$user_pin"
row sign "${script[@]}" sign {} clitok "$user_pin"
row generate "${script[@]}" generate {} clitok "$user_pin"
row wrong-pin "${script[@]}" list {} clitok "$other_pin"
