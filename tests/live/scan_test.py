#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptap scan on hosts with the kernel's MPTCP on and off, filters, mirrors and routers. usage: scan_test.py MPTAP [-k REGEX]"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager

import lab
from net import Net

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

MPTAP = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
suite = Suite()

# Segments that the scanner's own kernel sends: packet sockets do not pass here.
KERNEL_RESETS = """
table inet watch {
  counter resets { }
  chain out { type filter hook output priority -400; tcp flags & rst == rst counter name resets
  }
}
"""
SILENT = "table inet silent {\n chain in { type filter hook input priority 0; meta l4proto tcp drop\n }\n}"


@contextmanager
def lan(*hosts):
    """scanner 10.8.0.1 and the named hosts, 10.8.0.N and fd08::N, on one bridge."""
    why = lab.why_not()
    if why:
        raise Skip(why)
    with Net() as net:
        net.host("switch")
        lab.ip("-n", net.name("switch"), "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        lab.ip("-n", net.name("switch"), "link", "set", "br0", "up")
        for host, number in (("scanner", 1), *hosts):
            net.host(host)
            net.link(host, "eth0", [f"10.8.0.{number}/24", f"fd08::{number:x}/64"], "switch", f"p{number}", [])
            lab.ip("-n", net.name("switch"), "link", "set", f"p{number}", "master", "br0")
        net.nft("scanner", KERNEL_RESETS)
        yield net


def scan(net, *argv, code=0, host="scanner", timeout=120):
    """The results by "address:port", and the summary."""
    done = net.call(host, [MPTAP, "scan", "--json", "--timeout", "500", *argv], timeout=timeout)
    equal(f"exit code of scan {' '.join(argv)}, which said {done.stderr}", done.returncode, code)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    results = {}
    for row in rows:
        if row["type"] == "result":
            name = f"{row['address']}:{row['port']}"
            assert name not in results, f"{name} came twice"
            results[name] = row
    summaries = [row for row in rows if row["type"] == "summary"]
    return results, summaries[0] if summaries else None


def verdicts(results):
    return {name: row["verdict"] for name, row in results.items()}


def nothing_left(net):
    equal("tables of the scanner", [t for t in net.run("scanner", ["nft", "list", "tables"]).splitlines() if "mptap_scan" in t], [])


def responder(net, host, mode):
    net.nft(host, SILENT)
    process = net.start(host, [sys.executable, "-u", os.path.join(HERE, "responder.py"), "eth0", mode], stdout=subprocess.PIPE, text=True)
    equal("responder", process.stdout.readline(), "ready\n")


@suite.case("MPTCP on, off, closed, filtered, absent: IPv4 and IPv6, with evidence, by a table and JSON")
def _():
    with lan(("on", 2), ("off", 3), ("silent", 5)) as net:
        net.server("on", 80)
        net.server("off", 80, mptcp=False)
        net.nft("silent", SILENT)
        results, summary = scan(net, "10.8.0.2-10.8.0.9", "fd08::2-fd08::5", "-p", "80,81")
        wanted = {}
        for name, verdict in (("2:80", "v1"), ("2:81", "closed"), ("3:80", "tcp_only"), ("3:81", "closed")):
            wanted["10.8.0." + name] = wanted["fd08::" + name] = verdict
        for host in (*(f"10.8.0.{n}" for n in range(4, 10)), "fd08::4", "fd08::5"):
            wanted[host + ":80"] = wanted[host + ":81"] = "filtered"
        equal("verdicts", verdicts(results), wanted)
        for host in ("10.8.0.2", "fd08::2"):
            evidence = results[host + ":80"]["evidence"]
            equal("evidence", {k: evidence[k] for k in ("capable_v1", "join", "join_reset_reason", "syn_cookies", "hops")},
                  {"capable_v1": "mptcp", "join": "reset", "join_reset_reason": "mptcp_specific", "syn_cookies": False, "hops": 0})
        equal("10.8.0.4", results["10.8.0.4:80"]["evidence"]["network"], "10.8.0.4 does not answer ARP")
        equal("fd08::4", results["fd08::4:80"]["evidence"]["network"], "fd08::4 does not answer neighbour discovery")
        equal("10.8.0.5", (results["10.8.0.5:80"]["evidence"]), {"capable_v1": "silent", "plain_syn": "silent"})
        equal("summary", (summary["targets"], summary["finished"], summary["complete"], summary["verdicts"]["v1"]), (24, 24, True, 2))
        equal("resets by the scanner's kernel", net.nft_counter("scanner", "inet watch", "resets"), 0)
        equal("half-open connections", net.run("on", ["ss", "-H", "-n", "-t", "state", "syn-recv"]), "")
        nothing_left(net)
        table = net.run("scanner", [MPTAP, "scan", "10.8.0.2-3", "-p", "80,81", "--timeout", "500", "--progress", "always"])
        lines = table.splitlines()
        equal("table", [line.split()[:2] for line in sorted(lines[1:-1])], [["10.8.0.2:80", "v1"], ["10.8.0.3:80", "tcp_only"]])
        assert lines[-1].startswith("4 of 4 targets: 1 v1, 1 tcp_only, 2 closed."), lines[-1]


@suite.case("--verify: a real connection's DATA_ACK, and no connection left behind")
def _():
    with lan(("on", 2), ("off", 3), ("sums", 4)) as net:
        net.run("sums", ["sysctl", "-qw", "net.mptcp.checksum_enabled=1"])
        for host in ("on", "sums"):
            net.server(host, 80)
        net.server("off", 80, mptcp=False)
        results, _ = scan(net, "10.8.0.2-4", "fd08::2", "-p", "80", "--verify")
        equal("verdicts", verdicts(results), {"10.8.0.2:80": "v1", "10.8.0.3:80": "tcp_only", "10.8.0.4:80": "v1", "fd08::2:80": "v1"})
        for name in ("10.8.0.2:80", "10.8.0.4:80", "fd08::2:80"):
            equal(name, results[name]["evidence"]["verify"], "data_ack")
        for host in ("on", "sums"):
            net.wait(lambda host=host: net.counter(host, "MPCurrEstab") == 0, "the connection to end")
        equal("connections", net.run("on", ["ss", "-H", "-n", "-M"]), "")
        equal("resets by the scanner's kernel", net.nft_counter("scanner", "inet watch", "resets"), 0)


@suite.case("mirrors are told from hosts, also one that makes up a key")
def _():
    with lan(("mirror", 2), ("fake", 3), ("v0", 4)) as net:
        for host in ("mirror", "fake", "v0"):
            responder(net, host, host)
        results, _ = scan(net, "10.8.0.2-4", "fd08::2", "fd08::4", "-p", "80")
        equal("verdicts", verdicts(results), {"10.8.0.2:80": "mirrored", "fd08::2:80": "mirrored", "10.8.0.3:80": "v1", "10.8.0.4:80": "v0",
                                              "fd08::4:80": "v0"})
        equal("mirror", {k: results["10.8.0.2:80"]["evidence"][k] for k in ("capable_v1", "capable_v0", "join")},
              {"capable_v1": "mirrored", "capable_v0": "mirrored", "join": "mirrored"})
        equal("fake", results["10.8.0.3:80"]["evidence"]["join"], "plain")
        equal("v0", {k: results["10.8.0.4:80"]["evidence"][k] for k in ("capable_v1", "capable_v0", "join")},
              {"capable_v1": "plain", "capable_v0": "mptcp", "join": "reset"})
        results, _ = scan(net, "10.8.0.3", "-p", "80", "--verify")
        equal("fake, verified", (results["10.8.0.3:80"]["verdict"], results["10.8.0.3:80"]["evidence"]["verify"]), ("mirrored", "no_dss"))


@suite.case("SYN cookies are told, with and without MPTCP behind")
def _():
    with lan(("on", 2), ("off", 3)) as net:
        for host in ("on", "off"):
            net.run(host, ["sysctl", "-qw", "net.ipv4.tcp_syncookies=2"])
        net.server("on", 80)
        net.server("off", 80, mptcp=False)
        results, _ = scan(net, "10.8.0.2-3", "fd08::2-fd08::3", "-p", "80")
        for host, verdict in (("2", "v1"), ("3", "tcp_only")):
            for prefix in ("10.8.0.", "fd08::"):
                row = results[f"{prefix}{host}:80"]
                equal(row["address"], (row["verdict"], row["evidence"].get("syn_cookies")), (verdict, True))


@suite.case("what mptap harden does to a host is seen: strip, reject, drop")
def _():
    with lan(("strip", 2), ("reject", 3), ("drop", 4), ("halfstrip", 5)) as net:
        for host in ("strip", "reject", "drop", "halfstrip"):
            net.server(host, 80)
            if host != "halfstrip":
                net.run(host, [MPTAP, "harden", host, "--apply"])
        net.nft("halfstrip", "table inet t {\n chain out { type filter hook output priority mangle; tcp flags & (syn | ack) == syn | ack "
                "reset tcp option mptcp\n }\n}")
        results, _ = scan(net, "10.8.0.2-5", "-p", "80")
        # A host that strips its own SYNs is plain TCP to everyone; one whose answers alone are stripped still resets the join.
        equal("verdicts", verdicts(results), {"10.8.0.2:80": "tcp_only", "10.8.0.3:80": "filtered", "10.8.0.4:80": "filtered", "10.8.0.5:80": "stripped"})
        equal("reject", results["10.8.0.3:80"]["reason"], "open to plain TCP; SYNs with MPTCP are rejected")
        equal("drop", results["10.8.0.4:80"]["reason"], "open to plain TCP; SYNs with MPTCP are dropped")
        equal("halfstrip", results["10.8.0.5:80"]["evidence"]["join"], "reset")
        assert results["10.8.0.5:80"]["evidence"]["longest_nop_run"] >= 12


@contextmanager
def routed():
    """scanner - r1 - r2 - far (10.20.0.2, fd20::2)."""
    with lan(("r1", 254)) as net:
        net.router("r2")
        net.host("far")
        net.run("r1", ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"])
        net.link("r1", "east", ["10.9.0.1/24", "fd09::1/64"], "r2", "west", ["10.9.0.2/24", "fd09::2/64"])
        net.link("r2", "east", ["10.20.0.1/24", "fd20::1/64"], "far", "eth0", ["10.20.0.2/24", "fd20::2/64"])
        for host, via4, via6 in (("scanner", "10.8.0.254", "fd08::fe"), ("r1", "10.9.0.2", "fd09::2"), ("r2", "10.9.0.1", "fd09::1"),
                                 ("far", "10.20.0.1", "fd20::1")):
            net.route(host, "default", via4)
            lab.ip("-n", net.name(host), "-6", "route", "add", "default", "via", via6)
        net.server("far", 80)
        yield net


@suite.case("a router that strips is found, and where; a far host through routers that do not")
def _():
    with routed() as net:
        results, _ = scan(net, "10.20.0.2", "fd20::2", "-p", "80", "--verify")
        equal("verdicts", verdicts(results), {"10.20.0.2:80": "v1", "fd20::2:80": "v1"})
        equal("hops", results["10.20.0.2:80"]["evidence"]["hops"], 2)
        net.run("r1", [MPTAP, "harden", "strip", "--apply"])
        results, _ = scan(net, "10.20.0.2", "fd20::2", "-p", "80")
        equal("verdicts", verdicts(results), {"10.20.0.2:80": "stripped", "fd20::2:80": "stripped"})
        evidence = results["10.20.0.2:80"]["evidence"]
        # The first router strips on arrival, before it counts the TTL: its own quote shows the loss.
        equal("where", evidence["option_gone_at"], "10.8.0.254")
        net.run("r1", [MPTAP, "harden", "strip", "--apply", "--outbound"])
        results, _ = scan(net, "10.20.0.2", "fd20::2", "-p", "80")
        evidence = results["10.20.0.2:80"]["evidence"]
        equal("where", (evidence["option_intact_at"], evidence["option_gone_at"]), ("10.8.0.254", "10.9.0.2"))
        equal("where", results["fd20::2:80"]["reason"], "the option is lost between fd08::fe and fd09::2")
        results, _ = scan(net, "10.20.0.2", "-p", "80", "--no-trace")
        equal("without trace", verdicts(results), {"10.20.0.2:80": "tcp_only"})
        # An administrator's answer, and no route at all.
        net.nft("r2", "table inet t {\n chain f { type filter hook forward priority 0; tcp dport 82 reject with icmpx admin-prohibited\n }\n}")
        results, _ = scan(net, "10.20.0.2", "fd20::2", "-p", "82")
        equal("prohibited", {r["reason"] for r in results.values()},
              {"10.9.0.2 says administratively prohibited", "fd09::2 says administratively prohibited"})
        lab.ip("-n", net.name("scanner"), "route", "del", "default")
        results, _ = scan(net, "10.20.0.2", "-p", "80")
        equal("no route", results["10.20.0.2:80"]["evidence"]["network"], "no route to 10.20.0.2: Network is unreachable")


@suite.case("a gateway that is silent ends the scan with its name")
def _():
    with lan(("on", 2)) as net:
        net.route("scanner", "default", "10.8.0.77")
        done = net.call("scanner", [MPTAP, "scan", "10.20.0.0/24", "-p", "80", "--json"])
        equal("exit code", done.returncode, 3)
        assert "the gateway 10.8.0.77 does not answer ARP on eth0" in done.stderr, done.stderr
        nothing_left(net)


@contextmanager
def captured(net, host="scanner"):
    """Frames that arrive or leave there, as (seconds, source address, text)."""
    rows = []
    with tempfile.TemporaryDirectory() as where:
        file = os.path.join(where, "frames.pcap")
        watcher = net.start(host, ["tcpdump", "-i", "eth0", "-n", "-U", "-w", file, "-B", "16384", "tcp"], stderr=subprocess.PIPE, text=True)
        net.wait(lambda: os.path.exists(file) and net.run(host, ["cat", "/proc/net/packet"]).count("\n") > 1, "tcpdump")
        yield rows
        time.sleep(1.2)  # its buffer's time
        watcher.send_signal(signal.SIGINT)
        err = watcher.communicate(timeout=30)[1]
        assert "0 packets dropped by kernel" in err, err
        for line in subprocess.run(["tcpdump", "-n", "-tt", "-r", file], capture_output=True, text=True).stdout.splitlines():
            words = line.split()
            rows.append((float(words[0]), words[2].rpartition(".")[0], words[4].rstrip(":")))


@suite.case("the rate holds in every stretch of time")
def _():
    with lan(("on", 2)) as net:
        for rate in (200, 2000):
            with captured(net) as rows:
                results, summary = scan(net, "10.8.0.2", "-p", f"1-{rate * 2}", "--rate", str(rate), "--no-plain")
            times = [t for t, source, _ in rows if source == "10.8.0.1"]
            assert len(times) >= rate * 2, len(times)
            equal("packets by the scanner's own count", summary["packets"], len(times) + 1)  # and one of ARP
            for seconds in (0.1, 1.0):
                start = most = 0
                for end, now in enumerate(times):
                    while times[start] < now - seconds:
                        start += 1
                    most = max(most, end - start + 1)
                # The burst is 64 packets, or a quarter of a second; a few more where timestamps are taken late.
                allowed = rate * seconds + min(64, rate / 4) + 3 + rate * 0.05
                assert most <= allowed, f"{most} packets in {seconds} s at {rate}/s, allowed are {allowed}"
            average = len(times) / (times[-1] - times[0])
            # Generous: a machine that has other things to do.
            assert average > rate * 0.4, f"{average:.0f}/s of {rate}/s"


@suite.case("a /16 takes no longer than the rate says")
def _():
    why = lab.why_not()
    if why:
        raise Skip(why)
    with Net() as net:
        net.host("scanner")
        net.router("hole")
        net.link("scanner", "eth0", ["10.8.0.1/24"], "hole", "eth0", ["10.8.0.2/24"])
        net.route("scanner", "10.9.0.0/16", "10.8.0.2")
        net.run("hole", ["ip", "route", "add", "blackhole", "10.9.0.0/16"])
        rate = 5000
        results, summary = scan(net, "10.9.0.0/16", "-p", "443", "--rate", str(rate), "--retries", "0", "--no-plain", timeout=300)
        equal("targets", (summary["targets"], summary["finished"], summary["complete"]), (65536, 65536, True))
        equal("verdicts", set(verdicts(results).values()), {"filtered"})
        # One SYN each, one ARP; the timeout comes on top. Generous: a machine that has other things to do.
        assert summary["packets"] <= 65536 + 10, summary
        least = 65536 / rate
        assert least * 0.9 < summary["seconds"] < (least + 0.5) * 3, summary
        print(f"     a /16 at {rate} packets a second: {summary['packets']} packets in {summary['seconds']:.1f} s, {least:.1f} s are the rate's")


@suite.case("excluded addresses get no packet; targets and exclusions come from files too")
def _():
    with lan(("on", 2)) as net, tempfile.TemporaryDirectory() as where:
        targets, never = os.path.join(where, "targets"), os.path.join(where, "never")
        with open(targets, "w", encoding="ascii") as f:
            f.write("# the lab\n10.8.0.0/28  fd08::2\n")
        with open(never, "w", encoding="ascii") as f:
            f.write("10.8.0.8/29 # printers\n10.8.0.0\n")
        net.server("on", 80)
        watcher = net.start("scanner", ["tcpdump", "-i", "eth0", "-n", "-l", "--immediate-mode"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        net.wait(lambda: net.run("scanner", ["cat", "/proc/net/packet"]).count("\n") > 1, "tcpdump")
        results, _ = scan(net, "-f", targets, "--exclude-file", never, "--exclude", "10.8.0.3-10.8.0.5", "-p", "80")
        watcher.send_signal(signal.SIGINT)
        seen = watcher.communicate(timeout=20)[0]
        equal("targets", sorted(results), sorted([f"10.8.0.{n}:80" for n in (1, 2, 6, 7)] + ["fd08::2:80"]))
        equal("verdict", results["10.8.0.2:80"]["verdict"], "v1")
        for n in (3, 4, 5, *range(8, 16)):
            assert f"who-has 10.8.0.{n} " not in seen and f"> 10.8.0.{n}." not in seen, f"a packet for 10.8.0.{n}"
        assert "who-has 10.8.0.6 " in seen


def lines_of(path):
    rows = []
    with open(path, encoding="ascii") as f:
        for line in f:
            try:
                rows.append(json.loads(line))
            except ValueError as error:
                raise AssertionError(f"no line of JSON: {line!r}: {error}") from error
    return rows


def done_so_far(state):
    """Targets that the state file calls done."""
    try:
        with open(state, encoding="ascii") as f:
            said = json.load(f)
    except FileNotFoundError:
        return 0
    return said["next"] + len(said["done"])


@suite.case("a scan that is stopped goes on, each target done once")
def _():
    with lan(("on", 2)) as net, tempfile.TemporaryDirectory() as where:
        state, out = os.path.join(where, "state"), os.path.join(where, "out")
        argv = [MPTAP, "scan", "10.8.0.2", "-p", "1-4000", "--json", "--rate", "1000", "--state", state, "--timeout", "500"]
        for number in (signal.SIGINT, signal.SIGTERM):
            with open(out, "a", encoding="ascii") as f:
                process = net.start("scanner", argv, stdout=f)
                # Not before some targets are done, however slow the machine is: the state says so once a second.
                before = done_so_far(state)
                net.wait(lambda: done_so_far(state) > before or process.poll() is not None, "targets that are done", 60)
                process.send_signal(number)
                equal(f"exit code after signal {number}", process.wait(20), 1)
                nothing_left(net)
        with open(out, "a", encoding="ascii") as f:
            equal("exit code", net.start("scanner", argv, stdout=f).wait(60), 0)
        rows = lines_of(out)
        ports = [row["port"] for row in rows if row["type"] == "result"]
        equal("ports, each once", sorted(ports), list(range(1, 4001)))
        summaries = [row for row in rows if row["type"] == "summary"]
        equal("complete", [s["complete"] for s in summaries], [False, False, True])
        assert 0 < summaries[0]["finished"] < summaries[1]["finished"] < 4000, summaries
        # Other targets are not these.
        done = net.call("scanner", [*argv[:3], "-p", "1-10", *argv[5:]])
        equal("exit code", done.returncode, 3)
        assert "of other targets or ports" in done.stderr, done.stderr


@suite.case("a scan that is killed leaves no rule, and goes on from its last note")
def _():
    with lan(("on", 2)) as net, tempfile.TemporaryDirectory() as where:
        state, out = os.path.join(where, "state"), os.path.join(where, "out")
        argv = [MPTAP, "scan", "10.8.0.2", "-p", "1-2000", "--json", "--rate", "1000", "--state", state, "--timeout", "500"]
        with open(out, "a", encoding="ascii") as f:
            process = net.start("scanner", argv, stdout=f)
            net.wait(lambda: os.path.exists(state), "the state file")
            assert "mptap_scan" in net.run("scanner", ["nft", "list", "tables"])
            process.send_signal(signal.SIGKILL)
            process.wait(20)
            f.write('{"type":"result","addr')  # as a kill in the middle of a write leaves it
        # ip netns exec becomes the command itself, so that the signal hit the scanner.
        net.wait(lambda: "mptap_scan" not in net.run("scanner", ["nft", "list", "tables"]), "the table to go")
        with open(out, "a", encoding="ascii") as f:
            equal("exit code", net.start("scanner", argv, stdout=f).wait(60), 0)
        ports = [row["port"] for row in lines_of(out) if row["type"] == "result"]
        equal("all ports", sorted(set(ports)), list(range(1, 2001)))
        assert len(ports) - 2000 < 1200, f"{len(ports) - 2000} done twice: more than the last second's"


@suite.case("from an address that nobody has: no rule, ARP and neighbour discovery answered")
def _():
    with lan(("on", 2), ("off", 3)) as net:
        net.server("on", 80)
        net.server("off", 80, mptcp=False)
        before = net.run("scanner", ["nft", "list", "ruleset"])
        results, _ = scan(net, "10.8.0.2-3", "fd08::2-fd08::3", "-p", "80", "--source-ip", "10.8.0.200", "--source-ip", "fd08::200", "--verify")
        equal("verdicts", verdicts(results), {"10.8.0.2:80": "v1", "10.8.0.3:80": "tcp_only", "fd08::2:80": "v1", "fd08::3:80": "tcp_only"})
        equal("the host saw", "10.8.0.200" in net.run("on", ["ip", "neigh"]), True)
        equal("rules", net.run("scanner", ["nft", "list", "ruleset"]), before)
        equal("resets by the scanner's kernel", net.nft_counter("scanner", "inet watch", "resets"), 0)


@suite.case("by a DPDK port: on link and through a gateway")
def _():
    with routed() as net:
        results, _ = scan(net, "10.8.0.254", "10.20.0.2", "fd20::2", "-p", "80", "--verify", "--port", "net_af_packet0,iface=eth0", "--source-ip", "10.8.0.200/24",
                          "--source-ip", "fd08::200/64", "--gateway", "10.8.0.254", "--gateway", "fd08::fe")
        equal("verdicts", verdicts(results), {"10.8.0.254:80": "closed", "10.20.0.2:80": "v1", "fd20::2:80": "v1"})
        equal("verify", results["10.20.0.2:80"]["evidence"]["verify"], "data_ack")


@suite.case("the host itself: by loopback with IPv6, and a word on IPv4")
def _():
    with lan(("on", 2)) as net:
        net.server("on", 80)
        results, _ = scan(net, "127.0.0.1", "10.8.0.2", "::1", "-p", "80,81", "--verify", host="on")
        equal("verdicts", verdicts(results), {f"{a}:{p}": v for a, verdict in (("127.0.0.1", ()), ("10.8.0.2", ()), ("::1", ("v1", "closed")))
                                              for p, v in zip((80, 81), verdict or ("filtered", "filtered"))})
        equal("why", results["127.0.0.1:80"]["evidence"]["network"], "127.0.0.1 is this host itself: scan it from another")


@suite.case("wrong calls say what would be right")
def _():
    with lan() as net:
        # A program on a port that the scanner wants.
        net.server("scanner", 61500)
        for argv, code, part in (
                ([], 2, "--ports is required"), (["-p", "80"], 2, "no targets: name the addresses"), (["www.example.org", "-p", "80"], 2, "names are not looked up"),
                (["10.8.0.1/24", "-p", "80"], 2, "did you mean 10.8.0.0/24?"), (["10.8.0.9-1", "-p", "80"], 2, "ends before it begins"),
                (["10.8.0.2", "-p", "80,http"], 2, 'ports "http"'), (["fd08::/64", "-p", "80"], 2, "more than 2^40 addresses"),
                (["224.0.0.1", "-p", "80"], 2, "nothing is left to scan"), (["10.8.0.2", "-p", "80", "--exclude", "10.8.0.0/24"], 2, "nothing is left"),
                (["10.8.0.2", "-p", "80", "--exclude", "x"], 2, "excluded: "), (["-f", "/nowhere", "-p", "80"], 2, "cannot read /nowhere"),
                (["10.8.0.2", "-p", "80", "--rate", "0"], 2, "--rate"), (["10.8.0.2", "-p", "80", "--source-ports", "1-10"], 2, "at least 60 ports"),
                (["10.8.0.2", "-p", "80"], 3, "a program of this host uses port 61500"),
                (["10.8.0.2", "-p", "80", "--source-ports", "40000-41000"], 3, "to its own connections"),
                (["10.8.0.2", "-p", "80", "-i", "eth9", "--source-ports", "62000-63000"], 3, 'there is no interface "eth9"'),
                (["10.8.0.2", "-p", "80", "--port", "net_af_packet0,iface=eth0"], 2, "--source-ip ADDRESS/LENGTH"),
                (["10.8.0.2", "-p", "80", "--source-ip", "10.8.0.3", "--source-ip", "10.8.0.4"], 2, "one address of each family")):
            done = net.call("scanner", [MPTAP, "scan", *argv])
            equal(f"exit code of {argv}: {done.stdout + done.stderr}", done.returncode, code)
            assert part in done.stdout + done.stderr, f"{argv}: {done.stdout + done.stderr}"
        nobody = net.call("scanner", ["setpriv", "--bounding-set=-all", MPTAP, "scan", "10.8.0.2", "-p", "80",
                                      "--source-ports", "62000-63000"])
        equal("without privileges", (nobody.returncode, nobody.stderr),
              (3, "mptap scan: raw packets need root, or the capabilities CAP_NET_RAW and CAP_NET_ADMIN\n"))
        # Whoever became root by su has no /usr/sbin in the PATH.
        bare = net.call("scanner", ["env", "PATH=/usr/bin:/bin", MPTAP, "scan", "10.8.0.77", "-p", "80", "--source-ports", "62000-63000",
                                    "--timeout", "100"])
        equal("without sbin in the PATH: " + bare.stderr, bare.returncode, 0)
        nothing_left(net)
        said = net.run("scanner", [MPTAP, "scan", "--help"])
        assert "whose owner has allowed it in writing" in said


if __name__ == "__main__":
    lab.exit_on_signals()
    main(suite)
