#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Damaged traces: one sentence with FILE:LINE, exit status 2, whatever is damaged and however large the
# claims in it are, in bounded memory and time. A recording that was cut short is no damage: a warning in
# show, exit status 1 in validate.
#
# tests/bad/NAME.yaml is expected to give the sentence in NAME.err; what is too large or too binary to be
# kept is made here.
. "$(dirname "$0")/lib.sh"
need python3 timeout

# Sanitizers reserve more address space than any limit; they have eyes of their own.
limit=524288
! grep -q '__[at]san_init' "$P11TAPE" || limit=unlimited

# On a 32-bit system some lengths are no numbers in the first place.
ulong=4
[[ $(od -An -tu1 -j4 -N1 "$P11TAPE") -eq 1 ]] || ulong=8

run_limited() { # COMMAND FILE: exit status in $status, output in out and err
	status=0
	(ulimit -v "$limit" && exec timeout 20 "$P11TAPE" "$@") >out 2>err || status=$?
}

expect_refusal() { # COMMAND FILE SENTENCE
	run_limited "$1" "$2"
	[[ $status == 2 ]] || fail "$1 $2: exit status $status instead of 2: $(head -c 500 err)"
	[[ $(<err) == "p11tape: $3" ]] || fail "$1 $2: '$(head -c 500 err)' instead of 'p11tape: $3'"
}

# show and fmt pass values on without decoding them, so that a trace with one damaged or newer value can
# still be read; what holds the values has to be right.
in_values="^[^:]*:[0-9]+: (C_[A-Za-z]+[,:]|'.*' is not a function|id [0-9]+ stands|the return of|more than"
in_values+="|'gap' is|'(until|during)' names"
in_values+="|a notification(,| has))"

