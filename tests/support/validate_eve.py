#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Validates EVE lines from files or standard input against lib/event/eve.schema.json.

usage: validate_eve.py [--schema FILE] [FILE...]
Prints "NAME:LINE: reason" for each bad line, at most 20, and exits with 1 if there was one, with 2 if there was no line.
"""
import argparse
import collections
import json
import pathlib
import sys

import jsonschema

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "lib" / "event" / "eve.schema.json"
MAX_REPORTS = 20


def no_duplicates(pairs):
    doubled = [k for k, n in collections.Counter(k for k, _ in pairs).items() if n > 1]
    if doubled:
        raise ValueError(f"key {doubled[0]!r} twice in one object")
    return dict(pairs)


def no_constant(text):
    raise ValueError(f"{text} is not JSON")


def reason(validator, raw):
    """What is wrong with the line, or None."""
    if not raw.endswith(b"\n"):
        return "no newline at the end of the line"
    try:
        event = json.loads(raw.decode("utf-8"), object_pairs_hook=no_duplicates, parse_constant=no_constant)
    except ValueError as e:
        return str(e)
    error = jsonschema.exceptions.best_match(validator.iter_errors(event))
    return None if error is None else f"{error.json_path}: {error.message}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schema", type=pathlib.Path, default=SCHEMA)
    parser.add_argument("files", nargs="*", default=["-"])
    args = parser.parse_args()
    schema = json.loads(args.schema.read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    lines = bad = 0
    for name in args.files:
        with sys.stdin.buffer if name == "-" else open(name, "rb") as file:
            for number, raw in enumerate(file, 1):
                lines += 1
                why = reason(validator, raw)
                if why is not None:
                    bad += 1
                    if bad <= MAX_REPORTS:
                        print(f"{name}:{number}: {why}", file=sys.stderr)
    if bad > MAX_REPORTS:
        print(f"{bad - MAX_REPORTS} further bad lines", file=sys.stderr)
    if lines == 0:
        print("no event at all", file=sys.stderr)
        return 2
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
