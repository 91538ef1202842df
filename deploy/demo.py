#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The main job, live: two hosts with two paths, mptap on the tap between them, and a string that is split across the paths. Beside
it tcpflow, which knows TCP only, on the tap and on the egress of mptapd.

usage: demo.py MPTAP [--capture FILE]     quickstart.sh builds mptap and mptapd and calls this"""
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
                                        └ the tap, br0: mptap sees both paths, and sends nothing into them
                                          and the egress, eg0 ── eg1: mptapd gives each MPTCP connection out as plain TCP
"""
WANTED = b"evil stuff"


def say(text):
    print(text, flush=True)


def on_file(mptap, file):
    """mptap on a capture: its exit code is ours."""
    argv = [mptap, "read", "--rules", RULES, file]
    say("$ " + " ".join(os.path.relpath(a) if os.path.isabs(a) and os.path.exists(a) else a for a in argv))
    return subprocess.run(argv).returncode


class Tcpflow:
    """tcpflow on a device: one file for each direction of each TCP connection."""

    def __init__(self, net, device, folder):
        self.folder = os.path.join(folder, device)
        os.mkdir(self.folder)
        self.process = net.start("tap", ["tcpflow", "-i", device, "-o", self.folder], stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
        net.wait(lambda: net.packet_socket_on(device) or self.process.poll() is not None, f"tcpflow to listen on {device}", 20)
        if self.process.poll() is not None:
            raise lab.LabError(f"tcpflow ended with code {self.process.returncode}; deploy/install-deps.sh demo installs it")

    def flows(self):
        found = {}
        for name in sorted(n for n in os.listdir(self.folder) if "-" in n):
            with open(os.path.join(self.folder, name), "rb") as f:
                found[name] = f.read()
        return found

    def with_string(self):
        return [name for name, data in self.flows().items() if WANTED in data]


def start_daemon(net, mptapd, folder):
    config = os.path.join(folder, "mptap.toml")
    with open(config, "w", encoding="utf-8") as f:
        f.write('ports = ["net_af_packet0,iface=br0"]\n[egress]\nport = "net_af_packet1,iface=eg0"\n[control]\naddress = ""\n'
                '[metrics]\naddress = ""\n')
    log = os.path.join(folder, "mptapd.log")
    with open(log, "wb") as err:
        process = net.start("tap", [mptapd, "--config", config], stdout=subprocess.DEVNULL, stderr=err)

    def said():
        with open(log, encoding="utf-8") as f:
            return f.read()
    net.wait(lambda: "started:" in said() or process.poll() is not None, "mptapd to start", 30)
    if process.poll() is not None:
        raise lab.LabError(f"mptapd ended with code {process.returncode}: {said()[-500:]}")


def compare(on_tap, on_egress):
    """What a program that knows TCP only found, on the tap and behind mptapd. True: it is as it should be."""
    halves = " and ".join(repr(data.decode(errors="replace")) for data in on_tap.flows().values() if data.rstrip() in (b"Hevil", b"stuff"))
    found = on_egress.with_string()
    say(f"tcpflow on the tap, br0        {'FOUND' if on_tap.with_string() else 'not found'}: two TCP connections carry {halves}")
    say(f"tcpflow on the egress, eg1     {'FOUND' if found else 'not found'}: {', '.join(found)}")
    return not on_tap.with_string() and len(found) == 1


def live(mptap):
    """What mptap printed, exit code."""
    with lab.Lab(paths=2) as net:
        lab.join_on_path_2(net)
        net.veth("eg0", "eg1")
        say(PICTURE)
        with tempfile.TemporaryFile() as errors, tempfile.TemporaryDirectory(prefix="mptap-demo-") as folder:
            on_tap, on_egress = Tcpflow(net, "br0", folder), Tcpflow(net, "eg1", folder)
            start_daemon(net, os.path.join(os.path.dirname(os.path.dirname(mptap)), "mptapd", "mptapd"), folder)
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
                net.wait(lambda: tap.poll() is not None or net.packet_socket_on("br0", listeners=3), "mptap to open its port", 20)
                say('client: sends "evil " on path 1, then "stuff" on path 2 …')
                got, _ = net.converse(["evil"])
                say(f"server: its application read {got['received']!r}")
                try:
                    net.wait(on_egress.with_string, "the string on the egress", 10)
                except lab.LabError:
                    pass  # the comparison says so
                if tap.poll() is None:
                    tap.send_signal(signal.SIGINT)
                tap.wait(timeout=20)
                shower.join(timeout=5)
                say("\nThe same string for a program that knows TCP only:")
                as_it_should = compare(on_tap, on_egress)
            finally:
                errors.seek(0)
                sys.stderr.write(errors.read().decode(errors="replace"))
            return tap.returncode or (0 if as_it_should else 1), "".join(lines)


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
