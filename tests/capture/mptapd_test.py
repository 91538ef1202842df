#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptapd as a whole, its ports playing captures: balance, hand-off, reload, end. usage: mptapd_test.py MPTAPD [-k REGEX]"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Suite, equal, main  # noqa: E402

MPTAPD = os.path.abspath(sys.argv[1])
DATA = os.path.join(ROOT, "tests", "capture", "data")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptapd-test-")


def write(name, text):
    path = os.path.join(work.name, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def config(capture, workers=1, rules="evil.rules", packets=65536, segments=65536, more=""):
    rule_path = rules if os.path.isabs(rules) else os.path.join(DATA, rules)
    return write("mptap.toml", f"""
ports = ["net_pcap0,rx_pcap={os.path.join(DATA, capture)}"]
[workers]
count = {workers}
[handoff]
packets = {packets}
segments = {segments}
[rules]
files = ["{rule_path}"]
[events]
stdout = true
[control]
address = ""
[metrics]
address = ""
{more}""")


class Daemon:
    def __init__(self, path):
        self.out = open(os.path.join(work.name, "out"), "w+b")
        self.err = open(os.path.join(work.name, "err"), "w+b")
        self.process = subprocess.Popen([MPTAPD, "--config", path], stdout=self.out, stderr=self.err, stdin=subprocess.DEVNULL)

    def text(self, which):
        with open(os.path.join(work.name, which), encoding="utf-8") as f:
            return f.read()

    def wait_for(self, what, seconds=60):
        deadline = time.monotonic() + seconds
        while what not in self.text("err") and what not in self.text("out"):
            assert self.process.poll() is None, f"mptapd ended: {self.text('err')[-600:]}"
            assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what!r}: {self.text('err')[-600:]}"
            time.sleep(0.05)

    def end(self):
        """SIGTERM; the events, and the balance as a dictionary."""
        self.process.send_signal(signal.SIGTERM)
        equal("exit code", self.process.wait(60), 0)
        balance = {}
        for line in self.text("err").splitlines():
            if found := re.match(r"(?:  (\w+)|packets (received)) (-?\d+)$", line):
                balance[found[1] or found[2]] = int(found[3])
        balance["handed_off"] = int(re.search(r"handed off (\d+)", self.text("err"))[1])
        balance["spread"] = int(re.search(r"spread (\d+)", self.text("err"))[1])
        return [json.loads(line) for line in self.text("out").splitlines()], balance


def run(path, done):
    daemon = Daemon(path)
    daemon.wait_for("started:")
    daemon.wait_for(done)
    time.sleep(1)
    return daemon.end()


def records(events):
    """What must not depend on the number of workers."""
    ends = [e for e in events if e["event_type"] in ("mptcp", "flow") and e.get("mptcp", {}).get("event", "end") == "end"]
    return sorted((e["community_id"], json.dumps((e.get("mptcp") or e["tcp"])["toserver"]), json.dumps((e.get("mptcp") or e["tcp"])["toclient"]))
                  for e in ends)


@suite.case("--check: good, and what is wrong with its line")
def _():
    done = subprocess.run([MPTAPD, "--check", "--config", config("evil.pcap")], capture_output=True, text=True, timeout=60)
    equal("exit code", done.returncode, 0)
    path = write("bad.toml", "ports = [\"eth1\"]\n[workers]\ncuont = 2\n")
    done = subprocess.run([MPTAPD, "--check", "--config", path], capture_output=True, text=True, timeout=60)
    equal("exit code", done.returncode, 1)
    assert "bad.toml:3: unknown key \"workers.cuont\", did you mean \"count\"?" in done.stderr, done.stderr
    path = write("port.toml", "ports = [\"net_af_packet0,iface=nowhere0\"]\n")
    done = subprocess.run([MPTAPD, "--check", "--config", path], capture_output=True, text=True, timeout=60)
    equal("exit code", done.returncode, 1)
    assert "there is no network interface \"nowhere0\"" in done.stderr, done.stderr


@suite.case("--default-config is the shipped file")
def _():
    done = subprocess.run([MPTAPD, "--default-config"], capture_output=True, text=True, timeout=60)
    with open(os.path.join(ROOT, "deploy", "mptap.toml"), encoding="utf-8") as f:
        equal("text", done.stdout, f.read())


@suite.case("every packet is accounted for, and the streams are the same with 1, 2 and 4 workers")
def _():
    wanted = None
    passed_on = 0
    for workers in (1, 2, 4):
        events, balance = run(config("small.pcap", workers), "\"started")
        equal("unaccounted", balance["unaccounted"], 0)
        equal("inspected", balance.get("inspected"), balance["received"])
        wanted = wanted or records(events)
        equal(f"records with {workers} workers", records(events), wanted)
        passed_on += balance["handed_off"] + balance["spread"]
    assert passed_on > 0, "no packet went to another worker"


@suite.case("full rings drop, and what they drop is accounted for")
def _():
    events, balance = run(config("csum.pcap", 4, packets=64, segments=64), "\"started")
    equal("unaccounted", balance["unaccounted"], 0)
    assert len(records(events)) > 0


@suite.case("the alert on what was split across subflows, with several workers")
def _():
    events, _balance = run(config("evil.pcap", 3), "\"alert\"")
    alerts = [e for e in events if e["event_type"] == "alert"]
    assert any(e["mptcp"]["cross_subflow"] for e in alerts), alerts


@suite.case("SIGHUP loads the rules anew; a broken file leaves the old ones")
def _():
    rules = write("local.rules", "alert tcp any any -> any any (msg:\"a\"; content:\"nothing of that\"; sid:1;)\n")
    daemon = Daemon(config("evil.pcap", 2, rules=rules))
    daemon.wait_for("started:")
    write("local.rules", "alert tcp any any -> any any (msg:\"a\"; content:\"x1\"; sid:1;)\n"
                         "alert tcp any any -> any any (msg:\"b\"; content:\"x2\"; sid:2;)\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("reloaded: 2 rules")
    os.unlink(rules)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for("reload failed, the old rules stay")
    events, balance = daemon.end()
    equal("unaccounted", balance["unaccounted"], 0)
    assert any(e.get("engine", {}).get("event") == "reload_failed" for e in events)


@suite.case("SIGTERM ends it within 5 s, with the records of open connections")
def _():
    daemon = Daemon(config("fastclose.pcap", 2, more="[timeouts]\nclosed_s = 3600\n"))
    daemon.wait_for("started:")
    time.sleep(1)
    began = time.monotonic()
    events, _balance = daemon.end()
    assert time.monotonic() - began < 5
    assert len(records(events)) > 0, "no record"


if __name__ == "__main__":
    sys.exit(main(suite))
