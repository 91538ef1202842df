#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 to mptap's main job on live traffic.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

usage() {
  cat <<'EOF'
usage: sudo ./deploy/quickstart.sh [--capture FILE]

Installs the Debian packages that mptap needs, builds it into build-release/, and shows the main job: two hosts in network
namespaces with the kernel's own MPTCP and two paths, mptap on the tap between them, and a string of which each path carries
one half. Beside it tcpflow, which knows TCP only, looks for the string on the tap and on the egress of mptapd. Where the kernel has no MPTCP it shows the same on a capture that comes with the project.

  --capture FILE   no network: run mptap on this capture file (pcap or pcapng) with deploy/quickstart.rules
  --help

The namespaces and processes that it makes are gone when it ends, also after Ctrl-C. The packages and build-release/ stay.
EOF
}

capture=""
while [ $# -gt 0 ]; do
  case $1 in
    --capture)
      [ $# -gt 1 ] || { echo "quickstart: --capture wants a file" >&2; exit 2; }
      capture=$2; shift ;;
    --capture=*) capture=${1#--capture=} ;;
    -h | --help) usage; exit 0 ;;
    *) echo "quickstart: unknown option $1; --help lists them" >&2; exit 2 ;;
  esac
  shift
done
if [ -n "$capture" ]; then
  [ -r "$capture" ] || { echo "quickstart: cannot read $capture" >&2; exit 2; }
  capture=$(realpath "$capture")
elif [ "$(id -u)" -ne 0 ]; then
  echo "quickstart: network namespaces need root: sudo $0" >&2
  exit 2
fi

# shellcheck disable=SC1091  # every Debian has it
id_and_version=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${VERSION_ID:-}") || true
[ "$id_and_version" = "debian 12" ] ||
  echo "quickstart: this is ${id_and_version:-an unknown system}, not Debian 12: package names and versions may differ" >&2

cd "$root"
deploy/install-deps.sh build demo

mkdir -p build-logs
log=build-logs/quickstart.log
echo "Building mptap (a few minutes the first time; $log)"
build() {
  # A build directory of the tests is one too; ninja does only what is left to do.
  [ -f build-release/build.ninja ] || meson setup build-release -Dbuildtype=release -Dtests=false
  ninja -C build-release apps/mptap/mptap apps/mptapd/mptapd
}
if ! build >"$log" 2>&1 </dev/null; then
  tail -n 25 "$log" >&2
  echo "quickstart: the build failed; its last lines stand above, all of it in $log" >&2
  exit 1
fi

if [ -n "$capture" ]; then
  exec python3 deploy/demo.py build-release/apps/mptap/mptap --capture "$capture"
fi
# It takes away what it makes, whichever way it ends.
exec python3 deploy/demo.py build-release/apps/mptap/mptap
