#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The soak test: 30 minutes of traffic, reloads and scrapes against one mptapd; memory must stay flat and every packet be accounted for.
# usage: bench/soak.sh [--seconds N]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec python3 bench/soak.py "${BUILD:-build-release}/apps/mptapd/mptapd" "$@"
