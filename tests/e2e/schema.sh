#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# docs/trace.schema.json: what is recorded, and what fmt makes of it, is as the schema says and loads with
# a YAML loader that is not ours; so does every trace in this repository. And the schema finds mistakes.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool
source=$P11TAPE_SOURCE_DIR
# A sanitizer that is preloaded for our modules has nothing to look for in Python, and makes it crawl.
python=(env -u LD_PRELOAD /usr/bin/python3)
check=("${python[@]}" "$source/tests/tools/check-schema.py")
schema=$source/docs/trace.schema.json
"${check[@]}" "$schema" || {
	status=$?
	[[ $status != 77 ]] || exit 77
	fail "the schema"
}
new_token schema
printf hello >hello.txt
printf 'not text: \001\377' >data.bin
# Not all of it: a sanitizer makes it four times as long, and the trace with it.
head -c 1500000 "$P11TAPE" >large.bin

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
record large --hash --mechanism SHA256 --input-file large.bin --output-file out
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

# ---- what no program here does -----------------------------------------------------------------------

cat >written.yaml <<'EOF'
- {"p11tape": 1, "version": "0.1.0", "started": "2026-11-21T10:15:02Z", "names": {"CKM_NEWER": 1234567}, "rules": {"C_Decrypt.pEncryptedData": "length", "C_CreateObject.pTemplate.CKA_ID": {"as": "id-1"}}}
- {"call": "C_GetObjectSize", "id": 1, "at": 18446744073.000001, "in": {"hSession": 18446744073, "hObject": 9007199254740992}}
- {"call": "C_GetObjectSize", "id": 2, "at": 18446744073.000002, "thread": 2, "in": {"hSession": 18446744074, "hObject": "0x20000000000001"}}
- {"return": 1, "out": {"pulSize": "unavailable"}, "rv": "CKR_OK", "took": 1.000000001}
- {"return": 2, "rv": "0x80000001", "took": 0.000000000}
- {"call": "C_SignInit", "id": 3, "in": {"hSession": 0, "pMechanism": {"mechanism": "CKM_NEWER", "parameter": {"raw": ""}}, "hKey": 1}}
- {"return": 3, "rv": "CKR_OK"}
- {"call": "C_SignUpdate", "id": 4, "in": {"hSession": 1, "pPart": {"text": "null"}}}
- {"return": 4, "rv": "CKR_OK"}
- {"call": "C_SignUpdate", "id": 5, "in": {"hSession": 1, "pPart": {"text": "- {\"a\": [1, 'b'] # \\ é 😀 : "}}}
- {"return": 5, "rv": "CKR_OK"}
- {"call": "C_InitToken", "id": 6, "in": {"slotID": 1, "pPin": {"secret": "pin-1"}, "pLabel": "no"}}
- {"return": 6, "rv": "CKR_OK"}
- {"call": "C_Logout", "id": 7, "partial": "out of memory"}
- {"return": 7, "partial": "out of memory", "rv": "CKR_OK"}
- {"x-note": "another tool's", "id": 8}
- {"gap": 2, "why": "ENOSPC"}
- {"end": "exit", "load": 2, "last": 8, "open": []}
EOF

# ---- both spellings, and the canonical form ----------------------------------------------------------

recorded=(*.yaml)
for file in "${recorded[@]}"; do
	name=${file%.yaml}
	"$P11TAPE" fmt "$file" >"$name.block"
	"$P11TAPE" fmt --lines "$name.block" >"$name.lines"
	"$P11TAPE" fmt --canonical "$file" >"$name.canonical"
	same "$name, to block form and back" "$file" "$name.lines"
	"$P11TAPE" fmt "$name.block" >again
	same "$name, to block form twice" "$name.block" again
	"$P11TAPE" validate --quiet "$file" "$name.block" "$name.canonical" || fail "validate $name"
done
[[ ${#recorded[@]} -ge 20 ]] || fail "only ${#recorded[@]} traces"

# Of the longest one all lines, so that the loader and JSON are compared as well.
"${check[@]}" --all "$schema" large.yaml || fail "large.yaml"
mapfile -t kept < <(find "$source/fixtures" "$source/tests/golden" -name '*.yaml' -not -path '*/bad/*' -not -path '*/baselines/*')
"${check[@]}" "$schema" ./*.yaml ./*.block ./*.canonical "${kept[@]}" || fail "a trace is not as the schema says"

# Two loaders, one model: a trace says the same in both spellings.
"${python[@]}" - "${recorded[@]}" <<'EOF' || fail "the spellings differ"
import json
import sys

import yaml

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def whole(items):
    """The items with every return joined to its call."""
    calls = {item["id"]: item for item in items if "call" in item}
    for item in items:
        item.pop("until", None)
        if "return" in item:
            calls[item["return"]].update({key: item[key] for key in item if key != "return"})
    return [item for item in items if "return" not in item]


for path in sys.argv[1:]:
    with open(path, encoding="utf-8") as file:
        lines = whole([json.loads(line[2:]) for line in file])
    with open(path[:-5] + ".block", encoding="utf-8") as file:
        block = whole(yaml.load(file, Loader=LOADER))
    if lines != block:
        print(path, *next(pair for pair in zip(lines, block) if pair[0] != pair[1]), sep="\n")
        sys.exit(1)
EOF

# ---- the schema is as the tables are, and as strict as it says ---------------------------------------

"$P11TAPE" api --format yaml >tables
"${check[@]}" --api tables "$schema" || fail "the schema's arguments are not those of the API"

mistakes=(argument-wrong attribute-{date,scalar,twice,type-in-out,unknown-key,without-contents,without-type}
	call-{id-zero,out-without-rv,unknown-key,without-id} field-unknown found-unknown-key
	header-{load-text,newer,process-text,text} hex-{not-hex,not-quoted,odd,piece-odd} init-unknown-key
	item-{empty,list,unknown} list-without-len mechanism-{list,unknown-key} number-{negative,word}
	parameter-{list,two-contents} return-{out-list,unknown-key,without-rv} room-{and-len,word} rv-mapping
	secret-{length-text,long-name} template-mapping value-{empty,list,plain,true,twice,unknown-key} version-not-quoted)
! (cd "$source/tests/bad" && "${check[@]}" "$schema" "${mistakes[@]/%/.yaml}") >found || fail "no mistake was found"
for name in "${mistakes[@]}"; do
	grep -q "^$name.yaml: " found || fail "the schema lets tests/bad/$name.yaml pass"
done
echo "${#recorded[@]} recordings, ${#kept[@]} traces of the repository"
