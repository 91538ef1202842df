#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernel's MPTCP over two paths, mptapd on the tap, and on its egress a program that knows TCP only: it finds there what it cannot
find on the tap. usage: egress_test.py MPTAPD [-k REGEX]"""
import glob
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import lab

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

MPTAPD = os.path.abspath(sys.argv[1])
RULES = os.path.join(ROOT, "deploy", "quickstart.rules")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-egress-live-")


def needs_lab():
    why = lab.why_not()
    if why:
        raise Skip(why)


def text(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        return f.read()


class Daemon:
    """mptapd on the tap's bridge; its egress leaves through that port or into that folder."""

    def __init__(self, net, egress, workers=1):
        path = os.path.join(work.name, "mptapd.toml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(f'ports = ["net_af_packet0,iface=br0"]\n[workers]\ncount = {workers}\n[egress]\n{egress}\n[rules]\nfiles = ["{RULES}"]\n'
                    '[events]\nstdout = true\n[control]\naddress = ""\n[metrics]\naddress = ""\n')
        self.out, self.err = os.path.join(work.name, "d.out"), os.path.join(work.name, "d.err")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = net.start("tap", [MPTAPD, "--config", path], stdout=out, stderr=err)
        net.wait(lambda: "started:" in text(self.err) or self.process.poll() is not None, "mptapd to start", 60)
        assert self.process.poll() is None, f"mptapd ended: {text(self.err)[-800:]}"

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        equal("exit code of mptapd", self.process.wait(60), 0)
        return [json.loads(line) for line in text(self.out).splitlines()]


class Tcpflow:
    """tcpflow on a device: the streams of each TCP connection, as files."""

    def __init__(self, net, device):
        self.folder = os.path.join(work.name, "flows-" + device)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.mkdir(self.folder)
        with open(os.path.join(work.name, "tcpflow." + device), "wb") as err:
            self.process = net.start("tap", ["tcpflow", "-i", device, "-o", self.folder], stdout=err, stderr=err)
        net.wait(lambda: net.packet_socket_on(device) or self.process.poll() is not None, f"tcpflow to listen on {device}", 30)
        assert self.process.poll() is None, text(os.path.join(work.name, "tcpflow." + device))

    def streams(self):
        found = {}
        for path in glob.glob(os.path.join(self.folder, "*-*")):
            with open(path, "rb") as f:
                found[os.path.basename(path)] = f.read()
        return found

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        return self.streams()


def with_string(streams):
    return sorted(name for name, data in streams.items() if b"evil stuff" in data)


@suite.case("tcpflow on the egress finds the string that was split across two paths; on the tap itself it does not")
def _():
    needs_lab()
    with lab.Lab(paths=2) as net:
        lab.join_on_path_2(net)
        net.veth("eg0", "eg1")
        tap, egress = Tcpflow(net, "br0"), Tcpflow(net, "eg1")
        daemon = Daemon(net, 'port = "net_af_packet1,iface=eg0"')
        server, _ = net.converse(["evil"])
        equal("what the server's application read", server["received"], "Hevil stuff")
        net.wait(lambda: with_string(egress.streams()), "the string on the egress", 30)
        events = daemon.end()
        on_tap, on_egress = tap.end(), egress.end()
    assert any(b"stuff" in data for data in on_tap.values()), "tcpflow on the tap saw nothing"
    equal("flows with the string on the tap", with_string(on_tap), [])
    found = with_string(on_egress)
    equal("flows with the string on the egress", len(found), 1)
    assert found[0].startswith("010.077.001.001.") and "-010.077.001.002.05001" in found[0], found
    equal("what else is on the egress", sorted(len(d) for d in on_egress.values()), [11, 14])
    joins = [e for e in events if e["event_type"] == "mptcp" and e["mptcp"]["event"] == "subflow_joined"]
    ends = [e for e in events if e["event_type"] == "mptcp" and e["mptcp"]["event"] == "end"]
    equal("joins told", len(joins), 1)
    equal("the flow that bears the event", joins[0]["community_id"], ends[0]["community_id"])
    equal("its addresses", [s["src_ip"] for s in joins[0]["mptcp"]["subflows"]], ["10.77.1.1", "10.77.2.1"])


