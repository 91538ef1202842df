# SPDX-License-Identifier: Apache-2.0
"""Which files are the project's own sources: what git knows or would add; without git, what is no build directory."""
import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def files():
    """Paths relative to ROOT, sorted."""
    if shutil.which("git"):
        git = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT,
                             capture_output=True, text=True)
        if git.returncode == 0 and git.stdout:
            names = set(git.stdout.split("\0")) - {""}
            return sorted(n for n in names if os.path.isfile(os.path.join(ROOT, n)))
    names = []
    for folder, subfolders, inside in os.walk(ROOT):
        subfolders[:] = [d for d in subfolders if not d.startswith("build") and d not in (".git", "__pycache__", "node_modules")]
        names += [os.path.relpath(os.path.join(folder, n), ROOT) for n in inside]
    return sorted(names)


def with_suffix(*suffixes):
    return [n for n in files() if n.endswith(suffixes)]


def first_line(name):
    with open(os.path.join(ROOT, name), "rb") as f:
        return f.readline().decode("utf-8", "replace")


def shell_scripts():
    return [n for n in files() if n.endswith(".sh") or ("." not in os.path.basename(n) and first_line(n).startswith("#!/usr/bin/env bash"))]


def python_scripts():
    return [n for n in files() if n.endswith(".py") or ("." not in os.path.basename(n) and first_line(n).startswith("#!/usr/bin/env python3"))]
