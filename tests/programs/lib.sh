# SPDX-License-Identifier: MIT
#
# What the tests with real programs share; sourced. A test is a file of rows. A row runs a program three
# times: by itself, recorded, and replayed with the real module hidden; see `row`.
#
# The environment names what is under test: P11TAPE, P11TAPE_RECORDER_SO, P11TAPE_REPLAYER_SO,
# P11TAPE_SOURCE_DIR, P11TAPE_BUILD_DIR. P11TAPE_ROWS='PATTERN' runs only the rows that match,
# P11TAPE_KEEP=DIRECTORY keeps everything there, P11TAPE_ROWS_REDACT=POLICY records under another policy than pin.
# P11TAPE_ROWS_UNMODIFIED=yes runs each row's command as it is: it names its own module, which in the replay is
# not there, and p11tape steps in by itself.
#
# A test whose module needs daemons, or changes what belongs to the machine, has an array `namespaces` of
# options of unshare(1) before it sources this: all of it then runs there, and what it leaves ends with it.
#
# A test whose program is told a port before it listens there has own_network=yes: where that is allowed nobody
# else is in it, and free_port() is never taken.
# shellcheck shell=bash disable=SC2034 # variables are for the rows
set -euo pipefail
if [[ ${own_network:-no} == yes && -z ${P11TAPE_UNSHARED:-} ]] && unshare --net ip link set lo up 2>/dev/null; then
	namespaces=(--net)
fi
if [[ -n ${namespaces:-} && -z ${P11TAPE_UNSHARED:-} ]]; then
	namespaces=(unshare --mount --pid --fork --kill-child --mount-proc "${namespaces[@]}")
	! "${namespaces[@]}" true 2>/dev/null || P11TAPE_UNSHARED=yes exec "${namespaces[@]}" "$0"
fi
[[ ${own_network:-no} == no || -z ${P11TAPE_UNSHARED:-} ]] || ip link set lo up
export LC_ALL=C.UTF-8
# The mode of every replay, unless a test is about another one and names it.
export P11TAPE_REPLAY_MODE=${P11TAPE_TEST_MODE:-strict}
unset "${!XDG_@}"

if [[ -n ${P11TAPE_KEEP:-} ]]; then
	rm -rf "$P11TAPE_KEEP"
	mkdir -p "$P11TAPE_KEEP"
	work=$(realpath "$P11TAPE_KEEP")
else
	work=$(mktemp -d)
fi
export work HOME=$work/home
mkdir "$work/home" "$work/rows" "$work/hidden"
programs=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
family=$(basename "$0" .sh)
helpers=() # processes that end with us
drives=no # yes: the traces of a test are driven against the module, see `driven`; all: those of rows with rules, too
drive_in=()
skipped=0
patience=120 # seconds that a run may take before it is said to hang

end() {
	local status=$? pid
	trap - EXIT
	for pid in "${helpers[@]}"; do
		! kill "$pid" 2>/dev/null || wait "$pid" 2>/dev/null || true
	done
	cd /
	[[ -n ${P11TAPE_KEEP:-} ]] || rm -rf "$work"
	[[ $status != 0 || $skipped == 0 ]] || status=77
	exit "$status"
}
trap end EXIT
trap 'exit 143' TERM INT

# The facts of each row: what tests/programs/report.py makes docs/compatibility.md of.
results=${P11TAPE_BUILD_DIR:-$work}/programs/$family.tsv
unmodified=${P11TAPE_ROWS_UNMODIFIED:-no}
[[ ${P11TAPE_ROWS_REDACT:-pin} == pin && $unmodified == no ]] || results=$work/$family.tsv
mkdir -p "$(dirname "$results")"
: >"$results"

# PINs that are found wherever they leak to.
user_pin="pin-7391-canary"
so_pin="so-4826-canary"
other_pin="other-5512-canary"
short_pin="pin-7391" # for modules that take eight characters at most
short_so_pin="so-4826c"
export user_pin so_pin other_pin short_pin short_so_pin

# What is encrypted and signed, where a row may choose; and what a program is told that is not for the trace.
known_data="data-8264-canary, twenty-nine"
policy=${P11TAPE_ROWS_REDACT:-pin}
export P11TAPE_TEST_CANARY="xvqj3907wzkp"

multiarch=/usr/lib/$(gcc -print-multiarch 2>/dev/null || dpkg-architecture -qDEB_HOST_MULTIARCH)

# ---- small things -----------------------------------------------------------------------------------

fail() {
	echo "FAIL: ${row:+$family/$row: }$*" >&2
	exit 1
}
# shellcheck source-path=SCRIPTDIR
. "$programs/../tools/await.sh"

# Give up on all rows: ctest shows it, and ci/programs fails.
skip_all() { # WHY
	echo "skipped: $family: $1"
	printf '%s\t' "$family" '(all)' "${program:-}" '' '' '' 0 0 0 skipped '' >>"$results"
	printf '%s\n' "$1" >>"$results"
	exit 77
}

[[ -z ${namespaces:-} || -n ${P11TAPE_UNSHARED:-} ]] || skip_all "not allowed here: ${namespaces[*]}"

