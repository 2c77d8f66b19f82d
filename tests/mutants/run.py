#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Modules that break one rule each, and odd ones that break none, against p11tape check (README.md).

    run.py rules [--write-gaps] [MUTANT…]   each mutant against the checks of its rule
    run.py legal [--whole] [NAME…]          the legal modules: no check finds anything
    run.py matrix                           each mutant against all checks; Markdown on stdout
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
BUILD = pathlib.Path(os.environ.get("P11TAPE_BUILD_DIR", SOURCE / "build"))
CHECK = os.environ.get("P11TAPE", str(BUILD / "bin/p11tape"))
JOBS = int(os.environ.get("P11TAPE_MUTANT_JOBS", "2"))
LEGAL_SHARDS = 64
TIMEOUT = 30  # seconds a check may take: long, for machines that do much besides

CAUGHT, MISSED, NO_CHECK, ERROR = "caught", "missed", "no check", "error"


def table(name, columns):
    """The rows of a file with | between the columns; '#' begins a comment."""
    path = HERE / name
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.strip() == "" or line.startswith("#"):
            continue
        row = [cell.strip() for cell in line.split("|")]
        if len(row) != columns:
            sys.exit(f"{path}:{number}: {len(row)} columns, not {columns}")
        rows.append(row)
    return rows


class Mutant:
    def __init__(self, kind, name, rule, sentence, words):
        self.kind, self.rule, self.sentence, self.words = kind, int(rule), sentence, words
        self.fault = name
        self.name = f"{kind}/{name}"


def mutants():
    words = dict(table("words", 2))
    found = []
    for kind, path, macro in (("mock", SOURCE / "tests/mock/faults.def", "FAULT_ROW"),
                              ("shim", HERE / "shim.def", "SHIM_ROW"),
                              ("module", HERE / "modules.def", "MODULE_ROW")):
        pattern = rf'^{macro}\((\S+), (\d+), "(.*)"\)$'
        for name, rule, sentence in re.findall(pattern, path.read_text(), re.MULTILINE):
            found.append(Mutant(kind, name, rule, sentence, words.pop(f"{kind}/{name}", "")))
    if words:
        sys.exit(f"{HERE / 'words'}: there are no mutants {', '.join(words)}")
    return found


def have_softhsm():
    return shutil.which("softhsm2-util") is not None and softhsm_module() is not None


def softhsm_module():
    for path in sorted(pathlib.Path("/usr").glob("lib*/**/libsofthsm2.so")):
        return path
    return None


class Lab:
    """A scratch directory, and tokens of SoftHSM2 in it: a fresh copy for each run."""

    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch)
        self.tokens = None
        self.count = 0
        if have_softhsm():
            self.tokens = self.scratch / "tokens"
            self.tokens.mkdir()
            subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "mutant",
                            "--pin", "1234", "--so-pin", "12345678"], check=True,
                           stdout=subprocess.DEVNULL,
                           env=os.environ | {"SOFTHSM2_CONF": self.configure(self.tokens)})

    def configure(self, tokens):
        path = tokens.with_suffix(".conf")
        path.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n"
                        "log.level = ERROR\n")
        return str(path)

    def directory(self):
        self.count += 1
        path = self.scratch / str(self.count)
        path.mkdir()
        return path

    def check(self, module, words, *arguments, jobs=1):
        """Run p11tape check and return its results, one dictionary a check that ran."""
        directory = self.directory()
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("P11TAPE", "MUTANT"))}
        environment |= {"P11TAPE_PIN": "1234", "P11TAPE_SO_PIN": "12345678"}
        words = words.replace("{}", str(directory / "present"))
        (directory / "present").touch()
        if module == "shim":
            path = BUILD / "tests/mutant-shim.so"
            tokens = directory / "tokens"
            shutil.copytree(self.tokens, tokens)
            environment |= {"SOFTHSM2_CONF": self.configure(tokens), "MUTANT": words,
                            "MUTANT_MODULE": str(softhsm_module())}
        else:
            path = BUILD / f"tests/p11tape-mock{'' if module == 'mock' else '-' + module}.so"
            environment |= {"P11TAPE_MOCK": words}
        if "hotplug=" in words:
            arguments += ("--unplug", "rm -f present", "--plug", "touch present")
        run = subprocess.run([CHECK, "check", "-m", str(path), "--direct", "--destructive",
                              "-j", str(jobs), "--timeout", str(TIMEOUT), "--format", "json", "--evidence",
                              str(directory / "evidence"), *arguments],
                             env=environment, cwd=directory, stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, check=False)
        shutil.rmtree(directory)
        if run.returncode not in (0, 1) and not run.stdout:
            raise RuntimeError(f"{path.name} {words}: status {run.returncode}: {run.stderr}")
        return [json.loads(line) for line in run.stdout.splitlines()]

    def mutant(self, mutant, *arguments, faulty=True):
        words = mutant.words
        if mutant.kind == "module":
            return self.check(mutant.fault, words, *arguments)
        if faulty:
            fault = mutant.fault if mutant.kind == "shim" else f"fault={mutant.fault}"
            words = ",".join(filter(None, (words, fault)))
        return self.check(mutant.kind, words, *arguments)


