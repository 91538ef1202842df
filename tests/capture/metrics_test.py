#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""GET /metrics of an mptapd whose port plays a capture, against what it says elsewhere. usage: metrics_test.py MPTAPD MPTAP [-k REGEX]"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Suite, equal, main  # noqa: E402
from metrics_page import Page, scrape  # noqa: E402

MPTAPD, MPTAP = (os.path.abspath(path) for path in sys.argv[1:3])
DATA = os.path.join(ROOT, "tests", "capture", "data")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-metrics-")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


class Daemon:
    """mptapd on a capture, with its metrics on a port that was free."""

    def __init__(self, capture, workers=1, rules=None, address=None, control=""):
        self.address = address or f"127.0.0.1:{free_port()}"
        self.rules = rules or os.path.join(DATA, "evil.rules")
        self.config, self.out, self.err = (os.path.join(work.name, n) for n in ("mptap.toml", "out", "err"))
        with open(self.config, "w", encoding="utf-8") as f:
            f.write(f"""ports = ["net_pcap0,rx_pcap={os.path.join(DATA, capture)}"]
[workers]
count = {workers}
[rules]
files = ["{self.rules}"]
[events]
stdout = true
[control]
address = "{control}"
group = ""
audit_log = ""
[metrics]
address = "{self.address}"
[timeouts]
closed_s = 1
""")
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen([MPTAPD, "-c", self.config], stdout=out, stderr=err, stdin=subprocess.DEVNULL)

    def __enter__(self):
        self.wait(lambda: "started:" in self.text(self.err), "start")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    @staticmethod
    def text(path):
        with open(path, encoding="utf-8") as f:
            return f.read()

    def wait(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, f"mptapd ended: {self.text(self.err)[-600:]}"
            assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}: {self.text(self.err)[-600:]}"
            time.sleep(0.05)

    def page(self):
        return Page(scrape(self.address))

    def until(self, condition, what):
        """The first page of which that is true."""
        pages = []

        def good():
            pages[:] = [self.page()]
            return condition(pages[0])
        self.wait(good, what)
        return pages[0]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        equal("exit code", self.process.wait(60), 0)
        return [json.loads(line) for line in self.text(self.out).splitlines()]


@suite.case("the page says what the events and the balance say")
def _():
    with Daemon("evil.pcap", workers=2) as daemon:
        page = daemon.until(lambda p: p.sum("mptap_alerts_total") > 0 and p.sum("mptap_inspected_total") == p.sum("mptap_frames_total"),
                            "the alert")
        events = daemon.end()
    frames = page.sum("mptap_frames_total")
    assert frames > 0
    equal("packets by where they ended", page.sum("mptap_packets_total"), frames)
    equal("frames of the port", page.sum("mptap_port_packets_total"), frames)
    equal("bytes of the port", page.sum("mptap_port_bytes_total"), page.sum("mptap_frame_bytes_total"))
    alerts = [e for e in events if e["event_type"] == "alert"]
    equal("alerts", page.sum("mptap_alerts_total", action="allowed"), len(alerts))
    equal("across subflows", page.sum("mptap_alerts_cross_subflow_total"), sum(e["mptcp"]["cross_subflow"] for e in alerts))
    equal("workers", page.values("mptap_frames_total", "worker"), {"0", "1"})
    equal("rules", page.sum("mptap_rules_loaded"), 1)
    equal("its limit", page.sum("mptap_limit", limit="connections"), 65536)
    for worker in "01":
        assert page.sum("mptap_busy_cycles_total", worker=worker) + page.sum("mptap_idle_cycles_total", worker=worker) > 0


@suite.case("every anomaly, join outcome, fallback and drop is there before it happens, as a zero")
def _():
    with Daemon("evil.pcap") as daemon:
        page = daemon.page()
        daemon.end()
    with open(os.path.join(ROOT, "lib", "event", "eve.schema.json"), encoding="utf-8") as f:
        schema = json.load(f)
    names = set(schema["$defs"]["anomaly_event"]["enum"])
    equal("anomalies", page.values("mptap_anomalies_total", "type"), names)
    equal("joins", page.values("mptap_joins_total", "outcome"), {"initial", "verified", "failed", "unverified"})
    equal("holes", page.values("mptap_hole_bytes_total", "kind"), {"unseen_path", "tap_loss"})
    equal("fallbacks that there were", page.sum("mptap_fallbacks_total"), 0)
    for end in ("dropped_subflow_limit", "dropped_connection_limit", "dropped_handoff_full", "dropped_spread_full"):
        equal(end, page.sum("mptap_packets_total", end=end), 0)
    for name in ("mptap_event_queue_bytes", "mptap_events_dropped_total", "mptap_port_missed_total", "mptap_lane_depth", "mptap_egress_written_total"):
        equal(name, page.sum(name), 0)


