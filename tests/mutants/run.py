#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Modules that break one rule each, and odd ones that break none, against p11tape check (README.md).

    run.py rules [MUTANT…]          each mutant against the checks of its rule
    run.py legal [--whole] [NAME…]  the legal modules: no check finds anything
    run.py matrix [MUTANT…]         each mutant against all checks, into the build directory
    run.py page [--check]           docs/mutants.md
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
# Where all checks hang they do nothing: many at a time.
HANGING = {"mock/hang_after_finalize": ("-j", "64", "--timeout", "5")}


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
    def __init__(self, kind, fault, rule, sentence, words, name=None):
        self.kind, self.fault, self.rule, self.sentence, self.words = kind, fault, int(rule), sentence, words
        self.name = name or f"{kind}/{fault}"


def mutants():
    words = dict(table("words", 2))
    found = []
    for kind, path, macro in (("mock", SOURCE / "tests/mock/faults.def", "FAULT_ROW"),
                              ("shim", HERE / "shim.def", "SHIM_ROW"),
                              ("module", HERE / "modules.def", "MODULE_ROW")):
        pattern = rf'^{macro}\((\S+), (\d+), "(.*)"\)$'
        for name, rule, sentence in re.findall(pattern, path.read_text(), re.MULTILINE):
            found.append(Mutant(kind, name, rule, sentence, words.pop(f"{kind}/{name}", "")))
    # The same faults in odd modules: name@oddity.
    known = {mutant.name: mutant for mutant in found}
    for name in [name for name in words if name.rpartition("@")[0] in known]:
        mutant = known[name.rpartition("@")[0]]
        found.append(Mutant(mutant.kind, mutant.fault, mutant.rule, mutant.sentence, words.pop(name), name))
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

    def check(self, module, words, *arguments, jobs=1):
        """Run p11tape check and return its results, one dictionary a check that ran."""
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.scratch))
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
        results = [json.loads(line) for line in run.stdout.splitlines()]
        # An error of a check is a result; one of the run leaves results out.
        if run.returncode not in (0, 1) and not any(result["verdict"] == "error" for result in results):
            raise RuntimeError(f"{path.name} {words}: status {run.returncode}: {run.stderr}")
        return results

    def mutant(self, mutant, *arguments, faulty=True):
        words = mutant.words
        if faulty:
            arguments += HANGING.get(mutant.name, ())
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


def found(lab, mutant, results):
    """What is found of a mutant and not of the same module without the fault."""
    bad = [result for result in results if is_bad(result)]
    if not bad or mutant.kind == "module" or (mutant.kind == "mock" and not mutant.words):
        return bad
    faultless = {result["check"] for result in lab.mutant(
        mutant, *(result["check"] for result in bad), faulty=False) if not is_bad(result)}
    return [result for result in bad if result["check"] in faultless]


def by_rule(lab, mutant, *more):
    """The results of the checks of a mutant's rule, and those of them that name it."""
    results = lab.mutant(mutant, "--rule", f"R-{mutant.rule:03}", *more)
    return results, [result for result in found(lab, mutant, results)
                     if names_rule(result, mutant.rule)]


def judge(lab, mutant):
    # One finding does. But the first may be of another rule that the check asserts too, or of the
    # module that the fault is put into: then all of the rule's checks are looked at.
    results, caught = by_rule(lab, mutant, "--first")
    if not caught and any(map(is_bad, results)):
        results, caught = by_rule(lab, mutant)
    if caught:
        return True, f"{caught[0]['check']} ({caught[0]['verdict']})"
    for result in results:
        if result["verdict"] == "error":
            return False, f"error of {result['check']}: {result.get('reason', '')}"
    others = sorted({f"R-{finding['rule']:03}" for result in results
                     for finding in result["findings"]})
    if others:
        return False, f"found as {', '.join(others)}"
    passed = [result["check"] for result in results if result["verdict"] == "pass"]
    if passed:
        return False, f"{len(passed)} of {len(results)} checks pass, such as {passed[0]}"
    return False, f"{len(results)} checks skip: {results[0].get('reason', '') if results else ''}"


