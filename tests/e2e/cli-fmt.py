#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p11tape fmt loses nothing: traces as a recorder would write them, with calls of several threads
overlapping in every way, come back byte for byte from block form, read the same in both spellings, and
have one canonical form."""

import difflib
import os
import random
import subprocess
import sys

P11TAPE = os.environ["P11TAPE"]
TRACES = int(os.environ.get("TRACES", "120"))

HEADER = (
    '- {"p11tape": 1, "version": "0.1.0", "started": "2026-11-21T10:15:0%d.120394Z", "process": {"program": "random", '
    '"pid": %d, "start": 77, "parent": 1}, %s"module": {"path": "/usr/lib/libx.so", "exports": ["C_GetFunctionList"]}, '
    '"abi": {"ulong": 8, "packing": "natural"}, "redact": "pin"}'
)

# name, inputs, outputs
CALLS = [
    ("C_CloseSession", '{"hSession": %d}', None),
    ("C_GetInfo", None, '{"pInfo": {"cryptokiVersion": "2.40", "manufacturerID": "yes", "flags": 0, '
     '"libraryDescription": "a: b # c", "libraryVersion": "1.0"}}'),
    ("C_Sign", '{"hSession": %d, "pData": {"text": "null"}, "pSignature": {"room": 64}}',
     '{"pSignature": {"hex": "00e1"}}'),
    ("C_FindObjectsInit", '{"hSession": %d, "pTemplate": [{"type": "CKA_LABEL", "text": "1e3"}, '
     '{"type": "CKA_ID", "hex": ""}, {"type": "CKA_TOKEN", "bool": true}, {"type": "0x80000001", "hex": "0123"}]}', None),
    ("C_GetAttributeValue", '{"hSession": %d, "hObject": 1, "pTemplate": [{"type": "CKA_CLASS", "room": "ulong"}, '
     '{"type": "CKA_LABEL", "room": null}]}', '{"pTemplate": [{"ulong": "CKO_DATA"}, {"len": "unavailable"}]}'),
    ("C_GetSlotList", '{"tokenPresent": false, "pSlotList": {"room": 4}}', '{"pSlotList": [0, 1, "0xfffffffffffffff0"]}'),
]


def part(draw, lines, first_id, load):
    """Append one load of the module, and return the next id."""
    threads = draw.choice((1, 2, 2, 3, 6))
    open_calls = {}  # thread: list of (id, outputs, whether it is a notification), innermost last
    number = first_id
    at = 0.0
    lines.append(HEADER % (load, 1000 + load, f'"load": {load}, ' if load > 1 else ""))
    for _ in range(draw.randrange(60)):
        thread = draw.randint(1, threads)
        stack = open_calls.setdefault(thread, [])
        at += draw.random() / 1000
        kind = draw.random()
        if kind < 0.04:
            lines.append(draw.choice(('- {"gap": 0, "why": "No space left on device"}',
                                      '- {"passed-through": "Vendor \\"quoted\\" interface"}')))
        elif kind < 0.2 and (not stack or not stack[-1][2]):
            line = f'- {{"notify": "CKN_SURRENDER", "id": {number}, "at": {at:.6f}'
            if thread != 1:
                line += f', "thread": {thread}'
            if stack:
                line += f', "during": {stack[-1][0]}'
            lines.append(line + ', "in": {"hSession": 1}}')
            stack.append((number, None, True))
            number += 1
        elif stack and (len(stack) > 4 or draw.random() < 0.6):
            call, out, _ = stack.pop()
            rv = draw.choice(("CKR_OK", "CKR_OK", "CKR_DEVICE_ERROR", "0x80000123"))
            written = f'"out": {out}, ' if out and rv == "CKR_OK" else ""
            if written and draw.random() < 0.05:
                written = '"partial": "out of memory", '
            lines.append(f'- {{"return": {call}, {written}"rv": "{rv}", "took": {draw.random():.9f}}}')
        elif not stack or draw.random() < 0.3:
            name, inputs, out = draw.choice(CALLS)
            line = f'- {{"call": "{name}", "id": {number}, "at": {at:.6f}'
            if thread != 1:
                line += f', "thread": {thread}'
            if stack and stack[-1][2]:
                line += f', "during": {stack[-1][0]}'
            if inputs and "pTemplate" not in inputs and draw.random() < 0.05:
                line += ', "partial": "out of memory"'
            elif inputs:
                line += ', "in": ' + (inputs % draw.randint(1, 9) if "%" in inputs else inputs)
            lines.append(line + "}")
            stack.append((number, out, False))
            number += 1
    left = sorted(call for stack in open_calls.values() for call, _, _ in stack)
    lines.append(f'- {{"end": "unload", "last": {number - 1}, "open": {left}}}')
    return number


def p11tape(*arguments, given=None):
    done = subprocess.run((P11TAPE,) + arguments, input=given, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"p11tape {' '.join(arguments)}: status {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def expect(seed, what, got, wanted):
    if got != wanted:
        lines = difflib.unified_diff(wanted.decode().split("\n"), got.decode().split("\n"), "wanted", "got", lineterm="")
        sys.exit("\n".join([f"trace {seed}: {what} differs"] + list(lines)[:40]))


def check(seed, trace):
    block = p11tape("fmt", "-", given=trace)
    expect(seed, "record lines from block form", p11tape("fmt", "--lines", "-", given=block), trace)
    expect(seed, "record lines from record lines", p11tape("fmt", "--lines", "-", given=trace), trace)
    expect(seed, "block form from block form", p11tape("fmt", "-", given=block), block)
    expect(seed, "show", p11tape("show", "-r", "-", given=block), p11tape("show", "-r", "-", given=trace))
    canonical = p11tape("fmt", "--canonical", "-", given=trace)
    expect(seed, "canonical form of block form", p11tape("fmt", "--canonical", "-", given=block), canonical)
    expect(seed, "canonical form of itself", p11tape("fmt", "--canonical", "-", given=canonical), canonical)
    for text in (trace, block, canonical):
        if b", whole\n" not in p11tape("validate", "-", given=text):
            sys.exit(f"trace {seed}: validate does not call it whole")
    return b"\n- return:" in block


def main():
    in_halves = 0
    for seed in range(TRACES):
        draw = random.Random(seed)
        lines = []
        number = part(draw, lines, 1, 1)
        if draw.random() < 0.2:
            part(draw, lines, number, 2)
        in_halves += check(seed, ("\n".join(lines) + "\n").encode())
    print(f"{TRACES} traces, {in_halves} of them with calls that only halves can tell")


if __name__ == "__main__":
    main()
