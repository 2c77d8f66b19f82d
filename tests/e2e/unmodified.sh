#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# Programs whose command lines are not touched: what the preloaded library does to them, and where it cannot help.
# The rows of real programs are run so, too: ctest -L unmodified.
# shellcheck disable=SC1091,SC2154 # lib.sh
. "$(dirname "$0")/lib.sh"
need pkcs11-tool cc
new_token unmodified
tests=$P11TAPE_BUILD_DIR/tests
export TMPDIR=$work/tmp
mkdir "$TMPDIR"

# What a program prints and how it ends is the same by itself, recorded, and replayed without the module.
thrice() { # NAME COMMAND…, with {} for the module
	local name=$1 module=$work/module/libsofthsm2.so
	shift
	mkdir -p module
	ln -sf "$softhsm" "$module"
	run "$name.direct" "${@//"{}"/$module}"
	run "$name.recorded" "$P11TAPE" record -o "$name.yaml" -- "${@//"{}"/$module}"
	rm "$module"
	run "$name.replayed" "$P11TAPE" replay "$name.yaml" -- "${@//"{}"/$module}"
	for run in recorded replayed; do
		same "$name, $run: status" "$name.direct.status" "$name.$run.status"
		same "$name, $run: output" "$name.direct.out" "$name.$run.out"
	done
	[[ -s $name.yaml ]] || fail "$name: no trace"
}
calls() { grep -c '^- {"call": ' "$1"; }

# A program, one that asks for functions by their names, and one that looks at the file first.
thrice tool pkcs11-tool --module {} --login --pin 1234 --list-objects
cat >names.py <<'END'
import ctypes, os, sys
size = os.stat(sys.argv[1]).st_size > 0
with open(sys.argv[1], "rb") as file:
    elf = file.read(4)
module = ctypes.CDLL(sys.argv[1])
print(size, elf, module.C_Initialize(None), module.C_Finalize(None))
END
thrice names python3 names.py {}
[[ $(calls names.yaml) == 2 ]] || fail "names: $(calls names.yaml) calls, not 2"

# Loaded and unloaded ten thousand times: gone each time, and nothing left.
thrice loads "$tests/loads" {} 10000
grep -q '^0 descriptors, no growth$' loads.recorded.out || fail "loads: $(<loads.recorded.out)"
[[ $(calls loads.yaml) == 10000 ]] || fail "loads: $(calls loads.yaml) calls"

# Loaded for good: what it gave is called behind dlclose(), by a thread that is to be cancelled.
thrice keeps "$tests/keeps" {}

