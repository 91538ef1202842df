#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the Debian packages of the named groups of packages.txt; quick and silent when all are there.
# usage: install-deps.sh GROUP...      e.g. install-deps.sh build demo
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ $# -eq 0 ]; then
  echo "usage: $0 GROUP...   groups: $(sed -n 's/^\[\(.*\)\]$/\1/p' "$here/packages.txt" | tr '\n' ' ')" >&2
  exit 2
fi

wanted=()
for group in "$@"; do
  mapfile -t of_group < <(sed 's/#.*//; s/[[:space:]]*$//' "$here/packages.txt" |
    awk -v g="[$group]" '/^\[/ {on = ($0 == g); next} on && NF {print $1}')
  if [ ${#of_group[@]} -eq 0 ]; then
    echo "$here/packages.txt has no group [$group]" >&2
    exit 2
  fi
  wanted+=("${of_group[@]}")
done

# dpkg-query fails for a name that it never heard of, which is one more way of not being installed.
missing=()
installed=" $({ dpkg-query -W -f='${binary:Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true; } |
  awk '$2 == "installed" {sub(/:.*/, "", $1); printf "%s ", $1}') "
for package in "${wanted[@]}"; do
  case "$installed" in *" $package "*) ;; *) missing+=("$package") ;; esac
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "Debian packages are missing and only root can install them: run with sudo, or first" >&2
  echo "  sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt=(apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
# Old package lists name files that the mirror no longer has: update first, always.
if ! { "${apt[@]}" update && "${apt[@]}" install --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "apt-get failed (its last lines stand above). It needs the network and Debian 12's main archive." >&2
  exit 1
fi
