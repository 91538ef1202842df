#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The files of this folder as one C++ source: embed.py OUTPUT FILE..."""
import os
import sys

with open(sys.argv[1], "w", encoding="utf-8") as out:
    out.write('#include "apps/mptap/nic/families.h"\nnamespace mptap::nic {\nstd::span<const FamilyText> family_texts() {\n'
              "  static constexpr FamilyText kTexts[] = {\n")
    for path in sorted(sys.argv[2:]):
        with open(path, encoding="utf-8") as f:
            out.write(f'    {{"{os.path.splitext(os.path.basename(path))[0]}", R"toml({f.read()})toml"}},\n')
    out.write("  };\n  return kTexts;\n}\n}  // namespace mptap::nic\n")