# A module whose name the loader looks for; and one that is opened by its path and again by its name, which the loader
# looks for in its caller's RUNPATH: so we do not see it. It is there until both have closed it.
export LD_LIBRARY_PATH=${softhsm%/*}
thrice searched "$tests/loads" libsofthsm2.so 1
unset LD_LIBRARY_PATH
cc -I"$P11TAPE_SOURCE_DIR" -o twice "$P11TAPE_SOURCE_DIR/tests/unmodified/twice.c" \
	-Wl,--enable-new-dtags,-rpath,"$work/module" -ldl
thrice twice ./twice {} libsofthsm2.so
[[ $(<twice.direct.status) == 0 ]] || fail "twice: $(<twice.direct.out)"
[[ $(calls twice.yaml) == 10 ]] || fail "twice: $(calls twice.yaml) calls, not 10"

# The module is named by another path than it has: what was recorded is the one that the program asked for.
ln -s "$softhsm" other.so
says 0 '' "$P11TAPE" record -m '*other.so' -o other.yaml -- "$tests/loads" ./other.so 1
grep -q '"path": "[^"]*/other.so"' other.yaml || fail "other: $(head -n 1 other.yaml)"
says 0 'replay of other.yaml: ' "$P11TAPE" replay -v other.yaml -- "$tests/loads" ././other.so 1
says 0 'no PKCS#11 module' "$P11TAPE" record -m '*nothing*' -o nothing.yaml -- "$tests/loads" ./other.so 1
[[ ! -e nothing.yaml ]] || fail 'a module was recorded that was not asked for'
# Not by what another name of it was recorded with.
mv other.so third.so
says 1 'did not load the module' "$P11TAPE" replay other.yaml -- "$tests/loads" ./third.so 1

# A module that loads a module: each is recorded once, in a trace of its own.
if proxy=$(find /usr/lib -name p11-kit-proxy.so 2>/dev/null | head -n 1) && [[ -n $proxy ]]; then
	says 0 '' "$P11TAPE" record -o nested.yaml -- pkcs11-tool --module "$proxy" --list-slots
	head -qn 1 nested*.yaml | grep -o '"path": "[^"]*"' | sort >nested
	[[ $(uniq -d nested) == "" ]] || fail "a module was recorded twice: $(<nested)"
	grep -q p11-kit-proxy nested || fail "the proxy was not recorded: $(<nested)"
fi

# Another preloaded library, whose RTLD_NEXT is not us; and one that is loaded with symbols of its own first.
printf '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n' >hello.c
cc -o hello hello.c
LD_PRELOAD=$tests/next.so ./hello >hello.direct
LD_PRELOAD=$tests/next.so "$P11TAPE" record -o hello.yaml -- ./hello >hello.recorded 2>/dev/null
same 'another preloaded library' hello.direct hello.recorded

# A program with ASan's runtime, which wants to be the first.
if printf 'int main(void){return 0;}' | cc -fsanitize=address -x c -o probe - 2>/dev/null && ./probe; then
	cc -fsanitize=address -I"$P11TAPE_SOURCE_DIR" -D_GNU_SOURCE -o asan "$P11TAPE_SOURCE_DIR/tests/unmodified/loads.c" -ldl
	ASAN_OPTIONS=detect_leaks=0 thrice asan ./asan {} 3
fi

# A library with RTLD_DEEPBIND has the C library's dlsym() before ours: nothing is seen, and what works is said.
cc -shared -fPIC -Dmain=keeps -I"$P11TAPE_SOURCE_DIR" -D_GNU_SOURCE -o deep.so \
	"$P11TAPE_SOURCE_DIR/tests/unmodified/keeps.c" -ldl -lpthread
cat >deep.py <<'END'
import ctypes, os, sys
library = ctypes.CDLL("./deep.so", os.RTLD_NOW | os.RTLD_DEEPBIND)
sys.exit(library.keeps(2, (ctypes.c_char_p * 3)(b"keeps", sys.argv[1].encode(), None)))
END
says 0 'no PKCS#11 module was loaded by python3' "$P11TAPE" record -o deep.yaml -- python3 deep.py "$softhsm"
grep -q 'RTLD_DEEPBIND: put {} where its arguments name its module' said.err || fail "deep: $(<said.err)"
[[ $(<said.out) == called && ! -e deep.yaml ]] || fail "deep: $(<said.out)"
says 0 '' "$P11TAPE" record -m "$softhsm" -o deep.yaml -- python3 deep.py {}
says 0 'replay of deep.yaml: ' "$P11TAPE" replay -v deep.yaml -- python3 deep.py {}
[[ $(calls deep.yaml) == 1003 ]] || fail "deep: $(calls deep.yaml) calls"

# Where nothing can be put before the module.
cp "$tests/loads" privileged
chmod g+s privileged
if chgrp 65534 privileged 2>/dev/null && chmod g+s privileged && [[ -g privileged ]]; then
	says 2 'is set-gid' "$P11TAPE" record -- ./privileged "$softhsm" 1
	says 2 'is set-gid' "$P11TAPE" replay tool.yaml -- ./privileged "$softhsm" 1
fi
if cc -static -o static hello.c 2>/dev/null; then
	says 0 'is linked statically' "$P11TAPE" record -- ./static
fi

[[ -z $(ls -A "$TMPDIR") ]] || fail "something is left: $(ls "$TMPDIR")"
