#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Traces that nobody has written: fixtures with lines lost, repeated, moved and changed, and the corpora of broken
ones, are served in lenient mode. The program gets answers or divergences, or the trace is refused; nothing crashes,
and nothing hangs."""
import glob
import os
import random
import subprocess
import sys
import tempfile

CALLS = os.path.join(os.environ["P11TAPE_BUILD_DIR"], "tests", "calls")
SOURCE = os.environ["P11TAPE_SOURCE_DIR"]
FIXTURES = ["pkcs11-tool-objects", "go-four-both", "nss-keys", "pkcs11js-generate", "nginx-ec.child1"]
ROUNDS = int(os.environ.get("P11TAPE_HOSTILE_ROUNDS", "25"))


def mutate(lines, chance):
    """Lines of record form: one item each."""
    lines = list(lines)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(1, len(lines))
        how = chance.randrange(5)
        if how == 0:
            del lines[at]
        elif how == 1:
            lines.insert(chance.randrange(1, len(lines)), lines[at])
        elif how == 2:
            lines.insert(chance.randrange(1, len(lines)), lines.pop(at))
        elif how == 3:
            digits = [i for i, c in enumerate(lines[at]) if c.isdigit()]
            if digits:
                i = chance.choice(digits)
                lines[at] = lines[at][:i] + chance.choice("0123456789") + lines[at][i + 1:]
        else:
            other = chance.choice(lines[1:])
            cut = chance.randrange(len(lines[at]))
            lines[at] = lines[at][:cut] + other[cut:]
        if len(lines) < 3:
            break
    return lines


def serve(trace, asked, how):
    run = subprocess.run([CALLS, asked, *how], check=False, timeout=120, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, text=True, errors="replace",
                         env={**os.environ, "P11TAPE_REPLAY": trace, "P11TAPE_REPLAY_MODE": "lenient"})
    return None if run.returncode in (0, 1, 2) else f"exit {run.returncode}: {run.stderr[-2000:]}"


def main():
    failed = False
    with tempfile.TemporaryDirectory() as directory:
        trace = os.path.join(directory, "t.yaml")
        for name in FIXTURES:
            fixture = os.path.join(SOURCE, "fixtures", "programs", name + ".yaml")
            lines = subprocess.run([os.environ["P11TAPE"], "fmt", "--lines", fixture], check=True, text=True,
                                   stdout=subprocess.PIPE).stdout.splitlines(keepends=True)
            for seed in range(ROUNDS):
                chance = random.Random(f"{name} {seed}")
                with open(trace, "w", encoding="utf-8") as file:
                    file.writelines(mutate(lines, chance))
                how = chance.choice(([], ["twice"], ["reversed"]))
                for asked in (fixture, trace):
                    wrong = serve(trace, asked, how)
                    if wrong is not None:
                        print(f"{name}, seed {seed}, {how}: {wrong}")
                        failed = True
        for broken in sorted(glob.glob(os.path.join(SOURCE, "tests", "bad", "*.yaml"))):
            wrong = serve(broken, os.path.join(SOURCE, "fixtures", "programs", "pkcs11-tool-fork.child1.yaml"), [])
            if wrong is not None:
                print(f"{broken}: {wrong}")
                failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
