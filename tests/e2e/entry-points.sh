#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# A program that looks for C_GetInterface with dlsym() finds the same directly, recorded and replayed: our modules come
# as two files each, and the commands choose. The ordinary files answer for the module that has no such function.
. "$(dirname "$0")/lib.sh"
need python3
tests=$P11TAPE_BUILD_DIR/tests

# look MODULE: which entry points there are; a call, so that there is a trace. ask MODULE: what C_GetInterface says.
cat >program.py <<'END'
import ctypes
import sys

module = ctypes.CDLL(sys.argv[2])
if sys.argv[1] == "look":
    for name in ("C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList"):
        print(name, hasattr(module, name))
    found = ctypes.c_void_p()
    print("%#x" % module.C_GetFunctionList(ctypes.byref(found)))
    sys.exit()


class Interface(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("list", ctypes.POINTER(ctypes.c_ubyte)), ("flags", ctypes.c_ulong)]


one = Interface * 1
for name in (None, b"PKCS 11", b"Vendor"):
    for version in (None, b"\2\50", b"\3\0"):
        for flags in (0, 1):
            found = ctypes.POINTER(Interface)()
            rv = module.C_GetInterface(name, version, ctypes.byref(found), ctypes.c_ulong(flags))
            shown = (found[0].name, found[0].list[0], found[0].list[1], found[0].flags) if found else None
            print(name, version, flags, hex(rv), shown)
for room, to in ((5, None), (0, one()), (1, one()), (7, one())):
    count = ctypes.c_ulong(room)
    rv = module.C_GetInterfaceList(to, ctypes.byref(count))
    print(room, hex(rv), count.value, (to[0].name, to[0].flags) if to else None)
print(hex(module.C_GetInterface(None, None, None, ctypes.c_ulong(0))), hex(module.C_GetInterfaceList(None, None)))
END
look=(python3 program.py look)

# ---- the same directly, recorded and replayed ----

modules=("$tests"/p11tape-stub-{240,300,320}.so)
[[ -z $softhsm ]] || modules+=("$softhsm")
[[ -z $softhsm ]] || new_token entry
for module in "${modules[@]}"; do
	run direct "${look[@]}" "$module"
	run recorded "$P11TAPE" record -m "$module" -o t.yaml -- "${look[@]}" {}
	same "$module: what is found, recorded," direct.out recorded.out
	run replayed "$P11TAPE" replay t.yaml -- "${look[@]}" {}
	same "$module: what is found, replayed," direct.out replayed.out
	[[ $(cat direct.status recorded.status replayed.status) == $'0\n0\n0' ]] || fail "$module: $(tail -n 3 ./*.out)"
	"$P11TAPE" module recorder --for "$module" --copy "${module##*/}.copy" --set "P11TAPE_MODULE=$module" --set P11TAPE_TRACE=copy.yaml
	run copied "${look[@]}" "./${module##*/}.copy"
	same "$module: what is found by a copy" direct.out copied.out
	"$P11TAPE" validate --quiet copy.yaml
	rm copy.yaml
done
run direct "${look[@]}" "$tests/p11tape-stub-240.so"
[[ $(<direct.out) == $'C_GetFunctionList True\nC_GetInterface False\nC_GetInterfaceList False\n0x0' ]] || fail "$(<direct.out)"
run direct "${look[@]}" "$tests/p11tape-stub-300.so"
[[ $(<direct.out) == $'C_GetFunctionList True\nC_GetInterface True\nC_GetInterfaceList True\n0x0' ]] || fail "$(<direct.out)"

# ---- what stands for what ----

chosen() { # recorder|replayer NAME WHAT
	[[ $("$P11TAPE" module "$1" --for "$3") -ef $P11TAPE_BUILD_DIR/lib/$2 ]] || fail "module $1 --for $3 is not $2"
}

# Load a module as the recorder would.
loads() {
	python3 -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1]).C_GetFunctionList' "$1"
}
chosen recorder p11tape-recorder-2.so "$tests/p11tape-stub-240.so"
chosen recorder p11tape-recorder.so "$tests/p11tape-stub-300.so"
chosen recorder p11tape-recorder-2.so "$P11TAPE_BUILD_DIR/lib/p11tape-replayer-2.so"

