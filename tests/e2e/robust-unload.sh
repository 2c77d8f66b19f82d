#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Unloaded means gone: the recorder, its target, and whatever they had; and loaded again it goes on in its
# own file. Called from exit handlers it still writes. The replayer stays, and goes on where it was.
#
# P11TAPE_ROBUST_LOADS is how often the module is loaded.
. "$(dirname "$0")/lib.sh"
program=$P11TAPE_BUILD_DIR/tests/robust-unload
loads=${P11TAPE_ROBUST_LOADS:-100}
export P11TAPE_MODULE=$P11TAPE_BUILD_DIR/tests/odd-module.so
export P11TAPE_TRACE=$work/t.yaml

# What it printed against the one trace that there is.
check() { # LOADS COMMAND…
	local loads=$1
	shift
	rm -f t*.yaml
	"$@" >output || fail "$*: $?: $(cat output)"
	[[ $(echo t*.yaml) == t.yaml ]] || fail "$*: not one trace: $(echo t*.yaml)"
	"$P11TAPE" validate t.yaml >summary 2>&1 || fail "$*: $(cat summary)"
	grep -q "^t.yaml: $(sed -n 's/^calls //p' output) calls,.* whole$" summary || fail "$*: $(cat output summary)"
	# The parts count up, and the ids go on through all of them.
	sed -n 's/^- {"p11tape".*"load": \([0-9]*\).*/\1/p' t.yaml >parts
	same "$*: the numbering of parts" parts <(if ((loads > 1)); then seq 2 "$loads"; fi)
	sed -n 's/^- {"call".*"id": \([0-9]*\).*/\1/p' t.yaml | sort -n >ids
	same "$*: the numbering of calls" ids <(seq "$(wc -l <ids)")
}

recorder=$P11TAPE_RECORDER_SO
check "$loads" "$program" "$recorder" "$loads" odd-module.so finalize
check "$loads" "$program" "$recorder" "$loads" odd-module.so
check "$loads" "$program" "$recorder" "$loads" odd-module.so finalize threads
check "$loads" "$program" "$recorder" "$loads" odd-module.so threads
check 5 "$program" "$recorder" 4 odd-module.so finalize handlers
check 1 "$program" "$recorder" 0 odd-module.so handlers
# The last call came behind the end, which is said again.
[[ $(tail -n 3 t.yaml | cut -c 1-12 | tr -d '\n') == '- {"call": "- {"return":- {"end": "e' ]] || fail "$(tail -n 3 t.yaml)"

# The same program against its trace, in as many loads.
replay() { # LOADS OPTION… [-- COMMAND…]
	local loads=$1 options=() prefix=()
	shift
	while [[ $# != 0 && $1 != -- ]]; do
		options+=("$1")
		shift
	done
	[[ $# == 0 ]] || prefix=("${@:2}")
	check "$loads" "$program" "$recorder" "$loads" odd-module.so "${options[@]}"
	rm -f report
	# A thread's first malloc() would map an arena, at a time that differs.
	MALLOC_ARENA_MAX=1 P11TAPE_REPLAY=$work/t.yaml P11TAPE_REPLAY_REPORT=$work/report \
		"${prefix[@]}" "$program" "$P11TAPE_REPLAYER_SO" "$loads" stays "${options[@]}" >replayed ||
		fail "replay, ${options[*]}: $?: $(cat replayed)"
	same "${options[*]}" output replayed
	grep -q '"unused": 0, "divergences": 0' report || fail "replay, ${options[*]}: $(cat report)"
}
# In more parts than there is room for names of secrets.
replay $((loads < 300 && loads >= 100 ? 300 : loads)) finalize
replay "$loads" thread
replay "$loads" finalize thread

command -v valgrind >/dev/null || exit 0
[[ -z ${LD_PRELOAD:-} ]] || exit 0 # a sanitizer's runtime: valgrind is not for that
# Older ones give up at newer compilers' debugging information, which is no finding.
valgrind -q "$program" "$recorder" 1 odd-module.so >output 2>&1 || true
! grep 'debuginfo reader' output || exit 0
memcheck=(valgrind -q --error-exitcode=9 --leak-check=full)
# So few loads that mappings are not compared: valgrind makes some, too.
check 3 "${memcheck[@]}" --show-leak-kinds=all --errors-for-leak-kinds=all \
	"$program" "$recorder" 3 odd-module.so finalize threads
# Here the modules stay loaded, and with them what the loader knows of them.
check 4 "${memcheck[@]}" "$program" "$recorder" 3 odd-module.so handlers
# What the replayer keeps is still to be found when it is over.
replay 3 finalize thread -- "${memcheck[@]}"