def is_bad(result):
    return result["verdict"] in ("fail", "deviation", "error")


def names_rule(result, rule):
    """Whether what a check found is of this rule; a crash or a hang is, in a check that asserts it."""
    return rule in result["rules"] and any(finding["rule"] in (rule, 0)
                                           for finding in result["findings"])


def rules_with_checks():
    listed = subprocess.run([CHECK, "check", "--destructive", "--list"], check=True,
                            capture_output=True, text=True).stdout
    return {int(number) for number in re.findall(r"\bR-(\d+)", listed)}


def each(function, items):
    """The items with what the function says of them, in their order, some at a time."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        yield from zip(items, pool.map(function, items))


# ---- each mutant against its rule --------------------------------------------------------------


def judge(lab, mutant, checked):
    if mutant.rule not in checked:
        return NO_CHECK, ""
    only = ("--rule", f"R-{mutant.rule:03}")
    # One finding does. But the first may be of another rule that the check asserts too, or of the
    # module that the fault is put into: then all of the rule's checks are looked at.
    results = lab.mutant(mutant, *only, "--first")
    caught = find_caught(lab, mutant, results)
    if caught is None and any(map(is_bad, results)):
        results = lab.mutant(mutant, *only)
        caught = find_caught(lab, mutant, results)
    if caught is not None:
        return CAUGHT, f"{caught['check']} ({caught['verdict']})"
    for result in results:
        if result["verdict"] == "error":
            return ERROR, f"{result['check']}: {result.get('reason', '')}"
    others = sorted({f"R-{finding['rule']:03}" for result in results
                     for finding in result["findings"]})
    if others:
        return MISSED, f"found as {', '.join(others)}"
    passed = [result for result in results if result["verdict"] == "pass"]
    if passed:
        return MISSED, f"{len(passed)} of {len(results)} checks pass, such as {passed[0]['check']}"
    return MISSED, f"{len(results)} checks skip: {results[0].get('reason', '') if results else ''}"


def find_caught(lab, mutant, results):
    """The first result that names the mutant's rule, of a check that finds nothing without the fault."""
    named = [result for result in results if names_rule(result, mutant.rule)]
    if not named or mutant.kind == "module" or (mutant.kind == "mock" and not mutant.words):
        return named[0] if named else None
    faultless = {result["check"] for result in lab.mutant(
        mutant, *(result["check"] for result in named), faulty=False) if not is_bad(result)}
    return next((result for result in named if result["check"] in faultless), None)


def run_rules(lab, options):
    gaps = {row[0]: row[1] for row in table("gaps", 2)}
    everything = mutants()
    for name in set(gaps) - {mutant.name for mutant in everything}:
        sys.exit(f"{HERE / 'gaps'}: there is no mutant {name}")
    chosen = [mutant for mutant in everything
              if not options.names or mutant.name in options.names or mutant.fault in options.names]
    if lab.tokens is None:
        print("SoftHSM2 is not installed: its mutants are left out")
        chosen = [mutant for mutant in chosen if mutant.kind != "shim"]
    checked = rules_with_checks()
    counts = dict.fromkeys((CAUGHT, MISSED, NO_CHECK, ERROR), 0)
    verdicts, open_gaps, wrong = {}, [], []
    for mutant, (verdict, how) in each(lambda one: judge(lab, one, checked), chosen):
        counts[verdict] += 1
        verdicts[mutant.name] = verdict
        print(f"{verdict:8}  R-{mutant.rule:03}  {mutant.name}{': ' if how else ''}{how}", flush=True)
        if verdict != CAUGHT:
            open_gaps.append((mutant, verdict))
            if mutant.name not in gaps:
                wrong.append(f"{mutant.name} is not caught by R-{mutant.rule:03}'s checks: {how or verdict}")
        elif mutant.name in gaps:
            wrong.append(f"{mutant.name} is caught now: take it out of tests/mutants/gaps")
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
          f"of {len(chosen)} mutants")
    for bug, name in founding():
        if name in verdicts:
            print(f"founding bug: {bug}: {name}: {verdicts[name]}")
    if options.write_gaps:
        write_gaps(open_gaps)
        return 0
    for sentence in wrong:
        print(f"FAILED: {sentence}")
    return 1 if wrong else 0


def founding():
    everything = {mutant.name for mutant in mutants()}
    rows = table("founding", 2)
    for name, _ in rows:
        if name not in everything:
            sys.exit(f"{HERE / 'founding'}: there is no mutant {name}")
    return [(bug, name) for name, bug in rows]