# What cannot be looked at gets the ordinary file: without section headers, cut, something else.
python3 - "$tests/p11tape-stub-240.so" <<'END'
import struct
import sys

with open(sys.argv[1], "rb") as file:
    module = bytearray(file.read())
wide = module[4] == 2
sections, = struct.unpack_from("<Q" if wide else "<I", module, 0x28 if wide else 0x20)


def write(name, contents):
    with open(name, "wb") as file:
        file.write(contents)


def changed(at, layout, *values):
    copy = bytearray(module)
    struct.pack_into(layout, copy, at, *values)
    return copy


size, kind, offset, length, link = (64, 4, 24, 32, 40) if wide else (40, 4, 16, 20, 24)
word = "<Q" if wide else "<I"
count, = struct.unpack_from("<H", module, 0x3c if wide else 0x30)
symbols = next(at for at in range(sections, sections + count * size, size) if struct.unpack_from("<I", module, at + kind)[0] == 11)
names = sections + struct.unpack_from("<I", module, symbols + link)[0] * size
write("stripped.so", changed(0x3c if wide else 0x30, "<H", 0))
write("cut.so", module[:1000])
write("headless.so", module[:20])
write("text.so", b"INPUT(libsofthsm2.so)\n")
write("empty.so", b"")
write("far.so", changed(0x28 if wide else 0x20, word, 2 ** (64 if wide else 32) - 8))
write("names.so", changed(symbols + link, "<I", 60000))
write("huge.so", changed(symbols + length, word, 2 ** (63 if wide else 31)))
write("nameless.so", changed(names + length, word, 0))
write("long.so", changed(names + offset, word, len(module) - 1))
write("other.so", changed(4, "<B", 1 if wide else 2))
END
for file in stripped cut headless text empty far names huge nameless long other; do
	chosen recorder p11tape-recorder.so ./$file.so
done
loads ./stripped.so || fail "a module without section headers is none: the test tests nothing"
mkdir directory.so
chosen recorder p11tape-recorder.so ./directory.so

"$P11TAPE" record -m "$tests/p11tape-stub-300.so" -o three.yaml -- "${look[@]}" {} >/dev/null
"$P11TAPE" record -m "$tests/p11tape-stub-240.so" -o two.yaml -- "${look[@]}" {} >/dev/null
chosen replayer p11tape-replayer.so three.yaml
chosen replayer p11tape-replayer-2.so two.yaml
sed -E '1s/, "exports": [^]]*]//' two.yaml >unsaid.yaml
chosen replayer p11tape-replayer.so unsaid.yaml
refused() { # SENTENCE WHAT…
	run said "$P11TAPE" module "${@:2}"
	[[ $(<said.status) == 2 ]] || fail "${*:2}: status $(<said.status)"
	grep -q "^p11tape: $1" said.out || fail "${*:2} does not say '$1': $(<said.out)"
}
refused 'nowhere.yaml: ' replayer --for nowhere.yaml
refused 'the module ./nowhere.so cannot be read' recorder --for ./nowhere.so

# ---- without a choice ----

# A host that was told of the ordinary recorder, and one of the ordinary replayer with a trace in which nobody asked.
run recorded env P11TAPE_MODULE="$tests/p11tape-stub-240.so" P11TAPE_TRACE=asked.yaml python3 program.py ask "$P11TAPE_RECORDER_SO"
[[ $(<recorded.status) == 0 ]] || fail "$(tail -n 3 recorded.out)"
grep -q "b'PKCS 11' None 0 0x0 (b'PKCS 11', 2, 40, 0)" recorded.out || fail "$(<recorded.out)"
for trace in asked two; do
	run replayed env P11TAPE_REPLAY=$trace.yaml P11TAPE_REPLAY_REPORT=report.json python3 program.py ask "$P11TAPE_REPLAYER_SO"
	same "$trace.yaml: interfaces of the ordinary replayer" recorded.out replayed.out
done