def choose(lab, options):
    chosen = [mutant for mutant in mutants()
              if not options.names or mutant.name in options.names or mutant.fault in options.names]
    if lab.tokens is None:
        print("SoftHSM2 is not installed: its mutants are left out", file=sys.stderr)
        chosen = [mutant for mutant in chosen if mutant.kind != "shim"]
    if not chosen:
        sys.exit("there is no such mutant")
    return chosen


def run_rules(lab, options):
    chosen = choose(lab, options)
    unchecked = {mutant.rule for mutant in chosen} - rules_with_checks()
    if unchecked:
        sys.exit(f"no check asserts {', '.join(f'R-{rule:03}' for rule in sorted(unchecked))}")
    caught = {}
    for mutant, (good, how) in each(lambda one: judge(lab, one), chosen):
        caught[mutant.name] = good
        print(f"{'caught' if good else 'MISSED'}  R-{mutant.rule:03}  {mutant.name}: {how}", flush=True)
    print(f"{sum(caught.values())} of {len(chosen)} mutants are caught by a check of their rule")
    for name, bug in founding():
        if name in caught:
            print(f"founding bug: {bug}: {name}: {'caught' if caught[name] else 'MISSED'}")
    return 0 if all(caught.values()) else 1


def founding():
    everything = {mutant.name for mutant in mutants()}
    rows = table("founding", 2)
    for name, _ in rows:
        if name not in everything:
            sys.exit(f"{HERE / 'founding'}: there is no mutant {name}")
    return rows


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


def result_path(mutant, whole):
    return BUILD / "mutants" / f"{mutant.name.replace('/', '.')}{'' if whole else '.rule'}.json"


def is_current(path):
    """Whether a result is newer than all that it came of: a run that was stopped goes on where it was."""
    made = [pathlib.Path(CHECK), *(BUILD / "tests").glob("p11tape-mock*.so"), BUILD / "tests/mutant-shim.so"]
    return path.exists() and all(path.stat().st_mtime > other.stat().st_mtime for other in made)


def try_checks(lab, mutant, whole):
    """What all checks say of a mutant, or those of its rule; kept in a file."""
    path = result_path(mutant, whole)
    if is_current(path):
        return json.loads(path.read_text())
    results = lab.mutant(mutant, *(() if whole else ("--rule", f"R-{mutant.rule:03}")))
    bad = found(lab, mutant, results)
    row = {"checks": len(results),
           "own": [result["check"] for result in bad if names_rule(result, mutant.rule)],
           "others": [result["check"] for result in bad if not names_rule(result, mutant.rule)],
           "errors": [f"{result['check']}: {result.get('reason', '')}"
                      for result in bad if result["verdict"] == "error"]}
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(row, indent=1) + "\n")
    return row


def run_matrix(lab, options):
    status = 0
    for mutant, row in each(lambda one: try_checks(lab, one, True), choose(lab, options)):
        print(f"R-{mutant.rule:03}  {mutant.name}: found by {len(row['own'])} checks of the rule and "
              f"{len(row['others'])} others of {row['checks']}", flush=True)
        for error in row["errors"]:
            print(f"an error of ours: {error}")
        if row["errors"] or not row["own"]:
            status = 1
    return status


# ---- the page -----------------------------------------------------------------------------------

PAGE = SOURCE / "docs/mutants.md"


def cell(names):
    """Names of checks, those of a family as one."""
    families = {}
    for name in names:
        family = name.rsplit("/", 1)[0] if name.count("/") > 1 else name
        families.setdefault(family, []).append(name)
    return ", ".join(f"`{members[0]}`" if len(members) == 1 else f"`{family}/…` ({len(members)})"
                     for family, members in sorted(families.items()))


def mutant_columns(mutant):
    return f"| R-{mutant.rule:03} | `{mutant.name}` | {mutant.sentence}{how_shown(mutant)} |"


def how_shown(mutant):
    return f" (The mock is `{mutant.words.replace('{}', 'FILE')}`.)" if mutant.words else ""


