#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptap harden on hosts and a router with the kernel's MPTCP: before, after, and how each variant lets clients connect.
usage: harden_test.py MPTAP [-k REGEX]

Time to connect is judged by what the client sent: one SYN and connected is no delay; retransmitted SYNs are."""
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager

import lab
from net import Net

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

MPTAP = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
suite = Suite()

# Connects, sends, receives; prints {"result": "mptcp"|"tcp"|errno name, "subflows": n}.
CLIENT = """
import errno, json, socket, struct, sys, time
address, port, wanted = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
try: s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_STREAM, 262)
except OSError as e: print(json.dumps({"result": errno.errorcode[e.errno]})); sys.exit()
s.settimeout(30)
try:
    s.connect((address, port))
    s.sendall(b'a'); s.recv(1)
    def info():
        try: return s.getsockopt(284, 1, 256)[0] + 1
        except OSError: return 0
    until = time.monotonic() + 2
    while wanted and info() < wanted and time.monotonic() < until: time.sleep(0.02)
    s.sendall(b'b'); s.recv(1)
    print(json.dumps({"result": "mptcp" if info() else "tcp", "subflows": info()}))
except OSError as e: print(json.dumps({"result": errno.errorcode.get(e.errno, str(e))}))
"""

SYNS = """
table inet count {
  counter mptcp_syn { }
  counter plain_syn { }
  chain out { type filter hook output priority -400; tcp flags & (syn | ack) == syn tcp option mptcp exists counter name mptcp_syn
    tcp flags & (syn | ack) == syn tcp option mptcp missing counter name plain_syn
  }
}
"""


@contextmanager
def network():
    """client (two addresses) - router - server."""
    why = lab.why_not()
    if why:
        raise Skip(why)
    with Net() as net:
        net.host("client")
        net.router("router")
        net.host("server")
        net.link("client", "eth0", ["10.1.0.1/24", "fd01::1/64"], "router", "left", ["10.1.0.254/24", "fd01::254/64"])
        net.link("client", "eth1", ["10.3.0.1/24"], "router", "third", ["10.3.0.254/24"])
        net.link("server", "eth0", ["10.2.0.1/24", "10.2.0.2/24", "fd02::1/64"], "router", "right", ["10.2.0.254/24", "fd02::254/64"])
        net.route("client", "default", "10.1.0.254")
        net.route("client", "fd02::/64", "fd01::254")
        net.route("server", "default", "10.2.0.254")
        net.route("server", "fd01::/64", "fd02::254")
        net.run("client", ["ip", "rule", "add", "from", "10.3.0.1", "table", "3"])
        net.run("client", ["ip", "route", "add", "default", "via", "10.3.0.254", "table", "3"])
        net.server("server", 80)
        net.nft("client", SYNS)
        yield net


def connect(net, address="10.2.0.1", port=80, wanted=0):
    """What became of it, and the SYNs that it took: (with MPTCP, without)."""
    counters = ("mptcp_syn", "plain_syn")
    before = [net.nft_counter("client", "inet count", c) for c in counters]
    done = json.loads(net.run("client", [sys.executable, "-c", CLIENT, address, str(port), str(wanted)]))
    done["syns"] = tuple(net.nft_counter("client", "inet count", c) - b for c, b in zip(counters, before))
    return done


def harden(net, host, *argv, code=0):
    done = net.call(host, [MPTAP, "harden", *argv])
    equal(f"exit code of harden {' '.join(argv)}, which said {done.stdout + done.stderr}", done.returncode, code)
    return done.stdout


def check(net, host):
    done = net.call(host, [MPTAP, "harden", "--check", "--json"])
    state = json.loads(done.stdout)
    equal("exit code of --check", done.returncode, 1 if state["verdict"] == "allowed" else 0)
    return state


def is_mptcp(done, syns=(1, 0)):
    equal("result", done["result"], "mptcp")
    equal("SYNs", done["syns"], syns)


def is_stripped(done):
    """Plain TCP after one SYN, which left with the option: no delay."""
    equal("result", done["result"], "tcp")
    equal("SYNs", done["syns"], (1, 0))


def is_rejected(done):
    equal("result", done["result"], "ECONNREFUSED")
    equal("SYNs", done["syns"], (1, 0))


def is_dropped(done):
    """The client gave up MPTCP only after several SYNs."""
    equal("result", done["result"], "tcp")
    assert done["syns"][0] >= 2 and done["syns"][1] >= 1, f"SYNs: {done['syns']}"


for _tool in ("nft", "iptables"):
    @suite.case(f"{_tool}: strip on the server, before and after, IPv4 and IPv6")
    def _(tool=_tool):
        with network() as net:
            equal("verdict", check(net, "server")["verdict"], "allowed")
            for address in ("10.2.0.1", "fd02::1"):
                is_mptcp(connect(net, address))
            assert "rules are in place: strip" in harden(net, "server", "strip", "--apply", "--tool", tool)
            equal("verdict", check(net, "server")["verdict"], "filtered")
            for address in ("10.2.0.1", "fd02::1"):
                is_stripped(connect(net, address))
            assert "gone" in harden(net, "server", "remove", "--apply", "--tool", tool)
            equal("rules", check(net, "server")["rules"], [])
            is_mptcp(connect(net))

    @suite.case(f"{_tool}: strip on a router, for one interface, prefix and direction only")
    def _(tool=_tool):
        with network() as net:
            harden(net, "router", "strip", "--apply", "--tool", tool, "--interface", "left", "--inbound", "--prefix", "10.2.0.1/32")
            is_stripped(connect(net, "10.2.0.1"))
            is_mptcp(connect(net, "10.2.0.2"))
            is_mptcp(connect(net, "fd02::1"))
            equal("verdict", check(net, "router")["verdict"], "allowed")
            # Other variants replace it.
            harden(net, "router", "strip", "--apply", "--tool", tool, "--interface", "left", "--outbound")
            is_mptcp(connect(net, "10.2.0.1"))
            harden(net, "router", "strip", "--apply", "--tool", tool, "--interface", "right", "--outbound", "--prefix", "fd02::/64")
            is_mptcp(connect(net, "10.2.0.1"))
            is_stripped(connect(net, "fd02::1"))

    @suite.case(f"{_tool}: strip on the client")
    def _(tool=_tool):
        with network() as net:
            harden(net, "client", "strip", "--apply", "--tool", tool, "--outbound")
            is_stripped(connect(net))

    for _host in ("server", "router", "client"):
        @suite.case(f"{_tool}: reject on the {_host} refuses at once")
        def _(tool=_tool, host=_host):
            with network() as net:
                harden(net, host, "reject", "--apply", "--tool", tool)
                is_rejected(connect(net))
                is_rejected(connect(net, "fd02::1"))
                harden(net, host, "remove", "--apply", "--tool", tool)
                is_mptcp(connect(net))

    @suite.case(f"{_tool}: drop makes the client try several SYNs before plain TCP")
    def _(tool=_tool):
        with network() as net:
            harden(net, "router", "drop", "--apply", "--tool", tool)
            is_dropped(connect(net))
            # Linux remembers: MPTCP stays off for net.mptcp.blackhole_timeout.
            after = connect(net)
            equal("after a drop", (after["result"], after["syns"]), ("tcp", (0, 1)))

    @suite.case(f"{_tool}: log counts and changes nothing")
    def _(tool=_tool):
        with network() as net:
            harden(net, "router", "log", "--apply", "--tool", tool)
            is_mptcp(connect(net))
            rules = net.run("router", ["nft", "list", "table", "inet", "mptap_harden"]) if tool == "nft" else \
                net.run("router", ["iptables", "-L", "MPTAP_FORWARD", "-v", "-n"])
            assert "packets 1 " in rules or "    1    " in rules, rules


@suite.case("off: sockets are refused, the file is written, an old listener is named until it goes")
def _():
    with network() as net, tempfile.TemporaryDirectory() as where:
        file = os.path.join(where, "90-mptap.conf")
        said = harden(net, "server", "off", "--apply", "--sysctl-file", file)
        assert "1 MPTCP listeners" in said, said
        with open(file, encoding="ascii") as f:
            equal("the file", f.read(), "net.mptcp.enabled = 0\n")
        state = check(net, "server")
        equal("verdict with the old listener", (state["verdict"], state["socket"], state["listeners"]), ("allowed", False, 1))
        is_mptcp(connect(net))
        equal("a program on the server", json.loads(net.run("server", [sys.executable, "-c", CLIENT, "10.2.0.1", "80", "0"])),
              {"result": "ENOPROTOOPT"})
        net.started[0].kill()
        net.started[0].wait()
        equal("verdict without it", check(net, "server")["verdict"], "off")
        net.server("server", 80, mptcp=False)
        is_stripped(connect(net))
        harden(net, "server", "on", "--apply", "--sysctl-file", file)
        with open(file, encoding="ascii") as f:
            equal("the file", f.read(), "net.mptcp.enabled = 1\n")
        equal("verdict", check(net, "server")["verdict"], "allowed")


@suite.case("limits: a second path before, one path after")
def _():
    with network() as net:
        for host in ("client", "server"):
            net.mptcp(host, "limits", "set", "subflows", "2", "add_addr_accepted", "2")
        net.mptcp("client", "endpoint", "add", "10.3.0.1", "dev", "eth1", "subflow")
        equal("subflows before", connect(net, wanted=2)["subflows"], 2)
        harden(net, "server", "limits", "--apply")
        state = check(net, "server")
        equal("limits", state["limits"], {"subflows": 0, "add_addr_accepted": 0})
        equal("sysctl", state["sysctl"]["net.mptcp.allow_join_initial_addr_port"], "0")
        after = connect(net, wanted=2)
        equal("after", (after["result"], after["subflows"]), ("mptcp", 1))


for _effect in ("reject", "strip"):
    @suite.case(f"{_effect} --joins keeps connections on one path, unnoticed by the server's program")
    def _(effect=_effect):
        with network() as net:
            for host in ("client", "server"):
                net.mptcp(host, "limits", "set", "subflows", "2", "add_addr_accepted", "2")
            net.mptcp("client", "endpoint", "add", "10.3.0.1", "dev", "eth1", "subflow")
            equal("subflows before", connect(net, wanted=2)["subflows"], 2)
            harden(net, "router", effect, "--joins", "--apply")
            opens = net.counter("server", "PassiveOpens")
            after = connect(net, wanted=2)
            equal("after", (after["result"], after["subflows"]), ("mptcp", 1))
            equal("handshakes at the server", net.counter("server", "PassiveOpens") - opens, 1)


RUNNING = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
s.settimeout(20)
s.connect(('10.2.0.1', 80)); s.sendall(b'a'); s.recv(1)
print('ready', flush=True)
sys.stdin.readline()
try:
    s.sendall(b'b' * 500); print(len(s.recv(1)))
    try: s.getsockopt(284, 1, 256); print('mptcp')
    except OSError: print('tcp')
except OSError as e: print(e)
"""