expect_bad() { # FILE SENTENCE
	local command sentence=$2
	[[ $ulong == 8 ]] || sentence=${2/a length that no memory holds/a number that this platform\'s CK_ULONG cannot hold}
	expect_refusal validate "$1" "$sentence"
	for command in show fmt; do
		if ! [[ $sentence =~ $in_values ]]; then
			expect_refusal "$command" "$1" "$sentence"
			continue
		fi
		run_limited "$command" "$1"
		[[ $status == 0 ]] || fail "$command $1: exit status $status: $(head -c 500 err)"
		! grep -qv ': the end is missing' err || fail "$command $1: $(head -c 500 err)"
		! grep -q $'[\x01-\x08\x0b-\x1f\x7f]' out || fail "$command $1 prints control characters"
	done
}

# ---- what is kept ------------------------------------------------------------------------------------

count=0
for file in "$P11TAPE_SOURCE_DIR"/tests/bad/*.yaml; do
	name=$(basename "$file")
	cp "$file" "$name"
	expect_bad "$name" "$(<"${file%.yaml}.err")"
	rm "$name"
	count=$((count + 1))
done
[[ $count -ge 60 ]] || fail "only $count files in tests/bad"

# ---- what is made ------------------------------------------------------------------------------------

python3 - <<'EOF'
import os

HEADER = b'- {"p11tape": 1, "version": "0.1.0"}\n'
TOO_DEEP = "an item is nested too deep"


def make(name, line, sentence, *parts):
    with open(name + ".yaml", "wb") as file:
        for part in parts:
            file.write(part)
    with open(name + ".err", "w") as file:
        file.write(f"{name}.yaml:{line}: {sentence}\n")


def call(function, arguments):
    return b'- {"call": "%s", "id": 1, "in": {"hSession": 1, %s}}\n' % (function, arguments)


def text(problem):
    return "not text that YAML allows: " + problem


CONTROL = text("control characters are not allowed (0x%02x)")
LEADING = text("invalid leading UTF-8 octet (0x%02x)")

# Binary.
make("nul", 2, CONTROL % 0, HEADER, b'- {"call": "C_Log\0out", "id": 1}\n')
make("escape", 2, CONTROL % 0x1b, HEADER, b'- {"call": "\x1b[2J", "id": 1}\n')
make("escaped", 2, "'C_?[31m??2J' is not a function of PKCS#11 3.2", HEADER,
     b'- {"call": "C_\\e[31m\\u009b2J", "id": 1, "in": {"\\e]0;": 1}}\n')
make("latin-1", 2, LEADING % 0xff, HEADER, b'- {"call": "C_Log\xff", "id": 1}\n')
make("surrogate", 2, text("invalid Unicode character (0xd800)"), HEADER, b'- {"a": "\xed\xa0\x80"}\n')
make("overlong", 2, text("invalid length of a UTF-8 sequence"), HEADER, b'- {"a": "\xc0\xaf"}\n')
make("utf-16", 1, LEADING % 0xff, '- {"p11tape": 1}\n'.encode("utf-16"))
make("junk", 1, CONTROL % 0x0b, bytes((i * 37 + 11) % 256 for i in range(4096)))
make("elf", 1, CONTROL % 0x7f, b"\x7fELF\2\1\1" + bytes(4096))
make("gzip", 1, CONTROL % 0x1f, b"\x1f\x8b\x08" + bytes(4096))
make("far-behind", 10002, LEADING % 0xfe, HEADER,
     b"".join(b'- {"gap": %d}\n' % i for i in range(1, 10001)), b"- \xfe\n")

# Deep.
make("deep-lists", 2, TOO_DEEP, HEADER, b'- {"a": ', b"[" * 100000, b"]" * 100000, b"}\n")
make("deep-and-open", 2, TOO_DEEP, HEADER, b"- ", b"[" * 100000)
make("deep-mappings", 2, TOO_DEEP, HEADER, b"- ", b'{"a": ' * 100000, b"1", b"}" * 100000, b"\n")
make("deep-block", 2, TOO_DEEP, HEADER, b"- ", b"- " * 100000, b"1\n")

# Many and long.
make("many-keys", 2, "a mapping has too many keys", HEADER,
     b'- {"call": "C_Logout", ', b", ".join(b'"k%d": 1' % i for i in range(100000)), b"}\n")
make("many-header-keys", 1, "a mapping has too many keys",
     b'- {"p11tape": 1, ', b", ".join(b'"k%d": 1' % i for i in range(100000)), b"}\n")
make("many-parts", 2, "an item has too many parts", HEADER,
     call(b"C_FindObjectsInit", b'"pTemplate": [' + b"{}," * 2200000 + b"{}]"))
make("many-attributes", 2, "C_FindObjectsInit, pTemplate: too many attributes", HEADER,
     call(b"C_FindObjectsInit", b'"pTemplate": [' + b"{}," * 1100000 + b"{}]"))
make("many-open-calls", 10002, "more than 10000 calls are open at once", HEADER,
     b"".join(b'- {"call": "C_Logout", "id": %d, "in": {"hSession": 1}}\n' % i for i in range(1, 12000)))
make("long-line", 2, "C_DigestUpdate, pPart: an even number of hexadecimal digits in quotes is expected",
     HEADER, call(b"C_DigestUpdate", b'"pPart": {"hex": "' + b"00" * 5000000 + b'0"}'))
make("long-torn-line", 3, "not YAML: did not find expected ',' or '}', in what begins on line 2", HEADER,
     b'- {"call": "C_DigestUpdate", "id": 1, "in": {"pPart": {"hex": "' + b"00" * 5000000,
     b'\n- {"return": 1, "rv": "CKR_OK"}\n')
make("long-key", 2, "not YAML: did not find expected ',' or '}'", HEADER, b'- {"' + b"k" * 10000000 + b'": 1}\n')
make("long-name", 2, "'" + "C" * 60 + "' is not a function of PKCS#11 3.2", HEADER,
     b'- {"call": "' + b"C" * 1000000 + b'", "id": 1}\n')
make("long-blank", 10000003, "not YAML: did not find expected node content", HEADER, b"\n" * 10000000, b"- [\n")

# Claims of a gigabyte and more, with nothing behind them.
ROOM = "the call's inputs offer no room for this"
make("claimed-template", 2, "C_GetAttributeValue, pTemplate: a length that no memory holds", HEADER,
     b'- {"call": "C_GetAttributeValue", "id": 1, "in": {"hSession": 1, "hObject": 1, "pTemplate": '
     b'[{"type": "CKA_WRAP_TEMPLATE", "room": {"template": "0x7fffffffffffffff"}, "template": []}]}}\n')
make("claimed-attribute", 3, "C_GetAttributeValue, pTemplate: as many attributes as in the call's inputs "
     "are expected", HEADER,
     b'- {"call": "C_GetAttributeValue", "id": 1, "in": {"hSession": 1, "hObject": 1, "pTemplate": '
     b'{"len": 1073741824}}}\n- {"return": 1, "out": {"pTemplate": [{"len": 1}]}, "rv": "CKR_OK"}\n')
make("claimed-room", 4, "C_SignFinal, pSignature: " + ROOM, HEADER,
     b'- {"call": "C_SignFinal", "id": 1, "in": {"hSession": 1, "pSignature": {"room": 1073741824}}}\n'
     b'- {"call": "C_SignFinal", "id": 2, "in": {"hSession": 1, "pSignature": {"room": null, "len": '
     b'1073741824}}}\n- {"return": 2, "out": {"pSignature": {"len": 1073741824, "hex": "00"}}, "rv": "CKR_OK"}\n')
make("claimed-list", 3, "C_GetSlotList, pSlotList: " + ROOM, HEADER,
     b'- {"call": "C_GetSlotList", "id": 1, "in": {"tokenPresent": true, "pSlotList": {"room": 1}}}\n'
     b'- {"return": 1, "out": {"pSlotList": {"len": 1073741824, "list": [1, 2]}}, "rv": "CKR_OK"}\n')
make("gigabyte", 2, CONTROL % 0, HEADER)
os.truncate("gigabyte.yaml", 1 << 30)
EOF

for file in *.yaml; do
	expect_bad "$file" "$(<"${file%.yaml}.err")"
	rm "$file" "${file%.yaml}.err"
done

# A value larger than the memory that there is.
if [[ $limit != unlimited ]]; then
	{
		printf '%s\n' '- {"p11tape": 1, "version": "0.1.0"}'
		printf '%s' '- {"call": "C_DigestUpdate", "id": 1, "in": {"hSession": 1, "pPart": {"hex": "'
		head -c 100M /dev/zero | tr '\0' a
		printf '%s\n' '"}}}'
	} >large.yaml
	limit=131072
	expect_bad large.yaml 'large.yaml:2: out of memory'
	limit=524288
	rm large.yaml
fi

# What is no file of lines at all.
mkdir directory.yaml
expect_bad directory.yaml 'directory.yaml: is a directory'
expect_bad missing.yaml 'missing.yaml: cannot be opened: No such file or directory'
expect_bad /dev/null '/dev/null:1: empty: not a p11tape trace'
status=0
echo 'p11tape: 1' | "$P11TAPE" validate - 2>err || status=$?
[[ $status == 2 && $(<err) == "p11tape: -:1: a trace is a sequence: '- ' is expected" ]] || fail "-: $(<err)"

# ---- cut short ---------------------------------------------------------------------------------------

cat >whole.yaml <<'EOF'
- {"p11tape": 1, "version": "0.1.0"}
- {"call": "C_OpenSession", "id": 1, "at": 0.000010, "in": {"slotID": 1, "flags": ["CKF_SERIAL_SESSION"], "pApplication": null, "Notify": null}}
- {"return": 1, "out": {"phSession": 1}, "rv": "CKR_OK", "took": 0.000001234}
- {"call": "C_SeedRandom", "id": 2, "at": 0.000020, "in": {"hSession": 1, "pSeed": {"text": "}{\"\\[] é 😀"}}}
- {"return": 2, "rv": "CKR_OK", "took": 0.000001234}
- {"end": "exit", "last": 2, "open": []}
EOF
"$P11TAPE" validate -q whole.yaml || fail "the whole trace"

expect_short() { # FILE WARNING
	run_limited validate "$1"
	[[ $status == 1 && ! -s err ]] || fail "validate $1: $status, $(<err)"
	run_limited show "$1"
	[[ $status == 0 ]] || fail "show $1: $status, $(<err)"
	[[ $(<err) == "p11tape: $1: $2"* && $(wc -l <err) == 1 ]] || fail "show $1: $(<err)"
	run_limited fmt "$1"
	[[ $status == 0 ]] || fail "fmt $1: $status, $(<err)"
}

sed '$d' whole.yaml >cut.yaml
expect_short cut.yaml 'the end is missing'
"$P11TAPE" fmt whole.yaml | sed '/^- end/,$d' >cut.yaml
expect_short cut.yaml 'the end is missing'

# Wherever a write is torn, what stands before it is read.
begin=$(sed -n '1,3p' whole.yaml | wc -c)
for ((size = begin + 1; size < $(wc -c <whole.yaml) - 1; size += 5)); do
	head -c "$size" whole.yaml >cut.yaml
	case $(tail -c 1 cut.yaml) in
	'') expect_short cut.yaml 'the end is missing' ;;
	*)
		last=$(tail -n 1 cut.yaml)
		if grep -qxF -- "$last" whole.yaml; then
			expect_short cut.yaml 'the end is missing' # all but its newline is there
		else
			expect_short cut.yaml 'the last line is torn'
		fi
		;;
	esac
done

# Torn at a claim of a quarter of a gigabyte.
head -c $((begin + 40)) whole.yaml >cut.yaml
truncate -s 256M cut.yaml
expect_short cut.yaml 'the last line is torn'

echo "$count kept, and those that were made: each refused with its sentence"
