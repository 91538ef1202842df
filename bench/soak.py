#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptapd under mixed traffic for a long time: captures play for ever on two ports while rules are reloaded (every tenth time
broken ones), the event file is rotated, and metrics are scraped where there are any. Fails where memory grows or a packet is not
accounted for; prints what it saw.

usage: soak.py MPTAPD [--seconds N]   30 minutes without it"""
import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.path.join(ROOT, "tests", "capture", "data")
GOOD = 'alert tcp any any -> any any (msg:"evil stuff"; content:"evil stuff"; sid:1;)\n'
BROKEN = 'alert tcp any any -> any any (msg:"broken"; content:"x; sid:1;)\n'


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mptapd")
    parser.add_argument("--seconds", type=int, default=1800)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mptap-soak-") as work:
        rules, events, log = (os.path.join(work, n) for n in ("soak.rules", "eve.json", "err"))
        with open(rules, "w", encoding="utf-8") as f:
            f.write(GOOD)
        ports = ", ".join(f'"net_pcap{i},rx_pcap={os.path.join(DATA, name)},infinite_rx=1"' for i, name in enumerate(("evil_split.pcap", "v6.pcap")))
        with open(os.path.join(work, "mptap.toml"), "w", encoding="utf-8") as f:
            f.write(f'ports = [{ports}]\n[workers]\ncount = 2\n[rules]\nfiles = ["{rules}"]\n[events]\nfile = "{events}"\n'
                    '[timeouts]\nidle_s = 10\nemergency_idle_s = 5\nclosed_s = 1\n[control]\naddress = ""\n[metrics]\naddress = "127.0.0.1:19472"\n')
        with open(log, "w+b") as err:
            process = subprocess.Popen([os.path.abspath(args.mptapd), "--config", f.name], stdout=subprocess.DEVNULL, stderr=err)
        try:
            memory, reloads, scrapes, written = [], 0, 0, 0
            end = time.monotonic() + args.seconds
            while time.monotonic() < end:
                time.sleep(1)
                if process.poll() is not None:
                    with open(log, encoding="utf-8") as f:
                        sys.exit(f"mptapd ended with {process.returncode}: {f.read()[-800:]}")
                memory.append(resident_kib(process.pid))
                if len(memory) % 5:
                    continue
                reloads += 1
                with open(rules, "w", encoding="utf-8") as f:
                    f.write(BROKEN if reloads % 10 == 0 else GOOD)
                if os.path.exists(events):
                    written += os.path.getsize(events)
                    os.rename(events, events + ".1")
                process.send_signal(signal.SIGHUP)
                try:
                    with urllib.request.urlopen("http://127.0.0.1:19472/metrics", timeout=5) as answer:
                        scrapes += len(answer.read()) > 0
                except OSError:
                    pass
            process.send_signal(signal.SIGTERM)
            code = process.wait(120)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        with open(log, encoding="utf-8") as f:
            text = f.read()
    third = max(1, len(memory) // 3)
    early, late = statistics.median(memory[third:2 * third] or memory), statistics.median(memory[-third:])
    lost = re.search(r"unaccounted (-?\d+)", text)
    received = re.search(r"packets received (\d+)", text)
    failed = text.count("reload failed, the old rules stay")
    print(f"{args.seconds} s, {received[1] if received else '?'} packets, {reloads} reloads ({failed} of broken rules refused), {scrapes} scrapes, "
          f"{written / 1e6:.1f} MB of events")
    print(f"resident: {early / 1024:.1f} MiB in the second third, {late / 1024:.1f} MiB in the last; unaccounted {lost[1] if lost else '?'}")
    wrong = []
    if code != 0:
        wrong.append(f"exit code {code}")
    if not lost or lost[1] != "0":
        wrong.append("packets are not accounted for")
    if late > early * 1.03 + 4096:
        wrong.append("memory grows")
    for line in wrong:
        print("FAIL", line)
    print(f"{0 if wrong else 1} passed, {1 if wrong else 0} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
