#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# p11tape show and fmt on the traces of tests/golden, against what stands beside them; and show's filters,
# its colours, its patience. With --update the expected files are written anew.
. "$(dirname "$0")/lib.sh"
golden=$P11TAPE_SOURCE_DIR/tests/golden
update=${1-}

expect() { # FILE COMMAND…
	local file=$golden/$1
	shift
	"$@" >got 2>got.err || fail "$* ends with status $?: $(<got.err)"
	[[ $update == --update ]] && cp got "$file"
	same "$*: $file" "$file" got
}

for name in session threads notify; do
	trace=$golden/$name.yaml
	expect "$name.show" "$P11TAPE" show "$trace"
	expect "$name.verbose" "$P11TAPE" show -v "$trace"
	expect "$name.block.yaml" "$P11TAPE" fmt "$trace"
	expect "$name.canonical.yaml" "$P11TAPE" fmt --canonical "$trace"
	expect "$name.yaml" "$P11TAPE" fmt --lines "$golden/$name.block.yaml"
	expect "$name.show" "$P11TAPE" show "$golden/$name.block.yaml"
done
expect merged.show "$P11TAPE" show -r "$golden/threads.yaml" "$golden/session.yaml"
[[ $update == --update ]] && exit

# ---- filters: the ids of the calls that are shown ----

ids() { # OPTIONS…
	"$P11TAPE" show -v "$@" "$golden/threads.yaml" | sed -n 's/^C_[A-Za-z]* #\([0-9]*\),.*/\1/p' | xargs
}

is() { # WANTED GOT
	[[ $1 == "$2" ]] || fail "shown: '$2', wanted: '$1'"
}

is '14 13' "$(ids --function 'C_Open*')"
is '13 18 16 19' "$(ids --function 'C_*S*' --function '!*Close*' --thread 2 --id 13-)"
is '20 24' "$(ids --function C_CloseSession)"
is '14 20' "$(ids --thread 3)"
is '13 18 16 19 24' "$(ids --session 2)"
is '10 19 12' "$(ids --rv '!CKR_OK')"
is '19' "$(ids --rv 'CKR_DEV*')"
is '15 14' "$(ids --id 14-15)"
is '12' "$(ids --id 12)"

# ---- colours: only when asked for, where the output is no terminal ----

"$P11TAPE" show "$golden/session.yaml" | grep -q $'\033' && fail "colours in a pipe"
"$P11TAPE" show --color always "$golden/session.yaml" | grep -q $'\033' || fail "no colours"

# ---- two modules of one process, one of them loaded twice: whatever is done to the time of day ----

process='"process": {"program": "p", "pid": 5, "start": 9}'
cat >left.yaml <<END
- {"p11tape": 1, "started": "2026-11-21T10:00:00.000000Z", "clock": 100.000000000, $process, "module": {"path": "/left.so"}}
- {"call": "C_Logout", "id": 1, "at": 1.000000000, "in": {"hSession": 1}}
- {"return": 1, "rv": "CKR_OK", "took": 0.500000000}
- {"end": "unload", "last": 1, "open": []}
- {"p11tape": 1, "started": "2026-11-21T09:00:00.000000Z", "clock": 103.000000000, $process, "load": 2, "module": {"path": "/left.so"}}
- {"call": "C_Logout", "id": 2, "at": 0.500000000, "in": {"hSession": 2}}
- {"call": "C_Logout", "id": 3, "at": 0.500000000, "in": {"hSession": 5}}
- {"return": 2, "rv": "CKR_OK", "took": 0.100000001}
- {"end": "exit", "load": 2, "last": 3, "open": [3]}
END
cat >right.yaml <<END
- {"p11tape": 1, "started": "2026-11-21T11:00:00.000000Z", "clock": 102.000000000, $process, "module": {"path": "/right.so"}}
- {"call": "C_Logout", "id": 1, "at": 0.200000000, "in": {"hSession": 11}}
- {"return": 1, "rv": "CKR_OK", "took": 0.100000000}
- {"call": "C_Logout", "id": 2, "at": 1.500000000, "in": {"hSession": 12}}
- {"return": 2, "rv": "CKR_OK", "took": 0.100000000}
- {"end": "exit", "last": 2, "open": []}
END
printf '%s\n' 'left 1' unload 'right 11' load 'right 12' exit 'left 2' 'left 5' exit >expected
for order in 'left right' 'right left'; do
	read -r first second <<<"$order"
	"$P11TAPE" show "$first.yaml" "$second.yaml" >shown 2>/dev/null
	sed -n 's/.* \([a-z]*\)\.so [#0-9 ]*C_Logout.*hSession=\([0-9]*\)).*/\1 \2/p; s/.*so +++ end: \([a-z]*\).*/\1/p; s/.*load 2$/load/p' shown >order
	same "traces of one process, merged ($order)" order expected
done

# ---- what a trace says cannot command the terminal ----

cat >hostile.yaml <<'END'
- {"p11tape": 1, "process": {"program": "a\u001b[31mb\u0007"}, "module": {"path": "x\ny"}}
- {"call": "C_\u001bX", "id": 1, "thread": 7, "in": {"a\u009b": {"text": "\u202e\u0000\t"}, "b": [[], {}, {"hex": "\u001b\u001b"}]}}
- {"return": 1, "out": {"a\u009b": [{"type": {}}, 3]}, "rv": "CKR_OK", "\u001b": 1}
END
"$P11TAPE" show -v hostile.yaml >got 2>got.err || true
LC_ALL=C grep -q $'[\001-\010\013-\037\177]' got got.err && fail "control characters are printed"
grep -q $'\u202e' got && fail "marks that turn text around are printed"

# ---- no calls, torn, cut off ----

head -n 1 "$golden/session.yaml" >empty.yaml
"$P11TAPE" show empty.yaml 2>got.err | grep -q 'no PKCS#11 call was recorded' || fail "nothing said of no calls"
grep -q 'the end is missing' got.err || fail "nothing said of the missing end"
head -c 3000 "$golden/session.yaml" >torn.yaml
"$P11TAPE" show torn.yaml >got 2>got.err || fail "a torn trace is not shown"
grep -q 'the last line is torn' got.err || fail "nothing said of the torn line"

# ---- --follow prints what is there, waits, and ends with the trace ----

head -c 3000 "$golden/session.yaml" >growing.yaml
timeout 60 "$P11TAPE" show --follow growing.yaml >followed 2>&1 &
for _ in $(seq 100); do
	grep -q C_OpenSession followed && break
	sleep 0.1
done
tail -c +3001 "$golden/session.yaml" >>growing.yaml
wait $! || fail "--follow ends with status $?"
same "--follow" "$golden/session.show" followed
