#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy on every source file of lib/ and apps/ that a clang build compiles. Each file is one test.

A file whose preprocessed text and checks are as they were when it last passed is not looked at again (BUILDDIR/tidy).
usage: tidy.py BUILDDIR [FILE...]"""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys

import sources

TIDY = "clang-tidy-16"


def commands(build):
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as f:
        for entry in json.load(f):
            name = os.path.relpath(os.path.join(entry["directory"], entry["file"]), sources.ROOT)
            if name.startswith(("lib/", "apps/")) and name.endswith(".cc"):
                yield name, entry


def fingerprint(entry, config):
    argv = shlex.split(entry["command"])
    if os.path.basename(argv[0]) == "ccache":
        argv = argv[1:]
    clean = []
    skip = False
    for word in argv:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MQ", "-MT"):
            skip = True
        elif word not in ("-c", "-MD"):
            clean.append(word)
    done = subprocess.run([*clean, "-E", "-o", "-"], cwd=entry["directory"], capture_output=True)
    # clang-tidy reads comments (NOLINT), which the preprocessor drops: the file's own text belongs to it.
    with open(os.path.join(entry["directory"], entry["file"]), "rb") as f:
        return hashlib.sha256(config + done.stdout + f.read()).hexdigest()


def check(build, name, entry, config, stamps):
    stamp = os.path.join(stamps, fingerprint(entry, config))
    if os.path.exists(stamp):
        return name, 0, ""
    done = subprocess.run([TIDY, "-p", build, "--quiet", "--warnings-as-errors=*", os.path.join(sources.ROOT, name)], cwd=sources.ROOT,
                          capture_output=True, text=True)
    if done.returncode == 0:
        with open(stamp, "w", encoding="utf-8"):
            pass
    text = re.sub(r"^\d+ warnings? (treated as|generated).*$", "", done.stdout, flags=re.M)
    return name, done.returncode, text + ("" if done.stdout else done.stderr)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    build = os.path.abspath(sys.argv[1])
    chosen = sys.argv[2:]
    work = {name: entry for name, entry in commands(build) if not chosen or name in chosen}
    with open(os.path.join(sources.ROOT, ".clang-tidy"), "rb") as f:
        config = f.read()
    stamps = os.path.join(build, "tidy")
    os.makedirs(stamps, exist_ok=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, code, text in pool.map(lambda item: check(build, item[0], item[1], config, stamps), sorted(work.items())):
            if code:
                failed += 1
                print(f"FAIL {name}\n{text.strip()[:3000]}", flush=True)
    print(f"{len(work) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
