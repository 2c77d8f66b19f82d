#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs that load several modules, recorded as they are and replayed from a directory of traces: each
# module is served its own, by the path that the program asks for or by its name in the arguments.
# shellcheck disable=SC1091,SC2154 # lib.sh
. "$(dirname "$0")/lib.sh"
two=$P11TAPE_BUILD_DIR/tests/robust-two
export TMPDIR=$work/tmp
mkdir "$TMPDIR" modules day
cp "$P11TAPE_BUILD_DIR/tests/odd-module.so" modules/one.so
cp modules/one.so modules/other.so

all_is_well() {
	grep -q ', 0 divergences$' said.err || fail "nothing is said: $(<said.err)"
	if grep ': replay of ' said.err | grep -v ', 0 divergences$'; then
		fail "a divergence"
	fi
}

# Two modules in turn, of different calls.
says 0 '' "$P11TAPE" record -o day/t.yaml -- "$two" 7 "$work/modules/one.so" "$work/modules/other.so"
[[ $(find day -name '*.yaml' | wc -l) == 2 ]] || fail "traces: $(ls day)"
mkdir one
says 0 '' "$P11TAPE" record -o one/t.yaml -- "$two" 3 "$work/modules/one.so"
mv modules hidden
says 0 '' "$P11TAPE" replay day -v --mode strict -- "$two" 7 "$work/modules/one.so" "$work/modules/other.so"
all_is_well
[[ $(grep -c 'replay of day/.*: 7 of 7 calls served' said.err) == 2 ]] || fail "$(<said.err)"
says 0 '' "$P11TAPE" replay day -v --mode strict -- "$two" 7 '{one.so}' '{other.so}'
all_is_well
# Each for itself: the one is not the other, and who is missing is named.
says 1 'was recorded with another pPart (.*/day/t' "$P11TAPE" replay day --mode strict -- "$two" 7 '{other.so}' '{one.so}'
says 1 "did not load $work/modules/other.so" "$P11TAPE" replay day --mode strict -- "$two" 1 '{one.so}'
says 2 '{} could be any of 2 modules: name one by its file, such as {one.so}' "$P11TAPE" replay day -- touch started {}
[[ ! -e started ]] || fail 'it was started'
# What cannot be one recording's.
cp day/t.yaml day/copy.yaml
says 2 '^p11tape: day/.*: it is of the same module as .* and not of the same recording' "$P11TAPE" replay day -- touch started
rm day/copy.yaml
printf '%s\n' '- {"p11tape": 1, "module": 7}' >day/broken.yaml
says 2 "^p11tape: day/broken.yaml:1: 'module' is a mapping" "$P11TAPE" replay day -- touch started
rm day/broken.yaml
printf 'not a trace\n' >day/README
says 0 '' "$P11TAPE" replay day --mode strict -- "$two" 7 '{one.so}' '{other.so}'
mkdir nothing
says 2 '^p11tape: nothing: no trace is in it' "$P11TAPE" replay nothing -- touch started
# A report has them all.
says 0 '' "$P11TAPE" replay day --mode strict --report report -- "$two" 7 '{one.so}' '{other.so}'
[[ $(grep -c '"summary": ' report) == 2 ]] || fail "report: $(<report)"
# One module alone: {} is its.
says 0 '' "$P11TAPE" replay one -v --mode strict -- "$two" 3 {}
rm -r hidden

# ---- real programs --------------------------------------------------------------------------------------

registered() { # COMMAND…
	# shellcheck disable=SC2016 # the inner shell's
	unshare --mount "$BASH" -euc 'mount --bind "$1" /usr/share/p11-kit/modules; shift; exec "$@"' inner "$work/registry" "$@"
}
thrice() { # NAME COMMAND…: directly, recorded, and replayed without the modules
	local name=$1 run
	shift
	mkdir "$name"
	run "$name.direct" registered "$@"
	run "$name.recorded" registered "$P11TAPE" record -o "$name/t.yaml" -- "$@"
	[[ $(find "$name" -name '*.yaml' | wc -l) -ge 2 ]] || fail "$name: not two modules: $(ls "$name")"
	hide
	run "$name.replayed" registered "$P11TAPE" replay "$name" --mode strict -- "$@"
	show
	for run in recorded replayed; do
		same "$name, $run: status" "$name.direct.status" "$name.$run.status"
		same "$name, $run: output" "$name.direct.out" "$name.$run.out"
	done
}

need p11-kit p11tool pkcs11-tool certutil modutil
new_token several
unshare --mount true 2>/dev/null || {
	echo 'skipped: no mount namespaces here (not root?)'
	exit 77
}
trust=$(find /usr/lib -path '*pkcs11*' -name p11-kit-trust.so 2>/dev/null | head -n 1)
[[ -n $trust ]] || {
	echo 'skipped: there is no p11-kit-trust.so'
	exit 77
}
pkcs11-tool --module "$softhsm" --login --pin 1234 --keypairgen --key-type EC:prime256v1 --id 07 --label seven >/dev/null 2>&1
mkdir real shown
cp "$softhsm" real/libsofthsm2.so
cp "$trust" real/p11-kit-trust.so
hide() { mv real/*.so shown/; }
show() { mv shown/*.so real/; }

# p11-kit, with two modules configured and no others; what it is told of them is mounted for it alone.
mkdir registry anchors
printf 'module: %s\n' "$work/real/libsofthsm2.so" >registry/softhsm2.module
printf 'module: %s\ntrust-policy: yes\nx-init-reserved: paths='\''%s'\''\n' "$work/real/p11-kit-trust.so" "$work/anchors" \
	>registry/trust.module
thrice modules p11-kit list-modules
grep -q 'several' modules.direct.out || fail "p11-kit does not see the token: $(<modules.direct.out)"
thrice objects p11tool --batch --list-all-certs --list-keys 'pkcs11:token=several'
# NSS, with both in its database.
mkdir nss
certutil -N -d sql:nss --empty-password
for module in libsofthsm2 p11-kit-trust; do
	modutil -force -dbdir sql:nss -add $module -libfile "$work/real/$module.so" >/dev/null 2>&1
done
thrice nss-all certutil -L -d sql:nss -h all
[[ $(grep -l '"call": "C_OpenSession"' nss-all/*.yaml | wc -l) == 2 ]] || fail "NSS did not use both: $(ls -l nss-all)"
[[ -z $(ls -A "$TMPDIR") ]] || fail "something is left: $(ls "$TMPDIR")"