def legal_rows():
    return [f"| `{name}` | {what} | `{words}`{', as p11tape-mock-' + module if module != 'mock' else ''} |"
            for name, module, words, what in table("legal", 4)]


def in_order(everything):
    return sorted(everything, key=lambda mutant: (mutant.rule, mutant.name))


def run_page(lab, options):
    """Make the page: of the matrix where there is one, else of the checks of each mutant's rule."""
    everything = in_order(choose(lab, options))
    if options.check:
        return check_page(everything)
    whole = all(is_current(result_path(mutant, True)) for mutant in everything)
    rows = list(each(lambda one: try_checks(lab, one, whole), everything))
    missed = [mutant.name for mutant, row in rows if not row["own"]]
    if missed:
        print(f"FAILED: not caught: {', '.join(missed)}")
        return 1
    lines = ["# Mutants", "",
             "Modules that break one rule each, and odd ones that break none: what `p11tape check` makes of them",
             "([tests/mutants](../tests/mutants/README.md)). `ci/mutants-page` makes this page.", "",
             f"{len(rows)} mutants of {len({mutant.rule for mutant in everything})} rules: each is caught by a check "
             "that names its rule (test `mutants.rules`).",
             f"{len(legal_rows())} legal modules: no check may find anything in them (`ci/soak-mutants` runs them).", ""]
    if whole:
        alone = sum(not row["others"] for _, row in rows)
        lines += [f"`ci/soak-mutants` tries all checks, {max(row['checks'] for _, row in rows)} of them, on each: the "
                  "last column says how many",
                  f"more find the mutant by another rule; {alone} mutants are found by their own alone.", ""]
    lines += ["## The bugs that the suites began with", "", "| bug | mutant |", "| --- | --- |",
              *(f"| {bug} | `{name}` |" for name, bug in founding()), "",
              "## Mutants", "", "| rule | mutant | what it does | caught by |" + (" others |" if whole else ""),
              "| --- | --- | --- | --- |" + (" --- |" if whole else ""),
              *(f"{mutant_columns(mutant)} {cell(row['own'])} |" +
                (f" {len(row['others'])} |" if whole else "") for mutant, row in rows),
              "", "## Legal modules", "", "| module | what is unusual | made by |", "| --- | --- | --- |",
              *legal_rows()]
    PAGE.write_text("\n".join(lines) + "\n")
    return 0


def check_page(everything):
    """Does the page have what can be known without running anything: rows, rules, names of checks?"""
    text = PAGE.read_text()
    listed = subprocess.run([CHECK, "check", "--destructive", "--list"], check=True,
                            capture_output=True, text=True).stdout
    names = {line.split()[0] for line in listed.splitlines()}
    names |= {name.rsplit("/", 1)[0] + "/…" for name in names}
    wrong = [row for row in legal_rows() if f"\n{row}\n" not in text]
    rows = re.findall(r"^((?:\|[^|]*){3}\|) (`[^|]+) \|", text, re.MULTILINE)
    written = {columns: re.findall(r"`([^`]+)`", caught) for columns, caught in rows if columns[:4] == "| R-"}
    wrong += [mutant_columns(mutant) for mutant in everything if mutant_columns(mutant) not in written]
    wrong += sorted({f"there is no check {name}" for caught in written.values() for name in caught
                     if name not in names})
    if len(written) > len(everything) and any(mutant.kind == "shim" for mutant in everything):
        wrong.append("rows of mutants that are not there")
    for sentence in wrong:
        print(f"FAILED: docs/mutants.md (ci/mutants-page makes it): {sentence}")
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mode", choices=("rules", "legal", "matrix", "page"))
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_intermixed_args()
    with tempfile.TemporaryDirectory(prefix="p11tape-mutants-") as scratch:
        lab = Lab(scratch)
        work = {"rules": run_rules, "legal": run_legal, "matrix": run_matrix, "page": run_page}[options.mode]
        sys.exit(work(lab, options))


main()
