#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptap, tshark, tcpflow and tcpdump on one capture of connections whose bytes and whose pattern are split over three subflows.

usage: compare.py [--connections N] [--bytes N] [--save]      bench/compare.sh builds what it needs and calls it

Each tool does what it can of the same job: show the connections, give their bytes, find the pattern. Packets per second are those of
that one run from start to end, peak memory is what the kernel says of the process. "Exact" are streams whose SHA-256 is that of what
the client's application sent. --save keeps the table in bench/results/."""
import argparse
import datetime
import glob
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build-release")
PATTERN = b"evil stuff, half here and half there"


def packets_of(path):
    with open(path, "rb") as f:
        data = f.read()
    at, count, endpoints = 24, 0, []
    while at + 16 <= len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        count += 1
        # SYN without ACK, Ethernet and IPv4 without options: one for each TCP flow
        if data[at + 16 + 47] & 0x12 == 0x02:
            endpoints.append(struct.unpack_from(">H", data, at + 16 + 34)[0])
        at += 16 + size
    return count, endpoints


def run(command, output):
    """Seconds, peak memory in MiB, exit code."""
    began = time.monotonic()
    with open(output, "wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{command[0]} ended with code {process.returncode}")
    return time.monotonic() - began, usage.ru_maxrss / 1024


def mptap(capture, work, _flows):
    rules = os.path.join(work, "rules")
    with open(rules, "w", encoding="ascii") as f:
        f.write(f'alert tcp any any -> any any (msg:"split"; content:"{PATTERN.decode()}"; sid:1;)\n')
    out = os.path.join(work, "mptap")
    seconds, memory = run([os.path.join(BUILD, "apps/mptap/mptap"), "read", "--json", "--sha256", "--rules", rules, capture], out)
    connections, alerts, shas = 0, 0, []
    with open(out, encoding="utf-8") as f:
        for line in f:
            event = json.loads(line)
            if event["event_type"] == "alert":
                alerts += event["mptcp"]["cross_subflow"]
            elif event["event_type"] == "mptcp":
                connections += 1
                shas.append(event["mptcp"]["toserver"]["sha256"])
    return seconds, memory, connections, shas, alerts


def tshark(capture, work, flows):
    out = os.path.join(work, "tshark")
    command = ["tshark", "-n", "-r", capture, "-o", "mptcp.analyze_mptcp:TRUE", "-T", "fields", "-e", "mptcp.stream", "-z", "conv,tcp"]
    for number in range(flows):
        command += ["-z", f"follow,tcp,raw,{number}"]
    seconds, memory = run(command, out)
    streams, found, shas = set(), 0, []
    current = None
    with open(out, "rb") as f:
        for raw in f:
            line = raw.rstrip(b"\n")
            if line.startswith(b"Follow: tcp,raw"):
                current = bytearray()
            elif line.startswith(b"=====") and current is not None and current:
                shas.append(hashlib.sha256(current).hexdigest())
                found += PATTERN in current
                current = None
            elif current is not None and re.fullmatch(rb"[0-9a-f]+", line):
                # lines of the other direction begin with a tab
                current += bytes.fromhex(line.decode())
            elif current is None and line.isdigit():
                streams.add(line)
    return seconds, memory, len(streams), shas, found


def tcpflow(capture, work, _flows):
    directory = os.path.join(work, "tcpflow")
    seconds, memory = run(["tcpflow", "-q", "-r", capture, "-o", directory], os.devnull)
    shas, found = [], 0
    for path in glob.glob(os.path.join(directory, "*")):
        if path.endswith("report.xml"):
            continue
        with open(path, "rb") as f:
            data = f.read()
        shas.append(hashlib.sha256(data).hexdigest())
        found += PATTERN in data
    return seconds, memory, None, shas, found


def tcpdump(capture, work, _flows):
    out = os.path.join(work, "tcpdump")
    seconds, memory = run(["tcpdump", "-nn", "-A", "-r", capture], out)
    with open(out, "rb") as f:
        text = f.read()
    connections = len(re.findall(rb"Flags \[S\],.*mptcp .*capable", text))
    return seconds, memory, connections, [], text.count(PATTERN)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=40)
    parser.add_argument("--bytes", type=int, default=1_000_000, help="of each connection")
    parser.add_argument("--save", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mptap-compare-") as work:
        capture = os.path.join(work, "split.pcap")
        made = subprocess.run([os.path.join(BUILD, "bench/split_capture"), capture, str(args.connections), str(args.bytes)],
                              check=True, capture_output=True, text=True)
        wanted = {line.split()[1] for line in made.stdout.splitlines()}
        packets, flows = packets_of(capture)
        lines = [f"{packets} packets, {os.path.getsize(capture) >> 20} MiB, {args.connections} connections of {len(flows)} subflows, "
                 f"{args.bytes} bytes each, the pattern once in each stream, split over two subflows", "",
                 f"{'':10} {'packets/s':>10} {'peak MiB':>9} {'connections':>12} {'streams exact':>14} {'pattern found':>14}"]
        for tool in (mptap, tshark, tcpflow, tcpdump):
            seconds, memory, connections, shas, found = tool(capture, work, len(flows))
            exact = len(wanted & set(shas))
            lines.append(f"{tool.__name__:10} {packets / seconds:>10,.0f} {memory:>9.0f} {'-' if connections is None else connections:>12} "
                         f"{exact:>14} {found:>14}")
        lines += ["", "tcpflow knows TCP flows only; tcpdump prints packets and gives no streams; tshark follows one TCP flow at a time."]
        text = "\n".join(lines)
        print(text)
        if args.save:
            name = os.path.join(ROOT, "bench", "results", f"compare-{datetime.date.today():%Y-%m-%d}.txt")
            os.makedirs(os.path.dirname(name), exist_ok=True)
            with open(name, "w", encoding="utf-8") as f:
                f.write(text + "\n")
            print("kept in", os.path.relpath(name, ROOT))


if __name__ == "__main__":
    main()
