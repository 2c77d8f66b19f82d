#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# OpenDNSSEC's libhsm with SoftHSM2: ods-hsmutil, and ods-hsmspeed, whose threads share nothing but the module.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=yes
program=ods-hsmutil
need_all ods-hsmutil ods-hsmspeed

# Run a program of libhsm with one repository, "hsm". How fast its threads are, and which is first, is no result.
ods() { # MODULE PROGRAM OPTIONS…
	cat >conf.xml <<-end
		<Configuration>
		<RepositoryList><Repository name="hsm">
		<Module>$1</Module><TokenLabel>clitok</TokenLabel><PIN>$user_pin</PIN><SkipPublicKey/>
		</Repository></RepositoryList>
		<Common><Logging><Syslog><Facility>local0</Facility></Syslog></Logging></Common>
		</Configuration>
	end
	"$2" -c conf.xml "${@:3}" 2>&1 | sed '/^Signer thread/d; s/, [0-9.]* sig\/s//'
}

use_softhsm
ids='s/[0-9a-f]{32}/ID/g'
row list -- ods {} ods-hsmutil list
row info -- ods {} ods-hsmutil info
row generate-rsa --vary "$ids" -- ods {} ods-hsmutil generate hsm rsa 2048
row generate-ecdsa --vary "$ids" -- ods {} ods-hsmutil generate hsm ecdsa 256
row remove -- ods {} ods-hsmutil remove 11
row purge -- ods {} ods-hsmutil -f purge hsm
signs=(--match C_Sign.pData=length --why 'what is signed holds the time of day')
row test "${signs[@]}" --vary "$ids; s/(random data\.\.\. )[0-9]+/\1N/" -- ods {} ods-hsmutil test hsm

program=ods-hsmspeed
row speed-1 "${signs[@]}" --vary "$ids" -- ods {} ods-hsmspeed -r hsm -i 20 -s 1024 -t 1
# Each thread signs in a session of its own, so often that calls of two threads overlap: then every session
# is served in its own order.
row speed-4 "${signs[@]}" --vary "$ids" -- ods {} ods-hsmspeed -r hsm -i 200 -s 1024 -t 4
