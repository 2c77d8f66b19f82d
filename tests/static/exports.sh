#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# exports.sh MODULE: is MODULE fit to be loaded into other people's programs? It shows the functions
# of functions.def (NAME-2.so: but for the entry points of 3.0) and nothing else, brings libyaml (if any)
# inside, needs nothing but libc, and its tables cannot be bent to another module's C_ functions. It has no
# thread-local storage, no key and no handler that would outlive it, and calls nothing that changes or ends
# its host. The recorder leaves the host's heap alone.
set -euo pipefail
export LC_ALL=C

if [[ $# != 1 ]]; then
	echo "usage: ${0##*/} MODULE" >&2
	exit 2
fi
module=$1
functions=$(dirname "$0")/../../core/api/functions.def
failed=0

# complain WHAT LINES: the lines, if any, are what is wrong.
complain()
{
	if [[ -n $2 ]]; then
		printf '%s %s:\n%s\n' "$module" "$1" "$2"
		failed=1
	fi
}

# among LINES PATTERN: the lines that match.
among()
{
	grep -E "$2" <<<"$1" || true
}

allowed=$(sed -n 's/^CK_FN(\(C_[A-Za-z0-9]*\).*/\1/p' "$functions" | sort)
defined=$(nm -D --defined-only "$module" | awk '{ print $NF }' | sort)
undefined=$(nm -D --undefined-only "$module" | awk '{ sub(/@.*/, "", $NF); print $NF }')
needed=$(readelf -dW "$module" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p')
relocations=$(readelf -rW "$module")
flags=$(readelf -dlW "$module")

if [[ $(wc -l <<<"$allowed") != 104 ]]; then
	complain "is compared with $functions, which has not the 104 functions of PKCS#11 3.2 but" "$allowed"
fi
if [[ $module == *-2.so ]]; then
	allowed=$(grep -vxE 'C_GetInterface(List)?' <<<"$allowed")
fi
complain "shows what it must not show" "$(comm -13 <(echo "$allowed") <(echo "$defined"))"
complain "does not show" "$(comm -23 <(echo "$allowed") <(echo "$defined"))"
complain "needs from outside what belongs inside" "$(among "$undefined" '^(C|tape|yaml)_')"
complain "needs more than libc" "$(grep -vE '^(libc|libdl|libpthread)\.|^ld-linux|^ld(64)?\.so' <<<"$needed" || true)"
complain "has tables that another module's functions can take over" "$(among "$relocations" '\bC_[A-Z]')"
complain "has thread-local storage" "$(among "$flags" '^ *TLS ')"
complain "starts, keeps or hooks what outlives it" "$(among "$undefined" \
	'^(pthread_(create|key_create|exit|atfork)|thrd_create|tss_create|__tls_get_addr|__register_atfork|atexit|at_quick_exit|on_exit)$')"
# raise is for those who ask for exactly that (--inject …:crash, --reproduce-crash).
complain "changes or ends its host" "$(among "$undefined" \
	'^(_?exit|_Exit|quick_exit|abort|v?fork|system|popen|sigaction|signal|alarm|setitimer|setlocale|uselocale|umask|f?chdir|(set|unset|put)env|clearenv|setrlimit|prctl)$')"
complain "writes to standard output" "$(among "$undefined" '^(v?printf|__v?printf_chk|puts|putchar|stdout)$')"
if [[ ${module##*/} == *recorder* ]]; then
	complain "uses the host's heap" "$(among "$undefined" \
		'^(malloc|calloc|realloc|reallocarray|free|strn?dup|v?asprintf|fopen|fdopen|opendir|getline|aligned_alloc|posix_memalign)$')"
fi
complain "has an executable stack" "$(among "$flags" 'GNU_STACK.*RWE')"
complain "has text relocations" "$(among "$flags" '\bTEXTREL\b')"
for mark in GNU_RELRO NOW; do
	if ! grep -qw "$mark" <<<"$flags"; then
		complain "is not hardened; it lacks" "$mark"
	fi
done

exit $failed
