#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/mptapd.service: its exposure, and that mptapd lives within what it allows. usage: service_test.py MPTAPD [-k REGEX]"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Suite, equal, main  # noqa: E402

MPTAPD = os.path.abspath(sys.argv[1])
UNIT = os.path.join(ROOT, "deploy", "mptapd.service")
DATA = os.path.join(ROOT, "tests", "capture", "data")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-service-")


def directives():
    """Name -> its values in their order; systemd's files repeat names."""
    found = {}
    with open(UNIT, encoding="utf-8") as f:
        for line in f:
            if found_line := re.match(r"(\w+)=(.*)", line):
                found.setdefault(found_line[1], []).append(found_line[2])
    return found


@suite.case("systemd-analyze security says 3.0 or better, with vfio usable")
def _():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", UNIT], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "SYSTEMD_COLORS": "0"})
    level = re.search(r"Overall exposure level for mptapd.service: ([\d.]+)", done.stdout)
    assert level and float(level[1]) <= 3.0, done.stdout[-300:] + done.stderr
    d = directives()
    assert "char-vfio rw" in d["DeviceAllow"] and "/dev/vfio/vfio rw" in d["DeviceAllow"], d["DeviceAllow"]
    equal("PrivateDevices would hide vfio", d.get("PrivateDevices"), None)
    equal("locked memory for DMA", d["LimitMEMLOCK"], ["infinity"])
    equal("user", d["User"], ["mptap"])
    equal("how it tells", (d["Type"], int(d["WatchdogSec"][0]) > 5), (["notify"], True))


def expanded(words):
    """The system calls of a SystemCallFilter's words."""
    calls = set()
    for word in words:
        if not word.startswith("@"):
            calls.add(word)
            continue
        done = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, timeout=60, check=True,
                              env={**os.environ, "SYSTEMD_COLORS": "0"})
        inside = [line.strip() for line in done.stdout.splitlines()[1:] if line.startswith("    ") and not line.strip().startswith("#")]
        calls |= expanded(inside)
    return calls


def allowed():
    calls = set()
    for value in directives()["SystemCallFilter"]:
        if value.startswith("~"):
            calls -= expanded(value[1:].split())
        else:
            calls |= expanded(value.split())
    return calls


@suite.case("a whole life of mptapd makes no system call that the unit's filter refuses")
def _():
    config, trace = os.path.join(work.name, "mptap.toml"), os.path.join(work.name, "trace")
    with open(config, "w", encoding="utf-8") as f:
        f.write(f"""ports = ["net_pcap0,rx_pcap={DATA}/evil.pcap", "net_af_packet1,iface=lo"]
[workers]
count = 2
[rules]
files = ["{DATA}/evil.rules"]
[events]
file = "{work.name}/eve.json"
[control]
address = "unix:{work.name}/control.sock"
group = ""
audit_log = "{work.name}/audit.log"
[metrics]
address = "127.0.0.1:9472"
""")
    err = os.path.join(work.name, "err")
    with open(err, "wb") as f:
        # A network of its own: nothing but its loopback.
        process = subprocess.Popen(["unshare", "--net", "sh", "-c", 'ip link set lo up; exec strace -f -qq -o "$0" "$@"', trace, MPTAPD, "-c", config],
                                   stdin=subprocess.DEVNULL, stdout=f, stderr=f)

    def mptapd():
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as f:
            return int(f.read().split()[0])

    def wait(condition, what):
        deadline = time.monotonic() + 120
        while not condition():
            with open(err, encoding="utf-8") as f:
                text = f.read()
            assert process.poll() is None, f"mptapd ended: {text[-600:]}"
            assert time.monotonic() < deadline, f"waited in vain for {what}: {text[-600:]}"
            time.sleep(0.1)

    def said(what):
        with open(err, encoding="utf-8") as f:
            return what in f.read()
    try:
        wait(lambda: said("started:"), "the start")
        subprocess.run(["nsenter", "--net", "-t", str(mptapd()), sys.executable, "-c", "import urllib.request\n"
                        "urllib.request.urlopen('http://127.0.0.1:9472/metrics', timeout=30).read()"], check=True, timeout=60)
        os.kill(mptapd(), signal.SIGHUP)
        wait(lambda: said("reloaded: 1 rules"), "the reload")
        os.kill(mptapd(), signal.SIGTERM)
        equal("exit code", process.wait(120), 0)
    finally:
        if process.poll() is None:
            process.kill()
    used = set()
    with open(trace, encoding="utf-8", errors="replace") as f:
        for line in f:
            if found := re.match(r"\d+ +(\w+)\(", line):
                used.add(found[1])
    assert len(used) > 40 and {"capset", "mmap", "bind"} <= used, used
    # DPDK asks for iopl for the sake of old virtio devices, and goes without.
    equal("system calls beyond the filter", sorted(used - allowed() - {"iopl"}), [])


