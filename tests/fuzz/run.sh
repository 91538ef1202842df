#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs each fuzz target of a build for FUZZ_SECONDS (20) on its stored corpus; what it finds new is kept in the build directory.
# usage: run.sh BUILDDIR [TARGET...]
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -ge 1 ] || { sed -n '3,4p' "$0" >&2; exit 2; }
build=$(cd "$1" && pwd) || exit 2
shift
seconds=${FUZZ_SECONDS:-20}
targets=("$@")
[ ${#targets[@]} -gt 0 ] || for source in "$here"/*.cc; do [ -e "$source" ] && targets+=("$(basename "$source" .cc)"); done

passed=0 failed=0
slots=$(nproc)
work=$build/fuzz
mkdir -p "$work"

fuzz_one() {
  local name=$1 found=$work/$1
  mkdir -p "$found/corpus" "$found/crashes"
  rm -f "$found"/crashes/*
  local seeds=()
  [ -d "$here/corpus/$name" ] && seeds=("$here/corpus/$name")
  (cd "$found" && "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$found/crashes/" "$found/corpus" "${seeds[@]}") >"$found/log" 2>&1 </dev/null
}

# As many at once as there are cores, judged in order.
i=0
while [ $i -lt ${#targets[@]} ]; do
  batch=("${targets[@]:i:slots}")
  pids=()
  for name in "${batch[@]}"; do
    fuzz_one "$name" &
    pids+=($!)
  done
  for k in "${!batch[@]}"; do
    name=${batch[k]}
    if wait "${pids[k]}"; then
      passed=$((passed + 1))
      runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name/log")
      echo "ok   $name: $runs runs"
    else
      failed=$((failed + 1))
      echo "FAIL $name: see $work/$name/log and $work/$name/crashes"
      grep -nE 'ERROR|SUMMARY|runtime error|Test unit written' "$work/$name/log" | head -n 8
      tail -n 5 "$work/$name/log"
    fi
  done
  i=$((i + slots))
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
