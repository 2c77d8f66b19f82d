#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""threads.py TRACE CALLS THREADS PER-THREAD: nothing of what robust-threads did is missing or mixed up."""

import collections
import json
import sys

path, calls, threads, per_thread = sys.argv[1], *map(int, sys.argv[2:])
inputs, outputs = {}, {}
by_thread = collections.defaultdict(set)
with open(path, encoding="utf-8") as file:
    for number, line in enumerate(file, 1):
        assert line.startswith("- {") and line.endswith("}\n"), f"{path}:{number}: not a record line"
        item = json.loads(line[2:])
        if "call" in item:
            assert item["id"] not in inputs, f"{path}:{number}: id {item['id']} stands twice"
            inputs[item["id"]] = item
            by_thread[item.get("thread", 1)].add(item["in"]["hSession"] if "hSession" in item.get("in", {}) else None)
        elif "return" in item:
            assert item["return"] not in outputs, f"{path}:{number}: call {item['return']} returns twice"
            assert item["return"] in inputs, f"{path}:{number}: a return before its call"
            outputs[item["return"]] = item

assert len(inputs) == calls, f"{len(inputs)} calls are in the trace, {calls} were made"
assert inputs.keys() == outputs.keys(), "calls without a return"
assert sorted(inputs) == list(range(1, calls + 1)), "the ids are not the numbers from 1"

texts = collections.Counter()
for id, call in inputs.items():
    if call["call"] == "C_Sign":
        text = call["in"]["pData"]["text"] if "text" in call["in"]["pData"] else bytes.fromhex(call["in"]["pData"]["hex"]).decode()
        back = outputs[id]["out"]["pSignature"]
        back = back["text"] if "text" in back else bytes.fromhex(back["hex"]).decode()
        assert text == back, f"call {id}: {text} came back as {back}"
        assert text.startswith(f"thread {call['in']['hSession']} "), f"call {id}: {text} with another's session"
        texts[text] += 1
wanted = {f"thread {i} call {j}" for i in range(threads) for j in range(per_thread)}
assert set(texts) == wanted and max(texts.values()) == 1, "calls are missing or stand twice"
for thread, sessions in by_thread.items():
    assert len(sessions - {None}) <= 1, f"thread {thread} is several threads"
assert len(by_thread) == threads, f"{len(by_thread)} threads"
