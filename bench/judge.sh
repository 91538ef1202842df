#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernel's MPTCP as the judge, as long as asked: plays scenarios, prints each sort of divergence once in its least form, then the counts.
# usage: bench/judge.sh [--count N] [--from SEED] [--seed N] [--without A,B] [--pcap DIR]   (root; needs a build with -Dtests=true)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${BUILD:-build-release}
[ -x "$build/tests/judge/judge" ] || { echo "there is no $build/tests/judge/judge: ninja -C $build tests/judge/judge" >&2; exit 2; }
exec "$build/tests/judge/judge" --stop 1000000 "$@"
