#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docs/faults.md tells the truth: its commands are run as they stand, one after the other, and print what
# the page says that they print. "…" on the page stands for anything.
. "$(dirname "$0")/lib.sh"
need cc patch pkcs11-tool
page=$P11TAPE_SOURCE_DIR/docs/faults.md
if [[ $(od -An -j4 -N1 -tu1 "$P11TAPE") != $(od -An -j4 -N1 -tu1 "$(command -v bash)") ]]; then
	echo "skipped: the page's compiler makes programs of another width"
	exit 77
fi
new_token story
pkcs11-tool --module "$softhsm" --login --pin 1234 --keypairgen --key-type rsa:2048 --id 01 >/dev/null 2>&1
PATH=$(dirname "$P11TAPE"):$PATH

# A command of the page is a group of its own, which sees the status of the one before.
mkdir said printed
awk '
	/^```/ { inside = $0 == "```console"; next }
	!inside { next }
	/^\$ / { n++; print "{ " substr($0, 3); print "} >../printed/" n " 2>&1" > "/dev/stdout"; printf "" >"said/" n; next }
	{ print >>("said/" n) }
' "$page" >commands
mkdir here
(cd here && bash ../commands)

count=$(grep -c '^} >' commands)
((count > 10)) || fail "only $count commands on the page"
for ((i = 1; i <= count; i++)); do
	mapfile -t expected <said/$i
	mapfile -t actual <printed/$i
	[[ ${#expected[@]} == "${#actual[@]}" ]] || fail "command $i: $(diff said/$i printed/$i)"
	for line in "${!expected[@]}"; do
		pattern=$(sed 's/[][*?\\]/\\&/g; s/…/*/g' <<<"${expected[line]}")
		# shellcheck disable=SC2053 # a pattern
		[[ ${actual[line]} == $pattern ]] || fail "command $i prints: ${actual[line]}; the page has: ${expected[line]}"
	done
done
