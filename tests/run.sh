#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds, runs every test. The last line is the count of all of them: N passed, N failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
root=$PWD

usage() {
  cat <<'EOF'
usage: tests/run.sh [--quick | --all] [--only STAGE[,STAGE…]] [--no-install] [--help]

stages, in this order:
  static    formatting, imports, headers, SPDX lines, shell and Python scripts
  unit      release build with GCC: unit and property tests
  capture   release build: mptap on the captures with known contents
  live      release build: mptap on live traffic between network namespaces (root; the kernel's MPTCP)
  package   the service's exposure, and the Debian package in a clean root (root; Debian's mirror)
  asan      build with clang 16, AddressSanitizer and UBSan: unit and property tests
  fuzz      the same build: each fuzz target for FUZZ_SECONDS (20) on its corpus
  tsan      ThreadSanitizer build: the tests of suite "threads"
  tidy      clang-tidy on every source file

Without an option the stages static, unit, capture, live and package run, --all runs every stage, --quick static, unit and capture. --no-install leaves Debian's packages alone.
Build directories: build-release, build-clang, build-tsan. Logs: build-logs.

What counts: each case of a GoogleTest program, each case of a script's suite, each check, each fuzz target, once per build
that it runs in; a build that fails is one failure. Skipped tests say why, and where MPTAP_REQUIRE_LIVE=1 is set a
live test that cannot run is a failure. Exit code: 0 when none failed, 1 when one did, 2 for a wrong call.
EOF
}

all=(static unit capture live package asan fuzz tsan tidy)
stages=(static unit capture live package)
install=1
while [ $# -gt 0 ]; do
  case $1 in
    --quick) stages=(static unit capture) ;;
    --all) stages=("${all[@]}") ;;
    --only)
      [ $# -gt 1 ] || { echo "--only wants a stage, one of: ${all[*]}" >&2; exit 2; }
      IFS=, read -ra stages <<<"$2"; shift ;;
    --only=*) IFS=, read -ra stages <<<"${1#--only=}" ;;
    --no-install) install=0 ;;
    -h | --help) usage; exit 0 ;;
    *) echo "unknown option $1; --help lists them" >&2; exit 2 ;;
  esac
  shift
done
for stage in "${stages[@]}"; do
  [[ " ${all[*]} " == *" $stage "* ]] || { echo "unknown stage $stage, there are: ${all[*]}" >&2; exit 2; }
done
wants() { [[ " ${stages[*]} " == *" $1 "* ]]; }

passed=0 failed=0 skipped=0
failures=()
logs=$root/build-logs
mkdir -p "$logs"
began=$SECONDS

say() { printf '\n== %s (%d:%02d)\n' "$*" $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)); }
fail() { failed=$((failed + 1)); failures+=("$1"); }

# Adds the counts of a tool that ends with "N passed, N failed[, N skipped]"; one that ends otherwise has failed.
run_counted() { # NAME COMMAND...
  local name=$1 log=$logs/${1//[ \/]/-}.log last
  shift
  "$@" </dev/null 2>&1 | tee "$log"
  local code=${PIPESTATUS[0]}
  last=$(tail -n 1 "$log")
  if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    if [ "${BASH_REMATCH[2]}" -gt 0 ]; then
      failed=$((failed + BASH_REMATCH[2])) failures+=("$name: ${BASH_REMATCH[2]} failed, see $log")
    elif [ "$code" -ne 0 ]; then
      fail "$name: exit code $code, see $log"
    fi
  else
    fail "$name: ended with code $code and without its counts, see $log"
  fi
}

meson_setup() { # DIR [OPTION...]
  local dir=$1
  shift
  if [ -f "$dir/build.ninja" ]; then
    meson configure "$dir" "$@" && ninja -C "$dir" build.ninja
  else
    meson setup "$dir" "$@"
  fi
}

# Sets up and builds once per directory; says what went wrong and counts it.
declare -A built=()
build() { # DIR TARGETS SETUP...
  local dir=$1 targets=$2 log=$logs/$1.log
  shift 2
  [ -z "${built[$dir]:-}" ] || return "$((built[$dir] - 1))"
  say "build $dir"
  # shellcheck disable=SC2086  # targets are words
  if "$@" >"$log" 2>&1 </dev/null && ninja -k 0 -C "$dir" $targets >>"$log" 2>&1 </dev/null; then
    built[$dir]=1
    return 0
  fi
  built[$dir]=2
  grep -nE 'error|FAILED|ERROR' "$log" | head -n 40
  tail -n 15 "$log"
  fail "$dir does not build, see $log"
  return 1
}

build_release() { build build-release "" meson_setup build-release -Dbuildtype=release -Dtests=true; }
clang_setup() {
  CC=clang-16 CXX=clang++-16 meson_setup build-clang -Ddebug=false -Doptimization=1 -Dcpp_args=-gline-tables-only -Dfuzz=true -Db_sanitize=address,undefined \
    -Db_lundef=false
}
build_clang() { build build-clang "" clang_setup; }

meson_suites() { # NAME DIR SUITE...
  local name=$1 dir=$2
  shift 2
  run_counted "$name" python3 tests/support/meson_counts.py "$dir" "$@"
}

# A sanitizer's finding ends the test; DPDK and Hyperscan keep what they allocate for the life of the process.
export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-16
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:${ASAN_OPTIONS:-}
export LSAN_OPTIONS=suppressions=$root/tests/support/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS=suppressions=$root/tests/support/tsan.supp:halt_on_error=1:second_deadlock_stack=1
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=1

if [ $install = 1 ]; then
  say "packages"
  if ! deploy/install-deps.sh build test demo package; then
    echo "0 passed, 1 failed"
    exit 1
  fi
fi

if wants static; then
  say "static checks"
  run_counted static tests/checks/run.py
fi
if wants unit && build_release; then
  say "unit and property tests"
  meson_suites unit build-release unit property
fi
if wants capture && build_release; then
  say "captures"
  meson_suites capture build-release capture
fi
if wants live && build_release; then
  say "live"
  meson_suites live build-release live
fi
if wants package && build_release; then
  say "service and package"
  meson_suites package build-release package
fi
if wants asan && build_clang; then
  say "unit and property tests under ASan and UBSan"
  meson_suites asan build-clang unit property
fi
if wants fuzz && build_clang; then
  say "fuzz targets, ${FUZZ_SECONDS:-20} s each"
  run_counted fuzz tests/fuzz/run.sh build-clang
fi
if wants tsan; then
  say "threads under TSan"
  tsan_setup() { meson_setup build-tsan -Ddebug=false -Doptimization=1 -Dcpp_args=-g1 -Db_sanitize=thread -Db_lundef=false; }
  if tsan_setup >"$logs/build-tsan-setup.log" 2>&1; then
    targets=$(python3 tests/support/meson_counts.py --targets build-tsan threads)
    if [ -z "$targets" ]; then
      echo "no test is in suite \"threads\""
    elif build build-tsan "$targets" true; then
      meson_suites tsan build-tsan threads
    fi
  else
    fail "build-tsan: meson setup failed, see $logs/build-tsan-setup.log"
  fi
fi
if wants tidy && build_clang; then
  say "clang-tidy"
  run_counted tidy tests/checks/tidy.py build-clang
fi

say "done: ${stages[*]}"
[ "$passed" -gt 0 ] || fail "no test ran"
for line in "${failures[@]}"; do echo "FAILED $line"; done
counts="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || counts+=", $skipped skipped"
echo "$counts"
[ "$failed" -eq 0 ]
