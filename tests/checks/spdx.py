#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each source file names its licence in its first three lines. usage: spdx.py"""
import os
import sys

import sources

LINE = "SPDX-License-Identifier: Apache-2.0"
SUFFIXES = (".h", ".cc", ".py", ".sh", "meson.build", "meson_options.txt", ".proto", ".toml", ".service")


def main():
    names = set(sources.with_suffix(*SUFFIXES)) | set(sources.shell_scripts()) | set(sources.python_scripts())
    wrong = []
    for name in sorted(n for n in names if not n.startswith("proto/google/rpc/") or n.endswith("meson.build")):  # vendored, with their licence
        with open(os.path.join(sources.ROOT, name), encoding="utf-8") as f:
            if not any(LINE in line for _, line in zip(range(3), f)):
                wrong.append(f"{name}:1: wants the line {LINE}")
    print("\n".join(wrong) if wrong else f"{len(names)} files name their licence")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
