#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""browsers-report.py P11TAPE DIRECTORY PAGE: what browsers ask of a module, out of the traces that ci/browsers left.

It reads the record lines that the recorder writes: one JSON object each, behind "- ".
"""
import collections
import json
import pathlib
import subprocess
import sys

SCENARIOS = {
    "anchors": "an authority that only the module has",
    "trust": "an authority's trust alone, without one attribute",
    "lost": "the same, behind what loses partial results",
    "client": "a client's certificate and key in the token",
}


def version(program):
    return subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip().split("\n")[0]


def read(paths):
    """The calls of some traces, each with what it returned, and how many threads made them."""
    calls, threads = [], set()
    for path in paths:
        open_calls = {}
        for line in path.read_text().splitlines():
            item = json.loads(line[2:])
            if "call" in item:
                open_calls[item["id"]] = item
                calls.append(item)
                threads.add((path, item.get("thread", 1)))
            elif "return" in item and item["return"] in open_calls:
                open_calls[item["return"]].update(rv=item.get("rv"), out=item.get("out", {}))
    return calls, len(threads)


def name(entry):
    return entry["type"]


def reads(calls):
    """Attributes that are asked for several at a time, those of them that were not there, and those left as they were."""
    several = collections.Counter()
    missing = collections.defaultdict(collections.Counter)
    left = collections.defaultdict(collections.Counter)
    for call in calls:
        template = call.get("in", {}).get("pTemplate")
        if call["call"] != "C_GetAttributeValue" or not isinstance(template, list) or len(template) < 2:
            continue
        if all(entry.get("room", 0) is None for entry in template):
            continue  # lengths only
        key = tuple(name(entry) for entry in template)
        several[key] += 1
        for entry, answer in zip(template, call.get("out", {}).get("pTemplate") or []):
            if answer.get("len") == "unavailable":
                missing[key][name(entry)] += 1
            elif answer.get("same"):
                left[key][name(entry)] += 1
    return several, missing, left


def times(attributes):
    return ", ".join(f"{attribute} ({n})" for attribute, n in attributes.items())


def searches(calls):
    found = collections.Counter()
    for call in calls:
        if call["call"] == "C_FindObjectsInit":
            template = call.get("in", {}).get("pTemplate") or []
            classes = [entry.get("ulong", "?") for entry in template if entry["type"] == "CKA_CLASS"]
            rest = [name(entry) for entry in template if entry["type"] != "CKA_CLASS"]
            found[" ".join([str(c) for c in classes] + rest) or "everything"] += 1
    return found


def lost_trust(row):
    """What is seen of the trust that gets lost: what Firefox says, and where `p11tape diff` begins."""
    said = (row / "direct.out").read_text().strip()
    lines = (row / "diff.out").read_text().splitlines()
    first = next(line for line in lines if line.startswith("@@"))
    return [
        "",
        "## Trust that gets lost",
        "",
        "A server sends its authority's certificate along; p11-kit-trust has the trust object for it, in which",
        "CKA_NSS_TRUST_CLIENT_AUTH is not there, as in Mozilla's own. Directly the page loads. Behind a module that stops at the",
        "attribute which is not there (`MUTANT=partial_reads_lost`) Firefox takes no hash for that certificate, and in the picture",
        "is its warning (\"Be careful. Something doesn't look right.\"). The error is",
        "",
        "```",
        said,
        "```",
        "",
        "Replayed with neither of the two modules there it shows the same picture again. Of the two recordings `p11tape diff` says",
        "",
        "```",
        first,
        lines[-1],
        "```",
    ]


def main():
    directory, page = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    text = [
        "# What browsers ask of a module",
        "",
        "Made by `ci/browsers --report` of traces that it recorded: headless, one page, unmodified command lines. Each is then",
        "replayed with the module and the token absent: the picture of the page is the same, and the server, which is a live",
        "one, is content; what must be signed anew a test key signs (`--key`). Without the module the page does not load.",
        "",
    ]
    rows = [directory / "rows" / f"{browser}-{scenario}" for browser in ("chromium", "firefox") for scenario in SCENARIOS]
    rows = [row for row in rows if (row / "trace.yaml").exists()]
    text += ["| browser | module has | calls | threads | processes | searches | reads of several attributes "
             "| attributes of them not there |", "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    details = []
    for row in rows:
        browser, scenario = row.name.split("-", 1)
        traces = [row / "trace.yaml"] + sorted(row.glob("trace.[0-9]*.yaml"))
        calls, threads = read(traces)
        several, missing, left = reads(calls)
        found = searches(calls)
        program = version("firefox-esr" if browser == "firefox" else browser)
        text.append(f"| {program} | {SCENARIOS[scenario]} | {len(calls)} | {threads} | {len(traces)} "
                    f"| {sum(found.values())} | {sum(several.values())} "
                    f"| {sum(sum(each.values()) for each in missing.values())} |")
        details += ["", f"## {program}: {SCENARIOS[scenario]}", "", "| times | function |", "| ---: | --- |"]
        for function, count in collections.Counter(call["call"] for call in calls).most_common():
            details.append(f"| {count} | {function} |")
        details += ["", "| times | searches for |", "| ---: | --- |"]
        details += [f"| {count} | {what} |" for what, count in found.most_common(12)]
        if several:
            details += ["", "| times | attributes read in one call | not there | left as it was |",
                        "| ---: | --- | --- | --- |"]
            for key, count in several.most_common(12):
                details.append(f"| {count} | {', '.join(key)} | {times(missing[key])} | {times(left[key])} |")
    text += lost_trust(directory / "rows" / "firefox-lost")
    page.write_text("\n".join(text + details) + "\n")


if __name__ == "__main__":
    main()
