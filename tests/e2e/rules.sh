#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# p11tape rules: which rules two recordings show to be needed, and that a replay with them does what the program
# does; p11tape record --twice.
# shellcheck disable=SC1091,SC2015,SC2016 # lib.sh; fail ends it; what is in quotes is for other shells
. "$(dirname "$0")/lib.sh"
need pkcs11-tool

proposes() { # STATUS RULES FIRST SECOND [ON-STDERR]
	local status=0
	"$P11TAPE" rules "$3" "$4" >rules.out 2>rules.err || status=$?
	[[ $status == "$1" ]] || fail "$3, $4: status $status: $(cat rules.out rules.err)"
	[[ $(cat rules.out) == "$2" ]] || fail "$3, $4: $(cat rules.out)"
	[[ $(cat rules.err) == "${5:-}" ]] || fail "$3, $4: $(cat rules.err)"
}

# ---- written by hand --------------------------------------------------------------------------------

trace() { # FILE ITEM…
	local file=$1
	shift
	{
		echo '- {"p11tape": 1, "module": {"path": "/nowhere.so"}}'
		printf -- '- {%s}\n' "$@"
	} >"$file"
}
call() { # ID FUNCTION INPUTS [OUTPUTS]
	echo "\"call\": \"$2\", \"id\": $1, \"in\": {$3}${4:+, \"out\": {$4\}}, \"rv\": \"CKR_OK\""
}
open() { # ID HANDLE
	call "$1" C_OpenSession '"slotID": 0, "flags": ["CKF_SERIAL_SESSION"], "pApplication": null, "Notify": null' "\"phSession\": $2"
}
random() { call "$1" C_GenerateRandom "\"hSession\": $2, \"RandomData\": {\"room\": 8}" "\"RandomData\": {\"hex\": \"$3\"}"; }
digest() { call "$1" C_Digest "\"hSession\": $2, \"pData\": {\"hex\": \"$3\"}, \"pDigest\": {\"room\": 4}" '"pDigest": {"hex": "00000000"}'; }
gcm() { # ID SESSION IV KEY
	call "$1" C_EncryptInit "\"hSession\": $2, \"pMechanism\": {\"mechanism\": \"CKM_AES_GCM\", \"parameter\": {\"as\": \"CK_GCM_PARAMS\", \"pIv\": {\"hex\": \"$3\"}, \"ulIvBits\": 96, \"pAAD\": null, \"ulTagBits\": 128}}, \"hKey\": $4"
}
create() { call "$1" C_CreateObject "\"hSession\": $2, \"pTemplate\": [{\"type\": \"CKA_CLASS\", \"ulong\": \"CKO_DATA\"}, {\"type\": \"CKA_ID\", \"hex\": \"$3\"}, {\"type\": \"CKA_LABEL\", \"text\": \"$4\"}]" "\"phObject\": $5"; }
get() { call "$1" C_GetAttributeValue "\"hSession\": $2, \"hObject\": $3, \"pTemplate\": [{\"type\": \"CKA_ID\", \"room\": 8}]" "\"pTemplate\": [{\"hex\": \"$4\"}]"; }

# Nothing is needed where nothing differs, whatever the handles are called; and for what the module said itself.
trace a.yaml "$(open 1 1)" "$(random 2 1 0011223344556677)" "$(digest 3 1 ff00112233445566778f)" "$(gcm 4 1 00 7)"
trace b.yaml "$(open 1 5)" "$(random 2 5 8899aabbccddeeff)" "$(digest 3 5 ff8899aabbccddeeff8f)" "$(gcm 4 5 00 9)"
proposes 0 '' a.yaml a.yaml
proposes 0 '' a.yaml b.yaml

