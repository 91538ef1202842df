#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The lab takes away what it makes, and the quick start does as it says. usage: lab_test.py [-k REGEX]"""
import os
import signal
import subprocess
import sys
import time

import lab

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
QUICKSTART = os.path.join(ROOT, "deploy", "quickstart.sh")
EVIL = os.path.join(ROOT, "tests", "capture", "data", "evil.pcap")
suite = Suite()


def needs_lab():
    why = lab.why_not()
    if why:
        raise Skip(why)


def labs():
    return [n for n in lab.namespaces() if lab.NAME.match(n)]


def of_process(pid):
    return [n for n in lab.namespaces() if n.startswith(f"mptap-{pid}-")]


def holder():
    """A process with a lab in which something runs."""
    code = ("import sys, time; sys.path.insert(0, sys.argv[1]); import lab\nlab.exit_on_signals()\n"
            "with lab.Lab(2) as net:\n net.start('tap', ['sleep', '1000'])\n print('up', flush=True)\n time.sleep(1000)")
    process = subprocess.Popen([sys.executable, "-c", code, HERE], stdout=subprocess.PIPE, text=True)
    equal("the lab", process.stdout.readline(), "up\n")
    equal("namespaces", len(of_process(process.pid)), 3)
    return process


def gone(pid):
    lab.Lab.wait(lambda: not of_process(pid), f"the namespaces of {pid} to go", 15)


for _name, _signal in (("Ctrl-C", signal.SIGINT), ("SIGTERM", signal.SIGTERM), ("SIGHUP", signal.SIGHUP), ("SIGKILL", signal.SIGKILL)):
    @suite.case(f"a lab is gone after {_name}")
    def _(number=_signal):
        needs_lab()
        process = holder()
        process.send_signal(number)
        process.wait(20)
        gone(process.pid)


@suite.case("a lab is gone after an error inside")
def _():
    needs_lab()
    try:
        with lab.Lab(2) as net:
            net.run("client", ["false"])
    except lab.LabError:
        pass
    equal("namespaces", of_process(os.getpid()), [])


@suite.case("a lab removes what a dead process left")
def _():
    needs_lab()
    dead = subprocess.Popen(["true"])
    dead.wait()
    lab.ip("netns", "add", f"mptap-{dead.pid}-tap")
    lab.sweep()
    equal("namespaces", of_process(dead.pid), [])


def quickstart(*argv, **env):
    return subprocess.run([QUICKSTART, *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600, env={**os.environ, **env})


@suite.case("quickstart.sh shows the connection, its two subflows and the alert, and leaves nothing behind")
def _():
    needs_lab()
    before = labs()
    done = quickstart()
    equal("exit code", done.returncode, 0)
    for word in ("Hevil stuff", "10.77.1.1", "10.77.2.1", "evil stuff, whatever paths it took",
                 "tcpflow on the tap, br0        not found", "tcpflow on the egress, eg1     FOUND"):
        assert word in done.stdout, f"{word!r} is not in\n{done.stdout}\n{done.stderr}"
    equal("namespaces", labs(), before)


@suite.case("quickstart.sh leaves nothing behind after Ctrl-C")
def _():
    needs_lab()
    before = labs()
    process = subprocess.Popen([QUICKSTART], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
                               start_new_session=True)
    for line in process.stdout:
        if line.startswith("client: sends"):
            break
    # What a terminal does: the signal goes to the whole group.
    os.killpg(process.pid, signal.SIGINT)
    process.stdout.read()
    equal("exit code", process.wait(30), 128 + signal.SIGINT)
    deadline = time.monotonic() + 10
    while labs() != before and time.monotonic() < deadline:
        time.sleep(0.1)
    equal("namespaces", labs(), before)
    left = subprocess.run(["pgrep", "-fa", "net_af_packet0,iface=br0 --rules .*quickstart.rules"], capture_output=True, text=True).stdout
    equal("processes", left, "")


@suite.case("quickstart.sh --capture runs on that file; a file that is missing is an error")
def _():
    done = quickstart("--capture", EVIL)
    equal("exit code", done.returncode, 0)
    assert "evil stuff, whatever paths it took" in done.stdout, done.stdout + done.stderr
    done = quickstart("--capture", "/nowhere.pcap")
    equal("exit code", done.returncode, 2)
    assert "cannot read /nowhere.pcap" in done.stderr, done.stderr
    equal("exit code of a wrong option", quickstart("--frobnicate").returncode, 2)


@suite.case("quickstart.sh on a kernel without MPTCP says so and uses the capture that comes with the project")
def _():
    if os.geteuid() != 0:
        raise Skip("needs root")
    done = quickstart(MPTAP_LAB_PROTOCOL="263")
    equal("exit code", done.returncode, 0)
    assert "has no Multipath TCP" in done.stdout and "evil stuff, whatever paths it took" in done.stdout, done.stdout + done.stderr


if __name__ == "__main__":
    lab.exit_on_signals()
    main(suite)
