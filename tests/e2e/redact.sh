#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Redaction policies with pkcs11-tool and SoftHSM2: PINs, keys and data are made up here, passed through every
# way that there is (created, unwrapped, derived, read, encrypted, decrypted, digested, signed) under every
# policy, and searched for in every byte that was written; and the traces are replayed.
. "$(dirname "$0")/lib.sh"
need pkcs11-tool softhsm2-util openssl python3
new_token redact
canaries=$P11TAPE_SOURCE_DIR/tests/tools/canaries.py
softhsm2-util --init-token --free --label canaries --so-pin so-pin-2741-canary --pin user-pin-9306-canary >/dev/null
login=(--token-label canaries --login --pin user-pin-9306-canary)

# ---- what is secret -------------------------------------------------------------------------------

hex() { cat "$@" | od -An -v -tx1 | tr -d ' \n'; }
openssl rand -out secret.key 32
openssl rand -out plain 32
openssl rand -out large 150000
printf 'data "object" \\ canary 6620' >object
openssl genrsa -out rsa.pem 1024 2>/dev/null
openssl pkcs8 -topk8 -nocrypt -in rsa.pem -outform DER -out rsa.der
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem
openssl pkcs8 -topk8 -nocrypt -in ec.pem -outform DER -out ec.der
openssl ecparam -name prime256v1 -genkey -noout -out peer.pem
openssl pkey -in peer.pem -pubout -outform DER -out peer.der
openssl pkeyutl -derive -inkey ec.pem -peerkey <(openssl pkey -in peer.pem -pubout) -out derived
openssl req -x509 -key rsa.pem -subj /CN=visible -days 9 -outform DER -out cert.der 2>/dev/null
openssl pkey -in rsa.pem -pubout -outform DER -out rsa.pub.der
{
	echo "user-pin $(printf user-pin-9306-canary | hex)"
	echo "so-pin $(printf so-pin-2741-canary | hex)"
	echo "new-pin $(printf new-pin-1187-canary | hex)"
} >pins
{
	echo "secret-key $(hex secret.key)"
	echo "derived-key $(hex derived)"
	echo "rsa private $PWD/rsa.pem"
	echo "ec private $PWD/ec.pem"
} >keys
{
	echo "plain $(hex plain)"
	echo "large $(hex large)"
	echo "object $(hex object)"
} >data
# What is nowhere under any policy: a program's arguments and its environment.
echo "argument $(printf zqxw7341kvjp | hex)" >never
echo "environment $(printf wjxk8051qvzb | hex)" >>never
export P11TAPE_TEST_CANARY=wjxk8051qvzb
cp secret.key zqxw7341kvjp
openssl rand -hex 20 | sed 's/^/absent /' >absent

# The search finds what is there: in a file that has them all, and not what is not.
upper() { hex plain | tr a-f A-F; }
cp pins pins.has
cp data data.has
{
	openssl pkey -in rsa.pem -noout -text
	openssl pkey -in ec.pem -noout -text
	hex secret.key derived
} | tr -d ' :\n' >keys.has
for list in pins keys data; do
	cp "$list.has" has
	"$canaries" --found "$list" has || fail "$list: the search is blind"
	! "$canaries" "$list" has >/dev/null || fail "$list: the search says nothing"
	"$canaries" "$list" /dev/null || fail "$list: the search sees things"
	! "$canaries" --found absent has >/dev/null || fail "the search finds what is not there"
done
for spell in 'cat plain' 'base64 -w0 plain' upper 'iconv -f latin1 -t utf-16le plain'; do
	$spell >has
	! "$canaries" data has >/dev/null || fail "the search does not see $spell"
done

# ---- recording ------------------------------------------------------------------------------------

