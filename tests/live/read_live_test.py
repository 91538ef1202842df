#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptap on live traffic of the kernel's MPTCP, on a DPDK port (af_packet) at the tap of a lab. usage: read_live_test.py MPTAP [-k REGEX]"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import bulk
import lab

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

MPTAP = os.path.abspath(sys.argv[1])
RULES = os.path.join(ROOT, "deploy", "quickstart.rules")
BULK_MIB = int(os.environ.get("MPTAP_BULK_MIB", "64"))
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-live-")


def needs_lab():
    why = lab.why_not()
    if why:
        raise Skip(why)


class Tap:
    """mptap on the tap's bridge; events() ends it and returns what it said."""

    def __init__(self, net, *options):
        self.net = net
        self.errors = open(os.path.join(work.name, "mptap.err"), "wb")
        self.out = open(os.path.join(work.name, "mptap.out"), "wb")
        self.process = net.start("tap", [MPTAP, "read", "--port", "net_af_packet0,iface=br0", *options], stdout=self.out, stderr=self.errors)
        net.wait(lambda: self.process.poll() is not None or net.packet_socket_on("br0"), "mptap to open its port", 30)
        assert self.process.poll() is None, f"mptap ended with code {self.process.returncode}: {self.text('err')[-800:]}"

    def text(self, which):
        with open(os.path.join(work.name, "mptap." + which), encoding="utf-8", errors="replace") as f:
            return f.read()

    def end(self):
        time.sleep(0.5)  # what the port's ring still holds
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(60)
        assert code == 0, f"mptap ended with code {code}: {self.text('err')[-800:]}"
        return self.text("out")

    def events(self):
        return [json.loads(line) for line in self.end().splitlines()]


def connection(found):
    records = [e["mptcp"] for e in found if e["event_type"] == "mptcp"]
    equal("connections", len(records), 1)
    return records[0]


@suite.case("a string split across two paths is found live, and mptap sends nothing")
def _():
    needs_lab()
    with lab.Lab(paths=2) as net:
        lab.join_on_path_2(net)
        tap = Tap(net, "--json", "--sha256", "--rules", RULES)
        sent_before = net.run("tap", ["cat", "/sys/class/net/br0/statistics/tx_packets"])
        server, _ = net.converse(["evil"])
        equal("what the server's application read", server["received"], "Hevil stuff")
        found = tap.events()
        equal("packets that mptap sent", net.run("tap", ["cat", "/sys/class/net/br0/statistics/tx_packets"]), sent_before)
        for host in ("client", "server"):
            equal(f"resets that {host} got", net.counter(host, "EstabResets"), 0)
            equal(f"MP_FASTCLOSEs that {host} got", net.counter(host, "MPFastcloseRx"), 0)
    alerts = [e for e in found if e["event_type"] == "alert"]
    equal("alerts", [a["alert"]["signature_id"] for a in alerts], [1000001])
    equal("cross_subflow", alerts[0]["mptcp"]["cross_subflow"], True)
    record = connection(found)
    equal("end", record["end"], "data_fin")
    equal("subflows", [(s["join"], s["src_ip"], s["bytes_toserver"]) for s in record["subflows"]],
          [("initial", "10.77.1.1", 6), ("verified", "10.77.2.1", 5)])
    equal("bytes", (record["toserver"]["bytes"], record["toclient"]["bytes"]), (11, 14))


@suite.case("8 MiB each way over two paths, live: every byte")
def _():
    needs_lab()
    size = 8 << 20
    with lab.Lab(paths=2, rate="60mbit") as net:
        lab.join_on_path_2(net)
        tap = Tap(net, "--json", "--sha256")
        server, client = net.converse(["transfer"], [size, 2], [size, 1, 2])
        record = connection(tap.events())
    equal("the lab's own bytes", (server["received_sha256"], client["received_sha256"]), (client["sent_sha256"], server["sent_sha256"]))
    for direction, sender in (("toserver", client), ("toclient", server)):
        stream = record[direction]
        equal(f"{direction} missing", stream["missing_bytes"], 0)
        equal(direction, (stream["bytes"], stream["sha256"]), (sender["sent"], sender["sent_sha256"]))


@suite.case("IPv6, live")
def _():
    needs_lab()
    with lab.Lab(paths=2, rate="60mbit") as net:
        net.mptcp("server", "endpoint", "add", "fd77:2::2", "dev", "b2", "id", "2", "signal")
        tap = Tap(net, "--json", "--sha256")
        _, client = net.converse(["transfer"], [100000, 2], [1 << 20, 1, 2], address="fd77:1::2")
        record = connection(tap.events())
    equal("subflows", len(record["subflows"]), 2)
    equal("toserver", (record["toserver"]["bytes"], record["toserver"]["sha256"]), (client["sent"], client["sent_sha256"]))


@suite.case(f"{BULK_MIB} MiB over three subflows, captured by tcpdump, read byte-exact")
def _():
    needs_lab()
    capture = os.path.join(work.name, "bulk.pcap")
    server, client = bulk.capture(capture, BULK_MIB)
    done = subprocess.run([MPTAP, "read", "--json", "--sha256", capture], capture_output=True, stdin=subprocess.DEVNULL)
    equal("exit code", done.returncode, 0)
    record = connection([json.loads(line) for line in done.stdout.splitlines()])
    equal("subflows", len(record["subflows"]), 3)
    for direction, sender in (("toserver", client), ("toclient", server)):
        equal(direction, (record[direction]["bytes"], record[direction]["sha256"]), (sender["sent"], sender["sent_sha256"]))
        equal(f"{direction} missing", record[direction]["missing_bytes"], 0)
    os.remove(capture)


if __name__ == "__main__":
    lab.exit_on_signals()
    main(suite)
