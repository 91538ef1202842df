#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptapd on a kernel interface that goes down, comes back and vanishes. usage: mptapd_port_test.py MPTAPD [-k REGEX]"""
import json
import os
import re
import signal
import sys
import tempfile
import time

import lab
from net import Net

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

MPTAPD = os.path.abspath(sys.argv[1])
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptapd-port-")


def text(name):
    with open(os.path.join(work.name, name), encoding="utf-8") as f:
        return f.read()


@suite.case("a dead port is an event and a counter; traffic before and after is followed; SIGTERM ends it all the same")
def _():
    why = lab.why_not()
    if why:
        raise Skip(why)
    path = os.path.join(work.name, "mptap.toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write('ports = ["mirror0"]\n[workers]\ncount = 2\n[events]\nstdout = true\n[control]\naddress = ""\n[metrics]\naddress = ""\n')
    with Net() as net:
        net.host("tap")
        net.host("peer")
        net.link("tap", "mirror0", ["10.9.0.1/24"], "peer", "eth0", ["10.9.0.2/24"])
        with open(os.path.join(work.name, "out"), "wb") as out, open(os.path.join(work.name, "err"), "wb") as err:
            daemon = net.start("tap", [MPTAPD, "--config", path], stdout=out, stderr=err)

        def wait_for(what):
            net.wait(lambda: daemon.poll() is not None or what in text("err"), f"mptapd to say {what!r}", 60)
            assert daemon.poll() is None, f"mptapd ended: {text('err')[-600:]}"

        def talk():
            """A TCP connection that is refused: two packets."""
            net.call("peer", [sys.executable, "-c", "import socket; socket.socket().connect_ex(('10.9.0.1', 9))"])

        wait_for("started:")
        talk()
        lab.ip("-n", net.name("peer"), "link", "set", "eth0", "down")
        wait_for("port mirror0 is down")
        lab.ip("-n", net.name("peer"), "link", "set", "eth0", "up")
        wait_for("port mirror0 is up")
        talk()
        time.sleep(0.5)
        lab.ip("-n", net.name("peer"), "link", "del", "eth0")
        net.wait(lambda: text("err").count("port mirror0 is down") == 2, "the end of the port to be told", 60)
        began = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        equal("exit code", daemon.wait(60), 0)
        assert time.monotonic() - began < 5
    events = [json.loads(line) for line in text("out").splitlines()]
    names = [e["engine"]["event"] for e in events if e["event_type"] == "engine"]
    equal("port_down", names.count("port_down"), 2)
    equal("port_up", names.count("port_up"), 1)
    stats = [e for e in events if e["event_type"] == "stats"][-1]["stats"]["counters"]
    equal("port_failures_total", stats["port_failures_total"], 2)
    equal("ports_down", stats["ports_down"], 1)
    refused = [e for e in events if e["event_type"] == "flow"]
    equal("connections followed", len(refused), 2)
    equal("unaccounted", re.search(r"unaccounted (-?\d+)", text("err"))[1], "0")


if __name__ == "__main__":
    sys.exit(main(suite))
