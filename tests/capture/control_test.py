#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The operator's command against a running mptapd whose port plays a capture. usage: control_test.py MPTAPD MPTAP [-k REGEX]"""
import json
import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Suite, equal, main  # noqa: E402

MPTAPD, MPTAP = (os.path.abspath(path) for path in sys.argv[1:3])
DATA = os.path.join(ROOT, "tests", "capture", "data")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-control-")
SOCKET = os.path.join(work.name, "run", "control.sock")
RULE = 'alert tcp any any -> any any (msg:"made here"; content:"%s"; sid:%d;)'


def path(name):
    return os.path.join(work.name, name)


class Daemon:
    """mptapd on captures, a port for each, with two workers, its socket in a folder of the test."""

    def __init__(self, *captures, rules=os.path.join(DATA, "evil.rules"), roles="", address=f"unix:{SOCKET}"):
        with open(path("mptap.toml"), "w", encoding="utf-8") as f:
            f.write(f"""
ports = {json.dumps([f"net_pcap{i},rx_pcap={os.path.join(DATA, name)}" for i, name in enumerate(captures or ["small.pcap"])])}
[workers]
count = 2
[handoff]
packets = 65536
segments = 65536
[timeouts]
closed_s = 3600
[rules]
files = ["{rules}"]
managed = "{path('managed.rules')}"
[events]
file = "{path('eve.json')}"
[metrics]
address = ""
[control]
address = "{address}"
group = ""
audit_log = "{path('audit/audit.log')}"
[control.roles]
{roles}
""")
        self.err = open(path("err"), "w+b")
        self.process = subprocess.Popen([MPTAPD, "--config", path("mptap.toml")], stdout=subprocess.DEVNULL, stderr=self.err,
                                        stdin=subprocess.DEVNULL)

    def text(self):
        with open(path("err"), encoding="utf-8") as f:
            return f.read()

    def wait(self):
        deadline = time.monotonic() + 60
        while "started:" not in self.text():
            assert self.process.poll() is None, f"mptapd ended: {self.text()[-600:]}"
            assert time.monotonic() < deadline, "mptapd did not start"
            time.sleep(0.05)
        return self

    def __enter__(self):
        try:
            self.wait()
            # The whole capture has gone through when no more packets come.
            before, now, deadline = -1, 0, time.monotonic() + 60
            while before != now or now == 0:
                assert time.monotonic() < deadline, f"the capture did not go through, {now} frames so far"
                time.sleep(1)
                before, now = now, sum(int(w["frames"]) for w in json.loads(mptap("system", "--json").stdout)["workers"])
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            equal("exit code", self.process.wait(60), 0)


def mptap(*words, code=0, server=f"unix:{SOCKET}", **more):
    done = subprocess.run([MPTAP, *words], env={**os.environ, "MPTAP_SERVER": server}, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=120, **more)
    assert done.returncode == code, f"mptap {' '.join(words)}: exit code {done.returncode}, wanted {code}: {done.stdout}{done.stderr}"
    return done


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def connections(*words):
    return lines(mptap("connections", "--json", *words).stdout)


@suite.case("connections: all, filtered, ordered, limited; show; what is wrong is said")
def _():
    with Daemon("small.pcap", "v6.pcap", "evil.pcap"):
        every = connections()
        assert len(every) > 1, every
        equal("names", len({c["name"] for c in every}), len(every))
        equal("without an order", sorted(c["name"] for c in connections("--order-by", "")), sorted(c["name"] for c in every))
        assert {c["worker"] if "worker" in c else 0 for c in every} <= {0, 1}
        packets = [int(c["packets"]) for c in connections("--order-by", "packets desc")]
        equal("order", packets, sorted(packets, reverse=True))
        most = packets[0]
        equal("limit", [int(c["packets"]) for c in connections("--order-by", "packets desc", "--limit", "1")], [most])
        chosen = connections("--filter", f"packets = {most}")
        equal("filter", [int(c["packets"]) for c in chosen], [p for p in packets if p == most])
        client = chosen[0]["client"]
        found = connections("--filter", f"client.address = {client['address']} AND client.port = {client['port']}")
        assert chosen[0]["name"] in [c["name"] for c in found]
        equal("nothing", connections("--filter", "NOT packets >= 0"), [])
        number = chosen[0]["name"].split("/")[1]
        assert f"connection {number}" in mptap("show", number).stdout
        equal("show", lines(mptap("show", "--json", number).stdout)[0]["name"], chosen[0]["name"])
        assert number in mptap("connections").stdout
        assert "column 9" in mptap("connections", "--filter", "packets 7", code=2).stderr
        assert "no connection 0000000000000000" in mptap("show", "0" * 16, code=3).stderr
        assert "16 hexadecimal digits" in mptap("show", "zz", code=2).stderr
        watched = lines(mptap("watch", "--json", "--count", "2", "--interval", "0.2").stdout)
        equal("looks", len(watched), 2)
        equal("total", int(watched[1]["total_size"]), len(every))


