#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# p11-kit: its proxy before a recorded SoftHSM2, the proxy recorded itself, and both; softokn, which p11-kit
# can initialise; anchors of our own in the trust module.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
drives=all
program=p11-kit
proxy=$multiarch/p11-kit-proxy.so
tool=(pkcs11-tool --module "$proxy")

need_registry
use_softhsm
login=(--token-label clitok --login --pin "$user_pin")
printf hello >"$work/hello.txt"
sign=("${tool[@]}" "${login[@]}" --sign --mechanism SHA256-RSA-PKCS --id 11 --input-file "$work/hello.txt" --output-file signature)
row list-modules -- registered {} '' p11-kit list-modules

program='pkcs11-tool + p11-kit-proxy'
row proxy-slots --from "$proxy" -- registered {} '' "${tool[@]}" --list-slots
row proxy-objects --from "$proxy" -- registered {} '' "${tool[@]}" "${login[@]}" --list-objects
row proxy-sign --from "$proxy" -- registered {} '' "${sign[@]}"
row proxy-ec-generate --from "$proxy" --vary 's/(EC_POINT: ).*/\1/' \
	-- registered {} '' "${tool[@]}" "${login[@]}" --keypairgen --key-type EC:prime256v1 --id 31 --label new
row proxy-test --from "$proxy" --match C_Decrypt.pEncryptedData=length \
	--why 'encrypts in its own process, with random padding, what the token then decrypts' \
	-- registered {} '' "${tool[@]}" "${login[@]}" --test

use_module p11-kit-trust "$multiarch/pkcs11/p11-kit-trust.so"
make_pki
row anchors --from "$proxy" -- registered {} "x-init-reserved: paths='$work/anchors'" "${tool[@]}" --list-objects

make_nss
use_softokn_copy
softokn="x-init-reserved: ${softokn#parameters=}"
row softokn-list-modules --program p11-kit -- registered {} "$softokn" p11-kit list-modules
row softokn-objects --from "$proxy" -- registered {} "$softokn" "${tool[@]}" --slot-index 1 --list-objects
row softokn-p11tool-refuses --program p11tool --why "GnuTLS does not hand on what the registry has for C_Initialize" \
	-- registered {} "$softokn" p11tool --list-all pkcs11:token=copy
row softokn-test --from "$proxy" --undriven "what C_Digest says is chance" --why 'C_Digest writes beyond a short buffer, and says that all is well' -- registered {} "$softokn" "${tool[@]}" --slot-index 0 --test

# The proxy recorded, with SoftHSM2 under it.
program=pkcs11-tool
use_softhsm
use_module 'p11-kit-proxy over SoftHSM2' "$proxy"
tool=(pkcs11-tool --module {})
row over-slots --absent "$softhsm" -- registered "$softhsm" '' "${tool[@]}" --list-slots
row over-objects --absent "$softhsm" -- registered "$softhsm" '' "${tool[@]}" "${login[@]}" --list-objects

# Both: a copy of the recorder before the proxy, another one before SoftHSM2. Each says in its own .conf what
# it is for, and the traces are merged.
layers() { # COMMAND…
	local copy
	rm -rf "$work/layers"
	mkdir "$work/layers"
	for copy in upper lower; do
		local target=$proxy
		[[ $copy == upper ]] || target=$softhsm
		"$P11TAPE" module recorder --copy "$work/layers/$copy.so" --set "P11TAPE_MODULE=$target" \
			--set "P11TAPE_TRACE=$work/layers/$copy.yaml"
	done
	registered "$work/layers/lower.so" '' "$@"
}
if [[ -n $module && -e $softhsm && ${P11TAPE_ROWS:-layers} == layers ]]; then
	row=layers
	fresh
	registered "$softhsm" '' pkcs11-tool --module "$proxy" "${login[@]}" --list-objects >"$work/one" 2>&1
	layers pkcs11-tool --module "$work/layers/upper.so" "${login[@]}" --list-objects >"$work/two" 2>&1
	cmp "$work/one" "$work/two" || fail "two recorders change the output: $(diff "$work/one" "$work/two" | head)"
	"$P11TAPE" validate "$work"/layers/*.yaml >"$work/layers/validated" || fail "$(<"$work/layers/validated")"
	"$P11TAPE" show "$work"/layers/*.yaml >"$work/layers/shown" || fail "the traces cannot be shown together"
	[[ $(grep -c 'C_Login(' "$work/layers/shown") == 2 ]] || fail "the traces are not merged"
	# What the proxy passes on returns to it, and then from it.
	for function in C_Login C_FindObjectsInit C_FindObjects C_GetAttributeValue C_FindObjectsFinal; do
		merged=$(sed -n "s/.* \\([a-z0-9-]*\\)\\.so $function(.*/\\1/p" "$work/layers/shown" | paste -sd ' \n' | sort -u)
		[[ $merged == 'libsofthsm2 p11-kit-proxy' ]] || fail "$function, merged: $merged"
	done
	dir=$work/layers
	canaries
	calls=$(awk '{ sum += $2 } END { print sum }' "$work/layers/validated")
	from=$proxy fact recorded "$calls" 1 1 'a recorder before the proxy and one below it; the traces are merged by show'
	echo "ok: $family/$row"
fi
