#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checks themselves, on text that must fail and text that must pass; and the counting of test results."""
import os
import subprocess
import sys

import layers
import sources

sys.path.insert(0, os.path.join(sources.ROOT, "tests", "support"))
import meson_counts  # noqa: E402

WRONG = 0


def expect(what, got, wanted):
    global WRONG
    if got != wanted:
        WRONG += 1
        print(f"{what}: got {got!r}, wanted {wanted!r}")


def gtest(*lines):
    return {"result": "FAIL" if any("FAILED" in x for x in lines) else "OK", "stdout": "\n".join(lines) + "\n"}


def main():
    expect("stream includes packet", len(layers.check("lib/stream/a.cc", ['#include "packet/decode.h"\n'])), 1)
    expect("rules includes the address", layers.check("lib/rules/a.cc", ['#include "packet/address.h"\n']), [])
    expect("rules includes a frame", len(layers.check("lib/rules/a.cc", ['#include "packet/frame.h"\n'])), 1)
    expect("packet includes mptcp", len(layers.check("lib/packet/a.h", ["#include <vector>\n", '# include "mptcp/option.h"\n'])), 1)
    expect("connection includes subflow", layers.check("lib/connection/a.h", ['#include "subflow/subflow.h"\n']), [])
    expect("an include that is not relative to lib", len(layers.check("lib/packet/a.h", ['#include "decode.h"\n'])), 1)
    expect("an unknown folder", len(layers.check("lib/elsewhere/a.h", [])), 1)

    count = meson_counts.count
    ok, bad, skip = "[       OK ] A.b (0 ms)", "[  FAILED  ] A.c (1 ms)", "[  SKIPPED ] A.d (0 ms)"
    expect("gtest cases", count(gtest(ok, ok, bad, skip, "[  FAILED  ] A.c")), (2, 1, 1))
    expect("a crash in a case", count({"result": "FAIL", "stdout": ok + "\n[ RUN      ] A.c\n"}), (1, 1, 0))
    expect("a closing line", count({"result": "OK", "stdout": "x\n3 passed, 0 failed, 2 skipped\n"}), (3, 0, 2))
    expect("a closing line of a program that then failed", count({"result": "FAIL", "stdout": "3 passed, 0 failed\n"}), (3, 1, 0))
    expect("a plain program", count({"result": "OK", "stdout": ""}), (1, 0, 0))
    expect("a timeout", count({"result": "TIMEOUT", "stdout": None}), (0, 1, 0))
    expect("a skip", count({"result": "SKIP", "stdout": "no kernel\n"}), (0, 0, 1))

    run = os.path.join(sources.ROOT, "tests", "run.sh")
    for argv, code, text in ((["--only", "nothing"], 2, "unknown stage nothing"), (["--frobnicate"], 2, "unknown option"),
                             (["--help"], 0, "usage: tests/run.sh")):
        done = subprocess.run([run, *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        expect(f"run.sh {argv}", (done.returncode, text in done.stdout + done.stderr), (code, True))
    return 1 if WRONG else 0


if __name__ == "__main__":
    sys.exit(main())
