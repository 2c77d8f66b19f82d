#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Node.js with SoftHSM2: programs of ours for pkcs11js and for graphene-pk11, which Debian does not have:
# ci/programs has npm install them in the build's directory.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
program='Node.js + pkcs11js'
need_all node
export NODE_PATH=$P11TAPE_BUILD_DIR/node/node_modules
[[ -f $NODE_PATH/pkcs11js/build/Release/pkcs11.node ]] ||
	skip_all 'pkcs11js is not installed (ci/programs does it, or tests/programs/node/install.sh)'
use_softhsm
script=(--from "$(command -v node)" -- node "$programs/node/pkcs11js.js")
row list "${script[@]}" list {} clitok "$user_pin"
row sign "${script[@]}" sign {} clitok "$user_pin"
row generate "${script[@]}" generate {} clitok "$user_pin"
row wrong-pin "${script[@]}" list {} clitok "$other_pin"
row graphene --program 'Node.js + graphene-pk11' "${script[@]:0:3}" node "$programs/node/graphene.js" {} clitok "$user_pin"