# Under a policy, NAME.yaml; in a directory of the policy's own.
tool() { # NAME ARGUMENTS…
	local name=$1
	shift
	run "$name" "$P11TAPE" record --redact "$policy" -m "$softhsm" -o "$name.yaml" -- pkcs11-tool --module {} "$@"
	[[ $(<"$name.status") == 0 ]] || fail "$policy, $name: $(tail -n 3 "$name.out")"
	[[ ! -f result ]] || mv result "$name.result"
	printf '%q ' "$@" >"$name.arguments"
}

iv=00112233445566778899aabbccddeeff
record_all() {
	tool create "${login[@]}" --write-object ../zqxw7341kvjp --type secrkey --key-type AES:32 --id 01 --label k --extractable
	tool private "${login[@]}" --write-object ../rsa.der --type privkey --id 02 --label r --usage-sign --usage-decrypt --extractable
	tool ec "${login[@]}" --write-object ../ec.der --type privkey --id 03 --label e --usage-derive
	tool certificate "${login[@]}" --write-object ../cert.der --type cert --id 02 --label r
	tool object "${login[@]}" --write-object ../object --type data --label o
	tool generate "${login[@]}" --keygen --key-type AES:16 --id 05 --label g
	tool encrypt "${login[@]}" --encrypt --id 01 --mechanism AES-CBC-PAD --iv "$iv" --input-file ../plain --output-file result
	tool decrypt "${login[@]}" --decrypt --id 01 --mechanism AES-CBC-PAD --iv "$iv" --input-file encrypt.result --output-file result
	tool large "${login[@]}" --encrypt --id 01 --mechanism AES-CBC-PAD --iv "$iv" --input-file ../large --output-file result
	tool digest --token-label canaries --hash --mechanism SHA256 --input-file ../plain --output-file result
	tool sign "${login[@]}" --sign --id 02 --mechanism SHA256-RSA-PKCS --input-file ../plain --output-file result
	tool derive "${login[@]}" --derive --id 03 --mechanism ECDH1-DERIVE --input-file ../peer.der --output-file result
	tool read "${login[@]}" --read-object --type secrkey --id 01 --output-file result
	tool read-certificate "${login[@]}" --read-object --type cert --id 02 --output-file result
	tool read-object "${login[@]}" --read-object --type data --label o --output-file result
	tool list "${login[@]}" --list-objects
	tool pin "${login[@]}" --change-pin --new-pin new-pin-1187-canary
	tool pin-back --token-label canaries --login --pin new-pin-1187-canary --change-pin --new-pin user-pin-9306-canary
	cmp decrypt.result ../plain
	cmp read.result ../secret.key
	cmp derive.result ../derived
	cmp read-certificate.result ../cert.der
	cmp read-object.result ../object
}

# ---- replaying ------------------------------------------------------------------------------------

# What a replay prints and writes is what the recorded run did; with `made up`, in other bytes.
replay() { # NAME [made up]
	local name=$1
	eval "set -- $(<"$name.arguments")"
	run replayed "$P11TAPE" replay --report report.json "$name.yaml" -- pkcs11-tool --module {} "$@"
	[[ $(<replayed.status) == 0 ]] || fail "$policy, $name: replayed: $(tail -n 5 replayed.out)"
	if [[ -f $name.result ]]; then
		[[ $(stat -c %s "$name.result") == $(stat -c %s result) ]] || fail "$policy, $name: another length"
		mv result "$name.replayed"
	fi
	cp replayed.out "$name.replayed.out"
	cp report.json "$name.json"
	rm report.json
	rm -f result
	# Recorded again, it is the trace.
	[[ $policy == *plaintext* ]] || return 0
	run again env P11TAPE_REPLAY="$PWD/$name.yaml" "$P11TAPE" record --redact "$policy" \
		-m "$("$P11TAPE" module replayer --for "$name.yaml")" -o again.yaml -- pkcs11-tool --module {} "$@"
	calls_of "$name.yaml" >one
	calls_of again.yaml >two
	same "$policy, $name: the replay recorded again" one two
	rm -f result
}