# Parts of arguments, and what has another length.
trace a.yaml "$(open 1 1)" "$(gcm 2 1 aaaa 7)" "$(digest 3 1 00)" "$(create 4 1 01 one 2)"
trace b.yaml "$(open 1 1)" "$(gcm 2 1 bbbb 7)" "$(digest 3 1 11)" "$(create 4 1 01 three 2)"
expected='- rules:
    C_EncryptInit.pMechanism.parameter.pIv: length
    C_Digest.pData: length
    C_CreateObject.pTemplate.CKA_LABEL: any'
proposes 1 "$expected" a.yaml b.yaml
"$P11TAPE" rules a.yaml b.yaml >proposed.yaml || true

# What is drawn once and comes again has a name, and so has the module's echo. Two objects are two values.
trace a.yaml "$(open 1 1)" "$(create 2 1 0101 x 2)" "$(get 3 1 2 0101)" "$(create 4 1 0202 x 3)" "$(get 5 1 3 0202)"
trace b.yaml "$(open 1 4)" "$(create 2 4 aaaa x 8)" "$(get 3 4 8 aaaa)" "$(create 4 4 bbbb x 9)" "$(get 5 4 9 bbbb)"
expected='- rules:
    C_CreateObject.pTemplate.CKA_ID: {as: id-1}
    C_GetAttributeValue.pTemplate.CKA_ID: {as: id-1}'
proposes 1 "$expected" a.yaml b.yaml
# One value that stands for two is no name.
trace b.yaml "$(open 1 4)" "$(create 2 4 aaaa x 8)" "$(get 3 4 8 aaaa)" "$(create 4 4 aaaa x 9)" "$(get 5 4 9 aaaa)"
proposes 1 '- rules:
    C_CreateObject.pTemplate.CKA_ID: length' a.yaml b.yaml

# What the program may have made of an answer is marked.
trace a.yaml "$(open 1 1)" "$(random 2 1 0011223344556677)" "$(digest 3 1 aaaa)"
trace b.yaml "$(open 1 1)" "$(random 2 1 8899aabbccddeeff)" "$(digest 3 1 bbbb)"
proposes 1 '- rules:
    C_Digest.pData: length # unless it follows from what C_GenerateRandom (line 3) said differently' a.yaml b.yaml

# A call too many is in nobody's way, and is said; no rule mends it.
trace b.yaml "$(open 1 1)" "$(digest 2 1 00)" "$(random 3 1 0011223344556677)" "$(digest 4 1 cccc)"
proposes 1 '- rules:
    C_Digest.pData: length' a.yaml b.yaml 'p11tape: b.yaml:3: C_Digest has no counterpart in a.yaml
p11tape: 1 calls or processes have no counterpart: no rule mends that'
trace b.yaml "$(open 1 1)" "$(digest 4 1 aaaa)"
proposes 1 '' a.yaml b.yaml 'p11tape: a.yaml:3: C_GenerateRandom has no counterpart in b.yaml
p11tape: 1 calls or processes have no counterpart: no rule mends that'

# Sessions whose calls overlap are compared one by one, whichever comes first.
trace a.yaml "$(open 1 1)" "$(open 2 2)"
{
	printf '%s\n' '- {"call": "C_GenerateRandom", "id": 3, "in": {"hSession": 1, "RandomData": {"room": 1}}}' \
		"- {$(digest 4 2 00)}" '- {"return": 3, "out": {"RandomData": {"hex": "00"}}, "rv": "CKR_OK"}' \
		"- {$(gcm 5 1 aaaa 7)}"
} >>a.yaml
trace b.yaml "$(open 1 1)" "$(open 2 2)" "$(digest 3 1 00)" "$(random 4 2 00 | sed 's/"room": 8/"room": 1/')" "$(gcm 5 2 bbbb 7)"
proposes 1 '- rules:
    C_EncryptInit.pMechanism.parameter.pIv: length' a.yaml b.yaml

