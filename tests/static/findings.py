#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hold docs/findings/ to fixtures/baselines/: each finding is of an entry that names its rule, and each pattern of an
entry is of some finding.

An entry begins with a heading of level 3. Its rules are the R-000 in it; the patterns, of fnmatch, stand in code on
lines that begin with "Checks:". A page names its baselines ("Baselines:"), and pages whose entries hold for it, too
("Includes:")."""

import collections
import fnmatch
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
pages = root / "docs/findings"
baselines = root / "fixtures/baselines"


def entries(page):
    """Yields (heading, rules, patterns)."""
    for text in re.split(r"^### ", page.read_text(), flags=re.M)[1:]:
        text = re.split(r"^#+ ", text, flags=re.M)[0]
        checks = " ".join(line for line in text.splitlines() if line.startswith("Checks:"))
        rules = {int(number) for number in re.findall(r"R-(\d+)", text)}
        yield text.splitlines()[0], rules, re.findall(r"`([^`]+)`", checks)


def findings(baseline):
    """Yields (check, rule); the rule of a crash is 0."""
    for item in re.split(r"^- ", baseline.read_text(), flags=re.M):
        check = re.match(r"check: (\S+)", item)
        rule = re.search(r"^  rule: R-(\d+)", item, flags=re.M)
        if check:
            yield check[1], int(rule[1]) if rule else 0


def main():
    wrong = collections.Counter()
    explained = set()
    for page in sorted(pages.glob("*.md")):
        head = page.read_text().split("\n### ")[0]
        names = re.search(r"^Baselines: (.*?)\.", head, flags=re.M)
        if page.name == "README.md" or not names:
            continue
        names = [name for name in re.findall(r"`([^`]+)`", names[1]) if (baselines / f"{name}.yaml").exists()]
        own = list(entries(page))
        known = own + [entry for other in re.findall(r"Includes: \[([^]]+)\]", head) for entry in entries(pages / other)]
        all_findings = [found for name in names for found in findings(baselines / f"{name}.yaml")]
        explained.update(names)
        for check, rule in all_findings:
            of = [entry for entry in known if any(fnmatch.fnmatchcase(check, pattern) for pattern in entry[2])]
            family = "/".join(check.split("/")[:2])
            if not of:
                wrong[f"{page.name}: no entry explains {family} (R-{rule:03})"] += 1
            elif rule and not any(rule in entry[1] for entry in of):
                wrong[f"{page.name}: {family} contradicts R-{rule:03}, which '{of[0][0]}' does not name"] += 1
        for heading, _, patterns in own:
            if not patterns:
                wrong[f"{page.name}: '{heading}' names no checks"] += 1
            for pattern in patterns:
                if names and not any(fnmatch.fnmatchcase(check, pattern) for check, _ in all_findings):
                    wrong[f"{page.name}: '{heading}': no finding is of {pattern}"] += 1
    for baseline in sorted(baselines.glob("*.yaml")):
        if baseline.stem not in explained:
            wrong[f"no page is about {baseline.name}"] += 1
    for sentence, count in wrong.items():
        print(sentence if count == 1 else f"{sentence} ({count} findings)")
    return bool(wrong)


sys.exit(main())
