#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""deploy/package.sh's package: lintian's judgement, and its life in a clean Debian: installed, run, upgraded, removed, purged.

usage: package_test.py BUILD-DIRECTORY [-k REGEX]. The clean root comes from Debian's mirror (MPTAP_DEBIAN_MIRROR; deb.debian.org)."""
import glob
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Skip, Suite, equal, main  # noqa: E402

BUILD = os.path.abspath(sys.argv[1])
DATA = os.path.join(ROOT, "tests", "capture", "data")
MIRROR = os.environ.get("MPTAP_DEBIAN_MIRROR", "http://deb.debian.org/debian")
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-package-", ignore_cleanup_errors=True)
PLAIN = {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def run(*argv, good=True, **options):
    done = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900, env=PLAIN, **options)
    if good and done.returncode:
        raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}")
    return done


def package():
    out = os.path.join(work.name, "out")
    if not os.path.isdir(out):
        run(os.path.join(ROOT, "deploy", "package.sh"), BUILD, out)
    found = glob.glob(os.path.join(out, "mptap_*.deb"))
    equal("packages", len(found), 1)
    return found[0]


class Clean:
    """A Debian with what the package depends on, and nothing else."""

    def __init__(self):
        self.path = os.path.join(work.name, "root")

    def make(self):
        depends = run("dpkg-deb", "-f", package(), "Pre-Depends", "Depends").stdout.replace("\n ", " ")
        names = []
        for part in re.sub(r"(?m)^(Pre-)?Depends: ", "", depends).replace("\n", ",").split(","):
            choices = [re.sub(r"\(.*?\)", "", c).strip() for c in part.split("|")]
            if choices[0]:
                # A whole systemd is not needed to make a user.
                names.append("systemd-standalone-sysusers" if "systemd-standalone-sysusers" in choices else choices[0])
        names += ["systemd-standalone-tmpfiles", "adduser"]
        run("mmdebstrap", "--mode=root", "--variant=apt", "--quiet", '--aptopt=Acquire::Retries "3"', f"--include={','.join(names)}",
            "bookworm", self.path, MIRROR)

    def run(self, *argv, good=True):
        return run("unshare", "--mount", "--pid", "--net", "--fork", f"--mount-proc={self.path}/proc", "sh", "-c",
                   'mount -t sysfs sysfs "$0/sys" && exec chroot "$0" "$@"', self.path, *argv, good=good)

    def copy(self, source, name):
        shutil.copy(source, os.path.join(self.path, name.lstrip("/")))

    def has(self, name):
        return os.path.lexists(os.path.join(self.path, name.lstrip("/")))

    def text(self, name):
        with open(os.path.join(self.path, name.lstrip("/")), encoding="utf-8") as f:
            return f.read()


def newer(deb, version):
    """The same package with that version and a reference configuration that says something new."""
    tree, out = os.path.join(work.name, "newer"), os.path.join(work.name, "newer.deb")
    run("dpkg-deb", "-R", deb, tree)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control, encoding="utf-8") as f:
        text = f.read()
    with open(control, "w", encoding="utf-8") as f:
        f.write(re.sub(r"(?m)^Version: .*$", f"Version: {version}", text))
    with open(os.path.join(tree, "etc", "mptap", "mptap.toml"), "a", encoding="utf-8") as f:
        f.write("# a word of the new version\n")
    run("dpkg-deb", "-b", "--root-owner-group", tree, out)
    return out


@suite.case("lintian finds nothing to say")
def _():
    done = run("lintian", "--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", package(), good=False)
    equal("lintian", (done.returncode, done.stdout), (0, ""))


@suite.case("what is in it: programs, service, configuration, man pages, completions, dashboards")
def _():
    names = {line.split()[-1].removeprefix(".") for line in run("dpkg-deb", "-c", package()).stdout.splitlines()}
    for name in ("/usr/bin/mptap", "/usr/sbin/mptapd", "/etc/mptap/mptap.toml", "/etc/logrotate.d/mptap", "/lib/systemd/system/mptapd.service",
                 "/usr/lib/sysusers.d/mptap.conf", "/usr/lib/tmpfiles.d/mptap.conf", "/lib/udev/rules.d/60-mptap.rules",
                 "/usr/share/man/man1/mptap.1.gz", "/usr/share/man/man8/mptapd.8.gz", "/usr/share/man/man5/mptap.toml.5.gz",
                 "/usr/share/bash-completion/completions/mptap", "/usr/share/bash-completion/completions/mptapd",
                 "/usr/share/zsh/vendor-completions/_mptap", "/usr/share/mptap/prometheus/mptap.rules.yml",
                 "/usr/share/mptap/grafana/dashboards/overview.json"):
        assert name in names, f"{name} is missing"
    tree = os.path.join(work.name, "tree")
    run("dpkg-deb", "-x", package(), tree)
    # A page for each command, each option of the command in its page, and a completion that the shell takes.
    program = os.path.join(tree, "usr/bin/mptap")
    commands = re.findall(r"(?m)^  ([a-z][a-z-]*) ", run(program, "--help").stdout.split("Subcommands:")[1])
    assert len(commands) >= 7, commands
    for command in commands:
        page = os.path.join(tree, f"usr/share/man/man1/mptap-{command}.1.gz")
        shown = run("man", "--warnings", "-E", "UTF-8", "-l", page)
        equal(f"what man says of mptap-{command}", shown.stderr, "")
        text = re.sub(r"\s+", "", re.sub(r".\x08", "", shown.stdout).replace("‐", "-").replace("−", "-"))
        for option in re.findall(r"(?m)^ +(?:-\w,)?(--[a-z-]+)", run(program, command, "--help").stdout):
            assert option in text, f"mptap-{command}.1 does not name {option}"
    script = (f"source {tree}/usr/share/bash-completion/completions/mptap\nCOMP_WORDS=(mptap rea) COMP_CWORD=1\n_mptap\n"
              "printf '%s\\n' \"${COMPREPLY[@]}\"")
    assert "read" in run("bash", "-c", script).stdout.split()


