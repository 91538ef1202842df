#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job, live: two hosts with two paths, mptap on the tap between them, and a string that is split across the paths.

usage: demo.py MPTAP [--capture FILE]     quickstart.sh builds mptap and calls this"""
import os
import signal
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "live"))
import lab  # noqa: E402

RULES = os.path.join(ROOT, "deploy", "quickstart.rules")
SHIPPED = os.path.join(ROOT, "tests", "capture", "data", "evil.pcap")

PICTURE = """
   client ──── path 1: 10.77.1.0/24 ────┬──── server
          ──── path 2: 10.77.2.0/24 ────┤
                                        └ the tap: mptap sees both paths, and sends nothing
"""


def say(text):
    print(text, flush=True)


def on_file(mptap, file):
    """mptap on a capture: its exit code is ours."""
    argv = [mptap, "read", "--rules", RULES, file]
    say("$ " + " ".join(os.path.relpath(a) if os.path.isabs(a) and os.path.exists(a) else a for a in argv))
    return subprocess.run(argv).returncode


def live(mptap):
    """What mptap printed, exit code."""
    with lab.Lab(paths=2) as net:
        net.mptcp("client", "endpoint", "add", "10.77.1.1", "dev", "a1", "id", "1", "subflow")
        net.mptcp("client", "endpoint", "add", "10.77.2.1", "dev", "a2", "id", "2")
        net.mptcp("server", "endpoint", "add", "10.77.2.2", "dev", "b2", "id", "2", "signal")
        say(PICTURE)
        with tempfile.TemporaryFile() as errors:
            argv = [mptap, "read", "--port", "net_af_packet0,iface=br0", "--rules", RULES]
            say("$ mptap read --port net_af_packet0,iface=br0 --rules deploy/quickstart.rules     (on the tap)")
            tap = net.start("tap", argv, stdout=subprocess.PIPE, stderr=errors, text=True)
            lines = []

            def show():
                for line in tap.stdout:
                    lines.append(line)
                    say(line.rstrip())
            shower = threading.Thread(target=show, daemon=True)
            shower.start()
            try:
                net.wait(lambda: tap.poll() is not None or net.packet_socket_on("br0"), "mptap to open its port", 20)
                say('client: sends "evil " on path 1, then "stuff" on path 2 …')
                got, _ = net.converse(["evil"])
                say(f"server: its application read {got['received']!r}")
                if tap.poll() is None:
                    tap.send_signal(signal.SIGINT)
                tap.wait(timeout=20)
                shower.join(timeout=5)
            finally:
                errors.seek(0)
                sys.stderr.write(errors.read().decode(errors="replace"))
            return tap.returncode, "".join(lines)


def main():
    argv = sys.argv[1:]
    if len(argv) not in (1, 3) or len(argv) == 3 and argv[1] != "--capture":
        print(__doc__, file=sys.stderr)
        return 2
    mptap = os.path.abspath(argv[0])
    if len(argv) == 3:
        return on_file(mptap, argv[2])
    lab.exit_on_signals()
    why = lab.why_not()
    if why:
        say(f"No live demonstration here: {why}.\nThe same traffic from a capture that comes with the project:\n")
        return on_file(mptap, SHIPPED)
    code, out = live(mptap)
    if code or "evil stuff" not in out:
        say(f"\nmptap ended with code {code} and did not report what it should have.")
        return code or 1
    say("\nNeither path carried that string; the connection did. The network, both hosts and mptap are gone again.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except lab.LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        sys.exit(1)
