#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Abuse of MPTCP by the kernel's own, found live by the thresholds of [detect]. usage: abuse_test.py MPTAP MPTAPD [-k REGEX]"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import lab

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

MPTAP, MPTAPD = (os.path.abspath(path) for path in sys.argv[1:3])
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-abuse-")

# A connection that says so and then waits for SIGTERM.
HOLD = """
import signal, socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
s.settimeout(60)
s.connect((sys.argv[1], int(sys.argv[2])))
s.sendall(b'x')
assert s.recv(1) == b'x'
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print('ready', flush=True)
while True:
    s.sendall(b'x'); s.recv(100); time.sleep(0.1)
"""
ECHO = """
import socket, sys, threading
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('0.0.0.0', int(sys.argv[1]))); s.listen(64)
def talk(c):
    while data := c.recv(1000): c.sendall(data)
print('ready', flush=True)
while True:
    c, _ = s.accept()
    threading.Thread(target=talk, args=(c,), daemon=True).start()
"""
# An attacker beside the server: with the numbers of its next packet, an ADD_ADDR (RFC 8684 section 3.4.1) with a wrong HMAC.
FORGE = """
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('b1', 3)); s.settimeout(30)
def checksum(data):
    data += b'\\0' * (len(data) % 2)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
while True:
    frame = s.recv(65536)
    ip, tcp = frame[14:34], frame[34:]
    if frame[12:14] != b'\\x08\\0' or ip[9] != 6 or int.from_bytes(tcp[0:2], 'big') != 5001: continue
    size = int.from_bytes(ip[2:4], 'big') - 20 - (tcp[12] >> 4) * 4
    if size > 0: break  # the server's own data: its next number follows
seq = (int.from_bytes(tcp[4:8], 'big') + size) & 0xffffffff
stamp = next(tcp[i:i + 10] for i in range(20, 40) if tcp[i:i + 2] == b'\\x08\\x0a')
add = bytes([30, 16, 0x30, 9]) + socket.inet_aton('192.0.2.66') + b'\\x66' * 8
options = b'\\1\\1' + stamp + add
head = tcp[0:4] + struct.pack('!I', seq) + tcp[8:12] + bytes([(20 + len(options)) // 4 << 4, 0x10]) + tcp[14:16] + b'\\0\\0\\0\\0' + options
pseudo = ip[12:20] + struct.pack('!HH', 6, len(head))
head = head[:16] + struct.pack('!H', checksum(pseudo + head)) + head[18:]
ip = ip[:2] + struct.pack('!H', 20 + len(head)) + ip[4:10] + b'\\0\\0' + ip[12:20]
ip = ip[:10] + struct.pack('!H', checksum(ip)) + ip[12:]
s.send(frame[:14] + ip + head)
print('sent', flush=True)
"""
# SYNs with MP_JOIN and tokens that nobody has.
STORM = """
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
me, peer = socket.inet_aton(sys.argv[1]), socket.inet_aton(sys.argv[2])
for n in range(int(sys.argv[3])):
    options = bytes([30, 12, 0x10, 1]) + struct.pack('!II', 0x51000000 + n, n)
    head = struct.pack('!HHIIBBHHH', 20000 + n, 5001, 1000 * n, 0, (20 + len(options)) // 4 << 4, 2, 64240, 0, 0) + options
    data = me + peer + struct.pack('!HH', 6, len(head)) + head
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    s.sendto(head[:16] + struct.pack('!H', ~total & 0xffff) + head[18:], (sys.argv[2], 0))
"""


def needs_lab():
    why = lab.why_not()
    if why:
        raise Skip(why)


