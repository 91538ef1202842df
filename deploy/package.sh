#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the Debian package of a release build: binaries, service, configuration, man pages, completions, dashboards.
# usage: package.sh [BUILD-DIRECTORY [OUTPUT-DIRECTORY]]      (build-release, build-package)
# It needs the packages of the group [package]: deploy/install-deps.sh package
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -gt 2 ] || [ "${1:-}" = --help ]; then
  sed -n '3,5s/^# //p' "$0"
  exit 2
fi
build=$(realpath -m "${1:-$root/build-release}")
out=$(realpath -m "${2:-$root/build-package}")
for tool in dpkg-buildpackage dh help2man; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: deploy/install-deps.sh package" >&2; exit 1; }
done
if [ ! -f "$build/build.ninja" ]; then
  echo "$build is no build directory: meson setup $build -Dbuildtype=release" >&2
  exit 1
fi
log=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$work" "$log"' EXIT
quietly() { "$@" >"$log" 2>&1 || { tail -n 30 "$log" >&2; echo "$1 failed" >&2; exit 1; }; }
quietly ninja -C "$build" apps/mptap/mptap apps/mptapd/mptapd

source=$work/mptap stage=$work/mptap/stage
mkdir -p "$source"
cp -r "$root/deploy/debian" "$source/debian"
for name in sysusers tmpfiles logrotate udev; do cp "$root/deploy/mptap.$name" "$source/debian/mptap.$name"; done
cp "$root/deploy/mptapd.service" "$source/debian/mptap.mptapd.service"

install -D -m 755 "$build/apps/mptap/mptap" "$stage/usr/bin/mptap"
install -D -m 755 "$build/apps/mptapd/mptapd" "$stage/usr/sbin/mptapd"
install -d "$stage/etc/mptap" "$stage/usr/share/mptap"
# The reference configuration with the two values that differ on an installed system: events go where logrotate looks.
"$stage/usr/sbin/mptapd" --default-config | sed 's|^file = ""$|file = "/var/log/mptap/eve.json"|' >"$stage/etc/mptap/mptap.toml"
grep -q '^file = "/var/log/mptap/eve.json"$' "$stage/etc/mptap/mptap.toml"
cp -r "$root/deploy/grafana" "$root/deploy/prometheus" "$root/deploy/quickstart.rules" "$stage/usr/share/mptap/"
rm -f "$stage/usr/share/mptap/grafana/make.py" "$stage/usr/share/mptap/prometheus/mptap.test.yml"

# Completions out of the programs' own tables of options.
install -d "$stage/usr/share/bash-completion/completions" "$stage/usr/share/zsh/vendor-completions"
"$stage/usr/bin/mptap" completion bash >"$stage/usr/share/bash-completion/completions/mptap"
"$stage/usr/bin/mptap" completion zsh >"$stage/usr/share/zsh/vendor-completions/_mptap"
options=$("$stage/usr/sbin/mptapd" --help | grep -o -- '--[a-z][a-z-]*' | sort -u | tr '\n' ' ')
echo "complete -o default -W '${options% }' mptapd" >"$stage/usr/share/bash-completion/completions/mptapd"

# Man pages out of the programs' own help, one for each command of mptap.
version=$(dpkg-parsechangelog -l "$source/debian/changelog" -S Version | sed 's/-[^-]*$//')
manual() { # NAME SECTION WHAT PROGRAM [COMMAND...]
  local name=$1 section=$2 what=$3 program=$4
  shift 4
  printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$program" "$*" >"$work/run"
  chmod +x "$work/run"
  install -d "$stage/usr/share/man/man$section"
  quietly help2man --no-info --section="$section" --version-string="$version" --name="$what" --output="$work/page" "$work/run"
  # CLI11 names the program by its file and the section by its own words.
  sed "s|$work/run|$name|g; s|\\\\fI\\\\,run|\\\\fI\\\\,$name|g; s/^\\.TH [A-Z]*/.TH ${name^^}/; s/\\brun \\\\-/$name \\\\-/g" "$work/page" |
    gzip -9n >"$stage/usr/share/man/man$section/$name.$section.gz"
}
mptap=$stage/usr/bin/mptap
manual mptapd 8 "Multipath TCP reassembly and inspection daemon" "$stage/usr/sbin/mptapd"
manual mptap 1 "find, follow and stop Multipath TCP" "$mptap"
mapfile -t commands < <("$mptap" --help | sed -n '/^Subcommands:/,$s/^  \([a-z][a-z-]*\) .*/\1/p')
[ "${#commands[@]}" -ge 5 ] || { echo "no commands found in mptap --help" >&2; exit 1; }
for command in "${commands[@]}"; do
  what=$("$mptap" --help | sed -n "s/^  $command  *//p" | head -n 1)
  manual "mptap-$command" 1 "${what%.}" "$mptap" "$command"
done
{
  printf '.TH MPTAP.TOML 5 "" "mptap %s" "File formats"\n.SH NAME\nmptap.toml \\- configuration of mptapd\n' "$version"
  printf '.SH SYNOPSIS\n/etc/mptap/mptap.toml\n.SH DESCRIPTION\nThe reference configuration, with every key, its meaning, unit, range and default.\n'
  printf '.PP\n.nf\n'
  "$stage/usr/sbin/mptapd" --default-config | sed 's/\\/\\e/g; s/-/\\-/g; s/^\([.'"'"']\)/\\\&\1/'
  printf '.fi\n.SH SEE ALSO\n.BR mptapd (8)\n'
} | gzip -9n >"$work/toml.gz"
install -D -m 644 "$work/toml.gz" "$stage/usr/share/man/man5/mptap.toml.5.gz"

cd "$source"
DEB_BUILD_OPTIONS=noautodbgsym quietly dpkg-buildpackage -b -us -uc
mkdir -p "$out"
cp "$work"/*.deb "$out/"
ls "$out"/mptap_*.deb
