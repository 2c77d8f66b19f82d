#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""`p11tape drive` with traces that somebody has meddled with: what comes is a sentence, differences, or a module that
did not bear its arguments; never a crash of p11tape's own, neither of the process that reads nor of the one that calls."""

import copy
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

program = os.environ["P11TAPE"]
build = pathlib.Path(os.environ["P11TAPE_BUILD_DIR"])
stub = build / "tests/p11tape-stub-320.so"
seed = int(os.environ.get("P11TAPE_SEED", "11"))
rounds = int(os.environ.get("P11TAPE_ROUNDS", "300"))

numbers = [0, 1, 7, 255, 2**31, 2**32, 2**63, 2**64 - 1]
values = [{"hex": "00"}, {"text": "other"}, {"room": 4096}, {"room": 0}, {"len": 3}, {"len": 2**64 - 1}, {"len": "unavailable"},
          {"same": True}, None, {"room": {"template": 3}, "template": [{"room": 8}, {"room": 1}, {"room": "unstated"}]}]


def places(value, found):
    """All (container, key) pairs below a value."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            places(value[key], found)
    return found


def change(chance, item, constants):
    """Put another value somewhere into a call or a return."""
    found = places(item.get("in") or item.get("out") or {}, [])
    if not found or chance.randrange(8) == 0:
        item["rv" if "return" in item else "call"] = chance.choice(constants["rv" if "return" in item else "call"])
        return
    container, key = chance.choice(found)
    value = container[key]
    if isinstance(value, bool) or chance.randrange(8) == 0:
        container[key] = chance.choice(values)
    elif isinstance(value, int):
        container[key] = chance.choice(numbers)
    elif isinstance(value, str):
        container[key] = chance.choice(constants["other"]) if value.isupper() else value[: len(value) // 4 * 2] * 2
    elif isinstance(value, list) and value:
        value.append(value[chance.randrange(len(value))])
        del value[chance.randrange(len(value))]
    else:
        container[key] = chance.choice(values)


def number(items):
    """Ids ascend, and what has one of its own is no more."""
    ids = {}
    for item in items:
        if "call" in item and "id" in item:
            new = max(ids.values(), default=0) + 1
            ids[item["id"]] = item["id"] = new
        elif "return" in item:
            item["return"] = ids.get(item["return"], item["return"])


def meddle(chance, items, constants):
    """Another trace: values are changed; calls are left out, or come elsewhere or twice; now and then bytes are."""
    items = copy.deepcopy(items)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(1, len(items))
        identity = items[at].get("id", items[at].get("return"))
        both = [item for item in items if identity is not None and identity in (item.get("id"), item.get("return"))]
        what = chance.randrange(10)
        if what > 2 or not both:
            change(chance, items[at], constants)
        elif what == 0:
            items = [item for item in items if item not in both]
        else:
            place = chance.randrange(1, len(items))
            if what == 1:
                items = [item for item in items if item not in both]
            else:
                both = copy.deepcopy(both)
            items[place:place] = both
    number(items)
    trace = bytearray("".join(f"- {json.dumps(item)}\n" for item in items).encode())
    if chance.randrange(10) == 0:
        trace[chance.randrange(len(trace))] = chance.randrange(256)
    return trace


def drive(path):
    done = subprocess.run([program, "drive", path, "-m", stub, "--destructive", "--timeout", "5", "--pin", "1234",
                           "--so-pin", "5678", *sum((["--secret", f"pin-{i}=x"] for i in range(1, 9)), [])],
                          capture_output=True, timeout=120, stdin=subprocess.DEVNULL, check=False)
    output = (done.stdout + done.stderr).decode(errors="replace")
    # The stub follows what it is given: a call that does not return is its own affair.
    own = re.search(r"returned, and the process died behind it|when it was loaded|AddressSanitizer|runtime error", output)
    return done.returncode, output, own


def main():
    chance = random.Random(seed)
    statuses = {0: 0, 1: 0, 2: 0}
    with tempfile.TemporaryDirectory() as directory:
        trace = os.path.join(directory, "stub.yaml")
        subprocess.run([build / "tests/drive-stub", os.environ["P11TAPE_RECORDER_SO"], "3.2"], check=True,
                       stdout=subprocess.DEVNULL, env={**os.environ, "P11TAPE_MODULE": str(stub), "P11TAPE_TRACE": trace})
        text = pathlib.Path(trace).read_text()
        # Times, which json would spell in another way, are not needed.
        items = [json.loads(re.sub(r', "(at|took)": [^,}]*', "", line[2:])) for line in text.splitlines()]
        constants = {"call": re.findall(r'"call": "(\w+)"', text), "rv": ["CKR_OK", "CKR_BUFFER_TOO_SMALL", "CKR_PIN_INCORRECT"],
                     "other": re.findall(r'"(CK[A-Z]_\w+)"', text)}
        status, output, _ = drive(trace)
        if status != 0:
            sys.exit(f"the trace itself: status {status}: {output[-500:]}")
        path = os.path.join(directory, "other.yaml")
        for number in range(rounds):
            pathlib.Path(path).write_bytes(meddle(chance, items, constants))
            status, output, own = drive(path)
            if status not in statuses or own:
                kept = f"hostile-{seed}-{number}.yaml"
                pathlib.Path(build / kept).write_bytes(pathlib.Path(path).read_bytes())
                sys.exit(f"round {number}, {build / kept}: status {status}: {output[-1000:]}")
            statuses[status] += 1
    print(f"{rounds} traces: {statuses[0]} as recorded, {statuses[1]} with differences, {statuses[2]} refused")
    # What is always refused, or never read, shows nothing.
    return 0 if statuses[1] > rounds // 20 and statuses[2] > rounds // 20 else 1


sys.exit(main())