@suite.case("its life in a clean Debian: install, run, upgrade with the configuration kept, remove, purge")
def _():
    if os.geteuid() != 0:
        raise Skip("a clean root needs root")
    clean = Clean()
    clean.make()
    deb = package()
    clean.copy(deb, "/one.deb")
    clean.run("dpkg", "-i", "/one.deb")
    user = clean.run("getent", "passwd", "mptap").stdout
    assert user.startswith("mptap:") and user.rstrip().endswith("/usr/sbin/nologin"), user
    equal("owner and mode", clean.run("stat", "-c", "%U:%G %a", "/etc/mptap/mptap.toml", "/var/log/mptap").stdout.split("\n")[:2],
          ["root:mptap 640", "mptap:mptap 750"])
    assert clean.run("mptap", "--version").stdout.startswith("mptap ")
    # As shipped it has no port, and says so; with one it is good, for the daemon's user, too.
    shipped = clean.run("mptapd", "--check", good=False)
    assert shipped.returncode == 1 and "ports" in shipped.stderr, shipped.stderr
    clean.copy(os.path.join(DATA, "evil.pcap"), "/evil.pcap")
    own = clean.text("/etc/mptap/mptap.toml").replace("ports = []", 'ports = ["net_pcap0,rx_pcap=/evil.pcap"]', 1)
    own = own.replace("\n[rules]\n", "\n[rules]\n# ours\n", 1).replace("files = []", 'files = ["/usr/share/mptap/quickstart.rules"]', 1)
    assert "/evil.pcap" in own and "quickstart.rules" in own and "# ours" in own
    with open(os.path.join(clean.path, "etc/mptap/mptap.toml"), "w", encoding="utf-8") as f:
        f.write(own)
    clean.run("install", "-d", "-o", "mptap", "-g", "mptap", "/run/mptap")
    as_mptap = ["setpriv", "--reuid=mptap", "--regid=mptap", "--init-groups", "--no-new-privs", "--bounding-set=-all", "env",
                "XDG_RUNTIME_DIR=/run/mptap"]
    clean.run(*as_mptap, "mptapd", "--check")
    ended = clean.run(*as_mptap, "timeout", "--signal=TERM", "8", "mptapd", good=False)
    equal("exit code of mptapd", ended.returncode, 124)  # timeout's own: it was told to end, and did
    assert "unaccounted 0" in ended.stderr, ended.stderr
    assert '"cross_subflow":true' in clean.text("/var/log/mptap/eve.json")

    clean.copy(newer(deb, "99.0-1"), "/two.deb")
    clean.run("dpkg", "--force-confdef", "--force-confold", "-i", "/two.deb")
    equal("the version", clean.run("dpkg-query", "-W", "-f", "${Version}", "mptap").stdout, "99.0-1")
    equal("our configuration after the upgrade", clean.text("/etc/mptap/mptap.toml"), own)
    assert "a word of the new version" in clean.text("/etc/mptap/mptap.toml.dpkg-dist")
    clean.run(*as_mptap, "mptapd", "--check")

    clean.run("dpkg", "-r", "mptap")
    assert not clean.has("/usr/sbin/mptapd") and not clean.has("/lib/systemd/system/mptapd.service")
    equal("our configuration after the removal", clean.text("/etc/mptap/mptap.toml"), own)
    clean.run("dpkg", "-i", "/two.deb")
    equal("and installed again", clean.text("/etc/mptap/mptap.toml"), own)
    clean.run("dpkg", "--purge", "mptap")
    for name in ("/etc/mptap/mptap.toml", "/etc/logrotate.d/mptap", "/usr/bin/mptap", "/usr/share/mptap"):
        assert not clean.has(name), f"{name} is left after the purge"


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda n, _: sys.exit(128 + n))
    main(suite)