@suite.case("kill without a port to inject is refused, and told in the audit log")
def _():
    with Daemon():
        number = connections()[0]["name"].split("/")[1]
        refused = mptap("kill", "--yes", number, code=3).stderr
        assert "NO_INJECT_PORT" in refused or "CLOSED" in refused, refused
        assert "CONNECTION_NOT_FOUND" in mptap("kill", "--yes", "0" * 16, code=3).stderr
        with open(path("audit/audit.log"), encoding="utf-8") as f:
            told = lines(f.read())[-2:]
        equal("methods", {t["method"] for t in told}, {"/mptap.v1.ConnectionService/KillConnection"})
        equal("request", told[0]["request"]["name"], f"connections/{number}")
        assert told[0]["who"].startswith(f"uid:{os.getuid()}"), told[0]
        equal("result", told[1]["result"], "NOT_FOUND")
        equal("mode", stat.S_IMODE(os.stat(path("audit/audit.log")).st_mode), 0o600)


@suite.case("a question on a terminal, and no deed after no")
def _():
    with Daemon():
        number = connections()[0]["name"].split("/")[1]
        master, slave = pty.openpty()
        process = subprocess.Popen([MPTAP, "kill", "--server", f"unix:{SOCKET}", number], stdin=slave, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        os.write(master, b"n\n")
        _out, err = process.communicate(timeout=60)
        os.close(master)
        os.close(slave)
        assert "kill it? [y/N]" in err and "not done" in err, err
        equal("exit code", process.returncode, 1)


@suite.case("rules are made, searched for, changed and deleted; a restart keeps them")
def _():
    if os.path.exists(path("managed.rules")):
        os.unlink(path("managed.rules"))
    with Daemon():
        before = lines(mptap("rules", "list", "--json").stdout)
        assert "RULE_INVALID" in mptap("rules", "create", "alert nonsense", code=2).stderr
        made = json.loads(mptap("rules", "create", "--json", RULE % ("abc", 77)).stdout)
        equal("name", made["name"], "rules/1-77")
        equal("origin", made["origin"], "ORIGIN_MANAGED")
        equal("count", len(lines(mptap("rules", "list", "--json").stdout)), len(before) + 1)
        assert "RULE_EXISTS" in mptap("rules", "create", RULE % ("abc", 77), code=3).stderr
        changed = json.loads(mptap("rules", "update", "--json", "--yes", RULE % ("xyz", 77)).stdout)
        assert "xyz" in changed["text"], changed
        assert "RULE_IN_FILE" in mptap("rules", "delete", "--yes", before[0]["name"].split("/")[1], code=3).stderr
    with Daemon():
        assert "made here" in mptap("rules", "list", "--filter", "origin = managed").stdout
        mptap("rules", "delete", "--yes", "77")
        equal("count", len(lines(mptap("rules", "list", "--json").stdout)), len(before))
        assert "rules in force" in mptap("rules", "reload").stdout
    with open(path("own.rules"), "w", encoding="utf-8") as f:
        f.write(RULE % ("abc", 78) + "\n")
    with Daemon(rules=path("own.rules")):
        with open(path("own.rules"), "w", encoding="utf-8") as f:
            f.write("alert nonsense\n")
        refused = mptap("rules", "reload", code=3).stderr
        assert "RELOAD_FAILED" in refused and "none of the 1 new rules" in refused, refused
        assert "made here" in mptap("rules", "list").stdout


@suite.case("events from the oldest on, filtered, and behind a position")
def _():
    with Daemon("evil.pcap"):
        some = lines(mptap("events", "--json", "--resume", "oldest", "--filter", "event_type = alert", "--count", "1").stdout)
        equal("type", some[0]["event"]["event_type"], "alert")
        behind = lines(mptap("events", "--json", "--resume", "oldest", "--count", "1").stdout)[0]
        following = lines(mptap("events", "--json", "--resume", behind["position"], "--count", "1").stdout)[0]
        assert following["position"] != behind["position"]
        assert "no position" in mptap("events", "--resume", "x", code=2).stderr


@suite.case("the socket is private and one daemon's; a role that is not given is denied and told")
def _():
    with Daemon():
        equal("mode", stat.S_IMODE(os.stat(SOCKET).st_mode), 0o660)
        with open(path("second.toml"), "w", encoding="utf-8") as f, open(path("mptap.toml"), encoding="utf-8") as first:
            f.write(first.read())
        second = subprocess.run([MPTAPD, "--config", path("second.toml")], capture_output=True, text=True, timeout=60)
        equal("exit code", second.returncode, 1)
        assert "another process listens" in second.stderr, second.stderr
    equal("gone", os.path.exists(SOCKET), False)
    with Daemon(roles='"user:root" = "viewer"\n' if os.getuid() == 0 else f'"uid:{os.getuid()}" = "viewer"\n'):
        assert connections()
        denied = mptap("rules", "reload", code=3).stderr
        assert "wants the role admin" in denied and "ROLE_TOO_LOW" in denied, denied
        with open(path("audit/audit.log"), encoding="utf-8") as f:
            equal("result", lines(f.read())[-1]["result"], "denied")


@suite.case("what cannot be opened ends mptapd with one line that says what would be right")
def _():
    with open(path("file"), "w", encoding="utf-8"):
        pass
    for key, where in (("control.address", f"unix:{path('file')}/control.sock"), ("control.audit_log", f"{path('no')}/such/audit.log")):
        with open(path("bad.toml"), "w", encoding="utf-8") as f:
            address, log = (where, path("audit.log")) if key == "control.address" else (f"unix:{SOCKET}", where)
            f.write(f'ports = ["net_pcap0,rx_pcap={os.path.join(DATA, "evil.pcap")}"]\n[events]\nfile = "{path("eve.json")}"\n[metrics]\naddress = ""\n'
                    f'[control]\naddress = "{address}"\naudit_log = "{log}"\n')
        done = subprocess.run([MPTAPD, "--config", path("bad.toml")], capture_output=True, text=True, timeout=60)
        equal("exit code", done.returncode, 1)
        said = [line for line in done.stderr.splitlines() if key in line]
        equal("lines", len(said), 1)
        assert "no control plane" in said[0], said


@suite.case("nobody listens; a TCP address wants certificates")
def _():
    assert "Is mptapd running" in mptap("connections", code=3, server=f"unix:{path('nowhere.sock')}").stderr
    assert "--cert, --key and --ca" in mptap("connections", code=2, server="127.0.0.1:50051").stderr
    assert "unix:PATH or HOST:PORT" in mptap("connections", code=2, server="localhost").stderr


def openssl(*words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=work.name)


@suite.case("over TCP with certificates of both sides")
def _():
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem")
    for name, extension in (("server", "subjectAltName=IP:127.0.0.1"), ("boss", "subjectAltName=URI:spiffe://soc/boss")):
        openssl("req", "-new", *curve, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        with open(path("ext"), "w", encoding="utf-8") as f:
            f.write(extension + "\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "ext",
                "-out", f"{name}.pem")
    port = 20000 + os.getpid() % 20000
    address = f"127.0.0.1:{port}"
    roles = '"uri:spiffe://soc/boss" = "viewer"\n'
    daemon = Daemon(roles=roles, address=address + f'"\ncertificate = "{path("server.pem")}"\nkey = "{path("server.key")}"\nclient_ca = "{path("ca.pem")}')
    try:
        daemon.wait()
        mine = ["--cert", path("boss.pem"), "--key", path("boss.key"), "--ca", path("ca.pem")]
        mptap("connections", *mine, server=address)
        assert "ROLE_TOO_LOW" in mptap("kill", "--yes", "0" * 16, *mine, code=3, server=address).stderr
    finally:
        daemon.__exit__()


@suite.case("completion knows the commands and their options")
def _():
    def complete(*words):
        script = mptap("completion", "bash").stdout + f"""
COMP_WORDS=({' '.join(repr(w) for w in words)}); COMP_CWORD={len(words) - 1}; _mptap; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
        return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    equal("a command", complete("mptap", "conn"), ["connections"])
    assert {"check", "list", "create", "delete"} <= set(complete("mptap", "rules", ""))
    assert "--order-by" in complete("mptap", "connections", "--or")
    equal("an option of a sub-command", complete("mptap", "kill", "--dry"), ["--dry-run"])
    zsh = mptap("completion", "zsh").stdout
    assert zsh.startswith("#compdef mptap"), zsh[:80]
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n", "-c", zsh], check=True)


if __name__ == "__main__":
    sys.exit(main(suite))
