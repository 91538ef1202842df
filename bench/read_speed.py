#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast mptap reads a capture from end to end: median and spread of several runs, in Gbit/s of frames and million packets a second.

usage: read_speed.py [--file FILE] [--rules FILE] [--runs N] [--mptap PROGRAM] [--save] [-- OPTION-OF-MPTAP-READ...]

Without --file it reads build-bench/big.pcap and makes it first where it is not there (root, see make_big.sh). The file is read
once before, so that it comes from the page cache: what is measured is mptap, from its start to its end, loading rules included.
--save keeps the result in bench/results/."""
import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import struct
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def measure_file(path):
    """Packets and bytes of frames of a little-endian pcap; reading it also brings it into the page cache."""
    packets = size = 0
    with open(path, "rb") as f:
        if f.read(24)[:4] not in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
            sys.exit(f"{path}: wants a little-endian pcap file")
        data = memoryview(f.read())
    at = 0
    while at + 16 <= len(data):
        captured = struct.unpack_from("<I", data, at + 8)[0]
        packets += 1
        size += captured
        at += 16 + captured
    return packets, size


def cpu_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cpu():
    with open("/proc/cpuinfo", encoding="ascii") as f:
        return next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", default=os.path.join(ROOT, "build-bench", "big.pcap"))
    parser.add_argument("--rules", default=os.path.join(ROOT, "bench", "rules", "100.rules"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--mptap", default=os.path.join(ROOT, "build-release", "apps", "mptap", "mptap"))
    parser.add_argument("--save", action="store_true")
    parser.add_argument("options", nargs="*", help="more options of mptap read, after --")
    args = parser.parse_args()
    if not os.path.exists(args.file):
        subprocess.run([os.path.join(ROOT, "bench", "make_big.sh"), args.file], check=True, stdout=subprocess.DEVNULL)
    packets, size = measure_file(args.file)
    command = [args.mptap, "read", "--json", *(["--rules", args.rules] if args.rules else []), *args.options, args.file]
    seconds = []
    cpu_seconds = []
    record = None
    for _ in range(args.runs):
        used = cpu_time()
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
        cpu_seconds.append(cpu_time() - used)
        if done.returncode:
            sys.exit(f"mptap ended with code {done.returncode}: {done.stderr.decode()[-500:]}")
        record = next(e["mptcp"] for e in map(json.loads, done.stdout.splitlines()) if e["event_type"] == "mptcp")
    middle = statistics.median(seconds)
    gbits = [size * 8 / s / 1e9 for s in seconds]
    print(f"{packets} packets, {size} bytes of frames, {record['toserver']['bytes']} bytes of stream to the server")
    print(f"{statistics.median(gbits):.2f} Gbit/s of frames (median of {args.runs}; {min(gbits):.2f} to {max(gbits):.2f}), "
          f"{packets / middle / 1e6:.2f} Mpps, {middle:.3f} s")
    print(f"{statistics.median(cpu_seconds):.3f} s of CPU time, user and system, all threads: "
          f"{size * 8 / statistics.median(cpu_seconds) / 1e9:.2f} Gbit for each of them")
    if args.save:
        commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
        now = datetime.datetime.now(datetime.timezone.utc)
        result = {"what": "mptap read, end to end, one worker", "commit": commit, "time": now.isoformat(timespec="seconds"), "cpu": cpu(),
                  "kernel": platform.release(), "rules": os.path.relpath(args.rules, ROOT) if args.rules else None, "options": args.options,
                  "packets": packets, "frame_bytes": size, "stream_bytes_toserver": record["toserver"]["bytes"], "seconds": seconds, "cpu_seconds": cpu_seconds,
                  "gbit_per_s": gbits, "median_gbit_per_s": statistics.median(gbits)}
        folder = os.path.join(ROOT, "bench", "results")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"read_speed-{now:%Y%m%d-%H%M%S}.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(result, f, indent=1)
            f.write("\n")
        print(os.path.relpath(path, ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
