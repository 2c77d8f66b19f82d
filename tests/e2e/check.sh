#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# p11tape check: its options, its formats, its exit statuses, on SoftHSM2; and that
# docs/conformance-coverage.md is what it prints.
. "$(dirname "$0")/lib.sh"

"$P11TAPE" check --coverage >coverage.md
diff -u "$P11TAPE_SOURCE_DIR/docs/conformance-coverage.md" coverage.md ||
	fail "docs/conformance-coverage.md is not what p11tape check --coverage prints: ci/coverage-page makes it"

"$P11TAPE" check --list >list
[[ $(wc -l <list) -gt 200 ]] || fail "only $(wc -l <list) checks"
[[ -z $(cut -d ' ' -f 1 list | sort | uniq -d) ]] || fail "two checks have one name"

new_token check
check=("$P11TAPE" check -m "$softhsm")
export P11TAPE_PIN=1234 P11TAPE_SO_PIN=5678

# One of many that can be tried without changing the token (ci/soak-check tries all): no error of ours.
run all "${check[@]}" --shard 5/24 --format json
[[ $(<all.status) == 0 || $(<all.status) == 1 ]] || fail "status $(<all.status): $(grep '"error"' all.out)"
grep -c '^{"check": ' all.out >count
[[ $(<count) -gt 200 ]] || fail "only $(<count) results"
! grep '"verdict": "error"' all.out || fail "an error"
python3 -c 'import json, sys; [json.loads(line) for line in sys.stdin]' <all.out

# The same verdicts without the recorder, and one at a time.
verdicts() { # FILE
	python3 -c 'import json, sys
for line in sorted(sys.stdin):
    o = json.loads(line)
    print(o["check"], o["verdict"], [f["rule"] for f in o["findings"]])' <"$1.out" | sort
}
run direct "${check[@]}" --shard 5/24 --format json --direct -j 1
diff <(verdicts all) <(verdicts direct) || fail "not recorded, the verdicts are others"

# A module that is slow has not hung: what is timed is a call.
ODD_FUNCTION=C_Initialize ODD_DOES=slow run slow "$P11TAPE" check -m "$P11TAPE_BUILD_DIR/tests/odd-module.so" --timeout 3 \
	finalize/many-lives
grep -q '^1 checks in .*: 1 passed' slow.out || fail "slow: $(<slow.out)"

# Selection.
run one "${check[@]}" finalize/twice
grep -q '^1 checks in' one.out || fail "not one check: $(<one.out)"
run rule "${check[@]}" --rule R-051 --list
grep -q 'finalize/reserved' rule.out || fail "no check of R-051: $(<rule.out)"
! grep -v 'R-051' rule.out || fail "others than R-051"
"$P11TAPE" check --list --shard 1/3 >shard1
"$P11TAPE" check --list --shard 2/3 >shard2
"$P11TAPE" check --list --shard 3/3 >shard3
diff <(sort list) <(sort shard1 shard2 shard3) || fail "three shards are not the whole"

# What cannot be tried is said at once, with what to do about it.
echo 'no module' >text.so
run text "$P11TAPE" check -m ./text.so
[[ $(<text.status) == 2 ]] || fail "a text: status $(<text.status)"
grep -q 'cannot be loaded' text.out || fail "a text: $(<text.out)"
run slot "${check[@]}" --slot 99
[[ $(<slot.status) == 2 ]] || fail "a slot that is not there: status $(<slot.status)"
grep -q 'there is no slot 99' slot.out || fail "a slot that is not there: $(<slot.out)"
run unset env SOFTHSM2_CONF=/nonexistent "${check[@]}" --suite login
[[ $(<unset.status) == 2 ]] || fail "without a configuration: status $(<unset.status)"
grep -q 'nothing could be tried' unset.out || fail "without a configuration: $(<unset.out)"
run pinless env -u P11TAPE_PIN "${check[@]}" 'login/table/*'
grep -q -e '--pin-file' pinless.out || fail "without a PIN: $(<pinless.out)"

