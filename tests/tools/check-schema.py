#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Check that traces load with a YAML loader that is not ours, and are what the schema says.

usage: check-schema.py [--all] SCHEMA TRACE...
       check-schema.py --api FILE SCHEMA

Every trace is loaded with PyYAML's safe loader. Of a long one made of record lines, whose loading would
take minutes, the lines are read as JSON, and every so many of them through PyYAML as well, which must
give the same. Items that differ only in numbers and in bytes are validated once, unless --all is given.

--api compares the schema with what `p11tape api --format yaml` prints: the same arguments, no more.

Exit status: 0; 1 for findings, one a line; 77 where PyYAML or jsonschema is not installed.
"""
import argparse
import json
import re
import sys

try:
    import jsonschema
    import yaml
except ImportError as error:
    print(f"skipped: {error}")
    sys.exit(77)

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Traces up to this size go through PyYAML as a whole; of longer ones every STEP-th line does.
WHOLE = 1 << 20
STEP = 97

HEX = re.compile(r"(?:[0-9a-f]{2})+\Z")


def load_yaml(text):
    return yaml.load(text, Loader=LOADER)


def is_record_lines(text):
    return all(line.startswith('- {"') for line in text.splitlines())


def load_lines(text, complain):
    """The items of record lines, by the rule that what stands behind the dash is JSON."""
    items = []
    for number, line in enumerate(text.splitlines(), 1):
        items.append(json.loads(line[2:]))
        if number % STEP == 0 and load_yaml(line) != [items[-1]]:
            complain(number, "YAML and JSON read this line differently")
    return items


def shape(value):
    """What a value looks like, without the numbers and bytes that the schema treats alike."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        shapes = []
        for inner in map(shape, value):
            if not shapes or shapes[-1] != inner:
                shapes.append(inner)
        return shapes
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return 1 if 1 <= value <= 1 << 53 else value
    if isinstance(value, float):
        return 0.5 if value >= 0 else value
    return "00" if HEX.match(value) else value


def deepest(error):
    """Of the alternatives of a failed anyOf, the one that went furthest: what was probably meant."""
    while error.context:
        error = max(error.context, key=lambda inner: len(inner.absolute_path))
    return error


def check_trace(path, validator, everything):
    findings = []

    def complain(place, sentence):
        findings.append(f"{path}: item {place}: {sentence}")

    try:
        with open(path, encoding="utf-8", newline="\n") as trace:
            text = trace.read()
        if len(text) > WHOLE and is_record_lines(text):
            items = load_lines(text, complain)
        else:
            items = load_yaml(text)
    except (UnicodeDecodeError, yaml.YAMLError, json.JSONDecodeError) as error:
        return [f"{path}: " + " ".join(str(error).split())]

    if not isinstance(items, list) or not items:
        return [f"{path}: not a sequence of items"]
    seen = set()
    header = validator.evolve(schema={"$ref": "#/$defs/header"})
    item_validator = validator.evolve(schema={"$ref": "#/$defs/item"})
    for number, item in enumerate(items, 1):
        if not everything:
            key = json.dumps(shape(item), sort_keys=True, default=str)
            if key in seen:
                continue
            seen.add(key)
        for error in (header if number == 1 else item_validator).iter_errors(item):
            inner = deepest(error)
            place = ".".join(str(step) for step in inner.absolute_path)
            message = inner.message if len(inner.message) < 300 else inner.message[:300] + "…"
            complain(f"{number}, {place}" if place else number, message)
    return findings


def check_api(path, schema):
    """Every argument of every function is in the schema, and nothing else is."""
    with open(path, encoding="utf-8") as file:
        api = load_yaml(file.read())
    inputs, outputs = set(), set()
    traits = {row["name"]: row["traits"] for row in api["shapes"]}
    for function in api["functions"]:
        for argument in function["arguments"]:
            inputs.add(argument["name"])
            if "OUT" in traits[argument["shape"]]:
                outputs.add(argument["name"])
    findings = []
    for name, wanted in (("in", inputs), ("out", outputs)):
        found = set(schema["$defs"][name]["properties"])
        findings += [f"$defs/{name}: {key} is missing" for key in sorted(wanted - found)]
        findings += [f"$defs/{name}: {key} is no argument" for key in sorted(found - wanted)]
    return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--all", action="store_true", help="validate every item")
    parser.add_argument("--api", metavar="FILE", help="compare with the output of p11tape api")
    parser.add_argument("schema")
    parser.add_argument("traces", nargs="*")
    options = parser.parse_args()
    with open(options.schema, encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    findings = []
    if options.api:
        findings += check_api(options.api, schema)
    for path in options.traces:
        findings += check_trace(path, validator, options.all)
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
