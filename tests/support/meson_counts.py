#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Meson suites and counts their cases: GoogleTest's one by one, a script's by its closing line, any other program as one.

usage: meson_counts.py BUILDDIR SUITE...            ends with "N passed, N failed, N skipped"
       meson_counts.py --targets BUILDDIR SUITE...  prints the ninja targets that the suites need
"""
import json
import os
import re
import subprocess
import sys

CLOSING = re.compile(r"^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$")


def tests_of(build, suites):
    out = subprocess.run(["meson", "introspect", "--tests", build], check=True, capture_output=True, text=True).stdout
    return [t for t in json.loads(out) if any(s.split(":")[-1] in suites for s in t["suite"])]


def count(record):
    """(passed, failed, skipped) of one line of testlog.json."""
    text = record.get("stdout") or ""
    result = record["result"]
    ok = len(re.findall(r"^\[       OK \] ", text, re.M))
    bad = len(re.findall(r"^\[  FAILED  \] .*\(\d+ ms\)$", text, re.M))
    skip = len(re.findall(r"^\[  SKIPPED \] .*\(\d+ ms\)$", text, re.M))
    closing = None
    if not ok + bad + skip:
        lines = text.rstrip().splitlines()
        closing = CLOSING.match(lines[-1]) if lines else None
        if closing:
            ok, bad, skip = (int(n or 0) for n in closing.groups())
        elif result == "SKIP":
            skip = 1
        elif result == "OK":
            ok = 1
    if result not in ("OK", "EXPECTEDFAIL", "SKIP") and not bad:
        bad = 1  # crashed, timed out, or failed outside of a case
    return ok, bad, skip


def main():
    args = sys.argv[1:]
    only_targets = args[:1] == ["--targets"]
    if only_targets:
        args = args[1:]
    if len(args) < 2:
        sys.exit(__doc__)
    build, suites = args[0], args[1:]
    tests = tests_of(build, suites)
    if only_targets:
        print(" ".join(sorted({os.path.relpath(t["cmd"][0], os.path.abspath(build)) for t in tests if t["cmd"][0].startswith(os.path.abspath(build))})))
        return 0
    if not tests:
        print(f"no test in {', '.join(suites)}\n0 passed, 0 failed")
        return 0
    log = os.path.join(build, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    command = ["meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs", "--timeout-multiplier", "6"]
    code = subprocess.run(command + [a for s in suites for a in ("--suite", s)], stdin=subprocess.DEVNULL).returncode
    total = [0, 0, 0]
    seen = 0
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            counts = count(record)
            total = [a + b for a, b in zip(total, counts)]
            seen += 1
            if counts[2]:
                for reason in re.findall(r"^(?:SKIP|skipped?)\b.*$", record.get("stdout") or "", re.M | re.I):
                    print(f"  {record['name']}: {reason}")
    if seen != len(tests):
        print(f"{len(tests)} tests are in {', '.join(suites)}, {seen} reported")
        total[1] += 1
    if code and not total[1]:
        total[1] = 1
    print(f"{total[0]} passed, {total[1]} failed" + (f", {total[2]} skipped" if total[2] else ""))
    return 1 if total[1] else 0


if __name__ == "__main__":
    sys.exit(main())