@suite.case("as the unit starts it: not root, three capabilities, none when it is ready; watchdog fed; SIGHUP; SIGTERM")
def _():
    assert os.geteuid() == 0, "needs root, to become another user"
    os.chmod(work.name, 0o755)
    own = os.path.join(work.name, "run")
    os.makedirs(own, exist_ok=True)
    os.chown(own, 65534, 65534)
    config = os.path.join(work.name, "user.toml")
    with open(config, "w", encoding="utf-8") as f:
        f.write(f"""ports = ["net_pcap0,rx_pcap={DATA}/evil.pcap", "net_af_packet1,iface=lo"]
[rules]
files = ["{DATA}/evil.rules"]
[events]
file = "{own}/eve.json"
[control]
address = "unix:{own}/control.sock"
group = ""
audit_log = "{own}/audit.log"
[metrics]
address = ""
""")
    path = os.path.join(work.name, "notify")
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(path)
    os.chmod(path, 0o777)
    heard.settimeout(60)
    capabilities = directives()["AmbientCapabilities"][0].split()
    equal("bounding set", directives()["CapabilityBoundingSet"][0].split(), capabilities)
    plus = ",".join("+" + c.removeprefix("CAP_").lower() for c in capabilities)
    err = os.path.join(work.name, "user.err")
    with open(err, "wb") as f:
        process = subprocess.Popen(["unshare", "--net", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
                                    f"--bounding-set=-all,{plus}", f"--inh-caps=-all,{plus}", f"--ambient-caps=-all,{plus}",
                                    MPTAPD, "-c", config],
                                   env={**os.environ, "NOTIFY_SOCKET": path, "XDG_RUNTIME_DIR": own, "WATCHDOG_USEC": "20000000"},
                                   stdin=subprocess.DEVNULL, stdout=f, stderr=f)
    try:
        def wait_for(what):
            deadline = time.monotonic() + 60
            while True:
                assert time.monotonic() < deadline, f"no {what} in a minute"
                try:
                    message = heard.recv(4096).decode()
                except TimeoutError:
                    with open(err, encoding="utf-8") as f:
                        raise AssertionError(f"no {what}: {f.read()[-800:]}") from None
                if what in message:
                    return message
        assert "STATUS=2 ports" in wait_for("READY=1")
        with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
            status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
        equal("user", status["Uid"].split(), ["65534"] * 4)
        equal("no new privileges", status["NoNewPrivs"], "1")
        for thread in os.listdir(f"/proc/{process.pid}/task"):
            with open(f"/proc/{process.pid}/task/{thread}/status", encoding="ascii") as f:
                effective = re.search(r"CapEff:\t(\w+)", f.read())[1]
            equal(f"capabilities of thread {thread}", int(effective, 16), 0)
        for _ in range(3):
            wait_for("WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        wait_for("STOPPING=1")
        equal("exit code", process.wait(60), 0)
    finally:
        if process.poll() is None:
            process.kill()
    with open(os.path.join(own, "eve.json"), encoding="utf-8") as f:
        assert any(json.loads(line)["event_type"] == "alert" for line in f), "no alert"


@suite.case("logrotate and its signal: the daemon goes on in a new file")
def _():
    own = os.path.join(work.name, "logs")
    os.makedirs(own, exist_ok=True)
    config = os.path.join(work.name, "log.toml")
    with open(config, "w", encoding="utf-8") as f:
        f.write(f'ports = ["net_pcap0,rx_pcap={DATA}/evil.pcap"]\n[rules]\nfiles = ["{DATA}/evil.rules"]\n[events]\nfile = "{own}/eve.json"\n'
                '[control]\naddress = ""\n[metrics]\naddress = ""\n')
    err = os.path.join(work.name, "log.err")
    with open(err, "wb") as f:
        process = subprocess.Popen([MPTAPD, "-c", config], stdin=subprocess.DEVNULL, stdout=f, stderr=f)
    try:
        def wait(condition, what):
            deadline = time.monotonic() + 60
            while not condition():
                assert process.poll() is None and time.monotonic() < deadline, what
                time.sleep(0.05)

        def size(name):
            path = os.path.join(own, name)
            return os.path.getsize(path) if os.path.exists(path) else 0
        wait(lambda: size("eve.json") > 0, "the first events")
        with open(os.path.join(ROOT, "deploy", "mptap.logrotate"), encoding="utf-8") as f:
            text = f.read()
        assert "/var/log/mptap/*.json" in text and text.count("systemctl kill --signal=HUP --kill-whom=main mptapd.service") == 2
        # The same rules for these files; the signal goes to this process instead of to a unit, the owner is who runs the test.
        text = text.replace("/var/log/mptap", own).replace("su mptap mptap", f"su {os.geteuid()} {os.getegid()}".replace("0 0", "root root"))
        text = text.replace("mptap mptap\n\tpostrotate", "root root\n\tpostrotate").replace(
            "systemctl kill --signal=HUP --kill-whom=main mptapd.service 2>/dev/null", f"kill -HUP {process.pid}")
        path = os.path.join(work.name, "logrotate.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        os.chmod(path, 0o644)
        os.chmod(own, 0o750)
        done = subprocess.run(["logrotate", "--force", "--state", os.path.join(work.name, "state"), path], capture_output=True, text=True, timeout=60)
        equal("logrotate", (done.returncode, done.stderr), (0, ""))
        wait(lambda: size("eve.json.1") > 0 and size("eve.json") > 0, "events in the new file")
        process.send_signal(signal.SIGTERM)
        equal("exit code", process.wait(60), 0)
    finally:
        if process.poll() is None:
            process.kill()
    lines = []
    for name in ("eve.json.1", "eve.json"):
        with open(os.path.join(own, name), encoding="utf-8") as f:
            lines += [json.loads(line) for line in f]
    equal("alerts in both", sum(e["event_type"] == "alert" for e in lines), 1)
    equal("begun and ended", [e["engine"]["event"] for e in lines if e["event_type"] == "engine"], ["started", "reloaded", "stopped"])


if __name__ == "__main__":
    main(suite)
