#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A large transfer over three subflows, captured in full at the tap. usage: bulk.py FILE.pcap MIB [RATE-PER-PATH]

Prints what the two applications sent and received, as JSON."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import lab


def settle(path):
    """tcpdump leaves unwritten what its ring still holds: wait until it has nothing to write for a second."""
    size, since = -1, time.monotonic()
    while time.monotonic() - since < 1:
        if os.path.getsize(path) != size:
            size, since = os.path.getsize(path), time.monotonic()
        time.sleep(0.1)


def capture(path, mib, rate="400mbit", paths=3, tries=3):
    """MIB from client to server, 1 MiB back. Returns both ends' reports. Where tcpdump loses packets it is done again."""
    for left in reversed(range(tries)):
        reports, lost = capture_once(path, mib, rate, paths)
        if not lost:
            return reports
        if not left:
            raise lab.LabError(f"tcpdump lost {lost} packets, {tries} times over: this machine is too slow for {rate} on {paths} paths")


def capture_once(path, mib, rate, paths):
    """Both ends' reports and how many packets tcpdump lost."""
    log = path + ".tcpdump"
    try:
        with lab.Lab(paths=paths, rate=rate) as net, open(log, "wb") as errors:
            for number in range(2, paths + 1):
                net.mptcp("server", "endpoint", "add", f"10.77.{number}.2", "dev", f"b{number}", "id", str(number), "signal")
            for host in ("client", "server"):
                net.sysctl(host, "net.ipv4.tcp_rmem=4096 1048576 16777216", "net.ipv4.tcp_wmem=4096 1048576 16777216")
            dump = net.start("tap", ["tcpdump", "-i", "br0", "-n", "-B", "262144", "-s", "0", "-Z", "root", "-w", path, "tcp"], stderr=errors)
            net.wait(lambda: dump.poll() is not None or net.packet_socket_on("br0"), "tcpdump")
            reports = net.converse(["transfer"], [1 << 20, 2], [mib << 20, 1, paths])
            settle(path)
            dump.send_signal(signal.SIGINT)
            dump.wait(60)
        with open(log, encoding="utf-8") as f:
            return reports, int(re.search(r"(\d+) packets? dropped by kernel", f.read())[1])
    finally:
        if os.path.exists(log):
            os.remove(log)


def main():
    if len(sys.argv) not in (3, 4) or not sys.argv[2].isdigit():
        print(__doc__, file=sys.stderr)
        return 2
    lab.exit_on_signals()
    server, client = capture(os.path.abspath(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
    print(json.dumps({"server": server, "client": client}))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (lab.LabError, subprocess.SubprocessError) as error:
        print(f"bulk: {error}", file=sys.stderr)
        sys.exit(1)
