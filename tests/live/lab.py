#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A network on one machine: client and server in network namespaces, and between them the tap with one bridge.

      client                      tap                      server
    10.77.1.1 a1 ──────── a1m ┐        ┌ b1m ──────── b1 10.77.1.2
                              ├─ br0 ──┤                              one /24 and one fd77:N::/64 for each path
    10.77.2.1 a2 ──────── a2m ┘        └ b2m ──────── b2 10.77.2.2

    with Lab(paths=2) as lab:
        lab.run("client", ["ping", "-c1", "10.77.1.2"])

Every path crosses br0, so a port on br0 sees all of them once. Offloads are off: br0 carries what a wire would.
The namespaces are called mptap-PID-client, -tap, -server. They go when the block ends; when the process dies in any other way a
watchdog removes them; and each new Lab removes what processes that are gone left behind.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

PORT = 5001
HOSTS = ("client", "tap", "server")
NAME = re.compile(r"^mptap-(\d+)-(?:client|tap|server)$")
# The number is looked up so that a test can ask for a protocol that no kernel has.
IPPROTO_MPTCP = int(os.environ.get("MPTAP_LAB_PROTOCOL", "262"))


class LabError(Exception):
    """What of the network could not be made, and why."""


def why_not():
    """Why this machine cannot run the lab; empty when it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
    except OSError:
        return f"this kernel ({os.uname().release}) has no Multipath TCP (CONFIG_MPTCP, Linux 5.6 or later)"
    try:
        probe = f"mptap-{os.getpid()}-tap"
        ip("netns", "add", probe)
        ip("netns", "del", probe)
    except LabError as error:
        return str(error)
    return ""


def ip(*argv):
    done = subprocess.run(["ip", *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise LabError(f"ip {' '.join(argv)}: {done.stderr.strip()}")
    return done.stdout


def namespaces():
    return [line.split()[0] for line in ip("netns", "list").splitlines() if line]


def remove(pid):
    """Ends what runs in the namespaces of that process and removes them."""
    for name in namespaces():
        found = NAME.match(name)
        if not found or int(found[1]) != pid:
            continue
        for sig in (signal.SIGTERM, signal.SIGKILL):
            left = [int(p) for p in ip("netns", "pids", name).split()]
            for process in left:
                try:
                    os.kill(process, sig)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + 3
            while left and time.monotonic() < deadline and ip("netns", "pids", name).split():
                time.sleep(0.02)
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


def sweep():
    """Removes what processes that are gone left behind."""
    for name in namespaces():
        found = NAME.match(name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            remove(int(found[1]))


def exit_on_signals():
    """SIGTERM and SIGHUP end the program as Ctrl-C does: with what it made taken away."""
    def leave(number, _):
        sys.exit(128 + number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


class Lab:
    def __init__(self, paths=2, rate=None):
        self.paths, self.rate = paths, rate
        self.pid = os.getpid()
        self.started = []
        self.watchdog = None

    def name(self, host):
        return f"mptap-{self.pid}-{host}"

    def __enter__(self):
        sweep()
        # It sees end-of-file when this process is gone, however it went.
        self.watchdog = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--watch", str(self.pid)], stdin=subprocess.PIPE,
                                         start_new_session=True)
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_):
        self.down()

    def up(self):
        for host in HOSTS:
            ip("netns", "add", self.name(host))
            ip("-n", self.name(host), "link", "set", "lo", "up")
        for host in ("client", "server"):
            self.sysctl(host, "net.mptcp.enabled=1", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2",
                        "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0", "net.ipv4.tcp_slow_start_after_idle=0",
                        "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
            self.mptcp(host, "limits", "set", "subflow", "8", "add_addr_accepted", "8")
        self.sysctl("tap", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        ip("-n", self.name("tap"), "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        for path in range(1, self.paths + 1):
            for host, letter, number in (("client", "a", 1), ("server", "b", 2)):
                end, middle = f"{letter}{path}", f"{letter}{path}m"
                ip("link", "add", end, "netns", self.name(host), "type", "veth", "peer", "name", middle, "netns", self.name("tap"))
                self.offloads_off(host, end)
                self.offloads_off("tap", middle)
                ip("-n", self.name("tap"), "link", "set", middle, "master", "br0", "up")
                ip("-n", self.name(host), "addr", "add", f"10.77.{path}.{number}/24", "dev", end)
                ip("-n", self.name(host), "addr", "add", f"fd77:{path}::{number}/64", "dev", end, "nodad")
                ip("-n", self.name(host), "link", "set", end, "up")
                if self.rate:
                    self.run(host, ["tc", "qdisc", "add", "dev", end, "root", "tbf", "rate", self.rate, "burst", "64k", "latency", "40ms"])
        ip("-n", self.name("tap"), "link", "set", "br0", "up")
        for path in range(1, self.paths + 1):
            self.wait(lambda path=path: self.reaches(f"10.77.{path}.2"), f"path {path} from client to server", 10)

    def down(self):
        # A second Ctrl-C must not stop half-way.
        old = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            for process in self.started:
                if process.poll() is None:
                    process.kill()
                process.wait()
            remove(self.pid)
        finally:
            self.watchdog.stdin.close()
            self.watchdog.wait()
            for number, handler in old.items():
                signal.signal(number, handler)

    def veth(self, end, other, host="tap"):
        """A pair of devices in one namespace: what goes into one comes out of the other."""
        ip("-n", self.name(host), "link", "add", end, "type", "veth", "peer", "name", other)
        for device in (end, other):
            self.offloads_off(host, device)
            ip("-n", self.name(host), "link", "set", device, "up")

    def offloads_off(self, host, device):
        self.run(host, ["ethtool", "-K", device, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"])

    def sysctl(self, host, *settings):
        self.run(host, ["sysctl", "-qw", *settings])

    def mptcp(self, host, *argv):
        """ip mptcp in that namespace: limits, endpoint."""
        ip("-n", self.name(host), "mptcp", *argv)

    def run(self, host, argv):
        """Runs to its end there; returns its standard output; LabError when it fails."""
        done = subprocess.run(["ip", "netns", "exec", self.name(host), *argv], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise LabError(f"{' '.join(argv)} ({host}): {done.stderr.strip()[-500:]}")
        return done.stdout

    def start(self, host, argv, **options):
        """A process there that the lab ends with itself. Not in the terminal's process group: the lab decides who ends first."""
        process = subprocess.Popen(["ip", "netns", "exec", self.name(host), *argv], stdin=subprocess.DEVNULL, start_new_session=True,
                                   **options)
        self.started.append(process)
        return process

    def converse(self, what, of_server=(), of_client=(), address="10.77.1.2"):
        """Runs both ends of traffic.py to their end; what the server and the client reported."""
        traffic = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "traffic.py"), *what]
        anywhere = "::" if ":" in address else "0.0.0.0"
        server = self.start("server", [*traffic, "server", anywhere, str(PORT), *map(str, of_server)], stdout=subprocess.PIPE)
        self.wait(lambda: self.listens("server", PORT), "the server")
        client = json.loads(self.run("client", [*traffic, "client", address, str(PORT), *map(str, of_client)]))
        out = server.communicate(timeout=60)[0]
        if server.returncode:
            raise LabError(f"the server ended with code {server.returncode}")
        return json.loads(out), client

    def reaches(self, address):
        try:
            self.run("client", ["python3", "-c", "import socket, sys\ntry: socket.create_connection((sys.argv[1], 9), 1)\n"
                                "except ConnectionRefusedError: pass", address])
            return True
        except LabError:
            return False

    def counter(self, host, name):
        """A counter of the namespace's kernel: Tcp's, TcpExt's or MPTcpExt's."""
        for file in ("/proc/net/snmp", "/proc/net/netstat"):
            lines = self.run(host, ["cat", file]).splitlines()
            for titles, values in zip(lines[::2], lines[1::2]):
                row = dict(zip(titles.split(), values.split()))
                if name in row:
                    return int(row[name])
        raise LabError(f"no counter {name} in {host}")

    def listens(self, host, port):
        """Whether a TCP or MPTCP socket listens there."""
        for file in ("/proc/net/tcp", "/proc/net/tcp6"):
            for row in self.run(host, ["cat", file]).splitlines()[1:]:
                if row.split()[1].endswith(f":{port:04X}") and row.split()[3] == "0A":
                    return True
        return False

    def packet_socket_on(self, device, host="tap", listeners=1):
        """Whether so many programs listen on that device."""
        index = int(self.run(host, ["cat", f"/sys/class/net/{device}/ifindex"]))
        rows = [line.split() for line in self.run(host, ["cat", "/proc/net/packet"]).splitlines()[1:]]
        return sum(int(row[4]) == index and row[5] == "1" for row in rows) >= listeners

    @staticmethod
    def wait(condition, what, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise LabError(f"waited {seconds} s in vain for {what}")
            time.sleep(0.05)


def join_on_path_2(net):
    """The client's connections begin on path 1; it joins on path 2 when the server signals its address there."""
    net.mptcp("client", "endpoint", "add", "10.77.1.1", "dev", "a1", "id", "1", "subflow")
    net.mptcp("client", "endpoint", "add", "10.77.2.1", "dev", "a2", "id", "2")
    net.mptcp("server", "endpoint", "add", "10.77.2.2", "dev", "b2", "id", "2", "signal")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--watch":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        sys.stdin.buffer.read()
        remove(int(sys.argv[2]))
        return 0
    if sys.argv[1:] == ["--sweep"]:
        sweep()
        return 0
    if sys.argv[1:] == ["--why-not"]:
        print(why_not())
        return 1 if why_not() else 0
    print("usage: lab.py --sweep | --why-not", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
