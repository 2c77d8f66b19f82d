#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docs/trace.schema.json: what is recorded, and what fmt makes of it, is as the schema says and loads with
# a YAML loader that is not ours; so does every trace in this repository. And the schema finds mistakes.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool
source=$P11TAPE_SOURCE_DIR
check=(/usr/bin/python3 "$source/tests/tools/check-schema.py")
schema=$source/docs/trace.schema.json
"${check[@]}" "$schema" || {
	status=$?
	[[ $status != 77 ]] || exit 77
	fail "the schema"
}
new_token schema
printf hello >hello.txt
printf 'not text: \001\377' >data.bin

# ---- real programs -----------------------------------------------------------------------------------

record() { # NAME ARGUMENTS…: pkcs11-tool may well fail, as --test does on some SoftHSM2
	local name=$1
	shift
	P11TAPE_MODULE=$softhsm P11TAPE_TRACE=$work/$name.yaml \
		pkcs11-tool --module "$P11TAPE_RECORDER_SO" "$@" >"$name.out" 2>&1 </dev/null || true
	[[ -s $name.yaml ]] || fail "$name was not recorded: $(<"$name.out")"
}

login=(--login --pin 1234)
record slots --show-info --list-slots --list-token-slots
record mechanisms --list-mechanisms
record rsa "${login[@]}" --keypairgen --key-type rsa:2048 --id 01 --label 'with "quotes" \ ünd 😀'
record ec "${login[@]}" --keypairgen --key-type EC:prime256v1 --id 02
record aes "${login[@]}" --keygen --key-type aes:32 --id 03 --label aes --sensitive
record write "${login[@]}" --write-object data.bin --type data --label data --application-label test
record list "${login[@]}" --list-objects
record read "${login[@]}" --read-object --type data --label data
record sign "${login[@]}" --sign --mechanism SHA256-RSA-PKCS-PSS --id 01 --input-file hello.txt --output-file out
record encrypt "${login[@]}" --encrypt --mechanism AES-CBC-PAD --iv 00112233445566778899aabbccddeeff --id 03 \
	--input-file hello.txt --output-file out
record derive "${login[@]}" --derive --mechanism ECDH1-DERIVE --id 02 --input-file hello.txt --output-file out
record wrong-pin --login --pin 4321 --list-objects
record change-pin --login --pin 1234 --change-pin --new-pin 1234
record random --generate-random 300
record large --hash --mechanism SHA256 --input-file "$P11TAPE" --output-file out
record test "${login[@]}" --test

# ---- every function ----------------------------------------------------------------------------------

drive=$P11TAPE_BUILD_DIR/tests/drive-stub
for run in 240:2.40 300:3.0 320:3.2 320:direct; do
	stub=$P11TAPE_BUILD_DIR/tests/p11tape-stub-${run%:*}.so
	status=0
	STUB_COUNTS=$work/counts P11TAPE_MODULE=$stub P11TAPE_TRACE=$work/stub-$run.yaml \
		"$drive" "$P11TAPE_RECORDER_SO" "${run#*:}" >stub.out 2>&1 </dev/null || status=$?
	[[ $status == 0 || $status == 3 ]] || fail "drive-stub $run: $status: $(tail -n 3 stub.out)"
done

# ---- both spellings, and the canonical form ----------------------------------------------------------

recorded=(*.yaml)
for file in "${recorded[@]}"; do
	name=${file%.yaml}
	"$P11TAPE" fmt "$file" >"$name.block"
	"$P11TAPE" fmt --lines "$name.block" >"$name.lines"
	"$P11TAPE" fmt --canonical "$file" >"$name.canonical"
	same "$name, to block form and back" "$file" "$name.lines"
	"$P11TAPE" validate --quiet "$file" "$name.block" "$name.canonical" || fail "validate $name"
done
[[ ${#recorded[@]} -ge 20 ]] || fail "only ${#recorded[@]} traces"

# Of the longest one all lines, so that the loader and JSON are compared as well.
"${check[@]}" --all "$schema" large.yaml || fail "large.yaml"
mapfile -t kept < <(find "$source/fixtures" "$source/tests/golden" -name '*.yaml' -not -path '*/bad/*')
"${check[@]}" "$schema" ./*.yaml ./*.block ./*.canonical "${kept[@]}" || fail "a trace is not as the schema says"

# Two loaders, one model: a trace says the same in both spellings.
/usr/bin/python3 - "${recorded[@]}" <<'EOF' || fail "the spellings differ"
import json
import sys

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=LOADER)


for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        lines = [json.loads(line[2:]) for line in file]
    calls = {item["id"]: item for item in lines if "call" in item}
    for item in lines:
        if "return" in item:
            calls[item["return"]].update({key: item[key] for key in item if key != "return"})
    whole = [item for item in load(path[:-5] + ".block")]
    for item in whole:
        item.pop("until", None)
    expected = [item for item in lines if "return" not in item]
    if whole != expected:
        for one, other in zip(expected, whole):
            if one != other:
                print(path, one, other, sep="\n")
                break
        sys.exit(1)
EOF

# ---- the schema is as the tables are, and as strict as it says ---------------------------------------

"$P11TAPE" api --format yaml >api
"${check[@]}" --api api "$schema" || fail "the schema's arguments are not those of the API"

for name in argument-wrong attribute-{date,scalar,twice,type-in-out,unknown-key,without-contents,without-type} \
	call-{id-zero,out-without-rv,unknown-key,without-id} field-unknown found-unknown-key \
	header-{load-text,newer,process-text,text} hex-{not-hex,not-quoted,odd,piece-odd} init-unknown-key \
	item-{empty,list,unknown} list-without-len mechanism-{list,unknown-key} number-{negative,word} \
	parameter-{list,two-contents} return-{out-list,unknown-key,without-rv} room-{and-len,word} rv-mapping \
	secret-long-name template-mapping value-{empty,list,plain,true,twice,unknown-key} version-not-quoted; do
	! "${check[@]}" "$schema" "$source/tests/bad/$name.yaml" >found || fail "the schema lets $name.yaml pass"
done
echo "${#recorded[@]} recordings, ${#kept[@]} traces of the repository"