# No token is locked: where wrong PINs are not seen in its flags, two are presented, or as many as were said.
mock=$P11TAPE_BUILD_DIR/tests/p11tape-mock.so
for tries in '' 0 5; do
	run silent env P11TAPE_MOCK=silent-pins P11TAPE_SO_PIN=12345678 "$P11TAPE" check -m "$mock" --direct -v \
		${tries:+--wrong-pins "$tries"} 'login/*-pin/*'
	[[ $(grep -c '^pass .*login/wrong-pin/' silent.out) == "${tries:-2}" ]] || fail "wrong PINs, $tries: $(<silent.out)"
	[[ $tries == 0 ]] || grep -q "^ *${tries:-2} wrong PINs were presented" silent.out || fail "wrong PINs: $(<silent.out)"
done
# Where the officer's is not known, none of his is presented, and none counted.
run silent env -u P11TAPE_SO_PIN P11TAPE_MOCK=silent-pins "$P11TAPE" check -m "$mock" --direct -v 'login/wrong-pin/*'
[[ $(grep -c '^pass .*login/wrong-pin/user' silent.out) == 2 ]] || fail "wrong PINs of one: $(<silent.out)"
run seen env P11TAPE_SO_PIN=12345678 "$P11TAPE" check -m "$mock" --direct -v --wrong-pins 1 'login/*-pin/*'
! grep -q 'wrong PINs were presented' seen.out || fail "wrong PINs that are forgiven: $(<seen.out)"

# Nothing is left in the token, not even of a module that keeps session objects. (No shim is built for a sanitizer.)
shim=$P11TAPE_BUILD_DIR/tests/mutant-shim.so
kept() { pkcs11-tool --module "$softhsm" --login --pin 1234 --list-objects 2>/dev/null | grep -c 'p11tape' || true; }
if [[ -e $shim || -z ${LD_PRELOAD:-} ]]; then
	run kept env MUTANT=create_on_token MUTANT_MODULE="$softhsm" "$P11TAPE" check -m "$shim" \
		'create/default/data/*' 'lifecycle/*/data*' 'destroy/session-object*'
	grep -q 'CKA_TOKEN, which the template omits, is 1' kept.out || fail "session objects that are kept: $(<kept.out)"
	[[ $(kept) == 0 ]] || fail "$(kept) objects are left in the token"
fi

# What is known is no fail; what is new or gone is.
run bless "${check[@]}" --suite finalize --expect known.yaml --bless
[[ $(<bless.status) == 0 ]] || fail "--bless: $(<bless.out)"
run known "${check[@]}" --suite finalize --expect known.yaml
[[ $(<known.status) == 0 ]] || fail "what is known fails: $(<known.out)"
printf -- '- check: finalize/twice\n  verdict: fail\n' >>known.yaml
run gone "${check[@]}" --suite finalize --expect known.yaml
[[ $(<gone.status) == 1 ]] || fail "status $(<gone.status): $(<gone.out)"
grep -q '^vanished *finalize/twice' gone.out || fail "what is gone is not shown: $(<gone.out)"
printf -- '- baseline: 1\n- check: finalize/twice\n  verdict: sometimes\n' >wrong.yaml
run wrong "${check[@]}" --suite finalize --expect wrong.yaml
[[ $(<wrong.status) == 2 ]] || fail "a baseline that is wrong: status $(<wrong.status)"
grep -q 'wrong.yaml:3: ' wrong.out || fail "a baseline that is wrong: $(<wrong.out)"

# Nonsense.
for words in '--rule R-999' '--suite nothing' '--shard 3/2' '--jobs 0' '--spec 1.0' 'no-such-check' '--format xml'; do
	# shellcheck disable=SC2086 # words
	run bad "${check[@]}" $words
	[[ $(<bad.status) == 2 && $(wc -l <bad.out) == 1 ]] || fail "$words: status $(<bad.status): $(<bad.out)"
done
run none "$P11TAPE" check -m /nonexistent.so
[[ $(<none.status) == 2 ]] || fail "a module that does not exist: $(<none.status)"

# No PIN is anywhere.
! grep -rE '"(1234|5678|31323334|35363738)"' p11tape-check 2>/dev/null || fail "a PIN is in the evidence"
