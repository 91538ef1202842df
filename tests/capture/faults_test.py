#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What happens to mptapd when something around it breaks: it goes on, nothing is lost silently, and it says so.
usage: faults_test.py MPTAPD [-k REGEX]"""
import ctypes
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

MPTAPD = os.path.abspath(sys.argv[1])
DATA = os.path.join(ROOT, "tests", "capture", "data")
EVIL = os.path.join(DATA, "evil.rules")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-faults-")


def path(*names):
    return os.path.join(work.name, *names)


def write(name, text):
    with open(path(name), "w", encoding="utf-8") as f:
        f.write(text)
    return path(name)


def config(events, capture=os.path.join(DATA, "evil.pcap"), rules=EVIL, again=False, more=""):
    """again: the port plays the capture for ever."""
    return write("mptap.toml", f"""
ports = ["net_pcap0,rx_pcap={capture}{',infinite_rx=1' if again else ''}"]
[workers]
count = 2
watchdog_ms = 300
[rules]
files = ["{rules}"]
[events]
{events}
[control]
address = ""
[metrics]
address = ""
{more}""")


class Daemon:
    def __init__(self, configuration):
        self.out, self.err = open(path("out"), "w+b"), open(path("err"), "w+b")
        self.process = subprocess.Popen([MPTAPD, "--config", configuration], stdout=self.out, stderr=self.err, stdin=subprocess.DEVNULL)

    def text(self, which="err"):
        with open(path(which), encoding="utf-8") as f:
            return f.read()

    def wait_for(self, what, seconds=90, which="err"):
        deadline = time.monotonic() + seconds
        while not re.search(what, self.text(which)):
            assert self.process.poll() is None, f"mptapd ended: {self.text()[-600:]}"
            assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what!r}: {self.text()[-600:]}"
            time.sleep(0.05)

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def end(self):
        """SIGTERM; every packet must be accounted for."""
        self.process.send_signal(signal.SIGTERM)
        equal("exit code", self.process.wait(90), 0)
        found = re.search(r"unaccounted (-?\d+)", self.text())
        assert found, f"no balance: {self.text()[-600:]}"
        equal("unaccounted packets", int(found[1]), 0)


def events_of(file):
    with open(file, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def wait_until(what, condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)


@suite.case("the event file's disk is full: inspection goes on, the loss is reported")
def _():
    daemon = Daemon(config('file = "/dev/full"'))
    daemon.wait_for("started:")
    daemon.wait_for("No space left on device")
    daemon.end()


@suite.case("the log directory goes: said at the reload, and events go on once it is back")
def _():
    os.mkdir(path("log"))
    daemon = Daemon(config(f'file = "{path("log", "eve.json")}"\nstats_s = 1'))
    daemon.wait_for("started:")
    shutil.rmtree(path("log"))
    daemon.hang_up()
    daemon.wait_for("No such file or directory")
    os.mkdir(path("log"))
    daemon.hang_up()
    wait_until("the file is written again", lambda: os.path.exists(path("log", "eve.json")) and os.path.getsize(path("log", "eve.json")) > 0)
    daemon.end()
    assert events_of(path("log", "eve.json")), "no event after the directory came back"


@suite.case("a rule file that is broken at the reload: the old rules stay and find")
def _():
    rules = shutil.copy(EVIL, path("local.rules"))
    daemon = Daemon(config("stdout = true", rules=rules, again=True))
    daemon.wait_for("started:")
    daemon.wait_for('"event_type":"alert"', which="out")
    write("local.rules", 'alert tcp any any -> any any (msg:"broken"; content:"x; sid:1;)\n')
    daemon.hang_up()
    daemon.wait_for("reload failed, the old rules stay")
    daemon.end()


@suite.case("a worker's thread stands still: reported, and that it runs again as well")
def _():
    daemon = Daemon(config("stdout = true", again=True))
    daemon.wait_for("started:")
    time.sleep(1)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    tasks = f"/proc/{daemon.process.pid}/task"
    workers = []
    for task in os.listdir(tasks):
        with open(f"{tasks}/{task}/stat", encoding="utf-8") as f:
            ticks = int(f.read().rsplit(")", 1)[1].split()[11])
        workers.append((ticks, int(task)))
    # Workers poll: theirs are the threads that used the most time.
    worker = max(workers)[1]
    # A signal would stop the whole process; a tracer stops one thread.
    if libc.ptrace(16, worker, None, None) != 0:
        raise Skip(f"no thread can be stopped here: {os.strerror(ctypes.get_errno())}")
    os.waitpid(worker, 0x40000000)
    daemon.wait_for("has stood still for")
    libc.ptrace(17, worker, None, None)
    daemon.wait_for("worker [01] goes on")
    daemon.end()


@suite.case("kill -9: the next one starts at once with the same files")
def _():
    configuration = config(f'file = "{path("eve.json")}"', again=True)
    daemon = Daemon(configuration)
    daemon.wait_for("started:")
    wait_until("the first one writes", lambda: os.path.exists(path("eve.json")) and os.path.getsize(path("eve.json")) > 0)
    daemon.process.kill()
    daemon.process.wait()
    before = os.path.getsize(path("eve.json"))
    daemon = Daemon(configuration)
    daemon.wait_for("started:")
    wait_until("the second one appends", lambda: os.path.getsize(path("eve.json")) > before)
    daemon.end()


@suite.case("the clock jumps, ahead by a day and back by a year: every packet is still accounted for")
def _():
    with open(os.path.join(DATA, "small.pcap"), "rb") as f:
        data = bytearray(f.read())
    swap = ">" if data[:4] in (b"\xa1\xb2\xc3\xd4", b"\xa1\xb2\x3c\x4d") else "<"
    at, n = 24, 0
    while at + 16 <= len(data):
        seconds, _fraction, size = struct.unpack_from(swap + "III", data, at)
        jump = 86400 if 300 <= n < 600 else -31_536_000 if 600 <= n < 900 else 0
        struct.pack_into(swap + "I", data, at, seconds + jump)
        at, n = at + 16 + size, n + 1
    with open(path("jumps.pcap"), "wb") as f:
        f.write(data)
    daemon = Daemon(config("stdout = true", capture=path("jumps.pcap")))
    daemon.wait_for("started:")
    time.sleep(1)
    daemon.end()


if __name__ == "__main__":
    sys.exit(main(suite))
