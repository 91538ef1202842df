#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every header compiles alone: it includes what it uses. usage: headers.py [HEADER...]"""
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile

import sources

# The options of the root meson.build; warnings are the builds' business, here only what is missing counts.
FLAGS = ["-std=c++20", "-march=x86-64-v3", "-fsyntax-only", "-w", "-x", "c++", "-I", "lib", "-I", ".", "-I", "tests/support",
         "-include", "rte_config.h",
         "-isystem", "/usr/include/dpdk", "-isystem", "/usr/include/x86_64-linux-gnu/dpdk", "-DALLOW_EXPERIMENTAL_API"]


def generate(folder):
    """The messages and services of proto/, which some headers include."""
    names = [n for n in sources.with_suffix(".proto") if n.startswith("proto/")]
    subprocess.run(["protoc", "-I", "proto", f"--cpp_out={folder}", f"--grpc_out={folder}",
                    f"--plugin=protoc-gen-grpc={shutil.which('grpc_cpp_plugin')}", *[os.path.relpath(n, "proto") for n in names]],
                   cwd=sources.ROOT, check=True)


def check(name, generated):
    done = subprocess.run([os.environ.get("CXX", "g++"), *FLAGS, "-isystem", generated, "-"], input=f'#include "{name}"\n', cwd=sources.ROOT, capture_output=True,
                          text=True)
    return f"{name}:1: does not compile alone\n{done.stderr[:1500]}" if done.returncode else ""


def main():
    names = sys.argv[1:] or [n for n in sources.with_suffix(".h") if n.startswith(("lib/", "apps/", "tests/"))]
    with tempfile.TemporaryDirectory() as generated, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        generate(generated)
        wrong = [w for w in pool.map(lambda name: check(name, generated), names) if w]
    print("\n".join(wrong) if wrong else f"{len(names)} headers compile alone")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
