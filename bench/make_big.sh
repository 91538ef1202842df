#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the capture that the benchmarks read: one connection over three subflows of the kernel's MPTCP, full frames, root only.
# usage: make_big.sh [FILE.pcap] [MIB]      default: build-bench/big.pcap, 1024 (1.1 GiB on disk)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
file=${1:-$root/build-bench/big.pcap}
mkdir -p "$(dirname "$file")"
exec python3 "$root/tests/live/bulk.py" "$file" "${2:-1024}"
