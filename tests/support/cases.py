# SPDX-License-Identifier: Apache-2.0
"""A suite of cases in a script: each prints its line, the last line counts them as tests/run.sh does.

    suite = Suite()
    @suite.case("a file that is missing")
    def _(): assert ...
    sys.exit(suite.run())

A case fails by an exception, and skips by raising Skip; MPTAP_REQUIRE_LIVE=1 makes a skip of a live case a failure."""
import os
import re
import sys
import time
import traceback


class Skip(Exception):
    """Why the case cannot run on this machine."""


class Suite:
    def __init__(self):
        self.cases = []

    def case(self, name):
        def add(function):
            self.cases.append((name, function))
            return function
        return add

    def run(self, only=None):
        """Runs the cases whose names match the regular expression; returns the exit code."""
        counts = {"ok": 0, "FAIL": 0, "SKIP": 0}
        for name, function in self.cases:
            if only and not re.search(only, name):
                continue
            began = time.monotonic()
            result, why = "ok", ""
            try:
                function()
            except Skip as skip:
                result, why = ("FAIL", f"MPTAP_REQUIRE_LIVE is set and: {skip}") if os.environ.get("MPTAP_REQUIRE_LIVE") == "1" \
                    else ("SKIP", str(skip))
            except AssertionError as error:
                result = "FAIL"
                where = traceback.extract_tb(error.__traceback__)[-1]
                why = f"{os.path.basename(where.filename)}:{where.lineno}: {str(error) or where.line}"
            except Exception:  # one broken case must not hide the others
                result, why = "FAIL", traceback.format_exc()
            counts[result] += 1
            print(f"{result:4} {name} ({time.monotonic() - began:.1f} s){': ' + why if why else ''}", flush=True)
        print(f"{counts['ok']} passed, {counts['FAIL']} failed" + (f", {counts['SKIP']} skipped" if counts["SKIP"] else ""), flush=True)
        return 1 if counts["FAIL"] else 0


def equal(what, got, wanted):
    assert got == wanted, f"{what}: got {got!r}, wanted {wanted!r}"


def main(suite):
    """For scripts: an argument -k REGEX chooses cases; the rest is the script's own."""
    only = sys.argv[sys.argv.index("-k") + 1] if "-k" in sys.argv[:-1] else None
    sys.exit(suite.run(only))
