#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""mptap read on captures whose contents are known. usage: read_test.py MPTAP [-k REGEX]

MPTAP_CAPTURES names a folder of further captures (default: captures beside the project's folder, in shared/); what is not
there is not tested."""
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile

import material

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
from cases import Suite, equal, main  # noqa: E402

MPTAP = os.path.abspath(sys.argv[1])
RULES = os.path.join(ROOT, "deploy", "quickstart.rules")
FURTHER = os.environ.get("MPTAP_CAPTURES", os.path.join(ROOT, "..", "shared", "captures"))
EMPTY = hashlib.sha256(b"").hexdigest()
suite = Suite()
work = tempfile.TemporaryDirectory(prefix="mptap-read-")
truth = material.truth()


def mptap(*argv, stdin=None, code=0):
    done = subprocess.run([MPTAP, *argv], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True,
                          timeout=300)
    assert done.returncode == code, f"mptap {' '.join(argv)}: exit code {done.returncode}, wanted {code}\n{done.stderr.decode()[:800]}"
    return done


def events(*argv, stdin=None, in_1970=False):
    done = mptap("read", "--json", *argv, stdin=stdin)
    if done.stdout:
        validate(done.stdout, in_1970)
    return [json.loads(line) for line in done.stdout.splitlines()]


def validate(lines, in_1970=False):
    if not lines:
        return
    tool = subprocess.run([sys.executable, os.path.join(ROOT, "tests", "support", "validate_eve.py")], input=lines, capture_output=True)
    assert tool.returncode == 0, (tool.stdout + tool.stderr).decode()[:1500]
    assert in_1970 or b'"1970-' not in lines, "a time that was never set"


def of_type(found, kind):
    return [e for e in found if e["event_type"] == kind]


def one_connection(found):
    records = of_type(found, "mptcp")
    equal("mptcp records", len(records), 1)
    return records[0]


def packet_tuple(path):
    """Client, port, server, port of the first SYN of an Ethernet capture; and the token in the first MP_JOIN's SYN."""
    first, token = None, None
    for _, frame in material.packets(material.read(path)):
        ip6 = frame[12:14] == b"\x86\xdd"
        tcp = 54 if ip6 else 14 + (frame[14] & 15) * 4
        if frame[20 if ip6 else 23] != 6 or frame[tcp + 13] & 0x12 != 2:
            continue
        ports = int.from_bytes(frame[tcp:tcp + 2], "big"), int.from_bytes(frame[tcp + 2:tcp + 4], "big")
        first = first or (ports[0], ports[1])
        at, end = tcp + 20, tcp + (frame[tcp + 12] >> 4) * 4
        while at < end and frame[at] != 0:
            if frame[at] == 1:
                at += 1
                continue
            if frame[at] == 30 and frame[at + 2] >> 4 == 1:
                token = token or frame[at + 4:at + 8].hex()
            at += frame[at + 1]
    return first, token


def check_streams(streams, row):
    for direction, key in (("toserver", "c2s"), ("toclient", "s2c")):
        stream = streams[direction]
        equal(f"{direction}.bytes", stream["bytes"], row[key + "_len"])
        equal(f"{direction}.sha256", stream["sha256"], row[key + "_sha256"])
        equal(f"{direction}.missing_bytes", stream["missing_bytes"], row[key + "_gap"])
        equal(f"{direction}.duplicate_bytes", stream["duplicate_bytes"], row[key + "_dup"])
        equal(f"{direction}.conflicting_bytes", stream["conflicting_bytes"], 0)


def check_truth(name, found, path):
    row = truth[name]
    event = one_connection(found)
    record = event["mptcp"]
    equal("subflows", len(record["subflows"]), row["subflows"])
    check_streams(record, row)
    for key, column in (("bytes_toserver", "per_subflow_c2s"), ("bytes_toclient", "per_subflow_s2c")):
        equal(key, [s[key] for s in record["subflows"]], json.loads(row[column]))
    equal("ids", [s["id"] for s in record["subflows"]], list(range(row["subflows"])))
    # asym lacks the SYN/ACK of subflow 2, and with it the nonce that both HMACs are made of.
    join = "unverified" if name == "asym" else "verified"
    equal("joins", [s["join"] for s in record["subflows"]], ["initial"] + [join] * (row["subflows"] - 1))
    equal("version", record["version"], 1)
    equal("fallback", record["fallback"], False)
    equal("checksum", record["checksum"], "csum" in (row.get("features") or "") or name == "csum")
    equal("end", record["end"], "fast_close" if name == "fastclose" else "data_fin")
    equal("state", record["state"], "closed")
    seen = row["c2s_len"] + row["s2c_len"]
    equal("visibility", record["visibility"], round(seen / (seen + row["c2s_gap"] + row["s2c_gap"]), 3))
    (client_port, server_port), token = packet_tuple(path)
    equal("ports", (event["src_port"], event["dest_port"]), (client_port, server_port))
    equal("flow events", of_type(found, "flow"), [])
    for key in ("token_client", "token_server"):
        assert re.fullmatch("[0-9a-f]{8}", record[key]), f"{key}: {record[key]}"
    if token:
        equal("token_server", record["token_server"], token)


def add_truth_case(name):
    @suite.case(f"ground truth: {name}")
    def _():
        path = material.path(name, work.name)
        found = events("--sha256", path)
        check_truth(name, found, path)
        record = one_connection(found)["mptcp"]
        if name == "taploss":
            for direction in ("toserver", "toclient"):
                equal("missing_tap_bytes", record[direction]["missing_tap_bytes"], record[direction]["missing_bytes"])
        if name == "missing":
            for direction in ("toserver", "toclient"):
                equal("missing_tap_bytes", record[direction]["missing_tap_bytes"], 0)


for _name in truth:
    if _name != "fallback":
        add_truth_case(_name)


@suite.case("ground truth: fallback is TCP from the handshake on, a flow")
def _():
    found = events("--sha256", material.path("fallback", work.name))
    equal("mptcp records", of_type(found, "mptcp"), [])
    flows = of_type(found, "flow")
    equal("flows", len(flows), 1)
    check_streams(flows[0]["tcp"], truth["fallback"])
    equal("ports", flows[0]["dest_port"], 5001)


def add_verdict_case(path):
    name = os.path.basename(path).removesuffix(".verdict.json")

    @suite.case(f"kernel's verdict: {name}")
    def _():
        with open(path, encoding="utf-8") as f:
            verdict = json.load(f)
        found = events("--sha256", path.removesuffix(".verdict.json") + ".pcap")
        # A refused join can stand apart as a record of its own; it must not bring a byte.
        streams = [e["mptcp" if e["event_type"] == "mptcp" else "tcp"]["toserver"] for e in found if e["event_type"] in ("mptcp", "flow")]
        with_bytes = [s for s in streams if s["bytes"]]
        assert len(with_bytes) == 1, f"{len(with_bytes)} records hold bytes: {streams}"
        equal("bytes", with_bytes[0]["bytes"], verdict["delivered_bytes"])
        equal("sha256", with_bytes[0]["sha256"], verdict["delivered_sha256"])


for _path in sorted(glob.glob(material.data("attacks/*.verdict.json"))):
    add_verdict_case(_path)


def add_alert_case(name, cross):
    @suite.case(f"alert: {name}, cross_subflow {cross}")
    def _():
        found = events("--rules", RULES, material.path(name, work.name))
        alerts = of_type(found, "alert")
        equal("alerts", len(alerts), 1)
        equal("sid", alerts[0]["alert"]["signature_id"], 1000001)
        carried = alerts[0]["mptcp"]
        record = one_connection(found)["mptcp"]
        equal("cross_subflow", carried["cross_subflow"], cross)
        equal("connection_id", carried["connection_id"], record["connection_id"])
        equal("stream_offset", carried["stream_offset"], {"evil": 1, "evil_cut": 1, "evil_split": 30001}[name])
        assert set(carried["subflows"]) == ({0, 1} if cross else {0}) or name == "evil_cut", carried["subflows"]
        equal("community_id", alerts[0]["community_id"], one_connection(found)["community_id"])
        assert "evil stuff" in alerts[0]["payload_printable"]


add_alert_case("evil", True)
add_alert_case("evil_split", True)
add_alert_case("evil_cut", False)


@suite.case("alert: none in missing, small, fallback")
def _():
    for name in ("missing", "small", "fallback"):
        equal(name, of_type(events("--rules", RULES, material.path(name, work.name)), "alert"), [])


def strip_times(found):
    """What must not depend on the container: everything but the packets' times."""
    return [{k: v for k, v in e.items() if "timestamp" not in k} for e in found if e["event_type"] in ("mptcp", "flow", "alert")]


def converted(name, extension, *options):
    made = os.path.join(work.name, name + extension)
    subprocess.run(["editcap", *options, material.path(name, work.name), made], check=True, capture_output=True)
    return made


@suite.case("formats: standard input, pcapng, nanoseconds give what the file gives")
def _():
    for name in ("evil", "v6"):
        path = material.path(name, work.name)
        wanted = events("--sha256", "--rules", RULES, path)
        equal("events from -", events("--sha256", "--rules", RULES, "-", stdin=material.read(path)), wanted)
        for extension, kind in ((".pcapng", "pcapng"), (".nsec.pcap", "nsecpcap")):
            found = events("--sha256", "--rules", RULES, converted(name, extension, "-F", kind))
            equal(f"{name} as {kind}", found, wanted)


@suite.case("formats: nanoseconds are kept apart from microseconds")
def _():
    def start(path):
        return one_connection(events(path))["timestamp"]
    path = material.path("evil", work.name)
    equal("start", start(converted("evil", ".nsec2.pcap", "-F", "nsecpcap")), start(path))


@suite.case("formats: raw IP")
def _():
    wanted = strip_times(events("--sha256", material.path("evil", work.name)))
    found = strip_times(events("--sha256", converted("evil", ".raw.pcap", "-F", "pcap", "-T", "rawip4", "-L", "-C", "14")))
    equal("events", found, wanted)


@suite.case("several files are read as one, in the order given")
def _():
    path = material.path("evil", work.name)
    half = [os.path.join(work.name, f"half{i}.pcap") for i in (1, 2)]
    subprocess.run(["editcap", "-r", "-F", "pcap", path, half[0], "1-18"], check=True, capture_output=True)
    subprocess.run(["editcap", "-r", "-F", "pcap", path, half[1], "19-1000"], check=True, capture_output=True)
    equal("events", events("--sha256", "--rules", RULES, *half), events("--sha256", "--rules", RULES, path))


@suite.case("a file cut short in the middle of a packet is read up to there, and that is said")
def _():
    raw = material.read(material.path("small", work.name))
    cut = os.path.join(work.name, "cut.pcap")
    with open(cut, "wb") as f:
        f.write(raw[:len(raw) // 2 + 7])
    done = subprocess.run([MPTAP, "read", "--json", "--sha256", cut], capture_output=True, stdin=subprocess.DEVNULL)
    record = one_connection([json.loads(line) for line in done.stdout.splitlines()])
    assert record["mptcp"]["toclient"]["bytes"] > 100000, record["mptcp"]["toclient"]
    assert re.search(r"cut\.pcap.*(cut short|truncated)", done.stderr.decode()), done.stderr.decode()[:400]


def expect_error(argv, *words, stdin=None):
    done = subprocess.run([MPTAP, *argv], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, capture_output=True,
                          text=stdin is None)
    text = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
    assert done.returncode not in (0, None) and done.returncode > 0, f"mptap {argv}: exit code {done.returncode}"
    assert not done.stdout, f"mptap {argv}: an error belongs on stderr, stdout has {done.stdout[:200]!r}"
    for word in words:
        assert word.lower() in text.lower(), f"mptap {argv}: wanted {word!r} in {text[:400]!r}"
    return done.returncode


@suite.case("errors: each is said with its name on stderr, exit codes tell them apart")
def _():
    evil = material.path("evil", work.name)
    usage = expect_error(["read", "--frobnicate", evil], "--frobnicate")
    nothing = expect_error(["read"], "FILE")
    missing_file = expect_error(["read", os.path.join(work.name, "nowhere.pcap")], "nowhere.pcap", "no such file")
    text = os.path.join(work.name, "text.pcap")
    with open(text, "w", encoding="utf-8") as f:
        f.write("this is no capture, it is a line of text that is long enough for a header\n")
    no_capture = expect_error(["read", text], "text.pcap")
    empty = os.path.join(work.name, "empty.pcap")
    with open(empty, "w", encoding="utf-8"):
        pass
    expect_error(["read", empty], "empty.pcap")
    no_rules = expect_error(["read", "--rules", os.path.join(work.name, "nowhere.rules"), evil], "nowhere.rules")
    equal("a wrong call", nothing, usage)
    assert missing_file != usage, "a file that is missing and a wrong call have one exit code"
    assert no_capture and no_rules


@suite.case("a rule that is not understood is named by file and line, left out, and --strict-rules makes it an error")
def _():
    bad = os.path.join(work.name, "bad.rules")
    with open(RULES, encoding="utf-8") as good, open(bad, "w", encoding="utf-8") as f:
        f.write(good.read() + 'alert tcp any any -> any any (msg:"x"; content:"y"; frobnicate:1; sid:2;)\n')
    line = sum(1 for _ in open(bad, encoding="utf-8"))
    evil = material.path("evil", work.name)
    done = mptap("read", "--json", "--rules", bad, evil)
    assert f"bad.rules:{line}:" in done.stderr.decode() and "frobnicate" in done.stderr.decode(), done.stderr.decode()[:400]
    equal("alerts", len(of_type([json.loads(x) for x in done.stdout.splitlines()], "alert")), 1)
    expect_error(["read", "--strict-rules", "--rules", bad, evil], f"bad.rules:{line}:", "frobnicate")
    checked = subprocess.run([MPTAP, "rules", "check", bad], capture_output=True, text=True)
    assert "frobnicate" in checked.stdout + checked.stderr and f"{line}" in checked.stdout + checked.stderr, checked


@suite.case("rules that need the stream's end are decided there, and thresholds hold")
def _():
    rules = os.path.join(work.name, "end.rules")
    with open(rules, "w", encoding="utf-8") as f:
        for sid, options in enumerate((
                'content:!"harmless";',
                'content:!"stuff"; distance:-5; within:5;',
                'pcre:"/evil stuff(?!s)/";',
                "threshold:type threshold, track by_rule, count 2, seconds 60;",
                "threshold:type limit, track by_src, count 1, seconds 60;"), 1):
            f.write(f'alert tcp any any -> any any (content:"evil stuff"; {options} sid:{sid};)\n')
    alerts = of_type(events("--rules", rules, material.path("evil", work.name)), "alert")
    equal("sids", sorted(a["alert"]["signature_id"] for a in alerts), [1, 3, 5])


@suite.case("a full disk is an error, whichever command prints")
def _():
    evil = material.path("evil", work.name)
    for argv in (["read", "--json", evil], ["read", evil], ["follow", evil, "--connection", "1"], ["rules", "check", RULES],
                 ["help", "first-hour"], ["--help"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([MPTAP, *argv], stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE)
        equal(f"exit code of {argv}", done.returncode, 3)
        assert b"standard output: No space left on device" in done.stderr, f"{argv}: {done.stderr[:300]!r}"


@suite.case("the table names both ends, the subflows and the alert; no colour off a terminal")
def _():
    text = mptap("read", "--rules", RULES, material.path("evil", work.name)).stdout.decode()
    for word in ("10.77.1.1", "10.77.1.2", "5001", "evil stuff"):
        assert word in text, f"{word!r} is not in\n{text}"
    assert "\x1b" not in text, "an escape sequence in a pipe"


@suite.case("--extract writes each stream, byte for byte")
def _():
    folder = os.path.join(work.name, "extracted")
    mptap("read", "--extract", folder, material.path("small", work.name))
    found = sorted(hashlib.sha256(material.read(p)).hexdigest() for p in glob.glob(folder + "/**", recursive=True) if os.path.isfile(p))
    equal("streams", found, sorted((truth["small"]["c2s_sha256"], truth["small"]["s2c_sha256"])))


@suite.case("--filter keeps what matches")
def _():
    evil = material.path("evil", work.name)
    record = one_connection(events(evil))
    for text, kept in ((f"token {record['mptcp']['token_server']}", 1), ("port 5001", 1), ("port 5002", 0), ("host 10.77.1.1", 1),
                       ("host 10.99.1.1", 0)):
        equal(text, len(of_type(events("--filter", text, evil), "mptcp")), kept)


@suite.case("follow prints one stream: --raw byte for byte, the text with what both ends said")
def _():
    evil = material.path("evil", work.name)
    text = mptap("follow", evil, "--connection", "1").stdout
    assert b"evil " in text and b"stuff" in text and b"got 11 bytes" in text, text
    assert b"\x1b" not in text, "an escape sequence in a pipe"
    raw = mptap("follow", evil, "--connection", "1", "--raw").stdout
    assert b"evil stuff" in raw, raw
    assert b"evil stuff" in mptap("follow", evil, "--connection", "1", "--hex").stdout.replace(b"\n", b"") or \
        b"65 76 69 6c" in mptap("follow", evil, "--connection", "1", "--hex").stdout
    expect_error(["follow", evil, "--connection", "99"], "99")


def further(name, wanted, in_1970=False):
    path = os.path.join(FURTHER, name)
    if not os.path.exists(path):
        return

    @suite.case(f"further captures: {name}")
    def _():
        # Two of them were captured where the sender leaves checksums to its NIC.
        records = of_type(events("--sha256", "--no-checksum", path, in_1970=in_1970), "mptcp")
        equal("connections and subflows", (len(records), sum(len(r["mptcp"]["subflows"]) for r in records)), wanted[:2])
        for direction, sizes in (("toserver", wanted[2]), ("toclient", wanted[3])):
            got = sorted((r["mptcp"][direction]["bytes"], r["mptcp"][direction]["sha256"]) for r in records)
            assert len(got) == len(sizes) and all(g[0] == w[0] and g[1].startswith(w[1]) for g, w in zip(got, sorted(sizes))), f"{direction}: {got}"


further("v0/tcpdump__mptcp-v0.pcap", (1, 2, [(5121, "f3e201efca436d7b460a4ae95176a51b")], [(8561, "98cdfda4ba22c592f1ac6a9d7c2b6c25")]))
further("v0/tcpdump__mptcp-v1.pcap", (1, 1, [(10268, "1e46e3a66578eb0d7e98bc013e6e7c57")], [(10268, "7c71bde9846f99090cc4080011054159")]))
further("v0/dpi-mptcp__mp_capable.pcapng", (2, 8, [(295, "f183935f"), (739, "9a24be2e")], [(402, "f00958a6"), (5826, "b3119da3")]))
further("v0/pymptcpanalyzer__iperf-mptcp-0-0.pcap", (1, 4, [(2359320, "8e92dcc43156f08725e80777d31f939f")], [(0, EMPTY)]),
        in_1970=True)  # a simulator's: its clock begins at zero

if os.path.exists(os.path.join(FURTHER, "loss.pcap")):
    @suite.case("further captures: loss with its own payload")
    def _():
        loss = one_connection(events("--sha256", os.path.join(FURTHER, "loss.pcap")))["mptcp"]
        equal("toserver", (loss["toserver"]["bytes"], loss["toserver"]["sha256"], loss["toserver"]["duplicate_bytes"]),
              (8388608, "f49d76f5c9a0dc70b49e83f9fefedeb3a07a659c1385fab7d8a6caf6c27280b6", 455192))

if __name__ == "__main__":
    main(suite)
