#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Suites that come with the sources of SoftHSM2 and OpenSC, run directly and through the recorder: each check must end
# the same. ci/transparency fetches and builds them in P11TAPE_SUITES, and runs this.
# shellcheck disable=SC1091,SC2016,SC2034,SC2154 # lib.sh defines, and uses
. "$(dirname "$0")/lib.sh"
program=''
: "${P11TAPE_SUITES:?is where ci/transparency has built the suites}"
patience=600
use_softhsm
recorded=(--checks --recorded 'a suite is run for what it finds')

# SoftHSM2's tests of its PKCS#11 functions, each in a process of its own with a token of its own. Where they fork, the
# child goes on as if it were the parent: the pipe ends when all of them have.
softhsm_tests() { # MODULE
	local file name
	export P11_MODULE=$1
	for file in "$P11TAPE_SUITES"/softhsm2/src/lib/test/*.conf.in; do
		sed 's|@builddir@|.|' "$file" >"$(basename "$file" .in)"
	done
	awk -F '[(),]' '
		/CPPUNIT_TEST_SUITE\(/ { suite = $2 }
		/CPPUNIT_TEST\(/ { print suite "::" $2 }
		/CPPUNIT_TEST_PARAMETERIZED\(/ {
			n = split($0, part, "\"")
			for (i = 2; i < n; i += 2) print suite "::" $2 " with parameter: " part[i]
		}' "$P11TAPE_SUITES"/softhsm2/src/lib/test/*Tests.h >names
	while read -r name; do
		mkdir tokens
		{ timeout 60 "$P11TAPE_SUITES/softhsm2/ours/p11test" "$name" 2>&1 || echo "ended with $?"; } </dev/null | cat >"printed"
		! grep -q 'No test named' printed || exit 99
		if grep -qE '^(!!!|ended)' printed; then
			# With the place where it failed.
			echo "fail $name $(sed -nE 's/^1\) .*\(([FE])\) (line: [0-9]+).*/\2/p' printed | sort -u)"
		else
			echo "pass $name, $(grep -c '^OK' printed) times"
		fi
		rm -rf tokens printed
	done <names
	rm -f names ./*.conf
}
row softhsm2 --program 'tests of SoftHSM2' --from "$softhsm" "${recorded[@]}" -- softhsm_tests {}

# Keys for OpenSC's p11test, as its runtest.sh makes them (without certificates: those need certtool).
if [[ -n $module ]]; then
	rm -rf "$work/tokens" && mkdir "$work/tokens"
	{
		softhsm2-util --init-token --free --label 'SC test' --so-pin "$so_pin" --pin "$user_pin"
		login=(pkcs11-tool --module "$softhsm" --login --pin "$user_pin" --extractable)
		for key in RSA:1024/01/RSA_auth RSA:2048/02/RSA2048 EC:secp256r1/03/ECC_auth EC:secp521r1/04/ECC521 \
			EC:edwards25519/05/EDDSA; do
			IFS=/ read -r kind id label <<<"$key"
			"${login[@]}" --keypairgen --key-type "$kind" --id "$id" --label "$label"
		done
		"${login[@]}" --keygen --key-type aes:16 --id 07 --label 'AES128 key'
		"${login[@]}" --keygen --key-type aes:32 --id 08 --label 'AES256 key'
	} >"$work/token.log" 2>&1 || fail "no token: $(tail -n 3 "$work/token.log")"
	keep_token
fi
p11test() { # MODULE
	"$P11TAPE_SUITES/opensc/ours/p11test" -m "$1" -p "$user_pin" >printed 2>&1 || true
	sed -nE '/^\[=*\] [0-9]/q; s/^\[ *OK \] /pass /p; s/^\[ *(FAIL|SKIP)[A-Z]* *\] /\L\1\E /p' printed
	rm printed
}
row opensc-p11test --program "OpenSC's p11test" --from "$(command -v pkcs11-tool || true)" "${recorded[@]}" \
	-- p11test {}

# OpenSC's scripts around pkcs11-tool, but for test-threads: it is for OpenSC's own module, and has two threads race
# through C_Initialize, in which SoftHSM2 crashes now and then. They look for SoftHSM2 where it may be, and for a pkcs11-tool that was just
# built: common.sh is told otherwise, and to say what each assertion found.
opensc_scripts() { # MODULE
	local script
	for script in "$P11TAPE_SUITES"/opensc/tests/test-pkcs11-tool-*.sh; do
		[[ $script != */test-pkcs11-tool-test-threads.sh ]] || continue
		mkdir -p scripts/tests
		cp "$P11TAPE_SUITES/opensc/tests/common.sh" "$script" scripts/tests/
		cat >>scripts/tests/common.sh <<-END
			P11LIB='$1'
			PKCS11_TOOL=pkcs11-tool
			assert() { [[ \$1 == 0 ]] && echo "pass \$((++checks)) \$2" >&3 || echo "fail \$((++checks)) \$2" >&3; }
		END
		(cd scripts/tests && env -u SOFTHSM2_CONF bash "./$(basename "$script")" 3>../../found >/dev/null 2>&1 </dev/null) || true
		sed "s|^[a-z]* |&$(basename "$script" .sh | sed 's/test-pkcs11-tool-//') |" found
		rm -rf scripts found
	done
}
row opensc-scripts --program "OpenSC's scripts" --from "$(command -v pkcs11-tool || true)" "${recorded[@]}" \
	-- opensc_scripts {}