# --write puts them into the header and leaves everything else, in either spelling.
trace a.yaml "$(open 1 1)" "$(create 2 1 0101 x 2)" "$(get 3 1 2 0101)" "$(digest 4 1 00)"
trace b.yaml "$(open 1 1)" "$(create 2 1 aaaa x 2)" "$(get 3 1 2 aaaa)" "$(digest 4 1 11)"
"$P11TAPE" fmt --block a.yaml -o block.yaml
sed -i 's/^- call: C_OpenSession/# what the program does first\n&/; 1i # made by hand' block.yaml
for file in a block; do
	cp $file.yaml before.yaml
	run written "$P11TAPE" rules --write $file.yaml b.yaml
	[[ $(cat written.status) == 1 && $(cat written.out) == "p11tape: 3 rules written to the header of $file.yaml" ]] ||
		fail "$(cat written.out)"
	"$P11TAPE" validate $file.yaml >/dev/null 2>&1 || [[ $? == 1 ]] || fail "$file.yaml is broken"
	proposes 0 '' $file.yaml b.yaml
	same "what is no header of $file.yaml" <(sed '/p11tape/,/^- /{/^[- ]/d}' before.yaml) \
		<(sed '/p11tape/,/^- /{/^[- ]/d}' $file.yaml)
done
grep -q '^# made by hand' block.yaml || fail 'a comment is gone'
grep -q '^# what the program does first' block.yaml || fail 'a comment is gone'
# What a header has stays, and is added to.
trace b.yaml "$(open 1 1)" "$(create 2 1 aaaa x 2)" "$(get 3 1 2 aaaa)" "$(gcm 4 1 11 7)" "$(digest 5 1 22)"
sed -i '$d' a.yaml
{
	echo "- {$(gcm 4 1 22 7)}"
	echo "- {$(digest 5 1 00)}"
} >>a.yaml
proposes 1 '- rules:
    C_EncryptInit.pMechanism.parameter.pIv: length' a.yaml b.yaml
run written "$P11TAPE" rules --write a.yaml b.yaml
grep -q '"C_GetAttributeValue.pTemplate.CKA_ID": {"as": "id-1"}, "C_EncryptInit.pMechanism.parameter.pIv": "length"}' a.yaml || fail "$(head -n 1 a.yaml)"

# Unusable input.
echo 'no trace' >broken.yaml
run broken "$P11TAPE" rules a.yaml broken.yaml
[[ $(cat broken.status) == 2 ]] && grep -q '^p11tape: broken.yaml:1: ' broken.out || fail "$(cat broken.out)"
run broken "$P11TAPE" rules a.yaml
[[ $(cat broken.status) == 2 ]] || fail "$(cat broken.out)"
echo '- rules: {C_Sing.pData: any}' >wrong.yaml
run broken "$P11TAPE" replay --rules wrong.yaml a.yaml -- true {}
[[ $(cat broken.status) == 2 && $(cat broken.out) == "p11tape: wrong.yaml:1: rule 'C_Sing.pData': no such function" ]] ||
	fail "$(cat broken.out)"
# What was proposed can be given to a replay.
run proposed "$P11TAPE" replay --rules proposed.yaml a.yaml -- true {}
! grep -q 'rule' proposed.out || fail "$(cat proposed.out)"

# ---- a real program ---------------------------------------------------------------------------------

# It draws an ID, and the tool prints what the token says it is.
new_token rules
cp -a tokens tokens.0
cat >generate.sh <<'end'
pkcs11-tool --module "$1" --login --pin 1234 --keypairgen --key-type EC:prime256v1 --label new --id "$(openssl rand -hex 8)"
end
run twice "$P11TAPE" record -m "$softhsm" --twice --before 'rm -rf tokens; cp -a tokens.0 tokens' -o t.yaml -- sh generate.sh {}
[[ $(cat twice.status) == 0 ]] && grep -qx 'p11tape: 3 rules written to the header of t.yaml' twice.out || fail "$(cat twice.out)"
[[ $(grep -c 'Key pair generated' twice.out) == 2 ]] || fail 'it did not run twice'
[[ -z $(find . -maxdepth 1 -name '.p11tape*' -print -quit) ]] || fail 'something is left of the second run'
[[ $(sed -n '1s/.*"rules": //p' t.yaml) == '{"C_GenerateKeyPair.pPublicKeyTemplate.CKA_ID": {"as": "id-1"}, "C_GenerateKeyPair.pPrivateKeyTemplate.CKA_ID": {"as": "id-1"}, "C_GetAttributeValue.pTemplate.CKA_ID": {"as": "id-1"}}}' ]] ||
	fail "$(head -n 1 t.yaml)"