@suite.case("running connections live on under strip, and fall back to TCP under strip --all-packets")
def _():
    for more, wanted in ([], ["1", "mptcp"]), (["--all-packets"], ["1", "tcp"]):
        with network() as net:
            client = subprocess.Popen(["ip", "netns", "exec", net.name("client"), sys.executable, "-c", RUNNING], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
            net.started.append(client)
            equal("client", client.stdout.readline(), "ready\n")
            harden(net, "router", "strip", "--apply", *more)
            equal(f"with {more}", client.communicate("go\n", timeout=60)[0].split(), wanted)


@suite.case("what is printed without --apply is what nft takes; nothing is changed by printing")
def _():
    with network() as net:
        text = harden(net, "server", "strip", "--inbound", "--interface", "eth0", "--prefix", "10.0.0.0/8", "--prefix", "fd00::/8", "--log")
        equal("rules after printing", check(net, "server")["rules"], [])
        net.nft("server", text)
        assert all(r["effect"] in ("strip", "log") for r in check(net, "server")["rules"])
        is_stripped(connect(net))
        is_stripped(connect(net, "fd02::1"))


@suite.case("wrong calls say what would be right")
def _():
    with network() as net:
        for argv, part in ((["strip", "--prefix", "10.0.0.1/8"], "did you mean 10.0.0.0/8?"),
                           (["strip", "--tool", "iptables", "--joins"], "use --tool nft"),
                           (["reject", "--interface", "eth0; reboot"], "1 to 15 letters"),
                           (["--check", "strip"], "only looks"),
                           (["strip", "--tool", "pf"], "nft")):
            done = net.call("server", [MPTAP, "harden", *argv])
            equal(f"exit code of {argv}", done.returncode, 2)
            assert part in done.stdout + done.stderr, f"{argv}: {done.stdout + done.stderr}"
        done = net.call("server", [MPTAP, "harden", "strip", "--interface", "eth9", "--apply"])
        equal("--apply for an interface that is not there", (done.returncode, done.stderr),
              (3, 'mptap harden: there is no interface "eth9"; ip link lists them\n'))
        equal("printed for another host", net.call("server", [MPTAP, "harden", "strip", "--interface", "eth9"]).returncode, 0)
        for argv in (["strip"], ["off"], ["remove"], ["limits"]):
            done = net.call("server", ["setpriv", "--bounding-set=-all", MPTAP, "harden", *argv, "--apply"])
            equal(f"{argv} without privileges", (done.returncode, done.stderr.count("\n"), "needs root" in done.stderr), (3, 1, True))
        equal("macOS cannot be applied here", net.call("server", [MPTAP, "harden", "off", "--system", "macos", "--apply"]).returncode, 3)


if __name__ == "__main__":
    lab.exit_on_signals()
    main(suite)
