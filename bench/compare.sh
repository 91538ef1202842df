#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# mptap beside Debian's tshark, tcpflow and tcpdump on one generated capture. usage: bench/compare.sh [--connections N] [--bytes N] [--save]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
for tool in tshark tcpflow tcpdump; do
  command -v "$tool" >/dev/null || { echo "bench/compare.sh: there is no $tool; deploy/install-deps.sh test installs it" >&2; exit 1; }
done
[ -f build-release/build.ninja ] || meson setup build-release -Dbuildtype=release -Dtests=true >/dev/null
ninja -C build-release bench/split_capture apps/mptap/mptap >/dev/null
exec python3 bench/compare.py "$@"
