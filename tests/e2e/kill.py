#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Kill a recorded program at random moments and look for what its trace lacks (see kill.sh)."""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time


def functions_of(path):
    """The functions in list order, and those of them that are discovery."""
    rows = re.findall(r"^CK_FN\((C_\w+),(.*)\)$", open(path, encoding="utf-8").read(), re.M)
    finds = {name for name, row in rows if re.search(r"OUT_(FUNCTION_LIST|INTERFACES|INTERFACE)\b", row)}
    return [name for name, _ in rows], finds


def notes_of(path, names):
    """What a shim noted, in order; see tests/shim/count-shim.c."""
    if not os.path.exists(path):
        return []
    with open(path, "rb") as file:
        number = int.from_bytes(file.read(8), "little")
        notes = file.read(number)
    return [names[note - 1] for note in notes.rstrip(b"\0")]


class Trace:
    """The record lines of a trace; a torn last line is left out."""

    def __init__(self, path):
        self.calls = []  # (id, name) in order
        self.returned = set()
        self.torn = False
        self.size = 0
        self.exists = os.path.exists(path)
        if not self.exists:
            return
        with open(path, "rb") as file:
            data = file.read()
        self.size = len(data)
        lines = data.split(b"\n")
        self.torn = lines.pop() != b""
        for number, line in enumerate(lines, 1):
            if not line.startswith(b"- "):
                raise ValueError(f"line {number} is not a record line")
            item = json.loads(line[2:])
            if "call" in item:
                self.calls.append((item["id"], item["call"]))
                if "rv" in item:
                    self.returned.add(item["id"])
            elif "return" in item:
                if item["return"] in self.returned:
                    raise ValueError(f"line {number}: a second return of {item['return']}")
                self.returned.add(item["return"])

    def whole(self):
        return [name for id, name in self.calls if id in self.returned]

    def halves(self):
        return [name for _, name in self.calls]


def complaint(trace, front, back, finds):
    """What the trace lacks, or None. The program has one thread: order is total."""
    whole = trace.whole()
    if whole[: len(front)] != front:
        at = next((i for i, pair in enumerate(zip(whole, front)) if pair[0] != pair[1]), min(len(whole), len(front)))
        return f"{len(front)} calls had returned, {len(whole)} are whole; the first difference is call {at + 1}"
    if len(whole) > len(front) + 1:
        return f"{len(front)} calls had returned, but {len(whole)} are whole in the trace"
    halves = [name for name in trace.halves() if name not in finds]
    entered = [name for name in back if name not in finds]
    if halves[: len(entered)] != entered:
        return f"{len(entered)} calls had entered the module, {len(halves)} first halves stand in the trace"
    if len(halves) > len(entered) + 1:
        return f"{len(halves)} first halves stand in the trace, but {len(entered)} calls had entered the module"
    return None


def main():
    parser = argparse.ArgumentParser()
    for option in ("p11tape", "recorder", "target", "front", "back", "functions", "directory", "seed"):
        parser.add_argument("--" + option, required=True)
    parser.add_argument("--runs", type=int, required=True)
    args = parser.parse_args()
    names, finds = functions_of(args.functions)
    seed = args.seed or str(random.randrange(1 << 32))
    draw = random.Random(seed)

    pristine = os.path.join(args.directory, "token")
    work = os.path.join(args.directory, "run")

    def start():
        shutil.rmtree(work, ignore_errors=True)
        os.mkdir(work)
        shutil.copytree(pristine, os.path.join(work, "token"))
        with open(os.path.join(work, "softhsm2.conf"), "w", encoding="utf-8") as file:
            file.write(f"directories.tokendir = {work}/token\n")
        environment = dict(
            os.environ,
            SOFTHSM2_CONF=os.path.join(work, "softhsm2.conf"),
            FRONT_NEXT=args.recorder,
            P11TAPE_MODULE=args.back,
            P11TAPE_TRACE=os.path.join(work, "trace.yaml"),
            BACK_NEXT=args.target,
            SHIM_COUNTS_FRONT=os.path.join(work, "front"),
            SHIM_COUNTS_BACK=os.path.join(work, "back"),
        )
        with open(os.path.join(work, "output"), "wb") as output:
            return subprocess.Popen(
                ["pkcs11-tool", "--module", args.front, "--login", "--pin", "1234", "--test"],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment)

    def check():
        front = notes_of(os.path.join(work, "front"), names)
        back = notes_of(os.path.join(work, "back"), names)
        path = os.path.join(work, "trace.yaml")
        try:
            trace = Trace(path)
            wrong = complaint(trace, front, back, finds)
        except ValueError as error:
            return None, front, back, f"the trace is damaged: {error}"
        if trace.size != 0:
            validate = subprocess.run([args.p11tape, "validate", path], stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, check=False)
            if validate.returncode not in (0, 1):
                wrong = wrong or f"validate: {validate.returncode}: {validate.stderr.strip()}"
        return trace, front, back, wrong

    def show_failure(title, wrong):
        print(f"{title}: {wrong}")
        for name in ("output", "trace.yaml"):
            path = os.path.join(work, name)
            if os.path.exists(path):
                data = open(path, "rb").read()[-1500:]
                print(f"--- the end of {name}\n{data.decode(errors='replace')}")

    # How long it lives, and whether the test sees what it should where nobody is killed.
    durations = []
    for _ in range(3):
        process = start()
        begin = time.monotonic()
        process.wait()
        durations.append(time.monotonic() - begin)
    trace, front, back, wrong = check()
    if wrong is None and (len(front) < 50 or len(back) < 50 or len(trace.whole()) != len(front)):
        wrong = f"{len(front)} calls returned, {len(back)} entered, {len(trace.whole())} are whole"
    if wrong:
        show_failure("without a kill", wrong)
        return 1
    duration = sorted(durations)[1]
    print(f"seed {seed}; {len(front)} calls in {duration * 1000:.0f} ms")

    failed = early = late = kills = torn = open_calls = 0
    returned = entered = whole = 0
    # One that comes too late is checked too, and made again: a machine gets faster when it has less to do.
    while kills < args.runs and late < 2 * args.runs + 20:
        process = start()
        time.sleep(draw.uniform(0, duration))
        process.send_signal(signal.SIGKILL)
        if process.wait() == -signal.SIGKILL:
            kills += 1
        else:
            late += 1
            duration *= 0.98
        trace, front, back, wrong = check()
        returned += len(front)
        entered += len(back)
        if trace:
            early += trace.size == 0
            torn += trace.torn
            whole += len(trace.whole())
            open_calls += len(trace.calls) - len(trace.whole())
        if wrong:
            failed += 1
            show_failure(f"after {kills} kills", wrong)
    print(f"{kills} kills, {early} of them before there was a trace, and {late} too late; "
          f"{returned} calls had returned, {whole} are whole in the traces; {entered} had entered the module; "
          f"{open_calls} without a return, {torn} torn last lines; {failed} traces lack something")
    if kills < args.runs or early > kills * 3 / 4:
        print("too few of the kills were where they should be")
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