all=(create private ec certificate object generate encrypt decrypt large digest sign derive read read-certificate
	read-object list pin pin-back)
replay_all() {
	local name names=("${all[@]}")
	[[ $policy == *secret* ]] || names=(decrypt read read-certificate read-object)
	for name in "${names[@]}"; do
		replay "$name"
	done
	# What is not redacted is the same; of what is, the program gets as much.
	for name in encrypt large digest sign read-certificate; do
		[[ ! -f $name.replayed ]] || cmp "$name.result" "$name.replayed"
	done
	for name in decrypt read-object; do
		if [[ $policy == *plaintext* ]]; then
			! cmp -s "$name.result" "$name.replayed" || fail "$policy, $name: where does the replay have it from?"
			grep -q "\"made-up\": $(stat -c %s "$name.result")[,}]" "$name.json" || fail "$policy, $name: $(<"$name.json")"
		else
			cmp "$name.result" "$name.replayed"
		fi
	done
	if [[ $policy == *secret* ]]; then
		[[ $(<read.replayed) == 1value-1value-1value-1value-1val ]] || fail "$policy: read: $(<read.replayed)"
		grep -q '"divergences": 0, "made-up": 32[,}]' read.json || fail "$policy: $(<read.json)"
	else
		cmp read.result read.replayed
	fi
	# A divergence shows no more than the trace. A key of another length is another key.
	head -c 31 ../secret.key >other
	for name in label other; do
		set -- "${login[@]}" --write-object ../secret.key --type secrkey --key-type AES:32 --id 01 --label "$name" --extractable
		[[ $name == label ]] || set -- "${login[@]}" --write-object other --type secrkey --key-type AES:32 --id 01 --label k --extractable
		run "diverged-$name" "$P11TAPE" replay --report "diverged-$name.json" create.yaml -- pkcs11-tool --module {} "$@"
		[[ $(<"diverged-$name.status") != 0 ]] || fail "$policy: $name is not seen"
		grep -q 'C_CreateObject was recorded with another pTemplate' "diverged-$name.out" || fail "$(<"diverged-$name.out")"
	done
}

# ---- every policy ---------------------------------------------------------------------------------

