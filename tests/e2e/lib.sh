# SPDX-License-Identifier: MIT
#
# What the end-to-end tests share; sourced. Everything happens in $work, which is removed at the end.
# The environment names what is under test: P11TAPE, P11TAPE_RECORDER_SO, P11TAPE_REPLAYER_SO,
# P11TAPE_SOURCE_DIR, P11TAPE_BUILD_DIR.
set -euo pipefail
export LC_ALL=C.UTF-8
# The mode of every replay, unless a test is about another one and names it.
export P11TAPE_REPLAY_MODE=${P11TAPE_TEST_MODE:-strict}

# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/../tools/await.sh"
work=$(mktemp -d)
helpers=() # processes that end with us
trap 'kill "${helpers[@]}" 2>/dev/null || true; rm -rf "$work"' EXIT
cd "$work"

softhsm=$(find /usr/lib /usr/local/lib -name libsofthsm2.so 2>/dev/null | head -n 1)

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

# Skip a test whose parts are not on this machine: ctest shows it.
need() { # PROGRAM…
	local program
	for program; do
		command -v "$program" >/dev/null || {
			echo "skipped: there is no $program"
			exit 77
		}
	done
}

# A SoftHSM2 token with user PIN 1234, in $work/tokens.
new_token() { # LABEL
	need softhsm2-util
	[[ -n $softhsm ]] || {
		echo "skipped: there is no libsofthsm2.so"
		exit 77
	}
	mkdir -p "$work/tokens"
	printf 'directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n' "$work/tokens" \
		>"$work/softhsm2.conf"
	export SOFTHSM2_CONF=$work/softhsm2.conf
	softhsm2-util --init-token --free --label "$1" --so-pin 5678 --pin 1234 >/dev/null
}

# Run a command; its output goes to FILE.out, its exit status to FILE.status.
run() { # FILE COMMAND…
	local file=$1 status=0
	shift
	"$@" >"$file.out" 2>&1 </dev/null || status=$?
	echo "$status" >"$file.status"
}

# Run a command that ends with STATUS and says something like PATTERN ('' for anything); see said.out, said.err.
says() { # STATUS PATTERN COMMAND…
	local wanted=$1 pattern=$2 status=0
	shift 2
	"$@" >said.out 2>said.err </dev/null || status=$?
	[[ $status == "$wanted" ]] || fail "$*: status $status, not $wanted: $(<said.err)"
	[[ -z $pattern ]] || grep -q -e "$pattern" said.err || fail "$*: no '$pattern' in: $(<said.err)"
}

same() { # WHAT FILE FILE
	cmp -s "$2" "$3" || {
		diff "$2" "$3" | head -n 20 || true
		fail "$1 differs"
	}
}

# The calls of a trace without what changes from run to run, for the fixed point. The header is left out,
# and what is synthetic: unlike its target, the ordinary replayer has every entry point.
calls_of() { # TRACE
	"$P11TAPE" fmt --canonical "$1" | sed -n '/^- call/,$p' | sed '/^  synthetic: true$/d'
}

# Whether calls of two threads overlapped. Where none happen to there is one order, which threads that race do not repeat.
overlapped() { # TRACE
	"$P11TAPE" fmt "$1" >overlapped.yaml
	grep -q '^  until:' overlapped.yaml
}

# Wait for FUNCTION to be the last line of t.yaml, and kill the process that is in it.
kill_inside() { # PID FUNCTION
	local try
	for ((try = 0; try < 3000; try++)); do
		[[ $(tail -n 1 t.yaml 2>/dev/null) != "- {\"call\": \"$2\", "*'}' ]] || break
		sleep 0.01
	done
	kill -KILL "$1"
}