@suite.case("what is counted from records is what the records say: protocols, ends, joins, bytes")
def _():
    with Daemon("small.pcap", workers=2) as daemon:
        daemon.until(lambda p: p.sum("mptap_frames_total") > 0, "frames")
        time.sleep(1)
        events = daemon.end()  # its last event bears all counters
    counted = next(e["stats"]["counters"] for e in reversed(events) if e["event_type"] == "stats")
    ends = [e.get("mptcp") or e["tcp"] for e in events
            if e["event_type"] in ("mptcp", "flow") and e.get("mptcp", {}).get("event", "end") == "end"]
    assert ends, "no record"

    def total(name):
        return sum(value for key, value in counted.items() if key.split(".")[0] == name)
    equal("records", total("connections_ended_total"), len(ends))
    equal("by end", total("connection_ends_total"), len(ends))
    equal("subflows", total("joins_total"), sum(len(e.get("subflows", [])) for e in ends))
    for side in ("to_server", "to_client"):
        streams = [e[side.replace("_", "")] for e in ends]
        equal(f"bytes {side}", counted[f"stream_bytes_total.{side}"], sum(s["bytes"] for s in streams))
        equal(f"streams {side}", counted[f"streams_total.{side}"], sum(s["bytes"] + s["missing_bytes"] > 0 for s in streams))
    started = [e for e in events if e.get("mptcp", {}).get("event") == "started"]
    joined = [e for e in events if e.get("mptcp", {}).get("event") == "subflow_joined"]
    equal("begun and joined", (counted["mptcp_started_total"], counted["subflows_joined_total"]), (len(started), len(joined)))
    assert joined, "the capture has joins"


@suite.case("promtool finds nothing to complain about")
def _():
    assert shutil.which("promtool"), "promtool is missing: deploy/install-deps.sh test installs Debian's package prometheus"
    with Daemon("evil.pcap", workers=2) as daemon:
        text = daemon.page().text
        daemon.end()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    equal("promtool", (done.returncode, done.stdout + done.stderr), (0, ""))


@suite.case("a reload is a new timestamp and a new number of rules; a refused one is told until the next good one")
def _():
    rules = os.path.join(work.name, "local.rules")
    one = 'alert tcp any any -> any any (msg:"a"; content:"x"; sid:{};)\n'
    with open(rules, "w", encoding="utf-8") as f:
        f.write(one.format(1))
    with Daemon("evil.pcap", rules=rules) as daemon:
        before = daemon.page()
        assert abs(before.sum("mptap_config_loaded_timestamp_seconds") - time.time()) < 300
        with open(rules, "w", encoding="utf-8") as f:
            f.write(one.format(1) + one.format(2))
        daemon.process.send_signal(signal.SIGHUP)
        after = daemon.until(lambda p: p.sum("mptap_rules_loaded") == 2, "two rules")
        assert after.sum("mptap_config_loaded_timestamp_seconds") > before.sum("mptap_config_loaded_timestamp_seconds")
        os.unlink(rules)
        daemon.process.send_signal(signal.SIGHUP)
        refused = daemon.until(lambda p: p.sum("mptap_reload_successful") == 0, "the refusal")
        equal("rules in force", refused.sum("mptap_rules_loaded"), 2)
        with open(rules, "w", encoding="utf-8") as f:
            f.write(one.format(3))
        daemon.process.send_signal(signal.SIGHUP)
        good = daemon.until(lambda p: p.sum("mptap_reload_successful") == 1, "the good one")
        equal("rules in force", good.sum("mptap_rules_loaded"), 1)
        daemon.end()


@suite.case("an address that is taken costs the metrics and not the inspection, and is had when it is free")
def _():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        daemon = Daemon("evil.pcap", address=address)
        daemon.__enter__()
        daemon.wait(lambda: '"alert"' in daemon.text(daemon.out), "the alert")
        assert f"no metrics: metrics.address {address}: Address already in use" in daemon.text(daemon.err), daemon.text(daemon.err)

    def served():
        try:
            return daemon.page().sum("mptap_workers") == 1
        except (urllib.error.URLError, ConnectionError):
            return False
    with daemon:
        daemon.wait(served, "the metrics", 60)
        events = daemon.end()
    said = [e["engine"]["message"] for e in events if e.get("engine", {}).get("event") == "metrics"]
    equal("sentences", len(said), 2)
    assert said[1].endswith(f"{address} is served now"), said


@suite.case("calls of the control plane, by method and end")
def _():
    address = f"unix:{work.name}/control.sock"
    with Daemon("evil.pcap", control=address) as daemon:
        assert daemon.page().sum("mptap_grpc_calls_total") == 0
        for words, code in ((["system"], 0), (["system"], 0), (["show", "0" * 16], 3)):
            done = subprocess.run([MPTAP, *words], env={**os.environ, "MPTAP_SERVER": address}, capture_output=True, text=True, timeout=60,
                                  stdin=subprocess.DEVNULL)
            equal(f"mptap {words}: {done.stderr}", done.returncode, code)
        page = daemon.page()
        equal("answered", page.sum("mptap_grpc_calls_total", method="/mptap.v1.SystemService/GetSystem", end="ok"), 2)
        equal("not found", page.sum("mptap_grpc_calls_total", method="/mptap.v1.ConnectionService/GetConnection", end="error"), 1)
        equal("all", page.sum("mptap_grpc_calls_total"), 3)
        equal("watching", page.sum("mptap_grpc_watchers"), 0)
        daemon.end()


@suite.case("scrapes all the time, and its end among them")
def _():
    with Daemon("csum.pcap", workers=2) as daemon:
        script = ("import sys, urllib.request\nn = 0\n"
                  "try:\n  while True: urllib.request.urlopen(sys.argv[1], timeout=20).read(); n += 1\nexcept OSError: print(n)")
        askers = [subprocess.Popen([sys.executable, "-c", script, f"http://{daemon.address}/metrics"], stdout=subprocess.PIPE, text=True)
                  for _ in range(3)]
        time.sleep(2)
        daemon.end()
        counts = [int(a.communicate(timeout=60)[0]) for a in askers]
    assert all(c > 0 for c in counts), counts
    assert "unaccounted 0" in daemon.text(daemon.err), daemon.text(daemon.err)


if __name__ == "__main__":
    main(suite)
