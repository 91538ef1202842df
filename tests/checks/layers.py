#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Imports run only downwards: each folder of lib/ includes from itself and from what this table allows, nothing else.

An entry that ends in "/" allows a folder; any other allows that one header. usage: layers.py"""
import os
import re
import sys

import sources

ALLOWED = {
    "packet": [],
    "mptcp": ["packet/address.h"],
    "event": ["packet/address.h"],
    "rules": ["packet/address.h"],
    "stream": [],
    "config": ["packet/address.h", "packet/prefix.h"],
    "metrics": [],
    "subflow": ["packet/", "mptcp/", "stream/overlap_queue.h", "stream/block_pool.h"],  # one overlap policy serves both levels
    "connection": ["packet/", "mptcp/", "subflow/", "stream/", "rules/", "event/"],
    "port": ["packet/", "config/"],
    "egress": ["packet/", "port/"],
    "action": ["packet/", "mptcp/", "subflow/", "connection/", "event/"],
    "worker": ["packet/", "mptcp/", "subflow/", "connection/", "detect/", "stream/", "rules/", "event/", "port/", "action/", "egress/", "config/", "metrics/"],
    "detect": ["packet/address.h", "packet/prefix.h", "config/", "event/anomaly.h"],
    "control": ["packet/address.h", "action/action.h", "event/", "config/", "metrics/", "rules/", "mptap/v1/", "google/"],  # mptap/v1 and google: made from proto/
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def check(name, lines):
    folder = name.split("/")[1]
    if folder not in ALLOWED:
        return [f"{name}:1: folder lib/{folder} is not in the table of tests/checks/layers.py: say what it may include"]
    wrong = []
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, path = match.groups()
        target = path.split("/")[0]
        if kind == '"' and "/" not in path:
            wrong.append(f'{name}:{number}: include "{path}" relative to lib/: "{folder}/{path}"')
        elif target in ("apps", "tests", "bench") or path.startswith(".."):
            wrong.append(f'{name}:{number}: lib/ must not include "{path}"')
        elif kind == '"' and target in ("mptap", "google") and path.split("/")[0] + "/" not in [a.split("/")[0] + "/" for a in ALLOWED[folder]]:
            wrong.append(f'{name}:{number}: {folder} must not include the messages of the control plane ("{path}")')
        elif target in ALLOWED and target != folder and not any(path == a or a.endswith("/") and path.startswith(a) for a in ALLOWED[folder]):
            may = ", ".join(ALLOWED[folder]) or "no other folder"
            wrong.append(f'{name}:{number}: {folder} must not include "{path}" (it may include {may})')
    return wrong


def main():
    wrong = []
    for name in sources.with_suffix(".h", ".cc"):
        if name.startswith("lib/"):
            with open(os.path.join(sources.ROOT, name), encoding="utf-8") as f:
                wrong += check(name, f)
    print("\n".join(wrong) if wrong else "imports run downwards")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