rm -rf tokens
# What it prints is the new one, twice; the rest is as it was.
ids() { sed -n 's/^  ID: *//p' "$1" | sort | uniq -c; }
for mode in strict lenient model; do
	run played "$P11TAPE" replay --mode $mode -v t.yaml -- sh generate.sh {}
	[[ $(cat played.status) == 0 ]] && grep -q ' 0 divergences$' played.out || fail "$mode: $(cat played.out)"
	[[ $(ids played.out) == *" 2 "* && $(ids twice.out | wc -l) == 2 && $(ids played.out | wc -l) == 1 ]] ||
		fail "$mode: $(ids played.out)"
	! grep -q "$(ids played.out | awk '{ print $2 }')" t.yaml || fail "$mode: the ID is the recorded one"
done
# What follows from a name is of the live value, too: the same program, which offers other rooms.
cat >other.sh <<'end'
PERMUTE=rooms PERMUTE_NEXT=$2 sh generate.sh "$P11TAPE_BUILD_DIR/tests/permute-shim.so"
end
run played "$P11TAPE" replay --mode model -v t.yaml -- \
	sh other.sh {} "$("$P11TAPE" module replayer --for t.yaml)"
grep -q ' 0 divergences$' played.out || fail "other rooms: $(cat played.out)"
[[ $(ids played.out) == *" 2 "* && $(ids played.out | wc -l) == 1 ]] || fail "other rooms: $(ids played.out)"
! grep -q "$(ids played.out | awk '{ print $2 }')" t.yaml || fail 'other rooms: the ID is the recorded one'
# Another value where the same one came is a divergence.
sed 's/--id "\(.*\)"/--id "$(printf 0011; \1)"/' generate.sh >longer.sh
run longer "$P11TAPE" replay --mode strict t.yaml -- sh longer.sh {}
grep -q 'C_GenerateKeyPair was recorded with another pPublicKeyTemplate' longer.out || fail "$(cat longer.out)"

cp -a tokens.0 tokens
run unneeded "$P11TAPE" record -m "$softhsm" --twice -o u.yaml -- pkcs11-tool --module {} -O
[[ $(cat unneeded.status) == 0 ]] && ! grep -q rules unneeded.out u.yaml || fail "$(cat unneeded.out)"
run refused "$P11TAPE" record -m "$softhsm" --twice --before 'exit 3' -o v.yaml -- pkcs11-tool --module {} -O
[[ $(cat refused.status) == 2 && $(cat refused.out) == 'p11tape: the command of --before ended with 3' ]] || fail "$(cat refused.out)"
run refused "$P11TAPE" record -m "$softhsm" --before true -o v.yaml -- pkcs11-tool --module {} -O
[[ $(cat refused.status) == 2 ]] || fail "$(cat refused.out)"
run refused "$P11TAPE" record -m "$softhsm" --twice -o v%p.yaml -- pkcs11-tool --module {} -O
[[ $(cat refused.status) == 2 ]] || fail "$(cat refused.out)"
run differs "$P11TAPE" record -m "$softhsm" --twice --before 'echo >>runs' -o w.yaml -- \
	sh -c 'pkcs11-tool --module {} -O; exit $(($(wc -l <runs) * 3))'
[[ $(cat differs.status) == 3 ]] && grep -q 'the second run ended with 6, the first one with 3' differs.out || fail "$(cat differs.out)"
