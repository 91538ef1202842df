#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptap monitor's filters on live traffic: nftables counters, tcpdump with the expression, the exact filter in the kernel.
usage: monitor_test.py MPTAP [-k REGEX]"""
import os
import signal
import socket
import struct
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

# Sends frames, hexadecimal ones from standard input, out of an interface.
SENDER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind((sys.argv[1], 0))
for line in sys.stdin: s.send(bytes.fromhex(line.strip()))
"""


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total >> 16) + (total & 0xffff)
    return ~total & 0xffff


def frame(options, flags=0x10):
    """An Ethernet frame from 10.9.0.1 to 10.9.0.2 with these TCP options."""
    options += b"\0" * (-len(options) % 4)
    src, dst = socket.inet_aton("10.9.0.1"), socket.inet_aton("10.9.0.2")
    tcp = struct.pack("!HHIIBBHHH", 1000, 80, 1, 1, (20 + len(options)) << 2, flags, 1000, 0, 0) + options
    pseudo = src + dst + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, src, dst)
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return b"\xff" * 6 + b"\x02\0\0\0\0\x01" + b"\x08\0" + ip + tcp


DSS = bytes([30, 8, 0x20, 1, 0, 0, 0, 1])
ADD_ADDR = bytes([30, 16, 0x30, 2, 10, 9, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8])
PRIO = bytes([30, 3, 0x50])
JOIN = bytes([30, 12, 0x10, 1, 1, 2, 3, 4, 5, 6, 7, 8])
TIMESTAMPS = bytes([8, 10, 1, 2, 3, 4, 5, 6, 7, 8])


@contextmanager
def pair():
    why = lab.why_not()
    if why:
        raise Skip(why)
    with Net() as net:
        for host in ("a", "b"):
            net.host(host)
        net.link("a", "eth0", ["10.9.0.1/24"], "b", "eth0", ["10.9.0.2/24"])
        yield net


def send(net, frames):
    net.run("a", [sys.executable, "-c", SENDER, "eth0"], text_in="\n".join(f.hex() for f in frames))


@suite.case("nft: each subtype at every position is counted; of several options the first only")
def _():
    with pair() as net:
        net.nft("b", net.run("b", [MPTAP, "monitor", "--format", "nft"]))
        places = range(0, 29)
        send(net, [frame(b"\1" * at + JOIN) for at in places] + [frame(DSS + ADD_ADDR)] * 5)
        count = {name: net.nft_counter("b", "inet mptap_monitor", name) for name in ("join", "dss", "add_addr", "capable")}
        equal("counters", count, {"join": len(places), "dss": 5, "add_addr": 0, "capable": 0})


@suite.case("nft --tap: every option of a packet is counted")
def _():
    with pair() as net:
        net.nft("b", net.run("b", [MPTAP, "monitor", "--format", "nft", "--tap", "eth0", "--log"]))
        send(net, [frame(TIMESTAMPS + DSS + ADD_ADDR + PRIO)] * 3 + [frame(PRIO * 13)] + [frame(JOIN, flags=2)] * 2)
        count = {name: net.nft_counter("b", "netdev mptap_monitor", name) for name in ("join", "dss", "add_addr", "prio", "capable")}
        equal("counters", count, {"join": 2, "dss": 3, "add_addr": 3, "prio": 3 + 10, "capable": 0})


@suite.case("nft: real connections, both ways")
def _():
    with pair() as net:
        net.server("b", 80)
        net.nft("b", net.run("b", [MPTAP, "monitor", "--format", "nft"]))
        net.run("a", [sys.executable, "-c", "import socket\ns = socket.socket(2, 1, 262); s.connect(('10.9.0.2', 80)); s.send(b'x'); s.recv(1)"])
        # SYN, SYN/ACK, third ACK, perhaps the first data.
        assert net.nft_counter("b", "inet mptap_monitor", "capable") >= 3
        assert net.nft_counter("b", "inet mptap_monitor", "dss") >= 1


