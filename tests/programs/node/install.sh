#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# install.sh DIRECTORY: install what package-lock.json names, with its hashes, in DIRECTORY/node_modules, and
# build pkcs11js there. npm fetches from where it is configured to; the compiler needs Node's headers.
set -euo pipefail

here=$(realpath "$(dirname "$0")")
mkdir -p "$1"
cp "$here/package.json" "$here/package-lock.json" "$1/"
cd "$1"
npm ci --ignore-scripts --no-audit --no-fund
cd node_modules/pkcs11js
mkdir -p build/Release
# As its binding.gyp has it; node-gyp would fetch the headers that Debian has as a package.
c++ -std=c++17 -O1 -shared -fPIC -DNAPI_DISABLE_CPP_EXCEPTIONS -DNODE_GYP_MODULE_NAME=pkcs11 \
	-I includes -I /usr/include/node src/dl.cpp src/common.cpp src/main.cpp -o build/Release/pkcs11.node
