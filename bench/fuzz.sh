#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Fuzz targets as long as asked; for each: what it ran, what it covers, what it found.
# usage: bench/fuzz.sh SECONDS [TARGET...]
#        ninja -C build-clang once before: tests/run.sh --only fuzz sets it up
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[[ ${1:-} =~ ^[0-9]+$ ]] || { sed -n '4,5p' "$0" >&2; exit 2; }
build=${BUILD:-build-clang}
[ -d "$build/tests/fuzz" ] || { echo "there is no $build: tests/run.sh --only fuzz makes it" >&2; exit 2; }
export FUZZ_SECONDS=$1
shift
code=0
tests/fuzz/run.sh "$build" "$@" || code=$?
printf '\n%-16s %14s %10s %10s %8s\n' target executions edges features inputs
for log in "$build"/fuzz/*/log; do
  name=$(basename "$(dirname "$log")")
  [ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  last=$(grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+' "$log" | tail -n 1)
  read -r _ edges _ features _ inputs <<<"${last:-_ - _ - _ -}"
  printf '%-16s %14s %10s %10s %8s\n' "$name" "${runs:--}" "$edges" "$features" "$inputs"
done
exit "$code"