def thresholds(**keys):
    path = os.path.join(work.name, "detect.toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write('ports = ["unused"]\n[detect]\n' + "".join(f"{key} = {value}\n" for key, value in keys.items()))
    return path


class Tap:
    """mptap or mptapd at the tap, its events as they come."""

    def __init__(self, net, argv, device="br0"):
        self.net = net
        self.errors = open(os.path.join(work.name, "err"), "w+b")
        self.out = open(os.path.join(work.name, "out"), "w+b")
        self.process = net.start("tap", argv, stdout=self.out, stderr=self.errors)
        net.wait(lambda: self.process.poll() is not None or net.packet_socket_on(device), "the port", 60)
        assert self.process.poll() is None, f"it ended with code {self.process.returncode}: {self.text('err')[-800:]}"

    @classmethod
    def read(cls, net, *options, device="br0"):
        return cls(net, [MPTAP, "read", "--json", "--port", f"net_af_packet0,iface={device}", *options], device)

    def text(self, which):
        with open(os.path.join(work.name, which), encoding="utf-8", errors="replace") as f:
            return f.read()

    def events(self):
        lines = self.text("out").split("\n")[:-1]
        return [json.loads(line) for line in lines if line]

    def anomalies(self, name):
        return [e for e in self.events() if e["event_type"] == "anomaly" and e["anomaly"]["event"] == name]

    def wait_for(self, name, count=1, seconds=60):
        self.net.wait(lambda: len(self.anomalies(name)) >= count or self.process.poll() is not None, f"{count} {name}", seconds)
        return [e["anomaly"].get("detail", "") for e in self.anomalies(name)]

    def end(self, number=signal.SIGINT):
        time.sleep(0.5)
        self.process.send_signal(number)
        equal("exit code", self.process.wait(60), 0)
        return self.events()


def background(net, host, code, *argv):
    process = net.start(host, [sys.executable, "-u", "-c", code, *map(str, argv)], stdout=subprocess.PIPE, text=True)
    equal(f"what the script in {host} said", process.stdout.readline(), "ready\n")
    return process


def hold(net):
    background(net, "server", ECHO, lab.PORT)
    return background(net, "client", HOLD, "10.77.1.2", lab.PORT)


@suite.case("six paths: flux of networks and addresses, a storm of joins, many subflows")
def _():
    needs_lab()
    config = thresholds(flux_networks=3, flux_addresses=6, subflows=4, joins_per_connection=3)
    with lab.Lab(paths=6) as net:
        for path in range(2, 7):
            net.mptcp("server", "endpoint", "add", f"10.77.{path}.2", "dev", f"b{path}", "id", str(path), "signal")
        tap = Tap.read(net, "--config", config)
        client = hold(net)
        tap.wait_for("many_subflows")
        tap.wait_for("join_storm")
        networks = tap.wait_for("fast_flux")
        assert "joins with new networks" in networks[0], networks
        for path in range(2, 7):
            net.mptcp("server", "endpoint", "del", "id", str(path))
        details = tap.wait_for("fast_flux", 2)
        assert "addresses added and removed" in details[1], details
        client.terminate()
        client.wait(30)
        tap.end()
        equal("join_storm", [e["anomaly"]["detail"] for e in tap.anomalies("join_storm")], ["in one connection"])
        equal("subflows", tap.anomalies("many_subflows")[0]["anomaly"]["subflows"], 5)


@suite.case("the same traffic with the defaults of two paths: nothing odd")
def _():
    needs_lab()
    with lab.Lab(paths=2) as net:
        net.mptcp("server", "endpoint", "add", "10.77.2.2", "dev", "b2", "id", "2", "signal")
        tap = Tap.read(net)
        net.converse(["transfer"], [100000, 2], [1 << 20, 1, 2])
        found = tap.end()
    detected = {"fast_flux", "join_storm", "many_subflows", "backup_shift", "critical_network", "visibility_low", "add_addr_bad_hmac"}
    equal("detected", [e["anomaly"]["event"] for e in found if e["event_type"] == "anomaly" and e["anomaly"]["event"] in detected], [])


@suite.case("the regular path breaks: its traffic moves to the backup path")
def _():
    needs_lab()
    with lab.Lab(paths=2, rate="20mbit") as net:
        for host in ("client", "server"):
            net.sysctl(host, "net.mptcp.stale_loss_cnt=1")
        net.mptcp("client", "endpoint", "add", "10.77.2.1", "dev", "a2", "id", "2", "backup")
        net.mptcp("server", "endpoint", "add", "10.77.2.2", "dev", "b2", "id", "2", "signal", "backup")
        tap = Tap.read(net)
        server = net.start("server", [sys.executable, os.path.join(ROOT, "tests/live/traffic.py"), "transfer", "server", "0.0.0.0", str(lab.PORT),
                                      "1000", "2"], stdout=subprocess.PIPE)
        net.wait(lambda: net.listens("server", lab.PORT), "the server", 30)
        size = 12 << 20
        client = net.start("client", [sys.executable, os.path.join(ROOT, "tests/live/traffic.py"), "transfer", "client", "10.77.1.2", str(lab.PORT),
                                      str(size), "1", "2"], stdout=subprocess.PIPE)
        net.wait(lambda: net.counter("client", "MPJoinSynAckRx") > 0, "the join", 30)
        time.sleep(1)
        for device in ("a1m", "b1m"):
            lab.ip("-n", net.name("tap"), "link", "set", device, "nomaster")
        tap.wait_for("backup_shift", seconds=90)
        client.communicate(timeout=120)
        equal("client's exit code", client.returncode, 0)
        received = json.loads(server.communicate(timeout=60)[0])["received"]
        equal("bytes that the server got", received, size)
        tap.end()
        found = tap.anomalies("backup_shift")[0]["anomaly"]
        assert found["percent"] >= 50, found


@suite.case("a tap on one of two paths: low visibility")
def _():
    needs_lab()
    with lab.Lab(paths=2, rate="60mbit") as net:
        net.mptcp("server", "endpoint", "add", "10.77.2.2", "dev", "b2", "id", "2", "signal")
        tap = Tap.read(net, device="a1m")
        net.converse(["transfer"], [1000, 2], [8 << 20, 1, 2])
        found = tap.end()
    low = [e["anomaly"] for e in found if e["event_type"] == "anomaly" and e["anomaly"]["event"] == "visibility_low"]
    equal("visibility_low", len(low), 1)
    equal("detail", low[0]["detail"], "a path that is not tapped carries the rest")
    record = next(e["mptcp"] for e in found if e["event_type"] == "mptcp")
    assert record["visibility"] < 0.9, record["visibility"]


@suite.case("MPTCP on a critical network is an alert; plain TCP there is none")
def _():
    needs_lab()
    with lab.Lab(paths=1) as net:
        tap = Tap.read(net, "--critical", "10.77.1.0/24 = plant floor", "--critical", "192.0.2.0/24")
        net.run("server", ["sysctl", "-qw", "net.mptcp.enabled=0"])
        net.run("client", ["sysctl", "-qw", "net.mptcp.enabled=0"])
        tcp = {"MPTAP_LAB_PROTOCOL": "6"}
        os.environ.update(tcp)
        try:
            net.converse(["transfer"], [1000, 2], [1000, 1])
        finally:
            del os.environ["MPTAP_LAB_PROTOCOL"]
        equal("alerts on TCP", [e for e in tap.events() if e["event_type"] == "alert"], [])
        net.run("server", ["sysctl", "-qw", "net.mptcp.enabled=1"])
        net.run("client", ["sysctl", "-qw", "net.mptcp.enabled=1"])
        net.converse(["transfer"], [1000, 2], [1000, 1])
        found = tap.end()
    alerts = [e["alert"]["signature"] for e in found if e["event_type"] == "alert"]
    equal("alerts", alerts, ["MPTCP on critical network plant floor (10.77.1.0/24)"])
    equal("critical_network", len([e for e in found if e["event_type"] == "anomaly" and e["anomaly"]["event"] == "critical_network"]), 1)
    record = next(e["mptcp"] for e in found if e["event_type"] == "mptcp")
    equal("MP_CAPABLE seen", record["options"]["mp_capable"] >= 3, True)


@suite.case("a forged ADD_ADDR is told, and the host does not follow it")
def _():
    needs_lab()
    with lab.Lab(paths=1) as net:
        tap = Tap.read(net)
        client = hold(net)
        equal("forger", net.run("server", [sys.executable, "-c", FORGE]), "sent\n")
        details = tap.wait_for("add_addr_bad_hmac")
        equal("address", details, ["192.0.2.66"])
        equal("joins of the client", net.counter("client", "MPJoinSynTx"), 0)
        client.terminate()
        client.wait(30)
        tap.end()


@suite.case("a storm of joins with unknown tokens, over many connections of one host")
def _():
    needs_lab()
    with lab.Lab(paths=1) as net:
        tap = Tap.read(net, "--config", thresholds(joins_per_source=30, joins_per_target=35))
        background(net, "server", ECHO, lab.PORT)
        net.run("client", [sys.executable, "-c", STORM, "10.77.1.1", "10.77.1.2", "40"])
        details = tap.wait_for("join_storm", 2)
        equal("details", sorted(details), ["from 10.77.1.1", "to 10.77.1.2"])
        tap.end()


@suite.case("mptapd: the thresholds of its configuration, and its own mptcp events")
def _():
    needs_lab()
    path = os.path.join(work.name, "mptapd.toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("""ports = ["net_af_packet0,iface=br0"]
[detect]
critical_networks = ["10.77.1.0/24 = plant floor"]
flux_networks = 1
subflows = 1
[events]
stdout = true
[control]
address = ""
[metrics]
address = ""
""")
    with lab.Lab(paths=2) as net:
        net.mptcp("server", "endpoint", "add", "10.77.2.2", "dev", "b2", "id", "2", "signal")
        tap = Tap(net, [MPTAPD, "--config", path])
        net.converse(["transfer"], [1000, 2], [100000, 1, 2])
        tap.wait_for("critical_network")
        tap.wait_for("many_subflows")
        found = tap.end(signal.SIGTERM)
    mptcp = [e["mptcp"]["event"] for e in found if e["event_type"] == "mptcp"]
    equal("mptcp events", mptcp, ["started", "subflow_joined", "end"])
    stats = [e["stats"]["counters"] for e in found if e["event_type"] == "stats"][-1]
    assert stats["mptcp_options_total.mp_join"] >= 3 and stats["mptcp_options_total.dss"] > 0, stats
    equal("alerts", [e["alert"]["gid"] for e in found if e["event_type"] == "alert"], [2])


if __name__ == "__main__":
    lab.exit_on_signals()
    main(suite)
