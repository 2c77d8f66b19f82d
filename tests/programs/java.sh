#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Java's provider SunPKCS11 with SoftHSM2: keytool and jarsigner.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
program=keytool
need_all java keytool jarsigner jar
# What a virtual machine leaves in /tmp belongs in our directory.
export JAVA_TOOL_OPTIONS="-XX:-UsePerfData -Djava.io.tmpdir=$work"

use_softhsm

# A file names the module to the provider.
sun() { # MODULE COMMAND…
	printf 'name = tested\nlibrary = %s\nslotListIndex = 0\n' "$1" >"$work/java.cfg"
	"${@:2}" -keystore NONE -storetype PKCS11 -storepass:env user_pin -addprovider SunPKCS11 -providerArg "$work/java.cfg"
}
export -f sun
row list -- sun {} keytool -list
row list-verbose -- sun {} keytool -list -v
row export -- sun {} keytool -exportcert -alias client -file certificate
row request-rsa -- sun {} keytool -certreq -alias client -file request
row request-ec --varies request -- sun {} keytool -certreq -alias client-ec -file request
row delete -- sun {} keytool -delete -alias client

generate=(keytool -genkeypair -alias new -dname CN=new)
draws='Java draws the serial number of the certificate'
row generate-rsa --match C_CreateObject.pTemplate=any --why "$draws, and makes an RSA key by itself" \
	-- sun {} "${generate[@]}" -keyalg RSA -keysize 2048
row generate-ec --match C_Sign.pData=length --match C_CreateObject.pTemplate=any --why "$draws" \
	-- sun {} "${generate[@]}" -keyalg EC -groupname secp256r1

# What jarsigner signs holds the time: the clock stands still.
mkdir "$work/jar"
echo 'it works' >"$work/jar/file"
jar --create --file "$work/plain.jar" --date 2024-01-01T00:00:00+00:00 -C "$work/jar" file >/dev/null 2>&1
now=$(date '+%Y-%m-%d %T')
export now DONT_FAKE_MONOTONIC=1
sign() { # MODULE ALIAS
	cp "$work/plain.jar" signed.jar
	sun "$1" faketime -f "$now" jarsigner signed.jar "$2"
	jarsigner -verify signed.jar
	python3 -m zipfile --extract signed.jar .
	rm signed.jar # the files in it have a time each
}
still=(--program jarsigner --needs faketime --why 'the clock stands still: what is signed holds the time')
row jarsigner-rsa "${still[@]}" -- sign {} client
row jarsigner-ec "${still[@]}" --varies META-INF/CLIENT-E.EC -- sign {} client-ec