def watched(net, argv, frames, wanted, text=True):
    """Runs a watcher on b, sends, and returns what it printed up to `wanted` packets."""
    watcher = net.start("b", argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=text)
    net.wait(lambda: net.run("b", ["cat", "/proc/net/packet"]).count("\n") > 1, "the packet socket")
    send(net, frames)
    try:
        out, err = watcher.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        watcher.send_signal(signal.SIGINT)
        out, err = watcher.communicate(timeout=10)
    return out, err


@suite.case("the exact filter runs in the kernel and writes a capture")
def _():
    with pair() as net, tempfile.TemporaryDirectory() as where:
        file = os.path.join(where, "out.pcap")
        noise = frame(bytes([1, 1]) + bytes([8, 10, 30, 4, 0x10, 1, 0, 0, 0, 0]))
        _, err = watched(net, [MPTAP, "monitor", "--interface", "eth0", "--subtype", "join", "--write", file, "--count", "29"],
                         [noise] * 10 + [frame(DSS)] * 5 + [frame(b"\1" * at + JOIN) for at in range(29)], 29)
        assert "29 packets with MPTCP" in err, err
        listed = subprocess.run(["tcpdump", "-n", "-r", file], capture_output=True, text=True).stdout.splitlines()
        equal("packets", len(listed), 29)
        assert all("mptcp" in line and "join" in line for line in listed), listed


@suite.case("tcpdump takes the expression")
def _():
    with pair() as net, tempfile.TemporaryDirectory() as where:
        file = os.path.join(where, "mptcp.bpf")
        with open(file, "w", encoding="ascii") as f:
            f.write(net.run("b", [MPTAP, "monitor", "--format", "pcap", "--subtype", "join"]))
        out, _ = watched(net, ["tcpdump", "-i", "eth0", "-n", "-l", "-c", "29", "-F", file],
                         [frame(TIMESTAMPS)] * 10 + [frame(DSS)] * 5 + [frame(b"\1" * at + JOIN) for at in range(29)], 29)
        lines = out.splitlines()
        equal("packets", len(lines), 29)
        assert all("join" in line for line in lines), lines


@suite.case("the exact filter on a file; no match is exit code 1")
def _():
    with tempfile.TemporaryDirectory() as where:
        file = os.path.join(where, "in.pcap")
        with open(file, "wb") as f:
            f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
            for data in (frame(DSS), frame(TIMESTAMPS + JOIN), frame(b"")):
                f.write(struct.pack("<IIII", 1, 0, len(data), len(data)) + data)
        for subtype, number in (("join", 1), ("dss", 1), ("join,dss", 2), ("fail", 0)):
            done = subprocess.run([MPTAP, "monitor", "--read", file, "--subtype", subtype], capture_output=True, text=True)
            equal(f"{subtype} in words", done.stderr, f"{number} packets with MPTCP\n")
            equal(f"exit code of {subtype}", done.returncode, 0 if number else 1)


@suite.case("wrong calls say what would be right")
def _():
    for argv, code, part in ((["--subtype", "jion"], 2, "one of capable, join"), (["--write", "x"], 2, "needs --interface or --read"),
                             (["--read", "/nowhere.pcap"], 3, "/nowhere.pcap"), (["--interface", "eth9x"], 3, 'there is no interface "eth9x"'), (["--format", "pf"], 2, "bpf")):
        done = subprocess.run([MPTAP, "monitor", *argv], capture_output=True, text=True)
        equal(f"exit code of {argv}", done.returncode, code)
        assert part in done.stdout + done.stderr, done.stdout + done.stderr
    if os.geteuid() == 0:
        done = subprocess.run(["setpriv", "--bounding-set=-all", MPTAP, "monitor", "--interface", "lo"], capture_output=True, text=True)
        equal("without privileges", (done.returncode, done.stderr), (3, "mptap monitor: lo: capturing needs root, or the capability CAP_NET_RAW\n"))


if __name__ == "__main__":
    lab.exit_on_signals()
    main(suite)
