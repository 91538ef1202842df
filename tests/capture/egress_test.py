#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What mptap gives to tools that know TCP only, judged by such tools: tshark and tcpflow read the egress of captures whose contents
are known. usage: egress_test.py MPTAP MPTAPD [-k REGEX]

MPTAP_CAPTURES names a folder of further captures (default: captures beside the project's folder, in shared/); what is not
there is not tested."""
import base64
import collections
import glob
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

import material

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Suite, equal, main  # noqa: E402

MPTAP, MPTAPD = (os.path.abspath(a) for a in sys.argv[1:3])
RULES = os.path.join(ROOT, "deploy", "quickstart.rules")
FURTHER = os.environ.get("MPTAP_CAPTURES", os.path.join(ROOT, "..", "shared", "captures"))
WHOLE = ("small", "csum", "evil", "evil_cut", "evil_split", "v6", "loss", "fastclose", "fallback")
HOLES = ("missing", "asym", "taploss")
# Findings of tshark that speak of the tap or of a bad stack. What is left: marks of an end.
BAD = ("retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "lost_segment", "ack_lost_segment",
       "duplicate_ack", "keep_alive", "window_full", "zero_window", "window_update", "reused_ports")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-egress-")
truth = material.truth()


def run(*argv, code=0, **options):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, **options)
    assert done.returncode == code, f"{' '.join(argv)}: exit code {done.returncode}, wanted {code}\n{done.stderr.decode()[:800]}"
    return done


def egress(capture, *options, name="out.pcap"):
    out = os.path.join(work.name, name)
    done = run(MPTAP, "read", "--json", "--sha256", "--egress", out, *options, capture)
    return out, [json.loads(line) for line in done.stdout.splitlines()]


def tshark(path, *options):
    return run("tshark", "-n", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", *options).stdout.decode()


class Seen:
    """A capture as tshark sees it: read once, for tshark takes its time to start."""
    FIELDS = ("tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport", "tcp.flags", "tcp.seq", "tcp.len",
              "tcp.checksum.status", "ip.checksum.status", "frame.time_epoch", "tcp.options.mptcp.subtype",
              *(f"tcp.analysis.{name}" for name in BAD))

    def __init__(self, path):
        text = tshark(path, "-T", "fields", *(part for name in self.FIELDS for part in ("-e", name)))
        self.rows = [dict(zip(self.FIELDS, line.split("\t"))) for line in text.splitlines()]
        self.tcp = [r for r in self.rows if r["tcp.stream"]]

    def ends(self, row):
        return ((row["ip.src"] or row["ipv6.src"], int(row["tcp.srcport"])), (row["ip.dst"] or row["ipv6.dst"], int(row["tcp.dstport"])))

    def flows(self):
        """Client and server of each TCP connection, in tshark's order."""
        found = {}
        for row in self.tcp:
            found.setdefault(int(row["tcp.stream"]), self.ends(row))
        return [found[i] for i in sorted(found)]

    def flags(self, stream=0):
        return [int(r["tcp.flags"], 16) for r in self.tcp if int(r["tcp.stream"]) == stream]

    def lost(self):
        return [r for r in self.tcp if r["tcp.analysis.lost_segment"]]

    def no_findings(self):
        counts = collections.Counter(name for r in self.tcp for name in BAD if r[f"tcp.analysis.{name}"])
        equal("what tshark finds in it", dict(counts), {})

    def sound(self):
        """Right checksums (1: good), times that never go back, no MPTCP option."""
        equal("frames with a TCP checksum that is not good", sum(r["tcp.checksum.status"] != "1" for r in self.tcp), 0)
        equal("frames with an IP checksum that is not good", sum(r["ip.checksum.status"] not in ("1", "") for r in self.tcp), 0)
        times = [float(r["frame.time_epoch"]) for r in self.rows]
        equal("frames that go back in time", sum(b < a for a, b in zip(times, times[1:])), 0)
        equal("frames with MPTCP options", sum(r["tcp.options.mptcp.subtype"] != "" for r in self.tcp), 0)


def follow(path, stream=0):
    """Both directions of a connection, as tshark's follow gives them: client to server, and back."""
    text = tshark(path, "-q", "-z", f"follow,tcp,raw,{stream}")
    sides = [[], []]
    for line in text.splitlines():
        if re.fullmatch(r"\t?[0-9a-f]+", line):
            sides[line.startswith("\t")].append(bytes.fromhex(line.strip()))
    return b"".join(sides[0]), b"".join(sides[1])


def tcpflow(path):
    """Streams as tcpflow extracts them, by (source, destination)."""
    folder = os.path.join(work.name, "flows")
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    run("tcpflow", "-r", path, "-o", folder)
    return {name: material.read(os.path.join(folder, name)) for name in os.listdir(folder)
            if re.match(r"[0-9a-f.:]+-[0-9a-f.:]+", name)}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def equals_truth(what, streams, row):
    for key, data in zip(("c2s", "s2c"), streams):
        equal(f"{what}, {key}: bytes", len(data), row[key + "_len"])
        equal(f"{what}, {key}: SHA-256", sha(data), sha(b"") if row[key + "_sha256"] == "-" else row[key + "_sha256"])


def times_of(path):
    """A little-endian pcap's, in seconds as tshark prints them."""
    raw = material.read(path)
    digits = 1 if raw[:4] == b"\x4d\x3c\xb2\xa1" else 1000
    return {"%d.%09d" % (a, b * digits) for a, b in (struct.unpack("<II", head[:8]) for head, _ in material.packets(raw))}


def first_tuple(path):
    """Client and server of the first SYN of an Ethernet capture."""
    for _, frame in material.packets(material.read(path)):
        ip6 = frame[12:14] == b"\x86\xdd"
        tcp = 54 if ip6 else 14 + (frame[14] & 15) * 4
        if frame[20 if ip6 else 23] == 6 and frame[tcp + 13] & 0x12 == 2:
            ports = struct.unpack(">HH", frame[tcp:tcp + 4])
            family, at, size = (socket.AF_INET6, 22, 16) if ip6 else (socket.AF_INET, 26, 4)
            hosts = [socket.inet_ntop(family, frame[a:a + size]) for a in (at, at + size)]
            return (hosts[0], ports[0]), (hosts[1], ports[1])
    raise AssertionError(f"{path}: no SYN")


def check_whole(name, capture, row):
    out, _events = egress(capture)
    seen = Seen(out)
    equal("TCP connections", seen.flows(), [first_tuple(capture)])
    equals_truth("tshark", follow(out), row)
    by_sum = collections.Counter(sha(data) for data in tcpflow(out).values() if data)
    equal("tcpflow's streams", by_sum, collections.Counter(row[k + "_sha256"] for k in ("c2s", "s2c") if row[k + "_len"]))
    seen.no_findings()
    seen.sound()
    flags = seen.flags()
    equal("handshake", flags[:3], [0x02, 0x12, 0x10])
    ends = sum(f & 1 for f in flags), sum(f >> 2 & 1 for f in flags)
    equal("FINs and RSTs", ends, (0, 1) if name == "fastclose" else (2, 0))
    assert max(int(r["tcp.len"]) for r in seen.tcp) <= 1460, "segments that are larger than the wire's MSS"
    # Nothing is said before or after it was: each frame's time is that of a packet of the capture.
    foreign = {r["frame.time_epoch"] for r in seen.rows} - times_of(capture)
    equal("times that no packet has", sorted(foreign)[:3], [])


for _name in WHOLE:
    @suite.case(f"{_name}: tshark and tcpflow read what the applications read, and find nothing odd")
    def _(name=_name):
        check_whole(name, material.path(name, work.name), truth[name])

    if os.path.exists(os.path.join(FURTHER, _name + ".pcap")):
        @suite.case(f"{_name} of the further captures: the .bin files")
        def _(name=_name):
            row = {}
            for key in ("c2s", "s2c"):
                path = os.path.join(FURTHER, f"{name}.{key}.bin")
                if not os.path.exists(path):
                    row = truth[name]
                    break
                data = material.read(path)
                row[key + "_len"], row[key + "_sha256"] = len(data), sha(data)
            check_whole(name, os.path.join(FURTHER, name + ".pcap"), row)


for _name in HOLES:
    @suite.case(f"{_name}: holes are TCP holes of that size, which tshark reports")
    def _(name=_name):
        capture, row = material.path(name, work.name), truth[name]
        out, _events = egress(capture)
        seen = Seen(out)
        equal("TCP connections", len(seen.flows()), 1)
        assert seen.lost(), "tshark reports no lost segment"
        seen.sound()
        spans = collections.defaultdict(list)
        for r in seen.tcp:
            if int(r["tcp.len"]):
                spans[r["tcp.srcport"]].append((int(r["tcp.seq"]), int(r["tcp.len"])))
        server = str(first_tuple(capture)[1][1])
        for key, ports in (("c2s", [p for p in spans if p != server]), ("s2c", [server])):
            missing, at, total = 0, 1, 0
            for port in ports:
                for seq, size in spans[port]:
                    assert seq >= at, f"{key}: a segment at {seq} behind {at}"
                    missing += seq - at
                    at, total = seq + size, total + size
            equal(f"{key}: bytes", total, row[key + "_len"])
            equal(f"{key}: bytes in holes", missing, row[key + "_gap"])

    @suite.case(f"{_name}: holes are filled with the chosen byte")
    def _(name=_name):
        row = truth[name]
        out, _events = egress(material.path(name, work.name), "--egress-fill", "42")
        streams = follow(out)
        for key, data in zip(("c2s", "s2c"), streams):
            equal(f"{key}: bytes", len(data), row[key + "_len"] + row[key + "_gap"])
        whole = follow(egress(material.path("small", work.name), name="whole.pcap")[0])
        for key, data, right in zip(("c2s", "s2c"), streams, whole):
            wrong = [i for i, (a, b) in enumerate(zip(data, right)) if a != b and a != 42]
            equal(f"{key}: bytes that are neither right nor the filler", wrong[:3], [])
        Seen(out).no_findings()


@suite.case("the attacks' captures: one TCP connection per connection, with the bytes that mptap delivers, and nothing odd")
def _():
    for capture in sorted(glob.glob(os.path.join(material.DATA, "attacks", "*.pcap"))):
        out, events = egress(capture)
        name = os.path.basename(capture)
        records = {}
        for e in events:
            if e["event_type"] not in ("mptcp", "flow"):
                continue
            record = e.get("mptcp") or e["tcp"]
            records[((e["src_ip"], e["src_port"]), (e["dest_ip"], e["dest_port"]))] = record
        seen = Seen(out)
        found = seen.flows()
        assert len(set(found)) == len(found), f"{name}: {found}"
        for i, flow in enumerate(found):
            assert flow in records, f"{name}: {flow} is no connection"
            if any(records[flow][d]["missing_bytes"] for d in ("toserver", "toclient")):
                continue
            for direction, data in zip(("toserver", "toclient"), follow(out, i)):
                equal(f"{name} {direction}", (len(data), sha(data)), (records[flow][direction]["bytes"], records[flow][direction]["sha256"]))
        mptcp = [k for k, r in records.items() if "subflows" in r]
        equal(f"{name}: MPTCP connections without a TCP connection", [k for k in mptcp if k not in found], [])
        seen.sound()


def rewritten(source, change):
    """A capture with change(frames) for its frames."""
    raw = material.read(source)
    path = os.path.join(work.name, "changed.pcap")
    with open(path, "wb") as f:
        f.write(raw[:24])
        for head, frame in change(list(material.packets(raw))):
            f.write(head[:8] + struct.pack("<II", len(frame), len(frame)) + frame)
    return path


@suite.case("a capture that begins late: a made handshake, told in the event log, and the rest of the stream")
def _():
    def late(frames):
        return frames[200:]
    out, events = egress(rewritten(material.data("small.pcap"), late))
    made = [e for e in events if e["event_type"] == "anomaly" and e["anomaly"]["event"] == "egress_handshake_made"]
    seen = Seen(out)
    found = seen.flows()
    assert found and len(made) == len(found), (made, found)
    equal("whose", {((e["src_ip"], e["src_port"]), (e["dest_ip"], e["dest_port"])) for e in made}, set(found))
    for i in range(len(found)):
        equal("handshake", seen.flags(i)[:3], [0x02, 0x12, 0x10])
    seen.sound()


def arp():
    return bytes.fromhex("ffffffffffff020000000009" "0806" "0001080006040001" "0200000000090a000009" "0000000000000a00000a") + bytes(18)


@suite.case("--egress-pass all: plain TCP and what is not TCP pass unchanged, each once, in the order of time")
def _():
    # fallback's SYN offers MPTCP: without the option it is plain TCP, of another address than evil's.
    plain = list(material.packets(material.read(plain_capture())))
    evil = list(material.packets(material.read(material.data("evil.pcap"))))

    def mixed(frames):
        first = struct.unpack("<II", frames[0][0][:8])
        shifted = []
        for i, (head, frame) in enumerate(plain):
            shifted.append((struct.pack("<II", first[0], first[1] + 100 * i) + head[8:], frame))
        others = [(struct.pack("<II", first[0], first[1] + 37), arp()), (struct.pack("<II", first[0] + 1, 5), arp() + b"x")]
        return sorted(frames + shifted + others, key=lambda f: struct.unpack("<II", f[0][:8]))
    capture = rewritten(material.data("evil.pcap"), mixed)
    out, _events = egress(capture, "--egress-pass", "all")
    frames = [f for _, f in material.packets(material.read(out))]
    wanted = collections.Counter([f for _, f in plain] + [arp(), arp() + b"x"])
    got = collections.Counter(f for f in frames if f in wanted)
    equal("frames passed unchanged", got, wanted)
    assert not set(f for _, f in evil if b"\x1e" in f[54:]) & set(frames) - set(wanted), "frames of an MPTCP connection were passed"
    seen = Seen(out)
    seen.sound()
    streams = [follow(out, i) for i in range(len(seen.flows()))]
    equal("evil's stream, among others", [s[0] for s in streams if s[0] == b"Hevil stuff"], [b"Hevil stuff"])
    out, _events = egress(capture)
    equal("mptcp_only: connections", len(Seen(out).flows()), 1)


def plain_capture():
    """fallback.pcap with its MPTCP options overwritten by NOPs, and right checksums."""
    def strip(frames):
        for head, frame in frames:
            frame = bytearray(frame)
            tcp = 14 + (frame[14] & 15) * 4
            at, end = tcp + 20, tcp + (frame[tcp + 12] >> 4) * 4
            while at < end and frame[at] != 0:
                size = 1 if frame[at] == 1 else frame[at + 1]
                if frame[at] == 30:
                    frame[at:at + size] = b"\1" * size
                at += size
            frame[tcp + 16:tcp + 18] = b"\0\0"
            segment = bytes(frame[tcp:14 + int.from_bytes(frame[16:18], "big")])
            pseudo = bytes(frame[26:34]) + struct.pack(">HH", 6, len(segment))
            frame[tcp + 16:tcp + 18] = struct.pack(">H", material.ones_complement(pseudo + segment))
            yield head, bytes(frame)
    path = rewritten(material.data("fallback.pcap"), strip)
    kept = os.path.join(work.name, "plain.pcap")
    os.replace(path, kept)
    return kept


@suite.case("a file that cannot be written is an error with its name")
def _():
    done = subprocess.run([MPTAP, "read", "--egress", os.path.join(work.name, "no", "where.pcap"), material.data("evil.pcap")],
                          capture_output=True, text=True, timeout=60)
    equal("exit code", done.returncode, 3)
    assert "where.pcap" in done.stderr, done.stderr
    if os.path.exists("/dev/full"):
        done = subprocess.run([MPTAP, "read", "--egress", "/dev/full", material.data("small.pcap")], capture_output=True, text=True, timeout=60)
        equal("exit code", done.returncode, 3)
        assert "/dev/full" in done.stderr and "No space left" in done.stderr, done.stderr


def daemon(capture, settings, done, workers=1, patience=60):
    """mptapd on a capture until its stream is written; its events and what it said."""
    path = os.path.join(work.name, "mptapd.toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"""
ports = ["net_pcap0,rx_pcap={capture}"]
[workers]
count = {workers}
[handoff]
packets = 65536
segments = 65536
[egress]
{settings}
[rules]
files = ["{RULES}"]
[events]
stdout = true
[control]
address = ""
[metrics]
address = ""
""")
    with open(os.path.join(work.name, "d.out"), "w+b") as out, open(os.path.join(work.name, "d.err"), "w+b") as err:
        process = subprocess.Popen([MPTAPD, "--config", path], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            deadline = time.monotonic() + patience
            while not done():
                said = material.read(os.path.join(work.name, "d.err")).decode()
                assert process.poll() is None, f"mptapd ended: {said[-600:]}"
                assert time.monotonic() < deadline, f"waited {patience} s in vain: {said[-600:]}"
                time.sleep(0.1)
            process.send_signal(signal.SIGTERM)
            equal("exit code", process.wait(60), 0)
        finally:
            process.kill()
    events = [json.loads(line) for line in material.read(os.path.join(work.name, "d.out")).splitlines()]
    return events, material.read(os.path.join(work.name, "d.err")).decode()


def fresh(name):
    folder = os.path.join(work.name, name)
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def size_of(folder):
    return sum(os.path.getsize(p) for p in glob.glob(os.path.join(folder, "*.pcap")))


def joined(folder):
    """Its files as one, in the order of their names."""
    files = sorted(glob.glob(os.path.join(folder, "*.pcap")))
    assert files, f"{folder} holds no file"
    path = os.path.join(work.name, "joined.pcap")
    with open(path, "wb") as f:
        f.write(material.read(files[0])[:24])
        for name in files:
            f.write(material.read(name)[24:])
    return path


def settled(folder, least):
    """True once the files have held so much and grown no more for a second."""
    state = {"size": -1, "since": 0}

    def done():
        size = size_of(folder)
        if size != state["size"]:
            state.update(size=size, since=time.monotonic())
        return size >= least and time.monotonic() - state["since"] > 1
    return done


for _workers in (1, 2, 4):
    @suite.case(f"mptapd with {_workers} workers, into files: the same streams, nothing odd; the events bear the flow's Community ID")
    def _(workers=_workers):
        for name in ("small", "evil", "csum"):
            folder = fresh("files")
            row = truth[name]
            # Played at full speed, packets of several workers overtake each other: what came before the window that allows it
            # waits for its acknowledgement and the grace time.
            events, _said = daemon(material.path(name, work.name), f'directory = "{folder}"',
                                   settled(folder, row["c2s_len"] + row["s2c_len"] + 500), workers)
            out = joined(folder)
            seen = Seen(out)
            flow = first_tuple(material.path(name, work.name))
            equal(f"{name}: TCP connections", seen.flows(), [flow])
            equals_truth(name, follow(out), row)
            seen.no_findings()
            seen.sound()
            joins = [e for e in events if e["event_type"] == "mptcp" and e["mptcp"]["event"] == "subflow_joined"]
            ends = [e for e in events if e["event_type"] == "mptcp" and e["mptcp"]["event"] == "end"]
            equal(f"{name}: events of joins", len(joins), row["subflows"] - 1)
            for e in joins + ends:
                equal("the event's flow", ((e["src_ip"], e["src_port"]), (e["dest_ip"], e["dest_port"])), flow)
                equal("its Community ID", e["community_id"], community_id(*flow))


def community_id(a, b):
    """Version 1 of the specification, seed 0, TCP over IPv4."""
    pack = [(socket.inet_aton(host), port) for host, port in (a, b)]
    pack.sort(key=lambda p: (p[0], p[1]))
    (src, sport), (dst, dport) = pack
    digest = hashlib.sha1(b"\0\0" + src + dst + b"\6\0" + struct.pack(">HH", sport, dport)).digest()
    return "1:" + base64.b64encode(digest).decode()


@suite.case("mptapd: files end before they are too large, and the oldest go")
def _():
    folder = fresh("files")
    daemon(material.data("small.pcap"), f'directory = "{folder}"\nfile_bytes = 100000\nfiles = 5', settled(folder, 400000))
    files = sorted(glob.glob(os.path.join(folder, "*.pcap")))
    equal("files", len(files), 5)
    for path in files:
        assert re.fullmatch(r"egress-\d{8}T\d{6}Z-\d{6}\.pcap", os.path.basename(path)), path
        assert os.path.getsize(path) <= 100000, path
    tshark(joined(folder), "-q", "-z", "io,stat,0")


@suite.case("mptapd: an egress that takes nothing costs whole connections, counted and told, and never the inspection")
def _():
    # Nobody takes from net_ring: it is full after 1024 frames.
    row = truth["small"]
    events, said = daemon(material.data("small.pcap"), 'port = "net_ring0"\nqueue_bytes = 1048576',
                          lambda: b"too slow" in material.read(os.path.join(work.name, "d.err")))
    record = next(e["mptcp"] for e in events if e["event_type"] == "mptcp" and e["mptcp"]["event"] == "end")
    for direction, key in (("toserver", "c2s"), ("toclient", "s2c")):
        equal(f"{direction} inspected", (record[direction]["bytes"], record[direction]["missing_bytes"]), (row[key + "_len"], 0))
    counters = [e for e in events if e["event_type"] == "stats"][-1]["stats"]
    flat = json.dumps(counters)
    cut = re.search(r'"egress_cut_total": (\d+)', flat)
    assert cut and int(cut[1]) == 1, flat
    assert "the egress is too slow" in said and any(e.get("engine", {}).get("event") == "egress_slow" for e in events), said[-500:]


if __name__ == "__main__":
    main(suite)