@suite.case("tshark on the egress while a megabyte goes over two paths: every byte, no retransmission, gap or bad checksum")
def _():
    needs_lab()
    with lab.Lab(paths=2, rate="40mbit") as net:
        lab.join_on_path_2(net)
        net.veth("eg0", "eg1")
        capture = os.path.join(work.name, "live.pcap")
        shark = net.start("tap", ["tshark", "-q", "-i", "eg1", "-w", capture], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        net.wait(lambda: net.packet_socket_on("eg1"), "tshark to listen", 60)
        daemon = Daemon(net, 'port = "net_af_packet1,iface=eg0"', workers=2)
        server, client = net.converse(["transfer"], [1 << 20, 2], [1 << 20, 1, 2])
        time.sleep(2)
        events = daemon.end()
        time.sleep(1)
        shark.send_signal(signal.SIGINT)
        shark.wait(60)
    records = [e["mptcp"] for e in events if e["event_type"] == "mptcp" and e["mptcp"]["event"] == "end"]
    equal("connections", len(records), 1)
    missing = sum(records[0][d]["missing_bytes"] for d in ("toserver", "toclient"))
    argv = ["tshark", "-n", "-r", capture, "-o", "tcp.check_checksum:TRUE"]
    done = subprocess.run([*argv, "-q", "-z", "follow,tcp,raw,0"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    sides = [b"", b""]
    for line in done.stdout.splitlines():
        if line and all(c in "0123456789abcdef\t" for c in line):
            sides[line.startswith("\t")] += bytes.fromhex(line.strip())
    equal("what the tap missed", missing, 0)
    for name, data, sender in (("to the server", sides[0], client), ("to the client", sides[1], server)):
        equal(name, (len(data), hashlib.sha256(data).hexdigest()), (sender["sent"], sender["sent_sha256"]))
    odd = "tcp.analysis.retransmission || tcp.analysis.out_of_order || tcp.analysis.lost_segment || tcp.checksum.status == 0"
    bad = subprocess.run([*argv, "-Y", odd], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    equal("what tshark finds odd", bad.stdout, "")


def suricata(net, device):
    """Suricata on that device with the quick start's rules; a function that says which signatures it has found."""
    folder = os.path.join(work.name, "suricata-" + device)
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    net.start("tap", ["suricata", "-i", device, "-S", RULES, "-l", folder, "-k", "none"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    net.wait(lambda: net.packet_socket_on(device), f"Suricata to listen on {device}", 90)

    def found():
        path = os.path.join(folder, "eve.json")
        rows = [json.loads(line) for line in text(path).splitlines()] if os.path.exists(path) else []
        return [r["alert"]["signature_id"] for r in rows if r["event_type"] == "alert"]
    return found


@suite.case("Suricata, where it is installed, alerts on the egress with its own rule, and not on the tap")
def _():
    needs_lab()
    if not shutil.which("suricata"):
        print("     Suricata is not installed here: this case has nothing to say", flush=True)
        return
    with lab.Lab(paths=2) as net:
        lab.join_on_path_2(net)
        net.veth("eg0", "eg1")
        on_tap, on_egress = suricata(net, "br0"), suricata(net, "eg1")
        daemon = Daemon(net, 'port = "net_af_packet1,iface=eg0"')
        net.converse(["evil"])
        net.wait(on_egress, "Suricata's alert", 60)
        daemon.end()
        equal("alerts on the egress", set(on_egress()), {1000001})
        equal("alerts on the tap", on_tap(), [])


@suite.case("everything passes: plain TCP behind the same egress, and each byte once")
def _():
    needs_lab()
    with lab.Lab(paths=2) as net:
        lab.join_on_path_2(net)
        net.veth("eg0", "eg1")
        egress = Tcpflow(net, "eg1")
        daemon = Daemon(net, 'port = "net_af_packet1,iface=eg0"\npass = "all"', workers=2)
        net.converse(["evil"])
        # The same program over plain TCP.
        code = ("import socket, sys\ns = socket.create_server(('0.0.0.0', 5002)); print('up', flush=True); c, _ = s.accept()\n"
                "data = b''\nwhile chunk := c.recv(100): data += chunk\nc.sendall(data[::-1]); c.close()")
        server = net.start("server", [sys.executable, "-c", code], stdout=subprocess.PIPE)
        net.wait(lambda: net.listens("server", 5002), "the plain server")
        net.run("client", [sys.executable, "-c", "import socket\ns = socket.create_connection(('10.77.1.2', 5002)); s.sendall(b'plain old TCP')\n"
                           "s.shutdown(1)\nwhile s.recv(100): pass"])
        server.wait(30)
        wanted = [b"Hevil stuff", b"plain old TCP", b"PCT dlo nialp"]
        net.wait(lambda: all(w in egress.streams().values() for w in wanted), "both connections on the egress", 30)
        daemon.end()
        streams = sorted(egress.end().values())
    for data in wanted:
        equal(f"flows with {data}", sum(data == s for s in streams), 1)
    equal("flows", len(streams), 4)


if __name__ == "__main__":
    lab.exit_on_signals()
    main(suite)
