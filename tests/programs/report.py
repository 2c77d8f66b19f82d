#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make docs/compatibility.md of the facts that the rows left.

usage: report.py DIRECTORY [OUTPUT]     DIRECTORY has a .tsv of each test in tests/programs
"""
import pathlib
import re
import sys

FIELDS = ("family row program version target target_version calls threads processes verdict rules remark").split()

HEAD = """\
# What works with what

Made by `ci/programs --report`; not edited by hand. Each row is a program that was run by itself, recorded, and
replayed with the module that it had used hidden from it: same output, same files, same exit status. Every trace was
validated, and searched for the PINs that were presented. The rows are in [tests/programs](../tests/programs/).

| replay | meaning |
| --- | --- |
| exact | every call was served, and each of their inputs was the recorded one; recording the replay gives the trace again (where one thread calls) |
| with rule | the same, but for inputs that the program draws at random: `p11tape replay --match RULE` |
| with key | the same in lenient mode, with a test key that signs what the recording has no signature of (`p11tape replay --key`): a live peer accepts it. In strict mode every call is served, with the rules that are named, and the peer refuses the answer |
| with divergence | the program does what it did; the divergences that are named are reported |
| served | every call was served, with the rules that are named, and none was left; what the program prints is another thing, since a live peer refuses the answer |
| up to C_… | served until then, with the rules that are named; what follows depends on a live peer, which refuses the answer |
| cannot | strict replay cannot serve it, for the reason given |
| recorded | only recorded here |
"""


def read(directory):
    for path in sorted(pathlib.Path(directory).glob("*.tsv")):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            fields = line.split("\t")
            if len(fields) != len(FIELDS):
                sys.exit(f"{path}:{number}: {len(fields)} fields, not {len(FIELDS)}")
            yield dict(zip(FIELDS, fields))


def cell(text):
    return text.replace("|", "\\|").strip()


def versioned(name, package):
    """A name with its package's version, without what Debian adds before and behind it."""
    version = package.strip().partition(" ")[2]
    return f"{name} {re.sub(r'^[0-9]+:|[+~-]deb[^ ]*$|-[^-]*$', '', version)}".strip()


def remark(row):
    rules = [f"`{rule}`" for rule in row["rules"].split()]
    return "; ".join(filter(None, [", ".join(rules), row["remark"].strip()]))


def table(rows):
    yield "| row | program | module | calls | threads | processes | replay | remark |"
    yield "| --- | --- | --- | --: | --: | --: | --- | --- |"
    for row in rows:
        cells = [row["row"], versioned(row["program"], row["version"]),
                 versioned(row["target"], row["target_version"]), row["calls"], row["threads"], row["processes"],
                 row["verdict"], remark(row)]
        yield "| " + " | ".join(map(cell, cells)) + " |"


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    rows = list(read(sys.argv[1]))
    verdicts = {}
    packages = set()
    for row in rows:
        verdict = "up to …" if row["verdict"].startswith("up to") else row["verdict"]
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        packages.update(filter(None, (row["version"].strip(), row["target_version"].strip())))
    lines = [HEAD]
    lines.append(f"{len(rows)} rows: " + ", ".join(f"{count} {name}" for name, count in sorted(
        verdicts.items(), key=lambda item: -item[1])) + ".\n")
    for family in sorted({row["family"] for row in rows}):
        lines.append(f"## {family}\n")
        lines.extend(table(row for row in rows if row["family"] == family))
        lines.append("")
    lines.append("## Versions\n")
    lines.append("The packages (sources) that the programs and modules came from:\n")
    lines.extend(f"* {package}" for package in sorted(packages))
    text = "\n".join(lines) + "\n"
    if len(sys.argv) == 3:
        pathlib.Path(sys.argv[2]).write_text(text)
    else:
        sys.stdout.write(text)


main()