need_all() { # PROGRAM…, files if they begin with /
	local need
	for need; do
		command -v "$need" >/dev/null || [[ $need == /* && -e $need ]] || skip_all "there is no $need"
	done
}

# Start a process that ends with us; its output goes to FILE.
helper() { # FILE COMMAND…
	local file=$1
	shift
	"$@" >"$file" 2>&1 </dev/null &
	helpers+=($!)
}

# The Debian package of a file, and its version: "opensc 0.23.0-0.3+deb12u2".
package_of() { # FILE
	local file package
	[[ -n $1 ]] || return 0
	file=$(readlink -f "$1")
	package=$(dpkg-query --search "$file" 2>/dev/null || dpkg-query --search "/usr$file" 2>/dev/null ||
		dpkg-query --search "${file#/usr}" 2>/dev/null || true)
	package=${package%%,*}
	package=${package%%: *}
	[[ -z $package ]] || dpkg-query --show --showformat '${source:Package} ${Version}' "$package"
}

# A port of 127.0.0.1 that nobody uses now.
free_port() { # [udp]
	if [[ ${own_network:-no} == yes && -n ${P11TAPE_UNSHARED:-} ]]; then
		echo 4433
		return
	fi
	python3 - "${1:-tcp}" <<-'end'
		import socket, sys
		with socket.socket(type=socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM) as probe:
		    probe.bind(("127.0.0.1", 0))
		    print(probe.getsockname()[1])
	end
}

# ---- tokens, keys, certificates ---------------------------------------------------------------------

softhsm=$(find /usr/lib /usr/local/lib -name libsofthsm2.so 2>/dev/null | head -n 1)
export SOFTHSM2_CONF=$work/softhsm2.conf
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$work" >"$SOFTHSM2_CONF"

# $work/pki: an authority; server, client (RSA) and client-ec: .crt .key .key.der .pub.der .der; .p12 (password x).
make_pki() {
	[[ ! -d $work/pki ]] || return 0
	need_all openssl
	mkdir "$work/pki"
	(
		cd "$work/pki"
		openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 3650 -subj "/CN=Test Authority" \
			-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
		openssl x509 -in ca.crt -outform DER -out ca.der
		for name in server client client-ec; do
			key=(rsa:2048)
			usage='subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n'
			[[ $name != client-ec ]] || key=(ec -pkeyopt ec_paramgen_curve:prime256v1)
			[[ $name == server ]] || usage+='keyUsage=digitalSignature\n'
			make_certificate "$name" "$usage" "${key[@]}"
		done
	) >"$work/pki.log" 2>&1 || fail "no certificates: $(tail -n 3 "$work/pki.log")"
	mkdir -p "$work/anchors/anchors" "$work/anchors/blocklist"
	cp "$work/pki/ca.crt" "$work/anchors/anchors/"
}

# One more for $work/pki, the working directory.
make_certificate() { # NAME EXTENSIONS KEY…
	local name=$1
	printf '%b' "$2" >extensions
	openssl req -new -newkey "${@:3}" -nodes -keyout "$name.key" -out "$name.csr" -subj "/CN=$name"
	openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$name.crt" -days 800 \
		-extfile extensions
	openssl pkcs8 -topk8 -nocrypt -in "$name.key" -outform DER -out "$name.key.der"
	openssl x509 -in "$name.crt" -outform DER -out "$name.der"
	openssl pkey -in "$name.key" -pubout -outform DER -out "$name.pub.der"
	openssl pkcs12 -export -in "$name.crt" -inkey "$name.key" -certfile ca.crt -name "$name" -passout pass:x \
		-out "$name.p12"
}

# A TLS server on a free port of 127.0.0.1, which is in $port then. It has one page, /page.
server() { # NAME OPTIONS…
	local name=$1
	shift
	make_pki
	mkdir -p "$work/site"
	echo 'it works' >"$work/site/page"
	helper "$work/$name.log" env -C "$work/site" openssl s_server -accept 127.0.0.1:0 -WWW \
		-cert "$work/pki/server.crt" -key "$work/pki/server.key" "$@"
	await '^ACCEPT ' "$work/$name.log"
	port=$(sed -n 's/^ACCEPT .*://p' "$work/$name.log" | head -n 1)
}

# Ask a TLS server on this machine for a page, and print what matters.
ask() { # PORT
	printf 'GET / HTTP/1.0\r\n\r\n' | timeout 20 openssl s_client -connect "127.0.0.1:$1" -brief -ign_eof \
		-CAfile "$work/pki/ca.crt" -verify_return_error 2>&1 | sed '/^HTTP\|^Protocol\|^Signature type\|^Verif/!d' || true
}

# Of a row whose program proves in TLS that it has a key: $signs; $signs_once where it does something else after
# its peer has refused it. After `with NAME`, ${by[@]} gives the replay that key, by its label.
live='what is signed holds random bytes of both sides; a live peer refuses the recorded signature'
signs=(--match C_Sign.pData=length --served --why "$live")
signs_once=(--match C_Sign.pData=length --up-to C_Sign --why "$live")
with() { # NAME
	by=(--key "CKA_LABEL=$1,$work/pki/$1.key")
}

# The SoftHSM2 token "clitok": client is key 11, client-ec is key 12, the authority's certificate is 20.
# Every run begins with it as it is after this.
make_token() {
	local name id=11
	[[ ! -d $work/tokens.0 ]] || return 0
	need_all softhsm2-util pkcs11-tool
	make_pki
	mkdir -p "$work/tokens"
	{
		softhsm2-util --init-token --free --label clitok --so-pin "$so_pin" --pin "$user_pin"
		for name in client client-ec; do
			into_token "$name" $id
			id=$((id + 1))
		done
		write_object "$work/pki/ca.der" --type cert --id 20 --label authority
	} >"$work/token.log" 2>&1 || fail "no token: $(tail -n 3 "$work/token.log")"
	keep_token
}

# Run a command that makes an object in SoftHSM2's token, and give its file a name that is the next one in every run
# of a test, not a random one: SoftHSM2 loads objects by name, and lists them by where they came to lie in memory.
named() { # COMMAND…
	local file next
	"$@" || return
	for file in "$work"/tokens/*/*-*-*-*-*.object; do
		next=${file%/*}/$(find "${file%/*}" -name '*.object' | wc -l)
		mv "$file" "$next.object"
		mv "${file%.object}.lock" "$next.lock"
	done
}

# Every run begins with the token as it is now.
keep_token() {
	rm -rf "$work/tokens.0"
	cp -a "$work/tokens" "$work/tokens.0"
}

write_object() { # FILE OPTION…
	named pkcs11-tool --module "$softhsm" --token-label clitok --login --pin "$user_pin" --write-object "$@"
}

into_token() { # NAME ID
	write_object "$work/pki/$1.key.der" --type privkey --id "$2" --label "$1" --usage-sign
	write_object "$work/pki/$1.pub.der" --type pubkey --id "$2" --label "$1"
	write_object "$work/pki/$1.der" --type cert --id "$2" --label "$1"
}

# The name of something in the token: an RFC 7512 URI, with the PIN.
uri() { # LABEL [PIN [TYPE]]
	echo "pkcs11:token=clitok;object=$1;type=${3:-private};pin-value=${2:-$user_pin}"
}

# What comes before every run: the same state. A test may define its own, and call this one in it.
fresh_token() {
	[[ ! -d $work/tokens.0 ]] || { rm -rf "$work/tokens" && cp -a "$work/tokens.0" "$work/tokens"; }
}
fresh() { fresh_token; }

# The modules that rows are recorded on. `module` is the file, `target` its name in the report.
use_softhsm() {
	module=$softhsm
	module_from=$softhsm
	target=SoftHSM2
	[[ -z $module ]] || make_token
}
use_module() { # NAME FILE [PACKAGE'S FILE]
	target=$1
	module=$2
	module_from=${3:-$2}
}

# Where a program finds its module by itself, by entry points that only `record -m PATTERN` steps into: the pattern for
# unmodified rows. The module stays where it is then, for its other entry points; what it works on is in $work/tokens.
stays=""

# OpenSSL's engine for PKCS#11 is $engine. If it finds no key, most programs end in a crash, since SoftHSM2 uses
# memory that it has freed: $crashes is for their rows, and GLIBC_TUNABLES=$sure leaves nothing usable there.
need_engine() {
	need_all openssl
	engine=$(openssl version -e | sed -n 's/^ENGINESDIR: "\(.*\)"$/\1/p')/pkcs11.so
	[[ -e $engine ]] || skip_all "there is no $engine"
	sure=glibc.malloc.tcache_count=0:glibc.malloc.mxfast=0:glibc.malloc.perturb=90
	crashes=(--cut --no-fixed-point --but C_CloseAllSessions --undriven 'what it does with freed memory is chance'
		--why "SoftHSM2 crashes in C_CloseAllSessions when OpenSSL's exit handler calls it")
}

# p11-kit reads no user's registry for root: its own is replaced, in a mount namespace.
need_registry() {
	unshare --mount true 2>/dev/null || skip_all 'no mount namespaces here (not root?)'
}

# Run a command with a registry that has one module.
registered() { # MODULE LINES COMMAND…
	mkdir -p "$work/registry"
	printf 'module: %s\n%s\n' "$1" "$2" >"$work/registry/tested.module"
	shift 2
	# shellcheck disable=SC2016 # the inner shell's
	unshare --mount "$BASH" -euc 'mount --bind "$1" /usr/share/p11-kit/modules; shift; exec "$@"' inner \
		"$work/registry" "$@"
}

# ---- rows -------------------------------------------------------------------------------------------

# row NAME [OPTION…] -- COMMAND…
#
# COMMAND has {} where it names its module. It may be a function of the test. It runs in an empty directory;
# what it prints, its exit status and the files that it leaves there are its result.
#
#   --program PROGRAM   what the report calls it, and whose package's version it shows (default: $program)
#   --from FILE         look up the version by this file instead
#   --needs PROGRAMS    skip the row where one of them is missing; files if they begin with /
#   --vary SED          what differs in the output of two runs without us (extended regular expressions)
#   --varies FILES      files that differ between two runs without us
#   --match RULE        a rule for the replay; may be repeated: the row is "with rule"
#   --twice             p11tape rules proposes these rules, and no others, of two recordings
#   --up-to FUNCTION    the replay serves everything up to the first FUNCTION; what comes then is not compared
#   --key KEY           and a replay in lenient mode with this test key does everything as recorded; may be repeated
#   --served            the replay serves every call, and none is left; what is printed then is not compared
#   --but PATTERN       the replay reports divergences, all like this, and does everything else as recorded
#   --lacks INTERFACE   it was passed through; the replay says so once, and does everything else as recorded
#   --cannot WHY        not replayed
#   --recorded WHY      only recorded, since a replay is not what the row is for
#   --undriven WHY      its first process is not driven against the module again
#   --why TEXT          why the rule, or where it ends; or a remark
#   --cut               the program is killed, or leaves without a word: its trace may lack the end
#   --absent FILE       another file to hide in the replay; may be repeated
#   --checks            it prints a line for each check of a suite, "pass NAME", "fail NAME" or "skip NAME": count them
#   --no-fixed-point    do not compare the recording of the replay with the trace
row() {
	row=$1
	shift
	local program=$program from="" needs="" vary="" varies="" upto="" but="" lacks="" cannot="" unreplayed="" undriven="" why=""
	local cut=no checks=no fixed_point=yes served=no twice=no
	local rules=() rule_options=() absent=() keys=()
	while [[ $1 != -- ]]; do
		case $1 in
		--program) program=$2 ;;
		--from) from=$2 ;;
		--needs) needs=$2 ;;
		--vary) vary=$2 ;;
		--varies) varies=$2 ;;
		--match) rules+=("$2") rule_options+=("--match=$2") ;;
		--key) keys+=("$2") ;;
		--up-to) upto=$2 ;;
		--but) but=$2 ;;
		--lacks) lacks=$2 ;;
		--cannot | --recorded) cannot=$2 unreplayed=${1#--} ;;
		--undriven) undriven=$2 ;;
		--why) why=$2 ;;
		--absent) absent+=("$2") ;;
		--cut) cut=yes ;;
		--checks) checks=yes ;;
		--no-fixed-point) fixed_point=no ;;
		--served) served=yes ;;
		--twice) twice=yes ;;
		*) fail "row: $1?" ;;
		esac
		case $1 in
		--cut | --checks | --no-fixed-point | --served | --twice) shift ;;
		*) shift 2 ;;
		esac
	done
	shift
	# shellcheck disable=SC2053 # a pattern
	[[ $row == ${P11TAPE_ROWS:-*} ]] || return 0

	local missing=""
	[[ -n $module && -e $module ]] || missing=$target
	local need
	for need in "${program%% *}" $needs; do
		command -v "$need" >/dev/null || [[ -e $need ]] || [[ -n $from && $need == "${program%% *}" ]] ||
			missing="$missing $need"
	done
	if [[ -n $missing ]]; then
		echo "skipped: $family/$row: not on this machine: $missing"
		skipped=$((skipped + 1))
		fact skipped 0 0 0 "$missing"
		return 0
	fi

	local dir=$work/rows/$row
	mkdir "$dir"
	local command=("$@")
	if [[ $(type -t "$1") == function ]]; then
		# shellcheck disable=SC2163 # the function that it names
		export -f "$1"
		command=("$BASH" -euo pipefail -c '"$@"' "$row" "$@")
	fi

	if [[ $unmodified == yes ]]; then
		row_unmodified
		return
	fi

	# By itself.
	attempt direct "" "${command[@]//"{}"/$module}"
	# Recorded.
	attempt recorded "" "$P11TAPE" record --redact "$policy" -m "$module" -o "$dir/trace.yaml" -- "${command[@]}"
	[[ -f $dir/trace.yaml ]] || fail "no trace: $(cat "$dir/recorded.out")"
	like "the recorded run's" direct recorded "$vary" "$varies"
	look_at_traces
	[[ $checks == no ]] || why="$(checked)${why:+; $why}"
	[[ $twice == no ]] || proposed
	# Driven: the module says the same again. What a program computed by a rule, no driver can compute.
	[[ $drives == no || $policy != pin || -n $undriven || ($drives == yes && ${#rules[@]} != 0) ]] || driven
	# Replayed.
	local verdict=exact
	if [[ -n $cannot ]]; then
		verdict=$unreplayed
		why+=${why:+; }$cannot
	elif [[ -n $upto ]]; then
		verdict="up to $upto"
		[[ -z $but ]] || why+="; diverges: $but"
		again replayed
		first_calls trace "$upto" >"$dir/one"
		first_calls replayed "$upto" >"$dir/two"
		grep -q '^up to ' "$dir/one" || fail "the recording does not come up to $upto"
		cmp -s "$dir/one" "$dir/two" ||
			fail "the replay did not come up to $upto: $(diff "$dir/one" "$dir/two" | head -n 20; tail -n 5 "$dir/replayed.out")"
	elif [[ $served == yes ]]; then
		verdict=served
		again replayed
		grep -qE '^p11tape: replay of .* ([0-9]+) of \1 calls served, 0 divergences$' "$dir/replayed.out" ||
			fail "not everything was served: $(tail -n 20 "$dir/replayed.out")"
		[[ $fixed_point == no ]] || same_calls replayed
	else
		[[ ${#rules[@]} == 0 ]] || verdict="with rule"
		[[ -z $but ]] || verdict="with divergence"
		attempt replayed hidden "$P11TAPE" replay "${rule_options[@]}" --report "$dir/report.json" \
			"$dir/trace.yaml" -- "${command[@]}"
		# With made-up bytes a program does what it does: what is written of it is looked at all the same.
		if grep -q '"made-up": ' "$dir/report.json"; then
			[[ $policy == *secret* ]] || fail "bytes were made up under policy $policy"
			verdict="made up"
			but=""
			fixed_point=no
		elif [[ $policy == *plaintext* && $(count thread) != 1 ]]; then
			# Threads' sessions are told apart by what they present, which is hidden.
			verdict="not compared"
			but=""
			fixed_point=no
		else
			[[ -z $but ]] || forgive "$but"
			[[ -z $lacks ]] || lacking
			like "the replayed run's" recorded replayed "" ""
		fi
		if [[ $fixed_point == yes && $(count thread) == 1 ]]; then
			again again
			same_calls again
		fi
	fi
	[[ ${#keys[@]} == 0 || -n $cannot || $policy != pin ]] || with_keys
	canaries
	fact "$verdict" "$(count call)" "$(count thread)" "$(count process)" "$why"
	echo "ok: $family/$row: $verdict"
	row=""
}

# The same with an unmodified command line. The program asks for a module at a path of its own, where in the replay
# nothing is. What a live peer refuses is served, and no more is asked of it.
row_unmodified() {
	local asked=$work/asked/${module##*/} lenient_keys=()
	local all_served='^p11tape: replay of .* ([0-9]+) of \1 calls served, 0 divergences$'
	if [[ ${P11TAPE_REPLAY_MODE:-} == lenient ]]; then
		# It may ask less, or the same again; and what is not recorded a key computes.
		all_served='calls served, 0 divergences$'
		lenient_keys=("${keys[@]/#/--key=}")
	fi
	mkdir -p "$work/asked"
	command=("${command[@]//"{}"/$asked}")
	ln -sf "$module" "$asked"
	attempt direct "" "${command[@]}"
	attempt recorded "" "$P11TAPE" record --redact "$policy" ${stays:+-m "$stays"} -o "$dir/trace.yaml" -- "${command[@]}"
	[[ -f $dir/trace.yaml ]] || fail "no trace: $(cat "$dir/recorded.out")"
	like "the recorded run's" direct recorded "$vary" "$varies"
	look_at_traces
	rm "$asked"
	if [[ -n $cannot || -n $upto ]]; then
		echo "ok: $family/$row: recorded"
	else
		attempt replayed hidden "$P11TAPE" replay --verbose "${rules[@]/#/--match=}" "${lenient_keys[@]}" \
			--report "$dir/report.json" "$dir/trace.yaml" -- "${command[@]}"
		[[ -z $but ]] || forgive "$but"
		[[ -n $but ]] || grep -qE "$all_served" "$dir/replayed.out" ||
			fail "not everything was served: $(tail -n 20 "$dir/replayed.out")"
		sed -i '/^p11tape: /d' "$dir/replayed.out"
		[[ -z $lacks ]] || lacking
		[[ $served == yes ]] || like "the replayed run's" recorded replayed "" ""
		echo "ok: $family/$row: replayed"
	fi
	if [[ ${#keys[@]} != 0 && -z $cannot && $policy == pin ]]; then
		with_keys
		echo "ok: $family/$row: replayed $verdict"
	fi
	canaries
	row=""
}

# Run a command from a fresh state: RUN.out, RUN.status and RUN.files are what it leaves.
attempt() { # RUN HIDDEN? COMMAND…
	local name=$1 hidden=$2 status=0
	shift 2
	fresh
	rm -rf "$dir/run"
	mkdir "$dir/run"
	if [[ -n $hidden ]]; then
		local gone=("$module" "${absent[@]}")
		[[ $unmodified == no || -z $stays ]] || gone=("${absent[@]}")
		rm -rf "$work/tokens"
		(
			cd "$dir/run"
			without "${gone[@]}" -- env LD_DEBUG=files LD_DEBUG_OUTPUT="$dir/ld" timeout "$patience" "$@" \
				>"$dir/$name.out" 2>&1 </dev/null
		) || status=$?
		[[ ${gone[*]} != *"$module"* ]] || ! grep -l "calling init: $module\$" "$dir"/ld.* 2>/dev/null ||
			fail "the replay loaded $module"
		rm -f "$dir"/ld.*
	else
		(cd "$dir/run" && timeout "$patience" "$@" >"$dir/$name.out" 2>&1 </dev/null) || status=$?
	fi
	echo "$status" >"$dir/$name.status"
	mv "$dir/run" "$dir/$name.files"
}

# Run a command where files do not exist: with nothing in their places, if we may.
without() { # FILE… -- COMMAND…
	# shellcheck disable=SC2016 # the inner shell's
	local inner='while [[ $1 != -- ]]; do mount --bind /dev/null "$1"; shift; done; shift; exec "$@"'
	if [[ -z ${can_hide:-} ]]; then
		can_hide=no
		! unshare --mount true 2>/dev/null || can_hide=yes
	fi
	if [[ $can_hide == yes ]]; then
		unshare --mount "$BASH" -euc "$inner" inner "$@"
	else
		while [[ $1 != -- ]]; do shift; done
		shift
		"$@"
	fi
}

# Recorded once more: what differs is what the row has rules for. The replay takes them as they were written. (A policy
# that hides what is signed hides what differs.)
proposed() {
	local status=0
	[[ $policy != *plaintext* ]] || return 0
	mkdir "$dir/twice"
	attempt second "" "$P11TAPE" record --redact "$policy" -m "$module" -o "$dir/twice/trace.yaml" -- "${command[@]}"
	"$P11TAPE" rules "$dir/trace.yaml" "$dir/twice/trace.yaml" >"$dir/rules.yaml" 2>"$dir/rules.err" || status=$?
	[[ ! -s $dir/rules.err ]] || fail "rules: $(cat "$dir/rules.err")"
	[[ $status == $((${#rules[@]} != 0)) ]] || fail "rules ended with $status: $(cat "$dir/rules.yaml")"
	diff <(((${#rules[@]} == 0)) || printf '%s\n' "${rules[@]}" | sort) \
		<(sed -n 's/^    //; s/ #.*//; s/: {as: \(.*\)}/=as:\1/; s/: \([a-z]*\)$/=\1/; /=/p' "$dir/rules.yaml" | sort) ||
		fail "p11tape rules proposes others: $(cat "$dir/rules.yaml")"
	[[ $status == 0 ]] || rule_options=(--rules "$dir/rules.yaml")
}

# The row's command, recorded on the replayer: NAME.yaml, and NAME.PID.yaml of other processes.
again() { # NAME
	local recorder
	recorder=$("$P11TAPE" module recorder --for "$module")
	attempt "$1" hidden "$P11TAPE" replay --verbose "${rule_options[@]}" --report "$dir/$1.json" "$dir/trace.yaml" \
		-- env P11TAPE_MODULE={} P11TAPE_TRACE="$dir/$1.yaml" P11TAPE_REDACT="$policy" "${command[@]//"{}"/$recorder}"
}

# Replayed once more, with keys that sign what no recording has: the peer is content, and so is the program.
with_keys() {
	attempt keyed hidden "$P11TAPE" replay --mode lenient --verbose "${keys[@]/#/--key=}" --report "$dir/keyed.json" \
		"$dir/trace.yaml" -- "${command[@]}"
	grep -q '^p11tape: by key: ' "$dir/keyed.out" || fail "no key was used: $(tail -n 20 "$dir/keyed.out")"
	! grep -q '"divergence": ' "$dir/keyed.json" || fail "divergences with a key: $(tail -n 20 "$dir/keyed.out")"
	sed -i '/^p11tape: /d' "$dir/keyed.out"
	like "the run's with test keys" recorded keyed "$vary" "$varies"
	verdict="with key"
}

# Drive the first process's trace against the module, from the state that the recording began with. PINs that are
# not the user's or the officer's are wrong ones, or new ones. A test with others sets drive_pin, drive_so_pin
# and drive_other_pin; one whose module needs company, the command that brings it: drive_in=(COMMAND…).
driven() {
	mkdir "$dir/driven"
	cd "$dir/driven"
	drive_again "$dir/driven.out" "$dir/trace.yaml" --timeout 100 --pin "${drive_pin:-$user_pin}" --so-pin "${drive_so_pin:-$so_pin}" ||
		fail "driven again: $(head -n 20 "$dir/driven.out")"
	cd - >/dev/null
	[[ $(<"$dir/driven.out") != *" not reached"* ]] || fail "driven again: $(head -n 20 "$dir/driven.out")"
}

# Drive a trace on the module as it was before the recording; secrets that nobody knows are $other_pin.
drive_again() { # OUTPUT TRACE OPTION…
	local output=$1 options=("${@:2}" --destructive) status name
	while true; do
		status=0
		fresh
		"${drive_in[@]}" timeout 120 "$P11TAPE" drive -m "$module" "${options[@]}" >"$output" 2>&1 </dev/null || status=$?
		name=$(sed -n 's/.* presents the secret \(pin-[0-9]*\), and nobody says .*/\1/p' "$output")
		[[ $status == 2 && -n $name && " ${options[*]} " != *" $name="* ]] || return "$status"
		options+=(--secret "$name=${drive_other_pin:-$other_pin}")
	done
}

# Take divergences that are expected from what the replay printed.
forgive() { # PATTERN
	grep -q "divergence [0-9]*: .*$1" "$dir/replayed.out" || fail "no divergence like '$1': the row can go without --but"
	! grep 'divergence [0-9]*: ' "$dir/replayed.out" | grep -v "$1" >"$dir/diff" || fail "$(<"$dir/diff")"
	sed -i -E '/^p11tape(-replayer)?: |^  (called|recorded): /d' "$dir/replayed.out"
	[[ $(<"$dir/replayed.status") != 1 ]] || cp "$dir/recorded.status" "$dir/replayed.status"
}

# Take what the replay said of the interface that it lacks from what it printed.
lacking() {
	grep -q "calls into the interface \"$lacks\" were not recorded" "$dir/replayed.out" ||
		fail "the replay does not lack $lacks: the row can go without --lacks"
	sed -i -E '/^p11tape-replayer: (calls into the interface|something is missing in the recording) /d' "$dir/replayed.out"
}

# Outputs, files and exit status of two runs are the same, but for the module's path and what varies.
like() { # WHAT RUN RUN SED FILES
	local what=$1 one=$2 two=$3 vary=$4 varies=$5 run file
	local ours="(${P11TAPE_RECORDER_SO%.so}|${P11TAPE_REPLAYER_SO%.so})(-2)?\\.so"
	for run in "$one" "$two"; do
		rm -rf "$dir/$run.plain"
		cp -a "$dir/$run.files" "$dir/$run.plain"
		cp "$dir/$run.out" "$dir/$run.plain/ printed"
		for file in $varies; do
			[[ ! -f $dir/$run.plain/$file ]] || echo varies >"$dir/$run.plain/$file"
		done
		find "$dir/$run.plain" -type f -exec sed -E -i -e "s#$module|$ours#MODULE#g" \
			-e "s|$dir/run|HERE|g" -e "$vary" {} +
	done
	[[ $(<"$dir/$one.status") == "$(<"$dir/$two.status")" ]] ||
		fail "$what exit status is $(<"$dir/$two.status"), not $(<"$dir/$one.status"): $(tail -n 20 "$dir/$two.out")"
	diff -r "$dir/$one.plain" "$dir/$two.plain" >"$dir/diff" || fail "$what output differs: $(head -n 20 "$dir/diff")"
}

# Run a command for a row, without the lines of its output that a module writes by itself: nobody replays them.
without_lines() { # PATTERN COMMAND…
	"${@:2}" 2>&1 | sed -E "/$1/d"
}

# ---- traces -----------------------------------------------------------------------------------------

# validate prints "FILE: 17 calls, 1 thread, whole".
look_at_traces() {
	local trace status
	for trace in "$dir"/trace*.yaml; do
		status=0
		"$P11TAPE" validate "$trace" >>"$dir/validate.out" 2>&1 || status=$?
		[[ $status == 0 || ($status == 1 && $cut == yes) ]] || fail "$(tail -n 1 "$dir/validate.out")"
	done
}

count() { # call|thread|process
	if [[ $1 == process ]]; then
		find "$dir" -path "$dir/twice" -prune -o -name 'trace*.yaml' -print | wc -l
	else
		sed -En "s/.*[ (]([0-9]+) $1s?,.*/\1/p" "$dir/validate.out" |
			awk -v what="$1" '{ sum += $1; if ($1 > most) most = $1 } END { print what == "call" ? sum : most }'
	fi
}

# The calls of a trace without what changes from run to run: headers, what is synthetic, threads (Go carries its
# calls from one to another), inputs that are under a rule or compared with nothing.
calls_of() { # TRACE
	"$P11TAPE" fmt --canonical "$dir/$1" | awk -v rules="C_SeedRandom.pSeed=any ${rules[*]}" '
		BEGIN {
			n = split(rules, list, " ")
			for (i = 1; i <= n; i++) { split(list[i], part, /[.=]/); ruled[part[1] "." part[2]] = 1 }
		}
		/^- / { header = /^- p11tape: /; call = $3 }
		/^ ? ?[^ ]/ { skip = 0; inputs = $1 == "in:" }
		/^    [^ -]/ { name = $1; sub(/:.*/, "", name); skip = inputs && (call "." name) in ruled }
		/^  (synthetic|thread): / { next }
		!header && !skip'
}

# What the processes of a run called: each one up to its first FUNCTION that returned CKR_OK, and without
# interfaces if these may diverge; or all, if there is none. Sorted: which process comes first is nobody's promise.
first_calls() { # RUN FUNCTION
	local trace
	for trace in "$dir/$1.yaml" "$dir/$1".[0-9]*.yaml; do
		[[ ! -f $trace ]] || calls_of "${trace##*/}" | awk -v but="${2:+$but}$lacks" '
			/^- / { drop = /^- (passed-through|call: C_GetInterface)/ || (/^- return:/ && $3 in dropped) }
			drop && /^  id: / { dropped[$2] = 1 }
			!(drop && but)' | awk -v wanted="$2" '
			/^- / && here && ok { found = 1 }
			found { next }
			/^- / { here = $2 == "call:" && $3 == wanted; ok = 0 }
			/^  rv: CKR_OK/ { ok = 1 }
			{ print }
			END { if (found || (here && ok)) print "up to " wanted }' | tr '\n' '\t'
		echo
	done | sort | tr '\t' '\n'
}

same_calls() { # RUN: a replay that was recorded
	first_calls trace '' >"$dir/one"
	first_calls "$1" '' >"$dir/two"
	cmp -s "$dir/one" "$dir/two" ||
		fail "the replay's recording is another one: $(diff "$dir/one" "$dir/two" | head -n 20)"
}

# What a suite found, directly and recorded: the same.
checked() {
	[[ -s $dir/direct.out ]] || fail 'no checks'
	! grep -vE '^(pass|fail|skip) ' "$dir/direct.out" >&2 || fail 'this is not a check'
	awk '{ found[$1]++ }
		END { printf "%d checks, directly and recorded: %d passed, %d failed, %d skipped",
			NR, found["pass"], found["fail"], found["skip"] }' "$dir/direct.out"
}

# Nothing that the policy hides is in anything that we wrote, in any spelling.
canaries() {
	local file
	canary() { printf '%s %s\n' "$1" "$(printf %s "$2" | od -An -v -tx1 | tr -d ' \n')"; }
	{
		canary user-pin "$user_pin"
		canary so-pin "$so_pin"
		canary other-pin "$other_pin"
		canary short-pin "$short_pin"
		canary short-so-pin "$short_so_pin"
		canary environment "$P11TAPE_TEST_CANARY"
		if [[ $policy == *secret* ]]; then
			for file in "$work"/pki/{client,client-ec,server}.key; do
				[[ ! -f $file ]] || echo "$(basename "$file" .key) private $file"
			done
			[[ ! -f $work/known.key ]] || canary secret-key "$(<"$work/known.key")"
		fi
		[[ $policy != *plaintext* ]] || canary data "$known_data"
	} >"$dir/canaries"
	# Of what was printed, what we printed.
	cat "$dir"/*.out 2>/dev/null | grep -aE '^(p11tape|  recorded:|  called:)' >"$dir/said" || true
	find "$dir" -maxdepth 1 \( -name '*.yaml' -o -name '*.json' -o -name said \) -exec \
		"$programs/../tools/canaries.py" "$dir/canaries" {} + || fail "policy $policy: a secret is out"
}

# A line of the report.
fact() { # VERDICT CALLS THREADS PROCESSES REMARK
	local detail=""
	[[ $1 != "with rule" && $1 != "with key" && $1 != "up to "* && $1 != served ]] || detail=$(printf '%s ' "${rules[@]}")
	printf '%s\t' "$family" "$row" "$program" "$(package_of "${from:-$(command -v "${program%% *}" || true)}")" \
		"$target" "$(package_of "${module_from:-$module}")" "$2" "$3" "$4" "$1" "$detail" >>"$results"
	printf '%s\n' "$5" >>"$results"
}

# ---- conformance ------------------------------------------------------------------------------------

# baseline NAME OPTIONS…: hold what `p11tape check` finds in $module against fixtures/baselines/NAME.yaml. Only for
# ci/baselines; with P11TAPE_BASELINES=bless the file is written. `runner` is put before the command.
runner=()
baseline() {
	local name=$1 options=() found
	[[ -n ${P11TAPE_BASELINES:-} ]] || return 0
	[[ -e $module ]] || fail "there is no $target"
	# shellcheck disable=SC2053 # a pattern
	[[ $name == ${P11TAPE_BASELINE:-*} ]] || return 0
	case $P11TAPE_BASELINES in
	bless) options=(--expect "$P11TAPE_SOURCE_DIR/fixtures/baselines/$name.yaml" --bless) ;;
	compare) options=(--expect "$P11TAPE_SOURCE_DIR/fixtures/baselines/$name.yaml") ;;
	esac
	fresh
	found=$P11TAPE_BUILD_DIR/baselines/$name
	mkdir -p "$P11TAPE_BUILD_DIR/baselines"
	rm -rf "$found" "$found.json"
	echo "$name:"
	if [[ $P11TAPE_BASELINES == drive ]]; then
		(cd "$work" && "${runner[@]}" "$P11TAPE" check -m "$module" --timeout 5 --evidence "$found" --format json \
			--output "$found.json" "${@:2}") || true
		drive_findings "$name" || failed=1
		return 0
	fi
	(cd "$work" && "${runner[@]}" "$P11TAPE" check -m "$module" --timeout 5 --evidence "$found" "${options[@]}" "${@:2}") ||
		failed=1
}

# Drive the evidence of every finding, each on a token as it was before the check, and say which is not reproduced:
# that a call gave something else, or that none of it was made. Those in fixtures/baselines/undriven say why.
drive_findings() { # NAME
	local found=$P11TAPE_BUILD_DIR/baselines/$1 trace check why good=0 known=0 bad=0
	drive_in=("${runner[@]}")
	for trace in "$found"/*.yaml; do
		# A forked process is driven with its parent's trace.
		[[ -e $trace ]] || continue
		! sed -n 1p "$trace" | grep -q forked-from || continue
		check=$(basename "$trace" .yaml)
		if drive_again "$work/driven.out" "$trace" --timeout 5 &&
			! grep -qE 'skipped \(.*(notification|waiting|PIN|wholly)' "$work/driven.out"; then
			good=$((good + 1))
		elif why=$(reason "$1/$check"); then
			known=$((known + 1))
			echo "  not reproduced: $check: $why"
		else
			bad=$((bad + 1))
			echo "  NOT REPRODUCED: $check:"
			tail -n 6 "$work/driven.out" | cut -c 1-400 | sed 's/^/    /'
		fi
	done
	drive_in=()
	echo "  $good of $((good + known + bad)) findings reproduced by their evidence"
	[[ $bad == 0 ]]
}

# Why a finding is not reproduced, by fixtures/baselines/undriven: a line each, PATTERN: REASON.
reason() { # NAME/CHECK
	local pattern why
	while IFS=: read -r pattern why; do
		# shellcheck disable=SC2053 # a pattern
		[[ $1 != $pattern ]] || { echo "${why# }" && return 0; }
	done < <(grep -v '^#' "$P11TAPE_SOURCE_DIR/fixtures/baselines/undriven")
	return 1
}

# ---- NSS --------------------------------------------------------------------------------------------

# $work/nss.0, a database with nothing in it but the authority; $work/nss-client, one with the client's key.
make_nss() {
	command -v certutil >/dev/null && command -v pk12util >/dev/null || return 0
	[[ ! -d $work/nss.0 ]] || return 0
	make_pki
	mkdir "$work/nss.0" "$work/nss-client" "$work/nss-none"
	echo "$user_pin" >"$work/pin"
	echo "$other_pin" >"$work/other-pin"
	{
		certutil -N -d "sql:$work/nss-none" --empty-password
		certutil -N -d "sql:$work/nss.0" --empty-password
		certutil -A -n authority -t C,, -i "$work/pki/ca.crt" -d "sql:$work/nss.0"
		certutil -N -d "sql:$work/nss-client" --empty-password
		pk12util -i "$work/pki/client.p12" -W x -d "sql:$work/nss-client"
	} >"$work/nss.log" 2>&1 || fail "no database: $(tail -n 3 "$work/nss.log")"
}

# Run a command with the database $work/nss, a copy of DATABASE in which MODULE is named.
nss() { # DATABASE MODULE LINES COMMAND…
	rm -rf "$work/nss"
	cp -a "$work/$1" "$work/nss"
	[[ -z $2 ]] || printf '\nlibrary=%s\nname=tested\n%s\n' "$2" "$3" >>"$work/nss/pkcs11.txt"
	shift 3
	"$@"
}

# NSS asks a softokn for an interface of its own, which is not Cryptoki.
vendor=(--lacks 'Vendor NSS FIPS Interface' --why "NSS's own interface (Vendor NSS FIPS Interface) is not Cryptoki: the replay does without it")

# A copy of softokn: NSS's own would share its state with one that has the same path. $softokn is what its
# line in an NSS database says: that it has the client's key.
use_softokn_copy() {
	mkdir -p "$work/copy"
	cp "$multiarch/libsoftokn3.so" "$work/copy/libcopy.so" 2>/dev/null || true
	use_module 'softokn (a copy)' "$work/copy/libcopy.so" "$multiarch/libsoftokn3.so"
	softokn="parameters=configdir='sql:$work/nss-client' certPrefix='' keyPrefix='' secmod='secmod.db' flags= "
	softokn+="cryptoTokenDescription='copy crypto' dbTokenDescription='copy' cryptoSlotDescription='copy slot' dbSlotDescription='copy db slot'"
}
