#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Several recorders in one process, each a copy under a name of its own with its options beside it: side by
# side, one behind the other, and in a ring.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-two
unset P11TAPE_MODULE P11TAPE_TRACE

# A copy NAME.so of the recorder, for TARGET, that writes NAME.yaml (or what is said).
copy() { # NAME TARGET [TRACE]
	"$P11TAPE" module recorder --copy "$work/$1.so" --force \
		--set P11TAPE_MODULE="$2" --set P11TAPE_TRACE="$work/${3:-$1.yaml}"
}
texts() { # FILE: the numbers of the calls in it, in its order
	sed -n 's/.*text \([0-9]*\).*/\1/p' "$1"
}
whole() { # TRACE CALLS
	"$P11TAPE" validate "$1" >summary 2>&1 || fail "$(cat summary)"
	grep -q "^$1: $2 calls, 1 thread, whole$" summary || fail "$(cat summary), not $2 calls"
}

cp "$P11TAPE_BUILD_DIR/tests/odd-module.so" one.so
cp one.so two.so

# Side by side, with files of their own.
copy left "$work/one.so"
copy right "$work/two.so"
"$program" 50 "$work/left.so" "$work/right.so"
whole left.yaml 51
whole right.yaml 51
same "what went left" <(texts left.yaml) <(seq 0 2 99)
same "what went right" <(texts right.yaml) <(seq 1 2 99)
"$P11TAPE" show --verbose left.yaml right.yaml >shown
same "the order of both, merged" <(texts shown | uniq) <(seq 0 99)
"$P11TAPE" show --verbose right.yaml left.yaml >shown
same "the order of both, merged the other way" <(texts shown | uniq) <(seq 0 99)

# Side by side, with one name for both: the second one adds its target's name.
copy left "$work/one.so" same.yaml
copy right "$work/two.so" same.yaml
"$program" 10 "$work/left.so" "$work/right.so"
whole same.yaml 11
whole same.two.yaml 11
same "what went left" <(texts same.yaml) <(seq 0 2 19)

# One target for both: nothing tells them apart but that the file is taken.
rm same*.yaml
copy right "$work/one.so" same.yaml
"$program" 10 "$work/left.so" "$work/right.so"
[[ $(find . -name 'same*.yaml' | wc -l) == 2 ]] || fail "$(ls)"
cat same*.yaml >both
[[ $(grep -c '^- {"call": "C_SignUpdate"' both) == 20 ]] || fail "calls are missing"
for trace in same*.yaml; do
	whole "$trace" 11
done

# One behind the other: both see everything.
rm -f ./*.yaml
copy front "$work/back.so"
copy back "$work/one.so"
"$program" 50 "$work/front.so"
whole back.yaml 51
whole front.yaml 51
same "what came through" <(texts front.yaml) <(texts back.yaml)
# A call of the inner one returns before the outer one that it is in, however little time lies between.
for order in 'front back' 'back front'; do
	read -r first second <<<"$order"
	"$P11TAPE" show "$first.yaml" "$second.yaml" >shown
	sed -n 's/^[^ ]* \([^ ]*\) .*text \([0-9]*\).*/\2 \1/p' shown >merged
	same "inner and outer calls ($order)" merged <(for ((i = 0; i < 50; i++)); do
		printf '%d one.so\n%d back.so\n' $i $i
	done)
done

# In a ring, and to itself: no hang, a sentence, an error.
for ring in 'front back' 'back back'; do
	read -r first second <<<"$ring"
	copy front "$work/$second.so"
	copy back "$work/$first.so"
	status=0
	timeout 20 "$program" 1 "$work/$first.so" 2>stderr || status=$?
	[[ $status == 3 ]] || fail "$ring: exit status $status: $(cat stderr)"
	grep -q '^p11tape: .*set P11TAPE_MODULE to the module that is to be recorded' stderr || fail "$ring: $(cat stderr)"
done