def write_gaps(open_gaps):
    path = HERE / "gaps"
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    known = {row[0]: row[1] for row in table("gaps", 2)}
    lines = [f"{mutant.name} | {known.get(mutant.name, verdict)}" for mutant, verdict in open_gaps]
    path.write_text("\n".join(head + lines) + "\n")


# ---- legal modules ------------------------------------------------------------------------------


def run_legal(lab, options):
    tolerated = {(name, check) for name, check, _ in table("tolerated", 3)}
    status, met = 0, set()
    rows = [row for row in table("legal", 4) if not options.names or row[0] in options.names]
    for index, (name, module, words, _) in enumerate(rows):
        shard = () if options.whole else ("--shard", f"{index % LEGAL_SHARDS + 1}/{LEGAL_SHARDS}")
        results = lab.check(module, words, *shard, jobs=JOBS)
        counts = {verdict: sum(result["verdict"] == verdict for result in results)
                  for verdict in ("pass", "fail", "deviation", "skip", "error")}
        print(f"{name:24}", ", ".join(f"{count} {verdict}" for verdict, count in counts.items()),
              flush=True)
        if counts["pass"] == 0:
            status = 1
            print(f"FAILED: {name}: nothing passes")
        for result in filter(is_bad, results):
            if result["verdict"] == "deviation" and (name, result["check"]) in tolerated:
                met.add((name, result["check"]))
                continue
            status = 1
            seen = [f"R-{finding['rule']:03}: {finding['seen']}" for finding in result["findings"]]
            print(f"FAILED: {name} ({words}): {result['verdict']} {result['check']}: "
                  f"{'; '.join(seen) or result.get('reason', '')}")
    if options.whole and not options.names:
        for name, check in sorted(tolerated - met):
            status = 1
            print(f"FAILED: {check} finds nothing in {name}: take it out of tests/mutants/tolerated")
    return status


# ---- the whole matrix ---------------------------------------------------------------------------


def cell(names):
    """Names of checks, those of a family as one."""
    families = {}
    for name in names:
        family = name.rsplit("/", 1)[0] if name.count("/") > 1 else name
        families.setdefault(family, []).append(name)
    return ", ".join(f"`{members[0]}`" if len(members) == 1 else f"`{family}/…` ({len(members)})"
                     for family, members in sorted(families.items()))


def run_matrix(lab, _options):
    everything = [mutant for mutant in mutants() if mutant.kind != "shim" or lab.tokens]
    checked = rules_with_checks()
    quiet = {}
    for mutant in everything:
        # What is found without the fault is not the fault's: SoftHSM2 has findings of its own.
        key = (mutant.kind, mutant.words)
        if mutant.kind != "module" and key not in quiet:
            quiet[key] = {result["check"] for result in lab.mutant(mutant, faulty=False)
                          if is_bad(result)}
    rows, errors = [], []
    for mutant, results in each(lab.mutant, everything):
        print(mutant.name, file=sys.stderr, flush=True)
        before = quiet.get((mutant.kind, mutant.words), set())
        bad = [result for result in results if is_bad(result) and result["check"] not in before]
        errors += [f"{mutant.name}: {result['check']}: {result.get('reason', '')}"
                   for result in bad if result["verdict"] == "error"]
        own = [result["check"] for result in bad if names_rule(result, mutant.rule)]
        rows.append((mutant, own, len(bad) - len(own)))
    put_matrix(rows, checked)
    for error in errors:
        print(f"an error of ours: {error}", file=sys.stderr)
    return 1 if errors else 0


def put_matrix(rows, checked):
    caught = sum(bool(own) for _, own, _ in rows)
    verdicts = {mutant.name: bool(own) for mutant, own, _ in rows}
    print("# Mutants\n\n`ci/soak-mutants` makes this page: what `p11tape check` finds in modules of which each "
          "breaks one rule\n(`tests/mutants/`).\n")
    print(f"{len(rows)} mutants: {caught} are caught by a check of the rule that they break.\n")
    print("## The bugs that the suites began with\n\n| bug | mutant | caught |\n| --- | --- | --- |")
    for bug, name in founding():
        print(f"| {bug} | `{name}` | {'yes' if verdicts.get(name) else 'no'} |")
    print("\n## All\n\n| rule | mutant | what it does | caught by checks of the rule | by others |\n"
          "| --- | --- | --- | --- | --- |")
    for mutant, own, others in sorted(rows, key=lambda row: (row[0].rule, row[0].name)):
        how = cell(own) or ("**no**" if mutant.rule in checked else "no check yet")
        print(f"| R-{mutant.rule:03} | `{mutant.name}` | {mutant.sentence} | {how} | {others or ''} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("rules", "legal", "matrix"))
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write-gaps", action="store_true")
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="p11tape-mutants-") as scratch:
        lab = Lab(scratch)
        work = {"rules": run_rules, "legal": run_legal, "matrix": run_matrix}[options.mode]
        sys.exit(work(lab, options))


main()
