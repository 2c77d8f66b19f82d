#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Record the stub module, which has all 104 functions, through each way to them.

On modules of each generation the program sees through the recorder what it sees without it, every
function is forwarded once, the trace has every function once, in the table's order, and a replay of it
shows the program the same again.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

SOURCE = os.environ["P11TAPE_SOURCE_DIR"]
TESTS = os.path.join(os.environ["P11TAPE_BUILD_DIR"], "tests")
RECORDER = os.environ["P11TAPE_RECORDER_SO"]
REPLAYER = os.environ["P11TAPE_REPLAYER_SO"]
NOT_SUPPORTED = "0x54"
LISTS = {"2.40": 68, "3.0": 92, "3.2": 104}
MISSING = "C_WaitForSlotEvent,C_Digest,C_LoginUser,C_SignMessage,C_AsyncJoin"

with open(os.path.join(SOURCE, "core/api/functions.def"), encoding="utf-8") as table:
    ROWS = re.findall(r"^CK_FN\((C_\w+),(.*)\)$", table.read(), re.M)
FUNCTIONS = [name for name, _ in ROWS]
FINDS = {"C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"}


class Wrong(Exception):
    """Something differs from what it must be."""


class Run:
    """What tests/stub/drive-stub.c printed, and how often the stub was called."""

    def __init__(self, module, generation, directory, **variables):
        counts = os.path.join(directory, "counts")
        if os.path.exists(counts):
            os.unlink(counts)
        done = subprocess.run([os.path.join(TESTS, "drive-stub"), module, generation], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False,
                              env=dict(os.environ, STUB_COUNTS=counts, **variables))
        self.status = done.returncode
        if self.status not in (0, 3):
            raise Wrong(f"the driver of {os.path.basename(module)} ends with {self.status}\n{done.stderr}")
        discovery, _, calls = done.stdout.partition("calls\n")
        self.discovery = discovery
        self.calls = {}  # name: the lines about it, in order of the calls
        for line in calls.splitlines():
            if line.startswith("C_"):
                name = line.split()[0]
                self.calls[name] = []
            self.calls[name].append(line)
        self.counts = {}
        if os.path.exists(counts):
            with open(counts, encoding="utf-8") as file:
                self.counts = dict(line.split() for line in file)

    def made(self):
        return [name for name, lines in self.calls.items() if not lines[0].endswith(" absent")]

    def forwarded(self):
        return {name: count for name, count in self.counts.items() if name not in FINDS}


def same(what, expected, seen):
    if expected != seen:
        raise Wrong(f"{what}:\n  expected {expected}\n  seen     {seen}")


def check_trace(path, recorded, synthetic):
    """Every call once, whole, in the table's order; those that the recorder answered are marked."""
    with open(path, encoding="utf-8") as file:
        items = [json.loads(line[2:]) for line in file]
    calls = [item for item in items if "call" in item]
    returns = {}
    for item in items:
        if "return" in item:
            same(f"returns of call {item['return']}", None, returns.get(item["return"]))
            returns[item["return"]] = item
    # Finding the functions comes first, and is recorded too.
    while calls and calls[0]["call"] in FINDS:
        calls.pop(0)
    same("calls in the trace", recorded.made(), [call["call"] for call in calls])
    for call in calls:
        lines = recorded.calls[call["call"]]
        ended = returns.get(call["id"])
        if ended is None:
            raise Wrong(f"{call['call']} has no return in the trace")
        same(f"{call['call']} is CKR_OK", lines[0].endswith(" = 0"), ended["rv"] == "CKR_OK")
        if call["call"] not in FINDS:
            same(f"{call['call']} is marked synthetic", call["call"] in synthetic,
                 "synthetic" in call or "synthetic" in ended)
    same("the end", True, "end" in items[-1])
    return items


