# SPDX-License-Identifier: Apache-2.0
"""Networks of any shape in network namespaces: for tests of mptap's active commands, which need hosts and routers rather than a tap.

    with Net() as net:
        net.host("client"); net.host("server", **{"net.mptcp.enabled": 0})
        net.link("client", "eth0", ["10.1.0.1/24"], "server", "eth0", ["10.1.0.2/24"])
        net.run("client", ["mptap", …])

The namespaces are called mptapnet-PID-NAME; they go when the block ends, and when the process dies in any other way."""
import json
import os
import signal
import subprocess
import sys
import time

import lab

PREFIX = "mptapnet"


def remove(pid):
    for name in lab.namespaces():
        if not name.startswith(f"{PREFIX}-{pid}-"):
            continue
        for sig in (signal.SIGTERM, signal.SIGKILL):
            for process in subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout.split():
                try:
                    os.kill(int(process), sig)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


class Net:
    def __enter__(self):
        self.pid, self.started = os.getpid(), []
        self.watchdog = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(self.pid)], stdin=subprocess.PIPE,
                                         start_new_session=True)
        return self

    def __exit__(self, *_):
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait()
        remove(self.pid)
        self.watchdog.stdin.close()
        self.watchdog.wait()

    def name(self, host):
        return f"{PREFIX}-{self.pid}-{host}"

    def host(self, name, **sysctls):
        lab.ip("netns", "add", self.name(name))
        lab.ip("-n", self.name(name), "link", "set", "lo", "up")
        settings = {"net.ipv6.conf.all.accept_dad": 0, "net.ipv6.conf.default.accept_dad": 0, "net.ipv4.conf.all.rp_filter": 0,
                    "net.ipv4.conf.default.rp_filter": 0, "net.mptcp.enabled": 1, **sysctls}
        self.run(name, ["sysctl", "-qw", *(f"{k}={v}" for k, v in settings.items())])

    def router(self, name):
        self.host(name, **{"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})

    def link(self, one, device, addresses, other, other_device, other_addresses):
        lab.ip("link", "add", device, "netns", self.name(one), "type", "veth", "peer", "name", other_device, "netns", self.name(other))
        for host, dev, own in ((one, device, addresses), (other, other_device, other_addresses)):
            self.run(host, ["ethtool", "-K", dev, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off"])
            for address in own:
                lab.ip("-n", self.name(host), "addr", "add", address, "dev", dev, *(["nodad"] if ":" in address else []))
            lab.ip("-n", self.name(host), "link", "set", dev, "up")

    def route(self, host, to, via):
        lab.ip("-n", self.name(host), "route", "add", to, "via", via)

    def mptcp(self, host, *argv):
        lab.ip("-n", self.name(host), "mptcp", *argv)

    def call(self, host, argv, timeout=120, text_in=None):
        """Runs to its end; the completed process, whatever its code."""
        return subprocess.run(["ip", "netns", "exec", self.name(host), *argv], capture_output=True, text=True, timeout=timeout,
                              **({"input": text_in} if text_in is not None else {"stdin": subprocess.DEVNULL}))

    def run(self, host, argv, **options):
        done = self.call(host, argv, **options)
        if done.returncode:
            raise lab.LabError(f"{' '.join(argv)} ({host}) ended with {done.returncode}: {done.stderr.strip()[-800:]}")
        return done.stdout

    def nft(self, host, rules):
        self.run(host, ["nft", "-f", "-"], text_in=rules + "\n")

    def start(self, host, argv, **options):
        process = subprocess.Popen(["ip", "netns", "exec", self.name(host), *argv], stdin=subprocess.DEVNULL, start_new_session=True,
                                   **options)
        self.started.append(process)
        return process

    def script(self, host, code, *argv, **options):
        """Python that runs there in the background; returns when it has printed "ready"."""
        process = self.start(host, [sys.executable, "-u", "-c", code, *map(str, argv)], stdout=subprocess.PIPE, text=True, **options)
        line = process.stdout.readline()
        if line != "ready\n":
            raise lab.LabError(f"the script in {host} said {line!r}")
        return process

    def server(self, host, *ports, address="::", mptcp=True, after_accept="echo"):
        """Listens; answers each byte with one, or says nothing."""
        return self.script(host, SERVER, address, 262 if mptcp else 6, after_accept, *ports)

    def counter(self, host, name):
        for file in ("/proc/net/snmp", "/proc/net/netstat"):
            lines = self.run(host, ["cat", file]).splitlines()
            for titles, values in zip(lines[::2], lines[1::2]):
                row = dict(zip(titles.split(), values.split()))
                if name in row:
                    return int(row[name])
        raise lab.LabError(f"no counter {name} in {host}")

    def nft_counter(self, host, table, name):
        rows = json.loads(self.run(host, ["nft", "-j", "list", "counter", *table.split(), name]))["nftables"]
        return next(row["counter"]["packets"] for row in rows if "counter" in row)

    wait = staticmethod(lab.Lab.wait)


SERVER = """
import socket, sys, threading
address, protocol, manner = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def talk(c):
    try:
        while data := c.recv(1000):
            if manner == 'echo': c.sendall(data)
    except OSError: pass
    c.close()
def serve(s):
    while True:
        c, _ = s.accept()
        threading.Thread(target=talk, args=(c,), daemon=True).start()
for port in map(int, sys.argv[4:]):
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_STREAM, protocol)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port)); s.listen(64)
    threading.Thread(target=serve, args=(s,), daemon=True).start()
print('ready', flush=True)
threading.Event().wait()
"""


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    remove(int(sys.argv[1]))
