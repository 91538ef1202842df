#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The static checks, each by itself or all: run.py [NAME...]. Ends with "N passed, N failed"; --list names them."""
import os
import shutil
import subprocess
import sys

import sources

HERE = os.path.dirname(os.path.abspath(__file__))


def command(argv, names):
    """Runs argv on the files; nothing to do is fine."""
    if not names:
        return 0, "no such files"
    done = subprocess.run(argv + names, cwd=sources.ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def run_script(script):
    done = subprocess.run([sys.executable, os.path.join(HERE, script)], cwd=sources.ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def python_compiles():
    wrong = []
    for name in sources.python_scripts():
        with open(os.path.join(sources.ROOT, name), encoding="utf-8") as f:
            try:
                compile(f.read(), name, "exec")
            except SyntaxError as error:
                wrong.append(f"{name}:{error.lineno}: {error.msg}")
    return (1 if wrong else 0), "\n".join(wrong)


BUF = "@bufbuild/buf@1.75.0"


def buf_lint():
    """The contract's names and forms, and that all of it is commented. Without npm, and without buf, there is nothing to run it with."""
    if shutil.which("buf"):
        argv = ["buf"]
    elif shutil.which("npx"):
        argv = ["npx", "--yes", BUF]
    else:
        return 0, "neither buf nor npx is here"
    done = subprocess.run([*argv, "lint"], cwd=os.path.join(sources.ROOT, "proto"), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


CHECKS = {
    "format": lambda: command(["clang-format-16", "--dry-run", "-Werror"], sources.with_suffix(".h", ".cc")),
    "layers": lambda: run_script("layers.py"),
    "headers": lambda: run_script("headers.py"),
    "spdx": lambda: run_script("spdx.py"),
    "shell": lambda: command(["shellcheck", "--severity=warning", "--external-sources"], sources.shell_scripts()),
    "python": python_compiles,
    "buf": buf_lint,
    "checks-bite": lambda: run_script("selftest.py"),
}


def main():
    names = sys.argv[1:] or list(CHECKS)
    if names == ["--list"]:
        print("\n".join(CHECKS))
        return 0
    unknown = [n for n in names if n not in CHECKS]
    if unknown:
        sys.exit(f"unknown check {unknown[0]}, there are: {', '.join(CHECKS)}")
    failed = 0
    for name in names:
        code, text = CHECKS[name]()
        print(f"{'FAIL' if code else 'ok  '} {name}")
        if code:
            failed += 1
            print(text.rstrip()[:6000])
    print(f"{len(names) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