def check_replay(trace, generation, directory, recorded):
    """The program sees the same again, but for the vendor's interface, which no trace can bring back: it is left out."""
    report = os.path.join(directory, "report")
    if os.path.exists(report):
        os.unlink(report)
    replayed = Run(REPLAYER, generation, directory, P11TAPE_REPLAY=trace, P11TAPE_REPLAY_MODE="strict",
                   P11TAPE_REPLAY_REPORT=report)
    same("exit status of the replay", recorded.status, replayed.status)

    def known(lines):
        lists = any("Vendor Stub Interface" in line for line in lines)
        return [re.sub(r"pulCount (..)", lambda count: f"pulCount {int(count[1], 16) - 1:02x}", line) if lists else line
                for line in lines if "Vendor Stub Interface" not in line]

    same("calls of the replay", list(recorded.calls), list(replayed.calls))
    for name, lines in recorded.calls.items():
        same(f"{name}, replayed", known(lines), replayed.calls[name])
    with open(report, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    same("calls left unused", 0, lines[-1]["summary"]["unused"])
    notes = [line.get("note", "") for line in lines[:-1]]
    seen = recorded.discovery + str(recorded.calls)
    same("what the replay reports", ["Vendor Stub Interface"] if "Vendor Stub Interface" in seen else [],
         [note.partition('"')[2].partition('"')[0] for note in notes])


def check(version, generation, directory, **variables):
    stub = os.path.join(TESTS, f"p11tape-stub-{version}.so")
    trace = os.path.join(directory, "trace.yaml")
    if os.path.exists(trace):
        os.unlink(trace)
    newest = {"240": "2.40", "300": "3.0", "320": "3.2"}[version]
    plain = Run(stub, newest if generation == "direct" else generation, directory, **variables)
    recorded = Run(RECORDER, generation, directory, P11TAPE_MODULE=stub, P11TAPE_TRACE=trace, **variables)
    synthetic = set()

    if generation == "direct":
        # Every symbol is there; what the newest list lacks is answered for it.
        same("symbols", FUNCTIONS, recorded.made())
        for name in FUNCTIONS:
            if name in plain.made():
                same(name, plain.calls[name], recorded.calls[name])
            elif name not in FINDS:
                synthetic.add(name)
                same(name, f"{name} = {NOT_SUPPORTED}", recorded.calls[name][0])
    elif version == "240" and generation != "2.40":
        # The recorder has C_GetInterface, the stub has not: it shows no more than C_GetFunctionList does.
        claimed = generation == "3.0" and "STUB_LIST_VERSION" in variables
        same("exit status", 0 if claimed else 3, recorded.status)
        if "Vendor" in recorded.discovery.replace("no vendor", ""):
            raise Wrong(f"an interface that C_GetFunctionList does not show:\n{recorded.discovery}")
        plain = Run(stub, "2.40", directory, **variables)
        same("calls", plain.made() if claimed else [], recorded.made())
        for name in recorded.made():
            same(name, plain.calls[name], recorded.calls[name])
    else:
        same("exit status", plain.status, recorded.status)
        same("discovery", plain.discovery, recorded.discovery)
        same("calls", list(plain.calls), list(recorded.calls))
        for name, lines in plain.calls.items():
            same(name, lines, recorded.calls[name])
        if plain.status == 0:
            same("functions in the list", FUNCTIONS[: LISTS[generation]], list(recorded.calls))

    same("calls that reached the module", {name: "1" for name in recorded.made() if name not in FINDS | synthetic},
         recorded.forwarded())
    items = check_trace(trace, recorded, synthetic)
    if generation in ("3.0", "3.2") and version != "240":
        if not any("passed-through" in item and "Vendor Stub Interface" in json.dumps(item) for item in items):
            raise Wrong("the trace does not note the vendor's interface")
    done = subprocess.run([os.environ["P11TAPE"], "validate", trace], capture_output=True, text=True, check=False)
    same("exit status of validate", (0, ""), (done.returncode, done.stderr))
    # What lies behind a message's parameter is known only where an operation was begun.
    if "C_MessageEncryptInit" not in synthetic:
        check_replay(trace, generation, directory, recorded)


def main():
    passed = failed = 0
    variants = {"": {}, ", the list claims 3.0": {"STUB_LIST_VERSION": "3"}, ", lists with NULLs": {"STUB_MISSING": MISSING}}
    with tempfile.TemporaryDirectory() as directory:
        for version in ("240", "300", "320"):
            for generation in ("2.40", "3.0", "3.2", "direct"):
                for title, variables in variants.items():
                    try:
                        check(version, generation, directory, **variables)
                        passed += 1
                    except Wrong as wrong:
                        failed += 1
                        print(f"stub {version} through {generation}{title}: {wrong}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