cp -a tokens fresh
for policy in pin none secret secret,plaintext; do
	rm -rf tokens && cp -a fresh tokens
	mkdir "$policy"
	cd "$policy"
	record_all
	"$P11TAPE" validate --quiet ./*.yaml || fail "$policy: validate"
	grep -q "\"redact\": \"$policy\"" create.yaml || fail "$policy: $(head -n 1 create.yaml)"
	mv ../tokens ../away
	replay_all
	mv ../away ../tokens
	cat ./*.yaml ./*.json >written
	# Of what was printed, what we printed.
	grep -hE '^(p11tape|  recorded:|  called:)' ./*.out >>written
	for name in "${all[@]}"; do
		"$P11TAPE" show "$name.yaml" >>written
		"$P11TAPE" fmt "$name.yaml" >>written
	done
	hidden=()
	[[ $policy == none ]] || hidden=(pins)
	[[ $policy != *secret* ]] || hidden+=(keys)
	[[ $policy != *plaintext* ]] || hidden+=(data)
	for list in pins keys data; do
		if [[ " ${hidden[*]} " == *" $list "* ]]; then
			"$canaries" "../$list" written || fail "$policy: $list are out"
		elif [[ $list == pins ]]; then
			grep -v '^so-pin' ../pins >some
			"$canaries" --found some written || fail "$policy: $list should be there"
		else
			"$canaries" --found "../$list" written || fail "$policy: $list should be there"
		fi
	done
	"$canaries" ../never written || fail "$policy: arguments or the environment are out"
	# A certificate is for everybody, under every policy.
	printf 'certificate %s\n' "$(hex ../cert.der)" >visible
	"$canaries" --found visible read-certificate.yaml || fail "$policy: the certificate is hidden"
	cd ..
done

# A name stands for what the program itself presented: keys are wrapped, unwrapped, and read as they were.
through=$P11TAPE_BUILD_DIR/tests/through
softhsm2-util --init-token --free --label through --so-pin 5678 --pin 1234 >/dev/null
run recorded env P11TAPE_MODULE="$softhsm" P11TAPE_TRACE="$work/t.yaml" P11TAPE_REDACT=secret "$through" "$P11TAPE_RECORDER_SO"
[[ $(<recorded.status) == 0 ]] || fail "through: $(tail -n 5 recorded.out)"
! grep -qE '30313233343536373839616263646566|0123456789abcdef|66656463626139383736353433323130|fedcba9876543210' t.yaml ||
	fail "through: a key is out"
[[ $(grep -c '"secret": "value-[12]", "len": 16' t.yaml) -ge 6 ]] || fail "through: no keys have names"
run replayed env P11TAPE_REPLAY="$work/t.yaml" P11TAPE_REPLAY_REPORT="$work/report.json" "$through" "$P11TAPE_REPLAYER_SO"
[[ $(<replayed.status) == 0 ]] || fail "through, replayed: $(tail -n 5 replayed.out)"
same "through: what the recorded and the replayed run show" recorded.out replayed.out

# All functions, as the stub answers them: no policy takes a call from the replay.
stub=$P11TAPE_BUILD_DIR/tests
for policy in pin secret secret,plaintext; do
	rm -f stub.yaml stub.json
	env P11TAPE_MODULE="$stub/p11tape-stub-320.so" P11TAPE_TRACE="$work/stub.yaml" P11TAPE_REDACT="$policy" \
		"$stub/drive-stub" "$P11TAPE_RECORDER_SO" 3.2 >stub.out
	"$P11TAPE" validate --quiet stub.yaml || fail "$policy: the stub's trace"
	env P11TAPE_REPLAY="$work/stub.yaml" P11TAPE_REPLAY_REPORT="$work/stub.json" \
		"$stub/drive-stub" "$P11TAPE_REPLAYER_SO" 3.2 >stub.out 2>stub.err
	sed -n 's/.*"summary": {\(.*"divergences": [0-9]*\).*/\1/p' stub.json >"stub.$policy"
	grep -q '"unused": 0' "stub.$policy" || fail "$policy: $(<stub.json)"
	same "$policy: what was served of the stub's trace" stub.pin "stub.$policy"
done
! grep -E '"p(Data|Part|Plaintext|PlaintextPart|LastPart)": {"(text|hex)": "[^"]' stub.yaml || fail "data is out"

# Words that are no policy, from everywhere they may come.
run bad "$P11TAPE" record --redact all -m "$softhsm" -o bad.yaml -- pkcs11-tool --module {} -L
[[ $(<bad.status) == 2 ]] || fail "--redact all: $(<bad.out)"
grep -qx "p11tape: record: --redact is pin, none, secret or secret,plaintext, not 'all'" bad.out || fail "$(<bad.out)"
run bad env P11TAPE_MODULE="$softhsm" P11TAPE_TRACE="$work/bad.yaml" P11TAPE_REDACT=plaintext \
	pkcs11-tool --module "$P11TAPE_RECORDER_SO" -L
grep -q "P11TAPE_REDACT is pin, none, secret or secret,plaintext, not 'plaintext'" bad.out || fail "$(<bad.out)"
[[ ! -f bad.yaml ]] || fail "a trace was begun under no policy"
"$P11TAPE" module recorder --copy "$work/copy.so" >/dev/null
printf 'P11TAPE_MODULE=%s\nP11TAPE_TRACE=%s\nP11TAPE_REDACT=plaintext,secret\n' "$softhsm" "$work/conf.yaml" >copy.so.conf
pkcs11-tool --module "$work/copy.so" -L >/dev/null
grep -q '"redact": "secret,plaintext"' conf.yaml || fail "the order of words matters"
